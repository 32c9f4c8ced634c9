// SPDX-License-Identifier: MIT
/*
 * The LLM layer on the in-process device: what a step gives does not depend on how it is cut, on
 * what runs beside it, or on where K/V pages lie; limits are refused with nothing changed; errors
 * of the device leave sequences as they were. And the page pool alone, on the null device.
 */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"
#include "kv.h"
#include "llm.h"
#include "tiny_model.h"

enum { LENGTH = 60 };

static struct accel_device *device;
static struct accel_program *program;
static void *image;
static uint32_t text[LENGTH];

static void setup_on(enum accel_transport transport)
{
	struct accel_open_params open = {
		.struct_size = sizeof(open), .transport = transport, .chip = "small",
	};
	uint32_t rng = 3;
	size_t bytes;

	image = tiny_model("small", &bytes);
	ck_assert_msg(!accel_program_open_memory(image, bytes, &program), "%s",
		      accel_last_error(NULL));
	ck_assert_msg(!accel_open(&open, &device), "%s", accel_last_error(NULL));
	for (int i = 0; i < LENGTH; i++) {
		rng = rng * 1664525 + 1013904223;
		text[i] = 3 + (rng >> 16) % (TINY_TABLE - 3);
	}
}

static void setup(void)
{
	setup_on(ACCEL_TRANSPORT_SIM);
}

static void setup_null(void)
{
	setup_on(ACCEL_TRANSPORT_NULL);
}

static void teardown(void)
{
	accel_close(device);
	accel_program_close(program);
	free(image);
}

static struct accel_llm *create(uint32_t max_seqs, uint64_t sram, uint64_t hbm)
{
	struct accel_llm_params params = {
		.struct_size = sizeof(params),
		.priority = ACCEL_PRIORITY_NORMAL,
		.max_seqs = max_seqs,
		.sram_bytes = sram,
		.hbm_kv_bytes = hbm,
	};
	struct accel_llm *llm;
	int ret = accel_llm_create(device, program, &params, &llm);

	ck_assert_msg(!ret, "%d: %s", ret, accel_last_error(device));
	return llm;
}

static struct accel_seq *seq_create(struct accel_llm *llm)
{
	struct accel_seq *seq;

	ck_assert_int_eq(accel_seq_create(llm, &seq), 0);
	return seq;
}

static struct accel_llm_stats query(struct accel_llm *llm)
{
	struct accel_llm_stats stats = { .struct_size = sizeof(stats) };

	ck_assert_int_eq(accel_llm_query(llm, &stats), 0);
	ck_assert_int_eq(accel_kv_check(&llm->kv), 0);
	return stats;
}

static void step(struct accel_llm *llm, struct accel_step *steps, uint32_t count)
{
	int ret = accel_llm_step(llm, steps, count);

	ck_assert_msg(!ret, "%d: %s", ret, accel_last_error(device));
}

/* Logits of @count tokens of @text in a sequence of their own: one row at a time. */
static float *reference(const uint32_t *tokens, uint32_t count)
{
	struct accel_llm *llm = create(1, 0, 0);
	struct accel_seq *seq = seq_create(llm);
	float *logits = malloc(count * TINY_VOCAB * sizeof(float));

	for (uint32_t i = 0; i < count; i++) {
		struct accel_step s = {
			.seq = seq, .tokens = tokens + i, .count = 1, .logits = ACCEL_LOGITS_LAST,
		};

		step(llm, &s, 1);
		ck_assert_uint_eq(s.token, ACCEL_TOKEN_NONE);
		memcpy(logits + i * TINY_VOCAB, s.logits_out, TINY_VOCAB * sizeof(float));
	}
	ck_assert_uint_eq(query(llm).submits, count);
	accel_seq_destroy(seq);
	accel_llm_destroy(llm);
	return logits;
}

static void same_row(const float *a, const float *b, const char *what, uint32_t row)
{
	ck_assert_msg(!memcmp(a, b, TINY_VOCAB * sizeof(float)), "%s: row %u differs", what, row);
}

START_TEST(logits_are_numbers_that_depend_on_history)
{
	float *a = reference(text, 8), *b = reference(text + 1, 7);

	for (int i = 0; i < 8 * TINY_VOCAB; i++)
		ck_assert(isfinite(a[i]));
	ck_assert(memcmp(a, a + TINY_VOCAB, TINY_VOCAB * sizeof(float)));
	ck_assert(memcmp(a + TINY_VOCAB, b, TINY_VOCAB * sizeof(float)));
	free(a);
	free(b);
}
END_TEST

