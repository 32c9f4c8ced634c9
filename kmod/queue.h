/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queues and the runs (jobs) in them. The DRM scheduler holds a run until its dependencies are met,
 * the ring holds it until the device is done. What has nothing to wait for goes straight there.
 */
#ifndef NIB_QUEUE_H
#define NIB_QUEUE_H

#include <linux/bits.h>
#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/workqueue.h>

#include <drm/gpu_scheduler.h>

#include "fence.h"
#include "ipc.h"
#include "nib_drm.h"
#include "nib_isa.h"
#include "nib_regs.h"
#include "notify.h"
#include "recovery.h"

struct nib_device;
struct nib_stream;
struct nib_vm;

/* Jobs in flight of one queue. The ring is one DMA buffer, 94 KiB with these. */
#define NIB_RING_ENTRIES 128u

/*
 * A queue of the driver's own, beside NIB_QUEUE_* of nib_drm.h. Its runs give the same however
 * often they start: one that is stuck or loses the device is done again.
 */
#define NIB_QUEUE_KERNEL	BIT(31)

/* So often in a row a job may be stuck before its queue dies in spite of the flags. */
#define NIB_QUEUE_STRIKES	3u

/**
 * struct nib_usage - what a queue has used so far. Never goes back.
 * @jobs: completed.
 * @run_ns: modelled time on the engines.
 * @energy_pj: modelled.
 * @cycles: modelled.
 */
struct nib_usage {
	u64 jobs;
	u64 run_ns;
	u64 energy_pj;
	u64 cycles;
};

/**
 * struct nib_queue - a queue.
 *
 * Life: created with hardware; loses it by nib_queue_detach() (destroyed, file closed, driver
 * unbound); is freed once the last run is. A dead queue still takes runs out of its scheduler, but
 * signals them at once.
 *
 * @ref: handle, runs, recovery work.
 * @ndev: device.
 * @vm: address space of its runs. Holds a reference.
 * @hw_id: id of the device.
 * @vector: MSI-X vector.
 * @priority: enum nib_priority.
 * @weight: share among equals.
 * @timeline: timeline of its fences. Its lock protects what is said to be "under the lock" below.
 * @sched: scheduler, for dependencies only.
 * @entity: the only one of @sched.
 * @link: in nib_device.queues while @attached.
 * @vector_link: in nib_vector.queues while @attached.
 * @object: what the firmware knows of it.
 * @flags: NIB_QUEUE_KEEP_GOING, NIB_QUEUE_KERNEL.
 * @attached: has hardware. Under the lock.
 * @detaching: somebody takes it away. Under the lock.
 * @detached: he is done.
 * @ring: entries, arguments, completions; see nib_regs.h. NULL once detached.
 * @ring_dma: its DMA address.
 * @tail: runs given to the device. Under the lock.
 * @head: completions seen. Under the lock.
 * @inflight: fences between @head and @tail, at their slot. Under the lock.
 * @streams: what they run; their runs hold references. Under the lock.
 * @scheduled: runs in the scheduler that have not started. Under the lock.
 * @direct: the run at @head, if the scheduler has not seen it. Under the lock.
 * @dead: 0, or the error of all runs from now on. Under the lock.
 * @culprit_error: 0, or the error of the run that a dead queue died of. Under the lock.
 * @hung: the run at @head is stuck and is being cancelled; the queue lives. Under the lock.
 * @corrupt: its completions are not to be looked at any more. Under the lock.
 * @faulted: the run at @head has faulted; the queue lives. Under the lock.
 * @redo: what is in flight is to be done again from the start. Under the lock.
 * @incident: no core dump was taken of what happened to it; until then no fence is signalled, so
 *	that nobody takes away what belongs in it. Under the lock.
 * @why: what happened to it last. Under the lock.
 * @strikes: runs in a row that were stuck. Under the lock.
 * @first: run that the firmware began to count with. Under the lock.
 * @skip: packets of the run at @head that a firmware before this one has completed. Under the lock.
 * @resets: of the engine, the firmware or the function that it has seen. Under the lock.
 * @state: NIB_QUEUE_STATE_*. Under the lock.
 * @fault_status: enum nib_done_status of the run that killed it. Under the lock.
 * @fault_packet: index of the packet. Under the lock.
 * @fault_va: see enum nib_done_status. Under the lock.
 * @usage: high-water mark of what the device reports. Under the lock.
 * @retired: of it, what the client's account of queues that are gone has. Under nib_file.lock.
 * @usage_base: what firmwares before this one had counted. Under the lock.
 * @trouble_link: in nib_recovery.queues. Under nib_recovery.lock.
 * @release_work: frees it.
 * @watch: what the watchdog remembers of it; see watchdog.c.
 * @watch.packets: its progress counter.
 * @watch.head: the oldest run in flight.
 * @watch.running: enum nib_queue_running.
 * @watch.moved: whether any of that had changed at the last look.
 * @watch.missed: a completion of it has not come.
 * @watch.ms: for how long nothing has, though it should have.
 */
