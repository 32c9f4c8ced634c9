// SPDX-License-Identifier: MIT
/*
 * Disassembly of program files: finds the streams and names in a file that is not trusted, and lets
 * libaccel's accel_disassemble() print the packets.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ac.h"
#include "accel_stream.h"

struct file {
	const char *path;
	const uint8_t *data;
	uint64_t bytes;
	char *error;
	size_t error_bytes;
	void (*emit)(void *user, const char *line);
	void *user;
};

__attribute__((format(printf, 3, 4)))
static int fail(const struct file *f, int err, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (f->error_bytes)
		snprintf(f->error, f->error_bytes, "%s: %s", f->path, text);
	return -err;
}

/* Names of one stream's packets, by packet; NULL without memory. */
static const char **packet_names(const struct nib_program_name *names, uint64_t n, uint32_t stream,
				 uint64_t packets)
{
	const char **by_packet = calloc(packets + 1, sizeof(*by_packet));
	uint64_t i;

	for (i = 0; by_packet && i < n; i++)
		if (names[i].stream == stream && names[i].packet < packets &&
		    memchr(names[i].name, 0, sizeof(names[i].name)))
			by_packet[names[i].packet] = names[i].name;
	return by_packet;
}

static int print_packets(const struct file *f, const struct nib_program_section *s,
			 const char **names)
{
	const uint64_t *w = (const uint64_t *)(const void *)(f->data + s->offset);
	uint64_t total = s->bytes / 8, at = 0;
	char text[4096], line[4200];
	uint32_t packet = 0;
	int words;

	snprintf(line, sizeof(line), "stream %u: %llu bytes", s->id, (unsigned long long)s->bytes);
	f->emit(f->user, line);
	while (at < total) {
		words = accel_disassemble(w + at, (uint32_t)(total - at), text, sizeof(text));
		if (words <= 0)
			return fail(f, EINVAL, "stream %u: no packet at word %llu", s->id,
				    (unsigned long long)at);
		snprintf(line, sizeof(line), "%5u %-24s %s", packet,
			 names[packet] ? names[packet] : "", text);
		ac_clean(line);
		f->emit(f->user, line);
		at += (uint64_t)words;
		packet++;
	}
	return 0;
}

static int print_stream(const struct file *f, const struct nib_program_section *s,
			const struct nib_program_name *names, uint64_t n_names)
{
	const char **by_packet;
	int err;

	if (s->bytes > NIB_MAX_STREAM_BYTES || s->bytes % 8)
		return fail(f, EINVAL, "stream %u: %llu bytes", s->id, (unsigned long long)s->bytes);
	by_packet = packet_names(names, n_names, s->id, s->bytes / 8);
	if (!by_packet)
		return fail(f, ENOMEM, "out of memory");
	err = print_packets(f, s, by_packet);
	free(by_packet);
	return err;
}

static int print_file(const struct file *f)
{
	const struct nib_program_header *h = (const void *)f->data;
	const struct nib_program_section *s = (const void *)(h + 1);
	const struct nib_program_name *names = NULL;
	uint64_t n_names = 0;
	uint32_t i;
	int err = 0;

	if (f->bytes < sizeof(*h) || h->magic != NIB_PROGRAM_MAGIC)
		return fail(f, EINVAL, "not a program file");
	if (h->major != NIB_PROGRAM_MAJOR)
		return fail(f, EINVAL, "version %u.%u is not supported (%u is)", h->major, h->minor,
			    NIB_PROGRAM_MAJOR);
	if (h->sections > NIB_PROGRAM_MAX_SECTIONS ||
	    sizeof(*h) + h->sections * sizeof(*s) > f->bytes)
		return fail(f, EINVAL, "%u sections do not fit the file", h->sections);
	if (h->file_bytes != f->bytes)
		return fail(f, EINVAL, "the file has %llu bytes, its header says %llu",
			    (unsigned long long)f->bytes, (unsigned long long)h->file_bytes);
	if (nib_hash(s, h->sections * sizeof(*s)) != h->sections_hash)
		return fail(f, EINVAL, "the section records do not match their hash: damaged");
	for (i = 0; i < h->sections; i++) {
		if (s[i].offset % NIB_PROGRAM_ALIGN || s[i].offset > f->bytes ||
		    s[i].bytes > f->bytes - s[i].offset)
			return fail(f, EINVAL, "section %u lies outside the file", i);
		if ((s[i].type == NIB_SECTION_NAMES || s[i].type == NIB_SECTION_STREAM) &&
		    nib_hash(f->data + s[i].offset, s[i].bytes) != s[i].hash)
			return fail(f, EINVAL, "section %u does not match its hash: damaged", i);
		if (s[i].type == NIB_SECTION_NAMES) {
			names = (const void *)(f->data + s[i].offset);
			n_names = s[i].bytes / sizeof(*names);
		}
	}
	for (i = 0; i < h->sections && !err; i++)
		if (s[i].type == NIB_SECTION_STREAM)
			err = print_stream(f, &s[i], names, n_names);
	return err;
}

int accel_program_disassemble(const char *path, void (*emit)(void *user, const char *line),
			      void *user, char *error, size_t error_bytes)
{
	struct file f = {
		.path = path,
		.error = error,
		.error_bytes = error_bytes,
		.emit = emit,
		.user = user,
	};
	struct stat st;
	void *map;
	int err, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail(&f, errno, "%s", strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) ||
	    st.st_size < (off_t)sizeof(struct nib_program_header)) {
		close(fd);
		return fail(&f, EINVAL, "not a program file");
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	err = errno;
	close(fd);
	if (map == MAP_FAILED)
		return fail(&f, err, "cannot map: %s", strerror(err));
	f.data = map;
	f.bytes = (uint64_t)st.st_size;
	err = print_file(&f);
	munmap(map, (size_t)st.st_size);
	return err;
}
