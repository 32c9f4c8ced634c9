// SPDX-License-Identifier: MIT
/*
 * The firmware's scheduler: which packet the engine gets next, and what becomes of jobs. The
 * highest priority goes first, always; among equals, queues take turns of a quantum of modelled run
 * time, and the one that has had the least time for its weight is next. Any packet boundary is a
 * point of preemption. A queue at a closed semaphore is passed over.
 */
#include <string.h>
#include "fw.h"

static void ready_set(struct nib_fw *fw, uint32_t id, bool ready)
{
	uint64_t bit = 1ull << (id % 64);

	if (ready)
		fw->ready[id / 64] |= bit;
	else
		fw->ready[id / 64] &= ~bit;
}

static bool ready_get(const struct nib_fw *fw, uint32_t id)
{
	return fw->ready[id / 64] >> (id % 64) & 1;
}

static bool queue_has_jobs(const struct nib_fw_queue *queue)
{
	return queue->used && !queue->broken && !queue->halted && queue->head != queue->tail;
}

static void queue_update(struct nib_fw *fw, uint32_t id)
{
	ready_set(fw, id, queue_has_jobs(&fw->queues[id]));
}

void *nib_fw_ring(struct nib_fw *fw, uint32_t id, uint64_t offset, uint64_t bytes, bool write)
{
	struct nib_fw_queue *queue = &fw->queues[id];
	void *p = nib_hw_dma(fw->hw, queue->ring + offset, bytes, write);

	if (!p && !queue->broken) {
		queue->broken = true;
		queue->job.active = false;
		queue->status.running = NIB_QUEUE_IDLE;
		queue->status.job_packets = 0;
		queue_update(fw, id);
		nib_hw_log(fw->hw, 4, "queue %u: its ring is gone", id);
		nib_fw_event(fw, NIB_EVENT_FAULT, id,
			     write ? NIB_DONE_FAULT_WRITE : NIB_DONE_FAULT_READ,
			     queue->ring + offset);
	}
	return p;
}

/* Shows the driver what a queue is doing. */
static void queue_publish(struct nib_fw *fw, uint32_t id)
{
	const struct nib_queue_status *from = &fw->queues[id].status;
	struct nib_queue_status *to =
		nib_fw_ctrl(fw, offsetof(struct nib_ctrl, queues) + id * sizeof(*to), sizeof(*to));

	if (!to)
		return;
	__atomic_store_n(&to->run_ns, from->run_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&to->energy_pj, from->energy_pj, __ATOMIC_RELAXED);
	__atomic_store_n(&to->jobs, from->jobs, __ATOMIC_RELAXED);
	__atomic_store_n(&to->seqno, from->seqno, __ATOMIC_RELAXED);
	__atomic_store_n(&to->running, from->running, __ATOMIC_RELAXED);
	__atomic_store_n(&to->job_packets, from->job_packets, __ATOMIC_RELAXED);
	__atomic_store_n(&to->packets, from->packets, __ATOMIC_RELEASE);
}

void nib_fw_queue_ring(struct nib_fw *fw, uint32_t id, uint32_t tail)
{
	struct nib_fw_queue *queue = &fw->queues[id];
	uint32_t ahead;

	/* A doorbell may come with a store to a semaphore. */
	fw->epoch++;
	if (!nib_fw_works(fw) || id >= fw->hw->chip.queues || !queue->used)
		return;
	ahead = tail - (uint32_t)queue->head;
	/* Nor does what was handed over come back. */
	if (ahead > queue->entries || ahead < (uint32_t)(queue->tail - queue->head)) {
		nib_hw_log(fw->hw, 4, "queue %u: doorbell %u is not within %u of %u, or is before %u", id,
			   tail, queue->entries, (uint32_t)queue->head, (uint32_t)queue->tail);
		return;
	}
	/* A queue that slept has saved up no time. */
	if (!queue_has_jobs(queue) && queue->virtual_ns < fw->floor_ns[queue->priority])
		queue->virtual_ns = fw->floor_ns[queue->priority];
	queue->tail = queue->head + ahead;
	queue_update(fw, id);
}

