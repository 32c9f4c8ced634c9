/* SPDX-License-Identifier: MIT */
/*
 * Threads that share the work of one packet. They belong to the device, sleep while it has nothing
 * for them, and know nothing of packets: a caller hands in a function and a number of parts.
 */
#ifndef NIB_POOL_H
#define NIB_POOL_H

#include <stdbool.h>
#include <stdint.h>

struct nib_pool;

/**
 * nib_pool_create - start threads.
 * @threads: that work at once, the caller of nib_pool_run() included; 1 or less starts none.
 * @pin: give each its own core, see nib_place_choose(). Not the caller: its thread is not ours.
 *
 * Returns 0, or -errno. With no threads to start *pool is NULL, which nib_pool_run() takes.
 */
int nib_pool_create(unsigned int threads, bool pin, struct nib_pool **pool);
void nib_pool_destroy(struct nib_pool *pool);

/**
 * nib_pool_trace - have told which thread worked when. Before the first nib_pool_run().
 * @seen: called by the thread after each part, unless there is only one. Times are CLOCK_MONOTONIC
 *	nanoseconds. Threads other than the caller of nib_pool_run() have numbers above 0.
 */
void nib_pool_trace(struct nib_pool *pool,
		    void (*seen)(void *arg, unsigned int thread, uint64_t start, uint64_t end),
		    void *arg);

/* How many threads work at once. */
unsigned int nib_pool_threads(const struct nib_pool *pool);

/*
 * How many parts to cut @n independent pieces of work into: several a thread, so that one that was
 * held up leaves work to the others.
 */
unsigned int nib_pool_parts(const struct nib_pool *pool, uint64_t n);

/* Calls @work once for each part 0..@parts - 1, on any thread, and returns when all are done. */
void nib_pool_run(struct nib_pool *pool, unsigned int parts,
		  void (*work)(void *arg, unsigned int part, unsigned int thread), void *arg);

#endif
