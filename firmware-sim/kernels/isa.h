/* SPDX-License-Identifier: MIT */
/*
 * Names of kernels that are compiled once per instruction set. sample.c, depthwise.c and scan.c are
 * the same lane-agnostic loops for all of them, so that their bits agree by construction; codec.c and
 * vec.c are such loops but for what compilers do not make of them, attention.c has its inner loops by
 * instruction set, and GEMMs are files of their own. vector.c and scalar.c put the tables together.
 * The makefile defines NIB_ISA as scalar, avx2 or avx512.
 */
#ifndef NIB_KERNELS_ISA_H
#define NIB_KERNELS_ISA_H

#include "kernels.h"

#ifndef NIB_ISA
#define NIB_ISA scalar
#endif

#define NIB_ISA_JOIN_(name, isa)	name##_##isa
#define NIB_ISA_JOIN(name, isa)		NIB_ISA_JOIN_(name, isa)
#define NIB_KERNEL(name)		NIB_ISA_JOIN(name, NIB_ISA)

#define NIB_INLINE			static inline __attribute__((always_inline))

/* Before a loop whose iterations are independent although its pointers may be equal. */
#ifdef __clang__
#define NIB_INDEPENDENT			_Pragma("clang loop vectorize(assume_safety)")
#else
#define NIB_INDEPENDENT			_Pragma("GCC ivdep")
#endif

void NIB_KERNEL(nib_convert)(uint32_t dst_fmt, void *dst, uint32_t src_fmt, const void *src,
			     size_t n);
void NIB_KERNEL(nib_row_encode)(uint32_t fmt, uint32_t rule, const float *src, size_t k, void *dst);
void NIB_KERNEL(nib_row_decode)(uint32_t fmt, const void *row, size_t k, size_t from, size_t n,
				float *dst);
void NIB_KERNEL(nib_panel_decode)(uint32_t fmt, const void *panels, size_t k, uint32_t row,
				  float alpha, float *dst);
void NIB_KERNEL(nib_gemm)(const struct nib_gemm_job *job);
void NIB_KERNEL(nib_attention)(const struct nib_attention_job *job, float *scratch);
void NIB_KERNEL(nib_attention_join)(const struct nib_attention_job *job, float *partial,
				    uint32_t chunks, int last);
void NIB_KERNEL(nib_vec)(const struct nib_vec_job *job);
void NIB_KERNEL(nib_depthwise)(const struct nib_depthwise_job *job);
void NIB_KERNEL(nib_scan)(const struct nib_scan_job *job);
uint32_t NIB_KERNEL(nib_sample)(const float *logits, uint32_t n,
				const struct nib_sample_params *params, void *scratch);

/* Defines the table of this instruction set. */
#define NIB_KERNEL_TABLE(isa_name)				\
	const struct nib_kernels NIB_KERNEL(nib_kernels) = {	\
		.name = isa_name,				\
		.convert = NIB_KERNEL(nib_convert),		\
		.row_encode = NIB_KERNEL(nib_row_encode),	\
		.row_decode = NIB_KERNEL(nib_row_decode),	\
		.panel_decode = NIB_KERNEL(nib_panel_decode),	\
		.gemm = NIB_KERNEL(nib_gemm),			\
		.attention = NIB_KERNEL(nib_attention),		\
		.attention_join = NIB_KERNEL(nib_attention_join),	\
		.vec = NIB_KERNEL(nib_vec),			\
		.depthwise = NIB_KERNEL(nib_depthwise),		\
		.scan = NIB_KERNEL(nib_scan),			\
		.sample = NIB_KERNEL(nib_sample),		\
	}

#endif
