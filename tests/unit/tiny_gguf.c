// SPDX-License-Identifier: MIT
/* See tiny_gguf.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tiny_gguf.h"

enum value_type { U32 = 4, I32 = 5, F32 = 6, BOOL = 7, STRING = 8, ARRAY = 9 };
enum token_type { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6 };
enum { ALIGNMENT = 32, WORDS = 8, MAX_TENSORS = 1024 };

struct buffer {
	uint8_t *data;
	size_t bytes;
	size_t room;
};

/* A file being written: metadata, tensor records and tensor data grow side by side. */
struct gguf {
	struct tiny_gguf o;
	struct buffer kv;
	struct buffer records;
	struct buffer data;
	uint64_t n_kv;
	uint64_t n_tensors;
	uint64_t rng;
};

static void put(struct buffer *b, const void *data, size_t bytes)
{
	if (bytes > b->room - b->bytes) {
		b->room = (b->bytes + bytes) * 2;
		b->data = realloc(b->data, b->room);
		if (!b->data)
			abort();
	}
	memcpy(b->data + b->bytes, data, bytes);
	b->bytes += bytes;
}

static void put_u32(struct buffer *b, uint32_t value)
{
	put(b, &value, 4);
}

static void put_u64(struct buffer *b, uint64_t value)
{
	put(b, &value, 8);
}

static void put_text(struct buffer *b, const char *text)
{
	put_u64(b, strlen(text));
	put(b, text, strlen(text));
}

static void pad(struct buffer *b)
{
	while (b->bytes % ALIGNMENT)
		put(b, "", 1);
}

/* --- Metadata --- */

static struct buffer *key(struct gguf *g, const char *name, enum value_type type)
{
	g->n_kv++;
	put_text(&g->kv, name);
	put_u32(&g->kv, type);
	return &g->kv;
}

static struct buffer *key_array(struct gguf *g, const char *name, enum value_type type, uint64_t n)
{
	struct buffer *b = key(g, name, ARRAY);

	put_u32(b, type);
	put_u64(b, n);
	return b;
}

static void key_f32(struct gguf *g, const char *name, float value)
{
	put(key(g, name, F32), &value, 4);
}

