/* SPDX-License-Identifier: MIT */
/*
 * GEMM with AVX2 and FMA: FP32 over lanes of 8 outputs, in the order of nib_isa.h. A tile of
 * weights is decoded to FP32 once, in L1, for all rows of the piece. Sums of a block are stored and
 * scaled in a second pass, because the two want different treatment of subnormals.
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

#define GROUPS		(NIB_PANEL_N / 16)
#define MAX_ROWS	6	/* x 2 sums, 2 weights and an activation: 15 of 16 registers */
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

static void gemm_pack(const struct gemm_piece *p, uint32_t i, void *a, float *a_scale)
{
	uint32_t valid = gemm_a_valid(p, i), t, r;
	uint8_t copy[NIB_TILE_K * 2];
	float *x = a;

	for (t = 0; t < p->a_terms; t++)
		for (r = 0; r < p->rows; r++, x += NIB_TILE_K)
			pack_row(p, gemm_a_padded(p, gemm_a_data(p, i, t, r), valid, copy), x);
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
	const __m256 values = _mm256_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f);
	const __m256i sign = _mm256_set1_epi32((int)0x80000000u);
	uint32_t i, half;

	for (half = 0; half < 2; half++) {
		__m256i x = _mm256_load_si256((const __m256i *)(lane + half * 8));

		for (i = 0; i < 8; i++) {
			uint32_t shift = i % 2 * 16 + i / 2 * 4;
			/* The lookup uses three bits of the index. */
			__m256 v = _mm256_permutevar8x32_ps(values, _mm256_srli_epi32(x, shift));
			__m256i s = _mm256_and_si256(_mm256_slli_epi32(x, 28 - shift), sign);

			_mm256_store_ps(&dst[i][half * 8], _mm256_or_ps(v, _mm256_castsi256_ps(s)));
		}
	}
}

NIB_INLINE void fp8_lanes(const uint32_t fmt, const uint32_t *restrict lane,
			  float (*restrict dst)[16])
{
	uint32_t l;

	for (l = 0; l < 16; l++)
		dst[0][l] = fp8_decode(fmt, lane[l] & 0xff);
	for (l = 0; l < 16; l++)
		dst[1][l] = fp8_decode(fmt, lane[l] >> 16 & 0xff);
	for (l = 0; l < 16; l++)
		dst[2][l] = fp8_decode(fmt, lane[l] >> 8 & 0xff);
	for (l = 0; l < 16; l++)
		dst[3][l] = fp8_decode(fmt, lane[l] >> 24);
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
			fp8_lanes(NIB_FMT_MXFP8_E5M2, lane, dst + k);
		break;
	default:
		for (k = 0; k < NIB_TILE_K; k += 4, lane += 16)
			fp8_lanes(NIB_FMT_MXFP8, lane, dst + k);
		break;
	}
}

static void tile_decode(const struct gemm_piece *p, const uint8_t *w, struct tile *tile)
{
	uint32_t block = nib_format_block(p->w_fmt), bits = nib_format_bits(p->w_fmt), t, b, g, n;
	uint32_t scales = block ? NIB_PANEL_N * (NIB_TILE_K / block) : 0;

	for (t = 0; t < p->w_terms; t++) {
		for (b = 0; b < NIB_TILE_K / p->block; b++)
			for (n = 0; n < NIB_PANEL_N; n++)
				tile->scale[b][t][n] = !block ? 1.0f :
					gemm_scale(p->w_fmt,
						   w[b * p->block / block * NIB_PANEL_N + n]);
		w += scales;
		for (g = 0; g < GROUPS; g++, w += bits * 64)
			group_decode(p->w_fmt, (const uint32_t *)(const void *)w, tile->data[t][g]);
	}
}

