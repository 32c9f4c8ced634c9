// SPDX-License-Identifier: MIT
/*
 * What a packet computes does not depend on how many threads share it, nor on where it is cut for
 * them: packets that are large enough for every cut, on one thread to seven and with every kernel
 * table of this machine, against one thread of the scalar kernels, where nothing is cut.
 */
#include <fenv.h>
#include "scattered.h"

#define ONE	0x3f800000u

/* What a packet left in memory. */
struct outcome {
	uint8_t *data;
	uint64_t bytes;
};

/* Keeps @bytes at @va, behind what there is. */
static void keep(struct outcome *o, uint64_t va, uint64_t bytes)
{
	o->data = realloc(o->data, o->bytes + bytes);
	ck_assert_ptr_nonnull(o->data);
	move(va, o->data + o->bytes, bytes, false);
	o->bytes += bytes;
}

static void check_threads(struct outcome (*work)(int variant), int variant)
{
	static const char *const tables[] = { "scalar", "avx2", "avx512" };
	static const unsigned int threads[] = { 1, 2, 3, 7 };
	struct outcome want = { 0 };

	for (unsigned int t = 0; t < 3; t++) {
		for (unsigned int i = 0; nib_kernels_get(tables[t]) && i < 4; i++) {
			struct outcome got;

			setup_device(tables[t], threads[i]);
			lay_out(CONTIGUOUS);
			got = work(variant);
			teardown();
			if (!want.data) {
				want = got;
				continue;
			}
			ck_assert_uint_eq(got.bytes, want.bytes);
			for (uint64_t b = 0; b < want.bytes; b++)
				if (got.data[b] != want.data[b])
					ck_abort_msg("%s, %u threads: byte %llu of %llu differs",
						     tables[t], threads[i], (unsigned long long)b,
						     (unsigned long long)want.bytes);
			free(got.data);
		}
	}
	free(want.data);
}

/* --- GEMM --- */

/* Many rows are cut by rows, above 96 for each thread; fewer by panels, one row into smaller parts. */
static const struct {
	uint32_t rows, n, k;
	uint16_t a, w, out;
} gemms[] = {
	{ 700, 70, 64, NIB_FMT_MXFP8, NIB_FMT_MXFP4, NIB_FMT_F32 },
	{ 700, 64, 96, NIB_FMT_MXFP4, NIB_FMT_MXFP4, NIB_FMT_BF16 },
	{ 205, 130, 40, NIB_FMT_NVFP4, NIB_FMT_NVFP4, NIB_FMT_F32 },
	{ 290, 65, 72, NIB_FMT_MXFP8X2, NIB_FMT_MXFP8, NIB_FMT_F32 },
	{ 193, 100, 64, NIB_FMT_MXFP8_E5M2, NIB_FMT_NVFP4, NIB_FMT_F32 },
	{ 200, 100, 64, NIB_FMT_BF16, NIB_FMT_BF16, NIB_FMT_F32 },
	{ 5, 1300, 96, NIB_FMT_MXFP8, NIB_FMT_MXFP4, NIB_FMT_F32 },
	{ 17, 2101, 33, NIB_FMT_MXFP4, NIB_FMT_NVFP4, NIB_FMT_BF16 },
	{ 1, 1300, 320, NIB_FMT_MXFP8, NIB_FMT_MXFP4, NIB_FMT_F32 },
	{ 1, 2049, 130, NIB_FMT_MXFP4, NIB_FMT_MXFP4, NIB_FMT_F32 },
	{ 1, 777, 400, NIB_FMT_BF16, NIB_FMT_MXFP8, NIB_FMT_F32 },
};

static struct outcome gemm(int which)
{
	const uint32_t rows = gemms[which].rows, n = gemms[which].n, depth = gemms[which].k;
	uint64_t row = nib_row_bytes(gemms[which].a, depth);
	uint64_t size = nib_format_bits(gemms[which].out) / 8;
	uint8_t *a = room(row), *w = panels(gemms[which].w, n, depth);
	float *bias = floats(n, 1), *residual = floats(rows * n, 1);
	struct outcome o = { 0 };
	struct nib_pkt_gemm p = {
		.hdr = STREAM_HDR(NIB_OP_GEMM, struct nib_pkt_gemm),
		.rows = rows, .a_pitch = row + 16, .out_pitch = (n * size + 11) / 4 * 4,
		.residual_pitch = n * 4 + 12, .n = n, .k = depth, .a_fmt = gemms[which].a,
		.w_fmt = gemms[which].w, .out_fmt = gemms[which].out, .activation = NIB_ACT_GELU,
		.alpha = 0x3e800000, .flags = NIB_GEMM_BIAS | NIB_GEMM_RESIDUAL,
	};

