/* SPDX-License-Identifier: MIT */
/*
 * Speed of every packet that computes or moves data, on the device in process: what a kernel of
 * bench_kernels comes to with all threads and with the device around it, and what has no table of
 * kernels of its own. The best of several runs.
 *
 *	bench_packets [--threads N] [--csv] [--quick] [FILTER]
 *
 * GB/s and Gop/s count what the device reports that it moved and computed.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "accel.h"
#include "accel_stream.h"
#include "nib_format.h"
#include "operands.h"

#define ROOM	(256ull << 20)
#define ONE	0x3f800000u
#define ROWS	512u
#define DIM	2048u
#define PAGE	16u	/* positions */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static struct accel_device *device;
static struct accel_queue *queue;
static struct accel_buffer *buffer;
static uint8_t *memory;
static uint64_t used;
static const char *filter = "";
static unsigned int threads;
static bool csv, quick;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "bench_packets: %s: %s\n", what, accel_last_error(device));
	exit(1);
}

/* Memory of the device for one operand. Its address, and where the CPU sees it in *@data. */
static uint64_t place(uint64_t bytes, void *data)
{
	uint64_t at = used;

	used += (bytes + 4095) & ~4095ull;
	if (used > ROOM) {
		fprintf(stderr, "bench_packets: operands of %llu bytes\n", (unsigned long long)used);
		exit(1);
	}
	if (data)
		*(uint8_t **)data = memory + at;
	return accel_buffer_address(buffer) + at;
}

static uint64_t place_floats(uint64_t n)
{
	float *x;
	uint64_t at = place(n * 4, &x);

	fill_floats(x, n);
	return at;
}

static uint64_t place_rows(uint32_t fmt, uint32_t rows, uint32_t k)
{
	uint8_t *a;
	uint64_t at = place(nib_row_bytes(fmt, k) * rows, &a);

	fill_rows(a, fmt, rows, k);
	return at;
}

static uint64_t place_panels(uint32_t fmt, uint32_t n, uint32_t k)
{
	uint8_t *w;
	uint64_t at = place(nib_panels_bytes(fmt, n, k), &w);

	fill_panels(w, fmt, n, k);
	return at;
}

static bool wanted(const char *name)
{
	/* Operands of the row before are done with. */
	used = 0;
	return strstr(name, filter);
}

static void report(const char *name, double seconds, const struct accel_job_stats *s)
{
	double bytes = (double)(s->hbm_read + s->hbm_write + s->sram_read + s->sram_write +
				s->host_read + s->host_write);

	if (csv)
		printf("packet %u threads,\"%s\",%.3f,%.3f,%.3f\n", threads, name, seconds * 1e6,
		       bytes / seconds * 1e-9, (double)s->ops / seconds * 1e-9);
	else
		printf("%-56s %10.1f us %8.2f GB/s %9.2f Gop/s\n", name, seconds * 1e6,
		       bytes / seconds * 1e-9, (double)s->ops / seconds * 1e-9);
	fflush(stdout);
}

static void run(const char *name, struct accel_builder *builder)
{
	struct accel_job_stats stats = { 0 };
	struct accel_job job = { .struct_size = sizeof(job), .stats = &stats };
	double best = 1e30, begin = now(), t;
	struct accel_stream *stream;
	const uint64_t *data;
	uint32_t nargs;
	size_t bytes;

	if (accel_builder_finish(builder, &data, &bytes, &nargs)) {
		fprintf(stderr, "bench_packets: %s: %s\n", name, accel_builder_error(builder));
		exit(1);
	}
	check(accel_stream_create(device, data, bytes, &stream), name);
	job.stream = stream;
	for (int runs = 0; runs < 3 || now() - begin < (quick ? 0.02 : 0.2); runs++) {
		t = now();
		check(accel_queue_submit(queue, &job, 1), name);
		check(accel_queue_sync(queue, UINT64_MAX), name);
		t = now() - t;
		best = t < best ? t : best;
		if (runs > 2 && t > 1)
			break;
	}
	report(name, best, &stats);
	accel_stream_destroy(stream);
}

