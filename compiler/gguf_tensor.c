// SPDX-License-Identifier: MIT
/*
 * Tensor types of GGUF: sizes of all of them, and rows of those that the compiler takes as FP32,
 * by the same operations as ggml, so that the values are its values. No container parsing here.
 */
#include "gguf.h"
#include "quant.h"

static const struct {
	const char *name;	/* NULL: never existed, or removed */
	uint16_t block;
	uint16_t bytes;
} types[] = {
	[0] = { "F32", 1, 4 },		[1] = { "F16", 1, 2 },
	[2] = { "Q4_0", 32, 18 },	[3] = { "Q4_1", 32, 20 },
	[6] = { "Q5_0", 32, 22 },	[7] = { "Q5_1", 32, 24 },
	[8] = { "Q8_0", 32, 34 },	[9] = { "Q8_1", 32, 36 },
	[10] = { "Q2_K", 256, 84 },	[11] = { "Q3_K", 256, 110 },
	[12] = { "Q4_K", 256, 144 },	[13] = { "Q5_K", 256, 176 },
	[14] = { "Q6_K", 256, 210 },	[15] = { "Q8_K", 256, 292 },
	[16] = { "IQ2_XXS", 256, 66 },	[17] = { "IQ2_XS", 256, 74 },
	[18] = { "IQ3_XXS", 256, 98 },	[19] = { "IQ1_S", 256, 50 },
	[20] = { "IQ4_NL", 32, 18 },	[21] = { "IQ3_S", 256, 110 },
	[22] = { "IQ2_S", 256, 82 },	[23] = { "IQ4_XS", 256, 136 },
	[24] = { "I8", 1, 1 },		[25] = { "I16", 1, 2 },
	[26] = { "I32", 1, 4 },		[27] = { "I64", 1, 8 },
	[28] = { "F64", 1, 8 },		[29] = { "IQ1_M", 256, 56 },
	[30] = { "BF16", 1, 2 },	[34] = { "TQ1_0", 256, 54 },
	[35] = { "TQ2_0", 256, 66 },	[39] = { "MXFP4", 32, 17 },
	[40] = { "NVFP4", 64, 36 },	[41] = { "Q1_0", 128, 18 },
	[42] = { "Q2_0", 64, 18 },
};

bool ac_ggml_block(uint32_t type, uint32_t *block, uint32_t *bytes)
{
	if (type >= sizeof(types) / sizeof(types[0]) || !types[type].name)
		return false;
	*block = types[type].block;
	*bytes = types[type].bytes;
	return true;
}

const char *ac_ggml_name(uint32_t type)
{
	if (type >= sizeof(types) / sizeof(types[0]) || !types[type].name)
		return "?";
	return types[type].name;
}

bool ac_ggml_decodes(uint32_t type)
{
	switch (type) {
	case AC_GGML_F32: case AC_GGML_F16: case AC_GGML_BF16: case AC_GGML_Q8_0:
	case AC_GGML_Q4_0: case AC_GGML_MXFP4: case AC_GGML_NVFP4:
		return true;
	default:
		return false;
	}
}

/* Scaling by 2^112 moves the exponent and normalizes subnormals in one exact step. */
static inline float half_to_float(uint16_t h)
{
	float f = ac_float((uint32_t)(h & 0x7fff) << 13) * 0x1p112f;
	uint32_t u = ac_bits(f);

	u |= (h & 0x7c00) == 0x7c00 ? 0x7f800000 : 0;
	return ac_float(u | (uint32_t)(h & 0x8000) << 16);
}

static inline float load_half(const uint8_t *p)
{
	uint16_t h;

	memcpy(&h, p, 2);
	return half_to_float(h);
}

AC_CLONES
static void decode_f16(const uint8_t *src, uint64_t n, float *dst)
{
	uint64_t i;
	uint16_t h;

	for (i = 0; i < n; i++) {
		memcpy(&h, src + i * 2, 2);
		dst[i] = half_to_float(h);
	}
}

