// SPDX-License-Identifier: MIT
/*
 * vfio-user requests: checks them, does what they ask, writes the reply. Whatever a client sends,
 * numbers are bounded before they are used, and a wrong one costs it an error reply.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "guard.h"
#include "pci.h"
#include "vfio_user.h"

#define PAGE 4096ull
#define VERSION_JSON \
	"{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576}}"

/**
 * struct dma_map - a piece of the client's memory.
 * @at: where it is mapped here; NULL: it came without a descriptor and cannot be reached.
 * @guard: of that mapping.
 */
struct dma_map {
	uint64_t address;
	uint64_t bytes;
	uint8_t *at;
	struct nib_guard *guard;
	bool read;
	bool write;
};

/**
 * struct nib_vfio_user - a server.
 * @maps: sorted by address; changed only while the device is quiesced.
 */
struct nib_vfio_user {
	struct nib_vfio_config config;
	struct nib_device *device;
	struct nib_pci pci;
	bool negotiated;
	unsigned int num_maps;
	struct dma_map maps[NIB_VFIO_MAX_MAPS];
	uint8_t reply[NIB_VFIO_MAX_BYTES];
};

/**
 * struct request - a message being handled.
 * @body: what follows the header.
 * @answer: where the reply's body goes.
 * @answer_bytes: its length so far.
 * @answer_fd: descriptor for the reply, or -1.
 */
struct request {
	struct nib_vfio_user *server;
	const uint8_t *body;
	size_t body_bytes;
	int *fds;
	unsigned int num_fds;
	uint8_t *answer;
	size_t answer_bytes;
	int answer_fd;
};

/* Copies the fixed part of a body; what is too short is refused. */
static int take(const struct request *r, void *to, size_t bytes)
{
	if (r->body_bytes < bytes)
		return -EINVAL;
	memcpy(to, r->body, bytes);
	return 0;
}

static void answer(struct request *r, const void *from, size_t bytes)
{
	memcpy(r->answer + r->answer_bytes, from, bytes);
	r->answer_bytes += bytes;
}

static void host_log(void *host, int level, const char *line)
{
	struct nib_vfio_user *s = host;

	if (s->config.log)
		s->config.log(s->config.arg, level, line);
}

/* --- DMA --- */

