/* SPDX-License-Identifier: MIT */
/*
 * Elementary functions and the random generator of the device, as nib_isa.h refers to them. This
 * file is normative: it uses only operations that IEEE 754 defines to the last bit (add, multiply,
 * divide, square root, fused multiply-add, comparisons, integers), so that every processor
 * computes the same. No function branches: loops over them vectorise.
 *
 * Include it as "kernels/math.h" or "math.h" next to it; never put this folder on the include path,
 * where it would hide the C library's header.
 *
 * Errors are against the exact result, in units of the last place of FP32, rounded to a tenth:
 * tests/unit/test_kernels_math.c measures them on every 311th number. NaN gives NaN everywhere.
 */
#ifndef NIB_KERNELS_MATH_H
#define NIB_KERNELS_MATH_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "FP32 operations must round to FP32: on 32-bit x86 use -msse2 -mfpmath=sse"
#endif
#ifdef __FAST_MATH__
#error "-ffast-math breaks the arithmetic that nib_isa.h promises"
#endif

static inline float nib_float(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

static inline uint32_t nib_bits(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static inline float nib_nan(void)
{
	return nib_float(0x7fc00000u);
}

/* The one NaN that results carry. */
static inline float nib_canonical(float x)
{
	return x == x ? x : nib_nan();
}

static inline float nib_fma(float a, float b, float c)
{
	return __builtin_fmaf(a, b, c);
}

static inline float nib_abs(float x)
{
	return nib_float(nib_bits(x) & 0x7fffffffu);
}

/* The other operand when one is NaN; -0 is below +0 (equal numbers differ in the sign at most). */
static inline float nib_max(float a, float b)
{
	float r = a > b ? a : b;

	r = a == b ? nib_float(nib_bits(a) & nib_bits(b)) : r;
	return b == b ? r : a;
}

static inline float nib_min(float a, float b)
{
	float r = a < b ? a : b;

	r = a == b ? nib_float(nib_bits(a) | nib_bits(b)) : r;
	return b == b ? r : a;
}

/* To an integer, ties to even; the sign survives on zeros. */
static inline float nib_rint(float x)
{
	uint32_t sign = nib_bits(x) & 0x80000000u;
	float a = nib_abs(x), r = (a + 0x1p23f) - 0x1p23f;

	r = nib_float(nib_bits(r) | sign);
	return a < 0x1p23f ? r : x;
}

static inline float nib_floor(float x)
{
	float r = nib_rint(x), below = r - 1.0f;

	return r > x ? below : r;
}

static inline float nib_rsqrt(float x)
{
	return 1.0f / __builtin_sqrtf(x);
}

/*
 * Adding this leaves the nearest integer in the low bits of the sum, for numbers below 2^22. The
 * rounding of an argument right between two integers does not matter to any user.
 */
#define NIB_SHIFTER		0x1.8p23f
#define NIB_SHIFTER_BITS	0x4b400000u

/* 2^n for n in -126..127. */
static inline float nib_pow2(int32_t n)
{
	return nib_float((uint32_t)(n + 127) << 23);
}

/* x = n ln 2 + r, |r| <= 0.35; returns exp(r) - 1. */
static inline float nib_exp_reduce(float x, uint32_t *n)
{
	float t = nib_fma(x, 0x1.715476p0f, NIB_SHIFTER);
	float whole = t - NIB_SHIFTER;
	float r = nib_fma(whole, -0x1.62e43p-1f, x);
	float q = 0x1.69ef82p-10f;

	*n = nib_bits(t) - NIB_SHIFTER_BITS;
	r = nib_fma(whole, 0x1.05c61p-29f, r);
	q = nib_fma(q, r, 0x1.12391cp-7f);
	q = nib_fma(q, r, 0x1.5558b4p-5f);
	q = nib_fma(q, r, 0x1.555492p-3f);
	q = nib_fma(q, r, 0x1.fffffcp-2f);
	return nib_fma(r * r, q, r);
}

/* Error 1.0; above 88.72 infinity, below -87.34 gradual underflow, below -103.97 zero. */
static inline float nib_exp(float x)
{
	uint32_t n, half;
	float p;

	x = x > 89.0f ? 89.0f : x;
	x = x < -104.0f ? -104.0f : x;
	p = nib_exp_reduce(x, &n);
	/* Two exact powers of two: the first product cannot underflow, the second rounds once. */
	half = (uint32_t)((int32_t)n >> 1);
	return (1.0f + p) * nib_float((half + 127) << 23) * nib_float((n - half + 127) << 23);
}

/* Error 1.0; log(0) is -infinity, log(x < 0) NaN, log(infinity) infinity; subnormals count. */
static inline float nib_log(float x)
{
	float lift = x < 0x1p-126f ? x * 0x1p23f : x;
	float bias = x < 0x1p-126f ? -23.0f : 0.0f;
	uint32_t bits = nib_bits(lift);
	uint32_t e = (uint32_t)((int32_t)(bits - 0x3f3504f3u) >> 23);
	/* lift = 2^e * (1 + f), 1 + f between the roots of 1/2 and 2 */
	float f = nib_float(bits - (e << 23)) - 1.0f;
	float n = (float)(int32_t)e + bias;
	float z = f * f, p = -0x1.389dcap-4f, r;

	p = nib_fma(p, f, 0x1.05611ap-3f);
	p = nib_fma(p, f, -0x1.0d8aep-3f);
	p = nib_fma(p, f, 0x1.22d8bcp-3f);
	p = nib_fma(p, f, -0x1.5471aep-3f);
	p = nib_fma(p, f, 0x1.99a024p-3f);
	p = nib_fma(p, f, -0x1.00022ap-2f);
	p = nib_fma(p, f, 0x1.555554p-2f);
	r = nib_fma(z * f, p, nib_fma(n, -0x1.05c61p-29f, -0.5f * z));
	r = nib_fma(n, 0x1.62e43p-1f, f + r);
	r = x < __builtin_inff() ? r : x;
	r = x >= 0.0f ? r : nib_nan();
	return x == 0.0f ? -__builtin_inff() : r;
}

/* Error 1.5; odd polynomial below 0.55, expm1(2x) / (expm1(2x) + 2) above, +-1 from 9.02 on. */
static inline float nib_tanh(float x)
{
	uint32_t sign = nib_bits(x) & 0x80000000u, n;
	float a = nib_abs(x), z = x * x, q = -0x1.998fbep-8f, p, s, em1, far;

	q = nib_fma(q, z, 0x1.58f312p-6f);
	q = nib_fma(q, z, -0x1.b91fb4p-5f);
	q = nib_fma(q, z, 0x1.110cf2p-3f);
	q = nib_fma(q, z, -0x1.55554ap-2f);
	q = nib_fma(q * z, a, a);

	far = a > 10.0f ? 10.0f : a;
	p = nib_exp_reduce(far + far, &n);
	s = nib_float((n + 127) << 23);
	em1 = nib_fma(p, s, s - 1.0f);
	far = em1 / (em1 + 2.0f);
	return nib_float(nib_bits(a < 0.55f ? q : far) | sign);
}

static inline float nib_sigmoid(float x)
{
	return 1.0f / (1.0f + nib_exp(-x));
}

/* Error 1.2; odd polynomial below 1, 1 - exp(-(t + Q(t))) above, +-1 from 3.92 on. */
static inline float nib_erf(float x)
{
	uint32_t sign = nib_bits(x) & 0x80000000u;
	float t = nib_abs(x), z = x * x, p = 0x1.4790p-14f, q = -0x1.86c51ep-13f;
	float far;

	p = nib_fma(p, z, -0x1.a35698p-11f);
	p = nib_fma(p, z, 0x1.53f266p-8f);
	p = nib_fma(p, z, -0x1.b7f71cp-6f);
	p = nib_fma(p, z, 0x1.ce2ce6p-4f);
	p = nib_fma(p, z, -0x1.81273ep-2f);
	p = nib_fma(p, z, 0x1.06eba8p-3f);
	p = nib_fma(p, x, x);

	far = t > 3.95f ? 3.95f : t;
	q = nib_fma(q, far, 0x1.824fc2p-9f);
	q = nib_fma(q, far, -0x1.65c6b4p-6f);
	q = nib_fma(q, far, 0x1.a650eep-4f);
	q = nib_fma(q, far, 0x1.46bb42p-1f);
	q = nib_fma(q, far, 0x1.04467ap-3f);
	q = nib_fma(q, far, 0x1.66934cp-12f);
	far = 1.0f - nib_exp(-(far + q));
	far = nib_float(nib_bits(far) | sign);
	return t < 1.0f ? p : far;
}

/*
 * sin(x + quarters * pi / 2). Error 1.5 for |x| <= 1e5, 2 for |x| <= 1e6, 6 for |x| <= 2^22; beyond
 * that, where neighbouring floats are half a radian apart, the result is NaN. pi / 2 comes in three
 * parts: with a fused multiply-add the first step is exact throughout that range.
 */
static inline float nib_sin_quarters(float x, uint32_t quarters)
{
	float t = nib_fma(x, 0x1.45f306p-1f, NIB_SHIFTER);
	float n = t - NIB_SHIFTER;
	float r = nib_fma(n, -0x1.921fb6p0f, x), z, s, c;
	uint32_t quarter = nib_bits(t) + quarters;

	r = nib_fma(n, 0x1.777a5cp-25f, r);
	r = nib_fma(n, 0x1.ee59dap-50f, r);
	z = r * r;
	s = nib_fma(-0x1.99528ep-13f, z, 0x1.110770p-7f);
	s = nib_fma(s, z, -0x1.555546p-3f);
	s = nib_fma(s * z, r, r);
	c = nib_fma(0x1.99e4d2p-16f, z, -0x1.6c0c24p-10f);
	c = nib_fma(c, z, 0x1.55554ap-5f);
	c = 1.0f + nib_fma(c, z * z, -0.5f * z);
	s = quarter & 1 ? c : s;
	s = nib_float(nib_bits(s) ^ (quarter & 2) << 30);
	return nib_abs(x) <= 0x1p22f ? s : nib_nan();
}

static inline float nib_sin(float x)
{
	float s = nib_sin_quarters(x, 0);

	return x == 0.0f ? x : s;
}

static inline float nib_cos(float x)
{
	return nib_sin_quarters(x, 1);
}

static inline float nib_silu(float x)
{
	return x / (1.0f + nib_exp(-x));
}

static inline float nib_gelu(float x)
{
	return x * 0.5f * (1.0f + nib_erf(x * 0x1.6a09e6p-1f));
}

/* Philox-4x32-10 (Salmon et al., SC 2011): first word of block @counter under key @seed. */
static inline uint32_t nib_philox(uint64_t seed, uint64_t counter)
{
	uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
	uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = 0, c3 = 0;
	int round;

	for (round = 0; round < 10; round++) {
		uint64_t p0 = (uint64_t)c0 * 0xd2511f53u, p1 = (uint64_t)c2 * 0xcd9e8d57u;

		c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)p1;
		c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)p0;
		k0 += 0x9e3779b9u;
		k1 += 0xbb67ae85u;
	}
	return c0;
}

#endif
