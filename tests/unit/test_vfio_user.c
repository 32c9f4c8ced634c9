// SPDX-License-Identifier: MIT
/*
 * The vfio-user server: every request, right and wrong, message by message without a socket; then
 * nib-sim itself on a socket, with clients that come, misbehave and go.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "guard.h"
#include "nib_fault.h"
#include "nib_regs.h"
#include "vfio_user.h"

static struct nib_vfio_user *server;
static uint8_t message[NIB_VFIO_MAX_BYTES];
static uint8_t body[NIB_VFIO_MAX_BYTES];	/* of the last reply */
static size_t body_bytes;
static int reply_fd;

/* --- One request --- */

/* Sends a request; returns 0 or the reply's error, and -1 when the client was cut off. */
static int ask_fds(uint16_t command, const void *data, size_t bytes, int *fds, unsigned int num)
{
	struct vfio_user_header header = { .id = 77, .command = command,
					   .bytes = (uint32_t)(sizeof(header) + bytes) };
	struct nib_vfio_reply reply;
	int err;

	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), data, bytes);
	err = nib_vfio_user_handle(server, message, sizeof(header) + bytes, fds, num, &reply);
	for (unsigned int i = 0; i < num; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (!reply.bytes)
		return -1;
	memcpy(&header, reply.data, sizeof(header));
	ck_assert_uint_eq(header.id, 77);
	ck_assert_uint_eq(header.command, command);
	ck_assert_uint_eq(header.bytes, reply.bytes);
	ck_assert_uint_eq(header.flags & VFIO_USER_TYPE_MASK, VFIO_USER_REPLY);
	ck_assert_uint_eq(header.error != 0, (header.flags & VFIO_USER_ERROR) != 0);
	body_bytes = reply.bytes - sizeof(header);
	memcpy(body, reply.data + sizeof(header), body_bytes);
	reply_fd = reply.fd;
	return err ? -1 : (int)header.error;
}

static int ask(uint16_t command, const void *data, size_t bytes)
{
	return ask_fds(command, data, bytes, NULL, 0);
}

static void negotiate(void)
{
	static const char hello[] = "\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8}}";

	ck_assert_int_eq(ask(VFIO_USER_VERSION, hello, sizeof(hello)), 0);
}

static void setup(void)
{
	struct nib_vfio_config config = { .chip = "small", .kernels = "scalar" };
	char error[256];

	ck_assert_msg(!nib_vfio_user_create(&config, error, sizeof(error), &server), "%s", error);
	negotiate();
}

static void setup_raw(void)
{
	struct nib_vfio_config config = { .chip = "small", .kernels = "scalar" };
	char error[256];

	ck_assert_msg(!nib_vfio_user_create(&config, error, sizeof(error), &server), "%s", error);
}

static void teardown(void)
{
	nib_vfio_user_destroy(server);
}

static int region_read(uint32_t region, uint64_t offset, uint32_t count, void *data)
{
	struct vfio_user_region_access a = { .offset = offset, .region = region, .count = count };
	int err = ask(VFIO_USER_REGION_READ, &a, sizeof(a));

	if (!err) {
		ck_assert_uint_eq(body_bytes, sizeof(a) + count);
		memcpy(data, body + sizeof(a), count);
	}
	return err;
}

static int region_write(uint32_t region, uint64_t offset, uint32_t count, const void *data)
{
	struct vfio_user_region_access a = { .offset = offset, .region = region, .count = count };
	uint8_t request[sizeof(a) + 256];

	memcpy(request, &a, sizeof(a));
	memcpy(request + sizeof(a), data, count);
	return ask(VFIO_USER_REGION_WRITE, request, sizeof(a) + count);
}

static uint32_t config32(uint32_t offset)
{
	uint32_t value;

	ck_assert_int_eq(region_read(VFIO_PCI_CONFIG_REGION_INDEX, offset, 4, &value), 0);
	return value;
}

static void config_set32(uint32_t offset, uint32_t value)
{
	ck_assert_int_eq(region_write(VFIO_PCI_CONFIG_REGION_INDEX, offset, 4, &value), 0);
}

/* --- Negotiation --- */

START_TEST(version_is_exactly_0_0)
{
	static const char hello[] = "\0\0\1\0{}";

	ck_assert_int_eq(ask(VFIO_USER_VERSION, hello, sizeof(hello)), 0);
	ck_assert_uint_ge(body_bytes, 4);
	ck_assert_mem_eq(body, "\0\0\0\0", 4);
	ck_assert_int_eq(body[body_bytes - 1], 0);
	ck_assert_ptr_nonnull(strstr((char *)body + 4, "\"max_msg_fds\":8"));
	ck_assert_ptr_nonnull(strstr((char *)body + 4, "\"max_data_xfer_size\":1048576"));
	/* Once is enough. */
	ck_assert_int_eq(ask(VFIO_USER_VERSION, hello, sizeof(hello)), EINVAL);
}
END_TEST

START_TEST(who_cannot_negotiate_is_cut_off)
{
	static const char major_1[] = "\1\0\0\0{}", open_end[] = { 0, 0, 0, 0, '{', '}' };

	ck_assert_int_eq(ask(VFIO_USER_DEVICE_RESET, "", 0), -1);
	ck_assert_int_eq(ask(VFIO_USER_VERSION, major_1, sizeof(major_1)), -1);
	ck_assert_int_eq(ask(VFIO_USER_VERSION, open_end, sizeof(open_end)), -1);
	ck_assert_int_eq(ask(VFIO_USER_VERSION, "\0", 1), -1);
}
END_TEST

