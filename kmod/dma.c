// SPDX-License-Identifier: GPL-2.0
/*
 * The driver has a VM, two streams and a queue of its own, like a client's in every respect. The VM
 * maps all of HBM and SRAM; host memory is shown to the device by pieces, in slots whose page
 * tables are there from the start, so that making room in HBM needs none.
 *
 * A failure here leaves buffers with contents that nobody can vouch for. No client can cause one,
 * so the device is given up; see nib_dma_failed().
 */
#include <linux/cleanup.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"
#include "dma.h"
#include "drv.h"
#include "gem.h"
#include "nib_isa.h"
#include "queue.h"
#include "stream.h"
#include "vm.h"

/* Where the VM shows all of HBM, all of SRAM, and slots of host memory. */
#define NIB_DMA_VA_HBM		0ull
#define NIB_DMA_VA_SRAM		BIT_ULL(46)
#define NIB_DMA_VA_HOST		BIT_ULL(47)

#define NIB_DMA_SLOT		(4ull << 20)	/* bytes of a slot */
#define NIB_DMA_SLOTS		8u		/* as many runs with host memory overlap */

#define NIB_DMA_CPU_MAX		0x40000u	/* bytes; more is left to the device to zero */
#define NIB_DMA_FILL_MAX	(4ull << 30)	/* bytes of one run */
#define NIB_DMA_COPY_MAX	(32ull << 20)	/* bytes of one run; at most NIB_MAX_DIM words */

/**
 * struct nib_dma - the copy queue.
 * @vm: maps all memories of the device.
 * @fill: stream: FILL argument 0 with zeros, for as many words as argument 1 says.
 * @copy: stream: COPY to argument 0 from argument 1 as many words as argument 2 says.
 * @queue: runs them.
 * @shared: timeline of nib_dma_batch.shared.
 * @lock: makes a batch one step. Protects what follows.
 * @next_slot: counts slots given out.
 * @slots: last run that used a slot, or NULL. Holds a reference.
 * @last_move: last run after which memory may be others', or NULL. Holds a reference.
 */
struct nib_dma {
	struct nib_vm *vm;
	struct nib_stream *fill;
	struct nib_stream *copy;
	struct nib_queue *queue;
	struct nib_timeline *shared;
	struct mutex lock;	/* see above */
	u32 next_slot;
	struct dma_fence *slots[NIB_DMA_SLOTS];
	struct dma_fence *last_move;
};

/**
 * struct nib_dma_run - what a run of the copy queue is about.
 * @link: in nib_dma_batch.runs, until committed.
 * @run: run that it belongs to.
 * @batch: batch. Holds a reference.
 * @first: first run of it.
 * @host: argument that is an address in host memory, or -1.
 * @slot: slot that shows it.
 * @offset: first byte of the place that is shown.
 * @size: bytes.
 */
struct nib_dma_run {
	struct list_head link;
	struct nib_run *run;
	struct nib_dma_batch *batch;
	bool first;
	int host;
	u32 slot;
	u64 offset;
	u64 size;
};

/* --- Life --- */

static int nib_dma_map(struct nib_dma *dma, u64 va, u64 size, enum nib_mem mem, u64 leaf)
{
	const bool held = mem == NIB_MEM_HOST;
	struct nib_mmu *mmu = &dma->vm->mmu;
	struct nib_pt_need need = {};
	struct nib_pt_pool pool;
	int ret, cookie;

	if (!size)
		return 0;
	nib_pt_pool_init(&pool);
	nib_pt_need_run(&need, va, 0, size, leaf);
	ret = nib_pt_pool_reserve(&pool, mmu->ndev, &need, va, size);
	if (!ret && drm_dev_enter(&mmu->ndev->drm, &cookie)) {
		mutex_lock(&mmu->ndev->pt_lock);
		ret = nib_mmu_map_run(mmu, &pool, va, 0, size,
				      (held ? NIB_PTE_HELD : NIB_PTE_VALID) | NIB_PTE_WRITE |
					      (u64)mem << NIB_PTE_MEM_SHIFT,
				      leaf);
		mutex_unlock(&mmu->ndev->pt_lock);
		drm_dev_exit(cookie);
	}
	nib_pt_pool_fini(&pool, mmu->ndev);
	return ret;
}

