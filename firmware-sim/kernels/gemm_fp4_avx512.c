/* SPDX-License-Identifier: MIT */
/*
 * GEMM of FP4 x FP4 with AVX-512: byte dot products (VPDPBUSD) over lanes of 16 outputs. Twice an
 * E2M1 value is an integer up to 12, and the sum of a block is exact in either arithmetic, so that
 * integers give the bits of nib_isa.h. One factor must be unsigned: activations are stored 12 too
 * large, and -12 times the sum of the weights, which the tile carries, is added at the end: to
 * start sums from anything but zero costs more.
 *
 * A sum is then four times the one wanted. The quarter hides in the scales, where that changes no
 * bit: not for scales beyond 2^+-RANGE, whose tiles go the plain way.
 */
#include <immintrin.h>
#include <stdint.h>

/* How the sums of a block get their scales. */
enum scaling {
	PLAIN,		/* acc = fma(s / 4, scale of A * scale of W, acc) */
	PRODUCT,	/* acc = fma(s, scale of A * (scale of W / 4), acc) */
	POWERS,		/* the same, where a sum of exponents makes the product */
};

struct gemm_tables {
	enum scaling scaling;	/* of ordinary tiles */
};

#define GEMM_NAME	gemm_fp4
#define GEMM_ELEMENT	1u
#define GEMM_ROWS	NIB_GEMM_ROWS
#define GEMM_PANELS	16u
#define GEMM_BUFFER	(256u << 10)
#include "gemm.h"
#include "scales_avx512.h"

#define GROUPS		(NIB_PANEL_N / 16)
#define QUADS		(NIB_TILE_K / 4)
#define OFFSET		12	/* of stored activations */
#define MAX_ROWS	6	/* x GROUPS sums, 4 weights and an activation fill 32 registers */
#define AHEAD		8192u	/* bytes of W fetched ahead */
#define RANGE		40	/* exponents of E8M0 scales whose products are ordinary */

/* Twice the values of E2M1. */
static const int8_t e2m1_twice[16] __attribute__((aligned(16))) = {
	0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
};

static void gemm_prepare(const struct nib_gemm_job *job, struct gemm_tables *tables)
{
	tables->scaling = job->a_fmt == NIB_FMT_MXFP4 && job->w_fmt == NIB_FMT_MXFP4 ? POWERS :
										      PRODUCT;
}

/*
 * The quads of a tile of weights are k = 0, 4, 1, 5 and 2, 6, 3, 7 of every eight: what masking and
 * shifting bytes gives. Activations follow: from low nibbles (even elements) and high ones.
 */
NIB_INLINE __m256i pack_row(const uint8_t *data)
{
	const __m128i table = _mm_add_epi8(_mm_load_si128((const __m128i *)e2m1_twice),
					   _mm_set1_epi8(OFFSET));
	const __m128i nibble = _mm_set1_epi8(15);
	/* Bytes 0..3 hold (0, 1), (2, 3), (4, 5), (6, 7). */
	const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
	__m128i x = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data), order);
	__m128i even = _mm_shuffle_epi8(table, _mm_and_si128(x, nibble));
	__m128i odd = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(x, 4), nibble));

	/* even: 0 4 2 6, odd: 1 5 3 7 of each eight; 16 bits of one, 16 of the other. */
	return _mm256_set_m128i(_mm_unpackhi_epi16(even, odd), _mm_unpacklo_epi16(even, odd));
}

static void gemm_pack(const struct gemm_piece *p, uint32_t i, void *a, float *a_scale)
{
	uint32_t valid = gemm_a_valid(p, i), special = 0, r;
	const uint8_t *data = gemm_a_data(p, i, 0, 0);
	uint8_t copy[NIB_TILE_K * 2];
	__m256i *x = a;

	for (r = 0; r < p->rows; r++, data += p->job->a_pitch) {
		x[r] = pack_row(gemm_a_padded(p, data, valid, copy));
		if (p->a_fmt == NIB_FMT_MXFP4)
			special |= gemm_a_code(p, i, 0, r, 0) - (127 - RANGE) > 2 * RANGE;
	}
	p->special[i] = special;
	gemm_pack_scales(p, i, a_scale);
}

/*
 * One tile of weights, ready to multiply.
 * @blocks: of them that count.
 * @data: twice the elements.
 * @offset: of a block: what its sums still lack.
 * @scale: of a block; for PRODUCT a quarter of it, for POWERS bits to add to those of A's.
 */
