// SPDX-License-Identifier: MIT
/*
 * Builder and disassembler: every packet goes through the builder unchanged, and what the
 * disassembler writes about it says all of it, since the assembler below makes the same packet of
 * the text again.
 */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel_stream.h"
#include "nib_validate.h"
#include "packets.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* --- An assembler, written from nib_isa.h --- */

static const struct member {
	const char *op;
	const char *name;
	uint16_t code;
	uint8_t words;
	uint8_t at;
	uint8_t bytes;
	char kind;	/* n number, f format, r real */
} members[] = {
#define M(op, type, field, kind) { #op, #field, NIB_OP_##op, sizeof(struct nib_pkt_##type) / 8, \
	offsetof(struct nib_pkt_##type, field), sizeof(((struct nib_pkt_##type *)0)->field), kind }
	M(TIMESTAMP, timestamp, addr, 'n'),
	M(SEM, sem, addr, 'n'), M(SEM, sem, value, 'n'), M(SEM, sem, action, 'n'),
	M(COPY, copy, src, 'n'), M(COPY, copy, dst, 'n'), M(COPY, copy, n0, 'n'),
	M(COPY, copy, n1, 'n'), M(COPY, copy, n2, 'n'), M(COPY, copy, src_pitch1, 'n'),
	M(COPY, copy, src_pitch2, 'n'), M(COPY, copy, dst_pitch1, 'n'),
	M(COPY, copy, dst_pitch2, 'n'), M(COPY, copy, src_fmt, 'f'), M(COPY, copy, dst_fmt, 'f'),
	M(FILL, fill, dst, 'n'), M(FILL, fill, count, 'n'), M(FILL, fill, value, 'n'),
	M(GATHER, gather, rows, 'n'), M(GATHER, gather, index, 'n'), M(GATHER, gather, table, 'n'),
	M(GATHER, gather, table_rows, 'n'), M(GATHER, gather, table_pitch, 'n'),
	M(GATHER, gather, dst, 'n'), M(GATHER, gather, dst_pitch, 'n'),
	M(GATHER, gather, width, 'n'), M(GATHER, gather, fmt, 'f'),
	M(GATHER, gather, layout, 'n'), M(GATHER, gather, alpha, 'r'),
	M(KV_APPEND, kv_append, rows, 'n'), M(KV_APPEND, kv_append, src, 'n'),
	M(KV_APPEND, kv_append, src_pitch, 'n'), M(KV_APPEND, kv_append, row_table, 'n'),
	M(KV_APPEND, kv_append, blocks, 'n'), M(KV_APPEND, kv_append, block_stride, 'n'),
	M(KV_APPEND, kv_append, offset, 'n'), M(KV_APPEND, kv_append, width, 'n'),
	M(KV_APPEND, kv_append, fmt, 'f'), M(KV_APPEND, kv_append, rule, 'n'),
	M(KV_APPEND, kv_append, page_tokens, 'n'),
	M(QUANT, quant, rows, 'n'), M(QUANT, quant, src, 'n'), M(QUANT, quant, src_pitch, 'n'),
	M(QUANT, quant, dst, 'n'), M(QUANT, quant, dst_pitch, 'n'), M(QUANT, quant, width, 'n'),
	M(QUANT, quant, fmt, 'f'), M(QUANT, quant, rule, 'n'),
	M(GEMM, gemm, rows, 'n'), M(GEMM, gemm, a, 'n'), M(GEMM, gemm, a_pitch, 'n'),
	M(GEMM, gemm, w, 'n'), M(GEMM, gemm, out, 'n'), M(GEMM, gemm, out_pitch, 'n'),
	M(GEMM, gemm, bias, 'n'), M(GEMM, gemm, residual, 'n'), M(GEMM, gemm, residual_pitch, 'n'),
	M(GEMM, gemm, n, 'n'), M(GEMM, gemm, k, 'n'), M(GEMM, gemm, a_fmt, 'f'),
	M(GEMM, gemm, w_fmt, 'f'), M(GEMM, gemm, out_fmt, 'f'), M(GEMM, gemm, activation, 'n'),
	M(GEMM, gemm, flags, 'n'), M(GEMM, gemm, alpha, 'r'),
	M(GEMM_GROUPED, gemm_grouped, rows, 'n'), M(GEMM_GROUPED, gemm_grouped, a, 'n'),
	M(GEMM_GROUPED, gemm_grouped, a_pitch, 'n'), M(GEMM_GROUPED, gemm_grouped, w, 'n'),
	M(GEMM_GROUPED, gemm_grouped, w_stride, 'n'), M(GEMM_GROUPED, gemm_grouped, out, 'n'),
	M(GEMM_GROUPED, gemm_grouped, out_pitch, 'n'), M(GEMM_GROUPED, gemm_grouped, bias, 'n'),
	M(GEMM_GROUPED, gemm_grouped, ends, 'n'), M(GEMM_GROUPED, gemm_grouped, groups, 'n'),
	M(GEMM_GROUPED, gemm_grouped, n, 'n'), M(GEMM_GROUPED, gemm_grouped, k, 'n'),
	M(GEMM_GROUPED, gemm_grouped, a_fmt, 'f'), M(GEMM_GROUPED, gemm_grouped, w_fmt, 'f'),
	M(GEMM_GROUPED, gemm_grouped, out_fmt, 'f'),
	M(GEMM_GROUPED, gemm_grouped, activation, 'n'), M(GEMM_GROUPED, gemm_grouped, flags, 'n'),
	M(GEMM_GROUPED, gemm_grouped, alpha, 'r'),
	M(CONV, conv, images, 'n'), M(CONV, conv, in, 'n'), M(CONV, conv, in_pitch, 'n'),
	M(CONV, conv, w, 'n'), M(CONV, conv, out, 'n'), M(CONV, conv, out_pitch, 'n'),
	M(CONV, conv, bias, 'n'), M(CONV, conv, in_h, 'n'), M(CONV, conv, in_w, 'n'),
	M(CONV, conv, out_h, 'n'), M(CONV, conv, out_w, 'n'), M(CONV, conv, channels, 'n'),
	M(CONV, conv, n, 'n'), M(CONV, conv, kernel_h, 'n'), M(CONV, conv, kernel_w, 'n'),
	M(CONV, conv, stride_y, 'n'), M(CONV, conv, stride_x, 'n'), M(CONV, conv, pad_y, 'n'),
	M(CONV, conv, pad_x, 'n'), M(CONV, conv, dilation_y, 'n'), M(CONV, conv, dilation_x, 'n'),
	M(CONV, conv, a_fmt, 'f'), M(CONV, conv, w_fmt, 'f'), M(CONV, conv, out_fmt, 'f'),
	M(CONV, conv, activation, 'n'), M(CONV, conv, flags, 'n'), M(CONV, conv, alpha, 'r'),
	M(CONV_DEPTHWISE, conv_depthwise, images, 'n'), M(CONV_DEPTHWISE, conv_depthwise, in, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, in_pitch, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, w, 'n'), M(CONV_DEPTHWISE, conv_depthwise, out, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, out_pitch, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, bias, 'n'), M(CONV_DEPTHWISE, conv_depthwise, in_h, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, in_w, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, out_h, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, out_w, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, channels, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, flags, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, kernel_h, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, kernel_w, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, stride_y, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, stride_x, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, pad_y, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, pad_x, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, dilation_y, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, dilation_x, 'n'),
	M(CONV_DEPTHWISE, conv_depthwise, in_fmt, 'f'),
	M(CONV_DEPTHWISE, conv_depthwise, out_fmt, 'f'),
	M(CONV_DEPTHWISE, conv_depthwise, activation, 'n'),
	M(SCAN, scan, rows, 'n'), M(SCAN, scan, x, 'n'), M(SCAN, scan, x_pitch, 'n'),
	M(SCAN, scan, delta, 'n'), M(SCAN, scan, delta_pitch, 'n'), M(SCAN, scan, b, 'n'),
	M(SCAN, scan, b_pitch, 'n'), M(SCAN, scan, c, 'n'), M(SCAN, scan, c_pitch, 'n'),
	M(SCAN, scan, y, 'n'), M(SCAN, scan, y_pitch, 'n'), M(SCAN, scan, a, 'n'),
	M(SCAN, scan, d, 'n'), M(SCAN, scan, state, 'n'), M(SCAN, scan, state_stride, 'n'),
	M(SCAN, scan, row_table, 'n'), M(SCAN, scan, channels, 'n'), M(SCAN, scan, states, 'n'),
	M(SCAN, scan, groups, 'n'), M(SCAN, scan, share, 'n'), M(SCAN, scan, flags, 'n'),
	M(ATTENTION, attention, rows, 'n'), M(ATTENTION, attention, q, 'n'),
	M(ATTENTION, attention, q_pitch, 'n'), M(ATTENTION, attention, out, 'n'),
	M(ATTENTION, attention, out_pitch, 'n'), M(ATTENTION, attention, row_table, 'n'),
	M(ATTENTION, attention, blocks, 'n'), M(ATTENTION, attention, block_stride, 'n'),
	M(ATTENTION, attention, k_offset, 'n'), M(ATTENTION, attention, v_offset, 'n'),
	M(ATTENTION, attention, sinks, 'n'), M(ATTENTION, attention, n_heads, 'n'),
	M(ATTENTION, attention, n_kv_heads, 'n'), M(ATTENTION, attention, head_dim, 'n'),
	M(ATTENTION, attention, page_tokens, 'n'), M(ATTENTION, attention, k_fmt, 'f'),
	M(ATTENTION, attention, v_fmt, 'f'), M(ATTENTION, attention, scale, 'r'),
	M(ATTENTION, attention, softcap, 'r'), M(ATTENTION, attention, window, 'n'),
	M(VEC, vec, d0, 'n'), M(VEC, vec, d1, 'n'), M(VEC, vec, n, 'n'),
	M(SAMPLE, sample, rows, 'n'), M(SAMPLE, sample, logits, 'n'),
	M(SAMPLE, sample, logits_pitch, 'n'), M(SAMPLE, sample, params, 'n'),
	M(SAMPLE, sample, out, 'n'), M(SAMPLE, sample, n, 'n'),
};

static const struct name {
	const char *name;
	uint32_t code;
} formats[] = {
	{ "f32", NIB_FMT_F32 }, { "bf16", NIB_FMT_BF16 }, { "f16", NIB_FMT_F16 },
	{ "u32", NIB_FMT_U32 }, { "e4m3", NIB_FMT_E4M3 }, { "e5m2", NIB_FMT_E5M2 },
	{ "mxfp4", NIB_FMT_MXFP4 }, { "nvfp4", NIB_FMT_NVFP4 }, { "mxfp8", NIB_FMT_MXFP8 },
	{ "mxfp8_e5m2", NIB_FMT_MXFP8_E5M2 }, { "mxfp8x2", NIB_FMT_MXFP8X2 },
}, vec_ops[] = {
	{ "load", NIB_VEC_LOAD }, { "store", NIB_VEC_STORE }, { "movi", NIB_VEC_MOVI },
	{ "iota", NIB_VEC_IOTA }, { "add", NIB_VEC_ADD }, { "sub", NIB_VEC_SUB },
	{ "mul", NIB_VEC_MUL }, { "div", NIB_VEC_DIV }, { "fma", NIB_VEC_FMA },
	{ "min", NIB_VEC_MIN }, { "max", NIB_VEC_MAX }, { "addi", NIB_VEC_ADDI },
	{ "muli", NIB_VEC_MULI }, { "neg", NIB_VEC_NEG }, { "abs", NIB_VEC_ABS },
	{ "sqrt", NIB_VEC_SQRT }, { "rsqrt", NIB_VEC_RSQRT }, { "rcp", NIB_VEC_RCP },
	{ "exp", NIB_VEC_EXP }, { "log", NIB_VEC_LOG }, { "tanh", NIB_VEC_TANH },
	{ "sigmoid", NIB_VEC_SIGMOID }, { "erf", NIB_VEC_ERF }, { "sin", NIB_VEC_SIN },
	{ "cos", NIB_VEC_COS }, { "floor", NIB_VEC_FLOOR }, { "rint", NIB_VEC_RINT },
	{ "lt", NIB_VEC_LT }, { "eq", NIB_VEC_EQ }, { "select", NIB_VEC_SELECT },
	{ "rsum", NIB_VEC_RSUM }, { "rmax", NIB_VEC_RMAX }, { "rmin", NIB_VEC_RMIN },
};

static uint32_t code_of(const struct name *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i].name, name))
			return names[i].code;
	ck_abort_msg("no such name: %s", name);
}

