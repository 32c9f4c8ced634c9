// SPDX-License-Identifier: MIT
/* See dump.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"

#define VA_END (1ull << NIB_VA_BITS)

/* A dump that is being read, and the section that it is at. */
struct reader {
	const uint8_t *data;
	size_t bytes;
	size_t at;		/* of the section's head */
	uint32_t number;
	struct nib_dump_section section;
	const uint8_t *body;
	struct dump *dump;
	char *error;
};

static const char *const type_names[] = {
	[NIB_DUMP_TEXT] = "text", [NIB_DUMP_DEVICE] = "device", [NIB_DUMP_REASON] = "reason",
	[NIB_DUMP_REGISTERS] = "registers", [NIB_DUMP_FIRMWARE] = "firmware",
	[NIB_DUMP_ADMIN] = "admin ring", [NIB_DUMP_EVENTS] = "events", [NIB_DUMP_QUEUE] = "queue",
	[NIB_DUMP_JOBS] = "jobs", [NIB_DUMP_COMPLETIONS] = "completions",
	[NIB_DUMP_MAPPINGS] = "mappings", [NIB_DUMP_STREAM] = "stream",
	[NIB_DUMP_MEMORY] = "memory",
};

static int __attribute__((format(printf, 2, 3))) bad(struct reader *r, const char *format, ...)
{
	const char *name = "unknown";
	va_list args;
	int n;

	if (r->section.type < sizeof(type_names) / sizeof(type_names[0]) &&
	    type_names[r->section.type])
		name = type_names[r->section.type];
	n = snprintf(r->error, DUMP_ERROR_BYTES, "section %u (%s) at byte %#zx: ", r->number, name,
		     r->at);
	va_start(args, format);
	vsnprintf(r->error + n, DUMP_ERROR_BYTES - (size_t)n, format, args);
	va_end(args);
	return -EINVAL;
}

static int no_memory(struct reader *r)
{
	snprintf(r->error, DUMP_ERROR_BYTES, "no memory for the dump");
	return -ENOMEM;
}

/* --- Structs: what an older writer left out is zero, what a newer one added is ignored. --- */

static void get(const struct reader *r, size_t index, void *out, size_t size)
{
	size_t has = r->section.size;

	memset(out, 0, size);
	memcpy(out, r->body + index * has, has < size ? has : size);
}

/* The section must hold exactly one struct of at least @size bytes. */
static int get_one(struct reader *r, void *out, size_t size)
{
	if (r->section.size < size || r->section.size % 8 || r->section.bytes != r->section.size)
		return bad(r, "%llu bytes for a struct of %u, want %zu",
			   (unsigned long long)r->section.bytes, r->section.size, size);
	get(r, 0, out, size);
	return 0;
}

/* The section must hold an array; copies it. */
static int get_array(struct reader *r, size_t size, void *out, size_t *count)
{
	uint8_t *copy;
	size_t i, n;

	if (r->section.size < size || r->section.size % 8 || r->section.bytes % r->section.size)
		return bad(r, "%llu bytes in structs of %u, want %zu",
			   (unsigned long long)r->section.bytes, r->section.size, size);
	n = (size_t)(r->section.bytes / r->section.size);
	copy = calloc(n ? n : 1, size);
	if (!copy)
		return no_memory(r);
	for (i = 0; i < n; i++)
		get(r, i, copy + i * size, size);
	memcpy(out, &copy, sizeof(copy));
	*count = n;
	return 0;
}

/* Makes room for one more element. Arrays grow by doubling, when their count is a power of two. */
static int grow(struct reader *r, void *array, size_t count, size_t size)
{
	void *old, *new;

	if (count & (count - 1))
		return 0;
	memcpy(&old, array, sizeof(old));
	new = realloc(old, (count ? count * 2 : 1) * size);
	if (!new)
		return no_memory(r);
	memcpy(array, &new, sizeof(new));
	return 0;
}

