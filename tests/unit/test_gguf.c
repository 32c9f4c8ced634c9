// SPDX-License-Identifier: MIT
/*
 * The GGUF reader: real files, every truncation of a small one, and one hostile file for each way
 * in which parsers of this format have been broken.
 */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gguf.h"
#include "gguf_make.h"
#include "shared_data.h"

static struct ac_ctx ctx;
static struct ac_gguf gguf;
static struct gguf_make make;

static void setup(void)
{
	memset(&ctx, 0, sizeof(ctx));
	memset(&gguf, 0, sizeof(gguf));
	memset(&make, 0, sizeof(make));
}

static void teardown(void)
{
	ac_gguf_close(&gguf);
	ac_free_all(&ctx);
	gguf_free(&make);
}

/* Parse what was made, from memory of exactly that size, so that sanitizers see every overrun. */
static int parse_bytes(const void *data, size_t bytes)
{
	void *copy = malloc(bytes ? bytes : 1);
	int err;

	memcpy(copy, data, bytes);
	ctx.error[0] = 0;
	err = ac_gguf_parse(&ctx, "test.gguf", copy, bytes, &gguf);
	if (err) {
		ck_assert_msg(strstr(ctx.error, "test.gguf: ") == ctx.error, "%s", ctx.error);
		ac_free_all(&ctx);
	}
	free(copy);
	return err;
}

/* The made file must be refused, with a message that holds @words. */
static void refused(int err, const char *words)
{
	int got = parse_bytes(make.data, make.bytes);

	ck_assert_int_eq(got, -err);
	ck_assert_msg(strstr(ctx.error, words) != NULL, "\"%s\" is not in \"%s\"", words,
		      ctx.error);
}

/* One file of many: the others are tested all the same. */
#define need(name)									\
	do {										\
		if (!shared_have(name)) {						\
			printf("%s is not in ../shared/data: skipped\n", name);		\
			return;								\
		}									\
	} while (0)

START_TEST(test_iree_fixtures)
{
	static const struct {
		const char *name;
		uint32_t version;
		uint64_t tensors;
	} files[] = {
		{ "conformance/gguf/empty.gguf", 3, 0 },
		{ "conformance/gguf/single.gguf", 3, 1 },
		{ "conformance/gguf/single_v2.gguf", 2, 1 },
		{ "conformance/gguf/multiple.gguf", 3, 3 },
	};
	const struct ac_gguf_tensor *t;
	const struct ac_gguf_kv *kv;
	struct ac_str s;
	uint32_t v = 0;
	uint64_t at = 0;
	float x[4];

	need(files[_i].name);
	ck_assert_msg(!ac_gguf_open(&ctx, shared_path(files[_i].name), &gguf), "%s", ctx.error);
	ck_assert_uint_eq(gguf.version, files[_i].version);
	ck_assert_uint_eq(gguf.n_tensors, files[_i].tensors);
	ck_assert_uint_eq(gguf.alignment, 64);
	ck_assert_int_eq(ac_gguf_u32(&gguf, "metadata_uint32", &v), 1);
	ck_assert_uint_eq(v, 42);
	ck_assert_int_eq(ac_gguf_array(&gguf, "metadata_strs", AC_GGUF_STRING, &kv), 1);
	ck_assert_uint_eq(kv->count, 3);
	ac_gguf_next_string(kv, &at);
	s = ac_gguf_next_string(kv, &at);
	ck_assert(s.bytes == 1 && s.data[0] == 'b');
	if (!files[_i].tensors)
		return;
	t = ac_gguf_tensor(&gguf, "tensor0");
	ck_assert_ptr_nonnull(t);
	ck_assert_uint_eq(t->ne[0], 2);
	ck_assert_uint_eq(t->rows, 2);
	ac_ggml_decode_row(t, 0, x);
	ac_ggml_decode_row(t, 1, x + 2);
	ck_assert(x[0] == 1 && x[1] == 1 && x[2] == 1 && x[3] == 1);
}
END_TEST

