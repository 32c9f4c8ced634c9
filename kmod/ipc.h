/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Talking to the firmware: the control page, its admin ring, and pings; and what the firmware
 * knows, so that it can be told again.
 */
#ifndef NIB_IPC_H
#define NIB_IPC_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "nib_regs.h"

struct nib_device;

/* A firmware whose heart beats may take as long to answer; then it is rebooted. */
#define NIB_ADMIN_SLOW_MS	5000u

/* Kinds of things that the firmware is told of, each before those that refer to it. */
enum nib_fw_kind {
	NIB_FW_KIND_CONTEXT,
	NIB_FW_KIND_STREAM,
	NIB_FW_KIND_QUEUE,
	NIB_FW_KINDS
};

/**
 * struct nib_fw_object - something that the firmware is told of.
 *
 * It is on its list from before the firmware hears of it until before it is to forget it: what is
 * on the lists is what a firmware that has just booted is to know. Its memory must stay until
 * nib_ipc_destroy() has returned.
 *
 * @link: in nib_ipc.objects. Under nib_ipc.objects_lock.
 * @kind: which list.
 * @generation: of the firmware that knows it, 0 for none. Changes inside the gate, where its owner
 *	is, or while the gate is closed.
 * @visited: generation in which nib_ipc_restore() last came by. Under nib_ipc.objects_lock.
 * @restore: tells a firmware that has just booted, by nib_ipc_tell(). @lost: the memories of the
 *	device have lost their contents, too. Fences depend on it: no allocation. Returns 0 or
 *	-errno.
 */
struct nib_fw_object {
	struct list_head link;
	enum nib_fw_kind kind;
	u32 generation;
	u32 visited;
	int (*restore)(struct nib_device *ndev, struct nib_fw_object *object, bool lost);
};

/**
 * struct nib_ipc - control page and admin ring.
 * @ctrl: control page; the device writes to it at any time.
 * @ctrl_dma: its DMA address.
 * @lock: protects the admin ring: the next three.
 * @tail: messages sent since the firmware booted.
 * @used: bit per slot that holds a message whose answer nobody has read.
 * @abandoned: of them, those whose answer nobody will read.
 * @wait: woken by vector 0: an admin message was answered, or a ping came back.
 * @objects_lock: protects @objects.
 * @objects: what the firmware knows, by kind.
 * @ping_lock: one user of pings at a time; also protects the last value sent.
 * @ping_value: last value sent.
 * @ping_seen: value that the last interrupt of vector 0 found. Written in interrupts.
 */
struct nib_ipc {
	struct nib_ctrl *ctrl;
	dma_addr_t ctrl_dma;
	spinlock_t lock;		/* see above */
	u32 tail;
	u64 used;
	u64 abandoned;
	wait_queue_head_t wait;
	spinlock_t objects_lock;	/* see above */
	struct list_head objects[NIB_FW_KINDS];
	struct mutex ping_lock;		/* see above */
	u32 ping_value;
	u32 ping_seen;
};

int nib_ipc_init(struct nib_device *ndev);
void nib_ipc_irq(struct nib_device *ndev);
int nib_ipc_ping(struct nib_device *ndev, u64 *ns);

int nib_ipc_create(struct nib_device *ndev, struct nib_fw_object *object, u16 op, const u64 *args,
		   unsigned int nargs);
int nib_ipc_destroy(struct nib_device *ndev, struct nib_fw_object *object, u16 op, const u64 *args,
		    unsigned int nargs);
int nib_ipc_try(struct nib_device *ndev, const struct nib_fw_object *object, unsigned int ms,
		u16 op, const u64 *args, unsigned int nargs);
int nib_ipc_tell(struct nib_device *ndev, u16 op, const u64 *args, unsigned int nargs);
int nib_ipc_restore(struct nib_device *ndev, bool lost);
void nib_ipc_reset(struct nib_device *ndev);

/* The same, with the arguments of the message as a list. */
#define NIB_IPC_ARGS(...) (const u64[]){ __VA_ARGS__ }, ARRAY_SIZE(((const u64[]){ __VA_ARGS__ }))

#endif
