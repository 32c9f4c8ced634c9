/* SPDX-License-Identifier: MIT */
/*
 * Objects behind the handles of accel.h, and what the files of the core and the transports share.
 *
 * Who knows what: the core orders jobs, keeps timelines and their failures, and checks what callers
 * pass. A transport (transport.h) moves memory, hands jobs to a device, and reports their ends.
 */
#ifndef ACCEL_INTERNAL_H
#define ACCEL_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "accel.h"
#include "nib_isa.h"
#include "nib_regs.h"

#define ACCEL_API		__attribute__((visibility("default")))
#define ACCEL_PRINTF(f, a)	__attribute__((format(printf, f, a)))

#define ACCEL_QUEUE_JOBS	128u	/* jobs of a queue that are not over yet: a power of two */
#define ACCEL_JOB_POINTS	6u	/* waits and signals that a job holds without allocating */
#define ACCEL_FAILURES		8u	/* failures that a timeline tells apart */
#define ACCEL_PAGE		4096ull

struct accel_transport_ops;

/**
 * struct accel_space - what is free of a range of numbers: virtual addresses, device memory.
 * @holes: free ranges, ascending, never adjacent.
 * @live: ranges handed out; the array always has room for @live + 1 holes, so that freeing one
 *	cannot fail.
 * @free: sum of the holes.
 */
struct accel_space {
	struct accel_hole {
		uint64_t start;
		uint64_t bytes;
	} *holes;
	uint32_t count;
	uint32_t cap;
	uint32_t live;
	uint64_t free;
};

struct accel_device {
	const struct accel_transport_ops *ops;
	void *(*alloc)(void *user, void *ptr, size_t size);
	void (*log)(void *user, enum accel_log_level level, const char *line);
	void *user;
	struct accel_device_info info;
	struct accel_queue *queues;
	uint32_t n_queues;
	uint32_t n_streams;
	uint32_t next_queue;
	bool lost;		/* ENODEV, for good */
	bool busy;		/* inside accel_device_progress() */
	char error[256];
};

struct accel_buffer {
	struct accel_device *device;
	enum accel_memory memory;
	uint32_t flags;
	uint64_t address;
	uint64_t bytes;		/* whole pages */
	void *map;
};

/**
 * struct accel_lease - what of @info is not in the core's hands, ops->lease_query() refreshes.
 */
struct accel_lease {
	struct accel_device *device;
	uint64_t address;
	struct accel_lease_info info;
};

/* How the job that was to signal points after .. last ended. */
struct accel_failure {
	uint64_t after;
	uint64_t last;
	int status;
	uint32_t code;		/* enum nib_done_status */
	uint32_t packet;
	uint32_t queue;
	uint64_t address;
};

/**
 * struct accel_timeline
 * @refs: its handle, and every job that names it.
 * @promised: largest point that somebody has or will signal; points are promised in order.
 * @reached: points up to this are over.
 * @owed: points promised by jobs that are not over.
 * @source: the queue that owes them, while it is one only.
 * @failures: oldest first. When there are too many the oldest two become one.
 */
struct accel_timeline {
	struct accel_device *device;
	uint32_t refs;
	uint32_t owed;
	uint64_t promised;
	uint64_t reached;
	const struct accel_queue *source;
	bool mixed;
	uint32_t n_failures;
	struct accel_failure failures[ACCEL_FAILURES];
};

struct accel_stream {
	struct accel_device *device;
	uint32_t refs;
	uint32_t nargs;
	uint32_t bytes;
	uint32_t id;		/* the transport's */
};

/* Waits come first in a job's points. @prev: the point promised before this signal. */
struct accel_job_point {
	struct accel_timeline *timeline;
	uint64_t value;
	uint64_t prev;
};

/* A job that is not over. @leases: those it names; the array is kept for the next job. */
struct accel_record {
	struct accel_stream *stream;
	struct accel_job_stats *stats;
	struct accel_job_point *points;
	uint32_t n_waits;
	uint32_t n_signals;
	uint32_t cap;
	uint32_t nargs;
	struct accel_lease **leases;
	uint32_t n_leases;
	uint32_t cap_leases;
	struct accel_job_point own[ACCEL_JOB_POINTS];
	uint64_t args[NIB_MAX_ARGS];
};

/**
 * struct accel_queue - jobs are numbered from 1; number n lives in jobs[n % ACCEL_QUEUE_JOBS].
 * @head: first job that is not over.
 * @handed: first job that the transport does not have yet.
 * @tail: number of the next job.
 * @depth: most jobs that the transport takes at once.
 * @dead: takes no more jobs.
 * @refusal: -errno of the transport, that a queue is dead of which could not hand over what it had
 *	taken; or 0.
 * @failed: of the first job that failed since the last accel_queue_sync(); for good when dead.
 */
struct accel_queue {
	struct accel_device *device;
	struct accel_queue *next;
	struct accel_record *jobs;
	uint64_t head;
	uint64_t handed;
	uint64_t tail;
	uint32_t depth;
	uint32_t id;
	enum accel_priority priority;
	uint32_t weight;
	bool dead;
	int refusal;
	struct accel_failure failed;
	struct accel_queue_state state;	/* what the core knows of it */
};

