// SPDX-License-Identifier: MIT
/*
 * The llama architecture as a graph: one node per operation, nothing merged yet. Every tensor is
 * looked up by name and its shape checked; a tensor that has no place in the graph is an error,
 * because leaving it out would change what the model says.
 */
#include <stdio.h>
#include "import.h"

struct import {
	struct accel_compile *c;
	uint8_t *used;		/* by tensor */
	uint32_t layer;
	int rope;		/* value of the rotary table */
	int x;			/* residual stream */
	enum ac_rows rows;
};

/* A tensor of n rows of k elements (n 0: a vector of k), or NULL where it is optional. */
static int get_tensor(struct import *im, const char *name, uint64_t n, uint64_t k, bool required,
		      const struct ac_gguf_tensor **out)
{
	struct ac_gguf *g = &im->c->gguf;
	const struct ac_gguf_tensor *t = ac_gguf_tensor(g, name);

	*out = t;
	if (!t)
		return required ? ac_fail(g->ctx, EINVAL, "%s: tensor %s: missing", g->name, name)
				: 0;
	im->used[t - g->tensors] = 1;
	if (!ac_ggml_decodes(t->type))
		return ac_fail(
			g->ctx, ENOTSUP,
			"%s: tensor %s: type %s is not supported (F32, F16, BF16, Q8_0, Q4_0, MXFP4, NVFP4 are)",
			g->name, name, ac_ggml_name(t->type));
	if (t->ne[0] != k || t->rows != (n ? n : 1) || (n && t->ne[1] != n))
		return ac_fail(g->ctx, EINVAL,
			       "%s: tensor %s: shape %llu x %llu, must be %llu x %llu", g->name,
			       name, (unsigned long long)t->ne[0], (unsigned long long)t->rows,
			       (unsigned long long)k, (unsigned long long)(n ? n : 1));
	im->c->model.params += t->rows * t->ne[0];
	return 0;
}

/* "blk.<layer>.<name>.<what>", or without the block where @layer is negative. */
static const char *tensor_name(struct import *im, const char *name, const char *what, char *buf,
			       size_t size)
{
	if (im->layer == UINT32_MAX)
		snprintf(buf, size, "%s.%s", name, what);
	else
		snprintf(buf, size, "blk.%u.%s.%s", im->layer, name, what);
	return buf;
}

/* Weight, optional bias and optional scale of a linear layer. */
static int get_part(struct import *im, const char *name, uint32_t n, uint32_t k,
		    struct ac_part *part)
{
	const struct ac_gguf_tensor *scale;
	char buf[128];
	int err;

	*part = (struct ac_part){ .n = n, .global = 1, .alpha = 1 };
	err = get_tensor(im, tensor_name(im, name, "weight", buf, sizeof(buf)), n, k, true,
			 &part->w);
	if (!err)
		err = get_tensor(im, tensor_name(im, name, "bias", buf, sizeof(buf)), 0, n, false,
				 &part->bias);
	if (!err)
		err = get_tensor(im, tensor_name(im, name, "scale", buf, sizeof(buf)), 0, 1, false,
				 &scale);
	if (err || !scale)
		return err;
	ac_ggml_decode_row(scale, 0, &part->alpha);
	if ((ac_bits(part->alpha) & 0x7f800000) == 0x7f800000)
		return ac_fail(&im->c->ctx, EINVAL, "%s: tensor %s: not a finite number",
			       im->c->gguf.name, buf);
	return 0;
}

static struct ac_node *add_node(struct import *im, enum ac_op op, int in0, int in1, int out,
				const char *name)
{
	struct ac_node *node;

	if (im->layer == UINT32_MAX)
		node = ac_node_new(im->c, op, in0, in1, out, "%s", name);
	else
		node = ac_node_new(im->c, op, in0, in1, out, "blk.%u.%s", im->layer, name);
	if (node)
		node->layer = im->layer;
	return node;
}

/* A node with a new FP32 value; returns the value. */
static int add(struct import *im, enum ac_op op, int in0, int in1, uint32_t width,
	       const char *name, struct ac_node **out)
{
	int v = ac_value_new(im->c, name, NIB_FMT_F32, im->rows, width);

	if (v < 0)
		return v;
	*out = add_node(im, op, in0, in1, v, name);
	return *out ? v : -ENOMEM;
}

static int add_norm(struct import *im, int in, const char *name)
{
	uint32_t dim = im->c->model.dim;
	struct ac_node *node;
	char buf[128];
	int v = add(im, AC_OP_NORM, in, -1, dim, name, &node), err;

	if (v < 0)
		return v;
	err = get_tensor(im, tensor_name(im, name, "weight", buf, sizeof(buf)), 0, dim, true,
			 &node->gain);
	return err ? err : v;
}

