// SPDX-License-Identifier: MIT
/*
 * Convolution packets. The one over all channels is a GEMM whose rows are put together from the
 * pixels under the taps; the depthwise one works on rows of pixels where they lie.
 */
#include <string.h>
#include "hw_access.h"

#define PARALLEL_MACS (1ull << 16)

/* Multiplications between safe points, unless one pixel has more. */
#define PIECE_MACS (1ull << 23)

/* --- All channels --- */

/* A term of a row: what a pixel has of it, and what a patch has. */
struct term {
	uint64_t pixel_data;
	uint64_t pixel_scales;
	uint64_t patch_data;
	uint64_t patch_scales;
};

/* Copies a pixel's row, or zeros with scale 1 for none, to the place of @tap in a patch. */
static void patch_put(const struct nib_pkt_conv *p, const struct term *t, uint64_t tap,
		      const uint8_t *pixel, uint8_t *patch)
{
	for (uint32_t i = 0; i < nib_format_terms(p->a_fmt); i++) {
		uint8_t *data = patch + i * (t->patch_data + t->patch_scales);
		uint8_t *scales = data + t->patch_data + tap * t->pixel_scales;

		data += tap * t->pixel_data;
		if (!pixel) {
			memset(data, 0, t->pixel_data);
			memset(scales, 127, t->pixel_scales);
			continue;
		}
		memcpy(data, pixel, t->pixel_data);
		memcpy(scales, pixel + t->pixel_data, t->pixel_scales);
		pixel += t->pixel_data + t->pixel_scales;
	}
}

/* Where tap (ky, kx) of an output pixel reads; false outside of the image. */
static bool tap_at(const struct nib_pkt_conv *p, uint64_t y, uint64_t x, uint32_t ky, uint32_t kx,
		   uint64_t *pixel)
{
	int64_t iy = (int64_t)(y * p->stride_y) + (int64_t)ky * p->dilation_y - p->pad_y;
	int64_t ix = (int64_t)(x * p->stride_x) + (int64_t)kx * p->dilation_x - p->pad_x;

	*pixel = (uint64_t)iy * p->in_w + (uint64_t)ix;
	return iy >= 0 && iy < p->in_h && ix >= 0 && ix < p->in_w;
}

/* The patch of one output pixel. */
static bool patch_fill(struct nib_access *a, const struct nib_pkt_conv *p, const struct term *t,
		       uint64_t row, uint8_t *patch)
{
	uint64_t in_bytes = nib_row_bytes(p->a_fmt, p->channels), area, image, at, tap = 0;
	struct nib_view view = { 0 };

	area = (uint64_t)p->out_h * p->out_w;
	image = row / area * ((uint64_t)p->in_h * p->in_w);
	row %= area;
	for (uint32_t ky = 0; ky < p->kernel_h; ky++) {
		for (uint32_t kx = 0; kx < p->kernel_w; kx++, tap++) {
			struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);
			bool inside = tap_at(p, row / p->out_w, row % p->out_w, ky, kx, &at);

			/* A pixel comes from memory once, for the first tap that sees it. */
			a->quiet = ky >= p->stride_y || kx >= p->stride_x;
			if (inside &&
			    !nib_view_map(a, nib_add_sat(p->in, nib_mul_sat(image + at,
									    p->in_pitch)),
					  in_bytes, NIB_READ, &view))
				return false;
			patch_put(p, t, tap, inside ? view.ptr : NULL, patch);
			nib_arena_release(&a->hw->arena, mark);
		}
	}
	a->quiet = false;
	return true;
}

static bool patches_fill(struct nib_access *a, const struct nib_gemm_patch *patch, uint64_t row,
			 uint64_t rows, uint8_t *to)
{
	const struct nib_pkt_conv *p = patch->arg;
	uint64_t k = (uint64_t)p->kernel_h * p->kernel_w * p->channels;
	uint64_t bytes = nib_row_bytes(p->a_fmt, k);
	const struct term t = {
		.pixel_data = nib_row_data_bytes(p->a_fmt, p->channels),
		.pixel_scales = nib_row_scale_bytes(p->a_fmt, p->channels),
		.patch_data = nib_row_data_bytes(p->a_fmt, k),
		.patch_scales = nib_row_scale_bytes(p->a_fmt, k),
	};

	for (uint64_t r = 0; r < rows; r++)
		if (!patch_fill(a, p, &t, row + r, to + r * bytes))
			return false;
	return true;
}

bool nib_exec_conv(struct nib_access *a, const __u64 *w)
{
	struct nib_pkt_conv p;
	struct nib_gemm_patch patch = { .fill = patches_fill, .arg = &p };
	struct nib_pkt_gemm gemm;

	memcpy(&p, w, sizeof(p));
	gemm = (struct nib_pkt_gemm){
		.rows = p.images * p.out_h * p.out_w,
		.w = p.w, .out = p.out, .out_pitch = p.out_pitch, .bias = p.bias,
		.n = p.n, .k = (uint32_t)p.kernel_h * p.kernel_w * p.channels,
		.a_fmt = p.a_fmt, .w_fmt = p.w_fmt, .out_fmt = p.out_fmt,
		.activation = p.activation, .flags = p.flags, .alpha = p.alpha,
	};
	return nib_gemm_run(a, &gemm, &patch);
}

/* --- Depthwise --- */

struct depthwise_parts {
	const struct nib_kernels *kernels;
	struct nib_depthwise_job job;
	uint32_t x;
	unsigned int parts;
};

