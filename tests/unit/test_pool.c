// SPDX-License-Identifier: MIT
/*
 * The device's threads: all work is done once, an idle pool costs nothing, and threads are placed as
 * the machine and the caller's own bounds allow. Machines are told in hwloc's words, so that the
 * choice is tested on any.
 */
#include <check.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "place.h"
#include "pool.h"

#define THREADS	4u
#define PARTS	37u
#define BITS	(8 * sizeof(unsigned long))

static atomic_uint done[PARTS];

static void count_part(void *arg, unsigned int part, unsigned int thread)
{
	(void)arg;
	ck_assert_uint_lt(thread, THREADS);
	atomic_fetch_add(&done[part], 1);
}

START_TEST(every_part_is_done_once)
{
	struct nib_pool *pool;

	ck_assert_int_eq(nib_pool_create(THREADS, _i, &pool), 0);
	ck_assert_uint_eq(nib_pool_threads(pool), THREADS);
	memset(done, 0, sizeof(done));
	for (unsigned int round = 1; round <= 2000; round++) {
		nib_pool_run(pool, PARTS, count_part, NULL);
		for (unsigned int i = 0; i < PARTS; i++)
			ck_assert_uint_eq(atomic_load(&done[i]), round);
	}
	nib_pool_destroy(pool);
}
END_TEST

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

/* Processor time, which other work on the machine does not add to. */
START_TEST(an_idle_pool_costs_nothing)
{
	struct timespec rest = { .tv_nsec = 400000000 };
	struct nib_pool *pool;
	double before;

	ck_assert_int_eq(nib_pool_create(THREADS, false, &pool), 0);
	nib_pool_run(pool, PARTS, count_part, NULL);
	before = cpu_seconds();
	nanosleep(&rest, NULL);
	/* One thread that waits busily would take all of it. */
	ck_assert_double_lt(cpu_seconds() - before, 0.1);
	nib_pool_destroy(pool);
}
END_TEST

static bool has(const struct nib_core *core, unsigned int cpu)
{
	return core->cpus[cpu / BITS] >> cpu % BITS & 1;
}

static unsigned int count(const struct nib_core *core)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < NIB_PLACE_CPUS; i++)
		n += has(core, i);
	return n;
}

static bool within(const struct nib_core *inner, const struct nib_core *outer)
{
	for (unsigned int i = 0; i < NIB_PLACE_CPUS; i++)
		if (has(inner, i) && !has(outer, i))
			return false;
	return true;
}

static void expect_apart(const struct nib_core *cores, unsigned int n)
{
	for (unsigned int i = 0; i < NIB_PLACE_CPUS; i++) {
		unsigned int users = 0;

		for (unsigned int j = 0; j < n; j++)
			users += has(&cores[j], i);
		ck_assert_uint_le(users, 1);
	}
}

static const struct {
	const char *machine;
	unsigned int threads;
	unsigned int placed;
	unsigned int cpus;	/* of a core */
} machines[] = {
	{ "node:2 core:4 pu:2", 2, 2, 2 },  { "node:2 core:4 pu:2", 7, 7, 2 },
	{ "node:2 core:4 pu:2", 8, 0, 0 },  { "node:2 core:4 pu:2", 100, 0, 0 },
	{ "node:1 core:16 pu:1", 4, 4, 1 }, { "core:2 pu:1", 2, 0, 0 },
	{ "core:2 pu:1", 1, 1, 1 },	    { "core:1 pu:2", 1, 0, 0 },
	{ "node:4 core:64 pu:2", 64, 64, 2 }, { "core:2 pu:1", 0, 0, 0 },
	{ "no such machine", 1, 0, 0 },
};

START_TEST(threads_have_cores_of_their_own)
{
	struct nib_core cores[128];
	unsigned int placed = nib_place_choose(machines[_i].machine, machines[_i].threads, cores);

	ck_assert_uint_eq(placed, nib_place_works() ? machines[_i].placed : 0);
	for (unsigned int i = 0; i < placed; i++)
		ck_assert_uint_eq(count(&cores[i]), machines[_i].cpus);
	expect_apart(cores, placed);
}
END_TEST

