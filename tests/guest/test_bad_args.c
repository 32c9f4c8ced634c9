/* SPDX-License-Identifier: MIT */
/* Every ioctl, every way to get it wrong that nib_drm.h names, and the errno that it says. */
#include "guest.h"

#include <stddef.h>
#include <sys/wait.h>

static struct guest g;

static void check_vm(void)
{
	struct nib_vm_create a = { .flags = 1 };

	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_CREATE, &a), -EINVAL);
	EXPECT(vm_destroy(g.fd, 0), -ENOENT);
	EXPECT(vm_destroy(g.fd, 1000), -ENOENT);
	EXPECT(vm_destroy(g.fd, UINT32_MAX), -ENOENT);
	EXPECT(vm_destroy(g.fd, g.vm), -EBUSY);
	{
		struct nib_vm_destroy d = { .vm_id = g.vm, .pad = 1 };

		EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_DESTROY, &d), -EINVAL);
	}
}

static void check_bo(void)
{
	static const uint32_t bad_flags[] = {
		0, NIB_BO_NO_MMAP, NIB_BO_HBM | NIB_BO_HOST, NIB_BO_HBM | NIB_BO_SRAM,
		NIB_BO_HOST | NIB_BO_NO_MMAP, NIB_BO_SRAM | NIB_BO_NO_MMAP, NIB_BO_HBM | 1u << 4,
		NIB_BO_HBM | 1u << 31, UINT32_MAX,
	};
	struct nib_bo_mmap_offset a = { .handle = 0 };
	uint32_t bo;
	unsigned int i;

	for (i = 0; i < sizeof(bad_flags) / sizeof(bad_flags[0]); i++)
		EXPECT(bo_create(g.fd, 4096, bad_flags[i], &bo), -EINVAL);
	EXPECT(bo_create(g.fd, 0, NIB_BO_HBM, &bo), -EINVAL);
	EXPECT(bo_create(g.fd, UINT64_MAX, NIB_BO_HBM, &bo), -EINVAL);
	EXPECT(bo_create(g.fd, UINT64_MAX - 4094, NIB_BO_HOST, &bo), -EINVAL);
	EXPECT(bo_create(g.fd, 1ull << 46, NIB_BO_HOST, &bo), -ENOMEM);
	EXPECT(bo_create(g.fd, 1ull << 46, NIB_BO_HBM, &bo), -ENOSPC);
	EXPECT(bo_create(g.fd, 1ull << 46, NIB_BO_SRAM, &bo), -ENOSPC);
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_BO_MMAP_OFFSET, &a), -ENOENT);
	a.pad = 1;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_BO_MMAP_OFFSET, &a), -EINVAL);
}

static int bind(struct nib_vm_bind_op op)
{
	return vm_bind_op(g.fd, g.vm, &op, 0);
}

static void check_bind(void)
{
	const uint64_t va = 0x40000000, end = query_device(g.fd).va_end;
	struct nib_sync_op sync = { NIB_SYNC_SIGNAL, syncobj(g.fd), 0 };
	struct nib_vm_bind_op op = { .flags = NIB_VM_BIND_OP_UNMAP, .va = va, .size = 4096 };
	struct nib_vm_bind a = { .vm_id = g.vm, .ops = NIB_OBJ_ARRAY(1, &op) };
	uint32_t bo;

	OK(bo_create(g.fd, 8192, NIB_BO_HBM, &bo));
#define MAP(...) bind((struct nib_vm_bind_op){ .flags = NIB_VM_BIND_OP_MAP, .bo_handle = bo, \
					       .va = va, .size = 4096, ##__VA_ARGS__ })
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
	OK(MAP());
	EXPECT(MAP(.bo_handle = 0), -ENOENT);
	EXPECT(MAP(.bo_handle = 9999), -ENOENT);
	EXPECT(MAP(.flags = 3), -EINVAL);
	EXPECT(MAP(.flags = 1u << 4), -EINVAL);
	EXPECT(MAP(.flags = 1u << 31), -EINVAL);
	EXPECT(MAP(.size = 0), -EINVAL);
	EXPECT(MAP(.size = 4095), -EINVAL);
	EXPECT(MAP(.size = 12288), -EINVAL);
	EXPECT(MAP(.size = 8192, .bo_offset = 4096), -EINVAL);
	EXPECT(MAP(.bo_offset = 8192), -EINVAL);
	EXPECT(MAP(.bo_offset = 1), -EINVAL);
	EXPECT(MAP(.bo_offset = UINT64_MAX - 4095), -EINVAL);
	EXPECT(MAP(.va = va + 1), -EINVAL);
	EXPECT(MAP(.va = 0), -EINVAL);
	EXPECT(MAP(.va = end), -EINVAL);
	EXPECT(MAP(.va = end - 4096, .size = 8192), -EINVAL);
	EXPECT(MAP(.va = UINT64_MAX - 4095), -EINVAL);
	EXPECT(MAP(.size = UINT64_MAX - 4095), -EINVAL);
	/* Only a map takes a buffer; SYNC_ONLY takes nothing. */
	EXPECT(MAP(.flags = NIB_VM_BIND_OP_UNMAP), -EINVAL);
	EXPECT(MAP(.flags = NIB_VM_BIND_OP_UNMAP | NIB_VM_BIND_OP_READONLY, .bo_handle = 0),
	       -EINVAL);
	EXPECT(MAP(.flags = NIB_VM_BIND_OP_SYNC_ONLY, .bo_handle = 0), -EINVAL);
	OK(MAP(.flags = NIB_VM_BIND_OP_SYNC_ONLY, .bo_handle = 0, .va = 0, .size = 0));
	/* Syncs want an asynchronous bind. */
	EXPECT(MAP(.syncs = NIB_OBJ_ARRAY(1, &sync)), -EINVAL);
#pragma GCC diagnostic pop

	a.flags = 2;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_BIND, &a), -EINVAL);
	a.flags = 0;
	a.vm_id = 77;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_BIND, &a), -ENOENT);
	a.vm_id = g.vm;
	/* The error has set it to 0, as none were done. */
	EQUAL(a.ops.count, 0);
	a.ops.count = 1;
	a.ops.array = 8;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_BIND, &a), -EFAULT);
	a.ops = (struct nib_obj_array){ 0 };
	OK(nib_ioctl(g.fd, DRM_IOCTL_NIB_VM_BIND, &a));
}