/* --- Ends of jobs --- */

/* Posts the completion of the oldest job of a queue; @done has all but phase and queue. */
static void job_post(struct nib_fw *fw, uint32_t id, struct nib_completion *done)
{
	struct nib_fw_queue *queue = &fw->queues[id];

	done->queue = id;
	done->phase = (__u32)(queue->head / queue->entries + 1);
	queue->job.active = false;
	queue->skip = 0;
	queue->status.running = NIB_QUEUE_IDLE;
	queue->status.job_packets = 0;
	queue->status.seqno = (__u32)done->seqno;
	queue->status.jobs++;
	nib_fw_done_post(fw, id, done);
	if (queue->broken)
		return;
	queue->head++;
	queue_update(fw, id);
	queue_publish(fw, id);
}

/* Ends the started job of a queue on the engine's side: copy for stats_va, event for a fault. */
static void job_end(struct nib_fw *fw, uint32_t id, uint32_t status, uint64_t fault_va)
{
	struct nib_fw_queue *queue = &fw->queues[id];
	const struct nib_fw_context *context = &fw->contexts[queue->context];
	struct nib_completion *done = &queue->job.done;
	struct nib_engine_result stored;

	done->status = status;
	done->fault_va = fault_va;
	done->packet = queue->job.packets;
	done->end_ns = nib_meter_clock_ns(fw->hw, nib_host_ns());
	done->queue = id;
	done->phase = (__u32)(queue->head / queue->entries + 1);
	if (queue->job.entry.stats_va) {
		nib_engine_store(fw->hw, queue->context, context->root, queue->job.entry.stats_va,
				 done, sizeof(*done), &stored);
		if (stored.status != NIB_ENGINE_OK && done->status == NIB_DONE_OK) {
			done->status = stored.status;
			done->fault_va = stored.fault_va;
		}
	}
	if (done->status != NIB_DONE_OK) {
		/* What is behind it may rely on what it did not do. */
		queue->halted = true;
		nib_fw_event(fw, NIB_EVENT_FAULT, id, done->status, done->fault_va);
	}
	if (nib_fw_alive(fw))
		job_post(fw, id, done);
}

/* Ends a job without the engine, which may be at work for another queue. */
static void job_drop(struct nib_fw *fw, uint32_t id, uint32_t status)
{
	struct nib_fw_queue *queue = &fw->queues[id];
	uint64_t slot = queue->head % queue->entries;
	const struct nib_ring_entry *entry;

	if (queue->job.active) {
		queue->job.done.packet = queue->job.packets;
		queue->job.done.end_ns = nib_meter_clock_ns(fw->hw, nib_host_ns());
	} else {
		entry = nib_fw_ring(fw, id, slot * sizeof(*entry), sizeof(*entry), false);
		if (!entry)
			return;
		memset(&queue->job.done, 0, sizeof(queue->job.done));
		queue->job.done.seqno = entry->seqno;
	}
	queue->job.done.status = status;
	job_post(fw, id, &queue->job.done);
}

void nib_fw_queue_cancel(struct nib_fw *fw, uint32_t id)
{
	struct nib_fw_queue *queue = &fw->queues[id];

	queue->halted = false;
	while (nib_fw_alive(fw) && queue_has_jobs(queue))
		job_drop(fw, id, NIB_DONE_CANCELLED);
	/* Whoever asked for it may take the ring away afterwards. */
	nib_fw_done_flush(fw, id);
	/* What could not be dropped, the ring being out of reach, is not to run later. */
	queue->head = queue->tail;
	queue->job.active = false;
	queue->skip = 0;
	queue->broken = false;
	if (fw->current == id)
		fw->current = NIB_FW_NO_QUEUE;
	queue_update(fw, id);
}

void nib_fw_job_cancel(struct nib_fw *fw, uint32_t id, uint64_t number)
{
	struct nib_fw_queue *queue = &fw->queues[id];

	queue->halted = false;
	if (queue->head == number && queue_has_jobs(queue))
		job_drop(fw, id, NIB_DONE_CANCELLED);
	queue_update(fw, id);
}

