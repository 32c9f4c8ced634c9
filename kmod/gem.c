// SPDX-License-Identifier: GPL-2.0
/*
 * Buffer objects: how they are made, mapped by the CPU and counted. Where they lie, and how that
 * changes, is in place.c, move.c and evict.c.
 */
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include <drm/drm_file.h>
#include <drm/drm_vma_manager.h>

#include "device.h"
#include "dma.h"
#include "drv.h"
#include "evict.h"
#include "gem.h"
#include "hostmem.h"
#include "lease.h"
#include "prime.h"
#include "vm.h"

/* Pages that one fault maps, if there are so many: a fault costs more than a table entry. */
#define NIB_FAULT_PAGES	64u

/* --- Where a buffer lies --- */

/* Puts a buffer that nobody else knows yet where it is to lie. Takes over the reference. */
void nib_bo_set_place(struct nib_bo *bo, struct nib_place *place)
{
	nib_place_put(&bo->place);
	nib_place_put(&bo->mapped);
	bo->place = place;
	bo->mapped = nib_place_get(place);
}

/**
 * nib_bo_set_hbm - describe HBM as the place of a buffer.
 * @bo: buffer.
 * @ndev: device.
 * @blocks: HBM, in the order of the buffer.
 * @place: out.
 *
 * Returns 0 or -ENOMEM.
 */
int nib_bo_set_hbm(struct nib_bo *bo, struct nib_device *ndev, struct list_head *blocks,
		   struct nib_place **place)
{
	struct gpu_buddy_block *block;
	u64 offset = 0;

	*place = nib_place_alloc(list_count_nodes(blocks), true);
	if (!*place)
		return -ENOMEM;
	list_for_each_entry(block, blocks, link)
		nib_place_add(*place, &offset, NIB_MEM_HBM, gpu_buddy_block_offset(block),
			      gpu_buddy_block_size(&ndev->vram.hbm, block));
	return 0;
}

static int nib_bo_init_hbm(struct nib_bo *bo, struct nib_device *ndev)
{
	int ret = nib_residency_charge(ndev, bo->base.size);

	if (ret) {
		/* What was freed a moment ago may still be on its way back. */
		nib_device_flush_cleanup(ndev);
		ret = nib_residency_charge(ndev, bo->base.size);
	}
	if (ret)
		return ret;
	bo->charged = true;
	return nib_bo_alloc_hbm(bo);
}

static int nib_bo_init_sram(struct nib_bo *bo, struct nib_device *ndev)
{
	struct nib_place *place;
	u64 offset = 0;
	int ret;

	ret = nib_sram_alloc(ndev, bo->base.size, &bo->node);
	if (ret)
		return ret;
	place = nib_place_alloc(1, true);
	if (!place)
		return -ENOMEM;
	nib_place_add(place, &offset, NIB_MEM_SRAM, bo->node.start, bo->node.size);
	nib_bo_set_place(bo, place);
	return nib_dma_clear_wait(ndev, nib_dma_clear(ndev, bo));
}

static int nib_bo_init_host(struct nib_bo *bo)
{
	struct nib_place *place;
	int ret;

	ret = nib_bo_get_pages(bo);
	if (ret)
		return ret;
	place = nib_bo_host_place(bo, true);
	if (!place)
		return -ENOMEM;
	nib_bo_set_place(bo, place);
	/* Now, and no sooner, the shrinker may see it. */
	nib_residency_add(bo);
	return 0;
}

/* --- GEM --- */

static void nib_bo_free(struct nib_bo *bo)
{
	struct drm_gem_object *obj = &bo->base;
	struct nib_device *ndev = to_nib_device(obj->dev);

	nib_residency_forget(bo);
	nib_residency_set_dontneed(bo, false);
	if (bo->charged)
		nib_residency_uncharge(ndev, obj->size);
	nib_moved_put(&bo->moved);
	if (bo->lease)
		nib_lease_fini(bo);
	if (!list_empty(&bo->blocks))
		nib_hbm_free(ndev, &bo->blocks);
	if (drm_mm_node_allocated(&bo->node))
		nib_sram_free(ndev, &bo->node);
	if (drm_gem_is_imported(obj))
		nib_prime_destroy(bo);
	nib_bo_put_pages(bo, false);
	nib_place_put(&bo->place);
	nib_place_put(&bo->mapped);
	drm_gem_object_release(obj);
	kfree(bo);
}

