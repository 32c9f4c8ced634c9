// SPDX-License-Identifier: MIT
/* See show.h. */
#include <string.h>
#include <time.h>

#include "packet.h"
#include "show.h"

typedef unsigned long long ull;

static void format_time(uint64_t ns, char *text, size_t size)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(text, size, "at %llu ns", (ull)ns);
}

/* Text of a dump may hold anything: what is not printable becomes a dot. */
static void put_text(FILE *f, const char *text, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes && text[i]; i++)
		fputc((text[i] >= ' ' && text[i] <= '~') || text[i] == '\n' ? text[i] : '.', f);
}

static void put_name(FILE *f, const char *name)
{
	put_text(f, name, strlen(name));
}

void show_summary(FILE *f, const struct dump *dump)
{
	const struct nib_dump_reason *reason = &dump->reason;
	char when[64];

	format_time(dump->header.time_ns, when, sizeof(when));
	fputs("core dump of ", f);
	put_name(f, dump->device.chip);
	fputs(" at ", f);
	put_name(f, dump->device.bus);
	fprintf(f, ", %s: ", when);
	put_name(f, reason->why);
	fputc('\n', f);
	if (reason->queue == NIB_DUMP_NONE)
		return;
	fprintf(f, "queue %u, job %llu, stream %d, packet %u: %s", reason->queue, (ull)reason->job,
		(int)reason->stream, reason->packet, dump_status_name(reason->status));
	if (reason->status >= NIB_DONE_FAULT_READ)
		fprintf(f, " at %#llx", (ull)reason->fault_va);
	fputc('\n', f);
}

/* --- Parts of a dump --- */

static void show_device(FILE *f, const struct dump *dump)
{
	const struct nib_dump_device *d = &dump->device;
	size_t i;

	fputs("\nDevice: chip ", f);
	put_name(f, d->chip);
	fputs(", firmware ", f);
	put_name(f, d->fw_version);
	fprintf(f, " (API %u.%u), hardware %u.%u, driver interface %u.%u\n", d->fw_api >> 16,
		d->fw_api & 0xffff, d->hw_version >> 16, d->hw_version & 0xffff,
		d->drm_version >> 16, d->drm_version & 0xffff);
	fprintf(f, "  HBM %llu MiB, of it %llu MiB in the window, SRAM %llu KiB, %u resets\n",
		(ull)d->hbm_bytes >> 20, (ull)d->window_bytes >> 20, (ull)d->sram_bytes >> 10,
		d->resets);
	for (i = 0; i < dump->n_regs; i++) {
		fputs("  ", f);
		put_name(f, dump->regs[i].name);
		fprintf(f, "%*s 0x%03x %#llx\n", 20 - (int)strlen(dump->regs[i].name), "",
			dump->regs[i].offset, (ull)dump->regs[i].value);
	}
}

static void show_firmware(FILE *f, const struct dump *dump)
{
	static const char *const ops[] = {
		"nop", "context create", "context destroy", "stream create", "stream destroy",
		"queue create", "queue destroy", "queue reset",
	};
	static const char *const events[] = { "none", "fault", "reset", "memory error" };
	size_t i, from = dump->n_admin > 8 ? dump->n_admin - 8 : 0;

	if (dump->has_firmware)
		fprintf(f, "\nFirmware: %u events, %u of them seen, %u messages, silent for %u ms%s\n",
			dump->firmware.event_head, dump->firmware.events_seen,
			dump->firmware.admin_tail, dump->firmware.silent_ms,
			dump->firmware.lost ? ", device lost" : "");
	for (i = from; i < dump->n_admin; i++) {
		const struct nib_admin_msg *msg = &dump->admin[i];

		fprintf(f, "  message: %s %llu, status %u\n",
			msg->op < sizeof(ops) / sizeof(ops[0]) ? ops[msg->op] : "?",
			(ull)msg->arg[0], msg->status);
	}
	from = dump->n_events > 8 ? dump->n_events - 8 : 0;
	for (i = from; i < dump->n_events; i++) {
		const struct nib_event *event = &dump->events[i];

		fprintf(f, "  event %u at %llu ns: %s, queue %d, value %u, address %#llx\n",
			event->seq, (ull)event->time_ns,
			event->type < sizeof(events) / sizeof(events[0]) ? events[event->type] :
			"?", (int)event->id, event->value, (ull)event->addr);
	}
}

