// SPDX-License-Identifier: GPL-2.0
/*
 * What queues live through when something does not go as it should: being blamed, being cancelled,
 * and going on under a firmware that was started anew. Who decides that is recovery.c.
 */
#include "device.h"
#include "dump.h"
#include "queue.h"
#include "recovery.h"
#include "vm.h"

/**
 * nib_queue_blame - the run at the head of the queue is stuck.
 * @queue: queue.
 *
 * The queue is guilty from here on, whatever will be needed to end the run, and dead unless it was
 * made to keep going.
 */
void nib_queue_blame(struct nib_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->timeline->lock, flags);
	if (queue->dead || queue->hung || queue->head == queue->tail)
		goto out;
	queue->fault_status = NIB_DONE_CANCELLED;
	queue->fault_packet = READ_ONCE(nib_queue_status_page(queue)->job_packets);
	queue->fault_va = 0;
	if (queue->flags & (NIB_QUEUE_KERNEL | NIB_QUEUE_KEEP_GOING) &&
	    queue->strikes++ < NIB_QUEUE_STRIKES) {
		queue->state |= NIB_QUEUE_STATE_GUILTY;
		queue->hung = true;
		queue->incident = true;
		queue->why = "a job is stuck";
		nib_recovery_request(queue->ndev, NIB_RUNG_JOB, queue, queue->why);
	} else {
		queue->culprit_error = -ETIMEDOUT;
		nib_queue_die_locked(queue, NIB_QUEUE_STATE_GUILTY | NIB_QUEUE_STATE_BANNED,
				     "a job is stuck");
	}
out:
	spin_unlock_irqrestore(&queue->timeline->lock, flags);
}

/* The firmware has counted a run as done whose completion is not there. */
static bool nib_queue_has_missed_locked(struct nib_queue *queue)
{
	u64 jobs = READ_ONCE(nib_queue_status_page(queue)->jobs);

	lockdep_assert_held(&queue->timeline->lock);

	return queue->head != queue->tail && queue->first + jobs > queue->head;
}

/* The same, for a first look: the completion may be on its way, or just not have been read. */
bool nib_queue_has_missed(struct nib_queue *queue)
{
	unsigned long flags;
	bool missed;

	spin_lock_irqsave(&queue->timeline->lock, flags);
	missed = !queue->incident && !queue->redo && nib_queue_has_missed_locked(queue);
	spin_unlock_irqrestore(&queue->timeline->lock, flags);
	return missed;
}

/* It did not come. The queue cannot go on without, though it is none of its fault. */
void nib_queue_miss(struct nib_queue *queue)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->timeline->lock, flags);
	if (!queue->dead && nib_queue_has_missed_locked(queue) &&
	    !nib_queue_try_again_locked(queue)) {
		queue->corrupt = true;
		queue->fault_status = NIB_DONE_NONE;
		queue->culprit_error = -EIO;
		nib_queue_die_locked(queue, NIB_QUEUE_STATE_INNOCENT | NIB_QUEUE_STATE_BANNED,
				     "a completion is missing");
	}
	spin_unlock_irqrestore(&queue->timeline->lock, flags);
}

/**
 * nib_queue_dump - take the core dump that is due, and let fences be signalled again.
 * @queue: queue.
 *
 * Returns false if none is due.
 */
bool nib_queue_dump(struct nib_queue *queue)
{
	const char *why;
	bool due;

	spin_lock_irq(&queue->timeline->lock);
	due = queue->incident;
	why = queue->why;
	spin_unlock_irq(&queue->timeline->lock);
	if (!due)
		return false;
	nib_dump_capture(queue->ndev, queue, why);
	spin_lock_irq(&queue->timeline->lock);
	queue->incident = false;
	spin_unlock_irq(&queue->timeline->lock);
	return true;
}

/* What the queue's trouble calls for: NIB_RUNG_JOB or NIB_RUNG_QUEUE. */
enum nib_rung nib_queue_rung(struct nib_queue *queue)
{
	return READ_ONCE(queue->dead) ? NIB_RUNG_QUEUE : NIB_RUNG_JOB;
}

/* What is in flight has never been completed, whatever the device has posted. */
static void nib_queue_forget_completions_locked(struct nib_queue *queue)
{
	struct nib_completion *done = queue->ring + NIB_RING_DONE(NIB_RING_ENTRIES);
	u64 job;

	lockdep_assert_held(&queue->timeline->lock);

	for (job = queue->head; job != queue->tail; job++)
		WRITE_ONCE(done[job % NIB_RING_ENTRIES].phase, job / NIB_RING_ENTRIES);
	queue->hung = false;
	queue->redo = false;
	queue->skip = 0;
}

