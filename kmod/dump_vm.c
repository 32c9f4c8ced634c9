// SPDX-License-Identifier: GPL-2.0
/*
 * What a core dump says of memory: streams, the address map, and the contents of what was bound
 * DUMPABLE. Contents are what the CPU sees: host memory, and HBM in the window.
 */
#include <linux/highmem.h>
#include <linux/sizes.h>

#include "compat.h"
#include "device.h"
#include "dump.h"
#include "dump_store.h"
#include "gem.h"
#include "stream.h"
#include "vm.h"

/* Contents come in sections of this size, so that what does not fit is little. */
#define NIB_DUMP_CHUNK		SZ_64K
/* Mappings up to this size come first: tables and parameters say more than weights. */
#define NIB_DUMP_SMALL		SZ_1M

/* --- Streams --- */

/* Between drm_dev_enter() and drm_dev_exit(). */
void nib_dump_one_stream(struct nib_dump *dump, struct nib_device *ndev,
			 const struct nib_stream *stream)
{
	const struct nib_dump_stream head = {
		.stream = stream->id,
		.nargs = stream->nargs,
		.bytes = stream->bytes,
	};
	struct nib_dump_section_mark section;

	if (test_and_set_bit(stream->id, dump->streams))
		return;
	section = nib_dump_open(dump, NIB_DUMP_STREAM, stream->id, sizeof(head));
	nib_dump_write(dump, &head, sizeof(head));
	nib_dump_write_io(dump, nib_hbm_window(ndev, stream->range.offset), stream->bytes);
	nib_dump_close(dump, section);
}

/* The streams that a VM has handles of. */
void nib_dump_streams(struct nib_dump *dump, struct nib_vm *vm)
{
	struct nib_stream *stream;
	unsigned long id;

	xa_for_each(&vm->streams, id, stream) {
		/* Its handle may be going. */
		stream = nib_vm_find_stream(vm, id);
		if (stream)
			nib_dump_one_stream(dump, vm->ndev, stream);
		nib_stream_put(&stream);
	}
}

/* --- The address map --- */

/* One number for all mappings of a buffer. The writer of the dump is the only one to do this. */
static u32 nib_dump_number_bo(struct nib_dump *dump, struct nib_bo *bo)
{
	if (bo->dump_serial != dump->serial) {
		bo->dump_serial = dump->serial;
		bo->dump_number = dump->buffers++;
	}
	return bo->dump_number;
}

/* Returns how many there are, 0 if they do not fit. @at: where the first one is in the dump. */
static u32 nib_dump_mappings(struct nib_dump *dump, struct nib_vm *vm, size_t *at)
{
	struct nib_dump_section_mark section =
		nib_dump_open(dump, NIB_DUMP_MAPPINGS, 0, sizeof(struct nib_dump_mapping));
	struct drm_gpuva *va;
	u32 count = 0;

	*at = section.data;
	mutex_lock(&vm->ndev->pt_lock);
	drm_gpuvm_for_each_va(va, &vm->gpuvm) {
		struct nib_bo *bo = to_nib_bo(va->gem.obj);
		const struct nib_vma *vma = to_nib_vma(va);
		const struct nib_dump_mapping mapping = {
			.va = va->va.addr,
			.bytes = va->va.range,
			.bo = nib_dump_number_bo(dump, bo),
			.mem = nib_bo_mem(bo),
			.bo_offset = va->gem.offset,
			.flags = (vma->readonly ? NIB_DUMP_MAPPING_READONLY : 0) |
				 (vma->dumpable ? NIB_DUMP_MAPPING_DUMPABLE : 0),
		};

		nib_dump_write(dump, &mapping, sizeof(mapping));
		count++;
	}
	mutex_unlock(&vm->ndev->pt_lock);
	return nib_dump_close(dump, section) ? count : 0;
}

/* The buffer behind a mapping, if it is still there. Under nib_device.pt_lock, which keeps it. */
static struct nib_bo *nib_dump_find_bo(struct nib_dump *dump, struct nib_vm *vm,
				       const struct nib_dump_mapping *mapping)
{
	struct drm_gpuva *va = drm_gpuva_find(&vm->gpuvm, mapping->va, mapping->bytes);
	struct nib_bo *bo = va ? to_nib_bo(va->gem.obj) : NULL;

	lockdep_assert_held(&vm->ndev->pt_lock);

	if (!bo || bo->dump_serial != dump->serial || bo->dump_number != mapping->bo ||
	    va->gem.offset != mapping->bo_offset || !to_nib_vma(va)->dumpable)
		return NULL;
	return bo;
}

/* --- Contents --- */

