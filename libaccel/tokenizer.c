// SPDX-License-Identifier: MIT
/*
 * Tokenizers: reads the tokenizer section of a program, finds special tokens in text, and turns
 * tokens back into text. The section is not trusted; nothing of it is used before it is checked.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"
#include "tokenizer.h"

#define MAX_TOKENS	(1u << 24)
#define MAX_TEXT	(1u << 30)	/* bytes to tokenize at once */

static uint32_t text_hash(const char *p, size_t n)
{
	uint32_t h = 0x811c9dc5u;

	while (n--)
		h = (h ^ (unsigned char)*p++) * 0x01000193u;
	return h ^ h >> 15;
}

uint32_t tok_find(const struct accel_tokenizer *t, const char *text, size_t bytes)
{
	uint32_t s;

	if (bytes > t->max_bytes)
		return ACCEL_TOKEN_NONE;
	s = text_hash(text, bytes) & t->slot_mask;
	for (; t->slots[s] != ACCEL_TOKEN_NONE; s = (s + 1) & t->slot_mask) {
		size_t n;
		const char *p = tok_text(t, t->slots[s], &n);

		if (n == bytes && !memcmp(p, text, n))
			return t->slots[s];
	}
	return ACCEL_TOKEN_NONE;
}

/* Arrays of the section, where they lie. */
struct section {
	const struct nib_program_tokenizer *head;
	const float *scores;
	const uint8_t *types;
	const uint32_t *ends;
	const struct nib_program_merge *merges;
	const char *text;
};

static int bad(const char *what)
{
	return accel_fail(NULL, -EINVAL, "tokenizer section: %s", what);
}

/* Next array of the section: @count elements of @size bytes, padded to 8; NULL past the end. */
static const void *take(const uint8_t **p, size_t *left, uint64_t count, size_t size)
{
	uint64_t bytes = (count * size + 7) & ~7ull;
	const void *array = *p;

	if (bytes > *left)
		return NULL;
	*p += bytes;
	*left -= bytes;
	return array;
}

static int check_arrays(const struct section *s)
{
	const struct nib_program_tokenizer *h = s->head;
	uint32_t last = 0;

	for (uint32_t i = 0; i < h->tokens; i++) {
		if (s->ends[i] < last || s->ends[i] > h->text_bytes)
			return bad("text ends out of order");
		last = s->ends[i];
	}
	for (uint32_t i = 0; i < h->merges; i++) {
		const struct nib_program_merge *m = &s->merges[i];

		if (m->left >= h->tokens || m->right >= h->tokens || m->merged >= h->tokens ||
		    m->zero)
			return bad("merge of tokens that do not exist");
	}
	return 0;
}

static int open_section(const void *data, size_t bytes, struct section *s)
{
	const struct nib_program_tokenizer *h = data;
	const uint8_t *p = data;
	size_t left = bytes;

	if (bytes < sizeof(*h) || (uintptr_t)data % 8)
		return bad("shorter than its head, or not aligned");
	s->head = h;
	if (h->model != NIB_TOKENIZER_SPM && h->model != NIB_TOKENIZER_BPE)
		return accel_fail(NULL, -ENOTSUP, "tokenizer model %u is not known", h->model);
	if (h->flags & ~(NIB_TOKENIZER_ADD_BOS | NIB_TOKENIZER_ADD_SPACE_PREFIX |
			 NIB_TOKENIZER_ADD_EOS))
		return bad("unknown flags");
	if (!h->tokens || h->tokens > MAX_TOKENS || h->merges > MAX_TOKENS)
		return bad("number of tokens or merges out of range");
	if ((h->bos >= h->tokens && h->bos != NIB_TOKEN_NONE) ||
	    (h->eos >= h->tokens && h->eos != NIB_TOKEN_NONE) ||
	    (h->unknown >= h->tokens && h->unknown != NIB_TOKEN_NONE))
		return bad("special token out of range");
	if (!memchr(h->pre, 0, sizeof(h->pre)))
		return bad("name of the pre-tokenizer has no end");
	take(&p, &left, 1, sizeof(*h));
	s->scores = take(&p, &left, h->tokens, sizeof(float));
	s->types = s->scores ? take(&p, &left, h->tokens, 1) : NULL;
	s->ends = s->types ? take(&p, &left, h->tokens, sizeof(uint32_t)) : NULL;
	s->merges = s->ends ? take(&p, &left, h->merges, sizeof(*s->merges)) : NULL;
	/* The blob comes last: it need not be padded. */
	s->text = (const char *)p;
	if (!s->merges || h->text_bytes > left)
		return bad("shorter than its arrays");
	return check_arrays(s);
}

