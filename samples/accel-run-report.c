// SPDX-License-Identifier: MIT
/* What accel-run says about a run: rates, modelled cost, formats; as a table or as JSON. */
#include "accel-run.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Mean over the tokens that were predicted: all but the first of each sequence. */
static double mean_nll(const struct score *s)
{
	double sum = 0;

	for (size_t i = 0; i < s->sequences; i++)
		sum += s->nll[i];
	return s->rows > s->sequences ? sum / (double)(s->rows - s->sequences) : 0;
}

/* What one phase cost. */
struct phase {
	double tokens, host_s, device_s, joules, hbm, sram, host, hits, visits;
};

static struct phase phase(double tokens, double host_s, const struct accel_llm_stats *a,
			  const struct accel_llm_stats *b)
{
	return (struct phase){
		.tokens = tokens,
		.host_s = host_s,
		.device_s = 1e-9 * (double)(b->prefill_device_ns + b->decode_device_ns -
					    a->prefill_device_ns - a->decode_device_ns),
		.joules = 1e-12 * (double)(b->prefill_energy_pj + b->decode_energy_pj -
					   a->prefill_energy_pj - a->decode_energy_pj),
		.hbm = (double)(b->hbm_bytes - a->hbm_bytes),
		.sram = (double)(b->sram_bytes - a->sram_bytes),
		.host = (double)(b->host_bytes - a->host_bytes),
		.hits = (double)(b->kv_pages_sram - a->kv_pages_sram),
		.visits = (double)(b->kv_pages_sram - a->kv_pages_sram + b->kv_pages_other -
				   a->kv_pages_other),
	};
}

static double ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

static const char *format_name(uint32_t format)
{
	switch (format) {
	case NIB_FMT_F32: return "f32";
	case NIB_FMT_BF16: return "bf16";
	case NIB_FMT_F16: return "f16";
	case NIB_FMT_E4M3: return "e4m3";
	case NIB_FMT_E5M2: return "e5m2";
	case NIB_FMT_MXFP4: return "mxfp4";
	case NIB_FMT_NVFP4: return "nvfp4";
	case NIB_FMT_MXFP8: return "mxfp8";
	case NIB_FMT_MXFP8_E5M2: return "mxfp8-e5m2";
	case NIB_FMT_MXFP8X2: return "mxfp8x2";
	default: return "?";
	}
}

static void summary_line(const char *name, const struct phase *p)
{
	fprintf(stderr, "%-8s %6.0f %9.3f %11.1f %13.1f %12.3g %10.3g %10.3g %10.3g\n", name,
		p->tokens, p->host_s, ratio(p->tokens, p->host_s), ratio(p->tokens, p->device_s),
		ratio(p->joules, p->tokens), ratio(p->hbm, p->tokens), ratio(p->sram, p->tokens),
		ratio(p->host, p->tokens));
}

static void summary(const struct run *r, const struct phase *prefill, const struct phase *decode)
{
	const struct nib_program_model *m = r->model;

	if (r->o.quiet)
		return;
	fprintf(stderr,
		"\nmodel    %s (%s, %.3g M parameters): weights %s, activations %s, head %s, "
		"K/V %s/%s\n",
		m->name, m->arch, (double)m->params * 1e-6, format_name(m->weight_fmt),
		format_name(m->act_fmt), format_name(m->head_fmt), format_name(m->k_fmt),
		format_name(m->v_fmt));
	fprintf(stderr, "device   chip %s, %s, firmware %s; loaded in %.3f s\n", r->info.chip,
		r->info.driver, r->info.fw_version, r->t_load);
	fprintf(stderr, "%-8s %6s %9s %11s %13s %12s %10s %10s %10s\n", "", "tokens", "host s",
		"tok/s", "model tok/s", "model J/tok", "HBM B/tok", "SRAM B/tok", "host B/tok");
	summary_line(r->o.score ? "score" : "prefill", prefill);
	if (decode->tokens > 0)
		summary_line("decode", decode);
	fprintf(stderr,
		"K/V      %.1f %% of page visits in SRAM; %u of %u pages in SRAM, %u of %u in "
		"HBM\n",
		100 * ratio(prefill->hits + decode->hits, prefill->visits + decode->visits),
		r->s_end.pages_sram_used, r->s_end.pages_sram, r->s_end.pages_hbm_used,
		r->s_end.pages_hbm);
}

/* A JSON string must be UTF-8, which generated text need not be: what is not becomes U+FFFD. */
static json_t *json_text(const char *text, size_t bytes)
{
	char *clean = malloc(bytes * 3 + 1);
	json_t *string;
	size_t n = 0, len;

	for (size_t i = 0; clean && i < bytes; i += len) {
		for (len = 4; len; len--) {
			string = len <= bytes - i ? json_stringn(text + i, len) : NULL;
			if (string && (len == 1 || (unsigned char)text[i] >= 0xc0)) {
				json_decref(string);
				break;
			}
			json_decref(string);
		}
		memcpy(clean + n, len ? text + i : "\xef\xbf\xbd", len ? len : 3);
		n += len ? len : 3;
		len += !len;
	}
	string = clean ? json_stringn(clean, n) : NULL;
	free(clean);
	return string ? string : json_string("");
}

