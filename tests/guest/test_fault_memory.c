/* SPDX-License-Identifier: MIT */
/*
 * Memory that fails a job: an access that faults though it is mapped, an error that ECC does not
 * correct. That job ends with an error, its queue with it; one that ECC corrects, DMA that is only
 * slow, and packets that are only long, are no trouble.
 */
#include "fault.h"

#define PERIOD_MS	1500u

static struct worker w, other;

static void mmu_fault(void)
{
	uint32_t fence = syncobj(w.fd);
	struct nib_queue_get_state state;

	/* The second packet is the first that reads. */
	control("{\"inject\":\"mmu-fault\",\"queue\":%u,\"after\":1}", w.hw);
	OK(worker_submit(&w, 11, 0, fence));
	OK(worker_run(&other, 12));
	EXPECT(fence_end(w.fd, fence), -EFAULT);
	state = queue_state(w.fd, w.queue);
	EQUAL(state.fault_packet, 1);
	EQUAL(state.fault_va, FAULT_VA + FAULT_ROW(11));
	EQUAL(queue_state(w.fd, other.queue).state, 0);
	worker_died(&w, NIB_QUEUE_STATE_GUILTY, NIB_DONE_FAULT_READ);
}

static void mmu_fault_of_a_write(void)
{
	control("{\"inject\":\"mmu-fault\",\"queue\":%u}", w.hw);
	EXPECT(worker_run(&w, 13), -EFAULT);
	worker_died(&w, NIB_QUEUE_STATE_GUILTY, NIB_DONE_FAULT_WRITE);
}

static void ecc_corrected(void)
{
	int64_t before = control_struck("ecc-corrected");

	control("{\"inject\":\"ecc-corrected\",\"queue\":%u,\"count\":3}", w.hw);
	for (uint32_t i = 0; i < 4; i++)
		OK(worker_run(&w, 21 + i));
	EQUAL(control_struck("ecc-corrected"), before + 3);
	EQUAL(queue_state(w.fd, w.queue).state, 0);
}

static void ecc_not_corrected(void)
{
	control("{\"inject\":\"ecc-fatal\",\"queue\":%u}", w.hw);
	EXPECT(worker_run(&w, 31), -EIO);
	OK(worker_run(&other, 32));
	EQUAL(queue_state(w.fd, other.queue).state, 0);
	worker_died(&w, NIB_QUEUE_STATE_INNOCENT, NIB_DONE_FAULT_ECC);
}

/* Together longer than the watchdog waits, but packet by packet there is progress. */
static void slow_dma(void)
{
	uint32_t fences[6], i;

	control("{\"inject\":\"slow-dma\",\"queue\":%u,\"ms\":150,\"count\":\"forever\"}", w.hw);
	for (i = 0; i < 6; i++) {
		fences[i] = syncobj(w.fd);
		OK(worker_submit(&w, 40 + i, 0, fences[i]));
	}
	for (i = 0; i < 6; i++)
		OK(fence_end(w.fd, fences[i]));
	worker_check(&w, 45);
	EQUAL(queue_state(w.fd, w.queue).state, 0);
}

#define LONG_BYTES	(4 * MIB)

/* One packet that copies the same bytes @times times. Returns how long it took, in ms. */
static uint64_t copy_again(const struct guest *g, uint64_t times)
{
	struct stream s = { 0 };
	uint64_t begin = now_ns();

	packet(&s, NIB_OP_COPY, 0, 10, W(FAULT_VA), W(FAULT_VA + LONG_BYTES), LONG_BYTES / 4, times,
	       W(1), W(0), W(0), W(0), W(0), W(NIB_FMT_U32) | W(NIB_FMT_U32) << 32);
	packet_end(&s);
	OK(run_stream(g->fd, g->vm, g->queue, &s));
	return (now_ns() - begin) / 1000000;
}

/* A single packet that takes more than one of the watchdog's periods, and gets on all the time. */
static void long_packet(void)
{
	struct guest g = guest_begin();
	uint32_t *mem = guest_buffer(&g, FAULT_VA, 2 * LONG_BYTES, NIB_BO_HBM);
	uint64_t times = 32, ms;

	for (uint32_t i = 0; i < LONG_BYTES / 4; i++)
		mem[i] = 3 * i + 1;
	do {
		times *= 2;
		ms = copy_again(&g, times);
	} while (ms < 2 * PERIOD_MS && times < 1 << 20);
	printf("a packet of %" PRIu64 " ms, with a watchdog of %u ms\n", ms, PERIOD_MS);
	CHECK(ms >= 2 * PERIOD_MS);
	for (uint32_t i = 0; i < LONG_BYTES / 4; i++)
		EQUAL(mem[LONG_BYTES / 4 + i], 3 * i + 1);
	EQUAL(queue_state(g.fd, g.queue).state, 0);
	munmap(mem, 2 * LONG_BYTES);
	close(g.fd);
}

int main(void)
{
	control_open();
	w = worker_begin(guest_open());
	other = worker_begin(w.fd);
	RUN(mmu_fault());
	RUN(mmu_fault_of_a_write());
	RUN(ecc_corrected());
	RUN(ecc_not_corrected());
	watchdog_set(PERIOD_MS);
	RUN(slow_dma());
	RUN(long_packet());
	return 0;
}
