/* SPDX-License-Identifier: MIT */
/*
 * The reference of GEMM and attention: nib_isa.h's ARITHMETIC block, line by line, one number at a
 * time. Slow on purpose; gemm_*.c and attention.c must give the same bits.
 */
#include <math.h>
#include "isa.h"
#include "element.h"

/*
 * s + a * w, rounded once, and a zero where the result would be subnormal. Whether it is, is seen
 * before the exponent range rounds it: just below 2^-126 a result may round up to 2^-126 only
 * because subnormals have fewer bits, and dot-product hardware still flushes that one. The product
 * is exact in FP64, and so is the sum wherever it is near the limit.
 */
static float dot_step(float a, float w, float s)
{
	float r = nib_fma(a, w, s);

	return fabs((double)a * w + s) < 0x1.ffffffp-127 ? copysignf(0.0f, r) : r;
}

static float flush_operand(float x)
{
	return nib_abs(x) < 0x1p-126f ? copysignf(0.0f, x) : x;
}

/* Element @code of a GEMM operand, before scales. */
static float element(uint32_t fmt, uint32_t code)
{
	switch (fmt) {
	case NIB_FMT_BF16:
		return flush_operand(nib_bf16_decode(code));
	case NIB_FMT_MXFP4:
	case NIB_FMT_NVFP4:
		return nib_e2m1_decode(code);
	case NIB_FMT_MXFP8_E5M2:
		return nib_e5m2_decode(code);
	default:
		return nib_e4m3_decode(code);
	}
}

static float block_scale(uint32_t fmt, uint32_t code)
{
	return fmt == NIB_FMT_NVFP4 ? nib_ue4m3_decode(code) : nib_e8m0_decode(code);
}

static uint32_t bits_at(const uint8_t *byte, uint32_t shift, uint32_t bits)
{
	return (bits == 16 ? byte[0] | (uint32_t)byte[1] << 8 : byte[0]) >> shift &
	       ((1u << bits) - 1);
}

/* Term t of element i of a row of k elements; zero past the end. */
static float row_element(uint32_t fmt, const uint8_t *row, size_t k, uint32_t t, size_t i)
{
	size_t bits = nib_format_bits(fmt);
	size_t term = nib_row_data_bytes(fmt, k) + nib_row_scale_bytes(fmt, k);

	if (i >= k)
		return 0.0f;
	return element(fmt, bits_at(row + t * term + i * bits / 8, i * bits % 8, bits));
}

static float row_scale(uint32_t fmt, const uint8_t *row, size_t k, uint32_t t, size_t i)
{
	size_t data = nib_row_data_bytes(fmt, k), term = data + nib_row_scale_bytes(fmt, k);

	if (!nib_format_block(fmt))
		return 1.0f;
	return block_scale(fmt, row[t * term + data + i / nib_format_block(fmt)]);
}

static float panel_element(uint32_t fmt, const uint8_t *w, size_t k, uint32_t t, uint32_t n,
			   size_t i)
{
	const uint8_t *tile = w + n / NIB_PANEL_N * nib_panel_bytes(fmt, k) +
			      i / NIB_TILE_K * nib_tile_bytes(fmt);
	__u64 byte;
	uint32_t shift = nib_tile_element(fmt, t, n % NIB_PANEL_N, i % NIB_TILE_K, &byte);

	return element(fmt, bits_at(tile + byte, shift, nib_format_bits(fmt)));
}

static float panel_scale(uint32_t fmt, const uint8_t *w, size_t k, uint32_t t, uint32_t n, size_t i)
{
	const uint8_t *tile = w + n / NIB_PANEL_N * nib_panel_bytes(fmt, k) +
			      i / NIB_TILE_K * nib_tile_bytes(fmt);

	if (!nib_format_block(fmt))
		return 1.0f;
	return block_scale(fmt, tile[nib_tile_scale(fmt, t, n % NIB_PANEL_N, i % NIB_TILE_K)]);
}

