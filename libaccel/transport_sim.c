// SPDX-License-Identifier: MIT
/*
 * The in-process transport: boots the firmware that is built into the device library, talks to it
 * through rings and doorbells, and lends it the caller's thread. Nothing happens between calls:
 * jobs run while somebody waits, polls, or makes room.
 *
 * A queue has one job in the device at a time, so that nothing behind a job that faults runs.
 */
#include "sim.h"

#define SLICE	16u	/* packets between two looks at the clock */
#define RING	NIB_RING_MIN_ENTRIES

struct sim_queue {
	struct accel_queue base;
	uint8_t *ring;
	uint64_t sent;	/* entries */
	uint64_t seen;	/* completions */
	uint32_t hw_id;
	bool created;
};

static uint64_t read_reg(struct sim_device *sim, uint64_t reg, unsigned int bytes)
{
	return nib_device_read(sim->nib, NIB_BAR_REGS, reg, bytes);
}

static void write_reg(struct sim_device *sim, uint64_t reg, unsigned int bytes, uint64_t value)
{
	nib_device_write(sim->nib, NIB_BAR_REGS, reg, bytes, value);
}

static void read_text(struct sim_device *sim, uint64_t reg, char text[32])
{
	uint32_t i, word;

	for (i = 0; i < 32; i += 4) {
		word = (uint32_t)read_reg(sim, reg + i, 4);
		memcpy(text + i, &word, 4);
	}
	text[31] = 0;
}

static void on_irq(void *host, unsigned int vector)
{
	(void)host;
	(void)vector;
}

static void on_kick(void *host)
{
	((struct sim_device *)host)->work = true;
}

static void on_log(void *host, int level, const char *line)
{
	struct sim_device *sim = host;

	accel_log(&sim->base, level <= 3 ? ACCEL_LOG_ERROR : level == 4 ? ACCEL_LOG_WARNING :
		  level <= 6 ? ACCEL_LOG_INFO : ACCEL_LOG_DEBUG, "device: %s", line);
}

/* The library's event is the device's, under its own name. */
_Static_assert(sizeof(struct accel_trace_event) == sizeof(struct nib_trace_event) &&
	       offsetof(struct accel_trace_event, energy_pj) ==
	       offsetof(struct nib_trace_event, energy_pj) &&
	       (int)ACCEL_TRACE_ENGINES == (int)NIB_TRACE_ENGINES, "trace events");

static void on_trace(void *host, const struct nib_trace_event *event)
{
	struct sim_device *sim = host;
	struct accel_trace_event copy;

	memcpy(&copy, event, sizeof(copy));
	sim->trace(sim->base.user, &copy);
}

/* --- Bits for ids --- */

static int take_id(uint64_t *bits, uint32_t count, uint32_t *id)
{
	for (*id = 0; *id < count; ++*id) {
		if (bits[*id / 64] >> *id % 64 & 1)
			continue;
		bits[*id / 64] |= 1ull << *id % 64;
		return 0;
	}
	return -EMFILE;
}

static void give_id(uint64_t *bits, uint32_t id)
{
	bits[id / 64] &= ~(1ull << id % 64);
}

/* --- Firmware --- */

struct admin_args {
	uint64_t arg[7];
};

static int admin(struct sim_device *sim, uint16_t op, struct admin_args args)
{
	struct nib_admin_msg *msg = &sim->ctrl->admin[sim->admin_tail % NIB_ADMIN_SLOTS];
	uint32_t status;

	memset(msg, 0, sizeof(*msg));
	msg->op = op;
	memcpy(msg->arg, args.arg, sizeof(msg->arg));
	sim->admin_tail++;
	nib_device_write(sim->nib, NIB_BAR_DOORBELLS, NIB_DOORBELL_ADMIN, 4, sim->admin_tail);
	for (;;) {
		status = __atomic_load_n(&msg->status, __ATOMIC_ACQUIRE);
		if (status == NIB_ADM_OK)
			return 0;
		if (status != NIB_ADM_PENDING)
			return accel_fail(&sim->base, -EIO,
					  "firmware refused operation %u: status %u", op, status);
		sim->work = false;
		if (!nib_device_run(sim->nib, 1) && !sim->work &&
		    __atomic_load_n(&msg->status, __ATOMIC_ACQUIRE) == NIB_ADM_PENDING)
			return accel_fail(&sim->base, -EIO, "firmware does not answer operation %u",
					  op);
	}
}