/* "<0x0A>": the byte, or -1. */
static int byte_name(const char *text, size_t bytes)
{
	int value = 0;

	if (bytes != 6 || memcmp(text, "<0x", 3) || text[5] != '>')
		return -1;
	for (int i = 3; i < 5; i++) {
		int c = text[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 :
			    c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* From the spelling of the vocabulary to what is printed, in place. Returns the new length. */
static size_t plain_text(const struct accel_tokenizer *t, uint8_t type, char *text, size_t bytes)
{
	size_t n = 0;
	int byte = byte_name(text, bytes);

	if (type == NIB_TOKEN_CONTROL || type == NIB_TOKEN_UNKNOWN)
		return bytes;
	if (type == NIB_TOKEN_BYTE && byte >= 0) {
		text[0] = (char)byte;
		return 1;
	}
	if (t->model == NIB_TOKENIZER_BPE)
		return type == NIB_TOKEN_USER ? bytes : tok_bpe_decode(text, bytes);
	for (size_t i = 0; i < bytes; i++) {
		if (bytes - i >= 3 && !memcmp(text + i, "\xe2\x96\x81", 3)) {
			text[n++] = ' ';
			i += 2;
		} else {
			text[n++] = text[i];
		}
	}
	return n;
}

static bool is_special(uint8_t type)
{
	return type == NIB_TOKEN_CONTROL || type == NIB_TOKEN_UNKNOWN || type == NIB_TOKEN_USER;
}

/* Copy texts, plain, and find the tokens of bytes. */
static void read_texts(struct accel_tokenizer *t, const struct section *s)
{
	uint32_t start = 0, n = 0;

	memset(t->byte_token, 0xff, sizeof(t->byte_token));
	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t bytes = s->ends[i] - start;
		char *text = t->text + n;
		int byte;

		if (bytes)
			memcpy(text, s->text + start, bytes);
		start = s->ends[i];
		byte = t->model == NIB_TOKENIZER_SPM ? byte_name(text, bytes) : -1;
		bytes = plain_text(t, t->types[i], text, bytes);
		if (t->model == NIB_TOKENIZER_BPE && bytes == 1 && !is_special(t->types[i]))
			byte = (unsigned char)text[0];
		if (byte >= 0 && (t->byte_token[byte] == ACCEL_TOKEN_NONE ||
				  t->types[i] == NIB_TOKEN_BYTE))
			t->byte_token[byte] = i;
		n += bytes;
		t->ends[i] = n;
	}
}

/* Hash of the texts that ordinary text may turn into: never control, unknown or byte tokens. */
static int index_texts(struct accel_tokenizer *t)
{
	uint32_t slots = 16;

	while (slots < t->count * 2)
		slots *= 2;
	t->slots = malloc(slots * sizeof(*t->slots));
	if (!t->slots)
		return -ENOMEM;
	memset(t->slots, 0xff, slots * sizeof(*t->slots));
	t->slot_mask = slots - 1;
	for (uint32_t i = 0; i < t->count; i++) {
		size_t n;
		const char *text = tok_text(t, i, &n);
		uint32_t s = text_hash(text, n) & t->slot_mask;

		if (!n || t->types[i] == NIB_TOKEN_CONTROL || t->types[i] == NIB_TOKEN_UNKNOWN ||
		    t->types[i] == NIB_TOKEN_BYTE)
			continue;
		if (n > t->max_bytes)
			t->max_bytes = n;
		else if (tok_find(t, text, n) != ACCEL_TOKEN_NONE)
			continue;
		while (t->slots[s] != ACCEL_TOKEN_NONE)
			s = (s + 1) & t->slot_mask;
		t->slots[s] = i;
	}
	return 0;
}

static int compare_special(const void *pa, const void *pb, void *arg)
{
	const struct accel_tokenizer *t = arg;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
	size_t na, nb;
	const unsigned char *ta = (const unsigned char *)tok_text(t, a, &na);
	const unsigned char *tb = (const unsigned char *)tok_text(t, b, &nb);

	if (ta[0] != tb[0])
		return ta[0] < tb[0] ? -1 : 1;
	if (na != nb)
		return na > nb ? -1 : 1;
	return a < b ? -1 : a > b;
}

static int index_special(struct accel_tokenizer *t)
{
	uint32_t count = 0, n = 0;
	size_t bytes;

	for (uint32_t i = 0; i < t->count; i++)
		count += is_special(t->types[i]);
	t->special = malloc((count + 1) * sizeof(*t->special));
	if (!t->special)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->count; i++) {
		tok_text(t, i, &bytes);
		if (is_special(t->types[i]) && bytes)
			t->special[n++] = i;
	}
	qsort_r(t->special, n, sizeof(*t->special), compare_special, t);
	for (uint32_t i = 0, byte = 0; byte <= 256; byte++) {
		while (i < n && (unsigned char)tok_text(t, t->special[i], &bytes)[0] < byte)
			i++;
		t->special_first[byte] = i;
	}
	return 0;
}

static void find_stops(struct accel_tokenizer *t)
{
	/* Names that chat models give to the end of a turn. */
	static const char *const names[] = {
		"<|eot_id|>",	 "<|im_end|>", "<|end|>",	  "<end_of_turn>",
		"<|endoftext|>", "<|eom_id|>", "<|end_of_text|>", "<|return|>",
		"<EOT>",	 "_<EOT>",     "[EOT]",		  "<|END_OF_TURN_TOKEN|>",
	};

	if (t->eos != NIB_TOKEN_NONE)
		t->stops[t->n_stops++] = t->eos;
	for (uint32_t i = 0; i < t->count && t->n_stops < TOK_STOPS; i++) {
		size_t n;
		const char *text = tok_text(t, i, &n);

		if (t->types[i] != NIB_TOKEN_CONTROL || i == t->eos)
			continue;
		for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
			if (strlen(names[j]) == n && !memcmp(names[j], text, n)) {
				t->stops[t->n_stops++] = i;
				break;
			}
		}
	}
}

