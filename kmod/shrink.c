// SPDX-License-Identifier: GPL-2.0
/*
 * The shrinker. What a buffer has in host memory is left to shmem, which swaps it out, or thrown
 * away if its user said that it may be (NIB_BO_MADVISE). The buffer then lies nowhere: its mappings
 * are held, the next job or page fault brings it back.
 *
 * Reclaim may come from anywhere, under any reservation. So nothing here waits, neither for the
 * device nor for a lock that is held while memory is allocated, and nothing is allocated: what is
 * in use is left alone.
 */
#include <linux/dma-resv.h>
#include <linux/shrinker.h>
#include <linux/swap.h>

#include <drm/drm_managed.h>
#include <drm/drm_vma_manager.h>

#include "device.h"
#include "gem.h"
#include "hostmem.h"
#include "move.h"
#include "place.h"
#include "pm.h"
#include "residency.h"
#include "shrink.h"
#include "vm.h"

/* VMs that may share a buffer that is given back; one in more of them is in use anyway. */
#define NIB_SHRINK_VMS	8u

/* Whether what is put down can go anywhere. */
static bool nib_shrink_can_swap(void)
{
	return get_nr_swap_pages() > 0;
}

/* The buffer that was not used for longest, and each only once a turn; NULL if there is none. */
static struct nib_bo *nib_shrink_pick(struct nib_device *ndev, u64 turn)
{
	struct nib_residency *residency = &ndev->residency;
	bool can_swap = nib_shrink_can_swap();
	struct nib_bo *bo, *best;
	u64 least, rank;

	spin_lock(&residency->lock);
	do {
		best = NULL;
		least = U64_MAX;
		list_for_each_entry(bo, &residency->bos, link) {
			if (!READ_ONCE(bo->pages) || bo->tried == turn || READ_ONCE(bo->pins) ||
			    (!can_swap && !READ_ONCE(bo->dontneed)))
				continue;
			rank = READ_ONCE(bo->dontneed) ? 0 : nib_bo_last_used_locked(bo);
			if (rank < least) {
				least = rank;
				best = bo;
			}
		}
		if (best)
			best->tried = turn;
	} while (best && !kref_get_unless_zero(&best->base.refcount));
	spin_unlock(&residency->lock);
	return best;
}

static void nib_shrink_unlock_vms(struct nib_vm **vms, int n)
{
	while (n) {
		dma_resv_unlock(nib_vm_resv_obj(vms[--n])->resv);
		nib_vm_put(&vms[n]);
	}
}

/*
 * Locks all VMs that map a buffer, if nobody has them locked and all is done. Returns how many, or
 * -EBUSY.
 */
static int nib_shrink_lock_vms(struct nib_bo *bo, struct nib_vm **vms)
{
	struct nib_residency *residency = &to_nib_device(bo->base.dev)->residency;
	struct nib_vm_bo *vm_bo;
	int n = 0, ret = 0;

	spin_lock(&residency->lock);
	list_for_each_entry(vm_bo, &bo->vms, bo_link) {
		struct nib_vm *vm = to_nib_vm(vm_bo->base.vm);
		struct dma_resv *resv = nib_vm_resv_obj(vm)->resv;

		if (n == NIB_SHRINK_VMS || !dma_resv_trylock(resv)) {
			ret = -EBUSY;
			break;
		}
		if (!dma_resv_test_signaled(resv, DMA_RESV_USAGE_BOOKKEEP) ||
		    !kref_get_unless_zero(&vm->ref)) {
			dma_resv_unlock(resv);
			ret = -EBUSY;
			break;
		}
		vms[n++] = vm;
	}
	spin_unlock(&residency->lock);
	if (!ret)
		return n;
	nib_shrink_unlock_vms(vms, n);
	return ret;
}

