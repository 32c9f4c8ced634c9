// SPDX-License-Identifier: GPL-2.0
/*
 * Buffer objects: where they lie, how they are mapped by the CPU, whose they are.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include <drm/drm_file.h>
#include <drm/drm_prime.h>
#include <drm/drm_vma_manager.h>

#include "clear.h"
#include "device.h"
#include "drv.h"
#include "gem.h"
#include "prime.h"
#include "vm.h"

/* Pages that one fault maps, if there are so many: a fault costs more than a table entry. */
#define NIB_FAULT_PAGES	64u

/* Bytes of a buffer in host memory; its page array is one allocation. */
#define NIB_HOST_BO_MAX	BIT_ULL(38)

/* --- Where a buffer lies --- */

/**
 * nib_bo_find_seg - the part of a buffer that holds a byte.
 * @bo: buffer.
 * @offset: byte; less than the buffer's size.
 */
u32 nib_bo_find_seg(const struct nib_bo *bo, u64 offset)
{
	u32 low = 0, high = bo->nsegs;

	while (high - low > 1) {
		u32 mid = low + (high - low) / 2;

		if (bo->segs[mid].offset <= offset)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* First byte behind a part. */
u64 nib_bo_seg_end(const struct nib_bo *bo, u32 seg)
{
	return seg + 1 < bo->nsegs ? bo->segs[seg + 1].offset : bo->base.size;
}

/* Appends a part, or makes the last one longer; @offset is where it starts. There is room. */
void nib_bo_add_seg(struct nib_bo *bo, u64 *offset, u64 addr, u64 size)
{
	struct nib_seg *last = bo->nsegs ? &bo->segs[bo->nsegs - 1] : NULL;

	if (!last || last->addr + *offset - last->offset != addr)
		bo->segs[bo->nsegs++] = (struct nib_seg){ .offset = *offset, .addr = addr };
	*offset += size;
}

static int nib_bo_alloc_segs(struct nib_bo *bo, size_t most)
{
	bo->segs = kvmalloc_array(most, sizeof(*bo->segs), GFP_KERNEL);
	return bo->segs ? 0 : -ENOMEM;
}

static int nib_bo_init_hbm(struct nib_bo *bo, struct nib_device *ndev)
{
	struct gpu_buddy_block *block;
	u64 offset = 0;
	int ret;

	ret = nib_hbm_alloc(ndev, bo->base.size, !(bo->flags & NIB_BO_NO_MMAP), &bo->blocks);
	if (ret)
		return ret;
	ret = nib_bo_alloc_segs(bo, list_count_nodes(&bo->blocks));
	if (ret)
		return ret;
	list_for_each_entry(block, &bo->blocks, link)
		nib_bo_add_seg(bo, &offset, gpu_buddy_block_offset(block),
			       gpu_buddy_block_size(&ndev->vram.hbm, block));
	return 0;
}

static int nib_bo_init_sram(struct nib_bo *bo, struct nib_device *ndev)
{
	u64 offset = 0;
	int ret;

	ret = nib_sram_alloc(ndev, bo->base.size, &bo->node);
	if (ret)
		return ret;
	ret = nib_bo_alloc_segs(bo, 1);
	if (ret)
		return ret;
	nib_bo_add_seg(bo, &offset, bo->node.start, bo->node.size);
	return 0;
}

static int nib_bo_init_host(struct nib_bo *bo, struct nib_device *ndev)
{
	struct device *dev = &ndev->pdev->dev;
	struct scatterlist *sg;
	struct sg_table *sgt;
	u64 offset = 0;
	int ret, i;

	/* What can never fit is not worth a try, nor a warning from an allocator. */
	if (bo->base.size > min(NIB_HOST_BO_MAX, (u64)totalram_pages() << PAGE_SHIFT))
		return -ENOMEM;
	bo->pages = drm_gem_get_pages(&bo->base);
	if (IS_ERR(bo->pages)) {
		ret = PTR_ERR(bo->pages);
		bo->pages = NULL;
		return ret;
	}
	sgt = drm_prime_pages_to_sg(&ndev->drm, bo->pages, bo->base.size >> PAGE_SHIFT);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
	if (ret)
		goto err_sgt;
	ret = nib_bo_alloc_segs(bo, sgt->nents);
	if (ret)
		goto err_map;
	for_each_sgtable_dma_sg(sgt, sg, i)
		nib_bo_add_seg(bo, &offset, sg_dma_address(sg), sg_dma_len(sg));
	mutex_lock(&ndev->host_bos_lock);
	bo->sgt = sgt;
	list_add(&bo->host_link, &ndev->host_bos);
	mutex_unlock(&ndev->host_bos_lock);
	return 0;

err_map:
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
err_sgt:
	sg_free_table(sgt);
	kfree(sgt);
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

/* The driver unbinds: DMA mappings must not outlive it. The device no longer uses them. */
void nib_gem_unmap_host_bos(struct nib_device *ndev)
{
	struct nib_bo *bo, *next;

	mutex_lock(&ndev->host_bos_lock);
	list_for_each_entry_safe(bo, next, &ndev->host_bos, host_link)
		nib_bo_unmap_host_locked(bo, ndev);
	mutex_unlock(&ndev->host_bos_lock);
}

/* --- GEM --- */

static void nib_gem_free(struct drm_gem_object *obj)
{
	struct nib_device *ndev = to_nib_device(obj->dev);
	struct nib_bo *bo = to_nib_bo(obj);

	if (!list_empty(&bo->blocks))
		nib_hbm_free(ndev, &bo->blocks);
	if (drm_mm_node_allocated(&bo->node))
		nib_sram_free(ndev, &bo->node);
	if (drm_gem_is_imported(obj))
		nib_prime_destroy(bo);
	mutex_lock(&ndev->host_bos_lock);
	if (bo->sgt)
		nib_bo_unmap_host_locked(bo, ndev);
	mutex_unlock(&ndev->host_bos_lock);
	if (bo->pages)
		drm_gem_put_pages(obj, bo->pages, true, true);
	kvfree(bo->segs);
	drm_gem_object_release(obj);
	kfree(bo);
}

/* The page frame behind a page of a buffer that can be mapped. */
static unsigned long nib_gem_pfn(struct nib_bo *bo, struct nib_device *ndev, pgoff_t page)
{
	u64 offset = (u64)page << PAGE_SHIFT;
	const struct nib_seg *seg;

	if (bo->pages)
		return page_to_pfn(bo->pages[page]);
	seg = &bo->segs[nib_bo_find_seg(bo, offset)];
	return PHYS_PFN(ndev->window_phys + seg->addr + offset - seg->offset);
}

static vm_fault_t nib_gem_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct drm_gem_object *obj = vma->vm_private_data;
	struct nib_device *ndev = to_nib_device(obj->dev);
	struct nib_bo *bo = to_nib_bo(obj);
	pgoff_t first = vma->vm_pgoff - drm_vma_node_start(&obj->vma_node);
	pgoff_t at = (vmf->address - vma->vm_start) >> PAGE_SHIFT, i, end;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	bool entered;
	int cookie;

	if (first + at >= obj->size >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;
	/* Host memory is there as long as the buffer; HBM as long as the device. */
	entered = drm_dev_enter(&ndev->drm, &cookie);
	if (!entered && !bo->pages)
		return VM_FAULT_SIGBUS;
	end = min3((pgoff_t)vma_pages(vma), (pgoff_t)(obj->size >> PAGE_SHIFT) - first,
		   ALIGN_DOWN(at, NIB_FAULT_PAGES) + NIB_FAULT_PAGES);
	for (i = at; i < end; i++) {
		vm_fault_t one = vmf_insert_pfn(vma, vma->vm_start + (i << PAGE_SHIFT),
						nib_gem_pfn(bo, ndev, first + i));

		if (i == at)
			ret = one;
		if (one != VM_FAULT_NOPAGE)
			break;
	}
	if (entered)
		drm_dev_exit(cookie);
	return ret;
}

static const struct vm_operations_struct nib_gem_vm_ops = {
	.fault = nib_gem_fault,
	.open = drm_gem_vm_open,
	.close = drm_gem_vm_close,
};

static bool nib_bo_can_mmap(const struct nib_bo *bo)
{
	return !(bo->flags & (NIB_BO_SRAM | NIB_BO_NO_MMAP));
}

static int nib_gem_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	const struct nib_bo *bo = to_nib_bo(obj);

	if (!nib_bo_can_mmap(bo))
		return -EACCES;
	/* A private copy of device memory makes no sense, and a PFN map cannot make one. */
	if (is_cow_mapping(vma->vm_flags))
		return -EINVAL;
	if (drm_gem_is_imported(obj))
		return nib_prime_mmap(obj, vma);
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = vm_get_page_prot(vma->vm_flags);
	if (bo->flags & NIB_BO_HBM)
		vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);
	return 0;
}

static const struct drm_gem_object_funcs nib_gem_funcs = {
	.free = nib_gem_free,
	.export = nib_prime_export,
	.get_sg_table = nib_prime_get_sg_table,
	.vmap = nib_prime_vmap,
	.vunmap = nib_prime_vunmap,
	.mmap = nib_gem_mmap,
	.vm_ops = &nib_gem_vm_ops,
};

/* @shmem: with host memory of its own behind it. */
static struct nib_bo *nib_bo_alloc(struct nib_device *ndev, size_t size, u32 flags, bool shmem)
{
	struct nib_bo *bo = kzalloc_obj(*bo, GFP_KERNEL_ACCOUNT);
	int ret = 0;

	if (!bo)
		return ERR_PTR(-ENOMEM);
	bo->base.funcs = &nib_gem_funcs;
	bo->flags = flags;
	INIT_LIST_HEAD(&bo->blocks);
	INIT_LIST_HEAD(&bo->host_link);
	if (shmem)
		ret = drm_gem_object_init(&ndev->drm, &bo->base, size);
	else
		drm_gem_private_object_init(&ndev->drm, &bo->base, size);
	if (ret) {
		kfree(bo);
		return ERR_PTR(-ENOMEM);
	}
	nib_gem_compat_init(&bo->base, &bo->compat);
	return bo;
}

/**
 * nib_bo_alloc_import - make a buffer whose memory is another driver's.
 * @ndev: device.
 * @size: bytes, whole pages.
 * @nsegs: how many parts it has at most; nib_bo_add_seg() them.
 *
 * Returns the buffer or an ERR_PTR.
 */
struct nib_bo *nib_bo_alloc_import(struct nib_device *ndev, size_t size, u32 nsegs)
{
	struct nib_bo *bo = nib_bo_alloc(ndev, size, NIB_BO_HOST, false);
	int ret;

	if (IS_ERR(bo))
		return bo;
	ret = nib_bo_alloc_segs(bo, nsegs);
	if (ret) {
		drm_gem_object_put(&bo->base);
		return ERR_PTR(ret);
	}
	return bo;
}

/* Makes a zeroed buffer. Between drm_dev_enter() and drm_dev_exit(). */
static struct nib_bo *nib_bo_create(struct nib_device *ndev, size_t size, u32 flags)
{
	struct nib_bo *bo = nib_bo_alloc(ndev, size, flags, flags & NIB_BO_HOST);
	int ret;

	if (IS_ERR(bo))
		return bo;
	if (flags & NIB_BO_HBM)
		ret = nib_bo_init_hbm(bo, ndev);
	else if (flags & NIB_BO_SRAM)
		ret = nib_bo_init_sram(bo, ndev);
	else
		ret = nib_bo_init_host(bo, ndev);
	/* shmem says this for host memory too. */
	if (ret == -ENOSPC && flags & NIB_BO_HOST)
		ret = -ENOMEM;
	if (!ret && !(flags & NIB_BO_HOST))
		ret = nib_clear_bo(ndev, bo);
	if (ret) {
		drm_gem_object_put(&bo->base);
		return ERR_PTR(ret);
	}
	return bo;
}

/**
 * nib_gem_client_memory - what a client's handles hold.
 * @drm_file: client.
 * @memory: out.
 */
void nib_gem_client_memory(struct drm_file *drm_file, struct nib_client_memory *memory)
{
	struct drm_gem_object *obj;
	int id;

	memset(memory, 0, sizeof(*memory));
	spin_lock(&drm_file->table_lock);
	idr_for_each_entry(&drm_file->object_idr, obj, id)
		memory->bytes[nib_bo_mem(to_nib_bo(obj))] += obj->size;
	spin_unlock(&drm_file->table_lock);
}

/* --- ioctls --- */

static int nib_bo_check(struct nib_device *ndev, const struct nib_bo_create *args)
{
	u32 memory = args->flags & (NIB_BO_HBM | NIB_BO_SRAM | NIB_BO_HOST);

	if (args->flags & ~(NIB_BO_HBM | NIB_BO_SRAM | NIB_BO_HOST | NIB_BO_NO_MMAP) ||
	    hweight32(memory) != 1 || (args->flags & NIB_BO_NO_MMAP && memory != NIB_BO_HBM)) {
		drm_dbg(&ndev->drm, "buffer flags %#x\n", args->flags);
		return -EINVAL;
	}
	if (!args->size || args->size > NIB_VA_END) {
		drm_dbg(&ndev->drm, "buffer of %#llx bytes\n", args->size);
		return -EINVAL;
	}
	return 0;
}

int nib_ioctl_bo_create(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_device *ndev = to_nib_device(drm);
	struct nib_bo_create *args = data;
	struct nib_bo *bo;
	int ret, cookie;

	ret = nib_bo_check(ndev, args);
	if (ret)
		return ret;
	if (!drm_dev_enter(drm, &cookie))
		return -ENODEV;
	args->size = PAGE_ALIGN(args->size);
	bo = nib_bo_create(ndev, args->size, args->flags);
	drm_dev_exit(cookie);
	if (IS_ERR(bo))
		return PTR_ERR(bo);
	ret = drm_gem_handle_create(drm_file, &bo->base, &args->handle);
	drm_gem_object_put(&bo->base);
	return ret;
}

int nib_ioctl_bo_mmap_offset(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_bo_mmap_offset *args = data;
	struct drm_gem_object *obj;
	int ret;

	if (args->pad) {
		drm_dbg(drm, "pad is not zero\n");
		return -EINVAL;
	}
	obj = drm_gem_object_lookup(drm_file, args->handle);
	if (!obj)
		return -ENOENT;
	if (!nib_bo_can_mmap(to_nib_bo(obj))) {
		drm_dbg(drm, "buffer %u cannot be mapped\n", args->handle);
		ret = -EACCES;
		goto out;
	}
	ret = drm_gem_create_mmap_offset(obj);
	if (!ret)
		args->offset = drm_vma_node_offset_addr(&obj->vma_node);
out:
	drm_gem_object_put(obj);
	return ret;
}
