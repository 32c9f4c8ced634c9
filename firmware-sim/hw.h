/* SPDX-License-Identifier: MIT */
/*
 * The hardware half of the device: memories, MMU, execution engine, clock and energy meter.
 * It knows packets and page tables, but nothing of queues, jobs, streams or priorities: those are
 * the firmware's (fw.h). The functions under "Ports" are all that the firmware sees of it.
 */
#ifndef NIB_HW_H
#define NIB_HW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "chip.h"
#include "kernels/kernels.h"
#include "nib_device.h"
#include "nib_isa.h"
#include "nib_regs.h"
#include "pool.h"
#include "trouble.h"

#define NIB_MEMS 3 /* enum nib_mem */

/**
 * struct nib_cost - what a packet moved and computed; time and energy follow from it.
 * @read: bytes, by enum nib_mem.
 * @write: bytes, by enum nib_mem.
 * @ops: operations of the tensor units, by enum nib_unit.
 * @vector_ops: operations of the vector unit.
 * @tensor_cycles: thousandths of a cycle that the tensor units need, idle lanes counted.
 * @vector_cycles: cycles that the vector unit needs.
 */
struct nib_cost {
	uint64_t read[NIB_MEMS];
	uint64_t write[NIB_MEMS];
	uint64_t ops[NIB_UNITS];
	uint64_t vector_ops;
	uint64_t tensor_cycles;
	uint64_t vector_cycles;
	uint64_t kv_pages_sram;
	uint64_t kv_pages_other;
};

/* --- MMU --- */

/**
 * struct nib_range - a piece of VA space that is contiguous behind the MMU: what a TLB entry holds.
 * @end: first VA after it.
 * @address: where @start lies in its memory.
 * @mem: enum nib_mem.
 * @generation: of the context when it was filled; an older one is invalid.
 * @final: what is mapped at @end does not continue it: there is no use in looking further.
 */
struct nib_range {
	uint64_t start;
	uint64_t end;
	uint64_t address;
	uint32_t context;
	uint32_t generation;
	uint8_t mem;
	bool write;
	bool final;
};

#define NIB_TLB_SMALL	1024u	/* entries by VA / 64 KiB */
#define NIB_TLB_LARGE	256u	/* entries by VA / 2 MiB, for ranges that cover it */

/*
 * Used by the thread that executes packets; invalidation happens only while that thread is between
 * packets or parked, see device.c.
 */
struct nib_mmu {
	struct nib_range small[NIB_TLB_SMALL];
	struct nib_range large[NIB_TLB_LARGE];
	uint32_t generation[NIB_MAX_CONTEXTS];
};

/* --- Bounce memory: for operands that are not contiguous --- */

#define NIB_ARENA_BLOCKS	40u
#define NIB_ARENA_LIMIT		(1ull << 30)

struct nib_arena {
	struct {
		uint8_t *data;
		size_t bytes;
	} block[NIB_ARENA_BLOCKS];
	unsigned int blocks;	/* allocated */
	unsigned int at;	/* in use: all before this one, */
	size_t used;		/* and this much of it */
	size_t total;
};

/* A place to go back to: releases what was allocated after it. */
struct nib_arena_mark {
	unsigned int at;
	size_t used;
};

void *nib_arena_get(struct nib_arena *arena, size_t bytes);
struct nib_arena_mark nib_arena_mark(const struct nib_arena *arena);
void nib_arena_release(struct nib_arena *arena, struct nib_arena_mark mark);
void nib_arena_trim(struct nib_arena *arena);
void nib_arena_destroy(struct nib_arena *arena);

/* --- Clock and energy --- */

/**
 * struct nib_meter - modelled time and energy. While packets run, time advances by what they cost;
 * while nothing runs, it follows the host's clock.
 * @busy_ps: time with work running, picoseconds.
 * @idle_ns: time without, up to @idle_since.
 * @idle_since: host clock when the device fell idle; 0 while it is busy.
 * @asleep: in D3hot: idle time costs the chip's sleep power.
 * @energy_pj: below a microjoule; whole ones are in @energy_uj.
 * @last_ns: clock of the last reading of power; with @last_uj, @last_mw.
 * @heat_ns: clock of @temp_mc; @heat_uj the energy meter then.
 */