/* Takes host memory away from a buffer that is locked with its VMs, and idle. */
static bool nib_shrink_locked(struct nib_bo *bo)
{
	struct nib_device *ndev = to_nib_device(bo->base.dev);
	struct nib_place *place = nib_place_get(ndev->residency.nowhere);

	if (!mutex_trylock(&ndev->pt_lock)) {
		nib_place_put(&place);
		return false;
	}
	swap(bo->mapped, place);
	if (place->mapped)
		nib_bo_remap_locked(bo, NULL);
	mutex_unlock(&ndev->pt_lock);
	nib_place_put(&place);
	drm_vma_node_unmap(&bo->base.vma_node, bo->base.dev->anon_inode->i_mapping);
	nib_bo_put_pages(bo, !bo->dontneed);
	if (bo->dontneed)
		WRITE_ONCE(bo->purged, true);
	nib_residency_set_dontneed(bo, false);
	nib_place_put(&bo->place);
	bo->place = nib_place_get(ndev->residency.nowhere);
	nib_bo_set_vms_stale(bo);
	return true;
}

/* Returns how many pages that gave. */
static unsigned long nib_shrink_bo(struct nib_bo *bo)
{
	struct nib_vm *vms[NIB_SHRINK_VMS];
	unsigned long pages = 0;
	int n;

	if (!dma_resv_trylock(bo->base.resv))
		return 0;
	if (!bo->pages || bo->pins || nib_bo_in_device(bo) ||
	    !dma_resv_test_signaled(bo->base.resv, DMA_RESV_USAGE_BOOKKEEP))
		goto out;
	n = nib_shrink_lock_vms(bo, vms);
	if (n < 0)
		goto out;
	if (nib_shrink_locked(bo))
		pages = bo->base.size >> PAGE_SHIFT;
	nib_shrink_unlock_vms(vms, n);
out:
	dma_resv_unlock(bo->base.resv);
	return pages;
}

static struct nib_device *to_nib_device_of(struct shrinker *shrinker)
{
	return shrinker->private_data;
}

static unsigned long nib_shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct nib_residency *residency = &to_nib_device_of(shrinker)->residency;
	u64 bytes = nib_shrink_can_swap() ? atomic64_read(&residency->host) :
					    atomic64_read(&residency->dontneed);

	return bytes >> PAGE_SHIFT ?: SHRINK_EMPTY;
}

/*
 * Page tables change, and those of a device that sleeps are out of reach: they would go on showing
 * pages that are somebody else's by the time it wakes. It wakes for the next scan. Paired with
 * nib_pm_put_unused().
 */
static bool nib_shrink_begin(struct nib_device *ndev)
{
	if (!READ_ONCE(ndev->pm.sleeping) && nib_pm_get_if_awake(ndev))
		return true;
	nib_pm_wake(ndev);
	return false;
}

static unsigned long nib_shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct nib_device *ndev = to_nib_device_of(shrinker);
	const u64 turn = nib_residency_begin(ndev);
	unsigned long pages = 0;
	struct nib_bo *bo;

	if (!nib_shrink_begin(ndev))
		return SHRINK_STOP;
	while (pages < sc->nr_to_scan) {
		bo = nib_shrink_pick(ndev, turn);
		if (!bo)
			break;
		pages += nib_shrink_bo(bo);
		drm_gem_object_put(&bo->base);
	}
	nib_pm_put_unused(ndev);
	return pages ?: SHRINK_STOP;
}

static void nib_shrinker_fini(struct drm_device *drm, void *shrinker)
{
	shrinker_free(shrinker);
}

int nib_shrinker_init(struct nib_device *ndev)
{
	struct shrinker *shrinker;

	shrinker = shrinker_alloc(0, KBUILD_MODNAME "-%s", dev_name(ndev->drm.dev));
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = nib_shrink_count;
	shrinker->scan_objects = nib_shrink_scan;
	shrinker->private_data = ndev;
	shrinker_register(shrinker);
	return drmm_add_action_or_reset(&ndev->drm, nib_shrinker_fini, shrinker);
}