#define ADMIN(sim, op, ...) admin(sim, op, (struct admin_args){ { __VA_ARGS__ } })

static int boot(struct sim_device *sim)
{
	uint64_t state;
	size_t bytes;
	const void *image = nib_device_builtin_firmware(&bytes);
	void *copy = sim_host_alloc(sim, (bytes + ACCEL_PAGE - 1) & ~(ACCEL_PAGE - 1));

	sim->ctrl = sim_host_alloc(sim, (sizeof(*sim->ctrl) + ACCEL_PAGE - 1) & ~(ACCEL_PAGE - 1));
	if (!copy || !sim->ctrl)
		return accel_fail(&sim->base, -ENOMEM, "open: no memory for the firmware");
	memcpy(copy, image, bytes);
	write_reg(sim, NIB_REG_CTRL_ADDR, 8, (uintptr_t)sim->ctrl);
	write_reg(sim, NIB_REG_FW_ADDR, 8, (uintptr_t)copy);
	write_reg(sim, NIB_REG_FW_BYTES, 4, bytes);
	write_reg(sim, NIB_REG_FW_COMMAND, 4, NIB_FW_BOOT);
	do {
		state = read_reg(sim, NIB_REG_FW_STATE, 4);
	} while (state == NIB_FW_BOOTING && nib_device_run(sim->nib, 1));
	sim_host_free(sim, copy);
	if (state != NIB_FW_READY)
		return accel_fail(&sim->base, -EIO, "open: firmware state %llu, error %llu",
				  (unsigned long long)state,
				  (unsigned long long)read_reg(sim, NIB_REG_FW_ERROR, 4));
	return 0;
}

static uint32_t at_most(uint64_t value, uint32_t most)
{
	return value < most ? (uint32_t)value : most;
}

static int sim_query(struct accel_device *device)
{
	struct sim_device *sim = to_sim(device);

	device->info.reset_count = (uint32_t)read_reg(sim, NIB_REG_RESET_COUNT, 4);
	device->info.hbm_free = sim->hbm.free;
	device->info.sram_free = sim->sram.free;
	return 0;
}

static int fill_info(struct sim_device *sim)
{
	struct accel_device_info *info = &sim->base.info;

	if (read_reg(sim, NIB_REG_MAGIC, 4) != NIB_MAGIC)
		return accel_fail(&sim->base, -ENODEV, "open: no device behind the registers");
	info->hw_version = (uint32_t)read_reg(sim, NIB_REG_HW_VERSION, 4);
	info->fw_api = (uint32_t)read_reg(sim, NIB_REG_FW_API, 4);
	info->hbm_bytes = read_reg(sim, NIB_REG_HBM_BYTES, 8);
	info->sram_bytes = read_reg(sim, NIB_REG_SRAM_BYTES, 8);
	/* One of each clears memory: see sim_memory.c. */
	sim->queues = at_most(read_reg(sim, NIB_REG_NUM_QUEUES, 4), NIB_MAX_QUEUES);
	sim->streams = at_most(read_reg(sim, NIB_REG_NUM_STREAMS, 4), NIB_MAX_STREAMS);
	info->max_queues = sim->queues > 1 ? sim->queues - 1 : 1;
	info->max_streams = sim->streams > 1 ? sim->streams - 1 : 1;
	info->priorities = 1u << NIB_PRIORITY_LOW | 1u << NIB_PRIORITY_NORMAL |
			   1u << NIB_PRIORITY_HIGH | 1u << NIB_PRIORITY_REALTIME;
	read_text(sim, NIB_REG_CHIP_NAME, info->chip);
	read_text(sim, NIB_REG_FW_VERSION, info->fw_version);
	memcpy(info->driver, "sim", 4);
	return 0;
}

static void sim_close(struct accel_device *device)
{
	struct sim_device *sim = to_sim(device);

	sim_memory_end_zeroing(sim);
	if (sim->context)
		ADMIN(sim, NIB_ADM_CTX_DESTROY, 0);
	if (sim->nib)
		nib_device_destroy(sim->nib);
	sim->nib = NULL;
	accel_free(device, sim->queue_ids);
	accel_free(device, sim->stream_ids);
	sim_memory_fini(sim);
}

