// SPDX-License-Identifier: MIT
/*
 * GGUF writer and the reader for its own output, which insists on the tensors and types that the
 * writer gives a model of the same shape. Hosts are little-endian.
 */
#include "gguf.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ALIGNMENT = 32,
	VERSION = 3,
	MAX_TENSORS = 2 + 9 * NET_MAX_LAYERS
};
enum {
	TYPE_U32 = 4,
	TYPE_I32 = 5,
	TYPE_F32 = 6,
	TYPE_BOOL = 7,
	TYPE_STRING = 8,
	TYPE_ARRAY = 9
};
enum {
	TENSOR_F32 = 0,
	TENSOR_F16 = 1
};

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF is written as it lies in memory");

static uint16_t half_from(float x)
{
	uint32_t u, sign, rest;

	memcpy(&u, &x, sizeof(u));
	sign = u >> 16 & 0x8000;
	u &= 0x7fffffff;
	if (u >= 0x47800000) /* 65536 and above, infinities and NaN */
		return (uint16_t)(sign | (u > 0x7f800000 ? 0x7e00 : 0x7c00));
	if (u < 0x38800000) { /* below 2^-14: the step is 2^-24 */
		float y;

		memcpy(&y, &u, sizeof(y));
		y += 0.5f; /* one unit in the last place of 0.5 is 2^-24: rounds to even */
		memcpy(&u, &y, sizeof(u));
		return (uint16_t)(sign | (u - 0x3f000000));
	}
	rest = u & 0x1fff;
	u = (u - 0x38000000) >> 13;
	u += rest > 0x1000 || (rest == 0x1000 && (u & 1));
	return (uint16_t)(sign | u);
}

static float half_to(uint16_t h)
{
	uint32_t u = (h & 0x7fffu) << 13;
	float x;

	u += (h & 0x7c00) == 0x7c00 ? 0x70000000 : 0;
	memcpy(&x, &u, sizeof(x));
	x *= 0x1p112f;
	return h & 0x8000 ? -x : x;
}

/* ---- writing ---- */

struct writer {
	FILE *f;
	uint64_t n;
	uint64_t keys;
};

static void raw(struct writer *w, const void *p, size_t n)
{
	fwrite(p, 1, n, w->f);
	w->n += n;
}

static void u32(struct writer *w, uint32_t x)
{
	raw(w, &x, sizeof(x));
}

static void u64(struct writer *w, uint64_t x)
{
	raw(w, &x, sizeof(x));
}

static void string(struct writer *w, const char *s)
{
	u64(w, strlen(s));
	raw(w, s, strlen(s));
}

static void key(struct writer *w, const char *name, uint32_t type)
{
	w->keys++;
	string(w, name);
	u32(w, type);
}

static void key_u32(struct writer *w, const char *name, uint32_t x)
{
	key(w, name, TYPE_U32);
	u32(w, x);
}

static void key_f32(struct writer *w, const char *name, float x)
{
	key(w, name, TYPE_F32);
	raw(w, &x, sizeof(x));
}

static void key_bool(struct writer *w, const char *name, bool x)
{
	uint8_t byte = x;

	key(w, name, TYPE_BOOL);
	raw(w, &byte, 1);
}

static void key_string(struct writer *w, const char *name, const char *s)
{
	key(w, name, TYPE_STRING);
	string(w, s);
}

static void key_array(struct writer *w, const char *name, uint32_t type, int n)
{
	key(w, name, TYPE_ARRAY);
	u32(w, type);
	u64(w, (uint64_t)n);
}

static const struct {
	const char *name;
	size_t offset;
} shape_keys[] = {
	{"llama.context_length", offsetof(struct net_shape, context)},
	{"llama.embedding_length", offsetof(struct net_shape, dim)},
	{"llama.block_count", offsetof(struct net_shape, layers)},
	{"llama.feed_forward_length", offsetof(struct net_shape, hidden)},
	{"llama.attention.head_count", offsetof(struct net_shape, heads)},
	{"llama.attention.head_count_kv", offsetof(struct net_shape, kv_heads)},
	{"llama.rope.dimension_count", offsetof(struct net_shape, head_dim)},
	{"llama.vocab_size", offsetof(struct net_shape, vocab)},
};

static void write_vocabulary(struct writer *w, const struct spm *s)
{
	key_string(w, "tokenizer.ggml.model", "llama");
	key_array(w, "tokenizer.ggml.tokens", TYPE_STRING, s->n);
	for (int i = 0; i < s->n; i++)
		string(w, s->token[i].text);
	key_array(w, "tokenizer.ggml.scores", TYPE_F32, s->n);
	for (int i = 0; i < s->n; i++)
		raw(w, &s->token[i].score, sizeof(float));
	key_array(w, "tokenizer.ggml.token_type", TYPE_I32, s->n);
	for (int i = 0; i < s->n; i++)
		raw(w, &s->token[i].type, sizeof(int32_t));
	key_u32(w, "tokenizer.ggml.bos_token_id", SPM_BOS);
	key_u32(w, "tokenizer.ggml.eos_token_id", SPM_EOS);
	key_u32(w, "tokenizer.ggml.unknown_token_id", SPM_UNK);
	key_bool(w, "tokenizer.ggml.add_bos_token", true);
	key_bool(w, "tokenizer.ggml.add_eos_token", false);
	key_bool(w, "tokenizer.ggml.add_space_prefix", true);
}

