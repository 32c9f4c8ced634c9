/* SPDX-License-Identifier: MIT */
/*
 * What tests of the driver's life cycle share: work that is in flight while something happens to
 * driver or device, and the device's and the driver's places in sysfs.
 */
#ifndef LIFE_H
#define LIFE_H

#include "guest.h"

#include <poll.h>

#define LIFE_VA		0x100000000ull
#define LIFE_BYTES	(64 * KIB)
#define LIFE_FENCES	4u

/* The address of the first device of our kind, whether or not a driver is bound to it. */
static UNUSED void life_find_device(char *address, size_t size)
{
	char line[256], *text;
	FILE *file = popen("cd /sys/bus/pci/devices && grep -l 0x4e42 */device", "r");

	CHECK(file);
	text = fgets(line, sizeof(line), file);
	pclose(file);
	if (!text)
		SKIP("no PCI device of our kind");
	snprintf(address, size, "%s", strtok(line, "/\n"));
}

/* Writes to a file of the device, or of the driver if @of is "drivers/nib". Returns 0 or -errno. */
static UNUSED int life_write(const char *of, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/%s/%s", of, name);
	return write_file(path, text);
}

static UNUSED int life_unbind(const char *address)
{
	return life_write("drivers/nib", "unbind", address);
}

/* The probe's own error comes back. */
static UNUSED int life_bind(const char *address)
{
	return life_write("drivers/nib", "bind", address);
}

static UNUSED int life_remove(const char *address)
{
	char of[96];

	snprintf(of, sizeof(of), "devices/%s", address);
	return life_write(of, "remove", "1");
}

static UNUSED int life_rescan(void)
{
	return write_file("/sys/bus/pci/rescan", "1");
}

/**
 * struct life_work - a client with work in flight.
 * @g: device, VM and a queue whose head waits for memory, with jobs behind it.
 * @busy: a queue that writes host memory for a while.
 * @hbm: buffer of HBM, mapped by both; word 0 is what the head waits for.
 * @host: buffer of host memory, mapped by both.
 * @fence: 0, 1: of @g.queue; 2: of @busy; 3: of a job of @busy that waits for fence 1.
 * @file: sync files of the same, which live on without the device.
 */
struct life_work {
	struct guest g;
	uint32_t busy;
	uint32_t hold;
	volatile uint32_t *hbm;
	volatile uint32_t *host;
	uint32_t fence[LIFE_FENCES];
	int file[LIFE_FENCES];
};

static UNUSED void life_submit(struct life_work *w, uint32_t queue, uint32_t stream, uint32_t wait,
			       uint32_t signal)
{
	struct nib_sync_op syncs[] = {
		{ .flags = NIB_SYNC_SIGNAL, .handle = signal },
		{ .flags = NIB_SYNC_WAIT, .handle = wait },
	};
	struct nib_job job = {
		.queue_id = queue, .stream_id = stream,
		.syncs = NIB_OBJ_ARRAY(wait ? 2 : 1, syncs),
	};

	OK(submit_jobs(w->g.fd, &job, 1));
}

