/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Zeroing memory, so that no client reads what another one left.
 */
#ifndef NIB_CLEAR_H
#define NIB_CLEAR_H

#include <linux/types.h>

#include "nib_regs.h"

struct nib_bo;
struct nib_device;

int nib_clear_init(struct nib_device *ndev);
void nib_clear_fini(struct nib_device *ndev);
int nib_clear_bo(struct nib_device *ndev, const struct nib_bo *bo);

#endif
