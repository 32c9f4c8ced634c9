// SPDX-License-Identifier: MIT
/* The command line: train, evaluate, sample, emit held-out data. All work is done elsewhere. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval.h"
#include "gguf.h"
#include "rows.h"
#include "train.h"

enum {
	EVAL_STORIES = 1000,
	EVAL_WORD_PROBLEMS = 1000,
	STREAM_INIT = 0,
	STREAM_SAMPLE = 201
};
enum {
	EMIT_TOKENS_MAX = 200
};

/* 1.98 million parameters: 3.98 MB as F16 with the vocabulary. */
static const struct net_shape shape = {
	.dim = 192,
	.hidden = 448,
	.layers = 5,
	.heads = 6,
	.kv_heads = 2,
	.head_dim = 32,
	.vocab = 1024,
	.context = 256,
};

struct args {
	struct train_options train;
	const char *out, *eval, *sample, *prompt, *emit, *emit_tokens, *model;
	float temperature;
	int count, emit_count;
	bool selftest, help;
};

enum kind {
	TEXT,
	SEED,
	NUMBER,
	REAL,
	FLAG,
	TEXT_NUMBER
};

struct option {
	const char *name;
	enum kind kind;
	size_t offset;
	const char *operand, *help;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
	{"--out", TEXT, AT(out), "FILE", "train and write FILE (GGUF, F16)"},
	{"--seed", SEED, AT(train.seed), "N", "of weights, vocabulary, text, samples (1)"},
	{"--steps", NUMBER, AT(train.steps), "N", "optimiser steps (9000)"},
	{"--batch", NUMBER, AT(train.batch), "N", "rows of 256 tokens a step (16)"},
	{"--rate", REAL, AT(train.rate), "X", "peak learning rate (0.004)"},
	{"--threads", NUMBER, AT(train.threads), "N", "of training (2)"},
	{"--checkpoint", TEXT, AT(train.checkpoint), "FILE", "saved every 500 steps, resumed from"},
	{"--log", FLAG, AT(train.log), "", "a line every 100 steps even without a terminal"},
	{"--eval", TEXT, AT(eval), "FILE", "held-out loss and exact match of a model"},
	{"--sample", TEXT, AT(sample), "FILE", "text sampled from a model"},
	{"--prompt", TEXT, AT(prompt), "TEXT", "what the samples begin with"},
	{"--temperature", REAL, AT(temperature), "X", "of the samples, 0 is greedy (0.7)"},
	{"--count", NUMBER, AT(count), "N", "samples (1)"},
	{"--emit", TEXT_NUMBER, AT(emit), "WHAT N", "held-out items, one a line; WHAT is"},
	{"", FLAG, 0, "", "  heldout-stories  texts, \\n for a line break"},
	{"", FLAG, 0, "", "  heldout-arith    prompt, tab, answer"},
	{"", FLAG, 0, "", "  heldout-words    the same, word problems"},
	{"", FLAG, 0, "", "  train-stories    what training sees, for comparison"},
	{"--emit-tokens", TEXT_NUMBER, AT(emit_tokens), "WHAT N",
	 "heldout-stories as ids: BOS first, at most 200"},
	{"--model", TEXT, AT(model), "FILE", "whose vocabulary --emit-tokens takes"},
	{"--selftest", FLAG, AT(selftest), "", "gradients and vocabulary"},
	{"--help", FLAG, AT(help), "", "this list"},
};

static int fail(const char *what, int err)
{
	fprintf(stderr, "tale-train: %s: %s\n", what, strerror(-err));
	return 1;
}

static int learn_vocabulary(struct spm *spm, uint64_t seed)
{
	size_t n;
	char *text = rows_vocabulary_text(seed, &n);
	int err = text ? spm_train(spm, text, n, shape.vocab) : -ENOMEM;

	free(text);
	return err;
}

