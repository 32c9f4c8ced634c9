// SPDX-License-Identifier: MIT
/*
 * The reader of core dumps: what it makes of a good one, that it grows as nib_dump.h says, and that
 * a damaged one is refused by a line that names the section.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dump_make.h"
#include "replay/dump.h"
#include "replay/packet.h"
#include "replay/show.h"

#define BAD	0x7770000000ull

static struct dump_make m;
static char error[DUMP_ERROR_BYTES];

static void setup(void)
{
	dump_make_sample(&m, BAD);
}

static void teardown(void)
{
	dump_make_free(&m);
}

/* The nth section of a type, in the sample. */
static struct nib_dump_section *section(uint32_t type)
{
	size_t at = sizeof(struct nib_dump_header);

	for (;;) {
		struct nib_dump_section *s = (void *)(m.data + at);

		ck_assert_uint_lt(at, m.bytes);
		if (s->type == type)
			return s;
		at += sizeof(*s) + ((s->bytes + 7) & ~7ull);
	}
}

static struct dump *parse(void)
{
	struct dump *dump = NULL;

	ck_assert_msg(!dump_parse(m.data, m.bytes, &dump, error), "%s", error);
	return dump;
}

/* Refused, and the line has @what in it. */
static void expect_error(const char *what)
{
	struct dump *dump;

	ck_assert_int_eq(dump_parse(m.data, m.bytes, &dump, error), -EINVAL);
	ck_assert_msg(strstr(error, what) != NULL, "\"%s\" is not in \"%s\"", what, error);
}

START_TEST(a_good_dump_is_read)
{
	struct dump *dump = parse();
	const struct nib_dump_job *job = dump_guilty_job(dump);
	uint64_t w[NIB_MAX_PKT_WORDS];
	uint8_t byte;

	ck_assert_str_eq(dump->device.chip, "small");
	ck_assert_uint_eq(dump->reason.fault_va, BAD);
	ck_assert_uint_eq(dump->n_regs, 1);
	ck_assert_uint_eq(dump->n_events, 1);
	ck_assert_uint_eq(dump->n_queues, 1);
	ck_assert_ptr_nonnull(job);
	ck_assert_uint_eq(job->args[0], BAD);
	ck_assert_uint_eq(dump->queues[0].n_done, 1);
	ck_assert_uint_eq(dump_find_stream(dump, 2)->bytes, 48);
	ck_assert_ptr_null(dump_find_stream(dump, 1));
	ck_assert_ptr_nonnull(dump_find_mapping(dump, DUMP_MAKE_VA + 0xffff));
	ck_assert_ptr_null(dump_find_mapping(dump, DUMP_MAKE_VA + 0x10000));
	ck_assert_ptr_null(dump_find_mapping(dump, DUMP_MAKE_VA - 1));
	ck_assert(dump_read(dump, DUMP_MAKE_VA + 255, &byte, 1));
	ck_assert_uint_eq(byte, 0x5a);
	ck_assert(!dump_read(dump, DUMP_MAKE_VA + 256, &byte, 1));
	/* The packet with the job's values. */
	ck_assert_uint_eq(packet_resolve(dump_find_stream(dump, 2), 1, job->args, 1, w), 4);
	ck_assert_uint_eq(w[1], BAD);
	ck_assert_uint_eq(packet_resolve(dump_find_stream(dump, 2), 1, job->args, 0, w), 0);
	ck_assert_uint_eq(packet_resolve(dump_find_stream(dump, 2), 3, job->args, 1, w), 0);
	dump_free(dump);
}
END_TEST

