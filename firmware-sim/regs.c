// SPDX-License-Identifier: MIT
/*
 * BAR0 and BAR2: which register is where, and what a write sets off. The layout is nib_regs.h's.
 * MSI-X tables, in the upper half of BAR0, are the PCI function's (pci.c), not the device's.
 */
#include <string.h>
#include "device.h"

/* A 32-bit word of a zero-padded string of 32 bytes. */
static uint32_t string_word(const char *string, uint64_t offset)
{
	uint32_t word;

	memcpy(&word, string + offset, sizeof(word));
	return word;
}

/* Registers of 32 bits; 0 for those that do not exist or are only written. */
static uint32_t read_word(struct nib_device *device, uint64_t offset)
{
	const struct nib_chip *chip = &device->hw.chip;
	const struct nib_regs *regs = &device->hw.regs;

	if (offset >= NIB_REG_CHIP_NAME && offset < NIB_REG_CHIP_NAME + sizeof(chip->name))
		return string_word(chip->name, offset - NIB_REG_CHIP_NAME);
	if (offset >= NIB_REG_FW_VERSION && offset < NIB_REG_FW_VERSION + sizeof(regs->fw_version))
		return string_word(regs->fw_version, offset - NIB_REG_FW_VERSION);
	switch (offset) {
	case NIB_REG_MAGIC:
		return NIB_MAGIC;
	case NIB_REG_HW_VERSION:
		return NIB_HW_MAJOR << 16 | NIB_HW_MINOR;
	case NIB_REG_CHIP:
		return nib_chip_hash(chip);
	case NIB_REG_NUM_CONTEXTS:
		return chip->contexts;
	case NIB_REG_NUM_QUEUES:
		return chip->queues;
	case NIB_REG_NUM_STREAMS:
		return chip->streams;
	case NIB_REG_FW_BYTES:
		return regs->fw_bytes;
	case NIB_REG_FW_STATE:
		return regs->fw_state;
	case NIB_REG_FW_ERROR:
		return regs->fw_error;
	case NIB_REG_FW_API:
		return regs->fw_api;
	case NIB_REG_FW_HEARTBEAT:
		return nib_fw_heartbeat(&device->fw, nib_host_ns());
	case NIB_REG_RESET_COUNT:
		return regs->reset_count;
	case NIB_REG_PROGRESS:
		return atomic_load_explicit(&device->hw.progress, memory_order_relaxed);
	case NIB_REG_INJECT:
		return device->hw.trouble.enabled;
	case NIB_REG_POWER_MW:
		return nib_meter_power_mw(&device->hw, nib_host_ns());
	case NIB_REG_TEMP_MC:
		return nib_meter_temp_mc(&device->hw, nib_host_ns());
	default:
		return 0;
	}
}

/* Registers of 64 bits, by the offset of their low word. */
static bool read_pair(struct nib_device *device, uint64_t offset, uint64_t *value)
{
	const struct nib_chip *chip = &device->hw.chip;

	switch (offset) {
	case NIB_REG_HBM_BYTES:
		*value = chip->mem[NIB_MEM_HBM].bytes;
		return true;
	case NIB_REG_WINDOW_BYTES:
		*value = chip->window_bytes;
		return true;
	case NIB_REG_SRAM_BYTES:
		*value = chip->mem[NIB_MEM_SRAM].bytes;
		return true;
	case NIB_REG_FW_ADDR:
		*value = device->hw.regs.fw_addr;
		return true;
	case NIB_REG_CTRL_ADDR:
		*value = device->hw.regs.ctrl_addr;
		return true;
	case NIB_REG_INJECT_ADDR:
		*value = device->hw.trouble.address;
		return true;
	case NIB_REG_CLOCK_NS:
		*value = nib_meter_clock_ns(&device->hw, nib_host_ns());
		return true;
	case NIB_REG_BUSY_NS:
		*value = device->hw.meter.busy_ps / 1000;
		return true;
	case NIB_REG_ENERGY_UJ:
		*value = nib_meter_energy_uj(&device->hw, nib_host_ns());
		return true;
	default:
		return false;
	}
}

