/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4), for firmware images. */
#ifndef NIB_SHA256_H
#define NIB_SHA256_H

#include <stddef.h>
#include <stdint.h>

void nib_sha256(const void *data, size_t bytes, uint8_t digest[32]);

#endif
