// SPDX-License-Identifier: MIT
/*
 * The roofline of firmware-sim/hw_timing.c, over packets whose counts are arguments: a case says
 * what the arguments are. A packet takes as long as its slowest resource, plus a fixed cost.
 */
#include "cost.h"

uint32_t ac_decode_position(const struct accel_compile *c)
{
	return c->model.context < 512 ? c->model.context - 1 : 511;
}

static double argument(const struct accel_compile *c, uint32_t arg, enum ac_case which)
{
	double rows = which == AC_CASE_DECODE ? 1 : c->options.max_rows;

	if (rows > c->model.context)
		rows = c->model.context;
	return arg == NIB_BIND_ROWS ? rows : 1;
}

/* Value of word @i: a count. */
static double count(const struct accel_compile *c, const uint64_t *w, uint32_t i,
		    enum ac_case which)
{
	if (w[0] >> (32 + i - 1) & 1)
		return argument(c, NIB_ARG_INDEX(w[i]), which);
	return (double)w[i];
}

static double div_up(double a, double b)
{
	uint64_t q = (uint64_t)(a / b);

	return (double)q * b < a ? (double)q + 1 : (double)q;
}

static enum ac_unit_class unit_of(uint32_t fmt)
{
	return fmt == NIB_FMT_BF16 ? AC_UNIT_BF16 :
	       nib_format_bits(fmt) == 4 ? AC_UNIT_FP4 : AC_UNIT_FP8;
}

static void book_vector(const struct ac_chip *chip, struct ac_cost *cost, double simple,
			double special)
{
	cost->ops += simple + special;
	cost->vector += (simple + special * chip->special_cycles) / chip->lanes;
}

static void cost_gemm(const struct accel_compile *c, const uint64_t *w, enum ac_case which,
		      struct ac_cost *cost)
{
	struct nib_pkt_gemm p;
	double rows = count(c, w, 1, which), blocks, passes, padded_k;
	enum ac_unit_class a, b;

	memcpy(&p, w, sizeof(p));
	a = unit_of(p.a_fmt);
	b = unit_of(p.w_fmt);
	a = a > b ? a : b;
	passes = nib_format_terms(p.a_fmt) * nib_format_terms(p.w_fmt);
	blocks = div_up(rows, c->chip.rows) * div_up(p.n, NIB_PANEL_N);
	padded_k = div_up(p.k, NIB_TILE_K) * NIB_TILE_K;
	cost->ops += 2 * rows * p.n * p.k * passes;
	cost->tensor += 2.0 * NIB_PANEL_N * c->chip.rows * padded_k * passes *
			div_up(blocks, c->chip.tiles) / c->chip.ops_per_cycle[a];
	cost->bytes += (double)nib_panels_bytes(p.w_fmt, p.n, p.k) +
		       rows * ((double)nib_row_bytes(p.a_fmt, p.k) +
			       p.n * 4.0 * (p.flags & NIB_GEMM_RESIDUAL ? 2 : 1)) +
		       (p.flags & NIB_GEMM_BIAS ? p.n * 4.0 : 0);
}

static void cost_attention(const struct accel_compile *c, const uint64_t *w, enum ac_case which,
			   struct ac_cost *cost)
{
	struct nib_pkt_attention p;
	double rows = count(c, w, 1, which), positions, passes, seen, kv;

	memcpy(&p, w, sizeof(p));
	kv = (double)nib_row_bytes(p.k_fmt, (uint64_t)p.n_kv_heads * p.head_dim) * 2;
	if (which == AC_CASE_DECODE) {
		positions = ac_decode_position(c) + 1;
		seen = positions;
	} else {
		positions = rows * (rows + 1) / 2;
		passes = div_up(rows, c->chip.attention_rows);
		seen = c->chip.attention_rows * passes * (passes + 1) / 2;
	}
	cost->ops += 4 * positions * p.n_heads * p.head_dim;
	cost->tensor += 4 * positions * p.n_heads * p.head_dim /
			(c->chip.ops_per_cycle[AC_UNIT_BF16] * c->chip.tiles);
	book_vector(&c->chip, cost, 0, positions * p.n_heads);
	cost->bytes += seen * kv + rows * p.n_heads * p.head_dim * 8.0;
}

static bool is_special(uint32_t op)
{
	return op == NIB_VEC_DIV || (op >= NIB_VEC_SQRT && op <= NIB_VEC_COS);
}

static void cost_vec(const struct accel_compile *c, const uint64_t *w, enum ac_case which,
		     struct ac_cost *cost)
{
	const uint64_t *insns;
	struct nib_pkt_vec p;
	double steps = count(c, w, 1, which) * count(c, w, 2, which), simple = 0, special = 0;
	uint32_t i, touched = 0;

