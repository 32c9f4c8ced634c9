/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Host memory of buffers: pages, and the DMA mapping that the device sees them by.
 */
#ifndef NIB_HOSTMEM_H
#define NIB_HOSTMEM_H

#include <linux/types.h>

struct nib_bo;
struct nib_device;
struct nib_place;

int nib_bo_get_pages(struct nib_bo *bo);
void nib_bo_put_pages(struct nib_bo *bo, bool keep);
struct nib_place *nib_bo_host_place(struct nib_bo *bo, bool mapped);
void nib_gem_unmap_host_bos(struct nib_device *ndev);

#endif