/* The device is about to count from 0 again. */
static void nib_queue_keep_usage_locked(struct nib_queue *queue)
{
	struct nib_ctrl *ctrl = queue->ndev->ipc.ctrl;

	nib_queue_read_usage_locked(queue);
	queue->usage_base = queue->usage;
	memset(&ctrl->queues[queue->hw_id], 0, sizeof(ctrl->queues[0]));
}

/* The device does not know the driver's own queue any more: it is told again what is to do. */
static int nib_queue_redo(struct nib_queue *queue, unsigned int ms)
{
	struct nib_device *ndev = queue->ndev;
	u64 first;
	int ret;

	spin_lock_irq(&queue->timeline->lock);
	first = queue->head;
	queue->first = first;
	nib_queue_keep_usage_locked(queue);
	spin_unlock_irq(&queue->timeline->lock);
	ret = nib_ipc_try(ndev, &queue->object, ms, NIB_ADM_QUEUE_CREATE,
			  NIB_IPC_ARGS(queue->hw_id, queue->vm->context, queue->ring_dma,
				       NIB_RING_ENTRIES, nib_queue_how(queue), first, 0));
	if (ret)
		return ret;
	nib_queue_ring(queue);
	return 0;
}

/**
 * nib_queue_cancel - make the device drop the stuck run, or all that it has of the queue.
 * @queue: queue.
 * @rung: NIB_RUNG_JOB or NIB_RUNG_QUEUE.
 * @ms: silence after which to give up.
 *
 * Without a run to end, NIB_RUNG_JOB only makes a queue go on that the device has halted. Returns
 * 0; -ETIMEDOUT; -EPROTO if the firmware refuses; or another error if the device is lost.
 */
int nib_queue_cancel(struct nib_queue *queue, enum nib_rung rung, unsigned int ms)
{
	bool redo = rung == NIB_RUNG_JOB && queue->flags & NIB_QUEUE_KERNEL;
	u16 op = redo ? NIB_ADM_QUEUE_DESTROY : rung == NIB_RUNG_JOB ? NIB_ADM_JOB_CANCEL :
		 NIB_ADM_QUEUE_RESET;
	u64 job = U64_MAX;
	bool detaching;
	int ret;

	spin_lock_irq(&queue->timeline->lock);
	if (queue->hung)
		job = queue->head;
	queue->redo |= redo;
	detaching = queue->detaching;
	spin_unlock_irq(&queue->timeline->lock);
	/* Who takes the hardware away ends all of it, and waits for us only if we have begun. */
	if (detaching)
		return 0;
	ret = nib_ipc_try(queue->ndev, &queue->object, ms, op,
			  NIB_IPC_ARGS(queue->hw_id, rung == NIB_RUNG_JOB && !redo ? job : 0));
	return ret ?: nib_queue_cancelled(queue, rung, ms);
}

/**
 * nib_queue_cancelled - the device has dropped what nib_queue_cancel() said.
 * @queue: queue.
 * @rung: as there.
 * @ms: as there.
 *
 * What the device did not report although it should have ends here. Returns as there.
 */
int nib_queue_cancelled(struct nib_queue *queue, enum nib_rung rung, unsigned int ms)
{
	bool again;

	nib_queue_process(queue);
	if (nib_device_lost(queue->ndev))
		return 0;
	spin_lock_irq(&queue->timeline->lock);
	/* Otherwise a firmware that has started meanwhile knows already. */
	again = queue->redo;
	if (rung == NIB_RUNG_QUEUE)
		nib_queue_drop_inflight_locked(queue, queue->dead ?: -ECANCELED);
	else if (again)
		nib_queue_forget_completions_locked(queue);
	spin_unlock_irq(&queue->timeline->lock);
	return again && rung == NIB_RUNG_JOB ? nib_queue_redo(queue, ms) : 0;
}

/* The engine was reset. Whose packet was on it is told by a completion. */
void nib_queue_outlive_engine(struct nib_queue *queue)
{
	spin_lock_irq(&queue->timeline->lock);
	queue->resets++;
	spin_unlock_irq(&queue->timeline->lock);
	nib_queue_process(queue);
}

/* What the firmware that has stopped says of the run at the head of a queue. */
struct nib_queue_place {
	bool started;
	bool on_engine;		/* perhaps in the middle of a packet */
	u64 packets;		/* completed, if not */
};

