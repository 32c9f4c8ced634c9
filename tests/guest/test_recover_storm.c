/* SPDX-License-Identifier: MIT */
/*
 * Hangs that need any of the rungs, crashes and silence of the firmware, one after the other, while
 * clients work, come and go: every fence ends, whoever is innocent and keeps his memory has the right
 * results, and in the end the device works and all memory is free. test_recover_storm [INCIDENTS]; a
 * long one has hundreds.
 */
#include "innocent.h"

#define OTHERS	2u
#define PASSERS	2u

static struct innocent *others;
static int device;

/* Somebody who opens the device, submits, and goes without waiting; he may be hit as well. */
static void pass_by(void)
{
	struct innocent_work w = innocent_begin();
	uint32_t i;

	for (i = 0; i < INNOCENT_JOBS; i++)
		if (submit(w.g.fd, w.g.queue, w.stream, w.fence[i]))
			break;
	_exit(0);
}

/* Those who pass by, for ever. */
static pid_t passers_start(const struct innocent *shown)
{
	pid_t pid = fork(), child;
	int status;

	CHECK(pid >= 0);
	if (pid)
		return pid;
	while (!__atomic_load_n(&shown->stop, __ATOMIC_ACQUIRE)) {
		child = fork();
		CHECK(child >= 0);
		if (!child)
			pass_by();
		if (waitpid(child, &status, 0) != child || status)
			_exit(1);
	}
	_exit(0);
}

/*
 * Whoever is on the engine when it strikes is the guilty one, if it is a hang. Those who are meant to
 * be innocent have one coming, too: they make a new queue and start over.
 */
static const char *const incidents[] = {
	"\"stuck-packet\",\"rung\":\"queue\"",
	"\"stuck-packet\",\"rung\":\"engine\"",
	"\"firmware-crash\"",
	"\"stuck-packet\",\"rung\":\"firmware\"",
	"\"stuck-packet\",\"rung\":\"queue\"",
	"\"firmware-hang\",\"rung\":\"firmware\"",
	"\"stuck-packet\",\"rung\":\"function\"",
	"\"firmware-hang\",\"rung\":\"function\"",
};

/* As innocent_round(), by somebody who may be the guilty one. */
static void any_round(struct innocent_work *w, struct innocent *shown, uint32_t jobs)
{
	struct nib_queue_get_state state;
	uint32_t sent, i;
	int status = 0, ret = 0;

	for (sent = 0; sent < jobs && !ret; sent += !ret)
		ret = submit(w->g.fd, w->g.queue, w->stream, w->fence[sent]);
	CHECK(!ret || ret == -ECANCELED);
	for (i = 0; i < sent; i++) {
		status = fence_end(w->g.fd, w->fence[i]);
		CHECK(!status || status == -EIO || status == -ETIMEDOUT || status == -ECANCELED);
		if (status)
			break;
	}
	for (; i < sent; i++)
		OK(syncobj_wait(w->g.fd, w->fence[i], 60000));
	state = queue_state(w->g.fd, w->g.queue);
	if (!status && !ret) {
		innocent_credit(w, sent);
		shown->jobs += sent;
		return;
	}
	CHECK(state.state & (NIB_QUEUE_STATE_INNOCENT | NIB_QUEUE_STATE_GUILTY));
	innocent_again(w, shown, state.state & (NIB_QUEUE_STATE_LOST | NIB_QUEUE_STATE_BANNED));
}

static void other_start(struct innocent *shown)
{
	struct innocent_work w;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid) {
		shown->pid = pid;
		return;
	}
	w = innocent_begin();
	for (uint32_t n = 0; !__atomic_load_n(&shown->stop, __ATOMIC_ACQUIRE); n++)
		any_round(&w, shown, 1 + n % INNOCENT_JOBS);
	_exit(0);
}

static uint32_t resets(void)
{
	struct nib_device_info info = query_device(device);

	CHECK(!info.wedged);
	return info.reset_count;
}

/* One incident, and everybody goes on. */
static void strike(uint32_t n)
{
	const char *fault = incidents[n % (sizeof(incidents) / sizeof(incidents[0]))];
	char name[32];
	int64_t before;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(fault + 1, "\""), fault + 1);
	before = control_struck(name);
	control("{\"inject\":%s,\"after\":%u}", fault, n * 7 % 50);
	control_wait_struck(name, before);
	for (uint32_t i = 0; i < OTHERS; i++)
		innocent_wait(&others[i], 2);
	control_clear();
}

static void check_memory(uint64_t hbm_free)
{
	int tries;

	/* What is released is free a little later. */
	for (tries = 0; tries < 500 && query_memory(device).hbm_free != hbm_free; tries++)
		usleep(20000);
	EQUAL(query_memory(device).hbm_free, hbm_free);
}

int main(int argc, char **argv)
{
	uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 16, n;
	uint64_t before, jobs = 0, renewed = 0;
	pid_t passers[PASSERS];
	struct worker w;
	int status;

	control_open();
	device = guest_open();
	before = query_memory(device).hbm_free;
	others = innocents(OTHERS);
	watchdog_set(200);
	for (n = 0; n < OTHERS; n++)
		other_start(&others[n]);
	for (n = 0; n < PASSERS; n++)
		passers[n] = passers_start(&others[0]);
	for (n = 0; n < OTHERS; n++)
		innocent_wait(&others[n], 2);
	for (n = 0; n < count; n++)
		strike(n);
	for (n = 0; n < OTHERS; n++) {
		innocent_end(&others[n]);
		jobs += others[n].jobs;
		renewed += others[n].renewed;
	}
	for (n = 0; n < PASSERS; n++) {
		CHECK(waitpid(passers[n], &status, 0) == passers[n]);
		CHECK(!status);
	}
	printf("%u incidents, %u resets; %" PRIu64 " jobs right, %" PRIu64 " queues made anew\n",
	       count, resets(), jobs, renewed);
	show_ladder(device);
	check_memory(before);
	w = worker_begin(device);
	OK(worker_run(&w, 5));
	worker_end(&w);
	return 0;
}
