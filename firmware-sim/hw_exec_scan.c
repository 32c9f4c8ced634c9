// SPDX-License-Identifier: MIT
/*
 * Scan packets: rows of one sequence that follow each other go to the kernel together, cut by
 * channels over the threads; channels share no state.
 */
#include <string.h>
#include "hw_access.h"

/* Multiply-adds between safe points, a few milliseconds; from how many on threads share them. */
#define BLOCK_MACS (1ull << 22)
#define BLOCK_MACS_SCALAR (1ull << 20)
#define PARALLEL_MACS (1ull << 14)

struct scan_parts {
	const struct nib_kernels *kernels;
	struct nib_scan_job job;
	unsigned int parts;
};

static void scan_part(void *arg, unsigned int part, unsigned int thread)
{
	const struct scan_parts *s = arg;
	uint64_t channels = s->job.channels;
	struct nib_scan_job job = s->job;

	(void)thread;
	job.first = (uint32_t)(channels * part / s->parts);
	job.count = (uint32_t)(channels * (part + 1) / s->parts) - job.first;
	s->kernels->scan(&job);
}

static void scan_run(struct nib_access *a, const struct nib_scan_job *job)
{
	uint64_t macs = (uint64_t)job->rows * job->channels * job->states;
	struct scan_parts s = { .kernels = a->hw->kernels, .job = *job, .parts = 1 };

	if (macs >= PARALLEL_MACS)
		s.parts = nib_pool_parts(a->hw->pool, job->channels);
	nib_pool_run(a->hw->pool, s.parts, scan_part, &s);
	/* Per state: step and dot product, and the decay's exponential unless heads share it. */
	nib_cost_vector(&a->hw->chip, a->cost, nib_mul_sat(macs, 3),
			job->flags & NIB_SCAN_SCALAR_A ?
			(uint64_t)job->rows * (job->channels / job->share) : macs);
}

static bool read_row(struct nib_access *a, const struct nib_pkt_scan *p, uint64_t r,
		     struct nib_kv_row *row)
{
	struct nib_view view;

	if (!nib_view_map(a, nib_add_sat(p->row_table, r * sizeof(*row)), sizeof(*row), NIB_READ,
			  &view))
		return false;
	memcpy(row, view.ptr, sizeof(*row));
	return true;
}

/*
 * How many rows from @r on continue the sequence of @row without starting it again, at most as many
 * as fit between safe points.
 */
static bool scan_group(struct nib_access *a, const struct nib_pkt_scan *p, uint64_t r,
		       const struct nib_kv_row *row, uint64_t *rows)
{
	uint64_t most = a->hw->kernels == &nib_kernels_scalar ? BLOCK_MACS_SCALAR : BLOCK_MACS;
	struct nib_kv_row next;
	bool ok = true;

	most /= (uint64_t)p->channels * p->states;
	most = most > p->rows - r ? p->rows - r : most;
	/* The entries of rows that do not belong are booked with their own group. */
	a->quiet = true;
	for (*rows = 1; *rows < most; ++*rows) {
		ok = read_row(a, p, r + *rows, &next);
		if (!ok || next.seq != row->seq || !next.pos)
			break;
	}
	a->quiet = false;
	return ok;
}

/* Operands of rows, mapped. */
struct operands {
	struct nib_rows x, delta, b, c, y;
	struct nib_view a, d, state;
};

static bool operands_map(struct nib_access *a, const struct nib_pkt_scan *p, uint64_t r,
			 uint64_t rows, uint32_t seq, bool booked, struct operands *o)
{
	uint64_t heads = p->channels / p->share, bc = (uint64_t)p->groups * p->states * 4;
	uint64_t states = p->flags & NIB_SCAN_SCALAR_A ? 1 : p->states;
	uint64_t state = nib_add_sat(p->state, nib_mul_sat(p->state_stride, seq));

#define ROWS(name, bytes, access) \
	nib_rows_map(a, nib_add_sat(p->name, r * p->name##_pitch), p->name##_pitch, bytes, rows, \
		     access, &o->name)
	if (!ROWS(x, p->channels * 4ull, NIB_READ) || !ROWS(delta, heads * 4, NIB_READ) ||
	    !ROWS(b, bc, NIB_READ) || !ROWS(c, bc, NIB_READ) ||
	    !ROWS(y, p->channels * 4ull, NIB_WRITE))
		return false;
#undef ROWS
	if (!nib_view_map(a, state, (uint64_t)p->channels * p->states * 4, NIB_READ | NIB_WRITE,
			  &o->state))
		return false;
	/* A and D stay on chip for the whole packet. */
	a->quiet = booked;
	if (!nib_view_map(a, p->a, heads * states * 4, NIB_READ, &o->a) ||
	    (p->d && !nib_view_map(a, p->d, p->channels * 4ull, NIB_READ, &o->d)))
		return false;
	a->quiet = false;
	return true;
}

static bool scan_rows(struct nib_access *a, const struct nib_pkt_scan *p, uint64_t r,
		      uint64_t rows, const struct nib_kv_row *row)
{
	struct operands o = { 0 };
	struct nib_scan_job job;

	if (!operands_map(a, p, r, rows, row->seq, r > 0, &o))
		return false;
	if (!row->pos)
		memset(o.state.ptr, 0, (size_t)p->channels * p->states * 4);
	job = (struct nib_scan_job){
		.x = (const float *)(const void *)o.x.ptr, .x_pitch = o.x.pitch,
		.delta = (const float *)(const void *)o.delta.ptr, .delta_pitch = o.delta.pitch,
		.b = (const float *)(const void *)o.b.ptr, .b_pitch = o.b.pitch,
		.c = (const float *)(const void *)o.c.ptr, .c_pitch = o.c.pitch,
		.y = (float *)(void *)o.y.ptr, .y_pitch = o.y.pitch,
		.a = (const float *)(const void *)o.a.ptr,
		.d = (const float *)(const void *)o.d.ptr,
		.state = (float *)(void *)o.state.ptr,
		.rows = (uint32_t)rows, .channels = p->channels, .states = p->states,
		.groups = p->groups, .share = p->share, .flags = p->flags,
	};
	scan_run(a, &job);
	return nib_rows_commit(a, &o.y) && nib_view_commit(a, &o.state);
}

bool nib_exec_scan(struct nib_access *a, const __u64 *w)
{
	struct nib_pkt_scan p;
	struct nib_kv_row row;
	uint64_t rows;

	memcpy(&p, w, sizeof(p));
	for (uint64_t r = 0; r < p.rows; r += rows) {
		struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);

		if (!read_row(a, &p, r, &row) || !scan_group(a, &p, r, &row, &rows) ||
		    !scan_rows(a, &p, r, rows, &row))
			return false;
		nib_arena_release(&a->hw->arena, mark);
		if (!nib_access_point(a))
			return false;
	}
	return true;
}
