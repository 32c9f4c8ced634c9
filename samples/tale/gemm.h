/* SPDX-License-Identifier: MIT */
/*
 * Single-precision matrix product for one thread: C (+)= A B with any strides on A, so a
 * transposed A costs nothing. Plain C on GCC vectors; AVX-512 holds a tile in 16 registers, other
 * targets use a smaller one. Sizes must be multiples of the tile; there is no remainder code.
 */
#ifndef TALE_GEMM_H
#define TALE_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef float vec __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(64), aligned(4), may_alias));

enum {
	VEC = 16,
	GEMM_COLS = 2 * VEC
};
#ifdef __AVX512F__
enum {
	GEMM_ROWS = 8
};
#else
enum {
	GEMM_ROWS = 2
};
#endif

static inline vec vec_all(float x)
{
	return x - (vec){0};
}

static inline float vec_sum(vec v)
{
	float s = 0;

	for (int i = 0; i < VEC; i++)
		s += v[i];
	return s;
}

static inline float vec_top(vec v)
{
	float top = v[0];

	for (int i = 1; i < VEC; i++)
		top = v[i] > top ? v[i] : top;
	return top;
}

static inline vec vec_max(vec a, vec b)
{
	ivec more = a > b;

	return (vec)(((ivec)a & more) | ((ivec)b & ~more));
}

/* e^x to about 2 units in the last place for |x| < 87; clamped outside. */
static inline vec vec_exp(vec x)
{
	const vec magic = vec_all(12582912.0f);
	vec t, n, r, p;

	x = vec_max(x, vec_all(-87.0f));
	x = -vec_max(-x, vec_all(-87.0f));
	t = x * 1.44269504f + magic;
	n = t - magic;
	r = x - n * 0.693145752f;
	r = r - n * 1.42860677e-6f;
	p = r * 1.9875691e-4f + 1.3981999e-3f;
	p = p * r + 8.3334519e-3f;
	p = p * r + 4.1665795e-2f;
	p = p * r + 1.6666665e-1f;
	p = p * r + 0.5f;
	p = p * r * r + r + 1.0f;
	return (vec)((ivec)p + (__builtin_convertvector(n, ivec) << 23));
}

/* Row i, step k of A is a[i * rows + k * steps]; B and C are row-major with the given strides. */
static inline void gemm_tile(int k, const float *a, size_t rows, size_t steps, const float *b,
			     size_t ldb, float *c, size_t ldc, bool add)
{
	vec lo[GEMM_ROWS], hi[GEMM_ROWS];

#pragma GCC unroll 8
	for (int i = 0; i < GEMM_ROWS; i++)
		lo[i] = hi[i] = (vec){0};
	for (; k; k--, a += steps, b += ldb) {
		vec b0 = *(const vec *)b, b1 = *(const vec *)(b + VEC);

#pragma GCC unroll 8
		for (int i = 0; i < GEMM_ROWS; i++) {
			vec x = vec_all(a[i * rows]);

			lo[i] += x * b0;
			hi[i] += x * b1;
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < GEMM_ROWS; i++) {
		vec *c0 = (vec *)(c + i * ldc), *c1 = (vec *)(c + i * ldc + VEC);

		if (add) {
			lo[i] += *c0;
			hi[i] += *c1;
		}
		*c0 = lo[i];
		*c1 = hi[i];
	}
}

/* m is a multiple of 8, n of 32. */
static inline void gemm(int m, int n, int k, const float *a, size_t rows, size_t steps,
			const float *b, size_t ldb, float *c, size_t ldc, bool add)
{
	for (int j = 0; j < n; j += GEMM_COLS)
		for (int i = 0; i < m; i += GEMM_ROWS)
			gemm_tile(k, a + i * rows, rows, steps, b + j, ldb, c + i * ldc + j, ldc,
				  add);
}

#endif