static int add_linear(struct import *im, int in, const char *name, uint32_t n, uint32_t k)
{
	struct ac_node *node;
	int v = add(im, AC_OP_LINEAR, in, -1, n, name, &node), err;

	if (v < 0)
		return v;
	node->k = k;
	node->n_parts = 1;
	err = get_part(im, name, n, k, &node->parts[0]);
	return err ? err : v;
}

/* Rotation happens in place: what is past the rotary dimensions stays. */
static int add_rope(struct import *im, int in, uint32_t heads, const char *name)
{
	struct ac_node *node;
	int v = add(im, AC_OP_ROPE, in, im->rope, heads * im->c->model.head_dim, name, &node);

	if (v < 0)
		return v;
	im->c->values[v].base = in;
	node->heads = heads;
	return v;
}

static int add_append(struct import *im, int in, bool is_v)
{
	struct ac_node *node =
		add_node(im, AC_OP_KV_APPEND, in, -1, -1, is_v ? "v_append" : "k_append");

	if (!node)
		return -ENOMEM;
	node->is_v = is_v;
	return 0;
}

/* From here on only rows that give logits matter: all keys and values are in their pages. */
static int add_select(struct import *im, int *attn)
{
	struct ac_model *m = &im->c->model;
	struct ac_node *node;

	im->rows = AC_ROWS_OUT;
	*attn = add(im, AC_OP_SELECT, *attn, -1, m->heads * m->head_dim, "select_attn", &node);
	if (*attn < 0)
		return *attn;
	im->x = add(im, AC_OP_SELECT, im->x, -1, m->dim, "select_residual", &node);
	return im->x < 0 ? im->x : 0;
}

static int import_attention(struct import *im)
{
	struct ac_model *m = &im->c->model;
	uint32_t q_width = m->heads * m->head_dim, kv_width = m->kv_heads * m->head_dim;
	int norm = add_norm(im, im->x, "attn_norm"), q, k, v, attn, err;
	struct ac_node *node;

	if (norm < 0)
		return norm;
	q = add_linear(im, norm, "attn_q", q_width, m->dim);
	k = q < 0 ? q : add_linear(im, norm, "attn_k", kv_width, m->dim);
	v = k < 0 ? k : add_linear(im, norm, "attn_v", kv_width, m->dim);
	q = v < 0 ? v : add_rope(im, q, m->heads, "rope_q");
	k = q < 0 ? q : add_rope(im, k, m->kv_heads, "rope_k");
	if (k < 0)
		return k;
	err = add_append(im, k, false);
	if (!err)
		err = add_append(im, v, true);
	if (err)
		return err;
	attn = add(im, AC_OP_ATTENTION, q, -1, q_width, "attention", &node);
	if (attn >= 0 && im->layer == m->layers - 1)
		err = add_select(im, &attn);
	if (err || attn < 0)
		return err ? err : attn;
	attn = add_linear(im, attn, "attn_output", m->dim, q_width);
	if (attn < 0)
		return attn;
	im->x = add(im, AC_OP_ADD, im->x, attn, m->dim, "attn_residual", &node);
	return im->x < 0 ? im->x : 0;
}

static int import_ffn(struct import *im)
{
	struct ac_model *m = &im->c->model;
	int norm = add_norm(im, im->x, "ffn_norm"), gate, up, down;
	struct ac_node *node;

	if (norm < 0)
		return norm;
	gate = add_linear(im, norm, "ffn_gate", m->ffn, m->dim);
	up = gate < 0 ? gate : add_linear(im, norm, "ffn_up", m->ffn, m->dim);
	gate = up < 0 ? up : add(im, AC_OP_GATED, gate, up, m->ffn, "ffn_act", &node);
	down = gate < 0 ? gate : add_linear(im, gate, "ffn_down", m->dim, m->ffn);
	if (down < 0)
		return down;
	im->x = add(im, AC_OP_ADD, im->x, down, m->dim, "ffn_residual", &node);
	return im->x < 0 ? im->x : 0;
}

/* The embedding's own shape says how large the vocabulary is. */
static int import_embedding(struct import *im)
{
	struct ac_gguf *g = &im->c->gguf;
	struct ac_model *m = &im->c->model;
	const struct ac_gguf_tensor *t = ac_gguf_tensor(g, "token_embd.weight");
	struct ac_node *node;

	if (!t)
		return ac_fail(g->ctx, EINVAL, "%s: tensor token_embd.weight: missing", g->name);
	if (t->rows > NIB_VEC_MAX_N)
		return ac_fail(g->ctx, ENOTSUP,
			       "%s: tensor token_embd.weight: %llu tokens, limit %u", g->name,
			       (unsigned long long)t->rows, NIB_VEC_MAX_N);
	m->vocab = (uint32_t)t->rows;
	im->x = add(im, AC_OP_EMBED, -1, -1, m->dim, "token_embd", &node);
	if (im->x < 0)
		return im->x;
	node->k = m->dim;
	node->n_parts = 1;
	return get_part(im, "token_embd", m->vocab, m->dim, &node->parts[0]);
}

