// SPDX-License-Identifier: GPL-2.0
/*
 * Queues: ring, completions, death. Nothing here allocates once a run is submitted: a run is up to
 * 512 bytes of arguments, one ring entry and a doorbell.
 *
 * When a run faults, or the watchdog finds the queue stuck, the queue is dead: nothing more is
 * given to the device, and a reset of the queue makes the device drop what it has. Fences are
 * signalled only once the device has reported their run or confirmed the reset, since until then it
 * may still write.
 */
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"
#include "dma.h"
#include "drv.h"
#include "dump.h"
#include "queue.h"
#include "stream.h"
#include "trace.h"
#include "vm.h"
#include "watchdog.h"

static struct nib_run *to_nib_run(struct drm_sched_job *job)
{
	return container_of(job, struct nib_run, base);
}

/* Where the firmware says what the queue does; written at any time, so READ_ONCE() it. */
const struct nib_queue_status *nib_queue_status_page(struct nib_queue *queue)
{
	return &queue->ndev->ipc.ctrl->queues[queue->hw_id];
}

/* The error that a fence carries for a way that a run can end; see nib_drm.h. */
static int nib_done_error(u32 status)
{
	switch (status) {
	case NIB_DONE_OK:
		return 0;
	case NIB_DONE_CANCELLED:
		return -ECANCELED;
	case NIB_DONE_FAULT_READ:
	case NIB_DONE_FAULT_WRITE:
		return -EFAULT;
	case NIB_DONE_FAULT_ALIGN:
	case NIB_DONE_FAULT_INDEX:
	case NIB_DONE_FAULT_VALUE:
	case NIB_DONE_FAULT_STREAM:
		return -EINVAL;
	default:
		/* RESET, ECC, and what no firmware should say. */
		return -EIO;
	}
}

/*
 * The run at the head ends with @error and takes the queue with it. Nothing more is given to the
 * device; kill_work makes it drop what it has.
 */
static void nib_queue_die_locked(struct nib_queue *queue, int error, const char *why)
{
	lockdep_assert_held(&queue->timeline->lock);

	queue->state |= NIB_QUEUE_STATE_GUILTY | NIB_QUEUE_STATE_BANNED;
	queue->culprit_error = error;
	queue->dump_why = why;
	queue->dead = -ECANCELED;
	nib_notify_reset(queue->ndev, NIB_RUNG_QUEUE, queue->hw_id);
	/* A queue dies once, so the work is not pending yet. */
	nib_queue_get(queue);
	queue_work(queue->ndev->recovery_wq, &queue->kill_work);
}

/* Takes the core dump that is due, and lets fences be signalled again. */
static void nib_queue_dump(struct nib_queue *queue)
{
	const char *why = READ_ONCE(queue->dump_why);

	lockdep_assert_held(&queue->hw_lock);

	if (!why)
		return;
	nib_dump_capture(queue->ndev, queue, why);
	spin_lock_irq(&queue->timeline->lock);
	queue->dump_why = NULL;
	spin_unlock_irq(&queue->timeline->lock);
}

