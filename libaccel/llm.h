/* SPDX-License-Identifier: MIT */
/*
 * A loaded language model, private to llm.c (loading, sequences), step.c (what runs per step) and
 * generate.c.
 */
#ifndef LIBACCEL_LLM_H
#define LIBACCEL_LLM_H

#include "accel_llm.h"
#include "internal.h"
#include "kv.h"
#include "nib_program.h"
#include "tokenizer.h"

struct accel_seq {
	struct accel_llm *llm;
	struct accel_kv_seq kv;
	uint32_t length;
	uint32_t pending;	/* generated, but not appended yet; or ACCEL_TOKEN_NONE */
	uint64_t mark;		/* number of the last step it was in: finds duplicates */
};

/*
 * One host buffer holds all that a step exchanges with the device, laid out once. Addresses are the
 * device's, pointers the CPU's.
 */
struct llm_io {
	struct accel_buffer *buffer;
	uint64_t address;
	uint8_t *base;
	uint64_t bytes;
	uint32_t *tokens;		/* [max_rows] */
	struct nib_kv_row *rows;	/* [max_rows] */
	uint64_t *blocks;		/* [parts][stride], packed */
	uint32_t *out_index;		/* [max_out_rows] */
	struct nib_sample_params *params; /* [max_out_rows] */
	uint32_t *picked;		/* [max_out_rows] */
};

/* A buffer that grows to the largest step seen. */
struct llm_logits {
	struct accel_buffer *buffer;
	uint64_t address;
	float *data;			/* NULL for device memory */
	uint64_t rows;
};

struct accel_llm {
	struct accel_device *device;
	struct nib_program_model model;
	enum accel_priority priority;
	uint32_t function_resets;	/* of the device, before anything was loaded */
	uint32_t max_seqs;
	uint32_t n_seqs;
	uint32_t max_pages;		/* of a sequence of full context */
	uint64_t steps;
	struct accel_buffer *weights;
	struct accel_buffer *scratch;
	struct llm_io io;
	struct llm_logits host_logits;	/* when the caller wants them */
	struct llm_logits device_logits; /* when only the sampler does */
	struct accel_stream *stream;
	struct accel_queue *queue;	/* NULL when an error took it and no new one could be had */
	struct accel_timeline *timeline;
	uint64_t point;
	uint64_t args[NIB_MAX_ARGS];
	uint32_t nargs;
	uint8_t bind[NIB_MAX_ARGS];	/* enum nib_bind of each argument */
	struct accel_job_stats job;
	struct accel_kv kv;
	uint32_t stops[TOK_STOPS];	/* see struct accel_tokenizer */
	uint32_t n_stops;
	struct accel_llm_stats stats;
	struct accel_usage_page *usage;	/* or NULL; see usage.h */
	int usage_fd;
};

/* Make queue and timeline, or make them anew after an error; -EIO once the model was lost. */
int llm_queue_create(struct accel_llm *llm);
void llm_queue_destroy(struct accel_llm *llm);
/* Room for @rows rows of logits. Returns 0 or -errno; what was there is lost. */
int llm_logits_reserve(struct accel_llm *llm, struct llm_logits *logits, enum accel_memory memory,
		       uint64_t rows);
/* usage.c: a page that monitors read. Without one nothing else is different. */
void llm_usage_open(struct accel_llm *llm);
void llm_usage_close(struct accel_llm *llm);
void llm_usage_add(struct accel_llm *llm, uint32_t tokens);
/* upload.c: fill a buffer that the CPU cannot map from a section. Returns 0 or -errno. */
int llm_upload(struct accel_buffer *buffer, const struct accel_program *program, const void *data,
	       uint64_t bytes);

#endif
