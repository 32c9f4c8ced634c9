/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Address spaces: which buffer is mapped where, and the queue of changes to that.
 */
#ifndef NIB_VM_H
#define NIB_VM_H

#include <linux/kref.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_gpuvm.h>
#include <drm/gpu_scheduler.h>

#include "fence.h"
#include "mmu.h"
#include "nib_isa.h"

struct nib_device;
struct nib_user;

/* User virtual addresses. The first 64 KiB stay unmapped, so that null pointers fault. */
#define NIB_VA_START	0x10000ull
#define NIB_VA_END	BIT_ULL(NIB_VA_BITS)

/* Binds of one VM that may be under way; more wait in the scheduler. */
#define NIB_VM_BINDS	64u

/**
 * struct nib_vma - a mapping.
 * @base: in nib_vm.gpuvm.
 * @link: among the spare or the removed ones of a bind.
 * @readonly: the device may not write.
 * @dumpable: a core dump may hold what is there.
 */
struct nib_vma {
	struct drm_gpuva base;
	struct list_head link;
	bool readonly;
	bool dumpable;
};

static inline struct nib_vma *to_nib_vma(struct drm_gpuva *va)
{
	return container_of(va, struct nib_vma, base);
}

/**
 * struct nib_vm - an address space: a context of the device.
 *
 * Life: the handle, queues, streams and binds hold references. Once all are gone everything is
 * unmapped and the context destroyed, by nib_cleanup_wq.
 *
 * @gpuvm: what is mapped. Changed by binds only, under nib_device.pt_lock.
 * @ref: see above.
 * @ndev: device. Holds a reference on its DRM device.
 * @user: whose it is; NULL for the driver's own. Holds a reference.
 * @context: id of the device.
 * @mmu: page table, in step with @gpuvm.
 * @timeline: timeline of the binds' fences.
 * @sched: scheduler of the binds.
 * @entity: the only one of @sched.
 * @bos: buffers that are mapped or about to be, struct nib_vm_bo. Under nib_device.residency.lock.
 * @used: when a job of it was last submitted; see evict.h. As @bos.
 * @stale: @bos has changed, or one of them has left: the next submit must look. As @bos.
 * @streams: streams by id. Its lock also protects @closed.
 * @closed: the handle is gone; no more streams.
 * @queues: handles of queues. Protected by nib_file.lock.
 * @release_work: frees it.
 */
struct nib_vm {
	struct drm_gpuvm gpuvm;
	struct kref ref;
	struct nib_device *ndev;
	struct nib_user *user;
	u32 context;
	struct nib_mmu mmu;
	struct nib_timeline *timeline;
	struct drm_gpu_scheduler sched;
	struct drm_sched_entity entity;
	struct list_head bos;
	u64 used;
	bool stale;
	struct xarray streams;
	bool closed;
	unsigned int queues;
	struct work_struct release_work;
};

/**
 * struct nib_vm_bo - a buffer that is, or is about to be, mapped in a VM.
 * @base: holds references on both.
 * @vm_link: in nib_vm.bos.
 * @bo_link: in nib_bo.vms.
 *
 * The links are under nib_device.residency.lock.
 */
struct nib_vm_bo {
	struct drm_gpuvm_bo base;
	struct list_head vm_link;
	struct list_head bo_link;
};

static inline struct nib_vm *to_nib_vm(struct drm_gpuvm *gpuvm)
{
	return container_of(gpuvm, struct nib_vm, gpuvm);
}

static inline struct nib_vm_bo *to_nib_vm_bo(struct drm_gpuvm_bo *vm_bo)
{
	return container_of(vm_bo, struct nib_vm_bo, base);
}

/* The object whose reservation is the VM's. */
static inline struct drm_gem_object *nib_vm_resv_obj(struct nib_vm *vm)
{
	return vm->gpuvm.r_obj;
}

struct nib_vm *nib_vm_create(struct nib_device *ndev, struct nib_user *user);
struct nib_vm *nib_vm_get(struct nib_vm *vm);
void nib_vm_put(struct nib_vm **vm);
void nib_vm_close(struct nib_vm *vm);

#endif
