/* SPDX-License-Identifier: MIT */
/*
 * GEMM with AVX2 and FMA: FP32 over lanes of 8 outputs, in the order of nib_isa.h. A tile of
 * weights is decoded to FP32 once, in L1, for all rows of the piece; FP8 weights for a single row in
 * registers. Where an operand is BF16, sums of a block are stored and scaled in a second pass, because
 * the two want different treatment of subnormals. FP4 weights have a file of their own.
 */
#include <immintrin.h>

#define GEMM_NAME	gemm_fp32
#define GEMM_ELEMENT	4u
#define GEMM_ROWS	48u
#define GEMM_PANELS	8u
#define GEMM_BUFFER	(256u << 10)
struct gemm_tables {
	char unused;
};
#include "gemm.h"
#include "decode_avx2.h"

#define GROUPS		(NIB_PANEL_N / 16)
#define MAX_ROWS	6	/* x 2 sums, 2 weights and an activation: 15 of 16 registers */
#define ROW_FACTOR	0x1p60f	/* of a single row; see row_multiply() */
#define AHEAD		4096u	/* bytes of W fetched ahead */
#define FLUSH		0x8000u	/* MXCSR: results that would be subnormal become zero */

static void gemm_prepare(const struct nib_gemm_job *job, struct gemm_tables *tables)
{
	(void)job;
	tables->unused = 0;
}

/* BF16 in the upper half of @bits; subnormals are zeros. */
NIB_INLINE float bf16_operand(uint32_t bits)
{
	uint32_t sign = bits & 0x80000000u;

	return nib_float((bits & 0x7f800000u) ? bits & 0xffff0000u : sign);
}

NIB_INLINE float fp8_decode(const uint32_t fmt, uint32_t code)
{
	return fmt == NIB_FMT_MXFP8_E5M2 ? nib_e5m2_decode(code) : nib_e4m3_decode(code);
}

static void pack_row(const struct gemm_piece *p, const uint8_t *restrict data, float *restrict x)
{
	uint32_t i;

	switch (p->a_fmt) {
	case NIB_FMT_BF16:
		for (i = 0; i < NIB_TILE_K; i++)
			x[i] = bf16_operand((uint32_t)data[2 * i] << 16 |
					    (uint32_t)data[2 * i + 1] << 24);
		break;
	case NIB_FMT_MXFP4:
	case NIB_FMT_NVFP4:
		for (i = 0; i < NIB_TILE_K / 2; i++) {
			x[2 * i] = nib_e2m1_decode(data[i]);
			x[2 * i + 1] = nib_e2m1_decode(data[i] >> 4);
		}
		break;
	case NIB_FMT_MXFP8_E5M2:
		for (i = 0; i < NIB_TILE_K; i++)
			x[i] = fp8_decode(NIB_FMT_MXFP8_E5M2, data[i]);
		break;
	default:
		for (i = 0; i < NIB_TILE_K; i++)
			x[i] = fp8_decode(NIB_FMT_MXFP8, data[i]);
		break;
	}
}

/* Whether a single row is multiplied by weights that are decoded in registers. */
static int row_fits(const struct gemm_piece *p)
{
	return p->rows == 1 && nib_format_bits(p->w_fmt) == 8 && p->a_fmt != NIB_FMT_BF16;
}

static void gemm_pack(const struct gemm_piece *p, uint32_t i, void *a, float *a_scale)
{
	uint32_t valid = gemm_a_valid(p, i), t, r, j;
	uint8_t copy[NIB_TILE_K * 2];
	float *x = a;

	for (t = 0; t < p->a_terms; t++) {
		for (r = 0; r < p->rows; r++, x += NIB_TILE_K) {
			pack_row(p, gemm_a_padded(p, gemm_a_data(p, i, t, r), valid, copy), x);
			for (j = 0; row_fits(p) && j < NIB_TILE_K; j++)
				x[j] *= ROW_FACTOR;
		}
	}
	gemm_pack_scales(p, i, a_scale);
}

/* One tile of weights, ready to multiply. */
struct tile {
	float data[2][GROUPS][NIB_TILE_K][16] __attribute__((aligned(64)));	/* by term */
	float scale[2][2][NIB_PANEL_N];						/* [block][term] */
};