	p.a = place(rows * p.a_pitch, 16);
	p.residual = place(rows * p.residual_pitch, 4);
	for (uint32_t r = 0; r < rows; r++) {
		/* From rows that integers hold to rows of which little is left. */
		float *x = floats(depth, r % 5 ? 2.0f : 0x1p-4f);

		for (uint32_t i = 0; r % 3 == 0 && i < depth; i += 3)
			x[i] *= 0x1p-9f;
		k->row_encode(gemms[which].a, NIB_SCALE_CEIL, x, depth, a);
		move(p.a + r * p.a_pitch, a, row, true);
		move(p.residual + r * p.residual_pitch, residual + r * n, n * 4, true);
		free(x);
	}
	p.w = put(w, nib_panels_bytes(gemms[which].w, n, depth), 64);
	p.bias = put(bias, n * 4, 4);
	p.out = place(rows * p.out_pitch, 4);
	RUN(p);
	for (uint32_t r = 0; r < rows; r++)
		keep(&o, p.out + r * p.out_pitch, n * size);
	free(a);
	free(w);
	free(bias);
	free(residual);
	return o;
}

START_TEST(gemm_is_cut_by_rows_and_panels)
{
	check_threads(gemm, _i);
}
END_TEST

/* Groups of which some are cut and some are not, and one is cut by rows. */
static struct outcome grouped_gemm(int variant)
{
	enum { ROWS = 540, N = 200, K = 96, GROUPS = 5 };
	static const uint32_t ends[GROUPS] = { 3, 33, 34, 240, 540 };
	uint64_t row = nib_row_bytes(NIB_FMT_MXFP8, K);
	uint64_t size = nib_panels_bytes(NIB_FMT_MXFP4, N, K);
	float *x = floats(ROWS * K, 2);
	uint8_t *a = room(row);
	struct outcome o = { 0 };
	struct nib_pkt_gemm_grouped p = {
		.hdr = STREAM_HDR(NIB_OP_GEMM_GROUPED, struct nib_pkt_gemm_grouped),
		.rows = ROWS, .a_pitch = row, .w_stride = size, .out_pitch = N * 4,
		.groups = GROUPS, .n = N, .k = K, .a_fmt = NIB_FMT_MXFP8, .w_fmt = NIB_FMT_MXFP4,
		.out_fmt = NIB_FMT_F32, .activation = NIB_ACT_SILU, .alpha = ONE,
	};

	(void)variant;
	p.a = place(ROWS * row, 16);
	for (uint32_t r = 0; r < ROWS; r++) {
		k->row_encode(NIB_FMT_MXFP8, NIB_SCALE_CEIL, x + r * K, K, a);
		move(p.a + r * row, a, row, true);
	}
	p.w = place(GROUPS * size, 64);
	for (uint32_t g = 0; g < GROUPS; g++) {
		uint8_t *w = panels(NIB_FMT_MXFP4, N, K);

		move(p.w + g * size, w, size, true);
		free(w);
	}
	p.ends = put(ends, sizeof(ends), 4);
	p.out = place(ROWS * p.out_pitch, 4);
	RUN(p);
	keep(&o, p.out, ROWS * p.out_pitch);
	free(x);
	free(a);
	return o;
}

START_TEST(groups_are_cut)
{
	check_threads(grouped_gemm, 0);
}
END_TEST

/* Numbers that are special, here and there: all kernels make the same of them. */
static void sprinkle(float *x, uint64_t n)
{
	static const uint32_t special[] = {
		0x7fc00000, 0xffc12345, 0x7f800000, 0xff800000, 0x00000001, 0x80000001, 0x007fffff,
		0x80000000, 0x7f7fffff, 0xff7fffff, 0x00800000, 0x7f800001,
	};

	for (uint64_t i = rnd() % 60; i < n; i += 1 + rnd() % 400)
		memcpy(&x[i], &special[rnd() % 12], sizeof(x[i]));
}

