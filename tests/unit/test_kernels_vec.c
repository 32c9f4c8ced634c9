/* SPDX-License-Identifier: MIT */
/*
 * Vector programs: every operation of every kernel table against its wording in nib_isa.h, on
 * special values and all remainders; operands of all formats and strides.
 */
#include "kernel_fixture.h"

/* A program of one operation on registers 0, 1, 2, filled from x[0], x[1], x[2]. */
static void vec_run(const struct nib_kernels *table, uint32_t op, uint32_t n, float *const *x,
		    float *out, uint32_t imm)
{
	struct nib_vec_insn insns[] = {
		{ .op = NIB_VEC_LOAD, .dst = 0, .a = 0 },
		{ .op = NIB_VEC_LOAD, .dst = 1, .a = 1 },
		{ .op = NIB_VEC_LOAD, .dst = 2, .a = 2 },
		{ .op = op, .dst = 3, .a = 0, .b = 1, .imm = imm },
		{ .op = NIB_VEC_STORE, .dst = 3, .a = 3 },
	};
	uint8_t *operand[] = { (void *)x[0], (void *)x[1], (void *)x[2], (void *)out };
	ptrdiff_t stride[] = { 4, 4, 4, 4 };
	uint32_t fmt[] = { NIB_FMT_F32, NIB_FMT_F32, NIB_FMT_F32, NIB_FMT_F32 };
	float *regs = fixture_alloc(NIB_VEC_REGS * ((n + 15) / 16 * 16) * sizeof(float));
	struct nib_vec_job job = {
		.operand = operand, .stride = stride, .fmt = fmt, .insns = insns, .regs = regs,
		.n_insns = 5, .n = n,
	};

	table->vec(&job);
	free(regs);
}

