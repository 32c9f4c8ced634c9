/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the driver tells whoever listens: faults, resets, memory errors, pressure. Callers may be in
 * interrupts and where fences are signalled; nothing here sleeps, fails, allocates or waits.
 */
#ifndef NIB_NOTIFY_H
#define NIB_NOTIFY_H

#include <linux/atomic.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "nib_netlink.h"

struct nib_device;

/* Events that wait to be sent; a power of two. */
#define NIB_NOTIFY_RING	64u

/**
 * struct nib_notice - an event on its way to netlink. Which fields count depends on @kind.
 * @kind: enum nib_event_kind.
 * @queue: the device's number of a queue, or U32_MAX for none.
 * @code: status of a fault, rung of a reset, whether a memory error is fatal, sensor of a
 *	threshold.
 * @limit: of a threshold.
 * @value: what its sensor measured.
 * @above: whether that is above it.
 * @a: address; bytes wanted; how many events were lost.
 * @b: bytes free.
 * @seq: number of the event.
 * @time_ns: when, by ktime_get().
 */
struct nib_notice {
	u32 kind;
	u32 queue;
	u32 code;
	u32 limit;
	u32 value;
	bool above;
	u64 a;
	u64 b;
	u64 seq;
	u64 time_ns;
};

/**
 * struct nib_notify - events and counters of a device.
 * @lock: protects what follows up to @lost; a leaf, taken in interrupts.
 * @ring: notices from @tail to @head, at their number modulo NIB_NOTIFY_RING.
 * @head: notices taken in.
 * @tail: notices handed to @work.
 * @seq: number of the last event.
 * @lost: events that found the ring full and were not reported yet.
 * @counters: by enum nib_counter.
 * @work: sends what is in the ring.
 */
struct nib_notify {
	spinlock_t lock;	/* see above */
	struct nib_notice ring[NIB_NOTIFY_RING];
	u32 head;
	u32 tail;
	u64 seq;
	u64 lost;
	atomic64_t counters[NIB_COUNTER_MAX + 1];
	struct work_struct work;
};

int nib_notify_init(struct nib_device *ndev);
void nib_notify_count(struct nib_device *ndev, enum nib_counter counter);
u64 nib_notify_read(struct nib_device *ndev, enum nib_counter counter);
u64 nib_notify_clear(struct nib_device *ndev, enum nib_counter counter);

void nib_notify_device(struct nib_device *ndev, bool added);
void nib_notify_fault(struct nib_device *ndev, u32 queue, u32 status, u64 va);
void nib_notify_reset(struct nib_device *ndev, enum nib_rung rung, u32 queue);
void nib_notify_ecc(struct nib_device *ndev, bool fatal, u64 addr);
void nib_notify_sram_pressure(struct nib_device *ndev, u64 wanted, u64 free);
void nib_notify_threshold(struct nib_device *ndev, enum nib_sensor sensor, u32 limit, u32 value,
			  bool above);

#endif
