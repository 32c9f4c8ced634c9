// SPDX-License-Identifier: MIT
/*
 * GGUF container: header, metadata, tensor directory. Versions 2 and 3, little-endian. Every length
 * is compared with what is left of the file before it is used, every product is checked, and every
 * allocation is bounded by the size of the file. What tensors hold is gguf_tensor.c's part.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gguf.h"

/* Least bytes of an entry: what bounds how many there can be. */
#define KV_MIN_BYTES		(8 + 1 + 4 + 1)
#define TENSOR_MIN_BYTES	(8 + 1 + 4 + 8 + 4 + 8)

struct cursor {
	const struct ac_gguf *g;
	uint64_t at;
	const char *what;	/* being read, for messages */
};

static int cut(const struct cursor *c, uint64_t wanted)
{
	return ac_fail(c->g->ctx, EINVAL,
		       "%s: %s at offset %llu takes %llu bytes, the file has %llu left", c->g->name,
		       c->what, (unsigned long long)c->at, (unsigned long long)wanted,
		       (unsigned long long)(c->g->bytes - c->at));
}

static int take(struct cursor *c, uint64_t bytes, const uint8_t **p)
{
	*p = c->g->data + c->at;
	if (bytes > c->g->bytes - c->at)
		return cut(c, bytes);
	c->at += bytes;
	return 0;
}

static int take_u32(struct cursor *c, uint32_t *v)
{
	const uint8_t *p;
	int err = take(c, 4, &p);

	if (!err)
		memcpy(v, p, 4);
	return err;
}

static int take_u64(struct cursor *c, uint64_t *v)
{
	const uint8_t *p;
	int err = take(c, 8, &p);

	if (!err)
		memcpy(v, p, 8);
	return err;
}

static int take_str(struct cursor *c, uint64_t max, struct ac_str *s)
{
	const uint8_t *p;
	int err;

	s->data = "";
	s->bytes = 0;
	err = take_u64(c, &s->bytes);

	if (err)
		return err;
	if (s->bytes > max)
		return ac_fail(c->g->ctx, EINVAL,
			       "%s: %s at offset %llu: text of %llu bytes, limit %llu", c->g->name,
			       c->what, (unsigned long long)(c->at - 8),
			       (unsigned long long)s->bytes, (unsigned long long)max);
	err = take(c, s->bytes, &p);
	s->data = (const char *)p;
	return err;
}

/* A name becomes a C string: it may hold no zero byte. */
static int take_name(struct cursor *c, uint64_t max, const char **name)
{
	struct ac_str s;
	int err = take_str(c, max, &s);

	if (err)
		return err;
	if (!s.bytes || memchr(s.data, 0, s.bytes))
		return ac_fail(c->g->ctx, EINVAL,
			       "%s: %s before offset %llu is empty or holds a zero byte",
			       c->g->name, c->what, (unsigned long long)c->at);
	*name = ac_strndup(c->g->ctx, s.data, s.bytes);
	return *name ? 0 : -ENOMEM;
}

static uint32_t value_bytes(uint32_t type)
{
	switch (type) {
	case AC_GGUF_U8: case AC_GGUF_I8: case AC_GGUF_BOOL:
		return 1;
	case AC_GGUF_U16: case AC_GGUF_I16:
		return 2;
	case AC_GGUF_U32: case AC_GGUF_I32: case AC_GGUF_F32:
		return 4;
	case AC_GGUF_U64: case AC_GGUF_I64: case AC_GGUF_F64:
		return 8;
	default:
		return 0;
	}
}

