// SPDX-License-Identifier: MIT
/*
 * See interpret.h. Covers what the compiler emits.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "interpret.h"
#include "nib_isa.h"
#include "nib_program.h"
#include "slow_format.h"

static float *f32(uint64_t address)
{
	return (float *)(uintptr_t)address;
}

static float real(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, 4);
	return f;
}

static const char *gather(const uint64_t *w)
{
	struct nib_pkt_gather p;
	uint64_t r, i;
	double *x;

	memcpy(&p, w, sizeof(p));
	x = malloc(p.width * sizeof(*x));
	for (r = 0; r < p.rows; r++) {
		uint32_t index = ((const uint32_t *)(uintptr_t)p.index)[r];
		float *dst = f32(p.dst + r * p.dst_pitch);

		if (index >= p.table_rows) {
			free(x);
			return "gather: index past the table";
		}
		if (p.layout == NIB_LAYOUT_ROWS)
			slow_row_decode(p.fmt, (const uint8_t *)(uintptr_t)p.table +
					index * p.table_pitch, p.width, x);
		for (i = 0; i < p.width; i++)
			dst[i] = (float)((double)real(p.alpha) *
					 (p.layout == NIB_LAYOUT_ROWS
						  ? x[i]
						  : slow_panel(p.fmt,
							       (const uint8_t *)(uintptr_t)p.table,
							       p.width, index, i)));
	}
	free(x);
	return NULL;
}

static const char *quant(const uint64_t *w)
{
	struct nib_pkt_quant p;
	uint64_t r;

	memcpy(&p, w, sizeof(p));
	for (r = 0; r < p.rows; r++)
		slow_row_encode(p.fmt, p.rule, f32(p.src + r * p.src_pitch), p.width,
				(uint8_t *)(uintptr_t)p.dst + r * p.dst_pitch);
	return NULL;
}

static const char *gemm(const uint64_t *w)
{
	struct nib_pkt_gemm p;
	uint64_t r, n, k;
	double *a, *b, sum;

	memcpy(&p, w, sizeof(p));
	if (p.out_fmt != NIB_FMT_F32 || p.activation)
		return "gemm: output format or activation";
	a = malloc(p.rows * p.k * sizeof(*a));
	b = malloc(p.k * sizeof(*b));
	for (r = 0; r < p.rows; r++)
		slow_row_decode(p.a_fmt, (const uint8_t *)(uintptr_t)p.a + r * p.a_pitch, p.k,
				a + r * p.k);
	for (n = 0; n < p.n; n++) {
		for (k = 0; k < p.k; k++)
			b[k] = slow_panel(p.w_fmt, (const uint8_t *)(uintptr_t)p.w, p.k, n, k);
		for (r = 0; r < p.rows; r++) {
			for (k = 0, sum = 0; k < p.k; k++)
				sum += a[r * p.k + k] * b[k];
			sum *= (double)real(p.alpha);
			if (p.flags & NIB_GEMM_BIAS)
				sum += (double)f32(p.bias)[n];
			if (p.flags & NIB_GEMM_RESIDUAL)
				sum += (double)f32(p.residual + r * p.residual_pitch)[n];
			f32(p.out + r * p.out_pitch)[n] = (float)sum;
		}
	}
	free(a);
	free(b);
	return NULL;
}

static uint8_t *kv_row(uint64_t blocks, uint64_t stride, uint32_t seq, uint32_t pos,
		       uint32_t page_tokens, uint64_t offset, uint64_t row_bytes)
{
	const uint64_t *table = (const uint64_t *)(uintptr_t)blocks;
	uint64_t page = pos / page_tokens;

	if (page >= stride)
		return NULL;
	return (uint8_t *)(uintptr_t)(table[seq * stride + page] + offset +
				      pos % page_tokens * row_bytes);
}

static const char *append(const uint64_t *w)
{
	struct nib_pkt_kv_append p;
	const struct nib_kv_row *at;
	uint64_t r;
	uint8_t *to;

	memcpy(&p, w, sizeof(p));
	at = (const struct nib_kv_row *)(uintptr_t)p.row_table;
	for (r = 0; r < p.rows; r++) {
		to = kv_row(p.blocks, p.block_stride, at[r].seq, at[r].pos, p.page_tokens, p.offset,
			    nib_row_bytes(p.fmt, p.width));
		if (!to)
			return "kv_append: position past the block table";
		slow_row_encode(p.fmt, p.rule, f32(p.src + r * p.src_pitch), p.width, to);
	}
	return NULL;
}

/* Keys or values of positions 0..n - 1. */
static double *context(const struct nib_pkt_attention *p, const struct nib_kv_row *row, bool is_v)
{
	uint64_t width = (uint64_t)p->n_kv_heads * p->head_dim, n = row->pos + 1ull, i;
	uint32_t fmt = is_v ? p->v_fmt : p->k_fmt;
	double *x = malloc(n * width * sizeof(*x));

	for (i = 0; i < n; i++)
		slow_row_decode(fmt, kv_row(p->blocks, p->block_stride, row->seq, (uint32_t)i,
					    p->page_tokens, is_v ? p->v_offset : p->k_offset,
					    nib_row_bytes(fmt, width)), width, x + i * width);
	return x;
}