START_TEST(headers_that_no_client_sends_are_cut_off)
{
	struct vfio_user_header header = { .command = VFIO_USER_DEVICE_RESET };
	struct nib_vfio_reply reply;
	uint32_t bytes;

	header.bytes = 15;
	ck_assert_int_lt(nib_vfio_user_bytes(&header, &bytes), 0);
	header.bytes = NIB_VFIO_MAX_BYTES + 1;
	ck_assert_int_lt(nib_vfio_user_bytes(&header, &bytes), 0);
	header.bytes = 16;
	ck_assert_int_eq(nib_vfio_user_bytes(&header, &bytes), 0);
	/* A reply nobody asked for. */
	header.flags = VFIO_USER_REPLY;
	ck_assert_int_lt(nib_vfio_user_handle(server, (uint8_t *)&header, 16, NULL, 0, &reply), 0);
	ck_assert_uint_eq(reply.bytes, 0);
}
END_TEST

START_TEST(no_reply_means_none)
{
	struct vfio_user_header header = { .command = VFIO_USER_DEVICE_RESET, .bytes = 16,
					   .flags = VFIO_USER_NO_REPLY };
	struct nib_vfio_reply reply;

	ck_assert_int_eq(nib_vfio_user_handle(server, (uint8_t *)&header, 16, NULL, 0, &reply), 0);
	ck_assert_uint_eq(reply.bytes, 0);
	header.command = 99;
	ck_assert_int_eq(nib_vfio_user_handle(server, (uint8_t *)&header, 16, NULL, 0, &reply), 0);
	ck_assert_uint_eq(reply.bytes, 0);
}
END_TEST

START_TEST(unknown_commands_are_refused)
{
	static const uint16_t commands[] = {
		0, VFIO_USER_DEVICE_GET_REGION_IO_FDS, VFIO_USER_DMA_READ, VFIO_USER_DMA_WRITE,
		VFIO_USER_DIRTY_PAGES, 15, 0xffff,
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		ck_assert_int_eq(ask(commands[i], "", 0), ENOTSUP);
}
END_TEST

START_TEST(short_bodies_are_refused)
{
	static const struct {
		uint16_t command;
		size_t bytes;
	} least[] = {
		{ VFIO_USER_DMA_MAP, 32 }, { VFIO_USER_DMA_UNMAP, 24 },
		{ VFIO_USER_DEVICE_GET_INFO, 16 }, { VFIO_USER_DEVICE_GET_REGION_INFO, 32 },
		{ VFIO_USER_DEVICE_GET_IRQ_INFO, 16 }, { VFIO_USER_DEVICE_SET_IRQS, 20 },
		{ VFIO_USER_REGION_READ, 16 }, { VFIO_USER_REGION_WRITE, 16 },
	};
	uint8_t zero[64] = { 0 };

	for (size_t i = 0; i < sizeof(least) / sizeof(least[0]); i++)
		for (size_t bytes = 0; bytes < least[i].bytes; bytes++)
			ck_assert_int_eq(ask(least[i].command, zero, bytes), EINVAL);
}
END_TEST

/* --- What there is --- */

START_TEST(device_info)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) };

	ck_assert_int_eq(ask(VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info)), 0);
	ck_assert_uint_eq(body_bytes, sizeof(info));
	memcpy(&info, body, sizeof(info));
	ck_assert_uint_eq(info.flags, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
	ck_assert_uint_eq(info.num_regions, VFIO_PCI_NUM_REGIONS);
	ck_assert_uint_gt(info.num_irqs, VFIO_PCI_MSIX_IRQ_INDEX);
	info.argsz = 15;
	ck_assert_int_eq(ask(VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info)), EINVAL);
}
END_TEST

START_TEST(region_info)
{
	static const uint64_t sizes[VFIO_PCI_NUM_REGIONS] = {
		[0] = NIB_BAR_REGS_BYTES, [2] = NIB_BAR_DOORBELL_BYTES, [4] = 256u << 20,
		[VFIO_PCI_CONFIG_REGION_INDEX] = 4096,
	};
	struct vfio_user_region_info info = { .argsz = sizeof(info) };

	for (uint32_t i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		info.index = i;
		ck_assert_int_eq(ask(VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info)), 0);
		memcpy(&info, body, sizeof(info));
		ck_assert_uint_eq(info.bytes, sizes[i]);
		ck_assert_uint_eq(info.flags, !sizes[i] ? 0 : i == 4 ? 7 : 3);
		ck_assert_int_eq(reply_fd >= 0, i == 4);
	}
	info.index = VFIO_PCI_NUM_REGIONS;
	ck_assert_int_eq(ask(VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info)), EINVAL);
}
END_TEST

START_TEST(window_is_the_same_memory)
{
	struct vfio_user_region_info info = { .argsz = sizeof(info), .index = NIB_BAR_HBM };
	uint32_t value = 0x12345678, *map;

	ck_assert_int_eq(ask(VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info)), 0);
	map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, reply_fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(region_write(NIB_BAR_HBM, 4096, 4, &value), 0);
	ck_assert_uint_eq(map[1024], value);
	map[1025] = 99;
	ck_assert_int_eq(region_read(NIB_BAR_HBM, 4100, 4, &value), 0);
	ck_assert_uint_eq(value, 99);
	/* Whoever has the descriptor cannot pull the memory from under the device. */
	ck_assert_int_ne(ftruncate(reply_fd, 4096), 0);
	munmap(map, 1 << 20);
}
END_TEST

START_TEST(irq_info)
{
	struct vfio_user_irq_info info = { .argsz = sizeof(info) };

	for (uint32_t i = 0; i < 3; i++) {
		info.index = i;
		ck_assert_int_eq(ask(VFIO_USER_DEVICE_GET_IRQ_INFO, &info, sizeof(info)), 0);
		memcpy(&info, body, sizeof(info));
		ck_assert_uint_eq(info.count, i == VFIO_PCI_MSIX_IRQ_INDEX ? 32 : 0);
	}
	info.index = 3;
	ck_assert_int_eq(ask(VFIO_USER_DEVICE_GET_IRQ_INFO, &info, sizeof(info)), EINVAL);
}
END_TEST

/* --- Regions --- */

