/* SPDX-License-Identifier: MIT */
/*
 * The link to the device goes down at some point, again and again, while several clients work, set
 * up, wait and close: every call and every fence ends, with ENODEV where the device was needed, the
 * driver lets go of what is left, and finds a device that works once the link is back.
 */
#include "control.h"
#include "life.h"

#include <pthread.h>

#define ROUNDS	6
#define THREADS	4

static pthread_barrier_t start;

/* True if the device is gone; anything else but success fails the test. */
static bool gone(int ret)
{
	if (ret && ret != -ENODEV)
		FAIL("%s", strerror(-ret));
	return ret;
}

static bool fence_ended(int fd, uint32_t fence)
{
	int status;

	OK(syncobj_wait(fd, fence, 60000));
	status = fence_status(fd, fence);
	if (status < 0 && status != -ENODEV && status != -ECANCELED)
		FAIL("fence: %s", strerror(-status));
	return status < 0;
}

static bool submits(struct guest *g, uint32_t queue, uint32_t stream)
{
	uint32_t done = syncobj(g->fd);
	bool over = gone(submit(g->fd, queue, stream, done)) || fence_ended(g->fd, done);

	drmSyncobjDestroy(g->fd, done);
	return over;
}

static bool sets_up(struct guest *g)
{
	struct nib_stream_create args;
	uint32_t bo = 0, queue = 0;
	struct stream s = { 0 };
	bool over;

	packet_end(&s);
	over = gone(bo_create(g->fd, 2 * MIB, NIB_BO_HBM, &bo)) ||
	       gone(vm_map(g->fd, g->vm, bo, 0, 2 * LIFE_VA, 2 * MIB, 0)) ||
	       gone(queue_create(g->fd, g->vm, NIB_PRIORITY_HIGH, &queue)) ||
	       gone(stream_create_raw(g->fd, g->vm, s.words, s.count * 8, &args)) ||
	       submits(g, queue, args.stream_id) ||
	       gone(stream_destroy(g->fd, g->vm, args.stream_id)) ||
	       gone(queue_destroy(g->fd, queue)) ||
	       gone(vm_unmap(g->fd, g->vm, 2 * LIFE_VA, 2 * MIB));
	/* DRM's own; a handle can always be closed. */
	if (bo)
		OK(bo_close(g->fd, bo));
	return over;
}

/* Leaves with work in flight. */
static bool comes_and_goes(uint32_t rounds)
{
	struct nib_stream_create args;
	struct guest g = { .fd = guest_open() };
	struct stream s = { 0 };
	bool over;

	packet_fill(&s, LIFE_VA, 1, rounds);
	packet_end(&s);
	over = gone(vm_create(g.fd, &g.vm)) ||
	       gone(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &g.queue)) ||
	       gone(stream_create_raw(g.fd, g.vm, s.words, s.count * 8, &args)) ||
	       gone(submit(g.fd, g.queue, args.stream_id, syncobj(g.fd)));
	close(g.fd);
	return over;
}

static void *work(void *arg)
{
	unsigned int kind = (unsigned int)(uintptr_t)arg;
	struct life_work w = life_begin();
	uint32_t rounds = 0, end;
	struct stream s = { 0 };
	bool over = false;

	packet_end(&s);
	end = stream_create(w.g.fd, w.g.vm, &s);
	pthread_barrier_wait(&start);
	for (; !over; rounds++) {
		/* The window reads all ones without a device, but it is there. */
		(void)w.hbm[rounds % 1024];
		over = kind % 3 == 0 ? submits(&w.g, w.busy, end) :
		       kind % 3 == 1 ? sets_up(&w.g) : comes_and_goes(rounds);
	}
	EXPECT(submit(w.g.fd, w.g.queue, w.hold, w.fence[0]), -ENODEV);
	life_check_ended(&w, -ENODEV);
	life_end(&w);
	return NULL;
}

int main(void)
{
	uint64_t hbm_free = life_check_fresh(0);
	pthread_t threads[THREADS];
	char address[64];
	int i, j;

	life_find_device(address, sizeof(address));
	control("{\"status\":true}");
	for (i = 0; i < ROUNDS; i++) {
		CHECK(!pthread_barrier_init(&start, NULL, THREADS + 1));
		for (j = 0; j < THREADS; j++)
			CHECK(!pthread_create(&threads[j], NULL, work, (void *)(uintptr_t)j));
		pthread_barrier_wait(&start);
		/* Any point will do: every one must be safe. */
		usleep((useconds_t)(i * 7919 % 100 * 1000));
		control("{\"link\":\"down\"}");
		for (j = 0; j < THREADS; j++)
			CHECK(!pthread_join(threads[j], NULL));
		pthread_barrier_destroy(&start);
		OK(i & 1 ? life_remove(address) : life_unbind(address));
		control("{\"link\":\"up\"}");
		OK(i & 1 ? life_rescan() : life_bind(address));
		life_check_fresh(hbm_free);
	}
	return 0;
}
