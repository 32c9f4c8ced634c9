/* SPDX-License-Identifier: MIT */
/*
 * Predictions: what a packet costs on a chip, by the device's own roofline. Everything is booked on
 * HBM; SRAM makes it faster.
 */
#ifndef AC_COST_H
#define AC_COST_H

#include "ir.h"

/* What a step is predicted for. */
enum ac_case {
	AC_CASE_DECODE = 0,	/* one row at position ac_decode_position() */
	AC_CASE_PREFILL = 1,	/* max_rows rows of one sequence, one row of logits */
	AC_CASES = 2,
};

/* What bounds a packet. */
enum ac_bound { AC_BOUND_TENSOR = 0, AC_BOUND_VECTOR = 1, AC_BOUND_MEMORY = 2, AC_BOUND_NONE = 3 };

/**
 * struct ac_cost - one packet.
 * @ops: tensor and vector operations.
 * @bytes: moved.
 * @cycles: the slowest resource plus the fixed cost.
 */
struct ac_cost {
	double ops;
	double bytes;
	double tensor;
	double vector;
	double memory;
	uint64_t cycles;
	enum ac_bound bound;
};

struct ac_totals {
	uint64_t cycles;
	double ops;
	double bytes;
	double tokens_per_s;
	double memory_bound_per_s;	/* tokens/s if only bandwidth counted */
};

uint32_t ac_decode_position(const struct accel_compile *c);
struct ac_cost ac_cost_packet(const struct accel_compile *c, const uint64_t *w, enum ac_case which);
struct ac_totals ac_cost_total(const struct accel_compile *c, enum ac_case which);

#endif
