// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: page tables. What the driver writes is read back as the device reads it, by nib_regs.h
 * alone, and compared with a plain list of what each page should be. Tables are taken from pools
 * that hold what was counted and no more, so that a count that is too small shows.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/prandom.h>

#include "mmu.h"
#include "test_device.h"

#define TEST_VA		0x7ffffe00000ull	/* just below a border of the third level */
#define TEST_PAGES	2048u			/* four tables of level 0 */
#define TEST_MEM	BIT_ULL(NIB_PTE_MEM_SHIFT)

/**
 * struct nib_mmu_test - a page table, and what should be in it.
 * @test: test.
 * @ndev: device.
 * @mmu: the table.
 * @page: address and flags of each page from TEST_VA on; 0 for a hole.
 * @hbm_free: HBM before there was a table.
 */
struct nib_mmu_test {
	struct kunit *test;
	struct nib_device *ndev;
	struct nib_mmu mmu;
	u64 *page;
	u64 hbm_free;
};

static u64 nib_mmu_test_read(struct nib_mmu_test *t, u64 table, unsigned int index)
{
	KUNIT_ASSERT_LT(t->test, table, (u64)NIB_TEST_HBM);
	return readq(t->ndev->window + table + index * sizeof(u64));
}

/* Sixteen entries of which one says NIB_PTE_64K must be one aligned 64 KiB. */
static void nib_mmu_test_check_64k(struct nib_mmu_test *t, u64 table, unsigned int index)
{
	unsigned int first = index & ~15u, i;
	u64 head = nib_mmu_test_read(t, table, first);

	KUNIT_EXPECT_EQ(t->test, head & NIB_PTE_ADDR_MASK & (NIB_PAGE_64K - 1), 0);
	for (i = 1; i < 16; i++)
		KUNIT_EXPECT_EQ(t->test, nib_mmu_test_read(t, table, first + i),
				head + i * NIB_PAGE_4K);
}

/* Where the firmware was told that the table is. */
static u64 nib_mmu_test_root;

/* What the device finds at @va: address and flags of a leaf, or 0. */
static u64 nib_mmu_test_walk(struct nib_mmu_test *t, u64 va)
{
	u64 table = nib_mmu_test_root, entry;
	int level;

	for (level = NIB_PT_LEVELS - 1; level >= 0; level--) {
		unsigned int index = va >> NIB_PT_SHIFT(level) & (NIB_PT_ENTRIES - 1);

		entry = nib_mmu_test_read(t, table, index);
		if (!(entry & NIB_PTE_VALID))
			return 0;
		KUNIT_EXPECT_EQ(t->test, entry & NIB_PTE_RESERVED, 0);
		if (level == 1 && entry & NIB_PTE_BLOCK)
			return (entry & ~(u64)NIB_PTE_BLOCK) + (va & (NIB_PAGE_2M - NIB_PAGE_4K));
		if (!level && entry & NIB_PTE_64K)
			nib_mmu_test_check_64k(t, table, index);
		if (!level)
			return entry & ~(u64)NIB_PTE_64K;
		KUNIT_EXPECT_EQ(t->test, entry & ~NIB_PTE_ADDR_MASK, NIB_PTE_VALID);
		table = entry & NIB_PTE_ADDR_MASK;
	}
	return 0;
}

/* The root's place is told to the firmware when a context is created. */
static int nib_mmu_test_ipc_create(struct nib_device *ndev, struct nib_fw_object *object, u16 op,
				   const u64 *args, unsigned int nargs)
{
	if (op == NIB_ADM_CTX_CREATE)
		nib_mmu_test_root = args[1];
	return 0;
}

static void nib_mmu_test_check(struct nib_mmu_test *t)
{
	unsigned int i;

	for (i = 0; i < TEST_PAGES; i++)
		if (nib_mmu_test_walk(t, TEST_VA + i * NIB_PAGE_4K) != t->page[i])
			break;
	KUNIT_ASSERT_EQ_MSG(t->test, i, TEST_PAGES, "page %u", i);
}

