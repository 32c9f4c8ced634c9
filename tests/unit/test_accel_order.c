// SPDX-License-Identifier: MIT
/*
 * Conformance of a transport, second part: who waits for whom, what jobs cost, and how failure
 * travels. See accel_rig.h.
 */
#include "accel_rig.h"

/* --- Timelines --- */

static void test_timeline_cpu(void)
{
	struct accel_timeline *timeline;
	uint64_t value;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 41, &timeline));
	EXPECT_ERR(0, accel_timeline_query(timeline, &value));
	EXPECT(value == 41);
	EXPECT_ERR(0, accel_timeline_wait(timeline, 41, 0));
	EXPECT_ERR(0, accel_timeline_wait(timeline, 3, UINT64_MAX));
	EXPECT_ERR(-EINVAL, accel_timeline_signal(timeline, 41));
	EXPECT_ERR(0, accel_timeline_signal(timeline, 50));
	EXPECT_ERR(0, accel_timeline_wait(timeline, 45, 0));
	EXPECT_ERR(0, accel_timeline_query(timeline, &value));
	EXPECT(value == 50);
	accel_timeline_destroy(timeline);
	accel_timeline_destroy(NULL);
}

/* Nobody can signal while the only thread waits. */
static void test_timeline_deadlock(void)
{
	EXPECT_ERR(-ETIME, accel_timeline_wait(rig.timeline, 1, 0));
	EXPECT_ERR(-ETIME, accel_timeline_wait(rig.timeline, 1, LONG));
	EXPECT_ERR(-EDEADLK, accel_timeline_wait(rig.timeline, 1, UINT64_MAX));
	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 1 }, .wait = { rig.timeline, 1 }));
	EXPECT_ERR(-ETIME, accel_queue_sync(rig.queue, LONG));
	EXPECT_ERR(-EDEADLK, accel_queue_sync(rig.queue, UINT64_MAX));
	EXPECT_ERR(0, accel_timeline_signal(rig.timeline, 1));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	EXPECT(word_is(0, 1));
}

static void test_timeline_job_waits_for_cpu(void)
{
	struct accel_timeline *done;
	uint64_t value;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &done));
	EXPECT_ERR(0, SUBMIT(.args = {AT(0), 1}, .wait = {rig.timeline, 5}, .signal = {done, 1}));
	/* Behind it in the queue, though it waits for nothing. */
	EXPECT_ERR(0, SUBMIT(.args = { AT(1), 1 }, .signal = { done, 2 }));
	/* Another queue goes on. */
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(2), 1 }));
	EXPECT_ERR(0, accel_queue_sync(rig.other, LONG));
	EXPECT(word_is(2, 1));
	EXPECT_ERR(-ETIME, accel_timeline_wait(done, 1, 1000000));
	EXPECT(rig.words[0] == 0 && rig.words[1] == 0);
	EXPECT_ERR(0, accel_timeline_query(done, &value));
	EXPECT(value == 0);
	EXPECT_ERR(0, accel_timeline_signal(rig.timeline, 4));
	EXPECT_ERR(-ETIME, accel_timeline_wait(done, 1, 1000000));
	EXPECT(rig.words[0] == 0);
	/* A point that a job owes is not the CPU's. */
	EXPECT_ERR(-EINVAL, accel_timeline_signal(done, 2));
	EXPECT_ERR(-EBUSY, accel_timeline_signal(done, 3));
	EXPECT_ERR(0, accel_timeline_signal(rig.timeline, 6));
	EXPECT_ERR(0, accel_timeline_wait(done, 2, LONG));
	EXPECT(word_is(0, 1) && word_is(1, 1));
	accel_timeline_destroy(done);
}

static void test_timeline_across_queues(void)
{
	uint32_t i;

	/* Handed over in order ... */
	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 7 }, .signal = { rig.timeline, 1 }));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .stream = rig.copy, .args = { AT(0), AT(1), 2 },
			     .wait = { rig.timeline, 1 }, .signal = { rig.timeline, 2 }));
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, 2, LONG));
	EXPECT(word_is(1, 7));
	/* ... and a ladder between two queues. */
	for (i = 0; i < 40; i++)
		EXPECT_ERR(0, SUBMIT(.queue = i & 1 ? rig.other : rig.queue, .stream = rig.copy,
				     .args = { AT(1 + i), AT(2 + i), 2 },
				     .wait = { rig.timeline, 2 + i },
				     .signal = { rig.timeline, 3 + i }));
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, 42, LONG));
	EXPECT(word_is(41, 7));
}

