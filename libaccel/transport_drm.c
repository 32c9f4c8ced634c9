// SPDX-License-Identifier: MIT
/*
 * The drm transport: the ioctls of uapi/nib_drm.h on a device node of driver nib.
 *
 * A queue has one timeline syncobj; its job number n signals point n. What jobs wait for is turned
 * into points of other queues. The completion that the device leaves in a slot of the queue's host
 * buffer says how a job went, without a system call; the kernel is asked only about a job that left
 * none.
 */
#include <fcntl.h>
#include <linux/sync_file.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>

#include "nib_drm.h"
#include "transport.h"

struct drm_device {
	struct accel_device base;
	struct accel_space va;
	int fd;
	uint32_t vm;
	bool has_vm;
};

struct drm_buffer {
	struct accel_buffer base;
	uint32_t handle;
};

struct drm_lease {
	struct accel_lease base;
	uint32_t handle;
};

/**
 * struct drm_queue
 * @ended: jobs up to this one are over, says the kernel.
 * @culprit: the job that killed the queue was retired: what comes behind it is void.
 * @slots: completion of job n is number n % ACCEL_QUEUE_JOBS.
 * @jobs: scratch of submit.
 * @syncs: the same; one signal a job, and its waits.
 * @leases: the same; none until a job names some.
 */
struct drm_queue {
	struct accel_queue base;
	uint64_t ended;
	struct accel_buffer *slots;
	struct nib_completion *done;
	uint32_t queue_id;
	uint32_t syncobj;
	bool created;
	bool culprit;
	struct nib_job jobs[ACCEL_QUEUE_JOBS];
	struct nib_sync_op *syncs;
	uint32_t cap_syncs;
	struct nib_lease_ref *leases;
	uint32_t cap_leases;
};

_Static_assert(ACCEL_BATCH <= NIB_MAX_BATCH, "batches");

static struct drm_device *to_drm(struct accel_device *device)
{
	return (struct drm_device *)device;
}

/* ioctl by -errno; a device that is gone stays gone. */
static int call(struct accel_device *device, unsigned long request, void *arg)
{
	int err = drmIoctl(to_drm(device)->fd, request, arg) ? -errno : 0;

	if (err == -ENODEV)
		device->lost = true;
	return err;
}

static int fail_call(struct accel_device *device, int err, const char *what)
{
	return accel_fail(device, err, "%s: the driver says: %s", what, strerror(-err));
}

/* --- Device --- */

static int query_kernel(struct accel_device *device, uint32_t type, void *data, uint32_t size)
{
	struct nib_dev_query query = { .type = type, .size = size,
				       .pointer = (uintptr_t)data };
	int err = call(device, DRM_IOCTL_NIB_DEV_QUERY, &query);

	return err ? fail_call(device, err, "query") : 0;
}

static int drm_query(struct accel_device *device)
{
	struct nib_memory_info memory = { 0 };
	struct nib_device_info constants = { 0 };
	int err = query_kernel(device, NIB_QUERY_MEMORY, &memory, sizeof(memory));

	if (!err)
		err = query_kernel(device, NIB_QUERY_DEVICE, &constants, sizeof(constants));
	device->info.hbm_free = memory.hbm_free;
	device->info.sram_free = memory.sram_free;
	device->info.reset_count = constants.reset_count;
	device->info.function_resets = constants.function_resets;
	return err;
}

static int check_version(struct accel_device *device, const char *path)
{
	drmVersionPtr version = drmGetVersion(to_drm(device)->fd);
	int err = 0;

	if (!version || strcmp(version->name, NIB_DRM_NAME))
		err = accel_fail(device, -ENODEV, "open %s: its driver is %s, want %s", path,
				 version ? version->name : "unknown", NIB_DRM_NAME);
	else if (version->version_major != NIB_DRM_MAJOR)
		err = accel_fail(device, -EPROTONOSUPPORT,
				 "open %s: driver version %d.%d, this library needs %d.x", path,
				 version->version_major, version->version_minor, NIB_DRM_MAJOR);
	else
		snprintf(device->info.driver, sizeof(device->info.driver), "%s %d.%d.%d",
			 version->name, version->version_major, version->version_minor,
			 version->version_patchlevel);
	drmFreeVersion(version);
	return err;
}

