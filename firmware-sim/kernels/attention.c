/* SPDX-License-Identifier: MIT */
/*
 * Attention over 16 lanes: up to eight query heads that share a K/V head go together, so that a key
 * or value is decoded once for all of them; positions go four at a time. Compiled for each vector
 * instruction set; the order of operations is scalar.c's.
 */
#include "simd.h"
#include "lanes.h"

#define HEADS	NIB_ATTN_HEADS	/* query heads at a time */
#define STEP	4u		/* positions at a time */

/* Query heads that share a K/V head, and their scratch. Vectors of a head are padded to 16. */
struct group {
	const struct nib_attention_job *job;
	uint32_t heads;
	uint32_t slice;			/* first element of the K/V head in a row */
	uint32_t padded;		/* elements of a head with padding */
	float *q;			/* [head][padded] */
	float *p;			/* [head][chunk]: scores, then weights */
	float *o;			/* [head][padded]: values of the chunk */
	float *total;			/* [head][padded]: values so far */
	float *rows;			/* [STEP][padded]: decoded keys or values */
	float max[HEADS];
	float sum[HEADS];
};

/* Positions at..at + n of K or V, n <= STEP; the others of STEP read as zeros. */
static void decode_rows(const struct group *g, const uint8_t *const *rows, uint32_t fmt,
			uint32_t at, uint32_t n)
{
	const struct nib_attention_job *job = g->job;
	uint32_t i, width = job->n_kv_heads * job->head_dim;

	for (i = 0; i < n; i++)
		NIB_KERNEL(nib_row_decode)(fmt, rows[at - job->first + i], width, g->slice,
					   job->head_dim, g->rows + i * g->padded);
	for (; i < STEP; i++)
		memset(g->rows + i * g->padded, 0, job->head_dim * sizeof(float));
}

/* p[head][j] = q[head] . k[j] for positions from..to of the chunk that starts at @base. */
static void chunk_dots(const struct group *g, uint32_t base, uint32_t from, uint32_t to)
{
	const float *row = g->rows;
	uint32_t j, n, h, i, padded = g->padded;
	float dots[STEP];

	for (j = from; j <= to; j += n) {
		n = to - j + 1 < STEP ? to - j + 1 : STEP;
		decode_rows(g, g->job->k_rows, g->job->k_fmt, j, n);
		for (h = 0; h < g->heads; h++) {
			const float *q = g->q + h * padded;
			v16 a = v16_set1(0.0f), b = a, c = a, d = a;

			for (i = 0; i < padded; i += 16) {
				v16 x = v16_load(q + i);

				a = v16_fma(x, v16_load(row + i), a);
				b = v16_fma(x, v16_load(row + padded + i), b);
				c = v16_fma(x, v16_load(row + 2 * padded + i), c);
				d = v16_fma(x, v16_load(row + 3 * padded + i), d);
			}
			v16_sum4(dots, a, b, c, d);
			memcpy(g->p + h * NIB_ATTN_CHUNK + (j - base), dots, n * sizeof(float));
		}
	}
}

/* Scores to weights exp(score - max) in place; returns their sum, and the maximum. */
static float chunk_weights(const struct group *g, float *restrict p, uint32_t base, uint32_t from,
			   uint32_t to, float *max)
{
	float scale = g->job->scale, cap = g->job->softcap, most;
	uint32_t lo = from - base, hi = to - base + 1, i;

	for (i = lo; i < hi; i++)
		p[i] = p[i] * scale;
	if (cap != 0.0f)
		for (i = lo; i < hi; i++)
			p[i] = cap * nib_tanh(p[i] / cap);
	most = nib_lanes_fold(nib_max, nib_nan(), p + lo, hi - lo);
	for (i = lo; i < hi; i++)
		p[i] = nib_exp(p[i] - most);
	/* Position j belongs to lane j mod 16, whatever the window hides below it. */
	for (i = 0; i < lo; i++)
		p[i] = 0.0f;
	*max = most;
	return nib_lanes_fold(nib_sum, 0.0f, p, hi);
}

