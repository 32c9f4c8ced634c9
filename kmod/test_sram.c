// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: who gets SRAM and who gives way. SRAM here is a row of units, each free, taken for good,
 * or a burst part's; what the driver decides is compared with what a look at the row says.
 */
#include <kunit/test.h>
#include <linux/prandom.h>

#include "nib_regs.h"
#include "sram.h"

#define TEST_UNIT	NIB_PAGE_64K
#define TEST_UNITS	32u
#define TEST_PARTS	24u

/**
 * struct nib_sram_test - SRAM and who is in it.
 * @sram: SRAM.
 * @bursts: burst parts; those without a node are not in SRAM.
 * @fixed: what is taken for good, as far as it has a node.
 */
struct nib_sram_test {
	struct nib_sram sram;
	struct nib_burst bursts[TEST_PARTS];
	struct drm_mm_node fixed[TEST_PARTS];
};

static int nib_sram_test_init(struct kunit *test)
{
	struct nib_sram_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, t);
	nib_sram_init(&t->sram, TEST_UNITS * TEST_UNIT);
	for (i = 0; i < TEST_PARTS; i++)
		INIT_LIST_HEAD(&t->bursts[i].link);
	test->priv = t;
	return 0;
}

static void nib_sram_test_exit(struct kunit *test)
{
	struct nib_sram_test *t = test->priv;
	unsigned int i;

	if (!t)
		return;
	for (i = 0; i < TEST_PARTS; i++) {
		nib_sram_give(&t->bursts[i].node);
		nib_sram_give(&t->fixed[i]);
	}
	KUNIT_EXPECT_EQ(test, nib_sram_free_bytes(&t->sram), TEST_UNITS * TEST_UNIT);
	nib_sram_fini(&t->sram);
}

/* Puts a burst part in SRAM if it fits as things are, named now. */
static int nib_sram_test_burst(struct nib_sram_test *t, unsigned int i, unsigned int units)
{
	struct nib_burst *burst = &t->bursts[i];
	int ret = nib_sram_take(&t->sram, &burst->node, units * TEST_UNIT, TEST_UNIT,
				DRM_MM_INSERT_LOW);

	if (ret)
		return ret;
	nib_burst_name(&t->sram, burst, ++t->sram.turn);
	nib_burst_stay(&t->sram, burst);
	return 0;
}

static int nib_sram_test_pick(struct nib_sram_test *t, unsigned int units, u64 before,
			      struct list_head *leave)
{
	return nib_sram_pick(&t->sram, units * TEST_UNIT, TEST_UNIT, DRM_MM_INSERT_LOW, before,
			     leave);
}

/* Those that were picked do not leave after all. */
static void nib_sram_test_keep(struct nib_sram_test *t, struct list_head *leave)
{
	struct nib_burst *burst, *next;

	list_for_each_entry_safe(burst, next, leave, link)
		nib_burst_stay(&t->sram, burst);
}

/* The list is in the order of naming, and holds what is in SRAM, and nothing else. */
static void nib_sram_test_check(struct kunit *test, struct nib_sram_test *t)
{
	struct nib_burst *burst;
	unsigned int listed = 0, resident = 0, i;
	u64 turn = 0;

	list_for_each_entry(burst, &t->sram.bursts, link) {
		KUNIT_EXPECT_LE(test, turn, burst->turn);
		KUNIT_EXPECT_TRUE(test, drm_mm_node_allocated(&burst->node));
		turn = burst->turn;
		listed++;
	}
	for (i = 0; i < TEST_PARTS; i++)
		resident += drm_mm_node_allocated(&t->bursts[i].node);
	KUNIT_EXPECT_EQ(test, listed, resident);
}

/* Of four in a row, those named longest ago go, and no others. */
static void nib_sram_test_order(struct kunit *test)
{
	struct nib_sram_test *t = test->priv;
	struct nib_burst *b = t->bursts;
	LIST_HEAD(leave);
	unsigned int i;

	for (i = 0; i < 4; i++)
		KUNIT_ASSERT_EQ(test, nib_sram_test_burst(t, i, TEST_UNITS / 4), 0);
	KUNIT_EXPECT_EQ(test, nib_sram_free_bytes(&t->sram), 0);
	nib_burst_name(&t->sram, &b[0], ++t->sram.turn);

	KUNIT_ASSERT_EQ(test, nib_sram_test_pick(t, 1, U64_MAX, &leave), 0);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&leave));
	KUNIT_EXPECT_PTR_EQ(test, list_first_entry(&leave, struct nib_burst, link), &b[1]);
	nib_sram_test_keep(t, &leave);
	nib_sram_test_check(test, t);

	/* Two that are side by side, though another one was named before the second. */
	nib_burst_name(&t->sram, &b[2], ++t->sram.turn);
	KUNIT_ASSERT_EQ(test, nib_sram_test_pick(t, TEST_UNITS / 4 + 1, U64_MAX, &leave), 0);
	KUNIT_EXPECT_EQ(test, list_count_nodes(&leave), 2);
	KUNIT_EXPECT_PTR_EQ(test, list_first_entry(&leave, struct nib_burst, link), &b[1]);
	KUNIT_EXPECT_PTR_EQ(test, list_last_entry(&leave, struct nib_burst, link), &b[0]);
	nib_sram_test_keep(t, &leave);
	nib_sram_test_check(test, t);
}

