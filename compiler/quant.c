// SPDX-License-Identifier: MIT
/*
 * Encoders. Inner loops have constant bounds and no branches, so that the compiler makes vectors.
 */
#include <math.h>
#include "quant.h"

#define INLINE static inline __attribute__((always_inline))

/* An element format: mantissa bits, exponent bias, largest value. */
struct element {
	int bits;	/* without the sign */
	int man;
	int bias;
	int emax;	/* exponent of the largest value */
	uint32_t top;	/* mantissa bits of the largest value, as in FP32 */
	float vmax;
};

static const struct element e2m1 = { 3, 1, 1, 2, 0x400000, 6.0f };
static const struct element e4m3 = { 7, 3, 7, 8, 0x600000, 448.0f };
static const struct element e5m2 = { 7, 2, 15, 15, 0x600000, 57344.0f };

/*
 * Adding a power of two M whose ulp is the format's step at |y| rounds |y| to a multiple of that
 * step, ties to even. The multiple, less what the exponent already says, is the code: subnormals
 * share the step of the smallest normals, so that nothing needs a branch.
 */
struct rounded {
	float a;	/* magnitude, saturated */
	float m;	/* M */
	float sum;	/* |y| + M, rounded */
};

INLINE struct rounded round_element(const struct element *el, float y)
{
	const uint32_t least = (uint32_t)(127 + 1 - el->bias) << 23;	/* smallest normal */
	const uint32_t top = ac_bits(el->vmax);
	uint32_t u = ac_bits(y) & 0x7fffffffu, e;
	struct rounded r;

	u = u > top ? top : u;
	e = (u > least ? u : least) & 0x7f800000u;
	r.a = ac_float(u);
	r.m = ac_float(e + ((uint32_t)(23 - el->man) << 23));
	r.sum = r.a + r.m;
	return r;
}

INLINE uint32_t encode_element(const struct element *el, float y)
{
	const uint32_t man = (uint32_t)el->man;
	const uint32_t least = (uint32_t)(127 + 1 - el->bias + 23 - el->man) << 23;
	struct rounded r = round_element(el, y);
	uint32_t m = ac_bits(r.m), sign = ac_bits(y) & 0x80000000u;

	return (ac_bits(r.sum) - m + ((m - least) >> (23 - man))) | sign >> (31 - el->bits);
}

INLINE float value_element(const struct element *el, float y)
{
	struct rounded r = round_element(el, y);

	return ac_float(ac_bits(r.sum - r.m) | (ac_bits(y) & 0x80000000u));
}

/* 2^-(code - 127); codes 0..254. */
INLINE float inverse_scale(int code)
{
	return ac_float(code == 254 ? 0x00400000u : (uint32_t)(254 - code) << 23);
}

INLINE float scale_value(int code)
{
	return ac_float(code == 0 ? 0x00400000u : (uint32_t)code << 23);
}

/* Bits of the largest magnitude: as integers, magnitudes and NaNs order as wanted. */
INLINE uint32_t max_bits(const float *x, int n)
{
	uint32_t m = 0, u;
	int i;

	for (i = 0; i < n; i++) {
		u = ac_bits(x[i]) & 0x7fffffffu;
		m = u > m ? u : m;
	}
	return m;
}

INLINE int clamp_code(int code)
{
	return code < 0 ? 0 : code > 254 ? 254 : code;
}

/* A row sum (arithmetic.md) of one block, from its sixteen lanes. */
INLINE float add_lanes(float *sum)
{
	int width, j;

	for (width = 8; width; width /= 2)
		for (j = 0; j < width; j++)
			sum[j] += sum[j + width];
	return sum[0];
}

/* Squared error of a block under scale @code, in units of the inverse of @unit. */
INLINE float error_mx(const struct element *el, const float *x, int code, float unit)
{
	float inv = inverse_scale(code), s = scale_value(code), sum[16] = { 0 };
	int i, j;

	for (i = 0; i < 32; i += 16)
		for (j = 0; j < 16; j++) {
			float v = value_element(el, x[i + j] * inv);
			float d = fmaf(-v, s, x[i + j]) * unit;

			sum[j] = fmaf(d, d, sum[j]);
		}
	return add_lanes(sum);
}

/* @floor may be less than there are codes for. */
INLINE int best_scale(const struct element *el, const float *x, int floor)
{
	float unit = inverse_scale(clamp_code(floor)), least = INFINITY, error;
	int best = 0, c, i;

	for (i = -1; i <= 1; i++) {
		c = clamp_code(floor + i);
		error = error_mx(el, x, c, unit);
		if (i < 0 || error < least) {
			least = error;
			best = c;
		}
	}
	return best;
}

