// SPDX-License-Identifier: MIT
/*
 * Queues and jobs: completions, order, priorities, weights, preemption, semaphores, faults, resets,
 * and what other threads may do meanwhile.
 */
#include <check.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "driver.h"

#define VA	0x10000ull	/* 2 MiB of HBM, writable */
#define LOG	(VA + 0x1000)	/* jobs leave marks here */

enum { NOTHING, NOPS, MARK, WAIT, POST, BAD, LONG, FOREVER, TIME };

static struct driver *d;
static uint64_t memory;

/* TIMESTAMP packets with an address in argument 0. */
static void add_timestamp(struct stream *s, int64_t addend)
{
	struct nib_pkt_timestamp p = {
		.hdr = STREAM_HDR(NIB_OP_TIMESTAMP, struct nib_pkt_timestamp),
	};

	stream_arg(stream_add(s, &p, sizeof(p)), 1, 0, addend);
}

static void make_streams(uint32_t context)
{
	struct stream s = { .words = 0 };
	uint32_t at;

	stream_end(&s);
	stream_create(d, context, NOTHING, &s, 0);

	s.words = 0;
	for (unsigned int i = 0; i < 100; i++)
		stream_nop(&s);
	stream_end(&s);
	stream_create(d, context, NOPS, &s, 0);

	s.words = 0;
	at = s.words;
	stream_fill(&s, 0, 0, 1);
	stream_arg(&s.w[at], 1, 0, 0);
	stream_arg(&s.w[at], 2, 1, 0);
	stream_end(&s);
	stream_create(d, context, MARK, &s, 2);

	s.words = 0;
	stream_nop(&s);
	stream_sem(&s, VA, 1, NIB_SEM_WAIT_GE);
	stream_fill(&s, LOG, 1, 1);
	stream_end(&s);
	stream_create(d, context, WAIT, &s, 0);

	s.words = 0;
	stream_sem(&s, VA, 1, NIB_SEM_ADD);
	stream_end(&s);
	stream_create(d, context, POST, &s, 0);

	s.words = 0;
	stream_nop(&s);
	stream_fill(&s, 0x123450, 1, 1);
	stream_nop(&s);
	stream_end(&s);
	stream_create(d, context, BAD, &s, 0);

	/* Long enough in model time that quanta matter. */
	s.words = 0;
	for (unsigned int i = 0; i < 400; i++)
		stream_fill(&s, VA + 0x10000, 0x10000, 1);
	stream_end(&s);
	stream_create(d, context, LONG, &s, 0);

	s.words = 0;
	add_timestamp(&s, 0);
	stream_fill(&s, VA + 0x10000, 0x1000, 1);
	add_timestamp(&s, 8);
	stream_end(&s);
	stream_create(d, context, TIME, &s, 1);
}

/* A packet that takes minutes of real time, with safe points on the way. */
static void make_forever(uint32_t context)
{
	struct nib_pkt_copy p = {
		.hdr = STREAM_HDR(NIB_OP_COPY, struct nib_pkt_copy),
		.src = VA + 0x10000,
		.dst = VA + 0x80000,
		.n0 = 0x10000,
		.n1 = NIB_MAX_DIM,
		.n2 = NIB_MAX_DIM,
		.src_fmt = NIB_FMT_U32,
		.dst_fmt = NIB_FMT_U32,
	};
	struct stream s = { .words = 0 };

	stream_add(&s, &p, sizeof(p));
	stream_end(&s);
	stream_create(d, context, FOREVER, &s, 0);
}

static void setup(void)
{
	d = driver_new("small", "scalar");
	driver_boot(d);
	memory = driver_hbm_alloc(d, NIB_PAGE_2M, NIB_PAGE_2M);
	for (uint32_t context = 0; context < 2; context++) {
		driver_context(d, context);
		driver_map(d, context, VA, NIB_MEM_HBM, memory, NIB_PAGE_2M, NIB_PAGE_4K,
			   NIB_PTE_WRITE);
		make_streams(context);
		make_forever(context);
	}
}

