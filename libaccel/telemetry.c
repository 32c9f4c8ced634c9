// SPDX-License-Identifier: MIT
/*
 * libaccel-telemetry: the handle, and requests to the driver's netlink family.
 */
#include <errno.h>
#include <stdlib.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "nib_netlink.h"
#include "telemetry.h"

/* Events that were read from the socket and not asked for yet: what one datagram holds, at most. */
#define EVENTS	64u

/**
 * struct accel_telemetry - a handle.
 * @sock: for requests.
 * @events: for events, or NULL.
 * @family: number of the family, or negative while it is not there.
 * @queue: events from @tail to @head, at their number modulo EVENTS.
 */
struct accel_telemetry {
	struct nl_sock *sock;
	struct nl_sock *events;
	int family;
	struct accel_telemetry_event queue[EVENTS];
	unsigned int head;
	unsigned int tail;
};

/**
 * struct request - a request under way.
 * @take: is given each answer.
 * @to: its argument.
 * @error: 0 or -errno, as the kernel says.
 * @done: the last answer has come.
 */
struct request {
	void (*take)(struct nlmsghdr *header, void *to);
	void *to;
	int error;
	bool done;
};

static int on_answer(struct nl_msg *msg, void *arg)
{
	struct request *request = arg;

	if (request->take)
		request->take(nlmsg_hdr(msg), request->to);
	return NL_OK;
}

static int on_done(struct nl_msg *msg, void *arg)
{
	struct request *request = arg;
	struct nlmsghdr *header = nlmsg_hdr(msg);

	/* The end of a dump says how it went. */
	if (header->nlmsg_type == NLMSG_DONE && nlmsg_datalen(header) >= (int)sizeof(int))
		memcpy(&request->error, nlmsg_data(header), sizeof(int));
	request->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *error, void *arg)
{
	struct request *request = arg;

	(void)from;
	request->error = error->error;
	request->done = true;
	return NL_STOP;
}

/* -errno of the library's own errors. */
static int nl_errno(int error)
{
	switch (-error) {
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_DUMP_INTR:
		return -EAGAIN;
	default:
		return -EIO;
	}
}

static int send_and_receive(struct accel_telemetry *t, struct nl_msg *msg, struct request *request)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret;

	if (!cb)
		return -ENOMEM;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_answer, request);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_done, request);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_done, request);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, request);
	ret = nl_send_auto(t->sock, msg);
	while (ret >= 0 && !request->done)
		ret = nl_recvmsgs(t->sock, cb);
	nl_cb_put(cb);
	return request->done ? request->error : nl_errno(ret);
}

/* Up to three attributes of 32 bits; the first of type 0 ends them. */
struct attr {
	int type;
	uint32_t value;
};

static int ask_once(struct accel_telemetry *t, int cmd, bool dump, const struct attr *attrs,
		    struct request *request)
{
	int flags = dump ? NLM_F_DUMP : NLM_F_ACK, ret = 0;
	struct nl_msg *msg = nlmsg_alloc();
	unsigned int i;

	if (!msg)
		return -ENOMEM;
	if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, t->family, 0, flags, (uint8_t)cmd,
			 NIB_FAMILY_VERSION))
		ret = -ENOMEM;
	for (i = 0; !ret && i < 3 && attrs[i].type; i++)
		if (nla_put_u32(msg, attrs[i].type, attrs[i].value))
			ret = -ENOMEM;
	if (!ret)
		ret = send_and_receive(t, msg, request);
	nlmsg_free(msg);
	return ret;
}

/*
 * Returns 0 or -errno; -EOPNOTSUPP if there is no family. Its number changes when the driver is
 * loaded again: the old one is then unknown to the kernel, and looked up once more.
 */
static int ask(struct accel_telemetry *t, int cmd, bool dump, const struct attr *attrs,
	       void (*take)(struct nlmsghdr *header, void *to), void *to)
{
	struct request request = { .take = take, .to = to };
	int ret;

	if (t->family >= 0) {
		ret = ask_once(t, cmd, dump, attrs, &request);
		if (ret != -ENOENT)
			return ret;
	}
	t->family = genl_ctrl_resolve(t->sock, NIB_FAMILY_NAME);
	if (t->family < 0)
		return -EOPNOTSUPP;
	request = (struct request){ .take = take, .to = to };
	return ask_once(t, cmd, dump, attrs, &request);
}

