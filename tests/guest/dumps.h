/* SPDX-License-Identifier: MIT */
/*
 * Core dumps as tests see them: finding, reading, dropping, and walking their sections.
 */
#ifndef DUMPS_H
#define DUMPS_H

#include <dirent.h>

#include "guest.h"
#include "nib_dump.h"

#define DUMPS_CLASS	"/sys/class/devcoredump"
#define DUMPS_WAIT_MS	20000

/* A dump in memory. */
struct dump {
	uint8_t *data;
	size_t bytes;
};

/* Puts the path of a dump's file in @path; false if there is no dump. */
static UNUSED bool dump_find(char *path, size_t size)
{
	DIR *dir = opendir(DUMPS_CLASS);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "devcd", 5))
			continue;
		snprintf(path, size, "%s/%s/data", DUMPS_CLASS, entry->d_name);
		/* The file comes a moment after the directory. */
		found = !access(path, F_OK);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Waits until there is a dump, or none. */
static UNUSED bool dump_await(bool want, char *path, size_t size)
{
	int tries;

	for (tries = 0; tries < DUMPS_WAIT_MS / 20; tries++) {
		if (dump_find(path, size) == want)
			return true;
		usleep(20000);
	}
	return false;
}

/* Drops whatever dumps earlier tests have left. */
static UNUSED void dump_drop(void)
{
	char path[300];

	while (dump_find(path, sizeof(path))) {
		write_file(path, "0");
		usleep(20000);
	}
	/* It is gone from sight a moment before there can be another one. */
	usleep(20000);
}

/* Reads a file in pieces of @piece bytes. */
static UNUSED struct dump dump_read(const char *path, size_t piece)
{
	struct dump dump = { 0 };
	size_t room = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		FAIL("%s: %s", path, strerror(errno));
	do {
		if (room - dump.bytes < piece) {
			room = room * 2 + piece;
			dump.data = realloc(dump.data, room);
			CHECK(dump.data);
		}
		n = read(fd, dump.data + dump.bytes, piece);
		CHECK(n >= 0);
		dump.bytes += (size_t)n;
	} while (n);
	close(fd);
	return dump;
}

/* The dump that there must be. */
static UNUSED struct dump dump_take(void)
{
	char path[300];

	if (access(DUMPS_CLASS, F_OK))
		SKIP("this kernel has no devcoredump");
	if (!dump_await(true, path, sizeof(path)))
		FAIL("no core dump in %d ms", DUMPS_WAIT_MS);
	return dump_read(path, 4096);
}

/* The section behind @from, or the first one, of a type; NULL if there is none. */
static UNUSED const struct nib_dump_section *dump_next(const struct dump *dump,
						       const struct nib_dump_section *from,
						       uint32_t type)
{
	size_t at = sizeof(struct nib_dump_header);
	const struct nib_dump_section *section;

	if (from)
		at = (size_t)((const uint8_t *)(from + 1) - dump->data) + (from->bytes + 7) / 8 * 8;
	while (at < dump->bytes) {
		section = (const void *)(dump->data + at);
		CHECK(sizeof(*section) <= dump->bytes - at);
		at += sizeof(*section);
		CHECK(section->bytes <= dump->bytes - at);
		at += (section->bytes + 7) / 8 * 8;
		if (section->type == type)
			return section;
	}
	CHECK(at == dump->bytes);
	return NULL;
}

static UNUSED const struct nib_dump_section *dump_section(const struct dump *dump, uint32_t type)
{
	const struct nib_dump_section *section = dump_next(dump, NULL, type);

	if (!section)
		FAIL("no section of type %u", type);
	return section;
}

static UNUSED void dump_check_header(const struct dump *dump)
{
	const struct nib_dump_header *header = (const void *)dump->data;
	const struct nib_dump_section *section;
	uint32_t type, count = 0;

	CHECK(dump->bytes >= sizeof(*header));
	EQUAL(header->magic, NIB_DUMP_MAGIC);
	EQUAL(header->major, NIB_DUMP_MAJOR);
	EQUAL(header->bytes, dump->bytes);
	CHECK(header->time_ns > 0);
	for (type = NIB_DUMP_TEXT; type <= NIB_DUMP_MEMORY; type++)
		for (section = NULL; (section = dump_next(dump, section, type));)
			count++;
	EQUAL(header->sections, count);
}

/* Leaves the dump for those outside, who replay it, if they want it. */
static UNUSED void dump_save(const struct dump *dump, const char *name)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/share/%s.nibdump", name);
	f = fopen(path, "w");
	CHECK(f && fwrite(dump->data, 1, dump->bytes, f) == dump->bytes && !fclose(f));
}

static UNUSED uint64_t dump_count(const struct dump *dump, const char *pattern)
{
	const uint8_t *at = dump->data, *end = at + dump->bytes;
	size_t n = strlen(pattern);
	uint64_t count = 0;

	while ((at = memmem(at, (size_t)(end - at), pattern, n))) {
		at += n;
		count++;
	}
	return count;
}

#endif
