/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Leases of SRAM, and SRAM as buffers and leases get it.
 */
#ifndef NIB_LEASE_H
#define NIB_LEASE_H

#include <linux/mutex.h>
#include <linux/types.h>

#include "nib_drm.h"
#include "sram.h"

struct drm_file;
struct nib_bo;
struct nib_client_memory;
struct nib_device;
struct nib_file;

/**
 * struct nib_sram_usage - what leases did: of one, of a client's, of all.
 * @hits: namings that found all of a lease in SRAM.
 * @misses: namings that did not.
 * @spills: moves of burst parts to HBM.
 * @restores: moves back.
 * @spilled_bytes: by @spills.
 * @restored_bytes: by @restores.
 */
struct nib_sram_usage {
	u64 hits;
	u64 misses;
	u64 spills;
	u64 restores;
	u64 spilled_bytes;
	u64 restored_bytes;
};

/**
 * struct nib_leases - leases of a device.
 * @decide: serialises who gets SRAM and who leaves. Held while moves are committed and while jobs
 *	that name leases are submitted; reservations are locked under it, never it under one.
 * @lock: protects what follows. Nothing but memory is ever waited for under it.
 * @sram: who has what.
 * @all: every lease.
 * @usage: of all leases since the driver bound.
 */
struct nib_leases {
	struct mutex decide;	/* see above */
	struct mutex lock;	/* see above */
	struct nib_sram sram;
	struct list_head all;
	struct nib_sram_usage usage;
};

/**
 * struct nib_named - leases that the jobs of a submission name; most name none.
 * @ndev: device.
 * @count: how many they name.
 * @jobs: struct nib_named_job, in order, of those that name some.
 */
struct nib_named {
	struct nib_device *ndev;
	u32 count;
	struct list_head jobs;
};

int nib_leases_init(struct nib_device *ndev);
void nib_leases_close_file(struct nib_device *ndev, struct nib_file *file);

int nib_sram_alloc(struct nib_device *ndev, u64 size, struct drm_mm_node *node);
void nib_sram_free(struct nib_device *ndev, struct drm_mm_node *node);
u64 nib_sram_available(struct nib_device *ndev);

void nib_lease_fini(struct nib_bo *bo);
void nib_lease_count_memory(const struct nib_bo *bo, struct nib_client_memory *memory);
void nib_sram_client_usage(struct nib_file *file, struct nib_sram_usage *usage);
void nib_sram_device_usage(struct nib_device *ndev, struct nib_sram_usage *usage);

void nib_named_init(struct nib_named *named, struct nib_device *ndev);
int nib_named_add(struct nib_named *named, struct drm_file *drm_file,
		  const struct nib_obj_array *refs);
void nib_named_begin(struct nib_named *named);
void nib_named_end(struct nib_named *named, bool submitted);
void nib_named_fini(struct nib_named *named);

#endif
