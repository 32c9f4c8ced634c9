// SPDX-License-Identifier: MIT
/* See dump_make.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump_make.h"
#include "nib_isa.h"

static void put(struct dump_make *m, const void *data, size_t bytes)
{
	uint8_t *more;

	if (!bytes)
		return;
	more = realloc(m->data, m->bytes + bytes);
	if (!more)
		abort();
	m->data = more;
	if (data)
		memcpy(more + m->bytes, data, bytes);
	else
		memset(more + m->bytes, 0, bytes);
	m->bytes += bytes;
}

void dump_make_begin(struct dump_make *m)
{
	memset(m, 0, sizeof(*m));
	put(m, NULL, sizeof(struct nib_dump_header));
}

size_t dump_make_section(struct dump_make *m, uint32_t type, uint32_t id, uint32_t size,
			 const void *structs, size_t bytes, const void *more, size_t more_bytes)
{
	struct nib_dump_section head = {
		.type = type, .id = id, .size = size, .bytes = bytes + more_bytes,
	};
	size_t at = m->bytes;

	put(m, &head, sizeof(head));
	put(m, structs, bytes);
	put(m, more, more_bytes);
	put(m, NULL, -m->bytes & 7);
	m->sections++;
	return at;
}

void dump_make_end(struct dump_make *m)
{
	struct nib_dump_header header = {
		.magic = NIB_DUMP_MAGIC,
		.major = NIB_DUMP_MAJOR,
		.minor = NIB_DUMP_MINOR,
		.bytes = m->bytes,
		.time_ns = 1700000000000000000ull,
		.sections = m->sections,
	};

	memcpy(m->data, &header, sizeof(header));
}

void dump_make_free(struct dump_make *m)
{
	free(m->data);
	memset(m, 0, sizeof(*m));
}

struct nib_dump_device dump_make_device(void)
{
	return (struct nib_dump_device){
		.chip = "small",
		.fw_version = "0.1.0",
		.bus = "0000:00:01.0",
		.hw_version = NIB_HW_MAJOR << 16 | NIB_HW_MINOR,
		.fw_api = NIB_FW_API_MAJOR << 16 | NIB_FW_API_MINOR,
		.isa_version = NIB_ISA_MAJOR << 16 | NIB_ISA_MINOR,
		.hbm_bytes = 256ull << 20,
		.window_bytes = 256ull << 20,
		.sram_bytes = 2ull << 20,
		.num_contexts = 128,
		.num_queues = 1024,
		.num_streams = 1024,
	};
}

static void sample_queue(struct dump_make *m, const struct nib_dump_reason *reason)
{
	static const uint64_t stream[] = {
		1 << 16 | NIB_OP_NOP,
		NIB_OP_FILL | 4 << 16 | 1ull << 32, NIB_ARG(0, 0), 16, 7,
		1 << 16 | NIB_OP_END,
	};
	struct nib_dump_queue queue = {
		.queue = 3, .context = 1, .priority = 1, .weight = 16, .vector = 1, .entries = 16,
		.state = 5, .flags = NIB_DUMP_QUEUE_GUILTY, .head = 5, .tail = 6,
		.status = { .packets = 11, .jobs = 6 },
	};
	struct nib_dump_job job = {
		.number = 5,
		.entry = { .stream = 2, .nargs = 1, .seqno = 6 },
		.args = { reason->fault_va },
	};
	struct nib_completion done = {
		.phase = 1, .status = reason->status, .seqno = 6, .packet = 1, .queue = 3,
		.fault_va = reason->fault_va,
	};
	struct nib_dump_stream head = { .stream = 2, .nargs = 1, .bytes = sizeof(stream) };

	dump_make_section(m, NIB_DUMP_QUEUE, 3, sizeof(queue), &queue, sizeof(queue), NULL, 0);
	dump_make_section(m, NIB_DUMP_JOBS, 3, sizeof(job), &job, sizeof(job), NULL, 0);
	dump_make_section(m, NIB_DUMP_COMPLETIONS, 3, sizeof(done), &done, sizeof(done), NULL, 0);
	dump_make_section(m, NIB_DUMP_STREAM, 2, sizeof(head), &head, sizeof(head), stream,
			  sizeof(stream));
}

static void sample_memory(struct dump_make *m)
{
	struct nib_dump_mapping map = {
		.va = DUMP_MAKE_VA, .bytes = NIB_PAGE_64K, .mem = NIB_MEM_HBM,
		.flags = NIB_DUMP_MAPPING_DUMPABLE, .contents = NIB_DUMP_PARTLY,
	};
	struct nib_dump_memory head = { .va = DUMP_MAKE_VA, .bytes = 256 };
	uint8_t contents[256];

	memset(contents, 0x5a, sizeof(contents));
	dump_make_section(m, NIB_DUMP_MAPPINGS, 0, sizeof(map), &map, sizeof(map), NULL, 0);
	dump_make_section(m, NIB_DUMP_MEMORY, 0, sizeof(head), &head, sizeof(head), contents,
			  sizeof(contents));
}

void dump_make_sample(struct dump_make *m, uint64_t va)
{
	static const char text[] = "a dump for tests";
	struct nib_dump_device device = dump_make_device();
	struct nib_dump_reason reason = {
		.why = "a job faulted", .queue = 3, .context = 1, .status = NIB_DONE_FAULT_WRITE,
		.packet = 1, .fault_va = va, .job = 5, .seqno = 6, .stream = 2,
	};
	struct nib_dump_register reg = {
		.name = "MAGIC", .offset = NIB_REG_MAGIC, .bytes = 4, .value = NIB_MAGIC,
	};
	struct nib_dump_firmware firmware = { .event_head = 1, .events_seen = 1, .admin_tail = 1 };
	struct nib_admin_msg msg = { .op = NIB_ADM_QUEUE_CREATE, .status = 1, .arg[0] = 3 };
	struct nib_event event = {
		.seq = 1, .type = NIB_EVENT_FAULT, .id = 3, .value = reason.status, .addr = va,
	};

	dump_make_begin(m);
	dump_make_section(m, NIB_DUMP_TEXT, 0, 0, NULL, 0, text, sizeof(text) - 1);
	dump_make_section(m, NIB_DUMP_DEVICE, 0, sizeof(device), &device, sizeof(device), NULL, 0);
	dump_make_section(m, NIB_DUMP_REASON, 0, sizeof(reason), &reason, sizeof(reason), NULL, 0);
	dump_make_section(m, NIB_DUMP_REGISTERS, 0, sizeof(reg), &reg, sizeof(reg), NULL, 0);
	dump_make_section(m, NIB_DUMP_FIRMWARE, 0, sizeof(firmware), &firmware, sizeof(firmware),
			  NULL, 0);
	dump_make_section(m, NIB_DUMP_ADMIN, 0, sizeof(msg), &msg, sizeof(msg), NULL, 0);
	dump_make_section(m, NIB_DUMP_EVENTS, 0, sizeof(event), &event, sizeof(event), NULL, 0);
	sample_queue(m, &reason);
	sample_memory(m);
	dump_make_end(m);
}
