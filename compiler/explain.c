// SPDX-License-Identifier: MIT
/*
 * What a program does and what it is predicted to cost, as a table or as JSON. Reads a compilation,
 * changes nothing.
 */
#include <jansson.h>
#include <stdlib.h>
#include "accel_stream.h"
#include "cost.h"
#include "program.h"

struct writer {
	void (*emit)(void *user, const char *text);
	void *user;
};

__attribute__((format(printf, 2, 3)))
static void say(const struct writer *w, const char *fmt, ...)
{
	struct ac_text text = { 0 };
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	ac_text_add(&text, "%s", line);
	if (!text.failed)
		w->emit(w->user, text.data);
	ac_text_free(&text);
}

static const char *packet_op(uint64_t word)
{
	const char *name = accel_op_name(word & 0xffff);

	return name ? name : "?";
}

static const char *bound_name(enum ac_bound bound)
{
	static const char *const names[] = { "tensor", "vector", "memory", "-" };

	return names[bound];
}

/* "1.23 MB" */
static const char *human(double bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	int u = 0;

	while (bytes >= 1000 && u < 4) {
		bytes /= 1000;
		u++;
	}
	snprintf(buf, size, u ? "%.2f %s" : "%.0f %s", bytes, units[u]);
	return buf;
}

static void table(const struct accel_compile *c, const struct writer *w)
{
	struct ac_cost decode, prefill;
	char weights[32];
	uint32_t i;

	say(w, "%5s  %-26s %-10s %-38s %10s %12s %-7s %12s %-7s\n", "#", "name", "packet", "shape",
	    "weights", "decode cyc", "bound", "prefill cyc", "bound");
	for (i = 0; i < c->n_packets; i++) {
		const struct ac_packet *p = &c->packets[i];

		decode = ac_cost_packet(c, c->stream + p->word, AC_CASE_DECODE);
		prefill = ac_cost_packet(c, c->stream + p->word, AC_CASE_PREFILL);
		weights[0] = 0;
		if (p->weight_bytes)
			human((double)p->weight_bytes, weights, sizeof(weights));
		say(w, "%5u  %-26s %-10s %-38s %10s %12llu %-7s %12llu %-7s\n", i, p->name,
		    packet_op(c->stream[p->word]), p->shape, weights,
		    (unsigned long long)decode.cycles, bound_name(decode.bound),
		    (unsigned long long)prefill.cycles, bound_name(prefill.bound));
	}
	say(w, "\n");
}

static void say_case(const struct accel_compile *c, const struct writer *w, enum ac_case which)
{
	struct ac_totals t = ac_cost_total(c, which);
	char what[64], bytes[32];

	if (which == AC_CASE_DECODE)
		snprintf(what, sizeof(what), "decode, position %u", ac_decode_position(c));
	else
		snprintf(what, sizeof(what), "prefill, %u rows",
			 c->options.max_rows < c->model.context ? c->options.max_rows :
			 c->model.context);
	say(w,
	    "%-22s %12llu cycles  %10s  %8.3f Gop  %10.1f tok/s predicted, %.1f if only bandwidth counted\n",
	    what, (unsigned long long)t.cycles, human(t.bytes, bytes, sizeof(bytes)), t.ops / 1e9,
	    t.tokens_per_s, t.memory_bound_per_s);
}

static void summary(const struct accel_compile *c, const struct writer *w)
{
	const struct ac_model *m = &c->model;
	char a[32], b[32], d[32], e[32];

	say(w,
	    "model    %s (%s), %.1f M parameters, %u layers, width %u, %u/%u heads of %u, ffn %u, vocabulary %u%s\n",
	    m->name[0] ? m->name : "without a name", m->arch, (double)m->params / 1e6, m->layers,
	    m->dim, m->heads, m->kv_heads, m->head_dim, m->ffn, m->vocab,
	    m->tied ? ", embedding and head are one" : "");
	say(w, "formats  weights %s, activations %s, K/V %s\n",
	    accel_format_name(ac_main_format(c)), accel_format_name(c->options.act_fmt),
	    accel_format_name(c->options.kv_fmt));
	say(w,
	    "memory   weights %s (file %s), scratch %s for %u rows (%u with logits), K/V page %s for %u positions\n",
	    human((double)c->weights_bytes, a, sizeof(a)),
	    human((double)c->gguf.bytes, b, sizeof(b)),
	    human((double)c->scratch_bytes, d, sizeof(d)), c->options.max_rows,
	    c->options.max_out_rows, human((double)c->page_bytes, e, sizeof(e)),
	    c->options.page_tokens);
	say(w, "stream   %u packets, %llu bytes, %u arguments\n", c->n_packets,
	    (unsigned long long)c->stream_bytes, c->nargs);
	say(w,
	    "chip     %s: HBM %s at %.1f GB/s, %.0f MHz, %.2f / %.2f / %.2f TOPS (fp4 / fp8 / bf16); all predicted, HBM only\n",
	    c->chip.name, human((double)c->chip.hbm_bytes, a, sizeof(a)),
	    c->chip.hbm_bytes_per_s / 1e9, c->chip.clock_hz / 1e6,
	    c->chip.ops_per_cycle[AC_UNIT_FP4] * c->chip.tiles * c->chip.clock_hz / 1e12,
	    c->chip.ops_per_cycle[AC_UNIT_FP8] * c->chip.tiles * c->chip.clock_hz / 1e12,
	    c->chip.ops_per_cycle[AC_UNIT_BF16] * c->chip.tiles * c->chip.clock_hz / 1e12);
	say_case(c, w, AC_CASE_DECODE);
	say_case(c, w, AC_CASE_PREFILL);
}

