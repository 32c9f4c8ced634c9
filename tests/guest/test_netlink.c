/* SPDX-License-Identifier: MIT */
/*
 * The netlink family: devices, usage, counters and thresholds by request; wrong requests; what
 * needs a privilege; events of a fault and of thresholds.
 */
#include "netlink.h"

#include <glob.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>

#define BAD_VA	0x7770000000ull

static struct guest g;
static struct nl_talk talk, listener;
static uint32_t id;

#define NUMBER(answer, attr) ((answer)->attrs[attr].number)

static void check_devices(void)
{
	struct nl_answer *device = &talk.answers[0];
	struct nib_device_info info = query_device(g.fd);
	char address[64];
	struct stat st;

	guest_pci_address(g.fd, address, sizeof(address));
	CHECK(!fstat(g.fd, &st));
	id = minor(st.st_rdev);
	OK(nl_ask(&talk, NIB_CMD_DEVICE_GET, NLM_F_DUMP, 0, 0, 0, 0, 0, 0));
	EQUAL(talk.count, 1);
	EQUAL(device->cmd, NIB_CMD_DEVICE_GET);
	EQUAL(NUMBER(device, NIB_A_DEVICE_ID), id);
	CHECK(!strcmp(device->attrs[NIB_A_DEVICE_PCI_ADDRESS].text, address));
	CHECK(!strcmp(device->attrs[NIB_A_DEVICE_CHIP].text, info.chip));
	CHECK(!strcmp(device->attrs[NIB_A_DEVICE_FIRMWARE].text, info.fw_version));
	EQUAL(NUMBER(device, NIB_A_DEVICE_STATE), NIB_DEVICE_STATE_READY);
	EQUAL(NUMBER(device, NIB_A_DEVICE_HBM_BYTES), info.hbm_bytes);
	EQUAL(NUMBER(device, NIB_A_DEVICE_SRAM_BYTES), info.sram_bytes);
	OK(nl_ask(&talk, NIB_CMD_DEVICE_GET, NLM_F_ACK, NIB_A_DEVICE_ID, id, 0, 0, 0, 0));
	EQUAL(talk.count, 1);
}

static void check_usage(void)
{
	struct nl_answer *usage = &talk.answers[0];
	struct nib_memory_info memory;
	uint64_t busy, clock, energy;
	struct stream s = { 0 };

	OK(nl_ask(&talk, NIB_CMD_USAGE_GET, NLM_F_ACK, NIB_A_USAGE_ID, id, 0, 0, 0, 0));
	EQUAL(talk.count, 1);
	busy = NUMBER(usage, NIB_A_USAGE_BUSY_NS);
	clock = NUMBER(usage, NIB_A_USAGE_CLOCK_NS);
	energy = NUMBER(usage, NIB_A_USAGE_ENERGY_UJ);
	CHECK(clock && busy <= clock);
	packet_fill(&s, 0x100000000ull, MIB / 4, 1);
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	/* It waits until what was released is free. */
	memory = query_memory(g.fd);
	OK(nl_ask(&talk, NIB_CMD_USAGE_GET, NLM_F_DUMP, 0, 0, 0, 0, 0, 0));
	EQUAL(talk.count, 1);
	CHECK(NUMBER(usage, NIB_A_USAGE_BUSY_NS) > busy);
	CHECK(NUMBER(usage, NIB_A_USAGE_CLOCK_NS) > clock);
	CHECK(NUMBER(usage, NIB_A_USAGE_ENERGY_UJ) >= energy);
	CHECK(NUMBER(usage, NIB_A_USAGE_TEMPERATURE_MC) > 0);
	EQUAL(NUMBER(usage, NIB_A_USAGE_HBM_FREE), memory.hbm_free);
	EQUAL(NUMBER(usage, NIB_A_USAGE_SRAM_FREE), memory.sram_free);
}

