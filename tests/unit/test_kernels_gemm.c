/* SPDX-License-Identifier: MIT */
/*
 * GEMM: the scalar reference is a matrix product, and every other kernel table gives its bits, for
 * all pairs of formats, shapes with remainders and operands made to hurt. Also which table the
 * dispatcher chooses.
 */
#include "kernel_fixture.h"
#include "kernels/element.h"

/* What fills the operands of a GEMM. */
enum fill {
	ORDINARY,	/* quantized numbers */
	LIMITS,		/* any codes under scales near 1: NaNs, infinities, largest values */
	UNDERFLOW,	/* BF16 whose products lie around the smallest normal number */
	SUBNORMAL, /* BF16: subnormals, which count as zeros, on one side, large on the other */
	LARGE,
	ANY,		/* any codes under any scales: NaN scales, overflow, subnormal scales */
	FILLS,
};

static uint32_t fill_code(uint32_t fmt, enum fill fill)
{
	uint32_t code = fixture_u32();

	if (fmt != NIB_FMT_BF16)
		return code & ((1u << nib_format_bits(fmt)) - 1);
	if (fill == UNDERFLOW)
		return (code & 0x807f) | (46 + fixture_below(36)) << 7;
	if (fill == SUBNORMAL)
		return code & 0x807f;
	if (fill == LARGE)
		return (code & 0x807f) | (160 + fixture_below(20)) << 7;
	if (fill == LIMITS && fixture_below(50))
		return (code & 0x807f) | (117 + fixture_below(20)) << 7;
	return code & 0xffff;
}

static uint32_t fill_scale(uint32_t fmt, enum fill fill)
{
	if (fill == ANY)
		return fixture_u32() & 0xff;
	return fmt == NIB_FMT_NVFP4 ? 1 + fixture_below(126) : 117 + fixture_below(20);
}

/* Rows of A; element (m, i) lives where nib_format.h says, everything else is zero. */
static uint8_t *make_rows(uint32_t fmt, uint32_t rows, uint32_t k, enum fill fill)
{
	size_t pitch = nib_row_bytes(fmt, k);
	uint8_t *a = fixture_alloc(pitch * rows);
	uint32_t m, t, i, block = nib_format_block(fmt);
	float *x = fixture_alloc(k * sizeof(float)), scale;

	for (m = 0; m < rows; m++) {
		uint8_t *row = a + m * pitch;

		if (fill == ORDINARY) {
			for (i = 0; i < k; i++)
				x[i] = fixture_uniform();
			nib_kernels_scalar.row_encode(fmt, NIB_SCALE_CEIL, x, k, row);
			continue;
		}
		for (t = 0; t < nib_format_terms(fmt); t++) {
			for (i = 0; i < k; i++) {
				fixture_row_put(fmt, row, k, t, i, fill_code(fmt, fill));
				if (block && i % block == 0)
					*fixture_row_scale(fmt, row, k, t, i) =
						fill_scale(fmt, fill);
			}
		}
		if (fmt == NIB_FMT_NVFP4) {
			scale = fixture_uniform();
			memcpy(row + nib_row_data_bytes(fmt, k) + nib_row_scale_bytes(fmt, k),
			       &scale, 4);
		}
	}
	free(x);
	return a;
}

/* Copies the codes of one row into output n of a panel. */
static void pack_output(uint32_t fmt, uint8_t *panels, uint32_t k, uint32_t n, uint8_t *row)
{
	size_t bits = nib_format_bits(fmt), data = nib_row_data_bytes(fmt, k);
	size_t term = data + nib_row_scale_bytes(fmt, k);
	uint32_t t, i, code;

	for (t = 0; t < nib_format_terms(fmt); t++) {
		for (i = 0; i < k; i++) {
			code = 0;
			memcpy(&code, row + t * term + i * bits / 8, bits == 16 ? 2 : 1);
			fixture_panel_put(fmt, panels, k, t, n, i,
					  code >> i * bits % 8 & ((1u << bits) - 1));
			if (nib_format_block(fmt))
				*fixture_panel_scale(fmt, panels, k, t, n, i) =
					*fixture_row_scale(fmt, row, k, t, i);
		}
	}
}