static void nib_bo_free_work(struct work_struct *work)
{
	struct nib_bo *bo = container_of(work, struct nib_bo, free_work);
	struct drm_device *drm = bo->base.dev;

	nib_bo_free(bo);
	drm_dev_put(drm);
}

/* The last reference may go under reservations, even of others, or in reclaim. */
static void nib_gem_free(struct drm_gem_object *obj)
{
	struct nib_bo *bo = to_nib_bo(obj);

	drm_dev_get(obj->dev);
	queue_work(nib_cleanup_wq, &bo->free_work);
}

/* --- Mapped by the CPU --- */

/*
 * Locks the reservation of a buffer that is not moving. Nothing is held across a wait but what the
 * fault came with, and that only if it may not be tried again. Returns 0 or what the fault ends
 * with.
 */
static vm_fault_t nib_gem_fault_lock(struct vm_fault *vmf, struct drm_gem_object *obj)
{
	const bool retry = fault_flag_allow_retry_first(vmf->flags);
	struct dma_resv *resv = obj->resv;
	struct file *file;
	vm_fault_t ret;

	for (;;) {
		if (!dma_resv_trylock(resv)) {
			if (retry)
				break;
			if (dma_resv_lock_interruptible(resv, NULL))
				return VM_FAULT_NOPAGE;
		}
		if (dma_resv_test_signaled(resv, DMA_RESV_USAGE_KERNEL))
			return 0;
		dma_resv_unlock(resv);
		if (retry)
			break;
		if (dma_resv_wait_timeout(resv, DMA_RESV_USAGE_KERNEL, true,
					  MAX_SCHEDULE_TIMEOUT) < 0)
			return VM_FAULT_NOPAGE;
	}
	ret = VM_FAULT_RETRY;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return ret;
	/* The mapping may go meanwhile, and the driver with the last file. */
	file = get_file(vmf->vma->vm_file);
	drm_gem_object_get(obj);
	mmap_read_unlock(vmf->vma->vm_mm);
	/* Whoever holds the lock now may be about to move it: see what comes of that. */
	if (!dma_resv_lock_interruptible(resv, NULL)) {
		dma_resv_unlock(resv);
		dma_resv_wait_timeout(resv, DMA_RESV_USAGE_KERNEL, true, MAX_SCHEDULE_TIMEOUT);
	}
	drm_gem_object_put(obj);
	fput(file);
	return ret;
}

/* The page frame behind a page of a buffer that can be mapped. */
static unsigned long nib_gem_pfn(struct nib_bo *bo, struct nib_device *ndev, pgoff_t page)
{
	u64 offset = (u64)page << PAGE_SHIFT;
	const struct nib_seg *seg;

	if (!nib_bo_in_hbm(bo))
		return page_to_pfn(bo->pages[page]);
	seg = &bo->place->segs[nib_place_find(bo->place, offset)];
	return PHYS_PFN(ndev->window_phys + seg->addr + offset - seg->offset);
}

static vm_fault_t nib_gem_map_pages(struct vm_fault *vmf, struct nib_bo *bo,
				    struct nib_device *ndev)
{
	struct vm_area_struct *vma = vmf->vma;
	pgoff_t first = vma->vm_pgoff - drm_vma_node_start(&bo->base.vma_node);
	pgoff_t at = (vmf->address - vma->vm_start) >> PAGE_SHIFT, i, end;
	pgprot_t prot = vm_get_page_prot(vma->vm_flags);
	vm_fault_t ret = VM_FAULT_SIGBUS;

