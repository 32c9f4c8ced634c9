/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the bytes of a buffer lie. A place never changes once it is made: a buffer that moves gets
 * another one.
 */
#ifndef NIB_PLACE_H
#define NIB_PLACE_H

#include <linux/kref.h>

#include "nib_regs.h"

struct nib_bo;
struct nib_mmu;
struct nib_pt_pool;

/**
 * struct nib_seg - a contiguous part of a buffer; it ends where the next one starts.
 * @offset: first byte in the buffer.
 * @addr: its address in @mem.
 * @mem: memory that it lies in.
 */
struct nib_seg {
	u64 offset;
	u64 addr;
	enum nib_mem mem;
};

/**
 * struct nib_place - where a buffer lies.
 * @ref: buffers and moves.
 * @mapped: page tables show it. Otherwise they keep room for the buffer, and an access faults.
 * @nsegs: parts.
 * @segs: them, by offset, the first one at 0. A place that is nowhere has none.
 */
struct nib_place {
	struct kref ref;
	bool mapped;
	u32 nsegs;
	struct nib_seg segs[];
};

struct nib_place *nib_place_alloc(size_t most, bool mapped);
struct nib_place *nib_place_get(struct nib_place *place);
void nib_place_put(struct nib_place **place);
void nib_place_add(struct nib_place *place, u64 *offset, enum nib_mem mem, u64 addr, u64 size);

u32 nib_place_find(const struct nib_place *place, u64 offset);
u64 nib_place_seg_end(const struct nib_place *place, u32 seg, u64 size);

u64 nib_place_begin_bind(struct nib_bo *bo);
void nib_place_end_bind(struct nib_bo *bo, u64 leaf);
int nib_place_shrink_leaf(struct nib_bo *bo, struct nib_pt_pool *pool);
int nib_place_map(const struct nib_bo *bo, struct nib_mmu *mmu, struct nib_pt_pool *pool, u64 va,
		  u64 offset, u64 size, u64 flags, u64 leaf);

#endif
