// SPDX-License-Identifier: MIT
/*
 * The public face of the compiler: options, and the order in which things happen.
 */
#include <stdlib.h>
#include "cost.h"
#include "nib_validate.h"
#include "program.h"

static int copy_string(struct ac_ctx *ctx, const char **s)
{
	if (!*s)
		return 0;
	*s = ac_strndup(ctx, *s, strlen(*s));
	return *s ? 0 : -ENOMEM;
}

int accel_compile_create(const struct accel_compile_options *options, struct accel_compile **out)
{
	struct accel_compile *c;
	struct accel_compile_options *o;

	if (options && options->struct_size != sizeof(*options))
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	o = &c->options;
	if (options)
		*o = *options;
	c->ctx.options = o;
	o->chip = o->chip ? o->chip : "small";
	if (copy_string(&c->ctx, &o->chip) || copy_string(&c->ctx, &o->chip_dir) ||
	    copy_string(&c->ctx, &o->dump_after)) {
		accel_compile_destroy(c);
		return -ENOMEM;
	}
	*out = c;
	return 0;
}

void accel_compile_destroy(struct accel_compile *c)
{
	if (!c)
		return;
	ac_gguf_close(&c->gguf);
	ac_free_all(&c->ctx);
	free(c);
}

const char *accel_compile_error(const struct accel_compile *c)
{
	return c->ctx.error;
}

static int check_format(struct accel_compile *c, const char *option, uint32_t fmt, bool good)
{
	if (good)
		return 0;
	return ac_fail(&c->ctx, EINVAL, "option %s: %s does not go there", option,
		       accel_format_name(fmt) ? accel_format_name(fmt) : "an unknown format");
}

static int check_formats(struct accel_compile *c)
{
	const struct accel_compile_options *o = &c->options;
	int err = check_format(c, "weights", o->weight_fmt,
			       !o->weight_fmt || nib_format_is_gemm(o->weight_fmt));

	if (!err)
		err = check_format(c, "head", o->head_fmt,
				   !o->head_fmt || nib_format_is_gemm(o->head_fmt));
	if (!err)
		err = check_format(c, "embd", o->embd_fmt, !o->embd_fmt ||
				   o->embd_fmt == NIB_FMT_F32 || nib_format_is_gemm(o->embd_fmt));
	if (!err)
		err = check_format(c, "acts", o->act_fmt, nib_format_is_gemm(o->act_fmt));
	if (!err)
		err = check_format(c, "kv", o->kv_fmt, nib_format_is_kv(o->kv_fmt));
	return err;
}

static int settle_options(struct accel_compile *c)
{
	struct accel_compile_options *o = &c->options;
	int err;

	o->act_fmt = o->act_fmt ? o->act_fmt : NIB_FMT_MXFP8;
	/* Whoever asks for two terms wants them; BF16 keys would cost ten times what they win. */
	if (!o->kv_fmt)
		o->kv_fmt = nib_format_terms(o->act_fmt) > 1 ? NIB_FMT_F32 : NIB_FMT_BF16;
	o->act_rule = o->act_rule ? o->act_rule : ACCEL_RULE_CEIL;
	o->max_rows = o->max_rows ? o->max_rows : 512;
	o->page_tokens = o->page_tokens ? o->page_tokens : 16;
	err = check_formats(c);
	if (err)
		return err;
	if (o->weight_rule > ACCEL_RULE_BEST3 || o->act_rule > ACCEL_RULE_CEIL)
		return ac_fail(&c->ctx, EINVAL, "option %s: no such rule",
			       o->act_rule > ACCEL_RULE_CEIL ? "act-rule" : "scale-rule");
	if (o->max_rows > 65536 || o->max_out_rows > o->max_rows)
		return ac_fail(
			&c->ctx, EINVAL,
			"option max-rows: %u rows, %u with logits; limit 65536, and no more logits than rows",
			o->max_rows, o->max_out_rows);
	if (o->page_tokens > 4096 || (o->page_tokens & (o->page_tokens - 1)))
		return ac_fail(&c->ctx, EINVAL,
			       "option page-tokens: %u is not a power of two up to 4096",
			       o->page_tokens);
	return ac_chip_load(&c->ctx, o->chip, o->chip_dir, &c->chip);
}

static int run(struct accel_compile *c)
{
	int err = settle_options(c);

	if (!err)
		err = ac_passes_run(c);
	if (!err)
		err = ac_tokenizer_build(c);
	c->loaded = !err;
	return err;
}

int accel_compile_load(struct accel_compile *c, const char *path)
{
	int err;

	ac_begin(&c->ctx);
	if (c->gguf.data)
		return ac_fail(&c->ctx, EBUSY, "%s: this compilation has a model already", path);
	path = ac_strndup(&c->ctx, path, strlen(path));
	err = path ? ac_gguf_open(&c->ctx, path, &c->gguf) : -ENOMEM;
	return err ? err : run(c);
}

int accel_compile_load_memory(struct accel_compile *c, const char *name, const void *data,
			      size_t bytes)
{
	int err;

	ac_begin(&c->ctx);
	if (c->gguf.data)
		return ac_fail(&c->ctx, EBUSY, "%s: this compilation has a model already", name);
	name = ac_strndup(&c->ctx, name, strlen(name));
	err = name ? ac_gguf_parse(&c->ctx, name, data, bytes, &c->gguf) : -ENOMEM;
	return err ? err : run(c);
}

int accel_compile_write(struct accel_compile *c, const char *path)
{
	ac_begin(&c->ctx);
	if (!c->loaded)
		return ac_fail(&c->ctx, EINVAL, "%s: nothing was compiled", path);
	return ac_program_write(c, path);
}

int accel_compile_summarize(const struct accel_compile *c, struct accel_compile_summary *s)
{
	struct ac_totals decode, prefill;

	if (s->struct_size != sizeof(*s) || !c->loaded)
		return -EINVAL;
	decode = ac_cost_total(c, AC_CASE_DECODE);
	prefill = ac_cost_total(c, AC_CASE_PREFILL);
	s->input_bytes = c->gguf.bytes;
	s->weights_bytes = c->weights_bytes;
	s->scratch_bytes = c->scratch_bytes;
	s->page_bytes = c->page_bytes;
	s->params = c->model.params;
	s->stream_bytes = c->stream_bytes;
	s->packets = c->n_packets;
	s->max_rows = c->options.max_rows;
	s->max_out_rows = c->options.max_out_rows;
	s->page_tokens = c->options.page_tokens;
	s->decode_cycles = decode.cycles;
	s->prefill_cycles = prefill.cycles;
	s->decode_tokens_per_s = decode.tokens_per_s;
	s->prefill_tokens_per_s = prefill.tokens_per_s;
	return 0;
}
