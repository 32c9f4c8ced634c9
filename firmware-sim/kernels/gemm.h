/* SPDX-License-Identifier: MIT */
/*
 * What the vector GEMMs share: how a job is cut into pieces that stay in cache, and the epilogue.
 * The includer defines
 *	GEMM_NAME	the function that runs a job; it is static
 *	GEMM_ELEMENT	bytes of a packed activation
 *	GEMM_ROWS	rows taken at a time, whose sums over one panel stay in L1
 *	GEMM_BUFFER	bytes of packed activations, which stay in L2
 *	GEMM_PANELS	panels whose sums wait while further activations are packed
 *	struct gemm_tables, gemm_prepare(), gemm_pack() and gemm_multiply().
 *
 * Rows are taken GEMM_ROWS at a time. Their activations are packed for as many tiles along k as fit
 * the buffer; where that is all of k, once for all panels, else again for every GEMM_PANELS panels,
 * whose sums wait in memory meanwhile. All of it is on the stack: below 800 KiB, of which a few
 * rows touch little.
 */
#ifndef NIB_KERNELS_GEMM_H
#define NIB_KERNELS_GEMM_H

#include "isa.h"
#include "element.h"

#define GEMM_UNITS	(GEMM_BUFFER / (NIB_TILE_K * GEMM_ELEMENT)) /* rows x tiles x terms */

/*
 * Rows x tiles on their way through one panel.
 * @tables: what gemm_prepare() made.
 * @a: packed activations: [tile][term][row][32].
 * @a_scale: their scales: [tile][block][term][row]; 1 where the format has none.
 * @special: for each tile, what gemm_pack() wants gemm_multiply() to know.
 * @w: first tile of the panel.
 * @acc: sums: [row][64].
 * @row: first row.
 * @tile: first tile.
 * @block: elements that share a scale product, 16 or 32.
 * @outputs: of the panel that are wanted, a bit each.
 * @column: first output of the panel.
 * @ends: sums are complete with this piece.
 */
struct gemm_piece {
	const struct nib_gemm_job *job;
	const struct gemm_tables *tables;
	uint8_t *a;
	float *a_scale;
	uint8_t *special;
	const uint8_t *w;
	float *acc;
	uint32_t row;
	uint32_t rows;
	uint32_t tile;
	uint32_t tiles;
	uint32_t a_terms;
	uint32_t w_terms;
	uint32_t block;
	uint64_t outputs;
	uint32_t column;
	int ends;
	uint16_t a_fmt;
	uint16_t w_fmt;
};

/* In files of their own: two FP4 formats; FP4 weights, but for BF16 and for many rows of E5M2. */
void nib_gemm_fp4_avx512(const struct nib_gemm_job *job);
void nib_gemm_fp4_avx2(const struct nib_gemm_job *job);

/* Calls f(@n, arguments), one to six rows, with their number constant. */
#define GEMM_BY_ROWS(n, f, ...)					\
	do {							\
		switch (n) {					\
		case 6:						\
			f(6, __VA_ARGS__);			\
			break;					\
		case 5:						\
			f(5, __VA_ARGS__);			\
			break;					\
		case 4:						\
			f(4, __VA_ARGS__);			\
			break;					\
		case 3:						\
			f(3, __VA_ARGS__);			\
			break;					\
		case 2:						\
			f(2, __VA_ARGS__);			\
			break;					\
		default:					\
			f(1, __VA_ARGS__);			\
			break;					\
		}						\
	} while (0)

/* Lookup tables for one job. */
static void gemm_prepare(const struct nib_gemm_job *job, struct gemm_tables *tables);
/* Tile @i of the piece, counted from its first one: elements to @a, scales to @a_scale. */
static void gemm_pack(const struct gemm_piece *p, uint32_t i, void *a, float *a_scale);
/* acc += piece, for all 64 outputs of the panel. */
static void gemm_multiply(const struct gemm_piece *p);

/*
 * While tile @i of the piece is at work: fetches outputs of a row, or of more where rows are more than
 * tiles, and what is added to them. Rows lie far apart.
 */
NIB_INLINE void gemm_fetch(const struct gemm_piece *p, uint32_t i)
{
	const struct nib_gemm_job *job = p->job;
	uint32_t size = nib_format_bits(job->out_fmt) / 8, line, r;

	for (r = i; p->ends && r < p->rows; r += p->tiles) {
		const uint8_t *out = job->out + (p->row + r) * job->out_pitch + p->column * size;

		for (line = 0; line < NIB_PANEL_N * size; line += 64)
			__builtin_prefetch(out + line, 1);
		if (!job->residual)
			continue;
		out = job->residual + (p->row + r) * job->residual_pitch + p->column * 4;
		for (line = 0; line < NIB_PANEL_N * 4; line += 64)
			__builtin_prefetch(out + line);
	}
}

static inline float gemm_scale(uint32_t fmt, uint32_t code)
{
	return fmt == NIB_FMT_NVFP4 ? nib_ue4m3_decode(code) : nib_e8m0_decode(code);
}

/* Data of term @t of tile @i of row @r, all counted from those of the piece. */
static inline const uint8_t *gemm_a_data(const struct gemm_piece *p, uint32_t i, uint32_t t,
					 uint32_t r)
{
	size_t term = nib_row_data_bytes(p->a_fmt, p->job->k) +
		      nib_row_scale_bytes(p->a_fmt, p->job->k);

	return p->job->a + (size_t)(p->row + r) * p->job->a_pitch + t * term +
	       (size_t)(p->tile + i) * NIB_TILE_K * nib_format_bits(p->a_fmt) / 8;
}

