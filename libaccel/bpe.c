// SPDX-License-Identifier: MIT
/*
 * Byte-level BPE: text is cut into words by the pre-tokenizer, each word starts as its bytes, and
 * neighbours merge by rank. Vocabularies spell bytes in 256 printable letters; here tokens are kept
 * as plain bytes, so that the letters matter only when a vocabulary is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tokenizer.h"

/*
 * The byte that a letter stands for, or -1. Bytes that print (! to ~, U+A1 to U+AC, U+AE to U+FF)
 * stand for themselves; the others follow from U+0100 in order: GPT-2's bytes_to_unicode().
 */
static int letter_byte(uint32_t letter)
{
	if ((letter >= 0x21 && letter <= 0x7e) ||
	    (letter >= 0xa1 && letter <= 0xff && letter != 0xad))
		return (int)letter;
	if (letter >= 0x100 && letter <= 0x120)
		return (int)letter - 0x100;
	if (letter >= 0x121 && letter <= 0x142)
		return (int)letter - 0x121 + 0x7f;
	return letter == 0x143 ? 0xad : -1;
}

size_t tok_bpe_decode(char *text, size_t bytes)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = 0, i, len;

	/* A token that has anything but letters is no byte-level text: it stays as it is. */
	for (int pass = 0; pass < 2; pass++) {
		for (i = 0, n = 0; i < bytes; i += len) {
			uint32_t letter = p[i];
			int byte;

			len = 1;
			if (letter >= 0xc0 && letter < 0xe0 && bytes - i >= 2 &&
			    p[i + 1] >> 6 == 2) {
				letter = (letter & 0x1f) << 6 | (p[i + 1] & 0x3f);
				len = 2;
			} else if (letter >= 0x80) {
				return bytes;
			}
			byte = letter_byte(letter);
			if (byte < 0)
				return bytes;
			if (pass)
				text[n] = (char)byte;
			n++;
		}
	}
	return n;
}

static uint32_t pair_hash(uint32_t left, uint32_t right)
{
	uint64_t h = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15ull;

	return (uint32_t)(h >> 32);
}

int tok_bpe_init(struct accel_tokenizer *t, uint32_t n, const char *pre)
{
	uint32_t slots = 16;

	while (slots < n * 2)
		slots *= 2;
	t->merge_slots = malloc(slots * sizeof(*t->merge_slots));
	if (!t->merge_slots)
		return -ENOMEM;
	memset(t->merge_slots, 0xff, slots * sizeof(*t->merge_slots));
	t->merge_mask = slots - 1;
	for (uint32_t i = 0; i < n; i++) {
		const struct nib_program_merge *m = &t->merges[i];
		uint32_t s = pair_hash(m->left, m->right) & t->merge_mask;

		for (; t->merge_slots[s] != ACCEL_TOKEN_NONE; s = (s + 1) & t->merge_mask) {
			const struct nib_program_merge *o = &t->merges[t->merge_slots[s]];

			if (o->left == m->left && o->right == m->right)
				break; /* the first one counts */
		}
		if (t->merge_slots[s] == ACCEL_TOKEN_NONE)
			t->merge_slots[s] = i;
	}
	return tok_pretok_create(pre, &t->pretok, &t->ignore_merges);
}

static bool bpe_pair(const struct accel_tokenizer *t, const char *text, const struct tok_symbol *a,
		     const struct tok_symbol *b, struct tok_pair *pair)
{
	uint32_t s = pair_hash(a->token, b->token) & t->merge_mask;

	(void)text;
	for (; t->merge_slots[s] != ACCEL_TOKEN_NONE; s = (s + 1) & t->merge_mask) {
		const struct nib_program_merge *m = &t->merges[t->merge_slots[s]];

		if (m->left == a->token && m->right == b->token) {
			pair->key = t->merge_slots[s];
			pair->token = m->merged;
			return true;
		}
	}
	return false;
}

struct bpe_encode {
	struct accel_tokenizer *t;
	struct tok_out *out;
};

static int bpe_word(void *user, const char *text, size_t bytes)
{
	struct bpe_encode *e = user;
	struct accel_tokenizer *t = e->t;
	struct tok_merger *m = &t->merger;
	uint32_t token = t->ignore_merges ? tok_find(t, text, bytes) : ACCEL_TOKEN_NONE;
	int ret;

	if (token != ACCEL_TOKEN_NONE) {
		tok_put(e->out, token);
		return 0;
	}
	ret = tok_merger_reserve(m, bytes);
	if (ret)
		return ret;
	tok_merger_start(m);
	for (size_t i = 0; i < bytes; i++)
		tok_merger_add(m, i, 1, t->byte_token[(unsigned char)text[i]]);
	tok_merger_run(m, t, text, bpe_pair);
	for (int32_t i = 0; i >= 0; i = m->symbols[i].next) {
		token = m->symbols[i].token;
		if (token == ACCEL_TOKEN_NONE)
			token = t->unknown;
		if (token != ACCEL_TOKEN_NONE)
			tok_put(e->out, token);
	}
	return 0;
}

int tok_bpe_encode(struct accel_tokenizer *t, const char *text, size_t bytes, struct tok_out *out)
{
	struct bpe_encode e = { .t = t, .out = out };

	return tok_pretok_split(t->pretok, text, bytes, bpe_word, &e);
}
