/* SPDX-License-Identifier: MIT */
/*
 * GEMM with AVX-512: BF16 dot products over lanes of 16 outputs. The elements of all GEMM formats
 * are exact in BF16, and VDPBF16PS multiplies pairs in the order that nib_isa.h prescribes, with
 * the same flushes. A tile of weights is decoded to BF16 once, in L1, for all rows of the piece;
 * for a few rows, which wait for memory anyway, straight into registers. FP4 x FP4 is
 * gemm_fp4_avx512.c's.
 *
 * E8M0 scales fold into the exponents of the BF16 elements: while nothing leaves the normal range,
 * sums of scaled elements are scaled sums, bit for bit, and the multiplications by scales, which
 * compete with dot products, are saved. A tile that holds a scale beyond 2^+-FOLD_RANGE, a NaN or
 * an infinity goes the plain way.
 */
#include <immintrin.h>

#include <stdint.h>

/* Low and high bytes of the BF16 of all FP8 magnitudes. */
struct fp8_table {
	uint8_t low[128] __attribute__((aligned(64)));
	uint8_t high[128] __attribute__((aligned(64)));
};

/* How the sums of a block get their scales. */
enum scaling {
	PLAIN,	/* acc = fma(s, scale of A * scale of W, acc) */
	HALF,	/* scales of A are folded: acc = fma(s, scale of W, acc) */
	WHOLE,	/* both are, or there are none: acc += s */
};

struct gemm_tables {
	struct fp8_table a;
	struct fp8_table w;
	enum scaling scaling;	/* of ordinary tiles */
};

#define GEMM_NAME	gemm_bf16
#define GEMM_ELEMENT	2u
#define GEMM_ROWS	NIB_GEMM_ROWS
#define GEMM_PANELS	12u
#define GEMM_BUFFER	(384u << 10)
#include "gemm.h"
#include "scales_avx512.h"

#define GROUPS		(NIB_PANEL_N / 16)
#define PAIRS		(NIB_TILE_K / 2)
#define MAX_ROWS	6	/* x GROUPS sums, 4 weights and an activation fill 32 registers */
#define FEW_ROWS	3	/* where decoding in registers beats a detour through L1 */
#define FEW_FP4_ROWS	2	/* where that beats bytes, too */
#define AHEAD		8192u	/* bytes of W fetched ahead: what the processor does by itself ends
				 * at the page */

/*
 * Exponents that fold: elements are at least 2^-16 (E5M2) and below 2^16, so that neither products
 * of scaled ones, from 2^-112 on, nor sums of 32, below 2^117, leave the normal range.
 */
#define FOLD_RANGE	40

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

static int is_mx(uint32_t fmt)
{
	return nib_format_block(fmt) == 32;
}

static void gemm_prepare(const struct nib_gemm_job *job, struct gemm_tables *tables)
{
	fp8_prepare(&tables->a, job->a_fmt);
	fp8_prepare(&tables->w, job->w_fmt);
	tables->scaling = PLAIN;
	if (is_mx(job->a_fmt) && job->w_fmt == NIB_FMT_NVFP4)
		tables->scaling = HALF;
	if ((is_mx(job->a_fmt) && is_mx(job->w_fmt)) ||
	    (job->a_fmt == NIB_FMT_BF16 && job->w_fmt == NIB_FMT_BF16))
		tables->scaling = WHOLE;
	/* A few rows have the time to multiply. */
	if (job->rows <= FEW_ROWS && job->w_fmt != NIB_FMT_BF16)
		tables->scaling = PLAIN;
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

/* Codes of @fmt that are a NaN or an infinity, one bit a byte. */
NIB_INLINE __mmask64 fp8_special(uint32_t fmt, __m512i codes)
{
	const __m512i largest = _mm512_set1_epi8(fmt == NIB_FMT_MXFP8_E5M2 ? 0x7b : 0x7e);

	return _mm512_cmpgt_epu8_mask(_mm512_and_si512(codes, _mm512_set1_epi8(0x7f)), largest);
}

/* BF16 times a power of two: @exponents << 7 added to all but zeros. */
NIB_INLINE __m512i bf16_scale(__m512i x, __m512i exponents)
{
	return _mm512_mask_add_epi16(x, _mm512_test_epi16_mask(x, _mm512_set1_epi16(0x7fff)), x,
				     exponents);
}

/* One row of one tile to BF16 in order. */
NIB_INLINE __m512i pack_row(const struct gemm_piece *p, const uint8_t *data)
{
	__m512i x, odd;

	switch (p->a_fmt) {
	case NIB_FMT_BF16:
		x = _mm512_loadu_si512(data);
		break;
	case NIB_FMT_MXFP4:
	case NIB_FMT_NVFP4:
		x = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)data));
		x = _mm512_or_si512(x, _mm512_slli_epi32(x, 12));
		x = _mm512_permutexvar_epi16(x, _mm512_load_si512(e2m1_bf16));
		break;
	default:
		x = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)data));
		fp8_decode(&p->tables->a, x, &x, &odd);
		break;
	}
	return x;
}

