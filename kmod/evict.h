/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Residency: which buffers are in HBM, and which make room for others.
 *
 * Jobs need all buffers of their VM. A submit locks the VM's reservation and, if anything has
 * changed since the last one, brings back what is missing (nib_vm_validate()); otherwise it costs a
 * lock and a look. What has not been used for longest goes to host memory first. Use is noted per
 * VM, by a count that every submit takes a number from.
 */
#ifndef NIB_EVICT_H
#define NIB_EVICT_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct drm_exec;
struct nib_bo;
struct nib_device;
struct nib_vm;
struct nib_vm_bo;

/**
 * struct nib_residency - residency of a device.
 * @lock: protects @bos, and what points here in nib_bo, nib_vm and nib_vm_bo.
 * @bos: all buffers.
 * @clock: the count.
 * @charged: bytes of all buffers that were made for HBM.
 * @evicted: bytes moved from HBM to host memory.
 * @restored: bytes moved back.
 */
struct nib_residency {
	spinlock_t lock;	/* see above */
	struct list_head bos;
	atomic64_t clock;
	atomic64_t charged;
	atomic64_t evicted;
	atomic64_t restored;
};

/**
 * struct nib_moved - what was moved of a client's buffers.
 * @ref: client and buffers.
 * @evicted: bytes, as in struct nib_residency.
 * @restored: bytes.
 */
struct nib_moved {
	struct kref ref;
	atomic64_t evicted;
	atomic64_t restored;
};

void nib_residency_init(struct nib_device *ndev);
int nib_residency_charge(struct nib_device *ndev, u64 size);
void nib_residency_uncharge(struct nib_device *ndev, u64 size);
void nib_residency_add(struct nib_bo *bo);
void nib_residency_forget(struct nib_bo *bo);
void nib_residency_touch(struct nib_bo *bo);
u64 nib_residency_begin(struct nib_device *ndev);

struct nib_moved *nib_moved_create(void);
struct nib_moved *nib_moved_get(struct nib_moved *moved);
void nib_moved_put(struct nib_moved **moved);

void nib_vm_bo_remember(struct nib_vm_bo *vm_bo);
void nib_vm_bo_forget(struct nib_vm_bo *vm_bo);
struct nib_vm **nib_bo_get_vms(struct nib_bo *bo, u32 *count);
void nib_bo_set_vms_stale(struct nib_bo *bo);

int nib_vm_validate(struct nib_vm *vm, struct drm_exec *exec, u64 turn);
int nib_hbm_alloc(struct nib_device *ndev, u64 size, u32 how, struct list_head *blocks);
int nib_bo_alloc_hbm(struct nib_bo *bo);
void nib_bo_trim(struct nib_bo *bo);

int nib_bo_pin(struct nib_bo *bo);
int nib_bo_pin_host(struct nib_bo *bo);
void nib_bo_unpin(struct nib_bo *bo);

int nib_evict_all(struct nib_device *ndev);

#endif
