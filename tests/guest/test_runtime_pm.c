/* SPDX-License-Identifier: MIT */
/*
 * A device that nobody uses falls asleep, and whatever its client does next wakes it: jobs, calls,
 * CPU accesses to HBM. Nothing is lost by that, and nothing that is in flight is disturbed.
 */
#include "life.h"

#include <pthread.h>

#define ROUNDS		5
#define STORM_THREADS	3
#define STORM_JOBS	60
#define HBM_WORDS	(MIB / 4)
#define SRAM_VA		(LIFE_VA + 256 * MIB)
#define SRAM_BYTES	(64 * KIB)
#define BACK_VA		(LIFE_VA + 512 * MIB)

static char address[64];

static int power_write(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/%s", address, name);
	return write_file(path, text);
}

static bool power_is(const char *name, const char *want)
{
	return guest_power_is(address, name, want);
}

static void wait_asleep(void)
{
	guest_wait_asleep(address);
}

static uint32_t pattern(uint32_t i, uint32_t round)
{
	return (i + 1) * 2654435761u ^ round * 40503u;
}

struct client {
	struct guest g;
	volatile uint32_t *hbm;
	volatile uint32_t *back;
	uint32_t to_sram;
	uint32_t from_sram;
};

static uint32_t copy_stream(struct guest *g, uint64_t src, uint64_t dst)
{
	struct stream s = { 0 };

	packet_copy(&s, src, dst, SRAM_BYTES / 4);
	packet_end(&s);
	return stream_create(g->fd, g->vm, &s);
}

static void run(struct guest *g, uint32_t stream)
{
	uint32_t done = syncobj(g->fd);

	OK(submit(g->fd, g->queue, stream, done));
	OK(syncobj_wait(g->fd, done, 60000));
	EXPECT(fence_status(g->fd, done), 1);
	drmSyncobjDestroy(g->fd, done);
}

static struct client client_begin(void)
{
	struct client c = { .g = guest_begin() };
	uint32_t sram;

	c.hbm = guest_buffer(&c.g, LIFE_VA, HBM_WORDS * 4, NIB_BO_HBM);
	c.back = guest_buffer(&c.g, BACK_VA, SRAM_BYTES, NIB_BO_HOST);
	OK(bo_create(c.g.fd, SRAM_BYTES, NIB_BO_SRAM, &sram));
	OK(vm_map(c.g.fd, c.g.vm, sram, 0, SRAM_VA, SRAM_BYTES, 0));
	c.to_sram = copy_stream(&c.g, LIFE_VA, SRAM_VA);
	c.from_sram = copy_stream(&c.g, SRAM_VA, BACK_VA);
	return c;
}

static void write_patterns(struct client *c, uint32_t round)
{
	uint32_t i;

	for (i = 0; i < HBM_WORDS; i++)
		c->hbm[i] = pattern(i, round);
	run(&c->g, c->to_sram);
}

static void check_sram(struct client *c, uint32_t round)
{
	uint32_t i;

	memset((void *)c->back, 0, SRAM_BYTES);
	run(&c->g, c->from_sram);
	for (i = 0; i < SRAM_BYTES / 4; i++)
		EQUAL(c->back[i], pattern(i, round));
}

static void check_hbm(struct client *c, uint32_t round)
{
	uint32_t i;

	for (i = 0; i < HBM_WORDS; i++)
		EQUAL(c->hbm[i], pattern(i, round));
}

/* Everything that can wake it, each from sleep. */
static void check_round(struct client *c, uint32_t round)
{
	struct guest other;

	write_patterns(c, round);
	wait_asleep();
	check_sram(c, round);
	wait_asleep();
	check_hbm(c, round);
	wait_asleep();
	/* A CPU access alone, and to a page that is mapped already. */
	c->hbm[5] = 5;
	EQUAL(c->hbm[5], 5);
	wait_asleep();
	c->hbm[5] = pattern(5, round);
	wait_asleep();
	other = guest_begin();
	wait_asleep();
	close(other.fd);
	wait_asleep();
	check_hbm(c, round);
	check_sram(c, round);
}

/* What is in flight keeps it awake, however long it is idle itself. */
static void check_in_flight(void)
{
	struct life_work w = life_begin();
	int i;

	for (i = 0; i < 40; i++) {
		CHECK(power_is("power/runtime_status", "active"));
		usleep(5000);
	}
	life_check_goes_on(&w);
	wait_asleep();
	life_end(&w);
}

/* With no delay at all it goes to sleep, or starts to, between any two things that clients do. */
static void *storm(void *arg)
{
	struct client c = client_begin();
	uint32_t seed = (uint32_t)(uintptr_t)arg, i;

	write_patterns(&c, seed);
	for (i = 0; i < STORM_JOBS; i++) {
		seed = seed * 1664525u + 1013904223u;
		run(&c.g, seed & 1 << 16 ? c.to_sram : c.from_sram);
		if (seed & 1 << 17)
			EQUAL(c.hbm[seed >> 20], pattern(seed >> 20, (uint32_t)(uintptr_t)arg));
		if (seed & 1 << 18)
			usleep(seed >> 20);
		if (seed & 1 << 19)
			query_memory(c.g.fd);
	}
	check_sram(&c, (uint32_t)(uintptr_t)arg);
	check_hbm(&c, (uint32_t)(uintptr_t)arg);
	munmap((void *)c.hbm, HBM_WORDS * 4);
	munmap((void *)c.back, SRAM_BYTES);
	close(c.g.fd);
	return NULL;
}

int main(void)
{
	uint64_t hbm_free = life_check_fresh(0);
	pthread_t threads[STORM_THREADS];
	struct client c;
	uint32_t i;

	life_find_device(address, sizeof(address));
	if (!access("/sys/power", F_OK) && power_is("power/runtime_status", "unsupported"))
		SKIP("this kernel has no runtime power management");
	OK(power_write("control", "auto"));
	OK(power_write("autosuspend_delay_ms", "20"));
	c = client_begin();
	for (i = 0; i < ROUNDS; i++)
		check_round(&c, i);
	check_in_flight();
	OK(power_write("autosuspend_delay_ms", "0"));
	for (i = 0; i < STORM_THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, storm, (void *)(uintptr_t)(i + 7)));
	for (i = 0; i < STORM_THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	check_hbm(&c, ROUNDS - 1);
	OK(power_write("autosuspend_delay_ms", "1000"));
	munmap((void *)c.hbm, HBM_WORDS * 4);
	munmap((void *)c.back, SRAM_BYTES);
	close(c.g.fd);
	life_check_fresh(hbm_free);
	return 0;
}
