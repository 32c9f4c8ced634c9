/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * Registers, doorbells, rings, page tables and firmware image: what the driver and the device
 * agree on. All of it is little-endian.
 *
 * Three kinds of address occur: HBM offsets (from 0, "device physical"), DMA addresses (host
 * memory as the PCI function sees it) and device virtual addresses (VA, through the page table of
 * a context). Fields say which one they hold.
 */
#ifndef NIB_REGS_H
#define NIB_REGS_H

#include <linux/types.h>
#include "nib_format.h"

#define NIB_PCI_VENDOR_ID	0x1b36	/* Red Hat / QEMU, unassigned part of its range */
#define NIB_PCI_DEVICE_ID	0x4e42
#define NIB_PCI_CLASS		0x120000 /* processing accelerator */

/*
 * BARs. BAR0 holds registers and, in its upper half, the MSI-X structures; BAR2 doorbells, one
 * page each, so that a page can be handed to one user; BAR4 a window on the start of HBM.
 */
#define NIB_BAR_REGS		0
#define NIB_BAR_DOORBELLS	2
#define NIB_BAR_HBM		4
#define NIB_BAR_REGS_BYTES	0x10000u
#define NIB_BAR_DOORBELL_BYTES	0x800000u
#define NIB_MSIX_TABLE_OFFSET	0x8000u
#define NIB_MSIX_PBA_OFFSET	0xc000u
#define NIB_MSIX_VECTORS	32u

/* Registers of BAR0. 64-bit values are pairs, low word first. RO unless said. */
#define NIB_REG_MAGIC		0x000	/* NIB_MAGIC; all ones: the device is gone */
#define NIB_REG_HW_VERSION	0x004	/* major << 16 | minor of this page */
#define NIB_REG_CHIP		0x008	/* FNV-1a hash of the chip's name */
#define NIB_REG_FEATURES	0x00c	/* none defined yet: 0 */
#define NIB_REG_HBM_BYTES	0x010	/* 64 bit */
#define NIB_REG_WINDOW_BYTES	0x018	/* 64 bit: how much of HBM BAR4 shows */
#define NIB_REG_SRAM_BYTES	0x020	/* 64 bit */
#define NIB_REG_NUM_CONTEXTS	0x028	/* context ids are 0 .. this - 1 */
#define NIB_REG_NUM_QUEUES	0x02c	/* queue ids are 0 .. this - 1 */
#define NIB_REG_NUM_STREAMS	0x030	/* stream ids of a context are 0 .. this - 1 */
#define NIB_REG_CHIP_NAME	0x040	/* 32 bytes, zero padded */

#define NIB_REG_FW_ADDR		0x100	/* RW 64 bit: DMA address of the firmware image */
#define NIB_REG_FW_BYTES	0x108	/* RW */
#define NIB_REG_FW_COMMAND	0x10c	/* WO: enum nib_fw_command */
#define NIB_REG_FW_STATE	0x110	/* enum nib_fw_state */
#define NIB_REG_FW_ERROR	0x114	/* enum nib_fw_error of the last failed command */
#define NIB_REG_FW_API		0x118	/* major << 16 | minor, once booted */
#define NIB_REG_FW_HEARTBEAT	0x11c	/* grows while the firmware is alive */
#define NIB_REG_FW_VERSION	0x120	/* 32 bytes, zero padded, once booted */

#define NIB_REG_CTRL_ADDR	0x180	/* RW 64 bit: DMA address of struct nib_ctrl; set before boot */
/*
 * WO: context id, or ~0 for all. Once a later read of any register returns, no access uses an old
 * translation. Entries that are not valid are never cached: mapping something new needs no write.
 */
#define NIB_REG_TLB_INVALIDATE	0x190
#define NIB_REG_RESET		0x194	/* WO: enum nib_reset */
#define NIB_REG_RESET_COUNT	0x198	/* resets since power-on */
#define NIB_REG_PROGRESS	0x19c	/* grows while a packet on the engine gets on */

#define NIB_REG_CLOCK_NS	0x200	/* 64 bit: modelled time since boot */
#define NIB_REG_BUSY_NS		0x208	/* 64 bit: modelled time with work running */
#define NIB_REG_ENERGY_UJ	0x210	/* 64 bit: modelled energy since power-on */
#define NIB_REG_POWER_MW	0x218	/* modelled, mean since the last read */
#define NIB_REG_TEMP_MC		0x21c	/* modelled, millidegree Celsius */