struct tile {
	uint32_t blocks;
	__m512i data[GROUPS][QUADS];
	__m512i offset[2][GROUPS];
	__m512 scale[2][GROUPS];
};

NIB_INLINE void tile_decode(const struct gemm_piece *p, const uint8_t *w, const uint32_t block,
			    struct tile *tile)
{
	const uint32_t w_block = nib_format_block(p->w_fmt), quads = block / 4;
	const __m512i table = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)e2m1_twice));
	const uint8_t *data = w + NIB_PANEL_N * (NIB_TILE_K / w_block);
	uint32_t v, b, q, g;

	/* A lookup has six index bits, a code four: the table repeats. */
	for (v = 0; v < GROUPS * QUADS / 2; v++) {
		__m512i x = _mm512_loadu_si512(data + v * 64);
		__m512i *quad = &tile->data[v / 4][v % 4 * 2];

		quad[0] = _mm512_permutexvar_epi8(x, table);
		quad[1] = _mm512_permutexvar_epi8(_mm512_srli_epi16(x, 4), table);
	}
	for (b = 0; b < NIB_TILE_K / block; b++) {
		for (g = 0; g < GROUPS; g++) {
			__m512i sum = _mm512_setzero_si512();

			for (q = 0; q < quads; q++)
				sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(OFFSET),
							  tile->data[g][b * quads + q]);
			tile->offset[b][g] = _mm512_sub_epi32(_mm512_setzero_si512(), sum);
		}
	}
}

NIB_INLINE void tile_scales(const struct gemm_piece *p, const uint8_t *w, const uint32_t block,
			    const enum scaling scaling, struct tile *tile)
{
	const uint32_t w_block = nib_format_block(p->w_fmt);
	uint32_t b, g;

	for (b = 0; b < NIB_TILE_K / block; b++) {
		for (g = 0; g < GROUPS; g++) {
			const uint8_t *code = w + b * block / w_block * NIB_PANEL_N + g * 16;
			__m512 x = p->w_fmt == NIB_FMT_NVFP4 ? ue4m3_scales(code) :
							      e8m0_scales(code);

			if (scaling == PRODUCT)
				x = _mm512_mul_ps(x, _mm512_set1_ps(0.25f));
			if (scaling == POWERS)
				x = _mm512_castsi512_ps(
					_mm512_sub_epi32(_mm512_castps_si512(x),
							 _mm512_set1_epi32((127 + 2) << 23)));
			tile->scale[b][g] = x;
		}
	}
}

/* Whether scales of a tile, of outputs that are wanted, leave the range. */
NIB_INLINE int tile_special(const struct gemm_piece *p, const uint8_t *w)
{
	__m512i code = _mm512_sub_epi8(_mm512_loadu_si512(w), _mm512_set1_epi8(127 - RANGE));

	return p->w_fmt == NIB_FMT_MXFP4 &&
	       (_mm512_cmpgt_epu8_mask(code, _mm512_set1_epi8(2 * RANGE)) & p->outputs);
}

/* What one block of a tile is made of, by rows: @a has QUADS from row to row. */
struct block {
	const uint32_t *a;
	const float *a_scale;
	const __m512i *w;	/* QUADS from group to group */
	const __m512i *offset;
	const __m512 *w_scale;
	float *acc;
};

/* VPDPBUSD by hand: with the intrinsic, GCC 12 copies and stores every sum at every step. */
NIB_INLINE __m512i dot(__m512i s, __m512i a, __m512i w)
{
	__asm__("vpdpbusd %2, %1, %0" : "+v"(s) : "v"(a), "v"(w));
	return s;
}