uint64_t nib_regs_read(struct nib_device *device, uint64_t offset, unsigned int bytes)
{
	uint64_t value;

	if (offset >= NIB_MSIX_TABLE_OFFSET)
		return 0;
	if (read_pair(device, offset, &value)) {
		if (bytes == 8)
			return value;
		/* Counters move on between the two halves: the low one keeps the high one. */
		device->latch_offset = offset + 4;
		device->latch_value = (uint32_t)(value >> 32);
		return (uint32_t)value;
	}
	if (bytes == 8)
		return read_word(device, offset) | (uint64_t)read_word(device, offset + 4) << 32;
	if (offset >= 4 && read_pair(device, offset - 4, &value))
		return device->latch_offset == offset ? device->latch_value :
		       (uint32_t)(value >> 32);
	return read_word(device, offset);
}

/* --- Writes --- */

static void write_half(uint64_t *reg, unsigned int half, uint32_t value)
{
	*reg = half ? (*reg & 0xffffffffull) | (uint64_t)value << 32 :
		      (*reg & ~0xffffffffull) | value;
}

static void write_fw_command(struct nib_device *device, uint32_t command)
{
	bool alive = nib_fw_alive(&device->fw);

	if (command == NIB_FW_SUSPEND && alive) {
		/* Nobody is there to do it. */
		if (!nib_fw_works(&device->fw))
			return;
		if (device->busy)
			device->suspending = true;
		else
			nib_fw_halt(&device->fw);
		return;
	}
	/* Nothing may be disturbed by a command that will be refused. */
	if ((command != NIB_FW_BOOT || alive) && command != NIB_FW_HALT) {
		device->hw.regs.fw_error = NIB_FW_ERR_STATE;
		return;
	}
	if (nib_fw_hung(&device->fw, NIB_HANG_FIRMWARE) ||
	    !nib_device_stop(device, NIB_HANG_FIRMWARE)) {
		device->hw.regs.fw_error = NIB_FW_ERR_STATE;
		return;
	}
	if (command == NIB_FW_BOOT) {
		nib_mmu_invalidate(&device->hw.mmu, ~0u);
		nib_fw_boot(&device->fw);
	} else {
		nib_fw_halt(&device->fw);
	}
	nib_device_release(device);
}

void nib_device_admin(struct nib_device *device)
{
	/* A message may end a queue whose packet executes. Where that hangs, messages wait. */
	while (nib_fw_admin_due(&device->fw)) {
		bool stop = nib_fw_admin_stops(&device->fw), more;

		if (stop && !nib_device_stop(device, NIB_HANG_QUEUE))
			return;
		more = nib_fw_admin_step(&device->fw);
		if (stop)
			nib_device_release(device);
		if (!more)
			return;
	}
}

static void write_reset(struct nib_device *device, uint32_t reset)
{
	if (reset != NIB_RESET_ENGINE && reset != NIB_RESET_FUNCTION)
		return;
	if (!nib_device_stop(device, reset == NIB_RESET_FUNCTION ? NIB_HANG_FUNCTION :
			     NIB_HANG_ENGINE))
		return;
	if (reset == NIB_RESET_FUNCTION) {
		nib_device_function_reset(device);
		nib_hw_memories_lose(&device->hw);
	} else {
		device->hw.regs.reset_count++;
		if (nib_fw_alive(&device->fw))
			nib_fw_engine_reset(&device->fw);
	}
	nib_device_release(device);
	/* Messages may have waited for the engine. */
	nib_device_admin(device);
}