START_TEST(registers_answer)
{
	uint8_t all[64];
	uint64_t value = 0;

	ck_assert_int_eq(region_read(0, NIB_REG_MAGIC, 4, &value), 0);
	ck_assert_uint_eq(value, NIB_MAGIC);
	ck_assert_int_eq(region_read(0, NIB_REG_HBM_BYTES, 8, &value), 0);
	ck_assert_uint_eq(value, 256u << 20);
	ck_assert_int_eq(region_read(0, 0, 64, all), 0);
	ck_assert_mem_eq(all, "NIB1", 4);
	value = 0x1122334455667788;
	ck_assert_int_eq(region_write(0, NIB_REG_FW_ADDR, 8, &value), 0);
	value = 0;
	ck_assert_int_eq(region_read(0, NIB_REG_FW_ADDR + 4, 4, &value), 0);
	ck_assert_uint_eq(value, 0x11223344);
	/* Doorbells are written, not read. */
	ck_assert_int_eq(region_write(2, NIB_DOORBELL_QUEUE(1), 4, &value), 0);
	ck_assert_int_eq(region_read(2, NIB_DOORBELL_QUEUE(1), 4, &value), 0);
	ck_assert_uint_eq(value, UINT32_MAX);
}
END_TEST

START_TEST(accesses_stay_in_their_region)
{
	static const struct {
		uint32_t region;
		uint64_t offset;
		uint32_t count;
	} bad[] = {
		{ 0, NIB_BAR_REGS_BYTES - 3, 4 }, { 0, ~0ull, 4 }, { 0, ~3ull, 8 },
		{ 1, 0, 4 }, { 4, 256u << 20, 1 }, { 4, 0, NIB_VFIO_MAX_DATA + 1 },
		{ 4, 0, ~0u }, { VFIO_PCI_CONFIG_REGION_INDEX, 4093, 4 },
		{ VFIO_PCI_NUM_REGIONS, 0, 4 }, { ~0u, 0, 4 },
	};
	struct vfio_user_region_access a;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		a = (struct vfio_user_region_access){ bad[i].offset, bad[i].region, bad[i].count };
		ck_assert_int_eq(ask(VFIO_USER_REGION_READ, &a, sizeof(a)), EINVAL);
		ck_assert_int_eq(ask(VFIO_USER_REGION_WRITE, &a, sizeof(a)), EINVAL);
	}
	/* More promised than sent. */
	a = (struct vfio_user_region_access){ 0, 0, 4 };
	ck_assert_int_eq(ask(VFIO_USER_REGION_WRITE, &a, sizeof(a)), EINVAL);
	ck_assert_int_eq(region_read(4, (256u << 20) - 4, 4, &a), 0);
	ck_assert_int_eq(region_read(4, 256u << 20, 0, &a), 0);
}
END_TEST

START_TEST(largest_transfer_works)
{
	static uint8_t data[NIB_VFIO_MAX_DATA];

	ck_assert_int_eq(region_read(4, 4096, NIB_VFIO_MAX_DATA, data), 0);
}
END_TEST

/* --- Configuration space --- */

START_TEST(header_identifies_the_function)
{
	ck_assert_uint_eq(config32(PCI_VENDOR_ID), NIB_PCI_DEVICE_ID << 16 | NIB_PCI_VENDOR_ID);
	ck_assert_uint_eq(config32(PCI_CLASS_REVISION) >> 8, NIB_PCI_CLASS);
	ck_assert_uint_eq(config32(PCI_COMMAND) >> 16 & PCI_STATUS_CAP_LIST, PCI_STATUS_CAP_LIST);
	config_set32(PCI_VENDOR_ID, 0);
	ck_assert_uint_eq(config32(PCI_VENDOR_ID), NIB_PCI_DEVICE_ID << 16 | NIB_PCI_VENDOR_ID);
}
END_TEST

START_TEST(bars_show_their_size)
{
	static const uint64_t sizes[] = { NIB_BAR_REGS_BYTES, NIB_BAR_DOORBELL_BYTES, 256u << 20 };

	for (uint32_t i = 0; i < 3; i++) {
		uint32_t at = PCI_BASE_ADDRESS_0 + i * 8;
		uint64_t mask;

		config_set32(at, ~0u);
		config_set32(at + 4, ~0u);
		mask = config32(at) | (uint64_t)config32(at + 4) << 32;
		ck_assert_uint_eq(mask & 15, i == 2 ? 12 : 4);
		ck_assert_uint_eq(~(mask & ~15ull) + 1, sizes[i]);
		config_set32(at, 0xe0000000);
		config_set32(at + 4, 1);
		ck_assert_uint_eq(config32(at) & ~15u, 0xe0000000);
		ck_assert_uint_eq(config32(at + 4), 1);
	}
}
END_TEST

