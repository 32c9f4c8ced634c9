// SPDX-License-Identifier: MIT
/*
 * The caller's allocator and log. Every allocation of a run through the library fails once: the
 * call that needed it says -ENOMEM, nothing leaks, and the device handle still works. A submit
 * allocates nothing.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel.h"
#include "accel_stream.h"
#include "nib_regs.h"

/* The kernel driver's in a guest, else the one in process; and null. */
static enum accel_transport nth_transport(int i)
{
	return i ? ACCEL_TRANSPORT_NULL :
	       accel_device_list(NULL, 0) > 0 ? ACCEL_TRANSPORT_DRM : ACCEL_TRANSPORT_SIM;
}

/* An allocator that counts, and fails once. */
struct counter {
	long live;
	long calls;
	long fail_at;	/* 0: never */
	long failed;
	void *blocks[2];	/* the last two that were handed out */
	char line[256];	/* of the log */
	int lines[4];	/* by level */
};

static void *count_alloc(void *user, void *ptr, size_t size)
{
	struct counter *c = user;

	if (!size) {
		c->live -= ptr != NULL;
		free(ptr);
		return NULL;
	}
	if (++c->calls == c->fail_at) {
		c->failed++;
		return NULL;
	}
	c->live += ptr == NULL;
	/* Always move, so that a stale pointer is seen. */
	if (ptr) {
		void *moved = realloc(ptr, size);

		ck_assert(moved);
		return moved;
	}
	c->blocks[0] = c->blocks[1];
	c->blocks[1] = memset(malloc(size), 0xa5, size);
	return c->blocks[1];
}

static void count_log(void *user, enum accel_log_level level, const char *line)
{
	struct counter *c = user;

	ck_assert_int_le(level, ACCEL_LOG_DEBUG);
	ck_assert(!strchr(line, '\n'));
	c->lines[level]++;
	snprintf(c->line, sizeof(c->line), "%s", line);
}

static int open_counted(enum accel_transport transport, struct counter *c,
			struct accel_device **device)
{
	struct accel_open_params params = {
		.struct_size = sizeof(params), .transport = transport, .alloc = count_alloc,
		.log = count_log, .user = c,
	};

	return accel_open(&params, device);
}

static struct accel_stream *store_stream(struct accel_device *device, int *err)
{
	struct nib_pkt_sem sem = { .hdr = { NIB_OP_SEM, 4, 0 }, .action = NIB_SEM_SET };
	struct {
		struct nib_pkt_sem sem;
		struct nib_pkt end;
	} words;
	struct accel_stream *stream = NULL;

	accel_arg(&sem, addr, 0, 0);
	accel_arg(&sem, value, 1, 0);
	words.sem = sem;
	words.end = (struct nib_pkt){ NIB_OP_END, 1, 0 };
	*err = accel_stream_create(device, &words, sizeof(words), &stream);
	return stream;
}

