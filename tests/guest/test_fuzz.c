/* SPDX-License-Identifier: MIT */
/*
 * Ioctls with anything in them: noise, and calls that are put together right and then spoilt in a few
 * places, from four processes of which two share a file, while a thread of each changes the memory
 * that the kernel reads. Nothing is expected of the calls but that the kernel survives: the runner
 * looks at its log. Afterwards the device works, and no memory of it is lost.
 *
 * NIB_FUZZ_CALLS says how many, NIB_FUZZ_MS for how long (3000 by default), NIB_FUZZ_SEED where to
 * start. One seed makes the same calls with the same order in each process; what happens between
 * processes is chance.
 */
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#define VA		0x100000000ull
#define PROCESSES	4
#define POOL		12
#define ARENA		(16 * KIB)

/* Things that calls make and take; handles of one kind are all alike to a fuzzer. */
enum kind { KIND_VM, KIND_BO, KIND_QUEUE, KIND_STREAM, KIND_SYNCOBJ, KINDS };

struct fuzz {
	int fd;
	uint64_t state;			/* of the generator */
	uint32_t pool[KINDS][POOL];	/* 0 is empty */
	uint64_t *arena;		/* what calls point into; behind it nothing is mapped */
	uint32_t used;			/* words of it, by the call that is being made */
	int sink;			/* takes what is read from buffers */
	uint64_t sunk;
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

static uint32_t pick(struct fuzz *f, enum kind kind)
{
	uint32_t id = f->pool[kind][rnd(f) % POOL];

	return id && !one_in(f, 16) ? id : (uint32_t)(rnd(f) % 8);
}

static bool put(struct fuzz *f, enum kind kind, uint32_t id)
{
	uint32_t *slot = &f->pool[kind][rnd(f) % POOL];

	if (*slot)
		return false;
	*slot = id;
	return true;
}

static void drop(struct fuzz *f, enum kind kind, uint32_t id)
{
	unsigned int i;

	for (i = 0; i < POOL; i++)
		if (f->pool[kind][i] == id)
			f->pool[kind][i] = 0;
}

/* Makes the call, spoilt or not. What it points to is in the arena, where it may be spoilt too. */
static int call(struct fuzz *f, unsigned long request, void *args, size_t size)
{
	uint32_t raw[64] = { 0 }, i;

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
	/* Structs of other versions; but a buffer whose handle does not come back is never closed. */
	if (one_in(f, 16) && request != DRM_IOCTL_NIB_BO_CREATE &&
	    request != DRM_IOCTL_NIB_SRAM_LEASE_CREATE)
		request = _IOC(_IOC_READ | _IOC_WRITE, 'd', _IOC_NR(request), rnd(f) % sizeof(raw));
	if (ioctl(f->fd, request, raw))
		return -errno;
	memcpy(args, raw, size);
	return 0;
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

	if (CALL(f, NIB_VM_CREATE, &args) || put(f, KIND_VM, args.vm_id))
		return;
	vm_destroy(f->fd, args.vm_id);
}

static void end_vm(struct fuzz *f)
{
	struct nib_vm_destroy args = { .vm_id = pick(f, KIND_VM) };

	if (!CALL(f, NIB_VM_DESTROY, &args))
		drop(f, KIND_VM, args.vm_id);
}

static void keep_bo(struct fuzz *f, uint32_t handle)
{
	if (!put(f, KIND_BO, handle))
		bo_close(f->fd, handle);
}

static void make_bo(struct fuzz *f)
{
	struct nib_bo_create args = {
		.size = (4096ull << (rnd(f) % 11)) + (one_in(f, 4) ? rnd(f) % 8192 : 0),
		.flags = 1u << (rnd(f) % 3),
	};

	if (one_in(f, 3))
		args.flags |= NIB_BO_NO_MMAP;
	if (!CALL(f, NIB_BO_CREATE, &args))
		keep_bo(f, args.handle);
}

static void make_lease(struct fuzz *f)
{
	struct nib_sram_lease_create args = {
		.guaranteed = rnd(f) % 4 * 64 * KIB, .burst = rnd(f) % 16 * 64 * KIB,
	};

	if (!CALL(f, NIB_SRAM_LEASE_CREATE, &args))
		keep_bo(f, args.handle);
}

static void query_lease(struct fuzz *f)
{
	struct nib_sram_lease_query args = { .handle = pick(f, KIND_BO) };

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
	struct drm_gem_close args = { .handle = pick(f, KIND_BO) };

	if (!CALL(f, GEM_CLOSE, &args))
		drop(f, KIND_BO, args.handle);
}

/* Maps a buffer, and looks at it if that may not fault for want of memory. */
static void map_bo(struct fuzz *f)
{
	struct nib_bo_mmap_offset args = { .handle = pick(f, KIND_BO) };
	size_t size = 4096u << (rnd(f) % 4);
	void *p;

	if (CALL(f, NIB_BO_MMAP_OFFSET, &args))
		return;
	p = mmap(NULL, size, one_in(f, 4) ? PROT_READ : PROT_READ | PROT_WRITE,
		 one_in(f, 8) ? MAP_PRIVATE : MAP_SHARED, f->fd,
		 (off_t)(args.offset + (one_in(f, 8) ? number(f) & ~4095ull : 0)));
	if (p == MAP_FAILED)
		return;
	/* By a system call: a buffer that is smaller, or gone, is EFAULT and no signal. */
	if (!one_in(f, 4))
		f->sunk += pwrite(f->sink, p, size, 0) > 0;
	munmap(p, size);
}

static void share_bo(struct fuzz *f)
{
	uint32_t handle = pick(f, KIND_BO);
	int file;

	if (drmPrimeHandleToFD(f->fd, handle, rnd(f) % 2 ? DRM_CLOEXEC | DRM_RDWR : DRM_CLOEXEC, &file))
		return;
	if (one_in(f, 2) && !drmPrimeFDToHandle(f->fd, file, &handle))
		put(f, KIND_BO, handle);
	close(file);
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
	if (CALL(f, NIB_STREAM_CREATE, &args) || put(f, KIND_STREAM, args.stream_id))
		return;
	stream_destroy(f->fd, args.vm_id, args.stream_id);
}

static void end_stream(struct fuzz *f)
{
	struct nib_stream_destroy args = {
		.vm_id = pick(f, KIND_VM), .stream_id = pick(f, KIND_STREAM),
	};

	if (!CALL(f, NIB_STREAM_DESTROY, &args))
		drop(f, KIND_STREAM, args.stream_id);
}

static void make_queue(struct fuzz *f)
{
	struct nib_queue_create args = {
		.vm_id = pick(f, KIND_VM), .priority = (uint32_t)(rnd(f) % 4),
		.weight = (uint32_t)(rnd(f) % 256),
	};

	if (CALL(f, NIB_QUEUE_CREATE, &args) || put(f, KIND_QUEUE, args.queue_id))
		return;
	queue_destroy(f->fd, args.queue_id);
}

static void end_queue(struct fuzz *f)
{
	struct nib_queue_destroy args = { .queue_id = pick(f, KIND_QUEUE) };

	if (!CALL(f, NIB_QUEUE_DESTROY, &args))
		drop(f, KIND_QUEUE, args.queue_id);
}

/* A dead queue makes room. */
static void see_queue(struct fuzz *f)
{
	struct nib_queue_get_state args = { .queue_id = pick(f, KIND_QUEUE) };

	if (CALL(f, NIB_QUEUE_GET_STATE, &args) || !(args.state & NIB_QUEUE_STATE_BANNED))
		return;
	if (!queue_destroy(f->fd, args.queue_id))
		drop(f, KIND_QUEUE, args.queue_id);
}

static void submit_some(struct fuzz *f)
{
	struct nib_submit args = {
		.jobs = { .stride = sizeof(struct nib_job), .count = 1 + rnd(f) % 4 },
	};
	struct nib_job *jobs = take(f, args.jobs.count * sizeof(*jobs));
	struct nib_lease_ref *lease;
	uint64_t *words;
	uint32_t i;

	args.jobs.array = (uintptr_t)jobs;
	for (i = 0; i < args.jobs.count; i++) {
		jobs[i].queue_id = pick(f, KIND_QUEUE);
		jobs[i].stream_id = pick(f, KIND_STREAM);
		jobs[i].nargs = (uint32_t)(rnd(f) % 8);
		words = take(f, 8 * sizeof(*words));
		words[rnd(f) % 8] = VA + rnd(f) % 64 * 4096;
		jobs[i].args = (uintptr_t)words;
		jobs[i].stats_va = one_in(f, 4) ? VA + rnd(f) % 64 * 4096 : 0;
		jobs[i].syncs = make_syncs(f, 3);
		if (one_in(f, 4)) {
			lease = take(f, sizeof(*lease));
			lease->handle = pick(f, KIND_BO);
			jobs[i].leases = (struct nib_obj_array)NIB_OBJ_ARRAY(1, lease);
		}
	}
	CALL(f, NIB_SUBMIT, &args);
}

static void make_syncobj(struct fuzz *f)
{
	struct drm_syncobj_create args = { .flags = (uint32_t)(rnd(f) % 2) };

	if (CALL(f, SYNCOBJ_CREATE, &args) || put(f, KIND_SYNCOBJ, args.handle))
		return;
	drmSyncobjDestroy(f->fd, args.handle);
}

static void end_syncobj(struct fuzz *f)
{
	struct drm_syncobj_destroy args = { .handle = pick(f, KIND_SYNCOBJ) };

	if (!CALL(f, SYNCOBJ_DESTROY, &args))
		drop(f, KIND_SYNCOBJ, args.handle);
}

/* What others do with syncobjs: signals from the CPU, so that few jobs wait for ever. */
static void use_syncobj(struct fuzz *f)
{
	uint32_t handle = pick(f, KIND_SYNCOBJ);
	uint64_t point = rnd(f) % 32;
	int file;

	switch (rnd(f) % 5) {
	case 0:
		drmSyncobjSignal(f->fd, &handle, 1);
		break;
	case 1:
		drmSyncobjTimelineSignal(f->fd, &handle, &point, 1);
		break;
	case 2:
		drmSyncobjReset(f->fd, &handle, 1);
		break;
	case 3:
		timeline_wait(f->fd, handle, point, one_in(f, 8) ? 5 : 0, (uint32_t)(rnd(f) % 4));
		break;
	default:
		if (!drmSyncobjExportSyncFile(f->fd, handle, &file)) {
			drmSyncobjImportSyncFile(f->fd, pick(f, KIND_SYNCOBJ), file);
			close(file);
		}
	}
}

/* One of the driver's ioctls, or of their neighbours, with nothing right. */
static void noise(struct fuzz *f)
{
	unsigned int nr = (unsigned int)(rnd(f) % (NIB_IOCTL_SRAM_LEASE_QUERY + 2)), i;
	uint64_t args[16];

	for (i = 0; i < ARENA / 64; i++)
		f->arena[rnd(f) % (ARENA / 8)] = number(f);
	for (i = 0; i < 16; i++)
		args[i] = number(f);
	if (nr == NIB_IOCTL_BO_CREATE)
		args[0] = one_in(f, 64) ? args[0] | 1ull << 40 : args[0] % (4 * MIB);
	if (ioctl(f->fd, DRM_IOWR(DRM_COMMAND_BASE + nr, uint64_t[8]), args))
		return;
	if (nr == NIB_IOCTL_BO_CREATE)
		keep_bo(f, (uint32_t)(args[1] >> 32));
	if (nr == NIB_IOCTL_SRAM_LEASE_CREATE)
		keep_bo(f, (uint32_t)(args[2] >> 32));
}

/* More of what needs more luck. */
static void (*const makers[])(struct fuzz *) = {
	make_query, make_vm, end_vm, make_bo, make_bo, make_lease, query_lease, advise, end_bo, map_bo,
	share_bo, bind, bind, bind, bind, make_stream, make_stream, end_stream, make_queue, make_queue,
	end_queue, see_queue, submit_some, submit_some, submit_some, submit_some, submit_some,
	submit_some, make_syncobj, end_syncobj, use_syncobj, use_syncobj, noise, noise, noise, noise,
};

/* Changes what the kernel is reading. */
static void *meddle(void *arg)
{
	struct fuzz f = *(struct fuzz *)arg;

	f.state ^= 0x9e3779b97f4a7c15ull;
	for (;;) {
		((volatile uint32_t *)f.arena)[rnd(&f) % (ARENA / 4)] = (uint32_t)number(&f);
		sched_yield();
		if (one_in(&f, 64))
			usleep(1000);
	}
	return NULL;
}

static void fuzz(int fd, uint64_t seed)
{
	struct fuzz f = { .fd = fd, .state = seed };
	pthread_t thread;
	uint64_t n = 0;
	char *memory;

	f.sink = memfd_create("sink", MFD_CLOEXEC);
	memory = mmap(NULL, ARENA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED && !munmap(memory + ARENA, 4096));
	f.arena = (uint64_t *)memory;
	CHECK(!pthread_create(&thread, NULL, meddle, &f));
	while (now_ns() < end) {
		f.used = 0;
		makers[rnd(&f) % (sizeof(makers) / sizeof(makers[0]))](&f);
		n++;
		if (__atomic_add_fetch(total, 1, __ATOMIC_RELAXED) >= limit)
			break;
	}
	printf("%" PRIu64 " calls\n", n);
	fflush(stdout);
	_exit(0);
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

int main(void)
{
	int shared = guest_open(), i, status, tries;
	uint64_t seed, hbm_free = query_memory(shared).hbm_free;
	uint64_t sram_free = query_memory(shared).sram_free;
	struct stream s = { 0 };
	struct guest after;

	limit = from_env("NIB_FUZZ_CALLS", UINT64_MAX);
	end = limit == UINT64_MAX ? now_ns() + from_env("NIB_FUZZ_MS", 3000) * 1000000 : UINT64_MAX;
	seed = from_env("NIB_FUZZ_SEED", 88172645463325252ull);
	total = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(total != MAP_FAILED);
	for (i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid)
			fuzz(i < 2 ? shared : guest_open(),
			     (seed + (uint64_t)i) * 0x9e3779b97f4a7c15ull | 1);
	}
	for (i = 0; i < PROCESSES; i++) {
		CHECK(wait(&status) > 0);
		if (status)
			FAIL("a process ended with status %#x", status);
	}
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
