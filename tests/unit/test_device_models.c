// SPDX-License-Identifier: MIT
/*
 * Packets beyond the plain transformer: grouped GEMM, convolutions and scan, against loops written
 * down from nib_isa.h, on memory laid out in every way, with every kernel table of this machine.
 */
#include "scattered.h"
#include "kernels/math.h"
#include "nib_validate.h"

#define ONE	0x3f800000u

/* --- Grouped GEMM --- */

static const struct {
	uint16_t a, w;
} pairs[] = {
	{ NIB_FMT_MXFP8, NIB_FMT_MXFP4 }, { NIB_FMT_MXFP4, NIB_FMT_MXFP4 },
	{ NIB_FMT_MXFP8X2, NIB_FMT_MXFP8 }, { NIB_FMT_BF16, NIB_FMT_BF16 },
};

START_TEST(grouped_gemm_takes_each_groups_weights)
{
	enum { ROWS = 23, N = 100, K = 96, GROUPS = 6 };
	static const uint32_t ends[GROUPS] = { 0, 1, 9, 9, 20, 21 };

	lay_out(_i);
	for (unsigned int f = 0; f < 4; f++) {
		uint64_t row = nib_row_bytes(pairs[f].a, K), size = nib_panels_bytes(pairs[f].w, N, K);
		float *x = floats(ROWS * K, 2), *bias = floats(GROUPS * N, 1);
		uint8_t *a = room(ROWS * row), *w[GROUPS];
		float *expected = room(ROWS * N * 4);
		struct nib_pkt_gemm_grouped p = {
			.hdr = STREAM_HDR(NIB_OP_GEMM_GROUPED, struct nib_pkt_gemm_grouped),
			.rows = ROWS, .a_pitch = row + 32, .w_stride = size + 192,
			.out_pitch = N * 4 + 4, .groups = GROUPS, .n = N, .k = K, .a_fmt = pairs[f].a,
			.w_fmt = pairs[f].w, .out_fmt = NIB_FMT_F32, .activation = NIB_ACT_GELU,
			.flags = NIB_GEMM_BIAS, .alpha = ONE,
		};

		next_va = VA;
		p.a = place(ROWS * p.a_pitch, 16);
		for (unsigned int r = 0; r < ROWS; r++) {
			k->row_encode(pairs[f].a, NIB_SCALE_CEIL, x + r * K, K, a + r * row);
			move(p.a + r * p.a_pitch, a + r * row, row, true);
		}
		p.w = place(GROUPS * p.w_stride, 64);
		p.bias = put(bias, GROUPS * N * 4, 4);
		p.ends = put(ends, sizeof(ends), 4);
		p.out = place(ROWS * p.out_pitch, 4);
		for (unsigned int g = 0; g < GROUPS; g++) {
			uint32_t from = g ? ends[g - 1] : 0;
			struct nib_gemm_job job = {
				.a = a + from * row, .out = (uint8_t *)(expected + from * N),
				.bias = bias + g * N, .a_pitch = row, .out_pitch = N * 4,
				.rows = ends[g] - from, .n = N, .k = K, .a_fmt = pairs[f].a,
				.w_fmt = pairs[f].w, .out_fmt = NIB_FMT_F32,
				.activation = NIB_ACT_GELU, .alpha = 1,
			};

			w[g] = panels(pairs[f].w, N, K);
			move(p.w + g * p.w_stride, w[g], size, true);
			job.w = w[g];
			k->gemm(&job);
			free(w[g]);
		}
		/* Rows behind the last group stay as they are: zeros, as expected has them. */
		for (unsigned int r = 0; r < ROWS; r++)
			move(p.out + r * p.out_pitch, expected + (ROWS - 1) * N, N * 4, true);
		RUN(p);
		for (unsigned int r = 0; r < ROWS; r++)
			same(p.out + r * p.out_pitch, expected + r * N, N * 4, "grouped gemm");
		free(x);
		free(bias);
		free(a);
		free(expected);
	}
}
END_TEST

