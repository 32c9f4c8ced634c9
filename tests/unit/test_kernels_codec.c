/* SPDX-License-Identifier: MIT */
/*
 * Number formats: every code of every element format against decoders written here from their
 * definitions in FP64, encoders against a search for the nearest value, scale rules against their
 * wording in nib_format.h, and all kernel tables against each other.
 */
#include "kernel_fixture.h"
#include "kernels/element.h"

/* An element format by its parameters. */
struct format {
	uint32_t fmt;		/* plain format, or NIB_FMT_MXFP4 for E2M1 */
	int ebits;
	int mbits;
	int bias;
	uint32_t finite;	/* code of the largest magnitude */
	uint32_t inf;		/* code of infinity, 0 for none */
	uint32_t nan;		/* canonical NaN, 0 for none */
	float (*decode)(uint32_t code);
	uint32_t (*encode)(float x);
};

static const struct format formats[] = {
	{ NIB_FMT_MXFP4, 2, 1, 1, 0x7, 0, 0, nib_e2m1_decode, nib_e2m1_encode },
	{ NIB_FMT_E4M3, 4, 3, 7, 0x7e, 0, 0x7f, nib_e4m3_decode, nib_e4m3_encode },
	{ NIB_FMT_E5M2, 5, 2, 15, 0x7b, 0x7c, 0x7e, nib_e5m2_decode, nib_e5m2_encode },
	{ NIB_FMT_F16, 5, 10, 15, 0x7bff, 0x7c00, 0x7e00, nib_f16_decode, nib_f16_encode },
	{ NIB_FMT_BF16, 8, 7, 127, 0x7f7f, 0x7f80, 0x7fc0, nib_bf16_decode, nib_bf16_encode },
};
#define FORMATS	5

static const uint32_t block_formats[] = {
	NIB_FMT_MXFP4, NIB_FMT_NVFP4, NIB_FMT_MXFP8, NIB_FMT_MXFP8_E5M2, NIB_FMT_MXFP8X2,
};
#define BLOCK_FORMATS	5

/* Value of a magnitude code, from the definition of a binary format. */
static double magnitude(const struct format *f, uint32_t code)
{
	uint32_t mantissa = code & ((1u << f->mbits) - 1);
	int e = (int)(code >> f->mbits);

	if (e == 0)
		return ldexp(mantissa, 1 - f->bias - f->mbits);
	return ldexp(mantissa + (1u << f->mbits), e - f->bias - f->mbits);
}

static double value(const struct format *f, uint32_t code)
{
	uint32_t sign = 1u << (f->ebits + f->mbits), mag = code & (sign - 1);
	double v = f->inf && mag == f->inf ? INFINITY : mag > f->finite ? NAN : magnitude(f, mag);

	return code & sign ? -v : v;
}

START_TEST(every_code)
{
	const struct format *f = &formats[_i];
	uint32_t code, codes = 2u << (f->ebits + f->mbits);

	for (code = 0; code < codes; code++) {
		double want = value(f, code);
		float got = f->decode(code);

		if (isnan(want)) {
			CHECK_EQ(nib_bits(got), 0x7fc00000u);
			CHECK_EQ(f->encode(got), f->nan);
		} else {
			CHECK_MSG(nib_bits(got) == nib_bits((float)want), "%x: %g, not %g", code,
				      got, want);
			/* FP8 saturates infinities; everything else comes back. */
			if (!isinf(want) || f->fmt != NIB_FMT_E5M2)
				CHECK_EQ(f->encode(got), code);
		}
	}
}
END_TEST

/* Nearest magnitude code by bisection over the ascending codes; ties to the even code. */
static uint32_t nearest(const struct format *f, double a)
{
	uint32_t lo = 0, hi = f->finite, mid;
	double below, above;

	if (a >= magnitude(f, hi))
		return hi;
	while (hi - lo > 1) {
		mid = (lo + hi) / 2;
		if (magnitude(f, mid) <= a)
			lo = mid;
		else
			hi = mid;
	}
	below = a - magnitude(f, lo);
	above = magnitude(f, hi) - a;
	return below < above ? lo : below > above ? hi : lo & 1 ? hi : lo;
}

