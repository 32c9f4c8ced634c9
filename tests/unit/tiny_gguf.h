/* SPDX-License-Identifier: MIT */
/*
 * Writes small, valid llama models as GGUF files: seeds for fuzzers, and input for tests of the
 * compiler that need a whole model but no particular text. Weights are multiples of 1/32 that all
 * tensor types below hold exactly, so that one model is the same in every type.
 */
#ifndef TINY_GGUF_H
#define TINY_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Types of tensors; numbers are ggml's. */
enum tiny_gguf_type {
	TINY_GGUF_F32 = 0,
	TINY_GGUF_F16 = 1,
	TINY_GGUF_Q8_0 = 8,
	TINY_GGUF_BF16 = 30,
	TINY_GGUF_MXFP4 = 39,
	TINY_GGUF_NVFP4 = 40,
};

/**
 * struct tiny_gguf - what to write; 0 stands for the default.
 * @type: of matrices. Block types need widths that are multiples of 32, NVFP4 of 64.
 * @embd_type: of the embedding, where it differs; @other_embd says that it does.
 * @vocab: tokens, 300 and at least 280: bytes, specials and a few words.
 * @layers: 1.
 * @dim: 32.
 * @heads: 2.
 * @kv_heads: 1.
 * @ffn: 32.
 * @context: 128.
 * @seed: of the weights.
 * @untied: with an output matrix of its own.
 * @bpe: byte-level BPE vocabulary with merges, instead of SentencePiece with scores.
 */
struct tiny_gguf {
	enum tiny_gguf_type type;
	enum tiny_gguf_type embd_type;
	bool other_embd;
	uint32_t vocab;
	uint32_t layers;
	uint32_t dim;
	uint32_t heads;
	uint32_t kv_heads;
	uint32_t ffn;
	uint32_t context;
	uint64_t seed;
	bool untied;
	bool bpe;
};

/* Contents of the file: free() them. Aborts without memory, or where a width does not fit a type. */
void *tiny_gguf(const struct tiny_gguf *options, size_t *bytes);

#endif
