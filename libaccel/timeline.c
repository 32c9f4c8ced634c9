// SPDX-License-Identifier: MIT
/*
 * Timelines: counters that jobs and the CPU advance, and the memory of how jobs failed.
 *
 * Points are promised in ascending order, by a submit or by accel_timeline_signal(), and a timeline
 * reaches a point when that one and all before it are over. A timeline lives in the library alone:
 * transports order jobs, and what a point waits for is always some job.
 */
#include <time.h>

#include "transport.h"

uint64_t accel_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t accel_deadline(uint64_t timeout_ns)
{
	uint64_t now;

	if (!timeout_ns || timeout_ns == UINT64_MAX)
		return timeout_ns;
	now = accel_now();
	return timeout_ns < UINT64_MAX - 1 - now ? now + timeout_ns : UINT64_MAX - 1;
}

ACCEL_API int accel_timeline_create(struct accel_device *device, uint64_t value,
				    struct accel_timeline **out)
{
	struct accel_timeline *timeline = accel_alloc(device, sizeof(*timeline));

	if (!timeline)
		return accel_fail(device, -ENOMEM, "timeline: no memory");
	timeline->device = device;
	timeline->refs = 1;
	timeline->promised = value;
	timeline->reached = value;
	*out = timeline;
	return 0;
}

void accel_timeline_put(struct accel_timeline *timeline)
{
	if (!--timeline->refs)
		accel_free(timeline->device, timeline);
}

ACCEL_API void accel_timeline_destroy(struct accel_timeline *timeline)
{
	if (timeline)
		accel_timeline_put(timeline);
}

void accel_timeline_promise(struct accel_timeline *timeline, const struct accel_queue *queue,
			    struct accel_job_point *point)
{
	point->prev = timeline->promised;
	timeline->promised = point->value;
	if (!timeline->owed++) {
		timeline->source = queue;
		timeline->mixed = false;
	} else if (timeline->source != queue) {
		timeline->mixed = true;
	}
}

void accel_timeline_unpromise(struct accel_job_point *point)
{
	point->timeline->promised = point->prev;
	point->timeline->owed--;
}

/* The oldest two failures become one: nothing is forgotten, but points between them count too. */
static void merge_oldest(struct accel_timeline *timeline)
{
	struct accel_failure *first = &timeline->failures[0], *second = &timeline->failures[1];

	/* Of several queues, the later point may have failed first. */
	if (first->after > second->after)
		first->after = second->after;
	if (first->last < second->last)
		first->last = second->last;
	timeline->n_failures--;
	memmove(timeline->failures + 1, timeline->failures + 2,
		(timeline->n_failures - 1) * sizeof(timeline->failures[0]));
}

static void add_failure(struct accel_timeline *timeline, const struct accel_job_point *point,
			const struct accel_failure *failure)
{
	struct accel_failure *last;

	if (timeline->n_failures) {
		last = &timeline->failures[timeline->n_failures - 1];
		if (last->last == point->prev && last->status == failure->status &&
		    last->queue == failure->queue) {
			last->last = point->value;
			return;
		}
	}
	if (timeline->n_failures == ACCEL_FAILURES)
		merge_oldest(timeline);
	last = &timeline->failures[timeline->n_failures++];
	*last = *failure;
	last->after = point->prev;
	last->last = point->value;
}

const struct accel_failure *accel_timeline_failure(const struct accel_timeline *timeline,
						   uint64_t value)
{
	uint32_t i;

	for (i = 0; i < timeline->n_failures; i++)
		if (timeline->failures[i].after < value && value <= timeline->failures[i].last)
			return &timeline->failures[i];
	return NULL;
}

/* The last of the queue's jobs whose end @value depends on; 0 if there is none. */
static uint64_t queue_owes(const struct accel_queue *queue, const struct accel_timeline *timeline,
			   uint64_t value, uint64_t *least_prev)
{
	const struct accel_job_point *point;
	const struct accel_record *job;
	uint64_t number, found = 0;
	uint32_t i;

	for (number = queue->head; number < queue->tail; number++) {
		job = accel_queue_job(queue, number);
		for (i = 0; i < job->n_signals; i++) {
			point = &job->points[job->n_waits + i];
			if (point->timeline != timeline || point->prev >= value)
				continue;
			found = number;
			if (point->prev < *least_prev)
				*least_prev = point->prev;
		}
	}
	return found;
}

uint64_t accel_queue_owes(const struct accel_queue *queue, const struct accel_timeline *timeline,
			  uint64_t value)
{
	uint64_t prev = UINT64_MAX;

	if (value <= timeline->reached || !timeline->owed ||
	    (!timeline->mixed && timeline->source != queue))
		return 0;
	return queue_owes(queue, timeline, value, &prev);
}