/* "a3", "a3+0x40", "a3-1", or a number. */
static uint64_t word_of(const char *text, bool *arg)
{
	char *end;
	unsigned long long index;

	*arg = *text == 'a';
	if (!*arg)
		return strtoull(text, NULL, 0);
	index = strtoull(text + 1, &end, 10);
	return NIB_ARG(index, strtoll(end, NULL, 0));
}

static uint32_t real_of(const char *text)
{
	float value = strtof(text, NULL);
	uint32_t bits;

	memcpy(&bits, &value, 4);
	return bits;
}

static void set_member(union packet *p, const struct member *m, const char *text)
{
	uint64_t value;
	bool arg = false;

	value = m->kind == 'f' ? code_of(formats, ARRAY_SIZE(formats), text) :
		m->kind == 'r' ? real_of(text) : word_of(text, &arg);
	memcpy((char *)p + m->at, &value, m->bytes);
	if (arg)
		p->hdr.argmask |= 1u << (m->at / 8 - 1);
}

/* "load r0, [1]": numbers in order are what the instruction's comment in nib_isa.h names. */
static struct nib_vec_insn insn_of(char *text)
{
	struct nib_vec_insn insn = { 0 };
	char name[16] = "", *comma, *s;
	unsigned int v[4] = { 0 }, n = 0;

