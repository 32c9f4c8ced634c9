// SPDX-License-Identifier: MIT
/*
 * Format assignment: which number format each weight has on the device, and a conversion in front
 * of every linear layer, shared by the layers that read the same value.
 */
#include "ir.h"

/* The device format that holds a file's block format without loss, or NONE. */
static uint32_t native_format(uint32_t ggml_type)
{
	return ggml_type == AC_GGML_MXFP4 ? NIB_FMT_MXFP4 :
	       ggml_type == AC_GGML_NVFP4 ? NIB_FMT_NVFP4 : NIB_FMT_NONE;
}

/* Largest magnitude of a tensor; infinity where an element is not finite. */
static int tensor_max(struct accel_compile *c, const struct ac_gguf_tensor *t, float *max)
{
	float *row = ac_alloc(&c->ctx, t->ne[0], sizeof(*row)), m;
	uint64_t i;

	if (!row)
		return -ENOMEM;
	*max = 0;
	for (i = 0; i < t->rows; i++) {
		ac_ggml_decode_row(t, i, row);
		m = ac_max_abs(row, t->ne[0]);
		*max = m > *max ? m : *max;
	}
	return 0;
}

/* @wanted: an option, or NONE: stay in a block format, else @fallback. */
static int assign(struct accel_compile *c, struct ac_part *part, uint32_t wanted,
		  uint32_t fallback)
{
	uint32_t native = native_format(part->w->type);
	float max = 0;
	int err;

	part->fmt = wanted ? wanted : native ? native : fallback;
	part->repack = native && part->fmt == native;
	if (part->fmt != NIB_FMT_NVFP4 || part->repack)
		return 0;
	err = tensor_max(c, part->w, &max);
	if (err)
		return err;
	if (ac_bits(max) >= 0x7f800000)
		return ac_fail(&c->ctx, EINVAL, "%s: tensor %s: holds values that are not finite",
			       c->gguf.name, part->w->name);
	part->global = ac_nvfp4_global(max);
	part->alpha *= part->global;
	if (ac_bits(part->alpha) << 1 >= 0xff000000)
		return ac_fail(&c->ctx, ENOTSUP,
			       "%s: tensor %s: its scale times that of NVFP4 is no FP32 number",
			       c->gguf.name, part->w->name);
	return 0;
}

/* Head and embedding have 8 bits unless the linear layers were asked to have more. */
static uint32_t edge_format(const struct accel_compile *c)
{
	uint32_t w = c->options.weight_fmt;

	return w == NIB_FMT_BF16 || w == NIB_FMT_MXFP8X2 ? w : NIB_FMT_MXFP8;
}

static int assign_all(struct accel_compile *c)
{
	struct ac_node *embed = NULL, *head = NULL;
	uint32_t p;
	int i, err;

	for (i = 0; i < c->n_nodes; i++) {
		struct ac_node *node = &c->nodes[i];

		if (node->op == AC_OP_EMBED)
			embed = node;
		if (node->op == AC_OP_LINEAR && c->values[node->out].logits)
			head = node;
		for (p = 0; node->op == AC_OP_LINEAR && node != head && p < node->n_parts; p++) {
			err = assign(c, &node->parts[p], c->options.weight_fmt, NIB_FMT_MXFP8);
			if (err)
				return err;
		}
	}
	if (!embed || !head)
		return ac_fail(&c->ctx, EINVAL, "%s: graph without embedding or head",
			       c->gguf.name);
	if (embed->parts[0].bias)
		return ac_fail(&c->ctx, ENOTSUP,
			       "%s: tensor %s: a bias of the embedding is not supported",
			       c->gguf.name, embed->parts[0].bias->name);
	err = assign(c, &head->parts[0], c->options.head_fmt, edge_format(c));
	if (err)
		return err;
	c->model.tied &= !c->options.embd_fmt || c->options.embd_fmt == head->parts[0].fmt;
	if (c->model.tied) {
		embed->parts[0] = head->parts[0];
		embed->parts[0].bias = NULL;
		return 0;
	}
	/* Rows of a table carry their own FP32 scale: alpha stays the file's. */
	if (c->options.embd_fmt == NIB_FMT_F32) {
		embed->parts[0].fmt = NIB_FMT_F32;
		return 0;
	}
	embed->parts[0].fmt = c->options.embd_fmt ? c->options.embd_fmt :
			      native_format(embed->parts[0].w->type) ?
			      native_format(embed->parts[0].w->type) : edge_format(c);
	embed->parts[0].repack = embed->parts[0].fmt == native_format(embed->parts[0].w->type);
	return 0;
}

/* Conversions; @quantized maps values to their converted forms. */
static int insert_quants(struct accel_compile *c)
{
	int n_values = c->n_values, i, q, in, *quantized;
	struct ac_node *node;

	quantized = ac_alloc(&c->ctx, (size_t)n_values, sizeof(*quantized));
	if (!quantized)
		return -ENOMEM;
	for (i = 0; i < c->n_nodes; i++) {
		in = c->nodes[i].in[0];
		if (c->nodes[i].op != AC_OP_LINEAR)
			continue;
		if (!quantized[in]) {
			const char *name = c->nodes[i].name;
			char text[64];
			uint32_t layer = c->nodes[i].layer;

			q = ac_value_new(c, "quantized", c->options.act_fmt, c->values[in].rows,
					 c->values[in].width);
			node = q < 0 ? NULL : ac_node_insert(c, i);
			if (!node)
				return -ENOMEM;
			strncpy(text, name, sizeof(text) - 7);
			text[sizeof(text) - 7] = 0;
			strcat(text, ".quant");
			*node = (struct ac_node){
				.op = AC_OP_QUANT, .in = { in, -1 }, .out = q, .layer = layer,
				.name = ac_strndup(&c->ctx, text, strlen(text)),
			};
			if (!node->name)
				return -ENOMEM;
			quantized[in] = q;
			i++;
		}
		c->nodes[i].in[0] = quantized[in];
	}
	return 0;
}

int ac_pass_format(struct accel_compile *c)
{
	int err = assign_all(c);

	return err ? err : insert_quants(c);
}
