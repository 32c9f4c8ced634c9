/* SPDX-License-Identifier: MIT */
/*
 * Speed of every kernel of every table, one thread: the least processor time of several runs, so
 * that other work on the machine disturbs little. Usage:
 *	bench_kernels [--csv] [--table NAME] [--quick] [FILTER]
 * FILTER is a part of the names wanted. GB/s counts the operand that a kernel streams (weights,
 * keys and values, or input), GFLOP/s two operations per multiply-add. "memory" is a plain read of
 * a buffer that no cache holds: the roof of one thread.
 */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "kernels/kernels.h"
#include "operands.h"

static const char *filter = "", *only;
static int csv, quick;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *make(size_t bytes)
{
	size_t rounded = (bytes + 4095) / 4096 * 4096;
	uint8_t *p = aligned_alloc(4096, rounded);

	if (!p) {
		fprintf(stderr, "bench_kernels: no memory for %zu bytes\n", bytes);
		exit(1);
	}
	fill_codes(p, rounded);
	return p;
}

static float *make_floats(size_t n)
{
	float *x = make(n * sizeof(float));

	fill_floats(x, n);
	return x;
}

static uint8_t *make_rows(uint32_t fmt, uint32_t rows, uint32_t k)
{
	uint8_t *a = make(nib_row_bytes(fmt, k) * rows);

	fill_rows(a, fmt, rows, k);
	return a;
}

static uint8_t *make_panels(uint32_t fmt, uint32_t n, uint32_t k)
{
	uint8_t *w = make(nib_panels_bytes(fmt, n, k));

	fill_panels(w, fmt, n, k);
	return w;
}

static void report(const char *table, const char *name, double seconds, double bytes, double flops)
{
	if (csv)
		printf("%s,\"%s\",%.3f,%.3f,%.3f\n", table, name, seconds * 1e6,
		       bytes / seconds * 1e-9, flops / seconds * 1e-9);
	else
		printf("%-8s %-44s %10.1f us %8.2f GB/s %9.2f GFLOP/s\n", table, name,
		       seconds * 1e6, bytes / seconds * 1e-9, flops / seconds * 1e-9);
	fflush(stdout);
}

/* Best time of one call: at least three, and until a quarter of a second has passed. */
#define BEST(call)						\
	({							\
		double best = 1e30, begin = now(), t;		\
		int runs = 0;					\
								\
		while (runs < 3 || now() - begin < (quick ? 0.03 : 0.25)) {	\
			t = now();				\
			call;					\
			t = now() - t;				\
			best = t < best ? t : best;		\
			if (++runs > 2 && t > 1)		\
				break;				\
		}						\
		best;						\
	})

static int wanted(const char *name)
{
	return strstr(name, filter) != NULL;
}

static void bench_gemm(const struct nib_kernels *table, uint32_t a_fmt, uint32_t w_fmt,
		       uint32_t rows, uint32_t n, uint32_t k)
{
	size_t bytes = nib_panels_bytes(w_fmt, n, k), pitch = nib_row_bytes(a_fmt, k);
	struct nib_gemm_job job = {
		.a_pitch = pitch,
		.out_pitch = n * 4ul,
		.rows = rows,
		.n = n,
		.k = k,
		.a_fmt = a_fmt,
		.w_fmt = w_fmt,
		.out_fmt = NIB_FMT_F32,
		.alpha = 1.0f,
	};
	void *a, *w, *out;
	char name[96];

	snprintf(name, sizeof(name), "gemm %s x %s %ux%ux%u", format_name(a_fmt),
		 format_name(w_fmt), rows, n, k);
	if (!wanted(name))
		return;
	job.a = a = make_rows(a_fmt, rows, k);
	job.w = w = make_panels(w_fmt, n, k);
	job.out = out = make((size_t)rows * n * 4);
	report(table->name, name, BEST(table->gemm(&job)), bytes, 2.0 * rows * n * k);
	free(a);
	free(w);
	free(out);
}

