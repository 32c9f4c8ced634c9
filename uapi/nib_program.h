/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * Program file: what the compiler writes and the library loads. Little-endian; every section
 * starts at a multiple of NIB_PROGRAM_ALIGN, so that weights can be mapped.
 *
 *	struct nib_program_header
 *	struct nib_program_section[header.sections]
 *	sections
 *
 * A reader trusts nothing: sizes are checked against the file, counts against sizes, hashes against
 * contents (weights excepted: they are data, not structure, and may be many gigabytes).
 */
#ifndef NIB_PROGRAM_H
#define NIB_PROGRAM_H

#include <linux/types.h>
#include "nib_format.h"

#define NIB_PROGRAM_MAGIC	0x00474f525042494eull	/* "NIBPROG" */
#define NIB_PROGRAM_MAJOR	1u
#define NIB_PROGRAM_MINOR	0u
#define NIB_PROGRAM_ALIGN	4096u
#define NIB_PROGRAM_MAX_SECTIONS 64u

/**
 * struct nib_program_header - head of the file.
 * @magic: NIB_PROGRAM_MAGIC.
 * @major: readers refuse another one.
 * @minor: grows with additions that old readers may ignore.
 * @isa: stream ISA of the streams, major << 16 | minor.
 * @sections: how many section records follow.
 * @file_bytes: of the whole file.
 * @chip: name of the chip that memory plan and tiling were made for, zero terminated.
 * @hbm_bytes: least HBM needed for weights and scratch, without K/V.
 * @sections_hash: FNV-1a of the section records.
 * @zero: must be 0.
 */
struct nib_program_header {
	__u64 magic;
	__u16 major;
	__u16 minor;
	__u32 isa;
	__u32 sections;
	__u32 zero0;
	__u64 file_bytes;
	char chip[32];
	__u64 hbm_bytes;
	__u64 sections_hash;
	__u64 zero[6];
};
NIB_STATIC_ASSERT(sizeof(struct nib_program_header) == 128, "program header");

enum nib_program_section_type {
	NIB_SECTION_MODEL = 1,		/* struct nib_program_model */
	NIB_SECTION_WEIGHTS = 2,	/* what NIB_BIND_WEIGHTS points to */
	NIB_SECTION_STREAM = 3,		/* a stream; id tells them apart, see enum nib_stream_role */
	NIB_SECTION_BINDINGS = 4,	/* array of struct nib_program_binding */
	NIB_SECTION_TOKENIZER = 5,	/* struct nib_program_tokenizer and its arrays */
	NIB_SECTION_NAMES = 6,		/* array of struct nib_program_name */
	NIB_SECTION_INFO = 7,		/* text, "key: value" lines: origin, options, summary */
};

/**
 * struct nib_program_section - one section.
 * @type: enum nib_program_section_type; readers skip what they do not know.
 * @id: tells sections of a type apart.
 * @offset: from the start of the file.
 * @bytes: length.
 * @hash: FNV-1a, 64 bit, of the contents; 0 for weights.
 */
struct nib_program_section {
	__u32 type;
	__u32 id;
	__u64 offset;
	__u64 bytes;
	__u64 hash;
};
NIB_STATIC_ASSERT(sizeof(struct nib_program_section) == 32, "section record");

