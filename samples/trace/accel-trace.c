// SPDX-License-Identifier: MIT
/*
 * accel-trace: runs a model on the device model in this process and writes what happened as a trace
 * for ui.perfetto.dev: the engines of the chip on modelled time, threads on the host's, bytes,
 * traffic, power and energy as counters. Both times start at 0, so that one picture shows where either goes.
 */
#include <accel_llm.h>
#include <accel_stream.h>
#include <errno.h>
#include <getopt.h>
#include <nib_program.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "writer.h"

#define MAX_THREADS 256
#define CHIP_PID 1000000000	/* no process has it */

static const char usage_text[] =
	"usage: accel-trace [OPTION]... MODEL.nib [PROMPT]\n"
	"Run a model in process and write a trace of it that ui.perfetto.dev opens.\n"
	"\n"
	"  -o, --output FILE   where to (trace.pftrace)\n"
	"  -n, --tokens N      tokens to generate (16)\n"
	"  -t, --threads N     threads that compute (1)\n"
	"  -c, --chip CHIP     name or file of the chip (the one the model was compiled for)\n"
	"  -s, --skip          leave the prompt out: only what comes after the first token\n"
	"  -h, --help          this text\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage.\n";

/* Where a trace grows, and how far it has got. */
struct tracer {
	pthread_mutex_t lock;	/* protects all of it: threads of the device report */
	struct trace_writer out;
	bool on;
	bool begun;
	uint64_t host_zero;
	uint64_t ps_zero;
	uint64_t queue;
	uint64_t engine[ACCEL_TRACE_ENGINES];
	uint64_t rate[3];
	uint64_t moved[3];
	uint64_t power;
	uint64_t energy;
	uint64_t thread[MAX_THREADS];
	uint64_t packets;
	uint64_t energy_pj;
	uint64_t bytes[3];
	uint64_t end_ps;
};

static const char *const engine_names[ACCEL_TRACE_ENGINES] = {
	"tensor units", "vector unit", "HBM", "SRAM", "host memory",
};

/* --- What the device reports --- */

static void begin_tracks(struct tracer *t, const char *chip)
{
	static const char *const rates[3] = { "HBM traffic", "SRAM traffic", "host traffic" };
	static const char *const bytes[3] = { "HBM bytes", "SRAM bytes", "host bytes" };
	char name[96];
	uint64_t process;

	snprintf(name, sizeof(name), "%s (modelled time)", chip);
	process = trace_process(&t->out, CHIP_PID, name);
	t->queue = trace_track(&t->out, process, "packets");
	for (int i = 0; i < ACCEL_TRACE_ENGINES; i++)
		t->engine[i] = trace_track(&t->out, process, engine_names[i]);
	for (int i = 0; i < 3; i++)
		t->rate[i] = trace_counter_track(&t->out, process, rates[i], "GB/s");
	for (int i = 0; i < 3; i++)
		t->moved[i] = trace_counter_track(&t->out, process, bytes[i], "MB");
	t->power = trace_counter_track(&t->out, process, "power", "W");
	t->energy = trace_counter_track(&t->out, process, "energy", "mJ");
	trace_process(&t->out, (int)getpid(), "device model (host time)");
}

static uint64_t thread_track(struct tracer *t, uint32_t thread)
{
	char name[32];

	thread = thread < MAX_THREADS ? thread : MAX_THREADS - 1;
	if (!t->thread[thread]) {
		snprintf(name, sizeof(name), "thread %u", thread);
		t->thread[thread] = trace_thread(&t->out, (int)getpid(),
						 (int)getpid() + (int)thread, name);
	}
	return t->thread[thread];
}

static void write_host(struct tracer *t, const struct accel_trace_event *e, const char *name)
{
	/* A part may have begun before the trace did. */
	if (e->host_start_ns < t->host_zero)
		return;
	trace_slice(&t->out, thread_track(t, e->thread), name, e->host_start_ns - t->host_zero,
		    e->host_end_ns - t->host_zero, NULL, 0);
}

/* Nothing moves from the end of the last packet on. */
static void write_idle(struct tracer *t)
{
	for (int i = 0; i < 3; i++)
		trace_counter(&t->out, t->rate[i], t->end_ps / 1000, 0);
	trace_counter(&t->out, t->power, t->end_ps / 1000, 0);
}

