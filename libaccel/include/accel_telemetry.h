/* SPDX-License-Identifier: MIT */
/*
 * libaccel-telemetry: what accelerators do, who uses them, what goes wrong.
 *
 * For monitors, not for those who compute: a library of its own, which needs no device node. What
 * concerns a device comes from the driver's netlink family and from hwmon, what concerns its users
 * from /proc. Everyone sees devices and their own processes; other users' processes, events, and
 * changing anything are for root (CAP_NET_ADMIN, CAP_SYS_PTRACE).
 *
 * Manners are those of accel.h: 0 (or a count) or -errno, outputs last, struct_size first in structs
 * that grow. A handle may be used by one thread at a time. Time and energy are the device's: of a
 * device model they are modelled.
 */
#ifndef ACCEL_TELEMETRY_H
#define ACCEL_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct accel_telemetry;

/**
 * accel_telemetry_open - get ready.
 *
 * Works without a driver too: then there are no devices. In a network namespace that is not the
 * initial one the driver's family is not to be seen; what sysfs knows remains.
 *
 * Returns 0; -ENOMEM, -EMFILE.
 */
int accel_telemetry_open(struct accel_telemetry **telemetry);
void accel_telemetry_close(struct accel_telemetry *telemetry);

enum accel_telemetry_state {
	ACCEL_TELEMETRY_READY = 0,
	ACCEL_TELEMETRY_SUSPENDED = 1,	/* sleeps; usage is that of when it was last awake */
	ACCEL_TELEMETRY_LOST = 2,	/* given up by the driver */
};

/**
 * struct accel_telemetry_device - a device.
 * @struct_size: sizeof(struct accel_telemetry_device).
 * @id: N of /dev/accel/accelN.
 * @state: enum accel_telemetry_state.
 * @hbm_bytes: size of HBM, 0 if not known.
 * @sram_bytes: size of SRAM, 0 if not known.
 * @pci_address: as in /sys/bus/pci/devices.
 * @chip: name, or "".
 * @firmware: version, or "".
 */
struct accel_telemetry_device {
	size_t struct_size;
	uint32_t id;
	uint32_t state;
	uint64_t hbm_bytes;
	uint64_t sram_bytes;
	char pci_address[16];
	char chip[36];
	char firmware[36];
};

/**
 * accel_telemetry_device_list - devices of driver nib.
 * @devices: receives up to @max of them, by id; the struct_size of the first holds for all.
 *
 * Returns how many there are, or -errno.
 */
int accel_telemetry_device_list(struct accel_telemetry *telemetry,
				struct accel_telemetry_device *devices, unsigned int max);

#define ACCEL_TELEMETRY_HAS_CLOCK	(1u << 0)	/* clock_ns, busy_ns, hbm_free, sram_free */
#define ACCEL_TELEMETRY_HAS_SENSORS	(1u << 1)	/* energy, power, temperature */

/**
 * struct accel_telemetry_usage - what a device uses.
 * @struct_size: sizeof(struct accel_telemetry_usage).
 * @state: enum accel_telemetry_state.
 * @known: ACCEL_TELEMETRY_HAS_*; what is not known is 0.
 * @clock_ns: device time; does not go back, like the next two.
 * @busy_ns: of it, with work.
 * @energy_uj: energy.
 * @hbm_free: bytes not allocated.
 * @sram_free: bytes not allocated.
 * @power_mw: mean power of a short while.
 * @temperature_mc: millidegrees Celsius.
 */
struct accel_telemetry_usage {
	size_t struct_size;
	uint32_t state;
	uint32_t known;
	uint64_t clock_ns;
	uint64_t busy_ns;
	uint64_t energy_uj;
	uint64_t hbm_free;
	uint64_t sram_free;
	uint32_t power_mw;
	int32_t temperature_mc;
};

/* Returns 0; -ENODEV (no such device, or no longer). */
int accel_telemetry_usage_get(struct accel_telemetry *telemetry, uint32_t device,
			      struct accel_telemetry_usage *usage);

/**
 * struct accel_telemetry_counter - something that is counted.
 * @id: enum nib_counter of uapi/nib_netlink.h.
 * @zero: 0.
 * @value: since the driver was bound, or since it was cleared.
 * @name: its name there.
 */
struct accel_telemetry_counter {
	uint32_t id;
	uint32_t zero;
	uint64_t value;
	char name[32];
};

/**
 * accel_telemetry_counter_list - what went wrong, and the like.
 * @counters: receives up to @max counters.
 *
 * Returns how many there are; -ENODEV; -EOPNOTSUPP where the driver's family is not to be seen.
 */
int accel_telemetry_counter_list(struct accel_telemetry *telemetry, uint32_t device,
				 struct accel_telemetry_counter *counters, unsigned int max);

/**
 * accel_telemetry_counter_clear - set a counter to 0.
 * @was: what it was; may be NULL.
 *
 * Returns 0; -EPERM, -ENODEV, -ERANGE (no such counter), -EOPNOTSUPP.
 */
int accel_telemetry_counter_clear(struct accel_telemetry *telemetry, uint32_t device,
				  uint32_t counter, uint64_t *was);

enum accel_telemetry_sensor {
	ACCEL_TELEMETRY_TEMPERATURE = 0,	/* millidegrees Celsius */
	ACCEL_TELEMETRY_POWER = 1,		/* milliwatts, by the device's clock */
	ACCEL_TELEMETRY_ENERGY_RATE = 2,	/* milliwatts, by the host's clock */
};

