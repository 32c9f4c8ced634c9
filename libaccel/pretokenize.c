// SPDX-License-Identifier: MIT
/*
 * Pre-tokenizers of byte-level BPE, by the names that GGUF files use. A pre-tokenizer is a list of
 * regular expressions: each cuts the pieces that the one before left into matches and what lies
 * between them. The expressions are those of the models' own tokenizer.json.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include "tokenizer.h"

#define MAX_REGEXES 4

/* White space as Unicode has it: PCRE2's own \s leaves out U+0085. */
#define S	"\\s\\x{85}"
#define TAIL	"\\s*[\\r\\n]+|[" S "]+(?![^" S "])|[" S "]+"
#define SUFFIX	"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define UPPER	"[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER	"[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define ASCII_PUNCT "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"

#define GPT2	"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" S "\\p{L}\\p{N}]+|" \
		"[" S "]+(?![^" S "])|[" S "]+"
#define LLAMA3 \
	SUFFIX "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^" S "\\p{L}\\p{N}]+[\\r\\n]*|" TAIL
#define QWEN2 SUFFIX "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^" S "\\p{L}\\p{N}]+[\\r\\n]*|" TAIL
#define DEEPSEEK3 \
		ASCII_PUNCT "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|" \
		" ?[\\p{P}\\p{S}]+[\\r\\n]*|" TAIL
#define GPT4O	"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" SUFFIX "?|" \
		"[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" SUFFIX "?|" \
		"\\p{N}{1,3}| ?[^" S "\\p{L}\\p{N}]+[\\r\\n/]*|" TAIL
#define TEKKEN	"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|" \
		"[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*|" \
		"\\p{N}| ?[^" S "\\p{L}\\p{N}]+[\\r\\n/]*|" TAIL
#define SEED	SUFFIX "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^" S "\\p{L}\\p{N}\\r\\n]+|" TAIL
#define BAILING	"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}|" \
		" ?[^" S "\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|[" S "]+(?![^" S "])|[" S "]+"
/* ...and the punctuation ! ? and so on of Chinese, Arabic and Urdu. */
#define BLOOM	" ?[^(" S "|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+"

struct pre {
	const char *names;		/* separated by spaces */
	const char *regexes[MAX_REGEXES];
	bool ignore_merges;
};

static const struct pre table[] = {
	{"gpt-2 phi-2 jina-es jina-de jina-v1-en jina-v2-es jina-v2-de jina-v2-code roberta-bpe "
	 "mpt olmo jais trillion granite-docling gigachat a.x-4.0 mellum exaone4 modern-bert",
	 {GPT2},
	 false},
	{"llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2", {LLAMA3}, true},
	{"dbrx smaug-bpe glm4 chatglm-bpe", {LLAMA3}, false},
	{"qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan grok-2", {QWEN2}, false},
	{"starcoder refact command-r smollm codeshell exaone minerva-7b", {"\\p{N}", GPT2}, false},
	{"deepseek-v3 hunyuan-dense",
	 {"\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+", DEEPSEEK3},
	 false},
	{"gpt-4o llama4 minimax-m2", {GPT4O}, false},
	{"tekken", {TEKKEN}, true},
	{"seed-coder", {SEED}, false},
	{"bailingmoe bailingmoe2 llada-moe", {BAILING}, false},
	{"poro-chat bloom gpt3-finnish", {BLOOM}, false},
	{"viking", {BLOOM, "\\p{N}"}, false},
	{"falcon", {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}, false},
	{"default", {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}, false},
};

struct tok_pretok {
	pcre2_code *codes[MAX_REGEXES];
	unsigned int n;
	pcre2_match_data *match;
};

static bool lists(const char *names, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = names; n && (p = strstr(p, name)); p += n)
		if ((p == names || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}

int tok_pretok_create(const char *name, struct tok_pretok **pretok, bool *ignore_merges)
{
	const struct pre *pre = NULL;
	struct tok_pretok *p;

	if (!*name)
		name = "default";
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]) && !pre; i++)
		if (!strchr(name, ' ') && lists(table[i].names, name))
			pre = &table[i];
	if (!pre)
		return -ENOTSUP;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->match = pcre2_match_data_create(1, NULL);
	if (!p->match)
		goto no_memory;
	for (; p->n < MAX_REGEXES && pre->regexes[p->n]; p->n++) {
		PCRE2_SIZE where;
		int error;

		p->codes[p->n] = pcre2_compile((PCRE2_SPTR)pre->regexes[p->n],
					       PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error,
					       &where, NULL);
		if (!p->codes[p->n])
			goto no_memory;
		/* Where the system forbids code made at run time, the interpreter does. */
		(void)pcre2_jit_compile(p->codes[p->n], PCRE2_JIT_COMPLETE);
	}
	*pretok = p;
	*ignore_merges = pre->ignore_merges;
	return 0;
no_memory:
	tok_pretok_destroy(p);
	return -ENOMEM;
}

void tok_pretok_destroy(struct tok_pretok *p)
{
	if (!p)
		return;
	for (unsigned int i = 0; i < MAX_REGEXES; i++)
		pcre2_code_free(p->codes[i]);
	pcre2_match_data_free(p->match);
	free(p);
}

typedef int (*word_fn)(void *user, const char *text, size_t bytes);

/* Cut @text, which is valid UTF-8, by expression @level and those behind it. */
static int split(struct tok_pretok *p, unsigned int level, const char *text, size_t bytes,
		 word_fn word, void *user)
{
	size_t at = 0, start, end;
	int ret = 0;

	if (level == p->n)
		return bytes ? word(user, text, bytes) : 0;
	while (at < bytes && !ret) {
		const PCRE2_SIZE *range;
		int n = pcre2_match(p->codes[level], (PCRE2_SPTR)text, bytes, at,
				    PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, p->match, NULL);

		if (n == PCRE2_ERROR_NOMATCH)
			break;
		if (n < 0)
			return n == PCRE2_ERROR_NOMEMORY || n == PCRE2_ERROR_JIT_STACKLIMIT ?
			       -ENOMEM : -EINVAL;
		range = pcre2_get_ovector_pointer(p->match);
		start = range[0];
		end = range[1];
		if (start > at)
			ret = split(p, level + 1, text + at, start - at, word, user);
		if (!ret)
			ret = split(p, level + 1, text + start, end - start, word, user);
		at = end;
	}
	if (!ret && at < bytes)
		ret = split(p, level + 1, text + at, bytes - at, word, user);
	return ret;
}

/* Length of the character at @p if it is valid UTF-8 (RFC 3629), else 0. */
static size_t valid_char(const unsigned char *p, size_t bytes)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = p[0];
	size_t n;

	if (c < 0x80)
		return 1;
	n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc2 || c > 0xf4 || n > bytes)
		return 0;
	c &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

int tok_pretok_split(struct tok_pretok *p, const char *text, size_t bytes, word_fn word, void *user)
{
	size_t at = 0, end, n = 0;
	int ret = 0;

	while (at < bytes && !ret) {
		for (end = at; end < bytes; end += n) {
			n = valid_char((const unsigned char *)text + end, bytes - end);
			if (!n)
				break;
		}
		if (end > at) {
			ret = split(p, 0, text + at, end - at, word, user);
			at = end;
			continue;
		}
		while (end < bytes && !valid_char((const unsigned char *)text + end, bytes - end))
			end++;
		ret = word(user, text + at, end - at);
		at = end;
	}
	return ret;
}
