// SPDX-License-Identifier: GPL-2.0
/*
 * Who makes room, and how it comes back. How a buffer moves is in move.c.
 *
 * Locks: reservations are taken through drm_exec, in any order, since who meets another one's lock
 * lets go of all of his and starts again; what he moved until then stays moved. Memory may be
 * allocated under them, so reclaim only tries them. Nobody waits for the device under them.
 */
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_exec.h>

#include "device.h"
#include "dma.h"
#include "drv.h"
#include "evict.h"
#include "gem.h"
#include "hostmem.h"
#include "mmu.h"
#include "move.h"
#include "place.h"
#include "trace.h"
#include "vm.h"

/* --- Making room --- */

/* In front of what nib_bo_rank_locked() says of the use. */
#define NIB_RANK_BUSY	BIT_ULL(62)	/* the copy queue waits for jobs in flight of its VM */
#define NIB_RANK_FAR	BIT_ULL(63)	/* it may be in the window, but probably is not */

/* When a buffer was last used. */
u64 nib_bo_last_used_locked(const struct nib_bo *bo)
{
	const struct nib_vm_bo *vm_bo;
	u64 used = bo->used;

	lockdep_assert_held(&to_nib_device(bo->base.dev)->residency.lock);

	list_for_each_entry(vm_bo, &bo->vms, bo_link)
		used = max(used, to_nib_vm(vm_bo->base.vm)->used);
	return used;
}

/* The higher, the more others should go first; U64_MAX for one that must stay. */
static u64 nib_bo_rank_locked(const struct nib_bo *bo, u32 how, u64 turn)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	const struct nib_vm_bo *vm_bo;
	u64 rank, busy = 0;

	/* What these say may be old; nib_bo_evict() looks again, under the reservation. */
	if (bo->tried == turn || list_empty_careful(&bo->blocks) || READ_ONCE(bo->pins))
		return U64_MAX;
	list_for_each_entry(vm_bo, &bo->vms, bo_link) {
		struct nib_vm *vm = to_nib_vm(vm_bo->base.vm);

		if (vm->used == turn)
			return U64_MAX;
		if (!dma_resv_test_signaled(nib_vm_resv_obj(vm)->resv, DMA_RESV_USAGE_BOOKKEEP))
			busy = NIB_RANK_BUSY;
	}
	rank = READ_ONCE(bo->dontneed) ? 0 : nib_bo_last_used_locked(bo);
	if (how & NIB_HBM_WINDOW && !nib_bo_can_mmap(bo) && ndev->window_bytes < ndev->hbm_bytes)
		rank |= NIB_RANK_FAR;
	return rank | busy;
}

/* The buffer that should make room, and each only once a turn; NULL if there is none. */
static struct nib_bo *nib_evict_pick(struct nib_device *ndev, u32 how, u64 turn)
{
	struct nib_residency *residency = &ndev->residency;
	struct nib_bo *bo, *best;
	u64 least, rank;

	spin_lock(&residency->lock);
	do {
		best = NULL;
		least = U64_MAX;
		list_for_each_entry(bo, &residency->bos, link) {
			rank = nib_bo_rank_locked(bo, how, turn);
			if (rank < least) {
				least = rank;
				best = bo;
			}
		}
		if (best)
			best->tried = turn;
	} while (best && !kref_get_unless_zero(&best->base.refcount));
	spin_unlock(&residency->lock);
	return best;
}

static void nib_bo_count_evicted(struct nib_bo *bo)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);

	atomic64_add(bo->base.size, &ndev->residency.evicted);
	atomic64_add(bo->base.size, &bo->moved->evicted);
	nib_notify_count(ndev, NIB_COUNTER_HBM_EVICTION);
	trace_nib_bo_move(ndev, NIB_MEM_HBM, NIB_MEM_HOST, bo->base.size);
}

static void nib_bo_count_restored(struct nib_bo *bo)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);

	atomic64_add(bo->base.size, &ndev->residency.restored);
	atomic64_add(bo->base.size, &bo->moved->restored);
	nib_notify_count(ndev, NIB_COUNTER_HBM_RESTORE);
	trace_nib_bo_move(ndev, NIB_MEM_HOST, NIB_MEM_HBM, bo->base.size);
}

/*
 * Moves a buffer to host memory. Jobs do not see it there, unless there is a pool with the page
 * tables for that.
 */