/* 60 rows are four jobs of at most 16 rows; with all logits ten, of at most 6. */
START_TEST(whole_prefill_equals_single_steps)
{
	float *want = reference(text, LENGTH);
	struct accel_llm *llm = create(2, 0, 0);
	struct accel_seq *seq = seq_create(llm), *last = seq_create(llm);
	struct accel_step s = {
		.seq = seq, .tokens = text, .count = LENGTH, .logits = ACCEL_LOGITS_ALL,
	};

	step(llm, &s, 1);
	ck_assert_uint_eq(query(llm).submits, 10);
	for (uint32_t i = 0; i < LENGTH; i++)
		same_row(s.logits_out + i * TINY_VOCAB, want + i * TINY_VOCAB, "all", i);
	s = (struct accel_step){
		.seq = last, .tokens = text, .count = LENGTH, .logits = ACCEL_LOGITS_LAST,
	};
	step(llm, &s, 1);
	ck_assert_uint_eq(query(llm).submits, 14);
	ck_assert_uint_eq(query(llm).prefill_tokens, 2 * LENGTH);
	same_row(s.logits_out, want + (LENGTH - 1) * TINY_VOCAB, "last", LENGTH - 1);
	ck_assert_uint_eq(accel_seq_length(last), LENGTH);
	accel_seq_destroy(last);
	accel_seq_destroy(seq);
	accel_llm_destroy(llm);
	free(want);
}
END_TEST

/* Sequences of different lengths, prefill and decode mixed, each against the same text alone. */
START_TEST(ragged_batch_equals_alone)
{
	enum { SEQS = 5 };
	static const uint32_t cuts[SEQS][4] = {
		{ 1, 1, 1, 1 }, { 7, 1, 9, 3 }, { 16, 1, 1, 20 }, { 2, 2, 2, 2 }, { 3, 30, 1, 1 },
	};
	struct accel_llm *llm = create(SEQS, 0, 0);
	struct accel_seq *seqs[SEQS];
	float *want[SEQS];

	for (int i = 0; i < SEQS; i++) {
		seqs[i] = seq_create(llm);
		want[i] = reference(text + i, 40);
	}
	for (int round = 0; round < 4; round++) {
		static const enum accel_logits kinds[] = {
			ACCEL_LOGITS_ALL, ACCEL_LOGITS_LAST, ACCEL_LOGITS_NONE,
		};
		struct accel_step s[SEQS];
		uint32_t before[SEQS];

		for (int i = 0; i < SEQS; i++) {
			before[i] = accel_seq_length(seqs[i]);
			s[i] = (struct accel_step){
				.seq = seqs[i],
				.tokens = text + i + before[i],
				.count = cuts[i][round],
				.logits = kinds[(i + round) % 3],
			};
		}
		step(llm, s, SEQS);
		for (int i = 0; i < SEQS; i++) {
			uint32_t rows = s[i].logits == ACCEL_LOGITS_ALL ? s[i].count : 1;
			uint32_t first = before[i] + s[i].count - rows;

			ck_assert_uint_eq(accel_seq_length(seqs[i]), before[i] + s[i].count);
			ck_assert((s[i].logits_out == NULL) == (s[i].logits == ACCEL_LOGITS_NONE));
			for (uint32_t j = 0; s[i].logits_out && j < rows; j++)
				same_row(s[i].logits_out + j * TINY_VOCAB,
					 want[i] + (first + j) * TINY_VOCAB, "batch", first + j);
		}
	}
	for (int i = 0; i < SEQS; i++) {
		accel_seq_destroy(seqs[i]);
		free(want[i]);
	}
	ck_assert_uint_eq(query(llm).pages_sram_used + query(llm).pages_hbm_used, 0);
	accel_llm_destroy(llm);
}
END_TEST

START_TEST(truncate_and_redo_gives_the_same)
{
	float *want = reference(text, 30);
	struct accel_llm *llm = create(1, 0, 0);
	struct accel_seq *seq = seq_create(llm);

	for (uint32_t keep = 0; keep < 30; keep += 7) {
		struct accel_step wrong = { .seq = seq, .tokens = text + 30, .count = 5 };
		struct accel_step s = { .seq = seq, .logits = ACCEL_LOGITS_ALL };

		ck_assert_int_eq(accel_seq_truncate(seq, accel_seq_length(seq) < keep ?
						    accel_seq_length(seq) : keep), 0);
		step(llm, &wrong, 1);
		ck_assert_int_eq(accel_seq_truncate(seq, accel_seq_length(seq) - 5), 0);
		s.tokens = text + accel_seq_length(seq);
		s.count = 30 - accel_seq_length(seq);
		step(llm, &s, 1);
		for (uint32_t i = 0; i < s.count; i++)
			same_row(s.logits_out + i * TINY_VOCAB,
				 want + (30 - s.count + i) * TINY_VOCAB, "redo", i);
	}
	ck_assert_int_eq(accel_seq_truncate(seq, 31), -EINVAL);
	ck_assert_uint_eq(accel_seq_length(seq), 30);
	accel_seq_destroy(seq);
	accel_llm_destroy(llm);
	free(want);
}
END_TEST

