/* SPDX-License-Identifier: MIT */
/*
 * Keys and values of one head to FP32 with AVX2, 16 elements at a time; see kv_decode.h. Signs of
 * zeros may get lost: sums start from +0, and nobody sees them.
 */
#ifndef NIB_KERNELS_KV_DECODE_AVX2_H
#define NIB_KERNELS_KV_DECODE_AVX2_H

#include "decode_avx2.h"

#define KV_UNIT	16u

/* Values of all codes of block scales; of half of them for FP4, whose elements are doubled. */
struct kv_table {
	float scale[256];
};

#define KV_PLAIN_SCALES	247u	/* from this code on, 256 times a scale is no number */

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

/* E4M3 and E5M2 are decoded in ways of their own. */
NIB_INLINE uint32_t kv_alike(uint32_t fmt)
{
	return fmt;
}

/* 16 FP16 numbers. */
NIB_INLINE v16 kv_halves(__m256i x)
{
	return (v16){ _mm256_cvtph_ps(_mm256_castsi256_si128(x)),
		      _mm256_cvtph_ps(_mm256_extracti128_si256(x, 1)) };
}

/* x * factor. */
NIB_INLINE v16 v16_scale(v16 x, float factor)
{
	const __m256 y = _mm256_set1_ps(factor);

	return (v16){ _mm256_mul_ps(x.lo, y), _mm256_mul_ps(x.hi, y) };
}

/*
 * 16 E4M3 codes, times 2^-8 if @plain, when none may be a NaN. Sign and magnitude at their places in
 * FP16 are 256 times too small, subnormals included; as FP32, subnormals would take their time.
 */
NIB_INLINE v16 kv_e4m3(const int plain, const uint8_t *data)
{
	const __m256i all = _mm256_set1_epi16(0x3f80);
	__m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)data)), nan;

	x = _mm256_slli_epi16(x, 7);
	nan = _mm256_cmpeq_epi16(_mm256_and_si256(x, all), all);
	x = _mm256_and_si256(x, _mm256_set1_epi16((short)0xbf80));
	if (plain)
		return kv_halves(x);
	return v16_scale(kv_halves(_mm256_or_si256(x, nan)), 0x1p8f);
}

/*
 * Whether elements @from .. @from + @count of a row of MXFP8 can do without care: none is a NaN, and no
 * scale so large that it could not take the 2^8 that kv_e4m3() leaves out. Then the results are the
 * same to the bit.
 */
NIB_INLINE int kv_plain(const uint32_t fmt, const uint8_t *row, uint32_t width, uint32_t from,
			uint32_t count)
{
	const __m256i all = _mm256_set1_epi8(0x7f);
	__m256i most = _mm256_setzero_si256();
	const __m128i large = _mm_set1_epi8((char)(KV_PLAIN_SCALES - 1));
	__m128i above = _mm_setzero_si128();
	uint32_t i;

	if (fmt != NIB_FMT_MXFP8)
		return 0;
	_Pragma("GCC unroll 4")
	for (i = from; i < from + count; i += 32)
		most = _mm256_max_epu8(most, _mm256_and_si256(all,
				_mm256_loadu_si256((const __m256i *)(row + i))));
	/* Those of the whole row: its end is padded to 16. */
	for (i = 0; i < width / 32; i += 16)
		above = _mm_or_si128(above, _mm_subs_epu8(
				_mm_loadu_si128((const __m128i *)(row + width + i)), large));
	most = _mm256_cmpeq_epi8(most, all);
	return _mm256_testz_si256(most, most) && _mm_testz_si128(above, above);
}

/* 16 E5M2 codes: the upper halves of FP16 numbers. */
NIB_INLINE v16 kv_e5m2(const uint8_t *data)
{
	__m256i x = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)data));

	return kv_halves(_mm256_slli_epi16(x, 8));
}

/* Twice the values of 16 E2M1 codes. */
NIB_INLINE v16 kv_fp4(const uint8_t *data)
{
	__m128i x = _mm_loadl_epi64((const __m128i *)data);

	x = _mm_and_si128(_mm_unpacklo_epi8(x, _mm_srli_epi16(x, 4)), _mm_set1_epi8(15));
	x = _mm_shuffle_epi8(e2m1_twice(), x);
	return (v16){ _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)),
		      _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(x, x))) };
}

NIB_INLINE v16 kv_bf16(const uint8_t *data)
{
	__m256i lo = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)data));
	__m256i hi = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(data + 16)));

	return (v16){ _mm256_castsi256_ps(_mm256_slli_epi32(lo, 16)),
		      _mm256_castsi256_ps(_mm256_slli_epi32(hi, 16)) };
}

/* Elements @i .. @i + KV_UNIT of the slice; @fmt and @plain are constant. */
NIB_INLINE void kv_get(const uint32_t fmt, const int plain, const struct kv_table *t,
		       const struct kv_slice *s, uint32_t i, v16 *x)
{
	const uint8_t *data = s->data + i * nib_format_bits(fmt) / 8;
	const uint32_t block = nib_format_block(fmt);

	(void)t;
	if (fmt == NIB_FMT_F32)
		*x = v16_load((const float *)(const void *)data);
	else if (fmt == NIB_FMT_BF16)
		*x = kv_bf16(data);
	else if (nib_format_bits(fmt) == 4)
		*x = kv_fp4(data);
	else if (fmt == NIB_FMT_E5M2 || fmt == NIB_FMT_MXFP8_E5M2)
		*x = kv_e5m2(data);
	else
		*x = kv_e4m3(plain, data);
	if (block)
		*x = v16_scale(*x, s->scale[i / block]);
	if (fmt == NIB_FMT_NVFP4)
		*x = v16_scale(*x, s->row_scale);
}

/*
 * Scales of elements @from .. @from + @count of a row of @width, which are whole blocks; @fmt and @plain
 * are constant. With @plain all of the row, and @scale has room for whole vectors.
 */
NIB_INLINE void kv_scales(const uint32_t fmt, const int plain, const struct kv_table *t,
			  const uint8_t *row, uint32_t width, uint32_t from, uint32_t count,
			  float *scale)
{
	const uint32_t block = nib_format_block(fmt);
	const uint8_t *code = row + nib_row_data_bytes(fmt, width);
	uint32_t i;

	if (!block)
		return;
	code += from / block;
	/* Times 256, which makes normal numbers of all of them. */
	for (i = 0; plain && i < count / block; i += 8) {
		__m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(code + i)));

		x = _mm256_slli_epi32(_mm256_add_epi32(x, _mm256_set1_epi32(8)), 23);
		_mm256_storeu_si256((__m256i *)(scale + i), x);
	}
	for (i = 0; !plain && i < count / block; i++)
		scale[i] = t->scale[code[i]];
}

#endif