/* Attributes that are missing, unknown, of a wrong size or out of range; devices that are not. */
static void check_wrong(void)
{
	struct nl_msg *msg;
	int cmd;

	for (cmd = NIB_CMD_DEVICE_GET; cmd <= NIB_CMD_THRESHOLD_SET; cmd++)
		EXPECT(nl_ask(&talk, cmd, NLM_F_ACK, 0, 0, 0, 0, 0, 0), -EINVAL);
	EXPECT(nl_ask(&talk, NIB_CMD_EVENT, NLM_F_ACK, 1, id, 0, 0, 0, 0), -EOPNOTSUPP);
	EXPECT(nl_ask(&talk, 200, NLM_F_ACK, 0, 0, 0, 0, 0, 0), -EOPNOTSUPP);
	EXPECT(nl_ask(&talk, NIB_CMD_DEVICE_GET, NLM_F_ACK, NIB_A_DEVICE_ID, 77, 0, 0, 0, 0), -ENODEV);
	EXPECT(nl_ask(&talk, NIB_CMD_COUNTER_GET, NLM_F_DUMP, NIB_A_COUNTER_DEVICE_ID, 77, 0, 0, 0,
		      0), -ENODEV);
	EXPECT(nl_ask(&talk, NIB_CMD_DEVICE_GET, NLM_F_DUMP, NIB_A_DEVICE_ID, id, 0, 0, 0, 0), -EINVAL);
	EXPECT(nl_ask(&talk, NIB_CMD_DEVICE_GET, NLM_F_ACK, NIB_A_DEVICE_ID, id, 9, 1, 0, 0), -EINVAL);
	EXPECT(nl_ask(&talk, NIB_CMD_COUNTER_GET, NLM_F_ACK, NIB_A_COUNTER_DEVICE_ID, id,
		      NIB_A_COUNTER_ID, NIB_COUNTER_MAX + 1, 0, 0), -ERANGE);
	EXPECT(nl_ask(&talk, NIB_CMD_THRESHOLD_SET, NLM_F_ACK, NIB_A_THRESHOLD_DEVICE_ID, id,
		      NIB_A_THRESHOLD_SENSOR, NIB_SENSOR_MAX + 1, NIB_A_THRESHOLD_LIMIT, 1), -ERANGE);
	EXPECT(nl_ask(&talk, NIB_CMD_THRESHOLD_SET, NLM_F_ACK, NIB_A_THRESHOLD_DEVICE_ID, id,
		      NIB_A_THRESHOLD_SENSOR, 0, NIB_A_THRESHOLD_LIMIT, 0x80000000u), -ERANGE);
	msg = nl_request(&talk, NIB_CMD_DEVICE_GET, NLM_F_ACK);
	nla_put_u8(msg, NIB_A_DEVICE_ID, 0);
	CHECK(nl_ask_message(&talk, msg) < 0);
	msg = nl_request(&talk, NIB_CMD_DEVICE_GET, NLM_F_ACK);
	nla_put_u64(msg, NIB_A_DEVICE_ID, 0);
	CHECK(nl_ask_message(&talk, msg) < 0);
}

static uint64_t counter(uint32_t which)
{
	OK(nl_ask(&talk, NIB_CMD_COUNTER_GET, NLM_F_ACK, NIB_A_COUNTER_DEVICE_ID, id, NIB_A_COUNTER_ID,
		  which, 0, 0));
	EQUAL(talk.count, 1);
	EQUAL(NUMBER(&talk.answers[0], NIB_A_COUNTER_ID), which);
	return NUMBER(&talk.answers[0], NIB_A_COUNTER_VALUE);
}

/* The next event of a kind; those of other kinds are skipped. */
static struct nl_answer *next_event(uint32_t kind)
{
	static uint64_t seq;
	struct nl_answer *event = &listener.answers[0];

	for (;;) {
		struct pollfd p = { .fd = nl_socket_get_fd(listener.sock), .events = POLLIN };

		CHECK(poll(&p, 1, 20000) == 1);
		listener.count = 0;
		CHECK(!nl_recvmsgs_default(listener.sock));
		if (!listener.count)
			continue;
		EQUAL(event->cmd, NIB_CMD_EVENT);
		EQUAL(NUMBER(event, NIB_A_EVENT_DEVICE_ID), id);
		/* One by one, none missing. */
		if (seq)
			EQUAL(NUMBER(event, NIB_A_EVENT_SEQ), seq + 1);
		seq = NUMBER(event, NIB_A_EVENT_SEQ);
		CHECK(NUMBER(event, NIB_A_EVENT_TIME_NS) <= now_ns());
		if (NUMBER(event, NIB_A_EVENT_KIND) == kind)
			return event;
	}
}

