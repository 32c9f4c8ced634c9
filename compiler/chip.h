/* SPDX-License-Identifier: MIT */
/*
 * What the compiler knows of a chip: memory for the plan, rates for predictions. The files are the
 * device's own; keys that matter only to the device are not looked at.
 */
#ifndef AC_CHIP_H
#define AC_CHIP_H

#include "ac.h"

enum ac_unit_class { AC_UNIT_FP4 = 0, AC_UNIT_FP8 = 1, AC_UNIT_BF16 = 2, AC_UNITS = 3 };

/**
 * struct ac_chip - a chip.
 * @ops_per_cycle: of one tensor tile, a multiply-add counting 2, by class.
 * @rows: rows of A that a tile takes at once.
 */
struct ac_chip {
	char name[32];
	double clock_hz;
	uint64_t hbm_bytes;
	uint64_t sram_bytes;
	double hbm_bytes_per_s;
	double sram_bytes_per_s;
	uint32_t tiles;
	uint32_t rows;
	double ops_per_cycle[AC_UNITS];
	uint32_t lanes;
	uint32_t special_cycles;
	uint32_t attention_rows;
	uint32_t packet_cycles;
	uint32_t job_cycles;
};

/* @which: a path (with a slash or .json), else a name: looked up in @dir, then built in. */
int ac_chip_load(struct ac_ctx *ctx, const char *which, const char *dir, struct ac_chip *chip);

/* Embedded chip files: generated at build time; NULL name at the end. */
struct ac_builtin_chip {
	const char *name;
	const char *text;
};
extern const struct ac_builtin_chip ac_builtin_chips[];

#endif