/* Reserves what an operation needs, as the VM does it; @leaf is 0 to unmap. */
static void nib_mmu_test_reserve(struct nib_mmu_test *t, struct nib_pt_pool *pool, u64 va, u64 addr,
				 u64 size, u64 leaf)
{
	struct nib_pt_need need = { 0 };

	nib_pt_pool_init(pool);
	nib_pt_need_unmap(&need, va, size);
	if (leaf)
		nib_pt_need_run(&need, va, addr, size, leaf);
	KUNIT_ASSERT_EQ(t->test, nib_pt_pool_reserve(pool, t->ndev, &need, va, leaf ? size : 0), 0);
}

/* With NIB_PTE_HELD the device finds nothing there. */
static void nib_mmu_test_map(struct nib_mmu_test *t, unsigned int first, unsigned int count,
			     u64 addr, u64 flags, u64 leaf)
{
	u64 va = TEST_VA + first * NIB_PAGE_4K, size = count * NIB_PAGE_4K;
	struct nib_pt_pool pool;
	unsigned int i;

	if (!(flags & NIB_PTE_HELD))
		flags |= NIB_PTE_VALID;
	nib_mmu_test_reserve(t, &pool, va, addr, size, leaf);
	KUNIT_ASSERT_EQ(t->test, nib_mmu_map_run(&t->mmu, &pool, va, addr, size, flags, leaf), 0);
	nib_mmu_flush(&t->mmu);
	nib_pt_pool_fini(&pool, t->ndev);
	for (i = 0; i < count; i++)
		t->page[first + i] = flags & NIB_PTE_VALID ? (addr + i * NIB_PAGE_4K) | flags : 0;
}

static void nib_mmu_test_unmap(struct nib_mmu_test *t, unsigned int first, unsigned int count)
{
	u64 va = TEST_VA + first * NIB_PAGE_4K, size = count * NIB_PAGE_4K;
	struct nib_pt_pool pool;
	unsigned int i;

	nib_mmu_test_reserve(t, &pool, va, 0, size, 0);
	KUNIT_ASSERT_EQ(t->test, nib_mmu_unmap(&t->mmu, &pool, va, size), 0);
	nib_mmu_flush(&t->mmu);
	nib_pt_pool_fini(&pool, t->ndev);
	for (i = 0; i < count; i++)
		t->page[first + i] = 0;
}

static int nib_mmu_test_init(struct kunit *test)
{
	struct nib_mmu_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->test = test;
	t->ndev = nib_test_device(test);
	t->page = kunit_kcalloc(test, TEST_PAGES, sizeof(*t->page), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->page);
	t->hbm_free = nib_hbm_available(t->ndev);
	kunit_activate_static_stub(test, nib_ipc_create, nib_mmu_test_ipc_create);
	KUNIT_ASSERT_EQ(test, nib_mmu_init(&t->mmu, t->ndev, 1), 0);
	test->priv = t;
	return 0;
}

static void nib_mmu_test_exit(struct kunit *test)
{
	struct nib_mmu_test *t = test->priv;

	if (!t)
		return;
	nib_mmu_fini(&t->mmu);
	KUNIT_EXPECT_EQ(test, nib_hbm_available(t->ndev), t->hbm_free);
}

