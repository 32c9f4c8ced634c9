/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One PCI function: its registers, its parts, its life and its loss. What a client holds is in
 * drv.h; what one object is, beside the object.
 */
#ifndef NIB_DEVICE_H
#define NIB_DEVICE_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/workqueue.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "gate.h"
#include "ipc.h"
#include "irq.h"
#include "limits.h"
#include "lease.h"
#include "nib_regs.h"
#include "notify.h"
#include "pm.h"
#include "recovery.h"
#include "residency.h"
#include "sensors.h"
#include "vram.h"

struct nib_dma;
struct nib_dump;

/**
 * struct nib_device - a device.
 * @drm: DRM device; its last reference frees this struct.
 * @pdev: PCI function.
 * @pci_state: its configuration, for after its link has failed.
 * @regs: BAR0, until the driver unbinds.
 * @doorbells: BAR2, until the driver unbinds.
 * @window: BAR4 as the CPU sees it, write-combined, until the driver unbinds.
 * @window_phys: bus address of BAR4, for mmap().
 * @hbm_bytes: size of HBM.
 * @window_bytes: how much of it @window shows.
 * @sram_bytes: size of SRAM.
 * @hw_version: major << 16 | minor.
 * @fw_api: API of the running firmware.
 * @num_contexts: context ids of the device.
 * @num_queues: queue ids of the device.
 * @num_streams: stream ids of a context.
 * @chip: its name.
 * @fw_version: of the running firmware.
 */
struct nib_device {
	struct drm_device drm;
	struct pci_dev *pdev;
	struct pci_saved_state *pci_state;
	void __iomem *regs;
	void __iomem *doorbells;
	void __iomem *window;
	resource_size_t window_phys;

	u64 hbm_bytes;
	u64 window_bytes;
	u64 sram_bytes;
	u32 hw_version;
	u32 fw_api;
	u32 num_contexts;
	u32 num_queues;
	u32 num_streams;
	char chip[33];
	char fw_version[33];

	/** @gate: who may wait for the firmware, and whether doorbells are rung. */
	struct nib_gate gate;
	/** @ipc: the control page, the admin ring, and what the firmware knows. */
	struct nib_ipc ipc;
	/** @irq: its interrupts. */
	struct nib_irq irq;
	/** @pm: whether it is awake, and what it keeps while it sleeps. */
	struct nib_pm pm;
	/** @vram: which HBM is taken. */
	struct nib_vram vram;
	/** @leases: SRAM, and who has leased it. */
	struct nib_leases leases;
	/** @notify: events and counters on their way to user space. */
	struct nib_notify notify;
	/** @sensors: temperature, power, clock, and their thresholds. */
	struct nib_sensors sensors;
	/** @dma: what zeroes and moves memory; NULL once the driver unbinds. */
	struct nib_dma *dma;
	/** @residency: who is in which memory. */
	struct nib_residency residency;
	/**
	 * @pt_lock: serialises changes of page tables and of what they show, nib_bo.mapped. Taken
	 * where fences are signalled; inside of it, the locks of buffers' lists of mappings.
	 */
	struct mutex pt_lock;

	/** @dump: core dump that is, or may be, taken. */
	struct nib_dump *dump;

	/** @context_ids: context ids in use. */
	struct ida context_ids;
	/** @queue_ids: queue ids in use. */
	struct ida queue_ids;

	/** @users: whose clients have it open. */
	struct nib_users users;

	/** @sched_wq: where the schedulers of VMs, and of the driver's own queue, run. */
	struct workqueue_struct *sched_wq;
	/**
	 * @run_wq: where those of clients' queues run: at once, where the job was submitted or the
	 * interrupt came. Nothing there waits, or takes longer than it takes to write a ring entry.
	 */
	struct workqueue_struct *run_wq;
	/** @recovery_wq: watchdog, killing queues, losing the device: fences depend on it. */
	struct workqueue_struct *recovery_wq;

	/** @queues_lock: protects @queues; taken while fences are signalled. */
	struct mutex queues_lock;
	/** @queues: every queue that has hardware. */
	struct list_head queues;
	/** @attached: how many have it, or are just losing it. */
	atomic_t attached;
	/** @recovery: what is done about trouble. */
	struct nib_recovery recovery;
	/** @losses: how often HBM and SRAM lost their contents; changes with the gate closed. */
	u32 losses;
	/** @stopped: the driver is being unbound, and the device touches no memory any more. */
	struct completion stopped;
	/** @fw_image: the firmware as the device loads it; see fw.c. */
	void *fw_image;
	/** @fw_dma: its DMA address. */
	dma_addr_t fw_dma;
	/** @fw_size: its size in bytes. */
	size_t fw_size;

