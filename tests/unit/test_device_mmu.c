// SPDX-License-Identifier: MIT
/* Page tables: sizes, memories, malformed entries, faults to the byte, and the TLB. */
#include <check.h>
#include <string.h>
#include "driver.h"

#define VA 0x7000000000ull

static struct driver *d;

static void setup(void)
{
	d = driver_new("small", "scalar");
	driver_boot(d);
	driver_context(d, 0);
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
}

static void teardown(void)
{
	driver_free(d);
}

/* Runs a stream of one packet as its own job. */
static struct nib_completion run(struct stream *s)
{
	static uint32_t id;
	const struct nib_completion *done;
	uint64_t job;

	stream_end(s);
	stream_create(d, 0, ++id, s, 0);
	job = driver_submit(d, 0, id, NULL, 0, 0);
	driver_run(d);
	done = driver_done(d, 0, job);
	ck_assert_ptr_nonnull(done);
	return *done;
}

static struct nib_completion fill(uint64_t va, uint64_t words, uint32_t value)
{
	struct stream s = { .words = 0 };

	stream_fill(&s, va, words, value);
	return run(&s);
}

static struct nib_completion copy(uint64_t src, uint64_t dst, uint64_t words)
{
	struct stream s = { .words = 0 };

	stream_copy(&s, src, NIB_FMT_U32, dst, NIB_FMT_U32, words);
	return run(&s);
}

#define OK(expression)							\
	do {								\
		struct nib_completion done_ = (expression);		\
		ck_assert_msg(done_.status == NIB_DONE_OK, "status %u at %#llx", done_.status, \
			      (unsigned long long)done_.fault_va);	\
	} while (0)

#define FAULT(expression, status_, va_)					\
	do {								\
		struct nib_completion done_ = (expression);		\
		ck_assert_msg(done_.status == (status_) && done_.fault_va == (va_), \
			      "status %u at %#llx", done_.status,	\
			      (unsigned long long)done_.fault_va);	\
	} while (0)

static const uint32_t *words(uint64_t hbm)
{
	return (const uint32_t *)(const void *)(d->hbm + hbm);
}

static const struct {
	uint64_t page, pages;
} sizes[] = { { NIB_PAGE_4K, 5 }, { NIB_PAGE_64K, 3 }, { NIB_PAGE_2M, 2 } };

START_TEST(every_page_size_maps_hbm)
{
	uint64_t page = sizes[_i].page, bytes = page * sizes[_i].pages;
	uint64_t at = driver_hbm_alloc(d, bytes, page);

	driver_map(d, 0, VA, NIB_MEM_HBM, at, bytes, page, NIB_PTE_WRITE);
	OK(fill(VA + 4, bytes / 4 - 2, 0x01020304));
	ck_assert_uint_eq(words(at)[0], 0);
	ck_assert_uint_eq(words(at)[1], 0x01020304);
	ck_assert_uint_eq(words(at)[bytes / 4 - 2], 0x01020304);
	ck_assert_uint_eq(words(at)[bytes / 4 - 1], 0);
	FAULT(fill(VA + bytes - 4, 2, 1), NIB_DONE_FAULT_WRITE, VA + bytes);
	FAULT(fill(VA - 4, 1, 1), NIB_DONE_FAULT_WRITE, VA - 4);
}
END_TEST