static uint32_t want_code(const struct format *f, float x)
{
	uint32_t sign = signbit(x) ? 1u << (f->ebits + f->mbits) : 0, mag;
	double a = fabs(x), half;

	if (isnan(x))
		return f->nan;
	mag = nearest(f, a);
	/* Formats that overflow: half a unit past the largest is the tie, and its code is odd. */
	half = magnitude(f, f->finite) - magnitude(f, f->finite - 1);
	if (f->inf && f->fmt != NIB_FMT_E5M2 && a >= magnitude(f, f->finite) + half / 2)
		mag = f->inf;
	return mag | sign;
}

static void check_encode(const struct format *f, float x)
{
	if (f->fmt == NIB_FMT_MXFP4 && isnan(x))
		return; /* E2M1 has no NaN: the block's scale carries it */
	CHECK_MSG(f->encode(x) == want_code(f, x), "format %u: %a (%08x) became %x, not %x", f->fmt,
		  x, nib_bits(x), f->encode(x), want_code(f, x));
}

START_TEST(rounding)
{
	const struct format *f = &formats[_i];
	uint32_t code, i, sign;

	/* Around every value and every tie. */
	for (code = 0; code <= f->finite; code++) {
		float v = (float)magnitude(f, code);
		float tie = (float)((magnitude(f, code) + magnitude(f, code + 1)) / 2);

		for (sign = 0; sign < 2; sign++, v = -v, tie = -tie) {
			check_encode(f, v);
			check_encode(f, tie);
			check_encode(f, nextafterf(tie, 0));
			check_encode(f, nextafterf(tie, 2 * tie));
		}
	}
	fixture_seed(_i + 1);
	for (i = 0; i < 300000; i++)
		check_encode(f, fixture_wild());
}
END_TEST

START_TEST(scales)
{
	uint32_t code;

	for (code = 0; code < 255; code++) {
		CHECK(nib_e8m0_decode(code) == ldexp(1, (int)code - 127));
		CHECK(nib_e8m0_inverse(code) == ldexp(1, 127 - (int)code));
	}
	CHECK_EQ(nib_bits(nib_e8m0_decode(255)), 0x7fc00000u);
	for (code = 0; code < 127; code++)
		CHECK(nib_ue4m3_decode(code) == value(&formats[1], code));
	CHECK(isnan(nib_ue4m3_decode(127)));
}
END_TEST

/* Element format inside a block format. */
static const struct format *element_of(uint32_t fmt)
{
	return &formats[nib_format_bits(fmt) == 4 ? 0 : fmt == NIB_FMT_MXFP8_E5M2 ? 2 : 1];
}

static uint32_t row_code(uint32_t fmt, const uint8_t *row, size_t k, uint32_t t, size_t i)
{
	size_t term = nib_row_data_bytes(fmt, k) + nib_row_scale_bytes(fmt, k);

	if (nib_format_bits(fmt) == 4)
		return row[t * term + i / 2] >> i % 2 * 4 & 15;
	return row[t * term + i];
}

/* Value of one term of an element: exact in FP64. */
static double row_term(uint32_t fmt, uint8_t *row, size_t k, uint32_t t, size_t i)
{
	double v = value(element_of(fmt), row_code(fmt, row, k, t, i));
	uint32_t scale = *fixture_row_scale(fmt, row, k, t, i);
	float row_scale;

	if (fmt != NIB_FMT_NVFP4)
		return v * (scale == 255 ? NAN : ldexp(1, (int)scale - 127));
	memcpy(&row_scale, row + nib_row_data_bytes(fmt, k) + nib_row_scale_bytes(fmt, k), 4);
	return v * value(&formats[1], scale & 0x7f) * row_scale;
}

