/* SPDX-License-Identifier: MIT */
/*
 * The text that the tale model learns from: seeded stories and arithmetic, and the rule that keeps
 * some of both out of training. Not the tokenizer, not the packing of rows.
 */
#ifndef TALE_CORPUS_H
#define TALE_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CORPUS_TEXT_MAX = 4096,
	CORPUS_NUMBER_MAX = 99,
	CORPUS_TABLE_MAX = 10
};

/* splitmix64: one word of state, so any (seed, step, row) can be turned into a stream. */
struct rng {
	uint64_t state;
};

struct rng rng_from(uint64_t seed, uint64_t stream, uint64_t index);
uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* uniform in [0, n), n > 0 */
float rng_unit(struct rng *r);		       /* uniform in [0, 1) */
float rng_normal(struct rng *r);	       /* mean 0, variance 1 */

enum split {
	SPLIT_TRAIN,
	SPLIT_HELDOUT
};

/*
 * A problem is prompt + answer + tail, for instance "12 + 7 =" " 19" "." . Only the answer is
 * scored. The operands are kept for the split and for reports.
 */
struct problem {
	int a, b, result;
	char op;
	char prompt[256];
	char answer[16];
	char tail[128];
};

/*
 * True when (a, op, b) never appears in training, whether as an equation or in a word problem.
 * Sums are held out with both orders of the operands. The times table is never held out: it is
 * learned by heart, and no score on it is called generalisation.
 */
bool corpus_pair_heldout(int a, char op, int b);

/* Texts of a story are split by a hash of the whole text, so the two sides share no story. */
size_t corpus_story(struct rng *r, enum split split, char out[CORPUS_TEXT_MAX]);

/* "a op b = c." with op one of + - *; op 0 lets the generator choose ('*' in training only). */
void corpus_equation(struct rng *r, enum split split, char op, struct problem *p);
void corpus_equation_of(int a, char op, int b, struct problem *p);
void corpus_word_problem(struct rng *r, enum split split, struct problem *p);

/* The unfiltered grammar behind corpus_story() and the names that word problems use (story.c). */
size_t story_write(struct rng *r, char out[CORPUS_TEXT_MAX]);
size_t story_expand(struct rng *r, const char *pattern, const char *const *vars,
		    char out[CORPUS_TEXT_MAX]);
void story_two_names(struct rng *r, const char *name[2], bool female[2]);

#endif