static void pack_plain(const struct gemm_piece *p, uint32_t i, __m512i *a, float *a_scale)
{
	uint32_t valid = gemm_a_valid(p, i), t, r;
	uint8_t copy[NIB_TILE_K * 2];

	for (t = 0; t < p->a_terms; t++)
		for (r = 0; r < p->rows; r++)
			*a++ = pack_row(p, gemm_a_padded(p, gemm_a_data(p, i, t, r), valid, copy));
	gemm_pack_scales(p, i, a_scale);
}

/* With scales folded; true where they cannot be. */
static int pack_folded(const struct gemm_piece *p, uint32_t i, __m512i *a)
{
	uint32_t valid = gemm_a_valid(p, i), special = 0, t, r;
	uint8_t copy[NIB_TILE_K * 2];

	for (t = 0; t < p->a_terms; t++) {
		const uint8_t *row = gemm_a_data(p, i, t, 0);

		for (r = 0; r < p->rows; r++, row += p->job->a_pitch) {
			const uint8_t *data = gemm_a_padded(p, row, valid, copy);
			int exponent = (int)gemm_a_code(p, i, t, r, 0) - 127;
			__m512i x = pack_row(p, data);

			special |= exponent < -FOLD_RANGE || exponent > FOLD_RANGE;
			if (nib_format_bits(p->a_fmt) == 8)
				special |= (uint32_t)fp8_special(p->a_fmt,
					_mm512_castsi256_si512(_mm256_loadu_si256(
						(const __m256i *)data)));
			*a++ = bf16_scale(x, _mm512_set1_epi16((short)(exponent * 128)));
		}
	}
	return special != 0;
}

static void gemm_pack(const struct gemm_piece *p, uint32_t i, void *a, float *a_scale)
{
	p->special[i] = 0;
	if (p->tables->scaling != PLAIN && nib_format_block(p->a_fmt))
		p->special[i] = pack_folded(p, i, a);
	else
		pack_plain(p, i, a, a_scale);
}

/* FP32 of 16 E8M0 or UE4M3 scales. */
NIB_INLINE __m512 scale_decode(uint32_t fmt, const uint8_t *codes)
{
	return fmt == NIB_FMT_NVFP4 ? ue4m3_scales(codes) : e8m0_scales(codes);
}

/* One tile of weights, ready to multiply: data[term][group][pair], scale[block][term][group]. */
struct tile {
	uint32_t blocks;
	const __m512i *data[2];
	__m512i decoded[2][GROUPS * PAIRS];
	__m512 scale[2][2][GROUPS];
};

/* Data of one term of a tile to BF16: [group][pair][16 outputs][2]; the layout of BF16 panels. */
NIB_INLINE void fp4_tile(const uint8_t *data, __m512i *dst, const int fold, const __m512i *exponent)
{
	const __m512i table = _mm512_load_si512(e2m1_bf16);
	uint32_t v, i;

	for (v = 0; v < GROUPS * 4; v++) {
		__m512i x = _mm512_load_si512(data + v * 64);

		for (i = 0; i < 4; i++) {
			__m512i y = _mm512_permutexvar_epi16(_mm512_srli_epi16(x, 4 * i), table);

			dst[v * 4 + i] = fold ? bf16_scale(y, exponent[v / 4]) : y;
		}
	}
}

