/* SPDX-License-Identifier: MIT */
/* Buffers: zeroed, seen alike by CPU and device, in HBM and in host memory; who may map what. */
#include "guest.h"

#define VA_A	0x100000000ull
#define VA_B	0x200000000ull

/* Memory comes zeroed though its last owner left something. */
static void check_zeroed(struct guest *g, uint64_t size, uint32_t flags)
{
	unsigned int round;

	for (round = 0; round < 3; round++) {
		uint32_t bo, *p;
		uint64_t i;

		OK(bo_create(g->fd, size, flags, &bo));
		p = bo_map(g->fd, bo, size);
		for (i = 0; i < size / 4; i++)
			if (p[i])
				FAIL("round %u: word %" PRIu64 " of %" PRIu64 " is %#x", round, i,
				     size / 4, p[i]);
		memset(p, 0x5a, size);
		munmap(p, size);
		OK(bo_close(g->fd, bo));
	}
}

/* The CPU writes, the device copies, the CPU reads; and the other way round by FILL. */
static void check_coherent(struct guest *g, uint32_t from, uint32_t to)
{
	const uint64_t size = 3 * MIB + 4 * KIB;
	uint32_t *a = guest_buffer(g, VA_A, size, from), *b = guest_buffer(g, VA_B, size, to);
	struct stream s = { 0 };
	uint64_t i;

	for (i = 0; i < size / 4; i++)
		a[i] = (uint32_t)(i * 2654435761u);
	packet_copy(&s, VA_A, VA_B, size / 4);
	packet_fill(&s, VA_A, 5, 0xdeadbeef);
	packet_end(&s);
	OK(run_stream(g->fd, g->vm, g->queue, &s));
	for (i = 0; i < size / 4; i++)
		EQUAL(b[i], (uint32_t)(i * 2654435761u));
	for (i = 0; i < 5; i++)
		EQUAL(a[i], 0xdeadbeef);
	EQUAL(a[5], (uint32_t)(5 * 2654435761u));
	munmap(a, size);
	munmap(b, size);
	OK(vm_unmap(g->fd, g->vm, VA_A, size));
	OK(vm_unmap(g->fd, g->vm, VA_B, size));
}

static int mmap_error(int fd, uint64_t offset, int flags)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, 4096);
	return 0;
}

static void check_permissions(struct guest *g)
{
	struct nib_bo_mmap_offset args = { 0 };
	uint32_t bo, other;
	int fd;

	OK(bo_create(g->fd, 4096, NIB_BO_HBM, &bo));
	args.handle = bo;
	OK(nib_ioctl(g->fd, DRM_IOCTL_NIB_BO_MMAP_OFFSET, &args));
	OK(mmap_error(g->fd, args.offset, MAP_SHARED));
	EXPECT(mmap_error(g->fd, args.offset, MAP_PRIVATE), -EINVAL);
	/* The offset is no secret; only who has the handle may use it. */
	fd = guest_open();
	EXPECT(mmap_error(fd, args.offset, MAP_SHARED), -EACCES);
	close(fd);

	OK(bo_create(g->fd, 4096, NIB_BO_HBM | NIB_BO_NO_MMAP, &other));
	args.handle = other;
	EXPECT(nib_ioctl(g->fd, DRM_IOCTL_NIB_BO_MMAP_OFFSET, &args), -EACCES);
	OK(bo_create(g->fd, 4096, NIB_BO_SRAM, &other));
	args.handle = other;
	EXPECT(nib_ioctl(g->fd, DRM_IOCTL_NIB_BO_MMAP_OFFSET, &args), -EACCES);
	args.handle = 12345;
	EXPECT(nib_ioctl(g->fd, DRM_IOCTL_NIB_BO_MMAP_OFFSET, &args), -ENOENT);
}

/* A mapping outlives the handle, and may be cut to pieces. */
static void check_mapping_life(struct guest *g)
{
	const uint64_t size = 1 * MIB;
	uint32_t bo;
	char *p;

	OK(bo_create(g->fd, size, NIB_BO_HBM, &bo));
	p = bo_map(g->fd, bo, size);
	p[0] = 1;
	OK(bo_close(g->fd, bo));
	CHECK(!munmap(p + 256 * KIB, 256 * KIB));
	p[800 * KIB] = 2;
	EQUAL(p[0], 1);
	EQUAL(p[800 * KIB], 2);
	EQUAL(p[700 * KIB], 0);
	munmap(p, size);
}

int main(void)
{
	struct guest g = guest_begin();
	struct nib_memory_info memory;
	struct nib_bo_create odd = { .size = 4097, .flags = NIB_BO_HOST };

	check_zeroed(&g, 16 * KIB, NIB_BO_HBM);
	check_zeroed(&g, 2 * MIB + 8 * KIB, NIB_BO_HBM);
	check_zeroed(&g, 300 * KIB, NIB_BO_HOST);
	check_coherent(&g, NIB_BO_HBM, NIB_BO_HBM);
	check_coherent(&g, NIB_BO_HOST, NIB_BO_HBM);
	check_coherent(&g, NIB_BO_HBM, NIB_BO_HOST);
	check_permissions(&g);
	check_mapping_life(&g);

	OK(nib_ioctl(g.fd, DRM_IOCTL_NIB_BO_CREATE, &odd));
	EQUAL(odd.size, 8192);
	memory = query_memory(g.fd);
	CHECK(memory.client_host >= 8192);
	return 0;
}
