/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * The stream validator: an allow-list over nib_isa.h. Freestanding, no allocation, no recursion,
 * time linear in the stream. The driver runs it when a stream is created, the compiler on what it
 * writes, the library before it asks the driver, and the device on each packet once its arguments
 * are known: what holds for constants holds for values.
 *
 * It proves that packets are well formed and every number is in range. It does not prove that
 * addresses are mapped: that is the page table's part.
 */
#ifndef NIB_VALIDATE_H
#define NIB_VALIDATE_H

#include "nib_isa.h"

/**
 * enum nib_validate_error - why a stream is refused.
 */
enum nib_validate_error {
	NIB_VALID = 0,
	NIB_INVALID_SIZE = 1,		/* empty, too large or not whole words */
	NIB_INVALID_OPCODE = 2,
	NIB_INVALID_LENGTH = 3,		/* packet length is not the opcode's, or past the end */
	NIB_INVALID_ARGMASK = 4,	/* a word that may not be an argument */
	NIB_INVALID_ARG = 5,		/* reserved bits of an argument reference */
	NIB_INVALID_RESERVED = 6,	/* a field that must be zero, or unknown flags */
	NIB_INVALID_FORMAT = 7,		/* number format, layout, rule or action */
	NIB_INVALID_RANGE = 8,		/* count, width or pitch out of range */
	NIB_INVALID_ALIGN = 9,		/* address not aligned */
	NIB_INVALID_PROGRAM = 10,	/* vector instruction */
	NIB_INVALID_END = 11,		/* no END, or something behind it */
};

/**
 * struct nib_stream_info - what validation found.
 * @nargs: arguments that a job must bring.
 * @packets: packets, END included.
 * @error_offset: byte offset of the packet that was refused.
 */
struct nib_stream_info {
	__u32 nargs;
	__u32 packets;
	__u32 error_offset;
};

static inline const char *nib_validate_strerror(__u32 error)
{
	static const char *const text[] = {
		"valid", "stream size", "unknown opcode", "packet length",
		"argument in a word that takes none", "argument reference", "reserved field",
		"format", "value out of range", "address alignment", "vector program",
		"no END packet at the end",
	};

	return error < sizeof(text) / sizeof(text[0]) ? text[error] : "unknown error";
}

/* A packet under validation: its words, and which of them are not known yet. */
struct nib_check {
	const __u64 *w;
	__u32 words;
	__u32 argmask;
};

/* True if word i (1..32) is an argument, whose value cannot be checked yet. */
static inline int nib_check_is_arg(const struct nib_check *c, __u32 i)
{
	return i >= 1 && i <= 32 && (c->argmask >> (i - 1) & 1);
}

static inline int nib_check_count(const struct nib_check *c, __u32 i, __u64 max)
{
	return nib_check_is_arg(c, i) || c->w[i] <= max;
}

static inline int nib_check_align(const struct nib_check *c, __u32 i, __u64 align)
{
	return nib_check_is_arg(c, i) || (c->w[i] & (align - 1)) == 0;
}

static inline int nib_check_pitch(__u64 pitch, __u64 least, __u64 align)
{
	return pitch >= least && pitch <= NIB_MAX_PITCH && (pitch & (align - 1)) == 0;
}

static inline __u32 nib_word_lo(__u64 word)
{
	return (__u32)word;
}

static inline __u32 nib_word_hi(__u64 word)
{
	return (__u32)(word >> 32);
}

static inline int nib_check_finite(__u32 bits)
{
	return (bits & 0x7f800000u) != 0x7f800000u;
}

/* Plain element formats that DMA and vector loads take. */
static inline int nib_format_is_plain(__u32 fmt)
{
	return fmt == NIB_FMT_F32 || fmt == NIB_FMT_BF16 || fmt == NIB_FMT_F16 ||
	       fmt == NIB_FMT_U32 || fmt == NIB_FMT_E4M3 || fmt == NIB_FMT_E5M2;
}

/* Formats that QUANT writes. */
static inline int nib_format_is_quant(__u32 fmt)
{
	return fmt == NIB_FMT_BF16 || fmt == NIB_FMT_E4M3 || fmt == NIB_FMT_E5M2 ||
	       nib_format_block(fmt) != 0;
}

