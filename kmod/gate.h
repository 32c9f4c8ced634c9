/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The gate to the firmware. Those who send it messages or ring its doorbells go through while it is
 * open; who stops and starts the firmware closes it and has the device for himself.
 */
#ifndef NIB_GATE_H
#define NIB_GATE_H

#include <linux/lockdep.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

struct nib_device;

/**
 * struct nib_gate - the gate.
 * @lock: protects what follows.
 * @wait: woken when @inside falls to 0 and when @closed becomes false.
 * @inside: who waits for an answer of the firmware.
 * @closed: somebody has the firmware for himself. Doorbells look at it under the lock of their
 *	queue, see nib_gate_close().
 * @private: who has closed it uses the driver's own queue.
 * @generation: of the firmware; from 1. Changes while @closed only.
 * @dep_map: tells lockdep that passing the gate waits for whoever closed it.
 */
struct nib_gate {
	spinlock_t lock;	/* see above */
	wait_queue_head_t wait;
	unsigned int inside;
	bool closed;
	bool private;
	u32 generation;
#ifdef CONFIG_LOCKDEP
	struct lockdep_map dep_map;
#endif
};

void nib_gate_init(struct nib_gate *gate);
void nib_gate_enter(struct nib_gate *gate);
void nib_gate_leave(struct nib_gate *gate);
void nib_gate_close(struct nib_device *ndev);
void nib_gate_open(struct nib_device *ndev);

void nib_gate_set_private(struct nib_device *ndev, bool private);

static inline bool nib_gate_is_closed(const struct nib_gate *gate)
{
	return READ_ONCE(gate->closed);
}

/* Whether doorbells are rung: those of clients, or that of the driver's own queue. */
static inline bool nib_gate_lets_ring(const struct nib_gate *gate, bool own)
{
	return !READ_ONCE(gate->closed) || (own && READ_ONCE(gate->private));
}

#endif
