/* SPDX-License-Identifier: MIT */
/*
 * What a process tells monitors about itself: how many tokens its language models have put through.
 * A page of shared memory that hangs on an unlinked file, whose name is seen in /proc/PID/fd by whoever
 * may look into the process. Written by libaccel, read by libaccel-telemetry.
 */
#ifndef ACCEL_USAGE_H
#define ACCEL_USAGE_H

#include <stdint.h>

#define ACCEL_USAGE_FILE	"accel-usage"
#define ACCEL_USAGE_MAGIC	0x6765737555434341ull	/* "ACCUsage" */

/**
 * struct accel_usage_page - one language model. Grows at its end.
 * @magic: ACCEL_USAGE_MAGIC.
 * @tokens: that went through it, of prompts and generated.
 */
struct accel_usage_page {
	uint64_t magic;
	uint64_t tokens;
};

#endif
