/* SPDX-License-Identifier: MIT */
/*
 * libaccel, language models: tokenizer, sequences with paged K/V, steps, sampling, generation.
 * Manners as in accel.h. A step runs any mix of prefill and decode rows of any sequences in one
 * submit; logits do not depend on what else is in the step.
 */
#ifndef ACCEL_LLM_H
#define ACCEL_LLM_H

#include "accel.h"

#ifdef __cplusplus
extern "C" {
#endif

struct accel_tokenizer;
struct accel_llm;
struct accel_seq;

#define ACCEL_TOKEN_NONE	0xffffffffu

/* --- Tokenizer; needs no device. --- */

/**
 * accel_tokenizer_create - read the tokenizer of a program. The program may be closed afterwards.
 *
 * Returns 0; -ENOENT (it has none), -EINVAL (damaged), -ENOTSUP (a model or pre-tokenizer that is
 * not known), -ENOMEM. accel_last_error(NULL) has the text, which names it.
 */
int accel_tokenizer_create(const struct accel_program *program, struct accel_tokenizer **tokenizer);
void accel_tokenizer_destroy(struct accel_tokenizer *tokenizer);

#define ACCEL_TOKENIZE_NO_BOS	(1u << 0)	/* leave out BOS and EOS that the model wants */
#define ACCEL_TOKENIZE_SPECIAL	(1u << 1)	/* control tokens in the text count as such */

/**
 * accel_tokenize - text to tokens.
 * @text: UTF-8; invalid bytes become byte tokens.
 * @bytes: length of @text, at most 2^30.
 * @flags: ACCEL_TOKENIZE_NO_BOS leaves out BOS and EOS that the model wants;
 *	ACCEL_TOKENIZE_SPECIAL lets control tokens that are written in the text count as such. User
 *	text should be tokenized without it.
 * @tokens: receives up to @max tokens; may be NULL when @max is 0.
 *
 * Returns how many tokens the text has, also when that is more than @max; or -errno.
 */
long accel_tokenize(struct accel_tokenizer *tokenizer, const char *text, size_t bytes,
		    uint32_t flags, uint32_t *tokens, size_t max);

/**
 * accel_detokenize - text of tokens, as it continues a text. A token may end inside a character:
 * pieces of a text are to be joined as bytes.
 * @flags: ACCEL_DETOKENIZE_START drops the space that tokenizing put in front of a text;
 *	ACCEL_DETOKENIZE_CONTROL prints control tokens.
 * @buf: receives up to @max bytes, no zero; may be NULL when @max is 0.
 *
 * Returns how many bytes the text has; or -EINVAL for a token that is not in the vocabulary.
 */
#define ACCEL_DETOKENIZE_START	(1u << 0)	/* drop the space that tokenizing put in front */
#define ACCEL_DETOKENIZE_CONTROL (1u << 1)	/* print control tokens */
long accel_detokenize(struct accel_tokenizer *tokenizer, const uint32_t *tokens, size_t count,
		      uint32_t flags, char *buf, size_t max);

/* Tokens that begin and end a text, or ACCEL_TOKEN_NONE; and how many tokens there are. */
uint32_t accel_tokenizer_bos(const struct accel_tokenizer *tokenizer);
uint32_t accel_tokenizer_eos(const struct accel_tokenizer *tokenizer);
uint32_t accel_tokenizer_size(const struct accel_tokenizer *tokenizer);

/* Whether a text ends with @token: EOS, or a token that chat models name so, like <|eot_id|>. */
bool accel_tokenizer_is_end(const struct accel_tokenizer *tokenizer, uint32_t token);

/* --- Models and sequences --- */

/**
 * struct accel_llm_params - how to load a model.
 * @struct_size: sizeof(struct accel_llm_params).
 * @priority: of its queue.
 * @max_seqs: sequences that may exist at once; 0 for 8.
 * @sram_bytes: SRAM for K/V pages; 0 takes what is free; UINT64_MAX takes none.
 * @hbm_kv_bytes: HBM for K/V pages; 0: enough for max_seqs of full context, as far as HBM goes.
 */
struct accel_llm_params {
	size_t struct_size;
	enum accel_priority priority;
	uint32_t max_seqs;
	uint64_t sram_bytes;
	uint64_t hbm_kv_bytes;
};

/**
 * accel_llm_create - load a program's weights and streams onto a device. The program may be closed
 * afterwards.
 * @params: NULL for defaults.
 *
 * How many tokens it puts through can be seen by monitors of the same user and root: accel-top(1).
 *
 * Returns 0; -EINVAL (program for another chip: the text names both), -ENOSPC, -ENOMEM, -ENODEV.
 */
int accel_llm_create(struct accel_device *device, const struct accel_program *program,
		     const struct accel_llm_params *params, struct accel_llm **llm);
void accel_llm_destroy(struct accel_llm *llm);

/**
 * accel_seq_create - start an empty sequence.
 *
 * Returns 0, -EMFILE (max_seqs), -ENOMEM.
 */
int accel_seq_create(struct accel_llm *llm, struct accel_seq **seq);
void accel_seq_destroy(struct accel_seq *seq);

/* How many tokens a sequence holds. */
uint32_t accel_seq_length(const struct accel_seq *seq);

/**
 * accel_seq_truncate - forget all after the first tokens of a sequence. Costs no device time.
 * @length: how many stay.
 *
 * Returns 0, or -EINVAL if there are fewer.
 */
int accel_seq_truncate(struct accel_seq *seq, uint32_t length);

enum accel_logits {
	ACCEL_LOGITS_NONE = 0,
	ACCEL_LOGITS_LAST = 1,
	ACCEL_LOGITS_ALL = 2,
};

/**
 * struct accel_sampling - how to pick a token; see struct nib_sample_params for the rule.
 * @temperature: 0 for greedy.
 * @top_p: 1 (or 0) for no limit.
 * @top_k: 0 for no limit.
 * @seed: of the random stream; the position of the new token is the counter.
 */
struct accel_sampling {
	float temperature;
	float top_p;
	uint32_t top_k;
	uint64_t seed;
};

/**
 * struct accel_step - part of a step: tokens to append to a sequence.
 * @seq: each sequence at most once in a step.
 * @tokens: to append.
 * @count: at least 1.
 * @logits: which rows give logits.
 * @sample: NULL, or how to pick the token after the last one. Needs no @logits: those are for the
 *	caller, and cost a transfer to the host.
 * @token: out: the token picked, else ACCEL_TOKEN_NONE.
 * @logits_out: out: FP32 [rows][vocab], valid until the next step; NULL without logits.
 */
struct accel_step {
	struct accel_seq *seq;
	const uint32_t *tokens;
	uint32_t count;
	enum accel_logits logits;
	const struct accel_sampling *sample;
	uint32_t token;
	const float *logits_out;
};

/**
 * accel_llm_step - append tokens to sequences, in one step.
 * @steps: parts, each of another sequence.
 *
 * A step is one submit, unless there are more rows than the program takes at once, in which case it
 * is split into as few as it takes.
 *
 * Returns 0; -EINVAL, -ENOSPC (K/V memory is full; nothing happened), -E2BIG (context length;
 * nothing happened), or as accel_timeline_wait(). After an error from the device the sequences keep
 * the length they had before, and the step may be tried again. Where a reset lost what was in device
 * memory (accel_device_info.function_resets) every step fails with -EIO, and the text says that the
 * model must be created anew.
 */
int accel_llm_step(struct accel_llm *llm, struct accel_step *steps, uint32_t count);

/**
 * struct accel_llm_stats - totals since accel_llm_create().
 *
 * Times and energy of the device are modelled. What a step with prefill and decode rows cost is
 * shared between them by rows.
 */
struct accel_llm_stats {
	size_t struct_size;
	uint64_t prefill_tokens;	/* rows of parts with count > 1 */
	uint64_t decode_tokens;		/* rows of parts with count 1 */
	uint64_t prefill_host_ns;
	uint64_t decode_host_ns;
	uint64_t prefill_device_ns;
	uint64_t decode_device_ns;
	uint64_t prefill_energy_pj;
	uint64_t decode_energy_pj;
	uint64_t submits;
	uint64_t hbm_bytes;
	uint64_t sram_bytes;
	uint64_t host_bytes;
	uint64_t ops;
	uint64_t kv_pages_sram;		/* page visits served by SRAM */
	uint64_t kv_pages_other;
	uint32_t pages_sram;		/* K/V pages that exist, by memory; HBM grows with use */
	uint32_t pages_hbm;
	uint32_t pages_sram_used;
	uint32_t pages_hbm_used;
};

/**
 * accel_llm_query - what a model has cost so far, and where its K/V pages are.
 * @stats: struct_size must be set.
 *
 * Returns 0, or -EINVAL (struct_size).
 */
int accel_llm_query(struct accel_llm *llm, struct accel_llm_stats *stats);

/**
 * accel_generate - append a prompt and generate.
 * @prompt: tokens; may be empty to go on from where the last accel_generate() stopped.
 * @sampling: NULL for greedy.
 * @max: most tokens to generate.
 * @on_token: called with each new token (EOS included); returns false to stop. May be NULL.
 *
 * Stops at EOS (see accel_tokenizer_is_end()), at @max, at the context length, or when told. The
 * last token generated is not in the sequence yet: the next accel_generate() appends it first;
 * accel_llm_step() and accel_seq_truncate() forget it. Returns how many tokens were generated, or
 * -errno.
 */
long accel_generate(struct accel_seq *seq, const uint32_t *prompt, size_t count,
		    const struct accel_sampling *sampling, uint32_t max,
		    bool (*on_token)(void *user, uint32_t token), void *user);

#ifdef __cplusplus
}
#endif

#endif
