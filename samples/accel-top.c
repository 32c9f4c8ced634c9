// SPDX-License-Identifier: MIT
/*
 * accel-top: what accelerators do, and who uses them: in a terminal, as text or as JSON.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "accel-top.h"

static const char usage_text[] =
	"usage: accel-top [options]\n"
	"\n"
	"Shows what accelerators of driver nib do and who uses them. Processes of others show for\n"
	"root only.\n"
	"\n"
	"  -d, --delay SECONDS  time between samples (default: 1)\n"
	"  -n, --samples N      end after N samples (--json, --batch: default 1; 0: never)\n"
	"  -s, --sort KEY       busy, hbm, sram, energy or pid (default: busy)\n"
	"  -i, --device N       only /dev/accel/accelN\n"
	"      --json           samples as JSON, one object a line\n"
	"      --batch          samples as text\n"
	"  -h, --help           this text\n"
	"\n"
	"Keys: q quit, s sort, + and - delay, arrows scroll.\n"
	"Exit status: 0 done, 1 no device, 2 wrong usage, 3 something failed.\n";

static void wait_s(double seconds)
{
	struct timespec ts = { .tv_sec = (time_t)seconds };

	ts.tv_nsec = (long)((seconds - (double)ts.tv_sec) * 1e9);
	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* --- Text --- */

static void print_rate(FILE *out, double value, double scale, const char *unit)
{
	if (value < 0)
		fprintf(out, " %8s", "-");
	else
		fprintf(out, " %7.*f%s", value * scale < 10 ? 2 : 1, value * scale, unit);
}

static void print_device(const struct top_device *d, FILE *out)
{
	char hbm[16], hbm_all[16], sram[16], sram_all[16], joules[16];

	top_bytes(hbm, sizeof(hbm), d->info.hbm_bytes - d->usage.hbm_free);
	top_bytes(hbm_all, sizeof(hbm_all), d->info.hbm_bytes);
	top_bytes(sram, sizeof(sram), d->info.sram_bytes - d->usage.sram_free);
	top_bytes(sram_all, sizeof(sram_all), d->info.sram_bytes);
	top_joules(joules, sizeof(joules), (double)d->usage.energy_uj / 1e6);
	fprintf(out, "accel%u %s %s, %s\n", d->info.id, d->info.pci_address,
		d->info.chip[0] ? d->info.chip : "?", top_state(d->info.state));
	fprintf(out, "  busy");
	print_rate(out, d->busy, 100, "%");
	fprintf(out, "  HBM %s of %s  SRAM %s of %s  power %.1f W  energy %s  %.1f C\n", hbm, hbm_all,
		sram, sram_all, d->usage.power_mw / 1e3, joules, d->usage.temperature_mc / 1e3);
	fprintf(out, "  faults %llu  queues killed %llu  resets %llu  ECC %llu + %llu\n",
		(unsigned long long)top_counter(d, "fault"),
		(unsigned long long)top_counter(d, "queue-kill"),
		(unsigned long long)(top_counter(d, "engine-reset") +
				     top_counter(d, "firmware-reboot") +
				     top_counter(d, "function-reset")),
		(unsigned long long)top_counter(d, "ecc-corrected"),
		(unsigned long long)top_counter(d, "ecc-uncorrected"));
}

void top_print_text(const struct top *top, FILE *out)
{
	char hbm[16], sram[16], evicted[16], joules[16], user[64];
	int i;

	for (i = 0; i < top->ndevices; i++)
		print_device(&top->devices[i], out);
	fprintf(out, "%7s %-8.8s %3s %8s %9s %9s %9s %9s %8s %8s  %s\n", "PID", "USER", "DEV", "BUSY",
		"HBM", "SRAM", "EVICTED", "ENERGY", "J/TOKEN", "TOKEN/S", "COMMAND");
	for (i = 0; i < top->nclients; i++) {
		const struct top_client *c = &top->clients[i];

		top_user(user, sizeof(user), c->use.uid);
		top_bytes(hbm, sizeof(hbm), c->use.hbm.total);
		top_bytes(sram, sizeof(sram), c->use.sram.total);
		top_bytes(evicted, sizeof(evicted), c->use.evicted_bytes);
		top_joules(joules, sizeof(joules), (double)c->use.energy_uj / 1e6);
		fprintf(out, "%7u %-8.8s %3u", c->use.pid, user, top->devices[c->device].info.id);
		print_rate(out, c->busy, 100, "%");
		fprintf(out, " %9s %9s %9s %9s", hbm, sram, evicted, joules);
		print_rate(out, c->joules_per_token, 1, " ");
		print_rate(out, c->tokens_per_s, 1, " ");
		fprintf(out, "  %s%s%s\n", c->use.command, c->use.name[0] ? " " : "", c->use.name);
	}
	fputc('\n', out);
	fflush(out);
}

