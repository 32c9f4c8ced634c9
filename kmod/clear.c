// SPDX-License-Identifier: GPL-2.0
/*
 * Zeroing is the device's work: it reaches HBM outside of the window, and SRAM, and it is faster.
 * The driver has a VM, a stream and a queue for it, like a client's in every respect. Only what is
 * small and in the window is left to the CPU, which is done before a doorbell would have been
 * answered.
 */
#include <linux/slab.h>

#include "clear.h"
#include "compat.h"
#include "device.h"
#include "drv.h"
#include "gem.h"
#include "nib_isa.h"
#include "queue.h"
#include "stream.h"
#include "vm.h"

/* Where the clearing VM shows all of HBM and of SRAM. */
#define NIB_CLEAR_VA_HBM	0ull
#define NIB_CLEAR_VA_SRAM	BIT_ULL(47)

#define NIB_CLEAR_CPU_MAX	0x40000u	/* bytes; more is left to the device */
#define NIB_CLEAR_RUN_MAX	(4ull << 30)	/* bytes of one run */

/**
 * struct nib_clear - what zeroes memory.
 * @vm: maps all memories of the device.
 * @stream: FILL argument 0 with zeros, for as many words as argument 1 says.
 * @queue: runs it.
 * @lock: makes emitting, arming and pushing one step.
 */
struct nib_clear {
	struct nib_vm *vm;
	struct nib_stream *stream;
	struct nib_queue *queue;
	struct mutex lock;	/* see above */
};

static int nib_clear_map(struct nib_clear *clear, u64 va, u64 size, enum nib_mem mem)
{
	struct nib_mmu *mmu = &clear->vm->mmu;
	struct nib_pt_need need = {};
	struct nib_pt_pool pool;
	int ret, cookie;

	if (!size)
		return 0;
	nib_pt_pool_init(&pool);
	nib_pt_need_run(&need, va, 0, size);
	ret = nib_pt_pool_reserve(&pool, mmu->ndev, &need, va, size);
	if (!ret && drm_dev_enter(&mmu->ndev->drm, &cookie)) {
		ret = nib_mmu_map_run(mmu, &pool, va, 0, size,
				      NIB_PTE_VALID | NIB_PTE_WRITE | mem << NIB_PTE_MEM_SHIFT);
		drm_dev_exit(cookie);
	}
	nib_pt_pool_fini(&pool, mmu->ndev);
	return ret;
}

static int nib_clear_create_stream(struct nib_clear *clear)
{
	const struct {
		struct nib_pkt_fill fill;
		struct nib_pkt end;
	} packets = {
		.fill = {
			.hdr = { .op = NIB_OP_FILL, .words = 4, .argmask = 0x3 },
			.dst = NIB_ARG(0, 0),
			.count = NIB_ARG(1, 0),
		},
		.end = { .op = NIB_OP_END, .words = 1 },
	};
	struct nib_stream *stream;

	stream = nib_stream_create(clear->vm, (const u64 *)&packets, sizeof(packets), 2);
	if (IS_ERR(stream))
		return PTR_ERR(stream);
	clear->stream = stream;
	return 0;
}

/* Paired with nib_clear_fini(). */
int nib_clear_init(struct nib_device *ndev)
{
	struct nib_clear *clear = kzalloc_obj(*clear);
	int ret;

	if (!clear)
		return -ENOMEM;
	mutex_init(&clear->lock);
	ndev->clear = clear;
	clear->vm = nib_vm_create(ndev, NULL);
	if (IS_ERR(clear->vm)) {
		ret = PTR_ERR(clear->vm);
		clear->vm = NULL;
		goto err_fini;
	}
	ret = nib_clear_map(clear, NIB_CLEAR_VA_HBM, ndev->vram.hbm.size, NIB_MEM_HBM);
	if (!ret)
		ret = nib_clear_map(clear, NIB_CLEAR_VA_SRAM, ndev->sram_bytes, NIB_MEM_SRAM);
	if (!ret)
		ret = nib_clear_create_stream(clear);
	if (ret)
		goto err_fini;
	clear->queue = nib_queue_create(clear->vm, NIB_PRIORITY_REALTIME, NIB_WEIGHT_MAX);
	if (IS_ERR(clear->queue)) {
		ret = PTR_ERR(clear->queue);
		clear->queue = NULL;
		goto err_fini;
	}
	/* The scheduler keeps the last fence for as long as the queue lives, which is as we do. */
	clear->queue->timeline->internal = true;
	return 0;

err_fini:
	nib_clear_fini(ndev);
	return ret;
}

