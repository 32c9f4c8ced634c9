/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who has which bytes of SRAM, and who gives way. Nothing but arithmetic: no locks, no hardware, no
 * contents. See lease.h for those.
 */
#ifndef NIB_SRAM_H
#define NIB_SRAM_H

#include <linux/list.h>
#include <linux/types.h>

#include <drm/drm_mm.h>

/**
 * struct nib_sram - all of it. Its owner serialises.
 * @mm: allocator, in bytes.
 * @bursts: burst parts that may be asked to leave, the one that was named longest ago first.
 * @turn: counts namings.
 */
struct nib_sram {
	struct drm_mm mm;
	struct list_head bursts;
	u64 turn;
};

/**
 * struct nib_burst - a part of SRAM that is taken back when others need it.
 * @node: where it is, if it is in SRAM.
 * @link: in nib_sram.bursts, or among those that are to leave.
 * @turn: when it was last named.
 */
struct nib_burst {
	struct drm_mm_node node;
	struct list_head link;
	u64 turn;
};

void nib_sram_init(struct nib_sram *sram, u64 size);
void nib_sram_fini(struct nib_sram *sram);
u64 nib_sram_free_bytes(const struct nib_sram *sram);

int nib_sram_take(struct nib_sram *sram, struct drm_mm_node *node, u64 size, u64 align,
		  enum drm_mm_insert_mode mode);
void nib_sram_give(struct drm_mm_node *node);
int nib_sram_pick(struct nib_sram *sram, u64 size, u64 align, enum drm_mm_insert_mode mode,
		  u64 before, struct list_head *leave);
void nib_burst_name(struct nib_sram *sram, struct nib_burst *burst, u64 turn);
void nib_burst_stay(struct nib_sram *sram, struct nib_burst *burst);

#endif
