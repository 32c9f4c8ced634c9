/* SPDX-License-Identifier: MIT */
/*
 * GEMM of FP4 weights with AVX2: integer dot products over lanes of 8 outputs, for FP4 activations
 * (VPMADDUBSW) and FP8 ones, E4M3 (VPMADDWD; VPMADDUBSW twice for a single row). That the sums of
 * nib_isa.h come out to the last bit needs no fma of theirs to round:
 *
 * - Twice an E2M1 value is an integer up to 12, 512 times an E4M3 value one up to 229376. Products
 *   count units of 2^-10. If all elements of a block of A are multiples of a power of two, L, so are
 *   all sums, and with 12 * sum |a| <= 2^24 * L every one of them fits FP32, in any order.
 * - With L >= 8 (multiples of 2^-6) that always holds, and elements fit 16 bits. Most blocks are such,
 *	since scales put the largest element above 224.
 * - Others take the three bits below as well (FINE): one in some ten in a language model, more after
 *	gated activations than after norms, and then few of their elements. Those that fail the test or
 *	hold a NaN are computed as nib_isa.h has it, in FP32 and in order (INEXACT): one in some hundred.
 *
 * What needs care is found out where activations are packed, once for all panels.
 */
#include <immintrin.h>

/* How integer sums become numbers. */
enum scaling {
	PLAIN,		/* acc = fma(s * unit, scale of A * scale of W, acc) */
	PRODUCT,	/* acc = fma(s, scale of A * (scale of W * unit), acc): ordinary scales only */
};

struct gemm_tables {
	char unused;
};

#define GEMM_NAME	gemm_fp4
#define GEMM_ELEMENT	2u
#define GEMM_ROWS	48u
#define GEMM_PANELS	16u
#define GEMM_BUFFER	(384u << 10)
#include "gemm.h"
#include "decode_avx2.h"

#define HALVES		(NIB_PANEL_N / 8)
#define VECTORS		(NIB_TILE_K / 8)	/* of 64 bytes, for a group of two halves */
#define MAX_ROWS	6	/* x 2 sums, 2 weights, an activation, a product: 16 registers */
#define AHEAD		4096u	/* bytes of W fetched ahead */
#define RANGE		40	/* exponents of E8M0 scales whose products are ordinary */
#define LARGEST_W	12	/* twice the largest E2M1 value; added to unsigned weights */

/* What p->special says of a row's tile; the first two shifted by the block. */
#define FINE		0x01u
#define INEXACT		0x04u
#define BLOCK_FLAGS	(FINE | INEXACT)
#define OUT_OF_RANGE	0x80u

/*
 * A row of a tile, packed. Weights decode to k = 0, 4, 1, 5 and 2, 6, 3, 7 of each eight, which is
 * what masking and shifting bytes gives, or as words to 0, 1; 4, 5; 2, 3; 6, 7. Activations follow.
 */
union packed {
	struct {
		int8_t a[NIB_TILE_K];	/* twice the E2M1 values */
		int32_t start[2];	/* of a block: two words, -12 times their sums of a */
	} fp4;
	int16_t words[NIB_TILE_K];	/* 64 times the E4M3 values, rounded down; zeros if INEXACT */
	int8_t bytes[2][NIB_TILE_K];	/* the same for a single row: upper, lower (signed) bytes */
	__m256i vectors[2];
};
_Static_assert(sizeof(union packed) == NIB_TILE_K * GEMM_ELEMENT, "gemm.h strides over this");

static void gemm_prepare(const struct nib_gemm_job *job, struct gemm_tables *tables)
{
	(void)job;
	tables->unused = 0;
}

NIB_INLINE int is_fp4(uint32_t fmt)
{
	return fmt == NIB_FMT_MXFP4 || fmt == NIB_FMT_NVFP4;
}

/* Words of all dwords of each 128-bit half of @x, added up, in every dword of that half. */
NIB_INLINE __m256i sum_dwords(__m256i x)
{
	x = _mm256_add_epi16(x, _mm256_shuffle_epi32(x, _MM_SHUFFLE(1, 0, 3, 2)));
	return _mm256_add_epi16(x, _mm256_shuffle_epi32(x, _MM_SHUFFLE(2, 3, 0, 1)));
}

/*
 * What sums over unsigned weights lack, for bytes @a: -12 times the sum of those that share a word.
 * A block of 16 is a half of the vector.
 */
NIB_INLINE __m256i sums_start(__m256i a, const uint32_t block)
{
	__m256i x = sum_dwords(_mm256_maddubs_epi16(_mm256_set1_epi8(LARGEST_W), a));

	if (block == 32)
		x = _mm256_add_epi16(x, _mm256_permute2x128_si256(x, x, 1));
	return _mm256_sub_epi16(_mm256_setzero_si256(), x);
}

