// SPDX-License-Identifier: MIT
/*
 * What accel.h promises, on every transport: the same program passes in process, on the kernel
 * driver in a guest, and, as far as nothing is computed, on the null transport. Written against the
 * public headers only, so that it can be copied into a guest and run there.
 *
 *	test_accel_conformance [--transport drm|sim|null]... [CASE...]
 *
 * Without --transport: sim and null, and drm where there is a device; in a guest, where a device
 * node exists, drm only. Exit status 77 when a transport that was asked for has no device.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accel.h"
#include "accel_stream.h"
#include "nib_regs.h"

#define SECOND	1000000000ull
#define LONG	(60 * SECOND)	/* a guest without KVM is slow */
#define PAGE	4096u

static enum accel_transport transport;
static bool failed;

#define EXPECT(cond) do { \
	if (!(cond)) { \
		printf("    %s:%d: %s\n", __func__, __LINE__, #cond); \
		failed = true; \
		return; \
	} \
} while (0)

#define EXPECT_ERR(want, call) do { \
	int err_ = (call); \
	if (err_ != (want)) { \
		printf("    %s:%d: %s: %d (%s), want %d; last error: %s\n", __func__, __LINE__, #call, \
		       err_, strerror(-err_), (want), accel_last_error(rig.device)); \
		failed = true; \
		return; \
	} \
} while (0)

/* What most cases need. */
static struct {
	struct accel_device *device;
	struct accel_queue *queue;
	struct accel_queue *other;
	struct accel_timeline *timeline;
	struct accel_stream *store;	/* a0: address, a1: 64-bit value */
	struct accel_stream *copy;	/* a0: from, a1: to, a2: 32-bit words */
	struct accel_stream *wait;	/* a0: address; waits until it holds at least a1 */
	struct accel_buffer *buffer;
	uint64_t *words;		/* host memory, one page */
	uint64_t va;
} rig;

static struct accel_stream *stream_of(const void *packet)
{
	struct accel_stream *stream = NULL;
	struct accel_builder *builder;
	const uint64_t *data;
	uint32_t nargs;
	size_t bytes;

	if (accel_builder_create(&builder))
		return NULL;
	accel_builder_add(builder, packet);
	if (!accel_builder_finish(builder, &data, &bytes, &nargs))
		accel_stream_create(rig.device, data, bytes, &stream);
	accel_builder_destroy(builder);
	return stream;
}

static struct accel_stream *sem_stream(enum nib_sem_action action)
{
	struct nib_pkt_sem sem = { .hdr = { NIB_OP_SEM, 4, 0 }, .action = action };

	accel_arg(&sem, addr, 0, 0);
	accel_arg(&sem, value, 1, 0);
	return stream_of(&sem);
}

static struct accel_stream *copy_stream(void)
{
	struct nib_pkt_copy copy = { .hdr = { NIB_OP_COPY, 11, 0 }, .n1 = 1, .n2 = 1,
				     .src_fmt = NIB_FMT_U32, .dst_fmt = NIB_FMT_U32 };

	accel_arg(&copy, src, 0, 0);
	accel_arg(&copy, dst, 1, 0);
	accel_arg(&copy, n0, 2, 0);
	return stream_of(&copy);
}

static int open_device(struct accel_device **device)
{
	struct accel_open_params params = { .struct_size = sizeof(params), .transport = transport };

	return accel_open(&params, device);
}

static bool set_up(void)
{
	memset(&rig, 0, sizeof(rig));
	if (open_device(&rig.device)) {
		printf("    open: %s\n", accel_last_error(NULL));
		return false;
	}
	if (accel_queue_create(rig.device, ACCEL_PRIORITY_NORMAL, 0, &rig.queue) ||
	    accel_queue_create(rig.device, ACCEL_PRIORITY_NORMAL, 0, &rig.other) ||
	    accel_timeline_create(rig.device, 0, &rig.timeline) ||
	    accel_buffer_create(rig.device, ACCEL_MEMORY_HOST, PAGE, 0, &rig.buffer) ||
	    accel_buffer_map(rig.buffer, (void **)&rig.words)) {
		printf("    set up: %s\n", accel_last_error(rig.device));
		return false;
	}
	rig.va = accel_buffer_address(rig.buffer);
	rig.store = sem_stream(NIB_SEM_SET);
	rig.wait = sem_stream(NIB_SEM_WAIT_GE);
	rig.copy = copy_stream();
	if (!rig.store || !rig.wait || !rig.copy)
		printf("    set up: %s\n", accel_last_error(rig.device));
	return rig.store && rig.wait && rig.copy;
}

static void tear_down(void)
{
	accel_queue_destroy(rig.queue);
	accel_queue_destroy(rig.other);
	accel_stream_destroy(rig.store);
	accel_stream_destroy(rig.wait);
	accel_stream_destroy(rig.copy);
	accel_timeline_destroy(rig.timeline);
	accel_buffer_destroy(rig.buffer);
	accel_close(rig.device);
}

