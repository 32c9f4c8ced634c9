/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Talking to the firmware: the control page, its admin ring, and pings.
 */
#ifndef NIB_IPC_H
#define NIB_IPC_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "nib_regs.h"

struct nib_device;

/**
 * struct nib_ipc - control page and admin ring.
 * @ctrl: control page; the device writes to it at any time.
 * @ctrl_dma: its DMA address.
 * @lock: one message at a time; taken while fences are signalled, so no allocation under it.
 * @tail: messages sent. Under @lock.
 * @wait: woken by vector 0: an admin message was answered, or a ping came back.
 * @ping_lock: one user of pings at a time; also protects the last value sent.
 * @ping_value: last value sent.
 * @ping_seen: value that the last interrupt of vector 0 found. Written in interrupts.
 */
struct nib_ipc {
	struct nib_ctrl *ctrl;
	dma_addr_t ctrl_dma;
	struct mutex lock;	/* see above */
	u32 tail;
	wait_queue_head_t wait;
	struct mutex ping_lock;	/* see above */
	u32 ping_value;
	u32 ping_seen;
};

int nib_ipc_init(struct nib_device *ndev);
void nib_ipc_irq(struct nib_device *ndev);
int nib_ipc_call(struct nib_device *ndev, u16 op, const u64 *args, unsigned int nargs);
int nib_ipc_ping(struct nib_device *ndev, u64 *ns);

#define NIB_IPC_CALL(ndev, op, ...) ({ \
	const u64 args__[] = { __VA_ARGS__ }; \
	nib_ipc_call(ndev, op, args__, ARRAY_SIZE(args__)); })

#endif
