// SPDX-License-Identifier: MIT
/*
 * Faults of a device, as tests order them: orders come in, the packet that is about to execute gets
 * its share, and what is going on is told. The book of orders is trouble.c's.
 */
#include <errno.h>
#include <string.h>
#include "device.h"

/* --- What strikes at packets --- */

void nib_device_afflict(struct nib_device *device, struct nib_afflicted *afflicted)
{
	struct nib_trouble *trouble = &device->hw.trouble;
	struct nib_packet_trouble *packet = &device->command.trouble;
	uint32_t queue = device->fw.running;
	struct nib_strike strike;

	memset(packet, 0, sizeof(*packet));
	memset(afflicted, 0, sizeof(*afflicted));
	if (!trouble->armed)
		return;
	if (nib_trouble_strikes(trouble, NIB_FAULT_STUCK_PACKET, queue, &strike))
		atomic_store(&trouble->hang, strike.how.value + 1);
	if (nib_trouble_strikes(trouble, NIB_FAULT_SLOW_DMA, queue, &strike))
		packet->delay_ms = strike.how.ms;
	afflicted->mmu = nib_trouble_strikes(trouble, NIB_FAULT_MMU, queue,
					     &afflicted->mmu_strike);
	packet->mmu = afflicted->mmu;
	if (nib_trouble_strikes(trouble, NIB_FAULT_ECC_FATAL, queue, &afflicted->ecc_strike))
		packet->ecc = NIB_POISON_FATAL;
	else if (nib_trouble_strikes(trouble, NIB_FAULT_ECC_CORRECTED, queue,
				     &afflicted->ecc_strike))
		packet->ecc = NIB_POISON_CORRECTED;
	afflicted->ecc = packet->ecc;
}

/* Packets that reach no memory, or no HBM, leave their trouble to others. */
void nib_device_relieve(struct nib_device *device, const struct nib_afflicted *afflicted)
{
	const struct nib_packet_trouble *packet = &device->command.trouble;
	struct nib_trouble *trouble = &device->hw.trouble;

	atomic_store(&trouble->hang, 0);
	if (afflicted->mmu && !packet->mmu_met)
		nib_trouble_missed(trouble, &afflicted->mmu_strike);
	if (afflicted->ecc && !packet->ecc_met)
		nib_trouble_missed(trouble, &afflicted->ecc_strike);
}

/* --- Orders --- */

static void inject_spurious(struct nib_device *device, const struct nib_fault_order *order)
{
	uint32_t vectors = order->key == NIB_FAULT_ANY ? ~0u : 1u << order->key;
	uint32_t count = order->count < 1000 ? order->count : 1000;

	device->hw.trouble.struck[order->fault] += count;
	for (uint32_t i = 0; i < count; i++) {
		device->interrupts += (uint64_t)__builtin_popcount(vectors);
		pthread_mutex_unlock(&device->lock);
		for (uint32_t left = vectors; left; left &= left - 1)
			device->hw.ops.irq(device->hw.host, (unsigned int)__builtin_ctz(left));
		pthread_mutex_lock(&device->lock);
	}
}

/* What does not wait for a chance. False: it does. */
static bool inject_at_once(struct nib_device *device, const struct nib_fault_order *order)
{
	struct nib_trouble *trouble = &device->hw.trouble;

	switch (order->fault) {
	case NIB_FAULT_SPURIOUS_INTERRUPT:
		inject_spurious(device, order);
		return true;
	case NIB_FAULT_FIRMWARE_CRASH:
	case NIB_FAULT_FIRMWARE_HANG:
	case NIB_FAULT_GARBAGE_EVENT:
		trouble->struck[order->fault]++;
		nib_fw_afflict(&device->fw, order);
		return true;
	default:
		return false;
	}
}

int nib_device_inject_locked(struct nib_device *device, const struct nib_fault_order *order)
{
	struct nib_trouble *trouble = &device->hw.trouble;
	bool ecc = order->fault == NIB_FAULT_ECC_CORRECTED || order->fault == NIB_FAULT_ECC_FATAL;
	int err = nib_trouble_check(order);

	if (err)
		return err;
	if (ecc && order->address != NIB_FAULT_NOWHERE) {
		if (order->address >= device->hw.chip.mem[NIB_MEM_HBM].bytes)
			return -EINVAL;
		atomic_store(&trouble->poison, (order->address & ~(NIB_POISON_BYTES - 1)) |
			     (order->fault == NIB_FAULT_ECC_FATAL ? NIB_POISON_FATAL :
			      NIB_POISON_CORRECTED));
		return 0;
	}
	if (!order->after && inject_at_once(device, order))
		return 0;
	return nib_trouble_add(trouble, order);
}

