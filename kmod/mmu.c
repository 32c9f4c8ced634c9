// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables in HBM, with a copy in memory: reading the window is slow, and a table that we can
 * only trust as far as our own copy is easier to reason about. See nib_regs.h for the format.
 */
#include <linux/io.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "device.h"
#include "mmu.h"
#include "vram.h"

#define NIB_PT_PER_64K	16u	/* entries of level 0 that one NIB_PTE_64K group has */

/**
 * struct nib_pt - one table.
 * @range: where it is in HBM.
 * @live: entries that are not empty: valid or NIB_PTE_HELD.
 * @losses: nib_device.losses when it was cleared in HBM; while not in use.
 * @entry: what it holds.
 * @child: the tables behind the entries; NULL for level 0.
 * @link: in a pool, while not in use.
 */
struct nib_pt {
	struct nib_vram_range range;
	unsigned int live;
	u32 losses;
	u64 *entry;
	struct nib_pt **child;
	struct list_head link;
};

static u64 nib_pt_span(int level)
{
	return 1ull << NIB_PT_SHIFT(level);
}

static unsigned int nib_pt_index(u64 va, int level)
{
	return va >> NIB_PT_SHIFT(level) & (NIB_PT_ENTRIES - 1);
}

static void nib_pt_free(struct nib_pt *pt, struct nib_device *ndev)
{
	nib_hbm_range_free(ndev, &pt->range);
	free_page((unsigned long)pt->entry);
	free_page((unsigned long)pt->child);
	kfree(pt);
}

static void nib_pt_clear(struct nib_pt *pt, struct nib_device *ndev)
{
	pt->losses = READ_ONCE(ndev->losses);
	memset_io(nib_hbm_window(ndev, pt->range.offset), 0, NIB_PAGE_4K);
}

static struct nib_pt *nib_pt_alloc(struct nib_device *ndev, bool directory)
{
	struct nib_pt *pt = kzalloc_obj(*pt, GFP_KERNEL_ACCOUNT);
	int ret = -ENOMEM, cookie;

	if (!pt)
		return ERR_PTR(-ENOMEM);
	BUILD_BUG_ON(NIB_PT_ENTRIES * sizeof(u64) > PAGE_SIZE);
	pt->entry = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (directory)
		pt->child = (struct nib_pt **)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!pt->entry || (directory && !pt->child))
		goto err_free;
	ret = nib_hbm_range_alloc(ndev, NIB_PAGE_4K, &pt->range);
	if (ret)
		goto err_free;
	if (!drm_dev_enter(&ndev->drm, &cookie)) {
		nib_pt_free(pt, ndev);
		return ERR_PTR(-ENODEV);
	}
	nib_pt_clear(pt, ndev);
	drm_dev_exit(cookie);
	return pt;

err_free:
	free_page((unsigned long)pt->entry);
	free_page((unsigned long)pt->child);
	kfree(pt);
	return ERR_PTR(ret);
}

/* Changes one entry, in both copies. */
static void nib_pt_write(struct nib_mmu *mmu, struct nib_pt *pt, unsigned int index, u64 entry)
{
	u64 old = pt->entry[index];

	if (old == entry)
		return;
	if (old & NIB_PTE_VALID)
		mmu->stale = true;
	pt->live += !!entry - !!old;
	pt->entry[index] = entry;
	writeq(entry, nib_hbm_window(mmu->ndev, pt->range.offset) + index * sizeof(entry));
}

/* --- Reserving --- */

void nib_pt_pool_init(struct nib_pt_pool *pool)
{
	INIT_LIST_HEAD(&pool->leaves);
	INIT_LIST_HEAD(&pool->directories);
	INIT_LIST_HEAD(&pool->dead);
}

/* Frees what is left and what is dead. Not where fences are signalled. */
void nib_pt_pool_fini(struct nib_pt_pool *pool, struct nib_device *ndev)
{
	struct nib_pt *pt, *next;

	list_splice_init(&pool->leaves, &pool->dead);
	list_splice_init(&pool->directories, &pool->dead);
	list_for_each_entry_safe(pt, next, &pool->dead, link)
		nib_pt_free(pt, ndev);
	INIT_LIST_HEAD(&pool->dead);
}

/* Everything that is in one pool goes to another. */
void nib_pt_pool_move(struct nib_pt_pool *to, struct nib_pt_pool *from)
{
	list_splice_init(&from->leaves, &to->leaves);
	list_splice_init(&from->directories, &to->directories);
	list_splice_init(&from->dead, &to->dead);
}

static struct nib_pt *nib_pt_pool_take(struct list_head *spares)
{
	struct nib_pt *pt = list_first_entry_or_null(spares, struct nib_pt, link);

	if (pt)
		list_del_init(&pt->link);
	return pt;
}

