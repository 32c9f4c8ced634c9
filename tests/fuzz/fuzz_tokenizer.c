// SPDX-License-Identifier: MIT
/*
 * Tokenizer sections and texts that nobody vouches for. First byte: bit 0 says whether a section
 * follows as it is, or a recipe for one that is well formed; then its length, two bytes; the
 * section or recipe; and the text. Checks that counts agree and tokens exist, besides what
 * sanitizers see.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
	if (!what)
		abort();
}

static void check_text(struct accel_tokenizer *t, const char *text, size_t bytes, uint32_t flags)
{
	long count = accel_tokenize(t, text, bytes, flags, NULL, 0), n, half;
	uint32_t *tokens;
	char *out;

	require(count >= 0 && (size_t)count <= bytes * 2 + 3);
	tokens = malloc((count + 1) * sizeof(*tokens));
	require(tokens);
	require(accel_tokenize(t, text, bytes, flags, tokens, count) == count);
	for (long i = 0; i < count; i++)
		require(tokens[i] < accel_tokenizer_size(t));
	n = accel_detokenize(t, tokens, count, ACCEL_DETOKENIZE_CONTROL, NULL, 0);
	require(n >= 0);
	out = malloc(n + 1);
	require(out);
	require(accel_detokenize(t, tokens, count, ACCEL_DETOKENIZE_CONTROL, out, n) == n);
	half = accel_detokenize(t, tokens, count / 2, ACCEL_DETOKENIZE_CONTROL, out, n / 2);
	require(half >= 0 && half <= n);
	free(out);
	free(tokens);
}

static void check_section(const void *section, size_t section_bytes, const char *text, size_t bytes)
{
	struct accel_tokenizer *t;

	if (accel_tokenizer_parse(section, section_bytes, &t))
		return;
	check_text(t, text, bytes, 0);
	check_text(t, text, bytes, ACCEL_TOKENIZE_SPECIAL);
	check_text(t, text, bytes, ACCEL_TOKENIZE_NO_BOS | ACCEL_TOKENIZE_SPECIAL);
	/* Once more: scratch is used again. */
	check_text(t, text, bytes / 2, 0);
	accel_tokenizer_destroy(t);
}

/*
 * A well-formed section: one byte chooses model and pre-tokenizer; then tokens, each a byte of
 * length and type, a byte of score, and text. Each pair of one-byte tokens that another continues
 * merges: enough to reach all of the merger.
 */
static size_t cook(const uint8_t *p, size_t size, uint8_t *out, size_t max)
{
	static const char *const pres[] = {
		"gpt-2",  "llama-bpe", "qwen2",	    "tekken", "gpt-4o",	    "deepseek-v3",
		"falcon", "default",   "starcoder", "viking", "bailingmoe", "seed-coder",
		"dbrx",	  "bloom",     "",	    "none",
	};
	struct nib_program_tokenizer h = { 0 };
	struct { const uint8_t *text; uint8_t bytes, type; int8_t score; } tokens[128];
	struct nib_program_merge merges[256];
	size_t at = sizeof(h);
	uint32_t n = 0, ends[128], end = 0;

	if (!size)
		return 0;
	h.model = p[0] & 1 ? NIB_TOKENIZER_BPE : NIB_TOKENIZER_SPM;
	h.flags = p[0] >> 1 & 7;
	snprintf(h.pre, sizeof(h.pre), "%s", h.model == NIB_TOKENIZER_BPE ? pres[p[0] >> 4] : "");
	for (p++, size--; size > 2 && n < 128; n++) {
		tokens[n].bytes = p[0] & 15;
		tokens[n].type = p[0] >> 4;
		tokens[n].score = (int8_t)p[1];
		p += 2;
		size -= 2;
		if (tokens[n].bytes > size)
			tokens[n].bytes = size;
		tokens[n].text = p;
		p += tokens[n].bytes;
		size -= tokens[n].bytes;
		ends[n] = end += tokens[n].bytes;
	}
	for (uint32_t i = 0; i + 2 < n && h.model == NIB_TOKENIZER_BPE && h.merges < 256; i++)
		merges[h.merges++] = (struct nib_program_merge){ i, (i * 7 + n) % n, i + 2, 0 };
	h.tokens = n;
	h.text_bytes = end;
	h.bos = n ? 0 : NIB_TOKEN_NONE;
	h.eos = n > 1 ? 1 : NIB_TOKEN_NONE;
	h.unknown = n > 2 ? 2 : NIB_TOKEN_NONE;
	if (at + n * 9 + 24 + h.merges * 16 + end > max)
		return 0;
	memset(out, 0, at + n * 9 + 24);
	memcpy(out, &h, sizeof(h));
	for (uint32_t i = 0; i < n; i++) {
		float score = tokens[i].score;

		memcpy(out + at + i * 4, &score, 4);
	}
	at += (n * 4 + 7) / 8 * 8;
	for (uint32_t i = 0; i < n; i++)
		out[at + i] = tokens[i].type;
	at += (n + 7) / 8 * 8;
	memcpy(out + at, ends, n * 4);
	at += (n * 4 + 7) / 8 * 8;
	memcpy(out + at, merges, h.merges * 16);
	at += h.merges * 16;
	for (uint32_t i = 0; i < n; i++) {
		memcpy(out + at, tokens[i].text, tokens[i].bytes);
		at += tokens[i].bytes;
	}
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(8) uint8_t cooked[16384];
	size_t bytes;
	void *copy;

	if (size < 3)
		return 0;
	bytes = data[1] | data[2] << 8;
	if (bytes > size - 3)
		bytes = size - 3;
	if (data[0] & 1) {
		/* A copy of exactly that size, so that reading past its end is seen. */
		copy = malloc(bytes ? bytes : 1);
		require(copy);
		memcpy(copy, data + 3, bytes);
		check_section(copy, bytes, (const char *)data + 3 + bytes, size - 3 - bytes);
		free(copy);
	} else {
		check_section(cooked, cook(data + 3, bytes, cooked, sizeof(cooked)),
			      (const char *)data + 3 + bytes, size - 3 - bytes);
	}
	return 0;
}