static void bench_attention(const struct nib_kernels *table, uint32_t fmt, uint32_t positions,
			    uint32_t dim, uint32_t n_rows)
{
	uint32_t heads = 32, kv = 8, i;
	size_t pitch = nib_row_bytes(fmt, kv * dim);
	float *q, *scratch, *out;
	const uint8_t **rows, **v_rows;
	uint8_t *data;
	char name[96];
	struct nib_attention_job job;

	snprintf(name, sizeof(name), "attention %s %u/%u heads of %u, %u positions, %u rows",
		 format_name(fmt), heads, kv, dim, positions, n_rows);
	if (!wanted(name))
		return;
	q = calloc(n_rows * heads * dim, 4);
	out = calloc(n_rows * heads * dim, 4);
	scratch = calloc(nib_attention_scratch(dim), 4);
	rows = calloc(positions, sizeof(*rows));
	v_rows = calloc(positions, sizeof(*rows));
	/* Keys in the first half, values in the second. */
	data = make_rows(fmt, 2 * positions, kv * dim);
	for (i = 0; i < positions; i++) {
		rows[i] = data + i * pitch;
		v_rows[i] = data + (positions + i) * pitch;
	}
	for (i = 0; i < n_rows * heads * dim; i++)
		q[i] = (float)(i % 17) / 16 - 0.5f;
	job = (struct nib_attention_job){
		.q = q,
		.out = out,
		.k_rows = rows,
		.v_rows = v_rows,
		.first = 0,
		.last = positions - n_rows,
		.rows = n_rows,
		.q_pitch = heads * dim * 4,
		.out_pitch = heads * dim * 4,
		.n_heads = heads,
		.n_kv_heads = kv,
		.head_dim = dim,
		.k_fmt = fmt,
		.v_fmt = fmt,
		.scale = 0.088f,
	};
	report(table->name, name, BEST(table->attention(&job, scratch)), 2.0 * positions * pitch,
	       4.0 * n_rows * positions * heads * dim);
	free(q);
	free(out);
	free(scratch);
	free(rows);
	free(v_rows);
	free(data);
}

static void bench_vec(const struct nib_kernels *table, uint32_t op, const char *op_name, uint32_t n)
{
	struct nib_vec_insn insns[] = {
		{ .op = NIB_VEC_LOAD, .dst = 0, .a = 0 },
		{ .op = op, .dst = 1, .a = 0 },
		{ .op = NIB_VEC_STORE, .dst = 1, .a = 1 },
	};
	uint32_t fmt[] = { NIB_FMT_F32, NIB_FMT_F32 }, i;
	ptrdiff_t stride[] = { 4, 4 };
	float *x, *y, *regs;
	uint8_t *operand[2];
	char name[96];
	struct nib_vec_job job;

	snprintf(name, sizeof(name), "vec %s, n %u", op_name, n);
	if (!wanted(name))
		return;
	x = make(n * 4ul);
	y = make(n * 4ul);
	regs = make((n + 15ul) / 16 * 16 * 4 * NIB_VEC_REGS);
	for (i = 0; i < n; i++)
		x[i] = (float)(i % 41) / 4 - 5;
	operand[0] = (uint8_t *)x;
	operand[1] = (uint8_t *)y;
	job = (struct nib_vec_job){
		.operand = operand, .stride = stride, .fmt = fmt, .insns = insns, .regs = regs,
		.n_insns = 3, .n = n,
	};
	report(table->name, name, BEST(for (i = 0; i < 16; i++) table->vec(&job)) / 16, n * 4.0, n);
	free(x);
	free(y);
	free(regs);
}

static void bench_rows(const struct nib_kernels *table, uint32_t fmt, uint32_t rule)
{
	static const char *const rules[] = { "floor", "ceil", "best3" };
	uint32_t k = 8192, i;
	float *x = make_floats(k);
	void *row = make(nib_row_bytes(fmt, k));
	char name[96];

	snprintf(name, sizeof(name), "row_encode %s %s", format_name(fmt), rules[rule]);
	if (wanted(name))
		report(table->name, name,
		       BEST(for (i = 0; i < 16; i++) table->row_encode(fmt, rule, x, k, row)) / 16,
		       k * 4.0, 0);
	snprintf(name, sizeof(name), "row_decode %s", format_name(fmt));
	if (wanted(name) && rule == NIB_SCALE_CEIL)
		report(table->name, name,
		       BEST(for (i = 0; i < 16; i++) table->row_decode(fmt, row, k, 0, k, x)) / 16,
		       k * 4.0, 0);
	free(x);
	free(row);
}