/* What was named in this turn stays, and what is free is taken from nobody. */
static void nib_sram_test_before(struct kunit *test)
{
	struct nib_sram_test *t = test->priv;
	LIST_HEAD(leave);

	KUNIT_ASSERT_EQ(test, nib_sram_test_burst(t, 0, TEST_UNITS - 4), 0);
	KUNIT_EXPECT_EQ(test, nib_sram_test_pick(t, 5, t->bursts[0].turn, &leave), -ENOSPC);
	KUNIT_EXPECT_TRUE(test, list_empty(&leave));
	KUNIT_EXPECT_EQ(test, nib_sram_test_pick(t, 4, t->bursts[0].turn, &leave), 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&leave));
	KUNIT_EXPECT_EQ(test, nib_sram_test_pick(t, 5, t->bursts[0].turn + 1, &leave), 0);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&leave));
	nib_sram_test_keep(t, &leave);
	KUNIT_EXPECT_EQ(test, nib_sram_test_pick(t, TEST_UNITS + 1, U64_MAX, &leave), -ENOSPC);
	nib_sram_test_check(test, t);
}

static void nib_sram_test_none(struct kunit *test)
{
	struct drm_mm_node node = {};
	struct nib_sram none = {};
	LIST_HEAD(leave);

	nib_sram_init(&none, 0);
	KUNIT_EXPECT_EQ(test, nib_sram_free_bytes(&none), 0);
	KUNIT_EXPECT_EQ(test, nib_sram_take(&none, &node, 4096, 4096, DRM_MM_INSERT_HIGH), -ENOSPC);
	KUNIT_EXPECT_EQ(test, nib_sram_pick(&none, 4096, 4096, DRM_MM_INSERT_HIGH, U64_MAX, &leave),
			-ENOSPC);
	nib_sram_fini(&none);
}

/* Units of SRAM that are free, or would be if all before @before left. */
static u32 nib_sram_test_row(struct nib_sram_test *t, u64 before)
{
	u32 row = U32_MAX;
	unsigned int i;

	for (i = 0; i < 2 * TEST_PARTS; i++) {
		bool stays = i < TEST_PARTS || t->bursts[i - TEST_PARTS].turn >= before;
		struct drm_mm_node *node = i < TEST_PARTS ? &t->fixed[i] :
					   &t->bursts[i - TEST_PARTS].node;

		if (stays && drm_mm_node_allocated(node))
			row &= ~GENMASK((node->start + node->size) / TEST_UNIT - 1,
					node->start / TEST_UNIT);
	}
	return row;
}

static bool nib_sram_test_fits(u32 row, unsigned int units)
{
	unsigned int at;

	for (at = 0; at + units <= TEST_UNITS; at++)
		if (!(~row & GENMASK(at + units - 1, at)))
			return true;
	return false;
}

/* Someone takes room by whatever means are allowed: it works exactly when the row says so. */
static void nib_sram_test_take(struct kunit *test, struct nib_sram_test *t,
			       struct drm_mm_node *node, unsigned int units,
			       enum drm_mm_insert_mode mode, u64 before)
{
	bool fits = nib_sram_test_fits(nib_sram_test_row(t, before), units);
	bool free = nib_sram_test_fits(nib_sram_test_row(t, 0), units);
	struct nib_burst *burst, *next;
	LIST_HEAD(leave);
	int ret;

	ret = nib_sram_pick(&t->sram, units * TEST_UNIT, TEST_UNIT, mode, before, &leave);
	KUNIT_EXPECT_EQ(test, ret, fits ? 0 : -ENOSPC);
	KUNIT_EXPECT_EQ(test, list_empty(&leave), ret || free);
	list_for_each_entry_safe(burst, next, &leave, link) {
		KUNIT_EXPECT_LT(test, burst->turn, before);
		list_del_init(&burst->link);
		nib_sram_give(&burst->node);
	}
	if (!ret)
		KUNIT_EXPECT_EQ(test, nib_sram_take(&t->sram, node, units * TEST_UNIT, TEST_UNIT,
						    mode), 0);
}

static void nib_sram_test_random(struct kunit *test)
{
	struct nib_sram_test *t = test->priv;
	struct rnd_state rnd;
	unsigned int round;

	prandom_seed_state(&rnd, 7);
	for (round = 0; round < 20000; round++) {
		unsigned int i = prandom_u32_state(&rnd) % TEST_PARTS;
		unsigned int units = 1 + prandom_u32_state(&rnd) % 12;
		struct nib_burst *burst = &t->bursts[i];
		u64 turn = ++t->sram.turn;

		if (prandom_u32_state(&rnd) % 4 == 0) {
			if (drm_mm_node_allocated(&t->fixed[i]))
				nib_sram_give(&t->fixed[i]);
			else
				nib_sram_test_take(test, t, &t->fixed[i], (units + 3) / 4,
						   DRM_MM_INSERT_HIGH, U64_MAX);
		} else if (drm_mm_node_allocated(&burst->node)) {
			nib_burst_name(&t->sram, burst, turn);
		} else {
			nib_burst_name(&t->sram, burst, turn);
			nib_sram_test_take(test, t, &burst->node, units, DRM_MM_INSERT_LOW,
					   turn - prandom_u32_state(&rnd) % 8);
			if (drm_mm_node_allocated(&burst->node))
				nib_burst_stay(&t->sram, burst);
		}
		nib_sram_test_check(test, t);
	}
}

static struct kunit_case nib_sram_test_cases[] = {
	KUNIT_CASE(nib_sram_test_order),
	KUNIT_CASE(nib_sram_test_before),
	KUNIT_CASE(nib_sram_test_none),
	KUNIT_CASE_SLOW(nib_sram_test_random),
	{ }
};

static struct kunit_suite nib_sram_test_suite = {
	.name = "nib_sram",
	.init = nib_sram_test_init,
	.exit = nib_sram_test_exit,
	.test_cases = nib_sram_test_cases,
};

kunit_test_suite(nib_sram_test_suite);
