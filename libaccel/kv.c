// SPDX-License-Identifier: MIT
/* K/V page pool: see kv.h. Where pages live is decided in take() and grow_hbm(), nowhere else. */
#include "internal.h"
#include "kv.h"

#define FIRST_EXTENT	(64ull << 20)	/* most bytes of HBM taken at the first need */

static void put(struct accel_kv *kv, uint32_t page)
{
	uint32_t tier = kv->pages[page].tier;

	kv->pages[page].next = kv->tier[tier].free_head;
	kv->tier[tier].free_head = page;
	kv->tier[tier].used--;
}

/* The fastest free page; there is one. */
static uint32_t take(struct accel_kv *kv)
{
	uint32_t tier = kv->tier[ACCEL_KV_SRAM].free_head != ACCEL_KV_NONE ? ACCEL_KV_SRAM :
			ACCEL_KV_HBM;
	uint32_t page = kv->tier[tier].free_head;

	kv->tier[tier].free_head = kv->pages[page].next;
	kv->tier[tier].used++;
	return page;
}

static uint64_t free_pages(const struct accel_kv *kv)
{
	uint64_t n = 0;

	for (int i = 0; i < ACCEL_KV_TIERS; i++)
		n += kv->tier[i].count - kv->tier[i].used;
	return n;
}

static int add_extent(struct accel_kv *kv, enum accel_kv_tier tier, uint32_t pages)
{
	struct accel_buffer *buffer;
	uint64_t address;
	int ret;

	if (kv->extents == ACCEL_KV_EXTENTS)
		return -ENOSPC;
	ret = accel_buffer_create(kv->device,
				  tier == ACCEL_KV_SRAM ? ACCEL_MEMORY_SRAM : ACCEL_MEMORY_HBM,
				  pages * kv->page_bytes,
				  tier == ACCEL_KV_SRAM ? 0 : ACCEL_BUFFER_NO_MAP, &buffer);
	if (ret)
		return ret;
	address = accel_buffer_address(buffer);
	kv->buffers[kv->extents++] = buffer;
	kv->tier[tier].count += pages;
	kv->tier[tier].used += pages;
	/* The last one first, so that pages are taken in order of address. */
	for (uint32_t i = pages; i--;) {
		kv->pages[kv->count + i] = (struct accel_kv_page){
			.address = address + i * kv->page_bytes, .tier = tier,
		};
		put(kv, kv->count + i);
	}
	kv->count += pages;
	return 0;
}

/* More HBM, at least @need pages: as much as there is already, or half of that, and so on. */
static int grow_hbm(struct accel_kv *kv, uint64_t need)
{
	uint32_t room = kv->tier[ACCEL_KV_HBM].max - kv->tier[ACCEL_KV_HBM].count;
	uint64_t want = kv->tier[ACCEL_KV_HBM].count;
	int ret;

	if (need > room)
		return -ENOSPC;
	if (want < kv->first_extent)
		want = kv->first_extent;
	if (want < need)
		want = need;
	if (want > room)
		want = room;
	for (;;) {
		ret = add_extent(kv, ACCEL_KV_HBM, want);
		if (ret != -ENOSPC || want == need)
			return ret;
		want = want / 2 > need ? want / 2 : need;
	}
}

/* All SRAM that is wanted and free: less than asked for is no error. */
static int grow_sram(struct accel_kv *kv)
{
	uint32_t pages = kv->tier[ACCEL_KV_SRAM].max;
	int ret = 0;

	while (pages) {
		ret = add_extent(kv, ACCEL_KV_SRAM, pages);
		if (ret != -ENOSPC)
			break;
		pages -= (pages + 7) / 8;
		ret = 0;
	}
	kv->tier[ACCEL_KV_SRAM].max = kv->tier[ACCEL_KV_SRAM].count;
	return ret;
}

