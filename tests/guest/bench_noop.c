/* SPDX-License-Identifier: MIT */
/*
 * What a job costs: N jobs (10000) that do nothing, each submitted and waited for, by turns with
 * bare round trips (debugfs: ping), so that what else the machine does falls on both alike; then N
 * in flight at once. Prints one line of JSON. The ratio is that of the medians, in thousandths.
 */
#include "guest.h"

#include <glob.h>

static int ping_fd = -1;

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Without debugfs there are no pings. */
static void ping_open(void)
{
	char path[512];
	glob_t found;

	if (glob("/sys/kernel/debug/accel/*:*", 0, NULL, &found))
		return;
	snprintf(path, sizeof(path), "%s/ping", found.gl_pathv[0]);
	ping_fd = open(path, O_RDWR | O_CLOEXEC);
	globfree(&found);
	/* One for each look. */
	if (ping_fd >= 0)
		CHECK(write(ping_fd, "1", 1) == 1);
}

static void ping_close(void)
{
	if (ping_fd >= 0)
		CHECK(write(ping_fd, "1000", 4) == 4);
}

static uint64_t ping(void)
{
	unsigned long long ns;
	char text[256];
	ssize_t n;

	if (ping_fd < 0)
		return 0;
	n = pread(ping_fd, text, sizeof(text) - 1, 0);
	CHECK(n > 0);
	text[n] = 0;
	CHECK(sscanf(text, "count %*u min_ns %llu", &ns) == 1);
	return ns;
}

static void measure(const struct guest *g, uint32_t id, uint32_t n, uint64_t *noop, uint64_t *bare)
{
	uint32_t done = syncobj(g->fd), i;
	uint64_t begin;

	for (i = 0; i < n; i++) {
		bare[i] = ping();
		begin = now_ns();
		OK(submit(g->fd, g->queue, id, done));
		OK(syncobj_wait(g->fd, done, 20000));
		noop[i] = now_ns() - begin;
	}
	qsort(noop, n, sizeof(*noop), compare);
	qsort(bare, n, sizeof(*bare), compare);
}

/* Time a job takes where the next one does not wait for it. */
static uint64_t measure_pipelined(const struct guest *g, uint32_t id, uint32_t n)
{
	uint32_t done = syncobj(g->fd), i;
	uint64_t begin = now_ns();

	for (i = 0; i < n; i++)
		OK(submit(g->fd, g->queue, id, done));
	OK(syncobj_wait(g->fd, done, 60000));
	return (now_ns() - begin) / n;
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)atoi(argv[1]) : 10000, id;
	struct guest g = guest_begin();
	uint64_t *noop = calloc(n, sizeof(*noop)), *bare = calloc(n, sizeof(*bare)), pipelined;
	struct stream s = { 0 };

	CHECK(n && noop && bare);
	packet_end(&s);
	id = stream_create(g.fd, g.vm, &s);
	ping_open();
	measure(&g, id, n, noop, bare);
	ping_close();
	pipelined = measure_pipelined(&g, id, n);
	EQUAL(queue_state(g.fd, g.queue).state, 0);
	printf("{\"bench\": \"noop\", \"jobs\": %u, \"min_ns\": %" PRIu64 ", \"median_ns\": %" PRIu64
	       ", \"p99_ns\": %" PRIu64 ", \"pipelined_ns\": %" PRIu64 ", \"ping_min_ns\": %" PRIu64
	       ", \"ping_median_ns\": %" PRIu64 ", \"ping_p99_ns\": %" PRIu64 ", \"ratio_permille\": %"
	       PRIu64 "}\n", n, noop[0], noop[n / 2], noop[n - 1 - n / 100], pipelined, bare[0],
	       bare[n / 2], bare[n - 1 - n / 100],
	       bare[n / 2] ? noop[n / 2] * 1000 / bare[n / 2] : 0);
	free(noop);
	free(bare);
	return 0;
}
