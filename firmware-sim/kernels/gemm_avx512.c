/* SPDX-License-Identifier: MIT */
/*
 * GEMM with AVX-512: BF16 dot products over lanes of 16 outputs. The elements of all GEMM formats
 * are exact in BF16, and VDPBF16PS multiplies pairs in the order that nib_isa.h prescribes, with
 * the same flushes. A tile of weights is decoded to BF16 once, in L1, for all rows of the piece;
 * for a few rows, which wait for memory anyway, straight into registers.
 */
#include <immintrin.h>

#include <stdint.h>

/* Low and high bytes of the BF16 of all FP8 magnitudes. */
struct fp8_table {
	uint8_t low[128] __attribute__((aligned(64)));
	uint8_t high[128] __attribute__((aligned(64)));
};

struct gemm_tables {
	struct fp8_table a;
	struct fp8_table w;
};

#define GEMM_ELEMENT	2u
#include "gemm.h"

#define GROUPS		(NIB_PANEL_N / 16)
#define PAIRS		(NIB_TILE_K / 2)
#define MAX_ROWS	6	/* x GROUPS sums, 4 weights and an activation fill 32 registers */
#define FEW_ROWS	3	/* where decoding in registers beats a detour through L1 */

/* BF16 of all E2M1 codes, twice: a lookup has five index bits and a code only four. */
static const uint16_t e2m1_bf16[32] __attribute__((aligned(64))) = {
	0x0000, 0x3f00, 0x3f80, 0x3fc0, 0x4000, 0x4040, 0x4080, 0x40c0,
	0x8000, 0xbf00, 0xbf80, 0xbfc0, 0xc000, 0xc040, 0xc080, 0xc0c0,
	0x0000, 0x3f00, 0x3f80, 0x3fc0, 0x4000, 0x4040, 0x4080, 0x40c0,
	0x8000, 0xbf00, 0xbf80, 0xbfc0, 0xc000, 0xc040, 0xc080, 0xc0c0,
};

static void fp8_prepare(struct fp8_table *table, uint32_t fmt)
{
	uint32_t i, bits;

	if (nib_format_bits(fmt) != 8)
		return;
	for (i = 0; i < 128; i++) {
		bits = nib_bits(fmt == NIB_FMT_MXFP8_E5M2 ? nib_e5m2_decode(i)
							  : nib_e4m3_decode(i));
		table->low[i] = bits >> 16;
		table->high[i] = bits >> 24;
	}
}

static void gemm_prepare(const struct nib_gemm_job *job, struct gemm_tables *tables)
{
	fp8_prepare(&tables->a, job->a_fmt);
	fp8_prepare(&tables->w, job->w_fmt);
}

/* BF16 of the FP8 codes in the low and the high bytes of 16-bit lanes. */
NIB_INLINE void fp8_decode(const struct fp8_table *table, __m512i codes, __m512i *even,
			   __m512i *odd)
{
	const __m512i byte = _mm512_set1_epi16(0xff), sign = _mm512_set1_epi8((char)0x80);
	__m512i low = _mm512_permutex2var_epi8(_mm512_load_si512(table->low), codes,
					       _mm512_load_si512(table->low + 64));
	__m512i high = _mm512_permutex2var_epi8(_mm512_load_si512(table->high), codes,
						_mm512_load_si512(table->high + 64));

	/* 0xf8: a | (b & c); 0xf4: a | (b & ~c) */
	high = _mm512_ternarylogic_epi32(high, codes, sign, 0xf8);
	*even = _mm512_ternarylogic_epi32(_mm512_slli_epi16(high, 8), low, byte, 0xf8);
	*odd = _mm512_ternarylogic_epi32(_mm512_srli_epi16(low, 8), high, byte, 0xf4);
}

/* To pairs of BF16, which is plain BF16 in order. */
static void gemm_pack(const struct gemm_piece *piece, const uint8_t *data, uint32_t valid,
		      void *dst)
{
	__m512i x, odd;

	switch (piece->a_fmt) {
	case NIB_FMT_BF16:
		x = _mm512_maskz_loadu_epi16((__mmask32)((1ull << valid) - 1), data);
		break;
	case NIB_FMT_MXFP4:
	case NIB_FMT_NVFP4:
		x = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)data));
		x = _mm512_or_si512(x, _mm512_slli_epi32(x, 12));
		x = _mm512_permutexvar_epi16(x, _mm512_load_si512(e2m1_bf16));
		break;
	default:
		x = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)data));
		fp8_decode(&piece->tables->a, x, &x, &odd);
		break;
	}
	_mm512_store_si512(dst, x);
}

