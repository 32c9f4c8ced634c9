// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts. Completions are read and their fences signalled right here: it is bounded work, and
 * nothing is faster.
 */
#include <linux/interrupt.h>

#include "device.h"
#include "irq.h"
#include "notify.h"
#include "queue.h"

static void nib_irq_event(struct nib_device *ndev, const struct nib_event *slot)
{
	u16 type = READ_ONCE(slot->type);
	u32 id = READ_ONCE(slot->id), value = READ_ONCE(slot->value);
	u64 addr = READ_ONCE(slot->addr);

	switch (type) {
	case NIB_EVENT_FAULT:
		/* Any client can cause these; the queue's completion says the same. */
		drm_dbg(&ndev->drm, "queue %u faulted: status %u at %#llx\n", id, value, addr);
		break;
	case NIB_EVENT_RESET:
		drm_dbg(&ndev->drm, "reset of kind %u\n", value);
		break;
	case NIB_EVENT_ECC:
		nib_notify_ecc(ndev, value, addr);
		if (value)
			drm_err_ratelimited(&ndev->drm, "memory error at HBM %#llx\n", addr);
		else
			drm_dbg(&ndev->drm, "memory error corrected at HBM %#llx\n", addr);
		break;
	default:
		drm_dbg(&ndev->drm, "unknown event %u\n", type);
	}
}

/* Reads new events; at most one round of the ring, whatever the device writes meanwhile. */
void nib_irq_events(struct nib_device *ndev)
{
	struct nib_irq *irq = &ndev->irq;
	unsigned long flags;
	u32 head, n;

	spin_lock_irqsave(&irq->lock, flags);
	head = READ_ONCE(ndev->ipc.ctrl->event_head);
	/* The firmware writes events before it counts them. */
	dma_rmb();
	if (head - irq->events > NIB_EVENTS)
		irq->events = head - NIB_EVENTS;
	for (n = 0; n < NIB_EVENTS && irq->events != head; n++) {
		const struct nib_event *slot = &ndev->ipc.ctrl->events[irq->events % NIB_EVENTS];

		/* Contents after seq; a slot that was overwritten, or never written, is lost. */
		if (READ_ONCE(slot->seq) == irq->events + 1) {
			dma_rmb();
			nib_irq_event(ndev, slot);
		}
		irq->events++;
	}
	spin_unlock_irqrestore(&irq->lock, flags);
}

/* The firmware has stopped, and the next one counts its events from 0. */
void nib_irq_reset(struct nib_device *ndev)
{
	struct nib_irq *irq = &ndev->irq;

	nib_irq_events(ndev);
	spin_lock_irq(&irq->lock);
	memset(ndev->ipc.ctrl->events, 0, sizeof(ndev->ipc.ctrl->events));
	ndev->ipc.ctrl->event_head = 0;
	irq->events = 0;
	spin_unlock_irq(&irq->lock);
}

static irqreturn_t nib_irq_admin(int number, void *data)
{
	struct nib_device *ndev = data;

	nib_ipc_irq(ndev);
	nib_irq_events(ndev);
	return IRQ_HANDLED;
}

static irqreturn_t nib_irq_vector(int number, void *data)
{
	struct nib_vector *vector = data;
	struct nib_queue *queue;
	unsigned long flags;

	spin_lock_irqsave(&vector->lock, flags);
	list_for_each_entry(queue, &vector->queues, vector_link)
		nib_queue_process(queue);
	spin_unlock_irqrestore(&vector->lock, flags);
	return IRQ_HANDLED;
}

static void nib_irq_free_vectors(void *data)
{
	pci_free_irq_vectors(data);
}

int nib_irq_init(struct nib_device *ndev)
{
	struct nib_irq *irq = &ndev->irq;
	struct device *dev = &ndev->pdev->dev;
	unsigned int i;
	int ret;

	/* A few vectors spread queues over CPUs; more would only be shared less. */
	ret = pci_alloc_irq_vectors(ndev->pdev, 2, min(NIB_MSIX_VECTORS, 9u), PCI_IRQ_MSIX);
	if (ret < 0)
		return ret;
	irq->count = ret;
	spin_lock_init(&irq->lock);
	ret = devm_add_action_or_reset(dev, nib_irq_free_vectors, ndev->pdev);
	if (ret)
		return ret;
	for (i = 1; i < irq->count; i++) {
		irq->vectors[i].ndev = ndev;
		spin_lock_init(&irq->vectors[i].lock);
		INIT_LIST_HEAD(&irq->vectors[i].queues);
	}
	ret = devm_request_irq(dev, pci_irq_vector(ndev->pdev, 0), nib_irq_admin, 0, "nib-admin",
			       ndev);
	for (i = 1; i < irq->count && !ret; i++)
		ret = devm_request_irq(dev, pci_irq_vector(ndev->pdev, i), nib_irq_vector, 0,
				       "nib-queues", &irq->vectors[i]);
	return ret;
}

/* Paired with nib_irq_remove_queue(). */
void nib_irq_add_queue(struct nib_device *ndev, struct nib_queue *queue)
{
	struct nib_vector *vector = &ndev->irq.vectors[queue->vector];

	spin_lock_irq(&vector->lock);
	list_add_tail(&queue->vector_link, &vector->queues);
	spin_unlock_irq(&vector->lock);
}

/* Once it returns, no interrupt looks at the queue. */
void nib_irq_remove_queue(struct nib_device *ndev, struct nib_queue *queue)
{
	struct nib_vector *vector = &ndev->irq.vectors[queue->vector];

	spin_lock_irq(&vector->lock);
	list_del_init(&queue->vector_link);
	spin_unlock_irq(&vector->lock);
}

/* Once it returns no handler runs that had begun before. */
void nib_irq_synchronize(struct nib_device *ndev)
{
	unsigned int i;

	for (i = 0; i < ndev->irq.count; i++)
		synchronize_irq(pci_irq_vector(ndev->pdev, i));
}
