// SPDX-License-Identifier: MIT
/* See gguf_make.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gguf_make.h"

enum { F32 = 0, F16 = 1, Q4_0 = 2, Q8_0 = 8, BF16 = 30, MXFP4 = 39, NVFP4 = 40 };

void gguf_put(struct gguf_make *g, const void *data, size_t bytes)
{
	if (g->bytes + bytes > g->cap) {
		g->cap = (g->bytes + bytes) * 2;
		g->data = realloc(g->data, g->cap);
		if (!g->data)
			abort();
	}
	if (bytes)
		memcpy(g->data + g->bytes, data, bytes);
	g->bytes += bytes;
}

void gguf_u8(struct gguf_make *g, uint8_t v)
{
	gguf_put(g, &v, 1);
}

void gguf_u32(struct gguf_make *g, uint32_t v)
{
	gguf_put(g, &v, 4);
}

void gguf_u64(struct gguf_make *g, uint64_t v)
{
	gguf_put(g, &v, 8);
}

void gguf_f32(struct gguf_make *g, float v)
{
	gguf_put(g, &v, 4);
}

void gguf_str(struct gguf_make *g, const char *s)
{
	gguf_u64(g, strlen(s));
	gguf_put(g, s, strlen(s));
}

void gguf_head(struct gguf_make *g, uint32_t version, uint64_t tensors, uint64_t kvs)
{
	gguf_put(g, "GGUF", 4);
	gguf_u32(g, version);
	gguf_u64(g, tensors);
	gguf_u64(g, kvs);
}

void gguf_key(struct gguf_make *g, const char *key, uint32_t type)
{
	gguf_str(g, key);
	gguf_u32(g, type);
}

void gguf_kv_u32(struct gguf_make *g, const char *key, uint32_t v)
{
	gguf_key(g, key, 4);
	gguf_u32(g, v);
}

void gguf_kv_f32(struct gguf_make *g, const char *key, float v)
{
	gguf_key(g, key, 6);
	gguf_f32(g, v);
}

void gguf_kv_str(struct gguf_make *g, const char *key, const char *v)
{
	gguf_key(g, key, 8);
	gguf_str(g, v);
}

void gguf_tensor(struct gguf_make *g, const char *name, uint64_t k, uint64_t rows, uint32_t type,
		 uint64_t offset)
{
	gguf_str(g, name);
	gguf_u32(g, rows ? 2 : 1);
	gguf_u64(g, k);
	if (rows)
		gguf_u64(g, rows);
	gguf_u32(g, type);
	gguf_u64(g, offset);
}

void gguf_pad(struct gguf_make *g, size_t to)
{
	while (g->bytes % to)
		gguf_u8(g, 0);
}

void gguf_free(struct gguf_make *g)
{
	free(g->data);
	memset(g, 0, sizeof(*g));
}

/* --- Models --- */

struct build {
	const struct gguf_llama *m;
	struct gguf_make dir;	/* directory entries */
	struct gguf_make data;
	uint32_t tensors;
	uint32_t seed;
};

static uint32_t random_bits(struct build *b)
{
	b->seed = b->seed * 1664525u + 1013904223u;
	return b->seed >> 8;
}

static float random_value(struct build *b)
{
	return ((float)(random_bits(b) & 0xffff) - 32768.0f) / 32768.0f;
}

static void put_block(struct build *b, uint32_t type)
{
	uint32_t i;
	uint16_t h;
	float f;

	switch (type) {
	case F32:
		gguf_f32(&b->data, random_value(b));
		break;
	case BF16:
		f = random_value(b);
		memcpy(&i, &f, 4);
		h = (uint16_t)(i >> 16);
		gguf_put(&b->data, &h, 2);
		break;
	case F16:	/* any bits with an exponent of -8..0 */
		h = (uint16_t)((random_bits(b) & 0x83ff) | (7 + random_bits(b) % 9) << 10);
		gguf_put(&b->data, &h, 2);
		break;
	case MXFP4:
		gguf_u8(&b->data, (uint8_t)(120 + random_bits(b) % 8));
		for (i = 0; i < 16; i++)
			gguf_u8(&b->data, (uint8_t)random_bits(b));
		break;
	case NVFP4:
		for (i = 0; i < 4; i++)
			gguf_u8(&b->data, (uint8_t)(random_bits(b) % 0x40));
		for (i = 0; i < 32; i++)
			gguf_u8(&b->data, (uint8_t)random_bits(b));
		break;
	default:	/* Q4_0, Q8_0: an FP16 scale of 2^-7..2^-4 */
		h = (uint16_t)((8 + random_bits(b) % 4) << 10);
		gguf_put(&b->data, &h, 2);
		for (i = 0; i < (type == Q4_0 ? 16 : 32); i++)
			gguf_u8(&b->data, (uint8_t)random_bits(b));
		break;
	}
}

