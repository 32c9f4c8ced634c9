/* SPDX-License-Identifier: MIT */
/*
 * Rows and panels to FP32 and back: scale rules, packing, padding. Elements are element.h's.
 * Compiled once per instruction set; see isa.h.
 */
#include "isa.h"
#include "element.h"

#ifdef __AVX512F__
#include "encode_avx512.h"
#endif

#define BLOCK	32u	/* longest block of any format */
#define STRIP	256u	/* elements that convert() holds at a time */

/* n elements of a plain format. */
static void decode_elements(uint32_t fmt, const void *restrict src, size_t n, float *restrict dst)
{
	const uint8_t *s8 = src;
	const uint16_t *s16 = src;
	const uint32_t *s32 = src;
	size_t i;

	switch (fmt) {
	case NIB_FMT_U32:
		for (i = 0; i < n; i++)
			dst[i] = (float)s32[i];
		break;
	case NIB_FMT_BF16:
		for (i = 0; i < n; i++)
			dst[i] = nib_bf16_decode(s16[i]);
		break;
	case NIB_FMT_F16:
		for (i = 0; i < n; i++)
			dst[i] = nib_f16_decode(s16[i]);
		break;
	case NIB_FMT_E4M3:
		for (i = 0; i < n; i++)
			dst[i] = nib_e4m3_decode(s8[i]);
		break;
	case NIB_FMT_E5M2:
		for (i = 0; i < n; i++)
			dst[i] = nib_e5m2_decode(s8[i]);
		break;
	}
}

static void encode_elements(uint32_t fmt, const float *restrict src, size_t n, void *restrict dst)
{
	uint8_t *d8 = dst;
	uint16_t *d16 = dst;
	size_t i;

	switch (fmt) {
	case NIB_FMT_BF16:
		for (i = 0; i < n; i++)
			d16[i] = nib_bf16_encode(src[i]);
		break;
	case NIB_FMT_F16:
		for (i = 0; i < n; i++)
			d16[i] = nib_f16_encode(src[i]);
		break;
	case NIB_FMT_E4M3:
		for (i = 0; i < n; i++)
			d8[i] = nib_e4m3_encode(src[i]);
		break;
	case NIB_FMT_E5M2:
		for (i = 0; i < n; i++)
			d8[i] = nib_e5m2_encode(src[i]);
		break;
	}
}

/* Operands may overlap in memory: what comes out is unspecified then, but not undefined. */
static void decode_plain(uint32_t fmt, const void *src, size_t n, float *dst)
{
	if (fmt == NIB_FMT_F32)
		memmove(dst, src, n * sizeof(float));
	else
		decode_elements(fmt, src, n, dst);
}

static void encode_plain(uint32_t fmt, const float *src, size_t n, void *dst)
{
	if (fmt == NIB_FMT_F32)
		memmove(dst, src, n * sizeof(float));
	else
		encode_elements(fmt, src, n, dst);
}

/* Between unlike formats by way of FP32, which holds every element exactly; U32 only to U32. */
void NIB_KERNEL(nib_convert)(uint32_t dst_fmt, void *dst, uint32_t src_fmt, const void *src,
			     size_t n)
{
	size_t src_bytes = nib_format_bits(src_fmt) / 8, dst_bytes = nib_format_bits(dst_fmt) / 8;
	const uint8_t *from = src;
	uint8_t *to = dst;
	float strip[STRIP];
	size_t i, run;

	if (dst_fmt == src_fmt) {
		memmove(dst, src, n * src_bytes);
	} else if (dst_fmt == NIB_FMT_F32) {
		decode_plain(src_fmt, src, n, dst);
	} else if (src_fmt == NIB_FMT_F32) {
		encode_plain(dst_fmt, src, n, dst);
	} else {
		for (i = 0; i < n; i += run) {
			run = n - i < STRIP ? n - i : STRIP;
			decode_plain(src_fmt, from + i * src_bytes, run, strip);
			encode_plain(dst_fmt, strip, run, to + i * dst_bytes);
		}
	}
}

/* Elements of the block formats. */
enum element { E2M1, E4M3, E5M2 };

NIB_INLINE float element_decode(enum element e, uint32_t code)
{
	return e == E2M1 ? nib_e2m1_decode(code) : e == E4M3 ? nib_e4m3_decode(code) :
							       nib_e5m2_decode(code);
}