/* Ordinary numbers whose blocks differ in size, with a block of zeros and one of powers of two. */
static void ordinary(float *x, size_t k)
{
	float size = 1;
	size_t i;

	for (i = 0; i < k; i++) {
		if (i % 16 == 0)
			size = i / 32 == 1 ? 0 : nib_pow2((int32_t)fixture_below(20) - 10);
		x[i] = fixture_uniform() * size;
		if (i / 32 == 2)
			x[i] = copysignf(nib_pow2((int32_t)fixture_below(3)), x[i]);
	}
}

static double block_error(const float *x, size_t n, double scale, const struct format *f)
{
	double error = 0, d;
	size_t i;

	for (i = 0; i < n; i++) {
		d = fabs(x[i]) - magnitude(f, nearest(f, fabs(x[i]) / scale)) * scale;
		error += d * d;
	}
	return error;
}

/* FLOOR, CEIL and BEST3 of MX formats against their wording. */
START_TEST(mx_rules)
{
	static const uint32_t mx[] = { NIB_FMT_MXFP4, NIB_FMT_MXFP8, NIB_FMT_MXFP8_E5M2 };
	uint32_t fmt = mx[_i], rule, round, code, i, nonzero = 0;
	const struct format *f = element_of(fmt);
	double vmax = magnitude(f, f->finite), amax, best, error;
	int emax = ilogb(vmax), floor_exp, b, c;
	uint8_t row[256] __attribute__((aligned(16)));
	float x[128];

	fixture_seed(_i + 10);
	for (round = 0; round < 2000; round++) {
		ordinary(x, 128);
		/* The largest value exactly: CEIL has nothing to raise. */
		x[96 + fixture_below(32)] = (float)vmax * nib_pow2((int32_t)round % 9);
		for (rule = 0; rule < 3; rule++) {
			nib_kernels_scalar.row_encode(fmt, rule, x, 128, row);
			for (b = 0; b < 4; b++) {
				const float *y = x + b * 32;

				code = *fixture_row_scale(fmt, row, 128, 0, b * 32);
				for (amax = 0, i = 0; i < 32; i++)
					amax = fmax(amax, fabs(y[i]));
				if (amax == 0) {
					CHECK_EQ(code, 127);
					continue;
				}
				nonzero++;
				floor_exp = ilogb(amax) - emax;
				if (rule == NIB_SCALE_FLOOR)
					CHECK_EQ((int)code - 127, floor_exp);
				if (rule == NIB_SCALE_CEIL) {
					CHECK(amax / ldexp(1, (int)code - 127) <= vmax);
					CHECK(amax / ldexp(1, (int)code - 128) > vmax);
				}
				if (rule == NIB_SCALE_BEST3) {
					CHECK(abs((int)code - 127 - floor_exp) <= 1);
					best = block_error(y, 32, ldexp(1, (int)code - 127), f);
					for (c = -1; c <= 1; c++) {
						error = block_error(y, 32, ldexp(1, floor_exp + c),
								    f);
						CHECK(best <= error * (1 + 1e-5));
						/* Ties go to the smaller scale. */
						CHECK(error > 0 ||
						      (int)code - 127 <= floor_exp + c);
					}
				}
				for (i = 0; i < 32; i++)
					CHECK_EQ(row_code(fmt, row, 128, 0, b * 32 + i),
						 want_code(f, y[i] * (float)ldexp(
									     1, 127 - (int)code)));
			}
		}
	}
	ck_assert_uint_gt(nonzero, 10000);
}
END_TEST

