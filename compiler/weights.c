// SPDX-License-Identifier: MIT
/*
 * Encoding weights into the layouts of nib_format.h: panels for matrices, rows for tables, plain
 * FP32 for vectors. A panel or a row at a time, so that memory does not grow with the model. FP4
 * that arrives as FP4 is moved code by code and never rounded again.
 */
#include <math.h>
#include <stdlib.h>
#include "ir.h"

/* Where outputs of a matrix come from. */
struct source {
	const struct ac_part *part;
	uint64_t row;
};

static struct source locate(const struct ac_weight *w, uint64_t row)
{
	uint32_t p;

	for (p = 0; row >= w->parts[p].n; p++)
		row -= w->parts[p].n;
	return (struct source){ &w->parts[p], row };
}

/* Four codes of 8 bits, the even ones in the low half. */
static inline uint32_t lane8(const uint8_t *codes)
{
	uint32_t x;

	memcpy(&x, codes, 4);
	return (x & 0xff0000ffu) | (x >> 8 & 0xff00u) | (x << 8 & 0xff0000u);
}

/* Four codes, one in every other byte, to 16 bits. */
static inline uint32_t squeeze(uint64_t x)
{
	x &= 0x000f000f000f000full;
	x = (x | x >> 12) & 0x000000ff000000ffull;
	return (uint32_t)((x | x >> 24) & 0xffff);
}

/* Eight codes of 4 bits, the even ones in the low half. */
static inline uint32_t lane4(const uint8_t *codes)
{
	uint64_t x;

	memcpy(&x, codes, 8);
	return squeeze(x) | squeeze(x >> 8) << 16;
}

/* One unit into output @n of a tile. */
static inline void store_unit(uint32_t fmt, uint8_t *tile, uint32_t n, const struct ac_unit *u)
{
	uint32_t bits = nib_format_bits(fmt), block = nib_format_block(fmt), t, v, lane;
	uint32_t scales = block ? NIB_TILE_K / block : 0, terms = nib_format_terms(fmt);

	for (t = 0; t < terms; t++) {
		uint8_t *data = tile + t * (nib_tile_bytes(fmt) / terms);

		for (v = 0; v < scales; v++)
			data[v * NIB_PANEL_N + n] = u->scales[t][v];
		data += scales * NIB_PANEL_N + n / 16 * bits * 64 + n % 16 * 4;
		for (v = 0; v < bits; v++) {
			if (bits == 8)
				lane = lane8(&u->codes[t][v * 4]);
			else if (bits == 4)
				lane = lane4(&u->codes[t][v * 8]);
			else
				memcpy(&lane, &u->wide[v * 2], 4);
			memcpy(data + v * 64, &lane, 4);
		}
	}
}

/* One unit into a row of units, @index counting units. */
static void store_row_unit(uint32_t fmt, uint8_t *row, uint64_t k, uint64_t index,
			   const struct ac_unit *u)
{
	uint64_t data = nib_row_data_bytes(fmt, k), scales = nib_row_scale_bytes(fmt, k);
	uint32_t per = fmt == NIB_FMT_NVFP4 ? 2 : 1, t, i;

	for (t = 0; t < nib_format_terms(fmt); t++) {
		uint8_t *to = row + t * (data + scales);

		memcpy(to + data + index * per, u->scales[t], per);
		if (nib_format_bits(fmt) == 8)
			memcpy(to + index * 32, u->codes[t], 32);
		for (i = 0; i < 16 && nib_format_bits(fmt) == 4; i++)
			to[index * 16 + i] =
				(uint8_t)(u->codes[t][i * 2] | u->codes[t][i * 2 + 1] << 4);
	}
}

/*
 * Unit @index of a row that arrives in FP4. ggml puts the second half into the high nibbles, counts
 * NVFP4's scale 0x7f as 0 and does not look at the sign of a scale; 0xff has no equal here.
 */
static bool take_fp4(const struct ac_gguf_tensor *t, const uint8_t *row, uint64_t index,
		     struct ac_unit *u)
{
	const uint8_t *q;
	uint32_t i, s;