/* --- Convolution --- */

static struct outcome conv(int variant)
{
	enum { H = 24, W = 20, C = 32, N = 72 };
	uint64_t row = nib_row_bytes(NIB_FMT_MXFP8, C);
	float *x = floats(H * W * C, 2);
	uint8_t *a = room(row), *w = panels(NIB_FMT_MXFP4, N, 9 * C);
	struct outcome o = { 0 };
	struct nib_pkt_conv p = {
		.hdr = STREAM_HDR(NIB_OP_CONV, struct nib_pkt_conv), .images = 1,
		.in_pitch = row, .out_pitch = N * 4, .in_h = H, .in_w = W, .out_h = H, .out_w = W,
		.channels = C, .n = N, .kernel_h = 3, .kernel_w = 3, .stride_y = 1, .stride_x = 1,
		.pad_y = 1, .pad_x = 1, .dilation_y = 1, .dilation_x = 1, .a_fmt = NIB_FMT_MXFP8,
		.w_fmt = NIB_FMT_MXFP4, .out_fmt = NIB_FMT_F32, .alpha = ONE,
	};

	(void)variant;
	p.in = place(H * W * row, 16);
	for (uint32_t i = 0; i < H * W; i++) {
		k->row_encode(NIB_FMT_MXFP8, NIB_SCALE_CEIL, x + i * C, C, a);
		move(p.in + i * row, a, row, true);
	}
	p.w = put(w, nib_panels_bytes(NIB_FMT_MXFP4, N, 9 * C), 64);
	p.out = place(H * W * p.out_pitch, 4);
	RUN(p);
	keep(&o, p.out, H * W * p.out_pitch);
	free(x);
	free(a);
	free(w);
	return o;
}

START_TEST(convolutions_are_cut)
{
	check_threads(conv, 0);
}
END_TEST

/* One output row alone is large enough to be cut. */
static struct outcome depthwise(int variant)
{
	enum { H = 5, W = 70, C = 133 };
	static const uint16_t formats[] = { NIB_FMT_F32, NIB_FMT_BF16 };
	uint16_t in = formats[variant / 2], out = formats[variant % 2];
	uint64_t size = nib_format_bits(in) / 8, out_size = nib_format_bits(out) / 8;
	float *x = floats(H * W * C, 2), *w = floats(9 * C, 1), *bias = floats(C, 1);
	uint8_t *pixel = room(C * size);
	struct outcome o = { 0 };
	struct nib_pkt_conv_depthwise p = {
		.hdr = STREAM_HDR(NIB_OP_CONV_DEPTHWISE, struct nib_pkt_conv_depthwise),
		.images = 1, .in_pitch = C * size + 2, .out_pitch = C * out_size + 2, .in_h = H,
		.in_w = W, .out_h = H, .out_w = W, .channels = C, .kernel_h = 3, .kernel_w = 3,
		.stride_y = 1, .stride_x = 1, .pad_y = 1, .pad_x = 1, .dilation_y = 1,
		.dilation_x = 1, .in_fmt = in, .out_fmt = out,
		.flags = variant % 2 ? NIB_GEMM_BIAS : 0,
		.activation = variant % 2 ? NIB_ACT_GELU : NIB_ACT_NONE,
	};

	sprinkle(x, H * W * C);
	p.in_pitch = (p.in_pitch + 3) / 4 * 4;
	p.out_pitch = (p.out_pitch + 3) / 4 * 4;
	p.in = place(H * W * p.in_pitch, 4);
	for (uint32_t i = 0; i < H * W; i++) {
		k->convert(in, pixel, NIB_FMT_F32, x + i * C, C);
		move(p.in + i * p.in_pitch, pixel, C * size, true);
	}
	p.w = put(w, 9 * C * 4, 4);
	if (p.flags)
		p.bias = put(bias, C * 4, 4);
	p.out = place(H * W * p.out_pitch, 4);
	RUN(p);
	for (uint32_t i = 0; i < H * W; i++)
		keep(&o, p.out + i * p.out_pitch, C * out_size);
	free(x);
	free(w);
	free(bias);
	free(pixel);
	return o;
}

