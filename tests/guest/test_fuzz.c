/* SPDX-License-Identifier: MIT */
/*
 * Ioctls with anything in them: noise, and calls that are put together right and then spoilt in a few
 * places, from three processes of which two share a file, while a thread of each now and then changes
 * the memory that the kernel reads. Nothing is expected of the calls but that the kernel survives:
 * the runner looks at its log. Afterwards the device works, no memory of it is lost, and in a long
 * run each of the driver's ioctls has gone well and has failed.
 *
 * NIB_FUZZ_CALLS says how many, NIB_FUZZ_MS for how long at most (3000 if neither is said),
 * NIB_FUZZ_SEED where to start. One seed makes the same calls with the same order in each process; what happens between
 * processes is chance.
 */
#include "counts.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>

#define VA		0x100000000ull
#define PROCESSES	3
#define POOL		12
#define ARENA		(16 * KIB)
/* So many calls, and everything has happened. */
#define LONG_RUN	100000

/* Things that calls make and take; handles of one kind are all alike to a fuzzer. */
enum kind { KIND_VM, KIND_BO, KIND_LEASE, KIND_QUEUE, KIND_STREAM, KIND_SYNCOBJ, KINDS };

/* Few VMs, so that what belongs to one comes together. */
static const unsigned int pool_sizes[KINDS] = { 3, POOL, 4, 4, 6, 8 };

struct thing {
	uint32_t id;			/* 0: none */
	uint32_t vm;			/* that it belongs to, or 0 */
};

struct fuzz {
	int fd;
	uint64_t state;			/* of the generator */
	struct thing pool[KINDS][POOL];
	uint64_t *arena;		/* what calls point into; behind it nothing is mapped */
	uint32_t used;			/* words of it, by the call that is being made */
	int sink;			/* takes what is read from buffers */
	sem_t meddle;			/* posted for a burst of changes to the arena */
};

static uint64_t end;
static uint64_t limit;
static uint64_t *total;			/* calls of all processes */

static uint64_t rnd(struct fuzz *f)
{
	f->state ^= f->state << 13;
	f->state ^= f->state >> 7;
	f->state ^= f->state << 17;
	return f->state;
}

static bool one_in(struct fuzz *f, unsigned int n)
{
	return !(rnd(f) % n);
}

/* A number of a kind that fields like. */
static uint64_t number(struct fuzz *f)
{
	switch (rnd(f) % 12) {
	case 0: return rnd(f);
	case 1: return rnd(f) >> 32;
	case 2: return UINT64_MAX >> (rnd(f) % 64);
	case 3: return (uintptr_t)(f->arena + rnd(f) % (ARENA / 8));
	case 4: return 4096ull << (rnd(f) % 14);
	case 5: return VA + (rnd(f) % 64) * 4096;
	case 6: return rnd(f) % 64 | (rnd(f) % 3) << 32;
	/* Two fields: a stride and a count. */
	case 7: return (rnd(f) % 3 * 16 + 16) | (rnd(f) % 4) << 32;
	case 8: return 1 | 1ull << 32;
	case 9: return 1ull << (rnd(f) % 64);
	default: return rnd(f) % 5;
	}
}

/* Room in the arena. Now and then the end of it, so that one element more is not there. */
static void *take(struct fuzz *f, size_t bytes)
{
	uint32_t words = (uint32_t)(bytes + 7) / 8;
	uint64_t *p;

	if (f->used + words > ARENA / 8)
		f->used = 0;
	p = one_in(f, 32) ? f->arena + ARENA / 8 - words : f->arena + f->used;
	f->used += words;
	memset(p, 0, bytes);
	return p;
}

/* A thing, of VM @vm if there is one and @vm is not 0; now and then none. */
static struct thing pick_of(struct fuzz *f, enum kind kind, uint32_t vm)
{
	unsigned int n = pool_sizes[kind], first = (unsigned int)(rnd(f) % n), i;
	struct thing found = { 0 };

	for (i = 0; i < n; i++) {
		const struct thing *thing = &f->pool[kind][(first + i) % n];

		if (!thing->id)
			continue;
		if (!found.id || thing->vm == vm)
			found = *thing;
		if (!vm || thing->vm == vm)
			break;
	}
	if (!found.id || one_in(f, 32))
		found.id = (uint32_t)(rnd(f) % 8);
	return found;
}

static uint32_t pick(struct fuzz *f, enum kind kind)
{
	return pick_of(f, kind, 0).id;
}

