// SPDX-License-Identifier: MIT
/*
 * Program files from the compiler: whole, valid, the same every time, with every address in range;
 * and what is refused, with which words, leaving nothing behind.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "accel.h"
#include "accel_compiler.h"
#include "gguf_make.h"
#include "ir.h"
#include "nib_validate.h"
#include "shared_data.h"

static char dir[64];
static struct gguf_make make;

static void setup(void)
{
	strcpy(dir, "/tmp/nib-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	memset(&make, 0, sizeof(make));
}

static int files_in_dir(bool remove_them)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[400];
	int n = 0;

	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (remove_them)
			unlink(path);
	}
	closedir(d);
	return n;
}

static void teardown(void)
{
	gguf_free(&make);
	files_in_dir(true);
	rmdir(dir);
}

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct accel_compile *new_compile(const struct accel_compile_options *options)
{
	struct accel_compile *c;

	ck_assert_int_eq(accel_compile_create(options, &c), 0);
	return c;
}

/* Compile a file, or what was made where @file is NULL. */
static struct accel_compile *compiled(const char *file, const struct accel_compile_options *options)
{
	struct accel_compile *c = new_compile(options);
	int err = file ? accel_compile_load(c, file) :
		  accel_compile_load_memory(c, "made.gguf", make.data, make.bytes);

	ck_assert_msg(!err, "%s", accel_compile_error(c));
	return c;
}

static void write_program(struct accel_compile *c, const char *path)
{
	int err = accel_compile_write(c, path);

	ck_assert_msg(!err, "%s", accel_compile_error(c));
}

static const struct gguf_llama small = {
	.dim = 64, .ffn = 96, .layers = 2, .heads = 4, .kv_heads = 2, .vocab = 100,
	.type = AC_GGML_F16, .head_type = AC_GGML_F32,
};

/* --- Ranges --- */

struct range {
	uint64_t weights;
	uint64_t scratch;
	uint64_t max_rows;
	uint64_t max_out_rows;
};

/* The extent of @rows rows of @bytes at @pitch from word @i lies where its argument points. */
static void check_extent(const struct range *r, const uint64_t *w, uint32_t i, uint64_t rows,
			 uint64_t pitch, uint64_t bytes)
{
	uint64_t end, room;

	if (!(w[0] >> (32 + i - 1) & 1))
		return;
	room = NIB_ARG_INDEX(w[i]) == NIB_BIND_WEIGHTS ? r->weights :
	       NIB_ARG_INDEX(w[i]) == NIB_BIND_SCRATCH ? r->scratch : UINT64_MAX;
	if (!rows)
		return;
	end = (uint64_t)NIB_ARG_ADDEND(w[i]) + (rows - 1) * pitch + bytes;
	ck_assert_msg(end <= room, "packet %llx word %u ends at %llu of %llu",
		      (unsigned long long)(w[0] & 0xffff), i, (unsigned long long)end,
		      (unsigned long long)room);
}

static uint64_t rows_of(const struct range *r, const uint64_t *w)
{
	return NIB_ARG_INDEX(w[1]) == NIB_BIND_OUT_ROWS ? r->max_out_rows : r->max_rows;
}

static void check_vec(const struct range *r, const uint64_t *w)
{
	struct nib_pkt_vec p;
	struct nib_vec_operand o;
	uint32_t i, size;

	memcpy(&p, w, sizeof(p));
	for (i = 0; i < p.n_operands; i++) {
		memcpy(&o, w + 4 + i * 3, sizeof(o));
		size = nib_format_bits(o.fmt) / 8;
		check_extent(r, w, 4 + i * 3, o.stride0 ? rows_of(r, w) : 1, (uint64_t)o.stride0,
			     (p.d1 - 1) * (uint64_t)o.stride1 +
			     (p.n - 1) * (uint64_t)o.stride_n * size + size);
	}
}

