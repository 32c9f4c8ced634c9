// SPDX-License-Identifier: MIT
/* Power-on and power-off of the hardware half: chip, kernels, memories. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "hw.h"
#include "place.h"

uint64_t nib_host_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void nib_hw_log(struct nib_hw *hw, int level, const char *format, ...)
{
	char line[256];
	va_list args;

	if (!hw->ops.log)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	hw->ops.log(hw->host, level, line);
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25	/* Linux 6.1 */
#endif

/* Address space for @bytes and some more, aligned to huge pages. */
static uint8_t *map_aligned(uint64_t bytes)
{
	uint64_t room = bytes + NIB_PAGE_2M, skip;
	uint8_t *at = mmap(NULL, room, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	skip = -(uintptr_t)at & (NIB_PAGE_2M - 1);
	if (skip)
		munmap(at, skip);
	munmap(at + skip + bytes, room - skip - bytes);
	return at + skip;
}

/*
 * A file, so that QEMU can map it into the guest; sparse, so that its size costs nothing; sealed,
 * so that whoever gets the descriptor cannot shrink it under us.
 */
static int hbm_init_shared(struct nib_hw *hw)
{
	uint64_t bytes = hw->chip.mem[NIB_MEM_HBM].bytes;
	uint8_t *at;

	hw->hbm_fd = memfd_create("nib-hbm", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (hw->hbm_fd < 0)
		return -errno;
	if (ftruncate(hw->hbm_fd, (off_t)bytes))
		return -errno;
	fcntl(hw->hbm_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	at = map_aligned(bytes);
	if (!at)
		return -ENOMEM;
	hw->hbm = at;
	if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
		 hw->hbm_fd, 0) == MAP_FAILED)
		return -errno;
	/* Most systems have no huge pages for files in memory unless asked; see nib_hw_huge(). */
	madvise(at, bytes, MADV_HUGEPAGE);
	hw->huge_asked = calloc(bytes / NIB_PAGE_2M / 64 + 1, sizeof(*hw->huge_asked));
	return hw->huge_asked ? 0 : -ENOMEM;
}

void nib_hw_huge(struct nib_hw *hw, const uint8_t *at, uint64_t bytes)
{
	uint64_t size = hw->chip.mem[NIB_MEM_HBM].bytes, first = (uint64_t)(at - hw->hbm);

	if (!hw->huge_asked || at < hw->hbm || first >= size || bytes > size - first)
		return;
	/* Whole ones: the rest has other tenants. */
	for (uint64_t i = (first + NIB_PAGE_2M - 1) / NIB_PAGE_2M;
	     (i + 1) * NIB_PAGE_2M <= first + bytes; i++) {
		if (hw->huge_asked[i / 64] >> i % 64 & 1)
			continue;
		hw->huge_asked[i / 64] |= 1ull << i % 64;
		madvise(hw->hbm + i * NIB_PAGE_2M, NIB_PAGE_2M, MADV_COLLAPSE);
	}
}

/* Sparse memory in huge pages: a model streams through all of it for each token. */
static uint8_t *map_private(uint64_t bytes)
{
	uint8_t *at = map_aligned(bytes);

	if (at)
		madvise(at, bytes, MADV_HUGEPAGE);
	return at;
}

static int hbm_init(struct nib_hw *hw, bool share)
{
	if (share)
		return hbm_init_shared(hw);
	hw->hbm = map_private(hw->chip.mem[NIB_MEM_HBM].bytes);
	return hw->hbm ? 0 : -ENOMEM;
}

static int sram_init(struct nib_hw *hw)
{
	hw->sram = map_private(hw->chip.mem[NIB_MEM_SRAM].bytes);
	return hw->sram ? 0 : -ENOMEM;
}

/* Only what takes up memory already: the rest of a large part stays free. */
static void scramble(uint8_t *at, uint64_t bytes)
{
	uint64_t step = 1ull << 30, page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned char *there = malloc(step / page);

	for (uint64_t done = 0, n; there && done < bytes; done += n) {
		n = bytes - done < step ? bytes - done : step;
		if (mincore(at + done, n, there))
			break;
		for (uint64_t i = 0; i < n; i += page)
			if (there[i / page] & 1)
				memset(at + done + i, NIB_HW_LOST, page);
	}
	free(there);
}

void nib_hw_memories_lose(struct nib_hw *hw)
{
	scramble(hw->hbm, hw->chip.mem[NIB_MEM_HBM].bytes);
	scramble(hw->sram, hw->chip.mem[NIB_MEM_SRAM].bytes);
}

int nib_hw_init(struct nib_hw *hw, const struct nib_device_config *config, char *error,
		size_t error_bytes)
{
	int err;

	hw->ops = config->ops;
	hw->host = config->host;
	hw->hbm_fd = -1;
	err = nib_chip_load(config->chip ? config->chip : "small", &hw->chip, error, error_bytes);
	if (err)
		return err;
	hw->kernels = nib_kernels_get(config->kernels);
	if (!hw->kernels) {
		snprintf(error, error_bytes, "kernels \"%s\": unknown, or not for this processor",
			 config->kernels);
		return -EINVAL;
	}
	err = hbm_init(hw, config->share);
	if (!err)
		err = sram_init(hw);
	if (!err && config->pin != NIB_PIN_NONE) {
		nib_place_memory(hw->hbm, hw->chip.mem[NIB_MEM_HBM].bytes);
		nib_place_memory(hw->sram, hw->chip.mem[NIB_MEM_SRAM].bytes);
	}
	if (!err)
		err = nib_pool_create(config->threads, config->pin != NIB_PIN_NONE, &hw->pool);
	if (err) {
		snprintf(error, error_bytes, "%s: cannot get its memories or threads: errno %d",
			 hw->chip.name, -err);
		nib_hw_destroy(hw);
		return -ENOMEM;
	}
	nib_meter_init(hw, nib_host_ns());
	return 0;
}

void nib_hw_destroy(struct nib_hw *hw)
{
	nib_pool_destroy(hw->pool);
	if (hw->hbm)
		munmap(hw->hbm, hw->chip.mem[NIB_MEM_HBM].bytes);
	if (hw->sram)
		munmap(hw->sram, hw->chip.mem[NIB_MEM_SRAM].bytes);
	if (hw->hbm_fd >= 0)
		close(hw->hbm_fd);
	nib_arena_destroy(&hw->arena);
	free(hw->huge_asked);
	hw->huge_asked = NULL;
	hw->pool = NULL;
	hw->hbm = NULL;
	hw->sram = NULL;
	hw->hbm_fd = -1;
}
