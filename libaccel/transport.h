/* SPDX-License-Identifier: MIT */
/*
 * A transport: how the core reaches a device. To add one, clone transport_null.c and list it in
 * device.c.
 *
 * The core allocates objects of the sizes given here, zeroed, with the core's struct first, fills
 * in the public part, and calls. Functions return 0 or -errno, with the text set by accel_fail()
 * where it says more than the number. A transport knows no timelines: it is given jobs in the order
 * of their queue, and says when they are over.
 */
#ifndef ACCEL_TRANSPORT_H
#define ACCEL_TRANSPORT_H

#include "internal.h"

#define ACCEL_BATCH	8192u	/* NIB_MAX_BATCH of nib_drm.h */

/**
 * struct accel_transport_ops
 * @name: as in accel-info --transport.
 * @orders: jobs may be handed over before what they wait for is over, as long as the jobs they
 *	wait for have been: the device orders queues among themselves.
 * @open: set device->info; see struct accel_open_params. On failure it has freed everything.
 * @query: refresh what changes of device->info.
 * @buffer_create: memory, flags and bytes are set; sets address. Memory is zeroed.
 * @buffer_map: sets buffer->map.
 * @lease_create: guaranteed and burst of lease->info are set; sets address, and resident. Memory is
 *	zeroed.
 * @lease_query: refresh lease->info.
 * @stream_create: sets id.
 * @queue_create: sets depth.
 * @queue_destroy: jobs in flight stop and touch nothing any more when it returns.
 * @submit: run @count jobs from number @first on, which have at most ACCEL_BATCH waits for queues,
 *	signals and leases together. All or none.
 * @poll: call accel_queue_retire() for each job handed over that has ended, in order. Does not
 *	block and, where nothing failed, enters no kernel.
 * @wait: make progress until @queue's job @number may have ended, or @deadline (accel_now()) is
 *	past. Returns 0 (look again), -ETIME, -EDEADLK (nothing can make it end), -ENODEV.
 * @queue_query: fill in what the core's queue->state does not know.
 */
struct accel_transport_ops {
	const char *name;
	size_t device_size;
	size_t buffer_size;
	size_t lease_size;
	size_t stream_size;
	size_t queue_size;
	bool orders;
	int (*open)(struct accel_device *device, const struct accel_open_params *params);
	void (*close)(struct accel_device *device);
	int (*query)(struct accel_device *device);
	int (*buffer_create)(struct accel_buffer *buffer);
	void (*buffer_destroy)(struct accel_buffer *buffer);
	int (*buffer_map)(struct accel_buffer *buffer);
	int (*lease_create)(struct accel_lease *lease);
	void (*lease_destroy)(struct accel_lease *lease);
	int (*lease_query)(struct accel_lease *lease);
	int (*stream_create)(struct accel_stream *stream, const void *data);
	void (*stream_destroy)(struct accel_stream *stream);
	int (*queue_create)(struct accel_queue *queue);
	void (*queue_destroy)(struct accel_queue *queue);
	int (*submit)(struct accel_queue *queue, uint64_t first, uint32_t count);
	void (*poll)(struct accel_queue *queue);
	int (*wait)(struct accel_queue *queue, uint64_t number, uint64_t deadline);
	int (*queue_query)(struct accel_queue *queue, struct accel_queue_state *state);
};

extern const struct accel_transport_ops accel_transport_drm;
extern const struct accel_transport_ops accel_transport_sim;
extern const struct accel_transport_ops accel_transport_null;

#endif
