/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a client (an open file) holds, and the ioctls.
 */
#ifndef NIB_DRV_H
#define NIB_DRV_H

#include <linux/mutex.h>
#include <linux/xarray.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>

#include "lease.h"
#include "nib_drm.h"
#include "queue.h"

struct nib_device;
struct nib_moved;
struct nib_stream;
struct nib_user;
struct nib_vm;

/* What one client may have. */
#define NIB_FILE_VMS	16u
#define NIB_FILE_QUEUES	64u

/**
 * struct nib_file - a client.
 * @ndev: device.
 * @drm_file: DRM's part.
 * @user: who opened it. Holds a reference.
 * @moved: what was moved of its buffers. Holds a reference.
 * @lock: protects what @vms and @queues hold against races of create and destroy, @retired, and
 *	nib_vm.queues.
 * @submit_lock: makes the jobs of a queue, and the binds of a VM, have one order.
 * @vms: VMs by id.
 * @queues: queues by id.
 * @sram: what its leases did. Under nib_leases.lock.
 * @retired: what queues that are gone have used.
 */
struct nib_file {
	struct nib_device *ndev;
	struct drm_file *drm_file;
	struct nib_user *user;
	struct nib_moved *moved;
	struct mutex lock;		/* see above */
	struct mutex submit_lock;	/* see above */
	struct xarray vms;
	struct xarray queues;
	struct nib_sram_usage sram;
	struct nib_usage retired;
};

extern const struct drm_driver nib_drm_driver;

struct nib_vm *nib_file_find_vm(struct nib_file *file, u32 id);
struct nib_queue *nib_file_find_queue(struct nib_file *file, u32 id);
void nib_file_close_queue(struct nib_file *file, struct nib_queue *queue);
u32 nib_file_priorities(void);

void nib_file_retire_queue(struct nib_file *file, struct nib_queue *queue);
void nib_fdinfo_show(struct drm_printer *p, struct drm_file *drm_file);

int nib_ioctl_vm_create(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_vm_destroy(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_vm_bind(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_bo_create(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_bo_madvise(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_bo_mmap_offset(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_stream_create(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_stream_destroy(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_sram_lease_create(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_sram_lease_query(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_queue_create(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_queue_destroy(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_submit(struct drm_device *drm, void *data, struct drm_file *drm_file);
int nib_ioctl_queue_get_state(struct drm_device *drm, void *data, struct drm_file *drm_file);

#endif
