/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * Stream ISA: the packets that a command stream is made of, and the arithmetic they promise.
 * A packet is one tensor operation over device virtual addresses; the device splits it into tiles.
 * Validation rules live beside the fields and are enforced by nib_validate.h.
 *
 * Stream: packets one after the other, each a whole number of 64-bit little-endian words, the last
 * one NIB_OP_END and nothing behind it. A stream is immutable once created. Its operands may name
 * arguments of the job that runs it:
 *
 *	bit i of nib_pkt.argmask set  =>  word i + 1 of the packet (word 0 is the header) is an
 *	argument reference: bits 0..5 argument, 6..15 zero, 16..63 signed addend;
 *	its value at run time is argument + addend, modulo 2^64.
 *
 * Only words marked [arg] may be references. A count whose value is 0 makes the packet a no-op.
 *
 * ARITHMETIC
 * The results of every packet are the same on every implementation, to the last bit, and do not
 * depend on the batch a row is in, on the number of threads or on tiling.
 * - FP32 is IEEE 754 binary32, round to nearest even, subnormals kept, except where a rule says
 *   "flushed". fma(a, b, c) rounds once. A NaN result is the quiet NaN 0x7fc00000.
 * - Element values are exact in FP32. Scales multiply as FP32.
 * - GEMM, output (m, n), k padded with zeros to a multiple of 32:
 *	acc = +0
 *	for each 32 elements of k, for each block of B of them (B is 16 when either side is NVFP4,
 *	else 32), for each term of A, for each term of W:
 *		s = +0
 *		for j = 0, 2, 4, ... B - 2:
 *			s = flush(fma(a[j + 1], w[j + 1], s))
 *			s = flush(fma(a[j], w[j], s))
 *		acc = fma(s, scale_a * scale_w, acc)
 *	flush() turns subnormals into zeros of the same sign; what is subnormal is decided after
 *	rounding to 24 bits as if exponents had no limit, as flush-to-zero hardware does (so the
 *	fma that would round up to 2^-126 from subnormals gives zero). Subnormal elements of BF16
 *	operands count as zeros as well. This is the order of BF16 dot-product instructions (odd
 *	element first); for FP4 x FP4 every step is exact, so that integer dot products give the
 *	same bits. Formats without block scale have scale 1. Blocks that begin at or past k are
 *	left out; in the last one, elements of A past k count as zeros whatever is stored, those of
 *	W are as stored (compilers store zeros).
 *	Epilogue, each step rounded: acc *= row scale of A (NVFP4 rows only); acc *= alpha;
 *	acc += bias[n]; acc = activation(acc); acc += residual[m][n]; convert to the output format.
 * - Row sums (VEC RSUM, softmax denominators): lane l of 16 sums elements l, l + 16, l + 32, ...
 *   in order from +0; lanes then add pairwise, l with l + 8, then + 4, + 2, + 1.
 * - Maximum and minimum return the other operand when one is NaN, and order -0 below +0.
 * - Attention, one query row and head, over the context in chunks of NIB_ATTN_CHUNK positions
 *   starting at position 0:
 *	score[j] = dot(q, k[j]) * scale, dot() as a row sum of single products: lane l of 16 does
 *	x = fma(q[i], k[i], x) for i = l, l + 16, ..., then lanes add as above
 *	soft-cap, where not 0: score = cap * tanh(score / cap)
 *	chunk: m = max(score), p[j] = exp(score[j] - m), l = row sum of p,
 *	       o[d] = fma(p[j], v[j][d], o[d]) for j ascending, from +0
 *	chunks combine in order, from the first: M = max(M', m), a = exp(M' - M), b = exp(m - M),
 *	       L = fma(L', a, l * b), O[d] = fma(O'[d], a, o[d] * b)
 *	a sink s joins last, as a chunk with m = s, l = 1 and o = 0
 *	result O[d] / L
 *   Masked positions are absent: they are in no sum. A chunk without positions is skipped.
 *   In the row sum of p, position j is element j: lane j mod 16, whatever a window hides.
 * - A grouped GEMM is a GEMM of each group; a convolution is one whose row for an output pixel is
 *   the rows of its taps, one behind the other, (ky, kx) ascending, k = taps x channels; a tap
 *   outside of the image is a row of zeros with scale 1.
 * - Depthwise convolution, each channel: acc = +0; acc = fma(x, w, acc) for the taps inside of the
 *   image, (ky, kx) ascending; acc += bias; acc = activation(acc); convert to the output format.
 * - Scan, each row, channel and state j: da = exp(delta * A[j]); u = delta * x;
 *   h[j] = fma(da, h[j], u * B[j]); y = fma(D, x, dot(h, C)), dot() as in attention; without D,
 *   y = dot(h, C).
 * - exp, log, tanh, erf, sine and cosine are defined by the polynomials of
 *   firmware-sim/kernels/math.h, never by a C library.
 * - Quantization: see enum nib_scale_rule; elements are x * 2^-e rounded to nearest, ties to even,
 *   saturating; the second term of a split format quantizes x - value(first term), which is exact.
 * - Conversions round to nearest even. To FP8 they saturate, infinities included; to F16 and BF16
 *   they overflow to infinity. NaN becomes 0x7fc00000, 0x7fc0 (BF16), 0x7e00 (F16), 0x7f (E4M3),
 *   0x7e (E5M2). Data that keeps its format keeps its bits, NaN payloads included.
 * - Values of block formats in FP32 (GATHER, attention): element * scale, then for NVFP4 rows * row
 *   scale, for panels * alpha; terms of a split format are added before alpha. Each step rounds.
 * - VEC registers hold no NaN payload: STORE writes 0x7fc00000 for every NaN.
 *
 * OVERLAP. Where a packet writes memory that it also reads or writes elsewhere, the bytes that
 * overlap are unspecified, but for these: a GEMM's FP32 output may be its residual; a VEC store
 * may go where the same (i0, i1, j) was loaded; a SCAN's y may be its x. No packet reaches memory that its operands do not
 * name.
 */
