// SPDX-License-Identifier: GPL-2.0
/*
 * Allocator of HBM: a buddy, so that what is large is also aligned and gets large pages. SRAM is in
 * sram.c.
 */
#include <linux/align.h>

#include <drm/drm_managed.h>

#include "device.h"
#include "dma.h"
#include "evict.h"
#include "vram.h"

static void nib_vram_fini(struct drm_device *drm, void *data)
{
	struct nib_vram *vram = data;

	if (vram->hbm.avail != vram->hbm.size)
		drm_err(drm, "%llu bytes of HBM leaked\n", vram->hbm.size - vram->hbm.avail);
	gpu_buddy_fini(&vram->hbm);
}

int nib_vram_init(struct nib_device *ndev)
{
	struct nib_vram *vram = &ndev->vram;
	int ret;

	ret = drmm_mutex_init(&ndev->drm, &vram->lock);
	if (ret)
		return ret;
	ret = gpu_buddy_init(&vram->hbm, ALIGN_DOWN(ndev->hbm_bytes, PAGE_SIZE), PAGE_SIZE);
	if (ret)
		return ret;
	return drmm_add_action_or_reset(&ndev->drm, nib_vram_fini, vram);
}

/* Allocates some of the blocks of a buffer; appends them. */
static int nib_hbm_take_locked(struct nib_vram *vram, u64 end, u64 size, u64 unit,
			       struct list_head *blocks, unsigned long flags)
{
	int ret;

	lockdep_assert_held(&vram->lock);

	if (!size)
		return 0;
	end = ALIGN_DOWN(end, unit);
	if (end != vram->hbm.size)
		flags |= GPU_BUDDY_RANGE_ALLOCATION;
	if (size > end)
		return -ENOSPC;
	ret = gpu_buddy_alloc_blocks(&vram->hbm, 0, end, size, unit, blocks, flags);
	/* The allocator says EINVAL for what can never fit; to the user all of these are one. */
	return ret == -ENOMEM ? ret : ret ? -ENOSPC : 0;
}

/**
 * nib_hbm_try_alloc - allocate HBM that is free now; see nib_hbm_alloc() in evict.h for more.
 * @ndev: device.
 * @size: bytes, whole pages.
 * @how: NIB_HBM_*.
 * @blocks: empty list that receives the blocks.
 *
 * Unless it is contiguous, HBM comes in aligned units of 2 MiB, and the rest of less than that at
 * the end: place.c says why. Returns 0, -ENOSPC or -ENOMEM. Contents are undefined, and the copy
 * queue may not be done with them: see dma.h.
 */
int nib_hbm_try_alloc(struct nib_device *ndev, u64 size, u32 how, struct list_head *blocks)
{
	struct nib_vram *vram = &ndev->vram;
	u64 end = how & NIB_HBM_WINDOW ? ndev->window_bytes : vram->hbm.size;
	unsigned long flags = 0;
	u64 units = 0;
	int ret;

	if (how & NIB_HBM_CONTIGUOUS)
		flags |= GPU_BUDDY_CONTIGUOUS_ALLOCATION;
	else
		units = ALIGN_DOWN(size, NIB_PAGE_2M);
	/* The window is scarce: stay above it while there is room. */
	if (!(how & NIB_HBM_WINDOW))
		flags |= GPU_BUDDY_TOPDOWN_ALLOCATION;

	mutex_lock(&vram->lock);
	ret = nib_hbm_take_locked(vram, end, units, NIB_PAGE_2M, blocks, flags);
	if (!ret)
		ret = nib_hbm_take_locked(vram, end, size - units, PAGE_SIZE, blocks, flags);
	if (ret)
		gpu_buddy_free_list(&vram->hbm, blocks, 0);
	mutex_unlock(&vram->lock);
	return ret;
}

void nib_hbm_free(struct nib_device *ndev, struct list_head *blocks)
{
	mutex_lock(&ndev->vram.lock);
	gpu_buddy_free_list(&ndev->vram.hbm, blocks, 0);
	mutex_unlock(&ndev->vram.lock);
}

u64 nib_hbm_available(struct nib_device *ndev)
{
	u64 bytes;

	mutex_lock(&ndev->vram.lock);
	bytes = ndev->vram.hbm.avail;
	mutex_unlock(&ndev->vram.lock);
	return bytes;
}

/**
 * nib_hbm_range_alloc - allocate contiguous HBM that the driver itself writes.
 * @ndev: device.
 * @size: bytes.
 * @range: out.
 *
 * Evicts buffers where it must, and waits until they are gone: not under a reservation. Returns 0,
 * -ENOSPC, -ENOMEM or -ERESTARTSYS. Contents are undefined.
 */
int nib_hbm_range_alloc(struct nib_device *ndev, u64 size, struct nib_vram_range *range)
{
	struct gpu_buddy_block *block;
	int ret;

	INIT_LIST_HEAD(&range->blocks);
	range->size = ALIGN(size, PAGE_SIZE);
	ret = nib_hbm_alloc(ndev, range->size, NIB_HBM_WINDOW | NIB_HBM_CONTIGUOUS, &range->blocks);
	if (ret)
		return ret;
	/* The caller is going to write it. */
	ret = nib_dma_wait_moves(ndev, MAX_SCHEDULE_TIMEOUT);
	if (ret) {
		nib_hbm_free(ndev, &range->blocks);
		return ret;
	}
	/* What the allocator trimmed to size is several blocks, side by side. */
	range->offset = U64_MAX;
	list_for_each_entry(block, &range->blocks, link)
		range->offset = min(range->offset, gpu_buddy_block_offset(block));
	return 0;
}

void nib_hbm_range_free(struct nib_device *ndev, struct nib_vram_range *range)
{
	nib_hbm_free(ndev, &range->blocks);
}

/* Where the CPU sees HBM in the window. Only between drm_dev_enter() and drm_dev_exit(). */
void __iomem *nib_hbm_window(struct nib_device *ndev, u64 offset)
{
	return ndev->window + offset;
}
