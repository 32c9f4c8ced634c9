/* SPDX-License-Identifier: MIT */
/*
 * Explicit synchronisation: binary syncobjs and timelines, waits and signals of jobs and of binds,
 * dependencies inside a call, waits for what nobody has signalled yet. Each job copies what the one
 * before it wrote, so that the end tells the order.
 */
#include "guest.h"

#define VA	0x100000000ull

static struct guest g;
static uint32_t queue2, *mem;

static uint64_t word(unsigned int i)
{
	return VA + i * 4;
}

/* A stream that sets word @to to @value. */
static uint32_t set(unsigned int to, uint32_t value)
{
	struct stream s = { 0 };

	packet_fill(&s, word(to), 1, value);
	packet_end(&s);
	return stream_create(g.fd, g.vm, &s);
}

/* A stream that copies word @from to @to. */
static uint32_t copy(unsigned int from, unsigned int to)
{
	struct stream s = { 0 };

	packet_copy(&s, word(from), word(to), 1);
	packet_end(&s);
	return stream_create(g.fd, g.vm, &s);
}

static struct nib_job job(uint32_t queue, uint32_t stream, struct nib_sync_op *syncs,
			  uint32_t count)
{
	struct nib_job j = { .queue_id = queue, .stream_id = stream };

	j.syncs = (struct nib_obj_array){
		.stride = sizeof(*syncs), .count = count, .array = (uintptr_t)syncs,
	};
	return j;
}

