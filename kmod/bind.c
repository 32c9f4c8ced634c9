// SPDX-License-Identifier: GPL-2.0
/*
 * Binds: changes of an address space. A bind is prepared where it may fail and allocate: the buffer
 * is looked up, and mappings, tables and references are reserved. It runs where it may do neither,
 * in the order of the VM's queue: the tree of mappings and the page table change together. What it
 * no longer needs is freed afterwards.
 */
#include <linux/slab.h>

#include <drm/drm_gem.h>

#include "bind.h"
#include "compat.h"
#include "device.h"
#include "drv.h"
#include "gem.h"
#include "place.h"
#include "submit.h"
#include "trace.h"
#include "uobj.h"
#include "vm.h"

/* A map replaces the middle of at most one mapping: one new, and what is left on either side. */
#define NIB_BIND_VMAS	3u

/* Flags that only a map takes. */
#define NIB_BIND_MAP_FLAGS	(NIB_VM_BIND_OP_READONLY | NIB_VM_BIND_OP_DUMPABLE)

/**
 * struct nib_bind - one change of a VM.
 * @job: scheduler's part.
 * @vm: VM. Holds a reference.
 * @fence: signalled when it is done.
 * @op: NIB_VM_BIND_OP_*.
 * @pte_flags: NIB_PTE_WRITE or 0, of a MAP.
 * @dumpable: a MAP's contents may be in core dumps.
 * @va: first address.
 * @size: bytes.
 * @bo_offset: first byte of a MAP's buffer.
 * @leaf: of a MAP: largest leaf; what @pool is for.
 * @vm_bo: ties the buffer of a MAP to the VM. Holds a reference.
 * @spare: mappings to use.
 * @removed: mappings that are gone, with the reference on their vm_bo.
 * @pool: page tables to use, and those that are gone.
 * @free_work: frees it, after it ran.
 */
struct nib_bind {
	struct drm_sched_job job;
	struct nib_vm *vm;
	struct nib_fence *fence;
	u32 op;
	u64 pte_flags;
	bool dumpable;
	u64 va;
	u64 size;
	u64 bo_offset;
	u64 leaf;
	struct drm_gpuvm_bo *vm_bo;
	struct list_head spare;
	struct list_head removed;
	struct nib_pt_pool pool;
	struct work_struct free_work;
};

static struct nib_bind *to_nib_bind(struct drm_sched_job *job)
{
	return container_of(job, struct nib_bind, job);
}

/* --- The tree of mappings --- */

static struct nib_vma *nib_bind_take_vma(struct nib_bind *bind)
{
	struct nib_vma *vma = list_first_entry_or_null(&bind->spare, struct nib_vma, link);

	if (!drm_WARN_ON(&bind->vm->ndev->drm, !vma))
		list_del_init(&vma->link);
	return vma;
}

static void nib_vma_link(struct nib_vma *vma, struct drm_gpuvm_bo *vm_bo)
{
	struct mutex *lock = nib_bo_gpuva_lock(to_nib_bo(vm_bo->obj));

	mutex_lock(lock);
	drm_gpuva_link(&vma->base, vm_bo);
	mutex_unlock(lock);
}

/* The mapping gives up its place; it and its reference on the vm_bo go to bind->removed. */
static void nib_vma_unlink(struct nib_bind *bind, struct nib_vma *vma)
{
	struct drm_gpuvm_bo *vm_bo = drm_gpuvm_bo_get(vma->base.vm_bo);
	struct mutex *lock = nib_bo_gpuva_lock(to_nib_bo(vm_bo->obj));

	mutex_lock(lock);
	drm_gpuva_unlink(&vma->base);
	mutex_unlock(lock);
	vma->base.vm_bo = vm_bo;
	list_add(&vma->link, &bind->removed);
}

static int nib_vm_step_map(struct drm_gpuva_op *op, void *priv)
{
	struct nib_bind *bind = priv;
	struct nib_vma *vma = nib_bind_take_vma(bind);

	if (!vma)
		return -EIO;
	drm_gpuva_map(&bind->vm->gpuvm, &vma->base, &op->map);
	vma->readonly = !(bind->pte_flags & NIB_PTE_WRITE);
	vma->dumpable = bind->dumpable;
	nib_vma_link(vma, bind->vm_bo);
	return 0;
}

