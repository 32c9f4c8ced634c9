// SPDX-License-Identifier: MIT
/*
 * Streams: checked here, so that a refusal has words, and again by whoever runs them.
 */
#include "nib_validate.h"
#include "transport.h"

uint32_t accel_stream_check(const uint64_t *words, uint32_t bytes, struct nib_stream_info *info)
{
	return nib_stream_validate((const __u64 *)words, bytes, info);
}

/* Why a stream is refused, with the packet's text where it has one. */
static int refuse(struct accel_device *device, const uint64_t *words, size_t bytes, uint32_t error,
		  const struct nib_stream_info *info)
{
	uint32_t at = info->error_offset / 8;

	if (error == NIB_INVALID_SIZE || error == NIB_INVALID_END)
		return accel_fail(device, -EINVAL,
				  "stream: %s (%zu bytes, want whole 8-byte words up to %u)",
				  nib_validate_strerror(error), bytes, NIB_MAX_STREAM_BYTES);
	return accel_fail(device, -EINVAL, "stream: packet %u at byte %u, opcode %#x: %s",
			  info->packets, info->error_offset, (unsigned int)(words[at] & 0xffff),
			  nib_validate_strerror(error));
}

ACCEL_API int accel_stream_create(struct accel_device *device, const void *data, size_t bytes,
				  struct accel_stream **out)
{
	struct nib_stream_info info = { 0 };
	struct accel_stream *stream;
	uint64_t *words;
	uint32_t error;
	int err;

	if (!data || !bytes || bytes % 8 || bytes > NIB_MAX_STREAM_BYTES)
		return refuse(device, NULL, bytes, NIB_INVALID_SIZE, &info);
	if (device->n_streams >= device->info.max_streams)
		return accel_fail(device, -EMFILE,
				  "stream: all %u streams of the device are in use",
				  device->info.max_streams);
	/* A copy: aligned, and what was checked is what is handed over. */
	words = accel_alloc(device, bytes);
	stream = accel_alloc(device, device->ops->stream_size);
	if (!words || !stream) {
		err = accel_fail(device, -ENOMEM, "stream: no memory");
		goto out;
	}
	memcpy(words, data, bytes);
	error = accel_stream_check(words, (uint32_t)bytes, &info);
	if (error) {
		err = refuse(device, words, bytes, error, &info);
		goto out;
	}
	stream->device = device;
	stream->refs = 1;
	stream->nargs = info.nargs;
	stream->bytes = (uint32_t)bytes;
	err = device->ops->stream_create(stream, words);
	if (err)
		goto out;
	device->n_streams++;
	*out = stream;
	stream = NULL;
out:
	accel_free(device, stream);
	accel_free(device, words);
	return err;
}

void accel_stream_put(struct accel_stream *stream)
{
	struct accel_device *device = stream->device;

	if (--stream->refs)
		return;
	device->ops->stream_destroy(stream);
	device->n_streams--;
	accel_free(device, stream);
}

ACCEL_API void accel_stream_destroy(struct accel_stream *stream)
{
	if (stream)
		accel_stream_put(stream);
}

ACCEL_API uint32_t accel_stream_nargs(const struct accel_stream *stream)
{
	return stream->nargs;
}
