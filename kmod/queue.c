// SPDX-License-Identifier: GPL-2.0
/*
 * Queues: ring, completions, death. Nothing here allocates once a run is submitted: a run is up to
 * 512 bytes of arguments, one ring entry and a doorbell.
 *
 * When a run faults, or is found stuck, the queue is dead: nothing more is given to the device, and
 * recovery makes the device drop what it has. Fences are signalled only once the device has
 * reported their run or is known to have stopped, since until then it may still write. What a queue
 * lives through when the device does not go on as it was is in queue_recover.c.
 */
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"
#include "dma.h"
#include "drv.h"
#include "notify.h"
#include "queue.h"
#include "recovery.h"
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

static bool nib_done_is_valid(u32 status)
{
	return (status >= NIB_DONE_OK && status <= NIB_DONE_RESET) ||
	       (status >= NIB_DONE_FAULT_READ && status <= NIB_DONE_FAULT_ECC);
}

/* Nothing more is given to the device; recovery makes it drop what it has. */
void nib_queue_die_locked(struct nib_queue *queue, u32 state, const char *why)
{
	lockdep_assert_held(&queue->timeline->lock);

	queue->state |= state;
	if (queue->dead)
		return;
	queue->dead = -ECANCELED;
	queue->incident = true;
	queue->why = why;
	nib_recovery_request(queue->ndev, NIB_RUNG_QUEUE, queue, why);
}

/*
 * A run of the driver's own went wrong. It is no client's fault, and it may be done twice, so it is
 * done again a few times before anybody has to suffer. True if that is so.
 */
bool nib_queue_try_again_locked(struct nib_queue *queue)
{
	lockdep_assert_held(&queue->timeline->lock);

	if (!(queue->flags & NIB_QUEUE_KERNEL) || queue->dead ||
	    queue->strikes++ >= NIB_QUEUE_STRIKES)
		return false;
	queue->redo = true;
	nib_recovery_request(queue->ndev, NIB_RUNG_JOB, queue, "a job of the driver went wrong");
	return true;
}

/*
 * The device wrote what no device should into a completion. Only this queue has to do with it, and
 * it cannot be told what else of it is wrong.
 */
static void nib_queue_distrust_locked(struct nib_queue *queue, const struct nib_completion *done)
{
	lockdep_assert_held(&queue->timeline->lock);

	drm_err_ratelimited(&queue->ndev->drm,
			    "queue %u: bad completion: phase %u, status %u, seqno %llu\n",
			    queue->hw_id, READ_ONCE(done->phase), READ_ONCE(done->status),
			    READ_ONCE(done->seqno));
	if (nib_queue_try_again_locked(queue))
		return;
	queue->corrupt = true;
	queue->fault_status = nib_done_is_valid(READ_ONCE(done->status)) ? NIB_DONE_NONE :
			      READ_ONCE(done->status);
	queue->culprit_error = -EIO;
	nib_queue_die_locked(queue, NIB_QUEUE_STATE_INNOCENT | NIB_QUEUE_STATE_BANNED,
			     "a completion is corrupt");
}

/* A run of a queue that lives has faulted. Its completion is read again after the core dump. */
static void nib_queue_fault_locked(struct nib_queue *queue, const struct nib_completion *done)
{
	struct nib_device *ndev = queue->ndev;
	u32 blame;

	lockdep_assert_held(&queue->timeline->lock);

	queue->fault_status = READ_ONCE(done->status);
	blame = queue->fault_status == NIB_DONE_FAULT_ECC ? NIB_QUEUE_STATE_INNOCENT :
							    NIB_QUEUE_STATE_GUILTY;
	queue->fault_packet = READ_ONCE(done->packet);
	queue->fault_va = READ_ONCE(done->fault_va);
	nib_notify_fault(ndev, queue->hw_id, queue->fault_status, queue->fault_va);
	if (nib_queue_try_again_locked(queue))
		return;
	if (queue->flags & NIB_QUEUE_KEEP_GOING) {
		queue->state |= blame;
		queue->faulted = true;
		queue->incident = true;
		queue->why = "a job faulted";
		nib_recovery_request(ndev, NIB_RUNG_JOB, queue, queue->why);
	} else {
		queue->culprit_error = nib_done_error(queue->fault_status);
		nib_queue_die_locked(queue, blame | NIB_QUEUE_STATE_BANNED, "a job faulted");
	}
}