static void write_modelled(struct tracer *t, const struct accel_trace_event *e, const char *name)
{
	const struct trace_arg args[] = {
		{ "queue", e->queue }, { "job", e->seqno }, { "packet", e->packet },
		{ "status", e->status }, { "ops", e->ops }, { "energy_pj", e->energy_pj },
		{ "hbm_read", e->read[0] }, { "hbm_write", e->write[0] },
		{ "sram_read", e->read[1] }, { "sram_write", e->write[1] },
		{ "host_read", e->read[2] }, { "host_write", e->write[2] },
		{ "host_ns", e->host_end_ns - e->host_start_ns },
	};
	uint64_t at = (e->start_ps - t->ps_zero) / 1000;
	uint64_t end = (e->start_ps - t->ps_zero + e->time_ps) / 1000;
	double ns = (double)e->time_ps / 1e3;

	if (t->packets && at > t->end_ps / 1000)
		write_idle(t);
	trace_slice(&t->out, t->queue, name, at, end, args, sizeof(args) / sizeof(args[0]));
	for (int i = 0; i < ACCEL_TRACE_ENGINES; i++)
		if (e->engine_ps[i] >= 1000)
			trace_slice(&t->out, t->engine[i], name, at, at + e->engine_ps[i] / 1000,
				    NULL, 0);
	for (int i = 0; i < 3; i++) {
		trace_counter(&t->out, t->rate[i], at, (double)(e->read[i] + e->write[i]) / ns);
		t->bytes[i] += e->read[i] + e->write[i];
		trace_counter(&t->out, t->moved[i], end, (double)t->bytes[i] / 1e6);
	}
	/* A picojoule a nanosecond is a milliwatt. */
	trace_counter(&t->out, t->power, at, (double)e->energy_pj / ns / 1e3);
	t->energy_pj += e->energy_pj;
	trace_counter(&t->out, t->energy, end, (double)t->energy_pj / 1e9);
}

