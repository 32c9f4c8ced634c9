// SPDX-License-Identifier: MIT
/*
 * What each packet leaves in memory, against the scalar kernels on plain arrays. Every test runs
 * with every kernel table of this machine and once for each way to lay out memory: contiguous,
 * scattered, and scattered over all memories; what a packet computes must not depend on it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "scattered.h"
#include "nib_validate.h"

#define ONE	0x3f800000u

/* --- DMA --- */

START_TEST(copy_moves_blocks)
{
	enum { N0 = 1500, N1 = 5, N2 = 3 };
	uint32_t *src = room(N2 * 40000), *expected = room(N2 * 36000);
	struct nib_pkt_copy p = {
		.hdr = STREAM_HDR(NIB_OP_COPY, struct nib_pkt_copy),
		.n0 = N0, .n1 = N1, .n2 = N2,
		.src_pitch1 = 8000, .src_pitch2 = 40000,
		.dst_pitch1 = 7000, .dst_pitch2 = 36000,
		.src_fmt = NIB_FMT_U32, .dst_fmt = NIB_FMT_U32,
	};

	lay_out(_i);
	for (unsigned int i = 0; i < N2 * 10000; i++)
		src[i] = rnd();
	p.src = put(src, N2 * 40000, 4);
	p.dst = put(expected, N2 * 36000, 4);
	RUN(p);
	for (unsigned int i = 0; i < N2; i++)
		for (unsigned int j = 0; j < N1; j++)
			memcpy(expected + i * 9000 + j * 1750, src + i * 10000 + j * 2000, N0 * 4);
	same(p.dst, expected, N2 * 36000, "copy");
	/* Broadcast. */
	p.src_pitch1 = 0;
	p.src_pitch2 = 0;
	RUN(p);
	for (unsigned int i = 0; i < N2 * N1; i++)
		memcpy(expected + i / N1 * 9000 + i % N1 * 1750, src, N0 * 4);
	same(p.dst, expected, N2 * 36000, "broadcast");
	free(src);
	free(expected);
}
END_TEST

START_TEST(copy_converts)
{
	static const uint32_t formats[] = {
		NIB_FMT_F32, NIB_FMT_BF16, NIB_FMT_F16, NIB_FMT_E4M3, NIB_FMT_E5M2,
	};
	enum { N = 5000 };
	float *x = floats(N, 1000);

	lay_out(_i);
	for (unsigned int from = 0; from < 5; from++) {
		for (unsigned int to = 0; to < 5; to++) {
			uint64_t in_bytes = N * nib_format_bits(formats[from]) / 8;
			uint64_t out_bytes = N * nib_format_bits(formats[to]) / 8;
			void *in = room(in_bytes), *out = room(out_bytes);
			struct nib_pkt_copy p = {
				.hdr = STREAM_HDR(NIB_OP_COPY, struct nib_pkt_copy),
				.n0 = N, .n1 = 1, .n2 = 1,
				.src_fmt = formats[from], .dst_fmt = formats[to],
			};

			k->convert(formats[from], in, NIB_FMT_F32, x, N);
			k->convert(formats[to], out, formats[from], in, N);
			p.src = put(in, in_bytes, 4);
			p.dst = place(out_bytes, 4);
			RUN(p);
			same(p.dst, out, out_bytes, "conversion");
			free(in);
			free(out);
		}
	}
	free(x);
}
END_TEST

START_TEST(gather_rows)
{
	enum { ROWS = 7, TABLE = 20, WIDTH = 1504, PITCH = 6144 };
	static const uint32_t formats[] = {
		NIB_FMT_F32, NIB_FMT_F16, NIB_FMT_BF16, NIB_FMT_MXFP4, NIB_FMT_NVFP4,
		NIB_FMT_MXFP8X2,
	};
	uint32_t index[ROWS] = { 3, 19, 0, 3, 7, 12, 1 };
	float *x = floats(WIDTH, 3), *expected = room(WIDTH * 4);
	uint8_t *table = room(TABLE * PITCH);

	lay_out(_i);
	for (unsigned int f = 0; f < 6; f++) {
		struct nib_pkt_gather p = {
			.hdr = STREAM_HDR(NIB_OP_GATHER, struct nib_pkt_gather),
			.rows = ROWS, .table_rows = TABLE, .table_pitch = PITCH,
			.dst_pitch = WIDTH * 4 + 8, .width = WIDTH, .fmt = (uint16_t)formats[f],
			.layout = NIB_LAYOUT_ROWS, .alpha = 0x40000000,
		};

		for (unsigned int r = 0; r < TABLE; r++) {
			for (unsigned int i = 0; i < WIDTH; i++)
				x[i] = uniform() * 4;
			if (nib_format_is_kv(formats[f]))
				k->row_encode(formats[f], NIB_SCALE_CEIL, x, WIDTH,
					      table + r * PITCH);
			else
				k->convert(formats[f], table + r * PITCH, NIB_FMT_F32, x, WIDTH);
		}
		next_va = VA;
		p.index = put(index, sizeof(index), 4);
		p.table = put(table, TABLE * PITCH, 16);
		p.dst = place(ROWS * p.dst_pitch, 4);
		RUN(p);
		for (unsigned int r = 0; r < ROWS; r++) {
			k->row_decode(formats[f], table + index[r] * PITCH, WIDTH, 0, WIDTH,
				      expected);
			for (unsigned int i = 0; i < WIDTH; i++)
				expected[i] *= 2;
			same(p.dst + r * p.dst_pitch, expected, WIDTH * 4, "row");
		}
		p.table_rows = 19;
		FAULT(p, NIB_DONE_FAULT_INDEX, p.index + 4);
	}
	free(x);
	free(expected);
	free(table);
}
END_TEST

