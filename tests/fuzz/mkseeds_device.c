// SPDX-License-Identifier: MIT
/*
 * Seeds of the fuzzers that play a driver (fuzz_stream) and a virtual machine (fuzz_vfio_user): a
 * device that works, so that mutation starts from there.
 */
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mkseeds.h"
#include "nib_fault.h"
#include "nib_regs.h"
#include "packets.h"
#include "vfio_user.h"

struct seed {
	uint8_t data[4096];
	size_t bytes;
};

static void put(struct seed *s, const void *data, size_t bytes)
{
	if (bytes > sizeof(s->data) - s->bytes)
		abort();
	if (bytes)
		memcpy(s->data + s->bytes, data, bytes);
	s->bytes += bytes;
}

static void put8(struct seed *s, uint8_t value)
{
	put(s, &value, 1);
}

static void put16(struct seed *s, uint16_t value)
{
	put(s, &value, 2);
}

static void put64(struct seed *s, uint64_t value)
{
	put(s, &value, 8);
}

/* --- fuzz_stream: records, see there --- */

enum { PACKET = 0, WORDS = 32, PTE = 64, ARGUMENT = 80, ENTRY = 96, ADMIN = 112, MEMORY = 120 };

static size_t sample_index(const char *name)
{
	const union packet *p = packet_sample(name);
	size_t i = 0;

	while (&packet_samples[i].p != p)
		i++;
	return i;
}

/* A sample with @changes still to come, each by change(). */
static void packet(struct seed *s, const char *name, uint8_t changes)
{
	put8(s, PACKET);
	put8(s, (uint8_t)sample_index(name));
	put8(s, changes);
}

static void change(struct seed *s, uint8_t word, uint8_t shift, uint16_t value)
{
	put8(s, word);
	put8(s, shift);
	put16(s, value);
}

static void memory(struct seed *s, uint16_t at, uint64_t value)
{
	put8(s, MEMORY);
	put16(s, at / 8);
	put64(s, value);
}

/* Word 1 of every packet, a count or an address, as argument 9. */
static void stream_arguments(void)
{
	struct seed s = { 0 };

	put8(&s, ARGUMENT);
	put8(&s, 9);
	put64(&s, 8);
	put8(&s, ENTRY);
	put8(&s, 7);
	put64(&s, 7);
	for (size_t i = 0; i < packet_sample_count; i++) {
		if (!packet_arg_words(&packet_samples[i].p))
			continue;
		packet(&s, packet_samples[i].name, 2);
		change(&s, 0x80, 32, 1);
		change(&s, 1, 0, 9);
	}
	save("arguments", s.data, s.bytes);
}

/* Two rows at positions 20 and 21 of sequences whose pages lie in three memories. */
static void stream_attention(void)
{
	static const uint64_t pages[] = { 0x8000, 0x14000, 0x24000, 0x34000 };
	struct seed s = { 0 };

	memory(&s, 0x3000, 20ull << 32);
	memory(&s, 0x3008, 21ull << 32);
	memory(&s, 0x2000, 20ull << 32);
	memory(&s, 0x2008, 1ull << 32 | 1);
	for (uint16_t i = 0; i < 4; i++) {
		memory(&s, 0x3100 + i * 8, pages[i]);
		memory(&s, 0x2100 + i * 8, pages[i]);
	}
	memory(&s, 0x1000, 0x3f800000bf000000);
	packet(&s, "kv_append", 0);
	packet(&s, "attention", 0);
	/* Keys in another format. */
	packet(&s, "attention", 1);
	change(&s, 0x80 | 13, 0, NIB_FMT_MXFP4 - NIB_FMT_BF16);
	save("attention", s.data, s.bytes);
}

static void stream_sample(void)
{
	struct seed s = { 0 };

	memory(&s, 0x1000, 0x4000000040400000);
	memory(&s, 0x2000, 0x3f6666663f800000);	/* temperature 1, top_p 0.9 */
	memory(&s, 0x2008, 10);
	memory(&s, 0x2010, 1234);
	packet(&s, "sample", 0);
	save("sampling", s.data, s.bytes);
}

static void stream_admin(void)
{
	static const uint16_t messages[][8] = {
		{ NIB_ADM_NOP },
		{ NIB_ADM_CTX_CREATE, 1, 0x1000 },
		{ NIB_ADM_STREAM_CREATE, 1, 1, 0x1000, 64, 2 },
		{ NIB_ADM_STREAM_DESTROY, 1, 1 },
		{ NIB_ADM_CTX_DESTROY, 1 },
		{ NIB_ADM_QUEUE_RESET, 0 },
	};
	struct seed s = { 0 };

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		put8(&s, ADMIN);
		put8(&s, (uint8_t)messages[i][0]);
		put(&s, &messages[i][1], 14);
	}
	packet(&s, "nop", 0);
	save("admin", s.data, s.bytes);
}

