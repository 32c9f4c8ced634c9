// SPDX-License-Identifier: GPL-2.0
/*
 * The watchdog. While runs are in flight it looks four times a second: is the device still there,
 * is its firmware alive, does every queue make progress? Progress is the count of packets, not
 * time: a long job is not a stuck one. It also reads completions whose interrupt was lost.
 */
#include <linux/dma-fence.h>
#include <linux/moduleparam.h>

#include "device.h"
#include "queue.h"
#include "watchdog.h"

#define NIB_WATCHDOG_TICK_MS	250u

static unsigned int nib_watchdog_ms = 10000;
module_param_named(watchdog_ms, nib_watchdog_ms, uint, 0644);
MODULE_PARM_DESC(watchdog_ms, "Time without progress after which a queue is reset (0: never)");

/* What one look at all queues found. */
struct nib_watchdog_look {
	bool busy;		/* something is in flight */
	bool progressed;	/* and some of it moves */
	u32 top;		/* highest priority that moves */
};

static bool nib_watchdog_is_idle(struct nib_queue *queue)
{
	return READ_ONCE(queue->head) == READ_ONCE(queue->tail);
}

static void nib_watchdog_look(struct nib_queue *queue, struct nib_watchdog_look *look)
{
	u64 packets = READ_ONCE(nib_queue_status_page(queue)->packets);

	nib_queue_process(queue);
	queue->watch_moved = packets != queue->watch_packets;
	queue->watch_packets = packets;
	if (queue->watch_moved) {
		look->progressed = true;
		look->top = max(look->top, queue->priority);
	}
	if (queue->watch_moved || nib_watchdog_is_idle(queue))
		queue->watch_ms = 0;
	if (!nib_watchdog_is_idle(queue))
		look->busy = true;
}

/*
 * Whether a queue that does not move ought to. One that runs, or is suspended between packets, may
 * be kept from the engines by higher priorities only; one that waits for its turn, by anyone.
 */
static bool nib_watchdog_blames(struct nib_queue *queue, const struct nib_watchdog_look *look)
{
	if (!look->progressed)
		return true;
	return READ_ONCE(nib_queue_status_page(queue)->running) && look->top <= queue->priority;
}

static void nib_watchdog_check_queues(struct nib_device *ndev, struct nib_watchdog_look *look)
{
	struct nib_queue *queue;

	mutex_lock(&ndev->queues_lock);
	list_for_each_entry(queue, &ndev->queues, link)
		nib_watchdog_look(queue, look);
	list_for_each_entry(queue, &ndev->queues, link) {
		if (queue->watch_moved || nib_watchdog_is_idle(queue) ||
		    !nib_watchdog_blames(queue, look))
			continue;
		queue->watch_ms += NIB_WATCHDOG_TICK_MS;
		if (nib_watchdog_ms && queue->watch_ms >= nib_watchdog_ms) {
			dev_info_ratelimited(&ndev->pdev->dev, "queue %u is stuck for %u ms\n",
					     queue->hw_id, queue->watch_ms);
			nib_queue_hang(queue);
		}
	}
	mutex_unlock(&ndev->queues_lock);
}

/* The firmware counts; one that has stopped counting, and does nothing else either, is dead. */
static void nib_watchdog_check_firmware(struct nib_device *ndev, bool progressed)
{
	u32 heartbeat = nib_read(ndev, NIB_REG_FW_HEARTBEAT);
	u32 state = nib_read(ndev, NIB_REG_FW_STATE);

	if (state != NIB_FW_READY) {
		nib_device_lose(ndev, state == U32_MAX ? -ENODEV : -EIO, "its firmware stopped");
		return;
	}
	if (progressed || heartbeat != ndev->watchdog_heartbeat)
		ndev->watchdog_silent_ms = 0;
	else
		ndev->watchdog_silent_ms += NIB_WATCHDOG_TICK_MS;
	ndev->watchdog_heartbeat = heartbeat;
	if (nib_watchdog_ms && ndev->watchdog_silent_ms >= nib_watchdog_ms)
		nib_device_lose(ndev, -EIO, "its firmware is silent");
}

static void nib_watchdog_work(struct work_struct *work)
{
	struct nib_device *ndev = container_of(work, struct nib_device, watchdog.work);
	struct nib_watchdog_look look = {};
	bool signalling;
	int cookie;

	if (nib_device_lost(ndev) || !drm_dev_enter(&ndev->drm, &cookie))
		return;
	signalling = dma_fence_begin_signalling();
	if (nib_device_is_gone(ndev)) {
		nib_device_lose(ndev, -ENODEV, "it no longer answers reads");
	} else {
		nib_watchdog_check_queues(ndev, &look);
		nib_watchdog_check_firmware(ndev, look.progressed);
		if (look.busy)
			nib_watchdog_arm(ndev);
		else
			ndev->watchdog_silent_ms = 0;
	}
	dma_fence_end_signalling(signalling);
	drm_dev_exit(cookie);
}

void nib_watchdog_init(struct nib_device *ndev)
{
	INIT_DELAYED_WORK(&ndev->watchdog, nib_watchdog_work);
}

/* There is something in flight. Does nothing if the watchdog is awake already. */
void nib_watchdog_arm(struct nib_device *ndev)
{
	queue_delayed_work(ndev->recovery_wq, &ndev->watchdog,
			   msecs_to_jiffies(NIB_WATCHDOG_TICK_MS));
}

/* Nobody may arm it any more: the device is unplugged, or was never registered. */
void nib_watchdog_stop(struct nib_device *ndev)
{
	cancel_delayed_work_sync(&ndev->watchdog);
}
