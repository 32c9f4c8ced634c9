// SPDX-License-Identifier: MIT
/*
 * Fusion: fewer and larger packets with the same results. Linear layers that read the same value
 * become one node with a wide output; rotations of neighbouring heads become one; residuals move
 * into the epilogue of the layer they follow; conversions to BF16 move into the program that makes
 * the value. Whether a wide layer is one GEMM or several (tensors of other formats or other FP32
 * scales) is decided by ac_pass_plan().
 */
#include <stdio.h>
#include "ir.h"

static int next_live(const struct accel_compile *c, int i)
{
	for (i++; i < c->n_nodes && c->nodes[i].dead; i++)
		;
	return i;
}

/* Node that defines @v, or -1. */
static int definition(const struct accel_compile *c, int v)
{
	int i;

	for (i = 0; i < c->n_nodes; i++)
		if (!c->nodes[i].dead && c->nodes[i].out == v)
			return i;
	return -1;
}

/* "blk.0.attn_q" and "attn_k", "attn_v" make "blk.0.attn_qkv". */
static const char *merged_name(struct accel_compile *c, const struct ac_node *node)
{
	static const struct {
		const char *tail;
		const char *merged;
	} known[] = {
		{ "attn_q", "attn_qkv" }, { "ffn_gate", "ffn_gate_up" }, { "rope_q", "rope" },
	};
	char text[64];
	size_t i, len = strlen(node->name), tail;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		tail = strlen(known[i].tail);
		if (len < tail || strcmp(node->name + len - tail, known[i].tail))
			continue;
		snprintf(text, sizeof(text), "%.*s%s", (int)(len - tail), node->name,
			 known[i].merged);
		return ac_strndup(&c->ctx, text, strlen(text));
	}
	return node->name;
}

static int fuse_linear(struct accel_compile *c)
{
	int i, j, wide;

	for (i = 0; i < c->n_nodes; i = next_live(c, i)) {
		struct ac_node *a = &c->nodes[i], *b;
		uint32_t width;

		if (a->dead || a->op != AC_OP_LINEAR || c->values[a->out].logits)
			continue;
		for (j = next_live(c, i); j < c->n_nodes; j = next_live(c, j)) {
			b = &c->nodes[j];
			if (b->op != AC_OP_LINEAR || b->in[0] != a->in[0] || a->in[1] >= 0 ||
			    b->in[1] >= 0 || c->values[b->out].logits || a->n_parts == AC_MAX_PARTS)
				break;
			width = c->values[a->out].width;
			if (a->n_parts == 1) {
				wide = ac_value_new(c, "wide", NIB_FMT_F32, c->values[a->out].rows,
						    width);
				if (wide < 0)
					return wide;
				c->values[a->out].base = wide;
				a->out = wide;
				a->name = merged_name(c, a);
				if (!a->name)
					return -ENOMEM;
			}
			c->values[b->out].base = a->out;
			c->values[b->out].col = width;
			c->values[a->out].width = width + c->values[b->out].width;
			a->parts[a->n_parts++] = b->parts[0];
			b->dead = true;
		}
	}
	return 0;
}

static int fuse_rope(struct accel_compile *c)
{
	int i, j, in, out;

	for (i = 0; i < c->n_nodes; i = next_live(c, i)) {
		struct ac_node *a = &c->nodes[i], *b;
		struct ac_value *va, *vb;

		j = next_live(c, i);
		if (a->dead || a->op != AC_OP_ROPE || j >= c->n_nodes)
			continue;
		b = &c->nodes[j];
		if (b->op != AC_OP_ROPE || b->in[1] != a->in[1])
			continue;
		va = &c->values[a->in[0]];
		vb = &c->values[b->in[0]];
		if (va->base < 0 || va->base != vb->base || va->col + va->width != vb->col)
			continue;
		in = ac_value_new(c, "heads", NIB_FMT_F32, va->rows, va->width + vb->width);
		out = in < 0 ? in : ac_value_new(c, "rotated", NIB_FMT_F32, c->values[in].rows,
						 c->values[in].width);
		if (out < 0)
			return out;
		c->values[in].base = c->values[a->in[0]].base;
		c->values[in].col = c->values[a->in[0]].col;
		c->values[out].base = in;
		c->values[a->out].base = out;
		c->values[b->out].base = out;
		c->values[b->out].col = c->values[a->in[0]].width;
		a->in[0] = in;
		a->out = out;
		a->heads += b->heads;
		a->name = merged_name(c, a);
		if (!a->name)
			return -ENOMEM;
		b->dead = true;
	}
	return 0;
}