/* Formats of K/V pages. */
static inline int nib_format_is_kv(__u32 fmt)
{
	return fmt == NIB_FMT_F32 || nib_format_is_quant(fmt);
}

static inline __u32 nib_check_copy(const struct nib_check *c)
{
	__u32 src = nib_word_lo(c->w[10]), dst = nib_word_hi(c->w[10]), i;

	if (!nib_format_is_plain(src) || !nib_format_is_plain(dst) ||
	    (src == NIB_FMT_U32) != (dst == NIB_FMT_U32))
		return NIB_INVALID_FORMAT;
	for (i = 3; i <= 5; i++)
		if (!nib_check_count(c, i, NIB_MAX_DIM))
			return NIB_INVALID_RANGE;
	for (i = 6; i <= 9; i++)
		if (!nib_check_pitch(c->w[i], 0, nib_format_bits(i < 8 ? src : dst) / 8))
			return NIB_INVALID_RANGE;
	if (!nib_check_align(c, 1, nib_format_bits(src) / 8) ||
	    !nib_check_align(c, 2, nib_format_bits(dst) / 8))
		return NIB_INVALID_ALIGN;
	return NIB_VALID;
}

static inline __u32 nib_check_gather(const struct nib_check *c)
{
	__u32 width = nib_word_lo(c->w[8]);
	__u32 fmt = nib_word_hi(c->w[8]) & 0xffff, layout = nib_word_hi(c->w[8]) >> 16;
	__u64 table_align = layout == NIB_LAYOUT_PANELS ? 64 :
			    nib_format_block(fmt) ? NIB_ROW_ALIGN : 4;
	__u64 table_row = nib_format_block(fmt) ? nib_row_bytes(fmt, width) :
			  (__u64)width * nib_format_bits(fmt) / 8;

	if (nib_word_hi(c->w[9]))
		return NIB_INVALID_RESERVED;
	if (layout > NIB_LAYOUT_PANELS || (!nib_format_is_gemm(fmt) && fmt != NIB_FMT_F32 &&
					   (fmt != NIB_FMT_F16 || layout != NIB_LAYOUT_ROWS)))
		return NIB_INVALID_FORMAT;
	if (!nib_check_finite(nib_word_lo(c->w[9])) || !width || width > NIB_MAX_DIM ||
	    !nib_check_count(c, 1, NIB_MAX_DIM) || !c->w[4] || c->w[4] > NIB_MAX_DIM ||
	    !nib_check_pitch(c->w[7], (__u64)width * 4, 4))
		return NIB_INVALID_RANGE;
	if (layout == NIB_LAYOUT_PANELS ? c->w[5] != 0 :
	    !nib_check_pitch(c->w[5], table_row, table_align))
		return NIB_INVALID_RANGE;
	if (!nib_check_align(c, 2, 4) || !nib_check_align(c, 3, table_align) ||
	    !nib_check_align(c, 6, 4))
		return NIB_INVALID_ALIGN;
	return NIB_VALID;
}

static inline int nib_check_page_tokens(__u32 tokens)
{
	return tokens && tokens <= 4096 && (tokens & (tokens - 1)) == 0;
}

static inline __u32 nib_check_kv_append(const struct nib_check *c)
{
	__u32 width = nib_word_lo(c->w[8]);
	__u32 fmt = nib_word_hi(c->w[8]) & 0xffff, rule = nib_word_hi(c->w[8]) >> 16;

	if (nib_word_hi(c->w[9]))
		return NIB_INVALID_RESERVED;
	if (!nib_format_is_kv(fmt) || rule > NIB_SCALE_BEST3)
		return NIB_INVALID_FORMAT;
	if (!nib_check_count(c, 1, NIB_MAX_DIM) || !width || width > NIB_MAX_DIM ||
	    !nib_check_pitch(c->w[3], (__u64)width * 4, 4) ||
	    !nib_check_count(c, 6, NIB_MAX_DIM) || c->w[7] > NIB_MAX_PITCH ||
	    !nib_check_page_tokens(nib_word_lo(c->w[9])))
		return NIB_INVALID_RANGE;
	if (!nib_check_align(c, 2, 4) || !nib_check_align(c, 4, 8) || !nib_check_align(c, 5, 8) ||
	    (c->w[7] & (NIB_ROW_ALIGN - 1)))
		return NIB_INVALID_ALIGN;
	return NIB_VALID;
}

