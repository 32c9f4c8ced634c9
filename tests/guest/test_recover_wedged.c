/* SPDX-License-Identifier: MIT */
/*
 * A device that nothing brings back is given up: every fence ends, calls say that the device is gone,
 * those that tell what has become of it still do, and user space gets the uevent that tells how it may
 * be had back. Binding the driver anew does bring it back here.
 */
#include "fault.h"
#include "life.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#define UEVENT_MS	30000

static int uevents_open(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		SKIP("no uevents");
	return fd;
}

/* Waits for the uevent; returns what it says of WEDGED. */
static const char *uevent_wedged(int fd)
{
	static char event[4096];
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	const char *at;
	ssize_t n;

	while (poll(&poll_fd, 1, UEVENT_MS) == 1) {
		n = recv(fd, event, sizeof(event) - 1, 0);
		CHECK(n > 0);
		event[n] = 0;
		for (at = event; at < event + n; at += strlen(at) + 1)
			if (!strncmp(at, "WEDGED=", 7)) {
				CHECK(strstr(event, "/accel/accel"));
				return at + 7;
			}
	}
	FAIL("no uevent");
}

int main(void)
{
	uint32_t fence[2], other, vm;
	struct nib_device_info info;
	struct worker w, fresh;
	char address[64];
	int events;

	control_open();
	w = worker_begin(guest_open());
	guest_pci_address(w.fd, address, sizeof(address));
	events = uevents_open();
	watchdog_set(400);
	fence[0] = syncobj(w.fd);
	fence[1] = syncobj(w.fd);
	OK(queue_create(w.fd, w.vm, NIB_PRIORITY_NORMAL, &other));
	/* Only a reset of the function would help, and then no firmware boots. */
	control("{\"inject\":\"firmware-refused\",\"error\":\"digest\",\"count\":\"forever\"}");
	control("{\"inject\":\"stuck-packet\",\"queue\":%u,\"rung\":\"function\"}", w.hw);
	OK(worker_submit(&w, 1, 0, fence[0]));
	OK(worker_submit(&w, 2, 0, fence[1]));
	EXPECT(fence_end(w.fd, fence[0]), -ETIMEDOUT);
	CHECK(fence_end(w.fd, fence[1]));
	CHECK(!strcmp(uevent_wedged(events), "rebind,bus-reset"));

	info = query_device(w.fd);
	EQUAL(info.wedged, 1);
	EQUAL(queue_state(w.fd, w.queue).state & ~NIB_QUEUE_STATE_LOST,
	      NIB_QUEUE_STATE_GUILTY | NIB_QUEUE_STATE_BANNED);
	CHECK(!(queue_state(w.fd, other).state & NIB_QUEUE_STATE_GUILTY));
	EXPECT(worker_submit(&w, 1, 0, fence[0]), -ENODEV);
	EXPECT(vm_create(w.fd, &vm), -ENODEV);
	show_ladder(w.fd);
	close(w.fd);

	control_clear();
	OK(life_unbind(address));
	OK(life_bind(address));
	fresh = worker_begin(guest_open());
	EQUAL(query_device(fresh.fd).wedged, 0);
	OK(worker_run(&fresh, 3));
	return 0;
}
