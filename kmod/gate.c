// SPDX-License-Identifier: GPL-2.0
/*
 * The gate to the firmware: a lock in all but name, with two differences. Who is inside lets go as
 * soon as somebody wants to close it, answer or no answer, so that closing never waits for the
 * device. And it may be opened by another task than the one that closed it: a device sleeps with
 * its gate closed.
 *
 * Doorbells do not enter. They are rung under the lock of their queue, where nobody may sleep, and
 * are left out while the gate is closed; opening it rings all of them.
 */
#include "device.h"
#include "gate.h"
#include "queue.h"

void nib_gate_init(struct nib_gate *gate)
{
#ifdef CONFIG_LOCKDEP
	static struct lock_class_key key;

	lockdep_init_map(&gate->dep_map, "nib_gate", &key, 0);
#endif
	spin_lock_init(&gate->lock);
	init_waitqueue_head(&gate->wait);
	gate->generation = 1;
}

static bool nib_gate_try_enter(struct nib_gate *gate)
{
	bool entered;

	spin_lock(&gate->lock);
	entered = !gate->closed;
	gate->inside += entered;
	spin_unlock(&gate->lock);
	return entered;
}

/* Waits until it is open. Paired with nib_gate_leave(). */
void nib_gate_enter(struct nib_gate *gate)
{
	might_sleep();
	lock_map_acquire_read(&gate->dep_map);
	wait_event(gate->wait, nib_gate_try_enter(gate));
}

void nib_gate_leave(struct nib_gate *gate)
{
	bool last;

	spin_lock(&gate->lock);
	last = !--gate->inside;
	spin_unlock(&gate->lock);
	if (last)
		wake_up_all(&gate->wait);
	lock_map_release(&gate->dep_map);
}

static bool nib_gate_try_close(struct nib_gate *gate)
{
	bool mine;

	spin_lock(&gate->lock);
	mine = !gate->closed;
	WRITE_ONCE(gate->closed, true);
	spin_unlock(&gate->lock);
	return mine;
}

/**
 * nib_gate_close - have the firmware for oneself. Paired with nib_gate_open().
 * @ndev: device.
 *
 * Waits for somebody else who has. When it returns nobody waits for an answer, and no doorbell is
 * rung any more.
 */
void nib_gate_close(struct nib_device *ndev)
{
	struct nib_gate *gate = &ndev->gate;
	struct nib_queue *queue;

	lock_map_acquire(&gate->dep_map);
	lock_map_release(&gate->dep_map);
	wait_event(gate->wait, nib_gate_try_close(gate));
	wake_up_all(&ndev->ipc.wait);
	wait_event(gate->wait, !READ_ONCE(gate->inside));

	mutex_lock(&ndev->queues_lock);
	list_for_each_entry(queue, &ndev->queues, link) {
		/* Whoever rings now has seen that it is closed. */
		spin_lock_irq(&queue->timeline->lock);
		spin_unlock_irq(&queue->timeline->lock);
	}
	mutex_unlock(&ndev->queues_lock);
}

/* Rings the doorbells that were left out meanwhile. */
void nib_gate_open(struct nib_device *ndev)
{
	struct nib_gate *gate = &ndev->gate;
	struct nib_queue *queue;

	spin_lock(&gate->lock);
	WRITE_ONCE(gate->closed, false);
	spin_unlock(&gate->lock);

	mutex_lock(&ndev->queues_lock);
	list_for_each_entry(queue, &ndev->queues, link)
		nib_queue_ring(queue);
	mutex_unlock(&ndev->queues_lock);
	wake_up_all(&gate->wait);
}

/* Lets the driver's own queue be rung, by who has closed the gate; or no longer. */
void nib_gate_set_private(struct nib_device *ndev, bool private)
{
	struct nib_queue *queue;

	WRITE_ONCE(ndev->gate.private, private);
	if (!private)
		return;
	mutex_lock(&ndev->queues_lock);
	list_for_each_entry(queue, &ndev->queues, link)
		nib_queue_ring(queue);
	mutex_unlock(&ndev->queues_lock);
}