/* False if there are enough of them. */
static bool put(struct fuzz *f, enum kind kind, uint32_t id, uint32_t vm)
{
	unsigned int i;

	for (i = 0; i < pool_sizes[kind]; i++)
		if (!f->pool[kind][i].id) {
			f->pool[kind][i] = (struct thing){ .id = id, .vm = vm };
			return true;
		}
	return false;
}

/* @vm: 0 for what has an id of its own in all of the file. */
static void drop(struct fuzz *f, enum kind kind, uint32_t id, uint32_t vm)
{
	unsigned int i;

	for (i = 0; i < POOL; i++)
		if (f->pool[kind][i].id == id && (!vm || f->pool[kind][i].vm == vm))
			f->pool[kind][i].id = 0;
}

/* Returns 0 or -errno. */
static int counted(struct fuzz *f, unsigned long request, void *args)
{
	uint64_t since = now_ns();
	int ret = ioctl(f->fd, request, args) ? -errno : 0;

	counts_add(_IOC_NR(request), -ret, since);
	__atomic_add_fetch(total, 1, __ATOMIC_RELAXED);
	return ret;
}

/* Makes the call, spoilt or not. What it points to is in the arena, where it may be spoilt too. */
static int call(struct fuzz *f, unsigned long request, void *args, size_t size)
{
	uint32_t raw[64] = { 0 }, i;
	int ret;

	memcpy(raw, args, size);
	if (one_in(f, 3))
		for (i = (uint32_t)(rnd(f) % 3); i; i--)
			raw[rnd(f) % (size / 4)] = (uint32_t)number(f);
	if (one_in(f, 4) && f->used)
		for (i = (uint32_t)(rnd(f) % 3); i; i--)
			((uint32_t *)f->arena)[rnd(f) % (f->used * 2)] = (uint32_t)number(f);
	/* Memory must not run out for the others of this guest. */
	if (request == DRM_IOCTL_NIB_BO_CREATE && !raw[1])
		raw[0] %= 4 * MIB;
	if (one_in(f, 64))
		sem_post(&f->meddle);
	/* Structs of other versions; but a buffer whose handle does not come back is never closed. */
	if (one_in(f, 16) && request != DRM_IOCTL_NIB_BO_CREATE &&
	    request != DRM_IOCTL_NIB_SRAM_LEASE_CREATE)
		request = _IOC(_IOC_READ | _IOC_WRITE, 'd', _IOC_NR(request), rnd(f) % sizeof(raw));
	ret = counted(f, request, raw);
	if (!ret)
		memcpy(args, raw, size);
	return ret;
}

#define CALL(f, name, args)	call(f, DRM_IOCTL_##name, args, sizeof(*(args)))

static void make_query(struct fuzz *f)
{
	struct nib_dev_query args = { .type = (uint32_t)(rnd(f) % 4), .size = 256 };

	args.pointer = (uintptr_t)take(f, args.size);
	CALL(f, NIB_DEV_QUERY, &args);
}

static void make_vm(struct fuzz *f)
{
	struct nib_vm_create args = { 0 };

	if (CALL(f, NIB_VM_CREATE, &args) || put(f, KIND_VM, args.vm_id, 0))
		return;
	vm_destroy(f->fd, args.vm_id);
}

static void end_vm(struct fuzz *f)
{
	struct nib_vm_destroy args = { .vm_id = pick(f, KIND_VM) };
	unsigned int i;

	if (CALL(f, NIB_VM_DESTROY, &args))
		return;
	drop(f, KIND_VM, args.vm_id, 0);
	/* Its streams went with it. */
	for (i = 0; i < POOL; i++)
		if (f->pool[KIND_STREAM][i].vm == args.vm_id)
			f->pool[KIND_STREAM][i].id = 0;
}

static void keep(struct fuzz *f, enum kind kind, uint32_t handle)
{
	if (!put(f, kind, handle, 0))
		bo_close(f->fd, handle);
}

static void make_bo(struct fuzz *f)
{
	struct nib_bo_create args = {
		.size = (4096ull << (rnd(f) % (one_in(f, 8) ? 11 : 6))) +
			(one_in(f, 4) ? rnd(f) % 8192 : 0),
		.flags = 1u << (rnd(f) % 3),
	};

	if (one_in(f, 3))
		args.flags |= NIB_BO_NO_MMAP;
	if (!CALL(f, NIB_BO_CREATE, &args))
		keep(f, KIND_BO, args.handle);
}

