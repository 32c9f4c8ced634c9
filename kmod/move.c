// SPDX-License-Identifier: GPL-2.0
/*
 * Moves. The order of things:
 *
 *	jobs of the buffer's VMs that were submitted before	their fences are in the reservations
 *	  |							of the VMs, BOOKKEEP
 *	page tables show the new place				nib_move_start(), on the CPU
 *	  |
 *	the contents are copied					by the copy queue
 *	  |							its fence is in the reservations of
 *	jobs of the buffer's VMs that are submitted after	the buffer and of the VMs, KERNEL
 *
 * No job of these VMs runs between the first line and the last, so it does not matter that page
 * tables change before the contents are there.
 *
 * Why nothing waits for itself: a move is committed under the reservations of the buffer and of
 * every VM that maps it, and so is a job under that of its VM. So of a job and a move that concern
 * each other one comes first, and the second waits for it, never the other way round. Both wait for
 * nothing else but what was submitted before them: the copy queue's earlier batches, syncobjs that
 * have a fence, earlier jobs of the same queue. What a job does on the device can wait for nothing
 * but memory, and the watchdog sees to that.
 *
 * Memory that a buffer leaves may be given to others as soon as the move is committed; dma.h says
 * how they come after it.
 */
#include <linux/cleanup.h>
#include <linux/dma-resv.h>
#include <linux/slab.h>

#include <drm/drm_exec.h>
#include <drm/drm_gpuvm.h>
#include <drm/drm_vma_manager.h>

#include "device.h"
#include "dma.h"
#include "evict.h"
#include "gem.h"
#include "mmu.h"
#include "move.h"
#include "place.h"
#include "vm.h"

/**
 * struct nib_move - a move.
 * @batch: copies.
 * @bo: buffer. Holds a reference.
 * @place: where it goes; once page tables show that, what they showed before.
 * @old: where it was. Holds a reference.
 * @vms: VMs that map it. Holds references, until the move is committed.
 * @nvms: how many.
 * @pool: page tables that the new place needs and the old one did not; those that are left.
 */
struct nib_move {
	struct nib_dma_batch batch;
	struct nib_bo *bo;
	struct nib_place *place;
	struct nib_place *old;
	struct nib_vm **vms;
	u32 nvms;
	struct nib_pt_pool pool;
};

static struct nib_move *to_nib_move(struct nib_dma_batch *batch)
{
	return container_of(batch, struct nib_move, batch);
}

static void nib_move_put_vms(struct nib_move *move)
{
	u32 i;

	for (i = 0; i < move->nvms; i++)
		nib_vm_put(&move->vms[i]);
	kvfree(move->vms);
	move->vms = NULL;
	move->nvms = 0;
}

static void nib_move_free(struct nib_dma_batch *batch)
{
	struct nib_move *move = to_nib_move(batch);
	struct nib_bo *bo = move->bo;

	nib_pt_pool_fini(&move->pool, batch->ndev);
	nib_place_put(&move->place);
	nib_place_put(&move->old);
	kfree(move);
	nib_bo_trim(bo);
	drm_gem_object_put(&bo->base);
}

static struct nib_move *nib_move_alloc(struct nib_bo *bo, struct nib_place *place)
{
	struct nib_move *move = kzalloc_obj(*move);

	if (!move)
		return NULL;
	nib_dma_batch_init(&move->batch, to_nib_device(bo->base.dev), nib_move_free);
	drm_gem_object_get(&bo->base);
	move->bo = bo;
	move->place = nib_place_get(place);
	move->old = nib_place_get(bo->place);
	nib_pt_pool_init(&move->pool);
	return move;
}

/**
 * nib_bo_remap_locked - make page tables show what nib_bo.mapped says.
 * @bo: buffer.
 * @pool: page tables that it may take; NULL for none, which is enough unless nib_bo.leaf changed.
 *
 * Between drm_dev_enter() and drm_dev_exit(), or page tables stay as they are, of no use any more.
 */
