/* SPDX-License-Identifier: MIT */
/*
 * The driver is unbound at some point of a recovery, while others submit and close: nothing waits for
 * ever, every fence ends, and the driver finds a device that works when it is bound again.
 */
#include "fault.h"
#include "life.h"

#include <pthread.h>

#define STEP_US		90000u
#define ENDS_MS		30000

static const char *const rungs[] = { "queue", "engine", "firmware", "function" };

/* A fence that can be waited for without the device. */
static int fence_file(int fd, uint32_t fence)
{
	int file;

	if (drmSyncobjExportSyncFile(fd, fence, &file))
		FAIL("drmSyncobjExportSyncFile: %s", strerror(errno));
	return file;
}

static void check_ended(int file)
{
	struct pollfd poll_fd = { .fd = file, .events = POLLIN };

	if (poll(&poll_fd, 1, ENDS_MS) != 1)
		FAIL("a fence does not end");
	close(file);
}

/* Makes and ends queues as long as there is a device. */
static void *others(void *arg)
{
	int fd = *(int *)arg;
	uint32_t vm, queue;

	if (vm_create(fd, &vm))
		return NULL;
	while (!queue_create(fd, vm, NIB_PRIORITY_NORMAL, &queue))
		if (queue_destroy(fd, queue))
			break;
	return NULL;
}

static void unbind_at(const char *address, const char *rung, unsigned int us)
{
	struct worker w = worker_begin(guest_open());
	uint32_t fence[2] = { syncobj(w.fd), syncobj(w.fd) };
	pthread_t thread;
	int file[2];

	control("{\"inject\":\"stuck-packet\",\"queue\":%u,\"rung\":\"%s\"}", w.hw, rung);
	for (uint32_t i = 0; i < 2; i++) {
		OK(worker_submit(&w, i, 0, fence[i]));
		file[i] = fence_file(w.fd, fence[i]);
	}
	CHECK(!pthread_create(&thread, NULL, others, &w.fd));
	usleep(us);
	OK(life_unbind(address));
	check_ended(file[0]);
	check_ended(file[1]);
	CHECK(!pthread_join(thread, NULL));
	close(w.fd);
	control_clear();
	OK(life_bind(address));
}

int main(void)
{
	char address[64];
	struct worker w;
	int fd;

	control_open();
	fd = guest_open();
	guest_pci_address(fd, address, sizeof(address));
	close(fd);
	watchdog_set(200);
	for (uint32_t i = 0; i < 8; i++)
		unbind_at(address, rungs[i % 4], (i + 1) * STEP_US);
	w = worker_begin(guest_open());
	OK(worker_run(&w, 1));
	return 0;
}
