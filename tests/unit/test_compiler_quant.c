// SPDX-License-Identifier: MIT
/*
 * The compiler's quantizer against a slow one in double precision, and its layouts against
 * nib_tile_element(), nib_tile_scale() and the row layout.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "ir.h"
#include "kernels/kernels.h"
#include "quant.h"
#include "slow_format.h"

#define BLOCKS 4000

static uint32_t seed;

static uint32_t random_bits(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static float random_unit(void)
{
	return (float)((int32_t)(random_bits() & 0xffff) - 0x8000) / 32768.0f;
}

/* Blocks of many kinds: scales far apart, values on ties, zeros, subnormals, outliers. */
static void fill(float *x, int kind)
{
	int i, e = (int)(random_bits() % 40) - 20;

	for (i = 0; i < 32; i++) {
		switch (kind) {
		case 0:
			x[i] = ldexpf(random_unit(), e);
			break;
		case 1:	/* multiples of a quarter: ties of E2M1 */
			x[i] = ldexpf((float)((int)(random_bits() % 49) - 24) / 4, e);
			break;
		case 2:	/* multiples of 1/16: ties of E4M3 */
			x[i] = ldexpf((float)((int)(random_bits() % 1025) - 512) / 16, e);
			break;
		case 3:	/* heavy tail */
			x[i] = random_unit() / (0.01f + fabsf(random_unit()));
			break;
		case 4:
			x[i] = random_bits() % 3 ? 0 : random_unit();
			break;
		case 5:	/* smallest and largest numbers */
			x[i] = ldexpf(random_unit(), random_bits() % 2 ? -126 : -149);
			break;
		case 6:
			x[i] = ldexpf(random_unit(), 127);
			break;
		default:
			x[i] = 0;
			break;
		}
	}
}

static const struct {
	uint32_t fmt;
	uint32_t rule;
} cases[] = {
	{ NIB_FMT_MXFP4, NIB_SCALE_FLOOR }, { NIB_FMT_MXFP4, NIB_SCALE_CEIL },
	{ NIB_FMT_MXFP4, NIB_SCALE_BEST3 }, { NIB_FMT_MXFP8, NIB_SCALE_FLOOR },
	{ NIB_FMT_MXFP8, NIB_SCALE_CEIL }, { NIB_FMT_MXFP8, NIB_SCALE_BEST3 },
	{ NIB_FMT_MXFP8_E5M2, NIB_SCALE_FLOOR }, { NIB_FMT_MXFP8_E5M2, NIB_SCALE_CEIL },
	{ NIB_FMT_MXFP8_E5M2, NIB_SCALE_BEST3 }, { NIB_FMT_MXFP8X2, NIB_SCALE_FLOOR },
	{ NIB_FMT_MXFP8X2, NIB_SCALE_CEIL }, { NIB_FMT_MXFP8X2, NIB_SCALE_BEST3 },
	{ NIB_FMT_NVFP4, NIB_SCALE_CEIL }, { NIB_FMT_NVFP4, NIB_SCALE_BEST3 },
};

/* One block of one term; @x is what remains of it. */
static void check_block(uint32_t fmt, uint32_t rule, const double *x, double global,
			const uint8_t *codes, uint32_t scale)
{
	uint8_t want[32], want_scale;
	uint32_t i, n = nib_format_block(fmt);
	double best = slow_block(fmt, rule, x, global, want, &want_scale), got;
	double factor = slow_scale(fmt, scale) * (fmt == NIB_FMT_NVFP4 ? global : 1);

	if (scale != want_scale) {
		/* Rounding of FP32 sums may pick the other of two equally good scales, no more. */
		ck_assert_uint_eq(rule, NIB_SCALE_BEST3);
		got = slow_error(fmt, x, global, scale);
		ck_assert_msg(got <= best * (1 + 1e-5), "scale %u: %g, best %u: %g", scale, got,
			      want_scale, best);
	}
	for (i = 0; i < n; i++) {
		double exact = factor ? x[i] / factor : 0, d;

		if (scale == want_scale && codes[i] == want[i])
			continue;
		/* Else no worse than the nearest, but for the rounding of one division. */
		d = fabs(exact - slow_element(fmt, codes[i])) -
		    fabs(exact - slow_element(fmt, slow_nearest(fmt, exact)));
		ck_assert_msg(d <= fabs(exact) * 1e-6 &&
			      (fmt == NIB_FMT_NVFP4 || scale != want_scale),
			      "element %u: %g as %g", i, exact, slow_element(fmt, codes[i]));
	}
}