/* What the fence of a run says whose completion is sound and was not seen before the core dump. */
static int nib_queue_judge_locked(struct nib_queue *queue, u32 status)
{
	bool hung = queue->hung;

	lockdep_assert_held(&queue->timeline->lock);

	queue->hung = false;
	queue->faulted = false;
	if (status == NIB_DONE_OK) {
		queue->strikes = 0;
		return 0;
	}
	if (status >= NIB_DONE_FAULT_READ)
		return nib_done_error(status);
	/* Another one's reset, or its own job's after all. The device waits to be told to go on. */
	if (!hung) {
		queue->state |= NIB_QUEUE_STATE_INNOCENT;
		nib_recovery_request(queue->ndev, NIB_RUNG_JOB, queue, "reset");
	}
	return hung ? -ETIMEDOUT : -EIO;
}

/* Reads one completion if there is a new one, and signals its fence. */
static bool nib_queue_complete_locked(struct nib_queue *queue)
{
	u32 slot = queue->head % NIB_RING_ENTRIES, expected = queue->head / NIB_RING_ENTRIES + 1;
	const struct nib_completion *done =
		queue->ring + NIB_RING_DONE(NIB_RING_ENTRIES) + slot * sizeof(*done);
	struct nib_fence *fence = queue->inflight[slot];
	u32 phase = READ_ONCE(done->phase), status;
	int error;

	lockdep_assert_held(&queue->timeline->lock);

	/* Older ones are of runs that have ended, perhaps without a word of the device. */
	if (phase < expected || queue->corrupt || queue->incident || queue->redo)
		return false;
	/* The record was written before its phase. */
	dma_rmb();
	status = READ_ONCE(done->status);
	if (phase != expected || READ_ONCE(done->seqno) != fence->base.seqno ||
	    !nib_done_is_valid(status)) {
		nib_queue_distrust_locked(queue, done);
		return false;
	}
	if (status >= NIB_DONE_FAULT_READ && !queue->dead && !queue->faulted) {
		nib_queue_fault_locked(queue, done);
		return false;
	}
	if (status != NIB_DONE_OK && queue->flags & NIB_QUEUE_KERNEL && !queue->dead) {
		queue->redo = true;
		nib_recovery_request(queue->ndev, NIB_RUNG_JOB, queue, "reset");
		return false;
	}
	queue->usage.cycles += READ_ONCE(done->cycles);
	if (queue->dead) {
		/* Whatever the device did with it after the queue died, it is void. */
		error = queue->culprit_error ?: queue->dead;
		queue->culprit_error = 0;
	} else {
		error = nib_queue_judge_locked(queue, status);
	}
	trace_nib_job_done(queue, fence->base.seqno, error, done);
	nib_queue_end_head_locked(queue, error);
	return true;
}

static void nib_run_retire_work(struct work_struct *work)
{
	nib_run_destroy(container_of(work, struct nib_run, retire_work));
}

/* Frees a run that the scheduler has not seen, soon. */
static void nib_run_retire(struct nib_run *run)
{
	queue_work(nib_cleanup_wq, &run->retire_work);
}

/* Ends the oldest run in flight, of which the device has reported the end or cannot any more. */
void nib_queue_end_head_locked(struct nib_queue *queue, int error)
{
	u32 slot = queue->head % NIB_RING_ENTRIES;
	struct nib_fence *fence = queue->inflight[slot];

	lockdep_assert_held(&queue->timeline->lock);

	queue->inflight[slot] = NULL;
	queue->head++;
	nib_fence_signal_locked(fence, error);
	dma_fence_put(&fence->base);
	if (queue->direct)
		nib_run_retire(queue->direct);
	queue->direct = NULL;
}

/**
 * nib_queue_process - look for completions.
 * @queue: queue that someone keeps attached: it is on a list, or its owner is at it.
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
void nib_queue_drop_inflight_locked(struct nib_queue *queue, int error)
{
	lockdep_assert_held(&queue->timeline->lock);

	queue->dead = queue->dead ?: error;
	if (queue->hung)
		queue->culprit_error = -ETIMEDOUT;
	queue->hung = false;
	while (queue->head != queue->tail) {
		nib_queue_end_head_locked(queue, queue->culprit_error ?: error);
		queue->culprit_error = 0;
	}
}

static void nib_queue_drop_inflight(struct nib_queue *queue, int error)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->timeline->lock, flags);
	nib_queue_drop_inflight_locked(queue, error);
	spin_unlock_irqrestore(&queue->timeline->lock, flags);
}

/* The device is lost and cannot write any more: everything in flight ends here. */
void nib_queue_abandon(struct nib_queue *queue, int error)
{
	nib_queue_process(queue);
	nib_queue_drop_inflight(queue, error);
}