	ck_assert_int_eq(sscanf(text, " %15s", name), 1);
	insn.op = (__u8)code_of(vec_ops, ARRAY_SIZE(vec_ops), name);
	s = strstr(text, name) + strlen(name);
	for (; s && n < 4; s = comma) {
		comma = strchr(s, ',');
		if (comma)
			*comma++ = 0;
		while (*s == ' ')
			s++;
		if (*s == 'r' || *s == '[')
			v[n++] = (unsigned int)strtoul(s + 1, NULL, 10);
		else
			insn.imm = real_of(s);
	}
	insn.dst = (__u8)v[0];
	insn.a = (__u8)v[1];
	insn.b = (__u8)v[2];
	if (insn.op == NIB_VEC_FMA || insn.op == NIB_VEC_SELECT)
		insn.imm = v[3];
	return insn;
}

static void assemble_vec(union packet *p, char *text)
{
	char *at, *end, value[64], fmt[16];
	uint32_t n = 0, k = 0;
	uint64_t words[NIB_VEC_MAX_INSNS];
	struct nib_vec_operand o;
	bool arg;

	for (at = strstr(text, " [0]="); at; at = strstr(at + 1, "]=")) {
		at = strchr(at, '=');
		ck_assert_int_eq(sscanf(at, "=%63s %15s s0=%d s1=%d sn=%d", value, fmt, &o.stride0,
					&o.stride1, &o.stride_n), 5);
		o.addr = word_of(value, &arg);
		o.fmt = code_of(formats, ARRAY_SIZE(formats), fmt);
		if (arg)
			p->hdr.argmask |= 1u << (3 + 3 * n);
		memcpy(p->w + 4 + 3 * n++, &o, sizeof(o));
	}
	at = strchr(text, '{') + 1;
	for (end = strpbrk(at, ";}"); end; at = end + 1, end = strpbrk(at, ";}")) {
		struct nib_vec_insn insn;

		*end = 0;
		insn = insn_of(at);
		memcpy(&words[k++], &insn, 8);
	}
	memcpy(p->w + 4 + 3 * n, words, k * 8);
	p->vec.pkt.n_operands = (__u16)n;
	p->vec.pkt.n_insns = (__u16)k;
	p->hdr.words = (__u16)(4 + 3 * n + k);
}

