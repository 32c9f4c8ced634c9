/* SPDX-License-Identifier: MIT */
/*
 * What cannot be: a VM whose buffers do not fit into HBM together says ENOSPC when it is to run,
 * and runs once something is unmapped. Others do not notice.
 */
#include "guest.h"

#define VA	0x1000000000ull
#define SIZE	(32 * MIB)
#define MAX	80u

static int run_job(struct guest *g, uint32_t stream)
{
	uint32_t done = syncobj(g->fd);
	int ret = submit(g->fd, g->queue, stream, done);

	if (!ret) {
		OK(syncobj_wait(g->fd, done, 60000));
		EQUAL(fence_status(g->fd, done), 1);
	}
	drmSyncobjDestroy(g->fd, done);
	return ret;
}

int main(void)
{
	struct guest g = guest_begin(), other;
	uint32_t bo[MAX], n, i, stream, other_stream, other_bo;
	struct stream s = { 0 };
	struct nib_job jobs[2];

	guest_needs_small_hbm(g.fd);
	packet_fill(&s, VA, 16, 1);
	packet_end(&s);
	other = guest_begin();
	OK(bo_create(other.fd, SIZE, NIB_BO_HBM, &other_bo));
	OK(vm_map(other.fd, other.vm, other_bo, 0, VA, SIZE, 0));
	other_stream = stream_create(other.fd, other.vm, &s);
	stream = stream_create(g.fd, g.vm, &s);
	n = (uint32_t)(query_device(g.fd).hbm_bytes / SIZE) + 1;
	CHECK(n < MAX);
	for (i = 0; i < n; i++) {
		OK(bo_create(g.fd, SIZE, NIB_BO_HBM, &bo[i]));
		/* What exists may be more than HBM; what one VM needs may not. */
		OK(vm_map(g.fd, g.vm, bo[i], 0, VA + i * SIZE, SIZE, 0));
	}
	EXPECT(run_job(&g, stream), -ENOSPC);
	OK(run_job(&other, other_stream));
	EXPECT(run_job(&g, stream), -ENOSPC);
	/* Nor a batch of which one job cannot run. */
	jobs[0] = jobs[1] = (struct nib_job){ .queue_id = g.queue, .stream_id = stream };
	EXPECT(submit_jobs(g.fd, jobs, 2), -ENOSPC);
	for (i = n - 1; i >= n - 3; i--)
		OK(vm_unmap(g.fd, g.vm, VA + i * SIZE, SIZE));
	OK(run_job(&g, stream));
	OK(run_job(&other, other_stream));
	/* One more, and gone by closing it. */
	OK(vm_map(g.fd, g.vm, bo[n - 3], 0, VA + (n - 3) * SIZE, SIZE, 0));
	OK(vm_map(g.fd, g.vm, bo[n - 2], 0, VA + (n - 2) * SIZE, SIZE, 0));
	EXPECT(run_job(&g, stream), -ENOSPC);
	OK(vm_unmap(g.fd, g.vm, VA + (n - 2) * SIZE, SIZE));
	for (i = n - 3; i < n; i++)
		OK(bo_close(g.fd, bo[i]));
	OK(vm_unmap(g.fd, g.vm, VA + (n - 3) * SIZE, SIZE));
	OK(run_job(&g, stream));
	return 0;
}
