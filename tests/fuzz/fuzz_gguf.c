// SPDX-License-Identifier: MIT
/*
 * GGUF files through the whole compiler: reader, graph, plan, code, encoding. The input is the
 * file. Whatever it is, the answer is a valid stream or an error with a text; and every weight encodes
 * to exactly the bytes that were planned, or fails with a text.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ir.h"
#include "nib_validate.h"

/* Weights past this are planned but not encoded: an input must not take seconds. */
#define MAX_ENCODE (4u << 20)

static void require(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz_gguf: %s\n", what);
	abort();
}

static int count_bytes(void *user, const void *data, size_t bytes)
{
	*(uint64_t *)user += bytes;
	/* Touch the last byte, so that a sanitizer sees a short buffer. */
	if (bytes)
		(void)*((const volatile uint8_t *)data + bytes - 1);
	return 0;
}

static void check_weights(struct accel_compile *c)
{
	uint64_t bytes;
	int i, err;

	for (i = 0; i < c->n_weights; i++) {
		const struct ac_weight *w = &c->weights[i];

		require(w->offset + w->bytes <= c->weights_bytes, "weight past its section");
		if (w->bytes > MAX_ENCODE)
			continue;
		bytes = 0;
		err = ac_weight_write(c, w, count_bytes, &bytes);
		if (err) {
			require(c->ctx.error[0], "encoding failed without a text");
			return;
		}
		require(bytes == w->bytes, "weight of another size than planned");
	}
}

static void check_stream(const struct accel_compile *c)
{
	struct nib_stream_info info;

	require(nib_stream_validate((const __u64 *)c->stream, (uint32_t)c->stream_bytes, &info) ==
		NIB_VALID, "invalid stream");
	require(info.nargs <= NIB_BIND_COUNT, "arguments that nothing binds");
	require(info.packets == c->n_packets + 1, "packets that were not recorded");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t formats[] = { 0, NIB_FMT_MXFP4, NIB_FMT_NVFP4, NIB_FMT_MXFP8X2,
					    NIB_FMT_BF16, NIB_FMT_MXFP8, NIB_FMT_MXFP8_E5M2, 0 };
	struct accel_compile_options o = { .struct_size = sizeof(o), .max_rows = 8 };
	struct accel_compile *c;
	void *copy = malloc(size ? size : 1);
	uint64_t hash = nib_hash(data, size);

	require(copy != NULL, "out of memory");
	/* A copy of exactly that size, so that reading past its end is seen. */
	memcpy(copy, data, size);
	o.weight_fmt = formats[hash & 7];
	o.act_fmt = formats[hash >> 3 & 7];
	o.embd_fmt = formats[hash >> 6 & 7];
	o.weight_rule = hash >> 9 & 3;
	require(!accel_compile_create(&o, &c), "out of memory");
	if (accel_compile_load_memory(c, "fuzz.gguf", copy, size)) {
		require(accel_compile_error(c)[0], "refused without a text");
	} else {
		check_stream(c);
		check_weights(c);
	}
	accel_compile_destroy(c);
	free(copy);
	return 0;
}