void nib_bo_remap_locked(struct nib_bo *bo, struct nib_pt_pool *pool)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	struct mutex *lock = nib_bo_gpuva_lock(bo);
	struct drm_gpuvm_bo *vm_bo;
	struct drm_gpuva *va;
	int cookie;

	lockdep_assert_held(&ndev->pt_lock);

	if (!drm_dev_enter(&ndev->drm, &cookie))
		return;
	mutex_lock(lock);
	drm_gem_for_each_gpuvm_bo(vm_bo, &bo->base) {
		struct nib_mmu *mmu = &to_nib_vm(vm_bo->vm)->mmu;

		drm_gpuvm_bo_for_each_va(va, vm_bo)
			nib_place_map(bo, mmu, pool, va->va.addr, va->gem.offset, va->va.range,
				      to_nib_vma(va)->readonly ? 0 : NIB_PTE_WRITE,
				      READ_ONCE(bo->leaf));
		nib_mmu_flush(mmu);
	}
	mutex_unlock(lock);
	drm_dev_exit(cookie);
}

/* All that the jobs before it have seen changes here; the jobs after it wait. */
static void nib_move_start(struct nib_dma_batch *batch)
{
	struct nib_move *move = to_nib_move(batch);

	mutex_lock(&batch->ndev->pt_lock);
	swap(move->bo->mapped, move->place);
	nib_bo_remap_locked(move->bo, &move->pool);
	mutex_unlock(&batch->ndev->pt_lock);
}

/* One piece, contiguous where it is not host memory. */
static int nib_move_add_copy(struct nib_move *move, u64 offset, const struct nib_seg *to,
			     const struct nib_seg *from, u64 size)
{
	u64 dst = to->addr + offset - to->offset, src = from->addr + offset - from->offset;
	struct nib_dma_batch *batch = &move->batch;
	const bool to_host = to->mem == NIB_MEM_HOST;

	if (to->mem == from->mem && dst == src)
		return 0;
	if (!to_host && from->mem != NIB_MEM_HOST)
		return nib_dma_add_copy(batch, to->mem, dst, from->mem, src, size);
	if (!batch->host)
		batch->host = nib_place_get(to_host ? move->place : move->old);
	return nib_dma_add_host(batch, to_host, offset, to_host ? from->mem : to->mem,
				to_host ? src : dst, size);
}

/* What differs between the old place and the new one. */
static int nib_move_add_copies(struct nib_move *move)
{
	const struct nib_place *old = move->old, *new = move->place;
	u64 size = move->bo->base.size, at = 0, end;
	u32 from = 0, to = 0;
	int ret = 0;

	if (!old->nsegs || !new->nsegs)
		return 0;
	for (; at < size && !ret; at = end) {
		const struct nib_seg *dst = &new->segs[to], *src = &old->segs[from];
		bool dst_host = dst->mem == NIB_MEM_HOST, src_host = src->mem == NIB_MEM_HOST;

		/* Host memory is scattered, but shown in one piece; see nib_dma_add_host(). */
		end = size;
		if (!src_host || dst_host)
			end = min(end, nib_place_seg_end(old, from, size));
		if (!dst_host || src_host)
			end = min(end, nib_place_seg_end(new, to, size));
		ret = nib_move_add_copy(move, at, dst, src, end - at);
		while (from + 1 < old->nsegs && old->segs[from + 1].offset <= end)
			from++;
		while (to + 1 < new->nsegs && new->segs[to + 1].offset <= end)
			to++;
	}
	return ret;
}

static int nib_move_wait_for(struct nib_move *move, struct dma_resv *resv)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	int ret;

	dma_resv_for_each_fence(&cursor, resv, DMA_RESV_USAGE_BOOKKEEP, fence) {
		ret = nib_dma_add_dependency(&move->batch, fence);
		if (ret)
			return ret;
	}
	return 0;
}