static uint32_t pick_lease(struct fuzz *f)
{
	return pick(f, one_in(f, 8) ? KIND_BO : KIND_LEASE);
}

static void make_lease(struct fuzz *f)
{
	struct nib_sram_lease_create args = {
		.guaranteed = rnd(f) % 4 * 64 * KIB, .burst = rnd(f) % 16 * 64 * KIB,
	};

	if (!CALL(f, NIB_SRAM_LEASE_CREATE, &args))
		keep(f, KIND_LEASE, args.handle);
}

static void query_lease(struct fuzz *f)
{
	struct nib_sram_lease_query args = { .handle = pick_lease(f) };

	CALL(f, NIB_SRAM_LEASE_QUERY, &args);
}

static void advise(struct fuzz *f)
{
	struct nib_bo_madvise args = {
		.handle = pick(f, KIND_BO), .advice = (uint32_t)(rnd(f) % 2),
	};

	CALL(f, NIB_BO_MADVISE, &args);
}

static void end_bo(struct fuzz *f)
{
	enum kind kind = one_in(f, 3) ? KIND_LEASE : KIND_BO;
	struct drm_gem_close args = { .handle = pick(f, kind) };

	if (CALL(f, GEM_CLOSE, &args))
		return;
	drop(f, KIND_LEASE, args.handle, 0);
	drop(f, KIND_BO, args.handle, 0);
}

/* Maps a buffer, and looks at it if that may not fault for want of memory. */
static void map_bo(struct fuzz *f)
{
	struct nib_bo_mmap_offset args = { .handle = pick(f, KIND_BO) };
	size_t size = 4096u << (rnd(f) % 4);
	uint64_t since;
	void *p;
	int error;

	if (CALL(f, NIB_BO_MMAP_OFFSET, &args))
		return;
	since = now_ns();
	p = mmap(NULL, size, one_in(f, 4) ? PROT_READ : PROT_READ | PROT_WRITE,
		 one_in(f, 8) ? MAP_PRIVATE : MAP_SHARED, f->fd,
		 (off_t)(args.offset + (one_in(f, 8) ? number(f) & ~4095ull : 0)));
	error = p == MAP_FAILED ? errno : 0;
	/* By a system call: a buffer that is smaller, or gone, is EFAULT and no signal. */
	if (!error && !one_in(f, 4) && pwrite(f->sink, p, size, 0) < 0)
		error = errno;
	if (p != MAP_FAILED)
		munmap(p, size);
	counts_add(COUNTS_MMAP, error, since);
}

static void share_bo(struct fuzz *f)
{
	struct drm_prime_handle args = {
		.handle = pick(f, KIND_BO), .flags = rnd(f) % 2 ? DRM_CLOEXEC | DRM_RDWR : DRM_CLOEXEC,
	};

	if (counted(f, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args))
		return;
	if (one_in(f, 2) && !counted(f, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args))
		put(f, KIND_BO, args.handle, 0);
	close(args.fd);
}

static struct nib_obj_array make_syncs(struct fuzz *f, uint32_t most)
{
	uint32_t n = (uint32_t)(rnd(f) % (most + 1)), i;
	struct nib_sync_op *syncs = take(f, (n ? n : 1) * sizeof(*syncs));

	for (i = 0; i < n; i++) {
		syncs[i].flags = (uint32_t)(rnd(f) % 4);
		/* A wait for what may never come keeps what stands behind it: fewer of them. */
		if (!one_in(f, 4))
			syncs[i].flags |= NIB_SYNC_SIGNAL;
		syncs[i].handle = pick(f, KIND_SYNCOBJ);
		syncs[i].point = syncs[i].flags & NIB_SYNC_TIMELINE ? rnd(f) % 32 : 0;
	}
	return (struct nib_obj_array){
		.stride = sizeof(*syncs), .count = n, .array = n ? (uintptr_t)syncs : 0,
	};
}

