// SPDX-License-Identifier: MIT
/*
 * Memories and views on them. HBM is a sparse memfd, so that a chip may have more of it than the
 * machine; SRAM is private memory; host memory is reached through the DMA operation. A view gives
 * a VA range as one pointer, by way of a bounce buffer where the range is scattered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "hw_access.h"

#define ARENA_FIRST (1ull << 20)
#define ARENA_KEEP (64ull << 20)
#define CHUNK_BYTES (4ull << 20)

/* --- Bounce memory --- */

void *nib_arena_get(struct nib_arena *arena, size_t bytes)
{
	size_t want;

	bytes = (bytes + 63) & ~(size_t)63;
	if (bytes > NIB_ARENA_LIMIT)
		return NULL;
	while (arena->at < arena->blocks) {
		if (arena->block[arena->at].bytes - arena->used >= bytes) {
			void *p = arena->block[arena->at].data + arena->used;

			arena->used += bytes;
			return p;
		}
		arena->at++;
		arena->used = 0;
	}
	want = arena->total > ARENA_FIRST ? arena->total : ARENA_FIRST;
	want = want > ARENA_KEEP ? ARENA_KEEP : want;
	want = want < bytes ? bytes : want;
	if (arena->blocks == NIB_ARENA_BLOCKS || arena->total + want > NIB_ARENA_LIMIT)
		return NULL;
	arena->block[arena->blocks].data = aligned_alloc(64, want);
	if (!arena->block[arena->blocks].data)
		return NULL;
	arena->block[arena->blocks].bytes = want;
	arena->total += want;
	arena->blocks++;
	arena->used = bytes;
	return arena->block[arena->at].data;
}

struct nib_arena_mark nib_arena_mark(const struct nib_arena *arena)
{
	return (struct nib_arena_mark){ .at = arena->at, .used = arena->used };
}

void nib_arena_release(struct nib_arena *arena, struct nib_arena_mark mark)
{
	arena->at = mark.at;
	arena->used = mark.used;
}

/* Between packets: nothing is in use; give back what only a rare packet needed. */
void nib_arena_trim(struct nib_arena *arena)
{
	arena->at = 0;
	arena->used = 0;
	while (arena->blocks && arena->total > ARENA_KEEP) {
		arena->blocks--;
		arena->total -= arena->block[arena->blocks].bytes;
		free(arena->block[arena->blocks].data);
	}
}

void nib_arena_destroy(struct nib_arena *arena)
{
	while (arena->blocks)
		free(arena->block[--arena->blocks].data);
	arena->total = 0;
}

/* --- Faults and safe points --- */

bool nib_access_fault(struct nib_access *a, uint32_t status, uint64_t va)
{
	if (a->status == NIB_ENGINE_OK) {
		a->status = status;
		a->fault_va = va;
	}
	return false;
}

bool nib_access_park(struct nib_access *a)
{
	struct nib_hw *hw = a->hw;

	if (!atomic_load_explicit(&hw->attention, memory_order_acquire))
		return true;
	return hw->park(hw) || nib_access_fault(a, NIB_ENGINE_ABORTED, 0);
}

bool nib_access_point(struct nib_access *a)
{
	atomic_fetch_add_explicit(&a->hw->progress, 1, memory_order_relaxed);
	return nib_access_park(a);
}

/* --- Runs --- */

void *nib_hw_dma(struct nib_hw *hw, uint64_t address, uint64_t bytes, bool write)
{
	if (!bytes || bytes > SIZE_MAX || address + bytes - 1 < address)
		return NULL;
	return hw->ops.dma(hw->host, address, (size_t)bytes, write);
}

void *nib_hw_hbm(struct nib_hw *hw, uint64_t offset, uint64_t bytes)
{
	uint64_t size = hw->chip.mem[NIB_MEM_HBM].bytes;

	return offset <= size && bytes <= size - offset ? hw->hbm + offset : NULL;
}

/* Host memory may end within what the MMU calls contiguous: then go page by page. */
static uint8_t *mem_host_run(struct nib_hw *hw, uint64_t address, bool write, uint64_t *run)
{
	uint8_t *p = nib_hw_dma(hw, address, *run, write);
	uint64_t page = NIB_PAGE_4K - address % NIB_PAGE_4K;

	if (!p && page < *run) {
		*run = page;
		p = nib_hw_dma(hw, address, page, write);
	}
	return p;
}