	if (first + at >= bo->base.size >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;
	if (nib_bo_in_hbm(bo))
		prot = pgprot_writecombine(prot);
	end = min3((pgoff_t)vma_pages(vma), (pgoff_t)(bo->base.size >> PAGE_SHIFT) - first,
		   ALIGN_DOWN(at, NIB_FAULT_PAGES) + NIB_FAULT_PAGES);
	for (i = at; i < end; i++) {
		vm_fault_t one = vmf_insert_pfn_prot(vma, vma->vm_start + (i << PAGE_SHIFT),
						     nib_gem_pfn(bo, ndev, first + i), prot);

		if (i == at)
			ret = one;
		if (one != VM_FAULT_NOPAGE)
			break;
	}
	return ret;
}

static vm_fault_t nib_gem_do_fault(struct vm_fault *vmf)
{
	struct drm_gem_object *obj = vmf->vma->vm_private_data;
	struct nib_device *ndev = to_nib_device(obj->dev);
	struct nib_bo *bo = to_nib_bo(obj);
	vm_fault_t ret;
	int cookie, err;
	bool entered;

	ret = nib_gem_fault_lock(vmf, obj);
	if (ret)
		return ret;
	ret = VM_FAULT_SIGBUS;
	/* Host memory is there as long as the buffer; HBM as long as the device. */
	entered = drm_dev_enter(&ndev->drm, &cookie);
	if (bo->purged || (nib_bo_in_hbm(bo) && !entered))
		goto out;
	/* What was swapped out comes back. The device sees it when it next needs it. */
	if (!nib_bo_in_hbm(bo)) {
		err = nib_bo_get_pages(bo);
		if (err) {
			ret = err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
			goto out;
		}
	}
	nib_residency_touch(bo);
	ret = nib_gem_map_pages(vmf, bo, ndev);
out:
	if (entered)
		drm_dev_exit(cookie);
	dma_resv_unlock(obj->resv);
	return ret;
}

/* Holds the device awake; where that takes waiting, as nib_gem_fault_lock() waits. */
static vm_fault_t nib_gem_fault_wake(struct vm_fault *vmf, struct nib_device *ndev)
{
	struct file *file;

	if (nib_pm_get_if_awake(ndev))
		return 0;
	if (!fault_flag_allow_retry_first(vmf->flags))
		return nib_pm_get(ndev) ? VM_FAULT_SIGBUS : 0;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	file = get_file(vmf->vma->vm_file);
	mmap_read_unlock(vmf->vma->vm_mm);
	/* It stays awake for long enough to try again, and what does not wake says so then. */
	if (!nib_pm_get(ndev))
		nib_pm_put(ndev);
	fput(file);
	return VM_FAULT_RETRY;
}

/* The window answers while the device is awake. The mapping goes when it falls asleep; see pm.c. */
static vm_fault_t nib_gem_fault(struct vm_fault *vmf)
{
	struct drm_gem_object *obj = vmf->vma->vm_private_data;
	struct nib_device *ndev = to_nib_device(obj->dev);
	struct file *file;
	vm_fault_t ret;

	if (nib_bo_mem(to_nib_bo(obj)) == NIB_MEM_HOST || drm_dev_is_unplugged(&ndev->drm))
		return nib_gem_do_fault(vmf);
	ret = nib_gem_fault_wake(vmf, ndev);
	if (ret)
		return ret;
	/* The mapping may go meanwhile, and the last file with it. */
	file = get_file(vmf->vma->vm_file);
	ret = nib_gem_do_fault(vmf);
	nib_pm_put(ndev);
	fput(file);
	return ret;
}

static const struct vm_operations_struct nib_gem_vm_ops = {
	.fault = nib_gem_fault,
	.open = drm_gem_vm_open,
	.close = drm_gem_vm_close,
};

static int nib_gem_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	const struct nib_bo *bo = to_nib_bo(obj);

