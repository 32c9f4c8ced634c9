// SPDX-License-Identifier: MIT
/* See driver.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "driver.h"

unsigned int driver_threads = 1;
bool driver_inject;

static void require(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "driver: %s\n", what);
	abort();
}

/* --- The machine --- */

static void *host_dma(void *host, uint64_t address, size_t bytes, bool write)
{
	struct driver *d = host;
	uint64_t at = address - DRIVER_DMA;

	(void)write;
	if (d->host_gone || address < DRIVER_DMA || at > DRIVER_HOST || bytes > DRIVER_HOST - at)
		return NULL;
	if (d->host_gap && at < d->host_gap && at + bytes > d->host_gap)
		return NULL;
	return d->host + at;
}

static void host_irq(void *host, unsigned int vector)
{
	struct driver *d = host;

	__atomic_fetch_add(&d->irqs[vector], 1, __ATOMIC_SEQ_CST);
}

static void host_kick(void *host)
{
	struct driver *d = host;

	__atomic_fetch_add(&d->kicks, 1, __ATOMIC_SEQ_CST);
}

static void host_log(void *host, int level, const char *line)
{
	struct driver *d = host;

	(void)level;
	snprintf(d->log, sizeof(d->log), "%s", line);
}

struct driver *driver_new(const char *chip, const char *kernels)
{
	struct driver *d = calloc(1, sizeof(*d));
	struct nib_device_config config = {
		.chip = chip,
		.kernels = kernels,
		.threads = driver_threads,
		.inject = driver_inject,
		.ops = { .dma = host_dma, .irq = host_irq, .kick = host_kick, .log = host_log },
		.host = d,
	};
	char error[256] = "";

	require(d, "out of memory");
	d->host = aligned_alloc(NIB_PAGE_2M, DRIVER_HOST);
	require(d->host, "out of memory");
	memset(d->host, 0, DRIVER_HOST);
	require(!nib_device_create(&config, error, sizeof(error), &d->device), error);
	d->hbm = nib_device_window(d->device, NULL, NULL);
	/* Offset 0 is left free, so that a missing address does not pass for one. */
	d->hbm_next = NIB_PAGE_4K;
	d->host_next = NIB_PAGE_4K;
	return d;
}

void driver_free(struct driver *d)
{
	nib_device_destroy(d->device);
	free(d->host);
	free(d);
}

uint32_t driver_read(struct driver *d, uint64_t reg)
{
	return (uint32_t)nib_device_read(d->device, NIB_BAR_REGS, reg, 4);
}

uint64_t driver_read64(struct driver *d, uint64_t reg)
{
	return nib_device_read(d->device, NIB_BAR_REGS, reg, 8);
}

void driver_write(struct driver *d, uint64_t reg, uint32_t value)
{
	nib_device_write(d->device, NIB_BAR_REGS, reg, 4, value);
}

void driver_write64(struct driver *d, uint64_t reg, uint64_t value)
{
	nib_device_write(d->device, NIB_BAR_REGS, reg, 8, value);
}

static uint64_t bump(uint64_t *next, uint64_t bytes, uint64_t align, uint64_t limit)
{
	uint64_t at = (*next + align - 1) / align * align;

	require(at + bytes <= limit, "out of device or host memory");
	*next = at + bytes;
	return at;
}

uint64_t driver_host_alloc(struct driver *d, uint64_t bytes, uint64_t align)
{
	uint64_t at = bump(&d->host_next, bytes, align, DRIVER_HOST);

	memset(d->host + at, 0, bytes);
	return at;
}

uint64_t driver_hbm_alloc(struct driver *d, uint64_t bytes, uint64_t align)
{
	uint64_t size, at;

	nib_device_window(d->device, NULL, &size);
	at = bump(&d->hbm_next, bytes, align, size);
	memset(d->hbm + at, 0, bytes);
	return at;
}

/* --- Firmware and admin ring --- */

uint32_t driver_boot_image(struct driver *d, const void *image, uint32_t bytes)
{
	uint64_t at = driver_host_alloc(d, bytes, 64);
	uint64_t ctrl = driver_host_alloc(d, sizeof(*d->ctrl), NIB_PAGE_4K);

	memcpy(d->host + at, image, bytes);
	d->ctrl = (struct nib_ctrl *)(void *)(d->host + ctrl);
	d->admin_tail = 0;
	driver_write64(d, NIB_REG_FW_ADDR, DRIVER_DMA + at);
	driver_write(d, NIB_REG_FW_BYTES, bytes);
	driver_write64(d, NIB_REG_CTRL_ADDR, DRIVER_DMA + ctrl);
	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_BOOT);
	return driver_read(d, NIB_REG_FW_STATE);
}

