/* SPDX-License-Identifier: MIT */
/*
 * A valid packet of every kind, and which of their words may be arguments: written from nib_isa.h,
 * not from the validator, so that tests and fuzzers have something to hold it against.
 */
#ifndef PACKETS_H
#define PACKETS_H

#include <stddef.h>
#include <stdint.h>
#include "nib_isa.h"

enum { PACKET_WORDS = 48 };	/* the longest of them fits */

union packet {
	uint64_t w[PACKET_WORDS];
	struct nib_pkt hdr;
	struct nib_pkt_timestamp timestamp;
	struct nib_pkt_sem sem;
	struct nib_pkt_copy copy;
	struct nib_pkt_fill fill;
	struct nib_pkt_gather gather;
	struct nib_pkt_gather gather_panels;
	struct nib_pkt_kv_append kv_append;
	struct nib_pkt_quant quant;
	struct nib_pkt_gemm gemm;
	struct nib_pkt_gemm_grouped gemm_grouped;
	struct nib_pkt_conv conv;
	struct nib_pkt_conv_depthwise conv_depthwise;
	struct nib_pkt_attention attention;
	struct {
		struct nib_pkt_vec pkt;
		struct nib_vec_operand operand[3];
		struct nib_vec_insn insn[9];
	} vec;
	struct nib_pkt_sample sample;
	struct nib_pkt_scan scan;
};

struct packet_sample {
	const char *name;	/* member of union packet, or "end", "nop" */
	union packet p;
};

extern const struct packet_sample packet_samples[];
extern const size_t packet_sample_count;

/* The sample of that name; aborts where there is none. */
const union packet *packet_sample(const char *name);

/* Words that nib_isa.h marks [arg]: bit i is word i + 1. */
uint32_t packet_arg_words(const union packet *p);

/* Words of a packet that starts at @w; trusts it. */
uint32_t packet_words(const uint64_t *w);

/*
 * Writes all samples and END to @out, which has room for @max words; with @args, every word that may
 * be one is an argument, counted through from 0. Returns the words written.
 */
size_t packet_stream(uint64_t *out, size_t max, int args);

#endif
