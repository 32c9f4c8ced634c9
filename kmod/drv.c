// SPDX-License-Identifier: GPL-2.0
/*
 * The driver's face: module, PCI table, files, queries and the table of ioctls. The ioctls
 * themselves are beside the objects that they make.
 */
#include <linux/capability.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/pci.h>
#include <linux/uaccess.h>

#include <drm/drm_accel.h>
#include <drm/drm_ioctl.h>

#include "device.h"
#include "drv.h"
#include "gem.h"
#include "netlink.h"
#include "nib_isa.h"
#include "prime.h"
#include "pm.h"
#include "queue.h"
#include "uobj.h"
#include "vm.h"

/* --- Growing objects; see nib_drm.h --- */

static int nib_uobj_copy_array(void *dest, const struct nib_obj_array *array, size_t size)
{
	void __user *user = u64_to_user_ptr(array->array);
	u32 i;
	int ret;

	if (array->stride == size)
		return copy_from_user(dest, user, size * array->count) ? -EFAULT : 0;
	for (i = 0; i < array->count; i++) {
		ret = copy_struct_from_user(dest + i * size, size, user + (size_t)i * array->stride,
					    array->stride);
		if (ret)
			return ret == -E2BIG ? -EINVAL : ret;
	}
	return 0;
}

void *nib_uobj_get_array(struct drm_device *drm, const struct nib_obj_array *array,
			 size_t min_stride, size_t size)
{
	void *copy;
	int ret;

	if (!array->count)
		return NULL;
	if (array->count > NIB_MAX_ARRAY || array->stride < min_stride ||
	    array->stride > PAGE_SIZE) {
		drm_dbg(drm, "array of %u x %u bytes; at least %zu bytes, at most %u objects\n",
			array->count, array->stride, min_stride, NIB_MAX_ARRAY);
		return ERR_PTR(-EINVAL);
	}
	copy = kvmalloc_array(array->count, size, GFP_KERNEL_ACCOUNT);
	if (!copy)
		return ERR_PTR(-ENOMEM);
	ret = nib_uobj_copy_array(copy, array, size);
	if (ret) {
		drm_dbg(drm, "array is not readable, or has fields that are not known here\n");
		kvfree(copy);
		return ERR_PTR(ret);
	}
	return copy;
}

int nib_uobj_set(struct drm_device *drm, u64 user, u32 user_size, const void *obj, size_t size)
{
	if (user_size > PAGE_SIZE) {
		drm_dbg(drm, "object of %u bytes\n", user_size);
		return -EINVAL;
	}
	if (copy_to_user(u64_to_user_ptr(user), obj, min_t(size_t, user_size, size)))
		return -EFAULT;
	if (user_size > size && clear_user(u64_to_user_ptr(user) + size, user_size - size))
		return -EFAULT;
	return 0;
}

/* --- Files --- */

struct nib_vm *nib_file_find_vm(struct nib_file *file, u32 id)
{
	struct nib_vm *vm;

	xa_lock(&file->vms);
	vm = xa_load(&file->vms, id);
	if (vm)
		nib_vm_get(vm);
	xa_unlock(&file->vms);
	if (!vm)
		drm_dbg(&file->ndev->drm, "no VM %u\n", id);
	return vm;
}

struct nib_queue *nib_file_find_queue(struct nib_file *file, u32 id)
{
	struct nib_queue *queue;

	xa_lock(&file->queues);
	queue = xa_load(&file->queues, id);
	if (queue)
		nib_queue_get(queue);
	xa_unlock(&file->queues);
	return queue;
}

/* Priorities that the calling task may use, as bits of enum nib_priority. */
u32 nib_file_priorities(void)
{
	u32 priorities = BIT(NIB_PRIORITY_LOW) | BIT(NIB_PRIORITY_NORMAL);

	if (capable(CAP_SYS_NICE))
		priorities |= BIT(NIB_PRIORITY_HIGH) | BIT(NIB_PRIORITY_REALTIME);
	return priorities;
}