static void drm_close(struct accel_device *device)
{
	struct drm_device *drm = to_drm(device);
	struct nib_vm_destroy vm = { .vm_id = drm->vm };

	if (drm->has_vm)
		call(device, DRM_IOCTL_NIB_VM_DESTROY, &vm);
	if (drm->fd >= 0)
		close(drm->fd);
	accel_space_fini(device, &drm->va);
}

static int fill_info(struct accel_device *device)
{
	struct accel_device_info *info = &device->info;
	struct nib_device_info kernel = { 0 };
	int err = query_kernel(device, NIB_QUERY_DEVICE, &kernel, sizeof(kernel));

	if (err)
		return err;
	info->hw_version = kernel.hw_version;
	info->fw_api = kernel.fw_api;
	info->isa_version = kernel.isa_version;
	info->hbm_bytes = kernel.hbm_bytes;
	info->sram_bytes = kernel.sram_bytes;
	info->max_args = kernel.max_args < NIB_MAX_ARGS ? kernel.max_args : NIB_MAX_ARGS;
	info->max_queues = kernel.max_queues;
	info->max_streams = kernel.max_streams;
	info->priorities = kernel.priorities;
	memcpy(info->chip, kernel.chip, sizeof(info->chip));
	memcpy(info->fw_version, kernel.fw_version, sizeof(info->fw_version));
	info->chip[sizeof(info->chip) - 1] = 0;
	info->fw_version[sizeof(info->fw_version) - 1] = 0;
	if (kernel.va_end <= kernel.va_start)
		return accel_fail(device, -EPROTONOSUPPORT, "open: the driver has no addresses");
	err = accel_space_init(device, &to_drm(device)->va, kernel.va_start,
			       kernel.va_end - kernel.va_start);
	return err ? accel_fail(device, err, "open: no memory") : 0;
}

static int open_node(struct accel_device *device, const char *path)
{
	struct nib_vm_create vm = { 0 };
	int err;

	to_drm(device)->fd = open(path, O_RDWR | O_CLOEXEC);
	if (to_drm(device)->fd < 0) {
		err = errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
		return accel_fail(device, err, "open %s: %s", path, strerror(errno));
	}
	snprintf(device->info.node, sizeof(device->info.node), "%s", path);
	err = check_version(device, path);
	if (!err)
		err = fill_info(device);
	if (!err)
		err = drm_query(device);
	if (err)
		return err;
	err = call(device, DRM_IOCTL_NIB_VM_CREATE, &vm);
	if (err)
		return fail_call(device, err, "open: address space");
	to_drm(device)->vm = vm.vm_id;
	to_drm(device)->has_vm = true;
	return 0;
}

static int drm_open(struct accel_device *device, const struct accel_open_params *params)
{
	char first[1][64];
	const char *path = params->path;
	int err;

	to_drm(device)->fd = -1;
	if (!path && !accel_device_list(first, 1))
		return accel_fail(device, -ENODEV,
				  "open: no device of driver %s in /sys/class/accel", NIB_DRM_NAME);
	err = open_node(device, path ? path : first[0]);
	if (err)
		drm_close(device);
	return err;
}

/* --- Buffers and leases --- */

static void close_handle(struct accel_device *device, uint32_t handle)
{
	struct drm_gem_close close = { .handle = handle };

	call(device, DRM_IOCTL_GEM_CLOSE, &close);
}

/* @handle: of a MAP, else 0. */
static int bind(struct accel_device *device, uint32_t handle, uint64_t address, uint64_t bytes,
		uint32_t flags)
{
	struct nib_vm_bind_op op = { .flags = flags, .bo_handle = handle, .va = address,
				     .size = bytes };
	struct nib_vm_bind bind = { .vm_id = to_drm(device)->vm, .ops = NIB_OBJ_ARRAY(1, &op) };

	op.syncs.stride = sizeof(struct nib_sync_op);
	return call(device, DRM_IOCTL_NIB_VM_BIND, &bind);
}

/*
 * Finds addresses for a new object and maps it there, with one page more, never mapped, as a guard.
 * On failure the object is gone.
 */
static int place(struct accel_device *device, const char *what, uint32_t handle, uint64_t bytes,
		 uint32_t flags, uint64_t *address)
{
	struct drm_device *drm = to_drm(device);
	int err = accel_space_alloc(device, &drm->va, bytes + ACCEL_PAGE, accel_page_align(bytes),
				    UINT64_MAX, 0, address);

	if (err) {
		accel_fail(device, err, "%s: no memory or addresses for %llu bytes", what,
			   (unsigned long long)bytes);
	} else {
		err = bind(device, handle, *address, bytes, NIB_VM_BIND_OP_MAP | flags);
		if (!err)
			return 0;
		accel_fail(device, err, "%s: map: the driver says: %s", what, strerror(-err));
		accel_space_free(&drm->va, *address, bytes + ACCEL_PAGE);
	}
	close_handle(device, handle);
	return err;
}

