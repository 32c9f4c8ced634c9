/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Device core dumps: what the device and the driver knew when a job was killed. The format is in
 * nib_dump.h, where it is kept in dump_store.h.
 */
#ifndef NIB_DUMP_H_
#define NIB_DUMP_H_

#include <linux/types.h>

struct nib_device;
struct nib_dump;
struct nib_queue;
struct nib_stream;
struct nib_vm;

int nib_dump_init(struct nib_device *ndev);
void nib_dump_capture(struct nib_device *ndev, struct nib_queue *queue, const char *why);

/* Parts of a dump: dump_vm.c. */
void nib_dump_one_stream(struct nib_dump *dump, struct nib_device *ndev,
			 const struct nib_stream *stream);
void nib_dump_streams(struct nib_dump *dump, struct nib_vm *vm);
void nib_dump_vm(struct nib_dump *dump, struct nib_vm *vm, bool device);

#endif