static int nib_dma_create_streams(struct nib_dma *dma)
{
	const struct {
		struct nib_pkt_fill fill;
		struct nib_pkt end;
	} fill = {
		.fill = {
			.hdr = { .op = NIB_OP_FILL, .words = 4, .argmask = 0x3 },
			.dst = NIB_ARG(0, 0),
			.count = NIB_ARG(1, 0),
		},
		.end = { .op = NIB_OP_END, .words = 1 },
	};
	const struct {
		struct nib_pkt_copy copy;
		struct nib_pkt end;
	} copy = {
		.copy = {
			.hdr = { .op = NIB_OP_COPY, .words = 11, .argmask = 0x7 },
			.dst = NIB_ARG(0, 0),
			.src = NIB_ARG(1, 0),
			.n0 = NIB_ARG(2, 0),
			.n1 = 1,
			.n2 = 1,
			.src_fmt = NIB_FMT_U32,
			.dst_fmt = NIB_FMT_U32,
		},
		.end = { .op = NIB_OP_END, .words = 1 },
	};

	dma->fill = nib_stream_create(dma->vm, (const u64 *)&fill, sizeof(fill), 2);
	if (IS_ERR(dma->fill))
		return PTR_ERR(no_free_ptr(dma->fill));
	dma->copy = nib_stream_create(dma->vm, (const u64 *)&copy, sizeof(copy), 3);
	if (IS_ERR(dma->copy))
		return PTR_ERR(no_free_ptr(dma->copy));
	return 0;
}

/* Paired with nib_dma_fini(). */
int nib_dma_init(struct nib_device *ndev)
{
	struct nib_dma *dma = kzalloc_obj(*dma);
	int ret;

	if (!dma)
		return -ENOMEM;
	mutex_init(&dma->lock);
	ndev->dma = dma;
	dma->vm = nib_vm_create(ndev, NULL);
	if (IS_ERR(dma->vm)) {
		ret = PTR_ERR(no_free_ptr(dma->vm));
		goto err_fini;
	}
	ret = nib_dma_map(dma, NIB_DMA_VA_HBM, ndev->vram.hbm.size, NIB_MEM_HBM, NIB_PAGE_2M);
	if (!ret)
		ret = nib_dma_map(dma, NIB_DMA_VA_SRAM, ndev->sram_bytes, NIB_MEM_SRAM,
				  NIB_PAGE_2M);
	if (!ret)
		ret = nib_dma_map(dma, NIB_DMA_VA_HOST, NIB_DMA_SLOT * NIB_DMA_SLOTS, NIB_MEM_HOST,
				  NIB_PAGE_64K);
	if (!ret)
		ret = nib_dma_create_streams(dma);
	if (ret)
		goto err_fini;
	dma->queue = nib_queue_create(dma->vm, NIB_PRIORITY_REALTIME, NIB_WEIGHT_MAX,
				      NIB_QUEUE_KERNEL);
	if (IS_ERR(dma->queue)) {
		ret = PTR_ERR(no_free_ptr(dma->queue));
		goto err_fini;
	}
	/* The scheduler keeps the last fence for as long as the queue lives, which is as we do. */
	dma->queue->timeline->internal = true;
	dma->shared = nib_timeline_create("move", 0);
	if (!dma->shared) {
		ret = -ENOMEM;
		goto err_fini;
	}
	return 0;

err_fini:
	nib_dma_fini(ndev);
	return ret;
}

/* No client may be using memory any more: the driver is unplugged, or was never registered. */
void nib_dma_fini(struct nib_device *ndev)
{
	struct nib_dma *dma = ndev->dma;
	u32 i;

	if (!dma)
		return;
	ndev->dma = NULL;
	if (dma->queue)
		nib_queue_detach(dma->queue, -ENODEV);
	nib_queue_put(&dma->queue);
	nib_stream_put(&dma->fill);
	nib_stream_put(&dma->copy);
	if (dma->vm)
		nib_vm_close(dma->vm);
	for (i = 0; i < NIB_DMA_SLOTS; i++)
		dma_fence_put(dma->slots[i]);
	dma_fence_put(dma->last_move);
	nib_timeline_put(&dma->shared);
	mutex_destroy(&dma->lock);
	kfree(dma);
}

/* --- Batches --- */

static void nib_dma_free_work(struct work_struct *work)
{
	struct nib_dma_batch *batch = container_of(work, struct nib_dma_batch, free_work);

	dma_fence_put(batch->fence);
	nib_fence_put(batch->shared);
	nib_place_put(&batch->host);
	if (batch->free)
		batch->free(batch);
	else
		kfree(batch);
}