/* The calls of a small program; the first error ends it. All that was made is unmade. */
static int walk(struct accel_device *device)
{
	struct accel_timeline *timelines[10] = { NULL };
	struct accel_buffer *buffers[24] = { NULL };
	struct accel_queue *queues[2] = { NULL };
	struct accel_stream *stream = NULL;
	struct accel_point points[10];
	uint64_t args[2], *map = NULL;
	struct accel_job job = {
		.struct_size = sizeof(job), .args = args, .nargs = 2, .signals = points,
		.n_signals = 10,
	};
	int err = 0, i;

	for (i = 0; i < 24 && !err; i++)
		err = accel_buffer_create(device, i % 3 == 1 ? ACCEL_MEMORY_SRAM : i % 3 ?
					  ACCEL_MEMORY_HOST : ACCEL_MEMORY_HBM, 4096u << i % 6, 0,
					  &buffers[i]);
	if (!err)
		err = accel_buffer_map(buffers[2], (void **)&map);
	for (i = 0; i < 10 && !err; i++) {
		err = accel_timeline_create(device, 0, &timelines[i]);
		points[i] = (struct accel_point){ timelines[i], 1 };
	}
	if (!err)
		stream = store_stream(device, &err);
	for (i = 0; i < 2 && !err; i++)
		err = accel_queue_create(device, ACCEL_PRIORITY_NORMAL, 0, &queues[i]);
	if (!err) {
		args[0] = accel_buffer_address(buffers[2]);
		args[1] = 77;
		job.stream = stream;
		err = accel_queue_submit(queues[0], &job, 1);
	}
	if (!err)
		err = accel_timeline_wait(timelines[9], 1, UINT64_MAX);
	for (i = 0; i < 2; i++)
		accel_queue_destroy(queues[i]);
	accel_stream_destroy(stream);
	for (i = 0; i < 10; i++)
		accel_timeline_destroy(timelines[i]);
	/* Holes of all sizes, before the rest goes. */
	for (i = 0; i < 24; i += 2)
		accel_buffer_destroy(buffers[i]);
	for (i = 1; i < 24; i += 2)
		accel_buffer_destroy(buffers[i]);
	return err;
}

