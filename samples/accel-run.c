// SPDX-License-Identifier: MIT
/*
 * accel-run: run a compiled language model. Generates text from a prompt, or reads token sequences
 * and scores them. Shows the whole of accel_llm.h: open a device and a program, load, tokenize,
 * generate, and single steps with logits.
 */
#include "accel-run.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SCORE_FLOATS	(16u << 20)	/* logits of one step while scoring */

static const char usage_text[] =
	"usage: accel-run MODEL.nib [options]\n"
	"\n"
	"Generate text:\n"
	"  --prompt TEXT       what the text starts with (default: nothing but the BOS token)\n"
	"  --prompt-file FILE  the same from a file, - for standard input\n"
	"  --special           control tokens written in the prompt count as such\n"
	"  --echo              print the prompt as well\n"
	"  --tokens N          most tokens to generate (default 128)\n"
	"  --temp T            temperature; 0 (default) always takes the likeliest token\n"
	"  --top-k K           sample among the K likeliest tokens only (default 0: all)\n"
	"  --top-p P           sample among the likeliest tokens that hold share P (default 1)\n"
	"  --seed S            of the random stream (default 0)\n"
	"\n"
	"Score instead:\n"
	"  --score FILE        read token ids, one sequence a line, and print how unlikely each\n"
	"                      is: the sum of -log p(next token) in nats\n"
	"  --logits OUT.npy    write all logits, float32 [tokens, vocabulary]\n"
	"\n"
	"Device:\n"
	"  --transport T       auto (default), drm, sim or null\n"
	"  --device PATH       device node, with drm\n"
	"  --chip FILE         chip file or name, with sim and null (default: the program's)\n"
	"  --threads N         that compute at once, with sim (default: one a processor)\n"
	"  --no-sram-kv        keep all keys and values in HBM\n"
	"\n"
	"Output:\n"
	"  --json              one JSON object on standard output at the end, instead of text\n"
	"  --digest            a hash of all logits, to compare runs by\n"
	"  --quiet             no progress and no summary on standard error\n"
	"  --help              this text\n"
	"\n"
	"Text goes to standard output as it comes, the summary to standard error. Device time\n"
	"and energy are modelled. Exit status: 0 done, 1 failed, 2 wrong usage.\n";

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int fail(const struct run *r, int error, const char *format, ...)
{
	const char *why = accel_last_error(r ? r->device : NULL);
	va_list args;

	fputs("accel-run: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	/* The library's errors come with a text that says more than the number. */
	if (error < 0 && *why)
		fprintf(stderr, ": %s", why);
	else if (error)
		fprintf(stderr, ": %s", strerror(abs(error)));
	fputc('\n', stderr);
	return 1;
}

static void note(const struct run *r, const char *format, ...)
{
	va_list args;

	if (r->o.quiet)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}

/* --- Options. --- */

static int usage_error(const char *what, const char *value)
{
	fprintf(stderr, "accel-run: %s%s%s; see accel-run --help\n", what, value ? " " : "",
		value ? value : "");
	return 2;
}

static bool to_number(const char *text, double least, double most, double *value)
{
	char *end;

	errno = 0;
	*value = strtod(text, &end);
	return end != text && !*end && !errno && *value >= least && *value <= most;
}

static bool to_count(const char *text, uint64_t most, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return *text >= '0' && *text <= '9' && !*end && !errno && *value <= most;
}

enum { PROMPT = 256, PROMPT_FILE, SPECIAL, ECHO, TOKENS, TEMP, TOP_K, TOP_P, SEED, SCORE, LOGITS,
       TRANSPORT, DEVICE, CHIP, THREADS, NO_SRAM_KV, JSON, DIGEST, QUIET, HELP };

static const struct option long_options[] = {
	{ "prompt", required_argument, NULL, PROMPT },
	{ "prompt-file", required_argument, NULL, PROMPT_FILE },
	{ "special", no_argument, NULL, SPECIAL },
	{ "echo", no_argument, NULL, ECHO },
	{ "tokens", required_argument, NULL, TOKENS },
	{ "temp", required_argument, NULL, TEMP },
	{ "top-k", required_argument, NULL, TOP_K },
	{ "top-p", required_argument, NULL, TOP_P },
	{ "seed", required_argument, NULL, SEED },
	{ "score", required_argument, NULL, SCORE },
	{ "logits", required_argument, NULL, LOGITS },
	{ "transport", required_argument, NULL, TRANSPORT },
	{ "device", required_argument, NULL, DEVICE },
	{ "chip", required_argument, NULL, CHIP },
	{ "threads", required_argument, NULL, THREADS },
	{ "no-sram-kv", no_argument, NULL, NO_SRAM_KV },
	{ "json", no_argument, NULL, JSON },
	{ "digest", no_argument, NULL, DIGEST },
	{ "quiet", no_argument, NULL, QUIET },
	{ "help", no_argument, NULL, HELP },
	{ NULL, 0, NULL, 0 }
};

static bool take_transport(struct options *o, const char *name)
{
	static const char *const names[] = { "auto", "drm", "sim", "null" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i], name)) {
			o->transport = (enum accel_transport)i;
			return true;
		}
	}
	return false;
}