/* Reads one completion if there is a new one, and signals its fence. */
static bool nib_queue_complete_locked(struct nib_queue *queue)
{
	u32 slot = queue->head % NIB_RING_ENTRIES;
	const struct nib_completion *done =
		queue->ring + NIB_RING_DONE(NIB_RING_ENTRIES) + slot * sizeof(*done);
	struct nib_fence *fence = queue->inflight[slot];
	u32 status;
	int error;

	lockdep_assert_held(&queue->timeline->lock);

	if (queue->dump_why || READ_ONCE(done->phase) != (u32)(queue->head / NIB_RING_ENTRIES + 1))
		return false;
	/* The record was written before its phase. */
	dma_rmb();
	status = READ_ONCE(done->status);
	error = nib_done_error(status);
	if (READ_ONCE(done->seqno) != fence->base.seqno) {
		drm_err_ratelimited(&queue->ndev->drm, "queue %u: completion %llu for fence %llu\n",
				    queue->hw_id, READ_ONCE(done->seqno), fence->base.seqno);
		status = NIB_DONE_NONE;
		error = -EIO;
	}
	if (error && status != NIB_DONE_RESET && !queue->dead) {
		queue->fault_status = status;
		queue->fault_packet = READ_ONCE(done->packet);
		queue->fault_va = READ_ONCE(done->fault_va);
		if (status >= NIB_DONE_FAULT_READ)
			nib_notify_fault(queue->ndev, queue->hw_id, status, queue->fault_va);
		nib_queue_die_locked(queue, error, "a job faulted");
		/* It is read again when the queue was reset. */
		return false;
	}
	queue->usage.cycles += READ_ONCE(done->cycles);

	if (status == NIB_DONE_RESET) {
		queue->state |= NIB_QUEUE_STATE_INNOCENT;
	} else if (queue->dead) {
		/* Whatever the device did with it after the queue died, it is void. */
		error = queue->culprit_error ?: queue->dead;
		queue->culprit_error = 0;
	}
	trace_nib_job_done(queue, fence->base.seqno, error, done);
	queue->inflight[slot] = NULL;
	queue->head++;
	nib_fence_signal_locked(fence, error);
	dma_fence_put(&fence->base);
	return true;
}

/**
 * nib_queue_process - look for completions.
 * @queue: queue that someone keeps attached: it is on a list, or hw_lock is held.
 *
 * In interrupts, and from wherever one might have been lost.
 */
void nib_queue_process(struct nib_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->timeline->lock, flags);
	while (queue->head != queue->tail && nib_queue_complete_locked(queue))
		;
	spin_unlock_irqrestore(&queue->timeline->lock, flags);
}

/* Signals what is in flight though the device never reported it. It must have stopped by now. */
static void nib_queue_drop_inflight(struct nib_queue *queue, int error)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->timeline->lock, flags);
	if (!queue->dead)
		queue->dead = error;
	while (queue->head != queue->tail) {
		u32 slot = queue->head % NIB_RING_ENTRIES;
		struct nib_fence *fence = queue->inflight[slot];

		queue->inflight[slot] = NULL;
		queue->head++;
		nib_fence_signal_locked(fence, queue->culprit_error ?: error);
		queue->culprit_error = 0;
		dma_fence_put(&fence->base);
	}
	spin_unlock_irqrestore(&queue->timeline->lock, flags);
}

static void nib_queue_kill_work(struct work_struct *work)
{
	struct nib_queue *queue = container_of(work, struct nib_queue, kill_work);
	bool cookie = dma_fence_begin_signalling();
	int ret;

	mutex_lock(&queue->hw_lock);
	if (queue->attached) {
		nib_queue_dump(queue);
		ret = NIB_IPC_CALL(queue->ndev, NIB_ADM_QUEUE_RESET, queue->hw_id);
		nib_queue_process(queue);
		nib_queue_drop_inflight(queue, ret ?: -ECANCELED);
	}
	mutex_unlock(&queue->hw_lock);
	dma_fence_end_signalling(cookie);
	nib_queue_put(&queue);
}

/* The watchdog's verdict: the run on the device is stuck. */
void nib_queue_hang(struct nib_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->timeline->lock, flags);
	if (!queue->dead) {
		queue->fault_status = NIB_DONE_CANCELLED;
		nib_queue_die_locked(queue, -EIO, "a job hung");
	}
	spin_unlock_irqrestore(&queue->timeline->lock, flags);
}

/* The device is lost and cannot write any more: everything in flight ends here. */
void nib_queue_abandon(struct nib_queue *queue, int error)
{
	nib_queue_process(queue);
	nib_queue_drop_inflight(queue, error);
}

static void nib_queue_write_entry(struct nib_queue *queue, struct nib_run *run)
{
	u32 slot = queue->tail % NIB_RING_ENTRIES;
	struct nib_ring_entry *entry = queue->ring + slot * sizeof(*entry);

	memcpy(queue->ring + NIB_RING_ARGS(NIB_RING_ENTRIES) + slot * NIB_RING_ARG_BYTES,
	       run->args, run->nargs * sizeof(run->args[0]));
	memset(entry, 0, sizeof(*entry));
	entry->stream = run->stream->id;
	entry->nargs = run->nargs;
	entry->seqno = run->fence->base.seqno;
	entry->stats_va = run->stats_va;
}

