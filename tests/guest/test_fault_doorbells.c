/* SPDX-License-Identifier: MIT */
/*
 * Doorbells that do not reach the device: the driver rings again, and nobody notices more than the
 * time that takes.
 */
#include "fault.h"

static struct worker w, other;

static void a_job_is_not_heard_of(void)
{
	int64_t before = control_struck("dead-doorbell");

	control("{\"inject\":\"dead-doorbell\",\"queue\":%u}", w.hw);
	OK(worker_run(&w, 11));
	EQUAL(control_struck("dead-doorbell"), before + 1);
	EQUAL(queue_state(w.fd, w.queue).state, 0);
}

/* The next ring tells of it too. */
static void a_job_behind_it_is(void)
{
	uint32_t fence[2] = { syncobj(w.fd), syncobj(w.fd) };

	control("{\"inject\":\"dead-doorbell\",\"queue\":%u}", w.hw);
	OK(worker_submit(&w, 21, 0, fence[0]));
	OK(worker_submit(&w, 22, 0, fence[1]));
	OK(fence_end(w.fd, fence[0]));
	OK(fence_end(w.fd, fence[1]));
	worker_check(&w, 22);
}

/* Others keep the device busy, so that it looks alive as a whole. */
static void a_job_is_not_heard_of_while_others_are(void)
{
	uint32_t fence = syncobj(w.fd), i = 0;

	control("{\"inject\":\"dead-doorbell\",\"queue\":%u}", w.hw);
	OK(worker_submit(&w, 31, 0, fence));
	do
		OK(worker_run(&other, 40 + i++));
	while (syncobj_wait(w.fd, fence, 0) && i < 100000);
	OK(fence_end(w.fd, fence));
	worker_check(&w, 31);
	EQUAL(queue_state(w.fd, other.queue).state, 0);
}

static void a_message_is_not_heard_of(void)
{
	int64_t before = control_struck("dead-admin-doorbell");
	struct worker v;

	control("{\"inject\":\"dead-admin-doorbell\",\"count\":2}");
	v = worker_begin(w.fd);
	OK(worker_run(&v, 12));
	worker_end(&v);
	EQUAL(control_struck("dead-admin-doorbell"), before + 2);
}

int main(void)
{
	control_open();
	w = worker_begin(guest_open());
	other = worker_begin(w.fd);
	RUN(a_job_is_not_heard_of());
	RUN(a_job_behind_it_is());
	RUN(a_job_is_not_heard_of_while_others_are());
	RUN(a_message_is_not_heard_of());
	return 0;
}