static void check_packet(const struct range *r, const uint64_t *w)
{
	struct nib_pkt_gather gather;
	struct nib_pkt_gemm gemm;
	struct nib_pkt_quant quant;
	struct nib_pkt_attention attention;
	struct nib_pkt_kv_append append;
	uint64_t rows = rows_of(r, w);

	switch (w[0] & 0xffff) {
	case NIB_OP_GATHER:
		memcpy(&gather, w, sizeof(gather));
		check_extent(r, w, 6, rows, gather.dst_pitch, gather.width * 4ull);
		if (gather.layout == NIB_LAYOUT_PANELS)
			check_extent(r, w, 3, 1, 0,
				     nib_panels_bytes(gather.fmt, gather.table_rows, gather.width));
		else
			check_extent(r, w, 3, gather.table_rows, gather.table_pitch,
				     nib_row_bytes(gather.fmt, gather.width));
		break;
	case NIB_OP_GEMM:
		memcpy(&gemm, w, sizeof(gemm));
		check_extent(r, w, 2, rows, gemm.a_pitch, nib_row_bytes(gemm.a_fmt, gemm.k));
		check_extent(r, w, 4, 1, 0, nib_panels_bytes(gemm.w_fmt, gemm.n, gemm.k));
		check_extent(r, w, 5, rows, gemm.out_pitch, gemm.n * 4ull);
		check_extent(r, w, 7, 1, 0, gemm.n * 4ull);
		check_extent(r, w, 8, rows, gemm.residual_pitch, gemm.n * 4ull);
		break;
	case NIB_OP_QUANT:
		memcpy(&quant, w, sizeof(quant));
		check_extent(r, w, 2, rows, quant.src_pitch, quant.width * 4ull);
		check_extent(r, w, 4, rows, quant.dst_pitch, nib_row_bytes(quant.fmt, quant.width));
		break;
	case NIB_OP_ATTENTION:
		memcpy(&attention, w, sizeof(attention));
		check_extent(r, w, 2, rows, attention.q_pitch,
			     attention.n_heads * attention.head_dim * 4ull);
		check_extent(r, w, 4, rows, attention.out_pitch,
			     attention.n_heads * attention.head_dim * 4ull);
		break;
	case NIB_OP_KV_APPEND:
		memcpy(&append, w, sizeof(append));
		check_extent(r, w, 2, rows, append.src_pitch, append.width * 4ull);
		break;
	case NIB_OP_VEC:
		check_vec(r, w);
		break;
	}
}

/* The library's own checks of the file, then every address that the stream can make. */
static void check_program(const char *path)
{
	const struct nib_program_model *m;
	struct accel_program *p;
	const uint64_t *stream;
	struct nib_stream_info info;
	struct range r;
	size_t bytes, at;

	ck_assert_msg(!accel_program_open(path, &p), "%s", accel_last_error(NULL));
	m = accel_program_model(p);
	stream = accel_program_section(p, NIB_SECTION_STREAM, NIB_STREAM_STEP, &bytes);
	ck_assert_uint_eq(nib_stream_validate((const __u64 *)stream, (uint32_t)bytes, &info),
			  NIB_VALID);
	ck_assert_uint_le(info.nargs, NIB_BIND_COUNT);
	r = (struct range){ m->weights_bytes, m->scratch_bytes, m->max_rows, m->max_out_rows };
	for (at = 0; at < bytes / 8; at += stream[at] >> 16 & 0xffff)
		check_packet(&r, stream + at);
	ck_assert_uint_eq(m->page_bytes % 4096, 0);
	accel_program_close(p);
}

static const uint32_t types[] = {
	AC_GGML_F32,  AC_GGML_F16,   AC_GGML_BF16,  AC_GGML_Q8_0,
	AC_GGML_Q4_0, AC_GGML_MXFP4, AC_GGML_NVFP4,
};

