// SPDX-License-Identifier: MIT
/*
 * Attention packets: finds the K and V row of every position a query row sees, through block tables
 * and page table, and calls the kernel row by row. Rows of one sequence that follow each other
 * reuse what was found, and, as many as the chip's attention unit takes at once, one pass over the
 * pages.
 */
#include <string.h>
#include "hw_access.h"

/* What one query row may see: bounds the pointer arrays, and the time to the next safe point. */
#define MAX_POSITIONS NIB_MAX_DIM
#define MAX_MACS (1ull << 34)

/*
 * Where one page's part of the context lies; what a pass over it costs.
 * @count: positions of it that were found so far.
 */
struct page {
	uint32_t count;
	uint8_t k_mem;
	uint8_t v_mem;
};

/**
 * struct context - the positions found so far of one sequence.
 * @first: position of the first pointer; a multiple of page_tokens.
 * @end: first position that was not found yet.
 * @capacity: pointers and pages that fit.
 * @pass_rows: query rows of the current pass over the pages, which covers positions
 *	@pass_first..@pass_last.
 */
struct context {
	struct nib_pkt_attention p;
	uint64_t k_bytes;
	uint64_t v_bytes;
	const uint8_t **k_rows;
	const uint8_t **v_rows;
	struct page *pages;
	bool valid;
	uint32_t seq;
	uint64_t first;
	uint64_t end;
	uint64_t capacity;
	uint32_t pass_rows;
	uint64_t pass_first;
	uint64_t pass_last;
	struct nib_arena_mark mark;
	float *scratch;
	const float *sinks;
};

/* Pointers to @count rows of K or V in a page; one by one where the page is scattered. */
static bool find_rows(struct nib_access *a, uint64_t va, uint64_t row_bytes, uint64_t count,
		      const uint8_t **rows, uint8_t *mem)
{
	unsigned int where = NIB_MEM_HBM;
	struct nib_view view;
	uint8_t *p;
	uint64_t run;

	if (va % NIB_ROW_ALIGN)
		return nib_access_fault(a, NIB_DONE_FAULT_ALIGN, va);
	p = nib_mem_span(a, va, row_bytes * count, NIB_READ, &where);
	for (uint64_t i = 0; i < count; i++) {
		if (p) {
			rows[i] = p + i * row_bytes;
			continue;
		}
		if (!nib_view_map(a, nib_add_sat(va, i * row_bytes), row_bytes, NIB_READ, &view))
			return false;
		rows[i] = view.ptr;
	}
	if (!p && !nib_mem_run(a, va, 1, NIB_READ, &run, &where))
		return nib_access_fault(a, NIB_DONE_FAULT_READ, va);
	*mem = (uint8_t)where;
	return true;
}

/* Extends the context to position @last. */
static bool context_extend(struct nib_access *a, struct context *c, uint64_t last,
			   uint64_t entry_va)
{
	uint32_t tokens = c->p.page_tokens;
	uint64_t page_va, count, at, in_page;
	struct page *page;

	while (c->end <= last) {
		at = c->end - c->first;
		in_page = c->end % tokens;
		count = tokens - in_page;
		count = count < last + 1 - c->end ? count : last + 1 - c->end;
		page = &c->pages[at / tokens];
		a->quiet = false;
		if (!nib_kv_page(a, c->p.blocks, c->p.block_stride, c->seq, c->end / tokens,
				 entry_va, &page_va))
			return false;
		/* K and V are booked by passes. */
		a->quiet = true;
		if (!find_rows(a, nib_add_sat(page_va, c->p.k_offset + in_page * c->k_bytes),
			       c->k_bytes, count, c->k_rows + at, &page->k_mem) ||
		    !find_rows(a, nib_add_sat(page_va, c->p.v_offset + in_page * c->v_bytes),
			       c->v_bytes, count, c->v_rows + at, &page->v_mem))
			return false;
		page->count = (uint32_t)(in_page + count);
		c->end += count;
	}
	return true;
}

/* Ends a pass over the pages and books it. */
static void pass_end(struct nib_access *a, struct context *c)
{
	uint32_t tokens = c->p.page_tokens;

	if (!c->pass_rows)
		return;
	c->pass_rows = 0;
	for (uint64_t i = c->pass_first / tokens; i <= c->pass_last / tokens; i++) {
		const struct page *page = &c->pages[i - c->first / tokens];
		uint64_t from = i * tokens > c->pass_first ? i * tokens : c->pass_first;
		uint64_t end = (i + 1) * tokens - 1 < c->pass_last ? (i + 1) * tokens :
			       c->pass_last + 1;

		nib_mem_count(a, page->k_mem, NIB_READ, (end - from) * c->k_bytes);
		nib_mem_count(a, page->v_mem, NIB_READ, (end - from) * c->v_bytes);
		if (page->k_mem == NIB_MEM_SRAM)
			a->cost->kv_pages_sram++;
		else
			a->cost->kv_pages_other++;
	}
}

/* One more row, which sees @first..@last. */
static void pass_add(struct nib_access *a, struct context *c, uint64_t first, uint64_t last)
{
	c->pass_first = c->pass_rows && c->pass_first < first ? c->pass_first : first;
	c->pass_last = c->pass_rows && c->pass_last > last ? c->pass_last : last;
	if (++c->pass_rows == a->hw->chip.attention_rows)
		pass_end(a, c);
}

