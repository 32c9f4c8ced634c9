/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Looks after the device while it has work.
 */
#ifndef NIB_WATCHDOG_H
#define NIB_WATCHDOG_H

struct nib_device;

void nib_watchdog_init(struct nib_device *ndev);
void nib_watchdog_arm(struct nib_device *ndev);
void nib_watchdog_stop(struct nib_device *ndev);

#endif
