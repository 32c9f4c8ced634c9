// SPDX-License-Identifier: MIT
/*
 * Packets of the DMA unit: copy, fill, gather, quantize, and appending to K/V pages. They move rows
 * and convert on the way; the conversions themselves are kernels.
 */
#include <string.h>
#include "hw_access.h"

#define PIECE_BYTES (4ull << 20)	/* between safe points */

/* --- COPY --- */

/* @n elements, contiguous on both sides; overlap behaves as memmove where no format changes. */
static bool copy_piece(struct nib_access *a, uint64_t src, uint64_t dst, uint64_t n,
		       const struct nib_pkt_copy *p)
{
	struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);
	uint64_t src_bytes = n * (nib_format_bits(p->src_fmt) / 8);
	uint64_t dst_bytes = n * (nib_format_bits(p->dst_fmt) / 8);
	struct nib_view from, to;
	bool ok;

	ok = nib_view_map(a, src, src_bytes, NIB_READ, &from) &&
	     nib_view_map(a, dst, dst_bytes, NIB_WRITE, &to);
	if (ok) {
		if (p->src_fmt == p->dst_fmt)
			memmove(to.ptr, from.ptr, src_bytes);
		else
			a->hw->kernels->convert(p->dst_fmt, to.ptr, p->src_fmt, from.ptr, n);
		ok = nib_view_commit(a, &to);
	}
	if (p->src_fmt != p->dst_fmt)
		nib_cost_vector(&a->hw->chip, a->cost, n, 0);
	nib_arena_release(&a->hw->arena, mark);
	return ok;
}

static bool copy_row(struct nib_access *a, uint64_t src, uint64_t dst, uint64_t n,
		     const struct nib_pkt_copy *p)
{
	uint64_t src_size = nib_format_bits(p->src_fmt) / 8;
	uint64_t dst_size = nib_format_bits(p->dst_fmt) / 8;
	uint64_t most = PIECE_BYTES / (src_size > dst_size ? src_size : dst_size), some;

	for (uint64_t done = 0; done < n; done += some) {
		some = n - done < most ? n - done : most;
		if (!copy_piece(a, nib_add_sat(src, done * src_size),
				nib_add_sat(dst, done * dst_size), some, p))
			return false;
		if (done + some < n && !nib_access_point(a))
			return false;
	}
	return true;
}

bool nib_exec_copy(struct nib_access *a, const __u64 *w)
{
	struct nib_pkt_copy p;
	uint64_t src_size, dst_size;

	memcpy(&p, w, sizeof(p));
	if (!p.n0 || !p.n1 || !p.n2)
		return true;
	src_size = nib_format_bits(p.src_fmt) / 8;
	dst_size = nib_format_bits(p.dst_fmt) / 8;
	/* Rows that follow each other on both sides are one row; so are planes. */
	if (p.n1 == 1 || (p.src_pitch1 == p.n0 * src_size && p.dst_pitch1 == p.n0 * dst_size)) {
		p.n0 *= p.n1;
		p.n1 = 1;
		if (p.n2 == 1 || (p.src_pitch2 == p.n0 * src_size &&
				  p.dst_pitch2 == p.n0 * dst_size && p.n0 <= UINT32_MAX)) {
			p.n0 *= p.n2;
			p.n2 = 1;
		}
	}
	for (uint64_t i = 0; i < p.n2; i++) {
		for (uint64_t j = 0; j < p.n1; j++) {
			uint64_t src = nib_add_sat(p.src, i * p.src_pitch2 + j * p.src_pitch1);
			uint64_t dst = nib_add_sat(p.dst, i * p.dst_pitch2 + j * p.dst_pitch1);

			if (!copy_row(a, src, dst, p.n0, &p) || !nib_access_point(a))
				return false;
		}
	}
	return true;
}

/* --- FILL --- */

