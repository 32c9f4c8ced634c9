// SPDX-License-Identifier: GPL-2.0
/*
 * hwmon. Values are those of sensors.c; of a device model they are modelled. A device that sleeps
 * shows what it last measured.
 *
 *	power1_average	 microwatts
 *	power1_max	 threshold (root may write): power1_alarm, and an event by netlink
 *	energy1_input	 microjoules; does not go back
 *	temp1_input	 millidegrees Celsius
 *	temp1_max	 threshold (root may write): temp1_max_alarm, and an event by netlink
 *
 * A threshold of 0 is none.
 */
#include <linux/hwmon.h>

#include "device.h"
#include "hwmon.h"
#include "sensors.h"

#define NIB_UW_PER_MW	1000l

static umode_t nib_hwmon_is_visible(const void *data, enum hwmon_sensor_types type, u32 attr,
				    int channel)
{
	const bool max = (type == hwmon_temp && attr == hwmon_temp_max) ||
			 (type == hwmon_power && attr == hwmon_power_max);

	return max ? 0644 : 0444;
}

static int nib_hwmon_read_threshold(struct nib_device *ndev, enum nib_sensor sensor, bool alarm,
				    long scale, long *value)
{
	struct nib_threshold threshold;

	nib_threshold_get(ndev, sensor, &threshold);
	*value = alarm ? threshold.above : threshold.limit * scale;
	return 0;
}

static int nib_hwmon_read(struct device *dev, enum hwmon_sensor_types type, u32 attr, int channel,
			  long *value)
{
	struct nib_device *ndev = dev_get_drvdata(dev);
	struct nib_sample sample;
	int ret;

	if (type == hwmon_temp && attr != hwmon_temp_input)
		return nib_hwmon_read_threshold(ndev, NIB_SENSOR_TEMPERATURE,
						attr == hwmon_temp_max_alarm, 1, value);
	if (type == hwmon_power && attr != hwmon_power_average)
		return nib_hwmon_read_threshold(ndev, NIB_SENSOR_POWER,
						attr == hwmon_power_alarm, NIB_UW_PER_MW, value);
	ret = nib_sensors_read(ndev, &sample);
	if (ret)
		return ret;
	*value = type == hwmon_temp ? sample.temp_mc :
		 type == hwmon_power ? sample.power_mw * NIB_UW_PER_MW : (long)sample.energy_uj;
	return 0;
}

static int nib_hwmon_write(struct device *dev, enum hwmon_sensor_types type, u32 attr, int channel,
			   long value)
{
	struct nib_device *ndev = dev_get_drvdata(dev);

	/* What hwmon asks of drivers: out of range is clamped. */
	if (type == hwmon_temp)
		return nib_threshold_set(ndev, NIB_SENSOR_TEMPERATURE,
					 clamp(value, 0l, (long)S32_MAX));
	return nib_threshold_set(ndev, NIB_SENSOR_POWER,
				 clamp(value / NIB_UW_PER_MW, 0l, (long)S32_MAX));
}

static int nib_hwmon_read_string(struct device *dev, enum hwmon_sensor_types type, u32 attr,
				 int channel, const char **text)
{
	*text = type == hwmon_temp ? "die" : "device";
	return 0;
}

static const struct hwmon_channel_info *const nib_hwmon_channels[] = {
	HWMON_CHANNEL_INFO(temp, HWMON_T_INPUT | HWMON_T_LABEL | HWMON_T_MAX | HWMON_T_MAX_ALARM),
	HWMON_CHANNEL_INFO(power, HWMON_P_AVERAGE | HWMON_P_LABEL | HWMON_P_MAX | HWMON_P_ALARM),
	HWMON_CHANNEL_INFO(energy, HWMON_E_INPUT | HWMON_E_LABEL),
	NULL
};

static const struct hwmon_ops nib_hwmon_ops = {
	.is_visible = nib_hwmon_is_visible,
	.read = nib_hwmon_read,
	.read_string = nib_hwmon_read_string,
	.write = nib_hwmon_write,
};

static const struct hwmon_chip_info nib_hwmon_chip = {
	.ops = &nib_hwmon_ops,
	.info = nib_hwmon_channels,
};

/* The device works without; the driver core takes it away when the driver unbinds. */
void nib_hwmon_init(struct nib_device *ndev)
{
	struct device *hwmon;

	hwmon = devm_hwmon_device_register_with_info(&ndev->pdev->dev, "nib", ndev,
						     &nib_hwmon_chip, NULL);
	if (IS_ERR(hwmon))
		drm_warn(&ndev->drm, "no hwmon: %pe\n", hwmon);
}
