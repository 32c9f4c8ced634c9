// SPDX-License-Identifier: MIT
/*
 * Memory plan: where weights lie in their section, how a K/V page is laid out, and where values
 * lie in scratch. Scratch is shared by values that are not alive at the same time: values are
 * placed by size, each at the lowest offset that no living neighbour covers.
 */
#include <stdlib.h>
#include "ir.h"

#define WEIGHT_ALIGN	64u
#define SCRATCH_ALIGN	64u
#define PAGE_ALIGN	4096u	/* least device page: K/V pages can be mapped one by one */

static int place_weight(struct accel_compile *c, struct ac_weight *w)
{
	uint64_t row;

	w->offset = ac_align(c->weights_bytes, WEIGHT_ALIGN);
	if (w->kind == AC_WEIGHT_PANELS) {
		w->bytes = nib_panels_bytes(w->fmt, w->n, w->k);
	} else {
		row = w->kind == AC_WEIGHT_ROWS ? nib_row_bytes(w->fmt, w->k) : 4;
		w->bytes = row * w->n;
	}
	c->weights_bytes = w->offset + w->bytes;
	return (int)(w - c->weights);
}

static int add_vector(struct accel_compile *c, const char *name, const struct ac_part *parts,
		      uint32_t n_parts, bool bias)
{
	struct ac_weight *w;
	uint32_t n = 0, p;

	for (p = 0; p < n_parts; p++)
		n += parts[p].n;
	w = ac_weight_new(c, name, AC_WEIGHT_VECTOR, NIB_FMT_F32, n, 1);
	if (!w)
		return -ENOMEM;
	for (p = 0; p < n_parts; p++) {
		w->parts[p] = parts[p];
		w->parts[p].w = bias ? parts[p].bias : parts[p].w;
	}
	w->n_parts = n_parts;
	return place_weight(c, w);
}

/* Parts that agree in format and alpha are one matrix, and one GEMM. */
static int plan_linear(struct accel_compile *c, struct ac_node *node)
{
	uint32_t from, to, n, p;
	struct ac_weight *w;
	bool bias;

	for (from = 0; from < node->n_parts; from = to) {
		const struct ac_part *first = &node->parts[from];
		uint32_t g = node->n_groups++;

		for (to = from, n = 0, bias = false; to < node->n_parts; to++) {
			if (node->parts[to].fmt != first->fmt ||
			    ac_bits(node->parts[to].alpha) != ac_bits(first->alpha))
				break;
			n += node->parts[to].n;
			bias |= node->parts[to].bias != NULL;
		}
		w = ac_weight_new(c, to - from == node->n_parts ? node->name : first->w->name,
				  AC_WEIGHT_PANELS, first->fmt, n, node->k);
		if (!w)
			return -ENOMEM;
		for (p = from; p < to; p++)
			w->parts[w->n_parts++] = node->parts[p];
		node->weight[g] = place_weight(c, w);
		node->bias[g] = -1;
		if (bias)
			node->bias[g] = add_vector(c, "bias", &node->parts[from], to - from, true);
		if (bias && node->bias[g] < 0)
			return node->bias[g];
		node->group[g] = from;
		node->group[g + 1] = to;
	}
	return 0;
}

static int plan_embedding(struct accel_compile *c, struct ac_node *node)
{
	struct ac_weight *w = ac_weight_new(c, node->name, AC_WEIGHT_ROWS, node->parts[0].fmt,
					    c->model.vocab, node->k);

	if (!w)
		return -ENOMEM;
	w->parts[0] = node->parts[0];
	w->n_parts = 1;
	node->weight[0] = place_weight(c, w);
	return 0;
}

static int plan_weights(struct accel_compile *c)
{
	struct ac_weight *w;
	int i, err = 0, head = -1;

	for (i = 0; i < c->n_nodes && err >= 0; i++) {
		struct ac_node *node = &c->nodes[i];
		struct ac_part gain = { .w = node->gain, .n = c->model.dim };

		if (node->dead)
			continue;
		if (node->op == AC_OP_LINEAR) {
			err = plan_linear(c, node);
			if (c->values[node->out].logits)
				head = i;
		} else if (node->op == AC_OP_NORM) {
			err = node->weight[0] = add_vector(c, node->gain->name, &gain, 1, false);
		} else if (node->op == AC_OP_EMBED && !c->model.tied) {
			err = plan_embedding(c, node);
		} else if (node->op == AC_OP_ROPE_TABLE) {
			w = ac_weight_new(c, "rope_freqs", AC_WEIGHT_FREQS, NIB_FMT_F32,
					  c->model.rot / 2, 1);
			err = node->weight[0] = w ? place_weight(c, w) : -ENOMEM;
		}
	}
	for (i = 0; i < c->n_nodes && err >= 0 && c->model.tied; i++)
		if (c->nodes[i].op == AC_OP_EMBED)
			c->nodes[i].weight[0] = c->nodes[head].weight[0];
	return err < 0 ? err : 0;
}

static uint64_t storage_bytes(const struct accel_compile *c, const struct ac_value *v)
{
	return v->pitch * (v->rows == AC_ROWS_OUT ? c->options.max_out_rows : c->options.max_rows);
}

/* Rows of many elements start on cache lines. */
static uint64_t row_pitch(const struct ac_value *v)
{
	uint64_t bytes = nib_row_bytes(v->fmt, v->width);

	return v->fmt == NIB_FMT_F32 && bytes >= 256 ? ac_align(bytes, 64) : bytes;
}