static json_t *json_tokens(const uint32_t *tokens, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_integer(tokens[i]));
	return array;
}

static json_t *json_scores(const struct score *s)
{
	json_t *array = json_array();

	for (size_t i = 0, start = 0; i < s->sequences; start = s->ends[i++])
		json_array_append_new(array, json_pack("{s:I, s:f}", "tokens",
						       (json_int_t)(s->ends[i] - start), "nll",
						       s->nll[i]));
	return array;
}

static int print_json(const struct run *r, const struct score *s, const struct phase *prefill,
		      const struct phase *decode)
{
	/* Per token of decoding; of the prompt where nothing was decoded. */
	const struct phase *p = decode->tokens > 0 ? decode : prefill;
	const struct nib_program_model *m = r->model;
	char hash[17];
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "model", m->name, "arch",
			      m->arch, "device", r->info.driver, "node", r->info.node, "chip",
			      r->info.chip, "firmware", r->info.fw_version, "program", r->o.model);
	int ret;

	json_object_set_new(j, "formats",
			    json_pack("{s:s, s:s, s:s, s:s, s:s}", "weights",
				      format_name(m->weight_fmt), "activations",
				      format_name(m->act_fmt), "head", format_name(m->head_fmt),
				      "k", format_name(m->k_fmt), "v", format_name(m->v_fmt)));
	if (r->o.score) {
		json_object_set_new(j, "sequences", json_scores(s));
		json_object_set_new(j, "mean_nll", json_real(mean_nll(s)));
	} else {
		json_object_set_new(j, "text", json_text(r->text, r->text_bytes));
		json_object_set_new(j, "token_ids", json_tokens(r->made, r->n_made));
	}
	json_object_set_new(j, "prompt_tokens", json_integer((json_int_t)prefill->tokens));
	json_object_set_new(j, "tokens", json_integer((json_int_t)r->n_made));
	json_object_set_new(j, "load_s", json_real(r->t_load));
	json_object_set_new(j, "host_s", json_real(r->t_end - r->t_start));
	json_object_set_new(j, "prefill_tokens_per_s", json_real(ratio(prefill->tokens,
								       prefill->host_s)));
	json_object_set_new(j, "decode_tokens_per_s", json_real(ratio(decode->tokens,
								      decode->host_s)));
	json_object_set_new(j, "modelled_prefill_tokens_per_s",
			    json_real(ratio(prefill->tokens, prefill->device_s)));
	json_object_set_new(j, "modelled_decode_tokens_per_s",
			    json_real(ratio(decode->tokens, decode->device_s)));
	json_object_set_new(j, "modelled_joules_per_token", json_real(ratio(p->joules, p->tokens)));
	json_object_set_new(j, "hbm_bytes_per_token", json_real(ratio(p->hbm, p->tokens)));
	json_object_set_new(j, "sram_bytes_per_token", json_real(ratio(p->sram, p->tokens)));
	json_object_set_new(j, "host_bytes_per_token", json_real(ratio(p->host, p->tokens)));
	json_object_set_new(j, "kv_sram_hit_share",
			    json_real(ratio(prefill->hits + decode->hits,
					    prefill->visits + decode->visits)));
	json_object_set_new(j, "kv_pages_sram", json_integer(r->s_end.pages_sram_used));
	json_object_set_new(j, "kv_pages_hbm", json_integer(r->s_end.pages_hbm_used));
	json_object_set_new(j, "submits", json_integer((json_int_t)r->s_end.submits));
	if (r->o.digest) {
		snprintf(hash, sizeof(hash), "%016" PRIx64, r->digest);
		json_object_set_new(j, "digest", json_string(hash));
	}
	ret = json_dumpf(j, stdout, JSON_REAL_PRECISION(9));
	json_decref(j);
	putchar('\n');
	return ret || fflush(stdout) ? fail(NULL, EIO, "output") : 0;
}

int report(const struct run *r, const struct score *s)
{
	static const struct accel_llm_stats zero;
	double prompt = r->o.score ? (double)s->rows : (double)r->prompt_tokens;
	struct phase prefill = phase(prompt, r->t_first - r->t_start, &zero, &r->s_first);
	struct phase decode = phase(r->n_made ? (double)r->n_made - 1 : 0, r->t_end - r->t_first,
				    &r->s_first, &r->s_end);

	if (r->o.score && !r->o.json)
		printf("mean %.6f tokens %zu\n", mean_nll(s), s->rows - s->sequences);
	if (r->o.digest && !r->o.json)
		fprintf(r->o.score ? stdout : stderr, "digest %016" PRIx64 "\n", r->digest);
	summary(r, &prefill, &decode);
	if (r->o.json)
		return print_json(r, s, &prefill, &decode);
	return fflush(stdout) || ferror(stdout) ? fail(NULL, errno, "output") : 0;
}

