/* SPDX-License-Identifier: MIT */
/*
 * Where injected failures of allocations must not strike: the kernel's vmalloc() tells of its own by a
 * warning with a backtrace (seen in 7.3: warn_alloc()), which is nobody's fault and fails the test.
 */
#ifndef SPARE_H
#define SPARE_H

#include "guest.h"

/* Nothing fails any more below this function of the kernel. Returns 0, or -ENOENT if there is none. */
static UNUSED int spare_function(const char *name)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc" };
	unsigned long at, start = 0, end = 0;
	char line[512], symbol[256];
	FILE *f = fopen("/proc/kallsyms", "r");
	int ret = 0;

	CHECK(f);
	while (!end && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx %*c %255s", &at, symbol) != 2)
			continue;
		if (start && at > start)
			end = at;
		else if (!strcmp(symbol, name))
			start = at;
	}
	fclose(f);
	if (!end)
		return -ENOENT;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !ret; i++) {
		char path[96], text[32];

		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/reject-start", kinds[i]);
		snprintf(text, sizeof(text), "%#lx", start);
		ret = write_file(path, text);
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/reject-end", kinds[i]);
		snprintf(text, sizeof(text), "%#lx", end);
		ret = ret ? ret : write_file(path, text);
	}
	return ret;
}

#endif
