/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution of a row of output pixels: channels are lanes, sums of a strip of them stay
 * in the nearest cache over all taps. Compiled once per instruction set; see isa.h.
 */
#include "element.h"
#include "isa.h"
#include "math.h"

#define STRIP	64u	/* channels */

/* Element @i of a pixel, or of what follows some channel of it. */
NIB_INLINE float pixel_element(uint32_t fmt, const uint8_t *pixel, size_t i)
{
	uint16_t half;
	float x;

	if (fmt == NIB_FMT_BF16) {
		memcpy(&half, pixel + i * 2, 2);
		return nib_bf16_decode(half);
	}
	memcpy(&x, pixel + i * 4, 4);
	return x;
}

/* acc += pixel * w, each of @n channels. */
NIB_INLINE void strip_tap(uint32_t fmt, const uint8_t *restrict pixel, const float *restrict w,
			  size_t n, float *restrict acc)
{
	size_t i;

	for (i = 0; i < n; i++)
		acc[i] = nib_fma(pixel_element(fmt, pixel, i), w[i], acc[i]);
}

static void activate(uint32_t activation, float *x, uint32_t n)
{
	uint32_t i;

	if (activation == NIB_ACT_RELU)
		for (i = 0; i < n; i++)
			x[i] = nib_max(x[i], 0.0f);
	else if (activation == NIB_ACT_SILU)
		for (i = 0; i < n; i++)
			x[i] = nib_silu(x[i]);
	else if (activation == NIB_ACT_GELU)
		for (i = 0; i < n; i++)
			x[i] = nib_gelu(x[i]);
}

/* Adds the taps of output pixel @x to channels c..c + n. */
NIB_INLINE void strip_taps(const struct nib_depthwise_job *job, uint32_t fmt, uint32_t x,
			   uint32_t c, uint32_t n, float *restrict acc)
{
	const size_t offset = (size_t)c * (fmt == NIB_FMT_BF16 ? 2 : 4);
	uint32_t ky, kx;

	for (ky = 0; ky < job->kernel_h; ky++) {
		if (!job->in[ky])
			continue;
		for (kx = 0; kx < job->kernel_w; kx++) {
			int64_t at = (int64_t)x * job->stride + (int64_t)kx * job->dilation -
				     job->pad;
			const float *restrict w =
				job->w + ((size_t)ky * job->kernel_w + kx) * job->channels + c;
			const uint8_t *pixel;

			if (at < 0 || at >= job->in_w)
				continue;
			pixel = job->in[ky] + (size_t)at * job->in_pitch[ky] + offset;
			if (n == STRIP)
				strip_tap(fmt, pixel, w, STRIP, acc);
			else
				strip_tap(fmt, pixel, w, n, acc);
		}
	}
}

static void depthwise_pixel(const struct nib_depthwise_job *job, uint32_t x)
{
	uint8_t *out = job->out + (size_t)(x - job->first) * job->out_pitch;
	uint32_t bytes = nib_format_bits(job->out_fmt) / 8, c, n, i;
	float acc[STRIP] __attribute__((aligned(64)));

	for (c = 0; c < job->channels; c += n) {
		n = job->channels - c < STRIP ? job->channels - c : STRIP;
		for (i = 0; i < STRIP; i++)
			acc[i] = 0.0f;
		if (job->in_fmt == NIB_FMT_BF16)
			strip_taps(job, NIB_FMT_BF16, x, c, n, acc);
		else
			strip_taps(job, NIB_FMT_F32, x, c, n, acc);
		if (job->bias)
			for (i = 0; i < n; i++)
				acc[i] += job->bias[c + i];
		activate(job->activation, acc, n);
		for (i = 0; i < n; i++)
			acc[i] = nib_canonical(acc[i]);
		NIB_KERNEL(nib_convert)(job->out_fmt, out + (size_t)c * bytes, NIB_FMT_F32, acc, n);
	}
}

void NIB_KERNEL(nib_depthwise)(const struct nib_depthwise_job *job)
{
	uint32_t x;

	for (x = job->first; x < job->first + job->count; x++)
		depthwise_pixel(job, x);
}