static void teardown(void)
{
	driver_free(d);
}

static uint32_t mark(unsigned int i)
{
	return ((const uint32_t *)(const void *)(d->hbm + memory + (LOG - VA)))[i];
}

static uint64_t *semaphore(void)
{
	return (uint64_t *)(void *)(d->hbm + memory);
}

static uint32_t status(uint32_t queue, uint64_t job)
{
	const struct nib_completion *done = driver_done(d, queue, job);

	return done ? done->status : NIB_DONE_NONE;
}

/* --- Completions --- */

START_TEST(a_job_completes)
{
	const struct nib_completion *done;
	uint64_t job;

	driver_queue(d, 3, 0, 16, NIB_PRIORITY_NORMAL, 16, 7);
	job = driver_submit(d, 3, NOPS, NULL, 0, 0);
	ck_assert_uint_gt(d->kicks, 0);
	ck_assert_ptr_null(driver_done(d, 3, job));
	ck_assert_uint_eq(driver_run(d), 101);
	done = driver_done(d, 3, job);
	ck_assert_ptr_nonnull(done);
	ck_assert_uint_eq(done->status, NIB_DONE_OK);
	ck_assert_uint_eq(done->seqno, 1000);
	ck_assert_uint_eq(done->queue, 3);
	ck_assert_uint_eq(done->packet, 101);
	ck_assert_uint_gt(done->cycles, 0);
	ck_assert_uint_gt(done->end_ns, done->start_ns);
	ck_assert_uint_gt(done->energy_pj, 0);
	ck_assert_uint_eq(d->irqs[7], 1);
	ck_assert_uint_eq(d->ctrl->queues[3].packets, 101);
	ck_assert_uint_eq(d->ctrl->queues[3].jobs, 1);
	ck_assert_uint_eq(d->ctrl->queues[3].seqno, 1000);
	ck_assert_uint_eq(d->ctrl->queues[3].running, 0);
	ck_assert_uint_eq(d->ctrl->queues[3].energy_pj, done->energy_pj);
	ck_assert_uint_gt(d->ctrl->queues[3].run_ns, 0);
}
END_TEST

START_TEST(phases_grow_with_rounds)
{
	const struct nib_completion *done;

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	for (unsigned int i = 0; i < 100; i++) {
		uint64_t job = driver_submit(d, 0, NOTHING, NULL, 0, 0);

		driver_run(d);
		done = driver_done(d, 0, job);
		ck_assert_ptr_nonnull(done);
		ck_assert_uint_eq(done->phase, i / 16 + 1);
		ck_assert_uint_eq(done->seqno, 1000 + i);
	}
}
END_TEST

START_TEST(a_full_ring_runs_in_order)
{
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	for (unsigned int i = 0; i < 16; i++) {
		/* Each job overwrites what the one before left. */
		uint64_t args[2] = { LOG, 16 - i };

		driver_put(d, 0, &(struct nib_ring_entry){ .stream = MARK, .nargs = 2 }, args);
	}
	driver_ring(d, 0);
	driver_run(d);
	for (unsigned int i = 0; i < 16; i++)
		ck_assert_uint_eq(status(0, i), NIB_DONE_OK);
	ck_assert_uint_eq(d->irqs[1], 16);
}
END_TEST

START_TEST(doorbells_too_far_ahead_are_ignored)
{
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(0), 4, 17);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(0), 4, ~0u);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(5), 4, 1);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(2000), 4, 1);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(0) + 8, 4, 1);
	ck_assert_uint_eq(driver_run(d), 0);
	driver_submit(d, 0, NOTHING, NULL, 0, 0);
	ck_assert_uint_eq(driver_run(d), 1);
}
END_TEST

/* What was handed over is not taken back, and does not run again. */
START_TEST(doorbells_do_not_go_back)
{
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_submit(d, 0, NOTHING, NULL, 0, 0);
	driver_submit(d, 0, NOTHING, NULL, 0, 0);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(0), 4, 1);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(0), 4, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
	ck_assert_uint_eq(status(0, 1), NIB_DONE_OK);
	nib_device_write(d->device, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(0), 4, 1);
	ck_assert_uint_eq(driver_run(d), 0);
}
END_TEST

