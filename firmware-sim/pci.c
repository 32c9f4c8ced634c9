// SPDX-License-Identifier: MIT
/*
 * Configuration space, power states, BAR words and MSI-X of the function. Register numbers are those
 * of the PCI specification as <linux/pci_regs.h> spells them.
 */
#include <linux/pci_regs.h>
#include <string.h>
#include <unistd.h>
#include "nib_fault.h"
#include "pci.h"

#define CAP_PM		0x40u
#define CAP_MSIX	0x50u
#define CAP_EXP		0x60u
#define EXP_BYTES	0x3cu

static void put(struct nib_pci *pci, unsigned int offset, uint64_t value, unsigned int bytes)
{
	memcpy(pci->config + offset, &value, bytes);
}

static void writable(struct nib_pci *pci, unsigned int offset, uint64_t mask, unsigned int bytes)
{
	memcpy(pci->writable + offset, &mask, bytes);
}

uint64_t nib_pci_bar_bytes(const struct nib_pci *pci, unsigned int bar)
{
	switch (bar) {
	case NIB_BAR_REGS:
		return NIB_BAR_REGS_BYTES;
	case NIB_BAR_DOORBELLS:
		return NIB_BAR_DOORBELL_BYTES;
	case NIB_BAR_HBM:
		return pci->window_bytes;
	default:
		return 0;
	}
}

