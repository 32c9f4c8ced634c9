/* SPDX-License-Identifier: MIT */
/*
 * Peaks of the machine. Each figure is the best of several short runs, all threads together, so
 * that other work on the machine disturbs little.
 */
#include <immintrin.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "roofline.h"

#define MAX_THREADS	64
#define READ_BYTES	(768ull << 20)	/* beyond any cache */
#define SPINS		2000000u
#define RUNS		5
/* Accumulators must live in registers: that takes an unrolled loop. */
#define UNROLL		_Pragma("GCC unroll 16")

struct worker {
	pthread_t thread;
	pthread_barrier_t *barrier;
	double (*work)(const struct worker *w);
	const uint8_t *memory;
	size_t bytes;
	double amount;
	double begin;
	double end;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Keeps results alive. */
static volatile uint64_t sink;

__attribute__((target("avx512f"))) static double read_avx512(const struct worker *w)
{
	__m512i sum[8];
	uint64_t all[8];

	memset(sum, 0, sizeof(sum));
	for (size_t i = 0; i + 512 <= w->bytes; i += 512)
		UNROLL
		for (int j = 0; j < 8; j++)
			sum[j] = _mm512_or_si512(sum[j], _mm512_load_si512(w->memory + i + j * 64));
	UNROLL
	for (int j = 1; j < 8; j++)
		sum[0] = _mm512_or_si512(sum[0], sum[j]);
	_mm512_storeu_si512(all, sum[0]);
	sink += all[0];
	return (double)w->bytes;
}

__attribute__((target("avx2"))) static double read_avx2(const struct worker *w)
{
	__m256i sum[8];
	uint64_t all[4];

	memset(sum, 0, sizeof(sum));
	for (size_t i = 0; i + 256 <= w->bytes; i += 256)
		UNROLL
		for (int j = 0; j < 8; j++)
			sum[j] = _mm256_or_si256(sum[j], _mm256_load_si256(
					(const __m256i *)(w->memory + i + j * 32)));
	UNROLL
	for (int j = 1; j < 8; j++)
		sum[0] = _mm256_or_si256(sum[0], sum[j]);
	_mm256_storeu_si256((__m256i *)all, sum[0]);
	sink += all[0];
	return (double)w->bytes;
}

static double read_plain(const struct worker *w)
{
	const uint64_t *p = (const uint64_t *)w->memory;
	uint64_t sum[8] = { 0 };

	for (size_t i = 0; i + 8 <= w->bytes / 8; i += 8)
		UNROLL
		for (int j = 0; j < 8; j++)
			sum[j] |= p[i + j];
	sink += sum[0] | sum[1] | sum[2] | sum[3] | sum[4] | sum[5] | sum[6] | sum[7];
	return (double)w->bytes;
}

__attribute__((target("avx512f"))) static double fp32_avx512(const struct worker *w)
{
	__m512 acc[16], a = _mm512_set1_ps(1.0000001f), b = _mm512_set1_ps(1e-9f);

	(void)w;
	UNROLL
	for (int j = 0; j < 16; j++)
		acc[j] = _mm512_set1_ps((float)j);
	for (unsigned int i = 0; i < SPINS; i++) {
		UNROLL
		for (int j = 0; j < 16; j++)
			acc[j] = _mm512_fmadd_ps(acc[j], a, b);
	}
	UNROLL
	for (int j = 1; j < 16; j++)
		acc[0] = _mm512_add_ps(acc[0], acc[j]);
	sink += (uint64_t)_mm512_reduce_add_ps(acc[0]);
	return 2.0 * 16 * 16 * SPINS;
}

__attribute__((target("avx2,fma"))) static double fp32_avx2(const struct worker *w)
{
	__m256 acc[12], a = _mm256_set1_ps(1.0000001f), b = _mm256_set1_ps(1e-9f);
	float all[8];

	(void)w;
	UNROLL
	for (int j = 0; j < 12; j++)
		acc[j] = _mm256_set1_ps((float)j);
	for (unsigned int i = 0; i < SPINS; i++) {
		UNROLL
		for (int j = 0; j < 12; j++)
			acc[j] = _mm256_fmadd_ps(acc[j], a, b);
	}
	UNROLL
	for (int j = 1; j < 12; j++)
		acc[0] = _mm256_add_ps(acc[0], acc[j]);
	_mm256_storeu_ps(all, acc[0]);
	sink += (uint64_t)all[0];
	return 2.0 * 8 * 12 * SPINS;
}

__attribute__((target("avx512f,avx512bf16"))) static double bf16_avx512(const struct worker *w)
{
	__m512bh a = (__m512bh)_mm512_set1_epi16(0x3f80), b = (__m512bh)_mm512_set1_epi16(0x2f80);
	__m512 acc[16];

	(void)w;
	UNROLL
	for (int j = 0; j < 16; j++)
		acc[j] = _mm512_set1_ps((float)j);
	for (unsigned int i = 0; i < SPINS; i++) {
		UNROLL
		for (int j = 0; j < 16; j++)
			acc[j] = _mm512_dpbf16_ps(acc[j], a, b);
	}
	UNROLL
	for (int j = 1; j < 16; j++)
		acc[0] = _mm512_add_ps(acc[0], acc[j]);
	sink += (uint64_t)_mm512_reduce_add_ps(acc[0]);
	return 2.0 * 32 * 16 * SPINS;
}

__attribute__((target("avx512f,avx512vnni"))) static double int8_avx512(const struct worker *w)
{
	__m512i acc[16], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);

