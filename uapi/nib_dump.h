/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * Device core dump: what the driver writes to /sys/class/devcoredump when a job is killed, and
 * accel-replay reads. Little-endian; every section starts at a multiple of 8.
 *
 *	struct nib_dump_header
 *	struct nib_dump_section, its bytes, zeros up to a multiple of 8	(header.sections times)
 *
 * How it grows: structs get longer at their end, and a section says how long its struct is; new
 * sections get new types, which old readers skip. What an old writer did not write counts as zero.
 *
 * A reader trusts nothing: a dump is a file that anyone may have made.
 *
 * PRIVACY. A dump is made to be given away. It holds
 * - of the address space whose job failed: its queues, the jobs in them with their arguments, its
 *   map, its streams, and what is in memory that was bound with NIB_VM_BIND_OP_DUMPABLE, and only
 *   that;
 * - of other clients: that there is a queue, its priority, weight and state, how many jobs it has
 *   had, and whether one runs;
 * - of the kernel: no pointer, no DMA address, no name of a process or user.
 */
#ifndef NIB_DUMP_H
#define NIB_DUMP_H

#include <linux/types.h>
#include "nib_format.h"
#include "nib_regs.h"

#define NIB_DUMP_MAGIC		0x4442494eu	/* "NIBD" */
#define NIB_DUMP_MAJOR		1u
#define NIB_DUMP_MINOR		0u
#define NIB_DUMP_MAX_SECTIONS	65536u
#define NIB_DUMP_NONE		0xffffffffu	/* where an id is meant: there is none */

/**
 * struct nib_dump_header - head of a dump.
 * @magic: NIB_DUMP_MAGIC.
 * @major: readers refuse another one.
 * @minor: grows with additions that old readers may ignore.
 * @bytes: of the whole dump.
 * @time_ns: when it was taken, nanoseconds since 1970 UTC.
 * @sections: how many follow.
 * @flags: NIB_DUMP_*.
 * @zero: must be 0.
 */
struct nib_dump_header {
	__u32 magic;
	__u16 major;
	__u16 minor;
	__u64 bytes;
	__u64 time_ns;
	__u32 sections;
#define NIB_DUMP_INCOMPLETE	(1u << 0) /* there was no room or no memory for all of it */
	__u32 flags;
	__u64 zero[2];
};
NIB_STATIC_ASSERT(sizeof(struct nib_dump_header) == 48, "dump header");

/**
 * enum nib_dump_type - sections. "array": of structs of nib_dump_section.size bytes each;
 * "bytes": one struct of that size, then bytes.
 */
enum nib_dump_type {
	NIB_DUMP_TEXT = 1,		/* UTF-8 text for people; nothing that is not elsewhere */
	NIB_DUMP_DEVICE = 2,		/* struct nib_dump_device */
	NIB_DUMP_REASON = 3,		/* struct nib_dump_reason */
	NIB_DUMP_REGISTERS = 4,		/* array of struct nib_dump_register */
	NIB_DUMP_FIRMWARE = 5,		/* struct nib_dump_firmware */
	NIB_DUMP_ADMIN = 6,		/* array of struct nib_admin_msg, oldest first */
	NIB_DUMP_EVENTS = 7,		/* array of struct nib_event, oldest first */
	NIB_DUMP_QUEUE = 8,		/* struct nib_dump_queue; id: queue */
	NIB_DUMP_JOBS = 9,		/* array of struct nib_dump_job, oldest first; id: queue */
	NIB_DUMP_COMPLETIONS = 10,	/* array of struct nib_completion, oldest first; id: queue */
	NIB_DUMP_MAPPINGS = 11,		/* array of struct nib_dump_mapping, by address */
	NIB_DUMP_STREAM = 12,		/* struct nib_dump_stream, bytes: packets; id: stream */
	NIB_DUMP_MEMORY = 13,		/* struct nib_dump_memory, bytes: what is there */
};

