// SPDX-License-Identifier: GPL-2.0
/*
 * What a core dump says of the device, its firmware and its queues. What it says of memory is in
 * dump_vm.c. The rule of what may be told about whom is in nib_dump.h.
 *
 * All of this happens before fences are signalled that depend on it, so that nothing that it shows
 * can go away meanwhile: no GFP_KERNEL, no wait for the device.
 */
#include <drm/drm_managed.h>

#include "compat.h"
#include "device.h"
#include "dump.h"
#include "dump_store.h"
#include "nib_drm.h"
#include "queue.h"
#include "stream.h"
#include "vm.h"

/* Completions of a queue that are shown, at most. */
#define NIB_DUMP_COMPLETIONS_MAX	16u

/**
 * struct nib_dump_scene - what a dump is about.
 * @ndev: device.
 * @dump: dump that is being written.
 * @guilty: queue, or NULL.
 * @device: the device answers, between drm_dev_enter() and drm_dev_exit().
 * @reason: as it will be in the dump.
 */
struct nib_dump_scene {
	struct nib_device *ndev;
	struct nib_dump *dump;
	struct nib_queue *guilty;
	bool device;
	struct nib_dump_reason reason;
};

static void nib_dump_drop(struct drm_device *drm, void *dump)
{
	nib_dump_put(dump);
}

/**
 * nib_dump_init - get ready to take core dumps.
 * @ndev: device.
 *
 * Returns 0 or -ENOMEM.
 */
int nib_dump_init(struct nib_device *ndev)
{
	ndev->dump = nib_dump_create();
	if (!ndev->dump)
		return -ENOMEM;
	return drmm_add_action_or_reset(&ndev->drm, nib_dump_drop, ndev->dump);
}

/* --- Device and firmware --- */

#define NIB_DUMP_REG(reg, bytes)	{ #reg, bytes, NIB_REG_##reg }

/* Without those that hold DMA addresses, and POWER_MW, which a read changes. */
static const struct {
	const char *name;
	u32 bytes;
	u32 offset;
} nib_dump_regs[] = {
	NIB_DUMP_REG(MAGIC, 4), NIB_DUMP_REG(HW_VERSION, 4), NIB_DUMP_REG(CHIP, 4),
	NIB_DUMP_REG(FEATURES, 4), NIB_DUMP_REG(HBM_BYTES, 8), NIB_DUMP_REG(WINDOW_BYTES, 8),
	NIB_DUMP_REG(SRAM_BYTES, 8), NIB_DUMP_REG(NUM_CONTEXTS, 4), NIB_DUMP_REG(NUM_QUEUES, 4),
	NIB_DUMP_REG(NUM_STREAMS, 4), NIB_DUMP_REG(FW_BYTES, 4), NIB_DUMP_REG(FW_STATE, 4),
	NIB_DUMP_REG(FW_ERROR, 4), NIB_DUMP_REG(FW_API, 4), NIB_DUMP_REG(FW_HEARTBEAT, 4),
	NIB_DUMP_REG(RESET_COUNT, 4), NIB_DUMP_REG(CLOCK_NS, 8), NIB_DUMP_REG(BUSY_NS, 8),
	NIB_DUMP_REG(ENERGY_UJ, 8), NIB_DUMP_REG(TEMP_MC, 4),
};

static void nib_dump_text(const struct nib_dump_scene *scene)
{
	const struct nib_dump_reason *reason = &scene->reason;
	struct nib_dump *dump = scene->dump;
	char *text = (char *)&dump->scratch;
	struct nib_dump_section_mark section = nib_dump_open(dump, NIB_DUMP_TEXT, 0, 0);
	int n;

	n = scnprintf(text, sizeof(dump->scratch),
		      "Nibble core dump of %s, chip %s, firmware %s\n%s\n",
		      dev_name(&scene->ndev->pdev->dev), scene->ndev->chip,
		      scene->ndev->fw_version, reason->why);
	if (scene->guilty)
		n += scnprintf(text + n, sizeof(dump->scratch) - n,
			       "queue %u, job %llu, stream %d, packet %u: status %u at %#llx\n",
			       reason->queue, reason->job, reason->stream, reason->packet,
			       reason->status, reason->fault_va);
	n += scnprintf(text + n, sizeof(dump->scratch) - n, "To read it: accel-replay --show\n");
	nib_dump_write(dump, text, n);
	nib_dump_close(dump, section);
}

