/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device for KUnit tests: HBM is memory of the kernel, registers are words that nobody reads, and
 * firmware agrees to everything. For what the driver does on its side of them.
 */
#ifndef NIB_TEST_DEVICE_H
#define NIB_TEST_DEVICE_H

#include <kunit/test.h>

#include "device.h"

#define NIB_TEST_HBM	SZ_8M

struct nib_device *nib_test_device(struct kunit *test);

#endif
