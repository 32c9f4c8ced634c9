// SPDX-License-Identifier: MIT
/*
 * Tokenizers: equal to llama.cpp's vectors for SPM and byte-level BPE, round trips, special tokens,
 * streaming, and sections that lie.
 */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "gguf_vocab.h"
#include "tokenizer.h"

#define SEPARATOR "\n__ggml_vocab_test__\n"

static const char *data_dir(void)
{
	const char *dir = getenv("NIB_SHARED_DATA");

	return dir ? dir : "../shared/data";
}

static char *read_file(const char *name, size_t *bytes)
{
	char path[512], *text = NULL;
	FILE *f;
	long n;

	snprintf(path, sizeof(path), "%s/conformance/ggml-vocab/%s", data_dir(), name);
	f = fopen(path, "rb");
	if (!f)
		return NULL;
	fseek(f, 0, SEEK_END);
	n = ftell(f);
	rewind(f);
	text = calloc(1, n + 1);
	*bytes = fread(text, 1, n, f);
	fclose(f);
	return text;
}

/* NULL where the shared data is absent. */
static struct accel_tokenizer *open_vocab(const char *name)
{
	struct accel_tokenizer *t = NULL;
	const char *why;
	char path[512];
	size_t bytes;
	void *section;

	snprintf(path, sizeof(path), "%s/conformance/ggml-vocab/%s.gguf", data_dir(), name);
	section = gguf_vocab_section(path, &bytes, &why);
	if (!section) {
		printf("skip %s: %s\n", path, why);
		return NULL;
	}
	ck_assert_int_eq(accel_tokenizer_parse(section, bytes, &t), 0);
	free(section);
	return t;
}

static void check_vectors(const char *name)
{
	struct accel_tokenizer *t = open_vocab(name);
	char file[128], *texts, *ids, *text, *line;
	size_t bytes, n = 0;

	if (!t)
		return;
	snprintf(file, sizeof(file), "%s.gguf.inp", name);
	texts = read_file(file, &bytes);
	snprintf(file, sizeof(file), "%s.gguf.out", name);
	ids = read_file(file, &bytes);
	ck_assert(texts && ids);
	text = texts;
	line = ids;
	for (char *next; text; text = next, n++) {
		char *end = strstr(text, SEPARATOR), *eol = strchr(line, '\n');
		size_t length = end ? (size_t)(end - text) : strlen(text);
		uint32_t got[1024], want[1024];
		long count, wanted = 0;
		char *p = line, *q;

		next = end ? end + strlen(SEPARATOR) : NULL;
		if (eol)
			*eol = 0;
		for (;; p = q) {
			unsigned long id = strtoul(p, &q, 10);

			if (p == q)
				break;
			want[wanted++] = id;
		}
		count = accel_tokenize(t, text, length, ACCEL_TOKENIZE_NO_BOS, got, 1024);
		ck_assert_msg(count == wanted, "%s text %zu: %ld tokens, not %ld", name, n, count,
			      wanted);
		for (long i = 0; i < count; i++)
			ck_assert_msg(got[i] == want[i], "%s text %zu token %ld: %u, not %u", name,
				      n, i, got[i], want[i]);
		line = eol ? eol + 1 : line + strlen(line);
	}
	ck_assert_uint_eq(n, 47);
	free(texts);
	free(ids);
	accel_tokenizer_destroy(t);
}

START_TEST(spm_equals_llama_vectors)
{
	check_vectors("ggml-vocab-llama-spm");
}
END_TEST

START_TEST(spm_equals_phi3_vectors)
{
	check_vectors("ggml-vocab-phi-3");
}
END_TEST

START_TEST(bpe_equals_gpt2_vectors)
{
	check_vectors("ggml-vocab-gpt-2");
}
END_TEST

/* Text of tokens, made token by token: streaming gives what all at once gives. */
static size_t stream(struct accel_tokenizer *t, const uint32_t *tokens, long count, char *buf,
		     size_t max)
{
	size_t at = 0;
	bool start = true;

	for (long i = 0; i < count; i++) {
		long n = accel_detokenize(t, tokens + i, 1, start ? ACCEL_DETOKENIZE_START : 0,
					  buf + at, max - at);

		ck_assert_int_ge(n, 0);
		start = start && !n;
		at += n;
	}
	return at;
}

