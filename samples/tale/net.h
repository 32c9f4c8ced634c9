/* SPDX-License-Identifier: MIT */
/*
 * The Llama network for one thread: forward, loss and backward over rows of packed documents.
 * RMSNorm, RoPE on interleaved pairs, grouped-query attention, SwiGLU, tied embeddings, no bias.
 * Parameters are one array of floats; optimiser, files and threads are elsewhere.
 */
#ifndef TALE_NET_H
#define TALE_NET_H

#include <stddef.h>
#include <stdint.h>

#include "corpus.h"

enum {
	NET_MAX_LAYERS = 16,
	NET_ALIGN = 32,
	NET_MAX_SIZE = 8192
};

#define NET_NORM_EPS  1e-5f
#define NET_ROPE_BASE 10000.0f

/* All but layers and heads are multiples of 32. */
struct net_shape {
	int32_t dim, hidden, layers, heads, kv_heads, head_dim, vocab, context;
};

/*
 * Offsets into the parameter array. Matrices are row-major [outputs][inputs]; q, k, v are one
 * matrix, and so are gate and up, in that order, because they share an input.
 */
struct net_layer {
	size_t attn_norm, qkv, out, ffn_norm, gate_up, down;
};

struct net {
	struct net_shape shape;
	struct net_layer layer[NET_MAX_LAYERS];
	size_t embed, out_norm, n_params;
	float *w;
	float *wt; /* transposed copies, [inputs][outputs + padding] */
	struct net_layer t_layer[NET_MAX_LAYERS];
	size_t t_embed;
};

/* A matrix or a vector among the parameters, for optimiser, files and tests. */
struct net_tensor {
	size_t offset;
	int32_t rows, cols; /* rows is 0 for a vector of cols */
	int32_t layer;	    /* -1 outside the layers */
	const char *name;   /* GGUF name without "blk.N." and ".weight" */
};

/*
 * n rows of len tokens; len is a multiple of 32. start is the index in the row where the document
 * of a token begins: attention sees nothing before it. target is -1 where there is no loss.
 */
struct net_batch {
	int n, len;
	const int *token, *start, *target;
};

struct net_work;

int net_new(struct net *net, const struct net_shape *shape); /* 0, -EINVAL or -ENOMEM */
void net_free(struct net *net);
void net_init(struct net *net, struct rng *r);
int net_tensors(const struct net *net, struct net_tensor *list, int max);

/* Must follow every change of w; items are independent, so threads can share them out. */
int net_transpose_items(const struct net *net);
void net_transpose(struct net *net, int item);

struct net_work *net_work_new(const struct net *net, int rows, int len);
void net_work_free(struct net_work *work);

/* Fills the logits of the work; the stride between tokens is net_logits_stride(). */
void net_forward(const struct net *net, struct net_work *work, const struct net_batch *batch);
float *net_logits(struct net_work *work);
size_t net_logits_stride(const struct net *net);

/* Sum of -log p(target) in nats; turns the logits into scale * gradient of that sum. */
double net_loss(const struct net *net, struct net_work *work, const struct net_batch *batch,
		float scale);

/* Adds to grad[n_params]; follows net_forward() and net_loss() of the same batch. */
void net_backward(const struct net *net, struct net_work *work, const struct net_batch *batch,
		  float *grad);

#endif