/* One vector of 16 lanes of a group to its elements, in order along k. */
NIB_INLINE void fp4_lanes(const uint32_t *restrict lane, float (*restrict dst)[16])
{
	uint32_t i, half;

	for (half = 0; half < 2; half++) {
		__m256i x = _mm256_load_si256((const __m256i *)(lane + half * 8));

		for (i = 0; i < 8; i++)
			_mm256_store_ps(&dst[i][half * 8], e2m1_lanes(x, i % 2 * 16 + i / 2 * 4));
	}
}

/* Byte @at of each lane, FP8 with @mbits of mantissa, fp8_factor() too small. */
NIB_INLINE __m256 fp8_tiny(const uint32_t mbits, __m256i x, const uint32_t at)
{
	if (at < 3)
		x = _mm256_slli_epi32(x, (int)(24 - 8 * at));
	x = _mm256_srai_epi32(x, (int)(mbits + 1));
	return _mm256_castsi256_ps(_mm256_and_si256(x, fp8_mask(mbits)));
}

/* One vector of 16 lanes of a group to its elements, in order along k. */
NIB_INLINE void fp8_lanes(const uint32_t mbits, const uint32_t *restrict lane,
			  float (*restrict dst)[16])
{
	const __m256i last = _mm256_set1_epi32((int)((fp8_special(mbits) - 1) << (23 - mbits)));
	const __m256i exponent = _mm256_set1_epi32(0x7f800000);
	const __m256 factor = _mm256_set1_ps(fp8_factor(mbits));
	uint32_t half, i;

	for (half = 0; half < 2; half++) {
		__m256i x = _mm256_load_si256((const __m256i *)(lane + half * 8));

		_Pragma("GCC unroll 4")
		for (i = 0; i < 4; i++) {
			__m256 y = fp8_tiny(mbits, x, i % 2 * 2 + i / 2);
			__m256i special = _mm256_and_si256(_mm256_castps_si256(y),
							   _mm256_set1_epi32(0x7fffffff));

			/* Mantissas are right: zero for infinity, something else for NaNs. */
			special = _mm256_and_si256(_mm256_cmpgt_epi32(special, last), exponent);
			y = _mm256_mul_ps(y, factor);
			y = _mm256_or_ps(y, _mm256_castsi256_ps(special));
			_mm256_store_ps(&dst[i][half * 8], y);
		}
	}
}

NIB_INLINE void bf16_lanes(const uint32_t *restrict lane, float (*restrict dst)[16])
{
	uint32_t l;

	for (l = 0; l < 16; l++)
		dst[0][l] = bf16_operand(lane[l] << 16);
	for (l = 0; l < 16; l++)
		dst[1][l] = bf16_operand(lane[l]);
}

/* One term of one group of a tile. */
static void group_decode(uint32_t fmt, const uint32_t *lane, float (*dst)[16])
{
	uint32_t k;

	switch (fmt) {
	case NIB_FMT_BF16:
		for (k = 0; k < NIB_TILE_K; k += 2, lane += 16)
			bf16_lanes(lane, dst + k);
		break;
	case NIB_FMT_MXFP4:
	case NIB_FMT_NVFP4:
		for (k = 0; k < NIB_TILE_K; k += 8, lane += 16)
			fp4_lanes(lane, dst + k);
		break;
	case NIB_FMT_MXFP8_E5M2:
		for (k = 0; k < NIB_TILE_K; k += 4, lane += 16)
			fp8_lanes(2, lane, dst + k);
		break;
	default:
		for (k = 0; k < NIB_TILE_K; k += 4, lane += 16)
			fp8_lanes(3, lane, dst + k);
		break;
	}
}

/* Scales of eight outputs. */
NIB_INLINE __m256 scales_8(uint32_t fmt, const uint8_t *code)
{
	switch (nib_format_block(fmt)) {
	case 0:
		return _mm256_set1_ps(1.0f);
	case 16:
		return ue4m3_decode8(code, 1.0f);
	default:
		return e8m0_decode8(code, 1.0f);
	}
}

static void tile_decode(const struct gemm_piece *p, const uint8_t *w, struct tile *tile)
{
	uint32_t block = nib_format_block(p->w_fmt), bits = nib_format_bits(p->w_fmt), t, b, g, n;
	uint32_t scales = block ? NIB_PANEL_N * (NIB_TILE_K / block) : 0;

	for (t = 0; t < p->w_terms; t++) {
		for (b = 0; b < NIB_TILE_K / p->block; b++)
			for (n = 0; n < NIB_PANEL_N; n += 8)
				_mm256_storeu_ps(&tile->scale[b][t][n],
						 scales_8(p->w_fmt, w + (block ? b * p->block / block *
								       NIB_PANEL_N + n : 0)));
		w += scales;
		for (g = 0; g < GROUPS; g++, w += bits * 64)
			group_decode(p->w_fmt, (const uint32_t *)(const void *)w, tile->data[t][g]);
	}
}