/* No client may be creating buffers any more: the driver is unplugged, or was never registered. */
void nib_clear_fini(struct nib_device *ndev)
{
	struct nib_clear *clear = ndev->clear;

	if (!clear)
		return;
	ndev->clear = NULL;
	if (clear->queue)
		nib_queue_detach(clear->queue, -ENODEV);
	nib_queue_put(&clear->queue);
	nib_stream_put(&clear->stream);
	if (clear->vm)
		nib_vm_close(clear->vm);
	mutex_destroy(&clear->lock);
	kfree(clear);
}

/* Gives the device one run; returns its fence, or an ERR_PTR. */
static struct dma_fence *nib_clear_push(struct nib_clear *clear, u64 va, u64 size)
{
	struct nib_run *run = nib_run_create(clear->queue, clear->stream, 2, 0, 0);
	struct dma_fence *fence;

	if (IS_ERR(run))
		return ERR_CAST(run);
	run->args[0] = va;
	run->args[1] = size / sizeof(u32);
	mutex_lock(&clear->lock);
	nib_fence_emit(run->fence);
	fence = dma_fence_get(&run->fence->base);
	drm_sched_job_arm(&run->base);
	drm_sched_entity_push_job(&run->base);
	mutex_unlock(&clear->lock);
	return fence;
}

static int nib_clear_by_device(struct nib_device *ndev, const struct nib_bo *bo)
{
	u64 base = nib_bo_mem(bo) == NIB_MEM_SRAM ? NIB_CLEAR_VA_SRAM : NIB_CLEAR_VA_HBM;
	struct dma_fence *last = NULL, *fence;
	int ret = 0;
	u32 seg;

	for (seg = 0; seg < bo->nsegs && !ret; seg++) {
		u64 size = nib_bo_seg_end(bo, seg) - bo->segs[seg].offset;
		u64 va = base + bo->segs[seg].addr, step;

		for (; size && !ret; size -= step, va += step) {
			step = min(size, NIB_CLEAR_RUN_MAX);
			fence = nib_clear_push(ndev->clear, va, step);
			if (IS_ERR(fence)) {
				ret = PTR_ERR(fence);
				break;
			}
			dma_fence_put(last);
			last = fence;
		}
	}
	if (!last)
		return ret;
	/*
	 * Not interruptible, since the device must be done before the memory goes anywhere; bounded
	 * by the watchdog. Runs of a queue end in order, and one that fails takes those behind it
	 * along.
	 */
	dma_fence_wait(last, false);
	ret = ret ?: last->error;
	dma_fence_put(last);
	return ret;
}

/* True if the CPU is the faster one for it. */
static bool nib_clear_suits_cpu(struct nib_device *ndev, const struct nib_bo *bo)
{
	u32 seg;

	if (nib_bo_mem(bo) != NIB_MEM_HBM || bo->base.size > NIB_CLEAR_CPU_MAX)
		return false;
	for (seg = 0; seg < bo->nsegs; seg++)
		if (bo->segs[seg].addr + nib_bo_seg_end(bo, seg) - bo->segs[seg].offset >
		    ndev->window_bytes)
			return false;
	return true;
}

/**
 * nib_clear_bo - zero a new buffer in HBM or SRAM. Called between drm_dev_enter() and
 * drm_dev_exit().
 * @ndev: device.
 * @bo: buffer that nobody else knows yet.
 *
 * Returns 0, -ENOMEM, -ENODEV or -EIO.
 */
int nib_clear_bo(struct nib_device *ndev, const struct nib_bo *bo)
{
	int ret;
	u32 seg;

	if (!nib_clear_suits_cpu(ndev, bo)) {
		ret = nib_clear_by_device(ndev, bo);
		if (!ret || ret == -ENOMEM || ret == -ENODEV)
			return ret;
		/* No client can make this fail, and nothing can be made without it. */
		nib_device_lose(ndev, -EIO, "it does not clear memory");
		return -EIO;
	}
	for (seg = 0; seg < bo->nsegs; seg++)
		memset_io(nib_hbm_window(ndev, bo->segs[seg].addr), 0,
			  nib_bo_seg_end(bo, seg) - bo->segs[seg].offset);
	/* Before anyone maps it. */
	wmb();
	return 0;
}
