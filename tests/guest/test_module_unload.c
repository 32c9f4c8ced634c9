/* SPDX-License-Identifier: MIT */
/*
 * The module is unloaded and loaded again and again. Whatever of it is still in use refuses that:
 * an open file, a mapping, a fence that somebody keeps; and nothing else does.
 */
#include "life.h"

#include <glob.h>
#include <sys/syscall.h>

#define ROUNDS	4

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
		check_refusals();
		unload_at_last();
		EXPECT(access("/sys/module/nib", F_OK), -1);
		load();
		life_check_fresh(hbm_free);
	}
	return 0;
}
