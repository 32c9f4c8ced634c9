// SPDX-License-Identifier: GPL-2.0
/*
 * Fences are allocated with the job, emitted (given a seqno) when it is submitted, and signalled
 * when the device reports it, or when it is certain that the device never will. Each holds the
 * module until it is freed: a sync file may keep it long after its queue, its file and its device
 * are gone.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include <drm/drm_print.h>

#include "fence.h"
#include "nib_drm.h"

struct nib_timeline *nib_timeline_create(const char *kind, u32 id)
{
	struct nib_timeline *timeline = kzalloc_obj(*timeline);

	if (!timeline)
		return NULL;
	kref_init(&timeline->ref);
	spin_lock_init(&timeline->lock);
	timeline->context = dma_fence_context_alloc(1);
	snprintf(timeline->name, sizeof(timeline->name), NIB_DRM_NAME "-%s%u", kind, id);
	return timeline;
}

static void nib_timeline_release(struct kref *ref)
{
	struct nib_timeline *timeline = container_of(ref, struct nib_timeline, ref);

	kfree_rcu(timeline, rcu);
}

void nib_timeline_put(struct nib_timeline **timeline)
{
	if (*timeline)
		kref_put(&(*timeline)->ref, nib_timeline_release);
	*timeline = NULL;
}

static struct nib_fence *to_nib_fence(struct dma_fence *fence)
{
	return container_of(fence, struct nib_fence, base);
}

static const char *nib_fence_get_driver_name(struct dma_fence *fence)
{
	return NIB_DRM_NAME;
}

static const char *nib_fence_get_timeline_name(struct dma_fence *fence)
{
	return to_nib_fence(fence)->timeline->name;
}

static void nib_fence_release(struct dma_fence *base)
{
	struct nib_fence *fence = to_nib_fence(base);
	struct nib_timeline *timeline = fence->timeline;
	bool internal = timeline->internal;

	dma_fence_free(base);
	nib_timeline_put(&timeline);
	if (!internal)
		module_put(THIS_MODULE);
}

static const struct dma_fence_ops nib_fence_ops = {
	.get_driver_name = nib_fence_get_driver_name,
	.get_timeline_name = nib_fence_get_timeline_name,
	.release = nib_fence_release,
};

struct nib_fence *nib_fence_alloc(struct nib_timeline *timeline)
{
	struct nib_fence *fence = kzalloc_obj(*fence);

	if (!fence)
		return NULL;
	fence->timeline = timeline;
	kref_get(&timeline->ref);
	/* Called by somebody who uses the driver, so that there is a reference already. */
	if (!timeline->internal)
		__module_get(THIS_MODULE);
	return fence;
}

/* Gives the fence its place in the timeline. From here on it must be signalled if anyone saw it. */
void nib_fence_emit(struct nib_fence *fence)
{
	struct nib_timeline *timeline = fence->timeline;

	dma_fence_init(&fence->base, &nib_fence_ops, &timeline->lock, timeline->context,
		       ++timeline->seqno);
	fence->emitted = true;
}

void nib_fence_put(struct nib_fence *fence)
{
	if (!fence)
		return;
	if (fence->emitted)
		dma_fence_put(&fence->base);
	else
		nib_fence_release(&fence->base);
}

void nib_fence_signal_locked(struct nib_fence *fence, int error)
{
	lockdep_assert_held(&fence->timeline->lock);

	if (error)
		dma_fence_set_error(&fence->base, error);
	dma_fence_signal_locked(&fence->base);
}

void nib_fence_signal(struct nib_fence *fence, int error)
{
	unsigned long flags;

	spin_lock_irqsave(&fence->timeline->lock, flags);
	nib_fence_signal_locked(fence, error);
	spin_unlock_irqrestore(&fence->timeline->lock, flags);
}

/* Under the leader's lock, which is of the same kind, and never inside of ours. */
static void nib_fence_signal_follower(struct dma_fence *leader, struct dma_fence_cb *cb)
{
	struct nib_fence *fence = container_of(cb, struct nib_fence, cb);
	unsigned long flags;

	spin_lock_irqsave_nested(&fence->timeline->lock, flags, SINGLE_DEPTH_NESTING);
	nib_fence_signal_locked(fence, leader->error);
	spin_unlock_irqrestore(&fence->timeline->lock, flags);
	nib_fence_put(fence);
}

/**
 * nib_fence_follow - as nib_fence_emit(), for a fence that is signalled when another one is, with
 * its error. What is internal is shown outside by one that follows it.
 * @fence: fence.
 * @leader: the other one. Leaders come in the order in which they are signalled.
 */
void nib_fence_follow(struct nib_fence *fence, struct dma_fence *leader)
{
	nib_fence_emit(fence);
	dma_fence_get(&fence->base);
	if (dma_fence_add_callback(leader, &fence->cb, nib_fence_signal_follower))
		nib_fence_signal_follower(leader, &fence->cb);
}
