/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernels that we build for do not agree on. Everything above this file is written for the
 * newest of them; kmod/configure finds out which of the shims below a kernel needs. Nothing here or
 * elsewhere asks for a kernel version: distributions move features between versions.
 */
#ifndef NIB_COMPAT_H
#define NIB_COMPAT_H

#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include <drm/drm_drv.h>
#include <drm/drm_gem.h>
#include <drm/drm_gpuvm.h>
#include <drm/gpu_scheduler.h>

#include "nib_config.h"

/* Namespaces of symbols as strings. Older kernels would quote them once more. */
#ifndef NIB_HAVE_IMPORT_NS_STRING
#undef MODULE_IMPORT_NS
#define MODULE_IMPORT_NS(ns) MODULE_INFO(import_ns, ns)
#endif

/* The workqueue of work that need not run on any CPU in particular. */
#ifndef NIB_HAVE_SYSTEM_DFL_WQ
#define system_dfl_wq system_unbound_wq
#endif

/* What workqueues are without WQ_UNBOUND, where that has a name. */
#ifndef NIB_HAVE_WQ_PERCPU
#define WQ_PERCPU 0
#endif

/* Whether a private mapping of this kind would be written to as a copy. */
#ifndef NIB_HAVE_VMA_IS_COW_MAPPING
static inline bool vma_is_cow_mapping(const struct vm_area_struct *vma)
{
	return is_cow_mapping(vma->vm_flags);
}
#endif

/* Older kernels want to be told that a driver uses drm_gpuvm; new ones have it in every object. */
#ifdef NIB_HAVE_DRIVER_GEM_GPUVA
#define NIB_DRIVER_GEM_GPUVA DRIVER_GEM_GPUVA
#else
#define NIB_DRIVER_GEM_GPUVA 0
#endif

/* Arguments of drm_sched_init() in a struct. */
#ifndef NIB_HAVE_SCHED_INIT_ARGS
struct drm_sched_init_args {
	const struct drm_sched_backend_ops *ops;
	struct workqueue_struct *submit_wq;
	struct workqueue_struct *timeout_wq;
	u32 num_rqs;
	u32 credit_limit;
	unsigned int hang_limit;
	long timeout;
	atomic_t *score;
	const char *name;
	struct device *dev;
};

static inline int nib_compat_sched_init(struct drm_gpu_scheduler *sched,
					const struct drm_sched_init_args *a)
{
	return drm_sched_init(sched, a->ops, a->submit_wq, a->num_rqs, a->credit_limit,
			      a->hang_limit, a->timeout, a->timeout_wq, a->score, a->name, a->dev);
}

#define drm_sched_init nib_compat_sched_init
#endif

/* The client id that scheduler tracepoints print. */
#ifndef NIB_HAVE_SCHED_JOB_CLIENT_ID
#define drm_sched_job_init(job, entity, credits, owner, client_id) \
	((void)(client_id), drm_sched_job_init(job, entity, credits, owner))
#endif

/* Arguments of drm_gpuvm_sm_map() in a struct. */
#ifndef NIB_HAVE_GPUVM_MAP_REQ
struct drm_gpuvm_map_req {
	struct drm_gpuva_op_map map;
};

static inline int nib_compat_gpuvm_sm_map(struct drm_gpuvm *vm, void *priv,
					  const struct drm_gpuvm_map_req *req)
{
	return drm_gpuvm_sm_map(vm, priv, req->map.va.addr, req->map.va.range, req->map.gem.obj,
				req->map.gem.offset);
}

#define drm_gpuvm_sm_map nib_compat_gpuvm_sm_map
#endif

/*
 * The lock of a GEM object's list of mappings. New kernels have it in the object and an "immediate
 * mode" that says that it, not the reservation, is taken while a bind runs; on older ones it is
 * ours and announced to lockdep.
 */
#ifdef NIB_HAVE_GEM_GPUVA_LOCK
struct nib_gem_compat {
};

static inline void nib_gem_compat_init(struct drm_gem_object *obj, struct nib_gem_compat *compat)
{
}

static inline struct mutex *nib_gem_compat_lock(struct drm_gem_object *obj,
						struct nib_gem_compat *compat)
{
	return &obj->gpuva.lock;
}

static inline struct drm_gpuvm_bo *nib_compat_vm_bo_obtain(struct drm_gpuvm_bo *vm_bo,
							   struct mutex *lock)
{
	return drm_gpuvm_bo_obtain_prealloc(vm_bo);
}
#else
#define DRM_GPUVM_IMMEDIATE_MODE 0

struct nib_gem_compat {
	struct mutex lock;	/* protects the object's list of mappings */
};

static inline void nib_gem_compat_init(struct drm_gem_object *obj, struct nib_gem_compat *compat)
{
	mutex_init(&compat->lock);
	drm_gem_gpuva_set_lock(obj, &compat->lock);
}

static inline struct mutex *nib_gem_compat_lock(struct drm_gem_object *obj,
						struct nib_gem_compat *compat)
{
	return &compat->lock;
}

static inline struct drm_gpuvm_bo *nib_compat_vm_bo_obtain(struct drm_gpuvm_bo *vm_bo,
							   struct mutex *lock)
{
	mutex_lock(lock);
	vm_bo = drm_gpuvm_bo_obtain_prealloc(vm_bo);
	mutex_unlock(lock);
	return vm_bo;
}
#endif

#endif