/* The second term of a split row expresses what the first leaves, to 8 bits in all. */
START_TEST(split)
{
	uint8_t row[512] __attribute__((aligned(16)));
	float x[96], y[96];
	uint32_t round, i, rule;
	double amax = 0, rest;

	fixture_seed(20);
	for (round = 0; round < 500; round++) {
		ordinary(x, 96);
		for (rule = 0; rule < 3; rule++) {
			nib_kernels_scalar.row_encode(NIB_FMT_MXFP8X2, rule, x, 96, row);
			nib_kernels_scalar.row_decode(NIB_FMT_MXFP8X2, row, 96, 0, 96, y);
			for (i = 0; i < 96; i++) {
				if (i % 32 == 0) {
					uint32_t j;

					for (amax = 0, j = i; j < i + 32; j++)
						amax = fmax(amax, fabs(x[j]));
				}
				rest = row_term(NIB_FMT_MXFP8X2, row, 96, 0, i) +
				       row_term(NIB_FMT_MXFP8X2, row, 96, 1, i) - x[i];
				/* FLOOR may saturate in each term: an eighth of an eighth. */
				CHECK(fabs(rest) <=
				      amax * (rule == NIB_SCALE_CEIL ? 0x1p-8 : 0x1p-5));
				CHECK(y[i] == row_term(NIB_FMT_MXFP8X2, row, 96, 0, i) +
						  row_term(NIB_FMT_MXFP8X2, row, 96, 1, i));
			}
		}
	}
}
END_TEST

/* NVFP4 by its formulas, in FP32. */
START_TEST(nvfp4_rule)
{
	uint8_t row[128] __attribute__((aligned(16)));
	float x[96], amax, row_scale, stored, unit;
	uint32_t round, i, b, code, best;
	double error, least;

	fixture_seed(30);
	for (round = 0; round < 2000; round++) {
		ordinary(x, 96);
		for (amax = 0, i = 0; i < 96; i++)
			amax = fmaxf(amax, fabsf(x[i]));
		row_scale = amax / 2688.0f;
		nib_kernels_scalar.row_encode(
			NIB_FMT_NVFP4, round & 1 ? NIB_SCALE_BEST3 : NIB_SCALE_CEIL, x, 96, row);
		memcpy(&stored, row + 48 + 6, 4);
		CHECK(stored == row_scale);
		for (b = 0; b < 6; b++) {
			const float *y = x + b * 16;

			for (amax = 0, i = 0; i < 16; i++)
				amax = fmaxf(amax, fabsf(y[i]));
			code = row[48 + b];
			best = want_code(&formats[1], amax / 6.0f / row_scale);
			if (round & 1) {
				CHECK(abs((int)code - (int)best) <= 1);
				unit = nib_ue4m3_decode(code) * row_scale;
				least = unit > 0 ? block_error(y, 16, unit, &formats[0]) : 0;
				for (i = best ? best - 1 : 1; unit > 0 && i <= best + 1 && i < 127;
				     i++) {
					if (!i)
						continue;
					error = block_error(y, 16, nib_ue4m3_decode(i) * row_scale,
							    &formats[0]);
					CHECK(least <= error * (1 + 1e-4));
				}
			} else {
				CHECK_EQ(code, best);
			}
			unit = nib_ue4m3_decode(code) * row_scale;
			for (i = 0; i < 16; i++)
				CHECK_EQ(row_code(NIB_FMT_NVFP4, row, 96, 0, b * 16 + i),
					 unit > 0 ? want_code(&formats[0], y[i] / unit) : 0);
		}
	}
	memset(x, 0, sizeof(x));
	nib_kernels_scalar.row_encode(NIB_FMT_NVFP4, NIB_SCALE_CEIL, x, 96, row);
	memcpy(&stored, row + 48 + 6, 4);
	CHECK(stored == 1.0f);
	for (i = 0; i < 54; i++)
		CHECK_EQ(row[i], 0);
}
END_TEST