	/** @watchdog: looks after @queues while jobs are in flight. */
	struct delayed_work watchdog;
	/** @watchdog_heartbeat: last value of the firmware's heartbeat. */
	u32 watchdog_heartbeat;
	/** @watchdog_progress: last value of the engine's progress counter. */
	u32 watchdog_progress;
	/** @watchdog_at: when it last looked. */
	ktime_t watchdog_at;
	/** @watchdog_silent_ms: for how long the heartbeat has not moved. */
	u32 watchdog_silent_ms;

	/** @host_bos_lock: protects @host_bos. */
	struct mutex host_bos_lock;
	/** @host_bos: BOs with a DMA mapping, which must go when the driver unbinds. */
	struct list_head host_bos;
	/**
	 * @imports_lock: protects @imports. Exporters' reservations are locked under it, so it is
	 * never taken under one.
	 */
	struct mutex imports_lock;
	/** @imports: imported BOs that their exporters hold mapped for the device. */
	struct list_head imports;

	/** @lost: 0, or why the device is of no use any more: -ENODEV or -EIO. Set once. */
	atomic_t lost;
	/** @lost_work: signals everything that waits for a lost device. */
	struct work_struct lost_work;
};

static inline struct nib_device *to_nib_device(struct drm_device *drm)
{
	return container_of(drm, struct nib_device, drm);
}

/* 0, or the error that fences of a lost device carry. */
static inline int nib_device_lost(struct nib_device *ndev)
{
	return atomic_read(&ndev->lost);
}

int nib_device_probe(struct pci_dev *pdev, const struct pci_device_id *id);
void nib_device_remove(struct pci_dev *pdev);
void nib_device_wait_for_all(void);
void nib_device_shutdown(struct pci_dev *pdev);
void nib_device_lose(struct nib_device *ndev, int error, const char *why);
bool nib_device_is_gone(struct nib_device *ndev);
void nib_device_read_string(struct nib_device *ndev, u32 reg, char *text);

/*
 * Cleaning up that must not happen where an object's last reference is dropped: in a scheduler, or
 * where fences are signalled. Outlives every device.
 */
extern struct workqueue_struct *nib_cleanup_wq;
void nib_device_flush_cleanup(struct nib_device *ndev);
int nib_device_alloc_id(struct nib_device *ndev, struct ida *ids, u32 count);

/*
 * Register access by name; drm.debug=1 traces it. Callers are between drm_dev_enter() and
 * drm_dev_exit(), or in probe and remove.
 */
static inline u32 nib_read32(struct nib_device *ndev, u32 reg, const char *name)
{
	u32 value = readl(ndev->regs + reg);

	drm_dbg_core(&ndev->drm, "%s -> %#x\n", name, value);
	return value;
}

static inline u64 nib_read64(struct nib_device *ndev, u32 reg, const char *name)
{
	u64 value = readl(ndev->regs + reg);

	value |= (u64)readl(ndev->regs + reg + 4) << 32;
	drm_dbg_core(&ndev->drm, "%s -> %#llx\n", name, value);
	return value;
}

static inline void nib_write32(struct nib_device *ndev, u32 reg, u32 value, const char *name)
{
	drm_dbg_core(&ndev->drm, "%s <- %#x\n", name, value);
	writel(value, ndev->regs + reg);
}

static inline void nib_write64(struct nib_device *ndev, u32 reg, u64 value, const char *name)
{
	drm_dbg_core(&ndev->drm, "%s <- %#llx\n", name, value);
	writel(lower_32_bits(value), ndev->regs + reg);
	writel(upper_32_bits(value), ndev->regs + reg + 4);
}

#define nib_read(ndev, reg)		nib_read32(ndev, reg, #reg)
#define nib_readq(ndev, reg)		nib_read64(ndev, reg, #reg)
#define nib_write(ndev, reg, value)	nib_write32(ndev, reg, value, #reg)
#define nib_writeq(ndev, reg, value)	nib_write64(ndev, reg, value, #reg)

#endif
