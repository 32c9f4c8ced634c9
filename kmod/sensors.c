// SPDX-License-Identifier: GPL-2.0
/*
 * Sensors: one place that reads them, for hwmon, netlink and ioctls alike, since reading power
 * starts its next mean. Here the device's counters become such that never go back, whatever is
 * reset; and here thresholds are watched. A device that sleeps is not woken for any of this.
 */
#include <linux/ktime.h>
#include <linux/pm_runtime.h>

#include <drm/drm_managed.h>

#include "device.h"
#include "notify.h"
#include "sensors.h"

/* Power is a mean since the last reading: shorter ones are noise. */
#define NIB_POWER_WINDOW_NS	(100 * NSEC_PER_MSEC)
#define NIB_SENSORS_POLL_MS	250u

/* Adds what a counter has grown by; one that is smaller than before has begun anew. */
static void nib_sensors_add(u64 *sum, u64 *last, u64 now)
{
	*sum += now >= *last ? now - *last : now;
	*last = now;
}

static void nib_sensors_sample_locked(struct nib_device *ndev)
{
	struct nib_sensors *sensors = &ndev->sensors;
	struct nib_sample *sample = &sensors->last;
	u64 clock, busy, energy, now;

	lockdep_assert_held(&sensors->lock);

	busy = nib_readq(ndev, NIB_REG_BUSY_NS);
	clock = nib_readq(ndev, NIB_REG_CLOCK_NS);
	energy = nib_readq(ndev, NIB_REG_ENERGY_UJ);
	now = ktime_get_ns();
	/* All ones come from a device that is gone. */
	if (nib_device_is_gone(ndev))
		return;
	nib_sensors_add(&sample->busy_ns, &sensors->raw.busy_ns, busy);
	nib_sensors_add(&sample->clock_ns, &sensors->raw.clock_ns, clock);
	nib_sensors_add(&sample->energy_uj, &sensors->raw.energy_uj, energy);
	sample->temp_mc = min_t(u32, nib_read(ndev, NIB_REG_TEMP_MC), S32_MAX);
	if (now - sensors->power_at >= NIB_POWER_WINDOW_NS) {
		sample->power_mw = nib_read(ndev, NIB_REG_POWER_MW);
		sensors->power_at = now;
	}
}

/**
 * nib_sensors_read - what the device measures now, or measured when it was last awake.
 * @ndev: device.
 * @sample: out.
 *
 * Sleeps, but does not wait for the device. Returns 0 or -ENODEV.
 */