/* A NaN or an infinity spoils its block and no other. */
START_TEST(bad_blocks)
{
	static const float bad[] = { NAN, INFINITY, -INFINITY };
	uint32_t fmt = block_formats[_i], rule, v, i, at;
	uint32_t block = nib_format_block(fmt);
	uint8_t row[512] __attribute__((aligned(16)));
	float x[96], y[96];

	fixture_seed(40);
	for (rule = 0; rule < 3; rule++) {
		for (v = 0; v < 3; v++) {
			ordinary(x, 96);
			at = fixture_below(96);
			x[at] = bad[v];
			nib_kernels_scalar.row_encode(fmt, rule, x, 96, row);
			nib_kernels_scalar.row_decode(fmt, row, 96, 0, 96, y);
			for (i = 0; i < 96; i++)
				CHECK((nib_bits(y[i]) == 0x7fc00000u) == (i / block == at / block));
			CHECK_EQ(*fixture_row_scale(fmt, row, 96, 0, at),
					  fmt == NIB_FMT_NVFP4 ? 0x7f : 0xff);
			for (i = at / block * block; i < at / block * block + block; i++)
				CHECK_EQ(row_code(fmt, row, 96, 0, i), 0);
		}
	}
}
END_TEST

/* What the rules say of a block whose largest magnitude is @amax, with codes clamped. */
static void check_extreme(uint32_t fmt, uint32_t rule, const float *x, float amax,
			  const uint8_t *row, uint32_t code)
{
	const struct format *f = element_of(fmt);
	double vmax = magnitude(f, f->finite);
	int floor_code = ilogb(amax) - ilogb(vmax) + 127, want = floor_code;
	uint32_t i;

	if (rule == NIB_SCALE_CEIL && amax / ldexp(1, floor_code - 127) > vmax)
		want++;
	want = want < 0 ? 0 : want;
	if (rule == NIB_SCALE_BEST3)
		CHECK((int)code >= want - 1 && (int)code <= (floor_code < -1 ? 0 : floor_code + 1));
	else
		CHECK_EQ(code, want);
	for (i = 0; i < 32; i++)
		CHECK_EQ(row_code(fmt, row, 32, 0, i),
			 want_code(f, x[i] * (float)ldexp(1, 127 - (int)code)));
}

/* Code 0 and the largest there is, and sizes at which BEST3 and CEIL would leave them. */
START_TEST(extreme_scales)
{
	static const float size[] = {0x1p-149f, 0x1p-130f, 0x1p-126f, 0x1.fp-125f, 0x1.fffffep127f};
	uint32_t fmt = block_formats[_i], rule, s, i;
	uint8_t row[256] __attribute__((aligned(16)));
	float x[32], y[32];

	for (rule = 0; rule < 3; rule++) {
		for (s = 0; s < sizeof(size) / sizeof(size[0]); s++) {
			for (i = 0; i < 32; i++)
				x[i] = size[s] * (i % 3 ? 0.5f : -1.0f);
			nib_kernels_scalar.row_encode(fmt, rule, x, 32, row);
			nib_kernels_scalar.row_decode(fmt, row, 32, 0, 32, y);
			if (fmt != NIB_FMT_NVFP4)
				check_extreme(fmt, rule, x, size[s], row,
					      *fixture_row_scale(fmt, row, 32, 0, 0));
			for (i = 0; i < 32; i++) {
				CHECK(!isnan(y[i]));
				CHECK(y[i] == 0 || signbit(y[i]) == signbit(x[i]));
			}
		}
	}
}
END_TEST

/* All tables: the same bytes for any input, length and rule; decoding of any part of a row. */
START_TEST(tables_rows)
{
	const struct nib_kernels *table = fixture_table(_i);
	static const uint32_t plain[] = { NIB_FMT_F32, NIB_FMT_BF16, NIB_FMT_E4M3, NIB_FMT_E5M2 };
	uint32_t round, i, fmt;
	uint8_t *want = fixture_alloc(4096), *got = fixture_alloc(4096);
	float x[512], y[512], z[512];

	fixture_seed(50);
	for (round = 0; round < 6000; round++) {
		uint32_t k = 1 + fixture_below(300), from = fixture_below(k);
		uint32_t n = fixture_below(k - from + 1), rule = fixture_below(3);

		fmt = round % 9 < 5 ? block_formats[round % 9] : plain[round % 9 - 5];
		if (round % 4)
			ordinary(x, k);
		else
			for (i = 0; i < k; i++)
				x[i] = fixture_wild();
		memset(want, 0xaa, 4096);
		memset(got, 0xaa, 4096);
		nib_kernels_scalar.row_encode(fmt, rule, x, k, want);
		table->row_encode(fmt, rule, x, k, got);
		CHECK_MSG(!memcmp(want, got, 4096), "format %u rule %u k %u", fmt, rule, k);
		for (i = nib_row_bytes(fmt, k); i < 4096; i++)
			CHECK_EQ(got[i], 0xaa);
		/* Any bytes are a row. */
		if (round % 8 == 7)
			for (i = 0; i < nib_row_bytes(fmt, k); i++)
				want[i] = fixture_u32();
		nib_kernels_scalar.row_decode(fmt, want, k, from, n, y);
		table->row_decode(fmt, want, k, from, n, z);
		fixture_same(z, y, n, "row_decode");
	}
	free(want);
	free(got);
}
END_TEST

