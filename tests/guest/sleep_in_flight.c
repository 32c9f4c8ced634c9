/* SPDX-License-Identifier: MIT */
/*
 * The machine goes to sleep and wakes up again and again, with jobs that run, jobs that wait on
 * the device and in the kernel, and data in every memory and in leases: sleep_in_flight STATE
 * [ROUNDS], STATE as /sys/power/state has it. Jobs go on where they were, no packet runs twice or not
 * at all, and every byte is where it was. Not part of run-all: not everything else in its guest
 * survives a sleep.
 */
#include "life.h"

#include <pthread.h>

#define PLACES		3
#define PLACE_BYTES	(1 * MIB)
#define WORDS		(PLACE_BYTES / 4)
#define SRAM_WORDS	(256 * KIB / 4)
#define BACK_VA		(LIFE_VA + GIB)
#define COUNT_VA	(LIFE_VA + 2 * GIB)
#define LOAD_VA		(LIFE_VA + 3 * GIB)
#define LOAD_BYTES	(16 * MIB)
#define LEASE_VA	(LIFE_VA + 4 * GIB)
#define LEASE_STEP	(64 * MIB)
#define LEASES		2
#define JOBS		60
#define PACKETS		5

/* Memories that only the device sees, and one that the CPU does as well. */
static const struct {
	uint32_t flags;
	uint64_t bytes;
	uint64_t va;
} places[PLACES] = {
	{ NIB_BO_HBM, PLACE_BYTES, LIFE_VA + 64 * MIB },
	{ NIB_BO_HBM | NIB_BO_NO_MMAP, PLACE_BYTES, LIFE_VA + 128 * MIB },
	{ NIB_BO_SRAM, SRAM_WORDS * 4, LIFE_VA + 192 * MIB },
};

struct data {
	struct guest g;
	volatile uint32_t *back;
	volatile uint32_t *window;
	volatile uint64_t *count;
	uint32_t job;
	uint32_t done;
	uint32_t lease[LEASES];		/* of which one at a time is in SRAM */
	uint32_t lease_bytes;
};

static uint32_t pattern(uint32_t place, uint32_t i, uint32_t round)
{
	return (i + 1) * 2654435761u ^ place << 28 ^ round * 40503u;
}

static void copy(struct data *d, uint64_t src, uint64_t dst, uint64_t bytes)
{
	struct stream s = { 0 };

	packet_copy(&s, src, dst, bytes / 4);
	packet_end(&s);
	OK(run_stream(d->g.fd, d->g.vm, d->g.queue, &s));
}

static void write_patterns(struct data *d, uint32_t round)
{
	uint32_t i, j;

	for (i = 0; i < PLACES; i++) {
		for (j = 0; j < places[i].bytes / 4; j++)
			d->back[j] = pattern(i, j, round);
		copy(d, BACK_VA, places[i].va, places[i].bytes);
	}
}

static void check_patterns(struct data *d, uint32_t round)
{
	uint32_t i, j;

	for (j = 0; j < WORDS; j++)
		EQUAL(d->window[j], pattern(0, j, round));
	for (i = 0; i < PLACES; i++) {
		memset((void *)d->back, 0, PLACE_BYTES);
		copy(d, places[i].va, BACK_VA, places[i].bytes);
		for (j = 0; j < places[i].bytes / 4; j++)
			EQUAL(d->back[j], pattern(i, j, round));
	}
}

/* A lease is filled where it is, by a job that names it or not. */
static void write_leases(struct data *d, uint32_t round)
{
	struct nib_lease_ref ref = { .handle = d->lease[round % LEASES] };
	struct stream s = { 0 };
	uint32_t i, id;

	for (i = 0; i < LEASES; i++)
		packet_fill(&s, LEASE_VA + i * LEASE_STEP, d->lease_bytes / 4, pattern(9, i, round));
	packet_end(&s);
	id = stream_create(d->g.fd, d->g.vm, &s);
	OK(submit_naming(d->g.fd, d->g.queue, id, d->done, &ref, 1));
	OK(stream_destroy(d->g.fd, d->g.vm, id));
}

