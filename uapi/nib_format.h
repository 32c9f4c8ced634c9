/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * Number formats and the two memory layouts that carry them: rows (activations, K/V, tables)
 * and panels (weights). Shared by the device, the compiler and the library; no state, no floating
 * point, so that the kernel may include it too. What a bit pattern means is stated here once; how
 * operations round is stated in nib_isa.h.
 */
#ifndef NIB_FORMAT_H
#define NIB_FORMAT_H

#include <linux/types.h>

#if defined(__cplusplus)
#define NIB_STATIC_ASSERT(cond, msg) static_assert(cond, msg)
#elif !defined(__KERNEL__)
#define NIB_STATIC_ASSERT(cond, msg) _Static_assert(cond, msg)
#else
#include <linux/build_bug.h>
#define NIB_STATIC_ASSERT(cond, msg) static_assert(cond, msg)
#endif

/**
 * enum nib_format - element and block formats.
 *
 * E2M1  s.ee.m     bias 1; values 0 .5 1 1.5 2 3 4 6; no infinity, no NaN.
 * E4M3  s.eeee.mmm bias 7; max 448; no infinity; NaN is S.1111.111 (the OCP "FN" variant).
 * E5M2  s.eeeee.mm bias 15; max 57344; IEEE infinities and NaNs.
 * E8M0  scale 2^(code - 127); 0xff is NaN; there is no zero.
 * UE4M3 scale: E4M3 without sign; 0x7f is NaN.
 * Sources: OCP Microscaling Formats 1.0 (E2M1, E4M3, E5M2, E8M0, blocks of 32), NVFP4 (blocks
 * of 16 with UE4M3 scales under one FP32 scale). FNUZ variants have no code: they are converted
 * or refused before they reach the device.
 *
 * @NIB_FMT_F32: IEEE binary32.
 * @NIB_FMT_BF16: upper half of binary32; conversions round to nearest even.
 * @NIB_FMT_F16: IEEE binary16; storage only, never a GEMM operand.
 * @NIB_FMT_U32: indices and counts.
 * @NIB_FMT_E4M3: FP8 without block scale.
 * @NIB_FMT_E5M2: FP8 without block scale.
 * @NIB_FMT_MXFP4: E2M1, E8M0 scale per 32.
 * @NIB_FMT_NVFP4: E2M1, UE4M3 scale per 16, one FP32 scale per row (rows) or per tensor (panels,
 *	carried by the GEMM packet's alpha).
 * @NIB_FMT_MXFP8: E4M3, E8M0 scale per 32.
 * @NIB_FMT_MXFP8_E5M2: E5M2, E8M0 scale per 32.
 * @NIB_FMT_MXFP8X2: two MXFP8 terms; the second encodes what the first left over.
 */
enum nib_format {
	NIB_FMT_NONE = 0,
	NIB_FMT_F32 = 1,
	NIB_FMT_BF16 = 2,
	NIB_FMT_F16 = 3,
	NIB_FMT_U32 = 4,
	NIB_FMT_E4M3 = 8,
	NIB_FMT_E5M2 = 9,
	NIB_FMT_MXFP4 = 16,
	NIB_FMT_NVFP4 = 17,
	NIB_FMT_MXFP8 = 18,
	NIB_FMT_MXFP8_E5M2 = 19,
	NIB_FMT_MXFP8X2 = 20,
};

