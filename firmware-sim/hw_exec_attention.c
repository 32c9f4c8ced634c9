// SPDX-License-Identifier: MIT
/*
 * Attention packets: finds the K and V row of every position a query row sees, through block tables
 * and page table. Rows of one sequence at consecutive positions reuse what was found and are computed
 * together, by all threads; those that the chip's attention unit takes at once share one pass over
 * the pages.
 */
#include <string.h>
#include "hw_access.h"

/* What one query row may see: bounds the pointer arrays, and the time to the next safe point. */
#define MAX_POSITIONS NIB_MAX_DIM
#define MAX_MACS (1ull << 34)
/* Multiply-adds of a group of rows, that is between safe points, unless one row has more. */
#define GROUP_MACS (1ull << 28)
#define GROUP_MACS_SCALAR (1ull << 24)
/* From this size on, threads share a group. */
#define PARALLEL_MACS (1ull << 17)
/* Chunks of one row that are computed before they are joined. */
#define MAX_CHUNKS 64u
/* Rows of a packet that room is made for when the first of them comes. */
#define MAX_AHEAD 4096u

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
 * @scratch: for the kernels of all threads.
 * @row: table entry of the row read last, the one before row @rows_read of the packet; it lies at
 *	@row_va and sees positions from @row_first on.
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
	struct nib_kv_row row;
	uint64_t row_va;
	uint64_t row_first;
	uint64_t rows_read;
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
	c->capacity = positions + positions / 4 + 64 +
		      (c->p.rows < MAX_AHEAD ? c->p.rows : MAX_AHEAD);
	c->capacity = (c->capacity + tokens) / tokens * tokens;
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

/* --- Groups of rows that one round of the threads computes --- */

/**
 * struct group - query rows of one sequence at consecutive positions.
 * @row: the first one of the packet's.
 * @rows: how many.
 * @seq: their sequence.
 * @first: first position that the first of them sees.
 * @last: last position that it sees.
 */
struct group {
	uint64_t row;
	uint64_t rows;
	uint32_t seq;
	uint64_t first;
	uint64_t last;
};

static uint64_t group_macs(const struct nib_pkt_attention *p, uint64_t positions, uint64_t rows)
{
	return nib_mul_sat(positions * rows, (uint64_t)p->n_heads * p->head_dim);
}

/* A group cut into runs of rows and of K/V heads: parts share nothing that is written. */
struct attention_parts {
	const struct nib_kernels *kernels;
	struct nib_attention_job job;
	float *scratch;		/* of thread 0; the others' follow */
	size_t scratch_floats;
	uint32_t row_parts;
	uint32_t kv_parts;
};

static void attention_part(void *arg, unsigned int part, unsigned int thread)
{
	const struct attention_parts *g = arg;
	struct nib_attention_job job = g->job;
	/* Later rows see more: they go first, so that the last parts are small ones. */
	uint32_t r = g->row_parts - 1 - part / g->kv_parts, kv = part % g->kv_parts;
	uint32_t row = (uint32_t)((uint64_t)job.rows * r / g->row_parts);
	uint32_t skip = 0;

	job.kv_first = (uint16_t)((uint32_t)job.n_kv_heads * kv / g->kv_parts);
	job.kv_count = (uint16_t)((uint32_t)job.n_kv_heads * (kv + 1) / g->kv_parts - job.kv_first);
	job.rows = (uint32_t)((uint64_t)job.rows * (r + 1) / g->row_parts) - row;
	job.q += row * (job.q_pitch / sizeof(*job.q));
	job.out += row * (job.out_pitch / sizeof(*job.out));
	job.last += row;
	if (job.window && job.last - job.first >= job.window)
		skip = job.last - job.window + 1 - job.first;
	job.first += skip;
	job.k_rows += skip;
	job.v_rows += skip;
	g->kernels->attention(&job, g->scratch + thread * g->scratch_floats);
}

/* One row's chunks that threads share. @first: position of the first. */
struct chunk_parts {
	const struct nib_kernels *kernels;
	const struct nib_attention_job *job;
	uint64_t first;
	uint32_t chunks;
	unsigned int parts;
	float *partial;
	float *scratch;
	size_t scratch_floats;
};

static void chunk_part(void *arg, unsigned int part, unsigned int thread)
{
	const struct chunk_parts *g = arg;
	struct nib_attention_job job = *g->job;
	uint64_t at = (uint64_t)g->chunks * part / g->parts;
	uint64_t end = (uint64_t)g->chunks * (part + 1) / g->parts, skip;

	job.partial = g->partial + at * job.n_heads * NIB_ATTN_PART(job.head_dim);
	at = g->first + at * NIB_ATTN_CHUNK;
	end = g->first + end * NIB_ATTN_CHUNK - 1;
	job.last = (uint32_t)(end < job.last ? end : job.last);
	skip = at > job.first ? at - job.first : 0;
	job.first += (uint32_t)skip;
	job.k_rows += skip;
	job.v_rows += skip;
	g->kernels->attention(&job, g->scratch + thread * g->scratch_floats);
}

