/* SPDX-License-Identifier: MIT */
/*
 * Core dumps of devices, read: uapi/nib_dump.h as arrays that can be relied upon. A dump is a file
 * that anyone may have made, so that every length, number and address in it is checked first.
 */
#ifndef REPLAY_DUMP_H
#define REPLAY_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nib_dump.h"
#include "nib_isa.h"

#define DUMP_ERROR_BYTES	160

/**
 * struct dump_stream - a stream. It was not validated: the device does that.
 * @words: packets, @bytes / 8 of them, in the dump's data.
 */
struct dump_stream {
	uint32_t id;
	uint32_t nargs;
	uint32_t bytes;
	const uint64_t *words;
};

/**
 * struct dump_memory - contents of a part of one mapping.
 * @data: @bytes of them, in the dump's data.
 */
struct dump_memory {
	uint64_t va;
	uint64_t bytes;
	const uint8_t *data;
};

/**
 * struct dump_queue - a queue.
 * @jobs: those in flight, by number; all within its head and tail.
 * @done: recent completions, oldest first.
 */
struct dump_queue {
	struct nib_dump_queue info;
	struct nib_dump_job *jobs;
	size_t n_jobs;
	struct nib_completion *done;
	size_t n_done;
};

/**
 * struct dump - a dump.
 * @text: for people, @text_bytes of it, not zero-terminated.
 * @has_reason: @reason is there; its queue is, or is NIB_DUMP_NONE.
 * @mappings: ascending, without overlaps. Equal buffer numbers are below @n_mappings.
 */
struct dump {
	struct nib_dump_header header;
	struct nib_dump_device device;
	struct nib_dump_reason reason;
	struct nib_dump_firmware firmware;
	bool has_device;
	bool has_reason;
	bool has_firmware;
	const char *text;
	size_t text_bytes;
	struct nib_dump_register *regs;
	size_t n_regs;
	struct nib_admin_msg *admin;
	size_t n_admin;
	struct nib_event *events;
	size_t n_events;
	struct dump_queue *queues;
	size_t n_queues;
	struct nib_dump_mapping *mappings;
	size_t n_mappings;
	struct dump_stream *streams;
	size_t n_streams;
	struct dump_memory *memory;
	size_t n_memory;
	size_t skipped;		/* sections of unknown types */
};

/**
 * dump_parse - read a dump.
 * @data: 8-byte aligned; to be kept as long as the dump.
 * @error: receives a line that names the section and what is wrong with it; DUMP_ERROR_BYTES.
 *
 * Returns 0; -EINVAL: this is no dump, or a damaged one; -EPROTONOSUPPORT: of a newer format;
 * -ENOMEM.
 */
int dump_parse(const void *data, size_t bytes, struct dump **out, char *error);
void dump_free(struct dump *dump);

const struct dump_queue *dump_find_queue(const struct dump *dump, uint32_t id);
const struct dump_stream *dump_find_stream(const struct dump *dump, uint32_t id);
/* The mapping that holds an address, or NULL. */
const struct nib_dump_mapping *dump_find_mapping(const struct dump *dump, uint64_t va);
/* Contents at an address; false if the dump does not hold all of them. */
bool dump_read(const struct dump *dump, uint64_t va, void *out, size_t bytes);
/* The guilty job, or NULL. */
const struct nib_dump_job *dump_guilty_job(const struct dump *dump);

/* Names of numbers, for people; never NULL. */
const char *dump_status_name(uint32_t status);
const char *dump_memory_name(uint32_t mem);
const char *dump_contents_name(uint32_t contents);

#endif
