/* SPDX-License-Identifier: MIT */
/*
 * What all clients of one user may have together: EDQUOT at the limit, whichever client asks, while
 * another user still gets his; CAP_SYS_RESOURCE lifts it; what is let go of can be had again.
 */
#include "guest.h"

#include <sys/wait.h>

#define PARAM	"/sys/module/nib/parameters/"
#define LIMIT	6u
#define CLIENTS	3

static struct nib_limits_info query_limits(int fd)
{
	struct nib_limits_info info = { 0 };
	struct nib_dev_query query = {
		.type = NIB_QUERY_LIMITS, .size = sizeof(info), .pointer = (uintptr_t)&info,
	};

	OK(nib_ioctl(fd, DRM_IOCTL_NIB_DEV_QUERY, &query));
	return info;
}

/* Runs @test as another user, which has no capabilities. */
static void as_user(uid_t uid, void (*test)(int fd))
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		CHECK(!setuid(uid));
		test(guest_open());
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (status)
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void take_all(int first)
{
	struct nib_limits_info info = query_limits(first);
	struct nib_stream_create create;
	uint32_t vms[LIMIT], queues[LIMIT], id, i, c;
	struct stream s = { 0 };
	int fds[CLIENTS] = { first };

	EQUAL(info.max_contexts, LIMIT);
	EQUAL(info.max_queues, LIMIT);
	EQUAL(info.max_streams, LIMIT);
	/* What another process of the user held may still be on its way out. */
	for (i = 0; i < 250 && query_limits(first).contexts; i++)
		usleep(20000);
	EQUAL(query_limits(first).contexts, 0);
	packet_end(&s);
	for (c = 1; c < CLIENTS; c++)
		fds[c] = guest_open();
	for (i = 0; i < LIMIT; i++) {
		c = i % CLIENTS;
		OK(vm_create(fds[c], &vms[i]));
		OK(queue_create(fds[c], vms[i], NIB_PRIORITY_NORMAL, &queues[i]));
		OK(stream_create_raw(fds[c], vms[i], s.words, 8, &create));
	}
	for (c = 0; c < CLIENTS; c++) {
		EXPECT(vm_create(fds[c], &id), -EDQUOT);
		EXPECT(queue_create(fds[c], vms[c], NIB_PRIORITY_NORMAL, &id), -EDQUOT);
		EXPECT(stream_create_raw(fds[c], vms[c], s.words, 8, &create), -EDQUOT);
		info = query_limits(fds[c]);
		EQUAL(info.contexts, LIMIT);
		EQUAL(info.queues, LIMIT);
		EQUAL(info.streams, LIMIT);
	}
	/* A closed queue, and then a closed client, make room. */
	OK(queue_destroy(fds[0], queues[0]));
	OK(queue_create(fds[1], vms[1], NIB_PRIORITY_NORMAL, &id));
	EXPECT(queue_create(fds[1], vms[1], NIB_PRIORITY_NORMAL, &id), -EDQUOT);
	close(fds[2]);
	for (i = 0; i < LIMIT / CLIENTS; i++) {
		OK(vm_create(fds[0], &id));
		OK(stream_create_raw(fds[0], id, s.words, 8, &create));
	}
	EXPECT(vm_create(fds[0], &id), -EDQUOT);
}

/* The other user still has room while this one holds everything. */
static void take_all_and_look(int fd)
{
	uint32_t id, i;

	for (i = 0; i < LIMIT; i++)
		OK(vm_create(fd, &id));
	EXPECT(vm_create(fd, &id), -EDQUOT);
}

static void beside_another(int fd)
{
	pid_t pid;
	int status;
	uint32_t id;

	OK(vm_create(fd, &id));
	/* A second process of the same user counts in the same account. */
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		int other = guest_open();
		uint32_t i;

		for (i = 0; i < LIMIT - 1; i++)
			OK(vm_create(other, &id));
		EXPECT(vm_create(other, &id), -EDQUOT);
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	EQUAL(status, 0);
}

int main(void)
{
	uint32_t id, i;
	int fd, all;

	fd = guest_open();
	if (geteuid())
		SKIP("needs root, to become others");
	/* No udev rule here: let everyone in. */
	CHECK(!fchmod(fd, 0666));
	OK(write_file(PARAM "max_user_contexts", "6"));
	OK(write_file(PARAM "max_user_queues", "6"));
	OK(write_file(PARAM "max_user_streams", "6"));

	as_user(1000, take_all);
	as_user(1000, take_all);
	/* Root holds more than the limit, and nobody else feels it. */
	all = guest_open();
	for (i = 0; i < LIMIT + 2; i++)
		OK(vm_create(all, &id));
	EQUAL(query_limits(all).contexts, LIMIT + 2);
	as_user(1000, take_all_and_look);
	as_user(1001, beside_another);
	close(all);

	OK(write_file(PARAM "max_user_contexts", "-1"));
	OK(write_file(PARAM "max_user_queues", "-1"));
	OK(write_file(PARAM "max_user_streams", "-1"));
	CHECK(query_limits(fd).max_contexts > LIMIT);
	OK(write_file(PARAM "max_user_contexts", "0"));
	EQUAL(query_limits(fd).max_contexts, 0);
	OK(write_file(PARAM "max_user_contexts", "-1"));
	return 0;
}