struct nib_meter {
	uint64_t busy_ps;
	uint64_t idle_ns;
	uint64_t idle_since;
	bool asleep;
	uint64_t energy_uj;
	uint64_t energy_pj;
	uint64_t static_ns;
	uint64_t last_ns;
	uint64_t last_uj;
	uint32_t last_mw;
	uint64_t heat_ns;
	uint64_t heat_uj;
	double temp_mc;
};

/**
 * struct nib_regs - the registers of BAR0 that hold something: mailbox between driver and firmware.
 * The driver writes @fw_addr, @fw_bytes and @ctrl_addr, the firmware the rest.
 */
struct nib_regs {
	uint64_t fw_addr;
	uint64_t ctrl_addr;
	uint32_t fw_bytes;
	uint32_t fw_state;
	uint32_t fw_error;
	uint32_t fw_api;
	char fw_version[32];
	uint32_t reset_count;
};

struct nib_hw {
	struct nib_chip chip;
	const struct nib_kernels *kernels;
	struct nib_pool *pool;		/* NULL: the executing thread works alone */
	struct nib_host_ops ops;
	void *host;

	uint8_t *hbm;
	int hbm_fd;
	uint64_t *huge_asked;	/* 2 MiB pieces of shared HBM that nib_hw_huge() has seen, a bit each */
	uint8_t *sram;

	struct nib_regs regs;
	struct nib_trouble trouble;
	struct nib_mmu mmu;
	struct nib_arena arena;
	struct nib_meter meter;

	/*
	 * Set when the executing packet must stop at its next safe point, see device.c. @park runs
	 * there and says whether the packet may go on; @parks counts how often it did, since then
	 * every pointer into memory is stale.
	 */
	atomic_bool attention;
	bool (*park)(struct nib_hw *hw);
	uint64_t parks;
	atomic_uint progress;	/* safe points passed */
};

int nib_hw_init(struct nib_hw *hw, const struct nib_device_config *config, char *error,
		size_t error_bytes);
void nib_hw_destroy(struct nib_hw *hw);
/*
 * What HBM and SRAM held is lost: whatever was ever written reads NIB_HW_LOST now, so that nobody takes
 * it for memory that was cleared.
 */
/**
 * nib_hw_huge - asks once for huge pages where a job streams through shared HBM.
 *
 * What lies there has been written by now, so that the pages can be put together; private memory
 * has huge pages from the start. Where the host has none, nothing changes. Thread of the engine.
 */
void nib_hw_huge(struct nib_hw *hw, const uint8_t *at, uint64_t bytes);

