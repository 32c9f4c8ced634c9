// SPDX-License-Identifier: MIT
/*
 * Forward and backward pass. Activations of every layer are kept, attention probabilities too; a
 * row is 256 tokens, so this is some megabytes a thread. Attention works on blocks of 32 queries
 * and skips the keys that causality or a document boundary hides from a whole block.
 */
#include "net.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm.h"

enum {
	BLOCK = 32,
	PAD = 16
}; /* PAD keeps rows of a power of two out of one cache set */

struct layer_work {
	float *x;		/* [m][dim] input of the layer */
	float *norm1, *norm2;	/* [m][dim] */
	float *scale1, *scale2; /* [m] 1 / rms */
	float *qkv;		/* [m][qkv] after RoPE */
	float *prob;		/* [rows][heads][len][len + PAD] */
	float *att;		/* [m][dim] */
	float *mid;		/* [m][dim] after attention */
	float *gate_up;		/* [m][2 * hidden] */
	float *act;		/* [m][hidden] */
};

struct net_work {
	struct layer_work layer[NET_MAX_LAYERS];
	float *x, *norm, *scale; /* output of the last layer and its norm */
	float *logits;
	float *dx, *dnorm, *dqkv, *dgate_up, *dact, *datt;
	float *kt, *vt; /* [head_dim][len + PAD] of one head */
	float *dprob;	/* [BLOCK][len + PAD] */
	float *rope;	/* [len][head_dim]: cos, sin of each pair */
	float *arena;
};

static int qkv_cols(const struct net_shape *s)
{
	return (s->heads + 2 * s->kv_heads) * s->head_dim;
}

static size_t take(size_t *at, size_t n)
{
	size_t offset = *at;

	*at += (n + VEC - 1) / VEC * VEC;
	return offset;
}

static void place(struct net *net)
{
	const struct net_shape *s = &net->shape;
	size_t d = (size_t)s->dim, h = (size_t)s->hidden, q = (size_t)qkv_cols(s),
	       v = (size_t)s->vocab;
	size_t at = 0;

	net->embed = take(&at, v * d);
	for (int i = 0; i < s->layers; i++) {
		net->layer[i].attn_norm = take(&at, d);
		net->layer[i].qkv = take(&at, q * d);
		net->layer[i].out = take(&at, d * d);
		net->layer[i].ffn_norm = take(&at, d);
		net->layer[i].gate_up = take(&at, 2 * h * d);
		net->layer[i].down = take(&at, d * h);
	}
	net->out_norm = take(&at, d);
	net->n_params = at;
}

static size_t place_transposed(struct net *net)
{
	const struct net_shape *s = &net->shape;
	size_t d = (size_t)s->dim, h = (size_t)s->hidden, q = (size_t)qkv_cols(s);
	size_t at = 0;

	for (int i = 0; i < s->layers; i++) {
		net->t_layer[i].qkv = take(&at, d * (q + PAD));
		net->t_layer[i].out = take(&at, d * (d + PAD));
		net->t_layer[i].gate_up = take(&at, d * (2 * h + PAD));
		net->t_layer[i].down = take(&at, h * (d + PAD));
	}
	net->t_embed = take(&at, d * ((size_t)s->vocab + PAD));
	return at;
}

static float *floats(size_t n)
{
	float *p = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);

	if (p)
		memset(p, 0, n * sizeof(float));
	return p;
}

static bool shape_fits(const struct net_shape *s)
{
	const int32_t aligned[] = {s->dim, s->hidden, s->head_dim, s->vocab, s->context};

	for (size_t i = 0; i < sizeof(aligned) / sizeof(aligned[0]); i++)
		if (aligned[i] < NET_ALIGN || aligned[i] % NET_ALIGN || aligned[i] > NET_MAX_SIZE)
			return false;
	return s->layers >= 1 && s->layers <= NET_MAX_LAYERS && s->kv_heads >= 1 &&
	       s->heads >= s->kv_heads && s->heads <= NET_MAX_SIZE / NET_ALIGN &&
	       s->heads % s->kv_heads == 0 && s->heads * s->head_dim == s->dim;
}

int net_new(struct net *net, const struct net_shape *s)
{
	if (!shape_fits(s))
		return -EINVAL;
	*net = (struct net){.shape = *s};
	place(net);
	net->w = floats(net->n_params);
	net->wt = floats(place_transposed(net));
	if (net->w && net->wt)
		return 0;
	net_free(net);
	return -ENOMEM;
}