void accel_timeline_settle(struct accel_job_point *point, const struct accel_queue *queue,
			   const struct accel_failure *failure)
{
	struct accel_timeline *timeline = point->timeline;
	uint64_t reached = timeline->promised;

	if (failure->status)
		add_failure(timeline, point, failure);
	timeline->owed--;
	if (timeline->owed && !timeline->mixed) {
		reached = point->value;
	} else if (timeline->owed) {
		for (queue = timeline->device->queues; queue; queue = queue->next)
			queue_owes(queue, timeline, UINT64_MAX, &reached);
	}
	timeline->reached = reached;
}

static bool gate(const struct accel_timeline *timeline, uint64_t value, struct accel_queue **queue,
		 uint64_t *number)
{
	struct accel_queue *q;

	for (q = timeline->device->queues; q; q = q->next) {
		*number = accel_queue_owes(q, timeline, value);
		if (*number) {
			*queue = q;
			return true;
		}
	}
	return false;
}

static const char *code_text(uint32_t code)
{
	static const char *const text[] = {
		[NIB_DONE_NONE] = "it never ran", [NIB_DONE_OK] = "no fault",
		[NIB_DONE_CANCELLED] = "cancelled", [NIB_DONE_RESET] = "engine reset",
		[NIB_DONE_FAULT_READ] = "read of an address that is not mapped",
		[NIB_DONE_FAULT_WRITE] = "write to an address that is not mapped writable",
		[NIB_DONE_FAULT_ALIGN] = "misaligned address",
		[NIB_DONE_FAULT_INDEX] = "index past its table",
		[NIB_DONE_FAULT_VALUE] = "argument out of range",
		[NIB_DONE_FAULT_STREAM] = "unknown stream or too few arguments",
		[NIB_DONE_FAULT_ECC] = "uncorrectable memory error",
	};

	return code < sizeof(text) / sizeof(text[0]) && text[code] ? text[code] : "unknown fault";
}

int accel_fail_job(struct accel_device *device, const struct accel_failure *failure)
{
	if (failure->code >= NIB_DONE_FAULT_READ)
		return accel_fail(device, failure->status, "queue %u: %s: %#llx, in packet %u",
				  failure->queue, code_text(failure->code),
				  (unsigned long long)failure->address, failure->packet);
	return accel_fail(device, failure->status, "queue %u: a job failed (%s): %s",
			  failure->queue, code_text(failure->code), strerror(-failure->status));
}

/* How a wait that cannot end ends. */
int accel_stuck(struct accel_device *device, uint64_t timeout_ns)
{
	if (timeout_ns != UINT64_MAX)
		return -ETIME;
	return accel_fail(device, -EDEADLK, "wait: nothing that is in flight can end it");
}

ACCEL_API int accel_timeline_wait(struct accel_timeline *timeline, uint64_t value,
				  uint64_t timeout_ns)
{
	struct accel_device *device = timeline->device;
	uint64_t deadline = accel_deadline(timeout_ns), number;
	const struct accel_failure *failure;
	struct accel_queue *queue;
	int err;

	for (;;) {
		accel_device_progress(device);
		if (value <= timeline->reached) {
			failure = accel_timeline_failure(timeline, value);
			return failure ? accel_fail_job(device, failure) : 0;
		}
		if (device->lost)
			return accel_fail(device, -ENODEV, "the device is gone");
		if (value > timeline->promised || !gate(timeline, value, &queue, &number))
			return accel_stuck(device, timeout_ns);
		err = device->ops->wait(queue, number, deadline);
		if (err == -EDEADLK)
			return accel_stuck(device, timeout_ns);
		if (err && err != -ENODEV)
			return err;
	}
}

ACCEL_API int accel_timeline_query(struct accel_timeline *timeline, uint64_t *value)
{
	struct accel_device *device = timeline->device;
	struct accel_queue *queue;
	uint64_t number, head;

	accel_device_progress(device);
	/* Point after point, as far as jobs are over; but what runs in here only takes one turn. */
	do {
		if (device->lost || !gate(timeline, timeline->reached + 1, &queue, &number))
			break;
		head = queue->head;
		if (device->ops->wait(queue, number, 0))
			break;
		accel_device_progress(device);
	} while (device->ops->orders && queue->head != head);
	accel_device_progress(device);
	*value = timeline->reached;
	return 0;
}

ACCEL_API int accel_timeline_signal(struct accel_timeline *timeline, uint64_t value)
{
	struct accel_device *device = timeline->device;

	accel_device_progress(device);
	if (value <= timeline->promised)
		return accel_fail(device, -EINVAL, "timeline: point %llu is not after %llu",
				  (unsigned long long)value,
				  (unsigned long long)timeline->promised);
	if (timeline->owed)
		return accel_fail(device, -EBUSY,
				  "timeline: a job in flight is to signal point %llu first",
				  (unsigned long long)timeline->promised);
	timeline->promised = value;
	timeline->reached = value;
	accel_device_progress(device);
	return 0;
}