/*
 * Trouble on demand, for tests of recovery. Reads 1 where it works: a device that was started for
 * it (nib-sim --inject); else it reads 0 and ignores writes.
 */
#define NIB_REG_INJECT		0x300	/* RW: enum nib_inject | parameter << 8 */
#define NIB_REG_INJECT_ADDR	0x308	/* RW 64 bit: HBM offset for NIB_INJECT_ECC */

#define NIB_MAGIC		0x3142494eu	/* "NIB1" */
#define NIB_HW_MAJOR		1u
#define NIB_HW_MINOR		1u

enum nib_reset {
	/*
	 * The packet on the engine is given up, its job ends with NIB_DONE_RESET and its queue
	 * halts; jobs that are suspended between packets go on, queues stay.
	 */
	NIB_RESET_ENGINE = 1,
	/* As power-on: firmware gone, contents of HBM and SRAM undefined. */
	NIB_RESET_FUNCTION = 2,
};

/* Survives a function reset: only NIB_INJECT_BOOT. */
enum nib_inject {
	NIB_INJECT_CRASH = 1,	/* the firmware stops working */
	NIB_INJECT_HANG = 2,	/* the next packet does not end; parameter: enum nib_hang */
	NIB_INJECT_ECC = 3,	/* a bad granule; parameter: 0 corrected, 1 not */
	NIB_INJECT_BOOT = 4,	/* firmware images fail their digest; parameter: how many */
};

/* What ends a hang; whatever comes before it in this list has no effect. */
enum nib_hang {
	NIB_HANG_QUEUE = 0,	/* its job's cancelling, its queue's reset or destruction */
	NIB_HANG_ENGINE = 1,	/* engine reset */
	NIB_HANG_FIRMWARE = 2,	/* NIB_FW_HALT */
	NIB_HANG_FUNCTION = 3,	/* function reset */
};

/* Doorbell pages of BAR2: page 0 is the driver's own, page 1 + q rings queue q. */
#define NIB_DOORBELL_STRIDE	0x1000u
#define NIB_DOORBELL_ADMIN	0x000u	/* write the new admin tail: messages so far, modulo 2^32 */
#define NIB_DOORBELL_PING	0x008u	/* write x: nib_ctrl.ping = x, then interrupt vector 0 */
#define NIB_DOORBELL_QUEUE(q)	(((q) + 1u) * NIB_DOORBELL_STRIDE) /* write the new ring tail */

/*
 * Firmware image: struct nib_fw_header, then payload. The device checks magic, sizes, API major
 * and digest before it starts; the driver checks the API before it hands the image over.
 */
#define NIB_FW_MAGIC		0x4642494eu	/* "NIBF" */
#define NIB_FW_API_MAJOR	1u	/* of rings, admin messages and completions below */
#define NIB_FW_API_MINOR	1u
#define NIB_FW_MAX_BYTES	(1u << 20)
#define NIB_FW_NAME		"nibble/nib_fw.bin" /* below the firmware search path */

/**
 * struct nib_fw_header - head of a firmware image.
 * @magic: NIB_FW_MAGIC.
 * @header_bytes: offset of the payload: sizeof(struct nib_fw_header) in this version.
 * @image_bytes: of the whole file.
 * @api_major: a driver needs its own major.
 * @api_minor: grows with additions.
 * @version: printable, zero terminated.
 * @sha256: digest of the payload.
 * @zero: must be 0.
 */
struct nib_fw_header {
	__u32 magic;
	__u32 header_bytes;
	__u32 image_bytes;
	__u16 api_major;
	__u16 api_minor;
	char version[32];
	__u8 sha256[32];
	__u8 zero[16];
};
NIB_STATIC_ASSERT(sizeof(struct nib_fw_header) == 96, "firmware header");

/**
 * struct nib_fw_payload - scheduling constants; the program itself is the device model's.
 * @quantum_us: run time a queue may use before an equal one gets its turn, by priority.
 * @heartbeat_us: how often the heartbeat grows while the device is idle.
 */
struct nib_fw_payload {
	__u32 quantum_us[4];
	__u32 heartbeat_us;
	__u32 zero[3];
};
NIB_STATIC_ASSERT(sizeof(struct nib_fw_payload) == 32, "firmware payload");

