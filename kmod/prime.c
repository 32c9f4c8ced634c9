// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers as dma-bufs, by the rules of PRIME.
 *
 * Export: what others get to see is host memory, since the window on HBM has no struct pages and
 * SRAM is not visible at all. A buffer in HBM moves to host memory when another device attaches to
 * it, and stays there; jobs go on using it. SRAM is never given away.
 * On the same device a dma-buf becomes the object that it came from.
 *
 * Import: a foreign dma-buf becomes a buffer in host memory whose pages are the exporter's. It is
 * mapped for the device from here until it is freed or the driver unbinds; the exporter may not
 * move it in the meantime.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/iosys-map.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/vmalloc.h>

#include <drm/drm_prime.h>
#include <drm/drm_vma_manager.h>

#include "compat.h"
#include "device.h"
#include "gem.h"
#include "hostmem.h"
#include "pin.h"
#include "pm.h"
#include "prime.h"

MODULE_IMPORT_NS("DMA_BUF");

/* --- Export --- */

/*
 * The CPU is about to look, or has looked. Our own mapping is the one to care for here: those of
 * importers are their business. There is none once the driver is unbound.
 */
static int nib_prime_begin_cpu_access(struct dma_buf *dma_buf, enum dma_data_direction dir)
{
	struct nib_bo *bo = to_nib_bo(dma_buf->priv);
	struct nib_device *ndev = to_nib_device(bo->base.dev);

	mutex_lock(&ndev->host_bos_lock);
	if (bo->sgt)
		dma_sync_sgtable_for_cpu(&ndev->pdev->dev, bo->sgt, dir);
	mutex_unlock(&ndev->host_bos_lock);
	return 0;
}

static int nib_prime_end_cpu_access(struct dma_buf *dma_buf, enum dma_data_direction dir)
{
	struct nib_bo *bo = to_nib_bo(dma_buf->priv);
	struct nib_device *ndev = to_nib_device(bo->base.dev);

	mutex_lock(&ndev->host_bos_lock);
	if (bo->sgt)
		dma_sync_sgtable_for_device(&ndev->pdev->dev, bo->sgt, dir);
	mutex_unlock(&ndev->host_bos_lock);
	return 0;
}

/*
 * Others are going to map it: it must have pages, and keep them. Waits until it has. Whoever calls
 * may come from an ioctl of another driver, which does not hold our device awake.
 */
static int nib_prime_attach(struct dma_buf *dma_buf, struct dma_buf_attachment *attach)
{
	struct nib_bo *bo = to_nib_bo(dma_buf->priv);
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	int ret;

	if (drm_dev_is_unplugged(&ndev->drm))
		return -ENODEV;
	ret = nib_pm_get(ndev);
	if (ret)
		return ret;
	ret = nib_bo_pin_host(bo);
	nib_pm_put(ndev);
	return ret;
}

static void nib_prime_detach(struct dma_buf *dma_buf, struct dma_buf_attachment *attach)
{
	nib_bo_unpin(to_nib_bo(dma_buf->priv));
}

static const struct dma_buf_ops nib_prime_ops = {
	.attach = nib_prime_attach,
	.detach = nib_prime_detach,
	.map_dma_buf = drm_gem_map_dma_buf,
	.unmap_dma_buf = drm_gem_unmap_dma_buf,
	.release = drm_gem_dmabuf_release,
	.begin_cpu_access = nib_prime_begin_cpu_access,
	.end_cpu_access = nib_prime_end_cpu_access,
	.mmap = drm_gem_dmabuf_mmap,
	.vmap = drm_gem_dmabuf_vmap,
	.vunmap = drm_gem_dmabuf_vunmap,
};

/**
 * nib_prime_export - make a dma-buf of a buffer.
 * @obj: buffer.
 * @flags: of the file.
 *
 * Returns the dma-buf or an ERR_PTR: -EOPNOTSUPP for memory that others cannot reach, -ENOMEM.
 */
struct dma_buf *nib_prime_export(struct drm_gem_object *obj, int flags)
{
	struct drm_device *drm = obj->dev;
	struct dma_buf_export_info info = {
		.exp_name = KBUILD_MODNAME,
		.owner = drm->driver->fops->owner,
		.ops = &nib_prime_ops,
		.size = obj->size,
		.flags = flags,
		.priv = obj,
		.resv = obj->resv,
	};
	int ret;

	if (nib_bo_mem(to_nib_bo(obj)) == NIB_MEM_SRAM) {
		drm_dbg(drm, "SRAM cannot be shared with other devices\n");
		return ERR_PTR(-EOPNOTSUPP);
	}
	/* Mappings of the dma-buf and of the device file are torn down as one: at one offset. */
	ret = drm_gem_create_mmap_offset(obj);
	if (ret)
		return ERR_PTR(ret);
	return drm_gem_dmabuf_export(drm, &info);
}

/* The pages behind a buffer, for an importer to map. They stay where they are. */
struct sg_table *nib_prime_get_sg_table(struct drm_gem_object *obj)
{
	return drm_prime_pages_to_sg(obj->dev, to_nib_bo(obj)->pages, obj->size >> PAGE_SHIFT);
}

/* For importers that use the CPU. The reservation is locked, so nothing can be brought here. */
int nib_prime_vmap(struct drm_gem_object *obj, struct iosys_map *map)
{
	struct nib_bo *bo = to_nib_bo(obj);
	void *vaddr;

	dma_resv_assert_held(obj->resv);

	if (nib_bo_mem(bo) == NIB_MEM_HOST) {
		int ret = nib_bo_get_pages(bo);

		if (ret)
			return ret;
	} else if (nib_bo_in_device(bo) || !bo->place->mapped) {
		return -EOPNOTSUPP;
	}
	vaddr = vmap(bo->pages, obj->size >> PAGE_SHIFT, VM_MAP, PAGE_KERNEL);
	if (!vaddr)
		return -ENOMEM;
	iosys_map_set_vaddr(map, vaddr);
	bo->pins++;
	return 0;
}

