// SPDX-License-Identifier: MIT
/* See replay.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage.h"
#include "packet.h"
#include "replay.h"

/**
 * struct place - where a buffer of the dump is in this machine.
 * @start: first byte of it that is mapped.
 * @end: first byte behind what is mapped; equal to @start for numbers that are not used.
 * @va: that @start has, or would have.
 * @filled: the dump has contents of it.
 * @mem: memory that it is in here.
 * @at: address of @start there.
 */
struct place {
	uint64_t start;
	uint64_t end;
	uint64_t va;
	bool filled;
	enum nib_mem mem;
	uint64_t at;
};

/* A queue that is replayed. */
struct line {
	const struct dump_queue *from;
	struct stage_queue queue;
	bool guilty;
	/* Where it was when time was up. */
	uint32_t packet;
};

struct replay {
	const struct dump *dump;
	const struct replay_params *params;
	struct replay_result *result;
	struct stage stage;
	struct place *places;
	struct line *lines;
	size_t n_lines;
	uint8_t streams[NIB_MAX_STREAMS / 8];	/* bit set: created */
};

static int __attribute__((format(printf, 3, 4))) fail(struct replay *r, int err,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->result->text, sizeof(r->result->text), format, args);
	va_end(args);
	return err;
}

static void __attribute__((format(printf, 2, 3))) warn(struct replay *r, const char *format, ...)
{
	va_list args;

	if (r->result->n_warnings == REPLAY_MAX_WARNINGS)
		return;
	va_start(args, format);
	vsnprintf(r->result->warnings[r->result->n_warnings++], REPLAY_TEXT_BYTES, format, args);
	va_end(args);
}

static bool is_hang(const struct dump *dump)
{
	return dump->reason.status < NIB_DONE_FAULT_READ;
}

/* --- Memory --- */

/* How much of each buffer there must be. */
static int measure(struct replay *r)
{
	const struct dump *dump = r->dump;
	uint64_t total = 0, most = r->params->memory;
	size_t i;

	r->places = calloc(dump->n_mappings + 1, sizeof(*r->places));
	if (!r->places)
		return fail(r, -ENOMEM, "no memory");
	for (i = 0; i < dump->n_mappings; i++) {
		const struct nib_dump_mapping *map = &dump->mappings[i];
		struct place *place = &r->places[map->bo];

		if (place->start == place->end || map->bo_offset < place->start) {
			if (place->start == place->end)
				place->end = map->bo_offset;
			place->start = map->bo_offset;
			place->va = map->va;
		}
		if (map->bo_offset + map->bytes > place->end)
			place->end = map->bo_offset + map->bytes;
		place->mem = (enum nib_mem)map->mem;
		r->result->mapped += map->bytes;
	}
	for (i = 0; i < dump->n_mappings; i++)
		total += r->places[i].end - r->places[i].start;
	if (!most)
		most = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	if (total > most)
		return fail(r, -ENOMEM, "the job had %llu MiB of memory mapped, this may take %llu",
			    (unsigned long long)(total >> 20), (unsigned long long)(most >> 20));
	return 0;
}

/* Finds room for a buffer; of a kind of memory that has none left, host memory takes the place. */
static int place_buffer(struct replay *r, struct place *place)
{
	uint64_t bytes = place->end - place->start, offset = place->va & (NIB_PAGE_2M - 1);
	uint64_t align = bytes >= NIB_PAGE_2M ? NIB_PAGE_2M : NIB_PAGE_4K;
	enum nib_mem mem = place->mem;
	uint8_t *host;

	if (mem == NIB_MEM_HBM && stage_hbm(&r->stage, place->filled, bytes, align,
					      offset & (align - 1), &place->at))
		return 0;
	if (mem == NIB_MEM_SRAM && !place->filled &&
	    stage_sram(&r->stage, bytes, &place->at))
		return 0;
	host = stage_host(&r->stage, bytes, offset);
	if (!host)
		return fail(r, -ENOMEM, "no memory for a buffer of %llu bytes",
			    (unsigned long long)bytes);
	place->mem = NIB_MEM_HOST;
	place->at = (uintptr_t)host;
	if (mem != NIB_MEM_HOST)
		warn(r, "%llu bytes of %s are in host memory: the chip has no room for them",
		     (unsigned long long)bytes, dump_memory_name(mem));
	return 0;
}

