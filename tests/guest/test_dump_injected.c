/* SPDX-License-Identifier: MIT */
/*
 * Core dumps of trouble that is not in the job: memory that fails, a page table walk that goes
 * wrong, an engine that is stuck, firmware that crashes. Each has what there was to see.
 */
#include "dumps.h"
#include "fault.h"

#define VA	0x100000000ull

static struct guest g;

/* Copies a little; the third packet is the first that reads. Returns the error of its fence. */
static int run_job(void)
{
	struct stream s = { 0 };
	uint32_t queue;
	int ret;

	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
	packet(&s, NIB_OP_NOP, 0, 0);
	packet_fill(&s, VA, 16, 7);
	packet_copy(&s, VA + 0x1000, VA + 0x2000, 64);
	packet_end(&s);
	ret = run_stream(g.fd, g.vm, queue, &s);
	OK(queue_destroy(g.fd, queue));
	return ret;
}

/* The dump of that, left for those outside. */
static const struct nib_dump_reason *take(struct dump *dump, const char *name)
{
	*dump = dump_take();
	dump_check_header(dump);
	if (!access("/share", W_OK))
		dump_save(dump, name);
	dump_drop();
	return (const void *)(dump_section(dump, NIB_DUMP_REASON) + 1);
}

static void check_ecc(void)
{
	const struct nib_dump_section *section;
	const struct nib_dump_reason *reason;
	const struct nib_event *event;
	struct dump dump;
	size_t i, ecc = 0;

	control("{\"inject\":\"ecc-fatal\"}");
	EXPECT(run_job(), -EIO);
	reason = take(&dump, "ecc");
	EQUAL(reason->status, NIB_DONE_FAULT_ECC);
	EQUAL(reason->packet, 2);
	CHECK(reason->fault_va >= VA + 0x1000 && reason->fault_va < VA + 0x1100);
	section = dump_section(&dump, NIB_DUMP_EVENTS);
	event = (const void *)(section + 1);
	for (i = 0; i < section->bytes / sizeof(*event); i++)
		ecc += event[i].type == NIB_EVENT_ECC && event[i].value == 1;
	CHECK(ecc);
	free(dump.data);
}

static void check_mmu(void)
{
	const struct nib_dump_reason *reason;
	struct dump dump;

	control("{\"inject\":\"mmu-fault\",\"after\":2}");
	EXPECT(run_job(), -EFAULT);
	reason = take(&dump, "mmu");
	CHECK(reason->status == NIB_DONE_FAULT_READ || reason->status == NIB_DONE_FAULT_WRITE);
	free(dump.data);
}

static void check_stuck(void)
{
	const struct nib_dump_reason *reason;
	struct dump dump;

	control("{\"inject\":\"stuck-packet\",\"rung\":\"queue\",\"after\":1}");
	EXPECT(run_job(), -ETIMEDOUT);
	reason = take(&dump, "stuck");
	EQUAL(reason->status, NIB_DONE_CANCELLED);
	EQUAL(reason->packet, 1);
	free(dump.data);
}

/* Nobody's fault: the dump blames no queue, and tells of no job. */
static void check_crash(void)
{
	const struct nib_dump_section *section = NULL;
	const struct nib_dump_reason *reason;
	const struct nib_dump_queue *queue;
	struct dump dump;

	control("{\"inject\":\"firmware-crash\"}");
	run_job();
	reason = take(&dump, "crash");
	EQUAL(reason->queue, NIB_DUMP_NONE);
	while ((section = dump_next(&dump, section, NIB_DUMP_QUEUE))) {
		queue = (const void *)(section + 1);
		EQUAL(queue->flags, NIB_DUMP_QUEUE_FOREIGN);
	}
	CHECK(!dump_next(&dump, NULL, NIB_DUMP_JOBS));
	CHECK(!dump_next(&dump, NULL, NIB_DUMP_MAPPINGS));
	CHECK(!dump_next(&dump, NULL, NIB_DUMP_STREAM));
	free(dump.data);
}

int main(void)
{
	uint32_t bo;

	control_open();
	dump_drop();
	watchdog_set(1000);
	g = guest_begin();
	OK(bo_create(g.fd, 64 * KIB, NIB_BO_HBM, &bo));
	OK(vm_map(g.fd, g.vm, bo, 0, VA, 64 * KIB, NIB_VM_BIND_OP_DUMPABLE));
	RUN(check_ecc());
	RUN(check_mmu());
	RUN(check_stuck());
	RUN(check_crash());
	return 0;
}