START_TEST(test_every_tensor_type)
{
	struct gguf_llama m = small;
	struct accel_compile *c;

	m.type = types[_i];
	m.ffn = 128;
	m.bias = _i & 1;
	m.untied = _i & 2;
	m.scales = _i & 4;
	m.rope_freqs = _i & 1;
	gguf_llama(&make, &m);
	c = compiled(NULL, NULL);
	write_program(c, in_dir("a.nib"));
	accel_compile_destroy(c);
	check_program(in_dir("a.nib"));
}
END_TEST

static const uint32_t formats[] = {
	NIB_FMT_MXFP4,	    NIB_FMT_NVFP4,   NIB_FMT_MXFP8,
	NIB_FMT_MXFP8_E5M2, NIB_FMT_MXFP8X2, NIB_FMT_BF16,
};

START_TEST(test_every_format)
{
	struct accel_compile_options o = {
		.struct_size = sizeof(o), .weight_fmt = formats[_i % 6], .act_fmt = formats[_i / 6],
		.kv_fmt = formats[(_i + 3) % 6], .max_rows = 1 + (uint32_t)_i * 3,
		.page_tokens = 1u << _i % 8,
	};
	struct accel_compile *c;

	gguf_llama(&make, &small);
	c = compiled(NULL, &o);
	write_program(c, in_dir("a.nib"));
	accel_compile_destroy(c);
	check_program(in_dir("a.nib"));
}
END_TEST

START_TEST(test_shared_models)
{
	static const char *const names[] = {
		"llm/gguf/stories260K-v3-f32.gguf", "llm/gguf/llama-2-tiny-random.gguf",
	};
	struct accel_compile_summary s = { .struct_size = sizeof(s) };
	struct accel_compile *c;

	if (!shared_have(names[_i])) {
		printf("%s is not in ../shared/data: skipped\n", names[_i]);
		return;
	}
	c = compiled(shared_path(names[_i]), NULL);
	write_program(c, in_dir("a.nib"));
	ck_assert_int_eq(accel_compile_summarize(c, &s), 0);
	ck_assert(s.decode_tokens_per_s > 0 && s.prefill_tokens_per_s > s.decode_tokens_per_s);
	accel_compile_destroy(c);
	check_program(in_dir("a.nib"));
}
END_TEST

static char *slurp(const char *path, size_t *bytes)
{
	FILE *f = fopen(path, "rb");
	char *data;
	long n;

	ck_assert_ptr_nonnull(f);
	fseek(f, 0, SEEK_END);
	n = ftell(f);
	rewind(f);
	data = malloc((size_t)n + 1);
	ck_assert_uint_eq(fread(data, 1, (size_t)n, f), (size_t)n);
	data[n] = 0;
	fclose(f);
	*bytes = (size_t)n;
	return data;
}

START_TEST(test_same_input_same_bytes)
{
	char *data[2];
	size_t bytes[2];
	int i;

	gguf_llama(&make, &small);
	for (i = 0; i < 2; i++) {
		struct accel_compile *c = compiled(NULL, NULL);

		write_program(c, in_dir("a.nib"));
		accel_compile_destroy(c);
		data[i] = slurp(in_dir("a.nib"), &bytes[i]);
	}
	ck_assert_uint_eq(bytes[0], bytes[1]);
	ck_assert_int_eq(memcmp(data[0], data[1], bytes[0]), 0);
	free(data[0]);
	free(data[1]);
}
END_TEST

START_TEST(test_tied_matrix_is_stored_once)
{
	struct gguf_llama m = small;
	struct accel_compile_summary tied = { .struct_size = sizeof(tied) }, untied = tied;
	struct accel_compile *c;

	gguf_llama(&make, &m);
	c = compiled(NULL, NULL);
	ck_assert_int_eq(accel_compile_summarize(c, &tied), 0);
	accel_compile_destroy(c);
	gguf_free(&make);
	m.untied = true;
	gguf_llama(&make, &m);
	c = compiled(NULL, NULL);
	ck_assert_int_eq(accel_compile_summarize(c, &untied), 0);
	accel_compile_destroy(c);
	ck_assert_uint_eq(untied.params, tied.params + 100 * 64);
	ck_assert_uint_gt(untied.weights_bytes, tied.weights_bytes);
}
END_TEST