/* An option with a value that is a number or a name. False if it is none that can be. */
static bool take_value(struct options *o, int option, const char *value)
{
	uint64_t count = 0;
	double number = 0;
	bool ok;

	switch (option) {
	case TOKENS:
		ok = to_count(value, UINT32_MAX, &count);
		o->tokens = (uint32_t)count;
		return ok;
	case TEMP:
		ok = to_number(value, 0, 1e6, &number);
		o->sampling.temperature = (float)number;
		return ok;
	case TOP_K:
		ok = to_count(value, UINT32_MAX, &count);
		o->sampling.top_k = (uint32_t)count;
		return ok;
	case TOP_P:
		ok = to_number(value, 0, 1, &number);
		o->sampling.top_p = (float)number;
		return ok;
	case THREADS:
		ok = to_count(value, 256, &count) && count;
		o->threads = (uint32_t)count;
		return ok;
	case SEED:
		return to_count(value, UINT64_MAX, &o->sampling.seed);
	default:
		return take_transport(o, value);
	}
}

/* Returns 0; or what to exit with, plus 1. */
static int parse(struct options *o, int argc, char **argv)
{
	int c;

	*o = (struct options){ .prompt = "", .tokens = 128, .sampling = { .top_p = 1 } };
	o->threads = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case PROMPT: o->prompt = optarg; break;
		case PROMPT_FILE: o->prompt_file = optarg; break;
		case SPECIAL: o->special = true; break;
		case ECHO: o->echo = true; break;
		case SCORE: o->score = optarg; break;
		case LOGITS: o->logits = optarg; break;
		case DEVICE: o->device = optarg; break;
		case CHIP: o->chip = optarg; break;
		case NO_SRAM_KV: o->no_sram_kv = true; break;
		case JSON: o->json = true; break;
		case DIGEST: o->digest = true; break;
		case QUIET: o->quiet = true; break;
		case HELP: fputs(usage_text, stdout); return 1;
		case '?': return 1 + usage_error("unknown option, or one without its value:",
						 argv[optind - 1]);
		default:
			if (!take_value(o, c, optarg))
				return 1 + usage_error("value out of range:", optarg);
		}
	}
	if (optind + 1 != argc)
		return 1 +
		       usage_error(optind == argc ? "no model given" : "more than one model given",
				   NULL);
	if (o->logits && !o->score)
		return 1 + usage_error("--logits goes with --score", NULL);
	o->model = argv[optind];
	return 0;
}

/* --- Loading. --- */

