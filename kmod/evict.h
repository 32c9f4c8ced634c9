/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which buffers are in HBM, and which make room for others.
 *
 * Jobs need all buffers of their VM. A submit locks the VM's reservation and, if anything has
 * changed since the last one, brings back what is missing (nib_vm_validate()); otherwise it costs a
 * lock and a look. What has not been used for longest goes to host memory first.
 */
#ifndef NIB_EVICT_H
#define NIB_EVICT_H

#include <linux/types.h>

struct drm_exec;
struct list_head;
struct nib_bo;
struct nib_device;
struct nib_pt_pool;
struct nib_vm;

int nib_vm_validate(struct nib_vm *vm, struct drm_exec *exec, u64 turn);
int nib_bo_validate(struct nib_bo *bo, struct drm_exec *exec, u64 turn);
int nib_bo_move_to_host(struct nib_bo *bo, struct drm_exec *exec, struct nib_pt_pool *pool);
int nib_hbm_alloc(struct nib_device *ndev, u64 size, u32 how, struct list_head *blocks);
int nib_bo_alloc_hbm(struct nib_bo *bo);
int nib_bo_with_lock(struct nib_bo *bo, u32 flags,
		     int (*act)(struct nib_bo *bo, struct drm_exec *exec, u64 turn, void *arg),
		     void *arg);
void nib_bo_trim(struct nib_bo *bo);

#endif