	if (t->type == AC_GGML_MXFP4) {
		q = row + index * 17;
		for (i = 0; i < 16; i++) {
			u->codes[0][i] = q[1 + i] & 15;
			u->codes[0][i + 16] = q[1 + i] >> 4;
		}
		u->scales[0][0] = q[0];
		return q[0] != 255;
	}
	q = row + index / 2 * 36;
	for (s = 0; s < 2; s++) {
		const uint8_t *data = q + 4 + (index % 2 * 2 + s) * 8;
		uint8_t code = q[index % 2 * 2 + s];

		for (i = 0; i < 8; i++) {
			u->codes[0][s * 16 + i] = data[i] & 15;
			u->codes[0][s * 16 + i + 8] = data[i] >> 4;
		}
		if (code == 0xff)
			return false;
		u->scales[0][s] = code == 0x7f ? 0 : code & 0x7f;
	}
	return true;
}

static int not_finite(struct accel_compile *c, const struct source *src, uint64_t index)
{
	return ac_fail(&c->ctx, EINVAL,
		       "%s: tensor %s: row %llu, elements from %llu on are not finite", c->gguf.name,
		       src->part->w->name, (unsigned long long)src->row,
		       (unsigned long long)index * 32);
}

static enum nib_scale_rule weight_rule(const struct accel_compile *c, uint32_t fmt)
{
	if (c->options.weight_rule != ACCEL_RULE_DEFAULT)
		return (enum nib_scale_rule)(c->options.weight_rule - 1);
	return nib_format_bits(fmt) == 4 ? NIB_SCALE_BEST3 : NIB_SCALE_CEIL;
}

typedef int (*sink_fn)(void *user, const void *data, size_t bytes);

/* Encode or move one row of a matrix; @x has room for k padded to whole units, zeros behind k. */
static int encode_row(struct accel_compile *c, const struct ac_weight *w, const struct source *src,
		      ac_encode_fn encode, float *x, uint8_t *panel, uint32_t n)
{
	uint64_t units = (w->k + AC_UNIT - 1) / AC_UNIT, tile = nib_tile_bytes(w->fmt), i;
	const uint8_t *row = src->part->w->data + src->row * src->part->w->row_bytes;
	struct ac_unit u = { 0 };
	bool good;

	if (!src->part->repack)
		ac_ggml_decode_row(src->part->w, src->row, x);
	for (i = 0; i < units; i++) {
		good = src->part->repack ? take_fp4(src->part->w, row, i, &u) :
		       encode(x + i * AC_UNIT, src->part->global, &u);
		if (!good)
			return not_finite(c, src, i);
		store_unit(w->fmt, panel + i * tile, n, &u);
	}
	return 0;
}

/* Outputs past n: zeros under the scale of an all-zero block. */
static void pad_panel(const struct ac_weight *w, ac_encode_fn encode, uint8_t *panel, uint32_t from)
{
	uint64_t units = (w->k + AC_UNIT - 1) / AC_UNIT, i;
	float zeros[AC_UNIT] = { 0 };
	struct ac_unit u = { 0 };
	uint32_t n;

	encode(zeros, 1, &u);
	for (n = from; n < NIB_PANEL_N; n++)
		for (i = 0; i < units; i++)
			store_unit(w->fmt, panel + i * nib_tile_bytes(w->fmt), n, &u);
}

static int write_panels(struct accel_compile *c, const struct ac_weight *w, sink_fn sink,
			void *user)
{
	ac_encode_fn encode = ac_encoder(w->fmt, weight_rule(c, w->fmt));
	uint64_t bytes = nib_panel_bytes(w->fmt, w->k), row = 0;
	float *x = calloc(ac_align(w->k, AC_UNIT), sizeof(*x));
	uint8_t *panel = malloc(bytes);
	struct source src;
	uint32_t n;
	int err = 0;

	if (!x || !panel || !encode)
		err = ac_fail(&c->ctx, encode ? ENOMEM : EINVAL, "weight %s: no memory or encoder",
			      w->name);
	while (row < w->n && !err) {
		for (n = 0; n < NIB_PANEL_N && row < w->n && !err; n++, row++) {
			src = locate(w, row);
			err = encode_row(c, w, &src, encode, x, panel, n);
		}
		if (!err && n < NIB_PANEL_N)
			pad_panel(w, encode, panel, n);
		if (!err)
			err = sink(user, panel, bytes);
	}
	free(panel);
	free(x);
	return err;
}

