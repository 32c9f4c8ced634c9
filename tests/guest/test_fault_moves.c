/* SPDX-License-Identifier: MIT */
/*
 * Faults of the driver's own jobs that move memory: buffers that leave HBM for others and come back,
 * leases that take turns in SRAM. They are done again, and no word is lost. A reset of the function
 * loses what device memories hold, and leases work on after it; when the driver is unbound with moves
 * under way, all is there for the next one.
 */
#include "fault.h"
#include "life.h"

#define BYTES		(12 * MIB)
#define BUFFER_VA	0x300000000ull
#define LEASE_VA	0x400000000ull
#define LEASE_STEP	(64 * MIB)
#define OUT_VA		0x500000000ull
#define LEASES		2u

/* A client with a buffer in HBM and leases of which one fits into SRAM at a time. */
struct mover {
	struct guest g;
	uint32_t bo;
	uint32_t lease[LEASES];
	uint64_t lease_bytes;
	uint32_t *out;
	uint32_t done;
	uint32_t value;		/* in every word of the buffer; leases hold the next ones */
};

static uint64_t part(const struct mover *m, uint32_t i)
{
	return i ? m->lease_bytes : BYTES;
}

static uint64_t part_va(uint32_t i)
{
	return i ? LEASE_VA + i * LEASE_STEP : BUFFER_VA;
}

static int mover_submit(struct mover *m, const struct stream *s, uint32_t lease)
{
	struct nib_lease_ref ref = { .handle = lease };
	uint32_t id = stream_create(m->g.fd, m->g.vm, s);
	int ret = submit_naming(m->g.fd, m->g.queue, id, m->done, &ref, lease != 0);

	OK(stream_destroy(m->g.fd, m->g.vm, id));
	return ret;
}

static void mover_run(struct mover *m, const struct stream *s, uint32_t lease)
{
	OK(mover_submit(m, s, lease));
	OK(fence_end(m->g.fd, m->done));
}

static void mover_write(struct mover *m, uint32_t value)
{
	struct stream s = { 0 };
	uint32_t i;

	m->value = value;
	for (i = 0; i <= LEASES; i++)
		packet_fill(&s, part_va(i), part(m, i) / 4, value + i);
	packet_end(&s);
	mover_run(m, &s, 0);
}

static void mover_check(struct mover *m, uint32_t lease)
{
	struct stream s = { 0 };
	uint32_t i, k;

	memset(m->out, 0xee, 4096);
	for (i = 0; i <= LEASES; i++)
		for (k = 0; k < 8; k++)
			packet_copy(&s, part_va(i) + k * (part(m, i) / 8) + k * 4,
				    OUT_VA + (i * 8 + k) * 4, 1);
	packet_end(&s);
	mover_run(m, &s, lease);
	for (i = 0; i <= LEASES; i++)
		for (k = 0; k < 8; k++)
			EQUAL(m->out[i * 8 + k], m->value + i);
}

static struct mover mover_begin(void)
{
	struct mover m = { .g = guest_begin() };
	uint32_t i;

	OK(bo_create(m.g.fd, BYTES, NIB_BO_HBM, &m.bo));
	OK(vm_map(m.g.fd, m.g.vm, m.bo, 0, BUFFER_VA, BYTES, 0));
	m.lease_bytes = query_device(m.g.fd).sram_bytes * 5 / 8 & ~(64 * KIB - 1);
	for (i = 0; i < LEASES; i++) {
		OK(lease_create(m.g.fd, 0, m.lease_bytes, &m.lease[i]));
		OK(vm_map(m.g.fd, m.g.vm, m.lease[i], 0, part_va(i + 1), m.lease_bytes, 0));
	}
	m.out = guest_buffer(&m.g, OUT_VA, 4096, NIB_BO_HOST);
	m.done = syncobj(m.g.fd);
	return m;
}

static void mover_end(struct mover *m)
{
	munmap(m->out, 4096);
	close(m->g.fd);
}

static struct mover m;

/* All there is to move, once each way. */
static void move_all(uint32_t round)
{
	mover_write(&m, 1000 * round);
	guest_crowd_out();
	mover_check(&m, m.lease[0]);
	mover_check(&m, m.lease[1]);
}

/* Queue 0 is the driver's. @after: which of its packets it is. */
static void fault(const char *name, const char *how)
{
	static uint32_t round;
	uint32_t after;

	for (after = 0; after < 4; after++) {
		int64_t before = control_struck(name);

		printf("%s%s after %u\n", name, how, after);
		fflush(stdout);
		control("{\"inject\":\"%s\",\"queue\":0,\"after\":%u%s}", name, after, how);
		move_all(++round);
		/* Fewer chances than that are none. */
		CHECK(control_struck(name) > before || after);
		control_clear();
	}
	EQUAL(query_device(m.g.fd).wedged, 0);
	EQUAL(queue_state(m.g.fd, m.g.queue).state, 0);
}

