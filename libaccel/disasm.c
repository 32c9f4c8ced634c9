// SPDX-License-Identifier: MIT
/*
 * Packets as text: "GEMM rows=a3 a=a1+0x40 a_pitch=2112 w=0x200000 ... a_fmt=mxfp8". An argument is
 * written a<number>, plus its addend. Shapes are not judged: that is the validator's part.
 */
#include <stdarg.h>
#include <stdio.h>

#include "accel_stream.h"
#include "internal.h"
#include "nib_validate.h"

enum kind {
	ADDRESS = 1,	/* hexadecimal, or an argument */
	NUMBER,		/* decimal, or an argument */
	FORMAT,		/* enum nib_format */
	REAL,		/* FP32 bits */
};

struct field {
	const char *name;
	uint8_t word;
	uint8_t shift;
	uint8_t bits;
	uint8_t kind;
};

#define W(name, word, kind)	 { name, word, 0, 64, kind }
#define LO(name, word, kind)	 { name, word, 0, 32, kind }
#define HI(name, word, kind)	 { name, word, 32, 32, kind }
#define Q(name, word, nth, kind) { name, word, 16 * (nth), 16, kind }
#define MAX_FIELDS 27

static const struct op {
	uint16_t op;
	const char *name;
	struct field fields[MAX_FIELDS + 1];
} ops[] = {
	{ NIB_OP_END, "END", { { 0 } } },
	{ NIB_OP_NOP, "NOP", { { 0 } } },
	{ NIB_OP_TIMESTAMP, "TIMESTAMP", { W("addr", 1, ADDRESS) } },
	{ NIB_OP_SEM, "SEM", { W("addr", 1, ADDRESS), W("value", 2, NUMBER),
			       W("action", 3, NUMBER) } },
	{ NIB_OP_COPY, "COPY", {
		W("src", 1, ADDRESS), W("dst", 2, ADDRESS), W("n0", 3, NUMBER), W("n1", 4, NUMBER),
		W("n2", 5, NUMBER), W("src_pitch1", 6, NUMBER), W("src_pitch2", 7, NUMBER),
		W("dst_pitch1", 8, NUMBER), W("dst_pitch2", 9, NUMBER), LO("src_fmt", 10, FORMAT),
		HI("dst_fmt", 10, FORMAT) } },
	{ NIB_OP_FILL, "FILL", { W("dst", 1, ADDRESS), W("count", 2, NUMBER),
				 W("value", 3, ADDRESS) } },
	{ NIB_OP_GATHER, "GATHER", {
		W("rows", 1, NUMBER), W("index", 2, ADDRESS), W("table", 3, ADDRESS),
		W("table_rows", 4, NUMBER), W("table_pitch", 5, NUMBER), W("dst", 6, ADDRESS),
		W("dst_pitch", 7, NUMBER), LO("width", 8, NUMBER), Q("fmt", 8, 2, FORMAT),
		Q("layout", 8, 3, NUMBER), LO("alpha", 9, REAL) } },
	{ NIB_OP_KV_APPEND, "KV_APPEND", {
		W("rows", 1, NUMBER), W("src", 2, ADDRESS), W("src_pitch", 3, NUMBER),
		W("row_table", 4, ADDRESS), W("blocks", 5, ADDRESS), W("block_stride", 6, NUMBER),
		W("offset", 7, NUMBER), LO("width", 8, NUMBER), Q("fmt", 8, 2, FORMAT),
		Q("rule", 8, 3, NUMBER), LO("page_tokens", 9, NUMBER) } },
	{ NIB_OP_QUANT, "QUANT", {
		W("rows", 1, NUMBER), W("src", 2, ADDRESS), W("src_pitch", 3, NUMBER),
		W("dst", 4, ADDRESS), W("dst_pitch", 5, NUMBER), LO("width", 6, NUMBER),
		Q("fmt", 6, 2, FORMAT), Q("rule", 6, 3, NUMBER) } },
	{ NIB_OP_GEMM, "GEMM", {
		W("rows", 1, NUMBER), W("a", 2, ADDRESS), W("a_pitch", 3, NUMBER),
		W("w", 4, ADDRESS), W("out", 5, ADDRESS), W("out_pitch", 6, NUMBER),
		W("bias", 7, ADDRESS),
		W("residual", 8, ADDRESS), W("residual_pitch", 9, NUMBER), LO("n", 10, NUMBER),
		HI("k", 10, NUMBER), Q("a_fmt", 11, 0, FORMAT), Q("w_fmt", 11, 1, FORMAT),
		Q("out_fmt", 11, 2, FORMAT), Q("activation", 11, 3, NUMBER),
		LO("flags", 12, ADDRESS), HI("alpha", 12, REAL) } },
	{ NIB_OP_GEMM_GROUPED, "GEMM_GROUPED", {
		W("rows", 1, NUMBER), W("a", 2, ADDRESS), W("a_pitch", 3, NUMBER),
		W("w", 4, ADDRESS), W("w_stride", 5, NUMBER), W("out", 6, ADDRESS),
		W("out_pitch", 7, NUMBER), W("bias", 8, ADDRESS), W("ends", 9, ADDRESS),
		W("groups", 10, NUMBER), LO("n", 11, NUMBER), HI("k", 11, NUMBER),
		Q("a_fmt", 12, 0, FORMAT), Q("w_fmt", 12, 1, FORMAT), Q("out_fmt", 12, 2, FORMAT),
		Q("activation", 12, 3, NUMBER), LO("flags", 13, ADDRESS), HI("alpha", 13, REAL) } },
	{ NIB_OP_CONV, "CONV", {
		W("images", 1, NUMBER), W("in", 2, ADDRESS), W("in_pitch", 3, NUMBER),
		W("w", 4, ADDRESS), W("out", 5, ADDRESS), W("out_pitch", 6, NUMBER),
		W("bias", 7, ADDRESS), LO("in_h", 8, NUMBER), HI("in_w", 8, NUMBER),
		LO("out_h", 9, NUMBER), HI("out_w", 9, NUMBER), LO("channels", 10, NUMBER),
		HI("n", 10, NUMBER), Q("kernel_h", 11, 0, NUMBER), Q("kernel_w", 11, 1, NUMBER),
		Q("stride_y", 11, 2, NUMBER), Q("stride_x", 11, 3, NUMBER),
		Q("pad_y", 12, 0, NUMBER), Q("pad_x", 12, 1, NUMBER),
		Q("dilation_y", 12, 2, NUMBER), Q("dilation_x", 12, 3, NUMBER),
		Q("a_fmt", 13, 0, FORMAT), Q("w_fmt", 13, 1, FORMAT), Q("out_fmt", 13, 2, FORMAT),
		Q("activation", 13, 3, NUMBER), LO("flags", 14, ADDRESS),
		HI("alpha", 14, REAL) } },
	{ NIB_OP_CONV_DEPTHWISE, "CONV_DEPTHWISE", {
		W("images", 1, NUMBER), W("in", 2, ADDRESS), W("in_pitch", 3, NUMBER),
		W("w", 4, ADDRESS), W("out", 5, ADDRESS), W("out_pitch", 6, NUMBER),
		W("bias", 7, ADDRESS), LO("in_h", 8, NUMBER), HI("in_w", 8, NUMBER),
		LO("out_h", 9, NUMBER), HI("out_w", 9, NUMBER), LO("channels", 10, NUMBER),
		HI("flags", 10, ADDRESS), Q("kernel_h", 11, 0, NUMBER),
		Q("kernel_w", 11, 1, NUMBER), Q("stride_y", 11, 2, NUMBER),
		Q("stride_x", 11, 3, NUMBER), Q("pad_y", 12, 0, NUMBER), Q("pad_x", 12, 1, NUMBER),
		Q("dilation_y", 12, 2, NUMBER), Q("dilation_x", 12, 3, NUMBER),
		Q("in_fmt", 13, 0, FORMAT), Q("out_fmt", 13, 1, FORMAT),
		Q("activation", 13, 2, NUMBER) } },
	{ NIB_OP_ATTENTION, "ATTENTION", {
		W("rows", 1, NUMBER), W("q", 2, ADDRESS), W("q_pitch", 3, NUMBER),
		W("out", 4, ADDRESS), W("out_pitch", 5, NUMBER), W("row_table", 6, ADDRESS),
		W("blocks", 7, ADDRESS), W("block_stride", 8, NUMBER), W("k_offset", 9, NUMBER),
		W("v_offset", 10, NUMBER), W("sinks", 11, ADDRESS), Q("n_heads", 12, 0, NUMBER),
		Q("n_kv_heads", 12, 1, NUMBER), Q("head_dim", 12, 2, NUMBER),
		Q("page_tokens", 12, 3, NUMBER), Q("k_fmt", 13, 0, FORMAT),
		Q("v_fmt", 13, 1, FORMAT), HI("scale", 13, REAL), LO("softcap", 14, REAL),
		HI("window", 14, NUMBER) } },
	{ NIB_OP_VEC, "VEC", { W("d0", 1, NUMBER), W("d1", 2, NUMBER), LO("n", 3, NUMBER) } },
	{ NIB_OP_SAMPLE, "SAMPLE", {
		W("rows", 1, NUMBER), W("logits", 2, ADDRESS), W("logits_pitch", 3, NUMBER),
		W("params", 4, ADDRESS), W("out", 5, ADDRESS), LO("n", 6, NUMBER) } },
	{ NIB_OP_SCAN, "SCAN", {
		W("rows", 1, NUMBER), W("x", 2, ADDRESS), W("x_pitch", 3, NUMBER),
		W("delta", 4, ADDRESS), W("delta_pitch", 5, NUMBER), W("b", 6, ADDRESS),
		W("b_pitch", 7, NUMBER), W("c", 8, ADDRESS), W("c_pitch", 9, NUMBER),
		W("y", 10, ADDRESS), W("y_pitch", 11, NUMBER), W("a", 12, ADDRESS),
		W("d", 13, ADDRESS), W("state", 14, ADDRESS), W("state_stride", 15, NUMBER),
		W("row_table", 16, ADDRESS), LO("channels", 17, NUMBER), Q("states", 17, 2, NUMBER),
		Q("groups", 17, 3, NUMBER), LO("share", 18, NUMBER), HI("flags", 18, ADDRESS) } },
};