/* The waiting job comes first; who signals is submitted later. */
static void test_timeline_wait_before_promise(void)
{
	struct accel_timeline *done;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &done));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .stream = rig.copy, .args = { AT(0), AT(1), 2 },
			     .wait = { rig.timeline, 1 }, .signal = { done, 1 }));
	EXPECT_ERR(-ETIME, accel_timeline_wait(done, 1, 1000000));
	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 9 }, .signal = { rig.timeline, 1 }));
	EXPECT_ERR(0, accel_timeline_wait(done, 1, LONG));
	EXPECT(word_is(1, 9));
	accel_timeline_destroy(done);
}

/* A point is reached when those before it are over too, whichever queue they come from. */
static void test_timeline_two_sources(void)
{
	struct accel_timeline *gate;
	uint64_t value;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &gate));
	EXPECT_ERR(0, SUBMIT(.args = {AT(0), 1}, .wait = {gate, 1}, .signal = {rig.timeline, 1}));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = {AT(1), 1}, .signal = {rig.timeline, 2}));
	EXPECT_ERR(0, accel_queue_sync(rig.other, LONG));
	EXPECT(word_is(1, 1));
	EXPECT_ERR(0, accel_timeline_query(rig.timeline, &value));
	EXPECT(value == 0);
	EXPECT_ERR(-ETIME, accel_timeline_wait(rig.timeline, 2, 1000000));
	EXPECT_ERR(0, accel_timeline_signal(gate, 1));
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, 2, LONG));
	EXPECT(word_is(0, 1));
	accel_timeline_destroy(gate);
}

/* Full of jobs that wait for the CPU. */
static void test_timeline_full_and_blocked(void)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	uint32_t i;

	EXPECT_ERR(0, accel_device_query(rig.device, &info));
	for (i = 0; i < info.max_jobs; i++)
		EXPECT_ERR(0, SUBMIT(.args = { AT(0), i }, .wait = { rig.timeline, 1 }));
	EXPECT_ERR(-EBUSY, SUBMIT(.args = { AT(0), 1234 }));
	EXPECT_ERR(0, accel_timeline_signal(rig.timeline, 1));
	EXPECT_ERR(0, SUBMIT(.args = { AT(1), 1234 }));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	EXPECT(word_is(0, info.max_jobs - 1) && word_is(1, 1234));
}

/* What a job names lives until it is over. */
static void test_timeline_objects_go_early(void)
{
	struct accel_timeline *gate, *done;
	struct accel_stream *stream = sem_stream(NIB_SEM_SET);

	EXPECT(stream);
	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &gate));
	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &done));
	EXPECT_ERR(0, SUBMIT(.args = {AT(0), 3}, .wait = {rig.timeline, 1}, .signal = {gate, 1}));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .stream = stream, .args = { AT(1), 4 },
			     .wait = { gate, 1 }, .signal = { done, 1 }));
	accel_stream_destroy(stream);
	accel_timeline_destroy(gate);
	accel_timeline_destroy(done);
	EXPECT_ERR(0, accel_timeline_signal(rig.timeline, 1));
	EXPECT_ERR(0, accel_queue_sync(rig.other, LONG));
	EXPECT(word_is(0, 3) && word_is(1, 4));
}

/* --- Statistics --- */

