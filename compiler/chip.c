// SPDX-License-Identifier: MIT
/*
 * Chip files: the JSON that the device reads, of which the compiler takes what it plans with. A
 * file of the folder wins over a built-in one of the same name.
 */
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>
#include "chip.h"

struct field {
	const char *object;	/* NULL: top level */
	const char *object2;	/* second level, or NULL */
	const char *key;
	double min;
	double max;
	size_t offset;
	char type;		/* 'u' uint32_t, 'U' uint64_t, 'd' double */
};

#define FIELD(o, o2, k, lo, hi, member, t) { o, o2, k, lo, hi, offsetof(struct ac_chip, member), t }

static const struct field fields[] = {
	FIELD(NULL, NULL, "clock_mhz", 1, 20000, clock_hz, 'd'),
	FIELD("hbm", NULL, "bytes", 1 << 20, 0x1p42, hbm_bytes, 'U'),
	FIELD("hbm", NULL, "bytes_per_s", 1e6, 1e18, hbm_bytes_per_s, 'd'),
	FIELD("sram", NULL, "bytes", 0, 0x1p42, sram_bytes, 'U'),
	FIELD("sram", NULL, "bytes_per_s", 1e6, 1e18, sram_bytes_per_s, 'd'),
	FIELD("tensor", NULL, "tiles", 1, 65536, tiles, 'u'),
	FIELD("tensor", NULL, "rows", 1, 1024, rows, 'u'),
	FIELD("tensor", "ops_per_cycle", "fp4", 1, 1e9, ops_per_cycle[AC_UNIT_FP4], 'd'),
	FIELD("tensor", "ops_per_cycle", "fp8", 1, 1e9, ops_per_cycle[AC_UNIT_FP8], 'd'),
	FIELD("tensor", "ops_per_cycle", "bf16", 1, 1e9, ops_per_cycle[AC_UNIT_BF16], 'd'),
	FIELD("vector", NULL, "lanes", 1, 1 << 24, lanes, 'u'),
	FIELD("vector", NULL, "special_cycles", 1, 1000, special_cycles, 'u'),
	FIELD("attention", NULL, "rows", 1, 1 << 20, attention_rows, 'u'),
	FIELD("overhead", NULL, "packet_cycles", 0, 1e9, packet_cycles, 'u'),
	FIELD("overhead", NULL, "job_cycles", 0, 1e9, job_cycles, 'u'),
};

static int read_field(struct ac_ctx *ctx, const char *file, json_t *root, const struct field *f,
		      struct ac_chip *chip)
{
	json_t *at = root;
	double value;
	void *to = (char *)chip + f->offset;

	if (f->object)
		at = json_object_get(at, f->object);
	if (f->object2)
		at = json_object_get(at, f->object2);
	at = json_object_get(at, f->key);
	value = json_number_value(at);
	if (!json_is_number(at) || !(value >= f->min && value <= f->max))
		return ac_fail(ctx, EINVAL, "%s: %s%s%s%s%s: missing, or not a number in %g..%g",
			       file, f->object ? f->object : "", f->object ? "." : "",
			       f->object2 ? f->object2 : "", f->object2 ? "." : "", f->key, f->min,
			       f->max);
	if (f->type == 'd')
		*(double *)to = value;
	else if (f->type == 'U')
		*(uint64_t *)to = (uint64_t)value;
	else
		*(uint32_t *)to = (uint32_t)value;
	return 0;
}

static int read_chip(struct ac_ctx *ctx, const char *file, json_t *root, struct ac_chip *chip)
{
	const char *name = json_string_value(json_object_get(root, "name"));
	size_t i;
	int err = 0;

	memset(chip, 0, sizeof(*chip));
	if (!name || !*name || strlen(name) >= sizeof(chip->name))
		return ac_fail(ctx, EINVAL, "%s: name: missing, or not 1..%zu bytes", file,
			       sizeof(chip->name) - 1);
	memcpy(chip->name, name, strlen(name));
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]) && !err; i++)
		err = read_field(ctx, file, root, &fields[i], chip);
	chip->clock_hz *= 1e6;
	return err;
}

static int load(struct ac_ctx *ctx, const char *file, const char *text, struct ac_chip *chip)
{
	json_error_t error;
	json_t *root = text ? json_loads(text, JSON_REJECT_DUPLICATES, &error) :
			      json_load_file(file, JSON_REJECT_DUPLICATES, &error);
	int err;

	if (!root)
		return ac_fail(ctx, EINVAL, "%s: line %d: %s", file, error.line, error.text);
	err = read_chip(ctx, file, root, chip);
	json_decref(root);
	return err;
}

int ac_chip_load(struct ac_ctx *ctx, const char *which, const char *dir, struct ac_chip *chip)
{
	size_t len = strlen(which);
	char path[4096];
	int i, n;

	if (strchr(which, '/') || (len > 5 && !strcmp(which + len - 5, ".json"))) {
		if (access(which, R_OK))
			return ac_fail(ctx, errno, "%s: %s", which, strerror(errno));
		return load(ctx, which, NULL, chip);
	}
	n = dir ? snprintf(path, sizeof(path), "%s/%s.json", dir, which) : -1;
	if (n > 0 && (size_t)n < sizeof(path) && !access(path, R_OK))
		return load(ctx, path, NULL, chip);
	for (i = 0; ac_builtin_chips[i].name; i++)
		if (!strcmp(ac_builtin_chips[i].name, which))
			return load(ctx, which, ac_builtin_chips[i].text, chip);
	return ac_fail(ctx, ENOENT, "chip %s: no such chip (built in: small, edge, maia200-class)",
		       which);
}
