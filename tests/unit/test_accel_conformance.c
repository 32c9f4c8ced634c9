// SPDX-License-Identifier: MIT
/*
 * Conformance of a transport, first part: devices, buffers, streams, queues, what submit takes and
 * refuses. See accel_rig.h.
 */
#include "accel_rig.h"

/* --- Devices --- */

static void test_query(void)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct {
		struct accel_device_info info;
		uint64_t later;
	} grown = { .info.struct_size = sizeof(grown), .later = 7 };

	EXPECT_ERR(0, accel_device_query(rig.device, &info));
	EXPECT(info.transport == transport && info.struct_size == sizeof(info));
	EXPECT(info.isa_version >> 16 == NIB_ISA_MAJOR && info.max_args == NIB_MAX_ARGS);
	EXPECT(info.hbm_bytes && info.hbm_free <= info.hbm_bytes);
	EXPECT(info.sram_free <= info.sram_bytes);
	EXPECT(info.max_queues && info.max_streams && info.max_jobs);
	EXPECT(info.priorities >> ACCEL_PRIORITY_NORMAL & 1);
	EXPECT(info.chip[0] && info.fw_version[0] && info.driver[0]);
	EXPECT((transport == ACCEL_TRANSPORT_DRM) == (info.node[0] != 0));
	/* A caller from the future: what this library does not know comes back zero. */
	EXPECT_ERR(0, accel_device_query(rig.device, &grown.info));
	EXPECT(grown.later == 0 && grown.info.hbm_bytes == info.hbm_bytes);
	info.struct_size = 8;
	EXPECT_ERR(-EINVAL, accel_device_query(rig.device, &info));
	EXPECT(accel_last_error(rig.device)[0]);
}

static void test_open_refusals(void)
{
	struct {
		struct accel_open_params params;
		uint64_t later;
	} p = { .params = { .struct_size = sizeof(p.params), .transport = transport } };
	struct accel_device *device = NULL;

	p.params.struct_size = 4;
	EXPECT_ERR(-EINVAL, accel_open(&p.params, &device));
	EXPECT(accel_last_error(NULL)[0]);
	p.params.struct_size = sizeof(p);
	p.later = 1;
	EXPECT_ERR(-EINVAL, accel_open(&p.params, &device));
	p.later = 0;
	EXPECT_ERR(0, accel_open(&p.params, &device));
	accel_close(device);
	device = NULL;
	p.params.transport = (enum accel_transport)9;
	EXPECT_ERR(-EINVAL, accel_open(&p.params, &device));
	p.params.transport = transport;
	p.params.path = "/dev/accel/none";
	p.params.chip = "no such chip";
	if (transport == ACCEL_TRANSPORT_DRM)
		EXPECT_ERR(-ENODEV, accel_open(&p.params, &device));
	else if (transport == ACCEL_TRANSPORT_SIM)
		EXPECT_ERR(-EINVAL, accel_open(&p.params, &device));
	EXPECT(!device);
	/* A node of another driver. */
	p.params.path = "/dev/null";
	if (transport == ACCEL_TRANSPORT_DRM)
		EXPECT_ERR(-ENODEV, accel_open(&p.params, &device));
	accel_close(NULL);
}

/* Two handles are two address spaces. */
static void test_two_handles(void)
{
	struct accel_device *second;
	struct accel_queue *queue;
	struct accel_job job = { .struct_size = sizeof(job), .stream = rig.store };

	EXPECT_ERR(0, open_device(&second));
	EXPECT_ERR(0, accel_queue_create(second, ACCEL_PRIORITY_NORMAL, 0, &queue));
	/* Objects do not travel between them. */
	EXPECT_ERR(-EINVAL, accel_queue_submit(queue, &job, 1));
	accel_queue_destroy(queue);
	accel_close(second);
	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 5 }));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	EXPECT(word_is(0, 5));
}

/* --- Buffers --- */

