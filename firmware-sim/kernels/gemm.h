/* SPDX-License-Identifier: MIT */
/*
 * What the vector GEMMs share: how a job is cut into pieces that stay in cache, and the epilogue.
 * The includer defines GEMM_ELEMENT, the bytes of a packed activation, struct gemm_tables, and the
 * functions declared here: gemm_prepare(), gemm_pack() and gemm_multiply().
 *
 * Rows are taken GEMM_ROWS at a time. Their activations are packed for as many tiles along k as fit
 * the buffer; where that is all of k, once for all panels, else again for every GEMM_PANELS panels,
 * whose sums wait in memory meanwhile. All of it is on the stack: about 140 KiB.
 */
#ifndef NIB_KERNELS_GEMM_H
#define NIB_KERNELS_GEMM_H

#include "isa.h"
#include "element.h"

#define GEMM_ROWS	48u
#define GEMM_PANELS	4u
#define GEMM_BUFFER	(64u << 10)	/* bytes of packed activations */
#define GEMM_UNITS	(GEMM_BUFFER / (NIB_TILE_K * GEMM_ELEMENT)) /* rows x tiles x terms */

/*
 * Rows x tiles on their way through one panel.
 * @tables: what gemm_prepare() made.
 * @a: packed activations: [tile][term][row][32].
 * @a_scale: their scales: [tile][block][term][row]; 1 where the format has none.
 * @w: first tile of the panel.
 * @acc: sums: [row][64].
 * @tile: first tile.
 * @block: elements that share a scale product, 16 or 32.
 */
struct gemm_piece {
	const struct gemm_tables *tables;
	const void *a;
	const float *a_scale;
	const uint8_t *w;
	float *acc;
	uint32_t rows;
	uint32_t tile;
	uint32_t tiles;
	uint32_t a_terms;
	uint32_t w_terms;
	uint32_t block;
	uint16_t a_fmt;
	uint16_t w_fmt;
};

/* Lookup tables for one job. */
static void gemm_prepare(const struct nib_gemm_job *job, struct gemm_tables *tables);
/* Elements of one term of one tile of one row to 32 packed ones; @valid of them exist. */
static void gemm_pack(const struct gemm_piece *piece, const uint8_t *data, uint32_t valid,
		      void *dst);
/* acc += piece, for all 64 outputs of the panel. */
static void gemm_multiply(const struct gemm_piece *piece);

static inline float gemm_scale(uint32_t fmt, uint32_t code)
{
	return fmt == NIB_FMT_NVFP4 ? nib_ue4m3_decode(code) : nib_e8m0_decode(code);
}

/* Activations of the piece: rows from @m on, the piece's tiles. */
static void gemm_pack_piece(const struct nib_gemm_job *job, uint32_t m, const struct gemm_piece *p,
			    uint8_t *a, float *a_scale)
{
	size_t data = nib_row_data_bytes(p->a_fmt, job->k);
	size_t scales = nib_row_scale_bytes(p->a_fmt, job->k);
	uint32_t bits = nib_format_bits(p->a_fmt), block = nib_format_block(p->a_fmt), i, b, t, r;

	for (i = 0; i < p->tiles; i++) {
		uint32_t k = (p->tile + i) * NIB_TILE_K, left = job->k - k;

		for (t = 0; t < p->a_terms; t++) {
			for (r = 0; r < p->rows; r++) {
				const uint8_t *row = job->a + (m + r) * job->a_pitch;

				gemm_pack(p, row + t * (data + scales) + (size_t)k * bits / 8,
					  left < NIB_TILE_K ? left : NIB_TILE_K, a);
				a += NIB_TILE_K * GEMM_ELEMENT;
			}
		}
		for (b = 0; b < NIB_TILE_K; b += p->block) {
			for (t = 0; t < p->a_terms; t++) {
				const uint8_t *row = job->a + m * job->a_pitch + data +
						     t * (data + scales);

				for (r = 0; r < p->rows; r++, row += job->a_pitch)
					*a_scale++ = !block ? 1.0f :
						gemm_scale(p->a_fmt, row[(k + b) / block]);
			}
		}
	}
}

