/* SPDX-License-Identifier: MIT */
/* SRAM buffers: zeroed, read and written by the device, in any mixture with the other memories. */
#include "guest.h"

#define HOST	0x100000000ull
#define SRAM	0x200000000ull
#define SIZE	(256 * KIB)

/* What is unmapped is free a moment later. */
static void expect_free(int fd, uint64_t bytes)
{
	int tries;

	for (tries = 0; tries < 100 && query_memory(fd).sram_free != bytes; tries++)
		usleep(10000);
	EQUAL(query_memory(fd).sram_free, bytes);
}

int main(void)
{
	struct guest g = guest_begin();
	uint64_t total = query_device(g.fd).sram_bytes;
	uint32_t *host, bo, i, round;
	struct stream s;

	if (total < 2 * SIZE)
		SKIP("this chip has no SRAM to speak of");
	host = guest_buffer(&g, HOST, SIZE, NIB_BO_HOST);
	for (round = 0; round < 2; round++) {
		OK(bo_create(g.fd, SIZE, NIB_BO_SRAM, &bo));
		EQUAL(query_memory(g.fd).client_sram, SIZE);
		expect_free(g.fd, total - SIZE);
		OK(vm_map(g.fd, g.vm, bo, 0, SRAM, SIZE, 0));
		/* What the last round left is gone. */
		memset(host, 0xff, SIZE);
		s.count = 0;
		packet_copy(&s, SRAM, HOST, SIZE / 4);
		packet_end(&s);
		OK(run_stream(g.fd, g.vm, g.queue, &s));
		for (i = 0; i < SIZE / 4; i++)
			EQUAL(host[i], 0);
		for (i = 0; i < SIZE / 4; i++)
			host[i] = i ^ 0xabcd;
		s.count = 0;
		packet_copy(&s, HOST, SRAM, SIZE / 4);
		packet_fill(&s, HOST, SIZE / 4, 0);
		packet_copy(&s, SRAM, HOST, SIZE / 4);
		packet_end(&s);
		OK(run_stream(g.fd, g.vm, g.queue, &s));
		for (i = 0; i < SIZE / 4; i++)
			EQUAL(host[i], i ^ 0xabcd);
		/* The mapping holds the memory, not the handle. */
		OK(bo_close(g.fd, bo));
		EQUAL(query_memory(g.fd).client_sram, 0);
		expect_free(g.fd, total - SIZE);
		OK(vm_unmap(g.fd, g.vm, SRAM, SIZE));
		expect_free(g.fd, total);
	}
	return 0;
}
