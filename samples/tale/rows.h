/* SPDX-License-Identifier: MIT */
/*
 * Documents as token ids and their packing into rows for the network. A document is BOS, its
 * tokens, EOS; EOS is only ever a target, so documents lie next to each other without a gap.
 */
#ifndef TALE_ROWS_H
#define TALE_ROWS_H

#include "corpus.h"
#include "net.h"
#include "spm.h"

struct rows {
	int n, len;
	int *token, *start, *target, *used; /* used: filled tokens of each row */
};

int rows_new(struct rows *r, int n, int len); /* 0 or -ENOMEM */
void rows_free(struct rows *r);
void rows_clear(struct rows *r);
struct net_batch rows_batch(const struct rows *r, int first, int n);

/* Puts a document into a row. Returns the index in the row of its BOS, or -1 if it does not fit. */
int rows_add(struct rows *r, int row, const int *id, int n);

/* The mix that the model is trained on, one row of it. */
void rows_fill(struct rows *r, int row, const struct spm *spm, struct rng *rng);

/* Text in the proportions that the vocabulary is learned from. The caller frees it. */
char *rows_vocabulary_text(uint64_t seed, size_t *n);

#endif