START_TEST(capabilities_form_a_list)
{
	uint32_t at = config32(PCI_CAPABILITY_LIST) & 0xff, seen = 0;

	for (unsigned int i = 0; at && i < 48; i++) {
		uint32_t head = config32(at);

		switch (head & 0xff) {
		case PCI_CAP_ID_PM:
			seen |= 1;
			break;
		case PCI_CAP_ID_MSIX:
			seen |= 2;
			ck_assert_uint_eq(head >> 16 & PCI_MSIX_FLAGS_QSIZE, 31);
			ck_assert_uint_eq(config32(at + PCI_MSIX_TABLE), NIB_MSIX_TABLE_OFFSET);
			ck_assert_uint_eq(config32(at + PCI_MSIX_PBA), NIB_MSIX_PBA_OFFSET);
			config_set32(at, ~0u);
			ck_assert_uint_eq(config32(at) >> 16, 0xc000 | 31);
			break;
		case PCI_CAP_ID_EXP:
			seen |= 4;
			ck_assert_uint_eq(head >> 20 & 15, PCI_EXP_TYPE_ENDPOINT);
			ck_assert(config32(at + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR);
			break;
		}
		at = head >> 8 & 0xff;
	}
	ck_assert_uint_eq(seen, 7);
	ck_assert_uint_eq(config32(0x100), 0);
}
END_TEST

static uint32_t find_cap(uint32_t id)
{
	uint32_t at = config32(PCI_CAPABILITY_LIST) & 0xff;

	while (at && (config32(at) & 0xff) != id)
		at = config32(at) >> 8 & 0xff;
	return at;
}

static uint32_t resets(void)
{
	uint32_t count;

	ck_assert_int_eq(region_read(0, NIB_REG_RESET_COUNT, 4, &count), 0);
	return count;
}

START_TEST(function_level_reset_by_config_write)
{
	uint32_t exp = find_cap(PCI_CAP_ID_EXP);
	uint16_t control = PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_CERE;

	config_set32(PCI_BASE_ADDRESS_0, 0xe0000000);
	config_set32(PCI_COMMAND, PCI_COMMAND_MEMORY);
	ck_assert_int_eq(region_write(VFIO_PCI_CONFIG_REGION_INDEX, exp + PCI_EXP_DEVCTL, 2,
				      &control), 0);
	ck_assert_uint_eq(resets(), 1);
	ck_assert_uint_eq(config32(PCI_BASE_ADDRESS_0) & ~15u, 0);
	ck_assert_uint_eq(config32(PCI_COMMAND) & 0xffff, 0);
	ck_assert_uint_eq(config32(exp + PCI_EXP_DEVCTL) & PCI_EXP_DEVCTL_BCR_FLR, 0);
	ck_assert_int_eq(ask(VFIO_USER_DEVICE_RESET, "", 0), 0);
	ck_assert_uint_eq(resets(), 2);
}
END_TEST

START_TEST(power_states_are_kept)
{
	uint32_t pm = find_cap(PCI_CAP_ID_PM);

	config_set32(pm + PCI_PM_CTRL, 3);
	ck_assert_uint_eq(config32(pm + PCI_PM_CTRL), 3 | PCI_PM_CTRL_NO_SOFT_RESET);
	config_set32(pm + PCI_PM_CTRL, 0);
	ck_assert_uint_eq(resets(), 0);
}
END_TEST

/* --- Interrupts --- */

static int set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
		    const void *data, size_t bytes, int *fds, unsigned int num)
{
	struct vfio_user_irq_set set = {
		.argsz = (uint32_t)(sizeof(set) + bytes), .flags = flags, .index = index,
		.start = start, .count = count,
	};
	uint8_t request[sizeof(set) + 64];

	memcpy(request, &set, sizeof(set));
	memcpy(request + sizeof(set), data, bytes);
	return ask_fds(VFIO_USER_DEVICE_SET_IRQS, request, sizeof(set) + bytes, fds, num);
}

#define MSIX		VFIO_PCI_MSIX_IRQ_INDEX
#define TRIGGER		VFIO_IRQ_SET_ACTION_TRIGGER
#define EVENTFD		VFIO_IRQ_SET_DATA_EVENTFD