/* Tables that a run needs, at most. */
static void nib_mmu_test_count(struct kunit *test)
{
	static const struct {
		u64 va, addr, size, leaf, leaves;
	} cases[] = {
		{ 0, 0, NIB_PAGE_4K, NIB_PAGE_2M, 1 },
		{ NIB_PAGE_2M - NIB_PAGE_4K, 0, 2 * NIB_PAGE_4K, NIB_PAGE_2M, 2 },
		{ 0, 0, NIB_PAGE_2M, NIB_PAGE_2M, 0 },
		/* Not aligned to each other: no large pages. */
		{ 0, NIB_PAGE_4K, NIB_PAGE_2M, NIB_PAGE_2M, 1 },
		{ 0, NIB_PAGE_4K, 3 * NIB_PAGE_2M, NIB_PAGE_2M, 3 },
		{ NIB_PAGE_4K, NIB_PAGE_4K, NIB_PAGE_2M, NIB_PAGE_2M, 2 },
		{ NIB_PAGE_64K, NIB_PAGE_64K, 3 * NIB_PAGE_2M, NIB_PAGE_2M, 2 },
		{ 0, 0, 4 * NIB_PAGE_2M + NIB_PAGE_4K, NIB_PAGE_2M, 1 },
		/* Smaller leaves than could be. */
		{ 0, 0, 2 * NIB_PAGE_2M, NIB_PAGE_64K, 2 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nib_pt_need need = { 0 };

		nib_pt_need_run(&need, cases[i].va, cases[i].addr, cases[i].size, cases[i].leaf);
		KUNIT_EXPECT_EQ_MSG(test, need.leaves, cases[i].leaves, "case %u", i);
	}
}

/* Runs that follow each other in one 2 MiB region share its table. */
static void nib_mmu_test_count_shared(struct kunit *test)
{
	struct nib_pt_need need = { 0 };
	unsigned int i;

	for (i = 0; i < NIB_PT_ENTRIES; i++)
		nib_pt_need_run(&need, i * NIB_PAGE_4K, (i ^ 1) * NIB_PAGE_4K, NIB_PAGE_4K,
				NIB_PAGE_2M);
	KUNIT_EXPECT_EQ(test, need.leaves, 1);
}

/* Pages of every size, split from every side. */
static void nib_mmu_test_sizes(struct kunit *test)
{
	struct nib_mmu_test *t = test->priv;

	nib_mmu_test_map(t, 0, TEST_PAGES, 0x40000000, NIB_PTE_WRITE, NIB_PAGE_2M);
	nib_mmu_test_check(t);
	nib_mmu_test_unmap(t, 511, 2);
	nib_mmu_test_check(t);
	nib_mmu_test_map(t, 1024, 16, 0x10000, TEST_MEM, NIB_PAGE_64K);
	nib_mmu_test_check(t);
	nib_mmu_test_unmap(t, 1031, 1);
	nib_mmu_test_check(t);
	nib_mmu_test_map(t, 512, 512, 0x80000000, NIB_PTE_WRITE | TEST_MEM, NIB_PAGE_2M);
	nib_mmu_test_check(t);
	nib_mmu_test_map(t, 1536, 512, 0x80000000, NIB_PTE_HELD, NIB_PAGE_2M);
	nib_mmu_test_check(t);
	nib_mmu_test_map(t, 1600, 1, 0x80000000, NIB_PTE_WRITE, NIB_PAGE_2M);
	nib_mmu_test_check(t);
	nib_mmu_test_unmap(t, 0, TEST_PAGES);
	nib_mmu_test_check(t);
}

/* Anything over anything; the seed is fixed, so that a failure comes back. */
static void nib_mmu_test_random(struct kunit *test)
{
	struct nib_mmu_test *t = test->priv;
	static const u64 flags[] = { NIB_PTE_WRITE, TEST_MEM, NIB_PTE_HELD, 0 };
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 20);
	for (i = 0; i < 200; i++) {
		unsigned int unit = 1u << prandom_u32_state(&rnd) % 10;
		unsigned int first = round_down(prandom_u32_state(&rnd) % TEST_PAGES, unit);
		unsigned int count = min(unit * (1 + prandom_u32_state(&rnd) % 4),
					 TEST_PAGES - first);
		u64 addr = (u64)(prandom_u32_state(&rnd) % 4096) * NIB_PAGE_4K;

		if (prandom_u32_state(&rnd) % 2)
			addr = round_down(addr, unit * NIB_PAGE_4K);
		if (prandom_u32_state(&rnd) % 3)
			nib_mmu_test_map(t, first, count, addr, flags[prandom_u32_state(&rnd) % 4],
					 prandom_u32_state(&rnd) % 4 ? NIB_PAGE_2M : NIB_PAGE_64K);
		else
			nib_mmu_test_unmap(t, first, count);
		nib_mmu_test_check(t);
	}
	nib_mmu_test_unmap(t, 0, TEST_PAGES);
	nib_mmu_test_check(t);
}

static struct kunit_case nib_mmu_test_cases[] = {
	KUNIT_CASE(nib_mmu_test_count),
	KUNIT_CASE(nib_mmu_test_count_shared),
	KUNIT_CASE(nib_mmu_test_sizes),
	KUNIT_CASE_SLOW(nib_mmu_test_random),
	{}
};

static struct kunit_suite nib_mmu_test_suite = {
	.name = "nib_mmu",
	.init = nib_mmu_test_init,
	.exit = nib_mmu_test_exit,
	.test_cases = nib_mmu_test_cases,
};

kunit_test_suite(nib_mmu_test_suite);
