// SPDX-License-Identifier: MIT
/*
 * Every rule of nib_format.h by exhaustive search or by its own words.
 */
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "slow_format.h"

static int man_bits(uint32_t fmt)
{
	switch (fmt) {
	case NIB_FMT_MXFP4: case NIB_FMT_NVFP4:
		return 1;
	case NIB_FMT_MXFP8_E5M2: case NIB_FMT_E5M2:
		return 2;
	default:
		return 3;
	}
}

static double element(uint32_t fmt, uint32_t code)
{
	int bits = (int)nib_format_bits(fmt), man = man_bits(fmt);
	int bias = (1 << (bits - 1 - man - 1)) - 1,
	    exp = code >> man & ((1 << (bits - 1 - man)) - 1);
	double frac = (double)(code & ((1u << man) - 1)) / (1 << man);
	double value = exp ? ldexp(1 + frac, exp - bias) : ldexp(frac, 1 - bias);

	return code >> (bits - 1) & 1 ? -value : value;
}

double slow_element(uint32_t fmt, uint32_t code)
{
	static double tables[3][256];
	static bool ready[3];
	int t = man_bits(fmt) - 1;
	uint32_t c;

	for (c = 0; c < 1u << nib_format_bits(fmt) && !ready[t]; c++)
		tables[t][c] = element(fmt, c);
	ready[t] = true;
	return tables[t][code];
}

/* Largest code that is a number. */
static uint32_t top_code(uint32_t fmt)
{
	return man_bits(fmt) == 1 ? 7 : man_bits(fmt) == 2 ? 0x7b : 0x7e;
}

double slow_scale(uint32_t fmt, uint32_t code)
{
	if (fmt == NIB_FMT_NVFP4)
		return code == 0x7f ? NAN : slow_element(NIB_FMT_E4M3, code);
	return code == 255 ? NAN : ldexp(1, (int)code - 127);
}

/* Magnitudes ascend with their codes: the answer is one of two neighbours. */
uint32_t slow_nearest(uint32_t fmt, double x)
{
	uint32_t low = 0, high = top_code(fmt), mid, sign;
	double below, above;

	sign = signbit(x) ? 1u << (nib_format_bits(fmt) - 1) : 0;
	x = fabs(x);
	if (x >= slow_element(fmt, high))
		return high | sign;
	while (high - low > 1) {
		mid = (low + high) / 2;
		if (slow_element(fmt, mid) <= x)
			low = mid;
		else
			high = mid;
	}
	below = x - slow_element(fmt, low);
	above = slow_element(fmt, high) - x;
	if (above < below || (above == below && low & 1))
		low = high;
	return low | sign;
}

static double block_values(uint32_t fmt, const double *x, double factor, uint8_t *codes)
{
	uint32_t n = nib_format_block(fmt), i, c;
	double sum = 0;

	for (i = 0; i < n; i++) {
		c = factor ? slow_nearest(fmt, x[i] / factor) :
		    signbit(x[i]) ? 1u << (nib_format_bits(fmt) - 1) : 0;
		if (codes)
			codes[i] = (uint8_t)c;
		sum += pow(x[i] - slow_element(fmt, c) * factor, 2);
	}
	return sum;
}

double slow_error(uint32_t fmt, const double *x, double global, uint32_t scale)
{
	return block_values(fmt, x, slow_scale(fmt, scale) * (fmt == NIB_FMT_NVFP4 ? global : 1),
			    NULL);
}

double slow_block(uint32_t fmt, uint32_t rule, const double *x, double global, uint8_t *codes,
		  uint8_t *scale)
{
	uint32_t n = nib_format_block(fmt), i;
	double amax = 0, vmax = slow_element(fmt, top_code(fmt)), best = INFINITY, error;
	int code, first, last, c, most = fmt == NIB_FMT_NVFP4 ? 0x7e : 254, exp;

	for (i = 0; i < n; i++) {
		if (!isfinite(x[i])) {
			memset(codes, 0, n);
			*scale = fmt == NIB_FMT_NVFP4 ? 0x7f : 255;
			return INFINITY;
		}
		amax = fabs(x[i]) > amax ? fabs(x[i]) : amax;
	}
	if (fmt == NIB_FMT_NVFP4) {
		code = (int)slow_nearest(NIB_FMT_E4M3, amax / 6 / global);
	} else if (!amax) {
		*scale = 127;
		return block_values(fmt, x, 1, codes);
	} else {
		frexp(amax, &exp);
		code = exp - 1 - ilogb(vmax) + 127;
		code = code < 0 ? 0 : code > 254 ? 254 : code;
		if (rule == NIB_SCALE_CEIL && code < 254 && amax / ldexp(1, code - 127) > vmax)
			code++;
	}
	first = last = code;
	if (rule == NIB_SCALE_BEST3 && (fmt != NIB_FMT_NVFP4 || amax)) {
		first = code ? code - 1 : 0;
		last = code < most ? code + 1 : most;
	}
	for (c = first; c <= last; c++) {
		error = slow_error(fmt, x, global, (uint32_t)c);
		if (error < best) {
			best = error;
			code = c;
		}
	}
	*scale = (uint8_t)code;
	return block_values(fmt, x, slow_scale(fmt, (uint32_t)code) *
			    (fmt == NIB_FMT_NVFP4 ? global : 1), codes);
}

