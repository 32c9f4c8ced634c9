// SPDX-License-Identifier: GPL-2.0
/* Pins, for what others rely on; and what users say about contents that they can do without. */
#include <linux/dma-resv.h>

#include <drm/drm_exec.h>

#include "device.h"
#include "drv.h"
#include "evict.h"
#include "gem.h"
#include "hostmem.h"
#include "mmu.h"
#include "move.h"
#include "pin.h"
#include "place.h"

/* --- Pins --- */

static int nib_bo_do_pin(struct nib_bo *bo, struct drm_exec *exec, u64 turn, void *arg)
{
	int ret = nib_bo_validate(bo, exec, turn);

	if (ret == -ESTALE)
		return -EINVAL;
	if (!ret)
		WRITE_ONCE(bo->pins, bo->pins + 1);
	return ret;
}

/**
 * nib_bo_pin - keep a buffer where it belongs. Paired with nib_bo_unpin().
 * @bo: buffer.
 *
 * If it had to be brought there, that may not be done yet: see nib_bo_move(). Not under a
 * reservation. Returns 0, -ERESTARTSYS, -ENOSPC, -EINVAL if its contents are gone, -ENOMEM or
 * -ENODEV.
 */
int nib_bo_pin(struct nib_bo *bo)
{
	return nib_bo_with_lock(bo, DRM_EXEC_INTERRUPTIBLE_WAIT, nib_bo_do_pin, NULL);
}

void nib_bo_unpin(struct nib_bo *bo)
{
	dma_resv_lock(bo->base.resv, NULL);
	WRITE_ONCE(bo->pins, bo->pins - 1);
	dma_resv_unlock(bo->base.resv);
}

static int nib_bo_do_go_to_host(struct nib_bo *bo, struct drm_exec *exec, u64 turn, void *pool)
{
	int ret;

	/* Somebody else was faster. */
	if (!nib_bo_in_device(bo))
		return 0;
	/* The tables for it come with the move. There is no other one: it is pinned. */
	WRITE_ONCE(bo->leaf, NIB_PAGE_64K);
	ret = nib_bo_move_to_host(bo, exec, pool);
	if (ret)
		WRITE_ONCE(bo->leaf, NIB_PAGE_2M);
	else
		nib_hbm_free(to_nib_device(bo->base.dev), &bo->blocks);
	return ret;
}

static int nib_bo_wait_for_moves(struct nib_bo *bo)
{
	long left = dma_resv_wait_timeout(bo->base.resv, DMA_RESV_USAGE_KERNEL, true,
					  MAX_SCHEDULE_TIMEOUT);

	return left < 0 ? left : 0;
}

/**
 * nib_bo_pin_host - move a buffer to host memory, and keep it there. Paired with nib_bo_unpin().
 * @bo: buffer, not one in SRAM.
 *
 * Jobs use it there, and go on doing so when it is unpinned. Waits for the move. Not under a
 * reservation. Returns 0, -EOPNOTSUPP for SRAM, and as nib_bo_pin().
 */
int nib_bo_pin_host(struct nib_bo *bo)
{
	struct nib_pt_pool pool;
	int ret;

	if (nib_bo_mem(bo) == NIB_MEM_SRAM)
		return -EOPNOTSUPP;
	ret = nib_bo_pin(bo);
	if (ret || nib_bo_mem(bo) == NIB_MEM_HOST)
		return ret;
	nib_pt_pool_init(&pool);
	ret = nib_bo_wait_for_moves(bo);
	if (!ret)
		ret = nib_place_shrink_leaf(bo, &pool);
	if (!ret)
		ret = nib_bo_with_lock(bo, DRM_EXEC_INTERRUPTIBLE_WAIT, nib_bo_do_go_to_host,
				       &pool);
	if (!ret)
		ret = nib_bo_wait_for_moves(bo);
	nib_pt_pool_fini(&pool, to_nib_device(bo->base.dev));
	if (ret)
		nib_bo_unpin(bo);
	return ret;
}

/* --- Contents that are not needed --- */

static int nib_bo_do_madvise(struct nib_bo *bo, struct drm_exec *exec, u64 turn, void *data)
{
	struct nib_bo_madvise *args = data;

	/* A handle is one user's; more of them are more users. */
	if (bo->base.handle_count > 1 || bo->base.dma_buf || drm_gem_is_imported(&bo->base)) {
		drm_dbg(bo->base.dev, "buffer %u is shared\n", args->handle);
		return -EINVAL;
	}
	if (!bo->purged)
		nib_residency_set_dontneed(bo, args->advice == NIB_MADVISE_DONTNEED);
	args->retained = !bo->purged;
	return 0;
}

int nib_ioctl_bo_madvise(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_bo_madvise *args = data;
	struct drm_gem_object *obj;
	int ret = -EINVAL;

	if (args->pad || args->advice > NIB_MADVISE_DONTNEED) {
		drm_dbg(drm, "advice %u, or pad is not zero\n", args->advice);
		return -EINVAL;
	}
	obj = drm_gem_object_lookup(drm_file, args->handle);
	if (!obj)
		return -ENOENT;
	if (nib_bo_mem(to_nib_bo(obj)) == NIB_MEM_SRAM)
		drm_dbg(drm, "buffer %u is in SRAM\n", args->handle);
	else
		ret = nib_bo_with_lock(to_nib_bo(obj), DRM_EXEC_INTERRUPTIBLE_WAIT,
				       nib_bo_do_madvise, args);
	drm_gem_object_put(obj);
	return ret;
}
