/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * ioctls of /dev/accel/accelN, driver "nib".
 *
 * How this interface grows:
 * - A struct is only ever extended at its end; the kernel takes the size from the ioctl number and
 *   treats what the caller did not pass as zero. Zero must mean the old behaviour.
 * - Arrays are struct nib_obj_array: count, stride and pointer. The kernel takes elements that are
 *   shorter or longer than its own, as long as what it does not know is zero.
 * - There are no unions. Padding and unknown flags must be zero, else EINVAL.
 * - Every addition raises the minor version; see the table.
 *
 *	1.0	first
 *	1.1	SRAM leases (NIB_SRAM_LEASE_CREATE, _QUERY, nib_job.leases); HBM that is more than there is
 *		(nib_memory_info.*_bytes); NIB_QUERY_LIMITS, EDQUOT and ENFILE; NIB_BO_MADVISE;
 *		NIB_VM_BIND_OP_DUMPABLE; NIB_QUEUE_STATE_LOST, nib_queue_get_state.resets;
 *		nib_device_info counts resets by kind; NIB_QUEUE_KEEP_GOING
 *
 * Errors. One number, one meaning, on every ioctl:
 *	EINVAL	 a field is out of its range; drm.debug=2 (DRIVER messages) names it
 *	ENOENT	 a handle or id that is not this client's
 *	ENOSPC	 device memory (HBM or SRAM) is full
 *	ENOMEM	 host memory is full
 *	EBUSY	 the object is still in use
 *	EMFILE	 the client is at its limit of VMs, queues or streams
 *	EDQUOT	 the user (uid) is at the limit for all of his clients: see NIB_QUERY_LIMITS
 *	ENFILE	 the device has no more contexts or queues
 *	EACCES	 a priority that this client may not use
 *	EFAULT	 a pointer of the caller's is bad
 *	ECANCELED the queue is dead: see NIB_QUEUE_GET_STATE
 *	ENODEV	 the device is gone, or given up; NIB_DEV_QUERY of NIB_QUERY_DEVICE and
 *		 NIB_QUEUE_GET_STATE work on until the driver is unbound
 *	EIO	 the device does not answer
 *	EOPNOTSUPP this object cannot do that
 * Errors on fences: EFAULT for an access to an unmapped address, EINVAL for a stream that an
 * argument made impossible, ETIMEDOUT for a job that was stuck, ECANCELED for a job dropped because
 * its queue died, EIO for one that was lost by no fault of its own (a reset, a memory error), ENODEV
 * for a device that is gone.
 *
 * All synchronisation is explicit, by syncobjs.
 *
 * Recovery. A job is stuck if its packet is on the engine and does not get on for a period, or if it
 * waits at a closed semaphore for four of them; the module's parameter watchdog_ms is the period. Run
 * time does not matter. What is done about it, each when the one before it did not help in its time:
 *	job		it ends with ETIMEDOUT, those behind it run: queues with NIB_QUEUE_KEEP_GOING only
 *	queue		it ends with ETIMEDOUT, those behind it with ECANCELED; the queue is GUILTY and
 *			BANNED
 *	engine		the same; jobs of others are suspended meanwhile
 *	firmware	the same; jobs of others go on at the packet they were at, but for the one, if
 *			any, whose packet was on the engine: it ends with EIO, its queue is INNOCENT and
 *			goes on with its next job
 *	function	contents of HBM and SRAM are undefined afterwards, until they are written again;
 *			buffers, mappings and streams stay. All queues are dead: LOST, and INNOCENT unless
 *			they are GUILTY, from before it happens: what was read is sound if the state says so
 *			afterwards. Their jobs end with EIO. New queues work at once
 *	wedged		all other fences end with EIO, and the accel node has a uevent "WEDGED=rebind,bus-reset"
 * A call that comes in the middle of it waits for its end.
 *
 * Buffers are shared by DRM's PRIME ioctls. Buffers in host memory can be given to any driver; those
 * in HBM too, and move to host memory for good when one attaches; those in SRAM to none: EOPNOTSUPP.
 * What another driver gives becomes a buffer in host memory, counted as such, that its giver maps for
 * the CPU; EINVAL if it is not made of whole pages. A
 * dma-buf that came from this device becomes the object that it came from, for any client. Nobody
 * waits for fences that others leave on a dma-buf.
 */
#ifndef NIB_DRM_H
#define NIB_DRM_H