static void header_init(struct nib_pci *pci)
{
	put(pci, PCI_VENDOR_ID, NIB_PCI_VENDOR_ID, 2);
	put(pci, PCI_DEVICE_ID, NIB_PCI_DEVICE_ID, 2);
	put(pci, PCI_SUBSYSTEM_VENDOR_ID, NIB_PCI_VENDOR_ID, 2);
	put(pci, PCI_SUBSYSTEM_ID, NIB_PCI_DEVICE_ID, 2);
	put(pci, PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	put(pci, PCI_CLASS_REVISION, NIB_PCI_CLASS << 8 | NIB_HW_MAJOR, 4);
	put(pci, PCI_CAPABILITY_LIST, CAP_PM, 1);
	writable(pci, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SERR |
		 PCI_COMMAND_PARITY | PCI_COMMAND_INTX_DISABLE, 2);
	writable(pci, PCI_CACHE_LINE_SIZE, 0xff, 1);
	writable(pci, PCI_INTERRUPT_LINE, 0xff, 1);
	for (unsigned int bar = 0; bar < NIB_PCI_BARS; bar += 2) {
		uint32_t type = PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_64;

		if (bar == NIB_BAR_HBM)
			type |= PCI_BASE_ADDRESS_MEM_PREFETCH;
		put(pci, PCI_BASE_ADDRESS_0 + bar * 4, type, 4);
		/* Bits below the size stay 0: that is how a driver learns it. */
		writable(pci, PCI_BASE_ADDRESS_0 + bar * 4, ~(nib_pci_bar_bytes(pci, bar) - 1), 8);
	}
}

static void capabilities_init(struct nib_pci *pci)
{
	put(pci, CAP_PM + PCI_CAP_LIST_ID, PCI_CAP_ID_PM, 1);
	put(pci, CAP_PM + PCI_CAP_LIST_NEXT, CAP_MSIX, 1);
	put(pci, CAP_PM + PCI_PM_PMC, 3, 2);
	put(pci, CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET, 2);
	writable(pci, CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK, 2);

	put(pci, CAP_MSIX + PCI_CAP_LIST_ID, PCI_CAP_ID_MSIX, 1);
	put(pci, CAP_MSIX + PCI_CAP_LIST_NEXT, CAP_EXP, 1);
	put(pci, CAP_MSIX + PCI_MSIX_FLAGS, NIB_MSIX_VECTORS - 1, 2);
	put(pci, CAP_MSIX + PCI_MSIX_TABLE, NIB_MSIX_TABLE_OFFSET | NIB_BAR_REGS, 4);
	put(pci, CAP_MSIX + PCI_MSIX_PBA, NIB_MSIX_PBA_OFFSET | NIB_BAR_REGS, 4);
	writable(pci, CAP_MSIX + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL,
		 2);

	put(pci, CAP_EXP + PCI_CAP_LIST_ID, PCI_CAP_ID_EXP, 1);
	put(pci, CAP_EXP + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ENDPOINT << 4, 2);
	put(pci, CAP_EXP + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR | PCI_EXP_DEVCAP_RBER |
	    PCI_EXP_DEVCAP_EXT_TAG, 4);
	put(pci, CAP_EXP + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_RELAX_EN, 2);
	put(pci, CAP_EXP + PCI_EXP_LNKCAP, PCI_EXP_LNKCAP_SLS_8_0GB | 16 << 4, 4);
	put(pci, CAP_EXP + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_CLS_8_0GB | 16 << 4, 2);
	writable(pci, CAP_EXP + PCI_EXP_DEVCTL, 0xffff & ~PCI_EXP_DEVCTL_BCR_FLR, 2);
	writable(pci, CAP_EXP + PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_RCB |
		 PCI_EXP_LNKCTL_CCC, 2);
	writable(pci, CAP_EXP + PCI_EXP_DEVCTL2, PCI_EXP_DEVCTL2_COMP_TMOUT_DIS | 0xf, 2);
}

static void config_init(struct nib_pci *pci)
{
	memset(pci->config, 0, sizeof(pci->config));
	memset(pci->writable, 0, sizeof(pci->writable));
	memset(pci->table, 0, sizeof(pci->table));
	/* Vectors come up masked. */
	for (unsigned int i = 0; i < NIB_MSIX_VECTORS; i++)
		pci->table[i * 16 + PCI_MSIX_ENTRY_VECTOR_CTRL] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	header_init(pci);
	capabilities_init(pci);
}

void nib_pci_init(struct nib_pci *pci, struct nib_device *device)
{
	memset(pci, 0, sizeof(*pci));
	pci->device = device;
	nib_device_window(device, NULL, &pci->window_bytes);
	pthread_mutex_init(&pci->lock, NULL);
	for (unsigned int i = 0; i < NIB_MSIX_VECTORS; i++)
		pci->event[i] = -1;
	config_init(pci);
}

static unsigned int power_state(const struct nib_pci *pci)
{
	return pci->config[CAP_PM + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK;
}

bool nib_pci_is_awake(const struct nib_pci *pci)
{
	return power_state(pci) == 0;
}

bool nib_pci_is_master(const struct nib_pci *pci)
{
	return atomic_load(&pci->master);
}

/* Takes over what configuration space says; whoever was told yes has finished when it returns. */
static void nib_pci_update_master(struct nib_pci *pci)
{
	bool master = (pci->config[PCI_COMMAND] & PCI_COMMAND_MASTER) && nib_pci_is_awake(pci);

	if (master == nib_pci_is_master(pci))
		return;
	nib_device_quiesce(pci->device);
	atomic_store(&pci->master, master);
	nib_device_resume(pci->device);
}

void nib_pci_destroy(struct nib_pci *pci)
{
	for (unsigned int i = 0; i < NIB_MSIX_VECTORS; i++)
		nib_pci_wire(pci, i, -1);
	pthread_mutex_destroy(&pci->lock);
}

/* What its configuration was is forgotten. */
static void state_reset(struct nib_pci *pci)
{
	bool slept = !nib_pci_is_awake(pci);

	config_init(pci);
	nib_pci_update_master(pci);
	pthread_mutex_lock(&pci->lock);
	pci->pending = 0;
	pthread_mutex_unlock(&pci->lock);
	if (slept)
		nib_device_set_power(pci->device, true);
}

void nib_pci_reset(struct nib_pci *pci)
{
	state_reset(pci);
	nib_device_reset(pci->device);
}

void nib_pci_power_cycle(struct nib_pci *pci)
{
	state_reset(pci);
	nib_device_power_cycle(pci->device);
}

/* Whether anything gets through. A link that was lost has reset the function. */
static bool link_up(struct nib_pci *pci)
{
	bool up;
	unsigned int losses = nib_device_link_losses(pci->device, &up);

	if (losses != pci->link_losses) {
		pci->link_losses = losses;
		state_reset(pci);
	}
	return up;
}

bool nib_pci_answers(struct nib_pci *pci)
{
	return link_up(pci) && nib_pci_is_awake(pci);
}

/* --- Configuration space --- */

void nib_pci_config_read(struct nib_pci *pci, uint64_t offset, void *data, size_t bytes)
{
	if (!link_up(pci))
		memset(data, 0xff, bytes);
	else
		memcpy(data, pci->config + offset, bytes);
}

/* Only D0 and D3hot are there; a write of another state changes nothing. */
static void update_power(struct nib_pci *pci, unsigned int before)
{
	unsigned int now = power_state(pci);

	if (now == before)
		return;
	if (now && now != 3) {
		pci->config[CAP_PM + PCI_PM_CTRL] &= (uint8_t)~PCI_PM_CTRL_STATE_MASK;
		pci->config[CAP_PM + PCI_PM_CTRL] |= (uint8_t)before;
		return;
	}
	nib_device_set_power(pci->device, !now);
}

void nib_pci_config_write(struct nib_pci *pci, uint64_t offset, const void *data, size_t bytes)
{
	/* A function-level reset keeps nothing of what the driver had set up. */
	const unsigned int flr = CAP_EXP + PCI_EXP_DEVCTL + 1;
	unsigned int power = power_state(pci);
	const uint8_t *from = data;
	bool reset = false;

	if (!link_up(pci))
		return;
	for (size_t i = 0; i < bytes; i++) {
		uint8_t mask = pci->writable[offset + i];

		if (offset + i == flr && (from[i] & PCI_EXP_DEVCTL_BCR_FLR >> 8))
			reset = true;
		pci->config[offset + i] = (uint8_t)((pci->config[offset + i] & ~mask) |
						    (from[i] & mask));
	}
	update_power(pci, power);
	nib_pci_update_master(pci);
	if (reset)
		nib_pci_reset(pci);
}

/* --- BARs --- */

/* The largest aligned word of at most @left bytes at @offset. */
static unsigned int word_bytes(uint64_t offset, size_t left)
{
	unsigned int bytes = 8;

	while (bytes > left || offset % bytes)
		bytes /= 2;
	return bytes;
}

/* MSI-X structures, byte by byte. */
static void msix_read(struct nib_pci *pci, uint64_t offset, uint8_t *data, size_t bytes)
{
	uint32_t pending;

	pthread_mutex_lock(&pci->lock);
	pending = pci->pending;
	pthread_mutex_unlock(&pci->lock);
	for (size_t i = 0; i < bytes; i++) {
		uint64_t at = offset + i;

		data[i] = 0;
		if (at < NIB_MSIX_TABLE_OFFSET + sizeof(pci->table))
			data[i] = pci->table[at - NIB_MSIX_TABLE_OFFSET];
		else if (at >= NIB_MSIX_PBA_OFFSET && at < NIB_MSIX_PBA_OFFSET + 4)
			data[i] = (uint8_t)(pending >> ((at - NIB_MSIX_PBA_OFFSET) * 8));
	}
}

static void msix_write(struct nib_pci *pci, uint64_t offset, const uint8_t *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (offset + i < NIB_MSIX_TABLE_OFFSET + sizeof(pci->table))
			pci->table[offset + i - NIB_MSIX_TABLE_OFFSET] = data[i];
}

static bool is_msix(unsigned int bar, uint64_t offset)
{
	return bar == NIB_BAR_REGS && offset >= NIB_MSIX_TABLE_OFFSET;
}

void nib_pci_bar_read(struct nib_pci *pci, unsigned int bar, uint64_t offset, void *data,
		      size_t bytes)
{
	uint8_t *to = data;
	unsigned int n;
	uint64_t value;

	if (!nib_pci_answers(pci)) {
		memset(data, 0xff, bytes);
		return;
	}
	for (; bytes; offset += n, to += n, bytes -= n) {
		n = word_bytes(offset, bytes);
		if (is_msix(bar, offset)) {
			msix_read(pci, offset, to, n);
		} else {
			value = nib_device_read(pci->device, bar, offset, n);
			memcpy(to, &value, n);
		}
	}
}

void nib_pci_bar_write(struct nib_pci *pci, unsigned int bar, uint64_t offset, const void *data,
		       size_t bytes)
{
	const uint8_t *from = data;
	unsigned int n;
	uint64_t value;

	if (!nib_pci_answers(pci))
		return;
	for (; bytes; offset += n, from += n, bytes -= n) {
		n = word_bytes(offset, bytes);
		if (is_msix(bar, offset)) {
			msix_write(pci, offset, from, n);
		} else {
			value = 0;
			memcpy(&value, from, n);
			nib_device_write(pci->device, bar, offset, n, value);
		}
	}
}

/* --- Interrupts --- */

/* With the lock held. */
static void signal_event(const struct nib_pci *pci, unsigned int vector)
{
	const uint64_t one = 1;
	ssize_t ignored = 0;

	/* Fails only where the counter is full: then the client has been told often enough. */
	if (pci->event[vector] >= 0)
		ignored = write(pci->event[vector], &one, sizeof(one));
	(void)ignored;
}

void nib_pci_interrupt(struct nib_pci *pci, unsigned int vector)
{
	if (vector >= NIB_MSIX_VECTORS)
		return;
	pthread_mutex_lock(&pci->lock);
	if (pci->masked >> vector & 1)
		pci->pending |= 1u << vector;
	else
		signal_event(pci, vector);
	pthread_mutex_unlock(&pci->lock);
}

void nib_pci_wire(struct nib_pci *pci, unsigned int vector, int fd)
{
	int old;

	pthread_mutex_lock(&pci->lock);
	old = pci->event[vector];
	pci->event[vector] = fd;
	pthread_mutex_unlock(&pci->lock);
	if (old >= 0)
		close(old);
}

void nib_pci_mask(struct nib_pci *pci, unsigned int vector, bool masked)
{
	pthread_mutex_lock(&pci->lock);
	if (masked) {
		pci->masked |= 1u << vector;
	} else {
		pci->masked &= ~(1u << vector);
		if (pci->pending >> vector & 1)
			signal_event(pci, vector);
		pci->pending &= ~(1u << vector);
	}
	pthread_mutex_unlock(&pci->lock);
}