static float lanes(const float *x, uint32_t n)
{
	float lane[16] = { 0 };
	uint32_t i;

	for (i = 0; i < n; i++)
		lane[i % 16] += x[i];
	for (i = 0; i < 8; i++)
		lane[i] += lane[i + 8];
	return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
	       ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* What an operation means, one element at a time, with the C library where that is exact. */
static float vec_expect(uint32_t op, const float *const *x, uint32_t i, uint32_t n, uint32_t imm)
{
	float a = x[0][i], b = x[1][i], c = x[2][i], r;
	uint32_t j;

	switch (op) {
	case NIB_VEC_MOVI: return nib_float(imm);
	case NIB_VEC_IOTA: return (float)i;
	case NIB_VEC_ADD: return a + b;
	case NIB_VEC_SUB: return a - b;
	case NIB_VEC_MUL: return a * b;
	case NIB_VEC_DIV: return a / b;
	case NIB_VEC_FMA: return fmaf(a, b, c);
	case NIB_VEC_ADDI: return a + nib_float(imm);
	case NIB_VEC_MULI: return a * nib_float(imm);
	case NIB_VEC_NEG: return -a;
	case NIB_VEC_ABS: return fabsf(a);
	case NIB_VEC_SQRT: return sqrtf(a);
	case NIB_VEC_RSQRT: return 1 / sqrtf(a);
	case NIB_VEC_RCP: return 1 / a;
	case NIB_VEC_EXP: return nib_exp(a);
	case NIB_VEC_LOG: return nib_log(a);
	case NIB_VEC_TANH: return nib_tanh(a);
	case NIB_VEC_SIGMOID: return 1 / (1 + nib_exp(-a));
	case NIB_VEC_ERF: return nib_erf(a);
	case NIB_VEC_SIN: return nib_sin(a);
	case NIB_VEC_COS: return nib_cos(a);
	case NIB_VEC_FLOOR: return floorf(a);
	case NIB_VEC_RINT: return rintf(a);
	case NIB_VEC_LT: return a < b;
	case NIB_VEC_EQ: return a == b;
	case NIB_VEC_SELECT: return a != 0 ? b : c;
	case NIB_VEC_MIN:
	case NIB_VEC_MAX:
		if (isnan(a) || isnan(b))
			return isnan(a) ? b : a;
		if (a == b)
			return !!signbit(a) == (op == NIB_VEC_MIN) ? a : b;
		return (a < b) == (op == NIB_VEC_MIN) ? a : b;
	case NIB_VEC_RSUM: return lanes(x[0], n);
	case NIB_VEC_RMAX:
	case NIB_VEC_RMIN:
		for (r = NAN, j = 0; j < n; j++) {
			float y = x[0][j];

			if (isnan(r) || (y == r && !!signbit(r) == (op == NIB_VEC_RMAX)) ||
			    (op == NIB_VEC_RMAX ? y > r : y < r))
				r = isnan(y) ? r : y;
		}
		return r;
	}
	return 0;
}

static const uint8_t vec_ops[] = {
	NIB_VEC_MOVI, NIB_VEC_IOTA,    NIB_VEC_ADD,   NIB_VEC_SUB,    NIB_VEC_MUL,  NIB_VEC_DIV,
	NIB_VEC_FMA,  NIB_VEC_MIN,     NIB_VEC_MAX,   NIB_VEC_ADDI,   NIB_VEC_MULI, NIB_VEC_NEG,
	NIB_VEC_ABS,  NIB_VEC_SQRT,    NIB_VEC_RSQRT, NIB_VEC_RCP,    NIB_VEC_EXP,  NIB_VEC_LOG,
	NIB_VEC_TANH, NIB_VEC_SIGMOID, NIB_VEC_ERF,   NIB_VEC_SIN,    NIB_VEC_COS,  NIB_VEC_FLOOR,
	NIB_VEC_RINT, NIB_VEC_LT,      NIB_VEC_EQ,    NIB_VEC_SELECT, NIB_VEC_RSUM, NIB_VEC_RMAX,
	NIB_VEC_RMIN,
};

START_TEST(vec_ops_alone)
{
	uint32_t op = vec_ops[_i], n, i, j, t, round;
	float *x[3], want[1000], got[1000];

	fixture_seed(_i + 700);
	for (i = 0; i < 3; i++)
		x[i] = fixture_alloc(1000 * 4);
	for (n = 1; n < 1000; n += n < 41 ? 1 : 200) {
		for (round = 0; round < 20; round++) {
			uint32_t imm = op == NIB_VEC_FMA || op == NIB_VEC_SELECT ? 2
				       : op == NIB_VEC_MOVI || op == NIB_VEC_ADDI ||
						       op == NIB_VEC_MULI
					       ? nib_bits(fixture_wild())
					       : 0;

			for (i = 0; i < 3; i++)
				for (j = 0; j < n; j++)
					x[i][j] = round == 0   ? NAN
						  : round == 1 ? (j & i ? -0.0f : 0.0f)
						  : round < 10 ? fixture_uniform()
							       : fixture_wild();
			for (j = 0; j < n; j++)
				want[j] = nib_canonical(
					vec_expect(op, (const float *const *)x, j, n, imm));
			vec_run(&nib_kernels_scalar, op, n, x, got, imm);
			fixture_same(got, want, n, "scalar");
			for (t = 0; fixture_table(t); t++) {
				vec_run(fixture_table(t), op, n, x, got, imm);
				fixture_same(got, want, n, fixture_table(t)->name);
			}
		}
	}
	for (i = 0; i < 3; i++)
		free(x[i]);
}
END_TEST

/* Loads of all formats and strides, stores of both formats, overwriting nothing in between. */
START_TEST(vec_operands)
{
	static const uint32_t fmts[] = { NIB_FMT_F32, NIB_FMT_BF16, NIB_FMT_F16,
					 NIB_FMT_U32, NIB_FMT_E4M3, NIB_FMT_E5M2 };
	static const int steps[] = { 1, 0, 3, -2 };
	const struct nib_kernels *table = _i ? fixture_table(_i - 1) : &nib_kernels_scalar;
	uint32_t f, s, d, i, n, out_bytes, bytes;
	uint8_t *src = fixture_alloc(8192), *dst = fixture_alloc(8192), *want = fixture_alloc(8192);
	float *regs = fixture_alloc(NIB_VEC_REGS * 320 * 4), x;

	fixture_seed(800);
	for (f = 0; f < 6 * 2 * 4 * 4; f++) {
		uint32_t fmt = fmts[f % 6], out = f / 6 % 2 ? NIB_FMT_BF16 : NIB_FMT_F32;
		struct nib_vec_insn insns[] = {
			{ .op = NIB_VEC_LOAD, .dst = 15, .a = 0 },
			{ .op = NIB_VEC_STORE, .dst = 1, .a = 15 },
		};
		uint8_t *operand[2];
		ptrdiff_t stride[2];
		struct nib_vec_job job = {
			.operand = operand, .stride = stride, .fmt = (const uint32_t[]){ fmt, out },
			.insns = insns, .regs = regs, .n_insns = 2,
		};

		bytes = nib_format_bits(fmt) / 8;
		out_bytes = nib_format_bits(out) / 8;
		s = f / 12 % 4;
		d = f / 48 % 4;
		stride[0] = steps[s] * (int)bytes;
		stride[1] = steps[d] * (int)out_bytes;
		operand[0] = src + (steps[s] < 0 ? 4096 : 0);
		operand[1] = dst + (steps[d] < 0 ? 4096 : 0);
		for (n = 1; n < 300; n += 1 + n / 2) {
			job.n = n;
			for (i = 0; i < 8192; i++)
				src[i] = fixture_u32();
			memset(dst, 0x77, 8192);
			memset(want, 0x77, 8192);
			for (i = 0; i < n; i++) {
				nib_kernels_scalar.convert(NIB_FMT_F32, &x, fmt,
							   operand[0] + (int)i * stride[0], 1);
				x = nib_canonical(x);
				nib_kernels_scalar.convert(out, want + (operand[1] - dst) +
							   (int)i * stride[1], NIB_FMT_F32, &x, 1);
			}
			table->vec(&job);
			CHECK_MSG(!memcmp(dst, want, 8192),
				  "%s: format %u to %u, strides %d %d, n %u", table->name, fmt, out,
				  steps[s], steps[d], n);
		}
	}
	free(src);
	free(dst);
	free(want);
	free(regs);
}
END_TEST

/* Longer than a strip: with reductions, where registers live on, and without. */
START_TEST(vec_strips)
{
	static const uint32_t sizes[] = { 1000, 1023, 1024, 1025, 4099 };
	const struct nib_kernels *table = _i ? fixture_table(_i - 1) : &nib_kernels_scalar;
	struct nib_vec_insn insns[] = {
		{ .op = NIB_VEC_LOAD, .dst = 0, .a = 0 },
		{ .op = NIB_VEC_IOTA, .dst = 1 },
		{ .op = NIB_VEC_FMA, .dst = 2, .a = 0, .b = 0, .imm = 1 },
		{ .op = NIB_VEC_RSUM, .dst = 3, .a = 2 },
		{ .op = NIB_VEC_ADD, .dst = 4, .a = 1, .b = 3 },
		{ .op = NIB_VEC_STORE, .dst = 1, .a = 4 },
	};
	float *x = fixture_alloc(4099 * 4), *y = fixture_alloc(4099 * 4);
	float *out = fixture_alloc(4099 * 4), *regs = fixture_alloc(NIB_VEC_REGS * 4112 * 4), sum;
	uint8_t *operand[] = { (uint8_t *)x, (uint8_t *)out };
	struct nib_vec_job job = {
		.operand = operand, .stride = (const ptrdiff_t[]){4, 4},
		.fmt = (const uint32_t[]){NIB_FMT_F32, NIB_FMT_F32}, .insns = insns, .regs = regs,
	};
	uint32_t s, i;

	fixture_seed(_i + 850);
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		job.n = sizes[s];
		for (i = 0; i < job.n; i++) {
			x[i] = fixture_uniform();
			y[i] = fmaf(x[i], x[i], i);
		}
		insns[4].b = 3;
		job.n_insns = 6;
		sum = lanes(y, job.n);
		table->vec(&job);
		for (i = 0; i < job.n; i++)
			CHECK(out[i] == i + sum);
		/* The same without the sum. */
		insns[3] = insns[4];
		insns[3].b = 2;
		insns[4] = insns[5];
		job.n_insns = 5;
		table->vec(&job);
		for (i = 0; i < job.n; i++)
			CHECK(out[i] == i + y[i]);
		insns[4] = insns[3];
		insns[3] = (struct nib_vec_insn){ .op = NIB_VEC_RSUM, .dst = 3, .a = 2 };
	}
	free(x);
	free(y);
	free(out);
	free(regs);
}
END_TEST

