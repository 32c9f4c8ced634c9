// SPDX-License-Identifier: MIT
/*
 * Code generation: each node becomes one packet, or one for each group of weights that a GEMM can
 * take at once. Arguments of the stream are numbered as enum nib_bind.
 */
#include <math.h>
#include <stdio.h>
#include "accel_stream.h"
#include "ir.h"

#define VEC_CHUNK	2048u	/* elements of an element-wise program at a time */

/* Where a value lies: an argument plus an offset. */
struct place {
	uint32_t arg;
	uint64_t offset;
	uint64_t pitch;
};

static struct place place(const struct accel_compile *c, int v)
{
	uint32_t col;
	const struct ac_value *root = &c->values[ac_value_root(c, v, &col)];

	return (struct place){
		.arg = root->logits ? NIB_BIND_LOGITS : NIB_BIND_SCRATCH,
		.offset = (root->logits ? 0 : root->offset) + (uint64_t)col * 4,
		.pitch = root->pitch,
	};
}

static uint32_t rows_arg(const struct accel_compile *c, int v)
{
	return c->values[v].rows == AC_ROWS_OUT ? NIB_BIND_OUT_ROWS : NIB_BIND_ROWS;
}

static const char *rows_name(const struct accel_compile *c, int v)
{
	return c->values[v].rows == AC_ROWS_OUT ? "out" : "rows";
}

/* Remember what was emitted; shape as printf text. */
__attribute__((format(printf, 6, 7)))
static int emitted(struct accel_compile *c, const struct accel_builder *b, int index,
		   const char *name, uint64_t weight_bytes, const char *fmt, ...)
{
	char text[96];
	va_list args;

	if (index < 0)
		return ac_fail(&c->ctx, -index, "%s: %s: the packet is refused: %s", c->gguf.name,
			       name, accel_builder_error(b));
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	c->packets[index].name = name;
	c->packets[index].weight_bytes = weight_bytes;
	c->packets[index].shape = ac_strndup(&c->ctx, text, strlen(text));
	c->n_packets = (uint32_t)index + 1;
	return c->packets[index].shape ? 0 : -ENOMEM;
}

#define PACKET(type, opcode) \
	struct type pkt = { .hdr = { .op = opcode, .words = sizeof(struct type) / 8 } }

static int emit_embed(struct accel_compile *c, struct accel_builder *b, const struct ac_node *node)
{
	const struct ac_weight *w = &c->weights[node->weight[0]];
	struct place dst = place(c, node->out);
	bool panels = w->kind == AC_WEIGHT_PANELS;
	PACKET(nib_pkt_gather, NIB_OP_GATHER);

	accel_arg(&pkt, rows, NIB_BIND_ROWS, 0);
	accel_arg(&pkt, index, NIB_BIND_TOKENS, 0);
	accel_arg(&pkt, table, NIB_BIND_WEIGHTS, (int64_t)w->offset);
	pkt.table_rows = c->model.vocab;
	pkt.table_pitch = panels ? 0 : nib_row_bytes(w->fmt, w->k);
	accel_arg(&pkt, dst, dst.arg, (int64_t)dst.offset);
	pkt.dst_pitch = dst.pitch;
	pkt.width = w->k;
	pkt.fmt = (uint16_t)w->fmt;
	pkt.layout = panels ? NIB_LAYOUT_PANELS : NIB_LAYOUT_ROWS;
	pkt.alpha = ac_bits(w->parts[0].alpha);
	return emitted(c, b, accel_builder_add(b, &pkt), node->name, 0, "rows of %u %s", w->k,
		       accel_format_name(w->fmt));
}

static int emit_select(struct accel_compile *c, struct accel_builder *b, const struct ac_node *node)
{
	struct place src = place(c, node->in[0]), dst = place(c, node->out);
	PACKET(nib_pkt_gather, NIB_OP_GATHER);

	accel_arg(&pkt, rows, NIB_BIND_OUT_ROWS, 0);
	accel_arg(&pkt, index, NIB_BIND_OUT_INDEX, 0);
	accel_arg(&pkt, table, src.arg, (int64_t)src.offset);
	pkt.table_rows = c->options.max_rows;
	pkt.table_pitch = src.pitch;
	accel_arg(&pkt, dst, dst.arg, (int64_t)dst.offset);
	pkt.dst_pitch = dst.pitch;
	pkt.width = c->values[node->out].width;
	pkt.fmt = NIB_FMT_F32;
	pkt.layout = NIB_LAYOUT_ROWS;
	pkt.alpha = ac_bits(1.0f);
	return emitted(c, b, accel_builder_add(b, &pkt), node->name, 0, "out of %u", pkt.width);
}

