/* SPDX-License-Identifier: MIT */
/*
 * Completions that come late or twice are no trouble. One that cannot be right ends its job and its
 * queue with EIO, and others never notice.
 */
#include "fault.h"

#define JOBS	8u

static struct worker w, other;

/* Held back until all jobs behind it, and one of another queue, are done. */
static void late(void)
{
	int64_t before = control_struck("late-completion");
	uint32_t fences[JOBS], i;

	control("{\"inject\":\"late-completion\",\"queue\":%u,\"ms\":20000,\"others\":%u}", w.hw,
		JOBS);
	for (i = 0; i < JOBS; i++) {
		fences[i] = syncobj(w.fd);
		OK(worker_submit(&w, 100 + i, 0, fences[i]));
	}
	/* Their completions are there, but fences signal in order. */
	EXPECT(syncobj_wait(w.fd, fences[JOBS - 1], 600), -ETIME);
	EXPECT(fence_status(w.fd, fences[0]), 0);
	OK(worker_run(&other, 1));
	for (i = 0; i < JOBS; i++)
		OK(fence_end(w.fd, fences[i]));
	worker_check(&w, 100 + JOBS - 1);
	EQUAL(queue_state(w.fd, w.queue).state, 0);
	EQUAL(control_struck("late-completion"), before + 1);
}

/* Whoever destroys a queue gets what was late first. */
static void late_at_the_end_of_its_queue(void)
{
	int64_t before = control_struck("late-completion");
	uint32_t fence = syncobj(w.fd);

	control("{\"inject\":\"late-completion\",\"queue\":%u,\"ms\":60000}", w.hw);
	OK(worker_submit(&w, 5, 0, fence));
	control_wait_struck("late-completion", before);
	worker_new_queue(&w);
	CHECK(fence_status(w.fd, fence) == 1 || fence_status(w.fd, fence) == -ECANCELED);
}

static void twice(void)
{
	int64_t before = control_struck("duplicate-completion");
	uint32_t i;

	control("{\"inject\":\"duplicate-completion\",\"count\":300}");
	/* More than once through the ring. */
	for (i = 0; i < 300; i++)
		OK(worker_run(i % 2 ? &w : &other, 200 + i));
	EQUAL(queue_state(w.fd, w.queue).state, 0);
	EQUAL(queue_state(w.fd, other.queue).state, 0);
	EQUAL(control_struck("duplicate-completion"), before + 300);
}

/* The jobs before it are fine, those behind it are dropped. */
static void corrupt(const char *field, uint32_t fault_status)
{
	uint32_t fences[3], i;
	int last = 0;

	control("{\"inject\":\"corrupt-completion\",\"queue\":%u,\"field\":\"%s\",\"after\":1}",
		w.hw, field);
	for (i = 0; i < 3; i++) {
		fences[i] = syncobj(w.fd);
		/* The queue may be dead by the time of the last one. */
		last = worker_submit(&w, 300 + i, 0, fences[i]);
		OK(i < 2 ? last : 0);
	}
	OK(fence_end(w.fd, fences[0]));
	EXPECT(fence_end(w.fd, fences[1]), -EIO);
	EXPECT(last ? last : fence_end(w.fd, fences[2]), -ECANCELED);
	OK(worker_run(&other, 2));
	EQUAL(queue_state(w.fd, other.queue).state, 0);
	/* It is not the job that was wrong. */
	worker_died(&w, NIB_QUEUE_STATE_INNOCENT, fault_status);
}

int main(void)
{
	control_open();
	w = worker_begin(guest_open());
	other = worker_begin(w.fd);
	/* Later than that, and it would pass for one that never comes. */
	watchdog_set(60000);
	RUN(late());
	RUN(late_at_the_end_of_its_queue());
	RUN(twice());
	RUN(corrupt("seqno", NIB_DONE_NONE));
	RUN(corrupt("status", 0xbad0bad));
	/* Nothing comes that could be wrong: only the watchdog can tell. */
	watchdog_set(1000);
	RUN(corrupt("phase", NIB_DONE_NONE));
	return 0;
}
