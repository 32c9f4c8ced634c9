// SPDX-License-Identifier: MIT
/*
 * Admin ring: contexts, streams and queues come and go by messages of the driver. What queues do
 * with their jobs is fw_sched.c's.
 */
#include <stdlib.h>
#include <string.h>
#include "fw.h"

static enum nib_admin_status context_create(struct nib_fw *fw, const struct nib_admin_msg *msg)
{
	struct nib_fw_context *context;
	uint64_t root = msg->arg[1];

	if (msg->arg[0] >= fw->hw->chip.contexts || fw->contexts[msg->arg[0]].used)
		return NIB_ADM_ERR_ID;
	if (root % NIB_PAGE_4K || !nib_hw_hbm(fw->hw, root, NIB_PAGE_4K))
		return NIB_ADM_ERR_ARG;
	context = &fw->contexts[msg->arg[0]];
	context->streams = calloc(fw->hw->chip.streams, sizeof(*context->streams));
	if (!context->streams)
		return NIB_ADM_ERR_ARG;
	context->used = true;
	context->root = root;
	context->queues = 0;
	nib_mmu_invalidate(&fw->hw->mmu, (uint32_t)msg->arg[0]);
	return NIB_ADM_OK;
}

static struct nib_fw_context *context_get(struct nib_fw *fw, uint64_t id)
{
	return id < fw->hw->chip.contexts && fw->contexts[id].used ? &fw->contexts[id] : NULL;
}

static enum nib_admin_status context_destroy(struct nib_fw *fw, const struct nib_admin_msg *msg)
{
	struct nib_fw_context *context = context_get(fw, msg->arg[0]);

	if (!context)
		return NIB_ADM_ERR_ID;
	if (context->queues)
		return NIB_ADM_ERR_BUSY;
	free(context->streams);
	memset(context, 0, sizeof(*context));
	nib_mmu_invalidate(&fw->hw->mmu, (uint32_t)msg->arg[0]);
	return NIB_ADM_OK;
}

static enum nib_admin_status stream_create(struct nib_fw *fw, const struct nib_admin_msg *msg)
{
	struct nib_fw_context *context = context_get(fw, msg->arg[0]);
	uint64_t id = msg->arg[1], offset = msg->arg[2], bytes = msg->arg[3];

	if (!context || id >= fw->hw->chip.streams || context->streams[id].used)
		return NIB_ADM_ERR_ID;
	if (offset % 8 || !bytes || bytes % 8 || bytes > NIB_MAX_STREAM_BYTES ||
	    !nib_hw_hbm(fw->hw, offset, bytes) || msg->arg[4] > NIB_MAX_ARGS)
		return NIB_ADM_ERR_ARG;
	context->streams[id] = (struct nib_fw_stream){
		.used = true,
		.offset = offset,
		.bytes = (uint32_t)bytes,
		.nargs = (uint32_t)msg->arg[4],
	};
	return NIB_ADM_OK;
}

static enum nib_admin_status stream_destroy(struct nib_fw *fw, const struct nib_admin_msg *msg)
{
	struct nib_fw_context *context = context_get(fw, msg->arg[0]);
	uint64_t id = msg->arg[1];

	if (!context || id >= fw->hw->chip.streams || !context->streams[id].used)
		return NIB_ADM_ERR_ID;
	for (uint32_t i = 0; i < fw->hw->chip.queues; i++) {
		const struct nib_fw_queue *queue = &fw->queues[i];

		if (queue->used && queue->context == msg->arg[0] && queue->job.active &&
		    queue->job.entry.stream == id)
			return NIB_ADM_ERR_BUSY;
	}
	memset(&context->streams[id], 0, sizeof(context->streams[id]));
	return NIB_ADM_OK;
}

static void queue_publish(struct nib_fw *fw, uint64_t id)
{
	struct nib_queue_status *status =
		nib_fw_ctrl(fw, offsetof(struct nib_ctrl, queues) + id * sizeof(*status),
			    sizeof(*status));

	if (status)
		*status = fw->queues[id].status;
}

static enum nib_admin_status queue_create(struct nib_fw *fw, const struct nib_admin_msg *msg)
{
	struct nib_fw_context *context = context_get(fw, msg->arg[1]);
	uint64_t id = msg->arg[0], ring = msg->arg[2], entries = msg->arg[3], how = msg->arg[4];
	uint32_t priority = how & 0xff, weight = how >> 8 & 0xffff, vector = how >> 24 & 0xff;
	uint64_t first = msg->arg[5], skip = msg->arg[6];

	if (id >= fw->hw->chip.queues || fw->queues[id].used || !context)
		return NIB_ADM_ERR_ID;
	if (entries < NIB_RING_MIN_ENTRIES || entries > NIB_RING_MAX_ENTRIES ||
	    (entries & (entries - 1)) || ring % 64 || how >> 32 ||
	    priority >= NIB_PRIORITIES || weight < NIB_WEIGHT_MIN || weight > NIB_WEIGHT_MAX ||
	    vector >= NIB_MSIX_VECTORS || skip >= NIB_MAX_STREAM_BYTES / 8 ||
	    !nib_hw_dma(fw->hw, ring, NIB_RING_BYTES(entries), true))
		return NIB_ADM_ERR_ARG;
	fw->queues[id] = (struct nib_fw_queue){
		.used = true,
		.context = (uint32_t)msg->arg[1],
		.ring = ring,
		.entries = (uint32_t)entries,
		.priority = priority,
		.weight = weight,
		.vector = vector,
		.head = first,
		.tail = first,
		.skip = (uint32_t)skip,
		.tried = UINT64_MAX,
	};
	context->queues++;
	queue_publish(fw, id);
	return NIB_ADM_OK;
}

