/* SPDX-License-Identifier: MIT */
/*
 * What tests of faults share: workers, each a VM, a queue and a job whose result shows whether it
 * ran; and a watchdog that is quick. Orders go through control.h.
 */
#ifndef FAULT_H
#define FAULT_H

#include "control.h"

#define FAULT_VA	0x100000000ull
#define FAULT_WORDS	1024u
#define FAULT_ROWS	64u			/* a job copies one, twice */
#define FAULT_OUTS	16u			/* to one of these */
#define FAULT_ROW(i)	(4 * FAULT_WORDS * ((i) % FAULT_ROWS))
#define FAULT_OUT(i)	(FAULT_ROWS * 4 * FAULT_WORDS + 8 * FAULT_WORDS * ((i) % FAULT_OUTS))
#define FAULT_STATS	(FAULT_ROWS * 4 * FAULT_WORDS + FAULT_OUTS * 8 * FAULT_WORDS)
#define FAULT_BYTES	(512 * KIB)

/* Says which check runs, so that the output of a failure names it. */
#define RUN(check) do { \
	printf("%s\n", #check); \
	fflush(stdout); \
	check; \
	control_clear(); \
} while (0)

/* The kernel's log from here on. */
static UNUSED int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	CHECK(fd >= 0 && lseek(fd, 0, SEEK_END) >= 0);
	return fd;
}

/* True if a line that holds both has come; reads up to it. */
static UNUSED bool kmsg_has(int fd, const char *one, const char *other)
{
	char record[2048];
	ssize_t n;

	while ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		record[n > 0 ? n : 0] = 0;
		if (strstr(record, one) && strstr(record, other))
			return true;
	}
	return false;
}

/**
 * struct worker - somebody who works.
 * @stream: takes the address of a row and where to copy it, twice.
 * @hw: the device's id of its queue.
 * @mem: FAULT_BYTES of HBM at FAULT_VA.
 */
struct worker {
	int fd;
	uint32_t vm;
	uint32_t queue;
	uint32_t stream;
	uint32_t hw;
	uint32_t *mem;
};

/* A job that copies row @value to place @out. */
static UNUSED int worker_submit_to(struct worker *w, uint32_t value, uint32_t out,
				   uint64_t stats_va, uint32_t fence)
{
	struct nib_sync_op sync = { .flags = NIB_SYNC_SIGNAL, .handle = fence };
	uint64_t args[2] = { FAULT_VA + FAULT_ROW(value), FAULT_VA + FAULT_OUT(out) };
	struct nib_job job = {
		.queue_id = w->queue, .stream_id = w->stream, .nargs = 2, .args = (uintptr_t)args,
		.stats_va = stats_va, .syncs = NIB_OBJ_ARRAY(1, &sync),
	};

	return submit_jobs(w->fd, &job, 1);
}

static UNUSED int worker_submit(struct worker *w, uint32_t value, uint64_t stats_va, uint32_t fence)
{
	return worker_submit_to(w, value, 0, stats_va, fence);
}

/* Waits for a fence and returns its error, or 0. */
static UNUSED int fence_end(int fd, uint32_t fence)
{
	int status;

	OK(syncobj_wait(fd, fence, 60000));
	status = fence_status(fd, fence);
	CHECK(status);
	return status < 0 ? status : 0;
}

/* Fences end as soon as the device has reported; a reset counts once it has helped. */
static UNUSED void wait_for_resets(int fd, uint32_t count)
{
	uint64_t begin = now_ns();

	while (query_device(fd).reset_count < count && now_ns() - begin < 20000000000ull)
		usleep(5000);
	EQUAL(query_device(fd).reset_count, count);
}

static UNUSED bool worker_is_right(const struct worker *w, uint32_t value, uint32_t at)
{
	const uint32_t *out = w->mem + FAULT_OUT(at) / 4;

	for (uint32_t i = 0; i < 2 * FAULT_WORDS; i++)
		if (out[i] != (value % FAULT_ROWS + 1) * 0x01010101u + i % FAULT_WORDS)
			return false;
	return true;
}

static UNUSED void worker_check_at(const struct worker *w, uint32_t value, uint32_t at)
{
	CHECK(worker_is_right(w, value, at));
}

