// SPDX-License-Identifier: GPL-2.0
/*
 * SRAM is small and wanted in one piece. What stays (buffers, guaranteed parts of leases) is taken
 * from its end, what comes and goes (burst parts) from its start, so that one does not splinter the
 * other. When something does not fit, burst parts that were named longest ago give way, as few as
 * make one hole that is large enough.
 */
#include <linux/limits.h>
#include <linux/string.h>

#include "nib_regs.h"
#include "sram.h"

/**
 * nib_sram_init - start with nobody in it. Paired with nib_sram_fini().
 * @sram: SRAM.
 * @size: bytes; with 0 nothing ever fits.
 */
void nib_sram_init(struct nib_sram *sram, u64 size)
{
	INIT_LIST_HEAD(&sram->bursts);
	sram->turn = 0;
	if (size)
		drm_mm_init(&sram->mm, 0, size);
}

void nib_sram_fini(struct nib_sram *sram)
{
	if (drm_mm_initialized(&sram->mm))
		drm_mm_takedown(&sram->mm);
}

/* What nobody has, in however many pieces. */
u64 nib_sram_free_bytes(const struct nib_sram *sram)
{
	const struct drm_mm_node *hole;
	u64 start, end, bytes = 0;

	if (!drm_mm_initialized(&sram->mm))
		return 0;
	drm_mm_for_each_hole(hole, &sram->mm, start, end)
		bytes += end - start;
	return bytes;
}

/**
 * nib_sram_take - take what is free.
 * @sram: SRAM.
 * @node: zeroed; says where.
 * @size: bytes.
 * @align: of the first byte.
 * @mode: DRM_MM_INSERT_HIGH for what stays, DRM_MM_INSERT_LOW for what comes and goes.
 *
 * Returns 0 or -ENOSPC. Does not allocate.
 */
int nib_sram_take(struct nib_sram *sram, struct drm_mm_node *node, u64 size, u64 align,
		  enum drm_mm_insert_mode mode)
{
	if (!drm_mm_initialized(&sram->mm))
		return -ENOSPC;
	return drm_mm_insert_node_in_range(&sram->mm, node, size, align, 0, 0, U64_MAX, mode);
}

void nib_sram_give(struct drm_mm_node *node)
{
	if (drm_mm_node_allocated(node))
		drm_mm_remove_node(node);
	/* Ready for the next time. */
	memset(node, 0, sizeof(*node));
}

/**
 * nib_sram_pick - find burst parts whose room, with what is free around it, is enough.
 * @sram: SRAM.
 * @size: bytes that are wanted, more than 0.
 * @align: of the first byte.
 * @mode: as for nib_sram_take(), which succeeds once they have left.
 * @before: only those that were last named before this turn; U64_MAX for any.
 * @leave: empty list that receives them. They still have their room: nib_sram_give() it or call
 *	nib_burst_stay().
 *
 * Returns 0, also if it fits without anyone leaving, or -ENOSPC.
 */
int nib_sram_pick(struct nib_sram *sram, u64 size, u64 align, enum drm_mm_insert_mode mode,
		  u64 before, struct list_head *leave)
{
	struct nib_burst *burst, *next;
	struct drm_mm_scan scan;
	struct drm_mm_node probe = {};
	LIST_HEAD(asked);
	bool found = false;

	if (!nib_sram_take(sram, &probe, size, align, mode)) {
		drm_mm_remove_node(&probe);
		return 0;
	}
	if (!drm_mm_initialized(&sram->mm))
		return -ENOSPC;
	drm_mm_scan_init_with_range(&scan, &sram->mm, size, align, 0, 0, U64_MAX, mode);
	list_for_each_entry_safe(burst, next, &sram->bursts, link) {
		if (found || burst->turn >= before)
			break;
		/* To the front: they must be taken back in reverse order. */
		list_move(&burst->link, &asked);
		found = drm_mm_scan_add_block(&scan, &burst->node);
	}
	list_for_each_entry_safe(burst, next, &asked, link) {
		/* What need not go is where it was, in front of what was not asked. */
		if (drm_mm_scan_remove_block(&scan, &burst->node) && found)
			list_move(&burst->link, leave);
		else
			list_move(&burst->link, &sram->bursts);
	}
	return found ? 0 : -ENOSPC;
}

/**
 * nib_burst_name - a job names a burst part.
 * @sram: SRAM.
 * @burst: burst part.
 * @turn: nib_sram.turn of this naming, the largest so far.
 */
void nib_burst_name(struct nib_sram *sram, struct nib_burst *burst, u64 turn)
{
	burst->turn = turn;
	if (!list_empty(&burst->link))
		list_move_tail(&burst->link, &sram->bursts);
}

/**
 * nib_burst_stay - a burst part that is in SRAM may be asked to leave from now on.
 * @sram: SRAM.
 * @burst: burst part; in no list, or picked but not to leave after all.
 */
void nib_burst_stay(struct nib_sram *sram, struct nib_burst *burst)
{
	struct nib_burst *other;

	list_del_init(&burst->link);
	list_for_each_entry_reverse(other, &sram->bursts, link)
		if (other->turn <= burst->turn) {
			list_add(&burst->link, &other->link);
			return;
		}
	list_add(&burst->link, &sram->bursts);
}