START_TEST(pages_in_sram_or_hbm_give_the_same)
{
	uint64_t page = accel_program_model(program)->page_bytes;
	const uint64_t sram[] = { UINT64_MAX, 0, 3 * 4096 };
	float *want = reference(text, LENGTH);

	for (int i = 0; i < 3; i++) {
		struct accel_llm *llm = create(1, sram[i], 0);
		struct accel_seq *seq = seq_create(llm);
		struct accel_step s = {
			.seq = seq, .tokens = text, .count = LENGTH, .logits = ACCEL_LOGITS_LAST,
		};
		uint32_t pages = LENGTH / TINY_PAGE_TOKENS, in_sram;

		step(llm, &s, 1);
		same_row(s.logits_out, want + (LENGTH - 1) * TINY_VOCAB, "placed", i);
		in_sram = i == 0 ? 0 : i == 1 ? pages : 3 * 4096 / page;
		ck_assert_uint_eq(query(llm).pages_sram_used, in_sram);
		ck_assert_uint_eq(query(llm).pages_hbm_used, pages - in_sram);
		ck_assert((query(llm).kv_pages_sram > 0) == (in_sram > 0));
		ck_assert((query(llm).kv_pages_other > 0) == (in_sram < pages));
		accel_seq_destroy(seq);
		accel_llm_destroy(llm);
	}
	free(want);
}
END_TEST

static uint32_t argmax(const float *x)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < TINY_VOCAB; i++)
		if (x[i] > x[best])
			best = i;
	return best;
}

START_TEST(greedy_takes_the_largest_logit)
{
	struct accel_llm *llm = create(3, 0, 0);
	const struct accel_sampling greedy = { .temperature = 0 };
	struct accel_step s[3];

	/* Sampled and not, with logits and without, in one step. */
	for (int i = 0; i < 3; i++)
		s[i] = (struct accel_step){
			.seq = seq_create(llm), .tokens = text + i, .count = 9 + i,
			.logits = i == 1 ? ACCEL_LOGITS_LAST : ACCEL_LOGITS_ALL,
			.sample = i == 1 ? NULL : &greedy,
		};
	step(llm, s, 3);
	ck_assert_uint_eq(s[0].token, argmax(s[0].logits_out + 8 * TINY_VOCAB));
	ck_assert_uint_eq(s[1].token, ACCEL_TOKEN_NONE);
	ck_assert_uint_eq(s[2].token, argmax(s[2].logits_out + 10 * TINY_VOCAB));
	for (int i = 0; i < 3; i++)
		accel_seq_destroy(s[i].seq);
	accel_llm_destroy(llm);
}
END_TEST

struct generated {
	uint32_t tokens[64];
	uint32_t count;
	uint32_t stop_at;
};

static bool keep(void *user, uint32_t token)
{
	struct generated *g = user;

	g->tokens[g->count++] = token;
	return !g->stop_at || g->count < g->stop_at;
}

static struct generated generate(const struct accel_sampling *sampling, uint32_t prompt)
{
	struct accel_llm *llm = create(1, 0, 0);
	struct accel_seq *seq = seq_create(llm);
	struct generated g = { 0 };
	long n = accel_generate(seq, text, prompt, sampling, 40, keep, &g);

	ck_assert_msg(n == g.count, "%ld: %s", n, accel_last_error(device));
	ck_assert(g.count == 40 || g.tokens[g.count - 1] == TINY_EOS);
	/* The last one is not appended: that is left to the next call. */
	ck_assert_uint_eq(accel_seq_length(seq), prompt + g.count - 1);
	accel_seq_destroy(seq);
	accel_llm_destroy(llm);
	return g;
}

START_TEST(sampling_is_reproducible)
{
	struct accel_sampling s = { .temperature = 1.5f, .top_p = 0.95f, .top_k = 40, .seed = 11 };
	struct generated a = generate(&s, 5), b = generate(&s, 5), c;

	ck_assert_uint_gt(a.count, 3);
	ck_assert_mem_eq(&a, &b, sizeof(a));
	s.seed = 12;
	c = generate(&s, 5);
	ck_assert(memcmp(&a, &c, sizeof(a)));
}
END_TEST