static void run_packet(const char *name, const void *packet)
{
	struct accel_builder *builder;

	check(accel_builder_create(&builder), name);
	accel_builder_add(builder, packet);
	run(name, builder);
	accel_builder_destroy(builder);
}

static void run_vec(const char *name, struct accel_vec *vec, uint64_t d0, uint64_t d1)
{
	struct accel_builder *builder;

	vec->pkt.d0 = d0;
	vec->pkt.d1 = d1;
	check(accel_builder_create(&builder), name);
	accel_builder_add_vec(builder, vec);
	run(name, builder);
	accel_builder_destroy(builder);
}

/* --- Matrices --- */

static void bench_gemm(uint32_t a_fmt, uint32_t w_fmt, uint32_t rows, uint32_t n, uint32_t k)
{
	struct nib_pkt_gemm p = {
		.hdr = { .op = NIB_OP_GEMM, .words = sizeof(p) / 8 }, .rows = rows,
		.a_pitch = nib_row_bytes(a_fmt, k), .out_pitch = n * 4, .n = n, .k = k,
		.a_fmt = (uint16_t)a_fmt, .w_fmt = (uint16_t)w_fmt, .out_fmt = NIB_FMT_F32,
		.alpha = ONE,
	};
	char name[96];

	snprintf(name, sizeof(name), "gemm %s x %s %ux%ux%u", format_name(a_fmt),
		 format_name(w_fmt), rows, n, k);
	if (!wanted(name))
		return;
	p.a = place_rows(a_fmt, rows, k);
	p.w = place_panels(w_fmt, n, k);
	p.out = place((uint64_t)rows * n * 4, NULL);
	run_packet(name, &p);
}

static void bench_grouped(uint32_t a_fmt, uint32_t w_fmt, uint32_t rows, uint32_t groups,
			  uint32_t n, uint32_t k)
{
	struct nib_pkt_gemm_grouped p = {
		.hdr = { .op = NIB_OP_GEMM_GROUPED, .words = sizeof(p) / 8 }, .rows = rows,
		.a_pitch = nib_row_bytes(a_fmt, k), .w_stride = nib_panels_bytes(w_fmt, n, k),
		.out_pitch = n * 4, .groups = groups, .n = n, .k = k, .a_fmt = (uint16_t)a_fmt,
		.w_fmt = (uint16_t)w_fmt, .out_fmt = NIB_FMT_F32, .alpha = ONE,
	};
	uint32_t *ends;
	char name[96];

	snprintf(name, sizeof(name), "gemm_grouped %s x %s %ux%ux%u, %u groups", format_name(a_fmt),
		 format_name(w_fmt), rows, n, k, groups);
	if (!wanted(name))
		return;
	p.a = place_rows(a_fmt, rows, k);
	p.w = place_panels(w_fmt, n * groups, k);
	p.out = place((uint64_t)rows * n * 4, NULL);
	p.ends = place(groups * 4, &ends);
	for (uint32_t i = 0; i < groups; i++)
		ends[i] = rows * (i + 1) / groups;
	run_packet(name, &p);
}

static void bench_conv(uint32_t a_fmt, uint32_t w_fmt, uint16_t taps, uint32_t side,
		       uint32_t channels)
{
	struct nib_pkt_conv p = {
		.hdr = { .op = NIB_OP_CONV, .words = sizeof(p) / 8 }, .images = 1,
		.in_pitch = nib_row_bytes(a_fmt, channels), .out_pitch = channels * 4,
		.in_h = side, .in_w = side, .out_h = side, .out_w = side, .channels = channels,
		.n = channels, .kernel_h = taps, .kernel_w = taps, .stride_y = 1, .stride_x = 1,
		.pad_y = taps / 2, .pad_x = taps / 2, .dilation_y = 1, .dilation_x = 1,
		.a_fmt = (uint16_t)a_fmt, .w_fmt = (uint16_t)w_fmt, .out_fmt = NIB_FMT_F32,
		.alpha = ONE,
	};
	char name[96];

	snprintf(name, sizeof(name), "conv %s x %s %ux%u taps, %ux%u pixels, %u channels",
		 format_name(a_fmt), format_name(w_fmt), taps, taps, side, side, channels);
	if (!wanted(name))
		return;
	p.in = place_rows(a_fmt, side * side, channels);
	p.w = place_panels(w_fmt, channels, taps * taps * channels);
	p.out = place((uint64_t)side * side * channels * 4, NULL);
	run_packet(name, &p);
}

