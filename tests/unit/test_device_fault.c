// SPDX-License-Identifier: MIT
/*
 * Faults on demand, one by one, as a driver meets them: what the device does wrong, and that it
 * does the rest right. Stuck packets, crashes and bad memory by register are in
 * test_device_inject.c.
 */
#include <check.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "driver.h"
#include "nib_fault.h"

#define VA	0x100000ull
#define NOP	0	/* stream */
#define COPY	1

static struct driver *d;

static void setup(void)
{
	struct stream s = { .words = 0 };
	uint64_t memory;

	driver_inject = false;
	d = driver_new("small", "scalar");
	driver_boot(d);
	driver_context(d, 0);
	memory = driver_hbm_alloc(d, NIB_PAGE_64K, NIB_PAGE_64K);
	driver_map(d, 0, VA, NIB_MEM_HBM, memory, NIB_PAGE_64K, NIB_PAGE_4K, NIB_PTE_WRITE);
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_queue(d, 1, 0, 16, NIB_PRIORITY_NORMAL, 16, 2);
	stream_nop(&s);
	stream_end(&s);
	stream_create(d, 0, NOP, &s, 0);
	s.words = 0;
	stream_nop(&s);
	stream_copy(&s, VA, NIB_FMT_U32, VA + 0x8000, NIB_FMT_U32, 16);
	stream_end(&s);
	stream_create(d, 0, COPY, &s, 0);
}

static void teardown(void)
{
	driver_free(d);
}

static void order(struct nib_fault_order o)
{
	ck_assert_int_eq(nib_device_inject(d->device, &o), 0);
}

static uint64_t struck(enum nib_fault fault)
{
	struct nib_fault_state states[NIB_FAULTS];

	nib_device_faults(d->device, states);
	return states[fault].struck;
}

static uint32_t pending(enum nib_fault fault)
{
	struct nib_fault_state states[NIB_FAULTS];

	nib_device_faults(d->device, states);
	return states[fault].pending;
}

static uint32_t status(uint32_t queue, uint64_t job)
{
	const struct nib_completion *done = driver_done(d, queue, job);

	return done ? done->status : NIB_DONE_NONE;
}

static void job(uint32_t queue, uint32_t stream)
{
	driver_submit(d, queue, stream, NULL, 0, 0);
	driver_run(d);
}

/* --- When --- */

START_TEST(chances_are_counted_by_queue)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_MMU);

	o.key = 1;
	o.after = 3; /* packets: a job of NOP has two */
	o.count = 2;
	order(o);
	for (unsigned int i = 0; i < 4; i++)
		job(0, COPY);
	job(1, NOP);
	ck_assert_uint_eq(pending(NIB_FAULT_MMU), 2);
	job(1, COPY);
	ck_assert_uint_eq(status(1, 1), NIB_DONE_FAULT_READ);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_uint_eq(status(0, i), NIB_DONE_OK);
	ck_assert_uint_eq(struck(NIB_FAULT_MMU), 1);
	ck_assert_uint_eq(pending(NIB_FAULT_MMU), 1);
	nib_device_inject_clear(d->device);
	driver_adm(d, NIB_ADM_QUEUE_RESET, 1);
	job(1, COPY);
	ck_assert_uint_eq(status(1, 2), NIB_DONE_OK);
}
END_TEST

/* A storm is a function of its seed, and of nothing else. */
static void storm_pattern(uint64_t seed, char *pattern, unsigned int jobs)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_LOST_INTERRUPT);
	unsigned int before;

	o.key = 1;
	ck_assert_int_eq(nib_device_storm(d->device, &o, 300000, seed), 0);
	for (unsigned int i = 0; i < jobs; i++) {
		before = d->irqs[1];
		job(0, NOP);
		pattern[i] = d->irqs[1] == before ? 'x' : '.';
	}
	pattern[jobs] = 0;
}

START_TEST(storms_repeat_by_their_seed)
{
	char a[65], b[65], c[65];

	storm_pattern(7, a, 64);
	storm_pattern(7, b, 64);
	storm_pattern(8, c, 64);
	ck_assert_str_eq(a, b);
	ck_assert_str_ne(a, c);
	ck_assert_ptr_nonnull(strchr(a, 'x'));
	ck_assert_ptr_nonnull(strchr(a, '.'));
}
END_TEST

START_TEST(orders_have_an_end)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_MMU);
	int err = 0;

	for (unsigned int i = 0; i < 1000 && !err; i++)
		err = nib_device_inject(d->device, &o);
	ck_assert_int_eq(err, -28);
	nib_device_inject_clear(d->device);
	order(o);
}
END_TEST

/* --- Hardware --- */

