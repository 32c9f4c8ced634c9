// SPDX-License-Identifier: GPL-2.0
/*
 * Leases of SRAM. A lease is a buffer of two parts. The guaranteed part is in SRAM for good. The
 * burst part is in SRAM or in HBM that the lease has had from the start, so that there is always
 * somewhere to go; it moves as a whole, by the copy queue, in order with the jobs of the VMs that
 * map it (see move.c). Who has to go is decided in sram.c.
 *
 * Everything is decided when something is submitted: what is taken back from a lease then is in use
 * until the jobs submitted before are over, and what a job named then is in SRAM when it runs. So
 * hits and misses are known at once, and nothing here waits for the device.
 */
#include <linux/slab.h>

#include <drm/drm_exec.h>
#include <drm/drm_managed.h>

#include "device.h"
#include "dma.h"
#include "drv.h"
#include "evict.h"
#include "gem.h"
#include "lease.h"
#include "move.h"
#include "notify.h"
#include "place.h"
#include "trace.h"
#include "uobj.h"

/**
 * struct nib_lease - what a buffer that is a lease has besides.
 * @bo: buffer. It owns this struct.
 * @link: in nib_leases.all.
 * @file: client that made it, as long as that is open. Under nib_leases.lock.
 * @guaranteed: bytes.
 * @burst: bytes behind them.
 * @node: SRAM of the guaranteed part.
 * @part: SRAM of the burst part, while it is there.
 * @blocks: HBM for the burst part.
 * @charged: @blocks were charged.
 * @away: where the lease lies when the burst part is in HBM; NULL without one.
 * @resident: the burst part, if any, is in SRAM once all moves that were committed are done.
 *	Changes under nib_leases.decide and lock.
 * @generation: moves of the burst part. As @resident.
 * @tried: turn in which it was last to come in. Under nib_leases.decide.
 * @usage: what it did. Under nib_leases.lock.
 */
struct nib_lease {
	struct nib_bo *bo;
	struct list_head link;
	struct nib_file *file;
	u64 guaranteed;
	u64 burst;
	struct drm_mm_node node;
	struct nib_burst part;
	struct list_head blocks;
	bool charged;
	struct nib_place *away;
	bool resident;
	u64 generation;
	u64 tried;
	struct nib_sram_usage usage;
};

/**
 * struct nib_named_job - leases that one job names.
 * @link: in nib_named.jobs.
 * @count: how many.
 * @leases: them. Holds references on their buffers.
 */
struct nib_named_job {
	struct list_head link;
	u32 count;
	struct nib_lease *leases[] __counted_by(count);
};

static u64 nib_lease_resident_bytes(const struct nib_lease *lease)
{
	return lease->guaranteed + (READ_ONCE(lease->resident) ? lease->burst : 0);
}

/* --- Counting --- */

static void nib_sram_usage_add(struct nib_sram_usage *usage, const struct nib_sram_usage *event)
{
	usage->hits += event->hits;
	usage->misses += event->misses;
	usage->spills += event->spills;
	usage->restores += event->restores;
	usage->spilled_bytes += event->spilled_bytes;
	usage->restored_bytes += event->restored_bytes;
}

static void nib_lease_count_locked(struct nib_lease *lease, struct nib_leases *leases,
				   const struct nib_sram_usage *event)
{
	lockdep_assert_held(&leases->lock);

	nib_sram_usage_add(&lease->usage, event);
	nib_sram_usage_add(&leases->usage, event);
	if (lease->file)
		nib_sram_usage_add(&lease->file->sram, event);
}

/**
 * nib_sram_client_usage - what a client's leases did, those that are gone included.
 * @file: client.
 * @usage: out.
 */
void nib_sram_client_usage(struct nib_file *file, struct nib_sram_usage *usage)
{
	struct nib_leases *leases = &file->ndev->leases;

	mutex_lock(&leases->lock);
	*usage = file->sram;
	mutex_unlock(&leases->lock);
}

/* The same of all clients since the driver bound. */
void nib_sram_device_usage(struct nib_device *ndev, struct nib_sram_usage *usage)
{
	struct nib_leases *leases = &ndev->leases;

	mutex_lock(&leases->lock);
	*usage = leases->usage;
	mutex_unlock(&leases->lock);
}