START_TEST(generate_equals_single_steps_and_goes_on)
{
	const struct accel_sampling s = { .temperature = 2, .seed = 5 };
	struct accel_llm *llm = create(2, 0, 0);
	struct accel_seq *by_hand = seq_create(llm), *seq = seq_create(llm);
	struct accel_step st = { .seq = by_hand, .tokens = text, .count = 6, .sample = &s };
	struct generated g = { .stop_at = 4 };
	uint32_t want[8];

	for (int i = 0; i < 8; i++) {
		step(llm, &st, 1);
		want[i] = st.token;
		st.tokens = &want[i];
		st.count = 1;
	}
	/* Stopped by the callback, by max, and gone on with twice. */
	ck_assert_int_eq(accel_generate(seq, text, 6, &s, 8, keep, &g), 4);
	ck_assert_int_eq(accel_generate(seq, NULL, 0, &s, 1, NULL, NULL), 1);
	g.stop_at = 0;
	g.tokens[g.count++] = want[4];
	ck_assert_int_eq(accel_generate(seq, NULL, 0, &s, 3, keep, &g), 3);
	ck_assert_mem_eq(g.tokens, want, sizeof(want));
	ck_assert_uint_eq(accel_seq_length(seq), accel_seq_length(by_hand));
	/* A new prompt comes after the token that was left over. */
	st = (struct accel_step){ .seq = by_hand, .tokens = &want[7], .count = 1 };
	step(llm, &st, 1);
	st = (struct accel_step){ .seq = by_hand, .tokens = text + 9, .count = 3, .sample = &s };
	step(llm, &st, 1);
	g.count = 0;
	ck_assert_int_eq(accel_generate(seq, text + 9, 3, &s, 1, keep, &g), 1);
	ck_assert_uint_eq(g.tokens[0], st.token);
	accel_seq_truncate(seq, 3);
	ck_assert_int_eq(accel_generate(seq, NULL, 0, &s, 1, keep, &g), -EINVAL);
	accel_seq_destroy(by_hand);
	accel_seq_destroy(seq);
	accel_llm_destroy(llm);
}
END_TEST

START_TEST(generation_ends_with_the_context)
{
	const struct accel_sampling s = { .temperature = 3, .seed = 1 };
	struct accel_llm *llm = create(1, 0, 0);
	struct accel_seq *seq = seq_create(llm);
	struct generated g = { 0 };
	long n = accel_generate(seq, text, LENGTH, &s, 1000, keep, &g);

	/* The token after the last position is the last one. */
	ck_assert(n == TINY_CONTEXT - LENGTH + 1 || g.tokens[g.count - 1] == TINY_EOS);
	ck_assert_int_eq(accel_seq_truncate(seq, 2), 0);
	ck_assert_int_eq(accel_generate(seq, text, TINY_CONTEXT - 1, &s, 1, keep, &g), -E2BIG);
	ck_assert_uint_eq(accel_seq_length(seq), 2);
	accel_seq_destroy(seq);
	accel_llm_destroy(llm);
}
END_TEST

START_TEST(full_memory_changes_nothing)
{
	uint64_t page = accel_program_model(program)->page_bytes;
	struct accel_llm *llm = create(3, UINT64_MAX, 10 * page);
	struct accel_step s[2] = {
		{.seq = seq_create(llm), .tokens = text, .count = 21},
		{.seq = seq_create(llm), .tokens = text, .count = 16, .logits = ACCEL_LOGITS_LAST},
	};
	struct accel_llm_stats before;

	step(llm, s, 1);			/* six pages */
	before = query(llm);
	ck_assert_uint_eq(before.pages_hbm_used, 6);
	s[0].count = 4;				/* one more, and four: eleven */
	ck_assert_int_eq(accel_llm_step(llm, s, 2), -ENOSPC);
	ck_assert_ptr_null(s[1].logits_out);
	ck_assert_uint_eq(query(llm).pages_hbm_used, 6);
	ck_assert_uint_eq(query(llm).submits, before.submits);
	ck_assert_uint_eq(accel_seq_length(s[0].seq), 21);
	ck_assert_uint_eq(accel_seq_length(s[1].seq), 0);
	s[0].count = 3;				/* none, and four: ten */
	step(llm, s, 2);
	ck_assert_uint_eq(query(llm).pages_hbm_used, 10);
	s[1].count = 1;
	ck_assert_int_eq(accel_llm_step(llm, s + 1, 1), -ENOSPC);
	accel_seq_destroy(s[0].seq);		/* what it held is free again */
	ck_assert_uint_eq(query(llm).pages_hbm_used, 4);
	step(llm, s + 1, 1);
	ck_assert_uint_eq(accel_seq_length(s[1].seq), 17);
	accel_seq_destroy(s[1].seq);
	accel_llm_destroy(llm);
}
END_TEST

