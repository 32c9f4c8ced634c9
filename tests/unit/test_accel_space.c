// SPDX-License-Identifier: MIT
/*
 * The range allocator against a map of what is taken: ranges never overlap, lie where they were
 * asked to, freeing allocates nothing and loses nothing.
 */
#include <check.h>
#include <stdlib.h>

#include "internal.h"

enum { SIZE = 512, RANGES = 64, START = 7 };

static struct accel_device device;
static long calls;

static void *count_alloc(void *user, void *ptr, size_t size)
{
	(void)user;
	calls++;
	if (size)
		return realloc(ptr, size);
	free(ptr);
	return NULL;
}

static uint64_t next(uint64_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return *rng >> 11;
}

/* Whether @bytes fit anywhere, by trying every place. */
static bool fits(const uint8_t *taken, uint64_t bytes, uint64_t align, uint64_t limit)
{
	uint64_t at, i;

	for (at = (START + align - 1) / align * align; at + bytes <= START + SIZE; at += align) {
		for (i = 0; i < bytes && !taken[at + i]; i++)
			;
		if (i == bytes && at + bytes <= limit)
			return true;
	}
	return false;
}

START_TEST(test_space_random)
{
	uint64_t rng = 88172645463325252ull + (uint64_t)_i, start, held = 0;
	uint8_t taken[START + SIZE + 1] = { 0 };
	struct { uint64_t start, bytes; } ranges[RANGES] = { { 0, 0 } };
	struct accel_space space;
	long before;
	int err, n;

	device.alloc = count_alloc;
	ck_assert_int_eq(accel_space_init(&device, &space, START, SIZE), 0);
	for (n = 0; n < 4000; n++) {
		uint64_t k = next(&rng) % RANGES, i;
		uint64_t bytes = 1 + next(&rng) % (n % 500 < 400 ? 12 : 90);
		uint64_t align = 1ull << next(&rng) % 5;
		uint64_t limit = next(&rng) % 4 ? UINT64_MAX : START + next(&rng) % SIZE;
		uint32_t flags = next(&rng) % 2 ? ACCEL_SPACE_TOP : 0;

		if (ranges[k].bytes) {
			before = calls;
			accel_space_free(&space, ranges[k].start, ranges[k].bytes);
			ck_assert_int_eq(calls, before);
			memset(taken + ranges[k].start, 0, ranges[k].bytes);
			held -= ranges[k].bytes;
			ranges[k].bytes = 0;
			continue;
		}
		err = accel_space_alloc(&device, &space, bytes, align, limit, flags, &start);
		if (err) {
			ck_assert_int_eq(err, -ENOSPC);
			ck_assert(!fits(taken, bytes, align, limit));
			continue;
		}
		ck_assert(start % align == 0 && start >= START);
		ck_assert(start + bytes <= START + SIZE && start + bytes <= limit);
		for (i = 0; i < bytes; i++) {
			ck_assert(!taken[start + i]);
			taken[start + i] = 1;
		}
		ranges[k].start = start;
		ranges[k].bytes = bytes;
		held += bytes;
		ck_assert_uint_eq(space.free, SIZE - held);
		ck_assert_uint_le(space.count, space.live + 1);
	}
	for (n = 0; n < RANGES; n++)
		if (ranges[n].bytes)
			accel_space_free(&space, ranges[n].start, ranges[n].bytes);
	ck_assert_uint_eq(space.free, SIZE);
	ck_assert_uint_eq(space.count, 1);
	ck_assert_uint_eq(space.live, 0);
	ck_assert_uint_eq(space.holes[0].start, START);
	accel_space_fini(&device, &space);
}
END_TEST

/* Every second range freed: as many holes as ranges, with no allocation. */
START_TEST(test_space_comb)
{
	struct accel_space space;
	uint64_t start[SIZE];
	long before;
	int i;

	device.alloc = count_alloc;
	ck_assert_int_eq(accel_space_init(&device, &space, 0, SIZE), 0);
	for (i = 0; i < SIZE; i++)
		ck_assert_int_eq(accel_space_alloc(&device, &space, 1, 1, UINT64_MAX, 0, &start[i]),
				 0);
	ck_assert_int_eq(accel_space_alloc(&device, &space, 1, 1, UINT64_MAX, 0, &start[0]),
			 -ENOSPC);
	before = calls;
	for (i = 0; i < SIZE; i += 2)
		accel_space_free(&space, (uint64_t)i, 1);
	ck_assert_uint_eq(space.count, SIZE / 2);
	ck_assert_uint_le(space.count, space.cap);
	ck_assert_int_eq(accel_space_alloc(&device, &space, 2, 1, UINT64_MAX, 0, &start[0]),
			 -ENOSPC);
	for (i = 1; i < SIZE; i += 2)
		accel_space_free(&space, (uint64_t)i, 1);
	ck_assert_int_eq(calls, before);
	ck_assert_uint_eq(space.count, 1);
	accel_space_fini(&device, &space);
	/* Nothing at all is a space too. */
	ck_assert_int_eq(accel_space_init(&device, &space, 0, 0), 0);
	ck_assert_int_eq(accel_space_alloc(&device, &space, 1, 1, UINT64_MAX, 0, &start[0]),
			 -ENOSPC);
	accel_space_fini(&device, &space);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("space");
	Suite *s = suite_create("accel_space");
	SRunner *sr;
	int bad;

	tcase_add_loop_test(tc, test_space_random, 0, 20);
	tcase_add_test(tc, test_space_comb);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
