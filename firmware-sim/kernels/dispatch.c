/* SPDX-License-Identifier: MIT */
/*
 * Which kernel tables this processor can run, best first. The makefile defines NIB_KERNELS_X86
 * where it builds tables for x86.
 */
#include <string.h>
#include "kernels.h"

#ifdef NIB_KERNELS_X86
#include <cpuid.h>

extern const struct nib_kernels nib_kernels_avx2, nib_kernels_avx512;

/* Not every compiler's __builtin_cpu_supports() knows the name. */
static int has_f16c(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_F16C;
}

static int has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static int has_avx512(void)
{
	return has_avx2() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
	       __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
}
#endif

static int has_scalar(void)
{
	return 1;
}

static const struct {
	const struct nib_kernels *table;
	int (*runs)(void);
} tables[] = {
#ifdef NIB_KERNELS_X86
	{ &nib_kernels_avx512, has_avx512 },
	{ &nib_kernels_avx2, has_avx2 },
#endif
	{ &nib_kernels_scalar, has_scalar },
};

const struct nib_kernels *nib_kernels_get(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if ((!name || !strcmp(name, tables[i].table->name)) && tables[i].runs())
			return tables[i].table;
	return NULL;
}
