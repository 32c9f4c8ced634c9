/* SPDX-License-Identifier: MIT */
/*
 * Queues of several clients share the engine by weight, in the device's own time: equal ones within
 * 5 %, 3:1 and longer scales within 10 %; and the engine never idles while one of them has work.
 *
 * All jobs are in the rings before the first one starts: it waits at a semaphore that opens once
 * the driver says that the others are behind it. Shares are counted from when the last queue has
 * had its first job to when the first one has finished, by the records that jobs leave behind.
 */
#include "guest.h"

#define QUEUES	4
#define JOBS	120u
#define VA_DATA	0x100000000ull
#define VA_STAT	0x200000000ull
#define VA_GATE	0x300000000ull
#define DATA	(4 * MIB)

struct client {
	struct guest g;
	const struct nib_completion *stats;
	uint32_t queue;
	uint32_t first;		/* stream of the first job: waits, then does what the others do */
	uint32_t stream;
	uint32_t done;
};

/*
 * What all first jobs wait for, in one place: a client whose gate opens before those of others runs
 * ahead of them, and pays for it later.
 */
struct gate {
	int fd;
	int file;
	uint64_t *word;
};

static struct gate gate_begin(void)
{
	struct gate gate = { .fd = guest_open() };
	uint32_t bo;

	OK(bo_create(gate.fd, 4096, NIB_BO_HOST, &bo));
	gate.word = bo_map(gate.fd, bo, 4096);
	CHECK(!drmPrimeHandleToFD(gate.fd, bo, DRM_CLOEXEC | DRM_RDWR, &gate.file));
	return gate;
}

static void gate_end(struct gate *gate)
{
	munmap(gate->word, 4096);
	close(gate->file);
	close(gate->fd);
}

static uint32_t queue_weighted(int fd, uint32_t vm, uint32_t weight)
{
	/* The shortest turns that there are. */
	struct nib_queue_create args = {
		.vm_id = vm, .priority = NIB_PRIORITY_REALTIME, .weight = weight,
	};

	OK(nib_ioctl(fd, DRM_IOCTL_NIB_QUEUE_CREATE, &args));
	return args.queue_id;
}

static void client_begin(struct client *c, uint32_t weight, const struct gate *gate)
{
	struct stream s = { 0 };
	uint32_t stats, bo;
	int i;

	c->g = guest_begin();
	CHECK(!drmPrimeFDToHandle(c->g.fd, gate->file, &bo));
	OK(vm_map(c->g.fd, c->g.vm, bo, 0, VA_GATE, 4096, 0));
	guest_buffer(&c->g, VA_DATA, DATA, NIB_BO_HBM);
	OK(bo_create(c->g.fd, JOBS * 4096, NIB_BO_HOST, &stats));
	OK(vm_map(c->g.fd, c->g.vm, stats, 0, VA_STAT, JOBS * 4096, 0));
	c->stats = (void *)bo_map(c->g.fd, stats, JOBS * 4096);
	c->queue = queue_weighted(c->g.fd, c->g.vm, weight);
	packet_sem(&s, VA_GATE, 1, NIB_SEM_WAIT_GE);
	for (i = 0; i < 4; i++)
		packet_fill(&s, VA_DATA, DATA / 4, (uint32_t)i);
	packet_end(&s);
	c->first = stream_create(c->g.fd, c->g.vm, &s);
	/* Without the semaphore, whose packet is four words. */
	memmove(s.words, s.words + 4, (s.count - 4) * sizeof(s.words[0]));
	s.count -= 4;
	c->stream = stream_create(c->g.fd, c->g.vm, &s);
}

static const struct nib_completion *record(const struct client *c, uint32_t job)
{
	return (const void *)((const char *)c->stats + job * 4096ull);
}

/* Every job of the client; @done is signalled by the last one. */
static void client_submit(struct client *c)
{
	struct nib_job jobs[JOBS] = { 0 };
	struct nib_sync_op signal = { .flags = NIB_SYNC_SIGNAL };
	uint32_t i;

	c->done = signal.handle = syncobj(c->g.fd);
	for (i = 0; i < JOBS; i++)
		jobs[i] = (struct nib_job){
			.queue_id = c->queue, .stream_id = i ? c->stream : c->first,
			.stats_va = VA_STAT + i * 4096,
		};
	jobs[JOBS - 1].syncs = (struct nib_obj_array)NIB_OBJ_ARRAY(1, &signal);
	OK(submit_jobs(c->g.fd, jobs, JOBS));
}

