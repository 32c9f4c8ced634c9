/* SPDX-License-Identifier: MIT */
/*
 * K/V pages, private to the LLM layer. A pool of pages of one size, some in SRAM and some in HBM;
 * sequences hold pages by number, in order of position. Steps see addresses, made from numbers each
 * time, so that a page may move between steps: a policy that moves pages changes kv.c alone. While
 * a sequence is pinned (its step runs) its pages neither move nor go.
 */
#ifndef LIBACCEL_KV_H
#define LIBACCEL_KV_H

#include <stdint.h>
#include "accel.h"

#define ACCEL_KV_EXTENTS	96u	/* buffers a pool is made of: they double, and halve as HBM ends */
#define ACCEL_KV_NONE		0xffffffffu

enum accel_kv_tier {		/* fastest first: pages are taken in this order */
	ACCEL_KV_SRAM = 0,
	ACCEL_KV_HBM = 1,
	ACCEL_KV_TIERS
};

struct accel_kv_page {
	uint64_t address;
	uint32_t next;		/* free list; ACCEL_KV_NONE ends it */
	uint32_t tier;
};

struct accel_kv {
	struct accel_device *device;
	uint64_t page_bytes;
	uint32_t page_tokens;
	uint32_t max;		/* pages there may ever be */
	uint32_t count;		/* pages there are */
	uint32_t extents;
	uint32_t first_extent;	/* pages of HBM taken at the first need */
	struct accel_kv_page *pages;
	struct {
		uint32_t free_head;
		uint32_t max;
		uint32_t count;
		uint32_t used;
	} tier[ACCEL_KV_TIERS];
	struct accel_buffer *buffers[ACCEL_KV_EXTENTS];
};

/* Pages of one sequence. */
struct accel_kv_seq {
	uint32_t *pages;
	uint32_t count;
	uint32_t max;
	uint32_t pins;
};

/**
 * struct accel_kv_config - size of a pool.
 * @page_bytes: a multiple of 16.
 * @page_tokens: positions in a page.
 * @seq_pages: pages of a sequence of full context.
 * @max_pages: more than this many are never of use.
 * @sram_bytes: as in struct accel_llm_params.
 * @hbm_bytes: as in struct accel_llm_params.
 */
struct accel_kv_config {
	uint64_t page_bytes;
	uint32_t page_tokens;
	uint32_t seq_pages;
	uint32_t max_pages;
	uint64_t sram_bytes;
	uint64_t hbm_bytes;
};

/*
 * Makes the SRAM part; HBM follows as it is needed, in pieces that double. Returns 0, -ENOSPC (not
 * even one page), -ENOMEM, -ENODEV. On failure nothing is left behind.
 */
int accel_kv_init(struct accel_kv *kv, struct accel_device *device,
		  const struct accel_kv_config *config);
void accel_kv_fini(struct accel_kv *kv);

int accel_kv_seq_init(struct accel_kv *kv, struct accel_kv_seq *seq, uint32_t max_pages);
void accel_kv_seq_fini(struct accel_kv *kv, struct accel_kv_seq *seq);

/* Pages that @seq lacks to hold @tokens. */
static inline uint32_t accel_kv_missing(const struct accel_kv *kv, const struct accel_kv_seq *seq,
					uint32_t tokens)
{
	uint32_t want = tokens / kv->page_tokens + (tokens % kv->page_tokens != 0);

	return want > seq->count ? want - seq->count : 0;
}

/*
 * See to it that @pages pages are free. Returns 0, or -ENOSPC and the like with nothing changed
 * that a sequence could see.
 */
int accel_kv_reserve(struct accel_kv *kv, uint64_t pages);
/* Give @seq pages for @tokens; they have been reserved. */
void accel_kv_extend(struct accel_kv *kv, struct accel_kv_seq *seq, uint32_t tokens);
/* Take back what @seq does not need for @tokens. It must not be pinned. */
void accel_kv_truncate(struct accel_kv *kv, struct accel_kv_seq *seq, uint32_t tokens);

static inline void accel_kv_pin(struct accel_kv_seq *seq)
{
	seq->pins++;
}

static inline void accel_kv_unpin(struct accel_kv_seq *seq)
{
	seq->pins--;
}

/* Addresses of a pinned sequence's pages, in order. */
void accel_kv_table(const struct accel_kv *kv, const struct accel_kv_seq *seq, uint64_t *table);

/* For tests: -EINVAL if free lists and counters disagree. */
int accel_kv_check(const struct accel_kv *kv);

#endif
