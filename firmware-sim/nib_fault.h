/* SPDX-License-Identifier: MIT */
/*
 * Faults on demand: what tests of recovery make a device do. The control socket of nib-sim
 * (control.h), NIB_REG_INJECT and tests in process all come through here. Which half of the device
 * misbehaves, and what a driver is expected to do about it, is in the table of trouble.c.
 *
 * A fault strikes at chances: an interrupt that is due, a doorbell, a completion, a packet, an
 * admin message, a boot. An order says how many chances to let pass and how often to strike then; a
 * storm strikes with a probability, by a generator of its own, so that one seed and one sequence of
 * chances give one sequence of strikes.
 *
 * All of these functions may be called from any thread while another one is in nib_device_run().
 */
#ifndef NIB_FAULT_H
#define NIB_FAULT_H

#include "nib_device.h"

enum nib_fault {
	/* What the hardware does. */
	NIB_FAULT_LOST_INTERRUPT,
	NIB_FAULT_SPURIOUS_INTERRUPT,
	NIB_FAULT_DEAD_DOORBELL,
	NIB_FAULT_DEAD_ADMIN_DOORBELL,
	NIB_FAULT_STUCK_PACKET,
	NIB_FAULT_SLOW_DMA,
	NIB_FAULT_MMU,
	NIB_FAULT_ECC_CORRECTED,
	NIB_FAULT_ECC_FATAL,
	/* What the firmware does. */
	NIB_FAULT_LATE_COMPLETION,
	NIB_FAULT_DUPLICATE_COMPLETION,
	NIB_FAULT_CORRUPT_COMPLETION,
	NIB_FAULT_FIRMWARE_CRASH,
	NIB_FAULT_FIRMWARE_HANG,
	NIB_FAULT_FIRMWARE_SLOW,
	NIB_FAULT_FIRMWARE_REFUSED,
	NIB_FAULT_FIRMWARE_API,
	NIB_FAULT_BAD_ANSWER,
	NIB_FAULT_GARBAGE_EVENT,
	NIB_FAULTS
};

/* What a fault can strike at. */
enum nib_chance {
	NIB_CHANCE_INTERRUPT,	/* key: vector */
	NIB_CHANCE_DOORBELL,	/* key: queue */
	NIB_CHANCE_ADMIN_DOORBELL, /* no key */
	NIB_CHANCE_PACKET,	/* key: queue */
	NIB_CHANCE_COMPLETION,	/* key: queue */
	NIB_CHANCE_MESSAGE,	/* key: enum nib_admin_op */
	NIB_CHANCE_BOOT,	/* no key */
};

/* What a corrupt completion has wrong. */
enum nib_corrupt {
	NIB_CORRUPT_SEQNO,
	NIB_CORRUPT_STATUS,
	NIB_CORRUPT_PHASE,	/* none that any round has: as if it had never come */
};

#define NIB_FAULT_ANY		UINT32_MAX	/* key: any */
#define NIB_FAULT_FOREVER	UINT32_MAX	/* count: until cleared */
#define NIB_FAULT_NOWHERE	UINT64_MAX	/* address: none */
#define NIB_FAULT_MAX_MS	600000u

/**
 * struct nib_fault_info - a fault, as the table has it.
 * @name: as the control socket spells it.
 * @what: what the device does, in a line.
 * @driver: what the driver is expected to do, in a line.
 * @chance: what it strikes at.
 * @at_once: without nib_fault_order.after it strikes when it is ordered, and not at a chance.
 * @firmware: the firmware's doing, not the hardware's.
 */
struct nib_fault_info {
	const char *name;
	const char *what;
	const char *driver;
	enum nib_chance chance;
	bool at_once;
	bool firmware;
};

const struct nib_fault_info *nib_fault_info(enum nib_fault fault);

