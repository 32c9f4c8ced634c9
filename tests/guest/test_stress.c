/* SPDX-License-Identifier: MIT */
/*
 * Several threads and clients at once, each doing what it likes for a few seconds: jobs, binds,
 * buffers that come and go, queues that are destroyed with work in them, faults. Afterwards the
 * device works and all of its memory is there. NIB_STRESS_MS says for how long, 4000 by default.
 */
#include "guest.h"

#include <pthread.h>

#define THREADS	4
#define VA	0x100000000ull
#define BAD	0x7770000000ull

static uint64_t end;
static int shared_fd;

struct worker {
	pthread_t thread;
	uint32_t seed;
	bool own_file;
	unsigned long rounds;
};

static uint32_t rnd(struct worker *w, uint32_t below)
{
	w->seed = w->seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)w->seed * below >> 32);
}

/* Waits, or does not, and throws the syncobj away. */
static void settle(struct worker *w, int fd, uint32_t handle)
{
	if (rnd(w, 2))
		syncobj_wait(fd, handle, 20000);
	drmSyncobjDestroy(fd, handle);
}

static void jobs(struct worker *w, struct guest *g)
{
	uint32_t done = syncobj(g->fd), ok, hang, bad, n = 1 + rnd(w, 20), i;
	struct nib_sync_op sync = { NIB_SYNC_SIGNAL, done, 0 };
	struct nib_job job[20];
	struct stream s = { 0 };

	packet_fill(&s, VA, 1 + rnd(w, 4096), w->seed);
	packet_end(&s);
	ok = stream_create(g->fd, g->vm, &s);
	s.count = 0;
	packet_sem(&s, VA + 8192, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	hang = stream_create(g->fd, g->vm, &s);
	s.count = 0;
	packet_fill(&s, BAD, 1, 1);
	packet_end(&s);
	bad = stream_create(g->fd, g->vm, &s);
	for (i = 0; i < n; i++)
		job[i] = (struct nib_job){ .queue_id = g->queue, .stream_id = ok };
	job[n - 1].syncs = (struct nib_obj_array)NIB_OBJ_ARRAY(1, &sync);
	i = rnd(w, 10);
	if (i == 0)
		job[n / 2].stream_id = bad;
	else if (i == 1)
		job[n / 2].stream_id = hang;
	OK(submit_jobs(g->fd, job, n));
	if (i != 1)
		settle(w, g->fd, done);
	if (i <= 1) {
		/* Dead, or stuck: a new one. */
		OK(queue_destroy(g->fd, g->queue));
		OK(queue_create(g->fd, g->vm, rnd(w, 4), &g->queue));
	}
	if (i == 1)
		drmSyncobjDestroy(g->fd, done);
	OK(stream_destroy(g->fd, g->vm, ok));
	OK(stream_destroy(g->fd, g->vm, hang));
	OK(stream_destroy(g->fd, g->vm, bad));
}

static void binds(struct worker *w, struct guest *g)
{
	const uint64_t va = 0x800000000ull;
	uint32_t bo, done = syncobj(g->fd), i;
	struct nib_sync_op sync = { NIB_SYNC_SIGNAL, done, 0 };
	uint32_t flags = rnd(w, 2) ? NIB_BO_HOST : NIB_BO_HBM;
	uint64_t size = 1 * MIB + rnd(w, 1024) * 4096;
	struct nib_vm_bind_op ops[8] = { 0 };
	struct nib_vm_bind args = {
		.vm_id = g->vm, .flags = NIB_VM_BIND_ASYNC, .ops = NIB_OBJ_ARRAY(8, ops),
	};

	OK(bo_create(g->fd, size, flags, &bo));
	for (i = 0; i < 8; i++) {
		ops[i].flags = rnd(w, 3) ? NIB_VM_BIND_OP_MAP : NIB_VM_BIND_OP_UNMAP;
		ops[i].va = va + rnd(w, 2048) * 4096;
		ops[i].size = (1 + rnd(w, 256)) * 4096;
		if (ops[i].flags == NIB_VM_BIND_OP_MAP) {
			ops[i].bo_handle = bo;
			if (!rnd(w, 3)) {
				ops[i].va = va;
				ops[i].size = size;
			}
		}
	}
	ops[7].syncs = (struct nib_obj_array)NIB_OBJ_ARRAY(1, &sync);
	OK(nib_ioctl(g->fd, DRM_IOCTL_NIB_VM_BIND, &args));
	settle(w, g->fd, done);
	OK(bo_close(g->fd, bo));
	if (rnd(w, 2))
		OK(vm_unmap(g->fd, g->vm, va, 64 * MIB));
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct guest g;
	uint32_t bo;

	while (now_ns() < end) {
		g.fd = w->own_file ? guest_open() : shared_fd;
		OK(vm_create(g.fd, &g.vm));
		OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &g.queue));
		OK(bo_create(g.fd, 64 * KIB, NIB_BO_HBM, &bo));
		OK(vm_map(g.fd, g.vm, bo, 0, VA, 64 * KIB, 0));
		do {
			jobs(w, &g);
			binds(w, &g);
			w->rounds++;
		} while (rnd(w, 8) && now_ns() < end);
		OK(bo_close(g.fd, bo));
		if (w->own_file) {
			close(g.fd);
			continue;
		}
		OK(queue_destroy(g.fd, g.queue));
		OK(vm_destroy(g.fd, g.vm));
	}
	return NULL;
}

int main(void)
{
	const char *ms = getenv("NIB_STRESS_MS");
	struct worker workers[THREADS] = { 0 };
	struct stream s = { 0 };
	struct guest g;
	uint64_t hbm_free;
	int i;

	shared_fd = guest_open();
	hbm_free = query_memory(shared_fd).hbm_free;
	end = now_ns() + (ms ? strtoull(ms, NULL, 0) : 4000) * 1000000;
	for (i = 0; i < THREADS; i++) {
		workers[i].seed = 1234567u * (uint32_t)(i + 1);
		workers[i].own_file = i & 1;
		CHECK(!pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	}
	for (i = 0; i < THREADS; i++) {
		CHECK(!pthread_join(workers[i].thread, NULL));
		printf("thread %d: %lu rounds\n", i, workers[i].rounds);
	}
	g = guest_begin();
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	close(g.fd);
	for (i = 0; i < 200 && query_memory(shared_fd).hbm_free != hbm_free; i++)
		usleep(20000);
	EQUAL(query_memory(shared_fd).hbm_free, hbm_free);
	return 0;
}