/**
 * accel_telemetry_threshold_get - a limit, and whether it is exceeded.
 * @limit: 0 for none.
 *
 * Returns 0; -ENODEV, -ERANGE, -EOPNOTSUPP.
 */
int accel_telemetry_threshold_get(struct accel_telemetry *telemetry, uint32_t device,
				  enum accel_telemetry_sensor sensor, uint32_t *limit, bool *above);

/**
 * accel_telemetry_threshold_set - have an event sent when a sensor rises above a limit, and when it
 * falls below it again. There is one limit for each sensor, whoever sets it.
 * @limit: at most INT32_MAX; 0 for none.
 *
 * Returns 0; -EPERM, -ENODEV, -ERANGE, -EOPNOTSUPP.
 */
int accel_telemetry_threshold_set(struct accel_telemetry *telemetry, uint32_t device,
				  enum accel_telemetry_sensor sensor, uint32_t limit);

/**
 * struct accel_telemetry_event - something that happened.
 * @struct_size: sizeof(struct accel_telemetry_event).
 * @device: which device.
 * @kind: enum nib_event_kind of uapi/nib_netlink.h.
 * @seq: number of the event, for each device; a gap shows that some were missed.
 * @time_ns: CLOCK_MONOTONIC.
 * @queue: the device's number of a queue, or UINT32_MAX.
 * @code: fault: enum nib_done_status; reset: enum nib_rung; ecc: 1 if it was not corrected;
 *	threshold: enum accel_telemetry_sensor.
 * @address: fault: virtual address; ecc: offset in HBM.
 * @limit: threshold.
 * @value: threshold: what the sensor measured.
 * @above: threshold: whether it rose above it.
 * @wanted: sram-pressure: bytes.
 * @free: sram-pressure: bytes.
 * @count: lost: how many events the driver could not send.
 */
struct accel_telemetry_event {
	size_t struct_size;
	uint32_t device;
	uint32_t kind;
	uint64_t seq;
	uint64_t time_ns;
	uint32_t queue;
	uint32_t code;
	uint64_t address;
	uint32_t limit;
	uint32_t value;
	uint32_t above;
	uint32_t zero;
	uint64_t wanted;
	uint64_t free;
	uint64_t count;
};

/**
 * accel_telemetry_event_listen - have events from now on.
 *
 * Returns 0; -EPERM, -EOPNOTSUPP.
 */
int accel_telemetry_event_listen(struct accel_telemetry *telemetry);
/* What to poll() for POLLIN; -EINVAL before accel_telemetry_event_listen(). */
int accel_telemetry_event_fd(const struct accel_telemetry *telemetry);

/**
 * accel_telemetry_event_next - the next event. Does not wait.
 *
 * Returns 1; 0 (none now); -ENOBUFS (the reader was too slow and missed some: go on), -EINVAL
 * (nobody listens).
 */
int accel_telemetry_event_next(struct accel_telemetry *telemetry,
			       struct accel_telemetry_event *event);

/* Memory of one kind that a client holds, in bytes. */
struct accel_telemetry_memory {
	uint64_t total;		/* wherever it is now */
	uint64_t resident;	/* of it, there */
	uint64_t shared;	/* of it, with other clients */
	uint64_t purgeable;	/* of it, not needed */
};

/**
 * struct accel_telemetry_client - an open device file, and what was done through it.
 * @struct_size: sizeof(struct accel_telemetry_client).
 * @client_id: of the DRM core; one a file, however many processes hold it.
 * @pid: process with the lowest number that holds it.
 * @uid: its user.
 * @pci_address: device.
 * @command: name of the process.
 * @name: what the client calls itself, or "".
 * @busy_ns: device time; and so on: see uapi, drm-usage-stats.rst and kmod/fdinfo.c.
 * @cycles: device cycles.
 * @jobs: completed.
 * @energy_uj: energy.
 * @hbm: memory; and so on.
 * @evicted_bytes: moved from HBM to host memory.
 * @restored_bytes: moved back.
 * @lease_hits: jobs that found their SRAM lease in SRAM.
 * @lease_misses: jobs that did not.
 * @spilled_bytes: moved from SRAM to HBM.
 * @unspilled_bytes: moved back.
 * @tokens: that the language models of the process have put through; see accel_llm.h. Only where
 *	the process may be looked into, else 0.
 */
struct accel_telemetry_client {
	size_t struct_size;
	uint64_t client_id;
	uint32_t pid;
	uint32_t uid;
	char pci_address[16];
	char command[32];
	char name[64];
	uint64_t busy_ns;
	uint64_t cycles;
	uint64_t jobs;
	uint64_t energy_uj;
	struct accel_telemetry_memory hbm;
	struct accel_telemetry_memory sram;
	struct accel_telemetry_memory host;
	uint64_t evicted_bytes;
	uint64_t restored_bytes;
	uint64_t lease_hits;
	uint64_t lease_misses;
	uint64_t spilled_bytes;
	uint64_t unspilled_bytes;
	uint64_t tokens;
};

/**
 * accel_telemetry_client_list - who uses devices of driver nib, as far as one may see.
 * @clients: receives up to @max of them, by process; the struct_size of the first holds for all.
 *
 * Returns how many there are, or -errno.
 */
int accel_telemetry_client_list(struct accel_telemetry *telemetry,
				struct accel_telemetry_client *clients, unsigned int max);

#ifdef __cplusplus
}
#endif

#endif