/* Samples one after the other. Rates need two, so one is taken first that is not shown. */
static int run_batch(struct top *top, bool json, double delay, long samples)
{
	long i;
	int ret;

	for (i = 0; !samples || i < samples; i++) {
		if (delay > 0)
			wait_s(delay);
		ret = top_sample(top);
		if (ret < 0) {
			fprintf(stderr, "accel-top: %s\n", strerror(-ret));
			return 3;
		}
		if (json)
			ret = top_print_json(top, stdout);
		else
			top_print_text(top, stdout);
		/* Whoever reads has gone. */
		if (ret < 0 || ferror(stdout))
			return 3;
	}
	return 0;
}

/* --- Options --- */

struct options {
	bool json;
	bool batch;
	double delay;
	long samples;
};

static void wrong(const char *what, const char *value)
{
	fprintf(stderr, "accel-top: %s '%s'\n%s", what, value, usage_text);
	exit(2);
}

static long read_count(const char *text, const char *what, long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 0 || n > max)
		wrong(what, text);
	return n;
}

static enum top_sort read_sort(const char *text)
{
	int i;

	for (i = 0; i < TOP_SORTS; i++)
		if (!strcmp(text, top_sort_names[i]))
			return (enum top_sort)i;
	wrong("no sort key", text);
	return TOP_SORT_BUSY;
}

static double read_delay(const char *text)
{
	char *end;
	double d = strtod(text, &end);

	if (end == text || *end || !isfinite(d) || d < 0 || d > 86400)
		wrong("no delay", text);
	return d;
}

static void read_options(int argc, char **argv, struct top *top, struct options *o)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "batch", no_argument, NULL, 'b' },
		{ "delay", required_argument, NULL, 'd' },
		{ "samples", required_argument, NULL, 'n' },
		{ "sort", required_argument, NULL, 's' },
		{ "device", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "d:n:s:i:h", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			o->json = true;
			break;
		case 'b':
			o->batch = true;
			break;
		case 'd':
			o->delay = read_delay(optarg);
			break;
		case 'n':
			o->samples = read_count(optarg, "no count", INT32_MAX);
			break;
		case 's':
			top->sort = read_sort(optarg);
			break;
		case 'i':
			top->only = (int)read_count(optarg, "no device number", 4096);
			break;
		case 'h':
			fputs(usage_text, stdout);
			exit(0);
		default:
			fputs(usage_text, stderr);
			exit(2);
		}
	}
	if (optind < argc)
		wrong("unexpected", argv[optind]);
	if (o->json && o->batch)
		wrong("--json does not go with", "--batch");
}

int main(int argc, char **argv)
{
	static struct top top = { .only = -1 };
	struct options options = { .delay = 1, .samples = -1 };
	int ret;

	setlocale(LC_ALL, "");
	/* What programs read has points in its numbers, whatever the language. */
	setlocale(LC_NUMERIC, "C");
	read_options(argc, argv, &top, &options);
	ret = accel_telemetry_open(&top.telemetry);
	if (!ret)
		ret = top_sample(&top);
	if (ret < 0) {
		fprintf(stderr, "accel-top: %s\n", strerror(-ret));
		accel_telemetry_close(top.telemetry);
		return 3;
	}
	if (!ret) {
		fprintf(stderr, top.only < 0 ? "accel-top: no device of driver nib\n" :
					       "accel-top: no such device of driver nib\n");
		ret = 1;
	} else if (options.json || options.batch) {
		ret = run_batch(&top, options.json, options.delay,
				options.samples < 0 ? 1 : options.samples);
	} else if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)) {
		fprintf(stderr, "accel-top: this is no terminal; --batch or --json?\n");
		ret = 2;
	} else {
		ret = top_view(&top, options.delay);
	}
	accel_telemetry_close(top.telemetry);
	return ret;
}
