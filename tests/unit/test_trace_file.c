// SPDX-License-Identifier: MIT
/*
 * The file that accel-trace writes, read back as the viewer reads it: every event on a track that
 * was declared, slices balanced and one after the other where only one thing happens at a time,
 * counters there, and sums that are those of the library's own statistics of the same run.
 */
#include <check.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel_llm.h"
#include "nib_program.h"
#include "nib_regs.h"
#include "perfetto.pb-c.h"
#include "tiny_gguf.h"

#define PROMPT	"abc abc"
#define TOKENS	5
#define MAX_TRACKS 64

typedef Perfetto__TracePacket packet_t;
typedef Perfetto__TrackEvent event_t;

static char dir[] = "/tmp/test_trace_file.XXXXXX";
static char model[64];

static char *path(const char *name)
{
	static char text[4][96];
	static unsigned int at;

	at = (at + 1) % 4;
	snprintf(text[at], sizeof(text[at]), "%s/%s", dir, name);
	return text[at];
}

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	ck_assert_msg(system(command) == 0, "%s", command);
}

static const char *build(void)
{
	const char *name = getenv("BUILD");

	return name ? name : "build";
}

static void set_up(void)
{
	struct tiny_gguf options = { .type = TINY_GGUF_F32, .layers = 2, .dim = 64, .ffn = 128 };
	size_t bytes;
	void *gguf = tiny_gguf(&options, &bytes);
	FILE *f;

	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	f = fopen(path("model.gguf"), "wb");
	ck_assert(f && fwrite(gguf, 1, bytes, f) == bytes && !fclose(f));
	free(gguf);
	snprintf(model, sizeof(model), "%s/model.nib", dir);
	run("%s/accelc -q %s -o %s", build(), path("model.gguf"), model);
}

static void tear_down(void)
{
	unlink(path("model.gguf"));
	unlink(path("out.pftrace"));
	unlink(path("said"));
	unlink(model);
	rmdir(dir);
}

static Perfetto__Trace *read_trace(const char *name)
{
	FILE *f = fopen(name, "rb");
	Perfetto__Trace *trace;
	size_t bytes = 0, n;
	uint8_t *data = malloc(16 << 20);

	ck_assert(f && data);
	while ((n = fread(data + bytes, 1, (16 << 20) - bytes, f)) > 0)
		bytes += n;
	fclose(f);
	ck_assert_uint_lt(bytes, 16 << 20);
	trace = perfetto__trace__unpack(NULL, bytes, data);
	ck_assert_ptr_nonnull(trace);
	free(data);
	return trace;
}

/* --- Tracks --- */

struct track {
	const Perfetto__TrackDescriptor *is;
	int depth;		/* slices open */
	uint64_t last;		/* time of the newest event */
	unsigned int events;
};

static struct track tracks[MAX_TRACKS];
static unsigned int n_tracks;

static struct track *find_track(uint64_t uuid)
{
	for (unsigned int i = 0; i < n_tracks; i++)
		if (tracks[i].is->uuid == uuid)
			return &tracks[i];
	return NULL;
}

static struct track *named_track(const char *name)
{
	for (unsigned int i = 0; i < n_tracks; i++)
		if (tracks[i].is->name && !strcmp(tracks[i].is->name, name))
			return &tracks[i];
	ck_abort_msg("no track %s", name);
}

static void collect_tracks(const Perfetto__Trace *trace)
{
	n_tracks = 0;
	for (size_t i = 0; i < trace->n_packet; i++) {
		const packet_t *p = trace->packet[i];

		ck_assert(p->has_trusted_packet_sequence_id);
		ck_assert(!p->track_descriptor != !p->track_event);
		if (!p->track_descriptor)
			continue;
		ck_assert(p->track_descriptor->has_uuid);
		ck_assert_ptr_null(find_track(p->track_descriptor->uuid));
		if (p->track_descriptor->has_parent_uuid)
			ck_assert_ptr_nonnull(find_track(p->track_descriptor->parent_uuid));
		ck_assert_uint_lt(n_tracks, MAX_TRACKS);
		tracks[n_tracks++] = (struct track){ .is = p->track_descriptor };
	}
}

/* --- Events --- */

static const event_t **events;
static uint64_t *times;
static size_t n_events;

