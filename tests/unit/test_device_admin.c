// SPDX-License-Identifier: MIT
/* The admin ring: which messages are accepted, which are refused and why. */
#include <check.h>
#include <string.h>
#include "driver.h"

static struct driver *d;
static uint64_t ring;

static void setup(void)
{
	d = driver_new("small", "scalar");
	driver_boot(d);
	ring = DRIVER_DMA + driver_host_alloc(d, NIB_RING_BYTES(16), 64);
}

static void teardown(void)
{
	driver_free(d);
}

START_TEST(messages_are_answered_in_place)
{
	for (unsigned int i = 0; i < 200; i++)
		ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_OK);
	ck_assert_uint_eq(d->irqs[0], 200);
	ck_assert_uint_eq(driver_adm(d, 99, 0), NIB_ADM_ERR_OP);
}
END_TEST

START_TEST(several_messages_with_one_doorbell)
{
	for (unsigned int i = 0; i < NIB_ADMIN_SLOTS; i++)
		d->ctrl->admin[i].op = i % 2 ? NIB_ADM_NOP : 77;
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_ADMIN, 4, NIB_ADMIN_SLOTS);
	for (unsigned int i = 0; i < NIB_ADMIN_SLOTS; i++)
		ck_assert_uint_eq(d->ctrl->admin[i].status,
				  i % 2 ? NIB_ADM_OK : NIB_ADM_ERR_OP);
}
END_TEST

START_TEST(a_tail_too_far_ahead_is_ignored)
{
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_ADMIN, 4,
			 NIB_ADMIN_SLOTS + 1);
	ck_assert_uint_eq(d->ctrl->admin[0].status, NIB_ADM_PENDING);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_OK);
}
END_TEST

START_TEST(reserved_field_is_refused)
{
	d->ctrl->admin[0].zero = 1;
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_ADMIN, 4, 1);
	ck_assert_uint_eq(d->ctrl->admin[0].status, NIB_ADM_ERR_ARG);
}
END_TEST

START_TEST(contexts)
{
	uint64_t root = driver_hbm_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K);

	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_CREATE, 128, root), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_CREATE, 1ull << 32, root), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_CREATE, 0, root + 8), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_CREATE, 0, 256ull << 20), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_CREATE, 0, ~0xfffull), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_CREATE, 63, root), NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_CREATE, 63, root), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_DESTROY, 62), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_CREATE, 0, 63, ring, 16, 1 | 16 << 8),
			  NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_DESTROY, 63), NIB_ADM_ERR_BUSY);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_DESTROY, 0), NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_DESTROY, 63), NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_DESTROY, 63), NIB_ADM_ERR_ID);
}
END_TEST

