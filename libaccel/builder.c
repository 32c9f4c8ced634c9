// SPDX-License-Identifier: MIT
/*
 * The stream builder: packets in, a validated stream out. Knows nothing of devices.
 */
#include <stdio.h>
#include <stdlib.h>

#include "accel_stream.h"
#include "internal.h"
#include "nib_validate.h"

struct accel_builder {
	uint64_t *words;
	uint32_t count;
	uint32_t cap;
	uint32_t packets;
	int error;		/* the first */
	bool finished;
	struct nib_stream_info info;
	char text[128];
};

ACCEL_API int accel_builder_create(struct accel_builder **out)
{
	struct accel_builder *builder = calloc(1, sizeof(*builder));

	if (!builder)
		return -ENOMEM;
	*out = builder;
	return 0;
}

ACCEL_API void accel_builder_destroy(struct accel_builder *builder)
{
	if (!builder)
		return;
	free(builder->words);
	free(builder);
}

ACCEL_API const char *accel_builder_error(const struct accel_builder *builder)
{
	return builder->text;
}

static int refuse(struct accel_builder *builder, int error, uint32_t packet, const char *why)
{
	if (!builder->error) {
		builder->error = error;
		snprintf(builder->text, sizeof(builder->text), "packet %u: %s", packet, why);
	}
	return error;
}

/* Room for @words more, or NULL. */
static uint64_t *reserve(struct accel_builder *builder, uint32_t words)
{
	uint32_t cap = builder->cap ? builder->cap : 256;
	uint64_t *grown;

	if (builder->count + words > NIB_MAX_STREAM_BYTES / 8) {
		refuse(builder, -EINVAL, builder->packets, "the stream is longer than 4 MiB");
		return NULL;
	}
	while (cap < builder->count + words)
		cap *= 2;
	if (cap > builder->cap) {
		grown = realloc(builder->words, cap * sizeof(*grown));
		if (!grown) {
			refuse(builder, -ENOMEM, builder->packets, "no memory");
			return NULL;
		}
		builder->words = grown;
		builder->cap = cap;
	}
	return builder->words + builder->count;
}

ACCEL_API int accel_builder_add(struct accel_builder *builder, const void *packet)
{
	struct nib_pkt hdr;
	uint64_t *to;

	if (builder->error)
		return builder->error;
	memcpy(&hdr, packet, sizeof(hdr));
	if (builder->finished)
		return refuse(builder, -EINVAL, builder->packets, "added to a finished stream");
	if (!hdr.words || hdr.words > NIB_MAX_PKT_WORDS)
		return refuse(builder, -EINVAL, builder->packets,
			      nib_validate_strerror(NIB_INVALID_LENGTH));
	to = reserve(builder, hdr.words);
	if (!to)
		return builder->error;
	memcpy(to, packet, hdr.words * 8u);
	builder->count += hdr.words;
	return (int)builder->packets++;
}

ACCEL_API int accel_builder_finish(struct accel_builder *builder, const uint64_t **data,
				   size_t *bytes, uint32_t *nargs)
{
	static const struct nib_pkt end = { .op = NIB_OP_END, .words = 1 };
	uint32_t error;

	if (!builder->error && !builder->finished && accel_builder_add(builder, &end) >= 0) {
		builder->finished = true;
		error = accel_stream_check(builder->words, builder->count * 8, &builder->info);
		if (error)
			refuse(builder, -EINVAL, builder->info.packets,
			       nib_validate_strerror(error));
	}
	if (builder->error)
		return builder->error;
	*data = builder->words;
	*bytes = builder->count * 8u;
	*nargs = builder->info.nargs;
	return 0;
}

/* A count beyond any limit, kept until accel_builder_add_vec() refuses it. */
#define TOO_MANY 0xffffu

ACCEL_API void accel_vec_init(struct accel_vec *vec, uint32_t n)
{
	memset(&vec->pkt, 0, sizeof(vec->pkt));
	vec->pkt.hdr.op = NIB_OP_VEC;
	vec->pkt.n = n;
	vec->operand_args = 0;
}

ACCEL_API int accel_vec_operand(struct accel_vec *vec, int arg, uint64_t addr, int32_t stride0,
				int32_t stride1, uint32_t fmt, int32_t stride_n)
{
	uint32_t i = vec->pkt.n_operands;

	if (i >= NIB_VEC_MAX_OPERANDS || arg >= (int)NIB_MAX_ARGS) {
		vec->pkt.n_operands = TOO_MANY;
		return -EINVAL;
	}
	vec->operands[i] = (struct nib_vec_operand){
		.addr = arg < 0 ? addr : NIB_ARG((__u32)arg, addr), .stride0 = stride0,
		.stride1 = stride1, .fmt = fmt, .stride_n = stride_n,
	};
	if (arg >= 0)
		vec->operand_args |= 1u << i;
	vec->pkt.n_operands++;
	return (int)i;
}

ACCEL_API void accel_vec_insn(struct accel_vec *vec, enum nib_vec_op op, unsigned int dst,
			      unsigned int a, unsigned int b, uint32_t imm)
{
	if (vec->pkt.n_insns >= NIB_VEC_MAX_INSNS || (dst | a | b) > 0xff) {
		vec->pkt.n_insns = TOO_MANY;
		return;
	}
	vec->insns[vec->pkt.n_insns++] = (struct nib_vec_insn){
		.op = (__u8)op, .dst = (__u8)dst, .a = (__u8)a, .b = (__u8)b, .imm = imm,
	};
}

ACCEL_API void accel_vec_insn_f(struct accel_vec *vec, enum nib_vec_op op, unsigned int dst,
				unsigned int a, float imm)
{
	uint32_t bits;

	memcpy(&bits, &imm, sizeof(bits));
	accel_vec_insn(vec, op, dst, a, 0, bits);
}

ACCEL_API int accel_builder_add_vec(struct accel_builder *builder, const struct accel_vec *vec)
{
	uint32_t n_operands = vec->pkt.n_operands, n_insns = vec->pkt.n_insns, i;
	uint64_t words[NIB_MAX_PKT_WORDS];
	struct nib_pkt_vec pkt = vec->pkt;

	if (builder->error)
		return builder->error;
	if (n_operands > NIB_VEC_MAX_OPERANDS || n_insns > NIB_VEC_MAX_INSNS)
		return refuse(builder, -EINVAL, builder->packets,
			      "more than 8 operands or 256 instructions, or numbers above 255");
	pkt.hdr.words = (__u16)(4 + 3 * n_operands + n_insns);
	for (i = 0; i < n_operands; i++)
		if (vec->operand_args >> i & 1)
			pkt.hdr.argmask |= 1u << (4 + 3 * i - 1);
	memcpy(words, &pkt, sizeof(pkt));
	memcpy(words + 4, vec->operands, n_operands * sizeof(vec->operands[0]));
	memcpy(words + 4 + 3 * n_operands, vec->insns, n_insns * sizeof(vec->insns[0]));
	return accel_builder_add(builder, words);
}
