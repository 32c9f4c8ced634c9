// SPDX-License-Identifier: GPL-2.0
/*
 * The ladder. Each rung is tried when the one below it did not help within its time:
 *
 *	job		the job that is stuck or has faulted ends, its queue goes on
 *			(NIB_QUEUE_KEEP_GOING; else the ladder starts one rung higher)
 *	queue		the queue is killed: what it has on the device ends
 *	engine		the engine is reset: the packet on it ends
 *	firmware	the firmware is rebooted, memories stay, see restart.c
 *	function	the function is reset, memories are lost
 *	wedged		nothing helped: the device is given up and user space is told
 *
 * One work climbs, whoever asks: the watchdog, completions that are errors, admin messages without
 * an answer. Guilt is settled where trouble is found, before anything is reset: the queue whose job
 * made no progress, or the one whose packet is on an engine that does not stop. Every other one
 * that loses a job is innocent.
 *
 * No lock is held across a wait for the device. Locks, outermost first; those up to queues_lock are
 * taken where fences are signalled:
 *
 *	nib_gate (see gate.c), by whoever waits for the firmware, which is what it is for
 *	SRCU of drm_dev_enter(), which unplugging waits for: around accesses, not around waits. The
 *		work below is the exception: it touches the device from its first line to its last,
 *		so that unplugging has to wait for it anyway, and each of its steps has its time. It
 *		passes the gate inside, too, which harms nobody: readers do not wait for each other
 *	nib_device.queues_lock
 *	nib_device.pt_lock, nib_vector.lock
 *	nib_timeline.lock of a queue; in interrupts
 *	nib_recovery.lock, nib_ipc.lock, nib_ipc.objects_lock; never nested in each other
 *
 * The work takes none of the locks of clients (nib_file.lock, reservations), so that these may be
 * held by who waits for it. Whoever waits for the device is woken when it is lost, and stops
 * waiting when the driver is unbound.
 */
#include <linux/delay.h>
#include <linux/kobject.h>
#include <linux/dma-fence.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>

#include <drm/drm_file.h>

#include "compat.h"
#include "device.h"
#include "dump.h"
#include "fw.h"
#include "queue.h"
#include "recovery.h"
#include "watchdog.h"

/* How long a rung may take to show that it helped, before the next one is tried. */
static unsigned int nib_rung_ms[NIB_RUNG_WEDGED] = {
	[NIB_RUNG_JOB] = 150,
	[NIB_RUNG_QUEUE] = 150,
	[NIB_RUNG_ENGINE] = 100,
	[NIB_RUNG_FIRMWARE] = 150,
	[NIB_RUNG_FUNCTION] = 1000,
};
module_param_array_named(rung_ms, nib_rung_ms, uint, NULL, 0644);
MODULE_PARM_DESC(rung_ms, "Time for job, queue, engine, firmware and function to recover, each");

/*
 * An engine that passes no safe point for this long, after all the time before, stands still. The
 * heart of a firmware that lives beats meanwhile.
 */
#define NIB_STANDSTILL_MS	30u

/*
 * What a step of a wait for a register counts at most. So there are at least ten looks in the
 * shortest of such waits.
 */
#define NIB_WAIT_STEP_MAX_US	10000ll

/* How long a message may take after one that was waited for in vain. */
#define NIB_SECOND_CHANCE_MS	40u

const char *nib_rung_name(enum nib_rung rung)
{
	static const char *const names[NIB_RUNGS] = {
		[NIB_RUNG_JOB] = "job",
		[NIB_RUNG_QUEUE] = "queue",
		[NIB_RUNG_ENGINE] = "engine",
		[NIB_RUNG_FIRMWARE] = "firmware",
		[NIB_RUNG_FUNCTION] = "function",
		[NIB_RUNG_WEDGED] = "wedged",
	};

	return names[rung];
}

/* --- What others see of it --- */

static void nib_recovery_tried(struct nib_device *ndev, enum nib_rung rung, u32 hw_id)
{
	struct nib_recovery *rec = &ndev->recovery;
	unsigned long flags;

	spin_lock_irqsave(&rec->lock, flags);
	rec->stats[rung].tried++;
	spin_unlock_irqrestore(&rec->lock, flags);
	nib_notify_reset(ndev, rung, hw_id);
}