/* Counts a lease as a client's memory. What it says may be old. */
void nib_lease_count_memory(const struct nib_bo *bo, struct nib_client_memory *memory)
{
	const struct nib_lease *lease = bo->lease;
	u64 sram = nib_lease_resident_bytes(lease);

	memory->bytes[NIB_MEM_SRAM] += sram;
	memory->resident[NIB_MEM_SRAM] += sram;
	memory->bytes[NIB_MEM_HBM] += lease->burst;
	memory->resident[NIB_MEM_HBM] += lease->burst;
}

/* --- Moving --- */

/* Where the lease lies with its burst part in SRAM or in HBM. Returns NULL without memory. */
static struct nib_place *nib_lease_describe(struct nib_lease *lease, bool resident)
{
	struct gpu_buddy *hbm = &to_nib_device(lease->bo->base.dev)->vram.hbm;
	struct gpu_buddy_block *block;
	struct nib_place *place;
	u64 offset = 0;

	place = nib_place_alloc(2 + list_count_nodes(&lease->blocks), true);
	if (!place)
		return NULL;
	if (lease->guaranteed)
		nib_place_add(place, &offset, NIB_MEM_SRAM, lease->node.start, lease->guaranteed);
	if (lease->burst && resident)
		nib_place_add(place, &offset, NIB_MEM_SRAM, lease->part.node.start, lease->burst);
	if (resident)
		return place;
	list_for_each_entry(block, &lease->blocks, link)
		nib_place_add(place, &offset, NIB_MEM_HBM, gpu_buddy_block_offset(block),
			      gpu_buddy_block_size(hbm, block));
	return place;
}

static int nib_lease_move(struct nib_lease *lease, struct nib_place *place)
{
	struct drm_exec exec;
	int ret;

	drm_exec_init(&exec, 0, 0);
	drm_exec_until_all_locked(&exec) {
		ret = drm_exec_lock_obj(&exec, &lease->bo->base);
		drm_exec_retry_on_contention(&exec);
		if (ret)
			break;
		ret = nib_bo_move(lease->bo, &exec, place);
		drm_exec_retry_on_contention(&exec);
		if (ret)
			break;
	}
	drm_exec_fini(&exec);
	return ret;
}

/* A burst part has moved: for those who watch the device, not the lease. */
static void nib_lease_tell(const struct nib_lease *lease)
{
	struct nib_device *ndev = to_nib_device(lease->bo->base.dev);

	if (lease->resident) {
		nib_notify_count(ndev, NIB_COUNTER_SRAM_RESTORE);
		trace_nib_bo_move(ndev, NIB_MEM_HBM, NIB_MEM_SRAM, lease->burst);
	} else {
		nib_notify_count(ndev, NIB_COUNTER_SRAM_SPILL);
		trace_nib_bo_move(ndev, NIB_MEM_SRAM, NIB_MEM_HBM, lease->burst);
	}
}

/*
 * Takes a burst part back. Its room is free at once: whoever gets it lets the copy queue write it
 * first, which comes to that after this move.
 */
static int nib_lease_spill(struct nib_lease *lease, struct nib_leases *leases)
{
	const struct nib_sram_usage event = { .spills = 1, .spilled_bytes = lease->burst };
	int ret;

	lockdep_assert_held(&leases->decide);

	ret = nib_lease_move(lease, lease->away);
	mutex_lock(&leases->lock);
	if (ret) {
		nib_burst_stay(&leases->sram, &lease->part);
	} else {
		WRITE_ONCE(lease->resident, false);
		list_del_init(&lease->part.link);
		nib_sram_give(&lease->part.node);
		lease->generation++;
		nib_lease_count_locked(lease, leases, &event);
		nib_lease_tell(lease);
	}
	mutex_unlock(&leases->lock);
	return ret;
}

/*
 * Takes SRAM, and room that burst parts have if need be. Those that are about to be freed have no
 * use for theirs. Returns 0, -ENOSPC, or why one could not be moved.
 */
static int nib_leases_take(struct nib_device *ndev, struct drm_mm_node *node, u64 size, u64 align,
			   enum drm_mm_insert_mode mode, u64 before)
{
	struct nib_leases *leases = &ndev->leases;
	struct nib_burst *burst, *next;
	LIST_HEAD(leave);
	u64 available;
	int ret;

	lockdep_assert_held(&leases->decide);

	mutex_lock(&leases->lock);
	ret = nib_sram_pick(&leases->sram, size, align, mode, before, &leave);
	available = nib_sram_free_bytes(&leases->sram);
	list_for_each_entry_safe(burst, next, &leave, link) {
		struct nib_lease *lease = container_of(burst, struct nib_lease, part);

		if (!kref_get_unless_zero(&lease->bo->base.refcount)) {
			list_del_init(&burst->link);
			nib_sram_give(&burst->node);
		}
	}
	mutex_unlock(&leases->lock);
	if (ret)
		nib_notify_sram_pressure(ndev, size, available);

