/* SPDX-License-Identifier: MIT */
/*
 * The core dump of a job that faults: what is in it, and what is not; that there is one at a time,
 * and that it outlives the client and the driver's hold on the device.
 */
#include "dumps.h"

#define VA		0x100000000ull	/* HBM, dumpable */
#define VA_HOST		0x110000000ull	/* host memory, dumpable */
#define VA_SECRET	0x120000000ull	/* HBM, not dumpable */
#define VA_SRAM		0x130000000ull	/* SRAM, dumpable */
#define VA_BIG		0x140000000ull	/* HBM, dumpable, with a hole in it */
#define BAD		0x7770000000ull
#define DRIVER		"/sys/bus/pci/drivers/nib"

/* Put together here, so that this file does not contain them. */
static char shown[2][32], hidden[32];

static struct guest g;

static void *map_buffer(uint64_t va, uint64_t size, uint32_t bo_flags, uint32_t map_flags)
{
	uint32_t bo;

	OK(bo_create(g.fd, size, bo_flags, &bo));
	OK(vm_map(g.fd, g.vm, bo, 0, va, size, map_flags));
	return bo_flags & NIB_BO_SRAM ? NULL : bo_map(g.fd, bo, size);
}

static void make_buffers(void)
{
	const uint32_t dump = NIB_VM_BIND_OP_DUMPABLE;
	uint8_t *hbm, *host, *secret, *big;

	hbm = map_buffer(VA, 64 * KIB, NIB_BO_HBM, dump);
	host = map_buffer(VA_HOST, 64 * KIB, NIB_BO_HOST, dump | NIB_VM_BIND_OP_READONLY);
	secret = map_buffer(VA_SECRET, 64 * KIB, NIB_BO_HBM, 0);
	map_buffer(VA_SRAM, 16 * KIB, NIB_BO_SRAM, dump);
	big = map_buffer(VA_BIG, 256 * KIB, NIB_BO_HBM, dump);
	memset(hbm, 0x5a, 64 * KIB);
	memcpy(hbm + 0x1234, shown[0], strlen(shown[0]));
	memcpy(host + 0x4321, shown[1], strlen(shown[1]));
	memcpy(secret + 0x1000, hidden, strlen(hidden));
	memcpy(big, shown[0], strlen(shown[0]));
	memcpy(big + 255 * KIB, shown[0], strlen(shown[0]));
	/* Here it is mapped no more: also in a buffer that once was dumpable. */
	memcpy(big + 128 * KIB, hidden, strlen(hidden));
	OK(vm_unmap(g.fd, g.vm, VA_BIG + 64 * KIB, 128 * KIB));
	munmap(hbm, 64 * KIB);
	munmap(host, 64 * KIB);
	munmap(secret, 64 * KIB);
	munmap(big, 256 * KIB);
}

/* Packet 2 of the stream reads where its second argument points. Returns the stream. */
static uint32_t fault(uint32_t queue, uint64_t at)
{
	uint64_t args[3] = { VA + 0x8000, at - 64, 16 };
	struct nib_sync_op sync = { .flags = NIB_SYNC_SIGNAL, .handle = syncobj(g.fd) };
	struct nib_job job = {
		.queue_id = queue, .nargs = 3, .args = (uintptr_t)args,
		.syncs = NIB_OBJ_ARRAY(1, &sync),
	};
	struct stream s = { 0 };

	packet(&s, NIB_OP_NOP, 0, 0);
	packet(&s, NIB_OP_FILL, 0x1, 3, NIB_ARG(0, 0), W(4), W(9));
	packet(&s, NIB_OP_COPY, 0x7, 10, NIB_ARG(1, 64), NIB_ARG(0, 0x100), NIB_ARG(2, 0), W(1),
	       W(1), W(0), W(0), W(0), W(0), W(NIB_FMT_U32) | W(NIB_FMT_U32) << 32);
	packet_end(&s);
	job.stream_id = stream_create(g.fd, g.vm, &s);
	OK(submit_jobs(g.fd, &job, 1));
	/* The job keeps it, and so must the dump. */
	OK(stream_destroy(g.fd, g.vm, job.stream_id));
	OK(syncobj_wait(g.fd, sync.handle, 60000));
	EXPECT(fence_status(g.fd, sync.handle), -EFAULT);
	drmSyncobjDestroy(g.fd, sync.handle);
	return job.stream_id;
}