#ifdef __AVX512F__
NIB_INLINE void mx_row(enum element e, uint32_t terms, uint32_t rule, const float *src, size_t k,
		       uint8_t *dst, size_t data_bytes, size_t scale_bytes)
{
	const struct minifloat m = e == E2M1 ? (struct minifloat){ 1, 1, NIB_E2M1_MAX } :
				   e == E4M3 ? (struct minifloat){ 3, 7, NIB_E4M3_MAX } :
					       (struct minifloat){ 2, 15, NIB_E5M2_MAX };

	mx_row16(m, terms, rule, src, k, dst, data_bytes, scale_bytes);
}

static uint8_t nvfp4_block(uint32_t rule, float row_scale, const float *x, uint8_t *dst)
{
	return nvfp4_block16(rule, row_scale, _mm512_loadu_ps(x), dst);
}
#else
NIB_INLINE uint32_t element_encode(enum element e, float x)
{
	return e == E2M1 ? nib_e2m1_encode(x) : e == E4M3 ? nib_e4m3_encode(x) : nib_e5m2_encode(x);
}

/* Bits of the largest magnitude: above those of every number when one is a NaN or infinite. */
NIB_INLINE uint32_t block_amax(const float *x, uint32_t n)
{
	uint32_t max = 0, j;

	for (j = 0; j < n; j++) {
		uint32_t bits = nib_bits(x[j]) & 0x7fffffffu;

		max = bits > max ? bits : max;
	}
	return max;
}

/* Sum of squares in the order of a row sum, see nib_isa.h; n is 16 or 32. */
NIB_INLINE float block_square(const float *d, uint32_t n)
{
	float lane[16];
	uint32_t j, step;

	for (j = 0; j < 16; j++)
		lane[j] = nib_fma(d[j], d[j], 0.0f);
	for (j = 16; j < n; j++)
		lane[j - 16] = nib_fma(d[j], d[j], lane[j - 16]);
	for (step = 8; step; step /= 2)
		for (j = 0; j < step; j++)
			lane[j] += lane[j + step];
	return lane[0];
}

NIB_INLINE void store_codes(enum element e, const uint8_t *code, uint32_t n, uint8_t *dst)
{
	uint32_t j;

	if (e == E2M1)
		for (j = 0; j < n / 2; j++)
			dst[j] = code[2 * j] | code[2 * j + 1] << 4;
	else
		memmove(dst, code, n);
}

/* Elements of a block under scale code @scale, and what they leave over. */
NIB_INLINE void mx_elements(enum element e, uint32_t scale, const float *x, uint8_t *code,
			    float *left)
{
	float value = nib_e8m0_decode(scale), inverse = nib_e8m0_inverse(scale);
	uint32_t j;

	for (j = 0; j < BLOCK; j++)
		code[j] = element_encode(e, x[j] * inverse);
	/* Fused, so that the product cannot overflow; the difference itself is exact. */
	for (j = 0; j < BLOCK; j++)
		left[j] = nib_fma(-element_decode(e, code[j]), value, x[j]);
}

/*
 * One block of an MX format; @x becomes the rest that the elements do not express. A block that
 * holds a NaN or an infinity has scale 255 and zeros for elements. BEST3 measures errors in units
 * of the FLOOR scale, which keeps the squares in range, and adds squares in row-sum order.
 */