START_TEST(depthwise_convolutions_are_cut)
{
	check_threads(depthwise, _i);
}
END_TEST

/*
 * A row with so much to multiply that it is done in pieces, between which the device could do
 * something else, is the row.
 */
static struct outcome long_depthwise(int variant)
{
	enum { W = 300, C = 64, TAPS = 48 };
	float *x = floats(W * C, 1), *w = floats(TAPS * TAPS * C, 1), *out = floats(W * C, 1);
	const uint8_t *in[TAPS];
	size_t in_pitch[TAPS];
	struct outcome o = { 0 };
	struct nib_pkt_conv_depthwise p = {
		.hdr = STREAM_HDR(NIB_OP_CONV_DEPTHWISE, struct nib_pkt_conv_depthwise),
		.images = 1, .in_pitch = C * 4, .out_pitch = C * 4 + 8, .in_h = 1, .in_w = W,
		.out_h = 1, .out_w = W, .channels = C, .kernel_h = TAPS, .kernel_w = TAPS,
		.stride_y = 1, .stride_x = 1, .pad_y = TAPS / 2, .pad_x = TAPS / 2,
		.dilation_y = 1, .dilation_x = 1, .in_fmt = NIB_FMT_F32, .out_fmt = NIB_FMT_F32,
	};
	struct nib_depthwise_job job = {
		.in = in, .in_pitch = in_pitch, .w = w, .out = (uint8_t *)out, .out_pitch = C * 4,
		.in_w = W, .count = W, .channels = C, .kernel_h = TAPS, .kernel_w = TAPS,
		.stride = 1, .pad = TAPS / 2, .dilation = 1, .in_fmt = NIB_FMT_F32,
		.out_fmt = NIB_FMT_F32,
	};

	(void)variant;
	for (uint32_t i = 0; i < TAPS; i++) {
		in[i] = i == TAPS / 2 ? (uint8_t *)x : NULL;
		in_pitch[i] = C * 4;
	}
	k->depthwise(&job);
	p.in = put(x, W * C * 4, 4);
	p.w = put(w, TAPS * TAPS * C * 4, 4);
	p.out = place(W * p.out_pitch, 4);
	RUN(p);
	for (uint32_t i = 0; i < W; i++)
		same(p.out + i * p.out_pitch, out + i * C, C * 4, "a row in pieces");
	keep(&o, p.out, W * p.out_pitch);
	free(x);
	free(w);
	free(out);
	return o;
}

START_TEST(long_rows_are_done_in_pieces)
{
	check_threads(long_depthwise, _i);
}
END_TEST

/* --- The host's own ways --- */

/* A program that rounds in its own way, or flushes subnormals, gets the device's results. */
START_TEST(rounding_of_the_host_does_not_count)
{
	struct outcome want, got;
	fenv_t env;

	fegetenv(&env);
	for (int which = 0; which < (int)(sizeof(gemms) / sizeof(gemms[0])); which++) {
		setup_device("scalar", 1);
		lay_out(CONTIGUOUS);
		want = gemm(which);
		teardown();
		for (unsigned int threads = 1; threads < 4; threads++) {
			fesetround(FE_UPWARD);
			setup_device(NULL, threads);
			fesetenv(&env);
			lay_out(CONTIGUOUS);
			got = gemm(which);
			teardown();
			ck_assert_uint_eq(got.bytes, want.bytes);
			ck_assert_int_eq(memcmp(got.data, want.data, got.bytes), 0);
			free(got.data);
		}
		free(want.data);
	}
}
END_TEST

/* --- Scan --- */

static const struct {
	uint32_t channels, share, flags;
	uint16_t states, groups;
} scans[] = {
	{ 131, 1, 0, 16, 1 },			/* the state matrix by channel and state */
	{ 96, 32, NIB_SCAN_SCALAR_A, 64, 3 },	/* by head */
};