static union packet assemble(const char *line)
{
	char text[1024], op[16], *brace, *save, *word;
	union packet p = { 0 };

	snprintf(text, sizeof(text), "%s", line);
	ck_assert_int_eq(sscanf(text, "%15s", op), 1);
	p.hdr.op = !strcmp(op, "END") ? NIB_OP_END : NIB_OP_NOP;
	p.hdr.words = 1;
	brace = strstr(text, " [0]=");
	for (word = strtok_r(text + strlen(op), " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		char *equals = strchr(word, '=');
		size_t i;

		if (brace && word >= brace)
			break;
		ck_assert(equals);
		*equals = 0;
		for (i = 0; i < ARRAY_SIZE(members); i++)
			if (!strcmp(members[i].op, op) && !strcmp(members[i].name, word))
				break;
		ck_assert_msg(i < ARRAY_SIZE(members), "%s has no %s", op, word);
		p.hdr.op = members[i].code;
		p.hdr.words = members[i].words;
		set_member(&p, &members[i], equals + 1);
	}
	if (p.hdr.op == NIB_OP_VEC) {
		snprintf(text, sizeof(text), "%s", line);
		assemble_vec(&p, text);
	}
	return p;
}

/* --- Round trips --- */

static void round_trip(const union packet *p)
{
	char text[1024];
	union packet again;
	uint32_t words = packet_words(p->w);

	ck_assert_int_eq(accel_disassemble(p->w, PACKET_WORDS, text, sizeof(text)), (int)words);
	again = assemble(text);
	if (!memcmp(&again, p, words * 8))
		return;
	for (uint32_t i = 0; i < words; i++)
		ck_assert_msg(again.w[i] == p->w[i], "%s: word %u is %#llx, was %#llx", text, i,
			      (unsigned long long)again.w[i], (unsigned long long)p->w[i]);
}

START_TEST(test_disassembler_says_all)
{
	static const int64_t addends[] = { 0, 64, -64 };

	for (size_t i = 0; i < packet_sample_count; i++) {
		round_trip(&packet_samples[i].p);
		for (size_t k = 0; k < ARRAY_SIZE(addends); k++) {
			union packet p = packet_samples[i].p;

			p.hdr.argmask = packet_arg_words(&p);
			for (uint32_t w = 1; w <= 32; w++)
				if (p.hdr.argmask >> (w - 1) & 1)
					p.w[w] = NIB_ARG((w * 7) % 64, (uint64_t)addends[k]);
			round_trip(&p);
		}
	}
}
END_TEST

/* Each member alone, so that no two can have changed places. */
START_TEST(test_disassembler_members)
{
	for (size_t i = 0; i < packet_sample_count; i++) {
		const union packet *sample = &packet_samples[i].p;

		for (size_t m = 0; m < ARRAY_SIZE(members); m++) {
			union packet p = *sample;

			if (members[m].code != sample->hdr.op || members[m].kind != 'n')
				continue;
			memset((char *)&p + members[m].at, 0x5a, members[m].bytes);
			round_trip(&p);
		}
	}
}
END_TEST

START_TEST(test_disassembler_instructions)
{
	for (size_t i = 0; i < ARRAY_SIZE(vec_ops); i++) {
		union packet p = *packet_sample("vec");
		struct nib_vec_insn *insn = &p.vec.insn[0];

		*insn = (struct nib_vec_insn){
			.op = (__u8)vec_ops[i].code, .dst = 3, .a = 2, .b = 5,
		};
		switch (insn->op) {
		case NIB_VEC_MOVI:
			*insn = (struct nib_vec_insn){
				.op = insn->op, .dst = 3, .imm = 0x40490fdb,
			};
			break;
		case NIB_VEC_IOTA:
			*insn = (struct nib_vec_insn){ .op = insn->op, .dst = 3 };
			break;
		case NIB_VEC_ADDI:
		case NIB_VEC_MULI:
			insn->imm = 0xbf800001;
			insn->b = 0;
			break;
		case NIB_VEC_FMA:
		case NIB_VEC_SELECT:
			insn->imm = 7;
			break;
		case NIB_VEC_ADD: case NIB_VEC_SUB: case NIB_VEC_MUL: case NIB_VEC_DIV:
		case NIB_VEC_MIN: case NIB_VEC_MAX: case NIB_VEC_LT: case NIB_VEC_EQ:
			break;
		default:
			insn->b = 0;
		}
		round_trip(&p);
	}
}
END_TEST

/* What is no packet, and buffers of every length. */
START_TEST(test_disassembler_refusals)
{
	const union packet *vec = packet_sample("vec");
	char text[1024], shorter[1024];
	union packet p = *vec;
	size_t i, full;

	ck_assert_int_eq(accel_disassemble(p.w, 0, text, sizeof(text)), -EINVAL);
	ck_assert_int_eq(accel_disassemble(p.w, p.hdr.words - 1, text, sizeof(text)), -EINVAL);
	p.hdr.op = 0x3ff;
	ck_assert_int_eq(accel_disassemble(p.w, PACKET_WORDS, text, sizeof(text)), -EINVAL);
	p = *vec;
	p.vec.pkt.n_operands = 9;
	ck_assert_int_eq(accel_disassemble(p.w, PACKET_WORDS, text, sizeof(text)), -EINVAL);
	p = *packet_sample("fill");
	p.hdr.words = 5;
	ck_assert_int_eq(accel_disassemble(p.w, PACKET_WORDS, text, sizeof(text)), -EINVAL);
	p.hdr.words = 0;
	ck_assert_int_eq(accel_disassemble(p.w, PACKET_WORDS, text, sizeof(text)), -EINVAL);
	ck_assert_int_gt(accel_disassemble(vec->w, PACKET_WORDS, text, sizeof(text)), 0);
	full = strlen(text);
	for (i = 0; i <= full + 1; i++) {
		memset(shorter, 0x7f, sizeof(shorter));
		ck_assert_int_gt(accel_disassemble(vec->w, PACKET_WORDS, shorter, i), 0);
		ck_assert_int_eq(shorter[i], 0x7f);
		if (i)
			ck_assert(!strncmp(shorter, text, i - 1) &&
				  strlen(shorter) == (i - 1 < full ? i - 1 : full));
	}
}
END_TEST

/* --- Builder --- */

START_TEST(test_builder_keeps_packets)
{
	uint64_t want[1024];
	size_t words, bytes, at, i;
	struct accel_builder *b;
	const uint64_t *data;
	uint32_t nargs;

	for (int args = 0; args < 2; args++) {
		words = packet_stream(want, ARRAY_SIZE(want), args);
		ck_assert_int_eq(accel_builder_create(&b), 0);
		for (at = 0, i = 0; at < words - 1; at += packet_words(want + at), i++)
			ck_assert_int_eq(accel_builder_add(b, want + at), (int)i);
		ck_assert_int_eq(accel_builder_finish(b, &data, &bytes, &nargs), 0);
		ck_assert_uint_eq(bytes, words * 8);
		ck_assert(!memcmp(data, want, bytes));
		ck_assert(args ? nargs > 0 && nargs <= NIB_MAX_ARGS : nargs == 0);
		/* Once more is the same; more packets are not. */
		ck_assert_int_eq(accel_builder_finish(b, &data, &bytes, &nargs), 0);
		ck_assert_uint_eq(bytes, words * 8);
		ck_assert_int_eq(accel_builder_add(b, want), -EINVAL);
		ck_assert_int_eq(accel_builder_finish(b, &data, &bytes, &nargs), -EINVAL);
		accel_builder_destroy(b);
	}
	accel_builder_destroy(NULL);
}
END_TEST

/* The first error stays, and names the packet. */
START_TEST(test_builder_first_error)
{
	union packet fill = *packet_sample("fill"), bad = fill;
	struct accel_builder *b;
	const uint64_t *data;
	uint32_t nargs;
	size_t bytes;

	ck_assert_int_eq(accel_builder_create(&b), 0);
	ck_assert_str_eq(accel_builder_error(b), "");
	bad.fill.dst = 2;
	ck_assert_int_eq(accel_builder_add(b, &fill), 0);
	ck_assert_int_eq(accel_builder_add(b, &bad), 1);
	ck_assert_int_eq(accel_builder_finish(b, &data, &bytes, &nargs), -EINVAL);
	ck_assert_str_eq(accel_builder_error(b), "packet 1: address alignment");
	accel_builder_destroy(b);

	ck_assert_int_eq(accel_builder_create(&b), 0);
	bad.hdr.words = 0;
	ck_assert_int_eq(accel_builder_add(b, &bad), -EINVAL);
	bad.hdr.words = NIB_MAX_PKT_WORDS + 1;
	ck_assert_int_eq(accel_builder_add(b, &bad), -EINVAL);
	ck_assert_int_eq(accel_builder_add(b, &fill), -EINVAL);
	ck_assert_int_eq(accel_builder_finish(b, &data, &bytes, &nargs), -EINVAL);
	ck_assert_str_eq(accel_builder_error(b), "packet 0: packet length");
	accel_builder_destroy(b);
}
END_TEST

START_TEST(test_builder_longest_stream)
{
	union packet nop = *packet_sample("nop");
	struct accel_builder *b;
	const uint64_t *data;
	uint32_t nargs, i;
	size_t bytes;

	ck_assert_int_eq(accel_builder_create(&b), 0);
	for (i = 0; i < NIB_MAX_STREAM_BYTES / 8 - 1; i++)
		ck_assert_int_eq(accel_builder_add(b, &nop), (int)i);
	ck_assert_int_eq(accel_builder_finish(b, &data, &bytes, &nargs), 0);
	ck_assert_uint_eq(bytes, NIB_MAX_STREAM_BYTES);
	accel_builder_destroy(b);
	ck_assert_int_eq(accel_builder_create(&b), 0);
	for (i = 0; i < NIB_MAX_STREAM_BYTES / 8; i++)
		ck_assert_int_eq(accel_builder_add(b, &nop), (int)i);
	ck_assert_int_eq(accel_builder_finish(b, &data, &bytes, &nargs), -EINVAL);
	ck_assert(strstr(accel_builder_error(b), "4 MiB"));
	accel_builder_destroy(b);
}
END_TEST

START_TEST(test_vec_packs)
{
	struct accel_builder *b;
	const uint64_t *data;
	struct accel_vec vec;
	char text[512];
	uint32_t nargs;
	size_t bytes;

	accel_vec_init(&vec, 64);
	accel_arg(&vec.pkt, d0, 2, 0);
	vec.pkt.d1 = 3;
	ck_assert_int_eq(accel_vec_operand(&vec, 0, 0x40, 256, -8, NIB_FMT_F32, 1), 0);
	ck_assert_int_eq(accel_vec_operand(&vec, -1, 0x5000, 0, 0, NIB_FMT_BF16, 0), 1);
	ck_assert_int_eq(accel_vec_operand(&vec, 1, 0, 256, 0, NIB_FMT_F32, 1), 2);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 4, 0, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 5, 1, 0, 0);
	accel_vec_insn(&vec, NIB_VEC_FMA, 6, 4, 5, 4);
	accel_vec_insn_f(&vec, NIB_VEC_ADDI, 6, 6, 1.5f);
	accel_vec_insn(&vec, NIB_VEC_STORE, 2, 6, 0, 0);
	ck_assert_int_eq(accel_builder_create(&b), 0);
	ck_assert_int_eq(accel_builder_add_vec(b, &vec), 0);
	ck_assert_int_eq(accel_builder_finish(b, &data, &bytes, &nargs), 0);
	ck_assert_uint_eq(nargs, 3);
	ck_assert_int_eq(accel_disassemble(data, (uint32_t)(bytes / 8), text, sizeof(text)), 18);
	ck_assert_str_eq(text, "VEC d0=a2 d1=3 n=64 [0]=a0+0x40 f32 s0=256 s1=-8 sn=1 "
			 "[1]=0x5000 bf16 s0=0 s1=0 sn=0 [2]=a1 f32 s0=256 s1=0 sn=1 "
			 "{ load r4, [0]; load r5, [1]; fma r6, r4, r5, r4; addi r6, r6, 1.5; "
			 "store [2], r6 }");
	accel_builder_destroy(b);
}
END_TEST

