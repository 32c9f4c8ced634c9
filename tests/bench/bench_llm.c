/* SPDX-License-Identifier: MIT */
/*
 * Whole models: prefill of one prompt, and decode at several batch sizes, each beside the roofline
 * of this machine measured right before and right after (the larger figure counts: other work on
 * the machine can only lessen it), and what of the process was in memory at most.
 *
 *	bench_llm [--transport sim|drm] [--threads N] [--prefill N] [--decode N] [--batch N,N,...]
 *		  [--context N] [--repeat N] [--chip NAME|FILE] [--engine NAME] [--no-roofline]
 *		  [--csv] PROGRAM.nib...
 *	bench_llm --roofline [--threads N]
 *
 * "of roof" is how near a row comes to the faster of the two times that the machine could need: to
 * read the bytes, or to do the operations. --context fills that many positions before decoding, to
 * measure attention. --roofline prints the machine's peaks alone, as CSV.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "accel_llm.h"
#include "nib_program.h"
#include "roofline.h"

#define MAX_BATCH	64
#define MAX_ROWS	64
/* What a process may have in memory beside the program and its keys and values. */
#define SLACK_BYTES	64000000.0

struct options {
	enum accel_transport transport;
	unsigned int threads;
	unsigned int prefill;
	unsigned int decode;
	unsigned int context;
	unsigned int repeat;
	unsigned int batches[16];
	unsigned int n_batches;
	const char *chip;
	const char *engine;
	bool roofline;
	bool csv;
};

/* What one measurement found. */
struct result {
	const char *work;
	unsigned int batch;
	double tokens_per_s;
	double bytes_per_s;
	double ops_per_s;
	double resident;	/* bytes; such a row has nothing else */
	double bound;		/* of @resident */
};

/* Rows are printed when the roofline has been measured again. */
struct results {
	struct result rows[MAX_ROWS];
	unsigned int count;
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

static struct result *add_row(struct results *all, const struct result *r)
{
	if (all->count == MAX_ROWS)
		die("rows", "too many");
	all->rows[all->count] = *r;
	return &all->rows[all->count++];
}

/* In a process of its own, whose memory does not count as ours. */
static struct roofline measure_roofline(unsigned int threads)
{
	struct roofline roof = { 0 };
	int pipes[2];
	pid_t child;