static void depthwise_part(void *arg, unsigned int part, unsigned int thread)
{
	const struct depthwise_parts *d = arg;
	uint64_t count = d->job.count;
	struct nib_depthwise_job job = d->job;

	(void)thread;
	job.first = (uint32_t)(count * part / d->parts);
	job.count = (uint32_t)(count * (part + 1) / d->parts) - job.first;
	job.out += job.first * job.out_pitch;
	job.first += d->x;
	d->kernels->depthwise(&job);
}

/* @x: the first of the pixels, which is where job->out is. */
static void depthwise_run(struct nib_access *a, const struct nib_depthwise_job *job, uint32_t x)
{
	struct depthwise_parts d = {
		.kernels = a->hw->kernels, .job = *job, .x = x, .parts = 1,
	};
	uint64_t taps = (uint64_t)job->kernel_h * job->kernel_w, macs;

	macs = taps * job->count * job->channels;
	if (macs >= PARALLEL_MACS)
		d.parts = nib_pool_parts(a->hw->pool, job->count);
	nib_pool_run(a->hw->pool, d.parts, depthwise_part, &d);
	nib_cost_vector(&a->hw->chip, a->cost, macs, 0);
}

/* Maps the input rows under row @y of the output of image @image. */
static bool depthwise_rows(struct nib_access *a, const struct nib_pkt_conv_depthwise *p,
			   uint64_t image, uint64_t y, uint32_t x, const uint8_t **in,
			   size_t *in_pitch)
{
	uint64_t bytes = (uint64_t)p->channels * (nib_format_bits(p->in_fmt) / 8);
	struct nib_rows rows;

	for (uint32_t ky = 0; ky < p->kernel_h; ky++) {
		int64_t iy = (int64_t)(y * p->stride_y) + (int64_t)ky * p->dilation_y - p->pad_y;
		uint64_t at = image * p->in_h + (uint64_t)iy;

		in[ky] = NULL;
		in_pitch[ky] = 0;
		if (iy < 0 || iy >= p->in_h)
			continue;
		/* A row comes from memory once, for the first tap that sees it. */
		a->quiet = x || ky >= p->stride_y;
		if (!nib_rows_map(a, nib_add_sat(p->in, nib_mul_sat(at * p->in_w, p->in_pitch)),
				  p->in_pitch, bytes, p->in_w, NIB_READ, &rows))
			return false;
		in[ky] = rows.ptr;
		in_pitch[ky] = rows.pitch;
	}
	a->quiet = false;
	return true;
}

/* @count pixels from @x on of row @y of the output of image @image. */
static bool depthwise_pixels(struct nib_access *a, const struct nib_pkt_conv_depthwise *p,
			     uint64_t image, uint64_t y, uint32_t x, uint32_t count)
{
	uint64_t taps = (uint64_t)p->kernel_h * p->kernel_w, at = image * p->out_h + y;
	const uint8_t *in[NIB_CONV_MAX_TAPS];
	size_t in_pitch[NIB_CONV_MAX_TAPS];
	struct nib_depthwise_job job;
	struct nib_view w, bias = { 0 };
	struct nib_rows out;
	bool ok;

	ok = depthwise_rows(a, p, image, y, x, in, in_pitch);
	/* Weights stay on chip for the whole packet. */
	a->quiet = image || y || x;
	ok = ok && nib_view_map(a, p->w, taps * p->channels * 4, NIB_READ, &w) &&
	     (!(p->flags & NIB_GEMM_BIAS) ||
	      nib_view_map(a, p->bias, (uint64_t)p->channels * 4, NIB_READ, &bias));
	a->quiet = false;
	ok = ok && nib_rows_map(a, nib_add_sat(p->out, nib_mul_sat(at * p->out_w + x, p->out_pitch)),
				p->out_pitch,
				(uint64_t)p->channels * (nib_format_bits(p->out_fmt) / 8),
				count, NIB_WRITE, &out);
	if (!ok)
		return false;
	job = (struct nib_depthwise_job){
		.in = in, .in_pitch = in_pitch,
		.w = (const float *)(const void *)w.ptr,
		.bias = (const float *)(const void *)bias.ptr,
		.out = out.ptr, .out_pitch = out.pitch,
		.in_w = p->in_w, .count = count, .channels = p->channels,
		.kernel_h = p->kernel_h, .kernel_w = p->kernel_w,
		.stride = p->stride_x, .pad = p->pad_x, .dilation = p->dilation_x,
		.in_fmt = p->in_fmt, .out_fmt = p->out_fmt, .activation = p->activation,
	};
	depthwise_run(a, &job, x);
	return nib_rows_commit(a, &out);
}

/* Row @y, in pieces that take a few milliseconds at most. */
static bool depthwise_row(struct nib_access *a, const struct nib_pkt_conv_depthwise *p,
			  uint64_t image, uint64_t y)
{
	uint64_t macs = (uint64_t)p->kernel_h * p->kernel_w * p->channels, most;

	most = PIECE_MACS / macs ? PIECE_MACS / macs : 1;
	for (uint64_t x = 0, count; x < p->out_w; x += count) {
		struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);

		count = most < p->out_w - x ? most : p->out_w - x;
		if (!depthwise_pixels(a, p, image, y, (uint32_t)x, (uint32_t)count))
			return false;
		nib_arena_release(&a->hw->arena, mark);
		if (!nib_access_point(a))
			return false;
	}
	return true;
}

bool nib_exec_conv_depthwise(struct nib_access *a, const __u64 *w)
{
	struct nib_pkt_conv_depthwise p;

	memcpy(&p, w, sizeof(p));
	for (uint64_t image = 0; image < p.images; image++) {
		for (uint64_t y = 0; y < p.out_h; y++)
			if (!depthwise_row(a, &p, image, y))
				return false;
	}
	return true;
}
