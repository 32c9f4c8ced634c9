// SPDX-License-Identifier: GPL-2.0
/*
 * Submission: resolve what can fail, then cross the line after which nothing does.
 *
 * The fence that a job signals is emitted before the job is armed, so that later jobs of the same
 * call can depend on it while everything can still be undone.
 */
#include <linux/dma-fence-chain.h>
#include <linux/slab.h>

#include <drm/drm_file.h>
#include <drm/drm_syncobj.h>

#include "compat.h"
#include "device.h"
#include "drv.h"
#include "evict.h"
#include "lease.h"
#include "queue.h"
#include "stream.h"
#include "submit.h"
#include "trace.h"
#include "uobj.h"
#include "vm.h"

/**
 * struct nib_submit_signal - a point of a syncobj that the batch signals.
 * @link: in nib_submit_ctx.signals.
 * @node: in nib_submit_ctx.points.
 * @handle: syncobj handle.
 * @point: timeline point, 0 for a binary syncobj.
 * @syncobj: syncobj. Holds a reference.
 * @chain: link for a timeline point, else NULL.
 * @fence: fence of the last job so far that signals it. Holds a reference.
 */
struct nib_submit_signal {
	struct list_head link;
	struct rb_node node;
	u32 handle;
	u64 point;
	struct drm_syncobj *syncobj;
	struct dma_fence_chain *chain;
	struct dma_fence *fence;
};

int nib_submit_init(struct nib_submit_ctx *ctx, struct drm_file *file, u32 count)
{
	ctx->file = file;
	ctx->count = 0;
	ctx->nsyncs = 0;
	INIT_LIST_HEAD(&ctx->signals);
	ctx->points = RB_ROOT;
	ctx->jobs = kvzalloc_objs(*ctx->jobs, count);
	return ctx->jobs ? 0 : -ENOMEM;
}

static int nib_submit_check_sync(struct drm_device *drm, const struct nib_sync_op *op)
{
	if (op->flags & ~(NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE)) {
		drm_dbg(drm, "unknown sync flags %#x\n", op->flags);
		return -EINVAL;
	}
	if (!(op->flags & NIB_SYNC_TIMELINE) != !op->point) {
		drm_dbg(drm, "sync point %llu: timelines start at 1, binary syncobjs have 0\n",
			op->point);
		return -EINVAL;
	}
	return 0;
}

/**
 * nib_submit_add - add a job.
 * @ctx: batch, which owns the job from here on, also after an error.
 * @job: job, not armed.
 * @fence: what it will signal, not emitted.
 * @vm: VM whose buffers it uses, which the job keeps; NULL for a bind.
 * @syncs: user array.
 *
 * Returns 0 or -EINVAL, -EFAULT, -ENOMEM.
 */
int nib_submit_add(struct nib_submit_ctx *ctx, struct drm_sched_job *job, struct nib_fence *fence,
		   struct nib_vm *vm, const struct nib_obj_array *syncs)
{
	struct drm_device *drm = ctx->file->minor->dev;
	struct nib_submit_job *sub = &ctx->jobs[ctx->count++];
	u32 i;
	int ret;