START_TEST(stats_are_a_copy_of_the_completion)
{
	const struct nib_completion *done;
	uint64_t job;

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	job = driver_submit(d, 0, NOPS, NULL, 0, VA + 0x2000);
	driver_run(d);
	done = driver_done(d, 0, job);
	ck_assert_uint_eq(done->status, NIB_DONE_OK);
	ck_assert_mem_eq(done, d->hbm + memory + 0x2000, sizeof(*done));
	job = driver_submit(d, 0, NOPS, NULL, 0, 0x50);
	driver_run(d);
	done = driver_done(d, 0, job);
	ck_assert_uint_eq(done->status, NIB_DONE_FAULT_WRITE);
	ck_assert_uint_eq(done->fault_va, 0x50);
	job = driver_submit(d, 0, NOPS, NULL, 0, VA + 8);
	driver_run(d);
	ck_assert_uint_eq(status(0, job), NIB_DONE_FAULT_ALIGN);
	ck_assert_uint_eq(driver_done(d, 0, job)->packet, 0);
}
END_TEST

/* --- Faults --- */

START_TEST(a_fault_says_where)
{
	const struct nib_completion *done;
	const struct nib_event *event;
	unsigned int irqs = d->irqs[0];
	uint64_t job, next;

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	irqs = d->irqs[0];
	/* Past the 2 MiB that are mapped: 0x210000. */
	driver_unmap(d, 0, 0x123000, NIB_PAGE_4K);
	job = driver_submit(d, 0, BAD, NULL, 0, 0);
	next = driver_submit(d, 0, NOPS, NULL, 0, 0);
	driver_run(d);
	done = driver_done(d, 0, job);
	ck_assert_uint_eq(done->status, NIB_DONE_FAULT_WRITE);
	ck_assert_uint_eq(done->fault_va, 0x123450);
	ck_assert_uint_eq(done->packet, 1);
	event = driver_event(d);
	ck_assert_ptr_nonnull(event);
	ck_assert_uint_eq(event->type, NIB_EVENT_FAULT);
	ck_assert_uint_eq(event->id, 0);
	ck_assert_uint_eq(event->value, NIB_DONE_FAULT_WRITE);
	ck_assert_uint_eq(event->addr, 0x123450);
	ck_assert_uint_eq(d->irqs[0], irqs + 1);
	/* What is behind it waits for the driver's decision. */
	ck_assert_ptr_null(driver_done(d, 0, next));
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_RESET, 0), NIB_ADM_OK);
	ck_assert_uint_eq(status(0, next), NIB_DONE_CANCELLED);
	next = driver_submit(d, 0, NOPS, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, next), NIB_DONE_OK);
}
END_TEST

START_TEST(events_wrap)
{
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	for (unsigned int i = 0; i < NIB_EVENTS + 10; i++) {
		driver_submit(d, 0, 900, NULL, 0, 0);
		driver_run(d);
	}
	ck_assert_uint_eq(d->ctrl->event_head, NIB_EVENTS + 10);
	ck_assert_uint_eq(d->ctrl->events[9].seq, NIB_EVENTS + 10);
	ck_assert_uint_eq(d->ctrl->events[10].seq, 11);
}
END_TEST

static const struct {
	const char *name;
	struct nib_ring_entry entry;
	uint32_t status;
	uint64_t value;
} bad_entries[] = {
	{ "unknown stream", { .stream = 77 }, NIB_DONE_FAULT_STREAM, 77 },
	{ "stream out of range", { .stream = ~0u }, NIB_DONE_FAULT_STREAM, ~0u },
	{ "too few arguments", { .stream = MARK, .nargs = 1 }, NIB_DONE_FAULT_STREAM, 1 },
	{ "too many arguments", { .stream = NOPS, .nargs = 65 }, NIB_DONE_FAULT_STREAM, 65 },
	{ "flags", { .stream = NOPS, .flags = 4 }, NIB_DONE_FAULT_VALUE, 4 },
	{ "reserved", { .stream = NOPS, .zero = { 0, 0, 0, 8 } }, NIB_DONE_FAULT_VALUE, 8 },
};

