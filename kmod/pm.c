// SPDX-License-Identifier: GPL-2.0
/*
 * Power. A device sleeps in D3hot once nobody has used it for a while: memories refresh themselves,
 * firmware is gone and everything it knew is told to it again on waking.
 *
 * Whoever touches registers, doorbells or the window holds the device awake:
 * - ioctls, from their first line to their last, and whatever sends an admin message;
 * - runs and binds from when they are made until they are freed, so that waking never has to happen
 *   where fences are signalled. One that waits for a fence of somebody else's keeps the device
 *   awake meanwhile;
 * - page faults on HBM. The mapping itself does not: it is taken away when the device goes to sleep,
 *   and the next access wakes it. A model's weights stay mapped for as long as its process lives,
 *   which must not cost power.
 *
 * What only looks (watchdog, sensors, debugfs) leaves a sleeping device alone.
 */
#include <linux/pm_runtime.h>
#include <linux/sched.h>

#include "device.h"
#include "pm.h"

/**
 * nib_pm_get - have the device awake until nib_pm_put().
 * @ndev: device.
 *
 * Waits for the firmware to boot if the device sleeps: not where fences are signalled, unless the
 * caller knows that somebody else holds it awake. Returns 0 or -errno; a device that does not wake
 * is lost.
 */
int nib_pm_get(struct nib_device *ndev)
{
	struct device *dev = &ndev->pdev->dev;

	if (READ_ONCE(ndev->pm.task) == current) {
		pm_runtime_get_noresume(dev);
		return 0;
	}
	return pm_runtime_resume_and_get(dev) < 0 ? -ENODEV : 0;
}

/* As nib_pm_get(), where somebody is known to hold the device awake already. Any context. */
void nib_pm_get_awake(struct nib_device *ndev)
{
	pm_runtime_get_noresume(&ndev->pdev->dev);
}

/* As nib_pm_get() if the device is awake; else returns false. Any context. */
bool nib_pm_get_if_awake(struct nib_device *ndev)
{
	struct device *dev = &ndev->pdev->dev;
	int ret = pm_runtime_get_if_active(dev);

	/* A kernel without runtime PM, or a moment without it, says that it does not know. */
	if (ret < 0)
		pm_runtime_get_noresume(dev);
	return ret != 0;
}

/* Any context. */
void nib_pm_put(struct nib_device *ndev)
{
	struct device *dev = &ndev->pdev->dev;

	pm_runtime_mark_last_busy(dev);
	pm_runtime_put_autosuspend(dev);
}

/* The device works: it may sleep from now on. Paired with nib_pm_disable(). */
void nib_pm_enable(struct nib_device *ndev)
{
}

/* The device is awake when the driver core asks to unbind or to shut down, and stays so. */
void nib_pm_disable(struct nib_device *ndev)
{
}
