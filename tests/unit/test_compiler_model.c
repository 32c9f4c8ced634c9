// SPDX-License-Identifier: MIT
/*
 * What a compiled model says, without a device: streams run in an interpreter of double precision
 * and are compared with float64 logits of the trained stories260K. The expected divergences come
 * from an independent simulation of each choice of formats.
 */
#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gguf.h"
#include "gguf_make.h"
#include "interpret.h"
#include "machine.h"
#include "shared_data.h"

#define VOCAB 512
#define STORIES "llm/gguf/stories260K-v3-f32.gguf"
#define REFERENCE "reference/stories260k_tinystories/case.json"

/* Kullback-Leibler divergence of two rows of logits, reference first. */
static double divergence(const float *ref, const float *got)
{
	double max_r = -INFINITY, max_g = -INFINITY, sum_r = 0, sum_g = 0, d = 0;
	int i;

	for (i = 0; i < VOCAB; i++) {
		max_r = fmax(max_r, (double)ref[i]);
		max_g = fmax(max_g, (double)got[i]);
	}
	for (i = 0; i < VOCAB; i++) {
		sum_r += exp((double)ref[i] - max_r);
		sum_g += exp((double)got[i] - max_g);
	}
	for (i = 0; i < VOCAB; i++) {
		double lr = (double)ref[i] - max_r - log(sum_r),
		       lg = (double)got[i] - max_g - log(sum_g);

		d += exp(lr) * (lr - lg);
	}
	return d;
}

static uint32_t read_tokens(json_t *sequence, uint32_t *tokens)
{
	json_t *list = json_object_get(sequence, "tokens");
	uint32_t n = (uint32_t)json_array_size(list), i;

	for (i = 0; i < n; i++)
		tokens[i] = (uint32_t)json_integer_value(json_array_get(list, i));
	return n;
}

/* Mean divergence over the reference sequences. */
static double model_divergence(struct machine *m)
{
	json_t *root = json_load_file(shared_path(REFERENCE), 0,
				      NULL), *list = json_object_get(root, "sequences");
	uint32_t tokens[MACHINE_TOKENS], n, i, total = 0;
	double sum = 0;
	char name[80];
	float *ref = malloc(MACHINE_TOKENS * VOCAB * sizeof(*ref));
	size_t s;
	FILE *f;

	ck_assert_ptr_nonnull(list);
	for (s = 0; s < json_array_size(list); s++) {
		n = read_tokens(json_array_get(list, s), tokens);
		snprintf(name, sizeof(name), "reference/stories260k_tinystories/logits_%zu.npy", s);
		f = fopen(shared_path(name), "rb");
		ck_assert_ptr_nonnull(f);
		/* NumPy 1.0 header: 128 bytes here. */
		ck_assert_int_eq(fseek(f, 128, SEEK_SET), 0);
		ck_assert_uint_eq(fread(ref, VOCAB * 4, n, f), n);
		fclose(f);
		machine_step(m, tokens, 0, n);
		for (i = 0; i < n; i++)
			sum += divergence(ref + i * VOCAB, m->logits + (size_t)i * VOCAB);
		total += n;
	}
	json_decref(root);
	free(ref);
	return sum / total;
}

static const struct {
	const char *weights;
	const char *acts;
	const char *head;
	const char *kv;
	uint32_t weight_rule;
	double expected;
} formats[] = {
	{ "mxfp8x2", "mxfp8x2", "mxfp8x2", "f32", ACCEL_RULE_DEFAULT, 7.2e-6 },
	{ "mxfp8", "mxfp8", "mxfp8", "bf16", ACCEL_RULE_CEIL, 1.53e-2 },
	{ "nvfp4", "mxfp8", "mxfp8x2", "bf16", ACCEL_RULE_DEFAULT, 1.13e-1 },
	{ "mxfp4", "mxfp8", "mxfp8x2", "bf16", ACCEL_RULE_BEST3, 1.65e-1 },
	{ "mxfp4", "mxfp8", "mxfp8x2", "bf16", ACCEL_RULE_FLOOR, 1.74e-1 },
	{ "bf16", "bf16", "bf16", "bf16", ACCEL_RULE_DEFAULT, 0 },
};