enum nib_fw_command {
	NIB_FW_BOOT = 1,	/* check and start the image at FW_ADDR */
	NIB_FW_HALT = 2,	/* stop: queues, streams and contexts go, memories stay */
	/*
	 * As HALT, once the packet on the engine has ended; none starts any more. FW_STATE is OFF
	 * then, and nib_queue_status says at which packet each queue goes on.
	 */
	NIB_FW_SUSPEND = 3,
};

enum nib_fw_state {
	NIB_FW_OFF = 0,
	NIB_FW_BOOTING = 1,
	NIB_FW_READY = 2,
	NIB_FW_FAILED = 3,	/* see FW_ERROR */
	NIB_FW_CRASHED = 4,
};

enum nib_fw_error {
	NIB_FW_OK = 0,
	NIB_FW_ERR_DMA = 1,	/* image or control page not readable */
	NIB_FW_ERR_MAGIC = 2,
	NIB_FW_ERR_SIZE = 3,
	NIB_FW_ERR_API = 4,	/* major differs from the hardware's */
	NIB_FW_ERR_DIGEST = 5,
	NIB_FW_ERR_STATE = 6,	/* command not legal in this state */
};

/* --- Control page: admin ring, events, queue status; one DMA buffer of the driver's. --- */

enum nib_admin_op {
	NIB_ADM_NOP = 0,
	NIB_ADM_CTX_CREATE = 1,		/* arg: context, HBM offset of the page table root */
	NIB_ADM_CTX_DESTROY = 2,	/* arg: context; its queues must be gone */
	NIB_ADM_STREAM_CREATE = 3,	/* arg: context, stream, HBM offset, bytes, nargs */
	NIB_ADM_STREAM_DESTROY = 4,	/* arg: context, stream */
	NIB_ADM_QUEUE_CREATE = 5,	/* arg: queue, context, DMA of struct nib_ring, entries,
					 * priority | weight << 8 | vector << 24, number of its
					 * first job, packets of that job to skip: both 0 for a
					 * new queue; after a firmware reboot they go on from
					 * where nib_queue_status says that it was. Counters of
					 * the queue and of that job start anew. A job with too
					 * few packets ends with NIB_DONE_FAULT_STREAM */
	NIB_ADM_QUEUE_DESTROY = 6,	/* arg: queue; pending jobs end with NIB_DONE_CANCELLED */
	NIB_ADM_QUEUE_RESET = 7,	/* arg: queue; as destroy, but the queue stays, empty, and
					 * job numbers go on from the last one rung */
	NIB_ADM_JOB_CANCEL = 8,		/* arg: queue, job number; the job ends with
					 * NIB_DONE_CANCELLED if it is the oldest of the queue;
					 * in any case, a queue that had halted goes on */
};

enum nib_admin_status {
	NIB_ADM_PENDING = 0,
	NIB_ADM_OK = 1,
	NIB_ADM_ERR_OP = 2,	/* unknown operation */
	NIB_ADM_ERR_ID = 3,	/* id out of range, in use, or not there */
	NIB_ADM_ERR_ARG = 4,	/* address, size or value out of range */
	NIB_ADM_ERR_BUSY = 5,	/* still referenced */
};

/**
 * struct nib_admin_msg - slot of the admin ring. The driver writes all but @status (set to
 * PENDING) and rings NIB_DOORBELL_ADMIN; the firmware answers in place, last of all @status, and
 * interrupts vector 0.
 */
struct nib_admin_msg {
	__u16 op;
	__u16 zero;
	__u32 status;
	__u64 arg[7];
};
NIB_STATIC_ASSERT(sizeof(struct nib_admin_msg) == 64, "admin message");

enum nib_event_type {
	NIB_EVENT_NONE = 0,
	NIB_EVENT_FAULT = 1,	/* id: queue; value: enum nib_done_status; addr: VA */
	NIB_EVENT_RESET = 2,	/* value: enum nib_reset */
	NIB_EVENT_ECC = 3,	/* value: 0 corrected, 1 not; addr: HBM offset */
};

/**
 * struct nib_event - slot of the event ring, written by the firmware, @seq last. Slot i of round r
 * (from 0) is new when @seq is r * NIB_EVENTS + i + 1. A driver that falls behind loses the oldest.
 */
struct nib_event {
	__u32 seq;
	__u16 type;
	__u16 zero;
	__u32 id;
	__u32 value;
	__u64 addr;
	__u64 time_ns;
};
NIB_STATIC_ASSERT(sizeof(struct nib_event) == 32, "event");

