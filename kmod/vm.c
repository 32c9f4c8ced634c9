// SPDX-License-Identifier: GPL-2.0
/*
 * Address spaces: how they are made and how they end. How they change is in bind.c.
 */
#include <linux/slab.h>

#include <drm/drm_gem.h>

#include "bind.h"
#include "compat.h"
#include "device.h"
#include "drv.h"
#include "gem.h"
#include "stream.h"
#include "vm.h"

struct nib_vm *nib_vm_get(struct nib_vm *vm)
{
	kref_get(&vm->ref);
	return vm;
}

static void nib_vm_release_work(struct work_struct *work)
{
	struct nib_vm *vm = container_of(work, struct nib_vm, release_work);
	struct nib_timeline *timeline = vm->timeline;
	struct nib_device *ndev = vm->ndev;

	drm_sched_entity_destroy(&vm->entity);
	drm_sched_fini(&vm->sched);
	nib_bind_end_vm(vm);
	ida_free(&ndev->context_ids, vm->context);
	xa_destroy(&vm->streams);
	nib_user_uncharge(vm->user, NIB_LIMIT_CONTEXTS);
	nib_user_put(&vm->user);
	drm_gpuvm_put(&vm->gpuvm);
	nib_timeline_put(&timeline);
	drm_dev_put(&ndev->drm);
}

static void nib_vm_release(struct kref *ref)
{
	struct nib_vm *vm = container_of(ref, struct nib_vm, ref);

	queue_work(nib_cleanup_wq, &vm->release_work);
}

void nib_vm_put(struct nib_vm **vm)
{
	if (*vm)
		kref_put(&(*vm)->ref, nib_vm_release);
	*vm = NULL;
}

/* The handle is gone: drops it and those of the VM's streams. */
void nib_vm_close(struct nib_vm *vm)
{
	nib_vm_close_streams(vm);
	nib_vm_put(&vm);
}

static int nib_vm_init_sched(struct nib_vm *vm)
{
	struct drm_gpu_scheduler *sched = &vm->sched;
	const struct drm_sched_init_args args = {
		.ops = &nib_bind_sched_ops,
		.submit_wq = vm->ndev->sched_wq,
		.num_rqs = 1,
		.credit_limit = NIB_VM_BINDS,
		/* Binds are done when run_job returns. */
		.timeout = MAX_SCHEDULE_TIMEOUT,
		.name = vm->timeline->name,
		.dev = &vm->ndev->pdev->dev,
	};
	int ret;

	ret = drm_sched_init(sched, &args);
	if (ret)
		return ret;
	ret = drm_sched_entity_init(&vm->entity, 0, &sched, 1, NULL);
	if (ret)
		drm_sched_fini(sched);
	return ret;
}

static int nib_vm_init_gpuvm(struct nib_vm *vm)
{
	struct drm_device *drm = &vm->ndev->drm;
	struct drm_gem_object *resv = drm_gpuvm_resv_object_alloc(drm);

	if (!resv)
		return -ENOMEM;
	drm_gpuvm_init(&vm->gpuvm, vm->timeline->name, DRM_GPUVM_IMMEDIATE_MODE, drm, resv,
		       NIB_VA_START, NIB_VA_END - NIB_VA_START, 0, 0, &nib_gpuvm_ops);
	drm_gem_object_put(resv);
	return 0;
}

/**
 * nib_vm_create - make an address space. Paired with nib_vm_close().
 * @ndev: device.
 * @user: whose it is, or NULL.
 *
 * Returns the VM or an ERR_PTR: -ENFILE if the device has no more contexts, -EDQUOT if the user
 * may not have more, -ENOSPC, -ENOMEM, -ENODEV, -EIO.
 */
struct nib_vm *nib_vm_create(struct nib_device *ndev, struct nib_user *user)
{
	struct nib_vm *vm = kzalloc_obj(*vm);
	int ret;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	kref_init(&vm->ref);
	vm->ndev = ndev;
	INIT_LIST_HEAD(&vm->bos);
	xa_init_flags(&vm->streams, XA_FLAGS_ALLOC);
	INIT_WORK(&vm->release_work, nib_vm_release_work);
	ret = nib_user_charge(user, NIB_LIMIT_CONTEXTS);
	if (ret)
		goto err_free;
	vm->user = nib_user_get(user);
	ret = nib_device_alloc_id(ndev, &ndev->context_ids, ndev->num_contexts);
	if (ret < 0)
		goto err_user;
	vm->context = ret;
	vm->timeline = nib_timeline_create("vm", vm->context);
	if (!vm->timeline) {
		ret = -ENOMEM;
		goto err_id;
	}
	ret = nib_vm_init_sched(vm);
	if (ret)
		goto err_timeline;
	ret = nib_mmu_init(&vm->mmu, ndev, vm->context);
	if (ret)
		goto err_sched;
	ret = nib_vm_init_gpuvm(vm);
	if (ret)
		goto err_mmu;
	drm_dev_get(&ndev->drm);
	return vm;

err_mmu:
	nib_mmu_fini(&vm->mmu);
err_sched:
	drm_sched_entity_destroy(&vm->entity);
	drm_sched_fini(&vm->sched);
err_timeline:
	nib_timeline_put(&vm->timeline);
err_id:
	ida_free(&ndev->context_ids, vm->context);
err_user:
	nib_user_uncharge(user, NIB_LIMIT_CONTEXTS);
	nib_user_put(&vm->user);
err_free:
	kfree(vm);
	return ERR_PTR(ret);
}

/* --- ioctls --- */

int nib_ioctl_vm_create(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_file *file = drm_file->driver_priv;
	struct nib_vm_create *args = data;
	struct nib_vm *vm;
	int ret;

	if (args->flags) {
		drm_dbg(drm, "flags %#x\n", args->flags);
		return -EINVAL;
	}
	/* The id is reserved first: nothing may be locked while the device is told of the VM. */
	ret = xa_alloc(&file->vms, &args->vm_id, NULL, XA_LIMIT(1, NIB_FILE_VMS), GFP_KERNEL);
	if (ret)
		return ret == -EBUSY ? -EMFILE : ret;
	vm = nib_vm_create(file->ndev, file->user);
	if (IS_ERR(vm)) {
		xa_erase(&file->vms, args->vm_id);
		return PTR_ERR(vm);
	}
	mutex_lock(&file->lock);
	/* Cannot fail: the slot is reserved. */
	xa_store(&file->vms, args->vm_id, vm, GFP_KERNEL);
	mutex_unlock(&file->lock);
	return 0;
}

int nib_ioctl_vm_destroy(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_file *file = drm_file->driver_priv;
	struct nib_vm_destroy *args = data;
	struct nib_vm *vm;
	int ret = 0;

	if (args->pad) {
		drm_dbg(drm, "pad is not zero\n");
		return -EINVAL;
	}
	mutex_lock(&file->lock);
	vm = xa_load(&file->vms, args->vm_id);
	if (!vm) {
		ret = -ENOENT;
	} else if (vm->queues) {
		drm_dbg(drm, "VM %u has %u queues\n", args->vm_id, vm->queues);
		ret = -EBUSY;
	} else {
		xa_erase(&file->vms, args->vm_id);
	}
	mutex_unlock(&file->lock);
	if (!ret)
		nib_vm_close(vm);
	return ret;
}