/* Memory that is too small makes steps smaller. */
START_TEST(test_little_memory_means_smaller_steps)
{
	struct accel_compile_summary s = { .struct_size = sizeof(s) };
	struct accel_compile_options o = { .struct_size = sizeof(o), .chip = in_dir("chip.json") };
	struct accel_compile *c;
	FILE *f = fopen(o.chip, "w");

	fputs("{\"name\": \"tiny\", \"clock_mhz\": 1000, \"hbm\": {\"bytes\": 1048576, \"bytes_per_s\": "
	      "1000000000}, \"sram\": {\"bytes\": 65536, \"bytes_per_s\": 1000000000}, \"tensor\": "
	      "{\"tiles\": 1, \"rows\": 16, \"ops_per_cycle\": {\"fp4\": 64, \"fp8\": 32, \"bf16\": 16}},"
	      " \"vector\": {\"lanes\": 4, \"special_cycles\": 4}, \"attention\": {\"rows\": 4}, "
	      "\"overhead\": {\"packet_cycles\": 1, \"job_cycles\": 1}}",
	      f);
	fclose(f);
	gguf_llama(&make, &small);
	o.max_rows = 4096;
	c = compiled(NULL, &o);
	ck_assert_int_eq(accel_compile_summarize(c, &s), 0);
	ck_assert_uint_lt(s.max_rows, 4096);
	ck_assert_uint_le(s.max_out_rows, s.max_rows);
	ck_assert_uint_le(s.weights_bytes + s.scratch_bytes + s.page_bytes, 1048576);
	accel_compile_destroy(c);
}
END_TEST

/* --- Refusals --- */

static void refused(const struct accel_compile_options *o, int err, const char *words)
{
	struct accel_compile *c = new_compile(o);
	int got = accel_compile_load_memory(c, "made.gguf", make.data, make.bytes);

	ck_assert_int_eq(got, -err);
	ck_assert_msg(strstr(accel_compile_error(c), words) != NULL, "\"%s\" is not in \"%s\"",
		      words, accel_compile_error(c));
	ck_assert_int_eq(accel_compile_write(c, in_dir("a.nib")), -EINVAL);
	accel_compile_destroy(c);
	ck_assert_int_eq(files_in_dir(false), 0);
}

START_TEST(test_options_out_of_range)
{
	struct accel_compile_options o = { .struct_size = sizeof(o) };

	gguf_llama(&make, &small);
	o.weight_fmt = NIB_FMT_F32;
	refused(&o, EINVAL, "option weights: f32");
	o.weight_fmt = 0;
	o.act_fmt = NIB_FMT_E4M3;
	refused(&o, EINVAL, "option acts: e4m3");
	o.act_fmt = 0;
	o.kv_fmt = NIB_FMT_U32;
	refused(&o, EINVAL, "option kv: u32");
	o.kv_fmt = 0;
	o.page_tokens = 24;
	refused(&o, EINVAL, "option page-tokens: 24");
	o.page_tokens = 0;
	o.max_rows = 70000;
	refused(&o, EINVAL, "option max-rows: 70000");
	o.max_rows = 0;
	o.act_rule = ACCEL_RULE_BEST3;
	refused(&o, EINVAL, "option act-rule");
	o.act_rule = 0;
	o.chip = "nonesuch";
	refused(&o, ENOENT, "chip nonesuch");
	o.chip = NULL;
	o.dump_after = "nonesuch";
	refused(&o, EINVAL, "there is no pass nonesuch");
	o.struct_size = 8;
	ck_assert_int_eq(accel_compile_create(&o, &(struct accel_compile *){ NULL }), -EINVAL);
}
END_TEST