	memcpy(&p, w, sizeof(p));
	insns = w + 4 + p.n_operands * 3;
	for (i = 0; i < p.n_insns; i++) {
		uint32_t op = insns[i] & 0xff;

		if (op == NIB_VEC_LOAD)
			touched |= 1u << (insns[i] >> 16 & 15);
		else if (op == NIB_VEC_STORE)
			touched |= 1u << (16 + (insns[i] >> 8 & 15));
		else if (is_special(op))
			special += p.n;
		else
			simple += op == NIB_VEC_FMA ? 2.0 * p.n : p.n;
	}
	book_vector(&c->chip, cost, steps * simple, steps * special);
	for (i = 0; i < p.n_operands; i++) {
		const uint64_t *o = w + 4 + i * 3;
		double d0 = (uint32_t)o[1] ? count(c, w, 1, which) : 1;
		double d1 = (uint32_t)(o[1] >> 32) ? count(c, w, 2, which) : 1;
		double n = (uint32_t)(o[2] >> 32) ? p.n : 1;

		cost->bytes += ((touched >> i & 1) + (touched >> (16 + i) & 1)) * d0 * d1 * n *
			       nib_format_bits((uint32_t)o[2]) / 8;
	}
}

static void cost_rows(const struct accel_compile *c, const uint64_t *w, enum ac_case which,
		      struct ac_cost *cost)
{
	double rows = count(c, w, 1, which);
	struct nib_pkt_gather gather;
	struct nib_pkt_kv_append append;
	struct nib_pkt_sample sample;
	struct nib_pkt_quant quant;
	double bytes;

	switch (w[0] & 0xffff) {
	case NIB_OP_GATHER:
		memcpy(&gather, w, sizeof(gather));
		bytes = gather.layout == NIB_LAYOUT_PANELS ?
			(double)nib_panel_bytes(gather.fmt, gather.width) / 4 :
			(double)nib_row_bytes(gather.fmt, gather.width);
		cost->bytes += rows * (4 + bytes + gather.width * 4.0);
		book_vector(&c->chip, cost, rows * gather.width, 0);
		break;
	case NIB_OP_QUANT:
		memcpy(&quant, w, sizeof(quant));
		cost->bytes +=
			rows * (quant.width * 4.0 + (double)nib_row_bytes(quant.fmt, quant.width));
		book_vector(&c->chip, cost, rows * quant.width * 2, 0);
		break;
	case NIB_OP_KV_APPEND:
		memcpy(&append, w, sizeof(append));
		cost->bytes += rows * (append.width * 4.0 + 16 +
				       (double)nib_row_bytes(append.fmt, append.width));
		book_vector(&c->chip, cost, rows * append.width * 2, 0);
		break;
	default:
		memcpy(&sample, w, sizeof(sample));
		cost->bytes += rows * (sample.n * 4.0 + 36);
		book_vector(&c->chip, cost, rows * sample.n, rows * sample.n);
		break;
	}
}

struct ac_cost ac_cost_packet(const struct accel_compile *c, const uint64_t *w, enum ac_case which)
{
	struct ac_cost cost = { .bound = AC_BOUND_NONE };
	double most;

	switch (w[0] & 0xffff) {
	case NIB_OP_GEMM:
		cost_gemm(c, w, which, &cost);
		break;
	case NIB_OP_ATTENTION:
		cost_attention(c, w, which, &cost);
		break;
	case NIB_OP_VEC:
		cost_vec(c, w, which, &cost);
		break;
	case NIB_OP_GATHER:
	case NIB_OP_QUANT:
	case NIB_OP_KV_APPEND:
	case NIB_OP_SAMPLE:
		cost_rows(c, w, which, &cost);
		break;
	default:
		break;
	}
	cost.memory = cost.bytes * c->chip.clock_hz / c->chip.hbm_bytes_per_s;
	most = cost.tensor > cost.vector ? cost.tensor : cost.vector;
	most = cost.memory > most ? cost.memory : most;
	if (most > 0)
		cost.bound = most == cost.memory ? AC_BOUND_MEMORY :
			     most == cost.tensor ? AC_BOUND_TENSOR : AC_BOUND_VECTOR;
	cost.cycles = (uint64_t)div_up(most, 1) + c->chip.packet_cycles;
	return cost;
}

struct ac_totals ac_cost_total(const struct accel_compile *c, enum ac_case which)
{
	struct ac_totals t = { .cycles = c->chip.job_cycles };
	double rows = argument(c, NIB_BIND_ROWS, which);
	struct ac_cost cost;
	uint64_t at;

	for (at = 0; at < c->stream_bytes / 8; at += c->stream[at] >> 16 & 0xffff) {
		cost = ac_cost_packet(c, c->stream + at, which);
		t.cycles += cost.cycles;
		t.ops += cost.ops;
		t.bytes += cost.bytes;
	}
	t.tokens_per_s = rows * c->chip.clock_hz / (double)t.cycles;
	t.memory_bound_per_s = rows * c->chip.hbm_bytes_per_s / t.bytes;
	return t;
}