static int build(struct accel_tokenizer *t, const struct section *s)
{
	const struct nib_program_tokenizer *h = s->head;
	int ret;

	t->model = h->model;
	t->flags = h->flags;
	t->count = h->tokens;
	t->bos = h->bos;
	t->eos = h->eos;
	t->unknown = h->unknown;
	t->text = malloc((size_t)h->text_bytes + 1);
	t->ends = malloc(t->count * sizeof(*t->ends));
	t->types = malloc(t->count);
	t->scores = malloc(t->count * sizeof(*t->scores));
	t->merges = malloc(((size_t)h->merges + 1) * sizeof(*t->merges));
	if (!t->text || !t->ends || !t->types || !t->scores || !t->merges)
		return -ENOMEM;
	memcpy(t->types, s->types, t->count);
	memcpy(t->merges, s->merges, h->merges * sizeof(*t->merges));
	for (uint32_t i = 0; i < t->count; i++)
		t->scores[i] = isnan(s->scores[i]) ? -INFINITY : s->scores[i];
	read_texts(t, s);
	find_stops(t);
	ret = index_texts(t);
	if (!ret)
		ret = index_special(t);
	if (!ret && t->model == NIB_TOKENIZER_BPE)
		ret = tok_bpe_init(t, h->merges, h->pre);
	return ret;
}

int accel_tokenizer_parse(const void *data, size_t bytes, struct accel_tokenizer **tokenizer)
{
	struct accel_tokenizer *t;
	struct section s = { 0 };
	int ret = open_section(data, bytes, &s);

	if (ret)
		return ret;
	t = calloc(1, sizeof(*t));
	ret = t ? build(t, &s) : -ENOMEM;
	if (ret) {
		accel_tokenizer_destroy(t);
		if (ret == -ENOTSUP)
			return accel_fail(NULL, ret, "pre-tokenizer \"%s\" is not known",
					  s.head->pre);
		return accel_fail(NULL, ret, "tokenizer: out of memory");
	}
	*tokenizer = t;
	return 0;
}

ACCEL_API int accel_tokenizer_create(const struct accel_program *program,
				     struct accel_tokenizer **tokenizer)
{
	size_t bytes;
	const void *data = accel_program_section(program, NIB_SECTION_TOKENIZER, 0, &bytes);

	if (!data)
		return accel_fail(NULL, -ENOENT, "the program has no tokenizer");
	return accel_tokenizer_parse(data, bytes, tokenizer);
}

ACCEL_API void accel_tokenizer_destroy(struct accel_tokenizer *t)
{
	if (!t)
		return;
	tok_pretok_destroy(t->pretok);
	tok_merger_free(&t->merger);
	free(t->merge_slots);
	free(t->merges);
	free(t->special);
	free(t->slots);
	free(t->scores);
	free(t->types);
	free(t->ends);
	free(t->text);
	free(t);
}

