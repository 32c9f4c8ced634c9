// SPDX-License-Identifier: MIT
/*
 * Devices and sensors where the driver's netlink family is not to be seen: sysfs and hwmon are the
 * same in every network namespace.
 */
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "telemetry.h"

#define CLASS	"/sys/class/accel"

static bool sysfs_link(uint32_t id, const char *what, char *name, size_t size)
{
	char path[64], target[PATH_MAX];
	ssize_t length;

	snprintf(path, sizeof(path), CLASS "/accel%u/%s", id, what);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = 0;
	snprintf(name, size, "%s", basename(target));
	return true;
}

static bool sysfs_is_ours(uint32_t id, struct accel_telemetry_device *device)
{
	char driver[16];

	*device = (struct accel_telemetry_device){ .struct_size = sizeof(*device), .id = id };
	return sysfs_link(id, "device/driver", driver, sizeof(driver)) && !strcmp(driver, "nib") &&
	       sysfs_link(id, "device", device->pci_address, sizeof(device->pci_address));
}

static int compare_devices(const void *a, const void *b)
{
	const struct accel_telemetry_device *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

int tele_sysfs_devices(struct accel_telemetry_device *devices, unsigned int max)
{
	struct accel_telemetry_device device;
	unsigned int count = 0, id;
	struct dirent *entry;
	DIR *dir = opendir(CLASS);

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (sscanf(entry->d_name, "accel%u", &id) != 1 || !sysfs_is_ours(id, &device))
			continue;
		if (count < max)
			devices[count] = device;
		count++;
	}
	closedir(dir);
	qsort(devices, count < max ? count : max, sizeof(*devices), compare_devices);
	return (int)count;
}

/* 0 if the file does not say. */
static long long hwmon_value(const char *folder, const char *name)
{
	char path[PATH_MAX], text[32];
	FILE *file;
	long long value = 0;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fgets(text, sizeof(text), file))
		value = strtoll(text, NULL, 10);
	fclose(file);
	return value;
}

int tele_sysfs_usage(uint32_t id, struct accel_telemetry_usage *usage)
{
	struct accel_telemetry_device device;
	char folder[128], hwmon[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	if (!sysfs_is_ours(id, &device))
		return -ENODEV;
	*usage = (struct accel_telemetry_usage){ .struct_size = sizeof(*usage) };
	snprintf(folder, sizeof(folder), CLASS "/accel%u/device/hwmon", id);
	dir = opendir(folder);
	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "hwmon", 5))
			continue;
		snprintf(hwmon, sizeof(hwmon), "%s/%s", folder, entry->d_name);
		usage->known = ACCEL_TELEMETRY_HAS_SENSORS;
		usage->energy_uj = (uint64_t)hwmon_value(hwmon, "energy1_input");
		usage->power_mw = (uint32_t)(hwmon_value(hwmon, "power1_average") / 1000);
		usage->temperature_mc = (int32_t)hwmon_value(hwmon, "temp1_input");
		break;
	}
	closedir(dir);
	return 0;
}
