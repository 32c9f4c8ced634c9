// SPDX-License-Identifier: MIT
/*
 * Program files: mapped, and believed only after every size, count, hash and stream in them has
 * been checked. The tokenizer section is opaque here; who reads it checks it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"
#include "nib_program.h"
#include "nib_validate.h"

struct accel_program {
	const uint8_t *data;
	uint64_t bytes;
	bool mapped;
	const struct nib_program_header *header;
	const struct nib_program_section *sections;
	const struct nib_program_model *model;
	struct nib_stream_info streams[NIB_PROGRAM_MAX_SECTIONS];	/* of STREAM sections */
};

#define COPY_PIECE	(1ull << 20)

#define LLU(x) ((unsigned long long)(x))

static const char *section_name(uint32_t type)
{
	static const char *const names[] = {
		"section 0", "model", "weights", "stream", "bindings", "tokenizer", "names", "info",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown section";
}

static const struct nib_program_section *find(const struct accel_program *program, uint32_t type,
					      uint32_t id)
{
	uint32_t i;

	for (i = 0; i < program->header->sections; i++)
		if (program->sections[i].type == type && program->sections[i].id == id)
			return &program->sections[i];
	return NULL;
}

static const void *contents(const struct accel_program *program,
			    const struct nib_program_section *section)
{
	return program->data + section->offset;
}

static bool terminated(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

static bool all_zero(const void *data, size_t bytes)
{
	const uint8_t *p = data;

	while (bytes && !*p)
		p++, bytes--;
	return !bytes;
}

static int check_header(struct accel_program *program)
{
	const struct nib_program_header *header = (const void *)program->data;
	uint64_t records;

	if (program->bytes < sizeof(*header) || header->magic != NIB_PROGRAM_MAGIC)
		return accel_fail(NULL, -EINVAL, "program: not a program file (%llu bytes)",
				  LLU(program->bytes));
	if (header->major != NIB_PROGRAM_MAJOR)
		return accel_fail(NULL, -EPROTONOSUPPORT,
				  "program: file version %u.%u, this library reads %u.x",
				  header->major, header->minor, NIB_PROGRAM_MAJOR);
	if (header->isa >> 16 != NIB_ISA_MAJOR)
		return accel_fail(NULL, -EPROTONOSUPPORT,
				  "program: streams of ISA %u.%u, this library knows %u.%u",
				  header->isa >> 16, header->isa & 0xffff, NIB_ISA_MAJOR,
				  NIB_ISA_MINOR);
	if (header->file_bytes != program->bytes)
		return accel_fail(NULL, -EINVAL, "program: header.file_bytes is %llu, the file has "
				  "%llu", LLU(header->file_bytes), LLU(program->bytes));
	if (header->sections > NIB_PROGRAM_MAX_SECTIONS)
		return accel_fail(NULL, -EINVAL, "program: header.sections is %u, at most %u",
				  header->sections, NIB_PROGRAM_MAX_SECTIONS);
	records = header->sections * sizeof(*program->sections);
	if (sizeof(*header) + records > program->bytes)
		return accel_fail(NULL, -EINVAL,
				  "program: %u section records end at %llu, the file at %llu",
				  header->sections, LLU(sizeof(*header) + records),
				  LLU(program->bytes));
	if (!terminated(header->chip, sizeof(header->chip)) || header->zero0 ||
	    !all_zero(header->zero, sizeof(header->zero)))
		return accel_fail(NULL, -EINVAL,
				  "program: header.chip has no end, or header.zero is not");
	program->header = header;
	program->sections = (const void *)(program->data + sizeof(*header));
	if (nib_hash(program->sections, records) != header->sections_hash)
		return accel_fail(
			NULL, -EINVAL,
			"program: header.sections_hash does not match: the file is damaged");
	return 0;
}

/* Section @i against the file and the sections before it. */
static int check_section(const struct accel_program *program, uint32_t i)
{
	const struct nib_program_section *s = &program->sections[i], *other;
	uint64_t least = sizeof(*program->header) + program->header->sections * sizeof(*s);
	const char *name = section_name(s->type);
	uint32_t j;

	if (s->offset % NIB_PROGRAM_ALIGN || s->offset < least || s->offset > program->bytes ||
	    s->bytes > program->bytes - s->offset)
		return accel_fail(NULL, -EINVAL,
				  "program: %s %u: offset %llu (a multiple of %u) and "
				  "%llu bytes do not lie in %llu..%llu",
				  name, s->id, LLU(s->offset), NIB_PROGRAM_ALIGN, LLU(s->bytes),
				  LLU(least), LLU(program->bytes));
	for (j = 0; j < i; j++) {
		other = &program->sections[j];
		if (other->type == s->type && other->id == s->id)
			return accel_fail(NULL, -EINVAL, "program: %s %u is there twice", name,
					  s->id);
		if (s->bytes && other->bytes && s->offset < other->offset + other->bytes &&
		    other->offset < s->offset + s->bytes)
			return accel_fail(NULL, -EINVAL, "program: %s %u overlaps %s %u", name,
					  s->id, section_name(other->type), other->id);
	}
	if (s->type < NIB_SECTION_MODEL || s->type > NIB_SECTION_INFO)
		return 0;
	if (s->type != NIB_SECTION_STREAM && s->id)
		return accel_fail(NULL, -EINVAL, "program: %s has id %u, want 0", name, s->id);
	if (s->type != NIB_SECTION_WEIGHTS && nib_hash(contents(program, s), s->bytes) != s->hash)
		return accel_fail(NULL, -EINVAL, "program: %s %u: hash does not match: the file is "
				  "damaged", name, s->id);
	return 0;
}

static int check_stream(struct accel_program *program, uint32_t i)
{
	const struct nib_program_section *s = &program->sections[i];
	struct nib_stream_info *info = &program->streams[i];
	uint32_t error = NIB_INVALID_SIZE;

	if (s->bytes <= NIB_MAX_STREAM_BYTES)
		error = accel_stream_check(contents(program, s), (uint32_t)s->bytes, info);
	if (error)
		return accel_fail(NULL, -EINVAL, "program: stream %u: packet %u at byte %u: %s",
				  s->id, info->packets, info->error_offset,
				  nib_validate_strerror(error));
	return 0;
}

/* What a model's numbers may be. */
static const struct limit {
	const char *name;
	size_t offset;
	uint32_t least;
	uint32_t most;
} model_limits[] = {
#define LIMIT(field, least, most) \
	{ #field, offsetof(struct nib_program_model, field), least, most }
	LIMIT(vocab, 1, NIB_MAX_DIM),
	LIMIT(dim, 1, NIB_MAX_DIM),
	LIMIT(layers, 1, 0xffff),
	LIMIT(heads, 1, 0xffff),
	LIMIT(kv_heads, 1, 0xffff),
	LIMIT(head_dim, 1, NIB_ATTN_MAX_HEAD_DIM),
	LIMIT(ffn, 0, NIB_MAX_DIM),
	LIMIT(context, 1, NIB_MAX_DIM),
	LIMIT(max_rows, 1, NIB_MAX_DIM),
	LIMIT(max_out_rows, 1, NIB_MAX_DIM),
	LIMIT(page_tokens, 1, 4096),
};

static int check_model(const struct nib_program_model *model, uint64_t bytes)
{
	uint64_t width, page;
	uint32_t value;
	size_t i;

	if (bytes != sizeof(*model))
		return accel_fail(NULL, -EINVAL, "program: model has %llu bytes, want %zu",
				  LLU(bytes), sizeof(*model));
	if (!terminated(model->arch, sizeof(model->arch)) ||
	    !terminated(model->name, sizeof(model->name)) ||
	    !all_zero(model->zero, sizeof(model->zero)))
		return accel_fail(NULL, -EINVAL,
				  "program: model.arch or .name has no end, or model.zero is not");
	for (i = 0; i < sizeof(model_limits) / sizeof(model_limits[0]); i++) {
		const struct limit *limit = &model_limits[i];

		memcpy(&value, (const char *)model + limit->offset, sizeof(value));
		if (value < limit->least || value > limit->most)
			return accel_fail(NULL, -EINVAL, "program: model.%s is %u, want %u..%u",
					  limit->name, value, limit->least, limit->most);
	}
	if (model->heads % model->kv_heads)
		return accel_fail(NULL, -EINVAL,
				  "program: model.heads %u is no multiple of model.kv_heads %u",
				  model->heads, model->kv_heads);
	if (model->max_out_rows > model->max_rows)
		return accel_fail(NULL, -EINVAL,
				  "program: model.max_out_rows %u exceeds model.max_rows %u",
				  model->max_out_rows, model->max_rows);
	if (model->page_tokens & (model->page_tokens - 1))
		return accel_fail(NULL, -EINVAL,
				  "program: model.page_tokens %u is no power of two",
				  model->page_tokens);
	if (!nib_format_is_kv(model->k_fmt) || !nib_format_is_kv(model->v_fmt))
		return accel_fail(NULL, -EINVAL,
				  "program: model.k_fmt %u or v_fmt %u is no K/V format",
				  model->k_fmt, model->v_fmt);
	width = (uint64_t)model->kv_heads * model->head_dim;
	page = (nib_row_bytes(model->k_fmt, width) + nib_row_bytes(model->v_fmt, width)) *
	       model->layers * model->page_tokens;
	if (model->page_bytes < page || model->page_bytes > 1ull << 40)
		return accel_fail(NULL, -EINVAL,
				  "program: model.page_bytes is %llu, want %llu..2^40",
				  LLU(model->page_bytes), LLU(page));
	if (model->scratch_bytes >= 1ull << (NIB_VA_BITS - 1))
		return accel_fail(NULL, -EINVAL,
				  "program: model.scratch_bytes is %llu, want < 2^%d",
				  LLU(model->scratch_bytes), NIB_VA_BITS - 1);
	return 0;
}

static const struct nib_stream_info *stream_info(const struct accel_program *program, uint32_t id)
{
	const struct nib_program_section *s = find(program, NIB_SECTION_STREAM, id);

	return s ? &program->streams[s - program->sections] : NULL;
}

static int check_bindings(const struct accel_program *program, const struct nib_program_section *s)
{
	const struct nib_program_binding *b = contents(program, s);
	uint64_t count = s->bytes / sizeof(*b), bound, i, j;

	if (s->bytes % sizeof(*b) || count > NIB_PROGRAM_MAX_SECTIONS * NIB_MAX_ARGS)
		return accel_fail(NULL, -EINVAL,
				  "program: bindings: %llu bytes are no array of at most %u",
				  LLU(s->bytes), NIB_PROGRAM_MAX_SECTIONS * NIB_MAX_ARGS);
	for (i = 0; i < count; i++)
		if (b[i].arg >= NIB_MAX_ARGS || b[i].bind >= NIB_BIND_COUNT || b[i].zero ||
		    !stream_info(program, b[i].stream))
			return accel_fail(NULL, -EINVAL,
					  "program: binding %llu: stream %u, argument "
					  "%u (below %u) or meaning %u (below %u) does not exist",
					  LLU(i), b[i].stream, b[i].arg, NIB_MAX_ARGS, b[i].bind,
					  NIB_BIND_COUNT);
	for (i = 0; i < program->header->sections; i++) {
		if (program->sections[i].type != NIB_SECTION_STREAM)
			continue;
		for (j = 0, bound = 0; j < count; j++) {
			if (b[j].stream != program->sections[i].id)
				continue;
			if (bound >> b[j].arg & 1)
				return accel_fail(NULL, -EINVAL,
						  "program: argument %u of stream %u is "
						  "bound twice",
						  b[j].arg, b[j].stream);
			bound |= 1ull << b[j].arg;
		}
		for (j = 0; j < program->streams[i].nargs; j++)
			if (!(bound >> j & 1))
				return accel_fail(NULL, -EINVAL,
						  "program: argument %llu of stream %u "
						  "is not bound",
						  LLU(j), program->sections[i].id);
	}
	return 0;
}

static int check_names(const struct accel_program *program, const struct nib_program_section *s)
{
	const struct nib_program_name *n = contents(program, s);
	const struct nib_stream_info *info;
	uint64_t i;

	if (s->bytes % sizeof(*n))
		return accel_fail(NULL, -EINVAL,
				  "program: names: %llu bytes are no whole records of %zu",
				  LLU(s->bytes), sizeof(*n));
	for (i = 0; i < s->bytes / sizeof(*n); i++) {
		info = stream_info(program, n[i].stream);
		if (!info || n[i].packet >= info->packets ||
		    !terminated(n[i].name, sizeof(n[i].name)))
			return accel_fail(NULL, -EINVAL,
					  "program: name %llu: stream %u has no packet "
					  "%u, or the name has no end",
					  LLU(i), n[i].stream, n[i].packet);
	}
	return 0;
}

/* What a language model cannot do without. */
static int check_complete(struct accel_program *program)
{
	static const uint32_t needed[] = {
		NIB_SECTION_WEIGHTS, NIB_SECTION_STREAM, NIB_SECTION_BINDINGS,
	};
	const struct nib_program_section *s;
	size_t i;

	if (!program->model)
		return 0;
	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!find(program, needed[i], 0))
			return accel_fail(NULL, -EINVAL, "program: a model without %s 0",
					  section_name(needed[i]));
	s = find(program, NIB_SECTION_WEIGHTS, 0);
	if (program->model->weights_bytes != s->bytes)
		return accel_fail(NULL, -EINVAL,
				  "program: model.weights_bytes is %llu, the weights have %llu",
				  LLU(program->model->weights_bytes), LLU(s->bytes));
	return 0;
}

static int check(struct accel_program *program)
{
	const struct nib_program_section *s;
	uint32_t i;
	int err;

	err = check_header(program);
	for (i = 0; !err && i < program->header->sections; i++)
		err = check_section(program, i);
	/* Streams first: others refer to them. */
	for (i = 0; !err && i < program->header->sections; i++)
		if (program->sections[i].type == NIB_SECTION_STREAM)
			err = check_stream(program, i);
	for (i = 0; !err && i < program->header->sections; i++) {
		s = &program->sections[i];
		if (s->type == NIB_SECTION_MODEL) {
			program->model = contents(program, s);
			err = check_model(program->model, s->bytes);
		} else if (s->type == NIB_SECTION_BINDINGS) {
			err = check_bindings(program, s);
		} else if (s->type == NIB_SECTION_NAMES) {
			err = check_names(program, s);
		}
	}
	return err ? err : check_complete(program);
}

static int open_data(const void *data, uint64_t bytes, bool mapped, struct accel_program **out)
{
	struct accel_program *program = calloc(1, sizeof(*program));
	int err;

	if (!program)
		return accel_fail(NULL, -ENOMEM, "program: no memory");
	program->data = data;
	program->bytes = bytes;
	err = check(program);
	if (err) {
		free(program);
		return err;
	}
	program->mapped = mapped;
	*out = program;
	return 0;
}

ACCEL_API int accel_program_open_memory(const void *data, size_t bytes, struct accel_program **out)
{
	if (!data || (uintptr_t)data % 8)
		return accel_fail(NULL, -EINVAL, "program: memory at %p, want an address that is a "
				  "multiple of 8", data);
	return open_data(data, bytes, false, out);
}

ACCEL_API int accel_program_open(const char *path, struct accel_program **out)
{
	struct stat st;
	void *data;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		err = errno;
		if (fd >= 0)
			close(fd);
		return accel_fail(NULL, -err, "program %s: %s", path, strerror(err));
	}
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct nib_program_header)) {
		close(fd);
		return accel_fail(NULL, -EINVAL, "program %s: no file, or shorter than a header",
				  path);
	}
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	err = errno;
	close(fd);
	if (data == MAP_FAILED)
		return accel_fail(NULL, -err, "program %s: %s", path, strerror(err));
	err = open_data(data, (uint64_t)st.st_size, true, out);
	if (err)
		munmap(data, (size_t)st.st_size);
	return err;
}