static void show_job(FILE *f, const struct nib_dump_job *job)
{
	uint32_t i;

	fprintf(f, "  job %llu: stream %u, seqno %llu, stats at %#llx\n", (ull)job->number,
		job->entry.stream, (ull)job->entry.seqno, (ull)job->entry.stats_va);
	for (i = 0; i < job->entry.nargs; i++)
		fprintf(f, "%s a%u=%#llx%s", i % 4 ? "" : "   ", i, (ull)job->args[i],
			i % 4 == 3 || i + 1 == job->entry.nargs ? "\n" : "");
}

static void show_queue(FILE *f, const struct dump_queue *queue)
{
	static const char *const running[] = { "idle", "between packets", "on the engine" };
	const struct nib_dump_queue *q = &queue->info;
	const struct nib_queue_status *s = &q->status;
	size_t i;

	fprintf(f, "\nQueue %u%s: priority %u, weight %u, state %#x, jobs %llu..%llu, %s\n",
		q->queue, q->flags & NIB_DUMP_QUEUE_GUILTY ? " (guilty)" :
		q->flags & NIB_DUMP_QUEUE_FOREIGN ? " (of another client)" : "", q->priority,
		q->weight, q->state, (ull)q->head, (ull)q->tail,
		s->running < 3 ? running[s->running] : "?");
	if (q->flags & NIB_DUMP_QUEUE_FOREIGN)
		return;
	fprintf(f, "  %llu packets, %llu ns, %llu jobs; now %llu packets into seqno %u\n",
		(ull)s->packets, (ull)s->run_ns, (ull)s->jobs, (ull)s->job_packets, s->seqno);
	for (i = 0; i < queue->n_jobs; i++)
		show_job(f, &queue->jobs[i]);
	for (i = 0; i < queue->n_done; i++) {
		const struct nib_completion *done = &queue->done[i];

		fprintf(f, "  completion of seqno %llu: %s, packet %u, address %#llx, %llu ns\n",
			(ull)done->seqno, dump_status_name(done->status), done->packet,
			(ull)done->fault_va, (ull)(done->end_ns - done->start_ns));
	}
}

/* Where the fault is among the mappings: before the first one that ends behind it. */
static void show_hole(FILE *f, uint64_t va, const struct nib_dump_mapping *next)
{
	fprintf(f, "> %012llx                is %s\n", (ull)va,
		next && va >= next->va ? "in the next one" : "not mapped");
}

static void show_map(FILE *f, const struct dump *dump)
{
	uint64_t va = dump->reason.fault_va;
	bool fault = dump->reason.status == NIB_DONE_FAULT_READ ||
		     dump->reason.status == NIB_DONE_FAULT_WRITE;
	size_t i;

	fprintf(f, "\nMap: %zu ranges\n", dump->n_mappings);
	for (i = 0; i < dump->n_mappings; i++) {
		const struct nib_dump_mapping *m = &dump->mappings[i];

		if (fault && va < m->va + m->bytes) {
			show_hole(f, va, m);
			fault = false;
		}
		fprintf(f, "  %012llx-%012llx  %-4s %s buffer %u + %#llx, contents: %s\n",
			(ull)m->va, (ull)(m->va + m->bytes), dump_memory_name(m->mem),
			m->flags & NIB_DUMP_MAPPING_READONLY ? "r-" : "rw", m->bo,
			(ull)m->bo_offset, dump_contents_name(m->contents));
	}
	if (fault)
		show_hole(f, va, NULL);
}

static void show_stream(FILE *f, const struct dump *dump, const struct dump_stream *stream)
{
	const struct nib_dump_job *job = dump_guilty_job(dump);
	bool guilty = job && job->entry.stream == stream->id;

	fprintf(f, "\nStream %u%s: %u bytes, %u arguments\n", stream->id,
		guilty ? " (guilty)" : "", stream->bytes, stream->nargs);
	packet_print(f, stream, guilty ? job : NULL, guilty ? dump->reason.packet : UINT32_MAX,
		     UINT32_MAX);
}