static UNUSED void worker_check(const struct worker *w, uint32_t value)
{
	worker_check_at(w, value, 0);
}

/* What jobs read. */
static UNUSED void worker_fill(struct worker *w)
{
	for (uint32_t i = 0; i < FAULT_ROWS * FAULT_WORDS; i++)
		w->mem[i] = (i / FAULT_WORDS + 1) * 0x01010101u + i % FAULT_WORDS;
}

/* One job, to its end. Returns the error of its fence; what it did is right where that is 0. */
static UNUSED int worker_run(struct worker *w, uint32_t value)
{
	uint32_t fence = syncobj(w->fd);
	int status;

	OK(worker_submit(w, value, 0, fence));
	status = fence_end(w->fd, fence);
	drmSyncobjDestroy(w->fd, fence);
	if (!status)
		worker_check(w, value);
	return status;
}

/* A queue, in place of the one before; the completion of a job tells the device's id of it. */
static UNUSED void worker_new_queue(struct worker *w)
{
	const struct nib_completion *done = (const void *)((char *)w->mem + FAULT_STATS);
	uint32_t fence = syncobj(w->fd);

	if (w->queue)
		OK(queue_destroy(w->fd, w->queue));
	OK(queue_create(w->fd, w->vm, NIB_PRIORITY_NORMAL, &w->queue));
	OK(worker_submit(w, 1, FAULT_VA + FAULT_STATS, fence));
	OK(fence_end(w->fd, fence));
	drmSyncobjDestroy(w->fd, fence);
	worker_check(w, 1);
	w->hw = done->queue;
}

static UNUSED struct worker worker_begin(int fd)
{
	struct worker w = { .fd = fd };
	struct stream s = { 0 };
	uint32_t bo;

	OK(vm_create(fd, &w.vm));
	OK(bo_create(fd, FAULT_BYTES, NIB_BO_HBM, &bo));
	OK(vm_map(fd, w.vm, bo, 0, FAULT_VA, FAULT_BYTES, 0));
	w.mem = bo_map(fd, bo, FAULT_BYTES);
	OK(bo_close(fd, bo));
	worker_fill(&w);
	packet(&s, NIB_OP_FILL, 1, 3, NIB_ARG(1, 0), W(2 * FAULT_WORDS), W(0));
	packet(&s, NIB_OP_COPY, 3, 10, NIB_ARG(0, 0), NIB_ARG(1, 0), W(FAULT_WORDS), W(1), W(1),
	       W(0), W(0), W(0), W(0), W(NIB_FMT_U32) | W(NIB_FMT_U32) << 32);
	packet(&s, NIB_OP_COPY, 3, 10, NIB_ARG(1, 0), NIB_ARG(1, 4 * FAULT_WORDS), W(FAULT_WORDS),
	       W(1), W(1), W(0), W(0), W(0), W(0), W(NIB_FMT_U32) | W(NIB_FMT_U32) << 32);
	packet_end(&s);
	w.stream = stream_create(fd, w.vm, &s);
	worker_new_queue(&w);
	return w;
}

static UNUSED void worker_end(struct worker *w)
{
	munmap(w->mem, FAULT_BYTES);
	OK(queue_destroy(w->fd, w->queue));
	OK(stream_destroy(w->fd, w->vm, w->stream));
	OK(vm_destroy(w->fd, w->vm));
}

/* The queue is dead, @blame it or not; another one in its place works. */
static UNUSED void worker_died(struct worker *w, uint32_t blame, uint32_t fault_status)
{
	struct nib_queue_get_state state = queue_state(w->fd, w->queue);
	uint32_t fence = syncobj(w->fd);

	EQUAL(state.state, blame | NIB_QUEUE_STATE_BANNED);
	EQUAL(state.fault_status, fault_status);
	EXPECT(worker_submit(w, 2, 0, fence), -ECANCELED);
	drmSyncobjDestroy(w->fd, fence);
	worker_new_queue(w);
	OK(worker_run(w, 3));
}

/* What the driver tells of its ladder, for the log. */
static UNUSED void show_ladder(int fd)
{
	char address[64], path[128], line[256];
	FILE *f;

	guest_pci_address(fd, address, sizeof(address));
	snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s/recovery", address);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		fputs(line, stdout);
	if (f)
		fclose(f);
}

#endif
