/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: what happened when, for trace-cmd, perf and bpftrace. Numbers only, in the units of
 * the interface that they come from; "accel" is N of /dev/accel/accelN. Queues and contexts are the
 * device's own numbers, which the files in debugfs use as well.
 *
 *	nib_job_submit	 NIB_SUBMIT took a job, or NIB_VM_BIND an operation
 *	nib_job_run	 its dependencies are met: it is in the ring
 *	nib_job_done	 the device reported it; what it cost
 *	nib_vm_bind	 an address space changed
 *	nib_bo_move	 contents went from one memory to another
 *	nib_lease	 a job named an SRAM lease, and found it there or not
 *	nib_ipc_call	 an admin message was answered
 *	nib_fault, nib_reset, nib_ecc, nib_sram_pressure, nib_threshold
 *			 what listeners to events are told; see nib_netlink.yaml
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM nib

#if !defined(NIB_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define NIB_TRACE_H

#include <linux/tracepoint.h>

#include <drm/drm_file.h>

#include "device.h"
#include "nib_netlink.h"
#include "queue.h"
#include "stream.h"

/* @fence: of a job in a queue, or of a bind in a VM: its timeline has the name. */
TRACE_EVENT(nib_job_submit,
	TP_PROTO(const struct drm_device *drm, u64 client, const struct nib_fence *fence),
	TP_ARGS(drm, client, fence),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(u64, client)
		__string(timeline, fence->timeline->name)
		__field(u64, context)
		__field(u64, seqno)
	),
	TP_fast_assign(
		__entry->accel = drm->accel->index;
		__entry->client = client;
		__assign_str(timeline);
		__entry->context = fence->base.context;
		__entry->seqno = fence->base.seqno;
	),
	TP_printk("accel=%u client=%llu %s fence=%llu:%llu", __entry->accel, __entry->client,
		  __get_str(timeline), __entry->context, __entry->seqno)
);

TRACE_EVENT(nib_job_run,
	TP_PROTO(const struct nib_run *run, u64 number),
	TP_ARGS(run, number),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(u32, queue)
		__field(u64, context)
		__field(u64, seqno)
		__field(u64, number)
		__field(u32, stream)
		__field(u32, nargs)
	),
	TP_fast_assign(
		__entry->accel = run->queue->ndev->drm.accel->index;
		__entry->queue = run->queue->hw_id;
		__entry->context = run->fence->base.context;
		__entry->seqno = run->fence->base.seqno;
		__entry->number = number;
		__entry->stream = run->stream->id;
		__entry->nargs = run->nargs;
	),
	TP_printk("accel=%u queue=%u fence=%llu:%llu number=%llu stream=%u nargs=%u",
		  __entry->accel, __entry->queue, __entry->context, __entry->seqno,
		  __entry->number, __entry->stream, __entry->nargs)
);

/* @done is in memory that the device may write: each field is read once. */
TRACE_EVENT(nib_job_done,
	TP_PROTO(const struct nib_queue *queue, u64 seqno, int error,
		 const struct nib_completion *done),
	TP_ARGS(queue, seqno, error, done),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(u32, queue)
		__field(u64, context)
		__field(u64, seqno)
		__field(int, error)
		__field(u32, status)
		__field(u64, start_ns)
		__field(u64, end_ns)
		__field(u64, cycles)
		__field(u64, energy_pj)
		__field(u64, hbm)
		__field(u64, sram)
		__field(u64, host)
	),
	TP_fast_assign(
		__entry->accel = queue->ndev->drm.accel->index;
		__entry->queue = queue->hw_id;
		__entry->context = queue->timeline->context;
		__entry->seqno = seqno;
		__entry->error = error;
		__entry->status = READ_ONCE(done->status);
		__entry->start_ns = READ_ONCE(done->start_ns);
		__entry->end_ns = READ_ONCE(done->end_ns);
		__entry->cycles = READ_ONCE(done->cycles);
		__entry->energy_pj = READ_ONCE(done->energy_pj);
		__entry->hbm = READ_ONCE(done->hbm_read) + READ_ONCE(done->hbm_write);
		__entry->sram = READ_ONCE(done->sram_read) + READ_ONCE(done->sram_write);
		__entry->host = READ_ONCE(done->host_read) + READ_ONCE(done->host_write);
	),
	TP_printk("accel=%u queue=%u fence=%llu:%llu error=%d status=%u device_ns=%llu..%llu cycles=%llu energy_pj=%llu hbm=%llu sram=%llu host=%llu",
		  __entry->accel, __entry->queue, __entry->context, __entry->seqno,
		  __entry->error, __entry->status, __entry->start_ns, __entry->end_ns,
		  __entry->cycles, __entry->energy_pj, __entry->hbm, __entry->sram,
		  __entry->host)
);

