/* SPDX-License-Identifier: MIT */
/*
 * Binds, checked by what the device then reads and writes: map, partial unmap, replace, 64K and 2M
 * leaves that are cut, read-only maps.
 *
 * A buffer holds its own page numbers, so that whatever address the device reads tells which page
 * is mapped there. A read where nothing is mapped must fault; that kills its queue, so each gets
 * its own.
 */
#include "guest.h"

#define BASE		0x40000000ull	/* 2 MiB aligned */
#define OUT		0x10000000ull
#define BIG		(6 * MIB)
#define PAGE		4096ull

static struct guest g;
static uint32_t big, *big_map, *out;

/* What the device reads at @va: the word there, or -errno in *error. */
static uint32_t device_read(uint64_t va, int *error)
{
	struct stream s = { 0 };
	uint32_t queue;

	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
	out[0] = 0xffffffff;
	packet_copy(&s, va, OUT, 1);
	packet_end(&s);
	*error = run_stream(g.fd, g.vm, queue, &s);
	if (*error) {
		struct nib_queue_get_state state = queue_state(g.fd, queue);

		EQUAL(state.fault_status, NIB_DONE_FAULT_READ);
		EQUAL(state.fault_va & ~(PAGE - 1), va & ~(PAGE - 1));
	}
	OK(queue_destroy(g.fd, queue));
	return out[0];
}

static void expect_page(uint64_t va, uint32_t page, int line)
{
	int error;
	uint32_t got = device_read(va, &error);

	if (error || got != page)
		FAIL("line %d: va %#" PRIx64 ": page %u (error %d), not %u", line, va, got, error,
		     page);
}

static void expect_hole(uint64_t va, int line)
{
	int error;
	uint32_t got = device_read(va, &error);

	if (error != -EFAULT)
		FAIL("line %d: va %#" PRIx64 ": %#x (error %d), not a fault", line, va, got, error);
}

#define PAGE_IS(va, page)	expect_page(va, page, __LINE__)
#define HOLE(va)		expect_hole(va, __LINE__)

static void map(uint64_t va, uint64_t page, uint64_t size)
{
	OK(vm_map(g.fd, g.vm, big, page * PAGE, va, size, 0));
}

static void unmap(uint64_t va, uint64_t size)
{
	OK(vm_unmap(g.fd, g.vm, va, size));
}

static void clear(void)
{
	unmap(BASE, 64 * MIB);
}

/* Map and unmap pages: exact, a superset, a subset, holes. */
static void check_pages(void)
{
	map(BASE, 3, PAGE);
	PAGE_IS(BASE, 3);
	HOLE(BASE + PAGE);
	HOLE(BASE - PAGE);
	map(BASE + 2 * PAGE, 7, 3 * PAGE);
	PAGE_IS(BASE + 4 * PAGE, 9);
	unmap(BASE + 3 * PAGE, PAGE);
	PAGE_IS(BASE + 2 * PAGE, 7);
	HOLE(BASE + 3 * PAGE);
	PAGE_IS(BASE + 4 * PAGE, 9);
	/* Holes inside and around. */
	unmap(BASE - 4 * PAGE, 32 * PAGE);
	HOLE(BASE);
	HOLE(BASE + 4 * PAGE);
	unmap(BASE, PAGE);
}

/* A map replaces what it covers, and only that. */
static void check_replace(void)
{
	map(BASE, 100, 10 * PAGE);
	map(BASE + 4 * PAGE, 200, 2 * PAGE);
	PAGE_IS(BASE + 3 * PAGE, 103);
	PAGE_IS(BASE + 4 * PAGE, 200);
	PAGE_IS(BASE + 5 * PAGE, 201);
	PAGE_IS(BASE + 6 * PAGE, 106);
	map(BASE + 9 * PAGE, 300, 4 * PAGE);
	PAGE_IS(BASE + 8 * PAGE, 108);
	PAGE_IS(BASE + 9 * PAGE, 300);
	map(BASE - PAGE, 400, 3 * PAGE);
	PAGE_IS(BASE + PAGE, 402);
	PAGE_IS(BASE + 2 * PAGE, 102);
	map(BASE - 8 * PAGE, 0, 64 * PAGE);
	PAGE_IS(BASE, 8);
	PAGE_IS(BASE + 12 * PAGE, 20);
	clear();
}

