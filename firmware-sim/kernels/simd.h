/* SPDX-License-Identifier: MIT */
/*
 * Vectors of 16 FP32 lanes, the width of row sums in nib_isa.h, on AVX-512 and on AVX2.
 */
#ifndef NIB_KERNELS_SIMD_H
#define NIB_KERNELS_SIMD_H

#include <immintrin.h>
#include "isa.h"

/* a0 + a2, a1 + a3 and then their sum, of four vectors at once. */
NIB_INLINE __m128 v4_sum4(__m128 a, __m128 b, __m128 c, __m128 d)
{
	__m128 ab = _mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a));
	__m128 cd = _mm_add_ps(_mm_movelh_ps(c, d), _mm_movehl_ps(d, c));

	return _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xdd));
}

NIB_INLINE __m128 v8_fold(__m256 x)
{
	return _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
}

#ifdef __AVX512F__
typedef __m512 v16;

NIB_INLINE v16 v16_load(const float *p)
{
	return _mm512_loadu_ps(p);
}

NIB_INLINE void v16_store(float *p, v16 x)
{
	_mm512_storeu_ps(p, x);
}

NIB_INLINE v16 v16_set1(float x)
{
	return _mm512_set1_ps(x);
}

NIB_INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
	return _mm512_fmadd_ps(a, b, c);
}

NIB_INLINE __m256 v16_fold(v16 x)
{
	return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
}
#else
typedef struct {
	__m256 lo;
	__m256 hi;
} v16;

NIB_INLINE v16 v16_load(const float *p)
{
	return (v16){ _mm256_loadu_ps(p), _mm256_loadu_ps(p + 8) };
}

NIB_INLINE void v16_store(float *p, v16 x)
{
	_mm256_storeu_ps(p, x.lo);
	_mm256_storeu_ps(p + 8, x.hi);
}

NIB_INLINE v16 v16_set1(float x)
{
	return (v16){ _mm256_set1_ps(x), _mm256_set1_ps(x) };
}

NIB_INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
	return (v16){ _mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi) };
}

NIB_INLINE __m256 v16_fold(v16 x)
{
	return _mm256_add_ps(x.lo, x.hi);
}
#endif

/* Lane sums of four vectors: lanes add pairwise, l with l + 8, then + 4, + 2, + 1. */
NIB_INLINE void v16_sum4(float *dst, v16 a, v16 b, v16 c, v16 d)
{
	_mm_storeu_ps(dst, v4_sum4(v8_fold(v16_fold(a)), v8_fold(v16_fold(b)),
				   v8_fold(v16_fold(c)), v8_fold(v16_fold(d))));
}

#endif
