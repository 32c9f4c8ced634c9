/* SPDX-License-Identifier: MIT */
/*
 * Interrupts that are lost cost time, and nothing else; those that come for no reason cost nothing.
 */
#include "fault.h"

static struct worker w;

static void job_without_its_interrupt(void)
{
	int64_t before = control_struck("lost-interrupt");

	control("{\"inject\":\"lost-interrupt\",\"queue\":%u}", w.hw);
	OK(worker_run(&w, 11));
	EQUAL(control_struck("lost-interrupt"), before + 1);
	EQUAL(queue_state(w.fd, w.queue).state, 0);
}

/* More jobs than one look of the watchdog may find. */
static void many_jobs_without_any(void)
{
	uint32_t fences[64], i;

	control("{\"inject\":\"lost-interrupt\",\"queue\":%u,\"count\":\"forever\"}", w.hw);
	for (i = 0; i < 64; i++) {
		fences[i] = syncobj(w.fd);
		OK(worker_submit(&w, 100 + i, 0, fences[i]));
	}
	for (i = 0; i < 64; i++) {
		OK(fence_end(w.fd, fences[i]));
		drmSyncobjDestroy(w.fd, fences[i]);
	}
	worker_check(&w, 163);
}

static void messages_without_theirs(void)
{
	struct worker v;

	control("{\"inject\":\"lost-interrupt\",\"vector\":0,\"count\":\"forever\"}");
	v = worker_begin(w.fd);
	OK(worker_run(&v, 12));
	worker_end(&v);
}

static void interrupts_for_no_reason(void)
{
	uint32_t i;

	for (i = 0; i < 8; i++) {
		control("{\"inject\":\"spurious-interrupt\",\"count\":20}");
		OK(worker_run(&w, 20 + i));
	}
	control("{\"inject\":\"spurious-interrupt\",\"after\":1,\"count\":8}");
	for (i = 0; i < 8; i++)
		OK(worker_run(&w, 30 + i));
}

int main(void)
{
	control_open();
	w = worker_begin(guest_open());
	RUN(job_without_its_interrupt());
	RUN(many_jobs_without_any());
	RUN(messages_without_theirs());
	RUN(interrupts_for_no_reason());
	return 0;
}
