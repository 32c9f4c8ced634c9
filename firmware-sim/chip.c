// SPDX-License-Identifier: MIT
/*
 * Reading chip files. One table says which keys there are, of what type and in which range;
 * whatever is not in the table is an error, so that a misspelt key never silently keeps a default.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <jansson.h>
#include "chip.h"

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

enum field_type {
	FIELD_U32,
	FIELD_U64,
	FIELD_SCALED,	/* a decimal number, stored as the nearest multiple of 1/scale */
};

/*
 * One key. The path has a dot for each level; @min and @max are in the file's unit, @scale turns
 * that into the unit of the struct.
 */
struct field {
	const char *path;
	enum field_type type;
	size_t offset;
	double min;
	double max;
	double scale;
};

#define F(path_, type_, member, min_, max_, scale_) \
	{ .path = path_, .type = type_, .offset = offsetof(struct nib_chip, member), \
	  .min = min_, .max = max_, .scale = scale_ }

static const struct field fields[] = {
	F("contexts", FIELD_U32, contexts, 1, NIB_MAX_CONTEXTS, 1),
	F("queues", FIELD_U32, queues, 1, NIB_MAX_QUEUES, 1),
	F("streams", FIELD_U32, streams, 1, NIB_MAX_STREAMS, 1),
	F("clock_mhz", FIELD_U64, clock_hz, 1, 20000, 1e6),
	F("hbm.bytes", FIELD_U64, mem[NIB_MEM_HBM].bytes, 4 * MIB, 4096 * GIB, 1),
	F("hbm.window_bytes", FIELD_U64, window_bytes, 1 * MIB, 4096 * GIB, 1),
	F("hbm.bytes_per_s", FIELD_U64, mem[NIB_MEM_HBM].bytes_per_s, 1e6, 1e18, 1),
	F("hbm.pj_per_byte", FIELD_SCALED, mem[NIB_MEM_HBM].fj_per_byte, 0, 1e6, 1e3),
	F("sram.bytes", FIELD_U64, mem[NIB_MEM_SRAM].bytes, 64 * KIB, 64 * GIB, 1),
	F("sram.bytes_per_s", FIELD_U64, mem[NIB_MEM_SRAM].bytes_per_s, 1e6, 1e18, 1),
	F("sram.pj_per_byte", FIELD_SCALED, mem[NIB_MEM_SRAM].fj_per_byte, 0, 1e6, 1e3),
	F("host.bytes_per_s", FIELD_U64, mem[NIB_MEM_HOST].bytes_per_s, 1e6, 1e18, 1),
	F("host.pj_per_byte", FIELD_SCALED, mem[NIB_MEM_HOST].fj_per_byte, 0, 1e6, 1e3),
	F("tensor.tiles", FIELD_U32, tiles, 1, 65536, 1),
	F("tensor.rows", FIELD_U32, tile_rows, 1, 1024, 1),
	F("tensor.ops_per_cycle.fp4", FIELD_SCALED, tensor_mops[NIB_UNIT_FP4], 1, 1e9, 1e3),
	F("tensor.ops_per_cycle.fp8", FIELD_SCALED, tensor_mops[NIB_UNIT_FP8], 1, 1e9, 1e3),
	F("tensor.ops_per_cycle.bf16", FIELD_SCALED, tensor_mops[NIB_UNIT_BF16], 1, 1e9, 1e3),
	F("tensor.pj_per_op.fp4", FIELD_SCALED, tensor_fj[NIB_UNIT_FP4], 0, 1e6, 1e3),
	F("tensor.pj_per_op.fp8", FIELD_SCALED, tensor_fj[NIB_UNIT_FP8], 0, 1e6, 1e3),
	F("tensor.pj_per_op.bf16", FIELD_SCALED, tensor_fj[NIB_UNIT_BF16], 0, 1e6, 1e3),
	F("vector.lanes", FIELD_U32, lanes, 1, 1 << 24, 1),
	F("vector.special_cycles", FIELD_U32, special_cycles, 1, 1000, 1),
	F("vector.pj_per_op", FIELD_SCALED, vector_fj, 0, 1e6, 1e3),
	F("attention.rows", FIELD_U32, attention_rows, 1, 1 << 20, 1),
	F("overhead.packet_cycles", FIELD_U32, packet_cycles, 0, 1e9, 1),
	F("overhead.job_cycles", FIELD_U32, job_cycles, 0, 1e9, 1),
	F("power.static_mw", FIELD_U64, static_mw, 0, 1e8, 1),
	F("power.sleep_mw", FIELD_U64, sleep_mw, 0, 1e8, 1),
	F("power.ambient_mc", FIELD_U32, ambient_mc, 0, 150000, 1),
	F("power.mc_per_w", FIELD_U32, mc_per_w, 0, 1e6, 1),
	F("power.time_constant_ms", FIELD_U32, thermal_ms, 1, 1e9, 1),
};