void driver_boot(struct driver *d)
{
	size_t bytes;
	const void *image = nib_device_builtin_firmware(&bytes);

	require(driver_boot_image(d, image, (uint32_t)bytes) == NIB_FW_READY, "firmware");
}

uint32_t driver_admin(struct driver *d, uint16_t op, const uint64_t *args, unsigned int nargs)
{
	struct nib_admin_msg *msg = &d->ctrl->admin[d->admin_tail % NIB_ADMIN_SLOTS];

	memset(msg, 0, sizeof(*msg));
	msg->op = op;
	for (unsigned int i = 0; i < nargs; i++)
		msg->arg[i] = args[i];
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_ADMIN, 4, ++d->admin_tail);
	return __atomic_load_n(&msg->status, __ATOMIC_ACQUIRE);
}

/* --- Contexts --- */

void driver_context(struct driver *d, uint32_t context)
{
	d->root[context] = driver_hbm_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K);
	require(driver_adm(d, NIB_ADM_CTX_CREATE, context, d->root[context]) == NIB_ADM_OK,
		"context");
}

uint64_t *driver_pte(struct driver *d, uint32_t context, uint64_t va, int level)
{
	uint64_t table = d->root[context], *entry;

	for (int at = NIB_PT_LEVELS - 1;; at--) {
		entry = (uint64_t *)(void *)(d->hbm + table) +
			(va >> NIB_PT_SHIFT(at) & (NIB_PT_ENTRIES - 1));
		if (at == level)
			return entry;
		if (!*entry)
			*entry = driver_hbm_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K) | NIB_PTE_VALID;
		table = *entry & NIB_PTE_ADDR_MASK;
	}
}

void driver_map(struct driver *d, uint32_t context, uint64_t va, enum nib_mem mem,
		uint64_t address, uint64_t bytes, uint64_t page, uint64_t flags)
{
	uint64_t leaf = NIB_PTE_VALID | (uint64_t)mem << NIB_PTE_MEM_SHIFT | flags;
	uint64_t step = page == NIB_PAGE_2M ? page : NIB_PAGE_4K;

	leaf |= page == NIB_PAGE_2M ? NIB_PTE_BLOCK : page == NIB_PAGE_64K ? NIB_PTE_64K : 0;
	for (uint64_t at = 0; at < bytes; at += step)
		__atomic_store_n(driver_pte(d, context, va + at, page == NIB_PAGE_2M),
				 (address + at) | leaf, __ATOMIC_RELAXED);
}

void driver_unmap(struct driver *d, uint32_t context, uint64_t va, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += NIB_PAGE_4K)
		__atomic_store_n(driver_pte(d, context, va + at, 0), 0, __ATOMIC_RELAXED);
	driver_write(d, NIB_REG_TLB_INVALIDATE, context);
}

/* --- Queues --- */

void driver_stream(struct driver *d, uint32_t context, uint32_t id, const void *words,
		   uint64_t bytes, uint32_t nargs)
{
	uint64_t at = driver_hbm_alloc(d, bytes, 64);

	memcpy(d->hbm + at, words, bytes);
	require(driver_adm(d, NIB_ADM_STREAM_CREATE, context, id, at, bytes, nargs) == NIB_ADM_OK,
		"stream");
}

void driver_queue(struct driver *d, uint32_t queue, uint32_t context, uint32_t entries,
		  uint32_t priority, uint32_t weight, uint32_t vector)
{
	struct driver_queue *q = &d->queue[queue];

	*q = (struct driver_queue){ .entries = entries };
	q->ring = driver_host_alloc(d, NIB_RING_BYTES(entries), 64);
	require(driver_adm(d, NIB_ADM_QUEUE_CREATE, queue, context, DRIVER_DMA + q->ring, entries,
			   priority | weight << 8 | (uint64_t)vector << 24) == NIB_ADM_OK,
		"queue");
}

uint64_t driver_put(struct driver *d, uint32_t queue, const struct nib_ring_entry *entry,
		    const uint64_t *args)
{
	struct driver_queue *q = &d->queue[queue];
	uint64_t slot = q->jobs % q->entries;
	uint8_t *ring = d->host + q->ring;
	const struct nib_completion *last = q->jobs ? driver_done(d, queue, q->jobs - 1) : NULL;

	/* A queue that a fault halted takes up work again. */
	if (last && last->status >= NIB_DONE_FAULT_READ)
		require(driver_adm(d, NIB_ADM_QUEUE_RESET, queue) == NIB_ADM_OK, "queue reset");
	memcpy(ring + slot * sizeof(*entry), entry, sizeof(*entry));
	if (args)
		memcpy(ring + NIB_RING_ARGS(q->entries) + slot * NIB_RING_ARG_BYTES, args,
		       (entry->nargs < NIB_MAX_ARGS ? entry->nargs : NIB_MAX_ARGS) * 8);
	return q->jobs++;
}