/* True if what is left at @va can start with a 2 MiB leaf. */
static bool nib_pt_takes_block(u64 va, u64 addr, u64 size, u64 leaf)
{
	return leaf >= NIB_PAGE_2M && IS_ALIGNED(va | addr, NIB_PAGE_2M) && size >= NIB_PAGE_2M;
}

static void nib_pt_need_leaf(struct nib_pt_need *need, u64 va)
{
	u64 region = va / NIB_PAGE_2M + 1;

	if (need->last_leaf != region)
		need->leaves++;
	need->last_leaf = region;
}

/**
 * nib_pt_need_run - count the tables that a contiguous run may need. Runs come in order of address.
 * @need: counts.
 * @va: first device address.
 * @addr: first address in memory.
 * @size: bytes.
 * @leaf: largest leaf to be used, NIB_PAGE_2M or less.
 */
void nib_pt_need_run(struct nib_pt_need *need, u64 va, u64 addr, u64 size, u64 leaf)
{
	u64 step;

	for (; size; va += step, addr += step, size -= step) {
		if (nib_pt_takes_block(va, addr, size, leaf)) {
			step = ALIGN_DOWN(size, NIB_PAGE_2M);
			continue;
		}
		nib_pt_need_leaf(need, va);
		step = min(size, NIB_PAGE_2M - (va & (NIB_PAGE_2M - 1)));
	}
}

/* Unmapping part of a 2 MiB leaf splits it, which can happen at either end. */
void nib_pt_need_unmap(struct nib_pt_need *need, u64 va, u64 size)
{
	if (!IS_ALIGNED(va, NIB_PAGE_2M))
		nib_pt_need_leaf(need, va);
	if (!IS_ALIGNED(va + size, NIB_PAGE_2M))
		nib_pt_need_leaf(need, va + size);
}

/**
 * nib_pt_pool_reserve - allocate the tables that were counted, and the directories above them.
 * @pool: receives them; the caller frees it, also after an error.
 * @ndev: device.
 * @need: counts of level 0.
 * @va: first device address; with @size 0, no directories.
 * @size: bytes.
 *
 * Returns 0, -ENOSPC, -ENOMEM or -ENODEV.
 */
int nib_pt_pool_reserve(struct nib_pt_pool *pool, struct nib_device *ndev,
			const struct nib_pt_need *need, u64 va, u64 size)
{
	u64 directories = 0, i;
	int level;

	for (level = 2; size && level < NIB_PT_LEVELS; level++)
		directories += ((va + size - 1) >> NIB_PT_SHIFT(level)) -
			       (va >> NIB_PT_SHIFT(level)) + 1;
	for (i = 0; i < need->leaves + directories; i++) {
		struct nib_pt *pt = nib_pt_alloc(ndev, i >= need->leaves);

		if (IS_ERR(pt))
			return PTR_ERR(pt);
		list_add(&pt->link, i < need->leaves ? &pool->leaves : &pool->directories);
	}
	return 0;
}

/* --- Changing --- */

/* Fills a fresh table of level 0 with what a 2 MiB leaf maps. */
static void nib_pt_fill_from_block(struct nib_mmu *mmu, struct nib_pt *pt, u64 block)
{
	u64 flags = block & (NIB_PTE_VALID | NIB_PTE_HELD | NIB_PTE_WRITE | NIB_PTE_MEM_MASK);
	u64 addr = block & NIB_PTE_ADDR_MASK;
	unsigned int i;

	for (i = 0; i < NIB_PT_ENTRIES; i++)
		nib_pt_write(mmu, pt, i, (addr + i * NIB_PAGE_4K) | flags | NIB_PTE_64K);
}

/* The table of @level that serves @va. Missing ones come from the pool; a 2 MiB leaf is split. */
static struct nib_pt *nib_mmu_table(struct nib_mmu *mmu, struct nib_pt_pool *pool, u64 va,
				    int level)
{
	struct nib_pt *pt = mmu->root, *child;
	int at;

	for (at = NIB_PT_LEVELS - 1; at > level; at--, pt = child) {
		unsigned int i = nib_pt_index(va, at);

		child = pt->child[i];
		if (child)
			continue;
		if (pool)
			child = nib_pt_pool_take(at == 1 ? &pool->leaves : &pool->directories);
		if (drm_WARN_ON(&mmu->ndev->drm, !child))
			return NULL;
		/* It was empty when it was set aside, but HBM may have been reset since. */
		if (child->losses != READ_ONCE(mmu->ndev->losses))
			nib_pt_clear(child, mmu->ndev);
		if (pt->entry[i])
			nib_pt_fill_from_block(mmu, child, pt->entry[i]);
		/* The device may walk there as soon as the entry is written. */
		wmb();
		pt->child[i] = child;
		nib_pt_write(mmu, pt, i, child->range.offset | NIB_PTE_VALID);
	}
	return pt;
}

