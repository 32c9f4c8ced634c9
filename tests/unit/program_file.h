/* SPDX-License-Identifier: MIT */
/*
 * A program file made by hand, with a section of every kind, for those who test or fuzz its reader.
 * Nothing in it is big; nothing runs.
 */
#ifndef PROGRAM_FILE_H
#define PROGRAM_FILE_H

#include <stddef.h>
#include <stdint.h>
#include "nib_program.h"

enum {
	FILE_MODEL,
	FILE_WEIGHTS,
	FILE_STREAM,
	FILE_BINDINGS,
	FILE_TOKENIZER,
	FILE_NAMES,
	FILE_INFO,
	FILE_SECTIONS,
	FILE_BYTES = (1 + FILE_SECTIONS) * NIB_PROGRAM_ALIGN,
};

/* FILE_BYTES of it, 4096-aligned: free() it. Section i has its records at index i. */
uint8_t *program_file(void);

struct nib_program_section *program_file_section(uint8_t *file, uint32_t i);

/*
 * Makes all hashes right that lie in @bytes, and the header's own numbers plausible, so that what
 * was changed meets the checks behind them.
 */
void program_file_rehash(uint8_t *file, size_t bytes);

#endif
