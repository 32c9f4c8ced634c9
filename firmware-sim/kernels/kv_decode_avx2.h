/* SPDX-License-Identifier: MIT */
/*
 * Keys and values of one head to FP32 with AVX2, 32 elements at a time; see kv_decode.h. Signs of
 * zeros may get lost: sums start from +0, and nobody sees them.
 */
#ifndef NIB_KERNELS_KV_DECODE_AVX2_H
#define NIB_KERNELS_KV_DECODE_AVX2_H

#include <immintrin.h>
#include "isa.h"
#include "element.h"
#include "decode_avx2.h"

/* Values of all codes of block scales; of half of them for FP4, whose elements are doubled. */
struct kv_table {
	float scale[256];
};

static void kv_prepare(struct kv_table *table, uint32_t fmt)
{
	uint32_t i;

	if (fmt == NIB_FMT_NVFP4)
		for (i = 0; i < 256; i++)
			table->scale[i] = nib_ue4m3_decode(i) * 0.5f;
	else if (fmt == NIB_FMT_MXFP4)
		for (i = 0; i < 256; i++)
			table->scale[i] = nib_e8m0_decode(i) * 0.5f;
	else if (nib_format_block(fmt))
		for (i = 0; i < 256; i++)
			table->scale[i] = nib_e8m0_decode(i);
}

/* Kinds of FP8 are decoded by shifts, which differ. */
NIB_INLINE uint32_t kv_alike(uint32_t fmt)
{
	return fmt;
}

/* Whether a slice suits. */
static int kv_suits(uint32_t fmt, uint32_t from, uint32_t n)
{
	return n % 32 == 0 && from % 32 == 0 && fmt != NIB_FMT_MXFP8X2;
}

/* Eight FP8 codes at @data, none of them special. */
NIB_INLINE __m256 kv_fp8(const uint32_t mbits, const uint8_t *data)
{
	__m256i x = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)data));

	x = _mm256_and_si256(_mm256_slli_epi32(x, (int)(23 - mbits)), fp8_mask(mbits));
	return _mm256_mul_ps(_mm256_castsi256_ps(x), _mm256_set1_ps(fp8_factor(mbits)));
}

/* Twice the values of 32 E2M1 codes. */
NIB_INLINE __m256i kv_fp4(const uint8_t *data)
{
	const __m256i table = _mm256_broadcastsi128_si256(e2m1_twice());
	const __m128i nibble = _mm_set1_epi8(15);
	__m128i x = _mm_loadu_si128((const __m128i *)data);
	__m128i even = _mm_and_si128(x, nibble), odd = _mm_and_si128(_mm_srli_epi16(x, 4), nibble);

	return _mm256_shuffle_epi8(table, _mm256_set_m128i(_mm_unpackhi_epi8(even, odd),
							   _mm_unpacklo_epi8(even, odd)));
}

/* Signed bytes @v * 8 .. @v * 8 + 8 of a vector. */
NIB_INLINE __m256 kv_signed_bytes(__m256i bytes, const uint32_t v)
{
	__m128i x = v < 2 ? _mm256_castsi256_si128(bytes) : _mm256_extracti128_si256(bytes, 1);

	x = v % 2 ? _mm_unpackhi_epi64(x, x) : x;
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x));
}

/*
 * One row: @n elements at @data to @dst. @code: of its scales, from the first on; @row_scale: of
 * NVFP4. Returns false where a code is special: then the row is not decoded.
 */
NIB_INLINE int kv_row(const uint32_t fmt, const struct kv_table *t, const uint8_t *data,
		      const uint8_t *code, float row_scale, uint32_t n, float *dst)
{
	const uint32_t bits = nib_format_bits(fmt), block = nib_format_block(fmt);
	const uint32_t mbits = fmt == NIB_FMT_E5M2 || fmt == NIB_FMT_MXFP8_E5M2 ? 2 : 3;
	uint32_t i, v;

	for (i = 0; i < n; i += 32, dst += 32, data += 4 * bits) {
		__m256i four;

		if (bits == 8 && _mm256_movemask_epi8(fp8_specials(mbits, data)))
			return 0;
		if (bits == 4)
			four = kv_fp4(data);
		_Pragma("GCC unroll 4")
		for (v = 0; v < 4; v++) {
			__m256 x;

			if (fmt == NIB_FMT_F32)
				x = _mm256_loadu_ps((const float *)(const void *)data + v * 8);
			else if (bits == 16)
				x = _mm256_castsi256_ps(_mm256_slli_epi32(
					_mm256_cvtepu16_epi32(_mm_loadu_si128(
						(const __m128i *)(data + v * 16))), 16));
			else if (bits == 8)
				x = kv_fp8(mbits, data + v * 8);
			else
				x = kv_signed_bytes(four, v);
			if (block)
				x = _mm256_mul_ps(x, _mm256_broadcast_ss(
						&t->scale[code[(i + v * 8) / block]]));
			if (fmt == NIB_FMT_NVFP4)
				x = _mm256_mul_ps(x, _mm256_set1_ps(row_scale));
			_mm256_storeu_ps(dst + v * 8, x);
		}
	}
	return 1;
}

/* @count rows, @pitch floats apart at @dst; @fmt is constant. */
NIB_INLINE void kv_rows(const uint32_t fmt, const struct kv_table *t, const uint8_t *const *rows,
			uint32_t count, uint32_t width, uint32_t from, uint32_t n, float *dst,
			uint32_t pitch)
{
	const uint32_t block = nib_format_block(fmt);
	size_t scales = nib_row_data_bytes(fmt, width);
	float row_scale = 0.0f;
	uint32_t r;

	for (r = 0; r < count; r++, dst += pitch) {
		if (fmt == NIB_FMT_NVFP4)
			memcpy(&row_scale, rows[r] + scales + nib_row_scale_bytes(fmt, width), 4);
		if (!kv_row(fmt, t, rows[r] + from * nib_format_bits(fmt) / 8,
			    rows[r] + scales + (block ? from / block : 0), row_scale, n, dst))
			NIB_KERNEL(nib_row_decode)(fmt, rows[r], width, from, n, dst);
	}
}

/* Rows of a slice that suits. */
static void kv_decode(const struct kv_table *t, uint32_t fmt, const uint8_t *const *rows,
		      uint32_t count, uint32_t width, uint32_t from, uint32_t n, float *dst,
		      uint32_t pitch)
{
	KV_BY_FORMAT(fmt, kv_rows, t, rows, count, width, from, n, dst, pitch);
}

#endif
