// SPDX-License-Identifier: MIT
/*
 * The validator behind libaccel's stream builder, for programs that link the builder and nothing
 * else of libaccel. Not part of the static library: there libaccel.a brings its own.
 */
#include "nib_validate.h"

__u32 accel_stream_check(const __u64 *words, __u32 bytes, struct nib_stream_info *info);

__u32 accel_stream_check(const __u64 *words, __u32 bytes, struct nib_stream_info *info)
{
	return nib_stream_validate(words, bytes, info);
}