struct nib_queue {
	struct kref ref;
	struct nib_device *ndev;
	struct nib_vm *vm;
	u32 hw_id;
	u32 vector;
	u32 priority;
	u32 weight;
	struct nib_timeline *timeline;
	struct drm_gpu_scheduler sched;
	struct drm_sched_entity entity;
	struct list_head link;
	struct list_head vector_link;
	struct nib_fw_object object;
	u32 flags;
	bool attached;
	bool detaching;
	struct completion detached;
	void *ring;
	dma_addr_t ring_dma;
	u64 tail;
	u64 head;
	struct nib_fence *inflight[NIB_RING_ENTRIES];
	struct nib_stream *streams[NIB_RING_ENTRIES];
	u32 scheduled;
	struct nib_run *direct;
	int dead;
	int culprit_error;
	bool hung;
	bool faulted;
	bool redo;
	bool corrupt;
	bool incident;
	const char *why;
	u32 strikes;
	u64 first;
	u32 skip;
	u32 resets;
	u32 state;
	u32 fault_status;
	u32 fault_packet;
	u64 fault_va;
	struct nib_usage usage;
	struct nib_usage retired;
	struct nib_usage usage_base;
	struct list_head trouble_link;
	struct work_struct release_work;
	struct {
		u64 packets;
		u64 head;
		u32 running;
		bool moved;
		bool missed;
		u32 ms;
	} watch;
};

struct nib_run;

/**
 * struct nib_run_hooks - what the driver's own runs need on top.
 * @start: called when the run's dependencies are met, before the device gets it: where fences are
 *	signalled, between drm_dev_enter() and drm_dev_exit(). Not called once the driver is
 *	unbound.
 * @release: called when the run is freed.
 */
struct nib_run_hooks {
	void (*start)(struct nib_run *run);
	void (*release)(struct nib_run *run);
};

/**
 * struct nib_run - one run of a stream.
 * @base: scheduler's part.
 * @queue: queue. Holds a reference.
 * @stream: stream. Holds a reference.
 * @fence: signalled when it is done.
 * @direct: started without the scheduler; see nib_run_push().
 * @retire_work: frees it, if so.
 * @stats_va: where the device copies the completion, or 0.
 * @hooks: of a run of the driver's own, or NULL.
 * @data: theirs.
 * @nargs: arguments.
 * @args: their values.
 */
struct nib_run {
	struct drm_sched_job base;
	struct nib_queue *queue;
	struct nib_stream *stream;
	struct nib_fence *fence;
	bool direct;
	struct work_struct retire_work;
	u64 stats_va;
	const struct nib_run_hooks *hooks;
	void *data;
	u32 nargs;
	u64 args[] __counted_by(nargs);
};

struct nib_queue *nib_queue_create(struct nib_vm *vm, u32 priority, u32 weight, u32 flags);
struct nib_queue *nib_queue_get(struct nib_queue *queue);
void nib_queue_put(struct nib_queue **queue);
void nib_queue_stop(struct nib_queue *queue, int error);
void nib_queue_detach(struct nib_queue *queue, int error);
void nib_queue_abandon(struct nib_queue *queue, int error);
void nib_queue_process(struct nib_queue *queue);
void nib_queue_ring(struct nib_queue *queue);
void nib_queue_get_usage(struct nib_queue *queue, struct nib_usage *usage);
const struct nib_queue_status *nib_queue_status_page(struct nib_queue *queue);

/* queue_recover.c */
void nib_queue_blame(struct nib_queue *queue);
void nib_queue_miss(struct nib_queue *queue);
bool nib_queue_has_missed(struct nib_queue *queue);
bool nib_queue_dump(struct nib_queue *queue);
enum nib_rung nib_queue_rung(struct nib_queue *queue);
int nib_queue_cancel(struct nib_queue *queue, enum nib_rung rung, unsigned int ms);
int nib_queue_cancelled(struct nib_queue *queue, enum nib_rung rung, unsigned int ms);
void nib_queue_warn(struct nib_queue *queue);
void nib_queue_outlive_engine(struct nib_queue *queue);
void nib_queue_outlive(struct nib_queue *queue, enum nib_restart how);
int nib_queue_restore(struct nib_device *ndev, struct nib_fw_object *object, bool lost);

/* Shared by the two. */
bool nib_queue_try_again_locked(struct nib_queue *queue);
void nib_queue_die_locked(struct nib_queue *queue, u32 state, const char *why);
void nib_queue_end_head_locked(struct nib_queue *queue, int error);
void nib_queue_drop_inflight_locked(struct nib_queue *queue, int error);
void nib_queue_read_usage_locked(struct nib_queue *queue);

/* Nothing in flight. */
static inline bool nib_queue_is_idle(struct nib_queue *queue)
{
	return READ_ONCE(queue->head) == READ_ONCE(queue->tail);
}

/* How the device is to treat it, as NIB_ADM_QUEUE_CREATE wants it. */
static inline u64 nib_queue_how(const struct nib_queue *queue)
{
	return queue->priority | queue->weight << 8 | queue->vector << 24;
}

struct nib_run *nib_run_create(struct nib_queue *queue, struct nib_stream *stream, u32 nargs,
			       u64 stats_va, u64 client_id);
void nib_run_push(struct nib_run *run);
void nib_run_destroy(struct nib_run *run);

#endif
