// SPDX-License-Identifier: GPL-2.0
/*
 * An image of device memory. Buffers keep their places: each that lies in HBM or SRAM gets a
 * shadow of its size in host memory, which the copy queue fills when the machine goes to sleep,
 * and writes back when it wakes up. Page tables and streams are not in it, since the driver has
 * copies of those; see restart.c.
 *
 * All that needs much memory is done before the firmware stops. After that the device belongs to
 * the one who makes the image: of all queues only the driver's own is rung.
 */
#include <linux/dma-resv.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "device.h"
#include "dma.h"
#include "residency.h"
#include "gate.h"
#include "gem.h"
#include "hostmem.h"
#include "image.h"
#include "place.h"

/**
 * struct nib_image_part - a buffer in the image.
 * @link: in nib_image.parts.
 * @bo: buffer. Holds a reference.
 * @shadow: its contents. Holds a reference.
 * @place: where the device sees them. Holds a reference.
 */
struct nib_image_part {
	struct list_head link;
	struct nib_bo *bo;
	struct nib_bo *shadow;
	struct nib_place *place;
};

/**
 * struct nib_image - an image.
 * @ndev: device.
 * @parts: buffers.
 */
struct nib_image {
	struct nib_device *ndev;
	struct list_head parts;
};

static bool nib_image_wants(const struct nib_bo *bo)
{
	u32 seg;

	if (bo->purged)
		return false;
	for (seg = 0; seg < bo->place->nsegs; seg++)
		if (bo->place->segs[seg].mem != NIB_MEM_HOST)
			return true;
	return false;
}

/* Puts all buffers into the image, so far without shadows. */
static int nib_image_collect(struct nib_image *image)
{
	struct nib_residency *residency = &image->ndev->residency;
	struct nib_image_part *part, *next;
	LIST_HEAD(spare);
	size_t missing;
	struct nib_bo *bo;

	do {
		missing = 0;
		spin_lock(&residency->lock);
		missing = list_count_nodes(&residency->bos);
		spin_unlock(&residency->lock);
		for (missing -= min(missing, list_count_nodes(&spare)); missing; missing--) {
			part = kzalloc_obj(*part);
			if (!part)
				goto err_spare;
			list_add(&part->link, &spare);
		}
		spin_lock(&residency->lock);
		missing = list_count_nodes(&residency->bos);
		missing -= min(missing, list_count_nodes(&spare));
		if (!missing) {
			list_for_each_entry(bo, &residency->bos, link) {
				if (!kref_get_unless_zero(&bo->base.refcount))
					continue;
				part = list_first_entry(&spare, struct nib_image_part, link);
				part->bo = bo;
				list_move_tail(&part->link, &image->parts);
			}
		}
		spin_unlock(&residency->lock);
	} while (missing);
	list_for_each_entry_safe(part, next, &spare, link)
		kfree(part);
	return 0;

err_spare:
	list_for_each_entry_safe(part, next, &spare, link)
		kfree(part);
	return -ENOMEM;
}

static int nib_image_add_shadow(struct nib_image *image, struct nib_image_part *part)
{
	struct nib_bo *shadow = nib_bo_alloc(image->ndev, part->bo->base.size, NIB_BO_HOST, true);
	int ret;

	if (IS_ERR(shadow))
		return PTR_ERR(shadow);
	part->shadow = shadow;
	dma_resv_lock(shadow->base.resv, NULL);
	ret = nib_bo_get_pages(shadow);
	if (!ret) {
		part->place = nib_bo_host_place(shadow, false);
		ret = part->place ? 0 : -ENOMEM;
	}
	dma_resv_unlock(shadow->base.resv);
	return ret;
}

static void nib_image_part_free(struct nib_image_part *part)
{
	list_del(&part->link);
	nib_place_put(&part->place);
	if (part->shadow)
		drm_gem_object_put(&part->shadow->base);
	drm_gem_object_put(&part->bo->base);
	kfree(part);
}

/**
 * nib_image_create - get ready for an image of all that is in use. Paired with nib_image_destroy().
 * @ndev: device, while nobody makes or moves buffers.
 * @out: out.
 *
 * Returns 0, -ENOMEM or -ENODEV.
 */
