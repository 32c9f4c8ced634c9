/* SPDX-License-Identifier: MIT */
/*
 * Nobody holds a lock while he waits for the device. Tasks wait in every way there is: for memory
 * to be zeroed, for a buffer that is on its way to host memory, for a bind, for each answer of the
 * firmware. Then the kernel tells what they hold (SysRq d), and lets them go on. Two things are in
 * order: the section that unbinding waits for, which is no lock, and the gate to the firmware,
 * which is shared by all of them and lets go when somebody wants it for himself.
 *
 * For a kernel with lockdep and SysRq.
 */
#include "fault.h"

#include <sys/wait.h>

#define BYTES		(8 * MIB)	/* more than the CPU would zero */
#define WAITERS		16u
#define ADMIN_MS	"/sys/module/nib/parameters/admin_ms"
#define SLOW_MS		20000u

/**
 * struct waiter - a task that waits.
 * @name: what for.
 * @where: function of the driver that it must be seen in. NULL: it may leave that to a worker.
 * @call: does it. Returns 0 or -errno.
 */
struct waiter {
	const char *name;
	const char *where;
	int (*call)(void);
	pid_t pid;
};

static struct guest g;
static uint32_t moving, spare_vm, spare_queue, spare_stream, gate_bo;
static volatile uint32_t *gate;
static struct waiter waiters[WAITERS];
static unsigned int nwaiters;

/* --- What they wait in --- */

static int make_buffer(void)
{
	uint32_t bo;

	return bo_create(g.fd, BYTES, NIB_BO_HBM, &bo);
}

static int make_lease(void)
{
	uint32_t lease;

	return lease_create(g.fd, 64 * KIB, 64 * KIB, &lease);
}

/* It has been evicted, and is not there yet. */
static int read_moving(void)
{
	const volatile uint32_t *mem = bo_map(g.fd, moving, BYTES);

	return mem[0] == 0x5a5a5a5a ? 0 : -EILSEQ;
}

/* By a system call, whose fault may not let go of everything and come again. */
static int write_moving(void)
{
	const void *mem = bo_map(g.fd, moving, BYTES);
	int fd = open("/tmp/moving", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	return write(fd, mem, 4096) == 4096 ? 0 : -errno;
}

/* Behind one that waits for a job. */
static int bind(void)
{
	return vm_map(g.fd, g.vm, moving, 0, FAULT_VA + GIB, MIB, 0);
}

static int make_vm(void)
{
	uint32_t vm;

	return vm_create(g.fd, &vm);
}

static int make_queue(void)
{
	uint32_t queue;

	return queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue);
}

static int make_stream(void)
{
	struct nib_stream_create args;
	struct stream s = { 0 };

	packet_end(&s);
	return stream_create_raw(g.fd, g.vm, s.words, s.count * 8, &args);
}

static int end_queue(void)
{
	return queue_destroy(g.fd, spare_queue);
}

static int end_stream(void)
{
	return stream_destroy(g.fd, g.vm, spare_stream);
}

static int end_vm(void)
{
	return vm_destroy(g.fd, spare_vm);
}

/* --- Waiting --- */

static void start(const char *name, const char *where, int (*call)(void))
{
	struct waiter *waiter = &waiters[nwaiters++];

	*waiter = (struct waiter){ .name = name, .where = where, .call = call, .pid = fork() };
	CHECK(waiter->pid >= 0);
	if (!waiter->pid)
		_exit(-call());
}