START_TEST(scattered_pages_act_as_one_range)
{
	uint64_t at = driver_hbm_alloc(d, 16 * NIB_PAGE_4K, NIB_PAGE_4K);

	/* In reverse order: no two of them continue each other. */
	for (unsigned int i = 0; i < 16; i++)
		driver_map(d, 0, VA + i * NIB_PAGE_4K, NIB_MEM_HBM,
			   at + (15 - i) * NIB_PAGE_4K, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	for (unsigned int i = 0; i < 16; i++)
		OK(fill(VA + i * NIB_PAGE_4K, 1024, i));
	for (unsigned int i = 0; i < 16; i++)
		ck_assert_uint_eq(words(at)[(15 - i) * 1024 + 1023], i);
	OK(copy(VA + 4, VA, 16 * 1024 - 1));
	ck_assert_uint_eq(words(at)[15 * 1024 + 1023], 1);
}
END_TEST

START_TEST(all_memories_are_one_address_space)
{
	uint64_t hbm = driver_hbm_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K);
	uint64_t host = driver_host_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K);
	struct nib_completion done;

	driver_map(d, 0, VA, NIB_MEM_HBM, hbm, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	driver_map(d, 0, VA + NIB_PAGE_4K, NIB_MEM_SRAM, 0x3000, NIB_PAGE_4K, NIB_PAGE_4K,
		   NIB_PTE_WRITE);
	driver_map(d, 0, VA + 2 * NIB_PAGE_4K, NIB_MEM_HOST, DRIVER_DMA + host, NIB_PAGE_4K,
		   NIB_PAGE_4K, NIB_PTE_WRITE);
	done = fill(VA, 3 * 1024, 0xabcd);
	OK(done);
	ck_assert_uint_eq(done.hbm_write, 4096);
	ck_assert_uint_eq(done.sram_write, 4096);
	ck_assert_uint_eq(done.host_write, 4096);
	ck_assert_uint_eq(*(uint32_t *)(void *)(d->host + host + 4092), 0xabcd);
	/* Three pages at once, from one place to another. */
	memset(d->host + host, 0x11, 4);
	done = copy(VA + 4, VA, 3 * 1024 - 1);
	OK(done);
	ck_assert_uint_eq(words(hbm)[0], 0xabcd);
	ck_assert_uint_eq(done.hbm_read + done.sram_read + done.host_read, 3 * 4096 - 4);
}
END_TEST

START_TEST(sram_ends_where_it_ends)
{
	const uint64_t sram = 2u << 20;

	driver_map(d, 0, VA, NIB_MEM_SRAM, sram - NIB_PAGE_4K, 2 * NIB_PAGE_4K, NIB_PAGE_4K,
		   NIB_PTE_WRITE);
	FAULT(fill(VA, 2048, 1), NIB_DONE_FAULT_WRITE, VA + NIB_PAGE_4K);
}
END_TEST

START_TEST(hbm_ends_where_it_ends)
{
	driver_map(d, 0, VA, NIB_MEM_HBM, (256u << 20) - NIB_PAGE_2M, 2 * NIB_PAGE_2M,
		   NIB_PAGE_2M, NIB_PTE_WRITE);
	FAULT(fill(VA + NIB_PAGE_2M - 4, 2, 1), NIB_DONE_FAULT_WRITE, VA + NIB_PAGE_2M);
}
END_TEST