/* Mappings of this process: what the in-process transport takes from the system. */
static inline long mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	long n = 0;
	int c;

	ck_assert(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

START_TEST(test_each_allocation_fails)
{
	enum accel_transport transport = nth_transport(_i);
	struct counter c = { 0 };
	struct accel_device *device;
	long total, n;
	int err;

	ck_assert_int_eq(open_counted(transport, &c, &device), 0);
	ck_assert_int_eq(walk(device), 0);
	/* SRAM that was used before is cleared by the device: other allocations. */
	ck_assert_int_eq(walk(device), 0);
	accel_close(device);
	ck_assert_int_eq(c.live, 0);
	total = c.calls;
	ck_assert_int_gt(total, 40);
	for (n = 1; n <= total; n++) {
		c = (struct counter){ .fail_at = n };
		err = open_counted(transport, &c, &device);
		if (!err) {
			err = walk(device);
			if (!err)
				err = walk(device);
			/* It recovers. */
			if (c.failed)
				ck_assert_msg(!walk(device), "after failure %ld: %s", n,
					      accel_last_error(device));
			ck_assert(accel_last_error(device)[0] || !err);
			accel_close(device);
		} else {
			ck_assert(accel_last_error(NULL)[0]);
		}
		ck_assert_msg(err == -ENOMEM, "failure %ld of %ld: %d", n, total, err);
		ck_assert_msg(c.live == 0, "failure %ld of %ld: %ld blocks leak", n, total, c.live);
	}
}
END_TEST

START_TEST(test_nothing_stays_mapped)
{
#ifndef __SANITIZE_ADDRESS__
	struct accel_device *device;
	struct counter c = { 0 };
	long before = 0, i;

	for (i = 0; i < 12; i++) {
		ck_assert_int_eq(open_counted(nth_transport(_i), &c, &device), 0);
		ck_assert_int_eq(walk(device), 0);
		accel_close(device);
		if (i == 3)
			before = mappings();
	}
	/* The C library's own heap may move a little; eight more devices may not be seen. */
	ck_assert_int_le(mappings(), before + 4);
#endif
}
END_TEST

START_TEST(test_submit_allocates_nothing)
{
	enum accel_transport transport = nth_transport(_i);
	struct accel_timeline *timeline, *gate;
	struct counter c = { 0 };
	struct accel_device *device;
	struct accel_queue *queue, *other;
	struct accel_buffer *buffer;
	struct accel_stream *stream;
	struct accel_job_stats stats;
	uint64_t args[2];
	long calls;
	int err, i;

	ck_assert_int_eq(open_counted(transport, &c, &device), 0);
	ck_assert_int_eq(accel_buffer_create(device, ACCEL_MEMORY_HOST, 4096, 0, &buffer), 0);
	ck_assert_int_eq(accel_queue_create(device, ACCEL_PRIORITY_NORMAL, 0, &queue), 0);
	ck_assert_int_eq(accel_queue_create(device, ACCEL_PRIORITY_HIGH, 0, &other), 0);
	ck_assert_int_eq(accel_timeline_create(device, 0, &timeline), 0);
	ck_assert_int_eq(accel_timeline_create(device, 0, &gate), 0);
	stream = store_stream(device, &err);
	ck_assert_int_eq(err, 0);
	calls = c.calls;
	args[0] = accel_buffer_address(buffer);
	for (i = 1; i <= 300; i++) {
		struct accel_point wait = { gate, (uint64_t)i }, signal = { timeline, (uint64_t)i };
		struct accel_job job = {
			.struct_size = sizeof(job), .stream = stream, .args = args, .nargs = 2,
			.waits = &wait, .n_waits = 1, .signals = &signal, .n_signals = 1,
			.stats = &stats,
		};

		args[1] = (uint64_t)i;
		ck_assert_int_eq(accel_queue_submit(i & 1 ? queue : other, &job, 1), 0);
		ck_assert_int_eq(accel_timeline_signal(gate, (uint64_t)i), 0);
		if (i % 7 == 0)
			ck_assert_int_eq(accel_timeline_wait(timeline, (uint64_t)i, UINT64_MAX), 0);
	}
	ck_assert_int_eq(accel_queue_sync(queue, UINT64_MAX), 0);
	ck_assert_int_eq(accel_queue_sync(other, UINT64_MAX), 0);
	ck_assert_int_eq(c.calls, calls);
	accel_queue_destroy(queue);
	accel_queue_destroy(other);
	accel_stream_destroy(stream);
	accel_timeline_destroy(timeline);
	accel_timeline_destroy(gate);
	accel_buffer_destroy(buffer);
	accel_close(device);
	ck_assert_int_eq(c.live, 0);
}
END_TEST

START_TEST(test_log_lines)
{
	struct counter c = { 0 };
	struct accel_device *device;
	struct accel_buffer *buffer;
	struct accel_queue *queue;

	ck_assert_int_eq(open_counted(ACCEL_TRANSPORT_SIM, &c, &device), 0);
	ck_assert_int_ge(c.lines[ACCEL_LOG_INFO], 1);
	ck_assert(strstr(c.line, "chip small"));
	ck_assert_int_eq(accel_buffer_create(device, ACCEL_MEMORY_HBM, 0, 0, &buffer), -EINVAL);
	ck_assert_int_eq(c.lines[ACCEL_LOG_DEBUG], 1);
	ck_assert_str_eq(c.line, accel_last_error(device));
	ck_assert_int_eq(accel_queue_create(device, ACCEL_PRIORITY_NORMAL, 0, &queue), 0);
	ck_assert_int_eq(c.lines[ACCEL_LOG_WARNING], 0);
	accel_close(device);
	ck_assert_int_eq(c.lines[ACCEL_LOG_WARNING], 1);
	ck_assert(strstr(c.line, "1 queues"));
	ck_assert_int_eq(c.lines[ACCEL_LOG_ERROR], 0);
	/* What was left behind is the caller's leak, and visible in the caller's allocator. */
	ck_assert_int_eq(c.live, 2);
	count_alloc(&c, c.blocks[0], 0);
	count_alloc(&c, c.blocks[1], 0);
}
END_TEST

/* The default device: whatever there is, without any parameter. */
START_TEST(test_open_defaults)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_device *device;

	ck_assert_int_eq(accel_open(NULL, &device), 0);
	ck_assert_int_eq(accel_device_query(device, &info), 0);
	ck_assert_int_eq(info.transport, accel_device_list(NULL, 0) ? ACCEL_TRANSPORT_DRM :
								       ACCEL_TRANSPORT_SIM);
	accel_close(device);
}
END_TEST

