/* SPDX-License-Identifier: MIT */
/*
 * Buffers as dma-bufs: given to another client of the device, to another driver (vgem) and to the
 * CPU; taken from another driver (udmabuf, vgem), used by jobs, and alive for as long as anyone
 * uses them. What cannot be shared says so.
 */
#include "guest.h"

#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <sys/mman.h>

#define VA	0x100000000ull
#define SIZE	(256 * KIB)
#define WORDS	(SIZE / 4)

static int export(int fd, uint32_t bo)
{
	int buf;

	if (drmPrimeHandleToFD(fd, bo, DRM_CLOEXEC | DRM_RDWR, &buf))
		return -errno;
	return buf;
}

static int import(int fd, int buf, uint32_t *bo)
{
	return drmPrimeFDToHandle(fd, buf, bo) ? -errno : 0;
}

static void *map_file(int file, uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	if (p == MAP_FAILED)
		FAIL("mmap: %s", strerror(errno));
	return p;
}

static void cpu_access(int buf, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	CHECK(!ioctl(buf, DMA_BUF_IOCTL_SYNC, &sync));
}

/* Memory of a memfd as a dma-buf; the memfd comes too. -1 if there is no such driver. */
static int udmabuf(uint64_t size, int *memory)
{
	struct udmabuf_create create = { .size = size };
	int driver = open("/dev/udmabuf", O_RDWR), buf;

	if (driver < 0)
		return -1;
	*memory = memfd_create("test", MFD_ALLOW_SEALING);
	CHECK(*memory >= 0 && !ftruncate(*memory, (off_t)size));
	CHECK(!fcntl(*memory, F_ADD_SEALS, F_SEAL_SHRINK));
	create.memfd = (uint32_t)*memory;
	buf = ioctl(driver, UDMABUF_CREATE, &create);
	if (buf < 0)
		FAIL("UDMABUF_CREATE: %s", strerror(errno));
	close(driver);
	return buf;
}

/* A DRM driver without hardware. -1 if it is not there. */
static int vgem_open(void)
{
	int fd = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
	drmVersionPtr version = fd < 0 ? NULL : drmGetVersion(fd);

	if (version && strcmp(version->name, "vgem")) {
		close(fd);
		fd = -1;
	}
	drmFreeVersion(version);
	return fd;
}

static void *vgem_map(int fd, uint32_t handle, uint64_t size)
{
	struct drm_mode_map_dumb args = { .handle = handle };
	void *p;

	OK(nib_ioctl(fd, DRM_IOCTL_MODE_MAP_DUMB, &args));
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)args.offset);
	if (p == MAP_FAILED)
		FAIL("mmap of vgem: %s", strerror(errno));
	return p;
}

/* A job fills what lies at VA. */
static void fill(struct guest *g, uint64_t va, uint32_t value)
{
	struct stream s = { 0 };

	packet_fill(&s, va, WORDS, value);
	packet_end(&s);
	OK(run_stream(g->fd, g->vm, g->queue, &s));
}

static void expect_all(const uint32_t *words, uint32_t value)
{
	uint32_t i;

	for (i = 0; i < WORDS; i++)
		if (words[i] != value)
			FAIL("word %u is %#x, not %#x", i, words[i], value);
}

/* Two clients of the device have one object, which lives as long as one of them wants it. */
static void check_clients(uint32_t memory)
{
	struct guest a = guest_begin(), b = guest_begin();
	uint32_t bo, again, theirs, *ours;
	int buf;

	OK(bo_create(a.fd, SIZE, memory, &bo));
	ours = bo_map(a.fd, bo, SIZE);
	buf = export(a.fd, bo);
	CHECK(buf >= 0);
	EQUAL(lseek(buf, 0, SEEK_END), SIZE);
	OK(import(a.fd, buf, &again));
	EQUAL(again, bo);
	OK(import(b.fd, buf, &theirs));
	EQUAL(query_memory(b.fd).client_host + query_memory(b.fd).client_hbm, SIZE);
	close(buf);
	OK(vm_map(b.fd, b.vm, theirs, 0, VA, SIZE, 0));
	fill(&b, VA, 0x600d);
	expect_all(ours, 0x600d);
	munmap(ours, SIZE);
	close(a.fd);

	fill(&b, VA, 0xbeef);
	ours = bo_map(b.fd, theirs, SIZE);
	expect_all(ours, 0xbeef);
	munmap(ours, SIZE);
	/* Without a handle it is the mapping that holds it. */
	OK(bo_close(b.fd, theirs));
	fill(&b, VA, 1);
	close(b.fd);
}

/* The CPU looks at a dma-buf, which outlives the client. */
static void check_cpu(void)
{
	struct guest g = guest_begin();
	uint32_t bo, *words;
	int buf;

	OK(bo_create(g.fd, SIZE, NIB_BO_HOST, &bo));
	OK(vm_map(g.fd, g.vm, bo, 0, VA, SIZE, 0));
	buf = export(g.fd, bo);
	CHECK(buf >= 0);
	fill(&g, VA, 7);
	words = map_file(buf, SIZE);
	cpu_access(buf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
	expect_all(words, 7);
	words[WORDS - 1] = 8;
	cpu_access(buf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
	EQUAL(((uint32_t *)bo_map(g.fd, bo, SIZE))[WORDS - 1], 8);
	munmap(words, SIZE);
	/* A part of it, and not more than there is. */
	words = mmap(NULL, 4096, PROT_READ, MAP_SHARED, buf, SIZE - 4096);
	CHECK(words != MAP_FAILED);
	EQUAL(words[1023], 8);
	CHECK(mmap(NULL, 8192, PROT_READ, MAP_SHARED, buf, SIZE - 4096) == MAP_FAILED);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, buf, 0) == MAP_FAILED && errno == EINVAL);
	close(g.fd);
	EQUAL(words[1023], 8);
	close(buf);
	EQUAL(words[1023], 8);
	munmap(words, 4096);
}

