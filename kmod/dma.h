/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The copy queue: the device's DMA unit at the driver's service. It zeroes memory, so that no
 * client reads what another one left, and moves buffers between HBM, SRAM and host memory.
 *
 * It is one queue, and everything in it happens in the order in which it was committed. That is
 * what makes memory safe to give away before it is empty: whoever gets HBM or SRAM and lets the
 * copy queue write it first, or waits for what the copy queue has had so far, comes after its last
 * user.
 */
#ifndef NIB_DMA_H
#define NIB_DMA_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "nib_regs.h"

struct dma_fence;
struct nib_bo;
struct nib_device;
struct nib_fence;
struct nib_place;

/**
 * struct nib_dma_batch - what is done in one go.
 * @ref: the owner and the runs.
 * @ndev: device.
 * @runs: runs that are not committed yet, struct nib_dma_run.
 * @fence: signalled when the last of them is done, once committed. Holds a reference.
 * @shared: for reservations, if there is a @start: signalled as @fence is, and holds the module,
 *	which @fence does not.
 * @host: place in host memory that nib_dma_add_host() is about, or NULL. Holds a reference.
 * @start: called once, when all that the batch waits for is done and before the device gets the
 *	first run: where fences are signalled, between drm_dev_enter() and drm_dev_exit(). Not
 *	called if the driver is unbound by then. NULL for none.
 * @free: frees the batch, in a work item of nib_cleanup_wq. NULL for kfree().
 * @free_work: calls @free.
 */
struct nib_dma_batch {
	struct kref ref;
	struct nib_device *ndev;
	struct list_head runs;
	struct dma_fence *fence;
	struct nib_fence *shared;
	struct nib_place *host;
	void (*start)(struct nib_dma_batch *batch);
	void (*free)(struct nib_dma_batch *batch);
	struct work_struct free_work;
};

int nib_dma_init(struct nib_device *ndev);
void nib_dma_fini(struct nib_device *ndev);

void nib_dma_batch_init(struct nib_dma_batch *batch, struct nib_device *ndev,
			void (*free)(struct nib_dma_batch *batch));
void nib_dma_batch_put(struct nib_dma_batch *batch);
int nib_dma_add_fill(struct nib_dma_batch *batch, enum nib_mem mem, u64 addr, u64 size);
int nib_dma_add_copy(struct nib_dma_batch *batch, enum nib_mem dst_mem, u64 dst,
		     enum nib_mem src_mem, u64 src, u64 size);
int nib_dma_add_host(struct nib_dma_batch *batch, bool to_host, u64 offset, enum nib_mem mem,
		     u64 addr, u64 size);
int nib_dma_add_dependency(struct nib_dma_batch *batch, struct dma_fence *fence);
int nib_dma_commit(struct nib_dma_batch *batch);

struct dma_fence *nib_dma_clear(struct nib_device *ndev, const struct nib_bo *bo);
int nib_dma_clear_wait(struct nib_device *ndev, struct dma_fence *fence);
int nib_dma_wait_moves(struct nib_device *ndev, long timeout);
bool nib_dma_failed(struct nib_device *ndev);

#endif