#ifdef __KERNEL__
#include <drm/drm.h>
#else
#include <drm.h>
#endif
#include "nib_format.h"

#if defined(__cplusplus)
extern "C" {
#endif

#define NIB_DRM_NAME	"nib"
#define NIB_DRM_MAJOR	1
#define NIB_DRM_MINOR	1

#define NIB_MAX_ARRAY	1024u
/* Syncs, and leases, of all jobs or operations of one call together. */
#define NIB_MAX_BATCH	8192u

/**
 * struct nib_obj_array - array of objects.
 * @stride: bytes from one object to the next; at least the size of the first version of it.
 * @count: objects, at most NIB_MAX_ARRAY. 0 with a null pointer is an empty array.
 * @array: user pointer.
 */
struct nib_obj_array {
	__u32 stride;
	__u32 count;
	__u64 array;
};

#define NIB_OBJ_ARRAY(n, ptr) { \
	.stride = sizeof((ptr)[0]), .count = (n), .array = (__u64)(__UINTPTR_TYPE__)(ptr) }

/**
 * struct nib_sync_op - wait for, or signal, a syncobj.
 * @flags: NIB_SYNC_*.
 * @handle: syncobj handle.
 * @point: timeline point, at least 1; must be 0 for a binary syncobj.
 *
 * A wait for what nobody has submitted a signal for is EINVAL, it never blocks the call: wait with
 * DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE first.
 */
struct nib_sync_op {
#define NIB_SYNC_WAIT		0u
#define NIB_SYNC_SIGNAL		(1u << 0)
#define NIB_SYNC_TIMELINE	(1u << 1)
	__u32 flags;
	__u32 handle;
	__u64 point;
};

enum nib_query {
	NIB_QUERY_DEVICE = 0,		/* struct nib_device_info */
	NIB_QUERY_MEMORY = 1,		/* struct nib_memory_info */
	NIB_QUERY_LIMITS = 2,		/* struct nib_limits_info */
};

/**
 * struct nib_dev_query - NIB_DEV_QUERY.
 * @type: enum nib_query.
 * @size: in: bytes at @pointer; out: bytes of the kernel's struct. With @pointer 0 only @size is
 *	returned.
 * @pointer: user pointer; at most @size bytes are written.
 */
struct nib_dev_query {
	__u32 type;
	__u32 size;
	__u64 pointer;
};

/**
 * struct nib_device_info - constants of a device.
 * @hw_version: NIB_REG_HW_VERSION.
 * @fw_api: API version of the running firmware, major << 16 | minor.
 * @isa_version: newest stream ISA that the driver validates, major << 16 | minor.
 * @max_args: arguments of a job.
 * @hbm_bytes: size of HBM.
 * @window_bytes: how much of it the CPU can map.
 * @sram_bytes: size of SRAM.
 * @va_start: first user virtual address.
 * @va_end: end of the user virtual addresses.
 * @max_queues: queues one client may have.
 * @max_streams: streams one VM may have.
 * @max_vms: VMs one client may have.
 * @max_ring_jobs: jobs in flight of one queue.
 * @priorities: bit per enum nib_priority that this client may use.
 * @reset_count: resets since the driver bound.
 * @chip: name of the chip.
 * @fw_version: version string of the firmware.
 * @engine_resets: of @reset_count, by kind.
 * @fw_reboots: of @reset_count, by kind.
 * @function_resets: of @reset_count, by kind, whoever ordered them: the driver, an administrator, the
 *	PCI core. Each loses what was in HBM and SRAM; whether a queue has seen that, its
 *	NIB_QUEUE_STATE_LOST says first.
 * @wedged: 1 once recovery was given up.
 */
struct nib_device_info {
	__u32 hw_version;
	__u32 fw_api;
	__u32 isa_version;
	__u32 max_args;
	__u64 hbm_bytes;
	__u64 window_bytes;
	__u64 sram_bytes;
	__u64 va_start;
	__u64 va_end;
	__u32 max_queues;
	__u32 max_streams;
	__u32 max_vms;
	__u32 max_ring_jobs;
	__u32 priorities;
	__u32 reset_count;
	char chip[32];
	char fw_version[32];
	__u32 engine_resets;
	__u32 fw_reboots;
	__u32 function_resets;
	__u32 wedged;
};

