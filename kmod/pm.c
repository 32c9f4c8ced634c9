// SPDX-License-Identifier: GPL-2.0
/*
 * Power. A device sleeps in D3hot once nobody has used it for a while: memories refresh themselves,
 * firmware is gone, and everything it knew is told to it again on waking; see restart.c.
 *
 * Whoever touches registers, doorbells or the window holds the device awake:
 * - ioctls, from their first line to their last, and whatever sends an admin message;
 * - runs and binds from when they are made until they are freed, so that waking never has to happen
 *   where fences are signalled. One that waits for a fence of somebody else's keeps the device
 *   awake meanwhile;
 * - recovery, from the request until it is done;
 * - devices that attach to a dma-buf;
 * - page faults on HBM. The mapping itself does not: it is taken away when the device goes to
 *   sleep, and the next access wakes it. A model's weights stay mapped for as long as its process
 *   lives, which must not cost power.
 * What only looks (watchdog, sensors, debugfs) leaves a sleeping device alone. The shrinker may not
 * wait: it takes nothing from a device that sleeps, but has it wake up. What happens when the
 * machine sleeps is in sleep.c.
 */
#include <linux/iopoll.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/pm_runtime.h>
#include <linux/sched.h>

#include "device.h"
#include "irq.h"
#include "pm.h"
#include "recovery.h"
#include "watchdog.h"

#define NIB_PM_HALT_MS		1000u

static int nib_autosuspend_ms = 1000;
module_param_named(autosuspend_ms, nib_autosuspend_ms, int, 0444);
MODULE_PARM_DESC(autosuspend_ms, "Idle time after which a device sleeps (negative: never)");

/* --- Holding it awake --- */

/**
 * nib_pm_get - have the device awake until nib_pm_put().
 * @ndev: device.
 *
 * Waits for the firmware to boot if the device sleeps: not where fences are signalled, unless the
 * caller knows that somebody else holds it awake. Returns 0 or -ENODEV.
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

	/* A kernel without runtime PM, or a moment without it, cannot tell: nothing sleeps then. */
	if (ret < 0)
		pm_runtime_get_noresume(dev);
	return ret != 0;
}

/* Has a sleeping device wake up soon, and stay awake for as long as after any use. Any context. */
void nib_pm_wake(struct nib_device *ndev)
{
	struct device *dev = &ndev->pdev->dev;

	pm_runtime_mark_last_busy(dev);
	pm_request_resume(dev);
}

/* Any context. */
void nib_pm_put(struct nib_device *ndev)
{
	struct device *dev = &ndev->pdev->dev;

	pm_runtime_mark_last_busy(dev);
	pm_runtime_put_autosuspend(dev);
}

/* As nib_pm_put(), but that was no use which should keep the device from falling asleep. */
void nib_pm_put_unused(struct nib_device *ndev)
{
	pm_runtime_put(&ndev->pdev->dev);
}

/* The device works: it may sleep from now on. Paired with nib_pm_disable(). */
void nib_pm_enable(struct nib_device *ndev)
{
	struct device *dev = &ndev->pdev->dev;

	/*
	 * Memories refresh themselves in D3hot, and nowhere deeper: the slot keeps its power, and
	 * when the machine sleeps the device is woken first, so that an image is made.
	 */
	pci_d3cold_disable(ndev->pdev);
	dev_pm_set_driver_flags(dev, DPM_FLAG_NO_DIRECT_COMPLETE);
	pm_runtime_set_autosuspend_delay(dev, nib_autosuspend_ms);
	pm_runtime_use_autosuspend(dev);
	pm_runtime_allow(dev);
	/* The bus holds it awake for the probe, and the driver lets go. */
	nib_pm_put(ndev);
}

/* The driver core has woken the device to unbind it, or to shut it down; it stays awake. */
void nib_pm_disable(struct nib_device *ndev)
{
	struct device *dev = &ndev->pdev->dev;

	pm_runtime_get_noresume(dev);
	pm_runtime_forbid(dev);
	pm_runtime_dont_use_autosuspend(dev);
	pci_d3cold_enable(ndev->pdev);
	/* Its bus could not wake it: the gate is as it was left. */
	if (pm_runtime_status_suspended(dev)) {
		nib_device_lose(ndev, -ENODEV, "it does not wake");
		nib_restart_end(ndev);
	}
}

/* --- Stopping and starting --- */

/**
 * nib_pm_stop_firmware - stop the firmware between two packets.
 * @ndev: device, whose gate the caller has closed.
 * @ms: for how long to wait for the packet on the engine; then its job is given up.
 *
 * Returns 0 or -EIO.
 */