void nib_fw_engine_reset(struct nib_fw *fw)
{
	uint32_t id = fw->stopped;

	if (!nib_fw_works(fw))
		return;
	/* Where the packet came to its end first, there is nothing to give up. */
	fw->stopped = NIB_FW_NO_QUEUE;
	if (id != NIB_FW_NO_QUEUE && fw->queues[id].used && fw->queues[id].job.active) {
		fw->queues[id].halted = true;
		job_drop(fw, id, NIB_DONE_RESET);
	}
	fw->current = NIB_FW_NO_QUEUE;
	nib_fw_event(fw, NIB_EVENT_RESET, 0, NIB_RESET_ENGINE, 0);
}

/* --- Beginnings of jobs --- */

/* Takes the oldest job of a queue from its ring. */
static bool job_fetch(struct nib_fw *fw, uint32_t id)
{
	struct nib_fw_queue *queue = &fw->queues[id];
	struct nib_fw_job *job = &queue->job;
	uint64_t slot = queue->head % queue->entries;
	const void *from;

	from = nib_fw_ring(fw, id, slot * sizeof(job->entry), sizeof(job->entry), false);
	if (!from)
		return false;
	memcpy(&job->entry, from, sizeof(job->entry));
	from = nib_fw_ring(fw, id, NIB_RING_ARGS(queue->entries) + slot * NIB_RING_ARG_BYTES,
			  NIB_RING_ARG_BYTES, false);
	if (!from)
		return false;
	memcpy(job->args, from, sizeof(job->args));
	job->active = true;
	job->at = 0;
	job->packets = 0;
	memset(&job->done, 0, sizeof(job->done));
	job->done.seqno = job->entry.seqno;
	job->done.start_ns = nib_meter_clock_ns(fw->hw, nib_host_ns());
	queue->status.seqno = (__u32)job->entry.seqno;
	queue->status.running = NIB_QUEUE_SUSPENDED;
	return true;
}

/* Passes over the packets of a fetched job that an earlier firmware ran. */
static bool job_skip(struct nib_fw *fw, struct nib_fw_queue *queue)
{
	struct nib_fw_job *job = &queue->job;
	uint32_t end = job->stream.bytes / 8;

	for (; job->packets < queue->skip; job->packets++) {
		const uint8_t *at = nib_hw_hbm(fw->hw, job->stream.offset + job->at * 8ull, 8);
		uint64_t header;

		if (job->at >= end || !at)
			return false;
		memcpy(&header, at, sizeof(header));
		/* No job is left unfinished behind its END. */
		if ((header & 0xffff) == NIB_OP_END || !(header >> 16 & 0xffff))
			return false;
		job->at += header >> 16 & 0xffff;
	}
	queue->skip = 0;
	queue->status.job_packets = job->packets;
	return job->at < end;
}

/* Checks a fetched job; returns why it cannot run. */
static uint32_t job_check(struct nib_fw *fw, uint32_t id, uint64_t *fault_va)
{
	struct nib_fw_queue *queue = &fw->queues[id];
	const struct nib_fw_context *context = &fw->contexts[queue->context];
	const struct nib_ring_entry *entry = &queue->job.entry;

	*fault_va = entry->flags;
	if (entry->flags)
		return NIB_DONE_FAULT_VALUE;
	*fault_va = entry->zero0 | entry->zero[0] | entry->zero[1] | entry->zero[2] |
		    entry->zero[3];
	if (*fault_va)
		return NIB_DONE_FAULT_VALUE;
	*fault_va = entry->stats_va;
	if (entry->stats_va % 16)
		return NIB_DONE_FAULT_ALIGN;
	*fault_va = entry->stream;
	if (entry->stream >= fw->hw->chip.streams || !context->streams[entry->stream].used)
		return NIB_DONE_FAULT_STREAM;
	queue->job.stream = context->streams[entry->stream];
	*fault_va = entry->nargs;
	if (entry->nargs > NIB_MAX_ARGS || entry->nargs < queue->job.stream.nargs)
		return NIB_DONE_FAULT_STREAM;
	*fault_va = queue->skip;
	if (!job_skip(fw, queue))
		return NIB_DONE_FAULT_STREAM;
	return NIB_DONE_OK;
}