static void pack_fp4(const uint8_t *data, uint32_t block, union packed *row)
{
	const __m128i table = e2m1_twice(), nibble = _mm_set1_epi8(15);
	/* Bytes 0..3 hold (0, 1), (2, 3), (4, 5), (6, 7). */
	const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
	__m128i x = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data), order);
	__m128i even = _mm_shuffle_epi8(table, _mm_and_si128(x, nibble));
	__m128i odd = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(x, 4), nibble));
	/* even: 0 4 2 6, odd: 1 5 3 7 of each eight; 16 bits of one, 16 of the other. */
	__m256i a = _mm256_set_m128i(_mm_unpackhi_epi16(even, odd), _mm_unpacklo_epi16(even, odd));
	__m256i start = block == 16 ? sums_start(a, 16) : sums_start(a, 32);

	row->vectors[0] = a;
	row->fp4.start[0] = _mm256_extract_epi32(start, 0);
	row->fp4.start[1] = _mm256_extract_epi32(start, 4);
}

/* 512 times the magnitudes of eight E4M3 codes; NaN becomes more than the largest. */
NIB_INLINE __m256i e4m3_magnitudes(__m256i codes)
{
	__m256i mag = _mm256_and_si256(codes, _mm256_set1_epi32(0x7f));
	__m256i e = _mm256_max_epi32(_mm256_srli_epi32(mag, 3), _mm256_set1_epi32(1));

	/* Mantissas 0..7 of subnormals, 8..15 of others, shifted by the exponent above the least. */
	e = _mm256_sub_epi32(e, _mm256_set1_epi32(1));
	return _mm256_sllv_epi32(_mm256_sub_epi32(mag, _mm256_slli_epi32(e, 3)), e);
}

/* Words of 16 numbers in the order of weights' words. */
NIB_INLINE __m256i order_words(__m256i first, __m256i second)
{
	__m256i x = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second),
					     _MM_SHUFFLE(3, 1, 2, 0));

	return _mm256_shuffle_epi32(x, _MM_SHUFFLE(3, 1, 2, 0));
}

/*
 * 32 E4M3 codes to words: 64 times their values, rounded down. The sum of their magnitudes, in eighths,
 * and the bits that any of them has, by half.
 */
struct e4m3_words {
	__m256i words[2];
	uint32_t sum[2];
	uint32_t bits[2];
};

NIB_INLINE uint32_t add_lanes(__m256i x)
{
	__m128i y = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));

	y = _mm_add_epi32(y, _mm_shuffle_epi32(y, _MM_SHUFFLE(1, 0, 3, 2)));
	y = _mm_add_epi32(y, _mm_shuffle_epi32(y, _MM_SHUFFLE(2, 3, 0, 1)));
	return (uint32_t)_mm_cvtsi128_si32(y);
}

NIB_INLINE uint32_t or_lanes(__m256i x)
{
	__m128i y = _mm_or_si128(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));

	y = _mm_or_si128(y, _mm_shuffle_epi32(y, _MM_SHUFFLE(1, 0, 3, 2)));
	y = _mm_or_si128(y, _mm_shuffle_epi32(y, _MM_SHUFFLE(2, 3, 0, 1)));
	return (uint32_t)_mm_cvtsi128_si32(y);
}

NIB_INLINE void e4m3_words(const uint8_t *data, struct e4m3_words *e)
{
	const __m256i seven = _mm256_set1_epi32(7);
	uint32_t half, i;

	for (half = 0; half < 2; half++) {
		__m256i mag[2], n[2];

		for (i = 0; i < 2; i++) {
			__m256i c = _mm256_cvtepu8_epi32(_mm_loadl_epi64(
				(const __m128i *)(data + half * 16 + i * 8)));
			__m256i sign = _mm256_or_si256(_mm256_slli_epi32(c, 24), seven);

			mag[i] = e4m3_magnitudes(c);
			n[i] = _mm256_srai_epi32(_mm256_sign_epi32(mag[i], sign), 3);
		}
		e->words[half] = order_words(n[0], n[1]);
		e->sum[half] = add_lanes(_mm256_add_epi32(mag[0], mag[1]));
		e->bits[half] = or_lanes(_mm256_or_si256(mag[0], mag[1]));
	}
}

/* What a block of such numbers needs; with a NaN among them they say nothing. */
NIB_INLINE uint32_t block_flags(uint64_t sum, uint64_t bits, uint32_t nan)
{
	uint32_t fine = bits & 7 ? FINE : 0;

	return nan || LARGEST_W * sum > (bits & -bits) << 24 ? INEXACT : fine;
}

/* Words to bytes for a single row: k = 0, 4, 1, 5, 2, 6, 3, 7 from 0, 1, 4, 5, 2, 3, 6, 7. */
NIB_INLINE __m256i order_bytes(__m256i first, __m256i second)
{
	const __m256i order = _mm256_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15,
					       0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
	__m256i x = _mm256_permute4x64_epi64(_mm256_packs_epi16(first, second),
					     _MM_SHUFFLE(3, 1, 2, 0));

	return _mm256_shuffle_epi8(x, order);
}

/* Upper and lower bytes of words. */
NIB_INLINE void words_to_bytes(const __m256i *words, __m256i *planes)
{
	__m256i low[2], high[2];
	uint32_t i;

	for (i = 0; i < 2; i++) {
		low[i] = _mm256_srai_epi16(_mm256_slli_epi16(words[i], 8), 8);
		high[i] = _mm256_srai_epi16(_mm256_sub_epi16(words[i], low[i]), 8);
	}
	planes[0] = order_bytes(high[0], high[1]);
	planes[1] = order_bytes(low[0], low[1]);
}