START_TEST(an_interrupt_is_lost)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_LOST_INTERRUPT);

	o.key = 1;
	o.after = 1;
	order(o);
	job(0, NOP);
	job(0, NOP);
	ck_assert_uint_eq(d->irqs[1], 1);
	ck_assert_uint_eq(status(0, 1), NIB_DONE_OK);
	job(0, NOP);
	job(1, NOP);
	ck_assert_uint_eq(d->irqs[1], 2);
	ck_assert_uint_eq(d->irqs[2], 1);
}
END_TEST

START_TEST(interrupts_come_without_a_cause)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_SPURIOUS_INTERRUPT);

	o.count = 3;
	order(o);
	for (unsigned int i = 1; i < NIB_MSIX_VECTORS; i++)
		ck_assert_uint_eq(d->irqs[i], 3);
	o.count = 1;
	o.after = 1;
	o.key = 1;
	order(o);
	job(0, NOP);
	ck_assert_uint_eq(d->irqs[1], 4);
	job(0, NOP);
	ck_assert_uint_eq(d->irqs[1], 6);
}
END_TEST

START_TEST(a_doorbell_is_dead)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_DEAD_DOORBELL);

	o.key = 0;
	order(o);
	job(1, NOP);
	job(0, NOP);
	ck_assert_uint_eq(status(1, 0), NIB_DONE_OK);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_NONE);
	/* Ringing again is no harm, and enough. */
	driver_ring(d, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
	driver_ring(d, 0);
	driver_run(d);
	ck_assert_uint_eq(d->ctrl->queues[0].jobs, 1);
}
END_TEST

START_TEST(the_admin_doorbell_is_dead)
{
	order(nib_fault_order(NIB_FAULT_DEAD_ADMIN_DOORBELL));
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_PENDING);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_OK);
	ck_assert_uint_eq(d->ctrl->admin[(d->admin_tail - 2) % NIB_ADMIN_SLOTS].status, NIB_ADM_OK);
}
END_TEST

START_TEST(memory_faults_though_it_is_mapped)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_MMU);

	order(o);
	/* Packets that touch nothing let it pass. */
	job(0, NOP);
	ck_assert_uint_eq(pending(NIB_FAULT_MMU), 1);
	ck_assert_uint_eq(struck(NIB_FAULT_MMU), 0);
	job(0, COPY);
	ck_assert_uint_eq(status(0, 1), NIB_DONE_FAULT_READ);
	ck_assert_uint_eq(driver_done(d, 0, 1)->fault_va, VA);
	ck_assert_uint_eq(driver_done(d, 0, 1)->packet, 1);
	job(1, COPY);
	ck_assert_uint_eq(status(1, 0), NIB_DONE_OK);
}
END_TEST

START_TEST(memory_has_errors_anywhere)
{
	order(nib_fault_order(NIB_FAULT_ECC_CORRECTED));
	job(0, COPY);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
	ck_assert_uint_eq(driver_event(d)->type, NIB_EVENT_ECC);
	ck_assert_uint_eq(driver_event(d)->value, 0);
	order(nib_fault_order(NIB_FAULT_ECC_FATAL));
	job(0, COPY);
	ck_assert_uint_eq(status(0, 1), NIB_DONE_FAULT_ECC);
	job(1, COPY);
	ck_assert_uint_eq(status(1, 0), NIB_DONE_OK);
}
END_TEST

START_TEST(slow_is_only_slow)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_SLOW_DMA);

	o.ms = 20;
	order(o);
	job(0, COPY);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
	ck_assert_uint_eq(struck(NIB_FAULT_SLOW_DMA), 1);
	/* The modelled clock knows nothing of it. */
	ck_assert_uint_lt(driver_done(d, 0, 0)->end_ns - driver_done(d, 0, 0)->start_ns, 1000000);
}
END_TEST

START_TEST(the_link_goes_down)
{
	job(0, NOP);
	nib_device_link(d->device, false);
	ck_assert_uint_eq(driver_read(d, NIB_REG_MAGIC), UINT32_MAX);
	ck_assert_uint_eq(driver_read64(d, NIB_REG_CLOCK_NS), UINT64_MAX);
	driver_write(d, NIB_REG_RESET, NIB_RESET_FUNCTION);
	job(0, NOP);
	ck_assert_uint_eq(status(0, 1), NIB_DONE_NONE);
	nib_device_link(d->device, true);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_OFF);
	ck_assert_uint_eq(driver_read(d, NIB_REG_RESET_COUNT), 1);
	driver_boot(d);
}
END_TEST

/* --- Completions --- */