/*
 * One row over a long context: runs of chunks, each of which reads memory in sequence. @partial has
 * room for those of MAX_CHUNKS and one more.
 */
static void attention_chunks(struct nib_access *a, const struct context *c,
			     const struct nib_attention_job *job, float *partial)
{
	size_t part = job->n_heads * NIB_ATTN_PART(job->head_dim);
	uint64_t first = job->first / NIB_ATTN_CHUNK * NIB_ATTN_CHUNK, chunks, done;
	struct chunk_parts g = {
		.kernels = a->hw->kernels, .job = job, .scratch = c->scratch,
		.scratch_floats = nib_attention_scratch(job->head_dim),
	};

	chunks = (job->last - first) / NIB_ATTN_CHUNK + 1;
	/* What is joined so far is part 0. */
	for (done = 0; done < chunks; done += g.chunks) {
		g.first = first + done * NIB_ATTN_CHUNK;
		g.chunks = (uint32_t)(chunks - done < MAX_CHUNKS ? chunks - done : MAX_CHUNKS);
		g.partial = done ? partial + part : partial;
		g.parts = nib_pool_parts(a->hw->pool, g.chunks);
		nib_pool_run(a->hw->pool, g.parts, chunk_part, &g);
		a->hw->kernels->attention_join(job, partial, g.chunks + (done > 0),
					       done + g.chunks == chunks);
	}
}

/* Cuts the work so that every thread has some; a little work stays in one piece. */
static void attention_run(struct nib_access *a, const struct context *c,
			  const struct nib_attention_job *job)
{
	struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);
	uint32_t pass, parts, threads = nib_pool_threads(a->hw->pool);
	size_t part = job->n_heads * NIB_ATTN_PART(job->head_dim) * sizeof(float);
	float *partial = NULL;
	struct attention_parts g = {
		.kernels = a->hw->kernels, .job = *job, .scratch = c->scratch,
		.scratch_floats = nib_attention_scratch(job->head_dim),
		.row_parts = 1, .kv_parts = 1,
	};

	if (threads > 1 &&
	    group_macs(&c->p, job->last - job->first + 1, job->rows) >= PARALLEL_MACS) {
		if (job->rows == 1 && (job->last - job->first) / NIB_ATTN_CHUNK >= threads)
			partial = nib_arena_get(&a->hw->arena, (1 + MAX_CHUNKS) * part);
		/* Where there is no room for that the row stays whole. */
		if (partial) {
			attention_chunks(a, c, job, partial);
			nib_arena_release(&a->hw->arena, mark);
			return;
		}
		/* Rows that a kernel takes in one pass over the context. */
		pass = NIB_ATTN_QUERIES / (job->n_heads / job->n_kv_heads);
		pass = pass ? pass : 1;
		g.row_parts = nib_pool_parts(a->hw->pool, (job->rows + pass - 1) / pass);
		parts = nib_pool_parts(a->hw->pool, (uint64_t)g.row_parts * job->n_kv_heads);
		g.kv_parts = (parts + g.row_parts - 1) / g.row_parts;
	}
	nib_pool_run(a->hw->pool, g.row_parts * g.kv_parts, attention_part, &g);
}

/* Reads the table's entry of row @r, once, and checks that it does not see too much. */
static bool row_read(struct nib_access *a, struct context *c, uint64_t r)
{
	const struct nib_pkt_attention *p = &c->p;
	struct nib_kv_row *entry = &c->row;
	struct nib_view view;

	if (r < c->rows_read)
		return true;
	c->row_va = nib_add_sat(p->row_table, r * sizeof(*entry));
	if (!nib_view_map(a, c->row_va, sizeof(*entry), NIB_READ, &view))
		return false;
	memcpy(entry, view.ptr, sizeof(*entry));
	c->rows_read = r + 1;
	/* So that those who count positions, a chunk further too, do so in 32 bits. */
	if (entry->pos >= NIB_ATTN_POSITIONS)
		return nib_access_fault(a, NIB_DONE_FAULT_INDEX,
					nib_add_sat(c->row_va, offsetof(struct nib_kv_row, pos)));
	c->row_first = p->window && entry->pos >= p->window ? entry->pos - p->window + 1 : 0;
	if (entry->pos - c->row_first >= MAX_POSITIONS ||
	    group_macs(p, entry->pos - c->row_first + 1, 1) > MAX_MACS)
		return nib_access_fault(a, NIB_DONE_FAULT_INDEX,
					nib_add_sat(c->row_va, offsetof(struct nib_kv_row, pos)));
	return true;
}

