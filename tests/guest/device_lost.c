/* SPDX-License-Identifier: MIT */
/*
 * The device vanishes in mid-job. Not one of run-all's: whoever runs it kills the device process once
 * this has printed "ready". Fences end with ENODEV within seconds, ioctls fail, the file closes, and
 * the driver unbinds.
 */
#include "guest.h"

#define VA	0x100000000ull

int main(void)
{
	struct guest g = guest_begin();
	uint32_t fence[4], second, hang, after, i;
	struct nib_sync_op syncs[2];
	struct nib_job job;
	struct stream s = { 0 };
	uint64_t begin;

	munmap(guest_buffer(&g, VA, 4096, NIB_BO_HBM), 4096);
	packet_sem(&s, VA, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	hang = stream_create(g.fd, g.vm, &s);
	s.count = 0;
	packet_end(&s);
	after = stream_create(g.fd, g.vm, &s);
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &second));
	for (i = 0; i < 4; i++)
		fence[i] = syncobj(g.fd);
	OK(submit(g.fd, g.queue, hang, fence[0]));
	OK(submit(g.fd, g.queue, after, fence[1]));
	syncs[0] = (struct nib_sync_op){ NIB_SYNC_WAIT, fence[1], 0 };
	syncs[1] = (struct nib_sync_op){ NIB_SYNC_SIGNAL, fence[2], 0 };
	job = (struct nib_job){
		.queue_id = second, .stream_id = after, .syncs = NIB_OBJ_ARRAY(2, syncs),
	};
	OK(submit_jobs(g.fd, &job, 1));
	printf("ready\n");
	fflush(stdout);
	begin = now_ns();
	for (i = 0; i < 3; i++) {
		OK(syncobj_wait(g.fd, fence[i], 30000));
		EXPECT(fence_status(g.fd, fence[i]), -ENODEV);
	}
	printf("lost after %" PRIu64 " ms\n", (now_ns() - begin) / 1000000);
	EXPECT(submit(g.fd, second, after, fence[3]), -ENODEV);
	EXPECT(vm_create(g.fd, &i), -ENODEV);
	EXPECT(bo_create(g.fd, 4096, NIB_BO_HOST, &i), -ENODEV);
	EXPECT(vm_unmap(g.fd, g.vm, VA, 4096), -ENODEV);
	close(g.fd);
	return 0;
}