int nib_pm_stop_firmware(struct nib_device *ndev, unsigned int ms)
{
	u32 state;

	nib_write(ndev, NIB_REG_FW_COMMAND, NIB_FW_SUSPEND);
	if (!read_poll_timeout(nib_read32, state, state != NIB_FW_READY, 200, ms * 1000, false,
			       ndev, NIB_REG_FW_STATE, "NIB_REG_FW_STATE"))
		return 0;
	dev_warn(&ndev->pdev->dev, "a packet does not end: its job is given up\n");
	nib_write(ndev, NIB_REG_FW_COMMAND, NIB_FW_HALT);
	return read_poll_timeout(nib_read32, state, state != NIB_FW_READY, 200,
				 NIB_PM_HALT_MS * 1000, false, ndev, NIB_REG_FW_STATE,
				 "NIB_REG_FW_STATE") ? -EIO : 0;
}

/* The last thing before a device sleeps: nobody must expect anything of it. */
void nib_pm_quiet(struct nib_device *ndev)
{
	nib_sensors_keep(ndev);
	/* Tasks that access HBM fault from here on. */
	unmap_mapping_range(ndev->drm.anon_inode->i_mapping, 0, 0, 1);
	nib_irq_synchronize(ndev);
}

/* Lets everybody go on. A device that did not come up is a case for recovery, or gone. */
void nib_pm_started(struct nib_device *ndev, int ret, const char *why)
{
	if (nib_device_is_gone(ndev))
		nib_device_lose(ndev, -ENODEV, "it no longer answers reads");
	nib_restart_end(ndev);
	if (ret && !nib_device_lost(ndev))
		nib_recovery_request(ndev, NIB_RUNG_FUNCTION, NULL, why);
}

/* --- Somebody else has it for a while --- */

/* What recovery and the watchdog would see of the device, or do to it, makes no sense. */
bool nib_pm_is_away(struct nib_device *ndev)
{
	return READ_ONCE(ndev->pm.sleeping) || READ_ONCE(ndev->pm.resetting);
}

/**
 * nib_pm_leave - give the device away. Paired with nib_pm_come_back().
 * @ndev: device, awake.
 * @away: why: nib_pm.sleeping or nib_pm.resetting.
 *
 * On return the gate is closed, and neither recovery nor the watchdog touch the device.
 */
void nib_pm_leave(struct nib_device *ndev, bool *away)
{
	WRITE_ONCE(*away, true);
	nib_watchdog_stop(ndev);
	flush_work(&ndev->recovery.work);
	nib_restart_begin(ndev);
}

/* Everybody goes on, with a device that works if @ret is 0; else @why says what does not. */
void nib_pm_come_back(struct nib_device *ndev, bool *away, int ret, const char *why)
{
	WRITE_ONCE(*away, false);
	nib_pm_started(ndev, ret, why);
	/* What was asked for meanwhile. */
	nib_recovery_kick(ndev);
	nib_watchdog_arm(ndev);
}

/* --- Nobody uses it --- */

static int nib_pm_runtime_suspend(struct device *dev)
{
	struct nib_device *ndev = dev_get_drvdata(dev);
	int ret;

	/* There is nothing to be told to sleep, and nothing that could be woken again. */
	if (nib_device_lost(ndev))
		return -EBUSY;
	nib_restart_begin(ndev);
	ret = nib_pm_stop_firmware(ndev, NIB_PM_HALT_MS);
	if (ret) {
		nib_pm_started(ndev, ret, "the firmware does not stop");
		return -EBUSY;
	}
	nib_pm_quiet(ndev);
	return 0;
}

static int nib_pm_runtime_resume(struct device *dev)
{
	struct nib_device *ndev = dev_get_drvdata(dev);
	int ret;

	WRITE_ONCE(ndev->pm.task, current);
	ret = nib_restart_boot(ndev, NIB_RESTART_SLEPT);
	nib_pm_started(ndev, ret, "the firmware does not start after sleep");
	WRITE_ONCE(ndev->pm.task, NULL);
	/* Even if it is of no use: whoever wakes it finds that out by the usual means. */
	return 0;
}

const struct dev_pm_ops nib_pm_ops = {
	SYSTEM_SLEEP_PM_OPS(nib_sleep_suspend, nib_sleep_resume)
	RUNTIME_PM_OPS(nib_pm_runtime_suspend, nib_pm_runtime_resume, NULL)
};