NIB_INLINE uint8_t mx_block(enum element e, uint32_t rule, float *restrict x, uint8_t *restrict dst)
{
	const int emax = e == E2M1 ? 2 : e == E4M3 ? 8 : 15;
	const uint32_t vmax_mantissa = e == E2M1 ? 0x400000 : 0x600000;
	uint8_t code[BLOCK];
	float left[BLOCK], scaled[BLOCK], least = 0, error, inverse;
	uint32_t amax = block_amax(x, BLOCK), scale, best, i, j;
	int floor = (int)(amax >> 23) - emax;

	if (!amax || amax >= 0x7f800000u) {
		memset(dst, 0, e == E2M1 ? BLOCK / 2 : BLOCK);
		if (!amax)
			return 127;
		for (j = 0; j < BLOCK; j++)
			x[j] = nib_nan();
		return 255;
	}
	scale = floor < 0 ? 0 : floor;
	if (rule == NIB_SCALE_CEIL) {
		floor += (amax & 0x7fffff) > vmax_mantissa;
		scale = floor < 0 ? 0 : floor;
	} else if (rule == NIB_SCALE_BEST3) {
		inverse = nib_e8m0_inverse(scale);
		best = scale;
		for (i = 0; i < 3; i++) {
			uint32_t candidate = floor - 1 + (int)i < 0 ? 0 : floor - 1 + (int)i;

			mx_elements(e, candidate, x, code, left);
			for (j = 0; j < BLOCK; j++)
				scaled[j] = left[j] * inverse;
			error = block_square(scaled, BLOCK);
			best = !i || error < least ? candidate : best;
			least = !i || error < least ? error : least;
		}
		scale = best;
	}
	mx_elements(e, scale, x, code, left);
	store_codes(e, code, BLOCK, dst);
	memcpy(x, left, sizeof(left));
	return scale;
}

NIB_INLINE void mx_row(enum element e, uint32_t terms, uint32_t rule, const float *src, size_t k,
		       uint8_t *dst, size_t data_bytes, size_t scale_bytes)
{
	size_t block_bytes = e == E2M1 ? BLOCK / 2 : BLOCK, term_bytes = data_bytes + scale_bytes;
	float x[BLOCK] __attribute__((aligned(64)));
	size_t b;
	uint32_t t;

	for (b = 0; b < scale_bytes; b++) {
		size_t left = k - b * BLOCK < BLOCK ? k - b * BLOCK : BLOCK;

		memset(x, 0, sizeof(x));
		memcpy(x, src + b * BLOCK, left * sizeof(float));
		for (t = 0; t < terms; t++) {
			uint8_t *data = dst + t * term_bytes;

			data[data_bytes + b] = mx_block(e, rule, x, data + b * block_bytes);
		}
	}
}

/* Elements of an NVFP4 block under scale code @scale; returns the squared error in row scales. */
NIB_INLINE float nvfp4_elements(uint32_t scale, float row_scale, const float *x, uint8_t *code)
{
	float unit = nib_ue4m3_decode(scale) * row_scale, left[16];
	uint32_t j;

	/* A scale of zero holds only zeros. */
	for (j = 0; j < 16; j++)
		code[j] = nib_e2m1_encode(unit > 0 ? x[j] / unit : 0.0f);
	for (j = 0; j < 16; j++)
		left[j] = nib_fma(-nib_e2m1_decode(code[j]), unit, x[j]) / row_scale;
	return block_square(left, 16);
}

/*
 * One block of NVFP4. Everything is FP32 arithmetic: the scale is (amax / 6) / row scale in UE4M3,
 * an element x / (scale * row scale) in E2M1. NaN and infinity give scale 0x7f and zeros.
 */
NIB_INLINE uint8_t nvfp4_block(uint32_t rule, float row_scale, const float *x, uint8_t *dst)
{
	uint32_t amax = block_amax(x, 16), nearest, scale, c;
	uint8_t code[16];
	float least, error;

	if (amax >= 0x7f800000u) {
		memset(dst, 0, 8);
		return 0x7f;
	}
	nearest = nib_e4m3_encode(nib_float(amax) / 6.0f / row_scale);
	scale = nearest;
	if (rule == NIB_SCALE_BEST3) {
		scale = nearest ? nearest - 1 : 0;
		least = nvfp4_elements(scale, row_scale, x, code);
		for (c = scale + 1; c <= nearest + 1 && c < 0x7f; c++) {
			error = nvfp4_elements(c, row_scale, x, code);
			scale = error < least ? c : scale;
			least = error < least ? error : least;
		}
	}
	nvfp4_elements(scale, row_scale, x, code);
	store_codes(E2M1, code, 16, dst);
	return scale;
}

#endif