/* row_decode against the formats' definitions. */
START_TEST(row_values)
{
	uint32_t fmt = block_formats[_i], i, round;
	uint8_t row[512] __attribute__((aligned(16)));
	float x[100], y[100];

	fixture_seed(60);
	for (round = 0; round < 300; round++) {
		ordinary(x, 100);
		nib_kernels_scalar.row_encode(fmt, round % 3, x, 100, row);
		nib_kernels_scalar.row_decode(fmt, row, 100, 0, 100, y);
		for (i = 0; i < 100; i++) {
			double want = row_term(fmt, row, 100, 0, i);

			if (nib_format_terms(fmt) > 1)
				want += row_term(fmt, row, 100, 1, i);
			/* NVFP4 rounds element * scale exactly, times the row scale once. */
			CHECK(y[i] == (float)want);
		}
	}
}
END_TEST

START_TEST(panels)
{
	uint32_t fmt = _i < FIXTURE_GEMM_FORMATS ? fixture_gemm_formats[_i] : NIB_FMT_F32;
	uint32_t n = 130, k = 75, t, r, i, code, terms = nib_format_terms(fmt);
	uint32_t bits = nib_format_bits(fmt), block = nib_format_block(fmt), s;
	uint8_t *w = fixture_alloc(nib_panels_bytes(fmt, n, k));
	float got[75], want[75], alpha = 0.75f;

	fixture_seed(70);
	for (r = 0; r < n; r += 43) {
		for (t = 0; t < terms; t++) {
			for (i = 0; i < k; i++) {
				float v, scale = 1;

				code = fixture_u32() & (bits == 32 ? ~0u : (1u << bits) - 1);
				fixture_panel_put(fmt, w, k, t, r, i, code);
				if (block && i % block == 0)
					*fixture_panel_scale(fmt, w, k, t, r, i) =
						fmt == NIB_FMT_NVFP4 ? fixture_below(127) :
								       100 + fixture_below(50);
				if (block) {
					s = *fixture_panel_scale(fmt, w, k, t, r, i);
					scale = fmt == NIB_FMT_NVFP4 ? nib_ue4m3_decode(s) :
								       nib_e8m0_decode(s);
				}
				v = bits == 32	 ? nib_float(code)
				    : bits == 16 ? nib_bf16_decode(code)
						 : element_of(fmt)->decode(code);
				want[i] = t ? want[i] + v * scale : v * scale;
			}
		}
		for (i = 0; i < k; i++)
			want[i] = nib_canonical(want[i] * alpha);
		nib_kernels_scalar.panel_decode(fmt, w, k, r, alpha, got);
		fixture_same(got, want, k, "panel_decode");
		for (t = 0; fixture_table(t); t++) {
			fixture_table(t)->panel_decode(fmt, w, k, r, alpha, got);
			fixture_same(got, want, k, fixture_table(t)->name);
		}
	}
	free(w);
}
END_TEST

/* What a code is worth under a scale; see arithmetic.md. */
static float scaled(uint32_t fmt, uint32_t code, uint32_t scale)
{
	float s = fmt == NIB_FMT_NVFP4 ? nib_ue4m3_decode(scale) : nib_e8m0_decode(scale);

	return element_of(fmt)->decode(code) * s;
}