/* An image, or with @taps_y 1 a causal one over a sequence. */
static void bench_depthwise(uint32_t fmt, uint16_t taps_y, uint16_t taps_x, uint32_t h, uint32_t w,
			    uint32_t channels)
{
	uint32_t bytes = nib_format_bits(fmt) / 8;
	struct nib_pkt_conv_depthwise p = {
		.hdr = { .op = NIB_OP_CONV_DEPTHWISE, .words = sizeof(p) / 8 }, .images = 1,
		.in_pitch = channels * bytes, .out_pitch = channels * bytes, .in_h = h, .in_w = w,
		.out_h = h, .out_w = w, .channels = channels, .kernel_h = taps_y,
		.kernel_w = taps_x, .stride_y = 1, .stride_x = 1, .pad_y = taps_y / 2,
		.pad_x = taps_y == 1 ? taps_x - 1 : taps_x / 2, .dilation_y = 1, .dilation_x = 1,
		.in_fmt = (uint16_t)fmt, .out_fmt = (uint16_t)fmt,
	};
	uint8_t *in;
	char name[96];

	snprintf(name, sizeof(name), "conv_depthwise %s %ux%u taps, %ux%u pixels, %u channels",
		 format_name(fmt), taps_y, taps_x, h, w, channels);
	if (!wanted(name))
		return;
	p.in = place((uint64_t)h * w * channels * bytes, &in);
	fill_codes(in, (size_t)h * w * channels * bytes);
	p.w = place_floats((uint64_t)taps_y * taps_x * channels);
	p.out = place((uint64_t)h * w * channels * bytes, NULL);
	run_packet(name, &p);
}

/* --- Keys and values --- */

/* Pages of @positions positions: the table's address. */
static uint64_t place_pages(uint32_t fmt, uint32_t width, uint32_t positions)
{
	uint64_t row = nib_row_bytes(fmt, width), page = row * PAGE * 2, *blocks, at, pages;
	uint32_t count = (positions + PAGE - 1) / PAGE;

	pages = place_rows(fmt, count * PAGE * 2, width);
	at = place(count * 8ull, &blocks);
	for (uint32_t i = 0; i < count; i++)
		blocks[i] = pages + i * page;
	return at;
}

static uint64_t place_row_table(uint32_t rows, uint32_t first)
{
	struct nib_kv_row *table;
	uint64_t at = place(rows * sizeof(*table), &table);

	for (uint32_t i = 0; i < rows; i++)
		table[i] = (struct nib_kv_row){ .pos = first + i };
	return at;
}

static void bench_attention(uint32_t fmt, uint32_t positions, uint32_t rows)
{
	const uint32_t heads = 32, kv_heads = 8, dim = 64;
	struct nib_pkt_attention p = {
		.hdr = { .op = NIB_OP_ATTENTION, .words = sizeof(p) / 8 }, .rows = rows,
		.q_pitch = heads * dim * 4, .out_pitch = heads * dim * 4,
		.block_stride = positions / PAGE, .n_heads = heads, .n_kv_heads = kv_heads,
		.head_dim = dim, .page_tokens = PAGE, .k_fmt = (uint16_t)fmt,
		.v_fmt = (uint16_t)fmt, .scale = 0x3e000000,
	};
	char name[96];

	snprintf(name, sizeof(name), "attention %s %u/%u heads of %u, %u positions, %u rows",
		 format_name(fmt), heads, kv_heads, dim, positions, rows);
	if (!wanted(name))
		return;
	p.q = place_floats((uint64_t)rows * heads * dim);
	p.out = place((uint64_t)rows * heads * dim * 4, NULL);
	p.row_table = place_row_table(rows, positions - rows);
	p.blocks = place_pages(fmt, kv_heads * dim, positions);
	p.v_offset = nib_row_bytes(fmt, kv_heads * dim) * PAGE;
	run_packet(name, &p);
}

