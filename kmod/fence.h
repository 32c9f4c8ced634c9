/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fences of jobs, and the timelines that they are points of. These are the only fences of ours that
 * leave the driver: what the DRM scheduler makes stays inside.
 */
#ifndef NIB_FENCE_H
#define NIB_FENCE_H

#include <linux/dma-fence.h>
#include <linux/kref.h>
#include <linux/spinlock.h>

/**
 * struct nib_timeline - a fence context. One a queue, one a VM's binds.
 * @ref: users: the owner, and every fence until it is freed.
 * @lock: lock of the fences; the owner also protects its own state with it. Taken in interrupts.
 * @context: fence context.
 * @seqno: of the last fence emitted. Whoever emits serialises.
 * @name: what sync_file and debugfs print.
 * @internal: its fences never leave the driver, so that they need not hold the module; see
 *	nib_fence_follow(). Set before the first one is allocated.
 * @rcu: readers of @name may be around until a grace period after the last fence signalled.
 */
struct nib_timeline {
	struct kref ref;
	spinlock_t lock;	/* see above */
	u64 context;
	u64 seqno;
	char name[32];
	bool internal;
	struct rcu_head rcu;
};

/**
 * struct nib_fence - a fence.
 * @base: valid once emitted.
 * @timeline: what it is a point of.
 * @cb: in the one that it follows, if it does.
 * @emitted: false while @base is not initialised.
 */
struct nib_fence {
	struct dma_fence base;	/* first: dma_fence_free() frees it */
	struct nib_timeline *timeline;
	struct dma_fence_cb cb;
	bool emitted;
};

struct nib_timeline *nib_timeline_create(const char *kind, u32 id);
void nib_timeline_put(struct nib_timeline **timeline);

struct nib_fence *nib_fence_alloc(struct nib_timeline *timeline);
void nib_fence_emit(struct nib_fence *fence);
void nib_fence_follow(struct nib_fence *fence, struct dma_fence *leader);
void nib_fence_put(struct nib_fence *fence);
void nib_fence_signal_locked(struct nib_fence *fence, int error);
void nib_fence_signal(struct nib_fence *fence, int error);

#endif
