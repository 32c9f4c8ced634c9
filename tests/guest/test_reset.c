/* SPDX-License-Identifier: MIT */
/*
 * An administrator resets the function, by the reset file in sysfs, while others work: jobs in
 * flight end with EIO and their queues say that they are innocent and what is lost; new queues work
 * at once. So do calls in the middle of it, a device that sleeps, and one that is in recovery.
 */
#include "innocent.h"
#include "life.h"

#define OTHERS	2u
#define ROUNDS	4

static char address[64];
static struct innocent *others;

/* Writes to a file of the PCI function. */
static void write_of(const char *name, const char *text)
{
	char of[96];

	snprintf(of, sizeof(of), "devices/%s", address);
	OK(life_write(of, name, text));
}

static void needs_flr(void)
{
	char path[128], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset_method", address);
	f = fopen(path, "r");
	if (!f || !fgets(text, sizeof(text), f) || strncmp(text, "flr", 3))
		SKIP("the function has no reset of its own: %s", text);
	fclose(f);
}

static void start_others(void)
{
	for (uint32_t i = 0; i < OTHERS; i++) {
		memset(&others[i], 0, sizeof(others[i]));
		innocent_start(&others[i]);
		innocent_wait(&others[i], 10);
	}
}

static void end_others(void)
{
	for (uint32_t i = 0; i < OTHERS; i++) {
		innocent_wait(&others[i], 10);
		innocent_end(&others[i]);
		EQUAL(others[i].state, NIB_QUEUE_STATE_INNOCENT | NIB_QUEUE_STATE_LOST);
		CHECK(others[i].renewed >= 1);
		EQUAL(others[i].failed, 0);
	}
}

/* Makes and ends what the firmware is told of, until it is told to stop. */
static pid_t start_caller(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid)
		return pid;
	for (;;) {
		struct guest g = guest_begin();
		struct stream s = { 0 };
		uint32_t *mem = guest_buffer(&g, FAULT_VA, 64 * KIB, NIB_BO_HBM), lease;

		packet_end(&s);
		stream_create(g.fd, g.vm, &s);
		OK(lease_create(g.fd, 64 * KIB, 64 * KIB, &lease));
		munmap(mem, 64 * KIB);
		close(g.fd);
	}
}

static void end_caller(pid_t pid)
{
	int status;

	/* He has not failed so far. */
	CHECK(!waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid);
}

static void check_lost(int fd, uint32_t queue)
{
	struct nib_queue_get_state state = queue_state(fd, queue);

	EQUAL(state.state, NIB_QUEUE_STATE_INNOCENT | NIB_QUEUE_STATE_LOST);
	CHECK(state.resets >= 1);
}

static void works(void)
{
	struct worker w = worker_begin(guest_open());
	struct guest g = guest_begin();
	uint32_t *mem = guest_buffer(&g, FAULT_VA, MIB, NIB_BO_HBM);

	OK(worker_run(&w, 3));
	for (uint32_t i = 0; i < MIB / 4; i++)
		EQUAL(mem[i], 0);
	munmap(mem, MIB);
	close(g.fd);
	worker_end(&w);
	close(w.fd);
}

static void reset_with_jobs(uint32_t resets)
{
	struct life_work w = life_begin();
	struct nib_device_info before = query_device(w.g.fd), after;
	pid_t caller;

	start_others();
	caller = start_caller();
	for (uint32_t i = 0; i < resets; i++)
		write_of("reset", "1");
	life_check_ended(&w, -EIO);
	check_lost(w.g.fd, w.g.queue);
	check_lost(w.g.fd, w.busy);
	EXPECT(submit(w.g.fd, w.g.queue, w.hold, w.fence[0]), -ECANCELED);
	end_others();
	end_caller(caller);
	after = query_device(w.g.fd);
	EQUAL(after.function_resets, before.function_resets + resets);
	EQUAL(after.reset_count, before.reset_count + resets);
	EQUAL(after.wedged, 0);
	/* The same VM, buffers and streams. */
	OK(queue_destroy(w.g.fd, w.g.queue));
	OK(queue_create(w.g.fd, w.g.vm, NIB_PRIORITY_NORMAL, &w.g.queue));
	w.hbm[0] = 1;
	OK(submit(w.g.fd, w.g.queue, w.hold, w.fence[0]));
	OK(fence_end(w.g.fd, w.fence[0]));
	EQUAL(w.hbm[32], 0x2222);
	life_end(&w);
	works();
}

static void reset_of_a_sleeper(void)
{
	struct worker w = worker_begin(guest_open());

	OK(worker_run(&w, 1));
	/* Longer than it stays awake for. */
	usleep(2500000);
	write_of("reset", "1");
	check_lost(w.fd, w.queue);
	worker_fill(&w);
	worker_new_queue(&w);
	OK(worker_run(&w, 2));
	close(w.fd);
	works();
}

/* The job that hangs ends, by whichever of the two comes first. */
static void reset_in_recovery(const char *rung, uint32_t us)
{
	struct worker w = worker_begin(guest_open());
	uint32_t fence = syncobj(w.fd);
	int status;

	watchdog_set(200);
	start_others();
	control("{\"inject\":\"stuck-packet\",\"queue\":%u,\"rung\":\"%s\"}", w.hw, rung);
	OK(worker_submit(&w, 1, 0, fence));
	usleep(us);
	write_of("reset", "1");
	status = fence_end(w.fd, fence);
	CHECK(status == -EIO || status == -ETIMEDOUT);
	end_others();
	EQUAL(query_device(w.fd).wedged, 0);
	close(w.fd);
	control_clear();
	works();
}

int main(void)
{
	static const char *const rungs[ROUNDS] = { "queue", "engine", "firmware", "function" };
	int fd;

	control_open();
	fd = guest_open();
	guest_pci_address(fd, address, sizeof(address));
	close(fd);
	needs_flr();
	guest_patience();
	others = innocents(OTHERS);
	works();
	for (uint32_t i = 0; i < ROUNDS; i++)
		reset_with_jobs(1 + i / 2);
	reset_of_a_sleeper();
	for (uint32_t i = 0; i < ROUNDS; i++)
		reset_in_recovery(rungs[i], 60000 * (i + 1));
	return 0;
}