	if (!nib_bo_can_mmap(bo))
		return -EACCES;
	/* A private copy of device memory makes no sense, and a PFN map cannot make one. */
	if (vma_is_cow_mapping(vma))
		return -EINVAL;
	if (drm_gem_is_imported(obj))
		return nib_prime_mmap(obj, vma);
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = vm_get_page_prot(vma->vm_flags);
	/* Until it is in host memory; see nib_gem_map_pages(). */
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

/**
 * nib_bo_alloc - make a buffer that lies nowhere yet.
 * @ndev: device.
 * @size: bytes, whole pages.
 * @flags: NIB_BO_*.
 * @shmem: with host memory of its own behind it.
 *
 * Returns the buffer, which drm_gem_object_put() frees, or ERR_PTR(-ENOMEM).
 */
struct nib_bo *nib_bo_alloc(struct nib_device *ndev, size_t size, u32 flags, bool shmem)
{
	struct nib_bo *bo = kzalloc_obj(*bo, GFP_KERNEL_ACCOUNT);
	int ret = 0;

	if (!bo)
		return ERR_PTR(-ENOMEM);
	bo->base.funcs = &nib_gem_funcs;
	bo->flags = flags;
	bo->leaf = flags & NIB_BO_HBM ? NIB_PAGE_2M : NIB_PAGE_64K;
	bo->bind_leaf = bo->leaf;
	INIT_LIST_HEAD(&bo->blocks);
	INIT_LIST_HEAD(&bo->vms);
	INIT_LIST_HEAD(&bo->link);
	INIT_LIST_HEAD(&bo->host_link);
	INIT_WORK(&bo->free_work, nib_bo_free_work);
	if (shmem)
		ret = drm_gem_object_init(&ndev->drm, &bo->base, size);
	else
		drm_gem_private_object_init(&ndev->drm, &bo->base, size);
	if (ret) {
		kfree(bo);
		return ERR_PTR(-ENOMEM);
	}
	if (shmem)
		mapping_set_gfp_mask(bo->base.filp->f_mapping,
				     GFP_HIGHUSER | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	nib_gem_compat_init(&bo->base, &bo->compat);
	return bo;
}

/* Makes a zeroed buffer. Waits for the device. */
static struct nib_bo *nib_bo_create(struct nib_device *ndev, size_t size, u32 flags,
				    struct nib_moved *moved)
{
	/* Whatever it is made for, it may have to go to host memory for a while. */
	struct nib_bo *bo = nib_bo_alloc(ndev, size, flags, true);
	int ret;

	if (IS_ERR(bo))
		return bo;
	bo->moved = nib_moved_get(moved);
	if (!(flags & NIB_BO_HOST))
		nib_residency_add(bo);
	if (flags & NIB_BO_HBM)
		ret = nib_bo_init_hbm(bo, ndev);
	else if (flags & NIB_BO_SRAM)
		ret = nib_bo_init_sram(bo, ndev);
	else
		ret = nib_bo_init_host(bo);
	if (ret) {
		drm_gem_object_put(&bo->base);
		return ERR_PTR(ret);
	}
	return bo;
}

/* Counts one buffer. What it says may be old: nobody keeps the buffer where it is. */
static void nib_bo_count(const struct nib_bo *bo, struct nib_client_memory *memory)
{
	enum nib_mem mem = nib_bo_mem(bo), now = mem;

	if (bo->lease) {
		nib_lease_count_memory(bo, memory);
		return;
	}
	memory->bytes[mem] += bo->base.size;
	if (bo->base.handle_count > 1 || bo->base.dma_buf || drm_gem_is_imported(&bo->base))
		memory->shared[mem] += bo->base.size;
	if (READ_ONCE(bo->purged))
		return;
	if (mem == NIB_MEM_HBM && list_empty_careful(&bo->blocks))
		now = NIB_MEM_HOST;
	/* Swapped out. */
	if (now == NIB_MEM_HOST && !READ_ONCE(bo->pages) && !drm_gem_is_imported(&bo->base))
		return;
	memory->resident[now] += bo->base.size;
	if (READ_ONCE(bo->dontneed))
		memory->purgeable[now] += bo->base.size;
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
		nib_bo_count(to_nib_bo(obj), memory);
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
	struct nib_file *file = drm_file->driver_priv;
	struct nib_bo_create *args = data;
	struct nib_bo *bo;
	int ret;

	ret = nib_bo_check(ndev, args);
	if (ret)
		return ret;
	args->size = PAGE_ALIGN(args->size);
	bo = nib_bo_create(ndev, args->size, args->flags, file->moved);
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
