/* SPDX-License-Identifier: MIT */
/*
 * One element of each storage format to FP32 and back: the bit patterns that nib_format.h lists
 * with the rounding that nib_isa.h promises. Branch-free, so that loops over them vectorise, and
 * without subnormal operands, which some processors multiply slowly. Blocks and rows are codec.c's.
 *
 * Encoders round to nearest even. FP8 saturates: whatever is beyond the largest value, infinities
 * included, becomes the largest value. NaN becomes the format's canonical NaN: 0x7f (E4M3), 0x7e
 * (E5M2), 0x7e00 (F16), 0x7fc0 (BF16). Decoders return the canonical FP32 NaN.
 */
#ifndef NIB_KERNELS_ELEMENT_H
#define NIB_KERNELS_ELEMENT_H

#include "math.h"

/* Largest values and their exponents; smallest normal exponents. */
#define NIB_E2M1_MAX	6.0f
#define NIB_E4M3_MAX	448.0f
#define NIB_E5M2_MAX	57344.0f

/*
 * Sign and magnitude with @mbits of mantissa and the given exponent bias, without special values.
 * @code has the magnitude in its low bits; @sign is bit 31.
 */
static inline float nib_minifloat_decode(uint32_t mag, uint32_t sign, uint32_t mbits, uint32_t bias)
{
	float subnormal = (float)(int32_t)mag * nib_pow2(1 - (int32_t)(bias + mbits));
	float normal = nib_float((mag << (23 - mbits)) + ((127 - bias) << 23));

	return nib_float(nib_bits(mag >> mbits ? normal : subnormal) | sign);
}

/*
 * Magnitude code of @a, which is >= 0, finite and at most the format's largest value. Adding 2^23
 * quanta of the binade of @a (of the smallest normal one for subnormals) rounds to whole quanta and
 * leaves their number in the low bits of the sum.
 */
static inline uint32_t nib_minifloat_encode(float a, uint32_t mbits, uint32_t bias)
{
	uint32_t least = 128 - bias, e = nib_bits(a) >> 23, shifter;

	e = e < least ? least : e;
	shifter = (e + 23 - mbits) << 23;
	return ((e - least) << mbits) + (nib_bits(a + nib_float(shifter)) - shifter);
}

static inline float nib_e2m1_decode(uint32_t code)
{
	return nib_minifloat_decode(code & 7, (code & 8) << 28, 1, 1);
}

static inline uint32_t nib_e2m1_encode(float x)
{
	float a = nib_abs(x);

	a = a < NIB_E2M1_MAX ? a : NIB_E2M1_MAX;
	return nib_minifloat_encode(a, 1, 1) | (nib_bits(x) >> 28 & 8);
}

static inline float nib_e4m3_decode(uint32_t code)
{
	float x = nib_minifloat_decode(code & 0x7f, (code & 0x80) << 24, 3, 7);

	return (code & 0x7f) == 0x7f ? nib_nan() : x;
}

static inline uint32_t nib_e4m3_encode(float x)
{
	float a = nib_abs(x);
	uint32_t code;

	a = a < NIB_E4M3_MAX ? a : NIB_E4M3_MAX;
	code = nib_minifloat_encode(a, 3, 7) | (nib_bits(x) >> 24 & 0x80);
	return x == x ? code : 0x7f;
}

static inline float nib_e5m2_decode(uint32_t code)
{
	uint32_t sign = (code & 0x80) << 24;
	float x = nib_minifloat_decode(code & 0x7f, sign, 2, 15);

	x = (code & 0x7f) == 0x7c ? nib_float(0x7f800000u | sign) : x;
	return (code & 0x7f) > 0x7c ? nib_nan() : x;
}

static inline uint32_t nib_e5m2_encode(float x)
{
	float a = nib_abs(x);
	uint32_t code;

	a = a < NIB_E5M2_MAX ? a : NIB_E5M2_MAX;
	code = nib_minifloat_encode(a, 2, 15) | (nib_bits(x) >> 24 & 0x80);
	return x == x ? code : 0x7e;
}

static inline float nib_f16_decode(uint32_t code)
{
	uint32_t sign = (code & 0x8000) << 16;
	float x = nib_minifloat_decode(code & 0x7fff, sign, 10, 15);

	x = (code & 0x7fff) == 0x7c00 ? nib_float(0x7f800000u | sign) : x;
	return (code & 0x7fff) > 0x7c00 ? nib_nan() : x;
}

/* Binary16 overflows to infinity, as IEEE 754 says: 65520 is the tie between 65504 and 2^16. */
static inline uint32_t nib_f16_encode(float x)
{
	float a = nib_abs(x);
	uint32_t sign = nib_bits(x) >> 16 & 0x8000, code;

	code = nib_minifloat_encode(a < 65504.0f ? a : 65504.0f, 10, 15);
	code = a < 65520.0f ? code : 0x7c00;
	return x == x ? code | sign : 0x7e00;
}

static inline float nib_bf16_decode(uint32_t code)
{
	return nib_canonical(nib_float(code << 16));
}

static inline uint32_t nib_bf16_encode(float x)
{
	uint32_t bits = nib_bits(x), code = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;

	return x == x ? code : 0x7fc0;
}

/* Block scales: E8M0, whose smallest value 2^-127 is an FP32 subnormal, and UE4M3. */
static inline float nib_e8m0_decode(uint32_t code)
{
	float x = nib_float(code ? code << 23 : 0x00400000u);

	return code == 0xff ? nib_nan() : x;
}

/* 1 / nib_e8m0_decode(code), exact, for codes 0..254. */
static inline float nib_e8m0_inverse(uint32_t code)
{
	return nib_e8m0_decode(254 - code);
}

/* Bit 7 of a UE4M3 code is not used: 0x80 and up read as if it were clear. */
static inline float nib_ue4m3_decode(uint32_t code)
{
	return nib_e4m3_decode(code & 0x7f);
}

#endif