#ifndef NIB_ISA_H
#define NIB_ISA_H

#include <linux/types.h>
#include "nib_format.h"

/*
 * Version of this page: major breaks streams, minor adds packets or fields that were zero.
 *	1.1	GEMM_GROUPED, CONV, CONV_DEPTHWISE, SCAN
 */
#define NIB_ISA_MAJOR	1
#define NIB_ISA_MINOR	1

/* Limits of streams and jobs. */
#define NIB_MAX_ARGS		64u
#define NIB_MAX_STREAM_BYTES	(4u << 20)
#define NIB_MAX_PKT_WORDS	512u
#define NIB_MAX_DIM		(1u << 24)	/* rows, columns, k of one packet */
#define NIB_MAX_PITCH		(1ull << 31)	/* bytes from row to row */
#define NIB_ATTN_CHUNK		256u		/* positions */
#define NIB_ATTN_POSITIONS	0xffff0000u	/* that there may be: see struct nib_kv_row */
#define NIB_ATTN_MAX_HEAD_DIM	1024u
#define NIB_VA_BITS		48

/**
 * struct nib_pkt - header of every packet.
 * @op: enum nib_op.
 * @words: length in 64-bit words, header included.
 * @argmask: which of words 1..32 are argument references.
 */
struct nib_pkt {
	__u16 op;
	__u16 words;
	__u32 argmask;
};
NIB_STATIC_ASSERT(sizeof(struct nib_pkt) == 8, "packet header is one word");

/* Argument reference, see above. */
#define NIB_ARG(index, addend)	(((__u64)(addend) << 16) | (__u64)(index))
#define NIB_ARG_INDEX(word)	((__u32)((word) & 63))
#define NIB_ARG_ADDEND(word)	((__s64)(word) >> 16)
#define NIB_ARG_RESERVED	0xffc0ull

/**
 * enum nib_op - packets. Codes 0x100..0x13f are kept for links between devices (send, receive,
 * all-reduce); every code not listed is rejected when the stream is created.
 */
enum nib_op {
	NIB_OP_END = 0x001,		/* ends the stream; 1 word */
	NIB_OP_NOP = 0x002,		/* does nothing; 1 word */
	NIB_OP_TIMESTAMP = 0x003,
	NIB_OP_SEM = 0x004,
	NIB_OP_COPY = 0x010,
	NIB_OP_FILL = 0x011,
	NIB_OP_GATHER = 0x012,
	NIB_OP_KV_APPEND = 0x013,
	NIB_OP_QUANT = 0x014,
	NIB_OP_GEMM = 0x020,
	NIB_OP_GEMM_GROUPED = 0x021,
	NIB_OP_CONV = 0x028,
	NIB_OP_CONV_DEPTHWISE = 0x029,
	NIB_OP_ATTENTION = 0x030,
	NIB_OP_VEC = 0x040,
	NIB_OP_SAMPLE = 0x050,
	NIB_OP_SCAN = 0x060,
};

/**
 * struct nib_pkt_timestamp - write the device clock.
 * @addr: [arg] 8-byte aligned address that receives modelled nanoseconds since boot, as __u64.
 */
