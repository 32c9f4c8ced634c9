// SPDX-License-Identifier: MIT
/*
 * The stream validator against nib_isa.h: one table per kind of rule, each row a field of a packet.
 * A row is tried at its limits and one step past them, and the error must be the right one. Every
 * stream lies against a page that cannot be read, so that reading past the end ends the test.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "nib_validate.h"
#include "packets.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define GUARD_AT	(64u << 10)	/* bytes that a test may use before the guard page */

/* As ck_assert_msg(), which takes note of every success: too slow for loops of many thousands. */
#define check_that(cond, ...)							\
	do {									\
		if (!(cond))							\
			ck_abort_msg(__VA_ARGS__);				\
	} while (0)

static uint8_t *guard;	/* first byte that cannot be read */

/* A member of a packet. */
struct field {
	const char *sample;
	const char *name;
	uint16_t at;
	uint8_t size;
};

#define F(s, f) { #s, #f, offsetof(union packet, s.f), sizeof(((union packet *)0)->s.f) }

static void set(union packet *p, const struct field *f, uint64_t value)
{
	memcpy((uint8_t *)p + f->at, &value, f->size);
}

static uint64_t ones(const struct field *f)
{
	return f->size == 8 ? ~0ull : (1ull << f->size * 8) - 1;
}

static uint32_t validate_words(const uint64_t *w, size_t words, struct nib_stream_info *info)
{
	uint64_t *at = (uint64_t *)(void *)(guard - words * 8);

	memcpy(at, w, words * 8);
	return nib_stream_validate((const __u64 *)at, words * 8, info);
}

/* Verdict on a stream of this packet and END. */
static uint32_t verdict(const union packet *p, struct nib_stream_info *info)
{
	uint64_t w[NIB_MAX_PKT_WORDS + 1] = { 0 };
	struct nib_stream_info unused;
	size_t words = packet_words(p->w);

	memcpy(w, p, sizeof(*p));
	w[words] = 1 << 16 | NIB_OP_END;
	return validate_words(w, words + 1, info ? info : &unused);
}

#define expect(p, error, ...)							\
	do {									\
		uint32_t verdict_ = verdict((p), NULL);				\
										\
		if (verdict_ != (error)) {					\
			char what_[128];					\
										\
			snprintf(what_, sizeof(what_), __VA_ARGS__);		\
			ck_abort_msg("%s: got \"%s\", want \"%s\"", what_,	\
				     nib_validate_strerror(verdict_),		\
				     nib_validate_strerror(error));		\
		}								\
	} while (0)

/* The field's sample with @value in the field. */
static void expect_field(const struct field *f, const union packet *base, uint64_t value,
			 uint32_t error)
{
	union packet p = *base;

	set(&p, f, value);
	expect(&p, error, "%s.%s = 0x%llx", f->sample, f->name, (unsigned long long)value);
}

/* --- Pitches: from the least that holds a row to NIB_MAX_PITCH, whole elements. --- */

/* Rows of the samples, worked by hand: 32 elements of MXFP4 are 16 bytes and a scale, and so on. */
static const struct pitch {
	struct field f;
	uint64_t least;
	uint64_t align;
} pitches[] = {
	{ F(copy, src_pitch1), 0, 4 },
	{ F(copy, src_pitch2), 0, 4 },
	{ F(copy, dst_pitch1), 0, 2 },
	{ F(copy, dst_pitch2), 0, 2 },
	{ F(gather, table_pitch), 16 * 4, 4 },
	{ F(gather, dst_pitch), 16 * 4, 4 },
	{ F(gather_panels, dst_pitch), 40 * 4, 4 },
	{ F(kv_append, src_pitch), 64 * 4, 4 },
	{ F(quant, src_pitch), 40 * 4, 4 },
	{ F(quant, dst_pitch), 48, 16 },	/* 64 / 2 + 2 = 34 */
	{ F(gemm, a_pitch), 112, 16 },		/* 96 + 3 = 99 */
	{ F(gemm, out_pitch), 72 * 4, 4 },
	{ F(gemm, residual_pitch), 72 * 4, 4 },
	{ F(attention, q_pitch), 4 * 8 * 4, 4 },
	{ F(attention, out_pitch), 4 * 8 * 4, 4 },
	{ F(sample, logits_pitch), 100 * 4, 4 },
};

/* A copy of the sample whose pitches are wide enough for any width. */
static union packet wide(const char *sample)
{
	union packet p = *packet_sample(sample);

	for (size_t i = 0; i < ARRAY_SIZE(pitches); i++)
		if (!strcmp(pitches[i].f.sample, sample))
			set(&p, &pitches[i].f, NIB_MAX_PITCH);
	return p;
}

START_TEST(pitches_hold_a_row_of_whole_elements)
{
	const struct pitch *t = &pitches[_i];
	const union packet *base = packet_sample(t->f.sample);

	expect_field(&t->f, base, t->least, NIB_VALID);
	expect_field(&t->f, base, t->least + t->align, NIB_VALID);
	expect_field(&t->f, base, t->least + t->align / 2, NIB_INVALID_RANGE);
	expect_field(&t->f, base, t->least + 1, NIB_INVALID_RANGE);
	expect_field(&t->f, base, NIB_MAX_PITCH, NIB_VALID);
	expect_field(&t->f, base, NIB_MAX_PITCH + t->align, NIB_INVALID_RANGE);
	expect_field(&t->f, base, 1ull << 63, NIB_INVALID_RANGE);
	expect_field(&t->f, base, -t->align, NIB_INVALID_RANGE);
	if (t->least) {
		expect_field(&t->f, base, t->least - t->align, NIB_INVALID_RANGE);
		expect_field(&t->f, base, 0, NIB_INVALID_RANGE);
	}
}
END_TEST

