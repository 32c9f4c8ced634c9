/* SPDX-License-Identifier: MIT */
/*
 * Whole models on the in-process device: prefill of one prompt, and decode at several batch sizes,
 * each beside the roofline of this machine measured in the same run.
 *
 *	bench_llm [--threads N] [--prefill N] [--decode N] [--batch N,N,...] [--context N]
 *		  [--chip NAME|FILE] [--csv] PROGRAM.nib...
 *
 * "roof" is the share of the machine's peak that counts for that work: read bandwidth for decode at
 * batch 1, the dot products of the operand formats for prefill. --context fills that many positions
 * before decoding, to measure attention.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accel_llm.h"
#include "nib_program.h"
#include "roofline.h"

#define MAX_BATCH	64

struct options {
	unsigned int threads;
	unsigned int prefill;
	unsigned int decode;
	unsigned int context;
	unsigned int batches[16];
	unsigned int n_batches;
	const char *chip;
	bool csv;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench_llm: %s: %s\n", what, why);
	exit(1);
}

/* What one measurement found. */
struct result {
	const char *work;
	unsigned int batch;
	double tokens_per_s;
	double bytes_per_s;
	double ops_per_s;
};

/* The peak that FP4 and FP8 operands are held against. */
static double peak_ops(const struct roofline *roof, const struct nib_program_model *m)
{
	bool fp4 = (m->weight_fmt == NIB_FMT_MXFP4 || m->weight_fmt == NIB_FMT_NVFP4) &&
		   (m->act_fmt == NIB_FMT_MXFP4 || m->act_fmt == NIB_FMT_NVFP4);

	return fp4 && roof->int8 ? roof->int8 : roof->bf16 ? roof->bf16 : roof->fp32;
}

static void print(const struct options *o, const char *program, const struct nib_program_model *m,
		  const struct result *r, const struct roofline *roof)
{
	double ops = peak_ops(roof, m), bytes_share = roof->read ? r->bytes_per_s / roof->read : 0;
	double ops_share = ops ? r->ops_per_s / ops : 0;

	printf(o->csv ? "%s,%s,%u,%.2f,%.4g,%.4g,%.3f,%.3f\n" :
			"%-28s %-8s %5u %10.2f %9.3g %9.3g %8.1f%% %7.1f%%\n",
	       program, r->work, r->batch, r->tokens_per_s, r->bytes_per_s, r->ops_per_s,
	       bytes_share * (o->csv ? 1 : 100), ops_share * (o->csv ? 1 : 100));
	fflush(stdout);
}

static void step(struct accel_device *device, struct accel_llm *llm, struct accel_step *steps,
		 unsigned int count)
{
	if (accel_llm_step(llm, steps, count))
		die("step", accel_last_error(device));
}

struct meter {
	struct accel_llm_stats before;
	double begin;
};

static void meter_start(struct meter *m, struct accel_llm *llm)
{
	m->before.struct_size = sizeof(m->before);
	accel_llm_query(llm, &m->before);
	m->begin = now();
}

static void meter_stop(struct meter *m, struct accel_llm *llm, double tokens, struct result *r)
{
	double seconds = now() - m->begin;
	struct accel_llm_stats after = { .struct_size = sizeof(after) };

	accel_llm_query(llm, &after);
	r->tokens_per_s = tokens / seconds;
	r->bytes_per_s = (double)(after.hbm_bytes - m->before.hbm_bytes + after.sram_bytes -
				  m->before.sram_bytes) / seconds;
	r->ops_per_s = (double)(after.ops - m->before.ops) / seconds;
}

static uint32_t *make_tokens(unsigned int count, uint32_t vocab)
{
	uint32_t *tokens = malloc(count * sizeof(*tokens));

	if (!tokens)
		die("tokens", "out of memory");
	for (unsigned int i = 0; i < count; i++)
		tokens[i] = (uint32_t)((i * 2654435761u) >> 8) % vocab;
	return tokens;
}