/* Replace bytes of the made file. */
static void patch(const char *from, const char *to)
{
	uint8_t *at = memmem(make.data, make.bytes, from, strlen(from));

	ck_assert_ptr_nonnull(at);
	memcpy(at, to, strlen(to));
}

START_TEST(test_models_that_do_not_fit_the_graph)
{
	static const struct {
		const char *from;
		const char *to;
		int err;
		const char *words;
	} cases[] = {
		{"llama", "gemma", ENOTSUP, "gemma is not supported"},
		{"llama.block_count", "llama.block_cxunt", EINVAL, "llama.block_count: missing"},
		{"blk.1.attn_v.weight", "blk.7.attn_v.weight", EINVAL,
		 "tensor blk.1.attn_v.weight: missing"},
		{"output_norm.weight", "output_xorm.weight", EINVAL, "output_norm.weight: missing"},
		{"token_embd.weight", "token_xmbd.weight", EINVAL, "token_embd.weight: missing"},
	};

	gguf_llama(&make, &small);
	patch(cases[_i].from, cases[_i].to);
	refused(NULL, cases[_i].err, cases[_i].words);
}
END_TEST

START_TEST(test_a_tensor_nobody_uses)
{
	struct gguf_llama m = small;

	m.extra = "blk.0.attn_q_norm.weight";
	gguf_llama(&make, &m);
	refused(NULL, ENOTSUP, "tensor blk.0.attn_q_norm.weight: has no place");
}
END_TEST

START_TEST(test_wrong_shape)
{
	struct gguf_llama m = small;
	uint8_t *at;

	gguf_llama(&make, &m);
	at = memmem(make.data, make.bytes, "blk.0.attn_k.weight", 19);
	at[19 + 4 + 8] = 16;	/* ne[1] */
	refused(NULL, EINVAL, "tensor blk.0.attn_k.weight: shape 64 x 16, must be 64 x 32");
}
END_TEST

START_TEST(test_type_without_decoder)
{
	struct gguf_llama m = small;
	uint8_t *at;

	m.dim = 256;
	m.ffn = 256;
	gguf_llama(&make, &m);
	at = memmem(make.data, make.bytes, "blk.0.attn_k.weight", 19);
	at[19 + 4 + 16] = 12;	/* Q4_K */
	refused(NULL, ENOTSUP, "tensor blk.0.attn_k.weight: type Q4_K is not supported");
}
END_TEST

/* Weights are read when the program is written: the old file stays, no new one appears. */
START_TEST(test_no_partial_file)
{
	struct gguf_llama m = small;
	struct accel_compile *c;
	uint8_t *at;
	char *data;
	size_t bytes;
	FILE *f = fopen(in_dir("a.nib"), "w");

	fputs("old", f);
	fclose(f);
	m.untied = true;
	gguf_llama(&make, &m);
	c = compiled(NULL, NULL);
	/* The last weights of the file are the head's. */
	at = make.data + make.bytes - 64;
	memcpy(at, "\0\0\xc0\x7f", 4);
	ck_assert_int_eq(accel_compile_write(c, in_dir("a.nib")), -EINVAL);
	ck_assert_msg(strstr(accel_compile_error(c), "output.weight") &&
		      strstr(accel_compile_error(c), "not finite"), "%s", accel_compile_error(c));
	accel_compile_destroy(c);
	ck_assert_int_eq(files_in_dir(false), 1);
	data = slurp(in_dir("a.nib"), &bytes);
	ck_assert_str_eq(data, "old");
	free(data);
}
END_TEST