START_TEST(bad_entries_end_at_once)
{
	uint64_t job;

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	job = driver_put(d, 0, &bad_entries[_i].entry, NULL);
	driver_ring(d, 0);
	ck_assert_uint_eq(driver_run(d), 0);
	ck_assert_uint_eq(status(0, job), bad_entries[_i].status);
	ck_assert_uint_eq(driver_done(d, 0, job)->fault_va, bad_entries[_i].value);
	ck_assert_uint_eq(d->irqs[1], 1);
}
END_TEST

START_TEST(arguments_are_checked_when_known)
{
	uint64_t too_many[2] = { LOG, NIB_MAX_PITCH + 1 }, crooked[2] = { LOG + 2, 1 };
	uint64_t none[2] = { ~3ull, 0 }, job;

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	job = driver_submit(d, 0, MARK, too_many, 2, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, job), NIB_DONE_FAULT_VALUE);
	ck_assert_uint_eq(driver_done(d, 0, job)->fault_va, NIB_MAX_PITCH + 1);
	job = driver_submit(d, 0, MARK, crooked, 2, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, job), NIB_DONE_FAULT_ALIGN);
	ck_assert_uint_eq(driver_done(d, 0, job)->fault_va, LOG + 2);
	/* A count of zero makes addresses irrelevant. */
	job = driver_submit(d, 0, MARK, none, 2, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, job), NIB_DONE_OK);
}
END_TEST

START_TEST(a_stream_that_changed_is_refused)
{
	struct stream s = { .words = 0 };
	uint64_t at, job;

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	stream_nop(&s);
	stream_nop(&s);
	at = d->hbm_next = (d->hbm_next + 63) / 64 * 64;
	stream_create(d, 0, 100, &s, 0);
	/* No END: the packet after the last one is the culprit. */
	job = driver_submit(d, 0, 100, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, job), NIB_DONE_FAULT_STREAM);
	ck_assert_uint_eq(driver_done(d, 0, job)->packet, 2);
	/* A packet longer than what is left. */
	*(uint64_t *)(void *)(d->hbm + at + 8) = NIB_OP_GEMM | 13ull << 16;
	job = driver_submit(d, 0, 100, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, job), NIB_DONE_FAULT_STREAM);
	ck_assert_uint_eq(driver_done(d, 0, job)->packet, 1);
	*(uint64_t *)(void *)(d->hbm + at + 8) = 0x999 | 1ull << 16;
	job = driver_submit(d, 0, 100, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, job), NIB_DONE_FAULT_STREAM);
}
END_TEST

START_TEST(a_ring_that_vanishes_stops_its_queue)
{
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	/* The ring's completions lie beyond the seam now; its entries do not. */
	d->host_gap = d->queue[0].ring + 32;
	driver_submit(d, 0, NOTHING, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(d->ctrl->event_head, 1);
	ck_assert_uint_eq(driver_event(d)->type, NIB_EVENT_FAULT);
	d->host_gap = 0;
	ck_assert_uint_eq(driver_run(d), 0);
	/* A reset brings it back; what it had is not run any more. */
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_RESET, 0), NIB_ADM_OK);
	ck_assert_uint_eq(driver_run(d), 0);
	driver_submit(d, 0, NOTHING, NULL, 0, 0);
	ck_assert_uint_eq(driver_run(d), 1);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_NONE);
	ck_assert_uint_eq(status(0, 1), NIB_DONE_OK);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_DESTROY, 0), NIB_ADM_OK);
}
END_TEST

/* --- Choice --- */