int nib_bo_move_to_host(struct nib_bo *bo, struct drm_exec *exec, struct nib_pt_pool *pool)
{
	struct nib_place *place;
	int ret;

	ret = nib_bo_get_pages(bo);
	if (ret)
		return ret;
	place = nib_bo_host_place(bo, pool);
	if (!place)
		return -ENOMEM;
	ret = nib_bo_move_with_tables(bo, exec, place, pool);
	nib_place_put(&place);
	return ret;
}

/* Throws the contents of a buffer away, and with them its use. */
static int nib_bo_purge(struct nib_bo *bo, struct drm_exec *exec)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	int ret = nib_bo_drop_contents(bo, exec, ndev->residency.nowhere);

	if (!ret) {
		WRITE_ONCE(bo->purged, true);
		nib_residency_set_dontneed(bo, false);
	}
	return ret;
}

/*
 * Takes HBM away from a buffer that @exec has locked, unless it has none to give. The HBM may be
 * given to others at once: see dma.h.
 */
static int nib_bo_evict(struct nib_bo *bo, struct drm_exec *exec)
{
	int ret;

	if (list_empty(&bo->blocks) || bo->pins)
		return 0;
	if (bo->dontneed) {
		ret = nib_bo_purge(bo, exec);
	} else {
		ret = nib_bo_move_to_host(bo, exec, NULL);
		if (!ret)
			nib_bo_count_evicted(bo);
	}
	if (!ret)
		nib_hbm_free(to_nib_device(bo->base.dev), &bo->blocks);
	return ret;
}

/* Allocates HBM, from others if need be. @blocks is empty after an error. */
static int nib_hbm_alloc_locked(struct nib_device *ndev, u64 size, u32 how,
				struct list_head *blocks, struct drm_exec *exec, u64 turn)
{
	struct nib_bo *victim;
	int ret;

	if (size > (how & NIB_HBM_WINDOW ? ndev->window_bytes : ndev->vram.hbm.size))
		return -ENOSPC;
	for (;;) {
		ret = nib_hbm_try_alloc(ndev, size, how, blocks);
		if (ret != -ENOSPC)
			return ret;
		victim = nib_evict_pick(ndev, how, turn);
		if (!victim)
			return -ENOSPC;
		ret = drm_exec_lock_obj(exec, &victim->base);
		if (!ret)
			ret = nib_bo_evict(victim, exec);
		if (ret == -EDEADLK)
			WRITE_ONCE(victim->tried, 0);
		/* It is still locked: the last reference is not ours. */
		drm_gem_object_put(&victim->base);
		if (ret)
			return ret;
	}
}

static int nib_hbm_alloc_evicting(struct nib_device *ndev, u64 size, u32 how,
				  struct list_head *blocks)
{
	const u64 turn = nib_residency_begin(ndev);
	struct drm_exec exec;
	int ret;

	drm_exec_init(&exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES, 0);
	drm_exec_until_all_locked(&exec) {
		/* The lock that made us start again comes first: there may be no other to take. */
		ret = exec.contended ? drm_exec_lock_obj(&exec, exec.contended) : 0;
		if (!ret)
			ret = nib_hbm_alloc_locked(ndev, size, how, blocks, &exec, turn);
		drm_exec_retry_on_contention(&exec);
	}
	drm_exec_fini(&exec);
	return ret;
}

/**
 * nib_hbm_alloc - allocate HBM, evicting others if need be.
 * @ndev: device.
 * @size: bytes, whole pages.
 * @how: NIB_HBM_*.
 * @blocks: empty list that receives the blocks; see nib_hbm_try_alloc().
 *
 * Not under a reservation. Returns 0, -ENOSPC, -ENOMEM, -ENODEV or -ERESTARTSYS.
 */
int nib_hbm_alloc(struct nib_device *ndev, u64 size, u32 how, struct list_head *blocks)
{
	int ret = nib_hbm_try_alloc(ndev, size, how, blocks);

	if (ret != -ENOSPC)
		return ret;
	/* What was freed a moment ago may still be on its way back. */
	nib_device_flush_cleanup(ndev);
	ret = nib_hbm_alloc_evicting(ndev, size, how, blocks);
	return ret == -EINTR ? -ERESTARTSYS : ret;
}

/* --- Coming back --- */