static const char *attention(const uint64_t *w)
{
	struct nib_pkt_attention p;
	const struct nib_kv_row *rows;
	uint64_t r, h, i, d, width;
	double *k, *v, *s, sum, max;

	memcpy(&p, w, sizeof(p));
	rows = (const struct nib_kv_row *)(uintptr_t)p.row_table;
	width = (uint64_t)p.n_kv_heads * p.head_dim;
	for (r = 0; r < p.rows; r++) {
		uint64_t n = rows[r].pos + 1ull;
		const float *q = f32(p.q + r * p.q_pitch);
		float *out = f32(p.out + r * p.out_pitch);

		k = context(&p, &rows[r], false);
		v = context(&p, &rows[r], true);
		s = malloc(n * sizeof(*s));
		for (h = 0; h < p.n_heads; h++) {
			uint64_t at = h / (p.n_heads / p.n_kv_heads) * p.head_dim;

			for (i = 0, max = -INFINITY; i < n; i++) {
				for (d = 0, sum = 0; d < p.head_dim; d++)
					sum += (double)q[h * p.head_dim + d] *
					       k[i * width + at + d];
				s[i] = sum * (double)real(p.scale);
				max = s[i] > max ? s[i] : max;
			}
			for (i = 0, sum = 0; i < n; i++)
				sum += s[i] = exp(s[i] - max);
			for (d = 0; d < p.head_dim; d++) {
				double o = 0;

				for (i = 0; i < n; i++)
					o += s[i] * v[i * width + at + d];
				out[h * p.head_dim + d] = (float)(o / sum);
			}
		}
		free(k);
		free(v);
		free(s);
	}
	return NULL;
}

struct vec {
	struct nib_pkt_vec p;
	struct nib_vec_operand operand[NIB_VEC_MAX_OPERANDS];
	double *reg[NIB_VEC_REGS];
};

static uint64_t element(const struct vec *v, uint32_t o, uint64_t i0, uint64_t i1, uint64_t j)
{
	const struct nib_vec_operand *x = &v->operand[o];

	return x->addr +
	       (uint64_t)((int64_t)i0 * x->stride0 + (int64_t)i1 * x->stride1 +
			  (int64_t)j * x->stride_n * (int64_t)(nib_format_bits(x->fmt) / 8));
}

