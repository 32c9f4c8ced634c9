// SPDX-License-Identifier: MIT
/*
 * What the device model tells while it works: every packet once, in order, with costs that add up
 * to those of the job's record; parts of packets by whichever thread did them. Other transports
 * refuse.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "accel.h"
#include "accel_stream.h"
#include "nib_regs.h"

enum { MAX_EVENTS = 4096 };

struct seen {
	pthread_mutex_t lock;
	struct accel_trace_event packet[MAX_EVENTS];
	uint32_t packets;
	uint32_t parts;
	uint32_t threads;	/* bit per thread */
};

static struct seen seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void on_event(void *user, const struct accel_trace_event *event)
{
	struct seen *s = user;

	pthread_mutex_lock(&s->lock);
	ck_assert_uint_le(event->host_start_ns, event->host_end_ns);
	if (event->kind == ACCEL_TRACE_PACKET) {
		ck_assert_uint_lt(s->packets, MAX_EVENTS);
		s->packet[s->packets++] = *event;
	} else {
		s->parts++;
		s->threads |= 1u << event->thread;
	}
	pthread_mutex_unlock(&s->lock);
}

/* Fills 4 MiB, then quantizes it, then ends. */
static struct accel_stream *make_stream(struct accel_device *device, uint64_t at)
{
	enum { ROWS = 512, WIDTH = 2048 };
	struct nib_pkt_fill fill = {
		.hdr = { .op = NIB_OP_FILL, .words = sizeof(fill) / 8 },
		.dst = at, .count = ROWS * WIDTH, .value = 0x3f800000,
	};
	struct nib_pkt_quant quant = {
		.hdr = { .op = NIB_OP_QUANT, .words = sizeof(quant) / 8 },
		.rows = ROWS, .src = at, .src_pitch = WIDTH * 4, .dst = at + ROWS * WIDTH * 4,
		.dst_pitch = nib_row_bytes(NIB_FMT_MXFP8, WIDTH), .width = WIDTH,
		.fmt = NIB_FMT_MXFP8, .rule = NIB_SCALE_CEIL,
	};
	struct accel_builder *builder;
	struct accel_stream *stream;
	const uint64_t *data;
	uint32_t nargs;
	size_t bytes;

	ck_assert_int_eq(accel_builder_create(&builder), 0);
	accel_builder_add(builder, &fill);
	accel_builder_add(builder, &quant);
	ck_assert_int_eq(accel_builder_finish(builder, &data, &bytes, &nargs), 0);
	ck_assert_int_eq(accel_stream_create(device, data, bytes, &stream), 0);
	accel_builder_destroy(builder);
	return stream;
}

START_TEST(packets_are_told_and_add_up)
{
	struct accel_open_params params = {
		.struct_size = sizeof(params), .transport = ACCEL_TRANSPORT_SIM, .threads = 3,
		.trace = on_event, .user = &seen,
	};
	struct accel_job_stats stats = { 0 };
	struct accel_job job = { .struct_size = sizeof(job), .stats = &stats };
	const uint32_t ops[] = { NIB_OP_FILL, NIB_OP_QUANT, NIB_OP_END };
	uint64_t energy = 0, ps = 0, read = 0, written = 0;
	struct accel_device *device;
	struct accel_buffer *buffer;
	struct accel_queue *queue;
	uint32_t from, i;

	ck_assert_int_eq(accel_open(&params, &device), 0);
	ck_assert_int_eq(accel_buffer_create(device, ACCEL_MEMORY_HBM, 8 << 20, 0, &buffer), 0);
	ck_assert_int_eq(accel_queue_create(device, ACCEL_PRIORITY_NORMAL, 0, &queue), 0);
	job.stream = make_stream(device, accel_buffer_address(buffer));
	from = seen.packets;
	ck_assert_int_eq(accel_queue_submit(queue, &job, 1), 0);
	ck_assert_int_eq(accel_queue_sync(queue, UINT64_MAX), 0);
	ck_assert_uint_eq(seen.packets - from, 3);
	for (i = 0; i < 3; i++) {
		const struct accel_trace_event *e = &seen.packet[from + i];
		uint64_t most = 0;

		ck_assert_uint_eq(e->op, ops[i]);
		ck_assert_uint_eq(e->packet, i);
		ck_assert_uint_eq(e->status, NIB_DONE_OK);
		for (unsigned int k = 0; k < ACCEL_TRACE_ENGINES; k++)
			most = e->engine_ps[k] > most ? e->engine_ps[k] : most;
		ck_assert_uint_le(most, e->time_ps);
		if (i)
			ck_assert_uint_ge(e->start_ps, e[-1].start_ps + e[-1].time_ps);
		energy += e->energy_pj;
		ps += e->time_ps;
		read += e->read[NIB_MEM_HBM];
		written += e->write[NIB_MEM_HBM];
	}
	ck_assert_uint_eq(energy, stats.energy_pj);
	ck_assert_uint_eq(read, stats.hbm_read);
	ck_assert_uint_eq(written, stats.hbm_write);
	/* The record has whole nanoseconds. */
	ck_assert_uint_le(ps / 1000, stats.end_ns - stats.start_ns + 1);
	/* Quantizing so much is shared; who does how much of it is the scheduler's affair. */
	ck_assert_uint_gt(seen.parts, 1);
	ck_assert_uint_eq(seen.threads & ~7u, 0);
	accel_stream_destroy(job.stream);
	accel_queue_destroy(queue);
	accel_buffer_destroy(buffer);
	accel_close(device);
}
END_TEST

START_TEST(other_transports_refuse)
{
	struct accel_open_params params = {
		.struct_size = sizeof(params), .transport = ACCEL_TRANSPORT_NULL,
		.trace = on_event,
	};
	struct accel_device *device;

	ck_assert_int_eq(accel_open(&params, &device), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(accel_last_error(NULL), "sim transport"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("accel_trace");
	TCase *trace = tcase_create("trace");
	SRunner *runner;
	int failed;

	tcase_add_test(trace, packets_are_told_and_add_up);
	tcase_add_test(trace, other_transports_refuse);
	suite_add_tcase(suite, trace);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