static void write_keys(struct writer *w, const struct net *net, const struct spm *spm)
{
	key_string(w, "general.architecture", "llama");
	key_string(w, "general.type", "model");
	key_string(w, "general.name", "tale");
	key_string(w, "general.description", "Short stories and small arithmetic");
	key_string(w, "general.license", "MIT");
	key_u32(w, "general.alignment", ALIGNMENT);
	key_u32(w, "general.file_type", 1); /* mostly F16 */
	for (size_t i = 0; i < sizeof(shape_keys) / sizeof(shape_keys[0]); i++)
		key_u32(w, shape_keys[i].name,
			(uint32_t) * (const int32_t *)((const char *)&net->shape +
						       shape_keys[i].offset));
	key_f32(w, "llama.attention.layer_norm_rms_epsilon", NET_NORM_EPS);
	key_f32(w, "llama.rope.freq_base", NET_ROPE_BASE);
	write_vocabulary(w, spm);
}

static void tensor_name(const struct net_tensor *t, char *out, size_t n)
{
	if (t->layer >= 0)
		snprintf(out, n, "blk.%d.%s.weight", t->layer, t->name);
	else
		snprintf(out, n, "%s.weight", t->name);
}

static uint64_t tensor_values(const struct net_tensor *t)
{
	return (uint64_t)(t->rows ? t->rows : 1) * (uint64_t)t->cols;
}

