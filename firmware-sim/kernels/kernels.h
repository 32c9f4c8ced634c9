/* SPDX-License-Identifier: MIT */
/*
 * Compute kernels of the device: what one packet does, on host pointers. The arithmetic is the one
 * that uapi/nib_isa.h promises; every table below gives the same bits. Kernels know nothing of
 * queues, page tables, time or energy, allocate nothing and cannot fail: their callers have
 * validated shapes and resolved addresses. They need 1 MiB of stack and the default
 * floating-point environment (rounding to nearest, no flush-to-zero).
 *
 * Names: nib_<operation>_<what>_<isa>; one table per instruction set, chosen at run time.
 */
#ifndef NIB_KERNELS_H
#define NIB_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include "nib_isa.h"

/**
 * struct nib_gemm_job - rows x columns of a GEMM; see struct nib_pkt_gemm.
 * @a: rows of A in row layout, @a_pitch bytes apart.
 * @w: first panel wanted, in panel layout; panels follow each other.
 * @out: first output element wanted (row 0, column of the first panel).
 * @bias: bias of the first column, or NULL.
 * @residual: as @out, or NULL.
 * @rows: rows.
 * @n: columns wanted, counted from the first panel's first; the last panel may be partial.
 * @k: reduction length.
 * @alpha: factor on every sum.
 */
struct nib_gemm_job {
	const uint8_t *a;
	const uint8_t *w;
	uint8_t *out;
	const float *bias;
	const uint8_t *residual;
	size_t a_pitch;
	size_t out_pitch;
	size_t residual_pitch;
	uint32_t rows;
	uint32_t n;
	uint32_t k;
	uint16_t a_fmt;
	uint16_t w_fmt;
	uint16_t out_fmt;
	uint16_t activation;
	float alpha;
};

/* Rows that a GEMM takes at a time: weights are decoded once for so many. */
#define NIB_GEMM_ROWS	96u
/* Rows whose sums fill the registers: a block of other than a multiple ends with a slower part. */
#define NIB_GEMM_UNIT	6u

/**
 * struct nib_attention_job - query rows of one sequence at consecutive positions, all their heads
 * or those of some K/V heads. A job cut by rows or by K/V heads gives the same bits; rows that go
 * together share the work of decoding keys and values.
 * @q: FP32, n_heads x head_dim, @q_pitch bytes from row to row.
 * @out: as @q, @out_pitch bytes from row to row; must not overlap what is read.
 * @k_rows: address of the K row of each position from @first to the last that any row sees,
 *	indexed from 0 at @first.
 * @v_rows: the same for V.
 * @sinks: logit per head, or NULL.
 * @first: first position that row 0 sees (0, or more under a window). Positions fix the chunks.
 * @last: last position that row 0 sees; row r sees positions up to @last + r.
 * @rows: query rows; 0 counts as 1, and then pitches need not be set.
 * @window: row r sees the last @window positions only, none below @first; 0 for all from @first
 *	on. One row needs none: its @first says it.
 * @partial: NULL: the result goes to @out. Else one row's results stay apart by chunks, so that
 *	threads share a long context: NIB_ATTN_PART floats for chunk c, counted from the one that
 *	holds @first, and head h at partial + (c * n_heads + h) * NIB_ATTN_PART(head_dim).
 * @kv_first: first K/V head wanted; @q, @out and @sinks are those of head 0 nevertheless.
 * @kv_count: K/V heads wanted; 0 for all.
 * @scale: factor on scores.
 * @softcap: 0 for none.
 */
struct nib_attention_job {
	const float *q;
	float *out;
	const uint8_t *const *k_rows;
	const uint8_t *const *v_rows;
	const float *sinks;
	float *partial;
	size_t q_pitch;
	size_t out_pitch;
	uint32_t first;
	uint32_t last;
	uint32_t rows;
	uint32_t window;
	uint16_t n_heads;
	uint16_t n_kv_heads;
	uint16_t head_dim;
	uint16_t k_fmt;
	uint16_t v_fmt;
	uint16_t kv_first;
	uint16_t kv_count;
	float scale;
	float softcap;
};

/**
 * struct nib_vec_job - one (i0, i1) of a VEC packet, or several that do not depend on each other.
 * @operand: address of element j = 0 of each operand.
 * @stride: bytes from element j to j + 1, by operand.
 * @step: bytes from run to run, by operand; not read for one run.
 * @fmt: enum nib_format by operand.
 * @insns: the program.
 * @regs: NIB_VEC_REGS vectors of runs x round-up(n, 16) floats, 64-byte aligned: scratch.
 * @runs: 0 counts as 1. More than one want @n a multiple of 16, and programs that know of one
 *	element only: without reductions and NIB_VEC_IOTA.
 */
struct nib_vec_job {
	uint8_t *const *operand;
	const ptrdiff_t *stride;
	const uint32_t *fmt;
	const struct nib_vec_insn *insns;
	float *regs;
	uint32_t n_insns;
	uint32_t n;
	uint32_t runs;
	const ptrdiff_t *step;
};

/* Elements of all runs of a job that stay in the nearest cache. */
#define NIB_VEC_STRIP	1024u

