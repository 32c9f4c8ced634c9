// SPDX-License-Identifier: MIT
/*
 * Training and encoding of the vocabulary. Training is byte-pair encoding over counted segments: a
 * segment is a run of letters or of punctuation, with the space in front of it. Nothing is ever
 * joined across segments, and digits are never joined at all.
 */
#include "spm.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE "\xe2\x96\x81"

enum {
	SEGMENT_MAX = 24,
	SEGMENTS_MAX = 1 << 14
};

static uint32_t hash(const char *p, size_t n)
{
	uint32_t h = 2166136261u;

	while (n--)
		h = (h ^ (unsigned char)*p++) * 16777619u;
	return h ^ (h >> 15);
}

static int find(const struct spm *s, const char *p, size_t n)
{
	for (uint32_t i = hash(p, n) & (s->slots - 1);; i = (i + 1) & (s->slots - 1)) {
		int id = s->slot[i];

		if (id < 0)
			return -1;
		if (!strncmp(s->token[id].text, p, n) && !s->token[id].text[n])
			return id;
	}
}

int spm_index(struct spm *s)
{
	for (s->slots = 64; s->slots < 4u * (uint32_t)s->n;)
		s->slots *= 2;
	s->slot = malloc(s->slots * sizeof(*s->slot));
	if (!s->slot)
		return -ENOMEM;
	memset(s->slot, 0xff, s->slots * sizeof(*s->slot));
	for (int id = 0; id < s->n; id++) {
		const char *text = s->token[id].text;
		uint32_t i = hash(text, strlen(text)) & (s->slots - 1);

		if (s->token[id].type != SPM_NORMAL)
			continue;
		while (s->slot[i] >= 0)
			i = (i + 1) & (s->slots - 1);
		s->slot[i] = id;
	}
	return 0;
}

void spm_free(struct spm *s)
{
	free(s->token);
	free(s->slot);
	*s = (struct spm){0};
}

bool spm_is_digit(const struct spm *s, int id)
{
	return isdigit((unsigned char)s->token[id].text[0]) && !s->token[id].text[1];
}

/* ---- encoding ---- */

struct symbol {
	int prev, next; /* -1 at the ends */
	int at, n;	/* bytes of the text; n = 0 when joined to the left */
};

struct pair {
	float score;
	int left, right, n; /* n = bytes of both when the pair was queued */
};

struct encoder {
	const struct spm *s;
	char *text;
	struct symbol *symbol;
	struct pair *heap;
	int n_heap;
};

