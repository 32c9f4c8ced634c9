/* SPDX-License-Identifier: MIT */
/*
 * Selective scan: channels are independent, rows follow each other, states are lanes. Compiled once
 * per instruction set; see isa.h.
 */
#include "lanes.h"

#define CHANNELS	16u	/* at a time: their inputs share a line, their states stay in L1 */

/* @n states decay by @da, take u * b and count towards the dot product with c. */
NIB_INLINE void scan_lanes(float *restrict h, const float *da, int same_da,
			   const float *restrict b, const float *restrict c, float u, uint32_t n,
			   float *restrict lane)
{
	uint32_t l;

	NIB_INDEPENDENT
	for (l = 0; l < n; l++) {
		float x = nib_canonical(nib_fma(da[same_da ? 0 : l], h[l], u * b[l]));

		h[l] = x;
		lane[l] = nib_fma(x, c[l], lane[l]);
	}
}

/* One row of one channel: steps the states @h and returns dot(h, c). */
NIB_INLINE float scan_step(float *restrict h, const float *restrict a, int scalar_a,
			   const float *restrict b, const float *restrict c, uint32_t states,
			   float delta, float u)
{
	float lane[NIB_LANES] __attribute__((aligned(64)));
	float da[NIB_LANES] __attribute__((aligned(64)));
	uint32_t j, l, n, step;

	if (scalar_a)
		da[0] = nib_exp(delta * a[0]);
	for (l = 0; l < NIB_LANES; l++)
		lane[l] = 0.0f;
	for (j = 0; j < states; j += NIB_LANES) {
		n = states - j < NIB_LANES ? states - j : NIB_LANES;
		if (scalar_a && n == NIB_LANES) {
			scan_lanes(h + j, da, 1, b + j, c + j, u, NIB_LANES, lane);
			continue;
		}
		/* A count that the compiler does not know: it would unroll what it should vectorize. */
		if (!scalar_a)
			NIB_INDEPENDENT
			for (l = 0; l < n; l++)
				da[l] = nib_exp(delta * a[j + l]);
		scan_lanes(h + j, da, scalar_a, b + j, c + j, u, n, lane);
	}
	for (step = NIB_LANES / 2; step; step /= 2)
		for (l = 0; l < step; l++)
			lane[l] += lane[l + step];
	return lane[0];
}

static const float *row_of(const float *base, size_t pitch, uint32_t row)
{
	return (const float *)((const char *)base + row * pitch);
}

/* Channels @ch..@end over all rows: all of them before the next row, which lies elsewhere. */
NIB_INLINE void scan_channels(const struct nib_scan_job *job, uint32_t ch, uint32_t end,
			      int scalar_a)
{
	uint32_t states = job->states, share = job->channels / job->groups, first = ch, r;

	for (r = 0; r < job->rows; r++) {
		const float *x = row_of(job->x, job->x_pitch, r);
		const float *deltas = row_of(job->delta, job->delta_pitch, r);
		const float *b = row_of(job->b, job->b_pitch, r);
		const float *c = row_of(job->c, job->c_pitch, r);
		float *out = (float *)((char *)job->y + r * job->y_pitch);

		for (ch = first; ch < end; ch++) {
			uint32_t head = ch / job->share, group = ch / share * states;
			const float *a = job->a + (scalar_a ? head : (size_t)head * states);
			float delta = deltas[head];
			float y = scan_step(job->state + (size_t)ch * states, a, scalar_a,
					    b + group, c + group, states, delta, delta * x[ch]);

			out[ch] = nib_canonical(job->d ? nib_fma(job->d[ch], x[ch], y) : y);
		}
	}
}

void NIB_KERNEL(nib_scan)(const struct nib_scan_job *job)
{
	uint32_t last = job->first + job->count, ch, end;

	for (ch = job->first; ch < last; ch = end) {
		end = last - ch < CHANNELS ? last : ch + CHANNELS;
		if (job->flags & NIB_SCAN_SCALAR_A)
			scan_channels(job, ch, end, 1);
		else
			scan_channels(job, ch, end, 0);
	}
}