/**
 * struct nib_depthwise_job - output pixels of one row of a depthwise convolution; see struct
 * nib_pkt_conv_depthwise.
 * @in: first pixel of the input row of each kernel row, or NULL where it is outside of the image.
 * @w: all taps.
 * @bias: of channel 0, or NULL.
 * @out: output pixel @first.
 * @in_pitch: bytes from pixel to pixel, by kernel row.
 * @out_pitch: bytes from pixel to pixel.
 * @in_w: pixels of an input row.
 * @first: first output pixel wanted.
 * @count: output pixels wanted.
 */
struct nib_depthwise_job {
	const uint8_t *const *in;
	const float *w;
	const float *bias;
	uint8_t *out;
	const size_t *in_pitch;
	size_t out_pitch;
	uint32_t in_w;
	uint32_t first;
	uint32_t count;
	uint32_t channels;
	uint16_t kernel_h;
	uint16_t kernel_w;
	uint16_t stride;
	uint16_t pad;
	uint16_t dilation;
	uint16_t in_fmt;
	uint16_t out_fmt;
	uint16_t activation;
};

/**
 * struct nib_scan_job - some channels of rows of one sequence; see struct nib_pkt_scan. Pointers are
 * those of row 0, channel 0.
 * @d: or NULL.
 * @state: of the sequence.
 * @first: first channel wanted.
 * @count: channels wanted.
 */
struct nib_scan_job {
	const float *x;
	const float *delta;
	const float *b;
	const float *c;
	float *y;
	const float *a;
	const float *d;
	float *state;
	size_t x_pitch;
	size_t delta_pitch;
	size_t b_pitch;
	size_t c_pitch;
	size_t y_pitch;
	uint32_t rows;
	uint32_t channels;
	uint32_t first;
	uint32_t count;
	uint32_t states;
	uint32_t groups;
	uint32_t share;
	uint32_t flags;
};

/**
 * struct nib_kernels - one implementation of everything.
 * @name: "scalar", "avx2", "avx512".
 * @convert: n elements of a plain format (see nib_format_is_plain) to another, contiguous.
 * @row_encode: k FP32 elements to one row of any format that nib_format_is_kv() lists, padding
 *	written. @dst is NIB_ROW_ALIGN aligned and nib_row_bytes() long.
 * @row_decode: the inverse: elements @from .. @from + n of a row of @k elements, to FP32. Any
 *	format but U32.
 * @panel_decode: output @row of a matrix in panel layout, k elements times @alpha, to FP32.
 * @gemm: see struct nib_gemm_job.
 * @attention: see struct nib_attention_job. @scratch holds nib_attention_scratch() floats.
 * @attention_join: joins parts 1.. of @chunks consecutive ones into part 0, in their order; with
 *	@last, for the wanted K/V heads, the result to @job->out.
 * @vec: see struct nib_vec_job.
 * @depthwise: see struct nib_depthwise_job.
 * @scan: see struct nib_scan_job.
 * @sample: token for n logits. @scratch holds n 64-bit words.
 */
struct nib_kernels {
	const char *name;
	void (*convert)(uint32_t dst_fmt, void *dst, uint32_t src_fmt, const void *src, size_t n);
	void (*row_encode)(uint32_t fmt, uint32_t rule, const float *src, size_t k, void *dst);
	void (*row_decode)(uint32_t fmt, const void *row, size_t k, size_t from, size_t n,
			   float *dst);
	void (*panel_decode)(uint32_t fmt, const void *panels, size_t k, uint32_t row, float alpha,
			     float *dst);
	void (*gemm)(const struct nib_gemm_job *job);
	void (*attention)(const struct nib_attention_job *job, float *scratch);
	void (*attention_join)(const struct nib_attention_job *job, float *partial,
			       uint32_t chunks, int last);
	void (*vec)(const struct nib_vec_job *job);
	void (*depthwise)(const struct nib_depthwise_job *job);
	void (*scan)(const struct nib_scan_job *job);
	uint32_t (*sample)(const float *logits, uint32_t n, const struct nib_sample_params *params,
			   void *scratch);
};

/*
 * Queries (heads of rows) of one pass of an attention kernel over the context: a multiple of
 * NIB_ATTN_QUERIES / (n_heads / n_kv_heads) rows makes the best use of each. Positions that are
 * decoded at a time.
 */
#define NIB_ATTN_QUERIES	64u
#define NIB_ATTN_STRIP		32u
#define NIB_ATTN_PITCH		(NIB_ATTN_CHUNK + 16u)	/* no power of two, for the cache's sake */

/* Floats of what one chunk gives one head: values, maximum, sum. */
#define NIB_ATTN_PART(head_dim)	((size_t)(head_dim) + 2)

/* Floats of scratch that an attention kernel needs, for any number of rows. */
static inline size_t nib_attention_scratch(uint32_t head_dim)
{
	return NIB_ATTN_PITCH * NIB_ATTN_QUERIES +
	       ((size_t)head_dim + 15) / 16 * 16 * (3 * NIB_ATTN_QUERIES + NIB_ATTN_STRIP);
}

/* The readable reference: defines what all others compute. */
extern const struct nib_kernels nib_kernels_scalar;

/**
 * nib_kernels_get - the best table this processor runs.
 * @name: NULL for the best; else the one so named, or NULL if it cannot run here.
 */
const struct nib_kernels *nib_kernels_get(const char *name);

#endif
