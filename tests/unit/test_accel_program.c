// SPDX-License-Identifier: MIT
/*
 * Program files: a good one is read as it was written, and each way in which one can be bad is
 * refused with a text that names it. Files lie against memory that cannot be read.
 */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"
#include "nib_isa.h"
#include "nib_isa.h"
#include "program_file.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define ROOM		(64u << 10)

static uint8_t *guard;	/* first byte that cannot be read */
static uint8_t *file;

static void set_up(void)
{
	uint8_t *p =
		mmap(NULL, ROOM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(p != MAP_FAILED);
	ck_assert_int_eq(mprotect(p + ROOM, 4096, PROT_NONE), 0);
	guard = p + ROOM;
	file = program_file();
	ck_assert(file);
}

static void tear_down(void)
{
	free(file);
	munmap(guard - ROOM, ROOM + 4096);
}

/* Opens @bytes of the file from a place that ends where memory ends. */
static int try_open(size_t bytes)
{
	uint8_t *at = guard - (bytes + 7) / 8 * 8;
	struct accel_program *program = NULL;
	int err;

	memcpy(at, file, bytes);
	err = accel_program_open_memory(at, bytes, &program);
	ck_assert(err || program);
	if (!err)
		accel_program_close(program);
	return err;
}

START_TEST(test_reads_what_was_written)
{
	struct accel_program *program;
	const struct nib_program_model *model;
	const void *data;
	size_t bytes;

	ck_assert_int_eq(accel_program_open_memory(file, FILE_BYTES, &program), 0);
	ck_assert_str_eq(accel_program_header(program)->chip, "small");
	model = accel_program_model(program);
	ck_assert(model && !strcmp(model->name, "by hand") && model->vocab == 100);
	for (uint32_t i = 0; i < FILE_SECTIONS; i++) {
		struct nib_program_section *s = program_file_section(file, i);

		data = accel_program_section(program, s->type, s->id, &bytes);
		ck_assert_ptr_eq(data, file + s->offset);
		ck_assert_uint_eq(bytes, s->bytes);
	}
	ck_assert(!accel_program_section(program, NIB_SECTION_STREAM, 7, &bytes) && !bytes);
	ck_assert(!accel_program_section(program, 1234, 0, &bytes) && !bytes);
	accel_program_close(program);
	accel_program_close(NULL);
}
END_TEST

START_TEST(test_reads_files)
{
	char path[] = "/tmp/test_accel_program.XXXXXX";
	struct accel_program *program;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, file, FILE_BYTES), FILE_BYTES);
	ck_assert_int_eq(accel_program_open(path, &program), 0);
	ck_assert(accel_program_model(program));
	accel_program_close(program);
	ck_assert_int_eq(ftruncate(fd, 100), 0);
	ck_assert_int_eq(accel_program_open(path, &program), -EINVAL);
	ck_assert(strstr(accel_last_error(NULL), path));
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(accel_program_open(path, &program), -EINVAL);
	close(fd);
	unlink(path);
	ck_assert_int_eq(accel_program_open(path, &program), -ENOENT);
	ck_assert(strstr(accel_last_error(NULL), path));
	ck_assert_int_eq(accel_program_open("/tmp", &program), -EINVAL);
	ck_assert_int_eq(accel_program_open_memory(file + 4, FILE_BYTES - 4, &program), -EINVAL);
	ck_assert_int_eq(accel_program_open_memory(NULL, 0, &program), -EINVAL);
}
END_TEST

/* What of files is in this process's memory, be they on disk or in memory themselves. */
static long resident_file_kib(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[128];
	long of_disk = -1, of_memory = 0;

	ck_assert(status);
	while (fgets(line, sizeof(line), status)) {
		sscanf(line, "RssFile: %ld kB", &of_disk);
		sscanf(line, "RssShmem: %ld kB", &of_memory);
	}
	fclose(status);
	ck_assert_int_ge(of_disk, 0);
	return of_disk + of_memory;
}

