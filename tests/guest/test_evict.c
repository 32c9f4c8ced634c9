/* SPDX-License-Identifier: MIT */
/*
 * Two clients whose buffers together are larger than HBM: each runs a small network, again and
 * again, and gets the same bits as when it was alone. Weights go to host memory and come back, and
 * the driver says how many bytes of them.
 */
#include "guest.h"

#include <sys/wait.h>

#define K		4096u		/* elements of a layer's input and output */
#define ROWS		2u
#define WEIGHTS		(2ull * K * K)	/* bytes of a layer, BF16 */
#define CLIENTS		2u
#define ROUNDS		3u
#define MAX_LAYERS	64u

#define VA_X		0x10000000ull	/* input, BF16 rows */
#define VA_Y		0x20000000ull	/* output, FP32 rows */
#define VA_W		0x1000000000ull
#define PITCH		((uint64_t)nib_row_bytes(NIB_FMT_BF16, K))
#define F32_ONE		0x3f800000u

struct client {
	struct guest g;
	uint32_t layers;
	uint32_t stream;
	uint32_t *x;
	uint32_t *y;
};

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Two small BF16 numbers of either sign. */
static uint32_t two_weights(uint32_t *seed)
{
	uint32_t r = next(seed);

	return 0x3c003c00u | (r & 0x00ff00ffu) | (r << 8 & 0x80008000u);
}

/* y = W[n - 1] ... W[0] x, with the activations rounded to BF16 between layers. */
static uint32_t make_stream(struct client *c)
{
	struct stream s = { 0 };
	uint32_t i;

	for (i = 0; i < c->layers; i++) {
		packet(&s, NIB_OP_GEMM, 0, 12, W(ROWS), VA_X, PITCH, VA_W + i * WEIGHTS, VA_Y,
		       W(K * 4), W(0), W(0), W(0), W(K) | W(K) << 32,
		       W(NIB_FMT_BF16) | W(NIB_FMT_BF16) << 16 | W(NIB_FMT_F32) << 32,
		       W(F32_ONE) << 32);
		packet(&s, NIB_OP_QUANT, 0, 6, W(ROWS), VA_Y, W(K * 4), VA_X, PITCH,
		       W(K) | W(NIB_FMT_BF16) << 32);
	}
	packet_end(&s);
	return stream_create(c->g.fd, c->g.vm, &s);
}

static void begin(struct client *c, uint32_t seed, uint32_t layers)
{
	uint32_t i, *w;
	uint64_t k;

	EQUAL(nib_panels_bytes(NIB_FMT_BF16, K, K), WEIGHTS);
	c->g = guest_begin();
	c->layers = layers;
	c->x = guest_buffer(&c->g, VA_X, ROWS * PITCH, NIB_BO_HOST);
	c->y = guest_buffer(&c->g, VA_Y, ROWS * K * 4, NIB_BO_HOST);
	for (i = 0; i < layers; i++) {
		w = guest_buffer(&c->g, VA_W + i * WEIGHTS, WEIGHTS, NIB_BO_HBM);
		for (k = 0; k < WEIGHTS / 4; k++)
			w[k] = two_weights(&seed);
		munmap(w, WEIGHTS);
	}
	c->stream = make_stream(c);
}

/* Runs the network once; returns a digest of what came out. */
static uint64_t step(struct client *c)
{
	uint64_t digest = 0xcbf29ce484222325ull;
	uint32_t done = syncobj(c->g.fd), seed = 7, i;

	for (i = 0; i < ROWS * PITCH / 4; i++)
		c->x[i] = two_weights(&seed);
	OK(submit(c->g.fd, c->g.queue, c->stream, done));
	OK(syncobj_wait(c->g.fd, done, 100000));
	EQUAL(fence_status(c->g.fd, done), 1);
	drmSyncobjDestroy(c->g.fd, done);
	for (i = 0; i < ROWS * K; i++)
		digest = (digest ^ c->y[i]) * 0x100000001b3ull;
	return digest;
}

static uint64_t alone(uint32_t seed, uint32_t layers)
{
	struct client c;
	uint64_t digest;

	begin(&c, seed, layers);
	digest = step(&c);
	EQUAL(query_memory(c.g.fd).client_evicted_bytes, 0);
	/* These keep the file open, too. */
	munmap(c.x, ROWS * PITCH);
	munmap(c.y, ROWS * K * 4);
	close(c.g.fd);
	return digest;
}

/* In a process of its own: the same bits every time. */
static void compete(uint32_t seed, uint32_t layers, uint64_t want)
{
	struct nib_memory_info info;
	struct client c;
	uint32_t i;

	begin(&c, seed, layers);
	for (i = 0; i < ROUNDS; i++)
		EQUAL(step(&c), want);
	info = query_memory(c.g.fd);
	EQUAL(info.client_hbm, layers * WEIGHTS);
	CHECK(info.client_hbm_resident <= info.client_hbm);
	CHECK(info.client_restored_bytes <= info.client_evicted_bytes);
	CHECK(info.client_evicted_bytes <= info.evicted_bytes);
	CHECK(info.client_restored_bytes <= info.restored_bytes);
	EQUAL(queue_state(c.g.fd, c.g.queue).state, 0);
}

int main(void)
{
	uint64_t want[CLIENTS], begun;
	struct nib_memory_info before, after;
	int fd = guest_open(), status;
	uint32_t layers, i;
	pid_t pid[CLIENTS];

	before = query_memory(fd);
	if (query_device(fd).hbm_bytes > MAX_LAYERS * WEIGHTS)
		SKIP("HBM of %llu MiB would take too long to fill", before.hbm_free >> 20);
	/* Each fits, two do not. */
	layers = (uint32_t)(before.hbm_free / WEIGHTS);
	CHECK(layers >= 2);
	for (i = 0; i < CLIENTS; i++)
		want[i] = alone(i + 1, layers);
	CHECK(want[0] != want[1]);
	EQUAL(query_memory(fd).evicted_bytes, before.evicted_bytes);
	begun = now_ns();
	for (i = 0; i < CLIENTS; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (!pid[i]) {
			compete(i + 1, layers, want[i]);
			exit(0);
		}
	}
	for (i = 0; i < CLIENTS; i++) {
		CHECK(waitpid(pid[i], &status, 0) == pid[i]);
		EQUAL(status, 0);
	}
	after = query_memory(fd);
	printf("%u clients with %u MiB each on %u MiB of HBM: %u MiB evicted, %u MiB restored, %u ms\n",
	       CLIENTS, (unsigned int)(layers * WEIGHTS >> 20), (unsigned int)(before.hbm_free >> 20),
	       (unsigned int)((after.evicted_bytes - before.evicted_bytes) >> 20),
	       (unsigned int)((after.restored_bytes - before.restored_bytes) >> 20),
	       (unsigned int)((now_ns() - begun) / 1000000));
	/* What does not fit must have gone at least once, and nothing comes back that did not go. */
	CHECK(after.evicted_bytes - before.evicted_bytes >=
	      CLIENTS * layers * WEIGHTS - before.hbm_free);
	CHECK(after.restored_bytes > before.restored_bytes);
	CHECK(after.restored_bytes <= after.evicted_bytes);
	EQUAL(after.hbm_free, before.hbm_free);
	return 0;
}