/* Of a table: the row, and where in it. */
START_TEST(test_table_rows_are_finite)
{
	struct accel_compile_options o = {
		.struct_size = sizeof(o), .embd_fmt = _i ? NIB_FMT_F32 : NIB_FMT_MXFP8,
	};
	struct gguf_llama m = small;
	struct accel_compile *c;
	const struct ac_gguf_tensor *t;
	uint8_t *at;

	m.untied = true;
	m.head_type = AC_GGML_F32;
	gguf_llama(&make, &m);
	c = compiled(NULL, &o);
	t = ac_gguf_tensor(&c->gguf, "token_embd.weight");
	ck_assert_uint_ge(t->ne[0], 48);
	at = (uint8_t *)(uintptr_t)t->data + 2 * t->row_bytes + 40 * 4;
	memcpy(at, "\0\0\xc0\x7f", 4);
	ck_assert_int_eq(accel_compile_write(c, in_dir("a.nib")), -EINVAL);
	ck_assert_msg(strstr(accel_compile_error(c), "token_embd.weight: row 2, elements from 32 on") !=
		      NULL, "%s", accel_compile_error(c));
	accel_compile_destroy(c);
}
END_TEST

START_TEST(test_output_that_cannot_be_written)
{
	struct accel_compile *c;

	gguf_llama(&make, &small);
	c = compiled(NULL, NULL);
	ck_assert_int_eq(accel_compile_write(c, "/nonexistent/a.nib"), -ENOENT);
	ck_assert_ptr_nonnull(strstr(accel_compile_error(c), "/nonexistent/a.nib"));
	accel_compile_destroy(c);
	c = compiled(NULL, NULL);
	ck_assert_int_eq(accel_compile_write(c, dir), -EINVAL);
	accel_compile_destroy(c);
	c = compiled(NULL, NULL);
	ck_assert_int_eq(accel_compile_write(c, "/dev/full"), -EINVAL);
	accel_compile_destroy(c);
}
END_TEST

/* --- Tokenizer --- */

START_TEST(test_bpe_tokenizer)
{
	const struct nib_program_tokenizer *t;
	const struct nib_program_merge *merges;
	struct gguf_llama m = small;
	struct accel_compile *c;

	m.tokenizer = true;
	gguf_llama(&make, &m);
	c = compiled(NULL, NULL);
	t = c->tokenizer;
	ck_assert_uint_eq(t->model, NIB_TOKENIZER_BPE);
	ck_assert_str_eq(t->pre, "llama-bpe");
	ck_assert_uint_eq(t->flags, NIB_TOKENIZER_ADD_BOS);
	ck_assert_uint_eq(t->tokens, 100);
	ck_assert_uint_eq(t->bos, 11);
	ck_assert_uint_eq(t->unknown, NIB_TOKEN_NONE);
	/* "x nothing" merges with a token that does not exist: it can never happen. */
	ck_assert_uint_eq(t->merges, 2);
	merges = (const void *)((const uint8_t *)(t + 1) + 400 + 104 + 400);
	ck_assert(merges[0].left == 0 && merges[0].right == 1 && merges[0].merged == 26);
	ck_assert(merges[1].left == 26 && merges[1].right == 2 && merges[1].merged == 27);
	ck_assert_int_eq(memcmp(merges + 2, "abcdefghijklmnopqrstuvwxyzababc<28>", 35), 0);
	accel_compile_destroy(c);
}
END_TEST

START_TEST(test_spm_tokenizer)
{
	const char *name = "llm/gguf/stories260K-v3-f32.gguf";
	const struct nib_program_tokenizer *t;
	struct accel_compile *c;

	if (!shared_have(name)) {
		printf("%s is not in ../shared/data: skipped\n", name);
		return;
	}
	c = compiled(shared_path(name), NULL);
	t = c->tokenizer;
	ck_assert_uint_eq(t->model, NIB_TOKENIZER_SPM);
	ck_assert_uint_eq(t->flags, NIB_TOKENIZER_ADD_BOS | NIB_TOKENIZER_ADD_SPACE_PREFIX);
	ck_assert(t->tokens == 512 && t->bos == 1 && t->eos == 2 && t->unknown == 0 && !t->merges);
	ck_assert_int_eq(((const uint8_t *)(t + 1))[2048 + 3], NIB_TOKEN_BYTE);
	accel_compile_destroy(c);
}
END_TEST

