/* SPDX-License-Identifier: MIT */
/* Block scales with AVX2: the FP32 of eight codes, for the GEMMs. */
#ifndef NIB_KERNELS_SCALES_AVX2_H
#define NIB_KERNELS_SCALES_AVX2_H

#include <immintrin.h>
#include "isa.h"

/* GEMM of FP4 weights with all activations but BF16 and many rows of E5M2. */
void nib_gemm_fp4_avx2(const struct nib_gemm_job *job);

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

#endif
