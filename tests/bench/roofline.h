/* SPDX-License-Identifier: MIT */
/*
 * What this machine can do at most, measured in the run that uses the figures: how fast its cores
 * read memory together, and how many operations a second their widest instructions reach on
 * registers. A multiply-add counts two.
 */
#ifndef ROOFLINE_H
#define ROOFLINE_H

/**
 * struct roofline - peaks of @threads threads together; 0 for what the processor does not have.
 * @read: bytes a second, read from memory.
 * @fp32: fused multiply-adds.
 * @bf16: dot products of pairs of 16 bits: of BF16 (VDPBF16PS), or without AVX-512 of integers
 *	(VPMADDWD and VPADDD).
 * @int8: byte dot products (VPDPBUSD), or without AVX-512 products in pairs (VPMADDUBSW and VPADDW).
 */
struct roofline {
	double read;
	double fp32;
	double bf16;
	double int8;
};

struct roofline roofline_measure(unsigned int threads);

#endif