static int queue(uint32_t vm, uint32_t priority, uint32_t weight, uint32_t flags, uint32_t pad)
{
	struct nib_queue_create a = {
		.vm_id = vm, .priority = priority, .weight = weight, .flags = flags, .pad = pad,
	};
	int ret = nib_ioctl(g.fd, DRM_IOCTL_NIB_QUEUE_CREATE, &a);

	if (!ret)
		OK(queue_destroy(g.fd, a.queue_id));
	return ret;
}

static void check_queue(void)
{
	struct nib_queue_get_state s = { .queue_id = 99 };
	struct nib_queue_destroy d = { .queue_id = g.queue, .pad = 1 };
	int status;
	pid_t pid;

	OK(queue(g.vm, NIB_PRIORITY_LOW, 0, 0, 0));
	OK(queue(g.vm, NIB_PRIORITY_REALTIME, 255, 0, 0));
	EXPECT(queue(g.vm, 4, 0, 0, 0), -EINVAL);
	EXPECT(queue(g.vm, UINT32_MAX, 0, 0, 0), -EINVAL);
	EXPECT(queue(g.vm, 1, 256, 0, 0), -EINVAL);
	EXPECT(queue(g.vm, 1, 0, 2, 0), -EINVAL);
	EXPECT(queue(g.vm, 1, 0, 0, 1), -EINVAL);
	EXPECT(queue(55, 1, 0, 0, 0), -ENOENT);
	EXPECT(queue_destroy(g.fd, 99), -ENOENT);
	EXPECT(queue_destroy(g.fd, 0), -ENOENT);
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_QUEUE_DESTROY, &d), -EINVAL);
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_QUEUE_GET_STATE, &s), -ENOENT);

	/* Without CAP_SYS_NICE. */
	pid = fork();
	if (!pid) {
		CHECK(!setuid(1000));
		EQUAL(query_device(g.fd).priorities,
		      1 << NIB_PRIORITY_LOW | 1 << NIB_PRIORITY_NORMAL);
		OK(queue(g.vm, NIB_PRIORITY_NORMAL, 0, 0, 0));
		EXPECT(queue(g.vm, NIB_PRIORITY_HIGH, 0, 0, 0), -EACCES);
		EXPECT(queue(g.vm, NIB_PRIORITY_REALTIME, 0, 0, 0), -EACCES);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

static void check_submit(void)
{
	struct stream s = { 0 };
	uint32_t vm2, sync = syncobj(g.fd);
	struct nib_sync_op op = { NIB_SYNC_SIGNAL, sync, 0 };
	struct nib_job good = { .queue_id = g.queue }, job;
	struct nib_submit a = { .jobs = NIB_OBJ_ARRAY(1, &job) };
	unsigned char wide[96] = { 0 };

	packet_end(&s);
	good.stream_id = stream_create(g.fd, g.vm, &s);
#define SUBMIT(change) ({ job = good; change; nib_ioctl(g.fd, DRM_IOCTL_NIB_SUBMIT, &a); })
#define SYNCS(f, h, p) ({ \
	op = (struct nib_sync_op){ f, h, p }; \
	job.syncs = (struct nib_obj_array)NIB_OBJ_ARRAY(1, &op); })
	OK(SUBMIT());
	EXPECT(SUBMIT(job.queue_id = 0), -ENOENT);
	EXPECT(SUBMIT(job.queue_id = 77), -ENOENT);
	EXPECT(SUBMIT(job.stream_id = 0), -ENOENT);
	EXPECT(SUBMIT(job.stream_id = 777), -ENOENT);
	EXPECT(SUBMIT(job.flags = 1), -EINVAL);
	EXPECT(SUBMIT(job.nargs = 65), -EINVAL);
	EXPECT(SUBMIT(job.nargs = 1; job.args = 8), -EFAULT);
	EXPECT(SUBMIT(job.stats_va = 8), -EINVAL);
	EXPECT(SUBMIT(job.stats_va = 1ull << 63), -EINVAL);
	EXPECT(SUBMIT(SYNCS(4, sync, 0)), -EINVAL);
	EXPECT(SUBMIT(SYNCS(NIB_SYNC_SIGNAL, sync, 1)), -EINVAL);
	EXPECT(SUBMIT(SYNCS(NIB_SYNC_SIGNAL | NIB_SYNC_TIMELINE, sync, 0)), -EINVAL);
	EXPECT(SUBMIT(SYNCS(NIB_SYNC_SIGNAL, 4242, 0)), -ENOENT);
	EXPECT(SUBMIT(SYNCS(NIB_SYNC_WAIT, 4242, 0)), -ENOENT);
	EXPECT(SUBMIT(SYNCS(NIB_SYNC_WAIT, sync, 0)), -EINVAL);
	EXPECT(SUBMIT(SYNCS(NIB_SYNC_SIGNAL, sync, 0); job.syncs.array = 8), -EFAULT);
	EXPECT(SUBMIT(SYNCS(NIB_SYNC_SIGNAL, sync, 0); job.syncs.count = NIB_MAX_ARRAY + 1),
	       -EINVAL);
	EXPECT(SUBMIT(SYNCS(NIB_SYNC_SIGNAL, sync, 0); job.syncs.stride = 8), -EINVAL);

	/* Of another VM. */
	OK(vm_create(g.fd, &vm2));
	{
		uint32_t foreign = stream_create(g.fd, vm2, &s), q;

		OK(queue_create(g.fd, vm2, NIB_PRIORITY_NORMAL, &q));
		if (foreign != good.stream_id)
			EXPECT(SUBMIT(job.stream_id = foreign), -ENOENT);
		OK(SUBMIT(job.queue_id = q; job.stream_id = foreign));
		OK(queue_destroy(g.fd, q));
	}
	OK(vm_destroy(g.fd, vm2));

	/* Growth: longer elements are fine if what the driver does not know is zero. */
	memcpy(wide, &good, sizeof(good));
	a.jobs = (struct nib_obj_array){ sizeof(wide), 1, (uintptr_t)wide };
	OK(nib_ioctl(g.fd, DRM_IOCTL_NIB_SUBMIT, &a));
	wide[sizeof(wide) - 1] = 1;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_SUBMIT, &a), -EINVAL);
	a.jobs.stride = offsetof(struct nib_job, leases) - 8;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_SUBMIT, &a), -EINVAL);
	a.jobs.stride = 1u << 20;
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_SUBMIT, &a), -EINVAL);
	a.jobs = (struct nib_obj_array){ sizeof(struct nib_job), UINT32_MAX, (uintptr_t)wide };
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_SUBMIT, &a), -EINVAL);
	a.jobs = (struct nib_obj_array){ sizeof(struct nib_job), 1, 8 };
	EXPECT(nib_ioctl(g.fd, DRM_IOCTL_NIB_SUBMIT, &a), -EFAULT);
	a.jobs = (struct nib_obj_array){ 0 };
	OK(nib_ioctl(g.fd, DRM_IOCTL_NIB_SUBMIT, &a));
}

