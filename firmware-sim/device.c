// SPDX-License-Identifier: MIT
/*
 * The device as its user sees it: life cycle, BAR access, execution loop, and the rules by which
 * threads meet. What registers mean is in regs.c, what runs next is the firmware's (fw_*.c), how it
 * runs the hardware's (hw_*.c).
 *
 * One thread executes packets at a time, without the lock. Whoever changes what an executing packet
 * relies on (mappings, the TLB) first holds it: the packet parks at its next safe point, a few
 * milliseconds away on fast kernels, and takes its pointers anew afterwards.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "device.h"

static struct nib_device *device_of(struct nib_hw *hw)
{
	return (struct nib_device *)((char *)hw - offsetof(struct nib_device, hw));
}

/* --- Hold, stop, release --- */

/* The executing thread, at a safe point. */
static bool device_park(struct nib_hw *hw)
{
	struct nib_device *device = device_of(hw);
	bool go_on;

	pthread_mutex_lock(&device->lock);
	device->parked = true;
	pthread_cond_broadcast(&device->changed);
	while (device->hold && !device->abort)
		pthread_cond_wait(&device->changed, &device->lock);
	device->parked = false;
	hw->parks++;
	go_on = !device->abort;
	pthread_mutex_unlock(&device->lock);
	return go_on;
}

void nib_device_hold(struct nib_device *device)
{
	device->hold++;
	atomic_store_explicit(&device->hw.attention, true, memory_order_release);
	while (device->busy && !device->parked)
		pthread_cond_wait(&device->changed, &device->lock);
}

bool nib_device_stop(struct nib_device *device, enum nib_hang how)
{
	unsigned int hang = atomic_load(&device->hw.trouble.hang);

	if (hang > (unsigned int)how + 1)
		return false;
	device->hold++;
	device->abort = true;
	atomic_store_explicit(&device->hw.attention, true, memory_order_release);
	pthread_cond_broadcast(&device->changed);
	while (device->busy)
		pthread_cond_wait(&device->changed, &device->lock);
	device->abort = false;
	atomic_store(&device->hw.trouble.hang, 0);
	return true;
}

void nib_device_release(struct nib_device *device)
{
	if (--device->hold == 0)
		atomic_store_explicit(&device->hw.attention, false, memory_order_release);
	pthread_cond_broadcast(&device->changed);
}

void nib_device_interrupt(struct nib_device *device)
{
	uint32_t due = device->fw.interrupts, twice = 0;

	device->fw.interrupts = 0;
	for (uint32_t left = due; left; left &= left - 1) {
		uint32_t vector = (uint32_t)__builtin_ctz(left);

		if (nib_trouble_strikes(&device->hw.trouble, NIB_FAULT_LOST_INTERRUPT, vector,
					NULL))
			due &= ~(1u << vector);
		else if (nib_trouble_strikes(&device->hw.trouble, NIB_FAULT_SPURIOUS_INTERRUPT,
					     vector, NULL))
			twice |= 1u << vector;
	}
	device->interrupts += (uint64_t)__builtin_popcount(due) + __builtin_popcount(twice);
	pthread_mutex_unlock(&device->lock);
	for (; due; due &= due - 1)
		device->hw.ops.irq(device->hw.host, (unsigned int)__builtin_ctz(due));
	for (; twice; twice &= twice - 1)
		device->hw.ops.irq(device->hw.host, (unsigned int)__builtin_ctz(twice));
	pthread_mutex_lock(&device->lock);
}

void nib_device_kick(struct nib_device *device)
{
	if (device->hw.ops.kick)
		device->hw.ops.kick(device->hw.host);
}

/* --- Trace --- */

/* A thread has worked on the packet that executes. */
static void device_trace_work(void *arg, unsigned int thread, uint64_t start, uint64_t end)
{
	struct nib_device *device = arg;
	const struct nib_trace_event event = {
		.kind = NIB_TRACE_WORK,
		.op = device->command.words[0] & 0xffff,
		.thread = thread,
		.host_start_ns = start,
		.host_end_ns = end,
	};

	device->hw.ops.trace(device->hw.host, &event);
}

/* --- Life --- */

int nib_device_create(const struct nib_device_config *config, char *error, size_t error_bytes,
		      struct nib_device **out)
{
	struct nib_device *device = calloc(1, sizeof(*device));
	char unused[1];
	int err;

	if (!error || !error_bytes) {
		error = unused;
		error_bytes = sizeof(unused);
	}
	error[0] = 0;
	if (!device)
		return -ENOMEM;
	err = nib_hw_init(&device->hw, config, error, error_bytes);
	if (err) {
		free(device);
		return err;
	}
	device->hw.park = device_park;
	if (config->ops.trace)
		nib_pool_trace(device->hw.pool, device_trace_work, device);
	device->hw.trouble.enabled = config->inject;
	device->fw.hw = &device->hw;
	nib_fw_forget(&device->fw);
	pthread_mutex_init(&device->control, NULL);
	pthread_mutex_init(&device->lock, NULL);
	pthread_cond_init(&device->changed, NULL);
	*out = device;
	return 0;
}

