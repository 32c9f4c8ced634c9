/* SPDX-License-Identifier: MIT */
/*
 * Parts of mkseeds: who writes the seeds of which fuzzer.
 */
#ifndef MKSEEDS_H
#define MKSEEDS_H

#include <stddef.h>

/* Writes one seed, named after what it holds. Ends the program when that fails. */
void save(const char *name, const void *data, size_t bytes);

void seed_stream(void);
void seed_vfio_user(void);
void seed_control(void);

#endif
