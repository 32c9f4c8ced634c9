// SPDX-License-Identifier: MIT
/*
 * Layouts of nib_format.h: sizes worked by hand from the text of that header, every bit of a tile
 * used by exactly one element or scale, and no overflow at the largest shapes.
 */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "nib_isa.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* As ck_assert_msg(), which takes note of every success: too slow for loops over all bits. */
#define check_that(cond, ...)							\
	do {									\
		if (!(cond))							\
			ck_abort_msg(__VA_ARGS__);				\
	} while (0)

/* What the header says of each format; a tile is 64 outputs x 32 k. */
static const struct format {
	uint32_t fmt;
	uint32_t bits;
	uint32_t block;
	uint32_t terms;
	int gemm;
	uint32_t tile_bytes;
} formats[] = {
	{ NIB_FMT_F32, 32, 0, 1, 0, 8192 },
	{ NIB_FMT_BF16, 16, 0, 1, 1, 4096 },
	{ NIB_FMT_F16, 16, 0, 1, 0, 4096 },
	{ NIB_FMT_U32, 32, 0, 1, 0, 8192 },
	{ NIB_FMT_E4M3, 8, 0, 1, 0, 2048 },
	{ NIB_FMT_E5M2, 8, 0, 1, 0, 2048 },
	{ NIB_FMT_MXFP4, 4, 32, 1, 1, 64 + 1024 },
	{ NIB_FMT_NVFP4, 4, 16, 1, 1, 128 + 1024 },
	{ NIB_FMT_MXFP8, 8, 32, 1, 1, 64 + 2048 },
	{ NIB_FMT_MXFP8_E5M2, 8, 32, 1, 1, 64 + 2048 },
	{ NIB_FMT_MXFP8X2, 8, 32, 2, 1, 2 * (64 + 2048) },
};

START_TEST(properties)
{
	const struct format *f = &formats[_i];

	ck_assert_uint_eq(nib_format_bits(f->fmt), f->bits);
	ck_assert_uint_eq(nib_format_block(f->fmt), f->block);
	ck_assert_uint_eq(nib_format_terms(f->fmt), f->terms);
	ck_assert_int_eq(nib_format_is_gemm(f->fmt), f->gemm);
	ck_assert_uint_eq(nib_tile_bytes(f->fmt), f->tile_bytes);
	/* Vectors of 64 bytes stay aligned from tile to tile. */
	ck_assert_uint_eq(f->tile_bytes % 64, 0);
}
END_TEST

START_TEST(unknown_formats_have_no_size)
{
	uint32_t fmt;
	size_t i;

	for (fmt = 0; fmt < 0x20000; fmt++) {
		for (i = 0; i < ARRAY_SIZE(formats) && formats[i].fmt != fmt; i++)
			;
		if (i < ARRAY_SIZE(formats))
			continue;
		check_that(!nib_format_bits(fmt) && !nib_row_bytes(fmt, 4096) &&
			   !nib_panels_bytes(fmt, 64, 64) && !nib_format_is_gemm(fmt),
			   "format %u", fmt);
	}
}
END_TEST

/* Counts how many things claim each bit. */
static void claim(uint8_t *used, uint64_t bytes, uint64_t byte, uint32_t shift, uint32_t bits)
{
	for (uint32_t i = 0; i < bits; i++) {
		uint64_t bit = byte * 8 + shift + i;

		check_that(bit < bytes * 8, "bit %llu of a tile of %llu bytes",
			   (unsigned long long)bit, (unsigned long long)bytes);
		check_that(!used[bit], "bit %llu is used twice", (unsigned long long)bit);
		used[bit] = 1;
	}
}

