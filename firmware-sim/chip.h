/* SPDX-License-Identifier: MIT */
/*
 * Chips as data: every number that one chip could have different from another. Read once, from a
 * chip file or an embedded one, and constant for the life of a device.
 */
#ifndef NIB_CHIP_H
#define NIB_CHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "nib_regs.h"

/* Classes of arithmetic that differ in rate and energy; a GEMM runs in that of its wider side. */
enum nib_unit {
	NIB_UNIT_FP4 = 0,
	NIB_UNIT_FP8 = 1,
	NIB_UNIT_BF16 = 2,
	NIB_UNITS = 3,
};

/**
 * struct nib_chip_memory - one memory, by enum nib_mem.
 * @bytes: size; 0 for the host's.
 * @bytes_per_s: bandwidth, reads and writes together.
 * @fj_per_byte: energy of moving a byte, femtojoules.
 */
struct nib_chip_memory {
	uint64_t bytes;
	uint64_t bytes_per_s;
	uint64_t fj_per_byte;
};

/**
 * struct nib_chip - a chip.
 * @window_bytes: start of HBM that BAR4 shows.
 * @tiles: tensor units that work in parallel.
 * @tile_rows: rows of A that a tensor unit takes at once; fewer leave lanes idle.
 * @tensor_mops: operations of one tile in a thousand cycles, a multiply-add counting 2.
 * @tensor_fj: energy of an operation.
 * @lanes: of the vector unit: simple operations in a cycle.
 * @special_cycles: cycles a lane needs for exp, division and their like.
 * @attention_rows: adjacent query rows of a sequence that share one pass over its K/V pages.
 * @packet_cycles: fixed cost of a packet.
 * @job_cycles: fixed cost of a job.
 * @static_mw: what it draws in D0 whatever it does; @sleep_mw: in D3hot, memories in self-refresh.
 * @mc_per_w: how many millidegrees a watt heats the die above ambient.
 */
struct nib_chip {
	char name[32];
	uint32_t contexts;
	uint32_t queues;
	uint32_t streams;
	uint64_t clock_hz;
	struct nib_chip_memory mem[3];
	uint64_t window_bytes;
	uint32_t tiles;
	uint32_t tile_rows;
	uint64_t tensor_mops[NIB_UNITS];
	uint64_t tensor_fj[NIB_UNITS];
	uint32_t lanes;
	uint32_t special_cycles;
	uint64_t vector_fj;
	uint32_t attention_rows;
	uint32_t packet_cycles;
	uint32_t job_cycles;
	uint64_t static_mw;
	uint64_t sleep_mw;
	uint32_t ambient_mc;
	uint32_t mc_per_w;
	uint32_t thermal_ms;
};

/**
 * nib_chip_load - read a chip.
 * @which: name of a built-in chip, else a path.
 * @error: receives one line that names file, key and limit.
 *
 * Returns 0, -ENOENT (no such chip or file) or -EINVAL (bad contents).
 */
int nib_chip_load(const char *which, struct nib_chip *chip, char *error, size_t error_bytes);

/* FNV-1a of the name: NIB_REG_CHIP. */
uint32_t nib_chip_hash(const struct nib_chip *chip);

/* Embedded files, see builtin.c: the text of chip number @index, false past the last one. */
struct nib_builtin_chip {
	const char *name;
	const char *text;
	size_t bytes;
};
bool nib_builtin_chip_get(unsigned int index, struct nib_builtin_chip *chip);

#endif
