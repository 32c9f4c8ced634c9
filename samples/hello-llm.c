// SPDX-License-Identifier: MIT
/*
 * hello-llm: several prompts at once. Each is a sequence of its own; every step takes all of them,
 * first with their prompts, then with the token that each got last, until all have ended. A text
 * does not depend on what runs beside it: one prompt alone gives the same.
 *
 *	hello-llm MODEL.nib PROMPT...
 */
#include <accel_llm.h>
#include <errno.h>
#include <nib_program.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PROMPTS = 16, MAX_TOKENS = 4096, NEW_TOKENS = 64 };

static int fail(const struct accel_device *device, const char *what, int error)
{
	fprintf(stderr, "hello-llm: %s: %s (%s)\n", what, strerror(-error), accel_last_error(device));
	return 1;
}

static void print(struct accel_tokenizer *tokenizer, const uint32_t *tokens, size_t count)
{
	char text[16384];
	long bytes = accel_detokenize(tokenizer, tokens, count, ACCEL_DETOKENIZE_START, text,
				      sizeof(text));

	printf("- %.*s\n", (int)(bytes < (long)sizeof(text) ? bytes : (long)sizeof(text)), text);
}

int main(int argc, char **argv)
{
	static uint32_t tokens[MAX_PROMPTS][MAX_TOKENS + NEW_TOKENS];
	const struct accel_sampling sampling = { .temperature = 0.8f, .top_p = 0.95f, .seed = 1 };
	struct accel_llm_params params = { .struct_size = sizeof(params), .max_seqs = MAX_PROMPTS,
					   .priority = ACCEL_PRIORITY_NORMAL };
	struct accel_step steps[MAX_PROMPTS];
	uint32_t count[MAX_PROMPTS], which[MAX_PROMPTS], n = 0, prompts = argc - 2;
	struct accel_seq *seqs[MAX_PROMPTS];
	struct accel_program *program;
	struct accel_tokenizer *tokenizer;
	struct accel_device *device;
	struct accel_llm *llm;
	int ret;

	if (argc < 3 || prompts > MAX_PROMPTS) {
		fprintf(stderr, "usage: hello-llm MODEL.nib PROMPT... (at most %d)\n", MAX_PROMPTS);
		return 2;
	}
	ret = accel_program_open(argv[1], &program);
	if (ret)
		return fail(NULL, argv[1], ret);
	ret = accel_tokenizer_create(program, &tokenizer);
	if (!ret)
		ret = accel_open(NULL, &device);
	if (ret)
		return fail(NULL, "tokenizer or device", ret);
	ret = accel_llm_create(device, program, &params, &llm);
	if (ret)
		return fail(device, "model", ret);

	for (uint32_t i = 0; i < prompts; i++) {
		long have = accel_tokenize(tokenizer, argv[i + 2], strlen(argv[i + 2]), 0, tokens[i],
					   MAX_TOKENS);

		if (have <= 0 || have > MAX_TOKENS)
			return fail(NULL, argv[i + 2], have < 0 ? (int)have : -E2BIG);
		count[i] = (uint32_t)have;
		ret = accel_seq_create(llm, &seqs[i]);
		if (ret)
			return fail(device, "sequence", ret);
		steps[n] = (struct accel_step){ .seq = seqs[i], .tokens = tokens[i],
						.count = count[i], .sample = &sampling };
		which[n++] = i;
	}
	for (int made = 0; n && made < NEW_TOKENS; made++) {
		uint32_t left = 0;

		ret = accel_llm_step(llm, steps, n);
		if (ret)
			return fail(device, "step", ret);
		for (uint32_t j = 0; j < n; j++) {
			uint32_t i = which[j];

			tokens[i][count[i]++] = steps[j].token;
			if (accel_tokenizer_is_end(tokenizer, steps[j].token) ||
			    accel_seq_length(seqs[i]) == accel_program_model(program)->context)
				continue;
			/* Goes on: one row more. */
			which[left] = i;
			steps[left++] = (struct accel_step){ .seq = seqs[i], .count = 1,
							     .tokens = &tokens[i][count[i] - 1],
							     .sample = &sampling };
		}
		n = left;
	}
	for (uint32_t i = 0; i < prompts; i++) {
		print(tokenizer, tokens[i], count[i]);
		accel_seq_destroy(seqs[i]);
	}
	accel_llm_destroy(llm);
	accel_close(device);
	accel_tokenizer_destroy(tokenizer);
	accel_program_close(program);
	return 0;
}
