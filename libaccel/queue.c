// SPDX-License-Identifier: MIT
/*
 * Queues: jobs from submit to their end. A job is kept here, in its queue's ring of records, until
 * what it waits for allows to hand it to the transport, and from then on until the transport says
 * that it is over. No allocation once a queue exists, but for jobs with many points or with leases, once each.
 */
#include "transport.h"

int accel_status_errno(uint32_t status)
{
	switch (status) {
	case NIB_DONE_OK:
		return 0;
	case NIB_DONE_CANCELLED:
		return -ECANCELED;
	case NIB_DONE_FAULT_READ:
	case NIB_DONE_FAULT_WRITE:
		return -EFAULT;
	case NIB_DONE_FAULT_ALIGN:
	case NIB_DONE_FAULT_INDEX:
	case NIB_DONE_FAULT_VALUE:
	case NIB_DONE_FAULT_STREAM:
		return -EINVAL;
	default:
		return -EIO;
	}
}

ACCEL_API int accel_queue_create(struct accel_device *device, enum accel_priority priority,
				 uint32_t weight, struct accel_queue **out)
{
	struct accel_queue *queue;
	int err = -ENOMEM;
	uint32_t i;

	if ((unsigned int)priority > ACCEL_PRIORITY_REALTIME || weight > NIB_WEIGHT_MAX)
		return accel_fail(device, -EINVAL,
				  "queue: priority %d (0..%d) or weight %u (0..%u)", (int)priority,
				  ACCEL_PRIORITY_REALTIME, weight, NIB_WEIGHT_MAX);
	if (!(device->info.priorities >> priority & 1))
		return accel_fail(device, -EACCES, "queue: priority %d is not for this user",
				  (int)priority);
	if (device->n_queues >= device->info.max_queues)
		return accel_fail(device, -EMFILE, "queue: all %u queues of the device are in use",
				  device->info.max_queues);
	queue = accel_alloc(device, device->ops->queue_size);
	if (!queue)
		return accel_fail(device, -ENOMEM, "queue: no memory");
	queue->jobs = accel_alloc(device, ACCEL_QUEUE_JOBS * sizeof(*queue->jobs));
	if (!queue->jobs) {
		accel_fail(device, err, "queue: no memory");
		goto fail;
	}
	for (i = 0; i < ACCEL_QUEUE_JOBS; i++) {
		queue->jobs[i].points = queue->jobs[i].own;
		queue->jobs[i].cap = ACCEL_JOB_POINTS;
	}
	queue->device = device;
	queue->priority = priority;
	queue->weight = weight ? weight : NIB_WEIGHT_DEFAULT;
	queue->head = queue->handed = queue->tail = 1;
	queue->id = device->next_queue++;
	err = device->ops->queue_create(queue);
	if (err)
		goto fail;
	queue->next = device->queues;
	device->queues = queue;
	device->n_queues++;
	*out = queue;
	return 0;
fail:
	accel_free(device, queue->jobs);
	accel_free(device, queue);
	return err;
}

/* Let go of what a job holds. */
static void release(struct accel_record *job)
{
	uint32_t i;

	for (i = 0; i < job->n_waits + job->n_signals; i++)
		accel_timeline_put(job->points[i].timeline);
	job->n_waits = job->n_signals = 0;
	if (job->stream)
		accel_stream_put(job->stream);
	job->stream = NULL;
	job->stats = NULL;
	job->n_leases = 0;
}

static void fill_stats(struct accel_job_stats *stats, const struct accel_failure *failure,
		       const struct nib_completion *done)
{
	memset(stats, 0, sizeof(*stats));
	stats->status = failure->status;
	stats->fault_code = failure->code;
	stats->packet = failure->packet;
	stats->fault_address = failure->address;
	if (!done)
		return;
	stats->start_ns = done->start_ns;
	stats->end_ns = done->end_ns;
	stats->cycles = done->cycles;
	stats->hbm_read = done->hbm_read;
	stats->hbm_write = done->hbm_write;
	stats->sram_read = done->sram_read;
	stats->sram_write = done->sram_write;
	stats->host_read = done->host_read;
	stats->host_write = done->host_write;
	stats->energy_pj = done->energy_pj;
	stats->ops = done->ops;
	stats->kv_pages_sram = done->kv_pages_sram;
	stats->kv_pages_other = done->kv_pages_other;
}

/* A failure among the points that a job waits for, of those that are over. */
static const struct accel_failure *failed_wait(const struct accel_record *job)
{
	const struct accel_failure *failure;
	uint32_t i;

	for (i = 0; i < job->n_waits; i++) {
		if (job->points[i].value > job->points[i].timeline->reached)
			continue;
		failure = accel_timeline_failure(job->points[i].timeline, job->points[i].value);
		if (failure)
			return failure;
	}
	return NULL;
}