static int start(struct sim_device *sim, const struct accel_open_params *params)
{
	struct nib_device_config config = {
		.chip = params->chip ? params->chip : "small",
		.threads = params->threads,
		.ops = {
			.dma = sim_host_dma, .irq = on_irq, .kick = on_kick, .log = on_log,
			.trace = params->trace ? on_trace : NULL,
		},
		.host = sim,
	};
	struct accel_device *device = &sim->base;
	char why[160] = "";
	int err;

	sim->trace = params->trace;
	err = nib_device_create(&config, why, sizeof(why), &sim->nib);
	if (err)
		return accel_fail(device, err == -ENOENT ? -EINVAL : err, "open: chip %s: %s",
				  config.chip, why);
	err = boot(sim);
	if (!err)
		err = fill_info(sim);
	if (err)
		return err;
	sim->window = nib_device_window(sim->nib, NULL, &sim->window_bytes);
	sim->queue_ids = accel_alloc(device, (sim->queues + 63) / 64 * 8);
	sim->stream_ids = accel_alloc(device, (sim->streams + 63) / 64 * 8);
	err = sim_memory_init(sim);
	if (err || !sim->queue_ids || !sim->stream_ids)
		return accel_fail(device, -ENOMEM, "open: no memory");
	err = ADMIN(sim, NIB_ADM_CTX_CREATE, 0, sim->root);
	sim->context = !err;
	return err;
}

static int sim_open(struct accel_device *device, const struct accel_open_params *params)
{
	struct sim_device *sim = to_sim(device);
	int err = start(sim, params);

	if (!err)
		err = sim_query(device);
	if (err)
		sim_close(device);
	return err;
}

/* --- Streams and queues --- */

struct sim_stream {
	struct accel_stream base;
	uint64_t offset;
};

static int sim_stream_create(struct accel_stream *base, const void *data)
{
	struct sim_device *sim = to_sim(base->device);
	struct sim_stream *stream = (struct sim_stream *)base;
	int err;

	if (take_id(sim->stream_ids, sim->streams, &base->id))
		return accel_fail(&sim->base, -EMFILE, "stream: no id is left");
	err = sim_hbm_alloc(sim, base->bytes, &stream->offset);
	if (err) {
		give_id(sim->stream_ids, base->id);
		return accel_fail(&sim->base, err, "stream: no HBM for %u bytes", base->bytes);
	}
	memcpy(sim->window + stream->offset, data, base->bytes);
	err = ADMIN(sim, NIB_ADM_STREAM_CREATE, 0, base->id, stream->offset, base->bytes,
		    base->nargs);
	if (err) {
		sim_hbm_free(sim, stream->offset, base->bytes);
		give_id(sim->stream_ids, base->id);
	}
	return err;
}

static void sim_stream_destroy(struct accel_stream *base)
{
	struct sim_device *sim = to_sim(base->device);

	ADMIN(sim, NIB_ADM_STREAM_DESTROY, 0, base->id);
	sim_hbm_free(sim, ((struct sim_stream *)base)->offset, base->bytes);
	give_id(sim->stream_ids, base->id);
}

static void sim_queue_destroy(struct accel_queue *base)
{
	struct sim_device *sim = to_sim(base->device);
	struct sim_queue *queue = (struct sim_queue *)base;

	if (queue->created)
		ADMIN(sim, NIB_ADM_QUEUE_DESTROY, queue->hw_id);
	sim_host_free(sim, queue->ring);
	give_id(sim->queue_ids, queue->hw_id);
}

static int sim_queue_create(struct accel_queue *base)
{
	struct sim_device *sim = to_sim(base->device);
	struct sim_queue *queue = (struct sim_queue *)base;
	int err = -ENOMEM;

	if (take_id(sim->queue_ids, sim->queues, &queue->hw_id))
		return accel_fail(&sim->base, -EMFILE, "queue: no id is left");
	queue->ring = sim_host_alloc(sim, (NIB_RING_BYTES(RING) + ACCEL_PAGE - 1) &
					  ~(ACCEL_PAGE - 1));
	if (!queue->ring)
		accel_fail(&sim->base, err, "queue: no host memory for its ring");
	else
		err = ADMIN(sim, NIB_ADM_QUEUE_CREATE, queue->hw_id, 0, (uintptr_t)queue->ring,
			    RING,
			    (uint64_t)base->priority | (uint64_t)base->weight << 8 | 1u << 24);
	queue->created = !err;
	base->depth = 1;
	if (err)
		sim_queue_destroy(base);
	return err;
}

