// SPDX-License-Identifier: MIT
/*
 * accelc: the command. Options in, files and text out; all work is libaccel-compiler's.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "accel_compiler.h"

#ifndef ACCEL_CHIP_DIR
#define ACCEL_CHIP_DIR "/usr/local/share/nibble/chips"
#endif

enum exit_code { EXIT_GOOD = 0, EXIT_COMPILE = 1, EXIT_USAGE = 2 };

struct args {
	struct accel_compile_options options;
	const char *input;
	const char *output;
	const char *disasm;
	bool explain;
	bool json;
	bool quiet;
	bool verbose;
};

enum { OPT_WEIGHTS = 256, OPT_ACTS, OPT_HEAD, OPT_EMBD, OPT_KV, OPT_SCALE_RULE, OPT_ACT_RULE,
       OPT_CHIP, OPT_MAX_ROWS, OPT_MAX_OUT_ROWS, OPT_PAGE_TOKENS, OPT_EXPLAIN, OPT_JSON,
       OPT_DISASM, OPT_DUMP_AFTER };

static const struct option long_options[] = {
	{ "output", required_argument, NULL, 'o' },
	{ "weights", required_argument, NULL, OPT_WEIGHTS },
	{ "acts", required_argument, NULL, OPT_ACTS },
	{ "head", required_argument, NULL, OPT_HEAD },
	{ "embd", required_argument, NULL, OPT_EMBD },
	{ "kv", required_argument, NULL, OPT_KV },
	{ "scale-rule", required_argument, NULL, OPT_SCALE_RULE },
	{ "act-rule", required_argument, NULL, OPT_ACT_RULE },
	{ "chip", required_argument, NULL, OPT_CHIP },
	{ "max-rows", required_argument, NULL, OPT_MAX_ROWS },
	{ "max-out-rows", required_argument, NULL, OPT_MAX_OUT_ROWS },
	{ "page-tokens", required_argument, NULL, OPT_PAGE_TOKENS },
	{ "explain", no_argument, NULL, OPT_EXPLAIN },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "disasm", required_argument, NULL, OPT_DISASM },
	{ "dump-after", required_argument, NULL, OPT_DUMP_AFTER },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"accelc - compile a model for a nib accelerator\n"
	"\n"
	"  accelc MODEL.gguf -o MODEL.nib [options]   compile\n"
	"  accelc MODEL.gguf --explain [options]      predict only\n"
	"  accelc --disasm MODEL.nib                  print the streams of a program\n"
	"\n"
	"Formats: mxfp4 nvfp4 mxfp8 mxfp8-e5m2 mxfp8x2 bf16 (x2: two terms, high and rest)\n"
	"  --weights FORMAT     linear layers. Default mxfp8; tensors that arrive as MXFP4 or NVFP4\n"
	"                       stay so and are moved without loss\n"
	"  --acts FORMAT        activations entering linear layers. Default mxfp8\n"
	"  --head FORMAT        output head. Default mxfp8, or as --weights where that is wider\n"
	"  --embd FORMAT        token embedding where it is not the head itself; also f32\n"
	"  --kv FORMAT          keys and values; also f32 e4m3 e5m2. Default bf16,\n"
	"                       f32 where activations have two terms\n"
	"  --scale-rule RULE    scales of weights: floor, ceil, best3. Default best3 for 4 bits, else ceil\n"
	"  --act-rule RULE      scales of activations: floor, ceil. Default ceil\n"
	"\n"
	"Plan\n"
	"  --chip NAME|FILE     small, edge, maia200-class, or a chip file. Default small\n"
	"  --max-rows N         most tokens of a step. Default 512\n"
	"  --max-out-rows N     most rows of logits of a step. Default: max-rows, up to 64 MiB of logits\n"
	"  --page-tokens N      positions in a K/V page, a power of two. Default 16\n"
	"\n"
	"Output\n"
	"  -o, --output FILE    the program\n"
	"  --explain            every operation with its predicted cost\n"
	"  --json               summary and --explain as JSON on standard output\n"
	"  --dump-after PASS    the graph after import, format, fuse, plan, code, or all\n"
	"  -q, --quiet          errors only      -v, --verbose  more\n"
	"\n"
	"Exit status: 0 done; 1 the model, a file or what an option asks for is at fault; 2 the command\n"
	"line cannot be understood.\n";

static int usage(const char *fmt, const char *what)
{
	fputs("accelc: ", stderr);
	fprintf(stderr, fmt, what);
	fputs("; accelc --help lists the options\n", stderr);
	return EXIT_USAGE;
}

static bool parse_format(const char *text, uint32_t *fmt)
{
	*fmt = accel_format_parse(text);
	return *fmt != 0;
}

static bool parse_rule(const char *text, uint32_t *rule)
{
	static const char *const names[] = { "", "floor", "ceil", "best3" };
	uint32_t i;

	*rule = 0;
	for (i = 1; i < 4; i++)
		if (!strcmp(text, names[i]))
			*rule = i;
	return *rule != 0;
}

static bool parse_count(const char *text, uint32_t *count)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	*count = (uint32_t)value;
	return *text >= '0' && *text <= '9' && !*end && value > 0 && value <= UINT32_MAX;
}

/* Returns an exit code, or -1 to go on. */
static int parse_option(int opt, const char *text, struct args *a)
{
	struct accel_compile_options *o = &a->options;
	bool good = true;

	switch (opt) {
	case 'o':
		a->output = text;
		break;
	case OPT_WEIGHTS:
		good = parse_format(text, &o->weight_fmt);
		break;
	case OPT_ACTS:
		good = parse_format(text, &o->act_fmt);
		break;
	case OPT_HEAD:
		good = parse_format(text, &o->head_fmt);
		break;
	case OPT_EMBD:
		good = parse_format(text, &o->embd_fmt);
		break;
	case OPT_KV:
		good = parse_format(text, &o->kv_fmt);
		break;
	case OPT_SCALE_RULE:
		good = parse_rule(text, &o->weight_rule);
		break;
	case OPT_ACT_RULE:
		good = parse_rule(text, &o->act_rule);
		break;
	case OPT_CHIP:
		o->chip = text;
		break;
	case OPT_MAX_ROWS:
		good = parse_count(text, &o->max_rows);
		break;
	case OPT_MAX_OUT_ROWS:
		good = parse_count(text, &o->max_out_rows);
		break;
	case OPT_PAGE_TOKENS:
		good = parse_count(text, &o->page_tokens);
		break;
	case OPT_EXPLAIN:
		a->explain = true;
		break;
	case OPT_JSON:
		a->json = true;
		break;
	case OPT_DISASM:
		a->disasm = text;
		break;
	case OPT_DUMP_AFTER:
		o->dump_after = text;
		break;
	case 'q':
		a->quiet = true;
		break;
	case 'v':
		a->verbose = true;
		break;
	case 'h':
		fputs(help, stdout);
		return EXIT_GOOD;
	default:
		return usage("%s", "unknown option, or one without its value");
	}
	return good ? -1 : usage("%s is not a value for its option", text);
}