int nib_image_create(struct nib_device *ndev, struct nib_image **out)
{
	struct nib_image *image = kzalloc_obj(*image);
	struct nib_image_part *part, *next;
	int ret;

	if (!image)
		return -ENOMEM;
	image->ndev = ndev;
	INIT_LIST_HEAD(&image->parts);
	ret = nib_image_collect(image);
	list_for_each_entry_safe(part, next, &image->parts, link) {
		if (!nib_image_wants(part->bo))
			nib_image_part_free(part);
		else if (!ret)
			ret = nib_image_add_shadow(image, part);
	}
	if (ret) {
		nib_image_destroy(&image);
		return ret;
	}
	*out = image;
	return 0;
}

void nib_image_destroy(struct nib_image **image)
{
	struct nib_image_part *part, *next;

	if (!*image)
		return;
	list_for_each_entry_safe(part, next, &(*image)->parts, link)
		nib_image_part_free(part);
	kfree(*image);
	*image = NULL;
}

/**
 * struct nib_image_batch - copies of one buffer. One that was given up may still be made, or
 * begin only then: what it touches, on both sides, outlives the image and is nobody else's.
 * @base: batch.
 * @bo: buffer. Holds a reference.
 * @shadow: of the buffer. Holds a reference.
 */
struct nib_image_batch {
	struct nib_dma_batch base;
	struct nib_bo *bo;
	struct nib_bo *shadow;
};

static void nib_image_free_batch(struct nib_dma_batch *base)
{
	struct nib_image_batch *batch = container_of(base, struct nib_image_batch, base);

	drm_gem_object_put(&batch->shadow->base);
	drm_gem_object_put(&batch->bo->base);
	kfree(batch);
}

static int nib_image_add_copies(struct nib_dma_batch *batch, struct nib_image_part *part, bool save)
{
	const struct nib_place *place = part->bo->place;
	u32 seg;
	int ret = 0;

	for (seg = 0; seg < place->nsegs && !ret; seg++) {
		const struct nib_seg *from = &place->segs[seg];
		u64 size = nib_place_seg_end(place, seg, part->bo->base.size) - from->offset;

		if (from->mem != NIB_MEM_HOST)
			ret = nib_dma_add_host(batch, save, from->offset, from->mem, from->addr,
					       size);
	}
	return ret;
}

/* Copies one buffer to its shadow, or back. */
static int nib_image_copy(struct nib_image *image, struct nib_image_part *part, bool save)
{
	struct nib_image_batch *copies = kzalloc_obj(*copies);
	struct nib_dma_batch *batch;
	int ret;

	if (!copies)
		return -ENOMEM;
	batch = &copies->base;
	nib_dma_batch_init(batch, image->ndev, nib_image_free_batch);
	drm_gem_object_get(&part->bo->base);
	copies->bo = part->bo;
	drm_gem_object_get(&part->shadow->base);
	copies->shadow = part->shadow;
	batch->host = nib_place_get(part->place);
	ret = nib_image_add_copies(batch, part, save);
	if (!ret)
		ret = nib_dma_commit(batch);
	if (!ret) {
		/* Bounded: the device does nothing else, and the watchdog's time is long over. */
		if (!dma_fence_wait_timeout(batch->fence, false, 60 * HZ))
			ret = -ETIMEDOUT;
		else
			ret = batch->fence->error;
	}
	nib_dma_batch_put(batch);
	return ret;
}

static int nib_image_copy_all(struct nib_image *image, bool save)
{
	struct nib_image_part *part;
	unsigned int flags;
	int ret = 0;

	/* Fences wait for us; what is allocated here is small. */
	flags = memalloc_noreclaim_save();
	nib_gate_set_private(image->ndev, true);
	list_for_each_entry(part, &image->parts, link) {
		ret = nib_image_copy(image, part, save);
		if (ret)
			break;
	}
	nib_gate_set_private(image->ndev, false);
	memalloc_noreclaim_restore(flags);
	return ret;
}

/* The firmware runs, the gate is closed. Returns 0, -ENOMEM, -ETIMEDOUT, -ENODEV or -EIO. */
int nib_image_save(struct nib_image *image)
{
	return nib_image_copy_all(image, true);
}

/* As nib_image_save(), the other way. */
int nib_image_restore(struct nib_image *image)
{
	return nib_image_copy_all(image, false);
}
