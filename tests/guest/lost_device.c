/* SPDX-License-Identifier: MIT */
/*
 * The device disappears in the middle of a job, for good: its process ends at once. Fences end with
 * ENODEV, calls say ENODEV, and nothing hangs. Not part of run-all: it needs a guest of its own.
 */
#include "control.h"

#define VA	0x100000000ull

int main(void)
{
	struct guest g;
	uint32_t hang, behind, fence[2], vm;
	struct stream s = { 0 };
	uint64_t begin;

	control_open();
	g = guest_begin();
	munmap(guest_buffer(&g, VA, 4096, NIB_BO_HBM), 4096);
	packet_sem(&s, VA, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	hang = stream_create(g.fd, g.vm, &s);
	s.count = 0;
	packet_fill(&s, VA + 8, 1, 1);
	packet_end(&s);
	behind = stream_create(g.fd, g.vm, &s);
	fence[0] = syncobj(g.fd);
	fence[1] = syncobj(g.fd);
	OK(submit(g.fd, g.queue, hang, fence[0]));
	OK(submit(g.fd, g.queue, behind, fence[1]));
	begin = now_ns();
	/* The device has both. */
	while (!strstr(control("{\"status\":true}"), "\"rung\":2,\"done\":0"))
		usleep(1000);
	control_tell("{\"remove\":true}");
	OK(syncobj_wait(g.fd, fence[0], 60000));
	OK(syncobj_wait(g.fd, fence[1], 10000));
	printf("fences after %.1f s: %s, %s\n", (double)(now_ns() - begin) * 1e-9,
	       strerror(-fence_status(g.fd, fence[0])), strerror(-fence_status(g.fd, fence[1])));
	EXPECT(fence_status(g.fd, fence[0]), -ENODEV);
	CHECK(fence_status(g.fd, fence[1]) == -ENODEV || fence_status(g.fd, fence[1]) == -ECANCELED);
	EXPECT(submit(g.fd, g.queue, behind, fence[1]), -ENODEV);
	EXPECT(vm_create(g.fd, &vm), -ENODEV);
	return 0;
}
