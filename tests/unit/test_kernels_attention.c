/* SPDX-License-Identifier: MIT */
/*
 * Attention: the scalar reference against a softmax in FP64, and every other kernel table against
 * it, bit for bit, across chunks, windows, formats and head sizes.
 */
#include "kernel_fixture.h"

static const uint32_t kv_formats[] = {
	NIB_FMT_F32, NIB_FMT_BF16, NIB_FMT_E4M3, NIB_FMT_E5M2, NIB_FMT_MXFP4,
	NIB_FMT_NVFP4, NIB_FMT_MXFP8, NIB_FMT_MXFP8_E5M2, NIB_FMT_MXFP8X2,
};
#define KV_FORMATS	9

/* One query row over positions first..last; what is odd about it comes from @variant. */
struct attention_case {
	struct nib_attention_job job;
	uint8_t *k;
	uint8_t *v;
	const uint8_t **k_rows;
	const uint8_t **v_rows;
	float *q;
	float *sinks;
	float *scratch;
	float *want;
	float *got;
};

static uint8_t *make_kv(uint32_t fmt, uint32_t positions, uint32_t width, int wild)
{
	size_t pitch = nib_row_bytes(fmt, width);
	uint8_t *rows = fixture_alloc(pitch * positions);
	float *x = fixture_alloc(width * 4);
	uint32_t p, i;

	for (p = 0; p < positions; p++) {
		for (i = 0; i < width; i++)
			x[i] = wild && fixture_below(40) == 0 ? fixture_wild() : fixture_uniform();
		nib_kernels_scalar.row_encode(fmt, NIB_SCALE_CEIL, x, width, rows + p * pitch);
	}
	free(x);
	return rows;
}

static void attention_make(struct attention_case *c, uint32_t k_fmt, uint32_t v_fmt, uint32_t first,
			   uint32_t last, uint32_t kv_heads, uint32_t share, uint32_t dim,
			   uint32_t variant)
{
	uint32_t positions = last - first + 1, width = kv_heads * dim, heads = kv_heads * share, i;

	c->k = make_kv(k_fmt, positions, width, variant & 4);
	c->v = make_kv(v_fmt, positions, width, variant & 4);
	c->k_rows = fixture_alloc(positions * sizeof(*c->k_rows));
	c->v_rows = fixture_alloc(positions * sizeof(*c->v_rows));
	for (i = 0; i < positions; i++) {
		c->k_rows[i] = c->k + i * nib_row_bytes(k_fmt, width);
		c->v_rows[i] = c->v + i * nib_row_bytes(v_fmt, width);
	}
	c->q = fixture_alloc(heads * dim * 4);
	c->sinks = fixture_alloc(heads * 4);
	c->want = fixture_alloc(heads * dim * 4);
	c->got = fixture_alloc(heads * dim * 4);
	c->scratch = fixture_alloc(nib_attention_scratch(dim) * 4);
	for (i = 0; i < heads * dim; i++)
		c->q[i] = fixture_uniform() * 4;
	for (i = 0; i < heads; i++)
		c->sinks[i] = fixture_uniform() * 4;
	c->job = (struct nib_attention_job){
		.q = c->q,
		.out = c->want,
		.k_rows = c->k_rows,
		.v_rows = c->v_rows,
		.sinks = variant & 1 ? c->sinks : NULL,
		.first = first,
		.last = last,
		.n_heads = heads,
		.n_kv_heads = kv_heads,
		.head_dim = dim,
		.k_fmt = k_fmt,
		.v_fmt = v_fmt,
		.scale = 1 / sqrtf(dim),
		.softcap = variant & 2 ? 5.0f : 0.0f,
	};
}

static void attention_free(struct attention_case *c)
{
	free(c->k);
	free(c->v);
	free(c->k_rows);
	free(c->v_rows);
	free(c->q);
	free(c->sinks);
	free(c->want);
	free(c->got);
	free(c->scratch);
}