struct nib_pkt_timestamp {
	struct nib_pkt hdr;
	__u64 addr;
};

/* Semaphore actions. A wait that does not hold yields the engine to other queues. */
enum nib_sem_action {
	NIB_SEM_SET = 0,	/* *addr = value */
	NIB_SEM_ADD = 1,	/* *addr += value */
	NIB_SEM_WAIT_GE = 2,	/* continue once *addr - value, as a signed number, is >= 0 */
};

/**
 * struct nib_pkt_sem - semaphore in memory, a naturally aligned __u64.
 * @addr: [arg] address.
 * @value: [arg] operand.
 * @action: enum nib_sem_action.
 */
struct nib_pkt_sem {
	struct nib_pkt hdr;
	__u64 addr;
	__u64 value;
	__u64 action;
};

/**
 * struct nib_pkt_copy - DMA of a block of up to three dimensions, converting on the way.
 * @src: [arg] address of the first element.
 * @dst: [arg] address of the first element.
 * @n0: [arg] elements in a row, contiguous on both sides.
 * @n1: [arg] rows.
 * @n2: [arg] planes.
 * @src_pitch1: bytes from row to row. May be 0 (broadcast).
 * @src_pitch2: bytes from plane to plane. May be 0.
 * @dst_pitch1: bytes from row to row.
 * @dst_pitch2: bytes from plane to plane.
 * @src_fmt: F32, BF16, F16, U32, E4M3, E5M2.
 * @dst_fmt: as @src_fmt; U32 only to and from U32. Conversions saturate to FP8, round to nearest
 *	even.
 */
struct nib_pkt_copy {
	struct nib_pkt hdr;
	__u64 src;
	__u64 dst;
	__u64 n0;
	__u64 n1;
	__u64 n2;
	__u64 src_pitch1;
	__u64 src_pitch2;
	__u64 dst_pitch1;
	__u64 dst_pitch2;
	__u32 src_fmt;
	__u32 dst_fmt;
};

/**
 * struct nib_pkt_fill - store a repeated 32-bit value.
 * @dst: [arg] 4-byte aligned address.
 * @count: [arg] 32-bit words, at most 2^31.
 * @value: the value; upper half zero.
 */
struct nib_pkt_fill {
	struct nib_pkt hdr;
	__u64 dst;
	__u64 count;
	__u64 value;
};

/* Layouts of a table that rows are gathered from. */
enum nib_layout {
	NIB_LAYOUT_ROWS = 0,	/* row layout at a pitch */
	NIB_LAYOUT_PANELS = 1,	/* weight matrix; output n is row n */
};

/**
 * struct nib_pkt_gather - rows of a table, by index, to FP32 rows.
 * @rows: [arg] how many.
 * @index: [arg] address of __u32 indices; one at or past @table_rows faults (NIB_DONE_FAULT_INDEX).
 * @table: [arg] address of the table; aligned to 64 for panels, 16 for rows of block formats, else 4.
 * @table_rows: rows in the table.
 * @table_pitch: bytes from row to row (NIB_LAYOUT_ROWS), else 0.
 * @dst: [arg] address of FP32 rows.
 * @dst_pitch: bytes from row to row.
 * @width: elements of a row.
 * @fmt: enum nib_format of the table: F32, BF16, F16 (rows only), or a GEMM format.
 * @layout: enum nib_layout.
 * @alpha: FP32 bits, finite: factor on every element (the tensor scale of NVFP4 panels); 0x3f800000
 *	for 1. A multiplication: NaNs come out as 0x7fc00000.
 */
struct nib_pkt_gather {
	struct nib_pkt hdr;
	__u64 rows;
	__u64 index;
	__u64 table;
	__u64 table_rows;
	__u64 table_pitch;
	__u64 dst;
	__u64 dst_pitch;
	__u32 width;
	__u16 fmt;
	__u16 layout;
	__u32 alpha;
	__u32 zero;
};

/**
 * struct nib_kv_row - where a row of a ragged batch belongs; an array of these is the row table.
 * @seq: which block table, counted from the first one of the batch.
 * @pos: position in the sequence; the row sees positions 0..@pos. In ATTENTION one of
 *	NIB_ATTN_POSITIONS or more faults (NIB_DONE_FAULT_INDEX).
 */
struct nib_kv_row {
	__u32 seq;
	__u32 pos;
};
NIB_STATIC_ASSERT(sizeof(struct nib_kv_row) == 8, "row table entry");