START_TEST(streams)
{
	uint64_t at = driver_hbm_alloc(d, 64, 64), end = 256ull << 20;

	driver_context(d, 5);
#define CREATE(context, stream, offset, bytes, nargs) \
	driver_adm(d, NIB_ADM_STREAM_CREATE, context, stream, offset, bytes, nargs)
	ck_assert_uint_eq(CREATE(4, 0, at, 64, 0), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(CREATE(5, 1024, at, 64, 0), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(CREATE(5, 0, at + 4, 64, 0), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(CREATE(5, 0, at, 0, 0), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(CREATE(5, 0, at, 12, 0), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(CREATE(5, 0, at, NIB_MAX_STREAM_BYTES + 8, 0), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(CREATE(5, 0, end - 8, 16, 0), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(CREATE(5, 0, ~7ull, 16, 0), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(CREATE(5, 0, at, 64, 65), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(CREATE(5, 0, end - 8, 8, 64), NIB_ADM_OK);
	ck_assert_uint_eq(CREATE(5, 0, at, 64, 0), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(CREATE(5, 1023, at, 64, 0), NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_STREAM_DESTROY, 5, 1), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_STREAM_DESTROY, 5, 1023), NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_STREAM_DESTROY, 5, 1023), NIB_ADM_ERR_ID);
}
END_TEST

START_TEST(a_stream_in_use_stays)
{
	struct stream s = { .words = 0 };

	driver_context(d, 0);
	driver_map(d, 0, 0x10000, NIB_MEM_HBM, driver_hbm_alloc(d, 4096, 4096), 4096, 4096,
		   NIB_PTE_WRITE);
	stream_sem(&s, 0x10000, 1, NIB_SEM_WAIT_GE);
	stream_end(&s);
	stream_create(d, 0, 0, &s, 0);
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_submit(d, 0, 0, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_STREAM_DESTROY, 0, 0), NIB_ADM_ERR_BUSY);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_RESET, 0), NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_STREAM_DESTROY, 0, 0), NIB_ADM_OK);
}
END_TEST

START_TEST(queues)
{
	const uint64_t normal = NIB_PRIORITY_NORMAL | 16 << 8 | 1 << 24;

	driver_context(d, 0);
#define QUEUE(id, context, ring_, entries, how) \
	driver_adm(d, NIB_ADM_QUEUE_CREATE, id, context, ring_, entries, how)
	ck_assert_uint_eq(QUEUE(1088, 0, ring, 16, normal), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(QUEUE(0, 1, ring, 16, normal), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(QUEUE(0, 0, ring, 8, normal), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(QUEUE(0, 0, ring, 17, normal), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(QUEUE(0, 0, ring, 2048, normal), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(QUEUE(0, 0, ring + 8, 16, normal), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(QUEUE(0, 0, 0x1000, 16, normal), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(QUEUE(0, 0, ~63ull, 16, normal), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(QUEUE(0, 0, ring, 16, normal + 3), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(QUEUE(0, 0, ring, 16, NIB_PRIORITY_LOW), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(QUEUE(0, 0, ring, 16, normal | 1 << 16), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(QUEUE(0, 0, ring, 16, normal | 32ull << 24), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(QUEUE(0, 0, ring, 16, normal | 1ull << 32), NIB_ADM_ERR_ARG);
	d->host_gap = ring - DRIVER_DMA + 4096;
	ck_assert_uint_eq(QUEUE(0, 0, ring, 16, normal), NIB_ADM_ERR_ARG);
	d->host_gap = 0;
	ck_assert_uint_eq(QUEUE(0, 0, ring, 16, normal), NIB_ADM_OK);
	ck_assert_uint_eq(QUEUE(0, 0, ring, 16, normal), NIB_ADM_ERR_ID);
	/* More packets to skip than a stream can have. */
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_CREATE, 1, 0, ring, 16, normal, 0,
				     NIB_MAX_STREAM_BYTES / 8), NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_CREATE, 1, 0, ring, 16, normal, 0, ~0ull),
			  NIB_ADM_ERR_ARG);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_RESET, 1), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_JOB_CANCEL, 1, 0), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_JOB_CANCEL, 128, 0), NIB_ADM_ERR_ID);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_JOB_CANCEL, 0, 77), NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_RESET, 0), NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_DESTROY, 0), NIB_ADM_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_DESTROY, 0), NIB_ADM_ERR_ID);
}
END_TEST

START_TEST(writes_while_quiesced_happen_at_resume)
{
	nib_device_quiesce(d->device);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_PENDING);
	ck_assert_uint_eq(driver_run(d), 0);
	nib_device_resume(d->device);
	ck_assert_uint_eq(d->ctrl->admin[0].status, NIB_ADM_OK);
	ck_assert_uint_eq(d->irqs[0], 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_admin");
	TCase *admin = tcase_create("admin");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(admin, setup, teardown);
	tcase_add_test(admin, messages_are_answered_in_place);
	tcase_add_test(admin, several_messages_with_one_doorbell);
	tcase_add_test(admin, a_tail_too_far_ahead_is_ignored);
	tcase_add_test(admin, reserved_field_is_refused);
	tcase_add_test(admin, contexts);
	tcase_add_test(admin, streams);
	tcase_add_test(admin, a_stream_in_use_stays);
	tcase_add_test(admin, queues);
	tcase_add_test(admin, writes_while_quiesced_happen_at_resume);
	suite_add_tcase(suite, admin);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