/**
 * struct nib_dump_section - head of a section.
 * @type: enum nib_dump_type.
 * @id: tells sections of a type apart, else 0.
 * @size: of the struct that the section holds or is an array of; 0 for text.
 * @zero: must be 0.
 * @bytes: that follow, without the zeros behind them.
 */
struct nib_dump_section {
	__u32 type;
	__u32 id;
	__u32 size;
	__u32 zero;
	__u64 bytes;
};
NIB_STATIC_ASSERT(sizeof(struct nib_dump_section) == 24, "dump section");

/**
 * struct nib_dump_device - what the device is. Names are zero padded and end with a zero.
 * @chip: NIB_REG_CHIP_NAME.
 * @fw_version: of the running firmware.
 * @bus: address of the function on its bus.
 * @hw_version: NIB_REG_HW_VERSION.
 * @fw_api: NIB_REG_FW_API.
 * @drm_version: of the driver's interface, major << 16 | minor.
 * @isa_version: of the streams, major << 16 | minor.
 * @hbm_bytes: size of HBM.
 * @window_bytes: how much of it the CPU sees.
 * @sram_bytes: size of SRAM.
 * @num_contexts: context ids.
 * @num_queues: queue ids.
 * @num_streams: stream ids of a context.
 * @resets: since the driver bound.
 */
struct nib_dump_device {
	char chip[40];
	char fw_version[40];
	char bus[32];
	__u32 hw_version;
	__u32 fw_api;
	__u32 drm_version;
	__u32 isa_version;
	__u64 hbm_bytes;
	__u64 window_bytes;
	__u64 sram_bytes;
	__u32 num_contexts;
	__u32 num_queues;
	__u32 num_streams;
	__u32 resets;
};
NIB_STATIC_ASSERT(sizeof(struct nib_dump_device) == 168, "dump of a device");

/**
 * struct nib_dump_reason - why there is a dump.
 * @why: for people, ends with a zero.
 * @queue: guilty queue; NIB_DUMP_NONE if the device as a whole failed.
 * @context: its context, or NIB_DUMP_NONE.
 * @status: enum nib_done_status; CANCELLED for a job that was killed because it hung.
 * @packet: index of the packet in its stream.
 * @fault_va: see enum nib_done_status.
 * @job: number of the guilty job in its queue; the first one of its NIB_DUMP_JOBS.
 * @seqno: of the guilty job.
 * @stream: of the guilty job, or NIB_DUMP_NONE.
 * @zero: must be 0.
 */
struct nib_dump_reason {
	char why[64];
	__u32 queue;
	__u32 context;
	__u32 status;
	__u32 packet;
	__u64 fault_va;
	__u64 job;
	__u64 seqno;
	__u32 stream;
	__u32 zero;
};
NIB_STATIC_ASSERT(sizeof(struct nib_dump_reason) == 112, "dump of a reason");

/**
 * struct nib_dump_register - a register of BAR0.
 * @name: its NIB_REG_ name without that prefix, ends with a zero.
 * @offset: in BAR0.
 * @bytes: 4 or 8.
 * @value: when the dump was taken; all ones if the device did not answer.
 */
struct nib_dump_register {
	char name[24];
	__u32 offset;
	__u32 bytes;
	__u64 value;
};
NIB_STATIC_ASSERT(sizeof(struct nib_dump_register) == 40, "dump of a register");

/**
 * struct nib_dump_firmware - control page and admin ring.
 * @event_head: events that the firmware has written.
 * @events_seen: of them, that the driver has read.
 * @admin_tail: messages that the driver has sent.
 * @lost: 0, or errno that the driver gave the device up with, as a positive number.
 * @silent_ms: for how long the heartbeat had not moved.
 * @zero: must be 0.
 */
struct nib_dump_firmware {
	__u32 event_head;
	__u32 events_seen;
	__u32 admin_tail;
	__u32 lost;
	__u32 silent_ms;
	__u32 zero[3];
};
NIB_STATIC_ASSERT(sizeof(struct nib_dump_firmware) == 32, "dump of firmware");