	while ((burst = list_first_entry_or_null(&leave, struct nib_burst, link))) {
		struct nib_lease *lease = container_of(burst, struct nib_lease, part);

		if (!ret) {
			ret = nib_lease_spill(lease, leases);
		} else {
			mutex_lock(&leases->lock);
			nib_burst_stay(&leases->sram, burst);
			mutex_unlock(&leases->lock);
		}
		drm_gem_object_put(&lease->bo->base);
	}
	if (ret)
		return ret;
	mutex_lock(&leases->lock);
	ret = nib_sram_take(&leases->sram, node, size, align, mode);
	mutex_unlock(&leases->lock);
	return ret;
}

/* A job wants it: brings the burst part back if there is room, or if others named before can go. */
static int nib_lease_restore(struct nib_lease *lease, struct nib_leases *leases, u64 turn)
{
	const struct nib_sram_usage event = { .restores = 1, .restored_bytes = lease->burst };
	struct nib_device *ndev = to_nib_device(lease->bo->base.dev);
	struct nib_place *place;
	int ret;

	lockdep_assert_held(&leases->decide);

	ret = nib_leases_take(ndev, &lease->part.node, lease->burst, NIB_PAGE_64K,
			      DRM_MM_INSERT_LOW, turn);
	if (ret)
		return ret;
	place = nib_lease_describe(lease, true);
	ret = place ? nib_lease_move(lease, place) : -ENOMEM;
	nib_place_put(&place);
	mutex_lock(&leases->lock);
	if (ret) {
		nib_sram_give(&lease->part.node);
	} else {
		WRITE_ONCE(lease->resident, true);
		nib_burst_stay(&leases->sram, &lease->part);
		lease->generation++;
		nib_lease_count_locked(lease, leases, &event);
		nib_lease_tell(lease);
	}
	mutex_unlock(&leases->lock);
	return ret;
}

/* --- SRAM for buffers and guaranteed parts --- */

static int nib_sram_try_alloc(struct nib_device *ndev, u64 size, u64 align,
			      struct drm_mm_node *node)
{
	struct nib_leases *leases = &ndev->leases;
	int ret;

	mutex_lock(&leases->decide);
	ret = nib_leases_take(ndev, node, size, align, DRM_MM_INSERT_HIGH, U64_MAX);
	mutex_unlock(&leases->decide);
	return ret;
}

static int nib_sram_alloc_aligned(struct nib_device *ndev, u64 size, u64 align,
				  struct drm_mm_node *node)
{
	int ret = nib_sram_try_alloc(ndev, size, align, node);

	if (ret != -ENOSPC)
		return ret;
	/* What was freed a moment ago may still be on its way back. */
	nib_device_flush_cleanup(ndev);
	return nib_sram_try_alloc(ndev, size, align, node);
}

/**
 * nib_sram_alloc - allocate SRAM that stays.
 * @ndev: device.
 * @size: bytes, whole pages.
 * @node: zeroed.
 *
 * Burst parts of leases give way. The copy queue must be the first to write it.
 *
 * Returns 0, -ENOSPC, -ENOMEM or -ENODEV.
 */
int nib_sram_alloc(struct nib_device *ndev, u64 size, struct drm_mm_node *node)
{
	return nib_sram_alloc_aligned(ndev, size, NIB_PAGE_4K, node);
}

void nib_sram_free(struct nib_device *ndev, struct drm_mm_node *node)
{
	mutex_lock(&ndev->leases.lock);
	nib_sram_give(node);
	mutex_unlock(&ndev->leases.lock);
}

u64 nib_sram_available(struct nib_device *ndev)
{
	u64 bytes;

	mutex_lock(&ndev->leases.lock);
	bytes = nib_sram_free_bytes(&ndev->leases.sram);
	mutex_unlock(&ndev->leases.lock);
	return bytes;
}

/* --- Life --- */

static void nib_leases_fini(struct drm_device *drm, void *data)
{
	struct nib_leases *leases = data;

	nib_sram_fini(&leases->sram);
}