START_TEST(a_completion_is_late)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_LATE_COMPLETION);

	o.key = 0;
	o.ms = NIB_FAULT_MAX_MS;
	o.others = 2;
	order(o);
	job(0, NOP);
	ck_assert_uint_eq(d->ctrl->queues[0].jobs, 1);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_NONE);
	ck_assert(nib_device_blocked(d->device));
	job(0, NOP);
	ck_assert_uint_eq(status(0, 1), NIB_DONE_OK);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_NONE);
	job(1, NOP);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
	ck_assert(!nib_device_blocked(d->device));
}
END_TEST

START_TEST(late_ends_with_the_clock_or_the_queue)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_LATE_COMPLETION);

	o.ms = 5;
	order(o);
	job(0, NOP);
	while (!status(0, 0)) {
		usleep(1000);
		driver_run(d);
	}
	o.ms = NIB_FAULT_MAX_MS;
	order(o);
	job(0, NOP);
	ck_assert_uint_eq(status(0, 1), NIB_DONE_NONE);
	/* Nobody may write to the ring after the answer to this. */
	driver_adm(d, NIB_ADM_QUEUE_DESTROY, 0);
	ck_assert_uint_eq(status(0, 1), NIB_DONE_OK);
	ck_assert(!nib_device_blocked(d->device));
}
END_TEST

START_TEST(a_completion_comes_twice)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_DUPLICATE_COMPLETION);
	struct nib_completion *first;
	unsigned int irqs;

	order(o);
	job(0, NOP);
	irqs = d->irqs[1];
	first = (struct nib_completion *)(uintptr_t)driver_done(d, 0, 0);
	ck_assert_ptr_nonnull(first);
	first->cycles = 0;
	while (nib_device_blocked(d->device)) {
		usleep(1000);
		driver_run(d);
	}
	ck_assert_uint_eq(d->irqs[1], irqs + 1);
	ck_assert_uint_ne(first->cycles, 0);
	job(0, NOP);
	ck_assert_uint_eq(status(0, 1), NIB_DONE_OK);
}
END_TEST

START_TEST(a_completion_is_corrupt)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_CORRUPT_COMPLETION);

	o.value = (uint32_t)_i;
	order(o);
	job(0, NOP);
	job(0, NOP);
	if (_i == NIB_CORRUPT_PHASE) {
		ck_assert_ptr_null(driver_done(d, 0, 0));
	} else {
		ck_assert_ptr_nonnull(driver_done(d, 0, 0));
		ck_assert_int_eq(driver_done(d, 0, 0)->seqno == driver_done(d, 0, 1)->seqno - 1,
				 _i != NIB_CORRUPT_SEQNO);
		ck_assert_int_eq(status(0, 0) == NIB_DONE_OK, _i != NIB_CORRUPT_STATUS);
	}
	ck_assert_uint_eq(status(0, 1), NIB_DONE_OK);
}
END_TEST

/* --- Firmware --- */

static void *run(void *arg)
{
	driver_run(d);
	return arg;
}

START_TEST(the_firmware_hangs)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_FIRMWARE_HANG);
	uint32_t beat;

	o.value = _i ? NIB_HANG_FUNCTION : NIB_HANG_FIRMWARE;
	o.after = 1;
	order(o);
	job(0, COPY);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_NONE);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_READY);
	beat = driver_read(d, NIB_REG_FW_HEARTBEAT);
	usleep(20000);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_HEARTBEAT), beat);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_PENDING);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_PING, 4, 77);
	ck_assert_uint_ne(d->ctrl->ping, 77);
	driver_write(d, NIB_REG_RESET, NIB_RESET_ENGINE);
	job(1, NOP);
	ck_assert_uint_eq(status(1, 0), NIB_DONE_NONE);
	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_SUSPEND);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_READY);
	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_HALT);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), _i ? NIB_FW_READY : NIB_FW_OFF);
	driver_write(d, NIB_REG_RESET, NIB_RESET_FUNCTION);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_OFF);
	driver_boot(d);
}
END_TEST

START_TEST(the_firmware_crashes_in_a_job)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_FIRMWARE_CRASH);

	o.after = 2;
	order(o);
	job(0, NOP);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_READY);
	job(0, NOP);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_CRASHED);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
	ck_assert_uint_eq(status(0, 1), NIB_DONE_NONE);
}
END_TEST

START_TEST(answers_are_late)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_FIRMWARE_SLOW);
	volatile uint32_t *answer;

	o.ms = 20;
	o.key = NIB_ADM_NOP;
	order(o);
	driver_adm(d, NIB_ADM_QUEUE_RESET, 1);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_PENDING);
	answer = &d->ctrl->admin[(d->admin_tail - 1) % NIB_ADMIN_SLOTS].status;
	ck_assert(nib_device_blocked(d->device));
	/* Work goes on meanwhile, the next message waits behind it. */
	job(0, NOP);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
	while (*answer == NIB_ADM_PENDING) {
		usleep(1000);
		driver_run(d);
	}
	ck_assert_uint_eq(*answer, NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_OK);
}
END_TEST