START_TEST(the_highest_priority_goes_first)
{
	static const uint32_t priorities[] = {
		NIB_PRIORITY_NORMAL, NIB_PRIORITY_REALTIME, NIB_PRIORITY_LOW, NIB_PRIORITY_HIGH,
	};
	uint64_t end[4];

	for (unsigned int i = 0; i < 4; i++) {
		driver_queue(d, i, 0, 16, priorities[i], 16, 1);
		driver_submit(d, i, NOPS, NULL, 0, 0);
	}
	driver_run(d);
	for (unsigned int i = 0; i < 4; i++)
		end[priorities[i]] = driver_done(d, i, 0)->end_ns;
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_uint_gt(end[i], end[i + 1]);
}
END_TEST

START_TEST(a_higher_priority_preempts_between_packets)
{
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_queue(d, 1, 0, 16, NIB_PRIORITY_HIGH, 16, 2);
	driver_submit(d, 0, NOPS, NULL, 0, 0);
	ck_assert_uint_eq(nib_device_run(d->device, 10), 10);
	ck_assert_uint_eq(d->ctrl->queues[0].packets, 10);
	ck_assert_uint_eq(d->ctrl->queues[0].job_packets, 10);
	ck_assert_uint_eq(d->ctrl->queues[0].running, NIB_QUEUE_SUSPENDED);
	driver_submit(d, 1, NOPS, NULL, 0, 0);
	ck_assert_uint_eq(nib_device_run(d->device, 101), 101);
	ck_assert_uint_eq(status(1, 0), NIB_DONE_OK);
	ck_assert_uint_eq(d->ctrl->queues[0].packets, 10);
	ck_assert_uint_eq(d->ctrl->queues[0].running, NIB_QUEUE_SUSPENDED);
	driver_run(d);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
	ck_assert_uint_eq(d->ctrl->queues[0].running, NIB_QUEUE_IDLE);
	ck_assert_uint_eq(d->ctrl->queues[0].job_packets, 0);
}
END_TEST

START_TEST(weights_share_run_time)
{
	uint64_t a, b;

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_REALTIME, 30, 1);
	driver_queue(d, 1, 1, 16, NIB_PRIORITY_REALTIME, 10, 1);
	for (unsigned int i = 0; i < 16; i++) {
		driver_submit(d, 0, LONG, NULL, 0, 0);
		driver_submit(d, 1, LONG, NULL, 0, 0);
	}
	nib_device_run(d->device, 3000);
	a = d->ctrl->queues[0].run_ns;
	b = d->ctrl->queues[1].run_ns;
	ck_assert_uint_gt(b, 0);
	ck_assert_msg(a > b * 2.7 && a < b * 3.3, "%llu : %llu", (unsigned long long)a,
		      (unsigned long long)b);
}
END_TEST

START_TEST(turns_last_a_quantum)
{
	unsigned int switches = 0, last = 0, now;
	uint64_t before[2] = { 0 };

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_queue(d, 1, 1, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_submit(d, 0, LONG, NULL, 0, 0);
	driver_submit(d, 1, LONG, NULL, 0, 0);
	for (unsigned int i = 0; i < 300; i++) {
		nib_device_run(d->device, 1);
		now = d->ctrl->queues[1].packets != before[1];
		before[0] = d->ctrl->queues[0].packets;
		before[1] = d->ctrl->queues[1].packets;
		switches += i && now != last;
		last = now;
	}
	/* 256 KiB at 16 GB/s are 16 us, a turn is 4 ms: 244 packets. */
	ck_assert_uint_eq(switches, 1);
	ck_assert_uint_ge(before[0], 240);
}
END_TEST

START_TEST(a_queue_that_slept_saved_no_time)
{
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_REALTIME, 16, 1);
	for (unsigned int i = 0; i < 8; i++)
		driver_submit(d, 0, LONG, NULL, 0, 0);
	nib_device_run(d->device, 1000);
	driver_queue(d, 1, 1, 16, NIB_PRIORITY_REALTIME, 16, 1);
	for (unsigned int i = 0; i < 8; i++)
		driver_submit(d, 1, LONG, NULL, 0, 0);
	nib_device_run(d->device, 400);
	/* From here on they share. */
	ck_assert_uint_lt(d->ctrl->queues[1].packets, 290);
	ck_assert_uint_gt(d->ctrl->queues[1].packets, 110);
}
END_TEST

