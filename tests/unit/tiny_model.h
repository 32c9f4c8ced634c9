/* SPDX-License-Identifier: MIT */
/*
 * A language model small enough to write by hand, as a program in memory: one layer of attention
 * whose queries, keys and values are the token's embedding itself, and an output head. It needs no
 * compiler, and its logits depend on every token before: all that tests of the runtime ask.
 */
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#include <stddef.h>
#include <stdint.h>

enum {
	TINY_VOCAB = 96,
	TINY_TABLE = 90,	/* tokens from here on have no embedding: they fault */
	TINY_EOS = 2,
	TINY_ROWS = 16,
	TINY_OUT_ROWS = 6,
	TINY_PAGE_TOKENS = 4,
	TINY_CONTEXT = 72,
};

/* Program file contents: free() them. NULL when out of memory. */
void *tiny_model(const char *chip, size_t *bytes);

#endif