int nib_leases_init(struct nib_device *ndev)
{
	struct nib_leases *leases = &ndev->leases;
	int ret;

	INIT_LIST_HEAD(&leases->all);
	ret = drmm_mutex_init(&ndev->drm, &leases->decide);
	if (!ret)
		ret = drmm_mutex_init(&ndev->drm, &leases->lock);
	if (ret)
		return ret;
	nib_sram_init(&leases->sram, ndev->sram_bytes);
	return drmm_add_action_or_reset(&ndev->drm, nib_leases_fini, leases);
}

/* The client goes; what it leaves mapped counts for nobody. */
void nib_leases_close_file(struct nib_device *ndev, struct nib_file *file)
{
	struct nib_lease *lease;

	mutex_lock(&ndev->leases.lock);
	list_for_each_entry(lease, &ndev->leases.all, link)
		if (lease->file == file)
			lease->file = NULL;
	mutex_unlock(&ndev->leases.lock);
}

/* The buffer goes: nobody maps it, and no move of it is under way. */
void nib_lease_fini(struct nib_bo *bo)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	struct nib_lease *lease = bo->lease;

	mutex_lock(&ndev->leases.lock);
	list_del(&lease->link);
	list_del(&lease->part.link);
	nib_sram_give(&lease->part.node);
	nib_sram_give(&lease->node);
	mutex_unlock(&ndev->leases.lock);
	if (!list_empty(&lease->blocks))
		nib_hbm_free(ndev, &lease->blocks);
	if (lease->charged)
		nib_residency_uncharge(ndev, lease->burst);
	nib_place_put(&lease->away);
	kfree(lease);
	bo->lease = NULL;
}

/* Finds room for all of it, but for the burst part in SRAM. */
static int nib_lease_settle(struct nib_lease *lease, struct nib_device *ndev)
{
	int ret = 0;

	if (lease->guaranteed)
		ret = nib_sram_alloc_aligned(ndev, lease->guaranteed, NIB_PAGE_64K, &lease->node);
	if (ret)
		return ret;
	if (!lease->burst)
		return 0;
	ret = nib_residency_charge(ndev, lease->burst);
	if (ret)
		return ret;
	lease->charged = true;
	ret = nib_hbm_alloc(ndev, lease->burst, 0, &lease->blocks);
	if (ret)
		return ret;
	lease->away = nib_lease_describe(lease, false);
	return lease->away ? 0 : -ENOMEM;
}

/* From here on it takes part. */
static void nib_lease_publish(struct nib_lease *lease, struct nib_device *ndev,
			      struct nib_file *file)
{
	struct nib_leases *leases = &ndev->leases;

	mutex_lock(&leases->lock);
	lease->file = file;
	if (lease->burst && lease->resident) {
		nib_burst_name(&leases->sram, &lease->part, leases->sram.turn);
		nib_burst_stay(&leases->sram, &lease->part);
	}
	mutex_unlock(&leases->lock);
}

/*
 * Puts a lease where there is room, and begins to zero it. Whoever is to have SRAM may take the
 * burst part back at once: what it has comes after that in the copy queue. Returns the fence to
 * wait for, as nib_dma_clear() does.
 */
static struct dma_fence *nib_lease_begin(struct nib_lease *lease, struct nib_device *ndev,
					 struct nib_file *file)
{
	struct nib_leases *leases = &ndev->leases;
	struct nib_place *place;
	struct dma_fence *fence;

	mutex_lock(&leases->decide);
	mutex_lock(&leases->lock);
	/* The burst part takes what is free, from nobody. */
	lease->resident = !lease->burst ||
			  !nib_sram_take(&leases->sram, &lease->part.node, lease->burst,
					 NIB_PAGE_64K, DRM_MM_INSERT_LOW);
	mutex_unlock(&leases->lock);
	place = nib_lease_describe(lease, lease->resident);
	if (place) {
		nib_bo_set_place(lease->bo, place);
		fence = nib_dma_clear(ndev, lease->bo);
	} else {
		fence = ERR_PTR(-ENOMEM);
	}
	if (!IS_ERR(fence))
		nib_lease_publish(lease, ndev, file);
	mutex_unlock(&leases->decide);
	return fence;
}

