/* SPDX-License-Identifier: MIT */
/*
 * Clients that together need more than HBM, each doing what it likes for a few seconds: buffers of
 * any size that come and go, are bound, filled, read by the device and by the CPU, unmapped and
 * closed with jobs in flight, files that are closed and opened again. No word is ever wrong, and
 * afterwards all memory is there. NIB_STRESS_MS says for how long, 4000 by default.
 */
#include "guest.h"

#include <sys/wait.h>

#define CLIENTS	4
#define SLOTS	6u
#define OUT	0x10000000ull
#define VA(s)	(0x1000000000ull * ((s) + 1))

static uint64_t end, share;

/* A buffer; every word of it is @value. */
struct slot {
	uint32_t bo;
	uint64_t size;
	uint32_t value;
	bool mappable;
};

struct client {
	struct guest g;
	uint32_t seed;
	uint32_t *out;
	uint64_t used;
	struct slot slots[SLOTS];
};

static uint32_t rnd(struct client *c, uint32_t below)
{
	c->seed = c->seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)c->seed * below >> 32);
}

static void begin(struct client *c)
{
	c->g = guest_begin();
	c->out = guest_buffer(&c->g, OUT, 4096, NIB_BO_HOST);
	c->used = 0;
	memset(c->slots, 0, sizeof(c->slots));
}

/* With whatever is in flight. */
static void finish(struct client *c)
{
	munmap(c->out, 4096);
	close(c->g.fd);
}

static uint32_t submit_stream(struct client *c, const struct stream *s)
{
	uint32_t id = stream_create(c->g.fd, c->g.vm, s), done = syncobj(c->g.fd);

	OK(submit(c->g.fd, c->g.queue, id, done));
	OK(stream_destroy(c->g.fd, c->g.vm, id));
	return done;
}

static void settle(struct client *c, uint32_t done)
{
	OK(syncobj_wait(c->g.fd, done, 100000));
	EQUAL(fence_status(c->g.fd, done), 1);
	drmSyncobjDestroy(c->g.fd, done);
}

static void fill(struct client *c, uint32_t i, bool wait)
{
	struct slot *slot = &c->slots[i];
	struct stream s = { 0 };
	uint32_t done;

	slot->value = c->seed;
	packet_fill(&s, VA(i), slot->size / 4, slot->value);
	packet_end(&s);
	done = submit_stream(c, &s);
	if (wait)
		settle(c, done);
	else
		drmSyncobjDestroy(c->g.fd, done);
}

static uint64_t any_size(struct client *c)
{
	return (1 + rnd(c, rnd(c, 2) ? 64 : (uint32_t)(share / SLOTS / 4096))) * 4096ull;
}

static void create(struct client *c, uint32_t i, uint64_t size)
{
	struct slot *slot = &c->slots[i];

	slot->mappable = rnd(c, 3);
	OK(bo_create(c->g.fd, size, NIB_BO_HBM | (slot->mappable ? 0 : NIB_BO_NO_MMAP), &slot->bo));
	slot->size = size;
	c->used += size;
	OK(vm_map(c->g.fd, c->g.vm, slot->bo, 0, VA(i), size, 0));
	slot->value = 0;
	if (rnd(c, 4))
		fill(c, i, rnd(c, 2));
}

/* Words of all buffers, in one job. */
static void check_by_device(struct client *c)
{
	struct stream s = { 0 };
	uint64_t at[SLOTS];
	uint32_t i;

	for (i = 0; i < SLOTS; i++) {
		if (!c->slots[i].bo)
			continue;
		at[i] = rnd(c, (uint32_t)(c->slots[i].size / 4)) * 4ull;
		packet_copy(&s, VA(i) + at[i], OUT + i * 8, 1);
		packet_copy(&s, VA(i) + c->slots[i].size - 4, OUT + i * 8 + 4, 1);
	}
	packet_end(&s);
	settle(c, submit_stream(c, &s));
	for (i = 0; i < SLOTS; i++) {
		if (!c->slots[i].bo)
			continue;
		EQUAL(c->out[i * 2], c->slots[i].value);
		EQUAL(c->out[i * 2 + 1], c->slots[i].value);
	}
}