static void nib_recovery_helped(struct nib_device *ndev, enum nib_rung rung, ktime_t since)
{
	struct nib_rung_stats *stats = &ndev->recovery.stats[rung];
	u64 ns = ktime_to_ns(ktime_sub(ktime_get(), since));
	unsigned long flags;

	spin_lock_irqsave(&ndev->recovery.lock, flags);
	stats->helped++;
	stats->ns[stats->samples++ % NIB_RUNG_SAMPLES] = ns;
	spin_unlock_irqrestore(&ndev->recovery.lock, flags);
}

/* The function was reset by somebody else, who began at @since, and works. */
void nib_recovery_was_reset(struct nib_device *ndev, ktime_t since)
{
	nib_recovery_tried(ndev, NIB_RUNG_FUNCTION, U32_MAX);
	nib_recovery_helped(ndev, NIB_RUNG_FUNCTION, since);
}

/* How often a rung has helped since the driver bound; for the last one, whether it was reached. */
u32 nib_recovery_count(struct nib_device *ndev, enum nib_rung rung)
{
	const struct nib_rung_stats *stats = &ndev->recovery.stats[rung];

	return READ_ONCE(*(rung == NIB_RUNG_WEDGED ? &stats->tried : &stats->helped));
}

/* Resets of the engine, the firmware and the function since the driver bound. */
u32 nib_recovery_resets(struct nib_device *ndev)
{
	return nib_recovery_count(ndev, NIB_RUNG_ENGINE) +
	       nib_recovery_count(ndev, NIB_RUNG_FIRMWARE) +
	       nib_recovery_count(ndev, NIB_RUNG_FUNCTION);
}

/*
 * The uevent that drm-uapi.rst describes for a device that cannot be used any more, with the ways
 * in which an administrator may try to get it back. DRM's own helper knows render and card nodes
 * only.
 */
static void nib_recovery_wedge_work(struct work_struct *work)
{
	struct nib_device *ndev = container_of(work, struct nib_device, recovery.wedge_work);
	char *env[2] = { "WEDGED=rebind,bus-reset", NULL };
	int cookie;

	/* The node is there until the driver is unplugged. */
	if (!drm_dev_enter(&ndev->drm, &cookie))
		return;
	if (ndev->drm.registered)
		kobject_uevent_env(&ndev->drm.accel->kdev->kobj, KOBJ_CHANGE, env);
	drm_dev_exit(cookie);
}

/* --- The upper rungs --- */

/* Waits until a register is, or is no longer, @value; reads as often as it sleeps. */
static int nib_recovery_wait(struct nib_device *ndev, u32 reg, u32 value, bool until_equal,
			     unsigned int ms)
{
	s64 waited = 0;
	ktime_t last;
	bool equal;
	u32 now;

	for (;;) {
		now = nib_read(ndev, reg);
		if (now == U32_MAX && nib_device_is_gone(ndev))
			return -ENODEV;
		equal = now == value;
		if (equal == until_equal)
			return 0;
		if (waited >= ms * (s64)USEC_PER_MSEC)
			return -ETIMEDOUT;
		last = ktime_get();
		usleep_range(200, 400);
		/* Where the machine was busy elsewhere, so perhaps was the device. */
		waited += min(ktime_us_delta(ktime_get(), last), NIB_WAIT_STEP_MAX_US);
	}
}

/* The packet on the engine is given up; then the firmware has no reason not to answer. */
static int nib_recovery_engine(struct nib_device *ndev)
{
	unsigned int ms = READ_ONCE(nib_rung_ms[NIB_RUNG_ENGINE]);
	u32 before = nib_read(ndev, NIB_REG_RESET_COUNT);
	struct nib_queue *queue;
	int ret;

	nib_write(ndev, NIB_REG_RESET, NIB_RESET_ENGINE);
	ret = nib_recovery_wait(ndev, NIB_REG_RESET_COUNT, before, false, ms);
	if (ret)
		return ret;
	mutex_lock(&ndev->queues_lock);
	list_for_each_entry(queue, &ndev->queues, link)
		nib_queue_outlive_engine(queue);
	mutex_unlock(&ndev->queues_lock);
	return nib_ipc_try(ndev, NULL, ms, NIB_ADM_NOP, NIB_IPC_ARGS(0));
}

