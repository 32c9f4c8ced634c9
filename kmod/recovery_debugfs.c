// SPDX-License-Identifier: GPL-2.0
/*
 * debugfs "recovery": what each rung of the ladder has been tried and good for, and how long it
 * took itself, without the time until somebody found that it was needed.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "debugfs.h"
#include "device.h"
#include "recovery.h"

static int nib_recovery_show(struct seq_file *m, void *unused)
{
	struct nib_device *ndev = m->private;
	struct nib_rung_stats *stats = kmalloc(sizeof(*stats), GFP_KERNEL);
	unsigned int rung, n;

	if (!stats)
		return -ENOMEM;
	seq_puts(m, "rung       tried   helped       min_ns    median_ns       max_ns\n");
	for (rung = 0; rung < NIB_RUNGS; rung++) {
		spin_lock_irq(&ndev->recovery.lock);
		*stats = ndev->recovery.stats[rung];
		spin_unlock_irq(&ndev->recovery.lock);
		n = min(stats->samples, NIB_RUNG_SAMPLES);
		sort(stats->ns, n, sizeof(stats->ns[0]), nib_debugfs_compare, NULL);
		seq_printf(m, "%-8s %7u  %7u %12llu %12llu %12llu\n", nib_rung_name(rung),
			   stats->tried, stats->helped, n ? stats->ns[0] : 0,
			   n ? stats->ns[n / 2] : 0, n ? stats->ns[n - 1] : 0);
	}
	kfree(stats);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(nib_recovery);

void nib_recovery_debugfs_init(struct nib_device *ndev)
{
	debugfs_create_file("recovery", 0400, ndev->drm.debugfs_root, ndev, &nib_recovery_fops);
}
