/* SPDX-License-Identifier: MIT */
/*
 * Memory for tests of single packets: a range of addresses that is contiguous, scattered, or
 * scattered over all memories; what a packet computes must not depend on it. Functions and state
 * are each program's own.
 */
#ifndef SCATTERED_H
#define SCATTERED_H

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "driver.h"
#include "kernels/kernels.h"

#define UNUSED	__attribute__((unused))
#define VA	0x100000000ull
#define BYTES	(4ull << 20)
#define PAGES	(BYTES / NIB_PAGE_4K)

enum { CONTIGUOUS, SCATTERED, MIXED, LAYOUTS };

static const struct nib_kernels *const k = &nib_kernels_scalar;
static struct driver *d;
static uint8_t *page[PAGES];	/* of the VA range, as the CPU sees it; NULL in SRAM */
static uint64_t next_va;
static uint64_t seed;

static UNUSED uint32_t rnd(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33);
}

static UNUSED float uniform(void)
{
	return (float)(int32_t)(rnd() << 1) * 0x1p-31f;
}

static UNUSED void lay_out(int layout)
{
	uint64_t hbm = driver_hbm_alloc(d, BYTES, NIB_PAGE_2M);
	uint64_t host = driver_host_alloc(d, BYTES, NIB_PAGE_4K);

	if (layout == CONTIGUOUS)
		driver_map(d, 0, VA, NIB_MEM_HBM, hbm, BYTES, NIB_PAGE_2M, NIB_PTE_WRITE);
	for (uint64_t i = 0; i < PAGES; i++) {
		/* Odd factors permute: neighbours are never neighbours. */
		uint64_t at = i * 641 % PAGES * NIB_PAGE_4K, va = VA + i * NIB_PAGE_4K;
		enum nib_mem mem = layout == MIXED && i % 2 ? NIB_MEM_HOST : NIB_MEM_HBM;

		if (layout == CONTIGUOUS) {
			page[i] = d->hbm + hbm + i * NIB_PAGE_4K;
			continue;
		}
		page[i] = mem == NIB_MEM_HOST ? d->host + host + at : d->hbm + hbm + at;
		driver_map(d, 0, va, mem, mem == NIB_MEM_HOST ? DRIVER_DMA + host + at : hbm + at,
			   NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	}
}

/* A device that computes with a table of kernels. */
static UNUSED void setup_device(const char *table, unsigned int threads)
{
	driver_threads = threads;
	d = driver_new("small", table);
	driver_boot(d);
	driver_context(d, 0);
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	next_va = VA;
	seed = 42;
}

static UNUSED void setup_scalar(void)
{
	setup_device("scalar", 3);
}

static UNUSED void setup_avx2(void)
{
	setup_device("avx2", 3);
}

static UNUSED void setup_avx512(void)
{
	setup_device("avx512", 3);
}

static UNUSED void teardown(void)
{
	driver_free(d);
}

/* Runs all cases of a suite; the exit status of the program. */
static UNUSED int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

/* Runs what @add adds once for each table of this processor; the exit status of the program. */
static UNUSED int run_tables(const char *name, void (*add)(TCase *tests))
{
	static const struct {
		const char *name;
		void (*setup)(void);
	} tables[] = {
		{ "scalar", setup_scalar }, { "avx2", setup_avx2 }, { "avx512", setup_avx512 },
	};
	Suite *suite = suite_create(name);

	for (unsigned int i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		TCase *tests;

		if (!nib_kernels_get(tables[i].name))
			continue;
		tests = tcase_create(tables[i].name);
		tcase_add_checked_fixture(tests, tables[i].setup, teardown);
		tcase_set_timeout(tests, 120);
		add(tests);
		suite_add_tcase(suite, tests);
	}
	return run_suite(suite);
}

/* A place that crosses pages whenever it can. */
static UNUSED uint64_t place(uint64_t bytes, uint64_t align)
{
	uint64_t at = (next_va + 2048 + align - 1) / align * align;

	next_va = at + bytes;
	ck_assert_uint_le(next_va, VA + BYTES);
	return at;
}

static UNUSED void move(uint64_t va, void *data, uint64_t bytes, bool put)
{
	uint8_t *at = data;

	for (uint64_t n; bytes; va += n, at += n, bytes -= n) {
		uint8_t *p = page[(va - VA) / NIB_PAGE_4K] + va % NIB_PAGE_4K;

		n = NIB_PAGE_4K - va % NIB_PAGE_4K;
		n = n < bytes ? n : bytes;
		memcpy(put ? p : at, put ? at : p, n);
	}
}

static UNUSED uint64_t put(const void *data, uint64_t bytes, uint64_t align)
{
	uint64_t va = place(bytes, align);

	move(va, (void *)(uintptr_t)data, bytes, true);
	return va;
}

static UNUSED void *get(uint64_t va, uint64_t bytes)
{
	void *data = aligned_alloc(64, (bytes + 63) / 64 * 64);

	move(va, data, bytes, false);
	return data;
}

static UNUSED void same(uint64_t va, const void *expected, uint64_t bytes, const char *what)
{
	uint8_t *got = get(va, bytes);

	for (uint64_t i = 0; i < bytes; i++)
		if (got[i] != ((const uint8_t *)expected)[i])
			ck_abort_msg("%s: byte %llu of %llu is %02x, not %02x", what,
				     (unsigned long long)i, (unsigned long long)bytes, got[i],
				     ((const uint8_t *)expected)[i]);
	free(got);
}

static UNUSED float *floats(uint64_t n, float scale)
{
	float *x = aligned_alloc(64, (n * 4 + 63) / 64 * 64);

	for (uint64_t i = 0; i < n; i++)
		x[i] = uniform() * scale;
	return x;
}

static UNUSED void *room(uint64_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);

	memset(p, 0, (bytes + 127) / 64 * 64);
	return p;
}

