// SPDX-License-Identifier: MIT
/*
 * Time and energy. A packet takes as long as the busiest of its resources (a roofline over tensor
 * units, vector unit and each memory) plus a fixed overhead; its energy is what it moved and
 * computed at the chip's prices, plus static power over that time. Every figure is modelled.
 */
#include <math.h>
#include "hw.h"

typedef unsigned __int128 u128;

static uint64_t sat128(u128 x)
{
	return x > UINT64_MAX ? UINT64_MAX : (uint64_t)x;
}

static uint64_t div_up(u128 a, u128 b)
{
	return sat128((a + b - 1) / b);
}

static enum nib_unit format_unit(uint32_t fmt)
{
	if (fmt == NIB_FMT_BF16)
		return NIB_UNIT_BF16;
	return nib_format_bits(fmt) == 4 ? NIB_UNIT_FP4 : NIB_UNIT_FP8;
}

/*
 * Work comes in blocks of one panel by tile_rows rows; tiles take blocks in turns, so a number of
 * blocks that is no multiple of the tiles leaves some idle in the last turn, and rows that do not
 * fill a block leave lanes idle. Split formats run one pass for each pair of terms.
 */
void nib_cost_gemm(const struct nib_chip *chip, struct nib_cost *cost, uint64_t rows, uint64_t n,
		   uint64_t k, uint32_t a_fmt, uint32_t w_fmt)
{
	enum nib_unit a = format_unit(a_fmt), w = format_unit(w_fmt), unit = a > w ? a : w;
	uint64_t passes = nib_format_terms(a_fmt) * nib_format_terms(w_fmt);
	uint64_t panels = (n + NIB_PANEL_N - 1) / NIB_PANEL_N;
	u128 blocks = (u128)((rows + chip->tile_rows - 1) / chip->tile_rows) * panels;
	uint64_t turns = div_up(blocks, chip->tiles);
	uint64_t padded_k = (k + NIB_TILE_K - 1) / NIB_TILE_K * NIB_TILE_K;
	u128 block_ops = (u128)2 * NIB_PANEL_N * chip->tile_rows * padded_k * passes;

	cost->ops[unit] = nib_add_sat(cost->ops[unit], sat128((u128)2 * rows * n * k * passes));
	cost->tensor_cycles = nib_add_sat(cost->tensor_cycles,
					  div_up(block_ops * turns * 1000000,
						 chip->tensor_mops[unit]));
}

/* Scores and weighted values as BF16 products, and an exponential for each score. */
void nib_cost_attention(const struct nib_chip *chip, struct nib_cost *cost, uint64_t positions,
			uint64_t heads, uint64_t head_dim)
{
	u128 ops = (u128)4 * positions * heads * head_dim;
	u128 rate = (u128)chip->tensor_mops[NIB_UNIT_BF16] * chip->tiles;

	cost->ops[NIB_UNIT_BF16] = nib_add_sat(cost->ops[NIB_UNIT_BF16], sat128(ops));
	cost->tensor_cycles = nib_add_sat(cost->tensor_cycles, div_up(ops * 1000000, rate));
	nib_cost_vector(chip, cost, 0, nib_mul_sat(positions, heads));
}

void nib_cost_vector(const struct nib_chip *chip, struct nib_cost *cost, uint64_t simple,
		     uint64_t special)
{
	u128 slots = (u128)simple + (u128)special * chip->special_cycles;

	cost->vector_ops = nib_add_sat(cost->vector_ops, nib_add_sat(simple, special));
	cost->vector_cycles = nib_add_sat(cost->vector_cycles, div_up(slots, chip->lanes));
}

/* Cycles by enum nib_trace_engine. */
static void cost_engine_cycles(const struct nib_chip *chip, const struct nib_cost *cost,
			       uint64_t *cycles)
{
	cycles[NIB_TRACE_TENSOR] = div_up(cost->tensor_cycles, 1000);
	cycles[NIB_TRACE_VECTOR] = cost->vector_cycles;
	for (int i = 0; i < NIB_MEMS; i++)
		cycles[NIB_TRACE_MEMORY + i] =
			div_up((u128)nib_add_sat(cost->read[i], cost->write[i]) * chip->clock_hz,
			       chip->mem[i].bytes_per_s);
}

/* Engines overlap: the slowest one says how long it takes. */
static uint64_t cost_cycles(const struct nib_chip *chip, const struct nib_cost *cost)
{
	uint64_t cycles[NIB_TRACE_ENGINES], most = 0;

	cost_engine_cycles(chip, cost, cycles);
	for (int i = 0; i < NIB_TRACE_ENGINES; i++)
		most = cycles[i] > most ? cycles[i] : most;
	return most;
}

void nib_cost_engines(const struct nib_chip *chip, const struct nib_cost *cost, uint64_t *engine_ps)
{
	uint64_t cycles[NIB_TRACE_ENGINES];

	cost_engine_cycles(chip, cost, cycles);
	for (int i = 0; i < NIB_TRACE_ENGINES; i++)
		engine_ps[i] = div_up((u128)cycles[i] * 1000000000000ull, chip->clock_hz);
}

/* Without static power, femtojoules. */
static u128 cost_energy_fj(const struct nib_chip *chip, const struct nib_cost *cost)
{
	u128 fj = (u128)cost->vector_ops * chip->vector_fj;

	for (int i = 0; i < NIB_MEMS; i++)
		fj += ((u128)cost->read[i] + cost->write[i]) * chip->mem[i].fj_per_byte;
	for (int i = 0; i < NIB_UNITS; i++)
		fj += (u128)cost->ops[i] * chip->tensor_fj[i];
	return fj;
}

