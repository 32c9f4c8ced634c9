/* SPDX-License-Identifier: MIT */
/*
 * The in-process transport: a driver in user space over firmware-sim/nib_device.h. It sees what any
 * PCI driver sees: registers, doorbells, the HBM window, DMA. Private to transport_sim.c (machine,
 * firmware, queues) and sim_memory.c (memories, page table, buffers).
 */
#ifndef ACCEL_SIM_H
#define ACCEL_SIM_H

#include "nib_device.h"
#include "transport.h"

/* A piece of host memory that the device may reach; its DMA address is its address. */
struct sim_host {
	uintptr_t start;
	size_t bytes;
};

/**
 * struct sim_device
 * @hosts: ascending.
 * @root: HBM offset of the page table.
 * @sram_dirty: SRAM below was used before.
 * @hbm_dirty: HBM from here on, past the window, was used before.
 * @work: the device was given something since it last had nothing to do.
 * @trace: see accel_open_params; NULL for none.
 * @queues: of the device; what clears memory takes one, the caller the rest.
 * @streams: the same.
 * @zero_queue: clears what the CPU cannot reach; made when first needed.
 */
struct sim_device {
	struct accel_device base;
	struct nib_device *nib;
	uint8_t *window;
	uint64_t window_bytes;
	struct sim_host *hosts;
	uint32_t n_hosts;
	uint32_t cap_hosts;
	struct nib_ctrl *ctrl;
	void (*trace)(void *user, const struct accel_trace_event *event);
	uint32_t admin_tail;
	bool context;
	bool work;
	struct accel_space hbm;
	struct accel_space sram;
	struct accel_space va;
	uint64_t root;
	uint64_t sram_dirty;
	uint64_t hbm_dirty;
	uint32_t queues;
	uint32_t streams;
	struct accel_queue *zero_queue;
	struct accel_stream *zero_stream;
	uint64_t *queue_ids;	/* bit set: in use */
	uint64_t *stream_ids;
};

struct sim_buffer {
	struct accel_buffer base;
	uint64_t offset;	/* in its memory; of host memory its address */
};

/* Its parts lie side by side; one of 0 bytes is not there. */
struct sim_lease {
	struct accel_lease base;
	struct sim_buffer guaranteed;
	struct sim_buffer burst;
};

static inline struct sim_device *to_sim(struct accel_device *device)
{
	return (struct sim_device *)device;
}

/* sim_memory.c */
void *sim_host_alloc(struct sim_device *sim, size_t bytes);
void sim_host_free(struct sim_device *sim, void *ptr);
void *sim_host_dma(void *host, uint64_t addr, size_t bytes, bool write);
/* HBM in the window, zeroed, for the driver's own use: page tables and streams. */
int sim_hbm_alloc(struct sim_device *sim, uint64_t bytes, uint64_t *offset);
void sim_hbm_free(struct sim_device *sim, uint64_t offset, uint64_t bytes);
int sim_memory_init(struct sim_device *sim);
void sim_memory_fini(struct sim_device *sim);
/* While the device still runs: lets go of what clears memory. */
void sim_memory_end_zeroing(struct sim_device *sim);
int sim_buffer_create(struct accel_buffer *buffer);
void sim_buffer_destroy(struct accel_buffer *buffer);
int sim_buffer_map(struct accel_buffer *buffer);
int sim_lease_create(struct accel_lease *lease);
void sim_lease_destroy(struct accel_lease *lease);
int sim_lease_query(struct accel_lease *lease);

#endif
