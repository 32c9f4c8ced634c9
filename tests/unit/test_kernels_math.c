/* SPDX-License-Identifier: MIT */
/*
 * The elementary functions of kernels/math.h against the C library in FP64: errors over samples of
 * all floats, special values, and the published test vector of Philox. Prints the error table.
 */
#include <stdio.h>
#include "kernel_fixture.h"

/* Every STEP-th float: an odd number, so that all mantissa patterns occur. */
#define STEP	311u

struct function {
	const char *name;
	float (*fn)(float);
	double (*exact)(double);
	double limit;	/* |x| at most */
	double error;	/* units of the last place at most */
};

static double exact_sigmoid(double x)
{
	return 1.0 / (1.0 + exp(-x));
}

static double exact_rsqrt(double x)
{
	return 1.0 / sqrt(x);
}

static const struct function functions[] = {
	{ "exp", nib_exp, exp, INFINITY, 1.1 },
	{ "log", nib_log, log, INFINITY, 1.0 },
	{ "tanh", nib_tanh, tanh, INFINITY, 1.6 },
	{ "erf", nib_erf, erf, INFINITY, 1.2 },
	{ "sin", nib_sin, sin, 1e5, 1.6 },
	{ "sin to 1e6", nib_sin, sin, 1e6, 2.0 },
	{ "sin to 2^22", nib_sin, sin, 0x1p22, 6.0 },
	{ "cos", nib_cos, cos, 1e5, 1.6 },
	{ "cos to 1e6", nib_cos, cos, 1e6, 2.0 },
	{ "cos to 2^22", nib_cos, cos, 0x1p22, 6.0 },
	{ "sigmoid", nib_sigmoid, exact_sigmoid, 87, 3.0 },
	{ "rsqrt", nib_rsqrt, exact_rsqrt, INFINITY, 1.6 },
	{ "floor", nib_floor, floor, INFINITY, 0 },
	{ "rint", nib_rint, rint, INFINITY, 0 },
};

/* Units of the last place of FP32 at @exact. */
static double ulp(double exact)
{
	int e;

	frexp(exact, &e);
	return ldexp(1.0, (e < -125 ? -125 : e) - 24);
}

START_TEST(errors)
{
	const struct function *f = &functions[_i];
	double worst = 0, error, exact;
	uint64_t bits;
	float x, y, at = 0;

	for (bits = 0; bits < 1ull << 32; bits += STEP) {
		x = nib_float((uint32_t)bits);
		if (!(fabs(x) <= f->limit))
			continue;
		y = f->fn(x);
		exact = f->exact(x);
		if (isnan(exact) || isinf((float)exact)) {
			CHECK_MSG(isnan(exact) ? isnan(y)
					       : y == (float)exact || fabs(y) > 0x1.fffff0p127,
				  "%s(%a) is %a", f->name, x, y);
			continue;
		}
		error = fabs(y - exact) / ulp(exact);
		if (!(error <= worst)) {
			worst = error;
			at = x;
		}
	}
	printf("%-12s %.3f ulp at %a (%g)\n", f->name, worst, at, at);
	CHECK_MSG(worst <= f->error, "%s is off by %.3f ulp at %a", f->name, worst, at);
}
END_TEST

#define IS(call, value)	CHECK_MSG(nib_bits(call) == nib_bits(value), "%s is %a", #call, call)

START_TEST(special_values)
{
	const float inf = INFINITY, tiny = 0x1p-149f;
	size_t i;

	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		CHECK(isnan(functions[i].fn(NAN)));
	IS(nib_exp(0.0f), 1.0f);
	IS(nib_exp(-0.0f), 1.0f);
	IS(nib_exp(inf), inf);
	IS(nib_exp(-inf), 0.0f);
	IS(nib_exp(88.8f), inf);
	IS(nib_exp(-104.0f), 0.0f);
	IS(nib_exp(-103.0f), tiny);
	IS(nib_log(0.0f), -inf);
	IS(nib_log(-0.0f), -inf);
	IS(nib_log(inf), inf);
	IS(nib_log(1.0f), 0.0f);
	CHECK(isnan(nib_log(-1.0f)) && isnan(nib_log(-inf)) && isnan(nib_log(-tiny)));
	IS(nib_tanh(inf), 1.0f);
	IS(nib_tanh(-inf), -1.0f);
	IS(nib_tanh(-0.0f), -0.0f);
	IS(nib_tanh(tiny), tiny);
	IS(nib_erf(inf), 1.0f);
	IS(nib_erf(-inf), -1.0f);
	IS(nib_erf(-0.0f), -0.0f);
	IS(nib_sin(-0.0f), -0.0f);
	IS(nib_cos(-0.0f), 1.0f);
	CHECK(isnan(nib_sin(inf)) && isnan(nib_cos(-inf)) && isnan(nib_sin(0x1.000002p22f)));
	IS(nib_floor(-0.0f), -0.0f);
	IS(nib_floor(-0.25f), -1.0f);
	IS(nib_rint(-0.25f), -0.0f);
	IS(nib_rint(2.5f), 2.0f);
	IS(nib_rint(inf), inf);
	IS(nib_max(-0.0f, 0.0f), 0.0f);
	IS(nib_max(0.0f, -0.0f), 0.0f);
	IS(nib_min(-0.0f, 0.0f), -0.0f);
	IS(nib_min(0.0f, -0.0f), -0.0f);
	IS(nib_max(NAN, 1.0f), 1.0f);
	IS(nib_max(1.0f, NAN), 1.0f);
	IS(nib_min(NAN, -inf), -inf);
	IS(nib_min(-inf, NAN), -inf);
	CHECK(isnan(nib_max(NAN, NAN)));
	IS(nib_sigmoid(inf), 1.0f);
	IS(nib_sigmoid(-inf), 0.0f);
	IS(nib_rsqrt(4.0f), 0.5f);
}
END_TEST

/* First vector of kat_vectors of Random123 for philox4x32 with 10 rounds. */
START_TEST(philox)
{
	CHECK_EQ(nib_philox(0, 0), 0x6627e8d5u);
	ck_assert_uint_ne(nib_philox(0, 1), nib_philox(1, 0));
	ck_assert_uint_ne(nib_philox(1ull << 32, 0), nib_philox(0, 1ull << 32));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kernels: math");
	TCase *tests = tcase_create("math");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, errors, 0, sizeof(functions) / sizeof(functions[0]));
	tcase_add_test(tests, special_values);
	tcase_add_test(tests, philox);
	suite_add_tcase(suite, tests);
	return fixture_run(suite);
}
