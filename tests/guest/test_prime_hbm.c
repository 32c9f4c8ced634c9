/* SPDX-License-Identifier: MIT */
/*
 * A buffer in HBM that another driver (vgem) attaches to: it moves to host memory, contents and
 * mappings and all, and jobs go on using it there, whatever size its page table entries had.
 *
 * It holds its own page numbers; see test_vm_bind.c.
 */
#include "guest.h"

#define SIZE	(7 * MIB)
#define PAGE	4096ull
#define VA	0x40000000ull	/* 2 MiB aligned */
#define VA2	0x80001000ull	/* not */
#define OUT	0x10000000ull

static struct guest g;
static uint32_t *out;

static int vgem_open(void)
{
	int fd = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
	drmVersionPtr version = fd < 0 ? NULL : drmGetVersion(fd);

	if (!version || strcmp(version->name, "vgem"))
		SKIP("no vgem to share with");
	drmFreeVersion(version);
	return fd;
}

/* The page that the device finds at each of some addresses. */
static void check_by_device(uint64_t va, uint32_t first, uint32_t count)
{
	struct stream s = { 0 };
	uint32_t i, step = count / 30 + 1, n = 0;

	for (i = 0; i < count; i += step)
		packet_copy(&s, va + i * PAGE, OUT + n++ * 4, 1);
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	for (i = 0, n = 0; i < count; i += step)
		EQUAL(out[n++], first + i);
}

static void device_write(uint64_t va, uint32_t value)
{
	struct stream s = { 0 };

	packet_fill(&s, va, 1, value);
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
}

int main(void)
{
	uint32_t bo, theirs, *p, *q, i;
	int vgem, buf;

	g = guest_begin();
	vgem = vgem_open();
	guest_needs_small_hbm(g.fd);
	out = guest_buffer(&g, OUT, PAGE, NIB_BO_HOST);
	OK(bo_create(g.fd, SIZE, NIB_BO_HBM, &bo));
	p = bo_map(g.fd, bo, SIZE);
	for (i = 0; i < SIZE / PAGE; i++)
		p[i * PAGE / 4] = i;
	OK(vm_map(g.fd, g.vm, bo, 0, VA, SIZE, 0));
	OK(vm_map(g.fd, g.vm, bo, 16 * PAGE, VA2, 1000 * PAGE, 0));
	OK(vm_unmap(g.fd, g.vm, VA + 600 * PAGE, 10 * PAGE));
	OK(drmPrimeHandleToFD(g.fd, bo, DRM_CLOEXEC | DRM_RDWR, &buf));
	q = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, buf, 0);
	CHECK(q != MAP_FAILED);
	/* Nobody needs it elsewhere yet. */
	EQUAL(query_memory(g.fd).client_hbm_resident, SIZE);
	EQUAL(q[777 * PAGE / 4], 777);

	OK(drmPrimeFDToHandle(vgem, buf, &theirs));
	EQUAL(query_memory(g.fd).client_hbm_resident, 0);
	EQUAL(p[5 * PAGE / 4], 5);
	EQUAL(q[1000 * PAGE / 4], 1000);
	check_by_device(VA, 0, 600);
	check_by_device(VA + 610 * PAGE, 610, SIZE / PAGE - 610);
	check_by_device(VA2, 16, 1000);
	device_write(VA + 4, 0x1234);
	EQUAL(p[1], 0x1234);
	EQUAL(q[1], 0x1234);
	/* Binds that come later, and others in HBM. */
	OK(vm_map(g.fd, g.vm, bo, 0, VA + 64 * MIB, SIZE, 0));
	OK(vm_unmap(g.fd, g.vm, VA, 2 * MIB));
	guest_crowd_out();
	check_by_device(VA + 64 * MIB, 0, SIZE / PAGE);
	check_by_device(VA + 2 * MIB, 512, 88);
	EQUAL(query_memory(g.fd).client_hbm_resident, 0);
	/* It stays, and works, when they have let go of it. */
	close(vgem);
	close(buf);
	munmap(q, SIZE);
	guest_crowd_out();
	check_by_device(VA2, 16, 1000);
	device_write(VA2, 0x4321);
	EQUAL(p[16 * PAGE / 4], 0x4321);
	return 0;
}