static int nib_recovery_firmware(struct nib_device *ndev)
{
	int ret;

	if (nib_read(ndev, NIB_REG_FW_STATE) != NIB_FW_OFF) {
		nib_write(ndev, NIB_REG_FW_COMMAND, NIB_FW_HALT);
		ret = nib_recovery_wait(ndev, NIB_REG_FW_STATE, NIB_FW_OFF, true,
					READ_ONCE(nib_rung_ms[NIB_RUNG_FIRMWARE]));
		if (ret)
			return ret;
	}
	return nib_restart_boot(ndev, NIB_RESTART_REBOOT);
}

static int nib_recovery_function(struct nib_device *ndev)
{
	u32 before = nib_read(ndev, NIB_REG_RESET_COUNT);
	int ret;

	nib_restart_warn(ndev);
	nib_write(ndev, NIB_REG_RESET, NIB_RESET_FUNCTION);
	ret = nib_recovery_wait(ndev, NIB_REG_RESET_COUNT, before, false,
				READ_ONCE(nib_rung_ms[NIB_RUNG_FUNCTION]));
	if (!ret)
		ret = nib_recovery_wait(ndev, NIB_REG_FW_STATE, NIB_FW_OFF, true,
					READ_ONCE(nib_rung_ms[NIB_RUNG_FUNCTION]));
	return ret ?: nib_restart_boot(ndev, NIB_RESTART_RESET);
}

static int nib_recovery_try(struct nib_device *ndev, enum nib_rung rung)
{
	return rung == NIB_RUNG_ENGINE ? nib_recovery_engine(ndev) :
	       rung == NIB_RUNG_FIRMWARE ? nib_recovery_firmware(ndev) :
	       nib_recovery_function(ndev);
}

/* The queue whose packet is on the engine. With a reference, or NULL. */
static struct nib_queue *nib_recovery_on_engine(struct nib_device *ndev)
{
	struct nib_queue *queue, *found = NULL;

	mutex_lock(&ndev->queues_lock);
	list_for_each_entry(queue, &ndev->queues, link)
		if (READ_ONCE(nib_queue_status_page(queue)->running) == NIB_QUEUE_ON_ENGINE &&
		    !nib_queue_is_idle(queue))
			found = queue;
	if (found)
		nib_queue_get(found);
	mutex_unlock(&ndev->queues_lock);
	return found;
}

/**
 * struct nib_standstill - whether a packet on the engine gets on.
 * @queue: whose packet. Holds a reference; NULL if there is none.
 * @packets: how far the queue was.
 * @progress: how far the packet was.
 * @heartbeat: how often the heart of the firmware had beaten.
 */
struct nib_standstill {
	struct nib_queue *queue;
	u64 packets;
	u32 progress;
	u32 heartbeat;
};

static void nib_standstill_begin(struct nib_device *ndev, struct nib_standstill *still)
{
	*still = (struct nib_standstill){ .queue = nib_recovery_on_engine(ndev) };
	if (!still->queue)
		return;
	still->progress = nib_read(ndev, NIB_REG_PROGRESS);
	still->packets = READ_ONCE(nib_queue_status_page(still->queue)->packets);
	still->heartbeat = nib_read(ndev, NIB_REG_FW_HEARTBEAT);
}

/* True if nothing moved since but the heart of the firmware. */
static bool nib_standstill_is(struct nib_device *ndev, const struct nib_standstill *still)
{
	const struct nib_queue_status *status;

	if (!still->queue || nib_read(ndev, NIB_REG_FW_STATE) != NIB_FW_READY)
		return false;
	status = nib_queue_status_page(still->queue);
	return nib_read(ndev, NIB_REG_FW_HEARTBEAT) != still->heartbeat &&
	       nib_read(ndev, NIB_REG_PROGRESS) == still->progress &&
	       READ_ONCE(status->packets) == still->packets &&
	       READ_ONCE(status->running) == NIB_QUEUE_ON_ENGINE;
}

