/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Submitting a batch of jobs, runs of streams or binds of a VM, with what they wait for and what
 * they signal: all of it or nothing.
 */
#ifndef NIB_SUBMIT_H
#define NIB_SUBMIT_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>

#include "nib_drm.h"

struct dma_fence;
struct drm_file;
struct drm_sched_job;
struct nib_fence;
struct nib_vm;

/**
 * struct nib_submit_job - a job of a batch.
 * @job: scheduler's part; NULL once pushed.
 * @fence: what it signals; the job's own reference.
 * @vm: VM whose buffers it uses, or NULL.
 * @done: the same, once committed, with a reference that the batch holds.
 * @syncs: sync operations; the batch frees them.
 * @nsyncs: how many.
 */
struct nib_submit_job {
	struct drm_sched_job *job;
	struct nib_fence *fence;
	struct nib_vm *vm;
	struct dma_fence *done;
	struct nib_sync_op *syncs;
	u32 nsyncs;
};

/**
 * struct nib_submit_ctx - a batch.
 * @file: client.
 * @jobs: jobs, in order.
 * @count: how many of them were added.
 * @nsyncs: syncs of all of them.
 * @signals: struct nib_submit_signal: what syncobjs get once nothing can fail any more, in order.
 * @points: the same, by handle and point.
 */
struct nib_submit_ctx {
	struct drm_file *file;
	struct nib_submit_job *jobs;
	u32 count;
	u32 nsyncs;
	struct list_head signals;
	struct rb_root points;
};

int nib_submit_init(struct nib_submit_ctx *ctx, struct drm_file *file, u32 count);
int nib_submit_add(struct nib_submit_ctx *ctx, struct drm_sched_job *job, struct nib_fence *fence,
		   struct nib_vm *vm, const struct nib_obj_array *syncs);
int nib_submit_commit(struct nib_submit_ctx *ctx);
void nib_submit_fini(struct nib_submit_ctx *ctx, void (*destroy)(struct drm_sched_job *job));

#endif