void accel_queue_retire(struct accel_queue *queue, int status, const struct nib_completion *done)
{
	struct accel_record *job = accel_queue_job(queue, queue->head);
	const struct accel_failure *before = failed_wait(job);
	struct accel_failure how = { .status = status, .queue = queue->id };
	uint32_t i;

	if (done) {
		how.code = done->status;
		how.packet = done->packet;
		how.address = done->fault_va;
	}
	/* What ran on the results of a job that failed has failed. */
	if (before && (!status || !done))
		how = *before;
	queue->head++;
	if (queue->handed < queue->head)
		queue->handed = queue->head;
	queue->state.jobs += !how.status;
	if (how.status && !queue->failed.status)
		queue->failed = how;
	if (how.status)
		accel_log(queue->device, ACCEL_LOG_WARNING,
			  "queue %u: a job ended with %d, code %u", queue->id, how.status,
			  how.code);
	if (job->stats)
		fill_stats(job->stats, &how, done);
	for (i = 0; i < job->n_signals; i++)
		accel_timeline_settle(&job->points[job->n_waits + i], queue, &how);
	release(job);
}

/*
 * What keeps a job from going to the transport: the queue with a job that must go first, or @queue
 * itself where only the CPU can help. NULL if nothing does.
 */
static struct accel_queue *obstacle(struct accel_queue *queue, uint64_t number)
{
	const struct accel_record *job = accel_queue_job(queue, number);
	struct accel_queue *q;
	uint32_t i;

	for (i = 0; i < job->n_waits; i++) {
		const struct accel_job_point *wait = &job->points[i];

		if (wait->value <= wait->timeline->reached)
			continue;
		if (!queue->device->ops->orders || wait->value > wait->timeline->promised)
			return queue;
		for (q = queue->device->queues; q; q = q->next)
			if (accel_queue_owes(q, wait->timeline, wait->value) >=
			    (q == queue ? number : q->handed))
				return q;
	}
	return NULL;
}

struct accel_queue *accel_queue_in_the_way(struct accel_queue *queue)
{
	uint32_t hops = queue->device->n_queues;
	struct accel_queue *q;

	/* Who waits for whom is no longer than that, unless it is a circle. */
	for (; hops--; queue = q) {
		q = obstacle(queue, queue->handed);
		if (q == queue)
			break;
		/* Only its place in the queue is. */
		if (!q)
			return queue->head < queue->handed ? queue : NULL;
	}
	return NULL;
}

/* Hand over what is ready. Returns 0, or why the transport refused; then nothing was handed. */
static int hand_over(struct accel_queue *queue)
{
	uint64_t end = queue->handed;
	const struct accel_record *job;
	uint32_t batch = 0;
	int err;

	for (; end < queue->tail && end < queue->head + queue->depth; end++) {
		job = accel_queue_job(queue, end);
		/* As many waits as there are queues, and one signal. */
		batch += job->n_leases + queue->device->n_queues + 1;
		if (obstacle(queue, end) || failed_wait(job) ||
		    (batch > ACCEL_BATCH && end > queue->handed))
			break;
	}
	if (end == queue->handed || queue->dead)
		return 0;
	err = queue->device->ops->submit(queue, queue->handed, (uint32_t)(end - queue->handed));
	if (!err)
		queue->handed = end;
	return err;
}

/* End jobs that will never be handed over; they must be the oldest of their queue. */
static void drop_unable(struct accel_queue *queue)
{
	while (queue->head == queue->handed && queue->head < queue->tail) {
		if (!queue->dead && (obstacle(queue, queue->head) ||
				     !failed_wait(accel_queue_job(queue, queue->head))))
			break;
		accel_queue_retire(queue, queue->refusal ? queue->refusal : -ECANCELED, NULL);
	}
}

/*
 * Jobs that were taken could not be handed over. Want of memory passes, where something runs whose
 * end has us look again; of anything else the queue is dead.
 */
static void take_refusal(struct accel_queue *queue, int err)
{
	if ((err == -ENOMEM || err == -ENOSPC) && queue->head < queue->handed)
		return;
	queue->dead = true;
	queue->refusal = err;
}

static void fail_all(struct accel_queue *queue, int status)
{
	queue->dead = true;
	while (queue->head < queue->tail)
		accel_queue_retire(queue, status, NULL);
}