static void bench_append(uint32_t fmt)
{
	const uint32_t width = 512;
	struct nib_pkt_kv_append p = {
		.hdr = { .op = NIB_OP_KV_APPEND, .words = sizeof(p) / 8 }, .rows = ROWS,
		.src_pitch = width * 4, .block_stride = ROWS / PAGE, .width = width,
		.fmt = (uint16_t)fmt, .rule = NIB_SCALE_CEIL, .page_tokens = PAGE,
	};
	char name[96];

	snprintf(name, sizeof(name), "kv_append %s %u rows of %u", format_name(fmt), ROWS, width);
	if (!wanted(name))
		return;
	p.src = place_floats((uint64_t)ROWS * width);
	p.row_table = place_row_table(ROWS, 0);
	p.blocks = place_pages(fmt, width, ROWS);
	run_packet(name, &p);
}

/* --- Vector programs: what models are made of beside matrices --- */

static void load(struct accel_vec *v, unsigned int reg, int operand)
{
	accel_vec_insn(v, NIB_VEC_LOAD, reg, (unsigned int)operand, 0, 0);
}

static void store(struct accel_vec *v, int operand, unsigned int reg)
{
	accel_vec_insn(v, NIB_VEC_STORE, (unsigned int)operand, reg, 0, 0);
}

static int rows_of(struct accel_vec *v, uint32_t width)
{
	return accel_vec_operand(v, -1, place_floats((uint64_t)ROWS * width), (int32_t)width * 4, 0,
				 NIB_FMT_F32, 1);
}

static void bench_norms(void)
{
	struct accel_vec v;
	int x, gain, y;

	if (wanted("rms norm 512 rows of 2048")) {
		accel_vec_init(&v, DIM);
		x = rows_of(&v, DIM);
		y = rows_of(&v, DIM);
		gain = accel_vec_operand(&v, -1, place_floats(DIM), 0, 0, NIB_FMT_F32, 1);
		load(&v, 0, x);
		accel_vec_insn(&v, NIB_VEC_MUL, 1, 0, 0, 0);
		accel_vec_insn(&v, NIB_VEC_RSUM, 1, 1, 0, 0);
		accel_vec_insn_f(&v, NIB_VEC_MULI, 1, 1, 1.0f / DIM);
		accel_vec_insn_f(&v, NIB_VEC_ADDI, 1, 1, 1e-5f);
		accel_vec_insn(&v, NIB_VEC_RSQRT, 1, 1, 0, 0);
		accel_vec_insn(&v, NIB_VEC_MUL, 0, 0, 1, 0);
		load(&v, 1, gain);
		accel_vec_insn(&v, NIB_VEC_MUL, 0, 0, 1, 0);
		store(&v, y, 0);
		run_vec("rms norm 512 rows of 2048", &v, ROWS, 1);
	}
	if (wanted("layer norm 512 rows of 2048")) {
		accel_vec_init(&v, DIM);
		x = rows_of(&v, DIM);
		y = rows_of(&v, DIM);
		load(&v, 0, x);
		accel_vec_insn(&v, NIB_VEC_RSUM, 1, 0, 0, 0);
		accel_vec_insn_f(&v, NIB_VEC_MULI, 1, 1, 1.0f / DIM);
		accel_vec_insn(&v, NIB_VEC_SUB, 0, 0, 1, 0);
		accel_vec_insn(&v, NIB_VEC_MUL, 1, 0, 0, 0);
		accel_vec_insn(&v, NIB_VEC_RSUM, 1, 1, 0, 0);
		accel_vec_insn_f(&v, NIB_VEC_MULI, 1, 1, 1.0f / DIM);
		accel_vec_insn_f(&v, NIB_VEC_ADDI, 1, 1, 1e-5f);
		accel_vec_insn(&v, NIB_VEC_RSQRT, 1, 1, 0, 0);
		accel_vec_insn(&v, NIB_VEC_MUL, 0, 0, 1, 0);
		store(&v, y, 0);
		run_vec("layer norm 512 rows of 2048", &v, ROWS, 1);
	}
	if (wanted("softmax 512 rows of 2048")) {
		accel_vec_init(&v, DIM);
		x = rows_of(&v, DIM);
		y = rows_of(&v, DIM);
		load(&v, 0, x);
		accel_vec_insn(&v, NIB_VEC_RMAX, 1, 0, 0, 0);
		accel_vec_insn(&v, NIB_VEC_SUB, 0, 0, 1, 0);
		accel_vec_insn(&v, NIB_VEC_EXP, 0, 0, 0, 0);
		accel_vec_insn(&v, NIB_VEC_RSUM, 1, 0, 0, 0);
		accel_vec_insn(&v, NIB_VEC_DIV, 0, 0, 1, 0);
		store(&v, y, 0);
		run_vec("softmax 512 rows of 2048", &v, ROWS, 1);
	}
}