/* If the unmap fails the addresses are not used again. */
static void unplace(struct accel_device *device, uint32_t handle, uint64_t address, uint64_t bytes)
{
	if (!bind(device, 0, address, bytes, NIB_VM_BIND_OP_UNMAP))
		accel_space_free(&to_drm(device)->va, address, bytes + ACCEL_PAGE);
	close_handle(device, handle);
}

static int drm_buffer_create(struct accel_buffer *base)
{
	static const uint32_t memories[] = {
		[ACCEL_MEMORY_HBM] = NIB_BO_HBM, [ACCEL_MEMORY_SRAM] = NIB_BO_SRAM,
		[ACCEL_MEMORY_HOST] = NIB_BO_HOST,
	};
	struct drm_buffer *buffer = (struct drm_buffer *)base;
	struct nib_bo_create create = { .size = base->bytes, .flags = memories[base->memory] };
	int err;

	if (base->memory == ACCEL_MEMORY_HBM && base->flags & ACCEL_BUFFER_NO_MAP)
		create.flags |= NIB_BO_NO_MMAP;
	err = call(base->device, DRM_IOCTL_NIB_BO_CREATE, &create);
	if (err)
		return fail_call(base->device, err, "buffer");
	buffer->handle = create.handle;
	/* The kernel's pages may be larger. */
	base->bytes = create.size;
	return place(base->device, "buffer", buffer->handle, base->bytes,
		     (base->flags & ACCEL_BUFFER_READONLY ? NIB_VM_BIND_OP_READONLY : 0) |
		     (base->flags & ACCEL_BUFFER_DUMPABLE ? NIB_VM_BIND_OP_DUMPABLE : 0),
		     &base->address);
}

static void drm_buffer_destroy(struct accel_buffer *base)
{
	struct drm_buffer *buffer = (struct drm_buffer *)base;

	if (base->map)
		munmap(base->map, base->bytes);
	unplace(base->device, buffer->handle, base->address, base->bytes);
}

static int drm_buffer_map(struct accel_buffer *base)
{
	struct nib_bo_mmap_offset where = { .handle = ((struct drm_buffer *)base)->handle };
	int err = call(base->device, DRM_IOCTL_NIB_BO_MMAP_OFFSET, &where);
	void *map;

	if (err)
		return fail_call(base->device, err, "map");
	map = mmap(NULL, base->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, to_drm(base->device)->fd,
		   (off_t)where.offset);
	if (map == MAP_FAILED) {
		err = -errno;
		return fail_call(base->device, err, "map");
	}
	base->map = map;
	return 0;
}

static int drm_lease_create(struct accel_lease *base)
{
	struct drm_lease *lease = (struct drm_lease *)base;
	struct nib_sram_lease_create create = { .guaranteed = base->info.guaranteed,
						.burst = base->info.burst };
	int err = call(base->device, DRM_IOCTL_NIB_SRAM_LEASE_CREATE, &create);

	/* The arguments are fine, so it is what DRM says of an ioctl that the driver has not. */
	if (err == -EINVAL)
		err = -EOPNOTSUPP;
	if (err)
		return fail_call(base->device, err, "lease");
	lease->handle = create.handle;
	return place(base->device, "lease", lease->handle, create.guaranteed + create.burst, 0,
		     &base->address);
}

static void drm_lease_destroy(struct accel_lease *base)
{
	unplace(base->device, ((struct drm_lease *)base)->handle, base->address,
		base->info.guaranteed + base->info.burst);
}

static int drm_lease_query(struct accel_lease *base)
{
	struct nib_sram_lease_query query = { .handle = ((struct drm_lease *)base)->handle };
	struct accel_lease_info *info = &base->info;
	int err = call(base->device, DRM_IOCTL_NIB_SRAM_LEASE_QUERY, &query);

	if (err)
		return fail_call(base->device, err, "lease");
	info->resident = query.resident;
	info->generation = query.generation;
	info->hits = query.hits;
	info->misses = query.misses;
	info->spills = query.spills;
	info->restores = query.restores;
	info->spilled_bytes = query.spilled_bytes;
	info->restored_bytes = query.restored_bytes;
	return 0;
}