/*
 * What one block of a tile is made of, by rows: @a has NIB_TILE_K from row to row.
 * @w: elements of the block, group by group.
 * @acc: sums, or for the flushing kind, where the block's own go.
 */
struct block {
	const float *a;
	const float *a_scale;
	const float (*w)[NIB_TILE_K][16];
	const float *w_scale;
	float *acc;
};

/* Sums of one block for @rows rows and one group: to @b->acc, or @scaled and added to it. */
NIB_INLINE void multiply(const uint32_t rows, const uint32_t block, const int scaled,
			 const struct block *b)
{
	__m256 s[MAX_ROWS][2];
	uint32_t j, i, r, h;

	_Pragma("GCC unroll 6")
	for (r = 0; r < rows; r++)
		s[r][0] = s[r][1] = _mm256_setzero_ps();
	_Pragma("GCC unroll 1")
	for (j = 0; j < block; j += 2) {
		/* The odd one of a pair goes first. */
		_Pragma("GCC unroll 2")
		for (i = 0; i < 2; i++) {
			const uint32_t k = j + 1 - i;
			__m256 w0 = _mm256_load_ps(b->w[0][k]), w1 = _mm256_load_ps(&b->w[0][k][8]);

			_Pragma("GCC unroll 6")
			for (r = 0; r < rows; r++) {
				__m256 x = _mm256_broadcast_ss(&b->a[r * NIB_TILE_K + k]);

				s[r][0] = _mm256_fmadd_ps(x, w0, s[r][0]);
				s[r][1] = _mm256_fmadd_ps(x, w1, s[r][1]);
			}
		}
	}
	_Pragma("GCC unroll 6")
	for (r = 0; r < rows; r++) {
		_Pragma("GCC unroll 2")
		for (h = 0; h < 2; h++) {
			float *acc = b->acc + r * NIB_PANEL_N + h * 8;
			__m256 scale = _mm256_mul_ps(_mm256_broadcast_ss(&b->a_scale[r]),
						     _mm256_loadu_ps(b->w_scale + h * 8));

			if (scaled)
				s[r][h] = _mm256_fmadd_ps(s[r][h], scale, _mm256_load_ps(acc));
			_mm256_store_ps(acc, s[r][h]);
		}
	}
}

/* Sums of one block for all rows and outputs, everything but their number being constant. */
NIB_INLINE void multiply_rows(uint32_t rows, const uint32_t block, const int scaled, struct block all)
{
	uint32_t g, n, left, groups;

	for (g = 0; g < GROUPS; g++) {
		struct block b = all;

		groups = (rows + MAX_ROWS - 1) / MAX_ROWS;
		for (left = rows; groups; groups--, left -= n) {
			n = (left + groups - 1) / groups;
			GEMM_BY_ROWS(n, multiply, block, scaled, &b);
			b.a += n * NIB_TILE_K;
			b.a_scale += n;
			b.acc += n * NIB_PANEL_N;
		}
		all.w++;
		all.w_scale += 16;
		all.acc += 16;
	}
}

/* Functions of their own: nothing in them may move across the changes of MXCSR around the call. */
static __attribute__((noinline)) void multiply_16(uint32_t rows, const int scaled,
						  const struct block *b)
{
	if (scaled)
		multiply_rows(rows, 16, 1, *b);
	else
		multiply_rows(rows, 16, 0, *b);
}

static __attribute__((noinline)) void multiply_32(uint32_t rows, const int scaled,
						  const struct block *b)
{
	if (scaled)
		multiply_rows(rows, 32, 1, *b);
	else
		multiply_rows(rows, 32, 0, *b);
}

static void scale_rows(uint32_t rows, const float *restrict sum, const float *restrict a_scale,
		       const float *restrict w_scale, float *restrict acc)
{
	uint32_t r, n;

	for (r = 0; r < rows; r++)
		for (n = 0; n < NIB_PANEL_N; n++)
			acc[r * NIB_PANEL_N + n] = nib_fma(sum[r * NIB_PANEL_N + n],
							   a_scale[r] * w_scale[n],
							   acc[r * NIB_PANEL_N + n]);
}

