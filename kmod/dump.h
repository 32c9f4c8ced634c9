/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Device core dumps: what the device and the driver knew when a job was killed.
 */
#ifndef NIB_DUMP_H
#define NIB_DUMP_H

struct nib_device;
struct nib_queue;

/**
 * nib_dump_capture - take a core dump, unless one waits to be read.
 * @ndev: device.
 * @queue: the guilty one, or NULL.
 * @why: for the reader.
 *
 * To be called before recovery changes what the dump should show, in process context, where fences
 * are signalled: it allocates with GFP_NOWAIT only.
 */
static inline void nib_dump_capture(struct nib_device *ndev, struct nib_queue *queue,
				    const char *why)
{
}

#endif