START_TEST(gather_panels)
{
	enum { ROWS = 5, N = 150, K = 520 };
	static const uint32_t formats[] = {
		NIB_FMT_BF16, NIB_FMT_MXFP4, NIB_FMT_NVFP4, NIB_FMT_MXFP8, NIB_FMT_MXFP8X2,
	};
	uint32_t index[ROWS] = { 149, 0, 63, 64, 100 };
	float *expected = room(K * 4);

	lay_out(_i);
	for (unsigned int f = 0; f < 5; f++) {
		uint8_t *w = panels(formats[f], N, K);
		struct nib_pkt_gather p = {
			.hdr = STREAM_HDR(NIB_OP_GATHER, struct nib_pkt_gather),
			.rows = ROWS, .table_rows = N, .dst_pitch = K * 4, .width = K,
			.fmt = (uint16_t)formats[f], .layout = NIB_LAYOUT_PANELS,
			.alpha = 0x3f000000,
		};

		next_va = VA;
		p.index = put(index, sizeof(index), 4);
		p.table = put(w, nib_panels_bytes(formats[f], N, K), 64);
		p.dst = place(ROWS * K * 4, 4);
		RUN(p);
		for (unsigned int r = 0; r < ROWS; r++) {
			k->panel_decode(formats[f],
					w + index[r] / 64 * nib_panel_bytes(formats[f], K), K,
					index[r] % 64, 0.5f, expected);
			same(p.dst + r * K * 4, expected, K * 4, "panel row");
		}
		free(w);
	}
	free(expected);
}
END_TEST

START_TEST(quant_encodes_rows)
{
	enum { ROWS = 6, WIDTH = 1000 };
	static const uint32_t formats[] = {
		NIB_FMT_BF16, NIB_FMT_E4M3, NIB_FMT_E5M2, NIB_FMT_MXFP4, NIB_FMT_NVFP4,
		NIB_FMT_MXFP8, NIB_FMT_MXFP8_E5M2, NIB_FMT_MXFP8X2,
	};
	float *x = floats(ROWS * WIDTH, 5);

	lay_out(_i);
	for (unsigned int f = 0; f < 8; f++) {
		uint64_t bytes = nib_row_bytes(formats[f], WIDTH);
		uint8_t *expected = room(bytes);
		struct nib_pkt_quant p = {
			.hdr = STREAM_HDR(NIB_OP_QUANT, struct nib_pkt_quant),
			.rows = ROWS, .src_pitch = WIDTH * 4, .dst_pitch = bytes + 16,
			.width = WIDTH, .fmt = (uint16_t)formats[f], .rule = (uint16_t)(f % 3),
		};

		next_va = VA;
		p.src = put(x, ROWS * WIDTH * 4, 4);
		p.dst = place(ROWS * p.dst_pitch, 16);
		RUN(p);
		for (unsigned int r = 0; r < ROWS; r++) {
			k->row_encode(formats[f], f % 3, x + r * WIDTH, WIDTH, expected);
			same(p.dst + r * p.dst_pitch, expected, bytes, "encoded row");
		}
		free(expected);
	}
	free(x);
}
END_TEST

/* --- GEMM --- */

START_TEST(gemm_computes)
{
	enum { ROWS = 9, N = 200, K = 300 };
	static const struct {
		uint16_t a, w;
	} pairs[] = {
		{ NIB_FMT_MXFP8, NIB_FMT_MXFP4 }, { NIB_FMT_MXFP4, NIB_FMT_MXFP4 },
		{ NIB_FMT_NVFP4, NIB_FMT_NVFP4 }, { NIB_FMT_MXFP8X2, NIB_FMT_MXFP8 },
		{ NIB_FMT_BF16, NIB_FMT_BF16 }, { NIB_FMT_BF16, NIB_FMT_MXFP4 },
	};
	float *x = floats(ROWS * K, 2), *bias = floats(N, 1), *residual = floats(ROWS * N, 1);

	lay_out(_i);
	for (unsigned int f = 0; f < 6; f++) {
		uint64_t row = nib_row_bytes(pairs[f].a, K);
		uint32_t out_fmt = f % 2 ? NIB_FMT_BF16 : NIB_FMT_F32;
		uint64_t size = nib_format_bits(out_fmt) / 8;
		uint8_t *a = room(ROWS * row), *expected = room(ROWS * N * 4);
		uint8_t *w = panels(pairs[f].w, N, K);
		struct nib_pkt_gemm p = {
			.hdr = STREAM_HDR(NIB_OP_GEMM, struct nib_pkt_gemm),
			.rows = ROWS, .a_pitch = row + 16, .out_pitch = N * size + 8,
			.residual_pitch = N * 4 + 12, .n = N, .k = K, .a_fmt = pairs[f].a,
			.w_fmt = pairs[f].w, .out_fmt = (uint16_t)out_fmt,
			.activation = NIB_ACT_SILU, .alpha = 0x3e800000,
			.flags = NIB_GEMM_BIAS | NIB_GEMM_RESIDUAL,
		};
		struct nib_gemm_job job = {
			.a = a, .w = w, .out = expected, .bias = bias,
			.residual = (const uint8_t *)residual, .a_pitch = row,
			.out_pitch = N * size, .residual_pitch = N * 4, .rows = ROWS, .n = N,
			.k = K, .a_fmt = pairs[f].a, .w_fmt = pairs[f].w,
			.out_fmt = (uint16_t)out_fmt, .activation = NIB_ACT_SILU, .alpha = 0.25f,
		};

		next_va = VA;
		p.a = place(ROWS * p.a_pitch, 16);
		p.residual = place(ROWS * p.residual_pitch, 4);
		for (unsigned int r = 0; r < ROWS; r++) {
			k->row_encode(pairs[f].a, NIB_SCALE_CEIL, x + r * K, K, a + r * row);
			move(p.a + r * p.a_pitch, a + r * row, row, true);
			move(p.residual + r * p.residual_pitch, residual + r * N, N * 4, true);
		}
		p.w = put(w, nib_panels_bytes(pairs[f].w, N, K), 64);
		p.bias = put(bias, N * 4, 4);
		p.out = place(ROWS * p.out_pitch, 4);
		k->gemm(&job);
		RUN(p);
		for (unsigned int r = 0; r < ROWS; r++)
			same(p.out + r * p.out_pitch, expected + r * N * size, N * size, "gemm");
		free(a);
		free(w);
		free(expected);
	}
	free(x);
	free(bias);
	free(residual);
}
END_TEST