static const char *step(struct vec *v, const struct nib_vec_insn *in, uint64_t i0, uint64_t i1)
{
	double *dst = v->reg[in->dst & 15], *a = v->reg[in->a & 15], *b = v->reg[in->b & 15];
	double *c = v->reg[in->imm & 15], sum = 0;
	uint64_t j;
	uint32_t bits;
	float f;

	for (j = 0; j < v->p.n && in->op == NIB_VEC_RSUM; j++)
		sum += a[j];
	for (j = 0; j < v->p.n; j++) {
		switch (in->op) {
		case NIB_VEC_LOAD:
			memcpy(&bits, (void *)(uintptr_t)element(v, in->a, i0, i1, j), 4);
			dst[j] = v->operand[in->a].fmt == NIB_FMT_U32 ? bits : (double)real(bits);
			break;
		case NIB_VEC_STORE:
			f = (float)a[j];
			memcpy(&bits, &f, 4);
			if (v->operand[in->dst].fmt == NIB_FMT_BF16) {
				bits = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
				memcpy((void *)(uintptr_t)element(v, in->dst, i0, i1, j), &bits, 2);
			} else {
				memcpy((void *)(uintptr_t)element(v, in->dst, i0, i1, j), &bits, 4);
			}
			break;
		case NIB_VEC_ADD: dst[j] = a[j] + b[j]; break;
		case NIB_VEC_MUL: dst[j] = a[j] * b[j]; break;
		case NIB_VEC_FMA: dst[j] = a[j] * b[j] + c[j]; break;
		case NIB_VEC_ADDI: dst[j] = a[j] + (double)real(in->imm); break;
		case NIB_VEC_MULI: dst[j] = a[j] * (double)real(in->imm); break;
		case NIB_VEC_NEG: dst[j] = -a[j]; break;
		case NIB_VEC_RSQRT: dst[j] = 1 / sqrt(a[j]); break;
		case NIB_VEC_SIGMOID: dst[j] = 1 / (1 + exp(-a[j])); break;
		case NIB_VEC_SIN: dst[j] = sin(a[j]); break;
		case NIB_VEC_COS: dst[j] = cos(a[j]); break;
		case NIB_VEC_RSUM: dst[j] = sum; break;
		default:
			return "vec: instruction that the compiler does not emit";
		}
	}
	return NULL;
}

static const char *vec(const uint64_t *w)
{
	struct vec v = { 0 };
	const struct nib_vec_insn *insns;
	const char *error = NULL;
	uint64_t i0, i1, i;

	memcpy(&v.p, w, sizeof(v.p));
	memcpy(v.operand, w + 4, v.p.n_operands * sizeof(v.operand[0]));
	insns = (const void *)(w + 4 + v.p.n_operands * 3);
	for (i = 0; i < NIB_VEC_REGS; i++)
		v.reg[i] = calloc(v.p.n, sizeof(double));
	for (i0 = 0; i0 < v.p.d0; i0++)
		for (i1 = 0; i1 < v.p.d1; i1++)
			for (i = 0; i < v.p.n_insns && !error; i++)
				error = step(&v, &insns[i], i0, i1);
	for (i = 0; i < NIB_VEC_REGS; i++)
		free(v.reg[i]);
	return error;
}

static const char *sample(const uint64_t *w)
{
	struct nib_pkt_sample p;
	uint64_t r;
	uint32_t i, best;

	memcpy(&p, w, sizeof(p));
	for (r = 0; r < p.rows; r++) {
		const float *x = f32(p.logits + r * p.logits_pitch);

		for (i = 1, best = 0; i < p.n; i++)
			best = x[i] > x[best] ? i : best;
		((uint32_t *)(uintptr_t)p.out)[r] = best;
	}
	return NULL;
}

const char *interpret(const uint64_t *stream, size_t bytes, const uint64_t *args)
{
	uint64_t w[NIB_MAX_PKT_WORDS];
	const char *error = NULL;
	size_t at, words, i;

	for (at = 0; at < bytes / 8 && !error; at += words) {
		words = stream[at] >> 16 & 0xffff;
		memcpy(w, stream + at, words * 8);
		for (i = 1; i <= 32 && i < words; i++)
			if (stream[at] >> (32 + i - 1) & 1)
				w[i] = args[NIB_ARG_INDEX(w[i])] + (uint64_t)NIB_ARG_ADDEND(w[i]);
		switch (w[0] & 0xffff) {
		case NIB_OP_END: return NULL;
		case NIB_OP_GATHER: error = gather(w); break;
		case NIB_OP_QUANT: error = quant(w); break;
		case NIB_OP_GEMM: error = gemm(w); break;
		case NIB_OP_KV_APPEND: error = append(w); break;
		case NIB_OP_ATTENTION: error = attention(w); break;
		case NIB_OP_VEC: error = vec(w); break;
		case NIB_OP_SAMPLE: error = sample(w); break;
		default: return "packet that the compiler does not emit";
		}
	}
	return error;
}
