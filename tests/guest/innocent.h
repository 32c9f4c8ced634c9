/* SPDX-License-Identifier: MIT */
/*
 * Somebody who works while others get the device into trouble, in a process of his own. A job of his
 * is a chain of packets of which none may be left out and none may run twice, nor may a part of one:
 * sums that grow by every packet, and copies of them in between. What comes out is compared to the
 * bit with what must.
 */
#ifndef INNOCENT_H
#define INNOCENT_H

#include <sys/wait.h>

#include "fault.h"

#define INNOCENT_VA	0x200000000ull
#define INNOCENT_SUMS	4u
#define INNOCENT_STEPS	6u
#define INNOCENT_BYTES	(64 * KIB)
#define INNOCENT_LOG(s)	(0x100 + 64 * (s))	/* the sums after step s */
#define INNOCENT_JOBS	3u			/* in flight at a time */

/**
 * struct innocent - what he has seen so far; shared with whoever started him.
 * @stop: he is to end.
 * @jobs: that ended well, with the right result.
 * @failed: that ended with EIO.
 * @renewed: queues that he had to make anew since his memory was lost.
 * @gap_ns: longest time between two ends of jobs.
 * @state: what his queues said at their worst, NIB_QUEUE_STATE_*.
 * @resets: that his queue has seen.
 */
struct innocent {
	uint64_t stop;
	uint64_t jobs;
	uint64_t failed;
	uint64_t renewed;
	uint64_t gap_ns;
	uint64_t state;
	uint64_t resets;
	pid_t pid;
};

struct innocent_work {
	struct guest g;
	uint32_t stream;
	uint64_t *mem;
	uint64_t sums[INNOCENT_SUMS];
	uint32_t fence[INNOCENT_JOBS];
};

/* What a step adds to a sum. */
static UNUSED uint64_t innocent_term(uint32_t step, uint32_t i)
{
	return 1000 * step + 7 * i + 1;
}

static UNUSED void innocent_make_stream(struct innocent_work *w)
{
	struct stream s = { 0 };

	for (uint32_t step = 0; step < INNOCENT_STEPS; step++) {
		for (uint32_t i = 0; i < INNOCENT_SUMS; i++)
			packet_sem(&s, INNOCENT_VA + 8 * i, innocent_term(step, i), NIB_SEM_ADD);
		packet_copy(&s, INNOCENT_VA, INNOCENT_VA + INNOCENT_LOG(step), 2 * INNOCENT_SUMS);
	}
	packet_end(&s);
	w->stream = stream_create(w->g.fd, w->g.vm, &s);
}

/* So many more jobs have ended well: whether the last one has left what it must. */
static UNUSED bool innocent_credit(struct innocent_work *w, uint32_t jobs)
{
	bool right = true;

	for (uint32_t job = 0; job < jobs; job++)
		for (uint32_t step = 0; step < INNOCENT_STEPS; step++)
			for (uint32_t i = 0; i < INNOCENT_SUMS; i++) {
				w->sums[i] += innocent_term(step, i);
				if (job + 1 == jobs &&
				    w->mem[INNOCENT_LOG(step) / 8 + i] != w->sums[i])
					right = false;
			}
	return right;
}

/* Memory is as before the first job. */
static UNUSED void innocent_clear(struct innocent_work *w)
{
	memset(w->mem, 0, INNOCENT_BYTES);
	memset(w->sums, 0, sizeof(w->sums));
}

static UNUSED struct innocent_work innocent_begin(void)
{
	struct innocent_work w = { .g = guest_begin() };

	w.mem = (uint64_t *)(void *)guest_buffer(&w.g, INNOCENT_VA, INNOCENT_BYTES, NIB_BO_HBM);
	innocent_make_stream(&w);
	for (uint32_t i = 0; i < INNOCENT_JOBS; i++)
		w.fence[i] = syncobj(w.g.fd);
	return w;
}