/**
 * struct nib_memory_info - memory and time, now.
 * @hbm_free: bytes of HBM not allocated. What is not in use is moved to host memory when others need
 *	the room, so that buffers may together be larger than HBM; those of one VM may not.
 * @sram_free: bytes of SRAM not allocated.
 * @client_hbm: bytes of HBM buffers this client holds, wherever they are now.
 * @client_sram: bytes of SRAM this client holds, of leases what is in SRAM now.
 * @client_host: bytes of host memory this client holds.
 * @clock_ns: modelled device time.
 * @busy_ns: modelled time the device had work.
 * @energy_uj: modelled energy.
 * @client_hbm_resident: of @client_hbm, bytes that are in HBM now.
 * @evicted_bytes: moved from HBM to host memory since the driver bound.
 * @restored_bytes: moved back.
 * @client_evicted_bytes: of @evicted_bytes, from this client's buffers.
 * @client_restored_bytes: of @restored_bytes, to this client's buffers.
 */
struct nib_memory_info {
	__u64 hbm_free;
	__u64 sram_free;
	__u64 client_hbm;
	__u64 client_sram;
	__u64 client_host;
	__u64 clock_ns;
	__u64 busy_ns;
	__u64 energy_uj;
	__u64 client_hbm_resident;
	__u64 evicted_bytes;
	__u64 restored_bytes;
	__u64 client_evicted_bytes;
	__u64 client_restored_bytes;
};

/**
 * struct nib_limits_info - what all clients of a user may have together, and have now. A limit of 0
 * is none; they are parameters of the module.
 * @max_contexts: VMs.
 * @contexts: of them, in use.
 * @max_queues: queues.
 * @queues: of them, in use.
 * @max_streams: streams.
 * @streams: of them, in use.
 */
struct nib_limits_info {
	__u32 max_contexts;
	__u32 contexts;
	__u32 max_queues;
	__u32 queues;
	__u32 max_streams;
	__u32 streams;
};

/**
 * struct nib_vm_create - NIB_VM_CREATE: an address space.
 * @flags: must be 0.
 * @vm_id: out.
 */
struct nib_vm_create {
	__u32 flags;
	__u32 vm_id;
};

/**
 * struct nib_vm_destroy - NIB_VM_DESTROY. EBUSY while queues of the VM live.
 * @vm_id: VM.
 * @pad: must be 0.
 */
struct nib_vm_destroy {
	__u32 vm_id;
	__u32 pad;
};

/**
 * struct nib_vm_bind_op - one change of an address space.
 * @flags: one of MAP, UNMAP, SYNC_ONLY; with MAP, READONLY, and DUMPABLE to let a core dump of the
 *	device hold what is mapped here.
 * @bo_handle: buffer object of a MAP, else 0.
 * @bo_offset: first byte of it, page aligned.
 * @va: first address, page aligned.
 * @size: bytes, page aligned. A MAP over something mapped replaces it; an UNMAP of holes is fine.
 * @syncs: struct nib_sync_op; must be empty unless the bind is ASYNC.
 */
struct nib_vm_bind_op {
#define NIB_VM_BIND_OP_MAP		0u
#define NIB_VM_BIND_OP_UNMAP		1u
#define NIB_VM_BIND_OP_SYNC_ONLY	2u
#define NIB_VM_BIND_OP_MASK		3u
#define NIB_VM_BIND_OP_READONLY		(1u << 2)
#define NIB_VM_BIND_OP_DUMPABLE		(1u << 3)
	__u32 flags;
	__u32 bo_handle;
	__u64 bo_offset;
	__u64 va;
	__u64 size;
	struct nib_obj_array syncs;
};

/**
 * struct nib_vm_bind - NIB_VM_BIND. Operations of a VM happen in the order they were asked for.
 * @vm_id: VM.
 * @flags: ASYNC: return once queued; the operations signal their syncs. Otherwise they are done
 *	when the call returns.
 * @ops: struct nib_vm_bind_op. On an error, ops.count is set to how many were done or queued.
 */
struct nib_vm_bind {
	__u32 vm_id;
#define NIB_VM_BIND_ASYNC		(1u << 0)
	__u32 flags;
	struct nib_obj_array ops;
};

/**
 * struct nib_bo_create - NIB_BO_CREATE. Memory comes zeroed.
 * @size: in: bytes; out: rounded up to whole pages.
 * @flags: exactly one of HBM, SRAM, HOST; NO_MMAP lets HBM lie outside the CPU's window. SRAM
 *	cannot be mapped by the CPU.
 * @handle: out: GEM handle.
 */