#define NUM_FIELDS (sizeof(fields) / sizeof(fields[0]))

struct reader {
	const char *file;
	char *error;
	size_t error_bytes;
};

__attribute__((format(printf, 2, 3)))
static int fail(const struct reader *r, const char *format, ...)
{
	int at = snprintf(r->error, r->error_bytes, "%s: ", r->file);
	va_list args;

	va_start(args, format);
	if (at >= 0 && (size_t)at < r->error_bytes)
		vsnprintf(r->error + at, r->error_bytes - at, format, args);
	va_end(args);
	return -EINVAL;
}

static const struct field *field_find(const char *path)
{
	for (size_t i = 0; i < NUM_FIELDS; i++)
		if (!strcmp(fields[i].path, path))
			return &fields[i];
	return NULL;
}

/* True if some key lies below @path: then an object belongs there. */
static bool field_has_below(const char *path)
{
	size_t length = strlen(path);

	for (size_t i = 0; i < NUM_FIELDS; i++)
		if (!strncmp(fields[i].path, path, length) && fields[i].path[length] == '.')
			return true;
	return false;
}

static int read_field(const struct reader *r, const struct field *field, const json_t *value,
		      struct nib_chip *chip)
{
	char *at = (char *)chip + field->offset;
	double number = json_number_value(value);

	if (field->type == FIELD_SCALED ? !json_is_number(value) : !json_is_integer(value))
		return fail(r, "%s: must be a%s number", field->path,
			    field->type == FIELD_SCALED ? "" : " whole");
	if (!(number >= field->min && number <= field->max))
		return fail(r, "%s: %.15g is out of range, must be %.15g to %.15g", field->path,
			    number, field->min, field->max);
	if (field->type == FIELD_U32)
		*(uint32_t *)at = (uint32_t)(json_integer_value(value) * (uint64_t)field->scale);
	else if (field->type == FIELD_U64)
		*(uint64_t *)at = (uint64_t)json_integer_value(value) * (uint64_t)field->scale;
	else
		*(uint64_t *)at = (uint64_t)llround(number * field->scale);
	return 0;
}

/* Reads what is in @object; @seen collects which fields were there. */
static int read_object(const struct reader *r, json_t *object, const char *prefix,
		       struct nib_chip *chip, bool *seen)
{
	const struct field *field;
	const char *key;
	json_t *value;
	char path[96];
	int err = 0;

	json_object_foreach(object, key, value) {
		if (snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", key) >=
		    (int)sizeof(path))
			return fail(r, "%.60s...: unknown key", path);
		if (!strcmp(path, "name") || !strcmp(path, "notes")) {
			if (!json_is_string(value))
				return fail(r, "%s: must be a string", path);
			continue;
		}
		field = field_find(path);
		if (field) {
			err = read_field(r, field, value, chip);
			seen[field - fields] = true;
		} else if (!field_has_below(path)) {
			err = fail(r, "%s: unknown key", path);
		} else if (!json_is_object(value)) {
			err = fail(r, "%s: must be an object", path);
		} else {
			err = read_object(r, value, path, chip, seen);
		}
		if (err)
			return err;
	}
	return 0;
}

