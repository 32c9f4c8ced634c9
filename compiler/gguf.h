/* SPDX-License-Identifier: MIT */
/*
 * GGUF reader: the container, and rows of its tensors as FP32. Nothing in the file is trusted; what
 * a successful open hands out points into the file and is in range.
 */
#ifndef AC_GGUF_H
#define AC_GGUF_H

#include "ac.h"

/* Value types of metadata. */
enum ac_gguf_type {
	AC_GGUF_U8 = 0, AC_GGUF_I8 = 1, AC_GGUF_U16 = 2, AC_GGUF_I16 = 3, AC_GGUF_U32 = 4,
	AC_GGUF_I32 = 5, AC_GGUF_F32 = 6, AC_GGUF_BOOL = 7, AC_GGUF_STRING = 8, AC_GGUF_ARRAY = 9,
	AC_GGUF_U64 = 10, AC_GGUF_I64 = 11, AC_GGUF_F64 = 12,
};

/* Tensor types that the compiler decodes; ids are ggml's. */
enum ac_ggml_type {
	AC_GGML_F32 = 0, AC_GGML_F16 = 1, AC_GGML_Q4_0 = 2, AC_GGML_Q8_0 = 8, AC_GGML_BF16 = 30,
	AC_GGML_MXFP4 = 39, AC_GGML_NVFP4 = 40,
};

#define AC_GGUF_MAX_DIMS	4u
#define AC_GGUF_MAX_NAME	127u	/* bytes of a tensor name */
#define AC_GGUF_MAX_KEY		65535u
#define AC_GGUF_MAX_ALIGN	(1u << 20)

/* Text in the file: not terminated. */
struct ac_str {
	const char *data;
	uint64_t bytes;
};

/**
 * struct ac_gguf_kv - one metadata entry.
 * @key: terminated copy.
 * @type: enum ac_gguf_type.
 * @item: type of the elements of an array, else @type.
 * @count: elements; 1 for a scalar.
 * @data: first element in the file, unaligned.
 * @bytes: length of all elements.
 */
struct ac_gguf_kv {
	const char *key;
	uint32_t type;
	uint32_t item;
	uint64_t count;
	const uint8_t *data;
	uint64_t bytes;
};

/**
 * struct ac_gguf_tensor - one tensor.
 * @name: terminated copy.
 * @type: ggml's type number; a known one.
 * @n_dims: 1..4.
 * @ne: elements by dimension, the contiguous one first; 1 past n_dims.
 * @row_bytes: of ne[0] elements.
 * @rows: product of the others.
 * @data: in the file.
 */
struct ac_gguf_tensor {
	const char *name;
	uint32_t type;
	uint32_t n_dims;
	uint64_t ne[AC_GGUF_MAX_DIMS];
	uint64_t row_bytes;
	uint64_t rows;
	const uint8_t *data;
};

struct ac_gguf {
	struct ac_ctx *ctx;
	const char *name;	/* of the file, for messages */
	const uint8_t *data;
	uint64_t bytes;
	void *map;		/* what to unmap, or NULL */
	uint32_t version;
	uint32_t alignment;
	uint64_t n_kv;
	uint64_t n_tensors;
	struct ac_gguf_kv *kv;
	struct ac_gguf_tensor *tensors;
	uint32_t *kv_hash;	/* index + 1, open addressing */
	uint32_t *tensor_hash;
	uint64_t kv_mask;
	uint64_t tensor_mask;
};

/* Map and parse. 0; -errno of the file; -EINVAL; -ENOTSUP. Paired with ac_gguf_close(). */
int ac_gguf_open(struct ac_ctx *ctx, const char *path, struct ac_gguf *g);
/* Parse memory that stays. */
int ac_gguf_parse(struct ac_ctx *ctx, const char *name, const void *data, uint64_t bytes,
		  struct ac_gguf *g);
void ac_gguf_close(struct ac_gguf *g);

const struct ac_gguf_kv *ac_gguf_find(const struct ac_gguf *g, const char *key);
const struct ac_gguf_tensor *ac_gguf_tensor(const struct ac_gguf *g, const char *name);

/*
 * Typed access. 1: found; 0: absent, *value untouched; -EINVAL: another type or out of range, with
 * the error set. Integers of any width are taken where the value fits.
 */
int ac_gguf_u32(struct ac_gguf *g, const char *key, uint32_t *value);
int ac_gguf_f32(struct ac_gguf *g, const char *key, float *value);
int ac_gguf_bool(struct ac_gguf *g, const char *key, bool *value);
int ac_gguf_string(struct ac_gguf *g, const char *key, struct ac_str *value);
/* An array whose elements have type @item. */
int ac_gguf_array(struct ac_gguf *g, const char *key, uint32_t item, const struct ac_gguf_kv **kv);

/* Walk an array of strings that ac_gguf_array() found: *at starts at 0. */
struct ac_str ac_gguf_next_string(const struct ac_gguf_kv *kv, uint64_t *at);

/* Name of a ggml type, "?" if unknown. */
const char *ac_ggml_name(uint32_t type);
/* True if rows of it can be decoded. */
bool ac_ggml_decodes(uint32_t type);
/* One row (of all but the first dimension, counted through) to FP32, as ggml computes it. */
void ac_ggml_decode_row(const struct ac_gguf_tensor *t, uint64_t row, float *dst);
/* Size in bytes of @block elements; false for an unknown or removed type. */
bool ac_ggml_block(uint32_t type, uint32_t *block, uint32_t *bytes);

#endif
