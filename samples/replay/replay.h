/* SPDX-License-Identifier: MIT */
/*
 * Replaying a dump: the same jobs, with the same arguments, at the same addresses, on a device in
 * process. What the dump has no contents of is zero.
 *
 * It starts with the packet that the job was at, since the memory in the dump is as the packets
 * before it had left it.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "dump.h"

#define REPLAY_TEXT_BYTES	256
#define REPLAY_MAX_WARNINGS	16

/**
 * struct replay_params - how to replay.
 * @chip: name or file of the chip; NULL for the dump's.
 * @threads: that compute at once; 0 for 1.
 * @limit_ms: for how long.
 * @memory: bytes that the device's memory may come to on this machine; 0: as much as it has.
 * @from_start: start with the first packet of the job.
 */
struct replay_params {
	const char *chip;
	unsigned int threads;
	unsigned int limit_ms;
	uint64_t memory;
	bool from_start;
};

enum replay_verdict {
	REPLAY_REPRODUCED,
	REPLAY_DIFFERS,
	REPLAY_IMPOSSIBLE,	/* the dump does not hold what it takes */
};

/**
 * struct replay_result - how it went.
 * @text: one line that says it.
 * @status: enum nib_done_status of the guilty job; NONE: it did not end.
 * @packet: where it stopped.
 * @fault_va: see enum nib_done_status.
 * @first: packet that it started with.
 * @chip: that it ran on.
 * @limited: time was up.
 * @blocked: it waits at a semaphore: @sem_va, which has @sem_value and must have @sem_want.
 * @mapped: bytes of the address map; @missing of them were bound without DUMPABLE, or the dump
 *	could not hold them: they were zero.
 * @warnings: lines, for people; at most REPLAY_MAX_WARNINGS.
 */
struct replay_result {
	enum replay_verdict verdict;
	char text[REPLAY_TEXT_BYTES];
	uint32_t status;
	uint32_t packet;
	uint64_t fault_va;
	uint32_t first;
	char chip[REPLAY_TEXT_BYTES];
	bool limited;
	bool blocked;
	uint64_t sem_va;
	uint64_t sem_value;
	uint64_t sem_want;
	uint64_t mapped;
	uint64_t missing;
	char warnings[REPLAY_MAX_WARNINGS][REPLAY_TEXT_BYTES];
	unsigned int n_warnings;
};

/**
 * replay_run - replay a dump.
 *
 * Returns 0, also where the outcome differs; or -errno: @result->text says what could not be done
 * (a chip that is not known, no memory).
 */
int replay_run(const struct dump *dump, const struct replay_params *params,
	       struct replay_result *result);

#endif