START_TEST(host_memory_that_is_not_there_faults)
{
	driver_map(d, 0, VA, NIB_MEM_HOST, DRIVER_DMA + DRIVER_HOST - NIB_PAGE_4K,
		   2 * NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	FAULT(fill(VA, 2048, 1), NIB_DONE_FAULT_WRITE, VA + NIB_PAGE_4K);
	FAULT(copy(VA + 4092, VA, 2), NIB_DONE_FAULT_READ, VA + NIB_PAGE_4K);
}
END_TEST

START_TEST(host_memory_with_a_seam_works)
{
	uint64_t host = driver_host_alloc(d, 4 * NIB_PAGE_4K, NIB_PAGE_4K);

	driver_map(d, 0, VA, NIB_MEM_HOST, DRIVER_DMA + host, 4 * NIB_PAGE_4K, NIB_PAGE_4K,
		   NIB_PTE_WRITE);
	d->host_gap = host + 2 * NIB_PAGE_4K;
	OK(fill(VA, 4096, 7));
	*(uint32_t *)(void *)(d->host + host) = 8;
	OK(copy(VA, VA + 4, 4095));
	ck_assert_uint_eq(*(uint32_t *)(void *)(d->host + host + 4), 8);
	ck_assert_uint_eq(*(uint32_t *)(void *)(d->host + host + 4 * NIB_PAGE_4K - 4), 7);
}
END_TEST

START_TEST(read_only_pages_are_read_only)
{
	uint64_t at = driver_hbm_alloc(d, 3 * NIB_PAGE_4K, NIB_PAGE_4K);

	driver_map(d, 0, VA, NIB_MEM_HBM, at, 3 * NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	*driver_pte(d, 0, VA + NIB_PAGE_4K, 0) &= ~NIB_PTE_WRITE;
	OK(copy(VA + NIB_PAGE_4K, VA, 1024));
	FAULT(fill(VA, 3 * 1024, 1), NIB_DONE_FAULT_WRITE, VA + NIB_PAGE_4K);
	ck_assert_uint_eq(words(at)[1023], 1);
	ck_assert_uint_eq(words(at)[1024], 0);
	/* A packet that reads and writes the same range lacks the write. */
	OK(copy(VA, VA, 1024));
	FAULT(copy(VA, VA, 1025), NIB_DONE_FAULT_WRITE, VA + NIB_PAGE_4K);
}
END_TEST

START_TEST(addresses_past_the_va_space_fault)
{
	FAULT(fill(1ull << 48, 1, 1), NIB_DONE_FAULT_WRITE, 1ull << 48);
	FAULT(fill(~3ull, 1, 1), NIB_DONE_FAULT_WRITE, ~3ull);
	FAULT(copy(~3ull, VA, 4), NIB_DONE_FAULT_READ, ~3ull);
}
END_TEST

START_TEST(last_page_of_the_va_space_works)
{
	uint64_t top = (1ull << 48) - NIB_PAGE_4K, at = driver_hbm_alloc(d, 4096, 4096);

	driver_map(d, 0, top, NIB_MEM_HBM, at, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	OK(fill(top, 1024, 5));
	FAULT(fill(top, 1025, 5), NIB_DONE_FAULT_WRITE, 1ull << 48);
}
END_TEST

/* Entries that no driver should write. */
static const struct {
	const char *name;
	int level;
	uint64_t set, clear;
} malformed[] = {
	{ "invalid leaf", 0, 0, NIB_PTE_VALID },
	{ "reserved bit 6", 0, 1ull << 6, 0 },
	{ "reserved bit 52", 0, 1ull << 52, 0 },
	{ "fourth memory", 0, NIB_PTE_MEM_MASK, 0 },
	{ "block at level 0", 0, NIB_PTE_BLOCK, 0 },
	{ "64K at a wrong place", 0, NIB_PTE_64K, 0 },
	{ "invalid table", 1, 0, NIB_PTE_VALID },
	{ "reserved bit in a table", 2, 1ull << 63, 0 },
	{ "block at level 2", 2, NIB_PTE_BLOCK, 0 },
	{ "block at level 3", 3, NIB_PTE_BLOCK, 0 },
	{ "table outside of HBM", 1, 1ull << 40, 0 },
	{ "table outside of HBM", 3, 1ull << 51, 0 },
	{ "block that is not aligned", 1, NIB_PTE_BLOCK | NIB_PAGE_4K, 0 },
};

START_TEST(malformed_entries_fault)
{
	uint64_t at = driver_hbm_alloc(d, 2 * NIB_PAGE_64K, NIB_PAGE_64K), *entry, good;

	/* One page off, so that it cannot be part of a 64 KiB page. */
	driver_map(d, 0, VA, NIB_MEM_HBM, at + NIB_PAGE_4K, NIB_PAGE_64K, NIB_PAGE_4K,
		   NIB_PTE_WRITE);
	entry = driver_pte(d, 0, VA + NIB_PAGE_4K, malformed[_i].level);
	good = *entry;
	*entry = (good | malformed[_i].set) & ~malformed[_i].clear;
	FAULT(fill(VA + NIB_PAGE_4K, 1, 1), NIB_DONE_FAULT_WRITE, VA + NIB_PAGE_4K);
	*entry = good;
	OK(fill(VA + NIB_PAGE_4K, 1, 1));
}
END_TEST

START_TEST(a_table_that_points_to_itself_ends)
{
	*driver_pte(d, 0, 0, 3) = d->root[0] | NIB_PTE_VALID;
	/* All levels are the root, and so is the leaf: a page of HBM, read-only. */
	FAULT(fill(0, 1, 1), NIB_DONE_FAULT_WRITE, 0);
	FAULT(copy(0, 0, 1), NIB_DONE_FAULT_WRITE, 0);
}
END_TEST

START_TEST(the_tlb_remembers_until_told)
{
	uint64_t a = driver_hbm_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K);
	uint64_t b = driver_hbm_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K);

	driver_map(d, 0, VA, NIB_MEM_HBM, a, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	OK(fill(VA, 1, 1));
	driver_map(d, 0, VA, NIB_MEM_HBM, b, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	OK(fill(VA, 1, 2));
	ck_assert_uint_eq(words(a)[0], 2);
	/* Another context's entries stay. */
	driver_write(d, NIB_REG_TLB_INVALIDATE, 1);
	OK(fill(VA, 1, 3));
	ck_assert_uint_eq(words(a)[0], 3);
	driver_write(d, NIB_REG_TLB_INVALIDATE, 0);
	OK(fill(VA, 1, 4));
	ck_assert_uint_eq(words(b)[0], 4);
	driver_map(d, 0, VA, NIB_MEM_HBM, a, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	driver_write(d, NIB_REG_TLB_INVALIDATE, ~0u);
	OK(fill(VA, 1, 5));
	ck_assert_uint_eq(words(a)[0], 5);
	driver_unmap(d, 0, VA, NIB_PAGE_4K);
	FAULT(fill(VA, 1, 6), NIB_DONE_FAULT_WRITE, VA);
}
END_TEST

START_TEST(a_new_mapping_needs_no_invalidation)
{
	uint64_t a = driver_hbm_alloc(d, 4 * NIB_PAGE_4K, NIB_PAGE_4K);

	driver_map(d, 0, VA, NIB_MEM_HBM, a, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	FAULT(fill(VA, 2048, 1), NIB_DONE_FAULT_WRITE, VA + NIB_PAGE_4K);
	driver_map(d, 0, VA + NIB_PAGE_4K, NIB_MEM_HBM, a + NIB_PAGE_4K, NIB_PAGE_4K,
		   NIB_PAGE_4K, NIB_PTE_WRITE);
	OK(fill(VA, 2048, 1));
}
END_TEST

START_TEST(contexts_do_not_see_each_other)
{
	uint64_t a = driver_hbm_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K);
	uint64_t b = driver_hbm_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K), job;
	struct stream s = { .words = 0 };

	driver_context(d, 1);
	driver_queue(d, 1, 1, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_map(d, 0, VA, NIB_MEM_HBM, a, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	driver_map(d, 1, VA, NIB_MEM_HBM, b, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	OK(fill(VA, 1, 1));
	stream_fill(&s, VA, 1, 2);
	stream_end(&s);
	stream_create(d, 1, 0, &s, 0);
	job = driver_submit(d, 1, 0, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(driver_done(d, 1, job)->status, NIB_DONE_OK);
	ck_assert_uint_eq(words(a)[0], 1);
	ck_assert_uint_eq(words(b)[0], 2);
	/* A destroyed and remade context starts with an empty table, whatever the TLB held. */
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_DESTROY, 1), NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_DESTROY, 1), NIB_ADM_OK);
	driver_context(d, 1);
	driver_queue(d, 1, 1, 16, NIB_PRIORITY_NORMAL, 16, 1);
	stream_create(d, 1, 0, &s, 0);
	job = driver_submit(d, 1, 0, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(driver_done(d, 1, job)->status, NIB_DONE_FAULT_WRITE);
	ck_assert_uint_eq(driver_done(d, 1, job)->fault_va, VA);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_mmu");
	TCase *mmu = tcase_create("mmu");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(mmu, setup, teardown);
	tcase_add_loop_test(mmu, every_page_size_maps_hbm, 0, 3);
	tcase_add_test(mmu, scattered_pages_act_as_one_range);
	tcase_add_test(mmu, all_memories_are_one_address_space);
	tcase_add_test(mmu, sram_ends_where_it_ends);
	tcase_add_test(mmu, hbm_ends_where_it_ends);
	tcase_add_test(mmu, host_memory_that_is_not_there_faults);
	tcase_add_test(mmu, host_memory_with_a_seam_works);
	tcase_add_test(mmu, read_only_pages_are_read_only);
	tcase_add_test(mmu, addresses_past_the_va_space_fault);
	tcase_add_test(mmu, last_page_of_the_va_space_works);
	tcase_add_loop_test(mmu, malformed_entries_fault, 0,
			    sizeof(malformed) / sizeof(malformed[0]));
	tcase_add_test(mmu, a_table_that_points_to_itself_ends);
	tcase_add_test(mmu, the_tlb_remembers_until_told);
	tcase_add_test(mmu, a_new_mapping_needs_no_invalidation);
	tcase_add_test(mmu, contexts_do_not_see_each_other);
	suite_add_tcase(suite, mmu);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