/* A job with at most one wait and one signal. */
struct run {
	struct accel_queue *queue;	/* NULL: rig.queue */
	struct accel_stream *stream;	/* NULL: rig.store */
	uint64_t args[3];
	struct accel_point wait;
	struct accel_point signal;
	struct accel_job_stats *stats;
};

static int submit(struct run run)
{
	struct accel_job job = {
		.struct_size = sizeof(job),
		.stream = run.stream ? run.stream : rig.store,
		.args = run.args, .nargs = 3,
		.waits = &run.wait, .n_waits = run.wait.timeline != NULL,
		.signals = &run.signal, .n_signals = run.signal.timeline != NULL,
		.stats = run.stats,
	};

	return accel_queue_submit(run.queue ? run.queue : rig.queue, &job, 1);
}

#define SUBMIT(...) submit((struct run){ __VA_ARGS__ })
#define AT(i)	(rig.va + (i) * 8)

static bool computes(void)
{
	return transport != ACCEL_TRANSPORT_NULL;
}

/* True if word @i is @value, or nothing is computed. */
static bool word_is(uint32_t i, uint64_t value)
{
	return !computes() || __atomic_load_n(&rig.words[i], __ATOMIC_ACQUIRE) == value;
}

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
		EXPECT(accel_buffer_bytes(buffer) >= PAGE && accel_buffer_bytes(buffer) % PAGE == 0);
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
	EXPECT_ERR(-EINVAL, accel_buffer_create(rig.device, ACCEL_MEMORY_HBM, UINT64_MAX, 0, &buffer));
	EXPECT_ERR(-EINVAL, accel_buffer_create(rig.device, ACCEL_MEMORY_HBM, PAGE, 1u << 31, &buffer));
	EXPECT_ERR(-EINVAL, accel_buffer_create(rig.device, (enum accel_memory)3, PAGE, 0, &buffer));
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
		EXPECT_ERR(-ENOSPC, accel_buffer_create(rig.device, memory, size + PAGE, 0, &buffer));
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
	static const uint32_t flags[] = { 0, ACCEL_BUFFER_NO_MAP, ACCEL_BUFFER_READONLY };
	struct accel_buffer *buffer;
	enum accel_memory memory;
	uint32_t i, round;

	for (memory = ACCEL_MEMORY_HBM; memory <= ACCEL_MEMORY_SRAM; memory++) {
		for (i = 0; i < 3; i++) {
			for (round = 0; round < 3; round++) {
				EXPECT_ERR(0, accel_buffer_create(rig.device, memory, 1u << 20,
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
	uint32_t count = 0;
	int err = 0;

	EXPECT_ERR(0, accel_device_query(rig.device, &info));
	streams = calloc(info.max_streams + 1, sizeof(*streams));
	EXPECT(streams);
	while (!err && count <= info.max_streams) {
		err = accel_stream_create(rig.device, &end, sizeof(end), &streams[count]);
		count += !err;
	}
	EXPECT_ERR(-EMFILE, err);
	EXPECT(count == info.max_streams - 3);
	while (count)
		accel_stream_destroy(streams[--count]);
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
	uint32_t count = 0;
	int err = 0;

	EXPECT_ERR(0, accel_device_query(rig.device, &info));
	while (!err && count < 4096) {
		err = accel_queue_create(rig.device, ACCEL_PRIORITY_NORMAL, 0, &queues[count]);
		count += !err;
	}
	EXPECT_ERR(-EMFILE, err);
	EXPECT(count + 2 == info.max_queues);
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
	EXPECT_ERR(0, accel_timeline_query(rig.timeline, &value));
	EXPECT(value == 0 && rig.words[0] == 0);
	EXPECT_ERR(0, accel_queue_submit(rig.queue, jobs, 2));
	EXPECT_ERR(0, accel_timeline_wait(rig.timeline, 1, LONG));
	EXPECT(word_is(0, 1));
	signals[0].value = 1;
	EXPECT_ERR(-EINVAL, accel_queue_submit(rig.queue, jobs, 1));
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
	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 1 }, .wait = { rig.timeline, 5 }, .signal = { done, 1 }));
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
	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 1 }, .wait = { gate, 1 }, .signal = { rig.timeline, 1 }));
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { AT(1), 1 }, .signal = { rig.timeline, 2 }));
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
	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 3 }, .wait = { rig.timeline, 1 }, .signal = { gate, 1 }));
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
	struct accel_job_stats stats, unsignalled;
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
	struct accel_job_stats stats = { 0 }, behind = { 0 };
	struct accel_timeline *second;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &second));
	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 1 }, .signal = { rig.timeline, 1 }));
	EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { NOWHERE, AT(1), 2 },
			     .signal = { rig.timeline, 2 }, .stats = &stats));
	EXPECT_ERR(0, SUBMIT(.args = { AT(2), 1 }, .signal = { second, 1 }, .stats = &behind));
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

