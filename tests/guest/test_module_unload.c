/* SPDX-License-Identifier: MIT */
/*
 * The module is unloaded and loaded again and again. Whatever of it is still in use refuses that:
 * an open file, a mapping, a fence that somebody keeps; and nothing else does.
 */
#include "life.h"

#include <glob.h>
#include <linux/dma-buf.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ROUNDS	6
#define KILLS	20

/* Where tests/guest/run has put it. */
static char module[256];

static int unload(void)
{
	return syscall(SYS_delete_module, "nib", O_NONBLOCK) ? -errno : 0;
}

static void load(void)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	if (syscall(SYS_finit_module, fd, "", 0))
		FAIL("finit_module: %s", strerror(errno));
	close(fd);
}

/* What is let go of a moment ago may still be on its way. */
static void unload_at_last(void)
{
	int tries, ret = -EAGAIN;

	for (tries = 0; tries < 3000 && ret; tries++) {
		ret = unload();
		if (ret)
			usleep(20000);
	}
	OK(ret);
}

static void check_refusals(void)
{
	struct life_work w = life_begin();

	EXPECT(unload(), -EWOULDBLOCK);
	close(w.g.fd);
	/* The mappings hold the file. */
	EXPECT(unload(), -EWOULDBLOCK);
	munmap((void *)w.hbm, LIFE_BYTES);
	EXPECT(unload(), -EWOULDBLOCK);
	munmap((void *)w.host, LIFE_BYTES);
	/* The file is gone, the fences are not. */
	EXPECT(unload(), -EWOULDBLOCK);
	life_check_ended(&w, -ECANCELED);
	for (unsigned int i = 0; i < LIFE_FENCES; i++)
		close(w.file[i]);
}

static void *crowd(void *unused)
{
	guest_crowd_out();
	return unused;
}

/* A sync file of what a dma-buf waits for, which is a move of the driver's own. */
static int moving_file(int dma_buf)
{
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info;
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_RW, .fd = -1 };

		CHECK(!ioctl(dma_buf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export));
		info = (struct sync_file_info){ .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };
		CHECK(!ioctl(export.fd, SYNC_IOC_FILE_INFO, &info));
		if (!fence.status && !strcmp(fence.driver_name, "nib"))
			return export.fd;
		close(export.fd);
		usleep(20000);
	}
	FAIL("nothing moves");
}

/* The driver moves a buffer that others share: whoever keeps that fence has the module. */
static void check_move_refuses(void)
{
	struct guest g = guest_begin();
	volatile uint64_t *word = (volatile uint64_t *)guest_buffer(&g, LIFE_VA, 4096, NIB_BO_HOST);
	uint32_t bo, hold, done = syncobj(g.fd);
	struct stream s = { 0 };
	int dma_buf, file;
	pthread_t thread;

	OK(bo_create(g.fd, 8 * MIB, NIB_BO_HBM, &bo));
	OK(vm_map(g.fd, g.vm, bo, 0, LIFE_VA + GIB, 8 * MIB, 0));
	CHECK(!drmPrimeHandleToFD(g.fd, bo, DRM_CLOEXEC | DRM_RDWR, &dma_buf));
	packet_sem(&s, LIFE_VA, 1, NIB_SEM_WAIT_GE);
	packet_end(&s);
	hold = stream_create(g.fd, g.vm, &s);
	OK(submit(g.fd, g.queue, hold, done));
	CHECK(!pthread_create(&thread, NULL, crowd, NULL));
	file = moving_file(dma_buf);
	*word = 1;
	OK(syncobj_wait(g.fd, done, 60000));
	CHECK(!pthread_join(thread, NULL));
	munmap((void *)word, 4096);
	close(dma_buf);
	close(g.fd);
	/* What is freed in the background has been by then. */
	sleep(1);
	EXPECT(unload(), -EWOULDBLOCK);
	close(file);
}

/* Those for whom memory was zeroed are killed: nobody waits for what the copy queue still has. */
static void check_left_alone(void)
{
	for (useconds_t i = 0; i < KILLS; i++) {
		pid_t pid = fork();
		uint32_t bo;

		CHECK(pid >= 0);
		if (!pid) {
			int fd = guest_open();

			for (;;) {
				OK(bo_create(fd, 16 * MIB, NIB_BO_HBM, &bo));
				OK(bo_close(fd, bo));
			}
		}
		usleep(5000 + 500 * i);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, NULL, 0) == pid);
	}
}

int main(void)
{
	uint64_t hbm_free = life_check_fresh(0);
	glob_t found;
	int i;

	if (glob("/guest/*nib.ko", 0, NULL, &found))
		SKIP("the module is not where it was loaded from");
	snprintf(module, sizeof(module), "%s", found.gl_pathv[0]);
	for (i = 0; i < ROUNDS; i++) {
		/* A module that was just loaded has the patience it comes with. */
		guest_patience();
		if (i % 3 == 0)
			check_move_refuses();
		else if (i % 3 == 1)
			check_refusals();
		else
			check_left_alone();
		unload_at_last();
		EXPECT(access("/sys/module/nib", F_OK), -1);
		load();
		life_check_fresh(hbm_free);
	}
	return 0;
}
