/* SPDX-License-Identifier: MIT */
/*
 * Writes GGUF files into memory, good and bad ones, for tests. Nothing is checked: that is the
 * point.
 */
#ifndef GGUF_MAKE_H
#define GGUF_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf_make {
	uint8_t *data;
	size_t bytes;
	size_t cap;
};

void gguf_put(struct gguf_make *g, const void *data, size_t bytes);
void gguf_u8(struct gguf_make *g, uint8_t v);
void gguf_u32(struct gguf_make *g, uint32_t v);
void gguf_u64(struct gguf_make *g, uint64_t v);
void gguf_f32(struct gguf_make *g, float v);
void gguf_str(struct gguf_make *g, const char *s);
void gguf_head(struct gguf_make *g, uint32_t version, uint64_t tensors, uint64_t kvs);
void gguf_key(struct gguf_make *g, const char *key, uint32_t type);
void gguf_kv_u32(struct gguf_make *g, const char *key, uint32_t v);
void gguf_kv_f32(struct gguf_make *g, const char *key, float v);
void gguf_kv_str(struct gguf_make *g, const char *key, const char *v);
/* A tensor's directory entry; rows 0: one dimension. */
void gguf_tensor(struct gguf_make *g, const char *name, uint64_t k, uint64_t rows, uint32_t type,
		 uint64_t offset);
void gguf_pad(struct gguf_make *g, size_t to);
void gguf_free(struct gguf_make *g);

/* What a made-up llama has. */
struct gguf_llama {
	uint32_t dim, ffn, layers, heads, kv_heads, vocab;
	uint32_t type;		/* of the linear layers: ggml type */
	uint32_t head_type;	/* of embedding and output */
	bool untied;
	bool bias;		/* of q, k, v, output, gate, up, down */
	bool scales;		/* per-tensor scales beside the linear layers */
	bool rope_freqs;
	bool tokenizer;
	const char *extra;	/* one more tensor, of one F32 element */
};

/* A whole model with pseudo-random weights; the same for the same arguments. */
void gguf_llama(struct gguf_make *g, const struct gguf_llama *m);

#endif