static bool ends(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

/* --- Sections --- */

static int read_text(struct reader *r)
{
	r->dump->text = (const char *)r->body;
	r->dump->text_bytes = (size_t)r->section.bytes;
	return 0;
}

static int read_device(struct reader *r)
{
	struct nib_dump_device *device = &r->dump->device;
	int err = get_one(r, device, sizeof(*device));

	if (err)
		return err;
	if (r->dump->has_device)
		return bad(r, "there is one already");
	if (!ends(device->chip, sizeof(device->chip)) || !ends(device->bus, sizeof(device->bus)) ||
	    !ends(device->fw_version, sizeof(device->fw_version)))
		return bad(r, "a name does not end");
	r->dump->has_device = true;
	return 0;
}

static int read_reason(struct reader *r)
{
	struct nib_dump_reason *reason = &r->dump->reason;
	int err = get_one(r, reason, sizeof(*reason));

	if (err)
		return err;
	if (r->dump->has_reason)
		return bad(r, "there is one already");
	if (!ends(reason->why, sizeof(reason->why)))
		return bad(r, "its text does not end");
	r->dump->has_reason = true;
	return 0;
}

static int read_firmware(struct reader *r)
{
	if (r->dump->has_firmware)
		return bad(r, "there is one already");
	r->dump->has_firmware = true;
	return get_one(r, &r->dump->firmware, sizeof(r->dump->firmware));
}

static int read_registers(struct reader *r)
{
	struct dump *dump = r->dump;
	size_t i;
	int err;

	if (dump->regs)
		return bad(r, "there is one already");
	err = get_array(r, sizeof(*dump->regs), &dump->regs, &dump->n_regs);
	for (i = 0; !err && i < dump->n_regs; i++)
		if (!ends(dump->regs[i].name, sizeof(dump->regs[i].name)))
			err = bad(r, "the name of register %zu does not end", i);
	return err;
}

static int read_admin(struct reader *r)
{
	if (r->dump->admin)
		return bad(r, "there is one already");
	return get_array(r, sizeof(*r->dump->admin), &r->dump->admin, &r->dump->n_admin);
}

static int read_events(struct reader *r)
{
	if (r->dump->events)
		return bad(r, "there is one already");
	return get_array(r, sizeof(*r->dump->events), &r->dump->events, &r->dump->n_events);
}

static int read_queue(struct reader *r)
{
	struct dump *dump = r->dump;
	struct dump_queue queue = { 0 };
	const struct nib_dump_queue *info = &queue.info;
	int err = get_one(r, &queue.info, sizeof(queue.info));

	if (err)
		return err;
	if (info->queue != r->section.id || info->queue >= NIB_MAX_QUEUES ||
	    dump_find_queue(dump, info->queue))
		return bad(r, "queue %u is out of range, or there is one already", info->queue);
	if (info->entries < NIB_RING_MIN_ENTRIES || info->entries > NIB_RING_MAX_ENTRIES ||
	    info->entries & (info->entries - 1))
		return bad(r, "a ring of %u entries", info->entries);
	if (info->head > info->tail || info->tail - info->head > info->entries)
		return bad(r, "jobs %llu to %llu are not in a ring of %u",
			   (unsigned long long)info->head, (unsigned long long)info->tail,
			   info->entries);
	if (info->priority > NIB_PRIORITY_REALTIME || info->weight < NIB_WEIGHT_MIN ||
	    info->weight > NIB_WEIGHT_MAX)
		return bad(r, "priority %u, weight %u", info->priority, info->weight);
	err = grow(r, &dump->queues, dump->n_queues, sizeof(queue));
	if (!err)
		dump->queues[dump->n_queues++] = queue;
	return err;
}

/* The queue that a section of jobs or completions is about. */
static struct dump_queue *queue_of(struct reader *r)
{
	return (struct dump_queue *)(uintptr_t)dump_find_queue(r->dump, r->section.id);
}

static int read_jobs(struct reader *r)
{
	struct dump_queue *queue = queue_of(r);
	uint64_t next;
	size_t i;
	int err;

	if (!queue || queue->jobs)
		return bad(r, "queue %u did not come before, or has jobs already", r->section.id);
	err = get_array(r, sizeof(*queue->jobs), &queue->jobs, &queue->n_jobs);
	if (err)
		return err;
	next = queue->info.head;
	for (i = 0; i < queue->n_jobs; i++) {
		const struct nib_dump_job *job = &queue->jobs[i];

		if (job->number < next || job->number >= queue->info.tail)
			return bad(r, "job %llu is not in the queue",
				   (unsigned long long)job->number);
		if (job->entry.nargs > NIB_MAX_ARGS)
			return bad(r, "a job with %u arguments", job->entry.nargs);
		next = job->number + 1;
	}
	return 0;
}

static int read_completions(struct reader *r)
{
	struct dump_queue *queue = queue_of(r);

	if (!queue || queue->done)
		return bad(r, "queue %u did not come before, or has completions already",
			   r->section.id);
	return get_array(r, sizeof(*queue->done), &queue->done, &queue->n_done);
}

static int read_stream(struct reader *r)
{
	struct dump *dump = r->dump;
	struct nib_dump_stream head;
	int err;

	if (r->section.size < sizeof(head) || r->section.size % 8 ||
	    r->section.size > r->section.bytes)
		return bad(r, "%llu bytes with a struct of %u, want %zu",
			   (unsigned long long)r->section.bytes, r->section.size, sizeof(head));
	get(r, 0, &head, sizeof(head));
	if (head.bytes != r->section.bytes - r->section.size || head.bytes % 8 || !head.bytes ||
	    head.bytes > NIB_MAX_STREAM_BYTES)
		return bad(r, "a stream of %u bytes", head.bytes);
	if (head.stream != r->section.id || head.stream >= NIB_MAX_STREAMS ||
	    dump_find_stream(dump, head.stream))
		return bad(r, "stream %u is out of range, or there is one already", head.stream);
	if (head.nargs > NIB_MAX_ARGS)
		return bad(r, "a stream of %u arguments", head.nargs);
	err = grow(r, &dump->streams, dump->n_streams, sizeof(*dump->streams));
	if (!err)
		dump->streams[dump->n_streams++] = (struct dump_stream){
			.id = head.stream,
			.nargs = head.nargs,
			.bytes = head.bytes,
			.words = (const void *)(r->body + r->section.size),
		};
	return err;
}

/* Equal numbers must be equal buffers: of one memory. */
static int check_buffers(struct reader *r)
{
	const struct dump *dump = r->dump;
	uint8_t *mems = calloc(dump->n_mappings, 1);
	int err = 0;
	size_t i;

	if (!mems)
		return no_memory(r);
	for (i = 0; !err && i < dump->n_mappings; i++) {
		const struct nib_dump_mapping *map = &dump->mappings[i];

		if (map->bo >= dump->n_mappings)
			err = bad(r, "buffer %u, of %zu mappings", map->bo, dump->n_mappings);
		else if (mems[map->bo] && mems[map->bo] != map->mem + 1)
			err = bad(r, "buffer %u is in two memories", map->bo);
		else
			mems[map->bo] = (uint8_t)(map->mem + 1);
	}
	free(mems);
	return err;
}

static int read_mappings(struct reader *r)
{
	struct dump *dump = r->dump;
	uint64_t next = 0;
	size_t i;
	int err;

	if (dump->mappings)
		return bad(r, "there is one already");
	err = get_array(r, sizeof(*dump->mappings), &dump->mappings, &dump->n_mappings);
	if (err || !dump->n_mappings)
		return err;
	for (i = 0; i < dump->n_mappings; i++) {
		const struct nib_dump_mapping *map = &dump->mappings[i];

		if ((map->va | map->bytes | map->bo_offset) % NIB_PAGE_4K || !map->bytes ||
		    map->va < next || map->va >= VA_END || map->bytes > VA_END - map->va ||
		    map->bo_offset > VA_END)
			return bad(r, "mapping %zu: %#llx + %#llx (buffer offset %#llx)", i,
				   (unsigned long long)map->va, (unsigned long long)map->bytes,
				   (unsigned long long)map->bo_offset);
		if (map->mem > NIB_MEM_HOST)
			return bad(r, "mapping %zu: memory %u", i, map->mem);
		next = map->va + map->bytes;
	}
	return check_buffers(r);
}

static int read_memory(struct reader *r)
{
	const struct nib_dump_mapping *map;
	struct dump *dump = r->dump;
	struct nib_dump_memory head;
	int err;

	if (r->section.size < sizeof(head) || r->section.size % 8 ||
	    r->section.size > r->section.bytes)
		return bad(r, "%llu bytes with a struct of %u, want %zu",
			   (unsigned long long)r->section.bytes, r->section.size, sizeof(head));
	get(r, 0, &head, sizeof(head));
	if (head.bytes != r->section.bytes - r->section.size)
		return bad(r, "says %llu bytes and has %llu", (unsigned long long)head.bytes,
			   (unsigned long long)(r->section.bytes - r->section.size));
	map = dump_find_mapping(dump, head.va);
	if (!map || head.bytes > map->va + map->bytes - head.va)
		return bad(r, "%#llx + %#llx is not in a mapping that came before",
			   (unsigned long long)head.va, (unsigned long long)head.bytes);
	err = grow(r, &dump->memory, dump->n_memory, sizeof(*dump->memory));
	if (!err)
		dump->memory[dump->n_memory++] = (struct dump_memory){
			.va = head.va,
			.bytes = head.bytes,
			.data = r->body + r->section.size,
		};
	return err;
}

static int read_section(struct reader *r)
{
	static int (*const readers[])(struct reader *) = {
		[NIB_DUMP_TEXT] = read_text, [NIB_DUMP_DEVICE] = read_device,
		[NIB_DUMP_REASON] = read_reason, [NIB_DUMP_REGISTERS] = read_registers,
		[NIB_DUMP_FIRMWARE] = read_firmware, [NIB_DUMP_ADMIN] = read_admin,
		[NIB_DUMP_EVENTS] = read_events, [NIB_DUMP_QUEUE] = read_queue,
		[NIB_DUMP_JOBS] = read_jobs, [NIB_DUMP_COMPLETIONS] = read_completions,
		[NIB_DUMP_MAPPINGS] = read_mappings, [NIB_DUMP_STREAM] = read_stream,
		[NIB_DUMP_MEMORY] = read_memory,
	};
	uint32_t type = r->section.type;

	if (r->section.zero)
		return bad(r, "a field that must be zero is not");
	if (type < sizeof(readers) / sizeof(readers[0]) && readers[type])
		return readers[type](r);
	r->dump->skipped++;
	return 0;
}

static int read_header(struct reader *r)
{
	struct nib_dump_header *h = &r->dump->header;

	if (r->bytes < sizeof(*h)) {
		snprintf(r->error, DUMP_ERROR_BYTES, "header: %zu bytes are no core dump",
			 r->bytes);
		return -EINVAL;
	}
	memcpy(h, r->data, sizeof(*h));
	if (h->magic != NIB_DUMP_MAGIC) {
		snprintf(r->error, DUMP_ERROR_BYTES, "header: this is no core dump");
		return -EINVAL;
	}
	if (h->major != NIB_DUMP_MAJOR) {
		snprintf(r->error, DUMP_ERROR_BYTES, "header: format %u.%u, but this knows %u.x",
			 h->major, h->minor, NIB_DUMP_MAJOR);
		return -EPROTONOSUPPORT;
	}
	if (h->bytes != r->bytes) {
		snprintf(r->error, DUMP_ERROR_BYTES,
			 "header: the dump has %llu bytes, the file %zu: it was cut or added to",
			 (unsigned long long)h->bytes, r->bytes);
		return -EINVAL;
	}
	if (h->sections > NIB_DUMP_MAX_SECTIONS) {
		snprintf(r->error, DUMP_ERROR_BYTES, "header: %u sections", h->sections);
		return -EINVAL;
	}
	r->at = sizeof(*h);
	return 0;
}

/* Finds the next section; its body is in the file. */
static int next_section(struct reader *r)
{
	size_t left = r->bytes - r->at;

	memset(&r->section, 0, sizeof(r->section));
	if (left < sizeof(r->section))
		return bad(r, "its head goes past the end");
	memcpy(&r->section, r->data + r->at, sizeof(r->section));
	left -= sizeof(r->section);
	/* The zeros behind it are there too: the file ends at a multiple of 8. */
	if (r->section.bytes > left || ((r->section.bytes + 7) & ~7ull) > left)
		return bad(r, "%llu bytes go past the end", (unsigned long long)r->section.bytes);
	r->body = r->data + r->at + sizeof(r->section);
	return 0;
}

/* What sections say of each other. */
static int check_whole(struct reader *r)
{
	struct dump *dump = r->dump;
	const struct dump_queue *queue;

	if (r->at != r->bytes) {
		snprintf(r->error, DUMP_ERROR_BYTES, "%zu bytes behind the last section",
			 r->bytes - r->at);
		return -EINVAL;
	}
	if (!dump->has_device || !dump->has_reason) {
		snprintf(r->error, DUMP_ERROR_BYTES, "there is no section that says %s",
			 dump->has_device ? "why" : "what the device is");
		return -EINVAL;
	}
	queue = dump_find_queue(dump, dump->reason.queue);
	if (dump->reason.queue != NIB_DUMP_NONE && !queue &&
	    !(dump->header.flags & NIB_DUMP_INCOMPLETE)) {
		snprintf(r->error, DUMP_ERROR_BYTES, "the guilty queue %u is not there",
			 dump->reason.queue);
		return -EINVAL;
	}
	return 0;
}

int dump_parse(const void *data, size_t bytes, struct dump **out, char *error)
{
	struct reader r = { .data = data, .bytes = bytes, .error = error };
	int err;

	error[0] = 0;
	r.dump = calloc(1, sizeof(*r.dump));
	if (!r.dump)
		return no_memory(&r);
	err = read_header(&r);
	for (r.number = 0; !err && r.number < r.dump->header.sections; r.number++) {
		err = next_section(&r);
		if (!err)
			err = read_section(&r);
		r.at += sizeof(r.section) + (size_t)((r.section.bytes + 7) & ~7ull);
	}
	if (!err)
		err = check_whole(&r);
	if (err) {
		dump_free(r.dump);
		return err;
	}
	*out = r.dump;
	return 0;
}

void dump_free(struct dump *dump)
{
	size_t i;

	if (!dump)
		return;
	for (i = 0; i < dump->n_queues; i++) {
		free(dump->queues[i].jobs);
		free(dump->queues[i].done);
	}
	free(dump->queues);
	free(dump->regs);
	free(dump->admin);
	free(dump->events);
	free(dump->mappings);
	free(dump->streams);
	free(dump->memory);
	free(dump);
}

/* --- Looking things up --- */

const struct dump_queue *dump_find_queue(const struct dump *dump, uint32_t id)
{
	size_t i;

	for (i = 0; i < dump->n_queues; i++)
		if (dump->queues[i].info.queue == id)
			return &dump->queues[i];
	return NULL;
}

const struct dump_stream *dump_find_stream(const struct dump *dump, uint32_t id)
{
	size_t i;

	for (i = 0; i < dump->n_streams; i++)
		if (dump->streams[i].id == id)
			return &dump->streams[i];
	return NULL;
}

const struct nib_dump_mapping *dump_find_mapping(const struct dump *dump, uint64_t va)
{
	size_t low = 0, high = dump->n_mappings, middle;

	while (low < high) {
		const struct nib_dump_mapping *map;

		middle = low + (high - low) / 2;
		map = &dump->mappings[middle];
		if (va < map->va)
			high = middle;
		else if (va - map->va >= map->bytes)
			low = middle + 1;
		else
			return map;
	}
	return NULL;
}

bool dump_read(const struct dump *dump, uint64_t va, void *out, size_t bytes)
{
	size_t i;

	for (i = 0; i < dump->n_memory; i++) {
		const struct dump_memory *memory = &dump->memory[i];

		if (va < memory->va || va - memory->va >= memory->bytes ||
		    bytes > memory->bytes - (va - memory->va))
			continue;
		memcpy(out, memory->data + (va - memory->va), bytes);
		return true;
	}
	return false;
}

const struct nib_dump_job *dump_guilty_job(const struct dump *dump)
{
	const struct dump_queue *queue = dump_find_queue(dump, dump->reason.queue);
	size_t i;

	for (i = 0; queue && i < queue->n_jobs; i++)
		if (queue->jobs[i].number == dump->reason.job)
			return &queue->jobs[i];
	return NULL;
}

/* --- Names --- */

#define NAME_OF(names, i, other)						\
	((i) < sizeof(names) / sizeof((names)[0]) && (names)[i] ? (names)[i] : (other))

const char *dump_status_name(uint32_t status)
{
	static const char *const names[] = {
		[NIB_DONE_NONE] = "not done", [NIB_DONE_OK] = "done",
		[NIB_DONE_CANCELLED] = "hang", [NIB_DONE_RESET] = "engine reset",
		[NIB_DONE_FAULT_READ] = "read fault", [NIB_DONE_FAULT_WRITE] = "write fault",
		[NIB_DONE_FAULT_ALIGN] = "alignment fault",
		[NIB_DONE_FAULT_INDEX] = "index out of its table",
		[NIB_DONE_FAULT_VALUE] = "value out of range",
		[NIB_DONE_FAULT_STREAM] = "bad stream",
		[NIB_DONE_FAULT_ECC] = "uncorrectable memory error",
	};

	return NAME_OF(names, status, "unknown status");
}

const char *dump_memory_name(uint32_t mem)
{
	static const char *const names[] = { "HBM", "SRAM", "host" };

	return NAME_OF(names, mem, "?");
}

const char *dump_contents_name(uint32_t contents)
{
	static const char *const names[] = {
		[NIB_DUMP_NOT_ASKED] = "-", [NIB_DUMP_HELD] = "held", [NIB_DUMP_PARTLY] = "in part",
		[NIB_DUMP_UNREACHABLE] = "not seen by the CPU",
	};

	return NAME_OF(names, contents, "?");
}
