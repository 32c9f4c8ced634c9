// SPDX-License-Identifier: GPL-2.0
/*
 * debugfs. drm_driver.debugfs_init is never called for accel nodes, so that files are added by
 * hand.
 *
 * ping: read it for N bare round trips, doorbell to interrupt to this process: what a fence could
 * cost at best. Write N, 1..100000, to change how many. regs: registers by name. queues: those with
 * hardware. recovery: see recovery_debugfs.c.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "debugfs.h"
#include "device.h"
#include "queue.h"
#include "vm.h"

#define NIB_PING_MAX	100000u

static unsigned int nib_ping_count = 1000;

/* For sort(), of u64. */
int nib_debugfs_compare(const void *a, const void *b)
{
	const u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static int nib_debugfs_ping_show(struct seq_file *m, void *unused)
{
	struct nib_device *ndev = m->private;
	unsigned int n = READ_ONCE(nib_ping_count), i;
	u64 *ns = kvmalloc_array(n, sizeof(*ns), GFP_KERNEL);
	int ret = 0;

	if (!ns)
		return -ENOMEM;
	ret = nib_pm_get(ndev);
	if (ret)
		goto out;
	mutex_lock(&ndev->ipc.ping_lock);
	for (i = 0; i < n && !ret; i++)
		ret = nib_ipc_ping(ndev, &ns[i]);
	mutex_unlock(&ndev->ipc.ping_lock);
	nib_pm_put(ndev);
	if (!ret) {
		sort(ns, n, sizeof(*ns), nib_debugfs_compare, NULL);
		seq_printf(m, "count %u\nmin_ns %llu\nmedian_ns %llu\np99_ns %llu\n", n, ns[0],
			   ns[n / 2], ns[n - 1 - n / 100]);
	}
out:
	kvfree(ns);
	return ret;
}

static ssize_t nib_debugfs_ping_write(struct file *file, const char __user *text, size_t size,
				      loff_t *offset)
{
	unsigned int n;
	int ret = kstrtouint_from_user(text, size, 0, &n);

	if (ret)
		return ret;
	if (!n || n > NIB_PING_MAX)
		return -EINVAL;
	WRITE_ONCE(nib_ping_count, n);
	return size;
}

DEFINE_SHOW_STORE_ATTRIBUTE(nib_debugfs_ping);

struct nib_debugfs_reg {
	const char *name;
	u32 offset;
	bool wide;
};

#define NIB_REG32(reg)	{ #reg, reg, false }
#define NIB_REG64(reg)	{ #reg, reg, true }

/* Reading none of these changes anything but POWER_MW's mean. */
static const struct nib_debugfs_reg nib_debugfs_reg_list[] = {
	NIB_REG32(NIB_REG_MAGIC), NIB_REG32(NIB_REG_HW_VERSION), NIB_REG32(NIB_REG_CHIP),
	NIB_REG32(NIB_REG_FEATURES), NIB_REG64(NIB_REG_HBM_BYTES), NIB_REG64(NIB_REG_WINDOW_BYTES),
	NIB_REG64(NIB_REG_SRAM_BYTES), NIB_REG32(NIB_REG_NUM_CONTEXTS),
	NIB_REG32(NIB_REG_NUM_QUEUES), NIB_REG32(NIB_REG_NUM_STREAMS), NIB_REG64(NIB_REG_FW_ADDR),
	NIB_REG32(NIB_REG_FW_BYTES), NIB_REG32(NIB_REG_FW_STATE), NIB_REG32(NIB_REG_FW_ERROR),
	NIB_REG32(NIB_REG_FW_API), NIB_REG32(NIB_REG_FW_HEARTBEAT), NIB_REG64(NIB_REG_CTRL_ADDR),
	NIB_REG32(NIB_REG_RESET_COUNT), NIB_REG64(NIB_REG_CLOCK_NS), NIB_REG64(NIB_REG_BUSY_NS),
	NIB_REG64(NIB_REG_ENERGY_UJ), NIB_REG32(NIB_REG_POWER_MW), NIB_REG32(NIB_REG_TEMP_MC),
};

static int nib_debugfs_regs_show(struct seq_file *m, void *unused)
{
	struct nib_device *ndev = m->private;
	unsigned int i;
	int cookie;

	if (!drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	if (!nib_pm_get_if_awake(ndev)) {
		/* All of them read as ones, which is no news. */
		seq_puts(m, "asleep\n");
		goto out;
	}
	for (i = 0; i < ARRAY_SIZE(nib_debugfs_reg_list); i++) {
		const struct nib_debugfs_reg *reg = &nib_debugfs_reg_list[i];
		u64 value = reg->wide ? nib_read64(ndev, reg->offset, reg->name) :
					nib_read32(ndev, reg->offset, reg->name);

		seq_printf(m, "%-24s %#05x %#llx\n", reg->name, reg->offset, value);
	}
	nib_pm_put_unused(ndev);
out:
	drm_dev_exit(cookie);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(nib_debugfs_regs);

static void nib_debugfs_show_queue(struct seq_file *m, struct nib_queue *queue)
{
	const struct nib_queue_status *status = nib_queue_status_page(queue);
	u64 head, tail;
	u32 state;

	spin_lock_irq(&queue->timeline->lock);
	head = queue->head;
	tail = queue->tail;
	state = queue->state;
	spin_unlock_irq(&queue->timeline->lock);
	seq_printf(m, "%5u %7u %8u %6u %6u %#5x %10llu %10llu %12llu %7u\n", queue->hw_id,
		   queue->vm->context, queue->priority, queue->weight, queue->vector, state, tail,
		   tail - head, READ_ONCE(status->packets), READ_ONCE(status->running));
}

static int nib_debugfs_queues_show(struct seq_file *m, void *unused)
{
	struct nib_device *ndev = m->private;
	struct nib_queue *queue;
	int cookie;

	if (!drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	seq_puts(m, "queue context priority weight vector state  submitted  in-flight");
	seq_puts(m, "      packets running\n");
	mutex_lock(&ndev->queues_lock);
	list_for_each_entry(queue, &ndev->queues, link)
		nib_debugfs_show_queue(m, queue);
	mutex_unlock(&ndev->queues_lock);
	drm_dev_exit(cookie);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(nib_debugfs_queues);

/* DRM removes the directory when the device is unregistered. */
void nib_debugfs_init(struct nib_device *ndev)
{
	struct dentry *root = ndev->drm.debugfs_root;

	debugfs_create_file("ping", 0600, root, ndev, &nib_debugfs_ping_fops);
	debugfs_create_file("regs", 0400, root, ndev, &nib_debugfs_regs_fops);
	debugfs_create_file("queues", 0400, root, ndev, &nib_debugfs_queues_fops);
	nib_recovery_debugfs_init(ndev);
}
