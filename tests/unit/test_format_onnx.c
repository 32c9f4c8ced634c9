// SPDX-License-Identifier: MIT
/*
 * The casts of ONNX's conformance suite between FP32, FP16 and the FP8, FP4 and E8M0 formats: what
 * others hold for right. A NaN is any NaN, everything else is equal to the bit.
 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/fnuz.h"
#include "kernels/kernels.h"
#include "shared_data.h"

enum type {
	FLOAT = 1, FLOAT16 = 10, E4M3FN = 17, E4M3FNUZ = 18, E5M2 = 19, E5M2FNUZ = 20, E2M1 = 23,
	E8M0 = 24,
};

/* What a cast needs of a TensorProto. */
struct tensor {
	uint64_t type;
	uint64_t count;
	uint8_t *raw;
	uint64_t bytes;
	uint8_t file[65536];
};

static uint64_t varint(const uint8_t **at, const uint8_t *end)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; *at < end && shift < 64; shift += 7) {
		uint8_t byte = *(*at)++;

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	ck_abort_msg("varint");
}

/* Fields: 1 dimensions, 2 type, 9 raw data. */
static void tensor_read(struct tensor *t, const char *path)
{
	FILE *f = fopen(path, "rb");
	const uint8_t *at = t->file, *end;

	ck_assert_msg(f != NULL, "%s", path);
	end = t->file + fread(t->file, 1, sizeof(t->file), f);
	fclose(f);
	t->count = 1;
	t->raw = NULL;
	while (at < end) {
		uint64_t key = varint(&at, end), value = varint(&at, end);

		if (key == (1 << 3 | 0)) {
			t->count *= value;
		} else if (key == (2 << 3 | 0)) {
			t->type = value;
		} else if ((key & 7) == 2) {
			ck_assert_msg(value <= (uint64_t)(end - at), "%s: length", path);
			if (key == (9 << 3 | 2)) {
				t->raw = t->file + (at - t->file);
				t->bytes = value;
			}
			at += value;
		} else {
			ck_assert_msg((key & 7) == 0, "%s: key %llu", path,
				      (unsigned long long)key);
		}
	}
	ck_assert_msg(t->raw != NULL, "%s has no raw data", path);
}

static uint32_t bits_of(enum type type)
{
	return type == FLOAT ? 32 : type == FLOAT16 ? 16 : type == E2M1 ? 4 : 8;
}

static uint32_t code_at(const struct tensor *t, uint64_t i)
{
	uint32_t code = 0, bits = bits_of(t->type);

	if (bits == 4)
		return t->raw[i / 2] >> (i % 2 * 4) & 15;
	memcpy(&code, t->raw + i * bits / 8, bits / 8);
	return code;
}

static float decode(enum type type, uint32_t code)
{
	switch (type) {
	case FLOAT: return nib_float(code);
	case FLOAT16: return nib_f16_decode(code);
	case E4M3FN: return nib_e4m3_decode(code);
	case E4M3FNUZ: return nib_e4m3fnuz_decode(code);
	case E5M2: return nib_e5m2_decode(code);
	case E5M2FNUZ: return nib_e5m2fnuz_decode(code);
	case E2M1: return nib_e2m1_decode(code);
	case E8M0: return nib_e8m0_decode(code);
	}
	ck_abort_msg("type %d", type);
}

static uint32_t encode(enum type type, float x, int saturate)
{
	switch (type) {
	case FLOAT: return nib_bits(x);
	case FLOAT16: return nib_f16_encode(x);
	case E4M3FN: return saturate ? nib_e4m3_encode(x) : nib_e4m3_encode_unsaturated(x);
	case E4M3FNUZ: return nib_e4m3fnuz_encode(x, saturate);
	case E5M2: return saturate ? nib_e5m2_encode(x) : nib_e5m2_encode_unsaturated(x);
	case E5M2FNUZ: return nib_e5m2fnuz_encode(x, saturate);
	case E2M1: return nib_e2m1_encode_alone(x);
	case E8M0: break;
	}
	ck_abort_msg("type %d", type);
}