/* Registers may be sources and destination at once. */
START_TEST(vec_in_place)
{
	const struct nib_kernels *table = _i ? fixture_table(_i - 1) : &nib_kernels_scalar;
	struct nib_vec_insn insns[] = {
		{ .op = NIB_VEC_LOAD, .dst = 0, .a = 0 },
		{ .op = NIB_VEC_FMA, .dst = 0, .a = 0, .b = 0, .imm = 0 },
		{ .op = NIB_VEC_RSUM, .dst = 1, .a = 0 },
		{ .op = NIB_VEC_SUB, .dst = 0, .a = 0, .b = 1 },
		{ .op = NIB_VEC_RSUM, .dst = 0, .a = 0 },
		{ .op = NIB_VEC_STORE, .dst = 0, .a = 0 },
	};
	float x[50], y[50], sum, *regs = fixture_alloc(NIB_VEC_REGS * 64 * 4);
	uint8_t *operand[] = { (uint8_t *)x };
	struct nib_vec_job job = {
		.operand = operand, .stride = (const ptrdiff_t[]){4},
		.fmt = (const uint32_t[]){NIB_FMT_F32}, .insns = insns, .regs = regs, .n_insns = 6,
		.n = 50,
	};
	uint32_t i;

	for (i = 0; i < 50; i++) {
		x[i] = (float)i / 7;
		y[i] = fmaf(x[i], x[i], x[i]);
	}
	sum = lanes(y, 50);
	for (i = 0; i < 50; i++)
		y[i] -= sum;
	sum = lanes(y, 50);
	table->vec(&job);
	for (i = 0; i < 50; i++)
		CHECK(x[i] == sum);
	free(regs);
}
END_TEST