/*
 * Block table of sequence s: __u64 page addresses at blocks + s * stride * 8. Position p lives in
 * page p / page_tokens, at page + offset + p % page_tokens * nib_row_bytes(fmt, width). Pages may
 * lie in any memory. An entry at or past the stride faults (NIB_DONE_FAULT_INDEX).
 */

/**
 * struct nib_pkt_kv_append - convert FP32 rows and store them in K/V pages.
 * @rows: [arg] how many.
 * @src: [arg] FP32 rows.
 * @src_pitch: bytes from row to row.
 * @row_table: [arg] struct nib_kv_row per row.
 * @blocks: [arg] block tables.
 * @block_stride: [arg] entries from one sequence's table to the next.
 * @offset: of this layer's keys or values in a page, bytes: a multiple of 16 below 2^31.
 * @width: elements of a row (K/V heads x head dimension).
 * @fmt: BF16, F32, E4M3, E5M2 or a block format.
 * @rule: enum nib_scale_rule.
 * @page_tokens: positions in a page, a power of two up to 4096.
 */
struct nib_pkt_kv_append {
	struct nib_pkt hdr;
	__u64 rows;
	__u64 src;
	__u64 src_pitch;
	__u64 row_table;
	__u64 blocks;
	__u64 block_stride;
	__u64 offset;
	__u32 width;
	__u16 fmt;
	__u16 rule;
	__u32 page_tokens;
	__u32 zero;
};

/**
 * struct nib_pkt_quant - FP32 rows to rows of another format.
 * @rows: [arg] how many.
 * @src: [arg] FP32 rows.
 * @src_pitch: bytes from row to row.
 * @dst: [arg] rows in row layout, NIB_ROW_ALIGN aligned.
 * @dst_pitch: bytes from row to row, at least nib_row_bytes(fmt, width).
 * @width: elements of a source row; what pads it to whole tiles is written as zeros.
 * @fmt: BF16, E4M3, E5M2 or a block format.
 * @rule: enum nib_scale_rule.
 */
struct nib_pkt_quant {
	struct nib_pkt hdr;
	__u64 rows;
	__u64 src;
	__u64 src_pitch;
	__u64 dst;
	__u64 dst_pitch;
	__u32 width;
	__u16 fmt;
	__u16 rule;
};

/* Epilogue of a GEMM. */
#define NIB_GEMM_BIAS		(1u << 0)	/* FP32 bias[n] */
#define NIB_GEMM_RESIDUAL	(1u << 1)	/* FP32 residual rows; may be the output itself */
#define NIB_GEMM_FLAGS		(NIB_GEMM_BIAS | NIB_GEMM_RESIDUAL)

enum nib_activation {
	NIB_ACT_NONE = 0,
	NIB_ACT_RELU = 1,	/* max(x, +0) */
	NIB_ACT_SILU = 2,	/* x / (1 + exp(-x)) */
	NIB_ACT_GELU = 3,	/* x * 0.5 * (1 + erf(x * sqrt(0.5))) */
};

/**
 * struct nib_pkt_gemm - out[m][n] = epilogue(sum over k of A[m][k] * W[n][k]).
 * @rows: [arg] rows of A and of the output.
 * @a: [arg] A in row layout, 16-byte aligned.
 * @a_pitch: bytes from row to row.
 * @w: [arg] W in panel layout, 64-byte aligned.
 * @out: [arg] output rows.
 * @out_pitch: bytes from row to row, a multiple of 4.
 * @bias: [arg] FP32 bias, or 0.
 * @residual: [arg] FP32 rows, or 0.
 * @residual_pitch: bytes from row to row.
 * @n: outputs.
 * @k: reduction length.
 * @a_fmt: a GEMM format.
 * @w_fmt: a GEMM format.
 * @out_fmt: F32 or BF16.
 * @activation: enum nib_activation.
 * @flags: NIB_GEMM_*.
 * @alpha: FP32 bits, finite; factor on every sum.
 */
struct nib_pkt_gemm {
	struct nib_pkt hdr;
	__u64 rows;
	__u64 a;
	__u64 a_pitch;
	__u64 w;
	__u64 out;
	__u64 out_pitch;
	__u64 bias;
	__u64 residual;
	__u64 residual_pitch;
	__u32 n;
	__u32 k;
	__u16 a_fmt;
	__u16 w_fmt;
	__u16 out_fmt;
	__u16 activation;
	__u32 flags;
	__u32 alpha;
};

