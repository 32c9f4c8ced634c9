/* SPDX-License-Identifier: MIT */
/*
 * fdinfo: keys, times that only grow and outlive their queues, memory as it was allocated. What
 * grows does so in the eyes of a reader too who looks while queues fault, are reset and go.
 */
#include "guest.h"

#include <pthread.h>
#include <stdatomic.h>

static struct guest g;
static _Thread_local char text[8192];

static void read_fdinfo(int fd)
{
	char path[64];
	ssize_t n;
	int file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = open(path, O_RDONLY);
	CHECK(file >= 0);
	n = read(file, text, sizeof(text) - 1);
	CHECK(n > 0);
	text[n] = 0;
	close(file);
}

static const char *find(const char *key)
{
	const char *p = text;
	size_t length = strlen(key);

	while (p) {
		if (!strncmp(p, key, length) && p[length] == ':') {
			p += length + 1;
			return p + strspn(p, " \t");
		}
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	FAIL("no %s in:\n%s", key, text);
}

/* Value in bytes or in what the key counts. */
static uint64_t number(const char *key)
{
	const char *p = find(key);
	char *end;
	uint64_t n = strtoull(p, &end, 10);

	if (!strncmp(end, " KiB", 4))
		n *= KIB;
	else if (!strncmp(end, " MiB", 4))
		n *= MIB;
	return n;
}

static void work(uint32_t queue)
{
	struct stream s = { 0 };

	packet_fill(&s, 0x100000000ull, MIB / 4, 1);
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, queue, &s));
}

static const char *const growing[] = {
	"drm-engine-npu", "drm-cycles-npu", "nib-jobs-npu", "nib-energy-npu",
};
#define GROWING	(sizeof(growing) / sizeof(growing[0]))

static atomic_bool finished;

static void *watch(void *unused)
{
	uint64_t last[GROWING] = { 0 }, now;
	size_t i;

	(void)unused;
	while (!finished) {
		read_fdinfo(g.fd);
		for (i = 0; i < GROWING; i++) {
			now = number(growing[i]);
			if (now < last[i])
				FAIL("%s fell from %" PRIu64 " to %" PRIu64, growing[i], last[i],
				     now);
			last[i] = now;
		}
		sched_yield();
	}
	return NULL;
}

/* Queues that work, fault, and are destroyed while jobs are in flight. */
static void check_monotonic(int other)
{
	struct stream bad = { 0 }, s = { 0 };
	uint32_t queue, stream, done = syncobj(g.fd), i;
	uint64_t mine;
	pthread_t thread;

	packet_fill(&bad, 0x100000000ull, MIB / 4, 1);
	packet_fill(&bad, 0x7770000000ull, 4, 1);
	packet_end(&bad);
	packet_fill(&s, 0x100000000ull, MIB / 4, 1);
	packet_end(&s);
	stream = stream_create(g.fd, g.vm, &s);
	CHECK(!pthread_create(&thread, NULL, watch, NULL));
	for (i = 0; i < 12; i++) {
		OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
		work(queue);
		if (i & 1)
			EXPECT(run_stream(g.fd, g.vm, queue, &bad), -EFAULT);
		else
			OK(submit(g.fd, queue, stream, done));
		OK(queue_destroy(g.fd, queue));
	}
	finished = true;
	pthread_join(thread, NULL);
	drmSyncobjDestroy(g.fd, done);

	/* All clients together have no more than the device. */
	read_fdinfo(g.fd);
	mine = number("drm-engine-npu");
	read_fdinfo(other);
	CHECK(query_memory(g.fd).busy_ns >= mine + number("drm-engine-npu"));
	read_fdinfo(g.fd);
	mine = number("nib-energy-npu");
	read_fdinfo(other);
	CHECK(query_memory(g.fd).energy_uj >= mine + number("nib-energy-npu"));
}

int main(void)
{
	uint64_t ns, cycles, i;
	uint32_t queue, bo;
	int other = guest_open();

	g = guest_begin();
	read_fdinfo(g.fd);
	CHECK(!strncmp(find("drm-driver"), NIB_DRM_NAME "\n", 4));
	CHECK(strchr(find("drm-pdev"), ':'));
	CHECK(number("drm-client-id") > 0);
	EQUAL(number("drm-engine-npu"), 0);
	CHECK(strstr(find("drm-engine-npu"), " ns\n"));
	EQUAL(number("nib-jobs-npu"), 0);
	CHECK(strstr(find("nib-energy-npu"), " uJ\n"));
	EQUAL(number("drm-total-hbm"), 0);

	munmap(guest_buffer(&g, 0x100000000ull, MIB, NIB_BO_HBM), MIB);
	OK(bo_create(g.fd, 3 * MIB, NIB_BO_HOST, &bo));
	OK(bo_create(g.fd, 64 * KIB, NIB_BO_SRAM, &bo));
	read_fdinfo(g.fd);
	EQUAL(number("drm-total-hbm"), MIB);
	EQUAL(number("drm-resident-hbm"), MIB);
	EQUAL(number("drm-total-memory"), 3 * MIB);
	EQUAL(number("drm-resident-memory"), 3 * MIB);
	EQUAL(number("drm-total-sram"), 64 * KIB);
	EQUAL(number("drm-resident-sram"), 64 * KIB);

	ns = 0;
	cycles = 0;
	for (i = 0; i < 10; i++) {
		OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
		work(queue);
		work(g.queue);
		read_fdinfo(g.fd);
		CHECK(number("drm-engine-npu") > ns && number("drm-cycles-npu") > cycles);
		ns = number("drm-engine-npu");
		cycles = number("drm-cycles-npu");
		/* What a queue did is not forgotten with it. */
		OK(queue_destroy(g.fd, queue));
		read_fdinfo(g.fd);
		EQUAL(number("drm-engine-npu"), ns);
		EQUAL(number("drm-cycles-npu"), cycles);
	}
	EQUAL(number("nib-jobs-npu"), 20);
	/* No client has more than the device. */
	CHECK(query_memory(g.fd).busy_ns >= ns);

	/* Another client has used nothing, and has another id. */
	i = number("drm-client-id");
	read_fdinfo(other);
	EQUAL(number("drm-engine-npu"), 0);
	EQUAL(number("drm-total-hbm"), 0);
	CHECK(number("drm-client-id") != i);
	check_monotonic(other);
	return 0;
}