/* What 32 codes have beside words, since those are rounded down: eighths, 0 to 7. */
NIB_INLINE __m256i fine_bytes(const uint8_t *codes)
{
	/* The lowest three bits of 512 times the magnitudes 0..15 and 16..31; others have none. */
	const __m256i first = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7));
	const __m256i second = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		0, 2, 4, 6, 0, 2, 4, 6, 0, 4, 0, 4, 0, 4, 0, 4));
	/* Indices from 16 on get bit 7, which looks up a zero. */
	const __m256i zeros = _mm256_set1_epi8(0x70);
	__m256i code = _mm256_loadu_si256((const __m256i *)codes);
	__m256i minus = _mm256_cmpgt_epi8(_mm256_setzero_si256(), code);
	__m256i mag = _mm256_and_si256(code, _mm256_set1_epi8(0x7f)), x, y;

	x = _mm256_adds_epu8(mag, zeros);
	y = _mm256_adds_epu8(_mm256_sub_epi8(mag, _mm256_set1_epi8(16)), zeros);
	x = _mm256_or_si256(_mm256_shuffle_epi8(first, x), _mm256_shuffle_epi8(second, y));
	x = _mm256_sub_epi8(_mm256_xor_si256(x, minus), minus);
	return _mm256_and_si256(x, _mm256_set1_epi8(7));
}

/* The same in the order of bytes, for a single row. */
NIB_INLINE __m256i fine_plane(const uint8_t *codes)
{
	const __m256i order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));

	return _mm256_shuffle_epi8(fine_bytes(codes), order);
}

static uint32_t pack_fp8(const struct gemm_piece *p, const uint8_t *data, union packed *row)
{
	struct e4m3_words e;
	uint32_t flags, nan;

	if (p->a_fmt == NIB_FMT_MXFP8_E5M2)
		return INEXACT | INEXACT << 1;
	e4m3_words(data, &e);
	nan = (uint32_t)_mm256_movemask_epi8(fp8_specials(3, data));
	if (p->block == 32)
		flags = block_flags((uint64_t)e.sum[0] + e.sum[1], e.bits[0] | e.bits[1], nan);
	else
		flags = block_flags(e.sum[0], e.bits[0], nan & 0xffff) |
			block_flags(e.sum[1], e.bits[1], nan >> 16) << 1;
	if (p->rows > 1) {
		const __m256i zero = _mm256_setzero_si256();
		const uint32_t second = p->block == 32 ? INEXACT : INEXACT << 1;

		row->vectors[0] = flags & INEXACT ? zero : e.words[0];
		row->vectors[1] = flags & second ? zero : e.words[1];
		return flags;
	}
	words_to_bytes(e.words, row->vectors);
	return flags;
}

static void gemm_pack(const struct gemm_piece *p, uint32_t i, void *a, float *a_scale)
{
	uint8_t *special = p->special + (size_t)i * p->a_terms * p->rows, copy[NIB_TILE_K * 2];
	uint32_t valid = gemm_a_valid(p, i), t, r, code;
	union packed *row = a;

	for (t = 0; t < p->a_terms; t++) {
		for (r = 0; r < p->rows; r++, row++, special++) {
			const uint8_t *data =
				gemm_a_padded(p, gemm_a_data(p, i, t, r), valid, copy);

			*special = 0;
			if (is_fp4(p->a_fmt))
				pack_fp4(data, p->block, row);
			else
				*special = (uint8_t)pack_fp8(p, data, row);
			if (p->a_fmt == NIB_FMT_NVFP4)
				continue;
			code = gemm_a_code(p, i, t, r, 0) - (127 - RANGE);
			if (code > 2 * RANGE)
				*special |= OUT_OF_RANGE;
		}
	}
	gemm_pack_scales(p, i, a_scale);
}

/*
 * One tile of weights, ready to multiply.
 * @w: its bytes as stored.
 * @data: for FP8 activations words of twice the values, for FP4 ones bytes, 12 too large; in steps of
 *	a dword a lane.
 * @scale: of a block; times the unit for PRODUCT.
 */
struct tile {
	const uint8_t *w;
	__m256i data[HALVES][NIB_TILE_K / 2];
	float scale[2][NIB_PANEL_N] __attribute__((aligned(32)));
};

/* Value of an integer sum of 1: quarters of FP4 x FP4, (1/64) * (1/2) of E4M3 x FP4. */
NIB_INLINE float sum_unit(const int fp4)
{
	return fp4 ? 0.25f : 0x1p-7f;
}

NIB_INLINE const uint8_t *tile_data(const struct gemm_piece *p, const uint8_t *w)
{
	return w + NIB_PANEL_N * (NIB_TILE_K / nib_format_block(p->w_fmt));
}

/* Vector @v of eight elements along k, for outputs of half @h. */
NIB_INLINE __m256i tile_vector(const uint8_t *data, uint32_t h, uint32_t v)
{
	return _mm256_loadu_si256((const __m256i *)(data + (h / 2 * VECTORS + v) * 64 + h % 2 * 32));
}