/**
 * struct nib_fault_order - what to do, and when. nib_fault_order() gives one with all defaults.
 * @key: queue, vector or operation to strike at, by the fault's chance; NIB_FAULT_ANY.
 * @count: how often to strike; NIB_FAULT_FOREVER.
 * @after: chances that pass first.
 * @ms: wall-clock: late and duplicate completion, slow DMA, slow firmware.
 * @others: late completion: it is held until so many other completions have been posted, or for @ms,
 *	whichever comes first; 0: for @ms.
 * @value: stuck packet and hang of the firmware: enum nib_hang, what ends it; corrupt completion:
 *	enum nib_corrupt; refused firmware: enum nib_fw_error; API: major version that is told; bad
 *	answer: the status.
 * @address: ECC: HBM offset of the bad granule; NIB_FAULT_NOWHERE: whatever is read next.
 * @until_reset: a function reset forgets the order.
 */
struct nib_fault_order {
	enum nib_fault fault;
	uint32_t key;
	uint32_t count;
	uint32_t after;
	uint32_t ms;
	uint32_t others;
	uint32_t value;
	uint64_t address;
	bool until_reset;
};

struct nib_fault_order nib_fault_order(enum nib_fault fault);

/**
 * nib_device_inject - order a fault.
 *
 * Returns 0; -EINVAL for a value out of range, or a queue or vector that the device cannot have;
 * -ENOSPC where too many orders are open.
 */
int nib_device_inject(struct nib_device *device, const struct nib_fault_order *order);

/**
 * nib_device_storm - strike at random.
 * @order: which fault, and how; its count and after do not matter.
 * @ppm: probability of a strike at each chance, in millionths; 0 ends it.
 * @seed: of the generator.
 *
 * Returns 0, or -EINVAL.
 */
int nib_device_storm(struct nib_device *device, const struct nib_fault_order *order, uint32_t ppm,
		     uint64_t seed);

/* Forgets all orders and storms, heals bad memory. What has struck stays as it is. */
void nib_device_inject_clear(struct nib_device *device);

/*
 * PCIe link. Down: all reads give ones, writes are lost, the function is reset by it and does
 * nothing. Up: it answers again, as after power-on, memories excepted.
 */
void nib_device_link(struct nib_device *device, bool up);
/* How often the link has gone down, and whether it is up. */
unsigned int nib_device_link_losses(struct nib_device *device, bool *up);

/**
 * struct nib_fault_state - what a fault is up to.
 * @pending: strikes ordered and not delivered; NIB_FAULT_FOREVER.
 * @ppm: of a storm.
 * @struck: how often it has.
 */
struct nib_fault_state {
	uint32_t pending;
	uint32_t ppm;
	uint64_t struck;
};

void nib_device_faults(struct nib_device *device, struct nib_fault_state states[NIB_FAULTS]);

/**
 * struct nib_queue_state - a queue, as the firmware sees it.
 */
struct nib_queue_state {
	bool used;
	bool running;		/* its packet is on the engine */
	bool halted;		/* by a fault, or because its ring is gone */
	uint32_t context;
	uint32_t priority;
	uint32_t vector;
	uint64_t head;		/* jobs completed, by number */
	uint64_t tail;		/* jobs rung in, by number */
	uint64_t packets;
};

/**
 * struct nib_device_state - what a device is doing.
 * @fw_state: enum nib_fw_state.
 * @hung: the firmware does nothing, though its state does not say so.
 * @held: completions that wait for being late.
 * @interrupts: raised, lost ones not counted.
 */
struct nib_device_state {
	uint32_t fw_state;
	uint32_t fw_error;
	uint32_t heartbeat;
	uint32_t resets;
	bool hung;
	bool link;
	unsigned int link_losses;
	unsigned int held;
	uint64_t packets;
	uint64_t interrupts;
};

void nib_device_state(struct nib_device *device, struct nib_device_state *state);
/* False where the chip has no such queue. */
bool nib_device_queue_state(struct nib_device *device, uint32_t queue,
			    struct nib_queue_state *state);

#endif
