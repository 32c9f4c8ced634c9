// SPDX-License-Identifier: MIT
/*
 * The stream validator on any bytes. Input: the stream itself. Beyond what sanitizers see: what is
 * accepted is a row of whole packets that ends with END, is accepted again as a copy, brings every
 * argument it names, and can only be made invalid by the value of an argument. What is refused is
 * valid up to the packet that is blamed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nib_validate.h"
#include "packets.h"

#define require(cond)							\
	do {								\
		if (!(cond)) {						\
			fprintf(stderr, "line %d: %s\n", __LINE__, #cond); \
			abort();					\
		}							\
	} while (0)

static const uint64_t end_word = 1 << 16 | NIB_OP_END;

static uint64_t next(uint64_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return *rng;
}

/* A small, large, aligned or random number: what jobs bring, and what they should not. */
static uint64_t number(uint64_t *rng)
{
	static const uint64_t edges[] = {
		0, 1, 64, 4096, NIB_MAX_DIM, NIB_MAX_DIM + 1, NIB_MAX_PITCH, 1ull << 47, ~63ull,
		~0ull,
	};
	uint64_t x = next(rng), pick = x >> 8;

	if (x & 1)
		return edges[pick % (sizeof(edges) / sizeof(edges[0]))];
	return next(rng) >> pick % 64;
}

/* Validates a copy of exactly its size, so that a sanitizer sees every word read past the end. */
static uint32_t validate(const void *data, size_t bytes, struct nib_stream_info *info)
{
	uint64_t *copy = malloc(bytes ? bytes : 1);
	uint32_t error;

	require(copy);
	memcpy(copy, data, bytes);
	memset(info, 0xa5, sizeof(*info));
	error = nib_stream_validate((const __u64 *)copy, (uint32_t)bytes, info);
	require(error <= NIB_INVALID_END);
	require(bytes == 0 || !memcmp(copy, data, bytes));
	free(copy);
	return error;
}

/* Once its arguments are known, a packet is valid, or a value is out of range or not aligned. */
static void resolve(const uint64_t *packet, uint32_t words, uint64_t *rng)
{
	uint32_t mask = packet[0] >> 32, length, nargs = 0, error;
	uint64_t *w = malloc(words * 8);

	require(w);
	memcpy(w, packet, words * 8);
	w[0] &= 0xffffffff;
	for (uint32_t i = 1; i <= 32; i++)
		if (mask >> (i - 1) & 1)
			w[i] = number(rng);
	error = nib_packet_validate((const __u64 *)w, words, &length, &nargs);
	require(error == NIB_VALID || error == NIB_INVALID_RANGE || error == NIB_INVALID_ALIGN);
	require(mask || error == NIB_VALID);
	require(length == words && !nargs);
	free(w);
}

/* Takes a program the way an executor would: every register and operand must be there. */
static void run_vec(const uint64_t *w, uint32_t words)
{
	int written[NIB_VEC_REGS] = { 0 };
	struct nib_vec_insn insn;
	struct nib_pkt_vec p;

	memcpy(&p, w, sizeof(p));
	require(p.n_operands <= NIB_VEC_MAX_OPERANDS && p.n_insns <= NIB_VEC_MAX_INSNS);
	require(words == 4 + 3u * p.n_operands + p.n_insns);
	for (uint32_t i = 4 + 3u * p.n_operands; i < words; i++) {
		memcpy(&insn, w + i, sizeof(insn));
		if (insn.op == NIB_VEC_STORE)
			require(insn.dst < p.n_operands);
		if (insn.op == NIB_VEC_LOAD)
			require(insn.a < p.n_operands);
		else if (insn.op != NIB_VEC_MOVI && insn.op != NIB_VEC_IOTA)
			require(insn.a < NIB_VEC_REGS && written[insn.a]);
		if (insn.b)
			require(insn.b < NIB_VEC_REGS && written[insn.b]);
		if (insn.op == NIB_VEC_FMA || insn.op == NIB_VEC_SELECT)
			require(insn.imm < NIB_VEC_REGS && written[insn.imm]);
		if (insn.op != NIB_VEC_STORE) {
			require(insn.dst < NIB_VEC_REGS);
			written[insn.dst] = 1;
		}
	}
}

static uint32_t most_args(const uint64_t *w, uint32_t words, uint32_t nargs)
{
	for (uint32_t i = 1; i <= 32; i++) {
		if (!(w[0] >> (31 + i) & 1))
			continue;
		require(i < words);
		nargs = (w[i] & 63) >= nargs ? (w[i] & 63) + 1 : nargs;
	}
	return nargs;
}