START_TEST(grouped_gemm_faults_at_a_wrong_end)
{
	enum { ROWS = 4, N = 64, K = 32 };
	uint32_t ends[] = { 2, 1, 4 };
	struct nib_pkt_gemm_grouped p = {
		.hdr = STREAM_HDR(NIB_OP_GEMM_GROUPED, struct nib_pkt_gemm_grouped),
		.rows = ROWS, .a_pitch = 64, .w_stride = 4096, .out_pitch = N * 4, .groups = 3,
		.n = N, .k = K, .a_fmt = NIB_FMT_MXFP8, .w_fmt = NIB_FMT_MXFP4,
		.out_fmt = NIB_FMT_F32, .alpha = ONE,
	};

	lay_out(_i);
	p.a = place(ROWS * 64, 16);
	p.w = place(3 * 4096, 64);
	p.out = place(ROWS * N * 4, 4);
	p.ends = put(ends, sizeof(ends), 4);
	FAULT(p, NIB_DONE_FAULT_INDEX, p.ends + 4);
	ends[1] = 2;
	ends[2] = 5;
	move(p.ends, ends, sizeof(ends), true);
	FAULT(p, NIB_DONE_FAULT_INDEX, p.ends + 8);
	p.groups = 2;
	RUN(p);
	p.ends = VA + BYTES;
	FAULT(p, NIB_DONE_FAULT_READ, VA + BYTES);
}
END_TEST

/* --- Convolution --- */

struct shape {
	uint32_t in_h, in_w, channels, n;
	uint16_t kernel_h, kernel_w, stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x;
};

static const struct shape shapes[] = {
	{ 6, 7, 32, 70, 3, 3, 1, 1, 1, 1, 1, 1 },	/* the usual one */
	{ 9, 5, 64, 64, 1, 1, 1, 1, 0, 0, 1, 1 },	/* pointwise */
	{ 11, 12, 32, 10, 3, 5, 2, 3, 1, 2, 2, 1 },	/* strides, dilation */
	{ 2, 3, 96, 40, 4, 4, 1, 2, 3, 3, 1, 1 },	/* more taps than pixels */
};

