// SPDX-License-Identifier: MIT
/*
 * Boot ROM and the firmware's relations with the driver's control page: image check, start, stop,
 * crash, heartbeat, events, interrupts.
 */
#include <stdlib.h>
#include <string.h>
#include "fw.h"
#include "sha256.h"

/* Scheduling constants outside of these are nonsense, though the digest may match. */
#define QUANTUM_MIN_US 1u
#define QUANTUM_MAX_US 10000000u
#define HEARTBEAT_MIN_US 100u
#define HEARTBEAT_MAX_US 10000000u

bool nib_fw_alive(const struct nib_fw *fw)
{
	return fw->hw->regs.fw_state == NIB_FW_READY;
}

/* Everything but the identity of the hardware and what is still to be delivered. */
void nib_fw_forget(struct nib_fw *fw)
{
	struct nib_hw *hw = fw->hw;
	uint32_t interrupts = fw->interrupts;

	for (uint32_t i = 0; i < NIB_MAX_CONTEXTS; i++)
		free(fw->contexts[i].streams);
	memset(fw, 0, sizeof(*fw));
	fw->hw = hw;
	fw->interrupts = interrupts;
	fw->current = NIB_FW_NO_QUEUE;
	fw->running = NIB_FW_NO_QUEUE;
	fw->stopped = NIB_FW_NO_QUEUE;
}

static bool is_zero(const uint8_t *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (p[i])
			return false;
	return true;
}

/* @image: a copy, so that the host cannot change it between check and use. */
static enum nib_fw_error image_check(const uint8_t *image, uint32_t bytes,
				     struct nib_fw_header *header, struct nib_fw_payload *payload)
{
	uint8_t digest[32];

	memcpy(header, image, sizeof(*header));
	if (header->magic != NIB_FW_MAGIC)
		return NIB_FW_ERR_MAGIC;
	if (header->header_bytes != sizeof(*header) || header->image_bytes != bytes ||
	    bytes - sizeof(*header) < sizeof(*payload) || !is_zero(header->zero,
								   sizeof(header->zero)) ||
	    !memchr(header->version, 0, sizeof(header->version)))
		return NIB_FW_ERR_SIZE;
	if (header->api_major != NIB_FW_API_MAJOR)
		return NIB_FW_ERR_API;
	nib_sha256(image + sizeof(*header), bytes - sizeof(*header), digest);
	if (memcmp(digest, header->sha256, sizeof(digest)))
		return NIB_FW_ERR_DIGEST;
	memcpy(payload, image + sizeof(*header), sizeof(*payload));
	for (unsigned int i = 0; i < NIB_PRIORITIES; i++)
		if (payload->quantum_us[i] < QUANTUM_MIN_US ||
		    payload->quantum_us[i] > QUANTUM_MAX_US)
			return NIB_FW_ERR_SIZE;
	return payload->heartbeat_us < HEARTBEAT_MIN_US ||
	       payload->heartbeat_us > HEARTBEAT_MAX_US ? NIB_FW_ERR_SIZE : NIB_FW_OK;
}

static enum nib_fw_error image_load(struct nib_fw *fw, struct nib_fw_header *header,
				    struct nib_fw_payload *payload)
{
	const struct nib_regs *regs = &fw->hw->regs;
	enum nib_fw_error error;
	const void *host;
	uint8_t *image;

	if (regs->fw_bytes < sizeof(*header) || regs->fw_bytes > NIB_FW_MAX_BYTES)
		return NIB_FW_ERR_SIZE;
	host = nib_hw_dma(fw->hw, regs->fw_addr, regs->fw_bytes, false);
	if (!host || !nib_hw_dma(fw->hw, regs->ctrl_addr, sizeof(struct nib_ctrl), true) ||
	    regs->ctrl_addr % 64)
		return NIB_FW_ERR_DMA;
	image = malloc(regs->fw_bytes);
	if (!image)
		return NIB_FW_ERR_DMA;
	memcpy(image, host, regs->fw_bytes);
	error = image_check(image, regs->fw_bytes, header, payload);
	free(image);
	return error;
}