/* Index of the first map that ends after @address. */
static unsigned int dma_find(const struct nib_vfio_user *s, uint64_t address)
{
	unsigned int low = 0, high = s->num_maps, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (s->maps[mid].address + (s->maps[mid].bytes - 1) < address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void *host_dma(void *host, uint64_t address, size_t bytes, bool write)
{
	const struct nib_vfio_user *s = host;
	unsigned int i = dma_find(s, address);
	const struct dma_map *map = &s->maps[i];

	if (!nib_pci_is_master(&s->pci)) {
		host_log(host, 4, "DMA while bus mastering is off");
		return NULL;
	}
	if (i == s->num_maps || address < map->address || !map->at ||
	    bytes > map->bytes - (address - map->address) || (write ? !map->write : !map->read))
		return NULL;
	if (nib_guard_is_lost(map->guard)) {
		host_log(host, 4, "DMA to memory whose file was cut short");
		return NULL;
	}
	return map->at + (address - map->address);
}

static int dma_map_check(const struct nib_vfio_user *s, const struct vfio_user_dma_map *map,
			 const struct request *r)
{
	unsigned int next;

	if (map->argsz < sizeof(*map) || !map->bytes || map->bytes % PAGE || map->address % PAGE ||
	    map->offset % PAGE || map->address + (map->bytes - 1) < map->address ||
	    (map->flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)) ||
	    r->num_fds > 1)
		return -EINVAL;
	if (s->num_maps == NIB_VFIO_MAX_MAPS)
		return -ENOSPC;
	next = dma_find(s, map->address);
	if (next < s->num_maps && s->maps[next].address <= map->address + (map->bytes - 1))
		return -EEXIST;
	return 0;
}

/* Maps the client's file. A page past its end would be a bus error at the first access. */
static int dma_map_file(const struct vfio_user_dma_map *map, int fd, uint8_t **at)
{
	int prot = (map->flags & VFIO_DMA_MAP_FLAG_READ ? PROT_READ : 0) |
		   (map->flags & VFIO_DMA_MAP_FLAG_WRITE ? PROT_WRITE : 0);
	struct stat info;
	void *p;

	if (fstat(fd, &info))
		return -errno;
	if (!S_ISREG(info.st_mode) || map->offset > (uint64_t)info.st_size ||
	    map->bytes > (uint64_t)info.st_size - map->offset || map->bytes > SIZE_MAX)
		return -EINVAL;
	p = mmap(NULL, (size_t)map->bytes, prot, MAP_SHARED | MAP_NORESERVE, fd,
		 (off_t)map->offset);
	if (p == MAP_FAILED)
		return -errno;
	*at = p;
	return 0;
}

static int handle_dma_map(struct request *r)
{
	struct nib_vfio_user *s = r->server;
	struct vfio_user_dma_map map;
	uint8_t *at = NULL;
	unsigned int i;
	int err;

	err = take(r, &map, sizeof(map));
	if (!err)
		err = dma_map_check(s, &map, r);
	/* Without a descriptor (device memory of others) there is nothing to reach. */
	if (!err && r->num_fds)
		err = dma_map_file(&map, r->fds[0], &at);
	if (err)
		return err;
	nib_device_quiesce(s->device);
	i = dma_find(s, map.address);
	memmove(&s->maps[i + 1], &s->maps[i], (s->num_maps - i) * sizeof(s->maps[0]));
	s->maps[i] = (struct dma_map){
		.address = map.address,
		.bytes = map.bytes,
		.at = at,
		.guard = at ? nib_guard_add(at, (size_t)map.bytes) : NULL,
		.read = map.flags & VFIO_DMA_MAP_FLAG_READ,
		.write = map.flags & VFIO_DMA_MAP_FLAG_WRITE,
	};
	s->num_maps++;
	nib_device_resume(s->device);
	return 0;
}

/* Removes maps first..first + count - 1. */
static void dma_remove(struct nib_vfio_user *s, unsigned int first, unsigned int count)
{
	nib_device_quiesce(s->device);
	for (unsigned int i = first; i < first + count; i++) {
		nib_guard_remove(s->maps[i].guard);
		if (s->maps[i].at)
			munmap(s->maps[i].at, (size_t)s->maps[i].bytes);
	}
	memmove(&s->maps[first], &s->maps[first + count],
		(s->num_maps - first - count) * sizeof(s->maps[0]));
	s->num_maps -= count;
	nib_device_resume(s->device);
}

static int handle_dma_unmap(struct request *r)
{
	struct nib_vfio_user *s = r->server;
	struct vfio_user_dma_unmap unmap;
	unsigned int first, last;
	uint64_t end;
	int err;

	err = take(r, &unmap, sizeof(unmap));
	if (err)
		return err;
	if (unmap.argsz < sizeof(unmap) || (unmap.flags & ~VFIO_DMA_UNMAP_FLAG_ALL))
		return -EINVAL;
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (unmap.address || unmap.bytes)
			return -EINVAL;
		dma_remove(s, 0, s->num_maps);
		answer(r, &unmap, sizeof(unmap));
		return 0;
	}
	end = unmap.address + (unmap.bytes - 1);
	if (!unmap.bytes || end < unmap.address)
		return -EINVAL;
	/* Whole maps only. */
	first = dma_find(s, unmap.address);
	for (last = first; last < s->num_maps && s->maps[last].address <= end; last++)
		if (s->maps[last].address < unmap.address ||
		    s->maps[last].address + (s->maps[last].bytes - 1) > end)
			return -EINVAL;
	if (first == last)
		return -ENOENT;
	dma_remove(s, first, last - first);
	answer(r, &unmap, sizeof(unmap));
	return 0;
}

/* --- What there is --- */

static int handle_version(struct request *r)
{
	struct vfio_user_version version;
	int err = take(r, &version, sizeof(version));

	if (err)
		return err;
	if (version.major != 0)
		return -ENOTSUP;
	if (r->body_bytes > sizeof(version) && r->body[r->body_bytes - 1])
		return -EINVAL;
	r->server->negotiated = true;
	version.minor = 0;
	answer(r, &version, sizeof(version));
	answer(r, VERSION_JSON, sizeof(VERSION_JSON));
	return 0;
}