static void bench_sample(const struct nib_kernels *table, uint32_t n, float temperature,
			 uint32_t top_k)
{
	float *logits = make_floats(n), one = 1;
	void *scratch = make(n * 8ul);
	struct nib_sample_params params = { .top_k = top_k };
	char name[96];
	uint32_t i;

	memcpy(&params.temperature, &temperature, 4);
	memcpy(&params.top_p, &one, 4);
	for (i = 0; i < n; i++)
		logits[i] *= 10;
	snprintf(name, sizeof(name), "sample of %u, temperature %g, top_k %u", n, temperature,
		 top_k);
	if (wanted(name))
		report(table->name, name, BEST(table->sample(logits, n, &params, scratch)), n * 4.0,
		       0);
	free(logits);
	free(scratch);
}

static void bench_convert(const struct nib_kernels *table, uint32_t to, uint32_t from)
{
	uint32_t n = 8192, i;
	void *x = make(n * 4ul), *y = make(n * 4ul);
	char name[96];

	snprintf(name, sizeof(name), "convert %s to %s", format_name(from), format_name(to));
	if (wanted(name))
		report(table->name, name,
		       BEST(for (i = 0; i < 16; i++) table->convert(to, y, from, x, n)) / 16,
		       n * nib_format_bits(from) / 8.0, 0);
	free(x);
	free(y);
}

static void bench_panel(const struct nib_kernels *table, uint32_t fmt)
{
	uint32_t k = 8192, i;
	void *w = make_panels(fmt, NIB_PANEL_N, k);
	float *x = make(k * 4ul);
	char name[96];

	snprintf(name, sizeof(name), "panel_decode %s", format_name(fmt));
	if (wanted(name))
		report(table->name, name,
		       BEST(for (i = 0; i < 16; i++)
				table->panel_decode(fmt, w, k, i * 4, 1, x)) / 16,
		       k * nib_format_bits(fmt) / 8.0, 0);
	free(w);
	free(x);
}

/* One row of output pixels, 3 x 3 taps. */
static void bench_depthwise(const struct nib_kernels *table, uint32_t fmt, uint32_t width,
			    uint32_t channels)
{
	size_t pixel = channels * nib_format_bits(fmt) / 8, pitch[3] = { pixel, pixel, pixel };
	uint8_t *in = make(3 * width * pixel), *out = make(width * pixel);
	const uint8_t *rows[3] = { in, in + width * pixel, in + 2 * width * pixel };
	float *w = make_floats(9ul * channels);
	struct nib_depthwise_job job = {
		.in = rows, .w = w, .out = out, .in_pitch = pitch, .out_pitch = pixel,
		.in_w = width, .count = width, .channels = channels, .kernel_h = 3,
		.kernel_w = 3, .stride = 1, .pad = 1, .dilation = 1, .in_fmt = (uint16_t)fmt,
		.out_fmt = (uint16_t)fmt, .activation = NIB_ACT_SILU,
	};
	char name[96];

	snprintf(name, sizeof(name), "depthwise %s, %u pixels of %u channels", format_name(fmt),
		 width, channels);
	if (wanted(name))
		report(table->name, name, BEST(table->depthwise(&job)), 3.0 * width * pixel,
		       18.0 * width * channels);
	free(in);
	free(out);
	free(w);
}

