/* SPDX-License-Identifier: MIT */
/*
 * The lowest rung: in a queue that keeps going a job that faults or hangs ends with its error and the
 * jobs behind it run. Only a queue that hangs again and again dies.
 */
#include "fault.h"

#define STRIKES	3u

static struct worker w;

static void new_queue(void)
{
	struct nib_queue_create args = {
		.vm_id = w.vm, .priority = NIB_PRIORITY_NORMAL, .flags = NIB_QUEUE_KEEP_GOING,
	};
	uint32_t fence = syncobj(w.fd);

	OK(queue_destroy(w.fd, w.queue));
	OK(nib_ioctl(w.fd, DRM_IOCTL_NIB_QUEUE_CREATE, &args));
	w.queue = args.queue_id;
	OK(worker_submit(&w, 1, FAULT_VA + FAULT_STATS, fence));
	OK(fence_end(w.fd, fence));
	w.hw = ((const struct nib_completion *)(const void *)((char *)w.mem + FAULT_STATS))->queue;
	drmSyncobjDestroy(w.fd, fence);
}

/* Three jobs, the middle one of which ends with @error. */
static void middle(const char *order, int error, uint32_t fault_status)
{
	struct nib_queue_get_state state;
	uint32_t fence[3];

	control("{\"inject\":%s,\"queue\":%u,\"after\":4}", order, w.hw);
	for (uint32_t i = 0; i < 3; i++) {
		fence[i] = syncobj(w.fd);
		OK(worker_submit_to(&w, 10 + i, i, 0, fence[i]));
	}
	OK(fence_end(w.fd, fence[0]));
	EXPECT(fence_end(w.fd, fence[1]), error);
	OK(fence_end(w.fd, fence[2]));
	worker_check_at(&w, 10, 0);
	worker_check_at(&w, 12, 2);
	state = queue_state(w.fd, w.queue);
	EQUAL(state.state, NIB_QUEUE_STATE_GUILTY);
	EQUAL(state.fault_status, fault_status);
	for (uint32_t i = 0; i < 3; i++)
		drmSyncobjDestroy(w.fd, fence[i]);
	OK(worker_run(&w, 20));
	control_clear();
}

static void hangs_again_and_again(void)
{
	uint32_t fence[2] = { syncobj(w.fd), syncobj(w.fd) }, i;

	control("{\"inject\":\"stuck-packet\",\"queue\":%u,\"rung\":\"queue\",\"count\":\"forever\"}",
		w.hw);
	for (i = 0; i < STRIKES; i++) {
		OK(worker_submit(&w, 1, 0, fence[0]));
		EXPECT(fence_end(w.fd, fence[0]), -ETIMEDOUT);
		EQUAL(queue_state(w.fd, w.queue).state, NIB_QUEUE_STATE_GUILTY);
	}
	OK(worker_submit(&w, 1, 0, fence[0]));
	OK(worker_submit(&w, 2, 0, fence[1]));
	EXPECT(fence_end(w.fd, fence[0]), -ETIMEDOUT);
	EXPECT(fence_end(w.fd, fence[1]), -ECANCELED);
	EQUAL(queue_state(w.fd, w.queue).state, NIB_QUEUE_STATE_GUILTY | NIB_QUEUE_STATE_BANNED);
	control_clear();
	new_queue();
	OK(worker_run(&w, 21));
}

int main(void)
{
	struct nib_device_info before;

	control_open();
	w = worker_begin(guest_open());
	watchdog_set(400);
	new_queue();
	before = query_device(w.fd);
	middle("\"mmu-fault\"", -EFAULT, NIB_DONE_FAULT_WRITE);
	new_queue();
	middle("\"stuck-packet\",\"rung\":\"queue\"", -ETIMEDOUT, NIB_DONE_CANCELLED);
	EQUAL(query_device(w.fd).reset_count, before.reset_count);
	new_queue();
	middle("\"stuck-packet\",\"rung\":\"engine\"", -ETIMEDOUT, NIB_DONE_CANCELLED);
	wait_for_resets(w.fd, before.reset_count + 1);
	EQUAL(query_device(w.fd).engine_resets, before.engine_resets + 1);
	new_queue();
	middle("\"stuck-packet\",\"rung\":\"firmware\"", -ETIMEDOUT, NIB_DONE_CANCELLED);
	wait_for_resets(w.fd, before.reset_count + 2);
	EQUAL(query_device(w.fd).fw_reboots, before.fw_reboots + 1);
	/* A firmware that refuses to end it is started anew; the queue goes on all the same. */
	new_queue();
	control("{\"inject\":\"bad-answer\",\"op\":\"job-cancel\"}");
	middle("\"stuck-packet\",\"rung\":\"firmware\"", -ETIMEDOUT, NIB_DONE_CANCELLED);
	wait_for_resets(w.fd, before.reset_count + 3);
	EQUAL(query_device(w.fd).fw_reboots, before.fw_reboots + 2);
	new_queue();
	hangs_again_and_again();
	return 0;
}