NIB_INLINE void fp8_tile(const struct fp8_table *table, const uint8_t *data, __m512i *dst,
			 const int fold, const __m512i *exponent)
{
	__m512i even, odd;
	uint32_t v;

	for (v = 0; v < GROUPS * 8; v++) {
		fp8_decode(table, _mm512_load_si512(data + v * 64), &even, &odd);
		dst[v * 2] = fold ? bf16_scale(even, exponent[v / 8]) : even;
		dst[v * 2 + 1] = fold ? bf16_scale(odd, exponent[v / 8]) : odd;
	}
}

static void tile_plain(const struct gemm_piece *p, const uint8_t *w, struct tile *tile)
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
			fp4_tile(w + scales, tile->decoded[t], 0, NULL);
		else
			fp8_tile(&p->tables->w, w + scales, tile->decoded[t], 0, NULL);
	}
}

/* Whether the scales of a tile fold into its elements. */
NIB_INLINE int tile_folds(const struct gemm_piece *p, const uint8_t *w)
{
	const __m512i least = _mm512_set1_epi8(127 - FOLD_RANGE);
	uint32_t bytes = nib_tile_bytes(p->w_fmt) / p->w_terms, t, v;
	__mmask64 special = 0;

	for (t = 0; t < p->w_terms; t++, w += bytes) {
		__m512i code = _mm512_loadu_si512(w);

		/* Only outputs that are wanted: padding has a scale of zero. */
		special |= p->outputs & _mm512_cmpgt_epu8_mask(_mm512_sub_epi8(code, least),
							       _mm512_set1_epi8(2 * FOLD_RANGE));
		if (nib_format_bits(p->w_fmt) == 8)
			for (v = 1; v < 1 + GROUPS * 8; v++)
				special |= fp8_special(p->w_fmt, _mm512_loadu_si512(w + v * 64));
	}
	return !special;
}

static void tile_folded(const struct gemm_piece *p, const uint8_t *w, struct tile *tile)
{
	uint32_t bytes = nib_tile_bytes(p->w_fmt) / p->w_terms, t, g;
	__m512i exponent[GROUPS];

	for (t = 0; t < p->w_terms; t++, w += bytes) {
		for (g = 0; g < GROUPS; g++) {
			__m512i e = _mm512_cvtepu8_epi32(
				_mm_loadu_si128((const __m128i *)(w + g * 16)));

			/* For both elements of a pair. */
			e = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(127)), 7);
			exponent[g] = _mm512_mask_blend_epi16(0xaaaaaaaa, e,
							      _mm512_slli_epi32(e, 16));
		}
		tile->data[t] = tile->decoded[t];
		if (nib_format_bits(p->w_fmt) == 4)
			fp4_tile(w + NIB_PANEL_N, tile->decoded[t], 1, exponent);
		else
			fp8_tile(&p->tables->w, w + NIB_PANEL_N, tile->decoded[t], 1, exponent);
	}
}

/* acc += sums of one block times scales. */
NIB_INLINE void accumulate(const uint32_t rows, const enum scaling scaling, __m512 (*s)[GROUPS],
			   const float *a_scale, const __m512 *w_scale, float *acc)
{
	uint32_t r, g;

	for (r = 0; r < rows; r++) {
		for (g = 0; g < GROUPS; g++) {
			float *sum = acc + r * NIB_PANEL_N + g * 16;
			__m512 x = _mm512_load_ps(sum);

			if (scaling == WHOLE)
				x = _mm512_add_ps(s[r][g], x);
			else if (scaling == HALF)
				x = _mm512_fmadd_ps(s[r][g], w_scale[g], x);
			else
				x = _mm512_fmadd_ps(s[r][g],
						    _mm512_mul_ps(_mm512_set1_ps(a_scale[r]),
								  w_scale[g]), x);
			_mm512_store_ps(sum, x);
		}
	}
}

