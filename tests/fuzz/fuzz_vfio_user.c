// SPDX-License-Identifier: MIT
/*
 * vfio-user messages from a client that nobody vouches for. Input: records of four bytes and a
 * body. Byte 0: command, 15 takes it from the body's first two bytes; byte 1: bits 0..2 how many
 * descriptors, bit 3 eventfds rather than files, bit 4 a header length that is wrong, bit 5 no
 * reply, bit 6 a reply, bit 7 execute what is queued; bytes 2 and 3: length of the body, of which
 * bit 15 says that a valid body lies below, to be changed by xor. The first bit of the input says
 * whether the version is negotiated before.
 */
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vfio_user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_BYTES (64u << 10)

static void require(bool what)
{
	if (!what)
		abort();
}

static int make_fd(bool event)
{
	int fd = event ? eventfd(0, EFD_CLOEXEC) : memfd_create("fuzz", MFD_CLOEXEC);

	require(fd >= 0);
	if (!event)
		require(ftruncate(fd, FILE_BYTES) == 0);
	return fd;
}

/* A body that the server likes; returns its length. */
static size_t make_body(uint16_t command, uint8_t how, uint8_t *body)
{
	const uint32_t eventfds = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	static const uint32_t argsz[16] = {
		[VFIO_USER_DMA_MAP] = sizeof(struct vfio_user_dma_map),
		[VFIO_USER_DMA_UNMAP] = sizeof(struct vfio_user_dma_unmap),
		[VFIO_USER_DEVICE_GET_INFO] = sizeof(struct vfio_user_device_info),
		[VFIO_USER_DEVICE_GET_REGION_INFO] = sizeof(struct vfio_user_region_info),
		[VFIO_USER_DEVICE_GET_IRQ_INFO] = sizeof(struct vfio_user_irq_info),
		[VFIO_USER_DEVICE_SET_IRQS] = sizeof(struct vfio_user_irq_set),
	};
	size_t bytes = argsz[command & 15];

	memset(body, 0, 64);
	memcpy(body, &argsz[command & 15], 4);
	if (command == VFIO_USER_DMA_MAP)
		memcpy(body, &(struct vfio_user_dma_map){ (uint32_t)bytes, 3, 0, 0x10000, 0x4000 },
		       bytes);
	if (command == VFIO_USER_DMA_UNMAP)
		memcpy(body, &(struct vfio_user_dma_unmap){ (uint32_t)bytes, 0, 0x10000, 0x4000 },
		       bytes);
	if (command == VFIO_USER_DEVICE_SET_IRQS)
		memcpy(body, &(struct vfio_user_irq_set){ (uint32_t)bytes, eventfds, 2, 0,
							  how & 7u }, bytes);
	if (command == VFIO_USER_REGION_READ || command == VFIO_USER_REGION_WRITE) {
		/* The data of a write follows. */
		bytes = sizeof(struct vfio_user_region_access);
		memcpy(body, &(struct vfio_user_region_access){ 0x100, 0, 4 }, bytes);
		bytes += command == VFIO_USER_REGION_WRITE ? 8 : 0;
	}
	return bytes;
}

/* Sends one message and checks what any reply must be. False: the client was cut off. */
static bool send_message(struct nib_vfio_user *server, uint16_t command, uint8_t how,
			 const uint8_t *body, size_t bytes)
{
	struct vfio_user_header header = {
		.id = 0x1234, .command = command, .bytes = (uint32_t)(sizeof(header) + bytes),
		.flags = (how & 32 ? VFIO_USER_NO_REPLY : 0) | (how & 64 ? VFIO_USER_REPLY : 0),
	};
	/* Exactly as long as it says, so that a sanitizer sees the first byte too many. */
	uint8_t *message = malloc(sizeof(header) + bytes);
	int fds[NIB_VFIO_MAX_FDS], err;
	struct nib_vfio_reply reply;
	unsigned int num = how & 7;

	require(message);
	header.bytes += how & 16 ? 1 : 0;
	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), body, bytes);
	for (unsigned int i = 0; i < num; i++)
		fds[i] = make_fd(how & 8);
	err = nib_vfio_user_handle(server, message, sizeof(header) + bytes, fds, num, &reply);
	for (unsigned int i = 0; i < num; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(message);
	if (reply.bytes) {
		memcpy(&header, reply.data, sizeof(header));
		require(header.bytes == reply.bytes && reply.bytes <= NIB_VFIO_MAX_BYTES);
		require(header.id == 0x1234 && header.command == command && !(how & 32));
		require(!(header.flags & VFIO_USER_ERROR) == !header.error);
	}
	return !err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nib_vfio_config config = { .chip = "small", .kernels = "scalar" };
	static const uint8_t hello[4];
	struct nib_vfio_user *server;
	uint8_t body[1024 + 64];
	char error[256];
	bool on = true;

	if (!size)
		return 0;
	require(!nib_vfio_user_create(&config, error, sizeof(error), &server));
	if (!(data[0] & 1))
		on = send_message(server, VFIO_USER_VERSION, 0, hello, sizeof(hello));
	data++;
	size--;
	while (on && size >= 4) {
		uint16_t command = data[0] & 15;
		uint8_t how = data[1];
		size_t bytes = data[2] | (size_t)(data[3] & 3) << 8, least = 0;

		memset(body, 0, sizeof(body));
		if (data[3] & 128)
			least = make_body(command, how, body);
		data += 4;
		size -= 4;
		bytes = bytes < size ? bytes : size;
		for (size_t i = 0; i < bytes; i++)
			body[i] ^= data[i];
		if (command == 15 && bytes >= 2)
			command = (uint16_t)(data[0] | data[1] << 8);
		on = send_message(server, command, how, body, bytes > least ? bytes : least);
		if (how & 128)
			nib_device_run(nib_vfio_user_device(server), 16);
		data += bytes;
		size -= bytes;
	}
	nib_vfio_user_destroy(server);
	return 0;
}
