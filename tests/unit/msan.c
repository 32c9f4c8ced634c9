// SPDX-License-Identifier: MIT
/*
 * For MemorySanitizer, which must see every store: what libraries that were built without it write
 * is declared written. Such calls are redirected here by the linker; see tests.mk.
 */
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#include <stdio.h>

#include "chip.h"

/* libcheck's reports. */
size_t __real_fwrite(const void *data, size_t size, size_t count, FILE *file);
size_t __wrap_fwrite(const void *data, size_t size, size_t count, FILE *file);

size_t __wrap_fwrite(const void *data, size_t size, size_t count, FILE *file)
{
	__msan_unpoison(data, size * count);
	return __real_fwrite(data, size, count, file);
}

/* What reads chip files is built without it, too: all that it knows comes from jansson. */
int __real_nib_chip_load(const char *chip, struct nib_chip *out, char *error, size_t error_bytes);
int __wrap_nib_chip_load(const char *chip, struct nib_chip *out, char *error, size_t error_bytes);

int __wrap_nib_chip_load(const char *chip, struct nib_chip *out, char *error, size_t error_bytes)
{
	int err;

	__msan_scoped_disable_interceptor_checks();
	err = __real_nib_chip_load(chip, out, error, error_bytes);
	__msan_scoped_enable_interceptor_checks();
	__msan_unpoison(out, sizeof(*out));
	__msan_unpoison(error, error_bytes);
	return err;
}
#endif
#endif

typedef int msan_is_not_empty;