/* Softmax in FP64. */
static void attention_exact(const struct attention_case *c, double *out)
{
	const struct nib_attention_job *j = &c->job;
	uint32_t width = j->n_kv_heads * j->head_dim, positions = j->last - j->first + 1, h, p, d;
	double *weight = fixture_alloc(positions * sizeof(double)), max, sum;
	float *row = fixture_alloc(width * 4);

	for (h = 0; h < j->n_heads; h++) {
		uint32_t slice = h / (j->n_heads / j->n_kv_heads) * j->head_dim;

		max = j->sinks ? j->sinks[h] : -INFINITY;
		for (p = 0; p < positions; p++) {
			double dot = 0;

			nib_kernels_scalar.row_decode(j->k_fmt, j->k_rows[p], width, 0, width, row);
			for (d = 0; d < j->head_dim; d++)
				dot += (double)j->q[h * j->head_dim + d] * row[slice + d];
			dot *= j->scale;
			if (j->softcap != 0)
				dot = j->softcap * tanh(dot / j->softcap);
			weight[p] = dot;
			max = fmax(max, dot);
		}
		sum = j->sinks ? exp(j->sinks[h] - max) : 0;
		memset(out + h * j->head_dim, 0, j->head_dim * sizeof(double));
		for (p = 0; p < positions; p++) {
			double e = exp(weight[p] - max);

			sum += e;
			nib_kernels_scalar.row_decode(j->v_fmt, j->v_rows[p], width, 0, width, row);
			for (d = 0; d < j->head_dim; d++)
				out[h * j->head_dim + d] += e * row[slice + d];
		}
		for (d = 0; d < j->head_dim; d++)
			out[h * j->head_dim + d] /= sum;
	}
	free(weight);
	free(row);
}

/* The same in two runs of chunks that are joined afterwards, in two steps. */
static void attention_in_parts(const struct attention_case *c, const struct nib_kernels *table)
{
	struct nib_attention_job job = c->job;
	uint32_t first = job.first / NIB_ATTN_CHUNK, chunks = job.last / NIB_ATTN_CHUNK - first + 1;
	size_t part = job.n_heads * NIB_ATTN_PART(job.head_dim);
	float *partial = fixture_alloc(chunks * part * sizeof(float));
	uint32_t cut = chunks / 2, skip;

	job.partial = partial;
	if (cut) {
		job.last = (first + cut) * NIB_ATTN_CHUNK - 1;
		table->attention(&job, c->scratch);
		skip = job.last + 1 - job.first;
		job.first += skip;
		job.k_rows += skip;
		job.v_rows += skip;
		job.last = c->job.last;
		job.partial += cut * part;
		table->attention(&job, c->scratch);
		table->attention_join(&job, partial, cut, 0);
		memcpy(partial + (cut - 1) * part, partial, part * sizeof(float));
		table->attention_join(&job, partial + (cut - 1) * part, chunks - cut + 1, 1);
	} else {
		table->attention(&job, c->scratch);
		table->attention_join(&job, partial, 1, 1);
	}
	free(partial);
}

static void attention_check(uint32_t k_fmt, uint32_t v_fmt, uint32_t first, uint32_t last,
			    uint32_t kv_heads, uint32_t share, uint32_t dim, uint32_t variant)
{
	struct attention_case c;
	uint32_t n = kv_heads * share * dim, t, i;
	double *exact = fixture_alloc(n * sizeof(double));

	attention_make(&c, k_fmt, v_fmt, first, last, kv_heads, share, dim, variant);
	nib_kernels_scalar.attention(&c.job, c.scratch);
	if (!(variant & 4)) {
		attention_exact(&c, exact);
		for (i = 0; i < n; i++)
			CHECK_MSG(fabs(c.want[i] - exact[i]) < 2e-5, "%g, not %g", c.want[i],
				  exact[i]);
	}
	c.job.out = c.got;
	for (t = 0; fixture_table(t); t++) {
		memset(c.scratch, 0xff, nib_attention_scratch(dim) * 4);
		memset(c.got, 0x5a, n * 4ul);
		fixture_table(t)->attention(&c.job, c.scratch);
		fixture_same(c.got, c.want, n, fixture_table(t)->name);
		memset(c.got, 0x5a, n * 4ul);
		attention_in_parts(&c, fixture_table(t));
		fixture_same(c.got, c.want, n, fixture_table(t)->name);
	}
	attention_free(&c);
	free(exact);
}

/* Positions around the borders of chunks and of windows. */
START_TEST(attention_positions)
{
	static const uint32_t last[] = { 0, 1, 2, 3, 15, 16, 255, 256, 257, 511, 512, 700 };
	uint32_t i, variant;

	fixture_seed(_i + 500);
	for (i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
		for (variant = 0; variant < 8; variant++) {
			attention_check(NIB_FMT_BF16, NIB_FMT_F32, 0, last[i], 1, 2, 16, variant);
			if (last[i] > 10)
				attention_check(NIB_FMT_F32, NIB_FMT_BF16, last[i] - 10, last[i], 1,
						1, 8, variant);
			if (last[i] > 300)
				attention_check(NIB_FMT_F32, NIB_FMT_F32, last[i] - 299, last[i], 1,
						3, 24, variant);
		}
	}
}
END_TEST

