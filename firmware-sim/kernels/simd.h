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

NIB_INLINE v16 v16_add(v16 a, v16 b)
{
	return _mm512_add_ps(a, b);
}

/* Where a is a NaN, b. */
NIB_INLINE v16 v16_max(v16 a, v16 b)
{
	return _mm512_max_ps(a, b);
}

/* Largest lane; none is a NaN. */
NIB_INLINE float v16_most(v16 x)
{
	return _mm512_reduce_max_ps(x);
}

NIB_INLINE __m256 v16_fold(v16 x)
{
	return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
}

/* Quarters a0 + a2, a1 + a3, b0 + b2, b1 + b3: lanes l and l + 8 of both. */
NIB_INLINE v16 v16_fold_quarters(v16 a, v16 b)
{
	return _mm512_add_ps(_mm512_mask_blend_ps(0xff00, a, b),
			     _mm512_shuffle_f32x4(a, b, 0x4e));
}

/*
 * Lane sums, in the order of v16_sum4(), of 16 vectors: row r of the result, at dst + r * pitch, is
 * the sums of x[r][0..3].
 */
NIB_INLINE void v16_sum16(float *dst, uint32_t pitch, v16 (*x)[4])
{
	v16 y[4], a, b, c, d;
	uint32_t j;

	for (j = 0; j < 4; j++) {
		a = v16_fold_quarters(x[0][j], x[1][j]);
		b = v16_fold_quarters(x[2][j], x[3][j]);
		y[j] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88),
				     _mm512_shuffle_f32x4(a, b, 0xdd));
	}
	/* Quarter r of y[j] has four lanes of x[r][j] left. */
	a = _mm512_add_ps(_mm512_shuffle_ps(y[0], y[1], 0x44), _mm512_shuffle_ps(y[0], y[1], 0xee));
	b = _mm512_add_ps(_mm512_shuffle_ps(y[2], y[3], 0x44), _mm512_shuffle_ps(y[2], y[3], 0xee));
	c = _mm512_shuffle_ps(a, b, 0x88);
	d = _mm512_shuffle_ps(a, b, 0xdd);
	a = _mm512_add_ps(c, d);
	_mm_storeu_ps(dst, _mm512_castps512_ps128(a));
	_mm_storeu_ps(dst + pitch, _mm512_extractf32x4_ps(a, 1));
	_mm_storeu_ps(dst + 2 * pitch, _mm512_extractf32x4_ps(a, 2));
	_mm_storeu_ps(dst + 3 * pitch, _mm512_extractf32x4_ps(a, 3));
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

NIB_INLINE v16 v16_add(v16 a, v16 b)
{
	return (v16){ _mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi) };
}

/* Where a is a NaN, b. */
NIB_INLINE v16 v16_max(v16 a, v16 b)
{
	return (v16){ _mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi) };
}

/* Largest lane; none is a NaN. */
NIB_INLINE float v16_most(v16 x)
{
	__m256 y = _mm256_max_ps(x.lo, x.hi);
	__m128 z = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));

	z = _mm_max_ps(z, _mm_movehl_ps(z, z));
	z = _mm_max_ss(z, _mm_movehdup_ps(z));
	return _mm_cvtss_f32(z);
}

NIB_INLINE __m256 v16_fold(v16 x)
{
	return _mm256_add_ps(x.lo, x.hi);
}

/* Lanes l and l + 4 of @a, then those of @b. */
NIB_INLINE __m256 v8_fold_halves(__m256 a, __m256 b)
{
	return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

/*
 * The rest of the lane sums, in the order of v16_sum4(), of v8_fold_halves() of four pairs: those of
 * all a to @dst, of all b @pitch behind.
 */
NIB_INLINE void v8_sum8(float *dst, uint32_t pitch, const __m256 *x)
{
	__m256 a = _mm256_add_ps(_mm256_shuffle_ps(x[0], x[1], 0x44),
				 _mm256_shuffle_ps(x[0], x[1], 0xee));
	__m256 b = _mm256_add_ps(_mm256_shuffle_ps(x[2], x[3], 0x44),
				 _mm256_shuffle_ps(x[2], x[3], 0xee));

	a = _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xdd));
	_mm_storeu_ps(dst, _mm256_castps256_ps128(a));
	_mm_storeu_ps(dst + pitch, _mm256_extractf128_ps(a, 1));
}
#endif

/* Lane sums of four vectors: lanes add pairwise, l with l + 8, then + 4, + 2, + 1. */
NIB_INLINE void v16_sum4(float *dst, v16 a, v16 b, v16 c, v16 d)
{
	_mm_storeu_ps(dst, v4_sum4(v8_fold(v16_fold(a)), v8_fold(v16_fold(b)),
				   v8_fold(v16_fold(c)), v8_fold(v16_fold(d))));
}

#endif
