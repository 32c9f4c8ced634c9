/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Host memory of buffers, given back when the kernel is short of it.
 */
#ifndef NIB_SHRINK_H
#define NIB_SHRINK_H

struct nib_device;

int nib_shrinker_init(struct nib_device *ndev);

#endif
