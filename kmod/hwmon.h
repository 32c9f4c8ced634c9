/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hwmon: power, energy and temperature where tools for sensors look.
 */
#ifndef NIB_HWMON_H
#define NIB_HWMON_H

struct nib_device;

#if IS_REACHABLE(CONFIG_HWMON)
void nib_hwmon_init(struct nib_device *ndev);
#else
static inline void nib_hwmon_init(struct nib_device *ndev)
{
}
#endif

#endif