/* Makes the oldest job of a queue the started one; false: it has ended already, or the ring has. */
static bool job_start(struct nib_fw *fw, uint32_t id)
{
	uint64_t fault_va;
	uint32_t status;

	if (fw->queues[id].job.active)
		return true;
	if (!job_fetch(fw, id))
		return false;
	status = job_check(fw, id, &fault_va);
	if (status == NIB_DONE_OK)
		return true;
	/* Its stats_va may be what is wrong with it. */
	if (status == NIB_DONE_FAULT_ALIGN)
		fw->queues[id].job.entry.stats_va = 0;
	job_end(fw, id, status, fault_va);
	return false;
}

/* --- Choice --- */

static bool candidate(const struct nib_fw *fw, uint32_t id)
{
	return ready_get(fw, id) && fw->queues[id].tried != fw->epoch;
}

static uint32_t choose(struct nib_fw *fw)
{
	const struct nib_fw_queue *queue, *best = NULL;
	uint32_t id, best_id = NIB_FW_NO_QUEUE;

	for (uint32_t word = 0; word < NIB_MAX_QUEUES / 64; word++) {
		for (uint64_t bits = fw->ready[word]; bits; bits &= bits - 1) {
			id = word * 64 + (uint32_t)__builtin_ctzll(bits);
			queue = &fw->queues[id];
			if (!candidate(fw, id))
				continue;
			if (best && (queue->priority < best->priority ||
				     (queue->priority == best->priority &&
				      queue->virtual_ns >= best->virtual_ns)))
				continue;
			best = queue;
			best_id = id;
		}
	}
	if (!best)
		return NIB_FW_NO_QUEUE;
	/* A turn lasts its quantum, unless something more urgent has come up. */
	if (fw->current != NIB_FW_NO_QUEUE && candidate(fw, fw->current)) {
		queue = &fw->queues[fw->current];
		if (queue->priority == best->priority &&
		    queue->turn_ns < fw->constants.quantum_us[queue->priority] * 1000ull)
			return fw->current;
	}
	return best_id;
}

/* Copies the next packet of a started job; what is wrong with it is the engine's to find. */
static void packet_fetch(struct nib_fw *fw, const struct nib_fw_queue *queue,
			 struct nib_engine_command *command)
{
	const struct nib_fw_job *job = &queue->job;
	uint32_t left = job->stream.bytes / 8 - job->at, words;
	const uint8_t *at = nib_hw_hbm(fw->hw, job->stream.offset + job->at * 8ull, left * 8ull);

	command->context = queue->context;
	command->root = fw->contexts[queue->context].root;
	command->args = job->args;
	command->nargs = job->entry.nargs;
	command->first = job->packets == 0;
	/* A stream that ran out of words without END has an empty packet here: not valid. */
	command->words[0] = 0;
	command->avail = 1;
	if (!at || !left)
		return;
	memcpy(&command->words[0], at, 8);
	words = command->words[0] >> 16 & 0xffff;
	words = words < left ? words : left;
	words = words < NIB_MAX_PKT_WORDS ? words : NIB_MAX_PKT_WORDS;
	if (words > 1)
		memcpy(&command->words[1], at + 8, (words - 1) * 8ull);
	command->avail = words ? words : 1;
}

