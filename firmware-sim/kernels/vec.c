/* SPDX-License-Identifier: MIT */
/*
 * Vector programs: an interpreter whose registers are whole vectors, padded to 16 elements; the
 * padding holds numbers of no meaning, which nothing reads. Between reductions, which need all of a
 * vector, instructions run over one strip of elements after the other, so that registers stay in
 * the nearest cache. Compiled once per instruction set; see isa.h.
 *
 * NaN payloads are not tracked: a register may hold any NaN, and a store writes the canonical one.
 */
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#include "lanes.h"
#include "element.h"

#define STRIP	NIB_VEC_STRIP	/* elements between reductions: a few registers of them fit L1 */
#define PACK	256u	/* elements that are gathered at a time */
#define AHEAD	1024u	/* elements of memory fetched ahead: processors stop at the end of a page */

/* Elements of any stride gathered to consecutive ones. */
static void pack(uint8_t *restrict dst, const uint8_t *restrict src, ptrdiff_t stride,
		 uint32_t bytes, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++, src += stride, dst += bytes)
		memcpy(dst, src, bytes);
}

/* FP32 from memory, or to it where @to_memory. */
NIB_INLINE void copy_ahead(float *restrict dst, const float *restrict src, uint32_t n,
			   const int to_memory)
{
	uint32_t i, j;

	for (i = 0; i + NIB_LANES <= n; i += NIB_LANES) {
		if (to_memory)
			__builtin_prefetch(dst + i + AHEAD, 1);
		else
			__builtin_prefetch(src + i + AHEAD, 0);
		for (j = i; j < i + NIB_LANES; j++)
			dst[j] = to_memory ? nib_canonical(src[j]) : src[j];
	}
	for (; i < n; i++)
		dst[i] = to_memory ? nib_canonical(src[i]) : src[i];
}

static void vec_load(float *dst, const uint8_t *src, ptrdiff_t stride, uint32_t fmt, uint32_t n)
{
	uint32_t padded = (n + NIB_LANES - 1) / NIB_LANES * NIB_LANES;
	uint32_t bytes = nib_format_bits(fmt) / 8, i, run;
	uint8_t strip[PACK * 4] __attribute__((aligned(64)));

	if (stride == 8 && fmt == NIB_FMT_F32) {
		const float *pair = (const float *)(const void *)src;

		for (i = 0; i < n; i++)
			dst[i] = pair[2 * i];
	} else if (stride == 4 && fmt == NIB_FMT_F32) {
		copy_ahead(dst, (const float *)(const void *)src, n, 0);
	} else if (stride == bytes) {
		NIB_KERNEL(nib_convert)(NIB_FMT_F32, dst, fmt, src, n);
	} else if (stride == 0) {
		NIB_KERNEL(nib_convert)(NIB_FMT_F32, dst, fmt, src, 1);
		for (i = 1; i < n; i++)
			dst[i] = dst[0];
	} else {
		for (i = 0; i < n; i += run) {
			run = n - i < PACK ? n - i : PACK;
			if (bytes == 4)
				pack(strip, src + i * stride, stride, 4, run);
			else if (bytes == 2)
				pack(strip, src + i * stride, stride, 2, run);
			else
				pack(strip, src + i * stride, stride, 1, run);
			NIB_KERNEL(nib_convert)(NIB_FMT_F32, dst + i, fmt, strip, run);
		}
	}
	for (i = n; i < padded; i++)
		dst[i] = 0.0f;
}

/* FP32 to every other place, as rotary embeddings of pairs do. */
static void store_pairs(float *restrict dst, const float *restrict src, uint32_t n)
{
	uint32_t i = 0;

#ifdef __AVX512F__
	const __m512i low = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
	const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));

	for (; i + 16 <= n; i += 16) {
		__m512 x = _mm512_loadu_ps(src + i);

		x = _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q),
				       _mm512_set1_ps(nib_nan()));
		_mm512_mask_storeu_ps(dst + 2 * i, 0x5555, _mm512_permutexvar_ps(low, x));
		_mm512_mask_storeu_ps(dst + 2 * i + 16, 0x5555, _mm512_permutexvar_ps(high, x));
	}
