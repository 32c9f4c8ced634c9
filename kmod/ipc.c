// SPDX-License-Identifier: GPL-2.0
/*
 * Admin messages: one at a time, answered in place. Every wait is bounded, and a device that does
 * not answer is lost.
 */
#include <linux/dma-mapping.h>
#include <linux/ktime.h>

#include <drm/drm_managed.h>

#include "device.h"
#include "ipc.h"

/*
 * Firmware that is busy with a long packet answers late, but its heart beats. Without a beat for
 * the first time, or without an answer for the second, it is dead.
 */
#define NIB_ADMIN_SILENT_MS	10000u
#define NIB_ADMIN_TIMEOUT_MS	30000u
/* How often a wait looks at that. */
#define NIB_ADMIN_POLL_MS	100u
#define NIB_PING_TIMEOUT_MS	1000u

static const char *nib_admin_op_name(u16 op)
{
	static const char *const names[] = {
		[NIB_ADM_NOP] = "NOP",
		[NIB_ADM_CTX_CREATE] = "CTX_CREATE",
		[NIB_ADM_CTX_DESTROY] = "CTX_DESTROY",
		[NIB_ADM_STREAM_CREATE] = "STREAM_CREATE",
		[NIB_ADM_STREAM_DESTROY] = "STREAM_DESTROY",
		[NIB_ADM_QUEUE_CREATE] = "QUEUE_CREATE",
		[NIB_ADM_QUEUE_DESTROY] = "QUEUE_DESTROY",
		[NIB_ADM_QUEUE_RESET] = "QUEUE_RESET",
	};

	return op < ARRAY_SIZE(names) ? names[op] : "?";
}

int nib_ipc_init(struct nib_device *ndev)
{
	struct nib_ipc *ipc = &ndev->ipc;
	int ret;

	init_waitqueue_head(&ipc->wait);
	ret = drmm_mutex_init(&ndev->drm, &ipc->lock);
	if (ret)
		return ret;
	ret = drmm_mutex_init(&ndev->drm, &ipc->ping_lock);
	if (ret)
		return ret;
	ipc->ctrl = dmam_alloc_coherent(&ndev->pdev->dev, sizeof(*ipc->ctrl), &ipc->ctrl_dma,
					GFP_KERNEL);
	return ipc->ctrl ? 0 : -ENOMEM;
}

/* Vector 0: whoever waits for an answer or a ping looks again. */
void nib_ipc_irq(struct nib_device *ndev)
{
	/* A ping waits for the interrupt, not only for what the device wrote before it. */
	WRITE_ONCE(ndev->ipc.ping_seen, READ_ONCE(ndev->ipc.ctrl->ping));
	wake_up(&ndev->ipc.wait);
}

/* Waits for the answer; returns the status, or NIB_ADM_PENDING if there is none. */
static u32 nib_ipc_wait(struct nib_device *ndev, struct nib_admin_msg *msg)
{
	u32 waited = 0, silent = 0, beat = 0, last, status;

	while (waited < NIB_ADMIN_TIMEOUT_MS && silent < NIB_ADMIN_SILENT_MS) {
		if (wait_event_timeout(ndev->ipc.wait,
				       READ_ONCE(msg->status) != NIB_ADM_PENDING ||
				       nib_device_lost(ndev),
				       msecs_to_jiffies(NIB_ADMIN_POLL_MS)))
			break;
		if (nib_device_is_gone(ndev))
			break;
		last = beat;
		beat = nib_read(ndev, NIB_REG_FW_HEARTBEAT);
		silent = beat == last ? silent + NIB_ADMIN_POLL_MS : 0;
		waited += NIB_ADMIN_POLL_MS;
	}
	status = READ_ONCE(msg->status);
	/* What the message asked for has happened before its status says so. */
	dma_rmb();
	return status;
}

/**
 * nib_ipc_call - send an admin message and wait for the answer.
 * @ndev: device.
 * @op: enum nib_admin_op.
 * @args: arguments.
 * @nargs: how many.
 *
 * Sleeps, for at most NIB_ADMIN_TIMEOUT_MS. Returns 0; -ENODEV or -EIO if the device is lost (or
 * is lost by not answering); -EIO if the firmware refuses, which is a bug of one of the two.
 */
int nib_ipc_call(struct nib_device *ndev, u16 op, const u64 *args, unsigned int nargs)
{
	struct nib_ipc *ipc = &ndev->ipc;
	struct nib_admin_msg *msg;
	int ret, cookie;
	u32 status;

	if (!drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	mutex_lock(&ipc->lock);
	ret = nib_device_lost(ndev);
	if (ret)
		goto out;

	msg = &ipc->ctrl->admin[ipc->tail % NIB_ADMIN_SLOTS];
	memset(msg, 0, sizeof(*msg));
	memcpy(msg->arg, args, nargs * sizeof(*args));
	msg->op = op;
	WRITE_ONCE(msg->status, NIB_ADM_PENDING);
	ipc->tail++;
	/* The message, and what it points to in HBM, before the doorbell. */
	wmb();
	writel(ipc->tail, ndev->doorbells + NIB_DOORBELL_ADMIN);

	status = nib_ipc_wait(ndev, msg);
	if (status == NIB_ADM_OK)
		goto out;
	if (status != NIB_ADM_PENDING) {
		drm_err(&ndev->drm, "firmware refused %s (%#llx, %#llx, %#llx): status %u\n",
			nib_admin_op_name(op), msg->arg[0], msg->arg[1], msg->arg[2], status);
		ret = -EIO;
		goto out;
	}
	if (!nib_device_lost(ndev)) {
		drm_err(&ndev->drm, "no answer to %s\n", nib_admin_op_name(op));
		if (nib_device_is_gone(ndev))
			nib_device_lose(ndev, -ENODEV, "it no longer answers reads");
		else
			nib_device_lose(ndev, -EIO, "its firmware does not answer");
	}
	ret = nib_device_lost(ndev);
out:
	mutex_unlock(&ipc->lock);
	drm_dev_exit(cookie);
	return ret;
}

/**
 * nib_ipc_ping - one bare round trip: doorbell, device, interrupt, this process.
 * @ndev: device.
 * @ns: out: how long it took.
 *
 * Returns 0, or -ENODEV, -EIO, -ERESTARTSYS.
 */
int nib_ipc_ping(struct nib_device *ndev, u64 *ns)
{
	struct nib_ipc *ipc = &ndev->ipc;
	int cookie;
	ktime_t start;
	long left;

	lockdep_assert_held(&ipc->ping_lock);

	if (nib_device_lost(ndev) || !drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	ipc->ping_value++;
	start = ktime_get();
	writel(ipc->ping_value, ndev->doorbells + NIB_DOORBELL_PING);
	left = wait_event_interruptible_timeout(ipc->wait,
						READ_ONCE(ipc->ping_seen) == ipc->ping_value,
						msecs_to_jiffies(NIB_PING_TIMEOUT_MS));
	*ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	drm_dev_exit(cookie);
	return left < 0 ? left : left ? 0 : -EIO;
}