/* Formats of K and V, sizes of a head, heads that share. */
START_TEST(attention_formats)
{
	static const uint32_t dims[] = { 8, 64, 80, 128, 1, 33 };
	uint32_t k_fmt = kv_formats[_i], v_fmt = kv_formats[(_i + 4) % KV_FORMATS], i, round;

	fixture_seed(_i + 600);
	for (i = 0; i < sizeof(dims) / sizeof(dims[0]); i++) {
		attention_check(k_fmt, v_fmt, 0, 40, 3, 1, dims[i], 0);
		attention_check(k_fmt, v_fmt, 250, 270, 2, 9, dims[i], 1);
		for (round = 0; round < 3; round++)
			attention_check(k_fmt, v_fmt, fixture_below(20), 20 + fixture_below(20),
					1 + fixture_below(3), 1 + fixture_below(5), dims[i],
					fixture_below(8));
	}
	attention_check(k_fmt, v_fmt, 0, 5, 1, 1, NIB_ATTN_MAX_HEAD_DIM, 0);
	/* What decoding does: heads in fours. */
	for (round = 0; round < 8; round++)
		attention_check(k_fmt, v_fmt, fixture_below(300), 300 + fixture_below(600),
				1 + fixture_below(3), round % 2 ? 4 : 8, round % 3 ? 64 : 128, round);
}
END_TEST

/* All codes of elements and of scales as values: a single position's are the result. */
START_TEST(attention_codes)
{
	uint32_t fmt = kv_formats[_i], width = 512, p, i, t, share;
	size_t data = nib_row_data_bytes(fmt, width), scales = nib_row_scale_bytes(fmt, width);
	const float one = 1.0f;
	struct attention_case c;

	for (p = 0; p < 64; p++) {
		share = p % 2 ? 4 : 3;
		attention_make(&c, NIB_FMT_F32, fmt, 0, 0, width / 64, share, 64, 0);
		for (i = 0; i < data; i++)
			c.v[i] = (uint8_t)(i + i / 256 + p * 5);
		for (i = 0; i < scales; i++)
			c.v[data + i] = (uint8_t)(p / 2 * 16 + i);
		if (fmt == NIB_FMT_NVFP4)
			memcpy(c.v + data + scales, &one, sizeof(one));
		nib_kernels_scalar.attention(&c.job, c.scratch);
		c.job.out = c.got;
		for (t = 0; fixture_table(t); t++) {
			memset(c.got, 0x5a, width * share * 4ul);
			fixture_table(t)->attention(&c.job, c.scratch);
			fixture_same(c.got, c.want, width * share, fixture_table(t)->name);
		}
		attention_free(&c);
	}
}
END_TEST

/* A power of two that brings a number near 1. */
static float bring_near_one(float x)
{
	int e;

	if (!isfinite(x) || x == 0)
		return 1;
	frexpf(x, &e);
	return nib_pow2(e < -126 ? 126 : e > 126 ? -126 : -e);
}

/*
 * The same as keys: each head has one, in one place, against a key of zeros. Its score is near 1, so
 * that the result shows its bits; a NaN or an infinity shows, too.
 */
START_TEST(attention_key_codes)
{
	uint32_t fmt = kv_formats[_i], kv = 8, dim = 64, width = kv * dim, round, h, s, t, i;
	size_t data = nib_row_data_bytes(fmt, width), scales = nib_row_scale_bytes(fmt, width);
	size_t pitch = nib_row_bytes(fmt, width);
	const float one = 1.0f;
	float *key = fixture_alloc(width * 4);
	struct attention_case c;

	fixture_seed(_i + 620);
	attention_make(&c, fmt, NIB_FMT_F32, 0, 1, kv, 4, dim, 0);
	c.job.scale = 1;
	memset(c.k, 0, 2 * pitch);
	if (fmt == NIB_FMT_NVFP4)
		memcpy(c.k + pitch + data + scales, &one, sizeof(one));
	/* 65536: all codes of 16 bits, or all of eight under all scales. */
	for (round = 0; round < 65536; round += kv * FIXTURE_STRIDE) {
		memset(c.k + pitch, 0, nib_format_terms(fmt) * (data + scales));
		memset(c.q, 0, width * 16);
		for (h = 0; h < kv; h++) {
			uint32_t code = round + h, at = h * dim + (code * 7 + code / 256) % dim;

			for (t = 0; t < nib_format_terms(fmt); t++)
				fixture_row_put(fmt, c.k + pitch, width, t, at,
						nib_format_bits(fmt) == 32 ? fixture_u32() :
						nib_format_bits(fmt) == 16 ? code :
						code & ((1u << nib_format_bits(fmt)) - 1));
		}
		for (i = 0; i < scales; i++)
			for (t = 0; t < nib_format_terms(fmt); t++)
				c.k[pitch + t * (data + scales) + data + i] = (uint8_t)(round / 256);
		nib_kernels_scalar.row_decode(fmt, c.k + pitch, width, 0, width, key);
		for (h = 0; h < kv; h++)
			for (i = 0; i < dim; i++)
				for (s = 0; s < 4 && nib_bits(key[h * dim + i]) << 1; s++)
					c.q[(h * 4 + s) * dim + i] =
						bring_near_one(key[h * dim + i]) * (1 + s * 0.25f);
		c.job.out = c.want;
		nib_kernels_scalar.attention(&c.job, c.scratch);
		c.job.out = c.got;
		for (t = 0; fixture_table(t); t++) {
			fixture_table(t)->attention(&c.job, c.scratch);
			fixture_same(c.got, c.want, width * 4, fixture_table(t)->name);
		}
	}
	attention_free(&c);
	free(key);
}
END_TEST

