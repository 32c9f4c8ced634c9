/* SPDX-License-Identifier: MIT */
/* hwmon: power, energy and temperature, and thresholds that can be read back. */
#include "guest.h"

#include <glob.h>

static char dir[256];

static long long value(const char *name)
{
	char path[512], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f)
		FAIL("%s: %s", path, strerror(errno));
	CHECK(fgets(text, sizeof(text), f));
	fclose(f);
	return atoll(text);
}

static int set(const char *name, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return write_file(path, text);
}

/* What a device has spent before it fell asleep counts, whether or not somebody looked then. */
static void check_asleep(const struct guest *g, const char *address, const struct stream *s)
{
	long long before = value("energy1_input");
	uint64_t pj = queue_state(g->fd, g->queue).energy_pj;
	int i;

	for (i = 0; i < 10; i++)
		OK(run_stream(g->fd, g->vm, g->queue, s));
	pj = queue_state(g->fd, g->queue).energy_pj - pj;
	CHECK(pj > 2000000);
	guest_wait_asleep(address);
	CHECK(value("energy1_input") - before >= (long long)(pj / 1000000) - 1);
}

int main(void)
{
	struct guest g = guest_begin();
	char pattern[256], address[64];
	struct stream s = { 0 };
	long long energy;
	glob_t found;
	int i;

	guest_pci_address(g.fd, address, sizeof(address));
	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/%s/hwmon/hwmon*", address);
	if (glob(pattern, 0, NULL, &found))
		SKIP("the kernel has no hwmon");
	snprintf(dir, sizeof(dir), "%s", found.gl_pathv[0]);
	globfree(&found);

	energy = value("energy1_input");
	munmap(guest_buffer(&g, 0x100000000ull, MIB, NIB_BO_HBM), MIB);
	packet_fill(&s, 0x100000000ull, MIB / 4, 1);
	packet_end(&s);
	for (i = 0; i < 10; i++)
		OK(run_stream(g.fd, g.vm, g.queue, &s));
	CHECK(value("energy1_input") > energy);
	CHECK(value("power1_average") > 0);
	/* A kernel without runtime PM never lets it sleep. */
	if (!guest_power_is(address, "power/runtime_status", "unsupported"))
		check_asleep(&g, address, &s);
	/* Colder than ambient or as hot as the sun it is not. */
	CHECK(value("temp1_input") > 1000 && value("temp1_input") < 200000);

	OK(set("temp1_max", "1000"));
	EQUAL(value("temp1_max"), 1000);
	for (i = 0; i < 200 && !value("temp1_max_alarm"); i++)
		usleep(50000);
	EQUAL(value("temp1_max_alarm"), 1);
	OK(set("temp1_max", "0"));
	EQUAL(value("temp1_max"), 0);
	EQUAL(value("temp1_max_alarm"), 0);
	OK(set("power1_max", "5000000"));
	EQUAL(value("power1_max"), 5000000);
	OK(set("power1_max", "-5"));
	EQUAL(value("power1_max"), 0);
	CHECK(set("power1_max", "x") < 0);
	return 0;
}
