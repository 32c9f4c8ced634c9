/* SPDX-License-Identifier: MIT */
/*
 * The kernel takes host memory of idle buffers back and swaps it out: those that were made there,
 * and those that have left HBM. The CPU and jobs find their contents again. While a job runs its
 * buffers stay.
 */
#include "guest.h"

#include <sys/swap.h>

#define VA_HOST	0x40000000ull
#define VA_HBM	0x80000000ull
#define OUT	0x10000000ull
#define SIZE	(24 * MIB)
#define WORDS	(SIZE / 4)
#define SPARE	(256 * MIB)

/*
 * Swap that is in memory itself, which is enough to see what happens. It takes memory just when
 * there is none, and a kernel that watches allocations takes more for each: without a reserve that
 * lasts, none could be freed any more.
 */
static void swap_on(void)
{
	write_file("/proc/sys/vm/min_free_kbytes", "32768");
	if (write_file("/sys/block/zram0/disksize", "512M") ||
	    system("mkswap /dev/zram0 >/dev/null"))
		SKIP("no zram to swap to");
	if (swapon("/dev/zram0", 0))
		SKIP("no swap: %s", strerror(errno));
}

static unsigned long long meminfo_kib(const char *key)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			kib = strtoull(line + strlen(key) + 1, NULL, 10);
	fclose(f);
	return kib;
}

/* Takes nearly all memory for good, so that little is left to press on. */
static void hog(void)
{
	uint64_t size = meminfo_kib("MemAvailable:") * KIB;

	if (size <= SPARE)
		return;
	size = (size - SPARE) & ~(2 * MIB - 1);
	CHECK(mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) != MAP_FAILED);
}

/* Pages that nobody pins are swapped out when others need the room. */
static void press(void)
{
	uint64_t size = (meminfo_kib("MemAvailable:") * KIB + 64 * MIB) & ~(2 * MIB - 1);
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t i;

	CHECK(p != MAP_FAILED);
	OK(write_file("/proc/sys/vm/drop_caches", "2"));
	for (i = 0; i < size; i += 4096)
		*(volatile char *)(p + i) = 0;
	munmap(p, size);
}

/*
 * What word @i of a buffer holds: the same in all of a page, and never 0. Such a page takes no room
 * where it is swapped to; one that cannot be compressed would take as much as it gives.
 */
static uint32_t content(uint32_t i, uint32_t factor)
{
	return (i / (4096 / 4) + 1) * factor;
}

static uint32_t *out;

static void check_by_device(struct guest *g, uint64_t va, uint32_t factor)
{
	struct stream s = { 0 };
	uint32_t i;

	for (i = 0; i < 16; i++)
		packet_copy(&s, va + i * (SIZE / 16) + i * 4, OUT + i * 4, 1);
	packet_end(&s);
	OK(run_stream(g->fd, g->vm, g->queue, &s));
	for (i = 0; i < 16; i++)
		EQUAL(out[i], content(i * (SIZE / 16) / 4 + i, factor));
}

static void check_by_cpu(const uint32_t *p, uint32_t factor)
{
	uint32_t i;

	for (i = 0; i < WORDS; i += 509)
		EQUAL(p[i], content(i, factor));
}

int main(void)
{
	struct guest g = guest_begin();
	uint32_t *host, *hbm, i, round, busy, done = syncobj(g.fd);
	unsigned long long shmem, before;
	struct stream s = { 0 };
	uint64_t *sem;

	guest_patience();
	guest_needs_small_hbm(g.fd);
	swap_on();
	hog();
	out = guest_buffer(&g, OUT, 4096, NIB_BO_HOST);
	host = guest_buffer(&g, VA_HOST, SIZE, NIB_BO_HOST);
	hbm = guest_buffer(&g, VA_HBM, SIZE, NIB_BO_HBM);
	for (i = 0; i < WORDS; i++) {
		host[i] = content(i, 3);
		hbm[i] = content(i, 5);
	}
	check_by_device(&g, VA_HOST, 3);
	check_by_device(&g, VA_HBM, 5);
	for (round = 0; round < 3; round++) {
		guest_crowd_out();
		before = meminfo_kib("SwapFree:");
		shmem = meminfo_kib("Unevictable:");
		press();
		printf("swap %llu -> %llu KiB, unevictable %llu -> %llu KiB\n", before,
		       meminfo_kib("SwapFree:"), shmem, meminfo_kib("Unevictable:"));
		CHECK(meminfo_kib("SwapFree:") < before);
		/* Back by a page fault, or by a job, or by one after the other. */
		if (round != 1)
			check_by_cpu(host, 3);
		check_by_device(&g, VA_HOST, 3);
		if (round == 2)
			check_by_cpu(hbm, 5);
		check_by_device(&g, VA_HBM, 5);
		check_by_cpu(hbm, 5);
		check_by_cpu(host, 3);
	}
	/* A job that waits for the CPU holds what it was given. */
	sem = (uint64_t *)out + 100;
	*sem = 0;
	packet_sem(&s, OUT + 800, 1, NIB_SEM_WAIT_GE);
	packet_copy(&s, VA_HOST + 4, OUT, 1);
	packet_end(&s);
	busy = stream_create(g.fd, g.vm, &s);
	OK(submit(g.fd, g.queue, busy, done));
	press();
	__atomic_store_n(sem, 1, __ATOMIC_RELEASE);
	OK(syncobj_wait(g.fd, done, 60000));
	EQUAL(fence_status(g.fd, done), 1);
	EQUAL(out[0], content(1, 3));
	swapoff("/dev/zram0");
	return 0;
}