/* True if anything after node @i reads storage that @v lives in. */
static bool read_after(const struct accel_compile *c, int i, int v)
{
	int root = ac_value_root(c, v, NULL), j, s;

	for (j = i + 1; j < c->n_nodes; j++)
		for (s = 0; s < 2 && !c->nodes[j].dead; s++)
			if (c->nodes[j].in[s] >= 0 &&
			    ac_value_root(c, c->nodes[j].in[s], NULL) == root)
				return true;
	return false;
}

/* x + W y: the layer's epilogue adds, in place where x ends there. */
static void fuse_residual(struct accel_compile *c)
{
	int i, def, root;
	uint32_t col;

	for (i = 0; i < c->n_nodes; i++) {
		struct ac_node *add = &c->nodes[i], *linear;

		if (add->dead || add->op != AC_OP_ADD)
			continue;
		def = definition(c, add->in[1]);
		if (def < 0 || def > i || definition(c, add->in[0]) > def)
			continue;
		linear = &c->nodes[def];
		if (linear->op != AC_OP_LINEAR || linear->in[1] >= 0 || linear->n_parts != 1 ||
		    ac_value_uses(c, linear->out) != 1)
			continue;
		linear->in[1] = add->in[0];
		linear->out = add->out;
		if (!read_after(c, i, add->in[0])) {
			/* What is there, not the sum before: a chain as long as the model is walked often. */
			root = ac_value_root(c, add->in[0], &col);
			c->values[add->out].base = root;
			c->values[add->out].col = col;
		}
		add->dead = true;
	}
}

/*
 * silu(x) * y: over x, where both end there. They are the widest values that a model has: a third
 * of that width would decide how much scratch it takes.
 */
static void place_gated(struct accel_compile *c)
{
	int i;

	for (i = 0; i < c->n_nodes; i++) {
		struct ac_node *node = &c->nodes[i];

		if (node->dead || node->op != AC_OP_GATED || c->values[node->out].base >= 0 ||
		    c->values[node->out].fmt != c->values[node->in[0]].fmt ||
		    read_after(c, i, node->in[0]))
			continue;
		c->values[node->out].base = node->in[0];
		c->values[node->out].col = 0;
	}
}

/* Vector programs store BF16 as well as FP32; rows of whole tiles need no padding. */
static void fuse_bf16(struct accel_compile *c)
{
	int i, def;

	for (i = 0; i < c->n_nodes; i++) {
		struct ac_node *quant = &c->nodes[i];

		if (quant->dead || quant->op != AC_OP_QUANT ||
		    c->values[quant->out].fmt != NIB_FMT_BF16 ||
		    c->values[quant->out].width % NIB_TILE_K)
			continue;
		def = definition(c, quant->in[0]);
		if (def < 0 || ac_value_uses(c, quant->in[0]) != 1 ||
		    (c->nodes[def].op != AC_OP_NORM && c->nodes[def].op != AC_OP_GATED))
			continue;
		c->nodes[def].out = quant->out;
		quant->dead = true;
	}
}

int ac_pass_fuse(struct accel_compile *c)
{
	int err = fuse_linear(c);

	if (!err)
		err = fuse_rope(c);
	if (err)
		return err;
	fuse_residual(c);
	fuse_bf16(c);
	place_gated(c);
	return 0;
}
