// SPDX-License-Identifier: MIT
/*
 * Writing program files. Everything small is laid out in memory first; weights come last and stream
 * through a buffer. The file is made under a temporary name and renamed when it is whole.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "program.h"

#define BUFFER_BYTES	(1u << 20)
#define MAX_SECTIONS	8u

struct out {
	struct accel_compile *c;
	const char *path;
	char temp[4096];
	int fd;
	uint8_t *buffer;
	size_t used;
	uint64_t at;		/* of the file, buffer included */
	uint64_t weights_at;
};

struct section {
	struct nib_program_section record;
	const void *data;
};

static int flush(struct out *o)
{
	size_t done = 0;
	ssize_t n;

	while (done < o->used) {
		n = write(o->fd, o->buffer + done, o->used - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ac_fail(&o->c->ctx, n ? errno : EIO, "%s: %s", o->path,
				       strerror(n ? errno : EIO));
		done += (size_t)n;
	}
	o->used = 0;
	return 0;
}

static int put(void *user, const void *data, size_t bytes)
{
	struct out *o = user;
	const uint8_t *p = data;
	size_t n;
	int err;

	while (bytes) {
		n = BUFFER_BYTES - o->used;
		n = n < bytes ? n : bytes;
		memcpy(o->buffer + o->used, p, n);
		o->used += n;
		o->at += n;
		p += n;
		bytes -= n;
		err = o->used == BUFFER_BYTES ? flush(o) : 0;
		if (err)
			return err;
	}
	return 0;
}

static int pad_to(struct out *o, uint64_t to)
{
	static const uint8_t zeros[NIB_PROGRAM_ALIGN];
	uint64_t n;
	int err = 0;

	while (o->at < to && !err) {
		n = to - o->at < sizeof(zeros) ? to - o->at : sizeof(zeros);
		err = put(o, zeros, n);
	}
	return err;
}

static int put_weights(struct out *o)
{
	struct accel_compile *c = o->c;
	uint64_t start = o->at;
	int i, err = 0;

	for (i = 0; i < c->n_weights && !err; i++) {
		err = pad_to(o, start + c->weights[i].offset);
		if (!err)
			err = ac_weight_write(c, &c->weights[i], put, o);
		if (!err && o->at != start + c->weights[i].offset + c->weights[i].bytes)
			err = ac_fail(&c->ctx, EIO, "weight %s: wrote another size than planned",
				      c->weights[i].name);
		if (c->options.progress)
			c->options.progress(c->options.user, "weights", o->at - start,
					    c->weights_bytes);
	}
	return err;
}

static void fill_model(const struct accel_compile *c, struct nib_program_model *model)
{
	const struct ac_model *m = &c->model;
	int i;

	memset(model, 0, sizeof(*model));
	memcpy(model->arch, m->arch, sizeof(model->arch));
	memcpy(model->name, m->name, sizeof(model->name));
	model->vocab = m->vocab;
	model->dim = m->dim;
	model->layers = m->layers;
	model->heads = m->heads;
	model->kv_heads = m->kv_heads;
	model->head_dim = m->head_dim;
	model->ffn = m->ffn;
	model->context = m->context;
	model->max_rows = c->options.max_rows;
	model->max_out_rows = c->options.max_out_rows;
	model->page_tokens = c->options.page_tokens;
	model->k_fmt = c->options.kv_fmt;
	model->v_fmt = c->options.kv_fmt;
	model->weight_fmt = ac_main_format(c);
	model->act_fmt = c->options.act_fmt;
	for (i = 0; i < c->n_nodes; i++)
		if (c->nodes[i].op == AC_OP_LINEAR && !c->nodes[i].dead)
			model->head_fmt = c->nodes[i].parts[0].fmt;
	model->page_bytes = c->page_bytes;
	model->scratch_bytes = c->scratch_bytes;
	model->weights_bytes = c->weights_bytes;
	model->params = m->params;
}

uint32_t ac_main_format(const struct accel_compile *c)
{
	uint64_t bytes[32] = { 0 };
	uint32_t best = NIB_FMT_NONE, p;
	int i;

	for (i = 0; i < c->n_nodes; i++) {
		const struct ac_node *node = &c->nodes[i];

		if (node->op != AC_OP_LINEAR || node->dead || c->values[node->out].logits)
			continue;
		for (p = 0; p < node->n_parts; p++)
			bytes[node->parts[p].fmt & 31] += (uint64_t)node->parts[p].n * node->k;
	}
	for (p = 1; p < 32; p++)
		if (bytes[p] > bytes[best])
			best = p;
	return best;
}

static struct nib_program_name *make_names(struct accel_compile *c)
{
	struct nib_program_name *names = ac_alloc(&c->ctx, c->n_packets + 1, sizeof(*names));
	uint32_t i;

	for (i = 0; names && i < c->n_packets; i++) {
		names[i].stream = NIB_STREAM_STEP;
		names[i].packet = i;
		snprintf(names[i].name, sizeof(names[i].name), "%s", c->packets[i].name);
	}
	return names;
}

static struct nib_program_binding *make_bindings(struct accel_compile *c)
{
	struct nib_program_binding *b = ac_alloc(&c->ctx, NIB_BIND_COUNT, sizeof(*b));
	uint32_t i;

	for (i = 0; b && i < NIB_BIND_COUNT; i++)
		b[i] = (struct nib_program_binding){ NIB_STREAM_STEP, i, i, 0 };
	return b;
}

static void make_info(struct accel_compile *c, struct ac_text *text)
{
	const char *base = strrchr(c->gguf.name, '/');
	const struct ac_model *m = &c->model;
	const char *p;

	ac_text_add(text, "compiler: accelc 0.1\nsource: ");
	for (p = base ? base + 1 : c->gguf.name; *p; p++)
		ac_text_add(text, "%c", (unsigned char)*p < 0x20 ? '?' : *p);
	ac_text_add(text, "\nmodel: %s\narchitecture: %s\nparameters: %llu\n", m->name, m->arch,
		    (unsigned long long)m->params);
	ac_text_add(text, "weights: %s\nactivations: %s\nkv: %s\nchip: %s\n",
		    accel_format_name(ac_main_format(c)), accel_format_name(c->options.act_fmt),
		    accel_format_name(c->options.kv_fmt), c->chip.name);
	ac_text_add(text, "weight-rule: %u\nact-rule: %u\nhead-tied: %s\n", c->options.weight_rule,
		    c->options.act_rule, m->tied ? "yes" : "no");
}

static int write_all(struct out *o, const struct section *s, uint32_t n)
{
	struct accel_compile *c = o->c;
	struct nib_program_section records[MAX_SECTIONS];
	struct nib_program_header h = {
		.magic = NIB_PROGRAM_MAGIC, .major = NIB_PROGRAM_MAJOR, .minor = NIB_PROGRAM_MINOR,
		.isa = NIB_ISA_MAJOR << 16 | NIB_ISA_MINOR, .sections = n,
	};
	uint32_t i;
	int err;

	for (i = 0; i < n; i++)
		records[i] = s[i].record;
	h.file_bytes = s[n - 1].record.offset + s[n - 1].record.bytes;
	memcpy(h.chip, c->chip.name, sizeof(h.chip));
	h.hbm_bytes = ac_align(c->weights_bytes, 4096) + ac_align(c->scratch_bytes, 4096);
	h.sections_hash = nib_hash(records, n * sizeof(records[0]));
	err = put(o, &h, sizeof(h));
	if (!err)
		err = put(o, records, n * sizeof(records[0]));
	for (i = 0; i < n && !err; i++) {
		err = pad_to(o, s[i].record.offset);
		if (!err)
			err = s[i].data ? put(o, s[i].data, s[i].record.bytes) : put_weights(o);
	}
	return err ? err : flush(o);
}

static void add_section(struct section *s, uint32_t *n, uint32_t type, const void *data,
			uint64_t bytes)
{
	uint64_t at = sizeof(struct nib_program_header) + MAX_SECTIONS * sizeof(s->record);

	if (*n)
		at = s[*n - 1].record.offset + s[*n - 1].record.bytes;
	s[*n] = (struct section){
		.record = {
			.type = type, .offset = ac_align(at, NIB_PROGRAM_ALIGN), .bytes = bytes,
			.hash = data ? nib_hash(data, bytes) : 0,
		},
		.data = data,
	};
	(*n)++;
}

static int write_sections(struct out *o)
{
	struct accel_compile *c = o->c;
	struct nib_program_binding *bindings = make_bindings(c);
	struct nib_program_name *names = make_names(c);
	struct section s[MAX_SECTIONS];
	struct nib_program_model model;
	struct ac_text info = { 0 };
	uint32_t n = 0;
	int err;

	fill_model(c, &model);
	make_info(c, &info);
	if (!bindings || !names || info.failed) {
		ac_text_free(&info);
		return ac_fail(&c->ctx, ENOMEM, "out of memory");
	}
	add_section(s, &n, NIB_SECTION_MODEL, &model, sizeof(model));
	add_section(s, &n, NIB_SECTION_INFO, info.data, info.len);
	add_section(s, &n, NIB_SECTION_BINDINGS, bindings, NIB_BIND_COUNT * sizeof(*bindings));
	add_section(s, &n, NIB_SECTION_NAMES, names, c->n_packets * sizeof(*names));
	add_section(s, &n, NIB_SECTION_STREAM, c->stream, c->stream_bytes);
	if (c->tokenizer)
		add_section(s, &n, NIB_SECTION_TOKENIZER, c->tokenizer, c->tokenizer_bytes);
	add_section(s, &n, NIB_SECTION_WEIGHTS, NULL, c->weights_bytes);
	err = write_all(o, s, n);
	ac_text_free(&info);
	return err;
}

static int open_temp(struct out *o)
{
	struct accel_compile *c = o->c;
	uint32_t tries, chance;
	struct stat st;
	int n, err;

	if (!stat(o->path, &st) && !S_ISREG(st.st_mode))
		return ac_fail(&c->ctx, EINVAL, "%s: exists and is no plain file", o->path);
	/* Not mkstemp(): the file gets the mode that others get, and only the kernel knows the mask. */
	for (tries = 0; tries < 100; tries++) {
		if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
			chance = (uint32_t)getpid() + tries;
		n = snprintf(o->temp, sizeof(o->temp), "%s.%08x", o->path, chance);
		if (n < 0 || (size_t)n >= sizeof(o->temp))
			return ac_fail(&c->ctx, ENAMETOOLONG, "%s: name too long", o->path);
		o->fd = open(o->temp, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
		if (o->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	err = errno;
	return ac_fail(&c->ctx, err, "%s: cannot create: %s", o->path, strerror(err));
}

int ac_program_write(struct accel_compile *c, const char *path)
{
	struct out o = { .c = c, .path = path, .fd = -1 };
	int err = open_temp(&o);

	if (err)
		return err;
	o.buffer = malloc(BUFFER_BYTES);
	err = o.buffer ? write_sections(&o) : ac_fail(&c->ctx, ENOMEM, "out of memory");
	free(o.buffer);
	if (close(o.fd) && !err)
		err = ac_fail(&c->ctx, errno, "%s: %s", path, strerror(errno));
	if (!err && rename(o.temp, path))
		err = ac_fail(&c->ctx, errno, "%s: cannot rename: %s", path, strerror(errno));
	if (err)
		unlink(o.temp);
	return err;
}