/* Pairs of elements of 40 heads of 64, in place. */
static void bench_rotary(void)
{
	const char *name = "rotary 512 rows, 40 heads of 64";
	const uint32_t heads = 40, dim = 64;
	struct accel_vec v;
	uint64_t x, turns;
	int even, odd, cosines, sines;

	if (!wanted(name))
		return;
	x = place_floats((uint64_t)ROWS * heads * dim);
	turns = place_floats((uint64_t)ROWS * dim);
	accel_vec_init(&v, dim / 2);
	even = accel_vec_operand(&v, -1, x, heads * dim * 4, dim * 4, NIB_FMT_F32, 2);
	odd = accel_vec_operand(&v, -1, x + 4, heads * dim * 4, dim * 4, NIB_FMT_F32, 2);
	cosines = accel_vec_operand(&v, -1, turns, dim * 4, 0, NIB_FMT_F32, 1);
	sines = accel_vec_operand(&v, -1, turns + dim * 2, dim * 4, 0, NIB_FMT_F32, 1);
	load(&v, 0, even);
	load(&v, 1, odd);
	load(&v, 2, cosines);
	load(&v, 3, sines);
	accel_vec_insn(&v, NIB_VEC_MUL, 4, 1, 3, 0);
	accel_vec_insn(&v, NIB_VEC_NEG, 4, 4, 0, 0);
	accel_vec_insn(&v, NIB_VEC_FMA, 4, 0, 2, 4);
	accel_vec_insn(&v, NIB_VEC_MUL, 5, 0, 3, 0);
	accel_vec_insn(&v, NIB_VEC_FMA, 5, 1, 2, 5);
	store(&v, even, 4);
	store(&v, odd, 5);
	run_vec(name, &v, ROWS, heads);
}

static void bench_gated(void)
{
	static const char *const names[] = { "gated silu 512 rows of 8192",
					     "gated gelu 512 rows of 8192" };
	const uint32_t width = 8192;
	struct accel_vec v;
	int gate, up, out;

	for (int gelu = 0; gelu < 2; gelu++) {
		if (!wanted(names[gelu]))
			continue;
		accel_vec_init(&v, width);
		gate = rows_of(&v, width);
		up = rows_of(&v, width);
		out = rows_of(&v, width);
		load(&v, 0, gate);
		if (gelu) {
			accel_vec_insn_f(&v, NIB_VEC_MULI, 1, 0, 0.70710678f);
			accel_vec_insn(&v, NIB_VEC_ERF, 1, 1, 0, 0);
			accel_vec_insn_f(&v, NIB_VEC_ADDI, 1, 1, 1.0f);
			accel_vec_insn_f(&v, NIB_VEC_MULI, 1, 1, 0.5f);
		} else {
			accel_vec_insn(&v, NIB_VEC_SIGMOID, 1, 0, 0, 0);
		}
		accel_vec_insn(&v, NIB_VEC_MUL, 0, 0, 1, 0);
		load(&v, 1, up);
		accel_vec_insn(&v, NIB_VEC_MUL, 0, 0, 1, 0);
		store(&v, out, 0);
		run_vec(names[gelu], &v, ROWS, 1);
	}
}

