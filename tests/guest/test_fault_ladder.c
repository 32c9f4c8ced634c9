/* SPDX-License-Identifier: MIT */
/*
 * Trouble that ends only with a certain rung of the ladder: it is climbed to, no further, and who is
 * hurt is told what he must know. Guilty jobs end with ETIMEDOUT, others as little as the rung allows, and
 * the device works afterwards.
 */
#include "fault.h"
#include "life.h"

#define JOBS	6u

static struct worker w, other;
static struct nib_device_info before;

/* Jobs of the one who is in trouble, and of one who is not. */
static uint32_t fences[JOBS], others[JOBS];

/* All in one call, which is over before anything can go wrong. */
static void submit_all(void)
{
	struct nib_sync_op syncs[2 * JOBS];
	struct nib_job jobs[2 * JOBS];
	uint64_t args[2 * JOBS][2];

	for (uint32_t i = 0; i < 2 * JOBS; i++) {
		const struct worker *who = i % 2 ? &other : &w;
		uint32_t fence = syncobj(w.fd), n = i / 2;

		(i % 2 ? others : fences)[n] = fence;
		args[i][0] = FAULT_VA + FAULT_ROW(n);
		args[i][1] = FAULT_VA + FAULT_OUT(i % 2 ? n : 0);
		syncs[i] = (struct nib_sync_op){ .flags = NIB_SYNC_SIGNAL, .handle = fence };
		jobs[i] = (struct nib_job){
			.queue_id = who->queue, .stream_id = who->stream, .nargs = 2,
			.args = (uintptr_t)args[i], .syncs = NIB_OBJ_ARRAY(1, &syncs[i]),
		};
	}
	OK(submit_jobs(w.fd, jobs, 2 * JOBS));
}

static void begin(void)
{
	before = query_device(w.fd);
}

/* What has been reset since begin(). Fences may end before a reset is over. */
static void expect_resets(uint32_t engine, uint32_t firmware, uint32_t function)
{
	struct nib_device_info now = query_device(w.fd);

	for (int tries = 0; tries < 1000 && now.engine_resets - before.engine_resets +
	     now.fw_reboots - before.fw_reboots + now.function_resets - before.function_resets <
	     engine + firmware + function; tries++) {
		usleep(10000);
		now = query_device(w.fd);
	}
	EQUAL(now.engine_resets - before.engine_resets, engine);
	EQUAL(now.fw_reboots - before.fw_reboots, firmware);
	EQUAL(now.function_resets - before.function_resets, function);
	EQUAL(now.wedged, 0);
}

static void expect_ends(const uint32_t *f, int first, int rest)
{
	for (uint32_t i = 0; i < JOBS; i++) {
		EXPECT(fence_end(w.fd, f[i]), i ? rest : first);
		drmSyncobjDestroy(w.fd, f[i]);
	}
}

/* They never noticed. */
static void expect_others_fine(void)
{
	for (uint32_t i = 0; i < JOBS; i++) {
		OK(fence_end(w.fd, others[i]));
		worker_check_at(&other, i, i);
		drmSyncobjDestroy(w.fd, others[i]);
	}
	EQUAL(queue_state(w.fd, other.queue).state, 0);
	OK(worker_run(&other, 7));
}

static void expect_guilty(void)
{
	struct nib_queue_get_state state = queue_state(w.fd, w.queue);

	EQUAL(state.state & ~NIB_QUEUE_STATE_LOST,
	      NIB_QUEUE_STATE_GUILTY | NIB_QUEUE_STATE_BANNED);
	EQUAL(state.fault_status, NIB_DONE_CANCELLED);
}

/* Memories are lost: everybody starts anew. */
static void start_anew(void)
{
	worker_fill(&w);
	worker_fill(&other);
	worker_new_queue(&w);
	worker_new_queue(&other);
	OK(worker_run(&w, 1));
	OK(worker_run(&other, 2));
}

/* In the middle of its first job. */
static void stick(const char *rung)
{
	begin();
	control("{\"inject\":\"stuck-packet\",\"queue\":%u,\"rung\":\"%s\",\"after\":1}", w.hw,
		rung);
	submit_all();
}

static void stuck_until_the_queue_is_reset(void)
{
	stick("queue");
	expect_ends(fences, -ETIMEDOUT, -ECANCELED);
	expect_others_fine();
	expect_guilty();
	expect_resets(0, 0, 0);
	start_anew();
}

static void stuck_until_the_engine_is_reset(void)
{
	stick("engine");
	expect_ends(fences, -ETIMEDOUT, -ECANCELED);
	expect_others_fine();
	expect_guilty();
	expect_resets(1, 0, 0);
	start_anew();
}

static void stuck_until_the_firmware_is_rebooted(void)
{
	stick("firmware");
	expect_ends(fences, -ETIMEDOUT, -ECANCELED);
	expect_others_fine();
	expect_guilty();
	expect_resets(0, 1, 0);
	start_anew();
}

/* Jobs that had ended before have; the others are lost with what they worked on. */
static void expect_others_lost(void)
{
	struct nib_queue_get_state state;
	bool lost = false;
	int status;

	for (uint32_t i = 0; i < JOBS; i++) {
		status = fence_end(w.fd, others[i]);
		if (status != -EIO && (status || lost))
			FAIL("job %u ends with %s", i, strerror(-status));
		lost |= status != 0;
		drmSyncobjDestroy(w.fd, others[i]);
	}
	state = queue_state(w.fd, other.queue);
	EQUAL(state.state, NIB_QUEUE_STATE_INNOCENT | NIB_QUEUE_STATE_LOST);
	CHECK(state.resets);
}