START_TEST(bad_steps_are_refused)
{
	struct accel_llm *llm = create(2, 0, 0), *other = create(1, 0, 0);
	struct accel_seq *seq = seq_create(llm), *foreign = seq_create(other), *extra;
	struct accel_sampling bad[] = {
		{ .temperature = -1 }, { .temperature = NAN }, { .temperature = INFINITY },
		{ .top_p = -0.5f }, { .top_p = 1.5f }, { .top_p = NAN },
	};
	const struct accel_step good = { .seq = seq, .tokens = text, .count = 3 };
	struct accel_step s[2];
	uint32_t big = TINY_VOCAB;

#define REFUSED(change, n, error) do {						\
		s[0] = s[1] = good;						\
		change;								\
		ck_assert_int_eq(accel_llm_step(llm, s, n), error);		\
		ck_assert_uint_eq(accel_seq_length(seq), 0);			\
	} while (0)
	REFUSED((void)0, 2, -EINVAL);		/* the same sequence twice */
	REFUSED(s[0].seq = NULL, 1, -EINVAL);
	REFUSED(s[0].seq = foreign, 1, -EINVAL);
	REFUSED(s[0].count = 0, 1, -EINVAL);
	REFUSED(s[0].tokens = NULL, 1, -EINVAL);
	REFUSED(s[0].logits = 3, 1, -EINVAL);
	REFUSED(s[0].tokens = &big; s[0].count = 1, 1, -EINVAL);
	REFUSED(s[0].count = TINY_CONTEXT + 1, 1, -E2BIG);
	REFUSED(s[0].count = UINT32_MAX, 1, -E2BIG);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		REFUSED(s[0].sample = &bad[i], 1, -EINVAL);
#undef REFUSED
	ck_assert_int_eq(accel_llm_step(llm, NULL, 0), 0);
	s[0] = good;
	step(llm, s, 1);
	extra = seq_create(llm);
	ck_assert_int_eq(accel_seq_create(llm, &(struct accel_seq *){ NULL }), -EMFILE);
	accel_seq_destroy(extra);
	accel_seq_destroy(seq);
	accel_seq_destroy(foreign);
	accel_llm_destroy(other);
	accel_llm_destroy(llm);
}
END_TEST

START_TEST(programs_for_another_chip_are_refused)
{
	struct accel_program *other;
	struct accel_llm *llm;
	size_t bytes;
	void *data = tiny_model("another", &bytes);

	ck_assert_int_eq(accel_program_open_memory(data, bytes, &other), 0);
	ck_assert_int_eq(accel_llm_create(device, other, NULL, &llm), -EINVAL);
	ck_assert_ptr_nonnull(strstr(accel_last_error(device), "another"));
	ck_assert_ptr_nonnull(strstr(accel_last_error(device), "small"));
	accel_program_close(other);
	free(data);
}
END_TEST

/* Token TINY_TABLE is past the embedding's end: the device faults, in the second of two jobs. */
START_TEST(device_errors_leave_sequences_as_they_were)
{
	float *want = reference(text, LENGTH);
	struct accel_llm *llm = create(2, 0, 0);
	struct accel_step s = { .seq = seq_create(llm), .tokens = text, .count = 20 };
	struct accel_step two[2];
	uint32_t bad[20];
	int ret;

	memcpy(bad, text, sizeof(bad));
	bad[18] = TINY_TABLE;
	step(llm, &s, 1);
	for (int round = 0; round < 3; round++) {
		two[0] = (struct accel_step){ .seq = s.seq, .tokens = text + 20, .count = 10,
					      .logits = ACCEL_LOGITS_LAST };
		two[1] = (struct accel_step){ .seq = round ? two[1].seq : seq_create(llm),
					      .tokens = bad, .count = 20 };
		ret = accel_llm_step(llm, two, 2);
		ck_assert_msg(ret == -EFAULT || ret == -EINVAL, "%d", ret);
		ck_assert(*accel_last_error(device));
		ck_assert_ptr_null(two[0].logits_out);
		ck_assert_uint_eq(accel_seq_length(two[0].seq), 20);
		ck_assert_uint_eq(accel_seq_length(two[1].seq), 0);
		ck_assert_uint_eq(query(llm).pages_sram_used + query(llm).pages_hbm_used, 5);
	}
	two[1].tokens = text;
	step(llm, two, 2);
	same_row(two[0].logits_out, want + 29 * TINY_VOCAB, "after the fault", 29);
	accel_seq_destroy(two[0].seq);
	accel_seq_destroy(two[1].seq);
	accel_llm_destroy(llm);
	free(want);
}
END_TEST