/* A job that holds its queue until mem[0] says go: the clock of these tests. */
static uint32_t gate(void)
{
	struct stream s = { 0 };

	packet_sem(&s, VA, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	return stream_create(g.fd, g.vm, &s);
}

static void gate_open(void)
{
	*(volatile uint64_t *)mem = 1;
}

static void reset(void)
{
	memset(mem, 0, 4096);
}

/* Queue 2 copies what queue 1 wrote, by a timeline, while queue 1 is held back. */
static void check_cross_queue(void)
{
	uint32_t t = syncobj(g.fd), closed = gate();
	struct nib_sync_op first = { NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE, t, 5 };
	struct nib_sync_op second[] = {
		{ NIB_SYNC_WAIT | NIB_SYNC_TIMELINE, t, 5 },
		{ NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE, t, 9 },
	};
	struct nib_job jobs[] = {
		job(g.queue, closed, NULL, 0),
		job(g.queue, set(10, 1234), &first, 1),
	};
	struct nib_job wait = job(queue2, copy(10, 11), second, 2);

	reset();
	OK(submit_jobs(g.fd, jobs, 2));
	OK(submit_jobs(g.fd, &wait, 1));
	EXPECT(timeline_wait(g.fd, t, 5, 50, 0), -ETIME);
	gate_open();
	OK(timeline_wait(g.fd, t, 9, 20000, 0));
	EQUAL(mem[11], 1234);
	drmSyncobjDestroy(g.fd, t);
}

/* The same in one call: a job may wait for what an earlier one of the call signals. */
static void check_one_call(bool timeline)
{
	uint32_t flag = timeline ? NIB_SYNC_TIMELINE : 0, i;
	uint32_t a = syncobj(g.fd), b = syncobj(g.fd);
	struct nib_sync_op s0 = { NIB_SYNC_SIGNAL | flag, a, timeline ? 3 : 0 };
	struct nib_sync_op s1[] = {
		/* A later point than waited for will do. */
		{ NIB_SYNC_WAIT | flag, a, timeline ? 2 : 0 },
		{ NIB_SYNC_SIGNAL | flag, a, timeline ? 4 : 0 },
	};
	struct nib_sync_op s2[] = {
		{ NIB_SYNC_WAIT | flag, a, timeline ? 4 : 0 },
		{ NIB_SYNC_SIGNAL, b, 0 },
	};
	struct nib_job jobs[] = {
		job(g.queue, gate(), NULL, 0),
		job(g.queue, set(20, 77), &s0, 1),
		job(queue2, copy(20, 21), s1, 2),
		job(g.queue, copy(21, 22), s2, 2),
	};

	for (i = 0; i < 3; i++) {
		reset();
		OK(submit_jobs(g.fd, jobs, 4));
		gate_open();
		OK(syncobj_wait(g.fd, b, 20000));
		EQUAL(mem[22], 77);
	}
	drmSyncobjDestroy(g.fd, a);
	drmSyncobjDestroy(g.fd, b);
}

/* A wait for a point that nobody has promised is refused; users wait until it is available. */
static void check_wait_before_signal(void)
{
	uint32_t t = syncobj(g.fd), done = syncobj(g.fd);
	struct nib_sync_op waits[] = {
		{ NIB_SYNC_WAIT | NIB_SYNC_TIMELINE, t, 1 },
		{ NIB_SYNC_SIGNAL, done, 0 },
	};
	struct nib_sync_op signal = { NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE, t, 1 };
	struct nib_job later = job(queue2, copy(30, 31), waits, 2);
	struct nib_job first[] = {
		job(g.queue, gate(), NULL, 0), job(g.queue, set(30, 5), &signal, 1),
	};

	reset();
	EXPECT(submit_jobs(g.fd, &later, 1), -EINVAL);
	EXPECT(timeline_wait(g.fd, t, 1, 20, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE), -ETIME);
	OK(submit_jobs(g.fd, first, 2));
	OK(timeline_wait(g.fd, t, 1, 0, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE));
	OK(submit_jobs(g.fd, &later, 1));
	gate_open();
	OK(syncobj_wait(g.fd, done, 20000));
	EQUAL(mem[31], 5);
	drmSyncobjDestroy(g.fd, t);
	drmSyncobjDestroy(g.fd, done);
}

/* A call that is refused has done nothing: no job ran, no syncobj changed. */
static void check_all_or_nothing(void)
{
	uint32_t a = syncobj(g.fd);
	struct nib_sync_op signal = { NIB_SYNC_SIGNAL, a, 0 };
	struct nib_sync_op bad = { NIB_SYNC_WAIT, 4242, 0 };
	struct nib_job jobs[] = {
		job(g.queue, set(40, 1), &signal, 1), job(g.queue, set(41, 1), &bad, 1),
	};

	reset();
	EXPECT(submit_jobs(g.fd, jobs, 2), -ENOENT);
	EXPECT(syncobj_wait(g.fd, a, 50), -EINVAL);
	/* What comes next on the queue works, and those jobs never came. */
	jobs[1] = job(g.queue, set(42, 1), &signal, 1);
	OK(submit_jobs(g.fd, &jobs[1], 1));
	OK(syncobj_wait(g.fd, a, 20000));
	EQUAL(mem[40], 0);
	EQUAL(mem[41], 0);
	EQUAL(mem[42], 1);
	drmSyncobjDestroy(g.fd, a);
}

/* As many syncs as a call may have, and one more: it takes them, or says so, and neither takes long. */
static void check_many_syncs(void)
{
	enum { JOBS = NIB_MAX_BATCH / NIB_MAX_ARRAY };
	struct nib_sync_op *syncs = calloc(NIB_MAX_BATCH, sizeof(*syncs));
	uint32_t t = syncobj(g.fd), done = syncobj(g.fd), stream = set(60, 1), i;
	struct nib_sync_op last = { NIB_SYNC_SIGNAL, done, 0 };
	struct nib_job jobs[JOBS + 1];

	CHECK(syncs);
	for (i = 0; i < NIB_MAX_BATCH; i++)
		syncs[i] = (struct nib_sync_op){ NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE, t, i + 1 };
	for (i = 0; i < JOBS; i++)
		jobs[i] = job(i % 2 ? queue2 : g.queue, stream, syncs + i * NIB_MAX_ARRAY,
			      NIB_MAX_ARRAY);
	jobs[JOBS] = job(g.queue, stream, &last, 1);
	EXPECT(submit_jobs(g.fd, jobs, JOBS + 1), -EINVAL);
	OK(submit_jobs(g.fd, jobs, JOBS));
	OK(timeline_wait(g.fd, t, NIB_MAX_BATCH, 60000, 0));
	drmSyncobjDestroy(g.fd, t);
	drmSyncobjDestroy(g.fd, done);
	free(syncs);
}

/* More jobs than the ring has entries: the rest waits in the kernel, in order. */
static void check_full_ring(void)
{
	uint32_t count = query_device(g.fd).max_ring_jobs * 3, i, done = syncobj(g.fd);
	struct nib_sync_op signal = { NIB_SYNC_SIGNAL, done, 0 };
	struct nib_job *jobs = calloc(count, sizeof(*jobs));
	struct stream s = { 0 };
	uint32_t shift;

	/* The word behind the gate counts the jobs, if all of them come. */
	packet(&s, NIB_OP_SEM, 0, 3, VA + 512, W(1), W(NIB_SEM_ADD));
	packet_end(&s);
	shift = stream_create(g.fd, g.vm, &s);
	reset();
	for (i = 0; i < count; i++)
		jobs[i] = job(g.queue, shift, NULL, 0);
	jobs[0] = job(g.queue, gate(), NULL, 0);
	jobs[count - 1] = job(g.queue, shift, &signal, 1);
	OK(submit_jobs(g.fd, jobs, count));
	gate_open();
	OK(syncobj_wait(g.fd, done, 30000));
	EQUAL(mem[128], count - 1);
	EQUAL(queue_state(g.fd, g.queue).state, 0);
	free(jobs);
	drmSyncobjDestroy(g.fd, done);
}

/* What has nothing to wait for still comes after what was submitted to the queue before it. */
static void check_no_overtaking(void)
{
	uint32_t go = syncobj(g.fd), done = syncobj(g.fd);
	struct nib_sync_op signal_go = { NIB_SYNC_SIGNAL, go, 0 }, wait_go = { NIB_SYNC_WAIT, go, 0 };
	struct nib_sync_op signal = { NIB_SYNC_SIGNAL, done, 0 };
	struct nib_job release = job(queue2, gate(), &signal_go, 1);
	struct nib_job held = job(g.queue, copy(70, 71), &wait_go, 1);
	struct nib_job ready = job(g.queue, set(70, 9), &signal, 1);

	reset();
	mem[70] = 4;
	OK(submit_jobs(g.fd, &release, 1));
	OK(submit_jobs(g.fd, &held, 1));
	OK(submit_jobs(g.fd, &ready, 1));
	EXPECT(syncobj_wait(g.fd, done, 50), -ETIME);
	gate_open();
	OK(syncobj_wait(g.fd, done, 20000));
	EQUAL(mem[71], 4);
	EQUAL(mem[70], 9);
	drmSyncobjDestroy(g.fd, go);
	drmSyncobjDestroy(g.fd, done);
}

/* Binds wait for jobs and jobs for binds; binds of a VM keep their order even if one must wait. */
static void check_async_bind(void)
{
	const uint64_t va = 0x500000000ull;
	uint32_t bo, go = syncobj(g.fd), bound = syncobj(g.fd), done = syncobj(g.fd);
	struct nib_sync_op signal_go = { NIB_SYNC_SIGNAL, go, 0 };
	struct nib_sync_op bind_syncs[] = {
		{ NIB_SYNC_WAIT, go, 0 },
	};
	struct nib_sync_op last_sync = { NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE, bound, 1 };
	struct nib_sync_op run_syncs[] = {
		{ NIB_SYNC_WAIT | NIB_SYNC_TIMELINE, bound, 1 }, { NIB_SYNC_SIGNAL, done, 0 },
	};
	struct nib_vm_bind_op ops[] = {
		{ .flags = NIB_VM_BIND_OP_MAP, .va = va, .size = 2 * MIB,
		  .syncs = NIB_OBJ_ARRAY(1, bind_syncs) },
		{ .flags = NIB_VM_BIND_OP_UNMAP, .va = va, .size = 4096 },
		{ .flags = NIB_VM_BIND_OP_MAP, .bo_offset = 2 * MIB, .va = va, .size = 4096 },
		{ .flags = NIB_VM_BIND_OP_SYNC_ONLY, .syncs = NIB_OBJ_ARRAY(1, &last_sync) },
	};
	struct nib_vm_bind args = {
		.vm_id = g.vm, .flags = NIB_VM_BIND_ASYNC, .ops = NIB_OBJ_ARRAY(4, ops),
	};
	struct nib_job release = job(queue2, gate(), &signal_go, 1), run;
	struct stream s = { 0 };
	uint32_t *p;

	reset();
	OK(bo_create(g.fd, 4 * MIB, NIB_BO_HBM, &bo));
	p = bo_map(g.fd, bo, 4 * MIB);
	p[0] = 1;
	p[1024] = 2;
	p[2 * MIB / 4] = 3;
	ops[0].bo_handle = bo;
	ops[2].bo_handle = bo;
	packet_copy(&s, va, word(60), 1);
	packet_copy(&s, va + 4096, word(61), 1);
	packet_end(&s);
	run = job(g.queue, stream_create(g.fd, g.vm, &s), run_syncs, 2);

	OK(submit_jobs(g.fd, &release, 1));
	OK(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_BIND, &args));
	OK(submit_jobs(g.fd, &run, 1));
	/* The buffer's handle may go; the bind holds it. */
	OK(bo_close(g.fd, bo));
	EXPECT(timeline_wait(g.fd, bound, 1, 50, 0), -ETIME);
	gate_open();
	OK(syncobj_wait(g.fd, done, 20000));
	EQUAL(mem[60], 3);
	EQUAL(mem[61], 2);
	munmap(p, 4 * MIB);
	OK(vm_unmap(g.fd, g.vm, va, 2 * MIB));
}

int main(void)
{
	g = guest_begin();
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue2));
	mem = guest_buffer(&g, VA, 64 * KIB, NIB_BO_HOST);
	check_cross_queue();
	check_one_call(false);
	check_one_call(true);
	check_wait_before_signal();
	check_all_or_nothing();
	check_many_syncs();
	check_full_ring();
	check_no_overtaking();
	check_async_bind();
	return 0;
}