static uint8_t *make_panels(uint32_t fmt, uint32_t n, uint32_t k, enum fill fill)
{
	uint8_t *w = fixture_alloc(nib_panels_bytes(fmt, n, k));
	uint8_t *rows = make_rows(fmt, n, k, fill);
	uint32_t i;

	for (i = 0; i < n; i++)
		pack_output(fmt, w, k, i, rows + i * nib_row_bytes(fmt, k));
	free(rows);
	return w;
}

/* One shape and pair of formats on all tables; the epilogue varies with @variant. */
static void gemm_case(uint32_t a_fmt, uint32_t w_fmt, uint32_t rows, uint32_t n, uint32_t k,
		      enum fill fill, uint32_t variant)
{
	uint32_t out_fmt = variant & 8 ? NIB_FMT_BF16 : NIB_FMT_F32, i, t;
	size_t elements = (size_t)rows * n, bytes = elements * nib_format_bits(out_fmt) / 8;
	enum fill w_fill = fill == SUBNORMAL ? LARGE : fill == LARGE ? SUBNORMAL : fill;
	uint8_t *a = make_rows(a_fmt, rows, k, fill), *w = make_panels(w_fmt, n, k, w_fill);
	uint8_t *want = fixture_alloc(bytes), *got = fixture_alloc(bytes);
	float *bias = fixture_alloc(n * 4ul), *residual = fixture_alloc(elements * 4);
	struct nib_gemm_job job = {
		.a = a,
		.w = w,
		.out = want,
		.bias = variant & 1 ? bias : NULL,
		.residual = variant & 2 ? (uint8_t *)residual : NULL,
		.a_pitch = nib_row_bytes(a_fmt, k),
		.out_pitch = bytes / rows,
		.residual_pitch = n * 4ul,
		.rows = rows,
		.n = n,
		.k = k,
		.a_fmt = a_fmt,
		.w_fmt = w_fmt,
		.out_fmt = out_fmt,
		.activation = variant / 16 % 4,
		.alpha = variant & 4 ? 0.3f : 1.0f,
	};

	for (i = 0; i < n; i++)
		bias[i] = fixture_uniform();
	for (i = 0; i < elements; i++)
		residual[i] = fixture_uniform();
	nib_kernels_scalar.gemm(&job);
	job.out = got;
	for (t = 0; fixture_table(t); t++) {
		memset(got, 0x5a, bytes);
		fixture_table(t)->gemm(&job);
		for (i = 0; i < bytes / 4; i++)
			CHECK_MSG(
				!memcmp(got + i * 4, want + i * 4, 4),
				"%s: formats %u x %u, %u x %u x %u, fill %d, variant %u: word %u "
				"is %08x, not %08x",
				fixture_table(t)->name, a_fmt, w_fmt, rows, n, k, fill, variant, i,
				((uint32_t *)got)[i], ((uint32_t *)want)[i]);
		CHECK(!memcmp(got, want, bytes));
	}
	free(a);
	free(w);
	free(want);
	free(got);
	free(bias);
	free(residual);
}

/* Every pair of formats, shapes with remainders in all directions, every fill and epilogue. */
START_TEST(gemm_tables)
{
	uint32_t a_fmt = fixture_gemm_formats[_i / FIXTURE_GEMM_FORMATS];
	uint32_t w_fmt = fixture_gemm_formats[_i % FIXTURE_GEMM_FORMATS];
	uint32_t i;

	fixture_seed(_i + 1);
	gemm_case(a_fmt, w_fmt, 1, 1, 1, ORDINARY, 0);
	gemm_case(a_fmt, w_fmt, 19, 130, 33, ORDINARY, 15);
	gemm_case(a_fmt, w_fmt, 3, 65, 200, ANY, 0);
	for (i = 0; i < 2 * FILLS; i++)
		gemm_case(a_fmt, w_fmt, 1 + fixture_below(19), 1 + fixture_below(130),
			  1 + fixture_below(200), i % FILLS, fixture_u32());
}
END_TEST

