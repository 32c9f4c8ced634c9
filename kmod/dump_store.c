// SPDX-License-Identifier: GPL-2.0
/*
 * Keeping core dumps. They are written where fences are signalled, so that their pages come from
 * GFP_NOWAIT; some are kept for good, so that the most important part is there when memory is
 * short. devcoredump, which allocates as it likes, gets a dump from a work item that no fence waits
 * for.
 */
#include <linux/devcoredump.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"
#include "dump_store.h"

/* Pages that are never given back: the device, its queues, their jobs, and a stream. */
#define NIB_DUMP_RESERVE	(256u << 10 >> PAGE_SHIFT)

static unsigned int nib_dump_mib = 16;
module_param_named(dump_mib, nib_dump_mib, uint, 0644);
MODULE_PARM_DESC(dump_mib, "Largest core dump in MiB (0: none are taken, at most 128)");

/* --- Pages --- */

static void **nib_dump_slot(struct nib_dump *dump, size_t page, gfp_t gfp)
{
	void ***table = &dump->tables[page / NIB_DUMP_TABLE_PAGES];

	if (!*table)
		*table = (void **)get_zeroed_page(gfp);
	return *table ? &(*table)[page % NIB_DUMP_TABLE_PAGES] : NULL;
}

/* The page that holds byte @at; made if it is missing. NULL if it cannot be. */
static void *nib_dump_page(struct nib_dump *dump, size_t at, gfp_t gfp)
{
	void **slot = nib_dump_slot(dump, at >> PAGE_SHIFT, gfp);

	if (!slot)
		return NULL;
	if (!*slot)
		*slot = (void *)__get_free_page(gfp);
	return *slot;
}

/* Gives pages back, but for the first @keep, which are in the first table. */
static void nib_dump_free_pages(struct nib_dump *dump, size_t keep)
{
	size_t i, k;

	for (i = 0; i < NIB_DUMP_TABLES && dump->tables[i]; i++) {
		void **table = dump->tables[i];

		for (k = i ? 0 : keep; k < NIB_DUMP_TABLE_PAGES; k++) {
			free_page((unsigned long)table[k]);
			table[k] = NULL;
		}
		if (i || !keep) {
			free_page((unsigned long)table);
			dump->tables[i] = NULL;
		}
	}
}

/**
 * nib_dump_create - make room for a core dump. Paired with nib_dump_put().
 *
 * Returns it, or NULL without memory.
 */
struct nib_dump *nib_dump_create(void)
{
	struct nib_dump *dump = kvzalloc(sizeof(*dump), GFP_KERNEL);
	size_t i;

	BUILD_BUG_ON(NIB_DUMP_RESERVE > NIB_DUMP_TABLE_PAGES);
	if (!dump)
		return NULL;
	kref_init(&dump->ref);
	for (i = 0; i < NIB_DUMP_RESERVE; i++) {
		if (!nib_dump_page(dump, i << PAGE_SHIFT, GFP_KERNEL)) {
			nib_dump_put(dump);
			return NULL;
		}
	}
	return dump;
}

static void nib_dump_release(struct kref *ref)
{
	struct nib_dump *dump = container_of(ref, struct nib_dump, ref);

	nib_dump_free_pages(dump, 0);
	kvfree(dump);
}

void nib_dump_put(struct nib_dump *dump)
{
	kref_put(&dump->ref, nib_dump_release);
}

/* --- devcoredump --- */

static ssize_t nib_dump_read(char *buffer, loff_t offset, size_t count, void *data, size_t bytes)
{
	struct nib_dump *dump = data;
	size_t done = 0, at, n;

	if (offset < 0 || offset >= bytes)
		return 0;
	count = min_t(size_t, count, bytes - offset);
	while (done < count) {
		at = offset + done;
		n = min_t(size_t, count - done, PAGE_SIZE - offset_in_page(at));
		/* Written, so it is there. */
		memcpy(buffer + done, nib_dump_page(dump, at, GFP_KERNEL) + offset_in_page(at), n);
		done += n;
	}
	return count;
}

/* It was read, or nobody wants it: there can be another one. */
static void nib_dump_free(void *data)
{
	struct nib_dump *dump = data;

	nib_dump_free_pages(dump, NIB_DUMP_RESERVE);
	atomic_set_release(&dump->busy, 0);
	nib_dump_put(dump);
}

static void nib_dump_publish_work(struct work_struct *work)
{
	struct nib_dump *dump = container_of(work, struct nib_dump, publish_work);
	struct device *dev = dump->dev;

	dump->dev = NULL;
	dev_info(dev, "core dump of %zu bytes in devcoredump/data\n", dump->bytes);
	/* Calls nib_dump_free() at once if it cannot keep it. */
	dev_coredumpm(dev, THIS_MODULE, dump, dump->bytes, GFP_KERNEL, nib_dump_read,
		      nib_dump_free);
	put_device(dev);
}

/**
 * nib_dump_begin - start writing. Paired with nib_dump_end().
 * @dump: dump.
 * @dev: device that it is of.
 *
 * Returns false if dumps are switched off, or one waits to be read.
 */
