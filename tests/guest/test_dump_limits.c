/* SPDX-License-Identifier: MIT */
/*
 * Core dumps that do not fit: what there is no room or no memory for is left out, largest last, and
 * the dump says so; what it takes to replay the job is there. And none at all, where they are
 * switched off.
 */
#include "dumps.h"

#define VA_BIG	0x100000000ull
#define VA	0x200000000ull
#define BAD	0x7770000000ull
#define BIG	(4 * MIB)
#define PARAM	"/sys/module/nib/parameters/dump_mib"
#define FAIL_AT	"/sys/kernel/debug/fail_page_alloc"

static struct guest g;

static void restore(void)
{
	write_file(PARAM, "16");
	write_file(FAIL_AT "/probability", "0");
}

/* A job that faults, in a queue of its own. */
static void fault(void)
{
	struct stream s = { 0 };
	uint32_t queue;

	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
	packet_fill(&s, BAD, 1, 1);
	packet_end(&s);
	EXPECT(run_stream(g.fd, g.vm, queue, &s), -EFAULT);
	OK(queue_destroy(g.fd, queue));
}

static void check_whole_job(const struct dump *dump)
{
	dump_check_header(dump);
	dump_section(dump, NIB_DUMP_DEVICE);
	dump_section(dump, NIB_DUMP_REASON);
	dump_section(dump, NIB_DUMP_QUEUE);
	EQUAL(dump_section(dump, NIB_DUMP_JOBS)->bytes, sizeof(struct nib_dump_job));
	dump_section(dump, NIB_DUMP_STREAM);
	dump_section(dump, NIB_DUMP_MAPPINGS);
}

/* What there is of the small mapping and of the large one. */
static void check_contents(const struct dump *dump, uint32_t small, uint32_t big)
{
	const struct nib_dump_mapping *map =
		(const void *)(dump_section(dump, NIB_DUMP_MAPPINGS) + 1);

	EQUAL(map[0].va, VA_BIG);
	EQUAL(map[0].contents, big);
	EQUAL(map[1].va, VA);
	EQUAL(map[1].contents, small);
}

static void check_room(void)
{
	struct dump dump;

	OK(write_file(PARAM, "1"));
	fault();
	dump = dump_take();
	check_whole_job(&dump);
	CHECK(dump.bytes <= MIB && dump.bytes > MIB * 3 / 4);
	CHECK(((const struct nib_dump_header *)dump.data)->flags & NIB_DUMP_INCOMPLETE);
	/* The small one comes first, though it is behind. */
	check_contents(&dump, NIB_DUMP_HELD, NIB_DUMP_PARTLY);
	if (!access("/share", W_OK))
		dump_save(&dump, "partly");
	free(dump.data);
	dump_drop();

	OK(write_file(PARAM, "16"));
	fault();
	dump = dump_take();
	CHECK(!(((const struct nib_dump_header *)dump.data)->flags & NIB_DUMP_INCOMPLETE));
	check_contents(&dump, NIB_DUMP_HELD, NIB_DUMP_HELD);
	free(dump.data);
	dump_drop();
}

static void check_off(void)
{
	char path[300];

	OK(write_file(PARAM, "0"));
	fault();
	usleep(300000);
	CHECK(!dump_find(path, sizeof(path)));
	OK(write_file(PARAM, "16"));
}

/* Every page that may not be waited for is refused: there is what the driver has kept for this. */
static void check_memory(void)
{
	struct dump dump;

	if (access(FAIL_AT, F_OK)) {
		printf("no fault injection in this kernel\n");
		return;
	}
	OK(write_file(FAIL_AT "/min-order", "0"));
	OK(write_file(FAIL_AT "/times", "-1"));
	OK(write_file(FAIL_AT "/verbose", "0"));
	OK(write_file(FAIL_AT "/ignore-gfp-wait", "Y"));
	OK(write_file(FAIL_AT "/probability", "100"));
	fault();
	OK(write_file(FAIL_AT "/probability", "0"));
	dump = dump_take();
	check_whole_job(&dump);
	CHECK(dump.bytes <= 256 * KIB && dump.bytes > 128 * KIB);
	CHECK(((const struct nib_dump_header *)dump.data)->flags & NIB_DUMP_INCOMPLETE);
	check_contents(&dump, NIB_DUMP_HELD, NIB_DUMP_PARTLY);
	free(dump.data);
	dump_drop();
}

int main(void)
{
	uint32_t bo;

	dump_drop();
	g = guest_begin();
	atexit(restore);
	OK(bo_create(g.fd, BIG, NIB_BO_HBM, &bo));
	OK(vm_map(g.fd, g.vm, bo, 0, VA_BIG, BIG, NIB_VM_BIND_OP_DUMPABLE));
	OK(bo_create(g.fd, 64 * KIB, NIB_BO_HOST, &bo));
	OK(vm_map(g.fd, g.vm, bo, 0, VA, 64 * KIB, NIB_VM_BIND_OP_DUMPABLE));
	check_room();
	check_off();
	check_memory();
	return 0;
}
