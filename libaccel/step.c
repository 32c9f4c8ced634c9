// SPDX-License-Identifier: MIT
/*
 * A step: rows of several sequences, gathered into tables in the IO buffer, run by one job. A step
 * of more rows than the program takes at once becomes several jobs, which cut the rows, taken in
 * the order of the parts, where they must. Nothing here allocates, except for logits and K/V pages
 * when a step needs more of them than any before it.
 */
#include <math.h>
#include "llm.h"

/* What goes into one job. */
struct chunk {
	uint32_t rows;
	uint32_t out_rows;
	uint32_t sample_rows;	/* the sampler runs on the first so many of the out rows */
	uint32_t parts;
	uint32_t stride;	/* of the block tables */
	uint32_t prefill;	/* how many of the rows are of parts with several */
};

/* How far a step is: part, row in it, and logits rows so far. */
struct cursor {
	uint32_t part;
	uint32_t row;
	uint64_t out_row;
};

/* Rows of logits that a part gives in all. */
static uint32_t part_out_rows(const struct accel_step *s)
{
	return s->logits == ACCEL_LOGITS_ALL ? s->count
					     : s->logits == ACCEL_LOGITS_LAST || s->sample;
}

/* --- Checks. --- */

static int check_sampling(struct accel_llm *llm, uint32_t part, const struct accel_sampling *s)
{
	if (!(s->temperature >= 0) || isinf(s->temperature))
		return accel_fail(llm->device, -EINVAL,
				  "step part %u: temperature is not 0 or more", part);
	if (!(s->top_p >= 0 && s->top_p <= 1))
		return accel_fail(llm->device, -EINVAL, "step part %u: top_p is not in 0..1", part);
	return 0;
}

static int check_part(struct accel_llm *llm, uint32_t part, const struct accel_step *s)
{
	if (!s->seq || s->seq->llm != llm || s->seq->mark == llm->steps)
		return accel_fail(llm->device, -EINVAL, "step part %u: %s", part,
				  !s->seq	       ? "no sequence"
				  : s->seq->llm != llm ? "a sequence of another model"
						       : "a sequence that an earlier part has");
	s->seq->mark = llm->steps;
	if (!s->count || !s->tokens || (unsigned int)s->logits > ACCEL_LOGITS_ALL)
		return accel_fail(llm->device, -EINVAL,
				  "step part %u: no tokens, or no such choice of "
				  "logits",
				  part);
	if (s->count > llm->model.context - s->seq->length)
		return accel_fail(llm->device, -E2BIG,
				  "step part %u: %u + %u tokens, the context is %u", part,
				  s->seq->length, s->count, llm->model.context);
	for (uint32_t i = 0; i < s->count; i++)
		if (s->tokens[i] >= llm->model.vocab)
			return accel_fail(llm->device, -EINVAL,
					  "step part %u: token %u is %u, the "
					  "vocabulary has %u",
					  part, i, s->tokens[i], llm->model.vocab);
	return s->sample ? check_sampling(llm, part, s->sample) : 0;
}

/* Check it all and see to memory: what fails, fails here, with nothing changed. */
static int prepare(struct accel_llm *llm, struct accel_step *steps, uint32_t count, bool *deliver)
{
	uint64_t pages = 0, out_rows = 0;
	int ret = 0;

	*deliver = false;
	llm->steps++;
	for (uint32_t i = 0; i < count && !ret; i++) {
		struct accel_step *s = &steps[i];

		s->token = ACCEL_TOKEN_NONE;
		s->logits_out = NULL;
		ret = check_part(llm, i, s);
		if (ret)
			return ret;
		pages += accel_kv_missing(&llm->kv, &s->seq->kv, s->seq->length + s->count);
		out_rows += part_out_rows(s);
		*deliver |= s->logits != ACCEL_LOGITS_NONE;
	}
	ret = accel_kv_reserve(&llm->kv, pages);
	if (!ret && *deliver)
		ret = llm_logits_reserve(llm, &llm->host_logits, ACCEL_MEMORY_HOST, out_rows);
	if (!ret && !llm->queue)
		ret = llm_queue_create(llm);
	return ret;
}

/* --- One job. --- */