void nib_device_destroy(struct nib_device *device)
{
	if (!device)
		return;
	nib_fw_forget(&device->fw);
	nib_hw_destroy(&device->hw);
	pthread_cond_destroy(&device->changed);
	pthread_mutex_destroy(&device->lock);
	pthread_mutex_destroy(&device->control);
	free(device);
}

void *nib_device_window(struct nib_device *device, int *fd, uint64_t *bytes)
{
	if (fd)
		*fd = device->hw.hbm_fd;
	if (bytes)
		*bytes = device->hw.chip.window_bytes;
	return device->hw.hbm;
}

/* With the engine stopped. */
void nib_device_function_reset(struct nib_device *device)
{
	uint32_t count = device->hw.regs.reset_count;

	nib_fw_forget(&device->fw);
	device->suspending = false;
	device->fw.interrupts = 0;
	memset(&device->hw.regs, 0, sizeof(device->hw.regs));
	device->hw.regs.reset_count = count + 1;
	nib_trouble_reset(&device->hw.trouble);
	device->deferred = 0;
	nib_mmu_invalidate(&device->hw.mmu, ~0u);
	nib_meter_idle(&device->hw, nib_host_ns());
}

void nib_device_reset(struct nib_device *device)
{
	pthread_mutex_lock(&device->control);
	pthread_mutex_lock(&device->lock);
	nib_device_stop(device, NIB_HANG_FUNCTION);
	nib_device_function_reset(device);
	nib_device_release(device);
	pthread_mutex_unlock(&device->lock);
	pthread_mutex_unlock(&device->control);
}

void nib_device_power_cycle(struct nib_device *device)
{
	pthread_mutex_lock(&device->control);
	pthread_mutex_lock(&device->lock);
	nib_device_stop(device, NIB_HANG_FUNCTION);
	nib_device_function_reset(device);
	nib_hw_memories_lose(&device->hw);
	nib_device_release(device);
	pthread_mutex_unlock(&device->lock);
	pthread_mutex_unlock(&device->control);
}

void nib_device_set_power(struct nib_device *device, bool on)
{
	pthread_mutex_lock(&device->control);
	pthread_mutex_lock(&device->lock);
	nib_device_stop(device, NIB_HANG_FUNCTION);
	if (!on && nib_fw_alive(&device->fw))
		nib_hw_log(&device->hw, 4, "powered down with firmware running");
	if (!on && device->hw.regs.fw_state != NIB_FW_OFF)
		nib_fw_halt(&device->fw);
	if (!on)
		nib_meter_idle(&device->hw, nib_host_ns());
	nib_meter_sleep(&device->hw, !on, nib_host_ns());
	nib_device_release(device);
	pthread_mutex_unlock(&device->lock);
	pthread_mutex_unlock(&device->control);
}

/* --- BARs --- */

static bool access_ok(unsigned int bar, uint64_t offset, unsigned int bytes)
{
	uint64_t size = bar == NIB_BAR_REGS ? NIB_BAR_REGS_BYTES :
			bar == NIB_BAR_DOORBELLS ? NIB_BAR_DOORBELL_BYTES : 0;

	return (bytes == 4 || bytes == 8) && offset % bytes == 0 && offset < size;
}

uint64_t nib_device_read(struct nib_device *device, unsigned int bar, uint64_t offset,
			 unsigned int bytes)
{
	uint64_t value;

	if (!access_ok(bar, offset, bytes) || bar != NIB_BAR_REGS)
		return bytes == 4 ? UINT32_MAX : UINT64_MAX;
	pthread_mutex_lock(&device->lock);
	value = device->link_down ? bytes == 4 ? UINT32_MAX : UINT64_MAX :
		nib_regs_read(device, offset, bytes);
	pthread_mutex_unlock(&device->lock);
	return value;
}

static void write_locked(struct nib_device *device, unsigned int bar, uint64_t offset,
			 unsigned int bytes, uint64_t value)
{
	if (device->link_down)
		return;
	if (bar == NIB_BAR_REGS)
		nib_regs_write(device, offset, bytes, value);
	else
		nib_doorbell_write(device, offset, value);
}

/* Most writes make the firmware touch host memory, which it must not do now. */
static void write_defer(struct nib_device *device, unsigned int bar, uint64_t offset,
			unsigned int bytes, uint64_t value)
{
	if (device->deferred == NIB_DEFERRED_WRITES) {
		nib_hw_log(&device->hw, 4, "quiesced: write to BAR%u+%#llx lost", bar,
			   (unsigned long long)offset);
		return;
	}
	device->write[device->deferred++] = (struct nib_deferred_write){
		.bar = bar,
		.bytes = bytes,
		.offset = offset,
		.value = value,
	};
}

