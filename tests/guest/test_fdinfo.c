/* SPDX-License-Identifier: MIT */
/* fdinfo: keys, times that only grow and outlive their queues, memory as it was allocated. */
#include "guest.h"

static struct guest g;
static char text[8192];

static void read_fdinfo(int fd)
{
	char path[64];
	ssize_t n;
	int file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = open(path, O_RDONLY);
	CHECK(file >= 0);
	n = read(file, text, sizeof(text) - 1);
	CHECK(n > 0);
	text[n] = 0;
	close(file);
}

static const char *find(const char *key)
{
	const char *p = text;
	size_t length = strlen(key);

	while (p) {
		if (!strncmp(p, key, length) && p[length] == ':') {
			p += length + 1;
			return p + strspn(p, " \t");
		}
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	FAIL("no %s in:\n%s", key, text);
}

/* Value in bytes or in what the key counts. */
static uint64_t number(const char *key)
{
	const char *p = find(key);
	char *end;
	uint64_t n = strtoull(p, &end, 10);

	if (!strncmp(end, " KiB", 4))
		n *= KIB;
	else if (!strncmp(end, " MiB", 4))
		n *= MIB;
	return n;
}

static void work(uint32_t queue)
{
	struct stream s = { 0 };

	packet_fill(&s, 0x100000000ull, MIB / 4, 1);
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, queue, &s));
}

int main(void)
{
	uint64_t ns, cycles, i;
	uint32_t queue, bo;
	int other = guest_open();

	g = guest_begin();
	read_fdinfo(g.fd);
	CHECK(!strncmp(find("drm-driver"), NIB_DRM_NAME "\n", 4));
	CHECK(strchr(find("drm-pdev"), ':'));
	CHECK(number("drm-client-id") > 0);
	EQUAL(number("drm-engine-npu"), 0);
	CHECK(strstr(find("drm-engine-npu"), " ns\n"));
	EQUAL(number("drm-total-hbm"), 0);

	munmap(guest_buffer(&g, 0x100000000ull, MIB, NIB_BO_HBM), MIB);
	OK(bo_create(g.fd, 3 * MIB, NIB_BO_HOST, &bo));
	OK(bo_create(g.fd, 64 * KIB, NIB_BO_SRAM, &bo));
	read_fdinfo(g.fd);
	EQUAL(number("drm-total-hbm"), MIB);
	EQUAL(number("drm-resident-hbm"), MIB);
	EQUAL(number("drm-total-memory"), 3 * MIB);
	EQUAL(number("drm-resident-memory"), 3 * MIB);
	EQUAL(number("drm-total-sram"), 64 * KIB);
	EQUAL(number("drm-resident-sram"), 64 * KIB);

	ns = 0;
	cycles = 0;
	for (i = 0; i < 10; i++) {
		OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
		work(queue);
		work(g.queue);
		read_fdinfo(g.fd);
		CHECK(number("drm-engine-npu") > ns && number("drm-cycles-npu") > cycles);
		ns = number("drm-engine-npu");
		cycles = number("drm-cycles-npu");
		/* What a queue did is not forgotten with it. */
		OK(queue_destroy(g.fd, queue));
		read_fdinfo(g.fd);
		EQUAL(number("drm-engine-npu"), ns);
		EQUAL(number("drm-cycles-npu"), cycles);
	}
	/* No client has more than the device. */
	CHECK(query_memory(g.fd).busy_ns >= ns);

	/* Another client has used nothing, and has another id. */
	i = number("drm-client-id");
	read_fdinfo(other);
	EQUAL(number("drm-engine-npu"), 0);
	EQUAL(number("drm-total-hbm"), 0);
	CHECK(number("drm-client-id") != i);
	return 0;
}
