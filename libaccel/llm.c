// SPDX-License-Identifier: MIT
/*
 * Loading a language model onto a device: weights, scratch, the stream and what its arguments mean;
 * and the sequences. What runs per step is in step.c.
 */
#include "llm.h"

#define MAX_SEQS	65536u

static int check_chip(struct accel_device *device, const struct accel_program *program)
{
	const struct nib_program_header *header = accel_program_header(program);
	struct accel_device_info info = { .struct_size = sizeof(info) };
	int ret = accel_device_query(device, &info);

	if (ret)
		return ret;
	if (strncmp(header->chip, info.chip, sizeof(header->chip)))
		return accel_fail(
			device, -EINVAL,
			"the program was compiled for chip \"%.32s\", the device is \"%s\"",
			header->chip, info.chip);
	if (header->isa >> 16 != info.isa_version >> 16 || header->isa > info.isa_version)
		return accel_fail(device, -EINVAL,
				  "the program needs stream ISA %u.%u, the device has %u.%u",
				  header->isa >> 16, header->isa & 0xffff, info.isa_version >> 16,
				  info.isa_version & 0xffff);
	return 0;
}

/* Which argument of the stream is what; accel_program_open() has seen that each is one thing. */
static void read_bindings(struct accel_llm *llm, const struct accel_program *program)
{
	size_t bytes;
	const struct nib_program_binding *b =
		accel_program_section(program, NIB_SECTION_BINDINGS, 0, &bytes);

	llm->nargs = accel_stream_nargs(llm->stream);
	for (size_t i = 0; i < bytes / sizeof(*b); i++)
		if (b[i].stream == NIB_STREAM_STEP)
			llm->bind[b[i].arg] = (uint8_t)b[i].bind;
}

/* --- Loading. --- */

/* Copied by the CPU; where they do not fit the window that it sees, by the device's DMA. */
static int load_weights(struct accel_llm *llm, const struct accel_program *program)
{
	size_t bytes;
	const void *data = accel_program_section(program, NIB_SECTION_WEIGHTS, 0, &bytes);
	void *map;
	int ret = accel_buffer_create(llm->device, ACCEL_MEMORY_HBM, bytes, ACCEL_BUFFER_READONLY,
				      &llm->weights);

	if (!ret)
		ret = accel_buffer_map(llm->weights, &map);
	if (!ret) {
		accel_program_copy(program, map, data, bytes);
		return 0;
	}
	if (ret != -ENOSPC && ret != -EACCES)
		return ret;
	if (llm->weights)
		accel_buffer_destroy(llm->weights);
	llm->weights = NULL;
	ret = accel_buffer_create(llm->device, ACCEL_MEMORY_HBM, bytes, ACCEL_BUFFER_NO_MAP,
				  &llm->weights);
	return ret ? ret : llm_upload(llm->weights, program, data, bytes);
}

static int load_stream(struct accel_llm *llm, const struct accel_program *program)
{
	size_t bytes;
	const void *data =
		accel_program_section(program, NIB_SECTION_STREAM, NIB_STREAM_STEP, &bytes);
	int ret;

	ret = accel_stream_create(llm->device, data, bytes, &llm->stream);
	if (!ret)
		read_bindings(llm, program);
	return ret;
}

/* Offset of the next part of the IO buffer: each starts a cache line of its own. */
static uint64_t carve(uint64_t *end, uint64_t count, size_t size)
{
	uint64_t at = *end;

	*end = (at + count * size + 63) & ~63ull;
	return at;
}

static int create_io(struct accel_llm *llm)
{
	const struct nib_program_model *m = &llm->model;
	uint32_t parts = llm->max_seqs < m->max_rows ? llm->max_seqs : m->max_rows;
	uint64_t end = 0;
	uint64_t tokens = carve(&end, m->max_rows, sizeof(*llm->io.tokens));
	uint64_t rows = carve(&end, m->max_rows, sizeof(*llm->io.rows));
	uint64_t blocks = carve(&end, (uint64_t)parts * llm->max_pages, sizeof(*llm->io.blocks));
	uint64_t index = carve(&end, m->max_out_rows, sizeof(*llm->io.out_index));
	uint64_t params = carve(&end, m->max_out_rows, sizeof(*llm->io.params));
	uint64_t picked = carve(&end, m->max_out_rows, sizeof(*llm->io.picked));
	void *map;
	int ret = accel_buffer_create(llm->device, ACCEL_MEMORY_HOST, end, 0, &llm->io.buffer);

	if (!ret)
		ret = accel_buffer_map(llm->io.buffer, &map);
	if (ret)
		return ret;
	llm->io.address = accel_buffer_address(llm->io.buffer);
	llm->io.base = map;
	llm->io.bytes = end;
	llm->io.tokens = (void *)(llm->io.base + tokens);
	llm->io.rows = (void *)(llm->io.base + rows);
	llm->io.blocks = (void *)(llm->io.base + blocks);
	llm->io.out_index = (void *)(llm->io.base + index);
	llm->io.params = (void *)(llm->io.base + params);
	llm->io.picked = (void *)(llm->io.base + picked);
	return 0;
}