static UNUSED struct life_work life_begin(void)
{
	struct life_work w = { .g = guest_begin() };
	struct stream s = { 0 };
	uint32_t fill, copy, i;

	OK(queue_create(w.g.fd, w.g.vm, NIB_PRIORITY_LOW, &w.busy));
	w.hbm = guest_buffer(&w.g, LIFE_VA, LIFE_BYTES, NIB_BO_HBM);
	w.host = guest_buffer(&w.g, LIFE_VA + LIFE_BYTES, LIFE_BYTES, NIB_BO_HOST);
	packet_fill(&s, LIFE_VA + 64, 1, 0x1111);
	packet_sem(&s, LIFE_VA, 1, NIB_SEM_WAIT_GE);
	packet_fill(&s, LIFE_VA + 128, 1, 0x2222);
	packet_end(&s);
	w.hold = stream_create(w.g.fd, w.g.vm, &s);
	s.count = 0;
	packet_fill(&s, LIFE_VA + LIFE_BYTES, LIFE_BYTES / 4, 0x3333);
	packet_end(&s);
	fill = stream_create(w.g.fd, w.g.vm, &s);
	s.count = 0;
	packet_copy(&s, LIFE_VA + 128, LIFE_VA + 192, 1);
	packet_end(&s);
	copy = stream_create(w.g.fd, w.g.vm, &s);
	for (i = 0; i < LIFE_FENCES; i++)
		w.fence[i] = syncobj(w.g.fd);
	life_submit(&w, w.g.queue, w.hold, 0, w.fence[0]);
	life_submit(&w, w.g.queue, copy, 0, w.fence[1]);
	for (i = 0; i < 32; i++)
		life_submit(&w, w.busy, fill, 0, w.fence[2]);
	life_submit(&w, w.busy, copy, w.fence[1], w.fence[3]);
	for (i = 0; i < LIFE_FENCES; i++)
		CHECK(!drmSyncobjExportSyncFile(w.g.fd, w.fence[i], &w.file[i]));
	return w;
}

/* The error of a fence that has been signalled; 0: it went well; 1: it was not signalled yet. */
static UNUSED int life_fence(const struct life_work *w, unsigned int i)
{
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = {
		.num_fences = 1, .sync_fence_info = (uintptr_t)&fence,
	};

	CHECK(!ioctl(w->file[i], SYNC_IOC_FILE_INFO, &info));
	return fence.status > 0 ? 0 : fence.status < 0 ? fence.status : 1;
}

/* All ends by itself: what had begun with @error, what had not perhaps for lack of the former. */
static UNUSED void life_check_ended(const struct life_work *w, int error)
{
	unsigned int i;
	int got;

	for (i = 0; i < LIFE_FENCES; i++) {
		struct pollfd p = { .fd = w->file[i], .events = POLLIN };

		CHECK(poll(&p, 1, 60000) == 1);
	}
	EXPECT(life_fence(w, 0), error);
	EXPECT(life_fence(w, 1), error);
	for (i = 2; i < LIFE_FENCES; i++) {
		got = life_fence(w, i);
		if (got != error && got != -ECANCELED && (got || i != 2))
			FAIL("fence %u: %d", i, got);
	}
}

/* The head goes on; everything ends well and in order, and memory says so. */
static UNUSED void life_check_goes_on(struct life_work *w)
{
	unsigned int i;

	EQUAL(life_fence(w, 0), 1);
	w->hbm[0] = 1;
	for (i = 0; i < LIFE_FENCES; i++) {
		OK(syncobj_wait(w->g.fd, w->fence[i], 60000));
		OK(life_fence(w, i));
	}
	EQUAL(w->hbm[16], 0x1111);
	EQUAL(w->hbm[32], 0x2222);
	EQUAL(w->hbm[48], 0x2222);
	for (i = 0; i < LIFE_BYTES / 4; i++)
		EQUAL(w->host[i], 0x3333);
}

static UNUSED void life_end(struct life_work *w)
{
	unsigned int i;

	for (i = 0; i < LIFE_FENCES; i++)
		close(w->file[i]);
	munmap((void *)w->hbm, LIFE_BYTES);
	munmap((void *)w->host, LIFE_BYTES);
	close(w->g.fd);
}

/* A new client finds a device that works and has @hbm_free bytes; 0 for whatever it is. */
static UNUSED uint64_t life_check_fresh(uint64_t hbm_free)
{
	struct guest g = guest_begin();
	struct stream s = { 0 };
	uint64_t now = 0;
	int tries;

	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	OK(queue_destroy(g.fd, g.queue));
	OK(vm_destroy(g.fd, g.vm));
	for (tries = 0; tries < 100; tries++) {
		now = query_memory(g.fd).hbm_free;
		if (!hbm_free || now == hbm_free)
			break;
		usleep(20000);
	}
	if (hbm_free)
		EQUAL(now, hbm_free);
	close(g.fd);
	return now;
}

#endif
