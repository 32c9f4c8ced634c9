/* SPDX-License-Identifier: MIT */
/*
 * What the in-guest tests share: opening the device, ioctls that return 0 or -errno, streams put
 * together by hand, syncobjs. A test is a program: exit status 0 passed, 77 skipped (the last line
 * it printed says why), else failed. The first failed check ends it.
 */
#ifndef GUEST_H
#define GUEST_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <linux/sync_file.h>
#include <xf86drm.h>

#include "nib_drm.h"
#include "nib_isa.h"
#include "nib_regs.h"
#include "nib_validate.h"

#define UNUSED		__attribute__((unused))
#define KIB		1024ull
#define MIB		(1024 * KIB)
#define GIB		(1024 * MIB)
#define FOREVER		INT64_MAX

#define FAIL(...) do { \
	fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
	fprintf(stderr, __VA_ARGS__); \
	fprintf(stderr, "\n"); \
	exit(1); \
} while (0)

#define SKIP(...) do { \
	printf(__VA_ARGS__); \
	printf("\n"); \
	exit(77); \
} while (0)

#define CHECK(cond) do { \
	if (!(cond)) \
		FAIL("%s", #cond); \
} while (0)

/* @call gives 0 or -errno; it must give @want. */
#define EXPECT(call, want) do { \
	int got_ = (call), want_ = (want); \
	if (got_ != want_) \
		FAIL("%s: %d (%s), not %d (%s)", #call, got_, strerror(-got_), want_, \
		     strerror(-want_)); \
} while (0)

#define OK(call)	EXPECT(call, 0)

#define EQUAL(a, b) do { \
	uint64_t a_ = (uint64_t)(a), b_ = (uint64_t)(b); \
	if (a_ != b_) \
		FAIL("%s is %#" PRIx64 ", not %s = %#" PRIx64, #a, a_, #b, b_); \
} while (0)

/* ioctl that starts again when a signal interrupts it. Returns 0 or -errno. */
static UNUSED int nib_ioctl(int fd, unsigned long request, void *arg)
{
	return drmIoctl(fd, request, arg) ? -errno : 0;
}

/* The first device of this driver. */
static UNUSED int guest_open(void)
{
	char path[64];
	int i, fd;

	for (i = 0; i < 16; i++) {
		drmVersionPtr version;
		bool ours;

		snprintf(path, sizeof(path), "/dev/accel/accel%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		version = drmGetVersion(fd);
		ours = version && !strcmp(version->name, NIB_DRM_NAME);
		drmFreeVersion(version);
		if (ours)
			return fd;
		close(fd);
	}
	SKIP("no device of driver " NIB_DRM_NAME);
}

static UNUSED uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* Returns 0 or -errno. */
static UNUSED int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

#define WATCHDOG "/sys/module/nib/parameters/watchdog_ms"

static char watchdog_before[16];

static UNUSED void watchdog_restore(void)
{
	write_file(WATCHDOG, watchdog_before);
}

/* Until the program ends. Returns 0 or -errno: only root may. */
static UNUSED int watchdog_try(unsigned int ms)
{
	FILE *f = fopen(WATCHDOG, "r");
	char text[16];

	if (!f)
		return -errno;
	if (!watchdog_before[0] && fgets(watchdog_before, sizeof(watchdog_before), f))
		atexit(watchdog_restore);
	fclose(f);
	snprintf(text, sizeof(text), "%u", ms);
	return write_file(WATCHDOG, text);
}

static UNUSED void watchdog_set(unsigned int ms)
{
	OK(watchdog_try(ms));
}

/*
 * For tests whose jobs wait for a CPU that may be slow: the watchdog lets them. Where it cannot be
 * told, its default has to do.
 */
static UNUSED void guest_patience(void)
{
	watchdog_try(0);
}

/* PCI address of the device behind a file. */
static UNUSED void guest_pci_address(int fd, char *address, size_t size)
{
	char path[64], link[512];
	struct stat st;
	ssize_t n;

	CHECK(!fstat(fd, &st));
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device", major(st.st_rdev),
		 minor(st.st_rdev));
	n = readlink(path, link, sizeof(link) - 1);
	CHECK(n > 0);
	link[n] = 0;
	snprintf(address, size, "%s", basename(link));
}

/* --- Objects --- */