/**
 * struct nib_pkt_gemm_grouped - rows in groups, each with a W of its own: a mixture of experts.
 * Row m of group g: out[m][n] = epilogue(sum over k of A[m][k] * W_g[n][k]).
 * @rows: [arg] rows of A and of the output.
 * @a: [arg] A in row layout, 16-byte aligned.
 * @a_pitch: bytes from row to row.
 * @w: [arg] W of group 0 in panel layout, 64-byte aligned.
 * @w_stride: bytes from one group's W to the next one's, a multiple of 64 up to NIB_MAX_PITCH.
 * @out: [arg] output rows.
 * @out_pitch: bytes from row to row, a multiple of 4.
 * @bias: [arg] FP32 bias[group][n], or 0.
 * @ends: [arg] __u32 per group: the row behind its last; group 0 starts with row 0. One that is
 *	below the one before it, or above @rows, faults (NIB_DONE_FAULT_INDEX). Rows behind the
 *	last group are not written.
 * @groups: [arg] how many.
 * @n: outputs.
 * @k: reduction length.
 * @a_fmt: a GEMM format.
 * @w_fmt: a GEMM format.
 * @out_fmt: F32 or BF16.
 * @activation: enum nib_activation.
 * @flags: NIB_GEMM_BIAS or 0.
 * @alpha: FP32 bits, finite; factor on every sum.
 */
struct nib_pkt_gemm_grouped {
	struct nib_pkt hdr;
	__u64 rows;
	__u64 a;
	__u64 a_pitch;
	__u64 w;
	__u64 w_stride;
	__u64 out;
	__u64 out_pitch;
	__u64 bias;
	__u64 ends;
	__u64 groups;
	__u32 n;
	__u32 k;
	__u16 a_fmt;
	__u16 w_fmt;
	__u16 out_fmt;
	__u16 activation;
	__u32 flags;
	__u32 alpha;
};

#define NIB_CONV_MAX_SIDE	65536u	/* of an image, pixels */
#define NIB_CONV_MAX_TAPS	256u	/* kernel height, and width */

/**
 * struct nib_pkt_conv - two-dimensional convolution, a GEMM over taps. An image is @in_h x @in_w
 * pixels, row by row, @in_pitch bytes from pixel to pixel; images follow each other. So are outputs.
 * Output (y, x) of an image sums over taps (ky, kx) at pixel (y * stride_y + ky * dilation_y -
 * pad_y, x * stride_x + kx * dilation_x - pad_x).
 * @images: [arg] how many.
 * @in: [arg] pixels in row layout of @channels elements, 16-byte aligned.
 * @in_pitch: bytes from pixel to pixel.
 * @w: [arg] W[n][(ky * kernel_w + kx) * channels + c] in panel layout, 64-byte aligned.
 * @out: [arg] output pixels of @n elements.
 * @out_pitch: bytes from pixel to pixel, a multiple of 4.
 * @bias: [arg] FP32 bias[n], or 0.
 * @in_h: with @in_w, size of an input image, 1..NIB_CONV_MAX_SIDE.
 * @out_h: with @out_w, size of an output image, 1..NIB_CONV_MAX_SIDE.
 * @channels: of the input, a multiple of 32.
 * @n: channels of the output.
 * @kernel_h: with @kernel_w, taps, 1..NIB_CONV_MAX_TAPS each; taps x channels at most NIB_MAX_DIM.
 * @stride_y: with @stride_x, at least 1.
 * @pad_y: with @pad_x, pixels of zeros above and left of the image.
 * @dilation_y: with @dilation_x, at least 1.
 * @a_fmt: a GEMM format but NVFP4, whose rows have scales of their own.
 * @w_fmt: a GEMM format.
 * @out_fmt: F32 or BF16.
 * @activation: enum nib_activation.
 * @flags: NIB_GEMM_BIAS or 0.
 * @alpha: FP32 bits, finite; factor on every sum.
 */
struct nib_pkt_conv {
	struct nib_pkt hdr;
	__u64 images;
	__u64 in;
	__u64 in_pitch;
	__u64 w;
	__u64 out;
	__u64 out_pitch;
	__u64 bias;
	__u32 in_h;
	__u32 in_w;
	__u32 out_h;
	__u32 out_w;
	__u32 channels;
	__u32 n;
	__u16 kernel_h;
	__u16 kernel_w;
	__u16 stride_y;
	__u16 stride_x;
	__u16 pad_y;
	__u16 pad_x;
	__u16 dilation_y;
	__u16 dilation_x;
	__u16 a_fmt;
	__u16 w_fmt;
	__u16 out_fmt;
	__u16 activation;
	__u32 flags;
	__u32 alpha;
};

