// SPDX-License-Identifier: GPL-2.0
/*
 * Streams. The user's memory is read exactly once; what was validated is what the device runs.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "device.h"
#include "drv.h"
#include "nib_validate.h"
#include "stream.h"
#include "vm.h"

struct nib_stream *nib_stream_get(struct nib_stream *stream)
{
	kref_get(&stream->ref);
	return stream;
}

static void nib_stream_release_work(struct work_struct *work)
{
	struct nib_stream *stream = container_of(work, struct nib_stream, release_work);
	struct nib_vm *vm = stream->vm;

	nib_ipc_destroy(vm->ndev, &stream->object, NIB_ADM_STREAM_DESTROY,
			NIB_IPC_ARGS(vm->context, stream->id));
	/* The id was only reserved since its handle was closed. */
	xa_erase(&vm->streams, stream->id);
	nib_hbm_range_free(vm->ndev, &stream->range);
	nib_user_uncharge(vm->user, NIB_LIMIT_STREAMS);
	kvfree(stream->data);
	kfree(stream);
	nib_vm_put(&vm);
}

static void nib_stream_release(struct kref *ref)
{
	struct nib_stream *stream = container_of(ref, struct nib_stream, ref);

	/* Needs the firmware, and the last run may end where nobody may wait for it. */
	queue_work(nib_cleanup_wq, &stream->release_work);
}

void nib_stream_put(struct nib_stream **stream)
{
	if (*stream)
		kref_put(&(*stream)->ref, nib_stream_release);
	*stream = NULL;
}

/* Reserves an id; ids of streams that were destroyed a moment ago come back first. */
static int nib_stream_alloc_id(struct nib_vm *vm, u32 *id)
{
	const struct xa_limit limit = XA_LIMIT(1, vm->ndev->num_streams - 1);
	int ret = xa_alloc(&vm->streams, id, NULL, limit, GFP_KERNEL);

	if (ret == -EBUSY) {
		nib_device_flush_cleanup(vm->ndev);
		ret = xa_alloc(&vm->streams, id, NULL, limit, GFP_KERNEL);
	}
	return ret == -EBUSY ? -EMFILE : ret;
}

static void nib_stream_write(struct nib_stream *stream, struct nib_device *ndev)
{
	memcpy_toio(nib_hbm_window(ndev, stream->range.offset), stream->data, stream->bytes);
}

#define NIB_STREAM_ARGS(stream) \
	NIB_IPC_ARGS((stream)->vm->context, (stream)->id, (stream)->range.offset, \
		     (stream)->bytes, (stream)->nargs)