START_TEST(test_version_1_is_refused_by_name)
{
	const char *name = "llm/gguf/tinyllamas-stories-260k-f32.gguf";

	need(name);
	ck_assert_int_eq(ac_gguf_open(&ctx, shared_path(name), &gguf), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(ctx.error, "GGUF version 1"));
	ck_assert_ptr_nonnull(strstr(ctx.error, name));
}
END_TEST

START_TEST(test_vocabularies)
{
	static const struct {
		const char *name;
		uint64_t tokens;
	} files[] = {
		{ "conformance/ggml-vocab/ggml-vocab-llama-spm.gguf", 32000 },
		{ "conformance/ggml-vocab/ggml-vocab-gpt-2.gguf", 50257 },
		{ "conformance/ggml-vocab/ggml-vocab-phi-3.gguf", 32064 },
		{ "conformance/ggml-vocab/ggml-vocab-bert-bge.gguf", 30522 },
	};
	const struct ac_gguf_kv *kv;

	need(files[_i].name);
	ck_assert_msg(!ac_gguf_open(&ctx, shared_path(files[_i].name), &gguf), "%s", ctx.error);
	ck_assert_int_eq(ac_gguf_array(&gguf, "tokenizer.ggml.tokens", AC_GGUF_STRING, &kv), 1);
	ck_assert_uint_eq(kv->count, files[_i].tokens);
}
END_TEST

/* Weights of the trained model, as the file that it was converted from has them. */
START_TEST(test_tensors_of_a_trained_model)
{
	const char *from = "llm/llama2c/stories260K.bin",
		   *name = "llm/gguf/stories260K-v3-f32.gguf";
	const struct ac_gguf_tensor *t;
	float row[64], want[64];
	FILE *f;

	need(from);
	need(name);
	ck_assert_int_eq(ac_gguf_open(&ctx, shared_path(name), &gguf), 0);
	t = ac_gguf_tensor(&gguf, "token_embd.weight");
	ck_assert_uint_eq(t->rows, 512);
	f = fopen(shared_path(from), "rb");
	/* 7 words of header, then the embedding. */
	ck_assert_int_eq(fseek(f, 28 + 403 * 256, SEEK_SET), 0);
	ck_assert_uint_eq(fread(want, 4, 64, f), 64);
	fclose(f);
	ac_ggml_decode_row(t, 403, row);
	ck_assert_int_eq(memcmp(row, want, sizeof(row)), 0);
}
END_TEST

static void small_model(void)
{
	struct gguf_llama m = {
		.dim = 16, .ffn = 16, .layers = 1, .heads = 2, .kv_heads = 1, .vocab = 32,
		.type = AC_GGML_F16, .head_type = AC_GGML_F32, .tokenizer = true,
	};

	gguf_llama(&make, &m);
}

START_TEST(test_every_truncation_is_refused)
{
	size_t n;

	small_model();
	ck_assert_msg(!parse_bytes(make.data, make.bytes), "%s", ctx.error);
	ac_free_all(&ctx);
	/* The last tensor's padding may go. */
	for (n = 0; n + 32 <= make.bytes; n++)
		ck_assert_msg(parse_bytes(make.data, n) < 0, "%zu of %zu bytes were taken", n,
			      make.bytes);
}
END_TEST