/**
 * struct nib_pkt_conv_depthwise - convolution of each channel by itself; pixels as in nib_pkt_conv.
 * A causal one over a sequence is an image of height 1 with pad_x = kernel_w - 1.
 * @images: [arg] how many.
 * @in: [arg] pixels of @channels elements.
 * @in_pitch: bytes from pixel to pixel.
 * @w: [arg] FP32 W[ky * kernel_w + kx][c], rows without gaps.
 * @out: [arg] pixels of @channels elements.
 * @out_pitch: bytes from pixel to pixel.
 * @bias: [arg] FP32 bias[c], or 0.
 * @in_h: with @in_w, size of an input image.
 * @out_h: with @out_w, size of an output image.
 * @channels: 1..NIB_VEC_MAX_N.
 * @flags: NIB_GEMM_BIAS or 0.
 * @kernel_h: see nib_pkt_conv; and so on.
 * @in_fmt: F32 or BF16.
 * @out_fmt: F32 or BF16.
 * @activation: enum nib_activation.
 * @zero: must be 0.
 */
struct nib_pkt_conv_depthwise {
	struct nib_pkt hdr;
	__u64 images;
	__u64 in;
	__u64 in_pitch;
	__u64 w;
	__u64 out;
	__u64 out_pitch;
	__u64 bias;
	__u32 in_h;
	__u32 in_w;
	__u32 out_h;
	__u32 out_w;
	__u32 channels;
	__u32 flags;
	__u16 kernel_h;
	__u16 kernel_w;
	__u16 stride_y;
	__u16 stride_x;
	__u16 pad_y;
	__u16 pad_x;
	__u16 dilation_y;
	__u16 dilation_x;
	__u16 in_fmt;
	__u16 out_fmt;
	__u16 activation;
	__u16 zero;
};

#define NIB_SCAN_MAX_STATES	1024u
#define NIB_SCAN_SCALAR_A	(1u << 0)	/* A has one value for all states of a channel */

/**
 * struct nib_pkt_scan - selective scan of a state-space model over a ragged batch of rows. Rows of
 * one sequence are taken in the order of the packet; one at position 0 starts from zeros. All FP32.
 * Channel c uses delta and A of head c / @share, and B and C of group c / (channels / groups).
 * @rows: [arg] how many.
 * @x: [arg] rows of @channels.
 * @x_pitch: bytes from row to row.
 * @delta: [arg] rows of channels / share.
 * @delta_pitch: bytes from row to row.
 * @b: [arg] rows of groups x states.
 * @b_pitch: bytes from row to row.
 * @c: [arg] rows of groups x states.
 * @c_pitch: bytes from row to row.
 * @y: [arg] rows of @channels; may be @x itself with the same pitch.
 * @y_pitch: bytes from row to row.
 * @a: [arg] A[channels / share][states], or [channels / share] with NIB_SCAN_SCALAR_A.
 * @d: [arg] D[channels], or 0 for none.
 * @state: [arg] h[channels][states] of sequence 0, read and written.
 * @state_stride: [arg] bytes from one sequence's state to the next one's, a multiple of 4.
 * @row_table: [arg] struct nib_kv_row per row.
 * @channels: 1..NIB_VEC_MAX_N, a multiple of @share and of @groups.
 * @states: 1..NIB_SCAN_MAX_STATES.
 * @groups: at least 1.
 * @share: channels of a head, at least 1.
 * @flags: NIB_SCAN_SCALAR_A or 0.
 */
struct nib_pkt_scan {
	struct nib_pkt hdr;
	__u64 rows;
	__u64 x;
	__u64 x_pitch;
	__u64 delta;
	__u64 delta_pitch;
	__u64 b;
	__u64 b_pitch;
	__u64 c;
	__u64 c_pitch;
	__u64 y;
	__u64 y_pitch;
	__u64 a;
	__u64 d;
	__u64 state;
	__u64 state_stride;
	__u64 row_table;
	__u32 channels;
	__u16 states;
	__u16 groups;
	__u32 share;
	__u32 flags;
};