/**
 * enum nib_scale_rule - how a quantizer picks the E8M0 scale of a block with maximum magnitude
 * amax, for an element format whose largest value is vmax and largest exponent emax.
 *
 * @NIB_SCALE_FLOOR: floor(log2(amax)) - emax; elements above vmax saturate (OCP MX 1.0, 6.3).
 * @NIB_SCALE_CEIL: the smallest scale at which amax / scale <= vmax: nothing saturates.
 * @NIB_SCALE_BEST3: of FLOOR - 1, FLOOR, FLOOR + 1 the one with the least squared error of the
 *	block; ties go to the smaller scale.
 *
 * Every rule gives code 127 (1.0) to an all-zero block, clamps to codes 0..254, and gives the
 * NaN code 255 to a block that holds a NaN or an infinity; the elements of both are zeros.
 * BEST3 adds squares as a row sum of fma(d, d, sum), d being the error times the inverse of the
 * FLOOR scale.
 * NVFP4 rows have the FP32 scale R = (largest finite magnitude) / 2688, or 1 where that is 0.
 * Block scales are (amax / 6) / R, rounded to nearest even in UE4M3, saturating; BEST3 tries that
 * code and its two neighbours, d being (x - element * (scale * R)) / R with a fused numerator.
 * Elements are x / (scale * R), or +0 where that divisor is 0. A NaN or an infinity gives its block
 * scale 0x7f and zeros. Every step is an FP32 operation. Bit 7 of a UE4M3 scale is ignored.
 */
enum nib_scale_rule {
	NIB_SCALE_FLOOR = 0,
	NIB_SCALE_CEIL = 1,
	NIB_SCALE_BEST3 = 2,
};

/* Outputs per panel, reduction elements per tile, and the alignment of a row, in elements. */
#define NIB_PANEL_N	64u
#define NIB_TILE_K	32u
#define NIB_ROW_ALIGN	16u	/* bytes */

/* Bits of one stored element; 0 for an unknown format. */
static inline __u32 nib_format_bits(__u32 fmt)
{
	switch (fmt) {
	case NIB_FMT_F32:
	case NIB_FMT_U32:
		return 32;
	case NIB_FMT_BF16:
	case NIB_FMT_F16:
		return 16;
	case NIB_FMT_E4M3:
	case NIB_FMT_E5M2:
	case NIB_FMT_MXFP8:
	case NIB_FMT_MXFP8_E5M2:
	case NIB_FMT_MXFP8X2:
		return 8;
	case NIB_FMT_MXFP4:
	case NIB_FMT_NVFP4:
		return 4;
	default:
		return 0;
	}
}

/* Elements that share a scale byte; 0 where there is no block scale. */
static inline __u32 nib_format_block(__u32 fmt)
{
	switch (fmt) {
	case NIB_FMT_MXFP4:
	case NIB_FMT_MXFP8:
	case NIB_FMT_MXFP8_E5M2:
	case NIB_FMT_MXFP8X2:
		return 32;
	case NIB_FMT_NVFP4:
		return 16;
	default:
		return 0;
	}
}

/* Terms whose sum is the value: 2 for the split format, else 1. */
static inline __u32 nib_format_terms(__u32 fmt)
{
	return fmt == NIB_FMT_MXFP8X2 ? 2 : 1;
}

/* True for formats that GEMM takes on either side. */
static inline int nib_format_is_gemm(__u32 fmt)
{
	return fmt == NIB_FMT_BF16 || nib_format_block(fmt) != 0;
}

/*
 * Row layout. One row of k elements is self-contained; k is padded with zeros to a multiple of 32
 * for block formats:
 *
 *	term 0: data (natural order, FP4 low nibble first), scales (one byte a block)
 *	term 1: the same (split formats only)
 *	NVFP4: the row's FP32 scale
 *	zero padding to NIB_ROW_ALIGN bytes
 */
static inline __u64 nib_row_padded_k(__u32 fmt, __u64 k)
{
	return nib_format_block(fmt) ? (k + NIB_TILE_K - 1) / NIB_TILE_K * NIB_TILE_K : k;
}

/* Bytes of one term's data in a row. */
static inline __u64 nib_row_data_bytes(__u32 fmt, __u64 k)
{
	return nib_row_padded_k(fmt, k) * nib_format_bits(fmt) / 8;
}

