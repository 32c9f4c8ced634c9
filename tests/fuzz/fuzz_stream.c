// SPDX-License-Identifier: MIT
/*
 * A hostile driver: streams, page tables, rings and admin messages that nobody vouches for, run on
 * a device. Nothing of it may crash the device, and a job that was rung in has to end.
 *
 * Input: records. Byte 0 chooses what follows:
 *	0..31	packet byte 0 of packet_samples, then a count of changes, each: word, shift, two
 *		bytes; the word is replaced (bit 7 of the word: added to) by the value << shift
 *	32..63	that many words of the stream as they are
 *	64..79	page table entry: two bytes which of those in use, eight bytes xor
 *	80..95	argument: byte 1 which, eight bytes
 *	96..111	field of the ring entry: byte 1 which word, eight bytes
 *	112..119 admin message: operation, seven arguments of two bytes
 *	120..127 word of VA memory: two bytes which, eight bytes
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "driver.h"
#include "packets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VA_BYTES	(256u << 10)	/* mapped from VA 0 */
#define PACKETS		64u
#define PATIENCE_NS	100000000l	/* until the watchdog resets the engine */

static void require(bool what)
{
	if (!what)
		abort();
}

/* --- Watchdog: what a driver does about a job that takes too long --- */

static struct driver *d;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t armed = PTHREAD_COND_INITIALIZER;
static unsigned int round_now;
static bool running;

static void *watchdog(void *arg)
{
	struct timespec until;
	unsigned int round;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (!running)
			pthread_cond_wait(&armed, &lock);
		round = round_now;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += PATIENCE_NS;
		until.tv_sec += until.tv_nsec / 1000000000l;
		until.tv_nsec %= 1000000000l;
		while (running && round == round_now &&
		       !pthread_cond_timedwait(&armed, &lock, &until))
			;
		if (running && round == round_now)
			driver_write(d, NIB_REG_RESET, NIB_RESET_ENGINE);
	}
	return arg;
}

static void set_running(bool on)
{
	pthread_mutex_lock(&lock);
	running = on;
	round_now++;
	pthread_cond_signal(&armed);
	pthread_mutex_unlock(&lock);
}

/* --- Input --- */

struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t take8(struct input *in)
{
	uint8_t value = 0;

	if (in->left) {
		value = *in->data++;
		in->left--;
	}
	return value;
}

static uint16_t take16(struct input *in)
{
	uint16_t low = take8(in);

	return (uint16_t)(low | take8(in) << 8);
}

static uint64_t take64(struct input *in)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value |= (uint64_t)take8(in) << (8 * i);
	return value;
}

/* --- The machine --- */

struct scene {
	struct stream stream;
	uint64_t args[NIB_MAX_ARGS];
	uint64_t entry[8];
	uint64_t hbm;
	uint64_t host;
	uint64_t *pte[VA_BYTES / NIB_PAGE_4K][NIB_PT_LEVELS];
};

/* VA 0 onwards: pages of all memories in turn, some of them adjacent. */
static void map_memory(struct scene *s)
{
	s->hbm = driver_hbm_alloc(d, VA_BYTES, NIB_PAGE_64K);
	s->host = driver_host_alloc(d, VA_BYTES, NIB_PAGE_64K);
	for (uint64_t at = 0; at < VA_BYTES; at += NIB_PAGE_4K) {
		uint64_t kind = at / NIB_PAGE_64K, page = at / NIB_PAGE_4K;

		if (kind == 0 || (kind == 3 && page % 3 == 0))
			driver_map(d, 0, at, NIB_MEM_HBM, s->hbm + at, NIB_PAGE_4K,
				   kind ? NIB_PAGE_4K : NIB_PAGE_64K, NIB_PTE_WRITE);
		else if (kind == 1 || (kind == 3 && page % 3 == 1))
			driver_map(d, 0, at, NIB_MEM_HOST, DRIVER_DMA + s->host + at, NIB_PAGE_4K,
				   NIB_PAGE_4K, NIB_PTE_WRITE);
		else
			driver_map(d, 0, at, NIB_MEM_SRAM, at, NIB_PAGE_4K, NIB_PAGE_4K,
				   NIB_PTE_WRITE);
	}
	/* Found now: once the tables are spoiled, they lead nowhere. */
	for (uint64_t page = 0; page < VA_BYTES / NIB_PAGE_4K; page++)
		for (int level = 0; level < NIB_PT_LEVELS; level++)
			s->pte[page][level] = driver_pte(d, 0, page * NIB_PAGE_4K, level);
}

/* Shapes that would take the kernels longer than a fuzzer waits are cut down. */
static void tame(uint64_t *w)
{
	switch (w[0] & 0xffff) {
	case NIB_OP_VEC:
		w[3] = (w[3] & ~0xffffffffull) | (w[3] & 0xfff);
		break;
	case NIB_OP_ATTENTION:
		w[0] &= ~(1ull << (32 + 7));	/* the stride is no argument, */
		w[8] &= 0xff;			/* and small, */
		w[12] &= 0x003f007f003f003full;	/* as are heads and pages */
		break;
	default:
		break;
	}
}