struct nib_bo_create {
	__u64 size;
#define NIB_BO_HBM			(1u << 0)
#define NIB_BO_SRAM			(1u << 1)
#define NIB_BO_HOST			(1u << 2)
#define NIB_BO_NO_MMAP			(1u << 3)
	__u32 flags;
	__u32 handle;
};

/**
 * struct nib_bo_mmap_offset - NIB_BO_MMAP_OFFSET: where to mmap() the device file. HBM is mapped
 * write-combined, host memory cached. EACCES for SRAM and NO_MMAP.
 * @handle: buffer.
 * @pad: must be 0.
 * @offset: out.
 */
struct nib_bo_mmap_offset {
	__u32 handle;
	__u32 pad;
	__u64 offset;
};

/**
 * struct nib_stream_create - NIB_STREAM_CREATE: copy, validate and freeze a stream.
 * @vm_id: VM whose queues may run it.
 * @size: bytes, at most NIB_MAX_STREAM_BYTES.
 * @data: user pointer.
 * @stream_id: out.
 * @nargs: out: arguments a job must bring.
 * @error_offset: out on EINVAL: byte offset of the packet that was rejected; else 0.
 * @error_code: out on EINVAL: enum nib_validate_error; else 0.
 */
struct nib_stream_create {
	__u32 vm_id;
	__u32 size;
	__u64 data;
	__u32 stream_id;
	__u32 nargs;
	__u32 error_offset;
	__u32 error_code;
};

/**
 * struct nib_stream_destroy - NIB_STREAM_DESTROY. Jobs in flight finish first.
 * @vm_id: VM.
 * @stream_id: stream of it.
 */
struct nib_stream_destroy {
	__u32 vm_id;
	__u32 stream_id;
};

/**
 * struct nib_bo_madvise - NIB_BO_MADVISE: whether the contents of a buffer are still needed.
 * @handle: buffer in HBM or host memory, not shared with others.
 * @advice: NEEDED or DONTNEED. The kernel may free what is not needed when memory is short.
 * @retained: out: 0 if the contents were freed. Such a buffer is of no use any more: binds and jobs
 *	that need it say EINVAL.
 * @pad: must be 0.
 */
struct nib_bo_madvise {
	__u32 handle;
#define NIB_MADVISE_NEEDED	0u
#define NIB_MADVISE_DONTNEED	1u
	__u32 advice;
	__u32 retained;
	__u32 pad;
};

/**
 * struct nib_sram_lease_create - NIB_SRAM_LEASE_CREATE: a window of SRAM of the client's own.
 * @guaranteed: bytes that stay in SRAM as long as the lease, 64 KiB aligned; they come first.
 * @burst: bytes behind them that are in SRAM while nobody needs the room more, 64 KiB aligned. The
 *	kernel moves them to HBM, where room is set aside by this call, and back, contents and all.
 * @flags: must be 0.
 * @handle: out: GEM handle, to be bound like a buffer's; closing it ends the lease.
 *
 * Memory comes zeroed. Addresses stay valid wherever the burst part is; only its speed differs.
 * What a job names is brought back before it runs, if there is room or if others were named longer
 * ago; guaranteed parts and SRAM buffers that are made take room from any burst part, named longest
 * ago first. A lease cannot be mapped by the CPU nor shared. What is set aside counts as HBM of the
 * client.
 * ENOSPC: the guaranteed part, or the room for the burst part, is not to be had.
 */
struct nib_sram_lease_create {
	__u64 guaranteed;
	__u64 burst;
	__u32 flags;
	__u32 handle;
};

/**
 * struct nib_sram_lease_query - NIB_SRAM_LEASE_QUERY.
 * @handle: lease.
 * @pad: must be 0.
 * @guaranteed: bytes.
 * @burst: bytes.
 * @resident: bytes that are in SRAM now.
 * @generation: grows whenever the burst part moves.
 * @hits: jobs that named the lease and find all of it in SRAM when they run.
 * @misses: jobs that named it and do not.
 * @spills: moves to HBM.
 * @restores: moves back.
 * @spilled_bytes: by @spills.
 * @restored_bytes: by @restores.
 *
 * All of it as decided when jobs were submitted and objects made; the moves follow in their turn.
 */
struct nib_sram_lease_query {
	__u32 handle;
	__u32 pad;
	__u64 guaranteed;
	__u64 burst;
	__u64 resident;
	__u64 generation;
	__u64 hits;
	__u64 misses;
	__u64 spills;
	__u64 restores;
	__u64 spilled_bytes;
	__u64 restored_bytes;
};

