/* SPDX-License-Identifier: MIT */
/*
 * FP8 elements that the device does not have, for those who import them: the FNUZ variants, which
 * have no infinity, no negative zero, one NaN (0x80) and a bias of one more; and encoders that do
 * not saturate, or that write elements without a block. They share code points with E4M3 and E5M2 that mean something else, so they are
 * converted or refused, never taken for them.
 *
 * Rounding is to nearest even, as in element.h.
 */
#ifndef NIB_KERNELS_FNUZ_H
#define NIB_KERNELS_FNUZ_H

#include "element.h"

#define NIB_E4M3FNUZ_MAX	240.0f
#define NIB_E5M2FNUZ_MAX	57344.0f

static inline float nib_e4m3fnuz_decode(uint32_t code)
{
	float x = nib_minifloat_decode(code & 0x7f, (code & 0x80) << 24, 3, 8);

	return (code & 0xff) == 0x80 ? nib_nan() : x;
}

static inline float nib_e5m2fnuz_decode(uint32_t code)
{
	float x = nib_minifloat_decode(code & 0x7f, (code & 0x80) << 24, 2, 16);

	return (code & 0xff) == 0x80 ? nib_nan() : x;
}

/*
 * Magnitude code of |x|, or @over where that is beyond @max by half a quantum or more: the tie goes
 * to the code behind the largest, which is even.
 */
static inline uint32_t nib_encode_or(float x, uint32_t mbits, uint32_t bias, float max,
				     uint32_t over)
{
	float a = nib_abs(x), quantum = nib_float((nib_bits(max) & 0x7f800000u) - (mbits << 23));
	uint32_t code = nib_minifloat_encode(a < max ? a : max, mbits, bias);

	return a < max + quantum * 0.5f ? code : over;
}

static inline uint32_t nib_fnuz_encode(float x, uint32_t mbits, uint32_t bias, float max,
				       int saturate)
{
	uint32_t most = nib_minifloat_encode(max, mbits, bias);
	uint32_t code = nib_encode_or(x, mbits, bias, max, saturate ? most : 0);
	int over = !saturate && !code && nib_abs(x) > 1.0f;

	/* A zero has no sign: its code with a sign is the NaN. */
	code |= code ? nib_bits(x) >> 24 & 0x80 : 0;
	return x != x || over ? 0x80 : code;
}

static inline uint32_t nib_e4m3fnuz_encode(float x, int saturate)
{
	return nib_fnuz_encode(x, 3, 8, NIB_E4M3FNUZ_MAX, saturate);
}

static inline uint32_t nib_e5m2fnuz_encode(float x, int saturate)
{
	return nib_fnuz_encode(x, 2, 16, NIB_E5M2FNUZ_MAX, saturate);
}

/* E4M3 whose overflow is NaN. */
static inline uint32_t nib_e4m3_encode_unsaturated(float x)
{
	uint32_t sign = nib_bits(x) >> 24 & 0x80;

	/* 448 + half of 32: a tie to even would be 0x7e, the largest value itself. */
	return x != x || nib_abs(x) > 464.0f ? 0x7f | sign : nib_e4m3_encode(x);
}

/* E2M1 without a block, whose scale would carry a NaN: others write it as -0. */
static inline uint32_t nib_e2m1_encode_alone(float x)
{
	return x == x ? nib_e2m1_encode(x) : 0x8;
}

/* E5M2 whose overflow is infinity. */
static inline uint32_t nib_e5m2_encode_unsaturated(float x)
{
	uint32_t sign = nib_bits(x) >> 24 & 0x80;

	/* 57344 + half of 8192: the tie goes to the even code, which is infinity's. */
	return x == x && nib_abs(x) >= 61440.0f ? 0x7c | sign : nib_e5m2_encode(x);
}

#endif
