// SPDX-License-Identifier: MIT
/* See stage.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "stage.h"

/* Most entries of a page table: 64 GiB of small pages. */
#define MAX_LEAVES	(16u << 20)
#define SLICE		64u	/* packets between two looks at whether to stop */

static int fail(struct stage *m, int err, const char *what)
{
	snprintf(m->error, sizeof(m->error), "%s", what);
	return err;
}

/* --- The machine --- */

static void *host_dma(void *host, uint64_t address, size_t bytes, bool write)
{
	const struct stage *m = host;
	size_t i;

	(void)write;
	for (i = 0; i < m->n_hosts; i++) {
		uint64_t at = address - (uintptr_t)m->hosts[i].start;

		if (address >= (uintptr_t)m->hosts[i].start && at < m->hosts[i].bytes &&
		    bytes <= m->hosts[i].bytes - at)
			return m->hosts[i].start + at;
	}
	return NULL;
}

static void host_irq(void *host, unsigned int vector)
{
	(void)host;
	(void)vector;
}

uint64_t stage_read(struct stage *m, uint64_t reg, unsigned int bytes)
{
	return nib_device_read(m->device, NIB_BAR_REGS, reg, bytes);
}

void stage_write(struct stage *m, uint64_t reg, unsigned int bytes, uint64_t value)
{
	nib_device_write(m->device, NIB_BAR_REGS, reg, bytes, value);
}

uint8_t *stage_host(struct stage *m, uint64_t bytes, uint64_t offset)
{
	uint64_t size = bytes + offset + 2 * NIB_PAGE_2M;
	struct stage_host *hosts;
	uint8_t *at;

	if (bytes > 1ull << NIB_VA_BITS)
		return NULL;
	hosts = realloc(m->hosts, (m->n_hosts + 1) * sizeof(*hosts));
	if (!hosts)
		return NULL;
	m->hosts = hosts;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		  -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	m->hosts[m->n_hosts++] = (struct stage_host){ .start = at, .bytes = size };
	return at + (-(uintptr_t)at & (NIB_PAGE_2M - 1)) + offset;
}

static bool take(struct stage_room *room, uint64_t bytes, uint64_t align, uint64_t offset,
		 uint64_t *at)
{
	uint64_t start = room->next + ((offset - room->next) & (align - 1));

	if (start < room->next || start > room->end || bytes > room->end - start)
		return false;
	room->next = start + bytes;
	*at = start;
	return true;
}

bool stage_hbm(struct stage *m, bool seen, uint64_t bytes, uint64_t align, uint64_t offset,
		 uint64_t *at)
{
	return (!seen && take(&m->high, bytes, align, offset, at)) ||
	       take(&m->low, bytes, align, offset, at);
}

bool stage_sram(struct stage *m, uint64_t bytes, uint64_t *at)
{
	return take(&m->sram, bytes, NIB_PAGE_4K, 0, at);
}

/* --- Firmware --- */

static int admin(struct stage *m, uint16_t op, const __u64 *args, size_t nargs)
{
	struct nib_admin_msg *msg = &m->ctrl->admin[m->admin_tail % NIB_ADMIN_SLOTS];
	uint32_t status;

	memset(msg, 0, sizeof(*msg));
	msg->op = op;
	memcpy(msg->arg, args, nargs * sizeof(args[0]));
	m->admin_tail++;
	nib_device_write(m->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_ADMIN, 4, m->admin_tail);
	do {
		status = __atomic_load_n(&msg->status, __ATOMIC_ACQUIRE);
	} while (status == NIB_ADM_PENDING && nib_device_run(m->device, 1));
	if (status == NIB_ADM_OK)
		return 0;
	snprintf(m->error, sizeof(m->error), "firmware: operation %u ended with status %u", op,
		 status);
	return -EIO;
}

#define ADMIN(m, op, ...)						\
	admin(m, op, (const __u64[]){ __VA_ARGS__ },			\
	      sizeof((const __u64[]){ __VA_ARGS__ }) / 8)

