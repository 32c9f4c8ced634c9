/* SPDX-License-Identifier: MIT */
/*
 * Operands for benchmarks: memory in the device's layouts with values of ordinary size, so that no
 * subnormal or infinity slows a kernel down.
 */
#ifndef OPERANDS_H
#define OPERANDS_H

#include <stddef.h>
#include <stdint.h>

/* Codes whose values are between 0.5 and 6 in every format. */
void fill_codes(uint8_t *p, size_t bytes);
/* Between -1 and 1. */
void fill_floats(float *x, size_t n);
/* @rows rows of @k elements in row layout. */
void fill_rows(uint8_t *a, uint32_t fmt, uint32_t rows, uint32_t k);
/* @n rows of @k in panel layout. */
void fill_panels(uint8_t *w, uint32_t fmt, uint32_t n, uint32_t k);
const char *format_name(uint32_t fmt);

#endif