START_TEST(test_divergence_of_formats)
{
	struct accel_compile_options o = {
		.struct_size = sizeof(o),
		.weight_fmt = accel_format_parse(formats[_i].weights),
		.act_fmt = accel_format_parse(formats[_i].acts),
		.head_fmt = accel_format_parse(formats[_i].head),
		.kv_fmt = accel_format_parse(formats[_i].kv),
		.weight_rule = formats[_i].weight_rule,
	};
	struct machine m;
	double kld;

	machine_open(&m, shared_path(STORIES), NULL, 0, &o);
	kld = model_divergence(&m);
	printf("weights %s, acts %s, head %s, K/V %s: KLD %.3e\n", formats[_i].weights,
	       formats[_i].acts, formats[_i].head, formats[_i].kv, kld);
	if (formats[_i].expected < 1e-4)
		ck_assert_double_lt(kld, _i ? 1e-3 : 5e-5);
	else
		ck_assert_double_le(fabs(kld - formats[_i].expected), 0.15 * formats[_i].expected);
	machine_close(&m);
}
END_TEST

/* Greedy text from one token at a time: what upstream expects of an empty prompt. */
START_TEST(test_greedy_decode_follows_upstream)
{
	struct accel_compile_options o = {
		.struct_size = sizeof(o), .weight_fmt = NIB_FMT_MXFP8X2, .act_fmt = NIB_FMT_MXFP8X2,
		.kv_fmt = NIB_FMT_F32, .page_tokens = 32, .max_rows = 8,
	};
	json_t *root = json_load_file(shared_path(REFERENCE), 0,
				      NULL);
	uint32_t tokens[MACHINE_TOKENS], n, i, at = 1;
	struct machine m;

	n = read_tokens(json_object_get(root, "greedy"), tokens);
	json_decref(root);
	machine_open(&m, shared_path(STORIES), NULL, 0, &o);
	machine_step(&m, tokens, 0, at);
	/* A few rows at a time and one at a time, as steps come. */
	for (i = 1; at < n; i++) {
		uint32_t next = at + (i % 4 ? 1 : 3);

		next = next < n ? next : n;
		ck_assert_uint_eq(machine_step(&m, tokens, at - 1, at), tokens[at]);
		machine_step(&m, tokens, at, next);
		at = next;
	}
	machine_close(&m);
}
END_TEST

/* Rows that give logits may be any of the step, in any order. */
START_TEST(test_out_rows_are_picked_by_index)
{
	struct accel_compile_options o = { .struct_size = sizeof(o), .max_rows = 8 };
	uint32_t tokens[4] = { 1, 403, 407, 261 }, index[2] = { 3, 1 }, pick[2];
	struct nib_kv_row table[4] = { { 0, 0 }, { 0, 1 }, { 0, 2 }, { 0, 3 } };
	struct nib_sample_params params[2] = { { 0 } };
	struct machine m;
	float *all;

	machine_open(&m, shared_path(STORIES), NULL, 0, &o);
	machine_step(&m, tokens, 0, 4);
	all = malloc(4 * VOCAB * 4);
	memcpy(all, m.logits, 4 * VOCAB * 4);
	m.args[NIB_BIND_ROW_TABLE] = (uintptr_t)table;
	m.args[NIB_BIND_OUT_ROWS] = 2;
	m.args[NIB_BIND_OUT_INDEX] = (uintptr_t)index;
	m.args[NIB_BIND_SAMPLE_ROWS] = 1;
	m.args[NIB_BIND_SAMPLE_PARAMS] = (uintptr_t)params;
	m.args[NIB_BIND_SAMPLE_OUT] = (uintptr_t)pick;
	ck_assert_ptr_null(interpret(m.stream, m.stream_bytes, m.args));
	ck_assert_int_eq(memcmp(m.logits, all + 3 * VOCAB, VOCAB * 4), 0);
	ck_assert_int_eq(memcmp(m.logits + VOCAB, all + VOCAB, VOCAB * 4), 0);
	free(all);
	machine_close(&m);
}
END_TEST

/* --- Models of other makes, against a plain evaluation of the file --- */

struct eval {
	struct ac_ctx ctx;
	struct ac_gguf gguf;
	const struct gguf_llama *m;
	double k[16][256], v[16][256];
};