static void test_buffer_memories(void)
{
	enum accel_memory memory;
	struct accel_buffer *buffer;
	uint64_t end = 0;
	uint8_t *map, i;

	for (memory = ACCEL_MEMORY_HBM; memory <= ACCEL_MEMORY_HOST; memory++) {
		EXPECT_ERR(0, accel_buffer_create(rig.device, memory, 100, 0, &buffer));
		EXPECT(accel_buffer_bytes(buffer) >= PAGE &&
		       accel_buffer_bytes(buffer) % PAGE == 0);
		EXPECT(accel_buffer_address(buffer) && accel_buffer_address(buffer) % PAGE == 0);
		EXPECT(accel_buffer_memory(buffer) == memory);
		if (memory == ACCEL_MEMORY_SRAM) {
			EXPECT_ERR(-EACCES, accel_buffer_map(buffer, (void **)&map));
		} else {
			EXPECT_ERR(0, accel_buffer_map(buffer, (void **)&map));
			for (end = 0, i = 0; end < accel_buffer_bytes(buffer); end++)
				i |= map[end];
			EXPECT(!i);
			memset(map, 0xff, accel_buffer_bytes(buffer));
		}
		accel_buffer_destroy(buffer);
	}
	accel_buffer_destroy(NULL);
}

static void test_buffer_refusals(void)
{
	struct accel_buffer *buffer;
	void *map;

	EXPECT_ERR(-EINVAL, accel_buffer_create(rig.device, ACCEL_MEMORY_HBM, 0, 0, &buffer));
	EXPECT_ERR(-EINVAL,
		   accel_buffer_create(rig.device, ACCEL_MEMORY_HBM, UINT64_MAX, 0, &buffer));
	EXPECT_ERR(-EINVAL,
		   accel_buffer_create(rig.device, ACCEL_MEMORY_HBM, PAGE, 1u << 31, &buffer));
	EXPECT_ERR(-EINVAL,
		   accel_buffer_create(rig.device, (enum accel_memory)3, PAGE, 0, &buffer));
	EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_HBM, PAGE, ACCEL_BUFFER_NO_MAP,
					  &buffer));
	EXPECT_ERR(-EACCES, accel_buffer_map(buffer, &map));
	accel_buffer_destroy(buffer);
}

/* A memory that is full says so, and is whole again afterwards. */
static void test_buffer_full(void)
{
	struct accel_device_info before = { .struct_size = sizeof(before) }, after = before;
	struct accel_buffer *buffer;
	enum accel_memory memory;
	uint64_t size;

	EXPECT_ERR(0, accel_device_query(rig.device, &before));
	for (memory = ACCEL_MEMORY_HBM; memory <= ACCEL_MEMORY_SRAM; memory++) {
		size = memory == ACCEL_MEMORY_HBM ? before.hbm_bytes : before.sram_bytes;
		EXPECT_ERR(-ENOSPC,
			   accel_buffer_create(rig.device, memory, size + PAGE, 0, &buffer));
		EXPECT(accel_last_error(rig.device)[0]);
		EXPECT_ERR(0, accel_buffer_create(rig.device, memory, size / 2, 0, &buffer));
		EXPECT_ERR(0, accel_device_query(rig.device, &after));
		size = memory == ACCEL_MEMORY_HBM ? before.hbm_free - after.hbm_free :
						    before.sram_free - after.sram_free;
		EXPECT(size >= accel_buffer_bytes(buffer));
		accel_buffer_destroy(buffer);
	}
}

/* Memory comes zeroed, also when another buffer has just left something in it. */
static void test_buffer_zeroed_again(void)
{
	static const uint32_t flags[] = { 0, ACCEL_BUFFER_NO_MAP, ACCEL_BUFFER_READONLY,
					  ACCEL_BUFFER_DUMPABLE };
	struct accel_buffer *buffer;
	enum accel_memory memory;
	uint32_t i, round;

	for (memory = ACCEL_MEMORY_HBM; memory <= ACCEL_MEMORY_SRAM; memory++) {
		for (i = 0; i < 4; i++) {
			for (round = 0; round < 3; round++) {
				EXPECT_ERR(0,
					   accel_buffer_create(rig.device, memory, 1u << 20,
							       round == 1 ? flags[i] : 0, &buffer));
				rig.words[0] = 1;
				EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = {
					accel_buffer_address(buffer) + 8 * PAGE, AT(0), 2 }));
				if (round != 1)
					EXPECT_ERR(0, SUBMIT(.args = {
						accel_buffer_address(buffer) + 8 * PAGE, ~0ull }));
				EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
				EXPECT(word_is(0, 0));
				accel_buffer_destroy(buffer);
			}
		}
	}
}