/* --- Moving --- */

static void bench_quant(uint32_t fmt, uint32_t rule)
{
	static const char *const rules[] = { "floor", "ceil", "best3" };
	struct nib_pkt_quant p = {
		.hdr = { .op = NIB_OP_QUANT, .words = sizeof(p) / 8 }, .rows = ROWS,
		.src_pitch = DIM * 4, .dst_pitch = nib_row_bytes(fmt, DIM), .width = DIM,
		.fmt = (uint16_t)fmt, .rule = (uint16_t)rule,
	};
	char name[96];

	snprintf(name, sizeof(name), "quant %s %s %u rows of %u", format_name(fmt), rules[rule],
		 ROWS, DIM);
	if (!wanted(name))
		return;
	p.src = place_floats((uint64_t)ROWS * DIM);
	p.dst = place(p.dst_pitch * ROWS, NULL);
	run_packet(name, &p);
}

static void bench_copy(uint32_t from, uint32_t to, uint32_t row)
{
	const uint64_t n = 4u << 20;
	uint32_t from_bytes = nib_format_bits(from) / 8, to_bytes = nib_format_bits(to) / 8;
	struct nib_pkt_copy p = {
		.hdr = { .op = NIB_OP_COPY, .words = sizeof(p) / 8 }, .n0 = row, .n1 = n / row,
		.n2 = 1, .src_pitch1 = (uint64_t)row * from_bytes,
		/* Apart, where rows are short. */
		.dst_pitch1 = (uint64_t)row * to_bytes * (row < n ? 2 : 1), .src_fmt = from,
		.dst_fmt = to,
	};
	uint8_t *src;
	char name[96];

	snprintf(name, sizeof(name), "copy %s to %s, rows of %u", format_name(from),
		 format_name(to), row);
	if (!wanted(name))
		return;
	p.src = place(n * from_bytes, &src);
	fill_codes(src, n * from_bytes);
	p.dst = place(p.dst_pitch1 * p.n1, NULL);
	run_packet(name, &p);
}

static void bench_moves(void)
{
	struct nib_pkt_fill fill = { .hdr = { .op = NIB_OP_FILL, .words = sizeof(fill) / 8 },
				     .count = 4u << 20 };
	struct nib_pkt_gather gather = {
		.hdr = { .op = NIB_OP_GATHER, .words = sizeof(gather) / 8 }, .rows = ROWS,
		.table_rows = 4096, .dst_pitch = DIM * 4, .width = DIM, .alpha = ONE,
	};
	uint32_t *index;

	if (wanted("fill 16 MiB")) {
		fill.dst = place(16u << 20, NULL);
		run_packet("fill 16 MiB", &fill);
	}
	for (int panels = 0; panels < 2; panels++) {
		const char *name = panels ? "gather mxfp4 panels, 512 rows of 2048" :
					    "gather bf16 rows, 512 rows of 2048";

		if (!wanted(name))
			continue;
		gather.index = place(ROWS * 4, &index);
		for (uint32_t i = 0; i < ROWS; i++)
			index[i] = i * 2654435761u % 4096;
		gather.fmt = panels ? NIB_FMT_MXFP4 : NIB_FMT_BF16;
		gather.layout = panels ? NIB_LAYOUT_PANELS : NIB_LAYOUT_ROWS;
		gather.table_pitch = panels ? 0 : DIM * 2;
		gather.table = panels ? place_panels(NIB_FMT_MXFP4, 4096, DIM) :
					place_rows(NIB_FMT_BF16, 4096, DIM);
		gather.dst = place((uint64_t)ROWS * DIM * 4, NULL);
		run_packet(name, &gather);
	}
}