/* By time; those of one time stay as they were written, as the viewer has it. */
static void sort_events(const Perfetto__Trace *trace)
{
	events = calloc(trace->n_packet, sizeof(*events));
	times = calloc(trace->n_packet, sizeof(*times));
	ck_assert(events && times);
	n_events = 0;
	for (size_t i = 0; i < trace->n_packet; i++) {
		const packet_t *p = trace->packet[i];
		size_t at = n_events;

		if (!p->track_event)
			continue;
		ck_assert(p->has_timestamp && p->track_event->has_type);
		for (; at && times[at - 1] > p->timestamp; at--) {
			times[at] = times[at - 1];
			events[at] = events[at - 1];
		}
		times[at] = p->timestamp;
		events[at] = p->track_event;
		n_events++;
	}
}

static uint64_t note(const event_t *e, const char *name)
{
	for (size_t i = 0; i < e->n_debug_annotations; i++)
		if (!strcmp(e->debug_annotations[i]->name, name))
			return e->debug_annotations[i]->uint_value;
	ck_abort_msg("a slice without %s", name);
}

/* Slices open and close; on a track of modelled time each ends before the next begins. */
static void check_slices(void)
{
	uint64_t chip = named_track("packets")->is->parent_uuid;

	for (size_t i = 0; i < n_events; i++) {
		const event_t *e = events[i];
		struct track *t = find_track(e->track_uuid);

		ck_assert_ptr_nonnull(t);
		t->events++;
		if (e->type == PERFETTO__TRACK_EVENT__TYPE__TYPE_COUNTER) {
			ck_assert(t->is->counter && t->is->counter->unit_name);
			ck_assert(e->has_double_counter_value && e->double_counter_value >= 0);
			continue;
		}
		ck_assert_ptr_null(t->is->counter);
		if (e->type == PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN) {
			ck_assert(e->name && e->name[0]);
			t->depth++;
			if (t->is->has_parent_uuid && t->is->parent_uuid == chip)
				ck_assert_int_eq(t->depth, 1);
		} else {
			ck_assert_int_eq(e->type, PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_END);
			ck_assert_int_gt(t->depth--, 0);
		}
	}
	for (unsigned int i = 0; i < n_tracks; i++)
		ck_assert_int_eq(tracks[i].depth, 0);
}

/* The file itself tells modelled time in order, so that it can be read while it grows. */
static void check_order(const Perfetto__Trace *trace)
{
	uint64_t chip = named_track("packets")->is->parent_uuid;

	for (size_t i = 0; i < trace->n_packet; i++) {
		const packet_t *p = trace->packet[i];
		struct track *t = p->track_event ? find_track(p->track_event->track_uuid) : NULL;

		if (!t || !t->is->has_parent_uuid || t->is->parent_uuid != chip)
			continue;
		ck_assert_uint_ge(p->timestamp, t->last);
		t->last = p->timestamp;
	}
}

struct sums {
	uint64_t packets, jobs, ops, energy, hbm, sram, host;
};

static struct sums add_up(void)
{
	uint64_t packets = named_track("packets")->is->uuid, job = UINT64_MAX;
	struct sums s = { 0 };

	for (size_t i = 0; i < n_events; i++) {
		const event_t *e = events[i];

		if (e->track_uuid != packets ||
		    e->type != PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN)
			continue;
		s.packets++;
		s.jobs += note(e, "job") != job;
		job = note(e, "job");
		s.ops += note(e, "ops");
		s.energy += note(e, "energy_pj");
		s.hbm += note(e, "hbm_read") + note(e, "hbm_write");
		s.sram += note(e, "sram_read") + note(e, "sram_write");
		s.host += note(e, "host_read") + note(e, "host_write");
		ck_assert_uint_eq(note(e, "status"), NIB_DONE_OK);
	}
	return s;
}

/* A counter that only grows, a step a packet, to @sum. */
static void check_sum(const char *name, const char *unit, uint64_t packets, double sum)
{
	const struct track *t = named_track(name);
	double last = 0;

	ck_assert_str_eq(t->is->counter->unit_name, unit);
	ck_assert_uint_eq(t->events, packets);
	for (size_t i = 0; i < n_events; i++) {
		if (events[i]->track_uuid != t->is->uuid)
			continue;
		ck_assert_double_ge(events[i]->double_counter_value, last);
		last = events[i]->double_counter_value;
	}
	ck_assert_double_le(fabs(last - sum), sum * 1e-9);
}