static int emit_quant(struct accel_compile *c, struct accel_builder *b, const struct ac_node *node)
{
	struct place src = place(c, node->in[0]), dst = place(c, node->out);
	const struct ac_value *v = &c->values[node->out];
	PACKET(nib_pkt_quant, NIB_OP_QUANT);

	accel_arg(&pkt, rows, rows_arg(c, node->out), 0);
	accel_arg(&pkt, src, src.arg, (int64_t)src.offset);
	pkt.src_pitch = src.pitch;
	accel_arg(&pkt, dst, dst.arg, (int64_t)dst.offset);
	pkt.dst_pitch = dst.pitch;
	pkt.width = v->width;
	pkt.fmt = (uint16_t)v->fmt;
	pkt.rule = (uint16_t)(c->options.act_rule - 1);
	return emitted(c, b, accel_builder_add(b, &pkt), node->name, 0, "%s of %u to %s",
		       rows_name(c, node->out), v->width, accel_format_name(v->fmt));
}

static int emit_linear(struct accel_compile *c, struct accel_builder *b,
		       const struct ac_node *node)
{
	struct place a = place(c, node->in[0]), out = place(c, node->out), residual;
	uint32_t g, col = 0;
	int err = 0;

	for (g = 0; g < node->n_groups && !err; g++) {
		const struct ac_weight *w = &c->weights[node->weight[g]];
		PACKET(nib_pkt_gemm, NIB_OP_GEMM);

		accel_arg(&pkt, rows, rows_arg(c, node->out), 0);
		accel_arg(&pkt, a, a.arg, (int64_t)a.offset);
		pkt.a_pitch = a.pitch;
		accel_arg(&pkt, w, NIB_BIND_WEIGHTS, (int64_t)w->offset);
		accel_arg(&pkt, out, out.arg, (int64_t)(out.offset + (uint64_t)col * 4));
		pkt.out_pitch = out.pitch;
		if (node->bias[g] >= 0) {
			pkt.flags |= NIB_GEMM_BIAS;
			accel_arg(&pkt, bias, NIB_BIND_WEIGHTS,
				  (int64_t)c->weights[node->bias[g]].offset);
		}
		if (node->in[1] >= 0) {
			residual = place(c, node->in[1]);
			pkt.flags |= NIB_GEMM_RESIDUAL;
			accel_arg(&pkt, residual, residual.arg, (int64_t)residual.offset);
			pkt.residual_pitch = residual.pitch;
		}
		pkt.n = w->n;
		pkt.k = w->k;
		pkt.a_fmt = (uint16_t)c->values[node->in[0]].fmt;
		pkt.w_fmt = (uint16_t)w->fmt;
		pkt.out_fmt = NIB_FMT_F32;
		pkt.alpha = ac_bits(w->parts[0].alpha);
		err = emitted(c, b, accel_builder_add(b, &pkt), w->name, w->bytes,
			      "%s x %u -> %u, %s x %s", rows_name(c, node->out), w->k, w->n,
			      accel_format_name(pkt.a_fmt), accel_format_name(w->fmt));
		col += w->n;
	}
	return err;
}

static int emit_append(struct accel_compile *c, struct accel_builder *b,
		       const struct ac_node *node)
{
	struct place src = place(c, node->in[0]);
	PACKET(nib_pkt_kv_append, NIB_OP_KV_APPEND);

	accel_arg(&pkt, rows, NIB_BIND_ROWS, 0);
	accel_arg(&pkt, src, src.arg, (int64_t)src.offset);
	pkt.src_pitch = src.pitch;
	accel_arg(&pkt, row_table, NIB_BIND_ROW_TABLE, 0);
	accel_arg(&pkt, blocks, NIB_BIND_BLOCKS, 0);
	accel_arg(&pkt, block_stride, NIB_BIND_BLOCK_STRIDE, 0);
	pkt.offset = (node->layer * 2ull + node->is_v) * c->options.page_tokens * c->k_row_bytes;
	pkt.width = c->values[node->in[0]].width;
	pkt.fmt = (uint16_t)c->options.kv_fmt;
	pkt.rule = (uint16_t)(c->options.act_rule - 1);
	pkt.page_tokens = c->options.page_tokens;
	return emitted(c, b, accel_builder_add(b, &pkt), node->name, 0, "rows of %u to %s", pkt.width,
		       accel_format_name(pkt.fmt));
}

