/* SPDX-License-Identifier: MIT */
/*
 * Every allocation that an ioctl makes fails once: the call says ENOMEM or works, and nothing is
 * lost. With NIB_PROBE_FROM=n instead the probe, from its n-th allocation to that of NIB_PROBE_TO or
 * its last. Needs a kernel with fault injection (fail-nth).
 */
#include "spare.h"

#include <glob.h>
#include <limits.h>

#define VA	0x100000000ull
#define STATS_VA 0x7f0000000000ull
#define EVICT_VA 0x7e0000000000ull
#define LEASE_VA 0x7d0000000000ull
#define DRIVER	"/sys/bus/pci/drivers/nib"
#define DEBUG	"/sys/kernel/debug/"

static struct guest g;
static uint32_t bo, spare, leased, stream, last, points;
static uint32_t rivals[2];	/* leases of which only one is in SRAM as a whole */
static uint64_t rival_bytes, crowd_bytes;
static unsigned int asked;	/* which allocation is to fail */
static int other, sink;
static int fail_nth;
static bool hit;	/* the failure that was asked for has happened */

static void inject(unsigned int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", nth);

	/* Reading this very text may be what fails. */
	if (pwrite(fail_nth, text, (size_t)n, 0) != n)
		CHECK(pwrite(fail_nth, text, (size_t)n, 0) == n);
}

/* Ends the injection, so that what cleans up works; passes on what the call gave. */
static int done(int ret)
{
	char text[16] = "";
	ssize_t n = pread(fail_nth, text, sizeof(text) - 1, 0);

	if (n < 0)
		n = pread(fail_nth, text, sizeof(text) - 1, 0);
	CHECK(n > 0);
	inject(0);
	hit = !atoi(text);
	return ret;
}

static int do_vm(void)
{
	uint32_t vm;
	int ret = done(vm_create(g.fd, &vm));

	if (!ret)
		OK(vm_destroy(g.fd, vm));
	return ret;
}

static int do_queue(void)
{
	uint32_t queue;
	int ret = done(queue_create(g.fd, g.vm, NIB_PRIORITY_LOW, &queue));

	if (!ret)
		OK(queue_destroy(g.fd, queue));
	return ret;
}

static int buffer(uint64_t size, uint32_t flags)
{
	uint32_t handle;
	int ret = done(bo_create(g.fd, size, flags, &handle));

	if (!ret)
		OK(bo_close(g.fd, handle));
	return ret;
}

static int do_small_hbm(void)
{
	return buffer(16 * KIB, NIB_BO_HBM);
}

static int do_large_hbm(void)
{
	return buffer(3 * MIB, NIB_BO_HBM | NIB_BO_NO_MMAP);
}

static int do_sram(void)
{
	return buffer(64 * KIB, NIB_BO_SRAM);
}

static int do_host(void)
{
	return buffer(64 * KIB, NIB_BO_HOST);
}

static int do_stream(void)
{
	struct nib_stream_create args;
	struct stream s = { 0 };
	int ret;

	packet_end(&s);
	ret = done(stream_create_raw(g.fd, g.vm, s.words, 8, &args));
	if (!ret)
		OK(stream_destroy(g.fd, g.vm, args.stream_id));
	return ret;
}

static int do_bind(void)
{
	int ret = vm_map(g.fd, g.vm, bo, 0, 0x700000001000ull, 4 * MIB, 0);

	if (!ret)
		ret = vm_unmap(g.fd, g.vm, 0x700000003000ull, 2 * MIB);
	done(0);
	OK(vm_unmap(g.fd, g.vm, 0x700000000000ull, 8 * MIB));
	return ret;
}

static int do_bind_async(void)
{
	struct nib_sync_op sync = { NIB_SYNC_SIGNAL, last, 0 };
	struct nib_vm_bind_op op = {
		.flags = NIB_VM_BIND_OP_MAP, .bo_handle = bo, .va = VA, .size = 4 * MIB,
		.syncs = NIB_OBJ_ARRAY(1, &sync),
	};

	return done(vm_bind_op(g.fd, g.vm, &op, NIB_VM_BIND_ASYNC));
}

