// SPDX-License-Identifier: MIT
/*
 * Packets of the vector unit: vector programs and sampling. A program runs once for each index of
 * its space; operands whose whole space is contiguous cost one translation, others one for each
 * vector.
 */
#include <stdlib.h>
#include <string.h>
#include "hw_access.h"

/*
 * What a special function takes, in simple operations; from how much of it on threads share a
 * packet; how much of it lies between safe points.
 */
#define SPECIAL_WORK	8u
#define PARALLEL_WORK	(1ull << 17)
#define BLOCK_WORK	(1ull << 24)

/**
 * struct operand - a tensor of the program.
 * @size: bytes of an element.
 * @access: what the program does with it.
 * @direct: pointer to element (0, 0, 0) where the whole space is contiguous, else NULL.
 * @low: offset of the lowest element of a vector, relative to its first.
 * @bytes: from the lowest to past the highest element of a vector.
 */
struct operand {
	struct nib_vec_operand o;
	uint64_t size;
	unsigned int access;
	uint8_t *direct;
	int64_t low;
	uint64_t bytes;
};

struct program {
	struct nib_pkt_vec p;
	struct operand operand[NIB_VEC_MAX_OPERANDS];
	struct nib_vec_insn insns[NIB_VEC_MAX_INSNS];
	uint64_t simple;	/* operations on one vector */
	uint64_t special;
	bool whole;		/* knows of more than one element, or of its place */
	float *regs;
};

static bool is_special(unsigned int op)
{
	return op == NIB_VEC_DIV || (op >= NIB_VEC_SQRT && op <= NIB_VEC_COS);
}

static void program_read(struct program *g, const __u64 *w)
{
	const __u64 *at = w + 4;

	memcpy(&g->p, w, sizeof(g->p));
	for (uint32_t i = 0; i < g->p.n_operands; i++, at += 3) {
		struct operand *x = &g->operand[i];
		int64_t reach;

		memset(x, 0, sizeof(*x));
		memcpy(&x->o, at, sizeof(x->o));
		x->size = nib_format_bits(x->o.fmt) / 8;
		reach = (int64_t)(g->p.n - 1) * x->o.stride_n * (int64_t)x->size;
		x->low = reach < 0 ? reach : 0;
		x->bytes = (uint64_t)(reach < 0 ? -reach : reach) + x->size;
	}
	memcpy(g->insns, at, g->p.n_insns * sizeof(g->insns[0]));
	g->simple = 0;
	g->special = 0;
	g->whole = false;
	for (uint32_t i = 0; i < g->p.n_insns; i++) {
		const struct nib_vec_insn *insn = &g->insns[i];

		g->whole |= insn->op == NIB_VEC_IOTA ||
			    (insn->op >= NIB_VEC_RSUM && insn->op <= NIB_VEC_RMIN);
		if (insn->op == NIB_VEC_LOAD)
			g->operand[insn->a].access |= NIB_READ;
		else if (insn->op == NIB_VEC_STORE)
			g->operand[insn->dst].access |= NIB_WRITE;
		else if (is_special(insn->op))
			g->special += g->p.n;
		else
			g->simple += (insn->op == NIB_VEC_FMA ? 2ull : 1ull) * g->p.n;
	}
}

/* Tries to find the whole space of an operand in one piece, and books it. */
static void operand_direct(struct nib_access *a, const struct program *g, struct operand *x)
{
	int64_t reach0 = (int64_t)(g->p.d0 - 1) * x->o.stride0;
	int64_t reach1 = (int64_t)(g->p.d1 - 1) * x->o.stride1;
	int64_t low = x->low + (reach0 < 0 ? reach0 : 0) + (reach1 < 0 ? reach1 : 0);
	uint64_t span = x->bytes + (uint64_t)llabs(reach0) + (uint64_t)llabs(reach1);
	uint64_t vectors, elements = x->o.stride_n ? g->p.n : 1;
	unsigned int mem;
	uint8_t *p;

	x->direct = NULL;
	if (!x->access || x->o.addr + (uint64_t)low > x->o.addr + (uint64_t)low + span)
		return;
	p = nib_mem_span(a, x->o.addr + (uint64_t)low, span, x->access, &mem);
	if (!p)
		return;
	x->direct = p - low;
	/* A vector that every index shares is fetched once. */
	vectors = nib_mul_sat(x->o.stride0 ? g->p.d0 : 1, x->o.stride1 ? g->p.d1 : 1);
	nib_mem_count(a, mem, x->access, nib_mul_sat(vectors, elements * x->size));
}