static UNUSED struct nib_device_info query_device(int fd)
{
	struct nib_device_info info = { 0 };
	struct nib_dev_query query = {
		.type = NIB_QUERY_DEVICE, .size = sizeof(info), .pointer = (uintptr_t)&info,
	};

	OK(nib_ioctl(fd, DRM_IOCTL_NIB_DEV_QUERY, &query));
	return info;
}

static UNUSED struct nib_memory_info query_memory(int fd)
{
	struct nib_memory_info info = { 0 };
	struct nib_dev_query query = {
		.type = NIB_QUERY_MEMORY, .size = sizeof(info), .pointer = (uintptr_t)&info,
	};

	OK(nib_ioctl(fd, DRM_IOCTL_NIB_DEV_QUERY, &query));
	return info;
}

static UNUSED int vm_create(int fd, uint32_t *vm)
{
	struct nib_vm_create args = { 0 };
	int ret = nib_ioctl(fd, DRM_IOCTL_NIB_VM_CREATE, &args);

	*vm = args.vm_id;
	return ret;
}

static UNUSED int vm_destroy(int fd, uint32_t vm)
{
	struct nib_vm_destroy args = { .vm_id = vm };

	return nib_ioctl(fd, DRM_IOCTL_NIB_VM_DESTROY, &args);
}

static UNUSED int bo_create(int fd, uint64_t size, uint32_t flags, uint32_t *bo)
{
	struct nib_bo_create args = { .size = size, .flags = flags };
	int ret = nib_ioctl(fd, DRM_IOCTL_NIB_BO_CREATE, &args);

	*bo = args.handle;
	return ret;
}

static UNUSED int bo_close(int fd, uint32_t bo)
{
	struct drm_gem_close args = { .handle = bo };

	return nib_ioctl(fd, DRM_IOCTL_GEM_CLOSE, &args);
}

static UNUSED int lease_create(int fd, uint64_t guaranteed, uint64_t burst, uint32_t *lease)
{
	struct nib_sram_lease_create args = { .guaranteed = guaranteed, .burst = burst };
	int ret = nib_ioctl(fd, DRM_IOCTL_NIB_SRAM_LEASE_CREATE, &args);

	*lease = args.handle;
	return ret;
}

static UNUSED struct nib_sram_lease_query lease_query(int fd, uint32_t lease)
{
	struct nib_sram_lease_query args = { .handle = lease };

	OK(nib_ioctl(fd, DRM_IOCTL_NIB_SRAM_LEASE_QUERY, &args));
	return args;
}

/* Maps a buffer for the CPU. */
static UNUSED void *bo_map(int fd, uint32_t bo, uint64_t size)
{
	struct nib_bo_mmap_offset args = { .handle = bo };
	void *p;

	OK(nib_ioctl(fd, DRM_IOCTL_NIB_BO_MMAP_OFFSET, &args));
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)args.offset);
	if (p == MAP_FAILED)
		FAIL("mmap: %s", strerror(errno));
	return p;
}

static UNUSED int vm_bind_op(int fd, uint32_t vm, struct nib_vm_bind_op *op, uint32_t flags)
{
	struct nib_vm_bind args = {
		.vm_id = vm, .flags = flags, .ops = NIB_OBJ_ARRAY(1, op),
	};

	return nib_ioctl(fd, DRM_IOCTL_NIB_VM_BIND, &args);
}

static UNUSED int vm_map(int fd, uint32_t vm, uint32_t bo, uint64_t offset, uint64_t va,
			 uint64_t size, uint32_t flags)
{
	struct nib_vm_bind_op op = {
		.flags = NIB_VM_BIND_OP_MAP | flags, .bo_handle = bo, .bo_offset = offset,
		.va = va, .size = size,
	};

	return vm_bind_op(fd, vm, &op, 0);
}

static UNUSED int vm_unmap(int fd, uint32_t vm, uint64_t va, uint64_t size)
{
	struct nib_vm_bind_op op = { .flags = NIB_VM_BIND_OP_UNMAP, .va = va, .size = size };

	return vm_bind_op(fd, vm, &op, 0);
}

static UNUSED int queue_create(int fd, uint32_t vm, uint32_t priority, uint32_t *queue)
{
	struct nib_queue_create args = { .vm_id = vm, .priority = priority };
	int ret = nib_ioctl(fd, DRM_IOCTL_NIB_QUEUE_CREATE, &args);

	*queue = args.queue_id;
	return ret;
}