/*
 * Who is to blame for an engine that does not stop when it is told to: the one who is on it, if he
 * has not moved since @still began. Firmware that has stopped is nobody's fault. Takes the core
 * dump, before anything is reset. Returns the queue's id or U32_MAX. Ends @still.
 */
static u32 nib_recovery_blame(struct nib_device *ndev, struct nib_standstill *still,
			      const char *why)
{
	u32 id = U32_MAX;

	if (nib_standstill_is(ndev, still)) {
		id = still->queue->hw_id;
		nib_queue_blame(still->queue);
		nib_queue_dump(still->queue);
	} else {
		dev_warn(&ndev->pdev->dev, "recovery: %s\n", why);
		nib_dump_capture(ndev, NULL, why);
	}
	nib_queue_put(&still->queue);
	return id;
}

/* The same, of who does not move from now on. */
static u32 nib_recovery_blame_now(struct nib_device *ndev, const char *why)
{
	struct nib_standstill still;

	nib_standstill_begin(ndev, &still);
	if (still.queue && nib_read(ndev, NIB_REG_FW_STATE) == NIB_FW_READY)
		msleep(NIB_STANDSTILL_MS);
	return nib_recovery_blame(ndev, &still, why);
}

/* Gives the device up; see nib_device_lose(). */
static void nib_recovery_give_up(struct nib_device *ndev)
{
	spin_lock_irq(&ndev->recovery.lock);
	ndev->recovery.stats[NIB_RUNG_WEDGED].tried = 1;
	spin_unlock_irq(&ndev->recovery.lock);
	nib_device_lose(ndev, -EIO, "nothing brings it back");
	queue_work(system_dfl_wq, &ndev->recovery.wedge_work);
}

/* Climbs until something helps. @hw_id: the guilty queue's id, or U32_MAX. */
static void nib_recovery_climb(struct nib_device *ndev, enum nib_rung rung, u32 hw_id)
{
	bool exclusive = false;
	ktime_t start;
	int ret = -EIO;

	for (; rung < NIB_RUNG_WEDGED && ret && ret != -ENODEV; rung++) {
		if (rung >= NIB_RUNG_FIRMWARE && !exclusive) {
			nib_restart_begin(ndev);
			exclusive = true;
		}
		nib_recovery_tried(ndev, rung, hw_id);
		start = ktime_get();
		ret = nib_recovery_try(ndev, rung);
		if (!ret)
			nib_recovery_helped(ndev, rung, start);
		dev_info(&ndev->pdev->dev, "recovery: %s reset %s\n", nib_rung_name(rung),
			 ret ? "does not help" : "done");
	}
	/* Who unbinds the driver meanwhile ends all of it, whatever the device does. */
	if (ret && !drm_dev_is_unplugged(&ndev->drm)) {
		if (ret == -ENODEV || nib_device_is_gone(ndev))
			nib_device_lose(ndev, -ENODEV, "it no longer answers reads");
		else
			nib_recovery_give_up(ndev);
	}
	if (exclusive)
		nib_restart_end(ndev);
	/* What others have asked for meanwhile has been done. */
	spin_lock_irq(&ndev->recovery.lock);
	if (ndev->recovery.rung < rung)
		ndev->recovery.rung = 0;
	spin_unlock_irq(&ndev->recovery.lock);
	nib_watchdog_arm(ndev);
}

/*
 * A message was not answered in time. That is the engine's doing if a packet on it does not get on,
 * and the firmware's if its heart does not beat. Otherwise it is only slow. Returns 0 if it answers
 * within @ms or after what was done, and -ETIMEDOUT if it is slow.
 */