/**
 * struct nib_dump_queue - a queue.
 * @queue: its id.
 * @context: its context; NIB_DUMP_NONE for one of another address space.
 * @priority: enum nib_priority.
 * @weight: share among equals.
 * @vector: MSI-X vector.
 * @entries: of its ring.
 * @state: NIB_QUEUE_STATE_*.
 * @flags: NIB_DUMP_QUEUE_*.
 * @head: completions that the driver has seen.
 * @tail: jobs that the driver has given to the device.
 * @status: what the firmware said; for one of another address space, only @status.running.
 */
struct nib_dump_queue {
	__u32 queue;
	__u32 context;
	__u32 priority;
	__u32 weight;
	__u32 vector;
	__u32 entries;
	__u32 state;
#define NIB_DUMP_QUEUE_GUILTY	(1u << 0) /* the dump is about this one */
#define NIB_DUMP_QUEUE_FOREIGN	(1u << 1) /* of another address space */
	__u32 flags;
	__u64 head;
	__u64 tail;
	struct nib_queue_status status;
};
NIB_STATIC_ASSERT(sizeof(struct nib_dump_queue) == 112, "dump of a queue");

/**
 * struct nib_dump_job - a job in flight.
 * @number: in its queue, from 0.
 * @zero: must be 0.
 * @entry: as the driver wrote it.
 * @args: of them @entry.nargs are valid, the others 0.
 */
struct nib_dump_job {
	__u64 number;
	__u64 zero;
	struct nib_ring_entry entry;
	__u64 args[NIB_RING_ARG_BYTES / 8];
};
NIB_STATIC_ASSERT(sizeof(struct nib_dump_job) == 592, "dump of a job");

/* What a dump holds of the memory of a mapping. */
enum nib_dump_contents {
	NIB_DUMP_NOT_ASKED = 0,		/* not bound DUMPABLE */
	NIB_DUMP_HELD = 1,		/* all of it */
	NIB_DUMP_PARTLY = 2,		/* as much as there was room for, from its start */
	NIB_DUMP_UNREACHABLE = 3,	/* the CPU does not see all of it: SRAM, HBM past the
					 * window; what comes before that is there */
};

/**
 * struct nib_dump_mapping - a range of the address map.
 * @va: first address.
 * @bytes: length.
 * @bo: buffer, numbered from 0 in the order of the map: equal numbers are one buffer.
 * @mem: enum nib_mem of the buffer.
 * @bo_offset: where in the buffer the range starts.
 * @flags: NIB_DUMP_MAPPING_*.
 * @contents: enum nib_dump_contents.
 */
struct nib_dump_mapping {
	__u64 va;
	__u64 bytes;
	__u32 bo;
	__u32 mem;
	__u64 bo_offset;
#define NIB_DUMP_MAPPING_READONLY	(1u << 0)
#define NIB_DUMP_MAPPING_DUMPABLE	(1u << 1)
	__u32 flags;
	__u32 contents;
};
NIB_STATIC_ASSERT(sizeof(struct nib_dump_mapping) == 40, "dump of a mapping");

/**
 * struct nib_dump_stream - a stream of the guilty client. Its packets follow.
 * @stream: id.
 * @nargs: arguments that a job must bring.
 * @bytes: of its packets.
 * @zero: must be 0.
 */
struct nib_dump_stream {
	__u32 stream;
	__u32 nargs;
	__u32 bytes;
	__u32 zero;
};
NIB_STATIC_ASSERT(sizeof(struct nib_dump_stream) == 16, "dump of a stream");

/**
 * struct nib_dump_memory - contents of a range, when the dump was taken. They follow.
 * @va: first address.
 * @bytes: how many.
 */
struct nib_dump_memory {
	__u64 va;
	__u64 bytes;
};
NIB_STATIC_ASSERT(sizeof(struct nib_dump_memory) == 16, "dump of memory");

#endif