static void add_model_keys(struct gguf *g)
{
	const struct tiny_gguf *o = &g->o;

	put_text(key(g, "general.architecture", STRING), "llama");
	put_text(key(g, "general.name", STRING), "tiny");
	put_u32(key(g, "llama.context_length", U32), o->context);
	put_u32(key(g, "llama.embedding_length", U32), o->dim);
	put_u32(key(g, "llama.block_count", U32), o->layers);
	put_u32(key(g, "llama.feed_forward_length", U32), o->ffn);
	put_u32(key(g, "llama.rope.dimension_count", U32), o->dim / o->heads);
	put_u32(key(g, "llama.attention.head_count", U32), o->heads);
	put_u32(key(g, "llama.attention.head_count_kv", U32), o->kv_heads);
	key_f32(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	key_f32(g, "llama.rope.freq_base", 10000.0f);
}

/* --- Vocabulary: specials, bytes, letters, pairs of them, then numbered words. --- */

enum { FIRST_BYTE = 3, FIRST_PAIR = FIRST_BYTE + 256 };

static const char *const specials[] = { "<unk>", "<s>", "</s>" };
static const char letters[] = "etaoinsr";

/* Byte-level BPE spells a byte as a letter: itself where it prints, else one from U+0100 on. */
static void byte_letter(uint32_t byte, char *out)
{
	uint32_t code = byte, i;

	if (byte < 33 || (byte > 126 && byte < 161) || byte == 173) {
		for (i = 0, code = 256; i < byte; i++)
			code += i < 33 || (i > 126 && i < 161) || i == 173;
	}
	if (code < 0x80)
		sprintf(out, "%c", code);
	else
		sprintf(out, "%c%c", 0xc0 | code >> 6, 0x80 | (code & 0x3f));
}

static void token_text(const struct tiny_gguf *o, uint32_t i, char *out)
{
	uint32_t pair = i - FIRST_PAIR;

	if (i < FIRST_BYTE)
		strcpy(out, specials[i]);
	else if (i < FIRST_PAIR && o->bpe)
		byte_letter(i - FIRST_BYTE, out);
	else if (i < FIRST_PAIR)
		sprintf(out, "<0x%02X>", i - FIRST_BYTE);
	else if (pair < WORDS)
		sprintf(out, "%c", letters[pair]);
	else if (pair < 2 * WORDS)
		sprintf(out, "%c%c", letters[pair % WORDS], letters[(pair + 1) % WORDS]);
	else if (pair == 2 * WORDS)
		strcpy(out, o->bpe ? "\xc4\xa0" "e" : "\xe2\x96\x81" "e");
	else
		sprintf(out, "w%u", i);
	/* Single letters are bytes already where bytes are letters. */
	if (o->bpe && i >= FIRST_PAIR && pair < WORDS)
		sprintf(out, "<x%u>", pair);
}

static uint32_t token_type(const struct tiny_gguf *o, uint32_t i)
{
	if (i == 0)
		return UNKNOWN;
	if (i < FIRST_BYTE)
		return CONTROL;
	return i < FIRST_PAIR && !o->bpe ? BYTE : NORMAL;
}

static void add_merges(struct gguf *g)
{
	struct buffer *b = key_array(g, "tokenizer.ggml.merges", STRING, WORDS + 1);
	char text[32];

	for (uint32_t i = 0; i < WORDS; i++) {
		sprintf(text, "%c %c", letters[i], letters[(i + 1) % WORDS]);
		put_text(b, text);
	}
	put_text(b, "\xc4\xa0 e");
}

static void add_vocabulary(struct gguf *g)
{
	uint32_t n = g->o.vocab, i;
	struct buffer *b;
	char text[32];

	put_text(key(g, "tokenizer.ggml.model", STRING), g->o.bpe ? "gpt2" : "llama");
	if (g->o.bpe)
		put_text(key(g, "tokenizer.ggml.pre", STRING), "gpt-2");
	b = key_array(g, "tokenizer.ggml.tokens", STRING, n);
	for (i = 0; i < n; i++) {
		token_text(&g->o, i, text);
		put_text(b, text);
	}
	b = key_array(g, "tokenizer.ggml.token_type", I32, n);
	for (i = 0; i < n; i++)
		put_u32(b, token_type(&g->o, i));
	if (g->o.bpe) {
		add_merges(g);
	} else {
		b = key_array(g, "tokenizer.ggml.scores", F32, n);
		for (i = 0; i < n; i++) {
			float score = i < FIRST_PAIR ? 0 : -(float)(i - FIRST_PAIR);

			put(b, &score, 4);
		}
	}
	put_u32(key(g, "tokenizer.ggml.bos_token_id", U32), 1);
	put_u32(key(g, "tokenizer.ggml.eos_token_id", U32), 2);
	put_u32(key(g, "tokenizer.ggml.unknown_token_id", U32), 0);
	put(key(g, "tokenizer.ggml.add_bos_token", BOOL), "\1", 1);
}

/* --- Tensors --- */

/* E2M1 codes without sign, times 1/16: the same number in each type. */
static const float value_f32[8] = {
	0, 0.03125f, 0.0625f, 0.09375f, 0.125f, 0.1875f, 0.25f, 0.375f,
};
static const uint16_t value_f16[8] = {
	0, 0x2800, 0x2c00, 0x2e00, 0x3000, 0x3200, 0x3400, 0x3600,
};
static const int8_t value_q8[8] = { 0, 1, 2, 3, 4, 6, 8, 12 };	/* times 1/32 */
#define Q8_SCALE	0x2800	/* 1/32 in F16 */
#define MXFP4_SCALE	123	/* 2^-4 in E8M0 */
#define NVFP4_SCALE	0x18	/* 2^-4 in UE4M3 */

static uint32_t noise(struct gguf *g)
{
	g->rng = g->rng * 6364136223846793005ull + 1442695040888963407ull;
	return g->rng >> 33;
}

/* Elements to a block; 1 for a type that has none. */
static uint32_t block_of(enum tiny_gguf_type type)
{
	if (type == TINY_GGUF_NVFP4)
		return 64;
	return type == TINY_GGUF_Q8_0 || type == TINY_GGUF_MXFP4 ? 32 : 1;
}

/* Codes i and i + half of @n share a byte. */
static void put_nibbles(struct buffer *b, const uint8_t *codes, uint32_t n)
{
	for (uint32_t i = 0; i < n / 2; i++)
		put(b, &(uint8_t){ codes[i] | codes[i + n / 2] << 4 }, 1);
}

static void put_plain(struct buffer *b, enum tiny_gguf_type type, uint32_t code)
{
	float x = code & 8 ? -value_f32[code & 7] : value_f32[code & 7];
	uint16_t half = value_f16[code & 7] | (code & 8) << 12;
	uint32_t bits;

	memcpy(&bits, &x, 4);
	if (type == TINY_GGUF_F32)
		put_u32(b, bits);
	else if (type == TINY_GGUF_BF16)
		put(b, &(uint16_t){ bits >> 16 }, 2);
	else
		put(b, &half, 2);
}

static void put_block(struct buffer *b, enum tiny_gguf_type type, const uint8_t *codes)
{
	uint32_t i;

	switch (type) {
	case TINY_GGUF_Q8_0:
		put(b, &(uint16_t){ Q8_SCALE }, 2);
		for (i = 0; i < 32; i++)
			put(b, &(int8_t){ codes[i] & 8 ? -value_q8[codes[i] & 7] :
					  value_q8[codes[i]] }, 1);
		break;
	case TINY_GGUF_MXFP4:
		put(b, &(uint8_t){ MXFP4_SCALE }, 1);
		put_nibbles(b, codes, 32);
		break;
	case TINY_GGUF_NVFP4:
		for (i = 0; i < 4; i++)
			put(b, &(uint8_t){ NVFP4_SCALE }, 1);
		for (i = 0; i < 4; i++)
			put_nibbles(b, codes + i * 16, 16);
		break;
	default:
		put_plain(b, type, codes[0]);
		break;
	}
}

/* @n rows of @k elements; n 0: a vector. */
static void add_record(struct gguf *g, const char *name, uint32_t n, uint32_t k,
		       enum tiny_gguf_type type)
{
	if (++g->n_tensors > MAX_TENSORS)
		abort();
	put_text(&g->records, name);
	put_u32(&g->records, n ? 2 : 1);
	put_u64(&g->records, k);
	if (n)
		put_u64(&g->records, n);
	put_u32(&g->records, type);
	pad(&g->data);
	put_u64(&g->records, g->data.bytes);
}

static void add_matrix(struct gguf *g, const char *name, uint32_t n, uint32_t k,
		       enum tiny_gguf_type type)
{
	uint32_t block = block_of(type);
	uint8_t codes[64];

	if (k % block)
		abort();
	add_record(g, name, n, k, type);
	for (uint64_t i = 0; i < (uint64_t)n * k; i += block) {
		for (uint32_t j = 0; j < block; j++)
			codes[j] = noise(g) & 15;
		put_block(&g->data, type, codes);
	}
}

static void add_norm(struct gguf *g, const char *name)
{
	float gain;

	add_record(g, name, 0, g->o.dim, TINY_GGUF_F32);
	for (uint32_t i = 0; i < g->o.dim; i++) {
		gain = 1.0f + value_f32[noise(g) & 7];
		put(&g->data, &gain, 4);
	}
}

static void add_layer(struct gguf *g, uint32_t layer)
{
	const struct tiny_gguf *o = &g->o;
	uint32_t kv = o->dim / o->heads * o->kv_heads;
	const struct {
		const char *name;
		uint32_t n, k;
	} matrices[] = {
		{ "attn_q", o->dim, o->dim }, { "attn_k", kv, o->dim }, { "attn_v", kv, o->dim },
		{ "attn_output", o->dim, o->dim }, { "ffn_gate", o->ffn, o->dim },
		{ "ffn_up", o->ffn, o->dim }, { "ffn_down", o->dim, o->ffn },
	};
	char name[64];

	snprintf(name, sizeof(name), "blk.%u.attn_norm.weight", layer);
	add_norm(g, name);
	snprintf(name, sizeof(name), "blk.%u.ffn_norm.weight", layer);
	add_norm(g, name);
	for (size_t i = 0; i < sizeof(matrices) / sizeof(matrices[0]); i++) {
		snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, matrices[i].name);
		add_matrix(g, name, matrices[i].n, matrices[i].k, o->type);
	}
}