/*
 * A vector that is not part of a contiguous space. Where it has gaps, which may not be mapped, its
 * elements are collected one by one; *stride becomes their distance behind the pointer.
 */
static uint8_t *operand_collect(struct nib_access *a, const struct program *g,
				const struct operand *x, struct nib_view *view, ptrdiff_t *stride)
{
	struct nib_view element;
	uint8_t *packed;

	if (x->o.stride_n >= -1 && x->o.stride_n <= 1) {
		if (!nib_view_map(a, view->va + (uint64_t)x->low, x->bytes, x->access, view))
			return NULL;
		return view->ptr - x->low;
	}
	packed = nib_arena_get(&a->hw->arena, g->p.n * x->size);
	if (!packed) {
		nib_access_fault(a, NIB_DONE_FAULT_VALUE, g->p.n);
		return NULL;
	}
	/* An aligned element lies in one page: its view never bounces. */
	for (uint64_t j = 0; j < g->p.n; j++) {
		int64_t at = (int64_t)j * x->o.stride_n * (int64_t)x->size;

		if (!nib_view_map(a, view->va + (uint64_t)at, x->size, x->access, &element))
			return NULL;
		if (x->access & NIB_READ)
			memcpy(packed + j * x->size, element.ptr, x->size);
	}
	*stride = (ptrdiff_t)x->size;
	view->ptr = packed;
	return packed;
}

/* Brings back what the program stored in a collected vector. */
static bool operand_return(struct nib_access *a, const struct program *g, const struct operand *x,
			   const struct nib_view *view)
{
	struct nib_view element;
	bool ok = true;

	if (x->o.stride_n >= -1 && x->o.stride_n <= 1)
		return nib_view_commit(a, view);
	a->quiet = true;
	for (uint64_t j = 0; ok && j < g->p.n; j++) {
		int64_t at = (int64_t)j * x->o.stride_n * (int64_t)x->size;

		ok = nib_view_map(a, view->va + (uint64_t)at, x->size, NIB_WRITE, &element);
		if (ok)
			memcpy(element.ptr, view->ptr + j * x->size, x->size);
	}
	a->quiet = false;
	return ok;
}

/* One run of the program. */
static bool program_step(struct nib_access *a, const struct program *g, uint64_t i0, uint64_t i1)
{
	uint8_t *ptr[NIB_VEC_MAX_OPERANDS] = { NULL };
	ptrdiff_t stride[NIB_VEC_MAX_OPERANDS] = { 0 };
	uint32_t fmt[NIB_VEC_MAX_OPERANDS] = { 0 };
	struct nib_view view[NIB_VEC_MAX_OPERANDS];
	struct nib_vec_job job = {
		.operand = ptr,
		.stride = stride,
		.fmt = fmt,
		.insns = g->insns,
		.regs = g->regs,
		.n_insns = g->p.n_insns,
		.n = g->p.n,
	};

	for (uint32_t i = 0; i < g->p.n_operands; i++) {
		const struct operand *x = &g->operand[i];
		int64_t at = (int64_t)i0 * x->o.stride0 + (int64_t)i1 * x->o.stride1;

		fmt[i] = x->o.fmt;
		stride[i] = (ptrdiff_t)x->o.stride_n * (ptrdiff_t)x->size;
		view[i].va = x->o.addr + (uint64_t)at;
		if (x->direct)
			ptr[i] = x->direct + at;
		else if (x->access)
			ptr[i] = operand_collect(a, g, x, &view[i], &stride[i]);
		if (x->access && !ptr[i])
			return false;
	}
	a->hw->kernels->vec(&job);
	for (uint32_t i = 0; i < g->p.n_operands; i++) {
		const struct operand *x = &g->operand[i];

		if (!x->direct && (x->access & NIB_WRITE) && !operand_return(a, g, x, &view[i]))
			return false;
	}
	return true;
}

