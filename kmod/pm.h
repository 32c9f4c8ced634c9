/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Power: who keeps the device awake, and what is done when it may sleep.
 */
#ifndef NIB_PM_H
#define NIB_PM_H

#include <linux/ktime.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/types.h>

struct nib_device;
struct nib_image;
struct task_struct;

/**
 * struct nib_pm - power management of a device.
 * @task: who runs a callback, and needs no leave to use the device.
 * @image: what memories held when the machine went to sleep, or NULL.
 * @sleeping: the machine goes to sleep or sleeps; recovery and the watchdog look away.
 * @resetting: somebody else resets the function, see reset.c; they look away, too. Changes, as the
 *	next ones, under the lock of the PCI device.
 * @reset_awake: it is held awake for that.
 * @reset_at: when it had begun.
 * @reset_asleep: it was reset while the machine slept.
 * @notifier: tells when the machine begins to go to sleep, and when it is awake again.
 * @frozen: in between, when tasks may be frozen: a job that waits for one is not to blame.
 */
struct nib_pm {
	struct task_struct *task;
	struct nib_image *image;
	bool sleeping;
	bool resetting;
	bool reset_awake;
	ktime_t reset_at;
	bool reset_asleep;
	struct notifier_block notifier;
	bool frozen;
};

extern const struct dev_pm_ops nib_pm_ops;
extern const struct pci_error_handlers nib_reset_handlers;

void nib_pm_enable(struct nib_device *ndev);
void nib_pm_disable(struct nib_device *ndev);

int nib_pm_get(struct nib_device *ndev);
void nib_pm_get_awake(struct nib_device *ndev);
bool nib_pm_get_if_awake(struct nib_device *ndev);
void nib_pm_wake(struct nib_device *ndev);
void nib_pm_put(struct nib_device *ndev);
void nib_pm_put_unused(struct nib_device *ndev);

bool nib_pm_is_away(struct nib_device *ndev);
void nib_pm_leave(struct nib_device *ndev, bool *away);
void nib_pm_come_back(struct nib_device *ndev, bool *away, int ret, const char *why);

int nib_pm_stop_firmware(struct nib_device *ndev, unsigned int ms);
void nib_pm_quiet(struct nib_device *ndev);
void nib_pm_started(struct nib_device *ndev, int ret, const char *why);

/* sleep.c */
int nib_sleep_init(struct nib_device *ndev);
void nib_sleep_abandon(struct nib_device *ndev);
int nib_sleep_suspend(struct device *dev);
int nib_sleep_resume(struct device *dev);

/* reset.c */
int nib_reset_init(struct nib_device *ndev);
void nib_reset_abandon(struct nib_device *ndev);

#endif
