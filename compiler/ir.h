/* SPDX-License-Identifier: MIT */
/*
 * The graph: nodes in program order over values in SSA form, one row of a value per token. How many
 * rows there are is a symbol until run time. Passes change the graph; pass.c has their table.
 */
#ifndef AC_IR_H
#define AC_IR_H

#include "chip.h"
#include "gguf.h"
#include "quant.h"

/* Which count a value has rows of. */
enum ac_rows {
	AC_ROWS_STEP = 0,	/* NIB_BIND_ROWS, up to max_rows */
	AC_ROWS_OUT = 1,	/* NIB_BIND_OUT_ROWS, up to max_out_rows */
};

/**
 * struct ac_value - rows of FP32 elements, or of a row-layout format.
 * @name: for people.
 * @fmt: F32, or a format of nib_row_bytes().
 * @rows: how many.
 * @width: elements of a row.
 * @base: value whose storage it shares, or -1: it has its own.
 * @col: first element in a row of the base.
 * @logits: lives in the caller's logits, not in scratch.
 * @pitch: bytes from row to row (own storage).
 * @offset: in scratch (own storage).
 * @first: node that writes the storage first.
 * @last: node that reads it last.
 */
struct ac_value {
	const char *name;
	uint32_t fmt;
	enum ac_rows rows;
	uint32_t width;
	int base;
	uint32_t col;
	bool logits;
	uint64_t pitch;
	uint64_t offset;
	int first;
	int last;
};

enum ac_op {
	AC_OP_EMBED,		/* out = rows of a table by token */
	AC_OP_ROPE_TABLE,	/* out = cos | sin of position * frequency */
	AC_OP_NORM,		/* out = rms_norm(in0) * gain */
	AC_OP_QUANT,		/* out = in0 in another format */
	AC_OP_LINEAR,		/* out = W in0 + bias (+ in1) */
	AC_OP_ROPE,		/* out = in0 rotated by in1, in place */
	AC_OP_KV_APPEND,	/* pages = in0 */
	AC_OP_ATTENTION,	/* out = attention of in0 over the pages */
	AC_OP_GATED,		/* out = silu(in0) * in1 */
	AC_OP_ADD,		/* out = in0 + in1 */
	AC_OP_SELECT,		/* out = rows of in0 that give logits */
	AC_OP_SAMPLE,		/* tokens = pick from in0 */
};

/**
 * struct ac_part - one tensor of a linear layer; its outputs follow those of the part before.
 * @w: n rows of k.
 * @bias: n elements, or NULL.
 * @fmt: on the device.
 * @repack: arrives in @fmt: move the codes, never encode again.
 * @global: FP32 scale of NVFP4 that the encoder divides by, else 1.
 * @alpha: factor on its sums: scale of the tensor in the file times @global.
 */
struct ac_part {
	const struct ac_gguf_tensor *w;
	const struct ac_gguf_tensor *bias;
	uint32_t n;
	uint32_t fmt;
	bool repack;
	float global;
	float alpha;
};

#define AC_MAX_PARTS 3

struct ac_node {
	enum ac_op op;
	const char *name;
	bool dead;
	int in[2];		/* values, or -1 */
	int out;		/* value, or -1 */
	uint32_t layer;
	uint32_t heads;		/* ROPE */
	bool is_v;		/* KV_APPEND: values, else keys */
	uint32_t k;		/* LINEAR, EMBED: width of the input */
	uint32_t n_parts;	/* LINEAR, EMBED */
	struct ac_part parts[AC_MAX_PARTS];
	const struct ac_gguf_tensor *gain;	/* NORM */
	int weight[AC_MAX_PARTS];	/* by group of parts; gain, frequencies: [0] */
	int bias[AC_MAX_PARTS];
	uint32_t group[AC_MAX_PARTS + 1];	/* first part of each group */
	uint32_t n_groups;
};

