// SPDX-License-Identifier: MIT
/* See packets.h. */
#include <stdlib.h>
#include <string.h>
#include "packets.h"

#define ONE	0x3f800000u
#define HDR(code, count)	{ .op = NIB_OP_##code, .words = (count) }

static const union packet end = { .hdr = HDR(END, 1) };

const struct packet_sample packet_samples[] = {
	{ "nop", { .hdr = HDR(NOP, 1) } },
	{ "timestamp", { .timestamp = { .hdr = HDR(TIMESTAMP, 2), .addr = 0x1008 } } },
	{ "sem", { .sem = {
		.hdr = HDR(SEM, 4), .addr = 0x1010, .value = 3, .action = NIB_SEM_ADD,
	} } },
	{ "copy", { .copy = {
		.hdr = HDR(COPY, 11), .src = 0x1000, .dst = 0x2000, .n0 = 6, .n1 = 3, .n2 = 2,
		.src_pitch1 = 24, .src_pitch2 = 72, .dst_pitch1 = 16, .dst_pitch2 = 48,
		.src_fmt = NIB_FMT_F32, .dst_fmt = NIB_FMT_BF16,
	} } },
	{ "fill", { .fill = { .hdr = HDR(FILL, 4), .dst = 0x1004, .count = 9, .value = ~0u } } },
	{ "gather", { .gather = {
		.hdr = HDR(GATHER, 10), .rows = 2, .index = 0x1004, .table = 0x2000,
		.table_rows = 5, .table_pitch = 64, .dst = 0x3000, .dst_pitch = 64, .width = 16,
		.fmt = NIB_FMT_F32, .layout = NIB_LAYOUT_ROWS, .alpha = ONE,
	} } },
	{ "gather_panels", { .gather_panels = {
		.hdr = HDR(GATHER, 10), .rows = 2, .index = 0x1004, .table = 0x4000,
		.table_rows = 70, .dst = 0x3000, .dst_pitch = 160, .width = 40,
		.fmt = NIB_FMT_MXFP4, .layout = NIB_LAYOUT_PANELS, .alpha = ONE,
	} } },
	{ "kv_append", { .kv_append = {
		.hdr = HDR(KV_APPEND, 10), .rows = 3, .src = 0x1000, .src_pitch = 256,
		.row_table = 0x2000, .blocks = 0x2100, .block_stride = 4, .offset = 512,
		.width = 64, .fmt = NIB_FMT_MXFP8, .rule = NIB_SCALE_CEIL, .page_tokens = 16,
	} } },
	{ "quant", { .quant = {
		.hdr = HDR(QUANT, 7), .rows = 3, .src = 0x1000, .src_pitch = 160, .dst = 0x2000,
		.dst_pitch = 48, .width = 40, .fmt = NIB_FMT_MXFP4, .rule = NIB_SCALE_BEST3,
	} } },
	{ "gemm", { .gemm = {
		.hdr = HDR(GEMM, 13), .rows = 3, .a = 0x1000, .a_pitch = 112, .w = 0x4000,
		.out = 0x2000, .out_pitch = 288, .bias = 0x3000, .residual = 0x2000,
		.residual_pitch = 288, .n = 72, .k = 96, .a_fmt = NIB_FMT_MXFP8,
		.w_fmt = NIB_FMT_MXFP4, .out_fmt = NIB_FMT_F32, .activation = NIB_ACT_SILU,
		.flags = NIB_GEMM_BIAS | NIB_GEMM_RESIDUAL, .alpha = ONE,
	} } },
	{ "gemm_grouped", { .gemm_grouped = {
		.hdr = HDR(GEMM_GROUPED, 14), .rows = 5, .a = 0x1000, .a_pitch = 112, .w = 0x4000,
		.w_stride = 0x2000, .out = 0x2000, .out_pitch = 288, .bias = 0x3000,
		.ends = 0x3f00, .groups = 2, .n = 72, .k = 96, .a_fmt = NIB_FMT_MXFP8,
		.w_fmt = NIB_FMT_MXFP4, .out_fmt = NIB_FMT_F32, .activation = NIB_ACT_SILU,
		.flags = NIB_GEMM_BIAS, .alpha = ONE,
	} } },
	{ "conv", { .conv = {
		.hdr = HDR(CONV, 15), .images = 2, .in = 0x1000, .in_pitch = 48, .w = 0x4000,
		.out = 0x2000, .out_pitch = 32, .bias = 0x3000, .in_h = 4, .in_w = 5, .out_h = 3,
		.out_w = 2, .channels = 32, .n = 16, .kernel_h = 3, .kernel_w = 2, .stride_y = 1,
		.stride_x = 2, .pad_y = 1, .pad_x = 1, .dilation_y = 1, .dilation_x = 2,
		.a_fmt = NIB_FMT_MXFP8, .w_fmt = NIB_FMT_MXFP4, .out_fmt = NIB_FMT_BF16,
		.activation = NIB_ACT_RELU, .flags = NIB_GEMM_BIAS, .alpha = ONE,
	} } },
	{ "conv_depthwise", { .conv_depthwise = {
		.hdr = HDR(CONV_DEPTHWISE, 14), .images = 2, .in = 0x1000, .in_pitch = 20,
		.w = 0x4000, .out = 0x2000, .out_pitch = 40, .bias = 0x3000, .in_h = 1, .in_w = 9,
		.out_h = 1, .out_w = 9, .channels = 9, .flags = NIB_GEMM_BIAS, .kernel_h = 1,
		.kernel_w = 4, .stride_y = 1, .stride_x = 1, .pad_x = 3, .dilation_y = 1,
		.dilation_x = 1, .in_fmt = NIB_FMT_BF16, .out_fmt = NIB_FMT_F32,
		.activation = NIB_ACT_GELU,
	} } },
	{ "attention", { .attention = {
		.hdr = HDR(ATTENTION, 15), .rows = 2, .q = 0x1000, .q_pitch = 128, .out = 0x2000,
		.out_pitch = 128, .row_table = 0x3000, .blocks = 0x3100, .block_stride = 4,
		.k_offset = 0, .v_offset = 1024, .sinks = 0x3200, .n_heads = 4, .n_kv_heads = 2,
		.head_dim = 8, .page_tokens = 16, .k_fmt = NIB_FMT_BF16, .v_fmt = NIB_FMT_MXFP8,
		.scale = ONE, .softcap = ONE, .window = 7,
	} } },
	/* An RMS norm without epsilon, gain in operand 1. */
	{ "vec", { .vec = {
		.pkt = {
			.hdr = HDR(VEC, 4 + 3 * 3 + 9), .d0 = 3, .d1 = 2, .n = 32,
			.n_operands = 3, .n_insns = 9,
		},
		.operand = {
			{ .addr = 0x1000, .stride0 = 256, .stride1 = -128, .fmt = NIB_FMT_F32,
			  .stride_n = 1 },
			{ .addr = 0x2000, .fmt = NIB_FMT_F16, .stride_n = 1 },
			{ .addr = 0x3000, .stride0 = 128, .stride1 = 64, .fmt = NIB_FMT_BF16,
			  .stride_n = -1 },
		},
		.insn = {
			{ .op = NIB_VEC_LOAD, .dst = 0, .a = 0 },
			{ .op = NIB_VEC_LOAD, .dst = 1, .a = 1 },
			{ .op = NIB_VEC_MUL, .dst = 2, .a = 0, .b = 0 },
			{ .op = NIB_VEC_RSUM, .dst = 2, .a = 2 },
			{ .op = NIB_VEC_MULI, .dst = 2, .a = 2, .imm = 0x3d000000 },
			{ .op = NIB_VEC_RSQRT, .dst = 2, .a = 2 },
			{ .op = NIB_VEC_MUL, .dst = 2, .a = 2, .b = 0 },
			{ .op = NIB_VEC_MUL, .dst = 2, .a = 2, .b = 1 },
			{ .op = NIB_VEC_STORE, .dst = 2, .a = 2 },
		},
	} } },
	{ "sample", { .sample = {
		.hdr = HDR(SAMPLE, 7), .rows = 2, .logits = 0x1000, .logits_pitch = 400,
		.params = 0x2000, .out = 0x3000, .n = 100,
	} } },
	{ "scan", { .scan = {
		.hdr = HDR(SCAN, 19), .rows = 3, .x = 0x1000, .x_pitch = 64, .delta = 0x1100,
		.delta_pitch = 16, .b = 0x1200, .b_pitch = 48, .c = 0x1300, .c_pitch = 40,
		.y = 0x1400, .y_pitch = 32, .a = 0x1500, .d = 0x1600, .state = 0x2000,
		.state_stride = 0x200, .row_table = 0x1700, .channels = 8, .states = 5,
		.groups = 2, .share = 4, .flags = NIB_SCAN_SCALAR_A,
	} } },
};