static int nib_bo_restore_hbm(struct nib_bo *bo, struct drm_exec *exec, u64 turn)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	u32 how = nib_bo_can_mmap(bo) ? NIB_HBM_WINDOW : 0;
	struct nib_place *place;
	int ret;

	/* At once where others look for HBM: they wait for us then, instead of finding none. */
	ret = nib_hbm_alloc_locked(ndev, bo->base.size, how, &bo->blocks, exec, turn);
	if (ret)
		return ret;
	ret = nib_bo_set_hbm(bo, ndev, &bo->blocks, &place);
	if (ret)
		goto err_free;
	ret = nib_bo_move(bo, exec, place);
	nib_place_put(&place);
	if (ret)
		goto err_free;
	nib_bo_count_restored(bo);
	return 0;

err_free:
	nib_hbm_free(ndev, &bo->blocks);
	return ret;
}

/* What reclaim has swapped out gets pages again, and the place that goes with them. */
static int nib_bo_populate(struct nib_bo *bo, struct drm_exec *exec)
{
	struct nib_place *place;
	int ret;

	if (bo->place->nsegs)
		return 0;
	ret = nib_bo_get_pages(bo);
	if (ret)
		return ret;
	place = nib_bo_host_place(bo, nib_bo_mem(bo) == NIB_MEM_HOST);
	if (!place)
		return -ENOMEM;
	if (!place->mapped) {
		/* On its way to HBM: nobody but us sees this place. */
		nib_place_put(&bo->place);
		bo->place = place;
		return 0;
	}
	ret = nib_bo_move(bo, exec, place);
	nib_place_put(&place);
	return ret;
}

/* Puts a buffer that @exec has locked where jobs can use it. */
int nib_bo_validate(struct nib_bo *bo, struct drm_exec *exec, u64 turn)
{
	int ret;

	if (bo->purged) {
		drm_dbg(bo->base.dev, "a buffer that is bound was not needed, and is gone\n");
		return -ESTALE;
	}
	if (bo->place->mapped)
		return 0;
	ret = nib_bo_populate(bo, exec);
	if (ret || bo->place->mapped)
		return ret;
	return nib_bo_restore_hbm(bo, exec, turn);
}

/*
 * The buffers of a VM whose reservation is held, for kvfree(), or an ERR_PTR; NULL if there is
 * nothing to be done about them.
 */
static struct nib_bo **nib_vm_get_stale_bos(struct nib_vm *vm, u64 turn, u32 *count)
{
	struct nib_residency *residency = &vm->ndev->residency;
	struct nib_bo **bos = NULL;
	struct nib_vm_bo *vm_bo;
	size_t most = 0, n = 0;

	spin_lock(&residency->lock);
	vm->used = turn;
	while (vm->stale && list_count_nodes(&vm->bos) > most) {
		most = list_count_nodes(&vm->bos) + 16;
		spin_unlock(&residency->lock);
		kvfree(bos);
		bos = kvmalloc_array(most, sizeof(*bos), GFP_KERNEL);
		if (!bos)
			return ERR_PTR(-ENOMEM);
		spin_lock(&residency->lock);
	}
	if (vm->stale) {
		list_for_each_entry(vm_bo, &vm->bos, vm_link) {
			drm_gem_object_get(vm_bo->base.obj);
			bos[n++] = to_nib_bo(vm_bo->base.obj);
		}
		vm->stale = false;
	}
	spin_unlock(&residency->lock);
	*count = n;
	return bos;
}

/* Jobs of the VM wait for what the buffer waits for: it may have moved before it was bound. */
static int nib_vm_wait_for_bo(struct nib_vm *vm, struct nib_bo *bo)
{
	struct dma_resv *resv = nib_vm_resv_obj(vm)->resv;
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	int ret;

	dma_resv_for_each_fence(&cursor, bo->base.resv, DMA_RESV_USAGE_KERNEL, fence) {
		if (dma_fence_is_signaled(fence))
			continue;
		ret = dma_resv_reserve_fences(resv, 1);
		if (ret)
			return ret;
		dma_resv_add_fence(resv, fence, DMA_RESV_USAGE_KERNEL);
	}
	return 0;
}

/**
 * nib_vm_validate - lock a VM, and see to it that its next job finds its buffers.
 * @vm: VM.
 * @exec: locks.
 * @turn: from nib_residency_begin(), the same for all VMs of a submit.
 *
 * Whatever it has to move is queued. The job must wait for the KERNEL fences of the VM's
 * reservation, and be submitted before @exec lets go of it.
 *
 * Returns 0, -EDEADLK, -EINTR, -ENOSPC if the buffers do not fit into HBM together, -ESTALE if one
 * was thrown away, -ENOMEM or -ENODEV.
 */