/* Page tables and whatever else buffers cost comes back, or is used again. */
static void test_buffer_nothing_lost(void)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_buffer *small[40], *big;
	uint64_t left[3];
	uint32_t round, i;

	for (round = 0; round < 3; round++) {
		for (uint32_t repeat = 0; repeat < 20; repeat++) {
			for (i = 0; i < 40; i++)
				EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_HBM,
								  PAGE << i % 9, 0, &small[i]));
			for (i = 0; i < 40; i++)
				accel_buffer_destroy(small[i * 7 % 40]);
			EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_HBM, 9u << 20, 0,
							  &big));
			accel_buffer_destroy(big);
		}
		/* A driver may take a moment to put things away. */
		for (i = 0; i < 100; i++) {
			EXPECT_ERR(0, accel_device_query(rig.device, &info));
			left[round] = info.hbm_free;
			if (round < 2 || left[2] >= left[1])
				break;
			nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
		}
	}
	EXPECT(left[2] >= left[1]);
}

/* Through every memory and back, over page sizes. */
static void test_buffer_chain(void)
{
	const uint32_t bytes = 5u << 20, n = bytes / 4;
	struct accel_buffer *hbm, *sram, *from, *to;
	uint32_t *in, *out, i;

	EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_HOST, bytes, 0, &from));
	EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_HOST, bytes, 0, &to));
	EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_HBM, bytes, ACCEL_BUFFER_NO_MAP,
					  &hbm));
	EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_SRAM, 1u << 20, 0, &sram));
	EXPECT_ERR(0, accel_buffer_map(from, (void **)&in));
	EXPECT_ERR(0, accel_buffer_map(to, (void **)&out));
	for (i = 0; i < n; i++)
		in[i] = i * 2654435761u;
	EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { accel_buffer_address(from),
		accel_buffer_address(hbm), n }));
	EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { accel_buffer_address(hbm) + (3u << 20),
		accel_buffer_address(sram), 1u << 18 }));
	EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { accel_buffer_address(hbm),
		accel_buffer_address(to), n }));
	EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { accel_buffer_address(sram),
		accel_buffer_address(to), 1u << 18 }));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	EXPECT(!memcmp(out + (1u << 18), in + (1u << 18), bytes - (1u << 20)));
	EXPECT(!memcmp(out, in + (3u << 18), 1u << 20));
	accel_buffer_destroy(from);
	accel_buffer_destroy(to);
	accel_buffer_destroy(hbm);
	accel_buffer_destroy(sram);
}

/* --- Streams --- */

static void test_stream_refusals(void)
{
	struct {
		struct nib_pkt_fill fill;
		struct nib_pkt end;
	} good = { { { NIB_OP_FILL, 4, 0 }, 64, 1, 0 }, { NIB_OP_END, 1, 0 } }, bad;
	struct accel_stream *stream;

	EXPECT_ERR(0, accel_stream_create(rig.device, &good, sizeof(good), &stream));
	EXPECT(accel_stream_nargs(stream) == 0);
	accel_stream_destroy(stream);
	EXPECT_ERR(-EINVAL, accel_stream_create(rig.device, &good, 0, &stream));
	EXPECT_ERR(-EINVAL, accel_stream_create(rig.device, &good, sizeof(good) - 1, &stream));
	EXPECT_ERR(-EINVAL, accel_stream_create(rig.device, &good, sizeof(good) - 8, &stream));
	EXPECT_ERR(-EINVAL, accel_stream_create(rig.device, NULL, 8, &stream));
	bad = good;
	bad.fill.hdr.op = 0x777;
	EXPECT_ERR(-EINVAL, accel_stream_create(rig.device, &bad, sizeof(bad), &stream));
	EXPECT(strstr(accel_last_error(rig.device), "packet 0"));
	bad = good;
	bad.fill.dst = 3;
	EXPECT_ERR(-EINVAL, accel_stream_create(rig.device, &bad, sizeof(bad), &stream));
	EXPECT(strstr(accel_last_error(rig.device), "alignment"));
	accel_stream_destroy(NULL);
	EXPECT(accel_stream_nargs(rig.store) == 2 && accel_stream_nargs(rig.copy) == 3);
}