/* One block of a tile. @x: all but the sums, which are those of the piece. */
static void block_multiply(const struct gemm_piece *p, int flush, struct block *x)
{
	float sum[GEMM_ROWS * NIB_PANEL_N] __attribute__((aligned(64)));
	uint32_t mode;

	x->acc = flush ? sum : p->acc;
	if (flush) {
		mode = _mm_getcsr();
		_mm_setcsr(mode | FLUSH);
	}
	if (p->block == 16)
		multiply_16(p->rows, !flush, x);
	else
		multiply_32(p->rows, !flush, x);
	if (flush) {
		_mm_setcsr(mode);
		scale_rows(p->rows, sum, x->a_scale, x->w_scale, p->acc);
	}
}

static void piece_rows(const struct gemm_piece *p)
{
	/* Block formats have no element small enough for a subnormal product. */
	int flush = p->a_fmt == NIB_FMT_BF16 || p->w_fmt == NIB_FMT_BF16;
	size_t tile_bytes = nib_tile_bytes(p->w_fmt);
	const float *a = (const float *)(const void *)p->a, *a_scale = p->a_scale;
	const uint8_t *w = p->w;
	uint32_t i, b, ta, tw;
	struct tile tile;

	/* Only the last tile leaves blocks out: scales that nobody reads follow. */
	for (i = 0; i < p->tiles; i++, w += tile_bytes) {
		tile_decode(p, w, &tile);
		for (b = 0; b < gemm_blocks(p, i); b++) {
			for (ta = 0; ta < p->a_terms; ta++, a_scale += p->rows) {
				for (tw = 0; tw < p->w_terms; tw++) {
					struct block x = {
						.a = a + ta * p->rows * NIB_TILE_K + b * p->block,
						.a_scale = a_scale,
						.w = (void *)&tile.data[tw][0][b * p->block],
						.w_scale = tile.scale[b][tw],
					};

					block_multiply(p, flush, &x);
				}
			}
		}
		a += p->a_terms * p->rows * NIB_TILE_K;
	}
}

/* Whether a term of a tile, FP8 at @data, has special codes. */
NIB_INLINE int tile_special(const uint32_t mbits, const uint8_t *data)
{
	__m256i any = _mm256_setzero_si256();
	uint32_t i;

	for (i = 0; i < NIB_PANEL_N * NIB_TILE_K; i += 32)
		any = _mm256_or_si256(any, fp8_specials(mbits, data + i));
	return !_mm256_testz_si256(any, any);
}

/*
 * One block of one row against FP8 weights, decoded on the way and left tiny; ROW_FACTOR, which the
 * row has, keeps products of subnormals normal. @data: a term of a tile.
 */
NIB_INLINE void row_multiply(const uint32_t mbits, const uint32_t block, uint32_t b, const float *a,
			     const uint8_t *data, float a_scale, const float *w_scale, float *acc)
{
	const __m256 unit = _mm256_set1_ps(fp8_factor(mbits) / ROW_FACTOR);
	const __m256 by = _mm256_set1_ps(a_scale);
	__m256 s[2 * GROUPS];
	uint32_t v, h, i;

	_Pragma("GCC unroll 8")
	for (h = 0; h < 2 * GROUPS; h++)
		s[h] = _mm256_setzero_ps();
	for (v = b * block / 4; v < (b + 1) * block / 4; v++) {
		__m256 x[4];

		_Pragma("GCC unroll 4")
		for (i = 0; i < 4; i++)
			x[i] = _mm256_broadcast_ss(&a[v * 4 + i]);
		_Pragma("GCC unroll 8")
		for (h = 0; h < 2 * GROUPS; h++) {
			__m256i w = _mm256_loadu_si256((const __m256i *)(
				data + (h / 2 * (NIB_TILE_K / 4) + v) * 64 + h % 2 * 32));

			/* Bytes 0..3 are k = 0, 2, 1, 3; the odd one of a pair goes first. */
			s[h] = _mm256_fmadd_ps(x[1], fp8_tiny(mbits, w, 2), s[h]);
			s[h] = _mm256_fmadd_ps(x[0], fp8_tiny(mbits, w, 0), s[h]);
			s[h] = _mm256_fmadd_ps(x[3], fp8_tiny(mbits, w, 3), s[h]);
			s[h] = _mm256_fmadd_ps(x[2], fp8_tiny(mbits, w, 1), s[h]);
		}
	}
	_Pragma("GCC unroll 8")
	for (h = 0; h < 2 * GROUPS; h++) {
		__m256 scale = _mm256_mul_ps(by, _mm256_loadu_ps(w_scale + h * 8));

		_mm256_store_ps(acc + h * 8, _mm256_fmadd_ps(_mm256_mul_ps(s[h], unit), scale,
							     _mm256_load_ps(acc + h * 8)));
	}
}

