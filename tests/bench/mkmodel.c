// SPDX-License-Identifier: MIT
/*
 * Writes a Llama-class GGUF file of a given shape with random weights, for benchmarks: the file is
 * as large and as dense as a trained one, and its activations stay in range. Weights are made in
 * their block format directly, so that gigabytes take seconds.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GGUF_U32 = 4, GGUF_I32 = 5, GGUF_F32 = 6, GGUF_BOOL = 7, GGUF_STRING = 8, GGUF_ARRAY = 9 };

#define ALIGN 32

/* A block of a tensor type: elements, bytes, and how to fill one with noise of a given rms. */
struct type {
	const char *name;
	uint32_t id;
	uint32_t elements;
	uint32_t bytes;
	void (*fill)(uint8_t *block, uint64_t *rng, float rms);
};

struct shape {
	uint32_t dim, layers, ffn, heads, kv_heads, vocab, context;
};

struct writer {
	FILE *file;
	uint64_t at;
	bool failed;
};

static uint64_t next(uint64_t *rng)
{
	/* xorshift64* */
	*rng ^= *rng >> 12;
	*rng ^= *rng << 25;
	*rng ^= *rng >> 27;
	return *rng * 0x2545f4914f6cdd1dull;
}

static void fill_bytes(uint8_t *p, size_t n, uint64_t *rng)
{
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t x = next(rng);

		memcpy(p, &x, 8);
	}
	for (; n; n--)
		*p++ = (uint8_t)next(rng);
}

/* Exponent e with 2^e just below x. */
static int exponent(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, 4);
	return (int)(bits >> 23 & 0xff) - 127;
}

/* Random E2M1 codes have an rms of about 2.9. */
static void fill_mxfp4(uint8_t *block, uint64_t *rng, float rms)
{
	/* The file counts elements double: its scale is one less. */
	block[0] = (uint8_t)(127 + exponent(rms / 2.9f) + (next(rng) & 1));
	fill_bytes(block + 1, 16, rng);
}

static void fill_nvfp4(uint8_t *block, uint64_t *rng, float rms)
{
	/* UE4M3 below 2^-6 is subnormal, in steps of 2^-9. */
	int code = (int)(rms / 2.9f * 512.0f + 0.5f);

	for (int i = 0; i < 4; i++)
		block[i] = (uint8_t)(code < 1 ? 1 : code > 7 ? 7 : code);
	fill_bytes(block + 4, 32, rng);
}

/* binary16 of a small positive number, truncated. */
static uint16_t half(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, 4);
	return (uint16_t)(((bits >> 23) - 112) << 10 | (bits >> 13 & 0x3ff));
}

static void fill_q8_0(uint8_t *block, uint64_t *rng, float rms)
{
	uint16_t d = half(rms / 73.9f);

	memcpy(block, &d, 2);
	fill_bytes(block + 2, 32, rng);
}

static void fill_q4_0(uint8_t *block, uint64_t *rng, float rms)
{
	uint16_t d = half(rms / 4.6f);

	memcpy(block, &d, 2);
	fill_bytes(block + 2, 16, rng);
}

static void fill_f16(uint8_t *block, uint64_t *rng, float rms)
{
	float x = ((float)(next(rng) >> 40) * 0x1p-24f + 0x1p-24f) * rms * 1.7f;
	uint16_t h = half(x < 0x1p-14f ? 0x1p-14f : x) | (uint16_t)(next(rng) >> 63 << 15);

	memcpy(block, &h, 2);
}

static void fill_one(uint8_t *block, uint64_t *rng, float rms)
{
	const float one = 1.0f;

	(void)rng;
	(void)rms;
	memcpy(block, &one, 4);
}

static const struct type f32_ones = { "f32", 0, 1, 4, fill_one };
static const struct type types[] = {
	{ "mxfp4", 39, 32, 17, fill_mxfp4 }, { "nvfp4", 40, 64, 36, fill_nvfp4 },
	{ "q8_0", 8, 32, 34, fill_q8_0 },    { "q4_0", 2, 32, 18, fill_q4_0 },
	{ "f16", 1, 1, 2, fill_f16 },
};