/* Room for positions @first..@last of a new sequence. */
static bool context_start(struct nib_access *a, struct context *c, uint32_t seq, uint64_t first,
			  uint64_t last)
{
	uint64_t tokens = c->p.page_tokens, positions;

	pass_end(a, c);
	nib_arena_release(&a->hw->arena, c->mark);
	c->valid = true;
	c->seq = seq;
	c->first = first / tokens * tokens;
	c->end = c->first;
	positions = last - c->first + 1;
	/* The rows that follow usually see a little more. */
	c->capacity = (positions + positions / 4 + 64 + tokens) / tokens * tokens;
	c->k_rows = nib_arena_get(&a->hw->arena, c->capacity * sizeof(*c->k_rows));
	c->v_rows = nib_arena_get(&a->hw->arena, c->capacity * sizeof(*c->v_rows));
	c->pages = nib_arena_get(&a->hw->arena, c->capacity / tokens * sizeof(*c->pages));
	return (c->k_rows && c->v_rows && c->pages) ||
	       nib_access_fault(a, NIB_DONE_FAULT_VALUE, positions);
}

/* Makes sure that the context holds what a row of @seq at @pos sees. */
static bool context_get(struct nib_access *a, struct context *c, uint32_t seq, uint64_t first,
			uint64_t last, uint64_t entry_va)
{
	bool ok;

	if (!c->valid || c->seq != seq || first < c->first || last - c->first >= c->capacity)
		if (!context_start(a, c, seq, first, last))
			return false;
	ok = context_extend(a, c, last, entry_va);
	a->quiet = false;
	if (ok)
		pass_add(a, c, first, last);
	return ok;
}

static bool attention_row(struct nib_access *a, struct context *c, uint64_t r)
{
	const struct nib_pkt_attention *p = &c->p;
	uint64_t entry_va = nib_add_sat(p->row_table, r * sizeof(struct nib_kv_row)), first = 0;
	uint64_t bytes = (uint64_t)p->n_heads * p->head_dim * 4;
	struct nib_arena_mark mark;
	struct nib_attention_job job;
	struct nib_view view, q, out;
	struct nib_kv_row entry;
	bool ok;

	if (!nib_view_map(a, entry_va, sizeof(entry), NIB_READ, &view))
		return false;
	memcpy(&entry, view.ptr, sizeof(entry));
	if (p->window && entry.pos >= p->window)
		first = entry.pos - p->window + 1;
	if (entry.pos - first >= MAX_POSITIONS ||
	    nib_mul_sat(entry.pos - first + 1, bytes / 4) > MAX_MACS)
		return nib_access_fault(a, NIB_DONE_FAULT_INDEX,
					nib_add_sat(entry_va, offsetof(struct nib_kv_row, pos)));
	if (!context_get(a, c, entry.seq, first, entry.pos, entry_va))
		return false;
	mark = nib_arena_mark(&a->hw->arena);
	ok = nib_view_map(a, nib_add_sat(p->q, r * p->q_pitch), bytes, NIB_READ, &q) &&
	     nib_view_map(a, nib_add_sat(p->out, r * p->out_pitch), bytes, NIB_WRITE, &out);
	if (!ok)
		return false;
	job = (struct nib_attention_job){
		.q = (const float *)(const void *)q.ptr,
		.out = (float *)(void *)out.ptr,
		.k_rows = c->k_rows + (first - c->first),
		.v_rows = c->v_rows + (first - c->first),
		.sinks = c->sinks,
		.first = (uint32_t)first,
		.last = entry.pos,
		.n_heads = p->n_heads,
		.n_kv_heads = p->n_kv_heads,
		.head_dim = p->head_dim,
		.k_fmt = p->k_fmt,
		.v_fmt = p->v_fmt,
		.scale = nib_f32(p->scale),
		.softcap = nib_f32(p->softcap),
	};
	a->hw->kernels->attention(&job, c->scratch);
	nib_cost_attention(&a->hw->chip, a->cost, entry.pos - first + 1, p->n_heads, p->head_dim);
	ok = nib_view_commit(a, &out);
	nib_arena_release(&a->hw->arena, mark);
	return ok;
}

/* Maps what all rows use; again after each park. */
static bool attention_setup(struct nib_access *a, struct context *c, struct nib_arena_mark start)
{
	struct nib_view view;

	nib_arena_release(&a->hw->arena, start);
	c->valid = false;
	c->sinks = NULL;
	if (c->p.sinks) {
		if (!nib_view_map(a, c->p.sinks, (uint64_t)c->p.n_heads * 4, NIB_READ, &view))
			return false;
		c->sinks = (const float *)(const void *)view.ptr;
	}
	c->scratch = nib_arena_get(&a->hw->arena, nib_attention_scratch(c->p.head_dim) * 4);
	if (!c->scratch)
		return nib_access_fault(a, NIB_DONE_FAULT_VALUE, c->p.head_dim);
	c->mark = nib_arena_mark(&a->hw->arena);
	return true;
}

bool nib_exec_attention(struct nib_access *a, const __u64 *w)
{
	struct nib_arena_mark start = nib_arena_mark(&a->hw->arena);
	struct context c = { 0 };
	uint64_t parks = a->hw->parks;
	uint32_t width;

	memcpy(&c.p, w, sizeof(c.p));
	if (!c.p.rows)
		return true;
	width = (uint32_t)c.p.n_kv_heads * c.p.head_dim;
	c.k_bytes = nib_row_bytes(c.p.k_fmt, width);
	c.v_bytes = nib_row_bytes(c.p.v_fmt, width);
	if (!attention_setup(a, &c, start))
		return false;
	for (uint64_t r = 0; r < c.p.rows; r++) {
		if (!attention_row(a, &c, r) || !nib_access_point(a))
			return false;
		if (parks != a->hw->parks) {
			parks = a->hw->parks;
			pass_end(a, &c);
			if (!attention_setup(a, &c, start))
				return false;
		}
	}
	pass_end(a, &c);
	return true;
}