	(void)w;
	UNROLL
	for (int j = 0; j < 16; j++)
		acc[j] = _mm512_set1_epi32(j);
	for (unsigned int i = 0; i < SPINS; i++) {
		UNROLL
		for (int j = 0; j < 16; j++) {
			acc[j] = _mm512_dpbusd_epi32(acc[j], a, b);
			/* Else the compiler multiplies once. */
			__asm__("" : "+v"(acc[j]));
		}
	}
	UNROLL
	for (int j = 1; j < 16; j++)
		acc[0] = _mm512_add_epi32(acc[0], acc[j]);
	sink += (uint64_t)_mm512_reduce_add_epi32(acc[0]);
	return 2.0 * 64 * 16 * SPINS;
}

/* Dot products that are a product and an addition; written out, or the compiler would spill sums. */
#define PEAK_AVX2(operations, multiply, add)						\
	do {										\
		__m256i acc[12], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5), x;	\
		uint64_t all[4];							\
											\
		UNROLL									\
		for (int j = 0; j < 12; j++)						\
			acc[j] = _mm256_set1_epi32(j);					\
		for (unsigned int i = 0; i < SPINS; i++) {				\
			UNROLL								\
			for (int j = 0; j < 12; j++) {					\
				__asm__ volatile(multiply " %1, %2, %0"			\
						 : "=x"(x) : "x"(a), "x"(b));		\
				__asm__(add " %1, %0, %0" : "+x"(acc[j]) : "x"(x));	\
			}								\
		}									\
		UNROLL									\
		for (int j = 1; j < 12; j++)						\
			acc[0] = _mm256_add_epi32(acc[0], acc[j]);			\
		_mm256_storeu_si256((__m256i *)all, acc[0]);				\
		sink += all[0];								\
		return 2.0 * (operations) * 12 * SPINS;					\
	} while (0)

__attribute__((target("avx2"))) static double int16_avx2(const struct worker *w)
{
	(void)w;
	PEAK_AVX2(16, "vpmaddwd", "vpaddd");
}

__attribute__((target("avx2"))) static double int8_avx2(const struct worker *w)
{
	(void)w;
	PEAK_AVX2(32, "vpmaddubsw", "vpaddw");
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	pthread_barrier_wait(w->barrier);
	w->begin = now();
	w->amount = w->work(w);
	w->end = now();
	return NULL;
}

/* Amount a second of all threads together, from the first start to the last end. */
static double run(double (*work)(const struct worker *), unsigned int threads, const uint8_t *memory)
{
	struct worker w[MAX_THREADS];
	pthread_barrier_t barrier;
	double best = 0;

	for (int run = 0; run < RUNS; run++) {
		double amount = 0, begin = 1e300, end = 0;
		unsigned int i, started = 0;

		pthread_barrier_init(&barrier, NULL, threads);
		for (i = 0; i < threads; i++) {
			w[i] = (struct worker){ .barrier = &barrier, .work = work };
			w[i].bytes = READ_BYTES / threads / 4096 * 4096;
			w[i].memory = memory + w[i].bytes * i;
			if (!pthread_create(&w[i].thread, NULL, worker_main, &w[i]))
				started++;
		}
		if (started != threads)
			abort();
		for (i = 0; i < threads; i++) {
			pthread_join(w[i].thread, NULL);
			amount += w[i].amount;
			begin = w[i].begin < begin ? w[i].begin : begin;
			end = w[i].end > end ? w[i].end : end;
		}
		pthread_barrier_destroy(&barrier);
		if (amount / (end - begin) > best)
			best = amount / (end - begin);
	}
	return best;
}

struct roofline roofline_measure(unsigned int threads)
{
	bool avx512 = __builtin_cpu_supports("avx512f"), avx2 = __builtin_cpu_supports("avx2");
	struct roofline r = { 0 };
	uint8_t *memory;

	if (threads < 1 || threads > MAX_THREADS)
		threads = threads ? MAX_THREADS : 1;
	memory = mmap(NULL, READ_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED) {
		madvise(memory, READ_BYTES, MADV_HUGEPAGE);
		memset(memory, 1, READ_BYTES);
		r.read = run(avx512 ? read_avx512 : avx2 ? read_avx2 : read_plain, threads, memory);
		munmap(memory, READ_BYTES);
	}
	if (avx512)
		r.fp32 = run(fp32_avx512, threads, NULL);
	else if (avx2 && __builtin_cpu_supports("fma"))
		r.fp32 = run(fp32_avx2, threads, NULL);
	if (__builtin_cpu_supports("avx512bf16"))
		r.bf16 = run(bf16_avx512, threads, NULL);
	else if (avx2)
		r.bf16 = run(int16_avx2, threads, NULL);
	if (__builtin_cpu_supports("avx512vnni"))
		r.int8 = run(int8_avx512, threads, NULL);
	else if (avx2)
		r.int8 = run(int8_avx2, threads, NULL);
	return r;
}