bool nib_exec_fill(struct nib_access *a, const __u64 *w)
{
	uint64_t va, bytes, run, done = 0;
	struct nib_pkt_fill p;
	unsigned int mem;
	uint8_t *at;

	memcpy(&p, w, sizeof(p));
	bytes = p.count * 4;
	while (done < bytes) {
		va = nib_add_sat(p.dst, done);
		run = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
		at = nib_mem_run(a, va, run, NIB_WRITE, &run, &mem);
		if (!at)
			return nib_access_fault(a, NIB_DONE_FAULT_WRITE, va);
		/* Addresses are multiples of 4 and pages end on one: so do runs. */
		for (uint64_t i = 0; i < run; i += 4)
			memcpy(at + i, &p.value, 4);
		nib_mem_count(a, mem, NIB_WRITE, run);
		done += run;
		if (done < bytes && !nib_access_point(a))
			return false;
	}
	return true;
}

/* --- GATHER --- */

static bool read_u32(struct nib_access *a, uint64_t va, uint32_t *value)
{
	struct nib_view view;

	if (!nib_view_map(a, va, 4, NIB_READ, &view))
		return false;
	memcpy(value, view.ptr, 4);
	return true;
}

/* FP32 products; a NaN comes out as the one NaN of the ISA. */
static void scale_row(float *row, uint64_t n, float alpha)
{
	for (uint64_t i = 0; i < n; i++) {
		float x = row[i] * alpha;

		row[i] = x == x ? x : nib_f32(0x7fc00000u);
	}
}

static bool gather_from_row(struct nib_access *a, const struct nib_pkt_gather *p, uint32_t index,
			    float *dst)
{
	uint64_t bytes = nib_format_block(p->fmt) ? nib_row_bytes(p->fmt, p->width) :
			 (uint64_t)p->width * nib_format_bits(p->fmt) / 8;
	struct nib_view row;

	if (!nib_view_map(a, nib_add_sat(p->table, index * p->table_pitch), bytes, NIB_READ, &row))
		return false;
	a->hw->kernels->row_decode(p->fmt, row.ptr, p->width, 0, p->width, dst);
	scale_row(dst, p->width, nib_f32(p->alpha));
	return true;
}

/*
 * An output of a panel is spread over all of its tiles. Tiles follow each other along k, so any run
 * of whole tiles is a panel of its own.
 */
static bool gather_from_panel(struct nib_access *a, const struct nib_pkt_gather *p, uint32_t index,
			      float *dst)
{
	uint64_t tile = nib_tile_bytes(p->fmt), bytes = nib_panel_bytes(p->fmt, p->width), at = 0;
	uint64_t panel = nib_add_sat(p->table, index / NIB_PANEL_N * bytes);
	unsigned int mem = NIB_MEM_HBM;

	while (at < bytes) {
		struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);
		uint64_t from = at / tile * NIB_TILE_K, run, n;
		struct nib_view view;

		if (!nib_mem_run(a, nib_add_sat(panel, at), bytes - at, NIB_READ, &run, &mem))
			return nib_access_fault(a, NIB_DONE_FAULT_READ, nib_add_sat(panel, at));
		run = run < tile ? tile : run / tile * tile;
		n = run / tile * NIB_TILE_K;
		n = n < p->width - from ? n : p->width - from;
		a->quiet = true;
		if (!nib_view_map(a, nib_add_sat(panel, at), run, NIB_READ, &view))
			return false;
		a->quiet = false;
		a->hw->kernels->panel_decode(p->fmt, view.ptr, n, index % NIB_PANEL_N,
					     nib_f32(p->alpha), dst + from);
		nib_arena_release(&a->hw->arena, mark);
		at += run;
	}
	/* The unit fetches vectors of 64 bytes, which serve 16 of the 64 outputs. */
	nib_mem_count(a, mem, NIB_READ, bytes / 4);
	return true;
}