/* Elements of tile @i that exist. */
static inline uint32_t gemm_a_valid(const struct gemm_piece *p, uint32_t i)
{
	uint32_t left = p->job->k - (p->tile + i) * NIB_TILE_K;

	return left < NIB_TILE_K ? left : NIB_TILE_K;
}

/* Blocks of tile @i that begin before k: the others are left out. */
static inline uint32_t gemm_blocks(const struct gemm_piece *p, uint32_t i)
{
	return (gemm_a_valid(p, i) + p->block - 1) / p->block;
}

/* @data, 32 elements of a row; where fewer are @valid, a copy that has zeros past them. */
static inline const uint8_t *gemm_a_padded(const struct gemm_piece *p, const uint8_t *data,
					   uint32_t valid, uint8_t *copy)
{
	uint32_t bits = nib_format_bits(p->a_fmt);

	if (valid == NIB_TILE_K)
		return data;
	memset(copy, 0, NIB_TILE_K * 2);
	memcpy(copy, data, (valid * bits + 7) / 8);
	if (valid * bits % 8)
		copy[valid / 2] &= 15;
	return copy;
}

/* Code of the scale of element @k of a tile; the format has block scales. */
static inline uint32_t gemm_a_code(const struct gemm_piece *p, uint32_t i, uint32_t t, uint32_t r,
				   uint32_t k)
{
	size_t data = nib_row_data_bytes(p->a_fmt, p->job->k);
	size_t term = data + nib_row_scale_bytes(p->a_fmt, p->job->k);

	return p->job->a[(size_t)(p->row + r) * p->job->a_pitch + t * term + data +
			 ((p->tile + i) * NIB_TILE_K + k) / nib_format_block(p->a_fmt)];
}

/* Scales of a tile. */
static inline void gemm_pack_scales(const struct gemm_piece *p, uint32_t i, float *a_scale)
{
	uint32_t scaled = nib_format_block(p->a_fmt), b, t, r;

	for (b = 0; b < NIB_TILE_K; b += p->block)
		for (t = 0; t < p->a_terms; t++)
			for (r = 0; r < p->rows; r++)
				*a_scale++ = !scaled ? 1.0f :
					gemm_scale(p->a_fmt, gemm_a_code(p, i, t, r, b));
}

static void gemm_pack_piece(const struct gemm_piece *p)
{
	size_t a = (size_t)p->a_terms * p->rows * NIB_TILE_K * GEMM_ELEMENT;
	size_t scales = (size_t)p->a_terms * p->rows * (NIB_TILE_K / p->block);
	uint32_t i;

	for (i = 0; i < p->tiles; i++)
		gemm_pack(p, i, p->a + i * a, p->a_scale + i * scales);
}

/* @n outputs, of a panel that has up to NIB_PANEL_N: whole ones in registers. */
static inline void gemm_copy(void *dst, const void *src, uint32_t n)
{
	if (n == NIB_PANEL_N)
		memcpy(dst, src, NIB_PANEL_N * sizeof(float));
	else
		memcpy(dst, src, n * sizeof(float));
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
		gemm_copy(extra, job->bias + n0, n);
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
		gemm_copy(extra, job->residual + row * job->residual_pitch + n0 * sizeof(float), n);
		for (i = 0; i < NIB_PANEL_N; i++)
			x[i] += extra[i];
	}
	for (i = 0; i < NIB_PANEL_N; i++)
		x[i] = nib_canonical(x[i]);
	out += (size_t)n0 * nib_format_bits(job->out_fmt) / 8;
	if (job->out_fmt == NIB_FMT_F32)
		gemm_copy(out, x, n);
	else
		NIB_KERNEL(nib_convert)(job->out_fmt, out, NIB_FMT_F32, x, n);
}

static void gemm_rows(const struct nib_gemm_job *job, uint32_t m, uint32_t rows,
		      const struct gemm_tables *tables)
{
	uint8_t a[GEMM_BUFFER] __attribute__((aligned(64)));
	float a_scale[GEMM_UNITS * 2] __attribute__((aligned(64)));
	float acc[GEMM_PANELS][GEMM_ROWS][NIB_PANEL_N] __attribute__((aligned(64)));
	uint8_t special[GEMM_UNITS];
	struct gemm_piece p = {
		.job = job,
		.tables = tables,
		.a = a,
		.a_scale = a_scale,
		.special = special,
		.row = m,
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
				gemm_pack_piece(&p);
			for (i = 0; i < group; i++) {
				uint32_t left = job->n - (panel + i) * NIB_PANEL_N;

				p.column = (panel + i) * NIB_PANEL_N;
				p.ends = p.tile + p.tiles == tiles;
				p.outputs = left < NIB_PANEL_N ? (1ull << left) - 1 : ~0ull;
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

static void GEMM_NAME(const struct nib_gemm_job *job)
{
	/* Blocks of rows about the same size: a small last one would cost as much as a whole. */
	uint32_t blocks = (job->rows + GEMM_ROWS - 1) / GEMM_ROWS, m, rows;
	struct gemm_tables tables;

	gemm_prepare(job, &tables);
	for (m = 0; m < job->rows; m += rows, blocks--) {
		rows = (job->rows - m + blocks - 1) / blocks;
		gemm_rows(job, m, rows, &tables);
	}
}

#endif
