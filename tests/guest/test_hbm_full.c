/* SPDX-License-Identifier: MIT */
/*
 * Device memory runs out, for HBM with what host memory stands in for: ENOSPC, nothing is lost, and
 * all of it is there again afterwards.
 */
#include "guest.h"

#define MAX	4096

static uint32_t bos[MAX];

/* Allocates until there is no more; returns how many. */
static uint32_t fill(int fd, uint64_t size, uint32_t flags)
{
	uint32_t n = 0;
	int ret = 0;

	while (n < MAX) {
		ret = bo_create(fd, size, flags, &bos[n]);
		if (ret)
			break;
		n++;
	}
	EXPECT(ret, -ENOSPC);
	return n;
}

static void drop(int fd, uint32_t n)
{
	while (n)
		OK(bo_close(fd, bos[--n]));
}

static void check_memory(int fd, uint64_t size, uint32_t flags)
{
	struct nib_memory_info before = query_memory(fd), full, after;
	uint64_t total = flags & NIB_BO_SRAM ? before.sram_free : before.hbm_free;
	uint32_t first, again, bo;

	first = fill(fd, size, flags);
	full = query_memory(fd);
	CHECK((flags & NIB_BO_SRAM ? full.sram_free : full.hbm_free) < size);
	EQUAL(flags & NIB_BO_SRAM ? full.client_sram : full.client_hbm, first * size);
	if (flags & NIB_BO_HBM)
		CHECK(full.client_hbm_resident <= total && full.client_hbm_resident + size > total);
	/* One goes, one comes. */
	OK(bo_close(fd, bos[first / 2]));
	OK(bo_create(fd, size, flags, &bos[first / 2]));
	drop(fd, first);
	after = query_memory(fd);
	EQUAL(flags & NIB_BO_SRAM ? after.sram_free : after.hbm_free, total);
	again = fill(fd, size, flags);
	EQUAL(again, first);
	drop(fd, again);
	/* More than there is at all. */
	EXPECT(bo_create(fd, total + 4096, flags, &bo), -ENOSPC);
	EXPECT(bo_create(fd, 1ull << 45, flags, &bo), -ENOSPC);
}

/* With HBM full, buffers make room for page tables and streams. */
static void check_others(struct guest *g)
{
	struct nib_stream_create args;
	struct stream s = { 0 };
	uint32_t big, small, vm, host;

	OK(bo_create(g->fd, 4096, NIB_BO_HOST, &host));
	big = fill(g->fd, 16 * MIB, NIB_BO_HBM);
	for (small = big; small < MAX && !bo_create(g->fd, 256 * KIB, NIB_BO_HBM, &bos[small]);)
		small++;
	packet_end(&s);
	OK(stream_create_raw(g->fd, g->vm, s.words, 8, &args));
	OK(vm_create(g->fd, &vm));
	OK(vm_destroy(g->fd, vm));
	OK(vm_map(g->fd, g->vm, host, 0, 0x700000000ull, 4096, 0));
	OK(run_stream(g->fd, g->vm, g->queue, &s));
	drop(g->fd, small);
}

int main(void)
{
	struct guest g = guest_begin();
	struct nib_device_info info = query_device(g.fd);

	if (info.hbm_bytes > 2 * GIB)
		SKIP("HBM of %llu GiB would take too long to fill", info.hbm_bytes >> 30);
	check_memory(g.fd, 16 * MIB, NIB_BO_HBM);
	check_memory(g.fd, 7 * MIB, NIB_BO_HBM | NIB_BO_NO_MMAP);
	if (info.sram_bytes)
		check_memory(g.fd, 256 * KIB, NIB_BO_SRAM);
	check_others(&g);
	return 0;
}
