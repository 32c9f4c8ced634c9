/* SPDX-License-Identifier: MIT */
/*
 * Closing the file, or destroying the queue, while jobs run, wait on the device and wait in the
 * kernel: fences that live on elsewhere end with ECANCELED, and everything that was held comes
 * back.
 */
#include "guest.h"

#include <poll.h>

#define VA	0x100000000ull

/* A sync file, which outlives the device file. */
static int sync_file(int fd, uint32_t handle)
{
	int file;

	CHECK(!drmSyncobjExportSyncFile(fd, handle, &file));
	return file;
}

static int sync_file_status(int file)
{
	struct pollfd p = { .fd = file, .events = POLLIN };
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };

	CHECK(poll(&p, 1, 20000) == 1);
	CHECK(!ioctl(file, SYNC_IOC_FILE_INFO, &info));
	return fence.status;
}

enum way { CLOSE_FILE, DESTROY_QUEUE };

/* Jobs that never end by themselves: one runs, one is behind it, one waits in another queue. */
static void start(struct guest *g, int *files)
{
	uint32_t second, hold, after, i, fence[3];
	struct stream s = { 0 };

	/* A mapping would keep the file open. */
	munmap(guest_buffer(g, VA, 4096, NIB_BO_HBM), 4096);
	packet_sem(&s, VA, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	hold = stream_create(g->fd, g->vm, &s);
	s.count = 0;
	packet_fill(&s, VA + 64, 1, 1);
	packet_end(&s);
	after = stream_create(g->fd, g->vm, &s);
	OK(queue_create(g->fd, g->vm, NIB_PRIORITY_NORMAL, &second));
	for (i = 0; i < 3; i++)
		fence[i] = syncobj(g->fd);
	OK(submit(g->fd, g->queue, hold, fence[0]));
	OK(submit(g->fd, g->queue, after, fence[1]));
	{
		struct nib_sync_op syncs[] = {
			{ NIB_SYNC_WAIT, fence[1], 0 }, { NIB_SYNC_SIGNAL, fence[2], 0 },
		};
		struct nib_job job = {
			.queue_id = second, .stream_id = after, .syncs = NIB_OBJ_ARRAY(2, syncs),
		};

		OK(submit_jobs(g->fd, &job, 1));
	}
	/* A bind that waits for it too. */
	{
		struct nib_sync_op sync = { NIB_SYNC_WAIT, fence[2], 0 };
		struct nib_vm_bind_op op = {
			.flags = NIB_VM_BIND_OP_UNMAP, .va = VA, .size = 4096,
			.syncs = NIB_OBJ_ARRAY(1, &sync),
		};

		OK(vm_bind_op(g->fd, g->vm, &op, NIB_VM_BIND_ASYNC));
	}
	for (i = 0; i < 3; i++)
		files[i] = sync_file(g->fd, fence[i]);
}

static void check(enum way way)
{
	struct guest g = guest_begin();
	int files[3], i;
	uint64_t begin;

	start(&g, files);
	usleep(20000);
	begin = now_ns();
	if (way == CLOSE_FILE) {
		close(g.fd);
	} else {
		OK(queue_destroy(g.fd, g.queue));
		/* What waited for it in another queue now runs: that fence is fine. */
		CHECK(sync_file_status(files[2]) == 1);
		close(g.fd);
	}
	CHECK(now_ns() - begin < 5000000000ull);
	EXPECT(sync_file_status(files[0]), -ECANCELED);
	EXPECT(sync_file_status(files[1]), -ECANCELED);
	if (way == CLOSE_FILE)
		EXPECT(sync_file_status(files[2]), -ECANCELED);
	for (i = 0; i < 3; i++)
		close(files[i]);
}

/* All of HBM comes back, though perhaps a moment later. */
static void check_memory(int fd, const struct nib_memory_info *before)
{
	struct nib_memory_info after;
	int tries;

	for (tries = 0; tries < 100; tries++) {
		after = query_memory(fd);
		if (after.hbm_free == before->hbm_free && after.sram_free == before->sram_free)
			return;
		usleep(20000);
	}
	FAIL("%llu bytes of HBM are missing", before->hbm_free - after.hbm_free);
}

int main(void)
{
	int fd = guest_open(), i;
	struct nib_memory_info before = query_memory(fd);

	for (i = 0; i < 10; i++) {
		check(CLOSE_FILE);
		check(DESTROY_QUEUE);
	}
	check_memory(fd, &before);
	return 0;
}