static const char *type_name(uint32_t type)
{
	static const char *const names[] = {
		"u8",	"i8",	  "u16",   "i16", "u32", "i32", "f32",
		"bool", "string", "array", "u64", "i64", "f64",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : "?";
}

static int take_array(struct cursor *c, struct ac_gguf_kv *kv)
{
	struct ac_gguf *g = (struct ac_gguf *)c->g;
	uint64_t i, total;
	struct ac_str s;
	int err = take_u32(c, &kv->item);

	if (!err)
		err = take_u64(c, &kv->count);
	if (err)
		return err;
	if (kv->item == AC_GGUF_ARRAY)
		return ac_fail(g->ctx, ENOTSUP, "%s: key %s: arrays of arrays are not supported",
			       g->name, kv->key);
	kv->data = g->data + c->at;
	if (kv->item == AC_GGUF_STRING) {
		if (kv->count > (g->bytes - c->at) / 8)
			return ac_fail(g->ctx, EINVAL,
				       "%s: key %s: %llu strings, the file has room for %llu",
				       g->name, kv->key, (unsigned long long)kv->count,
				       (unsigned long long)((g->bytes - c->at) / 8));
		for (i = 0; i < kv->count; i++) {
			err = take_str(c, g->bytes, &s);
			if (err)
				return err;
		}
		kv->bytes = (uint64_t)(g->data + c->at - kv->data);
		return 0;
	}
	if (!value_bytes(kv->item))
		return ac_fail(g->ctx, EINVAL, "%s: key %s: unknown element type %u", g->name,
			       kv->key, kv->item);
	if (ac_mul(kv->count, value_bytes(kv->item), &total) || total > g->bytes - c->at)
		return ac_fail(g->ctx, EINVAL,
			       "%s: key %s: %llu elements of %s, the file has %llu bytes left",
			       g->name, kv->key, (unsigned long long)kv->count, type_name(kv->item),
			       (unsigned long long)(g->bytes - c->at));
	kv->bytes = total;
	return take(c, total, &kv->data);
}

static int take_kv(struct cursor *c, struct ac_gguf_kv *kv)
{
	const struct ac_gguf *g = c->g;
	struct ac_str s;
	int err;

	c->what = "metadata key";
	err = take_name(c, AC_GGUF_MAX_KEY, &kv->key);
	c->what = kv->key;
	if (!err)
		err = take_u32(c, &kv->type);
	if (err)
		return err;
	kv->item = kv->type;
	kv->count = 1;
	if (kv->type == AC_GGUF_ARRAY)
		return take_array(c, kv);
	if (kv->type == AC_GGUF_STRING) {
		kv->data = g->data + c->at;
		err = take_str(c, g->bytes, &s);
		kv->bytes = s.bytes + 8;
		return err;
	}
	kv->bytes = value_bytes(kv->type);
	if (!kv->bytes)
		return ac_fail(g->ctx, EINVAL, "%s: key %s: unknown value type %u", g->name,
			       kv->key, kv->type);
	err = take(c, kv->bytes, &kv->data);
	if (!err && kv->type == AC_GGUF_BOOL && kv->data[0] > 1)
		return ac_fail(g->ctx, EINVAL, "%s: key %s: boolean holds %u", g->name, kv->key,
			       kv->data[0]);
	return err;
}

static uint64_t hash_name(const struct ac_gguf *g, const char *name)
{
	return ac_hash(g->ctx, 0, name, strlen(name));
}

static int make_hash(struct ac_ctx *ctx, uint64_t n, uint32_t **table, uint64_t *mask)
{
	uint64_t size = 4;

	while (size < n * 2)
		size *= 2;
	*table = ac_alloc(ctx, size, sizeof(**table));
	*mask = size - 1;
	return *table ? 0 : -ENOMEM;
}

const struct ac_gguf_kv *ac_gguf_find(const struct ac_gguf *g, const char *key)
{
	uint64_t h = hash_name(g, key);

	for (; g->kv_hash[h & g->kv_mask]; h++)
		if (!strcmp(g->kv[g->kv_hash[h & g->kv_mask] - 1].key, key))
			return &g->kv[g->kv_hash[h & g->kv_mask] - 1];
	return NULL;
}

const struct ac_gguf_tensor *ac_gguf_tensor(const struct ac_gguf *g, const char *name)
{
	uint64_t h = hash_name(g, name);

	for (; g->tensor_hash[h & g->tensor_mask]; h++)
		if (!strcmp(g->tensors[g->tensor_hash[h & g->tensor_mask] - 1].name, name))
			return &g->tensors[g->tensor_hash[h & g->tensor_mask] - 1];
	return NULL;
}

static void insert(const struct ac_gguf *g, uint32_t *table, uint64_t mask, const char *name,
		   uint64_t index)
{
	uint64_t h = hash_name(g, name);

	while (table[h & mask])
		h++;
	table[h & mask] = (uint32_t)index + 1;
}

/*
 * The same key twice with the same value is what some writers do (general.architecture); with
 * another value nobody can say which one counts.
 */
static int read_metadata(struct cursor *c, struct ac_gguf *g)
{
	const struct ac_gguf_kv *other;
	uint64_t i, n = g->n_kv;
	int err;

	g->kv = ac_alloc(g->ctx, n, sizeof(*g->kv));
	if (!g->kv)
		return -ENOMEM;
	err = make_hash(g->ctx, n, &g->kv_hash, &g->kv_mask);
	for (i = 0, g->n_kv = 0; i < n && !err; i++) {
		struct ac_gguf_kv *kv = &g->kv[g->n_kv];

		err = take_kv(c, kv);
		if (err)
			break;
		other = ac_gguf_find(g, kv->key);
		if (!other) {
			insert(g, g->kv_hash, g->kv_mask, kv->key, g->n_kv++);
			continue;
		}
		if (other->type != kv->type || other->item != kv->item ||
		    other->bytes != kv->bytes || memcmp(other->data, kv->data, kv->bytes))
			err = ac_fail(g->ctx, EINVAL,
				      "%s: key %s: appears twice with different values", g->name,
				      kv->key);
		memset(kv, 0, sizeof(*kv));
	}
	return err;
}

static int read_alignment(struct ac_gguf *g)
{
	uint32_t alignment = 32;
	int err = ac_gguf_u32(g, "general.alignment", &alignment);

	if (err < 0)
		return err;
	if (!alignment || alignment > AC_GGUF_MAX_ALIGN || (alignment & (alignment - 1)))
		return ac_fail(g->ctx, EINVAL,
			       "%s: key general.alignment: %u is not a power of two up to %u",
			       g->name, alignment, AC_GGUF_MAX_ALIGN);
	g->alignment = alignment;
	return 0;
}

static int tensor_shape(struct ac_gguf *g, struct ac_gguf_tensor *t)
{
	uint32_t block, bytes, i;

	if (!ac_ggml_block(t->type, &block, &bytes))
		return ac_fail(g->ctx, EINVAL, "%s: tensor %s: unknown or removed type %u", g->name,
			       t->name, t->type);
	if (t->ne[0] % block)
		return ac_fail(
			g->ctx, EINVAL,
			"%s: tensor %s: rows of %llu elements are no whole blocks of %u (%s)",
			g->name, t->name, (unsigned long long)t->ne[0], block,
			ac_ggml_name(t->type));
	t->rows = 1;
	for (i = 1; i < AC_GGUF_MAX_DIMS; i++)
		if (ac_mul(t->rows, t->ne[i], &t->rows))
			return ac_fail(g->ctx, EINVAL, "%s: tensor %s: more than 2^64 elements",
				       g->name, t->name);
	if (ac_mul(t->ne[0] / block, bytes, &t->row_bytes))
		return ac_fail(g->ctx, EINVAL, "%s: tensor %s: more than 2^64 bytes", g->name,
			       t->name);
	return 0;
}

static int read_tensor(struct cursor *c, struct ac_gguf *g, struct ac_gguf_tensor *t,
		       uint64_t *offset)
{
	uint32_t i;
	int err;

	c->what = "tensor name";
	err = take_name(c, AC_GGUF_MAX_NAME, &t->name);
	c->what = t->name;
	if (!err)
		err = take_u32(c, &t->n_dims);
	if (err)
		return err;
	if (!t->n_dims || t->n_dims > AC_GGUF_MAX_DIMS)
		return ac_fail(g->ctx, EINVAL, "%s: tensor %s: %u dimensions, limit %u", g->name,
			       t->name, t->n_dims, AC_GGUF_MAX_DIMS);
	for (i = 0; i < AC_GGUF_MAX_DIMS; i++) {
		t->ne[i] = 1;
		if (i < t->n_dims && (err = take_u64(c, &t->ne[i])))
			return err;
		if (!t->ne[i] || t->ne[i] > INT64_MAX)
			return ac_fail(g->ctx, EINVAL, "%s: tensor %s: dimension %u is %llu",
				       g->name, t->name, i, (unsigned long long)t->ne[i]);
	}
	err = take_u32(c, &t->type);
	if (!err)
		err = take_u64(c, offset);
	if (err)
		return err;
	return tensor_shape(g, t);
}

/* Offsets count from the end of the directory, rounded up to the alignment. */
static int place_tensors(struct cursor *c, struct ac_gguf *g, const uint64_t *offsets)
{
	uint64_t base = ac_align(c->at, g->alignment), i, bytes, end;

	for (i = 0; i < g->n_tensors; i++) {
		struct ac_gguf_tensor *t = &g->tensors[i];

		if (offsets[i] % g->alignment)
			return ac_fail(g->ctx, EINVAL,
				       "%s: tensor %s: offset %llu is not a multiple of %u",
				       g->name, t->name, (unsigned long long)offsets[i],
				       g->alignment);
		if (ac_mul(t->row_bytes, t->rows, &bytes) || ac_add(offsets[i], bytes, &end) ||
		    ac_add(end, base, &end) || end > g->bytes)
			return ac_fail(
				g->ctx, EINVAL,
				"%s: tensor %s: %llu rows of %llu bytes at offset %llu, the file has %llu bytes",
				g->name, t->name, (unsigned long long)t->rows,
				(unsigned long long)t->row_bytes, (unsigned long long)offsets[i],
				(unsigned long long)g->bytes);
		t->data = g->data + base + offsets[i];
	}
	return 0;
}

static int read_tensors(struct cursor *c, struct ac_gguf *g)
{
	uint64_t n = g->n_tensors, i, *offsets;
	int err;

	g->tensors = ac_alloc(g->ctx, n, sizeof(*g->tensors));
	offsets = ac_alloc(g->ctx, n, sizeof(*offsets));
	if (!g->tensors || !offsets)
		return -ENOMEM;
	err = make_hash(g->ctx, n, &g->tensor_hash, &g->tensor_mask);
	for (i = 0, g->n_tensors = 0; i < n && !err; i++) {
		err = read_tensor(c, g, &g->tensors[i], &offsets[i]);
		if (err)
			break;
		if (ac_gguf_tensor(g, g->tensors[i].name))
			return ac_fail(g->ctx, EINVAL, "%s: tensor %s: appears twice", g->name,
				       g->tensors[i].name);
		insert(g, g->tensor_hash, g->tensor_mask, g->tensors[i].name, g->n_tensors++);
	}
	return err ? err : place_tensors(c, g, offsets);
}

static int check_version(struct ac_gguf *g)
{
	if (g->version == 1)
		return ac_fail(
			g->ctx, ENOTSUP,
			"%s: GGUF version 1 (32-bit lengths) is not supported; convert it to version 3",
			g->name);
	if (!(g->version & 0xffff))
		return ac_fail(g->ctx, ENOTSUP,
			       "%s: big-endian GGUF is not supported; convert it to little-endian",
			       g->name);
	if (g->version != 2 && g->version != 3)
		return ac_fail(g->ctx, ENOTSUP,
			       "%s: GGUF version %u is not supported (2 and 3 are)", g->name,
			       g->version);
	return 0;
}

static int check_counts(struct ac_gguf *g)
{
	if (g->n_kv > g->bytes / KV_MIN_BYTES || g->n_kv >= UINT32_MAX)
		return ac_fail(
			g->ctx, EINVAL,
			"%s: header: %llu metadata entries, a file of %llu bytes has room for %llu",
			g->name, (unsigned long long)g->n_kv, (unsigned long long)g->bytes,
			(unsigned long long)(g->bytes / KV_MIN_BYTES));
	if (g->n_tensors > g->bytes / TENSOR_MIN_BYTES || g->n_tensors >= UINT32_MAX)
		return ac_fail(g->ctx, EINVAL,
			       "%s: header: %llu tensors, a file of %llu bytes has room for %llu",
			       g->name, (unsigned long long)g->n_tensors,
			       (unsigned long long)g->bytes,
			       (unsigned long long)(g->bytes / TENSOR_MIN_BYTES));
	return 0;
}

int ac_gguf_parse(struct ac_ctx *ctx, const char *name, const void *data, uint64_t bytes,
		  struct ac_gguf *g)
{
	struct cursor c = { .g = g, .what = "header" };
	const uint8_t *magic;
	void *map = g->map;
	int err;

	memset(g, 0, sizeof(*g));
	g->ctx = ctx;
	g->name = name;
	g->data = data;
	g->bytes = bytes;
	g->map = map;
	err = take(&c, 4, &magic);
	if (err)
		return err;
	if (memcmp(magic, "GGUF", 4))
		return ac_fail(ctx, EINVAL, "%s: not a GGUF file (magic %02x %02x %02x %02x)", name,
			       magic[0], magic[1], magic[2], magic[3]);
	err = take_u32(&c, &g->version);
	if (!err)
		err = check_version(g);
	if (!err)
		err = take_u64(&c, &g->n_tensors);
	if (!err)
		err = take_u64(&c, &g->n_kv);
	if (!err)
		err = check_counts(g);
	if (!err)
		err = read_metadata(&c, g);
	if (!err)
		err = read_alignment(g);
	if (!err)
		err = read_tensors(&c, g);
	return err;
}

int ac_gguf_open(struct ac_ctx *ctx, const char *path, struct ac_gguf *g)
{
	struct stat st;
	int err = 0, fd;

	memset(g, 0, sizeof(*g));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		err = errno;
		ac_fail(ctx, err, "%s: %s", path, strerror(err));
	} else if (!S_ISREG(st.st_mode) || st.st_size < 24) {
		err = EINVAL;
		ac_fail(ctx, err, "%s: not a GGUF file (%lld bytes)", path, (long long)st.st_size);
	} else {
		g->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (g->map == MAP_FAILED) {
			err = errno;
			g->map = NULL;
			ac_fail(ctx, err, "%s: cannot map %lld bytes: %s", path,
				(long long)st.st_size, strerror(err));
		}
	}
	if (fd >= 0)
		close(fd);
	return err ? -err : ac_gguf_parse(ctx, path, g->map, (uint64_t)st.st_size, g);
}