/* Makes a zeroed lease. Waits for the device. */
static struct nib_bo *nib_lease_create(struct nib_device *ndev, struct nib_file *file,
				       u64 guaranteed, u64 burst)
{
	struct nib_lease *lease = kzalloc_obj(*lease, GFP_KERNEL_ACCOUNT);
	struct nib_bo *bo;
	int ret;

	if (!lease)
		return ERR_PTR(-ENOMEM);
	bo = nib_bo_alloc(ndev, guaranteed + burst, NIB_BO_SRAM, true);
	if (IS_ERR(bo)) {
		kfree(lease);
		return bo;
	}
	bo->moved = nib_moved_get(file->moved);
	lease->bo = bo;
	lease->guaranteed = guaranteed;
	lease->burst = burst;
	INIT_LIST_HEAD(&lease->part.link);
	INIT_LIST_HEAD(&lease->blocks);
	mutex_lock(&ndev->leases.lock);
	list_add(&lease->link, &ndev->leases.all);
	mutex_unlock(&ndev->leases.lock);
	bo->lease = lease;
	ret = nib_lease_settle(lease, ndev);
	if (ret)
		goto err_put;
	ret = nib_dma_clear_wait(ndev, nib_lease_begin(lease, ndev, file));
	if (ret)
		goto err_put;
	nib_residency_add(bo);
	return bo;

err_put:
	drm_gem_object_put(&bo->base);
	return ERR_PTR(ret);
}

/* --- Naming --- */

void nib_named_init(struct nib_named *named, struct nib_device *ndev)
{
	named->ndev = ndev;
	named->count = 0;
	INIT_LIST_HEAD(&named->jobs);
}

static struct nib_lease *nib_lease_find(struct drm_file *drm_file, u32 handle)
{
	struct drm_gem_object *obj = drm_gem_object_lookup(drm_file, handle);
	struct nib_lease *lease;

	if (!obj)
		return ERR_PTR(-ENOENT);
	lease = to_nib_bo(obj)->lease;
	if (lease)
		return lease;
	drm_gem_object_put(obj);
	return ERR_PTR(-EINVAL);
}

static int nib_named_look_up(struct nib_named_job *job, struct drm_file *drm_file,
			     const struct nib_lease_ref *refs, u32 count)
{
	struct drm_device *drm = drm_file->minor->dev;
	u32 i;

	for (i = 0; i < count; i++) {
		struct nib_lease *lease;

		if (refs[i].flags) {
			drm_dbg(drm, "flags %#x of a lease\n", refs[i].flags);
			return -EINVAL;
		}
		lease = nib_lease_find(drm_file, refs[i].handle);
		if (IS_ERR(lease)) {
			drm_dbg(drm, "%u is no lease\n", refs[i].handle);
			return PTR_ERR(lease);
		}
		job->count++;
		job->leases[i] = lease;
	}
	return 0;
}

/**
 * nib_named_add - note which leases a job names.
 * @named: what the submission names so far.
 * @drm_file: client.
 * @array: user array of struct nib_lease_ref.
 *
 * Returns 0, -ENOENT, -EINVAL, -EFAULT or -ENOMEM.
 */
int nib_named_add(struct nib_named *named, struct drm_file *drm_file,
		  const struct nib_obj_array *array)
{
	struct nib_lease_ref *refs = NULL;
	struct nib_named_job *job;
	int ret;

	if (!array->count)
		return 0;
	ret = NIB_UOBJ_GET_ARRAY(&named->ndev->drm, refs, array, flags);
	if (ret)
		return ret;
	named->count += array->count;
	if (named->count > NIB_MAX_BATCH) {
		drm_dbg(&named->ndev->drm, "more than %u leases in one call\n", NIB_MAX_BATCH);
		kvfree(refs);
		return -EINVAL;
	}
	job = kvzalloc(struct_size(job, leases, array->count), GFP_KERNEL_ACCOUNT);
	if (job) {
		list_add_tail(&job->link, &named->jobs);
		ret = nib_named_look_up(job, drm_file, refs, array->count);
	} else {
		ret = -ENOMEM;
	}
	kvfree(refs);
	return ret;
}

/**
 * nib_named_begin - the jobs are about to be submitted: bring in what they name, as far as it goes.
 * @named: what they name.
 *
 * What they name does not leave for each other. Nobody else decides anything until
 * nib_named_end(). No reservation is held.
 */
void nib_named_begin(struct nib_named *named)
{
	struct nib_leases *leases = &named->ndev->leases;
	struct nib_named_job *job;
	u64 turn;
	u32 i;

	if (list_empty(&named->jobs))
		return;
	mutex_lock(&leases->decide);
	mutex_lock(&leases->lock);
	turn = ++leases->sram.turn;
	list_for_each_entry(job, &named->jobs, link)
		for (i = 0; i < job->count; i++)
			nib_burst_name(&leases->sram, &job->leases[i]->part, turn);
	mutex_unlock(&leases->lock);
	/* Best effort: a job runs with what it gets, and each is asked once. */
	list_for_each_entry(job, &named->jobs, link) {
		for (i = 0; i < job->count; i++) {
			struct nib_lease *lease = job->leases[i];

			if (lease->resident || lease->tried == turn)
				continue;
			lease->tried = turn;
			nib_lease_restore(lease, leases, turn);
		}
	}
}