static int parse_args(int argc, char **argv, struct args *a)
{
	int opt, code;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, "o:qvh", long_options, NULL)) != -1) {
		code = parse_option(opt, optarg, a);
		if (code >= 0)
			return code;
	}
	if (a->disasm)
		return optind == argc ? -1 : usage("%s is too much beside --disasm", argv[optind]);
	if (optind == argc)
		return usage("%s", "no model given");
	if (optind + 1 < argc)
		return usage("%s: one model at a time", argv[optind + 1]);
	a->input = argv[optind];
	if (!a->output && !a->explain && !a->json && !a->options.dump_after)
		return usage("%s",
			     "nothing to do: give -o FILE, --explain, --json or --dump-after PASS");
	return -1;
}

static void on_log(void *user, int level, const char *line)
{
	const struct args *a = user;
	static const char *const names[] = { "error", "warning", "note", "debug" };

	if (level <= (a->quiet ? 0 : a->verbose ? 3 : 2))
		fprintf(stderr, "accelc: %s: %s\n", names[level & 3], line);
}

static void on_progress(void *user, const char *stage, uint64_t done, uint64_t total)
{
	static int last = -1;
	int percent = total ? (int)(done * 100 / total) : 100;

	(void)user;
	if (percent != last)
		fprintf(stderr, "\raccelc: %s %3d %%%s", stage, percent, done == total ? "\n" : "");
	last = percent;
}

static void on_dump(void *user, const char *text)
{
	(void)user;
	fputs(text, stdout);
}

static void on_line(void *user, const char *line)
{
	(void)user;
	puts(line);
}

static int disassemble(const char *path)
{
	char error[512] = "";

	if (!accel_program_disassemble(path, on_line, NULL, error, sizeof(error)))
		return EXIT_GOOD;
	fprintf(stderr, "accelc: %s\n", error);
	return EXIT_COMPILE;
}

static int compile(struct accel_compile *c, const struct args *a)
{
	uint32_t flags = (a->json ? ACCEL_EXPLAIN_JSON : 0) | (a->explain ? ACCEL_EXPLAIN_OPS : 0);
	int err = accel_compile_load(c, a->input);

	if (!err && a->output)
		err = accel_compile_write(c, a->output);
	if (!err && (a->explain || a->json || !a->quiet))
		err = accel_compile_explain(c, flags, on_dump, NULL);
	if (!err)
		return EXIT_GOOD;
	fprintf(stderr, "accelc: %s\n", accel_compile_error(c));
	return EXIT_COMPILE;
}

static int run(int argc, char **argv)
{
	struct args a = { .options = { .struct_size = sizeof(a.options) } };
	struct accel_compile *c;
	int code = parse_args(argc, argv, &a);

	if (code >= 0)
		return code;
	if (a.disasm)
		return disassemble(a.disasm);
	a.options.chip_dir = ACCEL_CHIP_DIR;
	a.options.log = on_log;
	a.options.dump = on_dump;
	a.options.progress = !a.quiet && isatty(STDERR_FILENO) ? on_progress : NULL;
	a.options.user = &a;
	if (accel_compile_create(&a.options, &c)) {
		fputs("accelc: out of memory\n", stderr);
		return EXIT_COMPILE;
	}
	code = compile(c, &a);
	accel_compile_destroy(c);
	return code;
}

int main(int argc, char **argv)
{
	int code = run(argc, argv);

	if (!fflush(stdout) && !ferror(stdout))
		return code;
	fputs("accelc: standard output cannot be written\n", stderr);
	return code ? code : EXIT_COMPILE;
}
