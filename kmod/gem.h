/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Buffer objects: in HBM, SRAM or host memory.
 */
#ifndef NIB_GEM_H
#define NIB_GEM_H

#include <linux/workqueue.h>

#include <drm/drm_gem.h>
#include <drm/drm_mm.h>

#include "compat.h"
#include "nib_drm.h"
#include "nib_regs.h"
#include "place.h"

struct nib_device;
struct nib_lease;
struct nib_moved;

/**
 * struct nib_bo - a buffer object.
 *
 * "The reservation" is that of @base; it is held for what is said to be under it, unless nobody
 * else knows the buffer yet, or any more.
 *
 * @base: GEM object.
 * @compat: lock of its list of mappings, on kernels that have none.
 * @flags: NIB_BO_*.
 * @leaf: largest leaf that maps it; see place.c. Changes under the reservation.
 * @bind_leaf: largest leaf that binds may use from now on.
 * @place: where it lies once every move that was queued is done. Under the reservation.
 * @blocks: HBM that it owns. Under the reservation.
 * @node: SRAM that it owns; a lease has others.
 * @lease: what a lease is besides, or NULL.
 * @pages: host memory that it owns, if there is any just now. Under the reservation.
 * @clear: while it is being made: what nib_dma_clear() returned.
 * @pins: while there are some it stays where it is. Under the reservation.
 * @dontneed: its user can do without the contents. Under the reservation.
 * @binds: binds that may use leaves of 2 MiB and did not run yet.
 * @charged: it counts in nib_device.residency.
 * @purged: the contents are gone, and so is the buffer's use. Under the reservation.
 * @mapped: what page tables show. Under nib_device.pt_lock.
 * @vms: VMs that map it, or are about to, struct nib_vm_bo. Under nib_device.residency.lock.
 * @link: in a list of nib_device.residency, under its lock.
 * @used: when it was last used other than by a VM; see evict.h. Under nib_device.residency.lock.
 * @tried: whoever looked at it last and could not evict it. As @used.
 * @moved: whose buffer it is, for counting. Holds a reference.
 * @sgt: DMA mapping of host memory; NULL once the driver is unbound. Under
 *	nib_device.host_bos_lock, or imports_lock for an imported buffer.
 * @host_link: in nib_device.host_bos, or imports, while there is a DMA mapping.
 * @free_work: frees it.
 * @dump_serial: core dump that it was last met for.
 * @dump_number: its number there. Both belong to whoever writes the dump.
 */
struct nib_bo {
	struct drm_gem_object base;
	struct nib_gem_compat compat;
	u32 flags;
	u64 leaf;
	u64 bind_leaf;
	struct nib_place *place;
	struct list_head blocks;
	struct drm_mm_node node;
	struct nib_lease *lease;
	struct page **pages;
	struct dma_fence *clear;
	unsigned int pins;
	atomic_t binds;
	bool charged;
	bool dontneed;
	bool purged;
	struct nib_place *mapped;
	struct list_head vms;
	struct list_head link;
	u64 used;
	u64 tried;
	struct nib_moved *moved;
	struct sg_table *sgt;
	struct list_head host_link;
	struct work_struct free_work;
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

/* Which memory it was made for. */
static inline enum nib_mem nib_bo_mem(const struct nib_bo *bo)
{
	return bo->flags & NIB_BO_HBM ? NIB_MEM_HBM :
	       bo->flags & NIB_BO_SRAM ? NIB_MEM_SRAM : NIB_MEM_HOST;
}

/* True if the CPU may see it, and HBM for it must therefore lie in the window. */
static inline bool nib_bo_can_mmap(const struct nib_bo *bo)
{
	return !(bo->flags & (NIB_BO_SRAM | NIB_BO_NO_MMAP));
}

/* True if it is in HBM or SRAM, at least in part. Under the reservation. */
static inline bool nib_bo_in_device(const struct nib_bo *bo)
{
	return bo->place->nsegs && bo->place->segs[0].mem != NIB_MEM_HOST;
}

/* True if the CPU would find it in HBM. Under the reservation. */
static inline bool nib_bo_in_hbm(const struct nib_bo *bo)
{
	return bo->place->nsegs && bo->place->segs[0].mem == NIB_MEM_HBM;
}

/**
 * struct nib_client_memory - what a client's handles hold, by memory (enum nib_mem).
 * @bytes: total, by what the buffers were made for.
 * @resident: of them, bytes that have memory of that kind just now.
 * @purgeable: of @resident, bytes that may be thrown away.
 * @shared: of @bytes, those that other clients hold as well.
 */
struct nib_client_memory {
	u64 bytes[3];
	u64 resident[3];
	u64 purgeable[3];
	u64 shared[3];
};

struct nib_bo *nib_bo_alloc(struct nib_device *ndev, size_t size, u32 flags, bool shmem);
int nib_bo_set_hbm(struct nib_bo *bo, struct nib_device *ndev, struct list_head *blocks,
		   struct nib_place **place);
void nib_bo_set_place(struct nib_bo *bo, struct nib_place *place);
void nib_gem_client_memory(struct drm_file *drm_file, struct nib_client_memory *memory);

#endif