/* The special token that @text starts with, the longest if there are several. */
static uint32_t special_at(const struct accel_tokenizer *t, const char *text, size_t bytes,
			   bool control)
{
	unsigned char first = (unsigned char)text[0];

	for (uint32_t i = t->special_first[first]; i < t->special_first[first + 1]; i++) {
		uint32_t token = t->special[i];
		size_t n;
		const char *p = tok_text(t, token, &n);

		if (n <= bytes && (control || t->types[token] == NIB_TOKEN_USER) &&
		    !memcmp(p, text, n))
			return token;
	}
	return ACCEL_TOKEN_NONE;
}

/* Text at the start or between special tokens. */
static int encode_plain(struct accel_tokenizer *t, const char *text, size_t bytes,
			struct tok_out *out)
{
	if (!bytes)
		return 0;
	if (t->model == NIB_TOKENIZER_BPE)
		return tok_bpe_encode(t, text, bytes, out);
	return tok_spm_encode(t, text, bytes, t->flags & NIB_TOKENIZER_ADD_SPACE_PREFIX, out);
}

ACCEL_API long accel_tokenize(struct accel_tokenizer *t, const char *text, size_t bytes,
			      uint32_t flags, uint32_t *tokens, size_t max)
{
	struct tok_out out = { .tokens = tokens, .max = tokens ? max : 0 };
	bool ends = !(flags & ACCEL_TOKENIZE_NO_BOS);
	size_t start = 0, at = 0;
	int ret;

	if (bytes > MAX_TEXT || (flags & ~(ACCEL_TOKENIZE_NO_BOS | ACCEL_TOKENIZE_SPECIAL)))
		return -EINVAL;
	if (ends && (t->flags & NIB_TOKENIZER_ADD_BOS) && t->bos != NIB_TOKEN_NONE)
		tok_put(&out, t->bos);
	while (at < bytes) {
		uint32_t token =
			special_at(t, text + at, bytes - at, flags & ACCEL_TOKENIZE_SPECIAL);
		size_t n;

		if (token == ACCEL_TOKEN_NONE) {
			at++;
			continue;
		}
		ret = encode_plain(t, text + start, at - start, &out);
		if (ret)
			return ret;
		tok_put(&out, token);
		tok_text(t, token, &n);
		at += n;
		start = at;
	}
	ret = encode_plain(t, text + start, bytes - start, &out);
	if (ret)
		return ret;
	if (ends && (t->flags & NIB_TOKENIZER_ADD_EOS) && t->eos != NIB_TOKEN_NONE)
		tok_put(&out, t->eos);
	return (long)out.count;
}

ACCEL_API long accel_detokenize(struct accel_tokenizer *t, const uint32_t *tokens, size_t count,
		      uint32_t flags, char *buf, size_t max)
{
	bool drop = (flags & ACCEL_DETOKENIZE_START) && (t->flags & NIB_TOKENIZER_ADD_SPACE_PREFIX);
	size_t total = 0;

	for (size_t i = 0; i < count; i++) {
		const char *text;
		uint8_t type;
		size_t n;

		if (tokens[i] >= t->count)
			return -EINVAL;
		text = tok_text(t, tokens[i], &n);
		type = t->types[tokens[i]];
		if (type == NIB_TOKEN_CONTROL || type == NIB_TOKEN_UNKNOWN) {
			if (!(flags & ACCEL_DETOKENIZE_CONTROL))
				continue;
		} else if (type == NIB_TOKEN_UNUSED) {
			continue;
		} else if (drop && n) {
			drop = false;
			if (text[0] == ' ') {
				text++;
				n--;
			}
		}
		if (total < max && n)
			memcpy(buf + total, text, n < max - total ? n : max - total);
		total += n;
	}
	return (long)total;
}

ACCEL_API uint32_t accel_tokenizer_bos(const struct accel_tokenizer *tokenizer)
{
	return tokenizer->bos;
}

ACCEL_API uint32_t accel_tokenizer_eos(const struct accel_tokenizer *tokenizer)
{
	return tokenizer->eos;
}

ACCEL_API uint32_t accel_tokenizer_size(const struct accel_tokenizer *tokenizer)
{
	return tokenizer->count;
}

ACCEL_API bool accel_tokenizer_is_end(const struct accel_tokenizer *tokenizer, uint32_t token)
{
	for (uint32_t i = 0; i < tokenizer->n_stops; i++)
		if (tokenizer->stops[i] == token)
			return true;
	return false;
}