static void check_round_trip(struct accel_tokenizer *t, const char *text, size_t bytes)
{
	uint32_t *tokens = calloc(bytes + 2, sizeof(*tokens));
	char *back = calloc(1, bytes + 64), *streamed = calloc(1, bytes + 64);
	long count = accel_tokenize(t, text, bytes, 0, tokens, bytes + 2), n;

	ck_assert_int_ge(count, 0);
	ck_assert_int_le(count, (long)bytes + 2);
	ck_assert_int_eq(accel_tokenize(t, text, bytes, 0, NULL, 0), count);
	n = accel_detokenize(t, tokens, count, ACCEL_DETOKENIZE_START, back, bytes + 64);
	ck_assert_int_eq(n, (long)bytes);
	ck_assert_mem_eq(back, text, bytes);
	ck_assert_uint_eq(stream(t, tokens, count, streamed, bytes + 64), bytes);
	ck_assert_mem_eq(streamed, text, bytes);
	free(streamed);
	free(back);
	free(tokens);
}

static void round_trips(const char *name)
{
	static const char *const texts[] = {
		"",
		" ",
		"  two",
		"Hello, world!\n",
		"\t\ttabs\r\n\r\n  and lines  ",
		"na\xc3\xafve \xe2\x80\x9cquotes\xe2\x80\x9d \xf0\x9f\xa6\x99 \xe6\x97\xa5",
		"1234567 3.14159 0x1F",
		"don't we'Ve I'LL",
		"<s></s><unk><|endoftext|>",
		"<0x0A>",
		"\xc2\x85next line\xc2\xa0no-break",
		"a\xcc\x81 combining \xe1\x84\x80\xe1\x85\xa1",
	};
	struct accel_tokenizer *t = open_vocab(name);
	char bytes[300], word[4096];
	uint32_t rng = 12345;

	if (!t)
		return;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check_round_trip(t, texts[i], strlen(texts[i]));
	/* Not UTF-8 at all, with zeros in it. */
	for (int round = 0; round < 200; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			rng = rng * 1664525 + 1013904223;
			bytes[i] = (char)(rng >> 24);
		}
		check_round_trip(t, bytes, sizeof(bytes));
	}
	memset(word, 'a', sizeof(word));
	check_round_trip(t, word, sizeof(word));
	memset(word, ' ', sizeof(word));
	check_round_trip(t, word, sizeof(word));
	accel_tokenizer_destroy(t);
}

START_TEST(spm_round_trips)
{
	round_trips("ggml-vocab-llama-spm");
}
END_TEST

START_TEST(bpe_round_trips)
{
	round_trips("ggml-vocab-gpt-2");
}
END_TEST

static void expect(struct accel_tokenizer *t, const char *text, uint32_t flags, size_t count,
		   const uint32_t *tokens)
{
	uint32_t got[64];

	ck_assert_int_eq(accel_tokenize(t, text, strlen(text), flags, got, 64), (long)count);
	ck_assert_mem_eq(got, tokens, count * sizeof(*tokens));
}

START_TEST(special_tokens_only_when_asked)
{
	struct accel_tokenizer *t = open_vocab("ggml-vocab-phi-3");
	const char *chat = "<|user|>\nhi<|end|>";
	uint32_t tokens[32];
	char text[64];
	long n;

	if (!t)
		return;
	n = accel_tokenize(t, chat, strlen(chat), ACCEL_TOKENIZE_SPECIAL, tokens, 32);
	ck_assert_int_ge(n, 4);
	ck_assert_uint_eq(tokens[0], 1);
	ck_assert_uint_eq(tokens[1], 32010);
	ck_assert_uint_eq(tokens[n - 1], 32007);
	n = accel_tokenize(t, chat, strlen(chat), 0, tokens, 32);
	for (long i = 1; i < n; i++)
		ck_assert_uint_lt(tokens[i], 32000);
	/* User-defined tokens always count: </s> is one in this vocabulary. */
	expect(t, "</s>", 0, 2, (uint32_t[]){ 1, 2 });
	expect(t, "<s>", ACCEL_TOKENIZE_NO_BOS | ACCEL_TOKENIZE_SPECIAL, 1, (uint32_t[]){ 1 });
	expect(t, "", 0, 1, (uint32_t[]){ 1 });
	expect(t, "", ACCEL_TOKENIZE_NO_BOS, 0, (uint32_t[]){ 0 });
	ck_assert_int_eq(accel_detokenize(t, (uint32_t[]){ 1, 32010 }, 2, 0, text, 64), 0);
	n = accel_detokenize(t, (uint32_t[]){ 1, 32010 }, 2, ACCEL_DETOKENIZE_CONTROL, text, 64);
	ck_assert_int_eq(n, 11);
	ck_assert_mem_eq(text, "<s><|user|>", 11);
	for (uint32_t i = 0; i < accel_tokenizer_size(t); i++)
		ck_assert(accel_tokenizer_is_end(t, i) == (i == 32000 || i == 32007));
	ck_assert_int_eq(accel_detokenize(t, (uint32_t[]){ 32064 }, 1, 0, text, 64), -EINVAL);
	accel_tokenizer_destroy(t);
}
END_TEST