static int load(struct run *r)
{
	struct accel_open_params open = { .struct_size = sizeof(open) };
	struct accel_llm_params params = { .struct_size = sizeof(params), .max_seqs = 1,
					   .priority = ACCEL_PRIORITY_NORMAL };
	double start = now();
	int ret = accel_program_open(r->o.model, &r->program);

	if (ret)
		return fail(r, ret, "%s", r->o.model);
	r->model = accel_program_model(r->program);
	open.transport = r->o.transport;
	open.path = r->o.device;
	open.threads = r->o.threads;
	open.chip = r->o.chip ? r->o.chip : accel_program_header(r->program)->chip;
	ret = accel_open(&open, &r->device);
	if (ret)
		return fail(r, ret, "cannot open a device");
	r->info.struct_size = sizeof(r->info);
	ret = accel_device_query(r->device, &r->info);
	if (ret)
		return fail(r, ret, "device");
	params.sram_bytes = r->o.no_sram_kv ? UINT64_MAX : 0;
	ret = accel_llm_create(r->device, r->program, &params, &r->llm);
	if (ret)
		return fail(r, ret, "%s", r->o.model);
	ret = accel_seq_create(r->llm, &r->seq);
	if (ret)
		return fail(r, ret, "sequence");
	r->t_load = now() - start;
	r->s_first.struct_size = r->s_end.struct_size = sizeof(struct accel_llm_stats);
	return 0;
}

static void unload(struct run *r)
{
	accel_seq_destroy(r->seq);
	accel_llm_destroy(r->llm);
	accel_tokenizer_destroy(r->tokenizer);
	if (r->program)
		accel_program_close(r->program);
	accel_close(r->device);
	free(r->prompt);
	free(r->made);
	free(r->text);
}

/* FNV-1a, going on from the last call. */
static void digest(struct run *r, const float *logits, size_t count)
{
	const unsigned char *p = (const unsigned char *)logits;

	for (size_t i = 0; i < count * sizeof(*logits); i++)
		r->digest = (r->digest ^ p[i]) * 0x100000001b3ull;
}

/* --- Generating. --- */

static char *read_all(const char *path, size_t *bytes)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
	char *text = NULL, *more;
	size_t max = 0;

	*bytes = 0;
	while (f && !feof(f) && !ferror(f)) {
		if (*bytes == max) {
			more = realloc(text, max = max ? max * 2 : 4096);
			if (!more)
				break;
			text = more;
		}
		*bytes += fread(text + *bytes, 1, max - *bytes, f);
	}
	if (!f || ferror(f) || !feof(f)) {
		free(text);
		text = NULL;
	}
	if (f && f != stdin)
		fclose(f);
	return text;
}

static int read_prompt(struct run *r)
{
	size_t bytes = strlen(r->o.prompt);
	char *file = NULL;
	long count;
	int ret;

	if (r->o.prompt_file) {
		file = read_all(r->o.prompt_file, &bytes);
		if (!file)
			return fail(NULL, errno, "%s", r->o.prompt_file);
	}
	ret = accel_tokenizer_create(r->program, &r->tokenizer);
	if (ret) {
		free(file);
		return fail(NULL, ret, "tokenizer");
	}
	if (r->o.tokens > r->model->context)
		r->o.tokens = r->model->context;
	r->prompt = calloc(bytes + 4, sizeof(*r->prompt));
	r->made = calloc(r->o.tokens + 1ull, sizeof(*r->made));
	count = r->prompt && r->made ?
		accel_tokenize(r->tokenizer, file ? file : r->o.prompt, bytes,
			       r->o.special ? ACCEL_TOKENIZE_SPECIAL : 0, r->prompt, bytes + 4) :
		-ENOMEM;
	free(file);
	if (count < 0)
		return fail(NULL, (int)count, "prompt");
	if (!count && accel_tokenizer_bos(r->tokenizer) != ACCEL_TOKEN_NONE)
		r->prompt[count++] = accel_tokenizer_bos(r->tokenizer);
	if (!count)
		return fail(NULL, 0, "an empty prompt, and the model has no BOS token");
	r->prompt_tokens = (size_t)count;
	return 0;
}

/* Print, or keep, the text of some tokens. */
static bool emit(struct run *r, const uint32_t *tokens, size_t count)
{
	uint32_t flags = r->started ? 0 : ACCEL_DETOKENIZE_START;
	long n = accel_detokenize(r->tokenizer, tokens, count, flags, NULL, 0);
	char *more;

	if (n <= 0)
		return n == 0;
	if (r->text_bytes + (size_t)n > r->text_max) {
		more = realloc(r->text, r->text_max = (r->text_bytes + (size_t)n) * 2);
		if (!more)
			return false;
		r->text = more;
	}
	accel_detokenize(r->tokenizer, tokens, count, flags, r->text + r->text_bytes, (size_t)n);
	r->started = true;
	if (r->o.json) {
		r->text_bytes += (size_t)n;
		return true;
	}
	fwrite(r->text, 1, (size_t)n, stdout);
	return !fflush(stdout);
}

