/* SPDX-License-Identifier: MIT */
/*
 * Leases of SRAM: what is refused, what they hold, who gives way to whom, and that contents and
 * counts are right however often burst parts move.
 */
#include "guest.h"

#define HOST	0x100000000ull
#define LEASE	0x200000000ull
#define OTHER	0x300000000ull
#define K64	(64 * KIB)
#define ROUNDS	24u

static uint64_t total;	/* SRAM, whole 64 KiB */

/* A client with a lease at LEASE and as much host memory at HOST. */
struct tenant {
	struct guest g;
	uint32_t lease;
	uint64_t guaranteed;
	uint64_t burst;
	uint32_t *host;
	uint32_t put;	/* stream: host to lease */
	uint32_t get;	/* stream: lease to host */
	uint32_t done;
};

static struct tenant tenant_begin(uint64_t guaranteed, uint64_t burst)
{
	struct tenant t = { .g = guest_begin(), .guaranteed = guaranteed, .burst = burst };
	uint64_t size = guaranteed + burst;
	struct stream put = { 0 }, get = { 0 };

	OK(lease_create(t.g.fd, guaranteed, burst, &t.lease));
	OK(vm_map(t.g.fd, t.g.vm, t.lease, 0, LEASE, size, 0));
	t.host = guest_buffer(&t.g, HOST, size, NIB_BO_HOST);
	packet_copy(&put, HOST, LEASE, size / 4);
	packet_end(&put);
	packet_copy(&get, LEASE, HOST, size / 4);
	packet_end(&get);
	t.put = stream_create(t.g.fd, t.g.vm, &put);
	t.get = stream_create(t.g.fd, t.g.vm, &get);
	t.done = syncobj(t.g.fd);
	return t;
}

/* A mapping of the CPU would keep the file, and all that is in it. */
static void tenant_end(struct tenant *t)
{
	munmap(t->host, t->guaranteed + t->burst);
	close(t->g.fd);
}

static void tenant_run(struct tenant *t, uint32_t stream, bool naming)
{
	struct nib_lease_ref ref = { .handle = t->lease };

	OK(submit_naming(t->g.fd, t->g.queue, stream, t->done, &ref, naming));
	OK(syncobj_wait(t->g.fd, t->done, 60000));
	EXPECT(fence_status(t->g.fd, t->done), 1);
}

static uint32_t pattern(uint32_t seed, uint64_t i)
{
	return (uint32_t)(i * 2654435761u) ^ seed * 0x9e3779b9u;
}

static void tenant_write(struct tenant *t, uint32_t seed, bool naming)
{
	uint64_t i;

	for (i = 0; i < (t->guaranteed + t->burst) / 4; i++)
		t->host[i] = pattern(seed, i);
	tenant_run(t, t->put, naming);
}

static void tenant_check(struct tenant *t, uint32_t seed, bool naming)
{
	uint64_t i;

	memset(t->host, 0xa5, t->guaranteed + t->burst);
	tenant_run(t, t->get, naming);
	for (i = 0; i < (t->guaranteed + t->burst) / 4; i++)
		if (t->host[i] != pattern(seed, i))
			FAIL("word %" PRIu64 " of seed %u is %#x", i, seed, t->host[i]);
}

static struct nib_sram_lease_query look(const struct tenant *t)
{
	struct nib_sram_lease_query q = lease_query(t->g.fd, t->lease);

	/* Always: moves alternate, and each moves all of the burst part. */
	EQUAL(q.guaranteed, t->guaranteed);
	EQUAL(q.burst, t->burst);
	EQUAL(q.generation, q.spills + q.restores);
	EQUAL(q.spilled_bytes, q.spills * q.burst);
	EQUAL(q.restored_bytes, q.restores * q.burst);
	CHECK(q.resident == q.guaranteed || q.resident == q.guaranteed + q.burst);
	return q;
}

