// SPDX-License-Identifier: MIT
/*
 * Replaying core dumps: a job fails on a device, a dump of that is made as the driver would make
 * it, and the replay must fail the same way, on another device, for every kind of fault; and say so
 * where it does not.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "dump_make.h"
#include "replay/replay.h"

#define VA	0x100000000ull	/* HBM */
#define VA_RO	0x200000000ull	/* HBM, not to be written */
#define VA_HOST	0x300000000ull
#define VA_SRAM	0x400000000ull
#define BAD	0x7770000000ull
#define BYTES	NIB_PAGE_64K
#define QUEUE	3u
#define OTHER	4u
#define CONTEXT	1u
#define STREAM	2u

static struct driver *d;
static struct stream s;
static uint64_t hbm, ro, host;
static uint64_t args[NIB_MAX_ARGS];
static struct dump_make m;
static uint8_t *file;
static struct dump *dump;
static struct replay_result result;
static struct replay_params params;

static void setup(void)
{
	driver_inject = true;
	d = driver_new("small", NULL);
	driver_boot(d);
	driver_context(d, CONTEXT);
	hbm = driver_hbm_alloc(d, BYTES, BYTES);
	ro = driver_hbm_alloc(d, BYTES, BYTES);
	host = driver_host_alloc(d, BYTES, NIB_PAGE_4K);
	driver_map(d, CONTEXT, VA, NIB_MEM_HBM, hbm, BYTES, NIB_PAGE_64K, NIB_PTE_WRITE);
	driver_map(d, CONTEXT, VA_RO, NIB_MEM_HBM, ro, BYTES, NIB_PAGE_4K, 0);
	driver_map(d, CONTEXT, VA_HOST, NIB_MEM_HOST, DRIVER_DMA + host, BYTES, NIB_PAGE_4K,
		   NIB_PTE_WRITE);
	driver_map(d, CONTEXT, VA_SRAM, NIB_MEM_SRAM, 0, BYTES, NIB_PAGE_4K, NIB_PTE_WRITE);
	driver_queue(d, QUEUE, CONTEXT, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_queue(d, OTHER, CONTEXT, 16, NIB_PRIORITY_LOW, 16, 1);
	memset(&s, 0, sizeof(s));
	memset(args, 0, sizeof(args));
	memset(&m, 0, sizeof(m));
	params = (struct replay_params){ .limit_ms = 20000 };
	file = NULL;
	dump = NULL;
}

static void teardown(void)
{
	dump_free(dump);
	dump_make_free(&m);
	driver_free(d);
}

/* --- What the driver would write --- */

static void write_map(bool contents)
{
	const uint32_t may = contents ? NIB_DUMP_MAPPING_DUMPABLE : 0;
	const struct nib_dump_mapping maps[] = {
		{ .va = VA, .bytes = BYTES, .bo = 0, .mem = NIB_MEM_HBM, .flags = may },
		{ .va = VA_RO, .bytes = BYTES, .bo = 1, .mem = NIB_MEM_HBM,
		  .flags = NIB_DUMP_MAPPING_READONLY | may },
		{ .va = VA_HOST, .bytes = BYTES, .bo = 2, .mem = NIB_MEM_HOST, .flags = may },
		{ .va = VA_SRAM, .bytes = BYTES, .bo = 3, .mem = NIB_MEM_SRAM },
	};
	const uint8_t *const data[] = { d->hbm + hbm, d->hbm + ro, d->host + host };
	size_t i;

	dump_make_section(&m, NIB_DUMP_MAPPINGS, 0, sizeof(maps[0]), maps, sizeof(maps), NULL, 0);
	for (i = 0; contents && i < 3; i++) {
		struct nib_dump_memory head = { .va = maps[i].va, .bytes = BYTES };

		dump_make_section(&m, NIB_DUMP_MEMORY, 0, sizeof(head), &head, sizeof(head),
				  data[i], BYTES);
	}
}

/* A queue with one job in flight, its last. */
static void write_queue(uint32_t id, uint32_t stream, uint32_t nargs, uint64_t stats_va)
{
	uint64_t number = d->queue[id].jobs - 1;
	struct nib_dump_queue queue = {
		.queue = id, .context = CONTEXT, .priority = 1, .weight = 16, .vector = 1,
		.entries = 16, .flags = id == QUEUE ? NIB_DUMP_QUEUE_GUILTY : 0, .head = number,
		.tail = number + 1, .status = d->ctrl->queues[id],
	};
	struct nib_dump_job job = {
		.number = number,
		.entry = { .stream = stream, .nargs = nargs, .seqno = number + 1,
			   .stats_va = stats_va },
	};

	memcpy(job.args, args, sizeof(job.args));
	dump_make_section(&m, NIB_DUMP_QUEUE, id, sizeof(queue), &queue, sizeof(queue), NULL, 0);
	dump_make_section(&m, NIB_DUMP_JOBS, id, sizeof(job), &job, sizeof(job), NULL, 0);
}

static void write_stream(uint32_t id, const struct stream *stream, uint32_t nargs)
{
	struct nib_dump_stream head = {
		.stream = id, .nargs = nargs, .bytes = stream->words * 8,
	};

	dump_make_section(&m, NIB_DUMP_STREAM, id, sizeof(head), &head, sizeof(head), stream->w,
			  stream->words * 8);
}

static void begin_dump(uint32_t status, uint32_t packet, uint64_t fault_va)
{
	struct nib_dump_device device = dump_make_device();
	struct nib_dump_reason reason = {
		.why = "a job failed", .queue = QUEUE, .context = CONTEXT, .status = status,
		.packet = packet, .fault_va = fault_va, .job = d->queue[QUEUE].jobs - 1,
		.stream = STREAM,
	};

	dump_make_begin(&m);
	dump_make_section(&m, NIB_DUMP_DEVICE, 0, sizeof(device), &device, sizeof(device), NULL, 0);
	dump_make_section(&m, NIB_DUMP_REASON, 0, sizeof(reason), &reason, sizeof(reason), NULL, 0);
}

static void replay(enum replay_verdict verdict)
{
	char error[DUMP_ERROR_BYTES];

	dump_make_end(&m);
	ck_assert_msg(!dump_parse(m.data, m.bytes, &dump, error), "%s", error);
	ck_assert_msg(!replay_run(dump, &params, &result), "%s", result.text);
	ck_assert_msg(result.verdict == verdict, "%s", result.text);
}

/* Runs the stream, which must fail, and makes a dump of that. */
static void fail_and_dump(uint32_t status, uint32_t packet, uint64_t fault_va, uint32_t nargs,
			  uint64_t stats_va, bool contents)
{
	const struct nib_completion *done;
	uint64_t job;

	stream_end(&s);
	stream_create(d, CONTEXT, STREAM, &s, nargs);
	job = driver_submit(d, QUEUE, STREAM, args, nargs, stats_va);
	driver_run(d);
	done = driver_done(d, QUEUE, job);
	ck_assert_ptr_nonnull(done);
	ck_assert_uint_eq(done->status, status);
	ck_assert_uint_eq(done->packet, packet);
	ck_assert_uint_eq(done->fault_va, fault_va);
	begin_dump(status, packet, fault_va);
	write_queue(QUEUE, STREAM, nargs, stats_va);
	write_stream(STREAM, &s, nargs);
	write_map(contents);
}

/* --- Faults --- */

static void some_packets(void)
{
	stream_nop(&s);
	stream_fill(&s, VA + 0x100, 4, 9);
}

START_TEST(a_read_fault)
{
	void *copy;

	some_packets();
	stream_copy(&s, 0, NIB_FMT_U32, VA, NIB_FMT_U32, 16);
	copy = &s.w[s.words - sizeof(struct nib_pkt_copy) / 8];
	stream_arg(copy, 1, 1, 64);
	args[1] = BAD - 64;
	fail_and_dump(NIB_DONE_FAULT_READ, 2, BAD, 2, 0, _i);
	/* All of the job, or only the packet. */
	params.from_start = _i;
	replay(REPLAY_REPRODUCED);
	ck_assert_uint_eq(result.first, _i ? 0 : 2);
	ck_assert_uint_eq(result.missing, _i ? BYTES : 4 * BYTES);
	ck_assert_uint_eq(result.n_warnings, 1);
}
END_TEST

START_TEST(a_write_fault)
{
	static const uint64_t where[] = { BAD, VA_RO, VA_HOST + BYTES, VA_SRAM + BYTES };

	some_packets();
	/* Two ranges end in the middle of what it writes. */
	stream_fill(&s, _i < 2 ? where[_i] : where[_i] - 16, 8, 1);
	fail_and_dump(NIB_DONE_FAULT_WRITE, 2, where[_i], 0, 0, true);
	replay(REPLAY_REPRODUCED);
}
END_TEST

START_TEST(an_alignment_fault)
{
	void *fill;

	some_packets();
	stream_fill(&s, 0, 4, 1);
	fill = &s.w[s.words - 4];
	stream_arg(fill, 1, 0, 0);
	args[0] = VA + 2;
	fail_and_dump(NIB_DONE_FAULT_ALIGN, 2, VA + 2, 1, 0, false);
	replay(REPLAY_REPRODUCED);
}
END_TEST

START_TEST(a_value_out_of_range)
{
	void *fill;

	some_packets();
	stream_fill(&s, VA, 0, 1);
	fill = &s.w[s.words - 4];
	stream_arg(fill, 2, 0, 0);
	args[0] = 1ull << 40;
	fail_and_dump(NIB_DONE_FAULT_VALUE, 2, 1ull << 40, 1, 0, false);
	replay(REPLAY_REPRODUCED);
}
END_TEST

static void gather(void)
{
	struct nib_pkt_gather p = {
		.hdr = STREAM_HDR(NIB_OP_GATHER, struct nib_pkt_gather),
		.rows = 4, .index = VA, .table = VA_RO, .table_rows = 16, .table_pitch = 128,
		.dst = VA + 0x1000, .dst_pitch = 128, .width = 32, .fmt = NIB_FMT_F32,
		.layout = NIB_LAYOUT_ROWS, .alpha = 0x3f800000,
	};
	uint32_t index[] = { 1, 2, 16, 3 };

	memcpy(d->hbm + hbm, index, sizeof(index));
	some_packets();
	stream_add(&s, &p, sizeof(p));
}

START_TEST(an_index_out_of_its_table)
{
	gather();
	fail_and_dump(NIB_DONE_FAULT_INDEX, 2, VA + 8, 0, 0, true);
	replay(REPLAY_REPRODUCED);
}
END_TEST

/* Without what is in memory the job ends well, and the report says what is missing. */
START_TEST(an_index_that_is_not_in_the_dump)
{
	gather();
	fail_and_dump(NIB_DONE_FAULT_INDEX, 2, VA + 8, 0, 0, false);
	replay(REPLAY_DIFFERS);
	ck_assert_uint_eq(result.status, NIB_DONE_OK);
	ck_assert_uint_eq(result.missing, 4 * BYTES);
}
END_TEST

START_TEST(a_memory_error)
{
	driver_write64(d, NIB_REG_INJECT_ADDR, hbm + 0x240);
	driver_write(d, NIB_REG_INJECT, NIB_INJECT_ECC | 1 << 8);
	some_packets();
	stream_copy(&s, VA, NIB_FMT_U32, VA_HOST, NIB_FMT_U32, 0x400);
	fail_and_dump(NIB_DONE_FAULT_ECC, 2, VA + 0x240, 0, 0, true);
	replay(REPLAY_REPRODUCED);
}
END_TEST

START_TEST(statistics_that_go_nowhere)
{
	some_packets();
	fail_and_dump(NIB_DONE_FAULT_WRITE, 3, BAD, 0, BAD, false);
	replay(REPLAY_REPRODUCED);
}
END_TEST

START_TEST(another_fault_is_told)
{
	some_packets();
	stream_fill(&s, BAD, 8, 1);
	fail_and_dump(NIB_DONE_FAULT_WRITE, 2, BAD, 0, 0, false);
	/* As if the map had been another one when it failed. */
	((struct nib_dump_reason *)(void *)(m.data + sizeof(struct nib_dump_header) +
					    2 * sizeof(struct nib_dump_section) +
					    sizeof(struct nib_dump_device)))->fault_va = BAD + 16;
	replay(REPLAY_DIFFERS);
	ck_assert_uint_eq(result.status, NIB_DONE_FAULT_WRITE);
	ck_assert_uint_eq(result.fault_va, BAD);
	ck_assert_ptr_nonnull(strstr(result.text, "not write fault at 0x7770000010"));
}
END_TEST

/* --- Hangs --- */

static void hang_and_dump(bool other)
{
	struct stream wake = { .words = 0 };

	stream_end(&s);
	stream_create(d, CONTEXT, STREAM, &s, 0);
	driver_submit(d, QUEUE, STREAM, args, 0, 0);
	if (other) {
		/* Waits for what the first one would do next. */
		stream_nop(&wake);
		stream_sem(&wake, VA_HOST + 8, 1, NIB_SEM_WAIT_GE);
		stream_sem(&wake, VA_HOST, 5, NIB_SEM_SET);
		stream_end(&wake);
		stream_create(d, CONTEXT, STREAM + 1, &wake, 0);
		driver_submit(d, OTHER, STREAM + 1, args, 0, 0);
	}
	driver_run(d);
	ck_assert_ptr_null(driver_done(d, QUEUE, 0));
	ck_assert_uint_eq(d->ctrl->queues[QUEUE].job_packets, 2);
	begin_dump(NIB_DONE_CANCELLED, 2, 0);
	write_queue(QUEUE, STREAM, 0, 0);
	write_stream(STREAM, &s, 0);
	if (other) {
		write_queue(OTHER, STREAM + 1, 0, 0);
		write_stream(STREAM + 1, &wake, 0);
	}
	write_map(true);
}

START_TEST(a_semaphore_that_nobody_opens)
{
	some_packets();
	stream_sem(&s, VA_HOST, 5, NIB_SEM_WAIT_GE);
	*(uint64_t *)(void *)(d->host + host) = 3;
	hang_and_dump(false);
	params.from_start = _i;
	replay(REPLAY_REPRODUCED);
	ck_assert(result.blocked);
	ck_assert_uint_eq(result.packet, 2);
	ck_assert_uint_eq(result.sem_va, VA_HOST);
	ck_assert_uint_eq(result.sem_value, 3);
	ck_assert_uint_eq(result.sem_want, 5);
	ck_assert_str_eq(result.text, "packet 2 waits for 5 at 0x300000000, where 3 is");
}
END_TEST

START_TEST(two_queues_wait_for_each_other)
{
	some_packets();
	stream_sem(&s, VA_HOST, 5, NIB_SEM_WAIT_GE);
	stream_sem(&s, VA_HOST + 8, 1, NIB_SEM_SET);
	hang_and_dump(true);
	replay(REPLAY_REPRODUCED);
	ck_assert(result.blocked);
}
END_TEST

/* The semaphore is open: it was something else that hung. */
START_TEST(a_hang_that_is_not_in_the_job)
{
	some_packets();
	stream_sem(&s, VA_HOST, 5, NIB_SEM_WAIT_GE);
	hang_and_dump(false);
	dump_make_free(&m);
	*(uint64_t *)(void *)(d->host + host) = 5;
	begin_dump(NIB_DONE_CANCELLED, 2, 0);
	write_queue(QUEUE, STREAM, 0, 0);
	write_stream(STREAM, &s, 0);
	write_map(true);
	replay(REPLAY_DIFFERS);
	ck_assert_uint_eq(result.status, NIB_DONE_OK);
	ck_assert_ptr_nonnull(strstr(result.text, "was not in the job"));
}
END_TEST

START_TEST(time_is_limited)
{
	/* So many bytes over so few: minutes. */
	struct nib_pkt_copy p = {
		.hdr = STREAM_HDR(NIB_OP_COPY, struct nib_pkt_copy),
		.src = VA, .dst = VA + 0x8000, .n0 = 0x2000, .n1 = 1 << 24, .n2 = 1 << 24,
		.src_fmt = NIB_FMT_U32, .dst_fmt = NIB_FMT_U32,
	};

	some_packets();
	stream_add(&s, &p, sizeof(p));
	stream_end(&s);
	driver_submit(d, QUEUE, STREAM, args, 0, 0);
	begin_dump(NIB_DONE_CANCELLED, 2, 0);
	write_queue(QUEUE, STREAM, 0, 0);
	write_stream(STREAM, &s, 0);
	write_map(false);
	params.limit_ms = 300;
	params.from_start = true;
	replay(REPLAY_REPRODUCED);
	ck_assert(result.limited);
	ck_assert_uint_eq(result.packet, 2);
}
END_TEST

/* --- What cannot be replayed --- */

START_TEST(a_dump_without_its_stream)
{
	begin_dump(NIB_DONE_FAULT_READ, 2, BAD);
	driver_submit(d, QUEUE, STREAM, args, 0, 0);
	write_queue(QUEUE, STREAM, 0, 0);
	((struct nib_dump_reason *)(void *)(m.data + sizeof(struct nib_dump_header) +
					    2 * sizeof(struct nib_dump_section) +
					    sizeof(struct nib_dump_device)))->job = 0;
	replay(REPLAY_IMPOSSIBLE);
	ck_assert_ptr_nonnull(strstr(result.text, "stream"));
}
END_TEST

static void one_fill(void)
{
	some_packets();
	stream_fill(&s, BAD, 8, 1);
	fail_and_dump(NIB_DONE_FAULT_WRITE, 2, BAD, 0, 0, false);
}

START_TEST(a_chip_that_is_not_known)
{
	char error[DUMP_ERROR_BYTES];

	one_fill();
	params.chip = "no-such-chip";
	dump_make_end(&m);
	ck_assert(!dump_parse(m.data, m.bytes, &dump, error));
	ck_assert_int_ne(replay_run(dump, &params, &result), 0);
	ck_assert_ptr_nonnull(strstr(result.text, "no-such-chip"));
}
END_TEST

START_TEST(another_chip_will_do)
{
	one_fill();
	params.chip = "edge";
	replay(REPLAY_REPRODUCED);
	ck_assert_str_eq(result.chip, "edge");
}
END_TEST

START_TEST(memory_is_limited)
{
	char error[DUMP_ERROR_BYTES];

	one_fill();
	params.memory = 4 * BYTES - 1;
	dump_make_end(&m);
	ck_assert(!dump_parse(m.data, m.bytes, &dump, error));
	ck_assert_int_ne(replay_run(dump, &params, &result), 0);
	ck_assert_ptr_nonnull(strstr(result.text, "memory"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dump_replay");
	TCase *replays = tcase_create("replay");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(replays, setup, teardown);
	tcase_set_timeout(replays, 60);
	tcase_add_loop_test(replays, a_read_fault, 0, 2);
	tcase_add_loop_test(replays, a_write_fault, 0, 4);
	tcase_add_test(replays, an_alignment_fault);
	tcase_add_test(replays, a_value_out_of_range);
	tcase_add_test(replays, an_index_out_of_its_table);
	tcase_add_test(replays, an_index_that_is_not_in_the_dump);
	tcase_add_test(replays, a_memory_error);
	tcase_add_test(replays, statistics_that_go_nowhere);
	tcase_add_test(replays, another_fault_is_told);
	tcase_add_loop_test(replays, a_semaphore_that_nobody_opens, 0, 2);
	tcase_add_test(replays, two_queues_wait_for_each_other);
	tcase_add_test(replays, a_hang_that_is_not_in_the_job);
	tcase_add_test(replays, time_is_limited);
	tcase_add_test(replays, a_dump_without_its_stream);
	tcase_add_test(replays, a_chip_that_is_not_known);
	tcase_add_test(replays, another_chip_will_do);
	tcase_add_test(replays, memory_is_limited);
	suite_add_tcase(suite, replays);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