static void test_stats(void)
{
	struct accel_queue_state state = { .struct_size = sizeof(state) };
	static struct accel_job_stats stats, unsignalled;
	struct accel_buffer *hbm;

	memset(&stats, 0xff, sizeof(stats));
	memset(&unsignalled, 0xff, sizeof(unsignalled));
	EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_HBM, 1u << 20, 0, &hbm));
	EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .stats = &stats, .signal = { rig.timeline, 1 },
			     .args = { accel_buffer_address(hbm),
				       accel_buffer_address(hbm) + (1u << 19), 1u << 17 }));
	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 1 }, .stats = &unsignalled));
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, 1, LONG));
	EXPECT(stats.status == 0 && stats.fault_code == NIB_DONE_OK);
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	EXPECT(unsignalled.status == 0);
	if (computes()) {
		EXPECT(stats.packet == 2 && stats.end_ns > stats.start_ns && stats.cycles);
		EXPECT(stats.hbm_read == 1u << 19 && stats.hbm_write == 1u << 19);
		EXPECT(stats.energy_pj && unsignalled.host_write == 8);
		EXPECT_ERR(0, accel_queue_query(rig.queue, &state));
		EXPECT(state.jobs == 2 && state.run_ns && state.energy_pj);
	}
	accel_buffer_destroy(hbm);
}

/* --- Failures --- */

#define NOWHERE 0x123456789000ull	/* nothing is mapped there */

static void test_fault_read(void)
{
	struct accel_queue_state state = { .struct_size = sizeof(state) };
	static struct accel_job_stats stats, behind;
	uint64_t args[3][3] = { { AT(0), 1 }, { NOWHERE, AT(1), 2 }, { AT(2), 1 } };
	struct accel_timeline *second;
	struct accel_point points[3];
	struct accel_job jobs[3];
	uint32_t i;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &second));
	for (i = 0; i < 3; i++) {
		points[i] = (struct accel_point){i < 2 ? rig.timeline : second, i < 2 ? i + 1 : 1};
		jobs[i] = (struct accel_job){
			.struct_size = sizeof(jobs[i]), .stream = i == 1 ? rig.copy : rig.store,
			.args = args[i], .nargs = 3, .signals = &points[i], .n_signals = 1,
			.stats = i == 1 ? &stats : i == 2 ? &behind : NULL,
		};
	}
	EXPECT_ERR(0, accel_queue_submit(rig.queue, jobs, 3));
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, 1, LONG));
	EXPECT_ERR(-EFAULT, accel_timeline_wait(rig.timeline, 2, LONG));
	EXPECT(strstr(accel_last_error(rig.device), "0x123456789000"));
	EXPECT_ERR(-EFAULT, accel_timeline_wait(rig.timeline, 2, 0));
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, 1, 0));
	EXPECT(stats.status == -EFAULT && stats.fault_code == NIB_DONE_FAULT_READ);
	EXPECT(stats.fault_address == NOWHERE && stats.packet == 0);
	/* What was behind it in the queue is cancelled; nothing goes in any more. */
	EXPECT_ERR(-ECANCELED, accel_timeline_wait(second, 1, LONG));
	EXPECT(behind.status == -ECANCELED);
	EXPECT_ERR(-ECANCELED, SUBMIT(.args = { AT(0), 1 }));
	EXPECT_ERR(-EFAULT, accel_queue_sync(rig.queue, LONG));
	EXPECT_ERR(0, accel_queue_query(rig.queue, &state));
	EXPECT(state.state == (ACCEL_QUEUE_GUILTY | ACCEL_QUEUE_BANNED));
	EXPECT(state.fault_code == NIB_DONE_FAULT_READ && state.fault_address == NOWHERE);
	/* Other queues live. */
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(3), 1 }));
	EXPECT_ERR(0, accel_queue_sync(rig.other, LONG));
	EXPECT(word_is(3, 1));
	EXPECT_ERR(0, accel_queue_query(rig.other, &state));
	EXPECT(state.state == 0);
	accel_timeline_destroy(second);
}

/* A submit may be the first to hear that the queue is dead: the culprit keeps its own error. */
static void test_fault_seen_by_submit(void)
{
	static struct accel_job_stats stats;
	uint64_t value;
	int err = 0, i;

	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 1 }, .signal = { rig.timeline, 1 }));
	EXPECT_ERR(0, SUBMIT(.args = {NOWHERE, 1}, .signal = {rig.timeline, 2}, .stats = &stats));
	for (i = 0; i < 1000 && !err; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		err = SUBMIT(.args = { AT(1), 1 });
		/* In process, nothing happens between calls. */
		if (transport == ACCEL_TRANSPORT_SIM)
			accel_timeline_query(rig.timeline, &value);
	}
	EXPECT_ERR(-ECANCELED, err);
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, 1, LONG));
	EXPECT_ERR(-EFAULT, accel_timeline_wait(rig.timeline, 2, LONG));
	EXPECT(stats.status == -EFAULT && stats.fault_address == NOWHERE);
	EXPECT_ERR(-EFAULT, accel_queue_sync(rig.queue, LONG));
}

