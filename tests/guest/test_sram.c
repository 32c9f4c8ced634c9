/* SPDX-License-Identifier: MIT */
/* SRAM buffers: zeroed, read and written by the device, in any mixture with the other memories. */
#include "guest.h"

#define HOST	0x100000000ull
#define SRAM	0x200000000ull
#define SIZE	(256 * KIB)

int main(void)
{
	struct guest g = guest_begin();
	struct nib_memory_info memory;
	uint32_t *host, bo, i, round;
	struct stream s;

	if (query_device(g.fd).sram_bytes < 2 * SIZE)
		SKIP("this chip has no SRAM to speak of");
	host = guest_buffer(&g, HOST, SIZE, NIB_BO_HOST);
	for (round = 0; round < 2; round++) {
		OK(bo_create(g.fd, SIZE, NIB_BO_SRAM, &bo));
		memory = query_memory(g.fd);
		EQUAL(memory.client_sram, SIZE);
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
		EQUAL(query_memory(g.fd).sram_free, memory.sram_free);
		OK(vm_unmap(g.fd, g.vm, SRAM, SIZE));
	}
	return 0;
}
