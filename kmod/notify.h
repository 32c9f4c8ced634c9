/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the driver tells whoever listens: faults, resets, memory errors, pressure. Callers may be in
 * interrupts and where fences are signalled; nothing here sleeps, fails or waits.
 */
#ifndef NIB_NOTIFY_H
#define NIB_NOTIFY_H

#include <linux/types.h>

struct nib_device;

/* What recovery does, from the mildest to giving up. */
enum nib_rung {
	NIB_RUNG_JOB = 0,	/* the job ends, its queue goes on */
	NIB_RUNG_QUEUE = 1,	/* the queue is killed */
	NIB_RUNG_ENGINE = 2,	/* engine reset */
	NIB_RUNG_FIRMWARE = 3,	/* firmware reboot; memories stay */
	NIB_RUNG_FUNCTION = 4,	/* function-level reset; memories are lost */
	NIB_RUNG_WEDGED = 5,	/* nothing helped: the device is given up */
};

/* A job of a queue faulted: enum nib_done_status and its address. */
static inline void nib_notify_fault(struct nib_device *ndev, u32 queue, u32 status, u64 va)
{
}

/* A rung of recovery was reached; @queue: hardware id of the guilty one, or U32_MAX. */
static inline void nib_notify_reset(struct nib_device *ndev, enum nib_rung rung, u32 queue)
{
}

/* A memory error at an HBM offset. */
static inline void nib_notify_ecc(struct nib_device *ndev, bool fatal, u64 addr)
{
}

/* A lease did not get @wanted bytes of SRAM, of which @free were there. */
static inline void nib_notify_sram_pressure(struct nib_device *ndev, u64 wanted, u64 free)
{
}

#endif