/* --- Semaphores --- */

START_TEST(a_wait_yields_until_another_queue_posts)
{
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_HIGH, 16, 1);
	driver_queue(d, 1, 1, 16, NIB_PRIORITY_LOW, 16, 2);
	driver_submit(d, 0, WAIT, NULL, 0, 0);
	ck_assert(!nib_device_blocked(d->device) || driver_run(d) == 1);
	driver_run(d);
	ck_assert(nib_device_blocked(d->device));
	ck_assert_uint_eq(driver_run(d), 0);
	ck_assert_uint_eq(d->ctrl->queues[0].running, NIB_QUEUE_BLOCKED);
	ck_assert_uint_eq(d->ctrl->queues[0].packets, 1);
	ck_assert_uint_eq(d->ctrl->queues[0].job_packets, 1);
	driver_submit(d, 1, NOPS, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(1, 0), NIB_DONE_OK);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_NONE);
	driver_submit(d, 1, POST, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
	ck_assert_uint_eq(status(1, 1), NIB_DONE_OK);
	ck_assert_uint_eq(mark(0), 1);
	ck_assert(!nib_device_blocked(d->device));
}
END_TEST

START_TEST(a_wait_sees_what_the_cpu_stores)
{
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	*semaphore() = ~0ull;	/* one below 0, as a signed number */
	driver_submit(d, 0, WAIT, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_NONE);
	*semaphore() = 1;
	driver_run(d);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
}
END_TEST

START_TEST(waits_that_hold_cost_nothing_extra)
{
	uint64_t run_ns;

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_submit(d, 0, WAIT, NULL, 0, 0);
	driver_run(d);
	run_ns = d->ctrl->queues[0].run_ns;
	for (unsigned int i = 0; i < 50; i++)
		driver_run(d);
	ck_assert_uint_eq(d->ctrl->queues[0].run_ns, run_ns);
}
END_TEST

/* --- Ends by force --- */

START_TEST(destroying_a_queue_cancels_its_jobs)
{
	unsigned int op = _i ? NIB_ADM_QUEUE_DESTROY : NIB_ADM_QUEUE_RESET;

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	for (unsigned int i = 0; i < 5; i++)
		driver_submit(d, 0, i ? NOPS : WAIT, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(d->irqs[1], 0);
	ck_assert_uint_eq(driver_admin(d, (uint16_t)op, (uint64_t[]){ 0 }, 1), NIB_ADM_OK);
	for (unsigned int i = 0; i < 5; i++) {
		ck_assert_uint_eq(status(0, i), NIB_DONE_CANCELLED);
		ck_assert_uint_eq(driver_done(d, 0, i)->seqno, 1000 + i);
	}
	ck_assert_uint_eq(driver_done(d, 0, 0)->packet, 1);
	ck_assert_uint_eq(d->irqs[1], 1);
	ck_assert_uint_eq(driver_run(d), 0);
	if (op == NIB_ADM_QUEUE_DESTROY)
		return;
	/* The queue goes on where it stood. */
	ck_assert_uint_eq(driver_submit(d, 0, NOPS, NULL, 0, 0), 5);
	driver_run(d);
	ck_assert_uint_eq(status(0, 5), NIB_DONE_OK);
}
END_TEST

START_TEST(an_engine_reset_leaves_suspended_jobs_alone)
{
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_queue(d, 1, 1, 16, NIB_PRIORITY_NORMAL, 16, 2);
	driver_submit(d, 0, WAIT, NULL, 0, 0);
	driver_run(d);
	driver_submit(d, 1, NOPS, NULL, 0, 0);
	ck_assert_uint_eq(nib_device_run(d->device, 10), 10);
	driver_write(d, NIB_REG_RESET, NIB_RESET_ENGINE);
	ck_assert_uint_eq(driver_read(d, NIB_REG_RESET_COUNT), 1);
	ck_assert_uint_eq(driver_event(d)->type, NIB_EVENT_RESET);
	ck_assert_uint_eq(driver_event(d)->value, NIB_RESET_ENGINE);
	driver_run(d);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_NONE);
	ck_assert_uint_eq(status(1, 0), NIB_DONE_OK);
	driver_submit(d, 1, POST, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_OK);
}
END_TEST

