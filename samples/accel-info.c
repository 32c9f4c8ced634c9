// SPDX-License-Identifier: MIT
/*
 * accel-info: what devices there are, and what they are made of.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel.h"

static const char usage_text[] =
	"usage: accel-info [options]\n"
	"\n"
	"Shows every device of the kernel driver; where there is none, the one in process.\n"
	"\n"
	"  --transport T  drm, sim or null only\n"
	"  --chip CHIP    with sim and null: name or file of a chip (default: small)\n"
	"  --json         one JSON array\n"
	"  --help         this text\n"
	"\n"
	"Exit status: 0 done, 1 a device could not be opened, 2 wrong usage.\n";

static const char *const transport_names[] = { "auto", "drm", "sim", "null" };
static const char *const priority_names[] = { "low", "normal", "high", "realtime" };

static void print_bytes(const char *name, uint64_t total, uint64_t left)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double size = (double)total, rest = (double)left;
	size_t unit = 0;

	while (size >= 10240 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		size /= 1024;
		rest /= 1024;
		unit++;
	}
	printf("  %-10s%.0f %s, %.0f free\n", name, size, units[unit], rest);
}

static void print_text(const struct accel_device_info *info)
{
	const char *separator = "";
	unsigned int i;

	printf("%s: chip %s\n", info->node[0] ? info->node : info->driver, info->chip);
	printf("  transport %s, driver %s\n", transport_names[info->transport], info->driver);
	printf("  firmware  %s, API %u.%u\n", info->fw_version, info->fw_api >> 16,
	       info->fw_api & 0xffff);
	printf("  hardware  %u.%u, streams %u.%u, resets %u\n", info->hw_version >> 16,
	       info->hw_version & 0xffff, info->isa_version >> 16, info->isa_version & 0xffff,
	       info->reset_count);
	print_bytes("HBM", info->hbm_bytes, info->hbm_free);
	print_bytes("SRAM", info->sram_bytes, info->sram_free);
	printf("  limits    %u queues, %u streams, %u jobs a queue, %u arguments a job\n",
	       info->max_queues, info->max_streams, info->max_jobs, info->max_args);
	printf("  priority  ");
	for (i = 0; i < sizeof(priority_names) / sizeof(priority_names[0]); i++) {
		if (!(info->priorities >> i & 1))
			continue;
		printf("%s%s", separator, priority_names[i]);
		separator = ", ";
	}
	printf("\n");
}

/* Names come from chip files: quote what JSON wants quoted. */
static void json_text(const char *name, const char *text)
{
	printf("\"%s\": \"", name);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
	printf("\", ");
}

static void json_number(const char *name, uint64_t value)
{
	printf("\"%s\": %llu, ", name, (unsigned long long)value);
}

static void print_json(const struct accel_device_info *info)
{
	const char *separator = "";
	unsigned int i;

	printf("{ ");
	json_text("transport", transport_names[info->transport]);
	json_text("node", info->node);
	json_text("driver", info->driver);
	json_text("chip", info->chip);
	json_text("fw_version", info->fw_version);
	printf("\"fw_api\": \"%u.%u\", ", info->fw_api >> 16, info->fw_api & 0xffff);
	printf("\"hw_version\": \"%u.%u\", ", info->hw_version >> 16, info->hw_version & 0xffff);
	printf("\"isa_version\": \"%u.%u\", ", info->isa_version >> 16, info->isa_version & 0xffff);
	json_number("reset_count", info->reset_count);
	json_number("hbm_bytes", info->hbm_bytes);
	json_number("hbm_free", info->hbm_free);
	json_number("sram_bytes", info->sram_bytes);
	json_number("sram_free", info->sram_free);
	json_number("max_queues", info->max_queues);
	json_number("max_streams", info->max_streams);
	json_number("max_jobs", info->max_jobs);
	json_number("max_args", info->max_args);
	printf("\"priorities\": [");
	for (i = 0; i < sizeof(priority_names) / sizeof(priority_names[0]); i++) {
		if (!(info->priorities >> i & 1))
			continue;
		printf("%s\"%s\"", separator, priority_names[i]);
		separator = ", ";
	}
	printf("] }");
}

static int show(const struct accel_open_params *params, bool json, const char *separator)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_device *device;
	int err;

	err = accel_open(params, &device);
	if (err) {
		fprintf(stderr, "accel-info: %s\n", accel_last_error(NULL));
		return 1;
	}
	err = accel_device_query(device, &info);
	if (err) {
		fprintf(stderr, "accel-info: %s\n", accel_last_error(device));
	} else if (json) {
		printf("%s", separator);
		print_json(&info);
	} else {
		print_text(&info);
	}
	accel_close(device);
	return err != 0;
}

static int show_nodes(struct accel_open_params *params, bool json)
{
	char nodes[64][64];
	int count = accel_device_list(nodes, 64), bad = 0, i;

	for (i = 0; i < count && i < 64; i++) {
		params->path = nodes[i];
		bad |= show(params, json, i ? ",\n  " : "");
	}
	if (!count)
		bad = show(params, json, "");
	return bad;
}

static int find_transport(const char *name)
{
	int i;

	for (i = 0; i < 4; i++)
		if (!strcmp(name, transport_names[i]))
			return i;
	fprintf(stderr, "accel-info: transport '%s' is none of auto, drm, sim, null\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "transport", required_argument, NULL, 't' },
		{ "chip", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct accel_open_params params = { .struct_size = sizeof(params) };
	bool json = false;
	int c, bad;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't':
			params.transport = (enum accel_transport)find_transport(optarg);
			break;
		case 'c':
			params.chip = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		default:
			fputs(usage_text, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "accel-info: unexpected '%s'\n%s", argv[optind], usage_text);
		return 2;
	}
	if (json)
		printf("[ ");
	if (params.transport == ACCEL_TRANSPORT_AUTO && params.chip)
		params.transport = ACCEL_TRANSPORT_SIM;
	if (params.transport == ACCEL_TRANSPORT_SIM || params.transport == ACCEL_TRANSPORT_NULL)
		bad = show(&params, json, "");
	else
		bad = show_nodes(&params, json);
	if (json)
		printf(" ]\n");
	return bad;
}