/* Writes to @va in a queue of its own: -EFAULT, there. */
static void expect_write_fault(uint64_t va)
{
	static struct accel_job_stats stats;
	struct accel_queue *queue;

	EXPECT_ERR(0, accel_queue_create(rig.device, ACCEL_PRIORITY_NORMAL, 0, &queue));
	EXPECT_ERR(0, SUBMIT(.queue = queue, .args = { va, 1 }, .stats = &stats));
	EXPECT_ERR(-EFAULT, accel_queue_sync(queue, LONG));
	EXPECT(stats.fault_code == NIB_DONE_FAULT_WRITE && stats.fault_address == va);
	accel_queue_destroy(queue);
}

/* Read-only memory of all kinds can be read, and not written. */
static void test_fault_readonly(void)
{
	struct accel_buffer *buffer;
	enum accel_memory memory;
	uint32_t round;

	for (memory = ACCEL_MEMORY_HBM; memory <= ACCEL_MEMORY_HOST; memory++) {
		/* The second time the memory was used before. */
		for (round = 0; round < 2 && !failed; round++) {
			EXPECT_ERR(0, accel_buffer_create(rig.device, memory, PAGE,
							  ACCEL_BUFFER_READONLY, &buffer));
			EXPECT_ERR(0, SUBMIT(.stream = rig.copy,
					     .args = { accel_buffer_address(buffer), AT(0), 2 }));
			EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
			expect_write_fault(accel_buffer_address(buffer));
			accel_buffer_destroy(buffer);
			EXPECT_ERR(0, accel_buffer_create(rig.device, memory, PAGE, 0, &buffer));
			EXPECT_ERR(0, SUBMIT(.args = { accel_buffer_address(buffer), 1 }));
			EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
			accel_buffer_destroy(buffer);
		}
	}
}

/* Past the end of a buffer is nobody's, whatever was allocated next. */
static void test_fault_past_the_end(void)
{
	struct accel_buffer *buffers[4];
	uint32_t i;

	for (i = 0; i < 4; i++)
		EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_HOST, PAGE, 0,
						  &buffers[i]));
	for (i = 0; i < 4 && !failed; i++)
		expect_write_fault(accel_buffer_address(buffers[i]) +
				   accel_buffer_bytes(buffers[i]));
	for (i = 0; i < 4; i++)
		accel_buffer_destroy(buffers[i]);
}

/* A buffer that is gone is gone for the device too. */
static void test_fault_after_destroy(void)
{
	struct accel_buffer *buffer;
	uint64_t va;

	EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_HBM, 4u << 20, 0, &buffer));
	va = accel_buffer_address(buffer);
	EXPECT_ERR(0, SUBMIT(.args = { va + (1u << 20), 1 }));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	accel_buffer_destroy(buffer);
	EXPECT_ERR(0, SUBMIT(.args = { va + (1u << 20), 1 }));
	EXPECT_ERR(-EFAULT, accel_queue_sync(rig.queue, LONG));
}

static void test_fault_argument(void)
{
	static struct accel_job_stats stats;

	/* A count that no packet may have. */
	EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { AT(0), AT(1), 1ull << 40 },
			     .signal = { rig.timeline, 1 }, .stats = &stats));
	EXPECT_ERR(-EINVAL, accel_timeline_wait(rig.timeline, 1, LONG));
	EXPECT(stats.status == -EINVAL && stats.fault_code == NIB_DONE_FAULT_VALUE);
	/* An address that is not aligned. */
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(0) + 4, 1 }, .stats = &stats));
	EXPECT_ERR(-EINVAL, accel_queue_sync(rig.other, LONG));
	EXPECT(stats.fault_code == NIB_DONE_FAULT_ALIGN);
}