static const char *const vec_names[] = {
	[NIB_VEC_LOAD] = "load", [NIB_VEC_STORE] = "store", [NIB_VEC_MOVI] = "movi",
	[NIB_VEC_IOTA] = "iota", [NIB_VEC_ADD] = "add", [NIB_VEC_SUB] = "sub",
	[NIB_VEC_MUL] = "mul", [NIB_VEC_DIV] = "div", [NIB_VEC_FMA] = "fma",
	[NIB_VEC_MIN] = "min", [NIB_VEC_MAX] = "max", [NIB_VEC_ADDI] = "addi",
	[NIB_VEC_MULI] = "muli", [NIB_VEC_NEG] = "neg", [NIB_VEC_ABS] = "abs",
	[NIB_VEC_SQRT] = "sqrt", [NIB_VEC_RSQRT] = "rsqrt", [NIB_VEC_RCP] = "rcp",
	[NIB_VEC_EXP] = "exp", [NIB_VEC_LOG] = "log", [NIB_VEC_TANH] = "tanh",
	[NIB_VEC_SIGMOID] = "sigmoid", [NIB_VEC_ERF] = "erf", [NIB_VEC_SIN] = "sin",
	[NIB_VEC_COS] = "cos", [NIB_VEC_FLOOR] = "floor", [NIB_VEC_RINT] = "rint",
	[NIB_VEC_LT] = "lt", [NIB_VEC_EQ] = "eq", [NIB_VEC_SELECT] = "select",
	[NIB_VEC_RSUM] = "rsum", [NIB_VEC_RMAX] = "rmax", [NIB_VEC_RMIN] = "rmin",
};

