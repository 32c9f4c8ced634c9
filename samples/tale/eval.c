// SPDX-License-Identifier: MIT
/*
 * Held-out loss, exact match and sampling. Exact match is computed in one pass over the right
 * answer: greedy decoding gives the answer if and only if every one of its tokens is the most
 * likely one, and the token after it is not another digit.
 */
#include "eval.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

enum {
	SEED = 20260731,
	STREAM_STORY = 101,
	STREAM_EQUATION,
	STREAM_WORDS
};
enum {
	ROWS = 4,
	MAX_TOKENS = 1024,
	MAX_PENDING = 256
};

size_t eval_story(int i, char out[CORPUS_TEXT_MAX])
{
	struct rng r = rng_from(SEED, STREAM_STORY, (uint64_t)i);

	return corpus_story(&r, SPLIT_HELDOUT, out);
}

void eval_equation(int i, struct problem *p)
{
	struct rng r = rng_from(SEED, STREAM_EQUATION, (uint64_t)i);

	corpus_equation(&r, SPLIT_HELDOUT, 0, p);
}

void eval_word_problem(int i, struct problem *p)
{
	struct rng r = rng_from(SEED, STREAM_WORDS, (uint64_t)i);

	corpus_word_problem(&r, SPLIT_HELDOUT, p);
}

/* A document waiting in the rows, with the span of its answer. */
struct pending {
	int first, answer, end; /* token indices over all rows; end is one past the answer */
};

struct scorer {
	const struct net *net;
	const struct spm *spm;
	struct net_work *work;
	struct rows rows;
	int row;
	struct pending pending[MAX_PENDING];
	int n_pending;
	struct eval_match match;
	struct eval_loss loss;
};

static int scorer_new(struct scorer *s, const struct net *net, const struct spm *spm)
{
	*s = (struct scorer){.net = net, .spm = spm};
	s->work = net_work_new(net, ROWS, net->shape.context);
	if (s->work && !rows_new(&s->rows, ROWS, net->shape.context))
		return 0;
	net_work_free(s->work);
	return -ENOMEM;
}

static void scorer_free(struct scorer *s)
{
	net_work_free(s->work);
	rows_free(&s->rows);
}

static int top_token(const float *logits, int n)
{
	int top = 0;

	for (int i = 1; i < n; i++)
		if (logits[i] > logits[top])
			top = i;
	return top;
}

static bool matches(const struct scorer *s, const struct pending *p)
{
	size_t stride = net_logits_stride(s->net);
	int vocab = s->net->shape.vocab;

	for (int t = p->answer; t < p->end; t++)
		if (top_token(net_logits(s->work) + (size_t)t * stride, vocab) != s->rows.target[t])
			return false;
	return !spm_is_digit(s->spm,
			     top_token(net_logits(s->work) + (size_t)p->end * stride, vocab));
}

static void flush(struct scorer *s)
{
	struct net_batch b = rows_batch(&s->rows, 0, ROWS);

	net_forward(s->net, s->work, &b);
	for (int i = 0; i < s->n_pending; i++) {
		s->match.right += matches(s, &s->pending[i]);
		s->match.total++;
	}
	for (int t = 0; t < b.n * b.len; t++)
		s->loss.tokens += b.target[t] >= 0;
	s->loss.nats += net_loss(s->net, s->work, &b, 1.0f);
	rows_clear(&s->rows);
	s->row = s->n_pending = 0;
}

/* Returns the token index of the BOS over all rows, or -1 for a document longer than a row. */
static int add(struct scorer *s, const int *id, int n)
{
	int first;

	if (n + 1 > s->rows.len)
		return -1;
	while ((first = rows_add(&s->rows, s->row, id, n)) < 0)
		if (++s->row == ROWS)
			flush(s);
	return s->row * s->rows.len + first;
}

static void add_problem(struct scorer *s, const struct problem *p)
{
	char text[512];
	int id[MAX_TOKENS], before, to_answer, n, first;

	before = spm_encode(s->spm, p->prompt, id, MAX_TOKENS);
	snprintf(text, sizeof(text), "%s%s", p->prompt, p->answer);
	to_answer = spm_encode(s->spm, text, id, MAX_TOKENS);
	snprintf(text, sizeof(text), "%s%s%s", p->prompt, p->answer, p->tail);
	n = spm_encode(s->spm, text, id, MAX_TOKENS);
	if (s->n_pending == MAX_PENDING)
		flush(s);
	first = add(s, id, n);
	if (first >= 0)
		s->pending[s->n_pending++] =
			(struct pending){first, first + before, first + to_answer};
}

