// SPDX-License-Identifier: MIT
/*
 * Tokenizer section from GGUF metadata: vocabulary, scores, types, and merges by token number. What
 * a file leaves out gets the values that llama.cpp assumes. Tokenizing itself is libaccel's part.
 */
#include <stdlib.h>
#include "ir.h"

#define MAX_TOKENS (1u << 24)

struct vocab {
	struct accel_compile *c;
	struct nib_program_tokenizer head;
	const struct ac_gguf_kv *tokens;
	const struct ac_gguf_kv *scores;
	const struct ac_gguf_kv *types;
	const struct ac_gguf_kv *merges;
	struct ac_str *text;	/* by token */
	uint32_t *slots;	/* token + 1 by hash of its text */
	uint64_t mask;
	uint8_t *out;
};

static bool str_is(struct ac_str s, const char *text)
{
	return s.bytes == strlen(text) && !memcmp(s.data, text, s.bytes);
}

static bool str_in(struct ac_str s, const char *const *list)
{
	for (; *list; list++)
		if (str_is(s, *list))
			return true;
	return false;
}

/* Later tokens win over earlier ones of the same text, as in a map that is filled in order. */
static void index_tokens(struct vocab *v)
{
	uint64_t i, at = 0, h;

	for (i = 0; i < v->head.tokens; i++) {
		struct ac_str s = ac_gguf_next_string(v->tokens, &at);

		v->text[i] = s;
		for (h = ac_hash(&v->c->ctx, 0, s.data, s.bytes);; h++) {
			uint32_t *slot = &v->slots[h & v->mask];

			if (!*slot || (v->text[*slot - 1].bytes == s.bytes &&
				       !memcmp(v->text[*slot - 1].data, s.data, s.bytes))) {
				*slot = (uint32_t)i + 1;
				break;
			}
		}
	}
}

/* Token of the text a followed by b. */
static uint32_t find_joined(const struct vocab *v, struct ac_str a, struct ac_str b)
{
	uint64_t h = ac_hash(&v->c->ctx, 0, a.data, a.bytes);

	h = ac_hash(&v->c->ctx, h, b.data, b.bytes);
	for (; v->slots[h & v->mask]; h++) {
		uint32_t token = v->slots[h & v->mask] - 1;
		struct ac_str s = v->text[token];

		if (s.bytes == a.bytes + b.bytes && !memcmp(s.data, a.data, a.bytes) &&
		    !memcmp(s.data + a.bytes, b.data, b.bytes))
			return token;
	}
	return NIB_TOKEN_NONE;
}

/* "left right": the space that parts them is not the first byte. */
static bool split_merge(struct ac_str s, struct ac_str *left, struct ac_str *right)
{
	const char *space = s.bytes > 1 ? memchr(s.data + 1, ' ', s.bytes - 1) : NULL;

	if (!space)
		return false;
	*left = (struct ac_str){ s.data, (uint64_t)(space - s.data) };
	*right = (struct ac_str){ space + 1, s.bytes - left->bytes - 1 };
	return true;
}

/* Merges of tokens that the vocabulary lacks can never happen: they are left out. */
static void put_merges(struct vocab *v, struct nib_program_merge *out)
{
	const struct ac_str none = { "", 0 };
	struct ac_str left, right;
	uint64_t i, at = 0;
	uint32_t n = 0;

	for (i = 0; i < v->merges->count; i++) {
		struct nib_program_merge m = { 0 };

		if (!split_merge(ac_gguf_next_string(v->merges, &at), &left, &right))
			continue;
		m.left = find_joined(v, left, none);
		m.right = find_joined(v, right, none);
		m.merged = find_joined(v, left, right);
		if (m.left != NIB_TOKEN_NONE && m.right != NIB_TOKEN_NONE &&
		    m.merged != NIB_TOKEN_NONE)
			out[n++] = m;
	}
	v->head.merges = n;
}

static int special(struct vocab *v, const char *key, uint32_t fallback, uint32_t *token)
{
	int found;

	*token = fallback;
	found = ac_gguf_u32(&v->c->gguf, key, token);
	if (found < 0)
		return found;
	if (*token < v->head.tokens || (*token == NIB_TOKEN_NONE && !found))
		return 0;
	if (found)
		return ac_fail(&v->c->ctx, EINVAL, "%s: key %s: token %u, the vocabulary has %u",
			       v->c->gguf.name, key, *token, v->head.tokens);
	*token = NIB_TOKEN_NONE;
	return 0;
}