static struct dma_fence *nib_queue_run_job(struct drm_sched_job *job)
{
	struct nib_run *run = to_nib_run(job);
	struct nib_queue *queue = run->queue;
	struct nib_device *ndev = queue->ndev;
	unsigned long flags;
	int cookie, error;

	if (!drm_dev_enter(&ndev->drm, &cookie)) {
		nib_fence_signal(run->fence, -ENODEV);
		return dma_fence_get(&run->fence->base);
	}
	if (run->hooks)
		run->hooks->start(run);
	else if (nib_dma_failed(ndev))
		nib_device_lose(ndev, -EIO, "it does not move memory");
	spin_lock_irqsave(&queue->timeline->lock, flags);
	error = queue->dead ?: nib_device_lost(ndev);
	/* The scheduler's credits keep the ring from overflowing. */
	if (!error && drm_WARN_ON(&ndev->drm, queue->tail - queue->head >= NIB_RING_ENTRIES))
		error = -EIO;
	if (error) {
		nib_fence_signal_locked(run->fence, error);
	} else {
		nib_queue_write_entry(queue, run);
		dma_fence_get(&run->fence->base);
		queue->inflight[queue->tail % NIB_RING_ENTRIES] = run->fence;
		queue->streams[queue->tail % NIB_RING_ENTRIES] = run->stream;
		queue->tail++;
		trace_nib_job_run(run, queue->tail);
		/* The entry, and what users wrote through the window, before the doorbell. */
		wmb();
		writel(lower_32_bits(queue->tail),
		       ndev->doorbells + NIB_DOORBELL_QUEUE(queue->hw_id));
	}
	spin_unlock_irqrestore(&queue->timeline->lock, flags);
	if (!error)
		nib_watchdog_arm(ndev);
	drm_dev_exit(cookie);
	return dma_fence_get(&run->fence->base);
}

static void nib_queue_free_job(struct drm_sched_job *job)
{
	nib_run_destroy(to_nib_run(job));
}

static const struct drm_sched_backend_ops nib_queue_sched_ops = {
	.run_job = nib_queue_run_job,
	.free_job = nib_queue_free_job,
};

/**
 * nib_run_create - make a run; the caller fills in its arguments.
 * @queue: queue.
 * @stream: stream of the queue's VM.
 * @nargs: arguments.
 * @stats_va: where the completion is copied to, or 0.
 * @client_id: DRM client that asks, or 0.
 *
 * Returns the run or an ERR_PTR.
 */
struct nib_run *nib_run_create(struct nib_queue *queue, struct nib_stream *stream, u32 nargs,
			       u64 stats_va, u64 client_id)
{
	struct nib_run *run = kzalloc_flex(*run, args, nargs, GFP_KERNEL_ACCOUNT);
	int ret;

	if (!run)
		return ERR_PTR(-ENOMEM);
	run->nargs = nargs;
	run->stats_va = stats_va;
	run->fence = nib_fence_alloc(queue->timeline);
	if (!run->fence) {
		kfree(run);
		return ERR_PTR(-ENOMEM);
	}
	ret = drm_sched_job_init(&run->base, &queue->entity, 1, queue, client_id);
	if (ret) {
		nib_fence_put(run->fence);
		kfree(run);
		return ERR_PTR(ret);
	}
	run->queue = nib_queue_get(queue);
	run->stream = nib_stream_get(stream);
	return run;
}

/* Frees a run that is done, or one that was never pushed. */
void nib_run_destroy(struct nib_run *run)
{
	if (run->hooks)
		run->hooks->release(run);
	drm_sched_job_cleanup(&run->base);
	nib_fence_put(run->fence);
	nib_stream_put(&run->stream);
	nib_queue_put(&run->queue);
	kfree(run);
}

struct nib_queue *nib_queue_get(struct nib_queue *queue)
{
	kref_get(&queue->ref);
	return queue;
}

