// SPDX-License-Identifier: MIT
/*
 * accel-replay: reads a core dump of a device, shows it, and replays the job that failed on a
 * device in process, to see whether it fails the same way. The parts are in replay/.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "replay/packet.h"
#include "replay/show.h"

static const char usage_text[] =
	"usage: accel-replay [options] FILE\n"
	"\n"
	"FILE is a core dump of a device, as in /sys/class/devcoredump/devcd*/data; - is standard\n"
	"input. Replays the job that failed, at the same addresses and with the same arguments, and\n"
	"says whether it fails the same way.\n"
	"\n"
	"  --show           print all of the dump instead, but for contents of memory\n"
	"  --disassemble    print the packets around the one that failed, with the job's values\n"
	"  --around N       how many on either side (default 4)\n"
	"  --json           one JSON object on standard output instead of text\n"
	"  -v, --verbose    also print what --show and --disassemble print\n"
	"\n"
	"  --chip CHIP      chip file or name (default: the dump's)\n"
	"  --from-start     replay the job from its first packet. Memory is as it was at the fault,\n"
	"                   so that the default is the packet that failed\n"
	"  --limit SECONDS  for how long to try (default 10)\n"
	"  --memory MIB     most memory that the device may take here (default: all there is)\n"
	"  --threads N      that compute at once (default 1)\n"
	"  --help           this text\n"
	"\n"
	"Exit status: 0 reproduced (or printed, with --show or --disassemble), 1 it ends differently\n"
	"or cannot be replayed, 2 the file or the usage is wrong.\n";

struct options {
	const char *file;
	bool show;
	bool disassemble;
	bool json;
	bool replay;
	uint64_t around;
	struct replay_params params;
};

enum { SHOW = 256, DISASSEMBLE, AROUND, JSON, CHIP, FROM_START, LIMIT, MEMORY, THREADS, HELP };

static const struct option long_options[] = {
	{ "show", no_argument, NULL, SHOW },
	{ "disassemble", no_argument, NULL, DISASSEMBLE },
	{ "around", required_argument, NULL, AROUND },
	{ "json", no_argument, NULL, JSON },
	{ "verbose", no_argument, NULL, 'v' },
	{ "chip", required_argument, NULL, CHIP },
	{ "from-start", no_argument, NULL, FROM_START },
	{ "limit", required_argument, NULL, LIMIT },
	{ "memory", required_argument, NULL, MEMORY },
	{ "threads", required_argument, NULL, THREADS },
	{ "help", no_argument, NULL, HELP },
	{ 0 },
};

static int wrong(const char *what, const char *value)
{
	fprintf(stderr, "accel-replay: %s%s%s; see accel-replay --help\n", what, value ? " " : "",
		value ? value : "");
	return 2;
}

static bool to_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return *text >= '0' && *text <= '9' && !*end && !errno && *value >= least && *value <= most;
}

/* Sets *status and returns false if the program is to end. */
static bool read_options(int argc, char **argv, struct options *o, int *status)
{
	bool verbose = false;
	uint64_t value = 0;
	int c;

	*o = (struct options){ .around = 4, .params.limit_ms = 10000 };
	*status = 2;
	while ((c = getopt_long(argc, argv, "v", long_options, NULL)) != -1) {
		bool ok = true;

		switch (c) {
		case SHOW:
			o->show = true;
			break;
		case DISASSEMBLE:
			o->disassemble = true;
			break;
		case AROUND:
			ok = to_number(optarg, 0, UINT32_MAX / 2, &o->around);
			break;
		case JSON:
			o->json = true;
			break;
		case 'v':
			verbose = true;
			break;
		case CHIP:
			o->params.chip = optarg;
			break;
		case FROM_START:
			o->params.from_start = true;
			break;
		case LIMIT:
			ok = to_number(optarg, 1, 1000000, &value);
			o->params.limit_ms = (unsigned int)value * 1000;
			break;
		case MEMORY:
			ok = to_number(optarg, 1, 1ull << 40, &value);
			o->params.memory = value << 20;
			break;
		case THREADS:
			ok = to_number(optarg, 1, 256, &value);
			o->params.threads = (unsigned int)value;
			break;
		case HELP:
			fputs(usage_text, stdout);
			*status = 0;
			return false;
		default:
			fputs("see accel-replay --help\n", stderr);
			return false;
		}
		if (!ok) {
			wrong("not a number in range:", optarg);
			return false;
		}
	}
	if (optind + 1 != argc) {
		wrong("want one file", NULL);
		return false;
	}
	o->file = argv[optind];
	o->replay = verbose || (!o->show && !o->disassemble);
	o->show |= verbose;
	o->disassemble |= verbose;
	return true;
}

/* The whole file; malloc()ed. */
static uint8_t *read_file(const char *path, size_t *bytes)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
	uint8_t *data = NULL, *more;
	size_t room = 0, n;

	*bytes = 0;
	if (!f)
		return NULL;
	do {
		if (*bytes == room) {
			room = room ? room * 2 : 1 << 20;
			more = realloc(data, room);
			if (!more)
				break;
			data = more;
		}
		n = fread(data + *bytes, 1, room - *bytes, f);
		*bytes += n;
	} while (n);
	if (ferror(f) || *bytes == room) {
		free(data);
		data = NULL;
	}
	if (f != stdin)
		fclose(f);
	return data;
}

static int print_json(const struct dump *dump, const struct replay_result *result)
{
	json_t *root = show_json(dump, result);
	int err = !root || json_dumpf(root, stdout, JSON_INDENT(2)) < 0;

	putchar('\n');
	json_decref(root);
	return err;
}

static void print_packets(const struct dump *dump, uint32_t around)
{
	const struct nib_dump_job *job = dump_guilty_job(dump);
	const struct dump_stream *stream = job ? dump_find_stream(dump, job->entry.stream) : NULL;

	if (stream)
		packet_print(stdout, stream, job, dump->reason.packet, around);
	else
		puts("the dump does not hold the guilty job and its stream");
}

static int run(const struct dump *dump, const struct options *o)
{
	struct replay_result result;
	int err = replay_run(dump, &o->params, &result);

	if (err) {
		fprintf(stderr, "accel-replay: %s\n", result.text[0] ? result.text : strerror(-err));
		return 1;
	}
	if (o->json)
		return print_json(dump, &result) || result.verdict != REPLAY_REPRODUCED;
	show_result(stdout, &result);
	return result.verdict != REPLAY_REPRODUCED;
}

int main(int argc, char **argv)
{
	char error[DUMP_ERROR_BYTES];
	struct options o;
	struct dump *dump;
	uint8_t *data;
	size_t bytes;
	int status;

	if (!read_options(argc, argv, &o, &status))
		return status;
	data = read_file(o.file, &bytes);
	if (!data) {
		fprintf(stderr, "accel-replay: %s: %s\n", o.file, strerror(errno));
		return 2;
	}
	if (dump_parse(data, bytes, &dump, error)) {
		fprintf(stderr, "accel-replay: %s: %s\n", o.file, error);
		free(data);
		return 2;
	}
	status = 0;
	if (!o.json) {
		if (o.show)
			show_dump(stdout, dump);
		else
			show_summary(stdout, dump);
		if (o.disassemble)
			print_packets(dump, (uint32_t)o.around);
	}
	if (o.replay)
		status = run(dump, &o);
	else if (o.json)
		status = print_json(dump, NULL);
	dump_free(dump);
	free(data);
	return status;
}