/* A rate: times its time in ns it comes to @sum, but for the rounding of times; and ends at 0. */
static void check_rate(const char *name, const char *unit, double sum)
{
	const struct track *t = named_track(name);
	double total = 0, slack = 1, now = 0;
	uint64_t since = 0;

	ck_assert_str_eq(t->is->counter->unit_name, unit);
	for (size_t i = 0; i < n_events; i++) {
		if (events[i]->track_uuid != t->is->uuid)
			continue;
		total += now * (double)(times[i] - since);
		slack += now;
		now = events[i]->double_counter_value;
		since = times[i];
	}
	ck_assert(now == 0);
	ck_assert_msg(fabs(total - sum) <= slack, "%s: %g, not %g, +- %g", name, total, sum, slack);
}

static void check_counters(const struct sums *s)
{
	check_sum("energy", "mJ", s->packets, (double)s->energy / 1e9);
	check_sum("HBM bytes", "MB", s->packets, (double)s->hbm / 1e6);
	check_sum("SRAM bytes", "MB", s->packets, (double)s->sram / 1e6);
	check_sum("host bytes", "MB", s->packets, (double)s->host / 1e6);
	check_rate("HBM traffic", "GB/s", (double)s->hbm);
	check_rate("SRAM traffic", "GB/s", (double)s->sram);
	check_rate("host traffic", "GB/s", (double)s->host);
	/* W x ns, nJ. */
	check_rate("power", "W", (double)s->energy / 1e3);
}

/* The same run in this process, as the library counts it. */
static struct accel_llm_stats reference(void)
{
	struct accel_open_params open = { .struct_size = sizeof(open),
					  .transport = ACCEL_TRANSPORT_SIM };
	struct accel_llm_stats stats = { .struct_size = sizeof(stats) };
	struct accel_tokenizer *tokenizer;
	struct accel_program *program;
	struct accel_device *device;
	struct accel_llm *llm;
	struct accel_seq *seq;
	uint32_t tokens[64];
	long count;

	ck_assert_int_eq(accel_program_open(model, &program), 0);
	ck_assert_int_eq(accel_tokenizer_create(program, &tokenizer), 0);
	open.chip = accel_program_header(program)->chip;
	ck_assert_int_eq(accel_open(&open, &device), 0);
	ck_assert_int_eq(accel_llm_create(device, program, NULL, &llm), 0);
	ck_assert_int_eq(accel_seq_create(llm, &seq), 0);
	count = accel_tokenize(tokenizer, PROMPT, strlen(PROMPT), 0, tokens, 64);
	ck_assert(count > 0 && count <= 64);
	ck_assert_int_ge(accel_generate(seq, tokens, (size_t)count, NULL, TOKENS, NULL, NULL), 1);
	ck_assert_int_eq(accel_llm_query(llm, &stats), 0);
	accel_seq_destroy(seq);
	accel_llm_destroy(llm);
	accel_close(device);
	accel_tokenizer_destroy(tokenizer);
	accel_program_close(program);
	return stats;
}

static const unsigned int thread_counts[] = { 1, 3 };

START_TEST(a_trace_is_whole_and_adds_up)
{
	struct accel_llm_stats stats = reference();
	unsigned long long packets = 0;
	Perfetto__Trace *trace;
	struct sums sums;
	char line[256];
	FILE *said;

	run("%s/accel-trace -n %d -t %u -o %s %s '%s' 2>%s", build(), TOKENS, thread_counts[_i],
	    path("out.pftrace"), model, PROMPT, path("said"));
	trace = read_trace(path("out.pftrace"));
	collect_tracks(trace);
	sort_events(trace);
	check_slices();
	check_order(trace);
	sums = add_up();
	check_counters(&sums);
	ck_assert_uint_eq(sums.jobs, stats.submits);
	ck_assert_uint_eq(sums.ops, stats.ops);
	ck_assert_uint_eq(sums.energy, stats.prefill_energy_pj + stats.decode_energy_pj);
	ck_assert_uint_eq(sums.hbm, stats.hbm_bytes);
	ck_assert_uint_eq(sums.sram, stats.sram_bytes);
	ck_assert_uint_eq(sums.host, stats.host_bytes);
	/* What it tells the user is what the file holds. */
	said = fopen(path("said"), "r");
	ck_assert(said && fgets(line, sizeof(line), said));
	ck_assert_int_eq(sscanf(strchr(line, ':'), ": %llu packets", &packets), 1);
	ck_assert_uint_eq(packets, sums.packets);
	fclose(said);
	free(events);
	free(times);
	perfetto__trace__free_unpacked(trace, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace file");
	TCase *tc = tcase_create("trace file");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, a_trace_is_whole_and_adds_up, 0, 2);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