static void add_packet(struct scene *s, struct input *in)
{
	const struct packet_sample *sample = &packet_samples[take8(in) % packet_sample_count];
	uint32_t words = packet_words(sample->p.w), changes = take8(in) % 8;
	uint64_t w[PACKET_WORDS];

	memcpy(w, &sample->p, words * 8);
	while (changes--) {
		uint8_t which = take8(in), shift = take8(in) % 64;
		uint64_t value = (uint64_t)take16(in) << shift;

		w[(which & 127) % words] = which & 128 ? w[(which & 127) % words] + value : value;
	}
	tame(w);
	if (s->stream.words + words < sizeof(s->stream.w) / 8 - 1)
		stream_add(&s->stream, w, words * 8);
}

static void add_words(struct scene *s, struct input *in, unsigned int n)
{
	uint64_t w[32];

	for (unsigned int i = 0; i < n; i++)
		w[i] = take64(in);
	for (unsigned int i = 0; i < n; i++)
		if ((w[i] & 0xffff) == NIB_OP_VEC || (w[i] & 0xffff) == NIB_OP_ATTENTION)
			w[i] ^= 0x8000;
	if (n && s->stream.words + n < sizeof(s->stream.w) / 8 - 1)
		stream_add(&s->stream, w, n * 8);
}

static void change_memory(struct scene *s, struct input *in)
{
	uint64_t at = take16(in) * 8ull % VA_BYTES, value = take64(in);

	memcpy(d->hbm + s->hbm + at, &value, 8);
	memcpy(d->host + s->host + at, &value, 8);
}

static void send_admin(struct input *in)
{
	uint16_t op = take8(in) % 10;
	uint64_t args[7];

	for (unsigned int i = 0; i < 7; i++) {
		args[i] = take16(in);
		if (args[i] & 0x8000)
			args[i] <<= 24;
	}
	driver_admin(d, op, args, 7);
}

static void record(struct scene *s, struct input *in)
{
	uint8_t kind = take8(in), which;
	uint64_t *entry;

	if (kind < 32) {
		add_packet(s, in);
	} else if (kind < 64) {
		add_words(s, in, kind - 32);
	} else if (kind < 80) {
		which = take8(in);
		entry = s->pte[take16(in) % (VA_BYTES / NIB_PAGE_4K)]
			      [which < 200 ? 0 : which % NIB_PT_LEVELS];
		*entry ^= take64(in) >> (which % 2 ? 32 : 0);
	} else if (kind < 96) {
		which = take8(in) % NIB_MAX_ARGS;
		s->args[which] = take64(in);
	} else if (kind < 112) {
		which = take8(in) % 8;
		s->entry[which] = take64(in);
	} else if (kind < 120) {
		send_admin(in);
	} else {
		change_memory(s, in);
	}
}

static void play(struct scene *s, struct input *in)
{
	struct nib_ring_entry entry;
	uint64_t job, at;

	for (unsigned int i = 0; in->left && i < PACKETS; i++)
		record(s, in);
	stream_end(&s->stream);
	/* Refused where a message before has taken the id. */
	at = driver_hbm_alloc(d, s->stream.words * 8ull, 64);
	memcpy(d->hbm + at, s->stream.w, s->stream.words * 8ull);
	driver_adm(d, NIB_ADM_STREAM_CREATE, 0, 0, at, s->stream.words * 8ull, s->entry[7] % 8);
	memcpy(&entry, s->entry, sizeof(entry));
	entry.stream %= 2;
	memset(entry.zero, 0, sizeof(entry.zero));
	job = driver_put(d, 0, &entry, s->args);
	driver_ring(d, 0);
	set_running(true);
	driver_run(d);
	set_running(false);
	/* Only a semaphore, or a firmware that lost its memory, may leave it without an end. */
	if (driver_done(d, 0, job) || !nib_device_blocked(d->device))
		return;
	driver_write(d, NIB_REG_RESET, NIB_RESET_ENGINE);
	driver_adm(d, NIB_ADM_QUEUE_DESTROY, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .data = data, .left = size };
	static struct scene scene;
	pthread_t thread;

	if (!d) {
		d = driver_new("small", NULL);
		require(!pthread_create(&thread, NULL, watchdog, NULL));
	}
	/* The same device for all inputs: a function reset is as good as a new one. */
	nib_device_reset(d->device);
	d->hbm_next = NIB_PAGE_4K;
	d->host_next = NIB_PAGE_4K;
	memset(&scene, 0, sizeof(scene));
	driver_boot(d);
	driver_context(d, 0);
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	map_memory(&scene);
	for (unsigned int i = 0; i < NIB_MAX_ARGS; i++)
		scene.args[i] = i * 0x1000 % VA_BYTES;
	scene.entry[0] = (uint64_t)NIB_MAX_ARGS << 32;
	play(&scene, &in);
	return 0;
}