/* Tells the device how far the ring is filled. Where nobody listens, nib_gate_open() does it. */
static void nib_queue_ring_locked(struct nib_queue *queue)
{
	struct nib_device *ndev = queue->ndev;

	if (!nib_gate_lets_ring(&ndev->gate, queue->flags & NIB_QUEUE_KERNEL))
		return;
	/* The entry, and what users wrote through the window, before the doorbell. */
	wmb();
	writel(lower_32_bits(queue->tail),
	       ndev->doorbells + NIB_DOORBELL_QUEUE(queue->hw_id));
}

/* Once more, for a device that may have missed it. Does no harm to one that has not. */
void nib_queue_ring(struct nib_queue *queue)
{
	spin_lock_irq(&queue->timeline->lock);
	if (queue->attached && queue->head != queue->tail)
		nib_queue_ring_locked(queue);
	spin_unlock_irq(&queue->timeline->lock);
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

/*
 * Gives a run whose dependencies are met to the device, or ends it if there is no device for it any
 * more. Returns the error that it ended with.
 */
static int nib_queue_start(struct nib_run *run)
{
	struct nib_queue *queue = run->queue;
	struct nib_device *ndev = queue->ndev;
	unsigned long flags;
	int cookie, error;
	bool present = drm_dev_enter(&ndev->drm, &cookie);

	if (present && run->hooks)
		run->hooks->start(run);
	else if (present && nib_dma_failed(ndev))
		nib_device_lose(ndev, -EIO, "it does not move memory");
	spin_lock_irqsave(&queue->timeline->lock, flags);
	error = !present ? -ENODEV : queue->dead ?: nib_device_lost(ndev);
	/* The scheduler's credits and the rule of nib_run_push() keep the ring from overflowing. */
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
		if (run->direct)
			queue->direct = run;
		trace_nib_job_run(run, queue->tail);
		nib_queue_ring_locked(queue);
	}
	if (!run->direct)
		queue->scheduled--;
	spin_unlock_irqrestore(&queue->timeline->lock, flags);
	if (!error)
		nib_watchdog_arm(ndev);
	if (present)
		drm_dev_exit(cookie);
	return error;
}

static struct dma_fence *nib_queue_run_job(struct drm_sched_job *job)
{
	struct nib_run *run = to_nib_run(job);

	nib_queue_start(run);
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
	INIT_WORK(&run->retire_work, nib_run_retire_work);
	run->queue = nib_queue_get(queue);
	run->stream = nib_stream_get(stream);
	/* Whoever makes a run holds the device awake meanwhile. */
	nib_pm_get_awake(queue->ndev);
	return run;
}

/* Frees a run that is done, or one that was never pushed. */
void nib_run_destroy(struct nib_run *run)
{
	if (run->hooks)
		run->hooks->release(run);
	drm_sched_job_cleanup(&run->base);
	nib_fence_put(run->fence);
	nib_pm_put(run->queue->ndev);
	nib_stream_put(&run->stream);
	nib_queue_put(&run->queue);
	kfree(run);
}

/* Decides whether a run starts without the scheduler, and notes it. */
static bool nib_run_starts_now(struct nib_run *run)
{
	struct nib_queue *queue = run->queue;
	struct dma_fence *fence;
	unsigned long index;
	bool free = !(queue->flags & NIB_QUEUE_KERNEL);

	xa_for_each(&run->base.dependencies, index, fence)
		free = free && dma_fence_is_signaled(fence);
	spin_lock_irq(&queue->timeline->lock);
	run->direct = free && !queue->scheduled && queue->head == queue->tail;
	queue->scheduled += !run->direct;
	spin_unlock_irq(&queue->timeline->lock);
	return run->direct;
}

/**
 * nib_run_push - hand over a run; it starts once its dependencies are met, and frees itself.
 * @run: run with an emitted fence. Who pushes to a queue serialises, in the order of fences.
 *
 * A client's run with nothing to wait for goes to the device at once if its queue has nothing
 * before it: it is spared two turns of the scheduler's workers. So of the ring's entries it takes
 * one at most, and the scheduler the others.
 */