int nib_sensors_read(struct nib_device *ndev, struct nib_sample *sample)
{
	struct device *dev = &ndev->pdev->dev;
	int cookie, awake;

	if (!drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	/* Negative: power management does not know, so the device is awake. */
	awake = pm_runtime_get_if_active(dev);
	mutex_lock(&ndev->sensors.lock);
	if (awake && !nib_device_lost(ndev))
		nib_sensors_sample_locked(ndev);
	*sample = ndev->sensors.last;
	mutex_unlock(&ndev->sensors.lock);
	/* Being looked at is no use that should keep it from falling asleep: no mark_last_busy. */
	if (awake > 0)
		pm_runtime_put(dev);
	drm_dev_exit(cookie);
	return 0;
}

/* Before a device that is awake sleeps or is reset: what it has counted until now is not lost. */
void nib_sensors_keep(struct nib_device *ndev)
{
	mutex_lock(&ndev->sensors.lock);
	if (!nib_device_lost(ndev))
		nib_sensors_sample_locked(ndev);
	mutex_unlock(&ndev->sensors.lock);
}

/* --- Thresholds --- */

/* Falls below only with some distance, so that a value at the limit is not an endless story. */
static bool nib_threshold_is_above(const struct nib_threshold *threshold, u32 value)
{
	u32 limit = threshold->limit;

	return limit && value > (threshold->above ? limit - limit / 20 : limit);
}

static void nib_threshold_check(struct nib_device *ndev, enum nib_sensor sensor, u32 value)
{
	struct nib_threshold *threshold = &ndev->sensors.thresholds[sensor];
	u32 limit;
	bool above, changed;

	mutex_lock(&ndev->sensors.lock);
	limit = threshold->limit;
	above = nib_threshold_is_above(threshold, value);
	changed = limit && above != threshold->above;
	threshold->above = above;
	mutex_unlock(&ndev->sensors.lock);
	if (changed)
		nib_notify_threshold(ndev, sensor, limit, value, above);
}

/* Mean power by the host's clock since the last look; 0 at the first. */
static u32 nib_sensors_energy_rate(struct nib_sensors *sensors, u64 energy_uj)
{
	u64 now = ktime_get_ns(), uj = energy_uj - sensors->poll_uj;
	u64 us = div_u64(now - sensors->poll_at, NSEC_PER_USEC);
	bool first = !sensors->poll_at;

	sensors->poll_uj = energy_uj;
	sensors->poll_at = now;
	if (first || !us)
		return 0;
	/* Microjoules per microsecond are watts. */
	return min_t(u64, mul_u64_u64_div_u64(uj, 1000, us), U32_MAX);
}

static bool nib_sensors_wanted(struct nib_sensors *sensors)
{
	unsigned int i;

	for (i = 0; i <= NIB_SENSOR_MAX; i++)
		if (READ_ONCE(sensors->thresholds[i].limit))
			return true;
	return false;
}

static void nib_sensors_schedule(struct nib_sensors *sensors, unsigned int ms)
{
	/* Freezable: nothing looks at the device while the system goes to sleep. */
	queue_delayed_work(system_freezable_wq, &sensors->poll, msecs_to_jiffies(ms));
}

static void nib_sensors_poll(struct work_struct *work)
{
	struct nib_device *ndev = container_of(work, struct nib_device, sensors.poll.work);
	struct nib_sample sample;
	u32 rate;

	if (nib_sensors_read(ndev, &sample))
		return;
	rate = nib_sensors_energy_rate(&ndev->sensors, sample.energy_uj);
	nib_threshold_check(ndev, NIB_SENSOR_TEMPERATURE, max(sample.temp_mc, 0));
	nib_threshold_check(ndev, NIB_SENSOR_POWER, sample.power_mw);
	nib_threshold_check(ndev, NIB_SENSOR_ENERGY_RATE, rate);
	if (nib_sensors_wanted(&ndev->sensors))
		nib_sensors_schedule(&ndev->sensors, NIB_SENSORS_POLL_MS);
	else
		ndev->sensors.poll_at = 0;
}

void nib_threshold_get(struct nib_device *ndev, enum nib_sensor sensor,
		       struct nib_threshold *threshold)
{
	mutex_lock(&ndev->sensors.lock);
	*threshold = ndev->sensors.thresholds[sensor];
	mutex_unlock(&ndev->sensors.lock);
}

/**
 * nib_threshold_set - set a threshold; its sensor is looked at anew.
 * @ndev: device.
 * @sensor: which.
 * @limit: in the unit of the sensor, 0 for none.
 *
 * Returns 0 or -ENODEV.
 */
int nib_threshold_set(struct nib_device *ndev, enum nib_sensor sensor, u32 limit)
{
	int cookie;

	if (!drm_dev_enter(&ndev->drm, &cookie))
		return -ENODEV;
	mutex_lock(&ndev->sensors.lock);
	ndev->sensors.thresholds[sensor] = (struct nib_threshold){ .limit = limit };
	mutex_unlock(&ndev->sensors.lock);
	nib_sensors_schedule(&ndev->sensors, 0);
	drm_dev_exit(cookie);
	return 0;
}

int nib_sensors_init(struct nib_device *ndev)
{
	INIT_DELAYED_WORK(&ndev->sensors.poll, nib_sensors_poll);
	return drmm_mutex_init(&ndev->drm, &ndev->sensors.lock);
}

/* Once the device is unplugged, or before it was registered: nobody sets thresholds any more. */
void nib_sensors_stop(struct nib_device *ndev)
{
	cancel_delayed_work_sync(&ndev->sensors.poll);
}