/* Data of one term of a tile to BF16: [group][pair][16 outputs][2]; the layout of BF16 panels. */
NIB_INLINE void fp4_tile(const uint8_t *data, __m512i *dst)
{
	const __m512i table = _mm512_load_si512(e2m1_bf16);
	uint32_t v;

	for (v = 0; v < GROUPS * 4; v++) {
		__m512i x = _mm512_load_si512(data + v * 64);

		dst[v * 4] = _mm512_permutexvar_epi16(x, table);
		dst[v * 4 + 1] = _mm512_permutexvar_epi16(_mm512_srli_epi16(x, 4), table);
		dst[v * 4 + 2] = _mm512_permutexvar_epi16(_mm512_srli_epi16(x, 8), table);
		dst[v * 4 + 3] = _mm512_permutexvar_epi16(_mm512_srli_epi16(x, 12), table);
	}
}

NIB_INLINE void fp8_tile(const struct fp8_table *table, const uint8_t *data, __m512i *dst)
{
	uint32_t v;

	for (v = 0; v < GROUPS * 8; v++)
		fp8_decode(table, _mm512_load_si512(data + v * 64), &dst[v * 2], &dst[v * 2 + 1]);
}

/* FP32 of 16 E8M0 or UE4M3 scales. */
NIB_INLINE __m512 scale_decode(uint32_t fmt, const uint8_t *codes)
{
	__m512i x = _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)codes)), bits;
	const __m512i nan = _mm512_set1_epi32(0x7fc00000);
	__m512 small;

	if (fmt == NIB_FMT_NVFP4) {
		x = _mm512_and_si512(x, _mm512_set1_epi32(0x7f));
		small = _mm512_mul_ps(_mm512_cvtepi32_ps(x), _mm512_set1_ps(0x1p-9f));
		bits = _mm512_add_epi32(_mm512_slli_epi32(x, 20), _mm512_set1_epi32(120 << 23));
		bits = _mm512_mask_mov_epi32(bits, _mm512_cmplt_epi32_mask(x, _mm512_set1_epi32(8)),
					     _mm512_castps_si512(small));
		bits = _mm512_mask_mov_epi32(
			bits, _mm512_cmpeq_epi32_mask(x, _mm512_set1_epi32(0x7f)), nan);
	} else {
		/* Code 0 is the subnormal 2^-127: less than any other's bits. */
		bits = _mm512_max_epu32(_mm512_slli_epi32(x, 23), _mm512_set1_epi32(0x00400000));
		bits = _mm512_mask_mov_epi32(
			bits, _mm512_cmpeq_epi32_mask(x, _mm512_set1_epi32(0xff)), nan);
	}
	return _mm512_castsi512_ps(bits);
}

/* One tile of weights, ready to multiply: data[term][group][pair], scale[block][term][group]. */
struct tile {
	const __m512i *data[2];
	__m512i decoded[2][GROUPS * PAIRS];
	__m512 scale[2][2][GROUPS];
};

NIB_INLINE void tile_decode(const struct gemm_piece *p, const uint8_t *w, struct tile *tile)
{
	uint32_t block = nib_format_block(p->w_fmt), t, b, g;
	uint32_t bytes = nib_tile_bytes(p->w_fmt) / p->w_terms;

	for (t = 0; t < p->w_terms; t++, w += bytes) {
		uint32_t scales = block ? NIB_PANEL_N * (NIB_TILE_K / block) : 0;

		for (b = 0; b < NIB_TILE_K / p->block; b++)
			for (g = 0; g < GROUPS; g++)
				tile->scale[b][t][g] =
					!block ? _mm512_set1_ps(1.0f)
					       : scale_decode(
							 p->w_fmt,
							 w + b * p->block / block * NIB_PANEL_N +
								 g * 16);
		tile->data[t] = tile->decoded[t];
		if (p->w_fmt == NIB_FMT_BF16)
			tile->data[t] = (const __m512i *)w;
		else if (nib_format_bits(p->w_fmt) == 4)
			fp4_tile(w + scales, tile->decoded[t]);
		else
			fp8_tile(&p->tables->w, w + scales, tile->decoded[t]);
	}
}

