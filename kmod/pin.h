/* SPDX-License-Identifier: GPL-2.0 */
/* Buffers that stay where they are, whatever others need. */
#ifndef NIB_PIN_H
#define NIB_PIN_H

struct nib_bo;

int nib_bo_pin(struct nib_bo *bo);
int nib_bo_pin_host(struct nib_bo *bo);
void nib_bo_unpin(struct nib_bo *bo);

#endif