/* --- The rest --- */

static void bench_sample(uint32_t n, uint32_t rows, float temperature, uint32_t top_k, float top_p)
{
	struct nib_pkt_sample p = {
		.hdr = { .op = NIB_OP_SAMPLE, .words = sizeof(p) / 8 }, .rows = rows,
		.logits_pitch = n * 4ull, .n = n,
	};
	struct nib_sample_params *params;
	char name[96];

	snprintf(name, sizeof(name), "sample %u of %u, temperature %g, top_k %u, top_p %g", rows, n,
		 (double)temperature, top_k, (double)top_p);
	if (!wanted(name))
		return;
	p.logits = place_floats((uint64_t)n * rows);
	p.params = place(rows * sizeof(*params), &params);
	p.out = place(rows * 4, NULL);
	for (uint32_t i = 0; i < rows; i++) {
		params[i] = (struct nib_sample_params){ .top_k = top_k, .seed = 1, .counter = i };
		memcpy(&params[i].temperature, &temperature, 4);
		memcpy(&params[i].top_p, &top_p, 4);
	}
	run_packet(name, &p);
}

static void bench_scan(uint32_t channels, uint32_t states, uint32_t share, bool scalar)
{
	uint32_t heads = channels / share;
	struct nib_pkt_scan p = {
		.hdr = { .op = NIB_OP_SCAN, .words = sizeof(p) / 8 }, .rows = ROWS,
		.x_pitch = channels * 4, .delta_pitch = heads * 4, .b_pitch = states * 4,
		.c_pitch = states * 4, .y_pitch = channels * 4,
		.state_stride = (uint64_t)channels * states * 4, .channels = channels,
		.states = (uint16_t)states, .groups = 1, .share = share,
		.flags = scalar ? NIB_SCAN_SCALAR_A : 0,
	};
	char name[96];

	snprintf(name, sizeof(name), "scan %u rows, %u channels, %u states, A per %s", ROWS,
		 channels, states, scalar ? "head" : "state");
	if (!wanted(name))
		return;
	p.x = place_floats((uint64_t)ROWS * channels);
	p.delta = place_floats((uint64_t)ROWS * heads);
	p.b = place_floats((uint64_t)ROWS * states);
	p.c = place_floats((uint64_t)ROWS * states);
	p.y = place((uint64_t)ROWS * channels * 4, NULL);
	p.a = place_floats(scalar ? heads : (uint64_t)heads * states);
	p.d = place_floats(channels);
	p.state = place((uint64_t)channels * states * 4, NULL);
	p.row_table = place_row_table(ROWS, 0);
	run_packet(name, &p);
}