/* What fdinfo says of a key. */
static uint64_t fdinfo(int fd, const char *key)
{
	char path[64], line[256];
	uint64_t value = 0;
	size_t length = strlen(key);
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	CHECK(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, length) || line[length] != ':')
			continue;
		value = strtoull(line + length + 1, NULL, 10) << (strstr(line, " KiB") ? 10 : 0);
		found = true;
	}
	fclose(file);
	if (!found)
		FAIL("no %s in fdinfo", key);
	return value;
}

static bool away(const struct tenant *t)
{
	return look(t).resident != t->guaranteed + t->burst;
}

static void expect_free(int fd, uint64_t bytes)
{
	int tries;

	for (tries = 0; tries < 200 && query_memory(fd).sram_free != bytes; tries++)
		usleep(10000);
	EQUAL(query_memory(fd).sram_free, bytes);
}

static int create_raw(int fd, uint64_t guaranteed, uint64_t burst, uint32_t flags)
{
	struct nib_sram_lease_create args = {
		.guaranteed = guaranteed, .burst = burst, .flags = flags,
	};

	return nib_ioctl(fd, DRM_IOCTL_NIB_SRAM_LEASE_CREATE, &args);
}

static void check_refused(void)
{
	struct guest g = guest_begin(), other = guest_begin();
	struct nib_sram_lease_query query = { 0 };
	struct nib_bo_mmap_offset offset = { 0 };
	struct nib_lease_ref ref = { 0 };
	struct stream s = { 0 };
	uint32_t lease, bo, stream, done;
	int fd;

	EXPECT(create_raw(g.fd, 0, 0, 0), -EINVAL);
	EXPECT(create_raw(g.fd, 4096, 0, 0), -EINVAL);
	EXPECT(create_raw(g.fd, K64, 4096, 0), -EINVAL);
	EXPECT(create_raw(g.fd, K64, 0, 1), -EINVAL);
	EXPECT(create_raw(g.fd, total + K64, 0, 0), -ENOSPC);
	EXPECT(create_raw(g.fd, total, K64, 0), -ENOSPC);
	EXPECT(create_raw(g.fd, 1ull << 63, 1ull << 63, 0), -ENOSPC);
	EXPECT(create_raw(g.fd, K64, -K64, 0), -ENOSPC);

	OK(lease_create(g.fd, K64, K64, &lease));
	OK(bo_create(g.fd, 4096, NIB_BO_HOST, &bo));
	query.handle = lease;
	query.pad = 1;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_SRAM_LEASE_QUERY, &query), -EINVAL);
	query.pad = 0;
	EXPECT(nib_ioctl(other.fd, DRM_IOCTL_NIB_SRAM_LEASE_QUERY, &query), -ENOENT);
	query.handle = bo;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_SRAM_LEASE_QUERY, &query), -EINVAL);
	query.handle = 4242;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_SRAM_LEASE_QUERY, &query), -ENOENT);
	/* Neither the CPU nor another device gets to it. */
	offset.handle = lease;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_BO_MMAP_OFFSET, &offset), -EACCES);
	CHECK(drmPrimeHandleToFD(g.fd, lease, DRM_CLOEXEC, &fd) && errno == EOPNOTSUPP);
	EXPECT(vm_map(g.fd, g.vm, lease, 0, LEASE, 3 * K64, 0), -EINVAL);

	packet_end(&s);
	stream = stream_create(g.fd, g.vm, &s);
	done = syncobj(g.fd);
	ref.handle = lease;
	ref.flags = 1;
	EXPECT(submit_naming(g.fd, g.queue, stream, done, &ref, 1), -EINVAL);
	ref.flags = 0;
	EXPECT(submit_naming(g.fd, g.queue, stream, done, (void *)8, 1), -EFAULT);
	ref.handle = bo;
	EXPECT(submit_naming(g.fd, g.queue, stream, done, &ref, 1), -EINVAL);
	ref.handle = 4242;
	EXPECT(submit_naming(g.fd, g.queue, stream, done, &ref, 1), -ENOENT);
	EXPECT(submit_naming(g.fd, g.queue, stream, done, &ref, NIB_MAX_ARRAY + 1), -EINVAL);
	EQUAL(lease_query(g.fd, lease).hits, 0);
	EQUAL(lease_query(g.fd, lease).misses, 0);
	close(other.fd);
	close(g.fd);
}

