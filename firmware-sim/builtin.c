// SPDX-License-Identifier: MIT
/*
 * Files that travel inside the library: the shipped chips and a firmware image. The assembler
 * includes them as they are; the make fragment says where they lie and rebuilds on change.
 */
#include "chip.h"
#include "nib_device.h"

#define EMBED(symbol, file) \
	__asm__(".section .rodata\n" \
		".balign 16\n" \
		#symbol "_start: .incbin \"" file "\"\n" \
		#symbol "_end: .byte 0\n" \
		".previous\n"); \
	extern const char symbol##_start[] __attribute__((visibility("hidden"))); \
	extern const char symbol##_end[] __attribute__((visibility("hidden")))

EMBED(nib_chip_small, NIB_CHIPS_DIR "/small.json");
EMBED(nib_chip_edge, NIB_CHIPS_DIR "/edge.json");
EMBED(nib_chip_maia200, NIB_CHIPS_DIR "/maia200-class.json");
EMBED(nib_firmware, NIB_FIRMWARE_FILE);

/* Not constants: the assembler decides the sizes. */
static size_t chip_bytes(const char *start, const char *end)
{
	return (size_t)(end - start);
}

bool nib_builtin_chip_get(unsigned int index, struct nib_builtin_chip *chip)
{
	static const struct {
		const char *name, *start, *end;
	} chips[] = {
		{ "small", nib_chip_small_start, nib_chip_small_end },
		{ "edge", nib_chip_edge_start, nib_chip_edge_end },
		{ "maia200-class", nib_chip_maia200_start, nib_chip_maia200_end },
	};

	if (index < sizeof(chips) / sizeof(chips[0])) {
		chip->name = chips[index].name;
		chip->text = chips[index].start;
		chip->bytes = chip_bytes(chips[index].start, chips[index].end);
		return true;
	}
	return false;
}

const void *nib_device_builtin_firmware(size_t *bytes)
{
	*bytes = chip_bytes(nib_firmware_start, nib_firmware_end);
	return nib_firmware_start;
}