/* Sums of one block for @rows rows and one group. @a: NIB_TILE_K from row to row. */
NIB_INLINE void multiply(const uint32_t rows, const uint32_t block, const float *a,
			 const float (*w)[16], float *sum)
{
	__m256 s[MAX_ROWS][2];
	uint32_t j, r, h;

	for (r = 0; r < rows; r++)
		s[r][0] = s[r][1] = _mm256_setzero_ps();
	for (j = 0; j < block; j++) {
		uint32_t k = j ^ 1; /* the odd one of a pair goes first */

		for (r = 0; r < rows; r++) {
			__m256 x = _mm256_broadcast_ss(&a[r * NIB_TILE_K + k]);

			for (h = 0; h < 2; h++)
				s[r][h] = _mm256_fmadd_ps(x, _mm256_load_ps(&w[k][h * 8]), s[r][h]);
		}
	}
	for (r = 0; r < rows; r++)
		for (h = 0; h < 2; h++)
			_mm256_store_ps(sum + r * NIB_PANEL_N + h * 8, s[r][h]);
}

/* Sums of one block for all rows and outputs, @block being constant. */
NIB_INLINE void multiply_rows(uint32_t rows, const uint32_t block, const float *a,
			      const float (*w)[NIB_TILE_K][16], float *sum)
{
	uint32_t g, r;

	for (g = 0; g < GROUPS; g++) {
		for (r = 0; r + MAX_ROWS <= rows; r += MAX_ROWS)
			multiply(MAX_ROWS, block, a + r * NIB_TILE_K, w[g],
				 sum + r * NIB_PANEL_N + g * 16);
		for (; r + 2 <= rows; r += 2)
			multiply(2, block, a + r * NIB_TILE_K, w[g],
				 sum + r * NIB_PANEL_N + g * 16);
		if (r < rows)
			multiply(1, block, a + r * NIB_TILE_K, w[g],
				 sum + r * NIB_PANEL_N + g * 16);
	}
}

/* Functions of their own: nothing in them may move across the changes of MXCSR around the call. */
static __attribute__((noinline)) void multiply_16(uint32_t rows, const float *a,
						  const float (*w)[NIB_TILE_K][16], float *sum)
{
	multiply_rows(rows, 16, a, w, sum);
}

static __attribute__((noinline)) void multiply_32(uint32_t rows, const float *a,
						  const float (*w)[NIB_TILE_K][16], float *sum)
{
	multiply_rows(rows, 32, a, w, sum);
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

/*
 * One block of one row against FP4 weights, decoded in registers; @block is constant. @data: the
 * block's vectors of the first group, @w_scale: scales of the panel, @a: elements.
 */
NIB_INLINE void multiply_fp4(const uint32_t block, const float *a, const uint8_t *data,
			     float a_scale, const float *w_scale, float *acc)
{
	const __m256 values = _mm256_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f);
	const __m256i sign = _mm256_set1_epi32((int)0x80000000u);
	__m256 s[2 * GROUPS], scale;
	uint32_t v, i, h;

	for (h = 0; h < 2 * GROUPS; h++)
		s[h] = _mm256_setzero_ps();
	for (v = 0; v < block / 8; v++) {
		for (h = 0; h < 2 * GROUPS; h++) {
			__m256i x = _mm256_loadu_si256((const __m256i *)(
				data + (h / 2 * 4 + v) * 64 + h % 2 * 32));

			/* The odd one of a pair goes first. */
			_Pragma("GCC unroll 8")
			for (i = 0; i < 8; i++) {
				uint32_t k = i ^ 1, shift = k % 2 * 16 + k / 2 * 4;
				__m256i code = _mm256_srli_epi32(x, (int)shift);
				__m256i minus = _mm256_slli_epi32(x, (int)(28 - shift));
				__m256 y = _mm256_permutevar8x32_ps(values, code);

				minus = _mm256_and_si256(minus, sign);
				y = _mm256_or_ps(y, _mm256_castsi256_ps(minus));
				s[h] = _mm256_fmadd_ps(_mm256_broadcast_ss(&a[v * 8 + k]), y, s[h]);
			}
		}
	}
	for (h = 0; h < 2 * GROUPS; h++) {
		scale = _mm256_mul_ps(_mm256_set1_ps(a_scale), _mm256_loadu_ps(w_scale + h * 8));
		_mm256_storeu_ps(acc + h * 8,
				 _mm256_fmadd_ps(s[h], scale, _mm256_loadu_ps(acc + h * 8)));
	}
}

