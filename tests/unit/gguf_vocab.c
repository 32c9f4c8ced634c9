// SPDX-License-Identifier: MIT
/* Vocabulary of a GGUF file to tokenizer section; see gguf_vocab.h. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gguf_vocab.h"
#include "nib_program.h"

enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 };
static const uint8_t size_of[13] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

struct text {
	const char *p;
	size_t n;
};

struct array {
	const uint8_t *p;
	uint64_t count;
};

struct vocab {
	struct text model, pre;
	struct array tokens, scores, types, merges;
	uint32_t bos, eos, unknown;
	int add_bos, add_eos, add_space;
};

static uint64_t number(const uint8_t *p, unsigned int bytes)
{
	uint64_t value = 0;

	memcpy(&value, p, bytes);
	return value;
}

static struct text string_at(const uint8_t *p)
{
	return (struct text){ (const char *)p + 8, number(p, 8) };
}

static const uint8_t *skip(const uint8_t *p, uint32_t type)
{
	uint64_t n;

	if (type == STRING)
		return p + 8 + number(p, 8);
	if (type != ARRAY)
		return p + size_of[type];
	type = number(p, 4);
	n = number(p + 4, 8);
	p += 12;
	if (type != STRING)
		return p + n * size_of[type];
	while (n--)
		p = skip(p, STRING);
	return p;
}

static bool is(struct text key, const char *name)
{
	return key.n == strlen(name) && !memcmp(key.p, name, key.n);
}

static void take_key(struct vocab *v, struct text key, uint32_t type, const uint8_t *p)
{
	struct array a = { p + 12, type == ARRAY ? number(p + 4, 8) : 0 };
	uint64_t n = type < STRING ? number(p, size_of[type]) : 0;

	if (is(key, "tokenizer.ggml.model"))
		v->model = string_at(p);
	else if (is(key, "tokenizer.ggml.pre"))
		v->pre = string_at(p);
	else if (is(key, "tokenizer.ggml.tokens"))
		v->tokens = a;
	else if (is(key, "tokenizer.ggml.scores"))
		v->scores = a;
	else if (is(key, "tokenizer.ggml.token_type"))
		v->types = a;
	else if (is(key, "tokenizer.ggml.merges"))
		v->merges = a;
	else if (is(key, "tokenizer.ggml.bos_token_id"))
		v->bos = n;
	else if (is(key, "tokenizer.ggml.eos_token_id"))
		v->eos = n;
	else if (is(key, "tokenizer.ggml.unknown_token_id"))
		v->unknown = n;
	else if (is(key, "tokenizer.ggml.add_bos_token"))
		v->add_bos = n;
	else if (is(key, "tokenizer.ggml.add_eos_token"))
		v->add_eos = n;
	else if (is(key, "tokenizer.ggml.add_space_prefix"))
		v->add_space = n;
}

/* Token with the text @text + @n. Slow and simple: a sorted index would be a second tokenizer. */
struct index {
	struct text *texts;
	uint32_t *slots;
	uint32_t mask;
};

static uint32_t *slot(struct index *x, const char *p, size_t n)
{
	uint32_t s = (uint32_t)nib_hash(p, n) & x->mask;

	while (x->slots[s] && (x->texts[x->slots[s] - 1].n != n ||
			       memcmp(x->texts[x->slots[s] - 1].p, p, n)))
		s = (s + 1) & x->mask;
	return &x->slots[s];
}

static void put_merges(const struct vocab *v, struct index *x, struct nib_program_merge *out)
{
	const uint8_t *p = v->merges.p;
	char joined[1024];

	for (uint64_t i = 0; i < v->merges.count; i++, p = skip(p, STRING)) {
		struct text m = string_at(p);
		const char *space = memchr(m.p + 1, ' ', m.n - 1);
		size_t left = space - m.p, right = m.n - left - 1;

		memcpy(joined, m.p, left);
		memcpy(joined + left, space + 1, right);
		out[i].left = *slot(x, m.p, left) - 1;
		out[i].right = *slot(x, space + 1, right) - 1;
		out[i].merged = *slot(x, joined, left + right) - 1;
	}
}