static uint32_t out_size(uint32_t in, uint32_t kernel, uint32_t stride, uint32_t pad, uint32_t dilation)
{
	return (in + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
}

/* Where tap (ky, kx) of output (y, x) reads, or -1. */
static int64_t tap(const struct shape *s, uint32_t y, uint32_t x, uint32_t ky, uint32_t kx)
{
	int64_t iy = (int64_t)y * s->stride_y + (int64_t)ky * s->dilation_y - s->pad_y;
	int64_t ix = (int64_t)x * s->stride_x + (int64_t)kx * s->dilation_x - s->pad_x;

	return iy < 0 || ix < 0 || iy >= s->in_h || ix >= s->in_w ? -1 : iy * s->in_w + ix;
}

START_TEST(conv_is_a_gemm_over_taps)
{
	enum { IMAGES = 2 };
	const struct shape *s = &shapes[_i / LAYOUTS];
	uint32_t out_h = out_size(s->in_h, s->kernel_h, s->stride_y, s->pad_y, s->dilation_y);
	uint32_t out_w = out_size(s->in_w, s->kernel_w, s->stride_x, s->pad_x, s->dilation_x);
	uint32_t pixels = s->in_h * s->in_w, depth = s->kernel_h * s->kernel_w * s->channels;
	float *x = floats(IMAGES * pixels * s->channels, 2), *patch = room(depth * 4);
	float *expected = room(s->n * 4), *bias = floats(s->n, 1);

	lay_out(_i % LAYOUTS);
	for (unsigned int f = 0; f < 4; f++) {
		uint64_t row = nib_row_bytes(pairs[f].a, s->channels);
		uint8_t *pixel = room(row), *a = room(nib_row_bytes(pairs[f].a, depth));
		uint8_t *w = panels(pairs[f].w, s->n, depth);
		struct nib_pkt_conv p = {
			.hdr = STREAM_HDR(NIB_OP_CONV, struct nib_pkt_conv), .images = IMAGES,
			.in_pitch = row + 16, .out_pitch = s->n * 4 + 8, .in_h = s->in_h,
			.in_w = s->in_w, .out_h = out_h, .out_w = out_w, .channels = s->channels,
			.n = s->n, .kernel_h = s->kernel_h, .kernel_w = s->kernel_w,
			.stride_y = s->stride_y, .stride_x = s->stride_x, .pad_y = s->pad_y,
			.pad_x = s->pad_x, .dilation_y = s->dilation_y,
			.dilation_x = s->dilation_x, .a_fmt = pairs[f].a, .w_fmt = pairs[f].w,
			.out_fmt = NIB_FMT_F32, .activation = NIB_ACT_RELU,
			.flags = NIB_GEMM_BIAS, .alpha = ONE,
		};
		struct nib_gemm_job job = {
			.a = a, .w = w, .out = (uint8_t *)expected, .bias = bias, .rows = 1,
			.n = s->n, .k = depth, .a_fmt = pairs[f].a, .w_fmt = pairs[f].w,
			.out_fmt = NIB_FMT_F32, .activation = NIB_ACT_RELU, .alpha = 1,
		};

		next_va = VA;
		p.in = place(IMAGES * pixels * p.in_pitch, 16);
		for (uint32_t i = 0; i < IMAGES * pixels; i++) {
			k->row_encode(pairs[f].a, NIB_SCALE_CEIL, x + i * s->channels, s->channels,
				      pixel);
			move(p.in + i * p.in_pitch, pixel, row, true);
		}
		p.w = put(w, nib_panels_bytes(pairs[f].w, s->n, depth), 64);
		p.bias = put(bias, s->n * 4, 4);
		p.out = place((uint64_t)IMAGES * out_h * out_w * p.out_pitch, 4);
		RUN(p);
		for (uint32_t o = 0; o < IMAGES * out_h * out_w; o++) {
			uint32_t image = o / (out_h * out_w), y = o / out_w % out_h, t = 0;

			for (uint32_t ky = 0; ky < s->kernel_h; ky++) {
				for (uint32_t kx = 0; kx < s->kernel_w; kx++, t++) {
					int64_t at = tap(s, y, o % out_w, ky, kx);
					float *to = patch + t * s->channels;

					memset(to, 0, s->channels * 4);
					if (at >= 0)
						memcpy(to, x + (image * pixels + (uint32_t)at) *
								   s->channels,
						       s->channels * 4);
				}
			}
			k->row_encode(pairs[f].a, NIB_SCALE_CEIL, patch, depth, a);
			k->gemm(&job);
			same(p.out + o * p.out_pitch, expected, s->n * 4, "conv");
		}
		free(pixel);
		free(a);
		free(w);
	}
	free(x);
	free(patch);
	free(expected);
	free(bias);
}
END_TEST

/* Rounded to what the packet's format holds, and back. */
static float through(uint32_t fmt, float x)
{
	uint16_t half;

	if (fmt == NIB_FMT_F32)
		return x;
	k->convert(fmt, &half, NIB_FMT_F32, &x, 1);
	k->convert(NIB_FMT_F32, &x, fmt, &half, 1);
	return x;
}

START_TEST(depthwise_convolves_each_channel)
{
	enum { IMAGES = 2 };
	const struct shape *s = &shapes[_i / LAYOUTS];
	const uint32_t channels = s->channels + 7, fmt = _i % 2 ? NIB_FMT_BF16 : NIB_FMT_F32;
	uint32_t out_h = out_size(s->in_h, s->kernel_h, s->stride_y, s->pad_y, s->dilation_y);
	uint32_t out_w = out_size(s->in_w, s->kernel_w, s->stride_x, s->pad_x, s->dilation_x);
	uint32_t pixels = s->in_h * s->in_w, taps = s->kernel_h * s->kernel_w;
	uint64_t size = nib_format_bits(fmt) / 8;
	float *x = floats(IMAGES * pixels * channels, 2), *w = floats(taps * channels, 1);
	float *bias = floats(channels, 1), *expected = room(channels * 4);
	uint8_t *row = room(channels * 4);
	struct nib_pkt_conv_depthwise p = {
		.hdr = STREAM_HDR(NIB_OP_CONV_DEPTHWISE, struct nib_pkt_conv_depthwise),
		.images = IMAGES, .in_pitch = channels * size + 8, .out_pitch = channels * size + 4,
		.in_h = s->in_h, .in_w = s->in_w, .out_h = out_h, .out_w = out_w,
		.channels = channels, .flags = NIB_GEMM_BIAS, .kernel_h = s->kernel_h,
		.kernel_w = s->kernel_w, .stride_y = s->stride_y, .stride_x = s->stride_x,
		.pad_y = s->pad_y, .pad_x = s->pad_x, .dilation_y = s->dilation_y,
		.dilation_x = s->dilation_x, .in_fmt = (uint16_t)fmt, .out_fmt = (uint16_t)fmt,
		.activation = NIB_ACT_SILU,
	};

	lay_out(_i % LAYOUTS);
	p.in = place(IMAGES * pixels * p.in_pitch, 4);
	for (uint32_t i = 0; i < IMAGES * pixels; i++) {
		k->convert(fmt, row, NIB_FMT_F32, x + i * channels, channels);
		move(p.in + i * p.in_pitch, row, channels * size, true);
	}
	p.w = put(w, taps * channels * 4, 4);
	p.bias = put(bias, channels * 4, 4);
	p.out = place((uint64_t)IMAGES * out_h * out_w * p.out_pitch, 4);
	RUN(p);
	for (uint32_t o = 0; o < IMAGES * out_h * out_w; o++) {
		uint32_t image = o / (out_h * out_w), y = o / out_w % out_h;

		for (uint32_t c = 0; c < channels; c++) {
			float acc = 0;

			for (uint32_t t = 0; t < taps; t++) {
				int64_t at = tap(s, y, o % out_w, t / s->kernel_w, t % s->kernel_w);

				if (at >= 0)
					acc = nib_fma(through(fmt, x[(image * pixels + (uint32_t)at) *
								     channels + c]),
						      w[t * channels + c], acc);
			}
			expected[c] = nib_silu(acc + bias[c]);
		}
		k->convert(fmt, row, NIB_FMT_F32, expected, channels);
		same(p.out + o * p.out_pitch, row, channels * size, "depthwise");
	}
	free(x);
	free(w);
	free(bias);
	free(expected);
	free(row);
}
END_TEST

/* --- Scan --- */

static const struct {
	uint32_t channels, share, flags;
	uint16_t states, groups;
	bool d;
} scans[] = {
	{ 40, 1, 0, 16, 1, true },			/* first generation */
	{ 64, 16, NIB_SCAN_SCALAR_A, 128, 2, true },	/* second: heads and groups */
	{ 9, 3, 0, 5, 3, false }, { 33, 1, NIB_SCAN_SCALAR_A, 21, 1, false },
};

/* Row by row and state by state, as nib_isa.h says it. */
static void scan_expect(int which, const float *x, const float *delta, const float *b,
			const float *c, const float *a, const float *dd, float *h, float *y)
{
	uint32_t channels = scans[which].channels, states = scans[which].states;
	bool scalar = scans[which].flags & NIB_SCAN_SCALAR_A;

	for (uint32_t ch = 0; ch < channels; ch++) {
		uint32_t head = ch / scans[which].share;
		uint32_t group = ch / (channels / scans[which].groups) * states;
		float lane[16] = { 0 };

		for (uint32_t j = 0; j < states; j++) {
			float *state = &h[ch * states + j];
			float da = nib_exp(delta[head] * a[scalar ? head : head * states + j]);
			float u = delta[head] * x[ch];

			*state = nib_fma(da, *state, u * b[group + j]);
			lane[j % 16] = nib_fma(*state, c[group + j], lane[j % 16]);
		}
		for (int step = 8; step; step /= 2)
			for (int l = 0; l < step; l++)
				lane[l] += lane[l + step];
		y[ch] = dd ? nib_fma(dd[ch], x[ch], lane[0]) : lane[0];
	}
}

START_TEST(scan_steps_states)
{
	enum { ROWS = 37, SEQS = 3 };
	const int which = _i / LAYOUTS;
	const uint32_t channels = scans[which].channels, states = scans[which].states;
	const uint32_t heads = channels / scans[which].share, bc = scans[which].groups * states;
	const uint32_t per_a = scans[which].flags & NIB_SCAN_SCALAR_A ? 1 : states;
	float *x = floats(ROWS * channels, 2), *delta = floats(ROWS * heads, 0.5f);
	float *b = floats(ROWS * bc, 1), *c = floats(ROWS * bc, 1), *a = floats(heads * per_a, 2);
	float *dd = floats(channels, 1), *h = floats(SEQS * channels * states, 1);
	float *y = room(ROWS * channels * 4);
	struct nib_kv_row rows[ROWS];
	struct nib_pkt_scan p = {
		.hdr = STREAM_HDR(NIB_OP_SCAN, struct nib_pkt_scan), .rows = ROWS,
		.x_pitch = channels * 4 + 4, .delta_pitch = heads * 4 + 8, .b_pitch = bc * 4,
		.c_pitch = bc * 4 + 12, .y_pitch = channels * 4 + 4,
		.state_stride = channels * states * 4ull + 16, .channels = channels,
		.states = (uint16_t)states, .groups = scans[which].groups,
		.share = scans[which].share, .flags = scans[which].flags,
	};

	lay_out(_i % LAYOUTS);
	/* A long run that goes on, a new sequence, and steps here and there. */
	for (uint32_t r = 0; r < ROWS; r++)
		rows[r] = r < 20 ? (struct nib_kv_row){ 1, 100 + r } :
			  r < 30 ? (struct nib_kv_row){ 0, r - 20 } :
			  (struct nib_kv_row){ r % SEQS, r == 33 ? 0 : 500 };
	p.x = place(ROWS * p.x_pitch, 4);
	p.delta = place(ROWS * p.delta_pitch, 4);
	p.b = place(ROWS * p.b_pitch, 4);
	p.c = place(ROWS * p.c_pitch, 4);
	p.y = _i % 2 ? p.x : place(ROWS * p.y_pitch, 4);
	for (uint32_t r = 0; r < ROWS; r++) {
		move(p.x + r * p.x_pitch, x + r * channels, channels * 4, true);
		move(p.delta + r * p.delta_pitch, delta + r * heads, heads * 4, true);
		move(p.b + r * p.b_pitch, b + r * bc, bc * 4, true);
		move(p.c + r * p.c_pitch, c + r * bc, bc * 4, true);
	}
	p.a = put(a, heads * per_a * 4, 4);
	p.d = scans[which].d ? put(dd, channels * 4, 4) : 0;
	p.state = place(SEQS * p.state_stride, 4);
	for (uint32_t i = 0; i < SEQS; i++)
		move(p.state + i * p.state_stride, h + i * channels * states, channels * states * 4,
		     true);
	p.row_table = put(rows, sizeof(rows), 8);
	RUN(p);
	for (uint32_t r = 0; r < ROWS; r++) {
		float *state = h + rows[r].seq * channels * states;

		if (!rows[r].pos)
			memset(state, 0, channels * states * 4);
		scan_expect(which, x + r * channels, delta + r * heads, b + r * bc, c + r * bc, a,
			    scans[which].d ? dd : NULL, state, y + r * channels);
		same(p.y + r * p.y_pitch, y + r * channels, channels * 4, "y");
	}
	for (uint32_t i = 0; i < SEQS; i++)
		same(p.state + i * p.state_stride, h + i * channels * states, channels * states * 4,
		     "state");
	free(x);
	free(delta);
	free(b);
	free(c);
	free(a);
	free(dd);
	free(h);
	free(y);
}
END_TEST

static void add(TCase *packets)
{
	tcase_add_loop_test(packets, grouped_gemm_takes_each_groups_weights, 0, LAYOUTS);
	tcase_add_loop_test(packets, grouped_gemm_faults_at_a_wrong_end, 0, LAYOUTS);
	tcase_add_loop_test(packets, conv_is_a_gemm_over_taps, 0, LAYOUTS * 4);
	tcase_add_loop_test(packets, depthwise_convolves_each_channel, 0, LAYOUTS * 4);
	tcase_add_loop_test(packets, scan_steps_states, 0, LAYOUTS * 4);
}

int main(void)
{
	return run_tables("device_models", add);
}