/* Appends bytes of a buffer, up to the end of a part. Returns how many the CPU can see there. */
static u64 nib_dump_bo_bytes(struct nib_dump *dump, struct nib_device *ndev, struct nib_bo *bo,
			     u64 offset, u64 bytes)
{
	/* What moves now, or is not where the device would find it, is not there. */
	const struct nib_place *place = bo->mapped;
	const struct nib_seg *seg;
	u32 i;
	u64 at;

	if (!place->mapped)
		return 0;
	i = nib_place_find(place, offset);
	seg = &place->segs[i];
	if (seg->mem == NIB_MEM_HOST) {
		void *from;

		/* An imported one is for its exporter to look into. */
		if (!bo->pages)
			return 0;
		from = kmap_local_page(bo->pages[offset >> PAGE_SHIFT]);
		bytes = min_t(u64, bytes, PAGE_SIZE - offset_in_page(offset));
		nib_dump_write(dump, from + offset_in_page(offset), bytes);
		kunmap_local(from);
		return bytes;
	}
	bytes = min(bytes, nib_place_seg_end(place, i, bo->base.size) - offset);
	at = seg->addr + offset - seg->offset;
	if (seg->mem != NIB_MEM_HBM || at >= ndev->window_bytes)
		return 0;
	bytes = min(bytes, ndev->window_bytes - at);
	nib_dump_write_io(dump, nib_hbm_window(ndev, at), bytes);
	return bytes;
}

/* One section. Returns how much of it is in the dump. */
static u64 nib_dump_chunk(struct nib_dump *dump, struct nib_vm *vm,
			  const struct nib_dump_mapping *mapping, u64 offset, u64 bytes)
{
	struct nib_dump_memory head = { .va = mapping->va + offset };
	struct nib_dump_section_mark section =
		nib_dump_open(dump, NIB_DUMP_MEMORY, 0, sizeof(head));
	struct nib_bo *bo;
	u64 n;

	nib_dump_write(dump, &head, sizeof(head));
	mutex_lock(&vm->ndev->pt_lock);
	bo = nib_dump_find_bo(dump, vm, mapping);
	while (bo && head.bytes < bytes && !dump->full) {
		n = nib_dump_bo_bytes(dump, vm->ndev, bo,
				      mapping->bo_offset + offset + head.bytes,
				      bytes - head.bytes);
		if (!n)
			break;
		head.bytes += n;
	}
	mutex_unlock(&vm->ndev->pt_lock);
	if (!nib_dump_close(dump, section))
		return 0;
	nib_dump_patch(dump, section.data, &head, sizeof(head));
	return head.bytes;
}

/* @device: HBM can be read. */
static u32 nib_dump_range(struct nib_dump *dump, struct nib_vm *vm,
			  const struct nib_dump_mapping *mapping, bool device)
{
	u64 done = 0, want, got;

	if (mapping->mem == NIB_MEM_SRAM || (mapping->mem != NIB_MEM_HOST && !device))
		return NIB_DUMP_UNREACHABLE;
	while (done < mapping->bytes) {
		want = min_t(u64, mapping->bytes - done, NIB_DUMP_CHUNK);
		got = nib_dump_chunk(dump, vm, mapping, done, want);
		done += got;
		if (got != want)
			return dump->flags & NIB_DUMP_INCOMPLETE ? NIB_DUMP_PARTLY :
			       NIB_DUMP_UNREACHABLE;
	}
	return NIB_DUMP_HELD;
}

/* @map: where @count mappings are in the dump; what became of each is noted there. */
static void nib_dump_contents(struct nib_dump *dump, struct nib_vm *vm, bool small, bool device,
			      size_t map, u32 count)
{
	struct nib_dump_mapping mapping;
	bool is_small;
	u32 contents;

	for (; count; count--, map += sizeof(mapping)) {
		nib_dump_peek(dump, map, &mapping, sizeof(mapping));
		is_small = mapping.bytes <= NIB_DUMP_SMALL;
		if (!(mapping.flags & NIB_DUMP_MAPPING_DUMPABLE) || is_small != small)
			continue;
		contents = nib_dump_range(dump, vm, &mapping, device);
		nib_dump_patch(dump, map + offsetof(struct nib_dump_mapping, contents), &contents,
			       sizeof(contents));
	}
}

/**
 * nib_dump_vm - the address map and what is in it.
 * @dump: dump.
 * @vm: address space.
 * @device: HBM can be read: between drm_dev_enter() and drm_dev_exit().
 *
 * Page tables are locked for no longer than one section takes: binds and moves of others, which
 * need them, go on meanwhile. What is no longer where the map says is not in the dump.
 */
void nib_dump_vm(struct nib_dump *dump, struct nib_vm *vm, bool device)
{
	size_t map;
	u32 count = nib_dump_mappings(dump, vm, &map);

	nib_dump_contents(dump, vm, true, device, map, count);
	nib_dump_contents(dump, vm, false, device, map, count);
}