int eval_stories(const struct net *net, const struct spm *spm, int n, struct eval_loss *out)
{
	char text[CORPUS_TEXT_MAX];
	struct scorer s;
	int id[MAX_TOKENS];

	if (scorer_new(&s, net, spm))
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		size_t bytes = eval_story(i, text);

		if (add(&s, id, spm_encode(spm, text, id, MAX_TOKENS)) < 0)
			continue;
		s.loss.bytes += (long)bytes;
		s.loss.texts++;
	}
	flush(&s);
	*out = s.loss;
	scorer_free(&s);
	return 0;
}

int eval_equations(const struct net *net, const struct spm *spm, char op, struct eval_match *out)
{
	int top = op == '*' ? CORPUS_TABLE_MAX : CORPUS_NUMBER_MAX;
	struct scorer s;
	struct problem p;

	if (scorer_new(&s, net, spm))
		return -ENOMEM;
	for (int a = 0; a <= top; a++)
		for (int b = 0; b <= (op == '-' ? a : top); b++) {
			if (op != '*' && !corpus_pair_heldout(a, op, b))
				continue;
			corpus_equation_of(a, op, b, &p);
			add_problem(&s, &p);
		}
	flush(&s);
	*out = s.match;
	scorer_free(&s);
	return 0;
}

int eval_word_problems(const struct net *net, const struct spm *spm, int n, struct eval_match *out)
{
	struct scorer s;
	struct problem p;

	if (scorer_new(&s, net, spm))
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		eval_word_problem(i, &p);
		add_problem(&s, &p);
	}
	flush(&s);
	*out = s.match;
	scorer_free(&s);
	return 0;
}

/* ---- sampling ---- */

static int draw(const float *logits, int n, float temperature, struct rng *r)
{
	int top = top_token(logits, n);
	double sum = 0, at;

	if (temperature <= 0)
		return top;
	for (int i = 0; i < n; i++)
		sum += exp((double)(logits[i] - logits[top]) / temperature);
	at = sum * rng_unit(r);
	for (int i = 0; i < n; i++) {
		at -= exp((double)(logits[i] - logits[top]) / temperature);
		if (at < 0)
			return i;
	}
	return top;
}

/* The whole text goes through the network for each token: simple, and quick enough to read. */
static int next_token(const struct net *net, struct net_work *work, struct rows *rows, int n,
		      float temperature, struct rng *r)
{
	int len = (n + NET_ALIGN - 1) / NET_ALIGN * NET_ALIGN;
	struct net_batch b = {1, len, rows->token, rows->start, rows->target};

	net_forward(net, work, &b);
	return draw(net_logits(work) + (size_t)(n - 1) * net_logits_stride(net), net->shape.vocab,
		    temperature, r);
}

int eval_sample(const struct net *net, const struct spm *spm, const char *prompt, float temperature,
		struct rng *r, FILE *f)
{
	int len = net->shape.context, n = 1;
	struct net_work *work = net_work_new(net, 1, len);
	char piece[SPM_PIECE_MAX];
	struct rows rows;

	if (!work || rows_new(&rows, 1, len)) {
		net_work_free(work);
		return -ENOMEM;
	}
	memset(rows.start, 0, (size_t)len * sizeof(int));
	rows.token[0] = SPM_BOS;
	n += spm_encode(spm, prompt, rows.token + 1, len - 1);
	fputs(prompt, f);
	for (; n < len; n++) {
		int id = next_token(net, work, &rows, n, temperature, r), bytes, skip;

		if (id == SPM_EOS)
			break;
		rows.token[n] = id;
		bytes = spm_decode(spm, id, piece);
		skip = n == 1 && bytes && piece[0] == ' ';
		fwrite(piece + skip, 1, (size_t)(bytes - skip), f);
	}
	fputc('\n', f);
	net_work_free(work);
	rows_free(&rows);
	return 0;
}