START_TEST(gemm_adds_to_its_residual_in_place)
{
	enum { ROWS = 3, N = 130, K = 64 };
	float *x = floats(ROWS * K, 2), *residual = floats(ROWS * N, 1);
	uint64_t row = nib_row_bytes(NIB_FMT_MXFP8, K);
	uint8_t *a = room(ROWS * row), *w = panels(NIB_FMT_MXFP4, N, K);
	float *expected = room(ROWS * N * 4);
	struct nib_pkt_gemm p = {
		.hdr = STREAM_HDR(NIB_OP_GEMM, struct nib_pkt_gemm),
		.rows = ROWS, .a_pitch = row, .out_pitch = N * 4, .residual_pitch = N * 4, .n = N,
		.k = K, .a_fmt = NIB_FMT_MXFP8, .w_fmt = NIB_FMT_MXFP4, .out_fmt = NIB_FMT_F32,
		.alpha = ONE, .flags = NIB_GEMM_RESIDUAL,
	};
	struct nib_gemm_job job = {
		.a = a, .w = w, .out = (uint8_t *)expected, .residual = (uint8_t *)residual,
		.a_pitch = row, .out_pitch = N * 4, .residual_pitch = N * 4, .rows = ROWS, .n = N,
		.k = K, .a_fmt = NIB_FMT_MXFP8, .w_fmt = NIB_FMT_MXFP4, .out_fmt = NIB_FMT_F32,
		.alpha = 1,
	};

	lay_out(_i);
	for (unsigned int r = 0; r < ROWS; r++)
		k->row_encode(NIB_FMT_MXFP8, NIB_SCALE_CEIL, x + r * K, K, a + r * row);
	k->gemm(&job);
	p.a = put(a, ROWS * row, 16);
	p.w = put(w, nib_panels_bytes(NIB_FMT_MXFP4, N, K), 64);
	p.out = put(residual, ROWS * N * 4, 4);
	p.residual = p.out;
	RUN(p);
	same(p.out, expected, ROWS * N * 4, "residual");
	free(x);
	free(residual);
	free(a);
	free(w);
	free(expected);
}
END_TEST

/* --- K/V --- */

enum { HEADS = 4, KV = 2, DIM = 32, TOKENS = 16, STRIDE = 40, SEQS = 2, CONTEXT = 600 };
enum { WIDTH = KV * DIM };

struct kv {
	uint64_t page[SEQS][STRIDE];
	uint64_t blocks;
	uint64_t k_offset, v_offset, row;
	uint8_t *k_data, *v_data;	/* rows of sequence 0, then 1 */
};

/* Fills two sequences by KV_APPEND packets and keeps what must be in the pages. */
static void kv_fill(struct kv *kv, uint32_t fmt)
{
	struct nib_kv_row *rows = room(SEQS * CONTEXT * sizeof(*rows));
	float *x = floats(SEQS * CONTEXT * WIDTH, 1);
	struct nib_pkt_kv_append p = {
		.hdr = STREAM_HDR(NIB_OP_KV_APPEND, struct nib_pkt_kv_append),
		.rows = SEQS * CONTEXT, .src_pitch = WIDTH * 4, .block_stride = STRIDE,
		.width = WIDTH, .fmt = (uint16_t)fmt, .rule = NIB_SCALE_CEIL,
		.page_tokens = TOKENS,
	};

	kv->row = nib_row_bytes(fmt, WIDTH);
	kv->k_offset = 64;
	kv->v_offset = 64 + TOKENS * kv->row;
	kv->k_data = room(SEQS * CONTEXT * kv->row);
	kv->v_data = room(SEQS * CONTEXT * kv->row);
	for (unsigned int s = 0; s < SEQS; s++)
		for (unsigned int i = 0; i < STRIDE; i++)
			kv->page[s][i] = place(kv->v_offset + TOKENS * kv->row, 16);
	kv->blocks = put(kv->page, sizeof(kv->page), 8);
	for (unsigned int i = 0; i < SEQS * CONTEXT; i++)
		rows[i] = (struct nib_kv_row){ .seq = i % SEQS, .pos = i / SEQS };
	p.row_table = put(rows, SEQS * CONTEXT * sizeof(*rows), 8);
	p.blocks = kv->blocks;
	for (unsigned int v = 0; v < 2; v++) {
		for (unsigned int i = 0; i < SEQS * CONTEXT * WIDTH; i++)
			x[i] = uniform();
		for (unsigned int i = 0; i < SEQS * CONTEXT; i++)
			k->row_encode(fmt, NIB_SCALE_CEIL, x + i * WIDTH, WIDTH,
				      (v ? kv->v_data : kv->k_data) +
				      (i % SEQS * CONTEXT + i / SEQS) * kv->row);
		p.src = put(x, SEQS * CONTEXT * WIDTH * 4, 4);
		p.offset = v ? kv->v_offset : kv->k_offset;
		RUN(p);
	}
	free(rows);
	free(x);
}