/* Locks the VMs and prepares all of them, and the buffer, for the move's fence. */
static int nib_move_lock(struct nib_move *move, struct drm_exec *exec)
{
	struct drm_gem_object *obj = &move->bo->base;
	u32 i;
	int ret;

	move->vms = nib_bo_get_vms(move->bo, &move->nvms);
	if (IS_ERR(move->vms))
		return PTR_ERR(no_free_ptr(move->vms));
	for (i = 0; i < move->nvms; i++) {
		struct drm_gem_object *vm_obj = nib_vm_resv_obj(move->vms[i]);

		ret = drm_exec_lock_obj(exec, vm_obj);
		if (!ret)
			ret = dma_resv_reserve_fences(vm_obj->resv, 1);
		if (!ret)
			ret = nib_move_wait_for(move, vm_obj->resv);
		if (ret)
			return ret;
	}
	ret = dma_resv_reserve_fences(obj->resv, 1);
	return ret ?: nib_move_wait_for(move, obj->resv);
}

static int nib_move_commit(struct nib_move *move)
{
	struct nib_bo *bo = move->bo;
	struct nib_place *place = move->place;
	struct dma_fence *fence;
	u32 i;
	int ret;

	/* Tasks fault and wait from here on: the fence comes before the reservation is let go. */
	drm_vma_node_unmap(&bo->base.vma_node, bo->base.dev->anon_inode->i_mapping);
	move->batch.start = nib_move_start;
	ret = nib_dma_commit(&move->batch);
	if (ret)
		return ret;
	fence = &move->batch.shared->base;
	dma_resv_add_fence(bo->base.resv, fence, DMA_RESV_USAGE_KERNEL);
	for (i = 0; i < move->nvms; i++)
		dma_resv_add_fence(nib_vm_resv_obj(move->vms[i])->resv, fence,
				   DMA_RESV_USAGE_KERNEL);
	if (!place->mapped)
		nib_bo_set_vms_stale(bo);
	return 0;
}

static int nib_bo_do_move(struct nib_bo *bo, struct drm_exec *exec, struct nib_place *place,
			  bool copy, struct nib_pt_pool *pool)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	struct nib_move *move;
	int ret, cookie;

	dma_resv_assert_held(bo->base.resv);
	if (!drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	move = nib_move_alloc(bo, place);
	if (!move) {
		drm_dev_exit(cookie);
		return -ENOMEM;
	}
	ret = copy ? nib_move_add_copies(move) : 0;
	/* What waits and what changes page tables is a run, even if there is nothing to copy. */
	if (!ret && list_empty(&move->batch.runs))
		ret = nib_dma_add_fill(&move->batch, NIB_MEM_HBM, 0, 0);
	if (!ret)
		ret = nib_move_lock(move, exec);
	if (!ret && pool)
		nib_pt_pool_move(&move->pool, pool);
	if (!ret)
		ret = nib_move_commit(move);
	if (!ret) {
		nib_place_put(&bo->place);
		bo->place = nib_place_get(place);
	}
	nib_move_put_vms(move);
	nib_dma_batch_put(&move->batch);
	drm_dev_exit(cookie);
	return ret;
}

/**
 * nib_bo_move - give a buffer another place, and its contents with it.
 * @bo: buffer, locked by @exec.
 * @exec: locks what else it takes, which are the VMs.
 * @place: new place, whose memory the buffer owns. What does not differ from the old one stays.
 *
 * The memory of the old place that is no longer used is the caller's, to give away at once. To know
 * when the move is done wait for the KERNEL fences of the reservation; without a reservation held,
 * as always. Between drm_dev_enter() and drm_dev_exit() or not.
 *
 * Returns 0, -EDEADLK (see drm_exec_retry_on_contention()), -EINTR, -ENOMEM or -ENODEV with nothing
 * done.
 */
int nib_bo_move(struct nib_bo *bo, struct drm_exec *exec, struct nib_place *place)
{
	return nib_bo_do_move(bo, exec, place, true, NULL);
}

/* As nib_bo_move(), but the contents are lost. */
int nib_bo_drop_contents(struct nib_bo *bo, struct drm_exec *exec, struct nib_place *place)
{
	return nib_bo_do_move(bo, exec, place, false, NULL);
}

/* As nib_bo_move(), with page tables for smaller leaves than before. May take them and fail. */
int nib_bo_move_with_tables(struct nib_bo *bo, struct drm_exec *exec, struct nib_place *place,
			    struct nib_pt_pool *pool)
{
	return nib_bo_do_move(bo, exec, place, true, pool);
}