/**
 * nib_dma_batch_init - start a batch. Paired with nib_dma_batch_put().
 * @batch: batch.
 * @ndev: device.
 * @free: see struct nib_dma_batch.
 */
void nib_dma_batch_init(struct nib_dma_batch *batch, struct nib_device *ndev,
			void (*free)(struct nib_dma_batch *batch))
{
	kref_init(&batch->ref);
	batch->ndev = ndev;
	INIT_LIST_HEAD(&batch->runs);
	batch->fence = NULL;
	batch->shared = NULL;
	batch->host = NULL;
	batch->start = NULL;
	batch->free = free;
	INIT_WORK(&batch->free_work, nib_dma_free_work);
}

static void nib_dma_batch_release(struct kref *ref)
{
	struct nib_dma_batch *batch = container_of(ref, struct nib_dma_batch, ref);

	/* The last run may go in a scheduler. */
	queue_work(nib_cleanup_wq, &batch->free_work);
}

/* The owner lets go of a batch; what was not committed is dropped. */
void nib_dma_batch_put(struct nib_dma_batch *batch)
{
	struct nib_dma_run *dr, *next;

	list_for_each_entry_safe(dr, next, &batch->runs, link) {
		list_del(&dr->link);
		nib_run_destroy(dr->run);
	}
	kref_put(&batch->ref, nib_dma_batch_release);
}

/* Shows the device the part of host memory that a run is about. */
static void nib_dma_show_host(struct nib_dma_run *dr)
{
	struct nib_device *ndev = dr->batch->ndev;
	const struct nib_place *place = dr->batch->host;
	struct nib_mmu *mmu = &dr->run->queue->vm->mmu;
	u64 va = NIB_DMA_VA_HOST + dr->slot * NIB_DMA_SLOT, offset = dr->offset, size = dr->size;
	u32 seg = nib_place_find(place, offset);

	mutex_lock(&ndev->pt_lock);
	for (; size; seg++) {
		const struct nib_seg *part = &place->segs[seg];
		u64 step = min(size, nib_place_seg_end(place, seg, offset + size) - offset);

		/* Needs no tables: they are there. */
		nib_mmu_map_run(mmu, NULL, va, part->addr + offset - part->offset, step,
				NIB_PTE_VALID | NIB_PTE_WRITE |
					(u64)NIB_MEM_HOST << NIB_PTE_MEM_SHIFT,
				NIB_PAGE_64K);
		va += step;
		offset += step;
		size -= step;
	}
	nib_mmu_flush(mmu);
	mutex_unlock(&ndev->pt_lock);
}

static void nib_dma_run_start(struct nib_run *run)
{
	struct nib_dma_run *dr = run->data;

	if (dr->first && dr->batch->start)
		dr->batch->start(dr->batch);
	if (dr->host >= 0)
		nib_dma_show_host(dr);
}

static void nib_dma_run_release(struct nib_run *run)
{
	struct nib_dma_run *dr = run->data;

	kref_put(&dr->batch->ref, nib_dma_batch_release);
	kfree(dr);
}

static const struct nib_run_hooks nib_dma_run_hooks = {
	.start = nib_dma_run_start,
	.release = nib_dma_run_release,
};

/* Appends a run; its arguments follow. Returns it or NULL. */
static struct nib_dma_run *nib_dma_add(struct nib_dma_batch *batch, struct nib_stream *stream)
{
	struct nib_dma *dma = batch->ndev->dma;
	struct nib_dma_run *dr = kzalloc_obj(*dr);

	if (!dr)
		return NULL;
	dr->run = nib_run_create(dma->queue, stream, stream->nargs, 0, 0);
	if (IS_ERR(dr->run)) {
		kfree(dr);
		return NULL;
	}
	kref_get(&batch->ref);
	dr->batch = batch;
	dr->first = list_empty(&batch->runs);
	dr->host = -1;
	dr->run->data = dr;
	dr->run->hooks = &nib_dma_run_hooks;
	list_add_tail(&dr->link, &batch->runs);
	return dr;
}

static u64 nib_dma_va(enum nib_mem mem, u64 addr)
{
	return (mem == NIB_MEM_SRAM ? NIB_DMA_VA_SRAM : NIB_DMA_VA_HBM) + addr;
}

