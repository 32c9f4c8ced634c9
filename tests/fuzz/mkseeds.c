// SPDX-License-Identifier: MIT
/*
 * Seeds for the fuzzers: `mkseeds FUZZER DIR` writes valid inputs of one fuzzer to a directory, and
 * nothing for a fuzzer it does not know. Each fuzz_*.c says at its top what its input is. Those of
 * the device's fuzzers are in mkseeds_device.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dump_make.h"
#include "mkseeds.h"
#include "packets.h"
#include "tiny_gguf.h"
#include "tiny_model.h"

static const char *directory;

void save(const char *name, const void *data, size_t bytes)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/seed-%s", directory, name);
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f)) {
		perror(path);
		exit(1);
	}
}

/* Streams: every packet alone, all of them, all with arguments. */
static void seed_validate(void)
{
	static const uint64_t end = 1 << 16 | NIB_OP_END;
	uint64_t w[1024];
	size_t words;

	for (size_t i = 0; i < packet_sample_count; i++) {
		words = packet_words(packet_samples[i].p.w);
		memcpy(w, &packet_samples[i].p, words * 8);
		w[words] = end;
		save(packet_samples[i].name, w, words * 8 + 8);
	}
	words = packet_stream(w, 1024, 0);
	save("all", w, words * 8);
	words = packet_stream(w, 1024, 1);
	save("arguments", w, words * 8);
}

/* GGUF files. */
static void seed_gguf(void)
{
	static const struct {
		const char *name;
		struct tiny_gguf o;
	} files[] = {
		{ "f32.gguf", { .type = TINY_GGUF_F32, .embd_type = TINY_GGUF_F16,
				.other_embd = true } },
		{ "f16.gguf", { .type = TINY_GGUF_F16 } },
		{ "bf16.gguf", { .type = TINY_GGUF_BF16, .vocab = 280 } },
		{ "q8_0.gguf", { .type = TINY_GGUF_Q8_0, .untied = true } },
		{ "mxfp4.gguf", { .type = TINY_GGUF_MXFP4, .embd_type = TINY_GGUF_Q8_0,
				  .other_embd = true, .layers = 2 } },
		{ "nvfp4.gguf", { .type = TINY_GGUF_NVFP4, .dim = 64, .ffn = 64 } },
		{ "bpe.gguf", { .type = TINY_GGUF_MXFP4, .bpe = true } },
	};
	size_t bytes;
	void *file;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		file = tiny_gguf(&files[i].o, &bytes);
		save(files[i].name, file, bytes);
		free(file);
	}
}

/* Program files: byte 0 as it is, 1 with its hashes made right, 2 changes to a file of its own. */
static void seed_program(void)
{
	static const uint8_t change[] = { 2, 0, 0, 3, 'N', 'I', 'B', 'P', 32, 0, 0, 1 };
	size_t bytes;
	uint8_t *file = tiny_model("small", &bytes), *seed;

	if (!file)
		return;
	seed = malloc(bytes + 1);
	if (!seed)
		abort();
	memcpy(seed + 1, file, bytes);
	for (seed[0] = 0; seed[0] < 2; seed[0]++)
		save(seed[0] ? "tiny-rehashed" : "tiny", seed, bytes + 1);
	save("change", change, sizeof(change));
	free(seed);
	free(file);
}

/* A recipe for a vocabulary, see cook() in fuzz_tokenizer.c; its length; a text. */
static void seed_tokenizer(void)
{
	static const char *const words[] = {
		"<s>", "</s>", "<u>", "a", "b", "ab", " ", "\xe2\x96\x81", "\xe2\x96\x81" "a", "ba",
		"aba", "\xc4\xa0", "\xc4\xa0" "a", "1", "12", "\xc3\xa9", "<0x0A>", "'s",
	};
	static const char text[] = "ab aba <s> 12 b's\n \xc3\xa9\xf0\x9f\x98\x80 a";
	uint8_t data[512];
	char name[32];

	for (uint32_t pre = 0; pre < 16; pre++) {
		for (uint32_t bpe = 0; bpe < 2; bpe++) {
			size_t at = 3, i;

			if (pre && !bpe)
				continue;
			data[at++] = bpe | 3 << 1 | pre << 4;
			for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
				size_t n = strlen(words[i]);
				uint32_t type = i == 2 ? 2 : i < 2 ? 3 : words[i][0] == '<' ? 6 : 1;

				data[at++] = n | type << 4;
				data[at++] = -(int)i;
				memcpy(data + at, words[i], n);
				at += n;
			}
			data[0] = 0;
			data[1] = at - 3;
			data[2] = (at - 3) >> 8;
			memcpy(data + at, text, sizeof(text) - 1);
			snprintf(name, sizeof(name), bpe ? "bpe-%u" : "spm", pre);
			save(name, data, at + sizeof(text) - 1);
		}
	}
}

/* Core dumps, behind a byte of 0; changes to one, behind a byte of 1. */
static void seed_dump(void)
{
	/* Arguments of the job, the packet, the reason. */
	static const uint8_t change[] = { 1, 0x80, 1, 7, 0, 0, 0x10, 0, 0, 0, 0, 0,
					  0x40, 0, 3, 2, 0, 0, 0 };
	struct dump_make m;
	uint8_t *seed;

	dump_make_sample(&m, 0x7770000000ull);
	seed = malloc(m.bytes + 1);
	if (!seed)
		abort();
	seed[0] = 0;
	memcpy(seed + 1, m.data, m.bytes);
	save("fault", seed, m.bytes + 1);
	save("change", change, sizeof(change));
	free(seed);
	dump_make_free(&m);
}

/* fdinfo of a client, and an answer to NIB_CMD_USAGE_GET: command, version, attributes. */
static void seed_telemetry(void)
{
	static const char fdinfo[] =
		"\0pos:\t0\ndrm-driver:\tnib\ndrm-client-id:\t7\ndrm-pdev:\t0000:00:04.0\n"
		"drm-client-name:\tname\ndrm-engine-npu:\t12 ns\nnib-energy-npu:\t5 uJ\n"
		"drm-total-hbm:\t3 MiB\ndrm-resident-hbm:\t1024 KiB\nnib-lease-hits:\t9\n";
	static const uint8_t usage[] = {
		1, 2, 1, 0, 0, 8, 0, 1, 0, 3, 0, 0, 0, 12, 0, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8,
		8, 0, 6, 0, 9, 0, 0, 0, 8, 0, 7, 0, 0, 0, 0, 0x80,
	};

	save("fdinfo", fdinfo, sizeof(fdinfo) - 1);
	save("usage", usage, sizeof(usage));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *fuzzer;
		void (*make)(void);
	} makers[] = {
		{ "fuzz_validate", seed_validate }, { "fuzz_gguf", seed_gguf },
		{ "fuzz_program", seed_program }, { "fuzz_tokenizer", seed_tokenizer },
		{ "fuzz_stream", seed_stream }, { "fuzz_vfio_user", seed_vfio_user },
		{ "fuzz_control", seed_control }, { "fuzz_dump", seed_dump },
		{ "fuzz_telemetry", seed_telemetry },
	};

	if (argc != 3) {
		fprintf(stderr, "usage: mkseeds FUZZER DIR\n");
		return 2;
	}
	directory = argv[2];
	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
		if (!strcmp(makers[i].fuzzer, argv[1]))
			makers[i].make();
	return 0;
}