/* Both, and each time the one that was away comes in. */
static void check_leases(struct data *d, uint32_t round)
{
	uint32_t i, k, j;

	for (k = 0; k < 2 * LEASES; k++) {
		struct nib_lease_ref ref = { .handle = d->lease[k % LEASES] };
		struct stream s = { 0 };
		uint32_t id;

		i = k % LEASES;
		packet_copy(&s, LEASE_VA + i * LEASE_STEP, BACK_VA, d->lease_bytes / 4);
		packet_end(&s);
		id = stream_create(d->g.fd, d->g.vm, &s);
		OK(submit_naming(d->g.fd, d->g.queue, id, d->done, &ref, 1));
		OK(syncobj_wait(d->g.fd, d->done, 60000));
		EXPECT(fence_status(d->g.fd, d->done), 1);
		OK(stream_destroy(d->g.fd, d->g.vm, id));
		for (j = 0; j < d->lease_bytes / 4; j++)
			EQUAL(d->back[j], pattern(9, i, round));
		/* As a move is counted, it has been made. */
		EQUAL(lease_query(d->g.fd, d->lease[i]).resident, d->lease_bytes);
		EQUAL(lease_query(d->g.fd, d->lease[1 - i]).resident, 0);
	}
}

static struct data data_begin(void)
{
	struct data d = { .g = guest_begin() };
	struct stream s = { 0 };
	uint32_t i, bo;

	d.back = guest_buffer(&d.g, BACK_VA, PLACE_BYTES, NIB_BO_HOST);
	for (i = 0; i < PLACES; i++) {
		OK(bo_create(d.g.fd, places[i].bytes, places[i].flags, &bo));
		OK(vm_map(d.g.fd, d.g.vm, bo, 0, places[i].va, places[i].bytes, 0));
		if (!i)
			d.window = bo_map(d.g.fd, bo, PLACE_BYTES);
	}
	/* More than half of what is left of SRAM, so that both do not fit. */
	d.lease_bytes = (uint32_t)(query_memory(d.g.fd).sram_free * 9 / 16 & ~(64 * KIB - 1));
	if (d.lease_bytes > PLACE_BYTES)
		d.lease_bytes = PLACE_BYTES;
	for (i = 0; i < LEASES; i++) {
		OK(lease_create(d.g.fd, 0, d.lease_bytes, &d.lease[i]));
		OK(vm_map(d.g.fd, d.g.vm, d.lease[i], 0, LEASE_VA + i * LEASE_STEP,
			  d.lease_bytes, 0));
	}
	d.count = (volatile uint64_t *)guest_buffer(&d.g, COUNT_VA, 4096, NIB_BO_HBM);
	munmap(guest_buffer(&d.g, LOAD_VA, LOAD_BYTES, NIB_BO_HBM), LOAD_BYTES);
	/* Counts what it does; between the counts it keeps the engine busy. */
	for (i = 0; i < PACKETS; i++) {
		packet_sem(&s, COUNT_VA + i * 8, 1, NIB_SEM_ADD);
		packet_copy(&s, LOAD_VA, LOAD_VA + LOAD_BYTES / 2, LOAD_BYTES / 8);
	}
	packet_end(&s);
	d.job = stream_create(d.g.fd, d.g.vm, &s);
	d.done = syncobj(d.g.fd);
	return d;
}

static void start_counting(struct data *d)
{
	uint32_t i;

	for (i = 0; i < PACKETS; i++)
		d->count[i] = 0;
	for (i = 0; i < JOBS; i++)
		OK(submit(d->g.fd, d->g.queue, d->job, d->done));
}

static void check_count(struct data *d)
{
	uint32_t i;

	OK(syncobj_wait(d->g.fd, d->done, 100000));
	EXPECT(fence_status(d->g.fd, d->done), 1);
	for (i = 0; i < PACKETS; i++)
		EQUAL(d->count[i], JOBS);
}

#define LPC	"/sys/bus/pci/devices/0000:00:1f.0/config"
#define LPC_PM	0x40

/*
 * QEMU's firmware does not set the chipset's power registers up again when the machine wakes;
 * without them it neither sleeps a second time nor switches itself off.
 */
