// SPDX-License-Identifier: MIT
/* See shared_data.h. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "shared_data.h"

const char *shared_path(const char *name)
{
	static char paths[4][512];
	static unsigned int next;
	const char *dir = getenv("NIB_SHARED_DATA");
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir ? dir : "../shared/data", name);
	return path;
}

bool shared_have(const char *name)
{
	return !access(shared_path(name), R_OK);
}
