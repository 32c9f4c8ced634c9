/* SPDX-License-Identifier: MIT */
/* Block scales with AVX-512: the FP32 of 16 codes. What GEMMs and attention share. */
#ifndef NIB_KERNELS_SCALES_AVX512_H
#define NIB_KERNELS_SCALES_AVX512_H

#include <immintrin.h>
#include "isa.h"

/* The code's bits are those of an FP32 2^-120 times as large, the subnormals among them too. */
NIB_INLINE __m512 ue4m3_decode16(__m128i codes)
{
	const __m512i nan = _mm512_set1_epi32(0x7f);
	__m512i x = _mm512_and_si512(_mm512_cvtepu8_epi32(codes), nan);
	__m512 y = _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 20)),
				 _mm512_set1_ps(0x1p120f));

	return _mm512_mask_mov_ps(y, _mm512_cmpeq_epi32_mask(x, nan),
				  _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000)));
}

NIB_INLINE __m512 e8m0_decode16(__m128i codes)
{
	const __m512i nan = _mm512_set1_epi32(0x7fc00000);
	__m512i x = _mm512_cvtepu8_epi32(codes), bits;

	/* Code 0 is the subnormal 2^-127: less than any other's bits. */
	bits = _mm512_max_epu32(_mm512_slli_epi32(x, 23), _mm512_set1_epi32(0x00400000));
	bits = _mm512_mask_mov_epi32(bits, _mm512_cmpeq_epi32_mask(x, _mm512_set1_epi32(0xff)),
				     nan);
	return _mm512_castsi512_ps(bits);
}

NIB_INLINE __m512 ue4m3_scales(const uint8_t *codes)
{
	return ue4m3_decode16(_mm_loadu_si128((const __m128i *)codes));
}

NIB_INLINE __m512 e8m0_scales(const uint8_t *codes)
{
	return e8m0_decode16(_mm_loadu_si128((const __m128i *)codes));
}

#endif
