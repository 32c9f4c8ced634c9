/* SPDX-License-Identifier: MIT */
/*
 * Firmware that answers late, refuses what it should do, or tells events that make no sense. Calls
 * succeed or say EIO, nothing leaks into the next one, and jobs of others go on.
 */
#include "fault.h"

static struct worker w;

static struct nib_device_info before;

static void begin(void)
{
	before = query_device(w.fd);
}

static void expect_reboots(uint32_t reboots)
{
	struct nib_device_info now = query_device(w.fd);

	EQUAL(now.engine_resets - before.engine_resets, 0);
	EQUAL(now.fw_reboots - before.fw_reboots, reboots);
	EQUAL(now.function_resets - before.function_resets, 0);
	OK(worker_run(&w, 2));
	EQUAL(queue_state(w.fd, w.queue).state, 0);
}

/* Its heart beats: it is only waited for. */
static void slow_answers(void)
{
	struct worker v;

	begin();
	control("{\"inject\":\"firmware-slow\",\"ms\":1500,\"count\":3}");
	v = worker_begin(w.fd);
	OK(worker_run(&v, 3));
	worker_end(&v);
	expect_reboots(0);
}

/* A call that needs it fails, and the next one works. */
static void refused_to_create(void)
{
	struct nib_stream_create args;
	struct stream s = { 0 };
	uint32_t id;

	begin();
	packet_end(&s);
	control("{\"inject\":\"bad-answer\",\"op\":\"context-create\"}");
	EXPECT(vm_create(w.fd, &id), -EIO);
	OK(vm_create(w.fd, &id));
	OK(vm_destroy(w.fd, id));
	control("{\"inject\":\"bad-answer\",\"op\":\"queue-create\",\"status\":%u}",
		NIB_ADM_ERR_BUSY);
	EXPECT(queue_create(w.fd, w.vm, NIB_PRIORITY_NORMAL, &id), -EIO);
	OK(queue_create(w.fd, w.vm, NIB_PRIORITY_NORMAL, &id));
	OK(queue_destroy(w.fd, id));
	control("{\"inject\":\"bad-answer\",\"op\":\"stream-create\",\"status\":4294967295}");
	EXPECT(stream_create_raw(w.fd, w.vm, s.words, s.count * 8, &args), -EIO);
	OK(stream_create_raw(w.fd, w.vm, s.words, s.count * 8, &args));
	OK(stream_destroy(w.fd, w.vm, args.stream_id));
	expect_reboots(0);
}

/* Memory stays with a device that may still use it: it is asked again, at last rebooted. */
static void refused_to_forget(unsigned int times, uint32_t reboots)
{
	static const char *const ops[] = { "queue-destroy", "stream-destroy", "context-destroy" };
	uint64_t hbm_free = query_memory(w.fd).hbm_free;
	struct worker v;
	unsigned int i, tries;

	begin();
	v = worker_begin(w.fd);
	for (i = 0; i < 3; i++)
		control("{\"inject\":\"bad-answer\",\"op\":\"%s\",\"count\":%u}", ops[i], times);
	worker_end(&v);
	/* What is released is free a little later. */
	for (tries = 0; tries < 500 && query_memory(w.fd).hbm_free != hbm_free; tries++)
		usleep(20000);
	EQUAL(query_memory(w.fd).hbm_free, hbm_free);
	control_clear();
	expect_reboots(reboots);
}

static void events_that_make_no_sense(void)
{
	begin();
	for (uint32_t i = 0; i < 4; i++) {
		control("{\"inject\":\"garbage-event\"}");
		OK(worker_run(&w, i));
	}
	control("{\"inject\":\"garbage-event\",\"after\":1,\"count\":20}");
	for (uint32_t i = 0; i < 10; i++)
		OK(worker_run(&w, i));
	expect_reboots(0);
}

int main(void)
{
	control_open();
	w = worker_begin(guest_open());
	RUN(slow_answers());
	RUN(refused_to_create());
	RUN(refused_to_forget(1, 0));
	RUN(refused_to_forget(1000, 3));
	RUN(events_that_make_no_sense());
	return 0;
}
