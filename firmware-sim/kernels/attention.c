/* SPDX-License-Identifier: MIT */
/*
 * Attention over 16 lanes. A query is one head of one row; as many as share a K/V head go together,
 * so that a key or value is decoded once for all of them. The context is taken in the chunks of
 * nib_isa.h, all K/V heads of a pass before the next chunk, so that memory is read in sequence.
 * Compiled for each vector instruction set; the order of operations is scalar.c's.
 */
#include "simd.h"
#include "lanes.h"
#include "kv_decode.h"

#define QUERIES	NIB_ATTN_QUERIES	/* of a pass */
#define CHUNK	NIB_ATTN_CHUNK
#define STRIP	NIB_ATTN_STRIP		/* positions that are decoded at a time */
#define FETCH	8u			/* positions decoded between two fetches */
#define STEP	4u			/* positions of a tile */
#ifdef __AVX512F__
#define TILE	4u			/* queries of a tile: TILE x STEP sums in registers */
#else
#define TILE	1u
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
	float *o;			/* [query of a K/V head][padded]: values of the chunk */
	float *p;			/* [query of a K/V head][CHUNK]: scores, then weights */
	float *rows;			/* [STRIP][padded]: decoded keys or values */
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

/* Fetches rows from..to of K or V, as far as the pass reads them. */
static void prefetch_rows(const struct pass *p, const uint8_t *const *rows, uint32_t fmt,
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

/*
 * While positions from @at on of head @t of the pass are at work, FETCH of them: fetches a part of
 * the next chunk. All positions of all heads together fetch all of it.
 */
static void prefetch_part(const struct pass *p, const uint8_t *const *rows, uint32_t fmt,
			  uint32_t t, uint32_t at)
{
	uint32_t next = (at & ~(CHUNK - 1)) + CHUNK, part = (t * CHUNK + at % CHUNK) / FETCH;

	prefetch_rows(p, rows, fmt, next + part * FETCH / p->n_kv,
		      least(next + (part + 1) * FETCH / p->n_kv, p->last + 1));
}

/*
 * Positions from..to, in one strip, of K or V of head @t of the pass to @p->rows; @from is at row
 * from % STRIP.
 */
static void decode_strip(const struct pass *p, const uint8_t *const *rows, uint32_t fmt,
			 const struct kv_table *table, uint32_t t, uint32_t from, uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	uint32_t width = job->n_kv_heads * job->head_dim, dim = job->head_dim, i, n;
	uint32_t at = (p->kv + t) * dim, r;
	float *dst = p->rows + from % STRIP * p->padded;

	for (i = from; i <= to; i += n, dst += n * p->padded) {
		n = least(FETCH - i % FETCH, to - i + 1);
		prefetch_part(p, rows, fmt, t, i);
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

/* Scores of @queries queries at the STEP positions that start at @row. */
NIB_INLINE void dots_tile(const uint32_t queries, const uint32_t padded, const float *q,
			  const float *row, float *scores)
{
	uint32_t i, h, j;
	v16 s[TILE][STEP];

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
		v16_sum16(scores, CHUNK, s);
		return;
	}
#endif
	for (h = 0; h < queries; h++)
		v16_sum4(scores + h * CHUNK, s[h][0], s[h][1], s[h][2], s[h][3]);
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

static void chunk_dots(const struct pass *p, uint32_t t, uint32_t base, uint32_t from, uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	const float *q = p->q + t * p->each * p->padded;
	uint32_t at, end, i;

	for (at = from; at <= to; at = end + 1) {
		end = least(at | (STRIP - 1), to);
		decode_strip(p, job->k_rows, job->k_fmt, &p->k_table, t, at, end);
		for (i = 0; i + TILE <= p->each; i += TILE)
			dots_strip(TILE, p, q + i * p->padded, base, at, end, p->p + i * CHUNK);
		for (; i < p->each; i++)
			dots_strip(1, p, q + i * p->padded, base, at, end, p->p + i * CHUNK);
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
	v16 s[TILE][4];
	uint32_t j, h, v;

	for (h = 0; h < queries; h++)
		for (v = 0; v < vectors; v++)
			s[h][v] = v16_load(o + h * padded + v * 16);
	for (j = 0; j < n; j++, row += padded) {
		v16 x[4];

		for (v = 0; v < vectors; v++)
			x[v] = v16_load(row + v * 16);
		for (h = 0; h < queries; h++) {
			v16 w = v16_set1(weights[h * CHUNK + j]);

			for (v = 0; v < vectors; v++)
				s[h][v] = v16_fma(w, x[v], s[h][v]);
		}
	}
	for (h = 0; h < queries; h++)
		for (v = 0; v < vectors; v++)
			v16_store(o + h * padded + v * 16, s[h][v]);
}

/* The strip's positions from..to of the chunk at @base. */
NIB_INLINE void values_strip(const uint32_t queries, const struct pass *p, uint32_t i,
			     uint32_t base, uint32_t from, uint32_t to)
{
	const float *weights = p->p + i * CHUNK + (from - base);
	const float *row = p->rows + from % STRIP * p->padded;
	uint32_t padded = p->padded, n = to - from + 1, d;
	float *o = p->o + i * padded;

	if (from > to)
		return;
	for (d = 0; d + 64 <= padded; d += 64)
		values_tile(queries, 4, weights, row + d, n, padded, o + d);
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

/* o[query] = sum of p[query][j] * v[j], j ascending. */
static void chunk_values(const struct pass *p, uint32_t t, uint32_t base, uint32_t from,
			 uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	const struct query *query = p->query + t * p->each;
	uint32_t at, end, i;

	memset(p->o, 0, p->each * p->padded * sizeof(float));
	for (at = from; at <= to; at = end + 1) {
		end = least(at | (STRIP - 1), to);
		decode_strip(p, job->v_rows, job->v_fmt, &p->v_table, t, at, end);
		for (i = 0; i + TILE <= p->each; i += TILE)
			values_tiles(p, query + i, i, base, at, end);
		for (; i < p->each; i++)
			values_strip(1, p, i, base, most(at, query[i].from),
				     least(end, query[i].to));
	}
}

#ifdef __AVX512F__
/*
 * Four queries alone, as in decoding with four heads to a K/V head: keys and values go from the
 * page through registers. By way of p->rows they would be stored and loaded once more.
 */
NIB_INLINE void dots_direct(const uint32_t fmt, const struct pass *p, uint32_t t, uint32_t base,
			    uint32_t from, uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	uint32_t dim = job->head_dim, width = job->n_kv_heads * dim, at = (p->kv + t) * dim;
	const float *q = p->q + t * TILE * p->padded;
	uint32_t j, i, h, v, half, n;

	for (j = from / STEP * STEP; j <= to; j += STEP) {
		v16 s[TILE][STEP], x[2][4];

		if (j % FETCH == 0)
			prefetch_part(p, job->k_rows, job->k_fmt, t, j);
		_Pragma("GCC unroll 2")
		for (half = 0; half < 2; half++) {
			struct kv_slice k[2];

			for (n = 0; n < 2; n++) {
				uint32_t pos = most(from, least(to, j + half * 2 + n));

				k[n] = kv_slice(fmt, job->k_rows[pos - job->first], width, at);
			}
			_Pragma("GCC unroll 4")
			for (h = 0; h < TILE; h++)
				s[h][half * 2] = s[h][half * 2 + 1] = v16_set1(0.0f);
			for (i = 0; i < dim; i += 64) {
				kv_64(fmt, &p->k_table, &k[0], i, x[0]);
				kv_64(fmt, &p->k_table, &k[1], i, x[1]);
				_Pragma("GCC unroll 4")
				for (v = 0; v < 4; v++) {
					_Pragma("GCC unroll 4")
					for (h = 0; h < TILE; h++) {
						v16 y = v16_load(q + h * dim + i + v * 16);

						s[h][half * 2] =
							v16_fma(y, x[0][v], s[h][half * 2]);
						s[h][half * 2 + 1] =
							v16_fma(y, x[1][v], s[h][half * 2 + 1]);
					}
				}
			}
		}
		v16_sum16(p->p + (j - base), CHUNK, s);
	}
}

NIB_INLINE void values_direct(const uint32_t fmt, const struct pass *p, uint32_t t, uint32_t base,
			      uint32_t from, uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	uint32_t dim = job->head_dim, width = job->n_kv_heads * dim, at = (p->kv + t) * dim;
	const float *weights = p->p;
	uint32_t j, i, h, v;

	for (i = 0; i < dim; i += 64) {
		v16 s[TILE][4], x[4];

		_Pragma("GCC unroll 4")
		for (h = 0; h < TILE; h++)
			_Pragma("GCC unroll 4")
			for (v = 0; v < 4; v++)
				s[h][v] = v16_set1(0.0f);
		for (j = from; j <= to; j++) {
			struct kv_slice row = kv_slice(fmt, job->v_rows[j - job->first], width, at);

			if (i == 0 && j % FETCH == 0)
				prefetch_part(p, job->v_rows, job->v_fmt, t, j);
			kv_64(fmt, &p->v_table, &row, i, x);
			_Pragma("GCC unroll 4")
			for (h = 0; h < TILE; h++) {
				v16 w = v16_set1(weights[h * CHUNK + (j - base)]);

				_Pragma("GCC unroll 4")
				for (v = 0; v < 4; v++)
					s[h][v] = v16_fma(w, x[v], s[h][v]);
			}
		}
		for (h = 0; h < TILE; h++)
			for (v = 0; v < 4; v++)
				v16_store(p->o + h * dim + i + v * 16, s[h][v]);
	}
}

/* True where it did the work. */
static int dots_few(const struct pass *p, uint32_t t, uint32_t base, uint32_t from, uint32_t to)
{
	const struct nib_attention_job *job = p->job;

	if (p->each != TILE || !kv_suits(job->k_fmt, (p->kv + t) * job->head_dim, job->head_dim))
		return 0;
	KV_BY_FORMAT(job->k_fmt, dots_direct, p, t, base, from, to);
	return 1;
}

static int values_few(const struct pass *p, uint32_t t, uint32_t base, uint32_t from, uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	const struct query *query = p->query + t * TILE;

	if (p->each != TILE || query[0].first != query[TILE - 1].first ||
	    query[0].last != query[TILE - 1].last ||
	    !kv_suits(job->v_fmt, (p->kv + t) * job->head_dim, job->head_dim))
		return 0;
	KV_BY_FORMAT(job->v_fmt, values_direct, p, t, base, from, to);
	return 1;
}
#else
static int dots_few(const struct pass *p, uint32_t t, uint32_t base, uint32_t from, uint32_t to)
{
	(void)p, (void)t, (void)base, (void)from, (void)to;
	return 0;
}

static int values_few(const struct pass *p, uint32_t t, uint32_t base, uint32_t from, uint32_t to)
{
	(void)p, (void)t, (void)base, (void)from, (void)to;
	return 0;
}
#endif

/* Joins a chunk with maximum @max, sum @sum and values @o to what a query has. */
static void merge(const struct pass *p, struct query *query, float max, float sum,
		  const float *restrict o)
{
	float *restrict total = p->total + (query - p->query) * p->padded;
	float both = nib_max(query->max, max);
	float a = nib_exp(query->max - both), b = nib_exp(max - both);
	uint32_t i;

	query->max = both;
	query->sum = nib_fma(query->sum, a, sum * b);
	for (i = 0; i < p->padded; i++)
		total[i] = nib_fma(total[i], a, o[i] * b);
}

/* All queries of K/V head @t of the pass over the chunk at @base. */
static void chunk(struct pass *p, uint32_t t, uint32_t base)
{
	struct query *query = p->query + t * p->each;
	uint32_t from = UINT32_MAX, to = 0, i;
	float max[QUERIES], sum[QUERIES];

	for (i = 0; i < p->each; i++) {
		query[i].from = most(query[i].first, base);
		query[i].to = least(query[i].last, base + CHUNK - 1);
		if (query[i].from > query[i].to)
			continue;
		from = least(from, query[i].from);
		to = most(to, query[i].to);
	}
	if (from > to)
		return;
	if (!dots_few(p, t, base, from, to))
		chunk_dots(p, t, base, from, to);
	for (i = 0; i < p->each; i++)
		if (query[i].from <= query[i].to)
			sum[i] = chunk_weights(p->job, p->p + i * CHUNK, base, query[i].from,
					       query[i].to, &max[i]);
	if (!values_few(p, t, base, from, to))
		chunk_values(p, t, base, from, to);
	for (i = 0; i < p->each; i++) {
		const float *o = p->o + i * p->padded;

		if (query[i].from > query[i].to)
			continue;
		if (query[i].from != query[i].first) {
			merge(p, &query[i], max[i], sum[i], o);
			continue;
		}
		query[i].max = max[i];
		query[i].sum = sum[i];
		memcpy(p->total + (query + i - p->query) * p->padded, o,
		       p->padded * sizeof(float));
	}
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

static void pass_run(struct pass *p)
{
	const struct nib_attention_job *job = p->job;
	uint32_t dim = job->head_dim, base, i, t, d;

	for (base = p->first / CHUNK * CHUNK; base <= p->last; base += CHUNK)
		for (t = 0; t < p->n_kv; t++)
			chunk(p, t, base);
	if (job->sinks)
		memset(p->o, 0, p->padded * sizeof(float));
	for (i = 0; i < p->n_kv * p->each; i++) {
		struct query *query = &p->query[i];
		const float *restrict total = p->total + i * p->padded;
		float *restrict out = query->out;

		if (job->sinks)
			merge(p, query, job->sinks[query->head], 1.0f, p->o);
		for (d = 0; d < dim; d++)
			out[d] = nib_canonical(total[d] / query->sum);
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
	memset(p.q, 0, QUERIES * p.padded * sizeof(float));
	memset(p.rows, 0, STRIP * p.padded * sizeof(float));
	for (row = 0; row < all; row += rows) {
		rows = least(all - row, most(QUERIES / share, 1));
		for (at = 0; at < share; at += heads) {
			heads = least(share - at, QUERIES);
			for (p.kv = job->kv_first; p.kv < kv_end; p.kv += p.n_kv) {
				p.n_kv = least(QUERIES / (rows * heads), kv_end - p.kv);
				pass_prepare(&p, row, rows, at, heads);
				pass_run(&p);
			}
		}
	}
}