/* --- Streams --- */

static int drm_stream_create(struct accel_stream *stream, const void *data)
{
	struct nib_stream_create create = { .vm_id = to_drm(stream->device)->vm,
					    .size = stream->bytes, .data = (uintptr_t)data };
	int err = call(stream->device, DRM_IOCTL_NIB_STREAM_CREATE, &create);

	if (err == -EINVAL && create.error_code)
		return accel_fail(stream->device, err,
				  "stream: the driver refuses the packet at byte %u: error %u",
				  create.error_offset, create.error_code);
	if (err)
		return fail_call(stream->device, err, "stream");
	stream->id = create.stream_id;
	return 0;
}

static void drm_stream_destroy(struct accel_stream *stream)
{
	struct nib_stream_destroy destroy = { .vm_id = to_drm(stream->device)->vm,
					      .stream_id = stream->id };

	call(stream->device, DRM_IOCTL_NIB_STREAM_DESTROY, &destroy);
}

/* --- Queues --- */

static void drm_queue_destroy(struct accel_queue *base)
{
	struct drm_queue *queue = (struct drm_queue *)base;
	struct nib_queue_destroy destroy = { .queue_id = queue->queue_id };

	if (queue->created)
		call(base->device, DRM_IOCTL_NIB_QUEUE_DESTROY, &destroy);
	if (queue->syncobj)
		drmSyncobjDestroy(to_drm(base->device)->fd, queue->syncobj);
	accel_buffer_destroy(queue->slots);
	accel_free(base->device, queue->syncs);
	accel_free(base->device, queue->leases);
}

static int create_kernel_queue(struct drm_queue *queue)
{
	struct accel_device *device = queue->base.device;
	struct nib_queue_create create = { .vm_id = to_drm(device)->vm,
					   .priority = queue->base.priority,
					   .weight = queue->base.weight };
	int err;

	if (drmSyncobjCreate(to_drm(device)->fd, 0, &queue->syncobj))
		return fail_call(device, -errno, "queue: syncobj");
	err = call(device, DRM_IOCTL_NIB_QUEUE_CREATE, &create);
	if (err)
		return fail_call(device, err, "queue");
	queue->queue_id = create.queue_id;
	queue->created = true;
	return 0;
}

static int drm_queue_create(struct accel_queue *base)
{
	struct drm_queue *queue = (struct drm_queue *)base;
	void *done = NULL;
	int err;

	base->depth = ACCEL_QUEUE_JOBS;
	err = accel_buffer_create(base->device, ACCEL_MEMORY_HOST,
				  ACCEL_QUEUE_JOBS * sizeof(*queue->done), 0, &queue->slots);
	if (!err)
		err = accel_buffer_map(queue->slots, &done);
	queue->done = done;
	if (!err && accel_grow(base->device, (void **)&queue->syncs, &queue->cap_syncs,
			       4 * ACCEL_QUEUE_JOBS, sizeof(*queue->syncs)))
		err = accel_fail(base->device, -ENOMEM, "queue: no memory");
	if (!err)
		err = create_kernel_queue(queue);
	if (err)
		drm_queue_destroy(base);
	return err;
}

/* The last job of @q that must be over before @job may start; 0 if there is none. */
static uint64_t last_wait(const struct accel_queue *q, const struct accel_record *job)
{
	uint64_t owes, last = 0;
	uint32_t i;

	for (i = 0; i < job->n_waits; i++) {
		owes = accel_queue_owes(q, job->points[i].timeline, job->points[i].value);
		if (owes > last)
			last = owes;
	}
	return last;
}

/* The jobs of other queues that must be over before a job may start: the last of each. */
static int add_waits(struct drm_queue *queue, uint64_t number, uint32_t *count)
{
	const struct accel_record *job = accel_queue_job(&queue->base, number);
	struct accel_device *device = queue->base.device;
	struct accel_queue *q;
	uint64_t last;

	for (q = job->n_waits ? device->queues : NULL; q; q = q->next) {
		last = q == &queue->base ? 0 : last_wait(q, job);
		if (!last)
			continue;
		if (accel_grow(device, (void **)&queue->syncs, &queue->cap_syncs, *count + 1,
			       sizeof(*queue->syncs)))
			return -ENOMEM;
		queue->syncs[(*count)++] = (struct nib_sync_op){
			.flags = NIB_SYNC_WAIT | NIB_SYNC_TIMELINE,
			.handle = ((struct drm_queue *)q)->syncobj, .point = last,
		};
	}
	return 0;
}