static void test_stream_limit(void)
{
	static const struct nib_pkt end = { NIB_OP_END, 1, 0 };
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_stream **streams;
	uint32_t count = 0, round;
	int err;

	EXPECT_ERR(0, accel_device_query(rig.device, &info));
	streams = calloc(info.max_streams + 1, sizeof(*streams));
	EXPECT(streams);
	for (round = 0; round < 2; round++) {
		err = 0;
		while (!err && count <= info.max_streams) {
			err = accel_stream_create(rig.device, &end, sizeof(end), &streams[count]);
			count += !err;
		}
		EXPECT_ERR(-EMFILE, err);
		EXPECT(count == info.max_streams - 3);
		while (count)
			accel_stream_destroy(streams[--count]);
	}
	free(streams);
}

/* --- Queues and jobs --- */

static void test_queue_refusals(void)
{
	struct accel_queue_state state = { .struct_size = sizeof(state) };
	struct accel_queue *queue;

	EXPECT_ERR(-EINVAL, accel_queue_create(rig.device, (enum accel_priority)4, 0, &queue));
	EXPECT_ERR(-EINVAL, accel_queue_create(rig.device, ACCEL_PRIORITY_LOW, 256, &queue));
	EXPECT_ERR(0, accel_queue_create(rig.device, ACCEL_PRIORITY_LOW, 255, &queue));
	EXPECT_ERR(0, accel_queue_query(queue, &state));
	EXPECT(!state.state && !state.fault_code && !state.jobs);
	state.struct_size = 1;
	EXPECT_ERR(-EINVAL, accel_queue_query(queue, &state));
	accel_queue_destroy(queue);
	accel_queue_destroy(NULL);
}

static void test_queue_limit(void)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_queue *queues[4096];
	struct accel_buffer *buffer;
	uint32_t count = 0, i;
	int err = 0;

	EXPECT_ERR(0, accel_device_query(rig.device, &info));
	while (!err && count < 4096) {
		err = accel_queue_create(rig.device, ACCEL_PRIORITY_NORMAL, 0, &queues[count]);
		count += !err;
	}
	EXPECT_ERR(-EMFILE, err);
	EXPECT(count + 2 == info.max_queues);
	/* Memory has nothing to do with that, not even memory that was used before. */
	for (i = 0; i < 2; i++) {
		EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_SRAM, PAGE, 0, &buffer));
		accel_buffer_destroy(buffer);
	}
	while (count)
		accel_queue_destroy(queues[--count]);
}

static void test_queue_priorities(void)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_queue *queue;
	uint32_t i;

	EXPECT_ERR(0, accel_device_query(rig.device, &info));
	for (i = ACCEL_PRIORITY_LOW; i <= ACCEL_PRIORITY_REALTIME; i++) {
		EXPECT_ERR(info.priorities >> i & 1 ? 0 : -EACCES,
			   accel_queue_create(rig.device, (enum accel_priority)i, 0, &queue));
		if (!(info.priorities >> i & 1))
			continue;
		EXPECT_ERR(0, SUBMIT(.queue = queue, .args = { AT(i), i + 1 }));
		EXPECT_ERR(0, accel_queue_sync(queue, LONG));
		EXPECT(word_is(i, i + 1));
		accel_queue_destroy(queue);
	}
}

static void test_submit_refusals(void)
{
	uint64_t args[3] = { AT(0), 1 };
	struct accel_point signals[2] = { { rig.timeline, 1 }, { rig.timeline, 1 } };
	struct accel_job jobs[2] = {
		{ .struct_size = sizeof(jobs[0]), .stream = rig.store, .args = args, .nargs = 2,
		  .signals = signals, .n_signals = 1 },
	};
	uint64_t value;

	EXPECT_ERR(0, accel_queue_submit(rig.queue, jobs, 0));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, 0));
	/* All or none: the first job of each pair is fine. */
	jobs[1] = jobs[0];
	jobs[1].n_signals = 0;
#define REFUSED(field, bad) do { \
	struct accel_job good_ = jobs[1]; \
	jobs[1].field = (bad); \
	EXPECT_ERR(-EINVAL, accel_queue_submit(rig.queue, jobs, 2)); \
	EXPECT(accel_last_error(rig.device)[0]); \
	jobs[1] = good_; \
	/* As if it had not been. */ \
	EXPECT_ERR(0, accel_queue_submit(rig.queue, jobs, 1)); \
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, signals[0].value++, LONG)); \
} while (0)
	REFUSED(struct_size, 8);
	REFUSED(stream, NULL);
	REFUSED(nargs, 1);
	REFUSED(nargs, NIB_MAX_ARGS + 1);
	REFUSED(args, NULL);
	REFUSED(n_waits, 1);
	REFUSED(n_signals, 1);	/* the point that the first job promised */
	jobs[1].n_signals = 1;
	REFUSED(signals, NULL);
	jobs[1].n_signals = 0;
	EXPECT_ERR(-EINVAL, accel_queue_submit(rig.queue, jobs, 1u << 20));
	/* Nothing of what was refused runs. */
	value = signals[0].value;
	args[1] = 55;
	REFUSED(stream, NULL);
	args[1] = 1;
	signals[0].value = value;
	EXPECT_ERR(-EINVAL, accel_queue_submit(rig.queue, jobs, 1));
	EXPECT_ERR(-EINVAL, accel_queue_submit(rig.queue, NULL, 1));
}