/* Where an address of the job is in this machine; false if it is not mapped. */
static bool locate(const struct replay *r, uint64_t va, enum nib_mem *mem, uint64_t *at)
{
	const struct nib_dump_mapping *map = dump_find_mapping(r->dump, va);
	const struct place *place;

	if (!map)
		return false;
	place = &r->places[map->bo];
	*mem = place->mem;
	*at = place->at + (map->bo_offset - place->start) + (va - map->va);
	return true;
}

/* The same as the CPU sees it, or NULL. */
static uint8_t *look(const struct replay *r, uint64_t va, uint64_t bytes)
{
	enum nib_mem mem;
	uint64_t at;

	if (!locate(r, va, &mem, &at) || mem == NIB_MEM_SRAM)
		return NULL;
	if (mem == NIB_MEM_HOST)
		return (uint8_t *)(uintptr_t)at;
	return at + bytes <= r->stage.low.end ? r->stage.window + at : NULL;
}

static int fill_memory(struct replay *r)
{
	const struct dump *dump = r->dump;
	uint64_t held = 0;
	uint8_t *to;
	size_t i;

	for (i = 0; i < dump->n_memory; i++) {
		const struct dump_memory *memory = &dump->memory[i];

		to = look(r, memory->va, memory->bytes);
		if (!to)
			return fail(r, -ENOSPC, "no room in the window for contents");
		memcpy(to, memory->data, memory->bytes);
		held += memory->bytes;
	}
	r->result->missing = held < r->result->mapped ? r->result->mapped - held : 0;
	if (r->result->missing)
		warn(r, "of %llu bytes that were mapped, %llu are not in the dump and zero here",
		     (unsigned long long)r->result->mapped,
		     (unsigned long long)r->result->missing);
	return 0;
}

static int make_memory(struct replay *r)
{
	const struct dump *dump = r->dump;
	int err = measure(r), filled;
	size_t i;

	if (err)
		return err;
	for (i = 0; i < dump->n_memory; i++)
		r->places[dump_find_mapping(dump, dump->memory[i].va)->bo].filled = true;
	/* What has contents must be in the window, and comes first. */
	for (filled = 1; filled >= 0; filled--) {
		for (i = 0; i < dump->n_mappings; i++) {
			struct place *place = &r->places[i];

			if (place->start == place->end || place->filled != filled)
				continue;
			err = place_buffer(r, place);
			if (err)
				return err;
		}
	}
	for (i = 0; i < dump->n_mappings; i++) {
		const struct nib_dump_mapping *map = &dump->mappings[i];
		enum nib_mem mem;
		uint64_t at;

		if (!locate(r, map->va, &mem, &at) ||
		    stage_map(&r->stage, map->va, map->bytes, mem, at,
				!(map->flags & NIB_DUMP_MAPPING_READONLY)))
			return fail(r, -ENOSPC, "%s", r->stage.error);
	}
	return fill_memory(r);
}

/* --- Jobs --- */

static int make_stream(struct replay *r, uint32_t id)
{
	const struct dump_stream *stream = dump_find_stream(r->dump, id);
	int err;

	if (id >= NIB_MAX_STREAMS || !stream) {
		warn(r, "stream %u is not in the dump", id);
		return 0;
	}
	if (r->streams[id / 8] >> id % 8 & 1)
		return 0;
	err = stage_stream(&r->stage, id, stream->words, stream->bytes, stream->nargs);
	if (err)
		return fail(r, err, "stream %u: %s", id, r->stage.error);
	r->streams[id / 8] |= (uint8_t)(1 << id % 8);
	return 0;
}

/* Of a job whose statistics had nowhere to go all packets were done: then the last one. */
static uint32_t guilty_packet(const struct dump *dump)
{
	const struct nib_dump_job *job = dump_guilty_job(dump);
	const struct dump_stream *stream = dump_find_stream(dump, job->entry.stream);
	uint32_t packet = dump->reason.packet;

	if (stream && packet && packet_find(stream, packet) >= stream->bytes / 8 &&
	    packet_find(stream, packet - 1) < stream->bytes / 8)
		packet--;
	return packet;
}

/* The packet that the first job of a queue goes on from. */
static uint32_t first_packet(const struct replay *r, const struct dump_queue *queue)
{
	if (r->params->from_start)
		return 0;
	if (queue->info.queue == r->dump->reason.queue)
		return guilty_packet(r->dump);
	return queue->info.status.running ? (uint32_t)queue->info.status.job_packets : 0;
}