static void measure(const struct options *o, const char *path, const struct roofline *roof)
{
	struct accel_open_params open = {
		.struct_size = sizeof(open), .transport = ACCEL_TRANSPORT_SIM, .chip = o->chip,
		.threads = o->threads,
	};
	struct accel_llm_params params = { .struct_size = sizeof(params), .max_seqs = MAX_BATCH };
	static const struct accel_sampling greedy;
	const struct nib_program_model *m;
	struct accel_seq *seqs[MAX_BATCH];
	struct accel_step steps[MAX_BATCH];
	struct accel_program *program;
	struct accel_device *device;
	struct accel_llm *llm;
	unsigned int most = 1, longest;
	struct result r = { .work = "prefill", .batch = 1 };
	struct meter meter;
	uint32_t *tokens;
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

	if (accel_program_open(path, &program))
		die(path, accel_last_error(NULL));
	m = accel_program_model(program);
	if (!m)
		die(path, "not a language model");
	if (accel_open(&open, &device))
		die("device", accel_last_error(NULL));
	for (unsigned int i = 0; i < o->n_batches; i++)
		most = o->batches[i] > most ? o->batches[i] : most;
	longest = o->prefill > o->context ? o->prefill : o->context;
	params.max_seqs = most;
	params.sram_bytes = UINT64_MAX;
	params.hbm_kv_bytes = ((uint64_t)(longest + o->decode) / m->page_tokens + 2) * most *
			      m->page_bytes;
	if (accel_llm_create(device, program, &params, &llm))
		die(path, accel_last_error(device));
	tokens = make_tokens(longest ? longest : 1, m->vocab);
	for (unsigned int i = 0; i < most; i++)
		if (accel_seq_create(llm, &seqs[i]))
			die("sequence", accel_last_error(device));

	if (o->prefill) {
		/* Once to touch everything, then the best of three. */
		double best = 0;
		struct result run = r;

		for (int i = 0; i < 4; i++) {
			steps[0] = (struct accel_step){ .seq = seqs[0], .tokens = tokens,
							.count = o->prefill };
			accel_seq_truncate(seqs[0], 0);
			meter_start(&meter, llm);
			step(device, llm, steps, 1);
			meter_stop(&meter, llm, o->prefill, &run);
			if (i && run.tokens_per_s > best) {
				best = run.tokens_per_s;
				r = run;
			}
		}
		print(o, name, m, &r, roof);
	}
	r.work = "decode";
	for (unsigned int b = 0; b < o->n_batches && o->decode; b++) {
		r.batch = o->batches[b];
		for (unsigned int i = 0; i < r.batch; i++) {
			accel_seq_truncate(seqs[i], 0);
			if (!o->context)
				continue;
			steps[0] = (struct accel_step){ .seq = seqs[i], .tokens = tokens,
							.count = o->context };
			step(device, llm, steps, 1);
		}
		for (unsigned int t = 0; t < o->decode + 2; t++) {
			for (unsigned int i = 0; i < r.batch; i++)
				steps[i] = (struct accel_step){ .seq = seqs[i], .tokens = tokens,
								.count = 1, .sample = &greedy };
			if (t == 2)
				meter_start(&meter, llm);
			step(device, llm, steps, r.batch);
		}
		meter_stop(&meter, llm, (double)o->decode * r.batch, &r);
		print(o, name, m, &r, roof);
	}
	free(tokens);
	for (unsigned int i = 0; i < most; i++)
		accel_seq_destroy(seqs[i]);
	accel_llm_destroy(llm);
	accel_close(device);
	accel_program_close(program);
}

static void usage(FILE *out)
{
	fprintf(out, "usage: bench_llm [--threads N] [--prefill N] [--decode N] [--batch N,N,...]\n"
		"                 [--context N] [--chip NAME|FILE] [--csv] PROGRAM.nib...\n");
}

int main(int argc, char **argv)
{
	struct options o = { .threads = 2, .prefill = 512, .decode = 32, .batches = { 1 },
			     .n_batches = 1 };
	static const struct option options[] = {
		{ "threads", 1, NULL, 't' }, { "prefill", 1, NULL, 'p' },
		{ "decode", 1, NULL, 'd' },  { "batch", 1, NULL, 'b' },
		{ "context", 1, NULL, 'c' }, { "chip", 1, NULL, 'C' },
		{ "csv", 0, NULL, 'v' },     { "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct roofline roof;
	char *p;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't': o.threads = (unsigned int)atoi(optarg); break;
		case 'p': o.prefill = (unsigned int)atoi(optarg); break;
		case 'd': o.decode = (unsigned int)atoi(optarg); break;
		case 'c': o.context = (unsigned int)atoi(optarg); break;
		case 'C': o.chip = optarg; break;
		case 'v': o.csv = true; break;
		case 'b':
			o.n_batches = 0;
			for (p = strtok(optarg, ","); p && o.n_batches < 16; p = strtok(NULL, ","))
				o.batches[o.n_batches++] = (unsigned int)atoi(p);
			break;
		default:
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	for (unsigned int i = 0; i < o.n_batches; i++) {
		if (!o.batches[i] || o.batches[i] > MAX_BATCH) {
			fprintf(stderr, "bench_llm: batch sizes are 1..%d\n", MAX_BATCH);
			return 2;
		}
	}
	if (optind == argc) {
		usage(stderr);
		return 2;
	}
	roof = roofline_measure(o.threads);
	fprintf(stderr, "roofline, %u threads: read %.1f GB/s; fp32 %.3f, bf16 %.3f, int8 %.3f Top/s\n",
		o.threads, roof.read * 1e-9, roof.fp32 * 1e-12, roof.bf16 * 1e-12,
		roof.int8 * 1e-12);
	if (o.csv)
		printf("program,work,batch,tokens_per_s,bytes_per_s,ops_per_s,read_share,ops_share\n");
	else
		printf("%-28s %-8s %5s %10s %9s %9s %9s %8s\n", "program", "work", "batch", "tok/s",
		       "bytes/s", "op/s", "of read", "of ops");
	for (; optind < argc; optind++)
		measure(&o, argv[optind], &roof);
	return 0;
}