	if (pipe(pipes))
		die("roofline", "no pipe");
	child = fork();
	if (!child) {
		roof = roofline_measure(threads);
		_exit(write(pipes[1], &roof, sizeof(roof)) != sizeof(roof));
	}
	close(pipes[1]);
	if (child < 0 || read(pipes[0], &roof, sizeof(roof)) != sizeof(roof))
		die("roofline", "its process failed");
	close(pipes[0]);
	waitpid(child, NULL, 0);
	return roof;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

static struct roofline roofline_larger(struct roofline a, struct roofline b)
{
	return (struct roofline){ larger(a.read, b.read), larger(a.fp32, b.fp32),
				  larger(a.bf16, b.bf16), larger(a.int8, b.int8) };
}

/* The peak that FP4 and FP8 operands are held against. */
static const char *peak_name(const struct nib_program_model *m)
{
	bool fp4 = (m->weight_fmt == NIB_FMT_MXFP4 || m->weight_fmt == NIB_FMT_NVFP4) &&
		   (m->act_fmt == NIB_FMT_MXFP4 || m->act_fmt == NIB_FMT_NVFP4);

	return fp4 ? "int8" : "bf16";
}

static double peak_ops(const struct roofline *roof, const char *name)
{
	return !strcmp(name, "int8") && roof->int8 ? roof->int8 :
	       roof->bf16			    ? roof->bf16 :
						      roof->fp32;
}

/* At most @bytes from /proc, or 0. */
static double most_resident(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	double kib = 0;
	char line[128];

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %lf", &kib) == 1)
			break;
	if (status)
		fclose(status);
	return kib * 1024;
}

static void print_csv(const struct options *o, const char *model, const char *peak,
		      const struct roofline *roof, const struct result *r)
{
	printf("%s,%s,%s,%u,%.3f,%.5g,%.5g,%.5g,%.5g,%s,%.0f,%.0f\n", o->engine, model, r->work,
	       r->batch, r->tokens_per_s, r->bytes_per_s, r->ops_per_s, roof->read,
	       peak_ops(roof, peak), peak, r->resident, r->bound);
}

static void print_text(const char *model, const char *peak, const struct roofline *roof,
		       const struct result *r)
{
	double ops = peak_ops(roof, peak), of_read = roof->read ? r->bytes_per_s / roof->read : 0;
	double of_ops = ops ? r->ops_per_s / ops : 0;

	if (r->resident)
		printf("%-20s %-8s %5u %10.1f MB resident at most; bound %.1f MB\n", model, r->work,
		       r->batch, r->resident * 1e-6, r->bound * 1e-6);
	else
		printf("%-20s %-8s %5u %10.2f %9.2f %9.3f %8.1f%% %s\n", model, r->work, r->batch,
		       r->tokens_per_s, r->bytes_per_s * 1e-9, r->ops_per_s * 1e-12,
		       larger(of_read, of_ops) * 100, of_read > of_ops ? "read" : peak);
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

/* What a run works with. */
struct run {
	const struct options *o;
	struct accel_device *device;
	struct accel_program *program;
	const struct nib_program_model *model;
	struct accel_llm *llm;
	struct accel_seq *seqs[MAX_BATCH];
	unsigned int n_seqs;
	uint32_t *tokens;
	double file_bytes;
	double kv_pages;	/* in use at once, at most */
};

static void note_pages(struct run *run)
{
	struct accel_llm_stats stats = { .struct_size = sizeof(stats) };

	accel_llm_query(run->llm, &stats);
	run->kv_pages = larger(run->kv_pages,
			       (double)(stats.pages_sram_used + stats.pages_hbm_used));
}

static void open_run(struct run *run, const struct options *o, const char *path)
{
	struct accel_open_params open = {
		.struct_size = sizeof(open), .transport = o->transport, .chip = o->chip,
		.threads = o->threads,
	};
	struct accel_llm_params params = { .struct_size = sizeof(params) };
	unsigned int longest = o->prefill > o->context ? o->prefill : o->context;
	struct stat st;

	*run = (struct run){ .o = o };
	if (accel_program_open(path, &run->program) || stat(path, &st))
		die(path, accel_last_error(NULL));
	run->file_bytes = (double)st.st_size;
	run->model = accel_program_model(run->program);
	if (!run->model)
		die(path, "not a language model");
	if (o->transport == ACCEL_TRANSPORT_DRM)
		open.chip = NULL;
	if (accel_open(&open, &run->device))
		die("device", accel_last_error(NULL));
	for (unsigned int i = 0; i < o->n_batches; i++)
		run->n_seqs = o->batches[i] > run->n_seqs ? o->batches[i] : run->n_seqs;
	params.max_seqs = run->n_seqs;
	params.sram_bytes = UINT64_MAX;
	params.hbm_kv_bytes = ((uint64_t)(longest + o->decode) / run->model->page_tokens + 2) *
			      run->n_seqs * run->model->page_bytes;
	if (accel_llm_create(run->device, run->program, &params, &run->llm))
		die(path, accel_last_error(run->device));
	run->tokens = make_tokens(longest ? longest : 1, run->model->vocab);
	for (unsigned int i = 0; i < run->n_seqs; i++)
		if (accel_seq_create(run->llm, &run->seqs[i]))
			die("sequence", accel_last_error(run->device));
}

static void close_run(struct run *run)
{
	free(run->tokens);
	for (unsigned int i = 0; i < run->n_seqs; i++)
		accel_seq_destroy(run->seqs[i]);
	accel_llm_destroy(run->llm);
	accel_close(run->device);
	accel_program_close(run->program);
}

static void fill_context(struct run *run, unsigned int seq, unsigned int count)
{
	struct accel_step s = { .seq = run->seqs[seq], .tokens = run->tokens, .count = count };

	accel_seq_truncate(run->seqs[seq], 0);
	if (count)
		step(run->device, run->llm, &s, 1);
}

/* Once to touch everything, then the mean of two. */
static void measure_prefill(struct run *run, struct results *all)
{
	struct result r = { .work = "prefill", .batch = 1 };
	struct meter meter;

	fill_context(run, 0, run->o->prefill);
	note_pages(run);
	meter_start(&meter, run->llm);
	for (int i = 0; i < 2; i++)
		fill_context(run, 0, run->o->prefill);
	meter_stop(&meter, run->llm, 2.0 * run->o->prefill, &r);
	add_row(all, &r);
	accel_seq_truncate(run->seqs[0], 0);
}

/* The first two steps do not count. */
static void measure_decode(struct run *run, unsigned int batch, struct results *all)
{
	static const struct accel_sampling greedy;
	struct result r = { .work = "decode", .batch = batch };
	struct accel_step steps[MAX_BATCH];
	struct meter meter;

	for (unsigned int i = 0; i < batch; i++)
		fill_context(run, i, run->o->context);
	for (unsigned int t = 0; t < run->o->decode + 2; t++) {
		for (unsigned int i = 0; i < batch; i++)
			steps[i] = (struct accel_step){ .seq = run->seqs[i], .tokens = run->tokens,
							.count = 1, .sample = &greedy };
		if (t == 2)
			meter_start(&meter, run->llm);
		step(run->device, run->llm, steps, batch);
	}
	meter_stop(&meter, run->llm, (double)run->o->decode * batch, &r);
	note_pages(run);
	add_row(all, &r);
	for (unsigned int i = 0; i < batch; i++)
		accel_seq_truncate(run->seqs[i], 0);
}

static void measure(const struct options *o, const char *path)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path, *peak;
	const char *end = strstr(name, ".nib");
	struct result resident = { .work = "resident" };
	struct results all = { .count = 0 };
	struct roofline roof = { 0 };
	struct run run;
	char model[64], filled[32];

	snprintf(model, sizeof(model), "%.*s", (int)(end ? end - name : 60), name);
	if (o->roofline)
		roof = measure_roofline(o->threads);
	open_run(&run, o, path);
	peak = peak_name(run.model);
	for (unsigned int i = 0; i < o->repeat; i++) {
		if (o->prefill)
			measure_prefill(&run, &all);
		for (unsigned int b = 0; b < o->n_batches && o->decode; b++)
			measure_decode(&run, o->batches[b], &all);
	}
	if (o->transport == ACCEL_TRANSPORT_SIM) {
		resident.batch = run.n_seqs;
		resident.resident = most_resident();
		resident.bound = run.file_bytes + SLACK_BYTES +
				 run.kv_pages * (double)run.model->page_bytes;
		add_row(&all, &resident);
	}
	if (o->roofline)
		roof = roofline_larger(roof, measure_roofline(o->threads));
	snprintf(filled, sizeof(filled), "decode@%u", o->context);
	for (unsigned int i = 0; i < all.count; i++) {
		if (o->context && !strcmp(all.rows[i].work, "decode"))
			all.rows[i].work = filled;
		if (o->csv)
			print_csv(o, model, peak, &roof, &all.rows[i]);
		else
			print_text(model, peak, &roof, &all.rows[i]);
	}
	fflush(stdout);
	close_run(&run);
}

static void usage(FILE *out)
{
	fprintf(out, "usage: bench_llm [--transport sim|drm] [--threads N] [--prefill N] [--decode N]\n"
		"                 [--batch N,N,...] [--context N] [--repeat N] [--chip NAME|FILE]\n"
		"                 [--engine NAME] [--no-roofline] [--csv] PROGRAM.nib...\n"
		"       bench_llm --roofline [--threads N]\n");
}

/* Of "1,4,16". False: not numbers in 1..MAX_BATCH. */
static bool parse_batches(struct options *o, char *text)
{
	o->n_batches = 0;
	for (char *p = strtok(text, ","); p; p = strtok(NULL, ",")) {
		unsigned int batch = (unsigned int)atoi(p);

		if (!batch || batch > MAX_BATCH ||
		    o->n_batches == sizeof(o->batches) / sizeof(o->batches[0]))
			return false;
		o->batches[o->n_batches++] = batch;
	}
	return o->n_batches;
}

static int print_roofline(unsigned int threads)
{
	struct roofline roof = roofline_measure(threads);

	printf("%.5g,%.5g,%.5g,%.5g\n", roof.read, roof.fp32, roof.bf16, roof.int8);
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { .transport = ACCEL_TRANSPORT_SIM, .threads = 2, .prefill = 512,
			     .decode = 32, .repeat = 1, .batches = { 1 }, .n_batches = 1,
			     .engine = "nibble", .roofline = true };
	static const struct option options[] = {
		{ "transport", 1, NULL, 'T' }, { "threads", 1, NULL, 't' },
		{ "prefill", 1, NULL, 'p' },   { "decode", 1, NULL, 'd' },
		{ "batch", 1, NULL, 'b' },     { "context", 1, NULL, 'c' },
		{ "repeat", 1, NULL, 'r' },    { "chip", 1, NULL, 'C' },
		{ "engine", 1, NULL, 'e' },    { "no-roofline", 0, NULL, 'n' },
		{ "roofline", 0, NULL, 'R' },  { "csv", 0, NULL, 'v' },
		{ "help", 0, NULL, 'h' },      { NULL, 0, NULL, 0 },
	};
	bool only_roofline = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		bool ok = true;

		switch (c) {
		case 'T':
			ok = !strcmp(optarg, "sim") || !strcmp(optarg, "drm");
			o.transport = !strcmp(optarg, "drm") ? ACCEL_TRANSPORT_DRM :
							       ACCEL_TRANSPORT_SIM;
			break;
		case 't': o.threads = (unsigned int)atoi(optarg); break;
		case 'p': o.prefill = (unsigned int)atoi(optarg); break;
		case 'd': o.decode = (unsigned int)atoi(optarg); break;
		case 'c': o.context = (unsigned int)atoi(optarg); break;
		case 'r': o.repeat = (unsigned int)atoi(optarg); break;
		case 'C': o.chip = optarg; break;
		case 'e': o.engine = optarg; break;
		case 'n': o.roofline = false; break;
		case 'R': only_roofline = true; break;
		case 'v': o.csv = true; break;
		case 'b': ok = parse_batches(&o, optarg); break;
		case 'h': usage(stdout); return 0;
		default: ok = false;
		}
		if (!ok) {
			usage(stderr);
			return 2;
		}
	}
	if (only_roofline)
		return print_roofline(o.threads);
	if (optind == argc) {
		usage(stderr);
		return 2;
	}
	if (o.csv)
		printf("engine,model,work,batch,tokens_per_s,bytes_per_s,ops_per_s,read_peak,"
		       "ops_peak,peak,resident,resident_bound\n");
	else
		printf("%-20s %-8s %5s %10s %9s %9s %9s by\n", "model", "work", "batch", "tok/s",
		       "GB/s", "Top/s", "of roof");
	for (; optind < argc; optind++)
		measure(&o, argv[optind]);
	return 0;
}