static void bind(struct fuzz *f)
{
	struct nib_vm_bind args = {
		.vm_id = pick(f, KIND_VM), .flags = (uint32_t)(rnd(f) % 2),
		.ops = { .stride = sizeof(struct nib_vm_bind_op), .count = 1 + rnd(f) % 4 },
	};
	struct nib_vm_bind_op *ops = take(f, args.ops.count * sizeof(*ops));
	uint64_t unit;
	uint32_t i;

	args.ops.array = (uintptr_t)ops;
	for (i = 0; i < args.ops.count; i++) {
		unit = one_in(f, 4) ? 2 * MIB : one_in(f, 3) ? 64 * KIB : 4 * KIB;
		ops[i].flags = (uint32_t)(rnd(f) % 3);
		ops[i].va = VA + rnd(f) % 32 * unit;
		ops[i].size = (1 + rnd(f) % 8) * unit;
		if (ops[i].flags == NIB_VM_BIND_OP_SYNC_ONLY)
			ops[i].va = ops[i].size = 0;
		if (ops[i].flags == NIB_VM_BIND_OP_MAP) {
			ops[i].bo_handle = pick(f, KIND_BO);
			ops[i].bo_offset = one_in(f, 2) ? 0 : rnd(f) % 8 * 4096;
			ops[i].flags |= (uint32_t)(rnd(f) % 4) << 2;
		}
		if (args.flags & NIB_VM_BIND_ASYNC)
			ops[i].syncs = make_syncs(f, 2);
	}
	CALL(f, NIB_VM_BIND, &args);
}

/* A short stream that is right, mostly; some fault, few wait for what nobody writes. */
static void make_stream(struct fuzz *f)
{
	struct stream *s = take(f, sizeof(*s));
	struct nib_stream_create args = { .vm_id = pick(f, KIND_VM) };
	uint32_t n = (uint32_t)(rnd(f) % 4);

	while (n--) {
		uint64_t at = VA + rnd(f) % 4096 * 16;

		switch (rnd(f) % 4) {
		case 0: packet_fill(s, at, 1 + rnd(f) % 256, (uint32_t)rnd(f)); break;
		case 1: packet_copy(s, at, at + 65536, 1 + rnd(f) % 256); break;
		case 2: packet(s, NIB_OP_FILL, 1, 3, W(rnd(f) % 4), W(4), W(0)); break;
		default:
			packet_sem(s, at, one_in(f, 256) ? 1 : 0,
				   one_in(f, 2) ? NIB_SEM_WAIT_GE : NIB_SEM_SET);
		}
	}
	packet_end(s);
	args.size = s->count * 8;
	args.data = (uintptr_t)s->words;
	if (CALL(f, NIB_STREAM_CREATE, &args) || put(f, KIND_STREAM, args.stream_id, args.vm_id))
		return;
	stream_destroy(f->fd, args.vm_id, args.stream_id);
}

static void end_stream(struct fuzz *f)
{
	struct thing stream = pick_of(f, KIND_STREAM, 0);
	struct nib_stream_destroy args = { .vm_id = stream.vm, .stream_id = stream.id };

	if (!CALL(f, NIB_STREAM_DESTROY, &args))
		drop(f, KIND_STREAM, args.stream_id, args.vm_id);
}

static void make_queue(struct fuzz *f)
{
	struct nib_queue_create args = {
		.vm_id = pick(f, KIND_VM), .priority = (uint32_t)(rnd(f) % 4),
		.weight = (uint32_t)(rnd(f) % 256),
		.flags = one_in(f, 2) ? NIB_QUEUE_KEEP_GOING : 0,
	};

	if (CALL(f, NIB_QUEUE_CREATE, &args) || put(f, KIND_QUEUE, args.queue_id, args.vm_id))
		return;
	queue_destroy(f->fd, args.queue_id);
}

static void end_queue(struct fuzz *f)
{
	struct nib_queue_destroy args = { .queue_id = pick(f, KIND_QUEUE) };

	if (!CALL(f, NIB_QUEUE_DESTROY, &args))
		drop(f, KIND_QUEUE, args.queue_id, 0);
}

/* A dead queue makes room. */
static void see_queue(struct fuzz *f)
{
	struct nib_queue_get_state args = { .queue_id = pick(f, KIND_QUEUE) };

	if (CALL(f, NIB_QUEUE_GET_STATE, &args) || !(args.state & NIB_QUEUE_STATE_BANNED))
		return;
	if (!queue_destroy(f->fd, args.queue_id))
		drop(f, KIND_QUEUE, args.queue_id, 0);
}