START_TEST(kv_append_stores_rows)
{
	struct kv kv;

	lay_out(_i);
	kv_fill(&kv, NIB_FMT_MXFP8);
	for (unsigned int s = 0; s < SEQS; s++)
		for (unsigned int pos = 0; pos < CONTEXT; pos += 7) {
			uint64_t va = kv.page[s][pos / TOKENS] + pos % TOKENS * kv.row;

			same(va + kv.k_offset, kv.k_data + (s * CONTEXT + pos) * kv.row, kv.row,
			     "K");
			same(va + kv.v_offset, kv.v_data + (s * CONTEXT + pos) * kv.row, kv.row,
			     "V");
		}
	free(kv.k_data);
	free(kv.v_data);
}
END_TEST

static void attention_expect(const struct kv *kv, uint32_t fmt, const float *q, float *out,
			     uint32_t seq, uint32_t first, uint32_t last, const float *sinks,
			     float softcap)
{
	const uint8_t *k_rows[CONTEXT], *v_rows[CONTEXT];
	float *scratch = room(nib_attention_scratch(DIM) * 4);
	struct nib_attention_job job = {
		.q = q, .out = out, .k_rows = k_rows, .v_rows = v_rows, .sinks = sinks,
		.first = first, .last = last, .n_heads = HEADS, .n_kv_heads = KV, .head_dim = DIM,
		.k_fmt = (uint16_t)fmt, .v_fmt = (uint16_t)fmt, .scale = 0.25f,
		.softcap = softcap,
	};

	for (uint32_t i = first; i <= last; i++) {
		k_rows[i - first] = kv->k_data + (seq * CONTEXT + i) * kv->row;
		v_rows[i - first] = kv->v_data + (seq * CONTEXT + i) * kv->row;
	}
	k->attention(&job, scratch);
	free(scratch);
}

static const struct {
	uint32_t fmt, window;
	bool sinks;
	float softcap;
} attentions[] = {
	{ NIB_FMT_BF16, 0, false, 0 }, { NIB_FMT_MXFP8, 100, true, 0 },
	{ NIB_FMT_MXFP4, 0, true, 30 }, { NIB_FMT_F32, 300, false, 5 },
};

START_TEST(attention_sees_pages)
{
	enum { ROWS = 43 };
	const int which = _i / LAYOUTS;
	const uint32_t window = attentions[which].window;
	float *q = floats(ROWS * HEADS * DIM, 2), sinks[HEADS] = { 0.5f, -1, 2, 0 };
	float expected[HEADS * DIM];
	struct nib_kv_row rows[ROWS];
	struct kv kv;
	union {
		float f;
		uint32_t u;
	} softcap = { .f = attentions[which].softcap };
	struct nib_pkt_attention p = {
		.hdr = STREAM_HDR(NIB_OP_ATTENTION, struct nib_pkt_attention),
		.rows = ROWS, .q_pitch = HEADS * DIM * 4, .out_pitch = HEADS * DIM * 4 + 64,
		.block_stride = STRIDE, .n_heads = HEADS, .n_kv_heads = KV, .head_dim = DIM,
		.page_tokens = TOKENS, .scale = 0x3e800000, .window = window,
	};

	lay_out(_i % LAYOUTS);
	kv_fill(&kv, attentions[which].fmt);
	/* A prefill of 40 rows, then decode rows here and there. */
	for (uint32_t i = 0; i < ROWS; i++)
		rows[i] = i < 40 ? (struct nib_kv_row){ .seq = 1, .pos = 500 + i } :
			  (struct nib_kv_row){ .seq = i % 2, .pos = i * 14 % CONTEXT };
	p.k_fmt = (uint16_t)attentions[which].fmt;
	p.v_fmt = p.k_fmt;
	p.softcap = softcap.u;
	p.k_offset = kv.k_offset;
	p.v_offset = kv.v_offset;
	p.q = put(q, ROWS * HEADS * DIM * 4, 4);
	p.out = place(ROWS * p.out_pitch, 4);
	p.row_table = put(rows, sizeof(rows), 8);
	p.blocks = kv.blocks;
	if (attentions[which].sinks)
		p.sinks = put(sinks, sizeof(sinks), 4);
	RUN(p);
	for (uint32_t i = 0; i < ROWS; i++) {
		uint32_t last = rows[i].pos;
		uint32_t first = window && last >= window ? last + 1 - window : 0;

		attention_expect(&kv, attentions[which].fmt, q + i * HEADS * DIM, expected,
				 rows[i].seq, first, last, p.sinks ? sinks : NULL,
				 attentions[which].softcap);
		same(p.out + i * p.out_pitch, expected, sizeof(expected), "attention");
	}
	free(q);
	free(kv.k_data);
	free(kv.v_data);
}
END_TEST

