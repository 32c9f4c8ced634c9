/* SPDX-License-Identifier: MIT */
/* Reductions in the order of nib_isa.h: 16 lanes, then lanes pairwise. */
#ifndef NIB_KERNELS_LANES_H
#define NIB_KERNELS_LANES_H

#include "isa.h"
#include "math.h"

#define NIB_LANES	16u

static inline float nib_sum(float a, float b)
{
	return a + b;
}

/*
 * Lane l folds elements l, l + 16, ... in order, starting from @start; then lanes fold pairwise.
 * @start is what changes nothing: +0 for a sum, NaN for a maximum or minimum.
 */
NIB_INLINE float nib_lanes_fold(float (*fold)(float, float), float start, const float *a,
				uint32_t n)
{
	float lane[NIB_LANES] __attribute__((aligned(64)));
	uint32_t i, l, step;

	for (l = 0; l < NIB_LANES; l++)
		lane[l] = start;
	for (i = 0; i + NIB_LANES <= n; i += NIB_LANES)
		for (l = 0; l < NIB_LANES; l++)
			lane[l] = fold(lane[l], a[i + l]);
	for (l = 0; i + l < n; l++)
		lane[l] = fold(lane[l], a[i + l]);
	for (step = NIB_LANES / 2; step; step /= 2)
		for (l = 0; l < step; l++)
			lane[l] = fold(lane[l], lane[l + step]);
	return lane[0];
}

#endif