/* A completion copied to memory, a broken page, a semaphore that never comes. */
static void stream_odds(void)
{
	struct seed s = { 0 };

	put8(&s, ENTRY);
	put8(&s, 3);
	put64(&s, 0x10000);
	put8(&s, WORDS + 1);
	put64(&s, 1 << 16 | NIB_OP_NOP);
	save("stats", s.data, s.bytes);
	s.bytes = 0;
	put8(&s, PTE);
	put8(&s, 0);
	put16(&s, 1);
	put64(&s, NIB_PTE_VALID);
	packet(&s, "copy", 0);
	save("fault", s.data, s.bytes);
	s.bytes = 0;
	packet(&s, "sem", 1);
	change(&s, 3, 0, NIB_SEM_WAIT_GE);
	save("wait", s.data, s.bytes);
}

void seed_stream(void)
{
	struct seed all = { 0 };

	for (size_t i = 0; i < packet_sample_count; i++) {
		struct seed s = { 0 };

		packet(&s, packet_samples[i].name, 0);
		packet(&all, packet_samples[i].name, 0);
		save(packet_samples[i].name, s.data, s.bytes);
	}
	save("all", all.data, all.bytes);
	stream_arguments();
	stream_attention();
	stream_sample();
	stream_admin();
	stream_odds();
}

/* --- fuzz_vfio_user: messages, see there --- */

#define DMA_BASE	0x40000000ull
#define DMA_BYTES	0x10000ull

enum { ONE_FD = 1, EVENTFD = 8, RUN = 128 };

static void message(struct seed *s, uint8_t command, uint8_t how, const void *body, size_t bytes)
{
	put8(s, command);
	put8(s, how);
	put16(s, (uint16_t)bytes);
	put(s, body, bytes);
}

/* What QEMU asks when it meets the device. */
static void vfio_discover(struct seed *s)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) };
	struct vfio_user_region_info region = { .argsz = sizeof(region) };
	struct vfio_user_irq_info irq = { .argsz = sizeof(irq) };

	message(s, VFIO_USER_DEVICE_GET_INFO, 0, &info, sizeof(info));
	for (region.index = 0; region.index < VFIO_PCI_NUM_REGIONS; region.index++)
		message(s, VFIO_USER_DEVICE_GET_REGION_INFO, 0, &region, sizeof(region));
	for (irq.index = 0; irq.index <= VFIO_PCI_MSIX_IRQ_INDEX; irq.index++)
		message(s, VFIO_USER_DEVICE_GET_IRQ_INFO, 0, &irq, sizeof(irq));
}

static void vfio_map(struct seed *s)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.address = DMA_BASE, .bytes = DMA_BYTES,
	};

	message(s, VFIO_USER_DMA_MAP, ONE_FD, &map, sizeof(map));
	map.address += DMA_BYTES;
	message(s, VFIO_USER_DMA_MAP, 0, &map, sizeof(map));
}

static void vfio_unmap(struct seed *s)
{
	struct vfio_user_dma_unmap unmap = {
		.argsz = sizeof(unmap), .address = DMA_BASE, .bytes = DMA_BYTES,
	};

	message(s, VFIO_USER_DMA_UNMAP, 0, &unmap, sizeof(unmap));
	unmap = (struct vfio_user_dma_unmap){
		.argsz = sizeof(unmap), .flags = VFIO_DMA_UNMAP_FLAG_ALL,
	};
	message(s, VFIO_USER_DMA_UNMAP, 0, &unmap, sizeof(unmap));
}

static void vfio_irqs(struct seed *s)
{
	struct vfio_user_irq_set set = {
		.argsz = sizeof(set), .index = VFIO_PCI_MSIX_IRQ_INDEX, .count = 1,
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
	};

	message(s, VFIO_USER_DEVICE_SET_IRQS, ONE_FD | EVENTFD, &set, sizeof(set));
	set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK;
	message(s, VFIO_USER_DEVICE_SET_IRQS, 0, &set, sizeof(set));
	set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	message(s, VFIO_USER_DEVICE_SET_IRQS, 0, &set, sizeof(set));
	set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
	message(s, VFIO_USER_DEVICE_SET_IRQS, 0, &set, sizeof(set));
}

static void vfio_read(struct seed *s, uint32_t region, uint64_t offset, uint32_t count)
{
	struct vfio_user_region_access a = { .offset = offset, .region = region, .count = count };

	message(s, VFIO_USER_REGION_READ, 0, &a, sizeof(a));
}

static void vfio_write(struct seed *s, uint32_t region, uint64_t offset, uint64_t value,
		       uint32_t count, uint8_t how)
{
	struct {
		struct vfio_user_region_access a;
		uint64_t value;
	} body = { .a = { .offset = offset, .region = region, .count = count }, .value = value };

	message(s, VFIO_USER_REGION_WRITE, how, &body, sizeof(body.a) + count);
}