/* What is left of a mapping is what the whole was. */
static void nib_vma_inherit(struct nib_vma *vma, const struct nib_vma *old)
{
	vma->readonly = old->readonly;
	vma->dumpable = old->dumpable;
	nib_vma_link(vma, old->base.vm_bo);
}

static int nib_vm_step_remap(struct drm_gpuva_op *op, void *priv)
{
	struct nib_bind *bind = priv;
	struct nib_vma *old = to_nib_vma(op->remap.unmap->va);
	struct nib_vma *prev = NULL, *next = NULL;

	if (op->remap.prev) {
		prev = nib_bind_take_vma(bind);
		if (!prev)
			return -EIO;
	}
	if (op->remap.next) {
		next = nib_bind_take_vma(bind);
		if (!next)
			return -EIO;
	}
	drm_gpuva_remap(prev ? &prev->base : NULL, next ? &next->base : NULL, &op->remap);
	if (prev)
		nib_vma_inherit(prev, old);
	if (next)
		nib_vma_inherit(next, old);
	nib_vma_unlink(bind, old);
	return 0;
}

static int nib_vm_step_unmap(struct drm_gpuva_op *op, void *priv)
{
	struct nib_vma *vma = to_nib_vma(op->unmap.va);

	drm_gpuva_unmap(&op->unmap);
	nib_vma_unlink(priv, vma);
	return 0;
}

static void nib_vm_free(struct drm_gpuvm *gpuvm)
{
	kfree(to_nib_vm(gpuvm));
}

static struct drm_gpuvm_bo *nib_vm_bo_alloc(void)
{
	struct nib_vm_bo *vm_bo = kzalloc_obj(*vm_bo, GFP_KERNEL_ACCOUNT);

	if (!vm_bo)
		return NULL;
	INIT_LIST_HEAD(&vm_bo->vm_link);
	INIT_LIST_HEAD(&vm_bo->bo_link);
	return &vm_bo->base;
}

static void nib_vm_bo_free(struct drm_gpuvm_bo *base)
{
	struct nib_vm_bo *vm_bo = to_nib_vm_bo(base);

	nib_vm_bo_forget(vm_bo);
	kfree(vm_bo);
}

const struct drm_gpuvm_ops nib_gpuvm_ops = {
	.vm_free = nib_vm_free,
	.vm_bo_alloc = nib_vm_bo_alloc,
	.vm_bo_free = nib_vm_bo_free,
	.sm_step_map = nib_vm_step_map,
	.sm_step_remap = nib_vm_step_remap,
	.sm_step_unmap = nib_vm_step_unmap,
};

/* --- Binds --- */

static void nib_vm_bo_put(struct drm_gpuvm_bo *vm_bo)
{
	struct drm_gem_object *obj = vm_bo->obj;
	struct mutex *lock = nib_bo_gpuva_lock(to_nib_bo(obj));

	/* The lock is in the object, which the vm_bo may be the last to hold. */
	drm_gem_object_get(obj);
	mutex_lock(lock);
	drm_gpuvm_bo_put(vm_bo);
	mutex_unlock(lock);
	drm_gem_object_put(obj);
}

static void nib_bind_free_removed(struct nib_bind *bind)
{
	struct nib_vma *vma, *next;

	list_for_each_entry_safe(vma, next, &bind->removed, link) {
		nib_vm_bo_put(vma->base.vm_bo);
		kfree(vma);
	}
}

/* Everything but the scheduler's part. */
static void nib_bind_free(struct nib_bind *bind)
{
	struct nib_vma *vma, *next;

	list_for_each_entry_safe(vma, next, &bind->spare, link)
		kfree(vma);
	nib_bind_free_removed(bind);
	if (bind->leaf)
		nib_place_end_bind(to_nib_bo(bind->vm_bo->obj), bind->leaf);
	if (bind->vm_bo)
		nib_vm_bo_put(bind->vm_bo);
	nib_pt_pool_fini(&bind->pool, bind->vm->ndev);
	nib_fence_put(bind->fence);
	nib_pm_put(bind->vm->ndev);
	nib_vm_put(&bind->vm);
	kfree(bind);
}

static void nib_bind_free_work(struct work_struct *work)
{
	nib_bind_free(container_of(work, struct nib_bind, free_work));
}

static void nib_bind_destroy(struct drm_sched_job *job)
{
	drm_sched_job_cleanup(job);
	nib_bind_free(to_nib_bind(job));
}