static bool is_in(pid_t pid, const char *where)
{
	char path[64], text[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return strstr(text, where);
}

static void await(void)
{
	for (unsigned int i = 0; i < nwaiters; i++) {
		const struct waiter *waiter = &waiters[i];
		unsigned int tries = 0;

		while (waiter->where && !is_in(waiter->pid, waiter->where)) {
			int status, ended = waitpid(waiter->pid, &status, WNOHANG);

			if (ended || tries++ > 1500)
				FAIL("%s: %s, and not seen in %s", waiter->name,
				     ended ? "ended" : "waits elsewhere", waiter->where);
			usleep(10000);
		}
	}
}

static void join(void)
{
	for (unsigned int i = 0; i < nwaiters; i++) {
		int status;

		CHECK(waitpid(waiters[i].pid, &status, 0) == waiters[i].pid);
		if (status)
			FAIL("%s: status %#x", waiters[i].name, status);
	}
	nwaiters = 0;
}

/* --- What they hold --- */

static const struct waiter *waiter_of(long pid)
{
	for (unsigned int i = 0; i < nwaiters; i++)
		if (waiters[i].pid == pid)
			return &waiters[i];
	return NULL;
}

/* Looks at one lock that @task holds, as the kernel has printed it. Returns true for the gate. */
static bool judge(const struct waiter *waiter, const char *task, const char *lock)
{
	/* Workers hold what says that they are at work. */
	if (!waiter && (!strstr(lock, "[nib]") || strstr(lock, "_completion)")))
		return false;
	/* The file that is written to is the caller's affair. */
	if (strstr(lock, "(drm_unplug_srcu)") || strstr(lock, "at: ksys_write") ||
	    strstr(lock, "at: shmem_file_write"))
		return false;
	if (strstr(lock, "(nib_gate)"))
		return true;
	FAIL("%s: %.80s holds %.200s", waiter ? waiter->name : "somebody", task, lock);
}

/* Has the kernel tell of all tasks. Returns how many were inside of the gate. */
static unsigned int look(void)
{
	const struct waiter *waiter = NULL;
	char record[2048], task[128] = "";
	unsigned int gates = 0, ends = 0;
	int log = kmsg_open();
	ssize_t n;

	OK(write_file("/proc/sysrq-trigger", "d"));
	while (!ends) {
		const char *line, *held;

		n = read(log, record, sizeof(record) - 1);
		if (n < 0)
			FAIL("the kernel does not say who holds what: %s", strerror(errno));
		record[n] = 0;
		line = strchr(record, ';');
		CHECK(line++);
		held = strstr(line, "locks held by ");
		if (held) {
			snprintf(task, sizeof(task), "%s", held + strlen("locks held by "));
			held = strrchr(strtok(task, ":"), '/');
			waiter = held ? waiter_of(atol(held + 1)) : NULL;
		} else if (!strncmp(line, " #", 2)) {
			gates += judge(waiter, task, line);
		}
		ends = strstr(line, "======") != NULL;
	}
	close(log);
	return gates;
}

/* --- For what --- */

/* The engine's copy queue, which is queue 0, stands still behind a buffer that is to be zeroed. */
static void memory(void)
{
	struct stream s = { 0 };
	struct nib_sync_op sync = { .flags = NIB_SYNC_WAIT, .handle = syncobj(g.fd) };
	struct nib_vm_bind_op op = {
		.flags = NIB_VM_BIND_OP_MAP, .bo_handle = gate_bo, .va = FAULT_VA + 2 * GIB,
		.size = 4096, .syncs = NIB_OBJ_ARRAY(1, &sync),
	};
	int64_t before = control_struck("stuck-packet");
	uint32_t *mem, bo;

	OK(bo_create(g.fd, BYTES, NIB_BO_HBM, &moving));
	mem = bo_map(g.fd, moving, BYTES);
	memset(mem, 0x5a, BYTES);
	munmap(mem, BYTES);
	/* What comes next needs the room of the oldest. */
	while (query_memory(g.fd).hbm_free >= BYTES)
		OK(bo_create(g.fd, BYTES, NIB_BO_HBM, &bo));
	packet_sem(&s, FAULT_VA, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	OK(submit(g.fd, g.queue, stream_create(g.fd, g.vm, &s), sync.handle));
	OK(vm_bind_op(g.fd, g.vm, &op, NIB_VM_BIND_ASYNC));

	control("{\"inject\":\"stuck-packet\",\"queue\":0,\"rung\":\"queue\"}");
	start("BO_CREATE", "nib_dma_clear_wait", make_buffer);
	control_wait_struck("stuck-packet", before);
	await();
	start("SRAM_LEASE_CREATE", "nib_dma_clear_wait", make_lease);
	start("VM_BIND", "nib_ioctl_vm_bind", bind);
	start("a page fault", "nib_gem_fault", read_moving);
	start("a page fault in write()", "nib_gem_fault", write_moving);
	await();
	look();
	printf("%u tasks wait for memory\n", nwaiters);
	*gate = 1;
	watchdog_set(200);
	join();
	watchdog_set(0);
	drmSyncobjDestroy(g.fd, sync.handle);
}

static void patience_restore(void)
{
	write_file(ADMIN_MS, "500");
}

/* Each of them waits for an answer, or for its turn to ask. */
static void firmware(void)
{
	unsigned int gates, callers;

	/* Nobody calls for recovery, for which all would have to leave. */
	OK(write_file(ADMIN_MS, "60000"));
	atexit(patience_restore);
	control("{\"inject\":\"firmware-slow\",\"ms\":%u,\"count\":%u}", SLOW_MS, WAITERS);
	start("VM_CREATE", "nib_ipc_", make_vm);
	start("QUEUE_CREATE", "nib_ipc_", make_queue);
	start("STREAM_CREATE", "nib_ipc_", make_stream);
	await();
	callers = nwaiters;
	start("QUEUE_DESTROY", NULL, end_queue);
	start("STREAM_DESTROY", NULL, end_stream);
	start("VM_DESTROY", NULL, end_vm);
	sleep(1);
	gates = look();
	printf("%u tasks wait for the firmware, %u in its gate\n", nwaiters, gates);
	/* That the kernel tells of them at all. */
	CHECK(gates >= callers);
	control_clear();
	join();
}

int main(void)
{
	struct stream s = { 0 };

	if (access("/proc/lockdep", F_OK) || access("/proc/sysrq-trigger", W_OK))
		SKIP("this kernel does not tell who holds which lock");
	control_open();
	g = guest_begin();
	guest_needs_small_hbm(g.fd);
	OK(bo_create(g.fd, 4096, NIB_BO_HOST, &gate_bo));
	OK(vm_map(g.fd, g.vm, gate_bo, 0, FAULT_VA, 4096, 0));
	gate = bo_map(g.fd, gate_bo, 4096);
	OK(vm_create(g.fd, &spare_vm));
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &spare_queue));
	packet_end(&s);
	spare_stream = stream_create(g.fd, g.vm, &s);
	watchdog_set(0);
	RUN(memory());
	RUN(firmware());
	close(g.fd);
	return 0;
}
