/* SPDX-License-Identifier: MIT */
/*
 * Firmware that is of the wrong version, or that the device refuses, when the driver binds: the
 * bind fails with one line that says why, and works once the trouble is over.
 */
#include "fault.h"
#include "life.h"

static char address[64];

static void bind_fails(int error, const char *one, const char *other)
{
	int log = kmsg_open();

	OK(life_unbind(address));
	EXPECT(life_bind(address), error);
	CHECK(access("/dev/accel/accel0", F_OK));
	CHECK(kmsg_has(log, one, other));
	close(log);
	OK(life_bind(address));
	life_check_fresh(0);
}

static void another_version(unsigned int api, const char *what)
{
	char line[64];

	control("{\"inject\":\"firmware-api\",\"api\":%u}", api);
	snprintf(line, sizeof(line), "has API %u.0", api);
	bind_fails(-EINVAL, line, what);
}

static void image_refused(const char *error, const char *what)
{
	control("{\"inject\":\"firmware-refused\",\"error\":\"%s\"}", error);
	bind_fails(-EIO, "firmware did not boot", what);
}

int main(void)
{
	control_open();
	life_check_fresh(0);
	life_find_device(address, sizeof(address));
	RUN(another_version(NIB_FW_API_MAJOR + 1, "update the driver"));
	RUN(another_version(NIB_FW_API_MAJOR - 1, "update the firmware"));
	RUN(image_refused("digest", "bad digest"));
	RUN(image_refused("api", "API not that of the hardware"));
	RUN(image_refused("dma", "not readable"));
	return 0;
}