/* An ioctl with a shorter struct than ours: what is not there counts as zero. */
static void check_short_struct(void)
{
	struct nib_vm_create a = { 0 };

	OK(nib_ioctl(g.fd, DRM_IOWR(DRM_COMMAND_BASE + NIB_IOCTL_VM_CREATE, uint32_t), &a.flags));
	/* Its id did not fit; it is 2 since there is one. */
	OK(vm_destroy(g.fd, 2));
	EXPECT(nib_ioctl(g.fd, DRM_IOWR(DRM_COMMAND_BASE + 0x40, struct nib_vm_create), &a),
	       -EINVAL);
}

/* Handles of one client mean nothing to another. */
static void check_other_client(void)
{
	int fd = guest_open();
	struct stream s = { 0 };
	struct nib_stream_create create;
	struct nib_queue_get_state state = { .queue_id = g.queue };
	uint32_t id;

	packet_end(&s);
	EXPECT(vm_destroy(fd, g.vm), -ENOENT);
	EXPECT(queue_destroy(fd, g.queue), -ENOENT);
	EXPECT(queue_create(fd, g.vm, NIB_PRIORITY_NORMAL, &id), -ENOENT);
	EXPECT(stream_create_raw(fd, g.vm, s.words, 8, &create), -ENOENT);
	EXPECT(nib_ioctl(fd, DRM_IOCTL_NIB_QUEUE_GET_STATE, &state), -ENOENT);
	close(fd);
}

int main(void)
{
	g = guest_begin();
	check_vm();
	check_bo();
	check_bind();
	check_queue();
	check_submit();
	check_short_struct();
	check_other_client();
	return 0;
}