static bool before(const struct pair *a, const struct pair *b)
{
	return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static void push(struct encoder *e, int left, int right)
{
	struct pair p, *h = e->heap;
	int id, i;

	if (left < 0 || right < 0)
		return;
	p.n = e->symbol[left].n + e->symbol[right].n;
	id = find(e->s, e->text + e->symbol[left].at, (size_t)p.n);
	if (id < 0)
		return;
	p.left = left;
	p.right = right;
	p.score = e->s->token[id].score;
	for (i = e->n_heap++; i && before(&p, &h[(i - 1) / 2]); i = (i - 1) / 2)
		h[i] = h[(i - 1) / 2];
	h[i] = p;
}

static struct pair pop(struct encoder *e)
{
	struct pair *h = e->heap, top = h[0], last = h[--e->n_heap];
	int i = 0;

	for (int k = 1; k < e->n_heap; k = 2 * i + 1) {
		if (k + 1 < e->n_heap && before(&h[k + 1], &h[k]))
			k++;
		if (!before(&h[k], &last))
			break;
		h[i] = h[k];
		i = k;
	}
	h[i] = last;
	return top;
}

static int split_chars(struct encoder *e, const char *text)
{
	int n = 0, at = 3;

	memcpy(e->text, SPACE, 3);
	for (; *text; text++) {
		if (*text == ' ') {
			memcpy(e->text + at, SPACE, 3);
			at += 3;
		} else {
			e->text[at++] = *text;
		}
	}
	for (int i = 0; i < at; n++) {
		int len = 1;

		while (i + len < at && ((unsigned char)e->text[i + len] & 0xc0) == 0x80)
			len++;
		e->symbol[n] = (struct symbol){n - 1, n + 1, i, len};
		i += len;
	}
	e->symbol[n - 1].next = -1;
	return n;
}

static void join_pairs(struct encoder *e)
{
	while (e->n_heap) {
		struct pair p = pop(e);
		struct symbol *l = &e->symbol[p.left], *r = &e->symbol[p.right];

		if (!l->n || !r->n || l->n + r->n != p.n)
			continue;
		l->n += r->n;
		r->n = 0;
		l->next = r->next;
		if (r->next >= 0)
			e->symbol[r->next].prev = p.left;
		push(e, l->prev, p.left);
		push(e, p.left, l->next);
	}
}

int spm_encode(const struct spm *s, const char *text, int *id, int max)
{
	size_t room = 3 * strlen(text) + 4;
	struct encoder e = {.s = s};
	int n = 0;

	if (!*text)
		return 0;
	e.text = malloc(room);
	e.symbol = malloc(room * sizeof(*e.symbol));
	e.heap = malloc(3 * room * sizeof(*e.heap));
	if (e.text && e.symbol && e.heap) {
		int chars = split_chars(&e, text);

		for (int i = 1; i < chars; i++)
			push(&e, i - 1, i);
		join_pairs(&e);
		for (int i = 0; i >= 0 && n < max; i = e.symbol[i].next) {
			const char *p = e.text + e.symbol[i].at;
			int len = e.symbol[i].n, piece = find(s, p, (size_t)len);

			if (piece >= 0)
				id[n++] = piece;
			for (int k = 0; piece < 0 && k < len && n < max; k++)
				id[n++] = SPM_BYTE0 + (unsigned char)p[k];
		}
	}
	free(e.text);
	free(e.symbol);
	free(e.heap);
	return n;
}

int spm_decode(const struct spm *s, int id, char *out)
{
	const struct spm_token *t = &s->token[id];
	int n = 0;

	if (t->type == SPM_BYTE) {
		out[0] = (char)(id - SPM_BYTE0);
		return 1;
	}
	if (t->type != SPM_NORMAL)
		return 0;
	for (const char *p = t->text; *p;) {
		bool space = !strncmp(p, SPACE, 3);

		out[n++] = space ? ' ' : *p;
		p += space ? 3 : 1;
	}
	return n;
}

/* ---- training ---- */

struct segment {
	char text[SEGMENT_MAX]; /* a leading ' ' stands for the space */
	int16_t symbol[SEGMENT_MAX];
	int n;
	uint32_t count;
};

struct trainer {
	struct spm *s;
	struct segment *segment;
	int *bucket;
	int n_segments;
	int n_chars, n_pieces; /* symbols: chars first, then joined pieces */
	char (*text)[SPM_PIECE_MAX];
	uint32_t *pairs; /* [vocab][vocab] */
	int vocab;
};

static int char_class(char c)
{
	return isdigit((unsigned char)c) ? 0 : isalpha((unsigned char)c) || c == '\'' ? 1 : 2;
}

static void add_segment(struct trainer *t, const char *p, size_t n)
{
	uint32_t mask = 2 * SEGMENTS_MAX - 1, i = hash(p, n) & mask;

	if (n >= SEGMENT_MAX)
		return;
	for (; t->bucket[i]; i = (i + 1) & mask) {
		struct segment *g = &t->segment[t->bucket[i] - 1];

		if (!strncmp(g->text, p, n) && !g->text[n]) {
			g->count++;
			return;
		}
	}
	if (t->n_segments == SEGMENTS_MAX)
		return;
	memcpy(t->segment[t->n_segments].text, p, n);
	t->segment[t->n_segments].count = 1;
	t->bucket[i] = ++t->n_segments;
}

static void count_segments(struct trainer *t, const char *text, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t k = i + (text[i] == ' ');

		if (k == n || text[k] == '\n' || text[k] == ' ') {
			i = k + (k == i);
			continue;
		}
		for (int class = char_class(text[k++]); k < n && class; k++)
			if (text[k] == ' ' || text[k] == '\n' || char_class(text[k]) != class)
				break;
		add_segment(t, text + i, k - i);
		i = k;
	}
}

/* Every printable character is a piece, so that a typed prompt rarely falls back to bytes. */
static void set_chars(struct trainer *t)
{
	int of[128];

	for (int c = ' '; c < 127; c++) {
		of[c] = t->n_chars;
		snprintf(t->text[t->n_chars++], SPM_PIECE_MAX, "%c", c);
	}
	strcpy(t->text[of[' ']], SPACE);
	t->n_pieces = t->n_chars;
	for (int i = 0; i < t->n_segments; i++) {
		struct segment *g = &t->segment[i];

		for (const char *p = g->text; *p; p++)
			g->symbol[g->n++] = (int16_t)of[(unsigned char)*p & 127];
	}
}

