// SPDX-License-Identifier: MIT
/*
 * Greedy merging of neighbours, best pair first, as SentencePiece's BPE model and byte-level BPE
 * both do it: a list of symbols, a heap of pairs, and lazy removal of pairs that no longer hold.
 * What merges, and in which order, is the caller's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tokenizer.h"

static int grow(void **array, size_t *max, size_t need, size_t size)
{
	size_t count = *max ? *max : 256;
	void *p;

	if (need <= *max)
		return 0;
	while (count < need)
		count *= 2;
	p = realloc(*array, count * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*max = count;
	return 0;
}

int tok_merger_reserve(struct tok_merger *m, size_t symbols)
{
	int ret = grow((void **)&m->symbols, &m->max_symbols, symbols, sizeof(*m->symbols));

	/* n - 1 pairs at first; each of at most n - 1 merges takes one and adds two. */
	return ret ? ret : grow((void **)&m->heap, &m->max_heap, symbols * 2, sizeof(*m->heap));
}

int tok_merger_reserve_text(struct tok_merger *m, size_t bytes)
{
	return grow((void **)&m->text, &m->max_text, bytes, 1);
}

void tok_merger_free(struct tok_merger *m)
{
	free(m->symbols);
	free(m->heap);
	free(m->text);
	*m = (struct tok_merger){ 0 };
}

void tok_merger_add(struct tok_merger *m, uint32_t at, uint32_t bytes, uint32_t token)
{
	int32_t i = (int32_t)m->n_symbols++;

	m->symbols[i] = (struct tok_symbol){
		.prev = i - 1, .next = -1, .at = at, .bytes = bytes, .token = token,
	};
	if (i)
		m->symbols[i - 1].next = i;
}

static bool before(const struct tok_pair *a, const struct tok_pair *b)
{
	return a->key < b->key || (a->key == b->key && a->left < b->left);
}

static void push(struct tok_merger *m, struct tok_pair pair)
{
	size_t i = m->n_heap++, up;

	for (; i; i = up) {
		up = (i - 1) / 2;
		if (!before(&pair, &m->heap[up]))
			break;
		m->heap[i] = m->heap[up];
	}
	m->heap[i] = pair;
}

static struct tok_pair pop(struct tok_merger *m)
{
	struct tok_pair top = m->heap[0], last = m->heap[--m->n_heap];
	size_t i = 0, down;

	for (; (down = 2 * i + 1) < m->n_heap; i = down) {
		if (down + 1 < m->n_heap && before(&m->heap[down + 1], &m->heap[down]))
			down++;
		if (!before(&m->heap[down], &last))
			break;
		m->heap[i] = m->heap[down];
	}
	m->heap[i] = last;
	return top;
}

static void consider(struct tok_merger *m, const struct accel_tokenizer *t, const char *text,
		     tok_pair_fn fn, int32_t left, int32_t right)
{
	struct tok_pair pair = { .left = left, .right = right };

	if (left < 0 || right < 0)
		return;
	pair.bytes = m->symbols[left].bytes + m->symbols[right].bytes;
	if (fn(t, text, &m->symbols[left], &m->symbols[right], &pair))
		push(m, pair);
}

void tok_merger_run(struct tok_merger *m, const struct accel_tokenizer *t, const char *text,
		    tok_pair_fn fn)
{
	for (size_t i = 1; i < m->n_symbols; i++)
		consider(m, t, text, fn, (int32_t)i - 1, (int32_t)i);
	while (m->n_heap) {
		struct tok_pair pair = pop(m);
		struct tok_symbol *left = &m->symbols[pair.left];
		struct tok_symbol *right = &m->symbols[pair.right];

		if (!left->bytes || !right->bytes || left->bytes + right->bytes != pair.bytes)
			continue;
		left->bytes = pair.bytes;
		left->token = pair.token;
		left->next = right->next;
		right->bytes = 0;
		if (right->next >= 0)
			m->symbols[right->next].prev = pair.left;
		consider(m, t, text, fn, left->prev, pair.left);
		consider(m, t, text, fn, pair.left, left->next);
	}
}
