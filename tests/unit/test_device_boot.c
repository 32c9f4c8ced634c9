// SPDX-License-Identifier: MIT
/* Power-on, registers, chip files, firmware images good and bad, and what a reset leaves. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "driver.h"

static struct driver *d;

static void setup(void)
{
	d = driver_new("small", "scalar");
}

static void teardown(void)
{
	driver_free(d);
}

START_TEST(registers_name_the_chip)
{
	char name[33] = "";

	for (unsigned int i = 0; i < 32; i += 4)
		*(uint32_t *)(void *)(name + i) = driver_read(d, NIB_REG_CHIP_NAME + i);
	ck_assert_str_eq(name, "small");
	ck_assert_uint_eq(driver_read(d, NIB_REG_MAGIC), NIB_MAGIC);
	ck_assert_uint_eq(driver_read(d, NIB_REG_HW_VERSION),
			  NIB_HW_MAJOR << 16 | NIB_HW_MINOR);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FEATURES), 0);
	ck_assert_uint_eq(driver_read64(d, NIB_REG_HBM_BYTES), 256u << 20);
	ck_assert_uint_eq(driver_read64(d, NIB_REG_SRAM_BYTES), 2u << 20);
	ck_assert_uint_eq(driver_read(d, NIB_REG_WINDOW_BYTES), 256u << 20);
	ck_assert_uint_eq(driver_read(d, NIB_REG_WINDOW_BYTES + 4), 0);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_OFF);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_HEARTBEAT), 0);
}
END_TEST

START_TEST(odd_accesses_read_all_ones)
{
	ck_assert_uint_eq(nib_device_read(d->device, NIB_BAR_REGS, 1, 4), UINT32_MAX);
	ck_assert_uint_eq(nib_device_read(d->device, NIB_BAR_REGS, 4, 8), UINT64_MAX);
	ck_assert_uint_eq(nib_device_read(d->device, NIB_BAR_REGS, 0, 2), UINT64_MAX);
	ck_assert_uint_eq(nib_device_read(d->device, NIB_BAR_REGS, NIB_BAR_REGS_BYTES, 4),
			  UINT32_MAX);
	ck_assert_uint_eq(nib_device_read(d->device, 5, 0, 4), UINT32_MAX);
	ck_assert_uint_eq(nib_device_read(d->device, NIB_BAR_DOORBELLS, 0, 4), UINT32_MAX);
	nib_device_write(d->device, 5, 0, 4, 1);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_BAR_DOORBELL_BYTES, 4, 1);
	/* No firmware: nobody listens, nothing happens. */
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_ADMIN, 4, 1);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_PING, 4, 1);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(0), 4, 1);
	ck_assert_uint_eq(driver_run(d), 0);
	ck_assert_uint_eq(d->irqs[0], 0);
}
END_TEST

START_TEST(firmware_boots)
{
	char version[33] = "";
	uint32_t beat;

	driver_boot(d);
	for (unsigned int i = 0; i < 32; i += 4)
		*(uint32_t *)(void *)(version + i) = driver_read(d, NIB_REG_FW_VERSION + i);
	ck_assert_uint_gt(strlen(version), 0);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_ERROR), NIB_FW_OK);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_API), NIB_FW_API_MAJOR << 16 | NIB_FW_API_MINOR);
	beat = driver_read(d, NIB_REG_FW_HEARTBEAT);
	ck_assert_uint_gt(beat, 0);
	usleep(30000);
	ck_assert_uint_gt(driver_read(d, NIB_REG_FW_HEARTBEAT), beat);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_PING, 4, 77);
	ck_assert_uint_eq(d->ctrl->ping, 77);
	ck_assert_uint_eq(d->irqs[0], 1);
}
END_TEST

/* Ways to spoil an image, and what the device must say. */
static const struct {
	const char *name;
	uint32_t error;
	size_t offset;
	uint8_t flip;
	int bytes;	/* added to the image's length */
} spoiled[] = {
	{ "magic", NIB_FW_ERR_MAGIC, offsetof(struct nib_fw_header, magic), 1, 0 },
	{ "header size", NIB_FW_ERR_SIZE, offsetof(struct nib_fw_header, header_bytes), 4, 0 },
	{ "image size", NIB_FW_ERR_SIZE, offsetof(struct nib_fw_header, image_bytes), 1, 0 },
	{ "cut", NIB_FW_ERR_SIZE, 0, 0, -1 },
	{ "shorter than a header", NIB_FW_ERR_SIZE, 0, 0, -100 },
	{ "reserved", NIB_FW_ERR_SIZE, offsetof(struct nib_fw_header, zero), 1, 0 },
	{ "api", NIB_FW_ERR_API, offsetof(struct nib_fw_header, api_major), 2, 0 },
	{ "digest", NIB_FW_ERR_DIGEST, offsetof(struct nib_fw_header, sha256) + 31, 128, 0 },
	{ "payload", NIB_FW_ERR_DIGEST, sizeof(struct nib_fw_header) + 5, 1, 0 },
};