static void chipset(bool save)
{
	static uint8_t bytes[8];
	int fd = open(LPC, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	if (save)
		CHECK(pread(fd, bytes, sizeof(bytes), LPC_PM) == sizeof(bytes));
	else
		CHECK(pwrite(fd, bytes, sizeof(bytes), LPC_PM) == sizeof(bytes));
	close(fd);
}

/* True if with pm_test it comes back by itself. */
static bool only_tests(void)
{
	char text[128] = "";
	FILE *f = fopen("/sys/power/pm_test", "r");

	if (f && !fgets(text, sizeof(text), f))
		text[0] = 0;
	if (f)
		fclose(f);
	return f && !strstr(text, "[none]");
}

static void machine_sleep(const char *state)
{
	chipset(true);
	if (!access("/sys/class/rtc/rtc0/wakealarm", F_OK)) {
		write_file("/sys/class/rtc/rtc0/wakealarm", "0");
		OK(write_file("/sys/class/rtc/rtc0/wakealarm", "+3"));
	} else if (!only_tests()) {
		SKIP("nothing would wake this machine");
	}
	OK(write_file("/sys/power/state", state));
	chipset(false);
}

/* Nobody uses the device, which sleeps for itself when the machine does. */
static void sleep_idle(struct data *d, const char *state, uint32_t round)
{
	char address[64];

	guest_pci_address(d->g.fd, address, sizeof(address));
	write_patterns(d, round);
	write_leases(d, round);
	OK(syncobj_wait(d->g.fd, d->done, 60000));
	guest_wait_asleep(address);
	machine_sleep(state);
	check_patterns(d, round);
	check_leases(d, round);
}

/* Leaves room for what leases keep for themselves. */
static void *crowd(void *unused)
{
	int fd = guest_open();
	uint64_t size = query_device(fd).hbm_bytes - LOAD_BYTES;
	uint32_t bo;

	OK(bo_create(fd, size, NIB_BO_HBM | NIB_BO_NO_MMAP, &bo));
	close(fd);
	return unused;
}

/*
 * A buffer has to leave HBM, and its VM's job waits for its task, which the machine is about to stop:
 * then the machine does not sleep, and nobody has lost anything.
 */
static void sleep_refused(struct data *d, const char *state)
{
	struct stream s = { 0 };
	pthread_t thread;
	int file;

	d->back[0] = d->back[1] = 0;
	packet_sem(&s, BACK_VA, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	OK(submit(d->g.fd, d->g.queue, stream_create(d->g.fd, d->g.vm, &s), d->done));
	CHECK(!pthread_create(&thread, NULL, crowd, NULL));
	sleep(1);
	/* If it does sleep. */
	write_file("/sys/class/rtc/rtc0/wakealarm", "0");
	OK(write_file("/sys/class/rtc/rtc0/wakealarm", "+30"));
	file = open("/sys/power/state", O_WRONLY | O_CLOEXEC);
	CHECK(file >= 0);
	EXPECT(write(file, state, strlen(state)) < 0 ? -errno : 0, -EBUSY);
	close(file);
	d->back[0] = 1;
	OK(syncobj_wait(d->g.fd, d->done, 60000));
	EXPECT(fence_status(d->g.fd, d->done), 1);
	CHECK(!pthread_join(thread, NULL));
	start_counting(d);
	check_count(d);
}

int main(int argc, char **argv)
{
	uint32_t rounds = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 2, i;
	uint64_t hbm_free = life_check_fresh(0);
	struct data d = data_begin();

	CHECK(argc > 1);
	for (i = 0; i < rounds; i++) {
		struct life_work w;

		write_patterns(&d, i);
		write_leases(&d, i);
		w = life_begin();
		start_counting(&d);
		machine_sleep(argv[1]);
		life_check_goes_on(&w);
		check_count(&d);
		check_patterns(&d, i);
		check_leases(&d, i);
		life_end(&w);
		sleep_idle(&d, argv[1], rounds + i);
		printf("round %u\n", i);
	}
	if (!only_tests())
		sleep_refused(&d, argv[1]);
	munmap((void *)d.back, PLACE_BYTES);
	munmap((void *)d.window, PLACE_BYTES);
	munmap((void *)d.count, 4096);
	close(d.g.fd);
	life_check_fresh(hbm_free);
	return 0;
}
