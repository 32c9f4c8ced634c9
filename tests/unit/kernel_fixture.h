/* SPDX-License-Identifier: MIT */
/*
 * What the kernel tests share: a random generator, the vector tables that this processor runs, and
 * element-wise access to rows and panels by the layout rules of nib_format.h alone.
 */
#ifndef KERNEL_FIXTURE_H
#define KERNEL_FIXTURE_H

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/kernels.h"
#include "kernels/math.h"

/*
 * Checks for inner loops: those of libcheck tell the parent process of every one that passes, which
 * takes longer than what is tested.
 */
#define CHECK_MSG(condition, ...)			\
	do {						\
		if (!(condition))			\
			ck_abort_msg(__VA_ARGS__);	\
	} while (0)
#define CHECK(condition)	CHECK_MSG(condition, "%s", #condition)
#define CHECK_EQ(a, b)						\
	CHECK_MSG((int64_t)(a) == (int64_t)(b), "%s == %s: %#llx, %#llx", #a, #b,	\
		  (long long)(a), (long long)(b))

/*
 * Steps over what a plain build tries one by one: sanitizers see how memory is used, and need not see
 * every code for that.
 */
#ifdef __has_feature
#if __has_feature(memory_sanitizer)
#define FIXTURE_STRIDE	16u
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define FIXTURE_STRIDE	16u
#endif
#ifndef FIXTURE_STRIDE
#define FIXTURE_STRIDE	1u
#endif

static uint64_t fixture_state = 88172645463325252ull;

static inline void fixture_seed(uint64_t seed)
{
	fixture_state = seed * 0x9e3779b97f4a7c15ull + 1;
}

static inline uint32_t fixture_u32(void)
{
	fixture_state ^= fixture_state << 13;
	fixture_state ^= fixture_state >> 7;
	fixture_state ^= fixture_state << 17;
	return (uint32_t)(fixture_state >> 16);
}

static inline uint32_t fixture_below(uint32_t n)
{
	return (uint32_t)((uint64_t)fixture_u32() * n >> 32);
}

/* Uniform in [-1, 1). */
static inline float fixture_uniform(void)
{
	return (float)(int32_t)fixture_u32() * 0x1p-31f;
}

/* Any bit pattern, with special values and extreme exponents more often than chance has them. */
static inline float fixture_wild(void)
{
	static const uint32_t special[] = {
		0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345, 0x7f800001,
		0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x3f800000,
		0xbf800000, 0x3f000000, 0x4b000000, 0x4b800001, 0xcb000001, 0x42b17218, 0xc2ce8ed0,
	};
	uint32_t pick = fixture_below(8);

	if (pick == 0)
		return nib_float(special[fixture_below(sizeof(special) / sizeof(special[0]))]);
	if (pick < 3)
		return nib_float(fixture_u32());
	return fixture_uniform() * nib_pow2((int32_t)fixture_below(24) - 12);
}

static inline void *fixture_alloc(size_t bytes)
{
	size_t rounded = (bytes + 127) / 64 * 64;
	void *p = aligned_alloc(64, rounded);

	ck_assert_ptr_nonnull(p);
	memset(p, 0, rounded);
	return p;
}

/* Vector tables by number, best first; NULL past the last. */
static inline const struct nib_kernels *fixture_table(int i)
{
	static const char *const names[] = { "avx512", "avx2" };
	const struct nib_kernels *found;
	size_t n;

	for (n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		found = nib_kernels_get(names[n]);
		if (found && i-- == 0)
			return found;
	}
	return NULL;
}

/* How many of them this processor runs. */
static inline int fixture_tables(void)
{
	int n;

	for (n = 0; fixture_table(n); n++)
		;
	return n;
}

static const uint16_t fixture_gemm_formats[] = {
	NIB_FMT_BF16, NIB_FMT_MXFP4, NIB_FMT_NVFP4,
	NIB_FMT_MXFP8, NIB_FMT_MXFP8_E5M2, NIB_FMT_MXFP8X2,
};
#define FIXTURE_GEMM_FORMATS	6
#define FIXTURE_GEMM_PAIRS	(FIXTURE_GEMM_FORMATS * FIXTURE_GEMM_FORMATS)

static inline void fixture_put(uint8_t *at, uint32_t shift, uint32_t bits, uint32_t code)
{
	uint32_t old = 0, bytes = bits < 8 ? 1 : bits / 8;

	memcpy(&old, at, bytes);
	old &= ~((bits == 32 ? ~0u : (1u << bits) - 1) << shift);
	old |= code << shift;
	memcpy(at, &old, bytes);
}

static inline void fixture_row_put(uint32_t fmt, uint8_t *row, size_t k, uint32_t t, size_t i,
				   uint32_t code)
{
	size_t bits = nib_format_bits(fmt);
	size_t term = nib_row_data_bytes(fmt, k) + nib_row_scale_bytes(fmt, k);

	fixture_put(row + t * term + i * bits / 8, i * bits % 8, bits, code);
}

static inline uint8_t *fixture_row_scale(uint32_t fmt, uint8_t *row, size_t k, uint32_t t, size_t i)
{
	size_t data = nib_row_data_bytes(fmt, k), scales = nib_row_scale_bytes(fmt, k);

	return row + t * (data + scales) + data + i / nib_format_block(fmt);
}

static inline uint8_t *fixture_tile(uint32_t fmt, uint8_t *panels, size_t k, uint32_t n, size_t i)
{
	return panels + n / NIB_PANEL_N * nib_panel_bytes(fmt, k) +
	       i / NIB_TILE_K * nib_tile_bytes(fmt);
}

static inline void fixture_panel_put(uint32_t fmt, uint8_t *panels, size_t k, uint32_t t,
				     uint32_t n, size_t i, uint32_t code)
{
	__u64 byte;
	uint32_t shift = nib_tile_element(fmt, t, n % NIB_PANEL_N, i % NIB_TILE_K, &byte);

	fixture_put(fixture_tile(fmt, panels, k, n, i) + byte, shift, nib_format_bits(fmt), code);
}

static inline uint8_t *fixture_panel_scale(uint32_t fmt, uint8_t *panels, size_t k, uint32_t t,
					   uint32_t n, size_t i)
{
	return fixture_tile(fmt, panels, k, n, i) +
	       nib_tile_scale(fmt, t, n % NIB_PANEL_N, i % NIB_TILE_K);
}

/* The same bits; @what is being compared. */
static inline void fixture_same(const float *got, const float *want, size_t n, const char *what)
{
	size_t i;

	for (i = 0; i < n; i++)
		CHECK_MSG(nib_bits(got[i]) == nib_bits(want[i]),
			  "%s: [%zu] is %08x (%g), not %08x (%g)", what, i, nib_bits(got[i]),
			  got[i], nib_bits(want[i]), want[i]);
}

/* Runs all cases of a suite; the exit status of the program. */
static inline int fixture_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

#endif