static enum nib_admin_status queue_end(struct nib_fw *fw, const struct nib_admin_msg *msg)
{
	uint64_t id = msg->arg[0];

	if (id >= fw->hw->chip.queues || !fw->queues[id].used)
		return NIB_ADM_ERR_ID;
	nib_fw_queue_cancel(fw, (uint32_t)id);
	/* Cancelling may have found the control page gone, and with it the firmware. */
	if (msg->op == NIB_ADM_QUEUE_DESTROY && nib_fw_alive(fw)) {
		fw->contexts[fw->queues[id].context].queues--;
		memset(&fw->queues[id], 0, sizeof(fw->queues[id]));
	}
	return NIB_ADM_OK;
}

static enum nib_admin_status job_cancel(struct nib_fw *fw, const struct nib_admin_msg *msg)
{
	if (msg->arg[0] >= fw->hw->chip.queues || !fw->queues[msg->arg[0]].used)
		return NIB_ADM_ERR_ID;
	nib_fw_job_cancel(fw, (uint32_t)msg->arg[0], msg->arg[1]);
	return NIB_ADM_OK;
}

static enum nib_admin_status admin_execute(struct nib_fw *fw, const struct nib_admin_msg *msg)
{
	if (msg->zero)
		return NIB_ADM_ERR_ARG;
	switch (msg->op) {
	case NIB_ADM_NOP:
		return NIB_ADM_OK;
	case NIB_ADM_CTX_CREATE:
		return context_create(fw, msg);
	case NIB_ADM_CTX_DESTROY:
		return context_destroy(fw, msg);
	case NIB_ADM_STREAM_CREATE:
		return stream_create(fw, msg);
	case NIB_ADM_STREAM_DESTROY:
		return stream_destroy(fw, msg);
	case NIB_ADM_QUEUE_CREATE:
		return queue_create(fw, msg);
	case NIB_ADM_QUEUE_DESTROY:
	case NIB_ADM_QUEUE_RESET:
		return queue_end(fw, msg);
	case NIB_ADM_JOB_CANCEL:
		return job_cancel(fw, msg);
	default:
		return NIB_ADM_ERR_OP;
	}
}

void nib_fw_ping(struct nib_fw *fw, uint32_t value)
{
	__u32 *ping;

	if (!nib_fw_works(fw))
		return;
	ping = nib_fw_ctrl(fw, offsetof(struct nib_ctrl, ping), sizeof(*ping));
	if (!ping)
		return;
	__atomic_store_n(ping, value, __ATOMIC_RELEASE);
	nib_fw_interrupt(fw, 0);
}

void nib_fw_admin_ring(struct nib_fw *fw, uint32_t tail)
{
	if (!nib_fw_works(fw))
		return;
	if (tail - fw->admin_head > NIB_ADMIN_SLOTS) {
		nib_hw_log(fw->hw, 4, "admin doorbell: %u is not within %u of %u", tail,
			   NIB_ADMIN_SLOTS, fw->admin_head);
		return;
	}
	fw->admin_tail = tail;
}

static struct nib_admin_msg *admin_slot(struct nib_fw *fw)
{
	if (!nib_fw_works(fw) || fw->admin_head == fw->admin_tail)
		return NULL;
	return nib_fw_ctrl(fw, offsetof(struct nib_ctrl, admin) +
			   fw->admin_head % NIB_ADMIN_SLOTS * sizeof(struct nib_admin_msg),
			   sizeof(struct nib_admin_msg));
}

/* True for messages that must not meet the packet that is on the engine. */
static bool admin_meets_engine(const struct nib_fw *fw, const struct nib_admin_msg *msg)
{
	if (fw->running == NIB_FW_NO_QUEUE || msg->arg[0] != fw->running)
		return false;
	/* A job behind the one that is meant must not lose the packet it is at. */
	if (msg->op == NIB_ADM_JOB_CANCEL)
		return msg->arg[1] == fw->queues[fw->running].head;
	return msg->op == NIB_ADM_QUEUE_DESTROY || msg->op == NIB_ADM_QUEUE_RESET;
}

bool nib_fw_admin_due(struct nib_fw *fw)
{
	const struct nib_admin_msg *slot = admin_slot(fw);

	return slot && !nib_fw_message_is_late(fw, slot->op);
}

bool nib_fw_admin_stops(struct nib_fw *fw)
{
	const struct nib_admin_msg *slot = admin_slot(fw);
	struct nib_admin_msg msg;

	if (!slot)
		return false;
	memcpy(&msg, slot, sizeof(msg));
	return admin_meets_engine(fw, &msg);
}

bool nib_fw_admin_step(struct nib_fw *fw)
{
	struct nib_admin_msg *slot = admin_slot(fw), msg;
	struct nib_strike strike;
	uint32_t status;

	if (!slot)
		return false;
	memcpy(&msg, slot, sizeof(msg));
	/* The driver may have changed its mind since nib_fw_admin_stops(). */
	if (admin_meets_engine(fw, &msg))
		status = NIB_ADM_ERR_BUSY;
	else if (nib_trouble_strikes(&fw->hw->trouble, NIB_FAULT_BAD_ANSWER, msg.op, &strike))
		status = strike.how.value;
	else
		status = admin_execute(fw, &msg);
	slot = admin_slot(fw);
	if (!slot)
		return false;
	fw->admin_head++;
	__atomic_store_n(&slot->status, status, __ATOMIC_RELEASE);
	nib_fw_interrupt(fw, 0);
	return true;
}