static void check_reason(const struct dump *dump, uint32_t stream)
{
	const struct nib_dump_section *section = dump_section(dump, NIB_DUMP_REASON);
	const struct nib_dump_reason *reason = (const void *)(section + 1);
	const struct nib_dump_queue *queue;
	const struct nib_dump_job *job;
	const struct nib_completion *done;
	const struct nib_dump_stream *text;
	const struct nib_dump_device *device;
	struct nib_device_info info = query_device(g.fd);

	EQUAL(section->size, sizeof(*reason));
	EQUAL(reason->status, NIB_DONE_FAULT_READ);
	EQUAL(reason->packet, 2);
	EQUAL(reason->fault_va, BAD);
	EQUAL(reason->stream, stream);

	device = (const void *)(dump_section(dump, NIB_DUMP_DEVICE) + 1);
	CHECK(!strcmp(device->chip, info.chip));
	EQUAL(device->hbm_bytes, info.hbm_bytes);
	EQUAL(device->fw_api, info.fw_api);

	/* The guilty queue comes first. */
	section = dump_section(dump, NIB_DUMP_QUEUE);
	queue = (const void *)(section + 1);
	EQUAL(queue->queue, reason->queue);
	EQUAL(queue->flags, NIB_DUMP_QUEUE_GUILTY);
	EQUAL(queue->head, reason->job);
	EQUAL(queue->tail, reason->job + 1);

	section = dump_section(dump, NIB_DUMP_JOBS);
	job = (const void *)(section + 1);
	EQUAL(section->id, reason->queue);
	EQUAL(section->bytes, sizeof(*job));
	EQUAL(job->number, reason->job);
	EQUAL(job->entry.stream, stream);
	EQUAL(job->entry.seqno, reason->seqno);
	EQUAL(job->entry.nargs, 3);
	EQUAL(job->args[0], VA + 0x8000);
	EQUAL(job->args[1], BAD - 64);
	EQUAL(job->args[2], 16);

	section = dump_section(dump, NIB_DUMP_COMPLETIONS);
	done = (const void *)(section + 1);
	CHECK(section->bytes >= sizeof(*done));
	done += section->bytes / sizeof(*done) - 1;
	EQUAL(done->status, NIB_DONE_FAULT_READ);
	EQUAL(done->packet, 2);

	section = dump_section(dump, NIB_DUMP_STREAM);
	text = (const void *)(section + 1);
	EQUAL(section->id, stream);
	EQUAL(text->nargs, 3);
	EQUAL(text->bytes, section->bytes - sizeof(*text));
	EQUAL(((const uint64_t *)(text + 1))[0], 1 << 16 | NIB_OP_NOP);
}

/* Registers by name, the control page, and the messages that made the queue. */
static void check_firmware(const struct dump *dump)
{
	const struct nib_dump_section *section = dump_section(dump, NIB_DUMP_REGISTERS);
	const struct nib_dump_register *reg = (const void *)(section + 1);
	const struct nib_dump_firmware *firmware;
	const struct nib_admin_msg *message;
	bool version = false, ready = false, told = false;
	size_t i;

	EQUAL(section->size, sizeof(*reg));
	for (i = 0; i < section->bytes / sizeof(*reg); i++) {
		CHECK(memchr(reg[i].name, 0, sizeof(reg[i].name)));
		CHECK(reg[i].bytes == 4 || reg[i].bytes == 8);
		if (reg[i].offset == NIB_REG_FW_API)
			version = reg[i].value == query_device(g.fd).fw_api;
		if (!strcmp(reg[i].name, "FW_STATE"))
			ready = reg[i].offset == NIB_REG_FW_STATE && reg[i].value == NIB_FW_READY;
	}
	CHECK(version && ready);

	section = dump_section(dump, NIB_DUMP_FIRMWARE);
	firmware = (const void *)(section + 1);
	EQUAL(section->bytes, sizeof(*firmware));
	EQUAL(firmware->lost, 0);
	CHECK(firmware->admin_tail > 0);
	CHECK(firmware->events_seen <= firmware->event_head);

	section = dump_section(dump, NIB_DUMP_ADMIN);
	message = (const void *)(section + 1);
	EQUAL(section->size, sizeof(*message));
	for (i = 0; i < section->bytes / sizeof(*message); i++)
		told = told || message[i].op == NIB_ADM_QUEUE_CREATE;
	CHECK(told);
}

static void check_map(const struct dump *dump)
{
	static const struct nib_dump_mapping wants[] = {
		{ VA, 64 * KIB, 0, NIB_MEM_HBM, 0, NIB_DUMP_MAPPING_DUMPABLE, NIB_DUMP_HELD },
		{ VA_HOST, 64 * KIB, 1, NIB_MEM_HOST, 0,
		  NIB_DUMP_MAPPING_DUMPABLE | NIB_DUMP_MAPPING_READONLY, NIB_DUMP_HELD },
		{ VA_SECRET, 64 * KIB, 2, NIB_MEM_HBM, 0, 0, NIB_DUMP_NOT_ASKED },
		{ VA_SRAM, 16 * KIB, 3, NIB_MEM_SRAM, 0, NIB_DUMP_MAPPING_DUMPABLE,
		  NIB_DUMP_UNREACHABLE },
		{ VA_BIG, 64 * KIB, 4, NIB_MEM_HBM, 0, NIB_DUMP_MAPPING_DUMPABLE, NIB_DUMP_HELD },
		{ VA_BIG + 192 * KIB, 64 * KIB, 4, NIB_MEM_HBM, 192 * KIB,
		  NIB_DUMP_MAPPING_DUMPABLE, NIB_DUMP_HELD },
	};
	const struct nib_dump_section *section = dump_section(dump, NIB_DUMP_MAPPINGS);
	const struct nib_dump_mapping *map = (const void *)(section + 1);
	const struct nib_dump_memory *memory;
	size_t i;

	EQUAL(section->size, sizeof(*map));
	EQUAL(section->bytes, sizeof(wants));
	for (i = 0; i < sizeof(wants) / sizeof(wants[0]); i++)
		if (memcmp(&map[i], &wants[i], sizeof(map[i])))
			FAIL("mapping %zu: %#llx + %#llx, buffer %u, memory %u, flags %u, contents %u",
			     i, map[i].va, map[i].bytes, map[i].bo, map[i].mem, map[i].flags,
			     map[i].contents);
	section = dump_section(dump, NIB_DUMP_MEMORY);
	memory = (const void *)(section + 1);
	EQUAL(memory->va, VA);
	EQUAL(memory->bytes, 64 * KIB);
	/* What packet 1 had written. */
	EQUAL(((const uint32_t *)(memory + 1))[0x8000 / 4 + 3], 9);
	EQUAL(dump_count(dump, shown[0]), 3);
	EQUAL(dump_count(dump, shown[1]), 1);
	EQUAL(dump_count(dump, hidden), 0);
}