/* Elements and scales of all terms fill a tile, each bit once. */
START_TEST(tiles_are_full)
{
	const struct format *f = &formats[_i];
	uint8_t *used = calloc(f->tile_bytes, 8);
	uint32_t t, n, k, shift;
	uint64_t bit;
	__u64 byte;

	for (t = 0; t < f->terms; t++) {
		for (n = 0; n < NIB_PANEL_N; n++) {
			for (k = 0; k < NIB_TILE_K; k++) {
				shift = nib_tile_element(f->fmt, t, n, k, &byte);
				claim(used, f->tile_bytes, byte, shift, f->bits);
			}
			for (k = 0; f->block && k < NIB_TILE_K; k += f->block)
				claim(used, f->tile_bytes, nib_tile_scale(f->fmt, t, n, k), 0, 8);
		}
	}
	for (bit = 0; bit < f->tile_bytes * 8ull; bit++)
		check_that(used[bit], "bit %llu is not used", (unsigned long long)bit);
	free(used);
}
END_TEST

/* All elements of a block share one scale, and blocks do not share theirs. */
START_TEST(scales_cover_blocks)
{
	const struct format *f = &formats[_i];
	uint32_t t, n, k;

	for (t = 0; f->block && t < f->terms; t++)
		for (n = 0; n < NIB_PANEL_N; n++)
			for (k = 0; k < NIB_TILE_K; k++)
				check_that(nib_tile_scale(f->fmt, t, n, k) ==
					   t * (f->tile_bytes / f->terms) + k / f->block * 64 + n,
					   "term %u, element (%u, %u)", t, n, k);
}
END_TEST

/*
 * The header's picture drawn from the other end: 32-bit lane l of vector v of group g, its low half
 * the even elements, its high half the odd ones, each ascending.
 */
START_TEST(lanes_hold_even_elements_low_and_odd_ones_high)
{
	const struct format *f = &formats[_i];
	uint32_t per_lane = 32 / f->bits, n, v, i, shift, bit;
	uint32_t scales = f->block ? 64 * (32 / f->block) : 0;
	__u64 byte, vector;

	for (n = 0; n < NIB_PANEL_N; n++) {
		for (v = 0; v < f->bits; v++) {
			vector = scales + (n / 16 * f->bits + v) * 64;
			for (i = 0; i < per_lane; i++) {
				bit = i % 2 ? 16 + i / 2 * f->bits : i / 2 * f->bits;
				shift = nib_tile_element(f->fmt, 0, n, v * per_lane + i, &byte);
				check_that(byte * 8 + shift == (vector + n % 16 * 4) * 8 + bit,
					   "output %u, element %u", n, v * per_lane + i);
			}
		}
	}
}
END_TEST

/*
 * By hand. MXFP4: 64 bytes of scales, then vectors; a lane is 8 elements, so k = 0..7 lie in the
 * first vector: even ones in nibbles 0 to 3 of the lane, odd ones in nibbles 4 to 7.
 */