struct text {
	char *at;
	size_t left;
};

static void ACCEL_PRINTF(2, 3) put(struct text *text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->at, text->left, format, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n >= text->left)
		n = text->left ? (int)text->left - 1 : 0;
	text->at += n;
	text->left -= (size_t)n;
}

static void put_format(struct text *text, uint64_t fmt)
{
	static const char *const names[] = {
		[NIB_FMT_F32] = "f32", [NIB_FMT_BF16] = "bf16", [NIB_FMT_F16] = "f16",
		[NIB_FMT_U32] = "u32", [NIB_FMT_E4M3] = "e4m3", [NIB_FMT_E5M2] = "e5m2",
		[NIB_FMT_MXFP4] = "mxfp4", [NIB_FMT_NVFP4] = "nvfp4", [NIB_FMT_MXFP8] = "mxfp8",
		[NIB_FMT_MXFP8_E5M2] = "mxfp8_e5m2", [NIB_FMT_MXFP8X2] = "mxfp8x2",
	};

	if (fmt < sizeof(names) / sizeof(names[0]) && names[fmt])
		put(text, "%s", names[fmt]);
	else
		put(text, "%llu", (unsigned long long)fmt);
}

static void put_real(struct text *text, uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	put(text, "%.9g", (double)value);
}

/* A word that is an argument, or not. */
static void put_word(struct text *text, uint64_t word, bool arg, bool address)
{
	long long addend;

	if (arg) {
		addend = NIB_ARG_ADDEND(word);
		put(text, "a%u", NIB_ARG_INDEX(word));
		if (addend)
			put(text, address && addend > 0 ? "+%#llx" : "%+lld", addend);
	} else {
		put(text, address ? "%#llx" : "%llu", (unsigned long long)word);
	}
}