static void nib_dump_device(const struct nib_dump_scene *scene)
{
	struct nib_device *ndev = scene->ndev;
	struct nib_dump_device device = {
		.hw_version = ndev->hw_version,
		.fw_api = ndev->fw_api,
		.drm_version = NIB_DRM_MAJOR << 16 | NIB_DRM_MINOR,
		.isa_version = NIB_ISA_MAJOR << 16 | NIB_ISA_MINOR,
		.hbm_bytes = ndev->hbm_bytes,
		.window_bytes = ndev->window_bytes,
		.sram_bytes = ndev->sram_bytes,
		.num_contexts = ndev->num_contexts,
		.num_queues = ndev->num_queues,
		.num_streams = ndev->num_streams,
	};

	strscpy(device.chip, ndev->chip);
	strscpy(device.fw_version, ndev->fw_version);
	strscpy(device.bus, dev_name(&ndev->pdev->dev));
	if (scene->device)
		device.resets = nib_recovery_resets(ndev);
	nib_dump_section(scene->dump, NIB_DUMP_DEVICE, 0, &device, sizeof(device));
}

static void nib_dump_registers(const struct nib_dump_scene *scene)
{
	struct nib_dump_section_mark section;
	unsigned int i;

	if (!scene->device)
		return;
	section = nib_dump_open(scene->dump, NIB_DUMP_REGISTERS, 0,
				sizeof(struct nib_dump_register));
	for (i = 0; i < ARRAY_SIZE(nib_dump_regs); i++) {
		struct nib_dump_register reg = {
			.offset = nib_dump_regs[i].offset,
			.bytes = nib_dump_regs[i].bytes,
		};

		strscpy(reg.name, nib_dump_regs[i].name);
		if (reg.bytes == 8)
			reg.value = nib_read64(scene->ndev, reg.offset, reg.name);
		else
			reg.value = nib_read32(scene->ndev, reg.offset, reg.name);
		nib_dump_write(scene->dump, &reg, sizeof(reg));
	}
	nib_dump_close(scene->dump, section);
}

static void nib_dump_firmware(const struct nib_dump_scene *scene)
{
	struct nib_device *ndev = scene->ndev;
	const struct nib_dump_firmware firmware = {
		.event_head = READ_ONCE(ndev->ipc.ctrl->event_head),
		.events_seen = READ_ONCE(ndev->irq.events),
		.admin_tail = READ_ONCE(ndev->ipc.tail),
		.lost = -nib_device_lost(ndev),
		.silent_ms = READ_ONCE(ndev->watchdog_silent_ms),
	};

	nib_dump_section(scene->dump, NIB_DUMP_FIRMWARE, 0, &firmware, sizeof(firmware));
}

/* The admin ring: what was asked for, without the addresses and what is other clients'. */
static void nib_dump_admin(const struct nib_dump_scene *scene)
{
	struct nib_device *ndev = scene->ndev;
	u32 tail = READ_ONCE(ndev->ipc.tail);
	u32 i = tail > NIB_ADMIN_SLOTS ? tail - NIB_ADMIN_SLOTS : 0;
	struct nib_dump_section_mark section =
		nib_dump_open(scene->dump, NIB_DUMP_ADMIN, 0, sizeof(struct nib_admin_msg));

	for (; i != tail; i++) {
		const struct nib_admin_msg *slot = &ndev->ipc.ctrl->admin[i % NIB_ADMIN_SLOTS];
		const struct nib_admin_msg msg = {
			.op = READ_ONCE(slot->op),
			.status = READ_ONCE(slot->status),
			.arg[0] = READ_ONCE(slot->arg[0]),
		};

		nib_dump_write(scene->dump, &msg, sizeof(msg));
	}
	nib_dump_close(scene->dump, section);
}

/* Whose an older fault was is not known any more: of those only the kind is told. */
static void nib_dump_events(const struct nib_dump_scene *scene)
{
	const struct nib_ctrl *ctrl = scene->ndev->ipc.ctrl;
	const struct nib_dump_reason *reason = &scene->reason;
	u32 head = READ_ONCE(ctrl->event_head), i = head > NIB_EVENTS ? head - NIB_EVENTS : 0;
	struct nib_dump_section_mark section =
		nib_dump_open(scene->dump, NIB_DUMP_EVENTS, 0, sizeof(struct nib_event));

	for (; i != head; i++) {
		struct nib_event event = ctrl->events[i % NIB_EVENTS];

		if (event.seq != i + 1)
			continue;
		if (event.type == NIB_EVENT_FAULT &&
		    (event.id != reason->queue || event.addr != reason->fault_va)) {
			event.id = NIB_DUMP_NONE;
			event.addr = 0;
		}
		nib_dump_write(scene->dump, &event, sizeof(event));
	}
	nib_dump_close(scene->dump, section);
}

