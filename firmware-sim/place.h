/* SPDX-License-Identifier: MIT */
/*
 * Where the device's threads and memories go on a machine of many cores and memory nodes. All of it
 * is advice: without hwloc, or where the machine is too small, nothing is placed.
 */
#ifndef NIB_PLACE_H
#define NIB_PLACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Processors of the machine beyond the first so many are left alone. */
#define NIB_PLACE_CPUS	1024u

/* A core: its hardware threads that this process may use. */
struct nib_core {
	unsigned long cpus[NIB_PLACE_CPUS / (8 * sizeof(unsigned long))];
};

/**
 * nib_place_choose - a core for each of @threads threads, far apart, so that each has caches and
 * memory channels to itself as far as they go.
 * @machine: of these words (hwloc's synthetic description); NULL: this machine, as far as the
 *	calling thread may use it.
 * @cores: receives the cores.
 *
 * Returns @threads; or 0 where that would not leave a core to other threads: the caller of
 * nib_pool_run() is one, and is never bound. Then, and without hwloc, threads stay free.
 */
unsigned int nib_place_choose(const char *machine, unsigned int threads, struct nib_core *cores);

/* Binds a thread to a core. False: the system did not let us. */
bool nib_place_thread(pthread_t thread, const struct nib_core *core);

/*
 * Spreads memory that is not there yet over the memory nodes of this machine. Any thread may work
 * on any part of a packet, so that no page has a node where it would be better than elsewhere: what
 * counts is that all memory channels serve it.
 */
void nib_place_memory(void *at, size_t bytes);

/* False: this was built without hwloc. */
bool nib_place_works(void);

#endif