static int nib_drm_open(struct drm_device *drm, struct drm_file *drm_file)
{
	struct nib_file *file = kzalloc_obj(*file);

	if (!file)
		return -ENOMEM;
	file->ndev = to_nib_device(drm);
	file->user = nib_user_get_current(file->ndev);
	if (IS_ERR(file->user)) {
		kfree(file);
		return -ENOMEM;
	}
	file->moved = nib_moved_create();
	if (!file->moved) {
		nib_user_put(&file->user);
		kfree(file);
		return -ENOMEM;
	}
	file->drm_file = drm_file;
	mutex_init(&file->lock);
	mutex_init(&file->submit_lock);
	xa_init_flags(&file->vms, XA_FLAGS_ALLOC);
	xa_init_flags(&file->queues, XA_FLAGS_ALLOC);
	drm_file->driver_priv = file;
	return 0;
}

/* Work may be in flight: queues lose it, and are freed, like VMs, once nothing refers to them. */
static void nib_drm_postclose(struct drm_device *drm, struct drm_file *drm_file)
{
	struct nib_file *file = drm_file->driver_priv;
	struct nib_queue *queue;
	struct nib_vm *vm;
	unsigned long id;

	/* All of them, before the end of one lets another one's jobs start. */
	xa_for_each(&file->queues, id, queue)
		nib_queue_stop(queue, -ECANCELED);
	xa_for_each(&file->queues, id, queue) {
		xa_erase(&file->queues, id);
		nib_file_close_queue(file, queue);
	}
	xa_for_each(&file->vms, id, vm) {
		xa_erase(&file->vms, id);
		nib_vm_close(vm);
	}
	nib_leases_close_file(file->ndev, file);
	xa_destroy(&file->queues);
	xa_destroy(&file->vms);
	nib_moved_put(&file->moved);
	nib_user_put(&file->user);
	mutex_destroy(&file->submit_lock);
	mutex_destroy(&file->lock);
	kfree(file);
}

/* --- Queries --- */

static void nib_query_device(struct nib_device *ndev, struct nib_device_info *info)
{
	*info = (struct nib_device_info){
		.hw_version = ndev->hw_version,
		.fw_api = ndev->fw_api,
		.isa_version = NIB_ISA_MAJOR << 16 | NIB_ISA_MINOR,
		.max_args = NIB_MAX_ARGS,
		.hbm_bytes = ndev->hbm_bytes,
		.window_bytes = ndev->window_bytes,
		.sram_bytes = ndev->sram_bytes,
		.va_start = NIB_VA_START,
		.va_end = NIB_VA_END,
		.max_queues = min(NIB_FILE_QUEUES, ndev->num_queues - 1),
		.max_streams = ndev->num_streams - 1,
		.max_vms = min(NIB_FILE_VMS, ndev->num_contexts - 1),
		.max_ring_jobs = NIB_RING_ENTRIES,
		.priorities = nib_file_priorities(),
		.engine_resets = nib_recovery_count(ndev, NIB_RUNG_ENGINE),
		.fw_reboots = nib_recovery_count(ndev, NIB_RUNG_FIRMWARE),
		.function_resets = nib_recovery_count(ndev, NIB_RUNG_FUNCTION),
		.wedged = nib_recovery_count(ndev, NIB_RUNG_WEDGED),
		.reset_count = nib_recovery_resets(ndev),
	};
	strscpy(info->chip, ndev->chip);
	strscpy(info->fw_version, ndev->fw_version);
}

static void nib_query_memory(struct nib_device *ndev, struct drm_file *drm_file,
			     struct nib_memory_info *info)
{
	const struct nib_file *file = drm_file->driver_priv;
	struct nib_client_memory memory;
	struct nib_sample sample = {};

	nib_gem_client_memory(drm_file, &memory);
	nib_sensors_read(ndev, &sample);
	*info = (struct nib_memory_info){
		.hbm_free = nib_hbm_available(ndev),
		.sram_free = nib_sram_available(ndev),
		.client_hbm = memory.bytes[NIB_MEM_HBM],
		.client_sram = memory.bytes[NIB_MEM_SRAM],
		.client_host = memory.bytes[NIB_MEM_HOST],
		.clock_ns = sample.clock_ns,
		.busy_ns = sample.busy_ns,
		.energy_uj = sample.energy_uj,
		.client_hbm_resident = memory.resident[NIB_MEM_HBM],
		.evicted_bytes = atomic64_read(&ndev->residency.evicted),
		.restored_bytes = atomic64_read(&ndev->residency.restored),
		.client_evicted_bytes = atomic64_read(&file->moved->evicted),
		.client_restored_bytes = atomic64_read(&file->moved->restored),
	};
}