#endif
	for (; i < n; i++)
		dst[2 * i] = nib_canonical(src[i]);
}

static void vec_store(uint8_t *dst, ptrdiff_t stride, uint32_t fmt, const float *src, uint32_t n)
{
	uint32_t i, code;
	float x;

	if (fmt == NIB_FMT_BF16) {
		if (stride == 2) {
			NIB_KERNEL(nib_convert)(fmt, dst, NIB_FMT_F32, src, n);
			return;
		}
		for (i = 0; i < n; i++, dst += stride) {
			code = nib_bf16_encode(src[i]);
			memcpy(dst, &code, 2);
		}
	} else if (stride == 4) {
		copy_ahead((float *)(void *)dst, src, n, 1);
	} else if (stride == 8) {
		store_pairs((float *)(void *)dst, src, n);
	} else {
		for (i = 0; i < n; i++, dst += stride) {
			x = nib_canonical(src[i]);
			memcpy(dst, &x, 4);
		}
	}
}

static void vec_fill(float *dst, float x, uint32_t padded)
{
	uint32_t i;

	for (i = 0; i < padded; i++)
		dst[i] = x;
}

/*
 * dst[i] = expression of x = a[i], y = b[i], z = c[i], over whole vectors of 16. Where registers
 * are the same one, they are so element by element: no iteration depends on another.
 */
#define EACH(expression)						\
	do {								\
		NIB_INDEPENDENT						\
		for (i = 0; i < padded; i++) {				\
			float x = a[i], y = b[i], z = c[i];		\
									\
			(void)x, (void)y, (void)z;			\
			dst[i] = (expression);				\
		}							\
	} while (0)

/* Arithmetic between registers. Sources and destination may be the same register. */
static void vec_each(uint32_t op, float *dst, const float *a, const float *b, const float *c,
		     float imm, uint32_t padded)
{
	uint32_t i;

	switch (op) {
	case NIB_VEC_MOVI:
		EACH(imm);
		break;
	case NIB_VEC_IOTA:
		EACH((float)(int32_t)i + imm);
		break;
	case NIB_VEC_ADD:
		EACH(x + y);
		break;
	case NIB_VEC_SUB:
		EACH(x - y);
		break;
	case NIB_VEC_MUL:
		EACH(x * y);
		break;
	case NIB_VEC_DIV:
		EACH(x / y);
		break;
	case NIB_VEC_FMA:
		EACH(nib_fma(x, y, z));
		break;
	case NIB_VEC_MIN:
		EACH(nib_min(x, y));
		break;
	case NIB_VEC_MAX:
		EACH(nib_max(x, y));
		break;
	case NIB_VEC_ADDI:
		EACH(x + imm);
		break;
	case NIB_VEC_MULI:
		EACH(x * imm);
		break;
	case NIB_VEC_NEG:
		EACH(-x);
		break;
	case NIB_VEC_ABS:
		EACH(nib_abs(x));
		break;
	case NIB_VEC_SQRT:
		EACH(__builtin_sqrtf(x));
		break;
	case NIB_VEC_RSQRT:
		EACH(nib_rsqrt(x));
		break;
	case NIB_VEC_RCP:
		EACH(1.0f / x);
		break;
	case NIB_VEC_EXP:
		EACH(nib_exp(x));
		break;
	case NIB_VEC_LOG:
		EACH(nib_log(x));
		break;
	case NIB_VEC_TANH:
		EACH(nib_tanh(x));
		break;
	case NIB_VEC_SIGMOID:
		EACH(nib_sigmoid(x));
		break;
	case NIB_VEC_ERF:
		EACH(nib_erf(x));
		break;
	case NIB_VEC_SIN:
		EACH(nib_sin(x));
		break;
	case NIB_VEC_COS:
		EACH(nib_cos(x));
		break;
	case NIB_VEC_FLOOR:
		EACH(nib_floor(x));
		break;
	case NIB_VEC_RINT:
		EACH(nib_rint(x));
		break;
	case NIB_VEC_LT:
		EACH(x < y ? 1.0f : 0.0f);
		break;
	case NIB_VEC_EQ:
		EACH(x == y ? 1.0f : 0.0f);
		break;
	case NIB_VEC_SELECT:
		EACH(x != 0.0f ? y : z);
		break;
	}
}