/* One block of a piece. @a: packed pairs, PAIRS from row to row. @a_scale: scale by row. */
struct block {
	const uint32_t *a;
	const float *a_scale;
	const __m512i *w;
	const __m512 *w_scale;
	float *acc;
};

/* VDPBF16PS by hand: with the intrinsic, GCC 12 may copy and store every sum at every step. */
NIB_INLINE __m512 dot(__m512 s, __m512i a, __m512i w)
{
	__asm__("vdpbf16ps %2, %1, %0" : "+v"(s) : "v"(a), "v"(w));
	return s;
}

/* acc += sums of @rows rows over one block of @pairs pairs, for all outputs of the panel. */
NIB_INLINE void multiply(const uint32_t rows, const uint32_t pairs, const enum scaling scaling,
			 const struct block *b)
{
	__m512 s[MAX_ROWS][GROUPS];
	uint32_t p, r, g;

	_Pragma("GCC unroll 6")
	for (r = 0; r < rows; r++)
		_Pragma("GCC unroll 4")
		for (g = 0; g < GROUPS; g++)
			s[r][g] = _mm512_setzero_ps();
	/* Unrolled, the compiler would run out of registers. */
	_Pragma("GCC unroll 1")
	for (p = 0; p < pairs; p++) {
		_Pragma("GCC unroll 6")
		for (r = 0; r < rows; r++) {
			__m512i x = _mm512_set1_epi32((int)b->a[r * PAIRS + p]);

			_Pragma("GCC unroll 4")
			for (g = 0; g < GROUPS; g++)
				s[r][g] = dot(s[r][g], x, b->w[g * PAIRS + p]);
		}
	}
	accumulate(rows, scaling, s, b->a_scale, b->w_scale, b->acc);
}

/* All rows over one block, @pairs and @scaling being constant: MAX_ROWS at a time, or one fewer. */
NIB_INLINE void multiply_rows(uint32_t rows, const uint32_t pairs, const enum scaling scaling,
			      struct block b)
{
	uint32_t groups = (rows + MAX_ROWS - 1) / MAX_ROWS, n;

	for (; groups; groups--) {
		n = (rows + groups - 1) / groups;
		GEMM_BY_ROWS(n, multiply, pairs, scaling, &b);
		b.a += n * PAIRS;
		b.a_scale += n;
		b.acc += n * NIB_PANEL_N;
		rows -= n;
	}
}

/* One tile, of activations and weights that are ready, for all rows. */
NIB_INLINE void multiply_tile(const struct gemm_piece *p, const enum scaling scaling,
			      const uint32_t *a, const float *a_scale, const struct tile *tile)
{
	uint32_t b, ta, tw;

	for (b = 0; b < tile->blocks; b++) {
		for (ta = 0; ta < p->a_terms; ta++, a_scale += p->rows) {
			for (tw = 0; tw < p->w_terms; tw++) {
				struct block x = {
					.a = a + ta * p->rows * PAIRS + b * PAIRS / 2,
					.a_scale = a_scale,
					.w = tile->data[tw] + b * PAIRS / 2,
					.w_scale = tile->scale[b][tw],
					.acc = p->acc,
				};

				if (scaling != WHOLE && p->block == 16)
					multiply_rows(p->rows, PAIRS / 2, scaling, x);
				else
					multiply_rows(p->rows, PAIRS, scaling, x);
			}
		}
	}
}

static __attribute__((noinline)) void tile_whole(const struct gemm_piece *p, const uint32_t *a,
						 const struct tile *tile)
{
	multiply_tile(p, WHOLE, a, p->a_scale, tile);
}

static __attribute__((noinline)) void tile_half(const struct gemm_piece *p, const uint32_t *a,
						const struct tile *tile)
{
	multiply_tile(p, HALF, a, p->a_scale, tile);
}

