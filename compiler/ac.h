/* SPDX-License-Identifier: MIT */
/*
 * What every file of the compiler uses: the compilation, its memory, its messages and checked
 * arithmetic. Memory comes from one list and goes with the compilation, so that no error path frees
 * anything.
 */
#ifndef AC_H
#define AC_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "accel_compiler.h"
#include "nib_format.h"
#include "nib_isa.h"
#include "nib_program.h"

#define AC_ERROR_BYTES 512

enum ac_log { AC_LOG_ERROR = 0, AC_LOG_WARNING = 1, AC_LOG_INFO = 2, AC_LOG_DEBUG = 3 };

struct ac_block;

/**
 * struct ac_ctx - memory and messages.
 * @blocks: everything ac_alloc() gave out.
 * @error: text of the first error since ac_begin().
 * @hash_key: of ac_hash(), random; 0 until it is needed.
 * @options: hooks.
 */
struct ac_ctx {
	struct ac_block *blocks;
	char error[AC_ERROR_BYTES];
	uint64_t hash_key;
	const struct accel_compile_options *options;
};

/* Zeroed memory for count * size bytes; NULL when there is none, with the error set. */
void *ac_alloc(struct ac_ctx *ctx, size_t count, size_t size);
char *ac_strndup(struct ac_ctx *ctx, const char *text, size_t bytes);
void ac_free_all(struct ac_ctx *ctx);

/* Forget what went wrong before. */
void ac_begin(struct ac_ctx *ctx);

/* Keep the first error's text, control characters as '?'; returns -err. */
int ac_fail(struct ac_ctx *ctx, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void ac_log(struct ac_ctx *ctx, enum ac_log level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Hash for tables of what a file says, continued from @h, or from 0. No file can tell which of its
 * strings collide: it differs from compilation to compilation.
 */
uint64_t ac_hash(struct ac_ctx *ctx, uint64_t h, const void *data, uint64_t bytes);

/* Text that came from a file, for people: no line ends, nothing that terminals obey. */
void ac_clean(char *text);

/* Growing text. */
struct ac_text {
	char *data;
	size_t len;
	size_t cap;
	bool failed;
};

void ac_text_add(struct ac_text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ac_text_free(struct ac_text *text);

/* True where the product or sum does not fit. */
static inline bool ac_mul(uint64_t a, uint64_t b, uint64_t *out)
{
	return __builtin_mul_overflow(a, b, out);
}

static inline bool ac_add(uint64_t a, uint64_t b, uint64_t *out)
{
	return __builtin_add_overflow(a, b, out);
}

static inline uint64_t ac_align(uint64_t x, uint64_t to)
{
	return (x + to - 1) / to * to;
}

static inline uint32_t ac_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	return u;
}

static inline float ac_float(uint32_t u)
{
	float f;

	memcpy(&f, &u, 4);
	return f;
}

#endif