/* --- Reports --- */

static void append(void *user, const char *text)
{
	struct ac_text *t = user;

	ac_text_add(t, "%s", text);
}

START_TEST(test_explain)
{
	struct ac_text text = { 0 };
	struct accel_compile *c;
	json_t *root, *ops;

	gguf_llama(&make, &small);
	c = compiled(NULL, NULL);
	ck_assert_int_eq(
		accel_compile_explain(c, ACCEL_EXPLAIN_JSON | ACCEL_EXPLAIN_OPS, append, &text), 0);
	root = json_loads(text.data, 0, NULL);
	ck_assert_ptr_nonnull(root);
	ops = json_object_get(root, "operations");
	ck_assert_uint_eq(json_array_size(ops),
			  json_integer_value(json_object_get(root, "packets")));
	json_decref(root);
	ac_text_free(&text);
	ck_assert_int_eq(accel_compile_explain(c, ACCEL_EXPLAIN_OPS, append, &text), 0);
	ck_assert_ptr_nonnull(strstr(text.data, "blk.1.attn_qkv"));
	ck_assert_ptr_nonnull(strstr(text.data, "decode, position 127"));
	ac_text_free(&text);
	accel_compile_destroy(c);
}
END_TEST

START_TEST(test_dump_after_every_pass)
{
	struct ac_text text = { 0 };
	struct accel_compile_options o = {
		.struct_size = sizeof(o), .dump_after = "all", .dump = append, .user = &text,
	};

	gguf_llama(&make, &small);
	accel_compile_destroy(compiled(NULL, &o));
	ck_assert_ptr_nonnull(strstr(text.data, "after import:"));
	ck_assert_ptr_nonnull(strstr(text.data, "after code:"));
	ck_assert_ptr_nonnull(strstr(text.data, "attn_qkv"));
	ac_text_free(&text);
}
END_TEST

/* The text is that of the last call, and of none where that went well. */
START_TEST(test_errors_are_of_the_last_call)
{
	struct accel_compile *c = new_compile(NULL);

	gguf_llama(&make, &small);
	ck_assert_int_eq(accel_compile_load(c, in_dir("one.gguf")), -ENOENT);
	ck_assert_ptr_nonnull(strstr(accel_compile_error(c), "one.gguf"));
	ck_assert_int_eq(accel_compile_write(c, in_dir("a.nib")), -EINVAL);
	ck_assert_ptr_nonnull(strstr(accel_compile_error(c), "nothing was compiled"));
	ck_assert_int_eq(accel_compile_load_memory(c, "made.gguf", make.data, make.bytes), 0);
	ck_assert_str_eq(accel_compile_error(c), "");
	ck_assert_int_eq(accel_compile_write(c, "/nonexistent/a.nib"), -ENOENT);
	ck_assert_int_eq(accel_compile_write(c, "/nowhere/b.nib"), -ENOENT);
	ck_assert_ptr_nonnull(strstr(accel_compile_error(c), "/nowhere/b.nib"));
	write_program(c, in_dir("a.nib"));
	ck_assert_str_eq(accel_compile_error(c), "");
	accel_compile_destroy(c);
}
END_TEST

/* Names reach people's terminals: in one line, whatever a file calls its tensors, reason included. */
START_TEST(test_errors_are_clean_lines)
{
	struct gguf_llama m = small;
	char name[64], shown[64];

	snprintf(name, sizeof(name), "a\033]0;b\nc");
	snprintf(shown, sizeof(shown), "a?]0;b?c: has no place in a llama graph");
	m.extra = name;
	gguf_llama(&make, &m);
	refused(NULL, ENOTSUP, shown);
}
END_TEST

