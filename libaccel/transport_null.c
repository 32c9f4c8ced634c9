// SPDX-License-Identifier: MIT
/*
 * The null transport: accepts everything and computes nothing; every job ends at once, well. It
 * serves tests of what lies above the device, and measures the library's own cost.
 *
 * It is also the skeleton of a new transport: copy this file, replace "null", list the copy in
 * device.c and accel.h, then fill in the functions from top to bottom. transport.h says what each
 * has to do; tests/unit/test_accel_conformance.c says whether it does.
 */
#include <stdio.h>
#include <sys/mman.h>

#include "transport.h"

struct null_device {
	struct accel_device base;
	struct accel_space va;
};

static struct null_device *to_null(struct accel_device *device)
{
	return (struct null_device *)device;
}

static int null_open(struct accel_device *device, const struct accel_open_params *params)
{
	struct accel_device_info *info = &device->info;

	if (accel_space_init(device, &to_null(device)->va, 1ull << 32, 1ull << 46))
		return accel_fail(device, -ENOMEM, "open: no memory");
	info->hw_version = NIB_HW_MAJOR << 16 | NIB_HW_MINOR;
	info->fw_api = NIB_FW_API_MAJOR << 16 | NIB_FW_API_MINOR;
	info->hbm_bytes = info->hbm_free = 256ull << 20;
	info->sram_bytes = info->sram_free = 2ull << 20;
	info->max_queues = 128;
	info->max_streams = 1024;
	info->priorities = 0xf;
	snprintf(info->chip, sizeof(info->chip), "%s", params->chip ? params->chip : "small");
	snprintf(info->fw_version, sizeof(info->fw_version), "none");
	snprintf(info->driver, sizeof(info->driver), "null");
	return 0;
}

static void null_close(struct accel_device *device)
{
	accel_space_fini(device, &to_null(device)->va);
}

static int null_query(struct accel_device *device)
{
	(void)device;
	return 0;
}

/* Sizes are accounted, so that programs meet the limits of a device. NULL: no limit. */
static uint64_t *null_free(struct accel_buffer *buffer)
{
	struct accel_device_info *info = &buffer->device->info;

	return buffer->memory == ACCEL_MEMORY_HBM ? &info->hbm_free :
	       buffer->memory == ACCEL_MEMORY_SRAM ? &info->sram_free : NULL;
}

static int null_buffer_create(struct accel_buffer *buffer)
{
	uint64_t *left = null_free(buffer);
	int err;

	if (left && buffer->bytes > *left)
		return accel_fail(buffer->device, -ENOSPC, "buffer: %llu bytes, %llu are free",
				  (unsigned long long)buffer->bytes, (unsigned long long)*left);
	err = accel_space_alloc(buffer->device, &to_null(buffer->device)->va, buffer->bytes,
				accel_page_align(buffer->bytes), UINT64_MAX, 0, &buffer->address);
	if (err)
		return accel_fail(buffer->device, err, "buffer: no memory or addresses");
	if (left)
		*left -= buffer->bytes;
	return 0;
}

static void null_buffer_destroy(struct accel_buffer *buffer)
{
	uint64_t *left = null_free(buffer);

	if (buffer->map)
		munmap(buffer->map, buffer->bytes);
	accel_space_free(&to_null(buffer->device)->va, buffer->address, buffer->bytes);
	if (left)
		*left += buffer->bytes;
}

static int null_buffer_map(struct accel_buffer *buffer)
{
	void *map = mmap(NULL, buffer->bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return accel_fail(buffer->device, -ENOMEM, "map: %s", strerror(errno));
	buffer->map = map;
	return 0;
}

/* In SRAM as far as there is some. */
static int null_lease_create(struct accel_lease *lease)
{
	struct accel_device_info *device = &lease->device->info;
	struct accel_lease_info *info = &lease->info;
	uint64_t bytes = info->guaranteed + info->burst;
	int err;

	if (info->guaranteed > device->sram_free || info->burst > device->hbm_free)
		return accel_fail(lease->device, -ENOSPC, "lease: %llu bytes of SRAM and %llu of "
				  "HBM are free", (unsigned long long)device->sram_free,
				  (unsigned long long)device->hbm_free);
	err = accel_space_alloc(lease->device, &to_null(lease->device)->va, bytes,
				accel_page_align(bytes), UINT64_MAX, 0, &lease->address);
	if (err)
		return accel_fail(lease->device, err, "lease: no memory or addresses");
	info->resident = bytes <= device->sram_free ? bytes : info->guaranteed;
	device->sram_free -= info->resident;
	device->hbm_free -= info->burst;
	return 0;
}

static void null_lease_destroy(struct accel_lease *lease)
{
	const struct accel_lease_info *info = &lease->info;

	accel_space_free(&to_null(lease->device)->va, lease->address,
			 info->guaranteed + info->burst);
	lease->device->info.sram_free += info->resident;
	lease->device->info.hbm_free += info->burst;
}

static int null_lease_query(struct accel_lease *lease)
{
	(void)lease;
	return 0;
}

static int null_stream_create(struct accel_stream *stream, const void *data)
{
	(void)stream;
	(void)data;
	return 0;
}

static void null_stream_destroy(struct accel_stream *stream)
{
	(void)stream;
}

static int null_queue_create(struct accel_queue *queue)
{
	queue->depth = ACCEL_QUEUE_JOBS;
	return 0;
}

static void null_queue_destroy(struct accel_queue *queue)
{
	(void)queue;
}

static int null_submit(struct accel_queue *queue, uint64_t first, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		accel_lease_count(accel_queue_job(queue, first + i));
	return 0;
}

/* What was handed over is over. */
static void null_poll(struct accel_queue *queue)
{
	static const struct nib_completion done = { .status = NIB_DONE_OK };

	while (queue->head < queue->handed)
		accel_queue_retire(queue, 0, &done);
}

/* Called only for jobs that poll could not end: nothing will. */
static int null_wait(struct accel_queue *queue, uint64_t number, uint64_t deadline)
{
	(void)queue;
	(void)number;
	(void)deadline;
	return -EDEADLK;
}

static int null_queue_query(struct accel_queue *queue, struct accel_queue_state *state)
{
	(void)queue;
	(void)state;
	return 0;
}

const struct accel_transport_ops accel_transport_null = {
	.name = "null",
	.device_size = sizeof(struct null_device),
	.buffer_size = sizeof(struct accel_buffer),
	.lease_size = sizeof(struct accel_lease),
	.stream_size = sizeof(struct accel_stream),
	.queue_size = sizeof(struct accel_queue),
	.open = null_open,
	.close = null_close,
	.query = null_query,
	.buffer_create = null_buffer_create,
	.buffer_destroy = null_buffer_destroy,
	.buffer_map = null_buffer_map,
	.lease_create = null_lease_create,
	.lease_destroy = null_lease_destroy,
	.lease_query = null_lease_query,
	.stream_create = null_stream_create,
	.stream_destroy = null_stream_destroy,
	.queue_create = null_queue_create,
	.queue_destroy = null_queue_destroy,
	.submit = null_submit,
	.poll = null_poll,
	.wait = null_wait,
	.queue_query = null_queue_query,
};