/*
 * Shapes with every remainder: of outputs in a panel, of elements in a tile, of the rows that kernels
 * take at a time, and of the most rows that they hold.
 */
START_TEST(gemm_remainders)
{
	static const uint32_t many[] = { 47, 48, 49, 54, 95, 96, 97 };
	uint32_t a_fmt = fixture_gemm_formats[_i / FIXTURE_GEMM_FORMATS];
	uint32_t w_fmt = fixture_gemm_formats[_i % FIXTURE_GEMM_FORMATS];
	uint32_t i;

	fixture_seed(_i + 1300);
	for (i = 0; i < 64; i += FIXTURE_STRIDE)
		gemm_case(a_fmt, w_fmt, 1 + i % 13, 1 + i, 1 + i * 7 % 64, i % 2 ? ANY : ORDINARY, i);
	for (i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		gemm_case(a_fmt, w_fmt, many[i], 65, 33, LIMITS, i);
}
END_TEST

/* Elements that are tried: all codes, or of BF16 every upper byte, with one lower byte or another. */
static uint32_t codes_of(uint32_t fmt)
{
	return fmt == NIB_FMT_BF16 ? 256 : 1u << nib_format_bits(fmt);
}

static uint32_t code_of(uint32_t fmt, uint32_t i)
{
	return fmt == NIB_FMT_BF16 ? i << 8 | (i * 0x9d & 0xff) : i;
}

/* On all tables, all rows at once and a few at a time: kernels for few rows are others. */
static void compare_tables(const struct nib_gemm_job *reference, const char *what)
{
	const uint32_t groups[] = { reference->rows, 1, 2, 3 };
	size_t bytes = reference->rows * reference->out_pitch, i, g;
	uint8_t *want = fixture_alloc(bytes), *got = fixture_alloc(bytes);
	struct nib_gemm_job job = *reference;
	uint32_t m;
	int t;

	job.out = want;
	nib_kernels_scalar.gemm(&job);
	for (t = 0; fixture_table(t); t++) {
		for (g = 0; g < 4; g++) {
			memset(got, 0x5a, bytes);
			for (m = 0; m < reference->rows; m += job.rows) {
				job.rows = reference->rows - m;
				job.rows = groups[g] < job.rows ? groups[g] : job.rows;
				job.a = reference->a + m * job.a_pitch;
				job.out = got + m * job.out_pitch;
				fixture_table(t)->gemm(&job);
			}
			for (i = 0; i < bytes / 4; i++)
				CHECK_MSG(!memcmp(got + i * 4, want + i * 4, 4),
					  "%s: formats %u x %u, %u at a time: %s %zu with %zu: %08x, not %08x",
					  fixture_table(t)->name, job.a_fmt, job.w_fmt, groups[g],
					  what, i / job.n, i % job.n, ((uint32_t *)got)[i],
					  ((uint32_t *)want)[i]);
		}
	}
	free(want);
	free(got);
}

/*
 * Row m has code m, output n code n, at places that differ in all that kernels treat differently: the
 * first alone, and then beside numbers that make the sum round.
 */
START_TEST(gemm_every_pair_of_codes)
{
	static const struct {
		uint32_t at;
		enum fill fill;
	} places[] = {
		{ 4, ORDINARY }, { 31, ORDINARY }, { 10, LIMITS }, { 21, LIMITS },
	};
	uint32_t a_fmt = fixture_gemm_formats[_i / FIXTURE_GEMM_FORMATS];
	uint32_t w_fmt = fixture_gemm_formats[_i % FIXTURE_GEMM_FORMATS];
	uint32_t rows = codes_of(a_fmt), n = codes_of(w_fmt), k = 32, m, t, i;
	struct nib_gemm_job job = {
		.a_pitch = nib_row_bytes(a_fmt, k), .out_pitch = n * 4ul, .rows = rows, .n = n,
		.k = k, .a_fmt = (uint16_t)a_fmt, .w_fmt = (uint16_t)w_fmt, .out_fmt = NIB_FMT_F32,
		.alpha = 1.0f,
	};

	fixture_seed(_i + 500);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i += FIXTURE_STRIDE > 1 ? 3 : 1) {
		uint8_t *a = make_rows(a_fmt, rows, k, places[i].fill);
		uint8_t *w = make_panels(w_fmt, n, k, places[i].fill);
		uint32_t at = places[i].at;

		for (m = 0; m < rows * (k - 1) && places[i].fill == ORDINARY; m++)
			for (t = 0; t < nib_format_terms(a_fmt); t++)
				fixture_row_put(a_fmt, a + m / (k - 1) * job.a_pitch, k, t,
						(at + 1 + m % (k - 1)) % k, 0);
		for (t = 0; t < nib_format_terms(a_fmt); t++)
			for (m = 0; m < rows; m++)
				fixture_row_put(a_fmt, a + m * job.a_pitch, k, t, at,
						code_of(a_fmt, m));
		for (t = 0; t < nib_format_terms(w_fmt); t++)
			for (m = 0; m < n; m++)
				fixture_panel_put(w_fmt, w, k, t, m, at, code_of(w_fmt, m));
		job.a = a;
		job.w = w;
		compare_tables(&job, places[i].fill == LIMITS ? "code, beside others," : "code");
		free(a);
		free(w);
	}
}
END_TEST