static __attribute__((noinline)) void tile_any(const struct gemm_piece *p, const uint32_t *a,
					       const float *a_scale, const struct tile *tile)
{
	multiply_tile(p, PLAIN, a, a_scale, tile);
}

/* A tile whose scales do not fold although most do: once more, from the start. */
static __attribute__((noinline)) void tile_special(const struct gemm_piece *p, uint32_t i,
						   const uint8_t *w, struct tile *tile)
{
	__m512i a[2 * GEMM_ROWS];
	float a_scale[2 * 2 * GEMM_ROWS];

	pack_plain(p, i, a, a_scale);
	tile_plain(p, w, tile);
	tile_any(p, (const uint32_t *)a, a_scale, tile);
}

/* One term of one block for a few rows. @scale: codes of its scales. */
struct few {
	const uint32_t *a;
	const float *a_scale;
	const uint8_t *data;
	const uint8_t *scale;
};

/* Block @at, counted in elements, of a piece of few rows; @bits, @rows and @block are constant. */
NIB_INLINE struct few few_block(const struct gemm_piece *p, const uint32_t rows,
				const uint32_t bits, const uint32_t block, uint32_t at,
				uint32_t ta, uint32_t tw)
{
	const uint32_t w_block = nib_format_block(p->w_fmt), i = at / NIB_TILE_K;
	const uint32_t b = at % NIB_TILE_K;
	const size_t term = nib_tile_bytes(p->w_fmt) / p->w_terms;
	const uint8_t *w = p->w + (i * p->w_terms + tw) * term;

	return (struct few){
		.a = (const uint32_t *)(const void *)p->a +
		     (i * p->a_terms + ta) * rows * PAIRS + b / 2,
		.a_scale = p->a_scale + (at / block * p->a_terms + ta) * rows,
		.data = w + NIB_PANEL_N * (NIB_TILE_K / w_block) + b * bits / 32 * 64,
		.scale = w + b / w_block * NIB_PANEL_N,
	};
}

/*
 * Decodes in registers; adds one block after the other. Sums of one block are few chains, too few
 * for one row to fill the pipeline: @units blocks at a time are under way.
 */
NIB_INLINE void multiply_few(const struct gemm_piece *p, const uint32_t units, const uint32_t rows,
			     const uint32_t bits, const uint32_t block, const struct few *few,
			     __m512 (*acc)[GROUPS])
{
	const __m512i fp4 = _mm512_load_si512(e2m1_bf16);
	const uint32_t vectors = block * bits / 32, pairs = 16 / bits; /* of a group; in a vector */
	__m512 s[FEW_ROWS][GROUPS];
	uint32_t v, i, r, g, u;

	for (r = 0; r < units * rows; r++)
		for (g = 0; g < GROUPS; g++)
			s[r][g] = _mm512_setzero_ps();
	for (v = 0; v < vectors; v++) {
		for (u = 0; u < units; u++) {
			for (g = 0; g < GROUPS; g++) {
				__m512i w[4], x = _mm512_load_si512(few[u].data +
								    (g * bits + v) * 64);

				if (bits == 8)
					fp8_decode(&p->tables->w, x, &w[0], &w[1]);
				else
					for (i = 0; i < 4; i++)
						w[i] = _mm512_permutexvar_epi16(
							_mm512_srli_epi16(x, 4 * i), fp4);
				for (i = 0; i < pairs; i++)
					for (r = 0; r < rows; r++)
						s[u * rows + r][g] = _mm512_dpbf16_ps(
							s[u * rows + r][g], (__m512bh)w[i],
							(__m512bh)_mm512_set1_epi32(
								(int)few[u].a[r * PAIRS +
									      v * pairs + i]));
			}
		}
	}
	for (u = 0; u < units; u++) {
		for (g = 0; g < GROUPS; g++) {
			__m512 scale = scale_decode(p->w_fmt, few[u].scale + g * 16);

			for (r = 0; r < rows; r++)
				acc[r][g] = _mm512_fmadd_ps(
					s[u * rows + r][g],
					_mm512_mul_ps(_mm512_set1_ps(few[u].a_scale[r]), scale),
					acc[r][g]);
		}
	}
}