/* 64-bit FNV-1a, the hash of this file format. */
static inline __u64 nib_hash(const void *data, __u64 bytes)
{
	const __u8 *p = (const __u8 *)data;
	__u64 h = 0xcbf29ce484222325ull, i;

	for (i = 0; i < bytes; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

/* Which stream a STREAM section is. */
enum nib_stream_role {
	NIB_STREAM_STEP = 0,	/* one step of a language model: prefill and decode alike */
};

/**
 * enum nib_bind - what an argument of a stream means.
 *
 * @NIB_BIND_WEIGHTS: address of the weights, 64-byte aligned.
 * @NIB_BIND_SCRATCH: address of model.scratch_bytes of scratch, 64-byte aligned.
 * @NIB_BIND_ROWS: count: tokens of this step, 0..model.max_rows.
 * @NIB_BIND_TOKENS: address of __u32 token ids [rows].
 * @NIB_BIND_ROW_TABLE: address of struct nib_kv_row [rows].
 * @NIB_BIND_BLOCKS: address of the block tables, __u64 page addresses.
 * @NIB_BIND_BLOCK_STRIDE: count: entries of one sequence's table.
 * @NIB_BIND_OUT_ROWS: count: rows that give logits, 0..model.max_out_rows.
 * @NIB_BIND_OUT_INDEX: address of __u32 row numbers [out rows].
 * @NIB_BIND_LOGITS: address of FP32 logits [out rows][vocab].
 * @NIB_BIND_SAMPLE_ROWS: count: rows of logits to sample, 0..out rows.
 * @NIB_BIND_SAMPLE_PARAMS: address of struct nib_sample_params [sample rows].
 * @NIB_BIND_SAMPLE_OUT: address of __u32 tokens [sample rows].
 */
enum nib_bind {
	NIB_BIND_WEIGHTS = 0,
	NIB_BIND_SCRATCH = 1,
	NIB_BIND_ROWS = 2,
	NIB_BIND_TOKENS = 3,
	NIB_BIND_ROW_TABLE = 4,
	NIB_BIND_BLOCKS = 5,
	NIB_BIND_BLOCK_STRIDE = 6,
	NIB_BIND_OUT_ROWS = 7,
	NIB_BIND_OUT_INDEX = 8,
	NIB_BIND_LOGITS = 9,
	NIB_BIND_SAMPLE_ROWS = 10,
	NIB_BIND_SAMPLE_PARAMS = 11,
	NIB_BIND_SAMPLE_OUT = 12,
	NIB_BIND_COUNT
};

/**
 * struct nib_program_binding - argument of a stream.
 * @stream: enum nib_stream_role.
 * @arg: argument number, below NIB_MAX_ARGS.
 * @bind: enum nib_bind.
 * @zero: must be 0.
 */
struct nib_program_binding {
	__u32 stream;
	__u32 arg;
	__u32 bind;
	__u32 zero;
};
NIB_STATIC_ASSERT(sizeof(struct nib_program_binding) == 16, "binding");

/**
 * struct nib_program_model - a language model.
 * @arch: zero terminated, as in GGUF: "llama".
 * @name: zero terminated.
 * @vocab: tokens.
 * @dim: width of the residual stream.
 * @layers: transformer blocks.
 * @heads: query heads.
 * @kv_heads: key/value heads.
 * @head_dim: elements of a head.
 * @ffn: width of the feed-forward layer.
 * @context: positions the model was trained for; the most a sequence may have.
 * @max_rows: most tokens of one step.
 * @max_out_rows: most rows of logits of one step.
 * @page_tokens: positions in a K/V page.
 * @k_fmt: enum nib_format of keys.
 * @v_fmt: enum nib_format of values.
 * @weight_fmt: enum nib_format of the linear layers (most of them).
 * @act_fmt: enum nib_format of activations.
 * @head_fmt: enum nib_format of the output head.
 * @page_bytes: bytes of a K/V page: all layers, keys and values.
 * @scratch_bytes: see NIB_BIND_SCRATCH.
 * @weights_bytes: length of the weights section.
 * @params: parameters of the model.
 * @zero: must be 0.
 */
struct nib_program_model {
	char arch[32];
	char name[64];
	__u32 vocab;
	__u32 dim;
	__u32 layers;
	__u32 heads;
	__u32 kv_heads;
	__u32 head_dim;
	__u32 ffn;
	__u32 context;
	__u32 max_rows;
	__u32 max_out_rows;
	__u32 page_tokens;
	__u32 k_fmt;
	__u32 v_fmt;
	__u32 weight_fmt;
	__u32 act_fmt;
	__u32 head_fmt;
	__u64 page_bytes;
	__u64 scratch_bytes;
	__u64 weights_bytes;
	__u64 params;
	__u64 zero[8];
};
NIB_STATIC_ASSERT(sizeof(struct nib_program_model) == 256, "model section");

enum nib_tokenizer_model {
	NIB_TOKENIZER_SPM = 1,	/* SentencePiece-style: merges by score, byte fallback */
	NIB_TOKENIZER_BPE = 2,	/* byte-level BPE: merges by rank, pre-tokenizer by name */
};

enum nib_token_type {	/* as in GGUF */
	NIB_TOKEN_NORMAL = 1,
	NIB_TOKEN_UNKNOWN = 2,
	NIB_TOKEN_CONTROL = 3,
	NIB_TOKEN_USER = 4,
	NIB_TOKEN_UNUSED = 5,
	NIB_TOKEN_BYTE = 6,
};

#define NIB_TOKENIZER_ADD_BOS		(1u << 0)
#define NIB_TOKENIZER_ADD_SPACE_PREFIX	(1u << 1)
#define NIB_TOKENIZER_ADD_EOS		(1u << 2)
#define NIB_TOKEN_NONE			0xffffffffu

/**
 * struct nib_program_tokenizer - head of the tokenizer section. Behind it, each array padded to 8
 * bytes: FP32 scores[tokens]; __u8 types[tokens]; __u32 ends[tokens] (end of each token's text in
 * the text blob); struct nib_program_merge merges[merges] in rank order; the text blob. Text is in
 * the vocabulary's own spelling (U+2581 for a space, byte-level BPE letters, <0x0A>).
 * @model: enum nib_tokenizer_model.
 * @flags: NIB_TOKENIZER_*.
 * @tokens: tokens.
 * @merges: merges; 0 for SPM.
 * @bos: token, or NIB_TOKEN_NONE.
 * @eos: token, or NIB_TOKEN_NONE.
 * @unknown: token, or NIB_TOKEN_NONE.
 * @text_bytes: length of the text blob.
 * @pre: name of the pre-tokenizer as in GGUF, zero terminated; empty for SPM.
 */
struct nib_program_tokenizer {
	__u32 model;
	__u32 flags;
	__u32 tokens;
	__u32 merges;
	__u32 bos;
	__u32 eos;
	__u32 unknown;
	__u32 text_bytes;
	char pre[32];
};
NIB_STATIC_ASSERT(sizeof(struct nib_program_tokenizer) == 64, "tokenizer head");

struct nib_program_merge {
	__u32 left;
	__u32 right;
	__u32 merged;
	__u32 zero;
};
NIB_STATIC_ASSERT(sizeof(struct nib_program_merge) == 16, "merge");

/**
 * struct nib_program_name - what a packet is, for people.
 * @stream: enum nib_stream_role.
 * @packet: index in the stream.
 * @name: like "blk.3.attn_q", zero terminated.
 */
struct nib_program_name {
	__u32 stream;
	__u32 packet;
	char name[56];
};
NIB_STATIC_ASSERT(sizeof(struct nib_program_name) == 64, "packet name");

#endif