static int handle_device_info(struct request *r)
{
	struct vfio_user_device_info info;
	int err = take(r, &info, sizeof(info));

	if (err)
		return err;
	if (info.argsz < sizeof(info))
		return -EINVAL;
	info = (struct vfio_user_device_info){
		.argsz = sizeof(info),
		.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET,
		.num_regions = VFIO_PCI_NUM_REGIONS,
		.num_irqs = VFIO_PCI_MSIX_IRQ_INDEX + 1,
	};
	answer(r, &info, sizeof(info));
	return 0;
}

static uint64_t region_bytes(const struct nib_vfio_user *s, uint32_t index)
{
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		return NIB_PCI_CONFIG_BYTES;
	return index <= VFIO_PCI_BAR5_REGION_INDEX ? nib_pci_bar_bytes(&s->pci, index) : 0;
}

static int handle_region_info(struct request *r)
{
	struct nib_vfio_user *s = r->server;
	struct vfio_user_region_info info;
	int err = take(r, &info, sizeof(info));

	if (err)
		return err;
	if (info.argsz < sizeof(info) || info.index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info.argsz = sizeof(info);
	info.flags = 0;
	info.cap_offset = 0;
	info.offset = 0;
	info.bytes = region_bytes(s, info.index);
	if (info.bytes)
		info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (info.index == NIB_BAR_HBM) {
		info.flags |= VFIO_REGION_INFO_FLAG_MMAP;
		nib_device_window(s->device, &r->answer_fd, NULL);
	}
	answer(r, &info, sizeof(info));
	return 0;
}

/* --- Interrupts --- */

static int handle_irq_info(struct request *r)
{
	struct vfio_user_irq_info info;
	int err = take(r, &info, sizeof(info));

	if (err)
		return err;
	if (info.argsz < sizeof(info) || info.index > VFIO_PCI_MSIX_IRQ_INDEX)
		return -EINVAL;
	info.argsz = sizeof(info);
	info.flags = 0;
	info.count = 0;
	if (info.index == VFIO_PCI_MSIX_IRQ_INDEX) {
		info.flags = VFIO_IRQ_INFO_EVENTFD;
		info.count = NIB_MSIX_VECTORS;
	}
	answer(r, &info, sizeof(info));
	return 0;
}

static int irqs_trigger(struct request *r, const struct vfio_user_irq_set *set)
{
	struct nib_pci *pci = &r->server->pci;
	const uint8_t *which = r->body + sizeof(*set);

	switch (set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		/* No vectors means: take them all down. */
		for (uint32_t i = 0; !set->count && i < NIB_MSIX_VECTORS; i++)
			nib_pci_wire(pci, i, -1);
		for (uint32_t i = 0; i < set->count; i++)
			nib_pci_interrupt(pci, set->start + i);
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		for (uint32_t i = 0; i < set->count; i++)
			if (which[i])
				nib_pci_interrupt(pci, set->start + i);
		return 0;
	default:
		/* As many descriptors as vectors, or none to unwire them. */
		if (r->num_fds && r->num_fds != set->count)
			return -EINVAL;
		for (uint32_t i = 0; i < set->count; i++) {
			int fd = r->num_fds ? r->fds[i] : -1;

			/* A full counter must not block the thread that executes packets. */
			if (fd >= 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK))
				return -EINVAL;
			if (fd >= 0)
				r->fds[i] = -1;
			nib_pci_wire(pci, set->start + i, fd);
		}
		return 0;
	}
}

static int irqs_mask(struct request *r, const struct vfio_user_irq_set *set, bool masked)
{
	const uint8_t *which = r->body + sizeof(*set);
	uint32_t type = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;

	if (type == VFIO_IRQ_SET_DATA_EVENTFD)
		return -ENOTSUP;
	for (uint32_t i = 0; i < set->count; i++)
		if (type == VFIO_IRQ_SET_DATA_NONE || which[i])
			nib_pci_mask(&r->server->pci, set->start + i, masked);
	return 0;
}

