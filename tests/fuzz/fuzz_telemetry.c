// SPDX-License-Identifier: MIT
/*
 * What libaccel-telemetry reads. First byte: 0 for the text of a file in /proc/PID/fdinfo, which
 * follows; else a message of the netlink family, of which the rest is the command and the attributes.
 */
#include <netlink/genl/genl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
	if (!what)
		abort();
}

static void require_text(const char *text, size_t size)
{
	size_t i;

	require(memchr(text, 0, size) != NULL);
	for (i = 0; text[i]; i++)
		require((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
}

static void check_fdinfo(const uint8_t *data, size_t size)
{
	struct accel_telemetry_client client;
	/* Of its very size, so that a byte too many is seen. */
	char *text = malloc(size + !size);

	require(text != NULL);
	memcpy(text, data, size);
	tele_fdinfo_parse(text, size, &client);
	require_text(client.name, sizeof(client.name));
	require_text(client.pci_address, sizeof(client.pci_address));
	free(text);
}

static void check_message(const uint8_t *data, size_t size)
{
	size_t bytes = NLMSG_HDRLEN + size;
	struct nlmsghdr *header = malloc(bytes);
	struct accel_telemetry_counter counter;
	struct accel_telemetry_device device;
	struct accel_telemetry_usage usage;
	struct accel_telemetry_event event;
	uint32_t limit;
	bool above;

	require(header != NULL);
	*header = (struct nlmsghdr){ .nlmsg_len = (uint32_t)bytes };
	memcpy(NLMSG_DATA(header), data, size);
	if (!tele_wire_device(header, &device)) {
		require_text(device.chip, sizeof(device.chip));
		require_text(device.firmware, sizeof(device.firmware));
	}
	if (!tele_wire_counter(header, &counter))
		require_text(counter.name, sizeof(counter.name));
	tele_wire_usage(header, &usage);
	tele_wire_threshold(header, &limit, &above);
	tele_wire_event(header, &event);
	free(header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || size > 65536)
		return 0;
	if (data[0])
		check_message(data + 1, size - 1);
	else
		check_fdinfo(data + 1, size - 1);
	return 0;
}