/* Whether the row read last goes on where a group ends, and may join it. */
static bool group_takes(const struct nib_access *a, const struct context *c, const struct group *g)
{
	uint64_t most = a->hw->kernels == &nib_kernels_scalar ? GROUP_MACS_SCALAR : GROUP_MACS;
	uint64_t pos = c->row.pos;

	return c->row.seq == g->seq && pos == g->last + g->rows &&
	       pos - c->first < c->capacity &&
	       group_macs(&c->p, pos - c->row_first + 1, g->rows + 1) <= most;
}

/*
 * Collects the rows from @row on that go together, and finds what they see. False: the row behind
 * the group, which may be empty, has a fault.
 */
static bool group_collect(struct nib_access *a, struct context *c, uint64_t row, struct group *g)
{
	*g = (struct group){ .row = row };
	for (; row + g->rows < c->p.rows; g->rows++) {
		if (!row_read(a, c, row + g->rows))
			return false;
		if (!g->rows) {
			g->seq = c->row.seq;
			g->first = c->row_first;
			g->last = c->row.pos;
		} else if (!group_takes(a, c, g)) {
			break;
		}
		if (!context_get(a, c, c->row.seq, c->row_first, c->row.pos, c->row_va))
			return false;
		nib_cost_attention(&a->hw->chip, a->cost, c->row.pos - c->row_first + 1,
				   c->p.n_heads, c->p.head_dim);
	}
	return true;
}

/* Computes @rows rows of a group from its row @at on. */
static bool group_block(struct nib_access *a, struct context *c, const struct group *g,
			uint64_t at, uint64_t rows)
{
	const struct nib_pkt_attention *p = &c->p;
	uint64_t bytes = (uint64_t)p->n_heads * p->head_dim * 4, r = g->row + at;
	uint64_t last = g->last + at, first = g->first;
	struct nib_attention_job job;
	struct nib_rows q, out;

	if (p->window && last >= p->window)
		first = last - p->window + 1;
	if (!nib_rows_map(a, nib_add_sat(p->q, r * p->q_pitch), p->q_pitch, bytes, rows, NIB_READ,
			  &q) ||
	    !nib_rows_map(a, nib_add_sat(p->out, r * p->out_pitch), p->out_pitch, bytes, rows,
			  NIB_WRITE, &out))
		return false;
	job = (struct nib_attention_job){
		.q = (const float *)(const void *)q.ptr,
		.out = (float *)(void *)out.ptr,
		.q_pitch = q.pitch,
		.out_pitch = out.pitch,
		.k_rows = c->k_rows + (first - c->first),
		.v_rows = c->v_rows + (first - c->first),
		.sinks = c->sinks,
		.first = (uint32_t)first,
		.last = (uint32_t)last,
		.rows = (uint32_t)rows,
		.window = p->window,
		.n_heads = p->n_heads,
		.n_kv_heads = p->n_kv_heads,
		.head_dim = p->head_dim,
		.k_fmt = p->k_fmt,
		.v_fmt = p->v_fmt,
		.scale = nib_f32(p->scale),
		.softcap = nib_f32(p->softcap),
	};
	attention_run(a, c, &job);
	return nib_rows_commit(a, &out);
}

static bool group_run(struct nib_access *a, struct context *c, const struct group *g)
{
	const struct nib_pkt_attention *p = &c->p;
	uint64_t bytes = (uint64_t)p->n_heads * p->head_dim * 4, rows;

	for (uint64_t at = 0; at < g->rows; at += rows) {
		struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);
		uint64_t r = g->row + at;

		rows = g->rows - at;
		rows = nib_rows_chunk(a, nib_add_sat(p->q, r * p->q_pitch), p->q_pitch, bytes,
				      rows, NIB_READ);
		rows = nib_rows_chunk(a, nib_add_sat(p->out, r * p->out_pitch), p->out_pitch,
				      bytes, rows, NIB_WRITE);
		if (!group_block(a, c, g, at, rows))
			return false;
		nib_arena_release(&a->hw->arena, mark);
	}
	return true;
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
	c->scratch = nib_arena_get(&a->hw->arena, nib_attention_scratch(c->p.head_dim) * 4 *
				   nib_pool_threads(a->hw->pool));
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
	struct group g;
	uint32_t width;

	memcpy(&c.p, w, sizeof(c.p));
	if (!c.p.rows)
		return true;
	width = (uint32_t)c.p.n_kv_heads * c.p.head_dim;
	c.k_bytes = nib_row_bytes(c.p.k_fmt, width);
	c.v_bytes = nib_row_bytes(c.p.v_fmt, width);
	if (!attention_setup(a, &c, start))
		return false;
	for (uint64_t r = 0; r < c.p.rows; r += g.rows) {
		bool ok = group_collect(a, &c, r, &g);

		if (!group_run(a, &c, &g) || !ok || !nib_access_point(a))
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
