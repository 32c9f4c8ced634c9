/* SPDX-License-Identifier: MIT */
/* The kernel table of a vector instruction set. */
#include "isa.h"

#if defined(__AVX512F__)
NIB_KERNEL_TABLE("avx512");
#else
NIB_KERNEL_TABLE("avx2");
#endif