/* Sum over k of one output, before the epilogue. */
static float gemm_sum(const struct nib_gemm_job *job, const uint8_t *a, uint32_t n)
{
	uint32_t af = job->a_fmt, wf = job->w_fmt, ta, tw;
	uint32_t block = af == NIB_FMT_NVFP4 || wf == NIB_FMT_NVFP4 ? 16 : 32;
	size_t k = job->k, b, i;
	float acc = 0, s;

	for (b = 0; b < k; b += block) {
		for (ta = 0; ta < nib_format_terms(af); ta++) {
			for (tw = 0; tw < nib_format_terms(wf); tw++) {
				s = 0;
				for (i = b; i < b + block; i += 2) {
					s = dot_step(row_element(af, a, k, ta, i + 1),
						     panel_element(wf, job->w, k, tw, n, i + 1), s);
					s = dot_step(row_element(af, a, k, ta, i),
						     panel_element(wf, job->w, k, tw, n, i), s);
				}
				acc = nib_fma(s, row_scale(af, a, k, ta, b) *
						 panel_scale(wf, job->w, k, tw, n, b), acc);
			}
		}
	}
	return acc;
}

static float activate(uint32_t activation, float x)
{
	switch (activation) {
	case NIB_ACT_RELU:
		return nib_max(x, 0.0f);
	case NIB_ACT_SILU:
		return nib_silu(x);
	case NIB_ACT_GELU:
		return nib_gelu(x);
	default:
		return x;
	}
}

void nib_gemm_scalar(const struct nib_gemm_job *job)
{
	size_t nvfp4 = nib_row_data_bytes(NIB_FMT_NVFP4, job->k) +
		       nib_row_scale_bytes(NIB_FMT_NVFP4, job->k);
	uint32_t m, n;

	for (m = 0; m < job->rows; m++) {
		const uint8_t *a = job->a + m * job->a_pitch;
		uint8_t *out = job->out + m * job->out_pitch;
		float acc, scale, residual;

		for (n = 0; n < job->n; n++) {
			acc = gemm_sum(job, a, n);
			if (job->a_fmt == NIB_FMT_NVFP4) {
				memcpy(&scale, a + nvfp4, sizeof(scale));
				acc *= scale;
			}
			acc *= job->alpha;
			if (job->bias)
				acc += job->bias[n];
			acc = activate(job->activation, acc);
			if (job->residual) {
				memcpy(&residual, job->residual + m * job->residual_pitch + n * 4ul,
				       4);
				acc += residual;
			}
			acc = nib_canonical(acc);
			nib_convert_scalar(job->out_fmt,
					   out + n * nib_format_bits(job->out_fmt) / 8, NIB_FMT_F32,
					   &acc, 1);
		}
	}
}

/* Row sum of 16 lanes that are already filled. */
static float lanes_sum(float *lane)
{
	int step, l;

	for (step = 8; step; step /= 2)
		for (l = 0; l < step; l++)
			lane[l] += lane[l + step];
	return lane[0];
}

/* What a head has seen so far: running maximum, denominator and values. */
struct attention_state {
	float max;
	float sum;
	float *value;
	int empty;
};

static void attention_merge(struct attention_state *s, float max, float sum, const float *value,
			    uint32_t dim)
{
	float both = nib_max(s->max, max), a = nib_exp(s->max - both), b = nib_exp(max - both);
	uint32_t d;

	if (s->empty) {
		a = 1.0f;
		s->max = max;
		s->sum = sum;
		memcpy(s->value, value, dim * sizeof(float));
		s->empty = 0;
		return;
	}
	s->max = both;
	s->sum = nib_fma(s->sum, a, sum * b);
	for (d = 0; d < dim; d++)
		s->value[d] = nib_fma(s->value[d], a, value[d] * b);
}

/* Positions from..to of one chunk, one head; @p has room for a chunk, @row and @o for a head. */
static void attention_chunk(const struct nib_attention_job *job, const float *q, uint32_t head,
			    uint32_t from, uint32_t to, float *p, float *row, float *o,
			    struct attention_state *s)
{
	uint32_t dim = job->head_dim, width = job->n_kv_heads * dim, j, i;
	uint32_t slice = head / (job->n_heads / job->n_kv_heads) * dim;
	float max = nib_nan(), lane[16];

