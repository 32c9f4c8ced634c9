// SPDX-License-Identifier: GPL-2.0
/*
 * From what happens to who wants to know: a tracepoint at once, a counter, and an event by netlink
 * from a worker. In between lies a ring of fixed size, so that nothing is allocated where it
 * happens; what does not fit is counted, and the count is sent. What the events look like outside
 * is in netlink.c.
 */
#include <linux/ktime.h>

#include <drm/drm_managed.h>

#include "compat.h"
#include "device.h"
#include "netlink.h"
#include "notify.h"
#include "trace.h"

/* Takes the oldest notice, or else the news that some were lost. */
static bool nib_notify_take(struct nib_notify *notify, struct nib_notice *notice)
{
	bool taken = true;

	spin_lock_irq(&notify->lock);
	if (notify->tail != notify->head) {
		*notice = notify->ring[notify->tail++ % NIB_NOTIFY_RING];
	} else if (notify->lost) {
		*notice = (struct nib_notice){
			.kind = NIB_EVENT_KIND_LOST,
			.a = notify->lost,
			.seq = ++notify->seq,
			.time_ns = ktime_get_ns(),
		};
		notify->lost = 0;
	} else {
		taken = false;
	}
	spin_unlock_irq(&notify->lock);
	return taken;
}

static void nib_notify_work(struct work_struct *work)
{
	struct nib_device *ndev = container_of(work, struct nib_device, notify.work);
	struct nib_notice notice;

	while (nib_notify_take(&ndev->notify, &notice))
		nib_netlink_send(ndev, &notice);
}

static void nib_notify_push(struct nib_device *ndev, struct nib_notice notice)
{
	struct nib_notify *notify = &ndev->notify;
	unsigned long flags;
	bool lost;

	notice.time_ns = ktime_get_ns();
	spin_lock_irqsave(&notify->lock, flags);
	/* A number is used up even if the event is lost: listeners see the gap. */
	notice.seq = ++notify->seq;
	lost = notify->head - notify->tail >= NIB_NOTIFY_RING;
	if (lost)
		notify->lost++;
	else
		notify->ring[notify->head++ % NIB_NOTIFY_RING] = notice;
	spin_unlock_irqrestore(&notify->lock, flags);
	if (lost)
		nib_notify_count(ndev, NIB_COUNTER_EVENT_LOST);
	/* Not one of our own queues: those that fences depend on must not wait for listeners. */
	queue_work(system_dfl_wq, &notify->work);
}

static void nib_notify_fini(struct drm_device *drm, void *data)
{
	struct nib_notify *notify = data;

	/* Nobody notifies any more; what is left may still be of interest. */
	flush_work(&notify->work);
}

/* Before anything that may notify. Lives as long as the DRM device. */
int nib_notify_init(struct nib_device *ndev)
{
	struct nib_notify *notify = &ndev->notify;

	spin_lock_init(&notify->lock);
	INIT_WORK(&notify->work, nib_notify_work);
	return drmm_add_action_or_reset(&ndev->drm, nib_notify_fini, notify);
}

/**
 * nib_notify_count - count something that nobody is told about when it happens.
 * @ndev: device.
 * @counter: what.
 */
void nib_notify_count(struct nib_device *ndev, enum nib_counter counter)
{
	atomic64_inc(&ndev->notify.counters[counter]);
}

u64 nib_notify_read(struct nib_device *ndev, enum nib_counter counter)
{
	return atomic64_read(&ndev->notify.counters[counter]);
}

/* Sets a counter to 0 and returns what it was. */
u64 nib_notify_clear(struct nib_device *ndev, enum nib_counter counter)
{
	return atomic64_xchg(&ndev->notify.counters[counter], 0);
}

/* The driver was bound to the device, or is about to be unbound. */
void nib_notify_device(struct nib_device *ndev, bool added)
{
	nib_notify_push(ndev, (struct nib_notice){
		.kind = added ? NIB_EVENT_KIND_DEVICE_ADD : NIB_EVENT_KIND_DEVICE_REMOVE });
}

