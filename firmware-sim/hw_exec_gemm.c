// SPDX-License-Identifier: MIT
/*
 * GEMM packets: cut into blocks of rows x panels that one kernel call computes. Operands that are
 * contiguous behind the MMU are used where they lie; weights that are not are taken panel by panel,
 * so that a scattered matrix is never copied whole.
 */
#include <string.h>
#include "hw_access.h"

/*
 * Multiply-adds between safe points: 20 ms on the fastest kernels, which would convert the
 * activations again for every few panels if it were less; a second or so on the reference.
 */
#define BLOCK_MACS		(1ull << 32)
#define BLOCK_MACS_SCALAR	(1ull << 28)
/* A piece of W that one kernel call gets, where W is scattered. */
#define SCATTERED_PANELS 1u
/* From this size on, threads share a block. */
#define PARALLEL_MACS (1ull << 18)
/* Panels that a part should have, since each part converts the activations anew. */
#define PART_PANELS 16u

/* Memory for rows of A that are put together first. */
#define PATCH_BYTES (4ull << 20)

/**
 * struct gemm - a GEMM under way.
 * @patch: brings rows of A; NULL: they lie in memory.
 * @rows: rows that @patch has brought, of those that are computed now.
 */
struct gemm {
	struct nib_pkt_gemm p;
	const struct nib_gemm_patch *patch;
	uint8_t *rows;
	uint64_t out_size;	/* bytes of an output element */
	uint64_t a_row;		/* bytes of a row of A */
	uint64_t panel;		/* bytes of a panel of W */
	uint64_t panels;
};

static uint64_t block_macs(const struct nib_access *a)
{
	return a->hw->kernels == &nib_kernels_scalar ? BLOCK_MACS_SCALAR : BLOCK_MACS;
}

/* Panels that may go into one call, starting with panel @first. */
static uint64_t gemm_panels(struct nib_access *a, const struct gemm *g, uint64_t rows,
			    uint64_t first)
{
	uint64_t left = g->panels - first, run = 0, whole;
	uint64_t most = block_macs(a) / nib_mul_sat(rows * NIB_PANEL_N, g->p.k);
	unsigned int mem;

	most = most ? most : 1;
	most = most < left ? most : left;
	/* Ask for all that is left, so that the TLB learns the whole run at once. */
	if (!nib_mem_run(a, nib_add_sat(g->p.w, first * g->panel), left * g->panel, NIB_READ,
			 &run, &mem))
		return SCATTERED_PANELS;
	whole = run / g->panel;
	whole = whole ? whole : SCATTERED_PANELS;
	return whole < most ? whole : most;
}

static bool gemm_epilogue(struct nib_access *a, const struct gemm *g, uint64_t row, uint64_t rows,
			  uint64_t column, uint64_t n, struct nib_gemm_job *job)
{
	struct nib_rows residual;
	struct nib_view bias;

	if (g->p.flags & NIB_GEMM_BIAS) {
		if (!nib_view_map(a, nib_add_sat(g->p.bias, column * 4), n * 4, NIB_READ, &bias))
			return false;
		job->bias = (const float *)(const void *)bias.ptr;
	}
	if (g->p.flags & NIB_GEMM_RESIDUAL) {
		if (!nib_rows_map(a, nib_add_sat(g->p.residual,
						 row * g->p.residual_pitch + column * 4),
				  g->p.residual_pitch, n * 4, rows, NIB_READ, &residual))
			return false;
		job->residual = residual.ptr;
		job->residual_pitch = residual.pitch;
	}
	return true;
}

/* A block cut into runs of rows or of panels: parts share nothing that is written. */
struct gemm_parts {
	struct nib_hw *hw;
	struct nib_gemm_job job;
	uint64_t panels;
	uint64_t panel;		/* bytes of a panel of W */
	uint64_t out_size;	/* bytes of an output element */
	unsigned int parts;
	bool by_rows;
};

static void gemm_part_rows(const struct gemm_parts *g, unsigned int part)
{
	uint64_t units = (g->job.rows + NIB_GEMM_UNIT - 1) / NIB_GEMM_UNIT;
	uint64_t first = units * part / g->parts * NIB_GEMM_UNIT;
	uint64_t end = units * (part + 1) / g->parts * NIB_GEMM_UNIT;
	struct nib_gemm_job job = g->job;

	end = end < job.rows ? end : job.rows;
	job.a += first * job.a_pitch;
	job.out += first * job.out_pitch;
	if (job.residual)
		job.residual += first * job.residual_pitch;
	job.rows = (uint32_t)(end - first);
	g->hw->kernels->gemm(&job);
}