static inline __u32 nib_check_quant(const struct nib_check *c)
{
	__u32 width = nib_word_lo(c->w[6]);
	__u32 fmt = nib_word_hi(c->w[6]) & 0xffff, rule = nib_word_hi(c->w[6]) >> 16;

	if (!nib_format_is_quant(fmt) || rule > NIB_SCALE_BEST3)
		return NIB_INVALID_FORMAT;
	if (!nib_check_count(c, 1, NIB_MAX_DIM) || !width || width > NIB_MAX_DIM ||
	    !nib_check_pitch(c->w[3], (__u64)width * 4, 4) ||
	    !nib_check_pitch(c->w[5], nib_row_bytes(fmt, width), NIB_ROW_ALIGN))
		return NIB_INVALID_RANGE;
	if (!nib_check_align(c, 2, 4) || !nib_check_align(c, 4, NIB_ROW_ALIGN))
		return NIB_INVALID_ALIGN;
	return NIB_VALID;
}

static inline __u32 nib_check_gemm(const struct nib_check *c)
{
	__u32 n = nib_word_lo(c->w[10]), k = nib_word_hi(c->w[10]);
	__u32 a_fmt = nib_word_lo(c->w[11]) & 0xffff, w_fmt = nib_word_lo(c->w[11]) >> 16;
	__u32 out_fmt = nib_word_hi(c->w[11]) & 0xffff, act = nib_word_hi(c->w[11]) >> 16;
	__u32 flags = nib_word_lo(c->w[12]);

	if (flags & ~NIB_GEMM_FLAGS)
		return NIB_INVALID_RESERVED;
	if (!(flags & NIB_GEMM_BIAS) && (c->w[7] || nib_check_is_arg(c, 7)))
		return NIB_INVALID_RESERVED;
	if (!(flags & NIB_GEMM_RESIDUAL) && (c->w[8] || c->w[9] || nib_check_is_arg(c, 8)))
		return NIB_INVALID_RESERVED;
	if (!nib_format_is_gemm(a_fmt) || !nib_format_is_gemm(w_fmt) || act > NIB_ACT_GELU ||
	    (out_fmt != NIB_FMT_F32 && out_fmt != NIB_FMT_BF16))
		return NIB_INVALID_FORMAT;
	if (!nib_check_count(c, 1, NIB_MAX_DIM) || !n || n > NIB_MAX_DIM || !k || k > NIB_MAX_DIM ||
	    !nib_check_pitch(c->w[3], nib_row_bytes(a_fmt, k), NIB_ROW_ALIGN) ||
	    !nib_check_pitch(c->w[6], (__u64)n * nib_format_bits(out_fmt) / 8, 4) ||
	    ((flags & NIB_GEMM_RESIDUAL) && !nib_check_pitch(c->w[9], (__u64)n * 4, 4)) ||
	    !nib_check_finite(nib_word_hi(c->w[12])))
		return NIB_INVALID_RANGE;
	if (!nib_check_align(c, 2, NIB_ROW_ALIGN) || !nib_check_align(c, 4, 64) ||
	    !nib_check_align(c, 5, 4) || !nib_check_align(c, 7, 4) || !nib_check_align(c, 8, 4))
		return NIB_INVALID_ALIGN;
	return NIB_VALID;
}

