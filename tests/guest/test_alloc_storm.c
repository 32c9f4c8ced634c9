/* SPDX-License-Identifier: MIT */
/*
 * Allocations fail at random wherever the driver makes them, its workers included, while processes
 * make buffers, bind them, run jobs and throw all of it away. Calls may fail for want of memory;
 * afterwards the device works and has all of its own. Needs a kernel with fault injection by stack
 * trace. NIB_STORM_MS says for how long, 10000 by default; NIB_STORM_SEED where to start.
 */
#include "spare.h"

#include <sys/wait.h>

#define DEBUG		"/sys/kernel/debug/"
#define VA		0x100000000ull
#define PROCESSES	3

static uint64_t end;
static char device[64];	/* what opens the device anew */

static uint32_t rnd(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)*state * below >> 32);
}

/* Where the driver's code is: from its first function to an end that is far enough. */
static bool aim(const char *what)
{
	char path[128], start[32] = "", stop[32];
	int fd = open("/sys/module/nib/sections/.text", O_RDONLY);

	if (fd < 0 || read(fd, start, sizeof(start) - 1) <= 0)
		return false;
	close(fd);
	snprintf(stop, sizeof(stop), "%#llx", strtoull(start, NULL, 16) + (1ull << 20));
	snprintf(path, sizeof(path), DEBUG "%s/require-start", what);
	if (write_file(path, start))
		return false;
	snprintf(path, sizeof(path), DEBUG "%s/require-end", what);
	return !write_file(path, stop);
}

static bool set(const char *what, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUG "%s/%s", what, name);
	return !write_file(path, value);
}

/* One allocation in @percent of the driver's; 0 ends it. */
static bool storm(const char *percent)
{
	static const char *const what[] = { "failslab", "fail_page_alloc" };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (!aim(what[i]) || !set(what[i], "probability", "0"))
			return false;
		set(what[i], "verbose", "0");
		set(what[i], "interval", "1");
		set(what[i], "times", "-1");
		set(what[i], "stacktrace-depth", "32");
		set(what[i], "ignore-gfp-wait", "N");
		set(what[i], "ignore-gfp-highmem", "N");
		set(what[i], "probability", percent);
	}
	return true;
}

/* Everything once; gives up at the first thing that cannot be had. */
static void one_round(uint32_t *state)
{
	uint64_t size = (1 + rnd(state, 64)) * 64 * KIB;
	uint32_t vm, queue, handle = 0, done = 0;
	struct nib_stream_create stream;
	struct stream s = { 0 };
	int fd = open(device, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	packet_fill(&s, VA, 16, 7);
	packet_end(&s);
	if (vm_create(fd, &vm) || queue_create(fd, vm, NIB_PRIORITY_NORMAL, &queue) ||
	    bo_create(fd, size, rnd(state, 2) ? NIB_BO_HBM : NIB_BO_HOST, &handle) ||
	    vm_map(fd, vm, handle, 0, VA, size, 0) ||
	    stream_create_raw(fd, vm, s.words, s.count * 8, &stream) ||
	    drmSyncobjCreate(fd, 0, &done) || submit(fd, queue, stream.stream_id, done))
		goto out;
	/* Now and then the file is closed while the job runs. */
	if (rnd(state, 4)) {
		syncobj_wait(fd, done, 60000);
		vm_unmap(fd, vm, VA + size / 2, size / 2);
	}
out:
	close(fd);
}

static void run(uint32_t state)
{
	uint32_t rounds = 0;

	while (now_ns() < end) {
		one_round(&state);
		rounds++;
	}
	printf("%u rounds\n", rounds);
	exit(0);
}

int main(void)
{
	const char *ms = getenv("NIB_STORM_MS"), *seed = getenv("NIB_STORM_SEED");
	uint32_t start = seed ? (uint32_t)strtoul(seed, NULL, 0) : 1;
	uint64_t hbm_free;
	struct stream s = { 0 };
	int i, status, tries, bad = 0;
	struct guest g;
	int fd = guest_open();

	hbm_free = query_memory(fd).hbm_free;
	snprintf(device, sizeof(device), "/proc/%d/fd/%d", getpid(), fd);
	end = now_ns() + (ms ? strtoull(ms, NULL, 0) : 10000) * 1000000;
	if (!storm("3"))
		SKIP("this kernel has no fault injection by stack trace");
	/* kvmalloc() that has failed already, and fails again. */
	OK(spare_function("__vmalloc_node_range_noprof"));
	for (i = 0; i < PROCESSES; i++)
		if (!fork())
			run(start + (uint32_t)i);
	for (i = 0; i < PROCESSES; i++) {
		CHECK(wait(&status) > 0);
		bad |= status;
	}
	CHECK(storm("0"));
	if (bad)
		FAIL("a process ended with status %#x", bad);
	g = guest_begin();
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	close(g.fd);
	for (tries = 0; tries < 500 && query_memory(fd).hbm_free != hbm_free; tries++)
		usleep(20000);
	EQUAL(query_memory(fd).hbm_free, hbm_free);
	return 0;
}
