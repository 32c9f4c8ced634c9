/* SPDX-License-Identifier: MIT */
/*
 * Number formats the slow and obvious way, in double precision, written from nib_format.h alone:
 * what encoders are compared with. Shares no code with the compiler or the device.
 */
#ifndef SLOW_FORMAT_H
#define SLOW_FORMAT_H

#include <stdint.h>
#include "nib_format.h"

/* Value of an element code of a format (of one term). */
double slow_element(uint32_t fmt, uint32_t code);
/* Value of a scale code. */
double slow_scale(uint32_t fmt, uint32_t code);
/* Nearest code, ties to even, saturating. */
uint32_t slow_nearest(uint32_t fmt, double x);
/*
 * Encode a block of nib_format_block() elements, one term; global is NVFP4's FP32 scale. Returns
 * the squared error.
 */
double slow_block(uint32_t fmt, uint32_t rule, const double *x, double global, uint8_t *codes,
		  uint8_t *scale);
/* Squared error of a block under a scale code. */
double slow_error(uint32_t fmt, const double *x, double global, uint32_t scale);

/* A row of k elements in row layout, and back. */
void slow_row_encode(uint32_t fmt, uint32_t rule, const float *x, uint64_t k, uint8_t *row);
void slow_row_decode(uint32_t fmt, const uint8_t *row, uint64_t k, double *x);
/* Element (n, k) of a matrix in panel layout of reduction length @depth. */
double slow_panel(uint32_t fmt, const uint8_t *panels, uint64_t depth, uint64_t n, uint64_t k);

#endif
