/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MSI-X vectors: 0 for events, answers and pings, the others for completions of queues.
 */
#ifndef NIB_IRQ_H
#define NIB_IRQ_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "nib_regs.h"

struct nib_device;
struct nib_queue;

/**
 * struct nib_vector - a vector that queues complete on.
 * @ndev: device.
 * @lock: protects @queues; taken in interrupts, outside of the queues' own locks.
 * @queues: queues that use the vector.
 */
struct nib_vector {
	struct nib_device *ndev;
	spinlock_t lock;	/* see above */
	struct list_head queues;
};

/**
 * struct nib_irq - interrupts of a device.
 * @count: vectors, vector 0 included.
 * @lock: protects @events; taken in interrupts.
 * @events: events read since the firmware booted.
 * @vectors: vectors 1 .. @count - 1 at their index.
 */
struct nib_irq {
	unsigned int count;
	spinlock_t lock;	/* see above */
	u32 events;
	struct nib_vector vectors[NIB_MSIX_VECTORS];
};

int nib_irq_init(struct nib_device *ndev);
void nib_irq_synchronize(struct nib_device *ndev);
void nib_irq_events(struct nib_device *ndev);
void nib_irq_reset(struct nib_device *ndev);
void nib_irq_add_queue(struct nib_device *ndev, struct nib_queue *queue);
void nib_irq_remove_queue(struct nib_device *ndev, struct nib_queue *queue);

#endif
