/* SPDX-License-Identifier: MIT */
/*
 * Many jobs with random dependencies, among the queues of several address spaces, finish in a legal
 * order. Each job copies what the jobs that it waits for have written, so that one that ran too
 * early has copied nothing; and in the device's own time none starts before they ended. NIB_JOBS
 * says how many, 100000 by default; NIB_SEED which.
 *
 * Every queue has a timeline; its job number n signals point n.
 */
#include "guest.h"

#define VMS	4u
#define LANES	32u			/* queues */
#define DEPS	3u
#define BATCH	32u
#define WINDOW	2048u			/* jobs that may be under way */

#define VA_TABLE	0x100000000ull	/* u32 each: what the jobs write */
#define VA_VALUE	0x200000000ull	/* u32 each: where */
#define VA_SEEN		0x300000000ull	/* DEPS u32 each: what they saw */
#define VA_STATS	0x400000000ull
#define STATS_BYTES	sizeof(struct nib_completion)

struct job {
	uint32_t lane;
	uint32_t point;
	uint32_t deps[DEPS];	/* earlier jobs; itself where there is none */
};

struct lane {
	uint32_t queue;
	uint32_t stream;
	uint32_t timeline;
	uint32_t points;
};

static int fd;
static uint32_t vms[VMS];
static struct lane lanes[LANES];
static struct job *jobs;
static uint32_t seed = 12345;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)seed * below >> 32);
}

static uint32_t token(uint32_t i)
{
	return i * 2654435761u | 1;
}

/* Memory that all address spaces and the CPU see. */
static void *shared(uint64_t va, uint64_t size)
{
	uint32_t bo, i;

	size = (size + 4095) & ~4095ull;
	OK(bo_create(fd, size, NIB_BO_HOST, &bo));
	for (i = 0; i < VMS; i++)
		OK(vm_map(fd, vms[i], bo, 0, va, size, 0));
	return bo_map(fd, bo, size);
}

/* value[i] = table[i]; seen[i][k] = value[deps[k]]. Arguments are pairs of addresses. */
static uint32_t make_stream(uint32_t vm)
{
	struct stream s = { 0 };
	uint32_t k;

	for (k = 0; k < 1 + DEPS; k++)
		packet(&s, NIB_OP_COPY, 0x3, 10, NIB_ARG(2 * k, 0), NIB_ARG(2 * k + 1, 0), W(1),
		       W(1), W(1), W(0), W(0), W(0), W(0), W(NIB_FMT_U32) | W(NIB_FMT_U32) << 32);
	packet_end(&s);
	return stream_create(fd, vm, &s);
}

static void begin(void)
{
	uint32_t i;

	fd = guest_open();
	for (i = 0; i < VMS; i++)
		OK(vm_create(fd, &vms[i]));
	for (i = 0; i < LANES; i++) {
		OK(queue_create(fd, vms[i % VMS], NIB_PRIORITY_NORMAL, &lanes[i].queue));
		lanes[i].stream = make_stream(vms[i % VMS]);
		lanes[i].timeline = syncobj(fd);
	}
}

/* Makes up job @i; half of what it waits for is close behind it, maybe in the same batch. */
static void invent(uint32_t i)
{
	struct job *j = &jobs[i];
	uint32_t k;

	j->lane = rnd(LANES);
	j->point = ++lanes[j->lane].points;
	for (k = 0; k < DEPS; k++) {
		uint32_t back = i < 2 ? i : rnd(rnd(2) ? (i < 40 ? i : 40) : i);

		j->deps[k] = back && rnd(4) ? i - back : i;
	}
}

/* One submit of @count jobs from @first on. */
static void submit_batch(uint32_t first, uint32_t count)
{
	static uint64_t args[BATCH][2 + 2 * DEPS];
	static struct nib_sync_op syncs[BATCH][DEPS + 1];
	static struct nib_job batch[BATCH];
	uint32_t i, k, n;

	for (i = 0; i < count; i++) {
		const struct job *j = &jobs[first + i];
		const struct lane *lane = &lanes[j->lane];
		uint64_t id = first + i;

		args[i][0] = VA_TABLE + 4 * id;
		args[i][1] = VA_VALUE + 4 * id;
		for (k = n = 0; k < DEPS; k++) {
			const struct job *dep = &jobs[j->deps[k]];

			args[i][2 + 2 * k] = VA_VALUE + 4ull * j->deps[k];
			args[i][3 + 2 * k] = VA_SEEN + 4 * (DEPS * id + k);
			if (dep == j)
				continue;
			syncs[i][n++] = (struct nib_sync_op){
				NIB_SYNC_WAIT | NIB_SYNC_TIMELINE, lanes[dep->lane].timeline,
				dep->point,
			};
		}
		syncs[i][n++] = (struct nib_sync_op){
			NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE, lane->timeline, j->point,
		};
		batch[i] = (struct nib_job){
			.queue_id = lane->queue, .stream_id = lane->stream,
			.nargs = 2 + 2 * DEPS, .args = (uintptr_t)args[i],
			.stats_va = VA_STATS + id * STATS_BYTES,
			.syncs = NIB_OBJ_ARRAY(n, syncs[i]),
		};
	}
	OK(submit_jobs(fd, batch, count));
}

static void wait_job(uint32_t i)
{
	const struct job *j = &jobs[i];

	OK(timeline_wait(fd, lanes[j->lane].timeline, j->point, 120000, 0));
}

static void check(uint32_t count, const uint32_t *seen, const char *stats)
{
	uint32_t i, k, waits = 0;

	for (i = 0; i < count; i++) {
		const struct nib_completion *mine = (const void *)(stats + i * STATS_BYTES);

		EQUAL(mine->status, NIB_DONE_OK);
		for (k = 0; k < DEPS; k++) {
			uint32_t dep = jobs[i].deps[k];
			const struct nib_completion *its =
				(const void *)(stats + dep * STATS_BYTES);

			EQUAL(seen[i * DEPS + k], token(dep));
			if (dep == i)
				continue;
			waits++;
			if (mine->start_ns < its->end_ns)
				FAIL("job %u started at %llu, job %u that it waits for ended at %llu",
				     i, mine->start_ns, dep, its->end_ns);
		}
	}
	printf("%u jobs, %u dependencies, all in a legal order\n", count, waits);
}

int main(void)
{
	const char *text = getenv("NIB_JOBS"), *seed_text = getenv("NIB_SEED");
	uint32_t count = text ? (uint32_t)strtoul(text, NULL, 0) : 100000, i, n;
	uint32_t *table, *seen;
	char *stats;

	if (seed_text)
		seed = (uint32_t)strtoul(seed_text, NULL, 0);
	begin();
	jobs = calloc(count, sizeof(*jobs));
	table = shared(VA_TABLE, 4ull * count);
	shared(VA_VALUE, 4ull * count);
	seen = shared(VA_SEEN, 4ull * DEPS * count);
	stats = shared(VA_STATS, STATS_BYTES * count);
	for (i = 0; i < count; i++) {
		table[i] = token(i);
		invent(i);
	}
	for (i = 0; i < count; i += n) {
		n = 1 + rnd(BATCH);
		n = n < count - i ? n : count - i;
		submit_batch(i, n);
		if (i > WINDOW)
			wait_job(i - WINDOW);
	}
	for (i = 0; i < LANES; i++)
		if (lanes[i].points)
			OK(timeline_wait(fd, lanes[i].timeline, lanes[i].points, 120000, 0));
	check(count, seen, stats);
	return 0;
}