/* Weights that were copied to a device are not in memory a second time. */
START_TEST(test_lets_go_of_what_was_copied)
{
	const size_t bytes = 64u << 20, piece = (3u << 20) + 100;
	char path[] = "/tmp/test_accel_program.XXXXXX";
	struct nib_program_section *weights = program_file_section(file, FILE_WEIGHTS);
	struct accel_program *program;
	uint8_t *copy = malloc(piece);
	int fd = mkstemp(path);
	const uint8_t *data;
	size_t got;
	long before;

	ck_assert(fd >= 0 && copy);
	weights->offset = FILE_BYTES;
	weights->bytes = bytes;
	((struct nib_program_model *)(void *)(file + program_file_section(file, FILE_MODEL)->offset))
		->weights_bytes = bytes;
	((struct nib_program_header *)(void *)file)->file_bytes = FILE_BYTES + bytes;
	program_file_rehash(file, FILE_BYTES);
	ck_assert_int_eq(write(fd, file, FILE_BYTES), FILE_BYTES);
	ck_assert_int_eq(ftruncate(fd, FILE_BYTES + bytes), 0);
	for (size_t at = 0; at < bytes; at += 4096)
		ck_assert_int_eq(pwrite(fd, &at, sizeof(at), FILE_BYTES + at), sizeof(at));
	ck_assert_msg(!accel_program_open(path, &program), "%s", accel_last_error(NULL));
	data = accel_program_section(program, NIB_SECTION_WEIGHTS, 0, &got);
	ck_assert_uint_eq(got, bytes);
	before = resident_file_kib();
	for (size_t at = 0, n; at < bytes; at += n) {
		n = bytes - at < piece ? bytes - at : piece;
		accel_program_copy(program, copy, data + at, n);
		ck_assert_int_le(resident_file_kib() - before, 4 << 10);
		/* The first place in it that has its own offset. */
		got = (at + 4095) & ~(size_t)4095;
		if (got + sizeof(got) <= at + n)
			ck_assert_mem_eq(copy + (got - at), &got, sizeof(got));
	}
	ck_assert_mem_eq(data + 8192, &(size_t){ 8192 }, sizeof(size_t));
	accel_program_close(program);
	free(copy);
	close(fd);
	unlink(path);
}
END_TEST

/* A program need not be a language model. */
START_TEST(test_reads_streams_alone)
{
	struct accel_program *program;
	struct nib_program_header *h = (void *)file;

	*program_file_section(file, 0) = *program_file_section(file, FILE_STREAM);
	h->sections = 1;
	program_file_rehash(file, FILE_BYTES);
	ck_assert_int_eq(accel_program_open_memory(file, FILE_BYTES, &program), 0);
	ck_assert(!accel_program_model(program));
	accel_program_close(program);
	/* Nor have anything in it. */
	h->sections = 0;
	program_file_rehash(file, FILE_BYTES);
	ck_assert_int_eq(try_open(FILE_BYTES), 0);
}
END_TEST

/* A newer minor version, and sections that this reader does not know, are fine. */
START_TEST(test_reads_the_future)
{
	struct nib_program_header *h = (void *)file;

	h->minor = 9;
	program_file_section(file, FILE_INFO)->type = 99;
	program_file_rehash(file, FILE_BYTES);
	program_file_section(file, FILE_INFO)->hash = 0;
	h->sections_hash = nib_hash(h + 1, FILE_SECTIONS * sizeof(struct nib_program_section));
	ck_assert_int_eq(try_open(FILE_BYTES), 0);
}
END_TEST

START_TEST(test_refuses_every_shorter_file)
{
	struct nib_program_header *h = (void *)file;

	for (size_t bytes = 0; bytes < FILE_BYTES; bytes += bytes < 600 ? 1 : 97) {
		ck_assert_int_eq(try_open(bytes), -EINVAL);
		/* Also when the header agrees. */
		h->file_bytes = bytes;
		if (bytes < FILE_INFO * NIB_PROGRAM_ALIGN)
			ck_assert_int_eq(try_open(bytes), -EINVAL);
		h->file_bytes = FILE_BYTES;
	}
}
END_TEST

/* Each byte that a hash or a check covers, one bit at a time in turn. */
START_TEST(test_refuses_every_changed_byte)
{
	for (uint32_t i = 0; i < FILE_SECTIONS; i++) {
		struct nib_program_section *s = program_file_section(file, i);

		for (uint64_t at = 0; at < s->bytes && s->type != NIB_SECTION_WEIGHTS; at += 3) {
			file[s->offset + at] ^= 1 << at % 8;
			ck_assert_int_eq(try_open(FILE_BYTES), -EINVAL);
			file[s->offset + at] ^= 1 << at % 8;
		}
	}
	for (size_t at = 128; at < 128 + FILE_SECTIONS * 32; at++) {
		file[at] ^= 1 << at % 8;
		ck_assert_int_eq(try_open(FILE_BYTES), -EINVAL);
		file[at] ^= 1 << at % 8;
	}
}
END_TEST