/**
 * struct nib_lease_ref - a lease that a job names.
 * @handle: lease.
 * @flags: must be 0.
 */
struct nib_lease_ref {
	__u32 handle;
	__u32 flags;
};

/**
 * struct nib_queue_create - NIB_QUEUE_CREATE.
 * @vm_id: VM that its jobs run in.
 * @priority: enum nib_priority; EACCES for one that is not in nib_device_info.priorities.
 * @weight: share among queues of equal priority, 1..255; 0 for the default of 16.
 * @flags: KEEP_GOING: jobs do not rely on one another. One that faults or is stuck ends with its
 *	error and those behind it run, instead of the queue being killed and they being dropped. Only a
 *	queue whose jobs are stuck again and again dies.
 * @queue_id: out.
 * @pad: must be 0.
 */
struct nib_queue_create {
	__u32 vm_id;
	__u32 priority;
	__u32 weight;
#define NIB_QUEUE_KEEP_GOING	(1u << 0)
	__u32 flags;
	__u32 queue_id;
	__u32 pad;
};

/**
 * struct nib_queue_destroy - NIB_QUEUE_DESTROY. Jobs in flight are cancelled.
 * @queue_id: queue.
 * @pad: must be 0.
 */
struct nib_queue_destroy {
	__u32 queue_id;
	__u32 pad;
};

/**
 * struct nib_job - one run of a stream.
 * @queue_id: queue; jobs of a queue run in order.
 * @stream_id: stream of the queue's VM.
 * @nargs: at least what the stream needs, at most NIB_MAX_ARGS.
 * @flags: must be 0.
 * @args: user pointer to nargs __u64.
 * @stats_va: VA, 16-byte aligned, that receives struct nib_completion; 0 for none.
 * @syncs: struct nib_sync_op; waits come before the job, signals after it. A job may wait for
 *	what an earlier job of the same call signals.
 * @leases: struct nib_lease_ref: SRAM leases that should be in SRAM when the job runs. Those of the
 *	jobs of one call do not make room for each other.
 */
struct nib_job {
	__u32 queue_id;
	__u32 stream_id;
	__u32 nargs;
	__u32 flags;
	__u64 args;
	__u64 stats_va;
	struct nib_obj_array syncs;
	struct nib_obj_array leases;
};

/**
 * struct nib_submit - NIB_SUBMIT: all of the jobs, or none.
 * @jobs: struct nib_job.
 *
 * Waits are about order, not about success. A job starts once the fences that it waits for have
 * been signalled, also if one of them carries an error: what it reads may then be what a job that
 * failed has left. Its own fence tells of itself alone. So whoever uses the result of a chain of
 * jobs looks at the fences of all of them (SYNC_IOC_FILE_INFO, or @stats_va of each), or keeps the
 * chain in one queue without NIB_QUEUE_KEEP_GOING: there what is behind a job that fails does not
 * run, and ends with ECANCELED. The same goes for binds, whose fence says whether the VM has
 * changed.
 */
struct nib_submit {
	struct nib_obj_array jobs;
};

/**
 * struct nib_queue_get_state - NIB_QUEUE_GET_STATE.
 * @queue_id: queue.
 * @state: NIB_QUEUE_STATE_*; 0 for a healthy queue.
 * @fault_status: enum nib_done_status of the job that killed it; CANCELLED for one that was stuck.
 * @fault_packet: index of the packet in its stream.
 * @fault_va: see enum nib_done_status.
 * @jobs: completed.
 * @run_ns: modelled time on the engines.
 * @energy_pj: modelled.
 * @resets: resets of the engine, the firmware or the function that this queue has seen.
 * @pad: zero.
 */
struct nib_queue_get_state {
	__u32 queue_id;
#define NIB_QUEUE_STATE_GUILTY		(1u << 0) /* a job of it faulted or was stuck */
#define NIB_QUEUE_STATE_INNOCENT	(1u << 1) /* it lost jobs, and not by its own fault: a reset of
						   * another's making, memory that failed */
#define NIB_QUEUE_STATE_BANNED		(1u << 2) /* it takes no more jobs */
#define NIB_QUEUE_STATE_LOST		(1u << 3) /* HBM and SRAM lost their contents */
	__u32 state;
	__u32 fault_status;
	__u32 fault_packet;
	__u64 fault_va;
	__u64 jobs;
	__u64 run_ns;
	__u64 energy_pj;
	__u32 resets;
	__u32 pad;
};

