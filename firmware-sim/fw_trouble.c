// SPDX-License-Identifier: MIT
/*
 * What the firmware does wrong when a test orders it: completions that come late, twice or wrong,
 * and a control processor that stops. What it does right is in the other fw_*.c, which ask here.
 */
#include <string.h>
#include "fw.h"

/* --- Completions --- */

static void done_write(struct nib_fw *fw, uint32_t id, uint64_t number,
		       const struct nib_completion *done)
{
	struct nib_fw_queue *queue = &fw->queues[id];
	struct nib_completion *to = nib_fw_ring(fw, id, NIB_RING_DONE(queue->entries) +
						number % queue->entries * sizeof(*to),
						sizeof(*to), true);

	if (!to)
		return;
	memcpy((char *)to + sizeof(to->phase), (const char *)done + sizeof(done->phase),
	       sizeof(*to) - sizeof(to->phase));
	__atomic_store_n(&to->phase, done->phase, __ATOMIC_RELEASE);
	nib_fw_interrupt(fw, queue->vector);
}

/* Keeps a record back. False: there is no room for it. */
static bool done_hold(struct nib_fw *fw, uint32_t id, uint64_t number,
		      const struct nib_completion *done, const struct nib_fault_order *how,
		      bool again)
{
	for (unsigned int i = 0; i < NIB_FW_HELD; i++) {
		struct nib_fw_held *held = &fw->held[i];

		if (held->used)
			continue;
		*held = (struct nib_fw_held){
			.used = true,
			.again = again,
			.queue = id,
			.number = number,
			.due_ns = nib_host_ns() + how->ms * 1000000ull,
			.others = how->others,
			.done = *done,
		};
		fw->num_held++;
		return true;
	}
	return false;
}

static void held_release(struct nib_fw *fw, struct nib_fw_held *held)
{
	const struct nib_fw_queue *queue = &fw->queues[held->queue];

	held->used = false;
	fw->num_held--;
	/* A repetition is of no use once its slot belongs to another job. */
	if (!held->again || queue->head - held->number <= queue->entries)
		done_write(fw, held->queue, held->number, &held->done);
}

static void done_corrupt(struct nib_completion *done, uint32_t what)
{
	switch (what) {
	case NIB_CORRUPT_SEQNO:
		done->seqno ^= 0x5a5a5a5aull << 16;
		break;
	case NIB_CORRUPT_STATUS:
		done->status = 0xbad0bad;
		break;
	default:
		done->phase = ~done->phase;
		break;
	}
}

/* One more has been posted: some were held back until then. */
static void held_count(struct nib_fw *fw)
{
	for (unsigned int i = 0; fw->num_held && i < NIB_FW_HELD; i++) {
		struct nib_fw_held *held = &fw->held[i];

		if (held->used && held->others && !--held->others)
			held_release(fw, held);
	}
}

void nib_fw_done_post(struct nib_fw *fw, uint32_t id, struct nib_completion *done)
{
	struct nib_trouble *trouble = &fw->hw->trouble;
	uint64_t number = fw->queues[id].head;
	struct nib_strike strike;

	if (nib_trouble_strikes(trouble, NIB_FAULT_CORRUPT_COMPLETION, id, &strike))
		done_corrupt(done, strike.how.value);
	if (nib_trouble_strikes(trouble, NIB_FAULT_LATE_COMPLETION, id, &strike) &&
	    done_hold(fw, id, number, done, &strike.how, false))
		return;
	done_write(fw, id, number, done);
	if (nib_trouble_strikes(trouble, NIB_FAULT_DUPLICATE_COMPLETION, id, &strike))
		done_hold(fw, id, number, done, &strike.how, true);
	held_count(fw);
}

void nib_fw_done_flush(struct nib_fw *fw, uint32_t id)
{
	for (unsigned int i = 0; nib_fw_works(fw) && fw->num_held && i < NIB_FW_HELD; i++)
		if (fw->held[i].used && (id == NIB_FAULT_ANY || fw->held[i].queue == id))
			held_release(fw, &fw->held[i]);
}

/* --- Time --- */

bool nib_fw_waits(const struct nib_fw *fw)
{
	return nib_fw_works(fw) && (fw->num_held || fw->slow_until);
}

bool nib_fw_tick(struct nib_fw *fw)
{
	uint64_t now = nib_host_ns();

	for (unsigned int i = 0; fw->num_held && i < NIB_FW_HELD; i++)
		if (fw->held[i].used && now >= fw->held[i].due_ns)
			held_release(fw, &fw->held[i]);
	return fw->slow_until && now >= fw->slow_until;
}

bool nib_fw_message_is_late(struct nib_fw *fw, uint32_t op)
{
	struct nib_strike strike;

	/* Each message has one chance. */
	if (fw->judged != fw->admin_head + 1) {
		fw->judged = fw->admin_head + 1;
		if (nib_trouble_strikes(&fw->hw->trouble, NIB_FAULT_FIRMWARE_SLOW, op, &strike))
			fw->slow_until = nib_host_ns() + strike.how.ms * 1000000ull;
	}
	if (fw->slow_until > nib_host_ns())
		return true;
	fw->slow_until = 0;
	return false;
}

/* --- The control processor --- */

bool nib_fw_works(const struct nib_fw *fw)
{
	return nib_fw_alive(fw) && !fw->hung;
}

bool nib_fw_hung(const struct nib_fw *fw, enum nib_hang how)
{
	return fw->hung > (uint32_t)how + 1;
}

static void fw_hang(struct nib_fw *fw, uint32_t how)
{
	if (!nib_fw_works(fw))
		return;
	nib_hw_log(fw->hw, 3, "firmware hangs: on demand");
	fw->hung_beat = nib_fw_heartbeat(fw, nib_host_ns());
	fw->hung = how + 1;
}

static void fw_garbage(struct nib_fw *fw)
{
	if (!nib_fw_works(fw))
		return;
	nib_fw_event(fw, 0xdead, ~0u, ~0u, ~0ull);
	/* Nothing was written where a driver that believes the head looks for what it missed. */
	fw->event_head += NIB_EVENTS;
	nib_fw_event(fw, NIB_EVENT_NONE, 0, 0, 0);
}

void nib_fw_afflict(struct nib_fw *fw, const struct nib_fault_order *order)
{
	if (order->fault == NIB_FAULT_FIRMWARE_CRASH && nib_fw_alive(fw))
		nib_fw_crash(fw, "on demand");
	else if (order->fault == NIB_FAULT_FIRMWARE_HANG)
		fw_hang(fw, order->value);
	else if (order->fault == NIB_FAULT_GARBAGE_EVENT)
		fw_garbage(fw);
}

void nib_fw_chance(struct nib_fw *fw, uint32_t queue)
{
	static const enum nib_fault faults[] = {
		NIB_FAULT_GARBAGE_EVENT, NIB_FAULT_FIRMWARE_HANG, NIB_FAULT_FIRMWARE_CRASH,
	};
	struct nib_strike strike;

	for (unsigned int i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (nib_trouble_strikes(&fw->hw->trouble, faults[i], queue, &strike))
			nib_fw_afflict(fw, &strike.how);
}