NIB_INLINE void tile_decode(const struct gemm_piece *p, const int fp4, struct tile *tile)
{
	const __m256i table = _mm256_broadcastsi128_si256(
		fp4 ? _mm_add_epi8(e2m1_twice(), _mm_set1_epi8(LARGEST_W)) : e2m1_twice());
	const __m256i nibble = _mm256_set1_epi8(15);
	const uint8_t *data = tile_data(p, tile->w);
	uint32_t h, v;

	for (h = 0; h < HALVES; h++) {
		__m256i *step = tile->data[h];

		for (v = 0; v < VECTORS; v++) {
			__m256i x = tile_vector(data, h, v);
			__m256i low = _mm256_and_si256(x, nibble);
			__m256i high = _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble);

			low = _mm256_shuffle_epi8(table, low);
			high = _mm256_shuffle_epi8(table, high);
			if (fp4) {
				*step++ = low;
				*step++ = high;
				continue;
			}
			*step++ = _mm256_srai_epi16(_mm256_slli_epi16(low, 8), 8);
			*step++ = _mm256_srai_epi16(low, 8);
			*step++ = _mm256_srai_epi16(_mm256_slli_epi16(high, 8), 8);
			*step++ = _mm256_srai_epi16(high, 8);
		}
	}
}

/* Scales of block @b of a tile; for PRODUCT times the unit, which @fp4 says. */
NIB_INLINE void tile_scales(const struct gemm_piece *p, const uint8_t *w, uint32_t b, const int fp4,
			    enum scaling scaling, float *restrict scale)
{
	const uint8_t *code = w + b * p->block / nib_format_block(p->w_fmt) * NIB_PANEL_N;
	const float unit = scaling == PLAIN ? 1.0f : sum_unit(fp4);
	uint32_t n;

	if (p->w_fmt == NIB_FMT_NVFP4)
		for (n = 0; n < NIB_PANEL_N; n += 8)
			_mm256_storeu_ps(scale + n, ue4m3_decode8(code + n, unit));
	else if (scaling == PLAIN)
		for (n = 0; n < NIB_PANEL_N; n += 8)
			_mm256_storeu_ps(scale + n, e8m0_decode8(code + n, 1.0f));
	else
		for (n = 0; n < NIB_PANEL_N; n += 8)
			_mm256_storeu_ps(scale + n, e8m0_ordinary8(code + n, fp4 ? 2 : 7));
}

/* Whether scales of a tile, of outputs that are wanted or not, leave the range. */
NIB_INLINE int tile_special(const struct gemm_piece *p, const uint8_t *w)
{
	const __m256i least = _mm256_set1_epi8(127 - RANGE), range = _mm256_set1_epi8(2 * RANGE);
	__m256i above = _mm256_setzero_si256();
	uint32_t n;

	if (p->w_fmt == NIB_FMT_NVFP4)
		return 0;
	for (n = 0; n < NIB_PANEL_N; n += 32) {
		__m256i x = _mm256_loadu_si256((const __m256i *)(w + n));

		x = _mm256_subs_epu8(_mm256_sub_epi8(x, least), range);
		above = _mm256_or_si256(above, x);
	}
	return !_mm256_testz_si256(above, above);
}

/* Fetches the tile that is AHEAD of @w, of @bytes. */
NIB_INLINE void tile_fetch(const uint8_t *w, uint32_t bytes)
{
	uint32_t n;

	_Pragma("GCC unroll 4")
	for (n = 0; n < bytes; n += 64)
		_mm_prefetch((const char *)w + AHEAD + n, _MM_HINT_T0);
}

/* acc = fma(x, scale of A * scale of W, acc), for eight outputs. */
NIB_INLINE void accumulate(__m256 x, __m256 a_scale, const float *w_scale, float *acc)
{
	__m256 scale = _mm256_mul_ps(a_scale, _mm256_loadu_ps(w_scale));

	_mm256_storeu_ps(acc, _mm256_fmadd_ps(x, scale, _mm256_loadu_ps(acc)));
}

/*
 * What some rows need in a block, and those that go together with them.
 * @rows: which, a bit each.
 * @by: scale of A; an eighth of it for PRODUCT; -0 for rows that are left out, whose words are zeros, so
 *	that they add -0.
 * @rest: what a row's sums have beside those over words, in eighths, for each half.
 */
struct care {
	uint64_t rows;
	float by[GEMM_ROWS];
	const __m256i *rest[GEMM_ROWS];
	__m256i rests[GEMM_ROWS][HALVES];
};

/*
 * What one block of a tile is made of, by rows.
 * @care: or NULL.
 * @first: row, @half: of the outputs, that the pointers have got to.
 */
struct block {
	const union packed *a;
	const float *a_scale;
	const __m256i (*w)[NIB_TILE_K / 2];
	const float *w_scale;
	float *acc;
	uint32_t index;
	const struct care *care;
	uint32_t first;
	uint32_t half;
};

NIB_INLINE int32_t packed_dword(const union packed *a, uint32_t i)
{
	int32_t x;

	__builtin_memcpy(&x, (const uint8_t *)a + i * 4, 4);
	return x;
}