void nib_prime_vunmap(struct drm_gem_object *obj, struct iosys_map *map)
{
	dma_resv_assert_held(obj->resv);

	to_nib_bo(obj)->pins--;
	vunmap(map->vaddr);
}

/* --- Import --- */

/**
 * nib_prime_import - the buffer that a dma-buf is, or becomes, on this device.
 * @drm: device.
 * @dma_buf: dma-buf.
 *
 * Returns a buffer, with a reference for the caller, or an ERR_PTR.
 */
struct drm_gem_object *nib_prime_import(struct drm_device *drm, struct dma_buf *dma_buf)
{
	struct drm_gem_object *obj;
	int cookie;

	if (dma_buf->ops == &nib_prime_ops) {
		obj = dma_buf->priv;
		if (obj->dev == drm) {
			drm_gem_object_get(obj);
			return obj;
		}
	}
	/* The device reaches every page of a buffer, and of nothing else. */
	if (!dma_buf->size || !IS_ALIGNED(dma_buf->size, PAGE_SIZE)) {
		drm_dbg(drm, "dma-buf of %#zx bytes\n", dma_buf->size);
		return ERR_PTR(-EINVAL);
	}
	/*
	 * Unbinding waits for us, and then finds it among the imports. That may mean to wait for
	 * the exporter, who may have to move it first, but never for our own device.
	 */
	if (!drm_dev_enter(drm, &cookie))
		return ERR_PTR(-ENODEV);
	obj = drm_gem_prime_import(drm, dma_buf);
	drm_dev_exit(cookie);
	return obj;
}

/* Whether the device can map what the exporter mapped for it: whole pages, all of the buffer. */
static bool nib_prime_suits(const struct sg_table *sgt, u64 size)
{
	struct scatterlist *sg;
	u64 bytes = 0;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (!IS_ALIGNED(sg_dma_address(sg) | sg_dma_len(sg), PAGE_SIZE))
			return false;
		bytes += sg_dma_len(sg);
	}
	return bytes == size;
}

/**
 * nib_prime_import_sg_table - make a buffer of what an exporter mapped for us.
 * @drm: device.
 * @attach: attachment to the dma-buf.
 * @sgt: its mapping.
 *
 * Returns a buffer that owns both, or an ERR_PTR and they stay the caller's.
 */
struct drm_gem_object *nib_prime_import_sg_table(struct drm_device *drm,
						 struct dma_buf_attachment *attach,
						 struct sg_table *sgt)
{
	struct nib_device *ndev = to_nib_device(drm);
	size_t size = attach->dmabuf->size;
	struct nib_place *place;
	struct scatterlist *sg;
	struct nib_bo *bo;
	u64 offset = 0;
	int i;

	if (!nib_prime_suits(sgt, size)) {
		drm_dbg(drm, "the exporter maps other than the %#zx bytes, or not whole pages\n",
			size);
		return ERR_PTR(-EINVAL);
	}
	place = nib_place_alloc(sgt->nents, true);
	if (!place)
		return ERR_PTR(-ENOMEM);
	for_each_sgtable_dma_sg(sgt, sg, i)
		nib_place_add(place, &offset, NIB_MEM_HOST, sg_dma_address(sg), sg_dma_len(sg));
	bo = nib_bo_alloc(ndev, size, NIB_BO_HOST, false);
	if (IS_ERR(bo)) {
		nib_place_put(&place);
		return ERR_CAST(bo);
	}
	nib_bo_set_place(bo, place);
	mutex_lock(&ndev->imports_lock);
	bo->sgt = sgt;
	list_add(&bo->host_link, &ndev->imports);
	mutex_unlock(&ndev->imports_lock);
	return &bo->base;
}

/* An imported buffer is mapped by its exporter, who then also holds it. */
int nib_prime_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	int ret;

	/* Ours, set for every buffer, would otherwise stay with an exporter that needs none. */
	vma->vm_private_data = NULL;
	vma->vm_ops = NULL;
	/* DRM wants this of every mapping; exporters need not know. */
	vm_flags_set(vma, VM_DONTEXPAND);
	ret = dma_buf_mmap(obj->import_attach->dmabuf, vma, 0);
	if (!ret)
		drm_gem_object_put(obj);
	return ret;
}

static void nib_prime_unmap_locked(struct nib_bo *bo, struct nib_device *ndev)
{
	lockdep_assert_held(&ndev->imports_lock);

	list_del_init(&bo->host_link);
	dma_buf_unmap_attachment_unlocked(bo->base.import_attach, bo->sgt, DMA_BIDIRECTIONAL);
	bo->sgt = NULL;
}

/* An imported buffer is freed: gives the pages back. */
void nib_prime_destroy(struct nib_bo *bo)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);

	mutex_lock(&ndev->imports_lock);
	if (bo->sgt)
		nib_prime_unmap_locked(bo, ndev);
	mutex_unlock(&ndev->imports_lock);
	drm_prime_gem_destroy(&bo->base, NULL);
}

/* The driver unbinds: what exporters mapped for the device must not outlive it. */
void nib_prime_unmap_imports(struct nib_device *ndev)
{
	struct nib_bo *bo, *next;

	mutex_lock(&ndev->imports_lock);
	list_for_each_entry_safe(bo, next, &ndev->imports, host_link)
		nib_prime_unmap_locked(bo, ndev);
	mutex_unlock(&ndev->imports_lock);
}