static int do_submit(void)
{
	static uint64_t point;
	struct nib_sync_op syncs[] = {
		{ NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE, points, ++point },
		{ NIB_SYNC_WAIT, last, 0 },
		{ NIB_SYNC_SIGNAL, last, 0 },
	};
	struct nib_job jobs[] = {
		{ .queue_id = g.queue, .stream_id = stream, .syncs = NIB_OBJ_ARRAY(3, syncs) },
		{ .queue_id = g.queue, .stream_id = stream, .syncs = NIB_OBJ_ARRAY(1, syncs) },
	};

	return done(submit_jobs(g.fd, jobs, 2));
}

/* A job that brings all that a job can bring. */
static int do_submit_all(void)
{
	static uint64_t point;
	uint64_t args[4] = { VA, 0, 0, 0 };
	struct nib_sync_op syncs[] = {
		{ NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE, points, (1ull << 32) + ++point },
	};
	struct nib_lease_ref lease = { .handle = leased };
	struct nib_job job = {
		.queue_id = g.queue, .stream_id = stream, .nargs = 4, .args = (uintptr_t)args,
		.stats_va = STATS_VA, .syncs = NIB_OBJ_ARRAY(1, syncs),
	};

	job.leases = (struct nib_obj_array)NIB_OBJ_ARRAY(1, &lease);
	return done(submit_jobs(g.fd, &job, 1));
}

static int do_open(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", g.fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	done(0);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int do_query(void)
{
	struct nib_device_info device;
	struct nib_memory_info memory;
	struct nib_limits_info limits;
	struct nib_dev_query queries[] = {
		{ NIB_QUERY_DEVICE, sizeof(device), (uintptr_t)&device },
		{ NIB_QUERY_MEMORY, sizeof(memory), (uintptr_t)&memory },
		{ NIB_QUERY_LIMITS, sizeof(limits), (uintptr_t)&limits },
	};
	unsigned int i;
	int ret = 0;

	for (i = 0; i < 3 && !ret; i++)
		ret = nib_ioctl(g.fd, DRM_IOCTL_NIB_DEV_QUERY, &queries[i]);
	return done(ret);
}

static int do_state(void)
{
	struct nib_queue_get_state args = { .queue_id = g.queue };

	return done(nib_ioctl(g.fd, DRM_IOCTL_NIB_QUEUE_GET_STATE, &args));
}

/* The offset, the mapping, and its first page. A fault without memory is a signal: not by hand. */
static int do_mmap(void)
{
	struct nib_bo_mmap_offset args = { .handle = bo };
	int ret = nib_ioctl(g.fd, DRM_IOCTL_NIB_BO_MMAP_OFFSET, &args);
	void *p = MAP_FAILED;

	if (!ret) {
		p = mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_SHARED, g.fd,
			 (off_t)args.offset);
		ret = p == MAP_FAILED ? -errno : 0;
	}
	/* Returns EFAULT where a load would not come back. */
	if (!ret && pwrite(sink, p, 64 * KIB, 0) < 0)
		ret = -errno;
	done(0);
	if (p != MAP_FAILED)
		munmap(p, 64 * KIB);
	return ret;
}

static int do_advise(void)
{
	struct nib_bo_madvise args = { .handle = spare, .advice = NIB_MADVISE_DONTNEED };
	int ret = nib_ioctl(g.fd, DRM_IOCTL_NIB_BO_MADVISE, &args);

	args.advice = NIB_MADVISE_NEEDED;
	if (!ret)
		ret = nib_ioctl(g.fd, DRM_IOCTL_NIB_BO_MADVISE, &args);
	return done(ret);
}

static int do_lease(void)
{
	struct nib_sram_lease_create args = { .guaranteed = 64 * KIB, .burst = 64 * KIB };
	struct nib_sram_lease_query query = { 0 };
	int ret = nib_ioctl(g.fd, DRM_IOCTL_NIB_SRAM_LEASE_CREATE, &args);

	query.handle = args.handle;
	if (!ret)
		ret = nib_ioctl(g.fd, DRM_IOCTL_NIB_SRAM_LEASE_QUERY, &query);
	done(0);
	if (args.handle)
		OK(bo_close(g.fd, args.handle));
	return ret;
}

static int name(uint32_t lease)
{
	struct nib_lease_ref ref = { .handle = lease };

	return submit_naming(g.fd, g.queue, stream, last, &ref, 1);
}