static inline __u32 nib_check_gemm_grouped(const struct nib_check *c)
{
	__u32 n = nib_word_lo(c->w[11]), k = nib_word_hi(c->w[11]);
	__u32 a_fmt = nib_word_lo(c->w[12]) & 0xffff, w_fmt = nib_word_lo(c->w[12]) >> 16;
	__u32 out_fmt = nib_word_hi(c->w[12]) & 0xffff, act = nib_word_hi(c->w[12]) >> 16;
	__u32 flags = nib_word_lo(c->w[13]);

	if (flags & ~NIB_GEMM_BIAS || (!flags && (c->w[8] || nib_check_is_arg(c, 8))))
		return NIB_INVALID_RESERVED;
	if (!nib_format_is_gemm(a_fmt) || !nib_format_is_gemm(w_fmt) || act > NIB_ACT_GELU ||
	    (out_fmt != NIB_FMT_F32 && out_fmt != NIB_FMT_BF16))
		return NIB_INVALID_FORMAT;
	if (!nib_check_count(c, 1, NIB_MAX_DIM) || !nib_check_count(c, 10, NIB_MAX_DIM) ||
	    !n || n > NIB_MAX_DIM || !k || k > NIB_MAX_DIM ||
	    !nib_check_pitch(c->w[3], nib_row_bytes(a_fmt, k), NIB_ROW_ALIGN) ||
	    !nib_check_pitch(c->w[5], nib_panels_bytes(w_fmt, n, k), 64) ||
	    !nib_check_pitch(c->w[7], (__u64)n * nib_format_bits(out_fmt) / 8, 4) ||
	    !nib_check_finite(nib_word_hi(c->w[13])))
		return NIB_INVALID_RANGE;
	if (!nib_check_align(c, 2, NIB_ROW_ALIGN) || !nib_check_align(c, 4, 64) ||
	    !nib_check_align(c, 6, 4) || !nib_check_align(c, 8, 4) || !nib_check_align(c, 9, 4))
		return NIB_INVALID_ALIGN;
	return NIB_VALID;
}

/* What both kinds of convolution say of images and taps; @at: the word of the input's size. */
static inline int nib_check_image(const struct nib_check *c, __u32 at)
{
	__u32 i;

	for (i = at; i < at + 2; i++)
		if (!nib_word_lo(c->w[i]) || nib_word_lo(c->w[i]) > NIB_CONV_MAX_SIDE ||
		    !nib_word_hi(c->w[i]) || nib_word_hi(c->w[i]) > NIB_CONV_MAX_SIDE)
			return 0;
	/* Kernel, stride; pad, dilation. */
	for (i = 0; i < 4; i++)
		if (!(c->w[at + 3] >> i * 16 & 0xffff))
			return 0;
	return (c->w[at + 3] & 0xffff) <= NIB_CONV_MAX_TAPS &&
	       (c->w[at + 3] >> 16 & 0xffff) <= NIB_CONV_MAX_TAPS &&
	       c->w[at + 4] >> 32 & 0xffff && c->w[at + 4] >> 48;
}

static inline __u32 nib_check_conv(const struct nib_check *c)
{
	__u32 channels = nib_word_lo(c->w[10]), n = nib_word_hi(c->w[10]);
	__u32 a_fmt = nib_word_lo(c->w[13]) & 0xffff, w_fmt = nib_word_lo(c->w[13]) >> 16;
	__u32 out_fmt = nib_word_hi(c->w[13]) & 0xffff, act = nib_word_hi(c->w[13]) >> 16;
	__u32 flags = nib_word_lo(c->w[14]);
	__u64 taps = (c->w[11] & 0xffff) * (c->w[11] >> 16 & 0xffff);

	if (flags & ~NIB_GEMM_BIAS || (!flags && (c->w[7] || nib_check_is_arg(c, 7))))
		return NIB_INVALID_RESERVED;
	if (!nib_format_is_gemm(a_fmt) || a_fmt == NIB_FMT_NVFP4 || !nib_format_is_gemm(w_fmt) ||
	    act > NIB_ACT_GELU || (out_fmt != NIB_FMT_F32 && out_fmt != NIB_FMT_BF16))
		return NIB_INVALID_FORMAT;
	if (!nib_check_count(c, 1, NIB_MAX_DIM) || !nib_check_image(c, 8) ||
	    !channels || channels % NIB_TILE_K || channels > NIB_MAX_DIM ||
	    !n || n > NIB_MAX_DIM || taps * channels > NIB_MAX_DIM ||
	    !nib_check_pitch(c->w[3], nib_row_bytes(a_fmt, channels), NIB_ROW_ALIGN) ||
	    !nib_check_pitch(c->w[6], (__u64)n * nib_format_bits(out_fmt) / 8, 4) ||
	    !nib_check_finite(nib_word_hi(c->w[14])))
		return NIB_INVALID_RANGE;
	if (!nib_check_align(c, 2, NIB_ROW_ALIGN) || !nib_check_align(c, 4, 64) ||
	    !nib_check_align(c, 5, 4) || !nib_check_align(c, 7, 4))
		return NIB_INVALID_ALIGN;
	return NIB_VALID;
}