/* --- One thing wrong each, hashes right --- */

enum where { HEADER, RECORD, CONTENT };

static const struct wrong {
	enum where where;
	uint32_t section;
	uint32_t at;
	uint32_t bytes;
	uint64_t value;
	int error;
	const char *text;	/* part of what it says */
} wrongs[] = {
#define H(field, value, error, text) { HEADER, 0, offsetof(struct nib_program_header, field), \
	sizeof(((struct nib_program_header *)0)->field), value, error, text }
#define R(i, field, value, text) { RECORD, i, offsetof(struct nib_program_section, field), \
	sizeof(((struct nib_program_section *)0)->field), value, -EINVAL, text }
#define M(field, value, text) { CONTENT, FILE_MODEL, offsetof(struct nib_program_model, field), \
	sizeof(((struct nib_program_model *)0)->field), value, -EINVAL, text }
#define C(i, type, nth, field, value, text) { CONTENT, i, (nth) * sizeof(struct type) + \
	offsetof(struct type, field), sizeof(((struct type *)0)->field), value, -EINVAL, text }
	H(magic, 1, -EINVAL, "not a program file"),
	H(major, 2, -EPROTONOSUPPORT, "version 2.0"),
	H(isa, 2 << 16, -EPROTONOSUPPORT, "ISA 2.0"),
	H(sections, 65, -EINVAL, "header.sections is 65, at most 64"),
	H(sections, UINT32_MAX, -EINVAL, "header.sections"),
	H(zero0, 1, -EINVAL, "header.zero"),
	H(zero[5], 1, -EINVAL, "header.zero"),
	H(file_bytes, FILE_BYTES + 1, -EINVAL, "header.file_bytes"),
	R(FILE_STREAM, offset, 1, "stream 0: offset 1"),
	R(FILE_STREAM, offset, 0, "stream 0: offset 0"),
	R(FILE_STREAM, offset, UINT64_MAX - 4095, "stream 0: offset"),
	R(FILE_STREAM, offset, FILE_BYTES, "stream 0: offset"),
	R(FILE_STREAM, bytes, UINT64_MAX, "stream 0: offset"),
	R(FILE_STREAM, bytes, FILE_BYTES, "stream 0: offset"),
	R(FILE_STREAM, offset, 4096, "overlaps model 0"),
	R(FILE_STREAM, bytes, 4104, "overlaps stream 0"),
	R(FILE_INFO, type, NIB_SECTION_MODEL, "model 0 is there twice"),
	R(FILE_INFO, id, 3, "info has id 3"),
	R(FILE_STREAM, id, 1, "stream 0"),
	R(FILE_STREAM, type, NIB_SECTION_INFO, "twice"),
	R(FILE_STREAM, bytes, 8, "stream 0: packet 1"),
	R(FILE_STREAM, bytes, 0, "stream 0: packet 0 at byte 0: stream size"),
	R(FILE_WEIGHTS, bytes, 255, "model.weights_bytes is 256, the weights have 255"),
	R(FILE_WEIGHTS, type, 77, "a model without weights 0"),
	R(FILE_BINDINGS, type, 77, "a model without bindings 0"),
	R(FILE_BINDINGS, bytes, 15, "bindings: 15 bytes"),
	R(FILE_BINDINGS, bytes, 16, "is not bound"),
	R(FILE_BINDINGS, bytes, 0, "is not bound"),
	R(FILE_MODEL, bytes, 255, "model has 255 bytes"),
	R(FILE_NAMES, bytes, 63, "names: 63 bytes"),
	M(arch, 0, NULL), /* an empty name is fine: see below */
	M(vocab, 0, "model.vocab is 0, want 1"),
	M(vocab, UINT32_MAX, "model.vocab"),
	M(dim, 0, "model.dim"),
	M(layers, 0, "model.layers"),
	M(layers, 65536, "model.layers"),
	M(heads, 0, "model.heads"),
	M(heads, 5, "model.heads 5 is no multiple"),
	M(kv_heads, 0, "model.kv_heads"),
	M(head_dim, 0, "model.head_dim"),
	M(head_dim, 1025, "model.head_dim"),
	M(ffn, UINT32_MAX, "model.ffn"),
	M(context, 0, "model.context"),
	M(max_rows, 0, "model.max_rows"),
	M(max_out_rows, 0, "model.max_out_rows"),
	M(max_out_rows, 9, "max_out_rows 9"),
	M(page_tokens, 0, "model.page_tokens"),
	M(page_tokens, 12, "page_tokens 12"),
	M(page_tokens, 8192, "model.page_tokens"),
	M(k_fmt, 0, "model.k_fmt"),
	M(v_fmt, NIB_FMT_U32, "v_fmt 4"),
	M(page_bytes, 2 * 16 * 2 * 64 - 1, "model.page_bytes"),
	M(page_bytes, UINT64_MAX, "model.page_bytes"),
	M(scratch_bytes, UINT64_MAX, "model.scratch_bytes"),
	M(weights_bytes, 257, "model.weights_bytes"),
	M(zero[7], 1, "model.zero"),
	C(FILE_STREAM, nib_pkt, 0, op, 0x999, "stream 0: packet 0 at byte 0: unknown opcode"),
	C(FILE_BINDINGS, nib_program_binding, 3, arg, 64, "binding 3"),
	C(FILE_BINDINGS, nib_program_binding, 3, bind, NIB_BIND_COUNT, "binding 3"),
	C(FILE_BINDINGS, nib_program_binding, 3, stream, 1, "binding 3"),
	C(FILE_BINDINGS, nib_program_binding, 3, zero, 1, "binding 3"),
	C(FILE_BINDINGS, nib_program_binding, 3, arg, 2, "argument 2 of stream 0 is bound twice"),
	C(FILE_NAMES, nib_program_name, 2, stream, 4, "name 2"),
	C(FILE_NAMES, nib_program_name, 2, packet, 400, "name 2"),
};