/* Each thread brings a memory node's bandwidth. */
START_TEST(threads_are_spread_over_nodes)
{
	struct nib_core cores[2];
	unsigned int low = 0;

	if (!nib_place_works())
		return;
	ck_assert_uint_eq(nib_place_choose("node:2 core:4 pu:2", 2, cores), 2);
	for (unsigned int cpu = 0; cpu < 8; cpu++)
		low += has(&cores[0], cpu) + has(&cores[1], cpu);
	ck_assert_uint_eq(low, 2);
}
END_TEST

static void get_mask(struct nib_core *mask)
{
	memset(mask, 0, sizeof(*mask));
	ck_assert_int_eq(sched_getaffinity(0, sizeof(mask->cpus), (cpu_set_t *)mask->cpus), 0);
}

static struct nib_core seen[THREADS];

/* Slowly, so that all threads come to it. */
static void note_mask(void *arg, unsigned int part, unsigned int thread)
{
	struct timespec moment = { .tv_nsec = 5000000 };

	(void)arg;
	(void)part;
	get_mask(&seen[thread]);
	nanosleep(&moment, NULL);
}

static void run_all_threads(bool pin)
{
	struct nib_pool *pool;

	memset(seen, 0, sizeof(seen));
	ck_assert_int_eq(nib_pool_create(THREADS, pin, &pool), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		for (int tries = 0; !count(&seen[i]) && tries < 200; tries++)
			nib_pool_run(pool, THREADS * 2, note_mask, NULL);
	nib_pool_destroy(pool);
}

START_TEST(threads_stay_where_the_caller_may_run)
{
	struct nib_core before, after, cores[THREADS];
	bool placed = nib_place_choose(NULL, THREADS, cores);

	get_mask(&before);
	run_all_threads(true);
	get_mask(&after);
	ck_assert(!memcmp(&before, &after, sizeof(before)));
	ck_assert(!memcmp(&before, &seen[0], sizeof(before)));
	for (unsigned int i = 1; i < THREADS; i++) {
		ck_assert(count(&seen[i]) && within(&seen[i], &before));
		ck_assert(!memcmp(&seen[i], placed ? &cores[i] : &before, sizeof(before)));
	}
	run_all_threads(false);
	for (unsigned int i = 0; i < THREADS; i++)
		ck_assert(!memcmp(&seen[i], &before, sizeof(before)));
}
END_TEST

/* As under taskset: one processor leaves no choice. */
START_TEST(one_processor_binds_nothing)
{
	struct nib_core all, one = { { 0 } }, core;
	unsigned int cpu = 0;

	get_mask(&all);
	while (!has(&all, cpu))
		cpu++;
	one.cpus[cpu / BITS] = 1ul << cpu % BITS;
	ck_assert(nib_place_thread(pthread_self(), &one));
	ck_assert_uint_eq(nib_place_choose(NULL, 1, &core), 0);
	run_all_threads(true);
	for (unsigned int i = 0; i < THREADS; i++)
		ck_assert(!memcmp(&seen[i], &one, sizeof(one)));
	ck_assert(nib_place_thread(pthread_self(), &all));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pool");
	Suite *s = suite_create("pool");
	SRunner *sr;
	int bad;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, every_part_is_done_once, 0, 2);
	tcase_add_test(tc, an_idle_pool_costs_nothing);
	tcase_add_loop_test(tc, threads_have_cores_of_their_own, 0,
			    (int)(sizeof(machines) / sizeof(machines[0])));
	tcase_add_test(tc, threads_are_spread_over_nodes);
	tcase_add_test(tc, threads_stay_where_the_caller_may_run);
	tcase_add_test(tc, one_processor_binds_nothing);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