/* An aligned 64 KiB, cut at the left, in the middle, at the right, and made whole again. */
static void check_64k(void)
{
	map(BASE, 16, 64 * KIB);
	PAGE_IS(BASE + 15 * PAGE, 31);
	unmap(BASE, PAGE);
	HOLE(BASE);
	PAGE_IS(BASE + PAGE, 17);
	PAGE_IS(BASE + 15 * PAGE, 31);
	unmap(BASE + 15 * PAGE, PAGE);
	PAGE_IS(BASE + 14 * PAGE, 30);
	HOLE(BASE + 15 * PAGE);
	map(BASE + 7 * PAGE, 500, PAGE);
	PAGE_IS(BASE + 6 * PAGE, 22);
	PAGE_IS(BASE + 7 * PAGE, 500);
	PAGE_IS(BASE + 8 * PAGE, 24);
	map(BASE, 32, 64 * KIB);
	PAGE_IS(BASE, 32);
	PAGE_IS(BASE + 7 * PAGE, 39);
	/* Not congruent, so only pages will do. */
	map(BASE, 33, 64 * KIB);
	PAGE_IS(BASE, 33);
	PAGE_IS(BASE + 15 * PAGE, 48);
	clear();
}

/* The unmap matrix of one 2 MiB leaf with a neighbour on either side. */
static void check_2m(void)
{
	static const struct {
		uint64_t first, pages;
	} cut[] = {
		{ 0, 512 }, { 0, 1 }, { 511, 1 }, { 256, 1 }, { 0, 511 }, { 1, 511 }, { 1, 510 },
		{ 0, 16 }, { 16, 16 }, { 496, 16 }, { 15, 2 }, { 100, 300 },
	};
	unsigned int i, k;

	for (i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		const uint64_t first = cut[i].first, last = first + cut[i].pages - 1;
		const uint64_t look[] = { 0, 1, 15, 16, 255, 256, 257, 495, 496, 510, 511,
			first, last, first ? first - 1 : 0, last < 511 ? last + 1 : 511 };
		uint64_t va = BASE + 2 * MIB;

		map(BASE, 0, 6 * MIB);
		unmap(va + first * PAGE, cut[i].pages * PAGE);
		for (k = 0; k < sizeof(look) / sizeof(look[0]); k++) {
			if (look[k] >= first && look[k] <= last)
				HOLE(va + look[k] * PAGE);
			else
				PAGE_IS(va + look[k] * PAGE, 512 + (uint32_t)look[k]);
		}
		PAGE_IS(va - PAGE, 511);
		PAGE_IS(va + 2 * MIB, 1024);
		/* Filling the hole, with something else. */
		map(va + first * PAGE, 0, cut[i].pages * PAGE);
		PAGE_IS(va + first * PAGE, 0);
		PAGE_IS(va + last * PAGE, (uint32_t)(last - first));
		clear();
		HOLE(va);
	}
	/* A leaf over a table of pages. */
	map(BASE, 5, PAGE);
	map(BASE + 300 * PAGE, 6, PAGE);
	map(BASE, 512, 2 * MIB);
	PAGE_IS(BASE, 512);
	PAGE_IS(BASE + 300 * PAGE, 812);
	/* Across the edge of two leaves. */
	map(BASE, 0, 4 * MIB);
	unmap(BASE + 2 * MIB - 3 * PAGE, 6 * PAGE);
	PAGE_IS(BASE + 2 * MIB - 4 * PAGE, 508);
	HOLE(BASE + 2 * MIB - PAGE);
	HOLE(BASE + 2 * MIB + 2 * PAGE);
	PAGE_IS(BASE + 2 * MIB + 3 * PAGE, 515);
	clear();
}

/* The far ends of the address space need tables of their own. */
static void check_far(void)
{
	struct nib_device_info info = query_device(g.fd);

	map(info.va_start, 1, PAGE);
	map(info.va_end - PAGE, 2, PAGE);
	map((1ull << 39) - PAGE, 3, 2 * PAGE);
	PAGE_IS(info.va_start, 1);
	PAGE_IS(info.va_end - PAGE, 2);
	PAGE_IS((1ull << 39) - PAGE, 3);
	PAGE_IS(1ull << 39, 4);
	unmap(info.va_start, PAGE);
	unmap(info.va_end - PAGE, PAGE);
	unmap((1ull << 39) - PAGE, 2 * PAGE);
	HOLE(info.va_end - PAGE);
	HOLE(1ull << 39);
	HOLE(0);
}

