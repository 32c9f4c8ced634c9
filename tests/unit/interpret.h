/* SPDX-License-Identifier: MIT */
/*
 * A stream interpreter for tests of the compiler: the packets of uapi/nib_isa.h in double
 * precision, over plain memory, addresses being host pointers. Slow and obvious; not the device, and it makes
 * no promise about the last bits.
 */
#ifndef INTERPRET_H
#define INTERPRET_H

#include <stddef.h>
#include <stdint.h>

/* Run a stream. Returns NULL, or what it cannot do. */
const char *interpret(const uint64_t *stream, size_t bytes, const uint64_t *args);

#endif
