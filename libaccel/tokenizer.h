/* SPDX-License-Identifier: MIT */
/*
 * Tokenizer, private to its files: tokenizer.c (section, special tokens, public functions), merge.c
 * (greedy merging, which both models share), spm.c, bpe.c (what merges, and what is left over) and
 * pretokenize.c (cutting text into words before BPE).
 */
#ifndef LIBACCEL_TOKENIZER_H
#define LIBACCEL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "accel_llm.h"
#include "nib_program.h"

#define TOK_STOPS	8u	/* tokens that end a text: EOS and the ends of turns */

struct tok_pretok;

/* A stretch of the text that is being merged. */
struct tok_symbol {
	int32_t prev;		/* -1 at the ends */
	int32_t next;
	uint32_t at;		/* offset in the text */
	uint32_t bytes;		/* 0 once it has been merged into the one before */
	uint32_t token;		/* ACCEL_TOKEN_NONE if no token has this text (BPE) */
};

/* A pair of neighbours that would make a token. */
struct tok_pair {
	uint32_t key;		/* least goes first; then the leftmost */
	int32_t left;
	int32_t right;
	uint32_t bytes;		/* of both when they were found: tells stale pairs */
	uint32_t token;
};

/* Scratch of the merger; grows to the longest text seen. */
struct tok_merger {
	struct tok_symbol *symbols;
	struct tok_pair *heap;
	char *text;
	size_t max_symbols;
	size_t max_heap;
	size_t max_text;
	size_t n_symbols;
	size_t n_heap;
};

/* Where tokens go: counts past the end of the caller's array. */
struct tok_out {
	uint32_t *tokens;
	size_t max;
	size_t count;
};

/**
 * struct accel_tokenizer - all of it is copied: it outlives the program it came from.
 * @stops: EOS and the tokens that end a turn.
 * @text: texts of the tokens as they are printed: spaces as spaces, bytes as bytes.
 * @ends: end of each token's text in @text.
 * @byte_token: token of a byte, or ACCEL_TOKEN_NONE.
 * @slots: hash of token texts, for those that text may turn into; open addressing.
 * @max_bytes: longest text in @slots.
 * @special: control, unknown and user-defined tokens by first byte, longest first.
 * @special_first: start of each byte's part of @special.
 * @merges: BPE: merges in rank order.
 * @merge_slots: BPE: hash of pairs to @merges.
 */
struct accel_tokenizer {
	uint32_t model;
	uint32_t flags;
	uint32_t count;
	uint32_t bos;
	uint32_t eos;
	uint32_t unknown;
	uint32_t n_stops;
	uint32_t stops[TOK_STOPS];
	char *text;
	uint32_t *ends;
	uint8_t *types;
	float *scores;
	uint32_t byte_token[256];
	uint32_t *slots;
	uint32_t slot_mask;
	uint32_t max_bytes;
	uint32_t *special;
	uint32_t special_first[257];
	struct nib_program_merge *merges;
	uint32_t *merge_slots;
	uint32_t merge_mask;
	bool ignore_merges;	/* BPE: a word that is a token is that token */
	struct tok_pretok *pretok;
	struct tok_merger merger;
};

/* tokenizer.c */

/* accel_tokenizer_create() for a section without a program. */
int accel_tokenizer_parse(const void *section, size_t bytes, struct accel_tokenizer **tokenizer);
uint32_t tok_find(const struct accel_tokenizer *t, const char *text, size_t bytes);

static inline const char *tok_text(const struct accel_tokenizer *t, uint32_t token, size_t *bytes)
{
	uint32_t start = token ? t->ends[token - 1] : 0;

	*bytes = t->ends[token] - start;
	return t->text + start;
}

static inline void tok_put(struct tok_out *out, uint32_t token)
{
	if (out->count < out->max)
		out->tokens[out->count] = token;
	out->count++;
}

/* merge.c */

/*
 * Whether symbols @a and @b may merge: sets pair->key and pair->token. @text is what both lie in.
 */
typedef bool (*tok_pair_fn)(const struct accel_tokenizer *t, const char *text,
			    const struct tok_symbol *a, const struct tok_symbol *b,
			    struct tok_pair *pair);

/* Room for @symbols symbols and all their pairs. Returns 0 or -ENOMEM. */
int tok_merger_reserve(struct tok_merger *m, size_t symbols);
int tok_merger_reserve_text(struct tok_merger *m, size_t bytes);
void tok_merger_free(struct tok_merger *m);
static inline void tok_merger_start(struct tok_merger *m)
{
	m->n_symbols = 0;
	m->n_heap = 0;
}
void tok_merger_add(struct tok_merger *m, uint32_t at, uint32_t bytes, uint32_t token);
/* Merge until nothing merges; what is left is the chain from symbol 0. */
void tok_merger_run(struct tok_merger *m, const struct accel_tokenizer *t, const char *text,
		    tok_pair_fn pair);

/* spm.c, bpe.c: tokens of a text without special tokens. Return 0 or -errno. */
int tok_spm_encode(struct accel_tokenizer *t, const char *text, size_t bytes, bool space,
		   struct tok_out *out);
int tok_bpe_init(struct accel_tokenizer *t, uint32_t merges, const char *pre);
int tok_bpe_encode(struct accel_tokenizer *t, const char *text, size_t bytes, struct tok_out *out);
/* Text of a byte-level BPE token: letters to bytes, in place. Returns its length. */
size_t tok_bpe_decode(char *text, size_t bytes);

/* pretokenize.c */
int tok_pretok_create(const char *name, struct tok_pretok **pretok, bool *ignore_merges);
void tok_pretok_destroy(struct tok_pretok *pretok);
/* Calls @word for each piece of @text, in order; they cover all of it. Stops at its first error. */
int tok_pretok_split(struct tok_pretok *pretok, const char *text, size_t bytes,
		     int (*word)(void *user, const char *text, size_t bytes), void *user);

#endif
