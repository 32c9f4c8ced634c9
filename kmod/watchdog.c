// SPDX-License-Identifier: GPL-2.0
/*
 * The watchdog. While runs are in flight it looks at the device several times in each period: is it
 * still there, is its firmware alive, does what is on its engine get on? It also reads completions
 * and events whose interrupt was lost, and rings doorbells again that were not heard.
 *
 * What is counted is the lack of progress, never run time: a packet that passes safe points, a
 * queue that completes packets, gets on, however slowly. Nor is a queue blamed for what keeps
 * others from their turn: as long as a packet is on the engine without getting on, only its queue
 * is.
 */
#include <linux/dma-fence.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>

#include "device.h"
#include "queue.h"
#include "watchdog.h"

static unsigned int nib_watchdog_ms = 2000;
module_param_named(watchdog_ms, nib_watchdog_ms, uint, 0644);
MODULE_PARM_DESC(watchdog_ms, "Time without progress after which a job is stuck (0: never)");

/*
 * How often it looks. What has begun since the last look is seen to stand still only from this one
 * on, so that the time between two adds to each period.
 */
#define NIB_WATCHDOG_LOOKS		16u	/* in a period */
#define NIB_WATCHDOG_TICK_MAX_MS	125u
#define NIB_WATCHDOG_TICK_MIN_MS	20u

/*
 * A job at a closed semaphore waits for somebody else, and holds up nobody: it gets more periods
 * than one whose packet is on the engine.
 */
#define NIB_WATCHDOG_BLOCKED_PERIODS	4u

/* What one look at all queues found. */
struct nib_watchdog_look {
	unsigned int ms;	/* since the last one */
	bool beats;		/* the heart of the firmware does */
	bool busy;		/* something is in flight */
	bool progressed;	/* and some of it gets on */
	bool engine_stuck;	/* a packet is on the engine and does not */
};

static unsigned int nib_watchdog_tick_ms(void)
{
	unsigned int ms = READ_ONCE(nib_watchdog_ms);

	return ms ? clamp(ms / NIB_WATCHDOG_LOOKS, NIB_WATCHDOG_TICK_MIN_MS,
			  NIB_WATCHDOG_TICK_MAX_MS) : NIB_WATCHDOG_TICK_MAX_MS;
}

/*
 * The time since the last look. A look that is late counts for what it is, within limits: where the
 * machine was busy elsewhere, so perhaps was the device.
 */
static unsigned int nib_watchdog_elapsed_ms(struct nib_device *ndev)
{
	unsigned int most = 2 * nib_watchdog_tick_ms();
	ktime_t now = ktime_get(), last = ndev->watchdog_at;

	ndev->watchdog_at = now;
	return min_t(s64, ktime_ms_delta(now, last), most);
}

static void nib_watchdog_look(struct nib_device *ndev, struct nib_queue *queue, u32 progress,
			      struct nib_watchdog_look *look)
{
	const struct nib_queue_status *status = nib_queue_status_page(queue);
	u64 packets, head;

	nib_queue_process(queue);
	packets = READ_ONCE(status->packets);
	head = READ_ONCE(queue->head);
	queue->watch.running = READ_ONCE(status->running);
	queue->watch.moved = packets != queue->watch.packets || head != queue->watch.head ||
			     (queue->watch.running == NIB_QUEUE_ON_ENGINE &&
			      progress != ndev->watchdog_progress);
	queue->watch.missed = nib_queue_has_missed(queue);
	queue->watch.packets = packets;
	queue->watch.head = head;
	if (nib_queue_is_idle(queue)) {
		queue->watch.ms = 0;
		return;
	}
	look->busy = true;
	if (queue->watch.moved) {
		look->progressed = true;
		queue->watch.ms = 0;
	} else if (queue->watch.running == NIB_QUEUE_ON_ENGINE) {
		look->engine_stuck = true;
	}
}

/* For how long a queue that does not get on may be left like that; 0 if it is not its fault. */
static unsigned int nib_watchdog_patience(const struct nib_queue *queue,
					  const struct nib_watchdog_look *look)
{
	unsigned int period = READ_ONCE(nib_watchdog_ms);

	if (queue->watch.running == NIB_QUEUE_ON_ENGINE || queue->watch.missed)
		return period;
	if (look->engine_stuck)
		return 0;
	if (queue->watch.running == NIB_QUEUE_BLOCKED)
		return READ_ONCE(queue->ndev->pm.frozen) ? 0 :
		       period * NIB_WATCHDOG_BLOCKED_PERIODS;
	/* Others are served: its turn will come. */
	return look->progressed ? 0 : period;
}