/* y = W x, with bias and scale where the file has them. */
static void eval_linear(struct eval *e, const char *name, const double *x, double *y)
{
	char text[64];
	const struct ac_gguf_tensor *w, *bias, *scale;
	float row[512], s = 1, b[512] = { 0 };
	uint64_t i, j;

	snprintf(text, sizeof(text), "%s.weight", name);
	w = ac_gguf_tensor(&e->gguf, text);
	snprintf(text, sizeof(text), "%s.bias", name);
	bias = ac_gguf_tensor(&e->gguf, text);
	snprintf(text, sizeof(text), "%s.scale", name);
	scale = ac_gguf_tensor(&e->gguf, text);
	if (bias)
		ac_ggml_decode_row(bias, 0, b);
	if (scale)
		ac_ggml_decode_row(scale, 0, &s);
	for (i = 0; i < w->rows; i++) {
		ac_ggml_decode_row(w, i, row);
		for (j = 0, y[i] = 0; j < w->ne[0]; j++)
			y[i] += (double)row[j] * x[j];
		y[i] = y[i] * (double)s + (double)b[i];
	}
}

static void eval_norm(struct eval *e, const char *name, const double *x, double *y)
{
	float gain[512];
	double sum = 0;
	uint32_t i;

	ac_ggml_decode_row(ac_gguf_tensor(&e->gguf, name), 0, gain);
	for (i = 0; i < e->m->dim; i++)
		sum += x[i] * x[i];
	for (i = 0; i < e->m->dim; i++)
		y[i] = x[i] / sqrt(sum / e->m->dim + (double)1e-5f) * (double)gain[i];
}

static void eval_rope(struct eval *e, double *x, uint32_t heads, uint32_t pos)
{
	const struct ac_gguf_tensor *t = ac_gguf_tensor(&e->gguf, "rope_freqs.weight");
	uint32_t d = e->m->dim / e->m->heads, h, i;
	float f[64];

	for (i = 0; i < d / 2; i++)
		f[i] = 1;
	if (t)
		ac_ggml_decode_row(t, 0, f);
	for (h = 0; h < heads; h++, x += d)
		for (i = 0; i < d / 2; i++) {
			double a = pos * pow(10000, -2.0 * i / d) / (double)f[i], r = x[2 * i];

			x[2 * i] = r * cos(a) - x[2 * i + 1] * sin(a);
			x[2 * i + 1] = r * sin(a) + x[2 * i + 1] * cos(a);
		}
}

static void eval_attention(struct eval *e, uint32_t layer, const double *q, uint32_t pos,
			   double *out)
{
	uint32_t d = e->m->dim / e->m->heads, group = e->m->heads / e->m->kv_heads, h, p, i;
	uint32_t width = d * e->m->kv_heads;
	double s[8], sum;

	for (h = 0; h < e->m->heads; h++) {
		uint32_t at = h / group * d;

		for (p = 0, sum = 0; p <= pos; p++) {
			for (i = 0, s[p] = 0; i < d; i++)
				s[p] += q[h * d + i] * e->k[layer * 8 + p][at + i];
			sum += s[p] = exp(s[p] / sqrt(d));
		}
		for (i = 0; i < d; i++)
			for (p = 0, out[h * d + i] = 0; p <= pos; p++)
				out[h * d + i] += s[p] / sum * e->v[layer * 8 + p][at + i];
	}
	ck_assert_uint_le(width, 256);
}