bool nib_exec_gather(struct nib_access *a, const __u64 *w)
{
	struct nib_pkt_gather p;
	struct nib_view dst;
	uint32_t index;
	bool ok;

	memcpy(&p, w, sizeof(p));
	for (uint64_t r = 0; r < p.rows; r++) {
		struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);
		uint64_t index_va = nib_add_sat(p.index, r * 4);

		if (!read_u32(a, index_va, &index))
			return false;
		if (index >= p.table_rows)
			return nib_access_fault(a, NIB_DONE_FAULT_INDEX, index_va);
		ok = nib_view_map(a, nib_add_sat(p.dst, r * p.dst_pitch), (uint64_t)p.width * 4,
				  NIB_WRITE, &dst) &&
		     (p.layout == NIB_LAYOUT_PANELS ?
		      gather_from_panel(a, &p, index, (float *)(void *)dst.ptr) :
		      gather_from_row(a, &p, index, (float *)(void *)dst.ptr)) &&
		     nib_view_commit(a, &dst);
		nib_arena_release(&a->hw->arena, mark);
		nib_cost_vector(&a->hw->chip, a->cost, p.width, 0);
		if (!ok || !nib_access_point(a))
			return false;
	}
	return true;
}

/* --- QUANT and KV_APPEND --- */

/* Row encoders look at each element twice: once for the scale, once for the value. */
#define ENCODE_OPS 2u
/* Elements between safe points, a few milliseconds; from how many on threads share them. */
#define BLOCK_ELEMENTS (1ull << 21)
#define PARALLEL_ELEMENTS (1ull << 14)

static bool encode_row(struct nib_access *a, uint64_t src, uint64_t dst, uint32_t width,
		       uint32_t fmt, uint32_t rule)
{
	struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);
	struct nib_view from, to;
	bool ok;

	if (dst % NIB_ROW_ALIGN)
		return nib_access_fault(a, NIB_DONE_FAULT_ALIGN, dst);
	ok = nib_view_map(a, src, (uint64_t)width * 4, NIB_READ, &from) &&
	     nib_view_map(a, dst, nib_row_bytes(fmt, width), NIB_WRITE, &to);
	if (ok) {
		a->hw->kernels->row_encode(fmt, rule, (const float *)(const void *)from.ptr,
					   width, to.ptr);
		ok = nib_view_commit(a, &to);
	}
	nib_cost_vector(&a->hw->chip, a->cost, (uint64_t)width * ENCODE_OPS, 0);
	nib_arena_release(&a->hw->arena, mark);
	return ok;
}

/* Rows of a QUANT that threads share. */
struct quant_parts {
	const struct nib_kernels *kernels;
	struct nib_pkt_quant p;
	struct nib_rows src;
	struct nib_rows dst;
	uint64_t rows;
	unsigned int parts;
};

static void quant_part(void *arg, unsigned int part, unsigned int thread)
{
	const struct quant_parts *q = arg;
	uint64_t end = q->rows * (part + 1) / q->parts;

	(void)thread;
	for (uint64_t r = q->rows * part / q->parts; r < end; r++)
		q->kernels->row_encode(q->p.fmt, q->p.rule,
				       (const float *)(const void *)(q->src.ptr + r * q->src.pitch),
				       q->p.width, q->dst.ptr + r * q->dst.pitch);
}

static bool quant_block(struct nib_access *a, const struct nib_pkt_quant *p, uint64_t row,
			uint64_t rows)
{
	struct quant_parts q = { .kernels = a->hw->kernels, .p = *p, .rows = rows };

	if (!nib_rows_map(a, nib_add_sat(p->src, row * p->src_pitch), p->src_pitch,
			  (uint64_t)p->width * 4, rows, NIB_READ, &q.src) ||
	    !nib_rows_map(a, nib_add_sat(p->dst, row * p->dst_pitch), p->dst_pitch,
			  nib_row_bytes(p->fmt, p->width), rows, NIB_WRITE, &q.dst))
		return false;
	q.parts = rows * p->width < PARALLEL_ELEMENTS ? 1 : nib_pool_parts(a->hw->pool, rows);
	nib_pool_run(a->hw->pool, q.parts, quant_part, &q);
	nib_cost_vector(&a->hw->chip, a->cost, rows * p->width * ENCODE_OPS, 0);
	return nib_rows_commit(a, &q.dst);
}