START_TEST(a_dump_can_be_shown)
{
	struct dump *dump = parse();
	char *text = NULL;
	size_t bytes = 0;
	FILE *f = open_memstream(&text, &bytes);
	json_t *json;

	show_dump(f, dump);
	fclose(f);
	ck_assert_ptr_nonnull(strstr(text, "queue 3, job 5, stream 2, packet 1: write fault at "
					   "0x7770000000"));
	ck_assert_ptr_nonnull(strstr(text, "is not mapped"));
	ck_assert_ptr_nonnull(strstr(text, "FILL dst=a0 count=16 value=0x7"));
	ck_assert_ptr_nonnull(strstr(text, "FILL dst=0x7770000000 count=16 value=0x7"));
	free(text);
	json = show_json(dump, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(json, "reason"),
							   "status_name")), "write fault");
	json_decref(json);
	dump_free(dump);
}
END_TEST

START_TEST(structs_and_sections_grow)
{
	static const uint64_t more[4] = { 1, 2, 3, 4 };
	struct nib_dump_device device = dump_make_device();
	struct nib_dump_reason reason = {
		.why = "growth", .queue = NIB_DUMP_NONE, .context = NIB_DUMP_NONE,
		.stream = NIB_DUMP_NONE,
	};
	struct dump *dump;

	dump_make_free(&m);
	dump_make_begin(&m);
	/* A newer writer: longer structs, and a section that nobody knows. */
	dump_make_section(&m, NIB_DUMP_DEVICE, 0, sizeof(device) + sizeof(more), &device,
			  sizeof(device), more, sizeof(more));
	dump_make_section(&m, 0x1234, 7, 3, more, 5, NULL, 0);
	dump_make_section(&m, NIB_DUMP_REASON, 0, sizeof(reason), &reason, sizeof(reason), NULL, 0);
	dump_make_end(&m);
	dump = parse();
	ck_assert_uint_eq(dump->skipped, 1);
	ck_assert_str_eq(dump->reason.why, "growth");
	ck_assert_ptr_null(dump_guilty_job(dump));
	dump_free(dump);
	((struct nib_dump_header *)(void *)m.data)->major++;
	ck_assert_int_eq(dump_parse(m.data, m.bytes, &dump, error), -EPROTONOSUPPORT);
}
END_TEST

START_TEST(a_dump_that_was_cut_is_refused)
{
	struct nib_dump_header *header = (void *)m.data;
	size_t whole = m.bytes;

	m.bytes = 0;
	expect_error("no core dump");
	m.bytes = 47;
	expect_error("no core dump");
	for (m.bytes = 48; m.bytes < whole; m.bytes++)
		expect_error("it was cut");
	/* Also one whose header was made to fit. */
	for (m.bytes = 48; m.bytes < whole; m.bytes++) {
		header->bytes = m.bytes;
		expect_error("");
	}
	m.bytes = whole;
	header->bytes = whole;
	header->sections--;
	expect_error("behind the last section");
}
END_TEST

