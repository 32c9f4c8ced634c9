// SPDX-License-Identifier: MIT
/*
 * The book of orders for faults, and the table of what there is. The harm itself is done where
 * hardware or firmware would do it: device.c, regs.c and hw_*.c, or fw_*.c.
 */
#include <errno.h>
#include <string.h>
#include "trouble.h"
#include "nib_regs.h"

static const struct nib_fault_info faults[NIB_FAULTS] = {
	[NIB_FAULT_LOST_INTERRUPT] = {
		.name = "lost-interrupt",
		.what = "an MSI-X message is dropped",
		.driver = "the watchdog finds the completion, a wait for an answer polls: only late",
		.chance = NIB_CHANCE_INTERRUPT,
	},
	[NIB_FAULT_SPURIOUS_INTERRUPT] = {
		.name = "spurious-interrupt",
		.what = "an MSI-X message comes though nothing has happened",
		.driver = "nothing",
		.chance = NIB_CHANCE_INTERRUPT,
		.at_once = true,
	},
	[NIB_FAULT_DEAD_DOORBELL] = {
		.name = "dead-doorbell",
		.what = "a write to the doorbell of a queue is lost",
		.driver = "the watchdog rings again, or else ends the queue",
		.chance = NIB_CHANCE_DOORBELL,
	},
	[NIB_FAULT_DEAD_ADMIN_DOORBELL] = {
		.name = "dead-admin-doorbell",
		.what = "a write to the doorbell of the admin ring is lost",
		.driver = "rings again while it waits, or else reboots the firmware",
		.chance = NIB_CHANCE_ADMIN_DOORBELL,
	},
	[NIB_FAULT_STUCK_PACKET] = {
		.name = "stuck-packet",
		.what = "a packet does not end before the rung that is named",
		.driver = "climbs to that rung; guilty job ETIMEDOUT, innocents go on or are told",
		.chance = NIB_CHANCE_PACKET,
	},
	[NIB_FAULT_SLOW_DMA] = {
		.name = "slow-dma",
		.what = "a packet takes so much longer on the wall clock",
		.driver = "nothing: slow is not stuck",
		.chance = NIB_CHANCE_PACKET,
	},
	[NIB_FAULT_MMU] = {
		.name = "mmu-fault",
		.what = "the next access of a packet faults though it is mapped",
		.driver = "job EFAULT, its queue dies, others go on",
		.chance = NIB_CHANCE_PACKET,
	},
	[NIB_FAULT_ECC_CORRECTED] = {
		.name = "ecc-corrected",
		.what = "a read of HBM meets an error that is corrected",
		.driver = "counts and tells it",
		.chance = NIB_CHANCE_PACKET,
	},
	[NIB_FAULT_ECC_FATAL] = {
		.name = "ecc-fatal",
		.what = "a read of HBM meets an error that is not corrected",
		.driver = "job EIO, its queue dies and is innocent, others go on",
		.chance = NIB_CHANCE_PACKET,
	},
	[NIB_FAULT_LATE_COMPLETION] = {
		.name = "late-completion",
		.what = "a completion is held back; later ones of its queue are not",
		.driver = "nothing: fences wait, in order",
		.chance = NIB_CHANCE_COMPLETION,
		.firmware = true,
	},
	[NIB_FAULT_DUPLICATE_COMPLETION] = {
		.name = "duplicate-completion",
		.what = "a completion is posted twice, with its interrupt",
		.driver = "nothing",
		.chance = NIB_CHANCE_COMPLETION,
		.firmware = true,
	},
	[NIB_FAULT_CORRUPT_COMPLETION] = {
		.name = "corrupt-completion",
		.what = "a completion has a wrong seqno, status or phase",
		.driver = "job EIO, its queue dies, others go on",
		.chance = NIB_CHANCE_COMPLETION,
		.firmware = true,
	},
	[NIB_FAULT_FIRMWARE_CRASH] = {
		.name = "firmware-crash",
		.what = "the firmware stops, and its state says so",
		.driver = "reboots it; jobs that ran end with EIO",
		.chance = NIB_CHANCE_PACKET,
		.at_once = true,
		.firmware = true,
	},
	[NIB_FAULT_FIRMWARE_HANG] = {
		.name = "firmware-hang",
		.what = "the firmware stops, heartbeat and all, and its state says it is ready",
		.driver = "reboots it, or resets the function where the rung is that",
		.chance = NIB_CHANCE_PACKET,
		.at_once = true,
		.firmware = true,
	},
	[NIB_FAULT_FIRMWARE_SLOW] = {
		.name = "firmware-slow",
		.what = "an admin message is answered late; the heart beats",
		.driver = "waits",
		.chance = NIB_CHANCE_MESSAGE,
		.firmware = true,
	},
	[NIB_FAULT_FIRMWARE_REFUSED] = {
		.name = "firmware-refused",
		.what = "the boot ROM refuses a firmware image",
		.driver = "tries again, climbs, at last wedged",
		.chance = NIB_CHANCE_BOOT,
		.firmware = true,
	},
	[NIB_FAULT_FIRMWARE_API] = {
		.name = "firmware-api",
		.what = "firmware boots and tells an API that is not its image's",
		.driver = "refuses it with one line that says what to update",
		.chance = NIB_CHANCE_BOOT,
		.firmware = true,
	},
	[NIB_FAULT_BAD_ANSWER] = {
		.name = "bad-answer",
		.what = "an admin message is answered with a status of its own, and not carried out",
		.driver = "the call fails with EIO; memory that the device may still use is kept",
		.chance = NIB_CHANCE_MESSAGE,
		.firmware = true,
	},
	[NIB_FAULT_GARBAGE_EVENT] = {
		.name = "garbage-event",
		.what = "the event ring gets an entry that makes no sense, and its head jumps a round",
		.driver = "ignores it; later events are read again",
		.chance = NIB_CHANCE_PACKET,
		.at_once = true,
		.firmware = true,
	},
};

