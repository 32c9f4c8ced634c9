// SPDX-License-Identifier: MIT
/* See machine.h. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "interpret.h"
#include "machine.h"

static void compile(const char *model, const void *data, size_t bytes,
		    const struct accel_compile_options *options, char *path)
{
	struct accel_compile *c;
	int fd, err;

	strcpy(path, "/tmp/nib-test-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(accel_compile_create(options, &c), 0);
	err = data ? accel_compile_load_memory(c, model, data, bytes)
		   : accel_compile_load(c, model);
	ck_assert_msg(!err, "%s", accel_compile_error(c));
	err = accel_compile_write(c, path);
	ck_assert_msg(!err, "%s", accel_compile_error(c));
	accel_compile_destroy(c);
}

static void *aligned(uint64_t bytes)
{
	void *p = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096 + 4096);

	ck_assert_ptr_nonnull(p);
	/* What a program forgets to write shows up as NaN. */
	memset(p, 0xff, bytes);
	return p;
}

void machine_open(struct machine *m, const char *gguf, const void *data, size_t bytes,
		  const struct accel_compile_options *options)
{
	uint64_t pages, i;
	const void *weights;

	memset(m, 0, sizeof(*m));
	compile(gguf, data, bytes, options, m->path);
	ck_assert_msg(!accel_program_open(m->path, &m->program), "%s", accel_last_error(NULL));
	m->model = accel_program_model(m->program);
	m->stream = accel_program_section(m->program, NIB_SECTION_STREAM, NIB_STREAM_STEP,
					  &m->stream_bytes);
	weights = accel_program_section(m->program, NIB_SECTION_WEIGHTS, 0, &bytes);
	m->weights = aligned(bytes);
	memcpy(m->weights, weights, bytes);
	m->scratch = aligned(m->model->scratch_bytes);
	pages = MACHINE_TOKENS / m->model->page_tokens;
	m->pages = aligned(pages * m->model->page_bytes);
	m->blocks = aligned(pages * 8);
	for (i = 0; i < pages; i++)
		m->blocks[i] = (uintptr_t)m->pages + (pages - 1 - i) * m->model->page_bytes;
	m->logits = aligned((uint64_t)MACHINE_TOKENS * m->model->vocab * 4);
	m->args[NIB_BIND_WEIGHTS] = (uintptr_t)m->weights;
	m->args[NIB_BIND_SCRATCH] = (uintptr_t)m->scratch;
	m->args[NIB_BIND_BLOCKS] = (uintptr_t)m->blocks;
	m->args[NIB_BIND_BLOCK_STRIDE] = pages;
	m->args[NIB_BIND_LOGITS] = (uintptr_t)m->logits;
}

void machine_close(struct machine *m)
{
	unlink(m->path);
	accel_program_close(m->program);
	free(m->weights);
	free(m->scratch);
	free(m->pages);
	free(m->blocks);
	free(m->logits);
}

uint32_t machine_step(struct machine *m, const uint32_t *tokens, uint32_t from, uint32_t to)
{
	struct nib_kv_row table[MACHINE_TOKENS];
	uint32_t index[MACHINE_TOKENS], pick[MACHINE_TOKENS], n = to - from, i;
	struct nib_sample_params params[MACHINE_TOKENS];
	const char *error;

	for (i = 0; i < n; i++) {
		table[i] = (struct nib_kv_row){ 0, from + i };
		index[i] = i;
	}
	memset(params, 0, sizeof(params));
	m->args[NIB_BIND_ROWS] = n;
	m->args[NIB_BIND_TOKENS] = (uintptr_t)(tokens + from);
	m->args[NIB_BIND_ROW_TABLE] = (uintptr_t)table;
	m->args[NIB_BIND_OUT_ROWS] = n;
	m->args[NIB_BIND_OUT_INDEX] = (uintptr_t)index;
	m->args[NIB_BIND_SAMPLE_ROWS] = n;
	m->args[NIB_BIND_SAMPLE_PARAMS] = (uintptr_t)params;
	m->args[NIB_BIND_SAMPLE_OUT] = (uintptr_t)pick;
	error = interpret(m->stream, m->stream_bytes, m->args);
	ck_assert_msg(!error, "%s", error);
	return pick[n - 1];
}