enum ac_weight_kind {
	AC_WEIGHT_PANELS,	/* matrix in panel layout */
	AC_WEIGHT_ROWS,		/* table in row layout: F32, or one of nib_row_bytes() */
	AC_WEIGHT_VECTOR,	/* FP32 vector of the parts one after the other; n, k = 1 */
	AC_WEIGHT_FREQS,	/* rotary frequencies */
};

/**
 * struct ac_weight - one array of the weights section.
 * @parts: sources.
 * @offset: in the section, 64-byte aligned.
 */
struct ac_weight {
	const char *name;
	enum ac_weight_kind kind;
	uint32_t fmt;
	uint32_t n;
	uint32_t k;
	uint32_t n_parts;
	struct ac_part parts[AC_MAX_PARTS];
	uint64_t offset;
	uint64_t bytes;
};

/* What the model is, from its metadata. */
struct ac_model {
	char arch[32];
	char name[64];
	uint32_t vocab;
	uint32_t dim;
	uint32_t layers;
	uint32_t heads;
	uint32_t kv_heads;
	uint32_t head_dim;
	uint32_t ffn;
	uint32_t context;
	uint32_t rot;		/* elements of a head that rotary embedding turns */
	float eps;
	float freq_base;
	float freq_scale;
	const struct ac_gguf_tensor *freq_factors;	/* rot / 2, or NULL */
	uint64_t params;
	bool tied;		/* embedding and head are one matrix */
};

/* One packet as emitted. */
struct ac_packet {
	const char *name;
	const char *shape;
	uint32_t word;		/* where it starts in the stream */
	uint64_t weight_bytes;
};

struct accel_compile {
	struct ac_ctx ctx;
	struct accel_compile_options options;	/* with defaults filled in */
	struct ac_chip chip;
	bool loaded;
	struct ac_gguf gguf;
	struct ac_model model;

	struct ac_value *values;
	int n_values, cap_values;
	struct ac_node *nodes;
	int n_nodes, cap_nodes;
	struct ac_weight *weights;
	int n_weights, cap_weights;

	uint64_t weights_bytes;
	uint64_t scratch_bytes;
	uint64_t k_row_bytes;
	uint64_t page_bytes;

	const uint64_t *stream;
	uint64_t stream_bytes;
	uint32_t nargs;
	struct ac_packet *packets;
	uint32_t n_packets;
	void *tokenizer;
	uint64_t tokenizer_bytes;
};

/* Graph construction; a negative result is -ENOMEM with the error set. */
int ac_value_new(struct accel_compile *c, const char *name, uint32_t fmt, enum ac_rows rows,
		 uint32_t width);
struct ac_node *ac_node_new(struct accel_compile *c, enum ac_op op, int in0, int in1, int out,
			    const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Make room for a node before node @at. */
struct ac_node *ac_node_insert(struct accel_compile *c, int at);
struct ac_weight *ac_weight_new(struct accel_compile *c, const char *name,
				enum ac_weight_kind kind, uint32_t fmt, uint32_t n, uint32_t k);
/* Value that owns the storage of @v; adds up *col where that is not NULL. */
int ac_value_root(const struct accel_compile *c, int v, uint32_t *col);
/* How many live nodes read @v. */
int ac_value_uses(const struct accel_compile *c, int v);
/* Text of the graph as it is. */
void ac_graph_dump(const struct accel_compile *c, struct ac_text *text);

/* Run all passes, see pass.c. */
int ac_passes_run(struct accel_compile *c);

/* Passes. */
int ac_pass_import(struct accel_compile *c);
int ac_pass_format(struct accel_compile *c);
int ac_pass_fuse(struct accel_compile *c);
int ac_pass_plan(struct accel_compile *c);
int ac_pass_code(struct accel_compile *c);

/* Encode one weight and hand it out piece by piece, in order. */
int ac_weight_write(struct accel_compile *c, const struct ac_weight *w,
		    int (*sink)(void *user, const void *data, size_t bytes), void *user);

/* Build the tokenizer section; none where the file has no vocabulary. */
int ac_tokenizer_build(struct accel_compile *c);

#endif