START_TEST(test_refuses_what_is_wrong)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
		const struct wrong *w = &wrongs[i];
		struct nib_program_section *s = program_file_section(file, w->section);
		uint8_t *at = w->where == HEADER ? file : w->where == RECORD ? (uint8_t *)s :
			      file + s->offset;
		uint8_t *copy = malloc(FILE_BYTES);

		ck_assert(copy);
		memcpy(copy, file, FILE_BYTES);
		memcpy(at + w->at, &w->value, w->bytes < 8 ? w->bytes : 8);
		program_file_rehash(file, FILE_BYTES);
		ck_assert_msg(try_open(FILE_BYTES) == (w->text ? w->error : 0), "row %zu: %s", i,
			      accel_last_error(NULL));
		if (w->text)
			ck_assert_msg(strstr(accel_last_error(NULL), w->text) != NULL,
				      "row %zu: '%s' does not say '%s'", i, accel_last_error(NULL),
				      w->text);
		memcpy(file, copy, FILE_BYTES);
		free(copy);
	}
}
END_TEST

/* Texts without an end. */
START_TEST(test_refuses_endless_text)
{
	static const struct {
		uint32_t section;
		uint32_t at;
		uint32_t bytes;
		const char *text;
	} rows[] = {
		{ UINT32_MAX, offsetof(struct nib_program_header, chip), 32, "header.chip" },
		{ FILE_MODEL, offsetof(struct nib_program_model, arch), 32, "model.arch" },
		{ FILE_MODEL, offsetof(struct nib_program_model, name), 64, "model.arch or .name" },
		{ FILE_NAMES, offsetof(struct nib_program_name, name), 56, "name 0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t *at = file + rows[i].at;
		uint8_t saved[64];

		if (rows[i].section != UINT32_MAX)
			at += program_file_section(file, rows[i].section)->offset;
		memcpy(saved, at, rows[i].bytes);
		memset(at, 'x', rows[i].bytes);
		program_file_rehash(file, FILE_BYTES);
		ck_assert_int_eq(try_open(FILE_BYTES), -EINVAL);
		ck_assert(strstr(accel_last_error(NULL), rows[i].text));
		memcpy(at, saved, rows[i].bytes);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("program");
	Suite *s = suite_create("accel_program");
	SRunner *sr;
	int bad;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_reads_what_was_written);
	tcase_add_test(tc, test_reads_files);
	tcase_add_test(tc, test_lets_go_of_what_was_copied);
	tcase_add_test(tc, test_reads_streams_alone);
	tcase_add_test(tc, test_reads_the_future);
	tcase_add_test(tc, test_refuses_every_shorter_file);
	tcase_add_test(tc, test_refuses_every_changed_byte);
	tcase_add_test(tc, test_refuses_what_is_wrong);
	tcase_add_test(tc, test_refuses_endless_text);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
