// SPDX-License-Identifier: MIT
/*
 * Building, walking and printing graphs. What graphs mean is in the passes.
 */
#include <stdio.h>
#include "ir.h"

/* Room for one more of @size bytes; the old array stays in the compilation's memory. */
static void *grow(struct accel_compile *c, void *array, int n, int *cap, size_t size)
{
	void *more;

	if (n < *cap)
		return array;
	more = ac_alloc(&c->ctx, (size_t)(*cap ? *cap * 2 : 64), size);
	if (!more)
		return NULL;
	if (n)
		memcpy(more, array, (size_t)n * size);
	*cap = *cap ? *cap * 2 : 64;
	return more;
}

int ac_value_new(struct accel_compile *c, const char *name, uint32_t fmt, enum ac_rows rows,
		 uint32_t width)
{
	void *array = grow(c, c->values, c->n_values, &c->cap_values, sizeof(*c->values));

	if (!array)
		return -ENOMEM;
	c->values = array;
	c->values[c->n_values] = (struct ac_value){
		.name = name, .fmt = fmt, .rows = rows, .width = width, .base = -1,
	};
	return c->n_values++;
}

struct ac_node *ac_node_insert(struct accel_compile *c, int at)
{
	void *array = grow(c, c->nodes, c->n_nodes, &c->cap_nodes, sizeof(*c->nodes));

	if (!array)
		return NULL;
	c->nodes = array;
	memmove(&c->nodes[at + 1], &c->nodes[at], (size_t)(c->n_nodes - at) * sizeof(*c->nodes));
	memset(&c->nodes[at], 0, sizeof(*c->nodes));
	c->nodes[at].in[0] = c->nodes[at].in[1] = c->nodes[at].out = -1;
	c->n_nodes++;
	return &c->nodes[at];
}

struct ac_node *ac_node_new(struct accel_compile *c, enum ac_op op, int in0, int in1, int out,
			    const char *fmt, ...)
{
	struct ac_node *node = ac_node_insert(c, c->n_nodes);
	char name[64];
	va_list args;

	if (!node)
		return NULL;
	va_start(args, fmt);
	vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);
	node->op = op;
	node->in[0] = in0;
	node->in[1] = in1;
	node->out = out;
	node->name = ac_strndup(&c->ctx, name, strlen(name));
	return node->name ? node : NULL;
}

struct ac_weight *ac_weight_new(struct accel_compile *c, const char *name,
				enum ac_weight_kind kind, uint32_t fmt, uint32_t n, uint32_t k)
{
	void *array = grow(c, c->weights, c->n_weights, &c->cap_weights, sizeof(*c->weights));

	if (!array)
		return NULL;
	c->weights = array;
	c->weights[c->n_weights] = (struct ac_weight){
		.name = name, .kind = kind, .fmt = fmt, .n = n, .k = k,
	};
	return &c->weights[c->n_weights++];
}

int ac_value_root(const struct accel_compile *c, int v, uint32_t *col)
{
	uint32_t sum = 0;

	for (; c->values[v].base >= 0; v = c->values[v].base)
		sum += c->values[v].col;
	if (col)
		*col = sum;
	return v;
}

int ac_value_uses(const struct accel_compile *c, int v)
{
	int i, uses = 0;

	for (i = 0; i < c->n_nodes; i++)
		if (!c->nodes[i].dead)
			uses += (c->nodes[i].in[0] == v) + (c->nodes[i].in[1] == v);
	return uses;
}

static const char *op_name(enum ac_op op)
{
	static const char *const names[] = {
		"embed", "rope_table", "rms_norm", "quant", "linear", "rope", "kv_append",
		"attention", "silu_mul", "add", "select", "sample",
	};

	return names[op];
}

static void dump_value(const struct accel_compile *c, int v, struct ac_text *text)
{
	const struct ac_value *value = &c->values[v];

	ac_text_add(text, "%%%d:%s[%s,%u]", v, accel_format_name(value->fmt),
		    value->rows == AC_ROWS_OUT ? "out" : "rows", value->width);
	if (value->base >= 0)
		ac_text_add(text, "@%%%d+%u", value->base, value->col);
}

void ac_graph_dump(const struct accel_compile *c, struct ac_text *text)
{
	const struct ac_value *value;
	uint32_t p;
	int i, j;

	for (i = 0; i < c->n_nodes; i++) {
		const struct ac_node *node = &c->nodes[i];

		if (node->dead)
			continue;
		if (node->out >= 0) {
			dump_value(c, node->out, text);
			ac_text_add(text, " = ");
		}
		ac_text_add(text, "%s", op_name(node->op));
		for (j = 0; j < 2; j++)
			if (node->in[j] >= 0)
				ac_text_add(text, "%s%%%d", j ? ", " : " ", node->in[j]);
		for (p = 0; p < node->n_parts; p++)
			ac_text_add(text, " {%s %s %ux%u%s%s}", node->parts[p].w->name,
				    node->parts[p].fmt ? accel_format_name(node->parts[p].fmt) :
				    ac_ggml_name(node->parts[p].w->type), node->parts[p].n, node->k,
				    node->parts[p].bias ? " +bias" : "",
				    node->parts[p].repack ? " repacked" : "");
		ac_text_add(text, "  # %s\n", node->name);
	}
	for (i = 0; c->scratch_bytes && i < c->n_values; i++) {
		value = &c->values[i];
		if (value->base < 0 && value->pitch)
			ac_text_add(text, "storage %%%d %s: offset %llu pitch %llu nodes %d..%d\n",
				    i, value->logits ? "logits" : "scratch",
				    (unsigned long long)value->offset,
				    (unsigned long long)value->pitch, value->first, value->last);
	}
}