static inline __u32 nib_check_conv_depthwise(const struct nib_check *c)
{
	__u32 channels = nib_word_lo(c->w[10]), flags = nib_word_hi(c->w[10]);
	__u32 in_fmt = nib_word_lo(c->w[13]) & 0xffff, out_fmt = nib_word_lo(c->w[13]) >> 16;
	__u32 act = nib_word_hi(c->w[13]) & 0xffff;
	__u64 in_bytes = nib_format_bits(in_fmt) / 8, out_bytes = nib_format_bits(out_fmt) / 8;

	if (nib_word_hi(c->w[13]) >> 16 || flags & ~NIB_GEMM_BIAS ||
	    (!flags && (c->w[7] || nib_check_is_arg(c, 7))))
		return NIB_INVALID_RESERVED;
	if ((in_fmt != NIB_FMT_F32 && in_fmt != NIB_FMT_BF16) || act > NIB_ACT_GELU ||
	    (out_fmt != NIB_FMT_F32 && out_fmt != NIB_FMT_BF16))
		return NIB_INVALID_FORMAT;
	if (!nib_check_count(c, 1, NIB_MAX_DIM) || !nib_check_image(c, 8) || !channels ||
	    channels > NIB_VEC_MAX_N || !nib_check_pitch(c->w[3], channels * in_bytes, in_bytes) ||
	    !nib_check_pitch(c->w[6], channels * out_bytes, out_bytes))
		return NIB_INVALID_RANGE;
	if (!nib_check_align(c, 2, in_bytes) || !nib_check_align(c, 4, 4) ||
	    !nib_check_align(c, 5, out_bytes) || !nib_check_align(c, 7, 4))
		return NIB_INVALID_ALIGN;
	return NIB_VALID;
}

static inline __u32 nib_check_scan(const struct nib_check *c)
{
	__u32 channels = nib_word_lo(c->w[17]), states = nib_word_hi(c->w[17]) & 0xffff;
	__u32 groups = nib_word_hi(c->w[17]) >> 16, share = nib_word_lo(c->w[18]), i;
	__u64 bc = (__u64)groups * states * 4;

	if (nib_word_hi(c->w[18]) & ~NIB_SCAN_SCALAR_A)
		return NIB_INVALID_RESERVED;
	if (!nib_check_count(c, 1, NIB_MAX_DIM) || !channels || channels > NIB_VEC_MAX_N ||
	    !states || states > NIB_SCAN_MAX_STATES || !groups || channels % groups || !share ||
	    channels % share || !nib_check_pitch(c->w[3], channels * 4ull, 4) ||
	    !nib_check_pitch(c->w[5], channels / share * 4ull, 4) ||
	    !nib_check_pitch(c->w[7], bc, 4) || !nib_check_pitch(c->w[9], bc, 4) ||
	    !nib_check_pitch(c->w[11], channels * 4ull, 4) ||
	    (!nib_check_is_arg(c, 15) && c->w[15] > 1ull << NIB_VA_BITS))
		return NIB_INVALID_RANGE;
	for (i = 2; i <= 16; i++)
		if ((i > 11 || i % 2 == 0) && !nib_check_align(c, i, i == 16 ? 8 : 4))
			return NIB_INVALID_ALIGN;
	return NIB_VALID;
}

static inline __u32 nib_check_attention(const struct nib_check *c)
{
	__u32 heads = nib_word_lo(c->w[12]) & 0xffff, kv = nib_word_lo(c->w[12]) >> 16;
	__u32 dim = nib_word_hi(c->w[12]) & 0xffff, page = nib_word_hi(c->w[12]) >> 16;
	__u32 k_fmt = nib_word_lo(c->w[13]) & 0xffff, v_fmt = nib_word_lo(c->w[13]) >> 16;
	__u32 softcap = nib_word_lo(c->w[14]), i;

	if (!nib_format_is_kv(k_fmt) || !nib_format_is_kv(v_fmt))
		return NIB_INVALID_FORMAT;
	if (!nib_check_count(c, 1, NIB_MAX_DIM) || !heads || !kv || heads % kv || !dim ||
	    dim > NIB_ATTN_MAX_HEAD_DIM || heads * dim > NIB_MAX_DIM ||
	    !nib_check_page_tokens(page) ||
	    !nib_check_pitch(c->w[3], (__u64)heads * dim * 4, 4) ||
	    !nib_check_pitch(c->w[5], (__u64)heads * dim * 4, 4) ||
	    !nib_check_count(c, 8, NIB_MAX_DIM) ||
	    c->w[9] > NIB_MAX_PITCH || c->w[10] > NIB_MAX_PITCH ||
	    !nib_check_finite(nib_word_hi(c->w[13])) || !nib_check_finite(softcap) ||
	    softcap >> 31 || nib_word_hi(c->w[14]) > NIB_MAX_DIM)
		return NIB_INVALID_RANGE;
	for (i = 2; i <= 7; i++)
		if (i != 3 && i != 5 && !nib_check_align(c, i, i >= 6 ? 8 : 4))
			return NIB_INVALID_ALIGN;
	if (((c->w[9] | c->w[10]) & (NIB_ROW_ALIGN - 1)) || !nib_check_align(c, 11, 4))
		return NIB_INVALID_ALIGN;
	return NIB_VALID;
}

