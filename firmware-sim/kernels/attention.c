/* SPDX-License-Identifier: MIT */
/*
 * Attention over 16 lanes. A query is one head of one row; as many as share a K/V head go together,
 * so that a key or value is decoded once for all of them. The context is taken in the chunks of
 * nib_isa.h and in strips of some positions, all K/V heads of a pass before the next strip, so that
 * memory is read in sequence.
 * Compiled for each vector instruction set; the order of operations is scalar.c's.
 */
#include "simd.h"
#include "lanes.h"
#include "kv_decode.h"

#define QUERIES	NIB_ATTN_QUERIES	/* of a pass */
#define CHUNK	NIB_ATTN_CHUNK
#define PITCH	NIB_ATTN_PITCH		/* of scores */
#define STRIP	NIB_ATTN_STRIP		/* positions that are decoded at a time */
#define FETCH	8u			/* positions decoded between two fetches */
#define AHEAD	2u			/* strips between fetching and reading */
#define STEP	4u			/* positions of a tile */
#ifdef __AVX512F__
#define TILE	4u			/* queries of a tile: TILE x STEP sums in registers */
#define WIDE	4u			/* vectors of values of a tile */
#else
#define TILE	2u			/* x STEP / 2 sums in registers */
#define WIDE	2u
#endif

/*
 * One head of one row.
 * @first: first position it sees, @last: the last.
 * @from: first of them in this chunk, @to: the last; none where @from is above @to.
 */
struct query {
	const float *q;
	float *out;
	uint32_t head;
	uint32_t first;
	uint32_t last;
	uint32_t from;
	uint32_t to;
	float max;
	float sum;
};

/* Queries of some rows and K/V heads: [kv][row][head that shares]. Vectors are padded to 16. */
struct pass {
	const struct nib_attention_job *job;
	struct query query[QUERIES];
	uint32_t kv;			/* first K/V head */
	uint32_t n_kv;
	uint32_t each;			/* queries of a K/V head */
	uint32_t first;			/* position that any query sees */
	uint32_t last;
	uint32_t padded;		/* elements of a head with padding */
	float *q;			/* [query][padded] */
	float *total;			/* [query][padded]: values so far */
	float *o;			/* [query][padded]: values of the chunk */
	float *p;			/* [query][PITCH]: scores, then weights */
	float *rows;			/* [STRIP][padded]: decoded keys or values */
	float *part;			/* of the chunk, where chunks are not joined */
	int direct;			/* see suits_direct() */
	struct kv_table k_table;
	struct kv_table v_table;
};

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/*
 * Fetches rows from..to of K or V, as far as the pass reads them. A function without effects that is
 * not inlined gets lost.
 */
NIB_INLINE void prefetch_rows(const struct pass *p, const uint8_t *const *rows, uint32_t fmt,
			      uint32_t from, uint32_t end)
{
	uint32_t width = p->job->n_kv_heads * p->job->head_dim, j;
	size_t data = nib_row_data_bytes(fmt, width), line;
	size_t lo = data * p->kv / p->job->n_kv_heads;
	size_t hi = data * (p->kv + p->n_kv) / p->job->n_kv_heads;

	for (j = from; j < end; j++) {
		const char *row = (const char *)rows[j - p->job->first];

		for (line = lo; line < hi; line += 64)
			__builtin_prefetch(row + line, 0, 2);
		if (nib_format_block(fmt))
			__builtin_prefetch(row + data, 0, 2);
	}
}

/* Rows of K or V that will be read next. */
struct ahead {
	const uint8_t *const *rows;
	uint32_t fmt;
	uint32_t from;
	uint32_t end;
};

/*
 * What is read AHEAD strips after the one that ends at @end, of the chunk's keys or its @values, which
 * are @from..@to: more of those, or else values of the chunk, or keys of the next one.
 */
