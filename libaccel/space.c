// SPDX-License-Identifier: MIT
/*
 * Ranges of numbers: virtual addresses, and the memories of the in-process device. First fit over a
 * sorted array of holes; a client has hundreds of buffers, not millions.
 */
#include "internal.h"

int accel_space_init(struct accel_device *device, struct accel_space *space, uint64_t start,
		     uint64_t bytes)
{
	memset(space, 0, sizeof(*space));
	if (accel_grow(device, (void **)&space->holes, &space->cap, 8, sizeof(*space->holes)))
		return -ENOMEM;
	if (bytes) {
		space->holes[0].start = start;
		space->holes[0].bytes = bytes;
		space->count = 1;
		space->free = bytes;
	}
	return 0;
}

void accel_space_fini(struct accel_device *device, struct accel_space *space)
{
	accel_free(device, space->holes);
	memset(space, 0, sizeof(*space));
}

static void remove_hole(struct accel_space *space, uint32_t i)
{
	space->count--;
	memmove(space->holes + i, space->holes + i + 1,
		(space->count - i) * sizeof(*space->holes));
}

static void insert_hole(struct accel_space *space, uint32_t i, uint64_t start, uint64_t bytes)
{
	memmove(space->holes + i + 1, space->holes + i,
		(space->count - i) * sizeof(*space->holes));
	space->holes[i].start = start;
	space->holes[i].bytes = bytes;
	space->count++;
}

/* Cut [start, start + bytes) out of hole i. */
static void cut(struct accel_space *space, uint32_t i, uint64_t start, uint64_t bytes)
{
	struct accel_hole *hole = &space->holes[i];
	uint64_t before = start - hole->start, after = hole->bytes - before - bytes;

	if (before && after)
		insert_hole(space, i + 1, start + bytes, after);
	hole = &space->holes[i];
	if (before) {
		hole->bytes = before;
	} else if (after) {
		hole->start = start + bytes;
		hole->bytes = after;
	} else {
		remove_hole(space, i);
	}
	space->free -= bytes;
	space->live++;
}

/* Where in a hole the range would go; false if it does not fit. */
static bool fit(const struct accel_hole *hole, uint64_t bytes, uint64_t align, uint64_t limit,
		uint32_t flags, uint64_t *start)
{
	uint64_t end = hole->start + hole->bytes;

	if (end > limit)
		end = limit;
	if (end <= hole->start || end - hole->start < bytes)
		return false;
	if (flags & ACCEL_SPACE_TOP) {
		*start = (end - bytes) & ~(align - 1);
		return *start >= hole->start;
	}
	*start = (hole->start + align - 1) & ~(align - 1);
	return *start >= hole->start && *start <= end - bytes;
}

int accel_space_alloc(struct accel_device *device, struct accel_space *space, uint64_t bytes,
		      uint64_t align, uint64_t limit, uint32_t flags, uint64_t *start)
{
	uint32_t i, at;

	/* Each live range and each cut adds at most one hole. */
	if (accel_grow(device, (void **)&space->holes, &space->cap, space->live + 3,
		       sizeof(*space->holes)))
		return -ENOMEM;
	for (i = 0; i < space->count; i++) {
		at = flags & ACCEL_SPACE_TOP ? space->count - 1 - i : i;
		if (!fit(&space->holes[at], bytes, align, limit, flags, start))
			continue;
		cut(space, at, *start, bytes);
		return 0;
	}
	return -ENOSPC;
}

void accel_space_free(struct accel_space *space, uint64_t start, uint64_t bytes)
{
	struct accel_hole *h = space->holes;
	uint32_t i = 0;
	bool before, after;

	while (i < space->count && h[i].start < start)
		i++;
	before = i && h[i - 1].start + h[i - 1].bytes == start;
	after = i < space->count && start + bytes == h[i].start;
	if (before && after) {
		h[i - 1].bytes += bytes + h[i].bytes;
		remove_hole(space, i);
	} else if (before) {
		h[i - 1].bytes += bytes;
	} else if (after) {
		h[i].start = start;
		h[i].bytes += bytes;
	} else {
		insert_hole(space, i, start, bytes);
	}
	space->free += bytes;
	space->live--;
}