/* The least pitch of a table depends on its format: 40 elements, block formats padded to 64. */
START_TEST(gathered_rows_do_not_overlap)
{
	static const struct {
		uint32_t fmt, least, align;
	} rows[] = {
		{ NIB_FMT_F32, 160, 4 },
		{ NIB_FMT_BF16, 80, 4 },
		{ NIB_FMT_F16, 80, 4 },
		{ NIB_FMT_MXFP4, 48, 16 },	/* 32 + 2 */
		{ NIB_FMT_NVFP4, 48, 16 },	/* 32 + 4 + 4 */
		{ NIB_FMT_MXFP8, 80, 16 },	/* 64 + 2 */
		{ NIB_FMT_MXFP8_E5M2, 80, 16 },
		{ NIB_FMT_MXFP8X2, 144, 16 },	/* 2 * (64 + 2) = 132 */
	};
	static const struct field pitch = F(gather, table_pitch);
	union packet p = wide("gather");

	p.gather.width = 40;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		p.gather.fmt = rows[i].fmt;
		expect_field(&pitch, &p, rows[i].least, NIB_VALID);
		expect_field(&pitch, &p, rows[i].least - rows[i].align, NIB_INVALID_RANGE);
		expect_field(&pitch, &p, rows[i].least + rows[i].align / 2, NIB_INVALID_RANGE);
	}
	p = *packet_sample("gather_panels");
	expect_field(&pitch, &p, 64, NIB_INVALID_RANGE);
}
END_TEST

/* --- Counts: from 0, which makes the packet a no-op, to a limit. --- */

static const struct count {
	struct field f;
	uint64_t max;
} counts[] = {
	{ F(copy, n0), NIB_MAX_DIM },
	{ F(copy, n1), NIB_MAX_DIM },
	{ F(copy, n2), NIB_MAX_DIM },
	{ F(fill, count), 1ull << 31 },
	{ F(gather, rows), NIB_MAX_DIM },
	{ F(kv_append, rows), NIB_MAX_DIM },
	{ F(kv_append, block_stride), NIB_MAX_DIM },
	{ F(quant, rows), NIB_MAX_DIM },
	{ F(gemm, rows), NIB_MAX_DIM },
	{ F(attention, rows), NIB_MAX_DIM },
	{ F(attention, block_stride), NIB_MAX_DIM },
	{ F(attention, window), NIB_MAX_DIM },
	{ F(vec, pkt.d0), NIB_MAX_DIM },
	{ F(vec, pkt.d1), NIB_MAX_DIM },
	{ F(sample, rows), NIB_MAX_DIM },
};

START_TEST(counts_have_a_limit)
{
	const struct count *t = &counts[_i];
	const union packet *base = packet_sample(t->f.sample);

	expect_field(&t->f, base, 0, NIB_VALID);
	expect_field(&t->f, base, t->max, NIB_VALID);
	expect_field(&t->f, base, t->max + 1, NIB_INVALID_RANGE);
	expect_field(&t->f, base, ones(&t->f), NIB_INVALID_RANGE);
	if (t->f.size == 8)
		expect_field(&t->f, base, 1ull << 63, NIB_INVALID_RANGE);
}
END_TEST

/* --- Sizes that the packet fixes: at least 1. --- */

static const struct count sizes[] = {
	{ F(gather, table_rows), NIB_MAX_DIM },
	{ F(gather, width), NIB_MAX_DIM },
	{ F(gather_panels, width), NIB_MAX_DIM },
	{ F(kv_append, width), NIB_MAX_DIM },
	{ F(quant, width), NIB_MAX_DIM },
	{ F(gemm, n), NIB_MAX_DIM },
	{ F(gemm, k), NIB_MAX_DIM },
	{ F(attention, head_dim), NIB_ATTN_MAX_HEAD_DIM },
	{ F(vec, pkt.n), NIB_VEC_MAX_N },
	{ F(sample, n), NIB_VEC_MAX_N },
};

START_TEST(sizes_are_not_zero_and_have_a_limit)
{
	const struct count *t = &sizes[_i];
	union packet base = wide(t->f.sample);

	expect_field(&t->f, &base, 0, NIB_INVALID_RANGE);
	expect_field(&t->f, &base, 1, NIB_VALID);
	expect_field(&t->f, &base, t->max, NIB_VALID);
	expect_field(&t->f, &base, t->max + 1, NIB_INVALID_RANGE);
	expect_field(&t->f, &base, ones(&t->f), NIB_INVALID_RANGE);
	expect_field(&t->f, &base, (ones(&t->f) / 2 + 1) | 1, NIB_INVALID_RANGE);
}
END_TEST

/* --- Addresses, and offsets that are added to them. --- */

static const struct address {
	struct field f;
	uint64_t align;
} addresses[] = {
	{ F(timestamp, addr), 8 },
	{ F(sem, addr), 8 },
	{ F(copy, src), 4 },
	{ F(copy, dst), 2 },
	{ F(fill, dst), 4 },
	{ F(gather, index), 4 },
	{ F(gather, table), 4 },
	{ F(gather, dst), 4 },
	{ F(gather_panels, table), 64 },
	{ F(kv_append, src), 4 },
	{ F(kv_append, row_table), 8 },
	{ F(kv_append, blocks), 8 },
	{ F(kv_append, offset), 16 },
	{ F(quant, src), 4 },
	{ F(quant, dst), 16 },
	{ F(gemm, a), 16 },
	{ F(gemm, w), 64 },
	{ F(gemm, out), 4 },
	{ F(gemm, bias), 4 },
	{ F(gemm, residual), 4 },
	{ F(attention, q), 4 },
	{ F(attention, out), 4 },
	{ F(attention, row_table), 8 },
	{ F(attention, blocks), 8 },
	{ F(attention, k_offset), 16 },
	{ F(attention, v_offset), 16 },
	{ F(attention, sinks), 4 },
	{ F(vec, operand[0].addr), 4 },
	{ F(vec, operand[0].stride0), 4 },
	{ F(vec, operand[0].stride1), 4 },
	{ F(vec, operand[1].addr), 2 },
	{ F(vec, operand[2].stride0), 2 },
	{ F(sample, logits), 4 },
	{ F(sample, params), 8 },
	{ F(sample, out), 4 },
};