int accel_kv_init(struct accel_kv *kv, struct accel_device *device,
		  const struct accel_kv_config *c)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	uint64_t sram, hbm = c->max_pages;
	int ret = accel_device_query(device, &info);

	*kv = (struct accel_kv){
		.device = device, .page_bytes = c->page_bytes, .page_tokens = c->page_tokens,
	};
	for (int i = 0; i < ACCEL_KV_TIERS; i++)
		kv->tier[i].free_head = ACCEL_KV_NONE;
	if (ret)
		return ret;
	sram = c->sram_bytes == UINT64_MAX ? 0 : c->sram_bytes ? c->sram_bytes : info.sram_free;
	sram /= c->page_bytes;
	if (c->hbm_bytes)
		hbm = c->hbm_bytes / c->page_bytes;
	kv->tier[ACCEL_KV_SRAM].max = sram < c->max_pages ? sram : c->max_pages;
	kv->tier[ACCEL_KV_HBM].max = hbm < c->max_pages ? hbm : c->max_pages;
	kv->max = kv->tier[ACCEL_KV_SRAM].max + kv->tier[ACCEL_KV_HBM].max;
	kv->first_extent = c->seq_pages;
	if (kv->first_extent > FIRST_EXTENT / c->page_bytes)
		kv->first_extent = FIRST_EXTENT / c->page_bytes;
	kv->pages = accel_alloc(device, (kv->max + 1ull) * sizeof(*kv->pages));
	if (!kv->pages)
		return accel_fail(device, -ENOMEM, "no memory for %u K/V pages", kv->max);
	ret = grow_sram(kv);
	if (!ret)
		ret = accel_kv_reserve(kv, 1);
	if (ret)
		accel_kv_fini(kv);
	return ret;
}

void accel_kv_fini(struct accel_kv *kv)
{
	while (kv->extents)
		accel_buffer_destroy(kv->buffers[--kv->extents]);
	if (kv->pages)
		accel_free(kv->device, kv->pages);
	kv->pages = NULL;
}

int accel_kv_seq_init(struct accel_kv *kv, struct accel_kv_seq *seq, uint32_t max_pages)
{
	*seq = (struct accel_kv_seq){ .max = max_pages };
	seq->pages = accel_alloc(kv->device, max_pages * sizeof(*seq->pages));
	return seq->pages ? 0 : -ENOMEM;
}

void accel_kv_seq_fini(struct accel_kv *kv, struct accel_kv_seq *seq)
{
	accel_kv_truncate(kv, seq, 0);
	accel_free(kv->device, seq->pages);
	seq->pages = NULL;
}

int accel_kv_reserve(struct accel_kv *kv, uint64_t pages)
{
	uint64_t have = free_pages(kv);
	int ret;

	if (pages <= have)
		return 0;
	ret = grow_hbm(kv, pages - have);
	if (ret == -ENOSPC)
		return accel_fail(kv->device, ret,
				  "K/V memory is full: %llu pages wanted, %llu free of %u",
				  (unsigned long long)pages, (unsigned long long)have, kv->count);
	return ret;
}

void accel_kv_extend(struct accel_kv *kv, struct accel_kv_seq *seq, uint32_t tokens)
{
	for (uint32_t n = accel_kv_missing(kv, seq, tokens); n--;)
		seq->pages[seq->count++] = take(kv);
}

void accel_kv_truncate(struct accel_kv *kv, struct accel_kv_seq *seq, uint32_t tokens)
{
	uint32_t keep = tokens / kv->page_tokens + (tokens % kv->page_tokens != 0);

	while (seq->count > keep)
		put(kv, seq->pages[--seq->count]);
}

void accel_kv_table(const struct accel_kv *kv, const struct accel_kv_seq *seq, uint64_t *table)
{
	for (uint32_t i = 0; i < seq->count; i++)
		table[i] = kv->pages[seq->pages[i]].address;
}

int accel_kv_check(const struct accel_kv *kv)
{
	uint32_t total = 0;

	for (uint32_t tier = 0; tier < ACCEL_KV_TIERS; tier++) {
		uint32_t n = 0;

		for (uint32_t i = kv->tier[tier].free_head; i != ACCEL_KV_NONE;
		     i = kv->pages[i].next)
			if (i >= kv->count || kv->pages[i].tier != tier || ++n > kv->count)
				return -EINVAL;
		if (n != kv->tier[tier].count - kv->tier[tier].used ||
		    kv->tier[tier].count > kv->tier[tier].max)
			return -EINVAL;
		total += kv->tier[tier].count;
	}
	return total == kv->count && total <= kv->max ? 0 : -EINVAL;
}
