/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /sys/kernel/debug/accel/BDF/: a look inside.
 */
#ifndef NIB_DEBUGFS_H
#define NIB_DEBUGFS_H

struct nib_device;

void nib_debugfs_init(struct nib_device *ndev);
int nib_debugfs_compare(const void *a, const void *b);
void nib_recovery_debugfs_init(struct nib_device *ndev);

#endif
