/* SPDX-License-Identifier: MIT */
/*
 * The device as a library (libnibdev.a): what nib-sim serves over vfio-user and what libaccel's
 * in-process transport drives. Both see exactly what a PCI driver sees: BARs, DMA and interrupts.
 *
 * Threading: nib_device_read/write may be called from one thread while another one is in
 * nib_device_run(); the device locks what they share. The library starts no thread unless the
 * configuration asks for some; those work inside nib_device_run() and sleep outside of it.
 */
#ifndef NIB_DEVICE_H
#define NIB_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nib_device;

/* What a struct nib_trace_event tells of. */
enum nib_trace_kind {
	NIB_TRACE_PACKET = 0,	/* a packet has run */
	NIB_TRACE_WORK = 1,	/* a thread has worked on its part of one */
};

/* What a packet may keep busy. */
enum nib_trace_engine {
	NIB_TRACE_TENSOR = 0,
	NIB_TRACE_VECTOR = 1,
	NIB_TRACE_MEMORY = 2,	/* + enum nib_mem: the path to it */
	NIB_TRACE_ENGINES = 5,
};

/**
 * struct nib_trace_event - what the device did, on its own clock and on the host's.
 * @kind: enum nib_trace_kind. WORK has @op, @thread and the host's times only.
 * @op: enum nib_op.
 * @queue: hardware id.
 * @thread: 0 for the one that calls nib_device_run().
 * @packet: index in its stream.
 * @status: enum nib_done_status.
 * @seqno: of the job.
 * @host_start_ns: CLOCK_MONOTONIC; so is @host_end_ns.
 * @start_ps: modelled clock when the packet started.
 * @time_ps: how long it took, modelled.
 * @engine_ps: of that, how long each engine was busy; they overlap.
 * @read: bytes, by enum nib_mem.
 * @write: bytes, by enum nib_mem.
 * @ops: arithmetic operations.
 * @energy_pj: modelled.
 */
struct nib_trace_event {
	uint32_t kind;
	uint32_t op;
	uint32_t queue;
	uint32_t thread;
	uint32_t packet;
	uint32_t status;
	uint64_t seqno;
	uint64_t host_start_ns;
	uint64_t host_end_ns;
	uint64_t start_ps;
	uint64_t time_ps;
	uint64_t engine_ps[NIB_TRACE_ENGINES];
	uint64_t read[3];
	uint64_t write[3];
	uint64_t ops;
	uint64_t energy_pj;
};

/**
 * struct nib_host_ops - the machine around the device.
 * @dma: host pointer to [addr, addr + bytes) of DMA space, or NULL where that is not mapped,
 *	not contiguous or not writable as asked. The pointer stays good until the mapping is
 *	removed under nib_device_quiesce().
 * @irq: raise MSI-X vector @vector.
 * @kick: work has arrived; wake whoever calls nib_device_run(). May be NULL.
 * @log: one line, no newline; level as in syslog. May be NULL.
 * @trace: an event; from any thread of the device, and not to call back into it. May be NULL, which
 *	costs nothing.
 */
struct nib_host_ops {
	void *(*dma)(void *host, uint64_t addr, size_t bytes, bool write);
	void (*irq)(void *host, unsigned int vector);
	void (*kick)(void *host);
	void (*log)(void *host, int level, const char *line);
	void (*trace)(void *host, const struct nib_trace_event *event);
};

/* Where threads and memory go on a machine with several cores or memory nodes. */
enum nib_pin {
	NIB_PIN_NONE = 0,	/* wherever the system puts them */
	NIB_PIN_AUTO = 1,	/* each thread to a core, if that leaves one; memory to all nodes */
};

/**
 * struct nib_device_config - how to make a device.
 * @chip: path of a chip file, or the name of a built-in chip ("small", "edge", "maia200-class").
 * @kernels: name of a kernel table, or NULL for the best.
 * @threads: that compute at once, the caller of nib_device_run() included; 0 for 1. Results do not
 *	depend on it.
 * @pin: for threads that the device starts, never for the caller's. Within what the caller may
 *	use. Of no effect where the device was built without hwloc.
 * @inject: NIB_REG_INJECT works.
 * @share: HBM is a file that others can map, see nib_device_window(). Else it is this process's own
 *	memory, in huge pages where the system has them.
 * @ops: the machine; copied.
 * @host: first argument of the operations.
 */
struct nib_device_config {
	const char *chip;
	const char *kernels;
	unsigned int threads;
	enum nib_pin pin;
	bool inject;
	bool share;
	struct nib_host_ops ops;
	void *host;
};

/**
 * nib_device_create - make a device, powered on, firmware off.
 * @config: see above.
 * @error: receives one line that names what is wrong, at most @error_bytes with its zero.
 *
 * Returns 0, or -EINVAL (chip file), -ENOENT (no such chip), -ENOMEM.
 */
int nib_device_create(const struct nib_device_config *config, char *error, size_t error_bytes,
		      struct nib_device **device);
void nib_device_destroy(struct nib_device *device);

/*
 * BAR access, as the bus does it: bar is NIB_BAR_REGS or NIB_BAR_DOORBELLS; bytes 4 or 8, aligned.
 * Anything else reads as all ones and is ignored when written.
 */
uint64_t nib_device_read(struct nib_device *device, unsigned int bar, uint64_t offset,
			 unsigned int bytes);
void nib_device_write(struct nib_device *device, unsigned int bar, uint64_t offset,
		      unsigned int bytes, uint64_t value);

/**
 * nib_device_window - the memory behind NIB_BAR_HBM.
 * @fd: receives its file descriptor, owned by the device; -1 unless it was made to share. May be NULL.
 * @bytes: receives its length. May be NULL.
 */
void *nib_device_window(struct nib_device *device, int *fd, uint64_t *bytes);

/**
 * nib_device_run - execute up to @packets packets of what is queued.
 *
 * Returns how many ran; 0 means that there is nothing to do until the next kick.
 */
unsigned int nib_device_run(struct nib_device *device, unsigned int packets);

/*
 * True while a queue waits at a semaphore, which memory may open without a kick: then run again
 * soon, not only at the next kick.
 */
bool nib_device_blocked(struct nib_device *device);

/* Function-level reset, from configuration space. */
void nib_device_reset(struct nib_device *device);

/*
 * D0 or D3hot, from configuration space. In D3hot the control processor is off: firmware that was
 * not halted before is lost, with its queues. HBM and SRAM refresh themselves and keep what they
 * hold; counters go on. The host must not pass on BAR accesses.
 */
void nib_device_set_power(struct nib_device *device, bool on);

/* Power is lost and comes back (D3cold, a sleeping machine): a reset that memories do not survive. */
void nib_device_power_cycle(struct nib_device *device);

/*
 * Between quiesce and resume no packet executes and the device holds no pointer into host memory:
 * the moment to change DMA mappings.
 */
void nib_device_quiesce(struct nib_device *device);
void nib_device_resume(struct nib_device *device);

/* Built-in firmware image (an embedded copy of nib_fw.bin) for hosts without a file system. */
const void *nib_device_builtin_firmware(size_t *bytes);

#endif