int llm_logits_reserve(struct accel_llm *llm, struct llm_logits *l, enum accel_memory memory,
		       uint64_t rows)
{
	uint64_t pitch = llm->model.vocab * sizeof(float);
	void *map = NULL;
	int ret;

	if (rows <= l->rows)
		return 0;
	accel_buffer_destroy(l->buffer);
	*l = (struct llm_logits){ 0 };
	ret = accel_buffer_create(llm->device, memory, rows * pitch,
				  memory == ACCEL_MEMORY_HBM ? ACCEL_BUFFER_NO_MAP : 0, &l->buffer);
	if (!ret && memory == ACCEL_MEMORY_HOST)
		ret = accel_buffer_map(l->buffer, &map);
	if (ret) {
		accel_buffer_destroy(l->buffer);
		l->buffer = NULL;
		return ret;
	}
	l->address = accel_buffer_address(l->buffer);
	l->data = map;
	l->rows = accel_buffer_bytes(l->buffer) / pitch;
	return 0;
}

/*
 * A reset that loses what was in memory kills the queues from before. So it is enough to look where
 * there is a new one, but then: a step on weights that are no more would succeed.
 */
static int check_memory(struct accel_llm *llm)
{
	struct accel_device_info info = { .struct_size = sizeof(info) };
	int ret = accel_device_query(llm->device, &info);

	if (!ret && info.function_resets != llm->function_resets)
		ret = accel_fail(llm->device, -EIO, "a reset of the device lost the model's weights and K/V: "
				 "it must be created anew");
	return ret;
}

int llm_queue_create(struct accel_llm *llm)
{
	int ret;

	llm->point = 0;
	ret = accel_queue_create(llm->device, llm->priority, 0, &llm->queue);
	if (!ret)
		ret = accel_timeline_create(llm->device, 0, &llm->timeline);
	if (!ret)
		ret = check_memory(llm);
	if (ret)
		llm_queue_destroy(llm);
	return ret;
}

void llm_queue_destroy(struct accel_llm *llm)
{
	if (llm->queue)
		accel_queue_destroy(llm->queue);
	if (llm->timeline)
		accel_timeline_destroy(llm->timeline);
	llm->queue = NULL;
	llm->timeline = NULL;
}

/* Which tokens end a text; a program need not have a tokenizer. */
static int find_stops(struct accel_llm *llm, const struct accel_program *program)
{
	struct accel_tokenizer *tokenizer;
	int ret = accel_tokenizer_create(program, &tokenizer);

	if (ret == -ENOENT || ret == -ENOTSUP)
		return 0;
	if (ret)
		return accel_fail(llm->device, ret, "%s", accel_last_error(NULL));
	llm->n_stops = tokenizer->n_stops;
	memcpy(llm->stops, tokenizer->stops, sizeof(llm->stops));
	accel_tokenizer_destroy(tokenizer);
	return 0;
}

static int create_kv(struct accel_llm *llm, const struct accel_llm_params *params)
{
	uint64_t all = (uint64_t)llm->max_pages * llm->max_seqs;
	struct accel_kv_config config = {
		.page_bytes = llm->model.page_bytes,
		.page_tokens = llm->model.page_tokens,
		.seq_pages = llm->max_pages,
		.max_pages = all < 1u << 30 ? all : 1u << 30,
		.sram_bytes = params->sram_bytes,
		.hbm_bytes = params->hbm_kv_bytes,
	};

	return accel_kv_init(&llm->kv, llm->device, &config);
}

static int load(struct accel_llm *llm, const struct accel_program *program,
		const struct accel_llm_params *params)
{
	uint64_t sampled = llm->max_seqs < llm->model.max_out_rows ? llm->max_seqs :
			   llm->model.max_out_rows;
	int ret = load_stream(llm, program);

	if (!ret)
		ret = load_weights(llm, program);
	if (!ret && llm->model.scratch_bytes)
		ret = accel_buffer_create(llm->device, ACCEL_MEMORY_HBM, llm->model.scratch_bytes,
					  ACCEL_BUFFER_NO_MAP, &llm->scratch);
	if (!ret)
		ret = create_io(llm);
	if (!ret)
		ret = llm_logits_reserve(llm, &llm->device_logits, ACCEL_MEMORY_HBM, sampled);
	if (!ret)
		ret = llm_queue_create(llm);
	if (!ret)
		ret = find_stops(llm, program);
	/* Last, since it takes what is left. */
	if (!ret)
		ret = create_kv(llm, params);
	return ret;
}

