// SPDX-License-Identifier: MIT
/*
 * Devices: opening, choice of transport, the allocator and log hooks, and the text of the last
 * error. Not here: anything that runs jobs (queue.c) or talks to a device (transport_*.c).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "transport.h"

#define MAX_NODES 256	/* accel minors */

static _Thread_local char thread_error[256];

/* What each transport is, in the order of enum accel_transport; NULL where it is left out. */
static const struct accel_transport_ops *const transports[] = {
	[ACCEL_TRANSPORT_AUTO] = NULL,
#ifndef ACCEL_NO_DRM
	[ACCEL_TRANSPORT_DRM] = &accel_transport_drm,
#endif
#ifndef ACCEL_NO_SIM
	[ACCEL_TRANSPORT_SIM] = &accel_transport_sim,
#endif
	[ACCEL_TRANSPORT_NULL] = &accel_transport_null,
};

static void *default_alloc(void *user, void *ptr, size_t size)
{
	(void)user;
	if (size)
		return realloc(ptr, size);
	free(ptr);
	return NULL;
}

void *accel_alloc(struct accel_device *device, size_t bytes)
{
	void *ptr = device->alloc(device->user, NULL, bytes);

	if (ptr)
		memset(ptr, 0, bytes);
	return ptr;
}

void accel_free(struct accel_device *device, void *ptr)
{
	if (ptr)
		device->alloc(device->user, ptr, 0);
}

int accel_grow(struct accel_device *device, void **array, uint32_t *cap, uint32_t want,
	       size_t element)
{
	uint32_t more = *cap ? *cap : 8;
	void *ptr;

	if (want <= *cap)
		return 0;
	while (more < want)
		more *= 2;
	ptr = device->alloc(device->user, *array, more * element);
	if (!ptr)
		return -ENOMEM;
	*array = ptr;
	*cap = more;
	return 0;
}

void accel_log(struct accel_device *device, enum accel_log_level level, const char *format, ...)
{
	char line[256];
	va_list args;

	if (!device->log)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	device->log(device->user, level, line);
}

int accel_fail(struct accel_device *device, int error, const char *format, ...)
{
	char *text = device ? device->error : thread_error;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(thread_error), format, args);
	va_end(args);
	if (device)
		accel_log(device, ACCEL_LOG_DEBUG, "%s", text);
	return error;
}

ACCEL_API const char *accel_last_error(const struct accel_device *device)
{
	return device ? device->error : thread_error;
}

int accel_struct_in(void *out, size_t size, size_t least, const void *in)
{
	size_t given, i;

	memcpy(&given, in, sizeof(given));
	if (given < least)
		return -EINVAL;
	for (i = size; i < given; i++)
		if (((const unsigned char *)in)[i])
			return -EINVAL;
	memset(out, 0, size);
	memcpy(out, in, given < size ? given : size);
	return 0;
}

int accel_struct_out(void *out, const void *in, size_t size, size_t least)
{
	size_t given;

	memcpy(&given, out, sizeof(given));
	if (given < least)
		return -EINVAL;
	memset(out, 0, given);
	memcpy(out, in, given < size ? given : size);
	memcpy(out, &given, sizeof(given));
	return 0;
}

ACCEL_API int accel_device_list(char (*paths)[64], unsigned int max)
{
	unsigned int i, count = 0;
	char link[128], target[256];
	const char *name;
	ssize_t n;

	if (access("/sys/class/accel", F_OK))
		return 0;
	for (i = 0; i < MAX_NODES; i++) {
		snprintf(link, sizeof(link), "/sys/class/accel/accel%u/device/driver", i);
		n = readlink(link, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = 0;
		name = strrchr(target, '/');
		if (strcmp(name ? name + 1 : target, "nib"))
			continue;
		if (count < max)
			snprintf(paths[count], sizeof(paths[count]), "/dev/accel/accel%u", i);
		count++;
	}
	return (int)count;
}

static int check_params(const struct accel_open_params *in, struct accel_open_params *params)
{
	memset(params, 0, sizeof(*params));
	if (in && accel_struct_in(params, sizeof(*params),
				  ACCEL_THROUGH(accel_open_params, user), in))
		return accel_fail(NULL, -EINVAL, "open: struct_size %zu, or a field that this "
				  "library does not know", in->struct_size);
	if ((unsigned int)params->transport > ACCEL_TRANSPORT_NULL)
		return accel_fail(NULL, -EINVAL, "open: transport %d is none of 0..%d",
				  (int)params->transport, ACCEL_TRANSPORT_NULL);
	if (params->transport == ACCEL_TRANSPORT_AUTO)
		params->transport = params->path || accel_device_list(NULL, 0) ?
					    ACCEL_TRANSPORT_DRM : ACCEL_TRANSPORT_SIM;
	if (!transports[params->transport])
		return accel_fail(NULL, -ENODEV, "open: this library was built without the %s "
				  "transport",
				  params->transport == ACCEL_TRANSPORT_DRM ? "drm" : "sim");
	if (params->trace && params->transport != ACCEL_TRANSPORT_SIM)
		return accel_fail(NULL, -EOPNOTSUPP, "open: only the sim transport tells what the "
				  "device does");
	if (!params->alloc)
		params->alloc = default_alloc;
	return 0;
}

ACCEL_API int accel_open(const struct accel_open_params *in, struct accel_device **out)
{
	const struct accel_transport_ops *ops;
	struct accel_open_params params;
	struct accel_device *device;
	int err;

	err = check_params(in, &params);
	if (err)
		return err;
	ops = transports[params.transport];
	device = params.alloc(params.user, NULL, ops->device_size);
	if (!device)
		return accel_fail(NULL, -ENOMEM, "open: no memory for a device handle");
	memset(device, 0, ops->device_size);
	device->ops = ops;
	device->alloc = params.alloc;
	device->log = params.log;
	device->user = params.user;
	device->info.struct_size = sizeof(device->info);
	device->info.transport = params.transport;
	device->info.max_args = NIB_MAX_ARGS;
	device->info.isa_version = NIB_ISA_MAJOR << 16 | NIB_ISA_MINOR;
	device->info.max_jobs = ACCEL_QUEUE_JOBS;
	err = ops->open(device, &params);
	if (err) {
		accel_fail(NULL, err, "%s", device->error[0] ? device->error : strerror(-err));
		accel_free(device, device);
		return err;
	}
	accel_log(device, ACCEL_LOG_INFO, "%s: chip %s, firmware %s", ops->name,
		  device->info.chip, device->info.fw_version);
	*out = device;
	return 0;
}

ACCEL_API void accel_close(struct accel_device *device)
{
	if (!device)
		return;
	device->ops->close(device);
	if (device->n_queues || device->n_streams)
		accel_log(device, ACCEL_LOG_WARNING, "closed with %u queues and %u streams alive",
			  device->n_queues, device->n_streams);
	accel_free(device, device);
}

ACCEL_API int accel_device_query(struct accel_device *device, struct accel_device_info *info)
{
	int err;

	err = device->ops->query(device);
	if (err)
		return err;
	if (accel_struct_out(info, &device->info, sizeof(device->info),
			     ACCEL_THROUGH(accel_device_info, node)))
		return accel_fail(device, -EINVAL, "query: struct_size %zu, at least %zu",
				  info->struct_size, ACCEL_THROUGH(accel_device_info, node));
	return 0;
}
