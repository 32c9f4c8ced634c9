/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Streams: validated once, then immutable, in memory that no user maps.
 */
#ifndef NIB_STREAM_H
#define NIB_STREAM_H

#include <linux/kref.h>
#include <linux/workqueue.h>

#include "ipc.h"
#include "vram.h"

struct nib_stream_info;
struct nib_vm;

/**
 * struct nib_stream - a stream.
 * @ref: handle and runs.
 * @vm: VM that its id belongs to. Holds a reference.
 * @id: id, the user's and the device's.
 * @nargs: arguments that a run must bring.
 * @object: what the firmware knows of it.
 * @range: where it is.
 * @data: the same in host memory, for when HBM has lost its contents.
 * @bytes: its size.
 * @release_work: frees it and then its id.
 */
struct nib_stream {
	struct kref ref;
	struct nib_vm *vm;
	u32 id;
	u32 nargs;
	struct nib_fw_object object;
	struct nib_vram_range range;
	u64 *data;
	u32 bytes;
	struct work_struct release_work;
};

struct nib_stream *nib_stream_create(struct nib_vm *vm, const u64 *data, u32 bytes, u32 nargs);
struct nib_stream *nib_stream_get(struct nib_stream *stream);
void nib_stream_put(struct nib_stream **stream);
struct nib_stream *nib_vm_find_stream(struct nib_vm *vm, u32 id);
void nib_vm_close_streams(struct nib_vm *vm);

#endif