/* Another client's queue: that it is there, and no more. */
static void check_foreign(const struct dump *dump)
{
	const struct nib_dump_reason *reason =
		(const void *)(dump_section(dump, NIB_DUMP_REASON) + 1);
	const struct nib_dump_section *section = NULL;
	const struct nib_dump_queue *queue;
	unsigned int foreign = 0;

	while ((section = dump_next(dump, section, NIB_DUMP_QUEUE))) {
		queue = (const void *)(section + 1);
		if (!(queue->flags & NIB_DUMP_QUEUE_FOREIGN))
			continue;
		foreign++;
		EQUAL(queue->context, NIB_DUMP_NONE);
		/* It has run some. */
		EQUAL(queue->status.packets, 0);
		EQUAL(queue->status.energy_pj, 0);
	}
	CHECK(foreign);
	for (section = NULL; (section = dump_next(dump, section, NIB_DUMP_JOBS));)
		EQUAL(section->id, reason->queue);
}

/* Another client, who lets the dumps of his own jobs hold what he has, and has run a job. */
static struct guest make_other(void)
{
	struct guest other = guest_begin();
	struct stream s = { 0 };
	uint8_t *secret;
	uint32_t bo;

	OK(bo_create(other.fd, 64 * KIB, NIB_BO_HBM, &bo));
	OK(vm_map(other.fd, other.vm, bo, 0, VA, 64 * KIB, NIB_VM_BIND_OP_DUMPABLE));
	secret = bo_map(other.fd, bo, 64 * KIB);
	memcpy(secret, hidden, strlen(hidden));
	munmap(secret, 64 * KIB);
	packet_fill(&s, VA + 0x8000, 1, 1);
	packet_end(&s);
	EXPECT(run_stream(other.fd, other.vm, other.queue, &s), 0);
	return other;
}

static void check_same(const char *path, const struct dump *dump, size_t piece)
{
	struct dump again = dump_read(path, piece);

	EQUAL(again.bytes, dump->bytes);
	CHECK(!memcmp(again.data, dump->data, dump->bytes));
	free(again.data);
}

int main(void)
{
	struct guest other;
	char path[300], late[300], bdf[64];
	struct dump dump;
	uint32_t stream, queue;

	dump_drop();
	snprintf(shown[0], sizeof(shown[0]), "shown-%s-%x", "hbm", 0xabcdefu);
	snprintf(shown[1], sizeof(shown[1]), "shown-%s-%x", "host", 0xabcdefu);
	snprintf(hidden, sizeof(hidden), "hidden-%s-%x", "hbm", 0xabcdefu);
	other = make_other();
	g = guest_begin();
	guest_pci_address(g.fd, bdf, sizeof(bdf));
	make_buffers();
	stream = fault(g.queue, BAD);
	dump = dump_take();
	dump_check_header(&dump);
	check_reason(&dump, stream);
	check_firmware(&dump);
	check_map(&dump);
	check_foreign(&dump);
	if (!access("/share", W_OK))
		dump_save(&dump, "fault");

	/* As long as it is there, there is no second one. */
	CHECK(dump_find(path, sizeof(path)));
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
	fault(queue, BAD + 4096);
	usleep(200000);
	check_same(path, &dump, 1000);

	/* It outlives the client, and the driver's hold on the device. */
	close(g.fd);
	close(other.fd);
	check_same(path, &dump, 4096);
	OK(write_file(DRIVER "/unbind", bdf));
	check_same(path, &dump, 70000);
	OK(write_file(DRIVER "/bind", bdf));
	CHECK(dump_find(late, sizeof(late)) && !strcmp(path, late));

	/* Once it is gone there can be another. */
	dump_drop();
	free(dump.data);
	g = guest_begin();
	make_buffers();
	fault(g.queue, BAD);
	dump = dump_take();
	dump_check_header(&dump);
	check_map(&dump);
	dump_drop();
	free(dump.data);
	close(g.fd);
	return 0;
}
