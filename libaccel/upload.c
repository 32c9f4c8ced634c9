// SPDX-License-Identifier: MIT
/*
 * Filling device memory that the CPU cannot map: weights that do not fit the window on HBM. Pieces
 * go through host memory and are copied by the device's DMA; two of them take turns.
 */
#include "accel_stream.h"
#include "llm.h"

#define PIECE	(4ull << 20)

struct upload {
	struct accel_device *device;
	struct accel_builder *builder;
	struct accel_stream *stream;
	struct accel_queue *queue;
	struct accel_timeline *timeline;
	struct accel_buffer *staging;	/* two pieces */
	uint8_t *map;
};

/* One packet: copy argument 2 words from argument 0 to argument 1. */
static int create_stream(struct upload *u)
{
	struct nib_pkt_copy copy = {
		.hdr = { .op = NIB_OP_COPY, .words = sizeof(copy) / 8 },
		.n1 = 1, .n2 = 1, .src_fmt = NIB_FMT_U32, .dst_fmt = NIB_FMT_U32,
	};
	const uint64_t *data;
	uint32_t nargs;
	size_t bytes;
	int ret = accel_builder_create(&u->builder);

	if (ret)
		return ret;
	accel_arg(&copy, src, 0, 0);
	accel_arg(&copy, dst, 1, 0);
	accel_arg(&copy, n0, 2, 0);
	accel_builder_add(u->builder, &copy);
	ret = accel_builder_finish(u->builder, &data, &bytes, &nargs);
	if (ret)
		return accel_fail(u->device, ret, "upload: %s", accel_builder_error(u->builder));
	return accel_stream_create(u->device, data, bytes, &u->stream);
}

static int open_upload(struct upload *u)
{
	void *map;
	int ret = create_stream(u);

	if (!ret)
		ret = accel_queue_create(u->device, ACCEL_PRIORITY_NORMAL, 0, &u->queue);
	if (!ret)
		ret = accel_timeline_create(u->device, 0, &u->timeline);
	if (!ret)
		ret = accel_buffer_create(u->device, ACCEL_MEMORY_HOST, 2 * PIECE, 0, &u->staging);
	if (!ret)
		ret = accel_buffer_map(u->staging, &map);
	if (!ret)
		u->map = map;
	return ret;
}

static void close_upload(struct upload *u)
{
	if (u->queue)
		accel_queue_destroy(u->queue);
	if (u->timeline)
		accel_timeline_destroy(u->timeline);
	if (u->stream)
		accel_stream_destroy(u->stream);
	if (u->staging)
		accel_buffer_destroy(u->staging);
	accel_builder_destroy(u->builder);
}

static int copy_piece(struct upload *u, uint64_t point, uint64_t half, uint64_t dst, uint64_t bytes)
{
	const uint64_t args[3] = { accel_buffer_address(u->staging) + half, dst, (bytes + 3) / 4 };
	const struct accel_point done = { u->timeline, point };
	const struct accel_job job = {
		.struct_size = sizeof(job), .stream = u->stream, .args = args, .nargs = 3,
		.signals = &done, .n_signals = 1,
	};

	return accel_queue_submit(u->queue, &job, 1);
}

int llm_upload(struct accel_buffer *buffer, const struct accel_program *program, const void *data,
	       uint64_t bytes)
{
	struct upload u = { .device = buffer->device };
	uint64_t point = 0;
	int ret = open_upload(&u);

	for (uint64_t at = 0, n; at < bytes && !ret; at += n) {
		uint64_t half = (point & 1) * PIECE;

		n = bytes - at < PIECE ? bytes - at : PIECE;
		/* The copy that used this half is the one before the last. */
		if (point >= 2)
			ret = accel_timeline_wait(u.timeline, point - 1, UINT64_MAX);
		if (ret)
			break;
		accel_program_copy(program, u.map + half, (const uint8_t *)data + at, n);
		ret = copy_piece(&u, ++point, half, accel_buffer_address(buffer) + at, n);
	}
	if (!ret && point)
		ret = accel_timeline_wait(u.timeline, point, UINT64_MAX);
	close_upload(&u);
	return ret;
}