static void set_default(uint32_t *option, uint32_t value)
{
	if (!*option)
		*option = value;
}

static void set_defaults(struct tiny_gguf *o)
{
	set_default(&o->vocab, 300);
	set_default(&o->layers, 1);
	set_default(&o->dim, 32);
	set_default(&o->heads, 2);
	set_default(&o->kv_heads, 1);
	set_default(&o->ffn, 32);
	set_default(&o->context, 128);
	if (!o->other_embd)
		o->embd_type = o->type;
	if (o->vocab < 280 || o->dim % o->heads || o->heads % o->kv_heads)
		abort();
}

void *tiny_gguf(const struct tiny_gguf *options, size_t *bytes)
{
	struct gguf g = { .o = *options, .rng = options->seed + 1 };
	struct buffer file = { 0 };

	set_defaults(&g.o);
	add_model_keys(&g);
	add_vocabulary(&g);
	add_matrix(&g, "token_embd.weight", g.o.vocab, g.o.dim, g.o.embd_type);
	add_norm(&g, "output_norm.weight");
	if (g.o.untied)
		add_matrix(&g, "output.weight", g.o.vocab, g.o.dim, g.o.type);
	for (uint32_t layer = 0; layer < g.o.layers; layer++)
		add_layer(&g, layer);
	pad(&g.data);
	put(&file, "GGUF", 4);
	put_u32(&file, 3);
	put_u64(&file, g.n_tensors);
	put_u64(&file, g.n_kv);
	put(&file, g.kv.data, g.kv.bytes);
	put(&file, g.records.data, g.records.bytes);
	pad(&file);
	put(&file, g.data.data, g.data.bytes);
	free(g.kv.data);
	free(g.records.data);
	free(g.data.data);
	*bytes = file.bytes;
	return file.data;
}