static void nib_queue_release_work(struct work_struct *work)
{
	struct nib_queue *queue = container_of(work, struct nib_queue, release_work);

	nib_queue_detach(queue, -ECANCELED);
	drm_sched_entity_destroy(&queue->entity);
	drm_sched_fini(&queue->sched);
	mutex_destroy(&queue->hw_lock);
	nib_user_uncharge(queue->vm->user, NIB_LIMIT_QUEUES);
	nib_vm_put(&queue->vm);
	nib_timeline_put(&queue->timeline);
	kfree(queue);
}

static void nib_queue_release(struct kref *ref)
{
	struct nib_queue *queue = container_of(ref, struct nib_queue, ref);

	/* The last run may go in the very scheduler that is to be destroyed. */
	queue_work(nib_cleanup_wq, &queue->release_work);
}

void nib_queue_put(struct nib_queue **queue)
{
	if (*queue)
		kref_put(&(*queue)->ref, nib_queue_release);
	*queue = NULL;
}

/* Gives the queue hardware. Paired with nib_queue_detach(). */
static int nib_queue_attach(struct nib_queue *queue)
{
	struct nib_device *ndev = queue->ndev;
	int ret;

	queue->ring = dma_alloc_coherent(&ndev->pdev->dev, NIB_RING_BYTES(NIB_RING_ENTRIES),
					 &queue->ring_dma, GFP_KERNEL);
	if (!queue->ring)
		return -ENOMEM;
	queue->vector = 1 + queue->hw_id % (ndev->irq.count - 1);
	ret = NIB_IPC_CALL(ndev, NIB_ADM_QUEUE_CREATE, queue->hw_id, queue->vm->context,
			   queue->ring_dma, NIB_RING_ENTRIES,
			   queue->priority | queue->weight << 8 | queue->vector << 24);
	if (ret) {
		dma_free_coherent(&ndev->pdev->dev, NIB_RING_BYTES(NIB_RING_ENTRIES), queue->ring,
				  queue->ring_dma);
		return ret;
	}
	queue->attached = true;
	nib_irq_add_queue(ndev, queue);
	mutex_lock(&ndev->queues_lock);
	list_add_tail(&queue->link, &ndev->queues);
	mutex_unlock(&ndev->queues_lock);
	return 0;
}

/* Nothing more is given to the device; what it has goes on until nib_queue_detach(). */
void nib_queue_stop(struct nib_queue *queue, int error)
{
	spin_lock_irq(&queue->timeline->lock);
	queue->dead = queue->dead ?: error;
	spin_unlock_irq(&queue->timeline->lock);
}

/**
 * nib_queue_detach - take the hardware away from a queue.
 * @queue: queue.
 * @error: what its runs end with.
 *
 * Everything in flight is signalled when it returns. Waits for the firmware, see nib_ipc_call(). A
 * second call does nothing.
 */
void nib_queue_detach(struct nib_queue *queue, int error)
{
	struct nib_device *ndev = queue->ndev;

	mutex_lock(&queue->hw_lock);
	if (!queue->attached)
		goto out;
	nib_queue_stop(queue, error);
	nib_queue_dump(queue);
	/* If this fails the device is lost, and does not write any more either. */
	NIB_IPC_CALL(ndev, NIB_ADM_QUEUE_DESTROY, queue->hw_id);
	nib_irq_remove_queue(ndev, queue);
	mutex_lock(&ndev->queues_lock);
	list_del_init(&queue->link);
	mutex_unlock(&ndev->queues_lock);
	nib_queue_process(queue);
	nib_queue_drop_inflight(queue, nib_device_lost(ndev) ?: error);
	nib_queue_get_usage(queue, NULL);

	spin_lock_irq(&queue->timeline->lock);
	queue->attached = false;
	spin_unlock_irq(&queue->timeline->lock);
	dma_free_coherent(&ndev->pdev->dev, NIB_RING_BYTES(NIB_RING_ENTRIES), queue->ring,
			  queue->ring_dma);
	queue->ring = NULL;
	ida_free(&ndev->queue_ids, queue->hw_id);
out:
	mutex_unlock(&queue->hw_lock);
}