static struct ahead strip_ahead(const struct pass *p, int values, uint32_t from, uint32_t end,
				uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	struct ahead ahead = { .from = end + 1 + (AHEAD - 1) * STRIP, .end = to + 1 };
	int next = ahead.from > to;

	if (next && values)
		ahead.end = p->last + 1;
	else if (next)
		ahead.from = from + ahead.from - (to + 1);
	values ^= next;
	ahead.rows = values ? job->v_rows : job->k_rows;
	ahead.fmt = values ? job->v_fmt : job->k_fmt;
	ahead.end = least(ahead.end, ahead.from + STRIP);
	return ahead;
}

/*
 * Positions from..to, in one strip, of K or V of head @t of the pass to @p->rows; @from is at row
 * from % STRIP. Meanwhile fetches this head's part of what is @ahead.
 */
static void decode_strip(const struct pass *p, const uint8_t *const *rows, uint32_t fmt,
			 const struct kv_table *table, uint32_t t, uint32_t from, uint32_t to,
			 const struct ahead *ahead)
{
	const struct nib_attention_job *job = p->job;
	uint32_t width = job->n_kv_heads * job->head_dim, dim = job->head_dim, i, n;
	uint32_t at = (p->kv + t) * dim, parts = p->n_kv * (STRIP / FETCH), part, r;
	float *dst = p->rows + from % STRIP * p->padded;

	for (i = from; i <= to; i += n, dst += n * p->padded) {
		n = least(FETCH - i % FETCH, to - i + 1);
		part = t * (STRIP / FETCH) + i % STRIP / FETCH;
		prefetch_rows(p, ahead->rows, ahead->fmt, ahead->from + part * STRIP / parts,
			      least(ahead->from + (part + 1) * STRIP / parts, ahead->end));
		if (kv_suits(fmt, at, dim)) {
			kv_decode(table, fmt, rows + (i - job->first), n, width, at, dim, dst,
				  p->padded);
			continue;
		}
		for (r = 0; r < n; r++)
			NIB_KERNEL(nib_row_decode)(fmt, rows[i - job->first + r], width, at, dim,
						   dst + r * p->padded);
	}
}

#ifndef __AVX512F__
/* Sums over lanes l and l + 8 of two queries at two positions: [position][query]. */
NIB_INLINE void dots_fold(const uint32_t padded, const float *q, const float *row,
			  __m256 fold[2][2])
{
	v16 s[2][2];
	uint32_t i, h, j;

	_Pragma("GCC unroll 2")
	for (j = 0; j < 2; j++)
		_Pragma("GCC unroll 2")
		for (h = 0; h < 2; h++)
			s[j][h] = v16_set1(0.0f);
	for (i = 0; i < padded; i += 16) {
		v16 x[2], y[2];

		_Pragma("GCC unroll 2")
		for (j = 0; j < 2; j++) {
			x[j] = v16_load(row + j * padded + i);
			y[j] = v16_load(q + j * padded + i);
		}
		_Pragma("GCC unroll 2")
		for (j = 0; j < 2; j++)
			_Pragma("GCC unroll 2")
			for (h = 0; h < 2; h++)
				s[j][h] = v16_fma(y[h], x[j], s[j][h]);
	}
	_Pragma("GCC unroll 2")
	for (j = 0; j < 2; j++)
		_Pragma("GCC unroll 2")
		for (h = 0; h < 2; h++)
			fold[j][h] = v16_fold(s[j][h]);
}

/* Scores of two queries at four positions. */
NIB_INLINE void dots_pair(const uint32_t padded, const float *q, const float *row, float *scores)
{
	__m256 fold[4][2], x[4];
	uint32_t j;

	dots_fold(padded, q, row, fold);
	dots_fold(padded, q, row + 2 * padded, fold + 2);
	_Pragma("GCC unroll 4")
	for (j = 0; j < 4; j++)
		x[j] = v8_fold_halves(fold[j][0], fold[j][1]);
	v8_sum8(scores, PITCH, x);
}
#endif

