/* SPDX-License-Identifier: MIT */
/*
 * The matrix of binds over buffers that leave HBM and come back, to wherever there is room: what the
 * device reads at an address is the same before and after, holes stay holes, and binds of a buffer
 * that is away work when it is back.
 *
 * A buffer holds its own page numbers; see test_vm_bind.c.
 */
#include "guest.h"

#define BASE	0x40000000ull	/* 2 MiB aligned */
#define OUT	0x10000000ull
#define TABLE	0x11000000ull
#define BIG	(7 * MIB)	/* three units of 2 MiB, and a rest */
#define PAGE	4096ull
#define PAGES	(8 * MIB / PAGE)
#define HOLE	0xffffffffu

static struct guest g;
static uint32_t big, *out;
static uint32_t want[PAGES];
static uint64_t base = BASE;

/* Where @va is a hole, its job faults and takes the queue with it. */
static uint32_t device_read(uint64_t va)
{
	struct stream s = { 0 };
	uint32_t queue;
	int error;

	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
	packet_copy(&s, va, OUT, 1);
	packet_end(&s);
	error = run_stream(g.fd, g.vm, queue, &s);
	OK(queue_destroy(g.fd, queue));
	if (error && error != -EFAULT)
		FAIL("va %#" PRIx64 ": error %d", va, error);
	return error ? HOLE : out[0];
}

static void map(uint64_t at, uint64_t page, uint64_t pages)
{
	uint64_t i;

	OK(vm_map(g.fd, g.vm, big, page * PAGE, base + at * PAGE, pages * PAGE, 0));
	for (i = 0; i < pages; i++)
		want[at + i] = (uint32_t)(page + i);
}

static void unmap(uint64_t at, uint64_t pages)
{
	OK(vm_unmap(g.fd, g.vm, base + at * PAGE, pages * PAGE));
	memset(want + at, 0xff, pages * 4);
}

/* Reads a page in every 64 KiB, and both sides of every edge. All mapped ones in one job. */
static void check(int line)
{
	struct stream s = { 0 };
	uint32_t at[160], n = 0, holes = 0, i;

	for (i = 0; i < PAGES; i++) {
		bool edge = (i && want[i] != want[i - 1] + 1) || (i + 1 < PAGES && want[i + 1] != want[i] + 1);

		if (want[i] == HOLE) {
			if (i && want[i - 1] != HOLE && holes++ < 3 && device_read(base + i * PAGE) != HOLE)
				FAIL("line %d: page %u is no hole", line, i);
		} else if ((edge || i % 64 == 17) && n < 40) {
			at[n] = i;
			packet_copy(&s, base + i * PAGE, OUT + n++ * 4, 1);
		}
	}
	packet_end(&s);
	memset(out, 0xee, n * 4);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	for (i = 0; i < n; i++)
		if (out[i] != want[at[i]])
			FAIL("line %d: page %u reads %u, not %u", line, at[i], out[i], want[at[i]]);
}

/* As it is, away and back, and again: places differ, mappings do not. */
static void check_over_eviction(int line)
{
	check(line);
	guest_crowd_out();
	check(line);
}

#define CHECK_ALL()	check_over_eviction(__LINE__)

static void clear(void)
{
	unmap(0, PAGES);
}

/* Each unmap once with the buffer there and once while it is away. */
static void check_unmaps(bool away)
{
	static const struct {
		uint64_t first, pages;
	} cut[] = {
		{ 512, 512 }, { 512, 1 }, { 1023, 1 }, { 768, 1 }, { 512, 16 }, { 528, 16 },
		{ 1008, 16 }, { 511, 2 }, { 500, 600 }, { 0, 1792 }, { 1536, 1 }, { 1700, 92 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		map(0, 0, BIG / PAGE);
		if (away)
			guest_crowd_out();
		unmap(cut[i].first, cut[i].pages);
		check(__LINE__);
		if (i % 4 == 0)
			CHECK_ALL();
		/* Something else in the hole, while it is away. */
		if (away)
			guest_crowd_out();
		map(cut[i].first, 100, cut[i].pages < 600 ? cut[i].pages : 600);
		check(__LINE__);
		clear();
	}
}

static void check_maps(void)
{
	/* Congruent, and not. */
	map(0, 0, BIG / PAGE);
	CHECK_ALL();
	clear();
	map(1, 0, BIG / PAGE);
	CHECK_ALL();
	clear();
	map(256, 512, 512);
	CHECK_ALL();
	clear();
	/* The buffer many times, and in pieces. */
	map(0, 0, 512);
	map(512, 0, 512);
	map(1024, 3, 700);
	CHECK_ALL();
	map(100, 1000, 600);
	CHECK_ALL();
	clear();
	/* Sparse. */
	map(0, 5, 1);
	map(2, 9, 1);
	map(511, 512, 2);
	map(1030, 1791, 1);
	CHECK_ALL();
	clear();
	/* Mapped while it is away, by a VM that never had it. */
	guest_crowd_out();
	map(0, 0, BIG / PAGE);
	check(__LINE__);
	clear();
}

int main(void)
{
	uint32_t *p, i;

	g = guest_begin();
	guest_needs_small_hbm(g.fd);
	out = guest_buffer(&g, OUT, PAGE, NIB_BO_HOST);
	OK(bo_create(g.fd, BIG, NIB_BO_HBM, &big));
	p = bo_map(g.fd, big, BIG);
	for (i = 0; i < BIG / PAGE; i++)
		p[i * PAGE / 4] = i;
	memset(want, 0xff, sizeof(want));
	check_maps();
	check_unmaps(false);
	check_unmaps(true);
	/* A window that does not start where a leaf does. */
	base = BASE + 64 * KIB;
	check_maps();
	CHECK(query_memory(g.fd).client_evicted_bytes > 0);
	return 0;
}
