// SPDX-License-Identifier: MIT
/*
 * The engine's front end: puts arguments into a packet, checks what came out, and hands it to the
 * unit that executes it. Also the packets that need no unit: semaphores and timestamps. How units
 * work is in hw_exec_*.c, what a packet costs in hw_timing.c.
 */
#include <fenv.h>
#include <string.h>
#include <time.h>
#include "hw_access.h"
#include "nib_validate.h"

static uint32_t validate(const __u64 *w, uint32_t avail)
{
	uint32_t words, nargs = 0;

	return nib_packet_validate(w, avail, &words, &nargs);
}

/*
 * A packet became invalid through its arguments: find the one to blame, by trying each of them
 * alone as a constant among unknowns.
 */
static bool resolve_blame(struct nib_access *a, const __u64 *raw, const __u64 *resolved,
			  uint32_t words)
{
	uint32_t mask = (uint32_t)(raw[0] >> 32), error;
	__u64 trial[NIB_MAX_PKT_WORDS];

	for (uint32_t i = 1; i <= 32 && i < words; i++) {
		if (!(mask >> (i - 1) & 1))
			continue;
		memcpy(trial, raw, words * 8);
		trial[0] &= ~(1ull << (32 + i - 1));
		trial[i] = resolved[i];
		error = validate(trial, words);
		if (error)
			return nib_access_fault(a, error == NIB_INVALID_ALIGN ?
						NIB_DONE_FAULT_ALIGN : NIB_DONE_FAULT_VALUE,
						resolved[i]);
	}
	return nib_access_fault(a, NIB_DONE_FAULT_VALUE, 0);
}

/* Replaces argument references by values; checks the packet before and after. */
static bool resolve(struct nib_access *a, const struct nib_engine_command *command, __u64 *w)
{
	const __u64 *raw = command->words;
	uint32_t mask = (uint32_t)(raw[0] >> 32), words = raw[0] >> 16 & 0xffff;

	/* The driver has validated the stream; memory may have changed since. */
	if (validate(raw, command->avail))
		return nib_access_fault(a, NIB_DONE_FAULT_STREAM, 0);
	memcpy(w, raw, words * 8);
	if (!mask)
		return true;
	w[0] &= 0xffffffffull;
	for (uint32_t i = 1; i <= 32 && i < words; i++) {
		if (!(mask >> (i - 1) & 1))
			continue;
		if (NIB_ARG_INDEX(raw[i]) >= command->nargs)
			return nib_access_fault(a, NIB_DONE_FAULT_STREAM, NIB_ARG_INDEX(raw[i]));
		w[i] = command->args[NIB_ARG_INDEX(raw[i])] + (uint64_t)NIB_ARG_ADDEND(raw[i]);
	}
	return !validate(w, words) || resolve_blame(a, raw, w, words);
}

/* A naturally aligned word lies in one page: always one pointer. */
static uint64_t *word_map(struct nib_access *a, uint64_t va, unsigned int access)
{
	struct nib_view view;

	return nib_view_map(a, va, 8, access, &view) ? (uint64_t *)(void *)view.ptr : NULL;
}

static bool exec_timestamp(struct nib_access *a, const __u64 *w)
{
	uint64_t *at = word_map(a, w[1], NIB_WRITE);

	if (!at)
		return false;
	/* The device is busy: its clock does not follow the host's. */
	__atomic_store_n(at, nib_meter_clock_ns(a->hw, 0), __ATOMIC_RELAXED);
	return true;
}

static bool exec_sem(struct nib_access *a, const __u64 *w)
{
	unsigned int access = w[3] == NIB_SEM_WAIT_GE ? NIB_READ :
			      w[3] == NIB_SEM_ADD ? NIB_READ | NIB_WRITE : NIB_WRITE;
	uint64_t *at = word_map(a, w[1], access);

	if (!at)
		return false;
	switch (w[3]) {
	case NIB_SEM_SET:
		__atomic_store_n(at, w[2], __ATOMIC_RELEASE);
		return true;
	case NIB_SEM_ADD:
		__atomic_fetch_add(at, w[2], __ATOMIC_ACQ_REL);
		return true;
	default:
		if ((int64_t)(__atomic_load_n(at, __ATOMIC_ACQUIRE) - w[2]) >= 0)
			return true;
		return nib_access_fault(a, NIB_ENGINE_BLOCKED, w[1]);
	}
}