/* VPADDW and VPADDD by hand: with intrinsics, GCC 12 copies every sum at every step. */
NIB_INLINE __m256i add_words(__m256i s, __m256i x)
{
	__asm__("vpaddw %1, %0, %0" : "+x"(s) : "x"(x));
	return s;
}

NIB_INLINE __m256i add_dwords(__m256i s, __m256i x)
{
	__asm__("vpaddd %1, %0, %0" : "+x"(s) : "x"(x));
	return s;
}

/*
 * acc += sums of @rows rows over one block of @steps dwords a lane, for outputs of two halves.
 * @careful: as b->care has it.
 */
NIB_INLINE void multiply(const uint32_t rows, const uint32_t steps, const int fp4, const int careful,
			 const enum scaling scaling, const struct block *b)
{
	const float unit = careful ? sum_unit(fp4) * 0.125f : sum_unit(fp4);
	const __m256i *w0 = b->w[0], *w1 = b->w[1];
	__m256i s[MAX_ROWS][2];
	uint32_t q, r, h;

	_Pragma("GCC unroll 6")
	for (r = 0; r < rows; r++)
		s[r][0] = s[r][1] = fp4 ? _mm256_set1_epi32(b->a[r].fp4.start[b->index]) :
					  _mm256_setzero_si256();
	_Pragma("GCC unroll 1")
	for (q = 0; q < steps; q++) {
		__m256i u0 = w0[q], u1 = w1[q];

		_Pragma("GCC unroll 6")
		for (r = 0; r < rows; r++) {
			__m256i x = _mm256_set1_epi32(packed_dword(&b->a[r], b->index * steps + q));

			if (fp4) {
				s[r][0] = add_words(s[r][0], _mm256_maddubs_epi16(u0, x));
				s[r][1] = add_words(s[r][1], _mm256_maddubs_epi16(u1, x));
			} else {
				s[r][0] = add_dwords(s[r][0], _mm256_madd_epi16(u0, x));
				s[r][1] = add_dwords(s[r][1], _mm256_madd_epi16(u1, x));
			}
		}
	}
	_Pragma("GCC unroll 6")
	for (r = 0; r < rows; r++) {
		__m256 by = _mm256_set1_ps(careful ? b->care->by[b->first + r] :
							   b->a_scale[r]);

		_Pragma("GCC unroll 2")
		for (h = 0; h < 2; h++) {
			__m256i sum = s[r][h];
			__m256 x;

			if (fp4)
				sum = _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
			if (careful)
				sum = _mm256_add_epi32(_mm256_slli_epi32(sum, 3),
						b->care->rest[b->first + r][b->half + h]);
			x = _mm256_cvtepi32_ps(sum);
			if (scaling == PLAIN)
				x = _mm256_mul_ps(x, _mm256_set1_ps(unit));
			accumulate(x, by, b->w_scale + h * 8, b->acc + r * NIB_PANEL_N + h * 8);
		}
	}
}

/* All rows over two halves, everything but their number being constant. */
NIB_INLINE void multiply_rows(uint32_t rows, const uint32_t steps, const int fp4,
			      const enum scaling scaling, struct block b)
{
	uint32_t groups = (rows + MAX_ROWS - 1) / MAX_ROWS, n;

	for (; groups; groups--) {
		n = (rows + groups - 1) / groups;
		if (!fp4 && b.care && b.care->rows >> b.first & ((1u << n) - 1))
			GEMM_BY_ROWS(n, multiply, steps, 0, 1, scaling, &b);
		else
			GEMM_BY_ROWS(n, multiply, steps, fp4, 0, scaling, &b);
		b.a += n;
		b.a_scale += n;
		b.acc += n * NIB_PANEL_N;
		b.first += n;
		rows -= n;
	}
}

NIB_INLINE void multiply_halves(uint32_t rows, const uint32_t block, const int fp4,
				const enum scaling scaling, struct block b)
{
	uint32_t h;

	b.w = (const __m256i (*)[NIB_TILE_K / 2])&b.w[0][b.index * block / (fp4 ? 4 : 2)];
	for (h = 0; h < HALVES; h += 2) {
		b.half = h;
		multiply_rows(rows, block / (fp4 ? 4 : 2), fp4, scaling, b);
		b.w += 2;
		b.w_scale += 16;
		b.acc += 16;
	}
}

/* A function of its own for each kind of block, or else the compiler runs out of registers. */
#define MULTIPLY(name, n, fp4)								\
	static __attribute__((noinline)) void name(uint32_t rows, const enum scaling scaling,	\
						   const struct block *b)			\
	{											\
		if (scaling == PLAIN)								\
			multiply_halves(rows, n, fp4, PLAIN, *b);				\
		else										\
			multiply_halves(rows, n, fp4, PRODUCT, *b);				\
	}

MULTIPLY(multiply_fp4_32, 32, 1)
MULTIPLY(multiply_fp4_16, 16, 1)
MULTIPLY(multiply_fp8_32, 32, 0)
MULTIPLY(multiply_fp8_16, 16, 0)

/*
 * One block of one row: weights are looked up on the way. @planes: vectors of bytes of A, 256 times
 * as large each as the next; @fine: the last is an eighth of a unit instead. @data: of the tile, @b:
 * block. Words hold sums of 32 products, since 12 * 128 * 16 < 2^15; larger ones on the way wrap
 * around and back.
 */