void ac_gguf_close(struct ac_gguf *g)
{
	if (g->map)
		munmap(g->map, g->bytes);
	memset(g, 0, sizeof(*g));
}

static int wrong_type(struct ac_gguf *g, const struct ac_gguf_kv *kv, const char *wanted)
{
	return ac_fail(g->ctx, EINVAL, "%s: key %s: is %s%s, must be %s", g->name, kv->key,
		       kv->type == AC_GGUF_ARRAY ? "an array of " : "", type_name(kv->item),
		       wanted);
}

int ac_gguf_u32(struct ac_gguf *g, const char *key, uint32_t *value)
{
	const struct ac_gguf_kv *kv = ac_gguf_find(g, key);
	uint32_t bytes;
	uint64_t v = 0;
	bool is_signed;

	if (!kv)
		return 0;
	is_signed = kv->type == AC_GGUF_I8 || kv->type == AC_GGUF_I16 || kv->type == AC_GGUF_I32 ||
		    kv->type == AC_GGUF_I64;
	if (!is_signed && kv->type != AC_GGUF_U8 && kv->type != AC_GGUF_U16 &&
	    kv->type != AC_GGUF_U32 && kv->type != AC_GGUF_U64)
		return wrong_type(g, kv, "an integer");
	bytes = value_bytes(kv->type);
	memcpy(&v, kv->data, bytes);
	if ((is_signed && (kv->data[bytes - 1] & 0x80)) || v > UINT32_MAX)
		return ac_fail(g->ctx, EINVAL, "%s: key %s: out of range 0..2^32 - 1", g->name,
			       key);
	*value = (uint32_t)v;
	return 1;
}

