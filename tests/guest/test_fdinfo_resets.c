/* SPDX-License-Identifier: MIT */
/*
 * What fdinfo counts for a client only grows, in the eyes of a reader who looks all the time, while
 * the engine, the firmware and the function are reset under it, by the watchdog and by an
 * administrator: none of them makes anybody's work undone.
 */
#include "fault.h"
#include "fdinfo.h"
#include "life.h"

#define PERIOD_MS	1000u
#define JOBS		4u

static struct worker w;

static void work(void)
{
	for (uint32_t i = 0; i < JOBS; i++)
		OK(worker_run(&w, i));
}

/* More than before, by the jobs that went well. */
static void has_grown(uint64_t before[FDINFO_GROWING])
{
	fdinfo_read(w.fd);
	for (size_t i = 0; i < FDINFO_GROWING; i++) {
		uint64_t now = fdinfo_number(fdinfo_growing[i]);

		if (now <= before[i])
			FAIL("%s: %" PRIu64 " after %" PRIu64, fdinfo_growing[i], now, before[i]);
		before[i] = now;
	}
}

/* A job hangs until @rung is reset. */
static void hang(const char *rung)
{
	uint32_t resets = query_device(w.fd).reset_count, fence = syncobj(w.fd);

	control("{\"inject\":\"stuck-packet\",\"queue\":%u,\"rung\":\"%s\"}", w.hw, rung);
	OK(worker_submit(&w, 1, 0, fence));
	EXPECT(fence_end(w.fd, fence), -ETIMEDOUT);
	wait_for_resets(w.fd, resets + 1);
	drmSyncobjDestroy(w.fd, fence);
	control_clear();
}

static void begin_again(void)
{
	worker_fill(&w);
	worker_new_queue(&w);
}

int main(void)
{
	static const char *const rungs[] = { "engine", "firmware", "function" };
	uint64_t before[FDINFO_GROWING] = { 0 };
	struct fdinfo_watch watch;
	char address[64], of[96];
	uint32_t resets;

	control_open();
	w = worker_begin(guest_open());
	guest_pci_address(w.fd, address, sizeof(address));
	snprintf(of, sizeof(of), "devices/%s", address);
	watchdog_set(PERIOD_MS);
	fdinfo_watch_begin(&watch, w.fd);
	work();
	has_grown(before);
	for (uint32_t i = 0; i < sizeof(rungs) / sizeof(rungs[0]); i++) {
		hang(rungs[i]);
		begin_again();
		work();
		has_grown(before);
	}
	resets = query_device(w.fd).function_resets;
	OK(life_write(of, "reset", "1"));
	EQUAL(query_device(w.fd).function_resets, resets + 1);
	begin_again();
	work();
	has_grown(before);
	fdinfo_watch_end(&watch);
	close(w.fd);
	return 0;
}