/* Row m has scale m, output n scale n, NaN and the ends of the range included; in either tile. */
START_TEST(gemm_every_pair_of_scales)
{
	uint32_t a_fmt = fixture_gemm_formats[_i / FIXTURE_GEMM_FORMATS];
	uint32_t w_fmt = fixture_gemm_formats[_i % FIXTURE_GEMM_FORMATS];
	uint32_t rows = 256, n = 256, m, t, i, at;
	struct nib_gemm_job job = {
		.out_pitch = n * 4ul, .rows = rows, .n = n, .a_fmt = (uint16_t)a_fmt,
		.w_fmt = (uint16_t)w_fmt, .out_fmt = NIB_FMT_F32, .alpha = 1.0f,
	};

	fixture_seed(_i + 900);
	for (at = 0; at < 64; at += 32 * FIXTURE_STRIDE) {
		uint32_t k = at + 32;
		uint8_t *a = make_rows(a_fmt, rows, k, ORDINARY);
		uint8_t *w = make_panels(w_fmt, n, k, ORDINARY);

		job.k = k;
		job.a_pitch = nib_row_bytes(a_fmt, k);

		for (m = 0; nib_format_block(a_fmt) && m < rows; m++)
			for (t = 0; t < nib_format_terms(a_fmt); t++)
				for (i = at; i < at + 32; i += nib_format_block(a_fmt))
					*fixture_row_scale(a_fmt, a + m * job.a_pitch, k, t, i) =
						(uint8_t)m;
		for (m = 0; nib_format_block(w_fmt) && m < n; m++)
			for (t = 0; t < nib_format_terms(w_fmt); t++)
				for (i = at; i < at + 32; i += nib_format_block(w_fmt))
					*fixture_panel_scale(w_fmt, w, k, t, m, i) = (uint8_t)m;
		job.a = a;
		job.w = w;
		compare_tables(&job, "scale");
		free(a);
		free(w);
	}
}
END_TEST

/*
 * FP8 x FP4 is exact in FP32, so that integers do, while 12 times the sum of magnitudes is at most
 * 2^24 times the unit that elements are multiples of: blocks on either side of that, for several units,
 * times the largest weights and others, beside each other and alone.
 */
