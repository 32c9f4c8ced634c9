/* SPDX-License-Identifier: MIT */
/*
 * Writes a trace that ui.perfetto.dev and trace_processor open: tracks, slices, counters. One call,
 * one record; nothing is kept. Not for several threads at once.
 */
#ifndef TRACE_WRITER_H
#define TRACE_WRITER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/**
 * struct trace_writer - a trace under way.
 * @file: where it goes.
 * @error: 0, or what the first write that failed said.
 * @last: number of the newest track.
 */
struct trace_writer {
	FILE *file;
	int error;
	uint64_t last;
};

/* A number that a slice carries. */
struct trace_arg {
	const char *name;
	uint64_t value;
};

/* Returns 0 or -errno. */
int trace_open(struct trace_writer *t, const char *path);
/* Returns 0, or the -errno of whatever failed since the trace was opened. */
int trace_close(struct trace_writer *t);

/* Tracks, by number: a group, one of slices in a group, a counter in a group. */
uint64_t trace_process(struct trace_writer *t, int pid, const char *name);
uint64_t trace_thread(struct trace_writer *t, int pid, int tid, const char *name);
uint64_t trace_track(struct trace_writer *t, uint64_t parent, const char *name);
uint64_t trace_counter_track(struct trace_writer *t, uint64_t parent, const char *name,
			     const char *unit);

/* Times are nanoseconds. */
void trace_slice(struct trace_writer *t, uint64_t track, const char *name, uint64_t start,
		 uint64_t end, const struct trace_arg *args, size_t n_args);
void trace_counter(struct trace_writer *t, uint64_t track, uint64_t at, double value);

#endif