/* A job that waited for one that failed has failed the same way, in a queue that lives on. */
static void test_failure_travels(void)
{
	struct accel_queue_state state = { .struct_size = sizeof(state) };
	static struct accel_job_stats stats;
	struct accel_timeline *second;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &second));
	EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { NOWHERE, AT(1), 2 },
			     .signal = { rig.timeline, 1 } ));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(2), 1 }, .wait = { rig.timeline, 1 },
			     .signal = { second, 1 }, .stats = &stats));
	EXPECT_ERR(-EFAULT, accel_timeline_wait(second, 1, LONG));
	EXPECT(stats.status == -EFAULT);
	/* Known to have failed when it is submitted. */
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(3), 1 }, .wait = { rig.timeline, 1 },
			     .signal = { second, 2 }));
	EXPECT_ERR(-EFAULT, accel_timeline_wait(second, 2, LONG));
	EXPECT(rig.words[3] == 0);
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(4), 1 }, .signal = { second, 3 }));
	EXPECT_ERR(0, accel_timeline_wait(second, 3, LONG));
	EXPECT(word_is(4, 1));
	EXPECT_ERR(0, accel_queue_query(rig.other, &state));
	EXPECT(state.state == 0);
	EXPECT_ERR(-EFAULT, accel_queue_sync(rig.other, LONG));
	EXPECT_ERR(0, accel_queue_sync(rig.other, LONG));
	/* Each point has its own fate. */
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(3), 1 }, .wait = { rig.timeline, 1 },
			     .signal = { second, 4 }));
	EXPECT_ERR(-EFAULT, accel_timeline_wait(second, 4, LONG));
	EXPECT_ERR(0, accel_timeline_wait(second, 3, LONG));
	EXPECT_ERR(-EFAULT, accel_timeline_wait(second, 2, LONG));
	accel_timeline_destroy(second);
}

/* A job that cannot run ends in its turn: whoever waits for it waits for those before it. */
static void test_failure_behind_work(void)
{
	struct accel_timeline *second;
	struct accel_queue *culprit;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &second));
	EXPECT_ERR(0, accel_queue_create(rig.device, ACCEL_PRIORITY_NORMAL, 0, &culprit));
	EXPECT_ERR(0, SUBMIT(.queue = culprit, .stream = rig.copy, .args = { NOWHERE, AT(1), 2 },
			     .signal = { rig.timeline, 1 }));
	EXPECT_ERR(-EFAULT, accel_timeline_wait(rig.timeline, 1, LONG));
	EXPECT_ERR(0, SUBMIT(.stream = rig.wait, .args = { AT(0), 5 }));
	EXPECT_ERR(0, SUBMIT(.args = { AT(2), 1 }, .wait = { rig.timeline, 1 },
			     .signal = { second, 1 }));
	EXPECT_ERR(0, SUBMIT(.args = { AT(3), 1 }, .signal = { second, 2 }));
	EXPECT_ERR(-ETIME, accel_timeline_wait(second, 1, 0));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(0), 5 }));
	EXPECT_ERR(-EFAULT, accel_timeline_wait(second, 1, UINT64_MAX));
	EXPECT_ERR(0, accel_timeline_wait(second, 2, UINT64_MAX));
	EXPECT(rig.words[2] == 0 && word_is(3, 1));
	/* The same where the job that cannot run is another queue's. */
	EXPECT_ERR(0, SUBMIT(.stream = rig.wait, .args = { AT(0), 6 }));
	EXPECT_ERR(0, SUBMIT(.args = { AT(2), 1 }, .wait = { rig.timeline, 1 },
			     .signal = { second, 3 }));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(0), 6 }));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(4), 1 }, .wait = { second, 3 },
			     .signal = { second, 4 }));
	EXPECT_ERR(-EFAULT, accel_timeline_wait(second, 4, UINT64_MAX));
	EXPECT_ERR(-EFAULT, accel_queue_sync(rig.other, UINT64_MAX));
	EXPECT(rig.words[4] == 0);
	accel_queue_destroy(culprit);
	accel_timeline_destroy(second);
}

