/* SPDX-License-Identifier: MIT */
/*
 * A packet that hangs until queue, engine, firmware or function are reset: the driver climbs just as
 * far. The job that hangs ends with ETIMEDOUT and its queue with it. Everybody else's jobs go on and give
 * the right results, unless what they work on is lost, which they are told.
 */
#include "innocent.h"

#define PERIOD_MS	1000u
#define OTHERS		2u

static struct worker guilty;
static struct innocent *others;

struct rung {
	const char *name;
	uint32_t engine, firmware, function;	/* resets that take place */
};

static const struct rung rungs[] = {
	{ "queue", 0, 0, 0 },
	{ "engine", 1, 0, 0 },
	{ "firmware", 0, 1, 0 },
	{ "function", 0, 0, 1 },
};

static void hang(const char *rung)
{
	control("{\"inject\":\"stuck-packet\",\"queue\":%u,\"rung\":\"%s\"}", guilty.hw, rung);
}

static void check_counts(const struct nib_device_info *before, const struct rung *rung)
{
	struct nib_device_info info = query_device(guilty.fd);

	EQUAL(info.engine_resets - before->engine_resets, rung->engine);
	EQUAL(info.fw_reboots - before->fw_reboots, rung->firmware);
	EQUAL(info.function_resets - before->function_resets, rung->function);
	EQUAL(info.reset_count - before->reset_count,
	      rung->engine + rung->firmware + rung->function);
	EQUAL(info.wedged, 0);
}

static void climb(const struct rung *rung)
{
	struct nib_device_info before = query_device(guilty.fd);
	uint32_t fence[2] = { syncobj(guilty.fd), syncobj(guilty.fd) };
	uint32_t resets = rung->engine + rung->firmware + rung->function;
	struct nib_queue_get_state state;
	uint64_t begin, gap = 0;

	for (uint32_t i = 0; i < OTHERS; i++) {
		memset(&others[i], 0, sizeof(others[i]));
		innocent_start(&others[i]);
		innocent_wait(&others[i], 10);
		__atomic_store_n(&others[i].gap_ns, 0, __ATOMIC_RELEASE);
	}
	hang(rung->name);
	begin = now_ns();
	OK(worker_submit(&guilty, 1, 0, fence[0]));
	OK(worker_submit(&guilty, 2, 0, fence[1]));
	EXPECT(fence_end(guilty.fd, fence[0]), -ETIMEDOUT);
	EXPECT(fence_end(guilty.fd, fence[1]), -ECANCELED);
	printf("%s: fence after %.0f ms\n", rung->name, (double)(now_ns() - begin) * 1e-6);
	/* Fences come as soon as the device has reported; the count, once the reset has helped. */
	for (uint32_t i = 0; i < 500; i++) {
		state = queue_state(guilty.fd, guilty.queue);
		if (state.resets == resets)
			break;
		usleep(10000);
	}
	EQUAL(state.state, NIB_QUEUE_STATE_GUILTY | NIB_QUEUE_STATE_BANNED |
			   (rung->function ? NIB_QUEUE_STATE_LOST : 0));
	EQUAL(state.resets, resets);
	EXPECT(worker_submit(&guilty, 1, 0, fence[0]), -ECANCELED);

	for (uint32_t i = 0; i < OTHERS; i++) {
		innocent_wait(&others[i], 10);
		innocent_end(&others[i]);
		EQUAL(others[i].state, rung->function ?
		      NIB_QUEUE_STATE_INNOCENT | NIB_QUEUE_STATE_LOST : 0);
		EQUAL(others[i].renewed, rung->function);
		EQUAL(others[i].failed, 0);
		EQUAL(others[i].resets, resets);
		gap = others[i].gap_ns > gap ? others[i].gap_ns : gap;
	}
	printf("%s: innocents waited for %.0f ms, with a watchdog of %u ms\n", rung->name,
	       (double)gap * 1e-6, PERIOD_MS);
	check_counts(&before, rung);
	/* The guilty one may try again. */
	if (rung->function)
		worker_fill(&guilty);
	worker_new_queue(&guilty);
	OK(worker_run(&guilty, 5));
	drmSyncobjDestroy(guilty.fd, fence[0]);
	drmSyncobjDestroy(guilty.fd, fence[1]);
}

/* Memory that is made after a reset of the function is as empty as ever. */
static void new_memory_is_zero(void)
{
	struct guest g = guest_begin();
	uint32_t *mem = guest_buffer(&g, FAULT_VA, MIB, NIB_BO_HBM);

	for (uint32_t i = 0; i < MIB / 4; i++)
		EQUAL(mem[i], 0);
	munmap(mem, MIB);
	close(g.fd);
}

int main(void)
{
	control_open();
	guilty = worker_begin(guest_open());
	others = innocents(OTHERS);
	watchdog_set(PERIOD_MS);
	for (uint32_t i = 0; i < sizeof(rungs) / sizeof(rungs[0]); i++) {
		climb(&rungs[i]);
		control_clear();
	}
	new_memory_is_zero();
	show_ladder(guilty.fd);
	return 0;
}
