/* SPDX-License-Identifier: MIT */
/*
 * The core dump of a job that hangs: it says which packet does not end, while the job is still in
 * its queue with what is behind it; and it is taken before the queue is reset.
 */
#include "dumps.h"

#define VA	0x100000000ull

int main(void)
{
	struct guest g;
	const struct nib_dump_section *section;
	const struct nib_dump_reason *reason;
	const struct nib_dump_queue *queue;
	const struct nib_dump_job *job;
	uint32_t fence[2], hang, behind;
	struct stream s = { 0 };
	struct dump dump;
	uint64_t *at;
	int i;

	dump_drop();
	g = guest_begin();
	OK(bo_create(g.fd, 4096, NIB_BO_HBM, &behind));
	OK(vm_map(g.fd, g.vm, behind, 0, VA, 4096, NIB_VM_BIND_OP_DUMPABLE));
	at = bo_map(g.fd, behind, 4096);
	at[2] = 6;
	packet_fill(&s, VA, 1, 1);
	packet(&s, NIB_OP_NOP, 0, 0);
	packet_sem(&s, VA + 16, 7, NIB_SEM_WAIT_GE);
	packet_end(&s);
	hang = stream_create(g.fd, g.vm, &s);
	s.count = 0;
	packet_fill(&s, VA + 8, 1, 1);
	packet_end(&s);
	behind = stream_create(g.fd, g.vm, &s);

	watchdog_set(1000);
	for (i = 0; i < 2; i++)
		fence[i] = syncobj(g.fd);
	OK(submit(g.fd, g.queue, hang, fence[0]));
	OK(submit(g.fd, g.queue, behind, fence[1]));
	OK(syncobj_wait(g.fd, fence[0], 60000));
	EXPECT(fence_status(g.fd, fence[0]), -ETIMEDOUT);

	dump = dump_take();
	dump_check_header(&dump);
	reason = (const void *)(dump_section(&dump, NIB_DUMP_REASON) + 1);
	EQUAL(reason->status, NIB_DONE_CANCELLED);
	EQUAL(reason->packet, 2);
	EQUAL(reason->stream, hang);
	queue = (const void *)(dump_section(&dump, NIB_DUMP_QUEUE) + 1);
	EQUAL(queue->queue, reason->queue);
	EQUAL(queue->flags, NIB_DUMP_QUEUE_GUILTY);
	EQUAL(queue->tail, queue->head + 2);
	CHECK(queue->status.running != NIB_QUEUE_IDLE);
	EQUAL(queue->status.job_packets, 2);
	section = dump_section(&dump, NIB_DUMP_JOBS);
	job = (const void *)(section + 1);
	EQUAL(section->bytes, 2 * sizeof(*job));
	EQUAL(job[0].entry.stream, hang);
	EQUAL(job[1].entry.stream, behind);
	section = dump_section(&dump, NIB_DUMP_MEMORY);
	EQUAL(((const uint64_t *)(section + 1))[2 + 2], 6);
	if (!access("/share", W_OK))
		dump_save(&dump, "hang");
	dump_drop();
	free(dump.data);
	return 0;
}
