// SPDX-License-Identifier: GPL-2.0
/*
 * The machine sleeps, or is hibernated, with jobs in flight. The firmware stops between two
 * packets; rings stay as they are, and what is submitted meanwhile waits in them. Memories may
 * lose what they hold, so that an image in host memory keeps it; see image.c. When the machine
 * wakes all of that is put back, and every queue goes on with the next packet.
 *
 * Tasks are frozen: nobody calls. In all of this the gate to the firmware is closed (gate.c), and
 * fences may wait for it to open, so that nothing in between waits for memory to be reclaimed.
 */
#include <linux/suspend.h>

#include "device.h"
#include "dma.h"
#include "image.h"
#include "pm.h"
#include "recovery.h"

/* How long a packet may take to end; then its job is given up. */
#define NIB_SLEEP_PACKET_MS	10000u
#define NIB_SLEEP_HALT_MS	1000u
/* How long the machine waits for memory to be moved; then it stays awake. */
#define NIB_SLEEP_MOVES_MS	10000u

/*
 * Whether memories keep their contents: in D3hot they do. That is all that suspend-to-idle needs,
 * if nobody switches the slot off.
 */
static bool nib_sleep_keeps_memories(struct nib_device *ndev)
{
	struct pci_dev *pdev = ndev->pdev, *bridge = pci_upstream_bridge(pdev);

	return pm_suspend_target_state == PM_SUSPEND_TO_IDLE && !pci_pr3_present(pdev) &&
	       !(bridge && pci_pr3_present(bridge));
}

static int nib_sleep_notify(struct notifier_block *notifier, unsigned long event, void *unused)
{
	struct nib_device *ndev = container_of(notifier, struct nib_device, pm.notifier);
	/* Each of the others says that it is over. */
	bool begins = event == PM_SUSPEND_PREPARE || event == PM_RESTORE_PREPARE ||
		      event == PM_HIBERNATION_PREPARE;

	WRITE_ONCE(ndev->pm.frozen, begins);
	return NOTIFY_DONE;
}

static void nib_sleep_fini(void *notifier)
{
	unregister_pm_notifier(notifier);
}

/* Until the driver unbinds. */
int nib_sleep_init(struct nib_device *ndev)
{
	int ret;

	ndev->pm.notifier.notifier_call = nib_sleep_notify;
	ret = register_pm_notifier(&ndev->pm.notifier);
	return ret ?: devm_add_action_or_reset(&ndev->pdev->dev, nib_sleep_fini,
					       &ndev->pm.notifier);
}

/* Stops the firmware where it is, and puts into the image what memories hold by then. */
static int nib_sleep_save(struct nib_device *ndev)
{
	int ret = nib_pm_stop_firmware(ndev, NIB_SLEEP_PACKET_MS);

	if (ret || !ndev->pm.image)
		return ret;
	ret = nib_restart_boot(ndev, NIB_RESTART_SLEPT);
	if (!ret)
		ret = nib_image_save(ndev->pm.image);
	return ret ?: nib_pm_stop_firmware(ndev, NIB_SLEEP_HALT_MS);
}

/* Everybody goes on, with a device that works if @ret is 0. */
static void nib_sleep_go_on(struct nib_device *ndev, int ret, const char *why)
{
	nib_image_destroy(&ndev->pm.image);
	nib_pm_come_back(ndev, &ndev->pm.sleeping, ret, why);
	WRITE_ONCE(ndev->pm.task, NULL);
}

/*
 * Tasks are frozen: nobody calls. What had been given to the copy queue must be done, since it may
 * have left memory that others own by now. A job that it waits for may in turn wait for its task,
 * and is not to be blamed for that: then there is no sleep.
 */
int nib_sleep_suspend(struct device *dev)
{
	struct nib_device *ndev = dev_get_drvdata(dev);
	int ret;

	if (nib_device_lost(ndev))
		return 0;
	/* Its end waits for the lock that we are called with. */
	if (ndev->pm.resetting)
		return -EBUSY;
	nib_device_flush_cleanup(ndev);
	ret = nib_dma_wait_moves(ndev, msecs_to_jiffies(NIB_SLEEP_MOVES_MS));
	if (ret == -ETIME) {
		dev_err(dev, "cannot sleep: memory waits for a job that waits for its task\n");
		return -EBUSY;
	}
	if (ret)
		return ret;
	if (!nib_sleep_keeps_memories(ndev)) {
		ret = nib_image_create(ndev, &ndev->pm.image);
		if (ret) {
			dev_err(dev, "no host memory for what device memories hold\n");
			return ret;
		}
	}
	nib_pm_leave(ndev, &ndev->pm.sleeping);
	ndev->pm.reset_asleep = false;
	WRITE_ONCE(ndev->pm.task, current);
	ret = nib_sleep_save(ndev);
	if (ret) {
		dev_err(dev, "cannot sleep: %d\n", ret);
		nib_pm_stop_firmware(ndev, NIB_SLEEP_HALT_MS);
		nib_sleep_go_on(ndev, nib_restart_boot(ndev, NIB_RESTART_SLEPT), "it cannot sleep");
		return -EBUSY;
	}
	nib_pm_quiet(ndev);
	return 0;
}

/* The driver unbinds while the machine sleeps: the device was taken out of it. */
void nib_sleep_abandon(struct nib_device *ndev)
{
	if (!ndev->pm.sleeping)
		return;
	nib_device_lose(ndev, -ENODEV, "it was removed while the machine slept");
	nib_sleep_go_on(ndev, 0, NULL);
}

int nib_sleep_resume(struct device *dev)
{
	struct nib_device *ndev = dev_get_drvdata(dev);
	enum nib_restart how = ndev->pm.image ? NIB_RESTART_IMAGE : NIB_RESTART_SLEPT;
	int ret;

	if (!ndev->pm.sleeping)
		return 0;
	/* What was to stay in memories may be lost: recovery tells everybody, and begins anew. */
	if (ndev->pm.reset_asleep && !ndev->pm.image)
		ret = -EIO;
	else
		ret = nib_restart_boot(ndev, how);
	if (!ret && ndev->pm.image)
		ret = nib_image_restore(ndev->pm.image);
	nib_sleep_go_on(ndev, ret, "it does not wake");
	/* A machine wakes up whether or not one of its devices does. */
	return 0;
}