static int make_line(struct replay *r, const struct dump_queue *from)
{
	struct line *line = &r->lines[r->n_lines];
	size_t jobs = is_hang(r->dump) ? from->n_jobs : 1, i;
	int err;

	line->from = from;
	line->guilty = from->info.queue == r->dump->reason.queue;
	/* Jobs that are missing in between are those that a reader cannot miss: none. */
	err = stage_queue(&r->stage, &line->queue, from->info.queue, from->info.entries,
			    from->info.priority, from->info.weight, from->jobs[0].number,
			    first_packet(r, from));
	if (err)
		return fail(r, err, "queue %u: %s", from->info.queue, r->stage.error);
	r->n_lines++;
	for (i = 0; i < jobs; i++) {
		const struct nib_dump_job *job = &from->jobs[i];

		if (job->number != line->queue.tail)
			break;
		err = make_stream(r, job->entry.stream);
		if (err)
			return err;
		stage_put(&line->queue, &job->entry, job->args);
	}
	return 0;
}

/* A job that faults did so alone; one that hangs may have waited for others of its client. */
static int make_lines(struct replay *r)
{
	const struct dump *dump = r->dump;
	size_t i;
	int err;

	r->lines = calloc(dump->n_queues, sizeof(*r->lines));
	if (!r->lines)
		return fail(r, -ENOMEM, "no memory");
	for (i = 0; i < dump->n_queues; i++) {
		const struct dump_queue *queue = &dump->queues[i];
		bool guilty = queue->info.queue == dump->reason.queue;

		if (!queue->n_jobs || (!guilty && !is_hang(dump)))
			continue;
		err = make_line(r, queue);
		if (err)
			return err;
	}
	for (i = 0; i < r->n_lines; i++)
		stage_ring(&r->stage, &r->lines[i].queue);
	return 0;
}

/* A memory error is a fact about the memory: it is put where it was. */
static void make_ecc(struct replay *r)
{
	enum nib_mem mem;
	uint64_t at;

	if (r->dump->reason.status != NIB_DONE_FAULT_ECC)
		return;
	if (!locate(r, r->dump->reason.fault_va, &mem, &at) || mem != NIB_MEM_HBM) {
		warn(r, "the memory error was not in HBM of the job");
		return;
	}
	stage_write(&r->stage, NIB_REG_INJECT_ADDR, 8, at);
	stage_write(&r->stage, NIB_REG_INJECT, 4, NIB_INJECT_ECC | 1u << 8);
}

/* --- Outcome --- */

/* Time is up: where everybody is, before the reset that ends it. */
static void note_packets(void *data)
{
	struct replay *r = data;
	size_t i;

	for (i = 0; i < r->n_lines; i++)
		r->lines[i].packet = (uint32_t)__atomic_load_n(
			&stage_status(&r->stage, &r->lines[i].queue)->job_packets,
			__ATOMIC_RELAXED);
	r->result->limited = true;
}

/* The semaphore that a packet waits for. */
static void note_semaphore(struct replay *r, const struct nib_dump_job *job)
{
	const struct dump_stream *stream = dump_find_stream(r->dump, job->entry.stream);
	struct replay_result *result = r->result;
	uint64_t w[NIB_MAX_PKT_WORDS];
	uint8_t *at;

	if (!stream || !packet_resolve(stream, result->packet, job->args, job->entry.nargs, w) ||
	    (w[0] & 0xffff) != NIB_OP_SEM || w[3] != NIB_SEM_WAIT_GE)
		return;
	at = look(r, w[1], sizeof(uint64_t));
	if (!at)
		return;
	result->blocked = true;
	result->sem_va = w[1];
	result->sem_want = w[2];
	memcpy(&result->sem_value, at, sizeof(result->sem_value));
}

static void judge_fault(struct replay *r)
{
	const struct nib_dump_reason *was = &r->dump->reason;
	struct replay_result *is = r->result;

	if (is->status == was->status && is->packet == was->packet &&
	    is->fault_va == was->fault_va) {
		is->verdict = REPLAY_REPRODUCED;
		snprintf(is->text, sizeof(is->text), "%s at %#llx in packet %u",
			 dump_status_name(is->status), (unsigned long long)is->fault_va,
			 is->packet);
		return;
	}
	is->verdict = REPLAY_DIFFERS;
	if (is->status == NIB_DONE_OK)
		snprintf(is->text, sizeof(is->text), "the job ends well after %u packets%s",
			 is->packet, is->missing ? "" : ": what failed was not in the job");
	else if (is->status == NIB_DONE_NONE)
		snprintf(is->text, sizeof(is->text), "packet %u %s", is->packet,
			 is->limited ? "still runs when time is up" : "waits");
	else
		snprintf(is->text, sizeof(is->text), "%s at %#llx in packet %u, not %s at %#llx in %u",
			 dump_status_name(is->status), (unsigned long long)is->fault_va,
			 is->packet, dump_status_name(was->status),
			 (unsigned long long)was->fault_va, was->packet);
}