static void put_fields(struct text *text, const struct op *op, const uint64_t *w)
{
	uint32_t argmask = (uint32_t)(w[0] >> 32);
	const struct field *f;
	uint64_t value;

	for (f = op->fields; f->name; f++) {
		value = w[f->word];
		if (f->bits < 64)
			value = value >> f->shift & ((1ull << f->bits) - 1);
		put(text, " %s=", f->name);
		switch (f->kind) {
		case FORMAT:
			put_format(text, value);
			break;
		case REAL:
			put_real(text, (uint32_t)value);
			break;
		default:
			put_word(text, value, f->bits == 64 && argmask >> (f->word - 1) & 1,
				 f->kind == ADDRESS);
		}
	}
}

static void put_insn(struct text *text, const struct nib_vec_insn *insn)
{
	const char *name = insn->op < sizeof(vec_names) / sizeof(vec_names[0]) ?
				   vec_names[insn->op] : NULL;

	if (!name)
		put(text, "?%u", insn->op);
	else
		put(text, "%s", name);
	switch (insn->op) {
	case NIB_VEC_LOAD:
		put(text, " r%u, [%u]", insn->dst, insn->a);
		break;
	case NIB_VEC_STORE:
		put(text, " [%u], r%u", insn->dst, insn->a);
		break;
	case NIB_VEC_MOVI:
		put(text, " r%u, ", insn->dst);
		put_real(text, insn->imm);
		break;
	case NIB_VEC_IOTA:
		put(text, " r%u", insn->dst);
		break;
	case NIB_VEC_ADDI:
	case NIB_VEC_MULI:
		put(text, " r%u, r%u, ", insn->dst, insn->a);
		put_real(text, insn->imm);
		break;
	case NIB_VEC_FMA:
	case NIB_VEC_SELECT:
		put(text, " r%u, r%u, r%u, r%u", insn->dst, insn->a, insn->b, insn->imm & 0xff);
		break;
	default:
		put(text, " r%u, r%u", insn->dst, insn->a);
		if ((insn->op >= NIB_VEC_ADD && insn->op <= NIB_VEC_MAX) ||
		    insn->op == NIB_VEC_LT || insn->op == NIB_VEC_EQ)
			put(text, ", r%u", insn->b);
	}
}

/* Operands "[0]=a1+0x40 f32 s0=256 s1=0 sn=1", then the program in braces. */
static int put_vec(struct text *text, const uint64_t *w, uint32_t words)
{
	uint32_t operands = (uint32_t)(w[3] >> 32) & 0xffff, insns = (uint32_t)(w[3] >> 48), i;
	struct nib_vec_operand operand;
	struct nib_vec_insn insn;

	if (words != 4 + 3 * operands + insns || operands > NIB_VEC_MAX_OPERANDS)
		return -EINVAL;
	for (i = 0; i < operands; i++) {
		memcpy(&operand, w + 4 + 3 * i, sizeof(operand));
		put(text, " [%u]=", i);
		put_word(text, operand.addr, w[0] >> (32 + 3 + 3 * i) & 1, true);
		put(text, " ");
		put_format(text, operand.fmt);
		put(text, " s0=%d s1=%d sn=%d", operand.stride0, operand.stride1, operand.stride_n);
	}
	for (i = 0; i < insns; i++) {
		memcpy(&insn, w + 4 + 3 * operands + i, sizeof(insn));
		put(text, i ? "; " : " { ");
		put_insn(text, &insn);
	}
	put(text, " }");
	return 0;
}

static const struct op *find_op(uint32_t code)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (ops[i].op == code)
			return &ops[i];
	return NULL;
}

ACCEL_API const char *accel_op_name(uint32_t op)
{
	const struct op *found = find_op(op);

	return found ? found->name : NULL;
}

ACCEL_API int accel_disassemble(const uint64_t *w, uint32_t avail, char *buf, size_t size)
{
	struct text text = { buf, size };
	uint32_t words, least, args;
	const struct op *op;

	if (size)
		buf[0] = 0;
	if (!avail)
		return -EINVAL;
	words = w[0] >> 16 & 0xffff;
	least = nib_op_words(w[0] & 0xffff, &args);
	if (!least || words < least || words > avail || words > NIB_MAX_PKT_WORDS)
		return -EINVAL;
	op = find_op(w[0] & 0xffff);
	if (!op)
		return -EINVAL;
	put(&text, "%s", op->name);
	put_fields(&text, op, w);
	if (op->op == NIB_OP_VEC)
		return put_vec(&text, w, words) ? -EINVAL : (int)words;
	return words == least ? (int)words : -EINVAL;
}