void show_dump(FILE *f, const struct dump *dump)
{
	uint64_t bytes = 0;
	size_t i;

	show_summary(f, dump);
	if (dump->header.flags & NIB_DUMP_INCOMPLETE)
		fputs("There was no room for all of it.\n", f);
	if (dump->skipped)
		fprintf(f, "%zu sections are of types that this does not know.\n", dump->skipped);
	show_device(f, dump);
	show_firmware(f, dump);
	for (i = 0; i < dump->n_queues; i++)
		show_queue(f, &dump->queues[i]);
	show_map(f, dump);
	for (i = 0; i < dump->n_memory; i++)
		bytes += dump->memory[i].bytes;
	fprintf(f, "  contents of %llu bytes\n", (ull)bytes);
	for (i = 0; i < dump->n_streams; i++)
		show_stream(f, dump, &dump->streams[i]);
}

void show_result(FILE *f, const struct replay_result *result)
{
	static const char *const verdicts[] = { "reproduced", "not reproduced",
						"cannot be replayed" };
	unsigned int i;

	for (i = 0; i < result->n_warnings; i++)
		fprintf(f, "warning: %s\n", result->warnings[i]);
	if (result->verdict != REPLAY_IMPOSSIBLE)
		fprintf(f, "replayed from packet %u on chip %s\n", result->first, result->chip);
	fprintf(f, "%s: %s\n", verdicts[result->verdict], result->text);
}

/* --- JSON --- */

/* Names are not trusted to be UTF-8. */
static json_t *json_name(const char *name)
{
	json_t *text = json_string(name);

	return text ? text : json_string("?");
}

static json_t *json_reason(const struct dump *dump)
{
	const struct nib_dump_reason *r = &dump->reason;

	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:I}", "why", json_name(r->why),
			 "queue", r->queue == NIB_DUMP_NONE ? -1 : (json_int_t)r->queue, "job",
			 (json_int_t)r->job, "stream",
			 r->stream == NIB_DUMP_NONE ? -1 : (json_int_t)r->stream, "packet",
			 (json_int_t)r->packet, "status", (json_int_t)r->status, "status_name",
			 dump_status_name(r->status), "fault_va", (json_int_t)r->fault_va);
}

static json_t *json_result(const struct replay_result *r)
{
	static const char *const verdicts[] = { "reproduced", "differs", "impossible" };
	json_t *warnings = json_array(), *out;
	unsigned int i;

	for (i = 0; i < r->n_warnings; i++)
		json_array_append_new(warnings, json_string(r->warnings[i]));
	out = json_pack("{s:s, s:o, s:o, s:I, s:I, s:s, s:I, s:I, s:b, s:I, s:I, s:o}", "verdict",
			verdicts[r->verdict], "text", json_name(r->text), "chip",
			json_name(r->chip), "first_packet", (json_int_t)r->first, "status",
			(json_int_t)r->status, "status_name", dump_status_name(r->status), "packet",
			(json_int_t)r->packet, "fault_va", (json_int_t)r->fault_va, "limited",
			(int)r->limited, "mapped_bytes", (json_int_t)r->mapped, "missing_bytes",
			(json_int_t)r->missing, "warnings", warnings);
	if (out && r->blocked)
		json_object_set_new(out, "semaphore",
				    json_pack("{s:I, s:I, s:I}", "va", (json_int_t)r->sem_va,
					      "value", (json_int_t)r->sem_value, "want",
					      (json_int_t)r->sem_want));
	return out;
}

json_t *show_json(const struct dump *dump, const struct replay_result *result)
{
	json_t *root = json_pack("{s:o, s:I, s:I, s:b, s:o, s:I, s:I, s:I}", "chip",
				 json_name(dump->device.chip), "time_ns",
				 (json_int_t)dump->header.time_ns, "bytes",
				 (json_int_t)dump->header.bytes, "incomplete",
				 (int)(dump->header.flags & NIB_DUMP_INCOMPLETE), "reason",
				 json_reason(dump), "queues", (json_int_t)dump->n_queues, "mappings",
				 (json_int_t)dump->n_mappings, "streams",
				 (json_int_t)dump->n_streams);

	if (root && result)
		json_object_set_new(root, "replay", json_result(result));
	return root;
}
