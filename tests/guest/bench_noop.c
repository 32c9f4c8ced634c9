/* SPDX-License-Identifier: MIT */
/*
 * What a job costs: N jobs (10000) that do nothing, each submitted and waited for, then N in flight
 * at once. Prints one line of JSON, beside what debugfs says a bare round trip costs.
 */
#include "guest.h"

#include <glob.h>

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static unsigned long long ping_median(void)
{
	unsigned long long median = 0;
	char path[512];
	glob_t found;
	FILE *f;

	if (glob("/sys/kernel/debug/accel/*:*", 0, NULL, &found))
		return 0;
	snprintf(path, sizeof(path), "%s/ping", found.gl_pathv[0]);
	f = fopen(path, "r");
	if (f) {
		if (fscanf(f, "count %*u min_ns %*u median_ns %llu", &median) != 1)
			median = 0;
		fclose(f);
	}
	globfree(&found);
	return median;
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)atoi(argv[1]) : 10000, i, done, id;
	struct guest g = guest_begin();
	uint64_t *ns = calloc(n, sizeof(*ns)), begin, total;
	struct stream s = { 0 };
	unsigned long long ping;

	CHECK(n && ns);
	packet_end(&s);
	id = stream_create(g.fd, g.vm, &s);
	done = syncobj(g.fd);
	ping = ping_median();
	for (i = 0; i < n; i++) {
		begin = now_ns();
		OK(submit(g.fd, g.queue, id, done));
		OK(syncobj_wait(g.fd, done, 20000));
		ns[i] = now_ns() - begin;
	}
	qsort(ns, n, sizeof(*ns), compare);
	begin = now_ns();
	for (i = 0; i < n; i++)
		OK(submit(g.fd, g.queue, id, done));
	OK(syncobj_wait(g.fd, done, 60000));
	total = now_ns() - begin;
	EQUAL(queue_state(g.fd, g.queue).state, 0);
	printf("{\"bench\": \"noop\", \"jobs\": %u, \"min_ns\": %" PRIu64 ", \"median_ns\": %" PRIu64
	       ", \"p99_ns\": %" PRIu64 ", \"pipelined_ns\": %" PRIu64 ", \"ping_median_ns\": %llu}\n",
	       n, ns[0], ns[n / 2], ns[n - 1 - n / 100], total / n, ping);
	free(ns);
	return 0;
}