static void put(struct writer *w, const void *data, size_t bytes)
{
	if (fwrite(data, 1, bytes, w->file) != bytes)
		w->failed = true;
	w->at += bytes;
}

static void put_u32(struct writer *w, uint32_t x)
{
	put(w, &x, 4);
}

static void put_u64(struct writer *w, uint64_t x)
{
	put(w, &x, 8);
}

static void put_string(struct writer *w, const char *s)
{
	put_u64(w, strlen(s));
	put(w, s, strlen(s));
}

static void key(struct writer *w, const char *name, uint32_t type)
{
	put_string(w, name);
	put_u32(w, type);
}

static void key_u32(struct writer *w, const char *name, uint32_t x)
{
	key(w, name, GGUF_U32);
	put_u32(w, x);
}

static void key_f32(struct writer *w, const char *name, float x)
{
	key(w, name, GGUF_F32);
	put(w, &x, 4);
}

static void key_string(struct writer *w, const char *name, const char *s)
{
	key(w, name, GGUF_STRING);
	put_string(w, s);
}

static void key_array(struct writer *w, const char *name, uint32_t type, uint64_t count)
{
	key(w, name, GGUF_ARRAY);
	put_u32(w, type);
	put_u64(w, count);
}

static void pad(struct writer *w)
{
	static const uint8_t zero[ALIGN];

	put(w, zero, (ALIGN - w->at % ALIGN) % ALIGN);
}

