/* SPDX-License-Identifier: MIT */
/*
 * What a fuzzer of ioctls did: how often each was called, what came back, how long it took. Processes
 * share the counts.
 */
#ifndef COUNTS_H
#define COUNTS_H

#include "guest.h"

#define COUNTS_IOCTLS	256
/* What is no ioctl but counts: it has a number of its own. */
#define COUNTS_MMAP	COUNTS_IOCTLS
#define COUNTS_ROWS	(COUNTS_IOCTLS + 1)

static const struct {
	const char *name;
	int error;
} counts_classes[] = {
	{ "ok", 0 }, { "EINVAL", EINVAL }, { "ENOENT", ENOENT }, { "EFAULT", EFAULT },
	{ "EBADF", EBADF }, { "EACCES", EACCES }, { "ENOMEM", ENOMEM }, { "ENOSPC", ENOSPC },
	{ "EBUSY", EBUSY }, { "EDQUOT", EDQUOT }, { "ECANCELED", ECANCELED }, { "ETIME", ETIME },
	/* The last one: all others. */
	{ "other", -1 },
};

#define COUNTS_CLASSES	(sizeof(counts_classes) / sizeof(counts_classes[0]))

static const char *const counts_names[COUNTS_ROWS] = {
#define COUNTS_NAME(name)	[_IOC_NR(DRM_IOCTL_##name)] = #name
	COUNTS_NAME(NIB_DEV_QUERY), COUNTS_NAME(NIB_VM_CREATE), COUNTS_NAME(NIB_VM_DESTROY),
	COUNTS_NAME(NIB_VM_BIND), COUNTS_NAME(NIB_BO_CREATE), COUNTS_NAME(NIB_BO_MMAP_OFFSET),
	COUNTS_NAME(NIB_STREAM_CREATE), COUNTS_NAME(NIB_STREAM_DESTROY),
	COUNTS_NAME(NIB_QUEUE_CREATE), COUNTS_NAME(NIB_QUEUE_DESTROY), COUNTS_NAME(NIB_SUBMIT),
	COUNTS_NAME(NIB_QUEUE_GET_STATE), COUNTS_NAME(NIB_BO_MADVISE),
	COUNTS_NAME(NIB_SRAM_LEASE_CREATE), COUNTS_NAME(NIB_SRAM_LEASE_QUERY),
	COUNTS_NAME(GEM_CLOSE), COUNTS_NAME(PRIME_HANDLE_TO_FD), COUNTS_NAME(PRIME_FD_TO_HANDLE),
	COUNTS_NAME(SYNCOBJ_CREATE), COUNTS_NAME(SYNCOBJ_DESTROY), COUNTS_NAME(SYNCOBJ_SIGNAL),
	COUNTS_NAME(SYNCOBJ_TIMELINE_SIGNAL), COUNTS_NAME(SYNCOBJ_RESET),
	COUNTS_NAME(SYNCOBJ_TIMELINE_WAIT), COUNTS_NAME(SYNCOBJ_HANDLE_TO_FD),
	COUNTS_NAME(SYNCOBJ_FD_TO_HANDLE),
#undef COUNTS_NAME
	[COUNTS_MMAP] = "mmap and look",
};

struct counts {
	uint64_t calls;
	uint64_t ns;
	uint64_t longest_ns;
	uint64_t results[COUNTS_CLASSES];
};

static struct counts *counts;

/* Before processes are forked. */
static UNUSED void counts_begin(void)
{
	counts = mmap(NULL, COUNTS_ROWS * sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(counts != MAP_FAILED);
}

/* @row: number of an ioctl, or COUNTS_MMAP. @error: 0 or an errno. */
static UNUSED void counts_add(unsigned int row, int error, uint64_t since)
{
	struct counts *c = &counts[row];
	uint64_t ns = now_ns() - since;
	unsigned int i = 0;

	while (i < COUNTS_CLASSES - 1 && counts_classes[i].error != error)
		i++;
	__atomic_add_fetch(&c->calls, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&c->ns, ns, __ATOMIC_RELAXED);
	__atomic_add_fetch(&c->results[i], 1, __ATOMIC_RELAXED);
	/* Two at once may lose one: it is only to be read. */
	if (ns > c->longest_ns)
		c->longest_ns = ns;
}

/* Each of these ioctls went well, and failed. */
static UNUSED void counts_check(unsigned int first, unsigned int last)
{
	unsigned int i;

	for (i = first; i <= last; i++)
		if (!counts[i].results[0] || counts[i].results[0] == counts[i].calls)
			FAIL("ioctl %#x: %" PRIu64 " calls of %" PRIu64 " went well", i,
			     counts[i].results[0], counts[i].calls);
}

/* Returns how many calls there were in all. */
static UNUSED uint64_t counts_print(void)
{
	uint64_t total = 0;
	unsigned int i, k;

	for (i = 0; i < COUNTS_ROWS; i++) {
		if (!counts[i].calls)
			continue;
		total += counts[i].calls;
		if (counts_names[i])
			printf("%s:", counts_names[i]);
		else
			printf("ioctl %#x:", i);
		printf(" %" PRIu64 " calls, %" PRIu64 " ms, longest %" PRIu64 " us;",
		       counts[i].calls, counts[i].ns / 1000000, counts[i].longest_ns / 1000);
		for (k = 0; k < COUNTS_CLASSES; k++)
			if (counts[i].results[k])
				printf(" %s %" PRIu64, counts_classes[k].name, counts[i].results[k]);
		printf("\n");
	}
	return total;
}

#endif