/* The array may still move, so that only its length is noted. */
static int add_leases(struct drm_queue *queue, const struct accel_record *job,
		      struct nib_obj_array *array, uint32_t *count)
{
	uint32_t i;

	if (accel_grow(queue->base.device, (void **)&queue->leases, &queue->cap_leases,
		       *count + job->n_leases, sizeof(*queue->leases)))
		return -ENOMEM;
	for (i = 0; i < job->n_leases; i++)
		queue->leases[*count + i] = (struct nib_lease_ref){
			.handle = ((const struct drm_lease *)job->leases[i])->handle,
		};
	*array = (struct nib_obj_array){ .stride = sizeof(*queue->leases),
					 .count = job->n_leases };
	*count += job->n_leases;
	return 0;
}

static int drm_submit(struct accel_queue *base, uint64_t first, uint32_t count)
{
	struct drm_queue *queue = (struct drm_queue *)base;
	struct nib_submit submit = { .jobs = NIB_OBJ_ARRAY(count, queue->jobs) };
	uint64_t slots = accel_buffer_address(queue->slots);
	uint32_t n_syncs = 0, n_leases = 0, i, slot;
	int err;

	for (i = 0; i < count; i++) {
		const struct accel_record *job = accel_queue_job(base, first + i);

		slot = (first + i) % ACCEL_QUEUE_JOBS;
		queue->jobs[i] = (struct nib_job){
			.queue_id = queue->queue_id,
			.stream_id = job->stream->id,
			.nargs = job->nargs,
			.args = (uintptr_t)job->args,
			.stats_va = slots + slot * sizeof(*queue->done),
			.syncs = { .stride = sizeof(*queue->syncs), .count = n_syncs },
		};
		__atomic_store_n(&queue->done[slot].phase, 0, __ATOMIC_RELAXED);
		err = add_waits(queue, first + i, &n_syncs);
		if (!err && job->n_leases)
			err = add_leases(queue, job, &queue->jobs[i].leases, &n_leases);
		if (!err)
			err = accel_grow(base->device, (void **)&queue->syncs, &queue->cap_syncs,
					 n_syncs + 1, sizeof(*queue->syncs));
		if (err)
			return accel_fail(base->device, err, "submit: no memory");
		queue->syncs[n_syncs++] = (struct nib_sync_op){
			.flags = NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE, .handle = queue->syncobj,
			.point = first + i,
		};
	}
	/* The array has its place now; count was the index of the first. */
	for (i = count; i; i--) {
		struct nib_obj_array *syncs = &queue->jobs[i - 1].syncs;

		syncs->array = (uintptr_t)(queue->syncs + syncs->count);
		slot = n_syncs - syncs->count;
		n_syncs = syncs->count;
		syncs->count = slot;
		if (queue->jobs[i - 1].leases.count) {
			n_leases -= queue->jobs[i - 1].leases.count;
			queue->jobs[i - 1].leases.array = (uintptr_t)(queue->leases + n_leases);
		}
	}
	err = call(base->device, DRM_IOCTL_NIB_SUBMIT, &submit);
	return err ? fail_call(base->device, err, "submit") : 0;
}

/* --- Ends of jobs --- */

/* What the fence of a job says. Slow, and only for jobs that left no completion. */
static int fence_error(struct drm_queue *queue, uint64_t number)
{
	int fd = to_drm(queue->base.device)->fd, file = -1, err = -EIO;
	struct sync_file_info info = { 0 };
	uint32_t single;

	if (drmSyncobjCreate(fd, 0, &single))
		return -errno;
	if (!drmSyncobjTransfer(fd, single, 0, queue->syncobj, number, 0) &&
	    !drmSyncobjExportSyncFile(fd, single, &file)) {
		if (!ioctl(file, SYNC_IOC_FILE_INFO, &info) && info.status < 0)
			err = info.status;
		close(file);
	}
	drmSyncobjDestroy(fd, single);
	return err;
}

/*
 * A job that ran proves that what it waited for is over, whatever the library has seen of it.
 * Returns false while the core does not know yet.
 */