void nib_fw_boot(struct nib_fw *fw)
{
	struct nib_regs *regs = &fw->hw->regs;
	struct nib_fw_payload payload;
	struct nib_fw_header header;
	struct nib_strike strike;

	if (regs->fw_state == NIB_FW_READY) {
		regs->fw_error = NIB_FW_ERR_STATE;
		return;
	}
	nib_fw_forget(fw);
	regs->fw_state = NIB_FW_BOOTING;
	regs->fw_error = image_load(fw, &header, &payload);
	if (nib_trouble_strikes(&fw->hw->trouble, NIB_FAULT_FIRMWARE_REFUSED, NIB_FAULT_ANY,
				&strike))
		regs->fw_error = strike.how.value;
	if (regs->fw_error) {
		regs->fw_state = NIB_FW_FAILED;
		nib_hw_log(fw->hw, 4, "firmware refused, error %u", regs->fw_error);
		return;
	}
	fw->constants = payload;
	fw->ctrl = regs->ctrl_addr;
	fw->boot_ns = nib_host_ns();
	regs->fw_api = (uint32_t)header.api_major << 16 | header.api_minor;
	if (nib_trouble_strikes(&fw->hw->trouble, NIB_FAULT_FIRMWARE_API, NIB_FAULT_ANY, &strike))
		regs->fw_api = strike.how.value << 16;
	memcpy(regs->fw_version, header.version, sizeof(regs->fw_version));
	regs->fw_state = NIB_FW_READY;
	nib_hw_log(fw->hw, 6, "firmware %s started", regs->fw_version);
}

void nib_fw_halt(struct nib_fw *fw)
{
	struct nib_regs *regs = &fw->hw->regs;

	if (regs->fw_state == NIB_FW_OFF) {
		regs->fw_error = NIB_FW_ERR_STATE;
		return;
	}
	/* What was on its way arrives before that. */
	nib_fw_done_flush(fw, NIB_FAULT_ANY);
	nib_fw_forget(fw);
	regs->fw_state = NIB_FW_OFF;
	regs->fw_error = NIB_FW_OK;
	regs->fw_api = 0;
	memset(regs->fw_version, 0, sizeof(regs->fw_version));
}

/* What happens to a control processor that loses the memory it works in. */
void nib_fw_crash(struct nib_fw *fw, const char *why)
{
	nib_hw_log(fw->hw, 3, "firmware crashed: %s", why);
	nib_fw_forget(fw);
	fw->hw->regs.fw_state = NIB_FW_CRASHED;
}

uint32_t nib_fw_heartbeat(const struct nib_fw *fw, uint64_t host_ns)
{
	if (!nib_fw_alive(fw))
		return 0;
	if (fw->hung)
		return fw->hung_beat;
	return (uint32_t)((host_ns - fw->boot_ns) / 1000 / fw->constants.heartbeat_us + 1);
}

void *nib_fw_ctrl(struct nib_fw *fw, uint64_t offset, uint64_t bytes)
{
	void *p;

	if (!nib_fw_alive(fw))
		return NULL;
	p = nib_hw_dma(fw->hw, fw->ctrl + offset, bytes, true);
	if (!p)
		nib_fw_crash(fw, "its control page is gone");
	return p;
}

void nib_fw_interrupt(struct nib_fw *fw, uint32_t vector)
{
	fw->interrupts |= 1u << vector;
}

void nib_fw_event(struct nib_fw *fw, uint32_t type, uint32_t id, uint32_t value, uint64_t addr)
{
	uint64_t slot = offsetof(struct nib_ctrl, events) +
			fw->event_head % NIB_EVENTS * sizeof(struct nib_event);
	struct nib_event *event = nib_fw_ctrl(fw, slot, sizeof(*event));
	__u32 *head;

	if (!event)
		return;
	/* Readers of the slot's last round must not take half of this one for it. */
	__atomic_exchange_n(&event->seq, 0, __ATOMIC_ACQ_REL);
	event->type = (__u16)type;
	event->zero = 0;
	event->id = id;
	event->value = value;
	event->addr = addr;
	event->time_ns = nib_meter_clock_ns(fw->hw, nib_host_ns());
	fw->event_head++;
	__atomic_store_n(&event->seq, fw->event_head, __ATOMIC_RELEASE);
	head = nib_fw_ctrl(fw, offsetof(struct nib_ctrl, event_head), sizeof(*head));
	if (head)
		__atomic_store_n(head, fw->event_head, __ATOMIC_RELEASE);
	nib_fw_interrupt(fw, 0);
}