/* Chips from a file and by name; the text says what is wrong with one. */
START_TEST(test_open_chips)
{
	struct accel_open_params params = { .struct_size = sizeof(params),
					    .transport = ACCEL_TRANSPORT_SIM };
	struct accel_device_info info = { .struct_size = sizeof(info) };
	char path[] = "/tmp/test_accel_hooks.XXXXXX";
	struct accel_device *device;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	params.chip = "edge";
	ck_assert_int_eq(accel_open(&params, &device), 0);
	ck_assert_int_eq(accel_device_query(device, &info), 0);
	ck_assert(strstr(info.chip, "edge"));
	accel_close(device);
	params.chip = path;
	ck_assert_int_eq(accel_open(&params, &device), -EINVAL);
	ck_assert(strstr(accel_last_error(NULL), path));
	ck_assert_int_eq(write(fd, "{ \"name\": 3 }", 13), 13);
	ck_assert_int_eq(accel_open(&params, &device), -EINVAL);
	ck_assert(strstr(accel_last_error(NULL), path));
	close(fd);
	unlink(path);
	ck_assert_int_eq(accel_open(&params, &device), -EINVAL);
}
END_TEST

/* A chip has more HBM than the CPU's window shows: the rest is for buffers that nobody maps. */
START_TEST(test_hbm_past_the_window)
{
	struct accel_open_params params = { .struct_size = sizeof(params), .chip = "maia200-class",
					    .transport = ACCEL_TRANSPORT_SIM };
	const uint64_t window = 16ull << 30, big = 80ull << 30;
	struct nib_pkt_copy copy = { .hdr = { NIB_OP_COPY, 11, 0 }, .n0 = 2, .n1 = 1, .n2 = 1,
				     .src_fmt = NIB_FMT_U32, .dst_fmt = NIB_FMT_U32 };
	struct accel_buffer *buffer, *host, *other;
	struct accel_stream *store, *load;
	struct accel_device *device;
	struct accel_queue *queue;
	uint64_t args[2], *word;
	struct {
		struct nib_pkt_copy copy;
		struct nib_pkt end;
	} words;
	struct accel_job job = { .struct_size = sizeof(job), .args = args, .nargs = 2 };
	int err, round;

	ck_assert_int_eq(accel_open(&params, &device), 0);
	store = store_stream(device, &err);
	ck_assert_int_eq(err, 0);
	accel_arg(&copy, src, 0, 0);
	accel_arg(&copy, dst, 1, 0);
	words.copy = copy;
	words.end = (struct nib_pkt){ NIB_OP_END, 1, 0 };
	ck_assert_int_eq(accel_stream_create(device, &words, sizeof(words), &load), 0);
	ck_assert_int_eq(accel_queue_create(device, ACCEL_PRIORITY_NORMAL, 0, &queue), 0);
	ck_assert_int_eq(accel_buffer_create(device, ACCEL_MEMORY_HOST, 4096, 0, &host), 0);
	ck_assert_int_eq(accel_buffer_map(host, (void **)&word), 0);
	/* More than the window cannot be mapped, and need not be. */
	ck_assert_int_eq(accel_buffer_create(device, ACCEL_MEMORY_HBM, window, 0, &buffer),
			 -ENOSPC);
	ck_assert_int_eq(accel_buffer_create(device, ACCEL_MEMORY_HBM, big, ACCEL_BUFFER_NO_MAP,
					     &buffer), 0);
	ck_assert_int_eq(accel_buffer_create(device, ACCEL_MEMORY_HBM, big, ACCEL_BUFFER_NO_MAP,
					     &other), 0);
	accel_buffer_destroy(buffer);
	accel_buffer_destroy(other);
	/* What was used before comes zeroed. */
	for (round = 0; round < 2; round++) {
		ck_assert_int_eq(accel_buffer_create(device, ACCEL_MEMORY_HBM, 4u << 20,
						     ACCEL_BUFFER_NO_MAP, &buffer), 0);
		word[0] = 1;
		job.stream = load;
		args[0] = accel_buffer_address(buffer) + (3u << 20);
		args[1] = accel_buffer_address(host);
		ck_assert_int_eq(accel_queue_submit(queue, &job, 1), 0);
		job.stream = store;
		args[1] = 77;
		ck_assert_int_eq(accel_queue_submit(queue, &job, 1), 0);
		ck_assert_int_eq(accel_queue_sync(queue, UINT64_MAX), 0);
		ck_assert_uint_eq(word[0], 0);
		accel_buffer_destroy(buffer);
	}
	accel_buffer_destroy(host);
	accel_queue_destroy(queue);
	accel_stream_destroy(store);
	accel_stream_destroy(load);
	accel_close(device);
}
END_TEST

