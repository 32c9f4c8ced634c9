// SPDX-License-Identifier: GPL-2.0
/*
 * Who is there: all buffers and the VMs that map them, when they were last used, how much of them
 * there may be. Who has to go, and how, is in evict.c.
 */
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include <drm/drm_managed.h>

#include "device.h"
#include "gem.h"
#include "place.h"
#include "residency.h"
#include "vm.h"

/*
 * Buffers in HBM may together be larger than HBM, by as much as host memory can stand in for. Pages
 * of the kernel's that hold them are not reclaimed without swap, so that is not all of it.
 */
static int nib_max_evicted_mib = -1;
module_param_named(max_evicted_mib, nib_max_evicted_mib, int, 0644);
MODULE_PARM_DESC(max_evicted_mib,
		 "MiB by which buffers may exceed HBM (-1: half of the host's memory)");

/* --- Who is there --- */

/**
 * nib_residency_charge - count HBM that a new buffer wants. Paired with nib_residency_uncharge().
 * @ndev: device.
 * @size: bytes.
 *
 * Returns 0 or -ENOSPC.
 */
int nib_residency_charge(struct nib_device *ndev, u64 size)
{
	int mib = READ_ONCE(nib_max_evicted_mib);
	u64 more = mib < 0 ? (u64)totalram_pages() * PAGE_SIZE / 2 : (u64)mib << 20;

	if (size <= ndev->vram.hbm.size &&
	    atomic64_add_return(size, &ndev->residency.charged) <= ndev->vram.hbm.size + more)
		return 0;
	if (size <= ndev->vram.hbm.size)
		nib_residency_uncharge(ndev, size);
	drm_dbg(&ndev->drm, "%llu bytes more than HBM and host memory can hold\n", size);
	return -ENOSPC;
}

void nib_residency_uncharge(struct nib_device *ndev, u64 size)
{
	atomic64_sub(size, &ndev->residency.charged);
}

static void nib_residency_fini(struct drm_device *drm, void *data)
{
	struct nib_residency *residency = data;

	nib_place_put(&residency->nowhere);
}

int nib_residency_init(struct nib_device *ndev)
{
	struct nib_residency *residency = &ndev->residency;

	spin_lock_init(&residency->lock);
	INIT_LIST_HEAD(&residency->bos);
	residency->nowhere = nib_place_alloc(0, false);
	if (!residency->nowhere)
		return -ENOMEM;
	return drmm_add_action_or_reset(&ndev->drm, nib_residency_fini, residency);
}

/* A number that is higher than all before. It names who asked for it, too. */
u64 nib_residency_begin(struct nib_device *ndev)
{
	return atomic64_inc_return(&ndev->residency.clock);
}

void nib_residency_add(struct nib_bo *bo)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);

	spin_lock(&ndev->residency.lock);
	bo->used = nib_residency_begin(ndev);
	list_add_tail(&bo->link, &ndev->residency.bos);
	spin_unlock(&ndev->residency.lock);
}

void nib_residency_forget(struct nib_bo *bo)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);

	spin_lock(&ndev->residency.lock);
	list_del_init(&bo->link);
	spin_unlock(&ndev->residency.lock);
}

/* Used just now, by other than a job. */
void nib_residency_touch(struct nib_bo *bo)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);

	spin_lock(&ndev->residency.lock);
	bo->used = nib_residency_begin(ndev);
	spin_unlock(&ndev->residency.lock);
}

/* Notes whether the contents of a buffer, under its reservation, are needed. */
void nib_residency_set_dontneed(struct nib_bo *bo, bool dontneed)
{
	struct nib_residency *residency = &to_nib_device(bo->base.dev)->residency;

	if (bo->dontneed == dontneed)
		return;
	WRITE_ONCE(bo->dontneed, dontneed);
	atomic64_add(dontneed ? bo->base.size : -(s64)bo->base.size, &residency->dontneed);
}

struct nib_moved *nib_moved_create(void)
{
	struct nib_moved *moved = kzalloc_obj(*moved, GFP_KERNEL_ACCOUNT);

	if (moved)
		kref_init(&moved->ref);
	return moved;
}

struct nib_moved *nib_moved_get(struct nib_moved *moved)
{
	kref_get(&moved->ref);
	return moved;
}

static void nib_moved_release(struct kref *ref)
{
	kfree(container_of(ref, struct nib_moved, ref));
}

void nib_moved_put(struct nib_moved **moved)
{
	if (*moved)
		kref_put(&(*moved)->ref, nib_moved_release);
	*moved = NULL;
}

/* A bind is going to map the buffer: the VM's next job needs it. */
void nib_vm_bo_remember(struct nib_vm_bo *vm_bo)
{
	struct nib_vm *vm = to_nib_vm(vm_bo->base.vm);
	struct nib_residency *residency = &vm->ndev->residency;

	spin_lock(&residency->lock);
	if (list_empty(&vm_bo->vm_link)) {
		list_add_tail(&vm_bo->vm_link, &vm->bos);
		list_add_tail(&vm_bo->bo_link, &to_nib_bo(vm_bo->base.obj)->vms);
	}
	vm->stale = true;
	spin_unlock(&residency->lock);
}

void nib_vm_bo_forget(struct nib_vm_bo *vm_bo)
{
	struct nib_residency *residency = &to_nib_vm(vm_bo->base.vm)->ndev->residency;

	spin_lock(&residency->lock);
	list_del_init(&vm_bo->vm_link);
	list_del_init(&vm_bo->bo_link);
	spin_unlock(&residency->lock);
}

/**
 * nib_bo_get_vms - the VMs that a buffer is mapped in, or about to be.
 * @bo: buffer, under its reservation. One that is about to be mapped in another VM is validated by
 *	that VM's next job, which takes the reservation.
 * @count: out.
 *
 * Returns an array of references for kvfree(), or ERR_PTR(-ENOMEM).
 */
struct nib_vm **nib_bo_get_vms(struct nib_bo *bo, u32 *count)
{
	struct nib_residency *residency = &to_nib_device(bo->base.dev)->residency;
	size_t most = 0, n = 0;
	struct nib_vm **vms = NULL;
	struct nib_vm_bo *vm_bo;

	spin_lock(&residency->lock);
	while (list_count_nodes(&bo->vms) > most) {
		most = list_count_nodes(&bo->vms) + 4;
		spin_unlock(&residency->lock);
		kvfree(vms);
		vms = kvmalloc_array(most, sizeof(*vms), GFP_KERNEL);
		if (!vms)
			return ERR_PTR(-ENOMEM);
		spin_lock(&residency->lock);
	}
	list_for_each_entry(vm_bo, &bo->vms, bo_link) {
		struct nib_vm *vm = to_nib_vm(vm_bo->base.vm);

		/* One that ends has no more jobs. */
		if (kref_get_unless_zero(&vm->ref))
			vms[n++] = vm;
	}
	spin_unlock(&residency->lock);
	*count = n;
	return vms;
}

/* The buffer is no longer where jobs can use it. */
void nib_bo_set_vms_stale(struct nib_bo *bo)
{
	struct nib_residency *residency = &to_nib_device(bo->base.dev)->residency;
	struct nib_vm_bo *vm_bo;

	spin_lock(&residency->lock);
	list_for_each_entry(vm_bo, &bo->vms, bo_link)
		to_nib_vm(vm_bo->base.vm)->stale = true;
	spin_unlock(&residency->lock);
}
