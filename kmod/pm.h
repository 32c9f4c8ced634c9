/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Power: who keeps the device awake, and what is done when it may sleep.
 */
#ifndef NIB_PM_H
#define NIB_PM_H

#include <linux/pm.h>
#include <linux/types.h>

struct nib_device;
struct task_struct;

/**
 * struct nib_pm - power management of a device.
 * @task: who runs a callback of power management, and needs no leave to use the device.
 * @enabled: the probe's hold on the device has been let go of.
 */
struct nib_pm {
	struct task_struct *task;
	bool enabled;
};

extern const struct dev_pm_ops nib_pm_ops;

void nib_pm_enable(struct nib_device *ndev);
void nib_pm_disable(struct nib_device *ndev);

int nib_pm_get(struct nib_device *ndev);
void nib_pm_get_awake(struct nib_device *ndev);
bool nib_pm_get_if_awake(struct nib_device *ndev);
void nib_pm_put(struct nib_device *ndev);

#endif