/* His memory was lost, or is what a job that failed has left: he starts over. */
static UNUSED void innocent_again(struct innocent_work *w, struct innocent *shown, bool lost)
{
	if (lost) {
		OK(queue_destroy(w->g.fd, w->g.queue));
		OK(queue_create(w->g.fd, w->g.vm, NIB_PRIORITY_NORMAL, &w->g.queue));
		shown->renewed++;
	} else {
		shown->failed++;
	}
	innocent_clear(w);
}

/*
 * One job at a time, or several whose sums build on one another. Returns false if some of them did not
 * end well.
 */
static UNUSED bool innocent_round(struct innocent_work *w, struct innocent *shown, uint32_t jobs)
{
	struct nib_queue_get_state state;
	int status = 0, ret = 0;
	bool right = true;
	uint32_t sent, i;

	for (sent = 0; sent < jobs && !ret; sent += !ret)
		ret = submit(w->g.fd, w->g.queue, w->stream, w->fence[sent]);
	for (i = 0; i < sent; i++)
		status = fence_end(w->g.fd, w->fence[i]) ?: status;
	if (!status && !ret)
		right = innocent_credit(w, sent);
	/* Memory may be lost between the end of a job and a look at what it has left. */
	state = queue_state(w->g.fd, w->g.queue);
	shown->state |= state.state;
	shown->resets = state.resets > shown->resets ? state.resets : shown->resets;
	if (!status && !ret && !(state.state & NIB_QUEUE_STATE_LOST)) {
		CHECK(right);
		shown->jobs += sent;
		return true;
	}
	/* An innocent one fails by a reset, and in no other way. */
	CHECK(!status || status == -EIO || status == -ECANCELED);
	CHECK(!ret || ret == -ECANCELED);
	CHECK(state.state & NIB_QUEUE_STATE_INNOCENT);
	CHECK(!(state.state & (NIB_QUEUE_STATE_GUILTY | NIB_QUEUE_STATE_BANNED)));
	innocent_again(w, shown, state.state & NIB_QUEUE_STATE_LOST);
	return false;
}

/* Starts one; @shown is zero. */
static UNUSED void innocent_start(struct innocent *shown)
{
	struct innocent_work w;
	uint64_t last, now;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid) {
		shown->pid = pid;
		return;
	}
	w = innocent_begin();
	last = now_ns();
	for (uint32_t n = 0; !__atomic_load_n(&shown->stop, __ATOMIC_ACQUIRE); n++) {
		innocent_round(&w, shown, 1 + n % INNOCENT_JOBS);
		now = now_ns();
		if (now - last > shown->gap_ns)
			__atomic_store_n(&shown->gap_ns, now - last, __ATOMIC_RELEASE);
		last = now;
	}
	/* What is to be put back at the end is his who started us. */
	_exit(0);
}

/* Waits until he has done @jobs more. */
static UNUSED void innocent_wait(const struct innocent *shown, uint64_t jobs)
{
	uint64_t before = __atomic_load_n(&shown->jobs, __ATOMIC_ACQUIRE), begin = now_ns();

	while (__atomic_load_n(&shown->jobs, __ATOMIC_ACQUIRE) < before + jobs) {
		if (now_ns() - begin > 60000000000ull || waitpid(shown->pid, NULL, WNOHANG))
			FAIL("an innocent one does not go on");
		usleep(1000);
	}
}

static UNUSED void innocent_end(struct innocent *shown)
{
	int status;

	__atomic_store_n(&shown->stop, 1, __ATOMIC_RELEASE);
	CHECK(waitpid(shown->pid, &status, 0) == shown->pid);
	if (status)
		FAIL("an innocent one failed");
}

/* @count of them, zeroed and shared with processes to come. */
static UNUSED struct innocent *innocents(unsigned int count)
{
	void *p = mmap(NULL, count * sizeof(struct innocent), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

#endif