/* A small section made here. */
struct made {
	struct nib_program_tokenizer head;
	uint8_t rest[4096];
};

static size_t make(struct made *s, uint32_t model, const char *pre, const char *const *tokens,
		   const uint8_t *types, const float *scores, const uint32_t (*merges)[3],
		   uint32_t n_merges)
{
	uint8_t *p = s->rest;
	uint32_t n = 0, end = 0;

	memset(s, 0, sizeof(*s));
	while (tokens[n])
		n++;
	s->head = (struct nib_program_tokenizer){
		.model = model, .tokens = n, .merges = n_merges, .bos = NIB_TOKEN_NONE,
		.eos = NIB_TOKEN_NONE, .unknown = NIB_TOKEN_NONE,
	};
	snprintf(s->head.pre, sizeof(s->head.pre), "%s", pre);
	if (scores)
		memcpy(p, scores, n * 4);
	p += (n * 4 + 7) / 8 * 8;
	for (uint32_t i = 0; i < n; i++)
		p[i] = types ? types[i] : NIB_TOKEN_NORMAL;
	p += (n + 7) / 8 * 8;
	for (uint32_t i = 0; i < n; i++) {
		end += strlen(tokens[i]);
		memcpy(p + i * 4, &end, 4);
	}
	p += (n * 4 + 7) / 8 * 8;
	for (uint32_t i = 0; i < n_merges; i++, p += 16)
		memcpy(p, merges[i], 12);
	for (uint32_t i = 0; i < n; i++) {
		memcpy(p, tokens[i], strlen(tokens[i]));
		p += strlen(tokens[i]);
	}
	s->head.text_bytes = end;
	return p - (uint8_t *)s;
}

START_TEST(spm_merges_best_score_then_leftmost)
{
	static const char *const tokens[] = { "a", "b", "ab", "ba", "aa", "<s>", "<0x63>", NULL };
	static const uint8_t types[] = { 1, 1, 1, 1, 1, NIB_TOKEN_CONTROL, NIB_TOKEN_BYTE };
	static const float scores[] = { -9, -9, -1, -1, -2, 0, 0 };
	struct accel_tokenizer *t;
	struct made s;
	size_t n = make(&s, NIB_TOKENIZER_SPM, "", tokens, types, scores, NULL, 0);

	ck_assert_int_eq(accel_tokenizer_parse(&s, n, &t), 0);
	expect(t, "aba", 0, 2, (uint32_t[]){ 2, 0 });	/* equal scores: the left one */
	expect(t, "aab", 0, 2, (uint32_t[]){ 0, 2 });	/* better score first */
	expect(t, "aaa", 0, 2, (uint32_t[]){ 4, 0 });
	expect(t, "acd", 0, 2, (uint32_t[]){0, 6}); /* byte token; d has none, nor is there <unk> */
	accel_tokenizer_destroy(t);
}
END_TEST

START_TEST(bpe_merges_by_rank)
{
	/* U+0120 is the letter for a space. */
	static const char *const tokens[] = { "a", "b", "c", "bc", "ab", "\xc4\xa0", "abc", NULL };
	static const uint32_t merges[][3] = { { 1, 2, 3 }, { 0, 1, 4 }, { 0, 1, 3 } };
	struct accel_tokenizer *t;
	struct made s;
	size_t n = make(&s, NIB_TOKENIZER_BPE, "gpt-2", tokens, NULL, NULL, merges, 3);

	ck_assert_int_eq(accel_tokenizer_parse(&s, n, &t), 0);
	expect(t, "abc", 0, 2, (uint32_t[]){ 0, 3 });
	expect(t, "ab ab", 0, 3, (uint32_t[]){4, 5, 4}); /* of equal pairs the first counts */
	accel_tokenizer_destroy(t);

	/* llama-bpe: a word that is a token is that token, merges or not. */
	n = make(&s, NIB_TOKENIZER_BPE, "llama-bpe", tokens, NULL, NULL, merges, 3);
	ck_assert_int_eq(accel_tokenizer_parse(&s, n, &t), 0);
	expect(t, "abc", 0, 1, (uint32_t[]){ 6 });
	accel_tokenizer_destroy(t);
}
END_TEST

