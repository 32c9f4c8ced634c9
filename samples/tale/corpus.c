// SPDX-License-Identifier: MIT
/*
 * Random streams, arithmetic and the held-out rule. The story grammar itself is in story.c.
 */
#include "corpus.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
	HELDOUT_PAIR_ONE_IN = 10,
	HELDOUT_STORY_ONE_IN = 16
};

static uint64_t mix64(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

struct rng rng_from(uint64_t seed, uint64_t stream, uint64_t index)
{
	struct rng r = {mix64(seed + 0x9e3779b97f4a7c15u)};

	r.state = mix64(r.state ^ mix64(stream + 0x632be59bd9b4e019u));
	r.state = mix64(r.state ^ mix64(index + 0xd1342543de82ef95u));
	return r;
}

uint64_t rng_next(struct rng *r)
{
	return mix64(r->state += 0x9e3779b97f4a7c15u);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

float rng_unit(struct rng *r)
{
	return (float)(rng_next(r) >> 40) * 0x1p-24f;
}

float rng_normal(struct rng *r)
{
	float u = 1.0f - rng_unit(r);
	float v = rng_unit(r);

	return sqrtf(-2.0f * logf(u)) * cosf(6.28318531f * v);
}

bool corpus_pair_heldout(int a, char op, int b)
{
	if (op == '*')
		return false;
	if (op == '+' && a > b) {
		int t = a;

		a = b;
		b = t;
	}
	return mix64((uint64_t)a * 1000003u + (uint64_t)b * 257u + (uint64_t)op) %
		       HELDOUT_PAIR_ONE_IN ==
	       0;
}

static bool story_heldout(const char *text)
{
	uint64_t h = 1469598103934665603u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 1099511628211u;
	return mix64(h) % HELDOUT_STORY_ONE_IN == 0;
}

size_t corpus_story(struct rng *r, enum split split, char out[CORPUS_TEXT_MAX])
{
	size_t n;

	do {
		n = story_write(r, out);
	} while (story_heldout(out) != (split == SPLIT_HELDOUT));
	return n;
}

static int apply(int a, char op, int b)
{
	return op == '+' ? a + b : op == '-' ? a - b : a * b;
}

/* One draw in four is from the small numbers, which a uniform draw would hardly ever give. */
static void draw_pair(struct rng *r, enum split split, char op, int least, struct problem *p)
{
	do {
		int top = rng_below(r, 4) ? CORPUS_NUMBER_MAX : 20;

		if (op == '*')
			top = CORPUS_TABLE_MAX;
		p->a = least + (int)rng_below(r, (uint32_t)(top - least + 1));
		p->b = least + (int)rng_below(r, (uint32_t)(top - least + 1));
		if (op == '-' && p->b > p->a) {
			int t = p->a;

			p->a = p->b;
			p->b = t;
		}
		p->op = op;
		p->result = apply(p->a, op, p->b);
	} while (p->result < least ||
		 corpus_pair_heldout(p->a, op, p->b) != (split == SPLIT_HELDOUT));
}

static char draw_op(struct rng *r, enum split split)
{
	return "+-+-+-+-*"[rng_below(r, split == SPLIT_HELDOUT ? 8 : 9)];
}

void corpus_equation_of(int a, char op, int b, struct problem *p)
{
	p->a = a;
	p->b = b;
	p->op = op;
	p->result = apply(a, op, b);
	snprintf(p->prompt, sizeof(p->prompt), "%d %c %d =", a, op, b);
	snprintf(p->answer, sizeof(p->answer), " %d", p->result);
	strcpy(p->tail, ".");
}

void corpus_equation(struct rng *r, enum split split, char op, struct problem *p)
{
	draw_pair(r, split, op ? op : draw_op(r, split), 0, p);
	corpus_equation_of(p->a, p->op, p->b, p);
}

/*
 * '#' parts the prompt, the answer and the tail. 1 and 2 stand for the operands, n and m for two
 * names, [he] for n's pronoun, t for a plural noun. All counts are at least 2, so plurals hold.
 */
static const char *const word_sum[] = {
	"[n] has [1] [t]. [m] gives [him] [2] more. Now [n] has# [t].",
	"[n] has [1] [t] and [m] has [2] [t]. Together they have# [t].",
	"[n] has [1] [t]. [He] finds [2] more. How many [t] does [n] have now? [n] has# [t].",
	"There are [1] [w]. Then [2] more come. Now there are# of them.",
	"[n] read [1] pages on Monday and [2] pages on Tuesday. In all, [n] read# pages.",
	"[n] puts [1] [t] in a box. [m] puts [2] more [t] in the box. Now the box has# [t].",
	"A shop sold [1] [t] in the morning and [2] in the afternoon. It sold# [t] that day.",
};

static const char *const word_difference[] = {
	"[n] has [1] [t]. [He] gives [2] to [m]. [n] has# [t] left.",
	"[n] has [1] [t]. [He] loses [2] of them. How many [t] does [n] have now? [n] has# [t].",
	"There are [1] [w]. Then [2] go away. Now there are# of them.",
	"[n] has [1] [t] and [m] has [2] [t]. [n] has# more than [m].",
	"A shop had [1] [t] and sold [2] of them. The shop has# [t] left.",
	"A book has [1] pages. [n] has read [2] pages. [He] still has# pages to read.",
};

static const char *const word_product[] = {
	"There are [1] boxes with [2] [t] in each box. In all, there are# [t].",
	"[n] has [1] bags. Each bag holds [2] [t]. [n] has# [t].",
	"[n] reads [2] pages every day. After [1] days, [n] has read# pages.",
};

static const char *const things[] = {
	"apples", "pears",   "marbles", "shells", "stickers", "pencils", "cookies", "books",
	"stones", "buttons", "coins",	"cards",  "eggs",     "nuts",	 "flowers", "cherries",
};

static const char *const crowds[] = {
	"birds in the tree",  "ducks on the pond",  "children in the park", "frogs by the river",
	"bees in the garden", "sheep in the field", "cats on the roof",	    "people on the bus",
};

#define COUNT(x) ((uint32_t)(sizeof(x) / sizeof((x)[0])))

static const char *draw_pattern(struct rng *r, char op)
{
	if (op == '+')
		return word_sum[rng_below(r, COUNT(word_sum))];
	if (op == '-')
		return word_difference[rng_below(r, COUNT(word_difference))];
	return word_product[rng_below(r, COUNT(word_product))];
}

void corpus_word_problem(struct rng *r, enum split split, struct problem *p)
{
	char op = draw_op(r, split);
	const char *pattern = draw_pattern(r, op);
	const char *name[2];
	bool female[2];
	char one[16], two[16], text[CORPUS_TEXT_MAX];
	char *hash;

	draw_pair(r, split, op, 2, p);
	story_two_names(r, name, female);
	snprintf(one, sizeof(one), "%d", p->a);
	snprintf(two, sizeof(two), "%d", p->b);

	const char *vars[] = {
		"1",   one,
		"2",   two,
		"n",   name[0],
		"m",   name[1],
		"he",  female[0] ? "she" : "he",
		"him", female[0] ? "her" : "him",
		"t",   things[rng_below(r, COUNT(things))],
		"w",   crowds[rng_below(r, COUNT(crowds))],
		NULL,
	};

	story_expand(r, pattern, vars, text);
	hash = strchr(text, '#');
	*hash = 0;
	memcpy(p->prompt, text, (size_t)(hash - text) + 1);
	snprintf(p->answer, sizeof(p->answer), " %d", p->result);
	strcpy(p->tail, hash + 1);
}