int nib_device_inject(struct nib_device *device, const struct nib_fault_order *order)
{
	int err;

	pthread_mutex_lock(&device->lock);
	err = nib_device_inject_locked(device, order);
	nib_device_interrupt(device);
	pthread_mutex_unlock(&device->lock);
	return err;
}

int nib_device_storm(struct nib_device *device, const struct nib_fault_order *order, uint32_t ppm,
		     uint64_t seed)
{
	struct nib_storm storm = {
		.order = *order,
		.ppm = ppm,
		/* Storms of one seed do not strike in step. */
		.random = seed + (uint64_t)order->fault * 0x632be59bd9b4e019ull,
	};

	storm.order.count = NIB_FAULT_FOREVER;
	storm.order.after = 0;
	if (ppm > 1000000 || nib_trouble_check(&storm.order))
		return -EINVAL;
	pthread_mutex_lock(&device->lock);
	device->hw.trouble.storms[order->fault] = storm;
	device->hw.trouble.armed |= ppm != 0;
	pthread_mutex_unlock(&device->lock);
	return 0;
}

void nib_device_inject_clear(struct nib_device *device)
{
	pthread_mutex_lock(&device->lock);
	nib_trouble_clear(&device->hw.trouble);
	pthread_mutex_unlock(&device->lock);
}

/* --- Link --- */

void nib_device_link(struct nib_device *device, bool up)
{
	pthread_mutex_lock(&device->control);
	pthread_mutex_lock(&device->lock);
	if (up) {
		device->link_down = false;
	} else if (!device->link_down) {
		/* A function whose link goes down is reset by that. */
		nib_device_stop(device, NIB_HANG_FUNCTION);
		nib_device_function_reset(device);
		nib_device_release(device);
		device->link_down = true;
		device->link_losses++;
	}
	pthread_mutex_unlock(&device->lock);
	pthread_mutex_unlock(&device->control);
}

unsigned int nib_device_link_losses(struct nib_device *device, bool *up)
{
	unsigned int losses;

	pthread_mutex_lock(&device->lock);
	losses = device->link_losses;
	if (up)
		*up = !device->link_down;
	pthread_mutex_unlock(&device->lock);
	return losses;
}

/* --- What is going on --- */

void nib_device_faults(struct nib_device *device, struct nib_fault_state states[NIB_FAULTS])
{
	struct nib_trouble *trouble = &device->hw.trouble;

	memset(states, 0, NIB_FAULTS * sizeof(states[0]));
	pthread_mutex_lock(&device->lock);
	for (unsigned int i = 0; i < NIB_FAULTS; i++) {
		states[i].ppm = trouble->storms[i].ppm;
		states[i].struck = trouble->struck[i];
	}
	for (unsigned int i = 0; i < NIB_TROUBLE_ORDERS; i++) {
		const struct nib_fault_order *order = &trouble->orders[i];
		struct nib_fault_state *state = &states[order->fault];

		if (!order->count)
			continue;
		if (order->count > NIB_FAULT_FOREVER - state->pending)
			state->pending = NIB_FAULT_FOREVER;
		else
			state->pending += order->count;
	}
	pthread_mutex_unlock(&device->lock);
}

void nib_device_state(struct nib_device *device, struct nib_device_state *state)
{
	pthread_mutex_lock(&device->lock);
	*state = (struct nib_device_state){
		.fw_state = device->hw.regs.fw_state,
		.fw_error = device->hw.regs.fw_error,
		.heartbeat = nib_fw_heartbeat(&device->fw, nib_host_ns()),
		.resets = device->hw.regs.reset_count,
		.hung = nib_fw_hung(&device->fw, NIB_HANG_QUEUE),
		.link = !device->link_down,
		.link_losses = device->link_losses,
		.held = device->fw.num_held,
		.packets = device->fw.packets,
		.interrupts = device->interrupts,
	};
	pthread_mutex_unlock(&device->lock);
}

bool nib_device_queue_state(struct nib_device *device, uint32_t id, struct nib_queue_state *state)
{
	const struct nib_fw_queue *queue;

	if (id >= device->hw.chip.queues)
		return false;
	pthread_mutex_lock(&device->lock);
	queue = &device->fw.queues[id];
	*state = (struct nib_queue_state){
		.used = queue->used,
		.running = device->busy && device->fw.running == id,
		.halted = queue->halted || queue->broken,
		.context = queue->context,
		.priority = queue->priority,
		.vector = queue->vector,
		.head = queue->head,
		.tail = queue->tail,
		.packets = queue->status.packets,
	};
	pthread_mutex_unlock(&device->lock);
	return true;
}