/* Words as each pre-tokenizer cuts them, separated by bars. */
static int append_word(void *user, const char *text, size_t bytes)
{
	char *out = user;

	snprintf(out + strlen(out), 256 - strlen(out), "%s%.*s", *out ? "|" : "", (int)bytes, text);
	return 0;
}

START_TEST(pre_tokenizers_cut_as_models_do)
{
	static const char text[] = "I'LL  pay 12345 in HelloWorld.\n\n ok";
	static const struct {
		const char *name, *words;
	} cases[] = {
		{ "gpt-2", "I|'|LL| | pay| 12345| in| HelloWorld|.|\n\n| ok" },
		{ "llama-bpe", "I|'LL| | pay| |123|45| in| HelloWorld|.\n\n| ok" },
		{ "qwen2", "I|'LL| | pay| |1|2|3|4|5| in| HelloWorld|.\n\n| ok" },
		{ "gpt-4o", "I'LL| | pay| |123|45| in| Hello|World|.\n\n| ok" },
		{ "tekken", "I|'LL| | pay| |1|2|3|4|5| in| Hello|World|.\n\n| ok" },
		{ "starcoder", "I|'|LL| | pay| |1|2|3|4|5| in| HelloWorld|.|\n\n| ok" },
		{ "falcon", "I|'|LL| | pay| |123|45| in| HelloWorld|.|\n\n| ok" },
		{ "", "I|'|LL| | pay| |123|45| in| HelloWorld|.|\n\n| ok" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tok_pretok *p;
		char out[256] = "";
		bool ignore;

		ck_assert_int_eq(tok_pretok_create(cases[i].name, &p, &ignore), 0);
		ck_assert_int_eq(tok_pretok_split(p, text, strlen(text), append_word, out), 0);
		ck_assert_msg(!strcmp(out, cases[i].words), "%s: %s", cases[i].name, out);
		tok_pretok_destroy(p);
	}
}
END_TEST

START_TEST(every_pre_tokenizer_covers_every_text)
{
	static const char *const names[] = {
		"gpt-2", "llama3", "dbrx", "qwen2", "starcoder", "deepseek-v3", "gpt-4o", "tekken",
		"seed-coder", "bailingmoe", "bloom", "viking", "falcon", "default",
	};
	uint32_t rng = 1;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct tok_pretok *p;
		bool ignore;

		ck_assert_int_eq(tok_pretok_create(names[i], &p, &ignore), 0);
		for (int round = 0; round < 300; round++) {
			static const char *const parts[] = {
				" ",	    "  ", "\n",		  "\r",	      "'s",
				"'LL",	    "12", "\xe4\xb8\x80", "A",	      "b",
				"\xcc\x81", "!",  "\xff",	  "\xc2\x85", "\xf0\x9f\xa6\x99",
				"\xe2\x80", "|",
			};
			char text[128] = "", out[256] = "", *q = out;

			for (int j = 0; j < 12; j++) {
				rng = rng * 1664525 + 1013904223;
				strcat(text, parts[(rng >> 16) % 17]);
			}
			ck_assert_int_eq(tok_pretok_split(p, text, strlen(text), append_word, out),
					 0);
			/* Without the bars between words it is the text again. */
			for (const char *c = out, *w = text; *c; c++) {
				if (*c == '|' && *w != '|')
					continue;
				*q++ = *c;
				w++;
			}
			ck_assert_msg(q - out >= (long)strlen(text) &&
				      !memcmp(out, text, strlen(text)), "%s: %s", names[i], text);
		}
		tok_pretok_destroy(p);
	}
}
END_TEST

START_TEST(unknown_names_are_refused_by_name)
{
	static const char *const tokens[] = { "a", NULL };
	static const char *const names[] = { "no-such", "gpt", "gpt-2 ", " ", "mpt olmo", "2" };
	struct accel_tokenizer *t;
	struct made s;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = make(&s, NIB_TOKENIZER_BPE, names[i], tokens, NULL, NULL, NULL, 0);

		ck_assert_int_eq(accel_tokenizer_parse(&s, n, &t), -ENOTSUP);
		ck_assert_ptr_nonnull(strstr(accel_last_error(NULL), names[i]));
	}
	s.head.model = 3;
	ck_assert_int_eq(accel_tokenizer_parse(&s, sizeof(s), &t), -ENOTSUP);
}
END_TEST

