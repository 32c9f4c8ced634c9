/* SPDX-License-Identifier: MIT */
/*
 * Blocks of the block formats with AVX-512: what codec.c's mx_block() and nvfp4_block() do, a block
 * in one or two registers. Included by codec.c alone.
 */
#ifndef NIB_KERNELS_ENCODE_AVX512_H
#define NIB_KERNELS_ENCODE_AVX512_H

#include "simd.h"
#include "element.h"

#define AHEAD	1024u	/* elements fetched ahead */

/* An element format by its parameters. */
struct minifloat {
	uint32_t mbits;
	uint32_t bias;
	float max;
};

/* nib_minifloat_encode() with saturation and sign; no NaNs. */
NIB_INLINE __m512i encode16(const struct minifloat m, __m512 x)
{
	const uint32_t least = 128 - m.bias;
	__m512 a = _mm512_min_ps(_mm512_abs_ps(x), _mm512_set1_ps(m.max));
	__m512i e = _mm512_max_epu32(_mm512_srli_epi32(_mm512_castps_si512(a), 23),
				     _mm512_set1_epi32((int)least));
	__m512i shifter = _mm512_slli_epi32(_mm512_add_epi32(e, _mm512_set1_epi32(
							(int)(23 - m.mbits))), 23);
	__m512i sum = _mm512_castps_si512(_mm512_add_ps(a, _mm512_castsi512_ps(shifter)));
	__m512i code = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32((int)least)),
					 m.mbits);
	__m512i minus = _mm512_srli_epi32(_mm512_castps_si512(x), 31);

	code = _mm512_add_epi32(code, _mm512_sub_epi32(sum, shifter));
	return _mm512_or_si512(code, _mm512_slli_epi32(minus, m.mbits == 1 ? 3 : 7));
}

/* Values of codes that encode16() made. */
NIB_INLINE __m512 decode16(const struct minifloat m, __m512i code)
{
	const uint32_t top = m.mbits == 1 ? 3 : 7;
	__m512i mag = _mm512_and_si512(code, _mm512_set1_epi32((1 << top) - 1));
	__m512i minus = _mm512_slli_epi32(_mm512_srli_epi32(code, top), 31);
	__m512 small = _mm512_mul_ps(_mm512_cvtepi32_ps(mag),
				     _mm512_set1_ps(nib_pow2(1 - (int32_t)(m.bias + m.mbits))));
	__m512i normal = _mm512_add_epi32(_mm512_slli_epi32(mag, 23 - m.mbits),
					  _mm512_set1_epi32((int)((127 - m.bias) << 23)));
	__mmask16 tiny = _mm512_cmplt_epu32_mask(mag, _mm512_set1_epi32(1 << m.mbits));

	normal = _mm512_mask_mov_epi32(normal, tiny, _mm512_castps_si512(small));
	return _mm512_castsi512_ps(_mm512_or_si512(normal, minus));
}

/* Bits of the largest magnitude. */
NIB_INLINE uint32_t amax16(__m512 x)
{
	return _mm512_reduce_max_epu32(_mm512_castps_si512(_mm512_abs_ps(x)));
}

/* Lanes in the order of a row sum. */
NIB_INLINE float sum16(__m512 x)
{
	float sum[4];

	v16_sum4(sum, x, x, x, x);
	return sum[0];
}

NIB_INLINE void store_codes16(uint32_t mbits, __m512i code, uint8_t *dst)
{
	__m128i x = _mm512_cvtepi32_epi8(code);

	if (mbits == 1) {
		x = _mm_maddubs_epi16(x, _mm_set1_epi16(0x1001));
		_mm_storel_epi64((__m128i *)dst, _mm_packus_epi16(x, x));
	} else {
		_mm_storeu_si128((__m128i *)dst, x);
	}
}

/* Codes of the block @x under an E8M0 scale. */
NIB_INLINE void mx_codes16(const struct minifloat m, uint32_t scale, const __m512 *x, __m512i *code)
{
	__m512 inverse = _mm512_set1_ps(nib_e8m0_inverse(scale));

	code[0] = encode16(m, _mm512_mul_ps(x[0], inverse));
	code[1] = encode16(m, _mm512_mul_ps(x[1], inverse));
}

/* The same, and what they leave over. */
NIB_INLINE void mx_elements16(const struct minifloat m, uint32_t scale, const __m512 *x,
			      __m512i *code, __m512 *left)
{
	__m512 value = _mm512_set1_ps(nib_e8m0_decode(scale));
	uint32_t i;

	mx_codes16(m, scale, x, code);
	for (i = 0; i < 2; i++)
		left[i] = _mm512_fnmadd_ps(decode16(m, code[i]), value, x[i]);
}