static UNUSED int queue_destroy(int fd, uint32_t queue)
{
	struct nib_queue_destroy args = { .queue_id = queue };

	return nib_ioctl(fd, DRM_IOCTL_NIB_QUEUE_DESTROY, &args);
}

static UNUSED struct nib_queue_get_state queue_state(int fd, uint32_t queue)
{
	struct nib_queue_get_state args = { .queue_id = queue };

	OK(nib_ioctl(fd, DRM_IOCTL_NIB_QUEUE_GET_STATE, &args));
	return args;
}

/* --- Streams --- */

struct stream {
	uint64_t words[512];
	uint32_t count;
};

/* Appends a packet of @words words and a header; bit i of @argmask: word i + 1 is an argument. */
static UNUSED void packet(struct stream *s, uint16_t op, uint32_t argmask, unsigned int words, ...)
{
	unsigned int i;
	va_list list;

	s->words[s->count++] = op | (uint64_t)(words + 1) << 16 | (uint64_t)argmask << 32;
	va_start(list, words);
	for (i = 0; i < words; i++)
		s->words[s->count++] = va_arg(list, uint64_t);
	va_end(list);
}

#define W(x)	((uint64_t)(x))

static UNUSED void packet_end(struct stream *s)
{
	packet(s, NIB_OP_END, 0, 0);
}

static UNUSED void packet_fill(struct stream *s, uint64_t dst, uint64_t words, uint32_t value)
{
	packet(s, NIB_OP_FILL, 0, 3, dst, words, W(value));
}

/* Copies 32-bit words, all in a row. */
static UNUSED void packet_copy(struct stream *s, uint64_t src, uint64_t dst, uint64_t words)
{
	packet(s, NIB_OP_COPY, 0, 10, src, dst, words, W(1), W(1), W(0), W(0), W(0), W(0),
	       W(NIB_FMT_U32) | W(NIB_FMT_U32) << 32);
}

static UNUSED void packet_sem(struct stream *s, uint64_t addr, uint64_t value, uint32_t action)
{
	packet(s, NIB_OP_SEM, 0, 3, addr, value, W(action));
}

static UNUSED int stream_create_raw(int fd, uint32_t vm, const void *data, uint32_t bytes,
				    struct nib_stream_create *args)
{
	*args = (struct nib_stream_create){
		.vm_id = vm, .size = bytes, .data = (uintptr_t)data,
	};
	return nib_ioctl(fd, DRM_IOCTL_NIB_STREAM_CREATE, args);
}

static UNUSED uint32_t stream_create(int fd, uint32_t vm, const struct stream *s)
{
	struct nib_stream_create args;

	OK(stream_create_raw(fd, vm, s->words, s->count * 8, &args));
	return args.stream_id;
}

static UNUSED int stream_destroy(int fd, uint32_t vm, uint32_t stream)
{
	struct nib_stream_destroy args = { .vm_id = vm, .stream_id = stream };

	return nib_ioctl(fd, DRM_IOCTL_NIB_STREAM_DESTROY, &args);
}

/* --- Jobs and syncobjs --- */

static UNUSED uint32_t syncobj(int fd)
{
	uint32_t handle;

	if (drmSyncobjCreate(fd, 0, &handle))
		FAIL("drmSyncobjCreate: %s", strerror(errno));
	return handle;
}

static UNUSED int64_t deadline_ms(int64_t ms)
{
	return (int64_t)now_ns() + ms * 1000000;
}

/* Waits for a binary syncobj that has a fence. Returns 0 or -errno. */
static UNUSED int syncobj_wait(int fd, uint32_t handle, int64_t ms)
{
	return drmSyncobjWait(fd, &handle, 1, deadline_ms(ms), 0, NULL) ? -errno : 0;
}

static UNUSED int timeline_wait(int fd, uint32_t handle, uint64_t point, int64_t ms, uint32_t flags)
{
	return drmSyncobjTimelineWait(fd, &handle, &point, 1, deadline_ms(ms), flags, NULL) ?
		       -errno : 0;
}

/*
 * The state of a binary syncobj's fence as a sync file tells it: 1 signalled, 0 not yet, -errno if
 * it was signalled with an error.
 */