/* Rows of a sequence: first generation (a state matrix by channel), second (a scalar by head). */
static void bench_scan(const struct nib_kernels *table, uint32_t rows, uint32_t channels,
		       uint32_t states, uint32_t share, uint32_t flags)
{
	uint32_t heads = channels / share, i;
	size_t per_a = flags & NIB_SCAN_SCALAR_A ? 1 : states;
	float *x = make_floats((size_t)rows * channels), *y = make((size_t)rows * channels * 4);
	float *delta = make_floats((size_t)rows * heads), *a = make_floats(heads * per_a);
	float *b = make_floats((size_t)rows * states), *c = make_floats((size_t)rows * states);
	float *d = make_floats(channels), *state = make_floats((size_t)channels * states);
	struct nib_scan_job job = {
		.x = x, .delta = delta, .b = b, .c = c, .y = y, .a = a, .d = d, .state = state,
		.x_pitch = channels * 4ul, .delta_pitch = heads * 4ul, .b_pitch = states * 4ul,
		.c_pitch = states * 4ul, .y_pitch = channels * 4ul, .rows = rows,
		.channels = channels, .count = channels, .states = states, .groups = 1,
		.share = share, .flags = flags,
	};
	char name[96];

	/* States that decay. */
	for (i = 0; i < heads * per_a; i++)
		a[i] = -1 - a[i] * a[i];
	for (i = 0; i < rows * heads; i++)
		delta[i] = 0.1f + delta[i] * delta[i];
	snprintf(name, sizeof(name), "scan %u channels of %u states, %s A, %u rows", channels, states,
		 flags ? "scalar" : "matrix", rows);
	if (wanted(name))
		report(table->name, name, BEST(table->scan(&job)), channels * states * 4.0,
		       6.0 * rows * channels * states);
	free(x);
	free(y);
	free(delta);
	free(a);
	free(b);
	free(c);
	free(d);
	free(state);
}

static void bench_join(const struct nib_kernels *table, uint32_t chunks)
{
	uint32_t heads = 32, dim = 64, i;
	size_t part = heads * NIB_ATTN_PART(dim);
	float *partial = make_floats(part * chunks), *fresh = make_floats(part);
	float *out = make(heads * dim * 4ul);
	struct nib_attention_job job = {
		.out = out, .n_heads = heads, .n_kv_heads = 8, .head_dim = dim,
	};
	char name[96];

	/* Sums are positive. Part 0 is written, the others are not. */
	for (i = 0; i < heads * chunks; i++)
		partial[i * NIB_ATTN_PART(dim) + dim + 1] = 1 + (float)(i % 7);
	memcpy(fresh, partial, part * 4);
	snprintf(name, sizeof(name), "attention_join %u heads of %u, %u chunks", heads, dim, chunks);
	if (wanted(name))
		report(table->name, name, BEST({
			memcpy(partial, fresh, part * 4);
			table->attention_join(&job, partial, chunks, 1);
		}), part * chunks * 4.0, 0);
	free(partial);
	free(fresh);
	free(out);
}

/* Decode: one row to a few; prefill: shapes of a 1.1B model, by pairs of formats. */
static void bench_gemms(const struct nib_kernels *table, int slow)
{
	static const uint16_t decode[] = { NIB_FMT_MXFP4, NIB_FMT_NVFP4, NIB_FMT_MXFP8,
					   NIB_FMT_MXFP8_E5M2, NIB_FMT_MXFP8X2, NIB_FMT_BF16 };
	static const uint16_t pairs[][2] = {
		{ NIB_FMT_MXFP8, NIB_FMT_MXFP4 }, { NIB_FMT_MXFP8, NIB_FMT_NVFP4 },
		{ NIB_FMT_MXFP8, NIB_FMT_MXFP8 }, { NIB_FMT_MXFP8X2, NIB_FMT_MXFP4 },
		{ NIB_FMT_BF16, NIB_FMT_BF16 },	  { NIB_FMT_MXFP4, NIB_FMT_MXFP4 },
		{ NIB_FMT_NVFP4, NIB_FMT_NVFP4 }, { NIB_FMT_MXFP4, NIB_FMT_NVFP4 },
		{ NIB_FMT_MXFP8_E5M2, NIB_FMT_MXFP4 }, { NIB_FMT_BF16, NIB_FMT_MXFP4 },
	};
	static const uint32_t shapes[][2] = { { 2048, 2048 }, { 16384, 2048 }, { 2048, 8192 } };
	uint32_t i, j, rows;

	for (i = 0; i < sizeof(decode) / sizeof(decode[0]); i++)
		bench_gemm(table, NIB_FMT_MXFP8, decode[i], 1, slow ? 64 : 8192, slow ? 512 : 8192);
	if (slow)
		return;
	bench_gemm(table, NIB_FMT_BF16, NIB_FMT_BF16, 1, 8192, 4096);
	for (rows = 1; rows <= 16; rows = rows < 4 ? rows + 1 : rows * 2) {
		bench_gemm(table, NIB_FMT_MXFP8, NIB_FMT_MXFP4, rows, 16384, 8192);
		bench_gemm(table, NIB_FMT_MXFP4, NIB_FMT_MXFP4, rows, 16384, 8192);
	}
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		for (j = 0; j < 3; j++)
			bench_gemm(table, pairs[i][0], pairs[i][1], 512, shapes[j][0],
				   shapes[j][1]);
}