enum nib_ioctl {
	NIB_IOCTL_DEV_QUERY = 0,
	NIB_IOCTL_VM_CREATE,
	NIB_IOCTL_VM_DESTROY,
	NIB_IOCTL_VM_BIND,
	NIB_IOCTL_BO_CREATE,
	NIB_IOCTL_BO_MMAP_OFFSET,
	NIB_IOCTL_STREAM_CREATE,
	NIB_IOCTL_STREAM_DESTROY,
	NIB_IOCTL_QUEUE_CREATE,
	NIB_IOCTL_QUEUE_DESTROY,
	NIB_IOCTL_SUBMIT,
	NIB_IOCTL_QUEUE_GET_STATE,
	NIB_IOCTL_BO_MADVISE,
	NIB_IOCTL_SRAM_LEASE_CREATE,
	NIB_IOCTL_SRAM_LEASE_QUERY,
};

#define NIB_IOWR(nr, type)	DRM_IOWR(DRM_COMMAND_BASE + (nr), struct type)

#define DRM_IOCTL_NIB_DEV_QUERY		NIB_IOWR(NIB_IOCTL_DEV_QUERY, nib_dev_query)
#define DRM_IOCTL_NIB_VM_CREATE		NIB_IOWR(NIB_IOCTL_VM_CREATE, nib_vm_create)
#define DRM_IOCTL_NIB_VM_DESTROY	NIB_IOWR(NIB_IOCTL_VM_DESTROY, nib_vm_destroy)
#define DRM_IOCTL_NIB_VM_BIND		NIB_IOWR(NIB_IOCTL_VM_BIND, nib_vm_bind)
#define DRM_IOCTL_NIB_BO_CREATE		NIB_IOWR(NIB_IOCTL_BO_CREATE, nib_bo_create)
#define DRM_IOCTL_NIB_BO_MMAP_OFFSET	NIB_IOWR(NIB_IOCTL_BO_MMAP_OFFSET, nib_bo_mmap_offset)
#define DRM_IOCTL_NIB_STREAM_CREATE	NIB_IOWR(NIB_IOCTL_STREAM_CREATE, nib_stream_create)
#define DRM_IOCTL_NIB_STREAM_DESTROY	NIB_IOWR(NIB_IOCTL_STREAM_DESTROY, nib_stream_destroy)
#define DRM_IOCTL_NIB_QUEUE_CREATE	NIB_IOWR(NIB_IOCTL_QUEUE_CREATE, nib_queue_create)
#define DRM_IOCTL_NIB_QUEUE_DESTROY	NIB_IOWR(NIB_IOCTL_QUEUE_DESTROY, nib_queue_destroy)
#define DRM_IOCTL_NIB_SUBMIT		NIB_IOWR(NIB_IOCTL_SUBMIT, nib_submit)
#define DRM_IOCTL_NIB_QUEUE_GET_STATE	NIB_IOWR(NIB_IOCTL_QUEUE_GET_STATE, nib_queue_get_state)
#define DRM_IOCTL_NIB_BO_MADVISE	NIB_IOWR(NIB_IOCTL_BO_MADVISE, nib_bo_madvise)
#define DRM_IOCTL_NIB_SRAM_LEASE_CREATE	NIB_IOWR(NIB_IOCTL_SRAM_LEASE_CREATE, nib_sram_lease_create)
#define DRM_IOCTL_NIB_SRAM_LEASE_QUERY	NIB_IOWR(NIB_IOCTL_SRAM_LEASE_QUERY, nib_sram_lease_query)

NIB_STATIC_ASSERT(sizeof(struct nib_obj_array) == 16, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_sync_op) == 16, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_dev_query) == 16, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_device_info) == 160, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_memory_info) == 104, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_vm_create) == 8, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_vm_destroy) == 8, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_vm_bind_op) == 48, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_vm_bind) == 24, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_bo_create) == 16, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_bo_mmap_offset) == 16, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_stream_create) == 32, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_stream_destroy) == 8, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_queue_create) == 24, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_queue_destroy) == 8, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_job) == 64, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_submit) == 16, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_limits_info) == 24, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_bo_madvise) == 16, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_sram_lease_create) == 24, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_sram_lease_query) == 88, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_lease_ref) == 8, "ABI");
NIB_STATIC_ASSERT(sizeof(struct nib_queue_get_state) == 56, "ABI");

#if defined(__cplusplus)
}
#endif

#endif