/* @op: NIB_VM_BIND_OP_*; @ret: 0 or an error. */
TRACE_EVENT(nib_vm_bind,
	TP_PROTO(const struct nib_device *ndev, u32 context, u32 op, u64 va, u64 size, int ret),
	TP_ARGS(ndev, context, op, va, size, ret),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(u32, context)
		__field(u32, op)
		__field(u64, va)
		__field(u64, size)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->accel = ndev->drm.accel->index;
		__entry->context = context;
		__entry->op = op;
		__entry->va = va;
		__entry->size = size;
		__entry->ret = ret;
	),
	TP_printk("accel=%u context=%u op=%#x va=%#llx size=%#llx ret=%d", __entry->accel,
		  __entry->context, __entry->op, __entry->va, __entry->size, __entry->ret)
);

/* From one enum nib_mem to another; told when the move is ordered, which jobs then wait for. */
TRACE_EVENT(nib_bo_move,
	TP_PROTO(const struct nib_device *ndev, u32 from, u32 to, u64 bytes),
	TP_ARGS(ndev, from, to, bytes),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(u32, from)
		__field(u32, to)
		__field(u64, bytes)
	),
	TP_fast_assign(
		__entry->accel = ndev->drm.accel->index;
		__entry->from = from;
		__entry->to = to;
		__entry->bytes = bytes;
	),
	TP_printk("accel=%u %s->%s bytes=%llu", __entry->accel,
		  __print_symbolic(__entry->from, { NIB_MEM_HBM, "hbm" },
				   { NIB_MEM_SRAM, "sram" }, { NIB_MEM_HOST, "host" }),
		  __print_symbolic(__entry->to, { NIB_MEM_HBM, "hbm" },
				   { NIB_MEM_SRAM, "sram" }, { NIB_MEM_HOST, "host" }),
		  __entry->bytes)
);

TRACE_EVENT(nib_lease,
	TP_PROTO(const struct nib_device *ndev, u64 bytes, u64 resident, u64 generation),
	TP_ARGS(ndev, bytes, resident, generation),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(u64, bytes)
		__field(u64, resident)
		__field(u64, generation)
	),
	TP_fast_assign(
		__entry->accel = ndev->drm.accel->index;
		__entry->bytes = bytes;
		__entry->resident = resident;
		__entry->generation = generation;
	),
	TP_printk("accel=%u %s bytes=%llu resident=%llu generation=%llu", __entry->accel,
		  __entry->resident == __entry->bytes ? "hit" : "miss", __entry->bytes,
		  __entry->resident, __entry->generation)
);

TRACE_EVENT(nib_ipc_call,
	TP_PROTO(const struct nib_device *ndev, u16 op, u64 arg, int ret, u64 ns),
	TP_ARGS(ndev, op, arg, ret, ns),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(u32, op)
		__field(u64, arg)
		__field(int, ret)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->accel = ndev->drm.accel->index;
		__entry->op = op;
		__entry->arg = arg;
		__entry->ret = ret;
		__entry->ns = ns;
	),
	TP_printk("accel=%u op=%s arg=%llu ret=%d ns=%llu", __entry->accel,
		  __print_symbolic(__entry->op,
				   { NIB_ADM_NOP, "NOP" },
				   { NIB_ADM_CTX_CREATE, "CTX_CREATE" },
				   { NIB_ADM_CTX_DESTROY, "CTX_DESTROY" },
				   { NIB_ADM_STREAM_CREATE, "STREAM_CREATE" },
				   { NIB_ADM_STREAM_DESTROY, "STREAM_DESTROY" },
				   { NIB_ADM_QUEUE_CREATE, "QUEUE_CREATE" },
				   { NIB_ADM_QUEUE_DESTROY, "QUEUE_DESTROY" },
				   { NIB_ADM_QUEUE_RESET, "QUEUE_RESET" },
				   { NIB_ADM_JOB_CANCEL, "JOB_CANCEL" }),
		  __entry->arg, __entry->ret, __entry->ns)
);

