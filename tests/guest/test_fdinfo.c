/* SPDX-License-Identifier: MIT */
/*
 * fdinfo: keys, times that only grow and outlive their queues, memory as it was allocated. What
 * grows does so in the eyes of a reader too who looks while queues fault, are reset and go.
 */
#include "fdinfo.h"

static struct guest g;

static void work(uint32_t queue)
{
	struct stream s = { 0 };

	packet_fill(&s, 0x100000000ull, MIB / 4, 1);
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, queue, &s));
}

/* Queues that work, fault, and are destroyed while jobs are in flight. */
static void check_monotonic(int other)
{
	struct stream bad = { 0 }, s = { 0 };
	uint32_t queue, stream, done = syncobj(g.fd), i;
	uint64_t mine;
	struct fdinfo_watch watch;

	packet_fill(&bad, 0x100000000ull, MIB / 4, 1);
	packet_fill(&bad, 0x7770000000ull, 4, 1);
	packet_end(&bad);
	packet_fill(&s, 0x100000000ull, MIB / 4, 1);
	packet_end(&s);
	stream = stream_create(g.fd, g.vm, &s);
	fdinfo_watch_begin(&watch, g.fd);
	for (i = 0; i < 12; i++) {
		OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
		work(queue);
		if (i & 1)
			EXPECT(run_stream(g.fd, g.vm, queue, &bad), -EFAULT);
		else
			OK(submit(g.fd, queue, stream, done));
		OK(queue_destroy(g.fd, queue));
	}
	fdinfo_watch_end(&watch);
	drmSyncobjDestroy(g.fd, done);

	/* All clients together have no more than the device. */
	fdinfo_read(g.fd);
	mine = fdinfo_number("drm-engine-npu");
	fdinfo_read(other);
	CHECK(query_memory(g.fd).busy_ns >= mine + fdinfo_number("drm-engine-npu"));
	fdinfo_read(g.fd);
	mine = fdinfo_number("nib-energy-npu");
	fdinfo_read(other);
	CHECK(query_memory(g.fd).energy_uj >= mine + fdinfo_number("nib-energy-npu"));
}

int main(void)
{
	uint64_t ns, cycles, i;
	uint32_t queue, bo;
	int other = guest_open();

	g = guest_begin();
	fdinfo_read(g.fd);
	CHECK(!strncmp(fdinfo_find("drm-driver"), NIB_DRM_NAME "\n", 4));
	CHECK(strchr(fdinfo_find("drm-pdev"), ':'));
	CHECK(fdinfo_number("drm-client-id") > 0);
	EQUAL(fdinfo_number("drm-engine-npu"), 0);
	CHECK(strstr(fdinfo_find("drm-engine-npu"), " ns\n"));
	EQUAL(fdinfo_number("nib-jobs-npu"), 0);
	CHECK(strstr(fdinfo_find("nib-energy-npu"), " uJ\n"));
	EQUAL(fdinfo_number("drm-total-hbm"), 0);

	munmap(guest_buffer(&g, 0x100000000ull, MIB, NIB_BO_HBM), MIB);
	OK(bo_create(g.fd, 3 * MIB, NIB_BO_HOST, &bo));
	OK(bo_create(g.fd, 64 * KIB, NIB_BO_SRAM, &bo));
	fdinfo_read(g.fd);
	EQUAL(fdinfo_number("drm-total-hbm"), MIB);
	EQUAL(fdinfo_number("drm-resident-hbm"), MIB);
	EQUAL(fdinfo_number("drm-total-memory"), 3 * MIB);
	EQUAL(fdinfo_number("drm-resident-memory"), 3 * MIB);
	EQUAL(fdinfo_number("drm-total-sram"), 64 * KIB);
	EQUAL(fdinfo_number("drm-resident-sram"), 64 * KIB);

	ns = 0;
	cycles = 0;
	for (i = 0; i < 10; i++) {
		OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
		work(queue);
		work(g.queue);
		fdinfo_read(g.fd);
		CHECK(fdinfo_number("drm-engine-npu") > ns && fdinfo_number("drm-cycles-npu") > cycles);
		ns = fdinfo_number("drm-engine-npu");
		cycles = fdinfo_number("drm-cycles-npu");
		/* What a queue did is not forgotten with it. */
		OK(queue_destroy(g.fd, queue));
		fdinfo_read(g.fd);
		EQUAL(fdinfo_number("drm-engine-npu"), ns);
		EQUAL(fdinfo_number("drm-cycles-npu"), cycles);
	}
	EQUAL(fdinfo_number("nib-jobs-npu"), 20);
	/* No client has more than the device. */
	CHECK(query_memory(g.fd).busy_ns >= ns);

	/* Another client has used nothing, and has another id. */
	i = fdinfo_number("drm-client-id");
	fdinfo_read(other);
	EQUAL(fdinfo_number("drm-engine-npu"), 0);
	EQUAL(fdinfo_number("drm-total-hbm"), 0);
	CHECK(fdinfo_number("drm-client-id") != i);
	check_monotonic(other);
	return 0;
}
