/* SPDX-License-Identifier: MIT */
/*
 * A job that faults: its fence carries the error, its queue is dead and says why, jobs behind it
 * are dropped, other queues, and other VMs' queues, go on.
 */
#include "guest.h"

#define VA	0x100000000ull
#define BAD	0x7770000000ull

static struct guest g;

static void expect_dead(uint32_t queue, uint32_t status, uint32_t packet, uint64_t va)
{
	struct nib_queue_get_state state = queue_state(g.fd, queue);
	struct stream s = { 0 };
	uint32_t done = syncobj(g.fd), id;

	EQUAL(state.state, NIB_QUEUE_STATE_GUILTY | NIB_QUEUE_STATE_BANNED);
	EQUAL(state.fault_status, status);
	EQUAL(state.fault_packet, packet);
	EQUAL(state.fault_va, va);
	/* It takes no more jobs. */
	packet_end(&s);
	id = stream_create(g.fd, g.vm, &s);
	EXPECT(submit(g.fd, queue, id, done), -ECANCELED);
	OK(stream_destroy(g.fd, g.vm, id));
	drmSyncobjDestroy(g.fd, done);
}

/* One faulting stream in a queue of its own. */
static void check_fault(const struct stream *s, int error, uint32_t status, uint32_t packet,
			uint64_t va)
{
	uint32_t queue;

	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
	EXPECT(run_stream(g.fd, g.vm, queue, s), error);
	expect_dead(queue, status, packet, va);
	OK(queue_destroy(g.fd, queue));
}

static void check_kinds(void)
{
	struct stream s;

	s.count = 0;
	packet_fill(&s, VA, 4, 1);
	packet_fill(&s, BAD, 4, 1);
	packet_end(&s);
	check_fault(&s, -EFAULT, NIB_DONE_FAULT_WRITE, 1, BAD);

	s.count = 0;
	packet_copy(&s, BAD + 64, VA, 4);
	packet_end(&s);
	check_fault(&s, -EFAULT, NIB_DONE_FAULT_READ, 0, BAD + 64);
}

/* Arguments that make a stream impossible. */
static void check_arguments(void)
{
	uint64_t args[2] = { VA + 2, 1 };
	struct nib_sync_op sync = { .flags = NIB_SYNC_SIGNAL, .handle = syncobj(g.fd) };
	struct nib_job job = {
		.nargs = 2, .args = (uintptr_t)args, .syncs = NIB_OBJ_ARRAY(1, &sync),
	};
	struct nib_queue_get_state state;
	struct stream s = { 0 };

	packet(&s, NIB_OP_FILL, 0x3, 3, NIB_ARG(0, 0), NIB_ARG(1, 0), W(9));
	packet_end(&s);
	job.stream_id = stream_create(g.fd, g.vm, &s);

	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &job.queue_id));
	OK(submit_jobs(g.fd, &job, 1));
	OK(syncobj_wait(g.fd, sync.handle, 20000));
	EXPECT(fence_status(g.fd, sync.handle), -EINVAL);
	state = queue_state(g.fd, job.queue_id);
	EQUAL(state.fault_status, NIB_DONE_FAULT_ALIGN);
	OK(queue_destroy(g.fd, job.queue_id));

	args[0] = VA;
	args[1] = 1ull << 40;
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &job.queue_id));
	OK(submit_jobs(g.fd, &job, 1));
	OK(syncobj_wait(g.fd, sync.handle, 20000));
	EXPECT(fence_status(g.fd, sync.handle), -EINVAL);
	EQUAL(queue_state(g.fd, job.queue_id).fault_status, NIB_DONE_FAULT_VALUE);
	OK(queue_destroy(g.fd, job.queue_id));

	/* A count of zero is nothing to do, whatever the address. */
	args[0] = BAD;
	args[1] = 0;
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &job.queue_id));
	OK(submit_jobs(g.fd, &job, 1));
	OK(syncobj_wait(g.fd, sync.handle, 20000));
	EXPECT(fence_status(g.fd, sync.handle), 1);
	OK(queue_destroy(g.fd, job.queue_id));
}