void net_free(struct net *net)
{
	free(net->w);
	free(net->wt);
	net->w = net->wt = NULL;
}

int net_tensors(const struct net *net, struct net_tensor *list, int max)
{
	const struct net_shape *s = &net->shape;
	size_t d = (size_t)s->dim, kv = (size_t)(s->kv_heads * s->head_dim);
	int n = 0;

	if (max < 2 + 9 * s->layers)
		return -EINVAL;
	list[n++] = (struct net_tensor){net->embed, s->vocab, s->dim, -1, "token_embd"};
	for (int i = 0; i < s->layers; i++) {
		const struct net_layer *l = &net->layer[i];
		const struct net_tensor of_layer[] = {
			{l->attn_norm, 0, s->dim, i, "attn_norm"},
			{l->qkv, s->dim, s->dim, i, "attn_q"},
			{l->qkv + d * d, (int32_t)kv, s->dim, i, "attn_k"},
			{l->qkv + (d + kv) * d, (int32_t)kv, s->dim, i, "attn_v"},
			{l->out, s->dim, s->dim, i, "attn_output"},
			{l->ffn_norm, 0, s->dim, i, "ffn_norm"},
			{l->gate_up, s->hidden, s->dim, i, "ffn_gate"},
			{l->gate_up + (size_t)s->hidden * d, s->hidden, s->dim, i, "ffn_up"},
			{l->down, s->dim, s->hidden, i, "ffn_down"},
		};

		memcpy(list + n, of_layer, sizeof(of_layer));
		n += 9;
	}
	list[n++] = (struct net_tensor){net->out_norm, 0, s->dim, -1, "output_norm"};
	return n;
}

/* Outputs of the residual branches start smaller, so depth does not add up their variance. */
void net_init(struct net *net, struct rng *r)
{
	struct net_tensor list[2 + 9 * NET_MAX_LAYERS];
	int n = net_tensors(net, list, 2 + 9 * NET_MAX_LAYERS);

	for (int i = 0; i < n; i++) {
		const struct net_tensor *t = &list[i];
		float *w = net->w + t->offset;
		float std = 1.0f / sqrtf((float)t->cols);

		if (!strcmp(t->name, "token_embd"))
			std = 0.05f;
		if (!strcmp(t->name, "attn_output") || !strcmp(t->name, "ffn_down"))
			std /= sqrtf(2.0f * (float)net->shape.layers);
		for (int64_t k = 0; k < (int64_t)(t->rows ? t->rows : 1) * t->cols; k++)
			w[k] = t->rows ? std * rng_normal(r) : 1.0f;
	}
}

static void transpose(const float *from, int rows, int cols, float *to)
{
	for (int i = 0; i < rows; i += 16)
		for (int k = 0; k < cols; k++)
			for (int j = i; j < i + 16; j++)
				to[(size_t)k * (size_t)(rows + PAD) + (size_t)j] =
					from[(size_t)j * (size_t)cols + (size_t)k];
}

int net_transpose_items(const struct net *net)
{
	return 1 + 4 * net->shape.layers;
}

void net_transpose(struct net *net, int item)
{
	const struct net_shape *s = &net->shape;
	const struct net_layer *l = &net->layer[item / 4], *t = &net->t_layer[item / 4];

	if (item == 4 * s->layers)
		transpose(net->w + net->embed, s->vocab, s->dim, net->wt + net->t_embed);
	else if (item % 4 == 0)
		transpose(net->w + l->qkv, qkv_cols(s), s->dim, net->wt + t->qkv);
	else if (item % 4 == 1)
		transpose(net->w + l->out, s->dim, s->dim, net->wt + t->out);
	else if (item % 4 == 2)
		transpose(net->w + l->gate_up, 2 * s->hidden, s->dim, net->wt + t->gate_up);
	else
		transpose(net->w + l->down, s->dim, s->hidden, net->wt + t->down);
}

size_t net_logits_stride(const struct net *net)
{
	return (size_t)net->shape.vocab + PAD;
}

float *net_logits(struct net_work *work)
{
	return work->logits;
}