/* The one comes into SRAM and the other leaves it, and back. */
static int do_lease_move(void)
{
	int ret = done(name(rivals[0]));

	OK(syncobj_wait(g.fd, last, 60000));
	OK(name(rivals[1]));
	OK(syncobj_wait(g.fd, last, 60000));
	return ret;
}

/* What ends does not fail. */
static int do_lease_end(void)
{
	unsigned int nth = asked;
	uint32_t lease;
	int ret;

	inject(0);
	OK(lease_create(g.fd, 64 * KIB, 64 * KIB, &lease));
	OK(vm_map(g.fd, g.vm, lease, 0, LEASE_VA + GIB, 128 * KIB, 0));
	OK(name(lease));
	OK(bo_close(g.fd, lease));
	inject(nth);
	ret = done(vm_unmap(g.fd, g.vm, LEASE_VA + GIB, 128 * KIB));
	if (ret)
		OK(vm_unmap(g.fd, g.vm, LEASE_VA + GIB, 128 * KIB));
	return ret;
}

/* What a failed call was to end, ended now, unless what failed was to say that it is. */
static void end_again(int first, int ret)
{
	if (first != -EFAULT || (ret != -ENOENT && ret != -EINVAL))
		OK(ret);
}

static int do_vm_end(void)
{
	unsigned int nth = asked;
	struct stream s = { 0 };
	uint32_t vm;
	int ret;

	packet_end(&s);
	inject(0);
	OK(vm_create(g.fd, &vm));
	OK(vm_map(g.fd, vm, bo, 0, VA, 4 * MIB, 0));
	stream_create(g.fd, vm, &s);
	inject(nth);
	ret = done(vm_destroy(g.fd, vm));
	if (ret)
		end_again(ret, vm_destroy(g.fd, vm));
	return ret;
}

/* With a job in it. */
static int do_queue_end(void)
{
	unsigned int nth = asked;
	uint32_t queue;
	int ret;

	inject(0);
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_LOW, &queue));
	OK(submit(g.fd, queue, stream, last));
	inject(nth);
	ret = done(queue_destroy(g.fd, queue));
	if (ret)
		end_again(ret, queue_destroy(g.fd, queue));
	OK(syncobj_wait(g.fd, last, 60000));
	return ret;
}

static int do_stream_end(void)
{
	unsigned int nth = asked;
	struct stream s = { 0 };
	uint32_t old;
	int ret;

	packet_end(&s);
	inject(0);
	old = stream_create(g.fd, g.vm, &s);
	OK(submit(g.fd, g.queue, old, last));
	inject(nth);
	ret = done(stream_destroy(g.fd, g.vm, old));
	if (ret)
		end_again(ret, stream_destroy(g.fd, g.vm, old));
	OK(syncobj_wait(g.fd, last, 60000));
	return ret;
}

/* Of a buffer that a VM still has. */
static int do_close(void)
{
	unsigned int nth = asked;
	uint32_t handle;
	int ret;

	inject(0);
	OK(bo_create(g.fd, 64 * KIB, NIB_BO_HBM, &handle));
	OK(vm_map(g.fd, g.vm, handle, 0, LEASE_VA + GIB, 64 * KIB, 0));
	munmap(bo_map(g.fd, handle, 64 * KIB), 64 * KIB);
	inject(nth);
	ret = done(bo_close(g.fd, handle));
	if (ret)
		end_again(ret, bo_close(g.fd, handle));
	OK(vm_unmap(g.fd, g.vm, LEASE_VA + GIB, 64 * KIB));
	return ret;
}

/* All other buffers leave HBM for a large one. */
static int do_evict(void)
{
	int ret = buffer(crowd_bytes, NIB_BO_HBM | NIB_BO_NO_MMAP);

	OK(submit(g.fd, g.queue, stream, last));
	OK(syncobj_wait(g.fd, last, 60000));
	/* What cannot leave takes room. */
	return ret == -ENOSPC ? -ENOMEM : ret;
}

static int do_bring_back(void)
{
	unsigned int nth = asked;
	int ret;

	inject(0);
	guest_crowd_out();
	inject(nth);
	ret = done(submit(g.fd, g.queue, stream, last));
	OK(syncobj_wait(g.fd, last, 60000));
	return ret;
}

