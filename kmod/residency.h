/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Residency: which buffers there are, who uses them, and when they were last used. Use is noted per
 * VM, by a count that every submit takes a number from.
 */
#ifndef NIB_RESIDENCY_H
#define NIB_RESIDENCY_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct nib_bo;
struct nib_device;
struct nib_place;
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
 * @host: bytes of all buffers that have pages in host memory just now.
 * @dontneed: bytes of all buffers whose contents are not needed.
 * @nowhere: place of buffers that have no memory.
 */
struct nib_residency {
	spinlock_t lock;	/* see above */
	struct list_head bos;
	atomic64_t clock;
	atomic64_t charged;
	atomic64_t evicted;
	atomic64_t restored;
	atomic64_t host;
	atomic64_t dontneed;
	struct nib_place *nowhere;
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

int nib_residency_init(struct nib_device *ndev);
int nib_residency_charge(struct nib_device *ndev, u64 size);
void nib_residency_uncharge(struct nib_device *ndev, u64 size);
void nib_residency_add(struct nib_bo *bo);
void nib_residency_forget(struct nib_bo *bo);
void nib_residency_touch(struct nib_bo *bo);
void nib_residency_set_dontneed(struct nib_bo *bo, bool dontneed);
u64 nib_residency_begin(struct nib_device *ndev);

struct nib_moved *nib_moved_create(void);
struct nib_moved *nib_moved_get(struct nib_moved *moved);
void nib_moved_put(struct nib_moved **moved);

void nib_vm_bo_remember(struct nib_vm_bo *vm_bo);
void nib_vm_bo_forget(struct nib_vm_bo *vm_bo);
struct nib_vm **nib_bo_get_vms(struct nib_bo *bo, u32 *count);
void nib_bo_set_vms_stale(struct nib_bo *bo);
u64 nib_bo_last_used_locked(const struct nib_bo *bo);

#endif
