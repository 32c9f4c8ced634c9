// SPDX-License-Identifier: MIT
/*
 * SentencePiece-style tokenizer, as readers of GGUF files with tokenizer.ggml.model = "llama" run
 * it: UTF-8 characters merge into the token with the best score, leftmost first, until no pair is a
 * token; what is no token then is spelled in byte tokens.
 */
#include <errno.h>
#include <string.h>
#include "tokenizer.h"

/* Length of a character by its first byte; a stray continuation byte counts as one. */
static size_t char_bytes(unsigned char first)
{
	static const uint8_t bytes[16] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4 };

	return bytes[first >> 4];
}

/* A key that ascends as the score descends. */
static uint32_t score_key(float score)
{
	uint32_t bits;

	score += 0.0f; /* -0 equals +0 */
	memcpy(&bits, &score, sizeof(bits));
	return bits >> 31 ? bits : 0x7fffffffu - bits;
}

static bool spm_pair(const struct accel_tokenizer *t, const char *text, const struct tok_symbol *a,
		     const struct tok_symbol *b, struct tok_pair *pair)
{
	(void)b; /* follows a */
	pair->token = tok_find(t, text + a->at, pair->bytes);
	if (pair->token == ACCEL_TOKEN_NONE)
		return false;
	pair->key = score_key(t->scores[pair->token]);
	return true;
}

/*
 * The text as it is merged: with a space in front if wanted, and U+2581 and the space made one.
 * Returns its length.
 */
static size_t normalize(char *dst, const char *text, size_t bytes, bool space)
{
	char *p = dst;

	if (space)
		*p++ = ' ';
	for (size_t i = 0; i < bytes; i++) {
		if (bytes - i >= 3 && !memcmp(text + i, "\xe2\x96\x81", 3)) {
			*p++ = ' ';
			i += 2;
		} else {
			*p++ = text[i];
		}
	}
	return p - dst;
}

static void put_bytes(const struct accel_tokenizer *t, const char *text, size_t bytes,
		      struct tok_out *out)
{
	for (size_t i = 0; i < bytes; i++) {
		uint32_t token = t->byte_token[(unsigned char)text[i]];

		if (token == ACCEL_TOKEN_NONE)
			token = t->unknown;
		if (token != ACCEL_TOKEN_NONE)
			tok_put(out, token);
	}
}

int tok_spm_encode(struct accel_tokenizer *t, const char *text, size_t bytes, bool space,
		   struct tok_out *out)
{
	struct tok_merger *m = &t->merger;
	int ret = tok_merger_reserve_text(m, bytes + 1);
	size_t n;

	if (ret)
		return ret;
	n = normalize(m->text, text, bytes, space);
	ret = tok_merger_reserve(m, n);
	if (ret)
		return ret;
	tok_merger_start(m);
	for (size_t at = 0, len; at < n; at += len) {
		len = char_bytes(m->text[at]);
		if (len > n - at)
			len = n - at;
		tok_merger_add(m, at, len, ACCEL_TOKEN_NONE);
	}
	tok_merger_run(m, t, m->text, spm_pair);
	for (int32_t i = n ? 0 : -1; i >= 0; i = m->symbols[i].next) {
		const struct tok_symbol *s = &m->symbols[i];
		uint32_t token = s->token;

		if (token == ACCEL_TOKEN_NONE)
			token = tok_find(t, m->text + s->at, s->bytes);
		if (token != ACCEL_TOKEN_NONE)
			tok_put(out, token);
		else
			put_bytes(t, m->text + s->at, s->bytes, out);
	}
	return 0;
}
