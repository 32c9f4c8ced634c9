/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the device measures, and thresholds for it.
 */
#ifndef NIB_SENSORS_H
#define NIB_SENSORS_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "nib_netlink.h"

struct nib_device;

/**
 * struct nib_sample - what the device measures, at a moment.
 * @clock_ns: device time. Never goes back while the driver is bound, as the next two.
 * @busy_ns: of it, with work.
 * @energy_uj: energy.
 * @power_mw: mean power over at least 100 ms.
 * @temp_mc: millidegrees Celsius.
 */
struct nib_sample {
	u64 clock_ns;
	u64 busy_ns;
	u64 energy_uj;
	u32 power_mw;
	s32 temp_mc;
};

/**
 * struct nib_threshold - a threshold.
 * @limit: in the unit of enum nib_sensor, 0 for none.
 * @above: whether the sensor was above it at the last look.
 */
struct nib_threshold {
	u32 limit;
	bool above;
};

/**
 * struct nib_sensors - sensors of a device.
 * @lock: protects all but @poll; taken outside of reads of registers, never across a wait.
 * @raw: counters as the device told them last.
 * @last: the last sample.
 * @power_at: when power was read last, by ktime_get().
 * @thresholds: by enum nib_sensor.
 * @poll_uj: energy when the thresholds were looked at last.
 * @poll_at: when that was.
 * @poll: looks at the thresholds while there are any.
 */
struct nib_sensors {
	struct mutex lock;	/* see above */
	struct {
		u64 clock_ns;
		u64 busy_ns;
		u64 energy_uj;
	} raw;
	struct nib_sample last;
	u64 power_at;
	struct nib_threshold thresholds[NIB_SENSOR_MAX + 1];
	u64 poll_uj;
	u64 poll_at;
	struct delayed_work poll;
};

int nib_sensors_init(struct nib_device *ndev);
void nib_sensors_stop(struct nib_device *ndev);
int nib_sensors_read(struct nib_device *ndev, struct nib_sample *sample);
void nib_sensors_keep(struct nib_device *ndev);
void nib_threshold_get(struct nib_device *ndev, enum nib_sensor sensor,
		       struct nib_threshold *threshold);
int nib_threshold_set(struct nib_device *ndev, enum nib_sensor sensor, u32 limit);

#endif