bool nib_fw_pick(struct nib_fw *fw, struct nib_engine_command *command)
{
	uint32_t id;

	while (nib_fw_works(fw) && (id = choose(fw)) != NIB_FW_NO_QUEUE) {
		struct nib_fw_queue *queue = &fw->queues[id];

		if (fw->current != id)
			queue->turn_ns = 0;
		else if (queue->turn_ns >= fw->constants.quantum_us[queue->priority] * 1000ull)
			queue->turn_ns = 0;
		fw->current = id;
		if (fw->floor_ns[queue->priority] < queue->virtual_ns)
			fw->floor_ns[queue->priority] = queue->virtual_ns;
		nib_meter_busy(fw->hw, nib_host_ns());
		if (!job_start(fw, id))
			continue;
		/* Before the engine touches anything: that cannot be told later. */
		queue->status.running = NIB_QUEUE_ON_ENGINE;
		queue_publish(fw, id);
		if (!nib_fw_alive(fw))
			break;
		packet_fetch(fw, queue, command);
		fw->running = id;
		fw->stopped = NIB_FW_NO_QUEUE;
		return true;
	}
	nib_meter_idle(fw->hw, nib_host_ns());
	return false;
}

bool nib_fw_pending(const struct nib_fw *fw)
{
	if (!nib_fw_works(fw))
		return false;
	for (uint32_t i = 0; i < NIB_MAX_QUEUES / 64; i++)
		if (fw->ready[i])
			return true;
	return false;
}

/* --- After a packet --- */

static void job_account(struct nib_fw_queue *queue, const struct nib_engine_result *result)
{
	const struct nib_cost *cost = &result->cost;
	struct nib_completion *done = &queue->job.done;
	uint64_t ns = result->time_ps / 1000;

	done->cycles += result->cycles;
	done->hbm_read += cost->read[NIB_MEM_HBM];
	done->hbm_write += cost->write[NIB_MEM_HBM];
	done->sram_read += cost->read[NIB_MEM_SRAM];
	done->sram_write += cost->write[NIB_MEM_SRAM];
	done->host_read += cost->read[NIB_MEM_HOST];
	done->host_write += cost->write[NIB_MEM_HOST];
	done->energy_pj += result->energy_pj;
	done->ops += result->ops;
	done->kv_pages_sram += cost->kv_pages_sram;
	done->kv_pages_other += cost->kv_pages_other;
	queue->status.run_ns += ns;
	queue->status.energy_pj += result->energy_pj;
	queue->turn_ns += ns;
	queue->virtual_ns = nib_add_sat(queue->virtual_ns,
					nib_mul_sat(ns, 256) / queue->weight);
}

void nib_fw_retire(struct nib_fw *fw, const struct nib_engine_command *command,
		   const struct nib_engine_result *result)
{
	uint32_t id = fw->running;
	struct nib_fw_queue *queue;

	/* The firmware may have been lost while the packet ran. */
	fw->running = NIB_FW_NO_QUEUE;
	if (id == NIB_FW_NO_QUEUE || !nib_fw_works(fw))
		return;
	if (result->status != NIB_ENGINE_BLOCKED)
		nib_fw_chance(fw, id);
	if (!nib_fw_works(fw))
		return;
	queue = &fw->queues[id];
	if (result->ecc) {
		nib_fw_event(fw, NIB_EVENT_ECC, id, (result->ecc & NIB_POISON_FATAL) != 0,
			     result->ecc & ~(NIB_POISON_BYTES - 1));
		if (!nib_fw_alive(fw))
			return;
	}
	if (result->status == NIB_ENGINE_BLOCKED) {
		queue->tried = fw->epoch;
		queue->status.running = NIB_QUEUE_BLOCKED;
		queue_publish(fw, id);
		return;
	}
	fw->epoch++;
	fw->packets++;
	nib_meter_book(fw->hw, result);
	job_account(queue, result);
	if (result->status == NIB_ENGINE_ABORTED) {
		/* It stays ON_ENGINE: whoever took it off ends the job. */
		fw->stopped = id;
		queue_publish(fw, id);
	} else if (result->status != NIB_ENGINE_OK) {
		job_end(fw, id, result->status, result->fault_va);
	} else {
		queue->status.packets++;
		queue->job.packets++;
		queue->status.running = NIB_QUEUE_SUSPENDED;
		queue->status.job_packets = queue->job.packets;
		queue->job.at += command->words[0] >> 16 & 0xffff;
		if ((command->words[0] & 0xffff) == NIB_OP_END)
			job_end(fw, id, NIB_DONE_OK, 0);
		else
			queue_publish(fw, id);
	}
}