/* One field wrong each; the message names what. */
START_TEST(what_cannot_be_is_refused)
{
	struct nib_dump_section *s;

#define BREAK(type, struct_, field, value, what) do {				\
	struct struct_ *at_;							\
	s = section(type);							\
	at_ = (void *)(s + 1);							\
	at_->field = value;							\
	expect_error(what);							\
	teardown();								\
	setup();								\
} while (0)
	BREAK(NIB_DUMP_QUEUE, nib_dump_queue, queue, 1024, "(queue)");
	BREAK(NIB_DUMP_QUEUE, nib_dump_queue, entries, 17, "a ring of 17");
	BREAK(NIB_DUMP_QUEUE, nib_dump_queue, entries, 0, "a ring of 0");
	BREAK(NIB_DUMP_QUEUE, nib_dump_queue, tail, 22, "not in a ring");
	BREAK(NIB_DUMP_QUEUE, nib_dump_queue, head, 7, "not in a ring");
	BREAK(NIB_DUMP_QUEUE, nib_dump_queue, weight, 0, "weight 0");
	BREAK(NIB_DUMP_QUEUE, nib_dump_queue, priority, 4, "priority 4");
	BREAK(NIB_DUMP_JOBS, nib_dump_job, number, 6, "job 6");
	BREAK(NIB_DUMP_JOBS, nib_dump_job, entry.nargs, 65, "65 arguments");
	BREAK(NIB_DUMP_STREAM, nib_dump_stream, bytes, 40, "a stream of 40");
	BREAK(NIB_DUMP_STREAM, nib_dump_stream, bytes, 0, "a stream of 0");
	BREAK(NIB_DUMP_STREAM, nib_dump_stream, nargs, 65, "65 arguments");
	BREAK(NIB_DUMP_STREAM, nib_dump_stream, stream, 3, "stream 3");
	BREAK(NIB_DUMP_MAPPINGS, nib_dump_mapping, va, 1, "mapping 0");
	BREAK(NIB_DUMP_MAPPINGS, nib_dump_mapping, va, 1ull << 48, "mapping 0");
	BREAK(NIB_DUMP_MAPPINGS, nib_dump_mapping, bytes, 1ull << 48, "mapping 0");
	BREAK(NIB_DUMP_MAPPINGS, nib_dump_mapping, bytes, 0, "mapping 0");
	BREAK(NIB_DUMP_MAPPINGS, nib_dump_mapping, bo, 1, "buffer 1");
	BREAK(NIB_DUMP_MAPPINGS, nib_dump_mapping, mem, 3, "memory 3");
	BREAK(NIB_DUMP_MEMORY, nib_dump_memory, va, 1, "is not in a mapping");
	BREAK(NIB_DUMP_MEMORY, nib_dump_memory, va, DUMP_MAKE_VA + 0xff01, "is not in a mapping");
	BREAK(NIB_DUMP_MEMORY, nib_dump_memory, bytes, 255, "says 255 bytes");
	BREAK(NIB_DUMP_REASON, nib_dump_reason, queue, 4, "guilty queue 4");
#undef BREAK
	memset(section(NIB_DUMP_DEVICE) + 1, 'x', 40);
	expect_error("section 1 (device) at byte 0x");
}
END_TEST

START_TEST(section_heads_are_not_trusted)
{
	static const uint64_t sizes[] = {
		0, 1, 7, 8, 16, 24, 0x7fffffff, 0xffffffff, 1ull << 32, 1ull << 63, UINT64_MAX - 7,
		UINT64_MAX,
	};
	uint32_t type;
	size_t i;

	for (type = NIB_DUMP_DEVICE; type <= NIB_DUMP_MEMORY; type++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			section(type)->bytes = sizes[i];
			expect_error("");
			teardown();
			setup();
			if (section(type)->size == (uint32_t)sizes[i])
				continue;
			section(type)->size = (uint32_t)sizes[i];
			expect_error("");
			teardown();
			setup();
		}
		section(type)->zero = 1;
		expect_error("must be zero");
		teardown();
		setup();
	}
}
END_TEST

/* Whatever byte is wrong: an error, or a dump that can be shown. */
START_TEST(any_damage_is_survived)
{
	struct dump *dump;
	FILE *f = fopen("/dev/null", "w");
	size_t at;
	int flip;

	ck_assert_ptr_nonnull(f);
	for (at = 0; at < m.bytes; at++) {
		for (flip = 1; flip < 256; flip <<= 1) {
			m.data[at] ^= (uint8_t)flip;
			if (!dump_parse(m.data, m.bytes, &dump, error)) {
				show_dump(f, dump);
				json_decref(show_json(dump, NULL));
				dump_free(dump);
			} else {
				ck_assert(error[0]);
			}
			m.data[at] ^= (uint8_t)flip;
		}
	}
	fclose(f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dump_format");
	TCase *format = tcase_create("format");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(format, setup, teardown);
	tcase_set_timeout(format, 60);
	tcase_add_test(format, a_good_dump_is_read);
	tcase_add_test(format, a_dump_can_be_shown);
	tcase_add_test(format, structs_and_sections_grow);
	tcase_add_test(format, a_dump_that_was_cut_is_refused);
	tcase_add_test(format, what_cannot_be_is_refused);
	tcase_add_test(format, section_heads_are_not_trusted);
	tcase_add_test(format, any_damage_is_survived);
	suite_add_tcase(suite, format);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