void nib_device_write(struct nib_device *device, unsigned int bar, uint64_t offset,
		      unsigned int bytes, uint64_t value)
{
	if (!access_ok(bar, offset, bytes))
		return;
	pthread_mutex_lock(&device->control);
	pthread_mutex_lock(&device->lock);
	if (device->quiesced)
		write_defer(device, bar, offset, bytes, value);
	else
		write_locked(device, bar, offset, bytes, value);
	pthread_mutex_unlock(&device->control);
	nib_device_interrupt(device);
	pthread_mutex_unlock(&device->lock);
	nib_device_kick(device);
}

/* --- Quiesce --- */

void nib_device_quiesce(struct nib_device *device)
{
	pthread_mutex_lock(&device->control);
	pthread_mutex_lock(&device->lock);
	device->quiesced++;
	nib_device_hold(device);
	pthread_mutex_unlock(&device->lock);
	pthread_mutex_unlock(&device->control);
}

void nib_device_resume(struct nib_device *device)
{
	struct nib_deferred_write *w;

	pthread_mutex_lock(&device->control);
	pthread_mutex_lock(&device->lock);
	if (--device->quiesced == 0) {
		nib_device_release(device);
		for (unsigned int i = 0; i < device->deferred; i++) {
			w = &device->write[i];
			write_locked(device, w->bar, w->offset, w->bytes, w->value);
		}
		device->deferred = 0;
	} else {
		nib_device_release(device);
	}
	pthread_mutex_unlock(&device->control);
	nib_device_interrupt(device);
	pthread_mutex_unlock(&device->lock);
	nib_device_kick(device);
}

/* --- Execution --- */

bool nib_device_blocked(struct nib_device *device)
{
	bool pending;

	pthread_mutex_lock(&device->lock);
	pending = !device->quiesced && (nib_fw_pending(&device->fw) ||
					 nib_fw_waits(&device->fw));
	pthread_mutex_unlock(&device->lock);
	return pending;
}

/* The packet has executed, and is not booked yet. */
static void device_trace_packet(struct nib_device *device, uint64_t start)
{
	const struct nib_fw_queue *queue = &device->fw.queues[device->fw.running];
	const struct nib_engine_result *result = &device->result;
	struct nib_trace_event event = {
		.kind = NIB_TRACE_PACKET,
		.op = device->command.words[0] & 0xffff,
		.queue = device->fw.running,
		.packet = queue->job.packets,
		.status = result->status,
		.seqno = queue->job.entry.seqno,
		.host_start_ns = start,
		.host_end_ns = nib_host_ns(),
		.start_ps = nib_meter_clock_ps(&device->hw),
		.time_ps = result->time_ps,
		.ops = result->ops,
		.energy_pj = result->energy_pj,
	};

	nib_cost_engines(&device->hw.chip, &result->cost, event.engine_ps);
	memcpy(event.read, result->cost.read, sizeof(event.read));
	memcpy(event.write, result->cost.write, sizeof(event.write));
	device->hw.ops.trace(device->hw.host, &event);
}

/* One packet. With the lock held, which is free while it executes. */
static void device_execute(struct nib_device *device)
{
	uint64_t start = device->hw.ops.trace ? nib_host_ns() : 0;
	struct nib_afflicted afflicted;

	nib_device_afflict(device, &afflicted);
	device->busy = true;
	pthread_mutex_unlock(&device->lock);
	nib_engine_execute(&device->hw, &device->command, &device->result);
	pthread_mutex_lock(&device->lock);
	device->busy = false;
	/* The firmware may have been lost while the packet ran, and with it whose it was. */
	if (start && device->fw.running != NIB_FW_NO_QUEUE &&
	    device->result.status != NIB_ENGINE_BLOCKED)
		device_trace_packet(device, start);
	pthread_cond_broadcast(&device->changed);
	nib_device_relieve(device, &afflicted);
	nib_fw_retire(&device->fw, &device->command, &device->result);
	if (device->suspending) {
		device->suspending = false;
		/* Firmware that hangs never gets to it. */
		if (nib_fw_works(&device->fw))
			nib_fw_halt(&device->fw);
	}
}

unsigned int nib_device_run(struct nib_device *device, unsigned int packets)
{
	unsigned int ran = 0;

	pthread_mutex_lock(&device->lock);
	while (device->runner)
		pthread_cond_wait(&device->changed, &device->lock);
	device->runner = true;
	/* Whoever calls may have opened a semaphore. */
	device->fw.epoch++;
	while (ran < packets) {
		while (device->hold && !device->quiesced)
			pthread_cond_wait(&device->changed, &device->lock);
		if (!device->quiesced && nib_fw_waits(&device->fw) && nib_fw_tick(&device->fw))
			nib_device_admin(device);
		if (device->quiesced || !nib_fw_pick(&device->fw, &device->command))
			break;
		device_execute(device);
		ran += device->result.status != NIB_ENGINE_BLOCKED;
		if (device->fw.interrupts)
			nib_device_interrupt(device);
	}
	device->runner = false;
	pthread_cond_broadcast(&device->changed);
	nib_device_interrupt(device);
	pthread_mutex_unlock(&device->lock);
	return ran;
}