static void bench_all(void)
{
	static const uint16_t formats[] = { NIB_FMT_MXFP4, NIB_FMT_NVFP4, NIB_FMT_MXFP8,
					    NIB_FMT_MXFP8X2, NIB_FMT_BF16 };
	static const uint16_t pages[] = { NIB_FMT_F32, NIB_FMT_BF16, NIB_FMT_E4M3, NIB_FMT_E5M2,
					  NIB_FMT_MXFP8, NIB_FMT_MXFP4, NIB_FMT_NVFP4 };
	static const uint16_t moves[][2] = {
		{ NIB_FMT_U32, NIB_FMT_U32 },  { NIB_FMT_F32, NIB_FMT_BF16 },
		{ NIB_FMT_F32, NIB_FMT_F16 },  { NIB_FMT_F32, NIB_FMT_E4M3 },
		{ NIB_FMT_F32, NIB_FMT_E5M2 }, { NIB_FMT_BF16, NIB_FMT_F32 },
		{ NIB_FMT_F16, NIB_FMT_F32 },  { NIB_FMT_E4M3, NIB_FMT_F32 },
		{ NIB_FMT_E5M2, NIB_FMT_F32 }, { NIB_FMT_BF16, NIB_FMT_E4M3 },
	};
	static const uint32_t rows[] = { 1, 16, ROWS };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(formats); i++)
		for (j = 0; j < ARRAY_SIZE(rows); j++)
			bench_gemm(NIB_FMT_MXFP8, formats[i], rows[j], 4 * DIM, DIM);
	for (j = 0; j < ARRAY_SIZE(rows); j++)
		bench_gemm(NIB_FMT_MXFP4, NIB_FMT_MXFP4, rows[j], 4 * DIM, DIM);
	bench_grouped(NIB_FMT_MXFP8, NIB_FMT_MXFP4, 16, 8, DIM, DIM);
	bench_grouped(NIB_FMT_MXFP8, NIB_FMT_MXFP4, ROWS, 8, DIM, DIM);
	bench_grouped(NIB_FMT_MXFP4, NIB_FMT_MXFP4, ROWS, 8, DIM, DIM);
	bench_conv(NIB_FMT_MXFP8, NIB_FMT_MXFP4, 3, 32, 128);
	bench_conv(NIB_FMT_MXFP8, NIB_FMT_MXFP8, 3, 32, 128);
	bench_conv(NIB_FMT_BF16, NIB_FMT_BF16, 3, 32, 128);
	bench_conv(NIB_FMT_MXFP8, NIB_FMT_MXFP4, 1, 32, 512);
	bench_depthwise(NIB_FMT_F32, 3, 3, 56, 56, 256);
	bench_depthwise(NIB_FMT_BF16, 3, 3, 56, 56, 256);
	bench_depthwise(NIB_FMT_F32, 1, 4, 1, ROWS, 4096);
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		bench_attention(pages[i], 4096, 1);
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		bench_attention(pages[i], ROWS, ROWS);
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		bench_append(pages[i]);
	bench_norms();
	bench_rotary();
	bench_gated();
	for (i = 0; i < ARRAY_SIZE(formats); i++)
		bench_quant(formats[i], NIB_SCALE_CEIL);
	bench_quant(NIB_FMT_MXFP4, NIB_SCALE_BEST3);
	for (i = 0; i < ARRAY_SIZE(moves); i++)
		bench_copy(moves[i][0], moves[i][1], 4u << 20);
	bench_copy(NIB_FMT_U32, NIB_FMT_U32, 64);
	bench_copy(NIB_FMT_F32, NIB_FMT_BF16, 64);
	bench_moves();
	bench_scan(4096, 16, 1, false);
	bench_scan(4096, 128, 64, true);
	bench_sample(128256, 16, 0, 0, 1);
	bench_sample(128256, 16, 0.8f, 40, 1);
	bench_sample(128256, 16, 0.8f, 0, 0.95f);
}

int main(int argc, char **argv)
{
	struct accel_open_params open = { .struct_size = sizeof(open),
					  .transport = ACCEL_TRANSPORT_SIM, .chip = "edge" };
	void *map;

	threads = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--csv"))
			csv = true;
		else if (!strcmp(argv[i], "--quick"))
			quick = true;
		else if (!strcmp(argv[i], "--threads") && i + 1 < argc)
			threads = (unsigned int)atoi(argv[++i]);
		else
			filter = argv[i];
	}
	open.threads = threads;
	check(accel_open(&open, &device), "open");
	check(accel_queue_create(device, ACCEL_PRIORITY_NORMAL, 0, &queue), "queue");
	check(accel_buffer_create(device, ACCEL_MEMORY_HBM, ROOM, 0, &buffer), "buffer");
	check(accel_buffer_map(buffer, &map), "buffer");
	memory = map;
	if (csv)
		printf("engine,packet,us,GB/s,Gop/s\n");
	bench_all();
	accel_buffer_destroy(buffer);
	accel_queue_destroy(queue);
	accel_close(device);
	return 0;
}
