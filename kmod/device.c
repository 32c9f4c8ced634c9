// SPDX-License-Identifier: GPL-2.0
/*
 * Probe, remove, and losing a device. A device is lost when it vanishes (reads give all ones) or no
 * longer answers; from then on every fence is signalled with an error and every ioctl fails, but
 * the driver stays bound and files stay open until someone unbinds it.
 */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/wait_bit.h>

#include <drm/drm_managed.h>

#include "compat.h"
#include "debugfs.h"
#include "device.h"
#include "dma.h"
#include "drv.h"
#include "dump.h"
#include "fw.h"
#include "hostmem.h"
#include "hwmon.h"
#include "netlink.h"
#include "pm.h"
#include "prime.h"
#include "queue.h"
#include "shrink.h"
#include "watchdog.h"

/* As many reads of all ones in a row mean that there is nobody who answers. */
#define NIB_GONE_READS	3u

struct workqueue_struct *nib_cleanup_wq;

/**
 * nib_device_is_gone - does the device no longer respond to reads?
 * @ndev: device.
 */
bool nib_device_is_gone(struct nib_device *ndev)
{
	unsigned int i;

	/* One read may fail on its way, and the link live on. */
	for (i = 0; i < NIB_GONE_READS; i++)
		if (readl(ndev->regs + NIB_REG_MAGIC) != U32_MAX)
			return false;
	return true;
}

static void nib_device_lost_work(struct work_struct *work)
{
	struct nib_device *ndev = container_of(work, struct nib_device, lost_work);
	bool cookie = dma_fence_begin_signalling();
	struct nib_queue *queue;

	mutex_lock(&ndev->queues_lock);
	list_for_each_entry(queue, &ndev->queues, link)
		nib_queue_abandon(queue, nib_device_lost(ndev));
	mutex_unlock(&ndev->queues_lock);
	dma_fence_end_signalling(cookie);
}

/**
 * nib_device_lose - give a device up.
 * @ndev: device.
 * @error: -ENODEV if it is gone, -EIO if it does not work; what its fences will carry.
 * @why: for the log.
 *
 * May be called where fences are signalled, but not in interrupts. Only the first call counts.
 */
void nib_device_lose(struct nib_device *ndev, int error, const char *why)
{
	if (atomic_cmpxchg(&ndev->lost, 0, error))
		return;
	dev_err(&ndev->pdev->dev, "device lost: %s\n", why);
	nib_notify_reset(ndev, NIB_RUNG_WEDGED, U32_MAX);
	/* It must not write to memory whose fences we are about to signal. */
	pci_clear_master(ndev->pdev);
	wake_up_all(&ndev->ipc.wait);
	queue_work(ndev->recovery_wq, &ndev->lost_work);
}

/**
 * nib_device_flush_cleanup - wait until what was released is really free.
 * @ndev: device.
 *
 * A run is freed, its queue's last one lets go of the queue, that of its VM, and that of memory: a
 * few steps. Not from where fences are signalled.
 */
void nib_device_flush_cleanup(struct nib_device *ndev)
{
	unsigned int i;

	flush_workqueue(ndev->run_wq);
	flush_workqueue(ndev->sched_wq);
	for (i = 0; i < 4; i++)
		flush_workqueue(nib_cleanup_wq);
}

/**
 * nib_device_alloc_id - take a context or queue id. ida_free() gives it back.
 * @ndev: device.
 * @ids: which kind.
 * @count: how many there are.
 *
 * Returns the id, or -ENFILE if there is none left, or -ENOMEM.
 */
int nib_device_alloc_id(struct nib_device *ndev, struct ida *ids, u32 count)
{
	int id = ida_alloc_max(ids, count - 1, GFP_KERNEL);

	if (id == -ENOSPC) {
		nib_device_flush_cleanup(ndev);
		id = ida_alloc_max(ids, count - 1, GFP_KERNEL);
	}
	return id == -ENOSPC ? -ENFILE : id;
}

void nib_device_read_string(struct nib_device *ndev, u32 reg, char *text)
{
	unsigned int i;

	for (i = 0; i < 32; i += 4) {
		u32 word = readl(ndev->regs + reg + i);

		memcpy(text + i, &word, sizeof(word));
	}
	text[32] = 0;
}