/**
 * nib_dma_add_fill - zero device memory.
 * @batch: batch.
 * @mem: HBM or SRAM.
 * @addr: first address in it.
 * @size: bytes; with 0 nothing happens, in its time.
 *
 * Returns 0 or -ENOMEM.
 */
int nib_dma_add_fill(struct nib_dma_batch *batch, enum nib_mem mem, u64 addr, u64 size)
{
	struct nib_dma_run *dr;
	u64 step;

	do {
		step = min(size, NIB_DMA_FILL_MAX);
		dr = nib_dma_add(batch, batch->ndev->dma->fill);
		if (!dr)
			return -ENOMEM;
		dr->run->args[0] = nib_dma_va(mem, addr);
		dr->run->args[1] = step / sizeof(u32);
		addr += step;
		size -= step;
	} while (size);
	return 0;
}

/**
 * nib_dma_add_copy - copy within the device.
 * @batch: batch.
 * @dst_mem: HBM or SRAM.
 * @dst: first address in it.
 * @src_mem: HBM or SRAM.
 * @src: first address in it.
 * @size: bytes, whole pages.
 *
 * Returns 0 or -ENOMEM.
 */
int nib_dma_add_copy(struct nib_dma_batch *batch, enum nib_mem dst_mem, u64 dst,
		     enum nib_mem src_mem, u64 src, u64 size)
{
	struct nib_dma_run *dr;
	u64 step;

	for (; size; dst += step, src += step, size -= step) {
		step = min(size, NIB_DMA_COPY_MAX);
		dr = nib_dma_add(batch, batch->ndev->dma->copy);
		if (!dr)
			return -ENOMEM;
		dr->run->args[0] = nib_dma_va(dst_mem, dst);
		dr->run->args[1] = nib_dma_va(src_mem, src);
		dr->run->args[2] = step / sizeof(u32);
	}
	return 0;
}

/**
 * nib_dma_add_host - copy between the device and host memory.
 * @batch: batch with nib_dma_batch.host.
 * @to_host: which way.
 * @offset: first byte of the place in host memory.
 * @mem: HBM or SRAM.
 * @addr: first address in it.
 * @size: bytes, whole pages.
 *
 * Returns 0 or -ENOMEM.
 */
int nib_dma_add_host(struct nib_dma_batch *batch, bool to_host, u64 offset, enum nib_mem mem,
		     u64 addr, u64 size)
{
	struct nib_dma_run *dr;
	u64 step;

	for (; size; offset += step, addr += step, size -= step) {
		step = min(size, NIB_DMA_SLOT);
		dr = nib_dma_add(batch, batch->ndev->dma->copy);
		if (!dr)
			return -ENOMEM;
		dr->host = to_host ? 0 : 1;
		dr->offset = offset;
		dr->size = step;
		dr->run->args[!dr->host] = nib_dma_va(mem, addr);
		dr->run->args[2] = step / sizeof(u32);
	}
	return 0;
}

/**
 * nib_dma_add_dependency - the batch, and all later ones, are to wait for a fence.
 * @batch: batch that has a run.
 * @fence: fence of something that was submitted already: what waits is always the younger one, so
 *	that nothing can wait for itself.
 *
 * Returns 0 or -ENOMEM.
 */
int nib_dma_add_dependency(struct nib_dma_batch *batch, struct dma_fence *fence)
{
	struct nib_dma_run *dr = list_first_entry(&batch->runs, struct nib_dma_run, link);
	struct nib_dma *dma = batch->ndev->dma;

	/* What is in the copy queue comes before anyway. */
	if (fence->context == dma->queue->timeline->context ||
	    fence->context == dma->shared->context || dma_fence_is_signaled(fence))
		return 0;
	return drm_sched_job_add_dependency(&dr->run->base, dma_fence_get(fence));
}

/* Gives a run its slot, which another one may still be using. */
static int nib_dma_take_slot_locked(struct nib_dma *dma, struct nib_dma_run *dr)
{
	struct dma_fence **user;
	int ret;

	lockdep_assert_held(&dma->lock);

	dr->slot = dma->next_slot++ % NIB_DMA_SLOTS;
	dr->run->args[dr->host] = NIB_DMA_VA_HOST + dr->slot * NIB_DMA_SLOT;
	user = &dma->slots[dr->slot];
	if (*user && !dma_fence_is_signaled(*user)) {
		ret = drm_sched_job_add_dependency(&dr->run->base, dma_fence_get(*user));
		if (ret)
			return ret;
	}
	dma_fence_put(*user);
	*user = dma_fence_get(&dr->run->fence->base);
	return 0;
}