ACCEL_API int accel_llm_create(struct accel_device *device, const struct accel_program *program,
			       const struct accel_llm_params *in, struct accel_llm **out)
{
	struct accel_llm_params params = { .priority = ACCEL_PRIORITY_NORMAL };
	const struct nib_program_model *model = accel_program_model(program);
	struct accel_device_info info = { .struct_size = sizeof(info) };
	struct accel_llm *llm;
	int ret;

	if (in && accel_struct_in(&params, sizeof(params), sizeof(params), in))
		return accel_fail(device, -EINVAL, "struct accel_llm_params of %zu bytes, or with "
				  "fields that this library does not know", in->struct_size);
	if (params.max_seqs > MAX_SEQS)
		return accel_fail(device, -EINVAL, "max_seqs is %u, at most %u", params.max_seqs,
				  MAX_SEQS);
	if (!model)
		return accel_fail(device, -EINVAL, "the program is not a language model");
	if (model->page_bytes % NIB_ROW_ALIGN)
		return accel_fail(device, -EINVAL, "model: page_bytes is %llu, no multiple of %u",
				  (unsigned long long)model->page_bytes, NIB_ROW_ALIGN);
	ret = check_chip(device, program);
	if (!ret)
		ret = accel_device_query(device, &info);
	if (ret)
		return ret;
	llm = accel_alloc(device, sizeof(*llm));
	if (!llm)
		return accel_fail(device, -ENOMEM, "no memory for a model handle");
	llm->device = device;
	llm->function_resets = info.function_resets;
	llm_usage_open(llm);
	llm->model = *model;
	llm->priority = params.priority;
	llm->max_seqs = params.max_seqs ? params.max_seqs : 8;
	llm->max_pages = (model->context + model->page_tokens - 1) / model->page_tokens;
	ret = load(llm, program, &params);
	if (ret) {
		accel_llm_destroy(llm);
		return ret;
	}
	*out = llm;
	return 0;
}

ACCEL_API void accel_llm_destroy(struct accel_llm *llm)
{
	struct accel_buffer *buffers[] = {
		llm ? llm->weights : NULL, llm ? llm->scratch : NULL, llm ? llm->io.buffer : NULL,
		llm ? llm->host_logits.buffer : NULL, llm ? llm->device_logits.buffer : NULL,
	};

	if (!llm)
		return;
	/* First of all, so that nothing runs that uses the rest. */
	llm_queue_destroy(llm);
	if (llm->stream)
		accel_stream_destroy(llm->stream);
	accel_kv_fini(&llm->kv);
	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
		if (buffers[i])
			accel_buffer_destroy(buffers[i]);
	llm_usage_close(llm);
	accel_free(llm->device, llm);
}

/* --- Sequences. --- */

ACCEL_API int accel_seq_create(struct accel_llm *llm, struct accel_seq **out)
{
	struct accel_seq *seq;

	if (llm->n_seqs == llm->max_seqs)
		return accel_fail(llm->device, -EMFILE, "all %u sequences are in use",
				  llm->max_seqs);
	seq = accel_alloc(llm->device, sizeof(*seq));
	if (!seq || accel_kv_seq_init(&llm->kv, &seq->kv, llm->max_pages)) {
		if (seq)
			accel_free(llm->device, seq);
		return accel_fail(llm->device, -ENOMEM, "no memory for a sequence");
	}
	seq->llm = llm;
	seq->pending = ACCEL_TOKEN_NONE;
	llm->n_seqs++;
	*out = seq;
	return 0;
}

ACCEL_API void accel_seq_destroy(struct accel_seq *seq)
{
	struct accel_llm *llm;

	if (!seq)
		return;
	llm = seq->llm;
	accel_kv_seq_fini(&llm->kv, &seq->kv);
	accel_free(llm->device, seq);
	llm->n_seqs--;
}

ACCEL_API uint32_t accel_seq_length(const struct accel_seq *seq)
{
	return seq->length;
}

ACCEL_API int accel_seq_truncate(struct accel_seq *seq, uint32_t length)
{
	if (length > seq->length)
		return accel_fail(seq->llm->device, -EINVAL,
				  "truncate to %u: the sequence has %u tokens", length,
				  seq->length);
	accel_kv_truncate(&seq->llm->kv, &seq->kv, length);
	seq->length = length;
	seq->pending = ACCEL_TOKEN_NONE;
	return 0;
}

ACCEL_API int accel_llm_query(struct accel_llm *llm, struct accel_llm_stats *stats)
{
	struct accel_llm_stats *s = &llm->stats;

	s->struct_size = sizeof(*s);
	s->pages_sram = llm->kv.tier[ACCEL_KV_SRAM].count;
	s->pages_hbm = llm->kv.tier[ACCEL_KV_HBM].count;
	s->pages_sram_used = llm->kv.tier[ACCEL_KV_SRAM].used;
	s->pages_hbm_used = llm->kv.tier[ACCEL_KV_HBM].used;
	if (accel_struct_out(stats, s, sizeof(*s), sizeof(*s)))
		return accel_fail(llm->device, -EINVAL, "struct accel_llm_stats of %zu bytes",
				  stats->struct_size);
	return 0;
}
