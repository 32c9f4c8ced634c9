/* SPDX-License-Identifier: MIT */
/* debugfs: pings come back, registers have names, queues are listed. */
#include "guest.h"

#include <glob.h>

static char text[65536];

static void slurp(const char *dir, const char *name)
{
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f)
		FAIL("%s: %s", path, strerror(errno));
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
}

static int spit(const char *dir, const char *name, const char *what)
{
	char path[512];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	CHECK(fd >= 0);
	ret = write(fd, what, strlen(what)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

int main(void)
{
	unsigned long long count, least, median, p99;
	struct guest g = guest_begin();
	const char *dir;
	glob_t found;

	(void)g;
	if (glob("/sys/kernel/debug/accel/*:*", 0, NULL, &found) || !found.gl_pathc)
		SKIP("debugfs is not mounted");
	dir = found.gl_pathv[0];
	OK(spit(dir, "ping", "100\n"));
	slurp(dir, "ping");
	CHECK(sscanf(text, "count %llu min_ns %llu median_ns %llu p99_ns %llu", &count, &least,
		     &median, &p99) == 4);
	EQUAL(count, 100);
	CHECK(least && least <= median && median <= p99);
	EXPECT(spit(dir, "ping", "0"), -EINVAL);
	EXPECT(spit(dir, "ping", "1000000"), -EINVAL);
	EXPECT(spit(dir, "ping", "x"), -EINVAL);
	OK(spit(dir, "ping", "1000"));
	slurp(dir, "regs");
	CHECK(strstr(text, "NIB_REG_MAGIC") && strstr(text, "0x3142494e"));
	slurp(dir, "queues");
	CHECK(strstr(text, "priority"));
	globfree(&found);
	return 0;
}