/* To another file and back. */
static int do_share(void)
{
	uint32_t handle = 0;
	int file = -1, ret;

	ret = drmPrimeHandleToFD(g.fd, spare, DRM_CLOEXEC | DRM_RDWR, &file) ? -errno : 0;
	if (!ret)
		ret = drmPrimeFDToHandle(other, file, &handle) ? -errno : 0;
	done(0);
	if (handle)
		OK(bo_close(other, handle));
	if (file >= 0)
		close(file);
	return ret;
}

static int do_fdinfo(void)
{
	char path[64], text[4096];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", g.fd);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text)) < 0)
		ret = -errno;
	done(0);
	if (fd >= 0)
		close(fd);
	return ret;
}

static const struct {
	const char *name;
	int (*run)(void);
} scenarios[] = {
	{ "open", do_open }, { "query", do_query }, { "queue state", do_state },
	{ "mmap", do_mmap }, { "madvise", do_advise }, { "lease", do_lease },
	{ "lease move", do_lease_move }, { "lease end", do_lease_end },
	{ "vm end", do_vm_end }, { "queue end", do_queue_end },
	{ "stream end", do_stream_end }, { "close", do_close },
	{ "evict", do_evict }, { "bring back", do_bring_back },
	{ "share", do_share }, { "fdinfo", do_fdinfo }, { "submit all", do_submit_all },
	{ "vm", do_vm }, { "queue", do_queue }, { "small hbm", do_small_hbm },
	{ "large hbm", do_large_hbm }, { "sram", do_sram }, { "host", do_host },
	{ "stream", do_stream }, { "bind", do_bind }, { "async bind", do_bind_async },
	{ "submit", do_submit },
};

/* Two leases with contents: each is filled with words of its own. */
static void make_rivals(void)
{
	struct stream s = { 0 };
	uint32_t i;

	rival_bytes = (query_device(g.fd).sram_bytes * 5 / 8) & ~(64 * KIB - 1);
	for (i = 0; i < 2; i++) {
		OK(lease_create(g.fd, 0, rival_bytes, &rivals[i]));
		OK(vm_map(g.fd, g.vm, rivals[i], 0, LEASE_VA + i * rival_bytes, rival_bytes, 0));
		packet_fill(&s, LEASE_VA + i * rival_bytes, rival_bytes / 4, 0x1ea5e + i);
	}
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
}

/* They hold what they did, and have moved. */
static void check_rivals(void)
{
	uint32_t *words = bo_map(g.fd, spare, 64 * KIB), i, k;
	struct stream s = { 0 };

	for (i = 0; i < 2; i++)
		for (k = 0; k < 16; k++)
			packet_copy(&s, LEASE_VA + i * rival_bytes + k * (rival_bytes / 16) + k * 4,
				    STATS_VA + (i * 16 + k) * 4, 1);
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	for (i = 0; i < 2; i++) {
		struct nib_sram_lease_query query = lease_query(g.fd, rivals[i]);

		printf("rival %u: %llu spills, %llu restores, %llu misses\n", i, query.spills,
		       query.restores, query.misses);
		CHECK(query.restores > 2);
		for (k = 0; k < 16; k++)
			EQUAL(words[i * 16 + k], 0x1ea5e + i);
	}
	munmap(words, 64 * KIB);
}

static void sweep_ioctls(void)
{
	unsigned int i, nth;

	printf("%zu scenarios\n", sizeof(scenarios) / sizeof(scenarios[0]));
	for (i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		asked = 0;
		OK(scenarios[i].run());
		for (nth = 1;; nth++) {
			int ret;

			asked = nth;
			inject(nth);
			ret = scenarios[i].run();
			if (ret && ret != -ENOMEM && ret != -EFAULT && ret != -ENFILE)
				FAIL("%s: failure %u gives %s", scenarios[i].name, nth,
				     strerror(-ret));
			if (!hit)
				break;
		}
		printf("%s: %u points\n", scenarios[i].name, nth - 1);
		fflush(stdout);
	}
}

