// SPDX-License-Identifier: MIT
/*
 * The reader of core dumps, and all that relies on it, on any bytes: what is read is shown, as text
 * and as JSON, and replayed for a moment. The first byte of the input chooses: the rest is a dump;
 * or it is a list of changes to a good one, each a place, a length and bytes. The header is made
 * right, so that changes reach the checks behind it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump_make.h"
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

static void try_dump(const uint8_t *data, size_t size)
{
	char error[DUMP_ERROR_BYTES];
	struct dump *dump;
	int err = dump_parse(data, size, &dump, error);

	if (err) {
		require(err == -EINVAL || err == -ENOMEM);
		require(error[0]);
		return;
	}
	use(dump);
	dump_free(dump);
}

/* Place: two bytes, in units of 4; length: one byte. */
static void change(struct dump_make *m, const uint8_t *data, size_t size)
{
	while (size > 3) {
		size_t at = (data[0] | (size_t)data[1] << 8) * 4 % m->bytes, n = data[2] % 16 + 1;

		data += 3;
		size -= 3;
		n = n < size ? n : size;
		n = n < m->bytes - at ? n : m->bytes - at;
		memcpy(m->data + at, data, n);
		data += n;
		size -= n;
	}
}

static void mend(uint8_t *data, size_t size)
{
	struct nib_dump_header *header = (void *)data;

	if (size < sizeof(*header))
		return;
	header->magic = NIB_DUMP_MAGIC;
	header->major = NIB_DUMP_MAJOR;
	header->bytes = size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dump_make m;
	uint8_t *copy;
	bool changes;

	if (!size)
		return 0;
	changes = *data++ & 1;
	size--;
	if (changes) {
		dump_make_sample(&m, 0x7770000000ull);
		change(&m, data, size);
		mend(m.data, m.bytes);
		try_dump(m.data, m.bytes);
		dump_make_free(&m);
		return 0;
	}
	/* A copy of exactly its size, so that a sanitizer sees reads past the end. */
	copy = malloc(size ? size : 1);
	require(copy);
	memcpy(copy, data, size);
	mend(copy, size);
	try_dump(copy, size);
	free(copy);
	return 0;
}