/* --- Other threads --- */

static void *runner(void *arg)
{
	(void)arg;
	while (nib_device_run(d->device, 64))
		;
	return NULL;
}

/* Starts a packet that would not end by itself. */
static pthread_t start_forever(void)
{
	pthread_t thread;

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_submit(d, 0, FOREVER, NULL, 0, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, runner, NULL), 0);
	while (!__atomic_load_n(&d->ctrl->queues[0].running, __ATOMIC_ACQUIRE))
		usleep(1000);
	usleep(10000);
	return thread;
}

START_TEST(a_long_packet_does_not_block_registers)
{
	pthread_t thread = start_forever();

	uint32_t progress = driver_read(d, NIB_REG_PROGRESS);

	for (unsigned int i = 0; i < 1000; i++)
		ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_READY);
	while (driver_read(d, NIB_REG_PROGRESS) == progress)
		usleep(1000);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_NOP, 0), NIB_ADM_OK);
	/* Mappings may change under it, and host memory may go. */
	driver_write(d, NIB_REG_TLB_INVALIDATE, 0);
	driver_write(d, NIB_REG_TLB_INVALIDATE, 1);
	nib_device_quiesce(d->device);
	nib_device_resume(d->device);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_NONE);
	ck_assert_uint_eq(d->ctrl->queues[0].running, NIB_QUEUE_ON_ENGINE);
	driver_write(d, NIB_REG_RESET, NIB_RESET_ENGINE);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_RESET);
	ck_assert_uint_eq(d->ctrl->queues[0].running, NIB_QUEUE_IDLE);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(a_long_packet_faults_when_its_memory_goes)
{
	pthread_t thread = start_forever();

	driver_unmap(d, 0, VA + 0x90000, NIB_PAGE_4K);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_FAULT_WRITE);
	ck_assert_uint_eq(driver_done(d, 0, 0)->fault_va, VA + 0x90000);
}
END_TEST

START_TEST(a_long_packet_ends_with_its_queue)
{
	pthread_t thread = start_forever();

	ck_assert_uint_eq(driver_adm(d, NIB_ADM_QUEUE_DESTROY, 0), NIB_ADM_OK);
	ck_assert_uint_eq(status(0, 0), NIB_DONE_CANCELLED);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(driver_adm(d, NIB_ADM_CTX_DESTROY, 0), NIB_ADM_OK);
}
END_TEST

START_TEST(a_long_packet_ends_with_the_function)
{
	pthread_t thread = start_forever();

	if (_i == 0)
		nib_device_reset(d->device);
	else if (_i == 1)
		driver_write(d, NIB_REG_RESET, NIB_RESET_FUNCTION);
	else
		driver_write(d, NIB_REG_FW_COMMAND, NIB_FW_HALT);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_OFF);
	driver_boot(d);
}
END_TEST

static void *hammer(void *arg)
{
	for (unsigned int i = 0; i < 300; i++) {
		driver_read64(d, NIB_REG_CLOCK_NS);
		driver_read(d, NIB_REG_POWER_MW);
		driver_write(d, NIB_REG_TLB_INVALIDATE, i % 3 ? i % 2 : ~0u);
		if (i % 16 == 0) {
			nib_device_quiesce(d->device);
			nib_device_resume(d->device);
		}
	}
	return arg;
}

START_TEST(threads_meet)
{
	pthread_t threads[3];

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_queue(d, 1, 1, 16, NIB_PRIORITY_HIGH, 16, 2);
	for (unsigned int i = 0; i < 16; i++) {
		driver_submit(d, 0, LONG, NULL, 0, 0);
		driver_submit(d, 1, NOPS, NULL, 0, 0);
	}
	pthread_create(&threads[0], NULL, runner, NULL);
	pthread_create(&threads[1], NULL, hammer, NULL);
	pthread_create(&threads[2], NULL, runner, NULL);
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	driver_run(d);
	for (unsigned int i = 0; i < 16; i++) {
		ck_assert_uint_eq(status(0, i), NIB_DONE_OK);
		ck_assert_uint_eq(status(1, i), NIB_DONE_OK);
	}
}
END_TEST