/* One vector instruction; *written is the set of registers that hold something. */
static inline __u32 nib_check_vec_insn(__u64 word, const __u64 *operands, __u32 n_operands,
				       __u32 *written)
{
	__u32 op = word & 0xff, dst = word >> 8 & 0xff, a = word >> 16 & 0xff;
	__u32 b = word >> 24 & 0xff, imm = nib_word_hi(word), reads = 0, fmt;

	switch (op) {
	case NIB_VEC_LOAD:
		if (a >= n_operands || dst >= NIB_VEC_REGS || b || imm)
			return NIB_INVALID_PROGRAM;
		*written |= 1u << dst;
		return NIB_VALID;
	case NIB_VEC_STORE:
		if (dst >= n_operands || a >= NIB_VEC_REGS || b || imm || !(*written >> a & 1))
			return NIB_INVALID_PROGRAM;
		fmt = nib_word_lo(operands[dst * 3 + 2]);
		return fmt == NIB_FMT_F32 || fmt == NIB_FMT_BF16 ? NIB_VALID : NIB_INVALID_FORMAT;
	case NIB_VEC_MOVI:
		if (a || b)
			return NIB_INVALID_PROGRAM;
		break;
	case NIB_VEC_IOTA:
		if (a || b || imm)
			return NIB_INVALID_PROGRAM;
		break;
	case NIB_VEC_ADD: case NIB_VEC_SUB: case NIB_VEC_MUL: case NIB_VEC_DIV:
	case NIB_VEC_MIN: case NIB_VEC_MAX: case NIB_VEC_LT: case NIB_VEC_EQ:
		if (imm || b >= NIB_VEC_REGS || a >= NIB_VEC_REGS)
			return NIB_INVALID_PROGRAM;
		reads = 1u << a | 1u << b;
		break;
	case NIB_VEC_FMA: case NIB_VEC_SELECT:
		if (imm >= NIB_VEC_REGS || b >= NIB_VEC_REGS || a >= NIB_VEC_REGS)
			return NIB_INVALID_PROGRAM;
		reads = 1u << a | 1u << b | 1u << imm;
		break;
	case NIB_VEC_ADDI: case NIB_VEC_MULI:
		if (b || a >= NIB_VEC_REGS)
			return NIB_INVALID_PROGRAM;
		reads = 1u << a;
		break;
	case NIB_VEC_NEG: case NIB_VEC_ABS: case NIB_VEC_SQRT: case NIB_VEC_RSQRT:
	case NIB_VEC_RCP: case NIB_VEC_EXP: case NIB_VEC_LOG: case NIB_VEC_TANH:
	case NIB_VEC_SIGMOID: case NIB_VEC_ERF: case NIB_VEC_SIN: case NIB_VEC_COS:
	case NIB_VEC_FLOOR: case NIB_VEC_RINT:
	case NIB_VEC_RSUM: case NIB_VEC_RMAX: case NIB_VEC_RMIN:
		if (b || imm || a >= NIB_VEC_REGS)
			return NIB_INVALID_PROGRAM;
		reads = 1u << a;
		break;
	default:
		return NIB_INVALID_PROGRAM;
	}
	if (dst >= NIB_VEC_REGS || (reads & ~*written))
		return NIB_INVALID_PROGRAM;
	*written |= 1u << dst;
	return NIB_VALID;
}

