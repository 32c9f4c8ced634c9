// SPDX-License-Identifier: GPL-2.0
/*
 * Allocators: a buddy for HBM, so that what is large is also aligned and gets large pages, and a
 * drm_mm for SRAM, which is small and contiguous.
 */
#include <linux/align.h>

#include <drm/drm_managed.h>

#include "device.h"
#include "vram.h"

static void nib_vram_fini(struct drm_device *drm, void *data)
{
	struct nib_vram *vram = data;

	if (vram->hbm.avail != vram->hbm.size)
		drm_err(drm, "%llu bytes of HBM leaked\n", vram->hbm.size - vram->hbm.avail);
	if (drm_mm_initialized(&vram->sram))
		drm_mm_takedown(&vram->sram);
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
	if (ndev->sram_bytes)
		drm_mm_init(&vram->sram, 0, ndev->sram_bytes);
	return drmm_add_action_or_reset(&ndev->drm, nib_vram_fini, vram);
}

static int nib_hbm_try_alloc(struct nib_device *ndev, u64 size, bool in_window,
			     struct list_head *blocks, unsigned long flags)
{
	struct nib_vram *vram = &ndev->vram;
	u64 end = vram->hbm.size;
	int ret;

	if (in_window && ndev->window_bytes < end) {
		flags |= GPU_BUDDY_RANGE_ALLOCATION;
		end = ndev->window_bytes;
	} else if (!in_window) {
		/* The window is scarce: stay above it while there is room. */
		flags |= GPU_BUDDY_TOPDOWN_ALLOCATION;
	}
	if (size > end)
		return -ENOSPC;

	mutex_lock(&vram->lock);
	ret = gpu_buddy_alloc_blocks(&vram->hbm, 0, end, size, PAGE_SIZE, blocks, flags);
	mutex_unlock(&vram->lock);
	/* The allocator says EINVAL for what can never fit; to the user all of these are one. */
	return ret == -ENOMEM ? ret : ret ? -ENOSPC : 0;
}

static int nib_hbm_alloc_flags(struct nib_device *ndev, u64 size, bool in_window,
			       struct list_head *blocks, unsigned long flags)
{
	int ret = nib_hbm_try_alloc(ndev, size, in_window, blocks, flags);

	if (ret != -ENOSPC)
		return ret;
	/* What was freed a moment ago may still be on its way back. */
	nib_device_flush_cleanup(ndev);
	return nib_hbm_try_alloc(ndev, size, in_window, blocks, flags);
}

/**
 * nib_hbm_alloc - allocate HBM.
 * @ndev: device.
 * @size: bytes, whole pages.
 * @in_window: the CPU must see it.
 * @blocks: empty list that receives the blocks, largest first, as the allocator finds them.
 *
 * Returns 0, -ENOSPC or -ENOMEM. Contents are undefined.
 */
int nib_hbm_alloc(struct nib_device *ndev, u64 size, bool in_window, struct list_head *blocks)
{
	return nib_hbm_alloc_flags(ndev, size, in_window, blocks, 0);
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
 * Returns 0, -ENOSPC or -ENOMEM. Contents are undefined.
 */
int nib_hbm_range_alloc(struct nib_device *ndev, u64 size, struct nib_vram_range *range)
{
	struct gpu_buddy_block *block;
	int ret;

	INIT_LIST_HEAD(&range->blocks);
	range->size = ALIGN(size, PAGE_SIZE);
	ret = nib_hbm_alloc_flags(ndev, range->size, true, &range->blocks,
				  GPU_BUDDY_CONTIGUOUS_ALLOCATION);
	if (ret)
		return ret;
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

int nib_sram_alloc(struct nib_device *ndev, u64 size, struct drm_mm_node *node)
{
	struct nib_vram *vram = &ndev->vram;
	int ret;

	if (!drm_mm_initialized(&vram->sram))
		return -ENOSPC;
	mutex_lock(&vram->lock);
	ret = drm_mm_insert_node_generic(&vram->sram, node, size, NIB_PAGE_4K, 0, 0);
	mutex_unlock(&vram->lock);
	if (ret != -ENOSPC)
		return ret;
	nib_device_flush_cleanup(ndev);
	mutex_lock(&vram->lock);
	ret = drm_mm_insert_node_generic(&vram->sram, node, size, NIB_PAGE_4K, 0, 0);
	mutex_unlock(&vram->lock);
	return ret;
}

void nib_sram_free(struct nib_device *ndev, struct drm_mm_node *node)
{
	mutex_lock(&ndev->vram.lock);
	drm_mm_remove_node(node);
	mutex_unlock(&ndev->vram.lock);
}

u64 nib_sram_available(struct nib_device *ndev)
{
	struct drm_mm_node *hole;
	u64 start, end, bytes = 0;

	if (!drm_mm_initialized(&ndev->vram.sram))
		return 0;
	mutex_lock(&ndev->vram.lock);
	drm_mm_for_each_hole(hole, &ndev->vram.sram, start, end)
		bytes += end - start;
	mutex_unlock(&ndev->vram.lock);
	return bytes;
}