static void eval_token(struct eval *e, uint32_t token, uint32_t pos, double *logits)
{
	double x[512], y[512], q[512], t[512], g[512], u[512];
	float row[512];
	char name[64];
	uint32_t l, i;

	ac_ggml_decode_row(ac_gguf_tensor(&e->gguf, "token_embd.weight"), token, row);
	for (i = 0; i < e->m->dim; i++)
		x[i] = (double)row[i];
#define NAME(what) (snprintf(name, sizeof(name), "blk.%u." what, l), name)
	for (l = 0; l < e->m->layers; l++) {
		eval_norm(e, NAME("attn_norm.weight"), x, y);
		eval_linear(e, NAME("attn_q"), y, q);
		eval_linear(e, NAME("attn_k"), y, e->k[l * 8 + pos]);
		eval_linear(e, NAME("attn_v"), y, e->v[l * 8 + pos]);
		eval_rope(e, q, e->m->heads, pos);
		eval_rope(e, e->k[l * 8 + pos], e->m->kv_heads, pos);
		eval_attention(e, l, q, pos, t);
		eval_linear(e, NAME("attn_output"), t, y);
		for (i = 0; i < e->m->dim; i++)
			x[i] += y[i];
		eval_norm(e, NAME("ffn_norm.weight"), x, y);
		eval_linear(e, NAME("ffn_gate"), y, g);
		eval_linear(e, NAME("ffn_up"), y, u);
		for (i = 0; i < e->m->ffn; i++)
			g[i] = g[i] / (1 + exp(-g[i])) * u[i];
		eval_linear(e, NAME("ffn_down"), g, y);
		for (i = 0; i < e->m->dim; i++)
			x[i] += y[i];
	}
#undef NAME
	eval_norm(e, "output_norm.weight", x, y);
	eval_linear(e, e->m->untied ? "output" : "token_embd", y, logits);
}

/* Every tensor type, bias, scale, factors of rotation, tied and not: what the file says. */
START_TEST(test_models_of_every_make)
{
	static const uint32_t types[] = { AC_GGML_F32, AC_GGML_F16, AC_GGML_BF16, AC_GGML_Q8_0,
					  AC_GGML_Q4_0, AC_GGML_MXFP4, AC_GGML_NVFP4 };
	struct gguf_llama m = {
		.dim = 64, .ffn = _i % 7 < 3 ? 100 : 128, .layers = 2, .heads = 4, .kv_heads = 2,
		.vocab = 70, .type = types[_i % 7], .head_type = AC_GGML_F16, .untied = _i & 1,
		.bias = _i & 2, .scales = _i & 4, .rope_freqs = _i & 1,
	};
	struct accel_compile_options o = {
		.struct_size = sizeof(o), .act_fmt = NIB_FMT_MXFP8X2, .head_fmt = NIB_FMT_MXFP8X2,
		.embd_fmt = _i & 2 ? NIB_FMT_F32 : NIB_FMT_MXFP8X2, .kv_fmt = NIB_FMT_F32,
		.max_rows = 8,
	};
	static const uint32_t tokens[6] = { 1, 69, 33, 7, 64, 2 };
	struct gguf_make make = { 0 };
	struct machine machine;
	struct eval *e = calloc(1, sizeof(*e));
	double want[70], err = 0, sum = 0;
	uint32_t pos, i;

	/* FP4 stays what it is; everything else in two terms. */
	if (types[_i % 7] != AC_GGML_MXFP4 && types[_i % 7] != AC_GGML_NVFP4)
		o.weight_fmt = NIB_FMT_MXFP8X2;
	gguf_llama(&make, &m);
	e->m = &m;
	ck_assert_msg(!ac_gguf_parse(&e->ctx, "made.gguf", make.data, make.bytes, &e->gguf), "%s",
		      e->ctx.error);
	machine_open(&machine, "made.gguf", make.data, make.bytes, &o);
	machine_step(&machine, tokens, 0, 6);
	for (pos = 0; pos < 6; pos++) {
		eval_token(e, tokens[pos], pos, want);
		for (i = 0; i < 70; i++) {
			err += pow((double)machine.logits[pos * 70 + i] - want[i], 2);
			sum += want[i] * want[i];
		}
	}
	ck_assert_msg(sum > 0 && err / sum < 1e-3, "type %s: squared error %.2e of %.2e",
		      ac_ggml_name(m.type), err, sum);
	machine_close(&machine);
	ac_free_all(&e->ctx);
	free(e);
	gguf_free(&make);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("compiler_model");
	TCase *tc = tcase_create("model");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, test_models_of_every_make, 0, 28);
	if (shared_have(STORIES) && shared_have(REFERENCE)) {
		tcase_add_loop_test(tc, test_divergence_of_formats, 0,
				    (int)(sizeof(formats) / sizeof(formats[0])));
		tcase_add_test(tc, test_greedy_decode_follows_upstream);
		tcase_add_test(tc, test_out_rows_are_picked_by_index);
	} else {
		puts("stories260K and its reference are not in ../shared/data (NIB_SHARED_DATA): skipped");
	}
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