static uint64_t drain(int fd)
{
	uint64_t count = 0;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

/* Wires vectors from @start; @out are descriptors to read from. */
static void wire(uint32_t start, uint32_t count, int *out)
{
	int fds[8];

	for (uint32_t i = 0; i < count; i++) {
		out[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		fds[i] = dup(out[i]);
	}
	ck_assert_int_eq(set_irqs(EVENTFD | TRIGGER, MSIX, start, count, "", 0, fds, count), 0);
}

START_TEST(eventfds_are_signalled)
{
	int fd[8];

	wire(4, 3, fd);
	/* All of a range, then some of it. */
	ck_assert_int_eq(set_irqs(VFIO_IRQ_SET_DATA_NONE | TRIGGER, MSIX, 4, 3, "", 0, NULL, 0), 0);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_uint_eq(drain(fd[i]), 1);
	ck_assert_int_eq(set_irqs(VFIO_IRQ_SET_DATA_BOOL | TRIGGER, MSIX, 4, 3, "\0\1\0", 3, NULL,
				  0), 0);
	ck_assert_uint_eq(drain(fd[0]) + drain(fd[2]), 0);
	ck_assert_uint_eq(drain(fd[1]), 1);
	/* Unwire one, then all. */
	ck_assert_int_eq(set_irqs(EVENTFD | TRIGGER, MSIX, 5, 1, "", 0, NULL, 0), 0);
	set_irqs(VFIO_IRQ_SET_DATA_NONE | TRIGGER, MSIX, 4, 3, "", 0, NULL, 0);
	ck_assert_uint_eq(drain(fd[0]), 1);
	ck_assert_uint_eq(drain(fd[1]), 0);
	ck_assert_int_eq(set_irqs(VFIO_IRQ_SET_DATA_NONE | TRIGGER, MSIX, 0, 0, "", 0, NULL, 0), 0);
	set_irqs(VFIO_IRQ_SET_DATA_NONE | TRIGGER, MSIX, 4, 3, "", 0, NULL, 0);
	/* One was left of the time before. */
	ck_assert_uint_eq(drain(fd[0]), 0);
	ck_assert_uint_eq(drain(fd[2]), 1);
	for (unsigned int i = 0; i < 3; i++)
		close(fd[i]);
}
END_TEST

START_TEST(masked_vectors_wait)
{
	const uint32_t mask = VFIO_IRQ_SET_ACTION_MASK, unmask = VFIO_IRQ_SET_ACTION_UNMASK;
	uint32_t pba;
	int fd[8];

	wire(9, 1, fd);
	ck_assert_int_eq(set_irqs(VFIO_IRQ_SET_DATA_NONE | mask, MSIX, 9, 1, "", 0, NULL, 0), 0);
	set_irqs(VFIO_IRQ_SET_DATA_NONE | TRIGGER, MSIX, 9, 1, "", 0, NULL, 0);
	ck_assert_uint_eq(drain(fd[0]), 0);
	ck_assert_int_eq(region_read(0, NIB_MSIX_PBA_OFFSET, 4, &pba), 0);
	ck_assert_uint_eq(pba, 1u << 9);
	ck_assert_int_eq(set_irqs(VFIO_IRQ_SET_DATA_BOOL | unmask, MSIX, 9, 1, "\1", 1, NULL, 0),
			 0);
	ck_assert_uint_eq(drain(fd[0]), 1);
	ck_assert_int_eq(region_read(0, NIB_MSIX_PBA_OFFSET, 4, &pba), 0);
	ck_assert_uint_eq(pba, 0);
	close(fd[0]);
}
END_TEST

START_TEST(a_full_counter_blocks_nobody)
{
	const uint64_t full = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_CLOEXEC), given = dup(fd);

	ck_assert_int_eq(write(fd, &full, 8), 8);
	ck_assert_int_eq(set_irqs(EVENTFD | TRIGGER, MSIX, 0, 1, "", 0, &given, 1), 0);
	ck_assert_int_eq(set_irqs(VFIO_IRQ_SET_DATA_NONE | TRIGGER, MSIX, 0, 1, "", 0, NULL, 0), 0);
	close(fd);
}
END_TEST

START_TEST(msix_table_is_memory)
{
	uint32_t value = 0xfee00000;

	ck_assert_int_eq(region_write(0, NIB_MSIX_TABLE_OFFSET + 31 * 16, 4, &value), 0);
	value = 0;
	ck_assert_int_eq(region_read(0, NIB_MSIX_TABLE_OFFSET + 31 * 16, 4, &value), 0);
	ck_assert_uint_eq(value, 0xfee00000);
	ck_assert_int_eq(region_read(0, NIB_MSIX_TABLE_OFFSET + 31 * 16 + 12, 4, &value), 0);
	ck_assert_uint_eq(value, PCI_MSIX_ENTRY_CTRL_MASKBIT);
	ck_assert_int_eq(region_write(0, NIB_MSIX_TABLE_OFFSET + 32 * 16, 4, &value), 0);
	ck_assert_int_eq(region_read(0, NIB_MSIX_TABLE_OFFSET + 32 * 16, 4, &value), 0);
	ck_assert_uint_eq(value, 0);
}
END_TEST

START_TEST(wrong_irq_sets_are_refused)
{
	static const struct {
		uint32_t flags, index, start, count;
	} bad[] = {
		{ TRIGGER, MSIX, 0, 1 },				/* no data type */
		{ TRIGGER | EVENTFD | VFIO_IRQ_SET_DATA_NONE, MSIX, 0, 1 },
		{ EVENTFD, MSIX, 0, 1 },				/* no action */
		{ EVENTFD | TRIGGER | VFIO_IRQ_SET_ACTION_MASK, MSIX, 0, 1 },
		{ EVENTFD | TRIGGER | 1 << 6, MSIX, 0, 1 },
		{ EVENTFD | TRIGGER, 3, 0, 0 },
		{ EVENTFD | TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 0, 1 },
		{ EVENTFD | TRIGGER, MSIX, 32, 1 },
		{ EVENTFD | TRIGGER, MSIX, 1, 32 },
		{ EVENTFD | TRIGGER, MSIX, ~0u, 2 },
		{ EVENTFD | TRIGGER, MSIX, 2, ~0u },
		{ VFIO_IRQ_SET_DATA_BOOL | TRIGGER, MSIX, 0, 2 },	/* no data */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(set_irqs(bad[i].flags, bad[i].index, bad[i].start, bad[i].count,
					  "", 0, NULL, 0), EINVAL);
	/* More vectors than descriptors. */
	ck_assert_int_eq(set_irqs(EVENTFD | TRIGGER, MSIX, 0, 2, "", 0,
				  (int[]){ eventfd(0, 0) }, 1), EINVAL);
	ck_assert_int_eq(set_irqs(EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK, MSIX, 0, 1, "", 0, NULL, 0),
			 ENOTSUP);
	ck_assert_int_eq(set_irqs(VFIO_IRQ_SET_DATA_NONE | TRIGGER, VFIO_PCI_INTX_IRQ_INDEX, 0, 0,
				  "", 0, NULL, 0), 0);
}
END_TEST

/* --- DMA --- */

static int dma_map(uint64_t address, uint64_t bytes, uint64_t offset, uint32_t flags, int fd)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map), .flags = flags, .offset = offset, .address = address,
		.bytes = bytes,
	};
	int given = fd < 0 ? -1 : dup(fd);

	return ask_fds(VFIO_USER_DMA_MAP, &map, sizeof(map), &given, fd >= 0);
}

static int dma_unmap(uint64_t address, uint64_t bytes, uint32_t flags)
{
	struct vfio_user_dma_unmap unmap = {
		.argsz = sizeof(unmap), .flags = flags, .address = address, .bytes = bytes,
	};

	return ask(VFIO_USER_DMA_UNMAP, &unmap, sizeof(unmap));
}

static int file_of(uint64_t bytes)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

/* Boots the firmware through messages only: registers, DMA and interrupt at once. */
static uint32_t boot(uint64_t image, uint64_t ctrl)
{
	uint32_t command = NIB_FW_BOOT, state;
	size_t bytes;

	nib_device_builtin_firmware(&bytes);
	ck_assert_int_eq(region_write(0, NIB_REG_FW_ADDR, 8, &image), 0);
	ck_assert_int_eq(region_write(0, NIB_REG_FW_BYTES, 4, &(uint32_t){ (uint32_t)bytes }), 0);
	ck_assert_int_eq(region_write(0, NIB_REG_CTRL_ADDR, 8, &ctrl), 0);
	ck_assert_int_eq(region_write(0, NIB_REG_FW_COMMAND, 4, &command), 0);
	ck_assert_int_eq(region_read(0, NIB_REG_FW_STATE, 4, &state), 0);
	return state;
}