static uint32_t float_bits(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

/* One row of logits, of row @row of the chunk; @s: the part whose token it picks, or NULL. */
static void add_out_row(struct accel_llm *llm, struct chunk *c, uint32_t row,
			const struct accel_step *s, uint64_t position)
{
	struct nib_sample_params *p = &llm->io.params[c->out_rows];

	llm->io.out_index[c->out_rows++] = row;
	*p = (struct nib_sample_params){ .top_p = float_bits(1.0f) };
	if (!s)
		return;
	p->temperature = float_bits(s->sample->temperature);
	if (s->sample->top_p > 0)
		p->top_p = float_bits(s->sample->top_p);
	p->top_k = s->sample->top_k;
	p->seed = s->sample->seed;
	p->counter = position;
	c->sample_rows = c->out_rows;
}

/* As many rows of the part at @at as fit. Returns how many. */
static uint32_t add_part(struct accel_llm *llm, struct chunk *c, const struct accel_step *s,
			 uint32_t from)
{
	uint32_t room = llm->model.max_rows - c->rows, n = s->count - from;
	uint32_t out_room = llm->model.max_out_rows - c->out_rows;

	if (n > room)
		n = room;
	if (s->logits == ACCEL_LOGITS_ALL && n > out_room)
		n = out_room;
	else if (from + n == s->count && part_out_rows(s) && !out_room)
		n--; /* the last row gives logits, for which there is no room here */
	for (uint32_t i = 0; i < n; i++) {
		uint32_t row = c->rows + i, last = from + i + 1 == s->count;

		llm->io.tokens[row] = s->tokens[from + i];
		llm->io.rows[row] = (struct nib_kv_row){
			.seq = c->parts, .pos = s->seq->length + from + i,
		};
		if (s->logits == ACCEL_LOGITS_ALL || (last && part_out_rows(s)))
			add_out_row(llm, c, row, last && s->sample ? s : NULL,
				    (uint64_t)s->seq->length + s->count);
	}
	if (!n)
		return 0;
	c->rows += n;
	c->prefill += s->count > 1 ? n : 0;
	c->parts++;
	if (c->stride < s->seq->kv.count)
		c->stride = s->seq->kv.count;
	return n;
}

/* Fill the tables from @at on; moves @at, but for its logits rows. */
static void fill(struct accel_llm *llm, const struct accel_step *steps, uint32_t count,
		 struct cursor *at, struct chunk *c)
{
	uint32_t first = at->part;

	*c = (struct chunk){ 0 };
	while (at->part < count && c->rows < llm->model.max_rows) {
		const struct accel_step *s = &steps[at->part];
		uint32_t n = add_part(llm, c, s, at->row);

		at->row += n;
		if (at->row < s->count)
			break;
		at->part++;
		at->row = 0;
	}
	for (uint32_t i = 0; i < c->parts; i++)
		accel_kv_table(&llm->kv, &steps[first + i].seq->kv,
			       llm->io.blocks + (uint64_t)i * c->stride);
}

static uint64_t io_address(const struct accel_llm *llm, const void *p)
{
	return llm->io.address + (uint64_t)((const uint8_t *)p - llm->io.base);
}

static int submit(struct accel_llm *llm, const struct chunk *c, uint64_t logits)
{
	const struct llm_io *io = &llm->io;
	const uint64_t value[NIB_BIND_COUNT] = {
		[NIB_BIND_WEIGHTS] = accel_buffer_address(llm->weights),
		[NIB_BIND_SCRATCH] = llm->scratch ? accel_buffer_address(llm->scratch) : 0,
		[NIB_BIND_ROWS] = c->rows,
		[NIB_BIND_TOKENS] = io_address(llm, io->tokens),
		[NIB_BIND_ROW_TABLE] = io_address(llm, io->rows),
		[NIB_BIND_BLOCKS] = io_address(llm, io->blocks),
		[NIB_BIND_BLOCK_STRIDE] = c->stride,
		[NIB_BIND_OUT_ROWS] = c->out_rows,
		[NIB_BIND_OUT_INDEX] = io_address(llm, io->out_index),
		[NIB_BIND_LOGITS] = logits,
		[NIB_BIND_SAMPLE_ROWS] = c->sample_rows,
		[NIB_BIND_SAMPLE_PARAMS] = io_address(llm, io->params),
		[NIB_BIND_SAMPLE_OUT] = io_address(llm, io->picked),
	};
	struct accel_point done = { llm->timeline, llm->point + 1 };
	struct accel_job job = {
		.struct_size = sizeof(job),
		.stream = llm->stream,
		.args = llm->args,
		.nargs = llm->nargs,
		.signals = &done,
		.n_signals = 1,
		.stats = &llm->job,
	};
	int ret;

	for (uint32_t i = 0; i < llm->nargs; i++)
		llm->args[i] = value[llm->bind[i]];
	memset(&llm->job, 0, sizeof(llm->job));
	ret = accel_queue_submit(llm->queue, &job, 1);
	if (ret)
		return ret;
	llm->point++;
	return accel_timeline_wait(llm->timeline, llm->point, UINT64_MAX);
}

static void account(struct accel_llm *llm, const struct chunk *c)
{
	const struct accel_job_stats *j = &llm->job;
	struct accel_llm_stats *s = &llm->stats;
	uint64_t ns = j->end_ns - j->start_ns, energy = j->energy_pj;
	uint64_t prefill_ns = ns * c->prefill / c->rows;
	uint64_t prefill_energy = (uint64_t)((double)energy * c->prefill / c->rows);

	s->submits++;
	s->prefill_tokens += c->prefill;
	s->decode_tokens += c->rows - c->prefill;
	s->prefill_device_ns += prefill_ns;
	s->decode_device_ns += ns - prefill_ns;
	s->prefill_energy_pj += prefill_energy;
	s->decode_energy_pj += energy - prefill_energy;
	s->hbm_bytes += j->hbm_read + j->hbm_write;
	s->sram_bytes += j->sram_read + j->sram_write;
	s->host_bytes += j->host_read + j->host_write;
	s->ops += j->ops;
	s->kv_pages_sram += j->kv_pages_sram;
	s->kv_pages_other += j->kv_pages_other;
}

/* Tokens that the sampler picked, to the parts whose last row was in the chunk. */
static void collect(struct accel_llm *llm, struct accel_step *steps, const struct chunk *c,
		    struct cursor from, const struct cursor *to)
{
	uint32_t out = 0;

	for (; from.part < to->part; from.part++, from.row = 0) {
		struct accel_step *s = &steps[from.part];

		if (!part_out_rows(s))
			continue;
		out += s->logits == ACCEL_LOGITS_ALL ? s->count - from.row : 1;
		if (s->sample && out <= c->sample_rows)
			s->token = llm->io.picked[out - 1];
	}
}

static int run(struct accel_llm *llm, struct accel_step *steps, uint32_t count, bool deliver)
{
	uint64_t pitch = llm->model.vocab * sizeof(float);
	struct cursor at = { 0 };
	struct chunk c;
	int ret;

	while (at.part < count) {
		struct cursor from = at;
		uint64_t logits = llm->device_logits.address, start = accel_now(), ns;

		if (deliver)
			logits = llm->host_logits.address + at.out_row * pitch;
		fill(llm, steps, count, &at, &c);
		ret = submit(llm, &c, logits);
		if (ret)
			return ret;
		at.out_row += c.out_rows;
		collect(llm, steps, &c, from, &at);
		account(llm, &c);
		ns = accel_now() - start;
		llm->stats.prefill_host_ns += ns * c.prefill / c.rows;
		llm->stats.decode_host_ns += ns - ns * c.prefill / c.rows;
	}
	return 0;
}

/* --- The step. --- */

static void finish(struct accel_llm *llm, struct accel_step *steps, uint32_t count, bool deliver)
{
	const float *logits = llm->host_logits.data;

	for (uint32_t i = 0; i < count; i++) {
		struct accel_step *s = &steps[i];

		s->seq->length += s->count;
		llm_usage_add(llm, s->count);
		s->seq->pending = ACCEL_TOKEN_NONE;
		if (s->logits != ACCEL_LOGITS_NONE)
			s->logits_out = logits;
		if (deliver)
			logits += (uint64_t)part_out_rows(s) * llm->model.vocab;
	}
}

ACCEL_API int accel_llm_step(struct accel_llm *llm, struct accel_step *steps, uint32_t count)
{
	bool deliver;
	int ret = prepare(llm, steps, count, &deliver);

	if (ret)
		return ret;
	for (uint32_t i = 0; i < count; i++) {
		accel_kv_extend(&llm->kv, &steps[i].seq->kv, steps[i].seq->length + steps[i].count);
		accel_kv_pin(&steps[i].seq->kv);
	}
	ret = run(llm, steps, count, deliver);
	for (uint32_t i = 0; i < count; i++)
		accel_kv_unpin(&steps[i].seq->kv);
	if (!ret) {
		finish(llm, steps, count, deliver);
		return 0;
	}
	for (uint32_t i = 0; i < count; i++) {
		accel_kv_truncate(&llm->kv, &steps[i].seq->kv, steps[i].seq->length);
		steps[i].token = ACCEL_TOKEN_NONE;
	}
	/* A queue whose job failed may be dead: the next step starts with a new one. */
	llm_queue_destroy(llm);
	return ret;
}