static size_t pad(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static void *build(const struct vocab *v, bool spm, size_t *bytes)
{
	uint32_t n = v->tokens.count, blob = 0, mask = 15;
	size_t types = sizeof(struct nib_program_tokenizer) + pad(n * 4), ends = types + pad(n);
	size_t merges = ends + pad(n * 4), text = merges + v->merges.count * 16;
	struct index x = { .texts = calloc(n, sizeof(struct text)) };
	const uint8_t *p = v->tokens.p;
	struct nib_program_tokenizer *h;
	uint8_t *out;

	for (uint32_t i = 0; i < n; i++, p = skip(p, STRING)) {
		x.texts[i] = string_at(p);
		blob += x.texts[i].n;
	}
	while (mask < n * 2)
		mask = mask * 2 + 1;
	x.mask = mask;
	x.slots = calloc(mask + 1, sizeof(uint32_t));
	*bytes = text + pad(blob);
	out = calloc(1, *bytes);
	h = (void *)out;
	h->model = spm ? NIB_TOKENIZER_SPM : NIB_TOKENIZER_BPE;
	h->flags = (v->add_bos > 0 || (v->add_bos < 0 && spm) ? NIB_TOKENIZER_ADD_BOS : 0) |
		   (v->add_eos > 0 ? NIB_TOKENIZER_ADD_EOS : 0) |
		   (v->add_space > 0 || (v->add_space < 0 && spm) ?
		    NIB_TOKENIZER_ADD_SPACE_PREFIX : 0);
	h->tokens = n;
	h->merges = v->merges.count;
	h->bos = v->bos;
	h->eos = v->eos;
	h->unknown = v->unknown;
	if (!spm)
		snprintf(h->pre, sizeof(h->pre), "%.*s", (int)v->pre.n, v->pre.p);
	if (v->scores.p)
		memcpy(out + sizeof(*h), v->scores.p, n * 4);
	for (uint32_t i = 0; i < n; i++) {
		size_t end = i ? number(out + ends + (i - 1) * 4, 4) : 0;

		out[types + i] = v->types.p ? v->types.p[i * 4] : NIB_TOKEN_NORMAL;
		memcpy(out + text + end, x.texts[i].p, x.texts[i].n);
		end += x.texts[i].n;
		memcpy(out + ends + i * 4, &end, 4);
		*slot(&x, x.texts[i].p, x.texts[i].n) = i + 1;
	}
	h->text_bytes = blob;
	put_merges(v, &x, (void *)(out + merges));
	free(x.texts);
	free(x.slots);
	return out;
}

void *gguf_vocab_section(const char *path, size_t *bytes, const char **why)
{
	struct vocab v = { .bos = ~0u, .eos = ~0u, .unknown = ~0u,
			   .add_bos = -1, .add_eos = -1, .add_space = -1 };
	FILE *f = fopen(path, "rb");
	void *section = NULL;
	const uint8_t *p;
	uint8_t *file;
	uint64_t keys;
	long size;

	*why = "no such file";
	if (!f)
		return NULL;
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	file = malloc(size + 1);
	*why = "not a GGUF file of version 3";
	if (fread(file, 1, size, f) != (size_t)size || memcmp(file, "GGUF\3\0\0\0", 8))
		goto out;
	keys = number(file + 16, 8);
	for (p = file + 24; keys--;) {
		struct text key = string_at(p);
		uint32_t type;

		p += 8 + key.n;
		type = number(p, 4);
		take_key(&v, key, type, p + 4);
		p = skip(p + 4, type);
	}
	*why = "neither SPM nor BPE";
	if (is(v.model, "llama") || is(v.model, "gpt2"))
		section = build(&v, is(v.model, "llama"), bytes);
out:
	free(file);
	fclose(f);
	return section;
}