/**
 * nib_notify_fault - a job faulted.
 * @ndev: device.
 * @queue: the device's number of its queue.
 * @status: enum nib_done_status.
 * @va: address; see there.
 */
void nib_notify_fault(struct nib_device *ndev, u32 queue, u32 status, u64 va)
{
	trace_nib_fault(ndev, queue, status, va);
	nib_notify_count(ndev, NIB_COUNTER_FAULT);
	nib_notify_push(ndev, (struct nib_notice){
		.kind = NIB_EVENT_KIND_FAULT, .queue = queue, .code = status, .a = va });
}

/**
 * nib_notify_reset - a rung of recovery was reached.
 * @ndev: device.
 * @rung: which.
 * @queue: the device's number of the guilty queue, or U32_MAX.
 */
void nib_notify_reset(struct nib_device *ndev, enum nib_rung rung, u32 queue)
{
	static const enum nib_counter counters[] = {
		[NIB_RUNG_JOB] = NIB_COUNTER_JOB_CANCEL,
		[NIB_RUNG_QUEUE] = NIB_COUNTER_QUEUE_KILL,
		[NIB_RUNG_ENGINE] = NIB_COUNTER_ENGINE_RESET,
		[NIB_RUNG_FIRMWARE] = NIB_COUNTER_FIRMWARE_REBOOT,
		[NIB_RUNG_FUNCTION] = NIB_COUNTER_FUNCTION_RESET,
		[NIB_RUNG_WEDGED] = NIB_COUNTER_WEDGE,
	};

	trace_nib_reset(ndev, rung, queue);
	nib_notify_count(ndev, counters[rung]);
	nib_notify_push(ndev, (struct nib_notice){
		.kind = NIB_EVENT_KIND_RESET, .queue = queue, .code = rung });
}

/**
 * nib_notify_ecc - a memory error.
 * @ndev: device.
 * @fatal: it was not corrected.
 * @addr: HBM offset.
 */
void nib_notify_ecc(struct nib_device *ndev, bool fatal, u64 addr)
{
	trace_nib_ecc(ndev, fatal, addr);
	nib_notify_count(ndev, fatal ? NIB_COUNTER_ECC_UNCORRECTED : NIB_COUNTER_ECC_CORRECTED);
	nib_notify_push(ndev, (struct nib_notice){
		.kind = NIB_EVENT_KIND_ECC, .code = fatal, .a = addr });
}

/**
 * nib_notify_sram_pressure - a lease did not get the SRAM that it wanted.
 * @ndev: device.
 * @wanted: bytes.
 * @free: bytes that were there.
 */
void nib_notify_sram_pressure(struct nib_device *ndev, u64 wanted, u64 free)
{
	trace_nib_sram_pressure(ndev, wanted, free);
	nib_notify_count(ndev, NIB_COUNTER_SRAM_PRESSURE);
	nib_notify_push(ndev, (struct nib_notice){
		.kind = NIB_EVENT_KIND_SRAM_PRESSURE, .a = wanted, .b = free });
}

/**
 * nib_notify_threshold - a sensor crossed its threshold.
 * @ndev: device.
 * @sensor: which.
 * @limit: its threshold.
 * @value: what it measured.
 * @above: whether it rose above the threshold or fell below it.
 */
void nib_notify_threshold(struct nib_device *ndev, enum nib_sensor sensor, u32 limit, u32 value,
			  bool above)
{
	trace_nib_threshold(ndev, sensor, limit, value, above);
	if (above)
		nib_notify_count(ndev, NIB_COUNTER_THRESHOLD);
	nib_notify_push(ndev, (struct nib_notice){
		.kind = NIB_EVENT_KIND_THRESHOLD, .code = sensor, .limit = limit,
		.value = value, .above = above });
}