static int boot(struct stage *m)
{
	size_t bytes;
	const void *image = nib_device_builtin_firmware(&bytes);
	void *copy = stage_host(m, bytes, 0);

	m->ctrl = (void *)stage_host(m, sizeof(*m->ctrl), 0);
	if (!copy || !m->ctrl)
		return fail(m, -ENOMEM, "no memory for the firmware");
	memcpy(copy, image, bytes);
	stage_write(m, NIB_REG_CTRL_ADDR, 8, (uintptr_t)m->ctrl);
	stage_write(m, NIB_REG_FW_ADDR, 8, (uintptr_t)copy);
	stage_write(m, NIB_REG_FW_BYTES, 4, bytes);
	stage_write(m, NIB_REG_FW_COMMAND, 4, NIB_FW_BOOT);
	while (stage_read(m, NIB_REG_FW_STATE, 4) == NIB_FW_BOOTING &&
	       nib_device_run(m->device, 1))
		;
	if (stage_read(m, NIB_REG_FW_STATE, 4) != NIB_FW_READY)
		return fail(m, -EIO, "the firmware does not start");
	return 0;
}

int stage_open(struct stage *m, const char *chip, unsigned int threads)
{
	struct nib_device_config config = {
		.chip = chip,
		.threads = threads,
		.inject = true,
		.ops = { .dma = host_dma, .irq = host_irq },
		.host = m,
	};
	uint64_t window, hbm;
	int err;

	memset(m, 0, sizeof(*m));
	err = nib_device_create(&config, m->error, sizeof(m->error), &m->device);
	if (err)
		return err;
	m->window = nib_device_window(m->device, NULL, &window);
	hbm = stage_read(m, NIB_REG_HBM_BYTES, 8);
	/* The first page stays free, so that an address that is missing does not pass for one. */
	m->low = (struct stage_room){ NIB_PAGE_4K, window };
	m->high = (struct stage_room){ window, hbm };
	m->sram.end = stage_read(m, NIB_REG_SRAM_BYTES, 8);
	err = boot(m);
	if (!err && !stage_hbm(m, true, NIB_PAGE_4K, NIB_PAGE_4K, 0, &m->root))
		err = fail(m, -ENOSPC, "no HBM for a page table");
	if (!err)
		err = ADMIN(m, NIB_ADM_CTX_CREATE, STAGE_CONTEXT, m->root);
	if (err)
		stage_close(m);
	return err;
}

void stage_close(struct stage *m)
{
	size_t i;

	nib_device_destroy(m->device);
	m->device = NULL;
	for (i = 0; i < m->n_hosts; i++)
		munmap(m->hosts[i].start, m->hosts[i].bytes);
	free(m->hosts);
	m->hosts = NULL;
	m->n_hosts = 0;
}

/* --- Page table and streams --- */

/* The entry of a level that covers an address; tables are made where they are missing. */
static uint64_t *entry_of(struct stage *m, uint64_t va, int level)
{
	uint64_t table = m->root, *entry;
	int at;

	for (at = NIB_PT_LEVELS - 1;; at--) {
		entry = (uint64_t *)(void *)(m->window + table);
		entry += va >> NIB_PT_SHIFT(at) & (NIB_PT_ENTRIES - 1);
		if (at == level)
			return entry;
		if (!*entry) {
			if (!stage_hbm(m, true, NIB_PAGE_4K, NIB_PAGE_4K, 0, &table))
				return NULL;
			*entry = table | NIB_PTE_VALID;
		}
		table = *entry & NIB_PTE_ADDR_MASK;
	}
}

