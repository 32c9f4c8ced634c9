/* SPDX-License-Identifier: MIT */
/*
 * Where tests find the real inputs of ../shared/data (NIB_SHARED_DATA overrides). They skip with a
 * reason where it is absent.
 */
#ifndef SHARED_DATA_H
#define SHARED_DATA_H

#include <stdbool.h>

/* Path of a file in there; good until the fourth next call. */
const char *shared_path(const char *name);
bool shared_have(const char *name);

#endif