/* <unk> <s> </s>, 256 bytes, then made-up pieces. */
static void put_vocabulary(struct writer *w, uint32_t vocab)
{
	char text[32];

	key_string(w, "tokenizer.ggml.model", "llama");
	key_array(w, "tokenizer.ggml.tokens", GGUF_STRING, vocab);
	for (uint32_t i = 0; i < vocab; i++) {
		if (i < 3)
			snprintf(text, sizeof(text), "%s",
				 i == 0	  ? "<unk>"
				 : i == 1 ? "<s>"
					  : "</s>");
		else if (i < 259)
			snprintf(text, sizeof(text), "<0x%02X>", i - 3);
		else
			snprintf(text, sizeof(text), "\xe2\x96\x81t%u", i);
		put_string(w, text);
	}
	key_array(w, "tokenizer.ggml.scores", GGUF_F32, vocab);
	for (uint32_t i = 0; i < vocab; i++) {
		float score = i < 259 ? 0.0f : -(float)(i - 259);

		put(w, &score, 4);
	}
	key_array(w, "tokenizer.ggml.token_type", GGUF_I32, vocab);
	for (uint32_t i = 0; i < vocab; i++)
		put_u32(w, i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
	key_u32(w, "tokenizer.ggml.bos_token_id", 1);
	key_u32(w, "tokenizer.ggml.eos_token_id", 2);
	key_u32(w, "tokenizer.ggml.unknown_token_id", 0);
}

struct tensor {
	char name[64];
	const struct type *type;
	uint64_t columns, rows;
};

static uint64_t tensor_bytes(const struct tensor *t)
{
	return t->columns / t->type->elements * t->type->bytes * t->rows;
}

static struct tensor *add(struct tensor *t, const struct type *type, uint64_t columns,
			  uint64_t rows, const char *name, int layer)
{
	if (layer < 0)
		snprintf(t->name, sizeof(t->name), "%s.weight", name);
	else
		snprintf(t->name, sizeof(t->name), "blk.%d.%s.weight", layer, name);
	t->type = type;
	t->columns = columns;
	t->rows = rows;
	return t + 1;
}

static uint32_t list_tensors(const struct shape *s, const struct type *type, struct tensor *list)
{
	uint64_t kv = (uint64_t)s->dim / s->heads * s->kv_heads;
	struct tensor *t = list;

	t = add(t, type, s->dim, s->vocab, "token_embd", -1);
	for (int i = 0; i < (int)s->layers; i++) {
		t = add(t, &f32_ones, s->dim, 1, "attn_norm", i);
		t = add(t, type, s->dim, s->dim, "attn_q", i);
		t = add(t, type, s->dim, kv, "attn_k", i);
		t = add(t, type, s->dim, kv, "attn_v", i);
		t = add(t, type, s->dim, s->dim, "attn_output", i);
		t = add(t, &f32_ones, s->dim, 1, "ffn_norm", i);
		t = add(t, type, s->dim, s->ffn, "ffn_gate", i);
		t = add(t, type, s->dim, s->ffn, "ffn_up", i);
		t = add(t, type, s->ffn, s->dim, "ffn_down", i);
	}
	t = add(t, &f32_ones, s->dim, 1, "output_norm", -1);
	t = add(t, type, s->dim, s->vocab, "output", -1);
	return (uint32_t)(t - list);
}

static void put_tensor(struct writer *w, const struct tensor *t, uint64_t *rng)
{
	/* The square root of the fan-in, by Newton: no library needed. */
	float k = (float)t->columns, root = k;
	uint64_t blocks = t->columns / t->type->elements * t->rows;
	uint8_t buffer[1 << 15];
	size_t used = 0;

	for (int i = 0; i < 40; i++)
		root = 0.5f * (root + k / root);
	for (uint64_t i = 0; i < blocks; i++) {
		t->type->fill(buffer + used, rng, 1.0f / root);
		used += t->type->bytes;
		if (used + 64 > sizeof(buffer) || i + 1 == blocks) {
			put(w, buffer, used);
			used = 0;
		}
	}
	pad(w);
}

/*
 * What a step of the model comes to, whatever runs it: bytes of weights that it streams (not the
 * embedding, of which it reads a row a token), and operations a token in the layers and in the head.
 */
static int print_cost(const struct shape *s, const struct type *type)
{
	struct tensor *list = calloc((size_t)s->layers * 9 + 3, sizeof(*list));
	uint64_t bytes = 0, layers = 0, head;
	uint32_t count, i;

	if (!list)
		return 1;
	count = list_tensors(s, type, list);
	for (i = 1; i < count; i++) {
		bytes += tensor_bytes(&list[i]);
		layers += list[i].rows > 1 && i + 1 < count ? 2 * list[i].columns * list[i].rows : 0;
	}
	head = 2 * list[count - 1].columns * list[count - 1].rows;
	printf("%llu %llu %llu\n", (unsigned long long)bytes, (unsigned long long)layers,
	       (unsigned long long)head);
	free(list);
	return 0;
}

static int write_model(const char *path, const struct shape *s, const struct type *type,
		       uint64_t seed)
{
	struct tensor *list = calloc((size_t)s->layers * 9 + 3, sizeof(*list));
	struct writer w = { .file = fopen(path, "wb") };
	uint64_t rng = seed * 0x9e3779b97f4a7c15ull + 1, offset = 0;
	uint32_t count;

	if (!list || !w.file) {
		fprintf(stderr, "mkmodel: %s: %s\n", path, strerror(errno));
		free(list);
		return 1;
	}
	count = list_tensors(s, type, list);
	put(&w, "GGUF", 4);
	put_u32(&w, 3);
	put_u64(&w, count);
	put_u64(&w, 19);
	key_string(&w, "general.architecture", "llama");
	key_string(&w, "general.name", "random");
	key_u32(&w, "general.alignment", ALIGN);
	key_u32(&w, "llama.context_length", s->context);
	key_u32(&w, "llama.embedding_length", s->dim);
	key_u32(&w, "llama.block_count", s->layers);
	key_u32(&w, "llama.feed_forward_length", s->ffn);
	key_u32(&w, "llama.attention.head_count", s->heads);
	key_u32(&w, "llama.attention.head_count_kv", s->kv_heads);
	key_f32(&w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	key_u32(&w, "llama.rope.dimension_count", s->dim / s->heads);
	key_u32(&w, "llama.vocab_size", s->vocab);
	put_vocabulary(&w, s->vocab);
	for (uint32_t i = 0; i < count; i++) {
		put_string(&w, list[i].name);
		put_u32(&w, list[i].rows == 1 ? 1 : 2);
		put_u64(&w, list[i].columns);
		if (list[i].rows != 1)
			put_u64(&w, list[i].rows);
		put_u32(&w, list[i].type->id);
		put_u64(&w, offset);
		offset += (tensor_bytes(&list[i]) + ALIGN - 1) / ALIGN * ALIGN;
	}
	pad(&w);
	for (uint32_t i = 0; i < count; i++)
		put_tensor(&w, &list[i], &rng);
	free(list);
	if (fclose(w.file) || w.failed) {
		fprintf(stderr, "mkmodel: %s: %s\n", path, strerror(errno));
		return 1;
	}
	return 0;
}

static void usage(FILE *out)
{
	fprintf(out, "usage: mkmodel [OPTION]... OUT.gguf\n"
		"       mkmodel [OPTION]... --cost\n"
		"Writes a Llama-class model with random weights, or says what a step of it costs:\n"
		"bytes of weights, operations a token in the layers, operations a token in the head.\n"
		"  --dim N --layers N --ffn N --heads N --kv-heads N --vocab N --context N\n"
		"               shape; by default 2048 16 8192 32 8 32000 8192 (1.1 B parameters)\n"
		"  --type T     mxfp4 (default), nvfp4, q8_0, q4_0, f16\n"
		"  --seed N     1\n");
}

static bool shape_is_sane(const struct shape *s)
{
	return s->dim && s->dim % 64 == 0 && s->ffn && s->ffn % 64 == 0 && s->heads &&
	       s->kv_heads && s->heads % s->kv_heads == 0 && s->dim % s->heads == 0 &&
	       s->vocab >= 259 && s->vocab <= 1 << 20 && s->layers && s->layers <= 1024 &&
	       s->dim <= 1 << 16 && s->ffn <= 1 << 18 && s->context;
}

int main(int argc, char **argv)
{
	struct shape shape = { 2048, 16, 8192, 32, 8, 32000, 8192 };
	const struct type *type = &types[0];
	uint32_t *fields[] = { &shape.dim, &shape.layers, &shape.ffn, &shape.heads, &shape.kv_heads,
			       &shape.vocab, &shape.context };
	static const struct option options[] = {
		{ "dim", 1, NULL, 0 },	  { "layers", 1, NULL, 1 }, { "ffn", 1, NULL, 2 },
		{ "heads", 1, NULL, 3 },  { "kv-heads", 1, NULL, 4 }, { "vocab", 1, NULL, 5 },
		{ "context", 1, NULL, 6 }, { "type", 1, NULL, 't' }, { "seed", 1, NULL, 's' },
		{ "cost", 0, NULL, 'c' },  { "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool cost = false;
	uint64_t seed = 1;
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c >= 0 && c <= 6) {
			*fields[c] = (uint32_t)strtoul(optarg, NULL, 0);
		} else if (c == 's') {
			seed = strtoull(optarg, NULL, 0);
		} else if (c == 'c') {
			cost = true;
		} else if (c == 't') {
			for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
				if (!strcmp(optarg, types[i].name))
					break;
			if (i == sizeof(types) / sizeof(types[0])) {
				fprintf(stderr, "mkmodel: no type %s\n", optarg);
				return 2;
			}
			type = &types[i];
		} else {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	if (optind + !cost != argc || !shape_is_sane(&shape)) {
		usage(stderr);
		return 2;
	}
	if (cost)
		return print_cost(&shape, type);
	return write_model(argv[optind], &shape, type, seed);
}