/* The row scale is (largest finite magnitude) / (448 * 6), or 1 where that is zero. */
static void nvfp4_row(uint32_t rule, const float *src, size_t k, uint8_t *dst, size_t data_bytes,
		      size_t scale_bytes)
{
	float x[16] __attribute__((aligned(64))), row_scale;
	uint32_t amax = 0;
	size_t i, b;

	for (i = 0; i < k; i++) {
		uint32_t bits = nib_bits(src[i]) & 0x7fffffffu;

		bits = bits < 0x7f800000u ? bits : 0;
		amax = bits > amax ? bits : amax;
	}
	row_scale = nib_float(amax) / (448.0f * 6.0f);
	if (row_scale == 0.0f)
		row_scale = 1.0f;
	for (b = 0; b < scale_bytes; b++) {
		size_t left = b * 16 >= k ? 0 : k - b * 16 < 16 ? k - b * 16 : 16;
		const float *block = src + b * 16;

		if (left < 16) {
			memset(x, 0, sizeof(x));
			memcpy(x, block, left * sizeof(float));
			block = x;
		}
		dst[data_bytes + b] = nvfp4_block(rule, row_scale, block, dst + b * 8);
	}
	memmove(dst + data_bytes + scale_bytes, &row_scale, sizeof(row_scale));
}

void NIB_KERNEL(nib_row_encode)(uint32_t fmt, uint32_t rule, const float *src, size_t k, void *dst)
{
	size_t data = nib_row_data_bytes(fmt, k), scales = nib_row_scale_bytes(fmt, k);
	size_t total = nib_row_bytes(fmt, k), used = (data + scales) * nib_format_terms(fmt);

	switch (fmt) {
	case NIB_FMT_MXFP4:
		mx_row(E2M1, 1, rule, src, k, dst, data, scales);
		break;
	case NIB_FMT_MXFP8:
		mx_row(E4M3, 1, rule, src, k, dst, data, scales);
		break;
	case NIB_FMT_MXFP8_E5M2:
		mx_row(E5M2, 1, rule, src, k, dst, data, scales);
		break;
	case NIB_FMT_MXFP8X2:
		mx_row(E4M3, 2, rule, src, k, dst, data, scales);
		break;
	case NIB_FMT_NVFP4:
		nvfp4_row(rule, src, k, dst, data, scales);
		used += 4;
		break;
	default:
		encode_plain(fmt, src, k, dst);
		break;
	}
	memset((uint8_t *)dst + used, 0, total - used);
}

/* n elements from element @from of a term's data on, times a scale. */
NIB_INLINE void decode_run(enum element e, const uint8_t *restrict data, size_t from, size_t n,
			   float scale, float *restrict dst)
{
	size_t j;

	if (e != E2M1) {
		for (j = 0; j < n; j++)
			dst[j] = element_decode(e, data[from + j]) * scale;
	} else if (from % 2 == 0 && n % 2 == 0) {
		for (j = 0; j < n / 2; j++) {
			uint32_t pair = data[from / 2 + j];

			dst[2 * j] = nib_e2m1_decode(pair) * scale;
			dst[2 * j + 1] = nib_e2m1_decode(pair >> 4) * scale;
		}
	} else {
		for (j = from; j < from + n; j++)
			dst[j - from] = nib_e2m1_decode(data[j / 2] >> j % 2 * 4) * scale;
	}
}

/* MX rows; a second term adds to the first. */
NIB_INLINE void mx_row_decode(enum element e, uint32_t terms, const uint8_t *row, size_t data_bytes,
			      size_t scale_bytes, size_t from, size_t n, float *restrict dst)
{
	float second[BLOCK];
	size_t i, j, run;

	for (i = 0; i < n; i += run) {
		size_t at = from + i, b = at / BLOCK;
		const uint8_t *next = row + data_bytes + scale_bytes;

		run = BLOCK - at % BLOCK < n - i ? BLOCK - at % BLOCK : n - i;
		decode_run(e, row, at, run, nib_e8m0_decode(row[data_bytes + b]), dst + i);
		if (terms > 1) {
			decode_run(e, next, at, run, nib_e8m0_decode(next[data_bytes + b]), second);
			for (j = 0; j < run; j++)
				dst[i + j] += second[j];
		}
		for (j = 0; j < run; j++)
			dst[i + j] = nib_canonical(dst[i + j]);
	}
}

