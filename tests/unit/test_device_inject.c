// SPDX-License-Identifier: MIT
/* Trouble on demand: what the device does when tests make it crash, hang or forget. */
#include <check.h>
#include <pthread.h>
#include <unistd.h>
#include "driver.h"

#define VA	0x100000ull

static struct driver *d;
static uint64_t memory;

static void begin(bool inject)
{
	struct stream s = { .words = 0 };

	driver_inject = inject;
	d = driver_new("small", "scalar");
	driver_boot(d);
	driver_context(d, 0);
	memory = driver_hbm_alloc(d, NIB_PAGE_64K, NIB_PAGE_64K);
	driver_map(d, 0, VA, NIB_MEM_HBM, memory, NIB_PAGE_64K, NIB_PAGE_4K, NIB_PTE_WRITE);
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	stream_nop(&s);
	stream_end(&s);
	stream_create(d, 0, 0, &s, 0);
	s.words = 0;
	stream_copy(&s, VA, NIB_FMT_U32, VA + 0x8000, NIB_FMT_U32, 0x2000);
	stream_end(&s);
	stream_create(d, 0, 1, &s, 0);
}

static void setup(void)
{
	begin(true);
}

static void setup_without(void)
{
	begin(false);
}

static void teardown(void)
{
	driver_free(d);
}

static void inject(uint32_t kind, uint32_t parameter)
{
	driver_write(d, NIB_REG_INJECT, kind | parameter << 8);
}

static uint32_t status(uint64_t job)
{
	const struct nib_completion *done = driver_done(d, 0, job);

	return done ? done->status : NIB_DONE_NONE;
}

START_TEST(nothing_happens_unless_asked_for)
{
	ck_assert_uint_eq(driver_read(d, NIB_REG_INJECT), 0);
	for (uint32_t kind = 0; kind < 256; kind++)
		inject(kind, 1);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_READY);
	driver_submit(d, 0, 1, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0), NIB_DONE_OK);
}
END_TEST

START_TEST(the_firmware_crashes)
{
	uint32_t resets = driver_read(d, NIB_REG_RESET_COUNT);

	ck_assert_uint_eq(driver_read(d, NIB_REG_INJECT), 1);
	inject(NIB_INJECT_CRASH, 0);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_CRASHED);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_HEARTBEAT), 0);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_PENDING);
	/* There is nobody left to do more than count. */
	driver_write(d, NIB_REG_RESET, NIB_RESET_ENGINE);
	ck_assert_uint_eq(driver_read(d, NIB_REG_RESET_COUNT), resets + 1);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_CRASHED);
	driver_boot(d);
}
END_TEST

static void *run(void *arg)
{
	driver_run(d);
	return arg;
}

/* Rungs of the ladder, in order. */
static void climb(uint32_t rung)
{
	switch (rung) {
	case NIB_HANG_QUEUE:
		driver_adm(d, NIB_ADM_QUEUE_RESET, 0);
		break;
	case NIB_HANG_ENGINE:
		driver_write(d, NIB_REG_RESET, NIB_RESET_ENGINE);
		break;
	case NIB_HANG_FIRMWARE:
		driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_HALT);
		break;
	case NIB_HANG_FUNCTION:
		nib_device_reset(d->device);
		break;
	}
}

START_TEST(a_hang_ends_with_its_rung)
{
	static const uint32_t ends[] = { NIB_DONE_CANCELLED, NIB_DONE_RESET, 0, 0 };
	pthread_t thread;

	inject(NIB_INJECT_HANG, (uint32_t)_i);
	driver_submit(d, 0, 0, NULL, 0, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
	while (!__atomic_load_n(&d->ctrl->queues[0].running, __ATOMIC_ACQUIRE))
		usleep(1000);
	usleep(5000);
	for (uint32_t rung = 0; rung < (uint32_t)_i; rung++) {
		climb(rung);
		ck_assert_uint_eq(driver_read(d, NIB_REG_RESET_COUNT), 0);
		ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_READY);
		ck_assert_uint_eq(status(0), NIB_DONE_NONE);
	}
	/* It can be parked, if not stopped. */
	driver_write(d, NIB_REG_TLB_INVALIDATE, 0);
	nib_device_quiesce(d->device);
	nib_device_resume(d->device);
	climb((uint32_t)_i);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(status(0), ends[_i]);
	if (_i >= NIB_HANG_FIRMWARE) {
		ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_OFF);
		return;
	}
	/* A queue reset that could not be answered is answered now. */
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_OK);
	for (uint32_t i = 0; i < d->admin_tail; i++)
		ck_assert_uint_eq(d->ctrl->admin[i].status, NIB_ADM_OK);
	driver_adm(d, NIB_ADM_JOB_CANCEL, 0, 0);
	driver_submit(d, 0, 0, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(1), NIB_DONE_OK);
}
END_TEST