/* Whatever cannot be ordered is not. */
static void write_inject(struct nib_device *device, uint32_t value)
{
	struct nib_trouble *trouble = &device->hw.trouble;
	uint32_t parameter = value >> 8;
	struct nib_fault_order order;

	switch (trouble->enabled ? value & 0xff : 0) {
	case NIB_INJECT_CRASH:
		order = nib_fault_order(NIB_FAULT_FIRMWARE_CRASH);
		break;
	case NIB_INJECT_HANG:
		order = nib_fault_order(NIB_FAULT_STUCK_PACKET);
		order.value = parameter;
		break;
	case NIB_INJECT_ECC:
		order = nib_fault_order(parameter ? NIB_FAULT_ECC_FATAL : NIB_FAULT_ECC_CORRECTED);
		order.address = trouble->address;
		break;
	case NIB_INJECT_BOOT:
		order = nib_fault_order(NIB_FAULT_FIRMWARE_REFUSED);
		order.count = parameter;
		break;
	default:
		return;
	}
	order.until_reset = order.fault != NIB_FAULT_FIRMWARE_REFUSED;
	nib_device_inject_locked(device, &order);
}

static void write_invalidate(struct nib_device *device, uint32_t context)
{
	if (context != ~0u && context >= device->hw.chip.contexts)
		return;
	/* Only a packet of the same context can use what goes away. */
	if (device->busy && (context == ~0u || context == device->command.context)) {
		nib_device_hold(device);
		nib_mmu_invalidate(&device->hw.mmu, context);
		nib_device_release(device);
	} else {
		nib_mmu_invalidate(&device->hw.mmu, context);
	}
}

static void write_word(struct nib_device *device, uint64_t offset, uint32_t value)
{
	struct nib_regs *regs = &device->hw.regs;

	switch (offset) {
	case NIB_REG_FW_ADDR:
	case NIB_REG_FW_ADDR + 4:
		write_half(&regs->fw_addr, offset != NIB_REG_FW_ADDR, value);
		break;
	case NIB_REG_FW_BYTES:
		regs->fw_bytes = value;
		break;
	case NIB_REG_FW_COMMAND:
		write_fw_command(device, value);
		break;
	case NIB_REG_CTRL_ADDR:
	case NIB_REG_CTRL_ADDR + 4:
		write_half(&regs->ctrl_addr, offset != NIB_REG_CTRL_ADDR, value);
		break;
	case NIB_REG_TLB_INVALIDATE:
		write_invalidate(device, value);
		break;
	case NIB_REG_RESET:
		write_reset(device, value);
		break;
	case NIB_REG_INJECT:
		write_inject(device, value);
		break;
	case NIB_REG_INJECT_ADDR:
	case NIB_REG_INJECT_ADDR + 4:
		write_half(&device->hw.trouble.address, offset != NIB_REG_INJECT_ADDR, value);
		break;
	default:
		break;
	}
}

void nib_regs_write(struct nib_device *device, uint64_t offset, unsigned int bytes,
		    uint64_t value)
{
	/* Commands are 32 bits wide: the upper half must not set off the neighbour. */
	write_word(device, offset, (uint32_t)value);
	if (bytes == 8 && (offset == NIB_REG_FW_ADDR || offset == NIB_REG_CTRL_ADDR ||
			   offset == NIB_REG_INJECT_ADDR))
		write_word(device, offset + 4, (uint32_t)(value >> 32));
}

void nib_doorbell_write(struct nib_device *device, uint64_t offset, uint64_t value)
{
	uint64_t page = offset / NIB_DOORBELL_STRIDE;

	if (offset == NIB_DOORBELL_ADMIN) {
		if (nib_trouble_strikes(&device->hw.trouble, NIB_FAULT_DEAD_ADMIN_DOORBELL,
					NIB_FAULT_ANY, NULL))
			return;
		nib_fw_admin_ring(&device->fw, (uint32_t)value);
		nib_device_admin(device);
	} else if (offset == NIB_DOORBELL_PING) {
		nib_fw_ping(&device->fw, (uint32_t)value);
	} else if (page > 0 && page - 1 < device->hw.chip.queues &&
		   offset % NIB_DOORBELL_STRIDE == 0) {
		if (nib_trouble_strikes(&device->hw.trouble, NIB_FAULT_DEAD_DOORBELL,
					(uint32_t)(page - 1), NULL))
			return;
		nib_fw_queue_ring(&device->fw, (uint32_t)(page - 1), (uint32_t)value);
	}
}
