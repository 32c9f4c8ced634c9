/* SPDX-License-Identifier: MIT */
/*
 * A job that never ends: the watchdog resets its queue and nothing else. A job that is only slow to
 * start, because others are in front of it, is left alone.
 */
#include "guest.h"

#define VA	0x100000000ull

int main(void)
{
	struct guest g = guest_begin();
	uint32_t other, fence[4], hang, good, i;
	struct nib_queue_get_state state;
	struct stream s = { 0 };
	uint64_t begin;

	munmap(guest_buffer(&g, VA, 4096, NIB_BO_HBM), 4096);
	packet(&s, NIB_OP_NOP, 0, 0);
	packet_sem(&s, VA, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	hang = stream_create(g.fd, g.vm, &s);
	s.count = 0;
	packet_fill(&s, VA + 8, 1, 1);
	packet_end(&s);
	good = stream_create(g.fd, g.vm, &s);
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &other));

	watchdog_set(1000);
	for (i = 0; i < 4; i++)
		fence[i] = syncobj(g.fd);
	begin = now_ns();
	OK(submit(g.fd, g.queue, hang, fence[0]));
	OK(submit(g.fd, g.queue, good, fence[1]));
	/* The other queue works while this one hangs. */
	while (now_ns() - begin < 500000000ull) {
		OK(submit(g.fd, other, good, fence[2]));
		OK(syncobj_wait(g.fd, fence[2], 20000));
		EXPECT(fence_status(g.fd, fence[2]), 1);
	}
	OK(syncobj_wait(g.fd, fence[0], 20000));
	CHECK(now_ns() - begin > 900000000ull);
	OK(syncobj_wait(g.fd, fence[1], 20000));
	EXPECT(fence_status(g.fd, fence[0]), -ETIMEDOUT);
	EXPECT(fence_status(g.fd, fence[1]), -ECANCELED);
	state = queue_state(g.fd, g.queue);
	EQUAL(state.state, NIB_QUEUE_STATE_GUILTY | NIB_QUEUE_STATE_BANNED);
	EQUAL(state.fault_status, NIB_DONE_CANCELLED);
	EXPECT(submit(g.fd, g.queue, good, fence[1]), -ECANCELED);

	OK(submit(g.fd, other, good, fence[3]));
	OK(syncobj_wait(g.fd, fence[3], 20000));
	EXPECT(fence_status(g.fd, fence[3]), 1);
	EQUAL(queue_state(g.fd, other).state, 0);
	/* The device works as before. */
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &i));
	OK(submit(g.fd, i, good, fence[3]));
	OK(syncobj_wait(g.fd, fence[3], 20000));
	EXPECT(fence_status(g.fd, fence[3]), 1);
	return 0;
}