START_TEST(a_corrected_error_is_only_told)
{
	driver_write64(d, NIB_REG_INJECT_ADDR, memory + 0x1234);
	inject(NIB_INJECT_ECC, 0);
	driver_submit(d, 0, 1, NULL, 0, 0);
	driver_submit(d, 0, 1, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0), NIB_DONE_OK);
	ck_assert_uint_eq(status(1), NIB_DONE_OK);
	ck_assert_uint_eq(d->ctrl->event_head, 1);
	ck_assert_uint_eq(d->ctrl->events[0].type, NIB_EVENT_ECC);
	ck_assert_uint_eq(d->ctrl->events[0].value, 0);
	ck_assert_uint_eq(d->ctrl->events[0].addr, memory + 0x1200);
}
END_TEST

/* By a wait that does not hold, too: it comes once, whoever meets it. */
START_TEST(a_waiting_job_meets_a_corrected_error)
{
	struct stream s = { .words = 0 };

	stream_sem(&s, VA + 0x1238, 1, NIB_SEM_WAIT_GE);
	stream_end(&s);
	stream_create(d, 0, 2, &s, 0);
	driver_write64(d, NIB_REG_INJECT_ADDR, memory + 0x1234);
	inject(NIB_INJECT_ECC, 0);
	driver_submit(d, 0, 2, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0), NIB_DONE_NONE);
	ck_assert_uint_eq(d->ctrl->event_head, 1);
	ck_assert_uint_eq(d->ctrl->events[0].type, NIB_EVENT_ECC);
	ck_assert_uint_eq(d->ctrl->events[0].addr, memory + 0x1200);
}
END_TEST

START_TEST(an_error_that_is_not_ends_the_job)
{
	driver_write64(d, NIB_REG_INJECT_ADDR, memory + 0x3000);
	inject(NIB_INJECT_ECC, 1);
	driver_submit(d, 0, 0, NULL, 0, 0);
	driver_submit(d, 0, 1, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0), NIB_DONE_OK);
	ck_assert_uint_eq(status(1), NIB_DONE_FAULT_ECC);
	ck_assert_uint_eq(driver_done(d, 0, 1)->fault_va, VA + 0x3000);
	ck_assert_uint_eq(d->ctrl->event_head, 2);
	ck_assert_uint_eq(d->ctrl->events[0].type, NIB_EVENT_ECC);
	ck_assert_uint_eq(d->ctrl->events[0].value, 1);
	ck_assert_uint_eq(d->ctrl->events[0].addr, memory + 0x3000);
	ck_assert_uint_eq(d->ctrl->events[1].type, NIB_EVENT_FAULT);
	/* A function reset heals it. */
	driver_write(d, NIB_REG_RESET, NIB_RESET_FUNCTION);
	driver_boot(d);
	driver_context(d, 0);
	driver_map(d, 0, VA, NIB_MEM_HBM, memory, NIB_PAGE_64K, NIB_PAGE_4K, NIB_PTE_WRITE);
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_stream(d, 0, 0, (uint64_t[]){ NIB_OP_END | 1 << 16 }, 8, 0);
	driver_submit(d, 0, 0, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0), NIB_DONE_OK);
}
END_TEST

START_TEST(boots_fail_as_often_as_ordered)
{
	size_t bytes;
	const void *image = nib_device_builtin_firmware(&bytes);

	inject(NIB_INJECT_BOOT, 2);
	nib_device_reset(d->device);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_uint_eq(driver_boot_image(d, image, (uint32_t)bytes), NIB_FW_FAILED);
		ck_assert_uint_eq(driver_read(d, NIB_REG_FW_ERROR), NIB_FW_ERR_DIGEST);
	}
	driver_boot(d);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_inject");
	TCase *without = tcase_create("without"), *with = tcase_create("with");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(without, setup_without, teardown);
	tcase_add_test(without, nothing_happens_unless_asked_for);
	tcase_add_checked_fixture(with, setup, teardown);
	tcase_add_test(with, the_firmware_crashes);
	tcase_add_loop_test(with, a_hang_ends_with_its_rung, 0, 4);
	tcase_add_test(with, a_corrected_error_is_only_told);
	tcase_add_test(with, a_waiting_job_meets_a_corrected_error);
	tcase_add_test(with, an_error_that_is_not_ends_the_job);
	tcase_add_test(with, boots_fail_as_often_as_ordered);
	suite_add_tcase(suite, without);
	suite_add_tcase(suite, with);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