static int nib_recovery_silence(struct nib_device *ndev, unsigned int ms, const char *why)
{
	u32 heartbeat = nib_read(ndev, NIB_REG_FW_HEARTBEAT), hw_id;
	struct nib_standstill still;
	int ret;

	nib_standstill_begin(ndev, &still);
	ret = nib_ipc_try(ndev, NULL, ms, NIB_ADM_NOP, NIB_IPC_ARGS(0));
	if (ret != -ETIMEDOUT) {
		nib_queue_put(&still.queue);
		return 0;
	}
	hw_id = nib_recovery_blame(ndev, &still, why);
	if (nib_read(ndev, NIB_REG_FW_STATE) != NIB_FW_READY ||
	    nib_read(ndev, NIB_REG_FW_HEARTBEAT) == heartbeat)
		nib_recovery_climb(ndev, NIB_RUNG_FIRMWARE, hw_id);
	else if (hw_id != U32_MAX)
		nib_recovery_climb(ndev, NIB_RUNG_ENGINE, hw_id);
	else
		return -ETIMEDOUT;
	return 0;
}

/* --- The lower rungs --- */

/* A queue does not stop. On return the message that was to stop it was answered, or is void. */
static void nib_recovery_queue_silence(struct nib_device *ndev)
{
	static const char why[] = "a queue does not stop";

	if (!nib_recovery_silence(ndev, NIB_SECOND_CHANCE_MS, why))
		return;
	if (nib_ipc_try(ndev, NULL, NIB_ADMIN_SLOW_MS, NIB_ADM_NOP, NIB_IPC_ARGS(0)) == -ETIMEDOUT)
		nib_recovery_climb(ndev, NIB_RUNG_FIRMWARE, nib_recovery_blame_now(ndev, why));
}

/* Sees to one queue. */
static void nib_recovery_queue(struct nib_device *ndev, struct nib_queue *queue)
{
	const u32 generation = READ_ONCE(ndev->gate.generation);
	enum nib_rung rung = nib_queue_rung(queue);
	ktime_t start = ktime_get();
	bool incident;
	int ret;

	incident = nib_queue_dump(queue);
	if (incident)
		nib_recovery_tried(ndev, rung, queue->hw_id);
	ret = nib_queue_cancel(queue, rung, READ_ONCE(nib_rung_ms[rung]));
	if (ret == -ETIMEDOUT) {
		nib_recovery_queue_silence(ndev);
		/* The message was answered meanwhile, or void: see nib_queue_outlive(). */
		if (READ_ONCE(ndev->gate.generation) == generation)
			nib_queue_cancelled(queue, rung, READ_ONCE(nib_rung_ms[rung]));
	} else if (ret == -EPROTO) {
		/* It goes on with what it was told to end. */
		dev_warn(&ndev->pdev->dev, "recovery: the firmware does not see to queue %u\n",
			 queue->hw_id);
		if (!incident)
			nib_dump_capture(ndev, NULL, "the firmware refuses to end a job");
		nib_recovery_climb(ndev, NIB_RUNG_FIRMWARE, U32_MAX);
	} else if (!ret && incident) {
		nib_recovery_helped(ndev, rung, start);
	}
}

/* Takes the next queue in trouble; it stays @current_queue until nib_recovery_release(). */
static struct nib_queue *nib_recovery_take_queue(struct nib_recovery *rec)
{
	struct nib_queue *queue;

	spin_lock_irq(&rec->lock);
	queue = list_first_entry_or_null(&rec->queues, struct nib_queue, trouble_link);
	if (queue)
		list_del_init(&queue->trouble_link);
	rec->current_queue = queue;
	spin_unlock_irq(&rec->lock);
	return queue;
}

static void nib_recovery_release(struct nib_recovery *rec, struct nib_queue *queue)
{
	spin_lock_irq(&rec->lock);
	rec->current_queue = NULL;
	spin_unlock_irq(&rec->lock);
	wake_up_all(&rec->wait);
	nib_queue_put(&queue);
}

static enum nib_rung nib_recovery_take_rung(struct nib_recovery *rec, const char **why)
{
	enum nib_rung rung;

	spin_lock_irq(&rec->lock);
	rung = rec->rung;
	*why = rec->why;
	rec->rung = 0;
	spin_unlock_irq(&rec->lock);
	return rung;
}

