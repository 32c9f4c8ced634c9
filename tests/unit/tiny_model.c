// SPDX-License-Identifier: MIT
/* See tiny_model.h. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "accel_stream.h"
#include "nib_program.h"
#include "tiny_model.h"

enum { HEADS = 4, KV_HEADS = 4, HEAD_DIM = 8, DIM = HEADS * HEAD_DIM, ROW = DIM * 4 };

/* Scratch: embeddings, attention output, rows that give logits, the same in BF16. */
enum { X = 0, Y = TINY_ROWS * ROW, Z = Y + TINY_ROWS * ROW, ZB = Z + TINY_OUT_ROWS * ROW,
       SCRATCH = ZB + TINY_OUT_ROWS * DIM * 2 };

#define TABLE_BYTES	(TINY_TABLE * ROW)
#define HEAD_AT		((TABLE_BYTES + 63) / 64 * 64)
#define BIAS_AT		(HEAD_AT + nib_panels_bytes(NIB_FMT_BF16, TINY_VOCAB, DIM))
#define WEIGHTS_BYTES	(BIAS_AT + TINY_VOCAB * 4)
#define ONE		0x3f800000u

static void add_attention(struct accel_builder *b)
{
	struct nib_pkt_attention p = {
		.hdr = { .op = NIB_OP_ATTENTION, .words = 15 },
		.q_pitch = ROW, .out_pitch = ROW, .k_offset = 0, .v_offset = TINY_PAGE_TOKENS * ROW,
		.n_heads = HEADS, .n_kv_heads = KV_HEADS, .head_dim = HEAD_DIM,
		.page_tokens = TINY_PAGE_TOKENS, .k_fmt = NIB_FMT_F32, .v_fmt = NIB_FMT_F32,
		.scale = ONE,
	};

	accel_arg(&p, rows, NIB_BIND_ROWS, 0);
	accel_arg(&p, q, NIB_BIND_SCRATCH, X);
	accel_arg(&p, out, NIB_BIND_SCRATCH, Y);
	accel_arg(&p, row_table, NIB_BIND_ROW_TABLE, 0);
	accel_arg(&p, blocks, NIB_BIND_BLOCKS, 0);
	accel_arg(&p, block_stride, NIB_BIND_BLOCK_STRIDE, 0);
	accel_builder_add(b, &p);
}

static void add_append(struct accel_builder *b, uint64_t offset)
{
	struct nib_pkt_kv_append p = {
		.hdr = { .op = NIB_OP_KV_APPEND, .words = 10 },
		.src_pitch = ROW, .offset = offset, .width = DIM, .fmt = NIB_FMT_F32,
		.page_tokens = TINY_PAGE_TOKENS,
	};

	accel_arg(&p, rows, NIB_BIND_ROWS, 0);
	accel_arg(&p, src, NIB_BIND_SCRATCH, X);
	accel_arg(&p, row_table, NIB_BIND_ROW_TABLE, 0);
	accel_arg(&p, blocks, NIB_BIND_BLOCKS, 0);
	accel_arg(&p, block_stride, NIB_BIND_BLOCK_STRIDE, 0);
	accel_builder_add(b, &p);
}

static void add_gather(struct accel_builder *b, bool out_rows)
{
	struct nib_pkt_gather p = {
		.hdr = {.op = NIB_OP_GATHER, .words = 10},
		.table_rows = out_rows ? TINY_ROWS : TINY_TABLE,
		.table_pitch = ROW,
		.dst_pitch = ROW,
		.width = DIM,
		.fmt = NIB_FMT_F32,
		.alpha = ONE,
	};

	accel_arg(&p, rows, out_rows ? NIB_BIND_OUT_ROWS : NIB_BIND_ROWS, 0);
	accel_arg(&p, index, out_rows ? NIB_BIND_OUT_INDEX : NIB_BIND_TOKENS, 0);
	accel_arg(&p, table, out_rows ? NIB_BIND_SCRATCH : NIB_BIND_WEIGHTS, out_rows ? Y : 0);
	accel_arg(&p, dst, NIB_BIND_SCRATCH, out_rows ? Z : X);
	accel_builder_add(b, &p);
}

