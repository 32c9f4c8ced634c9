// SPDX-License-Identifier: MIT
/*
 * The page that tells monitors how many tokens a model has put through; see usage.h. Nothing depends
 * on it: where the system gives no such page there is none.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "llm.h"
#include "usage.h"

void llm_usage_open(struct accel_llm *llm)
{
	int fd = memfd_create(ACCEL_USAGE_FILE, MFD_CLOEXEC);
	struct accel_usage_page *page;

	llm->usage_fd = -1;
	if (fd < 0)
		return;
	page = ftruncate(fd, sizeof(*page)) ?
		       MAP_FAILED :
		       mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED) {
		close(fd);
		return;
	}
	page->magic = ACCEL_USAGE_MAGIC;
	llm->usage = page;
	/* The file is what shows in /proc/PID/fd. */
	llm->usage_fd = fd;
}

void llm_usage_close(struct accel_llm *llm)
{
	if (!llm->usage)
		return;
	munmap(llm->usage, sizeof(*llm->usage));
	close(llm->usage_fd);
}

void llm_usage_add(struct accel_llm *llm, uint32_t tokens)
{
	if (llm->usage)
		__atomic_fetch_add(&llm->usage->tokens, tokens, __ATOMIC_RELAXED);
}