/* Writing what is read-only, and past the end of a buffer. */
static void test_fault_write(void)
{
	struct accel_job_stats stats = { 0 };
	struct accel_buffer *buffer;
	uint64_t end;

	EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_HOST, PAGE, ACCEL_BUFFER_READONLY,
					  &buffer));
	EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { accel_buffer_address(buffer), AT(0), 2 }));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	EXPECT_ERR(0, SUBMIT(.args = { accel_buffer_address(buffer), 1 }, .stats = &stats));
	EXPECT_ERR(-EFAULT, accel_queue_sync(rig.queue, LONG));
	EXPECT(stats.fault_code == NIB_DONE_FAULT_WRITE);
	EXPECT(stats.fault_address == accel_buffer_address(buffer));
	end = accel_buffer_address(buffer) + accel_buffer_bytes(buffer);
	EXPECT_ERR(0, SUBMIT(.queue = rig.other, .args = { end, 1 }, .stats = &stats));
	EXPECT_ERR(-EFAULT, accel_queue_sync(rig.other, LONG));
	EXPECT(stats.fault_address == end);
	accel_buffer_destroy(buffer);
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
	struct accel_job_stats stats = { 0 };

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
	struct accel_job_stats stats = { 0 };
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
	accel_timeline_destroy(second);
}

static void test_destroy_cancels(void)
{
	struct accel_job_stats stats = { .status = 1 };
	struct accel_timeline *done;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &done));
	EXPECT_ERR(0, SUBMIT(.args = { AT(0), 1 }, .wait = { rig.timeline, 1 }, .signal = { done, 1 },
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

/* A job that never ends can be waited for, and thrown away. */
static void test_semaphore_stuck(void)
{
	EXPECT_ERR(0, SUBMIT(.stream = rig.wait, .args = { AT(0), 5 }, .signal = { rig.timeline, 1 }));
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
	struct accel_job_stats stats = { 0 };
	struct accel_timeline *second;
	int err;

	EXPECT_ERR(0, accel_timeline_create(rig.device, 0, &second));
	set_watchdog(1000);
	EXPECT_ERR(0, SUBMIT(.args = { AT(1), 1 }, .signal = { rig.timeline, 1 }));
	EXPECT_ERR(0, SUBMIT(.stream = rig.wait, .args = { AT(0), 5 }, .signal = { rig.timeline, 2 },
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

#define COMPUTES 1
#define WATCHDOG 2	/* needs the kernel driver */
static const struct {
	const char *name;
	void (*run)(void);
	int flags;
} cases[] = {
#define CASE(name, flags) { #name, test_##name, flags }
	CASE(query, 0),
	CASE(open_refusals, 0),
	CASE(two_handles, 0),
	CASE(buffer_memories, 0),
	CASE(buffer_refusals, 0),
	CASE(buffer_full, 0),
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
	CASE(fault_write, COMPUTES),
	CASE(fault_after_destroy, COMPUTES),
	CASE(fault_argument, COMPUTES),
	CASE(failure_travels, COMPUTES),
	CASE(destroy_cancels, 0),
	CASE(semaphore_between_queues, COMPUTES),
	CASE(semaphore_stuck, COMPUTES),
	CASE(semaphore_watchdog, WATCHDOG),
};

static bool wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 0; i < argc; i++)
		if (!strcmp(name, argv[i]))
			return true;
	return !argc;
}

/* Returns how many cases ran, and adds to *bad. */
static int run_cases(const char *name, int argc, char **argv, int *bad)
{
	int ran = 0;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!wanted(cases[i].name, argc, argv) ||
		    (cases[i].flags & COMPUTES && !computes()) ||
		    (cases[i].flags & WATCHDOG && transport != ACCEL_TRANSPORT_DRM))
			continue;
		failed = false;
		if (set_up())
			cases[i].run();
		else
			failed = true;
		tear_down();
		ran++;
		*bad += failed;
		printf("%s %s %s\n", failed ? "FAIL" : "ok", name, cases[i].name);
		fflush(stdout);
	}
	return ran;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "auto", "drm", "sim", "null" };
	bool node = accel_device_list(NULL, 0) > 0, want[4] = { false, node, !node, !node };
	struct accel_device *device;
	int ran = 0, bad = 0, i;

	if (argc > 2 && !strcmp(argv[1], "--transport"))
		memset(want, 0, sizeof(want));
	for (; argc > 2 && !strcmp(argv[1], "--transport"); argc -= 2, argv += 2)
		for (i = 1; i < 4; i++)
			want[i] |= !strcmp(argv[2], names[i]);
	for (i = 1; i < 4; i++) {
		if (!want[i])
			continue;
		transport = (enum accel_transport)i;
		if (open_device(&device)) {
			printf("no device: %s\n", accel_last_error(NULL));
			return 77;
		}
		accel_close(device);
		ran += run_cases(names[i], argc - 1, argv + 1, &bad);
	}
	if (!ran) {
		printf("usage: test_accel_conformance [--transport drm|sim|null]... [CASE...]\n");
		return 2;
	}
	printf("%d%%: Checks: %d, Failures: %d, Errors: 0\n", 100 * (ran - bad) / ran, ran, bad);
	return bad != 0;
}