START_TEST(kv_faults_name_their_cause)
{
	struct nib_kv_row row = { .seq = 0, .pos = STRIDE * TOKENS };
	float q[HEADS * DIM] = { 0 };
	struct kv kv;
	uint64_t table;
	struct nib_pkt_kv_append append = {
		.hdr = STREAM_HDR(NIB_OP_KV_APPEND, struct nib_pkt_kv_append),
		.rows = 1, .src_pitch = WIDTH * 4, .block_stride = STRIDE, .width = WIDTH,
		.fmt = NIB_FMT_MXFP8, .page_tokens = TOKENS,
	};
	struct nib_pkt_attention attention = {
		.hdr = STREAM_HDR(NIB_OP_ATTENTION, struct nib_pkt_attention),
		.rows = 1, .q_pitch = HEADS * DIM * 4, .out_pitch = HEADS * DIM * 4,
		.block_stride = STRIDE, .n_heads = HEADS, .n_kv_heads = KV, .head_dim = DIM,
		.page_tokens = TOKENS, .k_fmt = NIB_FMT_MXFP8, .v_fmt = NIB_FMT_MXFP8,
		.scale = ONE,
	};

	lay_out(_i);
	kv_fill(&kv, NIB_FMT_MXFP8);
	append.src = put(q, sizeof(q), 4);
	attention.q = append.src;
	attention.out = place(sizeof(q), 4);
	attention.k_offset = kv.k_offset;
	attention.v_offset = kv.v_offset;
	append.row_table = attention.row_table = put(&row, sizeof(row), 8);
	append.blocks = attention.blocks = kv.blocks;
	/* A position past the block table. */
	FAULT(append, NIB_DONE_FAULT_INDEX, append.row_table + 4);
	FAULT(attention, NIB_DONE_FAULT_INDEX, append.row_table + 4);
	row.pos = ~0u;
	move(append.row_table, &row, sizeof(row), true);
	FAULT(append, NIB_DONE_FAULT_INDEX, append.row_table + 4);
	FAULT(attention, NIB_DONE_FAULT_INDEX, append.row_table + 4);
	/* A page that is not mapped, one that is not aligned, one at the end of the world. */
	row.pos = 3 * TOKENS + 2;
	move(append.row_table, &row, sizeof(row), true);
	table = kv.blocks + 3 * 8;
	move(table, &(uint64_t){ 0x1000 }, 8, true);
	FAULT(append, NIB_DONE_FAULT_WRITE, 0x1000 + 2 * kv.row);
	FAULT(attention, NIB_DONE_FAULT_READ, 0x1000 + kv.k_offset);
	move(table, &(uint64_t){ kv.page[0][3] + 8 }, 8, true);
	FAULT(append, NIB_DONE_FAULT_ALIGN, kv.page[0][3] + 8 + 2 * kv.row);
	FAULT(attention, NIB_DONE_FAULT_ALIGN, kv.page[0][3] + 8 + kv.k_offset);
	move(table, &(uint64_t){ ~15ull }, 8, true);
	append.offset = 1u << 20;
	FAULT(append, NIB_DONE_FAULT_ALIGN, ~0ull);
	/* A sequence whose block table is nowhere. */
	row = (struct nib_kv_row){ .seq = ~0u, .pos = 0 };
	move(append.row_table, &row, sizeof(row), true);
	FAULT(append, NIB_DONE_FAULT_READ, kv.blocks + 0xffffffffull * STRIDE * 8);
	FAULT(attention, NIB_DONE_FAULT_READ, kv.blocks + 0xffffffffull * STRIDE * 8);
	free(kv.k_data);
	free(kv.v_data);
}
END_TEST

/*
 * As far as positions go: the last one sees what it would see at a lower position in the same place
 * of its chunk, and those above are refused, whatever the block tables hold.
 */
