/* SPDX-License-Identifier: MIT */
/* Queries: sizes, values that make sense, and callers older and newer than the driver. */
#include "guest.h"

static int query(int fd, uint32_t type, uint32_t *size, void *pointer)
{
	struct nib_dev_query args = { .type = type, .size = *size, .pointer = (uintptr_t)pointer };
	int ret = nib_ioctl(fd, DRM_IOCTL_NIB_DEV_QUERY, &args);

	*size = args.size;
	return ret;
}

static void check_values(int fd)
{
	struct nib_device_info info = query_device(fd);
	struct nib_memory_info before = query_memory(fd), after;
	drmVersionPtr version = drmGetVersion(fd);

	EQUAL(version->version_major, NIB_DRM_MAJOR);
	EQUAL(version->version_minor, NIB_DRM_MINOR);
	drmFreeVersion(version);
	EQUAL(info.hw_version >> 16, NIB_HW_MAJOR);
	EQUAL(info.fw_api >> 16, NIB_FW_API_MAJOR);
	EQUAL(info.isa_version, NIB_ISA_MAJOR << 16 | NIB_ISA_MINOR);
	EQUAL(info.max_args, NIB_MAX_ARGS);
	CHECK(info.window_bytes && info.window_bytes <= info.hbm_bytes);
	CHECK(info.va_start && info.va_start < info.va_end && info.va_end <= 1ull << NIB_VA_BITS);
	CHECK(info.max_queues && info.max_streams && info.max_vms && info.max_ring_jobs);
	/* Tests run as root, who may use all of them. */
	EQUAL(info.priorities, 0xf);
	EQUAL(info.reset_count, 0);
	CHECK(info.chip[0] && memchr(info.chip, 0, sizeof(info.chip)));
	CHECK(info.fw_version[0] && memchr(info.fw_version, 0, sizeof(info.fw_version)));

	CHECK(before.hbm_free <= info.hbm_bytes && before.sram_free <= info.sram_bytes);
	EQUAL(before.client_hbm, 0);
	after = query_memory(fd);
	CHECK(after.clock_ns >= before.clock_ns && after.energy_uj >= before.energy_uj);
}

static void check_growth(int fd, uint32_t type, uint32_t full)
{
	unsigned char buffer[256], whole[256];
	uint32_t size = 0, i;

	/* How much is there? */
	OK(query(fd, type, &size, NULL));
	EQUAL(size, full);
	size = full;
	memset(whole, 0xaa, sizeof(whole));
	OK(query(fd, type, &size, whole));

	/* A caller with an older, shorter struct gets that much and no more. */
	size = 24;
	memset(buffer, 0xaa, sizeof(buffer));
	OK(query(fd, type, &size, buffer));
	EQUAL(size, full);
	CHECK(type == NIB_QUERY_MEMORY || !memcmp(buffer, whole, 24));
	for (i = 24; i < sizeof(buffer); i++)
		EQUAL(buffer[i], 0xaa);

	/* A newer one gets zeros for what we do not know. */
	size = sizeof(buffer);
	memset(buffer, 0xaa, sizeof(buffer));
	OK(query(fd, type, &size, buffer));
	EQUAL(size, full);
	for (i = full; i < sizeof(buffer); i++)
		EQUAL(buffer[i], 0);
}

int main(void)
{
	int fd = guest_open();
	uint32_t size = 64;

	check_values(fd);
	check_growth(fd, NIB_QUERY_DEVICE, sizeof(struct nib_device_info));
	check_growth(fd, NIB_QUERY_MEMORY, sizeof(struct nib_memory_info));
	EXPECT(query(fd, 77, &size, NULL), -EINVAL);
	size = 64;
	EXPECT(query(fd, NIB_QUERY_DEVICE, &size, (void *)8), -EFAULT);
	size = UINT32_MAX;
	EXPECT(query(fd, NIB_QUERY_DEVICE, &size, (void *)0x10000), -EINVAL);
	return 0;
}