START_TEST(addresses_are_aligned)
{
	const struct address *t = &addresses[_i];
	const union packet *base = packet_sample(t->f.sample);
	uint64_t bit;

	expect_field(&t->f, base, 0, NIB_VALID);
	expect_field(&t->f, base, t->align, NIB_VALID);
	for (bit = 1; bit < t->align; bit *= 2)
		expect_field(&t->f, base, bit, NIB_INVALID_ALIGN);
}
END_TEST

/* What is mapped, the page table says; offsets and strides have their own limits. */
START_TEST(addresses_may_lie_anywhere)
{
	static const struct field offsets[] = {
		F(kv_append, offset), F(attention, k_offset), F(attention, v_offset),
	};

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		const struct address *t = &addresses[i];

		if (!strstr(t->f.name, "offset"))
			expect_field(&t->f, packet_sample(t->f.sample), -t->align, NIB_VALID);
	}
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		const union packet *base = packet_sample(offsets[i].sample);

		expect_field(&offsets[i], base, NIB_MAX_PITCH, NIB_VALID);
		expect_field(&offsets[i], base, NIB_MAX_PITCH + 16, NIB_INVALID_RANGE);
		expect_field(&offsets[i], base, -16ull, NIB_INVALID_RANGE);
	}
}
END_TEST

/* --- Formats: every code. --- */

#define FMT(f)		(1u << NIB_FMT_##f)
#define MX		(FMT(MXFP4) | FMT(NVFP4) | FMT(MXFP8) | FMT(MXFP8_E5M2) | FMT(MXFP8X2))
#define GEMM		(FMT(BF16) | MX)
#define QUANT		(FMT(BF16) | FMT(E4M3) | FMT(E5M2) | MX)
#define PLAIN		(FMT(F32) | FMT(BF16) | FMT(F16) | FMT(U32) | FMT(E4M3) | FMT(E5M2))

static const struct format {
	struct field f;
	uint32_t allowed;
} formats[] = {
	{ F(copy, src_fmt), PLAIN & ~FMT(U32) },	/* the other side is BF16, or F32 */
	{ F(copy, dst_fmt), PLAIN & ~FMT(U32) },
	{ F(gather, fmt), FMT(F32) | FMT(F16) | GEMM },
	{ F(gather_panels, fmt), FMT(F32) | GEMM },
	{ F(kv_append, fmt), FMT(F32) | QUANT },
	{ F(quant, fmt), QUANT },
	{ F(gemm, a_fmt), GEMM },
	{ F(gemm, w_fmt), GEMM },
	{ F(gemm, out_fmt), FMT(F32) | FMT(BF16) },
	{ F(attention, k_fmt), FMT(F32) | QUANT },
	{ F(attention, v_fmt), FMT(F32) | QUANT },
	{ F(vec, operand[0].fmt), PLAIN },		/* loaded */
	{ F(vec, operand[2].fmt), FMT(F32) | FMT(BF16) }, /* stored */
};

START_TEST(formats_are_on_the_list)
{
	const struct format *t = &formats[_i];
	union packet base = wide(t->f.sample);
	uint32_t code, bit;

	for (code = 0; code < 0x10000; code++)
		expect_field(&t->f, &base, code,
			     code < 32 && t->allowed >> code & 1 ? NIB_VALID : NIB_INVALID_FORMAT);
	for (bit = 16; bit < t->f.size * 8u; bit++)
		expect_field(&t->f, &base, 1u << bit | NIB_FMT_F32, NIB_INVALID_FORMAT);
}
END_TEST

/* Any plain format to any other, U32 to itself only. */
START_TEST(copies_convert_between_plain_formats)
{
	union packet p = wide("copy");
	uint32_t src, dst, ok;

	for (src = 0; src < 32; src++) {
		for (dst = 0; dst < 32; dst++) {
			ok = PLAIN >> src & 1 && PLAIN >> dst & 1 &&
			     (src == NIB_FMT_U32) == (dst == NIB_FMT_U32);
			p.copy.src_fmt = src;
			p.copy.dst_fmt = dst;
			expect(&p, ok ? NIB_VALID : NIB_INVALID_FORMAT, "copy %u to %u", src, dst);
		}
	}
}
END_TEST

/* --- Enumerations: 0 up to the last one. --- */

static const struct count enums[] = {
	{ F(sem, action), NIB_SEM_WAIT_GE },
	{ F(kv_append, rule), NIB_SCALE_BEST3 },
	{ F(quant, rule), NIB_SCALE_BEST3 },
	{ F(gemm, activation), NIB_ACT_GELU },
};

START_TEST(enumerations_end)
{
	const struct count *t = &enums[_i];
	const union packet *base = packet_sample(t->f.sample);
	uint64_t value;

	for (value = 0; value < 0x10000; value++)
		expect_field(&t->f, base, value, value <= t->max ? NIB_VALID : NIB_INVALID_FORMAT);
	for (value = 0x10000; t->f.size == 8 && value; value *= 2)
		expect_field(&t->f, base, value, NIB_INVALID_FORMAT);
}
END_TEST

START_TEST(layouts_end)
{
	static const struct field rows = F(gather, layout), panels = F(gather_panels, layout);
	uint32_t layout;

	expect_field(&rows, packet_sample("gather"), NIB_LAYOUT_ROWS, NIB_VALID);
	expect_field(&panels, packet_sample("gather_panels"), NIB_LAYOUT_PANELS, NIB_VALID);
	for (layout = 2; layout < 0x10000; layout++) {
		expect_field(&rows, packet_sample("gather"), layout, NIB_INVALID_FORMAT);
		expect_field(&panels, packet_sample("gather_panels"), layout, NIB_INVALID_FORMAT);
	}
}
END_TEST

