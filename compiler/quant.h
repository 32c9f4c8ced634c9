/* SPDX-License-Identifier: MIT */
/*
 * The compiler's quantizer: FP32 to the element formats of nib_format.h, by the rules of enum
 * nib_scale_rule, rounding to nearest even. The unit is a tile row: 32 elements along the
 * reduction.
 */
#ifndef AC_QUANT_H
#define AC_QUANT_H

#include "ac.h"

/*
 * Built for wider vectors where the loader can choose between versions of a function; the
 * arithmetic is the same. Sanitizers and clang do without.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
	!defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define AC_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define AC_CLONES
#endif

#define AC_UNIT NIB_TILE_K

/**
 * struct ac_unit - 32 encoded elements.
 * @codes: by term; one element a byte.
 * @wide: BF16.
 * @scales: by term; two for blocks of 16, else one.
 */
struct ac_unit {
	union {
		uint8_t codes[2][AC_UNIT];
		uint16_t wide[AC_UNIT];
	};
	uint8_t scales[2][2];
};

/**
 * ac_encode_fn - encode 32 elements.
 * @x: finite or not.
 * @global: FP32 scale above the block scales (NVFP4), else ignored; not 0.
 *
 * Returns false if an element is not finite; such a block gets the NaN scale.
 */
typedef bool (*ac_encode_fn)(const float *x, float global, struct ac_unit *unit);

/* NULL for a format that has no encoder. */
ac_encode_fn ac_encoder(uint32_t fmt, enum nib_scale_rule rule);

/* Values of what was encoded: the inverse, for tests and reports. */
void ac_decode_unit(uint32_t fmt, const struct ac_unit *unit, float global, float *x);

/* Largest magnitude; infinity if any element is not finite. */
float ac_max_abs(const float *x, size_t n);
/* The FP32 scale of an NVFP4 tensor with that largest magnitude. */
float ac_nvfp4_global(float max_abs);

#endif