static void check_lease_counts(void)
{
	uint32_t i;

	for (i = 0; i < LEASES; i++) {
		struct nib_sram_lease_query q = lease_query(m.g.fd, m.lease[i]);

		EQUAL(q.generation, q.spills + q.restores);
		CHECK(q.restores);
		CHECK(q.resident == 0 || q.resident == m.lease_bytes);
	}
}

/* The function is reset while leases wait for their turns. */
static void function_reset(void)
{
	uint32_t resets = query_device(m.g.fd).function_resets, i;
	struct stream s = { 0 };
	struct worker w = worker_begin(guest_open());

	mover_write(&m, 7);
	packet_fill(&s, part_va(0), BYTES / 4, 8);
	packet_end(&s);
	control("{\"inject\":\"stuck-packet\",\"queue\":%u,\"rung\":\"function\"}", w.hw);
	EXPECT(worker_run(&w, 1), -ETIMEDOUT);
	for (i = 0; i < 1000 && query_device(m.g.fd).function_resets == resets; i++)
		usleep(10000);
	EQUAL(query_device(m.g.fd).function_resets, resets + 1);
	EXPECT(mover_submit(&m, &s, m.lease[0]), -ECANCELED);
	EQUAL(queue_state(m.g.fd, m.g.queue).state,
	      NIB_QUEUE_STATE_INNOCENT | NIB_QUEUE_STATE_LOST);
	OK(queue_destroy(m.g.fd, m.g.queue));
	OK(queue_create(m.g.fd, m.g.vm, NIB_PRIORITY_NORMAL, &m.g.queue));
	for (i = 1; i < 4; i++)
		move_all(i);
	check_lease_counts();
	close(w.fd);
}

/* The driver goes while a job holds its lease, and another one waits for the room. */
static void unbind(void)
{
	struct nib_memory_info before, after;
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };
	struct pollfd ended = { .events = POLLIN };
	struct stream s = { 0 };
	char address[64];
	uint64_t *flag;
	int fd, tries;

	guest_pci_address(m.g.fd, address, sizeof(address));
	mover_write(&m, 3);
	flag = (uint64_t *)(m.out + 512);
	*flag = 0;
	packet_sem(&s, OUT_VA + 2048, 1, NIB_SEM_WAIT_GE);
	packet_fill(&s, part_va(1), 64, 1);
	packet_end(&s);
	OK(mover_submit(&m, &s, m.lease[0]));
	OK(mover_submit(&m, &s, m.lease[1]));
	CHECK(!drmSyncobjExportSyncFile(m.g.fd, m.done, &ended.fd));
	OK(life_unbind(address));
	CHECK(poll(&ended, 1, 60000) == 1);
	CHECK(!ioctl(ended.fd, SYNC_IOC_FILE_INFO, &info));
	EXPECT(fence.status, -ENODEV);
	close(ended.fd);
	mover_end(&m);
	OK(life_bind(address));
	fd = guest_open();
	before = query_memory(fd);
	EQUAL(before.sram_free, query_device(fd).sram_bytes);
	m = mover_begin();
	for (tries = 1; tries < 4; tries++)
		move_all((uint32_t)tries);
	check_lease_counts();
	mover_end(&m);
	for (tries = 0; tries < 500; tries++) {
		after = query_memory(fd);
		if (after.hbm_free == before.hbm_free && after.sram_free == before.sram_free)
			break;
		usleep(20000);
	}
	EQUAL(after.hbm_free, before.hbm_free);
	EQUAL(after.sram_free, before.sram_free);
	close(fd);
}

int main(void)
{
	control_open();
	m = mover_begin();
	guest_needs_small_hbm(m.g.fd);
	watchdog_set(1000);
	fault("lost-interrupt", "");
	fault("dead-doorbell", "");
	fault("mmu-fault", "");
	fault("duplicate-completion", "");
	fault("corrupt-completion", ",\"field\":\"seqno\"");
	fault("corrupt-completion", ",\"field\":\"status\"");
	fault("stuck-packet", ",\"rung\":\"queue\"");
	fault("stuck-packet", ",\"rung\":\"firmware\"");
	check_lease_counts();
	RUN(function_reset());
	watchdog_set(0);
	RUN(unbind());
	return 0;
}
