/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Page table of a context: which device address reads which memory. What is mapped where, and why,
 * is the VM's business.
 *
 * Changing a table never allocates: what an operation may need is reserved first, what it frees is
 * kept until it is safe to let go.
 */
#ifndef NIB_MMU_H
#define NIB_MMU_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/types.h>

#include "ipc.h"
#include "nib_regs.h"

struct nib_device;
struct nib_pt;

/*
 * A leaf that is not valid, but mapped all the same: the device faults there, and tables are kept
 * for it. The device looks at nothing but NIB_PTE_VALID in such an entry.
 */
#define NIB_PTE_HELD	BIT_ULL(6)

/**
 * struct nib_mmu - page table of a context.
 * @ndev: device.
 * @context: its id.
 * @object: what the firmware knows of it.
 * @root: table of the highest level.
 * @stale: entries that a TLB may hold were changed since the last nib_mmu_flush().
 *
 * Changes are serialised by nib_device.pt_lock, once others can see it.
 */
struct nib_mmu {
	struct nib_device *ndev;
	u32 context;
	struct nib_fw_object object;
	struct nib_pt *root;
	bool stale;
};

/**
 * struct nib_pt_pool - tables that an operation may use, and those that it freed.
 * @leaves: spare tables of level 0.
 * @directories: spare tables of other levels.
 * @dead: tables taken out. Not to be freed before the TLB was flushed.
 */
struct nib_pt_pool {
	struct list_head leaves;
	struct list_head directories;
	struct list_head dead;
};

/**
 * struct nib_pt_need - counts tables that mapping some runs may need.
 * @leaves: tables of level 0.
 * @last_leaf: 2 MiB region that the last counted one is for, plus 1.
 */
struct nib_pt_need {
	u64 leaves;
	u64 last_leaf;
};

int nib_mmu_init(struct nib_mmu *mmu, struct nib_device *ndev, u32 context);
void nib_mmu_fini(struct nib_mmu *mmu);

void nib_pt_pool_init(struct nib_pt_pool *pool);
void nib_pt_pool_fini(struct nib_pt_pool *pool, struct nib_device *ndev);
void nib_pt_pool_move(struct nib_pt_pool *to, struct nib_pt_pool *from);
void nib_pt_need_run(struct nib_pt_need *need, u64 va, u64 addr, u64 size, u64 leaf);
void nib_pt_need_unmap(struct nib_pt_need *need, u64 va, u64 size);
int nib_pt_pool_reserve(struct nib_pt_pool *pool, struct nib_device *ndev,
			const struct nib_pt_need *need, u64 va, u64 size);

int nib_mmu_map_run(struct nib_mmu *mmu, struct nib_pt_pool *pool, u64 va, u64 addr, u64 size,
		    u64 flags, u64 leaf);
int nib_mmu_unmap(struct nib_mmu *mmu, struct nib_pt_pool *pool, u64 va, u64 size);
void nib_mmu_flush(struct nib_mmu *mmu);

#endif