static int emit_attention(struct accel_compile *c, struct accel_builder *b,
			  const struct ac_node *node)
{
	struct place q = place(c, node->in[0]), out = place(c, node->out);
	const struct ac_model *m = &c->model;
	PACKET(nib_pkt_attention, NIB_OP_ATTENTION);

	accel_arg(&pkt, rows, NIB_BIND_ROWS, 0);
	accel_arg(&pkt, q, q.arg, (int64_t)q.offset);
	pkt.q_pitch = q.pitch;
	accel_arg(&pkt, out, out.arg, (int64_t)out.offset);
	pkt.out_pitch = out.pitch;
	accel_arg(&pkt, row_table, NIB_BIND_ROW_TABLE, 0);
	accel_arg(&pkt, blocks, NIB_BIND_BLOCKS, 0);
	accel_arg(&pkt, block_stride, NIB_BIND_BLOCK_STRIDE, 0);
	pkt.k_offset = node->layer * 2ull * c->options.page_tokens * c->k_row_bytes;
	pkt.v_offset = pkt.k_offset + c->options.page_tokens * c->k_row_bytes;
	pkt.n_heads = (uint16_t)m->heads;
	pkt.n_kv_heads = (uint16_t)m->kv_heads;
	pkt.head_dim = (uint16_t)m->head_dim;
	pkt.page_tokens = (uint16_t)c->options.page_tokens;
	pkt.k_fmt = pkt.v_fmt = (uint16_t)c->options.kv_fmt;
	pkt.scale = ac_bits((float)(1.0 / sqrt((double)m->head_dim)));
	return emitted(c, b, accel_builder_add(b, &pkt), node->name, 0, "rows, %u/%u heads of %u, %s",
		       m->heads, m->kv_heads, m->head_dim, accel_format_name(pkt.k_fmt));
}

static int emit_sample(struct accel_compile *c, struct accel_builder *b,
		       const struct ac_node *node)
{
	struct place logits = place(c, node->in[0]);
	PACKET(nib_pkt_sample, NIB_OP_SAMPLE);

	accel_arg(&pkt, rows, NIB_BIND_SAMPLE_ROWS, 0);
	accel_arg(&pkt, logits, logits.arg, (int64_t)logits.offset);
	pkt.logits_pitch = logits.pitch;
	accel_arg(&pkt, params, NIB_BIND_SAMPLE_PARAMS, 0);
	accel_arg(&pkt, out, NIB_BIND_SAMPLE_OUT, 0);
	pkt.n = c->model.vocab;
	return emitted(c, b, accel_builder_add(b, &pkt), node->name, 0, "rows of %u", pkt.n);
}

/* --- Vector programs --- */

static int finish_vec(struct accel_compile *c, struct accel_builder *b, const struct ac_node *node,
		      struct accel_vec *vec, uint32_t d1)
{
	accel_arg(&vec->pkt, d0, rows_arg(c, node->out), 0);
	vec->pkt.d1 = d1;
	return emitted(c, b, accel_builder_add_vec(b, vec), node->name, 0, "%s x %u of %u",
		       rows_name(c, node->out), d1, vec->pkt.n);
}

static int operand(struct accel_compile *c, struct accel_vec *vec, int v, uint64_t skip,
		   int32_t stride1, int32_t stride_n)
{
	struct place at = place(c, v);

	return accel_vec_operand(vec, (int)at.arg, at.offset + skip, (int32_t)at.pitch, stride1,
				 c->values[v].fmt, stride_n);
}

static int constant(struct accel_compile *c, struct accel_vec *vec, int weight)
{
	return accel_vec_operand(vec, NIB_BIND_WEIGHTS, c->weights[weight].offset, 0, 0,
				 NIB_FMT_F32, 1);
}

