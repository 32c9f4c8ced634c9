// SPDX-License-Identifier: MIT
/* Leases of SRAM, on every transport: what they are made of, what they hold, how they are named. */
#include "accel_rig.h"

#define K64	(64u << 10)

static struct accel_lease_info look(struct accel_lease *lease)
{
	struct accel_lease_info info = { .struct_size = sizeof(info) };

	if (accel_lease_query(lease, &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

static void test_refusals(void)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_lease *lease;

	EXPECT_ERR(0, accel_device_query(rig.device, &info));
	EXPECT_ERR(-EINVAL, accel_lease_create(rig.device, 0, 0, 0, &lease));
	EXPECT_ERR(-EINVAL, accel_lease_create(rig.device, PAGE, 0, 0, &lease));
	EXPECT_ERR(-EINVAL, accel_lease_create(rig.device, K64, PAGE, 0, &lease));
	EXPECT_ERR(-EINVAL, accel_lease_create(rig.device, K64, 0, 1, &lease));
	EXPECT_ERR(-EINVAL, accel_lease_create(rig.device, 1ull << 63, 0, 0, &lease));
	EXPECT_ERR(-ENOSPC, accel_lease_create(rig.device, info.sram_bytes + K64, 0, 0, &lease));
	EXPECT(accel_last_error(rig.device)[0]);
	EXPECT_ERR(-ENOSPC,
		   accel_lease_create(rig.device, 0, (info.hbm_bytes | (K64 - 1)) + 1, 0, &lease));
	accel_lease_destroy(NULL);
}

static void test_query(void)
{
	struct accel_device_info before = { .struct_size = sizeof(before) }, after = before;
	struct accel_lease_info info = { .struct_size = 8 };
	struct accel_lease *lease, *second;

	EXPECT_ERR(0, accel_device_query(rig.device, &before));
	EXPECT_ERR(0, accel_lease_create(rig.device, 2 * K64, K64, 0, &lease));
	EXPECT(accel_lease_address(lease) && accel_lease_address(lease) % K64 == 0);
	EXPECT_ERR(-EINVAL, accel_lease_query(lease, &info));
	info = look(lease);
	EXPECT(info.guaranteed == 2 * K64 && info.burst == K64 && info.resident == 3 * K64);
	EXPECT(!info.generation && !info.hits && !info.misses && !info.spills && !info.restores);
	EXPECT_ERR(0, accel_device_query(rig.device, &after));
	EXPECT(before.sram_free - after.sram_free == 3 * K64);
	EXPECT_ERR(0, accel_lease_create(rig.device, 0, K64, 0, &second));
	EXPECT(look(second).guaranteed == 0 && look(second).resident == K64);
	accel_lease_destroy(second);
	EXPECT_ERR(0, accel_lease_create(rig.device, K64, 0, 0, &second));
	EXPECT(look(second).resident == K64);
	accel_lease_destroy(second);
	accel_lease_destroy(lease);
}

/* Zeroed, contents stay, and running off the end is a fault, in either part. */
static void test_contents(void)
{
	struct accel_lease *lease;
	uint64_t va, last;
	uint32_t round;

	for (round = 0; round < 2; round++) {
		EXPECT_ERR(0, accel_lease_create(rig.device, K64, K64, 0, &lease));
		va = accel_lease_address(lease);
		last = va + 2 * K64 - 8;
		rig.words[0] = rig.words[1] = 1;
		EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { va, AT(0), 2 }));
		EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { last, AT(1), 2 }));
		EXPECT_ERR(0, SUBMIT(.args = { va, 0x1111 }));
		EXPECT_ERR(0, SUBMIT(.args = { va + K64 - 8, 0x2222 }));
		EXPECT_ERR(0, SUBMIT(.args = { va + K64, 0x3333 }));
		EXPECT_ERR(0, SUBMIT(.args = { last, 0x4444 }));
		EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { va + K64 - 8, AT(2), 4 }));
		EXPECT_ERR(0, SUBMIT(.stream = rig.copy, .args = { last, AT(4), 2 }));
		EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
		EXPECT(word_is(0, 0) && word_is(1, 0));
		EXPECT(word_is(2, 0x2222) && word_is(3, 0x3333) && word_is(4, 0x4444));
		if (round)
			break;
		accel_lease_destroy(lease);
	}
	if (computes()) {
		EXPECT_ERR(0, SUBMIT(.args = { last + 8, 1 }));
		EXPECT_ERR(-EFAULT, accel_queue_sync(rig.queue, LONG));
	}
	accel_lease_destroy(lease);
}