START_TEST(pages_hold_a_power_of_two)
{
	static const struct field pages[] = {
		F(kv_append, page_tokens), F(attention, page_tokens),
	};
	uint32_t n;

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		for (n = 0; n < 0x10000; n++)
			expect_field(&pages[i], packet_sample(pages[i].sample), n,
				     n && n <= 4096 && !(n & (n - 1)) ? NIB_VALID :
				     NIB_INVALID_RANGE);
		for (n = 0x10000; pages[i].size == 4 && n; n *= 2)
			expect_field(&pages[i], packet_sample(pages[i].sample), n,
				     NIB_INVALID_RANGE);
	}
}
END_TEST

/* --- Reserved bits. --- */

static const struct reserved {
	struct field f;
	uint64_t mask;
} reserved[] = {
	{ F(fill, value), 0xffffffff00000000 },
	{ F(gather, zero), 0xffffffff },
	{ F(gather_panels, zero), 0xffffffff },
	{ F(kv_append, zero), 0xffffffff },
	{ F(gemm, flags), ~(uint32_t)(NIB_GEMM_BIAS | NIB_GEMM_RESIDUAL) },
	{ F(sample, zero), 0xffffffff },
};

START_TEST(reserved_bits_are_zero)
{
	const struct reserved *t = &reserved[_i];
	union packet p = *packet_sample(t->f.sample);
	uint64_t bit, value = 0;

	memcpy(&value, (uint8_t *)&p + t->f.at, t->f.size);
	for (bit = 1; bit; bit *= 2)
		if (t->mask & bit)
			expect_field(&t->f, &p, value | bit, NIB_INVALID_RESERVED);
	expect_field(&t->f, &p, value, NIB_VALID);
}
END_TEST

/* What an absent part of the epilogue would use must be absent as well. */
START_TEST(gemm_operands_need_their_flag)
{
	static const struct field without_bias = F(gemm, bias);
	static const struct field without_residual[] = {
		F(gemm, residual), F(gemm, residual_pitch),
	};
	union packet p = *packet_sample("gemm");

	p.gemm.flags = NIB_GEMM_RESIDUAL;
	p.gemm.bias = 0;
	expect(&p, NIB_VALID, "no bias");
	expect_field(&without_bias, &p, 4, NIB_INVALID_RESERVED);
	p.gemm.flags = NIB_GEMM_BIAS;
	p.gemm.residual = 0;
	p.gemm.residual_pitch = 0;
	expect(&p, NIB_VALID, "no residual");
	for (size_t i = 0; i < 2; i++)
		expect_field(&without_residual[i], &p, 288, NIB_INVALID_RESERVED);
	p.gemm.flags = 0;
	expect(&p, NIB_VALID, "plain");
	p.hdr.argmask = 1u << (offsetof(struct nib_pkt_gemm, bias) / 8 - 1);
	expect(&p, NIB_INVALID_RESERVED, "bias argument");
	p.hdr.argmask = 1u << (offsetof(struct nib_pkt_gemm, residual) / 8 - 1);
	expect(&p, NIB_INVALID_RESERVED, "residual argument");
}
END_TEST

/* --- FP32 fields: finite; a cap is not negative, -0 included. --- */

static const struct {
	struct field f;
	int positive;
} floats[] = {
	{ F(gather, alpha), 0 },
	{ F(gather_panels, alpha), 0 },
	{ F(gemm, alpha), 0 },
	{ F(attention, scale), 0 },
	{ F(attention, softcap), 1 },
};

START_TEST(factors_are_finite)
{
	const struct field *f = &floats[_i].f;
	const union packet *base = packet_sample(f->sample);
	uint32_t negative = floats[_i].positive ? NIB_INVALID_RANGE : NIB_VALID;

	expect_field(f, base, 0, NIB_VALID);
	expect_field(f, base, 1, NIB_VALID);
	expect_field(f, base, 0x7f7fffff, NIB_VALID);
	expect_field(f, base, 0x7f800000, NIB_INVALID_RANGE);
	expect_field(f, base, 0x7f800001, NIB_INVALID_RANGE);
	expect_field(f, base, 0x7fc00000, NIB_INVALID_RANGE);
	expect_field(f, base, 0x80000000, negative);
	expect_field(f, base, 0xbf800000, negative);
	expect_field(f, base, 0xff800000, NIB_INVALID_RANGE);
	expect_field(f, base, ~0u, NIB_INVALID_RANGE);
}
END_TEST

START_TEST(heads_divide_evenly)
{
	static const struct {
		uint16_t heads, kv, dim;
		uint32_t error;
	} shapes[] = {
		{ 0, 1, 8, NIB_INVALID_RANGE },
		{ 1, 0, 8, NIB_INVALID_RANGE },
		{ 0, 0, 8, NIB_INVALID_RANGE },
		{ 1, 2, 8, NIB_INVALID_RANGE },
		{ 6, 4, 8, NIB_INVALID_RANGE },
		{ 6, 3, 8, NIB_VALID },
		{ 65535, 65535, 1, NIB_VALID },
		{ 16384, 1, 1024, NIB_VALID },			/* NIB_MAX_DIM columns */
		{ 16385, 1, 1024, NIB_INVALID_RANGE },
		{ 65535, 65535, 1024, NIB_INVALID_RANGE },
	};
	union packet p = wide("attention");

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		p.attention.n_heads = shapes[i].heads;
		p.attention.n_kv_heads = shapes[i].kv;
		p.attention.head_dim = shapes[i].dim;
		expect(&p, shapes[i].error, "heads %u / %u of %u", shapes[i].heads, shapes[i].kv,
		       shapes[i].dim);
	}
}
END_TEST

/* --- Arguments. --- */