static int nib_device_map_bars(struct nib_device *ndev)
{
	struct pci_dev *pdev = ndev->pdev;

	if (pci_resource_len(pdev, NIB_BAR_REGS) < NIB_BAR_REGS_BYTES ||
	    pci_resource_len(pdev, NIB_BAR_DOORBELLS) < NIB_BAR_DOORBELL_BYTES) {
		dev_err(&pdev->dev, "BARs are missing or too small\n");
		return -ENODEV;
	}
	ndev->regs = pcim_iomap_region(pdev, NIB_BAR_REGS, NIB_DRM_NAME);
	if (IS_ERR(ndev->regs))
		return PTR_ERR(ndev->regs);
	ndev->doorbells = pcim_iomap_region(pdev, NIB_BAR_DOORBELLS, NIB_DRM_NAME);
	return PTR_ERR_OR_ZERO(ndev->doorbells);
}

/* Reads what the device is, and refuses what cannot be. */
static int nib_device_identify(struct nib_device *ndev)
{
	struct device *dev = &ndev->pdev->dev;
	u32 magic = nib_read(ndev, NIB_REG_MAGIC);

	if (magic != NIB_MAGIC) {
		dev_err(dev, "no device behind the registers: magic %#x\n", magic);
		return -ENODEV;
	}
	ndev->hw_version = nib_read(ndev, NIB_REG_HW_VERSION);
	if (ndev->hw_version >> 16 != NIB_HW_MAJOR) {
		dev_err(dev, "hardware version %u.%u, but this driver knows %u.x\n",
			ndev->hw_version >> 16, ndev->hw_version & 0xffff, NIB_HW_MAJOR);
		return -ENODEV;
	}
	ndev->hbm_bytes = nib_readq(ndev, NIB_REG_HBM_BYTES);
	ndev->window_bytes = nib_readq(ndev, NIB_REG_WINDOW_BYTES);
	ndev->sram_bytes = nib_readq(ndev, NIB_REG_SRAM_BYTES);
	ndev->num_contexts = min(nib_read(ndev, NIB_REG_NUM_CONTEXTS), NIB_MAX_CONTEXTS);
	ndev->num_queues = min(nib_read(ndev, NIB_REG_NUM_QUEUES), NIB_MAX_QUEUES);
	ndev->num_streams = min(nib_read(ndev, NIB_REG_NUM_STREAMS), NIB_MAX_STREAMS);
	nib_device_read_string(ndev, NIB_REG_CHIP_NAME, ndev->chip);

	if (!ndev->window_bytes || ndev->window_bytes > ndev->hbm_bytes ||
	    ndev->window_bytes > pci_resource_len(ndev->pdev, NIB_BAR_HBM) ||
	    !IS_ALIGNED(ndev->window_bytes | ndev->hbm_bytes, PAGE_SIZE) ||
	    !IS_ALIGNED(ndev->sram_bytes, NIB_PAGE_4K) ||
	    ndev->hbm_bytes > NIB_PTE_ADDR_MASK || ndev->sram_bytes > NIB_PTE_ADDR_MASK ||
	    ndev->num_contexts < 2 || ndev->num_queues < 2 || ndev->num_streams < 2) {
		dev_err(dev, "impossible sizes: HBM %#llx, window %#llx, SRAM %#llx\n",
			ndev->hbm_bytes, ndev->window_bytes, ndev->sram_bytes);
		return -ENODEV;
	}
	return 0;
}

static int nib_device_map_window(struct nib_device *ndev)
{
	int ret = pcim_request_region(ndev->pdev, NIB_BAR_HBM, NIB_DRM_NAME);

	if (ret)
		return ret;
	ndev->window_phys = pci_resource_start(ndev->pdev, NIB_BAR_HBM);
	ndev->window = devm_ioremap_wc(&ndev->pdev->dev, ndev->window_phys, ndev->window_bytes);
	return ndev->window ? 0 : -ENOMEM;
}

static void nib_device_destroy_wq(struct drm_device *drm, void *wq)
{
	destroy_workqueue(wq);
}