const struct nib_fault_info *nib_fault_info(enum nib_fault fault)
{
	return (unsigned int)fault < NIB_FAULTS ? &faults[fault] : NULL;
}

struct nib_fault_order nib_fault_order(enum nib_fault fault)
{
	struct nib_fault_order order = {
		.fault = fault,
		.key = NIB_FAULT_ANY,
		.count = 1,
		.address = NIB_FAULT_NOWHERE,
	};

	switch (fault) {
	case NIB_FAULT_LATE_COMPLETION:
		order.ms = 100;
		break;
	case NIB_FAULT_DUPLICATE_COMPLETION:
		order.ms = 1;
		break;
	case NIB_FAULT_SLOW_DMA:
		order.ms = 10;
		break;
	case NIB_FAULT_FIRMWARE_SLOW:
		order.ms = 500;
		break;
	case NIB_FAULT_FIRMWARE_HANG:
		order.value = NIB_HANG_FIRMWARE;
		break;
	case NIB_FAULT_FIRMWARE_REFUSED:
		order.value = NIB_FW_ERR_DIGEST;
		break;
	case NIB_FAULT_FIRMWARE_API:
		order.value = NIB_FW_API_MAJOR + 1;
		break;
	case NIB_FAULT_BAD_ANSWER:
		order.value = 99; /* none of enum nib_admin_status */
		break;
	default:
		break;
	}
	return order;
}

static bool value_ok(const struct nib_fault_order *order)
{
	switch (order->fault) {
	case NIB_FAULT_STUCK_PACKET:
		return order->value <= NIB_HANG_FUNCTION;
	case NIB_FAULT_FIRMWARE_HANG:
		return order->value == NIB_HANG_FIRMWARE || order->value == NIB_HANG_FUNCTION;
	case NIB_FAULT_CORRUPT_COMPLETION:
		return order->value <= NIB_CORRUPT_PHASE;
	case NIB_FAULT_FIRMWARE_REFUSED:
		return order->value >= NIB_FW_ERR_DMA && order->value <= NIB_FW_ERR_STATE;
	case NIB_FAULT_FIRMWARE_API:
		return order->value <= UINT16_MAX;
	case NIB_FAULT_BAD_ANSWER:
		return order->value != NIB_ADM_PENDING;
	default:
		return !order->value;
	}
}

static bool key_ok(const struct nib_fault_order *order)
{
	switch (faults[order->fault].chance) {
	case NIB_CHANCE_INTERRUPT:
		return order->key < NIB_MSIX_VECTORS;
	case NIB_CHANCE_MESSAGE:
		return order->key <= NIB_ADM_JOB_CANCEL;
	case NIB_CHANCE_ADMIN_DOORBELL:
	case NIB_CHANCE_BOOT:
		return false;
	default:
		return order->key < NIB_MAX_QUEUES;
	}
}