static void touch(struct accel_compile *c, int value, int node)
{
	struct ac_value *root;

	if (value < 0)
		return;
	root = &c->values[ac_value_root(c, value, NULL)];
	if (root->first < 0)
		root->first = node;
	root->last = node;
}

static void find_lifetimes(struct accel_compile *c)
{
	int i;

	for (i = 0; i < c->n_values; i++) {
		c->values[i].first = c->values[i].last = -1;
		c->values[i].pitch = row_pitch(&c->values[i]);
		/* The caller's logits are packed. */
		if (c->values[i].logits)
			c->values[i].pitch = (uint64_t)c->values[i].width * 4;
	}
	for (i = 0; i < c->n_nodes; i++) {
		if (c->nodes[i].dead)
			continue;
		touch(c, c->nodes[i].in[0], i);
		touch(c, c->nodes[i].in[1], i);
		touch(c, c->nodes[i].out, i);
	}
}

struct slot {
	uint64_t offset;
	uint64_t bytes;
	int value;
	int first;
	int last;
};

static int larger_first(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x->value - y->value;
}

/* Lowest offset for slot @n among the placed ones before it. */
static uint64_t find_room(const struct slot *slots, int n)
{
	uint64_t at = 0;
	bool moved = true;
	int i;

	while (moved) {
		moved = false;
		for (i = 0; i < n; i++) {
			const struct slot *s = &slots[i];

			if (s->last < slots[n].first || slots[n].last < s->first ||
			    s->offset + s->bytes <= at || at + slots[n].bytes <= s->offset)
				continue;
			at = s->offset + s->bytes;
			moved = true;
		}
	}
	return at;
}

static int plan_scratch(struct accel_compile *c)
{
	struct slot *slots = ac_alloc(&c->ctx, (size_t)c->n_values + 1, sizeof(*slots));
	uint64_t end;
	int i, n = 0;

	if (!slots)
		return -ENOMEM;
	find_lifetimes(c);
	for (i = 0; i < c->n_values; i++) {
		const struct ac_value *v = &c->values[i];

		if (v->base >= 0 || v->logits || v->first < 0)
			continue;
		slots[n++] = (struct slot){
			.bytes = ac_align(storage_bytes(c, v), SCRATCH_ALIGN), .value = i,
			.first = v->first, .last = v->last,
		};
	}
	qsort(slots, (size_t)n, sizeof(*slots), larger_first);
	for (i = 0, c->scratch_bytes = 0; i < n; i++) {
		slots[i].offset = find_room(slots, i);
		c->values[slots[i].value].offset = slots[i].offset;
		end = slots[i].offset + slots[i].bytes;
		c->scratch_bytes = end > c->scratch_bytes ? end : c->scratch_bytes;
	}
	return 0;
}

static void plan_page(struct accel_compile *c)
{
	uint64_t width = (uint64_t)c->model.kv_heads * c->model.head_dim;

	c->k_row_bytes = nib_row_bytes(c->options.kv_fmt, width);
	c->page_bytes = ac_align(c->k_row_bytes * c->options.page_tokens * 2 * c->model.layers,
				 PAGE_ALIGN);
}

static int check_limits(struct accel_compile *c)
{
	const struct ac_value *v;
	int i;

	for (i = 0; i < c->n_values; i++) {
		v = &c->values[i];
		if (v->first >= 0 && (v->width > NIB_MAX_DIM || v->pitch > NIB_MAX_PITCH))
			return ac_fail(&c->ctx, ENOTSUP,
				       "%s: value %s: rows of %u elements, limit %u", c->gguf.name,
				       v->name, v->width, NIB_MAX_DIM);
	}
	if (c->page_bytes > NIB_MAX_PITCH)
		return ac_fail(
			&c->ctx, EINVAL,
			"option page-tokens: %u positions make pages of %llu bytes, limit %llu",
			c->options.page_tokens, (unsigned long long)c->page_bytes,
			(unsigned long long)NIB_MAX_PITCH);
	return 0;
}

/* Logits of all rows where that is affordable: 64 MiB. */
static uint32_t default_out_rows(const struct accel_compile *c)
{
	uint64_t rows = (64ull << 20) / (c->model.vocab * 4ull);

	rows = rows < 1 ? 1 : rows;
	return rows < c->options.max_rows ? (uint32_t)rows : c->options.max_rows;
}

/* Too little memory means smaller steps, not an error; only weights cannot shrink. */
int ac_pass_plan(struct accel_compile *c)
{
	struct accel_compile_options *o = &c->options;
	int err = plan_weights(c);

	if (err)
		return err;
	if (!o->max_out_rows)
		o->max_out_rows = default_out_rows(c);
	plan_page(c);
	for (;;) {
		err = plan_scratch(c);
		if (err)
			return err;
		if (c->weights_bytes + c->scratch_bytes + c->page_bytes <= c->chip.hbm_bytes ||
		    o->max_rows == 1)
			break;
		o->max_rows = (o->max_rows + 1) / 2;
		o->max_out_rows = o->max_out_rows < o->max_rows ? o->max_out_rows : o->max_rows;
		ac_log(&c->ctx, AC_LOG_INFO,
		       "scratch does not fit beside the weights: max-rows is now %u", o->max_rows);
	}
	if (c->weights_bytes + c->scratch_bytes + c->page_bytes > c->chip.hbm_bytes)
		ac_log(&c->ctx, AC_LOG_WARNING,
		       "weights take %llu bytes, %s has %llu: the program will not load there",
		       (unsigned long long)c->weights_bytes, c->chip.name,
		       (unsigned long long)c->chip.hbm_bytes);
	return check_limits(c);
}
