/* SPDX-License-Identifier: MIT */
/*
 * The device as a vfio-user 0.0 server: one message in, one reply out. No socket in here: main.c
 * moves the bytes, tests call it directly.
 */
#ifndef NIB_VFIO_USER_H
#define NIB_VFIO_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "nib_device.h"

/* Wire format, after the vfio-user specification in QEMU's documentation. */
enum vfio_user_command {
	VFIO_USER_VERSION = 1,
	VFIO_USER_DMA_MAP = 2,
	VFIO_USER_DMA_UNMAP = 3,
	VFIO_USER_DEVICE_GET_INFO = 4,
	VFIO_USER_DEVICE_GET_REGION_INFO = 5,
	VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
	VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
	VFIO_USER_DEVICE_SET_IRQS = 8,
	VFIO_USER_REGION_READ = 9,
	VFIO_USER_REGION_WRITE = 10,
	VFIO_USER_DMA_READ = 11,
	VFIO_USER_DMA_WRITE = 12,
	VFIO_USER_DEVICE_RESET = 13,
	VFIO_USER_DIRTY_PAGES = 14,
};

#define VFIO_USER_TYPE_MASK	0xfu
#define VFIO_USER_REQUEST	0x0u
#define VFIO_USER_REPLY		0x1u
#define VFIO_USER_NO_REPLY	0x10u
#define VFIO_USER_ERROR		0x20u

struct vfio_user_header {
	uint16_t id;
	uint16_t command;
	uint32_t bytes;		/* of the message, this header included */
	uint32_t flags;
	uint32_t error;
};

struct vfio_user_version {
	uint16_t major;
	uint16_t minor;
	/* JSON text with its zero */
};

struct vfio_user_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset;
	uint64_t address;
	uint64_t bytes;
};

struct vfio_user_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t bytes;
};

struct vfio_user_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
};

struct vfio_user_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t bytes;
	uint64_t offset;
};

struct vfio_user_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};

struct vfio_user_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
};

struct vfio_user_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};

#define NIB_VFIO_MAX_FDS	8u
#define NIB_VFIO_MAX_DATA	(1u << 20)
#define NIB_VFIO_MAX_BYTES	(NIB_VFIO_MAX_DATA + 64u)
#define NIB_VFIO_MAX_MAPS	1024u

/**
 * struct nib_vfio_config - how to make a server.
 * @chip: as nib_device_config.
 * @kernels: as nib_device_config.
 * @threads: as nib_device_config.
 * @pin: as nib_device_config.
 * @inject: as nib_device_config.
 * @kick: as nib_host_ops, with @arg. May be NULL.
 * @log: as nib_host_ops, with @arg. May be NULL.
 */
struct nib_vfio_config {
	const char *chip;
	const char *kernels;
	unsigned int threads;
	enum nib_pin pin;
	bool inject;
	void (*kick)(void *arg);
	void (*log)(void *arg, int level, const char *line);
	void *arg;
};

struct nib_vfio_user;

/* Errors as nib_device_create(). */
int nib_vfio_user_create(const struct nib_vfio_config *config, char *error, size_t error_bytes,
			 struct nib_vfio_user **server);
/* The thread that executes packets must have ended. */
void nib_vfio_user_destroy(struct nib_vfio_user *server);
struct nib_device *nib_vfio_user_device(struct nib_vfio_user *server);

/**
 * nib_vfio_user_bytes - length of the message that a header starts.
 *
 * Returns -EPROTO for one that no client of ours sends: close the connection.
 */
int nib_vfio_user_bytes(const struct vfio_user_header *header, uint32_t *bytes);

/**
 * struct nib_vfio_reply - what to send back.
 * @data: message, owned by the server, good until the next request.
 * @bytes: its length; 0: nothing is to be sent.
 * @fd: to attach, owned by the server; -1 for none.
 */
struct nib_vfio_reply {
	const uint8_t *data;
	size_t bytes;
	int fd;
};

/**
 * nib_vfio_user_handle - one request.
 * @data: the message, @bytes of it: as many as its header says.
 * @fds: what came with it; those that the server keeps are replaced by -1.
 *
 * Requests that are wrong are answered with an error. Returns 0, or -EPROTO for a client that must
 * be cut off; @reply may still hold an answer to send before.
 */
int nib_vfio_user_handle(struct nib_vfio_user *server, const uint8_t *data, size_t bytes, int *fds,
			 unsigned int num_fds, struct nib_vfio_reply *reply);

#endif
