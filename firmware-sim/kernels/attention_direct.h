/* SPDX-License-Identifier: MIT */
/*
 * One row with a multiple of four heads to a K/V head, as in decoding: keys and values go from the
 * page through registers, and all K/V heads of a few positions before the next positions, in the
 * order in which they lie in memory. By way of p->rows they would be stored and loaded once more.
 * Included by attention.c alone.
 */
#ifndef NIB_KERNELS_ATTENTION_DIRECT_H
#define NIB_KERNELS_ATTENTION_DIRECT_H

#define SHARE		4u	/* queries that use what was decoded */
#define FETCH_ROWS	16u	/* fetched ahead */
#define VALUE_ROWS	16u	/* between loading and storing sums of values */

/* Rows to be fetched, and what a head's part of one takes. */
struct fetch {
	const uint8_t *row[STEP];
	uint32_t bytes;
};

/*
 * What is FETCH_ROWS behind positions @j .. @j + STEP of the chunk's keys, or its values: those, or else
 * the values of the chunk, or the keys of the next one.
 */
NIB_INLINE struct fetch fetch_begin(const struct pass *p, const int values, uint32_t j,
				    uint32_t from, uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	const uint8_t *const *rows = values ? job->v_rows : job->k_rows;
	uint32_t fmt = values ? job->v_fmt : job->k_fmt, n;
	struct fetch f = { .bytes = 0 };

	j += FETCH_ROWS;
	if (j + STEP - 1 > to && !values) {
		rows = job->v_rows;
		fmt = job->v_fmt;
		j = from + (j > to ? j - to - 1 : 0);
	} else if (j > to && values) {
		rows = job->k_rows;
		fmt = job->k_fmt;
		to = p->last;
	}
	if (j + STEP - 1 > to)
		return f;
	f.bytes = job->head_dim * nib_format_bits(fmt) / 8;
	for (n = 0; n < STEP; n++) {
		const uint8_t *row = rows[j + n - job->first];

		/* Scales. */
		__builtin_prefetch(row + job->n_kv_heads * f.bytes, 0, 3);
		f.row[n] = row + p->kv * f.bytes;
	}
	return f;
}

/* The next head's part. */
NIB_INLINE void fetch_head(struct fetch *f)
{
	uint32_t n, line;

	if (!f->bytes)
		return;
	for (line = 0; line < f->bytes; line += 64)
		_Pragma("GCC unroll 4")
		for (n = 0; n < STEP; n++)
			__builtin_prefetch(f->row[n] + line, 0, 3);
	_Pragma("GCC unroll 4")
	for (n = 0; n < STEP; n++)
		f->row[n] += f->bytes;
}

#ifdef __AVX512F__
/* Scores of SHARE queries at @q at STEP positions, whose slices are @k. */
NIB_INLINE void dots_four(const uint32_t fmt, const int plain, const struct pass *p,
			  const struct kv_slice *k, const float *q, float *scores)
{
	uint32_t dim = p->job->head_dim, i, h, v, n;
	v16 s[SHARE][STEP];

	(void)plain;
	_Pragma("GCC unroll 4")
	for (h = 0; h < SHARE; h++)
		_Pragma("GCC unroll 4")
		for (n = 0; n < STEP; n++)
			s[h][n] = v16_set1(0.0f);
	for (i = 0; i < dim; i += 64) {
		struct kv_raw raw[STEP];

		_Pragma("GCC unroll 4")
		for (n = 0; n < STEP; n++)
			if (kv_is_raw(fmt))
				raw[n] = kv_raw_get(fmt, &p->k_table, &k[n], i);
		_Pragma("GCC unroll 4")
		for (v = 0; v < 4; v++) {
			v16 x[STEP];

			_Pragma("GCC unroll 4")
			for (n = 0; n < STEP; n++)
				x[n] = kv_vector(fmt, &raw[n], &k[n], i, v);
			_Pragma("GCC unroll 4")
			for (h = 0; h < SHARE; h++) {
				v16 y = v16_load(q + h * dim + i + v * 16);

				_Pragma("GCC unroll 4")
				for (n = 0; n < STEP; n++)
					s[h][n] = v16_fma(y, x[n], s[h][n]);
			}
		}
	}
	v16_sum16(scores, PITCH, s);
}
#else
/* Lanes l and l + 4 of the products of SHARE queries and the key @k: pairs of queries. */
NIB_INLINE void dots_key(const uint32_t fmt, const int plain, const struct pass *p,
			 const struct kv_slice *k, const float *q, __m256 *pair)
{
	uint32_t dim = p->job->head_dim, i, h;
	v16 s[SHARE], x;

	_Pragma("GCC unroll 4")
	for (h = 0; h < SHARE; h++)
		s[h] = v16_set1(0.0f);
	for (i = 0; i < dim; i += 16) {
		kv_get(fmt, plain, &p->k_table, k, i, &x);
		_Pragma("GCC unroll 4")
		for (h = 0; h < SHARE; h++)
			s[h] = v16_fma(v16_load(q + h * dim + i), x, s[h]);
	}
	_Pragma("GCC unroll 2")
	for (h = 0; h < SHARE; h += 2)
		pair[h / 2] = v8_fold_halves(v16_fold(s[h]), v16_fold(s[h + 1]));
}