enum nib_queue_running {
	NIB_QUEUE_IDLE = 0,		/* no job has started, or none is left */
	NIB_QUEUE_SUSPENDED = 1,	/* a job waits for its next turn, between packets */
	NIB_QUEUE_ON_ENGINE = 2,	/* its packet is on the engine */
	NIB_QUEUE_BLOCKED = 3,		/* as SUSPENDED, at a semaphore that is closed */
};

/**
 * struct nib_queue_status - what a queue is doing; written by the firmware before and after every
 * packet.
 * @packets: completed since the queue was made; the progress counter.
 * @run_ns: modelled time on the engines.
 * @energy_pj: modelled.
 * @jobs: completed.
 * @seqno: of the running job, or of the last one.
 * @running: enum nib_queue_running.
 * @job_packets: completed of the job that is running, those that were skipped included; 0 while
 *	none is. While @running is NIB_QUEUE_ON_ENGINE, the packet after them may be done in part,
 *	also if the firmware has stopped since.
 */
struct nib_queue_status {
	__u64 packets;
	__u64 run_ns;
	__u64 energy_pj;
	__u64 jobs;
	__u32 seqno;
	__u32 running;
	__u64 job_packets;
	__u64 zero[2];
};
NIB_STATIC_ASSERT(sizeof(struct nib_queue_status) == 64, "queue status");

#define NIB_ADMIN_SLOTS		64u
#define NIB_EVENTS		256u
#define NIB_MAX_QUEUES		1536u
#define NIB_MAX_CONTEXTS	256u
#define NIB_MAX_STREAMS		4096u	/* of one context */

/**
 * struct nib_ctrl - control page.
 * @ping: last value written to NIB_DOORBELL_PING.
 * @event_head: events written so far.
 */
struct nib_ctrl {
	struct nib_admin_msg admin[NIB_ADMIN_SLOTS];
	struct nib_event events[NIB_EVENTS];
	__u32 ping;
	__u32 event_head;
	__u64 zero[7];
	struct nib_queue_status queues[NIB_MAX_QUEUES];
};
NIB_STATIC_ASSERT(sizeof(struct nib_ctrl) == 4096 + 8192 + 64 + 98304, "control page");

/* --- Queues --- */

/**
 * struct nib_ring_entry - one job.
 * @stream: id in the queue's context.
 * @nargs: how many arguments in the entry's argument block are valid.
 * @seqno: fence slot; comes back in the completion.
 * @flags: must be 0.
 * @stats_va: VA, 16-byte aligned, that receives a copy of the completion before it is posted; 0
 *	for none. A fault on it is the job's fault.
 */
struct nib_ring_entry {
	__u32 stream;
	__u32 nargs;
	__u64 seqno;
	__u32 flags;
	__u32 zero0;
	__u64 stats_va;
	__u64 zero[4];
};
NIB_STATIC_ASSERT(sizeof(struct nib_ring_entry) == 64, "ring entry");

/**
 * enum nib_done_status - how a job ended.
 *
 * After a fault (8 and up), and after NIB_DONE_RESET, the queue halts: no job behind it starts until
 * NIB_ADM_QUEUE_RESET, which ends them as cancelled, or NIB_ADM_JOB_CANCEL, after which they run.
 * Other queues go on.
 */
enum nib_done_status {
	NIB_DONE_NONE = 0,
	NIB_DONE_OK = 1,
	NIB_DONE_CANCELLED = 2,		/* queue destroyed or reset */
	NIB_DONE_RESET = 3,		/* engine reset */
	NIB_DONE_FAULT_READ = 8,	/* no or unreadable mapping at fault_va */
	NIB_DONE_FAULT_WRITE = 9,	/* no or unwritable mapping at fault_va */
	NIB_DONE_FAULT_ALIGN = 10,	/* fault_va is not aligned as its operand demands */
	NIB_DONE_FAULT_INDEX = 11,	/* an index or position past its table; fault_va: its address */
	NIB_DONE_FAULT_VALUE = 12,	/* an argument made a count out of range; fault_va: the value */
	NIB_DONE_FAULT_STREAM = 13,	/* unknown stream, or too few arguments for it */
	NIB_DONE_FAULT_ECC = 14,	/* uncorrectable memory error */
};

