// SPDX-License-Identifier: MIT
/*
 * Device MMU: walks the page table of a context in HBM and caches what it finds as ranges, joining
 * pages that continue each other, so that a large operand costs one lookup. It decides what is
 * mapped; what lies behind a mapping is hw_mem.c's.
 */
#include "hw_access.h"

#define VA_END (1ull << NIB_VA_BITS)

/* One table entry, read as the hardware would: in one piece, the driver may be writing it. */
static uint64_t mmu_read_entry(const struct nib_hw *hw, uint64_t table, unsigned int index)
{
	const uint64_t *at = (const uint64_t *)(hw->hbm + table) + index;

	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static bool mmu_table_ok(const struct nib_hw *hw, uint64_t table)
{
	return table % NIB_PAGE_4K == 0 && table < hw->chip.mem[NIB_MEM_HBM].bytes;
}

/* Where a VA leads: the table of level 0 that covers it, or a block entry. */
struct walk {
	uint64_t table;
	uint64_t block;
};

static bool mmu_walk(const struct nib_hw *hw, uint64_t root, uint64_t va, struct walk *walk)
{
	uint64_t table = root, entry;

	walk->block = 0;
	for (int level = NIB_PT_LEVELS - 1; level > 0; level--) {
		if (!mmu_table_ok(hw, table))
			return false;
		entry = mmu_read_entry(hw, table, va >> NIB_PT_SHIFT(level) & (NIB_PT_ENTRIES - 1));
		if (!(entry & NIB_PTE_VALID) || (entry & NIB_PTE_RESERVED))
			return false;
		if (entry & NIB_PTE_BLOCK) {
			walk->block = entry;
			return level == 1;
		}
		table = entry & NIB_PTE_ADDR_MASK;
	}
	walk->table = table;
	return mmu_table_ok(hw, table);
}

/* Size of the memory that an address points into; host addresses are checked by the host. */
static uint64_t mmu_mem_bytes(const struct nib_hw *hw, unsigned int mem)
{
	return mem == NIB_MEM_HOST ? NIB_PTE_ADDR_MASK + NIB_PAGE_4K : hw->chip.mem[mem].bytes;
}

/* Checks a leaf that maps @bytes at @va; fills the range with it. */
static bool mmu_leaf(const struct nib_hw *hw, uint64_t entry, uint64_t va, uint64_t bytes,
		     struct nib_range *range)
{
	uint64_t address = entry & NIB_PTE_ADDR_MASK;
	unsigned int mem = (entry & NIB_PTE_MEM_MASK) >> NIB_PTE_MEM_SHIFT;

	if (!(entry & NIB_PTE_VALID) || (entry & NIB_PTE_RESERVED) || mem >= NIB_MEMS)
		return false;
	if (bytes == NIB_PAGE_2M ? (entry & NIB_PTE_64K) != 0 : (entry & NIB_PTE_BLOCK) != 0)
		return false;
	if (address % bytes || address + bytes > mmu_mem_bytes(hw, mem))
		return false;
	/* Of a 64 KiB page this must be the piece that its place in the table says. */
	if ((entry & NIB_PTE_64K) && (address ^ va) % NIB_PAGE_64K)
		return false;
	range->start = va;
	range->end = va + bytes;
	range->address = address;
	range->mem = (uint8_t)mem;
	range->write = entry & NIB_PTE_WRITE;
	return true;
}

/* The leaf that maps @va. */
static bool mmu_lookup(const struct nib_hw *hw, uint64_t root, uint64_t va, struct walk *walk,
		       struct nib_range *range)
{
	if (!mmu_walk(hw, root, va, walk))
		return false;
	if (walk->block)
		return mmu_leaf(hw, walk->block, va & ~(NIB_PAGE_2M - 1), NIB_PAGE_2M, range);
	return mmu_leaf(hw, mmu_read_entry(hw, walk->table, va >> 12 & (NIB_PT_ENTRIES - 1)),
			va & ~(NIB_PAGE_4K - 1), NIB_PAGE_4K, range);
}

/* Adds @next to @range if it continues it. */
static bool mmu_join(struct nib_range *range, const struct nib_range *next)
{
	if (next->mem != range->mem || next->write != range->write ||
	    next->address != range->address + (range->end - range->start))
		return false;
	range->end = next->end;
	return true;
}

/* Grows @range up to @end while pages continue each other. */
static void mmu_grow(const struct nib_hw *hw, uint64_t root, uint64_t end, struct walk *walk,
		     struct nib_range *range)
{
	struct nib_range next;
	uint64_t va;

	while ((va = range->end) < end) {
		if (va % NIB_PAGE_2M == 0 && !mmu_walk(hw, root, va, walk))
			return;
		if (walk->block) {
			if (!mmu_leaf(hw, walk->block, va, NIB_PAGE_2M, &next))
				return;
		} else if (!mmu_leaf(hw, mmu_read_entry(hw, walk->table,
							va >> 12 & (NIB_PT_ENTRIES - 1)),
				     va, NIB_PAGE_4K, &next)) {
			return;
		}
		if (!mmu_join(range, &next)) {
			range->final = true;
			return;
		}
	}
}

static unsigned int mmu_slot(uint32_t context, uint64_t key, unsigned int slots)
{
	uint64_t h = (key ^ ((uint64_t)context << 40)) * 0x9e3779b97f4a7c15ull;

	return (unsigned int)(h >> 40) & (slots - 1);
}

static bool mmu_hit(const struct nib_access *a, const struct nib_range *range, uint64_t va)
{
	return va >= range->start && va < range->end && range->context == a->context &&
	       range->generation == a->hw->mmu.generation[a->context];
}

const struct nib_range *nib_mmu_find(struct nib_access *a, uint64_t va, uint64_t bytes, bool write)
{
	struct nib_mmu *mmu = &a->hw->mmu;
	struct nib_range *small = &mmu->small[mmu_slot(a->context, va >> 16, NIB_TLB_SMALL)];
	struct nib_range *large = &mmu->large[mmu_slot(a->context, va >> 21, NIB_TLB_LARGE)];
	struct nib_range *hit = NULL, range = { 0 };
	uint64_t block = va & ~(NIB_PAGE_2M - 1), end;
	struct walk walk;

	if (va >= VA_END)
		return NULL;
	if (mmu_hit(a, large, va))
		hit = large;
	else if (mmu_hit(a, small, va))
		hit = small;
	/* An entry that ends early may have been filled for a shorter access: look further. */
	end = bytes > VA_END - va ? VA_END : va + bytes;
	if (!hit || (hit->end < end && !hit->final)) {
		if (!mmu_lookup(a->hw, a->root, va, &walk, &range))
			return NULL;
		mmu_grow(a->hw, a->root, end, &walk, &range);
		range.context = a->context;
		range.generation = mmu->generation[a->context];
		hit = range.start <= block && range.end >= block + NIB_PAGE_2M ? large : small;
		*hit = range;
	}
	return write && !hit->write ? NULL : hit;
}

void nib_mmu_invalidate(struct nib_mmu *mmu, uint32_t context)
{
	for (uint32_t i = 0; i < NIB_MAX_CONTEXTS; i++)
		if (context == ~0u || context == i)
			mmu->generation[i]++;
}