START_TEST(attention_at_the_last_position)
{
	enum { PAGE_TOKENS = 256, LOW = PAGE_TOKENS - 1 };
	const uint64_t top = NIB_ATTN_POSITIONS - 1, row_bytes = nib_row_bytes(NIB_FMT_MXFP8, WIDTH);
	struct nib_kv_row row = { .seq = 0, .pos = LOW };
	uint8_t *rows = room(2 * PAGE_TOKENS * row_bytes);
	float q[HEADS * DIM], *x = floats(WIDTH, 1), *want;
	struct nib_pkt_attention p = {
		.hdr = STREAM_HDR(NIB_OP_ATTENTION, struct nib_pkt_attention),
		.rows = 1, .q_pitch = sizeof(q), .out_pitch = sizeof(q), .block_stride = 1,
		.n_heads = HEADS, .n_kv_heads = KV, .head_dim = DIM, .page_tokens = PAGE_TOKENS,
		.k_fmt = NIB_FMT_MXFP8, .v_fmt = NIB_FMT_MXFP8, .scale = ONE, .window = 20,
		.v_offset = (uint32_t)(PAGE_TOKENS * row_bytes),
	};
	uint64_t page_va;

	lay_out(_i);
	for (unsigned int i = 0; i < HEADS * DIM; i++)
		q[i] = uniform();
	for (unsigned int i = 0; i < 2 * PAGE_TOKENS; i++) {
		x[i % WIDTH] = uniform();
		k->row_encode(NIB_FMT_MXFP8, NIB_SCALE_CEIL, x, WIDTH, rows + i * row_bytes);
	}
	page_va = put(rows, 2 * PAGE_TOKENS * row_bytes, 16);
	p.q = put(q, sizeof(q), 4);
	p.out = place(sizeof(q), 4);
	p.row_table = put(&row, sizeof(row), 8);
	p.blocks = put(&page_va, 8, 8);
	RUN(p);
	want = get(p.out, sizeof(q));
	/* The same page, named by an entry far up. */
	p.blocks -= top / PAGE_TOKENS * 8;
	p.block_stride = 1u << 24;
	row.pos = (uint32_t)top;
	move(p.row_table, &row, sizeof(row), true);
	RUN(p);
	same(p.out, want, sizeof(q), "the last position");
	for (uint64_t pos = top + 1; pos <= UINT32_MAX; pos += pos - top) {
		row.pos = (uint32_t)pos;
		move(p.row_table, &row, sizeof(row), true);
		FAULT(p, NIB_DONE_FAULT_INDEX, p.row_table + 4);
	}
	row.pos = ~0u;
	move(p.row_table, &row, sizeof(row), true);
	FAULT(p, NIB_DONE_FAULT_INDEX, p.row_table + 4);
	free(want);
	free(rows);
	free(x);
}
END_TEST

/* --- VEC and SAMPLE --- */

struct vec {
	struct nib_pkt_vec p;
	struct nib_vec_operand o[3];
	struct nib_vec_insn i[4];
};

/* out = a + b * row sum of a; strides as given. */
static struct vec vec_packet(uint32_t n)
{
	return (struct vec){
		.p = {
			.hdr = STREAM_HDR(NIB_OP_VEC, struct vec),
			.d0 = 3, .d1 = 2, .n = n, .n_operands = 3, .n_insns = 4,
		},
		.i = {
			{ .op = NIB_VEC_LOAD, .dst = 0, .a = 0 },
			{ .op = NIB_VEC_LOAD, .dst = 1, .a = 1 },
			{ .op = NIB_VEC_FMA, .dst = 2, .a = 0, .b = 1, .imm = 0 },
			{ .op = NIB_VEC_STORE, .dst = 2, .a = 2 },
		},
	};
}

static void vec_check(struct vec *v, const uint8_t *a, const uint8_t *b, uint64_t a0, uint64_t b0,
		      const char *what)
{
	uint32_t n = v->p.n, fmts[3];
	float *regs = room(((n + 15) / 16 * 16) * 4 * NIB_VEC_REGS), *expected = room(n * 4);
	ptrdiff_t stride[3] = { (ptrdiff_t)v->o[0].stride_n * 4, (ptrdiff_t)v->o[1].stride_n * 4,
				4 };
	uint8_t *operand[3];
	struct nib_vec_job job = {
		.operand = operand, .stride = stride, .fmt = fmts, .insns = v->i, .regs = regs,
		.n_insns = 4, .n = n,
	};

	for (unsigned int i = 0; i < 3; i++)
		fmts[i] = v->o[i].fmt;
	for (uint64_t i0 = 0; i0 < v->p.d0; i0++)
		for (uint64_t i1 = 0; i1 < v->p.d1; i1++) {
			float *got;

			operand[0] = (uint8_t *)(uintptr_t)a + a0 +
				     (int64_t)i0 * v->o[0].stride0 + (int64_t)i1 * v->o[0].stride1;
			operand[1] = (uint8_t *)(uintptr_t)b + b0 +
				     (int64_t)i0 * v->o[1].stride0 + (int64_t)i1 * v->o[1].stride1;
			operand[2] = (uint8_t *)expected;
			k->vec(&job);
			got = room(n * 4);
			for (uint32_t j = 0; j < n; j++)
				move(v->o[2].addr + i0 * v->o[2].stride0 + i1 * v->o[2].stride1 +
				     (int64_t)j * v->o[2].stride_n * 4, &got[j], 4, false);
			ck_assert_msg(!memcmp(got, expected, n * 4), "%s at %u, %u", what,
				      (unsigned int)i0, (unsigned int)i1);
			free(got);
		}
	free(regs);
	free(expected);
}