/* Steps of a program whose operands are all direct; a thread has registers of its own. */
struct program_parts {
	struct nib_hw *hw;
	const struct program *g;
	uint64_t first;
	uint64_t steps;
	unsigned int parts;
	float *regs;
	size_t regs_floats;	/* of one thread */
};

/* How many steps from @at on one kernel call takes: those of one i0, where vectors are short. */
static uint32_t program_runs(const struct program *g, uint64_t at, uint64_t end)
{
	uint64_t runs = g->p.d1 - at % g->p.d1, most = NIB_VEC_STRIP / g->p.n;

	if (g->whole || g->p.n % 16)
		return 1;
	runs = runs < end - at ? runs : end - at;
	runs = runs < most ? runs : most;
	return runs ? (uint32_t)runs : 1;
}

static void program_part(void *arg, unsigned int part, unsigned int thread)
{
	const struct program_parts *p = arg;
	const struct program *g = p->g;
	uint64_t at = p->first + p->steps * part / p->parts;
	uint64_t end = p->first + p->steps * (part + 1) / p->parts;
	uint8_t *ptr[NIB_VEC_MAX_OPERANDS] = { NULL };
	ptrdiff_t stride[NIB_VEC_MAX_OPERANDS] = { 0 }, step[NIB_VEC_MAX_OPERANDS] = { 0 };
	uint32_t fmt[NIB_VEC_MAX_OPERANDS] = { 0 };
	struct nib_vec_job job = {
		.operand = ptr,
		.stride = stride,
		.step = step,
		.fmt = fmt,
		.insns = g->insns,
		.regs = p->regs + thread * p->regs_floats,
		.n_insns = g->p.n_insns,
		.n = g->p.n,
	};

	for (; at < end; at += job.runs) {
		int64_t i0 = (int64_t)(at / g->p.d1), i1 = (int64_t)(at % g->p.d1);

		job.runs = program_runs(g, at, end);
		for (uint32_t i = 0; i < g->p.n_operands; i++) {
			const struct operand *x = &g->operand[i];

			fmt[i] = x->o.fmt;
			stride[i] = (ptrdiff_t)x->o.stride_n * (ptrdiff_t)x->size;
			step[i] = (ptrdiff_t)x->o.stride1;
			if (x->direct)
				ptr[i] = x->direct + i0 * x->o.stride0 + i1 * x->o.stride1;
		}
		p->hw->kernels->vec(&job);
	}
}

/* Whether what @x writes in one step is touched by @y, itself included, in no other step. */
static bool operand_is_apart(const struct program *g, const struct operand *x,
			     const struct operand *y)
{
	int64_t reach0 = (int64_t)(g->p.d0 - 1), reach1 = (int64_t)(g->p.d1 - 1);
	const uint8_t *x_end = x->direct + reach0 * x->o.stride0 + reach1 * x->o.stride1 + x->bytes;
	const uint8_t *y_end = y->direct + reach0 * y->o.stride0 + reach1 * y->o.stride1 + y->bytes;
	uint64_t stretch = (uint64_t)llabs((int64_t)(y->direct - x->direct)) +
			   (x->bytes > y->bytes ? x->bytes : y->bytes);
	uint64_t s0 = (uint64_t)x->o.stride0, s1 = (uint64_t)x->o.stride1;

	if (y->direct >= x_end || x->direct >= y_end)
		return true;
	/* Else both walk side by side, and a step's stretch ends before the next one's begins. */
	if (y->o.stride0 != x->o.stride0 || y->o.stride1 != x->o.stride1)
		return false;
	if (g->p.d1 > 1)
		return stretch <= s1 && (g->p.d0 == 1 || nib_mul_sat(g->p.d1, s1) <= s0);
	return stretch <= s0;
}