/**
 * nib_dma_commit - hand a batch to the device.
 * @batch: batch that has a run.
 *
 * Returns 0, or -ENOMEM with nothing done.
 */
int nib_dma_commit(struct nib_dma_batch *batch)
{
	struct nib_dma *dma = batch->ndev->dma;
	struct dma_fence *users[NIB_DMA_SLOTS];
	struct nib_dma_run *dr, *next;
	unsigned int i;
	int ret = 0;

	if (batch->start) {
		batch->shared = nib_fence_alloc(dma->shared);
		if (!batch->shared)
			return -ENOMEM;
	}
	mutex_lock(&dma->lock);
	for (i = 0; i < NIB_DMA_SLOTS; i++)
		users[i] = dma_fence_get(dma->slots[i]);
	list_for_each_entry(dr, &batch->runs, link) {
		nib_fence_emit(dr->run->fence);
		if (dr->host >= 0 && !ret)
			ret = nib_dma_take_slot_locked(dma, dr);
	}
	if (ret) {
		/* Slots stay with those who had them. */
		for (i = 0; i < NIB_DMA_SLOTS; i++)
			swap(dma->slots[i], users[i]);
		list_for_each_entry(dr, &batch->runs, link)
			nib_fence_signal(dr->run->fence, -ECANCELED);
		goto out;
	}

	/* Nothing can fail after this point. */
	dr = list_last_entry(&batch->runs, struct nib_dma_run, link);
	batch->fence = dma_fence_get(&dr->run->fence->base);
	if (batch->start) {
		/* Before the scheduler does: the move is over for all when it frees the run. */
		nib_fence_follow(batch->shared, batch->fence);
		dma_fence_put(dma->last_move);
		dma->last_move = dma_fence_get(batch->fence);
	}
	list_for_each_entry_safe(dr, next, &batch->runs, link) {
		list_del_init(&dr->link);
		nib_run_push(dr->run);
	}
out:
	mutex_unlock(&dma->lock);
	for (i = 0; i < NIB_DMA_SLOTS; i++)
		dma_fence_put(users[i]);
	return ret;
}

/**
 * nib_dma_wait_moves - wait until memory that was given away is empty.
 * @ndev: device.
 * @timeout: in jiffies.
 *
 * For who writes HBM with the CPU. Not under a reservation. Returns 0, -ERESTARTSYS or -ETIME;
 * whether the moves went well does not matter here.
 */
int nib_dma_wait_moves(struct nib_device *ndev, long timeout)
{
	struct dma_fence *fence = NULL;
	int cookie;

	if (!drm_dev_enter(&ndev->drm, &cookie))
		return 0;
	/* Nothing moves while it is being made. */
	if (ndev->dma) {
		mutex_lock(&ndev->dma->lock);
		fence = dma_fence_get(ndev->dma->last_move);
		mutex_unlock(&ndev->dma->lock);
	}
	drm_dev_exit(cookie);
	if (fence)
		timeout = dma_fence_wait_timeout(fence, true, timeout);
	dma_fence_put(fence);
	return timeout < 0 ? timeout : timeout ? 0 : -ETIME;
}

/* True if contents may be lost: nothing may rely on what was moved. */
bool nib_dma_failed(struct nib_device *ndev)
{
	struct nib_dma *dma = READ_ONCE(ndev->dma);

	return dma && dma->queue && READ_ONCE(dma->queue->dead);
}

/* --- Zeroing --- */

static struct dma_fence *nib_dma_clear_by_device(struct nib_device *ndev, const struct nib_bo *bo)
{
	const struct nib_place *place = bo->place;
	struct nib_dma_batch *batch = kzalloc_obj(*batch);
	struct dma_fence *fence;
	int ret = 0;
	u32 seg;

	if (!batch)
		return ERR_PTR(-ENOMEM);
	nib_dma_batch_init(batch, ndev, NULL);
	for (seg = 0; seg < place->nsegs && !ret; seg++)
		ret = nib_dma_add_fill(batch, place->segs[seg].mem, place->segs[seg].addr,
				       nib_place_seg_end(place, seg, bo->base.size) -
					       place->segs[seg].offset);
	if (!ret)
		ret = nib_dma_commit(batch);
	fence = ret ? ERR_PTR(ret) : dma_fence_get(batch->fence);
	nib_dma_batch_put(batch);
	return fence;
}