START_TEST(gemm_exact_border)
{
	static const float blocks[][16] = {
		/* The unit is 2^-9: just within, just beyond, far beyond, few bits. */
		{ 448, 448, 448, 448, 448, 448, 40, 2.5, 0.15625, 5 / 512.0 },
		{ 448, 448, 448, 448, 448, 448, 40, 2.5, 0.15625, 7 / 512.0 },
		{ 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 416, 384, 352, 1 / 512.0 },
		/* Ties, of which each is lost, and both together would not be. */
		{ 448, 448, 448, 448, 448, 448, 448, 448, 448, 1 / 512.0, 0, 1 / 512.0 },
		{ 1 / 512.0, 3 / 512.0, 0.25, -1, 2 },
		/* 2^-8. */
		{ 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 80, 5, 0.3125,
		  10 / 512.0 },
		{ 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 80, 5, 0.3125,
		  14 / 512.0 },
		/* 2^-6, which 16 bits hold, and the largest of all. */
		{ 448, 448, -448, 448, 448, 448, -448, 448, 448, 448, 448, 448, 80, 5, 9 / 64.0 },
		{ 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 448, 448 },
		{ 0 },
	};
	static const uint32_t a_fmts[] = { NIB_FMT_MXFP8, NIB_FMT_MXFP8X2 };
	static const uint32_t w_fmts[] = { NIB_FMT_MXFP4, NIB_FMT_NVFP4, NIB_FMT_MXFP8 };
	const uint32_t count = sizeof(blocks) / sizeof(blocks[0]), k = 96, n = 70, rows = 2 * count;
	uint32_t a_fmt = a_fmts[_i % 2], w_fmt = w_fmts[_i / 2], m, t, i, code;
	uint8_t *a = make_rows(a_fmt, rows, k, ORDINARY), *w = make_panels(w_fmt, n, k, ORDINARY);
	struct nib_gemm_job job = {
		.a = a, .w = w, .a_pitch = nib_row_bytes(a_fmt, k), .out_pitch = n * 4ul, .rows = rows,
		.n = n, .k = k, .a_fmt = (uint16_t)a_fmt, .w_fmt = (uint16_t)w_fmt,
		.out_fmt = NIB_FMT_F32, .alpha = 1.0f,
	};

	fixture_seed(_i + 700);
	for (m = 0; m < rows; m++) {
		for (t = 0; t < nib_format_terms(a_fmt); t++) {
			for (i = 0; i < k; i++) {
				code = nib_e4m3_encode(blocks[(m + i / 32) % count][i % 16]);
				if (i % 32 >= 16 && w_fmt != NIB_FMT_NVFP4)
					code = 0;
				if (m >= count && i % 3 == 0)
					code ^= 0x80;
				fixture_row_put(a_fmt, a + m * job.a_pitch, k, t, i, code);
			}
		}
	}
	/*
	 * The largest weights, but odd ones where the fourth block has its small elements; of alternating
	 * signs; of the signs of half of the rows.
	 */
	for (m = 0; m < n; m++) {
		for (i = 0; i < k && m % 4 < 3; i++) {
			code = w_fmt == NIB_FMT_MXFP8 ? 0x7e : 7;
			if (m % 4 == 0 && (i % 16 == 9 || i % 16 == 11))
				code = 1;
			if ((m % 4 == 1 && i % 2) || (m % 4 == 2 && i % 3 == 0))
				code |= w_fmt == NIB_FMT_MXFP8 ? 0x80 : 8;
			fixture_panel_put(w_fmt, w, k, 0, m, i, code);
		}
	}
	compare_tables(&job, "output");
	free(a);
	free(w);
}
END_TEST

/*
 * Around the smallest normal number: 2^-126 - x is rounded to 24 bits before it is seen to be
 * subnormal, so that it stays for x up to 2^-151, half a unit, and is zero from there on.
 */
