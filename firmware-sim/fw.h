/* SPDX-License-Identifier: MIT */
/*
 * The firmware half of the device: what runs on its control processor. Boots, answers the admin
 * ring, picks packets for the engine and posts completions. It reaches the hardware through the
 * ports of hw.h, through registers and through memory, and never looks at what a packet does, with
 * one exception: END.
 *
 * All functions run under the device lock.
 */
#ifndef NIB_FW_H
#define NIB_FW_H

#include "hw.h"

struct nib_fw_stream {
	bool used;
	uint32_t bytes;
	uint32_t nargs;
	uint64_t offset;
};

struct nib_fw_context {
	bool used;
	uint32_t queues;
	uint64_t root;
	struct nib_fw_stream *streams;
};

/**
 * struct nib_fw_job - the job at the head of a queue, once it has started.
 * @entry: copy of its ring entry.
 * @args: copy of its arguments.
 * @at: word of the next packet in its stream.
 * @stream: copy of the stream's descriptor.
 * @packets: behind it, whether this firmware ran them or an earlier one.
 * @done: counters so far; becomes the completion.
 */
struct nib_fw_job {
	bool active;
	struct nib_ring_entry entry;
	uint64_t args[NIB_MAX_ARGS];
	struct nib_fw_stream stream;
	uint32_t at;
	uint32_t packets;
	struct nib_completion done;
};

/**
 * struct nib_fw_queue - a queue.
 * @ring: DMA address.
 * @head: number of the oldest job without a completion.
 * @tail: number after the newest job that was rung in.
 * @broken: its ring cannot be reached.
 * @halted: a job faulted or was reset: nothing runs until the driver has seen to it.
 * @skip: packets of the next job that are done already.
 * @tried: epoch in which its semaphore was last found closed.
 * @turn_ns: run time in its present turn.
 * @virtual_ns: run time divided by weight: the queue with the least is next.
 */
struct nib_fw_queue {
	bool used;
	bool broken;
	bool halted;
	uint32_t skip;
	uint32_t context;
	uint64_t ring;
	uint32_t entries;
	uint32_t priority;
	uint32_t weight;
	uint32_t vector;
	uint64_t head;
	uint64_t tail;
	uint64_t tried;
	uint64_t turn_ns;
	uint64_t virtual_ns;
	struct nib_queue_status status;
	struct nib_fw_job job;
};

#define NIB_FW_HELD	64u

/**
 * struct nib_fw_held - a completion that an order keeps back.
 * @again: it has been posted before.
 * @number: of its job.
 * @due_ns: host clock when it goes out.
 * @others: or after so many other completions; 0 for no such number.
 */
struct nib_fw_held {
	bool used;
	bool again;
	uint32_t queue;
	uint64_t number;
	uint64_t due_ns;
	uint32_t others;
	struct nib_completion done;
};

#define NIB_FW_NO_QUEUE	~0u
#define NIB_PRIORITIES	4u

/**
 * struct nib_fw - firmware state; all of it is lost when the firmware stops.
 * @ctrl: DMA address of struct nib_ctrl.
 * @boot_ns: host clock at boot; the heartbeat counts from there.
 * @admin_head: messages answered.
 * @admin_tail: messages rung in.
 * @epoch: grows whenever a closed semaphore may have opened.
 * @current: queue whose turn it is.
 * @running: queue whose packet is on the engine.
 * @stopped: queue whose packet was taken off the engine before its end.
 * @ready: bit per queue that has jobs.
 * @floor_ns: by priority: virtual time at which a queue that wakes up joins.
 * @interrupts: vectors to raise once the lock is free.
 * @hung: 0, or 1 + enum nib_hang: it does nothing until that.
 * @hung_beat: its heartbeat since.
 * @slow_until: host clock when the next message is answered; 0: at once.
 * @judged: number of the message that had its chance of being late, from 1.
 */
struct nib_fw {
	struct nib_hw *hw;
	struct nib_fw_payload constants;
	uint64_t ctrl;
	uint64_t boot_ns;
	uint64_t packets;
	uint32_t admin_head;
	uint32_t admin_tail;
	uint32_t event_head;
	uint64_t epoch;
	uint32_t current;
	uint32_t running;
	uint32_t stopped;
	uint64_t ready[NIB_MAX_QUEUES / 64];
	uint64_t floor_ns[NIB_PRIORITIES];
	uint32_t interrupts;
	uint32_t hung;
	uint32_t hung_beat;
	uint64_t slow_until;
	uint32_t judged;
	uint32_t num_held;
	struct nib_fw_held held[NIB_FW_HELD];
	struct nib_fw_context contexts[NIB_MAX_CONTEXTS];
	struct nib_fw_queue queues[NIB_MAX_QUEUES];
};

