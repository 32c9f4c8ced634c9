/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Recovery: the ladder from a job that is stuck to a device that is given up, and the means to
 * start the firmware anew under what uses it.
 */
#ifndef NIB_RECOVERY_H
#define NIB_RECOVERY_H

#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "notify.h"

struct nib_device;
struct nib_queue;

#define NIB_RUNGS	(NIB_RUNG_WEDGED + 1)
#define NIB_RUNG_SAMPLES	64u	/* a power of two */

/**
 * struct nib_rung_stats - what a rung of the ladder did so far. Protected by nib_recovery.lock.
 * @tried: how often it was climbed on.
 * @helped: how often it was the last one of its incident.
 * @samples: how many of @ns were ever written.
 * @ns: how long the rung itself took when it helped; the last NIB_RUNG_SAMPLES of them.
 */
struct nib_rung_stats {
	u32 tried;
	u32 helped;
	u32 samples;
	u64 ns[NIB_RUNG_SAMPLES];
};

/**
 * struct nib_recovery - recovery of a device.
 * @lock: protects all but @work; taken in interrupts, inside the locks of queues.
 * @work: climbs. One at a time.
 * @queues: queues with a job to be ended or to be killed, by
 *	nib_queue.trouble_link. Each with a reference.
 * @rung: the rung that somebody asked for beyond that, 0 for none.
 * @why: for the log.
 * @current_queue: queue that the work has taken from @queues; not to be destroyed meanwhile.
 * @wait: woken when @current_queue changes.
 * @stats: by rung.
 * @wedge_work: tells user space that the device is given up.
 */
struct nib_recovery {
	spinlock_t lock;	/* see above */
	struct work_struct work;
	struct list_head queues;
	enum nib_rung rung;
	const char *why;
	struct nib_queue *current_queue;
	wait_queue_head_t wait;
	struct nib_rung_stats stats[NIB_RUNGS];
	struct work_struct wedge_work;
};

void nib_recovery_init(struct nib_device *ndev);
void nib_recovery_stop(struct nib_device *ndev);
void nib_recovery_kick(struct nib_device *ndev);
void nib_recovery_request(struct nib_device *ndev, enum nib_rung rung, struct nib_queue *queue,
			  const char *why);
void nib_recovery_forget(struct nib_queue *queue);
void nib_recovery_was_reset(struct nib_device *ndev, ktime_t since);
u32 nib_recovery_count(struct nib_device *ndev, enum nib_rung rung);
u32 nib_recovery_resets(struct nib_device *ndev);
const char *nib_rung_name(enum nib_rung rung);

/**
 * enum nib_restart - what became of the device between two firmwares.
 * @NIB_RESTART_REBOOT: the firmware was stopped wherever it was. Memories are as they were.
 * @NIB_RESTART_RESET: so was all of the device: what memories held is lost.
 * @NIB_RESTART_SLEPT: the firmware stopped between two packets, so that all jobs go on. Memories
 *	are as they were.
 * @NIB_RESTART_IMAGE: as NIB_RESTART_SLEPT, but memories get back what they held before doorbells
 *	are rung; see image.c.
 */
enum nib_restart {
	NIB_RESTART_REBOOT,
	NIB_RESTART_RESET,
	NIB_RESTART_SLEPT,
	NIB_RESTART_IMAGE,
};

/*
 * Starting the firmware anew, whoever stopped it and why: recovery, and a device that slept.
 *
 *	nib_restart_begin(ndev);	nobody talks to the firmware, no doorbell is rung
 *	... the firmware is halted, the device may sleep ...
 *	ret = nib_restart_boot(ndev, what happened);
 *	nib_restart_end(ndev);		they go on where they were
 *
 * In the middle runs may be submitted: they wait in their rings. Messages to the firmware wait.
 */
void nib_restart_begin(struct nib_device *ndev);
void nib_restart_warn(struct nib_device *ndev);
int nib_restart_boot(struct nib_device *ndev, enum nib_restart how);
void nib_restart_end(struct nib_device *ndev);

#endif