static void check_by_cpu(struct client *c, uint32_t i)
{
	struct slot *slot = &c->slots[i];
	uint32_t *p, k;

	if (!slot->mappable)
		return;
	/* The fill may still be under way. */
	check_by_device(c);
	p = bo_map(c->g.fd, slot->bo, slot->size);
	for (k = 0; k < 8; k++) {
		uint32_t *word = &p[rnd(c, (uint32_t)(slot->size / 4))];

		EQUAL(*word, slot->value);
		*word = slot->value;
	}
	munmap(p, slot->size);
}

static void drop(struct client *c, uint32_t i)
{
	struct slot *slot = &c->slots[i];

	/* The VM keeps it until it is unmapped. */
	if (rnd(c, 2))
		fill(c, i, false);
	OK(bo_close(c->g.fd, slot->bo));
	/* Jobs are done in order: no fill is left that would find nothing there. */
	check_by_device(c);
	OK(vm_unmap(c->g.fd, c->g.vm, VA(i), slot->size));
	c->used -= slot->size;
	memset(slot, 0, sizeof(*slot));
}

static void run(uint32_t seed)
{
	struct client c = { .seed = seed };
	unsigned long rounds = 0;
	struct nib_memory_info info;
	uint32_t i;

	begin(&c);
	/* However slow it is: together more than there is. */
	for (i = 0; i < SLOTS; i++)
		create(&c, i, share / SLOTS & ~4095ull);
	while (now_ns() < end) {
		i = rnd(&c, SLOTS);
		rounds++;
		if (!c.slots[i].bo)
			create(&c, i, any_size(&c));
		else if (rnd(&c, 5) == 0)
			check_by_cpu(&c, i);
		else if (rnd(&c, 5) == 0)
			drop(&c, i);
		else if (rnd(&c, 3) == 0)
			fill(&c, i, rnd(&c, 2));
		else
			check_by_device(&c);
		if (rnd(&c, 60) == 0) {
			finish(&c);
			begin(&c);
		}
	}
	check_by_device(&c);
	info = query_memory(c.g.fd);
	CHECK(info.client_hbm_resident <= info.client_hbm);
	EQUAL(info.client_hbm, c.used);
	EQUAL(queue_state(c.g.fd, c.g.queue).state, 0);
	printf("seed %u: %lu rounds\n", seed, rounds);
	fflush(stdout);
}

int main(void)
{
	const char *ms = getenv("NIB_STRESS_MS");
	struct nib_memory_info before, after;
	pid_t pid[CLIENTS];
	int fd = guest_open(), status;
	uint32_t i;

	guest_needs_small_hbm(fd);
	before = query_memory(fd);
	/* Each has room, all of them have not; host memory must hold the rest. */
	share = before.hbm_free / 2;
	end = now_ns() + (ms ? (uint64_t)atoi(ms) : 4000) * 1000000ull;
	for (i = 0; i < CLIENTS; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (!pid[i]) {
			run(i + 1);
			exit(0);
		}
	}
	for (i = 0; i < CLIENTS; i++) {
		CHECK(waitpid(pid[i], &status, 0) == pid[i]);
		EQUAL(status, 0);
	}
	after = query_memory(fd);
	printf("%u MiB evicted, %u MiB restored\n",
	       (unsigned int)((after.evicted_bytes - before.evicted_bytes) >> 20),
	       (unsigned int)((after.restored_bytes - before.restored_bytes) >> 20));
	CHECK(after.evicted_bytes > before.evicted_bytes);
	EQUAL(after.hbm_free, before.hbm_free);
	EQUAL(after.sram_free, before.sram_free);
	return 0;
}