/* @status: enum nib_done_status. */
TRACE_EVENT(nib_fault,
	TP_PROTO(const struct nib_device *ndev, u32 queue, u32 status, u64 va),
	TP_ARGS(ndev, queue, status, va),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(u32, queue)
		__field(u32, status)
		__field(u64, va)
	),
	TP_fast_assign(
		__entry->accel = ndev->drm.accel->index;
		__entry->queue = queue;
		__entry->status = status;
		__entry->va = va;
	),
	TP_printk("accel=%u queue=%u status=%u va=%#llx", __entry->accel, __entry->queue,
		  __entry->status, __entry->va)
);

/* @queue: the guilty one, or U32_MAX. */
TRACE_EVENT(nib_reset,
	TP_PROTO(const struct nib_device *ndev, u32 rung, u32 queue),
	TP_ARGS(ndev, rung, queue),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(u32, rung)
		__field(u32, queue)
	),
	TP_fast_assign(
		__entry->accel = ndev->drm.accel->index;
		__entry->rung = rung;
		__entry->queue = queue;
	),
	TP_printk("accel=%u rung=%s queue=%d", __entry->accel,
		  __print_symbolic(__entry->rung,
				   { NIB_RUNG_JOB, "job" },
				   { NIB_RUNG_QUEUE, "queue" },
				   { NIB_RUNG_ENGINE, "engine" },
				   { NIB_RUNG_FIRMWARE, "firmware" },
				   { NIB_RUNG_FUNCTION, "function" },
				   { NIB_RUNG_WEDGED, "wedged" }),
		  (int)__entry->queue)
);

TRACE_EVENT(nib_ecc,
	TP_PROTO(const struct nib_device *ndev, bool fatal, u64 address),
	TP_ARGS(ndev, fatal, address),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(bool, fatal)
		__field(u64, address)
	),
	TP_fast_assign(
		__entry->accel = ndev->drm.accel->index;
		__entry->fatal = fatal;
		__entry->address = address;
	),
	TP_printk("accel=%u %s hbm=%#llx", __entry->accel,
		  __entry->fatal ? "uncorrected" : "corrected", __entry->address)
);

TRACE_EVENT(nib_sram_pressure,
	TP_PROTO(const struct nib_device *ndev, u64 wanted, u64 free),
	TP_ARGS(ndev, wanted, free),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(u64, wanted)
		__field(u64, free)
	),
	TP_fast_assign(
		__entry->accel = ndev->drm.accel->index;
		__entry->wanted = wanted;
		__entry->free = free;
	),
	TP_printk("accel=%u wanted=%llu free=%llu", __entry->accel, __entry->wanted,
		  __entry->free)
);

TRACE_EVENT(nib_threshold,
	TP_PROTO(const struct nib_device *ndev, u32 sensor, u32 limit, u32 value, bool above),
	TP_ARGS(ndev, sensor, limit, value, above),
	TP_STRUCT__entry(
		__field(u32, accel)
		__field(u32, sensor)
		__field(u32, limit)
		__field(u32, value)
		__field(bool, above)
	),
	TP_fast_assign(
		__entry->accel = ndev->drm.accel->index;
		__entry->sensor = sensor;
		__entry->limit = limit;
		__entry->value = value;
		__entry->above = above;
	),
	TP_printk("accel=%u sensor=%s limit=%u value=%u %s", __entry->accel,
		  __print_symbolic(__entry->sensor,
				   { NIB_SENSOR_TEMPERATURE, "temperature" },
				   { NIB_SENSOR_POWER, "power" },
				   { NIB_SENSOR_ENERGY_RATE, "energy-rate" }),
		  __entry->limit, __entry->value, __entry->above ? "above" : "below")
);

#endif

/* This file lies in a folder that is on the include path. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