static void on_event(void *user, const struct accel_trace_event *e)
{
	struct tracer *t = user;
	const char *name = accel_op_name(e->op);

	if (!name)
		name = "packet";

	pthread_mutex_lock(&t->lock);
	if (t->on && e->kind == ACCEL_TRACE_PACKET && e->time_ps) {
		if (!t->begun) {
			t->begun = true;
			t->ps_zero = e->start_ps;
		}
		write_modelled(t, e, name);
		t->packets++;
		t->end_ps = e->start_ps + e->time_ps - t->ps_zero;
	}
	if (t->on)
		write_host(t, e, name);
	pthread_mutex_unlock(&t->lock);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void start(struct tracer *t)
{
	pthread_mutex_lock(&t->lock);
	t->host_zero = now_ns();
	t->on = true;
	pthread_mutex_unlock(&t->lock);
}

/* --- The run --- */

struct options {
	const char *output;
	const char *model;
	const char *prompt;
	const char *chip;
	uint32_t tokens;
	uint32_t threads;
	bool skip;
};

struct run {
	struct options o;
	struct tracer t;
	struct accel_program *program;
	struct accel_tokenizer *tokenizer;
	struct accel_device *device;
	struct accel_llm *llm;
	struct accel_seq *seq;
};

static int fail(const struct run *r, const char *what, int error)
{
	const char *why = accel_last_error(r->device);

	fprintf(stderr, "accel-trace: %s: %s\n", what, *why ? why : strerror(abs(error)));
	return 1;
}

static bool on_token(void *user, uint32_t token)
{
	struct run *r = user;

	(void)token;
	if (!r->t.on)
		start(&r->t);
	return true;
}

static int load(struct run *r)
{
	struct accel_open_params params = {
		.struct_size = sizeof(params), .transport = ACCEL_TRANSPORT_SIM,
		.threads = r->o.threads, .trace = on_event, .user = &r->t,
	};
	int ret = accel_program_open(r->o.model, &r->program);

	if (ret)
		return fail(r, r->o.model, ret);
	params.chip = r->o.chip ? r->o.chip : accel_program_header(r->program)->chip;
	ret = accel_tokenizer_create(r->program, &r->tokenizer);
	if (!ret)
		ret = accel_open(&params, &r->device);
	if (!ret)
		ret = accel_llm_create(r->device, r->program, NULL, &r->llm);
	if (!ret)
		ret = accel_seq_create(r->llm, &r->seq);
	return ret ? fail(r, r->o.model, ret) : 0;
}

static void unload(struct run *r)
{
	if (r->seq)
		accel_seq_destroy(r->seq);
	if (r->llm)
		accel_llm_destroy(r->llm);
	if (r->device)
		accel_close(r->device);
	if (r->tokenizer)
		accel_tokenizer_destroy(r->tokenizer);
	if (r->program)
		accel_program_close(r->program);
}

static int run(struct run *r)
{
	static uint32_t prompt[65536];
	struct accel_device_info info = { .struct_size = sizeof(info) };
	size_t max = sizeof(prompt) / sizeof(prompt[0]);
	long count, made;
	int ret;

	if (load(r))
		return 1;
	accel_device_query(r->device, &info);
	begin_tracks(&r->t, info.chip);
	count = accel_tokenize(r->tokenizer, r->o.prompt, strlen(r->o.prompt), 0, prompt, max);
	if (count < 0 || (size_t)count > max)
		return fail(r, "prompt", count < 0 ? (int)count : E2BIG);
	if (!r->o.skip)
		start(&r->t);
	made = accel_generate(r->seq, prompt, (size_t)count, NULL, r->o.tokens, on_token, r);
	if (made < 0)
		return fail(r, "generate", (int)made);
	pthread_mutex_lock(&r->t.lock);
	r->t.on = false;
	write_idle(&r->t);
	ret = r->t.out.error;
	pthread_mutex_unlock(&r->t.lock);
	if (ret)
		return fail(r, r->o.output, ret);
	fprintf(stderr, "%s: %llu packets, %.3f ms of the chip's time, %.3f mJ (modelled); %ld tokens\n",
		r->o.output, (unsigned long long)r->t.packets, (double)r->t.end_ps / 1e9,
		(double)r->t.energy_pj / 1e9, made);
	return 0;
}

/* --- Options --- */

static bool to_count(const char *text, uint32_t most, uint32_t *value)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	*value = (uint32_t)number;
	return end != text && !*end && !errno && *text != '-' && number <= most;
}

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "tokens", required_argument, NULL, 'n' },
		{ "threads", required_argument, NULL, 't' },
		{ "chip", required_argument, NULL, 'c' },
		{ "skip", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool ok = true;
	int option;

	*o = (struct options){ .output = "trace.pftrace", .tokens = 16, .threads = 1, .prompt = "" };
	while (ok && (option = getopt_long(argc, argv, "o:n:t:c:sh", options, NULL)) != -1) {
		switch (option) {
		case 'o': o->output = optarg; break;
		case 'n': ok = to_count(optarg, 1u << 24, &o->tokens); break;
		case 't': ok = to_count(optarg, MAX_THREADS, &o->threads); break;
		case 'c': o->chip = optarg; break;
		case 's': o->skip = true; break;
		case 'h':
			fputs(usage_text, stdout);
			exit(0);
		default:
			return 2;
		}
	}
	if (!ok)
		fprintf(stderr, "accel-trace: %s is not a number that will do\n", optarg);
	else if (optind == argc || argc - optind > 2)
		fputs("accel-trace: a model, and at most one prompt; see accel-trace --help\n", stderr);
	if (!ok || optind == argc || argc - optind > 2)
		return 2;
	o->model = argv[optind];
	if (argc - optind == 2)
		o->prompt = argv[optind + 1];
	return 0;
}

int main(int argc, char **argv)
{
	static struct run r;
	int ret, err;

	ret = parse(&r.o, argc, argv);
	if (ret)
		return ret;
	pthread_mutex_init(&r.t.lock, NULL);
	err = trace_open(&r.t.out, r.o.output);
	if (err) {
		fprintf(stderr, "accel-trace: %s: %s\n", r.o.output, strerror(-err));
		return 1;
	}
	ret = run(&r);
	unload(&r);
	err = trace_close(&r.t.out);
	if (err && !ret) {
		fprintf(stderr, "accel-trace: %s: %s\n", r.o.output, strerror(-err));
		ret = 1;
	}
	return ret;
}
