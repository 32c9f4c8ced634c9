/* SPDX-License-Identifier: MIT */
/*
 * Keys and values of one head to FP32, KV_UNIT elements at a time, for formats and slices that suit
 * the vectors; everything else is nib_row_decode()'s. NaNs may have any payload. Included by
 * attention.c alone.
 */
#ifndef NIB_KERNELS_KV_DECODE_H
#define NIB_KERNELS_KV_DECODE_H

#include "isa.h"
#include "element.h"
#include "simd.h"

/* Calls f(format, arguments) with the format constant; of those that are kv_alike() only one. */
#define KV_BY_FORMAT(fmt, f, ...)				\
	do {							\
		switch (kv_alike(fmt)) {			\
		case NIB_FMT_F32:				\
			f(NIB_FMT_F32, __VA_ARGS__);		\
			break;					\
		case NIB_FMT_BF16:				\
			f(NIB_FMT_BF16, __VA_ARGS__);		\
			break;					\
		case NIB_FMT_MXFP8:				\
			f(NIB_FMT_MXFP8, __VA_ARGS__);		\
			break;					\
		case NIB_FMT_MXFP8_E5M2:			\
			f(NIB_FMT_MXFP8_E5M2, __VA_ARGS__);		\
			break;					\
		case NIB_FMT_E5M2:				\
			f(NIB_FMT_E5M2, __VA_ARGS__);		\
			break;					\
		case NIB_FMT_MXFP4:				\
			f(NIB_FMT_MXFP4, __VA_ARGS__);		\
			break;					\
		case NIB_FMT_NVFP4:				\
			f(NIB_FMT_NVFP4, __VA_ARGS__);		\
			break;					\
		default:					\
			f(NIB_FMT_E4M3, __VA_ARGS__);		\
			break;					\
		}						\
	} while (0)

/* Where the slice of a row lies. @scale: its first block scale. */
struct kv_slice {
	const uint8_t *data;
	const float *scale;
	float row_scale;
};

#ifdef __AVX512F__
#include "kv_decode_avx512.h"
#else
#include "kv_decode_avx2.h"
#endif

#define KV_VECTORS	(KV_UNIT / 16)
#define KV_SCALES	128u	/* decoded at once, at most */

/*
 * Elements @from.. of a row of @width. @scale: scales of the row's blocks, from the first of the
 * slice on.
 */
NIB_INLINE struct kv_slice kv_slice(const uint32_t fmt, const uint8_t *row, uint32_t width,
				    uint32_t from, const float *scale)
{
	struct kv_slice s = {
		.data = row + (size_t)from * nib_format_bits(fmt) / 8, .scale = scale,
	};

	if (fmt == NIB_FMT_NVFP4)
		memcpy(&s.row_scale, row + nib_row_data_bytes(fmt, width) +
				     nib_row_scale_bytes(fmt, width), 4);
	return s;
}

/* @count rows, @pitch floats apart at @dst; @fmt is constant. */
NIB_INLINE void kv_rows(const uint32_t fmt, const struct kv_table *t, const uint8_t *const *rows,
			uint32_t count, uint32_t width, uint32_t from, uint32_t n, float *dst,
			uint32_t pitch)
{
	float scale[KV_SCALES] __attribute__((aligned(64)));
	v16 x[KV_VECTORS];
	struct kv_slice s;
	uint32_t r, i, v;

	for (r = 0; r < count; r++, dst += pitch) {
		kv_scales(fmt, 0, t, rows[r], width, from, n, scale);
		s = kv_slice(fmt, rows[r], width, from, scale);
		for (i = 0; i < n; i += KV_UNIT) {
			kv_get(fmt, 0, t, &s, i, x);
			for (v = 0; v < KV_VECTORS; v++)
				v16_store(dst + i + v * 16, x[v]);
		}
	}
}

/* Whether the scales of so many elements fit. */
static int kv_scales_fit(uint32_t fmt, uint32_t n)
{
	return !nib_format_block(fmt) || n / nib_format_block(fmt) <= KV_SCALES;
}

/* Whether a slice suits. */
static int kv_suits(uint32_t fmt, uint32_t from, uint32_t n)
{
	return n % KV_UNIT == 0 && n % 32 == 0 && from % 32 == 0 && fmt != NIB_FMT_MXFP8X2;
}

/* Rows of a slice that suits. */
static void kv_decode(const struct kv_table *t, uint32_t fmt, const uint8_t *const *rows,
		      uint32_t count, uint32_t width, uint32_t from, uint32_t n, float *dst,
		      uint32_t pitch)
{
	KV_BY_FORMAT(fmt, kv_rows, t, rows, count, width, from, n, dst, pitch);
}

#endif