/* All tiles of a piece of few rows, @bits, @rows and @block being constant. */
NIB_INLINE void piece_few(const struct gemm_piece *p, const uint32_t rows, const uint32_t bits,
			  const uint32_t block)
{
	const uint32_t units = rows == 1 && bits == 4 ? 2 : 1, bytes = nib_tile_bytes(p->w_fmt);
	uint32_t left = p->job->k - p->tile * NIB_TILE_K, end = p->tiles * NIB_TILE_K;
	uint32_t at, line, ta, tw, r, g, fetched = 0;
	__m512 acc[FEW_ROWS][GROUPS];
	struct few few[2];

	for (r = 0; r < rows; r++)
		for (g = 0; g < GROUPS; g++)
			acc[r][g] = _mm512_load_ps(p->acc + r * NIB_PANEL_N + g * 16);
	end = end < left ? end : left;
	for (at = 0; at < end; at += block) {
		for (; fetched < at / NIB_TILE_K + units; fetched++)
			for (line = 0; line < bytes; line += 64)
				_mm_prefetch((const char *)p->w + fetched * bytes + AHEAD + line,
					     _MM_HINT_T0);
		if (units == 2 && at + block < end && p->a_terms == 1 && p->w_terms == 1) {
			few[0] = few_block(p, rows, bits, block, at, 0, 0);
			at += block;
			few[1] = few_block(p, rows, bits, block, at, 0, 0);
			multiply_few(p, 2, rows, bits, block, few, acc);
			continue;
		}
		for (ta = 0; ta < p->a_terms; ta++) {
			for (tw = 0; tw < p->w_terms; tw++) {
				few[0] = few_block(p, rows, bits, block, at, ta, tw);
				multiply_few(p, 1, rows, bits, block, few, acc);
			}
		}
	}
	for (r = 0; r < rows; r++)
		for (g = 0; g < GROUPS; g++)
			_mm512_store_ps(p->acc + r * NIB_PANEL_N + g * 16, acc[r][g]);
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
	const uint32_t bytes = nib_tile_bytes(p->w_fmt), units = p->a_terms * p->rows;
	const enum scaling scaling = p->tables->scaling;
	const int fold = scaling == WHOLE && p->w_fmt != NIB_FMT_BF16;
	const uint32_t *a = (const uint32_t *)(const void *)p->a;
	const float *a_scale = p->a_scale;
	const uint8_t *w = p->w;
	struct tile tile;
	uint32_t i, at;

	for (i = 0; i < p->tiles; i++, w += bytes) {
		for (at = 0; at < bytes; at += 64)
			_mm_prefetch((const char *)w + AHEAD + at, _MM_HINT_T0);
		gemm_fetch(p, i);
		tile.blocks = gemm_blocks(p, i);
		if (p->special[i] || (fold && !tile_folds(p, w))) {
			tile_special(p, i, w, &tile);
		} else if (fold) {
			tile_folded(p, w, &tile);
			tile_whole(p, a, &tile);
		} else {
			tile_plain(p, w, &tile);
			if (scaling == WHOLE)
				tile_whole(p, a, &tile);
			else if (scaling == HALF)
				tile_half(p, a, &tile);
			else
				tile_any(p, a, a_scale, &tile);
		}
		a += units * PAIRS;
		a_scale += units * (NIB_TILE_K / p->block);
	}
}

static void gemm_multiply(const struct gemm_piece *p)
{
	uint32_t rows = p->job->rows > FEW_ROWS || p->w_fmt == NIB_FMT_BF16 ? 0 : p->rows;

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

void nib_gemm_avx512(const struct nib_gemm_job *job)
{
	if (nib_format_bits(job->a_fmt) == 4 && nib_format_bits(job->w_fmt) == 4 &&
	    job->rows > FEW_FP4_ROWS)
		nib_gemm_fp4_avx512(job);
	else
		gemm_bf16(job);
}
