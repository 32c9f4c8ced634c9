/* SPDX-License-Identifier: MIT */
/*
 * Tasks that have HBM mapped, while it goes to host memory and comes back: they read what was
 * written, by whomever, and write where it is just now. Both ends of it, reader threads at the same
 * time included.
 */
#include "guest.h"

#include <pthread.h>
#include <stdatomic.h>

#define VA	0x40000000ull
#define OUT	0x10000000ull
#define SIZE	(5 * MIB)
#define WORDS	(SIZE / 4)
#define ROUNDS	6u

static struct guest g;
static uint32_t *p;
static atomic_bool stop;

/* Counts up in a page of its own; nobody may lose one. */
static void *writer(void *arg)
{
	volatile uint32_t *word = arg;
	uint32_t n = 0;

	while (!atomic_load(&stop)) {
		if (*word != n)
			FAIL("a word is %u, not %u", *word, n);
		*word = ++n;
	}
	return (void *)(uintptr_t)n;
}

static void device_fill(uint64_t offset, uint64_t words, uint32_t value)
{
	struct stream s = { 0 };

	packet_fill(&s, VA + offset, words, value);
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
}

static uint32_t device_read(uint64_t offset)
{
	static uint32_t *out;
	struct stream s = { 0 };

	if (!out)
		out = guest_buffer(&g, OUT, 4096, NIB_BO_HOST);
	packet_copy(&s, VA + offset, OUT, 1);
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	return out[0];
}

int main(void)
{
	struct nib_memory_info info;
	pthread_t threads[2];
	uint32_t i, k, round;
	void *n[2];

	g = guest_begin();
	guest_needs_small_hbm(g.fd);
	p = guest_buffer(&g, VA, SIZE, NIB_BO_HBM);
	/* Written by the CPU in HBM, read in host memory; written there, read by the device. */
	for (i = 0; i < WORDS; i++)
		p[i] = i * 7;
	for (round = 1; round <= ROUNDS; round++) {
		guest_crowd_out();
		info = query_memory(g.fd);
		EQUAL(info.client_hbm_resident, 0);
		for (i = round; i < WORDS; i += 1021)
			EQUAL(p[i], i * 7);
		EQUAL(query_memory(g.fd).client_hbm_resident, 0);
		p[round] = round;
		EQUAL(device_read(round * 4), round);
		EQUAL(query_memory(g.fd).client_hbm_resident, SIZE);
		p[round] = round * 7;
		/* By the device in HBM, read wherever. */
		device_fill(SIZE / 2, 1024, round);
		if (round % 2)
			guest_crowd_out();
		for (i = 0; i < 1024; i++)
			EQUAL(p[WORDS / 2 + i], round);
		for (i = 0; i < 1024; i++)
			p[WORDS / 2 + i] = (uint32_t)(WORDS / 2 + i) * 7;
	}
	/* All the time. */
	p[0] = 0;
	p[WORDS - 1024] = 0;
	CHECK(!pthread_create(&threads[0], NULL, writer, &p[0]));
	CHECK(!pthread_create(&threads[1], NULL, writer, &p[WORDS - 1024]));
	for (round = 0; round < ROUNDS; round++) {
		guest_crowd_out();
		device_fill(4096, 1024, round);
		for (k = 0; k < 1024; k++)
			EQUAL(p[1024 + k], round);
	}
	atomic_store(&stop, true);
	for (i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], &n[i]));
	EQUAL(device_read(0), (uintptr_t)n[0]);
	EQUAL(device_read((WORDS - 1024) * 4), (uintptr_t)n[1]);
	CHECK(n[0] && n[1]);
	return 0;
}