NIB_INLINE void row_multiply(const uint32_t planes, const int fine, const uint32_t block,
			     const enum scaling scaling, const __m256i *a, const uint8_t *data,
			     uint32_t b, float a_scale, const float *w_scale, float *acc)
{
	const __m256i table = _mm256_broadcastsi128_si256(
		_mm_add_epi8(e2m1_twice(), _mm_set1_epi8(LARGEST_W)));
	const __m256i nibble = _mm256_set1_epi8(15);
	const __m256 by = _mm256_set1_ps(a_scale);
	const __m256 unit = _mm256_set1_ps(planes == 1 ? 0.25f : fine ? 0x1p-10f : 0x1p-7f);
	const int32_t *dword = (const int32_t *)(const void *)a + b * (block / 4);
	__m256i start[3];
	uint32_t h, i, j, v;

	_Pragma("GCC unroll 3")
	for (j = 0; j < planes; j++) {
		start[j] = sums_start(a[j], block);
		start[j] = b ? _mm256_permute2x128_si256(start[j], start[j], 0x11) :
			       _mm256_permute2x128_si256(start[j], start[j], 0x00);
	}
	data += b * (block / 8) * 64;
	for (h = 0; h < HALVES; h += 2, data += VECTORS * 64) {
		__m256i s[3][2], sum;
		__m256 x;

		_Pragma("GCC unroll 3")
		for (j = 0; j < planes; j++)
			s[j][0] = s[j][1] = start[j];
		_Pragma("GCC unroll 4")
		for (v = 0; v < block / 8; v++) {
			_Pragma("GCC unroll 2")
			for (i = 0; i < 2; i++) {
				__m256i x = _mm256_loadu_si256(
					(const __m256i *)(data + v * 64 + i * 32));
				__m256i high = _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble);
				__m256i low = _mm256_and_si256(x, nibble);

				low = _mm256_shuffle_epi8(table, low);
				high = _mm256_shuffle_epi8(table, high);
				_Pragma("GCC unroll 3")
				for (j = 0; j < planes; j++) {
					const int32_t *y = dword + j * 8 + v * 2;

					s[j][i] = add_words(s[j][i], _mm256_maddubs_epi16(
							low, _mm256_set1_epi32(y[0])));
					s[j][i] = add_words(s[j][i], _mm256_maddubs_epi16(
							high, _mm256_set1_epi32(y[1])));
				}
			}
		}
		_Pragma("GCC unroll 2")
		for (i = 0; i < 2; i++) {
			const __m256i one = _mm256_set1_epi16(1), byte = _mm256_set1_epi16(256);

			if (planes == 1) {
				sum = _mm256_madd_epi16(s[0][i], one);
			} else {
				sum = _mm256_add_epi32(_mm256_madd_epi16(s[0][i], byte),
						       _mm256_madd_epi16(s[1][i], one));
				if (fine)
					sum = _mm256_add_epi32(_mm256_slli_epi32(sum, 3),
							       _mm256_madd_epi16(s[2][i], one));
			}
			x = _mm256_cvtepi32_ps(sum);
			if (scaling == PLAIN)
				x = _mm256_mul_ps(x, unit);
			accumulate(x, by, w_scale + (h + i) * 8, acc + (h + i) * 8);
		}
	}
}

/* One row of a block in the order of nib_isa.h; @block is constant, @data that of the tile. */
NIB_INLINE void multiply_inexact(const uint32_t block, uint32_t b, const float *a,
				 const uint8_t *data, float a_scale, const float *w_scale, float *acc)
{
	const __m256 by = _mm256_set1_ps(a_scale);
	__m256 s[HALVES];
	uint32_t v, i, h;

	for (h = 0; h < HALVES; h++)
		s[h] = _mm256_setzero_ps();
	for (v = b * block / 8; v < (b + 1) * block / 8; v++) {
		for (h = 0; h < HALVES; h++) {
			__m256i x = tile_vector(data, h, v);

			/* The odd one of a pair goes first. */
			_Pragma("GCC unroll 8")
			for (i = 0; i < 8; i++) {
				uint32_t k = i ^ 1;

				s[h] = _mm256_fmadd_ps(_mm256_broadcast_ss(&a[v * 8 + k]),
						       e2m1_lanes(x, k % 2 * 16 + k / 2 * 4), s[h]);
			}
		}
	}
	for (h = 0; h < HALVES; h++)
		accumulate(s[h], by, w_scale + h * 8, acc + h * 8);
}

/* Block @b of row @r of tile @i, in term @t, in FP32. @w_scale: scales without a unit. */
static __attribute__((noinline)) void row_inexact(const struct gemm_piece *p, const uint8_t *w,
						  uint32_t i, uint32_t t, uint32_t r, uint32_t b,
						  float a_scale, const float *w_scale, float *acc)
{
	const uint8_t *data = tile_data(p, w), *codes;
	uint8_t copy[NIB_TILE_K * 2];
	float x[NIB_TILE_K];
	uint32_t k;

	codes = gemm_a_padded(p, gemm_a_data(p, i, t, r), gemm_a_valid(p, i), copy);
	if (p->a_fmt == NIB_FMT_MXFP8_E5M2)
		for (k = 0; k < NIB_TILE_K; k++)
			x[k] = nib_e5m2_decode(codes[k]);
	else
		for (k = 0; k < NIB_TILE_K; k++)
			x[k] = nib_e4m3_decode(codes[k]);
	if (p->block == 16)
		multiply_inexact(16, b, x, data, a_scale, w_scale, acc);
	else
		multiply_inexact(32, b, x, data, a_scale, w_scale, acc);
}