/* All codes under all scales, NaNs and both ends included: in rows, and as outputs of panels. */
START_TEST(every_code_and_scale)
{
	uint32_t fmt = block_formats[_i], k = 256, codes = 1u << nib_format_bits(fmt), s, t, i;
	size_t scales = nib_row_data_bytes(fmt, k) + nib_row_scale_bytes(fmt, k);
	uint8_t *row = fixture_alloc(nib_row_bytes(fmt, k));
	uint8_t *w = fixture_alloc(nib_panels_bytes(fmt, 256, k));
	float want[2][256], got[256], alpha = 0.75f, row_scale = 1.5f, v;

	for (s = 0; s < 256; s++) {
		for (i = 0; i < k; i++) {
			want[0][i] = scaled(fmt, i % codes, s);
			for (t = 0; t < nib_format_terms(fmt); t++) {
				/* The other term has another code. */
				uint32_t code = (i + t * 91) % codes;

				v = scaled(fmt, code, s);
				want[0][i] = t ? want[0][i] + v : v;
				fixture_row_put(fmt, row, k, t, i, code);
				*fixture_row_scale(fmt, row, k, t, i) = (uint8_t)s;
				fixture_panel_put(fmt, w, k, t, s, i, code);
				*fixture_panel_scale(fmt, w, k, t, s, i) = (uint8_t)s;
			}
			want[1][i] = nib_canonical(want[0][i] * alpha);
			if (fmt == NIB_FMT_NVFP4)
				want[0][i] *= row_scale;
			want[0][i] = nib_canonical(want[0][i]);
		}
		if (fmt == NIB_FMT_NVFP4)
			memcpy(row + scales, &row_scale, sizeof(row_scale));
		for (t = 0; !t || fixture_table(t - 1); t++) {
			const struct nib_kernels *table =
				t ? fixture_table(t - 1) : &nib_kernels_scalar;

			table->row_decode(fmt, row, k, 0, k, got);
			fixture_same(got, want[0], k, table->name);
			table->panel_decode(fmt, w, k, s, alpha, got);
			fixture_same(got, want[1], k, table->name);
		}
	}
	free(row);
	free(w);
}
END_TEST

/* All tables: every code of a narrow format; every upper half of FP32, with lower ones around ties. */
START_TEST(conversions_of_every_code)
{
	static const uint32_t plain[] = { NIB_FMT_F32, NIB_FMT_BF16, NIB_FMT_F16,
					  NIB_FMT_E4M3, NIB_FMT_E5M2 };
	static const uint16_t lower[] = { 0, 1, 0x1000, 0x7fff, 0x8000, 0x8001, 0xefff, 0xffff };
	uint32_t src = plain[_i], bits = nib_format_bits(src), count, code, i, t;
	uint8_t *from = fixture_alloc(65536 * 4), *want = fixture_alloc(65536 * 4);
	uint8_t *got = fixture_alloc(65536 * 4);
	size_t part;

	count = bits == 8 ? 256 : 65536;
	for (part = 0; part < (bits == 32 ? sizeof(lower) / sizeof(lower[0]) : 1); part++) {
		for (i = 0; i < count; i++) {
			code = bits == 32 ? i << 16 | lower[part] : i;
			memcpy(from + i * bits / 8, &code, bits / 8);
		}
		for (i = 0; i < 5; i++) {
			size_t bytes = count * nib_format_bits(plain[i]) / 8;

			nib_kernels_scalar.convert(plain[i], want, src, from, count);
			for (t = 0; fixture_table(t); t++) {
				memset(got, 0x5a, bytes);
				fixture_table(t)->convert(plain[i], got, src, from, count);
				CHECK_MSG(!memcmp(got, want, bytes), "%s: %u to %u",
					  fixture_table(t)->name, src, plain[i]);
			}
		}
	}
	free(from);
	free(want);
	free(got);
}
END_TEST