static int flag(struct vocab *v, const char *key, bool fallback, uint32_t bit)
{
	bool on = fallback;
	int found = ac_gguf_bool(&v->c->gguf, key, &on);

	if (on)
		v->head.flags |= bit;
	return found < 0 ? found : 0;
}

static int read_head(struct vocab *v, struct ac_str pre)
{
	static const char *const bos_by_default[] = {
		"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0",
		"lfm2", "tekken", "chameleon", NULL,
	};
	bool spm = v->head.model == NIB_TOKENIZER_SPM;
	int err = special(v, "tokenizer.ggml.bos_token_id", spm ? 1 : 11, &v->head.bos);

	if (!err)
		err = special(v, "tokenizer.ggml.eos_token_id", spm ? 2 : 11, &v->head.eos);
	if (!err)
		err = special(v, "tokenizer.ggml.unknown_token_id", spm ? 0 : NIB_TOKEN_NONE,
			      &v->head.unknown);
	if (!err)
		err = flag(v, "tokenizer.ggml.add_bos_token", spm || str_in(pre, bos_by_default),
			   NIB_TOKENIZER_ADD_BOS);
	if (!err)
		err = flag(v, "tokenizer.ggml.add_eos_token", false, NIB_TOKENIZER_ADD_EOS);
	if (!err)
		err = flag(v, "tokenizer.ggml.add_space_prefix", spm,
			   NIB_TOKENIZER_ADD_SPACE_PREFIX);
	return err;
}

/* Which tokenizer; 0 for one that programs cannot carry. */
static int read_model(struct vocab *v, bool *known)
{
	struct ac_gguf *g = &v->c->gguf;
	struct ac_str model = { "", 0 }, pre = { "", 0 };
	int found = ac_gguf_string(g, "tokenizer.ggml.model", &model);

	*known = false;
	if (found <= 0)
		return found;
	if (str_is(model, "llama"))
		v->head.model = NIB_TOKENIZER_SPM;
	else if (str_is(model, "gpt2"))
		v->head.model = NIB_TOKENIZER_BPE;
	else
		return 0;
	if (v->head.model == NIB_TOKENIZER_BPE) {
		pre = (struct ac_str){ "default", 7 };
		if (ac_gguf_string(g, "tokenizer.ggml.pre", &pre) < 0)
			return -EINVAL;
		if (pre.bytes >= sizeof(v->head.pre) || memchr(pre.data, 0, pre.bytes))
			return ac_fail(
				g->ctx, EINVAL,
				"%s: key tokenizer.ggml.pre: longer than %zu bytes, or holds a zero byte",
				g->name, sizeof(v->head.pre) - 1);
		memcpy(v->head.pre, pre.data, pre.bytes);
	}
	*known = true;
	return read_head(v, pre);
}

static int optional(struct vocab *v, const char *key, uint32_t item, uint64_t count,
		    const struct ac_gguf_kv **kv)
{
	struct ac_gguf *g = &v->c->gguf;
	int found = ac_gguf_array(g, key, item, kv);

	if (found > 0 && count && (*kv)->count != count)
		return ac_fail(g->ctx, EINVAL,
			       "%s: key %s: %llu elements, the vocabulary has %llu tokens", g->name,
			       key, (unsigned long long)(*kv)->count, (unsigned long long)count);
	return found < 0 ? found : 0;
}