START_TEST(vec_walks_its_index_space)
{
	enum { N = 700, ELEMENTS = 3 * 2 * 8 * N };
	float *a = floats(ELEMENTS, 2), *b = floats(ELEMENTS, 2);
	struct vec v = vec_packet(N);
	uint64_t va_a, va_b, va_out;

	lay_out(_i);
	va_a = put(a, ELEMENTS * 4, 4);
	va_b = put(b, ELEMENTS * 4, 4);
	va_out = place(ELEMENTS * 4, 4);
	for (unsigned int i = 0; i < 3; i++)
		v.o[i].fmt = NIB_FMT_F32;

	/* Plain rows, b shared by all of them. */
	v.o[0] = (struct nib_vec_operand){ va_a, N * 8, N * 4, NIB_FMT_F32, 1 };
	v.o[1] = (struct nib_vec_operand){ va_b, 0, 0, NIB_FMT_F32, 1 };
	v.o[2] = (struct nib_vec_operand){ va_out, N * 8, N * 4, NIB_FMT_F32, 1 };
	RUN(v);
	vec_check(&v, (uint8_t *)a, (uint8_t *)b, 0, 0, "rows");

	/* Backwards, with steps, one element for all. */
	v.o[0] = (struct nib_vec_operand){ va_a + 5 * N * 4, -N * 8, -N * 4, NIB_FMT_F32, 1 };
	v.o[1] = (struct nib_vec_operand){ va_b + 8, 4, 40, NIB_FMT_F32, 0 };
	v.o[2] = (struct nib_vec_operand){ va_out, 4, 8 * N * 4, NIB_FMT_F32, 4 };
	RUN(v);
	vec_check(&v, (uint8_t *)a, (uint8_t *)b, 5 * N * 4, 8, "backwards");

	v.o[0] = (struct nib_vec_operand){ va_a + (N - 1) * 4, N * 8, N * 4, NIB_FMT_F32, -1 };
	v.o[1] = (struct nib_vec_operand){ va_b + (ELEMENTS - 1) * 4, -4, -8, NIB_FMT_F32, -7 };
	v.o[2] = (struct nib_vec_operand){ va_out, N * 8, N * 4, NIB_FMT_F32, 1 };
	RUN(v);
	vec_check(&v, (uint8_t *)a, (uint8_t *)b, (N - 1) * 4, (ELEMENTS - 1) * 4, "reversed");

	/* In place. */
	v.o[0] = (struct nib_vec_operand){ va_out, N * 8, N * 4, NIB_FMT_F32, 1 };
	v.o[1] = (struct nib_vec_operand){ va_b, 0, 0, NIB_FMT_F32, 1 };
	move(va_out, a, ELEMENTS * 4, true);
	RUN(v);
	vec_check(&v, (uint8_t *)a, (uint8_t *)b, 0, 0, "in place");
	free(a);
	free(b);
}
END_TEST

/* So much of it that threads share the steps; and steps in an order, which they may not share. */
START_TEST(vec_gives_the_same_on_many_threads)
{
	enum { N = 512, ROWS = 160, ELEMENTS = ROWS * N };
	float *a = floats(ELEMENTS, 2), *b = floats(N, 2), *sum = room(N * 4);
	struct vec v = vec_packet(N);
	uint64_t va_a, va_b;

	lay_out(_i);
	va_a = put(a, ELEMENTS * 4, 4);
	va_b = put(b, N * 4, 4);
	v.p.d0 = ROWS;
	v.p.d1 = 1;
	v.o[0] = (struct nib_vec_operand){ va_a, N * 4, 0, NIB_FMT_F32, 1 };
	v.o[1] = (struct nib_vec_operand){ va_b, 0, 0, NIB_FMT_F32, 1 };
	v.o[2] = (struct nib_vec_operand){ place(ELEMENTS * 4, 4), N * 4, 0, NIB_FMT_F32, 1 };
	RUN(v);
	vec_check(&v, (uint8_t *)a, (uint8_t *)b, 0, 0, "rows");
	/* Row after row into one: operand 1 += operand 0 * 1, the order shows in the last bits. */
	v.i[2] = (struct nib_vec_insn){ .op = NIB_VEC_ADD, .dst = 2, .a = 0, .b = 1 };
	v.o[2] = v.o[1];
	RUN(v);
	memcpy(sum, b, N * 4);
	for (unsigned int r = 0; r < ROWS; r++)
		for (unsigned int i = 0; i < N; i++)
			sum[i] = a[r * N + i] + sum[i];
	same(va_b, sum, N * 4, "running sum");
	free(a);
	free(b);
	free(sum);
}
END_TEST

START_TEST(vec_faults_at_the_element)
{
	enum { N = 1024 };
	struct vec v = vec_packet(N);
	uint64_t va;

	lay_out(_i);
	va = VA + BYTES - N * 4;
	v.o[0] = (struct nib_vec_operand){ VA, 0, 0, NIB_FMT_F32, 1 };
	v.o[1] = v.o[0];
	v.o[2] = (struct nib_vec_operand){ va, 4, 0, NIB_FMT_F32, 1 };
	FAULT(v, NIB_DONE_FAULT_WRITE, VA + BYTES);
	v.o[2].stride0 = 0;
	v.o[1] = (struct nib_vec_operand){ va, 0, 0, NIB_FMT_F32, 3 };
	FAULT(v, NIB_DONE_FAULT_READ, VA + BYTES + 8);
	v.o[1] = (struct nib_vec_operand){ VA + 40, 0, 0, NIB_FMT_F32, -1 };
	FAULT(v, NIB_DONE_FAULT_READ, VA + 40 - (N - 1) * 4);
	v.o[1] = (struct nib_vec_operand){ VA + 40, -64, 0, NIB_FMT_F32, 1 };
	FAULT(v, NIB_DONE_FAULT_READ, VA + 40 - 64);
	v.o[1] = (struct nib_vec_operand){ 0, INT32_MIN, INT32_MIN, NIB_FMT_F32, INT32_MIN };
	FAULT(v, NIB_DONE_FAULT_READ, 0);
	v.o[1] = (struct nib_vec_operand){ ~3ull, INT32_MAX & ~3, INT32_MAX & ~3, NIB_FMT_F32,
					   INT32_MAX & ~3 };
	FAULT(v, NIB_DONE_FAULT_READ, ~3ull);
}
END_TEST