static bool known(uint64_t type)
{
	return type == FLOAT || type == FLOAT16 || (type >= E4M3FN && type <= E5M2FNUZ) ||
	       type == E2M1 || type == E8M0;
}

/* The format that packets convert to and from, or -1. */
static int packet_format(enum type type)
{
	return type == FLOAT ? NIB_FMT_F32 : type == FLOAT16 ? NIB_FMT_F16 :
	       type == E4M3FN ? NIB_FMT_E4M3 : type == E5M2 ? NIB_FMT_E5M2 : -1;
}

/* What COPY packets do with all of a tensor, by every table of kernels. */
static int convert(const char *name, const struct tensor *in, const struct tensor *out)
{
	static const char *const tables[] = { "scalar", "avx2", "avx512" };
	int from = packet_format(in->type), to = packet_format(out->type);
	struct tensor got = *out;
	unsigned int t;
	uint64_t i;

	if (from < 0 || to < 0)
		return 0;
	for (t = 0; t < 3; t++) {
		const struct nib_kernels *table = nib_kernels_get(tables[t]);

		if (!table)
			continue;
		got.raw = calloc(out->count, 4);
		ck_assert_ptr_nonnull(got.raw);
		table->convert((uint32_t)to, got.raw, (uint32_t)from, in->raw, in->count);
		for (i = 0; i < out->count; i++) {
			float a = decode(out->type, code_at(&got, i));
			float b = decode(out->type, code_at(out, i));

			ck_assert_msg(nib_bits(a) == nib_bits(b) || (a != a && b != b),
				      "%s: %s: element %llu becomes %g, not %g", name, tables[t],
				      (unsigned long long)i, (double)a, (double)b);
		}
		free(got.raw);
	}
	return 1;
}

static int packets;	/* casts that packets do */

/* Returns 1 for a case that is ours to pass. */
static int cast(const char *folder, const char *name)
{
	static struct tensor in, out;
	int saturate = !strstr(name, "no_saturate");
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s/test_data_set_0/input_0.pb", folder, name);
	tensor_read(&in, path);
	snprintf(path, sizeof(path), "%s/%s/test_data_set_0/output_0.pb", folder, name);
	tensor_read(&out, path);
	ck_assert_msg(known(in.type) && known(out.type), "%s: types %llu to %llu", name,
		      (unsigned long long)in.type, (unsigned long long)out.type);
	ck_assert_uint_eq(in.count, out.count);
	ck_assert_uint_ge(in.bytes * 8 + 4, in.count * bits_of(in.type));
	ck_assert_uint_ge(out.bytes * 8 + 4, out.count * bits_of(out.type));
	for (uint64_t i = 0; i < in.count; i++) {
		float x = decode(in.type, code_at(&in, i));
		uint32_t got = encode(out.type, x, saturate), want = code_at(&out, i);
		float a = decode(out.type, got), b = decode(out.type, want);

		ck_assert_msg(got == want || (a != a && b != b),
			      "%s: element %llu, %#x (%g) becomes %#x (%g), not %#x (%g)", name,
			      (unsigned long long)i, code_at(&in, i), (double)x, got, (double)a,
			      want, (double)b);
	}
	if (saturate)
		packets += convert(name, &in, &out);
	return 1;
}

START_TEST(casts_are_what_onnx_says)
{
	const char *folder = shared_path("conformance/onnx-node");
	struct dirent *entry;
	int cases = 0;
	DIR *dir;

	dir = opendir(folder);
	ck_assert_msg(dir != NULL, "%s", folder);
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "test_cast", 9) &&
		    (strstr(entry->d_name, "FLOAT8") || strstr(entry->d_name, "FLOAT4")))
			cases += cast(folder, entry->d_name);
	closedir(dir);
	printf("%d casts, %d of them by packets\n", cases, packets);
	ck_assert_int_gt(cases, 0);
	ck_assert_int_gt(packets, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("format_onnx");
	TCase *casts = tcase_create("casts");
	SRunner *runner;
	int failed;

	if (!shared_have("conformance/onnx-node")) {
		printf("no ONNX conformance cases: the shared test data is not here\n");
		return 77;
	}
	tcase_add_test(casts, casts_are_what_onnx_says);
	suite_add_tcase(suite, casts);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
