/* SPDX-License-Identifier: MIT */
/*
 * Tracepoints: what jobs, binds, moves, leases, messages and trouble leave in the trace, with the
 * numbers that tell one from the other.
 */
#include "fault.h"

#define TRACING	"/sys/kernel/tracing/"

static struct worker w;
static char *trace;

static void read_trace(void)
{
	static char text[4 << 20];
	int fd = open(TRACING "trace", O_RDONLY | O_CLOEXEC);
	size_t bytes = 0;
	ssize_t n;

	CHECK(fd >= 0);
	while ((n = read(fd, text + bytes, sizeof(text) - 1 - bytes)) > 0)
		bytes += (size_t)n;
	CHECK(!n);
	close(fd);
	text[bytes] = 0;
	trace = text;
}

/* The value behind "name=" in the line at @at. */
static uint64_t field(const char *at, const char *name)
{
	size_t line = strcspn(at, "\n"), length = strlen(name);

	for (const char *p = at; p < at + line; p++)
		if (p[-1] == ' ' && !strncmp(p, name, length) && p[length] == '=')
			return strtoull(p + length + 1, NULL, 0);
	FAIL("no %s in %.*s", name, (int)line, at);
}

/* The first line of an event, behind its name, from @from on; NULL without one. */
static const char *find(const char *from, const char *event)
{
	char name[64];
	const char *at;

	snprintf(name, sizeof(name), " %s: ", event);
	at = strstr(from, name);
	return at ? at + strlen(name) : NULL;
}

static const char *find_one(const char *event)
{
	const char *at = find(trace, event);

	if (!at)
		FAIL("no %s in the trace", event);
	return at;
}

/* Traces from here on. */
static void begin(void)
{
	OK(write_file(TRACING "trace", "0"));
}

static void a_job(void)
{
	const char *submit, *run, *done;
	char fence[64];

	begin();
	OK(worker_run(&w, 3));
	read_trace();
	run = find_one("nib_job_run");
	EQUAL(field(run, "queue"), w.hw);
	EQUAL(field(run, "nargs"), 2);
	done = find_one("nib_job_done");
	CHECK(done > run);
	EQUAL(field(done, "queue"), w.hw);
	EQUAL(field(done, "error"), 0);
	EQUAL(field(done, "status"), NIB_DONE_OK);
	CHECK(field(done, "hbm") >= 8 * FAULT_WORDS);
	CHECK(field(done, "energy_pj"));
	/* All three name the same fence. */
	submit = find_one("nib_job_submit");
	CHECK(submit < run);
	CHECK(sscanf(strstr(run, "fence="), "fence=%63[0-9:]", fence) == 1);
	CHECK(strstr(submit, fence) && strstr(done, fence));
	CHECK(strstr(submit, fence) < submit + strcspn(submit, "\n"));
	CHECK(strstr(done, fence) < done + strcspn(done, "\n"));
}

static void binds_and_messages(void)
{
	uint32_t bo, vm;
	const char *at;

	begin();
	OK(bo_create(w.fd, 64 * KIB, NIB_BO_HBM, &bo));
	OK(vm_create(w.fd, &vm));
	OK(vm_map(w.fd, vm, bo, 0, 7 * FAULT_VA, 64 * KIB, 0));
	OK(vm_unmap(w.fd, vm, 7 * FAULT_VA, 64 * KIB));
	OK(vm_destroy(w.fd, vm));
	OK(bo_close(w.fd, bo));
	read_trace();
	at = find_one("nib_vm_bind");
	EQUAL(field(at, "va"), 7 * FAULT_VA);
	EQUAL(field(at, "size"), 64 * KIB);
	EQUAL(field(at, "ret"), 0);
	at = find_one("nib_ipc_call");
	CHECK(strstr(at, "op=CTX_CREATE"));
	EQUAL(field(at, "ret"), 0);
	CHECK(field(at, "ns"));
}

static void trouble(void)
{
	const char *at;

	begin();
	control("{\"inject\":\"ecc-corrected\",\"queue\":%u}", w.hw);
	OK(worker_run(&w, 4));
	control("{\"inject\":\"mmu-fault\",\"queue\":%u}", w.hw);
	EXPECT(worker_run(&w, 5), -EFAULT);
	for (int tries = 0; tries < 500; tries++) {
		read_trace();
		if (find(trace, "nib_fault") && find(trace, "nib_reset") && find(trace, "nib_ecc"))
			break;
		usleep(10000);
	}
	find_one("nib_ecc");
	at = find_one("nib_fault");
	EQUAL(field(at, "queue"), w.hw);
	CHECK(field(at, "va"));
	find_one("nib_reset");
	/* The job that failed says why. */
	for (at = trace; (at = find(at, "nib_job_done"));)
		if (field(at, "status") != NIB_DONE_OK)
			break;
	CHECK(at);
	CHECK(strstr(at, "error=-14"));
	worker_new_queue(&w);
	OK(worker_run(&w, 6));
}

/* A burst part that gives way to another lease, and one that does not fit. */
static void leases(void)
{
	uint64_t sram = query_device(w.fd).sram_bytes & ~(64 * KIB - 1);
	uint32_t burst, guaranteed, none;
	const char *at;

	if (sram < 256 * KIB)
		return;
	begin();
	OK(lease_create(w.fd, 0, sram - 128 * KIB, &burst));
	OK(lease_create(w.fd, sram - 128 * KIB, 0, &guaranteed));
	EXPECT(lease_create(w.fd, sram, 0, &none), -ENOSPC);
	OK(bo_close(w.fd, burst));
	OK(bo_close(w.fd, guaranteed));
	read_trace();
	at = find_one("nib_bo_move");
	EQUAL(field(at, "bytes"), sram - 128 * KIB);
	at = find_one("nib_sram_pressure");
	EQUAL(field(at, "wanted"), sram);
}

int main(void)
{
	if (access(TRACING "events/nib", F_OK))
		SKIP("no tracepoints in this kernel");
	control_open();
	w = worker_begin(guest_open());
	OK(write_file(TRACING "events/nib/enable", "1"));
	RUN(a_job());
	RUN(binds_and_messages());
	RUN(trouble());
	RUN(leases());
	OK(write_file(TRACING "events/nib/enable", "0"));
	return 0;
}