static void gemm_part(void *arg, unsigned int part, unsigned int thread)
{
	const struct gemm_parts *g = arg;
	uint64_t first = g->panels * part / g->parts, end = g->panels * (part + 1) / g->parts;
	uint64_t column = first * NIB_PANEL_N;
	struct nib_gemm_job job = g->job;

	(void)thread;
	if (g->by_rows) {
		gemm_part_rows(g, part);
		return;
	}
	job.w += first * g->panel;
	job.out += column * g->out_size;
	if (job.bias)
		job.bias += column;
	if (job.residual)
		job.residual += column * 4;
	if (end < g->panels)
		job.n = (uint32_t)((end - first) * NIB_PANEL_N);
	else
		job.n -= (uint32_t)column;
	g->hw->kernels->gemm(&job);
}

/*
 * Many rows are cut into as many as kernels take at a time, which converts each activation once; a
 * few rows stay together, so that weights are read once.
 */
static void gemm_run(struct nib_access *a, const struct gemm *g, const struct nib_gemm_job *job,
		     uint64_t panels)
{
	struct gemm_parts parts = {
		.hw = a->hw, .job = *job, .panels = panels, .panel = g->panel,
		.out_size = g->out_size, .parts = 1,
	};
	uint64_t threads = nib_pool_threads(a->hw->pool);
	uint64_t blocks = (job->rows + NIB_GEMM_ROWS - 1) / NIB_GEMM_ROWS;

	if (blocks >= threads && blocks > 1) {
		parts.by_rows = true;
		parts.parts = (unsigned int)((blocks + threads - 1) / threads * threads);
	} else if ((uint64_t)job->rows * job->n * job->k >= PARALLEL_MACS) {
		uint64_t each = panels / (threads * (job->rows == 1 ? 1 : PART_PANELS));

		/* The same number for every thread. */
		parts.parts = nib_pool_parts(a->hw->pool, threads * (each ? each : 1));
		parts.parts = (unsigned int)(parts.parts < panels ? parts.parts : panels);
	}
	nib_pool_run(a->hw->pool, parts.parts, gemm_part, &parts);
}

/* rows x panels of the output, one kernel call or one a part. */
static bool gemm_block(struct nib_access *a, const struct gemm *g, uint64_t row, uint64_t rows,
		       uint64_t first, uint64_t panels)
{
	uint64_t column = first * NIB_PANEL_N, n = panels * NIB_PANEL_N;
	struct nib_gemm_job job = { 0 };
	struct nib_rows in, out;
	struct nib_view w;

	n = n < g->p.n - column ? n : g->p.n - column;
	/* What was read once stays on chip: book A with the first panels, W with the first rows. */
	a->quiet = first > 0;
	if (g->patch)
		in = (struct nib_rows){ .ptr = g->rows, .pitch = g->a_row };
	else if (!nib_rows_map(a, nib_add_sat(g->p.a, row * g->p.a_pitch), g->p.a_pitch, g->a_row,
			       rows, NIB_READ, &in))
		return false;
	a->quiet = row > 0;
	if (!nib_view_map(a, nib_add_sat(g->p.w, first * g->panel), panels * g->panel, NIB_READ,
			  &w))
		return false;
	a->quiet = false;
	nib_hw_huge(a->hw, w.ptr, panels * g->panel);
	if (!nib_rows_map(a, nib_add_sat(g->p.out, row * g->p.out_pitch + column * g->out_size),
			  g->p.out_pitch, n * g->out_size, rows, NIB_WRITE, &out) ||
	    !gemm_epilogue(a, g, row, rows, column, n, &job))
		return false;
	job.a = in.ptr;
	job.a_pitch = in.pitch;
	job.w = w.ptr;
	job.out = out.ptr;
	job.out_pitch = out.pitch;
	job.rows = (uint32_t)rows;
	job.n = (uint32_t)n;
	job.k = g->p.k;
	job.a_fmt = g->p.a_fmt;
	job.w_fmt = g->p.w_fmt;
	job.out_fmt = g->p.out_fmt;
	job.activation = g->p.activation;
	job.alpha = nib_f32(g->p.alpha);
	gemm_run(a, g, &job, panels);
	return nib_rows_commit(a, &out);
}

/* How many rows to take at once: all of them, unless an operand is scattered or huge. */
static uint64_t gemm_rows(struct nib_access *a, const struct gemm *g)
{
	uint64_t rows = g->p.rows, most = block_macs(a) / nib_mul_sat(NIB_PANEL_N, g->p.k);

	if (!g->patch)
		rows = nib_rows_chunk(a, g->p.a, g->p.a_pitch, g->a_row, rows, NIB_READ);
	else if (rows > PATCH_BYTES / g->a_row)
		rows = PATCH_BYTES / g->a_row ? PATCH_BYTES / g->a_row : 1;
	rows = nib_rows_chunk(a, g->p.out, g->p.out_pitch, g->p.n * g->out_size, rows, NIB_WRITE);
	if (g->p.flags & NIB_GEMM_RESIDUAL)
		rows = nib_rows_chunk(a, g->p.residual, g->p.residual_pitch,
				      (uint64_t)g->p.n * 4, rows, NIB_READ);
	most = most ? most : 1;
	return rows < most ? rows : most;
}

