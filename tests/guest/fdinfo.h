/* SPDX-License-Identifier: MIT */
/*
 * fdinfo as tests see it: the values of one reading, and a thread that watches over those that may
 * only grow.
 */
#ifndef FDINFO_H
#define FDINFO_H

#include "guest.h"

#include <pthread.h>
#include <stdatomic.h>

/* What the thread that asks has read last. */
static _Thread_local char fdinfo_text[8192];

static UNUSED void fdinfo_read(int fd)
{
	char path[64];
	ssize_t n;
	int file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = open(path, O_RDONLY);
	CHECK(file >= 0);
	n = read(file, fdinfo_text, sizeof(fdinfo_text) - 1);
	CHECK(n > 0);
	fdinfo_text[n] = 0;
	close(file);
}

static UNUSED const char *fdinfo_find(const char *key)
{
	const char *p = fdinfo_text;
	size_t length = strlen(key);

	while (p) {
		if (!strncmp(p, key, length) && p[length] == ':') {
			p += length + 1;
			return p + strspn(p, " \t");
		}
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	FAIL("no %s in:\n%s", key, fdinfo_text);
}

/* Value in bytes or in what the key counts. */
static UNUSED uint64_t fdinfo_number(const char *key)
{
	const char *p = fdinfo_find(key);
	char *end;
	uint64_t n = strtoull(p, &end, 10);

	if (!strncmp(end, " KiB", 4))
		n *= KIB;
	else if (!strncmp(end, " MiB", 4))
		n *= MIB;
	return n;
}

static const char *const fdinfo_growing[] = {
	"drm-engine-npu", "drm-cycles-npu", "nib-jobs-npu", "nib-energy-npu",
};
#define FDINFO_GROWING	(sizeof(fdinfo_growing) / sizeof(fdinfo_growing[0]))

/**
 * struct fdinfo_watch - somebody who looks at a client all the time.
 * @fd: the client's file.
 * @reads: so many times so far.
 */
struct fdinfo_watch {
	int fd;
	atomic_bool finished;
	atomic_ulong reads;
	pthread_t thread;
};

static UNUSED void *fdinfo_watch_run(void *data)
{
	uint64_t last[FDINFO_GROWING] = { 0 }, now;
	struct fdinfo_watch *watch = data;
	size_t i;

	while (!watch->finished) {
		fdinfo_read(watch->fd);
		for (i = 0; i < FDINFO_GROWING; i++) {
			now = fdinfo_number(fdinfo_growing[i]);
			if (now < last[i])
				FAIL("%s fell from %" PRIu64 " to %" PRIu64, fdinfo_growing[i],
				     last[i], now);
			last[i] = now;
		}
		watch->reads++;
		sched_yield();
	}
	return NULL;
}

/* Paired with fdinfo_watch_end(). */
static UNUSED void fdinfo_watch_begin(struct fdinfo_watch *watch, int fd)
{
	*watch = (struct fdinfo_watch){ .fd = fd };
	CHECK(!pthread_create(&watch->thread, NULL, fdinfo_watch_run, watch));
}

static UNUSED void fdinfo_watch_end(struct fdinfo_watch *watch)
{
	watch->finished = true;
	CHECK(!pthread_join(watch->thread, NULL));
	CHECK(watch->reads > 0);
}

#endif
