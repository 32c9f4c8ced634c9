/* SPDX-License-Identifier: MIT */
/*
 * The conformance suites: what accel.h promises, on every transport. The same programs pass in
 * process, on the kernel driver in a guest, and, as far as nothing is computed, on the null
 * transport. They are written against the public headers only, so that they can be copied into a
 * guest and run there.
 *
 *	PROGRAM [--transport drm|sim|null]... [CASE...]
 *
 * Without --transport: sim and null; in a guest, where there is a device node, drm. Exit status 77
 * when a transport that was asked for has no device.
 *
 * This file is their common part: the objects that most cases need, jobs in one line, and the
 * runner, whose cases print "ok" or where they failed.
 */
#ifndef ACCEL_RIG_H
#define ACCEL_RIG_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "accel.h"
#include "accel_stream.h"
#include "nib_regs.h"

#define SECOND	1000000000ull
#define LONG	(60 * SECOND)	/* a guest without KVM is slow */
#define PAGE	4096u

static enum accel_transport transport;
static bool failed;

#define EXPECT(cond) do { \
	if (!(cond)) { \
		printf("    %s:%d: %s\n", __func__, __LINE__, #cond); \
		failed = true; \
		return; \
	} \
} while (0)

#define EXPECT_ERR(want, call)                                                                \
	do {                                                                                  \
		int err_ = (call);                                                            \
		if (err_ != (want)) {                                                         \
			printf("    %s:%d: %s: %d (%s), want %d; last error: %s\n", __func__, \
			       __LINE__, #call, err_, strerror(-err_), (want),                \
			       accel_last_error(rig.device));                                 \
			failed = true;                                                        \
			return;                                                               \
		}                                                                             \
	} while (0)

/* What most cases need. */
static struct {
	struct accel_device *device;
	struct accel_queue *queue;
	struct accel_queue *other;
	struct accel_timeline *timeline;
	struct accel_stream *store;	/* a0: address, a1: 64-bit value */
	struct accel_stream *copy;	/* a0: from, a1: to, a2: 32-bit words */
	struct accel_stream *wait;	/* a0: address; waits until it holds at least a1 */
	struct accel_buffer *buffer;
	uint64_t *words;		/* host memory, one page */
	uint64_t va;
} rig;

static struct accel_stream *stream_of(const void *packet)
{
	struct accel_stream *stream = NULL;
	struct accel_builder *builder;
	const uint64_t *data;
	uint32_t nargs;
	size_t bytes;

	if (accel_builder_create(&builder))
		return NULL;
	accel_builder_add(builder, packet);
	if (!accel_builder_finish(builder, &data, &bytes, &nargs))
		accel_stream_create(rig.device, data, bytes, &stream);
	accel_builder_destroy(builder);
	return stream;
}

static struct accel_stream *sem_stream(enum nib_sem_action action)
{
	struct nib_pkt_sem sem = { .hdr = { NIB_OP_SEM, 4, 0 }, .action = action };

	accel_arg(&sem, addr, 0, 0);
	accel_arg(&sem, value, 1, 0);
	return stream_of(&sem);
}

static struct accel_stream *copy_stream(void)
{
	struct nib_pkt_copy copy = { .hdr = { NIB_OP_COPY, 11, 0 }, .n1 = 1, .n2 = 1,
				     .src_fmt = NIB_FMT_U32, .dst_fmt = NIB_FMT_U32 };

	accel_arg(&copy, src, 0, 0);
	accel_arg(&copy, dst, 1, 0);
	accel_arg(&copy, n0, 2, 0);
	return stream_of(&copy);
}

static int open_device(struct accel_device **device)
{
	struct accel_open_params params = { .struct_size = sizeof(params), .transport = transport };

	return accel_open(&params, device);
}

static bool set_up(void)
{
	memset(&rig, 0, sizeof(rig));
	if (open_device(&rig.device)) {
		printf("    open: %s\n", accel_last_error(NULL));
		return false;
	}
	if (accel_queue_create(rig.device, ACCEL_PRIORITY_NORMAL, 0, &rig.queue) ||
	    accel_queue_create(rig.device, ACCEL_PRIORITY_NORMAL, 0, &rig.other) ||
	    accel_timeline_create(rig.device, 0, &rig.timeline) ||
	    accel_buffer_create(rig.device, ACCEL_MEMORY_HOST, PAGE, 0, &rig.buffer) ||
	    accel_buffer_map(rig.buffer, (void **)&rig.words)) {
		printf("    set up: %s\n", accel_last_error(rig.device));
		return false;
	}
	rig.va = accel_buffer_address(rig.buffer);
	rig.store = sem_stream(NIB_SEM_SET);
	rig.wait = sem_stream(NIB_SEM_WAIT_GE);
	rig.copy = copy_stream();
	if (!rig.store || !rig.wait || !rig.copy)
		printf("    set up: %s\n", accel_last_error(rig.device));
	return rig.store && rig.wait && rig.copy;
}