/* x / sqrt(mean(x^2) + eps) * gain */
static int emit_norm(struct accel_compile *c, struct accel_builder *b, const struct ac_node *node)
{
	uint32_t n = c->values[node->in[0]].width;
	struct accel_vec vec;
	int x, gain, out;

	accel_vec_init(&vec, n);
	x = operand(c, &vec, node->in[0], 0, 0, 1);
	gain = constant(c, &vec, node->weight[0]);
	out = operand(c, &vec, node->out, 0, 0, 1);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 0, (unsigned int)x, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_MUL, 1, 0, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_RSUM, 1, 1, 0, 0);
	accel_vec_insn_f(&vec, NIB_VEC_MULI, 1, 1, (float)(1.0 / n));
	accel_vec_insn_f(&vec, NIB_VEC_ADDI, 1, 1, c->model.eps);
	accel_vec_insn(&vec, NIB_VEC_RSQRT, 1, 1, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_MUL, 0, 0, 1, 0);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 1, (unsigned int)gain, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_MUL, 0, 0, 1, 0);
	accel_vec_insn(&vec, NIB_VEC_STORE, (unsigned int)out, 0, 0, 0);
	return finish_vec(c, b, node, &vec, 1);
}

/* cos and sin of position * frequency, once a step for all layers and heads */
static int emit_rope_table(struct accel_compile *c, struct accel_builder *b,
			   const struct ac_node *node)
{
	uint32_t n = c->model.rot / 2;
	struct accel_vec vec;
	int pos, freq, cosine, sine;

	accel_vec_init(&vec, n);
	pos = accel_vec_operand(&vec, NIB_BIND_ROW_TABLE, offsetof(struct nib_kv_row, pos),
				sizeof(struct nib_kv_row), 0, NIB_FMT_U32, 0);
	freq = constant(c, &vec, node->weight[0]);
	cosine = operand(c, &vec, node->out, 0, 0, 1);
	sine = operand(c, &vec, node->out, n * 4ull, 0, 1);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 0, (unsigned int)pos, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 1, (unsigned int)freq, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_MUL, 0, 0, 1, 0);
	accel_vec_insn(&vec, NIB_VEC_COS, 1, 0, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_STORE, (unsigned int)cosine, 1, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_SIN, 1, 0, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_STORE, (unsigned int)sine, 1, 0, 0);
	return finish_vec(c, b, node, &vec, 1);
}

/* Pairs (2i, 2i + 1) of each head turn by their angle. */
static int emit_rope(struct accel_compile *c, struct accel_builder *b, const struct ac_node *node)
{
	uint32_t n = c->model.rot / 2;
	int32_t head = (int32_t)c->model.head_dim * 4;
	struct accel_vec vec;
	unsigned int even, odd, cosine, sine;

	accel_vec_init(&vec, n);
	even = (unsigned int)operand(c, &vec, node->out, 0, head, 2);
	odd = (unsigned int)operand(c, &vec, node->out, 4, head, 2);
	cosine = (unsigned int)operand(c, &vec, node->in[1], 0, 0, 1);
	sine = (unsigned int)operand(c, &vec, node->in[1], n * 4ull, 0, 1);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 0, even, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 1, odd, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 2, cosine, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 3, sine, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_MUL, 4, 1, 3, 0);
	accel_vec_insn(&vec, NIB_VEC_NEG, 4, 4, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_FMA, 4, 0, 2, 4);
	accel_vec_insn(&vec, NIB_VEC_MUL, 5, 0, 3, 0);
	accel_vec_insn(&vec, NIB_VEC_FMA, 5, 1, 2, 5);
	accel_vec_insn(&vec, NIB_VEC_STORE, even, 4, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_STORE, odd, 5, 0, 0);
	return finish_vec(c, b, node, &vec, node->heads);
}

/* Largest divisor of n that is at most VEC_CHUNK; n itself where that would be small. */
static uint32_t chunk_of(uint32_t n)
{
	uint32_t d;

	for (d = n < VEC_CHUNK ? n : VEC_CHUNK; d >= 128; d--)
		if (n % d == 0)
			return d;
	return n;
}