static void bench_table(const struct nib_kernels *table)
{
	static const uint16_t weights[] = { NIB_FMT_MXFP4, NIB_FMT_NVFP4, NIB_FMT_MXFP8,
					    NIB_FMT_MXFP8_E5M2, NIB_FMT_MXFP8X2, NIB_FMT_BF16,
					    NIB_FMT_E4M3, NIB_FMT_E5M2 };
	static const uint16_t plain[] = { NIB_FMT_BF16, NIB_FMT_F16, NIB_FMT_E4M3, NIB_FMT_E5M2 };
	static const struct { uint32_t op; const char *name; } ops[] = {
		{ NIB_VEC_ADDI, "addi" }, { NIB_VEC_EXP, "exp" }, { NIB_VEC_LOG, "log" },
		{ NIB_VEC_TANH, "tanh" }, { NIB_VEC_SIGMOID, "sigmoid" }, { NIB_VEC_ERF, "erf" },
		{ NIB_VEC_SIN, "sin" }, { NIB_VEC_COS, "cos" }, { NIB_VEC_SQRT, "sqrt" },
		{ NIB_VEC_RSQRT, "rsqrt" }, { NIB_VEC_RCP, "rcp" }, { NIB_VEC_RINT, "rint" },
		{ NIB_VEC_RSUM, "rsum" }, { NIB_VEC_RMAX, "rmax" },
	};
	int slow = !strcmp(table->name, "scalar");
	uint32_t i, rows;

	bench_gemms(table, slow);
	for (i = 0; i < sizeof(weights) / sizeof(weights[0]); i++)
		bench_attention(table, weights[i], slow ? 100 : 8192, 64, 1);
	bench_attention(table, NIB_FMT_F32, slow ? 100 : 8192, 64, 1);
	bench_attention(table, NIB_FMT_MXFP8, slow ? 100 : 8192, 128, 1);
	if (!slow) {
		bench_attention(table, NIB_FMT_MXFP8, 512, 64, 1);
		bench_attention(table, NIB_FMT_MXFP8, 512, 64, 16);
		bench_attention(table, NIB_FMT_MXFP8, 512, 64, 64);
	}
	bench_join(table, 32);
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		bench_vec(table, ops[i].op, ops[i].name, 4096);
	bench_vec(table, NIB_VEC_SIGMOID, "sigmoid", 65536);
	for (i = 0; i < sizeof(weights) / sizeof(weights[0]); i++)
		for (rows = 0; rows < 3; rows++)
			bench_rows(table, weights[i], rows);
	for (i = 0; i < 6; i++)
		bench_panel(table, weights[i]);
	for (i = 0; i < 4; i++) {
		bench_convert(table, plain[i], NIB_FMT_F32);
		bench_convert(table, NIB_FMT_F32, plain[i]);
	}
	bench_depthwise(table, NIB_FMT_F32, 56, 512);
	bench_depthwise(table, NIB_FMT_BF16, 56, 512);
	bench_scan(table, slow ? 4 : 64, 2048, 16, 1, 0);
	bench_scan(table, slow ? 4 : 64, 2048, 128, 64, NIB_SCAN_SCALAR_A);
	bench_sample(table, 128256, 0, 0);
	bench_sample(table, 128256, 0.8f, 40);
	bench_sample(table, 128256, 0.8f, 0);
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Dot products of registers alone: the roof of one core. */
#define PEAK(vector, zero, step)						\
	({									\
		vector sum[16];							\
		uint32_t j, k;							\
										\
		_Pragma("GCC unroll 16")					\
		for (j = 0; j < 16; j++)					\
			sum[j] = zero;						\
		for (k = 0; k < 100000; k++) {					\
			_Pragma("GCC unroll 16")				\
			for (j = 0; j < 16; j++) {				\
				sum[j] = step;					\
				__asm__ volatile("" : "+v"(sum[j]));		\
			}							\
		}								\
	})

__attribute__((target("avx512f,avx512bf16"))) static void peak_bf16(void)
{
	__m512bh one = (__m512bh)_mm512_set1_epi16(0x3f80);

	PEAK(__m512, _mm512_setzero_ps(), _mm512_dpbf16_ps(sum[j], one, one));
}

__attribute__((target("avx512f,avx512vnni"))) static void peak_int8(void)
{
	__m512i one = _mm512_set1_epi8(1);

	PEAK(__m512i, _mm512_setzero_si512(), _mm512_dpbusd_epi32(sum[j], one, one));
}

/* A product that the compiler believes to be another one each time. */
#define AGAIN(op, x) ({								\
	__m256i y;								\
	__asm__ volatile(op " %1, %1, %0" : "=x"(y) : "x"(x));			\
	y;									\
})

