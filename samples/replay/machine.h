/* SPDX-License-Identifier: MIT */
/*
 * A machine around the device in process: host memory, firmware, one context with a page table, and
 * queues, all of it placed by the caller. The least driver that there can be, over nib_device.h.
 *
 * Functions return 0 or -errno; machine.error then has a line that says what was wrong.
 */
#ifndef REPLAY_MACHINE_H
#define REPLAY_MACHINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nib_device.h"
#include "nib_isa.h"
#include "nib_regs.h"

#define MACHINE_CONTEXT		0u
#define MACHINE_ERROR_BYTES	160

/* Host memory that the device may reach; its DMA address is its address. */
struct machine_host {
	uint8_t *start;
	size_t bytes;
};

/* Free room in a memory of the device: it is only ever taken. */
struct machine_room {
	uint64_t next;
	uint64_t end;
};

/**
 * struct machine - see above.
 * @window: HBM as the CPU sees it; @low is what is free there, @high what is free behind it.
 * @root: HBM offset of the page table.
 * @leaves: entries of the page table that map something.
 */
struct machine {
	struct nib_device *device;
	uint8_t *window;
	struct machine_room low;
	struct machine_room high;
	struct machine_room sram;
	struct machine_host *hosts;
	size_t n_hosts;
	struct nib_ctrl *ctrl;
	uint32_t admin_tail;
	uint64_t root;
	uint64_t leaves;
	char error[MACHINE_ERROR_BYTES];
};

/* Powers it on, boots its firmware, makes its context. @chip: name or file. */
int machine_open(struct machine *m, const char *chip, unsigned int threads);
void machine_close(struct machine *m);

uint64_t machine_read(struct machine *m, uint64_t reg, unsigned int bytes);
void machine_write(struct machine *m, uint64_t reg, unsigned int bytes, uint64_t value);

/* Zeroed host memory; NULL if there is none. @address is a multiple of 2 MiB, plus @offset. */
uint8_t *machine_host(struct machine *m, uint64_t bytes, uint64_t offset);
/* HBM that the CPU need not see, or must; SRAM. False: there is no room. */
bool machine_hbm(struct machine *m, bool seen, uint64_t bytes, uint64_t align, uint64_t offset,
		 uint64_t *at);
bool machine_sram(struct machine *m, uint64_t bytes, uint64_t *at);

/* Maps whole pages; nothing is mapped there yet. */
int machine_map(struct machine *m, uint64_t va, uint64_t bytes, enum nib_mem mem, uint64_t at,
		bool write);
int machine_stream(struct machine *m, uint32_t id, const uint64_t *words, uint32_t bytes,
		   uint32_t nargs);

/**
 * struct machine_queue - a queue.
 * @ring: see nib_regs.h.
 * @tail: number of the next job.
 */
struct machine_queue {
	uint32_t id;
	uint32_t entries;
	uint8_t *ring;
	uint64_t first;
	uint64_t tail;
};

/* Makes a queue whose first job is number @first, and of that, passes over @skip packets. */
int machine_queue(struct machine *m, struct machine_queue *q, uint32_t id, uint32_t entries,
		  uint32_t priority, uint32_t weight, uint64_t first, uint32_t skip);
void machine_put(struct machine_queue *q, const struct nib_ring_entry *entry,
		 const __u64 *args);
void machine_ring(struct machine *m, const struct machine_queue *q);
/* The completion of a job, or NULL while there is none. */
const struct nib_completion *machine_done(const struct machine_queue *q, uint64_t number);
const struct nib_queue_status *machine_status(const struct machine *m,
					      const struct machine_queue *q);

/*
 * Executes until there is nothing left that can be, or time is up: then @stuck is called, and what
 * runs is ended by a reset of the function. Returns 0, -ETIME or another error.
 */
int machine_run(struct machine *m, unsigned int limit_ms, void (*stuck)(void *), void *data);

#endif