int nib_trouble_check(const struct nib_fault_order *order)
{
	if ((unsigned int)order->fault >= NIB_FAULTS || !order->count ||
	    order->ms > NIB_FAULT_MAX_MS || !value_ok(order) ||
	    (order->key != NIB_FAULT_ANY && !key_ok(order)))
		return -EINVAL;
	return 0;
}

int nib_trouble_add(struct nib_trouble *trouble, const struct nib_fault_order *order)
{
	for (unsigned int i = 0; i < NIB_TROUBLE_ORDERS; i++) {
		if (trouble->orders[i].count)
			continue;
		trouble->orders[i] = *order;
		trouble->armed = true;
		return 0;
	}
	return -ENOSPC;
}

/* @armed after something has gone. */
static void trouble_settle(struct nib_trouble *trouble)
{
	trouble->armed = false;
	for (unsigned int i = 0; i < NIB_TROUBLE_ORDERS; i++)
		trouble->armed |= trouble->orders[i].count != 0;
	for (unsigned int i = 0; i < NIB_FAULTS; i++)
		trouble->armed |= trouble->storms[i].ppm != 0;
}

void nib_trouble_clear(struct nib_trouble *trouble)
{
	memset(trouble->orders, 0, sizeof(trouble->orders));
	memset(trouble->storms, 0, sizeof(trouble->storms));
	atomic_store(&trouble->poison, 0);
	trouble->generation++;
	trouble->armed = false;
}

void nib_trouble_reset(struct nib_trouble *trouble)
{
	atomic_store(&trouble->poison, 0);
	trouble->generation++;
	for (unsigned int i = 0; i < NIB_TROUBLE_ORDERS; i++)
		if (trouble->orders[i].until_reset)
			trouble->orders[i].count = 0;
	trouble_settle(trouble);
}

/* splitmix64 */
static uint64_t storm_next(uint64_t *random)
{
	uint64_t z = *random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static bool key_matches(const struct nib_fault_order *order, uint32_t key)
{
	return order->key == NIB_FAULT_ANY || order->key == key;
}

/* The first order whose turn it is. The others wait for chances of their own. */
static struct nib_fault_order *order_due(struct nib_trouble *trouble, enum nib_fault fault,
					 uint32_t key)
{
	for (unsigned int i = 0; i < NIB_TROUBLE_ORDERS; i++) {
		struct nib_fault_order *order = &trouble->orders[i];

		if (!order->count || order->fault != fault || !key_matches(order, key))
			continue;
		if (!order->after)
			return order;
		order->after--;
	}
	return NULL;
}

bool nib_trouble_strikes(struct nib_trouble *trouble, enum nib_fault fault, uint32_t key,
			 struct nib_strike *strike)
{
	struct nib_storm *storm = &trouble->storms[fault];
	struct nib_fault_order *order;
	struct nib_strike unused;

	if (!trouble->armed)
		return false;
	strike = strike ? strike : &unused;
	order = order_due(trouble, fault, key);
	if (order) {
		strike->how = *order;
		if (order->count != NIB_FAULT_FOREVER && !--order->count)
			trouble_settle(trouble);
	} else if (storm->ppm && key_matches(&storm->order, key) &&
		   storm_next(&storm->random) % 1000000 < storm->ppm) {
		strike->how = storm->order;
	} else {
		return false;
	}
	strike->ordered = order;
	strike->generation = trouble->generation;
	trouble->struck[fault]++;
	return true;
}

/* But for how often. */
static bool same_order(const struct nib_fault_order *a, const struct nib_fault_order *b)
{
	return a->fault == b->fault && a->key == b->key && a->after == b->after && a->ms == b->ms &&
	       a->others == b->others && a->value == b->value && a->address == b->address &&
	       a->until_reset == b->until_reset;
}

/* Goes back to what is left of its order: many misses must not fill the table. */
void nib_trouble_missed(struct nib_trouble *trouble, const struct nib_strike *strike)
{
	struct nib_fault_order order = strike->how;

	trouble->struck[order.fault]--;
	if (!strike->ordered || strike->generation != trouble->generation ||
	    order.count == NIB_FAULT_FOREVER)
		return;
	for (unsigned int i = 0; i < NIB_TROUBLE_ORDERS; i++) {
		struct nib_fault_order *left = &trouble->orders[i];

		if (left->count && left->count != NIB_FAULT_FOREVER && same_order(left, &order)) {
			left->count++;
			return;
		}
	}
	order.count = 1;
	nib_trouble_add(trouble, &order);
}