static bool on_token(void *user, uint32_t token)
{
	struct run *r = user;

	if (!r->n_made) {
		r->t_first = now();
		accel_llm_query(r->llm, &r->s_first);
	}
	r->made[r->n_made++] = token;
	return emit(r, &token, 1);
}

/* As accel_generate(), with logits on the way. */
static long generate_with_digest(struct run *r)
{
	uint32_t token;
	struct accel_step step = {
		.seq = r->seq, .tokens = r->prompt, .count = (uint32_t)r->prompt_tokens,
		.logits = ACCEL_LOGITS_LAST, .sample = &r->o.sampling,
	};

	while (r->n_made < r->o.tokens) {
		int ret = accel_llm_step(r->llm, &step, 1);

		if (ret)
			return ret;
		digest(r, step.logits_out, r->model->vocab);
		token = step.token;
		if (!on_token(r, token) || accel_tokenizer_is_end(r->tokenizer, token) ||
		    accel_seq_length(r->seq) == r->model->context)
			break;
		step.tokens = &token;
		step.count = 1;
	}
	return (long)r->n_made;
}

static int generate(struct run *r)
{
	long ret;

	if (read_prompt(r))
		return 1;
	if (r->o.echo && !emit(r, r->prompt, r->prompt_tokens))
		return fail(NULL, errno, "output");
	/* A text that goes on after a prompt keeps its space. */
	if (accel_detokenize(r->tokenizer, r->prompt, r->prompt_tokens, 0, NULL, 0) > 0)
		r->started = true;
	r->t_start = r->t_first = now();
	if (r->o.digest)
		ret = generate_with_digest(r);
	else
		ret = accel_generate(r->seq, r->prompt, r->prompt_tokens, &r->o.sampling,
				     r->o.tokens, on_token, r);
	r->t_end = now();
	accel_llm_query(r->llm, &r->s_end);
	if (!r->o.json)
		putchar('\n');
	if (fflush(stdout) || ferror(stdout))
		return fail(NULL, errno, "output");
	return ret < 0 ? fail(r, (int)ret, "generate") : 0;
}

/* --- Scoring. --- */

static int read_sequences(const struct run *r, struct score *s)
{
	size_t bytes, lines = 1, max = 0;
	char *text = read_all(r->o.score, &bytes), *p, *line, *save;
	int ret = 0;

	if (!text)
		return fail(NULL, errno, "%s", r->o.score);
	p = realloc(text, bytes + 1);
	if (!p) {
		free(text);
		return fail(NULL, ENOMEM, "%s", r->o.score);
	}
	text = p;
	text[bytes] = 0;
	for (p = text; *p; p++)
		lines += *p == '\n';
	max = bytes / 2 + 2;
	s->tokens = calloc(max, sizeof(*s->tokens));
	s->ends = calloc(lines, sizeof(*s->ends));
	s->nll = calloc(lines, sizeof(*s->nll));
	if (!s->tokens || !s->ends || !s->nll)
		ret = fail(NULL, ENOMEM, "%s", r->o.score);
	for (line = ret ? NULL : strtok_r(text, "\n", &save); line && !ret;
	     line = strtok_r(NULL, "\n", &save)) {
		size_t first = s->rows;

		for (p = line; *(p += strspn(p, " \t\r")) && !ret;) {
			char *end;
			unsigned long id = strtoul(p, &end, 10);

			if (end == p || !strchr(" \t\r", *end) || id >= r->model->vocab)
				ret = fail(NULL, 0, "%s: not a token id: %.20s", r->o.score, p);
			else
				s->tokens[s->rows++] = (uint32_t)id;
			p = end;
		}
		if (s->rows > first)
			s->ends[s->sequences++] = s->rows;
	}
	free(text);
	return ret;
}

