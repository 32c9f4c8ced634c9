/* SPDX-License-Identifier: MIT */
/*
 * The driver is unbound from the device, and bound again, while a client has work in flight,
 * mappings and files: fences end with ENODEV, its ioctls fail, its mappings fault, and the next
 * client finds a device as new.
 */
#include "guest.h"

#include <setjmp.h>
#include <signal.h>

#define VA	0x100000000ull
#define DRIVER	"/sys/bus/pci/drivers/nib"

static sigjmp_buf after_fault;

static void on_fault(int number)
{
	siglongjmp(after_fault, number);
}

static void check_unbind(const char *bdf)
{
	struct guest g = guest_begin();
	uint32_t fence[2], hang, host, *map, i;
	volatile uint32_t *hbm;
	struct stream s = { 0 };
	int files[2];

	hbm = guest_buffer(&g, VA, 64 * KIB, NIB_BO_HBM);
	OK(bo_create(g.fd, MIB, NIB_BO_HOST, &host));
	OK(vm_map(g.fd, g.vm, host, 0, VA + MIB, MIB, 0));
	map = bo_map(g.fd, host, MIB);
	map[0] = 5;
	hbm[0] = 0;
	packet_sem(&s, VA, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	hang = stream_create(g.fd, g.vm, &s);
	for (i = 0; i < 2; i++) {
		fence[i] = syncobj(g.fd);
		OK(submit(g.fd, g.queue, hang, fence[i]));
	}
	for (i = 0; i < 2; i++)
		CHECK(!drmSyncobjExportSyncFile(g.fd, fence[i], &files[i]));

	OK(write_file(DRIVER "/unbind", bdf));

	for (i = 0; i < 2; i++) {
		struct sync_fence_info info = { 0 };
		struct sync_file_info file = {
			.num_fences = 1, .sync_fence_info = (uintptr_t)&info,
		};

		CHECK(!ioctl(files[i], SYNC_IOC_FILE_INFO, &file));
		EXPECT(info.status, -ENODEV);
		close(files[i]);
	}
	EXPECT(submit(g.fd, g.queue, hang, fence[0]), -ENODEV);
	/* The window is gone. */
	signal(SIGBUS, on_fault);
	if (!sigsetjmp(after_fault, 1)) {
		hbm[1] = 1;
		FAIL("HBM of an unbound device can still be written");
	}
	signal(SIGBUS, SIG_DFL);
	/* Host memory is not. */
	EQUAL(map[0], 5);
	munmap((void *)hbm, 64 * KIB);
	munmap(map, MIB);
	close(g.fd);
}

/* A new client finds a device that works, and all of its memory. */
static void check_fresh(uint64_t hbm_free)
{
	struct guest g = guest_begin();
	struct stream s = { 0 };
	int tries;

	packet_end(&s);
	OK(run_stream(g.fd, g.vm, g.queue, &s));
	OK(queue_destroy(g.fd, g.queue));
	OK(vm_destroy(g.fd, g.vm));
	for (tries = 0; tries < 100 && query_memory(g.fd).hbm_free != hbm_free; tries++)
		usleep(20000);
	EQUAL(query_memory(g.fd).hbm_free, hbm_free);
	close(g.fd);
}

int main(void)
{
	int i, fd = guest_open();
	uint64_t hbm_free = query_memory(fd).hbm_free;
	char bdf[64];

	guest_pci_address(fd, bdf, sizeof(bdf));
	close(fd);
	for (i = 0; i < 3; i++) {
		check_unbind(bdf);
		OK(write_file(DRIVER "/bind", bdf));
		check_fresh(hbm_free);
	}
	return 0;
}
