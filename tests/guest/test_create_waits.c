/* SPDX-License-Identifier: MIT */
/*
 * Whoever makes a buffer or a lease waits until the device has zeroed it, and holds nothing that
 * others need meanwhile: a signal ends the wait and leaves nothing behind, and the driver can be
 * unbound. Here the device never gets to it, and no watchdog helps.
 */
#include "fault.h"
#include "life.h"

#include <signal.h>
#include <sys/wait.h>

#define BYTES	(8 * MIB)	/* more than the CPU would zero */
#define STEP_US	20000

static int fd;

static void on_signal(int number)
{
	(void)number;
}

static int make_buffer(void)
{
	struct nib_bo_create args = { .size = BYTES, .flags = NIB_BO_HBM };

	return ioctl(fd, DRM_IOCTL_NIB_BO_CREATE, &args) ? -errno : 0;
}

static int make_lease(void)
{
	struct nib_sram_lease_create args = { .guaranteed = 64 * KIB, .burst = 64 * KIB };

	return ioctl(fd, DRM_IOCTL_NIB_SRAM_LEASE_CREATE, &args) ? -errno : 0;
}

/* Somebody who waits. Exits with the errno of what @make says. */
static pid_t start(int (*make)(void))
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid)
		return pid;
	_exit(-make());
}

static int end_of(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

/* Queue 0 is the driver's. */
static void hang(void)
{
	int64_t before = control_struck("stuck-packet");
	uint32_t bo;

	watchdog_set(0);
	control("{\"inject\":\"stuck-packet\",\"queue\":0,\"rung\":\"queue\"}");
	/* So that there is something in front of what comes next. */
	if (!fork())
		_exit(-bo_create(guest_open(), BYTES, NIB_BO_HBM, &bo));
	control_wait_struck("stuck-packet", before);
}

/* The watchdog helps: everybody gets what he asked for. */
static void go_on(void)
{
	watchdog_set(200);
	CHECK(wait(NULL) > 0);
}

static void wait_for_memory(const struct nib_memory_info *before)
{
	struct nib_memory_info now;

	for (uint32_t i = 0; i < 500; i++) {
		now = query_memory(fd);
		if (now.hbm_free == before->hbm_free && now.sram_free == before->sram_free)
			return;
		usleep(STEP_US);
	}
	EQUAL(now.hbm_free, before->hbm_free);
	EQUAL(now.sram_free, before->sram_free);
}

static void signal_ends(int (*make)(void))
{
	struct nib_memory_info before = query_memory(fd);
	pid_t pid;
	siginfo_t info = { 0 };

	hang();
	pid = start(make);
	/* It may not be there yet. */
	while (!info.si_pid) {
		usleep(STEP_US);
		kill(pid, SIGUSR1);
		CHECK(!waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT));
	}
	EXPECT(end_of(pid), -EINTR);
	go_on();
	wait_for_memory(&before);
}

/* What was given back while it was still to be zeroed is zero for whoever gets it next. */
static void next_is_zero(void)
{
	uint64_t *mem;
	uint32_t bo;

	OK(bo_create(fd, BYTES, NIB_BO_HBM, &bo));
	mem = bo_map(fd, bo, BYTES);
	for (uint64_t i = 0; i < BYTES / 8; i++)
		EQUAL(mem[i], 0);
	memset(mem, 0x5a, BYTES);
	munmap(mem, BYTES);
	OK(bo_close(fd, bo));
}

static void unbinding_does_not_wait(int (*make)(void), const char *address)
{
	pid_t pid;

	hang();
	pid = start(make);
	usleep(10 * STEP_US);
	OK(life_unbind(address));
	EXPECT(end_of(pid), -ENODEV);
	CHECK(wait(NULL) > 0);
	close(fd);
	control_clear();
	OK(life_bind(address));
	fd = guest_open();
}

int main(void)
{
	/* Without SA_RESTART. */
	const struct sigaction action = { .sa_handler = on_signal };
	char address[64];

	CHECK(!sigaction(SIGUSR1, &action, NULL));
	control_open();
	fd = guest_open();
	guest_pci_address(fd, address, sizeof(address));
	watchdog_set(0);
	next_is_zero();
	signal_ends(make_buffer);
	next_is_zero();
	signal_ends(make_lease);
	unbinding_does_not_wait(make_buffer, address);
	unbinding_does_not_wait(make_lease, address);
	watchdog_set(2000);
	next_is_zero();
	return 0;
}