static int submit_naming(struct accel_lease *const *leases, uint32_t count)
{
	const uint64_t args[2] = { AT(0), 1 };
	struct accel_job job = {
		.struct_size = sizeof(job), .stream = rig.store, .args = args, .nargs = 2,
		.leases = leases, .n_leases = count,
	};

	return accel_queue_submit(rig.queue, &job, 1);
}

/* Jobs that name leases find them in SRAM, or are told that they did not. */
static void test_naming(void)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_lease *leases[3], *none = NULL;
	struct accel_buffer *filler = NULL;
	uint32_t i;

	EXPECT_ERR(0, accel_lease_create(rig.device, K64, K64, 0, &leases[0]));
	EXPECT_ERR(0, accel_lease_create(rig.device, K64, 0, 0, &leases[1]));
	EXPECT_ERR(0, accel_device_query(rig.device, &info));
	/* No room for the last one's burst part. */
	EXPECT_ERR(0, accel_buffer_create(rig.device, ACCEL_MEMORY_SRAM,
					  (info.sram_free & ~(uint64_t)(K64 - 1)) - K64, 0,
					  &filler));
	EXPECT_ERR(0, accel_lease_create(rig.device, K64, 2 * K64, 0, &leases[2]));
	EXPECT(look(leases[2]).resident == K64);
	for (i = 0; i < 5; i++)
		EXPECT_ERR(0, submit_naming(leases, 2));
	EXPECT_ERR(0, submit_naming(leases + 2, 1));
	EXPECT_ERR(0, submit_naming(NULL, 0));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	EXPECT(look(leases[0]).hits == 5 && look(leases[0]).misses == 0);
	EXPECT(look(leases[1]).hits == 5 && look(leases[1]).misses == 0);
	EXPECT(look(leases[2]).hits + look(leases[2]).misses == 1);

	EXPECT_ERR(-EINVAL, submit_naming(NULL, 1));
	EXPECT_ERR(-EINVAL, submit_naming(&none, 1));
	EXPECT_ERR(-EINVAL, submit_naming(leases, 1025));
	accel_buffer_destroy(filler);
	for (i = 0; i < 3; i++)
		accel_lease_destroy(leases[i]);
}

/* A lease of one handle is nothing to another one's jobs. */
static void test_foreign(void)
{
	struct accel_device *other;
	struct accel_lease *lease;

	EXPECT_ERR(0, open_device(&other));
	EXPECT_ERR(0, accel_lease_create(other, K64, 0, 0, &lease));
	EXPECT_ERR(-EINVAL, submit_naming(&lease, 1));
	accel_lease_destroy(lease);
	accel_close(other);
}

/* More leases than any record has room for, in many jobs of one call. */
static void test_many(void)
{
	struct accel_lease *leases[20];
	uint64_t args[2] = { AT(0), 1 };
	struct accel_job jobs[16];
	uint32_t i;

	for (i = 0; i < 20; i++)
		EXPECT_ERR(0, accel_lease_create(rig.device, 0, K64, 0, &leases[i]));
	for (i = 0; i < 16; i++)
		jobs[i] = (struct accel_job){
			.struct_size = sizeof(jobs[i]), .stream = rig.store, .args = args,
			.nargs = 2, .leases = leases + i % 5, .n_leases = i,
		};
	EXPECT_ERR(0, accel_queue_submit(rig.queue, jobs, 16));
	EXPECT_ERR(0, accel_queue_sync(rig.queue, LONG));
	for (i = 0; i < 20; i++) {
		struct accel_lease_info info = look(leases[i]);
		uint64_t named = 0, k;

		for (k = 0; k < 16; k++)
			named += i >= k % 5 && i < k % 5 + k;
		EXPECT(info.hits + info.misses == named);
		accel_lease_destroy(leases[i]);
	}
	EXPECT(word_is(0, 1));
}

static const struct test_case cases[] = {
	CASE(refusals, 0),
	CASE(query, 0),
	CASE(contents, 0),
	CASE(naming, 0),
	CASE(foreign, 0),
	CASE(many, 0),
};

int main(int argc, char **argv)
{
	return run_all(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