static void nvfp4_row_decode(const uint8_t *row, size_t data_bytes, size_t scale_bytes, size_t from,
			     size_t n, float *restrict dst)
{
	float row_scale;
	size_t i, j, run;

	memcpy(&row_scale, row + data_bytes + scale_bytes, sizeof(row_scale));
	for (i = 0; i < n; i += run) {
		size_t at = from + i;
		float scale = nib_ue4m3_decode(row[data_bytes + at / 16]);

		run = 16 - at % 16 < n - i ? 16 - at % 16 : n - i;
		decode_run(E2M1, row, at, run, scale, dst + i);
		for (j = 0; j < run; j++)
			dst[i + j] = nib_canonical(dst[i + j] * row_scale);
	}
}

void NIB_KERNEL(nib_row_decode)(uint32_t fmt, const void *row, size_t k, size_t from, size_t n,
				float *dst)
{
	size_t data = nib_row_data_bytes(fmt, k), scales = nib_row_scale_bytes(fmt, k);

	switch (fmt) {
	case NIB_FMT_MXFP4:
		mx_row_decode(E2M1, 1, row, data, scales, from, n, dst);
		break;
	case NIB_FMT_MXFP8:
		mx_row_decode(E4M3, 1, row, data, scales, from, n, dst);
		break;
	case NIB_FMT_MXFP8_E5M2:
		mx_row_decode(E5M2, 1, row, data, scales, from, n, dst);
		break;
	case NIB_FMT_MXFP8X2:
		mx_row_decode(E4M3, 2, row, data, scales, from, n, dst);
		break;
	case NIB_FMT_NVFP4:
		nvfp4_row_decode(row, data, scales, from, n, dst);
		break;
	default:
		decode_plain(fmt, (const uint8_t *)row + from * (nib_format_bits(fmt) / 8), n, dst);
		break;
	}
}

/* Value of an element code of a panel, before any scale. */
static float panel_element(uint32_t fmt, uint32_t code)
{
	switch (fmt) {
	case NIB_FMT_F32:
		return nib_float(code);
	case NIB_FMT_BF16:
		return nib_bf16_decode(code);
	case NIB_FMT_MXFP4:
	case NIB_FMT_NVFP4:
		return nib_e2m1_decode(code);
	case NIB_FMT_MXFP8_E5M2:
		return nib_e5m2_decode(code);
	default:
		return nib_e4m3_decode(code);
	}
}

/* One output of one tile: 32 values, the terms added up. */
static void tile_decode(uint32_t fmt, const uint8_t *tile, uint32_t n, float *x)
{
	uint32_t bits = nib_format_bits(fmt), per_lane = 32 / bits, terms = nib_format_terms(fmt);
	uint32_t t, v, i, lane;
	__u64 byte;

	for (t = 0; t < terms; t++) {
		for (v = 0; v < bits; v++) {
			nib_tile_element(fmt, t, n, v * per_lane, &byte);
			memcpy(&lane, tile + byte, sizeof(lane));
			for (i = 0; i < per_lane; i++) {
				uint32_t k = v * per_lane + i;
				uint32_t shift = bits == 32 ? 0 : i % 2 * 16 + i / 2 * bits;
				uint32_t code = lane >> shift & (uint32_t)((1ull << bits) - 1);
				float value = panel_element(fmt, code);

				if (fmt == NIB_FMT_NVFP4)
					value *= nib_ue4m3_decode(
						tile[nib_tile_scale(fmt, t, n, k)]);
				else if (nib_format_block(fmt))
					value *=
						nib_e8m0_decode(tile[nib_tile_scale(fmt, t, n, k)]);
				x[k] = t ? x[k] + value : value;
			}
		}
	}
}

void NIB_KERNEL(nib_panel_decode)(uint32_t fmt, const void *panels, size_t k, uint32_t row,
				  float alpha, float *dst)
{
	const uint8_t *tile = (const uint8_t *)panels +
			      row / NIB_PANEL_N * nib_panel_bytes(fmt, k);
	float x[NIB_TILE_K];
	size_t i, j, run;

	for (i = 0; i < k; i += run) {
		run = k - i < NIB_TILE_K ? k - i : NIB_TILE_K;
		tile_decode(fmt, tile, row % NIB_PANEL_N, x);
		for (j = 0; j < run; j++)
			dst[i + j] = nib_canonical(x[j] * alpha);
		tile += nib_tile_bytes(fmt);
	}
}