START_TEST(test_encoders_agree_with_the_slow_ones)
{
	uint32_t fmt = cases[_i].fmt, rule = cases[_i].rule, block = nib_format_block(fmt), b, t, j;
	ac_encode_fn encode = ac_encoder(fmt, rule);
	double rest[32];
	struct ac_unit u;
	float x[32], global, y[32];
	int n, i;

	seed = 1;
	for (n = 0; n < BLOCKS; n++) {
		fill(x, n % 8);
		global = ac_nvfp4_global(ac_max_abs(x, 32) * (float)(1 + n % 3 * 20));
		if (fmt == NIB_FMT_NVFP4 && n % 8 >= 5)
			continue;
		ck_assert(encode(x, global, &u));
		for (i = 0; i < 32; i++)
			rest[i] = (double)x[i];
		for (t = 0; t < nib_format_terms(fmt); t++)
			for (b = 0; b < 32 / block; b++) {
				const uint8_t *codes = u.codes[t] + b * block;
				double scale = slow_scale(fmt, u.scales[t][b]);

				check_block(fmt, rule, rest + b * block, (double)global, codes,
					    u.scales[t][b]);
				for (j = 0; j < block; j++)
					rest[b * block + j] -= slow_element(fmt, codes[j]) * scale;
			}
		ac_decode_unit(fmt, &u, global, y);
		for (i = 0; i < 32 && n % 8 < 5 && fmt != NIB_FMT_NVFP4; i++)
			ck_assert(y[i] == (float)((double)x[i] - rest[i]));
	}
}
END_TEST

/* To the last bit what the device's own conversion gives, numbers at the ends of FP32 included. */
START_TEST(test_encoders_agree_with_the_device)
{
	uint32_t fmt = cases[_i].fmt, rule = cases[_i].rule, terms = nib_format_terms(fmt), t, i;
	uint64_t data_bytes = nib_row_data_bytes(fmt, 32), scales = nib_row_scale_bytes(fmt, 32);
	ac_encode_fn encode = ac_encoder(fmt, rule);
	const struct nib_kernels *k = nib_kernels_get("scalar");
	uint8_t row[160], *data, code;
	struct ac_unit u;
	float x[32];
	int n;

	ck_assert_uint_le(nib_row_bytes(fmt, 32), sizeof(row));
	seed = 3;
	for (n = 0; n < BLOCKS; n++) {
		fill(x, n % 8);
		k->row_encode(fmt, rule, x, 32, row);
		ck_assert(encode(x, ac_nvfp4_global(ac_max_abs(x, 32)), &u));
		for (t = 0; t < terms; t++) {
			data = row + t * (data_bytes + scales);
			for (i = 0; i < scales; i++)
				ck_assert_msg(data[data_bytes + i] == u.scales[t][i],
					      "block %d, term %u: scale %u is %u, the device's %u",
					      n, t, i, u.scales[t][i], data[data_bytes + i]);
			for (i = 0; i < 32; i++) {
				code = nib_format_bits(fmt) == 4 ? data[i / 2] >> i % 2 * 4 & 15 :
				       data[i];
				ck_assert_msg(code == u.codes[t][i],
					      "block %d, term %u: %g is %#x, on the device %#x", n, t,
					      (double)x[i], u.codes[t][i], code);
			}
		}
	}
}
END_TEST

START_TEST(test_special_blocks)
{
	uint32_t fmt = cases[_i].fmt, i;
	ac_encode_fn encode = ac_encoder(fmt, cases[_i].rule);
	float x[32] = { 0 };
	struct ac_unit u;

	ck_assert(encode(x, 1, &u));
	ck_assert_uint_eq(u.scales[0][0], fmt == NIB_FMT_NVFP4 ? 0 : 127);
	for (i = 0; i < 32; i++)
		ck_assert_uint_eq(u.codes[0][i], 0);
	x[3] = NAN;
	ck_assert(!encode(x, 1, &u));
	ck_assert_uint_eq(u.scales[0][0], fmt == NIB_FMT_NVFP4 ? 127 : 255);
	x[3] = INFINITY;
	ck_assert(!encode(x, 1, &u));
	ck_assert_uint_eq(u.scales[0][0], fmt == NIB_FMT_NVFP4 ? 127 : 255);
}
END_TEST