static void add_head(struct accel_builder *b)
{
	struct nib_pkt_quant q = {
		.hdr = { .op = NIB_OP_QUANT, .words = 7 },
		.src_pitch = ROW, .dst_pitch = DIM * 2, .width = DIM, .fmt = NIB_FMT_BF16,
	};
	struct nib_pkt_gemm g = {
		.hdr = { .op = NIB_OP_GEMM, .words = 13 },
		.a_pitch = DIM * 2, .out_pitch = TINY_VOCAB * 4, .n = TINY_VOCAB, .k = DIM,
		.a_fmt = NIB_FMT_BF16, .w_fmt = NIB_FMT_BF16, .out_fmt = NIB_FMT_F32, .alpha = ONE,
		.flags = NIB_GEMM_BIAS,
	};
	struct nib_pkt_sample s = {
		.hdr = { .op = NIB_OP_SAMPLE, .words = 7 },
		.logits_pitch = TINY_VOCAB * 4, .n = TINY_VOCAB,
	};

	accel_arg(&q, rows, NIB_BIND_OUT_ROWS, 0);
	accel_arg(&q, src, NIB_BIND_SCRATCH, Z);
	accel_arg(&q, dst, NIB_BIND_SCRATCH, ZB);
	accel_builder_add(b, &q);
	accel_arg(&g, rows, NIB_BIND_OUT_ROWS, 0);
	accel_arg(&g, a, NIB_BIND_SCRATCH, ZB);
	accel_arg(&g, w, NIB_BIND_WEIGHTS, HEAD_AT);
	accel_arg(&g, out, NIB_BIND_LOGITS, 0);
	accel_arg(&g, bias, NIB_BIND_WEIGHTS, BIAS_AT);
	accel_builder_add(b, &g);
	accel_arg(&s, rows, NIB_BIND_SAMPLE_ROWS, 0);
	accel_arg(&s, logits, NIB_BIND_LOGITS, 0);
	accel_arg(&s, params, NIB_BIND_SAMPLE_PARAMS, 0);
	accel_arg(&s, out, NIB_BIND_SAMPLE_OUT, 0);
	accel_builder_add(b, &s);
}

static float noise(uint32_t *rng)
{
	*rng = *rng * 1664525 + 1013904223;
	return (float)(int32_t)*rng * 0x1p-31f;
}

static void fill_weights(uint8_t *w)
{
	uint32_t rng = 7, bits;

	for (uint32_t i = 0; i < TINY_TABLE * DIM; i++) {
		float x = noise(&rng) * 0.8f;

		memcpy(w + i * 4, &x, 4);
	}
	for (uint32_t n = 0; n < TINY_VOCAB; n++) {
		/* Tokens that would fault are never picked. */
		float bias = n < TINY_TABLE ? 0 : -1e30f;

		memcpy(w + BIAS_AT + n * 4, &bias, 4);
		for (uint32_t k = 0; k < DIM; k++) {
			uint8_t *tile = w + HEAD_AT +
					n / NIB_PANEL_N * nib_panel_bytes(NIB_FMT_BF16, DIM) +
					k / NIB_TILE_K * nib_tile_bytes(NIB_FMT_BF16);
			float x = noise(&rng) * 3;
			__u64 byte;

			nib_tile_element(NIB_FMT_BF16, 0, n % NIB_PANEL_N, k % NIB_TILE_K, &byte);
			memcpy(&bits, &x, 4);
			tile[byte] = bits >> 16;
			tile[byte + 1] = bits >> 24;
		}
	}
}

/* Words "0" to "95"; token 2 ends a text. */
static size_t fill_tokenizer(uint8_t *p)
{
	struct nib_program_tokenizer h = {
		.model = NIB_TOKENIZER_SPM, .flags = NIB_TOKENIZER_ADD_BOS, .tokens = TINY_VOCAB,
		.bos = 1, .eos = TINY_EOS, .unknown = 0,
	};
	uint8_t *types = p + sizeof(h) + TINY_VOCAB * 4, *ends = types + TINY_VOCAB;
	char *text = (char *)ends + TINY_VOCAB * 4;

	memset(p, 0, sizeof(h) + TINY_VOCAB * 4);
	for (uint32_t i = 0; i < TINY_VOCAB; i++) {
		types[i] = NIB_TOKEN_NORMAL;
		h.text_bytes += sprintf(text + h.text_bytes, "%u", i);
		memcpy(ends + i * 4, &h.text_bytes, 4);
	}
	memcpy(p, &h, sizeof(h));
	return text + h.text_bytes - (char *)p;
}