/* acc += sums of one block times scales. */
NIB_INLINE void accumulate(const uint32_t rows, __m512 (*s)[GROUPS], const float *a_scale,
			   const __m512 *w_scale, float *acc)
{
	uint32_t r, g;

	for (r = 0; r < rows; r++) {
		for (g = 0; g < GROUPS; g++) {
			float *sum = acc + r * NIB_PANEL_N + g * 16;
			__m512 scale = _mm512_mul_ps(_mm512_set1_ps(a_scale[r]), w_scale[g]);

			_mm512_store_ps(sum, _mm512_fmadd_ps(s[r][g], scale, _mm512_load_ps(sum)));
		}
	}
}

/*
 * acc += sums of @rows rows over one block of @pairs pairs, for all outputs of the panel.
 * @a: packed pairs, PAIRS from row to row. @a_scale: scale by row.
 */
NIB_INLINE void multiply(const uint32_t rows, const uint32_t pairs, const uint32_t *a,
			 const float *a_scale, const __m512i *w, const __m512 *w_scale, float *acc)
{
	__m512 s[MAX_ROWS][GROUPS];
	uint32_t p, r, g;

	for (r = 0; r < rows; r++)
		for (g = 0; g < GROUPS; g++)
			s[r][g] = _mm512_setzero_ps();
	for (p = 0; p < pairs; p++) {
		for (r = 0; r < rows; r++) {
			__m512bh x = (__m512bh)_mm512_set1_epi32((int)a[r * PAIRS + p]);

			for (g = 0; g < GROUPS; g++)
				s[r][g] = _mm512_dpbf16_ps(s[r][g], x, (__m512bh)w[g * PAIRS + p]);
		}
	}
	accumulate(rows, s, a_scale, w_scale, acc);
}

/* All rows over one block, @pairs being constant. */
NIB_INLINE void multiply_rows(uint32_t rows, const uint32_t pairs, const uint32_t *a,
			      const float *a_scale, const __m512i *w, const __m512 *w_scale,
			      float *acc)
{
	while (rows >= MAX_ROWS) {
		multiply(MAX_ROWS, pairs, a, a_scale, w, w_scale, acc);
		a += MAX_ROWS * PAIRS;
		a_scale += MAX_ROWS;
		acc += MAX_ROWS * NIB_PANEL_N;
		rows -= MAX_ROWS;
	}
	switch (rows) {
	case 5:
		multiply(5, pairs, a, a_scale, w, w_scale, acc);
		break;
	case 4:
		multiply(4, pairs, a, a_scale, w, w_scale, acc);
		break;
	case 3:
		multiply(3, pairs, a, a_scale, w, w_scale, acc);
		break;
	case 2:
		multiply(2, pairs, a, a_scale, w, w_scale, acc);
		break;
	case 1:
		multiply(1, pairs, a, a_scale, w, w_scale, acc);
		break;
	}
}

/*
 * multiply() for few rows and a block that is decoded on the way: @bits is 4 or 8, @vectors the
 * vectors of the block in each group, @data the first of them in the first group.
 */
NIB_INLINE void multiply_few(const uint32_t rows, const uint32_t bits, const uint32_t vectors,
			     const struct fp8_table *table, const uint32_t *a, const float *a_scale,
			     const uint8_t *data, const __m512 *w_scale, float *acc)
{
	const __m512i fp4 = _mm512_load_si512(e2m1_bf16);
	const uint32_t pairs = 16 / bits; /* in a vector */
	__m512 s[FEW_ROWS][GROUPS];
	uint32_t v, i, r, g;

	for (r = 0; r < rows; r++)
		for (g = 0; g < GROUPS; g++)
			s[r][g] = _mm512_setzero_ps();
	for (v = 0; v < vectors; v++) {
		for (g = 0; g < GROUPS; g++) {
			__m512i x = _mm512_load_si512(data + (g * bits + v) * 64), w[4];

			if (bits == 8)
				fp8_decode(table, x, &w[0], &w[1]);
			else
				for (i = 0; i < 4; i++)
					w[i] = _mm512_permutexvar_epi16(
						_mm512_srli_epi16(x, 4 * i), fp4);
			for (i = 0; i < pairs; i++)
				for (r = 0; r < rows; r++)
					s[r][g] = _mm512_dpbf16_ps(
						s[r][g], (__m512bh)w[i],
						(__m512bh)_mm512_set1_epi32(
							(int)a[r * PAIRS + v * pairs + i]));
		}
	}
	accumulate(rows, s, a_scale, w_scale, acc);
}

