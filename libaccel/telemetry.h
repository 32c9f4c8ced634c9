/* SPDX-License-Identifier: MIT */
/*
 * All that follows is private to libaccel-telemetry.
 */
#ifndef TELEMETRY_H
#define TELEMETRY_H

#include <string.h>

#include <netlink/msg.h>

#include "accel_telemetry.h"

#define ACCEL_API __attribute__((visibility("default")))

/* A copy of at most @size - 1 bytes, ended by zero, with nothing in it that a terminal obeys. */
void tele_text(char *to, size_t size, const char *from, size_t length);

/* Puts element @index into a caller's array, whose elements may be of another version. */
void tele_put(void *array, size_t stride, unsigned int index, const void *element, size_t size);

/* --- telemetry_wire.c: messages of the driver. Each returns 0 or -EPROTO. --- */

int tele_wire_device(struct nlmsghdr *header, struct accel_telemetry_device *device);
int tele_wire_usage(struct nlmsghdr *header, struct accel_telemetry_usage *usage);
int tele_wire_counter(struct nlmsghdr *header, struct accel_telemetry_counter *counter);
int tele_wire_threshold(struct nlmsghdr *header, uint32_t *limit, bool *above);
int tele_wire_event(struct nlmsghdr *header, struct accel_telemetry_event *event);

/* --- telemetry_sysfs.c --- */

int tele_sysfs_devices(struct accel_telemetry_device *devices, unsigned int max);
int tele_sysfs_usage(uint32_t device, struct accel_telemetry_usage *usage);

/* --- telemetry_proc.c --- */

/**
 * tele_fdinfo_parse - what a file in /proc/PID/fdinfo says.
 *
 * Returns 0, or -ENOENT if it is not of a device of driver nib. Unknown keys are skipped, as are
 * values that make no sense.
 */
int tele_fdinfo_parse(const char *text, size_t bytes, struct accel_telemetry_client *client);

/* Clients as they are found below @root, "/proc". Returns how many, or -errno. */
int tele_proc_clients(const char *root, struct accel_telemetry_client *clients, size_t stride,
		      unsigned int max);

#endif