/* How many queues have all of their jobs in the ring, by the driver's own table. */
static unsigned int full_rings(int fd)
{
	char address[64], path[128], line[256];
	unsigned int full = 0, submitted, inflight;
	FILE *table;

	guest_pci_address(fd, address, sizeof(address));
	snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s/queues", address);
	table = fopen(path, "r");
	if (!table)
		SKIP("no %s", path);
	while (fgets(line, sizeof(line), table))
		full += sscanf(line, "%*u %*u %*u %*u %*u %*s %u %u", &submitted, &inflight) == 2 &&
			inflight == JOBS;
	fclose(table);
	return full;
}

/* Runs all clients at once. */
static void race(struct client *clients, unsigned int count, const struct gate *gate)
{
	struct guest g = guest_begin();
	struct stream s = { 0 };
	uint32_t i;

	for (i = 0; i < count; i++)
		client_submit(&clients[i]);
	for (i = 0; i < 30000 && full_rings(g.fd) != count; i++)
		usleep(2000);
	EQUAL(full_rings(g.fd), count);
	__atomic_store_n(gate->word, 1, __ATOMIC_RELEASE);
	/* A doorbell makes the firmware look at semaphores again. */
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	for (i = 0; i < count; i++)
		OK(syncobj_wait(clients[i].g.fd, clients[i].done, 120000));
	close(g.fd);
}

static void check_shares(const struct client *clients, const uint32_t *weights, unsigned int count,
			 double tolerance)
{
	uint64_t begin = 0, end = UINT64_MAX;
	double ran[QUEUES] = { 0 }, total = 0, weight = 0;
	unsigned int i;
	uint32_t k;

	for (i = 0; i < count; i++) {
		if (record(&clients[i], 0)->end_ns > begin)
			begin = record(&clients[i], 0)->end_ns;
		if (record(&clients[i], JOBS - 1)->end_ns < end)
			end = record(&clients[i], JOBS - 1)->end_ns;
		weight += weights[i];
	}
	CHECK(begin < end);
	for (i = 0; i < count; i++) {
		for (k = 0; k < JOBS; k++) {
			const struct nib_completion *r = record(&clients[i], k);

			EQUAL(r->status, NIB_DONE_OK);
			if (r->end_ns > begin && r->end_ns <= end)
				ran[i] += (double)r->cycles;
		}
		total += ran[i];
	}
	for (i = 0; i < count; i++) {
		double share = ran[i] / total, want = weights[i] / weight;

		printf("weight %u: %.1f %% of the time, %.1f %% asked\n", weights[i], 100 * share,
		       100 * want);
		if (share < want * (1 - tolerance) || share > want * (1 + tolerance))
			FAIL("off by more than %.0f %%", 100 * tolerance);
	}
}

/*
 * From the first end to the last there was always work, so there must be no gap. What came before
 * is the wait at the semaphore. Time on the engine is counted by cycles.
 */
static void check_busy(const struct client *clients, unsigned int count)
{
	uint64_t begin = UINT64_MAX, end = 0, ran = 0, all = 0, cycles = 0;
	unsigned int i;
	uint32_t k;

	for (i = 0; i < count; i++) {
		uint64_t first = record(&clients[i], 0)->end_ns;
		uint64_t last = record(&clients[i], JOBS - 1)->end_ns;

		begin = first < begin ? first : begin;
		end = last > end ? last : end;
		ran += queue_state(clients[i].g.fd, clients[i].queue).run_ns;
	}
	for (i = 0; i < count; i++) {
		for (k = 0; k < JOBS; k++) {
			all += record(&clients[i], k)->cycles;
			if (record(&clients[i], k)->end_ns > begin)
				cycles += record(&clients[i], k)->cycles;
		}
	}
	printf("busy %.2f %% of the time with work waiting\n",
	       100.0 * (double)ran * (double)cycles / (double)all / (double)(end - begin));
	CHECK((double)ran * (double)cycles / (double)all >= (double)(end - begin) * 0.99);
}

static void share(const uint32_t *weights, unsigned int count, double tolerance)
{
	struct client clients[QUEUES] = { 0 };
	struct gate gate = gate_begin();
	unsigned int i;

	for (i = 0; i < count; i++)
		client_begin(&clients[i], weights[i], &gate);
	race(clients, count, &gate);
	check_shares(clients, weights, count, tolerance);
	check_busy(clients, count);
	for (i = 0; i < count; i++)
		close(clients[i].g.fd);
	gate_end(&gate);
}

int main(void)
{
	int fd = guest_open();

	if (!(query_device(fd).priorities & 1u << NIB_PRIORITY_REALTIME))
		SKIP("needs CAP_SYS_NICE");
	close(fd);
	guest_patience();
	share((const uint32_t[]){ 16, 16 }, 2, 0.05);
	share((const uint32_t[]){ 48, 16 }, 2, 0.10);
	share((const uint32_t[]){ 40, 80, 120, 160 }, 4, 0.10);
	return 0;
}