/* Bytes of one term's scales in a row. */
static inline __u64 nib_row_scale_bytes(__u32 fmt, __u64 k)
{
	__u32 block = nib_format_block(fmt);

	/* Two shifts rather than a division: 32-bit kernels have none for 64 bits. */
	return block == 32 ? nib_row_padded_k(fmt, k) / 32 :
	       block ? nib_row_padded_k(fmt, k) / 16 : 0;
}

/* Bytes of a whole row: the least row pitch. 0 for an unknown format. */
static inline __u64 nib_row_bytes(__u32 fmt, __u64 k)
{
	__u64 bytes = nib_row_data_bytes(fmt, k) + nib_row_scale_bytes(fmt, k);

	bytes *= nib_format_terms(fmt);
	if (fmt == NIB_FMT_NVFP4)
		bytes += 4;
	return (bytes + NIB_ROW_ALIGN - 1) / NIB_ROW_ALIGN * NIB_ROW_ALIGN;
}

/*
 * Panel layout of a weight matrix W[n outputs][k]. n is padded to 64 and k to 32 with zeros.
 * Panels (64 outputs) follow each other; in a panel, tiles (64 outputs x 32 k) follow each other
 * along k, so that one panel is one sequential stream. A tile holds, for each term:
 *
 *	scales: for each block along k, 64 bytes, one an output
 *	data: four groups of 16 outputs; a group is `bits` vectors of 64 bytes
 *
 * A vector has 16 lanes of 32 bits, one an output. Lane l of vector v holds the 32 / bits
 * elements k = v * (32 / bits) ...: the even ones in its low half, the odd ones in its high half,
 * each ascending from the least significant bit. Halves pair up for BF16 dot products; masking
 * and shifting bytes gives the quads of integer dot products.
 */
static inline __u64 nib_tile_bytes(__u32 fmt)
{
	__u32 block = nib_format_block(fmt);
	__u64 scales = block ? NIB_PANEL_N * (NIB_TILE_K / block) : 0;
	__u64 data = (__u64)NIB_PANEL_N * NIB_TILE_K * nib_format_bits(fmt) / 8;

	return (scales + data) * nib_format_terms(fmt);
}

static inline __u64 nib_panel_bytes(__u32 fmt, __u64 k)
{
	return (k + NIB_TILE_K - 1) / NIB_TILE_K * nib_tile_bytes(fmt);
}

/* Bytes of a whole weight matrix in panel layout. */
static inline __u64 nib_panels_bytes(__u32 fmt, __u64 n, __u64 k)
{
	return (n + NIB_PANEL_N - 1) / NIB_PANEL_N * nib_panel_bytes(fmt, k);
}

/*
 * Where element (n, k) of term t sits, relative to the tile that holds it: *byte is the offset of
 * its byte and the return value the shift of its low bit in that byte. n < 64 and k < 32 are
 * relative to the tile.
 */
static inline __u32 nib_tile_element(__u32 fmt, __u32 t, __u32 n, __u32 k, __u64 *byte)
{
	__u32 bits = nib_format_bits(fmt);
	__u32 per_lane = 32 / bits;
	__u32 block = nib_format_block(fmt);
	__u32 scales = block ? NIB_PANEL_N * (NIB_TILE_K / block) : 0;
	__u32 in_lane = k % per_lane;
	__u32 bit = bits == 32 ? 0 : (in_lane & 1) * 16 + in_lane / 2 * bits;
	__u64 vector = (__u64)(n / 16) * bits + k / per_lane;

	*byte = (__u64)t * (nib_tile_bytes(fmt) / nib_format_terms(fmt)) + scales + vector * 64 +
		n % 16 * 4 + bit / 8;
	return bit % 8;
}

/* Offset in its tile of the scale byte that covers element (n, k) of term t. */
static inline __u64 nib_tile_scale(__u32 fmt, __u32 t, __u32 n, __u32 k)
{
	return (__u64)t * (nib_tile_bytes(fmt) / nib_format_terms(fmt)) +
	       k / nib_format_block(fmt) * NIB_PANEL_N + n;
}

#endif
