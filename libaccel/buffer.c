// SPDX-License-Identifier: MIT
/*
 * Buffers: memory of the device or of the host, mapped into the device handle's address space for
 * as long as it lives.
 */
#include "transport.h"

ACCEL_API int accel_buffer_create(struct accel_device *device, enum accel_memory memory,
				  uint64_t bytes, uint32_t flags, struct accel_buffer **out)
{
	struct accel_buffer *buffer;
	int err;

	if ((unsigned int)memory > ACCEL_MEMORY_HOST)
		return accel_fail(device, -EINVAL, "buffer: memory %d is none of 0..%d",
				  (int)memory, ACCEL_MEMORY_HOST);
	if (flags & ~(ACCEL_BUFFER_NO_MAP | ACCEL_BUFFER_READONLY | ACCEL_BUFFER_DUMPABLE))
		return accel_fail(device, -EINVAL, "buffer: unknown flags %#x", flags);
	if (!bytes || bytes > 1ull << (NIB_VA_BITS - 1))
		return accel_fail(device, -EINVAL, "buffer: %llu bytes, want 1..2^%d",
				  (unsigned long long)bytes, NIB_VA_BITS - 1);
	buffer = accel_alloc(device, device->ops->buffer_size);
	if (!buffer)
		return accel_fail(device, -ENOMEM, "buffer: no memory for its handle");
	buffer->device = device;
	buffer->memory = memory;
	buffer->flags = flags;
	buffer->bytes = (bytes + ACCEL_PAGE - 1) & ~(ACCEL_PAGE - 1);
	err = device->ops->buffer_create(buffer);
	if (err) {
		accel_free(device, buffer);
		return err;
	}
	*out = buffer;
	return 0;
}

ACCEL_API void accel_buffer_destroy(struct accel_buffer *buffer)
{
	if (!buffer)
		return;
	buffer->device->ops->buffer_destroy(buffer);
	accel_free(buffer->device, buffer);
}

ACCEL_API uint64_t accel_buffer_address(const struct accel_buffer *buffer)
{
	return buffer->address;
}

ACCEL_API uint64_t accel_buffer_bytes(const struct accel_buffer *buffer)
{
	return buffer->bytes;
}

ACCEL_API enum accel_memory accel_buffer_memory(const struct accel_buffer *buffer)
{
	return buffer->memory;
}

ACCEL_API int accel_buffer_map(struct accel_buffer *buffer, void **ptr)
{
	int err;

	if (!buffer->map) {
		if (buffer->memory == ACCEL_MEMORY_SRAM ||
		    (buffer->memory == ACCEL_MEMORY_HBM && buffer->flags & ACCEL_BUFFER_NO_MAP))
			return accel_fail(buffer->device, -EACCES,
					  "map: %s cannot be mapped by the CPU",
					  buffer->memory == ACCEL_MEMORY_SRAM ?
						  "SRAM" : "a buffer made with NO_MAP");
		err = buffer->device->ops->buffer_map(buffer);
		if (err)
			return err;
	}
	*ptr = buffer->map;
	return 0;
}