/* One pass with no arena sums the sizes, the next hands out the pieces. */
static size_t carve(const struct net *net, struct net_work *k, int rows, int len)
{
	const struct net_shape *s = &net->shape;
	size_t m = (size_t)rows * (size_t)len, d = (size_t)s->dim, h = (size_t)s->hidden;
	size_t q = (size_t)qkv_cols(s), padded = (size_t)len + PAD, at = 0;
	float *base = k->arena;

#define TAKE(p, n) ((p) = base ? base + take(&at, n) : (take(&at, n), NULL))
	for (int i = 0; i < s->layers; i++) {
		struct layer_work *l = &k->layer[i];

		TAKE(l->x, m * d);
		TAKE(l->norm1, m * d);
		TAKE(l->norm2, m * d);
		TAKE(l->scale1, m);
		TAKE(l->scale2, m);
		TAKE(l->qkv, m * q);
		TAKE(l->prob, m * (size_t)s->heads * padded);
		TAKE(l->att, m * d);
		TAKE(l->mid, m * d);
		TAKE(l->gate_up, m * 2 * h);
		TAKE(l->act, m * h);
	}
	TAKE(k->x, m * d);
	TAKE(k->norm, m * d);
	TAKE(k->scale, m);
	TAKE(k->logits, m * net_logits_stride(net));
	TAKE(k->dx, m * d);
	TAKE(k->dnorm, m * d);
	TAKE(k->dqkv, m * q);
	TAKE(k->dgate_up, m * 2 * h);
	TAKE(k->dact, m * h);
	TAKE(k->datt, m * d);
	TAKE(k->kt, (size_t)s->head_dim * padded);
	TAKE(k->vt, (size_t)s->head_dim * padded);
	TAKE(k->dprob, BLOCK * padded);
	TAKE(k->rope, (size_t)len * (size_t)s->head_dim);
#undef TAKE
	return at;
}

struct net_work *net_work_new(const struct net *net, int rows, int len)
{
	struct net_work *k = calloc(1, sizeof(*k));
	int hd = net->shape.head_dim;

	if (!k)
		return NULL;
	k->arena = floats(carve(net, k, rows, len));
	if (!k->arena) {
		free(k);
		return NULL;
	}
	carve(net, k, rows, len);
	for (int t = 0; t < len; t++)
		for (int i = 0; i < hd; i += 2) {
			double angle = t * pow((double)NET_ROPE_BASE, -(double)i / hd);

			k->rope[t * hd + i] = (float)cos(angle);
			k->rope[t * hd + i + 1] = (float)sin(angle);
		}
	return k;
}

void net_work_free(struct net_work *k)
{
	if (k)
		free(k->arena);
	free(k);
}

/* ---- the parts of a layer ---- */

static void rmsnorm(int m, int d, const float *x, const float *gain, float *out, float *scale)
{
	for (int t = 0; t < m; t++, x += d, out += d) {
		vec sum = {0};

		for (int i = 0; i < d; i += VEC)
			sum += *(const vec *)(x + i) * *(const vec *)(x + i);
		scale[t] = 1.0f / sqrtf(vec_sum(sum) / (float)d + NET_NORM_EPS);
		for (int i = 0; i < d; i++)
			out[i] = x[i] * scale[t] * gain[i];
	}
}

/* Adds to dx and to dgain. */
static void rmsnorm_back(int m, int d, const float *x, const float *gain, const float *scale,
			 const float *dout, float *dx, float *dgain)
{
	for (int t = 0; t < m; t++, x += d, dout += d, dx += d) {
		float r = scale[t], c;
		vec dot = {0};

		for (int i = 0; i < d; i += VEC)
			dot += *(const vec *)(dout + i) * *(const vec *)(gain + i) *
			       *(const vec *)(x + i);
		c = vec_sum(dot) * r * r * r / (float)d;
		for (int i = 0; i < d; i++) {
			dgain[i] += dout[i] * x[i] * r;
			dx[i] += dout[i] * gain[i] * r - x[i] * c;
		}
	}
}

/* Rotates pairs (2i, 2i + 1); direction is +1, or -1 for the gradient. */
static void rope(const struct net_shape *s, const struct net_work *k, const struct net_batch *b,
		 float *qkv, float direction)
{
	int rotated = (s->heads + s->kv_heads) * s->head_dim, cols = qkv_cols(s);

	for (int t = 0; t < b->n * b->len; t++, qkv += cols) {
		const float *table = k->rope + t % b->len * s->head_dim;

		for (int h = 0; h < rotated; h += s->head_dim)
			for (int i = 0; i < s->head_dim; i += 2) {
				float c = table[i], z = table[i + 1] * direction;
				float x = qkv[h + i], y = qkv[h + i + 1];

				qkv[h + i] = x * c - y * z;
				qkv[h + i + 1] = x * z + y * c;
			}
	}
}