/* One term: picks the scale, encodes, and leaves what is left over in @rest where that is asked. */
INLINE bool encode_term(const struct element *el, enum nib_scale_rule rule, const float *x,
			uint8_t *codes, uint8_t *scale, float *rest)
{
	uint32_t amax = max_bits(x, 32);
	int code = (int)(amax >> 23) - el->emax, i;
	float inv, s;

	if (amax >= 0x7f800000) {
		memset(codes, 0, 32);
		*scale = 255;
		return false;
	}
	if (!amax)
		code = 127;
	else if (rule == NIB_SCALE_BEST3)
		code = best_scale(el, x, code);
	else
		code = clamp_code(code + (rule == NIB_SCALE_CEIL && (amax & 0x7fffff) > el->top));
	inv = inverse_scale(code);
	s = scale_value(code);
	for (i = 0; i < 32; i++)
		codes[i] = (uint8_t)encode_element(el, x[i] * inv);
	for (i = 0; rest && i < 32; i++)
		rest[i] = fmaf(-value_element(el, x[i] * inv), s, x[i]);
	*scale = (uint8_t)code;
	return true;
}

#define MX_ENCODER(name, el, rule)						\
	AC_CLONES static bool name(const float *x, float global, struct ac_unit *u)	\
	{									\
		(void)global;							\
		return encode_term(&(el), rule, x, u->codes[0], u->scales[0], NULL); \
	}

#define X2_ENCODER(name, rule)							\
	AC_CLONES static bool name(const float *x, float global, struct ac_unit *u)	\
	{									\
		float rest[32];							\
		bool high, low;							\
										\
		(void)global;							\
		memset(rest, 0, sizeof(rest));					\
		high = encode_term(&e4m3, rule, x, u->codes[0], u->scales[0], rest); \
		low = encode_term(&e4m3, rule, rest, u->codes[1], u->scales[1], NULL); \
		return high && low;						\
	}

MX_ENCODER(mxfp4_floor, e2m1, NIB_SCALE_FLOOR)
MX_ENCODER(mxfp4_ceil, e2m1, NIB_SCALE_CEIL)
MX_ENCODER(mxfp4_best3, e2m1, NIB_SCALE_BEST3)
MX_ENCODER(mxfp8_floor, e4m3, NIB_SCALE_FLOOR)
MX_ENCODER(mxfp8_ceil, e4m3, NIB_SCALE_CEIL)
MX_ENCODER(mxfp8_best3, e4m3, NIB_SCALE_BEST3)
MX_ENCODER(mxfp8_e5m2_floor, e5m2, NIB_SCALE_FLOOR)
MX_ENCODER(mxfp8_e5m2_ceil, e5m2, NIB_SCALE_CEIL)
MX_ENCODER(mxfp8_e5m2_best3, e5m2, NIB_SCALE_BEST3)
X2_ENCODER(mxfp8x2_floor, NIB_SCALE_FLOOR)
X2_ENCODER(mxfp8x2_ceil, NIB_SCALE_CEIL)
X2_ENCODER(mxfp8x2_best3, NIB_SCALE_BEST3)

/* UE4M3 code to value; 0..126. */
static float ue4m3_value(uint32_t code)
{
	if (code < 8)
		return (float)code * 0x1p-9f;
	return ac_float(((code >> 3) + 120) << 23 | (code & 7) << 20);
}

/* Squared error of a block of 16 under @code, in units of @global; under 0 all values become 0. */
INLINE float error_nv(const float *x, float global, uint32_t code)
{
	float d = ue4m3_value(code) * global, divide = d == 0 ? INFINITY : d, sum[16] = { 0 };
	int j;

	for (j = 0; j < 16; j++) {
		float e = fmaf(-value_element(&e2m1, x[j] / divide), d, x[j]) / global;

		sum[j] = fmaf(e, e, sum[j]);
	}
	return add_lanes(sum);
}

INLINE uint32_t best_nv(const float *x, float global, uint32_t code)
{
	uint32_t from = code ? code - 1 : 0, to = code < 126 ? code + 1 : 126, best = from, c;
	float least = error_nv(x, global, from), error;

	for (c = from + 1; c <= to; c++) {
		error = error_nv(x, global, c);
		if (error < least) {
			least = error;
			best = c;
		}
	}
	return best;
}

