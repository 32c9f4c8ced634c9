/* SPDX-License-Identifier: MIT */
/*
 * Picking a token from a row of logits; struct nib_sample_params says how. Compiled once per
 * instruction set; see isa.h.
 *
 * The order of candidates is found as far as it is needed: they are collected in bands of falling
 * probability, and a band is a heap from which they are taken one by one.
 */
#include "lanes.h"
#include "math.h"

#define STRIP	256u

static uint32_t greedy(const float *logits, uint32_t n)
{
	float best = nib_lanes_fold(nib_max, nib_nan(), logits, n);
	uint32_t i, j, run, found;

	for (i = 0; i < n; i += run) {
		run = n - i < STRIP ? n - i : STRIP;
		found = 0;
		for (j = 0; j < run; j++)
			found |= logits[i + j] == best;
		for (j = 0; found && j < run; j++)
			if (logits[i + j] == best)
				return i + j;
	}
	return 0;
}

/*
 * Candidates are 64-bit keys whose descending order is the wanted one: the logit as an ordered
 * integer above, the complement of the index below. Adding 0 makes -0 and +0 the same number.
 */
static uint64_t candidate_key(float logit, uint32_t index)
{
	uint32_t bits = nib_bits(logit + 0.0f);

	bits ^= (uint32_t)((int32_t)bits >> 31) | 0x80000000u;
	return (uint64_t)bits << 32 | (uint32_t)~index;
}

static uint32_t candidate_index(uint64_t key)
{
	return ~(uint32_t)key;
}

/*
 * Candidates in their order.
 * @keys: those taken so far from the front; a heap of the band from the back.
 * @taken: how many at the front.
 * @heap: how many at the back.
 * @above: upper end of the next band: logits below it were not seen yet.
 * @band: its number.
 */
struct order {
	const float *logits;
	uint64_t *keys;
	uint32_t n;
	uint32_t taken;
	uint32_t heap;
	float max;
	float temperature;
	float above;
	uint32_t band;
};

static uint64_t *heap_at(const struct order *o, uint32_t i)
{
	return &o->keys[o->n - 1 - i];
}

/* The largest on top. */
static void sift_down(const struct order *o, uint32_t at)
{
	uint64_t key = *heap_at(o, at);
	uint32_t child;

	while ((child = 2 * at + 1) < o->heap) {
		child += child + 1 < o->heap && *heap_at(o, child + 1) > *heap_at(o, child);
		if (key >= *heap_at(o, child))
			break;
		*heap_at(o, at) = *heap_at(o, child);
		at = child;
	}
	*heap_at(o, at) = key;
}

/* Collects the next band that is not empty; false where none is left. */
static int band_collect(struct order *o)
{
	/* Temperatures below the maximum. Past the last one the probability rounds to zero. */
	static const float depth[] = { 1, 2, 4, 7, 12, 20, 40, 105 };
	uint32_t i, j, run, found;
	float below;

	while (!o->heap && o->band < sizeof(depth) / sizeof(depth[0])) {
		below = o->max - depth[o->band++] * o->temperature;
		for (i = 0; i < o->n; i += run) {
			const float *x = o->logits + i;

			run = o->n - i < STRIP / 8 ? o->n - i : STRIP / 8;
			found = 0;
			for (j = 0; j < run; j++)
				found |= (x[j] >= below) & (x[j] < o->above);
			for (j = 0; found && j < run; j++)
				if (x[j] >= below && x[j] < o->above)
					*heap_at(o, o->heap++) = candidate_key(x[j], i + j);
		}
		o->above = below < o->above ? below : o->above;
	}
	for (i = o->heap / 2; i-- > 0;)
		sift_down(o, i);
	return o->heap != 0;
}

/* Candidate @i of the order, which is at most the next one; false where there is none. */
static int order_get(struct order *o, uint32_t i, uint32_t *index)
{
	uint64_t best;

	if (i == o->taken) {
		/*
		 * Each is taken once, but from logits that whoever else has that memory may
		 * change meanwhile: they decide what is picked, and nothing more.
		 */
		if (o->taken == o->n || (!o->heap && !band_collect(o)))
			return 0;
		/* The slot at the end of the heap is free before one at the front is needed. */
		best = *heap_at(o, 0);
		*heap_at(o, 0) = *heap_at(o, --o->heap);
		if (o->heap)
			sift_down(o, 0);
		o->keys[o->taken++] = best;
	}
	*index = candidate_index(o->keys[i]);
	return 1;
}

static float probability(const struct order *o, uint32_t index)
{
	return nib_exp((o->logits[index] - o->max) / o->temperature);
}

/* Row sum of all probabilities. */
static float row_total(const struct order *o)
{
	float lane[NIB_LANES] = { 0 }, p[STRIP] __attribute__((aligned(64)));
	uint32_t i, j, l, run, step;

	for (i = 0; i < o->n; i += run) {
		run = o->n - i < STRIP ? o->n - i : STRIP;
		for (j = 0; j < run; j++) {
			float x = o->logits[i + j];

			p[j] = nib_exp((x - o->max) / o->temperature);
			p[j] = x == x ? p[j] : 0.0f;
		}
		for (; j % NIB_LANES; j++)
			p[j] = 0.0f;
		for (j = 0; j < run; j += NIB_LANES)
			for (l = 0; l < NIB_LANES; l++)
				lane[l] += p[j + l];
	}
	for (step = NIB_LANES / 2; step; step /= 2)
		for (l = 0; l < step; l++)
			lane[l] += lane[l + step];
	return lane[0];
}

uint32_t NIB_KERNEL(nib_sample)(const float *logits, uint32_t n,
				const struct nib_sample_params *params, void *scratch)
{
	float temperature = nib_float(params->temperature), top_p = nib_float(params->top_p);
	uint32_t first = greedy(logits, n), most = n, index, i;
	float total = 0, kept = 0, share, running = 0, inf = __builtin_inff();
	struct order o = {
		.logits = logits,
		.keys = scratch,
		.n = n,
		.max = logits[first],
		.temperature = temperature,
		.above = inf,
	};

	if (params->top_k && params->top_k < n)
		most = params->top_k;
	/* NaNs only, or a maximum that is infinite, or no temperature. */
	if (!(temperature > 0) || !(nib_abs(o.max) < inf))
		return first;
	if (!params->top_k)
		total = row_total(&o);
	else
		for (i = 0; i < most && order_get(&o, i, &index); i++)
			total += probability(&o, index);
	if (top_p < 1) {
		for (i = 0; i < most && order_get(&o, i, &index); i++) {
			kept += probability(&o, index);
			if (kept >= top_p * total) {
				most = i + 1;
				break;
			}
		}
	} else {
		kept = total;
	}
	share = (float)(nib_philox(params->seed, params->counter) >> 8) * 0x1p-24f * kept;
	for (i = 0; i < most && order_get(&o, i, &index); i++) {
		running += probability(&o, index);
		if (running > share)
			return index;
	}
	return first;
}