static json_t *json_cost(struct ac_cost cost)
{
	return json_pack("{s:I, s:f, s:f, s:s}", "cycles", (json_int_t)cost.cycles, "ops", cost.ops,
			 "bytes", cost.bytes, "bound", bound_name(cost.bound));
}

static json_t *json_total(struct ac_totals t)
{
	return json_pack("{s:I, s:f, s:f, s:f, s:f}", "cycles", (json_int_t)t.cycles, "ops", t.ops,
			 "bytes", t.bytes, "tokens_per_s", t.tokens_per_s,
			 "memory_bound_tokens_per_s", t.memory_bound_per_s);
}

static json_t *json_ops(const struct accel_compile *c)
{
	json_t *ops = json_array();
	uint32_t i;

	for (i = 0; ops && i < c->n_packets; i++) {
		const struct ac_packet *p = &c->packets[i];
		const uint64_t *w = c->stream + p->word;

		json_array_append_new(
			ops, json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "name", p->name, "packet",
				       packet_op(w[0]), "shape", p->shape, "weight_bytes",
				       (json_int_t)p->weight_bytes, "decode",
				       json_cost(ac_cost_packet(c, w, AC_CASE_DECODE)), "prefill",
				       json_cost(ac_cost_packet(c, w, AC_CASE_PREFILL))));
	}
	return ops;
}

/* JSON text must be UTF-8; a model's name need not be. */
static json_t *json_text(const char *text)
{
	json_t *string = json_string(text);

	return string ? string : json_string("?");
}

static int explain_json(const struct accel_compile *c, const struct writer *w, bool ops)
{
	const struct ac_model *m = &c->model;
	json_t *root = json_pack(
		"{s:o, s:s, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:I, s:i}", "model",
		json_text(m->name), "arch", m->arch, "params", (json_int_t)m->params,
		"weights_bytes", (json_int_t)c->weights_bytes, "scratch_bytes",
		(json_int_t)c->scratch_bytes, "page_bytes", (json_int_t)c->page_bytes, "max_rows",
		(int)c->options.max_rows, "max_out_rows", (int)c->options.max_out_rows,
		"page_tokens", (int)c->options.page_tokens, "stream_bytes",
		(json_int_t)c->stream_bytes, "packets", (int)c->n_packets);
	char *text;

	if (!root)
		return -ENOMEM;
	json_object_set_new(root, "weight_format",
			    json_string(accel_format_name(ac_main_format(c))));
	json_object_set_new(root, "act_format", json_string(accel_format_name(c->options.act_fmt)));
	json_object_set_new(root, "kv_format", json_string(accel_format_name(c->options.kv_fmt)));
	json_object_set_new(root, "chip", json_text(c->chip.name));
	json_object_set_new(root, "decode_position", json_integer(ac_decode_position(c)));
	json_object_set_new(root, "decode", json_total(ac_cost_total(c, AC_CASE_DECODE)));
	json_object_set_new(root, "prefill", json_total(ac_cost_total(c, AC_CASE_PREFILL)));
	if (ops)
		json_object_set_new(root, "operations", json_ops(c));
	text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	if (!text)
		return -ENOMEM;
	w->emit(w->user, text);
	w->emit(w->user, "\n");
	free(text);
	return 0;
}

int accel_compile_explain(struct accel_compile *c, uint32_t flags,
			  void (*emit)(void *user, const char *text), void *user)
{
	struct writer w = { emit, user };

	ac_begin(&c->ctx);
	if (!c->loaded)
		return ac_fail(&c->ctx, EINVAL, "nothing was compiled");
	if (flags & ACCEL_EXPLAIN_JSON)
		return explain_json(c, &w, flags & ACCEL_EXPLAIN_OPS);
	if (flags & ACCEL_EXPLAIN_OPS)
		table(c, &w);
	summary(c, &w);
	return 0;
}
