/* SPDX-License-Identifier: MIT */
/* What accel-run.c and its report share. */
#ifndef ACCEL_RUN_H
#define ACCEL_RUN_H

#include <accel_llm.h>
#include <nib_program.h>
#include <stdio.h>

struct options {
	const char *model;
	const char *prompt;
	const char *prompt_file;
	const char *score;
	const char *logits;
	const char *device;
	const char *chip;
	uint32_t threads;
	enum accel_transport transport;
	struct accel_sampling sampling;
	uint32_t tokens;
	bool special;
	bool echo;
	bool json;
	bool digest;
	bool quiet;
	bool no_sram_kv;
};

/* The run: handles, and what was seen. */
struct run {
	struct options o;
	struct accel_device *device;
	struct accel_program *program;
	struct accel_tokenizer *tokenizer;
	struct accel_llm *llm;
	struct accel_seq *seq;
	struct accel_device_info info;
	const struct nib_program_model *model;
	uint32_t *prompt;
	size_t prompt_tokens;
	uint32_t *made;
	size_t n_made;
	char *text;		/* generated, for --json */
	size_t text_bytes;
	size_t text_max;
	bool started;		/* something was printed */
	uint64_t digest;
	double t_load, t_start, t_first, t_end;
	struct accel_llm_stats s_first, s_end;	/* after the prompt, and at the end */
};

/* Sequences to score. */
struct score {
	uint32_t *tokens;	/* of all sequences, one after the other */
	size_t *ends;		/* where each ends */
	double *nll;
	size_t sequences;
	size_t rows;		/* sum of the lengths */
	FILE *npy;
};

/* Say what failed, and why if the library knows. Returns 1. */
int fail(const struct run *r, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Summary on standard error; or all of it as JSON on standard output. Returns 0 or 1. */
int report(const struct run *r, const struct score *s);

#endif