static UNUSED int fence_status(int fd, uint32_t handle)
{
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = {
		.num_fences = 1, .sync_fence_info = (uintptr_t)&fence,
	};
	int file, ret;

	if (drmSyncobjExportSyncFile(fd, handle, &file))
		FAIL("drmSyncobjExportSyncFile: %s", strerror(errno));
	ret = ioctl(file, SYNC_IOC_FILE_INFO, &info);
	close(file);
	CHECK(!ret && info.num_fences == 1);
	return info.status;
}

static UNUSED int submit_jobs(int fd, struct nib_job *jobs, uint32_t count)
{
	struct nib_submit args = { .jobs = NIB_OBJ_ARRAY(count, jobs) };

	return nib_ioctl(fd, DRM_IOCTL_NIB_SUBMIT, &args);
}

/* One job that signals a binary syncobj. */
static UNUSED int submit(int fd, uint32_t queue, uint32_t stream, uint32_t signal)
{
	struct nib_sync_op sync = { .flags = NIB_SYNC_SIGNAL, .handle = signal };
	struct nib_job job = {
		.queue_id = queue, .stream_id = stream, .syncs = NIB_OBJ_ARRAY(1, &sync),
	};

	return submit_jobs(fd, &job, 1);
}

/* As submit(), with leases that the job names; @count of them. */
static UNUSED int submit_naming(int fd, uint32_t queue, uint32_t stream, uint32_t signal,
				const struct nib_lease_ref *leases, uint32_t count)
{
	struct nib_sync_op sync = { .flags = NIB_SYNC_SIGNAL, .handle = signal };
	struct nib_job job = {
		.queue_id = queue, .stream_id = stream, .syncs = NIB_OBJ_ARRAY(1, &sync),
		.leases = NIB_OBJ_ARRAY(count, leases),
	};

	return submit_jobs(fd, &job, 1);
}

/* Runs a stream and waits for it. Returns 0, or the error that its fence carries. */
static UNUSED int run_stream(int fd, uint32_t vm, uint32_t queue, const struct stream *s)
{
	uint32_t id = stream_create(fd, vm, s), done = syncobj(fd);
	int status;

	OK(submit(fd, queue, id, done));
	OK(syncobj_wait(fd, done, 60000));
	status = fence_status(fd, done);
	drmSyncobjDestroy(fd, done);
	OK(stream_destroy(fd, vm, id));
	return status < 0 ? status : 0;
}

/* What most tests want: an open device with a VM and a queue of normal priority. */
struct guest {
	int fd;
	uint32_t vm;
	uint32_t queue;
};

static UNUSED struct guest guest_begin(void)
{
	struct guest g = { .fd = guest_open() };

	OK(vm_create(g.fd, &g.vm));
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &g.queue));
	return g;
}

/* A buffer of HBM, mapped by the device at @va and by the CPU. */
static UNUSED uint32_t *guest_buffer(struct guest *g, uint64_t va, uint64_t size, uint32_t flags)
{
	uint32_t bo;

	OK(bo_create(g->fd, size, flags, &bo));
	OK(vm_map(g->fd, g->vm, bo, 0, va, size, 0));
	return bo_map(g->fd, bo, size);
}

/* Makes the buffers of all other clients leave HBM, unless they are in use. */
static UNUSED void guest_crowd_out(void)
{
	int fd = guest_open();
	uint64_t size = query_device(fd).hbm_bytes - 4 * MIB;
	uint32_t bo;

	OK(bo_create(fd, size, NIB_BO_HBM | NIB_BO_NO_MMAP, &bo));
	close(fd);
}

/* Tests that crowd HBM out need a device that is quickly filled. */
static UNUSED void guest_needs_small_hbm(int fd)
{
	struct nib_device_info info = query_device(fd);

	if (info.hbm_bytes > 2 * GIB)
		SKIP("HBM of %llu GiB would take too long to fill", info.hbm_bytes >> 30);
}

/* Whether a file of the PCI device in sysfs says @want. */
static UNUSED bool guest_power_is(const char *address, const char *name, const char *want)
{
	char path[128], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, name);
	f = fopen(path, "r");
	CHECK(f);
	CHECK(fgets(text, sizeof(text), f));
	fclose(f);
	text[strcspn(text, "\n")] = 0;
	return !strcmp(text, want);
}

static UNUSED void guest_wait_asleep(const char *address)
{
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		if (guest_power_is(address, "power/runtime_status", "suspended")) {
			CHECK(guest_power_is(address, "power_state", "D3hot"));
			return;
		}
		usleep(50000);
	}
	FAIL("the device does not fall asleep");
}

#endif