START_TEST(a_late_answer_meets_the_engine)
{
	struct nib_fault_order slow = nib_fault_order(NIB_FAULT_FIRMWARE_SLOW);
	struct nib_fault_order stuck = nib_fault_order(NIB_FAULT_STUCK_PACKET);
	pthread_t thread;

	slow.ms = 5;
	order(slow);
	order(stuck);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_RESET, 0), NIB_ADM_PENDING);
	driver_submit(d, 0, NOP, NULL, 0, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
	usleep(30000);
	/* Whoever writes next gets the old message through too. */
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_RESET, 0), NIB_ADM_OK);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(d->ctrl->admin[(d->admin_tail - 2) % NIB_ADMIN_SLOTS].status,
			  NIB_ADM_OK);
	job(0, NOP);
	ck_assert(status(0, 1) == NIB_DONE_OK || status(0, 0) == NIB_DONE_OK);
}
END_TEST

START_TEST(an_answer_is_bad)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_BAD_ANSWER);

	o.key = NIB_ADM_QUEUE_DESTROY;
	order(o);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_DESTROY, 0), 99);
	/* It did not do it. */
	job(0, NOP);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_DESTROY, 0), NIB_ADM_OK);
}
END_TEST

START_TEST(an_image_is_refused)
{
	struct nib_fault_order o = nib_fault_order(NIB_FAULT_FIRMWARE_REFUSED);
	size_t bytes;
	const void *image = nib_device_builtin_firmware(&bytes);

	o.value = NIB_FW_ERR_API;
	order(o);
	nib_device_reset(d->device);
	ck_assert_uint_eq(driver_boot_image(d, image, (uint32_t)bytes), NIB_FW_FAILED);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_ERROR), NIB_FW_ERR_API);
	driver_boot(d);
}
END_TEST

START_TEST(firmware_tells_another_version)
{
	order(nib_fault_order(NIB_FAULT_FIRMWARE_API));
	nib_device_reset(d->device);
	driver_boot(d);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_API) >> 16, NIB_FW_API_MAJOR + 1);
	nib_device_reset(d->device);
	driver_boot(d);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_API) >> 16, NIB_FW_API_MAJOR);
}
END_TEST

START_TEST(events_make_no_sense)
{
	uint32_t head = d->ctrl->event_head;

	order(nib_fault_order(NIB_FAULT_GARBAGE_EVENT));
	ck_assert_uint_eq(d->ctrl->events[head % NIB_EVENTS].type, 0xdead);
	ck_assert_uint_eq(d->ctrl->event_head, head + NIB_EVENTS + 2);
	order(nib_fault_order(NIB_FAULT_ECC_CORRECTED));
	job(0, COPY);
	ck_assert_uint_eq(driver_event(d)->type, NIB_EVENT_ECC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_fault");
	TCase *faults = tcase_create("faults");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(faults, setup, teardown);
	tcase_add_test(faults, chances_are_counted_by_queue);
	tcase_add_test(faults, storms_repeat_by_their_seed);
	tcase_add_test(faults, orders_have_an_end);
	tcase_add_test(faults, an_interrupt_is_lost);
	tcase_add_test(faults, interrupts_come_without_a_cause);
	tcase_add_test(faults, a_doorbell_is_dead);
	tcase_add_test(faults, the_admin_doorbell_is_dead);
	tcase_add_test(faults, memory_faults_though_it_is_mapped);
	tcase_add_test(faults, memory_has_errors_anywhere);
	tcase_add_test(faults, slow_is_only_slow);
	tcase_add_test(faults, the_link_goes_down);
	tcase_add_test(faults, a_completion_is_late);
	tcase_add_test(faults, late_ends_with_the_clock_or_the_queue);
	tcase_add_test(faults, a_completion_comes_twice);
	tcase_add_loop_test(faults, a_completion_is_corrupt, 0, 3);
	tcase_add_loop_test(faults, the_firmware_hangs, 0, 2);
	tcase_add_test(faults, the_firmware_crashes_in_a_job);
	tcase_add_test(faults, answers_are_late);
	tcase_add_test(faults, a_late_answer_meets_the_engine);
	tcase_add_test(faults, an_answer_is_bad);
	tcase_add_test(faults, an_image_is_refused);
	tcase_add_test(faults, firmware_tells_another_version);
	tcase_add_test(faults, events_make_no_sense);
	suite_add_tcase(suite, faults);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