int nib_vm_validate(struct nib_vm *vm, struct drm_exec *exec, u64 turn)
{
	struct nib_bo **bos;
	u32 count = 0, i;
	int ret;

	ret = drm_exec_lock_obj(exec, nib_vm_resv_obj(vm));
	if (ret)
		return ret;
	bos = nib_vm_get_stale_bos(vm, turn, &count);
	if (IS_ERR(bos))
		return PTR_ERR(bos);
	for (i = 0; i < count && !ret; i++) {
		ret = drm_exec_lock_obj(exec, &bos[i]->base);
		if (!ret)
			ret = nib_bo_validate(bos[i], exec, turn);
		if (!ret)
			ret = nib_vm_wait_for_bo(vm, bos[i]);
	}
	if (ret) {
		spin_lock(&vm->ndev->residency.lock);
		vm->stale = true;
		spin_unlock(&vm->ndev->residency.lock);
	}
	for (i = 0; i < count; i++)
		drm_gem_object_put(&bos[i]->base);
	kvfree(bos);
	return ret;
}

/**
 * nib_bo_trim - free host memory that a buffer has left.
 * @bo: buffer. Not under its reservation, nor where fences are signalled.
 */
void nib_bo_trim(struct nib_bo *bo)
{
	struct dma_resv *resv = bo->base.resv;

	dma_resv_lock(resv, NULL);
	if (bo->pages && (bo->purged || (bo->place->nsegs &&
					 bo->place->segs[0].mem != NIB_MEM_HOST)) &&
	    dma_resv_test_signaled(resv, DMA_RESV_USAGE_BOOKKEEP))
		nib_bo_put_pages(bo, false);
	dma_resv_unlock(resv);
}

/* --- One buffer --- */

/**
 * nib_bo_with_lock - lock a buffer and do something with it that may move it, and others.
 * @bo: buffer.
 * @flags: DRM_EXEC_INTERRUPTIBLE_WAIT or 0.
 * @act: what to do; starts again after -EDEADLK.
 * @arg: for @act.
 *
 * Returns what @act returns, or -ERESTARTSYS.
 */
int nib_bo_with_lock(struct nib_bo *bo, u32 flags,
		     int (*act)(struct nib_bo *bo, struct drm_exec *exec, u64 turn, void *arg),
		     void *arg)
{
	const u64 turn = nib_residency_begin(to_nib_device(bo->base.dev));
	struct drm_exec exec;
	int ret;

	drm_exec_init(&exec, flags | DRM_EXEC_IGNORE_DUPLICATES, 0);
	drm_exec_until_all_locked(&exec) {
		ret = drm_exec_lock_obj(&exec, &bo->base);
		if (!ret)
			ret = act(bo, &exec, turn, arg);
		drm_exec_retry_on_contention(&exec);
	}
	drm_exec_fini(&exec);
	return ret == -EINTR ? -ERESTARTSYS : ret;
}

static int nib_bo_do_alloc_hbm(struct nib_bo *bo, struct drm_exec *exec, u64 turn, void *arg)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	u32 how = nib_bo_can_mmap(bo) ? NIB_HBM_WINDOW : 0;
	struct nib_place *place;
	int ret;

	ret = nib_hbm_alloc_locked(ndev, bo->base.size, how, &bo->blocks, exec, turn);
	if (ret)
		return ret;
	ret = nib_bo_set_hbm(bo, ndev, &bo->blocks, &place);
	if (ret) {
		nib_hbm_free(ndev, &bo->blocks);
		return ret;
	}
	nib_bo_set_place(bo, place);
	/* It may be evicted as soon as we let go of it. */
	bo->clear = nib_dma_clear(ndev, bo);
	return 0;
}

/**
 * nib_bo_alloc_hbm - give a new buffer zeroed HBM.
 * @bo: buffer; nib_residency_add() knows it.
 *
 * Waits for the device: not under a reservation. Returns 0, -ENOSPC, -ENOMEM, -ENODEV, -EIO or
 * -ERESTARTSYS.
 */
int nib_bo_alloc_hbm(struct nib_bo *bo)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	struct dma_fence *fence;
	int ret;

	/* What was freed a moment ago may still be on its way back. */
	if (nib_hbm_available(ndev) < bo->base.size)
		nib_device_flush_cleanup(ndev);
	ret = nib_bo_with_lock(bo, DRM_EXEC_INTERRUPTIBLE_WAIT, nib_bo_do_alloc_hbm, NULL);
	if (ret)
		return ret;
	fence = bo->clear;
	bo->clear = NULL;
	return nib_dma_clear_wait(ndev, fence);
}