START_TEST(the_device_reaches_mapped_memory)
{
	int fd = file_of(4 << 20), event[8];
	uint8_t *memory = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct nib_ctrl *ctrl = (struct nib_ctrl *)(void *)(memory + 0x100000);
	uint32_t ping = 5;
	size_t bytes;
	const void *image = nib_device_builtin_firmware(&bytes);

	memcpy(memory + 0x1000, image, bytes);
	wire(0, 1, event);
	/* Two maps of one file, in the wrong order. */
	ck_assert_int_eq(dma_map(0x80000000, 0x300000, 0x100000, RW, fd), 0);
	ck_assert_int_eq(dma_map(0x10000000, 0x100000, 0, VFIO_DMA_MAP_FLAG_READ, fd), 0);
	/* Not a byte without leave. */
	ck_assert_uint_eq(boot(0x10001000, 0x80000000), NIB_FW_FAILED);
	config_set32(PCI_COMMAND, PCI_COMMAND_MASTER);
	ck_assert_uint_eq(boot(0x10001000, 0x80000000), NIB_FW_READY);
	ck_assert_int_eq(region_write(2, NIB_DOORBELL_PING, 4, &ping), 0);
	ck_assert_uint_eq(ctrl->ping, 5);
	ck_assert_uint_eq(drain(event[0]), 1);
	/* Gone: a write no longer arrives, and the firmware notices. */
	ck_assert_int_eq(dma_unmap(0x80000000, 0x300000, 0), 0);
	ping = 6;
	ck_assert_int_eq(region_write(2, NIB_DOORBELL_PING, 4, &ping), 0);
	ck_assert_uint_eq(ctrl->ping, 5);
	ck_assert_int_eq(region_read(0, NIB_REG_FW_STATE, 4, &ping), 0);
	ck_assert_uint_eq(ping, NIB_FW_CRASHED);
	/* A control page that may only be read is none. */
	ck_assert_uint_eq(boot(0x10001000, 0x10010000), NIB_FW_FAILED);
	close(event[0]);
	munmap(memory, 4 << 20);
	close(fd);
}
END_TEST

/* A client that cuts its file short takes memory from the firmware, not the process from us. */
START_TEST(a_file_that_shrinks_is_memory_lost)
{
	int fd = file_of(1 << 20);
	uint8_t *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint32_t value = 7;
	size_t bytes;
	const void *image = nib_device_builtin_firmware(&bytes);

	ck_assert_int_eq(nib_guard_install(), 0);
	memcpy(memory, image, bytes);
	ck_assert_int_eq(dma_map(0x10000000, 0x100000, 0, RW, fd), 0);
	config_set32(PCI_COMMAND, PCI_COMMAND_MASTER);
	ck_assert_uint_eq(boot(0x10000000, 0x10010000), NIB_FW_READY);
	ck_assert_int_eq(ftruncate(fd, 0x1000), 0);
	/* Meets the hole; the next one knows of it. */
	ck_assert_int_eq(region_write(2, NIB_DOORBELL_PING, 4, &value), 0);
	ck_assert_int_eq(region_write(2, NIB_DOORBELL_PING, 4, &value), 0);
	ck_assert_int_eq(region_read(0, NIB_REG_FW_STATE, 4, &value), 0);
	ck_assert_uint_eq(value, NIB_FW_CRASHED);
	ck_assert_int_eq(dma_unmap(0x10000000, 0x100000, 0), 0);
	munmap(memory, 1 << 20);
	close(fd);
}
END_TEST

