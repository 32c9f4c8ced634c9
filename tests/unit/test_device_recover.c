// SPDX-License-Identifier: MIT
/*
 * What recovery relies on: jobs that are cancelled one by one, queues that go on where a firmware
 * before this one left them, memories that survive a reboot and do not survive a function reset.
 */
#include <check.h>
#include <string.h>
#include "driver.h"

#define VA	0x100000ull
#define BYTES	NIB_PAGE_64K
#define WORDS	16u	/* of the running sums in front of VA */
#define PACKETS	13u	/* of the stream WORK, its END included */

enum { WORK, BAD, NOPS };

static struct driver *d;
static uint64_t memory, streams[3], stream_bytes[3];

/* A stream whose packets give something else if one of them runs twice or not at all. */
static void make_work(struct stream *s)
{
	stream_fill(s, VA + 0x100, 64, 7);
	for (uint32_t i = 0; i < 5; i++) {
		stream_sem(s, VA + 8 * i, 3 + i, NIB_SEM_ADD);
		stream_copy(s, VA, NIB_FMT_U32, VA + 0x200 + 0x100 * i, NIB_FMT_U32, WORDS);
	}
	stream_sem(s, VA + 8, 1, NIB_SEM_WAIT_GE);
	stream_end(s);
}

static void put(uint32_t id, const struct stream *s)
{
	stream_bytes[id] = s->words * 8ull;
	streams[id] = driver_hbm_alloc(d, stream_bytes[id], 64);
	memcpy(d->hbm + streams[id], s->w, stream_bytes[id]);
}

/* All that the firmware has forgotten, but for queues. */
static void tell(void)
{
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_CREATE, 0, d->root[0]), NIB_ADM_OK);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_uint_eq(driver_adm(d, NIB_ADM_STREAM_CREATE, 0, i, streams[i],
					     stream_bytes[i], 0), NIB_ADM_OK);
}

static void setup(void)
{
	struct stream s = { .words = 0 };

	driver_inject = true;
	d = driver_new("small", "scalar");
	driver_boot(d);
	d->root[0] = driver_hbm_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K);
	memory = driver_hbm_alloc(d, BYTES, BYTES);
	driver_map(d, 0, VA, NIB_MEM_HBM, memory, BYTES, NIB_PAGE_4K, NIB_PTE_WRITE);
	make_work(&s);
	put(WORK, &s);
	s.words = 0;
	stream_fill(&s, 0x7000, 1, 1);
	stream_end(&s);
	put(BAD, &s);
	s.words = 0;
	stream_nop(&s);
	stream_nop(&s);
	stream_end(&s);
	put(NOPS, &s);
	tell();
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
}

static void teardown(void)
{
	driver_free(d);
}

static uint32_t status(uint64_t job)
{
	const struct nib_completion *done = driver_done(d, 0, job);

	return done ? done->status : NIB_DONE_NONE;
}

/* Firmware stops and starts again; queue 0 goes on with job @first, @skip packets of it done. */
static uint32_t reboot(uint64_t first, uint64_t skip)
{
	struct driver_queue *q = &d->queue[0];

	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_HALT);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_OFF);
	driver_boot(d);
	tell();
	return driver_adm(d, NIB_ADM_QUEUE_CREATE, 0, 0, DRIVER_DMA + q->ring, q->entries,
			  NIB_PRIORITY_NORMAL | 16 << 8 | 1 << 24, first, skip);
}

START_TEST(a_job_goes_on_at_any_packet)
{
	uint8_t expected[BYTES];
	struct nib_queue_status before;

	/* Undisturbed. */
	driver_submit(d, 0, WORK, NULL, 0, 0);
	driver_submit(d, 0, WORK, NULL, 0, 0);
	ck_assert_uint_eq(driver_run(d), 2 * PACKETS);
	memcpy(expected, d->hbm + memory, BYTES);

	memset(d->hbm + memory, 0, BYTES);
	driver_submit(d, 0, WORK, NULL, 0, 0);
	driver_submit(d, 0, WORK, NULL, 0, 0);
	ck_assert_uint_eq(nib_device_run(d->device, (unsigned int)_i), (unsigned int)_i);
	before = d->ctrl->queues[0];
	ck_assert_uint_eq(before.job_packets, (unsigned int)_i % PACKETS);
	ck_assert_uint_eq(before.running, _i % (int)PACKETS ? NIB_QUEUE_SUSPENDED : NIB_QUEUE_IDLE);
	if (before.running)
		ck_assert_uint_eq(before.seqno, 1002 + (unsigned int)_i / PACKETS);
	ck_assert_uint_eq(reboot(2 + (unsigned int)_i / PACKETS, before.job_packets), NIB_ADM_OK);
	ck_assert_uint_eq(d->ctrl->queues[0].packets, 0);
	driver_ring(d, 0);
	ck_assert_uint_eq(driver_run(d), 2 * PACKETS - (unsigned int)_i);
	ck_assert_uint_eq(status(2), NIB_DONE_OK);
	ck_assert_uint_eq(status(3), NIB_DONE_OK);
	ck_assert_uint_eq(driver_done(d, 0, 3)->packet, PACKETS);
	ck_assert(!memcmp(d->hbm + memory, expected, BYTES));
}
END_TEST

