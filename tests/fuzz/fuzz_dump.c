// SPDX-License-Identifier: MIT
/*
 * The reader of core dumps, and all that relies on it, on any bytes: what is read is shown, as text
 * and as JSON, and replayed for a moment. The input is a dump; its header is made right, so that
 * changes reach the checks behind it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nib_dump.h"
#include "replay/dump.h"
#include "replay/packet.h"
#include "replay/replay.h"
#include "replay/show.h"

#define require(cond)							\
	do {								\
		if (!(cond)) {						\
			fprintf(stderr, "line %d: %s\n", __LINE__, #cond); \
			abort();					\
		}							\
	} while (0)

static void use(const struct dump *dump)
{
	static const struct replay_params params = {
		.chip = "small", .limit_ms = 20, .memory = 64u << 20,
	};
	static FILE *nowhere;
	struct replay_result result;
	json_t *json;
	int err;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	require(nowhere);
	show_dump(nowhere, dump);
	err = replay_run(dump, &params, &result);
	require(result.text[0]);
	if (!err)
		show_result(nowhere, &result);
	json = show_json(dump, err ? NULL : &result);
	require(json);
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[DUMP_ERROR_BYTES];
	struct nib_dump_header *header;
	/* A copy of exactly its size, so that a sanitizer sees reads past the end. */
	uint8_t *copy = malloc(size ? size : 1);
	struct dump *dump;
	int err;

	require(copy);
	memcpy(copy, data, size);
	if (size >= sizeof(*header)) {
		header = (void *)copy;
		header->magic = NIB_DUMP_MAGIC;
		header->major = NIB_DUMP_MAJOR;
		header->bytes = size;
	}
	err = dump_parse(copy, size, &dump, error);
	if (err) {
		require(err == -EINVAL || err == -ENOMEM);
		require(error[0]);
	} else {
		use(dump);
		dump_free(dump);
	}
	free(copy);
	return 0;
}