static void put_code(uint32_t fmt, uint8_t *data, uint64_t i, uint32_t code)
{
	if (nib_format_bits(fmt) == 8)
		data[i] = (uint8_t)code;
	else
		data[i / 2] |= (uint8_t)(code << (i % 2 * 4));
}

void slow_row_encode(uint32_t fmt, uint32_t rule, const float *x, uint64_t k, uint8_t *row)
{
	uint64_t padded = nib_row_padded_k(fmt, k), i, b;
	uint32_t block = nib_format_block(fmt), t, j, bits;
	uint64_t term = nib_row_data_bytes(fmt, k) + nib_row_scale_bytes(fmt, k);
	double rest[32], max = 0, global = 1;
	uint8_t codes[32];
	float f;

	memset(row, 0, nib_row_bytes(fmt, k));
	if (!block) {
		for (i = 0; i < k; i++) {
			memcpy(&bits, &x[i], 4);
			bits = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
			if (fmt == NIB_FMT_F32)
				memcpy(row + i * 4, &x[i], 4);
			else
				memcpy(row + i * 2, &bits, 2);
		}
		return;
	}
	for (i = 0; i < k; i++)
		max = fabs((double)x[i]) > max ? fabs((double)x[i]) : max;
	if (fmt == NIB_FMT_NVFP4) {
		f = max ? (float)max / (448.0f * 6.0f) : 1;
		global = (double)f;
		memcpy(row + term, &f, 4);
	}
	for (b = 0; b < padded / block; b++) {
		for (j = 0; j < block; j++)
			rest[j] = b * block + j < k ? (double)x[b * block + j] : 0;
		for (t = 0; t < nib_format_terms(fmt); t++) {
			uint8_t *to = row + t * term, *scale = to + nib_row_data_bytes(fmt, k) + b;

			slow_block(fmt, rule, rest, global, codes, scale);
			for (j = 0; j < block; j++) {
				put_code(fmt, to, b * block + j, codes[j]);
				rest[j] -= slow_element(fmt, codes[j]) * slow_scale(fmt, *scale);
			}
		}
	}
}

void slow_row_decode(uint32_t fmt, const uint8_t *row, uint64_t k, double *x)
{
	uint64_t data = nib_row_data_bytes(fmt, k), term = data + nib_row_scale_bytes(fmt, k), i;
	uint32_t block = nib_format_block(fmt), t, code, bits;
	float f, global = 1;

	if (fmt == NIB_FMT_NVFP4)
		memcpy(&global, row + term, 4);
	for (i = 0; i < k; i++) {
		x[i] = -0.0;	/* so that a sum of negative zeros stays one */
		if (!block) {
			bits = 0;
			memcpy(&bits, row + i * nib_format_bits(fmt) / 8, nib_format_bits(fmt) / 8);
			bits <<= fmt == NIB_FMT_BF16 ? 16 : 0;
			memcpy(&f, &bits, 4);
			x[i] = (double)f;
			continue;
		}
		for (t = 0; t < nib_format_terms(fmt); t++) {
			const uint8_t *from = row + t * term;

			code = nib_format_bits(fmt) == 8 ? from[i]
							 : from[i / 2] >> (i % 2 * 4) & 15;
			x[i] += slow_element(fmt, code) * slow_scale(fmt, from[data + i / block]) *
				(double)global;
		}
	}
}

double slow_panel(uint32_t fmt, const uint8_t *panels, uint64_t depth, uint64_t n, uint64_t k)
{
	const uint8_t *tile = panels + n / NIB_PANEL_N * nib_panel_bytes(fmt, depth) +
			      k / NIB_TILE_K * nib_tile_bytes(fmt);
	uint32_t row = n % NIB_PANEL_N, col = k % NIB_TILE_K, t, shift, code = 0;
	uint32_t mask = nib_format_bits(fmt) == 4 ? 15 : 255;
	double sum = -0.0;
	__u64 byte;
	float f;

	for (t = 0; t < nib_format_terms(fmt); t++) {
		shift = nib_tile_element(fmt, t, row, col, &byte);
		if (fmt == NIB_FMT_BF16) {
			code = (uint32_t)tile[byte] << 16 | (uint32_t)tile[byte + 1] << 24;
			memcpy(&f, &code, 4);
			return (double)f;
		}
		code = tile[byte] >> shift & mask;
		sum += slow_element(fmt, code) *
		       slow_scale(fmt, tile[nib_tile_scale(fmt, t, row, col)]);
	}
	return sum;
}