/* Memory of a process becomes a buffer of the device. */
static void check_udmabuf(void)
{
	struct guest g = guest_begin();
	uint64_t host = query_memory(g.fd).client_host;
	int memory, buf = udmabuf(SIZE, &memory), same;
	uint32_t bo, again, *words, *mapped;

	if (buf < 0) {
		printf("no udmabuf\n");
		close(g.fd);
		return;
	}
	words = map_file(memory, SIZE);
	OK(import(g.fd, buf, &bo));
	OK(import(g.fd, buf, &again));
	EQUAL(again, bo);
	EQUAL(query_memory(g.fd).client_host, host + SIZE);
	/* What is exported again is the exporter's. */
	same = export(g.fd, bo);
	CHECK(same >= 0);
	OK(import(g.fd, same, &again));
	EQUAL(again, bo);
	close(same);
	close(buf);
	EXPECT(vm_map(g.fd, g.vm, bo, 0, VA, SIZE + 4096, 0), -EINVAL);
	OK(vm_map(g.fd, g.vm, bo, 0, VA, SIZE, 0));
	fill(&g, VA, 0xabcd);
	expect_all(words, 0xabcd);
	/* The device file maps the same pages. */
	mapped = bo_map(g.fd, bo, SIZE);
	mapped[5] = 55;
	EQUAL(words[5], 55);
	munmap(mapped, SIZE);
	OK(bo_close(g.fd, bo));
	EQUAL(query_memory(g.fd).client_host, host);
	/* The mapping holds it. */
	fill(&g, VA, 0xef);
	expect_all(words, 0xef);
	OK(vm_unmap(g.fd, g.vm, VA, SIZE));
	munmap(words, SIZE);
	close(memory);
	close(g.fd);
}

/* A job that never ends has it when the client goes. */
static void check_close_in_flight(void)
{
	struct guest g = guest_begin();
	int memory, buf = udmabuf(4096, &memory);
	struct stream s = { 0 };
	uint32_t bo, done;

	if (buf < 0) {
		close(g.fd);
		return;
	}
	OK(import(g.fd, buf, &bo));
	OK(vm_map(g.fd, g.vm, bo, 0, VA, 4096, 0));
	packet_sem(&s, VA, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	done = syncobj(g.fd);
	OK(submit(g.fd, g.queue, stream_create(g.fd, g.vm, &s), done));
	close(buf);
	close(g.fd);
	close(memory);
}

/* Another driver takes our buffer, and gives us one. */
static void check_vgem(void)
{
	struct guest g = guest_begin();
	struct drm_mode_create_dumb dumb = { .width = 1024, .height = SIZE / 4096, .bpp = 32 };
	uint32_t bo, theirs, *words;
	int vgem = vgem_open(), buf;

	if (vgem < 0) {
		printf("no vgem\n");
		close(g.fd);
		return;
	}
	OK(bo_create(g.fd, SIZE, NIB_BO_HOST, &bo));
	OK(vm_map(g.fd, g.vm, bo, 0, VA, SIZE, 0));
	buf = export(g.fd, bo);
	CHECK(buf >= 0);
	OK(import(vgem, buf, &theirs));
	close(buf);
	OK(bo_close(g.fd, bo));
	fill(&g, VA, 0x1234);
	OK(vm_unmap(g.fd, g.vm, VA, SIZE));
	/* Only they have it now; it comes back as what it was. */
	buf = export(vgem, theirs);
	CHECK(buf >= 0);
	OK(bo_close(vgem, theirs));
	OK(import(g.fd, buf, &bo));
	close(buf);
	words = bo_map(g.fd, bo, SIZE);
	expect_all(words, 0x1234);
	munmap(words, SIZE);
	OK(bo_close(g.fd, bo));

	OK(nib_ioctl(vgem, DRM_IOCTL_MODE_CREATE_DUMB, &dumb));
	EQUAL(dumb.size, SIZE);
	words = vgem_map(vgem, dumb.handle, SIZE);
	buf = export(vgem, dumb.handle);
	CHECK(buf >= 0);
	OK(import(g.fd, buf, &bo));
	OK(vm_map(g.fd, g.vm, bo, 0, VA, SIZE, 0));
	fill(&g, VA, 0x4321);
	expect_all(words, 0x4321);
	munmap(words, SIZE);
	close(vgem);
	close(buf);
	fill(&g, VA, 2);
	close(g.fd);
}

static void check_refused(void)
{
	struct guest g = guest_begin();
	uint32_t bo, id;
	int fd;

	EXPECT(export(g.fd, 12345), -ENOENT);
	OK(bo_create(g.fd, 4096, NIB_BO_HOST, &bo));
	OK(bo_close(g.fd, bo));
	EXPECT(export(g.fd, bo), -ENOENT);
	if (query_device(g.fd).sram_bytes) {
		OK(bo_create(g.fd, 4096, NIB_BO_SRAM, &bo));
		EXPECT(export(g.fd, bo), -EOPNOTSUPP);
	}
	EXPECT(import(g.fd, -1, &id), -EBADF);
	EXPECT(import(g.fd, g.fd, &id), -EINVAL);
	fd = memfd_create("test", 0);
	EXPECT(import(g.fd, fd, &id), -EINVAL);
	close(fd);
	close(g.fd);
}

int main(void)
{
	check_refused();
	check_clients(NIB_BO_HOST);
	check_cpu();
	check_udmabuf();
	check_close_in_flight();
	check_vgem();
	return 0;
}
