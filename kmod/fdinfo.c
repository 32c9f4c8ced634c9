// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/PID/fdinfo: what a client has used, by the rules of drm-usage-stats.rst. Times, cycles and
 * energy are those of the device; nothing here goes back, whatever is reset or destroyed. DRM
 * itself prints driver, client id and PCI device.
 *
 * The engine is "npu". It has no drm-maxfreq: clocks are the model's, and busy time says the same.
 * Regions are "hbm", "sram" and, as everywhere, "memory" for the host's. Keys of our own:
 *
 *	nib-jobs-npu: <uint>		 completed
 *	nib-energy-npu: <uint> uJ
 *	nib-evicted-hbm: <uint> KiB	 moved from HBM to host memory
 *	nib-restored-hbm: <uint> KiB	 moved back
 */
#include <linux/math64.h>

#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "drv.h"
#include "gem.h"
#include "queue.h"
#include "residency.h"

static void nib_fdinfo_memory(struct drm_printer *p, const struct nib_client_memory *memory,
			      enum nib_mem mem, const char *region)
{
	const struct drm_memory_stats stats = {
		.shared = memory->shared[mem],
		.private = memory->bytes[mem] - memory->shared[mem],
		.resident = memory->resident[mem],
		.purgeable = memory->purgeable[mem],
	};

	drm_print_memory_stats(p, &stats, DRM_GEM_OBJECT_RESIDENT | DRM_GEM_OBJECT_PURGEABLE,
			       region);
}

static void nib_usage_add(struct nib_usage *sum, const struct nib_usage *usage)
{
	sum->jobs += usage->jobs;
	sum->run_ns += usage->run_ns;
	sum->energy_pj += usage->energy_pj;
	sum->cycles += usage->cycles;
}

/**
 * nib_file_retire_queue - keep what a queue has used beyond its life.
 * @file: client.
 * @queue: queue that is no longer in the client's table, or just leaves it.
 *
 * Called when the queue leaves the table, and again once it is detached, for the rest.
 */
void nib_file_retire_queue(struct nib_file *file, struct nib_queue *queue)
{
	struct nib_usage usage, rest;

	lockdep_assert_held(&file->lock);

	nib_queue_get_usage(queue, &usage);
	rest = (struct nib_usage){
		.jobs = usage.jobs - queue->retired.jobs,
		.run_ns = usage.run_ns - queue->retired.run_ns,
		.energy_pj = usage.energy_pj - queue->retired.energy_pj,
		.cycles = usage.cycles - queue->retired.cycles,
	};
	nib_usage_add(&file->retired, &rest);
	queue->retired = usage;
}

/* What the queues of a client have used, those that are gone included. Never goes back. */
static void nib_file_get_usage(struct nib_file *file, struct nib_usage *sum)
{
	struct nib_queue *queue;
	struct nib_usage usage;
	unsigned long id;

	mutex_lock(&file->lock);
	*sum = file->retired;
	xa_for_each(&file->queues, id, queue) {
		nib_queue_get_usage(queue, &usage);
		nib_usage_add(sum, &usage);
	}
	mutex_unlock(&file->lock);
}

/* Sums over the client's leases of SRAM, those that are gone included. Never goes back. */
static void nib_fdinfo_leases(struct drm_printer *p, struct nib_file *file)
{
	struct nib_sram_usage usage;

	nib_sram_client_usage(file, &usage);
	drm_printf(p, "nib-lease-hits:\t%llu\n", usage.hits);
	drm_printf(p, "nib-lease-misses:\t%llu\n", usage.misses);
	drm_printf(p, "nib-lease-spills:\t%llu\n", usage.spills);
	drm_printf(p, "nib-lease-restores:\t%llu\n", usage.restores);
	drm_printf(p, "nib-lease-spilled:\t%llu KiB\n", usage.spilled_bytes >> 10);
	drm_printf(p, "nib-lease-restored:\t%llu KiB\n", usage.restored_bytes >> 10);
}

void nib_fdinfo_show(struct drm_printer *p, struct drm_file *drm_file)
{
	struct nib_file *file = drm_file->driver_priv;
	struct nib_client_memory memory;
	struct nib_usage usage;

	nib_file_get_usage(file, &usage);
	drm_printf(p, "drm-engine-npu:\t%llu ns\n", usage.run_ns);
	drm_printf(p, "drm-cycles-npu:\t%llu\n", usage.cycles);
	drm_printf(p, "nib-jobs-npu:\t%llu\n", usage.jobs);
	drm_printf(p, "nib-energy-npu:\t%llu uJ\n", div_u64(usage.energy_pj, 1000000));

	nib_fdinfo_leases(p, file);

	nib_gem_client_memory(drm_file, &memory);
	nib_fdinfo_memory(p, &memory, NIB_MEM_HBM, "hbm");
	nib_fdinfo_memory(p, &memory, NIB_MEM_SRAM, "sram");
	nib_fdinfo_memory(p, &memory, NIB_MEM_HOST, "memory");
	drm_printf(p, "nib-evicted-hbm:\t%llu KiB\n",
		   (u64)atomic64_read(&file->moved->evicted) >> 10);
	drm_printf(p, "nib-restored-hbm:\t%llu KiB\n",
		   (u64)atomic64_read(&file->moved->restored) >> 10);
}
