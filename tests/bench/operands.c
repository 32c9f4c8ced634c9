// SPDX-License-Identifier: MIT
/* See operands.h. */
#include <stdlib.h>
#include <string.h>
#include "kernels/kernels.h"
#include "operands.h"

void fill_codes(uint8_t *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = 0x38 + ((uint8_t)(i * 2654435761u >> 24) & 7);
}

void fill_floats(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-23f - 1;
}

void fill_rows(uint8_t *a, uint32_t fmt, uint32_t rows, uint32_t k)
{
	size_t pitch = nib_row_bytes(fmt, k);
	float *x = malloc(k * sizeof(*x));

	if (!x)
		abort();
	for (uint32_t i = 0; i < rows; i++) {
		/* Cubed, so that there are small ones beside large ones, as in a model. */
		for (uint32_t j = 0; j < k; j++) {
			x[j] = (float)((i * k + j) * 2654435761u >> 8) * 0x1p-23f - 1;
			x[j] *= x[j] * x[j];
		}
		nib_kernels_scalar.row_encode(fmt, NIB_SCALE_CEIL, x, k, a + i * pitch);
	}
	free(x);
}

void fill_panels(uint8_t *w, uint32_t fmt, uint32_t n, uint32_t k)
{
	size_t bytes = nib_panels_bytes(fmt, n, k), tile = nib_tile_bytes(fmt);
	uint32_t block = nib_format_block(fmt), terms = nib_format_terms(fmt);

	fill_codes(w, bytes);
	for (size_t i = 0; block && i < bytes; i += tile)
		for (size_t t = 0; t < terms; t++)
			memset(w + i + t * (tile / terms),
			       0x38 + (int)(i / tile & 7) + (fmt == NIB_FMT_NVFP4 ? 0 : 0x40),
			       NIB_PANEL_N * (NIB_TILE_K / block));
}

const char *format_name(uint32_t fmt)
{
	switch (fmt) {
	case NIB_FMT_F32: return "f32";
	case NIB_FMT_BF16: return "bf16";
	case NIB_FMT_F16: return "f16";
	case NIB_FMT_U32: return "u32";
	case NIB_FMT_E4M3: return "e4m3";
	case NIB_FMT_E5M2: return "e5m2";
	case NIB_FMT_MXFP4: return "mxfp4";
	case NIB_FMT_NVFP4: return "nvfp4";
	case NIB_FMT_MXFP8: return "mxfp8";
	case NIB_FMT_MXFP8_E5M2: return "mxfp8-e5m2";
	case NIB_FMT_MXFP8X2: return "mxfp8x2";
	default: return "?";
	}
}
