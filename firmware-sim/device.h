/* SPDX-License-Identifier: MIT */
/* A device: hardware, firmware, and the locks between them. Private to device.c and regs.c. */
#ifndef NIB_DEVICE_PRIVATE_H
#define NIB_DEVICE_PRIVATE_H

#include <pthread.h>
#include "fw.h"

#define NIB_DEFERRED_WRITES 64u

struct nib_deferred_write {
	unsigned int bar;
	unsigned int bytes;
	uint64_t offset;
	uint64_t value;
};

/**
 * struct nib_device - a device.
 * @hw: memories, MMU and engine belong to the thread that executes packets while @busy and not
 *	@parked; the rest of @hw, and @fw, to whoever holds @lock.
 * @control: held over a whole BAR write, so that a write which waits for the engine is not
 *	overtaken by another one. Taken before @lock.
 * @lock: never held while a packet executes, nor over a call of the host's operations other than
 *	dma and log.
 * @changed: @busy, @parked, @hold or @runner has changed.
 * @runner: a thread is in nib_device_run().
 * @busy: a packet executes.
 * @parked: it waits at a safe point.
 * @abort: it must not go on.
 * @hold: while not 0, no packet starts, and one that executes parks at its next safe point.
 * @suspending: the firmware halts when the packet on the engine has ended.
 * @quiesced: nesting of nib_device_quiesce().
 * @link_down: all reads give ones.
 * @link_losses: how often it has been.
 * @interrupts: raised.
 * @latch_offset, @latch_value: upper half of the 64-bit register that was read last.
 */
struct nib_device {
	struct nib_hw hw;
	struct nib_fw fw;
	pthread_mutex_t control;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool runner;
	bool busy;
	bool parked;
	bool abort;
	bool suspending;
	unsigned int hold;
	unsigned int quiesced;
	bool link_down;
	unsigned int link_losses;
	uint64_t interrupts;
	uint64_t latch_offset;
	uint32_t latch_value;
	unsigned int deferred;
	struct nib_deferred_write write[NIB_DEFERRED_WRITES];
	struct nib_engine_command command;
	struct nib_engine_result result;
};

/* All with @lock held. */

/* From here to device_release() nothing moves: a packet has ended or is parked. */
void nib_device_hold(struct nib_device *device);
/*
 * As above, but a packet that executes is ended: it retires as NIB_ENGINE_ABORTED. False, and
 * nothing held, where the engine hangs so that only more than @how would end it.
 */
bool nib_device_stop(struct nib_device *device, enum nib_hang how);
void nib_device_release(struct nib_device *device);
void nib_device_function_reset(struct nib_device *device);

/**
 * struct nib_afflicted - what was ordered for the packet that is about to execute.
 */
struct nib_afflicted {
	bool mmu;
	bool ecc;
	struct nib_strike mmu_strike;
	struct nib_strike ecc_strike;
};

/* Before and after a packet executes. */
void nib_device_afflict(struct nib_device *device, struct nib_afflicted *afflicted);
void nib_device_relieve(struct nib_device *device, const struct nib_afflicted *afflicted);
/* As nib_device_inject(). */
int nib_device_inject_locked(struct nib_device *device, const struct nib_fault_order *order);
/* Answers what is in the admin ring. */
void nib_device_admin(struct nib_device *device);
/* Raises what is due; drops the lock meanwhile, since the host may come back with an access. */
void nib_device_interrupt(struct nib_device *device);
void nib_device_kick(struct nib_device *device);

uint64_t nib_regs_read(struct nib_device *device, uint64_t offset, unsigned int bytes);
void nib_regs_write(struct nib_device *device, uint64_t offset, unsigned int bytes,
		    uint64_t value);
void nib_doorbell_write(struct nib_device *device, uint64_t offset, uint64_t value);

#endif