const size_t packet_sample_count = sizeof(packet_samples) / sizeof(packet_samples[0]);

const union packet *packet_sample(const char *name)
{
	for (size_t i = 0; i < packet_sample_count; i++)
		if (!strcmp(packet_samples[i].name, name))
			return &packet_samples[i].p;
	abort();
}

/* Bit of the word that a member fills. */
#define ARG(type, field)	(1u << (offsetof(struct nib_pkt_##type, field) / 8 - 1))

uint32_t packet_arg_words(const union packet *p)
{
	uint32_t mask;

	switch (p->hdr.op) {
	case NIB_OP_TIMESTAMP:
		return ARG(timestamp, addr);
	case NIB_OP_SEM:
		return ARG(sem, addr) | ARG(sem, value);
	case NIB_OP_COPY:
		return ARG(copy, src) | ARG(copy, dst) | ARG(copy, n0) | ARG(copy, n1) |
		       ARG(copy, n2);
	case NIB_OP_FILL:
		return ARG(fill, dst) | ARG(fill, count);
	case NIB_OP_GATHER:
		return ARG(gather, rows) | ARG(gather, index) | ARG(gather, table) |
		       ARG(gather, dst);
	case NIB_OP_KV_APPEND:
		return ARG(kv_append, rows) | ARG(kv_append, src) | ARG(kv_append, row_table) |
		       ARG(kv_append, blocks) | ARG(kv_append, block_stride);
	case NIB_OP_QUANT:
		return ARG(quant, rows) | ARG(quant, src) | ARG(quant, dst);
	case NIB_OP_GEMM:
		return ARG(gemm, rows) | ARG(gemm, a) | ARG(gemm, w) | ARG(gemm, out) |
		       ARG(gemm, bias) | ARG(gemm, residual);
	case NIB_OP_GEMM_GROUPED:
		return ARG(gemm_grouped, rows) | ARG(gemm_grouped, a) | ARG(gemm_grouped, w) |
		       ARG(gemm_grouped, out) | ARG(gemm_grouped, bias) |
		       ARG(gemm_grouped, ends) | ARG(gemm_grouped, groups);
	case NIB_OP_CONV:
		return ARG(conv, images) | ARG(conv, in) | ARG(conv, w) | ARG(conv, out) |
		       ARG(conv, bias);
	case NIB_OP_CONV_DEPTHWISE:
		return ARG(conv_depthwise, images) | ARG(conv_depthwise, in) |
		       ARG(conv_depthwise, w) | ARG(conv_depthwise, out) |
		       ARG(conv_depthwise, bias);
	case NIB_OP_ATTENTION:
		return ARG(attention, rows) | ARG(attention, q) | ARG(attention, out) |
		       ARG(attention, row_table) | ARG(attention, blocks) |
		       ARG(attention, block_stride) | ARG(attention, sinks);
	case NIB_OP_VEC:
		mask = ARG(vec, d0) | ARG(vec, d1);
		for (uint32_t i = 0; i < p->vec.pkt.n_operands; i++)
			mask |= 1u << ((sizeof(struct nib_pkt_vec) +
					i * sizeof(struct nib_vec_operand)) / 8 - 1);
		return mask;
	case NIB_OP_SAMPLE:
		return ARG(sample, rows) | ARG(sample, logits) | ARG(sample, params) |
		       ARG(sample, out);
	case NIB_OP_SCAN:
		return ARG(scan, rows) | ARG(scan, x) | ARG(scan, delta) | ARG(scan, b) |
		       ARG(scan, c) | ARG(scan, y) | ARG(scan, a) | ARG(scan, d) |
		       ARG(scan, state) | ARG(scan, state_stride) | ARG(scan, row_table);
	default:
		return 0;
	}
}

uint32_t packet_words(const uint64_t *w)
{
	return w[0] >> 16 & 0xffff;
}

/* Returns the next argument that is free. */
static uint32_t make_args(union packet *p, uint32_t next)
{
	p->hdr.argmask = packet_arg_words(p);
	for (uint32_t i = 1; i <= 32 && i < PACKET_WORDS; i++)
		if (p->hdr.argmask >> (i - 1) & 1)
			p->w[i] = NIB_ARG(next++ % NIB_MAX_ARGS, 0);
	return next;
}

size_t packet_stream(uint64_t *out, size_t max, int args)
{
	size_t at = 0;
	uint32_t next = 0;

	for (size_t i = 0; i <= packet_sample_count; i++) {
		union packet p = i < packet_sample_count ? packet_samples[i].p : end;

		if (args)
			next = make_args(&p, next);
		if (packet_words(p.w) > max - at)
			abort();
		memcpy(out + at, p.w, packet_words(p.w) * 8);
		at += packet_words(p.w);
	}
	return at;
}