/* Tile @i for a single row where weights are special: decoded to memory, as for many rows. */
static void row_special(const struct gemm_piece *p, uint32_t i, const uint8_t *w, const float *a,
			const float *a_scale)
{
	float plain[2 * NIB_TILE_K];
	struct gemm_piece one = *p;
	uint32_t j;

	for (j = 0; j < p->a_terms * NIB_TILE_K; j++)
		plain[j] = a[j] * (1.0f / ROW_FACTOR);
	one.a = (uint8_t *)plain;
	one.a_scale = (float *)(uintptr_t)a_scale;
	one.w = w;
	one.tile = p->tile + i;
	one.tiles = 1;
	piece_rows(&one);
}

/* A single row against FP8 weights, @mbits and @block being constant. */
NIB_INLINE void piece_row(const struct gemm_piece *p, const uint32_t mbits, const uint32_t block)
{
	const uint32_t scales = NIB_PANEL_N, term = scales + NIB_PANEL_N * NIB_TILE_K;
	const float *a = (const float *)(const void *)p->a, *a_scale = p->a_scale;
	const uint32_t bytes = nib_tile_bytes(p->w_fmt);
	float w_scale[2][NIB_PANEL_N];
	const uint8_t *w = p->w;
	uint32_t i, b, ta, tw, n, special;

	for (i = 0; i < p->tiles; i++, w += bytes) {
		for (n = 0; n < bytes; n += 64)
			_mm_prefetch((const char *)w + AHEAD + n, _MM_HINT_T0);
		special = 0;
		for (tw = 0; tw < p->w_terms; tw++) {
			special |= tile_special(mbits, w + tw * term + scales);
			for (n = 0; n < NIB_PANEL_N; n += 8)
				_mm256_storeu_ps(&w_scale[tw][n],
						 e8m0_decode8(w + tw * term + n, 1.0f));
		}
		if (special)
			row_special(p, i, w, a, a_scale);
		for (b = 0; b < gemm_blocks(p, i) && !special; b++)
			for (ta = 0; ta < p->a_terms; ta++)
				for (tw = 0; tw < p->w_terms; tw++)
					row_multiply(mbits, block, b, a + ta * NIB_TILE_K,
						     w + tw * term + scales,
						     a_scale[b * p->a_terms + ta], w_scale[tw],
						     p->acc);
		a_scale += NIB_TILE_K / block * p->a_terms;
		a += p->a_terms * NIB_TILE_K;
	}
}

static void gemm_multiply(const struct gemm_piece *p)
{
	if (!row_fits(p))
		piece_rows(p);
	else if (p->w_fmt == NIB_FMT_MXFP8_E5M2 && p->block == 16)
		piece_row(p, 2, 16);
	else if (p->w_fmt == NIB_FMT_MXFP8_E5M2)
		piece_row(p, 2, 32);
	else if (p->block == 16)
		piece_row(p, 3, 16);
	else
		piece_row(p, 3, 32);
}

/* FP4 weights: integers where sums are exact, which the others are too seldom. */
static int fits_fp4(const struct nib_gemm_job *job)
{
	if (job->w_fmt != NIB_FMT_MXFP4 && job->w_fmt != NIB_FMT_NVFP4)
		return 0;
	switch (job->a_fmt) {
	case NIB_FMT_MXFP4:
	case NIB_FMT_NVFP4:
	case NIB_FMT_MXFP8:
	case NIB_FMT_MXFP8X2:
		return 1;
	case NIB_FMT_MXFP8_E5M2:
		/* Weights need not be decoded to memory for a single row. */
		return job->rows == 1;
	default:
		return 0;
	}
}

void nib_gemm_avx2(const struct nib_gemm_job *job)
{
	if (fits_fp4(job))
		nib_gemm_fp4_avx2(job);
	else
		gemm_fp32(job);
}