/* Each word of each packet as an argument, with an addend that no constant could have. */
START_TEST(arguments_only_where_the_isa_says)
{
	const union packet *base = &packet_samples[_i].p;
	uint32_t allowed = packet_arg_words(base), words = packet_words(base->w), i, bit;
	struct nib_stream_info info;

	for (i = 1; i <= 32; i++) {
		union packet p = *base;

		p.hdr.argmask = 1u << (i - 1);
		if (i < words)
			p.w[i] = NIB_ARG(41, -1);
		if (!(allowed >> (i - 1) & 1)) {
			expect(&p, NIB_INVALID_ARGMASK, "%s word %u", packet_samples[_i].name, i);
			continue;
		}
		ck_assert_uint_eq(verdict(&p, &info), NIB_VALID);
		ck_assert_uint_eq(info.nargs, 42);
		p.w[i] = NIB_ARG(0, 1);
		ck_assert_uint_eq(verdict(&p, &info), NIB_VALID);
		ck_assert_uint_eq(info.nargs, 1);
		for (bit = 6; bit < 16; bit++) {
			p.w[i] = NIB_ARG(0, 0) | 1u << bit;
			expect(&p, NIB_INVALID_ARG, "%s word %u bit %u", packet_samples[_i].name, i,
			       bit);
		}
	}
}
END_TEST

/* A constant stays checked beside arguments; an argument is checked once it is known. */
START_TEST(values_are_checked_like_constants)
{
	union packet p = *packet_sample("quant");

	p.hdr.argmask = packet_arg_words(&p);
	p.w[1] = NIB_ARG(0, 0);
	p.w[2] = NIB_ARG(1, 1);
	p.w[4] = NIB_ARG(2, -1);
	expect(&p, NIB_VALID, "all arguments");
	p.quant.dst_pitch = 16;
	expect(&p, NIB_INVALID_RANGE, "constant beside arguments");
	p.quant.dst_pitch = 48;
	p.hdr.argmask = 0;
	p.w[1] = NIB_MAX_DIM + 1;
	p.w[2] = 4;
	p.w[4] = 16;
	expect(&p, NIB_INVALID_RANGE, "rows that became known");
	p.w[1] = 1;
	p.w[4] = 24;
	expect(&p, NIB_INVALID_ALIGN, "address that became known");
}
END_TEST

START_TEST(argument_reference_fields)
{
	ck_assert_uint_eq(NIB_ARG_INDEX(NIB_ARG(63, -1)), 63);
	ck_assert_int_eq(NIB_ARG_ADDEND(NIB_ARG(63, -1)), -1);
	ck_assert_int_eq(NIB_ARG_ADDEND(NIB_ARG(0, 1ll << 46)), 1ll << 46);
	ck_assert_uint_eq(NIB_ARG(63, -1) & NIB_ARG_RESERVED, 0);
	ck_assert_uint_eq(NIB_MAX_ARGS, 64);
}
END_TEST

/* --- Streams. --- */

START_TEST(samples_are_valid)
{
	uint64_t w[512];

	for (int args = 0; args < 2; args++) {
		size_t words = packet_stream(w, ARRAY_SIZE(w), args);
		struct nib_stream_info info;

		ck_assert_uint_eq(validate_words(w, words, &info), NIB_VALID);
		ck_assert_uint_eq(info.packets, packet_sample_count + 1);
		/* More words than arguments: they are used again. */
		ck_assert_uint_eq(info.nargs, args ? NIB_MAX_ARGS : 0);
	}
}
END_TEST

/* Every length but its own; for VEC the counts say which that is. */
START_TEST(packets_have_their_length)
{
	const union packet *base = &packet_samples[_i].p;
	uint32_t words = packet_words(base->w), length;
	uint64_t w[NIB_MAX_PKT_WORDS + 2];
	struct nib_stream_info info;

	for (length = 0; length <= NIB_MAX_PKT_WORDS + 1; length++) {
		memset(w, 0, sizeof(w));
		memcpy(w, base, sizeof(*base));
		w[0] = (w[0] & ~0xffff0000ull) | length << 16;
		w[length ? length : 1] = 1 << 16 | NIB_OP_END;
		check_that(validate_words(w, (length ? length : 1) + 1, &info) ==
			   (length == words ? NIB_VALID : NIB_INVALID_LENGTH), "length %u", length);
	}
	for (uint32_t bit = 0; bit < 16; bit++) {
		w[0] = base->w[0] ^ (1ull << (16 + bit));
		ck_assert_uint_eq(validate_words(w, NIB_MAX_PKT_WORDS, &info), NIB_INVALID_LENGTH);
	}
}
END_TEST

/* A stream that stops within a packet, or before END; the guard page says what was read. */
START_TEST(truncated_streams_are_refused)
{
	uint64_t w[512];
	size_t words = packet_stream(w, ARRAY_SIZE(w), 0), cut, at = 0;
	struct nib_stream_info info;

	for (cut = 1; cut < words; cut++) {
		if (cut > at + packet_words(w + at))
			at += packet_words(w + at);
		if (cut == at + packet_words(w + at)) {
			ck_assert_uint_eq(validate_words(w, cut, &info), NIB_INVALID_END);
			ck_assert_uint_eq(info.error_offset, cut * 8);
		} else {
			ck_assert_uint_eq(validate_words(w, cut, &info), NIB_INVALID_LENGTH);
			ck_assert_uint_eq(info.error_offset, at * 8);
		}
	}
}
END_TEST

START_TEST(nothing_follows_the_end)
{
	uint64_t w[512];
	size_t words = packet_stream(w, ARRAY_SIZE(w), 0);
	struct nib_stream_info info;

	w[words] = 1 << 16 | NIB_OP_END;
	ck_assert_uint_eq(validate_words(w, words + 1, &info), NIB_INVALID_END);
	ck_assert_uint_eq(info.error_offset, (words - 1) * 8);
	w[words] = 0;
	ck_assert_uint_eq(validate_words(w, words + 1, &info), NIB_INVALID_END);
}
END_TEST

START_TEST(the_first_bad_packet_is_named)
{
	uint64_t w[512];
	size_t words = packet_stream(w, ARRAY_SIZE(w), 1), at;
	struct nib_stream_info info;
	uint32_t packet = 0;

	for (at = 0; at < words; at += packet_words(w + at), packet++) {
		uint64_t good = w[at];

		w[at] = (good & ~0xffffull) | 0x7fff;
		ck_assert_uint_eq(validate_words(w, words, &info), NIB_INVALID_OPCODE);
		ck_assert_uint_eq(info.error_offset, at * 8);
		ck_assert_uint_eq(info.packets, packet);
		w[at] = good;
	}
}
END_TEST

