// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: the stream validator as this driver compiles it. What it takes and refuses in all is
 * tested in user space, where there is room for it; here are each of its errors, and noise.
 */
#include <kunit/test.h>
#include <linux/prandom.h>

#include "nib_validate.h"

#define OP(op, words, argmask)	((u64)(op) | (u64)(words) << 16 | (u64)(argmask) << 32)
#define END			OP(NIB_OP_END, 1, 0)

static void nib_validate_test_errors(struct kunit *test)
{
	static const struct {
		u32 error, bytes, offset, nargs;
		u64 words[8];
	} cases[] = {
		{ NIB_VALID, 8, 0, 0, { END } },
		{ NIB_VALID, 40, 32, 0, { OP(NIB_OP_FILL, 4, 0), 64, 4, 7, END } },
		/* The count is argument 5. */
		{ NIB_VALID, 40, 32, 6, { OP(NIB_OP_FILL, 4, 2), 64, NIB_ARG(5, 0), 7, END } },
		{ NIB_INVALID_SIZE, 0, 0, 0, { END } },
		{ NIB_INVALID_SIZE, 12, 0, 0, { END } },
		{ NIB_INVALID_SIZE, NIB_MAX_STREAM_BYTES + 8, 0, 0, { END } },
		{ NIB_INVALID_OPCODE, 16, 0, 0, { OP(0x100, 1, 0), END } },
		{ NIB_INVALID_OPCODE, 8, 0, 0, { 0 } },
		{ NIB_INVALID_LENGTH, 16, 0, 0, { OP(NIB_OP_FILL, 2, 0), END } },
		/* Past the end. */
		{ NIB_INVALID_LENGTH, 16, 0, 0, { OP(NIB_OP_FILL, 4, 0), 64 } },
		{ NIB_INVALID_ARGMASK, 16, 0, 0, { OP(NIB_OP_NOP, 1, 1), END } },
		{ NIB_INVALID_ARG, 40, 0, 0, { OP(NIB_OP_FILL, 4, 1), 0x40, 4, 7, END } },
		{ NIB_INVALID_RESERVED, 40, 0, 0,
		  { OP(NIB_OP_FILL, 4, 0), 64, 4, 1ull << 32, END } },
		{ NIB_INVALID_FORMAT, 40, 0, 0, { OP(NIB_OP_SEM, 4, 0), 64, 0, 3, END } },
		{ NIB_INVALID_RANGE, 40, 0, 0, { OP(NIB_OP_FILL, 4, 0), 64, 1ull << 32, 0, END } },
		{ NIB_INVALID_ALIGN, 40, 0, 0, { OP(NIB_OP_FILL, 4, 0), 65, 4, 0, END } },
		{ NIB_INVALID_END, 8, 8, 0, { OP(NIB_OP_NOP, 1, 0) } },
		{ NIB_INVALID_END, 16, 0, 0, { END, END } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nib_stream_info info;
		u32 error = nib_stream_validate(cases[i].words, cases[i].bytes, &info);

		KUNIT_EXPECT_EQ_MSG(test, error, cases[i].error, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, info.error_offset, cases[i].offset, "case %u", i);
		if (!error)
			KUNIT_EXPECT_EQ_MSG(test, info.nargs, cases[i].nargs, "case %u", i);
	}
}

/*
 * Words that look like packets, in an allocation that ends where they do: KASAN sees who reads on.
 */
static void nib_validate_test_noise(struct kunit *test)
{
	static const u16 ops[] = {
		NIB_OP_END, NIB_OP_NOP, NIB_OP_TIMESTAMP, NIB_OP_SEM, NIB_OP_COPY, NIB_OP_FILL,
		NIB_OP_GATHER, NIB_OP_KV_APPEND, NIB_OP_QUANT, NIB_OP_GEMM, NIB_OP_ATTENTION,
		NIB_OP_VEC, NIB_OP_SAMPLE, 0x7777,
	};
	struct rnd_state rnd;
	unsigned int i, k;

	prandom_seed_state(&rnd, 7);
	for (i = 0; i < 2000; i++) {
		u32 count = 1 + prandom_u32_state(&rnd) % 64, error;
		u64 *words = kunit_kmalloc_array(test, count, sizeof(*words), GFP_KERNEL);
		struct nib_stream_info info;

		KUNIT_ASSERT_NOT_NULL(test, words);
		prandom_bytes_state(&rnd, words, count * sizeof(*words));
		for (k = 0; k < count; k++)
			if (prandom_u32_state(&rnd) % 2)
				words[k] >>= prandom_u32_state(&rnd) % 64;
		words[0] = OP(ops[prandom_u32_state(&rnd) % ARRAY_SIZE(ops)],
			      1 + prandom_u32_state(&rnd) % 40, prandom_u32_state(&rnd) % 4);
		error = nib_stream_validate(words, count * sizeof(*words), &info);
		KUNIT_EXPECT_LE(test, error, NIB_INVALID_END);
		KUNIT_EXPECT_LE(test, info.error_offset, count * sizeof(*words));
		KUNIT_EXPECT_LE(test, info.nargs, NIB_MAX_ARGS);
		kunit_kfree(test, words);
	}
}

static struct kunit_case nib_validate_test_cases[] = {
	KUNIT_CASE(nib_validate_test_errors),
	KUNIT_CASE(nib_validate_test_noise),
	{}
};

static struct kunit_suite nib_validate_test_suite = {
	.name = "nib_validate",
	.test_cases = nib_validate_test_cases,
};

kunit_test_suite(nib_validate_test_suite);