/* Sees to a queue that has work and does not get on. */
static void nib_watchdog_check_queue(struct nib_device *ndev, struct nib_queue *queue,
				     const struct nib_watchdog_look *look)
{
	unsigned int patience = nib_watchdog_patience(queue, look);

	/* Perhaps it was not heard. */
	if (queue->watch.running == NIB_QUEUE_IDLE)
		nib_queue_ring(queue);
	if (!patience) {
		queue->watch.ms = 0;
		return;
	}
	queue->watch.ms += look->ms;
	if (queue->watch.ms < patience)
		return;
	dev_info_ratelimited(&ndev->pdev->dev, "queue %u: no progress for %u ms\n", queue->hw_id,
			     queue->watch.ms);
	queue->watch.ms = 0;
	if (queue->watch.missed)
		nib_queue_miss(queue);
	else if (queue->watch.running == NIB_QUEUE_ON_ENGINE ||
		 queue->watch.running == NIB_QUEUE_BLOCKED)
		nib_queue_blame(queue);
	else
		nib_recovery_request(ndev, NIB_RUNG_FIRMWARE, NULL, "jobs do not start");
}

static void nib_watchdog_check_queues(struct nib_device *ndev, struct nib_watchdog_look *look)
{
	u32 progress = nib_read(ndev, NIB_REG_PROGRESS);
	u32 heartbeat = nib_read(ndev, NIB_REG_FW_HEARTBEAT);
	struct nib_queue *queue;

	look->beats = heartbeat != ndev->watchdog_heartbeat;
	mutex_lock(&ndev->queues_lock);
	list_for_each_entry(queue, &ndev->queues, link)
		nib_watchdog_look(ndev, queue, progress, look);
	/* A firmware that is dead moves nobody, and is no queue's fault. */
	list_for_each_entry(queue, &ndev->queues, link)
		if (look->beats && !queue->watch.moved && !nib_queue_is_idle(queue))
			nib_watchdog_check_queue(ndev, queue, look);
	mutex_unlock(&ndev->queues_lock);
	ndev->watchdog_progress = progress;
	ndev->watchdog_heartbeat = heartbeat;
}

/* The firmware counts; one that has stopped counting, and does nothing else either, is dead. */
static void nib_watchdog_check_firmware(struct nib_device *ndev,
					const struct nib_watchdog_look *look)
{
	u32 state = nib_read(ndev, NIB_REG_FW_STATE);

	if (look->progressed || look->beats)
		ndev->watchdog_silent_ms = 0;
	else
		ndev->watchdog_silent_ms += look->ms;
	/* It may have been stopped by us, just now. */
	if (nib_gate_is_closed(&ndev->gate))
		return;
	if (state != NIB_FW_READY) {
		nib_recovery_request(ndev, NIB_RUNG_FIRMWARE, NULL, "firmware has stopped");
	} else if (READ_ONCE(nib_watchdog_ms) && ndev->watchdog_silent_ms >= nib_watchdog_ms) {
		ndev->watchdog_silent_ms = 0;
		nib_recovery_request(ndev, NIB_RUNG_FIRMWARE, NULL, "firmware is silent");
	}
}

static void nib_watchdog_work(struct work_struct *work)
{
	struct nib_device *ndev = container_of(work, struct nib_device, watchdog.work);
	struct nib_watchdog_look look = {};
	bool signalling;
	int cookie;

	/* Nothing is in flight on a device that sleeps, or nothing that could get on. */
	if (nib_pm_is_away(ndev) || !nib_pm_get_if_awake(ndev))
		return;
	if (nib_device_lost(ndev) || !drm_dev_enter(&ndev->drm, &cookie))
		goto out;
	signalling = dma_fence_begin_signalling();
	if (nib_gate_is_closed(&ndev->gate)) {
		/* Nothing moves, and rightly so. */
		nib_watchdog_arm(ndev);
	} else if (nib_device_is_gone(ndev)) {
		nib_device_lose(ndev, -ENODEV, "it no longer answers reads");
	} else {
		look.ms = nib_watchdog_elapsed_ms(ndev);
		nib_irq_events(ndev);
		nib_watchdog_check_queues(ndev, &look);
		if (look.busy) {
			nib_watchdog_check_firmware(ndev, &look);
			nib_watchdog_arm(ndev);
		} else {
			ndev->watchdog_silent_ms = 0;
		}
	}
	dma_fence_end_signalling(signalling);
	drm_dev_exit(cookie);
out:
	nib_pm_put_unused(ndev);
}

void nib_watchdog_init(struct nib_device *ndev)
{
	INIT_DELAYED_WORK(&ndev->watchdog, nib_watchdog_work);
}

/* There is something in flight. Does nothing if the watchdog is awake already. */
void nib_watchdog_arm(struct nib_device *ndev)
{
	queue_delayed_work(ndev->recovery_wq, &ndev->watchdog,
			   msecs_to_jiffies(nib_watchdog_tick_ms()));
}

/* Nobody may arm it any more: the device is unplugged, or was never registered. */
void nib_watchdog_stop(struct nib_device *ndev)
{
	cancel_delayed_work_sync(&ndev->watchdog);
}