static int sim_submit(struct accel_queue *base, uint64_t first, uint32_t count)
{
	struct sim_device *sim = to_sim(base->device);
	struct sim_queue *queue = (struct sim_queue *)base;
	uint32_t i;

	for (i = 0; i < count; i++, queue->sent++) {
		const struct accel_record *job = accel_queue_job(base, first + i);
		uint64_t slot = queue->sent % RING;
		struct nib_ring_entry entry = {
			.stream = job->stream->id, .nargs = job->nargs, .seqno = first + i,
		};

		memcpy(queue->ring + slot * sizeof(entry), &entry, sizeof(entry));
		memcpy(queue->ring + NIB_RING_ARGS(RING) + slot * NIB_RING_ARG_BYTES, job->args,
		       job->nargs * sizeof(job->args[0]));
		accel_lease_count(job);
	}
	sim->work = true;
	nib_device_write(sim->nib, NIB_BAR_DOORBELLS, NIB_DOORBELL_QUEUE(queue->hw_id), 4,
			 (uint32_t)queue->sent);
	return 0;
}

static void sim_poll(struct accel_queue *base)
{
	struct sim_queue *queue = (struct sim_queue *)base;
	const struct nib_completion *done;
	int status;

	while (queue->seen < queue->sent) {
		done = (const void *)(queue->ring + NIB_RING_DONE(RING));
		done += queue->seen % RING;
		if (__atomic_load_n(&done->phase, __ATOMIC_ACQUIRE) != queue->seen / RING + 1)
			return;
		queue->seen++;
		status = accel_status_errno(done->status);
		if (done->status == NIB_DONE_RESET || done->status == NIB_DONE_FAULT_ECC)
			base->state.state |= ACCEL_QUEUE_INNOCENT;
		else if (status)
			base->state.state |= ACCEL_QUEUE_GUILTY;
		if (status && done->status != NIB_DONE_RESET)
			base->dead = true;
		accel_queue_retire(base, status, done);
	}
}

static int sim_wait(struct accel_queue *queue, uint64_t number, uint64_t deadline)
{
	struct sim_device *sim = to_sim(queue->device);
	unsigned int ran;

	for (;;) {
		sim->work = false;
		ran = nib_device_run(sim->nib, SLICE);
		accel_device_progress(queue->device);
		if (queue->head > number)
			return 0;
		if (!ran && !sim->work)
			return -EDEADLK;
		if (deadline != UINT64_MAX && accel_now() >= deadline)
			return -ETIME;
	}
}

static int sim_queue_query(struct accel_queue *base, struct accel_queue_state *state)
{
	const struct nib_queue_status *status =
		&to_sim(base->device)->ctrl->queues[((struct sim_queue *)base)->hw_id];

	state->run_ns = __atomic_load_n(&status->run_ns, __ATOMIC_RELAXED);
	state->energy_pj = __atomic_load_n(&status->energy_pj, __ATOMIC_RELAXED);
	return 0;
}

const struct accel_transport_ops accel_transport_sim = {
	.name = "sim",
	.device_size = sizeof(struct sim_device),
	.buffer_size = sizeof(struct sim_buffer),
	.lease_size = sizeof(struct sim_lease),
	.stream_size = sizeof(struct sim_stream),
	.queue_size = sizeof(struct sim_queue),
	.open = sim_open,
	.close = sim_close,
	.query = sim_query,
	.buffer_create = sim_buffer_create,
	.buffer_destroy = sim_buffer_destroy,
	.buffer_map = sim_buffer_map,
	.lease_create = sim_lease_create,
	.lease_destroy = sim_lease_destroy,
	.lease_query = sim_lease_query,
	.stream_create = sim_stream_create,
	.stream_destroy = sim_stream_destroy,
	.queue_create = sim_queue_create,
	.queue_destroy = sim_queue_destroy,
	.submit = sim_submit,
	.poll = sim_poll,
	.wait = sim_wait,
	.queue_query = sim_queue_query,
};