/**
 * struct nib_completion - how a job went. Also what a job's stats_va receives.
 * @phase: written last; 1 in the first round through the ring, 2 in the second, and so on.
 * @status: enum nib_done_status.
 * @seqno: of the ring entry.
 * @packet: index of the packet that failed; else how many ran.
 * @queue: queue id.
 * @fault_va: see @status.
 * @start_ns: modelled device clock when the first packet started.
 * @end_ns: modelled device clock when the last packet ended.
 * @cycles: modelled engine cycles.
 * @hbm_read: bytes; and so on for the other memories.
 * @energy_pj: modelled.
 * @ops: arithmetic operations, a multiply-add counting 2.
 * @kv_pages_sram: K/V page visits that were served by SRAM.
 * @kv_pages_other: the other K/V page visits.
 */
struct nib_completion {
	__u32 phase;
	__u32 status;
	__u64 seqno;
	__u32 packet;
	__u32 queue;
	__u64 fault_va;
	__u64 start_ns;
	__u64 end_ns;
	__u64 cycles;
	__u64 hbm_read;
	__u64 hbm_write;
	__u64 sram_read;
	__u64 sram_write;
	__u64 host_read;
	__u64 host_write;
	__u64 energy_pj;
	__u64 ops;
	__u64 kv_pages_sram;
	__u64 kv_pages_other;
	__u64 zero[5];
};
NIB_STATIC_ASSERT(sizeof(struct nib_completion) == 176, "completion");

/*
 * Ring of a queue, one DMA buffer: entries ring entries, entries argument blocks of
 * NIB_RING_ARG_BYTES, entries completions, in this order. Job number j (from 0) uses slot
 * j % entries of each and rings the doorbell with j + 1 (modulo 2^32). Jobs of a queue complete in
 * order. The completion with number c (from 0, 64 bits) is new when its phase, 32 bits, is
 * c / entries + 1; entries are reused only once their completion has been seen.
 */
#define NIB_RING_ARG_BYTES	512u
#define NIB_RING_MIN_ENTRIES	16u
#define NIB_RING_MAX_ENTRIES	1024u	/* powers of two */
#define NIB_RING_ARGS(entries)	((entries) * 64u)
#define NIB_RING_DONE(entries)	((entries) * (64u + NIB_RING_ARG_BYTES))
#define NIB_RING_BYTES(entries)	((entries) * (64u + NIB_RING_ARG_BYTES + 176u))

enum nib_priority {
	NIB_PRIORITY_LOW = 0,
	NIB_PRIORITY_NORMAL = 1,
	NIB_PRIORITY_HIGH = 2,
	NIB_PRIORITY_REALTIME = 3,
};
#define NIB_WEIGHT_MIN		1u
#define NIB_WEIGHT_DEFAULT	16u
#define NIB_WEIGHT_MAX		255u

/*
 * Page table of a context: four levels of 512 entries of 64 bits in HBM, each table 4 KiB,
 * indexed by VA bits 47..39, 38..30, 29..21, 20..12. Entries of levels 3, 2 and 1 point to the next
 * table; an entry of level 1 with NIB_PTE_BLOCK maps 2 MiB. Sixteen aligned entries of level 0 that
 * map an aligned 64 KiB may all carry NIB_PTE_64K, which lets one TLB entry serve them.
 */
#define NIB_PTE_VALID		(1ull << 0)
#define NIB_PTE_WRITE		(1ull << 1)	/* leaf: writable */
#define NIB_PTE_BLOCK		(1ull << 2)	/* level 1: a 2 MiB leaf */
#define NIB_PTE_64K		(1ull << 3)	/* level 0: one of sixteen */
#define NIB_PTE_MEM_SHIFT	4		/* leaf: enum nib_mem, two bits */
#define NIB_PTE_MEM_MASK	(3ull << NIB_PTE_MEM_SHIFT)
#define NIB_PTE_ADDR_MASK	0x000ffffffffff000ull
#define NIB_PTE_RESERVED	(~(NIB_PTE_ADDR_MASK | 0x3full))
#define NIB_PT_LEVELS		4
#define NIB_PT_ENTRIES		512u
#define NIB_PT_SHIFT(level)	(12 + 9 * (level))
#define NIB_PAGE_4K		0x1000ull
#define NIB_PAGE_64K		0x10000ull
#define NIB_PAGE_2M		0x200000ull

enum nib_mem {
	NIB_MEM_HBM = 0,	/* address: HBM offset */
	NIB_MEM_SRAM = 1,	/* address: SRAM offset */
	NIB_MEM_HOST = 2,	/* address: DMA address */
};

#endif
