// SPDX-License-Identifier: MIT
/* See packet.h. */
#include <string.h>

#include "accel_stream.h"
#include "packet.h"

#define TEXT_BYTES	4096

static uint32_t length(const struct dump_stream *stream, uint32_t at)
{
	uint32_t words = stream->words[at] >> 16 & 0xffff, left = stream->bytes / 8 - at;

	return words && words <= left ? words : left;
}

uint32_t packet_find(const struct dump_stream *stream, uint32_t number)
{
	uint32_t at = 0, end = stream->bytes / 8;

	while (number-- && at < end)
		at += length(stream, at);
	return at;
}

uint32_t packet_resolve(const struct dump_stream *stream, uint32_t number, const __u64 *args,
			uint32_t nargs, uint64_t *w)
{
	uint32_t at = packet_find(stream, number), words, mask, i;

	if (at >= stream->bytes / 8)
		return 0;
	words = length(stream, at);
	if (words > NIB_MAX_PKT_WORDS)
		return 0;
	memcpy(w, stream->words + at, words * sizeof(*w));
	memset(w + words, 0, (NIB_MAX_PKT_WORDS - words) * sizeof(*w));
	mask = (uint32_t)(w[0] >> 32);
	w[0] &= 0xffffffffull;
	for (i = 1; i <= 32 && i < words; i++) {
		if (!(mask >> (i - 1) & 1))
			continue;
		if (NIB_ARG_INDEX(w[i]) >= nargs)
			return 0;
		w[i] = args[NIB_ARG_INDEX(w[i])] + (uint64_t)NIB_ARG_ADDEND(w[i]);
	}
	return words;
}

static void print_one(FILE *f, const uint64_t *w, uint32_t avail)
{
	char text[TEXT_BYTES];

	if (accel_disassemble(w, avail, text, sizeof(text)) > 0)
		fprintf(f, "%s\n", text);
	else
		fprintf(f, "not a packet: first word %#018llx\n", (unsigned long long)w[0]);
}

void packet_print(FILE *f, const struct dump_stream *stream, const struct nib_dump_job *job,
		  uint32_t number, uint32_t around)
{
	uint32_t i = number > around ? number - around : 0, end = stream->bytes / 8, at, words;
	uint64_t w[NIB_MAX_PKT_WORDS];

	for (at = packet_find(stream, i); at < end && i <= (uint64_t)number + around; i++) {
		fprintf(f, "%c %6u 0x%06x  ", i == number ? '>' : ' ', i, at * 8);
		print_one(f, stream->words + at, end - at);
		if (i == number && job && stream->words[at] >> 32) {
			words = packet_resolve(stream, i, job->args, job->entry.nargs, w);
			fprintf(f, "                   ");
			if (words)
				print_one(f, w, words);
			else
				fprintf(f, "an argument that the job does not have\n");
		}
		at += length(stream, at);
	}
}
