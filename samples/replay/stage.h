/* SPDX-License-Identifier: MIT */
/*
 * A stage for the device in process: host memory, firmware, one context with a page table, and
 * queues, all of it placed by the caller. The least driver that there can be, over nib_device.h.
 *
 * Functions return 0 or -errno; stage.error then has a line that says what was wrong.
 */
#ifndef REPLAY_STAGE_H
#define REPLAY_STAGE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nib_device.h"
#include "nib_isa.h"
#include "nib_regs.h"

#define STAGE_CONTEXT		0u
#define STAGE_ERROR_BYTES	160

/* Host memory that the device may reach; its DMA address is its address. */
struct stage_host {
	uint8_t *start;
	size_t bytes;
};

/* Free room in a memory of the device: it is only ever taken. */
struct stage_room {
	uint64_t next;
	uint64_t end;
};

/**
 * struct stage - see above.
 * @window: HBM as the CPU sees it; @low is what is free there, @high what is free behind it.
 * @root: HBM offset of the page table.
 * @leaves: entries of the page table that map something.
 */
struct stage {
	struct nib_device *device;
	uint8_t *window;
	struct stage_room low;
	struct stage_room high;
	struct stage_room sram;
	struct stage_host *hosts;
	size_t n_hosts;
	struct nib_ctrl *ctrl;
	uint32_t admin_tail;
	uint64_t root;
	uint64_t leaves;
	char error[STAGE_ERROR_BYTES];
};

/* Powers it on, boots its firmware, makes its context. @chip: name or file. */
int stage_open(struct stage *m, const char *chip, unsigned int threads);
void stage_close(struct stage *m);

uint64_t stage_read(struct stage *m, uint64_t reg, unsigned int bytes);
void stage_write(struct stage *m, uint64_t reg, unsigned int bytes, uint64_t value);

/* Zeroed host memory; NULL if there is none. @address is a multiple of 2 MiB, plus @offset. */
uint8_t *stage_host(struct stage *m, uint64_t bytes, uint64_t offset);
/* HBM that the CPU need not see, or must; SRAM. False: there is no room. */
bool stage_hbm(struct stage *m, bool seen, uint64_t bytes, uint64_t align, uint64_t offset,
		 uint64_t *at);
bool stage_sram(struct stage *m, uint64_t bytes, uint64_t *at);

/* Maps whole pages; nothing is mapped there yet. */
int stage_map(struct stage *m, uint64_t va, uint64_t bytes, enum nib_mem mem, uint64_t at,
		bool write);
int stage_stream(struct stage *m, uint32_t id, const uint64_t *words, uint32_t bytes,
		   uint32_t nargs);

/**
 * struct stage_queue - a queue.
 * @ring: see nib_regs.h.
 * @tail: number of the next job.
 */
struct stage_queue {
	uint32_t id;
	uint32_t entries;
	uint8_t *ring;
	uint64_t first;
	uint64_t tail;
};

/* Makes a queue whose first job is number @first, and of that, passes over @skip packets. */
int stage_queue(struct stage *m, struct stage_queue *q, uint32_t id, uint32_t entries,
		  uint32_t priority, uint32_t weight, uint64_t first, uint32_t skip);
void stage_put(struct stage_queue *q, const struct nib_ring_entry *entry,
		 const __u64 *args);
void stage_ring(struct stage *m, const struct stage_queue *q);
/* The completion of a job, or NULL while there is none. */
const struct nib_completion *stage_done(const struct stage_queue *q, uint64_t number);
const struct nib_queue_status *stage_status(const struct stage *m,
					      const struct stage_queue *q);

/*
 * Executes until there is nothing left that can be, or time is up: then @stuck is called, and what
 * runs is ended by a reset of the function. Returns 0, -ETIME or another error.
 */
int stage_run(struct stage *m, unsigned int limit_ms, void (*stuck)(void *), void *data);

#endif