/* Entries from @index on change and those before it do not: they can no longer be one 64K. */
static void nib_pt_break_64k(struct nib_mmu *mmu, struct nib_pt *pt, unsigned int index)
{
	unsigned int first = ALIGN_DOWN(index, NIB_PT_PER_64K), i;

	if (index == first || !(pt->entry[first] & NIB_PTE_64K))
		return;
	for (i = first; i < first + NIB_PT_PER_64K; i++)
		nib_pt_write(mmu, pt, i, pt->entry[i] & ~NIB_PTE_64K);
}

static void nib_pt_write_pages(struct nib_mmu *mmu, struct nib_pt *pt, unsigned int index,
			       unsigned int count, u64 addr, u64 flags)
{
	unsigned int i, first;
	bool congruent = !((addr / NIB_PAGE_4K ^ index) & (NIB_PT_PER_64K - 1));

	nib_pt_break_64k(mmu, pt, index);
	nib_pt_break_64k(mmu, pt, index + count);
	for (i = index; i < index + count; i++, addr += NIB_PAGE_4K) {
		first = ALIGN_DOWN(i, NIB_PT_PER_64K);
		if (congruent && first >= index && first + NIB_PT_PER_64K <= index + count)
			nib_pt_write(mmu, pt, i, addr | flags | NIB_PTE_64K);
		else
			nib_pt_write(mmu, pt, i, addr | flags);
	}
}

/**
 * nib_mmu_map_run - map a contiguous run, over whatever was there.
 * @mmu: page table.
 * @pool: with what nib_pt_need_run() counted; NULL if the tables are there.
 * @va: first device address.
 * @addr: first address in memory.
 * @size: bytes; all three are multiples of NIB_PAGE_4K.
 * @flags: NIB_PTE_* of a leaf.
 * @leaf: as for nib_pt_need_run().
 *
 * Between drm_dev_enter() and drm_dev_exit(). Returns 0, or -EIO if the pool runs dry, which is a
 * bug.
 */
int nib_mmu_map_run(struct nib_mmu *mmu, struct nib_pt_pool *pool, u64 va, u64 addr, u64 size,
		    u64 flags, u64 leaf)
{
	u64 step;

	for (; size; va += step, addr += step, size -= step) {
		bool block = nib_pt_takes_block(va, addr, size, leaf);
		struct nib_pt *pt = nib_mmu_table(mmu, pool, va, block ? 1 : 0);
		unsigned int i = nib_pt_index(va, block ? 1 : 0), count;

		if (!pt)
			return -EIO;
		if (!block) {
			count = min(size / NIB_PAGE_4K, (u64)(NIB_PT_ENTRIES - i));
			nib_pt_write_pages(mmu, pt, i, count, addr, flags);
			step = count * NIB_PAGE_4K;
			continue;
		}
		/* What takes no tables has none to give back: see place.c. */
		if (drm_WARN_ON(&mmu->ndev->drm, pt->child[i] && !pool))
			return -EIO;
		nib_pt_write(mmu, pt, i, addr | flags | NIB_PTE_BLOCK);
		if (pt->child[i])
			list_add(&pt->child[i]->link, &pool->dead);
		pt->child[i] = NULL;
		step = NIB_PAGE_2M;
	}
	/* All of it before anyone is told that it is mapped. */
	wmb();
	return 0;
}

/* Takes out tables that have become empty; path[] has those that serve @va. */
static void nib_mmu_prune(struct nib_mmu *mmu, struct nib_pt_pool *pool, struct nib_pt **path,
			  int level, u64 va)
{
	for (; level < NIB_PT_LEVELS - 1 && !path[level]->live; level++) {
		unsigned int i = nib_pt_index(va, level + 1);

		nib_pt_write(mmu, path[level + 1], i, 0);
		path[level + 1]->child[i] = NULL;
		list_add(&path[level]->link, &pool->dead);
	}
}

/**
 * nib_mmu_unmap - unmap a range, holes included.
 * @mmu: page table.
 * @pool: with what nib_pt_need_unmap() counted.
 * @va: first device address.
 * @size: bytes; both are multiples of NIB_PAGE_4K.
 *
 * Between drm_dev_enter() and drm_dev_exit(). Returns 0, or -EIO if the pool runs dry, which is a
 * bug.
 */
