/* SPDX-License-Identifier: MIT */
/*
 * libaccel-compiler: model files to program files (uapi/nib_program.h). Needs no device.
 *
 * Manners. Functions return 0 or -errno, and never print, abort, exit or start a thread; the text
 * behind an error names the file, the tensor or key, what is wrong and the limit. Nothing that an
 * input file says is trusted. The same input and options give the same bytes.
 */
#ifndef ACCEL_COMPILER_H
#define ACCEL_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct accel_compile;

/* Scale rules as in enum nib_scale_rule, with a default in front. */
enum accel_compile_rule {
	ACCEL_RULE_DEFAULT = 0,	/* weights: best3 for FP4, ceil for FP8; activations: ceil */
	ACCEL_RULE_FLOOR = 1,
	ACCEL_RULE_CEIL = 2,
	ACCEL_RULE_BEST3 = 3,
};

/**
 * struct accel_compile_options - how to compile. Zero means the default everywhere.
 * @struct_size: sizeof(struct accel_compile_options).
 * @weight_fmt: enum nib_format of the linear layers. Default: MXFP8, but tensors that arrive in a
 *	block format of the device stay in it.
 * @head_fmt: of the output head. Default: the file's block format, else MXFP8, or @weight_fmt where
 *	that is BF16 or MXFP8X2.
 * @embd_fmt: of the token embedding, where it is not the head itself. Default as for the head.
 * @act_fmt: of activations that enter a linear layer. Default MXFP8.
 * @kv_fmt: of keys and values in pages. Default BF16, or F32 where @act_fmt has two terms.
 * @weight_rule: enum accel_compile_rule for weights.
 * @act_rule: for activations; best3 is refused, it takes three passes.
 * @max_rows: most tokens of a step, at most 65536. Default 512.
 * @max_out_rows: most rows of logits of a step. Default: max_rows, less where the logits would
 *	take more than 64 MiB.
 * @page_tokens: positions in a K/V page, a power of two up to 4096. Default 16.
 * @chip: name or path of a chip file. Default "small".
 * @chip_dir: folder of chip files to look names up in, before the built-in ones; may be NULL.
 * @dump_after: name of a pass whose result goes to @dump, or "all"; may be NULL.
 * @log: receives one line at a time, no newline; level as enum accel_log_level. May be NULL.
 * @progress: called as weights are written, in bytes. May be NULL.
 * @dump: receives text, with newlines. May be NULL.
 * @user: first argument of the hooks.
 */
struct accel_compile_options {
	size_t struct_size;
	uint32_t weight_fmt;
	uint32_t head_fmt;
	uint32_t embd_fmt;
	uint32_t act_fmt;
	uint32_t kv_fmt;
	uint32_t weight_rule;
	uint32_t act_rule;
	uint32_t max_rows;
	uint32_t max_out_rows;
	uint32_t page_tokens;
	const char *chip;
	const char *chip_dir;
	const char *dump_after;
	void (*log)(void *user, int level, const char *line);
	void (*progress)(void *user, const char *stage, uint64_t done, uint64_t total);
	void (*dump)(void *user, const char *text);
	void *user;
};

/**
 * accel_compile_create - a compilation: one model, from file to program.
 * @options: copied, strings included; NULL for all defaults.
 *
 * Returns 0; -EINVAL (struct_size), -ENOMEM.
 */
int accel_compile_create(const struct accel_compile_options *options,
			 struct accel_compile **compile);
void accel_compile_destroy(struct accel_compile *compile);

/* Text of what the last call on @compile failed with, in one line; "" when it went well. */
const char *accel_compile_error(const struct accel_compile *compile);

/**
 * accel_compile_load - read a model and run all passes. Weights are only looked at.
 * @path: a GGUF file; it stays mapped until accel_compile_destroy() and must not become shorter.
 *
 * Returns 0; -errno of the file; -EINVAL (damaged file, option out of range), -ENOTSUP (something
 * the device or the compiler does not do; the text names it), -ENOMEM.
 */
int accel_compile_load(struct accel_compile *compile, const char *path);
/* The same from memory, which must stay until accel_compile_destroy(). @name is for messages. */
int accel_compile_load_memory(struct accel_compile *compile, const char *name, const void *data,
			      size_t bytes);

/**
 * accel_compile_write - encode the weights and write the program file. The file appears under its
 * name when it is whole; after an error nothing is left behind.
 *
 * Returns 0; -errno of the file; -EINVAL (weights that are not numbers), -ENOMEM.
 */
int accel_compile_write(struct accel_compile *compile, const char *path);

#define ACCEL_EXPLAIN_JSON	(1u << 0)	/* one JSON object instead of a table */
#define ACCEL_EXPLAIN_OPS	(1u << 1)	/* every operation, not only the summary */

/**
 * accel_compile_explain - what the program does and what it will cost on the chip: predictions.
 * @flags: ACCEL_EXPLAIN_*.
 * @emit: receives text, with newlines.
 */
int accel_compile_explain(struct accel_compile *compile, uint32_t flags,
			  void (*emit)(void *user, const char *text), void *user);

/**
 * struct accel_compile_summary - result in numbers.
 * @struct_size: sizeof(struct accel_compile_summary), set by the caller.
 * @input_bytes: of the model file.
 * @weights_bytes: in device layout.
 * @scratch_bytes: activations of a step of max_rows.
 * @page_bytes: of a K/V page.
 * @params: parameters of the model.
 * @stream_bytes: of the stream.
 * @packets: in the stream.
 * @decode_cycles: predicted, one row at position 511, or the model's last one if that is less.
 * @prefill_cycles: predicted, max_rows rows of one sequence, or as many as the model's context.
 * @decode_tokens_per_s: bound from @decode_cycles.
 * @prefill_tokens_per_s: bound from @prefill_cycles.
 */
struct accel_compile_summary {
	size_t struct_size;
	uint64_t input_bytes;
	uint64_t weights_bytes;
	uint64_t scratch_bytes;
	uint64_t page_bytes;
	uint64_t params;
	uint64_t stream_bytes;
	uint32_t packets;
	uint32_t max_rows;
	uint32_t max_out_rows;
	uint32_t page_tokens;
	uint64_t decode_cycles;
	uint64_t prefill_cycles;
	double decode_tokens_per_s;
	double prefill_tokens_per_s;
};

int accel_compile_summarize(const struct accel_compile *compile,
			    struct accel_compile_summary *summary);

/**
 * accel_program_disassemble - text of every stream of a program file, one line a packet.
 * @path: the program.
 * @emit: receives lines, without newline.
 * @error: receives one line about what is wrong, at most @error_bytes with its zero.
 *
 * Returns 0; -errno of the file; -EINVAL (not a program, damaged: hashes are checked), -ENOMEM.
 */
int accel_program_disassemble(const char *path, void (*emit)(void *user, const char *line),
			      void *user, char *error, size_t error_bytes);

/* Names of formats as the command line spells them: "mxfp8"; NULL or 0 for what has none. */
const char *accel_format_name(uint32_t fmt);
uint32_t accel_format_parse(const char *name);

#ifdef __cplusplus
}
#endif

#endif
