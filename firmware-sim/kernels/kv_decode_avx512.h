/* SPDX-License-Identifier: MIT */
/* Keys and values of one head to FP32 with AVX-512, 64 elements at a time; see kv_decode.h. */
#ifndef NIB_KERNELS_KV_DECODE_AVX512_H
#define NIB_KERNELS_KV_DECODE_AVX512_H

#include "scales_avx512.h"

#define KV_UNIT	64u

/* Kinds of FP8 differ by the table alone. */
NIB_INLINE uint32_t kv_alike(uint32_t fmt)
{
	return fmt == NIB_FMT_E5M2 ? NIB_FMT_E4M3 :
	       fmt == NIB_FMT_MXFP8_E5M2 ? NIB_FMT_MXFP8 : fmt;
}

/*
 * BF16 of all FP8 magnitudes, or of all E2M1 codes, split in bytes: what a lookup of bytes takes.
 * @order: elements in the order in which pairs of bytes unpack to FP32 vectors in natural order.
 */
struct kv_table {
	uint8_t low[128] __attribute__((aligned(64)));
	uint8_t high[128] __attribute__((aligned(64)));
	uint8_t order[64] __attribute__((aligned(64)));
};

static void kv_prepare(struct kv_table *table, uint32_t fmt)
{
	uint32_t i, bits;

	if (fmt == NIB_FMT_F32 || fmt == NIB_FMT_BF16)
		return;
	for (i = 0; i < 128; i++) {
		switch (fmt) {
		case NIB_FMT_E4M3:
		case NIB_FMT_MXFP8:
			bits = nib_bits(nib_e4m3_decode(i));
			break;
		case NIB_FMT_E5M2:
		case NIB_FMT_MXFP8_E5M2:
			bits = nib_bits(nib_e5m2_decode(i));
			break;
		default:
			bits = nib_bits(nib_e2m1_decode(i));
			break;
		}
		table->low[i] = bits >> 16;
		table->high[i] = bits >> 24;
	}
	for (i = 0; i < 64; i++)
		table->order[i] = i % 2 * 16 + i / 8 % 2 * 32 + i / 16 * 4 + i / 2 % 4;
}

/* 64 elements on their way: BF16 pairs of vectors 0 and 1, and of 2 and 3. */
struct kv_raw {
	__m512i pair[2];
};

/* From the bytes of 64 BF16 numbers in kv_table.order. */
NIB_INLINE struct kv_raw kv_unpack(__m512i low, __m512i high)
{
	return (struct kv_raw){
		{ _mm512_unpacklo_epi8(low, high), _mm512_unpackhi_epi8(low, high) }
	};
}

NIB_INLINE struct kv_raw kv_fp8(const struct kv_table *t, const uint8_t *data)
{
	__m512i codes = _mm512_permutexvar_epi8(_mm512_load_si512(t->order),
						_mm512_loadu_si512(data));
	__m512i low = _mm512_permutex2var_epi8(_mm512_load_si512(t->low), codes,
					       _mm512_load_si512(t->low + 64));
	__m512i high = _mm512_permutex2var_epi8(_mm512_load_si512(t->high), codes,
						_mm512_load_si512(t->high + 64));

	/* 0xf8: a | (b & c) */
	high = _mm512_ternarylogic_epi32(high, codes, _mm512_set1_epi8((char)0x80), 0xf8);
	return kv_unpack(low, high);
}

NIB_INLINE struct kv_raw kv_fp4(const struct kv_table *t, const uint8_t *data)
{
	__m512i codes = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)data));

	/* Lookups use six bits, and the table of 16 codes repeats. */
	codes = _mm512_or_si512(codes, _mm512_slli_epi16(codes, 4));
	codes = _mm512_permutexvar_epi8(_mm512_load_si512(t->order), codes);
	return kv_unpack(_mm512_permutexvar_epi8(codes, _mm512_load_si512(t->low)),
			 _mm512_permutexvar_epi8(codes, _mm512_load_si512(t->high)));
}

/* Formats that kv_raw_get() has something to do for. */
NIB_INLINE int kv_is_raw(const uint32_t fmt)
{
	return fmt != NIB_FMT_F32 && fmt != NIB_FMT_BF16;
}

/* 64 elements from element @i of the slice on; @fmt is constant. */
NIB_INLINE struct kv_raw kv_raw_get(const uint32_t fmt, const struct kv_table *t,
				    const struct kv_slice *s, uint32_t i)
{
	const uint8_t *data = s->data + i * nib_format_bits(fmt) / 8;

	return nib_format_bits(fmt) == 4 ? kv_fp4(t, data) : kv_fp8(t, data);
}

/* Vector @v of them, with scales. */
NIB_INLINE __m512 kv_vector(const uint32_t fmt, const struct kv_raw *raw, const struct kv_slice *s,
			    uint32_t i, const uint32_t v)
{
	const uint32_t block = nib_format_block(fmt);
	__m512i x;

	if (fmt == NIB_FMT_F32)
		return _mm512_loadu_ps(s->data + (i + v * 16) * 4);
	if (fmt == NIB_FMT_BF16)
		x = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(
				(const __m256i *)(s->data + (i + v * 16) * 2))), 16);
	else if (v % 2)
		x = _mm512_and_si512(raw->pair[v / 2], _mm512_set1_epi32((int)0xffff0000u));
	else
		x = _mm512_slli_epi32(raw->pair[v / 2], 16);
	if (!block)
		return _mm512_castsi512_ps(x);
	x = _mm512_castps_si512(_mm512_mul_ps(_mm512_castsi512_ps(x),
					      _mm512_set1_ps(s->scale[(i + v * 16) / block])));
	if (fmt == NIB_FMT_NVFP4)
		return _mm512_mul_ps(_mm512_castsi512_ps(x), _mm512_set1_ps(s->row_scale));
	return _mm512_castsi512_ps(x);
}

/* No row is easier than others here. */
NIB_INLINE int kv_plain(const uint32_t fmt, const uint8_t *row, uint32_t width, uint32_t from,
			uint32_t count)
{
	(void)fmt;
	(void)row;
	(void)width;
	(void)from;
	(void)count;
	return 0;
}

NIB_INLINE void kv_get(const uint32_t fmt, const int plain, const struct kv_table *t,
		       const struct kv_slice *s, uint32_t i, v16 *x)
{
	struct kv_raw raw;
	uint32_t v;

	(void)plain;
	if (kv_is_raw(fmt))
		raw = kv_raw_get(fmt, t, s, i);
	_Pragma("GCC unroll 4")
	for (v = 0; v < 4; v++)
		x[v] = kv_vector(fmt, &raw, s, i, v);
}

/*
 * Scales of elements @from .. @from + @count of a row of @width; @scale has room for whole vectors.
 * @fmt is constant.
 */
NIB_INLINE void kv_scales(const uint32_t fmt, const int plain, const struct kv_table *t,
			  const uint8_t *row, uint32_t width, uint32_t from, uint32_t count,
			  float *scale)
{
	const uint32_t block = nib_format_block(fmt);
	const uint8_t *code = row + nib_row_data_bytes(fmt, width);
	uint32_t i, n;

	(void)plain;
	(void)t;
	if (!block)
		return;
	code += from / block;
	n = count / block;
	for (i = 0; i < n; i += 16) {
		__mmask16 some = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xffff;
		__m128i x = _mm_maskz_loadu_epi8(some, code + i);

		_mm512_store_ps(scale + i, fmt == NIB_FMT_NVFP4 ? ue4m3_decode16(x) :
								  e8m0_decode16(x));
	}
}

#endif
