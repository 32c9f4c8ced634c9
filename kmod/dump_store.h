/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a core dump is kept while it is written and until it was read: pages of its own, got
 * without waiting. What it says is dump.c's and dump_vm.c's business.
 *
 * Writing cannot fail half way: what does not fit is left out by whole sections, and the dump says
 * so.
 */
#ifndef NIB_DUMP_STORE_H
#define NIB_DUMP_STORE_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "nib_dump.h"

struct device;
struct nib_device;

/* Pages of a dump: a table of tables. */
#define NIB_DUMP_TABLES		64u
#define NIB_DUMP_TABLE_PAGES	(PAGE_SIZE / sizeof(void *))
#define NIB_DUMP_MAX_BYTES	min(128ul << 20, NIB_DUMP_TABLES * NIB_DUMP_TABLE_PAGES * PAGE_SIZE)

/**
 * struct nib_dump_section_mark - a section that is being written.
 * @start: where its head is.
 * @data: where what follows the head starts.
 */
struct nib_dump_section_mark {
	size_t start;
	size_t data;
};

/**
 * struct nib_dump - the core dump of a device; there is one at a time.
 *
 * Life: made with the device. Whoever changes @busy from 0 writes it, alone; devcoredump has it
 * from when it is published until it was read or nobody has for five minutes; then it is free
 * again, with the pages of its reserve. The device and devcoredump hold references.
 *
 * @ref: see above.
 * @busy: it is being written, or waits to be read.
 * @dev: device that it is of. Holds a reference from the start of writing until published.
 * @publish_work: hands it to devcoredump, which allocates.
 * @bytes: written so far.
 * @limit: what @bytes may become.
 * @full: what is being written does not fit.
 * @sections: written.
 * @flags: NIB_DUMP_INCOMPLETE.
 * @buffers: buffers met so far; see nib_dump_number_bo().
 * @serial: tells this dump from earlier ones.
 * @streams: those that are in the dump, by id.
 * @tables: of pointers to pages; allocated from the start, without holes.
 * @scratch: for structs that are large for a stack.
 */
struct nib_dump {
	struct kref ref;
	atomic_t busy;
	struct device *dev;
	struct work_struct publish_work;
	size_t bytes;
	size_t limit;
	bool full;
	u32 sections;
	u32 flags;
	u32 buffers;
	u32 serial;
	DECLARE_BITMAP(streams, NIB_MAX_STREAMS);
	void **tables[NIB_DUMP_TABLES];
	struct nib_dump_job scratch;
};

struct nib_dump *nib_dump_create(void);
void nib_dump_put(struct nib_dump *dump);

bool nib_dump_begin(struct nib_dump *dump, struct device *dev);
void nib_dump_end(struct nib_dump *dump);

struct nib_dump_section_mark nib_dump_open(struct nib_dump *dump, u32 type, u32 id, u32 size);
bool nib_dump_close(struct nib_dump *dump, struct nib_dump_section_mark section);
void nib_dump_write(struct nib_dump *dump, const void *data, size_t bytes);
void nib_dump_write_io(struct nib_dump *dump, const void __iomem *from, size_t bytes);
void nib_dump_patch(struct nib_dump *dump, size_t at, const void *data, size_t bytes);
void nib_dump_peek(struct nib_dump *dump, size_t at, void *data, size_t bytes);
bool nib_dump_section(struct nib_dump *dump, u32 type, u32 id, const void *data, size_t size);

#endif