static struct outcome scan(int which)
{
	enum { ROWS = 45, SEQS = 2 };
	const uint32_t channels = scans[which].channels, states = scans[which].states;
	const uint32_t heads = channels / scans[which].share, bc = scans[which].groups * states;
	const uint32_t per_a = scans[which].flags & NIB_SCAN_SCALAR_A ? 1 : states;
	float *x = floats(ROWS * channels, 2), *delta = floats(ROWS * heads, 0.5f);
	float *b = floats(ROWS * bc, 1), *c = floats(ROWS * bc, 1), *a = floats(heads * per_a, 2);
	float *dd = floats(channels, 1), *h = floats(SEQS * channels * states, 1);
	struct nib_kv_row rows[ROWS];
	struct outcome o = { 0 };
	struct nib_pkt_scan p = {
		.hdr = STREAM_HDR(NIB_OP_SCAN, struct nib_pkt_scan), .rows = ROWS,
		.x_pitch = channels * 4, .delta_pitch = heads * 4, .b_pitch = bc * 4,
		.c_pitch = bc * 4, .y_pitch = channels * 4,
		.state_stride = channels * states * 4ull, .channels = channels,
		.states = (uint16_t)states, .groups = scans[which].groups,
		.share = scans[which].share, .flags = scans[which].flags,
	};

	/* What is in a state stays there: few channels, and not from the start. */
	sprinkle(x + 10 * channels, 3 * channels);
	sprinkle(delta + 20 * heads, heads);
	for (uint32_t r = 0; r < ROWS; r++)
		rows[r] = (struct nib_kv_row){ r >= 30, r < 30 ? 7 + r : r - 30 };
	p.x = put(x, ROWS * p.x_pitch, 4);
	p.delta = put(delta, ROWS * p.delta_pitch, 4);
	p.b = put(b, ROWS * p.b_pitch, 4);
	p.c = put(c, ROWS * p.c_pitch, 4);
	p.y = place(ROWS * p.y_pitch, 4);
	p.a = put(a, heads * per_a * 4, 4);
	p.d = put(dd, channels * 4, 4);
	p.state = put(h, SEQS * p.state_stride, 4);
	p.row_table = put(rows, sizeof(rows), 8);
	RUN(p);
	keep(&o, p.y, ROWS * p.y_pitch);
	keep(&o, p.state, SEQS * p.state_stride);
	free(x);
	free(delta);
	free(b);
	free(c);
	free(a);
	free(dd);
	free(h);
	return o;
}

START_TEST(scans_are_cut)
{
	check_threads(scan, _i);
}
END_TEST

/* --- Encoding --- */

static struct outcome quant(int which)
{
	enum { ROWS = 40, WIDTH = 1000 };
	static const uint16_t formats[] = {
		NIB_FMT_BF16, NIB_FMT_E4M3, NIB_FMT_E5M2, NIB_FMT_MXFP4, NIB_FMT_NVFP4,
		NIB_FMT_MXFP8, NIB_FMT_MXFP8_E5M2, NIB_FMT_MXFP8X2,
	};
	uint64_t bytes = nib_row_bytes(formats[which / 3], WIDTH);
	float *x = floats(ROWS * WIDTH, 5);
	struct outcome o = { 0 };
	struct nib_pkt_quant p = {
		.hdr = STREAM_HDR(NIB_OP_QUANT, struct nib_pkt_quant),
		.rows = ROWS, .src_pitch = WIDTH * 4, .dst_pitch = bytes + 16, .width = WIDTH,
		.fmt = formats[which / 3], .rule = (uint16_t)(which % 3),
	};

	p.src = put(x, ROWS * WIDTH * 4, 4);
	p.dst = place(ROWS * p.dst_pitch, 16);
	RUN(p);
	for (uint32_t r = 0; r < ROWS; r++)
		keep(&o, p.dst + r * p.dst_pitch, bytes);
	free(x);
	return o;
}

START_TEST(rows_to_encode_are_cut)
{
	check_threads(quant, _i);
}
END_TEST

/* --- Attention --- */

/*
 * One row over a long context goes by chunks of it, 64 at a time; more rows, and rows that see little,
 * by rows and heads.
 */