ACCEL_API void accel_program_close(struct accel_program *program)
{
	if (!program)
		return;
	if (program->mapped)
		munmap((void *)(uintptr_t)program->data, program->bytes);
	free(program);
}

/*
 * In pieces, each given back once it is copied, so that a model is not resident twice. The range is
 * rounded outwards: what else lies in its first and last page is read from the file again.
 */
void accel_program_copy(const struct accel_program *program, void *to, const void *from,
			uint64_t bytes)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), n;

	for (uint64_t at = 0; at < bytes; at += n) {
		uintptr_t piece = (uintptr_t)from + at, first = piece & ~(page - 1);

		n = bytes - at < COPY_PIECE ? bytes - at : COPY_PIECE;
		memcpy((uint8_t *)to + at, (const void *)piece, n);
		if (program && program->mapped)
			madvise((void *)first, (piece + n - first + page - 1) & ~(page - 1),
				MADV_DONTNEED);
	}
}

ACCEL_API const struct nib_program_header *accel_program_header(const struct accel_program *program)
{
	return program->header;
}

ACCEL_API const struct nib_program_model *accel_program_model(const struct accel_program *program)
{
	return program->model;
}

ACCEL_API const void *accel_program_section(const struct accel_program *program, uint32_t type,
					    uint32_t id, size_t *bytes)
{
	const struct nib_program_section *s = find(program, type, id);

	*bytes = s ? s->bytes : 0;
	return s ? contents(program, s) : NULL;
}