/* to[i][t] = from[t][i] for one head of one row. */
static void transpose_head(int len, int hd, const float *from, int cols, float *to)
{
	for (int t = 0; t < len; t++)
		for (int i = 0; i < hd; i++)
			to[(size_t)i * (size_t)(len + PAD) + (size_t)t] =
				from[(size_t)t * (size_t)cols + (size_t)i];
}

/* Softmax of p[start..t] in place; what the block holds outside that becomes (almost) zero. */
static void softmax_row(float *p, int lo, int start, int t, int hi, float scale)
{
	vec top, total = {0};
	float max;

	for (int j = lo; j < start; j++)
		p[j] = -INFINITY;
	for (int j = t + 1; j < hi; j++)
		p[j] = -INFINITY;
	top = *(vec *)(p + lo);
	for (int j = lo + VEC; j < hi; j += VEC)
		top = vec_max(top, *(vec *)(p + j));
	max = vec_top(top);
	for (int j = lo; j < hi; j += VEC) {
		vec e = vec_exp((*(vec *)(p + j) - max) * scale);

		*(vec *)(p + j) = e;
		total += e;
	}
	total = vec_all(1.0f / vec_sum(total));
	for (int j = lo; j < hi; j += VEC)
		*(vec *)(p + j) *= total;
}

struct head {
	const float *q, *k, *v, *out; /* at the first token of the row */
	float *prob;
	const int *start;
};

static struct head head_of(const struct net_shape *s, const struct layer_work *l,
			   const struct net_batch *b, int row, int h)
{
	size_t first = (size_t)row * (size_t)b->len;
	const float *qkv = l->qkv + first * (size_t)qkv_cols(s);
	int kv = h / (s->heads / s->kv_heads);

	return (struct head){
		.q = qkv + h * s->head_dim,
		.k = qkv + (s->heads + kv) * s->head_dim,
		.v = qkv + (s->heads + s->kv_heads + kv) * s->head_dim,
		.out = l->att + first * (size_t)s->dim + h * s->head_dim,
		.prob = l->prob + ((size_t)row * (size_t)s->heads + (size_t)h) * (size_t)b->len *
					  (size_t)(b->len + PAD),
		.start = b->start + first,
	};
}

static void attend(const struct net_shape *s, struct net_work *k, struct layer_work *l,
		   const struct net_batch *b)
{
	int hd = s->head_dim, cols = qkv_cols(s), padded = b->len + PAD;
	float scale = 1.0f / sqrtf((float)hd);

	for (int row = 0; row < b->n; row++)
		for (int h = 0; h < s->heads; h++) {
			struct head a = head_of(s, l, b, row, h);

			if (h % (s->heads / s->kv_heads) == 0)
				transpose_head(b->len, hd, a.k, cols, k->kt);
			for (int t = 0; t < b->len; t += BLOCK) {
				int lo = a.start[t] / BLOCK * BLOCK, hi = t + BLOCK;
				float *p = a.prob + (size_t)t * (size_t)padded;

				gemm(BLOCK, hi - lo, hd, a.q + t * cols, (size_t)cols, 1,
				     k->kt + lo, (size_t)padded, p + lo, (size_t)padded, false);
				for (int i = t; i < hi; i++)
					softmax_row(p + (i - t) * padded, lo, a.start[i], i, hi,
						    scale);
				gemm(BLOCK, hd, hi - lo, p + lo, (size_t)padded, 1, a.v + lo * cols,
				     (size_t)cols, (float *)a.out + t * s->dim, (size_t)s->dim,
				     false);
			}
		}
}

/* dprob becomes the gradient of the scores before the scale. */
static void softmax_back(const float *p, float *dp, int n, float scale)
{
	vec dot = {0};
	float sum;

	for (int j = 0; j < n; j += VEC)
		dot += *(const vec *)(p + j) * *(const vec *)(dp + j);
	sum = vec_sum(dot);
	for (int j = 0; j < n; j++)
		dp[j] = p[j] * (dp[j] - sum) * scale;
}

