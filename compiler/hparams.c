// SPDX-License-Identifier: MIT
/*
 * Model parameters from GGUF metadata, each checked against the limits of the device. What is asked
 * for and not supported is refused by key; nothing is guessed around.
 */
#include <stdio.h>
#include "import.h"

/* "<arch>.<name>" */
static const char *key(struct accel_compile *c, const char *name, char *buf, size_t size)
{
	snprintf(buf, size, "%s.%s", c->model.arch, name);
	return buf;
}

/* An integer of the architecture in min..max; the default counts when it is not there. */
static int get_u32(struct accel_compile *c, const char *name, uint32_t min, uint32_t max,
		   bool required, uint32_t *value)
{
	char buf[96];
	int found = ac_gguf_u32(&c->gguf, key(c, name, buf, sizeof(buf)), value);

	if (found < 0)
		return found;
	if (!found && required)
		return ac_fail(&c->ctx, EINVAL, "%s: key %s: missing", c->gguf.name, buf);
	if (*value < min || *value > max)
		return ac_fail(&c->ctx, ENOTSUP, "%s: key %s: %u is not in %u..%u", c->gguf.name,
			       buf, *value, min, max);
	return 0;
}

/* Text for people: control characters would reach terminals and INFO lines. */
static void copy_clean(char *dst, size_t size, struct ac_str s)
{
	size_t n = s.bytes < size - 1 ? s.bytes : size - 1, i;

	memset(dst, 0, size);
	for (i = 0; i < n; i++)
		dst[i] = (unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f ? '?' : s.data[i];
}

static int read_arch(struct accel_compile *c)
{
	struct ac_str s = { "", 0 };
	int found = ac_gguf_string(&c->gguf, "general.architecture", &s);

	if (found < 0)
		return found;
	if (!found)
		return ac_fail(&c->ctx, EINVAL, "%s: key general.architecture: missing",
			       c->gguf.name);
	copy_clean(c->model.arch, sizeof(c->model.arch), s);
	if (strcmp(c->model.arch, "llama"))
		return ac_fail(&c->ctx, ENOTSUP,
			       "%s: key general.architecture: %s is not supported (llama is)",
			       c->gguf.name, c->model.arch);
	s = (struct ac_str){ "", 0 };
	found = ac_gguf_string(&c->gguf, "general.name", &s);
	copy_clean(c->model.name, sizeof(c->model.name), s);
	return found < 0 ? found : 0;
}

static int read_heads(struct accel_compile *c)
{
	struct ac_model *m = &c->model;
	uint32_t value_length;
	int err = get_u32(c, "attention.head_count", 1, 65535, true, &m->heads);

	m->kv_heads = m->heads;
	if (!err)
		err = get_u32(c, "attention.head_count_kv", 1, 65535, false, &m->kv_heads);
	if (err)
		return err;
	if (m->heads % m->kv_heads)
		return ac_fail(
			&c->ctx, EINVAL,
			"%s: key llama.attention.head_count: %u is no multiple of %u K/V heads",
			c->gguf.name, m->heads, m->kv_heads);
	m->head_dim = m->dim / m->heads;
	err = get_u32(c, "attention.key_length", 1, NIB_ATTN_MAX_HEAD_DIM, false, &m->head_dim);
	value_length = m->head_dim;
	if (!err)
		err = get_u32(c, "attention.value_length", 1, NIB_ATTN_MAX_HEAD_DIM, false,
			      &value_length);
	if (err)
		return err;
	if (value_length != m->head_dim)
		return ac_fail(
			&c->ctx, ENOTSUP,
			"%s: key llama.attention.value_length: %u differs from the key length %u",
			c->gguf.name, value_length, m->head_dim);
	if ((uint64_t)m->heads * m->head_dim > NIB_MAX_DIM / 4)
		return ac_fail(&c->ctx, ENOTSUP, "%s: %u heads of %u elements: limit %u elements",
			       c->gguf.name, m->heads, m->head_dim, NIB_MAX_DIM / 4);
	m->rot = m->head_dim;
	err = get_u32(c, "rope.dimension_count", 0, m->head_dim, false, &m->rot);
	if (!err && (m->rot % 2 || !m->rot))
		return ac_fail(&c->ctx, ENOTSUP,
			       "%s: rotary dimensions: %u is not an even number above 0",
			       c->gguf.name, m->rot);
	return err;
}

static bool str_is(struct ac_str s, const char *text)
{
	return s.bytes == strlen(text) && !memcmp(s.data, text, s.bytes);
}

static int read_rope(struct accel_compile *c)
{
	struct ac_gguf *g = &c->gguf;
	struct ac_model *m = &c->model;
	struct ac_str type = { "linear", 6 };
	float factor = 1, attn_factor = 1;

	m->freq_base = 10000.0f;
	if (ac_gguf_f32(g, "llama.rope.freq_base", &m->freq_base) < 0 ||
	    ac_gguf_string(g, "llama.rope.scaling.type", &type) < 0 ||
	    ac_gguf_f32(g, "llama.rope.scale_linear", &factor) < 0 ||
	    ac_gguf_f32(g, "llama.rope.scaling.factor", &factor) < 0 ||
	    ac_gguf_f32(g, "llama.rope.scaling.attn_factor", &attn_factor) < 0)
		return -EINVAL;
	if (!str_is(type, "linear") && !str_is(type, "none"))
		return ac_fail(
			&c->ctx, ENOTSUP,
			"%s: key llama.rope.scaling.type: %.*s is not supported (linear and none are)",
			g->name, (int)(type.bytes < 32 ? type.bytes : 32), type.data);
	if (str_is(type, "none") || factor == 0)
		factor = 1;
	if (!(m->freq_base > 0) || !(factor > 0) || attn_factor != 1)
		return ac_fail(&c->ctx, ENOTSUP,
			       "%s: rotary embedding: base %g, factor %g, attention factor %g",
			       g->name, (double)m->freq_base, (double)factor, (double)attn_factor);
	m->freq_scale = 1.0f / factor;
	return 0;
}

int ac_hparams_read(struct accel_compile *c)
{
	struct ac_model *m = &c->model;
	uint32_t experts = 0;
	int err = read_arch(c), found;

	if (!err)
		err = get_u32(c, "embedding_length", 1, NIB_MAX_DIM / 64, true, &m->dim);
	if (!err)
		err = get_u32(c, "block_count", 1, 4096, true, &m->layers);
	if (!err)
		err = get_u32(c, "feed_forward_length", 1, NIB_VEC_MAX_N / 2, true, &m->ffn);
	if (!err)
		err = get_u32(c, "context_length", 1, NIB_MAX_DIM, true, &m->context);
	if (!err)
		err = get_u32(c, "expert_count", 0, UINT32_MAX, false, &experts);
	if (!err && experts)
		err = ac_fail(&c->ctx, ENOTSUP,
			      "%s: key llama.expert_count: mixture of experts is not supported",
			      c->gguf.name);
	if (!err)
		err = read_heads(c);
	if (!err)
		err = read_rope(c);
	if (err)
		return err;
	found = ac_gguf_f32(&c->gguf, "llama.attention.layer_norm_rms_epsilon", &m->eps);
	if (found < 0)
		return found;
	if (!found || !(m->eps >= 0))
		return ac_fail(
			&c->ctx, EINVAL,
			"%s: key llama.attention.layer_norm_rms_epsilon: missing or negative",
			c->gguf.name);
	return 0;
}
