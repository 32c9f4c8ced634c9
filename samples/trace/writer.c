// SPDX-License-Identifier: MIT
/*
 * Perfetto's format is a sequence of packets, each a field of one large message; so packets may be
 * written one by one.
 */
#include <errno.h>
#include <string.h>
#include "perfetto.pb-c.h"
#include "writer.h"

/* All records come from one source, which needs a number. */
#define SEQUENCE 1
#define MAX_ARGS 16

struct file_buffer {
	ProtobufCBuffer base;
	struct trace_writer *writer;
};

static void append(ProtobufCBuffer *base, size_t bytes, const uint8_t *data)
{
	struct trace_writer *t = ((struct file_buffer *)base)->writer;

	if (!t->error && fwrite(data, 1, bytes, t->file) != bytes)
		t->error = errno ? -errno : -EIO;
}

static void put(struct trace_writer *t, Perfetto__TracePacket *packet)
{
	struct file_buffer buffer = { .base = { .append = append }, .writer = t };
	Perfetto__Trace trace = PERFETTO__TRACE__INIT;

	packet->has_trusted_packet_sequence_id = 1;
	packet->trusted_packet_sequence_id = SEQUENCE;
	trace.n_packet = 1;
	trace.packet = &packet;
	perfetto__trace__pack_to_buffer(&trace, &buffer.base);
}

int trace_open(struct trace_writer *t, const char *path)
{
	*t = (struct trace_writer){ .file = fopen(path, "wb") };
	return t->file ? 0 : -errno;
}

int trace_close(struct trace_writer *t)
{
	if (fclose(t->file) && !t->error)
		t->error = -errno;
	t->file = NULL;
	return t->error;
}

/* --- Tracks --- */

static uint64_t put_track(struct trace_writer *t, Perfetto__TrackDescriptor *track)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;

	track->has_uuid = 1;
	track->uuid = ++t->last;
	packet.track_descriptor = track;
	put(t, &packet);
	return t->last;
}

uint64_t trace_process(struct trace_writer *t, int pid, const char *name)
{
	Perfetto__ProcessDescriptor process = PERFETTO__PROCESS_DESCRIPTOR__INIT;
	Perfetto__TrackDescriptor track = PERFETTO__TRACK_DESCRIPTOR__INIT;

	process.has_pid = 1;
	process.pid = pid;
	process.process_name = (char *)(uintptr_t)name;
	track.process = &process;
	return put_track(t, &track);
}

uint64_t trace_thread(struct trace_writer *t, int pid, int tid, const char *name)
{
	Perfetto__ThreadDescriptor thread = PERFETTO__THREAD_DESCRIPTOR__INIT;
	Perfetto__TrackDescriptor track = PERFETTO__TRACK_DESCRIPTOR__INIT;

	thread.has_pid = 1;
	thread.pid = pid;
	thread.has_tid = 1;
	thread.tid = tid;
	thread.thread_name = (char *)(uintptr_t)name;
	track.thread = &thread;
	return put_track(t, &track);
}

uint64_t trace_track(struct trace_writer *t, uint64_t parent, const char *name)
{
	Perfetto__TrackDescriptor track = PERFETTO__TRACK_DESCRIPTOR__INIT;

	track.has_parent_uuid = 1;
	track.parent_uuid = parent;
	track.name = (char *)(uintptr_t)name;
	return put_track(t, &track);
}

uint64_t trace_counter_track(struct trace_writer *t, uint64_t parent, const char *name,
			     const char *unit)
{
	Perfetto__CounterDescriptor counter = PERFETTO__COUNTER_DESCRIPTOR__INIT;
	Perfetto__TrackDescriptor track = PERFETTO__TRACK_DESCRIPTOR__INIT;

	counter.unit_name = (char *)(uintptr_t)unit;
	track.has_parent_uuid = 1;
	track.parent_uuid = parent;
	track.name = (char *)(uintptr_t)name;
	track.counter = &counter;
	return put_track(t, &track);
}

/* --- Events --- */

static void put_event(struct trace_writer *t, uint64_t track, uint64_t at,
		      Perfetto__TrackEvent__Type type, Perfetto__TrackEvent *event)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;

	event->has_type = 1;
	event->type = type;
	event->has_track_uuid = 1;
	event->track_uuid = track;
	packet.has_timestamp = 1;
	packet.timestamp = at;
	packet.track_event = event;
	put(t, &packet);
}

void trace_slice(struct trace_writer *t, uint64_t track, const char *name, uint64_t start,
		 uint64_t end, const struct trace_arg *args, size_t n_args)
{
	Perfetto__TrackEvent begin = PERFETTO__TRACK_EVENT__INIT, stop = begin;
	Perfetto__DebugAnnotation notes[MAX_ARGS], *list[MAX_ARGS];

	n_args = n_args < MAX_ARGS ? n_args : MAX_ARGS;
	for (size_t i = 0; i < n_args; i++) {
		perfetto__debug_annotation__init(&notes[i]);
		notes[i].name = (char *)(uintptr_t)args[i].name;
		notes[i].has_uint_value = 1;
		notes[i].uint_value = args[i].value;
		list[i] = &notes[i];
	}
	begin.name = (char *)(uintptr_t)name;
	begin.n_debug_annotations = n_args;
	begin.debug_annotations = list;
	put_event(t, track, start, PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN, &begin);
	put_event(t, track, end, PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_END, &stop);
}

void trace_counter(struct trace_writer *t, uint64_t track, uint64_t at, double value)
{
	Perfetto__TrackEvent event = PERFETTO__TRACK_EVENT__INIT;

	event.has_double_counter_value = 1;
	event.double_counter_value = value;
	put_event(t, track, at, PERFETTO__TRACK_EVENT__TYPE__TYPE_COUNTER, &event);
}