void accel_device_progress(struct accel_device *device)
{
	struct accel_queue *queue;
	uint64_t before;
	bool changed;
	int err;

	if (device->busy)
		return;
	device->busy = true;
	do {
		changed = false;
		for (queue = device->queues; queue; queue = queue->next) {
			before = queue->head + queue->handed;
			if (device->lost) {
				fail_all(queue, -ENODEV);
			} else if (queue->head != queue->tail) {
				device->ops->poll(queue);
				err = hand_over(queue);
				if (device->lost)
					fail_all(queue, -ENODEV);
				else if (err)
					take_refusal(queue, err);
				drop_unable(queue);
			}
			changed |= before != queue->head + queue->handed;
		}
	} while (changed);
	device->busy = false;
}

/* Take over the points of a job, waits first. */
static int fill_points(struct accel_queue *queue, struct accel_record *job,
		       const struct accel_job *in)
{
	struct accel_device *device = queue->device;
	uint64_t total = (uint64_t)in->n_waits + in->n_signals;
	uint32_t i;

	if ((in->n_waits && !in->waits) || (in->n_signals && !in->signals) || total > 1024)
		return accel_fail(device, -EINVAL, "submit: %u waits and %u signals, of at most "
				  "1024, or no array of them", in->n_waits, in->n_signals);
	if (total > job->cap) {
		void *points = job->points == job->own ? NULL : job->points;
		uint32_t cap = points ? job->cap : 0;

		if (accel_grow(device, &points, &cap, (uint32_t)total, sizeof(*job->points)))
			return accel_fail(device, -ENOMEM, "submit: no memory for %u points",
					  (uint32_t)total);
		job->points = points;
		job->cap = cap;
	}
	for (i = 0; i < total; i++) {
		bool wait = i < in->n_waits;
		const struct accel_point *from = wait ? &in->waits[i]
						      : &in->signals[i - in->n_waits];
		struct accel_job_point *to = &job->points[i];

		if (!from->timeline || from->timeline->device != device)
			return accel_fail(device, -EINVAL,
					  "submit: %s %u has no timeline of this device",
					  wait ? "wait" : "signal", wait ? i : i - in->n_waits);
		if (!wait && from->value <= from->timeline->promised)
			return accel_fail(device, -EINVAL,
					  "submit: signal %u: point %llu is not after %llu",
					  i - in->n_waits, (unsigned long long)from->value,
					  (unsigned long long)from->timeline->promised);
		to->timeline = from->timeline;
		to->value = from->value;
		to->timeline->refs++;
		if (wait)
			job->n_waits++;
		else
			job->n_signals++;
		if (!wait)
			accel_timeline_promise(to->timeline, queue, to);
	}
	return 0;
}

static int fill_leases(struct accel_device *device, struct accel_record *job,
		       const struct accel_job *in)
{
	uint32_t i;

	if (!in->leases || in->n_leases > 1024)
		return accel_fail(device, -EINVAL, "submit: %u leases, of at most 1024, or no "
				  "array of them", in->n_leases);
	if (accel_grow(device, (void **)&job->leases, &job->cap_leases, in->n_leases,
		       sizeof(*job->leases)))
		return accel_fail(device, -ENOMEM, "submit: no memory for %u leases", in->n_leases);
	for (i = 0; i < in->n_leases; i++) {
		if (!in->leases[i] || in->leases[i]->device != device)
			return accel_fail(device, -EINVAL, "submit: lease %u is none of this device",
					  i);
		job->leases[i] = in->leases[i];
	}
	job->n_leases = in->n_leases;
	return 0;
}

static void undo(struct accel_record *job)
{
	uint32_t i;

	for (i = job->n_signals; i; i--)
		accel_timeline_unpromise(&job->points[job->n_waits + i - 1]);
	release(job);
}

static int fill(struct accel_queue *queue, struct accel_record *job, const struct accel_job *from)
{
	struct accel_device *device = queue->device;
	struct accel_job in;
	int err;

	if (accel_struct_in(&in, sizeof(in), ACCEL_THROUGH(accel_job, stats), from))
		return accel_fail(device, -EINVAL, "submit: struct_size %zu, or a field that this "
				  "library does not know", from->struct_size);
	if (!in.stream || in.stream->device != device)
		return accel_fail(device, -EINVAL, "submit: no stream of this device");
	if (in.nargs < in.stream->nargs || in.nargs > NIB_MAX_ARGS || (in.nargs && !in.args))
		return accel_fail(device, -EINVAL, "submit: %u arguments, want %u..%u", in.nargs,
				  in.stream->nargs, NIB_MAX_ARGS);
	err = fill_points(queue, job, &in);
	if (!err && in.n_leases)
		err = fill_leases(device, job, &in);
	if (err) {
		undo(job);
		return err;
	}
	job->stream = in.stream;
	job->stream->refs++;
	job->stats = in.stats;
	job->nargs = in.nargs;
	if (in.nargs)
		memcpy(job->args, in.args, in.nargs * sizeof(job->args[0]));
	return 0;
}