static void check_fault(void)
{
	uint64_t faults = counter(NIB_COUNTER_FAULT), kills = counter(NIB_COUNTER_QUEUE_KILL);
	struct nl_answer *event;
	struct stream s = { 0 };
	uint32_t queue, number;

	packet_fill(&s, BAD_VA, 4, 1);
	packet_end(&s);
	OK(queue_create(g.fd, g.vm, NIB_PRIORITY_NORMAL, &queue));
	EXPECT(run_stream(g.fd, g.vm, queue, &s), -EFAULT);
	EQUAL(counter(NIB_COUNTER_FAULT), faults + 1);
	EQUAL(counter(NIB_COUNTER_QUEUE_KILL), kills + 1);
	event = next_event(NIB_EVENT_KIND_FAULT);
	EQUAL(NUMBER(event, NIB_A_EVENT_STATUS), NIB_DONE_FAULT_WRITE);
	EQUAL(NUMBER(event, NIB_A_EVENT_ADDRESS), BAD_VA);
	CHECK(event->attrs[NIB_A_EVENT_QUEUE].there && !event->attrs[NIB_A_EVENT_RUNG].there);
	number = (uint32_t)NUMBER(event, NIB_A_EVENT_QUEUE);
	event = next_event(NIB_EVENT_KIND_RESET);
	EQUAL(NUMBER(event, NIB_A_EVENT_RUNG), NIB_RUNG_QUEUE);
	EQUAL(NUMBER(event, NIB_A_EVENT_QUEUE), number);
	OK(queue_destroy(g.fd, queue));
}

static void check_counters(void)
{
	static const char *const first[] = { "fault", "job-cancel", "queue-kill" };
	uint64_t faults;
	uint32_t i;

	OK(nl_ask(&talk, NIB_CMD_COUNTER_GET, NLM_F_DUMP, 0, 0, 0, 0, 0, 0));
	EQUAL(talk.count, NIB_COUNTER_MAX + 1);
	for (i = 0; i < talk.count; i++)
		EQUAL(NUMBER(&talk.answers[i], NIB_A_COUNTER_ID), i);
	for (i = 0; i < 3; i++)
		CHECK(!strcmp(talk.answers[i].attrs[NIB_A_COUNTER_NAME].text, first[i]));
	OK(nl_ask(&talk, NIB_CMD_COUNTER_GET, NLM_F_DUMP, NIB_A_COUNTER_DEVICE_ID, id, 0, 0, 0, 0));
	EQUAL(talk.count, NIB_COUNTER_MAX + 1);
	/* Clearing tells what was cleared. */
	faults = counter(NIB_COUNTER_FAULT);
	OK(nl_ask(&talk, NIB_CMD_COUNTER_CLEAR, NLM_F_ACK, NIB_A_COUNTER_DEVICE_ID, id,
		  NIB_A_COUNTER_ID, NIB_COUNTER_FAULT, 0, 0));
	EQUAL(NUMBER(&talk.answers[0], NIB_A_COUNTER_VALUE), faults);
	EQUAL(counter(NIB_COUNTER_FAULT), 0);
	CHECK(counter(NIB_COUNTER_QUEUE_KILL) > 0);
}

static int set_threshold(uint32_t sensor, uint32_t limit)
{
	return nl_ask(&talk, NIB_CMD_THRESHOLD_SET, NLM_F_ACK, NIB_A_THRESHOLD_DEVICE_ID, id,
		      NIB_A_THRESHOLD_SENSOR, sensor, NIB_A_THRESHOLD_LIMIT, limit);
}

