// SPDX-License-Identifier: MIT
/*
 * Requests of the control socket from anyone. Input: lines. Every line gets one answer, which is
 * one line, and says either that it is fine or what is wrong; the device stays of use.
 */
#include <stdlib.h>
#include <string.h>
#include "control.h"
#include "driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
	if (!what)
		abort();
}

static void execute(struct driver *d, const char *line, size_t bytes)
{
	/* Exactly as long as it is, so that a sanitizer sees the first byte too many. */
	char *copy = malloc(bytes ? bytes : 1), *answer;
	enum nib_control_end end;

	require(copy);
	memcpy(copy, line, bytes);
	answer = nib_control_execute(d->device, copy, bytes, &end);
	require(answer && strchr(answer, '\n') == answer + strlen(answer) - 1);
	require(!strncmp(answer, "{\"error\":\"", 10) || strstr(answer, "\"ok\":true}\n"));
	free(answer);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const last[] = { "{\"clear\":true}", "{\"link\":\"up\"}" };
	static struct driver *d;

	if (!d)
		d = driver_new("small", "scalar");
	nib_device_reset(d->device);
	d->host_next = NIB_PAGE_4K;
	driver_boot(d);
	while (size) {
		const uint8_t *newline = memchr(data, '\n', size);
		size_t bytes = newline ? (size_t)(newline - data) : size;

		execute(d, (const char *)data, bytes < NIB_CONTROL_LINE ? bytes : NIB_CONTROL_LINE);
		bytes += newline ? 1 : 0;
		data += bytes;
		size -= bytes;
	}
	for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++)
		execute(d, last[i], strlen(last[i]));
	nib_device_reset(d->device);
	d->host_next = NIB_PAGE_4K;
	driver_boot(d);
	require(driver_adm(d, NIB_ADM_NOP, 0) == NIB_ADM_OK);
	return 0;
}