static const u32 nib_query_sizes[] = {
	[NIB_QUERY_DEVICE] = sizeof(struct nib_device_info),
	[NIB_QUERY_MEMORY] = sizeof(struct nib_memory_info),
	[NIB_QUERY_LIMITS] = sizeof(struct nib_limits_info),
};

static int nib_ioctl_dev_query(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_device *ndev = to_nib_device(drm);
	struct nib_file *file = drm_file->driver_priv;
	struct nib_dev_query *args = data;
	u32 user_size = args->size;
	union {
		struct nib_device_info device;
		struct nib_memory_info memory;
		struct nib_limits_info limits;
	} answer;
	int cookie;

	if (args->type >= ARRAY_SIZE(nib_query_sizes)) {
		drm_dbg(drm, "no query %u\n", args->type);
		return -EINVAL;
	}
	args->size = nib_query_sizes[array_index_nospec(args->type, ARRAY_SIZE(nib_query_sizes))];
	if (!args->pointer)
		return 0;
	if (args->type == NIB_QUERY_MEMORY) {
		if (nib_device_lost(ndev))
			return -ENODEV;
		/* What its user has let go of counts as free. This may wait for the firmware. */
		nib_device_flush_cleanup(ndev);
	}
	if (!drm_dev_enter(drm, &cookie))
		return -ENODEV;
	if (args->type == NIB_QUERY_DEVICE)
		nib_query_device(ndev, &answer.device);
	else if (args->type == NIB_QUERY_MEMORY)
		nib_query_memory(ndev, drm_file, &answer.memory);
	else
		nib_user_get_limits(file->user, &answer.limits);
	drm_dev_exit(cookie);
	/* What may wait for the user must not keep the driver from unbinding. */
	return nib_uobj_set(drm, args->pointer, user_size, &answer, args->size);
}

/* --- The driver --- */

#define NIB_IOCTL_DEF(name, func) DRM_IOCTL_DEF_DRV(NIB_##name, nib_ioctl_##func, 0)

static const struct drm_ioctl_desc nib_ioctls[] = {
	NIB_IOCTL_DEF(DEV_QUERY, dev_query),
	NIB_IOCTL_DEF(VM_CREATE, vm_create),
	NIB_IOCTL_DEF(VM_DESTROY, vm_destroy),
	NIB_IOCTL_DEF(VM_BIND, vm_bind),
	NIB_IOCTL_DEF(BO_CREATE, bo_create),
	NIB_IOCTL_DEF(BO_MMAP_OFFSET, bo_mmap_offset),
	NIB_IOCTL_DEF(BO_MADVISE, bo_madvise),
	NIB_IOCTL_DEF(STREAM_CREATE, stream_create),
	NIB_IOCTL_DEF(STREAM_DESTROY, stream_destroy),
	NIB_IOCTL_DEF(QUEUE_CREATE, queue_create),
	NIB_IOCTL_DEF(QUEUE_DESTROY, queue_destroy),
	NIB_IOCTL_DEF(SUBMIT, submit),
	NIB_IOCTL_DEF(QUEUE_GET_STATE, queue_get_state),
	NIB_IOCTL_DEF(SRAM_LEASE_CREATE, sram_lease_create),
	NIB_IOCTL_DEF(SRAM_LEASE_QUERY, sram_lease_query),
};

/*
 * Ioctls that use the device hold it awake from end to end, and find a lost one gone. Queries do
 * not wake it, and say what has become of it; nor does what DRM does by itself, closing handles and
 * waiting for a fence, perhaps forever.
 */
static bool nib_ioctl_needs_device(unsigned int cmd)
{
	unsigned int nr = DRM_IOCTL_NR(cmd);

	return nr >= DRM_COMMAND_BASE && nr < DRM_COMMAND_END &&
	       nr != DRM_COMMAND_BASE + NIB_IOCTL_DEV_QUERY &&
	       nr != DRM_COMMAND_BASE + NIB_IOCTL_QUEUE_GET_STATE;
}