/* Known values: OCP's own example of saturation, and what ceil does about it. */
START_TEST(test_floor_saturates_and_ceil_does_not)
{
	float x[32] = { 7.5f, -7.5f, 1 }, y[32];
	struct ac_unit u;

	ck_assert(ac_encoder(NIB_FMT_MXFP4, NIB_SCALE_FLOOR)(x, 1, &u));
	ac_decode_unit(NIB_FMT_MXFP4, &u, 1, y);
	ck_assert(u.scales[0][0] == 127 && y[0] == 6 && y[1] == -6 && y[2] == 1);
	ck_assert(ac_encoder(NIB_FMT_MXFP4, NIB_SCALE_CEIL)(x, 1, &u));
	ac_decode_unit(NIB_FMT_MXFP4, &u, 1, y);
	ck_assert(u.scales[0][0] == 128 && y[0] == 8 && y[1] == -8 && y[2] == 1);
	x[0] = 6;
	x[1] = -5.99f;
	ck_assert(ac_encoder(NIB_FMT_MXFP4, NIB_SCALE_CEIL)(x, 1, &u));
	ck_assert_uint_eq(u.scales[0][0], 127);
}
END_TEST

START_TEST(test_bf16_rounds_to_nearest_even)
{
	static const uint32_t in[] = { 0x3f808000, 0x3f818000, 0x3f808001, 0xbf807fff, 0x00008000,
				       0x7f7fffff };
	static const uint16_t want[] = { 0x3f80, 0x3f82, 0x3f81, 0xbf80, 0x0000, 0x7f80 };
	float x[32] = { 0 };
	struct ac_unit u;
	int i;

	for (i = 0; i < 6; i++)
		x[i] = ac_float(in[i]);
	ac_encoder(NIB_FMT_BF16, NIB_SCALE_CEIL)(x, 1, &u);
	for (i = 0; i < 6; i++)
		ck_assert_uint_eq(u.wide[i], want[i]);
}
END_TEST

/* --- Layouts --- */

struct bytes {
	uint8_t *data;
	size_t bytes;
};

static int collect(void *user, const void *data, size_t bytes)
{
	struct bytes *b = user;

	b->data = realloc(b->data, b->bytes + bytes);
	memcpy(b->data + b->bytes, data, bytes);
	b->bytes += bytes;
	return 0;
}

static struct ac_gguf_tensor f32_tensor(const float *data, uint64_t n, uint64_t k)
{
	return (struct ac_gguf_tensor){
		.name = "t", .type = AC_GGML_F32, .n_dims = 2, .ne = { k, n, 1, 1 }, .rows = n,
		.row_bytes = k * 4, .data = (const uint8_t *)data,
	};
}

/* Shapes that divide nothing. */
static const struct {
	uint32_t n;
	uint32_t k;
} shapes[] = { { 1, 1 }, { 64, 32 }, { 70, 45 }, { 130, 172 }, { 63, 64 } };

static const uint32_t formats[] = {
	NIB_FMT_MXFP4,	    NIB_FMT_NVFP4,   NIB_FMT_MXFP8,
	NIB_FMT_MXFP8_E5M2, NIB_FMT_MXFP8X2, NIB_FMT_BF16,
};

/* Every element, padding included, is where the header says, with the value the encoder gave it. */
START_TEST(test_panels_are_where_the_header_says)
{
	uint32_t fmt = formats[_i / 5], n = shapes[_i % 5].n, k = shapes[_i % 5].k, i, j;
	struct accel_compile c = { 0 };
	float *x = malloc((size_t)n * k * 4), unit[32], values[32], global;
	struct ac_gguf_tensor t = f32_tensor(x, n, k);
	struct ac_weight w = {.name = "w",
			      .kind = AC_WEIGHT_PANELS,
			      .fmt = fmt,
			      .n = n,
			      .k = k,
			      .n_parts = 1,
			      .parts = {{.w = &t, .n = n, .fmt = fmt, .alpha = 1}}};
	struct bytes out = { 0 };
	struct ac_unit u;
	double got;

	seed = 7;
	for (i = 0; i < n * k; i++)
		x[i] = random_unit();
	global = ac_nvfp4_global(ac_max_abs(x, (size_t)n * k));
	w.parts[0].global = global;
	ck_assert_int_eq(ac_weight_write(&c, &w, collect, &out), 0);
	ck_assert_uint_eq(out.bytes, nib_panels_bytes(fmt, n, k));
	for (i = 0; i < (n + 63) / 64 * 64; i++)
		for (j = 0; j < (k + 31) / 32 * 32; j++) {
			if (j % 32 == 0 && i < n) {
				memset(unit, 0, sizeof(unit));
				memcpy(unit, x + i * k + j, (k - j < 32 ? k - j : 32) * 4);
				ac_encoder(fmt, nib_format_bits(fmt) == 4 ? NIB_SCALE_BEST3 :
					   NIB_SCALE_CEIL)(unit, global, &u);
				ac_decode_unit(fmt, &u, 1, values);
			}
			got = slow_panel(fmt, out.data, k, i, j);
			if (i < n && j < k)
				ck_assert_msg(got == (double)values[j % 32], "%u,%u: %g, want %g",
					      i, j, got, (double)values[j % 32]);
			else
				ck_assert_double_eq(got, 0);
		}
	free(out.data);
	free(x);
	ac_free_all(&c.ctx);
}
END_TEST