static inline struct accel_record *accel_queue_job(const struct accel_queue *queue, uint64_t number)
{
	return &queue->jobs[number % ACCEL_QUEUE_JOBS];
}

/* device.c: memory comes zeroed. */
void *accel_alloc(struct accel_device *device, size_t bytes);
void accel_free(struct accel_device *device, void *ptr);
/* Grow an array to at least @want elements; new ones are not zeroed. Returns 0 or -ENOMEM. */
int accel_grow(struct accel_device *device, void **array, uint32_t *cap, uint32_t want,
	       size_t element);

/* Note the text of an error (device NULL: the thread's) and return @error. */
int accel_fail(struct accel_device *device, int error, const char *format, ...) ACCEL_PRINTF(3, 4);
void accel_log(struct accel_device *device, enum accel_log_level level, const char *format, ...)
	ACCEL_PRINTF(3, 4);

/* Bytes of a struct through its member @field: what its first version had. */
#define ACCEL_THROUGH(type, field) \
	(offsetof(struct type, field) + sizeof(((struct type *)0)->field))

/*
 * Structs that grow: copy @in, of *(size_t *)in bytes, into @out, of @size bytes and zeroed past
 * what there is. Returns -EINVAL where @in is shorter than @least or says something unknown.
 */
int accel_struct_in(void *out, size_t size, size_t least, const void *in);
/* The reverse: @out says in its first member how much of @in it takes. */
int accel_struct_out(void *out, const void *in, size_t size, size_t least);

/* space.c */
int accel_space_init(struct accel_device *device, struct accel_space *space, uint64_t start,
		     uint64_t bytes);
void accel_space_fini(struct accel_device *device, struct accel_space *space);
#define ACCEL_SPACE_TOP	(1u << 0)	/* from the end */
/* First-fit of @bytes at a multiple of @align, below @limit. Returns 0, -ENOSPC or -ENOMEM. */
int accel_space_alloc(struct accel_device *device, struct accel_space *space, uint64_t bytes,
		      uint64_t align, uint64_t limit, uint32_t flags, uint64_t *start);
void accel_space_free(struct accel_space *space, uint64_t start, uint64_t bytes);

/* Alignment that lets a buffer of that size have the largest pages. */
static inline uint64_t accel_page_align(uint64_t bytes)
{
	if (bytes >= NIB_PAGE_2M)
		return NIB_PAGE_2M;
	return bytes >= NIB_PAGE_64K ? NIB_PAGE_64K : ACCEL_PAGE;
}

/* lease.c: a job names leases that never move: it finds them in SRAM, or not. */
void accel_lease_count(const struct accel_record *job);

/* timeline.c */
void accel_timeline_put(struct accel_timeline *timeline);
void accel_timeline_promise(struct accel_timeline *timeline, const struct accel_queue *queue,
			    struct accel_job_point *point);
void accel_timeline_unpromise(struct accel_job_point *point);
/* A job that owed @point is over; its record is no longer in the queue. */
void accel_timeline_settle(struct accel_job_point *point, const struct accel_queue *queue,
			   const struct accel_failure *failure);
const struct accel_failure *accel_timeline_failure(const struct accel_timeline *timeline,
						   uint64_t value);
uint64_t accel_deadline(uint64_t timeout_ns);	/* UINT64_MAX stays */
uint64_t accel_now(void);			/* CLOCK_MONOTONIC, ns */
int accel_fail_job(struct accel_device *device, const struct accel_failure *failure);
/* -EDEADLK, or -ETIME for a wait that was not to last for ever. */
int accel_stuck(struct accel_device *device, uint64_t timeout_ns);
/* The last of the queue's jobs that must be over before @value is reached; 0 if there is none. */
uint64_t accel_queue_owes(const struct accel_queue *queue, const struct accel_timeline *timeline,
			  uint64_t value);

/* stream.c: the one instance of the validator. */
struct nib_stream_info;
uint32_t accel_stream_check(const uint64_t *words, uint32_t bytes, struct nib_stream_info *info);
void accel_stream_put(struct accel_stream *stream);

/*
 * program.c: copy part of a section; the pages of a mapped file leave the process meanwhile. With
 * @program NULL it is memory of the caller's.
 */
void accel_program_copy(const struct accel_program *program, void *to, const void *from,
			uint64_t bytes);

/* queue.c */
/* Retire what has ended, hand over what is ready, until nothing changes. */
void accel_device_progress(struct accel_device *device);
/*
 * For transports, from ops->poll: the oldest job of @queue has ended, with @status. @done may be
 * NULL when the device left no completion. The points that it waited for must be over, unless it
 * never ran. A transport sets queue->dead before it retires the job that killed the queue.
 */
void accel_queue_retire(struct accel_queue *queue, int status, const struct nib_completion *done);
/*
 * For transports that order queues: the queue whose running jobs keep the first job of @queue that
 * was not handed over from being that, or from being dropped. NULL: nothing that runs does.
 */
struct accel_queue *accel_queue_in_the_way(struct accel_queue *queue);
/* -errno of enum nib_done_status. */
int accel_status_errno(uint32_t status);

#endif