/* What a reset has emptied is not computed with: not by the next step, and not by any after it. */
START_TEST(lost_memory_ends_a_model)
{
	struct accel_llm *llm = create(1, 0, 0);
	struct accel_step s = { .seq = seq_create(llm), .tokens = text, .count = 4 };
	uint32_t bad = TINY_TABLE;

	step(llm, &s, 1);
	/* As a reset would: the queue dies, and the device counts. */
	s.tokens = &bad;
	s.count = 1;
	ck_assert_int_ne(accel_llm_step(llm, &s, 1), 0);
	device->info.function_resets++;
	s.tokens = text;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(accel_llm_step(llm, &s, 1), -EIO);
		ck_assert_ptr_nonnull(strstr(accel_last_error(device), "created anew"));
		ck_assert_uint_eq(accel_seq_length(s.seq), 4);
	}
	accel_seq_destroy(s.seq);
	accel_llm_destroy(llm);
	llm = create(1, 0, 0);
	s.seq = seq_create(llm);
	step(llm, &s, 1);
	accel_seq_destroy(s.seq);
	accel_llm_destroy(llm);
}
END_TEST

START_TEST(totals_add_up)
{
	struct accel_llm *llm = create(2, 0, 0);
	const struct accel_sampling greedy = { 0 };
	struct accel_step s[2] = {
		{ .seq = seq_create(llm), .tokens = text, .count = 12 },
		{ .seq = seq_create(llm), .tokens = text, .count = 1, .sample = &greedy },
	};
	struct accel_llm_stats a, b;

	step(llm, s, 2);
	a = query(llm);
	ck_assert_uint_eq(a.prefill_tokens, 12);
	ck_assert_uint_eq(a.decode_tokens, 1);
	ck_assert_uint_eq(a.submits, 1);
	ck_assert_uint_gt(a.prefill_device_ns, a.decode_device_ns);
	ck_assert_uint_gt(a.decode_energy_pj, 0);
	ck_assert_uint_gt(a.hbm_bytes, 0);
	ck_assert_uint_gt(a.host_bytes, 0);
	step(llm, s + 1, 1);
	b = query(llm);
	ck_assert_uint_eq(b.prefill_device_ns, a.prefill_device_ns);
	ck_assert_uint_gt(b.decode_device_ns, a.decode_device_ns);
	ck_assert_uint_gt(b.ops, a.ops);
	ck_assert_uint_eq(b.pages_sram_used, 4);
	accel_seq_destroy(s[0].seq);
	accel_seq_destroy(s[1].seq);
	accel_llm_destroy(llm);
}
END_TEST

START_TEST(what_cannot_be_mapped_is_uploaded)
{
	const uint64_t sizes[] = { 4, 4096, 4 << 20, (9 << 20) + 12, (4 << 20) + 1 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct accel_buffer *buffer;
		uint8_t *data = malloc(sizes[i]);
		uint32_t rng = 77;
		void *map;

		for (uint64_t j = 0; j < sizes[i]; j++) {
			rng = rng * 1664525 + 1013904223;
			data[j] = rng >> 24;
		}
		ck_assert(!accel_buffer_create(device, ACCEL_MEMORY_HBM, sizes[i], 0, &buffer));
		ck_assert_int_eq(llm_upload(buffer, NULL, data, sizes[i]), 0);
		ck_assert_int_eq(accel_buffer_map(buffer, &map), 0);
		ck_assert_mem_eq(map, data, sizes[i]);
		accel_buffer_destroy(buffer);
		free(data);
	}
	ck_assert_uint_eq(device->n_queues + device->n_streams, 0);
}
END_TEST

/* --- The pool alone. --- */

static void pool(struct accel_kv *kv, uint32_t sram, uint32_t hbm)
{
	const struct accel_kv_config config = {
		.page_bytes = 4096, .page_tokens = 8, .seq_pages = 4, .max_pages = 1000,
		.sram_bytes = sram ? sram * 4096ull : UINT64_MAX, .hbm_bytes = hbm * 4096ull,
	};

	ck_assert_int_eq(accel_kv_init(kv, device, &config), 0);
}

