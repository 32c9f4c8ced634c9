/* SPDX-License-Identifier: MIT */
/*
 * Selective scan: channels are independent, rows follow each other, states are lanes. Compiled once
 * per instruction set; see isa.h.
 */
#include "lanes.h"

/* One row of one channel: steps the states @h and returns dot(h, c). */
NIB_INLINE float scan_step(float *restrict h, const float *restrict a, int scalar_a,
			   const float *restrict b, const float *restrict c, uint32_t states,
			   float delta, float u)
{
	float lane[NIB_LANES] __attribute__((aligned(64)));
	float shared = scalar_a ? nib_exp(delta * a[0]) : 0.0f;
	uint32_t j, l, n, step;

	for (l = 0; l < NIB_LANES; l++)
		lane[l] = 0.0f;
	for (j = 0; j < states; j += NIB_LANES) {
		n = states - j < NIB_LANES ? states - j : NIB_LANES;
		if (n == NIB_LANES) {
			for (l = 0; l < NIB_LANES; l++) {
				float da = scalar_a ? shared : nib_exp(delta * a[j + l]);
				float x = nib_canonical(nib_fma(da, h[j + l], u * b[j + l]));

				h[j + l] = x;
				lane[l] = nib_fma(x, c[j + l], lane[l]);
			}
			continue;
		}
		for (l = 0; l < n; l++) {
			float da = scalar_a ? shared : nib_exp(delta * a[j + l]);
			float x = nib_canonical(nib_fma(da, h[j + l], u * b[j + l]));

			h[j + l] = x;
			lane[l] = nib_fma(x, c[j + l], lane[l]);
		}
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

NIB_INLINE void scan_channel(const struct nib_scan_job *job, uint32_t ch, int scalar_a)
{
	uint32_t states = job->states, head = ch / job->share, r;
	uint32_t group = ch / (job->channels / job->groups) * states;
	const float *a = job->a + (scalar_a ? head : (size_t)head * states);
	float *h = job->state + (size_t)ch * states;

	for (r = 0; r < job->rows; r++) {
		float x = row_of(job->x, job->x_pitch, r)[ch];
		float delta = row_of(job->delta, job->delta_pitch, r)[head];
		float y = scan_step(h, a, scalar_a, row_of(job->b, job->b_pitch, r) + group,
				    row_of(job->c, job->c_pitch, r) + group, states, delta,
				    delta * x);
		float *out = (float *)((char *)job->y + r * job->y_pitch);

		out[ch] = nib_canonical(job->d ? nib_fma(job->d[ch], x, y) : y);
	}
}

void NIB_KERNEL(nib_scan)(const struct nib_scan_job *job)
{
	uint32_t ch;

	for (ch = job->first; ch < job->first + job->count; ch++) {
		if (job->flags & NIB_SCAN_SCALAR_A)
			scan_channel(job, ch, 1);
		else
			scan_channel(job, ch, 0);
	}
}
