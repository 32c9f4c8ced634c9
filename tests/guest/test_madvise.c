/* SPDX-License-Identifier: MIT */
/*
 * Contents that are not needed: freed when room is, in HBM and in host memory, kept otherwise. What
 * was freed says so, and jobs and page faults that would need it fail.
 */
#include "guest.h"

#include <setjmp.h>
#include <signal.h>

#define VA	0x40000000ull
#define OUT	0x10000000ull
#define SIZE	(8 * MIB)

static sigjmp_buf fault;

static void on_bus(int sig)
{
	siglongjmp(fault, sig);
}

/* Returns whether the contents are still there. */
static bool madvise_bo(int fd, uint32_t bo, uint32_t advice)
{
	struct nib_bo_madvise args = { .handle = bo, .advice = advice };

	OK(nib_ioctl(fd, DRM_IOCTL_NIB_BO_MADVISE, &args));
	CHECK(args.retained <= 1);
	return args.retained;
}

static int try_madvise(int fd, uint32_t bo, uint32_t advice, uint32_t pad)
{
	struct nib_bo_madvise args = { .handle = bo, .advice = advice, .pad = pad };

	return nib_ioctl(fd, DRM_IOCTL_NIB_BO_MADVISE, &args);
}

static void check_args(int fd)
{
	uint32_t bo, sram, gem;
	int prime, other = guest_open();

	OK(bo_create(fd, 4096, NIB_BO_HOST, &bo));
	EXPECT(try_madvise(fd, bo + 100, NIB_MADVISE_DONTNEED, 0), -ENOENT);
	EXPECT(try_madvise(fd, bo, 2, 0), -EINVAL);
	EXPECT(try_madvise(fd, bo, NIB_MADVISE_NEEDED, 1), -EINVAL);
	if (query_device(fd).sram_bytes) {
		OK(bo_create(fd, 4096, NIB_BO_SRAM, &sram));
		EXPECT(try_madvise(fd, sram, NIB_MADVISE_DONTNEED, 0), -EINVAL);
		OK(bo_close(fd, sram));
	}
	OK(drmPrimeHandleToFD(fd, bo, DRM_CLOEXEC | DRM_RDWR, &prime));
	OK(drmPrimeFDToHandle(other, prime, &gem));
	EXPECT(try_madvise(fd, bo, NIB_MADVISE_DONTNEED, 0), -EINVAL);
	EXPECT(try_madvise(other, gem, NIB_MADVISE_DONTNEED, 0), -EINVAL);
	close(other);
	close(prime);
	OK(bo_close(fd, bo));
}

/* A job in the VM, which needs all that is bound there. */
static int run_job(struct guest *g)
{
	struct stream s = { 0 };
	uint32_t id, done = syncobj(g->fd);
	int ret;

	packet_end(&s);
	id = stream_create(g->fd, g->vm, &s);
	ret = submit(g->fd, g->queue, id, done);
	if (!ret)
		OK(syncobj_wait(g->fd, done, 20000));
	drmSyncobjDestroy(g->fd, done);
	OK(stream_destroy(g->fd, g->vm, id));
	return ret;
}

static void check_gone(struct guest *g, uint32_t bo, volatile uint32_t *p)
{
	int sig;

	CHECK(!madvise_bo(g->fd, bo, NIB_MADVISE_DONTNEED));
	CHECK(!madvise_bo(g->fd, bo, NIB_MADVISE_NEEDED));
	EXPECT(run_job(g), -EINVAL);
	signal(SIGBUS, on_bus);
	sig = sigsetjmp(fault, 1);
	if (!sig) {
		(void)p[0];
		FAIL("the CPU reads what is gone");
	}
	EQUAL(sig, SIGBUS);
	signal(SIGBUS, SIG_DFL);
	EXPECT(vm_map(g->fd, g->vm, bo, 0, VA, SIZE, 0), -EINVAL);
	/* Without it all is well. */
	OK(vm_unmap(g->fd, g->vm, VA, SIZE));
	OK(run_job(g));
	OK(bo_close(g->fd, bo));
}

static void check_hbm(struct guest *g)
{
	uint32_t bo;
	uint32_t *p;

	OK(bo_create(g->fd, SIZE, NIB_BO_HBM, &bo));
	OK(vm_map(g->fd, g->vm, bo, 0, VA, SIZE, 0));
	p = bo_map(g->fd, bo, SIZE);
	p[5] = 55;
	CHECK(madvise_bo(g->fd, bo, NIB_MADVISE_DONTNEED));
	OK(run_job(g));
	EQUAL(p[5], 55);
	/* Needed after all. */
	CHECK(madvise_bo(g->fd, bo, NIB_MADVISE_NEEDED));
	guest_crowd_out();
	EQUAL(p[5], 55);
	OK(run_job(g));
	CHECK(madvise_bo(g->fd, bo, NIB_MADVISE_DONTNEED));
	guest_crowd_out();
	check_gone(g, bo, p);
	munmap(p, SIZE);
}

static void check_host(struct guest *g)
{
	uint32_t bo, *p;

	OK(bo_create(g->fd, SIZE, NIB_BO_HOST, &bo));
	OK(vm_map(g->fd, g->vm, bo, 0, VA, SIZE, 0));
	p = bo_map(g->fd, bo, SIZE);
	p[5] = 55;
	OK(run_job(g));
	/* Reclaim takes what is not needed only. Without swap it can take nothing else. */
	OK(write_file("/proc/sys/vm/drop_caches", "2"));
	EQUAL(p[5], 55);
	CHECK(madvise_bo(g->fd, bo, NIB_MADVISE_DONTNEED));
	OK(write_file("/proc/sys/vm/drop_caches", "2"));
	check_gone(g, bo, p);
	munmap(p, SIZE);
}

int main(void)
{
	struct guest g = guest_begin();

	guest_needs_small_hbm(g.fd);
	check_args(g.fd);
	check_hbm(&g);
	check_host(&g);
	return 0;
}