static bool settle_waits(struct drm_queue *queue, uint64_t number)
{
	const struct accel_record *job = accel_queue_job(&queue->base, number);
	struct drm_queue *other;
	struct accel_queue *q;
	bool over = true;
	uint64_t owes;
	uint32_t i;

	for (i = 0; i < job->n_waits; i++) {
		for (q = queue->base.device->queues; q; q = q->next) {
			owes = q == &queue->base ? 0 :
			       accel_queue_owes(q, job->points[i].timeline, job->points[i].value);
			other = (struct drm_queue *)q;
			if (owes > other->ended)
				other->ended = owes;
			over &= !owes;
		}
	}
	return over;
}

static void note_state(struct accel_queue *base)
{
	struct nib_queue_get_state get = { .queue_id = ((struct drm_queue *)base)->queue_id };

	if (call(base->device, DRM_IOCTL_NIB_QUEUE_GET_STATE, &get))
		return;
	base->state.state |= get.state;
	if (get.state & NIB_QUEUE_STATE_BANNED) {
		base->dead = true;
		((struct drm_queue *)base)->culprit = true;
	}
}

/*
 * True if the oldest job was over and is retired. Its slot is read only now: the device writes it
 * in no particular order, but all of it before the fence signals.
 */
static bool poll_one(struct drm_queue *queue)
{
	struct accel_queue *base = &queue->base;
	const struct nib_completion *slot = &queue->done[base->head % ACCEL_QUEUE_JOBS];
	bool ran = __atomic_load_n(&slot->phase, __ATOMIC_ACQUIRE);
	int status;

	if (queue->ended < base->head || (ran && !settle_waits(queue, base->head)))
		return false;
	if (queue->culprit) {
		/* It may have run, but the driver says that it does not count. */
		accel_queue_retire(base, -ECANCELED, NULL);
		return true;
	}
	status = ran ? accel_status_errno(slot->status) : fence_error(queue, base->head);
	if (status)
		note_state(base);
	accel_queue_retire(base, status, ran ? slot : NULL);
	return true;
}

static void drm_poll(struct accel_queue *base)
{
	while (base->head < base->handed && poll_one((struct drm_queue *)base))
		;
}

static int drm_wait(struct accel_queue *base, uint64_t number, uint64_t deadline)
{
	struct drm_queue *queue = (struct drm_queue *)base;
	int64_t until = deadline > INT64_MAX ? INT64_MAX : (int64_t)deadline;
	int err;

	if (number >= base->handed) {
		queue = (struct drm_queue *)accel_queue_in_the_way(base);
		if (!queue)
			return -EDEADLK;
		number = queue->base.handed - 1;
	}
	err = drmSyncobjTimelineWait(to_drm(base->device)->fd, &queue->syncobj, &number, 1, until,
				     DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL, NULL);
	if (!err) {
		if (number > queue->ended)
			queue->ended = number;
		return 0;
	}
	if (err == -ENODEV)
		base->device->lost = true;
	return err == -ETIME || err == -ENODEV ? err : fail_call(base->device, err, "wait");
}

static int drm_queue_query(struct accel_queue *base, struct accel_queue_state *state)
{
	struct nib_queue_get_state get = { .queue_id = ((struct drm_queue *)base)->queue_id };
	int err = call(base->device, DRM_IOCTL_NIB_QUEUE_GET_STATE, &get);

	if (err)
		return fail_call(base->device, err, "query");
	state->state |= get.state;
	state->jobs = get.jobs;
	state->run_ns = get.run_ns;
	state->energy_pj = get.energy_pj;
	if (get.fault_status) {
		state->fault_code = get.fault_status;
		state->fault_packet = get.fault_packet;
		state->fault_address = get.fault_va;
	}
	return 0;
}

const struct accel_transport_ops accel_transport_drm = {
	.name = "drm",
	.device_size = sizeof(struct drm_device),
	.buffer_size = sizeof(struct drm_buffer),
	.lease_size = sizeof(struct drm_lease),
	.stream_size = sizeof(struct accel_stream),
	.queue_size = sizeof(struct drm_queue),
	.orders = true,
	.open = drm_open,
	.close = drm_close,
	.query = drm_query,
	.buffer_create = drm_buffer_create,
	.buffer_destroy = drm_buffer_destroy,
	.buffer_map = drm_buffer_map,
	.lease_create = drm_lease_create,
	.lease_destroy = drm_lease_destroy,
	.lease_query = drm_lease_query,
	.stream_create = drm_stream_create,
	.stream_destroy = drm_stream_destroy,
	.queue_create = drm_queue_create,
	.queue_destroy = drm_queue_destroy,
	.submit = drm_submit,
	.poll = drm_poll,
	.wait = drm_wait,
	.queue_query = drm_queue_query,
};