/* Scores of @queries queries at the STEP positions that start at @row. */
NIB_INLINE void dots_tile(const uint32_t queries, const uint32_t padded, const float *q,
			  const float *row, float *scores)
{
	uint32_t i, h, j;
	v16 s[TILE][STEP];

#ifndef __AVX512F__
	if (queries == 2) {
		dots_pair(padded, q, row, scores);
		return;
	}
#endif
	for (h = 0; h < queries; h++)
		for (j = 0; j < STEP; j++)
			s[h][j] = v16_set1(0.0f);
	for (i = 0; i < padded; i += 16) {
		v16 k[STEP];

		for (j = 0; j < STEP; j++)
			k[j] = v16_load(row + j * padded + i);
		for (h = 0; h < queries; h++) {
			v16 x = v16_load(q + h * padded + i);

			for (j = 0; j < STEP; j++)
				s[h][j] = v16_fma(x, k[j], s[h][j]);
		}
	}
#ifdef __AVX512F__
	if (queries == 4) {
		v16_sum16(scores, PITCH, s);
		return;
	}
#endif
	for (h = 0; h < queries; h++)
		v16_sum4(scores + h * PITCH, s[h][0], s[h][1], s[h][2], s[h][3]);
}

/* p[query][j] = q[query] . k[j] for the strip's positions from..to of the chunk at @base. */
NIB_INLINE void dots_strip(const uint32_t queries, const struct pass *p, const float *q,
			   uint32_t base, uint32_t from, uint32_t to, float *scores)
{
	uint32_t j;

	for (j = from / STEP * STEP; j <= to; j += STEP) {
		const float *row = p->rows + j % STRIP * p->padded;

		/* The usual sizes unroll. */
		if (p->padded == 64)
			dots_tile(queries, 64, q, row, scores + (j - base));
		else if (p->padded == 128)
			dots_tile(queries, 128, q, row, scores + (j - base));
		else
			dots_tile(queries, p->padded, q, row, scores + (j - base));
	}
}

/* Scores of all queries of the pass at positions from..to of the chunk at @base. */
static void chunk_dots(const struct pass *p, uint32_t base, uint32_t from, uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	uint32_t at, end, t, i;

	for (at = from; at <= to; at = end + 1) {
		struct ahead ahead;

		end = least(at | (STRIP - 1), to);
		ahead = strip_ahead(p, 0, from, end, to);
		for (t = 0; t < p->n_kv; t++) {
			const float *q = p->q + t * p->each * p->padded;
			float *scores = p->p + t * p->each * PITCH;

			decode_strip(p, job->k_rows, job->k_fmt, &p->k_table, t, at, end, &ahead);
			for (i = 0; i + TILE <= p->each; i += TILE)
				dots_strip(TILE, p, q + i * p->padded, base, at, end,
					   scores + i * PITCH);
			for (; i < p->each; i++)
				dots_strip(1, p, q + i * p->padded, base, at, end,
					   scores + i * PITCH);
		}
	}
}

/*
 * Scores to weights exp(score - max) in place; returns their sum, and the maximum. @p has room for
 * whole vectors. The sign of a maximum of zero does not matter, nor does the maximum where all
 * scores are NaNs: the sum is one then.
 */
static float chunk_weights(const struct nib_attention_job *job, float *restrict p, uint32_t base,
			   uint32_t from, uint32_t to, float *max)
{
	float scale = job->scale, cap = job->softcap, top, sums[4];
	uint32_t lo = from - base, hi = to - base + 1, start = lo / 16 * 16, end = hi, i;
	v16 x = v16_set1(-__builtin_inff());

	/* What is not there must not be seen: the rest of the first and of the last vector. */
	for (i = start; i < lo; i++)
		p[i] = nib_nan();
	for (; end % 16; end++)
		p[end] = nib_nan();
	for (i = start; i < end; i++)
		p[i] = p[i] * scale;
	if (cap != 0.0f)
		for (i = start; i < end; i++)
			p[i] = cap * nib_tanh(p[i] / cap);
	for (i = start; i < end; i += 16)
		x = v16_max(v16_load(p + i), x);
	top = v16_most(x);
	for (i = start; i < end; i++)
		p[i] = nib_exp(p[i] - top);
	for (i = start; i < lo; i++)
		p[i] = 0.0f;
	for (i = hi; i < end; i++)
		p[i] = 0.0f;
	/* Position j belongs to lane j mod 16, whatever the window hides below it. */
	x = v16_set1(0.0f);
	for (i = start; i < end; i += 16)
		x = v16_add(x, v16_load(p + i));
	v16_sum4(sums, x, x, x, x);
	*max = top;
	return sums[0];
}