/* What a lease costs, zeroed memory, and that it is all given back. */
static void check_life(void)
{
	struct tenant t;
	int fd = guest_open();
	uint64_t i;

	t = tenant_begin(2 * K64, K64);
	EQUAL(query_memory(t.g.fd).client_sram, 3 * K64);
	EQUAL(query_memory(t.g.fd).client_hbm, K64);
	EQUAL(query_memory(fd).client_sram, 0);
	expect_free(fd, query_device(fd).sram_bytes - 3 * K64);
	memset(t.host, 0xff, 3 * K64);
	tenant_run(&t, t.get, false);
	for (i = 0; i < 3 * K64 / 4; i++)
		EQUAL(t.host[i], 0);
	tenant_write(&t, 1, true);
	tenant_check(&t, 1, true);
	EQUAL(look(&t).hits, 2);
	/* The mapping holds it, not the handle. */
	OK(bo_close(t.g.fd, t.lease));
	expect_free(fd, query_device(fd).sram_bytes - 3 * K64);
	tenant_check(&t, 1, false);
	OK(vm_unmap(t.g.fd, t.g.vm, LEASE, 3 * K64));
	expect_free(fd, query_device(fd).sram_bytes);
	tenant_end(&t);
	close(fd);
}

/* Two clients whose burst parts do not fit together, in turn. */
static void check_alternate(void)
{
	uint64_t burst = total * 5 / 8 & ~(K64 - 1);
	struct tenant a = tenant_begin(K64, burst), b = tenant_begin(K64, burst);
	struct nib_sram_lease_query qa, qb;
	uint32_t round;

	/* There was no room for b's. */
	CHECK(!away(&a) && away(&b));
	tenant_write(&a, 1000, true);
	tenant_write(&b, 2000, true);
	CHECK(away(&a) && !away(&b));
	for (round = 1; round <= ROUNDS; round++) {
		tenant_check(&a, 1000 + round - 1, true);
		CHECK(!away(&a) && away(&b));
		tenant_write(&a, 1000 + round, true);
		tenant_check(&b, 2000 + round - 1, true);
		CHECK(away(&a) && !away(&b));
		tenant_write(&b, 2000 + round, true);
	}
	qa = look(&a);
	qb = look(&b);
	EQUAL(qa.hits, 2 * ROUNDS + 1);
	EQUAL(qb.hits, 2 * ROUNDS + 1);
	EQUAL(qa.misses + qb.misses, 0);
	EQUAL(qa.spills, ROUNDS + 1);
	EQUAL(qa.restores, ROUNDS);
	EQUAL(qb.spills, ROUNDS);
	EQUAL(qb.restores, ROUNDS + 1);
	/* From where it is, too. */
	tenant_check(&a, 1000 + ROUNDS, false);
	CHECK(away(&a));

	/* A third one's guaranteed part takes what they have. */
	{
		uint64_t rest = total - 2 * K64;
		struct tenant c = tenant_begin(rest, 0);

		CHECK(away(&a) && away(&b));
		tenant_write(&c, 3000, true);
		tenant_check(&a, 1000 + ROUNDS, true);
		tenant_check(&b, 2000 + ROUNDS, true);
		CHECK(away(&a) && away(&b));
		EQUAL(look(&a).misses, 1);
		EQUAL(look(&b).misses, 1);
		tenant_check(&c, 3000, true);
		EXPECT(create_raw(c.g.fd, K64, 0, 0), -ENOSPC);
		tenant_end(&c);
	}
	expect_free(a.g.fd, query_device(a.g.fd).sram_bytes - 2 * K64);
	tenant_check(&b, 2000 + ROUNDS, true);
	CHECK(!away(&b));
	qa = look(&a);
	qb = look(&b);
	EQUAL(fdinfo(a.g.fd, "nib-lease-hits"), qa.hits);
	EQUAL(fdinfo(a.g.fd, "nib-lease-misses"), qa.misses);
	EQUAL(fdinfo(a.g.fd, "nib-lease-spills"), qa.spills);
	EQUAL(fdinfo(a.g.fd, "nib-lease-spilled"), qa.spilled_bytes);
	EQUAL(fdinfo(b.g.fd, "nib-lease-restores"), qb.restores);
	EQUAL(fdinfo(b.g.fd, "nib-lease-restored"), qb.restored_bytes);
	/* What is gone still counts. */
	OK(vm_unmap(b.g.fd, b.g.vm, LEASE, K64 + burst));
	OK(bo_close(b.g.fd, b.lease));
	EQUAL(fdinfo(b.g.fd, "nib-lease-restored"), qb.restored_bytes);
	EQUAL(fdinfo(b.g.fd, "nib-lease-hits"), qb.hits);
	tenant_end(&a);
	tenant_end(&b);
}