START_TEST(pages_come_from_sram_first)
{
	struct accel_kv_seq seq;
	struct accel_kv kv;
	uint64_t table[8];

	pool(&kv, 3, 20);
	ck_assert_int_eq(accel_kv_seq_init(&kv, &seq, 8), 0);
	ck_assert_uint_eq(accel_kv_missing(&kv, &seq, 41), 6);
	ck_assert_int_eq(accel_kv_reserve(&kv, 6), 0);
	accel_kv_extend(&kv, &seq, 41);
	ck_assert_uint_eq(seq.count, 6);
	ck_assert_uint_eq(kv.tier[ACCEL_KV_SRAM].used, 3);
	ck_assert_uint_eq(kv.tier[ACCEL_KV_HBM].used, 3);
	accel_kv_table(&kv, &seq, table);
	for (int i = 0; i < 6; i++)
		for (int j = 0; j < i; j++)
			ck_assert(table[i] - table[j] >= 4096 && table[j] - table[i] >= 4096);
	/* Within a page nothing is missing; at its end one is. */
	ck_assert_uint_eq(accel_kv_missing(&kv, &seq, 48), 0);
	ck_assert_uint_eq(accel_kv_missing(&kv, &seq, 49), 1);
	accel_kv_truncate(&kv, &seq, 17);
	ck_assert_uint_eq(seq.count, 3);
	ck_assert_uint_eq(kv.tier[ACCEL_KV_HBM].used, 0);
	accel_kv_truncate(&kv, &seq, 16);
	ck_assert_uint_eq(kv.tier[ACCEL_KV_SRAM].used, 2);
	ck_assert_int_eq(accel_kv_check(&kv), 0);
	accel_kv_seq_fini(&kv, &seq);
	ck_assert_uint_eq(kv.tier[ACCEL_KV_SRAM].used, 0);
	accel_kv_fini(&kv);
}
END_TEST

START_TEST(hbm_grows_by_doubling_up_to_its_limit)
{
	struct accel_kv_seq seq;
	struct accel_kv kv;

	pool(&kv, 0, 21);
	ck_assert_int_eq(accel_kv_seq_init(&kv, &seq, 100), 0);
	for (uint32_t pages = 1; pages <= 21; pages++) {
		ck_assert_int_eq(accel_kv_reserve(&kv, 1), 0);
		accel_kv_extend(&kv, &seq, pages * 8);
		ck_assert_int_eq(accel_kv_check(&kv), 0);
		ck_assert_uint_eq(kv.count, pages <= 4	  ? 4
					    : pages <= 8  ? 8
					    : pages <= 16 ? 16
							  : 21);
	}
	ck_assert_uint_eq(kv.extents, 4);
	ck_assert_int_eq(accel_kv_reserve(&kv, 1), -ENOSPC);
	ck_assert_uint_eq(kv.count, 21);
	accel_kv_truncate(&kv, &seq, 8);
	ck_assert_int_eq(accel_kv_reserve(&kv, 20), 0);
	ck_assert_int_eq(accel_kv_reserve(&kv, 21), -ENOSPC);
	accel_kv_seq_fini(&kv, &seq);
	accel_kv_fini(&kv);
}
END_TEST

/* Where HBM ends before the pool's limit, all of it is used all the same. */
START_TEST(all_of_a_full_hbm_is_used)
{
	const uint32_t left = 37 * 4096;
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_buffer *rest;
	struct accel_kv kv;
	uint32_t pages;

	accel_device_query(device, &info);
	ck_assert_int_eq(accel_buffer_create(device, ACCEL_MEMORY_HBM, info.hbm_free - left,
					     ACCEL_BUFFER_NO_MAP, &rest), 0);
	accel_device_query(device, &info);
	ck_assert_uint_eq(info.hbm_free, left);
	pool(&kv, 0, 1000);
	for (pages = 1; !accel_kv_reserve(&kv, pages); pages++)
		ck_assert_int_eq(accel_kv_check(&kv), 0);
	ck_assert_uint_eq(kv.count, 37);
	ck_assert_uint_eq(pages, 38);
	accel_kv_fini(&kv);
	accel_buffer_destroy(rest);
}
END_TEST