static bool joinable(const struct trainer *t, int symbol)
{
	return !isdigit((unsigned char)t->text[symbol][0]) &&
	       strlen(t->text[symbol]) < SPM_PIECE_MAX / 2;
}

static uint32_t best_pair(struct trainer *t, int *left, int *right)
{
	uint32_t best = 0;

	memset(t->pairs, 0, (size_t)t->vocab * t->vocab * sizeof(*t->pairs));
	for (int i = 0; i < t->n_segments; i++)
		for (int k = 1; k < t->segment[i].n; k++) {
			int l = t->segment[i].symbol[k - 1], r = t->segment[i].symbol[k];

			if (joinable(t, l) && joinable(t, r))
				t->pairs[l * t->vocab + r] += t->segment[i].count;
		}
	for (int l = 0; l < t->n_pieces; l++)
		for (int r = 0; r < t->n_pieces; r++)
			if (t->pairs[l * t->vocab + r] > best) {
				best = t->pairs[l * t->vocab + r];
				*left = l;
				*right = r;
			}
	return best;
}

/* Two ways to the same string are the same piece. */
static int piece_of(struct trainer *t, int left, int right)
{
	char text[SPM_PIECE_MAX];
	int i;

	snprintf(text, sizeof(text), "%.15s%.15s", t->text[left], t->text[right]);
	for (i = 0; i < t->n_pieces; i++)
		if (!strcmp(t->text[i], text))
			return i;
	strcpy(t->text[t->n_pieces++], text);
	return i;
}

static void join_everywhere(struct trainer *t, int left, int right, int piece)
{
	for (int i = 0; i < t->n_segments; i++) {
		struct segment *g = &t->segment[i];
		int n = 0;

		for (int k = 0; k < g->n; k++) {
			bool hit = k + 1 < g->n && g->symbol[k] == left &&
				   g->symbol[k + 1] == right;

			g->symbol[n++] = hit ? (int16_t)piece : g->symbol[k];
			k += hit;
		}
		g->n = n;
	}
}

static void set_token(struct spm *s, const char *text, float score, enum spm_type type)
{
	struct spm_token *t = &s->token[s->n++];

	snprintf(t->text, sizeof(t->text), "%s", text);
	t->score = score;
	t->type = type;
}

/* Specials, bytes, then pieces in the order in which they were joined, then characters. */
static void set_tokens(const struct trainer *t)
{
	char byte[8];
	float score = 0;

	set_token(t->s, "<unk>", 0, SPM_UNKNOWN);
	set_token(t->s, "<s>", 0, SPM_CONTROL);
	set_token(t->s, "</s>", 0, SPM_CONTROL);
	for (int i = 0; i < 256; i++) {
		snprintf(byte, sizeof(byte), "<0x%02X>", i);
		set_token(t->s, byte, 0, SPM_BYTE);
	}
	for (int i = t->n_chars; i < t->n_pieces; i++, score--)
		set_token(t->s, t->text[i], score, SPM_NORMAL);
	for (int i = 0; i < t->n_chars; i++, score--)
		set_token(t->s, t->text[i], score, SPM_NORMAL);
}

static int learn(struct trainer *t, const char *text, size_t n)
{
	int left = 0, right = 0;

	count_segments(t, text, n);
	set_chars(t);
	while (t->n_pieces < t->vocab - SPM_FIRST_PIECE) {
		if (!best_pair(t, &left, &right))
			return -EINVAL;
		join_everywhere(t, left, right, piece_of(t, left, right));
	}
	set_tokens(t);
	return spm_index(t->s);
}

int spm_train(struct spm *s, const char *text, size_t n, int vocab)
{
	struct trainer t = {.s = s, .vocab = vocab};
	int err = -ENOMEM;

	*s = (struct spm){0};
	s->token = calloc((size_t)vocab, sizeof(*s->token));
	t.segment = calloc(SEGMENTS_MAX, sizeof(*t.segment));
	t.bucket = calloc(2 * SEGMENTS_MAX, sizeof(*t.bucket));
	t.text = calloc((size_t)vocab, sizeof(*t.text));
	t.pairs = malloc((size_t)vocab * vocab * sizeof(*t.pairs));
	if (s->token && t.segment && t.bucket && t.text && t.pairs)
		err = learn(&t, text, n);
	free(t.segment);
	free(t.bucket);
	free(t.text);
	free(t.pairs);
	if (err)
		spm_free(s);
	return err;
}
