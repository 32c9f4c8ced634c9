/* SPDX-License-Identifier: MIT */
/*
 * Orders for faults: who is to strike at which chance. Both halves of the device ask here, each at
 * its own chances; nothing in here does harm by itself. All with the device lock held, but for
 * @hang and @poison, which the engine looks at.
 */
#ifndef NIB_TROUBLE_H
#define NIB_TROUBLE_H

#include <stdatomic.h>
#include "nib_fault.h"

#define NIB_TROUBLE_ORDERS	64u

#define NIB_POISON_BYTES	64ull
#define NIB_POISON_CORRECTED	1ull
#define NIB_POISON_FATAL	2ull

/**
 * struct nib_storm - random strikes of one fault.
 * @order: how it strikes.
 * @ppm: with what probability; 0: there is no storm.
 * @random: state of its generator.
 */
struct nib_storm {
	struct nib_fault_order order;
	uint32_t ppm;
	uint64_t random;
};

/**
 * struct nib_trouble - what tests have ordered.
 * @enabled: NIB_REG_INJECT works.
 * @armed: something is ordered: without, a chance costs nothing.
 * @hang: 1 + enum nib_hang while the packet on the engine is stuck; 0: it is not.
 * @poison: HBM offset of a bad granule, | NIB_POISON_*; 0 for none.
 * @address: NIB_REG_INJECT_ADDR.
 * @generation: grows when orders are forgotten.
 * @orders: open while their count is not 0.
 */
struct nib_trouble {
	bool enabled;
	bool armed;
	atomic_uint hang;
	_Atomic uint64_t poison;
	uint64_t address;
	unsigned int generation;
	uint64_t struck[NIB_FAULTS];
	struct nib_fault_order orders[NIB_TROUBLE_ORDERS];
	struct nib_storm storms[NIB_FAULTS];
};

/**
 * struct nib_strike - a fault that strikes.
 * @how: copy of the order, or of the storm's.
 * @ordered: by an order, not by a storm.
 * @generation: of the book then.
 */
struct nib_strike {
	struct nib_fault_order how;
	bool ordered;
	unsigned int generation;
};

/* 0 or -EINVAL. */
int nib_trouble_check(const struct nib_fault_order *order);
/* 0 or -ENOSPC. */
int nib_trouble_add(struct nib_trouble *trouble, const struct nib_fault_order *order);
void nib_trouble_clear(struct nib_trouble *trouble);
/* A function reset happens. */
void nib_trouble_reset(struct nib_trouble *trouble);

/* A chance for @fault; true: it strikes. @strike may be NULL. */
bool nib_trouble_strikes(struct nib_trouble *trouble, enum nib_fault fault, uint32_t key,
			 struct nib_strike *strike);
/*
 * The strike found nothing to hit: it is due again at the next chance, unless there was a clear or a
 * function reset since.
 */
void nib_trouble_missed(struct nib_trouble *trouble, const struct nib_strike *strike);

#endif