START_TEST(spoiled_firmware_is_refused)
{
	uint8_t image[256];
	size_t bytes;
	const void *good = nib_device_builtin_firmware(&bytes);

	ck_assert_uint_le(bytes, sizeof(image));
	memcpy(image, good, bytes);
	image[spoiled[_i].offset] ^= spoiled[_i].flip;
	ck_assert_uint_eq(driver_boot_image(d, image, (uint32_t)((int)bytes + spoiled[_i].bytes)),
			  NIB_FW_FAILED);
	ck_assert_msg(driver_read(d, NIB_REG_FW_ERROR) == spoiled[_i].error, "%s: error %u",
		      spoiled[_i].name, driver_read(d, NIB_REG_FW_ERROR));
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_API), 0);
	/* And the next one is welcome. */
	driver_boot(d);
}
END_TEST

START_TEST(boot_needs_memory_that_can_be_reached)
{
	driver_write64(d, NIB_REG_FW_ADDR, 0x1000);
	driver_write(d, NIB_REG_FW_BYTES, 128);
	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_BOOT);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_FAILED);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_ERROR), NIB_FW_ERR_DMA);
	driver_write(d, NIB_REG_FW_BYTES, NIB_FW_MAX_BYTES + 1);
	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_BOOT);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_ERROR), NIB_FW_ERR_SIZE);
}
END_TEST

START_TEST(commands_have_their_states)
{
	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_HALT);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_ERROR), NIB_FW_ERR_STATE);
	driver_boot(d);
	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_BOOT);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_ERROR), NIB_FW_ERR_STATE);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_READY);
	driver_write(d, NIB_REG_FW_COMMAND, 99);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_ERROR), NIB_FW_ERR_STATE);
	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_HALT);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_OFF);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_API), 0);
	driver_boot(d);
}
END_TEST

START_TEST(halt_forgets_everything)
{
	driver_boot(d);
	driver_context(d, 3);
	driver_queue(d, 2, 3, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_HALT);
	driver_boot(d);
	driver_context(d, 3);
	driver_queue(d, 2, 3, 16, NIB_PRIORITY_NORMAL, 16, 1);
}
END_TEST

START_TEST(function_reset_is_power_on)
{
	driver_boot(d);
	driver_context(d, 0);
	driver_write(d, NIB_REG_RESET, NIB_RESET_FUNCTION);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_OFF);
	ck_assert_uint_eq(driver_read64(d, NIB_REG_CTRL_ADDR), 0);
	ck_assert_uint_eq(driver_read(d, NIB_REG_RESET_COUNT), 1);
	nib_device_reset(d->device);
	ck_assert_uint_eq(driver_read(d, NIB_REG_RESET_COUNT), 2);
	driver_write(d, NIB_REG_RESET, 77);
	ck_assert_uint_eq(driver_read(d, NIB_REG_RESET_COUNT), 2);
	driver_boot(d);
	driver_context(d, 0);
}
END_TEST

START_TEST(firmware_crashes_without_its_control_page)
{
	driver_boot(d);
	driver_context(d, 0);
	d->host_gone = true;
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_PING, 4, 1);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_CRASHED);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_HEARTBEAT), 0);
	d->host_gone = false;
	driver_boot(d);
}
END_TEST

/* --- Chips --- */

static int load(const char *chip, char *error)
{
	struct nib_device_config config = { .chip = chip };
	struct nib_device *device;
	int err = nib_device_create(&config, error, 256, &device);

	if (!err)
		nib_device_destroy(device);
	return err;
}

START_TEST(shipped_chips_load)
{
	static const char *const names[] = { "small", "edge", "maia200-class" };
	char error[256] = "", path[64];

	ck_assert_msg(!load(names[_i], error), "%s", error);
	snprintf(path, sizeof(path), "firmware-sim/chips/%s.json", names[_i]);
	if (!access(path, R_OK))
		ck_assert_msg(!load(path, error), "%s", error);
}
END_TEST

START_TEST(unknown_chip_is_named)
{
	char error[256];

	ck_assert_int_eq(load("/no/such.json", error), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, "/no/such.json"));
}
END_TEST

