/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who owns which bytes of HBM. What they are used for is not known here.
 */
#ifndef NIB_VRAM_H
#define NIB_VRAM_H

#include <linux/bits.h>
#include <linux/gpu_buddy.h>
#include <linux/mutex.h>

struct nib_device;

/**
 * struct nib_vram - allocator of HBM.
 * @lock: protects all of it. Allocates under it: never taken where fences are signalled.
 * @hbm: HBM, in pages.
 */
struct nib_vram {
	struct mutex lock;	/* see above */
	struct gpu_buddy hbm;
};

/**
 * struct nib_vram_range - contiguous HBM of the driver's own, in the window.
 * @offset: HBM offset.
 * @size: bytes.
 * @blocks: what the allocator knows it by.
 */
struct nib_vram_range {
	u64 offset;
	u64 size;
	struct list_head blocks;
};

int nib_vram_init(struct nib_device *ndev);

/* How HBM is wanted. */
#define NIB_HBM_WINDOW		BIT(0)	/* the CPU must see it */
#define NIB_HBM_CONTIGUOUS	BIT(1)

int nib_hbm_try_alloc(struct nib_device *ndev, u64 size, u32 how, struct list_head *blocks);
void nib_hbm_free(struct nib_device *ndev, struct list_head *blocks);
u64 nib_hbm_available(struct nib_device *ndev);

int nib_hbm_range_alloc(struct nib_device *ndev, u64 size, struct nib_vram_range *range);
void nib_hbm_range_free(struct nib_device *ndev, struct nib_vram_range *range);
void __iomem *nib_hbm_window(struct nib_device *ndev, u64 offset);

#endif