START_TEST(random_use_of_the_pool_keeps_it_sane)
{
	struct accel_kv_seq seqs[6];
	struct accel_kv kv;
	uint32_t rng = 9;

	pool(&kv, 7, 40);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(accel_kv_seq_init(&kv, &seqs[i], 40), 0);
	for (int round = 0; round < 5000; round++) {
		struct accel_kv_seq *seq;
		uint32_t tokens, had;
		int ret;

		rng = rng * 1664525 + 1013904223;
		seq = &seqs[(rng >> 8) % 6];
		tokens = (rng >> 16) % (40 * 8);
		had = seq->count;
		if (tokens <= had * 8) {
			accel_kv_truncate(&kv, seq, tokens);
		} else {
			ret = accel_kv_reserve(&kv, accel_kv_missing(&kv, seq, tokens));
			ck_assert(!ret || ret == -ENOSPC);
			if (!ret)
				accel_kv_extend(&kv, seq, tokens);
			else
				ck_assert_uint_eq(seq->count, had);
		}
		ck_assert_int_eq(accel_kv_check(&kv), 0);
	}
	for (int i = 0; i < 6; i++)
		accel_kv_seq_fini(&kv, &seqs[i]);
	ck_assert_uint_eq(kv.tier[0].used + kv.tier[1].used, 0);
	accel_kv_fini(&kv);
}
END_TEST

START_TEST(no_page_at_all_is_an_error)
{
	struct accel_llm_params params = {
		.struct_size = sizeof(params), .sram_bytes = UINT64_MAX, .hbm_kv_bytes = 1,
	};
	struct accel_device_info a = { .struct_size = sizeof(a) }, b = { .struct_size = sizeof(b) };
	struct accel_llm *llm;

	accel_device_query(device, &a);
	ck_assert_int_eq(accel_llm_create(device, program, &params, &llm), -ENOSPC);
	accel_device_query(device, &b);
	ck_assert_uint_eq(a.hbm_free, b.hbm_free);
	ck_assert_uint_eq(device->n_queues + device->n_streams, 0);
}
END_TEST

/* What the library itself costs: a decode step that computes nothing. */
START_TEST(steps_do_not_allocate)
{
	struct accel_llm *llm = create(1, 0, 0);
	struct accel_seq *seq = seq_create(llm);
	const struct accel_sampling greedy = { 0 };
	struct accel_step s = { .seq = seq, .tokens = text, .count = 40, .sample = &greedy };
	void *(*alloc)(void *, void *, size_t) = device->alloc;

	step(llm, &s, 1);
	device->alloc = NULL; /* to use it is to crash */
	s.count = 1;
	for (int i = 0; i < 32; i++)
		step(llm, &s, 1);
	device->alloc = alloc;
	ck_assert_uint_eq(query(llm).submits, 35);
	accel_seq_destroy(seq);
	accel_llm_destroy(llm);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("llm");
	TCase *sim = tcase_create("sim"), *null = tcase_create("null");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(sim, setup, teardown);
	tcase_set_timeout(sim, 120);
	tcase_add_test(sim, logits_are_numbers_that_depend_on_history);
	tcase_add_test(sim, whole_prefill_equals_single_steps);
	tcase_add_test(sim, ragged_batch_equals_alone);
	tcase_add_test(sim, truncate_and_redo_gives_the_same);
	tcase_add_test(sim, pages_in_sram_or_hbm_give_the_same);
	tcase_add_test(sim, greedy_takes_the_largest_logit);
	tcase_add_test(sim, sampling_is_reproducible);
	tcase_add_test(sim, generate_equals_single_steps_and_goes_on);
	tcase_add_test(sim, generation_ends_with_the_context);
	tcase_add_test(sim, full_memory_changes_nothing);
	tcase_add_test(sim, bad_steps_are_refused);
	tcase_add_test(sim, programs_for_another_chip_are_refused);
	tcase_add_test(sim, device_errors_leave_sequences_as_they_were);
	tcase_add_test(sim, lost_memory_ends_a_model);
	tcase_add_test(sim, totals_add_up);
	tcase_add_test(sim, what_cannot_be_mapped_is_uploaded);
	tcase_add_checked_fixture(null, setup_null, teardown);
	tcase_add_test(null, full_memory_changes_nothing);
	tcase_add_test(null, bad_steps_are_refused);
	tcase_add_test(null, programs_for_another_chip_are_refused);
	tcase_add_test(null, pages_come_from_sram_first);
	tcase_add_test(null, hbm_grows_by_doubling_up_to_its_limit);
	tcase_add_test(null, all_of_a_full_hbm_is_used);
	tcase_add_test(null, random_use_of_the_pool_keeps_it_sane);
	tcase_add_test(null, no_page_at_all_is_an_error);
	tcase_add_test(null, steps_do_not_allocate);
	suite_add_tcase(suite, sim);
	suite_add_tcase(suite, null);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