static int handle_set_irqs(struct request *r)
{
	struct vfio_user_irq_set set;
	uint32_t type, action, limit;
	int err = take(r, &set, sizeof(set));

	if (err)
		return err;
	type = set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	action = set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	limit = set.index == VFIO_PCI_MSIX_IRQ_INDEX ? NIB_MSIX_VECTORS : 0;
	if (set.argsz < sizeof(set) || set.index > VFIO_PCI_MSIX_IRQ_INDEX ||
	    set.start > limit || set.count > limit - set.start ||
	    (set.flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK)) ||
	    (type & (type - 1)) || !type)
		return -EINVAL;
	if (type == VFIO_IRQ_SET_DATA_BOOL && r->body_bytes - sizeof(set) < set.count)
		return -EINVAL;
	/* Taking down what was never there is no mistake. */
	if (!limit)
		return 0;
	switch (action) {
	case VFIO_IRQ_SET_ACTION_TRIGGER:
		return irqs_trigger(r, &set);
	case VFIO_IRQ_SET_ACTION_MASK:
		return irqs_mask(r, &set, true);
	case VFIO_IRQ_SET_ACTION_UNMASK:
		return irqs_mask(r, &set, false);
	default:
		return -EINVAL;
	}
}

/* --- Regions --- */

static int region_check(const struct nib_vfio_user *s, const struct vfio_user_region_access *a)
{
	uint64_t size;

	if (a->region >= VFIO_PCI_NUM_REGIONS || a->count > NIB_VFIO_MAX_DATA)
		return -EINVAL;
	size = region_bytes(s, a->region);
	return a->offset > size || a->count > size - a->offset ? -EINVAL : 0;
}

static int handle_region_read(struct request *r)
{
	struct nib_vfio_user *s = r->server;
	struct vfio_user_region_access a;
	uint8_t *to;
	int err = take(r, &a, sizeof(a));

	if (!err)
		err = region_check(s, &a);
	if (err)
		return err;
	answer(r, &a, sizeof(a));
	to = r->answer + r->answer_bytes;
	if (a.region == VFIO_PCI_CONFIG_REGION_INDEX)
		nib_pci_config_read(&s->pci, a.offset, to, a.count);
	else if (a.region == NIB_BAR_HBM && nib_pci_answers(&s->pci))
		memcpy(to, (uint8_t *)nib_device_window(s->device, NULL, NULL) + a.offset,
		       a.count);
	else
		nib_pci_bar_read(&s->pci, a.region, a.offset, to, a.count);
	r->answer_bytes += a.count;
	return 0;
}

static int handle_region_write(struct request *r)
{
	struct nib_vfio_user *s = r->server;
	const uint8_t *from = r->body + sizeof(struct vfio_user_region_access);
	struct vfio_user_region_access a;
	int err = take(r, &a, sizeof(a));

	if (!err)
		err = region_check(s, &a);
	if (!err && r->body_bytes - sizeof(a) < a.count)
		err = -EINVAL;
	if (err)
		return err;
	if (a.region == VFIO_PCI_CONFIG_REGION_INDEX)
		nib_pci_config_write(&s->pci, a.offset, from, a.count);
	else if (a.region == NIB_BAR_HBM && nib_pci_answers(&s->pci))
		memcpy((uint8_t *)nib_device_window(s->device, NULL, NULL) + a.offset, from,
		       a.count);
	else
		nib_pci_bar_write(&s->pci, a.region, a.offset, from, a.count);
	answer(r, &a, sizeof(a));
	return 0;
}

/* --- Messages --- */

static int dispatch(struct request *r, uint16_t command)
{
	if (command == VFIO_USER_VERSION)
		return r->server->negotiated ? -EINVAL : handle_version(r);
	if (!r->server->negotiated)
		return -EPROTO;
	switch (command) {
	case VFIO_USER_DMA_MAP:
		return handle_dma_map(r);
	case VFIO_USER_DMA_UNMAP:
		return handle_dma_unmap(r);
	case VFIO_USER_DEVICE_GET_INFO:
		return handle_device_info(r);
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		return handle_region_info(r);
	case VFIO_USER_DEVICE_GET_IRQ_INFO:
		return handle_irq_info(r);
	case VFIO_USER_DEVICE_SET_IRQS:
		return handle_set_irqs(r);
	case VFIO_USER_REGION_READ:
		return handle_region_read(r);
	case VFIO_USER_REGION_WRITE:
		return handle_region_write(r);
	case VFIO_USER_DEVICE_RESET:
		nib_pci_power_cycle(&r->server->pci);
		return 0;
	default:
		return -ENOTSUP;
	}
}