START_TEST(opcodes_are_on_the_list)
{
	static const uint16_t known[] = {
		NIB_OP_END, NIB_OP_NOP, NIB_OP_TIMESTAMP, NIB_OP_SEM, NIB_OP_COPY, NIB_OP_FILL,
		NIB_OP_GATHER, NIB_OP_KV_APPEND, NIB_OP_QUANT, NIB_OP_GEMM, NIB_OP_ATTENTION,
		NIB_OP_VEC, NIB_OP_SAMPLE, NIB_OP_GEMM_GROUPED, NIB_OP_CONV,
		NIB_OP_CONV_DEPTHWISE, NIB_OP_SCAN,
	};
	uint64_t w[2] = { 0, 1 << 16 | NIB_OP_END };
	struct nib_stream_info info;
	uint32_t op, error;

	for (op = 0; op < 0x10000; op++) {
		size_t i = 0;

		while (i < ARRAY_SIZE(known) && known[i] != op)
			i++;
		w[0] = 1 << 16 | op;
		error = validate_words(w, 2, &info);
		check_that((error == NIB_INVALID_OPCODE) == (i == ARRAY_SIZE(known)),
			   "opcode 0x%x: %s", op, nib_validate_strerror(error));
	}
}
END_TEST

START_TEST(stream_sizes)
{
	uint64_t *w = calloc(1, NIB_MAX_STREAM_BYTES + 8), end = 1 << 16 | NIB_OP_END;
	uint32_t words = NIB_MAX_STREAM_BYTES / 8, i;
	struct nib_stream_info info;

	for (i = 0; i <= words; i++)
		w[i] = 1 << 16 | NIB_OP_NOP;
	w[words - 1] = end;
	ck_assert_uint_eq(nib_stream_validate((__u64 *)w, NIB_MAX_STREAM_BYTES, &info), NIB_VALID);
	ck_assert_uint_eq(info.packets, words);
	w[words] = end;
	for (i = 1; i <= 8; i++)
		ck_assert_uint_eq(nib_stream_validate((__u64 *)w, NIB_MAX_STREAM_BYTES + i, &info),
				  NIB_INVALID_SIZE);
	ck_assert_uint_eq(nib_stream_validate((__u64 *)w, ~7u, &info), NIB_INVALID_SIZE);
	free(w);
	ck_assert_uint_eq(validate_words(&end, 0, &info), NIB_INVALID_SIZE);
	ck_assert_uint_eq(validate_words(&end, 1, &info), NIB_VALID);
	for (i = 1; i < 8; i++)
		ck_assert_uint_eq(nib_stream_validate((__u64 *)&end, i, &info), NIB_INVALID_SIZE);
	ck_assert_uint_eq(info.nargs | info.packets | info.error_offset, 0);
}
END_TEST

START_TEST(errors_have_names)
{
	for (uint32_t i = 0; i <= NIB_INVALID_END; i++)
		for (uint32_t j = 0; j < i; j++)
			ck_assert_str_ne(nib_validate_strerror(i), nib_validate_strerror(j));
	ck_assert_str_eq(nib_validate_strerror(NIB_INVALID_END + 1), "unknown error");
	ck_assert_str_eq(nib_validate_strerror(~0u), "unknown error");
}
END_TEST

/* --- Vector programs. --- */

/*
 * Fields of an instruction, one letter each: d register written, D operand written, a b register
 * read, A operand read, c register read in imm, i anything in imm. What is not there must be 0.
 */
static const struct {
	uint8_t op;
	const char *fields;
} vec_ops[] = {
	{ NIB_VEC_LOAD, "dA" }, { NIB_VEC_STORE, "Da" }, { NIB_VEC_MOVI, "di" },
	{ NIB_VEC_IOTA, "d" }, { NIB_VEC_ADD, "dab" }, { NIB_VEC_SUB, "dab" },
	{ NIB_VEC_MUL, "dab" }, { NIB_VEC_DIV, "dab" }, { NIB_VEC_FMA, "dabc" },
	{ NIB_VEC_MIN, "dab" }, { NIB_VEC_MAX, "dab" }, { NIB_VEC_ADDI, "dai" },
	{ NIB_VEC_MULI, "dai" }, { NIB_VEC_NEG, "da" }, { NIB_VEC_ABS, "da" },
	{ NIB_VEC_SQRT, "da" }, { NIB_VEC_RSQRT, "da" }, { NIB_VEC_RCP, "da" },
	{ NIB_VEC_EXP, "da" }, { NIB_VEC_LOG, "da" }, { NIB_VEC_TANH, "da" },
	{ NIB_VEC_SIGMOID, "da" }, { NIB_VEC_ERF, "da" }, { NIB_VEC_SIN, "da" },
	{ NIB_VEC_COS, "da" }, { NIB_VEC_FLOOR, "da" }, { NIB_VEC_RINT, "da" },
	{ NIB_VEC_LT, "dab" }, { NIB_VEC_EQ, "dab" }, { NIB_VEC_SELECT, "dabc" },
	{ NIB_VEC_RSUM, "da" }, { NIB_VEC_RMAX, "da" }, { NIB_VEC_RMIN, "da" },
};

enum { OPERANDS = 3, WRITTEN = 15 };	/* registers 0..14 hold something, 15 does not */

/* A packet of @n_operands FP32 operands and these instructions. */
static size_t vec_packet(uint64_t *w, uint32_t n_operands, const struct nib_vec_insn *insns,
			 uint32_t n_insns)
{
	struct nib_pkt_vec p = {
		.hdr = { .op = NIB_OP_VEC, .words = 4 + 3 * n_operands + n_insns },
		.d0 = 1, .d1 = 1, .n = 8, .n_operands = n_operands, .n_insns = n_insns,
	};

	memcpy(w, &p, sizeof(p));
	for (uint32_t i = 0; i < n_operands; i++) {
		struct nib_vec_operand o = { .addr = 64, .fmt = NIB_FMT_F32, .stride_n = 1 };

		memcpy(w + 4 + 3 * i, &o, sizeof(o));
	}
	memcpy(w + 4 + 3 * n_operands, insns, n_insns * 8);
	w[p.hdr.words] = 1 << 16 | NIB_OP_END;
	return p.hdr.words + 1;
}