static UNUSED struct nib_completion run_packet(const void *packet, uint64_t bytes)
{
	static uint32_t id;
	const struct nib_completion *done;
	struct stream s = { .words = 0 };
	uint64_t job;

	stream_add(&s, packet, bytes);
	stream_end(&s);
	stream_create(d, 0, ++id, &s, 0);
	job = driver_submit(d, 0, id, NULL, 0, 0);
	driver_run(d);
	done = driver_done(d, 0, job);
	ck_assert_ptr_nonnull(done);
	return *done;
}

#define RUN(p)								\
	do {								\
		struct nib_completion done_ = run_packet(&(p), sizeof(p)); \
		ck_assert_msg(done_.status == NIB_DONE_OK, "status %u at %#llx", done_.status, \
			      (unsigned long long)done_.fault_va);	\
	} while (0)
#define FAULT(p, status_, va_)						\
	do {								\
		struct nib_completion done_ = run_packet(&(p), sizeof(p)); \
		ck_assert_msg(done_.status == (status_) && done_.fault_va == (va_), \
			      "status %u at %#llx", done_.status,	\
			      (unsigned long long)done_.fault_va);	\
	} while (0)

/* W of n outputs and k elements in panel layout, through the row encoder and the layout rules. */
static UNUSED uint8_t *panels(uint32_t fmt, uint32_t n, uint32_t depth)
{
	uint8_t *w = room(nib_panels_bytes(fmt, n, depth));
	uint64_t total = nib_panels_bytes(fmt, n, depth);

	/* Any bytes are weights; scales near 1 keep results finite. */
	for (uint64_t i = 0; i < total; i++)
		w[i] = (uint8_t)rnd();
	if (fmt == NIB_FMT_BF16) {
		for (uint64_t i = 0; i < total; i += 2)
			w[i + 1] = (uint8_t)(0x3e | (rnd() & 0x81));
		return w;
	}
	for (uint64_t tile = 0; tile < total; tile += nib_tile_bytes(fmt))
		for (uint32_t t = 0; t < nib_format_terms(fmt); t++)
			for (uint32_t i = 0; i < NIB_PANEL_N; i++)
				for (uint32_t j = 0; j < NIB_TILE_K; j += nib_format_block(fmt))
					w[tile + nib_tile_scale(fmt, t, i, j)] =
						fmt == NIB_FMT_NVFP4 ? 0x30 + rnd() % 8 :
						120 + rnd() % 8;
	/* No NaN elements. */
	if (nib_format_bits(fmt) == 8)
		for (uint64_t tile = 0; tile < total; tile += nib_tile_bytes(fmt))
			for (uint32_t t = 0; t < nib_format_terms(fmt); t++)
				for (uint32_t i = 0; i < NIB_PANEL_N * NIB_TILE_K; i++) {
					__u64 byte;

					nib_tile_element(fmt, t, i / NIB_TILE_K, i % NIB_TILE_K,
							 &byte);
					w[tile + byte] &= 0xb7;
				}
	return w;
}

#endif