ACCEL_API int accel_telemetry_open(struct accel_telemetry **telemetry)
{
	struct accel_telemetry *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return -ENOMEM;
	t->family = -1;
	t->sock = nl_socket_alloc();
	ret = t->sock ? genl_connect(t->sock) : -NLE_NOMEM;
	if (ret) {
		accel_telemetry_close(t);
		return ret == -NLE_NOMEM ? -ENOMEM : -EMFILE;
	}
	*telemetry = t;
	return 0;
}

ACCEL_API void accel_telemetry_close(struct accel_telemetry *t)
{
	if (!t)
		return;
	if (t->events)
		nl_socket_free(t->events);
	if (t->sock)
		nl_socket_free(t->sock);
	free(t);
}

/* --- Devices --- */

/* What a dump fills: @index elements so far. */
struct list {
	void *array;
	size_t stride;
	unsigned int max;
	unsigned int count;
};

static void list_add(struct list *list, const void *element, size_t size)
{
	if (list->count < list->max)
		tele_put(list->array, list->stride, list->count, element, size);
	list->count++;
}

static void take_device(struct nlmsghdr *header, void *to)
{
	struct accel_telemetry_device device;

	if (!tele_wire_device(header, &device))
		list_add(to, &device, sizeof(device));
}

static int list_by_sysfs(struct list *list)
{
	struct accel_telemetry_device devices[64];
	int count = tele_sysfs_devices(devices, 64), i;

	for (i = 0; i < count && i < 64; i++)
		list_add(list, &devices[i], sizeof(devices[i]));
	return count;
}

ACCEL_API int accel_telemetry_device_list(struct accel_telemetry *t,
					  struct accel_telemetry_device *devices, unsigned int max)
{
	static const struct attr none[1];
	struct list list = { .array = devices, .max = max };
	int ret;

	if (max && devices[0].struct_size < sizeof(devices[0].struct_size))
		return -EINVAL;
	list.stride = max ? devices[0].struct_size : 0;
	ret = ask(t, NIB_CMD_DEVICE_GET, true, none, take_device, &list);
	if (ret == -EOPNOTSUPP)
		return list_by_sysfs(&list);
	return ret ? ret : (int)list.count;
}

static void take_usage(struct nlmsghdr *header, void *to)
{
	tele_wire_usage(header, to);
}

ACCEL_API int accel_telemetry_usage_get(struct accel_telemetry *t, uint32_t device,
					struct accel_telemetry_usage *usage)
{
	const struct attr attrs[3] = { { NIB_A_USAGE_ID, device } };
	struct accel_telemetry_usage now = { .struct_size = 0 };
	int ret;

	if (usage->struct_size < sizeof(usage->struct_size))
		return -EINVAL;
	ret = ask(t, NIB_CMD_USAGE_GET, false, attrs, take_usage, &now);
	if (ret == -EOPNOTSUPP)
		ret = tele_sysfs_usage(device, &now);
	else if (!ret && !now.struct_size)
		ret = -EIO;
	if (!ret)
		tele_put(usage, usage->struct_size, 0, &now, sizeof(now));
	return ret;
}

/* --- Counters and thresholds --- */

struct counters {
	struct accel_telemetry_counter *array;
	unsigned int max;
	unsigned int count;
};

static void take_counter(struct nlmsghdr *header, void *to)
{
	struct counters *counters = to;
	struct accel_telemetry_counter counter;

	if (tele_wire_counter(header, &counter))
		return;
	if (counters->count < counters->max)
		counters->array[counters->count] = counter;
	counters->count++;
}

ACCEL_API int accel_telemetry_counter_list(struct accel_telemetry *t, uint32_t device,
					   struct accel_telemetry_counter *array, unsigned int max)
{
	const struct attr attrs[3] = { { NIB_A_COUNTER_DEVICE_ID, device } };
	struct counters counters = { .array = array, .max = max };
	int ret = ask(t, NIB_CMD_COUNTER_GET, true, attrs, take_counter, &counters);

	return ret ? ret : (int)counters.count;
}