AC_CLONES
static void decode_bf16(const uint8_t *src, uint64_t n, float *dst)
{
	uint64_t i;
	uint16_t h;

	for (i = 0; i < n; i++) {
		memcpy(&h, src + i * 2, 2);
		dst[i] = ac_float((uint32_t)h << 16);
	}
}

AC_CLONES
static void decode_q8_0(const uint8_t *src, uint64_t blocks, float *dst)
{
	uint64_t b;
	int i;

	for (b = 0; b < blocks; b++, src += 34, dst += 32) {
		float d = load_half(src);

		for (i = 0; i < 32; i++)
			dst[i] = (float)(int8_t)src[2 + i] * d;
	}
}

AC_CLONES
static void decode_q4_0(const uint8_t *src, uint64_t blocks, float *dst)
{
	uint64_t b;
	int i;

	for (b = 0; b < blocks; b++, src += 18, dst += 32) {
		float d = load_half(src);

		for (i = 0; i < 16; i++) {
			dst[i] = (float)((src[2 + i] & 15) - 8) * d;
			dst[i + 16] = (float)((src[2 + i] >> 4) - 8) * d;
		}
	}
}

/* ggml keeps E2M1 doubled and halves its scales; the products are the same. */
static const float e2m1_doubled[16] = {
	0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12,
};

static void decode_mxfp4(const uint8_t *src, uint64_t blocks, float *dst)
{
	uint64_t b;
	int i;

	for (b = 0; b < blocks; b++, src += 17, dst += 32) {
		float d =
			ac_float(src[0] < 2 ? 0x00200000u << src[0] : (uint32_t)(src[0] - 1) << 23);

		for (i = 0; i < 16; i++) {
			dst[i] = e2m1_doubled[src[1 + i] & 15] * d;
			dst[i + 16] = e2m1_doubled[src[1 + i] >> 4] * d;
		}
	}
}

/* Half of a UE4M3 scale; ggml counts 0x7f as 0 and does not look at bit 7. */
static float half_ue4m3(uint8_t code)
{
	uint32_t exp = code >> 3 & 15, man = code & 7;

	if (code == 0 || code == 0x7f)
		return 0;
	if (!exp)
		return (float)man * 0x1p-10f;
	return ac_float((exp - 8 + 127) << 23 | man << 20);
}

static void decode_nvfp4(const uint8_t *src, uint64_t blocks, float *dst)
{
	uint64_t b;
	int i, s;

	for (b = 0; b < blocks; b++, src += 36, dst += 64)
		for (s = 0; s < 4; s++) {
			const uint8_t *q = src + 4 + s * 8;
			float d = half_ue4m3(src[s]);

			for (i = 0; i < 8; i++) {
				dst[s * 16 + i] = e2m1_doubled[q[i] & 15] * d;
				dst[s * 16 + i + 8] = e2m1_doubled[q[i] >> 4] * d;
			}
		}
}

void ac_ggml_decode_row(const struct ac_gguf_tensor *t, uint64_t row, float *dst)
{
	const uint8_t *src = t->data + row * t->row_bytes;

	switch (t->type) {
	case AC_GGML_F32:
		memcpy(dst, src, t->row_bytes);
		break;
	case AC_GGML_F16:
		decode_f16(src, t->ne[0], dst);
		break;
	case AC_GGML_BF16:
		decode_bf16(src, t->ne[0], dst);
		break;
	case AC_GGML_Q8_0:
		decode_q8_0(src, t->ne[0] / 32, dst);
		break;
	case AC_GGML_Q4_0:
		decode_q4_0(src, t->ne[0] / 32, dst);
		break;
	case AC_GGML_MXFP4:
		decode_mxfp4(src, t->ne[0] / 32, dst);
		break;
	case AC_GGML_NVFP4:
		decode_nvfp4(src, t->ne[0] / 64, dst);
		break;
	}
}
