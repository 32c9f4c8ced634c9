// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/PID/fdinfo: what a client has used, by the rules of drm-usage-stats.rst. Times and cycles
 * are those of the model. DRM itself prints driver, client id and PCI device.
 */
#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "drv.h"
#include "gem.h"
#include "queue.h"

static void nib_fdinfo_memory(struct drm_printer *p, const char *region, u64 bytes)
{
	/* Nothing is evicted or shared, so everything is resident. */
	const struct drm_memory_stats stats = { .private = bytes, .resident = bytes };

	drm_print_memory_stats(p, &stats, DRM_GEM_OBJECT_RESIDENT, region);
}

void nib_fdinfo_show(struct drm_printer *p, struct drm_file *drm_file)
{
	struct nib_file *file = drm_file->driver_priv;
	struct nib_client_memory memory;
	struct nib_queue *queue;
	u64 run_ns, cycles;
	unsigned long id;

	mutex_lock(&file->lock);
	run_ns = file->retired.run_ns;
	cycles = file->retired.cycles;
	xa_for_each(&file->queues, id, queue) {
		struct nib_usage usage;

		nib_queue_get_usage(queue, &usage);
		run_ns += usage.run_ns;
		cycles += usage.cycles;
	}
	mutex_unlock(&file->lock);
	drm_printf(p, "drm-engine-npu:\t%llu ns\n", run_ns);
	drm_printf(p, "drm-cycles-npu:\t%llu\n", cycles);

	nib_gem_client_memory(drm_file, &memory);
	nib_fdinfo_memory(p, "hbm", memory.bytes[NIB_MEM_HBM]);
	nib_fdinfo_memory(p, "sram", memory.bytes[NIB_MEM_SRAM]);
	nib_fdinfo_memory(p, "memory", memory.bytes[NIB_MEM_HOST]);
}