static void nib_recovery_work(struct work_struct *work)
{
	struct nib_device *ndev = container_of(work, struct nib_device, recovery.work);
	struct nib_recovery *rec = &ndev->recovery;
	struct nib_queue *queue;
	enum nib_rung rung;
	const char *why;
	bool signalling;
	int cookie;

	/* Whatever it is, it waits until the device is back; see nib_pm_come_back(). */
	if (nib_pm_is_away(ndev) || !drm_dev_enter(&ndev->drm, &cookie))
		goto out;
	signalling = dma_fence_begin_signalling();
	while (!nib_device_lost(ndev)) {
		rung = nib_recovery_take_rung(rec, &why);
		if (rung == NIB_RUNG_ENGINE) {
			/* Who has asked waits on, and asks again. */
			nib_recovery_silence(ndev, READ_ONCE(nib_rung_ms[NIB_RUNG_QUEUE]), why);
			continue;
		}
		if (rung) {
			nib_recovery_climb(ndev, rung, nib_recovery_blame_now(ndev, why));
			continue;
		}
		queue = nib_recovery_take_queue(rec);
		if (!queue)
			break;
		nib_recovery_queue(ndev, queue);
		nib_recovery_release(rec, queue);
	}
	dma_fence_end_signalling(signalling);
	drm_dev_exit(cookie);
out:
	nib_pm_put(ndev);
}

/* Runs the work, which keeps the device awake until it is done. Any context; it is awake. */
void nib_recovery_kick(struct nib_device *ndev)
{
	nib_pm_get_awake(ndev);
	if (!queue_work(ndev->recovery_wq, &ndev->recovery.work))
		nib_pm_put(ndev);
}

/**
 * nib_recovery_request - have something done about trouble.
 * @ndev: device.
 * @rung: where to start; what is asked for meanwhile is done, too.
 * @queue: queue in trouble for NIB_RUNG_JOB and NIB_RUNG_QUEUE, else NULL. Which of the two it is
 *	the queue itself knows by the time it is seen to.
 * @why: for the log.
 *
 * Any context.
 */
void nib_recovery_request(struct nib_device *ndev, enum nib_rung rung, struct nib_queue *queue,
			  const char *why)
{
	struct nib_recovery *rec = &ndev->recovery;
	unsigned long flags;

	spin_lock_irqsave(&rec->lock, flags);
	if (queue && list_empty(&queue->trouble_link)) {
		nib_queue_get(queue);
		list_add_tail(&queue->trouble_link, &rec->queues);
	} else if (!queue && rung > rec->rung) {
		rec->rung = rung;
		rec->why = why;
	}
	spin_unlock_irqrestore(&rec->lock, flags);
	nib_recovery_kick(ndev);
}

/* When it returns recovery does not know the queue. Nobody may report trouble of it any more. */
void nib_recovery_forget(struct nib_queue *queue)
{
	struct nib_recovery *rec = &queue->ndev->recovery;
	struct nib_queue *forgotten = NULL;

	spin_lock_irq(&rec->lock);
	if (!list_empty(&queue->trouble_link)) {
		list_del_init(&queue->trouble_link);
		forgotten = queue;
	}
	spin_unlock_irq(&rec->lock);
	nib_queue_put(&forgotten);
	wait_event(rec->wait, READ_ONCE(rec->current_queue) != queue);
}

void nib_recovery_init(struct nib_device *ndev)
{
	struct nib_recovery *rec = &ndev->recovery;

	spin_lock_init(&rec->lock);
	INIT_LIST_HEAD(&rec->queues);
	init_waitqueue_head(&rec->wait);
	INIT_WORK(&rec->work, nib_recovery_work);
	INIT_WORK(&rec->wedge_work, nib_recovery_wedge_work);
}

/* The device is unplugged: what is still asked for is not done. */
void nib_recovery_stop(struct nib_device *ndev)
{
	struct nib_recovery *rec = &ndev->recovery;
	struct nib_queue *queue;

	if (cancel_work_sync(&rec->work))
		nib_pm_put(ndev);
	cancel_work_sync(&rec->wedge_work);
	while ((queue = nib_recovery_take_queue(rec)))
		nib_recovery_release(rec, queue);
}