/* A stats_va that is not mapped is the job's fault. */
static void check_stats(uint32_t *mem)
{
	struct nib_sync_op sync = { .flags = NIB_SYNC_SIGNAL, .handle = syncobj(g.fd) };
	struct nib_job job = { .stats_va = VA + 1024, .syncs = NIB_OBJ_ARRAY(1, &sync) };
	const struct nib_completion *done = (const void *)(mem + 256);
	struct stream s = { 0 };

	packet_fill(&s, VA, 1024 / 4, 1);
	packet_end(&s);
	job.stream_id = stream_create(g.fd, g.vm, &s);
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &job.queue_id));
	OK(submit_jobs(g.fd, &job, 1));
	OK(syncobj_wait(g.fd, sync.handle, 20000));
	EXPECT(fence_status(g.fd, sync.handle), 1);
	EQUAL(done->status, NIB_DONE_OK);
	EQUAL(done->packet, 2);
	CHECK(done->end_ns >= done->start_ns && done->cycles && done->energy_pj);
	EQUAL(done->hbm_write + done->host_write + done->sram_write, 1024);

	job.stats_va = BAD;
	OK(submit_jobs(g.fd, &job, 1));
	OK(syncobj_wait(g.fd, sync.handle, 20000));
	EXPECT(fence_status(g.fd, sync.handle), -EFAULT);
	EQUAL(queue_state(g.fd, job.queue_id).fault_va, BAD);
	OK(queue_destroy(g.fd, job.queue_id));
}

/* Those behind it are dropped; a queue of the same VM, and one of another, never notice. */
static void check_neighbours(void)
{
	enum { JOBS = 8 };
	uint32_t vm2, other, foreign, queue, i, fences[JOBS], ok[2];
	struct stream bad = { 0 }, good = { 0 };
	struct nib_sync_op syncs[JOBS];
	struct nib_job jobs[JOBS];
	uint32_t bad_id, good_id, foreign_id;

	packet_fill(&bad, BAD, 1, 1);
	packet_end(&bad);
	packet(&good, NIB_OP_NOP, 0, 0);
	packet_end(&good);
	bad_id = stream_create(g.fd, g.vm, &bad);
	good_id = stream_create(g.fd, g.vm, &good);
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &other));
	OK(vm_create(g.fd, &vm2));
	OK(queue_create(g.fd, vm2, NIB_PRIORITY_NORMAL, &foreign));
	foreign_id = stream_create(g.fd, vm2, &good);

	for (i = 0; i < JOBS; i++) {
		fences[i] = syncobj(g.fd);
		syncs[i] = (struct nib_sync_op){ NIB_SYNC_SIGNAL, fences[i], 0 };
		jobs[i] = (struct nib_job){
			.queue_id = queue, .stream_id = i == 2 ? bad_id : good_id,
			.syncs = NIB_OBJ_ARRAY(1, &syncs[i]),
		};
	}
	OK(submit_jobs(g.fd, jobs, JOBS));
	for (i = 0; i < 2; i++) {
		ok[i] = syncobj(g.fd);
		OK(submit(g.fd, i ? foreign : other, i ? foreign_id : good_id, ok[i]));
	}
	for (i = 0; i < JOBS; i++) {
		OK(syncobj_wait(g.fd, fences[i], 20000));
		EXPECT(fence_status(g.fd, fences[i]), i < 2 ? 1 : i == 2 ? -EFAULT : -ECANCELED);
	}
	for (i = 0; i < 2; i++) {
		OK(syncobj_wait(g.fd, ok[i], 20000));
		EXPECT(fence_status(g.fd, ok[i]), 1);
		EQUAL(queue_state(g.fd, i ? foreign : other).state, 0);
	}
	EQUAL(queue_state(g.fd, queue).state, NIB_QUEUE_STATE_GUILTY | NIB_QUEUE_STATE_BANNED);
	/* And they go on. */
	OK(submit(g.fd, other, good_id, ok[0]));
	OK(syncobj_wait(g.fd, ok[0], 20000));
	EXPECT(fence_status(g.fd, ok[0]), 1);
	OK(queue_destroy(g.fd, queue));
	OK(queue_destroy(g.fd, other));
	OK(queue_destroy(g.fd, foreign));
	OK(vm_destroy(g.fd, vm2));
}

/* Unmapping takes effect on streams that are already there. */
static void check_unmapped_later(void)
{
	struct stream s = { 0 };
	uint32_t id, done = syncobj(g.fd);

	packet_fill(&s, VA + 4096, 1, 1);
	packet_end(&s);
	id = stream_create(g.fd, g.vm, &s);
	OK(submit(g.fd, g.queue, id, done));
	OK(syncobj_wait(g.fd, done, 20000));
	EXPECT(fence_status(g.fd, done), 1);
	OK(vm_unmap(g.fd, g.vm, VA + 4096, 4096));
	OK(submit(g.fd, g.queue, id, done));
	OK(syncobj_wait(g.fd, done, 20000));
	EXPECT(fence_status(g.fd, done), -EFAULT);
}

int main(void)
{
	uint32_t *mem;

	g = guest_begin();
	mem = guest_buffer(&g, VA, 64 * KIB, NIB_BO_HBM);
	check_kinds();
	check_arguments();
	check_stats(mem);
	check_neighbours();
	check_unmapped_later();
	return 0;
}
