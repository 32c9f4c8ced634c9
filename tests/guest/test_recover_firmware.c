/* SPDX-License-Identifier: MIT */
/*
 * The firmware crashes, or falls silent, in the middle of jobs of several clients: it is rebooted,
 * jobs go on where they were, and the results are the same to the bit. At most the job whose packet
 * was on the engine ends with EIO, and nobody is guilty.
 */
#include "innocent.h"

#define OTHERS	3u
#define CRASHES	8u

static void crash(struct innocent *others, const char *order)
{
	int fd = guest_open();
	uint32_t before = query_device(fd).fw_reboots;
	uint32_t function_resets = query_device(fd).function_resets;
	uint64_t failed = 0, jobs = 0;

	memset(others, 0, OTHERS * sizeof(*others));
	for (uint32_t i = 0; i < OTHERS; i++)
		innocent_start(&others[i]);
	for (uint32_t n = 0; n < CRASHES; n++) {
		for (uint32_t i = 0; i < OTHERS; i++)
			innocent_wait(&others[i], 3);
		control("{\"inject\":%s,\"after\":%u}", order, 5 + 13 * n);
		while (query_device(fd).fw_reboots == before + n)
			usleep(1000);
	}
	for (uint32_t i = 0; i < OTHERS; i++) {
		innocent_wait(&others[i], 3);
		innocent_end(&others[i]);
		EQUAL(others[i].state & ~NIB_QUEUE_STATE_INNOCENT, 0);
		EQUAL(others[i].renewed, 0);
		failed += others[i].failed;
		jobs += others[i].jobs;
	}
	printf("%s: %" PRIu64 " jobs right, %" PRIu64 " lost\n", order, jobs, failed);
	CHECK(failed <= CRASHES);
	EQUAL(query_device(fd).fw_reboots, before + CRASHES);
	EQUAL(query_device(fd).function_resets, function_resets);
	control_clear();
	close(fd);
}

int main(void)
{
	struct innocent *others = innocents(OTHERS);
	int fd;

	control_open();
	fd = guest_open();
	watchdog_set(400);
	crash(others, "\"firmware-crash\"");
	crash(others, "\"firmware-hang\",\"rung\":\"firmware\"");
	show_ladder(fd);
	return 0;
}
