/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the netlink family share: a socket, requests, attributes.
 */
#ifndef GUEST_NETLINK_H
#define GUEST_NETLINK_H

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "guest.h"
#include "nib_netlink.h"

#define NL_ATTRS	32

/* One answer or event. */
struct nl_answer {
	int cmd;
	struct {
		bool there;
		uint64_t number;	/* of what is 1, 4 or 8 bytes long */
		char text[64];
	} attrs[NL_ATTRS];
};

struct nl_talk {
	struct nl_sock *sock;
	int family;
	struct nl_answer answers[64];
	unsigned int count;
	int error;
	bool done;
};

static UNUSED int nl_on_message(struct nl_msg *msg, void *arg)
{
	struct nl_talk *talk = arg;
	struct genlmsghdr *header = genlmsg_hdr(nlmsg_hdr(msg));
	struct nl_answer *answer = &talk->answers[talk->count];
	struct nlattr *attr;
	int left;

	if (talk->count == 64)
		return NL_SKIP;
	memset(answer, 0, sizeof(*answer));
	answer->cmd = header->cmd;
	nlmsg_for_each_attr(attr, nlmsg_hdr(msg), GENL_HDRLEN, left) {
		int type = nla_type(attr), length = nla_len(attr);

		CHECK(type < NL_ATTRS);
		answer->attrs[type].there = true;
		if (length == 1)
			answer->attrs[type].number = nla_get_u8(attr);
		else if (length == 4)
			answer->attrs[type].number = nla_get_u32(attr);
		else if (length == 8)
			answer->attrs[type].number = nla_get_u64(attr);
		snprintf(answer->attrs[type].text, sizeof(answer->attrs[type].text), "%.*s", length,
			 (const char *)nla_data(attr));
	}
	talk->count++;
	return NL_OK;
}

static UNUSED int nl_on_done(struct nl_msg *msg, void *arg)
{
	struct nl_talk *talk = arg;
	const struct nlmsghdr *header = nlmsg_hdr(msg);

	/* The end of a dump says how it went. */
	if (header->nlmsg_type == NLMSG_DONE && nlmsg_datalen(header) >= (int)sizeof(int))
		memcpy(&talk->error, nlmsg_data(header), sizeof(int));
	talk->done = true;
	return NL_STOP;
}

static UNUSED int nl_on_error(struct sockaddr_nl *from, struct nlmsgerr *error, void *arg)
{
	struct nl_talk *talk = arg;

	(void)from;
	talk->error = error->error;
	talk->done = true;
	return NL_STOP;
}

/* A socket, connected to the family. Returns 0 or -1 if there is none. */
static UNUSED int nl_begin(struct nl_talk *talk)
{
	memset(talk, 0, sizeof(*talk));
	talk->sock = nl_socket_alloc();
	CHECK(talk->sock && !genl_connect(talk->sock));
	talk->family = genl_ctrl_resolve(talk->sock, NIB_FAMILY_NAME);
	nl_socket_modify_cb(talk->sock, NL_CB_VALID, NL_CB_CUSTOM, nl_on_message, talk);
	nl_socket_modify_cb(talk->sock, NL_CB_FINISH, NL_CB_CUSTOM, nl_on_done, talk);
	nl_socket_modify_cb(talk->sock, NL_CB_ACK, NL_CB_CUSTOM, nl_on_done, talk);
	nl_socket_modify_err_cb(talk->sock, NL_CB_CUSTOM, nl_on_error, talk);
	return talk->family < 0 ? -1 : 0;
}

static UNUSED void nl_end(struct nl_talk *talk)
{
	nl_socket_free(talk->sock);
}

static UNUSED struct nl_msg *nl_request(struct nl_talk *talk, int cmd, int flags)
{
	struct nl_msg *msg = nlmsg_alloc();

	CHECK(msg && genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, talk->family, 0, flags, (uint8_t)cmd,
				 NIB_FAMILY_VERSION));
	return msg;
}

/* Sends a request and takes all answers. Returns 0 or what the kernel says. */
static UNUSED int nl_ask_message(struct nl_talk *talk, struct nl_msg *msg)
{
	talk->count = 0;
	talk->error = 0;
	talk->done = false;
	CHECK(nl_send_auto(talk->sock, msg) >= 0);
	nlmsg_free(msg);
	while (!talk->done)
		CHECK(nl_recvmsgs_default(talk->sock) >= -NLE_MAX);
	return talk->error;
}

/* A request with up to three attributes of 32 bits; type 0 for none. */
static UNUSED int nl_ask(struct nl_talk *talk, int cmd, int flags, int a, uint32_t va, int b,
			 uint32_t vb, int c, uint32_t vc)
{
	struct nl_msg *msg = nl_request(talk, cmd, flags);

	if (a)
		nla_put_u32(msg, a, va);
	if (b)
		nla_put_u32(msg, b, vb);
	if (c)
		nla_put_u32(msg, c, vc);
	return nl_ask_message(talk, msg);
}

#endif