void nib_cost_settle(const struct nib_chip *chip, const struct nib_cost *cost, bool first,
		     struct nib_engine_result *result)
{
	u128 pj;

	result->cycles = nib_add_sat(cost_cycles(chip, cost), chip->packet_cycles);
	if (first)
		result->cycles = nib_add_sat(result->cycles, chip->job_cycles);
	result->time_ps = div_up((u128)result->cycles * 1000000000000ull, chip->clock_hz);
	/* A milliwatt for a nanosecond is a picojoule. */
	pj = cost_energy_fj(chip, cost) / 1000 +
	     (u128)chip->static_mw * result->time_ps / 1000;
	result->energy_pj = sat128(pj);
	result->ops = cost->vector_ops;
	for (int i = 0; i < NIB_UNITS; i++)
		result->ops = nib_add_sat(result->ops, cost->ops[i]);
}

/* --- The device's meters --- */

void nib_meter_init(struct nib_hw *hw, uint64_t host_ns)
{
	hw->meter = (struct nib_meter){
		.idle_since = host_ns,
		.temp_mc = hw->chip.ambient_mc,
	};
}

static void meter_energy_add(struct nib_meter *m, u128 pj)
{
	pj += m->energy_pj;
	m->energy_uj = nib_add_sat(m->energy_uj, sat128(pj / 1000000));
	m->energy_pj = (uint64_t)(pj % 1000000);
}

void nib_meter_book(struct nib_hw *hw, const struct nib_engine_result *result)
{
	hw->meter.busy_ps = nib_add_sat(hw->meter.busy_ps, result->time_ps);
	meter_energy_add(&hw->meter, result->energy_pj);
}

static uint64_t meter_idle_ns(const struct nib_meter *m, uint64_t host_ns)
{
	uint64_t since = m->idle_since && host_ns > m->idle_since ? host_ns - m->idle_since : 0;

	return m->idle_ns + since;
}

void nib_meter_busy(struct nib_hw *hw, uint64_t host_ns)
{
	struct nib_meter *m = &hw->meter;

	m->idle_ns = meter_idle_ns(m, host_ns);
	m->idle_since = 0;
}

void nib_meter_idle(struct nib_hw *hw, uint64_t host_ns)
{
	if (!hw->meter.idle_since)
		hw->meter.idle_since = host_ns;
}

uint64_t nib_meter_clock_ns(const struct nib_hw *hw, uint64_t host_ns)
{
	return hw->meter.busy_ps / 1000 + meter_idle_ns(&hw->meter, host_ns);
}

uint64_t nib_meter_clock_ps(const struct nib_hw *hw)
{
	return nib_add_sat(hw->meter.busy_ps, nib_mul_sat(hw->meter.idle_ns, 1000));
}

static uint64_t meter_idle_mw(const struct nib_hw *hw)
{
	return hw->meter.asleep ? hw->chip.sleep_mw : hw->chip.static_mw;
}

uint64_t nib_meter_energy_uj(struct nib_hw *hw, uint64_t host_ns)
{
	struct nib_meter *m = &hw->meter;
	uint64_t idle = meter_idle_ns(m, host_ns);

	/* Idle time costs static power; busy time has paid for its own already. */
	if (idle > m->static_ns) {
		meter_energy_add(m, (u128)meter_idle_mw(hw) * (idle - m->static_ns));
		m->static_ns = idle;
	}
	return m->energy_uj;
}

/* Goes to D3hot, or comes back. The device is idle. */
void nib_meter_sleep(struct nib_hw *hw, bool asleep, uint64_t host_ns)
{
	/* What has passed so far is paid for at the old price. */
	nib_meter_energy_uj(hw, host_ns);
	hw->meter.asleep = asleep;
}

/* Mean power between two readings, in milliwatts: microjoules per nanosecond, times 10^6. */
static double meter_mw(uint64_t uj, uint64_t ns)
{
	return ns ? (double)uj * 1e6 / (double)ns : 0;
}

uint32_t nib_meter_power_mw(struct nib_hw *hw, uint64_t host_ns)
{
	struct nib_meter *m = &hw->meter;
	uint64_t clock = nib_meter_clock_ns(hw, host_ns), uj = nib_meter_energy_uj(hw, host_ns);
	double mw;

	/* Below a millisecond the microjoules of the meter are too coarse. */
	if (clock - m->last_ns < 1000000)
		return m->last_ns ? m->last_mw : (uint32_t)hw->chip.static_mw;
	mw = meter_mw(uj - m->last_uj, clock - m->last_ns);
	m->last_mw = mw < 4e9 ? (uint32_t)(mw + 0.5) : UINT32_MAX;
	m->last_ns = clock;
	m->last_uj = uj;
	return m->last_mw;
}

/* First-order thermal model: the die approaches ambient + power * resistance. */
uint32_t nib_meter_temp_mc(struct nib_hw *hw, uint64_t host_ns)
{
	struct nib_meter *m = &hw->meter;
	uint64_t clock = nib_meter_clock_ns(hw, host_ns), uj = nib_meter_energy_uj(hw, host_ns);
	uint64_t dt = clock - m->heat_ns;
	double target;

	if (dt >= 1000000) {
		target = hw->chip.ambient_mc +
			 meter_mw(uj - m->heat_uj, dt) / 1e3 * hw->chip.mc_per_w;
		m->temp_mc = target + (m->temp_mc - target) *
			     exp(-(double)dt / (hw->chip.thermal_ms * 1e6));
		m->heat_ns = clock;
		m->heat_uj = uj;
	}
	return m->temp_mc < 4e9 ? (uint32_t)m->temp_mc : UINT32_MAX;
}