static void check_accepted(const uint64_t *w, size_t total, const struct nib_stream_info *info)
{
	uint64_t rng = 0x9e3779b97f4a7c15ull ^ total;
	uint32_t packets = 0, nargs = 0, words;
	size_t at = 0;

	while (at < total) {
		words = packet_words(w + at);
		require(words && words <= NIB_MAX_PKT_WORDS && words <= total - at);
		require(((w[at] & 0xffff) == NIB_OP_END) == (at + words == total));
		nargs = most_args(w + at, words, nargs);
		resolve(w + at, words, &rng);
		if ((w[at] & 0xffff) == NIB_OP_VEC)
			run_vec(w + at, words);
		packets++;
		at += words;
	}
	require(at == total && packets == info->packets && nargs == info->nargs);
	require(nargs <= NIB_MAX_ARGS);
}

static void check_refused(const uint64_t *w, size_t bytes, const struct nib_stream_info *info)
{
	struct nib_stream_info prefix;
	uint64_t *copy;

	require(info->error_offset <= bytes && info->error_offset % 8 == 0);
	copy = malloc(info->error_offset + 8);
	require(copy);
	memcpy(copy, w, info->error_offset);
	memcpy((uint8_t *)copy + info->error_offset, &end_word, 8);
	/* A stream that is as long as it may be and lacks END has no room for it. */
	require(validate(copy, info->error_offset + 8, &prefix) == NIB_VALID ||
		info->error_offset == NIB_MAX_STREAM_BYTES);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nib_stream_info info, again;
	uint64_t *w = malloc(size ? size : 1);
	uint32_t error;

	require(w);
	memcpy(w, data, size);
	error = validate(w, size, &info);
	if (error == NIB_VALID)
		check_accepted(w, size / 8, &info);
	else
		check_refused(w, size, &info);
	require(validate(w, size, &again) == error);
	require(!memcmp(&info, &again, sizeof(info)));
	free(w);
	return 0;
}

/* libFuzzer's; without it nobody calls the mutator. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/* Start of a random packet, or the end; packets may lie about their length. */
static size_t pick(const uint64_t *w, size_t total, uint64_t *rng)
{
	size_t starts = 0, at, want;

	for (at = 0; at < total; at += packet_words(w + at) ? packet_words(w + at) : 1)
		starts++;
	want = next(rng) % (starts + 1);
	for (at = 0; at < total && want; want--)
		at += packet_words(w + at) ? packet_words(w + at) : 1;
	return at < total ? at : total;
}

static size_t insert(uint64_t *w, size_t total, size_t max, uint64_t *rng)
{
	const union packet *p = &packet_samples[next(rng) % packet_sample_count].p;
	size_t at = pick(w, total, rng), words = packet_words(p->w);

	if (total + words > max)
		return total;
	memmove(w + at + words, w + at, (total - at) * 8);
	memcpy(w + at, p->w, words * 8);
	/* Often with arguments in some of the words that may be. */
	if (next(rng) & 1) {
		uint32_t mask = packet_arg_words(p) & next(rng);

		w[at] |= (uint64_t)mask << 32;
		for (uint32_t i = 1; i <= 32; i++)
			if (mask >> (i - 1) & 1)
				w[at + i] = NIB_ARG(next(rng) % 64, number(rng));
	}
	return total + words;
}

static size_t remove_packet(uint64_t *w, size_t total, uint64_t *rng)
{
	size_t at = pick(w, total, rng), words;

	if (at == total)
		return total;
	words = packet_words(w + at) ? packet_words(w + at) : 1;
	words = words < total - at ? words : total - at;
	memmove(w + at, w + at + words, (total - at - words) * 8);
	return total - words;
}

/* One word, or one half, quarter or bit of it. */
static void change(uint64_t *w, size_t total, uint64_t *rng)
{
	size_t at = pick(w, total, rng);
	uint32_t words = at < total ? packet_words(w + at) : 0, bits, shift;
	uint64_t x = next(rng), mask;

	if (!words)
		return;
	at += (x >> 8) % words;
	if (at >= total)
		return;
	bits = 64 >> (x & 3);
	bits = bits == 8 ? 1 : bits;
	shift = (x >> 16) % (64 / bits) * bits;
	mask = (bits == 64 ? ~0ull : (1ull << bits) - 1) << shift;
	w[at] ^= (bits == 1 ? ~0ull : w[at] ^ number(rng) << shift) & mask;
}

/* Keeps packets whole and END last, which blind mutation hardly does; now and then it is blind. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	uint64_t rng = seed * 0x9e3779b97f4a7c15ull + 1, *w;
	size_t total = size / 8, max = max_size / 8;

	if (next(&rng) % 8 == 0 || max < 2)
		return LLVMFuzzerMutate(data, size, max_size);
	w = malloc(max * 8);
	require(w);
	memcpy(w, data, total * 8);
	if (total && w[total - 1] == end_word)
		total--;
	max--;
	switch (next(&rng) % 8) {
	case 0:
	case 1:
		total = insert(w, total, max, &rng);
		break;
	case 2:
		total = remove_packet(w, total, &rng);
		break;
	default:
		change(w, total, &rng);
		break;
	}
	if (total > max)
		total = max;
	w[total++] = end_word;
	memcpy(data, w, total * 8);
	free(w);
	return total * 8;
}
