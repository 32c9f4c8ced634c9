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
#define OVER		(NIB_QUEUE_STATE_BANNED | NIB_QUEUE_STATE_LOST)

/* Per chance. Those that cost the watchdog's time are rare. */
static const char storm[] =
	"{\"seed\":%llu,\"random\":{"
	"\"lost-interrupt\":0.03,\"spurious-interrupt\":0.03,\"dead-doorbell\":0.01,"
	"\"dead-admin-doorbell\":0.02,\"late-completion\":{\"probability\":0.02,\"ms\":20},"
	"\"duplicate-completion\":0.02,\"corrupt-completion\":0.003,"
	"\"slow-dma\":{\"probability\":0.005,\"ms\":5},\"mmu-fault\":0.002,"
	"\"ecc-corrected\":0.01,\"ecc-fatal\":0.001,\"garbage-event\":0.002,"
	"\"firmware-slow\":{\"probability\":0.02,\"ms\":20},\"firmware-crash\":0.0002,"
	"\"firmware-hang\":0.0002,"
	"\"stuck-packet\":{\"probability\":0.0005,\"rung\":\"%s\"}}}";

static const char *const rungs[] = { "queue", "engine", "firmware", "function" };

/* How jobs ended, and who is ready to begin, shared by all processes. */
struct ends {
	unsigned long ready;
	unsigned long go;
	unsigned long ok;
	unsigned long faulted;
	unsigned long failed;
	unsigned long cancelled;
	unsigned long queues;
	unsigned long lost;
};

static struct ends *ends;

