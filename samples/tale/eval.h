/* SPDX-License-Identifier: MIT */
/* What is measured on a finished model, and text sampled from it. Nothing here trains. */
#ifndef TALE_EVAL_H
#define TALE_EVAL_H

#include <stdio.h>

#include "net.h"
#include "spm.h"

struct eval_loss {
	double nats; /* sum over all tokens, EOS included */
	long tokens, bytes, texts;
};

struct eval_match {
	long right, total;
};

/* Loss on n stories that training never sees. 0 or -ENOMEM. */
int eval_stories(const struct net *net, const struct spm *spm, int n, struct eval_loss *out);

/* Every held-out pair of one operator (or the whole times table) as an equation. */
int eval_equations(const struct net *net, const struct spm *spm, char op, struct eval_match *out);

/* n word problems whose pair of operands is held out. */
int eval_word_problems(const struct net *net, const struct spm *spm, int n, struct eval_match *out);

/* Samples one text after prompt ("" for a free start) to f. 0 or -errno. */
int eval_sample(const struct net *net, const struct spm *spm, const char *prompt, float temperature,
		struct rng *r, FILE *f);

/* The i-th held-out text or problem: the same ones that the functions above score. */
size_t eval_story(int i, char out[CORPUS_TEXT_MAX]);
void eval_equation(int i, struct problem *p);
void eval_word_problem(int i, struct problem *p);

#endif