INLINE bool encode_nvfp4(const float *x, float global, bool best3, struct ac_unit *u)
{
	uint32_t b, amax, code;
	bool finite = true;
	float d;
	int i;

	for (b = 0; b < 2; b++, x += 16) {
		uint8_t *codes = u->codes[0] + b * 16;

		amax = max_bits(x, 16);
		if (amax >= 0x7f800000) {
			memset(codes, 0, 16);
			u->scales[0][b] = 0x7f;
			finite = false;
			continue;
		}
		code = encode_element(&e4m3, ac_float(amax) / 6.0f / global);
		if (best3 && amax)
			code = best_nv(x, global, code);
		d = ue4m3_value(code) * global;
		for (i = 0; i < 16; i++)
			codes[i] = (uint8_t)encode_element(&e2m1, d == 0 ? 0 : x[i] / d);
		u->scales[0][b] = (uint8_t)code;
	}
	return finite;
}

AC_CLONES
static bool nvfp4_nearest(const float *x, float global, struct ac_unit *u)
{
	return encode_nvfp4(x, global, false, u);
}

AC_CLONES
static bool nvfp4_best3(const float *x, float global, struct ac_unit *u)
{
	return encode_nvfp4(x, global, true, u);
}

AC_CLONES
static bool bf16(const float *x, float global, struct ac_unit *u)
{
	uint32_t bits, amax = max_bits(x, 32);
	int i;

	(void)global;
	for (i = 0; i < 32; i++) {
		bits = ac_bits(x[i]);
		u->wide[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
	}
	return amax < 0x7f800000;
}

ac_encode_fn ac_encoder(uint32_t fmt, enum nib_scale_rule rule)
{
	static const ac_encode_fn mxfp4[] = { mxfp4_floor, mxfp4_ceil, mxfp4_best3 };
	static const ac_encode_fn mxfp8[] = { mxfp8_floor, mxfp8_ceil, mxfp8_best3 };
	static const ac_encode_fn e5[] = { mxfp8_e5m2_floor, mxfp8_e5m2_ceil, mxfp8_e5m2_best3 };
	static const ac_encode_fn x2[] = { mxfp8x2_floor, mxfp8x2_ceil, mxfp8x2_best3 };

	switch (fmt) {
	case NIB_FMT_MXFP4:
		return mxfp4[rule];
	case NIB_FMT_MXFP8:
		return mxfp8[rule];
	case NIB_FMT_MXFP8_E5M2:
		return e5[rule];
	case NIB_FMT_MXFP8X2:
		return x2[rule];
	case NIB_FMT_NVFP4:
		return rule == NIB_SCALE_BEST3 ? nvfp4_best3 : nvfp4_nearest;
	case NIB_FMT_BF16:
		return bf16;
	default:
		return NULL;
	}
}

static float element_value(const struct element *el, uint32_t code)
{
	uint32_t bits = el == &e2m1 ? 3 : 7, mag = code & ((1u << bits) - 1);
	uint32_t exp = mag >> el->man, man = mag & ((1u << el->man) - 1);
	float v;

	if (el == &e4m3 && mag == 0x7f)
		return ac_float(0x7fc00000);
	if (exp)
		v = ac_float((exp + 127 - (uint32_t)el->bias) << 23 | man << (23 - el->man));
	else
		v = (float)man * ac_float((uint32_t)(128 - el->bias - el->man) << 23);
	return code >> bits & 1 ? -v : v;
}

void ac_decode_unit(uint32_t fmt, const struct ac_unit *u, float global, float *x)
{
	const struct element *el = fmt == NIB_FMT_MXFP8_E5M2 ? &e5m2 :
				   fmt == NIB_FMT_MXFP4 || fmt == NIB_FMT_NVFP4 ? &e2m1 : &e4m3;
	uint32_t i, t, s;
	float scale;

	for (i = 0; i < AC_UNIT; i++) {
		x[i] = 0;
		if (fmt == NIB_FMT_BF16) {
			x[i] = ac_float((uint32_t)u->wide[i] << 16);
			continue;
		}
		for (t = 0; t < nib_format_terms(fmt); t++) {
			s = u->scales[t][fmt == NIB_FMT_NVFP4 ? i / 16 : 0];
			if (fmt == NIB_FMT_NVFP4)
				scale = s == 0x7f ? ac_float(0x7fc00000) : ue4m3_value(s) * global;
			else
				scale = s == 255 ? ac_float(0x7fc00000) : scale_value((int)s);
			x[i] += element_value(el, u->codes[t][i]) * scale;
		}
	}
}

AC_CLONES
float ac_max_abs(const float *x, size_t n)
{
	uint32_t m = 0, u;
	size_t i;

	for (i = 0; i < n; i++) {
		u = ac_bits(x[i]) & 0x7fffffffu;
		m = u > m ? u : m;
	}
	return ac_float(m > 0x7f800000 ? 0x7f800000 : m);
}

float ac_nvfp4_global(float max_abs)
{
	float global = max_abs / (448.0f * 6.0f);

	return global > 0 ? global : 1.0f;
}
