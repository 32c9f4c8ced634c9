// SPDX-License-Identifier: MIT
/*
 * The reader of program files on any bytes. The first byte of the input chooses: the rest is a
 * file; or it is one whose hashes are made right first; or it is a list of changes to a good file,
 * each a place, a length and bytes. What is accepted must hold together: every section in the file,
 * every stream disassembled packet by packet to its END.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel.h"
#include "accel_stream.h"
#include "program_file.h"

#define require(cond)							\
	do {								\
		if (!(cond)) {						\
			fprintf(stderr, "line %d: %s\n", __LINE__, #cond); \
			abort();					\
		}							\
	} while (0)

static void check_stream(const uint64_t *words, size_t bytes)
{
	char text[256];
	int length, op = 0;

	for (size_t at = 0; at < bytes / 8; at += (size_t)length) {
		op = words[at] & 0xffff;
		length = accel_disassemble(words + at, (uint32_t)(bytes / 8 - at), text,
					   sizeof(text));
		require(length > 0 && text[0]);
	}
	require(op == NIB_OP_END);
}

static void check_program(const struct accel_program *program, const uint8_t *file, size_t size)
{
	const struct nib_program_header *h = accel_program_header(program);
	const struct nib_program_section *s = (const void *)(h + 1);
	const uint8_t *data;
	size_t bytes;

	require(h->sections <= NIB_PROGRAM_MAX_SECTIONS);
	for (uint32_t i = 0; i < h->sections; i++) {
		data = accel_program_section(program, s[i].type, s[i].id, &bytes);
		require(data >= file && bytes <= size && data + bytes <= file + size);
		if (s[i].type == NIB_SECTION_STREAM)
			check_stream((const void *)data, bytes);
	}
	if (accel_program_model(program)) {
		require(accel_program_section(program, NIB_SECTION_WEIGHTS, 0, &bytes));
		require(bytes == accel_program_model(program)->weights_bytes);
	}
}

static void try_file(const uint8_t *data, size_t size)
{
	struct accel_program *program;
	int err;

	err = accel_program_open_memory(data, size, &program);
	if (err) {
		require(err == -EINVAL || err == -EPROTONOSUPPORT || err == -ENOMEM);
		require(accel_last_error(NULL)[0]);
		return;
	}
	check_program(program, data, size);
	accel_program_close(program);
}

/* Place: two bytes, in units of 4; length: one byte. */
static void change(uint8_t *file, const uint8_t *data, size_t size)
{
	while (size > 3) {
		size_t at = (data[0] | (size_t)data[1] << 8) * 4 % FILE_BYTES, n = data[2] % 32 + 1;

		data += 3;
		size -= 3;
		n = n < size ? n : size;
		n = n < FILE_BYTES - at ? n : FILE_BYTES - at;
		memcpy(file + at, data, n);
		data += n;
		size -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *file;
	int how;

	if (!size)
		return 0;
	how = *data++ % 3;
	size--;
	if (how == 2) {
		file = program_file();
		require(file);
		change(file, data, size);
		size = FILE_BYTES;
	} else {
		/* A copy of exactly its size, so that a sanitizer sees reads past the end. */
		file = malloc(size ? size : 1);
		require(file);
		memcpy(file, data, size);
	}
	if (how && size >= sizeof(struct nib_program_header))
		program_file_rehash(file, size);
	try_file(file, size);
	free(file);
	return 0;
}
