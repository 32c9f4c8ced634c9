/* SPDX-License-Identifier: MIT */
/*
 * Picking a token from a row of logits; struct nib_sample_params says how. Compiled once per
 * instruction set; see isa.h.
 *
 * Left open there: NaN logits are never candidates; a temperature that is not above zero is zero;
 * where no running sum exceeds the drawn share (a NaN among the sums: the maximum is infinite) the
 * first candidate is taken.
 */
#include "isa.h"
#include "math.h"

static uint32_t greedy(const float *logits, uint32_t n)
{
	float best = nib_nan();
	uint32_t i, token = 0;

	for (i = 0; i < n; i++)
		best = nib_max(best, logits[i]);
	for (i = 0; i < n; i++) {
		if (logits[i] == best) {
			token = i;
			break;
		}
	}
	return token;
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

static void swap_keys(uint64_t *a, uint64_t *b)
{
	uint64_t t = *a;

	*a = *b;
	*b = t;
}

static void sift_down(uint64_t *heap, uint32_t at, uint32_t n)
{
	uint32_t child;

	while ((child = 2 * at + 1) < n) {
		child += child + 1 < n && heap[child + 1] < heap[child];
		if (heap[at] <= heap[child])
			return;
		swap_keys(&heap[at], &heap[child]);
		at = child;
	}
}

/* The first @keep of @n distinct keys, descending: a heap of the best, smallest on top. */
static void sort_best(uint64_t *keys, uint32_t n, uint32_t keep)
{
	uint32_t i;

	for (i = keep / 2; i-- > 0;)
		sift_down(keys, i, keep);
	for (i = keep; i < n; i++) {
		if (keys[i] > keys[0]) {
			swap_keys(&keys[i], &keys[0]);
			sift_down(keys, 0, keep);
		}
	}
	for (i = keep; i-- > 1;) {
		swap_keys(&keys[0], &keys[i]);
		sift_down(keys, 0, i);
	}
}

static float probability(const float *logits, uint64_t key, float max, float temperature)
{
	return nib_exp((logits[candidate_index(key)] - max) / temperature);
}

uint32_t NIB_KERNEL(nib_sample)(const float *logits, uint32_t n,
				const struct nib_sample_params *params, void *scratch)
{
	float temperature = nib_float(params->temperature), top_p = nib_float(params->top_p);
	float total = 0, limit, kept = 0, share, running = 0, max;
	uint32_t first = greedy(logits, n), count = 0, i;
	uint64_t *keys = scratch;

	max = logits[first];
	if (!(temperature > 0) || max != max)
		return first;
	/* What rounds to probability zero cannot be drawn and adds nothing: leave it unsorted. */
	for (i = 0; i < n; i++)
		if (!((logits[i] - max) / temperature < -104.0f) && logits[i] == logits[i])
			keys[count++] = candidate_key(logits[i], i);
	sort_best(keys, count, params->top_k && params->top_k < count ? params->top_k : count);
	if (params->top_k && params->top_k < count)
		count = params->top_k;

	for (i = 0; i < count; i++)
		total += probability(logits, keys[i], max, temperature);
	limit = top_p * total;
	for (i = 0; i < count; i++) {
		kept += probability(logits, keys[i], max, temperature);
		if (kept >= limit) {
			count = i + 1;
			break;
		}
	}
	share = (float)(nib_philox(params->seed, params->counter) >> 8) * 0x1p-24f * kept;
	for (i = 0; i < count; i++) {
		running += probability(logits, keys[i], max, temperature);
		if (running > share)
			return candidate_index(keys[i]);
	}
	return first;
}