/* Two tensors one after the other are one matrix. */
START_TEST(test_parts_follow_each_other)
{
	struct accel_compile c = { 0 };
	float x[5 * 32], y[70 * 32];
	struct ac_gguf_tensor a = f32_tensor(x, 5, 32), b = f32_tensor(y, 70, 32);
	struct ac_weight w = { .name = "w", .kind = AC_WEIGHT_PANELS, .fmt = NIB_FMT_BF16, .n = 75,
			       .k = 32, .n_parts = 2 };
	struct bytes out = { 0 };
	int i, j;

	for (i = 0; i < 5 * 32; i++)
		x[i] = (float)i;
	for (i = 0; i < 70 * 32; i++)
		y[i] = -(float)(i % 200);
	w.parts[0] = (struct ac_part){ .w = &a, .n = 5, .fmt = NIB_FMT_BF16, .alpha = 1 };
	w.parts[1] = (struct ac_part){ .w = &b, .n = 70, .fmt = NIB_FMT_BF16, .alpha = 1 };
	ck_assert_int_eq(ac_weight_write(&c, &w, collect, &out), 0);
	for (i = 0; i < 75; i++)
		for (j = 0; j < 32; j++)
			ck_assert_double_eq(slow_panel(NIB_FMT_BF16, out.data, 32, (uint64_t)i,
						       (uint64_t)j),
					    (double)(i < 5 ? x[i * 32 + j] : y[(i - 5) * 32 + j]));
	free(out.data);
}
END_TEST

START_TEST(test_rows_are_where_the_header_says)
{
	uint32_t fmt = formats[_i], n = 3, k = 45, i, j;
	struct accel_compile c = { .options.weight_rule = ACCEL_RULE_CEIL };
	float x[3 * 45];
	struct ac_gguf_tensor t = f32_tensor(x, n, k);
	struct ac_weight w = {.name = "w",
			      .kind = AC_WEIGHT_ROWS,
			      .fmt = fmt,
			      .n = n,
			      .k = k,
			      .n_parts = 1,
			      .parts = {{.w = &t, .n = n, .fmt = fmt, .alpha = 1}}};
	struct bytes out = { 0 };
	uint8_t row[256];
	double got[45], want[45];

	seed = 11;
	for (i = 0; i < n * k; i++)
		x[i] = random_unit();
	ck_assert_int_eq(ac_weight_write(&c, &w, collect, &out), 0);
	ck_assert_uint_eq(out.bytes, n * nib_row_bytes(fmt, k));
	for (i = 0; i < n; i++) {
		slow_row_encode(fmt, NIB_SCALE_CEIL, x + i * k, k, row);
		slow_row_decode(fmt, row, k, want);
		slow_row_decode(fmt, out.data + i * nib_row_bytes(fmt, k), k, got);
		for (j = 0; j < k; j++)
			ck_assert_msg(fabs(got[j] - want[j]) <= 1e-6, "%u,%u: %g, want %g", i, j,
				      got[j], want[j]);
	}
	free(out.data);
}
END_TEST