/* o[query][16 * vectors] += p[query][j] * v[j], j ascending over @n positions. */
NIB_INLINE void values_tile(const uint32_t queries, const uint32_t vectors, const float *weights,
			    const float *row, uint32_t n, uint32_t padded, float *o)
{
	v16 s[TILE][WIDE];
	uint32_t j, h, v;

	_Pragma("GCC unroll 4")
	for (h = 0; h < queries; h++)
		_Pragma("GCC unroll 4")
		for (v = 0; v < vectors; v++)
			s[h][v] = v16_load(o + h * padded + v * 16);
	for (j = 0; j < n; j++, row += padded) {
		v16 x[WIDE];

		_Pragma("GCC unroll 4")
		for (v = 0; v < vectors; v++)
			x[v] = v16_load(row + v * 16);
		_Pragma("GCC unroll 4")
		for (h = 0; h < queries; h++) {
			v16 w = v16_set1(weights[h * PITCH + j]);

			_Pragma("GCC unroll 4")
			for (v = 0; v < vectors; v++)
				s[h][v] = v16_fma(w, x[v], s[h][v]);
		}
	}
	_Pragma("GCC unroll 4")
	for (h = 0; h < queries; h++)
		_Pragma("GCC unroll 4")
		for (v = 0; v < vectors; v++)
			v16_store(o + h * padded + v * 16, s[h][v]);
}

/* The strip's positions from..to of the chunk at @base. */
NIB_INLINE void values_strip(const uint32_t queries, const struct pass *p, uint32_t i,
			     uint32_t base, uint32_t from, uint32_t to)
{
	const float *weights = p->p + i * PITCH + (from - base);
	const float *row = p->rows + from % STRIP * p->padded;
	uint32_t padded = p->padded, n = to - from + 1, d;
	float *o = p->o + i * padded;

	if (from > to)
		return;
	for (d = 0; d + 16 * WIDE <= padded; d += 16 * WIDE)
		values_tile(queries, WIDE, weights, row + d, n, padded, o + d);
	for (; d < padded; d += 16)
		values_tile(queries, 1, weights, row + d, n, padded, o + d);
}

/* TILE queries over at..end: what all of them see together, the rest one by one. */
static void values_tiles(const struct pass *p, const struct query *query, uint32_t i, uint32_t base,
			 uint32_t at, uint32_t end)
{
	uint32_t from = at, to = end, h;

	for (h = 0; h < TILE; h++) {
		from = most(from, query[h].from);
		to = least(to, query[h].to);
	}
	if (from > to) {
		for (h = 0; h < TILE; h++)
			values_strip(1, p, i + h, base, most(at, query[h].from),
				     least(end, query[h].to));
		return;
	}
	for (h = 0; from && h < TILE; h++)
		values_strip(1, p, i + h, base, most(at, query[h].from), from - 1);
	values_strip(TILE, p, i, base, from, to);
	for (h = 0; h < TILE; h++)
		values_strip(1, p, i + h, base, to + 1, least(end, query[h].to));
}

/* o[query] = sum of p[query][j] * v[j], j ascending, for all queries of the pass. */
static void chunk_values(const struct pass *p, uint32_t base, uint32_t from, uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	uint32_t at, end, t, i;

	memset(p->o, 0, p->n_kv * p->each * p->padded * sizeof(float));
	for (at = from; at <= to; at = end + 1) {
		struct ahead ahead;

		end = least(at | (STRIP - 1), to);
		ahead = strip_ahead(p, 1, from, end, to);
		for (t = 0; t < p->n_kv; t++) {
			const uint32_t last = (t + 1) * p->each;
			const struct query *query = p->query;

			decode_strip(p, job->v_rows, job->v_fmt, &p->v_table, t, at, end, &ahead);
			for (i = t * p->each; i + TILE <= last; i += TILE)
				values_tiles(p, query + i, i, base, at, end);
			for (; i < last; i++)
				values_strip(1, p, i, base, most(at, query[i].from),
					     least(end, query[i].to));
		}
	}
}

