// SPDX-License-Identifier: MIT
/*
 * The device's threads. A round is one call of nib_pool_run(): parts are taken one by one from a
 * counter that carries the round's number, so that a thread that comes late finds nothing to take.
 * A thread that has just worked looks for the next round for a moment before it sleeps: packets
 * follow each other within microseconds. An idle device costs nothing.
 */
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include "place.h"
#include "pool.h"

#define MAX_THREADS	256u
#define PARTS_PER_THREAD 4u
/* How long to look for more work before sleeping: longer than a wake-up takes. */
#define LINGER_NS	30000u

struct worker {
	struct nib_pool *pool;
	pthread_t thread;
	unsigned int number;
};

struct nib_pool {
	unsigned int threads;
	struct worker *workers;		/* threads - 1 of them */
	void (*seen)(void *arg, unsigned int thread, uint64_t start, uint64_t end);
	void *seen_arg;

	pthread_mutex_t lock;		/* protects what follows up to @next */
	pthread_cond_t wake;
	unsigned int sleeping;
	bool stop;
	void (*work)(void *arg, unsigned int part, unsigned int thread);
	void *arg;
	unsigned int parts;

	_Alignas(64) _Atomic uint64_t next;	/* round << 32 | first part not taken */
	_Alignas(64) _Atomic uint32_t done;	/* parts finished in this round */
};

static inline void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t round_of(uint64_t next)
{
	return (uint32_t)(next >> 32);
}

static void do_part(const struct nib_pool *pool, unsigned int thread,
		    void (*work)(void *, unsigned int, unsigned int), void *arg, unsigned int part)
{
	uint64_t start = pool->seen ? now_ns() : 0;

	work(arg, part, thread);
	if (pool->seen)
		pool->seen(pool->seen_arg, thread, start, now_ns());
}

/* Works off parts of @round. */
static void take_parts(struct nib_pool *pool, uint32_t round, unsigned int thread,
		       void (*work)(void *, unsigned int, unsigned int), void *arg,
		       unsigned int parts)
{
	uint64_t next = atomic_load_explicit(&pool->next, memory_order_acquire);

	while (round_of(next) == round && (uint32_t)next < parts) {
		if (!atomic_compare_exchange_weak_explicit(&pool->next, &next, next + 1,
							   memory_order_acq_rel,
							   memory_order_acquire))
			continue;
		do_part(pool, thread, work, arg, (unsigned int)(uint32_t)next);
		/* The caller goes on, and may end the trace, once all parts are done. */
		atomic_fetch_add_explicit(&pool->done, 1, memory_order_acq_rel);
		next = atomic_load_explicit(&pool->next, memory_order_acquire);
	}
}

/* Waits for a round other than @seen. False: the pool ends. */
static bool await_round(struct nib_pool *pool, uint32_t *seen)
{
	uint64_t until = now_ns() + LINGER_NS;
	bool go_on;

	while (round_of(atomic_load_explicit(&pool->next, memory_order_acquire)) == *seen) {
		pause_cpu();
		if (now_ns() >= until)
			break;
	}
	pthread_mutex_lock(&pool->lock);
	pool->sleeping++;
	while (round_of(atomic_load_explicit(&pool->next, memory_order_acquire)) == *seen &&
	       !pool->stop)
		pthread_cond_wait(&pool->wake, &pool->lock);
	pool->sleeping--;
	go_on = !pool->stop;
	pthread_mutex_unlock(&pool->lock);
	return go_on;
}

static void *worker_main(void *data)
{
	struct worker *w = data;
	struct nib_pool *pool = w->pool;
	uint32_t seen = 0;

	/* Not that of the thread it comes from: see nib_engine_execute(). */
	fesetenv(FE_DFL_ENV);
	while (await_round(pool, &seen)) {
		void (*work)(void *, unsigned int, unsigned int);
		unsigned int parts;
		void *arg;

		pthread_mutex_lock(&pool->lock);
		seen = round_of(atomic_load_explicit(&pool->next, memory_order_acquire));
		work = pool->work;
		arg = pool->arg;
		parts = pool->parts;
		pthread_mutex_unlock(&pool->lock);
		take_parts(pool, seen, w->number, work, arg, parts);
	}
	return NULL;
}

/* The first core stays with the caller of nib_pool_run(), wherever that runs. */
static void place(struct nib_pool *pool)
{
	struct nib_core *cores = calloc(pool->threads, sizeof(*cores));

	if (cores && nib_place_choose(NULL, pool->threads, cores))
		for (unsigned int i = 1; i < pool->threads; i++)
			nib_place_thread(pool->workers[i - 1].thread, &cores[i]);
	free(cores);
}

int nib_pool_create(unsigned int threads, bool pin, struct nib_pool **out)
{
	struct nib_pool *pool;
	int err = 0;

	*out = NULL;
	threads = threads < MAX_THREADS ? threads : MAX_THREADS;
	if (threads <= 1)
		return 0;
	pool = aligned_alloc(64, (sizeof(*pool) + 63) / 64 * 64);
	if (!pool)
		return -ENOMEM;
	*pool = (struct nib_pool){ .threads = 1 };
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	pool->workers = calloc(threads - 1, sizeof(*pool->workers));
	if (!pool->workers)
		err = ENOMEM;
	while (!err && pool->threads < threads) {
		struct worker *w = &pool->workers[pool->threads - 1];

		w->pool = pool;
		w->number = pool->threads;
		err = pthread_create(&w->thread, NULL, worker_main, w);
		pool->threads += !err;
	}
	if (err) {
		nib_pool_destroy(pool);
		return -err;
	}
	if (pin)
		place(pool);
	*out = pool;
	return 0;
}

void nib_pool_destroy(struct nib_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 1; i < pool->threads; i++)
		pthread_join(pool->workers[i - 1].thread, NULL);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	free(pool->workers);
	free(pool);
}

void nib_pool_trace(struct nib_pool *pool,
		    void (*seen)(void *arg, unsigned int thread, uint64_t start, uint64_t end),
		    void *arg)
{
	if (!pool)
		return;
	pool->seen = seen;
	pool->seen_arg = arg;
}

unsigned int nib_pool_threads(const struct nib_pool *pool)
{
	return pool ? pool->threads : 1;
}

unsigned int nib_pool_parts(const struct nib_pool *pool, uint64_t n)
{
	uint64_t most = nib_pool_threads(pool) * PARTS_PER_THREAD;

	return (unsigned int)(n < most ? n : most);
}

void nib_pool_run(struct nib_pool *pool, unsigned int parts,
		  void (*work)(void *arg, unsigned int part, unsigned int thread), void *arg)
{
	uint32_t round;

	if (!pool || parts <= 1) {
		for (unsigned int i = 0; i < parts; i++)
			work(arg, i, 0);
		return;
	}
	pthread_mutex_lock(&pool->lock);
	pool->work = work;
	pool->arg = arg;
	pool->parts = parts;
	atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
	round = round_of(atomic_load_explicit(&pool->next, memory_order_relaxed)) + 1;
	atomic_store_explicit(&pool->next, (uint64_t)round << 32, memory_order_release);
	if (pool->sleeping)
		pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	take_parts(pool, round, 0, work, arg, parts);
	/* What is left is being worked on: at most one part a thread. */
	for (unsigned int spins = 0;
	     atomic_load_explicit(&pool->done, memory_order_acquire) != parts; spins++) {
		if (spins < 4096) {
			pause_cpu();
		} else {
			struct timespec moment = { .tv_nsec = 20000 };

			nanosleep(&moment, NULL);
		}
	}
}