int stage_map(struct stage *m, uint64_t va, uint64_t bytes, enum nib_mem mem, uint64_t at,
		bool write)
{
	uint64_t leaf = NIB_PTE_VALID | (uint64_t)mem << NIB_PTE_MEM_SHIFT |
			(write ? NIB_PTE_WRITE : 0), done, step, *entry;
	bool block;

	for (done = 0; done < bytes; done += step) {
		block = !((va + done) % NIB_PAGE_2M) && !((at + done) % NIB_PAGE_2M) &&
			bytes - done >= NIB_PAGE_2M;
		step = block ? NIB_PAGE_2M : NIB_PAGE_4K;
		if (++m->leaves > MAX_LEAVES)
			return fail(m, -ENOSPC, "the address map is too large");
		entry = entry_of(m, va + done, block);
		if (!entry)
			return fail(m, -ENOSPC, "no HBM for the page table");
		*entry = (at + done) | leaf | (block ? NIB_PTE_BLOCK : 0);
	}
	return 0;
}

int stage_stream(struct stage *m, uint32_t id, const uint64_t *words, uint32_t bytes,
		   uint32_t nargs)
{
	uint64_t at;

	if (!stage_hbm(m, true, bytes, 64, 0, &at))
		return fail(m, -ENOSPC, "no HBM for a stream");
	memcpy(m->window + at, words, bytes);
	return ADMIN(m, NIB_ADM_STREAM_CREATE, STAGE_CONTEXT, id, at, bytes, nargs);
}

/* --- Queues --- */

int stage_queue(struct stage *m, struct stage_queue *q, uint32_t id, uint32_t entries,
		  uint32_t priority, uint32_t weight, uint64_t first, uint32_t skip)
{
	*q = (struct stage_queue){ .id = id, .entries = entries, .first = first, .tail = first };
	q->ring = stage_host(m, NIB_RING_BYTES(entries), 0);
	if (!q->ring)
		return fail(m, -ENOMEM, "no memory for a ring");
	return ADMIN(m, NIB_ADM_QUEUE_CREATE, id, STAGE_CONTEXT, (uintptr_t)q->ring, entries,
		     priority | weight << 8 | 1u << 24, first, skip);
}

void stage_put(struct stage_queue *q, const struct nib_ring_entry *entry, const __u64 *args)
{
	uint64_t slot = q->tail++ % q->entries;

	memcpy(q->ring + slot * sizeof(*entry), entry, sizeof(*entry));
	memcpy(q->ring + NIB_RING_ARGS(q->entries) + slot * NIB_RING_ARG_BYTES, args,
	       NIB_RING_ARG_BYTES);
}

void stage_ring(struct stage *m, const struct stage_queue *q)
{
	nib_device_write(m->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(q->id), 4,
			 (uint32_t)q->tail);
}

const struct nib_completion *stage_done(const struct stage_queue *q, uint64_t number)
{
	const struct nib_completion *done = (const void *)(q->ring + NIB_RING_DONE(q->entries));

	done += number % q->entries;
	return __atomic_load_n(&done->phase, __ATOMIC_ACQUIRE) ==
	       (uint32_t)(number / q->entries + 1) ? done : NULL;
}

const struct nib_queue_status *stage_status(const struct stage *m,
					      const struct stage_queue *q)
{
	return &m->ctrl->queues[q->id];
}

/* --- Execution, in a thread of its own: a packet can only be stopped from outside. --- */

struct worker {
	struct stage *m;
	bool stop;
};

static void *work(void *data)
{
	struct worker *worker = data;

	while (!__atomic_load_n(&worker->stop, __ATOMIC_RELAXED) &&
	       nib_device_run(worker->m->device, SLICE))
		;
	return NULL;
}

int stage_run(struct stage *m, unsigned int limit_ms, void (*stuck)(void *), void *data)
{
	struct worker worker = { .m = m };
	struct timespec until;
	pthread_t thread;
	int err;

	if (pthread_create(&thread, NULL, work, &worker))
		return fail(m, -EAGAIN, "cannot start a thread");
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += limit_ms / 1000;
	until.tv_nsec += limit_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	err = pthread_timedjoin_np(thread, NULL, &until);
	if (!err)
		return 0;
	stuck(data);
	__atomic_store_n(&worker.stop, true, __ATOMIC_RELAXED);
	stage_write(m, NIB_REG_RESET, 4, NIB_RESET_FUNCTION);
	pthread_join(thread, NULL);
	return -ETIME;
}