/* Registers as a driver writes them; the image is zeros, so that the boot is refused. */
static void vfio_drive(struct seed *s)
{
	vfio_read(s, VFIO_PCI_CONFIG_REGION_INDEX, 0, 64);
	vfio_write(s, VFIO_PCI_CONFIG_REGION_INDEX, 4, 6, 2, 0); /* memory, bus master */
	vfio_read(s, NIB_BAR_REGS, NIB_REG_MAGIC, 4);
	vfio_read(s, NIB_BAR_REGS, NIB_REG_CHIP_NAME, 32);
	vfio_write(s, NIB_BAR_REGS, NIB_REG_CTRL_ADDR, DMA_BASE, 8, 0);
	vfio_write(s, NIB_BAR_REGS, NIB_REG_FW_ADDR, DMA_BASE, 8, 0);
	vfio_write(s, NIB_BAR_REGS, NIB_REG_FW_BYTES, sizeof(struct nib_fw_header) +
		   sizeof(struct nib_fw_payload), 4, 0);
	vfio_write(s, NIB_BAR_REGS, NIB_REG_FW_COMMAND, NIB_FW_BOOT, 4, 0);
	vfio_read(s, NIB_BAR_REGS, NIB_REG_FW_STATE, 8);
	vfio_write(s, NIB_BAR_DOORBELLS, NIB_DOORBELL_ADMIN, 1, 4, RUN);
	vfio_write(s, NIB_BAR_DOORBELLS, NIB_DOORBELL_PING, 1, 4, RUN);
	vfio_write(s, NIB_BAR_HBM, 0x1000, 0x1122334455667788, 8, 0);
	vfio_read(s, NIB_BAR_HBM, 0x1000, 8);
	vfio_write(s, NIB_BAR_REGS, NIB_MSIX_TABLE_OFFSET, DMA_BASE, 8, 0);
	vfio_read(s, NIB_BAR_REGS, NIB_MSIX_PBA_OFFSET, 8);
	vfio_write(s, NIB_BAR_REGS, NIB_REG_RESET, NIB_RESET_ENGINE, 4, RUN);
}

void seed_vfio_user(void)
{
	static void (*const parts[])(struct seed *s) = {
		vfio_discover, vfio_map, vfio_irqs, vfio_drive, vfio_unmap,
	};
	static const struct vfio_user_version version = { .major = 0 };
	struct seed all = { 0 };
	char name[32];

	/* The first byte says who negotiates: 1 the input, 0 the fuzzer before it. */
	put8(&all, 1);
	message(&all, VFIO_USER_VERSION, 0, &version, sizeof(version));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct seed s = { 0 };

		put8(&s, 0);
		parts[i](&s);
		parts[i](&all);
		snprintf(name, sizeof(name), "part-%zu", i);
		save(name, s.data, s.bytes);
	}
	message(&all, VFIO_USER_DEVICE_RESET, 0, NULL, 0);
	save("session", all.data, all.bytes);
}

/* Lines: an order for every fault, one by one and at random, and everything else that there is. */
void seed_control(void)
{
	static const char others[] =
		"{\"inject\":\"lost-interrupt\",\"vector\":1,\"count\":\"forever\"}\n"
		"{\"inject\":\"late-completion\",\"queue\":1,\"ms\":5,\"others\":2}\n"
		"{\"inject\":\"stuck-packet\",\"rung\":\"engine\"}\n"
		"{\"inject\":\"corrupt-completion\",\"field\":\"phase\"}\n"
		"{\"inject\":\"firmware-refused\",\"error\":\"digest\"}\n"
		"{\"inject\":\"firmware-api\",\"api\":2}\n"
		"{\"inject\":\"bad-answer\",\"op\":\"queue-reset\",\"status\":5}\n"
		"{\"inject\":\"ecc-fatal\",\"address\":4096}\n"
		"{\"random\":{\"slow-dma\":{\"probability\":0.5,\"ms\":3}},\"seed\":9}\n"
		"{\"list\":true}\n{\"status\":true}\n{\"clear\":true}\n{\"link\":\"down\"}\n"
		"{\"link\":\"up\"}\n{\"remove\":true}\n{\"quit\":true}\n";
	char line[160];

	for (unsigned int i = 0; i < NIB_FAULTS; i++) {
		const char *name = nib_fault_info(i)->name;

		snprintf(line, sizeof(line), "{\"inject\":\"%s\",\"after\":1}\n"
			 "{\"random\":{\"%s\":0.25}}", name, name);
		save(name, line, strlen(line));
	}
	save("others", others, sizeof(others) - 1);
}