static inline __u32 nib_check_vec(const struct nib_check *c)
{
	__u32 n = nib_word_lo(c->w[3]), i, error;
	__u32 n_operands = nib_word_hi(c->w[3]) & 0xffff, n_insns = nib_word_hi(c->w[3]) >> 16;
	__u32 written = 0;

	if (n_operands > NIB_VEC_MAX_OPERANDS || !n_insns || n_insns > NIB_VEC_MAX_INSNS)
		return NIB_INVALID_PROGRAM;
	if (c->words != 4 + n_operands * 3 + n_insns)
		return NIB_INVALID_LENGTH;
	if (!n || n > NIB_VEC_MAX_N || !nib_check_count(c, 1, NIB_MAX_DIM) ||
	    !nib_check_count(c, 2, NIB_MAX_DIM))
		return NIB_INVALID_RANGE;
	for (i = 0; i < n_operands; i++) {
		__u32 fmt = nib_word_lo(c->w[4 + i * 3 + 2]), bytes = nib_format_bits(fmt) / 8;

		if (!nib_format_is_plain(fmt))
			return NIB_INVALID_FORMAT;
		if (!nib_check_align(c, 4 + i * 3, bytes) ||
		    ((nib_word_lo(c->w[4 + i * 3 + 1]) | nib_word_hi(c->w[4 + i * 3 + 1])) &
		     (bytes - 1)))
			return NIB_INVALID_ALIGN;
	}
	for (i = 4 + n_operands * 3; i < c->words; i++) {
		error = nib_check_vec_insn(c->w[i], c->w + 4, n_operands, &written);
		if (error)
			return error;
	}
	return NIB_VALID;
}

static inline __u32 nib_check_sample(const struct nib_check *c)
{
	__u32 n = nib_word_lo(c->w[6]);

	if (nib_word_hi(c->w[6]))
		return NIB_INVALID_RESERVED;
	if (!nib_check_count(c, 1, NIB_MAX_DIM) || !n || n > NIB_VEC_MAX_N ||
	    !nib_check_pitch(c->w[3], (__u64)n * 4, 4))
		return NIB_INVALID_RANGE;
	if (!nib_check_align(c, 2, 4) || !nib_check_align(c, 4, 8) || !nib_check_align(c, 5, 4))
		return NIB_INVALID_ALIGN;
	return NIB_VALID;
}

/* Length of a packet in words, and which of its words 1.. may be arguments; 0 if unknown. */
static inline __u32 nib_op_words(__u32 op, __u32 *args)
{
	switch (op) {
	case NIB_OP_END:
	case NIB_OP_NOP:
		*args = 0;
		return 1;
	case NIB_OP_TIMESTAMP:
		*args = 0x1;
		return 2;
	case NIB_OP_SEM:
		*args = 0x3;
		return 4;
	case NIB_OP_COPY:
		*args = 0x1f;
		return 11;
	case NIB_OP_FILL:
		*args = 0x3;
		return 4;
	case NIB_OP_GATHER:
		*args = 0x27;
		return 10;
	case NIB_OP_KV_APPEND:
		*args = 0x3b;
		return 10;
	case NIB_OP_QUANT:
		*args = 0xb;
		return 7;
	case NIB_OP_GEMM:
		*args = 0xdb;
		return 13;
	case NIB_OP_GEMM_GROUPED:
		*args = 0x3ab;
		return 14;
	case NIB_OP_CONV:
	case NIB_OP_CONV_DEPTHWISE:
		*args = 0x5b;
		return op == NIB_OP_CONV ? 15 : 14;
	case NIB_OP_ATTENTION:
		*args = 0x4eb;
		return 15;
	case NIB_OP_VEC:
		*args = 0x124924b;
		return 4; /* and what its counts say */
	case NIB_OP_SAMPLE:
		*args = 0x1b;
		return 7;
	case NIB_OP_SCAN:
		*args = 0xfaab;
		return 19;
	default:
		*args = 0;
		return 0;
	}
}

/**
 * nib_packet_validate - check one packet.
 * @w: its words.
 * @avail: words from @w to the end of the stream.
 * @words: out: its length.
 * @nargs: in/out: grows to the arguments it needs.
 *
 * Returns enum nib_validate_error.
 */
