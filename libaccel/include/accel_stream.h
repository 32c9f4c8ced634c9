/* SPDX-License-Identifier: MIT */
/*
 * libaccel, building streams: appends packets of uapi/nib_isa.h to a growing buffer. Needs no
 * device. A builder remembers its first error; accel_builder_finish() reports it, so that calls
 * need no checks of their own.
 */
#ifndef ACCEL_STREAM_H
#define ACCEL_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include "nib_isa.h"

#ifdef __cplusplus
extern "C" {
#endif

struct accel_builder;

int accel_builder_create(struct accel_builder **builder);
void accel_builder_destroy(struct accel_builder *builder);

/**
 * accel_builder_add - append a packet.
 * @packet: starts with struct nib_pkt; hdr.words says how long it is. Operands that are arguments
 *	hold NIB_ARG() and have their bit in hdr.argmask set: see accel_arg().
 *
 * Returns the packet's index, or -errno.
 */
int accel_builder_add(struct accel_builder *builder, const void *packet);

/**
 * accel_builder_finish - append END, validate, and hand out the stream.
 * @data: receives the words, owned by the builder until it is destroyed.
 *
 * Returns 0; -EINVAL: accel_builder_error() names the packet and the reason; -ENOMEM.
 */
int accel_builder_finish(struct accel_builder *builder, const uint64_t **data, size_t *bytes,
			 uint32_t *nargs);
const char *accel_builder_error(const struct accel_builder *builder);

/*
 * Make word @field (a member of a packet) the argument @index plus @addend. The member must be one
 * of the words that nib_isa.h marks [arg].
 */
#define accel_arg(pkt, field, index, addend)						\
	accel_set_arg(&(pkt)->hdr, &(pkt)->field, (index), (addend))

static inline void accel_set_arg(struct nib_pkt *hdr, __u64 *word, uint32_t index, int64_t addend)
{
	*word = NIB_ARG(index, addend);
	hdr->argmask |= 1u << (((const char *)word - (const char *)hdr) / 8 - 1);
}

/* A VEC packet under construction: operands first, then instructions. */
struct accel_vec {
	struct nib_pkt_vec pkt;
	struct nib_vec_operand operands[NIB_VEC_MAX_OPERANDS];
	struct nib_vec_insn insns[NIB_VEC_MAX_INSNS];
	uint32_t operand_args;	/* bit i: the address of operand i is an argument */
};

void accel_vec_init(struct accel_vec *vec, uint32_t n);
/* Returns the operand's number; @arg < 0: @addr is an address, else argument @arg plus @addr. */
int accel_vec_operand(struct accel_vec *vec, int arg, uint64_t addr, int32_t stride0,
		      int32_t stride1, uint32_t fmt, int32_t stride_n);
void accel_vec_insn(struct accel_vec *vec, enum nib_vec_op op, unsigned int dst, unsigned int a,
		    unsigned int b, uint32_t imm);
/* The same with an FP32 immediate. */
void accel_vec_insn_f(struct accel_vec *vec, enum nib_vec_op op, unsigned int dst, unsigned int a,
		      float imm);
/* Pack and append; set vec->pkt.d0 and d1 (or make them arguments by accel_arg()) before. */
int accel_builder_add_vec(struct accel_builder *builder, const struct accel_vec *vec);

/* Name of an enum nib_op as nib_isa.h has it, without prefix; NULL if there is no such packet. */
const char *accel_op_name(uint32_t op);

/**
 * accel_disassemble - one packet as text, without newline.
 * @w: its words; @avail of them.
 *
 * Returns the packet's length in words, or -EINVAL for what is no packet.
 */
int accel_disassemble(const uint64_t *w, uint32_t avail, char *buf, size_t size);

#ifdef __cplusplus
}
#endif

#endif