static void add_section(uint8_t *file, uint32_t i, uint32_t type, uint64_t *at, uint64_t bytes)
{
	struct nib_program_section *s = (void *)(file + sizeof(struct nib_program_header));

	s[i] = (struct nib_program_section){
		.type = type, .offset = *at, .bytes = bytes,
		.hash = type == NIB_SECTION_WEIGHTS ? 0 : nib_hash(file + *at, bytes),
	};
	*at = (*at + bytes + NIB_PROGRAM_ALIGN - 1) / NIB_PROGRAM_ALIGN * NIB_PROGRAM_ALIGN;
}

static void fill_file(uint8_t *file, const char *chip, const void *stream, size_t stream_bytes,
		      uint64_t *end)
{
	struct nib_program_header *h = (void *)file;
	uint64_t at = NIB_PROGRAM_ALIGN;
	struct nib_program_model *m = (void *)(file + at);
	struct nib_program_binding *b;

	*m = (struct nib_program_model){
		.arch = "tiny",
		.name = "tiny",
		.vocab = TINY_VOCAB,
		.dim = DIM,
		.layers = 1,
		.heads = HEADS,
		.kv_heads = KV_HEADS,
		.head_dim = HEAD_DIM,
		.context = TINY_CONTEXT,
		.max_rows = TINY_ROWS,
		.max_out_rows = TINY_OUT_ROWS,
		.page_tokens = TINY_PAGE_TOKENS,
		.k_fmt = NIB_FMT_F32,
		.v_fmt = NIB_FMT_F32,
		.weight_fmt = NIB_FMT_BF16,
		.act_fmt = NIB_FMT_BF16,
		.head_fmt = NIB_FMT_BF16,
		.page_bytes = 2 * TINY_PAGE_TOKENS * ROW,
		.scratch_bytes = SCRATCH,
		.weights_bytes = WEIGHTS_BYTES,
	};
	add_section(file, 0, NIB_SECTION_MODEL, &at, sizeof(*m));
	memcpy(file + at, stream, stream_bytes);
	add_section(file, 1, NIB_SECTION_STREAM, &at, stream_bytes);
	b = (void *)(file + at);
	for (uint32_t i = 0; i < NIB_BIND_COUNT; i++)
		b[i] = (struct nib_program_binding){ .arg = i, .bind = i };
	add_section(file, 2, NIB_SECTION_BINDINGS, &at, NIB_BIND_COUNT * sizeof(*b));
	add_section(file, 3, NIB_SECTION_TOKENIZER, &at, fill_tokenizer(file + at));
	fill_weights(file + at);
	add_section(file, 4, NIB_SECTION_WEIGHTS, &at, m->weights_bytes);
	*h = (struct nib_program_header){
		.magic = NIB_PROGRAM_MAGIC, .major = NIB_PROGRAM_MAJOR, .minor = NIB_PROGRAM_MINOR,
		.isa = NIB_ISA_MAJOR << 16 | NIB_ISA_MINOR, .sections = 5, .file_bytes = at,
	};
	snprintf(h->chip, sizeof(h->chip), "%s", chip);
	h->sections_hash = nib_hash(h + 1, 5 * sizeof(struct nib_program_section));
	*end = at;
}

void *tiny_model(const char *chip, size_t *bytes)
{
	uint8_t *file = calloc(1, 128 << 10);
	struct accel_builder *b;
	const uint64_t *stream;
	size_t stream_bytes;
	uint32_t nargs;

	if (!file || accel_builder_create(&b))
		return NULL;
	add_gather(b, false);
	add_append(b, 0);
	add_append(b, TINY_PAGE_TOKENS * ROW);
	add_attention(b);
	add_gather(b, true);
	add_head(b);
	if (accel_builder_finish(b, &stream, &stream_bytes, &nargs)) {
		fprintf(stderr, "tiny model: %s\n", accel_builder_error(b));
		abort();
	}
	fill_file(file, chip, stream, stream_bytes, bytes);
	accel_builder_destroy(b);
	return file;
}