/* Paired with nib_named_begin(). @submitted: the jobs were, and found what they found. */
void nib_named_end(struct nib_named *named, bool submitted)
{
	const struct nib_sram_usage hit = { .hits = 1 }, miss = { .misses = 1 };
	struct nib_leases *leases = &named->ndev->leases;
	struct nib_named_job *job;
	u32 i;

	if (list_empty(&named->jobs))
		return;
	if (submitted) {
		mutex_lock(&leases->lock);
		list_for_each_entry(job, &named->jobs, link) {
			for (i = 0; i < job->count; i++) {
				const struct nib_lease *lease = job->leases[i];

				nib_lease_count_locked(job->leases[i], leases,
						       lease->resident ? &hit : &miss);
				trace_nib_lease(named->ndev, lease->guaranteed + lease->burst,
						nib_lease_resident_bytes(lease), lease->generation);
			}
		}
		mutex_unlock(&leases->lock);
	}
	mutex_unlock(&leases->decide);
}

/* Paired with nib_named_init(). */
void nib_named_fini(struct nib_named *named)
{
	struct nib_named_job *job, *next;
	u32 i;

	list_for_each_entry_safe(job, next, &named->jobs, link) {
		for (i = 0; i < job->count; i++)
			drm_gem_object_put(&job->leases[i]->bo->base);
		kvfree(job);
	}
}

/* --- ioctls --- */

static int nib_lease_check(struct nib_device *ndev, const struct nib_sram_lease_create *args)
{
	if (args->flags) {
		drm_dbg(&ndev->drm, "lease flags %#x\n", args->flags);
		return -EINVAL;
	}
	if (!(args->guaranteed | args->burst) ||
	    !IS_ALIGNED(args->guaranteed | args->burst, NIB_PAGE_64K)) {
		drm_dbg(&ndev->drm, "lease of %#llx + %#llx bytes\n", args->guaranteed,
			args->burst);
		return -EINVAL;
	}
	if (args->guaranteed > ndev->sram_bytes ||
	    args->burst > ndev->sram_bytes - args->guaranteed) {
		drm_dbg(&ndev->drm, "lease of %#llx + %#llx of %#llx bytes\n", args->guaranteed,
			args->burst, ndev->sram_bytes);
		return -ENOSPC;
	}
	return 0;
}

int nib_ioctl_sram_lease_create(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_device *ndev = to_nib_device(drm);
	struct nib_sram_lease_create *args = data;
	struct nib_bo *bo;
	int ret;

	ret = nib_lease_check(ndev, args);
	if (ret)
		return ret;
	bo = nib_lease_create(ndev, drm_file->driver_priv, args->guaranteed, args->burst);
	if (IS_ERR(bo))
		return PTR_ERR(bo);
	ret = drm_gem_handle_create(drm_file, &bo->base, &args->handle);
	drm_gem_object_put(&bo->base);
	return ret;
}

int nib_ioctl_sram_lease_query(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_leases *leases = &to_nib_device(drm)->leases;
	struct nib_sram_lease_query *args = data;
	struct nib_lease *lease;

	if (args->pad) {
		drm_dbg(drm, "pad is not zero\n");
		return -EINVAL;
	}
	lease = nib_lease_find(drm_file, args->handle);
	if (IS_ERR(lease)) {
		drm_dbg(drm, "%u is no lease\n", args->handle);
		return PTR_ERR(lease);
	}
	mutex_lock(&leases->lock);
	*args = (struct nib_sram_lease_query){
		.handle = args->handle,
		.guaranteed = lease->guaranteed,
		.burst = lease->burst,
		.resident = nib_lease_resident_bytes(lease),
		.generation = lease->generation,
		.hits = lease->usage.hits,
		.misses = lease->usage.misses,
		.spills = lease->usage.spills,
		.restores = lease->usage.restores,
		.spilled_bytes = lease->usage.spilled_bytes,
		.restored_bytes = lease->usage.restored_bytes,
	};
	mutex_unlock(&leases->lock);
	drm_gem_object_put(&lease->bo->base);
	return 0;
}