NIB_INLINE void dots_four(const uint32_t fmt, const int plain, const struct pass *p,
			  const struct kv_slice *k, const float *q, float *scores)
{
	__m256 pair[2], first[STEP], second[STEP];
	uint32_t n;

	_Pragma("GCC unroll 4")
	for (n = 0; n < STEP; n++) {
		dots_key(fmt, plain, p, &k[n], q, pair);
		first[n] = pair[0];
		second[n] = pair[1];
	}
	v8_sum8(scores, PITCH, first);
	v8_sum8(scores + 2 * PITCH, PITCH, second);
}
#endif

/* Scores at positions @j .. @j + STEP, whose rows are @row. */
NIB_INLINE void dots_step(const uint32_t fmt, const int plain, const struct pass *p, uint32_t base,
			  uint32_t from, uint32_t to, uint32_t j, const uint8_t *const *row)
{
	const struct nib_attention_job *job = p->job;
	const uint32_t block = nib_format_block(fmt) ? nib_format_block(fmt) : NIB_MAX_DIM;
	uint32_t dim = job->head_dim, width = job->n_kv_heads * dim, n, t, i;
	float scale[STEP][KV_SCALES] __attribute__((aligned(64)));
	struct fetch fetch = fetch_begin(p, 0, j, from, to);
	struct kv_slice k[STEP];

	for (n = 0; n < STEP; n++)
		kv_scales(fmt, plain, &p->k_table, row[n], width, 0, width, scale[n]);
	for (t = 0; t < p->n_kv; t++) {
		fetch_head(&fetch);
		_Pragma("GCC unroll 4")
		for (n = 0; n < STEP; n++)
			k[n] = kv_slice(fmt, row[n], width, (p->kv + t) * dim,
					scale[n] + (p->kv + t) * dim / block);
		for (i = t * p->each; i < (t + 1) * p->each; i += SHARE)
			dots_four(fmt, plain, p, k, p->q + i * dim, p->p + i * PITCH + (j - base));
	}
}

NIB_INLINE void dots_direct(const uint32_t fmt, const struct pass *p, uint32_t base, uint32_t from,
			    uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	const uint8_t *const *rows = job->k_rows - job->first;
	uint32_t dim = job->head_dim, width = job->n_kv_heads * dim, j, n;

	for (j = from / STEP * STEP; j <= to; j += STEP) {
		const uint8_t *row[STEP];
		int plain = 1;

		for (n = 0; n < STEP; n++) {
			row[n] = rows[most(from, least(to, j + n))];
			plain &= kv_plain(fmt, row[n], width, p->kv * dim, p->n_kv * dim);
		}
		if (plain)
			dots_step(fmt, 1, p, base, from, to, j, row);
		else
			dots_step(fmt, 0, p, base, from, to, j, row);
	}
}

/* o[query] += p[query][j] * v[j] for positions @from .. @from + @n, whose slices are @v. */
NIB_INLINE void values_four(const uint32_t fmt, const int plain, const struct pass *p,
			    const struct kv_slice *v, uint32_t n, const float *weights, float *o)
{
	uint32_t dim = p->job->head_dim, i, j, h, g;
	v16 s[SHARE][KV_VECTORS], x[KV_VECTORS];

	for (i = 0; i < dim; i += KV_UNIT) {
		_Pragma("GCC unroll 4")
		for (h = 0; h < SHARE; h++)
			_Pragma("GCC unroll 4")
			for (g = 0; g < KV_VECTORS; g++)
				s[h][g] = v16_load(o + h * dim + i + g * 16);
		for (j = 0; j < n; j++) {
			kv_get(fmt, plain, &p->v_table, &v[j], i, x);
			_Pragma("GCC unroll 4")
			for (h = 0; h < SHARE; h++) {
				v16 w = v16_set1(weights[h * PITCH + j]);

				_Pragma("GCC unroll 4")
				for (g = 0; g < KV_VECTORS; g++)
					s[h][g] = v16_fma(w, x[g], s[h][g]);
			}
		}
		_Pragma("GCC unroll 4")
		for (h = 0; h < SHARE; h++)
			_Pragma("GCC unroll 4")
			for (g = 0; g < KV_VECTORS; g++)
				v16_store(o + h * dim + i + g * 16, s[h][g]);
	}
}