static void tear_down(void)
{
	accel_queue_destroy(rig.queue);
	accel_queue_destroy(rig.other);
	accel_stream_destroy(rig.store);
	accel_stream_destroy(rig.wait);
	accel_stream_destroy(rig.copy);
	accel_timeline_destroy(rig.timeline);
	accel_buffer_destroy(rig.buffer);
	accel_close(rig.device);
}

/* A job with at most one wait and one signal. */
struct run {
	struct accel_queue *queue;	/* NULL: rig.queue */
	struct accel_stream *stream;	/* NULL: rig.store */
	uint64_t args[3];
	struct accel_point wait;
	struct accel_point signal;
	struct accel_job_stats *stats;
};

static int submit(struct run run)
{
	struct accel_job job = {
		.struct_size = sizeof(job),
		.stream = run.stream ? run.stream : rig.store,
		.args = run.args, .nargs = 3,
		.waits = &run.wait, .n_waits = run.wait.timeline != NULL,
		.signals = &run.signal, .n_signals = run.signal.timeline != NULL,
		.stats = run.stats,
	};

	return accel_queue_submit(run.queue ? run.queue : rig.queue, &job, 1);
}

#define SUBMIT(...) submit((struct run){ __VA_ARGS__ })
#define AT(i)	(rig.va + (i) * 8)

static bool computes(void)
{
	return transport != ACCEL_TRANSPORT_NULL;
}

/* True if word @i is @value, or nothing is computed. */
static bool word_is(uint32_t i, uint64_t value)
{
	return !computes() || __atomic_load_n(&rig.words[i], __ATOMIC_ACQUIRE) == value;
}

#define COMPUTES 1	/* not on null */
#define KERNEL	 2	/* needs the kernel driver, and root */

struct test_case {
	const char *name;
	void (*run)(void);
	int flags;
};

#define CASE(name, flags) { #name, test_##name, flags }

static bool wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 0; i < argc; i++)
		if (!strcmp(name, argv[i]))
			return true;
	return !argc;
}

/* Returns how many cases ran, and adds to *bad. */
static int run_cases(const struct test_case *cases, size_t count, const char *name, int argc,
		     char **argv, int *bad)
{
	int ran = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		if (!wanted(cases[i].name, argc, argv) ||
		    (cases[i].flags & COMPUTES && !computes()) ||
		    (cases[i].flags & KERNEL && transport != ACCEL_TRANSPORT_DRM))
			continue;
		failed = false;
		if (set_up())
			cases[i].run();
		else
			failed = true;
		tear_down();
		ran++;
		*bad += failed;
		printf("%s %s %s\n", failed ? "FAIL" : "ok", name, cases[i].name);
		fflush(stdout);
	}
	return ran;
}

static int run_all(const struct test_case *cases, size_t count, int argc, char **argv)
{
	static const char *const names[] = { "auto", "drm", "sim", "null" };
	bool node = accel_device_list(NULL, 0) > 0, want[4] = { false, node, !node, !node };
	struct accel_device *device;
	int ran = 0, bad = 0, i;

	if (argc > 2 && !strcmp(argv[1], "--transport"))
		memset(want, 0, sizeof(want));
	for (; argc > 2 && !strcmp(argv[1], "--transport"); argc -= 2, argv += 2)
		for (i = 1; i < 4; i++)
			want[i] |= !strcmp(argv[2], names[i]);
	for (i = 1; i < 4; i++) {
		if (!want[i])
			continue;
		transport = (enum accel_transport)i;
		if (open_device(&device)) {
			printf("no device: %s\n", accel_last_error(NULL));
			return 77;
		}
		accel_close(device);
		ran += run_cases(cases, count, names[i], argc - 1, argv + 1, &bad);
	}
	if (!ran) {
		printf("usage: [--transport drm|sim|null]... [CASE...]\n");
		return 2;
	}
	printf("%d%%: Checks: %d, Failures: %d, Errors: 0\n", 100 * (ran - bad) / ran, ran, bad);
	return bad != 0;
}

#endif