static int read_name(const struct reader *r, const json_t *root, struct nib_chip *chip)
{
	const json_t *value = json_object_get(root, "name");
	const char *name = json_string_value(value);
	size_t length = name ? strlen(name) : 0;

	if (!name)
		return fail(r, value ? "name: must be a string" : "name: missing");
	if (!length || length >= sizeof(chip->name))
		return fail(r, "name: must have 1 to %zu characters", sizeof(chip->name) - 1);
	for (size_t i = 0; i < length; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return fail(r, "name: character %zu is not printable ASCII", i);
	memcpy(chip->name, name, length);
	return 0;
}

/* Rules that tie two keys together. */
static int check_chip(const struct reader *r, const struct nib_chip *chip)
{
	uint64_t hbm = chip->mem[NIB_MEM_HBM].bytes;

	if (chip->window_bytes & (chip->window_bytes - 1))
		return fail(r, "hbm.window_bytes: %llu is not a power of two",
			    (unsigned long long)chip->window_bytes);
	if (chip->window_bytes > hbm)
		return fail(r, "hbm.window_bytes: %llu is more than hbm.bytes, %llu",
			    (unsigned long long)chip->window_bytes, (unsigned long long)hbm);
	if (hbm % NIB_PAGE_4K)
		return fail(r, "hbm.bytes: %llu is not a multiple of %llu",
			    (unsigned long long)hbm, NIB_PAGE_4K);
	return 0;
}

static int read_chip(const struct reader *r, json_t *root, struct nib_chip *chip)
{
	bool seen[NUM_FIELDS] = { false };
	int err;

	memset(chip, 0, sizeof(*chip));
	if (!json_is_object(root))
		return fail(r, "must be an object");
	err = read_name(r, root, chip);
	if (err)
		return err;
	err = read_object(r, root, "", chip, seen);
	if (err)
		return err;
	for (size_t i = 0; i < NUM_FIELDS; i++)
		if (!seen[i])
			return fail(r, "%s: missing", fields[i].path);
	/* SRAM is handed out in whole pages; figures such as 272 MB are not a multiple. */
	chip->mem[NIB_MEM_SRAM].bytes &= ~(NIB_PAGE_4K - 1);
	return check_chip(r, chip);
}

int nib_chip_load(const char *which, struct nib_chip *chip, char *error, size_t error_bytes)
{
	struct reader r = { .file = which, .error = error, .error_bytes = error_bytes };
	struct nib_builtin_chip builtin;
	json_error_t why;
	json_t *root = NULL;
	FILE *file;
	int err;

	for (unsigned int i = 0; nib_builtin_chip_get(i, &builtin); i++) {
		if (strcmp(builtin.name, which))
			continue;
		root = json_loadb(builtin.text, builtin.bytes, JSON_REJECT_DUPLICATES, &why);
		if (!root)
			return fail(&r, "line %d: %s", why.line, why.text);
		break;
	}
	if (!root) {
		file = fopen(which, "re");
		if (!file) {
			fail(&r, "no such chip: neither built in nor a readable file (%s)",
			     strerror(errno));
			return -ENOENT;
		}
		root = json_loadf(file, JSON_REJECT_DUPLICATES, &why);
		fclose(file);
		if (!root)
			return fail(&r, "line %d: %s", why.line, why.text);
	}
	err = read_chip(&r, root, chip);
	json_decref(root);
	return err;
}

uint32_t nib_chip_hash(const struct nib_chip *chip)
{
	uint32_t hash = 0x811c9dc5u;

	for (const char *c = chip->name; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 0x01000193u;
	return hash;
}