int nib_mmu_unmap(struct nib_mmu *mmu, struct nib_pt_pool *pool, u64 va, u64 size)
{
	struct nib_pt *path[NIB_PT_LEVELS];
	u64 end = va + size, next;

	for (; va < end; va = next) {
		int level = NIB_PT_LEVELS - 1;
		unsigned int i, count, n;

		for (path[level] = mmu->root; level; level--) {
			path[level - 1] = path[level]->child[nib_pt_index(va, level)];
			if (!path[level - 1])
				break;
		}
		i = nib_pt_index(va, level);
		next = ALIGN_DOWN(va, nib_pt_span(level)) + nib_pt_span(level);
		if (level && !path[level]->entry[i])
			continue;
		if (level && (!IS_ALIGNED(va, nib_pt_span(level)) || next > end)) {
			/* Part of a 2 MiB leaf: split it and look again. */
			if (!nib_mmu_table(mmu, pool, va, 0))
				return -EIO;
			next = va;
			continue;
		}
		count = level ? 1 : min((end - va) / NIB_PAGE_4K, (u64)(NIB_PT_ENTRIES - i));
		if (!level) {
			nib_pt_break_64k(mmu, path[0], i);
			nib_pt_break_64k(mmu, path[0], i + count);
			next = va + count * NIB_PAGE_4K;
		}
		for (n = 0; n < count; n++)
			nib_pt_write(mmu, path[level], i + n, 0);
		nib_mmu_prune(mmu, pool, path, level, va);
	}
	/* Before the flush. */
	wmb();
	return 0;
}

/**
 * nib_mmu_flush - make the device forget translations that have changed.
 * @mmu: page table.
 *
 * When it returns no access uses an old one. Between drm_dev_enter() and drm_dev_exit().
 */
void nib_mmu_flush(struct nib_mmu *mmu)
{
	if (!mmu->stale)
		return;
	mmu->stale = false;
	nib_write(mmu->ndev, NIB_REG_TLB_INVALIDATE, mmu->context);
	/* The write is done when the device answers a read. */
	nib_device_is_gone(mmu->ndev);
}

/* --- Life --- */

static void nib_pt_write_all(struct nib_pt *pt, struct nib_device *ndev)
{
	unsigned int i;

	memcpy_toio(nib_hbm_window(ndev, pt->range.offset), pt->entry, NIB_PAGE_4K);
	pt->losses = ndev->losses;
	/* At most NIB_PT_LEVELS deep. */
	for (i = 0; pt->child && i < NIB_PT_ENTRIES; i++)
		if (pt->child[i])
			nib_pt_write_all(pt->child[i], ndev);
}

/* A firmware that has just booted is told of the context; HBM may have to be written again. */
static int nib_mmu_restore(struct nib_device *ndev, struct nib_fw_object *object, bool lost)
{
	struct nib_mmu *mmu = container_of(object, struct nib_mmu, object);
	int ret;

	if (lost) {
		mutex_lock(&ndev->pt_lock);
		nib_pt_write_all(mmu->root, ndev);
		/* Before the device is told where it is. */
		wmb();
		mutex_unlock(&ndev->pt_lock);
	}
	ret = nib_ipc_tell(ndev, NIB_ADM_CTX_CREATE,
			   NIB_IPC_ARGS(mmu->context, mmu->root->range.offset));
	if (!ret)
		object->generation = ndev->gate.generation;
	return ret;
}

/* Paired with nib_mmu_fini(). */
int nib_mmu_init(struct nib_mmu *mmu, struct nib_device *ndev, u32 context)
{
	int ret, cookie;

	mmu->ndev = ndev;
	mmu->context = context;
	mmu->stale = false;
	mmu->object = (struct nib_fw_object){
		.kind = NIB_FW_KIND_CONTEXT,
		.restore = nib_mmu_restore,
	};
	mmu->root = nib_pt_alloc(ndev, true);
	if (IS_ERR(mmu->root))
		return PTR_ERR(mmu->root);
	ret = nib_ipc_create(ndev, &mmu->object, NIB_ADM_CTX_CREATE,
			     NIB_IPC_ARGS(context, mmu->root->range.offset));
	if (ret) {
		nib_pt_free(mmu->root, ndev);
		return ret;
	}
	/* Once on the list it is written after every loss. What came before is ours to mend. */
	if (drm_dev_enter(&ndev->drm, &cookie)) {
		mutex_lock(&ndev->pt_lock);
		if (mmu->root->losses != ndev->losses)
			nib_pt_clear(mmu->root, ndev);
		mutex_unlock(&ndev->pt_lock);
		drm_dev_exit(cookie);
	}
	return 0;
}

static void nib_pt_free_all(struct nib_pt *pt, struct nib_device *ndev)
{
	unsigned int i;

	/* At most NIB_PT_LEVELS deep. */
	for (i = 0; pt->child && i < NIB_PT_ENTRIES; i++)
		if (pt->child[i])
			nib_pt_free_all(pt->child[i], ndev);
	nib_pt_free(pt, ndev);
}

/* The context must have no queues or streams any more. */
void nib_mmu_fini(struct nib_mmu *mmu)
{
	nib_ipc_destroy(mmu->ndev, &mmu->object, NIB_ADM_CTX_DESTROY, NIB_IPC_ARGS(mmu->context));
	nib_pt_free_all(mmu->root, mmu->ndev);
}