int ac_gguf_f32(struct ac_gguf *g, const char *key, float *value)
{
	const struct ac_gguf_kv *kv = ac_gguf_find(g, key);
	double d;

	if (!kv)
		return 0;
	if (kv->type == AC_GGUF_F32) {
		memcpy(value, kv->data, 4);
	} else if (kv->type == AC_GGUF_F64) {
		memcpy(&d, kv->data, 8);
		*value = d > 3.4e38 || d < -3.4e38 ? ac_float(0x7f800000) : (float)d;
	} else {
		return wrong_type(g, kv, "a float");
	}
	if ((ac_bits(*value) & 0x7f800000) == 0x7f800000)
		return ac_fail(g->ctx, EINVAL, "%s: key %s: not a finite number", g->name, key);
	return 1;
}

int ac_gguf_bool(struct ac_gguf *g, const char *key, bool *value)
{
	const struct ac_gguf_kv *kv = ac_gguf_find(g, key);

	if (!kv)
		return 0;
	if (kv->type != AC_GGUF_BOOL)
		return wrong_type(g, kv, "bool");
	*value = kv->data[0];
	return 1;
}

int ac_gguf_string(struct ac_gguf *g, const char *key, struct ac_str *value)
{
	const struct ac_gguf_kv *kv = ac_gguf_find(g, key);

	if (!kv)
		return 0;
	if (kv->type != AC_GGUF_STRING)
		return wrong_type(g, kv, "a string");
	value->data = (const char *)kv->data + 8;
	value->bytes = kv->bytes - 8;
	return 1;
}

int ac_gguf_array(struct ac_gguf *g, const char *key, uint32_t item, const struct ac_gguf_kv **out)
{
	const struct ac_gguf_kv *kv = ac_gguf_find(g, key);
	char wanted[32];

	if (!kv)
		return 0;
	if (kv->type != AC_GGUF_ARRAY || kv->item != item) {
		snprintf(wanted, sizeof(wanted), "an array of %s", type_name(item));
		return wrong_type(g, kv, wanted);
	}
	*out = kv;
	return 1;
}

struct ac_str ac_gguf_next_string(const struct ac_gguf_kv *kv, uint64_t *at)
{
	struct ac_str s = { "", 0 };
	uint64_t left = kv->bytes - *at;

	if (left >= 8)
		memcpy(&s.bytes, kv->data + *at, 8);
	/* It did fit when the file was read; somebody may write to it. */
	if (left < 8 || s.bytes > left - 8) {
		*at = kv->bytes;
		return (struct ac_str){ "", 0 };
	}
	s.data = (const char *)kv->data + *at + 8;
	*at += 8 + s.bytes;
	return s;
}
