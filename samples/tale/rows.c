// SPDX-License-Identifier: MIT
/* Packing and the training mix: about half stories, half arithmetic, counted in tokens. */
#include "rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STORY_ROWS_IN_TEN = 8,
	WORD_DOCS_IN_TEN = 4,
	SHORTEST = 14,
	VOCABULARY_STORIES = 8000
};

int rows_new(struct rows *r, int n, int len)
{
	size_t m = (size_t)n * (size_t)len;

	*r = (struct rows){.n = n, .len = len};
	r->token = calloc(m, sizeof(int));
	r->start = calloc(m, sizeof(int));
	r->target = calloc(m, sizeof(int));
	r->used = calloc((size_t)n, sizeof(int));
	if (r->token && r->start && r->target && r->used) {
		rows_clear(r);
		return 0;
	}
	rows_free(r);
	return -ENOMEM;
}

void rows_free(struct rows *r)
{
	free(r->token);
	free(r->start);
	free(r->target);
	free(r->used);
	*r = (struct rows){0};
}

void rows_clear(struct rows *r)
{
	for (int i = 0; i < r->n * r->len; i++) {
		r->token[i] = SPM_EOS;
		r->start[i] = i % r->len;
		r->target[i] = -1;
	}
	memset(r->used, 0, (size_t)r->n * sizeof(int));
}

struct net_batch rows_batch(const struct rows *r, int first, int n)
{
	int at = first * r->len;

	return (struct net_batch){n, r->len, r->token + at, r->start + at, r->target + at};
}

int rows_add(struct rows *r, int row, const int *id, int n)
{
	int first = r->used[row], at = row * r->len + first;

	if (first + n + 1 > r->len)
		return -1;
	for (int i = 0; i <= n; i++) {
		r->token[at + i] = i ? id[i - 1] : SPM_BOS;
		r->start[at + i] = first;
		r->target[at + i] = i < n ? id[i] : SPM_EOS;
	}
	r->used[row] += n + 1;
	return first;
}

static size_t append_problem(const struct problem *p, char *text, size_t at)
{
	return at +
	       (size_t)sprintf(text + at, "%s%s%s%s", at ? " " : "", p->prompt, p->answer, p->tail);
}

/* Equations in a line, or one or two word problems; a third of the documents has one problem. */
static void arithmetic_text(struct rng *r, char text[CORPUS_TEXT_MAX])
{
	bool words = rng_below(r, 10) < WORD_DOCS_IN_TEN;
	int n = rng_below(r, 3) == 0 ? 1 : 1 + (int)rng_below(r, words ? 2 : 8);
	struct problem p;
	size_t at = 0;

	for (int i = 0; i < n; i++) {
		if (words)
			corpus_word_problem(r, SPLIT_TRAIN, &p);
		else
			corpus_equation(r, SPLIT_TRAIN, 0, &p);
		at = append_problem(&p, text, at);
	}
}

void rows_fill(struct rows *r, int row, const struct spm *spm, struct rng *rng)
{
	char text[CORPUS_TEXT_MAX];
	int id[1024];

	r->used[row] = 0;
	if (rng_below(rng, 10) < STORY_ROWS_IN_TEN) {
		corpus_story(rng, SPLIT_TRAIN, text);
		rows_add(r, row, id, spm_encode(spm, text, id, 1024));
	}
	while (r->len - r->used[row] > SHORTEST) {
		int n;

		arithmetic_text(rng, text);
		n = spm_encode(spm, text, id, 1024);
		if (rows_add(r, row, id, n) < 0 && r->len - r->used[row] < 3 * SHORTEST)
			break;
	}
	for (int i = r->used[row]; i < r->len; i++) {
		r->token[row * r->len + i] = SPM_EOS;
		r->start[row * r->len + i] = i;
		r->target[row * r->len + i] = -1;
	}
}

char *rows_vocabulary_text(uint64_t seed, size_t *n)
{
	char *text = malloc((size_t)VOCABULARY_STORIES * CORPUS_TEXT_MAX), one[CORPUS_TEXT_MAX];
	size_t at = 0;

	for (uint64_t i = 0; text && i < VOCABULARY_STORIES; i++) {
		struct rng r = rng_from(seed, 1, i);

		at += corpus_story(&r, SPLIT_TRAIN, text + at);
		text[at++] = '\n';
		if (i % 4 == 0) {
			arithmetic_text(&r, one);
			at += (size_t)sprintf(text + at, "%s\n", one);
		}
	}
	*n = at;
	return text;
}