/* Any byte of the head may be anything: no crash, and refusals have a text. */
START_TEST(test_every_damaged_byte_of_the_head)
{
	static const uint8_t damage[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	size_t n, i;
	uint8_t was;

	small_model();
	for (n = 0; n < 1400; n++)
		for (i = 0; i < sizeof(damage); i++) {
			was = make.data[n];
			make.data[n] = damage[i];
			if (!parse_bytes(make.data, make.bytes))
				ac_free_all(&ctx);
			make.data[n] = was;
		}
}
END_TEST

START_TEST(test_magic_and_versions)
{
	gguf_put(&make, "GGML\3\0\0\0", 8);
	gguf_u64(&make, 0);
	gguf_u64(&make, 0);
	refused(EINVAL, "not a GGUF file");
	memcpy(make.data, "GGUF", 4);
	ck_assert_int_eq(parse_bytes(make.data, make.bytes), 0);
	ac_free_all(&ctx);
	make.data[4] = 1;
	refused(ENOTSUP, "version 1");
	make.data[4] = 4;
	refused(ENOTSUP, "version 4");
	memcpy(make.data + 4, "\0\0\0\3", 4);
	refused(ENOTSUP, "big-endian");
}
END_TEST

/* ggml PR 1516: a file of 160 bytes asks for gigabytes. */
START_TEST(test_counts_beyond_the_file)
{
	gguf_head(&make, 3, 1ull << 60, 0);
	gguf_pad(&make, 160);
	refused(EINVAL, "tensors");
	gguf_free(&make);
	gguf_head(&make, 3, 0, UINT64_MAX);
	gguf_pad(&make, 160);
	refused(EINVAL, "metadata entries");
	gguf_free(&make);
	gguf_head(&make, 3, 0, 1);
	gguf_key(&make, "k", 9);
	gguf_u32(&make, 8);
	gguf_u64(&make, 1ull << 61);
	refused(EINVAL, "strings");
	gguf_free(&make);
	gguf_head(&make, 3, 0, 1);
	gguf_key(&make, "k", 9);
	gguf_u32(&make, 10);
	gguf_u64(&make, (1ull << 61) + 1);
	refused(EINVAL, "elements of u64");
}
END_TEST

START_TEST(test_strings_beyond_the_file)
{
	gguf_head(&make, 3, 0, 1);
	gguf_u64(&make, UINT64_MAX - 7);
	gguf_pad(&make, 64);
	refused(EINVAL, "metadata key");
	gguf_free(&make);
	gguf_head(&make, 3, 0, 1);
	gguf_key(&make, "k", 8);
	gguf_u64(&make, UINT64_MAX);
	refused(EINVAL, "k at offset");
	gguf_free(&make);
	gguf_head(&make, 3, 1, 0);
	gguf_u64(&make, 128);
	gguf_pad(&make, 512);
	refused(EINVAL, "limit 127");
}
END_TEST

START_TEST(test_names_are_text)
{
	gguf_head(&make, 3, 0, 1);
	gguf_u64(&make, 3);
	gguf_put(&make, "a\0b", 3);
	gguf_u32(&make, 4);
	gguf_u32(&make, 1);
	refused(EINVAL, "zero byte");
	gguf_free(&make);
	gguf_head(&make, 3, 0, 1);
	gguf_kv_u32(&make, "", 1);
	refused(EINVAL, "empty");
}
END_TEST

START_TEST(test_value_types)
{
	gguf_head(&make, 3, 0, 1);
	gguf_key(&make, "k", 13);
	gguf_u64(&make, 1);
	refused(EINVAL, "unknown value type 13");
	gguf_free(&make);
	gguf_head(&make, 3, 0, 1);
	gguf_key(&make, "k", 9);
	gguf_u32(&make, 9);
	gguf_u64(&make, 1);
	refused(ENOTSUP, "arrays of arrays");
	gguf_free(&make);
	gguf_head(&make, 3, 0, 1);
	gguf_key(&make, "k", 9);
	gguf_u32(&make, 77);
	gguf_u64(&make, 1);
	refused(EINVAL, "unknown element type 77");
	gguf_free(&make);
	gguf_head(&make, 3, 0, 1);
	gguf_key(&make, "k", 7);
	gguf_u8(&make, 2);
	refused(EINVAL, "boolean holds 2");
}
END_TEST

START_TEST(test_duplicates)
{
	uint32_t v = 0;

	gguf_head(&make, 3, 0, 2);
	gguf_kv_u32(&make, "k", 1);
	gguf_kv_u32(&make, "k", 2);
	refused(EINVAL, "key k: appears twice");
	gguf_free(&make);
	/* Some writers repeat general.architecture: the same value twice says nothing new. */
	gguf_head(&make, 3, 0, 2);
	gguf_kv_u32(&make, "k", 7);
	gguf_kv_u32(&make, "k", 7);
	ck_assert_int_eq(ac_gguf_parse(&ctx, "test.gguf", make.data, make.bytes, &gguf), 0);
	ck_assert_int_eq(ac_gguf_u32(&gguf, "k", &v), 1);
	ck_assert_uint_eq(v, 7);
	ck_assert_uint_eq(gguf.n_kv, 1);
	gguf_free(&make);
	gguf_head(&make, 3, 2, 0);
	gguf_tensor(&make, "t", 1, 0, 0, 0);
	gguf_tensor(&make, "t", 1, 0, 0, 0);
	gguf_pad(&make, 32);
	gguf_pad(&make, 256);
	refused(EINVAL, "tensor t: appears twice");
}
END_TEST

/* llama.cpp PR 26318: rounding up to an alignment nobody checked. */
START_TEST(test_alignment)
{
	static const uint32_t bad[] = { 0, 3, 48, 1u << 21, 0x80000000u, UINT32_MAX };

	gguf_head(&make, 3, 0, 1);
	gguf_kv_u32(&make, "general.alignment", bad[_i]);
	refused(EINVAL, "general.alignment");
}
END_TEST

START_TEST(test_alignment_must_be_a_number)
{
	gguf_head(&make, 3, 0, 1);
	gguf_kv_str(&make, "general.alignment", "64");
	refused(EINVAL, "is string, must be an integer");
}
END_TEST

/* llama.cpp PR 18674 and GHSA-vgg9-87g3-85w8: products of dimensions that wrap. */
START_TEST(test_dimensions_that_wrap)
{
	static const uint64_t dims[][4] = {
		{ 1ull << 42, 1ull << 42, 1, 1 }, { 1ull << 32, 1ull << 32, 1, 1 },
		{ 1ull << 62, 4, 1, 1 }, { 1ull << 63, 1, 1, 1 }, { 0, 4, 1, 1 },
		{ 4, 1ull << 21, 1ull << 21, 1ull << 21 }, { UINT64_MAX, 1, 1, 1 },
	};
	int i;

	gguf_head(&make, 3, 1, 0);
	gguf_str(&make, "t");
	gguf_u32(&make, 4);
	for (i = 0; i < 4; i++)
		gguf_u64(&make, dims[_i][i]);
	gguf_u32(&make, AC_GGML_F32);
	gguf_u64(&make, 0);
	gguf_pad(&make, 256);
	refused(EINVAL, "tensor t: ");
}
END_TEST

START_TEST(test_number_of_dimensions)
{
	static const uint32_t bad[] = { 0, 5, 255, UINT32_MAX };

	gguf_head(&make, 3, 1, 0);
	gguf_str(&make, "t");
	gguf_u32(&make, bad[_i]);
	gguf_pad(&make, 256);
	refused(EINVAL, "dimensions, limit 4");
}
END_TEST

START_TEST(test_offsets)
{
	static const struct {
		uint64_t offset;
		const char *words;
	} bad[] = {
		{ 4, "not a multiple of 32" }, { 4096, "the file has" },
		{ UINT64_MAX - 31, "the file has" }, { 1ull << 63, "the file has" },
	};

	gguf_head(&make, 3, 1, 0);
	gguf_tensor(&make, "t", 8, 0, AC_GGML_F32, bad[_i].offset);
	gguf_pad(&make, 32);
	gguf_pad(&make, 256);
	refused(EINVAL, bad[_i].words);
}
END_TEST

START_TEST(test_tensor_types)
{
	static const uint32_t bad[] = { 4, 5, 31, 36, 43, 1000, UINT32_MAX };

	gguf_head(&make, 3, 1, 0);
	gguf_tensor(&make, "t", 256, 0, bad[_i], 0);
	gguf_pad(&make, 2048);
	refused(EINVAL, "unknown or removed type");
}
END_TEST

START_TEST(test_rows_are_whole_blocks)
{
	gguf_head(&make, 3, 1, 0);
	gguf_tensor(&make, "t", 31, 2, AC_GGML_Q8_0, 0);
	gguf_pad(&make, 256);
	refused(EINVAL, "no whole blocks of 32");
}
END_TEST

/* llama.cpp PR 26690: a value taken for another type. */
START_TEST(test_typed_access)
{
	const struct ac_gguf_kv *kv;
	struct ac_str s;
	uint32_t u = 5;
	float f = 5;
	bool b;

	gguf_head(&make, 3, 0, 5);
	gguf_kv_str(&make, "text", "abc");
	gguf_key(&make, "negative", 5);
	gguf_u32(&make, UINT32_MAX);
	gguf_key(&make, "wide", 10);
	gguf_u64(&make, 1ull << 32);
	gguf_key(&make, "array", 9);
	gguf_u32(&make, 6);
	gguf_u64(&make, 1);
	gguf_f32(&make, 1);
	gguf_key(&make, "nan", 6);
	gguf_u32(&make, 0x7fc00000);
	ck_assert_int_eq(ac_gguf_parse(&ctx, "test.gguf", make.data, make.bytes, &gguf), 0);
	ck_assert_int_eq(ac_gguf_u32(&gguf, "absent", &u), 0);
	ck_assert_uint_eq(u, 5);
	ck_assert_int_eq(ac_gguf_u32(&gguf, "text", &u), -EINVAL);
	ck_assert_int_eq(ac_gguf_u32(&gguf, "negative", &u), -EINVAL);
	ck_assert_int_eq(ac_gguf_u32(&gguf, "wide", &u), -EINVAL);
	ck_assert_int_eq(ac_gguf_u32(&gguf, "array", &u), -EINVAL);
	ck_assert_int_eq(ac_gguf_f32(&gguf, "wide", &f), -EINVAL);
	ck_assert_int_eq(ac_gguf_f32(&gguf, "nan", &f), -EINVAL);
	ck_assert_int_eq(ac_gguf_bool(&gguf, "wide", &b), -EINVAL);
	ck_assert_int_eq(ac_gguf_string(&gguf, "array", &s), -EINVAL);
	ck_assert_int_eq(ac_gguf_array(&gguf, "text", AC_GGUF_STRING, &kv), -EINVAL);
	ck_assert_int_eq(ac_gguf_array(&gguf, "array", AC_GGUF_STRING, &kv), -EINVAL);
	ck_assert_int_eq(ac_gguf_array(&gguf, "array", AC_GGUF_F32, &kv), 1);
}
END_TEST

/* --- Rows, against the formats' own definitions --- */

static struct ac_gguf_tensor tensor_of(uint32_t type, const void *data, uint64_t k)
{
	struct ac_gguf_tensor t = { .type = type, .ne = { k, 1, 1, 1 }, .rows = 1, .data = data };
	uint32_t block, bytes;

	ck_assert(ac_ggml_block(type, &block, &bytes));
	t.row_bytes = k / block * bytes;
	return t;
}

/* All 65536 halves. */
START_TEST(test_decode_f16)
{
	uint16_t *h = calloc(65536, 2);
	float *x = malloc(65536 * 4);
	struct ac_gguf_tensor t = tensor_of(AC_GGML_F16, h, 65536);
	uint32_t i;

	for (i = 0; i < 65536; i++)
		h[i] = (uint16_t)i;
	ac_ggml_decode_row(&t, 0, x);
	for (i = 0; i < 65536; i++) {
		int exp = i >> 10 & 31, man = i & 1023;
		double want = exp == 31 ? (man ? NAN : INFINITY) :
			      exp ? ldexp(1024 + man, exp - 25) : ldexp(man, -24);

		if (isnan(want))
			ck_assert(isnan(x[i]));
		else
			ck_assert_msg((double)x[i] == (i >> 15 ? -want : want) &&
				      !!signbit(x[i]) == (i >> 15), "%04x: %g", i, (double)x[i]);
	}
	free(h);
	free(x);
}
END_TEST

START_TEST(test_decode_q8_0_and_q4_0)
{
	uint8_t q8[34] = { 0x00, 0x38 }, q4[18] = { 0x00, 0xb4 };	/* 0.5, -0.25 */
	struct ac_gguf_tensor a = tensor_of(AC_GGML_Q8_0, q8, 32),
			      b = tensor_of(AC_GGML_Q4_0, q4, 32);
	float x[32];
	int i;

	for (i = 0; i < 32; i++)
		q8[2 + i] = (uint8_t)(i * 8 - 128);
	for (i = 0; i < 16; i++)
		q4[2 + i] = (uint8_t)(i | (15 - i) << 4);
	ac_ggml_decode_row(&a, 0, x);
	for (i = 0; i < 32; i++)
		ck_assert(x[i] == (float)(i * 8 - 128) * 0.5f);
	ac_ggml_decode_row(&b, 0, x);
	for (i = 0; i < 16; i++)
		ck_assert(x[i] == (float)(i - 8) * -0.25f && x[16 + i] == (float)(7 - i) * -0.25f);
}
END_TEST

static const double e2m1[16] = { 0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6 };

/* Every scale; element j in the low nibble of byte j, element j + 16 in the high one. */
START_TEST(test_decode_mxfp4)
{
	uint8_t q[17] = { 0 };
	struct ac_gguf_tensor t = tensor_of(AC_GGML_MXFP4, q, 32);
	float x[32];
	int e, i;

	for (i = 0; i < 16; i++)
		q[1 + i] = (uint8_t)(i | ((i * 7 + 3) & 15) << 4);
	for (e = 0; e < 255; e++) {
		q[0] = (uint8_t)e;
		ac_ggml_decode_row(&t, 0, x);
		for (i = 0; i < 16; i++) {
			ck_assert((double)x[i] == ldexp(e2m1[i], e - 127) ||
				  fabs(ldexp(e2m1[i], e - 127)) > (double)FLT_MAX);
			ck_assert((double)x[i + 16] == ldexp(e2m1[(i * 7 + 3) & 15], e - 127) ||
				  fabs(ldexp(e2m1[(i * 7 + 3) & 15], e - 127)) > (double)FLT_MAX);
		}
	}
}
END_TEST

/* Every scale; 0x7f counts as 0, as in ggml. */
START_TEST(test_decode_nvfp4)
{
	uint8_t q[36] = { 0 };
	struct ac_gguf_tensor t = tensor_of(AC_GGML_NVFP4, q, 64);
	float x[64];
	int e, i, s;

	for (i = 0; i < 32; i++)
		q[4 + i] = (uint8_t)(i * 37);
	for (e = 0; e < 128; e++) {
		int exp = e >> 3, man = e & 7;
		double scale = e == 127 ? 0 : exp ? ldexp(8 + man, exp - 10) : ldexp(man, -9);

		memset(q, e, 4);
		ac_ggml_decode_row(&t, 0, x);
		for (s = 0; s < 4; s++)
			for (i = 0; i < 8; i++) {
				uint8_t byte = q[4 + s * 8 + i];

				ck_assert((double)x[s * 16 + i] == e2m1[byte & 15] * scale);
				ck_assert((double)x[s * 16 + i + 8] == e2m1[byte >> 4] * scale);
			}
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("gguf");
	TCase *tc = tcase_create("reader");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_iree_fixtures, 0, 4);
	tcase_add_test(tc, test_version_1_is_refused_by_name);
	tcase_add_loop_test(tc, test_vocabularies, 0, 4);
	tcase_add_test(tc, test_tensors_of_a_trained_model);
	tcase_add_test(tc, test_every_truncation_is_refused);
	tcase_add_test(tc, test_every_damaged_byte_of_the_head);
	tcase_add_test(tc, test_magic_and_versions);
	tcase_add_test(tc, test_counts_beyond_the_file);
	tcase_add_test(tc, test_strings_beyond_the_file);
	tcase_add_test(tc, test_names_are_text);
	tcase_add_test(tc, test_value_types);
	tcase_add_test(tc, test_duplicates);
	tcase_add_loop_test(tc, test_alignment, 0, 6);
	tcase_add_test(tc, test_alignment_must_be_a_number);
	tcase_add_loop_test(tc, test_dimensions_that_wrap, 0, 7);
	tcase_add_loop_test(tc, test_number_of_dimensions, 0, 4);
	tcase_add_loop_test(tc, test_offsets, 0, 4);
	tcase_add_loop_test(tc, test_tensor_types, 0, 7);
	tcase_add_test(tc, test_rows_are_whole_blocks);
	tcase_add_test(tc, test_typed_access);
	tcase_add_test(tc, test_decode_f16);
	tcase_add_test(tc, test_decode_q8_0_and_q4_0);
	tcase_add_test(tc, test_decode_mxfp4);
	tcase_add_test(tc, test_decode_nvfp4);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
