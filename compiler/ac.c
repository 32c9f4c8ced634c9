// SPDX-License-Identifier: MIT
/*
 * Memory list, messages, growing text and names of formats.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include "ac.h"

struct ac_block {
	struct ac_block *next;
	max_align_t data[];
};

void *ac_alloc(struct ac_ctx *ctx, size_t count, size_t size)
{
	struct ac_block *block;
	uint64_t bytes;

	if (ac_mul(count, size, &bytes) || ac_add(bytes, sizeof(*block), &bytes) ||
	    bytes > SIZE_MAX / 2) {
		ac_fail(ctx, ENOMEM, "%zu x %zu bytes of memory", count, size);
		return NULL;
	}
	block = calloc(1, bytes);
	if (!block) {
		ac_fail(ctx, ENOMEM, "out of memory (%llu bytes)", (unsigned long long)bytes);
		return NULL;
	}
	block->next = ctx->blocks;
	ctx->blocks = block;
	return block->data;
}

char *ac_strndup(struct ac_ctx *ctx, const char *text, size_t bytes)
{
	char *copy = ac_alloc(ctx, bytes + 1, 1);

	if (copy)
		memcpy(copy, text, bytes);
	return copy;
}

void ac_free_all(struct ac_ctx *ctx)
{
	struct ac_block *next;

	for (; ctx->blocks; ctx->blocks = next) {
		next = ctx->blocks->next;
		free(ctx->blocks);
	}
}

void ac_begin(struct ac_ctx *ctx)
{
	ctx->error[0] = 0;
}

void ac_clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

/* What does not fit is left out behind the first quarter: the reason is at the end. */
static void format(char *out, const char *fmt, va_list args)
{
	const size_t head = AC_ERROR_BYTES / 4, tail = AC_ERROR_BYTES - head - 3;
	char *whole;
	int n = vasprintf(&whole, fmt, args);

	if (n < 0) {
		snprintf(out, AC_ERROR_BYTES, "out of memory");
		return;
	}
	if ((size_t)n < AC_ERROR_BYTES) {
		memcpy(out, whole, (size_t)n + 1);
	} else {
		memcpy(out, whole, head);
		memcpy(out + head, "...", 3);
		memcpy(out + head + 3, whole + (size_t)n + 1 - tail, tail);
	}
	free(whole);
	ac_clean(out);
}

int ac_fail(struct ac_ctx *ctx, int err, const char *fmt, ...)
{
	va_list args;

	if (!ctx->error[0]) {
		va_start(args, fmt);
		format(ctx->error, fmt, args);
		va_end(args);
	}
	return -err;
}

void ac_log(struct ac_ctx *ctx, enum ac_log level, const char *fmt, ...)
{
	char line[AC_ERROR_BYTES];
	va_list args;

	if (!ctx->options || !ctx->options->log)
		return;
	va_start(args, fmt);
	format(line, fmt, args);
	va_end(args);
	ctx->options->log(ctx->options->user, level, line);
}

/* Odd and large: every bit of a product depends on the state. */
static void choose_hash_key(struct ac_ctx *ctx)
{
	if (getrandom(&ctx->hash_key, sizeof(ctx->hash_key), 0) != sizeof(ctx->hash_key))
		ctx->hash_key = (uintptr_t)ctx;
	ctx->hash_key |= 1ull << 63 | 1;
}

uint64_t ac_hash(struct ac_ctx *ctx, uint64_t h, const void *data, uint64_t bytes)
{
	const uint8_t *p = data;
	unsigned __int128 m;

	if (!ctx->hash_key)
		choose_hash_key(ctx);
	if (!h)
		h = ctx->hash_key;
	while (bytes--) {
		m = (unsigned __int128)(h ^ *p++) * ctx->hash_key;
		h = (uint64_t)m ^ (uint64_t)(m >> 64);
	}
	return h;
}

void ac_text_add(struct ac_text *text, const char *fmt, ...)
{
	va_list args;
	size_t cap;
	char *grown;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0 || text->failed)
		return;
	if (text->len + (size_t)n + 1 > text->cap) {
		cap = (text->len + (size_t)n + 1) * 2;
		grown = realloc(text->data, cap);
		if (!grown) {
			text->failed = true;
			return;
		}
		text->data = grown;
		text->cap = cap;
	}
	va_start(args, fmt);
	vsnprintf(text->data + text->len, text->cap - text->len, fmt, args);
	va_end(args);
	text->len += (size_t)n;
}

void ac_text_free(struct ac_text *text)
{
	free(text->data);
	memset(text, 0, sizeof(*text));
}

static const struct {
	const char *name;
	uint32_t fmt;
} formats[] = {
	{ "f32", NIB_FMT_F32 },		{ "bf16", NIB_FMT_BF16 },
	{ "f16", NIB_FMT_F16 },		{ "u32", NIB_FMT_U32 },
	{ "e4m3", NIB_FMT_E4M3 },	{ "e5m2", NIB_FMT_E5M2 },
	{ "mxfp4", NIB_FMT_MXFP4 },	{ "nvfp4", NIB_FMT_NVFP4 },
	{ "mxfp8", NIB_FMT_MXFP8 },	{ "mxfp8-e5m2", NIB_FMT_MXFP8_E5M2 },
	{ "mxfp8x2", NIB_FMT_MXFP8X2 },
};

const char *accel_format_name(uint32_t fmt)
{
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (formats[i].fmt == fmt)
			return formats[i].name;
	return NULL;
}

uint32_t accel_format_parse(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!strcmp(formats[i].name, name))
			return formats[i].fmt;
	return NIB_FMT_NONE;
}