static void submit_some(struct fuzz *f)
{
	struct nib_submit args = {
		.jobs = { .stride = sizeof(struct nib_job), .count = one_in(f, 2) ? 1 : rnd(f) % 5 },
	};
	struct nib_job *jobs = take(f, args.jobs.count * sizeof(*jobs));
	struct nib_lease_ref *lease;
	uint64_t *words;
	uint32_t i;

	args.jobs.array = (uintptr_t)jobs;
	for (i = 0; i < args.jobs.count; i++) {
		struct thing queue = pick_of(f, KIND_QUEUE, 0);

		jobs[i].queue_id = queue.id;
		jobs[i].stream_id = pick_of(f, KIND_STREAM, queue.vm).id;
		jobs[i].nargs = (uint32_t)(rnd(f) % 8);
		words = take(f, 8 * sizeof(*words));
		words[rnd(f) % 8] = VA + rnd(f) % 64 * 4096;
		jobs[i].args = (uintptr_t)words;
		jobs[i].stats_va = one_in(f, 4) ? VA + rnd(f) % 64 * 4096 : 0;
		jobs[i].syncs = make_syncs(f, 3);
		if (one_in(f, 4)) {
			lease = take(f, sizeof(*lease));
			lease->handle = pick_lease(f);
			jobs[i].leases = (struct nib_obj_array)NIB_OBJ_ARRAY(1, lease);
		}
	}
	CALL(f, NIB_SUBMIT, &args);
}

static void make_syncobj(struct fuzz *f)
{
	struct drm_syncobj_create args = { .flags = (uint32_t)(rnd(f) % 2) };

	if (CALL(f, SYNCOBJ_CREATE, &args) || put(f, KIND_SYNCOBJ, args.handle, 0))
		return;
	drmSyncobjDestroy(f->fd, args.handle);
}

static void end_syncobj(struct fuzz *f)
{
	struct drm_syncobj_destroy args = { .handle = pick(f, KIND_SYNCOBJ) };

	if (!CALL(f, SYNCOBJ_DESTROY, &args))
		drop(f, KIND_SYNCOBJ, args.handle, 0);
}

/* What others do with syncobjs: signals from the CPU, so that few jobs wait for ever. */
static void use_syncobj(struct fuzz *f)
{
	uint32_t handle = pick(f, KIND_SYNCOBJ);
	uint64_t point = rnd(f) % 32;
	struct drm_syncobj_array some = { .handles = (uintptr_t)&handle, .count_handles = 1 };
	struct drm_syncobj_timeline_array points = {
		.handles = (uintptr_t)&handle, .points = (uintptr_t)&point, .count_handles = 1,
	};
	struct drm_syncobj_timeline_wait wait = {
		.handles = (uintptr_t)&handle, .points = (uintptr_t)&point, .count_handles = 1,
		.timeout_nsec = one_in(f, 32) ? deadline_ms(5) : 0, .flags = (uint32_t)(rnd(f) % 4),
	};
	struct drm_syncobj_handle file = {
		.handle = handle, .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
	};

	switch (rnd(f) % 5) {
	case 0:
		counted(f, DRM_IOCTL_SYNCOBJ_SIGNAL, &some);
		break;
	case 1:
		counted(f, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &points);
		break;
	case 2:
		counted(f, DRM_IOCTL_SYNCOBJ_RESET, &some);
		break;
	case 3:
		counted(f, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &wait);
		break;
	default:
		if (counted(f, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &file))
			break;
		file.handle = pick(f, KIND_SYNCOBJ);
		file.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE;
		counted(f, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &file);
		close(file.fd);
	}
}

/* One of the driver's ioctls, or of their neighbours, with nothing right. */
static void noise(struct fuzz *f)
{
	unsigned int nr = (unsigned int)(rnd(f) % (NIB_IOCTL_SRAM_LEASE_QUERY + 2)), i;
	uint64_t args[16];

	for (i = 0; i < 64; i++)
		f->arena[rnd(f) % (ARENA / 8)] = number(f);
	for (i = 0; i < 16; i++)
		args[i] = number(f);
	if (nr == NIB_IOCTL_BO_CREATE)
		args[0] = one_in(f, 64) ? args[0] | 1ull << 40 : args[0] % (4 * MIB);
	if (counted(f, DRM_IOWR(DRM_COMMAND_BASE + nr, uint64_t[8]), args))
		return;
	if (nr == NIB_IOCTL_BO_CREATE)
		keep(f, KIND_BO, (uint32_t)(args[1] >> 32));
	if (nr == NIB_IOCTL_SRAM_LEASE_CREATE)
		keep(f, KIND_LEASE, (uint32_t)(args[2] >> 32));
}

/*
 * More of what needs more luck, and less of what takes long: what the firmware is told of, and
 * buffers that are cleared.
 */