/**
 * struct nib_pkt_attention - grouped-query attention over paged keys and values, causal, for a
 * ragged batch of rows. Keys and values of the rows themselves must have been appended before.
 * @rows: [arg] query rows.
 * @q: [arg] FP32 rows, n_heads x head_dim each.
 * @q_pitch: bytes from row to row.
 * @out: [arg] FP32 rows, n_heads x head_dim each.
 * @out_pitch: bytes from row to row.
 * @row_table: [arg] struct nib_kv_row per row.
 * @blocks: [arg] block tables.
 * @block_stride: [arg] entries from one sequence's table to the next.
 * @k_offset: of this layer's keys in a page, bytes.
 * @v_offset: of this layer's values in a page, bytes.
 * @sinks: [arg] FP32 logit per head that joins the denominator, or 0 for none.
 * @n_heads: query heads, a multiple of @n_kv_heads.
 * @n_kv_heads: heads in a K or V row; query head h reads K/V head h / (n_heads / n_kv_heads).
 * @head_dim: at most NIB_ATTN_MAX_HEAD_DIM.
 * @page_tokens: positions in a page, a power of two.
 * @k_fmt: format of K rows, as in nib_pkt_kv_append.
 * @v_fmt: format of V rows.
 * @scale: FP32 bits, finite; factor on scores.
 * @softcap: FP32 bits, finite and positive; 0 for none.
 * @window: how many positions back a row sees, itself included, at most 2^24; 0 for all.
 */
struct nib_pkt_attention {
	struct nib_pkt hdr;
	__u64 rows;
	__u64 q;
	__u64 q_pitch;
	__u64 out;
	__u64 out_pitch;
	__u64 row_table;
	__u64 blocks;
	__u64 block_stride;
	__u64 k_offset;
	__u64 v_offset;
	__u64 sinks;
	__u16 n_heads;
	__u16 n_kv_heads;
	__u16 head_dim;
	__u16 page_tokens;
	__u16 k_fmt;
	__u16 v_fmt;
	__u32 scale;
	__u32 softcap;
	__u32 window;
};

/*
 * Vector programs. A VEC packet runs its program once for each (i0, i1) of its index space, over
 * vectors of n elements: registers hold whole vectors. Reductions give a vector that holds the
 * result in every element. Register and operand numbers are checked at creation; a program may
 * read only registers that an earlier instruction wrote.
 */
#define NIB_VEC_MAX_OPERANDS	8u
#define NIB_VEC_REGS		16u
#define NIB_VEC_MAX_INSNS	256u
#define NIB_VEC_MAX_N		(1u << 20)

/**
 * struct nib_vec_operand - a tensor of a VEC packet: element (i0, i1, j) lives at
 * addr + i0 * stride0 + i1 * stride1 + j * stride_n elements.
 * @addr: [arg] naturally aligned address.
 * @stride0: bytes; may be 0 or negative.
 * @stride1: bytes; may be 0 or negative.
 * @fmt: F32, BF16, F16, U32 (loads convert the integer to FP32, to nearest even), E4M3, E5M2.
 *	Stores take F32 and BF16.
 * @stride_n: elements from j to j + 1; 0 repeats one element.
 */
struct nib_vec_operand {
	__u64 addr;
	__s32 stride0;
	__s32 stride1;
	__u32 fmt;
	__s32 stride_n;
};
NIB_STATIC_ASSERT(sizeof(struct nib_vec_operand) == 24, "VEC operand is three words");

/* Vector instructions. "c" is the register in the low byte of imm. */
enum nib_vec_op {
	NIB_VEC_LOAD = 1,	/* dst = operand[a] */
	NIB_VEC_STORE = 2,	/* operand[dst] = a */
	NIB_VEC_MOVI = 3,	/* dst = imm, FP32 bits */
	NIB_VEC_IOTA = 4,	/* dst = j */
	NIB_VEC_ADD = 8,	/* dst = a + b */
	NIB_VEC_SUB = 9,	/* dst = a - b */
	NIB_VEC_MUL = 10,	/* dst = a * b */
	NIB_VEC_DIV = 11,	/* dst = a / b */
	NIB_VEC_FMA = 12,	/* dst = fma(a, b, c) */
	NIB_VEC_MIN = 13,
	NIB_VEC_MAX = 14,
	NIB_VEC_ADDI = 15,	/* dst = a + imm */
	NIB_VEC_MULI = 16,	/* dst = a * imm */
	NIB_VEC_NEG = 24,
	NIB_VEC_ABS = 25,
	NIB_VEC_SQRT = 26,
	NIB_VEC_RSQRT = 27,	/* 1 / sqrt(a), two roundings */
	NIB_VEC_RCP = 28,	/* 1 / a */
	NIB_VEC_EXP = 29,
	NIB_VEC_LOG = 30,
	NIB_VEC_TANH = 31,
	NIB_VEC_SIGMOID = 32,	/* 1 / (1 + exp(-a)) */
	NIB_VEC_ERF = 33,
	NIB_VEC_SIN = 34,
	NIB_VEC_COS = 35,
	NIB_VEC_FLOOR = 36,
	NIB_VEC_RINT = 37,	/* to nearest integer, ties to even */
	NIB_VEC_LT = 40,	/* dst = a < b ? 1 : 0 */
	NIB_VEC_EQ = 41,	/* dst = a == b ? 1 : 0 */
	NIB_VEC_SELECT = 42,	/* dst = a != 0 ? b : c */
	NIB_VEC_RSUM = 48,	/* dst[*] = row sum of a */
	NIB_VEC_RMAX = 49,
	NIB_VEC_RMIN = 50,
};