/* @fd: of another client, who looks at what is free. */
static void sweep_ioctls_of(int fd)
{
	uint64_t hbm_free = query_memory(fd).hbm_free, sram_free = query_memory(fd).sram_free;
	struct stream s = { 0 };

	g = guest_begin();
	OK(bo_create(g.fd, 4 * MIB, NIB_BO_HBM, &bo));
	OK(bo_create(g.fd, 64 * KIB, NIB_BO_HOST, &spare));
	OK(vm_map(g.fd, g.vm, bo, 0, EVICT_VA, 4 * MIB, 0));
	OK(vm_map(g.fd, g.vm, spare, 0, STATS_VA, 64 * KIB, 0));
	OK(lease_create(g.fd, 64 * KIB, 64 * KIB, &leased));
	make_rivals();
	crowd_bytes = query_device(g.fd).hbm_bytes - 4 * MIB;
	other = guest_open();
	sink = memfd_create("sink", MFD_CLOEXEC);
	packet_end(&s);
	stream = stream_create(g.fd, g.vm, &s);
	last = syncobj(g.fd);
	points = syncobj(g.fd);
	OK(submit(g.fd, g.queue, stream, last));
	sweep_ioctls();
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	check_rivals();
	close(g.fd);
	close(other);
	EQUAL(query_memory(fd).hbm_free, hbm_free);
	EQUAL(query_memory(fd).sram_free, sram_free);
	close(fd);
}

/*
 * Binds with every allocation from @from to @to failing in turn; the one after that works. Points
 * are the caller's choice: DRM's own part of the work puts an error pointer when its sysfs device
 * fails (seen up to 7.2: drm_minor_alloc_release()), unless the kernel is one that was mended.
 */
static void sweep_probe(const char *bdf, unsigned int from, unsigned int to)
{
	unsigned int nth;
	int ret;

	OK(write_file(DRIVER "/unbind", bdf));
	for (nth = from; nth <= to; nth++) {
		printf("probe %u\n", nth);
		fflush(stdout);
		inject(nth);
		ret = done(write_file(DRIVER "/bind", bdf));
		if (!hit) {
			OK(ret);
			return;
		}
		if (!ret)
			OK(write_file(DRIVER "/unbind", bdf));
	}
	OK(write_file(DRIVER "/bind", bdf));
}

/*
 * All caches but two: when the kernel's buddy allocator gets no memory for a split, it frees a block
 * that is still in its tree (seen up to 7.2: alloc_from_freetree(), err_undo); and an interrupt whose
 * files in /proc could not be made is later warned about (seen in 7.3: unregister_irq_proc()).
 */
static bool choose_caches(void)
{
	glob_t found;
	size_t i;

	if (glob("/sys/kernel/slab/*/failslab", 0, NULL, &found))
		return false;
	for (i = 0; i < found.gl_pathc; i++) {
		bool spared = strstr(found.gl_pathv[i], "gpu_buddy_block") ||
			      strstr(found.gl_pathv[i], "proc_dir_entry");

		write_file(found.gl_pathv[i], spared ? "0" : "1");
	}
	globfree(&found);
	return !write_file(DEBUG "failslab/cache-filter", "Y");
}

int main(void)
{
	const char *from = getenv("NIB_PROBE_FROM"), *to = getenv("NIB_PROBE_TO");
	struct stream s = { 0 };
	char bdf[64];
	int fd;

	fail_nth = open("/proc/self/fail-nth", O_RDWR);
	if (fail_nth < 0 || write_file(DEBUG "failslab/ignore-gfp-wait", "N") || !choose_caches())
		SKIP("this kernel has no fault injection");
	write_file(DEBUG "failslab/verbose", "0");
	write_file(DEBUG "fail_page_alloc/ignore-gfp-wait", "N");
	write_file(DEBUG "fail_page_alloc/ignore-gfp-highmem", "N");
	write_file(DEBUG "fail_page_alloc/verbose", "0");
	write_file(DEBUG "fail_usercopy/verbose", "0");
	/* Where a file is read for request_firmware(). */
	OK(spare_function("kernel_read_file"));

	fd = guest_open();
	guest_pci_address(fd, bdf, sizeof(bdf));
	if (!from) {
		sweep_ioctls_of(fd);
		return 0;
	}
	close(fd);
	sweep_probe(bdf, (unsigned int)atoi(from), to ? (unsigned int)atoi(to) : UINT_MAX);
	g = guest_begin();
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	return 0;
}