/* What lives as long as the DRM device, which files may keep beyond the driver. */
static int nib_device_init_software(struct nib_device *ndev)
{
	struct drm_device *drm = &ndev->drm;
	int ret;

	INIT_LIST_HEAD(&ndev->queues);
	INIT_LIST_HEAD(&ndev->host_bos);
	INIT_LIST_HEAD(&ndev->imports);
	INIT_WORK(&ndev->lost_work, nib_device_lost_work);
	nib_watchdog_init(ndev);
	nib_recovery_init(ndev);
	ida_init(&ndev->context_ids);
	ida_init(&ndev->queue_ids);
	ret = nib_users_init(ndev) ?:
	      nib_dump_init(ndev) ?:
	      drmm_mutex_init(drm, &ndev->queues_lock) ?:
	      nib_residency_init(ndev) ?:
	      drmm_mutex_init(drm, &ndev->pt_lock) ?:
	      drmm_mutex_init(drm, &ndev->host_bos_lock) ?:
	      drmm_mutex_init(drm, &ndev->imports_lock);
	if (ret)
		return ret;
	ndev->sched_wq = alloc_workqueue(NIB_DRM_NAME "-sched",
					 WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (!ndev->sched_wq)
		return -ENOMEM;
	ret = drmm_add_action_or_reset(drm, nib_device_destroy_wq, ndev->sched_wq);
	if (ret)
		return ret;
	ndev->run_wq = alloc_workqueue(NIB_DRM_NAME "-run",
				       WQ_PERCPU | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (!ndev->run_wq)
		return -ENOMEM;
	ret = drmm_add_action_or_reset(drm, nib_device_destroy_wq, ndev->run_wq);
	if (ret)
		return ret;
	ndev->recovery_wq = alloc_workqueue(NIB_DRM_NAME "-recovery", WQ_UNBOUND | WQ_MEM_RECLAIM,
					    0);
	if (!ndev->recovery_wq)
		return -ENOMEM;
	ret = drmm_add_action_or_reset(drm, nib_device_destroy_wq, ndev->recovery_wq);
	if (ret)
		return ret;

	/* These locks are taken where fences are signalled: teach lockdep that reclaim may wait. */
	fs_reclaim_acquire(GFP_KERNEL);
	might_lock(&ndev->queues_lock);
	might_lock(&ndev->pt_lock);
	might_lock(&ndev->host_bos_lock);
	fs_reclaim_release(GFP_KERNEL);
	return nib_shrinker_init(ndev);
}

static int nib_device_init_hardware(struct nib_device *ndev)
{
	struct pci_dev *pdev = ndev->pdev;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(52));
	if (ret)
		return ret;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	ret = nib_device_map_bars(ndev);
	if (ret)
		return ret;
	ret = nib_device_identify(ndev);
	if (ret)
		return ret;
	return nib_device_map_window(ndev);
}

/* Takes the hardware away from every queue that still has it; on return nobody is at it either. */
static void nib_device_detach_queues(struct nib_device *ndev)
{
	struct nib_queue *queue;

	for (;;) {
		mutex_lock(&ndev->queues_lock);
		queue = list_first_entry_or_null(&ndev->queues, struct nib_queue, link);
		if (queue)
			nib_queue_get(queue);
		mutex_unlock(&ndev->queues_lock);
		if (!queue)
			break;
		nib_queue_detach(queue, -ENODEV);
		nib_queue_put(&queue);
	}
	wait_var_event(&ndev->attached, !atomic_read(&ndev->attached));
}

/* Stops a device that is unplugged or lost: nobody starts anything on it, and it writes nothing. */
static void nib_device_halt(struct nib_device *ndev)
{
	nib_sensors_stop(ndev);
	/* Each may have had the other one run once more. */
	nib_recovery_stop(ndev);
	nib_watchdog_stop(ndev);
	nib_recovery_stop(ndev);
	/* Who waits for an answer looks for it in memory that is about to go. */
	nib_gate_close(ndev);
	nib_gate_open(ndev);
	nib_fw_halt(ndev);
	/* From here on the device writes nowhere. */
	pci_clear_master(ndev->pdev);
	complete_all(&ndev->stopped);
	nib_device_detach_queues(ndev);
}

/* Ends everybody's use of the device, whatever it was. Then it writes nowhere. */
static void nib_device_stop(struct nib_device *ndev)
{
	nib_pm_disable(ndev);
	nib_reset_abandon(ndev);
	nib_sleep_abandon(ndev);
	nib_notify_device(ndev, false);
	nib_netlink_remove(ndev);
	/* Waits for everyone who is between drm_dev_enter() and drm_dev_exit(). */
	drm_dev_unplug(&ndev->drm);
	nib_device_halt(ndev);
}

/* What the driver has of a device that has stopped. */
static void nib_device_free(struct nib_device *ndev)
{
	nib_dma_fini(ndev);
	nib_gem_unmap_host_bos(ndev);
	nib_prime_unmap_imports(ndev);
	flush_workqueue(ndev->recovery_wq);
	/* What our own queue had leaves no reference to the module behind. */
	nib_device_flush_cleanup(ndev);
}

static atomic_t nib_devices = ATOMIC_INIT(0);

static void nib_device_is_no_more(struct drm_device *drm, void *unused)
{
	if (atomic_dec_and_test(&nib_devices))
		wake_up_var(&nib_devices);
}

/*
 * Waits until nothing is left of any device, for who unloads the module: what our own queues had is
 * ended step by step, by work that may begin after all else of a device is gone.
 */
void nib_device_wait_for_all(void)
{
	wait_var_event(&nib_devices, !atomic_read(&nib_devices));
}

/*
 * The probe fails with the firmware running; there may have been clients for a moment. What is
 * released in the background must neither talk to the device nor outlive what the probe allocated.
 */
static void nib_device_abandon(struct nib_device *ndev)
{
	atomic_cmpxchg(&ndev->lost, 0, -ENODEV);
	wake_up_all(&ndev->ipc.wait);
	nib_device_halt(ndev);
	nib_device_free(ndev);
}

/**
 * nib_device_probe - bind to a PCI function. Paired with nib_device_remove().
 * @pdev: function.
 * @id: entry of the table.
 */
int nib_device_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct nib_device *ndev;
	int ret;

	ndev = devm_drm_dev_alloc(&pdev->dev, &nib_drm_driver, struct nib_device, drm);
	if (IS_ERR(ndev))
		return PTR_ERR(ndev);
	ndev->pdev = pdev;
	pci_set_drvdata(pdev, ndev);

	atomic_inc(&nib_devices);
	ret = drmm_add_action_or_reset(&ndev->drm, nib_device_is_no_more, NULL) ?:
	      nib_device_init_hardware(ndev);
	if (ret)
		return ret;
	nib_gate_init(&ndev->gate);
	init_completion(&ndev->stopped);
	ret = nib_notify_init(ndev) ?:
	      nib_sensors_init(ndev) ?:
	      nib_ipc_init(ndev) ?:
	      nib_device_init_software(ndev) ?:
	      nib_vram_init(ndev) ?:
	      nib_leases_init(ndev) ?:
	      nib_irq_init(ndev) ?:
	      nib_sleep_init(ndev) ?:
	      nib_reset_init(ndev);
	if (ret)
		return ret;
	pci_set_master(pdev);
	ret = nib_fw_load(ndev);
	if (!ret)
		ret = nib_fw_boot(ndev);
	if (ret)
		goto err_master;
	ret = nib_dma_init(ndev);
	if (!ret)
		ret = nib_netlink_add(ndev);
	if (ret)
		goto err_abandon;
	nib_debugfs_init(ndev);
	nib_hwmon_init(ndev);
	ret = drm_dev_register(&ndev->drm, 0);
	if (ret)
		goto err_netlink;
	nib_notify_device(ndev, true);
	dev_info(&pdev->dev, "chip %s, %llu MiB HBM, %llu KiB SRAM, firmware %s (API %u.%u)\n",
		 ndev->chip, ndev->hbm_bytes >> 20, ndev->sram_bytes >> 10, ndev->fw_version,
		 ndev->fw_api >> 16, ndev->fw_api & 0xffff);
	nib_pm_enable(ndev);
	return 0;

err_netlink:
	nib_netlink_remove(ndev);
err_abandon:
	nib_device_abandon(ndev);
	return ret;
err_master:
	pci_clear_master(pdev);
	return ret;
}

/**
 * nib_device_remove - unbind. Paired with nib_device_probe().
 * @pdev: function.
 *
 * Files may stay open, queues and VMs with them: they lose their hardware here, and the rest when
 * they close.
 */
void nib_device_remove(struct pci_dev *pdev)
{
	struct nib_device *ndev = pci_get_drvdata(pdev);

	nib_device_stop(ndev);
	nib_device_free(ndev);
}

/**
 * nib_device_shutdown - the machine restarts, is switched off, or gives way to another kernel.
 * @pdev: function.
 *
 * The next kernel owns the memory that the device was given: it must not touch it any more. Nothing
 * is freed. Programs may still run and wait; they find the device gone, and none of them can hold
 * this up: what waits for the device stops waiting first.
 */
void nib_device_shutdown(struct pci_dev *pdev)
{
	struct nib_device *ndev = pci_get_drvdata(pdev);

	atomic_cmpxchg(&ndev->lost, 0, -ENODEV);
	wake_up_all(&ndev->ipc.wait);
	nib_device_stop(ndev);
}