START_TEST(gemm_flush_border)
{
	/* BF16 of -x = a * w with w = -2^-76. */
	static const struct {
		float a;
		float result;
	} cases[] = {
		{0x1p-76f, 0x1p-126f},	{0x1.fcp-76f, 0x1p-126f}, {0x1p-75f, 0x1p-126f},
		{0x1.02p-75f, 0.0f},	{0x1p-74f, 0.0f},	  {0x1p-50f, 0.0f},
		{0x1p-49f, -0x1p-126f},
	};
	uint16_t a[32] __attribute__((aligned(16))) = { 0 };
	uint8_t *w = fixture_alloc(nib_panels_bytes(NIB_FMT_BF16, 1, 32));
	float got, want;
	size_t i;
	int t;

	a[1] = nib_bits(0x1p-63f) >> 16;
	fixture_panel_put(NIB_FMT_BF16, w, 32, 0, 0, 0, nib_bits(-0x1p-76f) >> 16);
	fixture_panel_put(NIB_FMT_BF16, w, 32, 0, 0, 1, nib_bits(0x1p-63f) >> 16);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nib_gemm_job job = {
			.a = (uint8_t *)a,
			.w = w,
			.out = (uint8_t *)&got,
			.a_pitch = 64,
			.out_pitch = 4,
			.rows = 1,
			.n = 1,
			.k = 32,
			.a_fmt = NIB_FMT_BF16,
			.w_fmt = NIB_FMT_BF16,
			.out_fmt = NIB_FMT_F32,
			.alpha = 1.0f,
		};

		a[0] = nib_bits(cases[i].a) >> 16;
		want = cases[i].result;
		nib_kernels_scalar.gemm(&job);
		fixture_same(&got, &want, 1, "scalar");
		for (t = 0; fixture_table(t); t++) {
			fixture_table(t)->gemm(&job);
			fixture_same(&got, &want, 1, fixture_table(t)->name);
		}
	}
	free(w);
}
END_TEST

/* More rows, panels and tiles than the vector kernels hold at a time. */
START_TEST(gemm_large)
{
	fixture_seed(100);
	gemm_case(NIB_FMT_MXFP8, NIB_FMT_MXFP4, 50, 90, 1500, ORDINARY, 0);
	gemm_case(NIB_FMT_MXFP8X2, NIB_FMT_NVFP4, 49, 64, 800, LIMITS, 1);
	gemm_case(NIB_FMT_NVFP4, NIB_FMT_MXFP8, 2, 330, 700, ORDINARY, 2);
	gemm_case(NIB_FMT_BF16, NIB_FMT_BF16, 97, 70, 710, UNDERFLOW, 0);
	gemm_case(NIB_FMT_MXFP4, NIB_FMT_MXFP4, 1, 64, 70000, ORDINARY, 0);
	gemm_case(NIB_FMT_MXFP4, NIB_FMT_MXFP4, 55, 100, 900, ANY, 0);
	gemm_case(NIB_FMT_MXFP8, NIB_FMT_MXFP4, 130, 70, 4300, LIMITS, 0);
	gemm_case(NIB_FMT_MXFP8, NIB_FMT_MXFP8, 100, 900, 1500, ORDINARY, 0);
	gemm_case(NIB_FMT_MXFP4, NIB_FMT_MXFP4, 98, 1100, 3000, ORDINARY, 0);
	gemm_case(NIB_FMT_NVFP4, NIB_FMT_NVFP4, 97, 130, 4100, ORDINARY, 0);
}
END_TEST

/* The reference is a matrix product: against FP64, within the rounding of its FP32 sums. */
START_TEST(gemm_is_a_product)
{
	uint32_t a_fmt = fixture_gemm_formats[_i / FIXTURE_GEMM_FORMATS];
	uint32_t w_fmt = fixture_gemm_formats[_i % FIXTURE_GEMM_FORMATS];
	uint32_t rows = 3, n = 67, k = 100, m, j, i;
	uint8_t *a, *w;
	float *out = fixture_alloc(rows * n * 4), x[100], y[100];
	struct nib_gemm_job job;

	fixture_seed(_i + 200);
	a = make_rows(a_fmt, rows, k, ORDINARY);
	w = make_panels(w_fmt, n, k, ORDINARY);
	job = (struct nib_gemm_job){
		.a = a, .w = w, .out = (uint8_t *)out, .a_pitch = nib_row_bytes(a_fmt, k),
		.out_pitch = n * 4, .rows = rows, .n = n, .k = k, .a_fmt = a_fmt, .w_fmt = w_fmt,
		.out_fmt = NIB_FMT_F32, .alpha = 2.0f,
	};
	nib_kernels_scalar.gemm(&job);
	for (m = 0; m < rows; m++) {
		nib_kernels_scalar.row_decode(a_fmt, a + m * job.a_pitch, k, 0, k, x);
		for (j = 0; j < n; j++) {
			double sum = 0, size = 0;

			nib_kernels_scalar.panel_decode(w_fmt, w, k, j, 1.0f, y);
			for (i = 0; i < k; i++) {
				sum += (double)x[i] * y[i];
				size += fabs((double)x[i] * y[i]);
			}
			CHECK_MSG(fabs(out[m * n + j] - 2 * sum) <= size * 1e-5,
				  "%u %u: %g, not %g", m, j, out[m * n + j], 2 * sum);
		}
	}
	free(a);
	free(w);
	free(out);
}
END_TEST

