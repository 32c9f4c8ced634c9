/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What HBM and SRAM hold, in host memory, while the machine sleeps.
 */
#ifndef NIB_IMAGE_H
#define NIB_IMAGE_H

struct nib_device;
struct nib_image;

int nib_image_create(struct nib_device *ndev, struct nib_image **image);
int nib_image_save(struct nib_image *image);
int nib_image_restore(struct nib_image *image);
void nib_image_destroy(struct nib_image **image);

#endif
