/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Buffer objects: in HBM, SRAM or host memory.
 */
#ifndef NIB_GEM_H
#define NIB_GEM_H

#include <drm/drm_gem.h>
#include <drm/drm_mm.h>

#include "compat.h"
#include "nib_drm.h"
#include "nib_regs.h"

struct nib_device;

/**
 * struct nib_seg - a contiguous part of a buffer; it ends where the next one starts.
 * @offset: first byte in the buffer.
 * @addr: its address in the memory that the buffer lies in.
 */
struct nib_seg {
	u64 offset;
	u64 addr;
};

/**
 * struct nib_bo - a buffer object. Where it lies is fixed when it is made.
 * @base: GEM object.
 * @compat: lock of its list of mappings, on kernels that have none.
 * @flags: NIB_BO_*.
 * @segs: where it lies, by offset.
 * @nsegs: how many.
 * @blocks: HBM that it owns.
 * @node: SRAM that it owns.
 * @pages: host memory that it owns; NULL for an imported buffer.
 * @sgt: DMA mapping of host memory; NULL once the driver is unbound. Under
 *	nib_device.host_bos_lock, or imports_lock for an imported buffer.
 * @host_link: in nib_device.host_bos, or imports, while there is a DMA mapping.
 * @dump_serial: core dump that it was last met for.
 * @dump_number: its number there. Both belong to whoever writes the dump.
 */
struct nib_bo {
	struct drm_gem_object base;
	struct nib_gem_compat compat;
	u32 flags;
	struct nib_seg *segs;
	u32 nsegs;
	struct list_head blocks;
	struct drm_mm_node node;
	struct page **pages;
	struct sg_table *sgt;
	struct list_head host_link;
	u32 dump_serial;
	u32 dump_number;
};

static inline struct nib_bo *to_nib_bo(struct drm_gem_object *obj)
{
	return container_of(obj, struct nib_bo, base);
}

static inline struct mutex *nib_bo_gpuva_lock(struct nib_bo *bo)
{
	return nib_gem_compat_lock(&bo->base, &bo->compat);
}

/* Which memory it lies in. */
static inline enum nib_mem nib_bo_mem(const struct nib_bo *bo)
{
	return bo->flags & NIB_BO_HBM ? NIB_MEM_HBM :
	       bo->flags & NIB_BO_SRAM ? NIB_MEM_SRAM : NIB_MEM_HOST;
}

/**
 * struct nib_client_memory - what a client's handles hold, by memory.
 * @bytes: indexed by enum nib_mem.
 */
struct nib_client_memory {
	u64 bytes[3];
};

u32 nib_bo_find_seg(const struct nib_bo *bo, u64 offset);
u64 nib_bo_seg_end(const struct nib_bo *bo, u32 seg);
void nib_bo_add_seg(struct nib_bo *bo, u64 *offset, u64 addr, u64 size);
struct nib_bo *nib_bo_alloc_import(struct nib_device *ndev, size_t size, u32 nsegs);
void nib_gem_client_memory(struct drm_file *drm_file, struct nib_client_memory *memory);
void nib_gem_unmap_host_bos(struct nib_device *ndev);

#endif