/* Block @b of tile @i of a single row, in term @t, that takes all bits. @w_scale: as above. */
static __attribute__((noinline)) void row_fine(const struct gemm_piece *p, const uint8_t *w,
					       uint32_t i, uint32_t t, uint32_t b,
					       const union packed *row, float a_scale,
					       const float *w_scale, float *acc)
{
	uint8_t copy[NIB_TILE_K * 2];
	const uint8_t *codes = gemm_a_padded(p, gemm_a_data(p, i, t, 0), gemm_a_valid(p, i), copy);
	const __m256i planes[3] = { row->vectors[0], row->vectors[1], fine_plane(codes) };

	if (p->block == 16)
		row_multiply(3, 1, 16, PLAIN, planes, tile_data(p, w), b, a_scale, w_scale, acc);
	else
		row_multiply(3, 1, 32, PLAIN, planes, tile_data(p, w), b, a_scale, w_scale, acc);
}

/*
 * What sums of block @b over words lack, in eighths, for all outputs of a tile: of the few elements
 * among @codes, 32 of a row, that have any.
 */
static __attribute__((noinline)) void rest_of(const struct tile *tile, uint32_t block, uint32_t b,
					      const uint8_t *codes, __m256i *rest)
{
	/* Where the pairs of each eight elements are in tile->data. */
	static const uint8_t step[4] = { 0, 2, 1, 3 };
	uint8_t fine[NIB_TILE_K] __attribute__((aligned(32)));
	const __m256i bytes = fine_bytes(codes), zero = _mm256_setzero_si256();
	uint32_t some = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, zero)), k, h;
	__m256i sum[HALVES];

	_mm256_store_si256((__m256i *)fine, bytes);
	if (block == 16)
		some &= 0xffffu << b * 16;
	_Pragma("GCC unroll 8")
	for (h = 0; h < HALVES; h++)
		sum[h] = zero;
	for (some = (some | some >> 1) & 0x55555555; some; some &= some - 1) {
		__m256i x;
		uint32_t q;

		k = (uint32_t)__builtin_ctz(some);
		q = k / 8 * 4 + step[k % 8 / 2];
		x = _mm256_set1_epi32(fine[k] | fine[k + 1] << 16);
		_Pragma("GCC unroll 8")
		for (h = 0; h < HALVES; h++)
			sum[h] = add_dwords(sum[h], _mm256_madd_epi16(tile->data[h][q], x));
	}
	_Pragma("GCC unroll 8")
	for (h = 0; h < HALVES; h++)
		_mm256_store_si256(&rest[h], sum[h]);
}

/* Rows of FP8 over a block of a tile. */
NIB_INLINE void rows_fp8(const struct gemm_piece *p, const enum scaling scaling,
			 const struct block *x)
{
	if (p->block == 16)
		multiply_fp8_16(p->rows, scaling, x);
	else
		multiply_fp8_32(p->rows, scaling, x);
}

/* The same of a block where some rows need care, which @special, a byte a row, says. */
static __attribute__((noinline)) void rows_careful(const struct gemm_piece *p,
						   const struct tile *tile, uint32_t i, uint32_t t,
						   const enum scaling scaling,
						   const uint8_t *special, struct block x)
{
	static const __m256i none[HALVES];
	float scale[NIB_PANEL_N];
	uint64_t left_out = 0;
	struct care care;
	uint32_t r, n = 0;

	care.rows = 0;
	for (r = 0; r < p->rows; r++) {
		uint8_t flags = special[r] >> x.index & BLOCK_FLAGS, copy[NIB_TILE_K * 2];

		care.by[r] = scaling == PRODUCT ? x.a_scale[r] * 0.125f : x.a_scale[r];
		care.rest[r] = none;
		if (!flags)
			continue;
		care.rows |= 1ull << r;
		if (flags & INEXACT) {
			left_out |= 1ull << r;
			care.by[r] = -0.0f;
			continue;
		}
		rest_of(tile, p->block, x.index, gemm_a_padded(p, gemm_a_data(p, i, t, r),
			gemm_a_valid(p, i), copy), care.rests[n]);
		care.rest[r] = care.rests[n++];
	}
	x.care = &care;
	rows_fp8(p, scaling, &x);
	if (!left_out)
		return;
	tile_scales(p, tile->w, x.index, 0, PLAIN, scale);
	for (; left_out; left_out &= left_out - 1) {
		r = (uint32_t)__builtin_ctzll(left_out);
		row_inexact(p, tile->w, i, t, r, x.index, x.a_scale[r], scale,
			    x.acc + r * NIB_PANEL_N);
	}
}

