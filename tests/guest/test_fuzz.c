/* SPDX-License-Identifier: MIT */
/*
 * Ioctls with contents that are mostly nonsense, now and then nearly right, from two threads on one
 * file. Nothing is expected of them but that the kernel survives: the runner looks at its log, and
 * the device must work afterwards. NIB_FUZZ_MS says for how long, 3000 by default; NIB_FUZZ_SEED
 * starts it.
 */
#include "guest.h"

#include <pthread.h>

static const struct {
	unsigned long request;
	size_t size;
} calls[] = {
	{ DRM_IOCTL_NIB_DEV_QUERY, sizeof(struct nib_dev_query) },
	{ DRM_IOCTL_NIB_VM_CREATE, sizeof(struct nib_vm_create) },
	{ DRM_IOCTL_NIB_VM_DESTROY, sizeof(struct nib_vm_destroy) },
	{ DRM_IOCTL_NIB_VM_BIND, sizeof(struct nib_vm_bind) },
	{ DRM_IOCTL_NIB_VM_BIND, sizeof(struct nib_vm_bind) },
	{ DRM_IOCTL_NIB_BO_CREATE, sizeof(struct nib_bo_create) },
	{ DRM_IOCTL_NIB_BO_MMAP_OFFSET, sizeof(struct nib_bo_mmap_offset) },
	{ DRM_IOCTL_NIB_STREAM_CREATE, sizeof(struct nib_stream_create) },
	{ DRM_IOCTL_NIB_STREAM_DESTROY, sizeof(struct nib_stream_destroy) },
	{ DRM_IOCTL_NIB_QUEUE_CREATE, sizeof(struct nib_queue_create) },
	{ DRM_IOCTL_NIB_QUEUE_DESTROY, sizeof(struct nib_queue_destroy) },
	{ DRM_IOCTL_NIB_SUBMIT, sizeof(struct nib_submit) },
	{ DRM_IOCTL_NIB_SUBMIT, sizeof(struct nib_submit) },
	{ DRM_IOCTL_NIB_QUEUE_GET_STATE, sizeof(struct nib_queue_get_state) },
	{ DRM_IOCTL_GEM_CLOSE, sizeof(struct drm_gem_close) },
	{ DRM_IOCTL_SYNCOBJ_CREATE, sizeof(struct drm_syncobj_create) },
	{ DRM_IOCTL_SYNCOBJ_DESTROY, sizeof(struct drm_syncobj_destroy) },
};

#define CALLS	(sizeof(calls) / sizeof(calls[0]))

static struct guest g;
static uint64_t end;
static uint64_t scratch[2][512];

static uint64_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A number of a kind that fields like. */
static uint64_t number(uint64_t *state, uint64_t *memory)
{
	switch (rnd(state) % 12) {
	case 0: return rnd(state);
	case 1: return rnd(state) >> 32;
	case 2: return UINT64_MAX >> (rnd(state) % 64);
	case 3: return (uintptr_t)(memory + rnd(state) % 480);
	case 4: return 4096ull << (rnd(state) % 14);
	case 5: return 0x100000000ull + (rnd(state) % 64) * 4096;
	case 6: return rnd(state) % 64 | (rnd(state) % 3) << 32;
	/* Two fields: a stride and a count. */
	case 7: return (rnd(state) % 3 * 16 + 16) | (rnd(state) % 4) << 32;
	case 8: return 1 | 1ull << 32;
	case 9: return 1ull << (rnd(state) % 64);
	default: return rnd(state) % 5;
	}
}

static void *fuzz(void *arg)
{
	uint64_t *memory = arg, state = memory[0], args[16], n = 0;
	unsigned int i, call;

	while (now_ns() < end) {
		for (i = 0; i < 512; i++)
			if (!(rnd(&state) % 8))
				memory[i] = number(&state, memory);
		/* Streams that are good, for once. */
		if (!(rnd(&state) % 4)) {
			memory[0] = NIB_OP_FILL | 4 << 16;
			memory[1] = 0x100000000ull;
			memory[2] = 16;
			memory[3] = 7;
			memory[4] = NIB_OP_END | 1 << 16;
		}
		for (i = 0; i < 16; i++)
			args[i] = number(&state, memory);
		call = rnd(&state) % CALLS;
		if (calls[call].request == DRM_IOCTL_NIB_STREAM_CREATE && rnd(&state) % 2) {
			args[0] = g.vm | 40ull << 32;
			args[1] = (uintptr_t)memory;
		}
		/* Memory must not run out for the others of this guest. */
		if (calls[call].request == DRM_IOCTL_NIB_BO_CREATE && (args[1] & NIB_BO_HOST))
			args[0] %= 4 * MIB;
		ioctl(g.fd, calls[call].request, args);
		n++;
	}
	memory[0] = n;
	return NULL;
}

int main(void)
{
	const char *ms = getenv("NIB_FUZZ_MS"), *seed = getenv("NIB_FUZZ_SEED");
	struct stream s = { 0 };
	pthread_t threads[2];
	struct guest after;
	int i;

	g = guest_begin();
	guest_buffer(&g, 0x100000000ull, 64 * KIB, NIB_BO_HBM);
	end = now_ns() + (ms ? strtoull(ms, NULL, 0) : 3000) * 1000000;
	for (i = 0; i < 2; i++) {
		scratch[i][0] = (seed ? strtoull(seed, NULL, 0) : 88172645463325252ull) + (uint64_t)i;
		CHECK(!pthread_create(&threads[i], NULL, fuzz, scratch[i]));
	}
	for (i = 0; i < 2; i++) {
		CHECK(!pthread_join(threads[i], NULL));
		printf("thread %d: %" PRIu64 " calls\n", i, scratch[i][0]);
	}
	close(g.fd);
	after = guest_begin();
	packet_end(&s);
	OK(run_stream(after.fd, after.vm, after.queue, &s));
	return 0;
}