/* Steps may run at once if all operands are direct and no step touches what another one writes. */
static bool program_is_parallel(const struct program *g)
{
	for (uint32_t i = 0; i < g->p.n_operands; i++) {
		const struct operand *x = &g->operand[i];

		if (x->access && (!x->direct || x->low < 0 || x->o.stride0 < 0 || x->o.stride1 < 0))
			return false;
	}
	for (uint32_t i = 0; i < g->p.n_operands; i++)
		for (uint32_t j = 0; j < g->p.n_operands; j++)
			if ((g->operand[i].access & NIB_WRITE) && g->operand[j].access &&
			    !operand_is_apart(g, &g->operand[i], &g->operand[j]))
				return false;
	return true;
}

/*
 * Runs steps on all threads, with safe points in between, as long as mappings stay as they are.
 * Returns how many steps are done; *ok is false when the packet must end.
 */
static uint64_t program_run_parallel(struct nib_access *a, struct program *g, bool *ok)
{
	unsigned int threads = nib_pool_threads(a->hw->pool);
	uint64_t steps = g->p.d0 * g->p.d1, parks = a->hw->parks, work, block;
	struct program_parts p = { .hw = a->hw, .g = g };

	/* What one step takes, in simple operations. */
	work = g->simple + SPECIAL_WORK * g->special + g->p.n;
	if (threads < 2 || steps < 2 || nib_mul_sat(steps, work) < PARALLEL_WORK ||
	    !program_is_parallel(g))
		return 0;
	p.regs_floats = ((size_t)g->p.n + 15) / 16 * 16;
	p.regs_floats = p.regs_floats > NIB_VEC_STRIP ? p.regs_floats : NIB_VEC_STRIP;
	p.regs_floats *= NIB_VEC_REGS;
	p.regs = nib_arena_get(&a->hw->arena, p.regs_floats * sizeof(float) * threads);
	if (!p.regs)
		return 0;
	block = BLOCK_WORK / work + threads;
	for (; p.first < steps; p.first += p.steps) {
		if (parks != a->hw->parks)
			break;
		p.steps = block < steps - p.first ? block : steps - p.first;
		p.parts = (unsigned int)(p.steps < threads * 4 ? p.steps : threads * 4);
		nib_pool_run(a->hw->pool, p.parts, program_part, &p);
		*ok = nib_access_point(a);
		if (!*ok)
			break;
	}
	return p.first;
}

/* @done: out: steps. */
static bool program_run(struct nib_access *a, struct program *g, uint64_t *done)
{
	struct nib_arena_mark start = nib_arena_mark(&a->hw->arena);
	uint64_t parks = a->hw->parks, at;
	bool ok = true;

	for (uint32_t i = 0; i < g->p.n_operands; i++)
		operand_direct(a, g, &g->operand[i]);
	at = program_run_parallel(a, g, &ok);
	nib_arena_release(&a->hw->arena, start);
	for (; ok && at < g->p.d0 * g->p.d1; at++) {
		if (parks != a->hw->parks) {
			parks = a->hw->parks;
			a->quiet = true;
			for (uint32_t i = 0; i < g->p.n_operands; i++)
				operand_direct(a, g, &g->operand[i]);
			a->quiet = false;
		}
		ok = program_step(a, g, at / g->p.d1, at % g->p.d1) && nib_access_point(a);
		nib_arena_release(&a->hw->arena, start);
	}
	*done = at;
	return ok;
}