static int nib_queue_init_sched(struct nib_queue *queue)
{
	struct nib_device *ndev = queue->ndev;
	struct drm_gpu_scheduler *sched = &queue->sched;
	const struct drm_sched_init_args args = {
		.ops = &nib_queue_sched_ops,
		.submit_wq = ndev->sched_wq,
		.num_rqs = 1,
		.credit_limit = NIB_RING_ENTRIES,
		/* Jobs time out on the device's clock, not on the wall's: see watchdog.c. */
		.timeout = MAX_SCHEDULE_TIMEOUT,
		.name = queue->timeline->name,
		.dev = &ndev->pdev->dev,
	};
	int ret;

	ret = drm_sched_init(sched, &args);
	if (ret)
		return ret;
	ret = drm_sched_entity_init(&queue->entity, 0, &sched, 1, NULL);
	if (ret)
		drm_sched_fini(sched);
	return ret;
}

/**
 * nib_queue_create - make a queue. Its user calls nib_queue_detach(), then nib_queue_put().
 * @vm: address space.
 * @priority: enum nib_priority.
 * @weight: 1..255.
 *
 * Returns the queue, or an ERR_PTR: -ENFILE if the device has no more queues, -EDQUOT if the VM's
 * user may not have more, -ENOMEM, -ENODEV, -EIO.
 */
struct nib_queue *nib_queue_create(struct nib_vm *vm, u32 priority, u32 weight)
{
	struct nib_device *ndev = vm->ndev;
	struct nib_queue *queue = kzalloc_obj(*queue);
	int ret;

	if (!queue)
		return ERR_PTR(-ENOMEM);
	kref_init(&queue->ref);
	queue->ndev = ndev;
	queue->priority = priority;
	queue->weight = weight;
	mutex_init(&queue->hw_lock);
	INIT_LIST_HEAD(&queue->link);
	INIT_LIST_HEAD(&queue->vector_link);
	INIT_WORK(&queue->kill_work, nib_queue_kill_work);
	INIT_WORK(&queue->release_work, nib_queue_release_work);

	ret = nib_user_charge(vm->user, NIB_LIMIT_QUEUES);
	if (ret)
		goto err_free;
	ret = nib_device_alloc_id(ndev, &ndev->queue_ids, ndev->num_queues);
	if (ret < 0)
		goto err_user;
	queue->hw_id = ret;
	queue->timeline = nib_timeline_create("queue", queue->hw_id);
	if (!queue->timeline) {
		ret = -ENOMEM;
		goto err_id;
	}
	ret = nib_queue_init_sched(queue);
	if (ret)
		goto err_timeline;
	queue->vm = nib_vm_get(vm);
	ret = nib_queue_attach(queue);
	if (ret)
		goto err_vm;
	/* One that lost the device while it was not on the list yet has missed the news. */
	if (nib_device_lost(ndev))
		nib_queue_abandon(queue, nib_device_lost(ndev));
	return queue;

err_vm:
	nib_vm_put(&queue->vm);
	drm_sched_entity_destroy(&queue->entity);
	drm_sched_fini(&queue->sched);
err_timeline:
	nib_timeline_put(&queue->timeline);
err_id:
	ida_free(&ndev->queue_ids, queue->hw_id);
err_user:
	nib_user_uncharge(vm->user, NIB_LIMIT_QUEUES);
err_free:
	mutex_destroy(&queue->hw_lock);
	kfree(queue);
	return ERR_PTR(ret);
}

/**
 * nib_queue_get_usage - what the queue has used.
 * @queue: queue.
 * @usage: out, or NULL to take a last look at the device's counters before it is detached.
 */
