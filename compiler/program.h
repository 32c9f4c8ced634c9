/* SPDX-License-Identifier: MIT */
/* Writing program files, and what of a compilation goes into them. */
#ifndef AC_PROGRAM_H
#define AC_PROGRAM_H

#include "ir.h"

/* All or nothing: no file appears under @path after an error. */
int ac_program_write(struct accel_compile *c, const char *path);
/* The format that most elements of linear layers have. */
uint32_t ac_main_format(const struct accel_compile *c);

#endif