static void nib_queue_find_place_locked(struct nib_queue *queue, struct nib_queue_place *place)
{
	const struct nib_queue_status *status = nib_queue_status_page(queue);
	u32 running = READ_ONCE(status->running), seqno = READ_ONCE(status->seqno);
	const struct nib_fence *fence = queue->inflight[queue->head % NIB_RING_ENTRIES];

	*place = (struct nib_queue_place){};
	/* A run whose end was published but not yet written down is none that goes on. */
	if (queue->head == queue->tail || running == NIB_QUEUE_IDLE ||
	    seqno != (u32)fence->base.seqno)
		return;
	place->packets = READ_ONCE(status->job_packets);
	place->started = true;
	/* Nor is one of which no sense can be made. */
	place->on_engine = running == NIB_QUEUE_ON_ENGINE || running > NIB_QUEUE_BLOCKED ||
			   place->packets >= NIB_MAX_STREAM_BYTES / sizeof(u64);
}

static void nib_queue_warn_locked(struct nib_queue *queue)
{
	queue->state |= NIB_QUEUE_STATE_LOST;
	if (queue->hung)
		queue->state |= NIB_QUEUE_STATE_BANNED;
	else if (!(queue->state & NIB_QUEUE_STATE_GUILTY))
		queue->state |= NIB_QUEUE_STATE_INNOCENT;
}

/* Contents of HBM and SRAM are about to be lost, and whoever reads them can see that after it. */
void nib_queue_warn(struct nib_queue *queue)
{
	spin_lock_irq(&queue->timeline->lock);
	nib_queue_warn_locked(queue);
	spin_unlock_irq(&queue->timeline->lock);
}

/* HBM and SRAM are not what they were: what runs of clients rely on is gone. */
static void nib_queue_lose_locked(struct nib_queue *queue)
{
	queue->skip = 0;
	nib_queue_warn_locked(queue);
	queue->dead = -EIO;
	nib_queue_drop_inflight_locked(queue, queue->dead);
}

/**
 * nib_queue_outlive - the firmware has stopped: what goes on, what does not?
 * @queue: queue.
 * @how: what happened to it.
 *
 * With the gate closed. May be called again before a firmware runs.
 */
void nib_queue_outlive(struct nib_queue *queue, enum nib_restart how)
{
	bool slept = how == NIB_RESTART_SLEPT || how == NIB_RESTART_IMAGE;
	bool lost = how == NIB_RESTART_RESET;
	struct nib_device *ndev = queue->ndev;
	bool known = queue->object.generation == ndev->gate.generation;
	struct nib_queue_place place = {};
	bool missed = false;
	int error;

	/* A core dump that is still due would not show what it should any more. */
	spin_lock_irq(&queue->timeline->lock);
	queue->incident = false;
	spin_unlock_irq(&queue->timeline->lock);
	/* What was posted before it stopped counts. */
	nib_queue_process(queue);
	spin_lock_irq(&queue->timeline->lock);
	if (!queue->attached)
		goto out;
	if (known) {
		queue->resets += !slept;
		nib_queue_find_place_locked(queue, &place);
		if (place.started)
			queue->skip = place.packets;
		else if (queue->head != queue->first)
			queue->skip = 0;
		/* Else it is still where a firmware before this one has left it. */
		missed = nib_queue_has_missed_locked(queue);
	}
	nib_queue_keep_usage_locked(queue);
	memset(&queue->watch, 0, sizeof(queue->watch));

	if (queue->dead) {
		queue->state |= lost ? NIB_QUEUE_STATE_LOST : 0;
		nib_queue_drop_inflight_locked(queue, queue->dead);
	} else if (queue->flags & NIB_QUEUE_KERNEL) {
		nib_queue_forget_completions_locked(queue);
	} else if (lost) {
		nib_queue_lose_locked(queue);
	} else if (queue->hung || place.on_engine || missed) {
		error = queue->hung ? -ETIMEDOUT : -EIO;
		if (!queue->hung)
			queue->state |= NIB_QUEUE_STATE_INNOCENT;
		queue->hung = false;
		queue->faulted = false;
		queue->skip = 0;
		nib_queue_end_head_locked(queue, error);
	}
	queue->first = queue->head;
out:
	spin_unlock_irq(&queue->timeline->lock);
}

/* A firmware that has just booted is told of the queue, unless that is dead. */
int nib_queue_restore(struct nib_device *ndev, struct nib_fw_object *object, bool lost)
{
	struct nib_queue *queue = container_of(object, struct nib_queue, object);
	int ret;

	if (READ_ONCE(queue->dead))
		return 0;
	ret = nib_ipc_tell(ndev, NIB_ADM_QUEUE_CREATE,
			   NIB_IPC_ARGS(queue->hw_id, queue->vm->context, queue->ring_dma,
					NIB_RING_ENTRIES, nib_queue_how(queue), queue->head,
					queue->skip));
	if (!ret)
		object->generation = ndev->gate.generation;
	return ret;
}
