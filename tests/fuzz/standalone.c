// SPDX-License-Identifier: MIT
/*
 * What runs a fuzzer where libFuzzer does not, for a debugger or another sanitizer: each file named
 * on the command line is one input. libFuzzer's own main takes its place where that is linked.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__attribute__((weak)) int main(int argc, char **argv)
{
	static uint8_t data[16 << 20];

	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");

		if (!f) {
			perror(argv[i]);
			return 2;
		}
		LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof(data), f));
		fclose(f);
	}
	return 0;
}
