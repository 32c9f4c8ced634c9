/* SPDX-License-Identifier: MIT */
/*
 * A small driver for the in-process device: host memory, control page, page tables, queues. Written
 * from nib_regs.h; tests and fuzzers of the device share it. Trouble of its own aborts.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "nib_device.h"
#include "nib_isa.h"
#include "nib_regs.h"

#define DRIVER_DMA	0x40000000ull	/* DMA address of the first byte of host memory */
#define DRIVER_HOST	(16u << 20)
#define DRIVER_QUEUES	8u

struct driver_queue {
	uint64_t ring;		/* offset in host memory */
	uint32_t entries;
	uint64_t jobs;		/* submitted */
};

/**
 * struct driver - a device and what a driver keeps about it.
 * @host: host memory; the device sees it at DRIVER_DMA.
 * @host_gap: where not 0, host memory is not contiguous across this offset.
 * @host_gone: nothing of it is mapped.
 * @hbm: through BAR4.
 * @hbm_next: first free byte of HBM; page tables and streams grow from here.
 * @host_next: first free byte of host memory.
 * @irqs: interrupts by vector.
 */
struct driver {
	struct nib_device *device;
	uint8_t *host;
	uint64_t host_gap;
	bool host_gone;
	uint8_t *hbm;
	uint64_t hbm_next;
	uint64_t host_next;
	unsigned int irqs[NIB_MSIX_VECTORS];
	unsigned int kicks;
	struct nib_ctrl *ctrl;
	uint32_t admin_tail;
	uint64_t root[NIB_MAX_CONTEXTS];
	struct driver_queue queue[DRIVER_QUEUES];
	char log[256];		/* last line */
};

/* For the devices to come: threads that compute, and whether NIB_REG_INJECT works. */
extern unsigned int driver_threads;
extern bool driver_inject;

/* Powered on, firmware off. @chip and @kernels as nib_device_config. */
struct driver *driver_new(const char *chip, const char *kernels);
void driver_free(struct driver *d);

uint32_t driver_read(struct driver *d, uint64_t reg);
uint64_t driver_read64(struct driver *d, uint64_t reg);
void driver_write(struct driver *d, uint64_t reg, uint32_t value);
void driver_write64(struct driver *d, uint64_t reg, uint64_t value);

/* Zeroed memory: offset in host memory, or in HBM. */
uint64_t driver_host_alloc(struct driver *d, uint64_t bytes, uint64_t align);
uint64_t driver_hbm_alloc(struct driver *d, uint64_t bytes, uint64_t align);

/* Boots an image, or the built-in one; returns FW_STATE. */
uint32_t driver_boot_image(struct driver *d, const void *image, uint32_t bytes);
void driver_boot(struct driver *d);

/* Sends one admin message and returns its status. Missing arguments are 0. */
uint32_t driver_admin(struct driver *d, uint16_t op, const uint64_t *args, unsigned int nargs);
#define driver_adm(d, op, ...)						\
	driver_admin(d, op, (const uint64_t[]){ __VA_ARGS__ },		\
		     sizeof((const uint64_t[]){ __VA_ARGS__ }) / 8)

/* A context with an empty page table. */
void driver_context(struct driver *d, uint32_t context);
/* Maps pages of @page bytes; @flags: NIB_PTE_WRITE, and others to add to each leaf. */
void driver_map(struct driver *d, uint32_t context, uint64_t va, enum nib_mem mem,
		uint64_t address, uint64_t bytes, uint64_t page, uint64_t flags);
void driver_unmap(struct driver *d, uint32_t context, uint64_t va, uint64_t bytes);
/* The entry that maps @va at @level, tables made where missing. */
uint64_t *driver_pte(struct driver *d, uint32_t context, uint64_t va, int level);

/* Copies a stream to HBM and creates it. */
void driver_stream(struct driver *d, uint32_t context, uint32_t id, const void *words,
		   uint64_t bytes, uint32_t nargs);
void driver_queue(struct driver *d, uint32_t queue, uint32_t context, uint32_t entries,
		  uint32_t priority, uint32_t weight, uint32_t vector);
/* Writes a ring entry and rings; returns the job's number. */
uint64_t driver_submit(struct driver *d, uint32_t queue, uint32_t stream, const uint64_t *args,
		       uint32_t nargs, uint64_t stats_va);
/* Writes a ring entry only. */
uint64_t driver_put(struct driver *d, uint32_t queue, const struct nib_ring_entry *entry,
		    const uint64_t *args);
void driver_ring(struct driver *d, uint32_t queue);
/* The completion of a job, or NULL while there is none. */
const struct nib_completion *driver_done(struct driver *d, uint32_t queue, uint64_t job);
/* Executes until there is nothing left to do; returns how many packets ran. */
unsigned int driver_run(struct driver *d);

/* The newest event, or NULL. */
const struct nib_event *driver_event(struct driver *d);

/* --- Streams --- */

struct stream {
	uint64_t w[4096];
	uint32_t words;
};

/* Appends a packet; @bytes of it. Returns where it lies. */
void *stream_add(struct stream *s, const void *packet, size_t bytes);
#define STREAM_HDR(op_, type) { .op = (op_), .words = sizeof(type) / 8 }
void stream_nop(struct stream *s);
void stream_end(struct stream *s);
void stream_fill(struct stream *s, uint64_t va, uint64_t count, uint32_t value);
void stream_sem(struct stream *s, uint64_t va, uint64_t value, uint32_t action);
/* @n elements in one row. */
void stream_copy(struct stream *s, uint64_t src, uint32_t src_fmt, uint64_t dst, uint32_t dst_fmt,
		 uint64_t n);
/* Makes word @word of the packet at @packet an argument. */
void stream_arg(void *packet, uint32_t word, uint32_t index, int64_t addend);
/* Creates it in a context. */
void stream_create(struct driver *d, uint32_t context, uint32_t id, struct stream *s,
		   uint32_t nargs);

#endif