static bool same_data(const struct ac_gguf_tensor *a, const struct ac_gguf_tensor *b)
{
	return a->type == b->type && a->ne[0] == b->ne[0] && a->rows == b->rows &&
	       !memcmp(a->data, b->data, a->rows * a->row_bytes);
}

/* Some writers store the shared matrix twice; one copy is enough. */
static int import_head(struct import *im, int in)
{
	struct accel_compile *c = im->c;
	const struct ac_gguf_tensor *embd = c->nodes[0].parts[0].w, *head;
	bool own = ac_gguf_tensor(&c->gguf, "output.weight");
	uint32_t vocab = c->model.vocab, dim = c->model.dim;
	struct ac_node *node;
	int logits = add(im, AC_OP_LINEAR, in, -1, vocab, "output", &node), err;

	if (logits < 0)
		return logits;
	node->k = dim;
	node->n_parts = 1;
	c->values[logits].logits = true;
	err = get_part(im, own ? "output" : "token_embd", vocab, dim, &node->parts[0]);
	if (err)
		return err;
	head = node->parts[0].w;
	c->model.tied = head == embd || (same_data(head, embd) &&
					 node->parts[0].alpha == c->nodes[0].parts[0].alpha);
	if (c->model.tied)
		c->model.params -= (uint64_t)vocab * dim;
	if (c->model.tied && own)
		ac_log(&c->ctx, AC_LOG_INFO,
		       "output.weight repeats token_embd.weight: stored once");
	return add_node(im, AC_OP_SAMPLE, logits, -1, -1, "sample") ? 0 : -ENOMEM;
}

static int import_rope_table(struct import *im)
{
	struct ac_model *m = &im->c->model;
	const struct ac_gguf_tensor *factors;
	uint64_t i;
	float f[NIB_ATTN_MAX_HEAD_DIM / 2];
	struct ac_node *node;
	int err = get_tensor(im, "rope_freqs.weight", 0, m->rot / 2, false, &factors);

	if (err)
		return err;
	m->freq_factors = factors;
	if (factors) {
		ac_ggml_decode_row(factors, 0, f);
		for (i = 0; i < m->rot / 2; i++)
			if (!(f[i] > 0) || ac_bits(f[i]) >= 0x7f800000)
				return ac_fail(&im->c->ctx, EINVAL,
					       "%s: tensor rope_freqs.weight: factor %llu is %g",
					       im->c->gguf.name, (unsigned long long)i,
					       (double)f[i]);
	}
	im->rope = add(im, AC_OP_ROPE_TABLE, -1, -1, m->rot, "rope_table", &node);
	return im->rope < 0 ? im->rope : 0;
}

/* Tensors nobody asked for. Scales for static activation quantization have no use here. */
static int check_unused(struct import *im)
{
	struct ac_gguf *g = &im->c->gguf;
	uint64_t i;
	size_t len;

	for (i = 0; i < g->n_tensors; i++) {
		const char *name = g->tensors[i].name;

		len = strlen(name);
		if (im->used[i])
			continue;
		if (len < 12 || strcmp(name + len - 12, ".input_scale"))
			return ac_fail(g->ctx, ENOTSUP,
				       "%s: tensor %s: has no place in a llama graph", g->name,
				       name);
		ac_log(g->ctx, AC_LOG_DEBUG, "%s: not used, activations are scaled as they come",
		       name);
	}
	return 0;
}

int ac_pass_import(struct accel_compile *c)
{
	struct import im = { .c = c, .layer = UINT32_MAX, .rows = AC_ROWS_STEP };
	int err = ac_hparams_read(c), norm;

	if (err)
		return err;
	im.used = ac_alloc(&c->ctx, c->gguf.n_tensors + 1, 1);
	if (!im.used)
		return -ENOMEM;
	err = import_embedding(&im);
	if (!err)
		err = import_rope_table(&im);
	for (im.layer = 0; im.layer < c->model.layers && !err; im.layer++) {
		err = import_attention(&im);
		if (!err)
			err = import_ffn(&im);
	}
	if (err)
		return err;
	im.layer = UINT32_MAX;
	norm = add_norm(&im, im.x, "output_norm");
	if (norm < 0)
		return norm;
	err = import_head(&im, norm);
	return err ? err : check_unused(&im);
}
