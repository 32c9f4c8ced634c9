/* SPDX-License-Identifier: MIT */
/*
 * 64 clients with 16 queues each, one job of every queue in flight at once: all of them have
 * reached the device and wait at a semaphore, then all finish, and each has done its own work.
 * NIB_CLIENTS and NIB_QUEUES say how many; fewer where the device has fewer.
 */
#include "guest.h"

#include <sys/resource.h>

#define VA	0x100000000ull
#define SLOT(i)	(VA + 8 + 8 * (i))

struct client {
	struct guest g;
	uint64_t *memory;	/* the semaphore, then a slot per queue */
	uint32_t *done;
};

static uint32_t setting(const char *name, uint32_t value)
{
	const char *text = getenv(name);

	return text ? (uint32_t)strtoul(text, NULL, 0) : value;
}

static uint32_t token(uint32_t client, uint32_t queue)
{
	return client << 16 | (queue + 1);
}

static void client_begin(struct client *c, uint32_t id, uint32_t queues)
{
	uint32_t bo, queue, i;

	c->g.fd = guest_open();
	OK(vm_create(c->g.fd, &c->g.vm));
	OK(bo_create(c->g.fd, 4096, NIB_BO_HOST, &bo));
	OK(vm_map(c->g.fd, c->g.vm, bo, 0, VA, 4096, 0));
	c->memory = bo_map(c->g.fd, bo, 4096);
	c->done = calloc(queues, sizeof(*c->done));
	for (i = 0; i < queues; i++) {
		struct stream s = { 0 };

		OK(queue_create(c->g.fd, c->g.vm, NIB_PRIORITY_NORMAL, &queue));
		c->g.queue = queue;
		packet_sem(&s, VA, 1, NIB_SEM_WAIT_GE);
		packet_fill(&s, SLOT(i), 1, token(id, i));
		packet_end(&s);
		c->done[i] = syncobj(c->g.fd);
		OK(submit(c->g.fd, queue, stream_create(c->g.fd, c->g.vm, &s), c->done[i]));
	}
}

/* Opens the semaphore, and rings a doorbell so that the device looks at it. */
static void client_release(struct client *c, uint32_t id, uint32_t queues)
{
	struct stream s = { 0 };
	uint32_t i, kick;

	for (i = 0; i < queues; i++) {
		EQUAL(c->memory[1 + i], 0);
		EQUAL(fence_status(c->g.fd, c->done[i]), 0);
	}
	__atomic_store_n(c->memory, 1, __ATOMIC_RELEASE);
	packet_end(&s);
	kick = syncobj(c->g.fd);
	OK(submit(c->g.fd, c->g.queue, stream_create(c->g.fd, c->g.vm, &s), kick));
	for (i = 0; i < queues; i++) {
		OK(syncobj_wait(c->g.fd, c->done[i], 120000));
		EQUAL(fence_status(c->g.fd, c->done[i]), 1);
		EQUAL(c->memory[1 + i], token(id, i));
	}
}

int main(void)
{
	int fd = guest_open();
	struct nib_device_info info = query_device(fd);
	uint32_t clients = setting("NIB_CLIENTS", 64), queues = setting("NIB_QUEUES", 16), i;
	uint64_t hbm_free = query_memory(fd).hbm_free;
	struct rlimit files = { 1024, 1024 };
	struct client *client;

	guest_patience();
	setrlimit(RLIMIT_NOFILE, &files);
	if (queues > info.max_queues)
		queues = info.max_queues;
	client = calloc(clients, sizeof(*client));
	for (i = 0; i < clients; i++)
		client_begin(&client[i], i, queues);
	for (i = 0; i < clients; i++)
		client_release(&client[i], i, queues);
	for (i = 0; i < clients; i++) {
		close(client[i].g.fd);
		munmap(client[i].memory, 4096);
	}
	printf("%u clients with %u queues each\n", clients, queues);
	for (i = 0; i < 500 && query_memory(fd).hbm_free != hbm_free; i++)
		usleep(20000);
	EQUAL(query_memory(fd).hbm_free, hbm_free);
	return 0;
}