	sub->job = job;
	sub->fence = fence;
	sub->vm = vm;
	ret = NIB_UOBJ_GET_ARRAY(drm, sub->syncs, syncs, point);
	if (ret)
		return ret;
	sub->nsyncs = syncs->count;
	ctx->nsyncs += syncs->count;
	if (ctx->nsyncs > NIB_MAX_BATCH) {
		drm_dbg(drm, "more than %u syncs in one call\n", NIB_MAX_BATCH);
		return -EINVAL;
	}
	for (i = 0; i < sub->nsyncs; i++) {
		ret = nib_submit_check_sync(drm, &sub->syncs[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static bool nib_submit_is_before(const struct nib_submit_signal *signal, u32 handle, u64 point)
{
	return signal->handle != handle ? signal->handle < handle : signal->point < point;
}

/* What an earlier job of the batch signals that satisfies a wait: the nearest point. */
static struct nib_submit_signal *nib_submit_find_signal(struct nib_submit_ctx *ctx,
							const struct nib_sync_op *op)
{
	struct nib_submit_signal *signal, *best = NULL;
	struct rb_node *node = ctx->points.rb_node;

	while (node) {
		signal = rb_entry(node, struct nib_submit_signal, node);
		if (nib_submit_is_before(signal, op->handle, op->point)) {
			node = node->rb_right;
		} else {
			best = signal;
			node = node->rb_left;
		}
	}
	return best && best->handle == op->handle && !best->point == !op->point ? best : NULL;
}

static void nib_submit_keep_signal(struct nib_submit_ctx *ctx, struct nib_submit_signal *signal)
{
	struct rb_node **at = &ctx->points.rb_node, *parent = NULL;

	while (*at) {
		parent = *at;
		at = nib_submit_is_before(rb_entry(parent, struct nib_submit_signal, node),
					  signal->handle, signal->point) ?
		     &parent->rb_right : &parent->rb_left;
	}
	rb_link_node(&signal->node, parent, at);
	rb_insert_color(&signal->node, &ctx->points);
	list_add_tail(&signal->link, &ctx->signals);
}

/* A job need not wait for earlier ones of its own queue: they run in order anyway. */
static int nib_submit_add_dep(struct nib_submit_job *sub, struct dma_fence *fence)
{
	if (fence->context == sub->fence->timeline->context) {
		dma_fence_put(fence);
		return 0;
	}
	return drm_sched_job_add_dependency(sub->job, fence);
}

static int nib_submit_wait(struct nib_submit_ctx *ctx, struct nib_submit_job *sub,
			   const struct nib_sync_op *op)
{
	struct drm_device *drm = ctx->file->minor->dev;
	struct nib_submit_signal *signal = nib_submit_find_signal(ctx, op);
	struct dma_fence *fence;
	int ret;

	if (signal) {
		ret = nib_submit_add_dep(sub, dma_fence_get(signal->fence));
		if (ret || !op->point)
			return ret;
		/* A point of a timeline also means what came before it. */
		fence = drm_syncobj_fence_get(signal->syncobj);
		return fence ? nib_submit_add_dep(sub, fence) : 0;
	}
	ret = drm_syncobj_find_fence(ctx->file, op->handle, op->point, 0, &fence);
	if (ret) {
		drm_dbg(drm, "syncobj %u point %llu: no such handle, or nothing to wait for yet\n",
			op->handle, op->point);
		return ret;
	}
	return nib_submit_add_dep(sub, fence);
}

static void nib_submit_free_signal(struct nib_submit_signal *signal)
{
	drm_syncobj_put(signal->syncobj);
	dma_fence_chain_free(signal->chain);
	dma_fence_put(signal->fence);
	kfree(signal);
}

static int nib_submit_new_signal(struct nib_submit_ctx *ctx, const struct nib_sync_op *op,
				 struct nib_fence *fence)
{
	struct nib_submit_signal *signal = kzalloc_obj(*signal, GFP_KERNEL_ACCOUNT);

	if (!signal)
		return -ENOMEM;
	signal->handle = op->handle;
	signal->point = op->point;
	signal->syncobj = drm_syncobj_find(ctx->file, op->handle);
	if (!signal->syncobj) {
		drm_dbg(ctx->file->minor->dev, "no syncobj %u\n", op->handle);
		kfree(signal);
		return -ENOENT;
	}
	if (op->point) {
		signal->chain = dma_fence_chain_alloc();
		if (!signal->chain) {
			nib_submit_free_signal(signal);
			return -ENOMEM;
		}
	}
	signal->fence = dma_fence_get(&fence->base);
	nib_submit_keep_signal(ctx, signal);
	return 0;
}

/* Waits for the VM's buffers, and makes room for the job's fence. The VM's reservation is held. */
static int nib_submit_add_vm(struct nib_submit_ctx *ctx, struct nib_submit_job *sub)
{
	struct dma_resv *resv = nib_vm_resv_obj(sub->vm)->resv;
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	int ret;

	dma_resv_for_each_fence(&cursor, resv, DMA_RESV_USAGE_KERNEL, fence) {
		if (dma_fence_is_signaled(fence))
			continue;
		ret = drm_sched_job_add_dependency(sub->job, dma_fence_get(fence));
		if (ret)
			return ret;
	}
	/* One a job: a batch may name more queues than a client has at a time. */
	return dma_resv_reserve_fences(resv, ctx->count);
}

static int nib_submit_signal(struct nib_submit_ctx *ctx, struct nib_submit_job *sub,
			     const struct nib_sync_op *op)
{
	struct nib_submit_signal *signal = nib_submit_find_signal(ctx, op);

	if (!signal || signal->point != op->point)
		return nib_submit_new_signal(ctx, op, sub->fence);
	/* The last job that signals a point is the one that counts. */
	dma_fence_put(signal->fence);
	signal->fence = dma_fence_get(&sub->fence->base);
	return 0;
}

/* Everything that can fail: waits become dependencies, signals are allocated. */
static int nib_submit_resolve(struct nib_submit_ctx *ctx)
{
	struct nib_submit_job *sub;
	u32 i, k;
	int ret;

	for (i = 0; i < ctx->count; i++) {
		cond_resched();
		sub = &ctx->jobs[i];
		nib_fence_emit(sub->fence);
		sub->done = dma_fence_get(&sub->fence->base);
		if (sub->vm) {
			ret = nib_submit_add_vm(ctx, sub);
			if (ret)
				return ret;
		}
		for (k = 0; k < sub->nsyncs; k++) {
			if (sub->syncs[k].flags & NIB_SYNC_SIGNAL)
				continue;
			ret = nib_submit_wait(ctx, sub, &sub->syncs[k]);
			if (ret)
				return ret;
		}
		for (k = 0; k < sub->nsyncs; k++) {
			if (!(sub->syncs[k].flags & NIB_SYNC_SIGNAL))
				continue;
			ret = nib_submit_signal(ctx, sub, &sub->syncs[k]);
			if (ret)
				return ret;
		}
	}
	return 0;
}

/* Cannot fail. The job may be done, and gone with its queue and VM, before this returns. */
static void nib_submit_push(struct nib_submit_ctx *ctx, struct nib_submit_job *sub)
{
	struct drm_sched_job *job = sub->job;

	trace_nib_job_submit(ctx->file->minor->dev, ctx->file->client_id, sub->fence);
	sub->job = NULL;
	if (!sub->vm) {
		drm_sched_job_arm(job);
		drm_sched_entity_push_job(job);
		return;
	}
	dma_resv_add_fence(nib_vm_resv_obj(sub->vm)->resv, sub->done, DMA_RESV_USAGE_BOOKKEEP);
	nib_run_push(container_of(job, struct nib_run, base));
}

/**
 * nib_submit_commit - hand the batch to the schedulers and its fences to the syncobjs.
 * @ctx: batch. The reservations of the jobs' VMs are held.
 *
 * Returns 0, or -ENOENT, -EINVAL or -ENOMEM with nothing done.
 */
int nib_submit_commit(struct nib_submit_ctx *ctx)
{
	struct nib_file *file = ctx->file->driver_priv;
	struct nib_submit_signal *signal;
	u32 i;
	int ret;

	/* Seqnos, arming and pushing must see the jobs of a queue in one order. */
	mutex_lock(&file->submit_lock);
	ret = nib_submit_resolve(ctx);
	if (ret)
		goto out;

	/* Nothing can fail after this point. */
	for (i = 0; i < ctx->count; i++)
		nib_submit_push(ctx, &ctx->jobs[i]);
	list_for_each_entry(signal, &ctx->signals, link) {
		/* A point goes past all before it that are pending. */
		cond_resched();
		if (signal->chain)
			drm_syncobj_add_point(signal->syncobj, signal->chain, signal->fence,
					      signal->point);
		else
			drm_syncobj_replace_fence(signal->syncobj, signal->fence);
		signal->chain = NULL;
	}
out:
	mutex_unlock(&file->submit_lock);
	return ret;
}

/**
 * nib_submit_fini - free a batch, and the jobs that were not pushed.
 * @ctx: batch.
 * @destroy: frees a job.
 */
void nib_submit_fini(struct nib_submit_ctx *ctx, void (*destroy)(struct drm_sched_job *job))
{
	struct nib_submit_signal *signal, *next;
	u32 i;

	list_for_each_entry_safe(signal, next, &ctx->signals, link)
		nib_submit_free_signal(signal);
	for (i = 0; i < ctx->count; i++) {
		if (ctx->jobs[i].job)
			destroy(ctx->jobs[i].job);
		dma_fence_put(ctx->jobs[i].done);
		kvfree(ctx->jobs[i].syncs);
	}
	kvfree(ctx->jobs);
}

/* --- NIB_SUBMIT --- */

static int nib_submit_check_job(struct drm_device *drm, const struct nib_job *job,
				const struct nib_stream *stream)
{
	if (job->flags || job->nargs < stream->nargs || job->nargs > NIB_MAX_ARGS) {
		drm_dbg(drm, "flags %#x, or %u arguments for a stream that needs %u\n", job->flags,
			job->nargs, stream->nargs);
		return -EINVAL;
	}
	if (job->stats_va & 15 || job->stats_va >= NIB_VA_END) {
		drm_dbg(drm, "stats_va %#llx\n", job->stats_va);
		return -EINVAL;
	}
	return 0;
}

/* Makes the run of a job. */
static struct nib_run *nib_submit_make_run(struct nib_file *file, const struct nib_job *job)
{
	struct drm_device *drm = &file->ndev->drm;
	struct nib_queue *queue = nib_file_find_queue(file, job->queue_id);
	struct nib_stream *stream = NULL;
	struct nib_run *run = ERR_PTR(-ENOENT);
	int ret;

	if (!queue) {
		drm_dbg(drm, "no queue %u\n", job->queue_id);
		return run;
	}
	stream = nib_vm_find_stream(queue->vm, job->stream_id);
	if (!stream) {
		drm_dbg(drm, "no stream %u in the queue's VM\n", job->stream_id);
		goto out;
	}
	ret = nib_submit_check_job(drm, job, stream);
	if (ret) {
		run = ERR_PTR(ret);
		goto out;
	}
	if (READ_ONCE(queue->dead)) {
		drm_dbg(drm, "queue %u is dead\n", job->queue_id);
		run = ERR_PTR(-ECANCELED);
		goto out;
	}
	run = nib_run_create(queue, stream, job->nargs, job->stats_va, file->drm_file->client_id);
	if (!IS_ERR(run) && copy_from_user(run->args, u64_to_user_ptr(job->args),
					   job->nargs * sizeof(run->args[0]))) {
		nib_run_destroy(run);
		run = ERR_PTR(-EFAULT);
	}
out:
	nib_stream_put(&stream);
	nib_queue_put(&queue);
	return run;
}

static void nib_submit_destroy_run(struct drm_sched_job *job)
{
	nib_run_destroy(container_of(job, struct nib_run, base));
}

static int nib_submit_validate(struct nib_submit_ctx *ctx, struct drm_exec *exec, u64 turn)
{
	u32 i;
	int ret;

	for (i = 0; i < ctx->count; i++) {
		if (i && ctx->jobs[i].vm == ctx->jobs[i - 1].vm)
			continue;
		ret = nib_vm_validate(ctx->jobs[i].vm, exec, turn);
		if (ret)
			return ret;
	}
	return 0;
}

static int nib_submit_try_runs(struct nib_submit_ctx *ctx, struct nib_device *ndev)
{
	const u64 turn = nib_residency_begin(ndev);
	struct drm_exec exec;
	int ret;

	/* Room for the VMs, which is all that there is to lock unless something has moved. */
	drm_exec_init(&exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES, ctx->count);
	drm_exec_until_all_locked(&exec) {
		ret = nib_submit_validate(ctx, &exec, turn);
		drm_exec_retry_on_contention(&exec);
	}
	if (!ret)
		ret = nib_submit_commit(ctx);
	drm_exec_fini(&exec);
	return ret == -EINTR ? -ERESTARTSYS : ret;
}

/* What jobs name is brought in just before they are committed, and stays until they are. */
static int nib_submit_try_named(struct nib_submit_ctx *ctx, struct nib_named *named)
{
	int ret;

	nib_named_begin(named);
	ret = nib_submit_try_runs(ctx, named->ndev);
	nib_named_end(named, !ret);
	return ret;
}

/* Commits jobs with the buffers that they need where they need them. */
static int nib_submit_runs(struct nib_submit_ctx *ctx, struct nib_named *named)
{
	int ret = nib_submit_try_named(ctx, named);

	if (ret == -ENOSPC || ret == -ESTALE) {
		/* What was unmapped or freed a moment ago may still be on its way back. */
		nib_device_flush_cleanup(named->ndev);
		ret = nib_submit_try_named(ctx, named);
	}
	return ret == -ESTALE ? -EINVAL : ret;
}

int nib_ioctl_submit(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_file *file = drm_file->driver_priv;
	struct nib_submit *args = data;
	struct nib_submit_ctx ctx;
	struct nib_named named;
	struct nib_job *jobs = NULL;
	u32 i;
	int ret;

	ret = NIB_UOBJ_GET_ARRAY(drm, jobs, &args->jobs, syncs);
	if (ret)
		return ret;
	if (!args->jobs.count)
		return 0;
	/*
	 * What this CPU wrote through a write-combined mapping, before the job that reads it: the
	 * doorbell may be rung by another one.
	 */
	wmb();
	ret = nib_submit_init(&ctx, drm_file, args->jobs.count);
	if (ret)
		goto out_free;
	nib_named_init(&named, file->ndev);
	for (i = 0; i < args->jobs.count && !ret; i++) {
		struct nib_run *run = nib_submit_make_run(file, &jobs[i]);

		ret = PTR_ERR_OR_ZERO(run);
		if (!ret)
			ret = nib_submit_add(&ctx, &run->base, run->fence, run->queue->vm,
					     &jobs[i].syncs);
		if (!ret)
			ret = nib_named_add(&named, drm_file, &jobs[i].leases);
	}
	if (!ret)
		ret = nib_submit_runs(&ctx, &named);
	nib_named_fini(&named);
	nib_submit_fini(&ctx, nib_submit_destroy_run);
out_free:
	kvfree(jobs);
	return ret;
}
