// SPDX-License-Identifier: GPL-2.0
/*
 * Pages come from shmem, so that what is put down can be swapped out. They stay as long as anyone
 * uses them: the device by their DMA mapping, tasks by a mapping of page frames.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>

#include <drm/drm_prime.h>

#include "device.h"
#include "gem.h"
#include "hostmem.h"

/* Bytes of a buffer in host memory; its page array is one allocation. */
#define NIB_HOST_BO_MAX	BIT_ULL(38)

static int nib_bo_map_pages(struct nib_bo *bo, struct nib_device *ndev)
{
	struct sg_table *sgt;
	int ret;

	sgt = drm_prime_pages_to_sg(&ndev->drm, bo->pages, bo->base.size >> PAGE_SHIFT);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	ret = dma_map_sgtable(&ndev->pdev->dev, sgt, DMA_BIDIRECTIONAL, 0);
	if (ret) {
		sg_free_table(sgt);
		kfree(sgt);
		return ret;
	}
	mutex_lock(&ndev->host_bos_lock);
	bo->sgt = sgt;
	list_add(&bo->host_link, &ndev->host_bos);
	mutex_unlock(&ndev->host_bos_lock);
	return 0;
}

/**
 * nib_bo_get_pages - give a buffer host memory, if it has none. Paired with nib_bo_put_pages().
 * @bo: buffer, under its reservation.
 *
 * Contents are what they were when it last had some, or zero. Returns 0, -ENOMEM or -ENODEV.
 */
int nib_bo_get_pages(struct nib_bo *bo)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	struct page **pages;
	int ret, cookie;

	if (bo->pages)
		return 0;
	/* What can never fit is not worth a try, nor a warning from an allocator. */
	if (bo->base.size > min(NIB_HOST_BO_MAX, (u64)totalram_pages() << PAGE_SHIFT))
		return -ENOMEM;
	if (!drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	pages = drm_gem_get_pages(&bo->base);
	ret = PTR_ERR_OR_ZERO(pages);
	/* shmem says this for host memory too. */
	if (ret == -ENOSPC)
		ret = -ENOMEM;
	if (ret)
		goto out;
	bo->pages = pages;
	ret = nib_bo_map_pages(bo, ndev);
	if (ret) {
		drm_gem_put_pages(&bo->base, bo->pages, false, false);
		bo->pages = NULL;
		goto out;
	}
	atomic64_add(bo->base.size, &ndev->residency.host);
out:
	drm_dev_exit(cookie);
	return ret;
}

static void nib_bo_unmap_host_locked(struct nib_bo *bo, struct nib_device *ndev)
{
	lockdep_assert_held(&ndev->host_bos_lock);

	list_del_init(&bo->host_link);
	dma_unmap_sgtable(&ndev->pdev->dev, bo->sgt, DMA_BIDIRECTIONAL, 0);
	sg_free_table(bo->sgt);
	kfree(bo->sgt);
	bo->sgt = NULL;
}

/**
 * nib_bo_put_pages - take a buffer's host memory away.
 * @bo: buffer, under its reservation, or about to be freed. Nobody uses its pages any more.
 * @keep: the contents, by leaving the pages to shmem. May be called by reclaim.
 */
void nib_bo_put_pages(struct nib_bo *bo, bool keep)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);

	mutex_lock(&ndev->host_bos_lock);
	if (bo->sgt)
		nib_bo_unmap_host_locked(bo, ndev);
	mutex_unlock(&ndev->host_bos_lock);
	if (bo->pages) {
		drm_gem_put_pages(&bo->base, bo->pages, keep, keep);
		atomic64_sub(bo->base.size, &ndev->residency.host);
	}
	bo->pages = NULL;
	if (!keep && bo->base.filp)
		shmem_truncate_range(file_inode(bo->base.filp), 0, (loff_t)-1);
}

/**
 * nib_bo_host_place - the place of a buffer in host memory.
 * @bo: buffer that has pages, under its reservation.
 * @mapped: page tables are to show it.
 *
 * Returns NULL without memory, or without a driver.
 */
struct nib_place *nib_bo_host_place(struct nib_bo *bo, bool mapped)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	struct nib_place *place;
	struct scatterlist *sg;
	u64 offset = 0;
	int i, cookie;

	/* The DMA mapping goes with the pages, or with the driver. */
	if (!drm_dev_enter(&ndev->drm, &cookie))
		return NULL;
	place = nib_place_alloc(bo->sgt->nents, mapped);
	if (place)
		for_each_sgtable_dma_sg(bo->sgt, sg, i)
			nib_place_add(place, &offset, NIB_MEM_HOST, sg_dma_address(sg),
				      sg_dma_len(sg));
	drm_dev_exit(cookie);
	return place;
}

/* The driver unbinds: DMA mappings must not outlive it. The device no longer uses them. */
void nib_gem_unmap_host_bos(struct nib_device *ndev)
{
	struct nib_bo *bo, *next;

	mutex_lock(&ndev->host_bos_lock);
	list_for_each_entry_safe(bo, next, &ndev->host_bos, host_link)
		nib_bo_unmap_host_locked(bo, ndev);
	mutex_unlock(&ndev->host_bos_lock);
}