static const struct {
	void (*make)(struct fuzz *f);
	unsigned int weight;
} makers[] = {
	{ make_vm, 4 }, { end_vm, 6 }, { make_bo, 8 }, { make_lease, 4 }, { end_bo, 10 },
	{ make_queue, 8 }, { end_queue, 3 }, { make_stream, 10 }, { end_stream, 6 },
	{ make_query, 10 }, { query_lease, 25 }, { advise, 30 }, { map_bo, 10 }, { share_bo, 15 },
	{ bind, 30 }, { see_queue, 30 }, { submit_some, 100 },
	{ make_syncobj, 12 }, { end_syncobj, 10 }, { use_syncobj, 70 }, { noise, 600 },
};

static void make_one(struct fuzz *f)
{
	unsigned int sum = 0, i;

	for (i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
		sum += makers[i].weight;
	sum = (unsigned int)(rnd(f) % sum);
	for (i = 0; sum >= makers[i].weight; i++)
		sum -= makers[i].weight;
	f->used = 0;
	makers[i].make(f);
}

/* Changes what the kernel is reading. */
static void *meddle(void *arg)
{
	struct fuzz *f = arg, own = { .arena = f->arena, .state = f->state ^ 0x9e3779b97f4a7c15ull };
	unsigned int i;

	for (;;) {
		while (sem_wait(&f->meddle))
			;
		for (i = 0; i < 500; i++)
			((volatile uint32_t *)f->arena)[rnd(&own) % (ARENA / 4)] =
				(uint32_t)number(&own);
	}
	return NULL;
}

static void fuzz(int fd, uint64_t seed)
{
	struct fuzz f = { .fd = fd, .state = seed };
	pthread_t thread;
	char *memory;

	f.sink = memfd_create("sink", MFD_CLOEXEC);
	memory = mmap(NULL, ARENA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED && !munmap(memory + ARENA, 4096));
	f.arena = (uint64_t *)memory;
	CHECK(!sem_init(&f.meddle, 0, 0));
	CHECK(!pthread_create(&thread, NULL, meddle, &f));
	while (now_ns() < end && __atomic_load_n(total, __ATOMIC_RELAXED) < limit)
		make_one(&f);
	_exit(0);
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Says how it goes: a long time of silence is a process that waits for ever. */
static void wait_for_all(void)
{
	uint64_t start = now_ns(), told = start;
	int left = PROCESSES, status;
	pid_t pid;

	while (left) {
		pid = waitpid(-1, &status, WNOHANG);
		CHECK(pid >= 0);
		if (pid && status)
			FAIL("a process ended with status %#x", status);
		left -= pid > 0;
		if (!left || now_ns() - told >= 10000000000ull) {
			told = now_ns();
			printf("%" PRIu64 " calls in %" PRIu64 " s\n",
			       __atomic_load_n(total, __ATOMIC_RELAXED),
			       (told - start) / 1000000000);
			fflush(stdout);
		}
		if (!pid)
			usleep(50000);
	}
}

int main(void)
{
	int shared = guest_open(), i, tries;
	uint64_t seed, ms, hbm_free = query_memory(shared).hbm_free;
	uint64_t sram_free = query_memory(shared).sram_free;
	struct stream s = { 0 };
	struct guest after;

	limit = from_env("NIB_FUZZ_CALLS", UINT64_MAX);
	ms = from_env("NIB_FUZZ_MS", limit == UINT64_MAX ? 3000 : 0);
	end = ms ? now_ns() + ms * 1000000 : UINT64_MAX;
	seed = from_env("NIB_FUZZ_SEED", 88172645463325252ull);
	counts_begin();
	total = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(total != MAP_FAILED);
	for (i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid)
			fuzz(i < 2 ? shared : guest_open(),
			     (seed + (uint64_t)i) * 0x9e3779b97f4a7c15ull | 1);
	}
	wait_for_all();
	if (counts_print() >= LONG_RUN)
		counts_check(DRM_COMMAND_BASE, DRM_COMMAND_BASE + NIB_IOCTL_SRAM_LEASE_QUERY);
	close(shared);
	after = guest_begin();
	packet_end(&s);
	OK(run_stream(after.fd, after.vm, after.queue, &s));
	OK(queue_destroy(after.fd, after.queue));
	OK(vm_destroy(after.fd, after.vm));
	/* Jobs of closed files are cancelled, and let go of their memory, in their own time. */
	for (tries = 0; tries < 500 && query_memory(after.fd).hbm_free != hbm_free; tries++)
		usleep(20000);
	EQUAL(query_memory(after.fd).hbm_free, hbm_free);
	EQUAL(query_memory(after.fd).sram_free, sram_free);
	return 0;
}