static int is_reduction(uint32_t op)
{
	return op >= NIB_VEC_RSUM && op <= NIB_VEC_RMIN;
}

/* Registers: @regs, @pitch floats apart. */
static void vec_reduce(const struct nib_vec_insn *insn, float *regs, size_t pitch, uint32_t n)
{
	float *dst = regs + insn->dst % NIB_VEC_REGS * pitch;
	const float *a = regs + insn->a % NIB_VEC_REGS * pitch;

	switch (insn->op) {
	case NIB_VEC_RSUM:
		vec_fill(dst, nib_lanes_fold(nib_sum, 0.0f, a, n), (uint32_t)pitch);
		break;
	case NIB_VEC_RMAX:
		vec_fill(dst, nib_lanes_fold(nib_max, nib_nan(), a, n), (uint32_t)pitch);
		break;
	default:
		vec_fill(dst, nib_lanes_fold(nib_min, nib_nan(), a, n), (uint32_t)pitch);
		break;
	}
}

/* Element @at of run @r of operand @o. */
static uint8_t *vec_operand(const struct nib_vec_job *job, uint32_t o, uint32_t at, uint32_t r)
{
	ptrdiff_t run = r ? (ptrdiff_t)r * job->step[o] : 0;

	return job->operand[o] + (ptrdiff_t)at * job->stride[o] + run;
}

/*
 * One instruction that is no reduction, on elements at..at + n of each run; @regs are those of
 * element @at. Runs share the cost that an instruction has by itself.
 */
static void vec_step(const struct nib_vec_job *job, const struct nib_vec_insn *insn, float *regs,
		     size_t pitch, uint32_t at, uint32_t n)
{
	float *dst = regs + insn->dst % NIB_VEC_REGS * pitch;
	const float *a = regs + insn->a % NIB_VEC_REGS * pitch;
	const float *b = regs + insn->b % NIB_VEC_REGS * pitch;
	const float *c = regs + insn->imm % NIB_VEC_REGS * pitch;
	uint32_t runs = job->runs ? job->runs : 1, r;
	uint32_t padded = (n + NIB_LANES - 1) / NIB_LANES * NIB_LANES * runs;
	uint32_t o = insn->op == NIB_VEC_STORE ? insn->dst : insn->a;
	float imm = nib_float(insn->imm);

	switch (insn->op) {
	case NIB_VEC_LOAD:
		for (r = 0; r < runs; r++)
			vec_load(dst + r * n, vec_operand(job, o, at, r), job->stride[o],
				 job->fmt[o], n);
		break;
	case NIB_VEC_STORE:
		for (r = 0; r < runs; r++)
			vec_store(vec_operand(job, o, at, r), job->stride[o], job->fmt[o],
				  a + r * n, n);
		break;
	case NIB_VEC_IOTA:
		imm = (float)(int32_t)at;
		/* fall through */
	default:
		vec_each(insn->op, dst, a, b, c, imm, padded);
		break;
	}
}

void NIB_KERNEL(nib_vec)(const struct nib_vec_job *job)
{
	uint32_t padded = (job->n + NIB_LANES - 1) / NIB_LANES * NIB_LANES, begin, end, at, i, n;
	size_t pitch = padded, whole = 0;

	/* Without reductions no register outlives its strip: all strips use the same memory. */
	for (i = 0; i < job->n_insns; i++)
		whole |= is_reduction(job->insns[i].op);
	if (!whole)
		pitch = (padded < STRIP ? padded : STRIP) * (size_t)(job->runs ? job->runs : 1);
	for (begin = 0; begin < job->n_insns; begin = end) {
		end = begin;
		if (is_reduction(job->insns[begin].op)) {
			vec_reduce(&job->insns[end++], job->regs, pitch, job->n);
			continue;
		}
		while (end < job->n_insns && !is_reduction(job->insns[end].op))
			end++;
		for (at = 0; at < job->n; at += n) {
			n = job->n - at < STRIP ? job->n - at : STRIP;
			for (i = begin; i < end; i++)
				vec_step(job, &job->insns[i], job->regs + whole * at, pitch, at, n);
		}
	}
}
