/* SPDX-License-Identifier: MIT */
/*
 * Several processes work while faults strike at random: every fence ends, jobs that say they went
 * well did, memory is all there afterwards and the device works. test_fault_storm [JOBS [SEED]]; one
 * seed and one sequence of jobs give one sequence of faults, though not of what meets what.
 */
#include "fault.h"

#include <sys/wait.h>

#define PROCESSES	4
#define BATCH		8u

/* Per chance. Those that cost the watchdog's time are rare. */
static const char storm[] =
	"{\"seed\":%llu,\"random\":{"
	"\"lost-interrupt\":0.03,\"spurious-interrupt\":0.03,\"dead-doorbell\":0.01,"
	"\"late-completion\":{\"probability\":0.02,\"ms\":20},\"duplicate-completion\":0.02,"
	"\"corrupt-completion\":0.003,\"slow-dma\":{\"probability\":0.005,\"ms\":5},"
	"\"mmu-fault\":0.002,\"ecc-corrected\":0.01,\"ecc-fatal\":0.001,\"garbage-event\":0.002,"
	"\"stuck-packet\":{\"probability\":0.0005,\"rung\":\"queue\"},"
	"\"firmware-slow\":{\"probability\":0.02,\"ms\":20}}}";

/* How jobs ended, and who is ready to begin, shared by all processes. */
struct ends {
	unsigned long ready;
	unsigned long go;
	unsigned long ok;
	unsigned long faulted;
	unsigned long failed;
	unsigned long cancelled;
	unsigned long queues;
};

static struct ends *ends;

static void count(unsigned long *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* How a job ended, one by one: the memory of those that went well is as it must be. */
static void job_ended(struct worker *w, int status, uint32_t value, uint32_t at)
{
	switch (status) {
	case 0:
		worker_check_at(w, value, at);
		count(&ends->ok);
		break;
	case -EFAULT:
		count(&ends->faulted);
		break;
	case -EIO:
		count(&ends->failed);
		break;
	case -ECANCELED:
		count(&ends->cancelled);
		break;
	default:
		FAIL("a job ends with %s", strerror(-status));
	}
}

static void renew(struct worker *w)
{
	OK(queue_destroy(w->fd, w->queue));
	OK(queue_create(w->fd, w->vm, NIB_PRIORITY_NORMAL, &w->queue));
	count(&ends->queues);
}

/* Submits up to a batch; returns how many, and how many were not taken since the queue had died. */
static uint32_t batch(struct worker *w, uint32_t value, uint32_t n, uint32_t *fences)
{
	uint32_t i;
	int ret;

	for (i = 0; i < n; i++) {
		ret = worker_submit_to(w, value + i, i, 0, fences[i]);
		if (ret == -ECANCELED)
			break;
		OK(ret);
	}
	return i;
}

static void work(unsigned int number, unsigned long jobs)
{
	struct worker w;
	uint32_t fences[BATCH], value = number * 7, n, sent, i;

	w = worker_begin(guest_open());
	for (i = 0; i < BATCH; i++)
		fences[i] = syncobj(w.fd);
	count(&ends->ready);
	while (!__atomic_load_n(&ends->go, __ATOMIC_ACQUIRE))
		usleep(1000);
	while (jobs) {
		n = 1 + value % BATCH;
		n = n < jobs ? n : (uint32_t)jobs;
		sent = batch(&w, value, n, fences);
		for (i = 0; i < sent; i++)
			job_ended(&w, fence_end(w.fd, fences[i]), value + i, i);
		if (queue_state(w.fd, w.queue).state & NIB_QUEUE_STATE_BANNED)
			renew(&w);
		value += sent;
		jobs -= sent;
	}
	exit(0);
}

/* When it returns, all of them are ready. */
static void start(pid_t *children, unsigned long jobs)
{
	unsigned int i;

	for (i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		CHECK(children[i] >= 0);
		if (!children[i])
			work(i, jobs / PROCESSES + (i < jobs % PROCESSES));
	}
	while (__atomic_load_n(&ends->ready, __ATOMIC_ACQUIRE) != PROCESSES) {
		if (waitpid(-1, NULL, WNOHANG))
			FAIL("a process failed before the storm");
		usleep(1000);
	}
}

static void finish(const pid_t *children)
{
	bool bad = false;
	unsigned int i;
	int status;

	for (i = 0; i < PROCESSES; i++) {
		CHECK(waitpid(children[i], &status, 0) == children[i]);
		bad |= status != 0;
	}
	if (bad)
		FAIL("a process failed");
}

static void check_memory(int fd, uint64_t hbm_free)
{
	int tries;

	/* What is released is free a little later. */
	for (tries = 0; tries < 500 && query_memory(fd).hbm_free != hbm_free; tries++)
		usleep(20000);
	EQUAL(query_memory(fd).hbm_free, hbm_free);
}

static void report(void)
{
	static const char *const names[] = {
		"lost-interrupt", "spurious-interrupt", "dead-doorbell", "late-completion",
		"duplicate-completion", "corrupt-completion", "slow-dma", "mmu-fault",
		"ecc-corrected", "ecc-fatal", "garbage-event", "stuck-packet", "firmware-slow",
	};

	printf("jobs: %lu went well, %lu faulted, %lu failed, %lu were dropped; %lu new queues\n",
	       ends->ok, ends->faulted, ends->failed, ends->cancelled, ends->queues);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		printf("%s %lld\n", names[i], (long long)control_struck(names[i]));
}

int main(int argc, char **argv)
{
	unsigned long jobs = argc > 1 ? strtoul(argv[1], NULL, 10) : 400;
	unsigned long long seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	pid_t children[PROCESSES];
	struct worker w;
	uint64_t before;
	int fd;

	control_open();
	fd = guest_open();
	before = query_memory(fd).hbm_free;
	ends = mmap(NULL, sizeof(*ends), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(ends != MAP_FAILED);
	watchdog_set(1000);
	start(children, jobs);
	control(storm, seed);
	count(&ends->go);
	finish(children);
	report();
	control_clear();
	check_memory(fd, before);
	w = worker_begin(fd);
	OK(worker_run(&w, 5));
	worker_end(&w);
	check_memory(fd, before);
	EQUAL(ends->ok + ends->faulted + ends->failed + ends->cancelled, jobs);
	return 0;
}