bool nib_exec_vec(struct nib_access *a, const __u64 *w)
{
	struct program g;
	uint64_t steps;
	bool ok;

	program_read(&g, w);
	if (!g.p.d0 || !g.p.d1)
		return true;
	g.regs = nib_arena_get(&a->hw->arena,
			       ((size_t)g.p.n + 15) / 16 * 16 * 4 * NIB_VEC_REGS);
	if (!g.regs)
		return nib_access_fault(a, NIB_DONE_FAULT_VALUE, g.p.n);
	/* Costs are those of what was done, not of what a packet would have liked to. */
	ok = program_run(a, &g, &steps);
	nib_cost_vector(&a->hw->chip, a->cost, nib_mul_sat(steps, g.simple),
			nib_mul_sat(steps, g.special));
	return ok;
}

/* --- SAMPLE --- */

/* Rows that threads work on at once, and logits of them. */
#define SAMPLE_ROWS 32u
#define SAMPLE_ELEMENTS (1ull << 22)

struct sample {
	const struct nib_kernels *kernels;
	uint32_t n;
	struct sample_row {
		struct nib_sample_params params;
		const float *logits;
		struct nib_view out;
		uint32_t token;
	} row[SAMPLE_ROWS];
	uint64_t *scratch;	/* n words of each row */
};

static bool sample_map(struct nib_access *a, const struct nib_pkt_sample *p, uint64_t r,
		       struct sample_row *row)
{
	struct nib_view view;

	if (!nib_view_map(a, nib_add_sat(p->params, r * sizeof(row->params)), sizeof(row->params),
			  NIB_READ, &view))
		return false;
	memcpy(&row->params, view.ptr, sizeof(row->params));
	if (row->params.zero)
		return nib_access_fault(a, NIB_DONE_FAULT_VALUE, row->params.zero);
	if (!nib_view_map(a, nib_add_sat(p->logits, r * p->logits_pitch), (uint64_t)p->n * 4,
			  NIB_READ, &view) ||
	    !nib_view_map(a, nib_add_sat(p->out, r * 4), 4, NIB_WRITE, &row->out))
		return false;
	row->logits = (const float *)(const void *)view.ptr;
	return true;
}

static void sample_part(void *arg, unsigned int part, unsigned int thread)
{
	struct sample *s = arg;
	struct sample_row *row = &s->row[part];

	(void)thread;
	row->token = s->kernels->sample(row->logits, s->n, &row->params,
					s->scratch + (uint64_t)part * s->n);
}

/* Up to SAMPLE_ROWS rows; those before one with a fault are done. */
static bool sample_rows(struct nib_access *a, const struct nib_pkt_sample *p, uint64_t first,
			uint64_t rows)
{
	struct sample s = { .kernels = a->hw->kernels, .n = p->n };
	unsigned int count = 0;
	bool ok = true;

	s.scratch = nib_arena_get(&a->hw->arena, (size_t)p->n * 8 * rows);
	if (!s.scratch)
		return nib_access_fault(a, NIB_DONE_FAULT_VALUE, p->n);
	while (ok && count < rows) {
		ok = sample_map(a, p, first + count, &s.row[count]);
		count += ok;
	}
	nib_pool_run(a->hw->pool, count, sample_part, &s);
	for (unsigned int i = 0; i < count; i++) {
		memcpy(s.row[i].out.ptr, &s.row[i].token, 4);
		if (!nib_view_commit(a, &s.row[i].out))
			return false;
		nib_cost_vector(&a->hw->chip, a->cost, p->n, p->n);
	}
	return ok;
}

bool nib_exec_sample(struct nib_access *a, const __u64 *w)
{
	struct nib_pkt_sample p;
	uint64_t rows;

	memcpy(&p, w, sizeof(p));
	for (uint64_t r = 0; r < p.rows; r += rows) {
		struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);

		rows = SAMPLE_ELEMENTS / p.n < SAMPLE_ROWS ? SAMPLE_ELEMENTS / p.n : SAMPLE_ROWS;
		rows = rows ? rows : 1;
		rows = p.rows - r < rows ? p.rows - r : rows;
		if (!sample_rows(a, &p, r, rows))
			return false;
		nib_arena_release(&a->hw->arena, mark);
		if (!nib_access_point(a))
			return false;
	}
	return true;
}