static void test_submit_order(void)
{
	uint32_t i;

	for (i = 1; i <= 50; i++)
		EXPECT_ERR(0, SUBMIT(.args = { AT(0), i }));
	EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { AT(0), AT(1), 2 }));
	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 99 }));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	EXPECT(word_is(0, 99) && word_is(1, 50));
}

/* More jobs than a queue holds: submit makes room by itself. */
static void test_submit_many(void)
{
	struct accel_queue_state state = { .struct_size = sizeof(state) };
	uint32_t i;

	for (i = 1; i <= 1000; i++)
		EXPECT_ERR(0, SUBMIT(.args = { AT(0), i }, .signal = { rig.timeline, i }));
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, 1000, LONG));
	EXPECT(word_is(0, 1000));
	EXPECT_ERR(0, accel_queue_query(rig.queue, &state));
	EXPECT(state.jobs == 1000);
}

/* A job with more points than fit its record. */
static void test_submit_many_points(void)
{
	struct accel_point waits[40], signals[40];
	struct accel_timeline *timelines[40];
	uint64_t args[2] = { AT(0), 4 };
	struct accel_job job = {
		.struct_size = sizeof(job), .stream = rig.store, .args = args, .nargs = 2,
		.waits = waits, .n_waits = 40, .signals = signals, .n_signals = 40,
	};
	uint32_t i;

	for (i = 0; i < 40; i++) {
		EXPECT_ERR(0, accel_timeline_create(rig.device, i, &timelines[i]));
		waits[i] = (struct accel_point){ timelines[i], i + 1 };
		signals[i] = (struct accel_point){ timelines[i], i + 2 };
		EXPECT_ERR(0, accel_timeline_signal(timelines[i], i + 1));
	}
	EXPECT_ERR(0, accel_queue_submit(rig.queue, &job, 1));
	for (i = 0; i < 40; i++) {
		EXPECT_ERR(0, accel_timeline_wait(timelines[i], i + 2, LONG));
		accel_timeline_destroy(timelines[i]);
	}
	EXPECT(word_is(0, 4));
}

static void test_submit_within_call(void)
{
	struct accel_point point = { rig.timeline, 1 };
	uint64_t args[2][3] = { { AT(0), 7 }, { AT(0), AT(1), 2 } };
	struct accel_job jobs[2] = {
		{ .struct_size = sizeof(jobs[0]), .stream = rig.store, .args = args[0], .nargs = 2,
		  .signals = &point, .n_signals = 1 },
		{ .struct_size = sizeof(jobs[0]), .stream = rig.copy, .args = args[1], .nargs = 3,
		  .waits = &point, .n_waits = 1 },
	};

	EXPECT_ERR(0, accel_queue_submit(rig.queue, jobs, 2));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	EXPECT(word_is(1, 7));
}

static const struct test_case cases[] = {
	CASE(query, 0),
	CASE(open_refusals, 0),
	CASE(two_handles, 0),
	CASE(buffer_memories, 0),
	CASE(buffer_refusals, 0),
	CASE(buffer_full, 0),
	CASE(buffer_nothing_lost, 0),
	CASE(buffer_zeroed_again, COMPUTES),
	CASE(buffer_chain, COMPUTES),
	CASE(stream_refusals, 0),
	CASE(stream_limit, 0),
	CASE(queue_refusals, 0),
	CASE(queue_limit, 0),
	CASE(queue_priorities, 0),
	CASE(submit_refusals, 0),
	CASE(submit_order, 0),
	CASE(submit_many, 0),
	CASE(submit_many_points, 0),
	CASE(submit_within_call, 0),
};

int main(int argc, char **argv)
{
	return run_all(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