void nib_queue_get_usage(struct nib_queue *queue, struct nib_usage *usage)
{
	struct nib_usage *mark = &queue->usage;
	unsigned long flags;

	spin_lock_irqsave(&queue->timeline->lock, flags);
	if (queue->attached) {
		const struct nib_queue_status *status = nib_queue_status_page(queue);

		mark->jobs = max(mark->jobs, READ_ONCE(status->jobs));
		mark->run_ns = max(mark->run_ns, READ_ONCE(status->run_ns));
		mark->energy_pj = max(mark->energy_pj, READ_ONCE(status->energy_pj));
	}
	if (usage)
		*usage = *mark;
	spin_unlock_irqrestore(&queue->timeline->lock, flags);
}

/* --- ioctls --- */

int nib_ioctl_queue_create(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_file *file = drm_file->driver_priv;
	struct nib_queue_create *args = data;
	struct nib_queue *queue;
	struct nib_vm *vm;
	int ret;

	if (args->flags || args->pad || args->weight > NIB_WEIGHT_MAX) {
		drm_dbg(drm, "flags, pad or weight %u out of range\n", args->weight);
		return -EINVAL;
	}
	if (args->priority > NIB_PRIORITY_REALTIME) {
		drm_dbg(drm, "no priority %u\n", args->priority);
		return -EINVAL;
	}
	if (!(nib_file_priorities() & BIT(args->priority))) {
		drm_dbg(drm, "priority %u needs CAP_SYS_NICE\n", args->priority);
		return -EACCES;
	}
	vm = nib_file_find_vm(file, args->vm_id);
	if (!vm)
		return -ENOENT;

	mutex_lock(&file->lock);
	/* The VM's handle must not go while it gets a queue. */
	if (xa_load(&file->vms, args->vm_id) != vm) {
		ret = -ENOENT;
		goto out_unlock;
	}
	ret = xa_alloc(&file->queues, &args->queue_id, NULL, XA_LIMIT(1, NIB_FILE_QUEUES),
		       GFP_KERNEL);
	if (ret) {
		ret = ret == -EBUSY ? -EMFILE : ret;
		goto out_unlock;
	}
	queue = nib_queue_create(vm, args->priority, args->weight ?: NIB_WEIGHT_DEFAULT);
	if (IS_ERR(queue)) {
		xa_erase(&file->queues, args->queue_id);
		ret = PTR_ERR(queue);
		goto out_unlock;
	}
	vm->queues++;
	xa_store(&file->queues, args->queue_id, queue, GFP_KERNEL);
out_unlock:
	mutex_unlock(&file->lock);
	nib_vm_put(&vm);
	return ret;
}

/* Takes a queue that is no longer in the table away from its file. */
void nib_file_close_queue(struct nib_file *file, struct nib_queue *queue)
{
	nib_queue_detach(queue, -ECANCELED);
	mutex_lock(&file->lock);
	queue->vm->queues--;
	nib_file_retire_queue(file, queue);
	mutex_unlock(&file->lock);
	nib_queue_put(&queue);
}

int nib_ioctl_queue_destroy(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_file *file = drm_file->driver_priv;
	struct nib_queue_destroy *args = data;
	struct nib_queue *queue;

	if (args->pad) {
		drm_dbg(drm, "pad is not zero\n");
		return -EINVAL;
	}
	mutex_lock(&file->lock);
	queue = xa_erase(&file->queues, args->queue_id);
	if (queue)
		nib_file_retire_queue(file, queue);
	mutex_unlock(&file->lock);
	if (!queue)
		return -ENOENT;
	nib_file_close_queue(file, queue);
	return 0;
}

int nib_ioctl_queue_get_state(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_queue_get_state *args = data;
	struct nib_queue *queue = nib_file_find_queue(drm_file->driver_priv, args->queue_id);
	struct nib_usage usage;

	if (!queue)
		return -ENOENT;
	nib_queue_get_usage(queue, &usage);
	spin_lock_irq(&queue->timeline->lock);
	args->state = queue->state;
	args->fault_status = queue->fault_status;
	args->fault_packet = queue->fault_packet;
	args->fault_va = queue->fault_va;
	spin_unlock_irq(&queue->timeline->lock);
	args->jobs = usage.jobs;
	args->run_ns = usage.run_ns;
	args->energy_pj = usage.energy_pj;
	args->resets = 0;
	args->pad = 0;
	nib_queue_put(&queue);
	return 0;
}