START_TEST(sample_picks_tokens)
{
	enum { ROWS = 6, N = 3000 };
	float *logits = floats(ROWS * N, 8);
	struct nib_sample_params params[ROWS];
	uint32_t *scratch = room(N * 8), *got;
	struct nib_pkt_sample p = {
		.hdr = STREAM_HDR(NIB_OP_SAMPLE, struct nib_pkt_sample),
		.rows = ROWS, .logits_pitch = N * 4, .n = N,
	};

	lay_out(_i);
	for (unsigned int r = 0; r < ROWS; r++)
		params[r] = (struct nib_sample_params){
			.temperature = r ? 0x3f4ccccd : 0, .top_p = 0x3f666666, .top_k = r * 10,
			.seed = 77, .counter = r,
		};
	p.logits = put(logits, ROWS * N * 4, 4);
	p.params = put(params, sizeof(params), 8);
	p.out = place(ROWS * 4, 4);
	RUN(p);
	got = get(p.out, ROWS * 4);
	for (unsigned int r = 0; r < ROWS; r++)
		ck_assert_uint_eq(got[r], k->sample(logits + r * N, N, &params[r], scratch));
	params[3].zero = 9;
	move(p.params, params, sizeof(params), true);
	FAULT(p, NIB_DONE_FAULT_VALUE, 9);
	free(got);
	free(scratch);
	free(logits);
}
END_TEST

START_TEST(counts_of_zero_do_nothing)
{
	struct nib_pkt_copy copy = {
		.hdr = STREAM_HDR(NIB_OP_COPY, struct nib_pkt_copy), .n1 = 5, .n2 = 5,
		.src_fmt = NIB_FMT_F32, .dst_fmt = NIB_FMT_F32,
	};
	struct nib_pkt_gather gather = {
		.hdr = STREAM_HDR(NIB_OP_GATHER, struct nib_pkt_gather), .table_rows = 1,
		.table_pitch = 64, .dst_pitch = 64, .width = 16, .fmt = NIB_FMT_F32, .alpha = ONE,
	};
	struct nib_pkt_quant quant = {
		.hdr = STREAM_HDR(NIB_OP_QUANT, struct nib_pkt_quant), .src_pitch = 128,
		.dst_pitch = 64, .width = 32, .fmt = NIB_FMT_MXFP8,
	};
	struct nib_pkt_gemm gemm = {
		.hdr = STREAM_HDR(NIB_OP_GEMM, struct nib_pkt_gemm), .a_pitch = 64,
		.out_pitch = 256, .n = 64, .k = 32, .a_fmt = NIB_FMT_MXFP8,
		.w_fmt = NIB_FMT_MXFP4, .out_fmt = NIB_FMT_F32, .alpha = ONE,
	};
	struct nib_pkt_attention attention = {
		.hdr = STREAM_HDR(NIB_OP_ATTENTION, struct nib_pkt_attention), .q_pitch = 128,
		.out_pitch = 128, .n_heads = 1, .n_kv_heads = 1, .head_dim = 32,
		.page_tokens = 16, .k_fmt = NIB_FMT_BF16, .v_fmt = NIB_FMT_BF16, .scale = ONE,
	};
	struct nib_pkt_sample sample = {
		.hdr = STREAM_HDR(NIB_OP_SAMPLE, struct nib_pkt_sample), .logits_pitch = 64,
		.n = 16,
	};
	struct vec vec = vec_packet(16);

	for (unsigned int i = 0; i < 3; i++)
		vec.o[i].fmt = NIB_FMT_F32;
	RUN(copy);
	RUN(gather);
	RUN(quant);
	RUN(gemm);
	RUN(attention);
	RUN(sample);
	vec.p.d1 = 0;
	RUN(vec);
}
END_TEST

static void add(TCase *packets)
{
	tcase_add_loop_test(packets, copy_moves_blocks, 0, LAYOUTS);
	tcase_add_loop_test(packets, copy_converts, 0, LAYOUTS);
	tcase_add_loop_test(packets, gather_rows, 0, LAYOUTS);
	tcase_add_loop_test(packets, gather_panels, 0, LAYOUTS);
	tcase_add_loop_test(packets, quant_encodes_rows, 0, LAYOUTS);
	tcase_add_loop_test(packets, gemm_computes, 0, LAYOUTS);
	tcase_add_loop_test(packets, gemm_adds_to_its_residual_in_place, 0, LAYOUTS);
	tcase_add_loop_test(packets, kv_append_stores_rows, 0, LAYOUTS);
	tcase_add_loop_test(packets, attention_sees_pages, 0,
			    LAYOUTS * (int)(sizeof(attentions) / sizeof(attentions[0])));
	tcase_add_loop_test(packets, kv_faults_name_their_cause, 0, LAYOUTS);
	tcase_add_loop_test(packets, attention_at_the_last_position, 0, LAYOUTS);
	tcase_add_loop_test(packets, vec_walks_its_index_space, 0, LAYOUTS);
	tcase_add_loop_test(packets, vec_gives_the_same_on_many_threads, 0, LAYOUTS);
	tcase_add_loop_test(packets, vec_faults_at_the_element, 0, LAYOUTS);
	tcase_add_loop_test(packets, sample_picks_tokens, 0, LAYOUTS);
	tcase_add_test(packets, counts_of_zero_do_nothing);
}

int main(void)
{
	return run_tables("device_packets", add);
}