START_TEST(elements_by_hand)
{
	static const struct {
		uint32_t fmt, term, n, k, byte, shift;
	} at[] = {
		{ NIB_FMT_MXFP4, 0, 0, 0, 64, 0 },
		{ NIB_FMT_MXFP4, 0, 0, 1, 66, 0 },
		{ NIB_FMT_MXFP4, 0, 0, 2, 64, 4 },
		{ NIB_FMT_MXFP4, 0, 0, 3, 66, 4 },
		{ NIB_FMT_MXFP4, 0, 0, 7, 67, 4 },
		{ NIB_FMT_MXFP4, 0, 0, 8, 128, 0 },		/* second vector */
		{ NIB_FMT_MXFP4, 0, 1, 0, 68, 0 },		/* second lane */
		{ NIB_FMT_MXFP4, 0, 16, 0, 64 + 4 * 64, 0 },	/* second group, 4 vectors on */
		{ NIB_FMT_MXFP4, 0, 17, 9, 64 + 5 * 64 + 4 + 2, 0 },
		{ NIB_FMT_MXFP4, 0, 63, 31, 1087, 4 },		/* the last nibble */
		{ NIB_FMT_NVFP4, 0, 0, 0, 128, 0 },		/* two scales an output */
		{ NIB_FMT_NVFP4, 0, 63, 31, 1151, 4 },
		{ NIB_FMT_MXFP8, 0, 0, 0, 64, 0 },		/* a lane is 4 elements: 0 2 1 3 */
		{ NIB_FMT_MXFP8, 0, 0, 1, 66, 0 },
		{ NIB_FMT_MXFP8, 0, 0, 2, 65, 0 },
		{ NIB_FMT_MXFP8, 0, 0, 3, 67, 0 },
		{ NIB_FMT_MXFP8, 0, 0, 4, 128, 0 },
		{ NIB_FMT_MXFP8, 0, 16, 0, 64 + 8 * 64, 0 },	/* a group is 8 vectors */
		{ NIB_FMT_MXFP8X2, 0, 0, 1, 66, 0 },
		{ NIB_FMT_MXFP8X2, 1, 0, 1, 2112 + 66, 0 },	/* the same in the second term */
		{ NIB_FMT_MXFP8X2, 1, 63, 31, 4223, 0 },
		{ NIB_FMT_BF16, 0, 0, 1, 2, 0 },		/* pairs of BF16 dot products */
		{ NIB_FMT_BF16, 0, 1, 0, 4, 0 },
		{ NIB_FMT_BF16, 0, 0, 2, 64, 0 },
		{ NIB_FMT_F32, 0, 3, 5, 5 * 64 + 12, 0 },
	};
	__u64 byte;

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		uint32_t shift = nib_tile_element(at[i].fmt, at[i].term, at[i].n, at[i].k, &byte);

		ck_assert_msg(byte == at[i].byte && shift == at[i].shift,
			      "row %zu: byte %llu shift %u", i, (unsigned long long)byte, shift);
	}
	ck_assert_uint_eq(nib_tile_scale(NIB_FMT_NVFP4, 0, 5, 15), 5);
	ck_assert_uint_eq(nib_tile_scale(NIB_FMT_NVFP4, 0, 5, 16), 64 + 5);
	ck_assert_uint_eq(nib_tile_scale(NIB_FMT_MXFP8X2, 1, 63, 31), 2112 + 63);
}
END_TEST

