// SPDX-License-Identifier: MIT
/*
 * hello-stream: the least program that makes the accelerator compute. It builds a stream with one
 * vector packet, y = a * x + b over rows of numbers, hands it to a device, runs it and checks the
 * result. Copy it to start your own.
 *
 *	hello-stream [drm|sim|null]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel.h"
#include "accel_stream.h"

#define ROWS	4u
#define WIDTH	256u
#define BYTES	(ROWS * WIDTH * sizeof(float))

/* Arguments of the stream: what changes from run to run. */
enum { ARG_ROWS, ARG_X, ARG_Y };

/* Every call returns 0 or -errno; the words are in accel_last_error(). */
static void check(struct accel_device *device, int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "hello-stream: %s: %s (%s)\n", what, accel_last_error(device),
		strerror(-err));
	exit(1);
}

/* y[row][i] = 3 * x[row][i] + 0.5, for as many rows as the first argument says. */
static struct accel_stream *make_stream(struct accel_device *device)
{
	struct accel_builder *builder;
	struct accel_stream *stream;
	const uint64_t *words;
	struct accel_vec vec;
	uint32_t nargs;
	size_t bytes;
	int x, y;

	check(device, accel_builder_create(&builder), "builder");
	accel_vec_init(&vec, WIDTH);
	accel_arg(&vec.pkt, d0, ARG_ROWS, 0);
	vec.pkt.d1 = 1;
	x = accel_vec_operand(&vec, ARG_X, 0, WIDTH * sizeof(float), 0, NIB_FMT_F32, 1);
	y = accel_vec_operand(&vec, ARG_Y, 0, WIDTH * sizeof(float), 0, NIB_FMT_F32, 1);
	accel_vec_insn(&vec, NIB_VEC_LOAD, 0, (unsigned int)x, 0, 0);
	accel_vec_insn_f(&vec, NIB_VEC_MULI, 0, 0, 3.0f);
	accel_vec_insn_f(&vec, NIB_VEC_ADDI, 0, 0, 0.5f);
	accel_vec_insn(&vec, NIB_VEC_STORE, (unsigned int)y, 0, 0, 0);
	accel_builder_add_vec(builder, &vec);
	if (accel_builder_finish(builder, &words, &bytes, &nargs)) {
		fprintf(stderr, "hello-stream: %s\n", accel_builder_error(builder));
		exit(1);
	}
	check(device, accel_stream_create(device, words, bytes, &stream), "stream");
	accel_builder_destroy(builder);
	return stream;
}

static enum accel_transport transport(const char *name)
{
	return !strcmp(name, "drm") ? ACCEL_TRANSPORT_DRM :
	       !strcmp(name, "sim") ? ACCEL_TRANSPORT_SIM :
	       !strcmp(name, "null") ? ACCEL_TRANSPORT_NULL : ACCEL_TRANSPORT_AUTO;
}

int main(int argc, char **argv)
{
	struct accel_open_params params = { .struct_size = sizeof(params) };
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_buffer *x_buffer, *y_buffer;
	struct accel_timeline *timeline;
	struct accel_job_stats stats;
	struct accel_stream *stream;
	struct accel_device *device;
	struct accel_queue *queue;
	float *x, *y;
	uint32_t i;

	if (argc > 1)
		params.transport = transport(argv[1]);
	check(NULL, accel_open(&params, &device), "open");
	check(device, accel_device_query(device, &info), "query");

	/* Inputs and outputs in memory that both sides reach. */
	check(device, accel_buffer_create(device, ACCEL_MEMORY_HOST, BYTES, 0, &x_buffer),
	      "buffer");
	check(device, accel_buffer_create(device, ACCEL_MEMORY_HOST, BYTES, 0, &y_buffer),
	      "buffer");
	check(device, accel_buffer_map(x_buffer, (void **)&x), "map");
	check(device, accel_buffer_map(y_buffer, (void **)&y), "map");
	for (i = 0; i < ROWS * WIDTH; i++)
		x[i] = (float)i;

	stream = make_stream(device);
	check(device, accel_queue_create(device, ACCEL_PRIORITY_NORMAL, 0, &queue), "queue");
	check(device, accel_timeline_create(device, 0, &timeline), "timeline");

	/* One submit; it signals point 1 of the timeline when it is done. */
	uint64_t args[] = {
		[ARG_ROWS] = ROWS, [ARG_X] = accel_buffer_address(x_buffer),
		[ARG_Y] = accel_buffer_address(y_buffer),
	};
	struct accel_point done = { timeline, 1 };
	struct accel_job job = {
		.struct_size = sizeof(job),
		.stream = stream,
		.args = args,
		.nargs = accel_stream_nargs(stream),
		.signals = &done,
		.n_signals = 1,
		.stats = &stats,
	};
	check(device, accel_queue_submit(queue, &job, 1), "submit");
	check(device, accel_timeline_wait(timeline, 1, UINT64_MAX), "wait");

	for (i = 0; i < ROWS * WIDTH && info.transport != ACCEL_TRANSPORT_NULL; i++) {
		if (y[i] == 3.0f * x[i] + 0.5f)
			continue;
		fprintf(stderr, "hello-stream: y[%u] is %g, want %g\n", i, (double)y[i],
			(double)(3.0f * x[i] + 0.5f));
		return 1;
	}
	printf("hello-stream: %u numbers right on %s (%s); modelled: %llu cycles, %llu nJ\n",
	       ROWS * WIDTH, info.chip, info.driver, (unsigned long long)stats.cycles,
	       (unsigned long long)stats.energy_pj / 1000);

	accel_timeline_destroy(timeline);
	accel_queue_destroy(queue);
	accel_stream_destroy(stream);
	accel_buffer_destroy(y_buffer);
	accel_buffer_destroy(x_buffer);
	accel_close(device);
	return 0;
}
