// SPDX-License-Identifier: MIT
/*
 * Writes a firmware image: header, scheduling constants, digest. Can also write images that are
 * broken in one way each, for the tests of those who must refuse them.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../sha256.h"
#include "nib_regs.h"

struct image {
	struct nib_fw_header header;
	struct nib_fw_payload payload;
};

static const char usage[] =
	"usage: mkfw [--version TEXT] [--corrupt digest|magic|api] OUTPUT\n";

static void image_fill(struct image *image, const char *version)
{
	*image = (struct image){
		.header = {
			.magic = NIB_FW_MAGIC,
			.header_bytes = sizeof(image->header),
			.image_bytes = sizeof(*image),
			.api_major = NIB_FW_API_MAJOR,
			.api_minor = NIB_FW_API_MINOR,
		},
		/* The lower the priority, the longer a turn: fewer switches where nobody waits. */
		.payload = {
			.quantum_us = { 8000, 4000, 2000, 1000 },
			.heartbeat_us = 10000,
		},
	};
	snprintf(image->header.version, sizeof(image->header.version), "%s", version);
	nib_sha256(&image->payload, sizeof(image->payload), image->header.sha256);
}

static int image_corrupt(struct image *image, const char *how)
{
	if (!strcmp(how, "digest"))
		image->header.sha256[0] ^= 1;
	else if (!strcmp(how, "magic"))
		image->header.magic ^= 1;
	else if (!strcmp(how, "api"))
		image->header.api_major++;
	else
		return -1;
	return 0;
}

static int image_write(const struct image *image, const char *path)
{
	FILE *file = fopen(path, "wb");
	int ok;

	if (!file) {
		perror(path);
		return 1;
	}
	ok = fwrite(image, sizeof(*image), 1, file) == 1;
	ok = fclose(file) == 0 && ok;
	if (!ok)
		perror(path);
	return !ok;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "version", required_argument, NULL, 'v' },
		{ "corrupt", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *version = "0.0.0", *corrupt = NULL;
	struct image image;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'v':
			version = optarg;
			break;
		case 'c':
			corrupt = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind != argc - 1 || strlen(version) >= sizeof(image.header.version)) {
		fputs(usage, stderr);
		return 2;
	}
	image_fill(&image, version);
	if (corrupt && image_corrupt(&image, corrupt)) {
		fputs(usage, stderr);
		return 2;
	}
	return image_write(&image, argv[optind]);
}