/* Verdict on registers 0..14 written, then @insn, then a store of register @stored. */
static uint32_t vec_verdict(struct nib_vec_insn insn, uint8_t stored)
{
	struct nib_vec_insn insns[WRITTEN + 2];
	struct nib_stream_info info;
	uint64_t w[64];

	for (uint32_t i = 0; i < WRITTEN; i++)
		insns[i] = (struct nib_vec_insn){ .op = NIB_VEC_MOVI, .dst = i };
	insns[WRITTEN] = insn;
	insns[WRITTEN + 1] = (struct nib_vec_insn){ .op = NIB_VEC_STORE, .a = stored };
	return validate_words(w, vec_packet(w, OPERANDS, insns, WRITTEN + 2), &info);
}

static void vec_expect(struct nib_vec_insn insn, uint32_t error)
{
	check_that(vec_verdict(insn, 0) == error, "op %u dst %u a %u b %u imm 0x%x: want %s",
		   insn.op, insn.dst, insn.a, insn.b, insn.imm, nib_validate_strerror(error));
}

/* One byte of an instruction: a register or an operand that exists, or 0 where @kind is 0. */
static void vec_byte(const struct nib_vec_insn *good, uint8_t at, char kind)
{
	uint32_t limit = kind == 'd' ? NIB_VEC_REGS : kind == 'a' || kind == 'b' ? WRITTEN :
			 kind ? OPERANDS : 1;

	for (uint32_t value = 0; value < 256; value++) {
		struct nib_vec_insn insn = *good;

		((uint8_t *)&insn)[at] = value;
		vec_expect(insn, value < limit ? NIB_VALID : NIB_INVALID_PROGRAM);
	}
}

static void vec_imm(const struct nib_vec_insn *good, char kind)
{
	struct nib_vec_insn insn = *good;

	for (uint32_t bit = 0; bit < 32; bit++) {
		insn.imm = 1u << bit;
		vec_expect(insn, kind == 'i' || (kind == 'c' && insn.imm < WRITTEN) ? NIB_VALID :
			   NIB_INVALID_PROGRAM);
	}
	insn.imm = WRITTEN;
	vec_expect(insn, kind == 'i' ? NIB_VALID : NIB_INVALID_PROGRAM);
	insn.imm = ~0u;
	vec_expect(insn, kind == 'i' ? NIB_VALID : NIB_INVALID_PROGRAM);
}

START_TEST(vec_opcodes_are_on_the_list)
{
	for (uint32_t op = 0; op < 256; op++) {
		struct nib_vec_insn insn = { .op = op };
		size_t i = 0;

		while (i < ARRAY_SIZE(vec_ops) && vec_ops[i].op != op)
			i++;
		vec_expect(insn, i < ARRAY_SIZE(vec_ops) ? NIB_VALID : NIB_INVALID_PROGRAM);
	}
}
END_TEST

START_TEST(vec_fields_are_what_the_opcode_uses)
{
	struct nib_vec_insn insn = { .op = vec_ops[_i].op };
	const char *fields = vec_ops[_i].fields;

	vec_byte(&insn, offsetof(struct nib_vec_insn, dst), strchr(fields, 'D') ? 'D' : 'd');
	vec_byte(&insn, offsetof(struct nib_vec_insn, a),
		 strchr(fields, 'A') ? 'A' : strchr(fields, 'a') ? 'a' : 0);
	vec_byte(&insn, offsetof(struct nib_vec_insn, b), strchr(fields, 'b') ? 'b' : 0);
	vec_imm(&insn, strchr(fields, 'i') ? 'i' : strchr(fields, 'c') ? 'c' : 0);
	/* What it writes can be read after it, and nothing else can. */
	insn.dst = strchr(fields, 'D') ? 0 : 15;
	ck_assert_uint_eq(vec_verdict(insn, 15),
			  strchr(fields, 'D') ? NIB_INVALID_PROGRAM : NIB_VALID);
	insn.dst = 1;
	ck_assert_uint_eq(vec_verdict(insn, 15), NIB_INVALID_PROGRAM);
}
END_TEST

/* An instruction cannot read what only itself or a later one writes. */
START_TEST(vec_reads_follow_writes)
{
	struct nib_vec_insn self = { .op = NIB_VEC_NEG, .dst = 0, .a = 0 };
	struct nib_vec_insn late[] = {
		{ .op = NIB_VEC_NEG, .dst = 1, .a = 0 }, { .op = NIB_VEC_MOVI, .dst = 0 },
	};
	struct nib_stream_info info;
	uint64_t w[64];

	ck_assert_uint_eq(validate_words(w, vec_packet(w, 0, &self, 1), &info),
			  NIB_INVALID_PROGRAM);
	ck_assert_uint_eq(validate_words(w, vec_packet(w, 0, late, 2), &info),
			  NIB_INVALID_PROGRAM);
	/* Nor does a program see the registers of the one before. */
	ck_assert_uint_eq(validate_words(w, vec_packet(w, 0, late + 1, 1), &info), NIB_VALID);
	memcpy(w + 5, w, 5 * 8);
	memcpy(w + 9, late, 8);
	w[10] = 1 << 16 | NIB_OP_END;
	ck_assert_uint_eq(validate_words(w, 11, &info), NIB_INVALID_PROGRAM);
	ck_assert_uint_eq(info.error_offset, 5 * 8);
}
END_TEST