/* Too many of anything is kept until the packet is added, and said then. */
START_TEST(test_vec_limits)
{
	struct accel_builder *b;
	struct accel_vec vec;
	int i, round;

	for (round = 0; round < 4; round++) {
		accel_vec_init(&vec, 16);
		vec.pkt.d0 = vec.pkt.d1 = 1;
		for (i = 0; i < (round == 0 ? 9 : 8); i++)
			ck_assert_int_eq(accel_vec_operand(&vec, -1, 0, 0, 0, NIB_FMT_F32, 1),
					 i < 8 ? i : -EINVAL);
		if (round == 1)
			ck_assert_int_eq(accel_vec_operand(&vec, 64, 0, 0, 0, NIB_FMT_F32, 1),
					 -EINVAL);
		for (i = 0; i < (round == 2 ? 257 : 256); i++)
			accel_vec_insn(&vec, NIB_VEC_IOTA, round == 3 && i == 7 ? 256 : 0, 0, 0, 0);
		ck_assert_int_eq(accel_builder_create(&b), 0);
		ck_assert_int_eq(accel_builder_add_vec(b, &vec), -EINVAL);
		ck_assert(strstr(accel_builder_error(b), "8 operands or 256 instructions"));
		accel_builder_destroy(b);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("stream");
	Suite *s = suite_create("accel_stream");
	SRunner *sr;
	int bad;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_disassembler_says_all);
	tcase_add_test(tc, test_disassembler_members);
	tcase_add_test(tc, test_disassembler_instructions);
	tcase_add_test(tc, test_disassembler_refusals);
	tcase_add_test(tc, test_builder_keeps_packets);
	tcase_add_test(tc, test_builder_first_error);
	tcase_add_test(tc, test_builder_longest_stream);
	tcase_add_test(tc, test_vec_packs);
	tcase_add_test(tc, test_vec_limits);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
