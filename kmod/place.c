// SPDX-License-Identifier: GPL-2.0
/*
 * Places, and what page tables make of them.
 *
 * A buffer may move while it is mapped, and nothing can be allocated then. So the tables that a
 * mapping needs must not depend on where the buffer lies:
 * - HBM comes in units of 2 MiB, aligned in HBM as in the buffer, but for what is left at the end
 *   of one (see vram.c). Whether a 2 MiB leaf fits is then up to the mapping alone.
 * - What else there is, is mapped in pages of at most 64 KiB.
 * - What is mapped but lies nowhere has entries that are not valid; they hold its tables.
 */
#include <linux/align.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include <drm/drm_gpuvm.h>

#include "device.h"
#include "gem.h"
#include "mmu.h"
#include "place.h"

/**
 * nib_place_alloc - make a place. Paired with nib_place_put().
 * @most: parts that it may get by nib_place_add(); with 0 it is nowhere.
 * @mapped: page tables show it.
 *
 * Returns NULL without memory.
 */
struct nib_place *nib_place_alloc(size_t most, bool mapped)
{
	struct nib_place *place = kvzalloc(struct_size(place, segs, most), GFP_KERNEL);

	if (!place)
		return NULL;
	kref_init(&place->ref);
	place->mapped = mapped;
	return place;
}

struct nib_place *nib_place_get(struct nib_place *place)
{
	kref_get(&place->ref);
	return place;
}

static void nib_place_release(struct kref *ref)
{
	kvfree(container_of(ref, struct nib_place, ref));
}

/* May sleep; not where fences are signalled. */
void nib_place_put(struct nib_place **place)
{
	if (*place)
		kref_put(&(*place)->ref, nib_place_release);
	*place = NULL;
}

/**
 * nib_place_add - append a part, or make the last one longer. There is room.
 * @place: place that only the caller knows.
 * @offset: where it starts in the buffer; moved to its end.
 * @mem: memory.
 * @addr: address in it.
 * @size: bytes, whole pages.
 */
void nib_place_add(struct nib_place *place, u64 *offset, enum nib_mem mem, u64 addr, u64 size)
{
	struct nib_seg *last = place->nsegs ? &place->segs[place->nsegs - 1] : NULL;

	if (!last || last->mem != mem || last->addr + *offset - last->offset != addr)
		place->segs[place->nsegs++] = (struct nib_seg){
			.offset = *offset, .addr = addr, .mem = mem,
		};
	*offset += size;
}

/**
 * nib_place_find - the part that holds a byte.
 * @place: place that is somewhere.
 * @offset: byte of the buffer.
 */
u32 nib_place_find(const struct nib_place *place, u64 offset)
{
	u32 low = 0, high = place->nsegs;

	while (high - low > 1) {
		u32 mid = low + (high - low) / 2;

		if (place->segs[mid].offset <= offset)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* First byte behind a part; @size is that of the buffer. */
u64 nib_place_seg_end(const struct nib_place *place, u32 seg, u64 size)
{
	return seg + 1 < place->nsegs ? place->segs[seg + 1].offset : size;
}

/**
 * nib_place_begin_bind - a mapping of a buffer is prepared. Paired with nib_place_end_bind().
 * @bo: buffer.
 *
 * Returns the largest leaf that the mapping may use. The tables that it needs are those for a
 * buffer that is in one piece, at the address that its offset says.
 */
u64 nib_place_begin_bind(struct nib_bo *bo)
{
	u64 leaf;

	atomic_inc(&bo->binds);
	/* As in nib_place_shrink_leaf(): it waits for us, or we see what it wants. */
	smp_mb__after_atomic();
	leaf = READ_ONCE(bo->bind_leaf);
	if (leaf != NIB_PAGE_2M)
		nib_place_end_bind(bo, NIB_PAGE_2M);
	return leaf;
}

/* The mapping is made, or not wanted any more; @leaf is what nib_place_begin_bind() returned. */
void nib_place_end_bind(struct nib_bo *bo, u64 leaf)
{
	if (leaf == NIB_PAGE_2M && atomic_dec_and_test(&bo->binds))
		wake_up_var(&bo->binds);
}

static u64 nib_place_count_tables(struct nib_bo *bo)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	struct drm_gpuvm_bo *vm_bo;
	struct drm_gpuva *va;
	u64 leaves = 0;

	mutex_lock(&ndev->pt_lock);
	mutex_lock(nib_bo_gpuva_lock(bo));
	drm_gem_for_each_gpuvm_bo(vm_bo, &bo->base) {
		drm_gpuvm_bo_for_each_va(va, vm_bo) {
			struct nib_pt_need need = {};

			nib_pt_need_run(&need, va->va.addr, 0, va->va.range, NIB_PAGE_64K);
			leaves += need.leaves;
		}
	}
	mutex_unlock(nib_bo_gpuva_lock(bo));
	mutex_unlock(&ndev->pt_lock);
	return leaves;
}

/**
 * nib_place_shrink_leaf - a buffer is going to be mapped in pages of at most 64 KiB.
 * @bo: buffer that does not move meanwhile: it is pinned, and its moves are done.
 * @pool: receives the tables that its mappings need then; nib_pt_pool_fini() it in any case.
 *
 * What is bound from here on has them already. Waits for binds. Returns 0, -ERESTARTSYS, -ENOSPC,
 * -ENOMEM or -ENODEV.
 */
int nib_place_shrink_leaf(struct nib_bo *bo, struct nib_pt_pool *pool)
{
	struct nib_pt_need need = {};
	int ret;

	WRITE_ONCE(bo->bind_leaf, NIB_PAGE_64K);
	smp_mb(); /* see nib_place_begin_bind() */
	ret = wait_var_event_interruptible(&bo->binds, !atomic_read(&bo->binds));
	if (ret)
		return ret;
	need.leaves = nib_place_count_tables(bo);
	return nib_pt_pool_reserve(pool, to_nib_device(bo->base.dev), &need, 0, 0);
}

/**
 * nib_place_map - write the page table entries for a part of a buffer, as it lies now.
 * @bo: buffer; what counts is bo->mapped.
 * @mmu: page table.
 * @pool: with what nib_pt_need_run() counted, or NULL if it is mapped there already.
 * @va: first device address.
 * @offset: first byte of the buffer.
 * @size: bytes.
 * @flags: NIB_PTE_WRITE or 0.
 * @leaf: largest leaf.
 *
 * Under nib_device.pt_lock and between drm_dev_enter() and drm_dev_exit(). Returns 0 or -EIO, see
 * nib_mmu_map_run().
 */
int nib_place_map(const struct nib_bo *bo, struct nib_mmu *mmu, struct nib_pt_pool *pool, u64 va,
		  u64 offset, u64 size, u64 flags, u64 leaf)
{
	const struct nib_place *place = bo->mapped;
	u64 step;
	u32 seg;
	int ret;

	lockdep_assert_held(&mmu->ndev->pt_lock);

	if (!place->mapped)
		return nib_mmu_map_run(mmu, pool, va, offset, size, flags | NIB_PTE_HELD, leaf);
	for (seg = nib_place_find(place, offset); size; seg++) {
		const struct nib_seg *part = &place->segs[seg];

		step = min(size, nib_place_seg_end(place, seg, bo->base.size) - offset);
		ret = nib_mmu_map_run(mmu, pool, va, part->addr + offset - part->offset, step,
				      flags | NIB_PTE_VALID | (u64)part->mem << NIB_PTE_MEM_SHIFT,
				      leaf);
		if (ret)
			return ret;
		va += step;
		offset += step;
		size -= step;
	}
	return 0;
}