static void nib_bind_free_job(struct drm_sched_job *job)
{
	struct nib_bind *bind = to_nib_bind(job);

	drm_sched_job_cleanup(job);
	/* Takes locks that allocate, and may end the VM: not in its scheduler. */
	queue_work(nib_cleanup_wq, &bind->free_work);
}

static int nib_bind_map(struct nib_bind *bind)
{
	struct nib_vm *vm = bind->vm;
	struct nib_bo *bo = to_nib_bo(bind->vm_bo->obj);
	const struct drm_gpuvm_map_req req = {
		.map.va.addr = bind->va,
		.map.va.range = bind->size,
		.map.gem.obj = &bo->base,
		.map.gem.offset = bind->bo_offset,
	};
	int ret = drm_gpuvm_sm_map(&vm->gpuvm, bind, &req);

	return ret ?: nib_place_map(bo, &vm->mmu, &bind->pool, bind->va, bind->bo_offset,
				    bind->size, bind->pte_flags, bind->leaf);
}

static int nib_bind_unmap(struct nib_bind *bind)
{
	struct nib_vm *vm = bind->vm;
	int ret = drm_gpuvm_sm_unmap(&vm->gpuvm, bind, bind->va, bind->size);

	return ret ?: nib_mmu_unmap(&vm->mmu, &bind->pool, bind->va, bind->size);
}

static int nib_bind_run(struct nib_bind *bind)
{
	struct nib_device *ndev = bind->vm->ndev;
	int ret = nib_device_lost(ndev), cookie;

	if (ret)
		return ret;
	/* Page tables are out of reach while the machine sleeps. */
	nib_gate_enter(&ndev->gate);
	if (!drm_dev_enter(&ndev->drm, &cookie)) {
		nib_gate_leave(&ndev->gate);
		return -ENODEV;
	}
	mutex_lock(&ndev->pt_lock);
	if (bind->op == NIB_VM_BIND_OP_MAP)
		ret = nib_bind_map(bind);
	else if (bind->op == NIB_VM_BIND_OP_UNMAP)
		ret = nib_bind_unmap(bind);
	nib_mmu_flush(&bind->vm->mmu);
	mutex_unlock(&ndev->pt_lock);
	drm_dev_exit(cookie);
	nib_gate_leave(&ndev->gate);
	return ret;
}

static struct dma_fence *nib_bind_run_job(struct drm_sched_job *job)
{
	struct nib_bind *bind = to_nib_bind(job);
	bool cookie = dma_fence_begin_signalling();
	int ret;

	ret = nib_bind_run(bind);
	trace_nib_vm_bind(bind->vm->ndev, bind->vm->context, bind->op, bind->va, bind->size, ret);
	nib_fence_signal(bind->fence, ret);
	dma_fence_end_signalling(cookie);
	return dma_fence_get(&bind->fence->base);
}

const struct drm_sched_backend_ops nib_bind_sched_ops = {
	.run_job = nib_bind_run_job,
	.free_job = nib_bind_free_job,
};

/**
 * nib_bind_end_vm - take the page table away from a VM that nobody uses any more.
 * @vm: VM.
 *
 * Buffers go last: the device must not see memory through the context that others may get next.
 */
void nib_bind_end_vm(struct nib_vm *vm)
{
	struct nib_bind bind = { .vm = vm };

	INIT_LIST_HEAD(&bind.spare);
	INIT_LIST_HEAD(&bind.removed);
	/* From here on no move of a buffer comes by. */
	mutex_lock(&vm->ndev->pt_lock);
	drm_gpuvm_sm_unmap(&vm->gpuvm, &bind, vm->gpuvm.mm_start, vm->gpuvm.mm_range);
	mutex_unlock(&vm->ndev->pt_lock);
	nib_mmu_fini(&vm->mmu);
	nib_bind_free_removed(&bind);
}

/* --- Preparing binds --- */

static int nib_bind_reserve_vmas(struct nib_bind *bind)
{
	unsigned int i;

	for (i = 0; i < NIB_BIND_VMAS; i++) {
		struct nib_vma *vma = kzalloc_obj(*vma);

		if (!vma)
			return -ENOMEM;
		list_add(&vma->link, &bind->spare);
	}
	return 0;
}