static void check_thresholds(void)
{
	struct nl_answer *event;

	OK(nl_ask(&talk, NIB_CMD_THRESHOLD_GET, NLM_F_DUMP, 0, 0, 0, 0, 0, 0));
	EQUAL(talk.count, NIB_SENSOR_MAX + 1);
	EQUAL(NUMBER(&talk.answers[1], NIB_A_THRESHOLD_LIMIT), 0);
	/* Even a device that does nothing uses more than a milliwatt. */
	OK(set_threshold(NIB_SENSOR_POWER, 1));
	event = next_event(NIB_EVENT_KIND_THRESHOLD);
	EQUAL(NUMBER(event, NIB_A_EVENT_SENSOR), NIB_SENSOR_POWER);
	EQUAL(NUMBER(event, NIB_A_EVENT_LIMIT), 1);
	EQUAL(NUMBER(event, NIB_A_EVENT_ABOVE), 1);
	CHECK(NUMBER(event, NIB_A_EVENT_VALUE) > 1);
	OK(nl_ask(&talk, NIB_CMD_THRESHOLD_GET, NLM_F_ACK, NIB_A_THRESHOLD_DEVICE_ID, id,
		  NIB_A_THRESHOLD_SENSOR, NIB_SENSOR_POWER, 0, 0));
	EQUAL(NUMBER(&talk.answers[0], NIB_A_THRESHOLD_LIMIT), 1);
	EQUAL(NUMBER(&talk.answers[0], NIB_A_THRESHOLD_ABOVE), 1);
	CHECK(counter(NIB_COUNTER_THRESHOLD) > 0);
	OK(set_threshold(NIB_SENSOR_POWER, 0));
	OK(set_threshold(NIB_SENSOR_ENERGY_RATE, 1));
	event = next_event(NIB_EVENT_KIND_THRESHOLD);
	EQUAL(NUMBER(event, NIB_A_EVENT_SENSOR), NIB_SENSOR_ENERGY_RATE);
	OK(set_threshold(NIB_SENSOR_ENERGY_RATE, 0));
	/* One that is not reached says nothing. */
	OK(set_threshold(NIB_SENSOR_TEMPERATURE, 0x7fffffff));
	OK(set_threshold(NIB_SENSOR_TEMPERATURE, 0));
}

/* Runs a function in a process of its own, which ends with status 0 if all is well. */
static void in_child(void (*function)(void))
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		function();
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	EQUAL(status, 0);
}

/* Everyone may read; clearing, setting and listening are for administrators. */
static void be_nobody(void)
{
	struct nl_talk mine;

	CHECK(!setgid(65534) && !setuid(65534));
	CHECK(!nl_begin(&mine));
	OK(nl_ask(&mine, NIB_CMD_USAGE_GET, NLM_F_DUMP, 0, 0, 0, 0, 0, 0));
	EQUAL(mine.count, 1);
	EXPECT(nl_ask(&mine, NIB_CMD_COUNTER_CLEAR, NLM_F_ACK, NIB_A_COUNTER_DEVICE_ID, id,
		      NIB_A_COUNTER_ID, 0, 0, 0), -EPERM);
	EXPECT(nl_ask(&mine, NIB_CMD_THRESHOLD_SET, NLM_F_ACK, NIB_A_THRESHOLD_DEVICE_ID, id,
		      NIB_A_THRESHOLD_SENSOR, 0, NIB_A_THRESHOLD_LIMIT, 1), -EPERM);
	CHECK(nl_socket_add_membership(mine.sock, genl_ctrl_resolve_grp(mine.sock, NIB_FAMILY_NAME,
									NIB_MCGRP_EVENTS)) < 0);
	nl_end(&mine);
}

static void be_elsewhere(void)
{
	struct nl_talk mine;

	if (unshare(CLONE_NEWNET))
		return;
	CHECK(nl_begin(&mine) < 0);
	nl_end(&mine);
}

int main(void)
{
	int group;

	g = guest_begin();
	munmap(guest_buffer(&g, 0x100000000ull, MIB, NIB_BO_HBM), MIB);
	if (nl_begin(&talk))
		FAIL("no netlink family " NIB_FAMILY_NAME);
	CHECK(!nl_begin(&listener));
	nl_socket_disable_seq_check(listener.sock);
	group = genl_ctrl_resolve_grp(listener.sock, NIB_FAMILY_NAME, NIB_MCGRP_EVENTS);
	CHECK(group >= 0 && !nl_socket_add_membership(listener.sock, group));
	check_devices();
	check_usage();
	check_wrong();
	check_fault();
	check_counters();
	check_thresholds();
	in_child(be_nobody);
	in_child(be_elsewhere);
	nl_end(&listener);
	nl_end(&talk);
	return 0;
}