static void add(struct build *b, const char *name, uint64_t k, uint64_t rows, uint32_t type)
{
	uint64_t block = type == NVFP4					 ? 64
			 : type == MXFP4 || type == Q8_0 || type == Q4_0 ? 32
									 : 1,
		 i;

	gguf_pad(&b->data, 32);
	gguf_tensor(&b->dir, name, k, rows, type, b->data.bytes);
	for (i = 0; i < k * (rows ? rows : 1) / block; i++)
		put_block(b, type);
	b->tensors++;
}

static void add_linear(struct build *b, uint32_t layer, const char *name, uint64_t k, uint64_t n)
{
	char text[64];

	snprintf(text, sizeof(text), "blk.%u.%s.weight", layer, name);
	add(b, text, k, n, b->m->type);
	snprintf(text, sizeof(text), "blk.%u.%s.bias", layer, name);
	if (b->m->bias)
		add(b, text, n, 0, F32);
	snprintf(text, sizeof(text), "blk.%u.%s.scale", layer, name);
	if (b->m->scales)
		add(b, text, 1, 0, F32);
}

static void add_layer(struct build *b, uint32_t layer)
{
	const struct gguf_llama *m = b->m;
	uint32_t kv = m->dim / m->heads * m->kv_heads;
	char text[64];

	snprintf(text, sizeof(text), "blk.%u.attn_norm.weight", layer);
	add(b, text, m->dim, 0, F32);
	add_linear(b, layer, "attn_q", m->dim, m->dim);
	add_linear(b, layer, "attn_k", m->dim, kv);
	add_linear(b, layer, "attn_v", m->dim, kv);
	add_linear(b, layer, "attn_output", m->dim, m->dim);
	snprintf(text, sizeof(text), "blk.%u.ffn_norm.weight", layer);
	add(b, text, m->dim, 0, F32);
	add_linear(b, layer, "ffn_gate", m->dim, m->ffn);
	add_linear(b, layer, "ffn_up", m->dim, m->ffn);
	add_linear(b, layer, "ffn_down", m->ffn, m->dim);
}

static void add_tokenizer(struct gguf_make *g, uint32_t vocab)
{
	char text[16];
	uint32_t i;

	gguf_kv_str(g, "tokenizer.ggml.model", "gpt2");
	gguf_kv_str(g, "tokenizer.ggml.pre", "llama-bpe");
	gguf_key(g, "tokenizer.ggml.tokens", 9);
	gguf_u32(g, 8);
	gguf_u64(g, vocab);
	for (i = 0; i < vocab; i++) {
		if (i < 26)
			snprintf(text, sizeof(text), "%c", 'a' + (int)i);
		else if (i == 26 || i == 27)
			strcpy(text, i == 26 ? "ab" : "abc");
		else
			snprintf(text, sizeof(text), "<%u>", i);
		gguf_str(g, text);
	}
	gguf_key(g, "tokenizer.ggml.merges", 9);
	gguf_u32(g, 8);
	gguf_u64(g, 3);
	gguf_str(g, "a b");
	gguf_str(g, "x nothing");
	gguf_str(g, "ab c");
}

void gguf_llama(struct gguf_make *g, const struct gguf_llama *m)
{
	struct build b = { .m = m, .seed = 12345 };
	uint32_t i;

	add(&b, "token_embd.weight", m->dim, m->vocab, m->head_type);
	if (m->rope_freqs) {
		gguf_pad(&b.data, 32);
		gguf_tensor(&b.dir, "rope_freqs.weight", m->dim / m->heads / 2, 0, F32,
			    b.data.bytes);
		for (i = 0; i < m->dim / m->heads / 2; i++)
			gguf_f32(&b.data, 1 + (float)i);
		b.tensors++;
	}
	for (i = 0; i < m->layers; i++)
		add_layer(&b, i);
	add(&b, "output_norm.weight", m->dim, 0, F32);
	if (m->untied)
		add(&b, "output.weight", m->dim, m->vocab, m->head_type);
	if (m->extra)
		add(&b, m->extra, 1, 0, F32);
	gguf_pad(&b.data, 32);
	gguf_head(g, 3, b.tensors, 8 + (m->tokenizer ? 4 : 0));
	gguf_kv_str(g, "general.architecture", "llama");
	gguf_kv_u32(g, "llama.context_length", 128);
	gguf_kv_u32(g, "llama.embedding_length", m->dim);
	gguf_kv_u32(g, "llama.block_count", m->layers);
	gguf_kv_u32(g, "llama.feed_forward_length", m->ffn);
	gguf_kv_u32(g, "llama.attention.head_count", m->heads);
	gguf_kv_u32(g, "llama.attention.head_count_kv", m->kv_heads);
	gguf_kv_f32(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	if (m->tokenizer)
		add_tokenizer(g, m->vocab);
	gguf_put(g, b.dir.data, b.dir.bytes);
	gguf_pad(g, 32);
	gguf_put(g, b.data.data, b.data.bytes);
	gguf_free(&b.dir);
	gguf_free(&b.data);
}