/* FP4 that arrives as FP4: every code of every element is the one in the file. */
START_TEST(test_fp4_is_moved_without_loss)
{
	static const uint32_t types[] = { AC_GGML_MXFP4, AC_GGML_NVFP4 };
	uint32_t type = types[_i % 2], fmt = _i % 2 ? NIB_FMT_NVFP4 : NIB_FMT_MXFP4, n = 70,
		 k = 128;
	uint32_t block, block_bytes, i, j;
	bool rows = _i / 2;
	struct accel_compile c = { 0 };
	struct ac_gguf_tensor t;
	struct ac_weight w;
	struct bytes out = { 0 };
	uint8_t *data;
	float x[128];
	double got[128];

	ck_assert(ac_ggml_block(type, &block, &block_bytes));
	data = malloc(n * k / block * block_bytes);
	seed = 3;
	for (i = 0; i < n * k / block * block_bytes; i++)
		data[i] = (uint8_t)random_bits();
	for (i = 0; i < n * k / block && type == AC_GGML_MXFP4; i++)
		data[i * 17] = (uint8_t)(data[i * 17] % 255);
	for (i = 0; i < n * k / 16 && type == AC_GGML_NVFP4; i++)
		data[i / 4 * 36 + i % 4] = (uint8_t)(data[i / 4 * 36 + i % 4] % 255);
	t = (struct ac_gguf_tensor){.name = "t",
				    .type = type,
				    .n_dims = 2,
				    .ne = {k, n, 1, 1},
				    .rows = n,
				    .row_bytes = k / block * block_bytes,
				    .data = data};
	w = (struct ac_weight){
		.name = "w",
		.kind = rows ? AC_WEIGHT_ROWS : AC_WEIGHT_PANELS,
		.fmt = fmt,
		.n = n,
		.k = k,
		.n_parts = 1,
		.parts = {{.w = &t, .n = n, .fmt = fmt, .repack = true, .alpha = 1}}};
	ck_assert_msg(!ac_weight_write(&c, &w, collect, &out), "%s", c.ctx.error);
	for (i = 0; i < n; i++) {
		ac_ggml_decode_row(&t, i, x);
		if (rows)
			slow_row_decode(fmt, out.data + i * nib_row_bytes(fmt, k), k, got);
		for (j = 0; j < k; j++) {
			double v = rows ? got[j] : slow_panel(fmt, out.data, k, i, j);

			ck_assert_msg((float)v == x[j] && !!signbit(v) == !!signbit(x[j]),
				      "%u,%u: %g, want %g", i, j, v, (double)x[j]);
		}
	}
	free(out.data);
	free(data);
}
END_TEST

/* 0xff: NaN in MXFP4; in NVFP4 a value that UE4M3 does not have. */
START_TEST(test_scales_without_equal_are_refused)
{
	uint8_t data[36] = { 255, 255, 255, 255 };
	struct accel_compile c = { .gguf.name = "test.gguf" };
	uint32_t fmt = _i ? NIB_FMT_NVFP4 : NIB_FMT_MXFP4;
	struct ac_gguf_tensor t = {.name = "bad.weight",
				   .type = _i ? AC_GGML_NVFP4 : AC_GGML_MXFP4,
				   .n_dims = 2,
				   .ne = {64, 1, 1, 1},
				   .rows = 1,
				   .row_bytes = _i ? 36 : 34,
				   .data = data};
	struct ac_weight w = { .name = "w", .kind = AC_WEIGHT_PANELS, .fmt = fmt, .n = 1, .k = 64,
			       .n_parts = 1,
			       .parts = { { .w = &t, .n = 1, .fmt = fmt, .repack = true } } };
	struct bytes out = { 0 };

	ck_assert_int_eq(ac_weight_write(&c, &w, collect, &out), -EINVAL);
	ck_assert_ptr_nonnull(strstr(c.ctx.error, "bad.weight"));
	free(out.data);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("compiler_quant");
	TCase *tc = tcase_create("quant");
	SRunner *runner;
	int failed, n = (int)(sizeof(cases) / sizeof(cases[0]));

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_encoders_agree_with_the_slow_ones, 0, n);
	tcase_add_loop_test(tc, test_encoders_agree_with_the_device, 0, n);
	tcase_add_loop_test(tc, test_special_blocks, 0, n);
	tcase_add_test(tc, test_floor_saturates_and_ceil_does_not);
	tcase_add_test(tc, test_bf16_rounds_to_nearest_even);
	tcase_add_loop_test(tc, test_panels_are_where_the_header_says, 0, 6 * 5);
	tcase_add_test(tc, test_parts_follow_each_other);
	tcase_add_loop_test(tc, test_rows_are_where_the_header_says, 0, 6);
	tcase_add_loop_test(tc, test_fp4_is_moved_without_loss, 0, 4);
	tcase_add_loop_test(tc, test_scales_without_equal_are_refused, 0, 2);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