static int train(const struct args *a)
{
	struct rng r = rng_from(a->train.seed, STREAM_INIT, 0);
	struct spm spm;
	struct net net;
	int err = learn_vocabulary(&spm, a->train.seed);

	if (err)
		return fail("vocabulary", err);
	err = net_new(&net, &shape);
	if (err)
		return fail("network", err);
	net_init(&net, &r);
	err = train_run(&net, &spm, &a->train);
	if (err)
		return fail("training", err);
	err = tale_gguf_write(a->out, &net, &spm);
	if (err)
		return fail(a->out, err);
	net_free(&net);
	spm_free(&spm);
	return 0;
}

static void print_match(const char *what, const struct eval_match *m)
{
	printf("%-38s %5ld of %5ld  %6.2f %%\n", what, m->right, m->total,
	       m->total ? 100.0 * (double)m->right / (double)m->total : 0.0);
}

static int evaluate(const char *path)
{
	struct eval_match sum, difference, product, words;
	struct eval_loss loss;
	struct spm spm;
	struct net net;
	int err = tale_gguf_read(path, &net, &spm);

	if (err)
		return fail(path, err);
	err = eval_stories(&net, &spm, EVAL_STORIES, &loss);
	if (!err)
		err = eval_equations(&net, &spm, '+', &sum);
	if (!err)
		err = eval_equations(&net, &spm, '-', &difference);
	if (!err)
		err = eval_equations(&net, &spm, '*', &product);
	if (!err)
		err = eval_word_problems(&net, &spm, EVAL_WORD_PROBLEMS, &words);
	net_free(&net);
	spm_free(&spm);
	if (err)
		return fail("evaluation", err);
	printf("held-out stories: %ld texts, %ld tokens, %.4f nats/token, %.4f nats/byte\n",
	       loss.texts, loss.tokens, loss.nats / (double)loss.tokens,
	       loss.nats / (double)loss.bytes);
	printf("exact match, greedy, on pairs of operands never seen in training:\n");
	print_match("  sums to 99 + 99 (all held out)", &sum);
	print_match("  differences to 99 - 99 (all held out)", &difference);
	sum.right += difference.right;
	sum.total += difference.total;
	print_match("  both", &sum);
	print_match("  word problems", &words);
	printf("learned by heart, all of it seen in training:\n");
	print_match("  times table to 10 * 10", &product);
	return 0;
}

static int sample(const struct args *a)
{
	struct spm spm;
	struct net net;
	int err = tale_gguf_read(a->sample, &net, &spm);

	if (err)
		return fail(a->sample, err);
	for (int i = 0; i < a->count && !err; i++) {
		struct rng r = rng_from(a->train.seed, STREAM_SAMPLE, (uint64_t)i);

		if (i)
			putchar('\n');
		err = eval_sample(&net, &spm, a->prompt, a->temperature, &r, stdout);
	}
	net_free(&net);
	spm_free(&spm);
	return err ? fail("sampling", err) : 0;
}

static void print_line(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", stdout);
		else
			putchar(*text);
	}
	putchar('\n');
}

static void print_problem(const struct problem *p)
{
	printf("%s\t%d\n", p->prompt, p->result);
}

static int emit(const char *what, int n)
{
	char text[CORPUS_TEXT_MAX];
	struct problem p;
	struct rng r;

	for (int i = 0; i < n; i++) {
		if (!strcmp(what, "heldout-stories")) {
			eval_story(i, text);
			print_line(text);
		} else if (!strcmp(what, "heldout-arith")) {
			eval_equation(i, &p);
			print_problem(&p);
		} else if (!strcmp(what, "heldout-words")) {
			eval_word_problem(i, &p);
			print_problem(&p);
		} else if (!strcmp(what, "train-stories")) {
			r = rng_from(1, 1, (uint64_t)i);
			corpus_story(&r, SPLIT_TRAIN, text);
			print_line(text);
		} else {
			return fail(what, -EINVAL);
		}
	}
	return 0;
}