/* Several runs at once, at strides of none to three elements: the bits of one by one. */
START_TEST(vec_runs)
{
	enum { N = 32, RUNS = 7, ROOM = 4096 };
	const struct nib_kernels *table = _i ? fixture_table(_i - 1) : &nib_kernels_scalar;
	const struct nib_vec_insn insns[] = {
		{ .op = NIB_VEC_LOAD, .dst = 0, .a = 0 },
		{ .op = NIB_VEC_LOAD, .dst = 1, .a = 1 },
		{ .op = NIB_VEC_LOAD, .dst = 2, .a = 2 },
		{ .op = NIB_VEC_FMA, .dst = 3, .a = 0, .b = 1, .imm = 2 },
		{ .op = NIB_VEC_STORE, .dst = 3, .a = 3 },
		{ .op = NIB_VEC_STORE, .dst = 0, .a = 1 },
	};
	static const ptrdiff_t stride[4] = { 8, 4, 0, 12 };
	static const ptrdiff_t step[4] = { 8 * N, 0, 4, 12 * N + 8 };
	static const uint32_t fmt[4] = { NIB_FMT_F32, NIB_FMT_F32, NIB_FMT_F32, NIB_FMT_F32 };
	float *memory[2], *regs = fixture_alloc(NIB_VEC_REGS * N * RUNS * 4);
	uint32_t at, i, r;

	for (at = 0; at < 2; at++) {
		uint8_t *operand[4];
		struct nib_vec_job job = {
			.operand = operand, .stride = stride, .step = step, .fmt = fmt,
			.insns = insns, .regs = regs, .n_insns = 6, .n = N,
			.runs = at ? RUNS : 1,
		};

		memory[at] = fixture_alloc(ROOM * 4);
		fixture_seed(910);
		for (i = 0; i < ROOM; i++)
			memory[at][i] = i % 97 ? fixture_uniform() : NAN;
		for (r = 0; r < (at ? 1 : RUNS); r++) {
			for (i = 0; i < 4; i++)
				operand[i] = (uint8_t *)(memory[at] + 1024 * i) + r * step[i];
			table->vec(&job);
		}
	}
	fixture_same(memory[1], memory[0], ROOM, table->name);
	free(memory[0]);
	free(memory[1]);
	free(regs);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kernels: vector programs");
	TCase *tests = tcase_create("vector programs");

	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, vec_ops_alone, 0, sizeof(vec_ops));
	tcase_add_loop_test(tests, vec_operands, 0, 1 + fixture_tables());
	tcase_add_loop_test(tests, vec_strips, 0, 1 + fixture_tables());
	tcase_add_loop_test(tests, vec_in_place, 0, 1 + fixture_tables());
	tcase_add_loop_test(tests, vec_runs, 0, 1 + fixture_tables());
	suite_add_tcase(suite, tests);
	return fixture_run(suite);
}