/* How many rows from @row on to take at once; 0: the first of them has no aligned place. */
static uint64_t quant_rows(struct nib_access *a, const struct nib_pkt_quant *p, uint64_t row)
{
	uint64_t rows = p->rows - row, most = BLOCK_ELEMENTS / p->width, dst;

	most = most ? most : 1;
	rows = rows < most ? rows : most;
	dst = nib_add_sat(p->dst, row * p->dst_pitch);
	if (dst % NIB_ROW_ALIGN)
		return 0;
	if (p->dst_pitch % NIB_ROW_ALIGN)
		return 1;
	rows = nib_rows_chunk(a, nib_add_sat(p->src, row * p->src_pitch), p->src_pitch,
			      (uint64_t)p->width * 4, rows, NIB_READ);
	return nib_rows_chunk(a, dst, p->dst_pitch, nib_row_bytes(p->fmt, p->width), rows,
			      NIB_WRITE);
}

bool nib_exec_quant(struct nib_access *a, const __u64 *w)
{
	struct nib_pkt_quant p;
	uint64_t rows;

	memcpy(&p, w, sizeof(p));
	for (uint64_t row = 0; row < p.rows; row += rows) {
		struct nib_arena_mark mark = nib_arena_mark(&a->hw->arena);

		rows = quant_rows(a, &p, row);
		if (!rows)
			return nib_access_fault(a, NIB_DONE_FAULT_ALIGN,
						nib_add_sat(p.dst, row * p.dst_pitch));
		if (!quant_block(a, &p, row, rows))
			return false;
		nib_arena_release(&a->hw->arena, mark);
		if (!nib_access_point(a))
			return false;
	}
	return true;
}

bool nib_kv_page(struct nib_access *a, uint64_t blocks, uint64_t stride, uint32_t seq,
		 uint64_t page, uint64_t entry_va, uint64_t *va)
{
	struct nib_view view;
	uint64_t at;

	if (page >= stride)
		return nib_access_fault(a, NIB_DONE_FAULT_INDEX,
					nib_add_sat(entry_va, offsetof(struct nib_kv_row, pos)));
	/* Below 2^32 * 2^24 * 8. */
	at = nib_add_sat(blocks, (seq * stride + page) * 8);
	if (!nib_view_map(a, at, 8, NIB_READ, &view))
		return false;
	memcpy(va, view.ptr, 8);
	return true;
}

bool nib_exec_kv_append(struct nib_access *a, const __u64 *w)
{
	struct nib_pkt_kv_append p;
	struct nib_kv_row entry;
	struct nib_view view;
	uint64_t row_bytes, page, dst;

	memcpy(&p, w, sizeof(p));
	row_bytes = nib_row_bytes(p.fmt, p.width);
	for (uint64_t r = 0; r < p.rows; r++) {
		uint64_t entry_va = nib_add_sat(p.row_table, r * sizeof(entry));

		if (!nib_view_map(a, entry_va, sizeof(entry), NIB_READ, &view))
			return false;
		memcpy(&entry, view.ptr, sizeof(entry));
		if (!nib_kv_page(a, p.blocks, p.block_stride, entry.seq, entry.pos / p.page_tokens,
				 entry_va, &page))
			return false;
		dst = nib_add_sat(page, p.offset + entry.pos % p.page_tokens * row_bytes);
		if (!encode_row(a, nib_add_sat(p.src, r * p.src_pitch), dst, p.width, p.fmt,
				p.rule) || !nib_access_point(a))
			return false;
	}
	return true;
}