static int read_arrays(struct vocab *v)
{
	struct ac_gguf *g = &v->c->gguf;
	uint64_t n = v->tokens->count, size = 4;
	int err;

	if (!n || n > MAX_TOKENS)
		return ac_fail(g->ctx, EINVAL,
			       "%s: key tokenizer.ggml.tokens: %llu tokens, limit %u", g->name,
			       (unsigned long long)n, MAX_TOKENS);
	v->head.tokens = (uint32_t)n;
	err = optional(v, "tokenizer.ggml.scores", AC_GGUF_F32, n, &v->scores);
	if (!err)
		err = optional(v, "tokenizer.ggml.token_type", AC_GGUF_I32, n, &v->types);
	if (!err)
		err = optional(v, "tokenizer.ggml.merges", AC_GGUF_STRING, 0, &v->merges);
	if (err)
		return err;
	if (v->merges && v->merges->count > MAX_TOKENS)
		return ac_fail(g->ctx, EINVAL,
			       "%s: key tokenizer.ggml.merges: %llu merges, limit %u", g->name,
			       (unsigned long long)v->merges->count, MAX_TOKENS);
	while (size < n * 2)
		size *= 2;
	v->mask = size - 1;
	v->slots = ac_alloc(g->ctx, size, sizeof(*v->slots));
	v->text = ac_alloc(g->ctx, n, sizeof(*v->text));
	if (!v->slots || !v->text)
		return -ENOMEM;
	index_tokens(v);
	return 0;
}

static int put_section(struct vocab *v)
{
	struct accel_compile *c = v->c;
	uint64_t n = v->head.tokens, merges = v->merges ? v->merges->count : 0, text = 0, i;
	uint64_t at_types = sizeof(v->head) + ac_align(n * 4, 8);
	uint64_t at_ends = at_types + ac_align(n, 8), at_merges = at_ends + ac_align(n * 4, 8);
	uint64_t at_text;
	uint32_t type, end = 0;
	uint8_t *out;

	for (i = 0; i < n; i++)
		text += v->text[i].bytes;
	if (text > INT32_MAX)
		return ac_fail(&c->ctx, EINVAL,
			       "%s: key tokenizer.ggml.tokens: %llu bytes of text, limit %d",
			       c->gguf.name, (unsigned long long)text, INT32_MAX);
	out = ac_alloc(&c->ctx, 1,
		       at_merges + merges * sizeof(struct nib_program_merge) + text + 8);
	if (!out)
		return -ENOMEM;
	if (v->scores)
		memcpy(out + sizeof(v->head), v->scores->data, n * 4);
	if (v->merges && v->head.model == NIB_TOKENIZER_BPE)
		put_merges(v, (void *)(out + at_merges));
	at_text = at_merges + v->head.merges * sizeof(struct nib_program_merge);
	memset(out + at_text, 0, text + 8);
	for (i = 0; i < n; i++) {
		type = NIB_TOKEN_NORMAL;
		if (v->types)
			memcpy(&type, v->types->data + i * 4, 4);
		out[at_types + i] = type >= NIB_TOKEN_NORMAL && type <= NIB_TOKEN_BYTE ?
				    (uint8_t)type : NIB_TOKEN_NORMAL;
		if (v->text[i].bytes)
			memcpy(out + at_text + end, v->text[i].data, v->text[i].bytes);
		end += (uint32_t)v->text[i].bytes;
		memcpy(out + at_ends + i * 4, &end, 4);
	}
	v->head.text_bytes = end;
	memcpy(out, &v->head, sizeof(v->head));
	c->tokenizer = out;
	c->tokenizer_bytes = ac_align(at_text + end, 8);
	return 0;
}

int ac_tokenizer_build(struct accel_compile *c)
{
	struct vocab v = { .c = c };
	bool known;
	int err,
		found = ac_gguf_array(&c->gguf, "tokenizer.ggml.tokens", AC_GGUF_STRING, &v.tokens);

	if (found < 0)
		return found;
	if (!found) {
		ac_log(&c->ctx, AC_LOG_WARNING, "%s: no vocabulary: the program has no tokenizer",
		       c->gguf.name);
		return 0;
	}
	err = read_arrays(&v);
	if (!err)
		err = read_model(&v, &known);
	if (err)
		return err;
	if (!known) {
		ac_log(&c->ctx, AC_LOG_WARNING,
		       "%s: key tokenizer.ggml.model: not llama or gpt2: the program has no tokenizer",
		       c->gguf.name);
		return 0;
	}
	if (v.head.tokens != c->model.vocab)
		return ac_fail(
			&c->ctx, EINVAL,
			"%s: key tokenizer.ggml.tokens: %u tokens, token_embd.weight has %u rows",
			c->gguf.name, v.head.tokens, c->model.vocab);
	return put_section(&v);
}