/**
 * struct nib_vec_insn - one vector instruction.
 * @op: enum nib_vec_op.
 * @dst: register, or the operand of a STORE.
 * @a: register, or the operand of a LOAD.
 * @b: register; 0 where unused.
 * @imm: FP32 bits, or register c in the low byte; 0 where unused.
 */
struct nib_vec_insn {
	__u8 op;
	__u8 dst;
	__u8 a;
	__u8 b;
	__u32 imm;
};
NIB_STATIC_ASSERT(sizeof(struct nib_vec_insn) == 8, "vector instruction is one word");

/**
 * struct nib_pkt_vec - vector program; followed by n_operands struct nib_vec_operand and n_insns
 * struct nib_vec_insn.
 * @d0: [arg] outer extent, usually rows.
 * @d1: [arg] inner extent, usually heads.
 * @n: vector length.
 * @n_operands: at most NIB_VEC_MAX_OPERANDS.
 * @n_insns: 1..NIB_VEC_MAX_INSNS.
 */
struct nib_pkt_vec {
	struct nib_pkt hdr;
	__u64 d0;
	__u64 d1;
	__u32 n;
	__u16 n_operands;
	__u16 n_insns;
};

/**
 * struct nib_sample_params - how to pick a token of one row of logits.
 * @temperature: FP32; 0 picks the largest logit, the lowest index on a tie.
 * @top_p: FP32 in (0, 1]; 1 for no limit.
 * @top_k: 0 for no limit.
 * @zero: must be 0.
 * @seed: key of the random stream.
 * @counter: which number of that stream to use.
 *
 * Otherwise: candidates are taken in the order of their logit, descending, then of their index;
 * with a @top_k the first @top_k are all there are. p = exp((logit - max) / temperature); total is
 * the sum of p over the candidates: with a @top_k in their order, else a row sum over the whole
 * row, to which NaNs add +0. With a @top_p below 1, candidates stay until their sum, in their
 * order, first reaches @top_p times total, and that sum is kept; else all stay and kept is total.
 * u = philox(seed, counter) picks the first candidate whose running sum, in their order, exceeds
 * u * kept. Sums are sequential but for the row sum.
 * NaN logits are no candidates; a temperature that is not above 0 counts as 0; where no running sum
 * exceeds the share (rounding, or the largest logit is infinite) the token is the one of
 * temperature 0.
 * philox() is Philox-4x32-10 with key {seed low, seed high} and counter {counter low, counter
 * high, 0, 0}; u is its first word >> 8, times 2^-24.
 */
struct nib_sample_params {
	__u32 temperature;
	__u32 top_p;
	__u32 top_k;
	__u32 zero;
	__u64 seed;
	__u64 counter;
};
NIB_STATIC_ASSERT(sizeof(struct nib_sample_params) == 32, "sampling parameters");

/**
 * struct nib_pkt_sample - pick tokens.
 * @rows: [arg] rows of logits.
 * @logits: [arg] FP32 rows.
 * @logits_pitch: bytes from row to row.
 * @params: [arg] struct nib_sample_params per row, 8-byte aligned.
 * @out: [arg] __u32 token per row. A row of NaNs only gives token 0.
 * @n: logits in a row, at most NIB_VEC_MAX_N.
 * @zero: must be 0.
 */
struct nib_pkt_sample {
	struct nib_pkt hdr;
	__u64 rows;
	__u64 logits;
	__u64 logits_pitch;
	__u64 params;
	__u64 out;
	__u32 n;
	__u32 zero;
};

NIB_STATIC_ASSERT(sizeof(struct nib_pkt_timestamp) == 2 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_sem) == 4 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_copy) == 11 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_fill) == 4 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_gather) == 10 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_kv_append) == 10 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_quant) == 7 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_gemm) == 13 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_gemm_grouped) == 14 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_conv) == 15 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_conv_depthwise) == 14 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_scan) == 19 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_attention) == 15 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_vec) == 4 * 8, "wire size");
NIB_STATIC_ASSERT(sizeof(struct nib_pkt_sample) == 7 * 8, "wire size");

#endif
