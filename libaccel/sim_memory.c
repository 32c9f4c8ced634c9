// SPDX-License-Identifier: MIT
/*
 * Memory of the in-process transport: what a kernel driver would do for buffers. Allocates HBM,
 * SRAM and virtual addresses, keeps the DMA space, and writes the page table through the HBM
 * window.
 */
#include <sys/mman.h>

#include "sim.h"

#define VA_START	(1ull << 32)
#define VA_BYTES	((1ull << 47) - VA_START)

/* --- Host memory --- */

/* Index of the first host range that ends above @at. */
static uint32_t host_index(const struct sim_device *sim, uintptr_t at)
{
	uint32_t low = 0, high = sim->n_hosts, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (sim->hosts[mid].start + sim->hosts[mid].bytes <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void *sim_host_dma(void *host, uint64_t addr, size_t bytes, bool write)
{
	const struct sim_device *sim = host;
	uint32_t i = host_index(sim, (uintptr_t)addr);

	(void)write;
	if (i == sim->n_hosts || addr < sim->hosts[i].start ||
	    bytes > sim->hosts[i].bytes - (addr - sim->hosts[i].start))
		return NULL;
	return (void *)(uintptr_t)addr;
}

/* Zeroed, and aligned so that large pages can map it. */
void *sim_host_alloc(struct sim_device *sim, size_t bytes)
{
	size_t align = accel_page_align(bytes), total = bytes + align - ACCEL_PAGE;
	uint8_t *base, *ptr;
	uint32_t i;

	if (total < bytes || accel_grow(&sim->base, (void **)&sim->hosts, &sim->cap_hosts,
					sim->n_hosts + 1, sizeof(*sim->hosts)))
		return NULL;
	base = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	ptr = (uint8_t *)(((uintptr_t)base + align - 1) & ~(align - 1));
	if (ptr > base)
		munmap(base, (size_t)(ptr - base));
	if (ptr + bytes < base + total)
		munmap(ptr + bytes, (size_t)(base + total - ptr - bytes));
	if (align == NIB_PAGE_2M)
		madvise(ptr, bytes, MADV_HUGEPAGE);
	i = host_index(sim, (uintptr_t)ptr);
	memmove(sim->hosts + i + 1, sim->hosts + i, (sim->n_hosts - i) * sizeof(*sim->hosts));
	sim->hosts[i] = (struct sim_host){ (uintptr_t)ptr, bytes };
	sim->n_hosts++;
	return ptr;
}

void sim_host_free(struct sim_device *sim, void *ptr)
{
	uint32_t i = host_index(sim, (uintptr_t)ptr);
	size_t bytes;

	if (!ptr)
		return;
	bytes = sim->hosts[i].bytes;
	if (sim->nib)
		nib_device_quiesce(sim->nib);
	sim->n_hosts--;
	memmove(sim->hosts + i, sim->hosts + i + 1, (sim->n_hosts - i) * sizeof(*sim->hosts));
	munmap(ptr, bytes);
	if (sim->nib)
		nib_device_resume(sim->nib);
}

/* --- Page table --- */

int sim_hbm_alloc(struct sim_device *sim, uint64_t bytes, uint64_t *offset)
{
	bytes = (bytes + ACCEL_PAGE - 1) & ~(ACCEL_PAGE - 1);
	return accel_space_alloc(&sim->base, &sim->hbm, bytes, ACCEL_PAGE, sim->window_bytes,
				 ACCEL_SPACE_TOP, offset);
}

/* Free memory of the window is zero, always. It is memory of this process alone. */
void sim_hbm_free(struct sim_device *sim, uint64_t offset, uint64_t bytes)
{
	bytes = (bytes + ACCEL_PAGE - 1) & ~(ACCEL_PAGE - 1);
	if (offset < sim->window_bytes) {
		if (bytes < NIB_PAGE_2M || madvise(sim->window + offset, bytes, MADV_DONTNEED))
			memset(sim->window + offset, 0, bytes);
	} else if (offset < sim->hbm_dirty) {
		sim->hbm_dirty = offset;
	}
	accel_space_free(&sim->hbm, offset, bytes);
}

static uint64_t *table_at(struct sim_device *sim, uint64_t offset)
{
	return (uint64_t *)(void *)(sim->window + offset);
}

static uint32_t table_index(uint64_t va, int level)
{
	return va >> NIB_PT_SHIFT(level) & (NIB_PT_ENTRIES - 1);
}

/* The entry of @level for @va, with the tables above it; NULL without HBM, or with @make unset. */
static uint64_t *entry(struct sim_device *sim, uint64_t va, int level, bool make)
{
	uint64_t *at = table_at(sim, sim->root) + table_index(va, NIB_PT_LEVELS - 1), table;
	int l;

	for (l = NIB_PT_LEVELS - 1; l > level; l--) {
		if (!(*at & NIB_PTE_VALID)) {
			if (!make || sim_hbm_alloc(sim, ACCEL_PAGE, &table))
				return NULL;
			*at = table | NIB_PTE_VALID;
		}
		at = table_at(sim, *at & NIB_PTE_ADDR_MASK) + table_index(va, l - 1);
	}
	return at;
}

static uint64_t page_at(uint64_t va, uint64_t address, uint64_t bytes)
{
	if (!((va | address) & (NIB_PAGE_2M - 1)) && bytes >= NIB_PAGE_2M)
		return NIB_PAGE_2M;
	if (!((va | address) & (NIB_PAGE_64K - 1)) && bytes >= NIB_PAGE_64K)
		return NIB_PAGE_64K;
	return ACCEL_PAGE;
}

/* Map with the largest pages; bits 0 unmaps. @address says which sizes were used to map. */
static int set_pages(struct sim_device *sim, uint64_t va, uint64_t address, uint64_t bytes,
		     uint64_t bits)
{
	uint64_t page, *at, i;

	while (bytes) {
		page = page_at(va, address, bytes);
		at = entry(sim, va, page == NIB_PAGE_2M ? 1 : 0, bits != 0);
		if (!at && bits)
			return -ENOSPC;
		if (at && page == NIB_PAGE_2M) {
			/* An empty table may be left from small pages. */
			if ((*at & (NIB_PTE_VALID | NIB_PTE_BLOCK)) == NIB_PTE_VALID)
				sim_hbm_free(sim, *at & NIB_PTE_ADDR_MASK, ACCEL_PAGE);
			*at = bits ? address | bits | NIB_PTE_BLOCK : 0;
		}
		for (i = 0; at && page != NIB_PAGE_2M && i < page / ACCEL_PAGE; i++) {
			at[i] = bits ? (address + i * ACCEL_PAGE) | bits : 0;
			if (bits && page == NIB_PAGE_64K)
				at[i] |= NIB_PTE_64K;
		}
		va += page;
		address += page;
		bytes -= page;
	}
	return 0;
}

static void invalidate(struct sim_device *sim)
{
	nib_device_write(sim->nib, NIB_BAR_REGS, NIB_REG_TLB_INVALIDATE, 4, 0);
}

static int map(struct sim_device *sim, const struct sim_buffer *buffer, bool readonly)
{
	static const uint64_t mems[] = {
		[ACCEL_MEMORY_HBM] = NIB_MEM_HBM, [ACCEL_MEMORY_SRAM] = NIB_MEM_SRAM,
		[ACCEL_MEMORY_HOST] = NIB_MEM_HOST,
	};
	uint64_t bits = NIB_PTE_VALID | mems[buffer->base.memory] << NIB_PTE_MEM_SHIFT;
	int err;

	if (!readonly)
		bits |= NIB_PTE_WRITE;
	err = set_pages(sim, buffer->base.address, buffer->offset, buffer->base.bytes, bits);
	if (err)
		set_pages(sim, buffer->base.address, buffer->offset, buffer->base.bytes, 0);
	invalidate(sim);
	return err;
}

int sim_memory_init(struct sim_device *sim)
{
	int err;

	err = accel_space_init(&sim->base, &sim->va, VA_START, VA_BYTES);
	if (!err)
		err = accel_space_init(&sim->base, &sim->hbm, 0,
				       sim->base.info.hbm_bytes & ~(ACCEL_PAGE - 1));
	if (!err)
		err = accel_space_init(&sim->base, &sim->sram, 0,
				       sim->base.info.sram_bytes & ~(ACCEL_PAGE - 1));
	if (!err)
		err = sim_hbm_alloc(sim, ACCEL_PAGE, &sim->root);
	sim->hbm_dirty = UINT64_MAX;
	return err;
}

void sim_memory_fini(struct sim_device *sim)
{
	while (sim->n_hosts)
		sim_host_free(sim, (void *)sim->hosts[sim->n_hosts - 1].start);
	accel_free(&sim->base, sim->hosts);
	accel_space_fini(&sim->base, &sim->va);
	accel_space_fini(&sim->base, &sim->hbm);
	accel_space_fini(&sim->base, &sim->sram);
}

/* --- Buffers --- */

/*
 * The device clears what the CPU cannot reach, as a kernel driver has it done. The queue and the
 * stream for that are ours: they are not among those that the caller may have.
 */
static int zero_by_device(struct sim_device *sim, uint64_t address, uint64_t bytes)
{
	const uint64_t most = 1ull << 32;
	struct nib_pkt_fill fill = { .hdr = { NIB_OP_FILL, 4, 3 }, .dst = NIB_ARG(0, 0),
				     .count = NIB_ARG(1, 0) };
	struct {
		struct nib_pkt_fill fill;
		struct nib_pkt end;
	} words = { fill, { NIB_OP_END, 1, 0 } };
	uint64_t args[2];
	struct accel_job job = { .struct_size = sizeof(job), .args = args, .nargs = 2 };
	struct accel_device *device = &sim->base;
	int err = 0;

	if (!sim->zero_queue) {
		device->info.max_queues++;
		err = accel_queue_create(device, ACCEL_PRIORITY_NORMAL, 0, &sim->zero_queue);
		device->info.max_queues--;
		device->n_queues -= !err;
	}
	if (!err && !sim->zero_stream) {
		device->info.max_streams++;
		err = accel_stream_create(device, &words, sizeof(words), &sim->zero_stream);
		device->info.max_streams--;
		device->n_streams -= !err;
	}
	for (; bytes && !err; bytes -= args[1] * 4, address += args[1] * 4) {
		job.stream = sim->zero_stream;
		args[0] = address;
		args[1] = (bytes < most ? bytes : most) / 4;
		err = accel_queue_submit(sim->zero_queue, &job, 1);
		if (!err)
			err = accel_queue_sync(sim->zero_queue, UINT64_MAX);
	}
	return err;
}

void sim_memory_end_zeroing(struct sim_device *sim)
{
	sim->base.n_streams += sim->zero_stream != NULL;
	accel_stream_destroy(sim->zero_stream);
	sim->base.n_queues += sim->zero_queue != NULL;
	accel_queue_destroy(sim->zero_queue);
}

static int take_memory(struct sim_device *sim, struct sim_buffer *buffer, bool *dirty)
{
	uint64_t bytes = buffer->base.bytes, align = accel_page_align(bytes), limit;
	bool outside;
	int err;

	switch (buffer->base.memory) {
	case ACCEL_MEMORY_HOST:
		buffer->offset = (uintptr_t)sim_host_alloc(sim, bytes);
		return buffer->offset ? 0 : accel_fail(&sim->base, -ENOMEM,
						       "buffer: no host memory for %llu bytes",
						       (unsigned long long)bytes);
	case ACCEL_MEMORY_SRAM:
		err = accel_space_alloc(&sim->base, &sim->sram, bytes, align, UINT64_MAX, 0,
					&buffer->offset);
		*dirty = buffer->offset < sim->sram_dirty;
		break;
	default:
		outside = buffer->base.flags & ACCEL_BUFFER_NO_MAP &&
			  sim->base.info.hbm_bytes > sim->window_bytes;
		limit = outside ? UINT64_MAX : sim->window_bytes;
		err = accel_space_alloc(&sim->base, &sim->hbm, bytes, align, limit,
					outside ? ACCEL_SPACE_TOP : 0, &buffer->offset);
		*dirty = buffer->offset + bytes > sim->hbm_dirty;
	}
	if (err == -ENOSPC)
		return accel_fail(&sim->base, err,
				  "buffer: %llu bytes of %s in one piece, %llu are free",
				  (unsigned long long)bytes,
				  buffer->base.memory == ACCEL_MEMORY_SRAM ? "SRAM" : "HBM",
				  (unsigned long long)(buffer->base.memory == ACCEL_MEMORY_SRAM
							       ? sim->sram.free
							       : sim->hbm.free));
	return err ? accel_fail(&sim->base, err, "buffer: no memory") : 0;
}

static void give_memory(struct sim_device *sim, struct sim_buffer *buffer)
{
	uint64_t end = buffer->offset + buffer->base.bytes;

	switch (buffer->base.memory) {
	case ACCEL_MEMORY_HOST:
		sim_host_free(sim, (void *)(uintptr_t)buffer->offset);
		break;
	case ACCEL_MEMORY_SRAM:
		if (end > sim->sram_dirty)
			sim->sram_dirty = end;
		accel_space_free(&sim->sram, buffer->offset, buffer->base.bytes);
		break;
	default:
		sim_hbm_free(sim, buffer->offset, buffer->base.bytes);
	}
}

/* Gives a buffer that has its address memory, zeroed and mapped. */
static int fill(struct sim_device *sim, struct sim_buffer *buffer)
{
	struct accel_buffer *base = &buffer->base;
	bool readonly = base->flags & ACCEL_BUFFER_READONLY, dirty = false;
	int err;

	err = take_memory(sim, buffer, &dirty);
	if (err)
		return err;
	err = map(sim, buffer, readonly && !dirty);
	if (err) {
		accel_fail(&sim->base, err, "buffer: no HBM for its page table");
		goto give;
	}
	if (dirty) {
		err = zero_by_device(sim, base->address, base->bytes);
		if (!err && readonly)
			err = map(sim, buffer, true);
	}
	if (!err)
		return 0;
	set_pages(sim, base->address, buffer->offset, base->bytes, 0);
	invalidate(sim);
give:
	give_memory(sim, buffer);
	return err;
}

static void empty(struct sim_device *sim, struct sim_buffer *buffer)
{
	set_pages(sim, buffer->base.address, buffer->offset, buffer->base.bytes, 0);
	invalidate(sim);
	give_memory(sim, buffer);
}

/* Addresses, and a page more, never mapped: running past the end is a fault. */
static int take_address(struct sim_device *sim, const char *what, uint64_t bytes, uint64_t *address)
{
	int err = accel_space_alloc(&sim->base, &sim->va, bytes + ACCEL_PAGE,
				    accel_page_align(bytes), UINT64_MAX, 0, address);

	return err ? accel_fail(&sim->base, err, "%s: no memory or addresses for %llu bytes", what,
				(unsigned long long)bytes) : 0;
}

int sim_buffer_create(struct accel_buffer *base)
{
	struct sim_device *sim = to_sim(base->device);
	int err = take_address(sim, "buffer", base->bytes, &base->address);

	if (err)
		return err;
	err = fill(sim, (struct sim_buffer *)base);
	if (err)
		accel_space_free(&sim->va, base->address, base->bytes + ACCEL_PAGE);
	return err;
}

void sim_buffer_destroy(struct accel_buffer *base)
{
	struct sim_device *sim = to_sim(base->device);

	empty(sim, (struct sim_buffer *)base);
	accel_space_free(&sim->va, base->address, base->bytes + ACCEL_PAGE);
}

int sim_buffer_map(struct accel_buffer *base)
{
	struct sim_buffer *buffer = (struct sim_buffer *)base;

	base->map = base->memory == ACCEL_MEMORY_HOST ? (void *)(uintptr_t)buffer->offset :
		    to_sim(base->device)->window + buffer->offset;
	return 0;
}

/* --- Leases --- */

static int fill_part(struct sim_device *sim, struct sim_buffer *part, enum accel_memory memory,
		     uint64_t address, uint64_t bytes)
{
	part->base = (struct accel_buffer){
		.device = &sim->base, .memory = memory, .flags = ACCEL_BUFFER_NO_MAP,
		.address = address, .bytes = bytes,
	};
	return bytes ? fill(sim, part) : 0;
}

static void empty_part(struct sim_device *sim, struct sim_buffer *part)
{
	if (part->base.bytes)
		empty(sim, part);
}

/* Nobody else wants the burst part's room, so that it stays where it is made: in SRAM if it can. */
int sim_lease_create(struct accel_lease *base)
{
	struct sim_device *sim = to_sim(base->device);
	struct sim_lease *lease = (struct sim_lease *)base;
	struct accel_lease_info *info = &base->info;
	uint64_t bytes = info->guaranteed + info->burst, behind;
	int err = take_address(sim, "lease", bytes, &base->address);

	if (err)
		return err;
	behind = base->address + info->guaranteed;
	err = fill_part(sim, &lease->guaranteed, ACCEL_MEMORY_SRAM, base->address,
			info->guaranteed);
	if (err)
		goto free_address;
	info->resident = bytes;
	err = fill_part(sim, &lease->burst, ACCEL_MEMORY_SRAM, behind, info->burst);
	if (err == -ENOSPC) {
		info->resident = info->guaranteed;
		err = fill_part(sim, &lease->burst, ACCEL_MEMORY_HBM, behind, info->burst);
	}
	if (!err)
		return 0;
	empty_part(sim, &lease->guaranteed);
free_address:
	accel_space_free(&sim->va, base->address, bytes + ACCEL_PAGE);
	return err;
}

void sim_lease_destroy(struct accel_lease *base)
{
	struct sim_device *sim = to_sim(base->device);
	struct sim_lease *lease = (struct sim_lease *)base;

	empty_part(sim, &lease->guaranteed);
	empty_part(sim, &lease->burst);
	accel_space_free(&sim->va, base->address,
			 base->info.guaranteed + base->info.burst + ACCEL_PAGE);
}

int sim_lease_query(struct accel_lease *lease)
{
	(void)lease;
	return 0;
}
