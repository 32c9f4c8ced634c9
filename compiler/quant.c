// SPDX-License-Identifier: MIT
/*
 * Encoders. Elements are rounded on their bit patterns: a normal number keeps the top bits of its
 * mantissa after adding half an ulp (ties to even), a subnormal one is rounded by adding a power of
 * two whose ulp is the format's smallest step. No branches, so that the compiler makes vectors.
 */
#include "quant.h"

#define INLINE static inline __attribute__((always_inline))

/* An element format: mantissa bits, exponent bias, largest value. */
struct element {
	int man;
	int bias;
	int emax;	/* exponent of the largest value */
	uint32_t top;	/* mantissa bits of the largest value, as in FP32 */
	float vmax;
};

static const struct element e2m1 = { 1, 1, 2, 0x400000, 6.0f };
static const struct element e4m3 = { 3, 7, 8, 0x600000, 448.0f };
static const struct element e5m2 = { 2, 15, 15, 0x600000, 57344.0f };

/* Code and value of y, which is saturated first. */
INLINE uint32_t encode_element(const struct element *el, float y, float *value)
{
	const int drop = 23 - el->man;
	const float magic = ac_float((uint32_t)(127 + 23 + 1 - el->bias - el->man) << 23);
	const uint32_t least = (uint32_t)(127 + 1 - el->bias) << 23;	/* smallest normal */
	uint32_t sign = ac_bits(y) & 0x80000000u;
	float a = ac_float(ac_bits(y) & 0x7fffffffu);
	uint32_t u, normal, code;
	float small;

	a = a > el->vmax ? el->vmax : a;
	u = ac_bits(a);
	normal = (u + (1u << (drop - 1)) - 1 + (u >> drop & 1)) >> drop;
	small = a + magic;
	code = u < least ? ac_bits(small) - ac_bits(magic) :
	       normal - ((uint32_t)(127 - el->bias) << el->man);
	*value = ac_float(ac_bits(u < least ? small - magic : ac_float(normal << drop)) | sign);
	return code | sign >> (31 - (el == &e2m1 ? 3 : 7));
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

/* Encode a block of 32 with one scale; codes and, in units of the scale, values. */
INLINE void encode_mx(const struct element *el, const float *x, int code, uint8_t *codes,
		      float *values)
{
	float inv = inverse_scale(code);
	int i;

	for (i = 0; i < 32; i++)
		codes[i] = (uint8_t)encode_element(el, x[i] * inv, &values[i]);
}

/* Squared error in units of the scale, in a fixed order. */
INLINE float error_mx(const float *x, int code, const float *values)
{
	float inv = inverse_scale(code), sum[8] = { 0 };
	int i, j;

	for (i = 0; i < 32; i += 8)
		for (j = 0; j < 8; j++) {
			float d = x[i + j] * inv - values[i + j];

			sum[j] += d * d;
		}
	return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

/*
 * One term: picks the scale, encodes, and leaves what is left over in @rest where that is asked.
 * The errors of neighbouring scales differ by a factor of 4 in their units.
 */
INLINE bool encode_term(const struct element *el, enum nib_scale_rule rule, const float *x,
			uint8_t *codes, uint8_t *scale, float *rest)
{
	uint32_t amax = max_bits(x, 32);
	int code = (int)(amax >> 23) - el->emax, i, c;
	uint8_t try[32];
	float values[32], best, error, s;

	if (amax >= 0x7f800000) {
		memset(codes, 0, 32);
		*scale = 255;
		return false;
	}
	if (!amax) {
		for (i = 0; i < 32; i++) {
			codes[i] = (uint8_t)(ac_bits(x[i]) >> 31 << (el == &e2m1 ? 3 : 7));
			if (rest)
				rest[i] = 0;
		}
		*scale = 127;
		return true;
	}
	if (rule == NIB_SCALE_CEIL)
		code += (amax & 0x7fffff) > el->top;
	if (rule != NIB_SCALE_BEST3) {
		code = clamp_code(code);
		encode_mx(el, x, code, codes, values);
	} else {
		int first = clamp_code(code - 1), last = clamp_code(code + 1);

		code = first;
		encode_mx(el, x, first, codes, values);
		best = error_mx(x, first, values);
		for (c = first + 1; c <= last; c++) {
			float more[32];

			encode_mx(el, x, c, try, more);
			error = error_mx(x, c, more);
			best *= 0.25f;
			if (error < best) {
				best = error;
				code = c;
				memcpy(codes, try, 32);
				memcpy(values, more, sizeof(values));
			}
		}
	}
	*scale = (uint8_t)code;
	s = scale_value(code);
	for (i = 0; rest && i < 32; i++)
		rest[i] = x[i] - values[i] * s;
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
										\
		(void)global;							\
		memset(rest, 0, sizeof(rest));					\
		return encode_term(&e4m3, rule, x, u->codes[0], u->scales[0], rest) & \
		       encode_term(&e4m3, rule, rest, u->codes[1], u->scales[1], NULL); \
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

/* One block of 16 under scale code @c; returns the squared error. */
INLINE float encode_nv(const float *x, float global, uint32_t c, uint8_t *codes)
{
	float d = ue4m3_value(c) * global, sum[8] = { 0 }, value;
	int i, j;

	if (d == 0) {
		for (i = 0; i < 16; i += 8)
			for (j = 0; j < 8; j++) {
				codes[i + j] = (uint8_t)(ac_bits(x[i + j]) >> 31 << 3);
				sum[j] += x[i + j] * x[i + j];
			}
	} else {
		for (i = 0; i < 16; i += 8)
			for (j = 0; j < 8; j++) {
				codes[i + j] = (uint8_t)encode_element(&e2m1, x[i + j] / d, &value);
				value = x[i + j] - value * d;
				sum[j] += value * value;
			}
	}
	return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

INLINE bool encode_nvfp4(const float *x, float global, bool best3, struct ac_unit *u)
{
	uint32_t b, amax, code, c, from, to;
	float best, error, value;
	uint8_t try[16];
	bool finite = true;

	for (b = 0; b < 2; b++, x += 16) {
		uint8_t *codes = u->codes[0] + b * 16;

		amax = max_bits(x, 16);
		if (amax >= 0x7f800000) {
			memset(codes, 0, 16);
			u->scales[0][b] = 0x7f;
			finite = false;
			continue;
		}
		code = encode_element(&e4m3, ac_float(amax) / 6.0f / global, &value);
		from = best3 && code ? code - 1 : code;
		to = best3 && code && code < 126 ? code + 1 : code;
		best = encode_nv(x, global, from, codes);
		code = from;
		for (c = from + 1; c <= to; c++) {
			error = encode_nv(x, global, c, try);
			if (error < best) {
				best = error;
				code = c;
				memcpy(codes, try, 16);
			}
		}
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