/* One row of sums over one panel: the epilogue of nib_isa.h, then the output format. */
static void gemm_epilogue(const struct nib_gemm_job *job, float *restrict x, uint32_t row,
			  uint32_t n0)
{
	uint32_t n = job->n - n0 < NIB_PANEL_N ? job->n - n0 : NIB_PANEL_N, i;
	const uint8_t *a = job->a + row * job->a_pitch;
	uint8_t *out = job->out + row * job->out_pitch;
	float extra[NIB_PANEL_N] = { 0 }, scale;

	if (job->a_fmt == NIB_FMT_NVFP4) {
		memcpy(&scale, a + nib_row_data_bytes(job->a_fmt, job->k) +
			       nib_row_scale_bytes(job->a_fmt, job->k), sizeof(scale));
		for (i = 0; i < NIB_PANEL_N; i++)
			x[i] *= scale;
	}
	for (i = 0; i < NIB_PANEL_N; i++)
		x[i] *= job->alpha;
	if (job->bias) {
		memcpy(extra, job->bias + n0, n * sizeof(float));
		for (i = 0; i < NIB_PANEL_N; i++)
			x[i] += extra[i];
	}
	if (job->activation == NIB_ACT_RELU)
		for (i = 0; i < NIB_PANEL_N; i++)
			x[i] = nib_max(x[i], 0.0f);
	else if (job->activation == NIB_ACT_SILU)
		for (i = 0; i < NIB_PANEL_N; i++)
			x[i] = nib_silu(x[i]);
	else if (job->activation == NIB_ACT_GELU)
		for (i = 0; i < NIB_PANEL_N; i++)
			x[i] = nib_gelu(x[i]);
	if (job->residual) {
		memcpy(extra, job->residual + row * job->residual_pitch + n0 * sizeof(float),
		       n * sizeof(float));
		for (i = 0; i < NIB_PANEL_N; i++)
			x[i] += extra[i];
	}
	for (i = 0; i < NIB_PANEL_N; i++)
		x[i] = nib_canonical(x[i]);
	NIB_KERNEL(nib_convert)(job->out_fmt, out + (size_t)n0 * nib_format_bits(job->out_fmt) / 8,
				NIB_FMT_F32, x, n);
}

static void gemm_rows(const struct nib_gemm_job *job, uint32_t m, uint32_t rows,
		      const struct gemm_tables *tables)
{
	uint8_t a[GEMM_BUFFER] __attribute__((aligned(64)));
	float a_scale[GEMM_UNITS * 2] __attribute__((aligned(64)));
	float acc[GEMM_PANELS][GEMM_ROWS][NIB_PANEL_N] __attribute__((aligned(64)));
	struct gemm_piece p = {
		.tables = tables,
		.a = a,
		.a_scale = a_scale,
		.rows = rows,
		.a_terms = nib_format_terms(job->a_fmt),
		.w_terms = nib_format_terms(job->w_fmt),
		.block = job->a_fmt == NIB_FMT_NVFP4 || job->w_fmt == NIB_FMT_NVFP4 ? 16 : 32,
		.a_fmt = job->a_fmt,
		.w_fmt = job->w_fmt,
	};
	uint32_t tiles = (job->k + NIB_TILE_K - 1) / NIB_TILE_K;
	uint32_t most = GEMM_UNITS / (rows * p.a_terms);
	uint32_t panels = (job->n + NIB_PANEL_N - 1) / NIB_PANEL_N, panel, group, i, r;
	size_t panel_bytes = nib_panel_bytes(p.w_fmt, job->k);

	for (panel = 0; panel < panels; panel += group) {
		group = panels - panel < GEMM_PANELS ? panels - panel : GEMM_PANELS;
		for (i = 0; i < group; i++)
			memset(acc[i], 0, rows * sizeof(acc[i][0]));
		for (p.tile = 0; p.tile < tiles; p.tile += p.tiles) {
			p.tiles = tiles - p.tile < most ? tiles - p.tile : most;
			if (panel == 0 || most < tiles)
				gemm_pack_piece(job, m, &p, a, a_scale);
			for (i = 0; i < group; i++) {
				p.w = job->w + (panel + i) * panel_bytes +
				      p.tile * nib_tile_bytes(p.w_fmt);
				p.acc = acc[i][0];
				gemm_multiply(&p);
			}
		}
		for (i = 0; i < group; i++)
			for (r = 0; r < rows; r++)
				gemm_epilogue(job, acc[i][r], m + r, (panel + i) * NIB_PANEL_N);
	}
}

void NIB_KERNEL(nib_gemm)(const struct nib_gemm_job *job)
{
	struct gemm_tables tables;
	uint32_t m, rows;

	gemm_prepare(job, &tables);
	for (m = 0; m < job->rows; m += rows) {
		rows = job->rows - m < GEMM_ROWS ? job->rows - m : GEMM_ROWS;
		gemm_rows(job, m, rows, &tables);
	}
}

#endif
