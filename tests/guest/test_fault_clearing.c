/* SPDX-License-Identifier: MIT */
/*
 * Faults of the driver's own jobs, which zero memory before a client sees it: they are done again,
 * and neither is a buffer handed out that is not zero, nor the device given up.
 */
#include "fault.h"

#define BYTES	(8 * MIB)	/* more than the CPU would zero */

static int fd;

static void expect_zeroed_buffers(void)
{
	uint32_t bo, i;
	uint64_t *mem;

	for (i = 0; i < 3; i++) {
		OK(bo_create(fd, BYTES, NIB_BO_HBM, &bo));
		mem = bo_map(fd, bo, BYTES);
		for (uint64_t at = 0; at < BYTES / 8; at++)
			EQUAL(mem[at], 0);
		/* What the next one is not to see. */
		memset(mem, 0x5a, BYTES);
		munmap(mem, BYTES);
		OK(bo_close(fd, bo));
	}
}

/* Queue 0 is the driver's. */
static void fault(const char *name, const char *how)
{
	int64_t before = control_struck(name);

	control("{\"inject\":\"%s\",\"queue\":0%s}", name, how);
	expect_zeroed_buffers();
	CHECK(control_struck(name) > before);
	EQUAL(query_device(fd).wedged, 0);
}

int main(void)
{
	struct worker w;

	control_open();
	fd = guest_open();
	w = worker_begin(fd);
	watchdog_set(500);
	RUN(fault("lost-interrupt", ""));
	RUN(fault("dead-doorbell", ""));
	RUN(fault("mmu-fault", ""));
	RUN(fault("duplicate-completion", ""));
	RUN(fault("corrupt-completion", ",\"field\":\"seqno\""));
	RUN(fault("corrupt-completion", ",\"field\":\"status\""));
	RUN(fault("corrupt-completion", ",\"field\":\"phase\""));
	RUN(fault("corrupt-completion", ",\"field\":\"seqno\",\"count\":2"));
	RUN(fault("stuck-packet", ",\"rung\":\"queue\""));
	RUN(fault("stuck-packet", ",\"rung\":\"engine\""));
	RUN(fault("stuck-packet", ",\"rung\":\"firmware\""));
	OK(worker_run(&w, 1));
	EQUAL(queue_state(fd, w.queue).state, 0);
	return 0;
}
