/* SPDX-License-Identifier: MIT */
/*
 * The driver is unbound from the device, or the device removed from its bus, again and again while
 * a client has work in flight, mappings and files: fences end with ENODEV, its ioctls fail, its
 * mappings of the device fault, and the next client finds a device as new.
 */
#include "life.h"

#include <setjmp.h>
#include <signal.h>

#define ROUNDS	4

static sigjmp_buf after_fault;

static void on_fault(int number)
{
	siglongjmp(after_fault, number);
}

static void check_window_is_gone(volatile uint32_t *hbm)
{
	signal(SIGBUS, on_fault);
	if (!sigsetjmp(after_fault, 1)) {
		hbm[1] = 1;
		FAIL("HBM of an unbound device can still be written");
	}
	signal(SIGBUS, SIG_DFL);
}

static void check(int (*take)(const char *address), const char *address, bool close_first)
{
	struct life_work w = life_begin(), other = life_begin();

	w.host[5] = 5;
	if (close_first)
		life_end(&other);
	OK(take(address));
	life_check_ended(&w, -ENODEV);
	if (!close_first) {
		life_check_ended(&other, -ENODEV);
		life_end(&other);
	}
	EXPECT(submit(w.g.fd, w.g.queue, w.hold, w.fence[0]), -ENODEV);
	check_window_is_gone(w.hbm);
	/* Host memory stays. */
	CHECK(w.host[5] == 5 || w.host[5] == 0x3333);
	life_end(&w);
}

int main(void)
{
	uint64_t hbm_free = life_check_fresh(0);
	char address[64];
	int i;

	life_find_device(address, sizeof(address));
	for (i = 0; i < ROUNDS; i++) {
		check(life_unbind, address, i & 1);
		OK(life_bind(address));
		life_check_fresh(hbm_free);
		check(life_remove, address, i & 1);
		OK(life_rescan());
		life_check_fresh(hbm_free);
	}
	return 0;
}