/* Wait until the queue has room for @count more jobs. */
static int make_room(struct accel_queue *queue, uint32_t count)
{
	int err;

	if (count > ACCEL_QUEUE_JOBS)
		return accel_fail(queue->device, -EINVAL, "submit: %u jobs, at most %u at once",
				  count, ACCEL_QUEUE_JOBS);
	while (queue->tail - queue->head + count > ACCEL_QUEUE_JOBS) {
		err = queue->device->ops->wait(queue, queue->head, UINT64_MAX);
		if (err && err != -ENODEV)
			return accel_fail(queue->device, -EBUSY, "submit: %u jobs are waiting for "
					  "something that is not in flight", ACCEL_QUEUE_JOBS);
		accel_device_progress(queue->device);
	}
	return 0;
}

static int check_alive(struct accel_queue *queue)
{
	if (queue->device->lost)
		return accel_fail(queue->device, -ENODEV, "the device is gone");
	if (queue->dead)
		return accel_fail(queue->device, -ECANCELED,
				  "queue %u is dead since a job failed: see accel_queue_query()",
				  queue->id);
	return 0;
}

ACCEL_API int accel_queue_submit(struct accel_queue *queue, const struct accel_job *jobs,
				 uint32_t count)
{
	struct accel_device *device = queue->device;
	uint64_t first;
	uint32_t i;
	int err;

	if (!count)
		return 0;
	if (!jobs)
		return accel_fail(device, -EINVAL, "submit: no array of %u jobs", count);
	accel_device_progress(device);
	err = make_room(queue, count);
	if (!err)
		err = check_alive(queue);
	if (err)
		return err;
	first = queue->tail;
	for (i = 0; i < count && !err; i++) {
		const char *job = (const char *)jobs + i * jobs->struct_size;

		err = fill(queue, accel_queue_job(queue, queue->tail), (const void *)job);
		if (!err)
			queue->tail++;
	}
	if (!err && queue->handed == first)
		err = hand_over(queue);
	if (err) {
		while (queue->tail > first)
			undo(accel_queue_job(queue, --queue->tail));
		if (err == -ECANCELED)
			queue->dead = true;
		if (err == -ENODEV)
			device->lost = true;
	}
	accel_device_progress(device);
	return err;
}

ACCEL_API int accel_queue_sync(struct accel_queue *queue, uint64_t timeout_ns)
{
	struct accel_device *device = queue->device;
	uint64_t deadline = accel_deadline(timeout_ns);
	struct accel_failure failed;
	int err;

	accel_device_progress(device);
	while (queue->head != queue->tail) {
		err = device->ops->wait(queue, queue->tail - 1, deadline);
		if (err == -EDEADLK)
			return accel_stuck(device, timeout_ns);
		if (err && err != -ENODEV)
			return err;
		accel_device_progress(device);
	}
	failed = queue->failed;
	if (!queue->dead)
		memset(&queue->failed, 0, sizeof(queue->failed));
	return failed.status ? accel_fail_job(device, &failed) : 0;
}

ACCEL_API int accel_queue_query(struct accel_queue *queue, struct accel_queue_state *out)
{
	struct accel_device *device = queue->device;
	struct accel_queue_state state;
	int err;

	accel_device_progress(device);
	state = queue->state;
	state.struct_size = sizeof(state);
	if (queue->failed.status) {
		state.fault_code = queue->failed.code;
		state.fault_packet = queue->failed.packet;
		state.fault_address = queue->failed.address;
	}
	if (queue->dead)
		state.state |= ACCEL_QUEUE_BANNED;
	err = device->ops->queue_query(queue, &state);
	if (err)
		return err;
	if (accel_struct_out(out, &state, sizeof(state),
			     ACCEL_THROUGH(accel_queue_state, energy_pj)))
		return accel_fail(device, -EINVAL, "query: struct_size %zu, at least %zu",
				  out->struct_size, ACCEL_THROUGH(accel_queue_state, energy_pj));
	return 0;
}

ACCEL_API void accel_queue_destroy(struct accel_queue *queue)
{
	struct accel_device *device;
	struct accel_queue **at;
	uint32_t i;

	if (!queue)
		return;
	device = queue->device;
	accel_device_progress(device);
	device->ops->queue_destroy(queue);
	fail_all(queue, -ECANCELED);
	for (at = &device->queues; *at != queue;)
		at = &(*at)->next;
	*at = queue->next;
	device->n_queues--;
	for (i = 0; i < ACCEL_QUEUE_JOBS; i++) {
		if (queue->jobs[i].points != queue->jobs[i].own)
			accel_free(device, queue->jobs[i].points);
		accel_free(device, queue->jobs[i].leases);
	}
	accel_free(device, queue->jobs);
	accel_free(device, queue);
	accel_device_progress(device);
}