static inline __u32 nib_packet_validate(const __u64 *w, __u32 avail, __u32 *words, __u32 *nargs)
{
	__u32 op = w[0] & 0xffff, allowed, least = nib_op_words(op, &allowed), i;
	struct nib_check c;

	c.w = w;
	c.words = (__u32)(w[0] >> 16 & 0xffff);
	c.argmask = (__u32)(w[0] >> 32);
	*words = c.words;
	if (!least)
		return NIB_INVALID_OPCODE;
	if (c.words < least || c.words > avail || c.words > NIB_MAX_PKT_WORDS ||
	    (op != NIB_OP_VEC && c.words != least))
		return NIB_INVALID_LENGTH;
	if (c.argmask & ~allowed)
		return NIB_INVALID_ARGMASK;
	for (i = 1; i <= 32 && i < c.words; i++) {
		if (!nib_check_is_arg(&c, i))
			continue;
		if (w[i] & NIB_ARG_RESERVED)
			return NIB_INVALID_ARG;
		if (NIB_ARG_INDEX(w[i]) >= *nargs)
			*nargs = NIB_ARG_INDEX(w[i]) + 1;
	}
	switch (op) {
	case NIB_OP_TIMESTAMP:
		return nib_check_align(&c, 1, 8) ? NIB_VALID : NIB_INVALID_ALIGN;
	case NIB_OP_SEM:
		if (w[3] > NIB_SEM_WAIT_GE)
			return NIB_INVALID_FORMAT;
		return nib_check_align(&c, 1, 8) ? NIB_VALID : NIB_INVALID_ALIGN;
	case NIB_OP_FILL:
		if (nib_word_hi(w[3]))
			return NIB_INVALID_RESERVED;
		if (!nib_check_count(&c, 2, NIB_MAX_PITCH))
			return NIB_INVALID_RANGE;
		return nib_check_align(&c, 1, 4) ? NIB_VALID : NIB_INVALID_ALIGN;
	case NIB_OP_COPY:
		return nib_check_copy(&c);
	case NIB_OP_GATHER:
		return nib_check_gather(&c);
	case NIB_OP_KV_APPEND:
		return nib_check_kv_append(&c);
	case NIB_OP_QUANT:
		return nib_check_quant(&c);
	case NIB_OP_GEMM:
		return nib_check_gemm(&c);
	case NIB_OP_GEMM_GROUPED:
		return nib_check_gemm_grouped(&c);
	case NIB_OP_CONV:
		return nib_check_conv(&c);
	case NIB_OP_CONV_DEPTHWISE:
		return nib_check_conv_depthwise(&c);
	case NIB_OP_ATTENTION:
		return nib_check_attention(&c);
	case NIB_OP_VEC:
		/* Word 4 + 3 i is the address of operand i: an argument only where one is. */
		for (i = 4; i <= 32; i++)
			if (nib_check_is_arg(&c, i) &&
			    (i - 4) / 3 >= (nib_word_hi(w[3]) & 0xffff))
				return NIB_INVALID_ARGMASK;
		return nib_check_vec(&c);
	case NIB_OP_SAMPLE:
		return nib_check_sample(&c);
	case NIB_OP_SCAN:
		return nib_check_scan(&c);
	default:
		return NIB_VALID;
	}
}

/**
 * nib_stream_validate - check a whole stream.
 * @data: 8-byte aligned stream, in the memory of the caller: it must not change meanwhile.
 * @bytes: its length.
 * @info: out.
 *
 * Returns enum nib_validate_error.
 */
static inline __u32 nib_stream_validate(const __u64 *data, __u32 bytes,
					struct nib_stream_info *info)
{
	__u32 total = bytes / 8, at = 0, words, error;

	info->nargs = 0;
	info->packets = 0;
	info->error_offset = 0;
	if (!bytes || bytes % 8 || bytes > NIB_MAX_STREAM_BYTES)
		return NIB_INVALID_SIZE;
	while (at < total) {
		info->error_offset = at * 8;
		error = nib_packet_validate(data + at, total - at, &words, &info->nargs);
		if (error)
			return error;
		info->packets++;
		at += words;
		if ((data[at - words] & 0xffff) == NIB_OP_END)
			return at == total ? NIB_VALID : NIB_INVALID_END;
	}
	info->error_offset = bytes;
	return NIB_INVALID_END;
}

#endif
