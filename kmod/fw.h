/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Firmware: find it, check that it is for this driver, start it, stop it.
 */
#ifndef NIB_FW_H
#define NIB_FW_H

struct nib_device;

int nib_fw_load(struct nib_device *ndev);
int nib_fw_boot(struct nib_device *ndev);
void nib_fw_halt(struct nib_device *ndev);

#endif