/* o[head] = sum of p[head][j] * v[j], j ascending. */
static void chunk_values(const struct group *g, uint32_t base, uint32_t from, uint32_t to)
{
	const float *row = g->rows;
	uint32_t j, n, h, i, padded = g->padded;

	memset(g->o, 0, g->heads * padded * sizeof(float));
	for (j = from; j <= to; j += n) {
		n = to - j + 1 < STEP ? to - j + 1 : STEP;
		decode_rows(g, g->job->v_rows, g->job->v_fmt, j, n);
		for (h = 0; h < g->heads; h++) {
			const float *p = g->p + h * NIB_ATTN_CHUNK + (j - base);
			float *o = g->o + h * padded;

			for (i = 0; i < padded; i += 16) {
				v16 x = v16_fma(v16_set1(p[0]), v16_load(row + i), v16_load(o + i));

				if (n > 1)
					x = v16_fma(v16_set1(p[1]), v16_load(row + padded + i), x);
				if (n > 2)
					x = v16_fma(v16_set1(p[2]), v16_load(row + 2 * padded + i),
						    x);
				if (n > 3)
					x = v16_fma(v16_set1(p[3]), v16_load(row + 3 * padded + i),
						    x);
				v16_store(o + i, x);
			}
		}
	}
}

/* Joins a chunk with maximum @max, sum @sum and values @o to what head @h has. */
static void merge(struct group *g, uint32_t h, float max, float sum, const float *restrict o)
{
	float both = nib_max(g->max[h], max);
	float a = nib_exp(g->max[h] - both), b = nib_exp(max - both);
	float *restrict total = g->total + h * g->padded;
	uint32_t i;

	g->max[h] = both;
	g->sum[h] = nib_fma(g->sum[h], a, sum * b);
	for (i = 0; i < g->padded; i++)
		total[i] = nib_fma(total[i], a, o[i] * b);
}

static void chunk(struct group *g, uint32_t base, uint32_t from, uint32_t to)
{
	float max[HEADS], sum[HEADS];
	uint32_t h;

	chunk_dots(g, base, from, to);
	for (h = 0; h < g->heads; h++)
		sum[h] = chunk_weights(g, g->p + h * NIB_ATTN_CHUNK, base, from, to, &max[h]);
	chunk_values(g, base, from, to);
	if (from == g->job->first) {
		memcpy(g->max, max, sizeof(max));
		memcpy(g->sum, sum, sizeof(sum));
		memcpy(g->total, g->o, g->heads * g->padded * sizeof(float));
		return;
	}
	for (h = 0; h < g->heads; h++)
		merge(g, h, max[h], sum[h], g->o + h * g->padded);
}

/* Query heads head..head + g->heads. */
static void group_run(struct group *g, uint32_t head)
{
	const struct nib_attention_job *job = g->job;
	uint32_t dim = job->head_dim, from, to, h, d;

	for (h = 0; h < g->heads; h++)
		memcpy(g->q + h * g->padded, job->q + (head + h) * dim, dim * sizeof(float));
	for (from = job->first; from <= job->last; from = to + 1) {
		to = from | (NIB_ATTN_CHUNK - 1);
		to = to < job->last ? to : job->last;
		chunk(g, from & ~(NIB_ATTN_CHUNK - 1), from, to);
	}
	if (job->sinks)
		memset(g->o, 0, g->padded * sizeof(float));
	for (h = 0; h < g->heads; h++) {
		const float *restrict total = g->total + h * g->padded;
		float *restrict out = job->out + (head + h) * dim;

		if (job->sinks)
			merge(g, h, job->sinks[head + h], 1.0f, g->o);
		for (d = 0; d < dim; d++)
			out[d] = nib_canonical(total[d] / g->sum[h]);
	}
}

void NIB_KERNEL(nib_attention)(const struct nib_attention_job *job, float *scratch)
{
	uint32_t padded = (job->head_dim + 15u) / 16 * 16, share = job->n_heads / job->n_kv_heads;
	uint32_t kv, at;
	struct group g = { .job = job, .padded = padded };

	g.q = scratch;
	g.p = g.q + HEADS * padded;
	g.o = g.p + HEADS * NIB_ATTN_CHUNK;
	g.total = g.o + HEADS * padded;
	g.rows = g.total + HEADS * padded;
	/* Decoding leaves the padding alone; zeros there add nothing to a dot product. */
	memset(g.q, 0, HEADS * padded * sizeof(float));
	memset(g.rows, 0, STEP * padded * sizeof(float));
	for (kv = 0; kv < job->n_kv_heads; kv++) {
		g.slice = kv * job->head_dim;
		for (at = 0; at < share; at += g.heads) {
			g.heads = share - at < HEADS ? share - at : HEADS;
			group_run(&g, kv * share + at);
		}
	}
}