/*
 * Whether reading [address, address + *run) of HBM meets the bad granule. A corrected error goes
 * away; one that is not ends the run before it, or, at its start, the packet.
 */
static bool mem_ecc(struct nib_access *a, uint64_t address, uint64_t va, uint64_t *run)
{
	uint64_t poison = atomic_load_explicit(&a->hw->trouble.poison, memory_order_relaxed);
	uint64_t at = poison & ~(NIB_POISON_BYTES - 1);

	if (a->trouble && a->trouble->ecc) {
		a->ecc = (address & ~(NIB_POISON_BYTES - 1)) | a->trouble->ecc;
		a->trouble->ecc_met = true;
		if (a->trouble->ecc & NIB_POISON_FATAL)
			return nib_access_fault(a, NIB_DONE_FAULT_ECC, va);
		a->trouble->ecc = 0;
		return true;
	}
	if (!poison || address >= at + NIB_POISON_BYTES || address + *run <= at)
		return true;
	if (poison & NIB_POISON_CORRECTED) {
		a->ecc = poison;
		atomic_compare_exchange_strong(&a->hw->trouble.poison, &poison, 0);
		return true;
	}
	if (address < at) {
		*run = at - address;
		return true;
	}
	a->ecc = poison;
	return nib_access_fault(a, NIB_DONE_FAULT_ECC, va);
}

uint8_t *nib_mem_run(struct nib_access *a, uint64_t va, uint64_t bytes, unsigned int access,
		     uint64_t *run, unsigned int *mem)
{
	const struct nib_range *range;
	uint64_t address;

	if (a->trouble && a->trouble->mmu) {
		a->trouble->mmu_met = true;
		return NULL;
	}
	range = nib_mmu_find(a, va, bytes, access & NIB_WRITE);
	if (!range)
		return NULL;
	*run = range->end - va < bytes ? range->end - va : bytes;
	*mem = range->mem;
	address = range->address + (va - range->start);
	if (range->mem == NIB_MEM_HBM) {
		if ((access & NIB_READ) && !mem_ecc(a, address, va, run))
			return NULL;
		return a->hw->hbm + address;
	}
	if (range->mem == NIB_MEM_SRAM)
		return a->hw->sram + address;
	return mem_host_run(a->hw, address, access & NIB_WRITE, run);
}

uint8_t *nib_mem_span(struct nib_access *a, uint64_t va, uint64_t bytes, unsigned int access,
		      unsigned int *mem)
{
	uint64_t run;
	uint8_t *p = nib_mem_run(a, va, bytes, access, &run, mem);

	return p && run == bytes ? p : NULL;
}

void nib_mem_count(struct nib_access *a, unsigned int mem, unsigned int access, uint64_t bytes)
{
	if (a->quiet)
		return;
	if (access & NIB_READ)
		a->cost->read[mem] += bytes;
	if (access & NIB_WRITE)
		a->cost->write[mem] += bytes;
}

/*
 * Visits every run of a range: books it, and copies it into @into (reading) or out of @from
 * (writing back) where they are not NULL. Faults at the first byte without a mapping.
 */
static bool mem_visit(struct nib_access *a, uint64_t va, uint64_t bytes, unsigned int access,
		      bool count, uint8_t *into, const uint8_t *from)
{
	uint64_t run, done = 0;
	unsigned int mem;
	uint8_t *p;

	while (done < bytes) {
		uint64_t at = nib_add_sat(va, done);

		p = nib_mem_run(a, at, bytes - done, access, &run, &mem);
		if (!p)
			return nib_access_fault(a, access & NIB_WRITE ? NIB_DONE_FAULT_WRITE :
						NIB_DONE_FAULT_READ, at);
		if (into)
			memcpy(into + done, p, run);
		if (from)
			memcpy(p, from + done, run);
		if (count)
			nib_mem_count(a, mem, access, run);
		done += run;
	}
	return true;
}