static uint64_t aligned(uint64_t n)
{
	return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void pad(struct writer *w)
{
	while (w->n % ALIGNMENT)
		raw(w, "", 1);
}

static void write_table(struct writer *w, const struct net_tensor *t, int n)
{
	char name[64];
	uint64_t offset = 0;

	for (int i = 0; i < n; i++) {
		tensor_name(&t[i], name, sizeof(name));
		string(w, name);
		u32(w, t[i].rows ? 2 : 1);
		u64(w, (uint64_t)t[i].cols);
		if (t[i].rows)
			u64(w, (uint64_t)t[i].rows);
		u32(w, t[i].rows ? TENSOR_F16 : TENSOR_F32);
		u64(w, offset);
		offset = aligned(offset + tensor_values(&t[i]) * (t[i].rows ? 2 : 4));
	}
}

static void write_tensor(struct writer *w, const struct net_tensor *t, const float *p)
{
	for (uint64_t k = 0; k < tensor_values(t); k++) {
		uint16_t h = half_from(p[k]);

		if (t->rows)
			raw(w, &h, sizeof(h));
		else
			raw(w, p + k, sizeof(*p));
	}
	pad(w);
}

/* The first pass only counts the keys, which the header announces. */
static int write_all(FILE *f, const struct net *net, const struct spm *spm)
{
	struct net_tensor list[MAX_TENSORS];
	int n = net_tensors(net, list, MAX_TENSORS);
	struct writer w = {.f = f};
	uint64_t keys = 0;

	for (int pass = 0; pass < 2; pass++) {
		rewind(f);
		w = (struct writer){.f = f};
		raw(&w, "GGUF", 4);
		u32(&w, VERSION);
		u64(&w, (uint64_t)n);
		u64(&w, keys);
		write_keys(&w, net, spm);
		keys = w.keys;
	}
	write_table(&w, list, n);
	pad(&w);
	for (int i = 0; i < n; i++)
		write_tensor(&w, &list[i], net->w + list[i].offset);
	return ferror(f) ? -EIO : 0;
}

int tale_gguf_write(const char *path, const struct net *net, const struct spm *spm)
{
	FILE *f = fopen(path, "wb");
	int err;

	if (!f)
		return -errno;
	err = write_all(f, net, spm);
	if (fclose(f) && !err)
		err = -errno;
	return err;
}

/* ---- reading ---- */

struct reader {
	FILE *f;
	bool bad;
};

static void get(struct reader *r, void *p, size_t n)
{
	if (fread(p, 1, n, r->f) != n) {
		memset(p, 0, n);
		r->bad = true;
	}
}

static uint32_t get_u32(struct reader *r)
{
	uint32_t x;

	get(r, &x, sizeof(x));
	return x;
}

static uint64_t get_u64(struct reader *r)
{
	uint64_t x;

	get(r, &x, sizeof(x));
	return x;
}

static void get_string(struct reader *r, char *out, size_t room)
{
	uint64_t n = get_u64(r);

	if (n >= room) {
		r->bad = true;
		n = 0;
	}
	get(r, out, n);
	out[n] = 0;
}

static void get_array(struct reader *r, struct spm *s)
{
	uint32_t type = get_u32(r);
	uint64_t n = get_u64(r);

	if (n < SPM_FIRST_PIECE || n > SPM_VOCAB_MAX || (s->n && n != (uint64_t)s->n)) {
		r->bad = true;
		return;
	}
	if (!s->token)
		s->token = calloc(n, sizeof(*s->token));
	if (!s->token) {
		r->bad = true;
		return;
	}
	s->n = (int)n;
	for (int i = 0; i < s->n && !r->bad; i++) {
		if (type == TYPE_STRING)
			get_string(r, s->token[i].text, SPM_PIECE_MAX);
		else if (type == TYPE_F32)
			get(r, &s->token[i].score, sizeof(float));
		else if (type == TYPE_I32)
			get(r, &s->token[i].type, sizeof(int32_t));
		else
			r->bad = true;
	}
}

static void get_key(struct reader *r, struct net_shape *shape, struct spm *s)
{
	char name[64], text[256];
	uint32_t type, x;

	get_string(r, name, sizeof(name));
	type = get_u32(r);
	if (type == TYPE_ARRAY) {
		get_array(r, s);
	} else if (type == TYPE_STRING) {
		get_string(r, text, sizeof(text));
	} else if (type == TYPE_BOOL) {
		get(r, text, 1);
	} else if (type == TYPE_U32 || type == TYPE_F32) {
		x = get_u32(r);
		for (size_t i = 0; i < sizeof(shape_keys) / sizeof(shape_keys[0]); i++)
			if (!strcmp(shape_keys[i].name, name))
				*(int32_t *)((char *)shape + shape_keys[i].offset) = (int32_t)x;
	} else {
		r->bad = true;
	}
}

/* The table must be the one that the writer gives a model of this shape. */
static void get_table(struct reader *r, const struct net_tensor *t, int n)
{
	char name[64], expected[64];

	for (int i = 0; i < n && !r->bad; i++) {
		get_string(r, name, sizeof(name));
		tensor_name(&t[i], expected, sizeof(expected));
		r->bad |= strcmp(name, expected) != 0;
		r->bad |= get_u32(r) != (t[i].rows ? 2u : 1u);
		r->bad |= get_u64(r) != (uint64_t)t[i].cols;
		if (t[i].rows)
			r->bad |= get_u64(r) != (uint64_t)t[i].rows;
		r->bad |= get_u32(r) != (t[i].rows ? TENSOR_F16 : TENSOR_F32);
		get_u64(r);
	}
}

static void skip_pad(struct reader *r)
{
	char rest[ALIGNMENT];
	long at = ftell(r->f);

	get(r, rest, (size_t)(aligned((uint64_t)at) - (uint64_t)at));
}

static void get_tensor(struct reader *r, const struct net_tensor *t, float *p)
{
	for (uint64_t k = 0; k < tensor_values(t) && !r->bad; k++) {
		uint16_t h;

		if (!t->rows) {
			get(r, p + k, sizeof(*p));
			continue;
		}
		get(r, &h, sizeof(h));
		p[k] = half_to(h);
	}
	if (!r->bad)
		skip_pad(r);
}

static int read_all(struct reader *r, struct net *net, struct spm *spm)
{
	struct net_tensor list[MAX_TENSORS];
	struct net_shape shape = {0};
	char magic[4];
	uint64_t n, keys;
	int err;

	get(r, magic, sizeof(magic));
	if (memcmp(magic, "GGUF", 4) || get_u32(r) != VERSION)
		return -EINVAL;
	n = get_u64(r);
	keys = get_u64(r);
	for (uint64_t i = 0; i < keys && !r->bad; i++)
		get_key(r, &shape, spm);
	if (r->bad || shape.vocab != spm->n)
		return -EINVAL;
	err = net_new(net, &shape);
	if (err)
		return err;
	if (net_tensors(net, list, MAX_TENSORS) != (int)n)
		return -EINVAL;
	get_table(r, list, (int)n);
	skip_pad(r);
	for (uint64_t i = 0; i < n && !r->bad; i++)
		get_tensor(r, &list[i], net->w + list[i].offset);
	return r->bad ? -EINVAL : spm_index(spm);
}

int tale_gguf_read(const char *path, struct net *net, struct spm *spm)
{
	struct reader r = {.f = fopen(path, "rb")};
	int err;

	*net = (struct net){0};
	*spm = (struct spm){0};
	if (!r.f)
		return -errno;
	err = read_all(&r, net, spm);
	fclose(r.f);
	for (int i = 0; !err && i < net_transpose_items(net); i++)
		net_transpose(net, i);
	if (err) {
		net_free(net);
		spm_free(spm);
	}
	return err;
}