/* acc += sums of @rows rows over one block of @quads quads, for all outputs of the panel. */
NIB_INLINE void multiply(const uint32_t rows, const uint32_t quads, const enum scaling scaling,
			 const struct block *b)
{
	__m512i s[MAX_ROWS][GROUPS];
	uint32_t q, r, g;

	_Pragma("GCC unroll 6")
	for (r = 0; r < rows; r++)
		_Pragma("GCC unroll 4")
		for (g = 0; g < GROUPS; g++)
			s[r][g] = _mm512_setzero_si512();
	/* Unrolled, the compiler would run out of registers. */
	_Pragma("GCC unroll 1")
	for (q = 0; q < quads; q++) {
		_Pragma("GCC unroll 6")
		for (r = 0; r < rows; r++) {
			__m512i x = _mm512_set1_epi32((int)b->a[r * QUADS + q]);

			_Pragma("GCC unroll 4")
			for (g = 0; g < GROUPS; g++)
				s[r][g] = dot(s[r][g], x, b->w[g * QUADS + q]);
		}
	}
	_Pragma("GCC unroll 6")
	for (r = 0; r < rows; r++) {
		__m512 by = _mm512_set1_ps(b->a_scale[r]);

		_Pragma("GCC unroll 4")
		for (g = 0; g < GROUPS; g++) {
			float *sum = b->acc + r * NIB_PANEL_N + g * 16;
			__m512 scale = b->w_scale[g];
			__m512 x = _mm512_cvtepi32_ps(_mm512_add_epi32(s[r][g], b->offset[g]));

			if (scaling == POWERS)
				scale = _mm512_castsi512_ps(
					_mm512_add_epi32(_mm512_castps_si512(scale),
							 _mm512_castps_si512(by)));
			else
				scale = _mm512_mul_ps(by, scale);
			if (scaling == PLAIN)
				x = _mm512_mul_ps(x, _mm512_set1_ps(0.25f));
			_mm512_store_ps(sum, _mm512_fmadd_ps(x, scale, _mm512_load_ps(sum)));
		}
	}
}

/* All rows over one tile, @block and @scaling being constant: MAX_ROWS at a time, or one fewer. */
NIB_INLINE void multiply_rows(uint32_t rows, const uint32_t quads, const enum scaling scaling,
			      struct block b)
{
	uint32_t groups = (rows + MAX_ROWS - 1) / MAX_ROWS, n;

	for (; groups; groups--) {
		n = (rows + groups - 1) / groups;
		GEMM_BY_ROWS(n, multiply, quads, scaling, &b);
		b.a += n * QUADS;
		b.a_scale += n;
		b.acc += n * NIB_PANEL_N;
		rows -= n;
	}
}

NIB_INLINE void multiply_tile(const struct gemm_piece *p, const uint32_t block,
			      const enum scaling scaling, const uint32_t *a, const float *a_scale,
			      const struct tile *tile)
{
	uint32_t b;

	for (b = 0; b < tile->blocks; b++) {
		struct block x = {
			.a = a + b * block / 4,
			.a_scale = a_scale + b * p->rows,
			.w = tile->data[0] + b * block / 4,
			.offset = tile->offset[b],
			.w_scale = tile->scale[b],
			.acc = p->acc,
		};

		multiply_rows(p->rows, block / 4, scaling, x);
	}
}

/* Functions of their own, or else the compiler moves sums of other rows through registers. */
static __attribute__((noinline)) void tile_plain(const struct gemm_piece *p, const uint32_t block,
						 const uint32_t *a, const float *a_scale,
						 const struct tile *tile)
{
	if (block == 16)
		multiply_tile(p, 16, PLAIN, a, a_scale, tile);
	else
		multiply_tile(p, 32, PLAIN, a, a_scale, tile);
}

static __attribute__((noinline)) void tile_product(const struct gemm_piece *p, const uint32_t *a,
						   const float *a_scale, const struct tile *tile)
{
	multiply_tile(p, 16, PRODUCT, a, a_scale, tile);
}

static __attribute__((noinline)) void tile_powers(const struct gemm_piece *p, const uint32_t *a,
						  const float *a_scale, const struct tile *tile)
{
	multiply_tile(p, 32, POWERS, a, a_scale, tile);
}

/* All tiles of a piece, @block and @scaling being constant. */
NIB_INLINE void piece_multiply(const struct gemm_piece *p, const uint32_t block,
			       const enum scaling scaling)
{
	const uint32_t bytes = nib_tile_bytes(p->w_fmt);
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
		tile_decode(p, w, block, &tile);
		if (p->special[i] || tile_special(p, w)) {
			tile_scales(p, w, block, PLAIN, &tile);
			tile_plain(p, block, a, a_scale, &tile);
		} else {
			tile_scales(p, w, block, scaling, &tile);
			if (scaling == POWERS)
				tile_powers(p, a, a_scale, &tile);
			else
				tile_product(p, a, a_scale, &tile);
		}
		a += p->rows * QUADS;
		a_scale += p->rows * (NIB_TILE_K / block);
	}
}

static void gemm_multiply(const struct gemm_piece *p)
{
	if (p->tables->scaling == POWERS)
		piece_multiply(p, 32, POWERS);
	else
		piece_multiply(p, 16, PRODUCT);
}

void nib_gemm_fp4_avx512(const struct nib_gemm_job *job)
{
	gemm_fp4(job);
}