/* --- Queues. They keep their rings as long as they are on the list. --- */

static bool nib_dump_queue(const struct nib_dump_scene *scene, struct nib_queue *queue)
{
	const struct nib_queue_status *status = nib_queue_status_page(queue);
	struct nib_dump_queue out = {
		.queue = queue->hw_id,
		.context = NIB_DUMP_NONE,
		.priority = queue->priority,
		.weight = queue->weight,
		.vector = queue->vector,
		.entries = NIB_RING_ENTRIES,
		.flags = NIB_DUMP_QUEUE_FOREIGN,
		.status.running = READ_ONCE(status->running),
	};

	spin_lock_irq(&queue->timeline->lock);
	out.state = queue->state;
	out.head = queue->head;
	out.tail = queue->tail;
	spin_unlock_irq(&queue->timeline->lock);
	if (scene->guilty && queue->vm == scene->guilty->vm) {
		out.context = queue->vm->context;
		out.flags = queue == scene->guilty ? NIB_DUMP_QUEUE_GUILTY : 0;
		out.status = *status;
	}
	return nib_dump_section(scene->dump, NIB_DUMP_QUEUE, queue->hw_id, &out, sizeof(out));
}

/*
 * Reads one job that is still in flight into the scratch. Returns its stream, with a reference, if
 * it is not in the dump yet.
 */
static bool nib_dump_fetch_job(struct nib_dump *dump, struct nib_queue *queue, u64 number,
			       struct nib_stream **stream)
{
	u32 slot = number % NIB_RING_ENTRIES;
	struct nib_dump_job *job = &dump->scratch;
	bool found = false;

	memset(job, 0, sizeof(*job));
	*stream = NULL;
	spin_lock_irq(&queue->timeline->lock);
	if (number >= queue->head && number < queue->tail) {
		job->number = number;
		memcpy(&job->entry, queue->ring + slot * sizeof(job->entry), sizeof(job->entry));
		memcpy(job->args,
		       queue->ring + NIB_RING_ARGS(NIB_RING_ENTRIES) + slot * NIB_RING_ARG_BYTES,
		       min(job->entry.nargs, NIB_MAX_ARGS) * sizeof(job->args[0]));
		/* The run has a reference, and lives until its fence was signalled. */
		*stream = nib_stream_get(queue->streams[slot]);
		found = true;
	}
	spin_unlock_irq(&queue->timeline->lock);
	if (*stream && test_bit((*stream)->id, dump->streams))
		nib_stream_put(stream);
	return found;
}

static void nib_dump_jobs(struct nib_dump *dump, struct nib_queue *queue)
{
	u64 tail = READ_ONCE(queue->tail), number = READ_ONCE(queue->head);
	struct nib_dump_section_mark section;
	struct nib_stream *stream;

	section = nib_dump_open(dump, NIB_DUMP_JOBS, queue->hw_id, sizeof(dump->scratch));
	for (; number < tail; number++) {
		if (nib_dump_fetch_job(dump, queue, number, &stream))
			nib_dump_write(dump, &dump->scratch, sizeof(dump->scratch));
		nib_stream_put(&stream);
	}
	nib_dump_close(dump, section);
}

/* Streams of what is in flight: their handles may be gone. */
static void nib_dump_job_streams(const struct nib_dump_scene *scene, struct nib_queue *queue)
{
	u64 tail = READ_ONCE(queue->tail), number = READ_ONCE(queue->head);
	struct nib_stream *stream;

	for (; scene->device && number < tail; number++) {
		nib_dump_fetch_job(scene->dump, queue, number, &stream);
		if (stream)
			nib_dump_one_stream(scene->dump, scene->ndev, stream);
		nib_stream_put(&stream);
	}
}

static void nib_dump_completions(struct nib_dump *dump, struct nib_queue *queue)
{
	u64 head = READ_ONCE(queue->head), tail = READ_ONCE(queue->tail), i;
	const struct nib_completion *ring = queue->ring + NIB_RING_DONE(NIB_RING_ENTRIES);
	struct nib_completion *done = (struct nib_completion *)&dump->scratch;
	struct nib_dump_section_mark section;

	section = nib_dump_open(dump, NIB_DUMP_COMPLETIONS, queue->hw_id, sizeof(*done));
	for (i = head - min(head, NIB_DUMP_COMPLETIONS_MAX - 1ull); i < tail; i++) {
		const struct nib_completion *slot = &ring[i % NIB_RING_ENTRIES];

		if (READ_ONCE(slot->phase) != (u32)(i / NIB_RING_ENTRIES + 1))
			break;
		/* The record was written before its phase. */
		dma_rmb();
		*done = *slot;
		nib_dump_write(dump, done, sizeof(*done));
	}
	nib_dump_close(dump, section);
}