static int nib_bind_check(struct drm_device *drm, const struct nib_vm_bind_op *op)
{
	u32 kind = op->flags & NIB_VM_BIND_OP_MASK;
	u64 end;

	if (op->flags & ~(NIB_VM_BIND_OP_MASK | NIB_BIND_MAP_FLAGS) ||
	    kind > NIB_VM_BIND_OP_SYNC_ONLY ||
	    (op->flags & NIB_BIND_MAP_FLAGS && kind != NIB_VM_BIND_OP_MAP)) {
		drm_dbg(drm, "bind flags %#x\n", op->flags);
		return -EINVAL;
	}
	if (kind != NIB_VM_BIND_OP_MAP && (op->bo_handle || op->bo_offset)) {
		drm_dbg(drm, "only a map takes a buffer\n");
		return -EINVAL;
	}
	if (kind == NIB_VM_BIND_OP_SYNC_ONLY) {
		if (op->va || op->size) {
			drm_dbg(drm, "SYNC_ONLY takes no range\n");
			return -EINVAL;
		}
		return 0;
	}
	if (!op->size || !IS_ALIGNED(op->va | op->size | op->bo_offset, NIB_PAGE_4K) ||
	    check_add_overflow(op->va, op->size, &end) || op->va < NIB_VA_START ||
	    end > NIB_VA_END) {
		drm_dbg(drm, "bind range %#llx + %#llx (buffer offset %#llx)\n", op->va, op->size,
			op->bo_offset);
		return -EINVAL;
	}
	return 0;
}

/* Ties the buffer to the VM and counts the tables that mapping it may need. */
static int nib_bind_prepare_bo(struct nib_bind *bind, struct drm_file *drm_file, u32 handle,
			       struct nib_pt_need *need)
{
	struct drm_device *drm = &bind->vm->ndev->drm;
	struct drm_gem_object *obj = drm_gem_object_lookup(drm_file, handle);
	struct nib_bo *bo;
	int ret = 0;

	if (!obj) {
		drm_dbg(drm, "no buffer %u\n", handle);
		return -ENOENT;
	}
	bo = to_nib_bo(obj);
	if (bind->bo_offset >= obj->size || bind->size > obj->size - bind->bo_offset) {
		drm_dbg(drm, "%#llx + %#llx is past the buffer's end at %#zx\n", bind->bo_offset,
			bind->size, obj->size);
		ret = -EINVAL;
		goto out;
	}
	if (READ_ONCE(bo->purged)) {
		drm_dbg(drm, "buffer %u was not needed, and is gone\n", handle);
		ret = -EINVAL;
		goto out;
	}
	bind->vm_bo = drm_gpuvm_bo_create(&bind->vm->gpuvm, obj);
	if (IS_ERR_OR_NULL(bind->vm_bo)) {
		bind->vm_bo = NULL;
		ret = -ENOMEM;
		goto out;
	}
	bind->vm_bo = nib_compat_vm_bo_obtain(bind->vm_bo, nib_bo_gpuva_lock(bo));
	nib_vm_bo_remember(to_nib_vm_bo(bind->vm_bo));
	bind->leaf = nib_place_begin_bind(bo);
	nib_pt_need_run(need, bind->va, bind->bo_offset, bind->size, bind->leaf);
out:
	drm_gem_object_put(obj);
	return ret;
}

static int nib_bind_prepare(struct nib_bind *bind, struct drm_file *drm_file,
			    const struct nib_vm_bind_op *op)
{
	struct nib_device *ndev = bind->vm->ndev;
	struct nib_pt_need need = {};
	int ret;

	if (bind->op == NIB_VM_BIND_OP_SYNC_ONLY)
		return 0;
	ret = nib_bind_reserve_vmas(bind);
	if (ret)
		return ret;
	if (bind->op == NIB_VM_BIND_OP_UNMAP) {
		nib_pt_need_unmap(&need, bind->va, bind->size);
		return nib_pt_pool_reserve(&bind->pool, ndev, &need, bind->va, 0);
	}
	ret = nib_bind_prepare_bo(bind, drm_file, op->bo_handle, &need);
	if (ret)
		return ret;
	return nib_pt_pool_reserve(&bind->pool, ndev, &need, bind->va, bind->size);
}