/* Many rows over block @b of a tile, in term @t. @any: what is special about one row or another. */
NIB_INLINE void block_multiply(const struct gemm_piece *p, const struct tile *tile, uint32_t i,
			       uint32_t t, uint32_t b, const enum scaling scaling, uint32_t any,
			       const float *a_scale)
{
	size_t first = ((size_t)i * p->a_terms + t) * p->rows;
	struct block x = {
		.a = (const union packed *)(const void *)p->a + first,
		.a_scale = a_scale,
		.w = tile->data,
		.w_scale = tile->scale[b],
		.acc = p->acc,
		.index = b,
	};

	if (is_fp4(p->a_fmt) && p->block == 16)
		multiply_fp4_16(p->rows, scaling, &x);
	else if (is_fp4(p->a_fmt))
		multiply_fp4_32(p->rows, scaling, &x);
	else if (any >> b & BLOCK_FLAGS)
		rows_careful(p, tile, i, t, scaling, p->special + first, x);
	else
		rows_fp8(p, scaling, &x);
}

static void piece_rows(const struct gemm_piece *p)
{
	const uint32_t bytes = nib_tile_bytes(p->w_fmt), fp4 = is_fp4(p->a_fmt);
	const uint8_t *special = p->special, *w = p->w;
	const float *a_scale = p->a_scale;
	enum scaling scaling;
	uint32_t i, b, t, n, any;
	struct tile tile;

	for (i = 0; i < p->tiles; i++, w += bytes) {
		tile_fetch(w, bytes);
		gemm_fetch(p, i);
		tile.w = w;
		if (fp4)
			tile_decode(p, 1, &tile);
		else
			tile_decode(p, 0, &tile);
		for (n = 0, any = 0; n < p->a_terms * p->rows; n++)
			any |= *special++;
		scaling = any & OUT_OF_RANGE || tile_special(p, w) ? PLAIN : PRODUCT;
		for (b = 0; b < gemm_blocks(p, i); b++) {
			tile_scales(p, w, b, (int)fp4, scaling, tile.scale[b]);
			for (t = 0; t < p->a_terms; t++, a_scale += p->rows)
				block_multiply(p, &tile, i, t, b, scaling, any, a_scale);
		}
		/* Scales of blocks that are left out, and that nobody reads. */
		a_scale += (NIB_TILE_K / p->block - gemm_blocks(p, i)) * p->a_terms * p->rows;
	}
}

/* One tile, @w, of a single row, of which one term after the other is at @a. */
NIB_INLINE void tile_row(const struct gemm_piece *p, const uint32_t block, const int fp4,
			 const enum scaling scaling, uint32_t i, const uint8_t *w,
			 const uint8_t *special, const union packed *a, const float *a_scale)
{
	float scale[NIB_PANEL_N] __attribute__((aligned(32)));
	uint32_t b, t, flags;

	for (b = 0; b < gemm_blocks(p, i); b++) {
		tile_scales(p, w, b, fp4, scaling, scale);
		for (t = 0; t < p->a_terms; t++, a_scale++) {
			flags = fp4 ? 0 : special[t] >> b & BLOCK_FLAGS;
			if (!flags) {
				row_multiply(fp4 ? 1 : 2, 0, block, scaling, a[t].vectors,
					     tile_data(p, w), b, *a_scale, scale, p->acc);
				continue;
			}
			tile_scales(p, w, b, fp4, PLAIN, scale);
			if (flags & INEXACT)
				row_inexact(p, w, i, t, 0, b, *a_scale, scale, p->acc);
			else
				row_fine(p, w, i, t, b, &a[t], *a_scale, scale, p->acc);
			tile_scales(p, w, b, fp4, scaling, scale);
		}
	}
}

/* A single row, @block and @fp4 being constant: bound by memory if all goes well. */
NIB_INLINE void piece_row(const struct gemm_piece *p, const uint32_t block, const int fp4)
{
	const union packed *a = (const union packed *)(const void *)p->a;
	const uint32_t bytes = nib_tile_bytes(p->w_fmt);
	const uint8_t *special = p->special, *w = p->w;
	const float *a_scale = p->a_scale;
	uint32_t i, t, any;

	for (i = 0; i < p->tiles; i++, w += bytes) {
		tile_fetch(w, bytes);
		for (t = 0, any = 0; t < p->a_terms; t++)
			any |= special[t];
		if (any & OUT_OF_RANGE || tile_special(p, w))
			tile_row(p, block, fp4, PLAIN, i, w, special, a, a_scale);
		else
			tile_row(p, block, fp4, PRODUCT, i, w, special, a, a_scale);
		a += p->a_terms;
		special += p->a_terms;
		a_scale += NIB_TILE_K / block * p->a_terms;
	}
}

static void gemm_multiply(const struct gemm_piece *p)
{
	if (p->rows > 1)
		piece_rows(p);
	else if (is_fp4(p->a_fmt) && p->block == 16)
		piece_row(p, 16, 1);
	else if (is_fp4(p->a_fmt))
		piece_row(p, 32, 1);
	else if (p->block == 16)
		piece_row(p, 16, 0);
	else
		piece_row(p, 32, 0);
}

void nib_gemm_fp4_avx2(const struct nib_gemm_job *job)
{
	gemm_fp4(job);
}