/* silu(gate) * up */
static int emit_gated(struct accel_compile *c, struct accel_builder *b, const struct ac_node *node)
{
	uint32_t width = c->values[node->out].width, n = chunk_of(width);
	uint32_t out_bytes = nib_format_bits(c->values[node->out].fmt) / 8;
	struct accel_vec vec;
	unsigned int gate, up, out;

	accel_vec_init(&vec, n);
	gate = (unsigned int)operand(c, &vec, node->in[0], 0, (int32_t)n * 4, 1);
	up = (unsigned int)operand(c, &vec, node->in[1], 0, (int32_t)n * 4, 1);
	out = (unsigned int)operand(c, &vec, node->out, 0, (int32_t)(n * out_bytes), 1);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 0, gate, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_SIGMOID, 1, 0, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_MUL, 0, 0, 1, 0);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 1, up, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_MUL, 0, 0, 1, 0);
	accel_vec_insn(&vec, NIB_VEC_STORE, out, 0, 0, 0);
	return finish_vec(c, b, node, &vec, width / n);
}

/* What fusion left: a residual that no epilogue could take. */
static int emit_add(struct accel_compile *c, struct accel_builder *b, const struct ac_node *node)
{
	uint32_t width = c->values[node->out].width;
	struct accel_vec vec;

	accel_vec_init(&vec, width);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 0, (unsigned int)operand(c, &vec, node->in[0], 0, 0, 1),
		       0, 0);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 1, (unsigned int)operand(c, &vec, node->in[1], 0, 0, 1),
		       0, 0);
	accel_vec_insn(&vec, NIB_VEC_ADD, 0, 0, 1, 0);
	accel_vec_insn(&vec, NIB_VEC_STORE, (unsigned int)operand(c, &vec, node->out, 0, 0, 1), 0,
		       0, 0);
	return finish_vec(c, b, node, &vec, 1);
}

static int emit(struct accel_compile *c, struct accel_builder *b, const struct ac_node *node)
{
	static int (*const table[])(struct accel_compile *c, struct accel_builder *b,
				    const struct ac_node *node) = {
		[AC_OP_EMBED] = emit_embed,		[AC_OP_ROPE_TABLE] = emit_rope_table,
		[AC_OP_NORM] = emit_norm,		[AC_OP_QUANT] = emit_quant,
		[AC_OP_LINEAR] = emit_linear,		[AC_OP_ROPE] = emit_rope,
		[AC_OP_KV_APPEND] = emit_append,	[AC_OP_ATTENTION] = emit_attention,
		[AC_OP_GATED] = emit_gated,		[AC_OP_ADD] = emit_add,
		[AC_OP_SELECT] = emit_select,		[AC_OP_SAMPLE] = emit_sample,
	};

	return table[node->op](c, b, node);
}

/* The builder validates; its stream is copied into the compilation's memory. */
static int finish(struct accel_compile *c, struct accel_builder *b)
{
	const uint64_t *data;
	uint64_t *copy;
	size_t bytes, at, i;
	int err = accel_builder_finish(b, &data, &bytes, &c->nargs);

	if (err)
		return ac_fail(&c->ctx, -err, "%s: stream: %s", c->gguf.name,
			       accel_builder_error(b));
	copy = ac_alloc(&c->ctx, bytes, 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, bytes);
	c->stream = copy;
	c->stream_bytes = bytes;
	for (at = 0, i = 0; at < bytes / 8 && i < c->n_packets; i++) {
		c->packets[i].word = (uint32_t)at;
		at += copy[at] >> 16 & 0xffff;
	}
	return 0;
}

int ac_pass_code(struct accel_compile *c)
{
	struct accel_builder *b;
	int i, err;

	c->packets = ac_alloc(&c->ctx, (size_t)c->n_nodes * AC_MAX_PARTS, sizeof(*c->packets));
	if (!c->packets)
		return -ENOMEM;
	err = accel_builder_create(&b);
	if (err)
		return ac_fail(&c->ctx, -err, "stream builder: %s", strerror(-err));
	for (i = 0; i < c->n_nodes && !err; i++)
		if (!c->nodes[i].dead)
			err = emit(c, b, &c->nodes[i]);
	if (!err)
		err = finish(c, b);
	accel_builder_destroy(b);
	return err;
}