int nib_vfio_user_bytes(const struct vfio_user_header *header, uint32_t *bytes)
{
	if (header->bytes < sizeof(*header) || header->bytes > NIB_VFIO_MAX_BYTES)
		return -EPROTO;
	*bytes = header->bytes;
	return 0;
}

int nib_vfio_user_handle(struct nib_vfio_user *server, const uint8_t *data, size_t bytes, int *fds,
			 unsigned int num_fds, struct nib_vfio_reply *reply)
{
	struct vfio_user_header header;
	struct request r = {
		.server = server,
		.body = data + sizeof(header),
		.body_bytes = bytes - sizeof(header),
		.fds = fds,
		.num_fds = num_fds,
		.answer = server->reply + sizeof(header),
		.answer_fd = -1,
	};
	uint32_t expected;
	int err;

	*reply = (struct nib_vfio_reply){ .fd = -1 };
	if (bytes < sizeof(header))
		return -EPROTO;
	memcpy(&header, data, sizeof(header));
	/* We ask nothing of a client, so it has nothing to reply to. */
	if (nib_vfio_user_bytes(&header, &expected) || expected != bytes ||
	    (header.flags & VFIO_USER_TYPE_MASK) != VFIO_USER_REQUEST)
		return -EPROTO;
	err = dispatch(&r, header.command);
	if (!(header.flags & VFIO_USER_NO_REPLY)) {
		header.flags = VFIO_USER_REPLY | (err ? VFIO_USER_ERROR : 0);
		header.error = err ? (uint32_t)-err : 0;
		header.bytes = (uint32_t)(sizeof(header) + (err ? 0 : r.answer_bytes));
		memcpy(server->reply, &header, sizeof(header));
		reply->data = server->reply;
		reply->bytes = header.bytes;
		reply->fd = err ? -1 : r.answer_fd;
	}
	/* Nothing can be agreed on with a client that fails to negotiate. */
	return server->negotiated ? 0 : -EPROTO;
}

/* --- Life --- */

static void host_irq(void *host, unsigned int vector)
{
	struct nib_vfio_user *s = host;

	/* An interrupt is a write like any other. */
	if (nib_pci_is_master(&s->pci))
		nib_pci_interrupt(&s->pci, vector);
}

static void host_kick(void *host)
{
	struct nib_vfio_user *s = host;

	if (s->config.kick)
		s->config.kick(s->config.arg);
}

int nib_vfio_user_create(const struct nib_vfio_config *config, char *error, size_t error_bytes,
			 struct nib_vfio_user **out)
{
	struct nib_vfio_user *s = calloc(1, sizeof(*s));
	struct nib_device_config device = {
		.chip = config->chip,
		.kernels = config->kernels,
		.threads = config->threads,
		.pin = config->pin,
		.inject = config->inject,
		.share = true,
		.ops = {
			.dma = host_dma,
			.irq = host_irq,
			.kick = host_kick,
			.log = host_log,
		},
		.host = s,
	};
	int err;

	if (!s) {
		snprintf(error, error_bytes, "out of memory");
		return -ENOMEM;
	}
	s->config = *config;
	err = nib_device_create(&device, error, error_bytes, &s->device);
	if (err) {
		free(s);
		return err;
	}
	nib_pci_init(&s->pci, s->device);
	*out = s;
	return 0;
}

void nib_vfio_user_destroy(struct nib_vfio_user *s)
{
	if (!s)
		return;
	if (s->num_maps)
		dma_remove(s, 0, s->num_maps);
	nib_device_destroy(s->device);
	nib_pci_destroy(&s->pci);
	free(s);
}

struct nib_device *nib_vfio_user_device(struct nib_vfio_user *s)
{
	return s->device;
}