static bool dispatch(struct nib_access *a, const __u64 *w)
{
	switch (w[0] & 0xffff) {
	case NIB_OP_END:
	case NIB_OP_NOP:
		return true;
	case NIB_OP_TIMESTAMP:
		return exec_timestamp(a, w);
	case NIB_OP_SEM:
		return exec_sem(a, w);
	case NIB_OP_COPY:
		return nib_exec_copy(a, w);
	case NIB_OP_FILL:
		return nib_exec_fill(a, w);
	case NIB_OP_GATHER:
		return nib_exec_gather(a, w);
	case NIB_OP_KV_APPEND:
		return nib_exec_kv_append(a, w);
	case NIB_OP_QUANT:
		return nib_exec_quant(a, w);
	case NIB_OP_GEMM:
		return nib_exec_gemm(a, w);
	case NIB_OP_GEMM_GROUPED:
		return nib_exec_gemm_grouped(a, w);
	case NIB_OP_CONV:
		return nib_exec_conv(a, w);
	case NIB_OP_CONV_DEPTHWISE:
		return nib_exec_conv_depthwise(a, w);
	case NIB_OP_ATTENTION:
		return nib_exec_attention(a, w);
	case NIB_OP_VEC:
		return nib_exec_vec(a, w);
	case NIB_OP_SAMPLE:
		return nib_exec_sample(a, w);
	case NIB_OP_SCAN:
		return nib_exec_scan(a, w);
	default:
		return nib_access_fault(a, NIB_DONE_FAULT_STREAM, 0);
	}
}

/* Slow only on the wall clock: the modelled one does not see it. */
static bool delay(struct nib_access *a, uint32_t ms)
{
	const struct timespec while_ago = { .tv_nsec = 1000000 };
	uint64_t end = nib_host_ns() + ms * 1000000ull;

	while (ms && nib_host_ns() < end) {
		nanosleep(&while_ago, NULL);
		if (!nib_access_park(a))
			return false;
	}
	return true;
}

/* As long as tests want the engine to hang, it does; it can be parked and stopped meanwhile. */
static bool hang(struct nib_access *a)
{
	const struct timespec while_ago = { .tv_nsec = 1000000 };

	while (atomic_load_explicit(&a->hw->trouble.hang, memory_order_relaxed)) {
		nanosleep(&while_ago, NULL);
		if (!nib_access_park(a))
			return false;
	}
	return true;
}

void nib_engine_execute(struct nib_hw *hw, struct nib_engine_command *command,
			struct nib_engine_result *result)
{
	__u64 w[NIB_MAX_PKT_WORDS];
	struct nib_access a;
	fenv_t env;

	memset(result, 0, sizeof(*result));
	a = (struct nib_access){
		.hw = hw,
		.cost = &result->cost,
		.root = command->root,
		.context = command->context,
		.trouble = &command->trouble,
		.status = NIB_ENGINE_OK,
	};
	/* Rounding and subnormals as the ISA has them, whatever the host program set. */
	fegetenv(&env);
	fesetenv(FE_DFL_ENV);
	if (nib_access_park(&a) && hang(&a) && delay(&a, command->trouble.delay_ms) &&
	    resolve(&a, command, w))
		dispatch(&a, w);
	fesetenv(&env);
	nib_arena_trim(&hw->arena);
	result->status = a.status;
	result->fault_va = a.fault_va;
	result->ecc = a.ecc;
	/* A wait that does not hold was not there: it is tried again, and costs once it holds. */
	if (a.status != NIB_ENGINE_BLOCKED)
		nib_cost_settle(&hw->chip, &result->cost, command->first, result);
}

void nib_engine_store(struct nib_hw *hw, uint32_t context, uint64_t root, uint64_t va,
		      const void *data, uint64_t bytes, struct nib_engine_result *result)
{
	struct nib_access a = {
		.hw = hw,
		.cost = &result->cost,
		.root = root,
		.context = context,
		.status = NIB_ENGINE_OK,
	};
	struct nib_view view;

	memset(result, 0, sizeof(*result));
	if (nib_view_map(&a, va, bytes, NIB_WRITE, &view)) {
		memcpy(view.ptr, data, bytes);
		nib_view_commit(&a, &view);
	}
	nib_arena_trim(&hw->arena);
	result->status = a.status;
	result->fault_va = a.fault_va;
}