START_TEST(a_lost_link_is_all_ones_and_a_reset)
{
	struct nib_device *device = nib_vfio_user_device(server);
	uint32_t value;

	config_set32(PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	nib_device_link(device, false);
	ck_assert_uint_eq(config32(PCI_VENDOR_ID), UINT32_MAX);
	ck_assert_int_eq(region_read(0, NIB_REG_MAGIC, 4, &value), 0);
	ck_assert_uint_eq(value, UINT32_MAX);
	ck_assert_int_eq(region_read(0, NIB_MSIX_TABLE_OFFSET, 4, &value), 0);
	ck_assert_uint_eq(value, UINT32_MAX);
	ck_assert_int_eq(region_read(NIB_BAR_HBM, 0x1000, 4, &value), 0);
	ck_assert_uint_eq(value, UINT32_MAX);
	config_set32(PCI_COMMAND, PCI_COMMAND_MASTER);
	nib_device_link(device, true);
	ck_assert_uint_eq(config32(PCI_VENDOR_ID), NIB_PCI_DEVICE_ID << 16 | NIB_PCI_VENDOR_ID);
	ck_assert_uint_eq(config32(PCI_COMMAND) & 0xffff, 0);
	ck_assert_int_eq(region_read(0, NIB_REG_MAGIC, 4, &value), 0);
	ck_assert_uint_eq(value, NIB_MAGIC);
}
END_TEST

START_TEST(wrong_dma_maps_are_refused)
{
	int fd = file_of(1 << 20), pipes[2], two[2] = { dup(fd), dup(fd) };
	struct vfio_user_dma_map map = { .argsz = sizeof(map), .flags = RW, .bytes = 4096 };

	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(dma_map(0, 0, 0, RW, fd), EINVAL);
	ck_assert_int_eq(dma_map(0, 4095, 0, RW, fd), EINVAL);
	ck_assert_int_eq(dma_map(1, 4096, 0, RW, fd), EINVAL);
	ck_assert_int_eq(dma_map(0, 4096, 8, RW, fd), EINVAL);
	ck_assert_int_eq(dma_map(~0xfffull, 8192, 0, RW, fd), EINVAL);
	ck_assert_int_eq(dma_map(0, 2 << 20, 0, RW, fd), EINVAL);
	ck_assert_int_eq(dma_map(0, 4096, 1 << 20, RW, fd), EINVAL);
	ck_assert_int_eq(dma_map(0, 4096, ~0xfffull, RW, fd), EINVAL);
	ck_assert_int_eq(dma_map(0, 4096, 0, 4, fd), EINVAL);
	ck_assert_int_eq(dma_map(0, 4096, 0, RW, pipes[0]), EINVAL);
	ck_assert_int_eq(ask_fds(VFIO_USER_DMA_MAP, &map, sizeof(map), two, 2), EINVAL);
	ck_assert_int_eq(dma_map(0x10000, 0x10000, 0, RW, fd), 0);
	ck_assert_int_eq(dma_map(0x10000, 0x10000, 0, RW, fd), EEXIST);
	ck_assert_int_eq(dma_map(0xf000, 0x2000, 0, RW, fd), EEXIST);
	ck_assert_int_eq(dma_map(0x1f000, 0x2000, 0, RW, fd), EEXIST);
	ck_assert_int_eq(dma_map(0, 0x100000, 0, RW, fd), EEXIST);
	ck_assert_int_eq(dma_map(0x20000, 0x1000, 0, RW, fd), 0);
	ck_assert_int_eq(dma_map(0xf000, 0x1000, 0, RW, fd), 0);
	ck_assert_int_eq(dma_map(~0xfffull, 4096, 0, RW, fd), 0);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}
END_TEST

START_TEST(unmap_takes_whole_maps)
{
	int fd = file_of(1 << 20);

	for (uint64_t i = 0; i < 4; i++)
		ck_assert_int_eq(dma_map(i * 0x4000, 0x2000, 0, RW, fd), 0);
	/* Without a descriptor: known, but out of reach. */
	ck_assert_int_eq(dma_map(0x40000, 0x1000, 0, RW, -1), 0);
	ck_assert_int_eq(dma_unmap(0x1000, 0x1000, 0), EINVAL);
	ck_assert_int_eq(dma_unmap(0x0, 0x1000, 0), EINVAL);
	ck_assert_int_eq(dma_unmap(0x0, 0x5000, 0), EINVAL);
	ck_assert_int_eq(dma_unmap(0x2000, 0x1000, 0), ENOENT);
	ck_assert_int_eq(dma_unmap(0, 0, 0), EINVAL);
	ck_assert_int_eq(dma_unmap(0x1000, ~0ull, 0), EINVAL);
	ck_assert_int_eq(dma_unmap(0, 0x6000, 0), 0);
	ck_assert_uint_eq(body_bytes, sizeof(struct vfio_user_dma_unmap));
	ck_assert_int_eq(dma_unmap(0, 0x2000, 0), ENOENT);
	ck_assert_int_eq(dma_unmap(0, 0x1000, VFIO_DMA_UNMAP_FLAG_ALL), EINVAL);
	ck_assert_int_eq(dma_unmap(0, 0, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP), EINVAL);
	ck_assert_int_eq(dma_unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 0);
	ck_assert_int_eq(dma_unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 0);
	ck_assert_int_eq(dma_unmap(0x8000, 0x2000, 0), ENOENT);
	close(fd);
}
END_TEST

START_TEST(maps_are_limited)
{
	int fd = file_of(1 << 20);

	for (uint64_t i = 0; i < NIB_VFIO_MAX_MAPS; i++)
		ck_assert_int_eq(dma_map(i * 4096, 4096, 0, RW, i % 16 ? -1 : fd), 0);
	ck_assert_int_eq(dma_map(1ull << 40, 4096, 0, RW, fd), ENOSPC);
	close(fd);
}
END_TEST

/* --- nib-sim --- */

static char path[64];
static pid_t sim;

static void start_sim(const char *option)
{
	const char *build = getenv("BUILD");
	char program[256];

	snprintf(path, sizeof(path), "/tmp/nib-test-%d.sock", (int)getpid());
	snprintf(program, sizeof(program), "%s/nib-sim", build ? build : "build");
	sim = fork();
	if (!sim) {
		execl(program, program, "--socket", path, "--log", "error", option, NULL);
		_exit(127);
	}
	for (unsigned int i = 0; i < 500 && access(path, F_OK); i++)
		usleep(10000);
}

static int end_sim(int sig)
{
	int status;

	if (sig)
		kill(sim, sig);
	ck_assert_int_eq(waitpid(sim, &status, 0), sim);
	ck_assert_int_ne(access(path, F_OK), 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int dial(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Sends bytes as they are. */
static void say(int fd, const void *data, size_t bytes)
{
	ck_assert_int_eq((int)send(fd, data, bytes, MSG_NOSIGNAL), (int)bytes);
}

static void say_request(int fd, uint16_t command, const void *data, size_t bytes)
{
	struct vfio_user_header header = { .id = 1, .command = command,
					   .bytes = (uint32_t)(sizeof(header) + bytes) };

	/* In pieces, as a stream may deliver them. */
	say(fd, &header, 5);
	usleep(1000);
	say(fd, (uint8_t *)&header + 5, sizeof(header) - 5);
	if (bytes)
		say(fd, data, bytes);
}

/* Receives one reply; returns its error, or -1 at the end of the connection. */
static int hear(int fd)
{
	struct vfio_user_header header;

	if (recv(fd, &header, sizeof(header), MSG_WAITALL) != sizeof(header))
		return -1;
	body_bytes = header.bytes - sizeof(header);
	if (body_bytes && recv(fd, body, body_bytes, MSG_WAITALL) != (ssize_t)body_bytes)
		return -1;
	return (int)header.error;
}

static void sim_hello(int fd)
{
	static const char hello[] = "\0\0\0\0{\"capabilities\":{}}";

	say_request(fd, VFIO_USER_VERSION, hello, sizeof(hello));
	ck_assert_int_eq(hear(fd), 0);
}

static uint32_t sim_register(int fd, uint64_t reg)
{
	struct vfio_user_region_access a = { .offset = reg, .region = 0, .count = 4 };
	uint32_t value;

	say_request(fd, VFIO_USER_REGION_READ, &a, sizeof(a));
	ck_assert_int_eq(hear(fd), 0);
	memcpy(&value, body + sizeof(a), 4);
	return value;
}

START_TEST(clients_come_and_go)
{
	int fd;

	start_sim(NULL);
	for (unsigned int i = 0; i < 3; i++) {
		fd = dial();
		sim_hello(fd);
		ck_assert_uint_eq(sim_register(fd, NIB_REG_MAGIC), NIB_MAGIC);
		/* Fresh from power-on, every time. */
		ck_assert_uint_eq(sim_register(fd, NIB_REG_RESET_COUNT), 0);
		say_request(fd, VFIO_USER_DEVICE_RESET, NULL, 0);
		ck_assert_int_eq(hear(fd), 0);
		ck_assert_uint_eq(sim_register(fd, NIB_REG_RESET_COUNT), 1);
		close(fd);
	}
	ck_assert_int_eq(end_sim(_i ? SIGINT : SIGTERM), 0);
}
END_TEST

START_TEST(broken_clients_are_cut_off)
{
	static const uint8_t huge[16] = { 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t tiny[16] = { 0, 0, 1, 0, 3 };
	int fd;

	start_sim(NULL);
	fd = dial();
	say(fd, huge, sizeof(huge));
	ck_assert_int_eq(hear(fd), -1);
	close(fd);
	fd = dial();
	say(fd, tiny, sizeof(tiny));
	ck_assert_int_eq(hear(fd), -1);
	close(fd);
	/* Half a header, half a body, and a reply that nobody reads. */
	fd = dial();
	say(fd, huge, 7);
	close(fd);
	fd = dial();
	say(fd, &(struct vfio_user_header){ .command = 1, .bytes = 100 }, 16);
	close(fd);
	fd = dial();
	sim_hello(fd);
	say_request(fd, VFIO_USER_DEVICE_RESET, NULL, 0);
	close(fd);
	/* And it still serves. */
	fd = dial();
	sim_hello(fd);
	ck_assert_uint_eq(sim_register(fd, NIB_REG_MAGIC), NIB_MAGIC);
	/* The end comes in the middle of a message, too. */
	say(fd, huge, 3);
	usleep(10000);
	ck_assert_int_eq(end_sim(SIGTERM), 0);
	close(fd);
}
END_TEST

START_TEST(too_many_descriptors_are_cut_off)
{
	struct vfio_user_header header = { .command = VFIO_USER_DEVICE_RESET, .bytes = 16 };
	char control[CMSG_SPACE(20 * sizeof(int))] = { 0 };
	struct iovec iov = { &header, sizeof(header) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd;

	start_sim("--once");
	fd = dial();
	sim_hello(fd);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(20 * sizeof(int));
	for (unsigned int i = 0; i < 20; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	ck_assert_int_eq((int)sendmsg(fd, &msg, MSG_NOSIGNAL), (int)sizeof(header));
	ck_assert_int_eq(hear(fd), -1);
	close(fd);
	ck_assert_int_eq(end_sim(0), 0);
}
END_TEST

START_TEST(once_is_once)
{
	int fd;

	start_sim("--once");
	fd = dial();
	sim_hello(fd);
	close(fd);
	ck_assert_int_eq(end_sim(0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vfio_user");
	TCase *raw = tcase_create("negotiation"), *requests = tcase_create("requests");
	TCase *process = tcase_create("nib-sim");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(raw, setup_raw, teardown);
	tcase_add_test(raw, version_is_exactly_0_0);
	tcase_add_test(raw, who_cannot_negotiate_is_cut_off);
	tcase_add_checked_fixture(requests, setup, teardown);
	tcase_add_test(requests, headers_that_no_client_sends_are_cut_off);
	tcase_add_test(requests, no_reply_means_none);
	tcase_add_test(requests, unknown_commands_are_refused);
	tcase_add_test(requests, short_bodies_are_refused);
	tcase_add_test(requests, device_info);
	tcase_add_test(requests, region_info);
	tcase_add_test(requests, window_is_the_same_memory);
	tcase_add_test(requests, irq_info);
	tcase_add_test(requests, registers_answer);
	tcase_add_test(requests, accesses_stay_in_their_region);
	tcase_add_test(requests, largest_transfer_works);
	tcase_add_test(requests, header_identifies_the_function);
	tcase_add_test(requests, bars_show_their_size);
	tcase_add_test(requests, capabilities_form_a_list);
	tcase_add_test(requests, function_level_reset_by_config_write);
	tcase_add_test(requests, power_states_are_kept);
	tcase_add_test(requests, eventfds_are_signalled);
	tcase_add_test(requests, masked_vectors_wait);
	tcase_add_test(requests, a_full_counter_blocks_nobody);
	tcase_add_test(requests, msix_table_is_memory);
	tcase_add_test(requests, wrong_irq_sets_are_refused);
	tcase_add_test(requests, the_device_reaches_mapped_memory);
	tcase_add_test(requests, a_file_that_shrinks_is_memory_lost);
	tcase_add_test(requests, a_lost_link_is_all_ones_and_a_reset);
	tcase_add_test(requests, wrong_dma_maps_are_refused);
	tcase_add_test(requests, unmap_takes_whole_maps);
	tcase_add_test(requests, maps_are_limited);
	tcase_set_timeout(process, 30);
	tcase_add_loop_test(process, clients_come_and_go, 0, 2);
	tcase_add_test(process, broken_clients_are_cut_off);
	tcase_add_test(process, too_many_descriptors_are_cut_off);
	tcase_add_test(process, once_is_once);
	suite_add_tcase(suite, raw);
	suite_add_tcase(suite, requests);
	suite_add_tcase(suite, process);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