/* Books a range and finds its faults; one that is read and written may fail either way. */
static bool mem_probe(struct nib_access *a, uint64_t va, uint64_t bytes, unsigned int access)
{
	if (access == NIB_WRITE)
		return mem_visit(a, va, bytes, NIB_WRITE, true, NULL, NULL);
	if (!mem_visit(a, va, bytes, NIB_READ, true, NULL, NULL))
		return false;
	return !(access & NIB_WRITE) || mem_visit(a, va, bytes, NIB_WRITE, true, NULL, NULL);
}

static void *mem_bounce(struct nib_access *a, uint64_t bytes)
{
	void *p = bytes <= NIB_ARENA_LIMIT ? nib_arena_get(&a->hw->arena, bytes) : NULL;

	if (!p) {
		nib_hw_log(a->hw, 4, "operand of %llu scattered bytes is too large",
			   (unsigned long long)bytes);
		nib_access_fault(a, NIB_DONE_FAULT_VALUE, bytes);
	}
	return p;
}

/* --- Views --- */

bool nib_view_map(struct nib_access *a, uint64_t va, uint64_t bytes, unsigned int access,
		  struct nib_view *view)
{
	unsigned int mem;

	view->va = va;
	view->bytes = bytes;
	view->bounce = false;
	view->ptr = nib_mem_span(a, va, bytes, access, &mem);
	if (view->ptr) {
		nib_mem_count(a, mem, access, bytes);
		return true;
	}
	/* Find a fault before any memory is spent on the buffer. */
	if (!mem_probe(a, va, bytes, access))
		return false;
	view->bounce = true;
	view->ptr = mem_bounce(a, bytes);
	if (!view->ptr)
		return false;
	return !(access & NIB_READ) || mem_visit(a, va, bytes, NIB_READ, false, view->ptr, NULL);
}

bool nib_view_commit(struct nib_access *a, const struct nib_view *view)
{
	return !view->bounce ||
	       mem_visit(a, view->va, view->bytes, NIB_WRITE, false, NULL, view->ptr);
}

/* --- Rows at a pitch --- */

static uint64_t rows_span(uint64_t pitch, uint64_t row_bytes, uint64_t rows)
{
	return (rows - 1) * pitch + row_bytes; /* below 2^24 * 2^31 + 2^32 */
}

uint64_t nib_rows_chunk(struct nib_access *a, uint64_t va, uint64_t pitch, uint64_t row_bytes,
			uint64_t rows, unsigned int access)
{
	unsigned int mem;
	uint64_t some;

	if (!rows || nib_mem_span(a, va, rows_span(pitch, row_bytes, rows), access, &mem))
		return rows;
	some = CHUNK_BYTES / row_bytes;
	some = some ? some : 1;
	return some < rows ? some : rows;
}

bool nib_rows_map(struct nib_access *a, uint64_t va, uint64_t pitch, uint64_t row_bytes,
		  uint64_t rows, unsigned int access, struct nib_rows *r)
{
	unsigned int mem;

	*r = (struct nib_rows){ .va = va, .va_pitch = pitch, .row_bytes = row_bytes, .rows = rows };
	if (!rows)
		return true;
	r->ptr = nib_mem_span(a, va, rows_span(pitch, row_bytes, rows), access, &mem);
	if (r->ptr) {
		r->pitch = pitch;
		nib_mem_count(a, mem, access, rows * row_bytes);
		return true;
	}
	for (uint64_t i = 0; i < rows; i++)
		if (!mem_probe(a, nib_add_sat(va, i * pitch), row_bytes, access))
			return false;
	r->bounce = true;
	r->pitch = (row_bytes + 63) & ~63ull;
	r->ptr = mem_bounce(a, nib_mul_sat(r->pitch, rows));
	if (!r->ptr)
		return false;
	for (uint64_t i = 0; access & NIB_READ && i < rows; i++)
		if (!mem_visit(a, nib_add_sat(va, i * pitch), row_bytes, NIB_READ, false,
			       r->ptr + i * r->pitch, NULL))
			return false;
	return true;
}

bool nib_rows_commit(struct nib_access *a, const struct nib_rows *r)
{
	if (!r->bounce)
		return true;
	for (uint64_t i = 0; i < r->rows; i++)
		if (!mem_visit(a, nib_add_sat(r->va, i * r->va_pitch), r->row_bytes, NIB_WRITE,
			       false, NULL, r->ptr + i * r->pitch))
			return false;
	return true;
}