START_TEST(vec_counts)
{
	struct nib_vec_insn insns[NIB_VEC_MAX_INSNS + 1];
	uint64_t w[NIB_MAX_PKT_WORDS + 1], saved;
	struct nib_stream_info info;
	size_t words;

	for (uint32_t i = 0; i < ARRAY_SIZE(insns); i++)
		insns[i] = (struct nib_vec_insn){ .op = NIB_VEC_MOVI };
	for (uint32_t operands = 0; operands <= NIB_VEC_MAX_OPERANDS + 1; operands++) {
		uint32_t error = operands > NIB_VEC_MAX_OPERANDS ? NIB_INVALID_PROGRAM : NIB_VALID;

		words = vec_packet(w, operands, insns, 1);
		ck_assert_uint_eq(validate_words(w, words, &info), error);
		words = vec_packet(w, operands, insns, NIB_VEC_MAX_INSNS);
		ck_assert_uint_eq(validate_words(w, words, &info), error);
		words = vec_packet(w, operands, insns, NIB_VEC_MAX_INSNS + 1);
		ck_assert_uint_eq(validate_words(w, words, &info), NIB_INVALID_PROGRAM);
		words = vec_packet(w, operands, insns, 0);
		ck_assert_uint_eq(validate_words(w, words, &info), NIB_INVALID_PROGRAM);
	}
	/* Counts that do not match the length of the packet. */
	words = vec_packet(w, 2, insns, 6);
	saved = w[3];
	w[3] = saved + (1ull << 48);
	ck_assert_uint_eq(validate_words(w, words, &info), NIB_INVALID_LENGTH);
	w[3] = saved + (1ull << 32);
	ck_assert_uint_eq(validate_words(w, words, &info), NIB_INVALID_LENGTH);
	w[3] = saved | 1ull << 47;
	ck_assert_uint_eq(validate_words(w, words, &info), NIB_INVALID_PROGRAM);
	w[3] = saved | 0xffffull << 48;
	ck_assert_uint_eq(validate_words(w, words, &info), NIB_INVALID_PROGRAM);
	w[3] = saved | 0xffffull << 32;
	ck_assert_uint_eq(validate_words(w, words, &info), NIB_INVALID_PROGRAM);
}
END_TEST

/* Addresses and strides of operands are aligned to the element; steps count elements. */
START_TEST(vec_operands_are_aligned_to_their_format)
{
	static const uint32_t fmts[] = {
		NIB_FMT_F32, NIB_FMT_BF16, NIB_FMT_F16, NIB_FMT_U32, NIB_FMT_E4M3, NIB_FMT_E5M2,
	};
	static const uint32_t bytes[] = { 4, 2, 2, 4, 1, 1 };
	static const struct field f[] = {
		F(vec, operand[0].addr), F(vec, operand[0].stride0), F(vec, operand[0].stride1),
	}, step = F(vec, operand[0].stride_n);
	union packet p = *packet_sample("vec");

	for (size_t i = 0; i < ARRAY_SIZE(fmts); i++) {
		p.vec.operand[0].fmt = fmts[i];
		for (size_t j = 0; j < ARRAY_SIZE(f); j++)
			for (int64_t v = -8; v <= 8; v++)
				expect_field(&f[j], &p, v, v & (bytes[i] - 1) ? NIB_INVALID_ALIGN :
					     NIB_VALID);
		expect_field(&step, &p, 0, NIB_VALID);
		expect_field(&step, &p, 3, NIB_VALID);
		expect_field(&step, &p, 0x80000000, NIB_VALID);
		expect_field(&step, &p, 0x7fffffff, NIB_VALID);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("validate");
	TCase *tc = tcase_create("validate");
	SRunner *runner = srunner_create(suite);
	int failed;

	guard = mmap(NULL, GUARD_AT + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	if (guard == MAP_FAILED || mprotect(guard + GUARD_AT, 4096, PROT_NONE))
		return 2;
	guard += GUARD_AT;
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, pitches_hold_a_row_of_whole_elements, 0, ARRAY_SIZE(pitches));
	tcase_add_test(tc, gathered_rows_do_not_overlap);
	tcase_add_loop_test(tc, counts_have_a_limit, 0, ARRAY_SIZE(counts));
	tcase_add_loop_test(tc, sizes_are_not_zero_and_have_a_limit, 0, ARRAY_SIZE(sizes));
	tcase_add_loop_test(tc, addresses_are_aligned, 0, ARRAY_SIZE(addresses));
	tcase_add_test(tc, addresses_may_lie_anywhere);
	tcase_add_loop_test(tc, formats_are_on_the_list, 0, ARRAY_SIZE(formats));
	tcase_add_test(tc, copies_convert_between_plain_formats);
	tcase_add_loop_test(tc, enumerations_end, 0, ARRAY_SIZE(enums));
	tcase_add_test(tc, layouts_end);
	tcase_add_test(tc, pages_hold_a_power_of_two);
	tcase_add_loop_test(tc, reserved_bits_are_zero, 0, ARRAY_SIZE(reserved));
	tcase_add_test(tc, gemm_operands_need_their_flag);
	tcase_add_loop_test(tc, factors_are_finite, 0, ARRAY_SIZE(floats));
	tcase_add_test(tc, heads_divide_evenly);
	tcase_add_loop_test(tc, arguments_only_where_the_isa_says, 0, packet_sample_count);
	tcase_add_test(tc, values_are_checked_like_constants);
	tcase_add_test(tc, argument_reference_fields);
	tcase_add_test(tc, samples_are_valid);
	tcase_add_loop_test(tc, packets_have_their_length, 0, packet_sample_count);
	tcase_add_test(tc, truncated_streams_are_refused);
	tcase_add_test(tc, nothing_follows_the_end);
	tcase_add_test(tc, the_first_bad_packet_is_named);
	tcase_add_test(tc, opcodes_are_on_the_list);
	tcase_add_test(tc, stream_sizes);
	tcase_add_test(tc, errors_have_names);
	tcase_add_test(tc, vec_opcodes_are_on_the_list);
	tcase_add_loop_test(tc, vec_fields_are_what_the_opcode_uses, 0, ARRAY_SIZE(vec_ops));
	tcase_add_test(tc, vec_reads_follow_writes);
	tcase_add_test(tc, vec_counts);
	tcase_add_test(tc, vec_operands_are_aligned_to_their_format);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