/* Every pair of plain formats, against decode and encode one by one; all tables. */
START_TEST(conversions)
{
	static const uint32_t plain[] = { NIB_FMT_F32, NIB_FMT_BF16, NIB_FMT_F16,
					  NIB_FMT_E4M3, NIB_FMT_E5M2 };
	uint32_t src = plain[_i], s = nib_format_bits(src) / 8, d, i, j, n, t;
	uint8_t from[4 * 700], want[4 * 700], got[4 * 700];
	const struct format *fs = NULL, *fd = NULL;

	fixture_seed(80 + _i);
	for (i = 0; i < FORMATS; i++)
		fs = formats[i].fmt == src ? &formats[i] : fs;
	for (i = 0; i < 5; i++) {
		d = nib_format_bits(plain[i]) / 8;
		for (fd = NULL, j = 0; j < FORMATS; j++)
			fd = formats[j].fmt == plain[i] ? &formats[j] : fd;
		for (n = 1; n < 700; n += 1 + n / 2) {
			for (j = 0; j < n; j++) {
				uint32_t code = src == NIB_FMT_F32
							? nib_bits(fixture_wild())
							: fixture_u32() & ((1u << s * 8) - 1);
				float x = fs ? fs->decode(code) : nib_float(code);
				uint32_t out = plain[i] == src ? code
					       : fd	       ? fd->encode(x)
							       : nib_bits(x);

				memcpy(from + j * s, &code, s);
				memcpy(want + j * d, &out, d);
			}
			nib_kernels_scalar.convert(plain[i], got, src, from, n);
			CHECK(!memcmp(got, want, n * d));
			for (t = 0; fixture_table(t); t++) {
				fixture_table(t)->convert(plain[i], got, src, from, n);
				CHECK(!memcmp(got, want, n * d));
			}
		}
	}
}
END_TEST

START_TEST(integers)
{
	static const uint32_t x[] = {0, 1, 16777217, 16777219, 0x7fffffff, 0x80000000, 0xffffffff};
	float want[7], got[7];
	uint32_t i, t, copy[7];

	for (i = 0; i < 7; i++)
		want[i] = (float)(double)x[i];
	nib_kernels_scalar.convert(NIB_FMT_F32, got, NIB_FMT_U32, x, 7);
	fixture_same(got, want, 7, "U32");
	nib_kernels_scalar.convert(NIB_FMT_U32, copy, NIB_FMT_U32, x, 7);
	CHECK(!memcmp(copy, x, sizeof(x)));
	for (t = 0; fixture_table(t); t++) {
		fixture_table(t)->convert(NIB_FMT_F32, got, NIB_FMT_U32, x, 7);
		fixture_same(got, want, 7, "U32");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kernels: formats");
	TCase *tests = tcase_create("formats");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, every_code, 0, FORMATS);
	tcase_add_loop_test(tests, rounding, 0, FORMATS);
	tcase_add_test(tests, scales);
	tcase_add_loop_test(tests, mx_rules, 0, 3);
	tcase_add_test(tests, split);
	tcase_add_test(tests, nvfp4_rule);
	tcase_add_loop_test(tests, bad_blocks, 0, BLOCK_FORMATS);
	tcase_add_loop_test(tests, extreme_scales, 0, BLOCK_FORMATS);
	tcase_add_loop_test(tests, tables_rows, 0, fixture_tables());
	tcase_add_loop_test(tests, row_values, 0, BLOCK_FORMATS);
	tcase_add_loop_test(tests, panels, 0, FIXTURE_GEMM_FORMATS + 1);
	tcase_add_loop_test(tests, every_code_and_scale, 0, BLOCK_FORMATS);
	tcase_add_loop_test(tests, conversions, 0, 5);
	tcase_add_loop_test(tests, conversions_of_every_code, 0, 5);
	tcase_add_test(tests, integers);
	suite_add_tcase(suite, tests);
	return fixture_run(suite);
}