/*
 * A timeline remembers the last failures exactly; of many it forgets none, though points between
 * old ones count as failed with them.
 */
START_TEST(test_timeline_many_failures)
{
	struct accel_timeline *timeline;
	struct accel_device *device;
	struct accel_queue *queue, *good;
	struct accel_stream *stream;
	struct accel_buffer *buffer;
	struct counter c = { 0 };
	uint64_t args[2];
	int err, i;

	ck_assert_int_eq(open_counted(ACCEL_TRANSPORT_SIM, &c, &device), 0);
	stream = store_stream(device, &err);
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(accel_timeline_create(device, 0, &timeline), 0);
	ck_assert_int_eq(accel_buffer_create(device, ACCEL_MEMORY_HOST, 4096, 0, &buffer), 0);
	ck_assert_int_eq(accel_queue_create(device, ACCEL_PRIORITY_NORMAL, 0, &good), 0);
	for (i = 1; i <= 20; i++) {
		struct accel_point signal = { timeline, (uint64_t)i * 10 };
		struct accel_job job = {
			.struct_size = sizeof(job), .stream = stream, .args = args, .nargs = 2,
			.signals = &signal, .n_signals = 1,
		};

		/* Odd ones fail, each in a queue of its own. */
		args[0] = i & 1 ? 0x123456789000 : accel_buffer_address(buffer);
		ck_assert_int_eq(accel_queue_create(device, ACCEL_PRIORITY_NORMAL, 0, &queue), 0);
		ck_assert_int_eq(accel_queue_submit(i & 1 ? queue : good, &job, 1), 0);
		ck_assert_int_eq(accel_timeline_wait(timeline, (uint64_t)i * 10, UINT64_MAX),
				 i & 1 ? -EFAULT : 0);
		accel_queue_destroy(queue);
	}
	for (i = 1; i <= 20; i++) {
		err = accel_timeline_wait(timeline, (uint64_t)i * 10, 0);
		/* Any point after the one before is the same job's. */
		ck_assert_int_eq(accel_timeline_wait(timeline, (uint64_t)i * 10 - 9, 0), err);
		if (i & 1)
			ck_assert_int_eq(err, -EFAULT);
		else if (i > 6)
			ck_assert_int_eq(err, 0);
	}
	accel_queue_destroy(good);
	accel_buffer_destroy(buffer);
	accel_timeline_destroy(timeline);
	accel_stream_destroy(stream);
	accel_close(device);
	ck_assert_int_eq(c.live, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("hooks");
	Suite *s = suite_create("accel_hooks");
	SRunner *sr;
	int bad;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_each_allocation_fails, 0, 2);
	tcase_add_loop_test(tc, test_nothing_stays_mapped, 0, 2);
	tcase_add_loop_test(tc, test_submit_allocates_nothing, 0, 2);
	tcase_add_test(tc, test_log_lines);
	tcase_add_test(tc, test_open_defaults);
	tcase_add_test(tc, test_open_chips);
	tcase_add_test(tc, test_hbm_past_the_window);
	tcase_add_test(tc, test_timeline_many_failures);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