void nib_run_push(struct nib_run *run)
{
	if (nib_run_starts_now(run)) {
		if (nib_queue_start(run))
			nib_run_retire(run);
		return;
	}
	drm_sched_job_arm(&run->base);
	drm_sched_entity_push_job(&run->base);
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

/* Takes the queue off the lists that look at it, and lets go of its ring. */
static void nib_queue_strip(struct nib_queue *queue)
{
	struct nib_device *ndev = queue->ndev;

	nib_irq_remove_queue(ndev, queue);
	mutex_lock(&ndev->queues_lock);
	list_del_init(&queue->link);
	mutex_unlock(&ndev->queues_lock);
	/* The device has stopped, but perhaps not without having its say. */
	nib_queue_process(queue);
	nib_queue_drop_inflight(queue, nib_device_lost(ndev) ?: queue->dead ?: -EIO);
	nib_queue_get_usage(queue, NULL);

	spin_lock_irq(&queue->timeline->lock);
	queue->attached = false;
	spin_unlock_irq(&queue->timeline->lock);
	dma_free_coherent(&ndev->pdev->dev, NIB_RING_BYTES(NIB_RING_ENTRIES), queue->ring,
			  queue->ring_dma);
	queue->ring = NULL;
}

/*
 * Gives the queue hardware. Paired with nib_queue_detach(), which others may call as soon as it is
 * on the device's list.
 */
static int nib_queue_attach(struct nib_queue *queue)
{
	struct nib_device *ndev = queue->ndev;
	int cookie;

	/* Who unbinds the driver meanwhile waits until the queue is where he looks for it. */
	if (!drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	queue->ring = dma_alloc_coherent(&ndev->pdev->dev, NIB_RING_BYTES(NIB_RING_ENTRIES),
					 &queue->ring_dma, GFP_KERNEL);
	if (!queue->ring) {
		drm_dev_exit(cookie);
		return -ENOMEM;
	}
	queue->vector = 1 + queue->hw_id % (ndev->irq.count - 1);
	/* What the last queue of this id left there. */
	memset(&ndev->ipc.ctrl->queues[queue->hw_id], 0, sizeof(ndev->ipc.ctrl->queues[0]));
	queue->attached = true;
	atomic_inc(&ndev->attached);
	/* Whoever stops the firmware must see it from before the firmware does. */
	nib_irq_add_queue(ndev, queue);
	mutex_lock(&ndev->queues_lock);
	list_add_tail(&queue->link, &ndev->queues);
	mutex_unlock(&ndev->queues_lock);
	drm_dev_exit(cookie);
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
 * Everything in flight is signalled when it returns. Waits for the firmware, see nib_ipc_destroy().
 * A second call only waits for the first one.
 */
void nib_queue_detach(struct nib_queue *queue, int error)
{
	struct nib_device *ndev = queue->ndev;
	bool mine;

	spin_lock_irq(&queue->timeline->lock);
	mine = !queue->detaching;
	queue->detaching = true;
	queue->dead = queue->dead ?: error;
	spin_unlock_irq(&queue->timeline->lock);
	if (!mine) {
		wait_for_completion(&queue->detached);
		return;
	}
	nib_queue_dump(queue);
	nib_recovery_forget(queue);
	/* If this fails the device is lost, and does not write any more either. */
	nib_ipc_destroy(ndev, &queue->object, NIB_ADM_QUEUE_DESTROY, NIB_IPC_ARGS(queue->hw_id));
	/* Or the driver is being unbound, and will stop it. */
	if (drm_dev_is_unplugged(&ndev->drm))
		wait_for_completion(&ndev->stopped);
	nib_queue_strip(queue);
	nib_recovery_forget(queue);
	ida_free(&ndev->queue_ids, queue->hw_id);
	complete_all(&queue->detached);
	if (atomic_dec_and_test(&ndev->attached))
		wake_up_var(&ndev->attached);
}

static int nib_queue_init_sched(struct nib_queue *queue)
{
	struct nib_device *ndev = queue->ndev;
	struct drm_gpu_scheduler *sched = &queue->sched;
	const struct drm_sched_init_args args = {
		.ops = &nib_queue_sched_ops,
		/* The driver's own runs change page tables first, which may take a while. */
		.submit_wq = queue->flags & NIB_QUEUE_KERNEL ? ndev->sched_wq : ndev->run_wq,
		.num_rqs = 1,
		.credit_limit = NIB_RING_ENTRIES - 1,
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
 * @flags: NIB_QUEUE_KEEP_GOING, NIB_QUEUE_KERNEL.
 *
 * Returns the queue, or an ERR_PTR: -ENFILE if the device has no more queues, -EDQUOT if the VM's
 * user may not have more, -ENOMEM, -ENODEV, -EIO.
 */
struct nib_queue *nib_queue_create(struct nib_vm *vm, u32 priority, u32 weight, u32 flags)
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
	queue->flags = flags;
	INIT_LIST_HEAD(&queue->link);
	INIT_LIST_HEAD(&queue->vector_link);
	INIT_LIST_HEAD(&queue->trouble_link);
	INIT_LIST_HEAD(&queue->object.link);
	init_completion(&queue->detached);
	queue->object.kind = NIB_FW_KIND_QUEUE;
	queue->object.restore = nib_queue_restore;
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
	ret = nib_ipc_create(ndev, &queue->object, NIB_ADM_QUEUE_CREATE,
			     NIB_IPC_ARGS(queue->hw_id, vm->context, queue->ring_dma,
					  NIB_RING_ENTRIES, nib_queue_how(queue)));
	if (ret) {
		nib_queue_detach(queue, ret);
		nib_queue_put(&queue);
		return ERR_PTR(ret);
	}
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
	kfree(queue);
	return ERR_PTR(ret);
}

/* Takes over what the device has counted since it knows the queue. */
void nib_queue_read_usage_locked(struct nib_queue *queue)
{
	const struct nib_queue_status *status = nib_queue_status_page(queue);
	const struct nib_usage *base = &queue->usage_base;
	struct nib_usage *mark = &queue->usage;

	lockdep_assert_held(&queue->timeline->lock);

	mark->jobs = max(mark->jobs, base->jobs + READ_ONCE(status->jobs));
	mark->run_ns = max(mark->run_ns, base->run_ns + READ_ONCE(status->run_ns));
	mark->energy_pj = max(mark->energy_pj, base->energy_pj + READ_ONCE(status->energy_pj));
}

/**
 * nib_queue_get_usage - what the queue has used.
 * @queue: queue.
 * @usage: out, or NULL to take a last look at the device's counters before it is detached.
 */
void nib_queue_get_usage(struct nib_queue *queue, struct nib_usage *usage)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->timeline->lock, flags);
	if (queue->attached)
		nib_queue_read_usage_locked(queue);
	if (usage)
		*usage = queue->usage;
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

	if (args->flags & ~NIB_QUEUE_KEEP_GOING || args->pad || args->weight > NIB_WEIGHT_MAX) {
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
	if (xa_load(&file->vms, args->vm_id) == vm)
		ret = xa_alloc(&file->queues, &args->queue_id, NULL,
			       XA_LIMIT(1, NIB_FILE_QUEUES), GFP_KERNEL);
	else
		ret = -ENOENT;
	if (!ret)
		vm->queues++;
	mutex_unlock(&file->lock);
	if (ret) {
		ret = ret == -EBUSY ? -EMFILE : ret;
		goto out_vm;
	}
	queue = nib_queue_create(vm, args->priority, args->weight ?: NIB_WEIGHT_DEFAULT,
				 args->flags);
	mutex_lock(&file->lock);
	if (IS_ERR(queue)) {
		xa_erase(&file->queues, args->queue_id);
		vm->queues--;
		ret = PTR_ERR(queue);
	} else {
		/* Cannot fail: the slot is reserved, and nobody but us can free it. */
		xa_store(&file->queues, args->queue_id, queue, GFP_KERNEL);
	}
	mutex_unlock(&file->lock);
out_vm:
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
	/* One that is only being created stays reserved. */
	queue = xa_load(&file->queues, args->queue_id);
	if (queue) {
		xa_erase(&file->queues, args->queue_id);
		nib_file_retire_queue(file, queue);
	}
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
	args->resets = queue->resets;
	spin_unlock_irq(&queue->timeline->lock);
	args->jobs = usage.jobs;
	args->run_ns = usage.run_ns;
	args->energy_pj = usage.energy_pj;
	args->pad = 0;
	nib_queue_put(&queue);
	return 0;
}