static long nib_ioctl_awake(struct file *file, unsigned int cmd, unsigned long arg,
			    long (*ioctl)(struct file *file, unsigned int cmd, unsigned long arg))
{
	struct drm_file *drm_file = file->private_data;
	struct drm_device *drm = drm_file->minor->dev;
	struct nib_device *ndev = to_nib_device(drm);
	long ret;

	if (drm_dev_is_unplugged(drm))
		return -ENODEV;
	if (!nib_ioctl_needs_device(cmd))
		return ioctl(file, cmd, arg);
	ret = nib_device_lost(ndev) ? -ENODEV : nib_pm_get(ndev);
	if (ret)
		return ret;
	ret = ioctl(file, cmd, arg);
	nib_pm_put(ndev);
	return ret;
}

static long nib_unlocked_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return nib_ioctl_awake(file, cmd, arg, drm_ioctl);
}

#ifdef CONFIG_COMPAT
static long nib_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return nib_ioctl_awake(file, cmd, arg, drm_compat_ioctl);
}
#else
#define nib_compat_ioctl NULL
#endif

static const struct file_operations nib_fops = {
	.owner = THIS_MODULE,
	.open = accel_open,
	.release = drm_release,
	.unlocked_ioctl = nib_unlocked_ioctl,
	.compat_ioctl = nib_compat_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.mmap = drm_gem_mmap,
	.show_fdinfo = drm_show_fdinfo,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

/* Versions are listed at the top of nib_drm.h. */
const struct drm_driver nib_drm_driver = {
	.driver_features = DRIVER_COMPUTE_ACCEL | DRIVER_GEM | DRIVER_SYNCOBJ |
			   DRIVER_SYNCOBJ_TIMELINE | NIB_DRIVER_GEM_GPUVA,
	.open = nib_drm_open,
	.postclose = nib_drm_postclose,
	.show_fdinfo = nib_fdinfo_show,
	.gem_prime_import = nib_prime_import,
	.gem_prime_import_sg_table = nib_prime_import_sg_table,
	.ioctls = nib_ioctls,
	.num_ioctls = ARRAY_SIZE(nib_ioctls),
	.fops = &nib_fops,
	.name = NIB_DRM_NAME,
	.desc = "Nibble FP4/FP8 inference accelerator",
	.major = NIB_DRM_MAJOR,
	.minor = NIB_DRM_MINOR,
};

static const struct pci_device_id nib_pci_ids[] = {
	{ PCI_DEVICE(NIB_PCI_VENDOR_ID, NIB_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, nib_pci_ids);

static struct pci_driver nib_pci_driver = {
	.name = NIB_DRM_NAME,
	.id_table = nib_pci_ids,
	.probe = nib_device_probe,
	.remove = nib_device_remove,
	.shutdown = nib_device_shutdown,
	.err_handler = &nib_reset_handlers,
	.driver.pm = pm_ptr(&nib_pm_ops),
};

static int __init nib_init(void)
{
	int ret;

	nib_cleanup_wq = alloc_workqueue(NIB_DRM_NAME "-cleanup", WQ_UNBOUND, 0);
	if (!nib_cleanup_wq)
		return -ENOMEM;
	ret = nib_netlink_init();
	if (ret)
		goto err_wq;
	ret = pci_register_driver(&nib_pci_driver);
	if (ret)
		goto err_netlink;
	return 0;

err_netlink:
	nib_netlink_exit();
err_wq:
	destroy_workqueue(nib_cleanup_wq);
	return ret;
}

static void __exit nib_exit(void)
{
	pci_unregister_driver(&nib_pci_driver);
	nib_device_wait_for_all();
	nib_netlink_exit();
	destroy_workqueue(nib_cleanup_wq);
}

module_init(nib_init);
module_exit(nib_exit);

MODULE_AUTHOR("The Nibble authors");
MODULE_DESCRIPTION("Nibble inference accelerator");
MODULE_LICENSE("GPL");