/* Joins values @o with maximum @max2 and sum @sum2 to @total, of @n, with *@max and *@sum. */
static void merge(float *max, float *sum, float *restrict total, uint32_t n, float max2, float sum2,
		  const float *restrict o)
{
	float both = nib_max(*max, max2);
	float a = nib_exp(*max - both), b = nib_exp(max2 - both);
	uint32_t i;

	*max = both;
	*sum = nib_fma(*sum, a, sum2 * b);
	for (i = 0; i < n; i++)
		total[i] = nib_fma(total[i], a, o[i] * b);
}

/* What a chunk gives a query: kept apart, or joined to what the query has. */
static void chunk_end(const struct pass *p, struct query *query, float max, float sum,
		      const float *o)
{
	float *total = p->total + (query - p->query) * p->padded;
	uint32_t dim = p->job->head_dim;

	if (p->part) {
		float *part = p->part + query->head * NIB_ATTN_PART(dim);

		memcpy(part, o, dim * sizeof(float));
		part[dim] = max;
		part[dim + 1] = sum;
	} else if (query->from != query->first) {
		merge(&query->max, &query->sum, total, p->padded, max, sum, o);
	} else {
		query->max = max;
		query->sum = sum;
		memcpy(total, o, p->padded * sizeof(float));
	}
}

#include "attention_direct.h"

/* All queries of the pass over the chunk at @base; those of all K/V heads see the same positions. */
static void chunk(struct pass *p, uint32_t base)
{
	uint32_t from = UINT32_MAX, to = 0, queries = p->n_kv * p->each, i;
	struct query *query = p->query;
	float max[QUERIES], sum[QUERIES];

	for (i = 0; i < queries; i++) {
		query[i].from = most(query[i].first, base);
		query[i].to = least(query[i].last, base + CHUNK - 1);
		if (query[i].from > query[i].to)
			continue;
		from = least(from, query[i].from);
		to = most(to, query[i].to);
	}
	if (from > to)
		return;
	chunk_dots(p, base, from, to);
	for (i = 0; i < queries; i++)
		if (query[i].from <= query[i].to)
			sum[i] = chunk_weights(p->job, p->p + i * PITCH, base, query[i].from,
					       query[i].to, &max[i]);
	chunk_values(p, base, from, to);
	for (i = 0; i < queries; i++)
		if (query[i].from <= query[i].to)
			chunk_end(p, &query[i], max[i], sum[i], p->o + i * p->padded);
}

/*
 * Rows row..row + rows, K/V heads p->kv..p->kv + p->n_kv; of those that share one, heads
 * at..at + heads.
 */
static void pass_prepare(struct pass *p, uint32_t row, uint32_t rows, uint32_t at, uint32_t heads)
{
	const struct nib_attention_job *job = p->job;
	uint32_t share = job->n_heads / job->n_kv_heads, dim = job->head_dim, n = 0, kv, r, h;

	p->each = rows * heads;
	p->first = UINT32_MAX;
	p->last = job->last + row + rows - 1;
	for (kv = p->kv; kv < p->kv + p->n_kv; kv++) {
		for (r = row; r < row + rows; r++) {
			uint32_t last = job->last + r, first = job->first;

			if (job->window && last >= job->window)
				first = most(first, last - job->window + 1);
			p->first = least(p->first, first);
			for (h = kv * share + at; h < kv * share + at + heads; h++, n++) {
				struct query *query = &p->query[n];

				query->q = job->q + r * job->q_pitch / 4 + h * dim;
				query->out = job->out + r * job->out_pitch / 4 + h * dim;
				query->head = h;
				query->first = first;
				query->last = last;
				memcpy(p->q + n * p->padded, query->q, dim * sizeof(float));
			}
		}
	}
}

