/* SPDX-License-Identifier: MIT */
/* What codes of elements and block scales mean, with AVX2: for the GEMMs and attention. */
#ifndef NIB_KERNELS_DECODE_AVX2_H
#define NIB_KERNELS_DECODE_AVX2_H

#include <immintrin.h>
#include "isa.h"

/* Values of eight UE4M3 codes times @unit, a power of two. */
NIB_INLINE __m256 ue4m3_decode8(const uint8_t *code, float unit)
{
	const __m256i all = _mm256_set1_epi32(0x7f);
	__m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)code)), nan;

	x = _mm256_and_si256(x, all);
	nan = _mm256_cmpeq_epi32(x, all);
	/* As FP32 the exponent is 120 too small, subnormals included. */
	x = _mm256_castps_si256(_mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(x, 20)),
					      _mm256_set1_ps(0x1p120f * unit)));
	return _mm256_castsi256_ps(_mm256_or_si256(x, nan));
}

/* The same of E8M0 codes. Bit 22 makes a subnormal of code 0, and a NaN of 255. */
NIB_INLINE __m256 e8m0_decode8(const uint8_t *code, float unit)
{
	__m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)code));
	__m256i end = _mm256_and_si256(_mm256_add_epi32(x, _mm256_set1_epi32(1)),
				       _mm256_set1_epi32(0xff));

	end = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), end);
	x = _mm256_or_si256(_mm256_slli_epi32(x, 23),
			    _mm256_and_si256(end, _mm256_set1_epi32(1 << 22)));
	return _mm256_mul_ps(_mm256_castsi256_ps(x), _mm256_set1_ps(unit));
}

/* Values of eight E8M0 codes divided by 2^@down, which are normal numbers all. */
NIB_INLINE __m256 e8m0_ordinary8(const uint8_t *code, const uint32_t down)
{
	__m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)code));

	x = _mm256_sub_epi32(x, _mm256_set1_epi32((int)down));
	return _mm256_castsi256_ps(_mm256_slli_epi32(x, 23));
}

/* Twice the values of E2M1, to look up by code. */
NIB_INLINE __m128i e2m1_twice(void)
{
	return _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
}

/* The E2M1 code at bit @shift of each lane. */
NIB_INLINE __m256 e2m1_lanes(__m256i x, const uint32_t shift)
{
	const __m256 values = _mm256_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f);
	__m256i minus = _mm256_and_si256(_mm256_slli_epi32(x, (int)(28 - shift)),
					 _mm256_set1_epi32((int)0x80000000u));
	/* The lookup uses three bits of the index. */
	__m256 y = _mm256_permutevar8x32_ps(values, _mm256_srli_epi32(x, (int)shift));

	return _mm256_or_ps(y, _mm256_castsi256_ps(minus));
}

/*
 * FP8 with @mbits of mantissa, 3 (E4M3) or 2 (E5M2), becomes FP32 by shifting and masking, special codes
 * aside: sign and magnitude in their places, @fp8_factor() too small.
 */
NIB_INLINE __m256i fp8_mask(const uint32_t mbits)
{
	return _mm256_set1_epi32((int)(0x80000000u | 0x7fu << (23 - mbits)));
}

NIB_INLINE float fp8_factor(const uint32_t mbits)
{
	return mbits == 3 ? 0x1p120f : 0x1p112f;
}

/* Magnitude of the first special code: NaN, or infinity, which has NaNs behind it. */
NIB_INLINE uint32_t fp8_special(const uint32_t mbits)
{
	return mbits == 3 ? 0x7f : 0x7c;
}

/* Ones where one of 32 codes is special. */
NIB_INLINE __m256i fp8_specials(const uint32_t mbits, const uint8_t *data)
{
	__m256i x = _mm256_loadu_si256((const __m256i *)data);

	return _mm256_cmpgt_epi8(_mm256_and_si256(x, _mm256_set1_epi8(0x7f)),
				 _mm256_set1_epi8((char)(fp8_special(mbits) - 1)));
}

#endif