static void count_line(void *user, const char *line)
{
	ck_assert_ptr_null(strchr(line, '\n'));
	++*(int *)user;
}

static off_t section_offset(int i)
{
	struct nib_program_section s;
	int fd = open(in_dir("a.nib"), O_RDONLY);

	ck_assert_int_eq(pread(fd, &s, sizeof(s), (off_t)(sizeof(struct nib_program_header) +
							  (size_t)i * sizeof(s))), sizeof(s));
	close(fd);
	return (off_t)s.offset;
}

/* One bit of the byte at @at is wrong. */
static void check_damaged(const char *words, off_t at)
{
	int fd = open(in_dir("a.nib"), O_RDWR), lines = 0;
	char error[256];
	uint8_t byte;

	ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 4;
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	ck_assert_int_eq(accel_program_disassemble(in_dir("a.nib"), count_line, &lines, error,
						   sizeof(error)), -EINVAL);
	ck_assert_msg(strstr(error, words) != NULL, "\"%s\" is not in \"%s\"", words, error);
	ck_assert_int_eq(lines, 0);
	byte ^= 4;
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

START_TEST(test_disassembly)
{
	struct accel_compile_summary s = { .struct_size = sizeof(s) };
	struct accel_compile *c;
	char error[256];
	int lines = 0;

	gguf_llama(&make, &small);
	c = compiled(NULL, NULL);
	write_program(c, in_dir("a.nib"));
	ck_assert_int_eq(accel_compile_summarize(c, &s), 0);
	accel_compile_destroy(c);
	ck_assert_int_eq(accel_program_disassemble(in_dir("a.nib"), count_line, &lines, error,
						   sizeof(error)), 0);
	ck_assert_int_eq(lines, (int)s.packets + 2);	/* the stream's head, and END */
	check_damaged("section records", offsetof(struct nib_program_header, sections_hash));
	check_damaged("its header says", offsetof(struct nib_program_header, file_bytes));
	/* The file's sections: model, info, bindings, names, the stream. */
	check_damaged("section 3 does not match", section_offset(3) + 20);
	check_damaged("section 4 does not match", section_offset(4) + 20);
	ck_assert_int_eq(truncate(in_dir("a.nib"), 5000), 0);
	ck_assert_int_eq(accel_program_disassemble(in_dir("a.nib"), count_line, &lines, error,
						   sizeof(error)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "has 5000 bytes"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("compiler_program");
	TCase *tc = tcase_create("program");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_every_tensor_type, 0, 7);
	tcase_add_loop_test(tc, test_every_format, 0, 36);
	tcase_add_loop_test(tc, test_shared_models, 0, 2);
	tcase_add_test(tc, test_same_input_same_bytes);
	tcase_add_test(tc, test_tied_matrix_is_stored_once);
	tcase_add_test(tc, test_little_memory_means_smaller_steps);
	tcase_add_test(tc, test_options_out_of_range);
	tcase_add_loop_test(tc, test_models_that_do_not_fit_the_graph, 0, 5);
	tcase_add_test(tc, test_a_tensor_nobody_uses);
	tcase_add_test(tc, test_wrong_shape);
	tcase_add_test(tc, test_type_without_decoder);
	tcase_add_test(tc, test_no_partial_file);
	tcase_add_test(tc, test_output_that_cannot_be_written);
	tcase_add_test(tc, test_bpe_tokenizer);
	tcase_add_test(tc, test_spm_tokenizer);
	tcase_add_test(tc, test_explain);
	tcase_add_test(tc, test_dump_after_every_pass);
	tcase_add_test(tc, test_disassembly);
	tcase_add_test(tc, test_errors_are_of_the_last_call);
	tcase_add_test(tc, test_errors_are_clean_lines);
	tcase_add_loop_test(tc, test_table_rows_are_finite, 0, 2);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