static void attend_back(const struct net_shape *s, struct net_work *k, const struct layer_work *l,
			const struct net_batch *b)
{
	int hd = s->head_dim, cols = qkv_cols(s), padded = b->len + PAD;
	size_t c = (size_t)cols, pd = (size_t)padded;
	float scale = 1.0f / sqrtf((float)hd);

	memset(k->dqkv, 0, (size_t)b->n * (size_t)b->len * c * sizeof(float));
	for (int row = 0; row < b->n; row++)
		for (int h = 0; h < s->heads; h++) {
			struct head a = head_of(s, l, b, row, h);
			float *dq = k->dqkv + (a.q - l->qkv), *dk = k->dqkv + (a.k - l->qkv);
			float *dv = k->dqkv + (a.v - l->qkv);
			const float *dout = k->datt + (a.out - l->att);

			if (h % (s->heads / s->kv_heads) == 0)
				transpose_head(b->len, hd, a.v, cols, k->vt);
			for (int t = 0; t < b->len; t += BLOCK) {
				int lo = a.start[t] / BLOCK * BLOCK, n = t + BLOCK - lo;
				const float *p = a.prob + (size_t)t * pd + lo,
					    *o = dout + t * s->dim;

				gemm(BLOCK, n, hd, o, (size_t)s->dim, 1, k->vt + lo, pd, k->dprob,
				     pd, false);
				gemm(n, hd, BLOCK, p, 1, pd, o, (size_t)s->dim, dv + lo * cols, c,
				     true);
				for (int i = 0; i < BLOCK; i++)
					softmax_back(p + i * padded, k->dprob + i * padded, n,
						     scale);
				gemm(BLOCK, hd, n, k->dprob, pd, 1, a.k + lo * cols, c,
				     dq + t * cols, c, false);
				gemm(n, hd, BLOCK, k->dprob, 1, pd, a.q + t * cols, c,
				     dk + lo * cols, c, true);
			}
		}
}

static void swiglu(int m, int h, const float *gate_up, float *act)
{
	for (int t = 0; t < m; t++, gate_up += 2 * h, act += h)
		for (int i = 0; i < h; i += VEC) {
			vec g = *(const vec *)(gate_up + i), u = *(const vec *)(gate_up + h + i);

			*(vec *)(act + i) = g * u / (1.0f + vec_exp(-g));
		}
}

static void swiglu_back(int m, int h, const float *gate_up, const float *dact, float *dgate_up)
{
	for (int t = 0; t < m; t++, gate_up += 2 * h, dgate_up += 2 * h, dact += h)
		for (int i = 0; i < h; i += VEC) {
			vec g = *(const vec *)(gate_up + i), u = *(const vec *)(gate_up + h + i);
			vec d = *(const vec *)(dact + i), z = 1.0f / (1.0f + vec_exp(-g));

			*(vec *)(dgate_up + i) = d * u * (z + g * z * (1.0f - z));
			*(vec *)(dgate_up + h + i) = d * g * z;
		}
}

static void add(size_t n, const float *a, const float *b, float *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = a[i] + b[i];
}

/* out[m][rows] = in[m][cols] times the transpose of a matrix, by its transposed copy. */
static void project(int m, int rows, int cols, const float *in, const float *wt, float *out,
		    size_t ldout)
{
	gemm(m, rows, cols, in, (size_t)cols, 1, wt, (size_t)rows + PAD, out, ldout, false);
}

/* The gradients of project(): din is overwritten, dw is added to. */
static void project_back(int m, int rows, int cols, const float *in, const float *w,
			 const float *dout, size_t lddout, float *din, float *dw)
{
	gemm(m, cols, rows, dout, lddout, 1, w, (size_t)cols, din, (size_t)cols, false);
	gemm(rows, cols, m, dout, 1, lddout, in, (size_t)cols, dw, (size_t)cols, true);
}

/* ---- the passes ---- */

static void layer_forward(const struct net *net, struct net_work *k, int i,
			  const struct net_batch *b, float *out)
{
	const struct net_shape *s = &net->shape;
	const struct net_layer *w = &net->layer[i], *t = &net->t_layer[i];
	struct layer_work *l = &k->layer[i];
	int m = b->n * b->len, q = qkv_cols(s);
	size_t d = (size_t)s->dim, h = (size_t)s->hidden;

	rmsnorm(m, s->dim, l->x, net->w + w->attn_norm, l->norm1, l->scale1);
	project(m, q, s->dim, l->norm1, net->wt + t->qkv, l->qkv, (size_t)q);
	rope(s, k, b, l->qkv, 1.0f);
	attend(s, k, l, b);
	project(m, s->dim, s->dim, l->att, net->wt + t->out, l->mid, d);
	add((size_t)m * d, l->mid, l->x, l->mid);
	rmsnorm(m, s->dim, l->mid, net->w + w->ffn_norm, l->norm2, l->scale2);
	project(m, 2 * s->hidden, s->dim, l->norm2, net->wt + t->gate_up, l->gate_up, 2 * h);
	swiglu(m, s->hidden, l->gate_up, l->act);
	project(m, s->dim, s->hidden, l->act, net->wt + t->down, out, d);
	add((size_t)m * d, out, l->mid, out);
}