/* One row against FP4 weights; neither side is BF16, so that nothing is flushed. */
static void piece_fp4(const struct gemm_piece *p)
{
	const uint32_t bytes = nib_tile_bytes(p->w_fmt), w_block = nib_format_block(p->w_fmt);
	const float *a = (const float *)(const void *)p->a, *a_scale = p->a_scale;
	const uint8_t *w = p->w;
	float scale[NIB_PANEL_N];
	uint32_t i, b, n, ta;

	for (i = 0; i < p->tiles; i++, w += bytes, a += p->a_terms * NIB_TILE_K) {
		const uint8_t *data = w + NIB_PANEL_N * (NIB_TILE_K / w_block);

		for (n = 0; n < bytes; n += 64)
			_mm_prefetch((const char *)w + 4096 + n, _MM_HINT_T0);
		for (b = 0; b < gemm_a_valid(p, i); b += p->block) {
			const uint8_t *code = w + b / w_block * NIB_PANEL_N;

			if (p->w_fmt == NIB_FMT_NVFP4)
				for (n = 0; n < NIB_PANEL_N; n++)
					scale[n] = nib_ue4m3_decode(code[n]);
			else
				for (n = 0; n < NIB_PANEL_N; n++)
					scale[n] = nib_e8m0_decode(code[n]);
			for (ta = 0; ta < p->a_terms; ta++, a_scale++) {
				const float *x = a + ta * NIB_TILE_K + b;

				if (p->block == 16)
					multiply_fp4(16, x, data + b / 8 * 64, *a_scale, scale,
						     p->acc);
				else
					multiply_fp4(32, x, data, *a_scale, scale, p->acc);
			}
		}
	}
}

static void piece_any(const struct gemm_piece *p)
{
	/* Block formats have no element small enough for a subnormal product. */
	int flush = p->a_fmt == NIB_FMT_BF16 || p->w_fmt == NIB_FMT_BF16;
	float sum[GEMM_ROWS * NIB_PANEL_N] __attribute__((aligned(64)));
	size_t tile_bytes = nib_tile_bytes(p->w_fmt);
	const float *a = (const float *)(const void *)p->a, *a_scale = p->a_scale;
	uint32_t mode = _mm_getcsr(), i, b, ta, tw;
	const uint8_t *w = p->w;
	struct tile tile;

	/* Only the last tile leaves blocks out: scales that nobody reads follow. */
	for (i = 0; i < p->tiles; i++, w += tile_bytes) {
		tile_decode(p, w, &tile);
		for (b = 0; b < gemm_a_valid(p, i); b += p->block) {
			for (ta = 0; ta < p->a_terms; ta++, a_scale += p->rows) {
				const float *x = a + ta * p->rows * NIB_TILE_K + b;

				for (tw = 0; tw < p->w_terms; tw++) {
					if (flush)
						_mm_setcsr(mode | FLUSH);
					if (p->block == 16)
						multiply_16(p->rows, x,
							    (void *)&tile.data[tw][0][b], sum);
					else
						multiply_32(p->rows, x, (void *)tile.data[tw], sum);
					if (flush)
						_mm_setcsr(mode);
					scale_rows(p->rows, sum, a_scale,
						   tile.scale[b / p->block][tw], p->acc);
				}
			}
		}
		a += p->a_terms * p->rows * NIB_TILE_K;
	}
}

static void gemm_multiply(const struct gemm_piece *p)
{
	if (p->rows == 1 && nib_format_bits(p->w_fmt) == 4 && p->a_fmt != NIB_FMT_BF16)
		piece_fp4(p);
	else
		piece_any(p);
}

void nib_gemm_avx2(const struct nib_gemm_job *job)
{
	gemm_fp32(job);
}