/* All tiles of a piece of few rows, @bits, @rows and @block being constant. */
NIB_INLINE void piece_few(const struct gemm_piece *p, const uint32_t rows, const uint32_t bits,
			  const uint32_t block)
{
	const uint32_t w_block = nib_format_block(p->w_fmt), vectors = block * bits / 32;
	const size_t term_bytes = nib_tile_bytes(p->w_fmt) / p->w_terms;
	const size_t scales = NIB_PANEL_N * (NIB_TILE_K / w_block);
	const float *a_scale = p->a_scale;
	const uint32_t *a = p->a;
	const uint8_t *w = p->w;
	uint32_t i, b, ta, tw, g;

	for (i = 0; i < p->tiles; i++, w += p->w_terms * term_bytes) {
		for (b = 0; b < NIB_TILE_K; b += block) {
			for (ta = 0; ta < p->a_terms; ta++, a_scale += rows) {
				for (tw = 0; tw < p->w_terms; tw++) {
					const uint8_t *term = w + tw * term_bytes;
					__m512 scale[GROUPS];

					for (g = 0; g < GROUPS; g++)
						scale[g] = scale_decode(p->w_fmt, term + g * 16 +
								b / w_block * NIB_PANEL_N);
					multiply_few(rows, bits, vectors, &p->tables->w,
						     a + ta * rows * PAIRS + b / 2, a_scale,
						     term + scales + b * bits / 32 * 64, scale,
						     p->acc);
				}
			}
		}
		a += p->a_terms * rows * PAIRS;
	}
}

NIB_INLINE void piece_few_rows(const struct gemm_piece *p, const uint32_t rows)
{
	if (nib_format_bits(p->w_fmt) == 4 && p->block == 16)
		piece_few(p, rows, 4, 16);
	else if (nib_format_bits(p->w_fmt) == 4)
		piece_few(p, rows, 4, 32);
	else if (p->block == 16)
		piece_few(p, rows, 8, 16);
	else
		piece_few(p, rows, 8, 32);
}

static void piece_many(const struct gemm_piece *p)
{
	size_t tile_bytes = nib_tile_bytes(p->w_fmt);
	const uint32_t *a = p->a;
	const float *a_scale = p->a_scale;
	const uint8_t *w = p->w;
	struct tile tile;
	uint32_t i, b, ta, tw;

	for (i = 0; i < p->tiles; i++, w += tile_bytes) {
		tile_decode(p, w, &tile);
		for (b = 0; b < NIB_TILE_K / p->block; b++) {
			for (ta = 0; ta < p->a_terms; ta++, a_scale += p->rows) {
				for (tw = 0; tw < p->w_terms; tw++) {
					const uint32_t *x =
						a + ta * p->rows * PAIRS + b * PAIRS / 2;
					const __m512i *y = tile.data[tw] + b * PAIRS / 2;

					if (p->block == 16)
						multiply_rows(p->rows, PAIRS / 2, x, a_scale, y,
							      tile.scale[b][tw], p->acc);
					else
						multiply_rows(p->rows, PAIRS, x, a_scale, y,
							      tile.scale[b][tw], p->acc);
				}
			}
		}
		a += p->a_terms * p->rows * PAIRS;
	}
}

static void gemm_multiply(const struct gemm_piece *p)
{
	uint32_t rows = p->w_fmt == NIB_FMT_BF16 ? 0 : p->rows;

	switch (rows) {
	case 1:
		piece_few_rows(p, 1);
		break;
	case 2:
		piece_few_rows(p, 2);
		break;
	case 3:
		piece_few_rows(p, 3);
		break;
	default:
		piece_many(p);
		break;
	}
}