/* Makes a bind that is ready to run. Returns it or an ERR_PTR. */
static struct nib_bind *nib_bind_create(struct nib_vm *vm, struct drm_file *drm_file,
					const struct nib_vm_bind_op *op)
{
	struct nib_bind *bind;
	int ret;

	ret = nib_bind_check(&vm->ndev->drm, op);
	if (ret)
		return ERR_PTR(ret);
	bind = kzalloc_obj(*bind, GFP_KERNEL_ACCOUNT);
	if (!bind)
		return ERR_PTR(-ENOMEM);
	bind->vm = nib_vm_get(vm);
	/* The ioctl holds the device awake meanwhile. */
	nib_pm_get_awake(vm->ndev);
	bind->op = op->flags & NIB_VM_BIND_OP_MASK;
	bind->pte_flags = op->flags & NIB_VM_BIND_OP_READONLY ? 0 : NIB_PTE_WRITE;
	bind->dumpable = op->flags & NIB_VM_BIND_OP_DUMPABLE;
	bind->va = op->va;
	bind->size = op->size;
	bind->bo_offset = op->bo_offset;
	INIT_LIST_HEAD(&bind->spare);
	INIT_LIST_HEAD(&bind->removed);
	nib_pt_pool_init(&bind->pool);
	INIT_WORK(&bind->free_work, nib_bind_free_work);
	bind->fence = nib_fence_alloc(vm->timeline);
	if (!bind->fence) {
		ret = -ENOMEM;
		goto err_free;
	}
	ret = nib_bind_prepare(bind, drm_file, op);
	if (ret)
		goto err_free;
	ret = drm_sched_job_init(&bind->job, &vm->entity, 1, vm, drm_file->client_id);
	if (ret)
		goto err_free;
	return bind;

err_free:
	nib_bind_free(bind);
	return ERR_PTR(ret);
}

/* --- ioctl --- */

/* Waits for synchronous binds; *done is how many were made, unless the wait was interrupted. */
static int nib_bind_wait(const struct nib_submit_ctx *ctx, u32 *done)
{
	u32 i;
	int ret;

	for (i = 0; i < ctx->count; i++) {
		struct dma_fence *fence = ctx->jobs[i].done;

		ret = dma_fence_wait(fence, true);
		if (ret)
			return ret; /* The caller asks again, with what it had. */
		if (fence->error) {
			*done = i;
			return fence->error;
		}
	}
	return 0;
}

static int nib_vm_bind_ops(struct nib_vm *vm, struct drm_file *drm_file, struct nib_vm_bind *args,
			   const struct nib_vm_bind_op *ops)
{
	bool async = args->flags & NIB_VM_BIND_ASYNC;
	u32 count = args->ops.count, done = 0, i;
	struct nib_submit_ctx ctx;
	struct nib_bind *bind;
	int ret;

	ret = nib_submit_init(&ctx, drm_file, count);
	if (ret)
		goto out;
	for (i = 0; i < count && !ret; i++) {
		if (!async && ops[i].syncs.count) {
			drm_dbg(&vm->ndev->drm, "syncs need an ASYNC bind\n");
			ret = -EINVAL;
			break;
		}
		bind = nib_bind_create(vm, drm_file, &ops[i]);
		ret = PTR_ERR_OR_ZERO(bind);
		if (!ret)
			ret = nib_submit_add(&ctx, &bind->job, bind->fence, NULL, &ops[i].syncs);
	}
	if (!ret)
		ret = nib_submit_commit(&ctx);
	if (!ret && !async)
		ret = nib_bind_wait(&ctx, &done);
	nib_submit_fini(&ctx, nib_bind_destroy);
out:
	if (ret && ret != -ERESTARTSYS)
		args->ops.count = done;
	return ret;
}

int nib_ioctl_vm_bind(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_vm_bind *args = data;
	struct nib_vm_bind_op *ops = NULL;
	struct nib_vm *vm = NULL;
	int ret;

	if (args->flags & ~NIB_VM_BIND_ASYNC) {
		drm_dbg(drm, "flags %#x\n", args->flags);
		ret = -EINVAL;
	} else {
		vm = nib_file_find_vm(drm_file->driver_priv, args->vm_id);
		ret = vm ? NIB_UOBJ_GET_ARRAY(drm, ops, &args->ops, syncs) : -ENOENT;
	}
	if (ret)
		args->ops.count = 0;
	else if (args->ops.count)
		ret = nib_vm_bind_ops(vm, drm_file, args, ops);
	kvfree(ops);
	nib_vm_put(&vm);
	return ret;
}