/* Data, scales, terms, the row scale of NVFP4; then up to 16 bytes. */
START_TEST(rows_by_hand)
{
	static const struct {
		uint32_t fmt, k, data, scales, row;
	} rows[] = {
		{ NIB_FMT_F32, 1, 4, 0, 16 },
		{ NIB_FMT_F32, 5, 20, 0, 32 },
		{ NIB_FMT_BF16, 8, 16, 0, 16 },
		{ NIB_FMT_BF16, 9, 18, 0, 32 },		/* without block scale k is not padded */
		{ NIB_FMT_E4M3, 17, 17, 0, 32 },
		{ NIB_FMT_E5M2, 16, 16, 0, 16 },
		{ NIB_FMT_MXFP4, 1, 16, 1, 32 },	/* 32 elements: 16 + 1 */
		{ NIB_FMT_MXFP4, 32, 16, 1, 32 },
		{ NIB_FMT_MXFP4, 33, 32, 2, 48 },	/* 34 */
		{ NIB_FMT_MXFP4, 2880, 1440, 90, 1536 },/* 1530 */
		{ NIB_FMT_NVFP4, 1, 16, 2, 32 },	/* 16 + 2 + 4 = 22 */
		{ NIB_FMT_NVFP4, 2880, 1440, 180, 1632 }, /* 1624 */
		{ NIB_FMT_MXFP8, 4096, 4096, 128, 4224 },
		{ NIB_FMT_MXFP8_E5M2, 31, 32, 1, 48 },
		{ NIB_FMT_MXFP8X2, 32, 32, 1, 80 },	/* 2 * 33 = 66 */
		{ NIB_FMT_MXFP8X2, 4096, 4096, 128, 8448 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ck_assert_uint_eq(nib_row_data_bytes(rows[i].fmt, rows[i].k), rows[i].data);
		ck_assert_uint_eq(nib_row_scale_bytes(rows[i].fmt, rows[i].k), rows[i].scales);
		ck_assert_uint_eq(nib_row_bytes(rows[i].fmt, rows[i].k), rows[i].row);
	}
}
END_TEST

/* Rows of any width hold their parts, and nothing but padding besides. */
START_TEST(rows_of_any_width)
{
	const struct format *f = &formats[_i];

	for (uint32_t k = 0; k <= 300; k++) {
		uint64_t blocks = f->block ? (k + 31) / 32 * (32 / f->block) : 0;
		uint64_t padded = f->block ? blocks * f->block : k;
		uint64_t bytes = f->terms * (padded * f->bits / 8 + blocks) +
				 (f->fmt == NIB_FMT_NVFP4 ? 4 : 0);
		uint64_t row = nib_row_bytes(f->fmt, k);

		check_that(nib_row_padded_k(f->fmt, k) == padded, "k %u", k);
		check_that(nib_row_scale_bytes(f->fmt, k) == blocks, "k %u", k);
		check_that(row % NIB_ROW_ALIGN == 0, "k %u", k);
		check_that(row >= bytes && row < bytes + NIB_ROW_ALIGN, "k %u", k);
	}
}
END_TEST

/* Panels: n up to 64, k up to 32. 65 x 33 of MXFP4 are 2 panels of 2 tiles of 1088 bytes. */
START_TEST(panels_by_hand)
{
	ck_assert_uint_eq(nib_panel_bytes(NIB_FMT_MXFP4, 1), 1088);
	ck_assert_uint_eq(nib_panel_bytes(NIB_FMT_MXFP4, 33), 2176);
	ck_assert_uint_eq(nib_panels_bytes(NIB_FMT_MXFP4, 1, 1), 1088);
	ck_assert_uint_eq(nib_panels_bytes(NIB_FMT_MXFP4, 64, 32), 1088);
	ck_assert_uint_eq(nib_panels_bytes(NIB_FMT_MXFP4, 65, 33), 4352);
	ck_assert_uint_eq(nib_panels_bytes(NIB_FMT_BF16, 32000, 2048), 500ull * 64 * 4096);
	ck_assert_uint_eq(nib_panels_bytes(NIB_FMT_MXFP4, 0, 0), 0);
}
END_TEST

/* The largest shapes that a packet may have, against arithmetic in 128 bits. */
START_TEST(largest_shapes_do_not_overflow)
{
	const struct format *f = &formats[_i];
	unsigned __int128 k = NIB_MAX_DIM, blocks = f->block ? k / f->block : 0, row;

	row = f->terms * (k * f->bits / 8 + blocks) + (f->fmt == NIB_FMT_NVFP4 ? 4 : 0);
	row = (row + 15) / 16 * 16;
	ck_assert(nib_row_bytes(f->fmt, NIB_MAX_DIM) == row);
	ck_assert(row <= NIB_MAX_PITCH);
	ck_assert(nib_panels_bytes(f->fmt, NIB_MAX_DIM, NIB_MAX_DIM) ==
		  (k / 64) * (k / 32) * f->tile_bytes);
	/* Address arithmetic of a device: rows at a pitch, planes of rows. */
	ck_assert((unsigned __int128)NIB_MAX_DIM * NIB_MAX_PITCH * 2 + row < (1ull << 63));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("format");
	TCase *tc = tcase_create("format");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, properties, 0, ARRAY_SIZE(formats));
	tcase_add_test(tc, unknown_formats_have_no_size);
	tcase_add_loop_test(tc, tiles_are_full, 0, ARRAY_SIZE(formats));
	tcase_add_loop_test(tc, scales_cover_blocks, 0, ARRAY_SIZE(formats));
	tcase_add_loop_test(tc, lanes_hold_even_elements_low_and_odd_ones_high, 0,
			    ARRAY_SIZE(formats));
	tcase_add_test(tc, elements_by_hand);
	tcase_add_test(tc, rows_by_hand);
	tcase_add_loop_test(tc, rows_of_any_width, 0, ARRAY_SIZE(formats));
	tcase_add_test(tc, panels_by_hand);
	tcase_add_loop_test(tc, largest_shapes_do_not_overflow, 0, ARRAY_SIZE(formats));
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