START_TEST(timestamps_show_the_device_clock)
{
	const uint64_t *stamp = (const uint64_t *)(const void *)(d->hbm + memory + 0x1000);
	const struct nib_completion *done;
	uint64_t args[1] = { LOG };

	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	driver_submit(d, 0, TIME, args, 1, 0);
	driver_run(d);
	done = driver_done(d, 0, 0);
	ck_assert_uint_eq(done->status, NIB_DONE_OK);
	ck_assert_uint_ge(stamp[0], done->start_ns);
	/* 16 KiB at 16 GB/s. */
	ck_assert_uint_ge(stamp[1] - stamp[0], 1024);
	ck_assert_uint_le(stamp[1], done->end_ns);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_sched");
	TCase *jobs = tcase_create("jobs"), *choice = tcase_create("choice");
	TCase *force = tcase_create("force");
	SRunner *runner_;
	int failed;

	tcase_add_checked_fixture(jobs, setup, teardown);
	tcase_add_test(jobs, a_job_completes);
	tcase_add_test(jobs, phases_grow_with_rounds);
	tcase_add_test(jobs, a_full_ring_runs_in_order);
	tcase_add_test(jobs, doorbells_too_far_ahead_are_ignored);
	tcase_add_test(jobs, doorbells_do_not_go_back);
	tcase_add_test(jobs, stats_are_a_copy_of_the_completion);
	tcase_add_test(jobs, a_fault_says_where);
	tcase_add_test(jobs, events_wrap);
	tcase_add_loop_test(jobs, bad_entries_end_at_once, 0,
			    sizeof(bad_entries) / sizeof(bad_entries[0]));
	tcase_add_test(jobs, arguments_are_checked_when_known);
	tcase_add_test(jobs, a_stream_that_changed_is_refused);
	tcase_add_test(jobs, a_ring_that_vanishes_stops_its_queue);
	tcase_add_test(jobs, timestamps_show_the_device_clock);
	tcase_add_checked_fixture(choice, setup, teardown);
	tcase_set_timeout(choice, 30);
	tcase_add_test(choice, the_highest_priority_goes_first);
	tcase_add_test(choice, a_higher_priority_preempts_between_packets);
	tcase_add_test(choice, weights_share_run_time);
	tcase_add_test(choice, turns_last_a_quantum);
	tcase_add_test(choice, a_queue_that_slept_saved_no_time);
	tcase_add_test(choice, a_wait_yields_until_another_queue_posts);
	tcase_add_test(choice, a_wait_sees_what_the_cpu_stores);
	tcase_add_test(choice, waits_that_hold_cost_nothing_extra);
	tcase_add_checked_fixture(force, setup, teardown);
	tcase_set_timeout(force, 60);
	tcase_add_loop_test(force, destroying_a_queue_cancels_its_jobs, 0, 2);
	tcase_add_test(force, an_engine_reset_leaves_suspended_jobs_alone);
	tcase_add_test(force, a_long_packet_does_not_block_registers);
	tcase_add_test(force, a_long_packet_faults_when_its_memory_goes);
	tcase_add_test(force, a_long_packet_ends_with_its_queue);
	tcase_add_loop_test(force, a_long_packet_ends_with_the_function, 0, 3);
	tcase_add_test(force, threads_meet);
	suite_add_tcase(suite, jobs);
	suite_add_tcase(suite, choice);
	suite_add_tcase(suite, force);
	runner_ = srunner_create(suite);
	srunner_run_all(runner_, CK_NORMAL);
	failed = srunner_ntests_failed(runner_);
	srunner_free(runner_);
	return failed ? 1 : 0;
}
