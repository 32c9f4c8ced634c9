// SPDX-License-Identifier: MIT
/*
 * Power states of the function and what each costs it: D3hot, a function-level reset, a lost power
 * supply; and firmware that is told to stop between packets.
 */
#include <check.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <unistd.h>
#include "driver.h"
#include "pci.h"

#define VA	0x100000000ull

static struct driver *d;
static struct nib_pci pci;

static void setup(void)
{
	d = driver_new("small", "scalar");
	nib_pci_init(&pci, d->device);
}

static void teardown(void)
{
	nib_pci_destroy(&pci);
	driver_free(d);
}

static unsigned int find_cap(uint8_t id)
{
	unsigned int at = pci.config[PCI_CAPABILITY_LIST];

	while (at && pci.config[at] != id)
		at = pci.config[at + PCI_CAP_LIST_NEXT];
	ck_assert_uint_ne(at, 0);
	return at;
}

static void config_write16(unsigned int offset, uint16_t value)
{
	nib_pci_config_write(&pci, offset, &value, sizeof(value));
}

static void set_power(uint16_t state)
{
	config_write16(find_cap(PCI_CAP_ID_PM) + PCI_PM_CTRL, state);
}

static unsigned int power(void)
{
	return pci.config[find_cap(PCI_CAP_ID_PM) + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK;
}

static uint32_t bar_read(uint64_t offset)
{
	uint32_t value;

	nib_pci_bar_read(&pci, NIB_BAR_REGS, offset, &value, sizeof(value));
	return value;
}

START_TEST(d3hot_answers_nothing_and_keeps_memories)
{
	uint32_t halt = NIB_FW_HALT;

	memset(d->hbm + 4096, 0x5a, 4096);
	set_power(3);
	ck_assert(!nib_pci_is_awake(&pci));
	ck_assert_uint_eq(bar_read(NIB_REG_MAGIC), UINT32_MAX);
	/* A doorbell or a command finds nobody. */
	nib_pci_bar_write(&pci, NIB_BAR_REGS, NIB_REG_FW_COMMAND, &halt, sizeof(halt));
	nib_pci_bar_write(&pci, NIB_BAR_DOORBELLS, 0, &halt, sizeof(halt));
	set_power(0);
	ck_assert_uint_eq(bar_read(NIB_REG_MAGIC), NIB_MAGIC);
	ck_assert_uint_eq(bar_read(NIB_REG_FW_ERROR), NIB_FW_OK);
	ck_assert_uint_eq(bar_read(NIB_REG_RESET_COUNT), 0);
	ck_assert_uint_eq(d->hbm[4096], 0x5a);
	ck_assert_uint_eq(d->hbm[8191], 0x5a);
}
END_TEST

START_TEST(d3hot_ends_firmware)
{
	driver_boot(d);
	set_power(3);
	ck_assert_str_eq(d->log, "powered down with firmware running");
	set_power(0);
	ck_assert_uint_eq(bar_read(NIB_REG_FW_STATE), NIB_FW_OFF);
	driver_boot(d);
	ck_assert_uint_eq(bar_read(NIB_REG_FW_STATE), NIB_FW_READY);
}
END_TEST

START_TEST(states_that_are_not_there_change_nothing)
{
	set_power(1);
	ck_assert_uint_eq(power(), 0);
	set_power(3);
	set_power(2);
	ck_assert_uint_eq(power(), 3);
	ck_assert_uint_eq(bar_read(NIB_REG_MAGIC), UINT32_MAX);
}
END_TEST

START_TEST(function_level_reset_wakes_and_keeps_memories)
{
	memset(d->hbm, 0x77, 64);
	set_power(3);
	config_write16(find_cap(PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
	ck_assert_uint_eq(power(), 0);
	ck_assert_uint_eq(bar_read(NIB_REG_RESET_COUNT), 1);
	ck_assert_uint_eq(d->hbm[0], 0x77);
}
END_TEST

START_TEST(lost_power_loses_memories)
{
	memset(d->hbm, 0x77, 1 << 20);
	driver_boot(d);
	nib_pci_power_cycle(&pci);
	ck_assert_uint_eq(bar_read(NIB_REG_FW_STATE), NIB_FW_OFF);
	for (unsigned int i = 0; i < 1 << 20; i++)
		ck_assert_uint_ne(d->hbm[i], 0x77);
	/* And they work as before. */
	d->hbm[5] = 1;
	ck_assert_uint_eq(d->hbm[5], 1);
}
END_TEST

START_TEST(bus_mastering_follows_command_and_power)
{
	ck_assert(!nib_pci_is_master(&pci));
	config_write16(PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	ck_assert(nib_pci_is_master(&pci));
	set_power(3);
	ck_assert(!nib_pci_is_master(&pci));
	set_power(0);
	ck_assert(nib_pci_is_master(&pci));
	config_write16(PCI_COMMAND, PCI_COMMAND_MEMORY);
	ck_assert(!nib_pci_is_master(&pci));
	config_write16(PCI_COMMAND, PCI_COMMAND_MASTER);
	nib_pci_reset(&pci);
	ck_assert(!nib_pci_is_master(&pci));
}
END_TEST

/* Lets time pass and checks that each nanosecond of the device's clock cost @mw. */
static void check_idle_power(uint64_t mw)
{
	uint64_t clock[4], energy[2];

	clock[0] = driver_read64(d, NIB_REG_CLOCK_NS);
	energy[0] = driver_read64(d, NIB_REG_ENERGY_UJ);
	clock[1] = driver_read64(d, NIB_REG_CLOCK_NS);
	usleep(20000);
	clock[2] = driver_read64(d, NIB_REG_CLOCK_NS);
	energy[1] = driver_read64(d, NIB_REG_ENERGY_UJ);
	clock[3] = driver_read64(d, NIB_REG_CLOCK_NS);
	ck_assert_uint_ge(energy[1] - energy[0] + 1, mw * (clock[2] - clock[1]) / 1000000);
	ck_assert_uint_le(energy[1] - energy[0], mw * (clock[3] - clock[0]) / 1000000 + 1);
}

START_TEST(sleep_costs_what_the_chip_says)
{
	check_idle_power(400);
	set_power(3);
	check_idle_power(40);
	set_power(0);
	check_idle_power(400);
}
END_TEST

/* A job of three packets, the second of which waits for memory. */
static void start_job(void)
{
	struct stream s = { 0 };

	driver_boot(d);
	driver_context(d, 1);
	driver_map(d, 1, VA, NIB_MEM_HBM, driver_hbm_alloc(d, NIB_PAGE_4K, NIB_PAGE_4K),
		   NIB_PAGE_4K, NIB_PAGE_4K, NIB_PTE_WRITE);
	stream_fill(&s, VA, 4, 1);
	stream_sem(&s, VA + 64, 1, NIB_SEM_WAIT_GE);
	stream_end(&s);
	stream_create(d, 1, 1, &s, 0);
	driver_queue(d, 0, 1, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_submit(d, 0, 1, NULL, 0, 0);
	driver_run(d);
}

START_TEST(suspended_firmware_forgets_but_says_where_it_was)
{
	start_job();
	ck_assert_uint_eq(d->ctrl->queues[0].packets, 1);
	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_SUSPEND);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_OFF);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_ERROR), NIB_FW_OK);
	ck_assert_uint_eq(driver_run(d), 0);
	ck_assert_ptr_null(driver_done(d, 0, 0));
	ck_assert_uint_eq(d->ctrl->queues[0].packets, 1);
	/* Once is enough. */
	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_SUSPEND);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_ERROR), NIB_FW_ERR_STATE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_power");
	TCase *tcase = tcase_create("power");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, d3hot_answers_nothing_and_keeps_memories);
	tcase_add_test(tcase, d3hot_ends_firmware);
	tcase_add_test(tcase, states_that_are_not_there_change_nothing);
	tcase_add_test(tcase, function_level_reset_wakes_and_keeps_memories);
	tcase_add_test(tcase, lost_power_loses_memories);
	tcase_add_test(tcase, bus_mastering_follows_command_and_power);
	tcase_add_test(tcase, sleep_costs_what_the_chip_says);
	tcase_add_test(tcase, suspended_firmware_forgets_but_says_where_it_was);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
