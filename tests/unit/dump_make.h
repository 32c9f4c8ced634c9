/* SPDX-License-Identifier: MIT */
/*
 * Core dumps put together by hand: what the driver would write, for tests and seeds that have no
 * driver. Written from uapi/nib_dump.h. Trouble of its own aborts.
 */
#ifndef DUMP_MAKE_H
#define DUMP_MAKE_H

#include <stddef.h>
#include <stdint.h>

#include "nib_dump.h"

/* A dump that grows; 8-byte aligned. */
struct dump_make {
	uint8_t *data;
	size_t bytes;
	uint32_t sections;
};

void dump_make_begin(struct dump_make *m);
/* A section of one struct or an array of them, then more bytes. Returns where its head lies. */
size_t dump_make_section(struct dump_make *m, uint32_t type, uint32_t id, uint32_t size,
			 const void *structs, size_t bytes, const void *more, size_t more_bytes);
/* Makes the header right. */
void dump_make_end(struct dump_make *m);
void dump_make_free(struct dump_make *m);

/* A device as chip "small" is. */
struct nib_dump_device dump_make_device(void);

/*
 * A whole dump: in queue 3, job 5 runs stream 2, of NOP, FILL and END, whose FILL goes to its
 * argument 0. The fault is at @va, where nothing is mapped; 64 KiB at DUMP_MAKE_VA are, with
 * contents. It has a section of each type.
 */
#define DUMP_MAKE_VA	0x100000ull
void dump_make_sample(struct dump_make *m, uint64_t va);

#endif