/* One edit of a good chip file, and what the message must name. */
static const struct {
	const char *from, *to, *key;
} mistakes[] = {
	{ "\"clock_mhz\": 1000", "\"clock_mhz\": 0", "clock_mhz: 0 is out of range" },
	{ "\"clock_mhz\": 1000", "\"clock_mhz\": \"1\"", "clock_mhz: must be a whole number" },
	{ "\"clock_mhz\": 1000", "\"clock_mhz\": 1.5", "clock_mhz: must be a whole number" },
	{ "\"clock_mhz\": 1000", "\"clock_mghz\": 1000", "clock_mghz: unknown key" },
	{ "\"clock_mhz\": 1000,", "", "clock_mhz: missing" },
	{ "\"lanes\": 64", "\"lanes\": 64, \"lines\": 1", "vector.lines: unknown key" },
	{ "\"fp4\": 2048", "\"fp4\": -1", "tensor.ops_per_cycle.fp4: -1 is out of range" },
	{ "\"window_bytes\": 268435456", "\"window_bytes\": 268435457",
	  "hbm.window_bytes: 268435457 is not a power of two" },
	{ "\"window_bytes\": 268435456", "\"window_bytes\": 536870912",
	  "hbm.window_bytes: 536870912 is more than hbm.bytes" },
	{ "\"queues\": 1088", "\"queues\": 1537",
	  "queues: 1537 is out of range, must be 1 to 1536" },
	{ "\"name\": \"small\"", "\"name\": \"\"", "name: must have 1 to 31" },
	{ "\"name\": \"small\"", "\"name\": 3", "name: must be a string" },
	{ "\"attention\": {", "\"attention\": 1, \"x\": {", "attention: must be an object" },
	{ "\"contexts\": 128", "\"contexts\": 128, \"contexts\": 128", "line" },
	{ "\"contexts\": 128", "\"contexts\": ", "line" },
	{ "\"bytes\": 268435456", "\"bytes\": 1e300", "hbm.bytes: must be a whole number" },
};

START_TEST(mistakes_in_chip_files_are_named)
{
	char text[8192], path[] = "/tmp/nib-chip-XXXXXX", error[256] = "";
	int fd = mkstemp(path);
	FILE *in = fopen("firmware-sim/chips/small.json", "r");
	FILE *out = fdopen(fd, "w");
	char *at;

	ck_assert_ptr_nonnull(in);
	text[fread(text, 1, sizeof(text) - 1, in)] = 0;
	fclose(in);
	at = strstr(text, mistakes[_i].from);
	ck_assert_msg(at != NULL, "the shipped file lacks %s", mistakes[_i].from);
	fprintf(out, "%.*s%s%s", (int)(at - text), text, mistakes[_i].to,
		at + strlen(mistakes[_i].from));
	fclose(out);
	ck_assert_int_eq(load(path, error), -EINVAL);
	ck_assert_msg(strstr(error, path) && strstr(error, mistakes[_i].key), "%s", error);
	unlink(path);
}
END_TEST

START_TEST(unknown_kernels_are_named)
{
	struct nib_device_config config = { .chip = "small", .kernels = "abacus" };
	struct nib_device *device;
	char error[256];

	ck_assert_int_eq(nib_device_create(&config, error, sizeof(error), &device), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "abacus"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_boot");
	TCase *boot = tcase_create("boot"), *chips = tcase_create("chips");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(boot, setup, teardown);
	tcase_add_test(boot, registers_name_the_chip);
	tcase_add_test(boot, odd_accesses_read_all_ones);
	tcase_add_test(boot, firmware_boots);
	tcase_add_loop_test(boot, spoiled_firmware_is_refused, 0,
			    sizeof(spoiled) / sizeof(spoiled[0]));
	tcase_add_test(boot, boot_needs_memory_that_can_be_reached);
	tcase_add_test(boot, commands_have_their_states);
	tcase_add_test(boot, halt_forgets_everything);
	tcase_add_test(boot, function_reset_is_power_on);
	tcase_add_test(boot, firmware_crashes_without_its_control_page);
	tcase_add_loop_test(chips, shipped_chips_load, 0, 3);
	tcase_add_test(chips, unknown_chip_is_named);
	tcase_add_loop_test(chips, mistakes_in_chip_files_are_named, 0,
			    sizeof(mistakes) / sizeof(mistakes[0]));
	tcase_add_test(chips, unknown_kernels_are_named);
	suite_add_tcase(suite, boot);
	suite_add_tcase(suite, chips);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
