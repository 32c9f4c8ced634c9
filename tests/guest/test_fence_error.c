/* SPDX-License-Identifier: MIT */
/*
 * What a fence says: good, failed, failed on a timeline, and after its device file is closed. Who
 * waits for one that failed runs, unless he is in the same queue.
 */
#include "guest.h"

#define BAD	0x7770000000ull

static int status_of(int file, int *timeline_status)
{
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };

	CHECK(!ioctl(file, SYNC_IOC_FILE_INFO, &info));
	EQUAL(info.num_fences, 1);
	/* New kernels no longer ask a driver about a fence that has signalled. */
	CHECK(!strcmp(fence.driver_name, NIB_DRM_NAME) || strstr(fence.driver_name, "-driver"));
	*timeline_status = fence.status;
	return info.status;
}

/* A job in @queue waits for @wait, and then for nothing else. */
static int status_behind(const struct guest *g, uint32_t queue, uint32_t stream, uint32_t wait)
{
	uint32_t done = syncobj(g->fd);
	struct nib_sync_op syncs[] = {
		{ .flags = NIB_SYNC_WAIT, .handle = wait },
		{ .flags = NIB_SYNC_SIGNAL, .handle = done },
	};
	struct nib_job job = {
		.queue_id = queue, .stream_id = stream, .syncs = NIB_OBJ_ARRAY(2, syncs),
	};
	int ret = submit_jobs(g->fd, &job, 1);

	if (ret)
		return ret;
	OK(syncobj_wait(g->fd, done, 20000));
	return fence_status(g->fd, done);
}

int main(void)
{
	struct guest g = guest_begin();
	uint32_t good = syncobj(g.fd), bad = syncobj(g.fd), timeline = syncobj(g.fd);
	struct nib_sync_op sync = { NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE, timeline, 7 };
	struct nib_job job = { .syncs = NIB_OBJ_ARRAY(1, &sync) };
	struct stream s = { 0 };
	uint32_t good_id, bad_id, queue;
	int file, inner;

	packet_end(&s);
	good_id = stream_create(g.fd, g.vm, &s);
	OK(submit(g.fd, g.queue, good_id, good));
	OK(syncobj_wait(g.fd, good, 20000));
	EXPECT(fence_status(g.fd, good), 1);

	s.count = 0;
	packet_fill(&s, BAD, 1, 0);
	packet_end(&s);
	bad_id = stream_create(g.fd, g.vm, &s);
	OK(submit(g.fd, g.queue, bad_id, bad));
	/* A wait for a failed job ends like one for a good one; the error is the fence's. */
	OK(syncobj_wait(g.fd, bad, 20000));
	EXPECT(fence_status(g.fd, bad), -EFAULT);

	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
	EXPECT(status_behind(&g, queue, good_id, bad), 1);
	EXPECT(status_behind(&g, g.queue, good_id, bad), -ECANCELED);
	job.queue_id = queue;
	job.stream_id = bad_id;
	OK(submit_jobs(g.fd, &job, 1));
	OK(timeline_wait(g.fd, timeline, 7, 20000, 0));
	CHECK(!drmSyncobjExportSyncFile(g.fd, timeline, &file));
	status_of(file, &inner);
	EXPECT(inner, -EFAULT);
	close(file);

	CHECK(!drmSyncobjExportSyncFile(g.fd, bad, &file));
	close(g.fd);
	EXPECT(status_of(file, &inner), -EFAULT);
	return 0;
}
