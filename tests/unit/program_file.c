// SPDX-License-Identifier: MIT
/* See program_file.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nib_isa.h"
#include "packets.h"
#include "program_file.h"

struct nib_program_section *program_file_section(uint8_t *file, uint32_t i)
{
	return (struct nib_program_section *)(void *)(file + sizeof(struct nib_program_header)) + i;
}

void program_file_rehash(uint8_t *file, size_t bytes)
{
	struct nib_program_header *h = (void *)file;
	struct nib_program_section *s = program_file_section(file, 0);
	size_t room = (bytes - sizeof(*h)) / sizeof(*s), i;

	if (bytes < sizeof(*h))
		return;
	for (i = 0; i < h->sections && i < room; i++)
		if (s[i].offset <= bytes && s[i].bytes <= bytes - s[i].offset &&
		    s[i].type != NIB_SECTION_WEIGHTS)
			s[i].hash = nib_hash(file + s[i].offset, s[i].bytes);
	if (h->sections <= room)
		h->sections_hash = nib_hash(s, h->sections * sizeof(*s));
}

static const struct nib_program_model model = {
	.arch = "llama", .name = "by hand", .vocab = 100, .dim = 64, .layers = 2, .heads = 4,
	.kv_heads = 2, .head_dim = 16, .ffn = 96, .context = 128, .max_rows = 8, .max_out_rows = 4,
	.page_tokens = 16, .k_fmt = NIB_FMT_BF16, .v_fmt = NIB_FMT_BF16,
	.weight_fmt = NIB_FMT_MXFP4, .act_fmt = NIB_FMT_MXFP8, .head_fmt = NIB_FMT_MXFP8,
	.page_bytes = 2 * 16 * 2 * 64, .scratch_bytes = 4096, .weights_bytes = 256, .params = 1000,
};

/* What the caller has written at the section's place becomes its contents. */
static void add(uint8_t *file, uint32_t i, uint32_t type, uint64_t bytes)
{
	*program_file_section(file, i) = (struct nib_program_section){
		.type = type, .offset = (uint64_t)(1 + i) * NIB_PROGRAM_ALIGN, .bytes = bytes,
	};
}

uint8_t *program_file(void)
{
	uint8_t *file = aligned_alloc(NIB_PROGRAM_ALIGN, FILE_BYTES);
	struct nib_program_header *h = (void *)file;
	struct nib_program_binding *b;
	struct nib_program_name *n;
	size_t words;
	uint32_t i;

	if (!file)
		return NULL;
	memset(file, 0, FILE_BYTES);
#define PLACE(i) ((void *)(file + (1 + (i)) * (size_t)NIB_PROGRAM_ALIGN))
	memcpy(PLACE(FILE_MODEL), &model, sizeof(model));
	add(file, FILE_MODEL, NIB_SECTION_MODEL, sizeof(model));
	memset(PLACE(FILE_WEIGHTS), 0x11, 256);
	add(file, FILE_WEIGHTS, NIB_SECTION_WEIGHTS, 256);
	words = packet_stream(PLACE(FILE_STREAM), NIB_PROGRAM_ALIGN / 8, 1);
	add(file, FILE_STREAM, NIB_SECTION_STREAM, words * 8);
	b = PLACE(FILE_BINDINGS);
	for (i = 0; i < NIB_MAX_ARGS; i++)
		b[i] = (struct nib_program_binding){ .arg = i, .bind = i % NIB_BIND_COUNT };
	add(file, FILE_BINDINGS, NIB_SECTION_BINDINGS, NIB_MAX_ARGS * sizeof(*b));
	memset(PLACE(FILE_TOKENIZER), 0x22, 64);
	add(file, FILE_TOKENIZER, NIB_SECTION_TOKENIZER, 64);
	n = PLACE(FILE_NAMES);
	for (i = 0; i <= packet_sample_count; i++) {
		n[i].packet = i;
		snprintf(n[i].name, sizeof(n[i].name), "packet.%u", i);
	}
	add(file, FILE_NAMES, NIB_SECTION_NAMES, (packet_sample_count + 1) * sizeof(*n));
	memcpy(PLACE(FILE_INFO), "made: by hand\n", 14);
	add(file, FILE_INFO, NIB_SECTION_INFO, 14);
	*h = (struct nib_program_header){
		.magic = NIB_PROGRAM_MAGIC, .major = NIB_PROGRAM_MAJOR, .minor = NIB_PROGRAM_MINOR,
		.isa = NIB_ISA_MAJOR << 16 | NIB_ISA_MINOR, .sections = FILE_SECTIONS,
		.file_bytes = FILE_BYTES, .chip = "small", .hbm_bytes = 8192,
	};
	program_file_rehash(file, FILE_BYTES);
	return file;
}