/* All panels of some rows. */
static bool gemm_panels_of(struct nib_access *a, const struct gemm *g, uint64_t row, uint64_t rows)
{
	uint64_t panels;

	for (uint64_t first = 0; first < g->panels; first += panels) {
		struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);

		panels = gemm_panels(a, g, rows, first);
		if (!gemm_block(a, g, row, rows, first, panels))
			return false;
		nib_arena_release(&a->hw->arena, mark);
		if (!nib_access_point(a))
			return false;
	}
	return true;
}

static bool gemm_rows_of(struct nib_access *a, struct gemm *g, uint64_t row, uint64_t rows)
{
	if (g->patch) {
		g->rows = nib_arena_get(&a->hw->arena, rows * g->a_row);
		if (!g->rows)
			return nib_access_fault(a, NIB_DONE_FAULT_VALUE, g->p.k);
		if (!g->patch->fill(a, g->patch, row, rows, g->rows))
			return false;
	}
	return gemm_panels_of(a, g, row, rows);
}

bool nib_gemm_run(struct nib_access *a, const struct nib_pkt_gemm *p,
		  const struct nib_gemm_patch *patch)
{
	struct gemm g = { .p = *p, .patch = patch };
	uint64_t row, rows, most;
	bool ok = true;

	if (!g.p.rows)
		return true;
	g.out_size = nib_format_bits(g.p.out_fmt) / 8;
	g.a_row = nib_row_bytes(g.p.a_fmt, g.p.k);
	g.panel = nib_panel_bytes(g.p.w_fmt, g.p.k);
	g.panels = (g.p.n + NIB_PANEL_N - 1) / NIB_PANEL_N;
	most = gemm_rows(a, &g);
	for (row = 0; ok && row < g.p.rows; row += ok ? rows : 0) {
		struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);

		rows = most < g.p.rows - row ? most : g.p.rows - row;
		ok = gemm_rows_of(a, &g, row, rows);
		nib_arena_release(&a->hw->arena, mark);
	}
	/* Rows that were done, in whole: what does not end well costs no more than that. */
	nib_cost_gemm(&a->hw->chip, a->cost, row, g.p.n, g.p.k, g.p.a_fmt, g.p.w_fmt);
	return ok;
}

bool nib_exec_gemm(struct nib_access *a, const __u64 *w)
{
	struct nib_pkt_gemm p;

	memcpy(&p, w, sizeof(p));
	return nib_gemm_run(a, &p, NULL);
}

/* Where group @g ends; read anew for each, since the packet may be parked between groups. */
static bool group_end(struct nib_access *a, const struct nib_pkt_gemm_grouped *p, uint64_t g,
		      uint64_t from, uint64_t *end)
{
	uint64_t va = nib_add_sat(p->ends, g * 4);
	struct nib_view view;
	uint32_t word;

	if (!nib_view_map(a, va, 4, NIB_READ, &view))
		return false;
	memcpy(&word, view.ptr, 4);
	*end = word;
	return (word >= from && word <= p->rows) ||
	       nib_access_fault(a, NIB_DONE_FAULT_INDEX, va);
}

bool nib_exec_gemm_grouped(struct nib_access *a, const __u64 *w)
{
	struct nib_pkt_gemm_grouped p;
	uint64_t from = 0, end;

	memcpy(&p, w, sizeof(p));
	for (uint64_t g = 0; g < p.groups; g++, from = end) {
		struct nib_pkt_gemm one = {
			.a_pitch = p.a_pitch, .out_pitch = p.out_pitch, .n = p.n, .k = p.k,
			.a_fmt = p.a_fmt, .w_fmt = p.w_fmt, .out_fmt = p.out_fmt,
			.activation = p.activation, .flags = p.flags, .alpha = p.alpha,
		};

		if (!group_end(a, &p, g, from, &end))
			return false;
		one.rows = end - from;
		one.a = nib_add_sat(p.a, from * p.a_pitch);
		one.out = nib_add_sat(p.out, from * p.out_pitch);
		one.w = nib_add_sat(p.w, g * p.w_stride);
		if (p.flags & NIB_GEMM_BIAS)
			one.bias = nib_add_sat(p.bias, g * p.n * 4);
		if (!nib_gemm_run(a, &one, NULL) || !nib_access_point(a))
			return false;
	}
	return true;
}
