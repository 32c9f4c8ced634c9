/* SPDX-License-Identifier: MIT */
/*
 * Requests to the netlink family that nobody vouches for: random commands, flags and attributes of
 * random types, lengths and contents, some of them nearly right. Nothing may break; afterwards the
 * family still answers, and the device works. The seed is printed: NIB_SEED=n repeats a run.
 */
#include "netlink.h"

#include <poll.h>

#define ROUNDS	4000u

static uint64_t state;

static uint32_t roll(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % below;
}

static uint32_t odd_number(void)
{
	static const uint32_t some[] = { 0, 1, 2, 15, 16, 255, 0x7fffffff, 0x80000000, 0xffffffff };

	return roll(4) ? some[roll(sizeof(some) / sizeof(some[0]))] : (uint32_t)state;
}

static void put_attribute(struct nl_msg *msg)
{
	uint8_t junk[300];
	uint32_t i, length;

	if (roll(3)) {
		nla_put_u32(msg, (int)(1 + roll(4)), odd_number());
		return;
	}
	length = roll(8) ? roll(17) : roll(sizeof(junk));
	for (i = 0; i < length; i++)
		junk[i] = (uint8_t)roll(256);
	/* Nested, of another byte order, or without a meaning at all. */
	nla_put(msg, (int)(roll(NIB_A_EVENT_MAX + 4) | (roll(8) ? 0 : 1u << (14 + roll(2)))),
		(int)length, junk);
}

/* The header itself may lie about the length of what follows. */
static void send_one(struct nl_talk *talk)
{
	static const int flags[] = { 0, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP | NLM_F_ACK, NLM_F_ECHO };
	struct nl_msg *msg = nl_request(talk, (int)roll(NIB_CMD_MAX + 3), flags[roll(5)]);
	struct nlmsghdr *header = nlmsg_hdr(msg);
	uint32_t n = roll(5);

	while (n--)
		put_attribute(msg);
	nl_complete_msg(talk->sock, msg);
	if (!roll(16) && nlmsg_datalen(header) > 8) {
		struct nlattr *attr = (struct nlattr *)((char *)nlmsg_data(header) + GENL_HDRLEN);

		attr->nla_len = (uint16_t)roll(64);
	}
	if (send(nl_socket_get_fd(talk->sock), header, header->nlmsg_len, 0) < 0)
		CHECK(errno == ENOBUFS || errno == EAGAIN);
	nlmsg_free(msg);
}

/* Answers are read away, whatever they are. */
static void drain(struct nl_talk *talk)
{
	static char buffer[65536];
	struct pollfd p = { .fd = nl_socket_get_fd(talk->sock), .events = POLLIN };

	while (poll(&p, 1, 0) == 1 && recv(p.fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
}

int main(void)
{
	const char *seed = getenv("NIB_SEED");
	struct guest g = guest_begin();
	struct stream s = { 0 };
	struct nl_talk talk;
	uint32_t i;

	state = seed ? strtoull(seed, NULL, 0) : now_ns() | 1;
	printf("NIB_SEED=%" PRIu64 "\n", state);
	if (nl_begin(&talk))
		FAIL("no netlink family " NIB_FAMILY_NAME);
	for (i = 0; i < ROUNDS; i++) {
		send_one(&talk);
		drain(&talk);
	}
	nl_end(&talk);
	CHECK(!nl_begin(&talk));
	OK(nl_ask(&talk, NIB_CMD_COUNTER_GET, NLM_F_DUMP, 0, 0, 0, 0, 0, 0));
	EQUAL(talk.count, NIB_COUNTER_MAX + 1);
	/* Thresholds that it may have set go. */
	for (i = 0; i <= NIB_SENSOR_MAX; i++)
		OK(nl_ask(&talk, NIB_CMD_THRESHOLD_SET, NLM_F_ACK, NIB_A_THRESHOLD_DEVICE_ID,
			  0, NIB_A_THRESHOLD_SENSOR, i, NIB_A_THRESHOLD_LIMIT, 0));
	nl_end(&talk);
	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	return 0;
}
