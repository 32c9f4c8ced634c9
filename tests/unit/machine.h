/* SPDX-License-Identifier: MIT */
/*
 * A compiled program with everything a step needs, run by the interpreter of interpret.h: weights,
 * scratch, pages and logits in plain memory, filled with NaNs so that what a program forgets to
 * write shows.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "accel.h"
#include "accel_compiler.h"
#include "nib_isa.h"
#include "nib_program.h"

#define MACHINE_TOKENS 512	/* positions and rows, most */

struct machine {
	char path[64];
	struct accel_program *program;
	const struct nib_program_model *model;
	const uint64_t *stream;
	size_t stream_bytes;
	uint64_t args[NIB_MAX_ARGS];
	void *weights;
	void *scratch;
	void *pages;
	uint64_t *blocks;
	float *logits;
};

/* Compile a GGUF file, or memory where @data is not NULL. Fails the test where that fails. */
void machine_open(struct machine *m, const char *gguf, const void *data, size_t bytes,
		  const struct accel_compile_options *options);
void machine_close(struct machine *m);
/* Tokens from..to of a sequence in one step; logits of all of them. Returns the last pick. */
uint32_t machine_step(struct machine *m, const uint32_t *tokens, uint32_t from, uint32_t to);

#endif