static void check_readonly(void)
{
	struct nib_queue_get_state state;
	struct stream s = { 0 };
	uint32_t queue;

	OK(vm_map(g.fd, g.vm, big, 0, BASE, 2 * MIB, NIB_VM_BIND_OP_READONLY));
	PAGE_IS(BASE + PAGE, 1);
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
	packet_fill(&s, BASE + PAGE, 1, 0xbad);
	packet_end(&s);
	EXPECT(run_stream(g.fd, g.vm, queue, &s), -EFAULT);
	state = queue_state(g.fd, queue);
	EQUAL(state.fault_status, NIB_DONE_FAULT_WRITE);
	EQUAL(state.fault_va, BASE + PAGE);
	OK(queue_destroy(g.fd, queue));
	EQUAL(big_map[1024], 1);
	/* Cut, the rest is still read-only. */
	unmap(BASE, PAGE);
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
	EXPECT(run_stream(g.fd, g.vm, queue, &s), -EFAULT);
	OK(queue_destroy(g.fd, queue));
	EQUAL(big_map[1024], 1);
	clear();
}

/* Two VMs see nothing of each other; the same buffer may be in both, and twice in one. */
static void check_isolation(void)
{
	struct stream s = { 0 };
	uint32_t vm, queue;

	map(BASE, 10, PAGE);
	map(BASE + 8 * MIB, 10, PAGE);
	PAGE_IS(BASE + 8 * MIB, 10);
	OK(vm_create(g.fd, &vm));
	OK(queue_create(g.fd, vm, NIB_PRIORITY_NORMAL, &queue));
	OK(vm_map(g.fd, vm, big, 20 * PAGE, BASE + PAGE, PAGE, 0));
	packet_fill(&s, BASE + PAGE, 1, 20);
	packet_fill(&s, BASE, 1, 0xbad);
	packet_end(&s);
	EXPECT(run_stream(g.fd, vm, queue, &s), -EFAULT);
	PAGE_IS(BASE, 10);
	OK(queue_destroy(g.fd, queue));
	OK(vm_destroy(g.fd, vm));
	PAGE_IS(BASE, 10);
	clear();
}

/* Several operations in one call happen in order. */
static void check_batch(void)
{
	struct nib_vm_bind_op ops[] = {
		{ .flags = NIB_VM_BIND_OP_MAP, .bo_handle = big, .va = BASE, .size = 2 * MIB },
		{ .flags = NIB_VM_BIND_OP_UNMAP, .va = BASE + PAGE, .size = 8 * PAGE },
		{ .flags = NIB_VM_BIND_OP_MAP, .bo_handle = big, .bo_offset = 77 * PAGE,
		  .va = BASE + 2 * PAGE, .size = PAGE },
	};
	struct nib_vm_bind args = { .vm_id = g.vm, .ops = NIB_OBJ_ARRAY(3, ops) };

	OK(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_BIND, &args));
	PAGE_IS(BASE, 0);
	HOLE(BASE + PAGE);
	PAGE_IS(BASE + 2 * PAGE, 77);
	HOLE(BASE + 3 * PAGE);
	/* One that is refused undoes nothing and does nothing. */
	ops[0].flags = NIB_VM_BIND_OP_UNMAP;
	ops[0].bo_handle = 0;
	ops[2].size = 1;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_BIND, &args), -EINVAL);
	EQUAL(args.ops.count, 0);
	/* How many were done is said whatever is wrong. */
	args.ops.count = 3;
	args.vm_id += 100;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_BIND, &args), -ENOENT);
	EQUAL(args.ops.count, 0);
	args.ops.count = 3;
	args.vm_id -= 100;
	args.flags = ~0u;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_BIND, &args), -EINVAL);
	EQUAL(args.ops.count, 0);
	args.ops.count = 3;
	args.ops.array = 8;
	args.flags = 0;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_BIND, &args), -EFAULT);
	EQUAL(args.ops.count, 0);
	PAGE_IS(BASE, 0);
	clear();
}

int main(void)
{
	uint32_t i;

	g = guest_begin();
	out = guest_buffer(&g, OUT, PAGE, NIB_BO_HBM);
	OK(bo_create(g.fd, BIG, NIB_BO_HBM, &big));
	big_map = bo_map(g.fd, big, BIG);
	for (i = 0; i < BIG / PAGE; i++)
		big_map[i * 1024] = i;

	check_pages();
	check_replace();
	check_64k();
	check_2m();
	check_far();
	check_readonly();
	check_isolation();
	check_batch();
	return 0;
}