	for (j = from; j <= to; j++) {
		float score;

		nib_row_decode_scalar(job->k_fmt, job->k_rows[j - job->first], width, slice, dim,
				      row);
		memset(lane, 0, sizeof(lane));
		for (i = 0; i < dim; i++)
			lane[i % 16] = nib_fma(q[i], row[i], lane[i % 16]);
		score = lanes_sum(lane) * job->scale;
		if (job->softcap != 0.0f)
			score = job->softcap * nib_tanh(score / job->softcap);
		p[j - from] = score;
		max = nib_max(max, score);
	}
	memset(lane, 0, sizeof(lane));
	memset(o, 0, dim * sizeof(float));
	for (j = from; j <= to; j++) {
		float e = nib_exp(p[j - from] - max);

		lane[j % 16] += e;
		nib_row_decode_scalar(job->v_fmt, job->v_rows[j - job->first], width, slice, dim,
				      row);
		for (i = 0; i < dim; i++)
			o[i] = nib_fma(e, row[i], o[i]);
	}
	attention_merge(s, max, lanes_sum(lane), o, dim);
}

static void attention_end(const struct nib_attention_job *job, uint32_t row, uint32_t head,
			  struct attention_state *s, float *o)
{
	uint32_t dim = job->head_dim, d;
	float *out = job->out + row * job->out_pitch / 4 + head * dim;

	if (job->sinks) {
		memset(o, 0, dim * sizeof(float));
		attention_merge(s, job->sinks[head], 1.0f, o, dim);
	}
	for (d = 0; d < dim; d++)
		out[d] = nib_canonical(s->value[d] / s->sum);
}

/* One head of one row, over positions first..last. */
static void attention_head(const struct nib_attention_job *job, uint32_t row, uint32_t head,
			   uint32_t first, uint32_t last, float *scratch)
{
	uint32_t dim = job->head_dim, from, to;
	float *p = scratch, *x = p + NIB_ATTN_CHUNK, *o = x + dim, *value = o + dim;
	const float *q = job->q + row * job->q_pitch / 4 + head * dim;
	float *part = job->partial ? job->partial + head * NIB_ATTN_PART(dim) : NULL;
	struct attention_state s = { .value = value, .empty = 1 };

	for (from = first; from <= last; from = to + 1) {
		to = from | (NIB_ATTN_CHUNK - 1);
		to = to < last ? to : last;
		if (job->partial)
			s = (struct attention_state){ .value = part, .empty = 1 };
		attention_chunk(job, q, head, from, to, p, x, o, &s);
		if (job->partial) {
			part[dim] = s.max;
			part[dim + 1] = s.sum;
			part += job->n_heads * NIB_ATTN_PART(dim);
		}
	}
	if (!job->partial)
		attention_end(job, row, head, &s, o);
}

void nib_attention_join_scalar(const struct nib_attention_job *job, float *partial,
			       uint32_t chunks, int last)
{
	uint32_t share = job->n_heads / job->n_kv_heads, dim = job->head_dim, head, c;
	uint32_t kv = job->kv_count ? job->kv_count : job->n_kv_heads;
	float zero[NIB_ATTN_MAX_HEAD_DIM];

	for (head = job->kv_first * share; head < (job->kv_first + kv) * share; head++) {
		float *part = partial + head * NIB_ATTN_PART(dim), *next = part;
		struct attention_state s = {
			.value = part, .max = part[dim], .sum = part[dim + 1],
		};

		for (c = 1; c < chunks; c++) {
			next += job->n_heads * NIB_ATTN_PART(dim);
			attention_merge(&s, next[dim], next[dim + 1], next, dim);
		}
		part[dim] = s.max;
		part[dim + 1] = s.sum;
		if (last)
			attention_end(job, 0, head, &s, zero);
	}
}

void nib_attention_scalar(const struct nib_attention_job *job, float *scratch)
{
	uint32_t share = job->n_heads / job->n_kv_heads, rows = job->rows ? job->rows : 1;
	uint32_t kv = job->kv_count ? job->kv_count : job->n_kv_heads, row, head, first, last;

	for (row = 0; row < rows; row++) {
		last = job->last + row;
		first = job->first;
		if (job->window && last >= job->window && last - job->window + 1 > first)
			first = last - job->window + 1;
		for (head = job->kv_first * share; head < (job->kv_first + kv) * share; head++)
			attention_head(job, row, head, first, last, scratch);
	}
}

NIB_KERNEL_TABLE("scalar");