/* Whoever was named longest ago goes, and no more than need to. */
static void check_order(void)
{
	uint64_t burst = total / 4 & ~(K64 - 1);
	struct tenant t[4], last;
	uint32_t i, bo;

	for (i = 0; i < 4; i++) {
		t[i] = tenant_begin(0, burst);
		tenant_write(&t[i], i, true);
		CHECK(!away(&t[i]));
	}
	tenant_run(&t[0], t[0].get, true);
	last = tenant_begin(0, burst);
	CHECK(away(&last));
	tenant_write(&last, 77, true);
	CHECK(!away(&last) && !away(&t[0]) && away(&t[1]) && !away(&t[2]) && !away(&t[3]));
	/* A buffer takes room, too. */
	OK(bo_create(last.g.fd, 4096, NIB_BO_SRAM, &bo));
	EQUAL(away(&t[0]) + away(&t[2]) + away(&t[3]) + away(&last), 1);
	OK(bo_close(last.g.fd, bo));
	for (i = 0; i < 4; i++)
		tenant_check(&t[i], i, i & 1);
	tenant_check(&last, 77, true);
	for (i = 0; i < 4; i++)
		tenant_end(&t[i]);
	tenant_end(&last);
}

/* What one job names does not leave for another part of it. */
static void check_together(void)
{
	uint64_t burst = total * 5 / 8 & ~(K64 - 1);
	struct tenant a = tenant_begin(0, burst);
	struct nib_lease_ref refs[2] = { { .handle = a.lease } };

	OK(lease_create(a.g.fd, 0, burst, &refs[1].handle));
	OK(submit_naming(a.g.fd, a.g.queue, a.get, a.done, refs, 2));
	OK(syncobj_wait(a.g.fd, a.done, 60000));
	EQUAL(lease_query(a.g.fd, refs[0].handle).hits, 1);
	EQUAL(lease_query(a.g.fd, refs[1].handle).misses, 1);
	EQUAL(lease_query(a.g.fd, refs[0].handle).generation, 0);
	tenant_end(&a);
}