/* @total / @sum to the output; @zero has as many zeros as a head has elements. */
static void head_end(const struct nib_attention_job *job, uint32_t head, float *max, float *sum,
		     float *restrict total, float *restrict out, const float *zero)
{
	uint32_t dim = job->head_dim, d;

	if (job->sinks)
		merge(max, sum, total, dim, job->sinks[head], 1.0f, zero);
	for (d = 0; d < dim; d++)
		out[d] = nib_canonical(total[d] / *sum);
}

static void pass_run(struct pass *p)
{
	const struct nib_attention_job *job = p->job;
	uint32_t base, i;

	p->part = job->partial;
	for (base = p->first / CHUNK * CHUNK; base <= p->last; base += CHUNK) {
		if (p->direct)
			chunk_direct(p, base);
		else
			chunk(p, base);
		if (p->part)
			p->part += job->n_heads * NIB_ATTN_PART(job->head_dim);
	}
	if (p->part)
		return;
	memset(p->o, 0, p->padded * sizeof(float));
	for (i = 0; i < p->n_kv * p->each; i++) {
		struct query *query = &p->query[i];

		head_end(job, query->head, &query->max, &query->sum, p->total + i * p->padded,
			 query->out, p->o);
	}
}

void NIB_KERNEL(nib_attention_join)(const struct nib_attention_job *job, float *partial,
				    uint32_t chunks, int last)
{
	static const float zero[NIB_ATTN_MAX_HEAD_DIM];
	uint32_t share = job->n_heads / job->n_kv_heads, dim = job->head_dim, head, c;
	uint32_t kv = job->kv_count ? job->kv_count : job->n_kv_heads;

	for (head = job->kv_first * share; head < (job->kv_first + kv) * share; head++) {
		float *part = partial + head * NIB_ATTN_PART(dim), *next = part;

		for (c = 1; c < chunks; c++) {
			next += job->n_heads * NIB_ATTN_PART(dim);
			merge(&part[dim], &part[dim + 1], part, dim, next[dim], next[dim + 1], next);
		}
		if (last)
			head_end(job, head, &part[dim], &part[dim + 1], part,
				 job->out + head * dim, zero);
	}
}

void NIB_KERNEL(nib_attention)(const struct nib_attention_job *job, float *scratch)
{
	uint32_t share = job->n_heads / job->n_kv_heads, all = job->rows ? job->rows : 1;
	uint32_t kv_end = job->kv_count ? job->kv_first + job->kv_count : job->n_kv_heads;
	uint32_t row, rows, at, heads;
	struct pass p;

	p.job = job;
	p.padded = (job->head_dim + 15u) / 16 * 16;
	p.q = scratch;
	p.total = p.q + QUERIES * p.padded;
	p.o = p.total + QUERIES * p.padded;
	p.rows = p.o + QUERIES * p.padded;
	p.p = p.rows + STRIP * p.padded;
	kv_prepare(&p.k_table, job->k_fmt);
	kv_prepare(&p.v_table, job->v_fmt);
	/* Decoding leaves the padding alone; zeros there add nothing to a dot product. */
	if (p.padded != job->head_dim) {
		memset(p.q, 0, QUERIES * p.padded * sizeof(float));
		memset(p.rows, 0, STRIP * p.padded * sizeof(float));
	}
	for (row = 0; row < all; row += rows) {
		rows = least(all - row, most(QUERIES / share, 1));
		for (at = 0; at < share; at += heads) {
			heads = least(share - at, QUERIES);
			for (p.kv = job->kv_first; p.kv < kv_end; p.kv += p.n_kv) {
				p.n_kv = least(QUERIES / (rows * heads), kv_end - p.kv);
				pass_prepare(&p, row, rows, at, heads);
				p.direct = suits_direct(&p, rows);
				pass_run(&p);
			}
		}
	}
}