/* Whoever is told to end it, and refuses to, is started anew. */
static void stuck_and_the_firmware_does_not_care(void)
{
	begin();
	control("{\"inject\":\"bad-answer\",\"op\":\"queue-reset\"}");
	control("{\"inject\":\"stuck-packet\",\"queue\":%u,\"rung\":\"queue\",\"after\":1}", w.hw);
	submit_all();
	expect_ends(fences, -ETIMEDOUT, -ECANCELED);
	expect_others_fine();
	expect_guilty();
	expect_resets(0, 1, 0);
	start_anew();
}

static void stuck_until_the_function_is_reset(void)
{
	stick("function");
	EXPECT(fence_end(w.fd, fences[0]), -ETIMEDOUT);
	expect_others_lost();
	expect_guilty();
	CHECK(queue_state(w.fd, w.queue).state & NIB_QUEUE_STATE_LOST);
	expect_resets(0, 0, 1);
	start_anew();
}

/* Whose packet was on the engine then is not known: he is no more guilty than others. */
static void expect_reboot(void)
{
	unsigned int failed = 0;

	for (uint32_t i = 0; i < 2 * JOBS; i++) {
		uint32_t fence = i < JOBS ? fences[i] : others[i - JOBS];
		int status = fence_end(w.fd, fence);

		if (status && status != -EIO)
			FAIL("job %u ends with %s", i, strerror(-status));
		failed += status != 0;
		drmSyncobjDestroy(w.fd, fence);
	}
	/* At most the one whose packet was cut, and the one whose end was not told. */
	CHECK(failed <= 2);
	CHECK(!(queue_state(w.fd, w.queue).state & ~NIB_QUEUE_STATE_INNOCENT));
	CHECK(!(queue_state(w.fd, other.queue).state & ~NIB_QUEUE_STATE_INNOCENT));
	expect_resets(0, 1, 0);
	OK(worker_run(&w, 3));
	OK(worker_run(&other, 4));
}

static void firmware_stops(const char *how)
{
	begin();
	control("{\"inject\":\"%s\",\"after\":5}", how);
	submit_all();
	expect_reboot();
	start_anew();
}

/* With nothing in flight there is nothing that could be late: the next call finds out. */
static void firmware_stops_in_its_sleep(const char *how)
{
	struct worker v;

	begin();
	control("{\"inject\":\"%s\"}", how);
	v = worker_begin(w.fd);
	OK(worker_run(&v, 5));
	worker_end(&v);
	expect_resets(0, 1, 0);
	OK(worker_run(&w, 3));
	OK(worker_run(&other, 4));
}

static void firmware_hangs_until_the_function_is_reset(void)
{
	begin();
	control("{\"inject\":\"firmware-hang\",\"rung\":\"function\",\"after\":5}");
	submit_all();
	for (uint32_t i = 0; i < JOBS; i++) {
		fence_end(w.fd, fences[i]);
		fence_end(w.fd, others[i]);
	}
	CHECK(queue_state(w.fd, w.queue).state & NIB_QUEUE_STATE_LOST);
	CHECK(queue_state(w.fd, other.queue).state & NIB_QUEUE_STATE_LOST);
	expect_resets(0, 0, 1);
	start_anew();
}

/* The reboot fails, and a second try too: one rung more. */
static void firmware_does_not_boot(void)
{
	begin();
	control("{\"inject\":\"firmware-refused\",\"count\":2}");
	control("{\"inject\":\"firmware-crash\",\"after\":5}");
	submit_all();
	for (uint32_t i = 0; i < JOBS; i++) {
		fence_end(w.fd, fences[i]);
		fence_end(w.fd, others[i]);
	}
	expect_resets(0, 0, 1);
	start_anew();
}

/* Nothing helps: every fence ends, every call says so, and binding anew is the way out. */
static void wedged(void)
{
	uint32_t vm;
	char address[64];

	guest_pci_address(w.fd, address, sizeof(address));
	control("{\"inject\":\"firmware-refused\",\"count\":\"forever\"}");
	control("{\"inject\":\"firmware-crash\",\"after\":5}");
	submit_all();
	for (uint32_t i = 0; i < JOBS; i++) {
		int status = fence_end(w.fd, fences[i]);

		CHECK(!status || status == -EIO);
		status = fence_end(w.fd, others[i]);
		CHECK(!status || status == -EIO);
	}
	/* Fences end with the last rung but one. */
	for (int tries = 0; tries < 1000 && !query_device(w.fd).wedged; tries++)
		usleep(10000);
	EQUAL(query_device(w.fd).wedged, 1);
	EXPECT(vm_create(w.fd, &vm), -ENODEV);
	EXPECT(worker_submit(&w, 1, 0, fences[0]), -ENODEV);
	control_clear();
	OK(life_unbind(address));
	munmap(w.mem, FAULT_BYTES);
	munmap(other.mem, FAULT_BYTES);
	close(w.fd);
	OK(life_bind(address));
	life_check_fresh(0);
}

int main(void)
{
	control_open();
	watchdog_set(500);
	w = worker_begin(guest_open());
	other = worker_begin(w.fd);
	RUN(stuck_until_the_queue_is_reset());
	RUN(stuck_until_the_engine_is_reset());
	RUN(stuck_until_the_firmware_is_rebooted());
	RUN(stuck_and_the_firmware_does_not_care());
	RUN(stuck_until_the_function_is_reset());
	RUN(firmware_stops("firmware-crash"));
	RUN(firmware_stops("firmware-hang"));
	RUN(firmware_stops_in_its_sleep("firmware-crash"));
	RUN(firmware_stops_in_its_sleep("firmware-hang"));
	RUN(firmware_hangs_until_the_function_is_reset());
	RUN(firmware_does_not_boot());
	RUN(wedged());
	return 0;
}
