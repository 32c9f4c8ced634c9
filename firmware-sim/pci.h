/* SPDX-License-Identifier: MIT */
/*
 * The PCI function that the device sits behind: configuration space and MSI-X. Knows nothing of
 * sockets; what it cannot do itself (interrupts, resets) it asks of its operations.
 */
#ifndef NIB_PCI_H
#define NIB_PCI_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "nib_device.h"
#include "nib_regs.h"

#define NIB_PCI_CONFIG_BYTES	4096u
#define NIB_PCI_BARS		6u

/**
 * struct nib_pci - a function.
 * @config: configuration space.
 * @writable: which of its bits a write changes.
 * @table: MSI-X table, for clients that do not keep it themselves.
 * @master: it may write to and read from host memory, interrupts included: bus mastering is on, in
 *	D0. Changed only while the device is quiesced.
 * @link_losses: of the device, that this side knows of.
 * @lock: protects what follows, which the executing thread uses to raise interrupts.
 * @event: eventfd by vector, or -1.
 * @masked: bit per vector that its client has masked.
 * @pending: bit per vector that was raised while masked.
 */
struct nib_pci {
	struct nib_device *device;
	uint64_t window_bytes;
	uint8_t config[NIB_PCI_CONFIG_BYTES];
	uint8_t writable[NIB_PCI_CONFIG_BYTES];
	uint8_t table[NIB_MSIX_VECTORS * 16];
	atomic_bool master;
	unsigned int link_losses;
	pthread_mutex_t lock;
	int event[NIB_MSIX_VECTORS];
	uint32_t masked;
	uint32_t pending;
};

void nib_pci_init(struct nib_pci *pci, struct nib_device *device);
void nib_pci_destroy(struct nib_pci *pci);
/* As power-on, interrupts of the client stay wired. Memories keep what they hold. */
void nib_pci_reset(struct nib_pci *pci);
/* The machine was switched off and on, or slept: as above, and memories are lost. */
void nib_pci_power_cycle(struct nib_pci *pci);
/* True while the function may use the bus of its own accord. Any thread. */
bool nib_pci_is_master(const struct nib_pci *pci);

uint64_t nib_pci_bar_bytes(const struct nib_pci *pci, unsigned int bar);

/* Any offset and length within configuration space. */
void nib_pci_config_read(struct nib_pci *pci, uint64_t offset, void *data, size_t bytes);
void nib_pci_config_write(struct nib_pci *pci, uint64_t offset, const void *data, size_t bytes);

/*
 * Any offset and length within BAR0 or BAR2, taken apart into aligned words. In D3hot there is
 * nothing behind any BAR: reads give all ones.
 */
bool nib_pci_is_awake(const struct nib_pci *pci);
/* Awake, and the link is up: else the window of HBM is not there, either. */
bool nib_pci_answers(struct nib_pci *pci);
void nib_pci_bar_read(struct nib_pci *pci, unsigned int bar, uint64_t offset, void *data,
		      size_t bytes);
void nib_pci_bar_write(struct nib_pci *pci, unsigned int bar, uint64_t offset, const void *data,
		       size_t bytes);

/* nib_host_ops.irq, with the function as host. */
void nib_pci_interrupt(struct nib_pci *pci, unsigned int vector);
/* Takes ownership of @fd; -1 unwires. */
void nib_pci_wire(struct nib_pci *pci, unsigned int vector, int fd);
void nib_pci_mask(struct nib_pci *pci, unsigned int vector, bool masked);

#endif