/* Rows that go together, and K/V heads that go alone: the bits of row by row. */
START_TEST(attention_rows)
{
	static const struct { uint32_t kv, share, dim, rows, last, window; } cases[] = {
		{ 2, 4, 64, 40, 240, 0 },    { 2, 4, 64, 33, 500, 70 }, { 8, 4, 64, 1, 1100, 0 },
		{ 3, 1, 128, 20, 250, 300 }, { 2, 3, 80, 25, 0, 9 },	{ 1, 70, 64, 3, 300, 0 },
		{ 4, 2, 33, 9, 255, 256 },   { 2, 8, 128, 10, 254, 1 },
	};
	uint32_t i = _i % 8, fmt = kv_formats[_i / 8], t, r, kv;
	uint32_t heads = cases[i].kv * cases[i].share;
	uint32_t width = heads * cases[i].dim, all = cases[i].rows * width, last = cases[i].last;
	float *q = fixture_alloc(all * 4), *want = fixture_alloc(all * 4);
	float *got = fixture_alloc(all * 4);
	struct nib_attention_job job;
	struct attention_case c;

	fixture_seed(_i + 650);
	attention_make(&c, fmt, fmt, 0, last + cases[i].rows, cases[i].kv, cases[i].share,
		       cases[i].dim, _i % 2);
	for (r = 0; r < all; r++)
		q[r] = fixture_uniform() * 4;
	for (r = 0; r < cases[i].rows; r++) {
		job = c.job;
		job.last = last + r;
		job.first = cases[i].window && job.last >= cases[i].window ?
			    job.last - cases[i].window + 1 : 0;
		job.k_rows += job.first;
		job.v_rows += job.first;
		job.q = q + r * width;
		job.out = want + r * width;
		nib_kernels_scalar.attention(&job, c.scratch);
	}
	for (t = 0; !t || fixture_table(t - 1); t++) {
		const struct nib_kernels *table = t ? fixture_table(t - 1) : &nib_kernels_scalar;

		job = c.job;
		job.last = last;
		job.rows = cases[i].rows;
		job.window = cases[i].window;
		job.q = q;
		job.out = got;
		job.q_pitch = job.out_pitch = width * 4;
		memset(got, 0x5a, all * 4ul);
		table->attention(&job, c.scratch);
		fixture_same(got, want, all, table->name);
		memset(got, 0x5a, all * 4ul);
		for (kv = 0; kv < cases[i].kv; kv += job.kv_count) {
			job.kv_first = kv;
			job.kv_count = cases[i].kv - kv < 3 ? 1 : 3;
			table->attention(&job, c.scratch);
		}
		fixture_same(got, want, all, table->name);
	}
	attention_free(&c);
	free(q);
	free(want);
	free(got);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kernels: attention");
	TCase *tests = tcase_create("attention");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, attention_positions);
	tcase_add_loop_test(tests, attention_formats, 0, KV_FORMATS);
	tcase_add_loop_test(tests, attention_codes, 0, KV_FORMATS);
	tcase_add_loop_test(tests, attention_key_codes, 0, KV_FORMATS);
	tcase_add_loop_test(tests, attention_rows, 0, KV_FORMATS * 8);
	suite_add_tcase(suite, tests);
	return fixture_run(suite);
}