START_TEST(a_job_goes_on_after_several_reboots)
{
	uint8_t expected[BYTES];

	driver_submit(d, 0, WORK, NULL, 0, 0);
	driver_run(d);
	memcpy(expected, d->hbm + memory, BYTES);
	memset(d->hbm + memory, 0, BYTES);
	driver_submit(d, 0, WORK, NULL, 0, 0);
	for (unsigned int i = 0; i < PACKETS; i++) {
		ck_assert_uint_eq(d->ctrl->queues[0].job_packets, 0);
		ck_assert_uint_eq(reboot(1, i), NIB_ADM_OK);
		driver_ring(d, 0);
		ck_assert_uint_eq(nib_device_run(d->device, 1), 1);
		ck_assert_uint_eq(d->ctrl->queues[0].job_packets, (i + 1) % PACKETS);
		/* Only what is told counts. */
		d->ctrl->queues[0].job_packets = 0;
	}
	ck_assert_uint_eq(status(1), NIB_DONE_OK);
	ck_assert(!memcmp(d->hbm + memory, expected, BYTES));
}
END_TEST

START_TEST(more_packets_than_there_are_is_a_fault)
{
	driver_submit(d, 0, WORK, NULL, 0, 0);
	ck_assert_uint_eq(reboot(0, PACKETS + (unsigned int)_i), NIB_ADM_OK);
	driver_ring(d, 0);
	ck_assert_uint_eq(driver_run(d), 0);
	ck_assert_uint_eq(status(0), NIB_DONE_FAULT_STREAM);
	ck_assert_uint_eq(driver_done(d, 0, 0)->fault_va, PACKETS + (unsigned int)_i);
	/* Only that job was meant. */
	driver_submit(d, 0, NOPS, NULL, 0, 0);
	ck_assert_uint_eq(driver_run(d), 3);
	ck_assert_uint_eq(status(1), NIB_DONE_OK);
}
END_TEST

START_TEST(job_numbers_go_on)
{
	ck_assert_uint_eq(reboot((1ull << 32) + 5, 0), NIB_ADM_OK);
	d->queue[0].jobs = (1ull << 32) + 5;
	driver_submit(d, 0, NOPS, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status((1ull << 32) + 5), NIB_DONE_OK);
}
END_TEST

START_TEST(a_faulted_job_can_be_passed_over)
{
	driver_submit(d, 0, BAD, NULL, 0, 0);
	driver_submit(d, 0, NOPS, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0), NIB_DONE_FAULT_WRITE);
	ck_assert_uint_eq(status(1), NIB_DONE_NONE);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_JOB_CANCEL, 0, 0), NIB_ADM_OK);
	driver_run(d);
	ck_assert_uint_eq(status(1), NIB_DONE_OK);
}
END_TEST

START_TEST(one_job_is_cancelled)
{
	struct stream s = { .words = 0 };

	stream_sem(&s, VA, 1, NIB_SEM_WAIT_GE);
	stream_end(&s);
	stream_create(d, 0, 9, &s, 0);
	driver_submit(d, 0, 9, NULL, 0, 0);
	driver_submit(d, 0, NOPS, NULL, 0, 0);
	driver_run(d);
	/* Not the one that runs: nothing happens. */
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_JOB_CANCEL, 0, 1), NIB_ADM_OK);
	driver_run(d);
	ck_assert_uint_eq(status(0), NIB_DONE_NONE);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_JOB_CANCEL, 0, 0), NIB_ADM_OK);
	ck_assert_uint_eq(status(0), NIB_DONE_CANCELLED);
	driver_run(d);
	ck_assert_uint_eq(status(1), NIB_DONE_OK);
}
END_TEST

START_TEST(memories_survive_a_reboot)
{
	memset(d->hbm + memory, 0x3c, BYTES);
	reboot(0, 0);
	for (unsigned int i = 0; i < BYTES; i++)
		ck_assert_uint_eq(d->hbm[memory + i], 0x3c);
}
END_TEST

START_TEST(memories_do_not_survive_a_function_reset)
{
	uint64_t sram = driver_hbm_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K);
	struct stream s = { .words = 0 };

	/* SRAM is seen through a copy only. */
	driver_map(d, 0, 0x800000, NIB_MEM_SRAM, 0, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	stream_fill(&s, 0x800000, 16, 0x3c3c3c3c);
	stream_end(&s);
	stream_create(d, 0, 9, &s, 0);
	driver_submit(d, 0, 9, NULL, 0, 0);
	driver_run(d);
	memset(d->hbm + memory, 0x3c, BYTES);
	driver_write(d, NIB_REG_RESET, NIB_RESET_FUNCTION);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_OFF);
	ck_assert_uint_eq(d->hbm[memory], 0xa5);
	ck_assert_uint_eq(d->hbm[memory + BYTES - 1], 0xa5);
	ck_assert_uint_eq(d->hbm[streams[0]], 0xa5);

	driver_boot(d);
	driver_context(d, 0);
	driver_map(d, 0, VA, NIB_MEM_SRAM, 0, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	driver_map(d, 0, VA + 0x1000, NIB_MEM_HBM, sram, NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	s.words = 0;
	stream_copy(&s, VA, NIB_FMT_U32, VA + 0x1000, NIB_FMT_U32, 16);
	stream_end(&s);
	stream_create(d, 0, 0, &s, 0);
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_submit(d, 0, 0, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0), NIB_DONE_OK);
	ck_assert_uint_ne(d->hbm[sram], 0x3c);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_recover");
	TCase *recover = tcase_create("recover");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(recover, setup, teardown);
	tcase_add_loop_test(recover, a_job_goes_on_at_any_packet, 0, 2 * PACKETS + 1);
	tcase_add_test(recover, a_job_goes_on_after_several_reboots);
	tcase_add_loop_test(recover, more_packets_than_there_are_is_a_fault, 0, 2);
	tcase_add_test(recover, job_numbers_go_on);
	tcase_add_test(recover, a_faulted_job_can_be_passed_over);
	tcase_add_test(recover, one_job_is_cancelled);
	tcase_add_test(recover, memories_survive_a_reboot);
	tcase_add_test(recover, memories_do_not_survive_a_function_reset);
	suite_add_tcase(suite, recover);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
