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
 * @bf16: BF16 dot products (VDPBF16PS).
 * @int8: byte dot products (VPDPBUSD).
 */
struct roofline {
	double read;
	double fp32;
	double bf16;
	double int8;
};

struct roofline roofline_measure(unsigned int threads);

#endif