/* More failures than a timeline tells apart, the later point first: each is still one. */
static void test_failure_many(void)
{
	struct accel_timeline *bad[2], *all;
	struct accel_queue *culprit[2];
	uint64_t i;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &all));
	for (i = 0; i < 2; i++) {
		EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &bad[i]));
		EXPECT_ERR(0, accel_queue_create(rig.device, ACCEL_PRIORITY_NORMAL, 0,
						 &culprit[i]));
		EXPECT_ERR(0, SUBMIT(.queue = culprit[i], .stream = rig.copy,
				     .args = { NOWHERE, AT(1), 2 }, .signal = { bad[i], 1 }));
		EXPECT_ERR(-EFAULT, accel_timeline_wait(bad[i], 1, LONG));
	}
	EXPECT_ERR(0, SUBMIT(.stream = rig.wait, .args = { AT(0), 5 }));
	EXPECT_ERR(0, SUBMIT(.args = { AT(2), 1 }, .wait = { bad[0], 1 }, .signal = { all, 1 }));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(2), 1 }, .wait = { bad[1], 1 },
			     .signal = { all, 2 }));
	EXPECT_ERR(-EFAULT, accel_queue_sync(rig.other, LONG));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(0), 5 }));
	EXPECT_ERR(-EFAULT, accel_queue_sync(rig.queue, LONG));
	for (i = 3; i < 30; i++)
		EXPECT_ERR(0, SUBMIT(.args = { AT(2), 1 }, .wait = { bad[i % 2], 1 },
				     .signal = { all, i }));
	EXPECT_ERR(0, SUBMIT(.args = { AT(3), 1 }, .signal = { all, 30 }));
	for (i = 1; i < 30; i++)
		EXPECT_ERR(-EFAULT, accel_timeline_wait(all, i, LONG));
	EXPECT_ERR(0, accel_timeline_wait(all, 30, LONG));
	EXPECT(rig.words[2] == 0 && word_is(3, 1));
	for (i = 0; i < 2; i++) {
		accel_queue_destroy(culprit[i]);
		accel_timeline_destroy(bad[i]);
	}
	accel_timeline_destroy(all);
}

static void test_destroy_cancels(void)
{
	static struct accel_job_stats stats;
	struct accel_timeline *done;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &done));
	EXPECT_ERR(0, SUBMIT(.args = {AT(0), 1}, .wait = {rig.timeline, 1}, .signal = {done, 1},
			     .stats = &stats));
	/* This one depends on what will be cancelled. */
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(1), 1 }, .wait = { done, 1 },
			     .signal = { done, 2 }));
	accel_queue_destroy(rig.queue);
	rig.queue = NULL;
	EXPECT(stats.status == -ECANCELED);
	EXPECT_ERR(-ECANCELED, accel_timeline_wait(done, 1, LONG));
	EXPECT_ERR(-ECANCELED, accel_timeline_wait(done, 2, LONG));
	EXPECT(rig.words[0] == 0 && rig.words[1] == 0);
	accel_timeline_destroy(done);
}

/* --- Semaphores: the device itself waits --- */

static void test_semaphore_between_queues(void)
{
	EXPECT_ERR(0, SUBMIT(.stream = rig.wait, .args = { AT(0), 5 }));
	EXPECT_ERR(0, SUBMIT(.args = { AT(1), 1 }));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(0), 5 }));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	EXPECT(word_is(0, 5) && word_is(1, 1));
}

/* Who only looks sees each point that is reached, while more is on its way. */
static void test_timeline_query_of_work(void)
{
	uint64_t value = 0, i;

	EXPECT_ERR(0, SUBMIT(.args = { AT(1), 1 }, .signal = { rig.timeline, 1 }));
	EXPECT_ERR(0, SUBMIT(.args = { AT(2), 1 }, .signal = { rig.timeline, 2 }));
	EXPECT_ERR(0, SUBMIT(.stream = rig.wait, .args = {AT(0), 5}, .signal = {rig.timeline, 3}));
	for (i = 0; i < LONG / 1000000 && value != 2; i++) {
		EXPECT_ERR(0, accel_timeline_query(rig.timeline, &value));
		EXPECT(value <= 2);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	EXPECT(value == 2 && word_is(2, 1));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(0), 5 }));
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, 3, LONG));
}