void nib_hw_memories_lose(struct nib_hw *hw);
#define NIB_HW_LOST	0xa5
void nib_hw_log(struct nib_hw *hw, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* --- Ports: what the firmware uses --- */

/* Endings that a packet has besides those of enum nib_done_status; never seen by a driver. */
enum nib_engine_status {
	NIB_ENGINE_OK = NIB_DONE_OK,
	NIB_ENGINE_BLOCKED = 0x100,	/* semaphore does not hold: try again later */
	NIB_ENGINE_ABORTED = 0x101,	/* stopped at a safe point */
};

/**
 * struct nib_packet_trouble - what goes wrong with a packet, by order.
 * @mmu: its first access to memory faults.
 * @ecc: NIB_POISON_* that its first read of HBM meets; 0 for none.
 * @delay_ms: it takes so much longer.
 * @mmu_met: @mmu has struck; and so on.
 */
struct nib_packet_trouble {
	bool mmu;
	uint64_t ecc;
	uint32_t delay_ms;
	bool mmu_met;
	bool ecc_met;
};

/**
 * struct nib_engine_command - one packet for the engine.
 * @context: whose TLB entries to use.
 * @root: HBM offset of its page table.
 * @words: the packet, copied from the stream.
 * @avail: words that are valid there.
 * @args: of the job.
 * @nargs: how many are valid.
 * @first: first packet of a job: its fixed cost is due.
 * @trouble: what goes wrong with it.
 */
struct nib_engine_command {
	uint32_t context;
	uint64_t root;
	__u64 words[NIB_MAX_PKT_WORDS];
	uint32_t avail;
	const uint64_t *args;
	uint32_t nargs;
	bool first;
	struct nib_packet_trouble trouble;
};

/**
 * struct nib_engine_result - how it went.
 * @status: enum nib_done_status or nib_engine_status.
 * @fault_va: see enum nib_done_status.
 * @cycles: modelled.
 * @time_ps: modelled.
 * @energy_pj: modelled, static power of that time included.
 * @ecc: HBM offset of a memory error that was met, | NIB_POISON_*; 0 for none.
 */
struct nib_engine_result {
	uint32_t status;
	uint64_t fault_va;
	struct nib_cost cost;
	uint64_t ops;
	uint64_t cycles;
	uint64_t time_ps;
	uint64_t energy_pj;
	uint64_t ecc;
};

/* Executes one packet. The only port that takes long; needs no lock. */
void nib_engine_execute(struct nib_hw *hw, struct nib_engine_command *command,
			struct nib_engine_result *result);

/* Stores @bytes at @va of a context: the stats_va of a job. */
void nib_engine_store(struct nib_hw *hw, uint32_t context, uint64_t root, uint64_t va,
		      const void *data, uint64_t bytes, struct nib_engine_result *result);

/* Forgets TLB entries of one context, or of all where @context is ~0. */
void nib_mmu_invalidate(struct nib_mmu *mmu, uint32_t context);

/* Host memory by DMA address, HBM by offset; NULL where there is none. */
void *nib_hw_dma(struct nib_hw *hw, uint64_t address, uint64_t bytes, bool write);
void *nib_hw_hbm(struct nib_hw *hw, uint64_t offset, uint64_t bytes);

/* Books a packet; clock and meters as registers show them. Host clock in nanoseconds. */
void nib_meter_init(struct nib_hw *hw, uint64_t host_ns);
void nib_meter_book(struct nib_hw *hw, const struct nib_engine_result *result);
void nib_meter_busy(struct nib_hw *hw, uint64_t host_ns);
void nib_meter_idle(struct nib_hw *hw, uint64_t host_ns);
void nib_meter_sleep(struct nib_hw *hw, bool asleep, uint64_t host_ns);
uint64_t nib_meter_clock_ns(const struct nib_hw *hw, uint64_t host_ns);
/* While the device is busy. */
uint64_t nib_meter_clock_ps(const struct nib_hw *hw);
uint64_t nib_meter_energy_uj(struct nib_hw *hw, uint64_t host_ns);
uint32_t nib_meter_power_mw(struct nib_hw *hw, uint64_t host_ns);
uint32_t nib_meter_temp_mc(struct nib_hw *hw, uint64_t host_ns);

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t nib_host_ns(void);

/* Turns a cost into cycles, time and energy. */
void nib_cost_settle(const struct nib_chip *chip, const struct nib_cost *cost, bool first,
		     struct nib_engine_result *result);
/* How long a cost keeps each engine busy, picoseconds, by enum nib_trace_engine. */
void nib_cost_engines(const struct nib_chip *chip, const struct nib_cost *cost, uint64_t *engine_ps);
void nib_cost_gemm(const struct nib_chip *chip, struct nib_cost *cost, uint64_t rows, uint64_t n,
		   uint64_t k, uint32_t a_fmt, uint32_t w_fmt);
void nib_cost_attention(const struct nib_chip *chip, struct nib_cost *cost, uint64_t positions,
			uint64_t heads, uint64_t head_dim);
void nib_cost_vector(const struct nib_chip *chip, struct nib_cost *cost, uint64_t simple,
		     uint64_t special);

/* a * b and a + b, or the largest value where that does not fit. */
static inline uint64_t nib_mul_sat(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_mul_overflow(a, b, &r) ? UINT64_MAX : r;
}

static inline uint64_t nib_add_sat(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_add_overflow(a, b, &r) ? UINT64_MAX : r;
}

#endif