/* True if the CPU is the faster one for it, and nothing is on its way out of there. */
static bool nib_dma_clear_suits_cpu(struct nib_device *ndev, const struct nib_bo *bo)
{
	struct nib_dma *dma = ndev->dma;
	const struct nib_place *place = bo->place;
	bool idle;
	u32 seg;

	if (bo->base.size > NIB_DMA_CPU_MAX)
		return false;
	for (seg = 0; seg < place->nsegs; seg++) {
		u64 size = nib_place_seg_end(place, seg, bo->base.size) - place->segs[seg].offset;

		if (place->segs[seg].mem != NIB_MEM_HBM ||
		    place->segs[seg].addr + size > ndev->window_bytes)
			return false;
	}
	mutex_lock(&dma->lock);
	idle = !dma->last_move || dma_fence_is_signaled(dma->last_move);
	mutex_unlock(&dma->lock);
	return idle;
}

static struct dma_fence *nib_dma_do_clear(struct nib_device *ndev, const struct nib_bo *bo)
{
	const struct nib_place *place = bo->place;
	u32 losses = READ_ONCE(ndev->losses), seg;

	if (!nib_dma_clear_suits_cpu(ndev, bo))
		return nib_dma_clear_by_device(ndev, bo);
	for (seg = 0; seg < place->nsegs; seg++)
		memset_io(nib_hbm_window(ndev, place->segs[seg].addr), 0,
			  nib_place_seg_end(place, seg, bo->base.size) - place->segs[seg].offset);
	/* Before anyone maps it. */
	wmb();
	/* A function that is being reset does not listen. */
	if (nib_gate_is_closed(&ndev->gate) || losses != READ_ONCE(ndev->losses))
		return nib_dma_clear_by_device(ndev, bo);
	return NULL;
}

/**
 * nib_dma_clear - zero a new buffer in HBM or SRAM.
 * @ndev: device.
 * @bo: buffer whose memory nobody else uses.
 *
 * Returns the fence to wait for with nib_dma_clear_wait(), NULL if it is done, or an ERR_PTR:
 * -ENOMEM or -ENODEV.
 */
struct dma_fence *nib_dma_clear(struct nib_device *ndev, const struct nib_bo *bo)
{
	struct dma_fence *fence;
	int cookie;

	if (!drm_dev_enter(&ndev->drm, &cookie))
		return ERR_PTR(-ENODEV);
	fence = nib_dma_do_clear(ndev, bo);
	drm_dev_exit(cookie);
	return fence;
}

/*
 * Nobody waits for a buffer to be zeroed any more: its memory goes to others meanwhile, as after a
 * move. Whoever writes it with the CPU waits for that then.
 */
static void nib_dma_leave_clear(struct nib_device *ndev, struct dma_fence *fence)
{
	struct nib_dma *dma;
	int cookie;

	/* Without a driver the device writes nothing more. */
	if (!drm_dev_enter(&ndev->drm, &cookie))
		return;
	dma = ndev->dma;
	mutex_lock(&dma->lock);
	if (!dma->last_move || dma_fence_is_later(fence, dma->last_move)) {
		dma_fence_put(dma->last_move);
		dma->last_move = dma_fence_get(fence);
	}
	mutex_unlock(&dma->lock);
	drm_dev_exit(cookie);
}

/**
 * nib_dma_clear_wait - wait until a buffer is zeroed.
 * @ndev: device.
 * @fence: what nib_dma_clear() returned, also if that is an error. Takes over the reference.
 *
 * With nothing held: it takes as long as the device does. Returns 0, -ERESTARTSYS with the memory
 * good for nothing but to be freed, -ENODEV, -EIO, or the error.
 */
int nib_dma_clear_wait(struct nib_device *ndev, struct dma_fence *fence)
{
	int ret;

	if (IS_ERR_OR_NULL(fence))
		return PTR_ERR_OR_ZERO(fence);
	/* Runs of a queue end in order, and one that fails takes those behind it along. */
	ret = dma_fence_wait(fence, true);
	if (ret)
		nib_dma_leave_clear(ndev, fence);
	else
		ret = fence->error;
	dma_fence_put(fence);
	if (!ret || ret == -ERESTARTSYS || ret == -ENODEV)
		return ret;
	/* No client can make this fail, and nothing can be made without it. */
	nib_device_lose(ndev, -EIO, "it does not clear memory");
	return -EIO;
}