static int nib_stream_upload(struct nib_stream *stream)
{
	struct nib_device *ndev = stream->vm->ndev;
	u32 losses = READ_ONCE(ndev->losses);
	int ret, cookie;

	if (!drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	nib_stream_write(stream, ndev);
	drm_dev_exit(cookie);
	ret = nib_ipc_create(ndev, &stream->object, NIB_ADM_STREAM_CREATE,
			     NIB_STREAM_ARGS(stream));
	/* Once on the list it is written after every loss. What came before is ours to mend. */
	if (!ret && losses != READ_ONCE(ndev->losses) && drm_dev_enter(&ndev->drm, &cookie)) {
		nib_stream_write(stream, ndev);
		drm_dev_exit(cookie);
	}
	return ret;
}

/* A firmware that has just booted is told of the stream; HBM may have to be written again. */
static int nib_stream_restore(struct nib_device *ndev, struct nib_fw_object *object, bool lost)
{
	struct nib_stream *stream = container_of(object, struct nib_stream, object);
	int ret;

	if (lost)
		nib_stream_write(stream, ndev);
	ret = nib_ipc_tell(ndev, NIB_ADM_STREAM_CREATE, NIB_STREAM_ARGS(stream));
	if (!ret)
		object->generation = ndev->gate.generation;
	return ret;
}

/* Lets users see it, unless their VM has gone meanwhile. */
static int nib_stream_publish(struct nib_stream *stream)
{
	struct xarray *streams = &stream->vm->streams;
	int ret = -ENOENT;

	xa_lock(streams);
	if (!stream->vm->closed) {
		/* Others may destroy it at once, so the caller gets a reference of its own. */
		nib_stream_get(stream);
		/* Cannot fail: the slot is reserved. */
		__xa_store(streams, stream->id, stream, GFP_NOWAIT);
		ret = 0;
	}
	xa_unlock(streams);
	return ret;
}

/**
 * nib_stream_create - place a stream and give it an id of its VM.
 * @vm: VM.
 * @data: stream, already validated.
 * @bytes: its size.
 * @nargs: arguments that it needs.
 *
 * Returns the stream, which the caller puts, or an ERR_PTR: -EMFILE if the VM has too many, -EDQUOT
 * if its user has, -ENOENT if the VM is closed, -ENOSPC, -ENOMEM, -ENODEV, -EIO.
 */
struct nib_stream *nib_stream_create(struct nib_vm *vm, const u64 *data, u32 bytes, u32 nargs)
{
	struct nib_device *ndev = vm->ndev;
	struct nib_stream *stream = kzalloc_obj(*stream);
	int ret;

	if (!stream)
		return ERR_PTR(-ENOMEM);
	kref_init(&stream->ref);
	INIT_WORK(&stream->release_work, nib_stream_release_work);
	stream->nargs = nargs;
	stream->bytes = bytes;
	stream->object.kind = NIB_FW_KIND_STREAM;
	stream->object.restore = nib_stream_restore;
	ret = nib_user_charge(vm->user, NIB_LIMIT_STREAMS);
	if (ret)
		goto err_free;
	stream->data = kvmemdup(data, bytes, GFP_KERNEL_ACCOUNT);
	if (!stream->data) {
		ret = -ENOMEM;
		goto err_user;
	}
	ret = nib_hbm_range_alloc(ndev, bytes, &stream->range);
	if (ret)
		goto err_data;
	ret = nib_stream_alloc_id(vm, &stream->id);
	if (ret)
		goto err_range;
	stream->vm = nib_vm_get(vm);
	ret = nib_stream_upload(stream);
	if (ret)
		goto err_id;
	ret = nib_stream_publish(stream);
	if (ret)
		goto err_upload;
	return stream;

err_upload:
	nib_ipc_destroy(ndev, &stream->object, NIB_ADM_STREAM_DESTROY,
			NIB_IPC_ARGS(vm->context, stream->id));
err_id:
	nib_vm_put(&stream->vm);
	xa_erase(&vm->streams, stream->id);
err_range:
	nib_hbm_range_free(ndev, &stream->range);
err_data:
	kvfree(stream->data);
err_user:
	nib_user_uncharge(vm->user, NIB_LIMIT_STREAMS);
err_free:
	kfree(stream);
	return ERR_PTR(ret);
}

struct nib_stream *nib_vm_find_stream(struct nib_vm *vm, u32 id)
{
	struct nib_stream *stream;

	xa_lock(&vm->streams);
	stream = xa_load(&vm->streams, id);
	if (stream)
		nib_stream_get(stream);
	xa_unlock(&vm->streams);
	return stream;
}

/* Takes a stream out of the table, but keeps its id reserved until the device has let go of it. */
static struct nib_stream *nib_vm_close_stream(struct nib_vm *vm, u32 id)
{
	struct nib_stream *stream;

	xa_lock(&vm->streams);
	stream = xa_load(&vm->streams, id);
	if (stream)
		__xa_store(&vm->streams, id, XA_ZERO_ENTRY, GFP_NOWAIT);
	xa_unlock(&vm->streams);
	return stream;
}

/* The VM's handle is gone, and with it those of its streams. */
void nib_vm_close_streams(struct nib_vm *vm)
{
	struct nib_stream *stream;
	unsigned long id;

	xa_lock(&vm->streams);
	vm->closed = true;
	xa_unlock(&vm->streams);
	xa_for_each(&vm->streams, id, stream) {
		stream = nib_vm_close_stream(vm, id);
		nib_stream_put(&stream);
	}
}

/* --- ioctls --- */

int nib_ioctl_stream_create(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_stream_create *args = data;
	struct nib_stream_info info;
	struct nib_stream *stream;
	struct nib_vm *vm;
	u64 *copy;
	int ret = 0;

	args->error_offset = 0;
	args->error_code = NIB_VALID;
	if (!args->size || args->size % 8 || args->size > NIB_MAX_STREAM_BYTES) {
		drm_dbg(drm, "stream of %u bytes\n", args->size);
		args->error_code = NIB_INVALID_SIZE;
		return -EINVAL;
	}
	vm = nib_file_find_vm(drm_file->driver_priv, args->vm_id);
	if (!vm)
		return -ENOENT;
	copy = vmemdup_user(u64_to_user_ptr(args->data), args->size);
	if (IS_ERR(copy)) {
		ret = PTR_ERR(copy);
		goto out_vm;
	}
	args->error_code = nib_stream_validate(copy, args->size, &info);
	if (args->error_code) {
		args->error_offset = info.error_offset;
		drm_dbg(drm, "stream refused at byte %u: %s\n", info.error_offset,
			nib_validate_strerror(args->error_code));
		ret = -EINVAL;
		goto out_copy;
	}
	stream = nib_stream_create(vm, copy, args->size, info.nargs);
	if (IS_ERR(stream)) {
		ret = PTR_ERR(stream);
		goto out_copy;
	}
	args->stream_id = stream->id;
	args->nargs = stream->nargs;
	nib_stream_put(&stream);
out_copy:
	kvfree(copy);
out_vm:
	nib_vm_put(&vm);
	return ret;
}

int nib_ioctl_stream_destroy(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct nib_stream_destroy *args = data;
	struct nib_vm *vm = nib_file_find_vm(drm_file->driver_priv, args->vm_id);
	struct nib_stream *stream;

	if (!vm)
		return -ENOENT;
	stream = nib_vm_close_stream(vm, args->stream_id);
	nib_vm_put(&vm);
	if (!stream)
		return -ENOENT;
	nib_stream_put(&stream);
	return 0;
}