static const struct {
	uint32_t context, rows, window;
	uint16_t fmt, heads, kv_heads;
	float softcap;
	bool sinks;
} attentions[] = {
	{ 17000, 1, 0, NIB_FMT_MXFP8, 4, 1, 0, false },
	{ 17000, 1, 5000, NIB_FMT_MXFP4, 4, 1, 20, true },
	{ 3000, 1, 0, NIB_FMT_BF16, 6, 2, 0, true },
	{ 2100, 1, 0, NIB_FMT_E4M3, 4, 2, 0, false },
	{ 1000, 130, 0, NIB_FMT_E5M2, 8, 2, 0, true },
	{ 1000, 70, 300, NIB_FMT_NVFP4, 3, 1, 0, false },
	{ 700, 33, 0, NIB_FMT_F32, 2, 2, 0, false },
};

static struct outcome attention(int which)
{
	enum { DIM = 32, TOKENS = 16 };
	const uint32_t context = attentions[which].context, rows = attentions[which].rows;
	const uint32_t blocks = context / TOKENS + 1, heads = attentions[which].heads;
	const uint32_t width = attentions[which].kv_heads * DIM, fmt = attentions[which].fmt;
	uint64_t row = nib_row_bytes(fmt, width), page_bytes = 2 * TOKENS * row;
	float *q = floats(rows * heads * DIM, 2), *sinks = floats(heads, 1);
	uint64_t *pages = room(blocks * 8);
	uint8_t *data = room(row);
	struct nib_kv_row *table = room(rows * sizeof(*table));
	struct outcome o = { 0 };
	union {
		float f;
		uint32_t u;
	} softcap = { .f = attentions[which].softcap };
	struct nib_pkt_attention p = {
		.hdr = STREAM_HDR(NIB_OP_ATTENTION, struct nib_pkt_attention),
		.rows = rows, .q_pitch = heads * DIM * 4, .out_pitch = heads * DIM * 4,
		.block_stride = blocks, .n_heads = (uint16_t)heads,
		.n_kv_heads = attentions[which].kv_heads, .head_dim = DIM, .page_tokens = TOKENS,
		.scale = 0x3e800000, .window = attentions[which].window, .softcap = softcap.u,
		.k_fmt = (uint16_t)fmt, .v_fmt = (uint16_t)fmt, .v_offset = TOKENS * row,
	};

	for (uint32_t i = 0; i < blocks; i++) {
		pages[i] = (next_va + 15) / 16 * 16;
		next_va = pages[i] + page_bytes;
		for (uint32_t j = 0; j < 2 * TOKENS; j++) {
			float *x = floats(width, 1);

			k->row_encode(fmt, NIB_SCALE_CEIL, x, width, data);
			move(pages[i] + j * row, data, row, true);
			free(x);
		}
	}
	for (uint32_t r = 0; r < rows; r++)
		table[r] = (struct nib_kv_row){ .seq = 0, .pos = context - rows + r };
	p.blocks = put(pages, blocks * 8, 8);
	p.row_table = put(table, rows * sizeof(*table), 8);
	p.q = put(q, rows * p.q_pitch, 4);
	if (attentions[which].sinks)
		p.sinks = put(sinks, heads * 4, 4);
	p.out = place(rows * p.out_pitch, 4);
	RUN(p);
	keep(&o, p.out, rows * p.out_pitch);
	free(q);
	free(sinks);
	free(pages);
	free(data);
	free(table);
	return o;
}

START_TEST(contexts_are_cut)
{
	check_threads(attention, _i);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_threads");
	TCase *cuts = tcase_create("cuts");

	tcase_set_timeout(cuts, 300);
	tcase_add_loop_test(cuts, gemm_is_cut_by_rows_and_panels, 0,
			    (int)(sizeof(gemms) / sizeof(gemms[0])));
	tcase_add_test(cuts, groups_are_cut);
	tcase_add_test(cuts, convolutions_are_cut);
	tcase_add_loop_test(cuts, depthwise_convolutions_are_cut, 0, 4);
	tcase_add_loop_test(cuts, long_rows_are_done_in_pieces, 0, 1);
	tcase_add_test(cuts, rounding_of_the_host_does_not_count);
	tcase_add_loop_test(cuts, scans_are_cut, 0, 2);
	tcase_add_loop_test(cuts, rows_to_encode_are_cut, 0, 8 * 3);
	tcase_add_loop_test(cuts, contexts_are_cut, 0,
			    (int)(sizeof(attentions) / sizeof(attentions[0])));
	suite_add_tcase(suite, cuts);
	return run_suite(suite);
}