static int emit_tokens(const struct args *a, int n)
{
	char text[CORPUS_TEXT_MAX];
	struct spm spm;
	struct net net = {0};
	int id[EMIT_TOKENS_MAX - 1];
	int err = a->model ? tale_gguf_read(a->model, &net, &spm)
			   : learn_vocabulary(&spm, a->train.seed);

	if (err || strcmp(a->emit_tokens, "heldout-stories"))
		return fail(a->emit_tokens, err ? err : -EINVAL);
	for (int i = 0; i < n; i++) {
		int used;

		eval_story(i, text);
		used = spm_encode(&spm, text, id, EMIT_TOKENS_MAX - 1);
		printf("%d", SPM_BOS);
		for (int k = 0; k < used; k++)
			printf(" %d", id[k]);
		putchar('\n');
	}
	net_free(&net);
	spm_free(&spm);
	return 0;
}

static int round_trip(const struct spm *spm, const char *text)
{
	char back[2 * CORPUS_TEXT_MAX];
	int id[2048], n = spm_encode(spm, text, id, 2048), at = 0;

	for (int i = 0; i < n; i++)
		at += spm_decode(spm, id[i], back + at);
	back[at] = 0;
	return !strcmp(back + 1, text);
}

static int selftest(void)
{
	double worst = train_gradient_error();
	char text[CORPUS_TEXT_MAX];
	struct spm spm;
	int good = worst < 5e-3, err;

	printf("gradients: largest error %.1e of the norm: %s\n", worst, good ? "ok" : "WRONG");
	err = learn_vocabulary(&spm, 1);
	if (err)
		return fail("vocabulary", err);
	for (int i = 0; i < 200; i++) {
		eval_story(i, text);
		good &= round_trip(&spm, text);
	}
	good &= round_trip(&spm, "caf\xc3\xa9 \xe2\x82\xac"
				 "5\t#  two spaces");
	printf("vocabulary: %d pieces, round trip: %s\n", spm.n, good ? "ok" : "WRONG");
	spm_free(&spm);
	return !good;
}

static int usage(FILE *f)
{
	fputs("tale-train: trains a small Llama-architecture model on generated text\n\n", f);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		fprintf(f, "  %-14s %-7s %s\n", options[i].name, options[i].operand,
			options[i].help);
	return f == stdout ? 0 : 2;
}

static const struct option *find_option(const char *name)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (*name && !strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

static bool parse(struct args *a, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const struct option *o = find_option(argv[i]);
		char *at = (char *)a + (o ? o->offset : 0);
		int operands = !o || o->kind == FLAG ? 0 : o->kind == TEXT_NUMBER ? 2 : 1;

		if (!o || i + operands >= argc)
			return false;
		if (o->kind == FLAG)
			*(bool *)at = true;
		else if (o->kind == SEED)
			*(uint64_t *)at = strtoull(argv[i + 1], NULL, 0);
		else if (o->kind == NUMBER)
			*(int *)at = atoi(argv[i + 1]);
		else if (o->kind == REAL)
			*(float *)at = strtof(argv[i + 1], NULL);
		else
			*(const char **)at = argv[i + 1];
		if (o->kind == TEXT_NUMBER)
			a->emit_count = atoi(argv[i + 2]);
		i += operands;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct args a = {
		.train = {.seed = 1, .steps = 9000, .threads = 2, .batch = 16, .rate = 4e-3f},
		.prompt = "",
		.temperature = 0.7f,
		.count = 1,
	};

	if (!parse(&a, argc, argv))
		return usage(stderr);
	if (a.help)
		return usage(stdout);
	if (a.selftest)
		return selftest();
	if (a.emit)
		return emit(a.emit, a.emit_count);
	if (a.emit_tokens)
		return emit_tokens(&a, a.emit_count);
	if (a.eval)
		return evaluate(a.eval);
	if (a.sample)
		return sample(&a);
	if (a.out)
		return train(&a);
	return usage(stderr);
}