/* As many points as a job may name, while what it waits for is in flight. */
static void test_job_of_many_points(void)
{
	static struct accel_point waits[1023];
	struct accel_point done = { rig.timeline, 2 };
	uint64_t args[2] = { AT(1), 1 };
	struct accel_job job = {
		.struct_size = sizeof(job), .stream = rig.store, .args = args, .nargs = 2,
		.waits = waits, .n_waits = 1023, .signals = &done, .n_signals = 1,
	};
	uint32_t i;

	for (i = 0; i < 1023; i++)
		waits[i] = (struct accel_point){ rig.timeline, 1 };
	EXPECT_ERR(0, SUBMIT(.stream = rig.wait, .args = {AT(0), 5}, .signal = {rig.timeline, 1}));
	EXPECT_ERR(0, accel_queue_submit(rig.other, &job, 1));
	for (i = 0; i < 100; i++) {
		done.value++;
		EXPECT_ERR(0, accel_queue_submit(rig.other, &job, 1));
	}
	EXPECT(rig.words[1] == 0);
	__atomic_store_n(&rig.words[0], 5, __ATOMIC_RELEASE);
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, done.value, LONG));
	EXPECT(word_is(1, 1));
}

/* A job that never ends can be waited for, and thrown away. */
static void test_semaphore_stuck(void)
{
	EXPECT_ERR(0, SUBMIT(.stream = rig.wait, .args = {AT(0), 5}, .signal = {rig.timeline, 1}));
	EXPECT_ERR(-ETIME, accel_timeline_wait(rig.timeline, 1, 0));
	EXPECT_ERR(-ETIME, accel_timeline_wait(rig.timeline, 1, 20000000));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(1), 1 }));
	EXPECT_ERR(0, accel_queue_sync(rig.other, LONG));
	EXPECT(word_is(1, 1));
	accel_queue_destroy(rig.queue);
	rig.queue = NULL;
	EXPECT_ERR(-ECANCELED, accel_timeline_wait(rig.timeline, 1, LONG));
}

static void set_watchdog(unsigned int ms)
{
	FILE *f = fopen("/sys/module/nib/parameters/watchdog_ms", "w");

	if (!f)
		return;
	fprintf(f, "%u\n", ms);
	fclose(f);
}

/* The kernel's watchdog ends a job that hangs; such a job leaves no completion behind. */
static void test_semaphore_watchdog(void)
{
	struct accel_queue_state state = { .struct_size = sizeof(state) };
	static struct accel_job_stats stats;
	struct accel_timeline *second;
	int err;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &second));
	set_watchdog(1000);
	EXPECT_ERR(0, SUBMIT(.args = { AT(1), 1 }, .signal = { rig.timeline, 1 }));
	EXPECT_ERR(0, SUBMIT(.stream = rig.wait, .args = {AT(0), 5}, .signal = {rig.timeline, 2},
			     .stats = &stats));
	EXPECT_ERR(0, SUBMIT(.args = { AT(2), 1 }, .signal = { rig.timeline, 3 }));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(3), 1 }, .wait = { rig.timeline, 2 },
			     .signal = { second, 1 }));
	err = accel_timeline_wait(second, 1, LONG);
	set_watchdog(10000);
	EXPECT_ERR(-EIO, err);
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, 1, LONG));
	EXPECT_ERR(-EIO, accel_timeline_wait(rig.timeline, 2, LONG));
	EXPECT_ERR(-ECANCELED, accel_timeline_wait(rig.timeline, 3, LONG));
	EXPECT(stats.status == -EIO);
	EXPECT_ERR(0, accel_queue_query(rig.queue, &state));
	EXPECT(state.state == (ACCEL_QUEUE_GUILTY | ACCEL_QUEUE_BANNED));
	EXPECT_ERR(-ECANCELED, SUBMIT(.args = { AT(2), 1 }));
	EXPECT_ERR(-EIO, accel_queue_sync(rig.other, LONG));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(4), 1 }));
	EXPECT_ERR(0, accel_queue_sync(rig.other, LONG));
	EXPECT(word_is(4, 1));
	accel_timeline_destroy(second);
}

static bool driver_write(const char *file, const char *address)
{
	char path[64];
	bool good;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/nib/%s", file);
	f = fopen(path, "w");
	if (!f)
		return false;
	good = fputs(address, f) >= 0;
	return fclose(f) == 0 && good;
}