START_TEST(hostile_sections_are_refused)
{
	static const char *const tokens[] = { "a", "b", "ab", NULL };
	static const uint32_t merges[][3] = { { 0, 1, 2 } };
	struct accel_tokenizer *t;
	struct made good, s;
	size_t n = make(&good, NIB_TOKENIZER_BPE, "gpt-2", tokens, NULL, NULL, merges, 1);
	const size_t ends = sizeof(good.head) + 16 + 8, merge = ends + 16;

#define REFUSED(bytes, change) do {						\
		s = good;							\
		change;								\
		ck_assert_int_eq(accel_tokenizer_parse(&s, bytes, &t), -EINVAL);	\
	} while (0)
	for (size_t short_by = 1; short_by < n; short_by++)
		REFUSED(n - short_by, (void)0);
	REFUSED(n, s.head.tokens = 0);
	REFUSED(n, s.head.tokens = 4);
	REFUSED(n, s.head.tokens = 0xffffffff);
	REFUSED(n, s.head.tokens = 0x20000001);
	REFUSED(n, s.head.merges = 0xffffffff);
	REFUSED(n, s.head.merges = 0x10000001);
	REFUSED(n, s.head.text_bytes = 0xffffffff);
	REFUSED(n, s.head.text_bytes = 3);
	REFUSED(n, s.head.flags = 8);
	REFUSED(n, s.head.bos = 3);
	REFUSED(n, s.head.eos = 0xfffffffe);
	REFUSED(n, s.head.unknown = 3);
	REFUSED(n, memset(s.head.pre, 'x', sizeof(s.head.pre)));
	REFUSED(n, memset((char *)&s + ends, 0xff, 4));
	REFUSED(n, memset((char *)&s + ends + 4, 0, 4));
	REFUSED(n, ((uint32_t *)((char *)&s + merge))[0] = 3);
	REFUSED(n, ((uint32_t *)((char *)&s + merge))[1] = 0xffffffff);
	REFUSED(n, ((uint32_t *)((char *)&s + merge))[2] = 3);
	REFUSED(n, ((uint32_t *)((char *)&s + merge))[3] = 1);
#undef REFUSED
	ck_assert_int_eq(accel_tokenizer_parse(&good, n, &t), 0);
	expect(t, "ab", 0, 1, (uint32_t[]){ 2 });
	accel_tokenizer_destroy(t);
}
END_TEST

START_TEST(scores_that_are_no_numbers_do_no_harm)
{
	static const char *const tokens[] = { "a", "b", "ab", "ba", "aba", NULL };
	const float scores[] = { NAN, INFINITY, -INFINITY, NAN, -0.0f };
	struct accel_tokenizer *t;
	struct made s;
	size_t n = make(&s, NIB_TOKENIZER_SPM, "", tokens, NULL, scores, NULL, 0);
	uint32_t out[16];

	ck_assert_int_eq(accel_tokenizer_parse(&s, n, &t), 0);
	ck_assert_int_gt(accel_tokenize(t, "abababab", 8, 0, out, 16), 0);
	accel_tokenizer_destroy(t);
}
END_TEST

int main(void)
{
	char missing[512] = "", file[512];
	Suite *suite = suite_create("tokenizer");
	TCase *tc = tcase_create("tokenizer");
	SRunner *runner = srunner_create(suite);
	int failed;

	snprintf(file, sizeof(file), "%s/conformance/ggml-vocab", data_dir());
	if (access(file, R_OK))
		snprintf(missing, sizeof(missing), "no %.400s", file);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, spm_equals_llama_vectors);
	tcase_add_test(tc, spm_equals_phi3_vectors);
	tcase_add_test(tc, bpe_equals_gpt2_vectors);
	tcase_add_test(tc, spm_round_trips);
	tcase_add_test(tc, bpe_round_trips);
	tcase_add_test(tc, special_tokens_only_when_asked);
	tcase_add_test(tc, spm_merges_best_score_then_leftmost);
	tcase_add_test(tc, bpe_merges_by_rank);
	tcase_add_test(tc, pre_tokenizers_cut_as_models_do);
	tcase_add_test(tc, every_pre_tokenizer_covers_every_text);
	tcase_add_test(tc, unknown_names_are_refused_by_name);
	tcase_add_test(tc, hostile_sections_are_refused);
	tcase_add_test(tc, scores_that_are_no_numbers_do_no_harm);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (!failed && missing[0]) {
		printf("%s: the vectors were not compared\n", missing);
		return 77;
	}
	return failed != 0;
}