/* A row's result does not depend on the rows around it. */
START_TEST(gemm_batch)
{
	uint32_t rows = 60, n = 70, k = 130, m, t;
	uint8_t *a, *w;
	float *all = fixture_alloc(rows * n * 4), *one = fixture_alloc(n * 4);
	struct nib_gemm_job job;

	fixture_seed(300);
	a = make_rows(NIB_FMT_MXFP8, rows, k, ORDINARY);
	w = make_panels(NIB_FMT_MXFP4, n, k, ORDINARY);
	for (t = 0; fixture_table(t); t++) {
		job = (struct nib_gemm_job){
			.a = a,
			.w = w,
			.out = (uint8_t *)all,
			.out_pitch = n * 4,
			.rows = rows,
			.n = n,
			.a_pitch = nib_row_bytes(NIB_FMT_MXFP8, k),
			.k = k,
			.a_fmt = NIB_FMT_MXFP8,
			.w_fmt = NIB_FMT_MXFP4,
			.out_fmt = NIB_FMT_F32,
			.alpha = 1.0f,
		};
		fixture_table(t)->gemm(&job);
		job.rows = 1;
		job.out = (uint8_t *)one;
		for (m = 0; m < rows; m++) {
			job.a = a + m * job.a_pitch;
			fixture_table(t)->gemm(&job);
			fixture_same(one, all + m * n, n, "row alone");
		}
	}
	free(a);
	free(w);
	free(all);
	free(one);
}
END_TEST

/*
 * What lies past k in the last block: elements of A do not count; blocks past k are left out, even
 * where their scales or weights are NaNs.
 */
START_TEST(gemm_past_k)
{
	uint32_t a_fmt = fixture_gemm_formats[_i / FIXTURE_GEMM_FORMATS], rows = 7, n = 66, k, t;
	uint32_t w_fmt = fixture_gemm_formats[_i % FIXTURE_GEMM_FORMATS], i, m, block;
	float *want = fixture_alloc(rows * n * 4), *got = fixture_alloc(rows * n * 4);
	struct nib_gemm_job job;
	uint8_t *a, *w;

	fixture_seed(_i + 250);
	block = a_fmt == NIB_FMT_NVFP4 || w_fmt == NIB_FMT_NVFP4 ? 16 : 32;
	for (k = 33; k < 64; k += 6) {
		uint32_t end = (k + block - 1) / block * block;

		a = make_rows(a_fmt, rows, k, ORDINARY);
		w = make_panels(w_fmt, n, k, ORDINARY);
		job = (struct nib_gemm_job){
			.a = a, .w = w, .out = (uint8_t *)want, .a_pitch = nib_row_bytes(a_fmt, k),
			.out_pitch = n * 4, .rows = rows, .n = n, .k = k, .a_fmt = a_fmt,
			.w_fmt = w_fmt, .out_fmt = NIB_FMT_F32, .alpha = 1.0f,
		};
		nib_kernels_scalar.gemm(&job);
		for (m = 0; nib_format_block(a_fmt) && m < rows; m++)
			for (i = k; i < 64; i++)
				fixture_row_put(a_fmt, a + m * job.a_pitch, k, 0, i, 0x7f &
						((1u << nib_format_bits(a_fmt)) - 1));
		for (m = 0; m < n; m++) {
			for (i = end; i < 64; i++) {
				fixture_panel_put(w_fmt, w, k, 0, m, i, 0x7fff &
						  ((1u << nib_format_bits(w_fmt)) - 1));
				if (nib_format_block(w_fmt) == 16)
					*fixture_panel_scale(w_fmt, w, k, 0, m, i) = 0x7f;
			}
		}
		job.out = (uint8_t *)got;
		nib_kernels_scalar.gemm(&job);
		fixture_same(got, want, rows * n, "scalar");
		for (t = 0; fixture_table(t); t++) {
			for (job.rows = 1; job.rows <= rows; job.rows += 3) {
				memset(got, 0x5a, rows * n * 4);
				fixture_table(t)->gemm(&job);
				fixture_same(got, want, job.rows * n, fixture_table(t)->name);
			}
		}
		free(a);
		free(w);
	}
	free(want);
	free(got);
}
END_TEST