void driver_ring(struct driver *d, uint32_t queue)
{
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(queue), 4,
			 (uint32_t)d->queue[queue].jobs);
}

uint64_t driver_submit(struct driver *d, uint32_t queue, uint32_t stream, const uint64_t *args,
		       uint32_t nargs, uint64_t stats_va)
{
	struct nib_ring_entry entry = {
		.stream = stream,
		.nargs = nargs,
		.seqno = 1000 + d->queue[queue].jobs,
		.stats_va = stats_va,
	};
	uint64_t job = driver_put(d, queue, &entry, args);

	driver_ring(d, queue);
	return job;
}

const struct nib_completion *driver_done(struct driver *d, uint32_t queue, uint64_t job)
{
	const struct driver_queue *q = &d->queue[queue];
	const struct nib_completion *done =
		(const void *)(d->host + q->ring + NIB_RING_DONE(q->entries) +
			       job % q->entries * sizeof(*done));

	return __atomic_load_n(&done->phase, __ATOMIC_ACQUIRE) == job / q->entries + 1 ? done :
	       NULL;
}

unsigned int driver_run(struct driver *d)
{
	unsigned int total = 0, ran;

	while ((ran = nib_device_run(d->device, 16)))
		total += ran;
	return total;
}

const struct nib_event *driver_event(struct driver *d)
{
	uint32_t head = d->ctrl->event_head;
	const struct nib_event *event = &d->ctrl->events[(head - 1) % NIB_EVENTS];

	return head && event->seq == head ? event : NULL;
}

/* --- Streams --- */

void *stream_add(struct stream *s, const void *packet, size_t bytes)
{
	void *at = &s->w[s->words];

	require(s->words + bytes / 8 <= sizeof(s->w) / 8, "stream too long");
	memcpy(at, packet, bytes);
	s->words += (uint32_t)(bytes / 8);
	return at;
}

void stream_nop(struct stream *s)
{
	struct nib_pkt p = STREAM_HDR(NIB_OP_NOP, struct nib_pkt);

	stream_add(s, &p, sizeof(p));
}

void stream_end(struct stream *s)
{
	struct nib_pkt p = STREAM_HDR(NIB_OP_END, struct nib_pkt);

	stream_add(s, &p, sizeof(p));
}

void stream_fill(struct stream *s, uint64_t va, uint64_t count, uint32_t value)
{
	struct nib_pkt_fill p = {
		.hdr = STREAM_HDR(NIB_OP_FILL, struct nib_pkt_fill),
		.dst = va,
		.count = count,
		.value = value,
	};

	stream_add(s, &p, sizeof(p));
}

void stream_sem(struct stream *s, uint64_t va, uint64_t value, uint32_t action)
{
	struct nib_pkt_sem p = {
		.hdr = STREAM_HDR(NIB_OP_SEM, struct nib_pkt_sem),
		.addr = va,
		.value = value,
		.action = action,
	};

	stream_add(s, &p, sizeof(p));
}

void stream_copy(struct stream *s, uint64_t src, uint32_t src_fmt, uint64_t dst, uint32_t dst_fmt,
		 uint64_t n)
{
	struct nib_pkt_copy p = {
		.hdr = STREAM_HDR(NIB_OP_COPY, struct nib_pkt_copy),
		.src = src,
		.dst = dst,
		.n0 = n,
		.n1 = 1,
		.n2 = 1,
		.src_fmt = src_fmt,
		.dst_fmt = dst_fmt,
	};

	stream_add(s, &p, sizeof(p));
}

void stream_arg(void *packet, uint32_t word, uint32_t index, int64_t addend)
{
	struct nib_pkt hdr;
	uint64_t reference = NIB_ARG(index, addend);

	memcpy(&hdr, packet, sizeof(hdr));
	hdr.argmask |= 1u << (word - 1);
	memcpy(packet, &hdr, sizeof(hdr));
	memcpy((uint8_t *)packet + word * 8, &reference, 8);
}

void stream_create(struct driver *d, uint32_t context, uint32_t id, struct stream *s,
		   uint32_t nargs)
{
	driver_stream(d, context, id, s->w, s->words * 8ull, nargs);
}