/* Header of version 1.0: a Python literal, padded so that the data is aligned to 64. */
static int npy_open(struct run *r, struct score *s)
{
	unsigned char head[10] = "\x93NUMPY\x01\x00";
	char text[119];
	int n = snprintf(text, sizeof(text),
			 "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %u), }", s->rows,
			 r->model->vocab);

	memset(text + n, ' ', sizeof(text) - n);
	text[117] = '\n';
	head[8] = 118;
	s->npy = fopen(r->o.logits, "wb");
	if (!s->npy || fwrite(head, 1, 10, s->npy) != 10 || fwrite(text, 1, 118, s->npy) != 118)
		return fail(NULL, errno, "%s", r->o.logits);
	return 0;
}

/* Logits lie in the device's mapping, which not every file system takes a write from. */
static int npy_write(struct run *r, struct score *s, const float *logits, size_t count)
{
	float copy[2048];

	for (size_t n; count; logits += n, count -= n) {
		n = count < 2048 ? count : 2048;
		memcpy(copy, logits, n * sizeof(float));
		if (fwrite(copy, sizeof(float), n, s->npy) != n)
			return fail(NULL, errno, "%s", r->o.logits);
	}
	return 0;
}

static double nll(const float *logits, uint32_t n, uint32_t token)
{
	double max = -INFINITY, sum = 0;

	for (uint32_t i = 0; i < n; i++)
		if (logits[i] > max)
			max = logits[i];
	for (uint32_t i = 0; i < n; i++)
		sum += exp(logits[i] - max);
	return max + log(sum) - logits[token];
}

static int score_sequence(struct run *r, struct score *s, size_t at, size_t end, double *sum)
{
	size_t most = SCORE_FLOATS / r->model->vocab ? SCORE_FLOATS / r->model->vocab : 1;
	int ret = accel_seq_truncate(r->seq, 0);

	for (size_t n; at < end && !ret; at += n) {
		struct accel_step step = {
			.seq = r->seq, .tokens = s->tokens + at, .logits = ACCEL_LOGITS_ALL,
		};

		n = end - at < most ? end - at : most;
		step.count = (uint32_t)n;
		ret = accel_llm_step(r->llm, &step, 1);
		if (ret)
			break;
		for (size_t i = 0; i < n && at + i + 1 < end; i++)
			*sum += nll(step.logits_out + i * r->model->vocab, r->model->vocab,
				    s->tokens[at + i + 1]);
		if (r->o.digest)
			digest(r, step.logits_out, n * r->model->vocab);
		if (s->npy && npy_write(r, s, step.logits_out, n * r->model->vocab))
			return -EIO;
	}
	return ret ? fail(r, ret, "score") : 0;
}

static int score(struct run *r, struct score *s)
{
	size_t start = 0;
	int ret = read_sequences(r, s);

	if (!ret && !s->sequences)
		ret = fail(NULL, 0, "%s: no sequences", r->o.score);
	if (!ret && r->o.logits)
		ret = npy_open(r, s);
	r->t_start = now();
	for (size_t i = 0; i < s->sequences && !ret; start = s->ends[i++]) {
		ret = score_sequence(r, s, start, s->ends[i], &s->nll[i]);
		if (!ret && !r->o.json)
			printf("sequence %zu tokens %zu nll %.6f\n", i, s->ends[i] - start,
			       s->nll[i]);
	}
	r->t_first = r->t_end = now();
	accel_llm_query(r->llm, &r->s_first);
	r->s_end = r->s_first;
	if (s->npy && fclose(s->npy) && !ret)
		ret = fail(NULL, errno, "%s", r->o.logits);
	return ret;
}

int main(int argc, char **argv)
{
	struct run r = { .digest = 0xcbf29ce484222325ull };
	struct score s = { 0 };
	int ret = parse(&r.o, argc, argv);

	if (ret)
		return ret - 1;
	note(&r, "loading %s\n", r.o.model);
	ret = load(&r);
	if (!ret)
		ret = r.o.score ? score(&r, &s) : generate(&r);
	if (!ret)
		ret = report(&r, &s);
	unload(&r);
	free(s.tokens);
	free(s.ends);
	free(s.nll);
	return ret;
}
