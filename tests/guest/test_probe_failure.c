/* SPDX-License-Identifier: MIT */
/*
 * The driver does not come up: firmware that is missing, damaged, too new, or does not boot. Each
 * time the probe says so with an error of its own and one line in the kernel's log, leaves nothing
 * behind, and finds a device that works once the cause is gone.
 */
#include "control.h"
#include "life.h"

#define FIRMWARE	"/data/" NIB_FW_NAME
#define KEPT		"/data/nibble/kept.bin"
#define ROUNDS		2

static uint8_t image[NIB_FW_MAX_BYTES];
static size_t image_bytes;
static int log_fd;

static void firmware_write(const uint8_t *data, size_t bytes)
{
	int fd = creat(FIRMWARE, 0644);

	CHECK(fd >= 0);
	CHECK(write(fd, data, bytes) == (ssize_t)bytes);
	close(fd);
}

static void firmware_read(void)
{
	int fd = open(FIRMWARE, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		SKIP("the firmware is not in " FIRMWARE);
	n = read(fd, image, sizeof(image));
	CHECK(n > (ssize_t)sizeof(struct nib_fw_header));
	image_bytes = (size_t)n;
	close(fd);
}

/*
 * Reads what the kernel has logged since the last call; returns how many errors of the driver it
 * has. The firmware loader and the driver core have a word of their own about the device.
 */
static unsigned int log_errors(void)
{
	char record[4096];
	unsigned int errors = 0;
	ssize_t n;

	/* A record a read. Those that were overwritten give EPIPE. */
	while ((n = read(log_fd, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		if (n <= 0)
			continue;
		record[n] = 0;
		if ((strtoul(record, NULL, 10) & 7) <= 3 && strstr(record, ";nib ") &&
		    !strstr(record, ": firmware: ") && !strstr(record, ": probe with driver "))
			errors++;
	}
	return errors;
}

static void check_refused(const char *address, int error)
{
	log_errors();
	EXPECT(life_bind(address), error);
	EQUAL(log_errors(), 1);
	CHECK(access("/dev/accel/accel0", F_OK));
}

/* The device refuses an image that is good, however often a driver tries. */
static void check_boot_failure(const char *address)
{
	control("{\"inject\":\"firmware-refused\",\"count\":\"forever\"}");
	check_refused(address, -EIO);
	control_clear();
}

static void check(const char *address)
{
	static uint8_t bad[NIB_FW_MAX_BYTES];
	struct nib_fw_header *header = (struct nib_fw_header *)(void *)bad;

	OK(life_unbind(address));
	OK(rename(FIRMWARE, KEPT));
	check_refused(address, -ENOENT);
	firmware_write(image, 10);
	check_refused(address, -EINVAL);
	firmware_write(image, image_bytes - 1);
	check_refused(address, -EINVAL);
	memcpy(bad, image, image_bytes);
	header->magic ^= 1;
	firmware_write(bad, image_bytes);
	check_refused(address, -EINVAL);
	memcpy(bad, image, image_bytes);
	header->api_major++;
	firmware_write(bad, image_bytes);
	check_refused(address, -EINVAL);
	memcpy(bad, image, image_bytes);
	bad[image_bytes - 1] ^= 1;
	firmware_write(bad, image_bytes);
	check_refused(address, -EIO);
	OK(rename(KEPT, FIRMWARE));
	check_boot_failure(address);
	OK(life_bind(address));
}

int main(void)
{
	uint64_t hbm_free = life_check_fresh(0);
	char address[64];
	int i;

	life_find_device(address, sizeof(address));
	firmware_read();
	control_clear();
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	CHECK(log_fd >= 0);
	for (i = 0; i < ROUNDS; i++) {
		check(address);
		life_check_fresh(hbm_free);
	}
	return 0;
}