/* The device goes while jobs are in flight: everything ends, and ends with -ENODEV. */
static void test_device_gone(void)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_queue_state state = { .struct_size = sizeof(state) };
	static struct accel_job_stats stats, held_stats;
	char link[128], target[256], *address;
	struct accel_timeline *cpu;
	struct accel_queue *held;
	struct accel_buffer *buffer;
	uint64_t value;
	ssize_t n;
	int i;

	EXPECT_ERR(0, accel_device_query(rig.device, &info));
	snprintf(link, sizeof(link), "/sys/class/accel/%.32s/device", strrchr(info.node, '/') + 1);
	n = readlink(link, target, sizeof(target) - 1);
	EXPECT(n > 0);
	target[n] = 0;
	address = strrchr(target, '/') + 1;
	EXPECT_ERR(0, SUBMIT(.stream = rig.wait, .args = {AT(0), 5}, .signal = {rig.timeline, 1},
			     .stats = &stats));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = {AT(1), 1}, .wait = {rig.timeline, 5}));
	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &cpu));
	EXPECT_ERR(0, accel_queue_create(rig.device, ACCEL_PRIORITY_NORMAL, 0, &held));
	EXPECT_ERR(0, SUBMIT(.queue = held, .args = {AT(1), 1}, .wait = {cpu, 1},
			     .stats = &held_stats));
	EXPECT(driver_write("unbind", address));
	/* It is handed over only now, and there the library learns of it. */
	EXPECT_ERR(0, accel_timeline_signal(cpu, 1));
	EXPECT(held_stats.status == -ENODEV);
	EXPECT_ERR(-ENODEV, accel_queue_sync(held, LONG));
	accel_queue_destroy(held);
	accel_timeline_destroy(cpu);
	EXPECT_ERR(-ENODEV, accel_timeline_wait(rig.timeline, 1, LONG));
	EXPECT(stats.status == -ENODEV);
	EXPECT_ERR(-ENODEV, accel_timeline_wait(rig.timeline, 5, LONG));
	EXPECT_ERR(-ENODEV, accel_queue_sync(rig.other, LONG));
	EXPECT_ERR(-ENODEV, SUBMIT(.args = { AT(1), 1 }));
	EXPECT_ERR(-ENODEV, accel_device_query(rig.device, &info));
	EXPECT_ERR(-ENODEV, accel_queue_query(rig.queue, &state));
	EXPECT_ERR(-ENODEV, accel_buffer_create(rig.device, ACCEL_MEMORY_HBM, PAGE, 0, &buffer));
	EXPECT_ERR(0, accel_timeline_query(rig.timeline, &value));
	EXPECT(value == 1);
	/* What was mapped stays readable. */
	EXPECT(rig.words[0] == 0);
	EXPECT(driver_write("bind", address));
	for (i = 0; i < 500 && accel_device_list(NULL, 0) < 1; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	EXPECT(accel_device_list(NULL, 0) > 0);
}

static const struct test_case cases[] = {
	CASE(timeline_cpu, 0),
	CASE(timeline_deadlock, 0),
	CASE(timeline_job_waits_for_cpu, 0),
	CASE(timeline_across_queues, 0),
	CASE(timeline_wait_before_promise, 0),
	CASE(timeline_two_sources, 0),
	CASE(timeline_full_and_blocked, 0),
	CASE(timeline_objects_go_early, 0),
	CASE(stats, 0),
	CASE(fault_read, COMPUTES),
	CASE(fault_seen_by_submit, COMPUTES),
	CASE(fault_readonly, COMPUTES),
	CASE(fault_past_the_end, COMPUTES),
	CASE(fault_after_destroy, COMPUTES),
	CASE(fault_argument, COMPUTES),
	CASE(failure_travels, COMPUTES),
	CASE(failure_behind_work, COMPUTES),
	CASE(failure_many, COMPUTES),
	CASE(timeline_query_of_work, COMPUTES),
	CASE(job_of_many_points, COMPUTES),
	CASE(destroy_cancels, 0),
	CASE(semaphore_between_queues, COMPUTES),
	CASE(semaphore_stuck, COMPUTES),
	CASE(semaphore_watchdog, KERNEL),
	CASE(device_gone, KERNEL),
};

int main(int argc, char **argv)
{
	return run_all(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