bool nib_dump_begin(struct nib_dump *dump, struct device *dev)
{
	const struct nib_dump_header empty = {};
	size_t limit = min_t(size_t, READ_ONCE(nib_dump_mib), NIB_DUMP_MAX_BYTES >> 20) << 20;

	if (!limit || atomic_cmpxchg_acquire(&dump->busy, 0, 1))
		return false;
	dump->dev = get_device(dev);
	dump->bytes = 0;
	dump->limit = limit;
	dump->full = false;
	dump->sections = 0;
	dump->flags = 0;
	dump->buffers = 0;
	dump->serial++;
	bitmap_zero(dump->streams, NIB_MAX_STREAMS);
	nib_dump_write(dump, &empty, sizeof(empty));
	return true;
}

/* Writes the head, and lets others have it. */
void nib_dump_end(struct nib_dump *dump)
{
	const struct nib_dump_header header = {
		.magic = NIB_DUMP_MAGIC,
		.major = NIB_DUMP_MAJOR,
		.minor = NIB_DUMP_MINOR,
		.bytes = dump->bytes,
		.time_ns = ktime_get_real_ns(),
		.sections = dump->sections,
		.flags = dump->flags,
	};

	nib_dump_patch(dump, 0, &header, sizeof(header));
	kref_get(&dump->ref);
	INIT_WORK(&dump->publish_work, nib_dump_publish_work);
	queue_work(nib_cleanup_wq, &dump->publish_work);
}

/* --- Writing --- */

/* Room behind what was written, at most to the end of a page; NULL if there is none. */
static void *nib_dump_room(struct nib_dump *dump, size_t *bytes)
{
	size_t offset = offset_in_page(dump->bytes);
	void *page;

	*bytes = min(*bytes, PAGE_SIZE - offset);
	if (dump->full || *bytes > dump->limit - dump->bytes) {
		dump->full = true;
		return NULL;
	}
	page = nib_dump_page(dump, dump->bytes, GFP_NOWAIT | __GFP_NOWARN);
	if (!page) {
		dump->full = true;
		return NULL;
	}
	return page + offset;
}

/* Appends; zeros if @data is NULL. */
void nib_dump_write(struct nib_dump *dump, const void *data, size_t bytes)
{
	size_t done = 0, n;
	void *to;

	for (; done < bytes; done += n) {
		n = bytes - done;
		to = nib_dump_room(dump, &n);
		if (!to)
			return;
		if (data)
			memcpy(to, data + done, n);
		else
			memset(to, 0, n);
		dump->bytes += n;
	}
}

/* Appends what is behind a BAR. */
void nib_dump_write_io(struct nib_dump *dump, const void __iomem *from, size_t bytes)
{
	size_t done = 0, n;
	void *to;

	for (; done < bytes; done += n) {
		n = bytes - done;
		to = nib_dump_room(dump, &n);
		if (!to)
			return;
		memcpy_fromio(to, from + done, n);
		dump->bytes += n;
	}
}

/* Overwrites something that was written. */
void nib_dump_patch(struct nib_dump *dump, size_t at, const void *data, size_t bytes)
{
	size_t done = 0, n;

	for (; done < bytes; done += n) {
		n = min(bytes - done, PAGE_SIZE - offset_in_page(at + done));
		memcpy(nib_dump_page(dump, at + done, GFP_NOWAIT) + offset_in_page(at + done),
		       data + done, n);
	}
}

/* Reads back something that was written. */
void nib_dump_peek(struct nib_dump *dump, size_t at, void *data, size_t bytes)
{
	size_t done = 0, n;

	for (; done < bytes; done += n) {
		n = min(bytes - done, PAGE_SIZE - offset_in_page(at + done));
		memcpy(data + done,
		       nib_dump_page(dump, at + done, GFP_NOWAIT) + offset_in_page(at + done), n);
	}
}

/**
 * nib_dump_open - start a section. Paired with nib_dump_close().
 * @dump: dump.
 * @type: enum nib_dump_type.
 * @id: see there.
 * @size: of the structs in it.
 */
struct nib_dump_section_mark nib_dump_open(struct nib_dump *dump, u32 type, u32 id, u32 size)
{
	const struct nib_dump_section head = { .type = type, .id = id, .size = size };
	struct nib_dump_section_mark section = { .start = dump->bytes };

	nib_dump_write(dump, &head, sizeof(head));
	section.data = dump->bytes;
	return section;
}

/**
 * nib_dump_close - end a section.
 * @dump: dump.
 * @section: what nib_dump_open() returned.
 *
 * Returns false if it did not fit, and is left out.
 */
bool nib_dump_close(struct nib_dump *dump, struct nib_dump_section_mark section)
{
	u64 bytes = dump->bytes - section.data;

	nib_dump_write(dump, NULL, -dump->bytes & 7);
	if (dump->full || dump->sections == NIB_DUMP_MAX_SECTIONS) {
		dump->bytes = section.start;
		dump->flags |= NIB_DUMP_INCOMPLETE;
		/* Something smaller may fit. */
		dump->full = false;
		return false;
	}
	nib_dump_patch(dump, section.start + offsetof(struct nib_dump_section, bytes), &bytes,
		       sizeof(bytes));
	dump->sections++;
	return true;
}

/* A section that is one struct. Returns false if it did not fit. */
bool nib_dump_section(struct nib_dump *dump, u32 type, u32 id, const void *data, size_t size)
{
	struct nib_dump_section_mark section = nib_dump_open(dump, type, id, size);

	nib_dump_write(dump, data, size);
	return nib_dump_close(dump, section);
}