static int write_rows(struct accel_compile *c, const struct ac_weight *w, sink_fn sink, void *user)
{
	uint64_t bytes = nib_row_bytes(w->fmt, w->k), units = (w->k + AC_UNIT - 1) / AC_UNIT, row,
		 i;
	ac_encode_fn encode = ac_encoder(w->fmt, weight_rule(c, w->fmt));
	const struct ac_part *part = &w->parts[0];
	float *x = calloc(ac_align(w->k, AC_UNIT), sizeof(*x)), global = 1;
	uint8_t *out = calloc(1, ac_align(bytes, 64));
	struct ac_unit u = { 0 };
	int err = 0;

	if (!x || !out)
		err = ac_fail(&c->ctx, ENOMEM, "out of memory");
	for (row = 0; row < w->n && !err; row++) {
		struct source src = { part, row };
		bool good = true;

		ac_ggml_decode_row(part->w, row, x);
		if (w->fmt == NIB_FMT_NVFP4 && !part->repack)
			global = ac_nvfp4_global(ac_max_abs(x, w->k));
		for (i = 0; i < units; i++) {
			if (w->fmt == NIB_FMT_F32) {
				memcpy(out, x, w->k * 4ull);
				while (i < units && good)
					good = ac_bits(ac_max_abs(x + i++ * AC_UNIT, AC_UNIT)) < 0x7f800000;
				i -= !good;
				break;
			}
			if (part->repack)
				good = take_fp4(part->w, part->w->data + row * part->w->row_bytes,
						i, &u);
			else
				good = encode(x + i * AC_UNIT, global, &u);
			if (w->fmt == NIB_FMT_BF16)
				memcpy(out + i * 64, u.wide,
				       (w->k - i * 32 < 32 ? w->k - i * 32 : 32) * 2);
			else
				store_row_unit(w->fmt, out, w->k, i, &u);
			if (!good)
				break;
		}
		if (!good)
			err = not_finite(c, &src, i);
		if (w->fmt == NIB_FMT_NVFP4)
			memcpy(out + nib_row_data_bytes(w->fmt, w->k) +
			       nib_row_scale_bytes(w->fmt, w->k), &global, 4);
		if (!err)
			err = sink(user, out, bytes);
	}
	free(out);
	free(x);
	return err;
}

static int write_vector(struct accel_compile *c, const struct ac_weight *w, sink_fn sink,
			void *user)
{
	float *x = calloc(w->n, sizeof(*x)), max;
	uint32_t p, at = 0;
	int err = x ? 0 : ac_fail(&c->ctx, ENOMEM, "out of memory");

	for (p = 0; p < w->n_parts && !err; at += w->parts[p++].n) {
		if (!w->parts[p].w)
			continue;
		ac_ggml_decode_row(w->parts[p].w, 0, x + at);
		max = ac_max_abs(x + at, w->parts[p].n);
		if (ac_bits(max) >= 0x7f800000)
			err = ac_fail(&c->ctx, EINVAL,
				      "%s: tensor %s: holds values that are not finite",
				      c->gguf.name, w->parts[p].w->name);
	}
	if (!err)
		err = sink(user, x, w->n * 4ull);
	free(x);
	return err;
}

/* Turn per position of each pair, in double: base^(-2i / rot), stretched by the file's factors. */
static int write_freqs(struct accel_compile *c, const struct ac_weight *w, sink_fn sink, void *user)
{
	const struct ac_model *m = &c->model;
	float freqs[NIB_ATTN_MAX_HEAD_DIM / 2], factors[NIB_ATTN_MAX_HEAD_DIM / 2];
	uint32_t i;
	double f;

	if (m->freq_factors)
		ac_ggml_decode_row(m->freq_factors, 0, factors);
	for (i = 0; i < w->n; i++) {
		f = pow((double)m->freq_base, -2.0 * i / m->rot) * (double)m->freq_scale;
		freqs[i] = (float)(m->freq_factors ? f / (double)factors[i] : f);
	}
	return sink(user, freqs, w->n * 4ull);
}

int ac_weight_write(struct accel_compile *c, const struct ac_weight *w, sink_fn sink, void *user)
{
	switch (w->kind) {
	case AC_WEIGHT_PANELS:
		return write_panels(c, w, sink, user);
	case AC_WEIGHT_ROWS:
		return write_rows(c, w, sink, user);
	case AC_WEIGHT_VECTOR:
		return write_vector(c, w, sink, user);
	default:
		return write_freqs(c, w, sink, user);
	}
}