/* What the kernels for AVX2 use: pairs of words, and pairs of bytes. */
__attribute__((target("avx2"))) static void peak_words(void)
{
	__m256i one = _mm256_set1_epi16(1);

	PEAK(__m256i, _mm256_setzero_si256(),
	     _mm256_add_epi32(sum[j], AGAIN("vpmaddwd", one)));
}

__attribute__((target("avx2"))) static void peak_bytes(void)
{
	__m256i one = _mm256_set1_epi8(1);

	PEAK(__m256i, _mm256_setzero_si256(),
	     _mm256_add_epi16(sum[j], AGAIN("vpmaddubsw", one)));
}

static void bench_peaks(void)
{
	if (wanted("peak words") && __builtin_cpu_supports("avx2"))
		report("-", "peak words", BEST(peak_words()), 0, 100000.0 * 16 * 32);
	if (wanted("peak bytes") && __builtin_cpu_supports("avx2"))
		report("-", "peak bytes", BEST(peak_bytes()), 0, 100000.0 * 16 * 64);
	if (wanted("peak bf16") && __builtin_cpu_supports("avx512bf16"))
		report("-", "peak bf16", BEST(peak_bf16()), 0, 100000.0 * 16 * 64);
	if (wanted("peak int8") && __builtin_cpu_supports("avx512vnni"))
		report("-", "peak int8", BEST(peak_int8()), 0, 100000.0 * 16 * 128);
}
#else
static void bench_peaks(void)
{
}
#endif

static void bench_memory(void)
{
	typedef uint64_t line __attribute__((vector_size(64)));
	size_t bytes = 256u << 20, i;
	line *p, sum[4] = { { 0 } };
	volatile uint64_t sink;
	double best;

	if (!wanted("memory"))
		return;
	p = make(bytes);
	best = BEST(for (i = 0; i < bytes / 64; i += 4) {
		sum[0] += p[i];
		sum[1] += p[i + 1];
		sum[2] += p[i + 2];
		sum[3] += p[i + 3];
	});
	sink = (sum[0] ^ sum[1] ^ sum[2] ^ sum[3])[0];
	(void)sink;
	report("-", "memory", best, (double)bytes, 0);
	free(p);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "avx512", "avx2", "scalar" };
	const struct nib_kernels *table;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--csv"))
			csv = 1;
		else if (!strcmp(argv[i], "--quick"))
			quick = 1;
		else if (!strcmp(argv[i], "--table") && i + 1 < argc)
			only = argv[++i];
		else
			filter = argv[i];
	}
	if (csv)
		printf("table,kernel,us,GB/s,GFLOP/s\n");
	bench_memory();
	bench_peaks();
	for (i = 0; i < 3; i++) {
		table = nib_kernels_get(names[i]);
		if (table && (!only || !strcmp(only, names[i])))
			bench_table(table);
	}
	return 0;
}