/* Adds values of positions @j .. @j + @some, whose rows are @row. */
NIB_INLINE void values_step(const uint32_t fmt, const int plain, const struct pass *p,
			    uint32_t base, uint32_t from, uint32_t to, uint32_t j, uint32_t some,
			    const uint8_t *const *row)
{
	const struct nib_attention_job *job = p->job;
	const uint32_t block = nib_format_block(fmt) ? nib_format_block(fmt) : NIB_MAX_DIM;
	uint32_t dim = job->head_dim, width = job->n_kv_heads * dim, n, t, i;
	float scale[VALUE_ROWS][KV_SCALES] __attribute__((aligned(64)));
	struct fetch fetch[VALUE_ROWS / STEP];
	struct kv_slice v[VALUE_ROWS];

	for (n = 0; n < VALUE_ROWS / STEP; n++)
		fetch[n] = fetch_begin(p, 1, j + n * STEP, from, to);
	for (n = 0; n < some; n++)
		kv_scales(fmt, plain, &p->v_table, row[n], width, 0, width, scale[n]);
	for (t = 0; t < p->n_kv; t++) {
		for (n = 0; n < VALUE_ROWS / STEP; n++)
			fetch_head(&fetch[n]);
		for (n = 0; n < some; n++)
			v[n] = kv_slice(fmt, row[n], width, (p->kv + t) * dim,
					scale[n] + (p->kv + t) * dim / block);
		for (i = t * p->each; i < (t + 1) * p->each; i += SHARE)
			values_four(fmt, plain, p, v, some, p->p + i * PITCH + (j - base),
				    p->o + i * dim);
	}
}

NIB_INLINE void values_direct(const uint32_t fmt, const struct pass *p, uint32_t base,
			      uint32_t from, uint32_t to)
{
	const struct nib_attention_job *job = p->job;
	const uint8_t *const *rows = job->v_rows - job->first;
	uint32_t dim = job->head_dim, width = job->n_kv_heads * dim, j, n, some;

	for (j = from; j <= to; j += some) {
		int plain = 1;

		some = least(VALUE_ROWS, to - j + 1);
		for (n = 0; n < some; n++)
			plain &= kv_plain(fmt, rows[j + n], width, p->kv * dim, p->n_kv * dim);
		if (plain)
			values_step(fmt, 1, p, base, from, to, j, some, rows + j);
		else
			values_step(fmt, 0, p, base, from, to, j, some, rows + j);
	}
}

/* Whether a row goes this way. */
static int suits_direct(const struct pass *p, uint32_t rows)
{
	const struct nib_attention_job *job = p->job;
	uint32_t dim = job->head_dim, width = job->n_kv_heads * dim;

	return rows == 1 && p->each % SHARE == 0 && kv_suits(job->k_fmt, 0, dim) &&
	       kv_suits(job->v_fmt, 0, dim) && kv_scales_fit(job->k_fmt, width) &&
	       kv_scales_fit(job->v_fmt, width);
}

/* The chunk at @base for all queries of the pass. */
static void chunk_direct(struct pass *p, uint32_t base)
{
	const struct nib_attention_job *job = p->job;
	uint32_t from = most(p->first, base), to = least(p->last, base + CHUNK - 1), i;
	uint32_t queries = p->n_kv * p->each;
	float max[QUERIES], sum[QUERIES];

	KV_BY_FORMAT(job->k_fmt, dots_direct, p, base, from, to);
	for (i = 0; i < queries; i++)
		sum[i] = chunk_weights(job, p->p + i * PITCH, base, from, to, &max[i]);
	memset(p->o, 0, queries * p->padded * sizeof(float));
	KV_BY_FORMAT(job->v_fmt, values_direct, p, base, from, to);
	for (i = 0; i < queries; i++) {
		p->query[i].from = from;
		chunk_end(p, &p->query[i], max[i], sum[i], p->o + i * p->padded);
	}
}

#endif