/* @more: @x becomes what is left over for another term. */
NIB_INLINE uint8_t mx_block16(const struct minifloat m, uint32_t rule, const int more, __m512 *x,
			      uint8_t *dst)
{
	const int emax = (int)(nib_bits(m.max) >> 23) - 127;
	const uint32_t vmax_mantissa = nib_bits(m.max) & 0x7fffff;
	uint32_t amax = amax16(x[0]), other = amax16(x[1]), scale, best, i;
	const uint32_t half = m.mbits == 1 ? 8 : 16;
	float least = 0, error;
	__m512 left[2], d;
	__m512i code[2];
	int floor;

	amax = amax > other ? amax : other;
	if (!amax || amax >= 0x7f800000u) {
		memset(dst, 0, 2 * half);
		if (!amax)
			return 127;
		x[0] = x[1] = _mm512_set1_ps(nib_nan());
		return 255;
	}
	floor = (int)(amax >> 23) - emax;
	if (rule == NIB_SCALE_CEIL)
		floor += (amax & 0x7fffff) > vmax_mantissa;
	scale = floor < 0 ? 0 : floor;
	if (rule == NIB_SCALE_BEST3) {
		__m512 inverse = _mm512_set1_ps(nib_e8m0_inverse(scale));

		best = scale;
		for (i = 0; i < 3; i++) {
			uint32_t candidate = floor - 1 + (int)i < 0 ? 0 : floor - 1 + (int)i;

			mx_elements16(m, candidate, x, code, left);
			d = _mm512_mul_ps(left[0], inverse);
			left[0] = _mm512_fmadd_ps(d, d, _mm512_setzero_ps());
			d = _mm512_mul_ps(left[1], inverse);
			error = sum16(_mm512_fmadd_ps(d, d, left[0]));
			best = !i || error < least ? candidate : best;
			least = !i || error < least ? error : least;
		}
		scale = best;
	}
	if (more) {
		mx_elements16(m, scale, x, code, left);
		x[0] = left[0];
		x[1] = left[1];
	} else {
		mx_codes16(m, scale, x, code);
	}
	store_codes16(m.mbits, code[0], dst);
	store_codes16(m.mbits, code[1], dst + half);
	return scale;
}

NIB_INLINE void mx_row16(const struct minifloat m, uint32_t terms, uint32_t rule, const float *src,
			 size_t k, uint8_t *dst, size_t data_bytes, size_t scale_bytes)
{
	size_t block_bytes = m.mbits == 1 ? 16 : 32, b;
	uint32_t t;

	for (b = 0; b < scale_bytes; b++, src += 32) {
		size_t left = k - b * 32;
		uint32_t mask = left < 32 ? (1u << left) - 1 : 0xffffffffu;
		__m512 x[2] = {
			_mm512_maskz_loadu_ps((__mmask16)mask, src),
			_mm512_maskz_loadu_ps((__mmask16)(mask >> 16), src + 16),
		};

		/* The chain through the scale leaves the processor no room to look ahead. */
		_mm_prefetch((const char *)(src + AHEAD), _MM_HINT_T0);
		_mm_prefetch((const char *)(src + AHEAD + 16), _MM_HINT_T0);
		for (t = 0; t < terms; t++) {
			uint8_t *data = dst + t * (data_bytes + scale_bytes);

			data[data_bytes + b] = mx_block16(m, rule, t + 1 < terms, x,
							  data + b * block_bytes);
		}
	}
}

/* Codes of an NVFP4 block under scale code @scale; @error, where wanted: squared, in row scales. */
NIB_INLINE __m512i nvfp4_elements16(uint32_t scale, float row_scale, __m512 x, float *error)
{
	const struct minifloat e2m1 = { 1, 1, NIB_E2M1_MAX };
	float unit = nib_ue4m3_decode(scale) * row_scale;
	__m512i code = _mm512_setzero_si512();
	__m512 left;

	/* A scale of zero holds only zeros. */
	if (unit > 0)
		code = encode16(e2m1, _mm512_div_ps(x, _mm512_set1_ps(unit)));
	if (error) {
		left = _mm512_fnmadd_ps(decode16(e2m1, code), _mm512_set1_ps(unit), x);
		left = _mm512_div_ps(left, _mm512_set1_ps(row_scale));
		*error = sum16(_mm512_fmadd_ps(left, left, _mm512_setzero_ps()));
	}
	return code;
}

NIB_INLINE uint8_t nvfp4_block16(uint32_t rule, float row_scale, __m512 x, uint8_t *dst)
{
	uint32_t amax = amax16(x), nearest, scale, c;
	float least, error;

	if (amax >= 0x7f800000u) {
		memset(dst, 0, 8);
		return 0x7f;
	}
	nearest = nib_e4m3_encode(nib_float(amax) / 6.0f / row_scale);
	scale = nearest;
	if (rule == NIB_SCALE_BEST3) {
		scale = nearest ? nearest - 1 : 0;
		nvfp4_elements16(scale, row_scale, x, &least);
		for (c = scale + 1; c <= nearest + 1 && c < 0x7f; c++) {
			nvfp4_elements16(c, row_scale, x, &error);
			scale = error < least ? c : scale;
			least = error < least ? error : least;
		}
	}
	store_codes16(1, nvfp4_elements16(scale, row_scale, x, NULL), dst);
	return scale;
}

#endif