/* A lease in use leaves when the jobs before are over, and who takes its room waits for that. */
static void check_in_flight(bool close_it)
{
	uint64_t burst = total * 5 / 8 & ~(K64 - 1), i;
	struct tenant a = tenant_begin(0, burst), b = tenant_begin(0, burst);
	struct nib_lease_ref ref = { .handle = a.lease };
	uint64_t *flag;
	struct stream s = { 0 };
	uint32_t first = syncobj(a.g.fd);

	tenant_write(&a, 5, true);
	flag = (void *)guest_buffer(&a.g, OTHER, 4096, NIB_BO_HOST);
	packet_sem(&s, OTHER, 1, NIB_SEM_WAIT_GE);
	packet_fill(&s, LEASE, burst / 4, 0x5eed);
	packet_end(&s);
	OK(submit_naming(a.g.fd, a.g.queue, stream_create(a.g.fd, a.g.vm, &s), first, &ref, 1));

	for (i = 0; i < burst / 4; i++)
		b.host[i] = pattern(6, i);
	ref.handle = b.lease;
	OK(submit_naming(b.g.fd, b.g.queue, b.put, b.done, &ref, 1));
	CHECK(away(&a) && !away(&b));
	EXPECT(syncobj_wait(b.g.fd, b.done, 100), -ETIME);
	if (close_it) {
		munmap(flag, 4096);
		tenant_end(&a);
	} else {
		__atomic_store_n(flag, 1, __ATOMIC_RELEASE);
		OK(syncobj_wait(a.g.fd, first, 60000));
		EXPECT(fence_status(a.g.fd, first), 1);
	}
	OK(syncobj_wait(b.g.fd, b.done, 60000));
	EXPECT(fence_status(b.g.fd, b.done), 1);
	if (!close_it) {
		tenant_run(&a, a.get, false);
		for (i = 0; i < burst / 4; i++)
			EQUAL(a.host[i], 0x5eed);
		tenant_run(&a, a.get, true);
		for (i = 0; i < burst / 4; i++)
			EQUAL(a.host[i], 0x5eed);
		munmap(flag, 4096);
		tenant_end(&a);
	}
	tenant_check(&b, 6, true);
	tenant_end(&b);
}

/* Mapped twice, in two VMs, in parts: all of them follow. */
static void check_mappings(void)
{
	uint64_t burst = total * 5 / 8 & ~(K64 - 1);
	struct tenant a = tenant_begin(K64, burst), b = tenant_begin(0, burst);
	uint32_t vm, queue, *words, bo;
	struct stream s = { 0 };

	OK(vm_create(a.g.fd, &vm));
	OK(queue_create(a.g.fd, vm, NIB_PRIORITY_NORMAL, &queue));
	OK(vm_map(a.g.fd, vm, a.lease, K64 - 4096, LEASE + 4096, 8192, 0));
	OK(bo_create(a.g.fd, 8192, NIB_BO_HOST, &bo));
	OK(vm_map(a.g.fd, vm, bo, 0, HOST, 8192, 0));
	words = bo_map(a.g.fd, bo, 8192);
	tenant_write(&a, 9, true);
	tenant_write(&b, 8, true);
	CHECK(away(&a));
	packet_copy(&s, LEASE + 4096, HOST, 2048);
	packet_fill(&s, LEASE + 8192, 1, 0x77);
	packet_end(&s);
	OK(run_stream(a.g.fd, vm, queue, &s));
	EQUAL(words[0], pattern(9, (K64 - 4096) / 4));
	EQUAL(words[1024], pattern(9, K64 / 4));
	/* A mapping that is made while it is away, and stays as it comes back. */
	OK(vm_map(a.g.fd, vm, a.lease, K64, OTHER, burst, NIB_VM_BIND_OP_READONLY));
	tenant_run(&a, a.get, true);
	CHECK(!away(&a));
	EQUAL(a.host[K64 / 4], 0x77);
	s.count = 0;
	packet_copy(&s, OTHER, HOST, 1024);
	packet_end(&s);
	OK(run_stream(a.g.fd, vm, queue, &s));
	EQUAL(words[0], 0x77);
	EQUAL(words[1], pattern(9, K64 / 4 + 1));
	tenant_check(&b, 8, true);
	munmap(words, 8192);
	tenant_end(&a);
	tenant_end(&b);
}

static void check_in_flight_open(void)
{
	check_in_flight(false);
}

static void check_in_flight_closed(void)
{
	check_in_flight(true);
}

int main(void)
{
	static void (*const checks[])(void) = {
		check_refused, check_life, check_alternate, check_order, check_together,
		check_in_flight_open, check_in_flight_closed, check_mappings,
	};
	int fd = guest_open();
	unsigned int i;

	total = query_device(fd).sram_bytes & ~(K64 - 1);
	if (total < 16 * K64)
		SKIP("this chip has no SRAM to speak of");
	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		/* What the last one closed is free a moment later. */
		expect_free(fd, query_device(fd).sram_bytes);
		checks[i]();
	}
	close(fd);
	return 0;
}