/* --- fw_boot.c --- */
void nib_fw_boot(struct nib_fw *fw);
void nib_fw_halt(struct nib_fw *fw);
void nib_fw_forget(struct nib_fw *fw);
void nib_fw_crash(struct nib_fw *fw, const char *why);
bool nib_fw_alive(const struct nib_fw *fw);
uint32_t nib_fw_heartbeat(const struct nib_fw *fw, uint64_t host_ns);
/* Part of the control page; NULL after a crash over it. */
void *nib_fw_ctrl(struct nib_fw *fw, uint64_t offset, uint64_t bytes);
void nib_fw_event(struct nib_fw *fw, uint32_t type, uint32_t id, uint32_t value, uint64_t addr);
void nib_fw_interrupt(struct nib_fw *fw, uint32_t vector);

/* --- fw_admin.c --- */
void nib_fw_ping(struct nib_fw *fw, uint32_t value);
void nib_fw_admin_ring(struct nib_fw *fw, uint32_t tail);
/* True if the next message must wait until the engine has stopped. */
bool nib_fw_admin_stops(struct nib_fw *fw);
/* Answers the next message; false if there is none. */
bool nib_fw_admin_step(struct nib_fw *fw);

/* False: the next message is not to be answered yet, or there is none. */
bool nib_fw_admin_due(struct nib_fw *fw);

/* --- fw_sched.c --- */
/* Part of a queue's ring; NULL stops the queue, there is no way to tell more than an event. */
void *nib_fw_ring(struct nib_fw *fw, uint32_t queue, uint64_t offset, uint64_t bytes, bool write);
void nib_fw_queue_ring(struct nib_fw *fw, uint32_t queue, uint32_t tail);
/* The next packet to execute; false: nothing can run now. */
bool nib_fw_pick(struct nib_fw *fw, struct nib_engine_command *command);
/* What became of it. */
void nib_fw_retire(struct nib_fw *fw, const struct nib_engine_command *command,
		   const struct nib_engine_result *result);
/* True while a queue has jobs, whether or not they can run. */
bool nib_fw_pending(const struct nib_fw *fw);
/* The job whose packet was on the engine ends with NIB_DONE_RESET. The engine has stopped. */
void nib_fw_engine_reset(struct nib_fw *fw);
/* All jobs of a queue end with NIB_DONE_CANCELLED. Its packet is not on the engine. */
void nib_fw_queue_cancel(struct nib_fw *fw, uint32_t queue);
/* One does, if it is the oldest; a halted queue goes on. Its packet is not on the engine. */
void nib_fw_job_cancel(struct nib_fw *fw, uint32_t queue, uint64_t number);

/* --- fw_trouble.c --- */
/* READY, and not hung. */
bool nib_fw_works(const struct nib_fw *fw);
/* Hung so that only more than @how ends it. */
bool nib_fw_hung(const struct nib_fw *fw, enum nib_hang how);
/* Posts the completion of the oldest job of a queue, or what an order makes of it. */
void nib_fw_done_post(struct nib_fw *fw, uint32_t queue, struct nib_completion *done);
/* Lets go of what is kept back of a queue, or of all where it is NIB_FAULT_ANY. */
void nib_fw_done_flush(struct nib_fw *fw, uint32_t queue);
/* True while something waits for the clock. */
bool nib_fw_waits(const struct nib_fw *fw);
/* Lets go of what is due; true: and answer the admin ring. */
bool nib_fw_tick(struct nib_fw *fw);
/* Whether the next message, of operation @op, is kept waiting. */
bool nib_fw_message_is_late(struct nib_fw *fw, uint32_t op);
/* What strikes at once. */
void nib_fw_afflict(struct nib_fw *fw, const struct nib_fault_order *order);
/* A packet of @queue has ended: a chance for what stops the firmware. */
void nib_fw_chance(struct nib_fw *fw, uint32_t queue);

#endif
