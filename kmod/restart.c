// SPDX-License-Identifier: GPL-2.0
/*
 * Starting the firmware anew under whatever uses it. Memories mostly survive, and rings are host
 * memory, so that all that is lost is what the firmware knew: contexts and streams, which it is
 * told again, and where each queue was, which it has published packet by packet. A job that was
 * between two packets goes on with the next one. The one whose packet was on the engine cannot:
 * that packet may be done in part.
 *
 * Where memories are lost, too, page tables and streams are written again from the copies that the
 * driver has. What clients had in HBM and SRAM is gone, so that their queues do not go on.
 */
#include <linux/dma-fence.h>

#include "device.h"
#include "fw.h"
#include "queue.h"
#include "recovery.h"

/* A boot that fails once may have had bad luck. */
#define NIB_BOOT_TRIES	2u

/**
 * nib_restart_begin - have the firmware for oneself. Paired with nib_restart_end().
 * @ndev: device.
 *
 * Sleeps until others who start or stop the firmware are done, but not for the firmware itself.
 */
void nib_restart_begin(struct nib_device *ndev)
{
	nib_gate_close(ndev);
}

/* The function is about to be reset, between nib_restart_begin() and nib_restart_boot(). */
void nib_restart_warn(struct nib_device *ndev)
{
	struct nib_queue *queue;

	nib_sensors_keep(ndev);
	mutex_lock(&ndev->queues_lock);
	list_for_each_entry(queue, &ndev->queues, link)
		nib_queue_warn(queue);
	mutex_unlock(&ndev->queues_lock);
}

static void nib_restart_queues(struct nib_device *ndev, enum nib_restart how)
{
	struct nib_queue *queue;

	mutex_lock(&ndev->queues_lock);
	list_for_each_entry(queue, &ndev->queues, link)
		nib_queue_outlive(queue, how);
	mutex_unlock(&ndev->queues_lock);
}

/**
 * nib_restart_boot - start the firmware and tell it what there is.
 * @ndev: device, between nib_restart_begin() and nib_restart_end(), its firmware stopped.
 * @how: what happened to it.
 *
 * Where fences are signalled: allocates nothing. Returns 0, -EIO or -ENODEV; after an error it may
 * be called again.
 */
int nib_restart_boot(struct nib_device *ndev, enum nib_restart how)
{
	/* Page tables and streams, that is; what became of buffers is for queues to know. */
	bool lost = how == NIB_RESTART_RESET || how == NIB_RESTART_IMAGE;
	unsigned int tries;
	int ret;

	if (lost)
		ndev->losses++;
	nib_restart_queues(ndev, how);
	nib_ipc_reset(ndev);
	for (tries = 0; tries < NIB_BOOT_TRIES; tries++) {
		ret = nib_fw_boot(ndev);
		if (!ret || ret == -ENODEV)
			break;
	}
	if (!ret)
		ret = nib_ipc_restore(ndev, lost);
	return ret == -ETIMEDOUT || ret == -EPROTO ? -EIO : ret;
}

/* Lets everybody go on. Whether the firmware runs is the caller's business. */
void nib_restart_end(struct nib_device *ndev)
{
	nib_gate_open(ndev);
}