/* In place: the residual is the output. */
START_TEST(gemm_in_place)
{
	uint32_t rows = 9, n = 100, k = 64, i, t;
	uint8_t *a, *w;
	float *want = fixture_alloc(rows * n * 4), *got = fixture_alloc(rows * n * 4);
	struct nib_gemm_job job;

	fixture_seed(400);
	a = make_rows(NIB_FMT_BF16, rows, k, ORDINARY);
	w = make_panels(NIB_FMT_BF16, n, k, ORDINARY);
	for (t = 0; fixture_table(t); t++) {
		for (i = 0; i < rows * n; i++)
			want[i] = got[i] = (float)i;
		job = (struct nib_gemm_job){
			.a = a,
			.w = w,
			.out = (uint8_t *)want,
			.residual = (uint8_t *)want,
			.a_pitch = nib_row_bytes(NIB_FMT_BF16, k),
			.out_pitch = n * 4,
			.residual_pitch = n * 4,
			.rows = rows,
			.n = n,
			.k = k,
			.a_fmt = NIB_FMT_BF16,
			.w_fmt = NIB_FMT_BF16,
			.out_fmt = NIB_FMT_F32,
			.alpha = 1.0f,
		};
		nib_kernels_scalar.gemm(&job);
		job.out = (uint8_t *)got;
		job.residual = (uint8_t *)got;
		fixture_table(t)->gemm(&job);
		fixture_same(got, want, rows * n, "in place");
	}
	free(a);
	free(w);
	free(want);
	free(got);
}
END_TEST

START_TEST(dispatch)
{
	ck_assert_ptr_eq(nib_kernels_get("scalar"), &nib_kernels_scalar);
	ck_assert_ptr_null(nib_kernels_get("no such table"));
	ck_assert_ptr_nonnull(nib_kernels_get(NULL));
	if (fixture_table(0))
		ck_assert_ptr_eq(nib_kernels_get(NULL), fixture_table(0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kernels: GEMM");
	TCase *tests = tcase_create("GEMM");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, dispatch);
	tcase_add_loop_test(tests, gemm_tables, 0, FIXTURE_GEMM_PAIRS);
	tcase_add_loop_test(tests, gemm_remainders, 0, FIXTURE_GEMM_PAIRS);
	tcase_add_loop_test(tests, gemm_every_pair_of_codes, 0, FIXTURE_GEMM_PAIRS);
	tcase_add_loop_test(tests, gemm_every_pair_of_scales, 0, FIXTURE_GEMM_PAIRS);
	tcase_add_loop_test(tests, gemm_exact_border, 0, 6);
	tcase_add_test(tests, gemm_flush_border);
	tcase_add_test(tests, gemm_large);
	tcase_add_loop_test(tests, gemm_is_a_product, 0, FIXTURE_GEMM_PAIRS);
	tcase_add_loop_test(tests, gemm_past_k, 0, FIXTURE_GEMM_PAIRS);
	tcase_add_test(tests, gemm_batch);
	tcase_add_test(tests, gemm_in_place);
	suite_add_tcase(suite, tests);
	return fixture_run(suite);
}