ACCEL_API int accel_telemetry_counter_clear(struct accel_telemetry *t, uint32_t device,
					    uint32_t counter, uint64_t *was)
{
	const struct attr attrs[3] = { { NIB_A_COUNTER_DEVICE_ID, device },
				       { NIB_A_COUNTER_ID, counter } };
	struct accel_telemetry_counter cleared = { 0 };
	struct counters counters = { .array = &cleared, .max = 1 };
	int ret = ask(t, NIB_CMD_COUNTER_CLEAR, false, attrs, take_counter, &counters);

	if (!ret && was)
		*was = cleared.value;
	return ret;
}

struct threshold {
	uint32_t limit;
	bool above;
};

static void take_threshold(struct nlmsghdr *header, void *to)
{
	struct threshold *threshold = to;

	tele_wire_threshold(header, &threshold->limit, &threshold->above);
}

ACCEL_API int accel_telemetry_threshold_get(struct accel_telemetry *t, uint32_t device,
					    enum accel_telemetry_sensor sensor, uint32_t *limit,
					    bool *above)
{
	const struct attr attrs[3] = { { NIB_A_THRESHOLD_DEVICE_ID, device },
				       { NIB_A_THRESHOLD_SENSOR, (uint32_t)sensor } };
	struct threshold threshold = { 0 };
	int ret = ask(t, NIB_CMD_THRESHOLD_GET, false, attrs, take_threshold, &threshold);

	if (!ret) {
		*limit = threshold.limit;
		*above = threshold.above;
	}
	return ret;
}

ACCEL_API int accel_telemetry_threshold_set(struct accel_telemetry *t, uint32_t device,
					    enum accel_telemetry_sensor sensor, uint32_t limit)
{
	const struct attr attrs[3] = { { NIB_A_THRESHOLD_DEVICE_ID, device },
				       { NIB_A_THRESHOLD_SENSOR, (uint32_t)sensor },
				       { NIB_A_THRESHOLD_LIMIT, limit } };

	return ask(t, NIB_CMD_THRESHOLD_SET, false, attrs, NULL, NULL);
}

/* --- Events --- */

static int on_event(struct nl_msg *msg, void *arg)
{
	struct accel_telemetry *t = arg;

	if (t->head - t->tail < EVENTS && !tele_wire_event(nlmsg_hdr(msg), &t->queue[t->head % EVENTS]))
		t->head++;
	return NL_OK;
}

ACCEL_API int accel_telemetry_event_listen(struct accel_telemetry *t)
{
	struct nl_sock *sock;
	int group, ret;

	if (t->events)
		return 0;
	group = genl_ctrl_resolve_grp(t->sock, NIB_FAMILY_NAME, NIB_MCGRP_EVENTS);
	if (group < 0)
		return -EOPNOTSUPP;
	sock = nl_socket_alloc();
	if (!sock)
		return -ENOMEM;
	nl_socket_disable_seq_check(sock);
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_event, t);
	ret = genl_connect(sock);
	if (!ret)
		ret = nl_socket_add_membership(sock, group);
	if (!ret)
		ret = nl_socket_set_nonblocking(sock);
	if (ret) {
		nl_socket_free(sock);
		return nl_errno(ret);
	}
	t->events = sock;
	return 0;
}

ACCEL_API int accel_telemetry_event_fd(const struct accel_telemetry *t)
{
	return t->events ? nl_socket_get_fd(t->events) : -EINVAL;
}

ACCEL_API int accel_telemetry_event_next(struct accel_telemetry *t,
					 struct accel_telemetry_event *event)
{
	int ret;

	if (!t->events || event->struct_size < sizeof(event->struct_size))
		return -EINVAL;
	if (t->head == t->tail) {
		errno = 0;
		ret = nl_recvmsgs_default(t->events);
		/* The library says "no memory" when the socket says that it overflowed. */
		if (ret == -NLE_NOMEM || errno == ENOBUFS)
			return -ENOBUFS;
		if (ret < 0 && ret != -NLE_AGAIN && ret != -NLE_INTR)
			return nl_errno(ret);
	}
	if (t->head == t->tail)
		return 0;
	tele_put(event, event->struct_size, 0, &t->queue[t->tail++ % EVENTS], sizeof(*t->queue));
	return 1;
}

/* --- Clients --- */

ACCEL_API int accel_telemetry_client_list(struct accel_telemetry *t,
					  struct accel_telemetry_client *clients, unsigned int max)
{
	(void)t;
	if (max && clients[0].struct_size < sizeof(clients[0].struct_size))
		return -EINVAL;
	return tele_proc_clients("/proc", clients, max ? clients[0].struct_size : 0, max);
}