static void count(unsigned long *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/**
 * struct client - a process at work.
 * @filled: function resets of the device when @w's memory was filled: one more, and it is lost.
 */
struct client {
	struct worker w;
	uint32_t filled;
};

/* True if memory has lost what it held: the queue says so first, and the count in the end. */
static bool is_lost(const struct client *c)
{
	return query_device(c->w.fd).function_resets != c->filled ||
	       queue_state(c->w.fd, c->w.queue).state & NIB_QUEUE_STATE_LOST;
}

/* Memory is wrong: perhaps it was lost just now, and nobody has been told yet. */
static bool is_lost_soon(const struct client *c)
{
	for (int tries = 0; tries < 500 && !is_lost(c); tries++)
		usleep(10000);
	return is_lost(c);
}

/* How a job ended, one by one: the memory of those that went well is as it must be. */
static void job_ended(struct client *c, int status, uint32_t value, uint32_t at)
{
	switch (status) {
	case 0:
		if (!worker_is_right(&c->w, value, at) && !is_lost_soon(c))
			FAIL("job %u went well, and its memory is wrong", value);
		count(&ends->ok);
		break;
	case -EFAULT:
		count(&ends->faulted);
		break;
	case -EIO:
	case -ETIMEDOUT:
		count(&ends->failed);
		break;
	case -ECANCELED:
		count(&ends->cancelled);
		break;
	default:
		FAIL("a job ends with %s", strerror(-status));
	}
}

static void refill(struct client *c)
{
	c->filled = query_device(c->w.fd).function_resets;
	worker_fill(&c->w);
	count(&ends->lost);
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
	struct client c = { .w = worker_begin(guest_open()) };
	uint32_t fences[BATCH], value = number * 7, n, sent, i;
	uint32_t state;
	bool lost;

	c.filled = query_device(c.w.fd).function_resets;
	for (i = 0; i < BATCH; i++)
		fences[i] = syncobj(c.w.fd);
	count(&ends->ready);
	while (!__atomic_load_n(&ends->go, __ATOMIC_ACQUIRE))
		usleep(1000);
	while (jobs) {
		n = 1 + value % BATCH;
		n = n < jobs ? n : (uint32_t)jobs;
		sent = batch(&c.w, value, n, fences);
		for (i = 0; i < sent; i++)
			job_ended(&c, fence_end(c.w.fd, fences[i]), value + i, i);
		state = queue_state(c.w.fd, c.w.queue).state;
		lost = is_lost(&c);
		if (state & OVER)
			renew(&c.w);
		/* Behind the new queue, which tells of what happens from here on. */
		if (lost)
			refill(&c);
		value += sent;
		jobs -= sent;
	}
	exit(0);
}

/* When it returns, all of them are ready. */
static void start(unsigned long jobs)
{
	unsigned int i;
	pid_t child;

	for (i = 0; i < PROCESSES; i++) {
		child = fork();
		CHECK(child >= 0);
		if (!child)
			work(i, jobs / PROCESSES + (i < jobs % PROCESSES));
	}
	while (__atomic_load_n(&ends->ready, __ATOMIC_ACQUIRE) != PROCESSES) {
		if (waitpid(-1, NULL, WNOHANG))
			FAIL("a process failed before the storm");
		usleep(1000);
	}
}

static unsigned long ended(void)
{
	return __atomic_load_n(&ends->ok, __ATOMIC_RELAXED) +
	       __atomic_load_n(&ends->faulted, __ATOMIC_RELAXED) +
	       __atomic_load_n(&ends->failed, __ATOMIC_RELAXED) +
	       __atomic_load_n(&ends->cancelled, __ATOMIC_RELAXED);
}

/* Until all processes are done; what ends a stuck packet changes a few times meanwhile. */
static void blow(unsigned long jobs, unsigned long long seed)
{
	unsigned int left = PROCESSES, phase, last = 0;
	int status;

	while (left) {
		phase = (unsigned int)(8 * ended() / (jobs + 1));
		if (phase != last)
			control(storm, 8 * seed + phase, rungs[phase % 4]);
		last = phase;
		while (left && waitpid(-1, &status, WNOHANG) > 0) {
			if (status)
				FAIL("a process failed");
			left--;
		}
		usleep(20000);
	}
}

static void check_memory(int fd, uint64_t hbm_free)
{
	int tries;

	/* What is released is free a little later. */
	for (tries = 0; tries < 500 && query_memory(fd).hbm_free != hbm_free; tries++)
		usleep(20000);
	EQUAL(query_memory(fd).hbm_free, hbm_free);
}

static void report(int fd, const struct nib_device_info *before)
{
	static const char *const names[] = {
		"lost-interrupt", "spurious-interrupt", "dead-doorbell", "dead-admin-doorbell",
		"late-completion", "duplicate-completion", "corrupt-completion", "slow-dma",
		"mmu-fault", "ecc-corrected", "ecc-fatal", "garbage-event", "stuck-packet",
		"firmware-slow", "firmware-crash", "firmware-hang",
	};
	struct nib_device_info now = query_device(fd);

	printf("jobs: %lu went well, %lu faulted, %lu failed, %lu were dropped; %lu new queues\n",
	       ends->ok, ends->faulted, ends->failed, ends->cancelled, ends->queues);
	printf("resets: %u of the engine, %u of the firmware, %u of the function\n",
	       now.engine_resets - before->engine_resets, now.fw_reboots - before->fw_reboots,
	       now.function_resets - before->function_resets);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		printf("%s %lld\n", names[i], (long long)control_struck(names[i]));
}

int main(int argc, char **argv)
{
	unsigned long jobs = argc > 1 ? strtoul(argv[1], NULL, 10) : 400;
	unsigned long long seed = argc > 2 ? strtoull(argv[2], NULL, 10) % (1ull << 32) : 1;
	struct nib_device_info device;
	struct worker w;
	uint64_t before;
	int fd;

	control_open();
	fd = guest_open();
	before = query_memory(fd).hbm_free;
	ends = mmap(NULL, sizeof(*ends), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(ends != MAP_FAILED);
	device = query_device(fd);
	watchdog_set(500);
	start(jobs);
	control(storm, 8 * seed, rungs[0]);
	count(&ends->go);
	blow(jobs, seed);
	control_clear();
	report(fd, &device);
	check_memory(fd, before);
	w = worker_begin(fd);
	OK(worker_run(&w, 5));
	worker_end(&w);
	check_memory(fd, before);
	EQUAL(ended(), jobs);
	return 0;
}