void net_forward(const struct net *net, struct net_work *k, const struct net_batch *b)
{
	const struct net_shape *s = &net->shape;
	int m = b->n * b->len;
	size_t d = (size_t)s->dim;

	for (int t = 0; t < m; t++)
		memcpy(k->layer[0].x + (size_t)t * d, net->w + net->embed + (size_t)b->token[t] * d,
		       d * sizeof(float));
	for (int i = 0; i < s->layers; i++)
		layer_forward(net, k, i, b, i + 1 < s->layers ? k->layer[i + 1].x : k->x);
	rmsnorm(m, s->dim, k->x, net->w + net->out_norm, k->norm, k->scale);
	project(m, s->vocab, s->dim, k->norm, net->wt + net->t_embed, k->logits,
		net_logits_stride(net));
}

static double loss_of(float *p, int n, int target, float scale)
{
	vec top = *(vec *)p, total = {0};
	float max, sum;
	double loss;

	for (int i = VEC; i < n; i += VEC)
		top = vec_max(top, *(vec *)(p + i));
	max = vec_top(top);
	loss = max - p[target];
	for (int i = 0; i < n; i += VEC) {
		vec e = vec_exp(*(vec *)(p + i) - max);

		*(vec *)(p + i) = e;
		total += e;
	}
	sum = vec_sum(total);
	for (int i = 0; i < n; i++)
		p[i] *= scale / sum;
	p[target] -= scale;
	return loss + log((double)sum);
}

double net_loss(const struct net *net, struct net_work *k, const struct net_batch *b, float scale)
{
	size_t stride = net_logits_stride(net);
	double sum = 0;

	for (int t = 0; t < b->n * b->len; t++) {
		float *p = k->logits + (size_t)t * stride;

		if (b->target[t] >= 0)
			sum += loss_of(p, net->shape.vocab, b->target[t], scale);
		else
			memset(p, 0, stride * sizeof(float));
	}
	return sum;
}

static void layer_backward(const struct net *net, struct net_work *k, int i,
			   const struct net_batch *b, float *grad)
{
	const struct net_shape *s = &net->shape;
	const struct net_layer *w = &net->layer[i];
	struct layer_work *l = &k->layer[i];
	int m = b->n * b->len, q = qkv_cols(s);
	size_t d = (size_t)s->dim, h = (size_t)s->hidden;

	project_back(m, s->dim, s->hidden, l->act, net->w + w->down, k->dx, d, k->dact,
		     grad + w->down);
	swiglu_back(m, s->hidden, l->gate_up, k->dact, k->dgate_up);
	project_back(m, 2 * s->hidden, s->dim, l->norm2, net->w + w->gate_up, k->dgate_up, 2 * h,
		     k->dnorm, grad + w->gate_up);
	rmsnorm_back(m, s->dim, l->mid, net->w + w->ffn_norm, l->scale2, k->dnorm, k->dx,
		     grad + w->ffn_norm);

	project_back(m, s->dim, s->dim, l->att, net->w + w->out, k->dx, d, k->datt, grad + w->out);
	attend_back(s, k, l, b);
	rope(s, k, b, k->dqkv, -1.0f);
	project_back(m, q, s->dim, l->norm1, net->w + w->qkv, k->dqkv, (size_t)q, k->dnorm,
		     grad + w->qkv);
	rmsnorm_back(m, s->dim, l->x, net->w + w->attn_norm, l->scale1, k->dnorm, k->dx,
		     grad + w->attn_norm);
}

void net_backward(const struct net *net, struct net_work *k, const struct net_batch *b, float *grad)
{
	const struct net_shape *s = &net->shape;
	int m = b->n * b->len;
	size_t d = (size_t)s->dim;

	project_back(m, s->vocab, s->dim, k->norm, net->w + net->embed, k->logits,
		     net_logits_stride(net), k->dnorm, grad + net->embed);
	memset(k->dx, 0, (size_t)m * d * sizeof(float));
	rmsnorm_back(m, s->dim, k->x, net->w + net->out_norm, k->scale, k->dnorm, k->dx,
		     grad + net->out_norm);
	for (int i = s->layers - 1; i >= 0; i--)
		layer_backward(net, k, i, b, grad);
	for (int t = 0; t < m; t++) {
		float *g = grad + net->embed + (size_t)b->token[t] * d;

		add(d, g, k->dx + (size_t)t * d, g);
	}
}