static void judge_hang(struct replay *r)
{
	struct replay_result *is = r->result;

	is->verdict = is->status == NIB_DONE_NONE && is->packet == r->dump->reason.packet ?
		      REPLAY_REPRODUCED : REPLAY_DIFFERS;
	if (is->blocked)
		snprintf(is->text, sizeof(is->text),
			 "packet %u waits for %llu at %#llx, where %llu is", is->packet,
			 (unsigned long long)is->sem_want, (unsigned long long)is->sem_va,
			 (unsigned long long)is->sem_value);
	else if (is->status == NIB_DONE_NONE)
		snprintf(is->text, sizeof(is->text), "packet %u %s", is->packet,
			 is->limited ? "still runs when time is up" : "does not end");
	else if (is->status == NIB_DONE_OK)
		snprintf(is->text, sizeof(is->text),
			 "the job ends well after %u packets: what hung was not in the job", is->packet);
	else
		snprintf(is->text, sizeof(is->text), "%s at %#llx in packet %u, not a hang",
			 dump_status_name(is->status), (unsigned long long)is->fault_va,
			 is->packet);
}

static void judge(struct replay *r)
{
	const struct nib_dump_job *job = dump_guilty_job(r->dump);
	const struct nib_completion *done;
	const struct line *line;
	size_t i = 0;

	while (!r->lines[i].guilty)
		i++;
	line = &r->lines[i];
	done = stage_done(&line->queue, job->number);
	/* The reset that ended it has made it "done". */
	if (done && !r->result->limited) {
		r->result->status = done->status;
		r->result->packet = done->packet;
		r->result->fault_va = done->fault_va;
	} else {
		r->result->status = NIB_DONE_NONE;
		r->result->packet = line->packet;
		if (!r->result->limited) {
			r->result->packet = (uint32_t)stage_status(&r->stage,
								     &line->queue)->job_packets;
			note_semaphore(r, job);
		}
	}
	if (is_hang(r->dump))
		judge_hang(r);
	else
		judge_fault(r);
}

/* --- All of it --- */

static bool is_possible(struct replay *r)
{
	const struct dump *dump = r->dump;
	const struct nib_dump_job *job = dump_guilty_job(dump);
	const char *why = NULL;

	if (dump->reason.queue == NIB_DUMP_NONE)
		why = "the dump blames no job: the device as a whole failed";
	else if (!job)
		why = "the dump does not hold the guilty job";
	else if (dump_find_queue(dump, dump->reason.queue)->jobs != job)
		why = "the guilty job was not the first of its queue";
	else if (dump->reason.status != NIB_DONE_FAULT_STREAM &&
		 !dump_find_stream(dump, job->entry.stream))
		why = "the dump does not hold the stream of the guilty job";
	if (!why)
		return true;
	r->result->verdict = REPLAY_IMPOSSIBLE;
	snprintf(r->result->text, sizeof(r->result->text), "%s", why);
	return false;
}

static int replay(struct replay *r)
{
	struct replay_result *result = r->result;
	const char *chip = r->params->chip ? r->params->chip : r->dump->device.chip;
	int err;

	err = stage_open(&r->stage, chip, r->params->threads);
	if (err)
		return fail(r, err, "chip %s: %s%s", chip, r->stage.error,
			    r->params->chip ? "" : "; --chip takes another");
	snprintf(result->chip, sizeof(result->chip), "%s", chip);
	result->first = first_packet(r, dump_find_queue(r->dump, r->dump->reason.queue));
	err = make_memory(r);
	if (!err)
		err = make_lines(r);
	if (err)
		return err;
	make_ecc(r);
	err = stage_run(&r->stage, r->params->limit_ms, note_packets, r);
	if (err && err != -ETIME)
		return fail(r, err, "%s", r->stage.error);
	judge(r);
	return 0;
}

int replay_run(const struct dump *dump, const struct replay_params *params,
	       struct replay_result *result)
{
	struct replay *r = calloc(1, sizeof(*r));
	int err = 0;

	memset(result, 0, sizeof(*result));
	if (!r)
		return -ENOMEM;
	r->dump = dump;
	r->params = params;
	r->result = result;
	if (is_possible(r)) {
		err = replay(r);
		stage_close(&r->stage);
	}
	free(r->places);
	free(r->lines);
	free(r);
	return err;
}