/* A queue, and if it is the guilty client's, what is in it. */
static void nib_dump_whole_queue(const struct nib_dump_scene *scene, struct nib_queue *queue)
{
	if (!nib_dump_queue(scene, queue))
		return;
	if (!scene->guilty || queue->vm != scene->guilty->vm)
		return;
	nib_dump_jobs(scene->dump, queue);
	nib_dump_completions(scene->dump, queue);
	nib_dump_job_streams(scene, queue);
}

/* The guilty one comes first, so that it is there if little fits. */
static void nib_dump_queues(const struct nib_dump_scene *scene)
{
	struct nib_queue *queue, *guilty = scene->guilty;

	if (guilty && !list_empty(&guilty->link))
		nib_dump_whole_queue(scene, guilty);
	else if (guilty)
		scene->dump->flags |= NIB_DUMP_INCOMPLETE;
	list_for_each_entry(queue, &scene->ndev->queues, link)
		if (queue != guilty)
			nib_dump_whole_queue(scene, queue);
}

/* --- All of it --- */

static void nib_dump_find_reason(struct nib_dump_scene *scene, const char *why)
{
	struct nib_dump_reason *reason = &scene->reason;
	struct nib_queue *queue = scene->guilty;
	const struct nib_queue_status *status;
	const struct nib_ring_entry *entry;

	strscpy(reason->why, why);
	reason->queue = NIB_DUMP_NONE;
	reason->context = NIB_DUMP_NONE;
	reason->stream = NIB_DUMP_NONE;
	if (!queue)
		return;
	reason->queue = queue->hw_id;
	reason->context = queue->vm->context;
	spin_lock_irq(&queue->timeline->lock);
	reason->status = queue->fault_status;
	reason->packet = queue->fault_packet;
	reason->fault_va = queue->fault_va;
	reason->job = queue->head;
	if (queue->attached && queue->head != queue->tail) {
		entry = queue->ring + queue->head % NIB_RING_ENTRIES * sizeof(*entry);
		reason->seqno = entry->seqno;
		reason->stream = entry->stream;
	}
	spin_unlock_irq(&queue->timeline->lock);
	status = nib_queue_status_page(queue);
	/* Of a job that hangs there is no completion to tell. */
	if (reason->status < NIB_DONE_FAULT_READ && READ_ONCE(status->running))
		reason->packet = READ_ONCE(status->job_packets);
}

static void nib_dump_write_all(const struct nib_dump_scene *scene)
{
	nib_dump_text(scene);
	nib_dump_device(scene);
	nib_dump_section(scene->dump, NIB_DUMP_REASON, 0, &scene->reason, sizeof(scene->reason));
	nib_dump_registers(scene);
	nib_dump_firmware(scene);
	nib_dump_admin(scene);
	nib_dump_events(scene);
	mutex_lock(&scene->ndev->queues_lock);
	nib_dump_queues(scene);
	mutex_unlock(&scene->ndev->queues_lock);
	if (!scene->guilty)
		return;
	if (scene->device)
		nib_dump_streams(scene->dump, scene->guilty->vm);
	nib_dump_vm(scene->dump, scene->guilty->vm, scene->device);
}

/**
 * nib_dump_capture - take a core dump, unless one waits to be read.
 * @ndev: device.
 * @queue: the guilty one, or NULL. If it is detached meanwhile, the dump holds no jobs of it.
 * @why: for the reader, at most 63 characters.
 *
 * To be called before recovery changes what the dump should show, in process context, where fences
 * are signalled. Takes nib_device.queues_lock, and locks of the queue's VM.
 */
void nib_dump_capture(struct nib_device *ndev, struct nib_queue *queue, const char *why)
{
	struct nib_dump_scene scene = { .ndev = ndev, .dump = ndev->dump, .guilty = queue };
	int cookie;
	bool entered;

	if (!nib_dump_begin(ndev->dump, &ndev->pdev->dev))
		return;
	entered = drm_dev_enter(&ndev->drm, &cookie);
	scene.device = entered && !nib_device_is_gone(ndev);
	nib_dump_find_reason(&scene, why);
	nib_dump_write_all(&scene);
	if (entered)
		drm_dev_exit(cookie);
	nib_dump_end(ndev->dump);
}
