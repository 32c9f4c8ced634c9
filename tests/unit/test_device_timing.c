// SPDX-License-Identifier: MIT
/*
 * Modelled time and energy: what a chip file says must show, bytes must be booked where operands
 * live, and more of a resource must never make a packet slower.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "driver.h"

#define VA	0x10000000ull
#define SRAM_VA	0x20000000ull
#define HOST_VA	0x30000000ull

/* The figures of chips/small.json that these tests vary. */
struct chip {
	double hbm_bps, sram_bps, host_bps;
	unsigned int tiles, rows, lanes, packet_cycles, job_cycles, clock_mhz, attention_rows;
	double fp4, fp8, static_mw;
};

/* As small.json. */
static const struct chip base = {
	.hbm_bps = 16e9, .sram_bps = 256e9, .host_bps = 4e9, .tiles = 4, .rows = 16, .lanes = 64,
	.packet_cycles = 200, .job_cycles = 2000, .clock_mhz = 1000, .attention_rows = 16,
	.fp4 = 2048, .fp8 = 1024, .static_mw = 400,
};

static struct driver *d;
static uint64_t hbm;

static void power_on(const struct chip *c)
{
	char path[] = "/tmp/nib-chip-XXXXXX";
	FILE *f = fdopen(mkstemp(path), "w");

	fprintf(f, "{\"name\":\"test\",\"contexts\":4,\"queues\":8,\"streams\":64,"
		"\"clock_mhz\":%u,\"hbm\":{\"bytes\":67108864,\"window_bytes\":67108864,"
		"\"bytes_per_s\":%.0f,\"pj_per_byte\":60},\"sram\":{\"bytes\":2097152,"
		"\"bytes_per_s\":%.0f,\"pj_per_byte\":1},\"host\":{\"bytes_per_s\":%.0f,"
		"\"pj_per_byte\":90},\"tensor\":{\"tiles\":%u,\"rows\":%u,\"ops_per_cycle\":{"
		"\"fp4\":%g,\"fp8\":%g,\"bf16\":512},\"pj_per_op\":{\"fp4\":0.1,\"fp8\":0.2,"
		"\"bf16\":0.4}},\"vector\":{\"lanes\":%u,\"special_cycles\":4,\"pj_per_op\":0.5},"
		"\"attention\":{\"rows\":%u},\"overhead\":{\"packet_cycles\":%u,\"job_cycles\":%u},"
		"\"power\":{\"static_mw\":%g,\"sleep_mw\":100,\"ambient_mc\":30000,\"mc_per_w\":8000,"
		"\"time_constant_ms\":100}}", c->clock_mhz, c->hbm_bps, c->sram_bps, c->host_bps,
		c->tiles, c->rows, c->fp4, c->fp8, c->lanes, c->attention_rows, c->packet_cycles,
		c->job_cycles, c->static_mw);
	fclose(f);
	d = driver_new(path, NULL);
	unlink(path);
	driver_boot(d);
	driver_context(d, 0);
	driver_queue(d, 0, 0, 16, NIB_PRIORITY_NORMAL, 16, 1);
	hbm = driver_hbm_alloc(d, 16u << 20, NIB_PAGE_2M);
	driver_map(d, 0, VA, NIB_MEM_HBM, hbm, 16u << 20, NIB_PAGE_2M, NIB_PTE_WRITE);
	driver_map(d, 0, SRAM_VA, NIB_MEM_SRAM, 0, 2u << 20, NIB_PAGE_2M, NIB_PTE_WRITE);
	driver_map(d, 0, HOST_VA, NIB_MEM_HOST, DRIVER_DMA + 0x800000, 1u << 20, NIB_PAGE_4K,
		   NIB_PTE_WRITE);
}

static void power_off(void)
{
	driver_free(d);
}

static struct nib_completion run(struct stream *s)
{
	static uint32_t id;
	const struct nib_completion *done;
	uint64_t job;

	stream_end(s);
	stream_create(d, 0, ++id % 64, s, 0);
	job = driver_submit(d, 0, id % 64, NULL, 0, 0);
	driver_run(d);
	done = driver_done(d, 0, job);
	ck_assert_ptr_nonnull(done);
	ck_assert_msg(done->status == NIB_DONE_OK, "status %u at %#llx", done->status,
		      (unsigned long long)done->fault_va);
	return *done;
}

static struct nib_completion run_copy(const struct chip *c, uint64_t src, uint64_t dst)
{
	struct stream s = { .words = 0 };
	struct nib_completion done;

	power_on(c);
	stream_copy(&s, src, NIB_FMT_U32, dst, NIB_FMT_U32, 1u << 16);
	done = run(&s);
	power_off();
	return done;
}

static struct nib_completion run_gemm(const struct chip *c, uint32_t rows, uint32_t n, uint32_t k,
				      uint16_t a_fmt, uint16_t w_fmt)
{
	struct nib_pkt_gemm p = {
		.hdr = STREAM_HDR(NIB_OP_GEMM, struct nib_pkt_gemm),
		.rows = rows, .a = VA + 0x800000, .a_pitch = nib_row_bytes(a_fmt, k), .w = VA,
		.out = VA + 0xc00000, .out_pitch = n * 4, .n = n, .k = k, .a_fmt = a_fmt,
		.w_fmt = w_fmt, .out_fmt = NIB_FMT_F32, .alpha = 0x3f800000,
	};
	struct stream s = { .words = 0 };
	struct nib_completion done;

	power_on(c);
	stream_add(&s, &p, sizeof(p));
	done = run(&s);
	power_off();
	return done;
}

START_TEST(bytes_are_booked_where_they_live)
{
	struct nib_completion done = run_copy(&base, SRAM_VA, HOST_VA);

	ck_assert_uint_eq(done.sram_read, 1u << 18);
	ck_assert_uint_eq(done.host_write, 1u << 18);
	ck_assert_uint_eq(done.hbm_read + done.hbm_write + done.sram_write + done.host_read, 0);
	done = run_copy(&base, VA, VA + 0x400000);
	ck_assert_uint_eq(done.hbm_read, 1u << 18);
	ck_assert_uint_eq(done.hbm_write, 1u << 18);
}
END_TEST

START_TEST(a_copy_takes_what_the_slower_side_needs)
{
	/* 256 KiB at 4 GB/s is 65536 cycles of a nanosecond; two packets and a job of overhead. */
	struct nib_completion done = run_copy(&base, SRAM_VA, HOST_VA);

	ck_assert_uint_eq(done.cycles, 65536 + 2 * 200 + 2000);
	ck_assert_uint_eq(done.end_ns - done.start_ns, done.cycles);
	/* Both ways through HBM. */
	done = run_copy(&base, VA, VA + 0x400000);
	ck_assert_uint_eq(done.cycles, 32768 + 2 * 200 + 2000);
}
END_TEST

START_TEST(energy_follows_the_price_list)
{
	struct nib_completion done = run_copy(&base, SRAM_VA, HOST_VA);
	uint64_t moved = (1u << 18) * 91ull;

	ck_assert_uint_eq(done.energy_pj, moved + 400 * (done.end_ns - done.start_ns));
}
END_TEST

START_TEST(the_clock_scales_time_not_bandwidth)
{
	struct chip fast = base;
	struct nib_completion done;

	fast.clock_mhz = 2000;
	done = run_copy(&fast, SRAM_VA, HOST_VA);
	ck_assert_uint_eq(done.cycles, 2 * 65536 + 2 * 200 + 2000);
	ck_assert_uint_eq(done.end_ns - done.start_ns, done.cycles / 2);
}
END_TEST

START_TEST(a_decode_gemm_is_bound_by_memory)
{
	struct nib_completion done = run_gemm(&base, 1, 2048, 1024, NIB_FMT_MXFP8, NIB_FMT_MXFP4);
	uint64_t weights = nib_panels_bytes(NIB_FMT_MXFP4, 2048, 1024);
	uint64_t bytes = weights + nib_row_bytes(NIB_FMT_MXFP8, 1024) + 2048 * 4;

	ck_assert_uint_eq(done.hbm_read + done.hbm_write, bytes);
	ck_assert_uint_eq(done.ops, 2ull * 2048 * 1024);
	ck_assert_uint_eq(done.cycles, (bytes + 15) / 16 + 2 * 200 + 2000);
}
END_TEST

START_TEST(a_prefill_gemm_is_bound_by_compute)
{
	struct chip wide = base;
	struct nib_completion done;

	wide.hbm_bps *= 10;
	done = run_gemm(&wide, 256, 512, 1024, NIB_FMT_MXFP8, NIB_FMT_MXFP4);
	/* 16 x 8 blocks of 64 x 16 x 1024 on 4 tiles at 1024 ops a cycle: 2048 cycles, 32 turns. */
	ck_assert_uint_eq(done.cycles, 32 * 2048 + 2 * 200 + 2000);
	ck_assert_uint_eq(done.ops, 2ull * 256 * 512 * 1024);
	done = run_gemm(&wide, 256, 512, 1024, NIB_FMT_MXFP4, NIB_FMT_MXFP4);
	ck_assert_uint_eq(done.cycles, 32 * 1024 + 2 * 200 + 2000);
	/* Two terms are two passes. */
	done = run_gemm(&wide, 256, 512, 1024, NIB_FMT_MXFP8X2, NIB_FMT_MXFP4);
	ck_assert_uint_eq(done.cycles, 2 * 32 * 2048 + 2 * 200 + 2000);
}
END_TEST

/* A packet that ends before it began costs next to nothing, however large it would have been. */
START_TEST(what_faults_costs_what_was_done)
{
	struct nib_pkt_gemm gemm = {
		.hdr = STREAM_HDR(NIB_OP_GEMM, struct nib_pkt_gemm),
		.rows = NIB_MAX_DIM, .a = 1ull << 40, .a_pitch = NIB_MAX_DIM, .w = VA,
		.out = VA, .out_pitch = NIB_MAX_DIM, .n = NIB_MAX_DIM, .k = NIB_MAX_DIM,
		.a_fmt = NIB_FMT_MXFP8X2, .w_fmt = NIB_FMT_MXFP8X2, .out_fmt = NIB_FMT_F32,
		.alpha = 0x3f800000,
	};
	struct stream s = { .words = 0 };
	const struct nib_completion *done;

	power_on(&base);
	gemm.a_pitch = nib_row_bytes(NIB_FMT_MXFP8X2, NIB_MAX_DIM);
	gemm.out_pitch = NIB_MAX_DIM * 4ull;
	stream_add(&s, &gemm, sizeof(gemm));
	stream_end(&s);
	stream_create(d, 0, 63, &s, 0);
	driver_submit(d, 0, 63, NULL, 0, 0);
	driver_run(d);
	done = driver_done(d, 0, 0);
	ck_assert_uint_eq(done->status, NIB_DONE_FAULT_READ);
	ck_assert_uint_eq(done->ops, 0);
	ck_assert_uint_lt(done->end_ns - done->start_ns, 1000000);
	power_off();
}
END_TEST

START_TEST(idle_tiles_and_rows_cost_time)
{
	struct chip wide = base;
	uint64_t full, rows, tiles;

	wide.hbm_bps *= 10;
	full = run_gemm(&wide, 64, 256, 1024, NIB_FMT_MXFP8, NIB_FMT_MXFP4).cycles;
	rows = run_gemm(&wide, 49, 256, 1024, NIB_FMT_MXFP8, NIB_FMT_MXFP4).cycles;
	tiles = run_gemm(&wide, 64, 257, 1024, NIB_FMT_MXFP8, NIB_FMT_MXFP4).cycles;
	ck_assert_uint_eq(full, rows);
	ck_assert_uint_gt(tiles, full);
}
END_TEST

/* Ways to make the chip better, one at a time. */
static void improve(struct chip *c, int how)
{
	switch (how) {
	case 0:
		c->hbm_bps *= 2;
		break;
	case 1:
		c->sram_bps *= 2;
		break;
	case 2:
		c->host_bps *= 2;
		break;
	case 3:
		c->tiles *= 2;
		break;
	case 4:
		c->lanes *= 2;
		break;
	case 5:
		c->packet_cycles /= 2;
		break;
	case 6:
		c->job_cycles /= 2;
		break;
	case 7:
		c->fp8 *= 2;
		break;
	}
}

START_TEST(more_of_a_resource_is_never_slower)
{
	struct chip better = base;

	improve(&better, _i);
	ck_assert_uint_le(run_copy(&better, SRAM_VA, HOST_VA).cycles,
			  run_copy(&base, SRAM_VA, HOST_VA).cycles);
	ck_assert_uint_le(run_copy(&better, VA, SRAM_VA).cycles,
			  run_copy(&base, VA, SRAM_VA).cycles);
	for (uint32_t rows = 1; rows < 200; rows = rows * 3 + 1)
		ck_assert_uint_le(run_gemm(&better, rows, 640, 512, NIB_FMT_MXFP8,
					   NIB_FMT_MXFP4).cycles,
				  run_gemm(&base, rows, 640, 512, NIB_FMT_MXFP8,
					   NIB_FMT_MXFP4).cycles);
}
END_TEST

/* Decode of one token over a context of 64 pages of 16 tokens, @in_sram of them in SRAM. */
static struct nib_completion run_attention(unsigned int in_sram, unsigned int rows,
					   uint32_t window)
{
	struct nib_pkt_attention p = {
		.hdr = STREAM_HDR(NIB_OP_ATTENTION, struct nib_pkt_attention),
		.rows = rows, .q = VA + 0x100000, .q_pitch = 4 * 64 * 4, .out = VA + 0x180000,
		.out_pitch = 4 * 64 * 4, .row_table = VA + 0x200000, .blocks = VA + 0x280000,
		.block_stride = 64, .v_offset = 16 * 256, .n_heads = 4, .n_kv_heads = 2,
		.head_dim = 64, .page_tokens = 16, .k_fmt = NIB_FMT_BF16, .v_fmt = NIB_FMT_BF16,
		.scale = 0x3e000000, .window = window,
	};
	struct nib_kv_row *table;
	struct stream s = { .words = 0 };
	struct nib_completion done;
	uint64_t *blocks;

	power_on(&base);
	table = (void *)(d->hbm + hbm + 0x200000);
	blocks = (void *)(d->hbm + hbm + 0x280000);
	for (unsigned int i = 0; i < rows; i++)
		table[i] = (struct nib_kv_row){ .seq = 0, .pos = 64 * 16 - rows + i };
	for (unsigned int i = 0; i < 64; i++)
		blocks[i] = (i < in_sram ? SRAM_VA : VA + 0x300000) + i * 8192;
	stream_add(&s, &p, sizeof(p));
	done = run(&s);
	power_off();
	return done;
}

START_TEST(pages_are_counted_where_they_live)
{
	struct nib_completion none = run_attention(0, 1, 0), half = run_attention(32, 1, 0);
	struct nib_completion all = run_attention(64, 1, 0);

	ck_assert_uint_eq(none.kv_pages_sram, 0);
	ck_assert_uint_eq(none.kv_pages_other, 64);
	ck_assert_uint_eq(half.kv_pages_sram, 32);
	ck_assert_uint_eq(half.kv_pages_other, 32);
	ck_assert_uint_eq(all.kv_pages_sram, 64);
	ck_assert_uint_eq(all.sram_read, 64 * 16 * 512);
	ck_assert_uint_eq(half.sram_read, 32 * 16 * 512);
	ck_assert_uint_lt(all.energy_pj, half.energy_pj);
	ck_assert_uint_lt(half.energy_pj, none.energy_pj);
	ck_assert_uint_le(all.cycles, none.cycles);
}
END_TEST

START_TEST(rows_of_a_sequence_share_a_pass)
{
	struct nib_completion one = run_attention(64, 1, 0), block = run_attention(64, 16, 0);
	struct nib_completion two = run_attention(64, 17, 0);

	ck_assert_uint_eq(block.kv_pages_sram, one.kv_pages_sram);
	ck_assert_uint_eq(block.sram_read, one.sram_read);
	ck_assert_uint_eq(two.kv_pages_sram, 2 * one.kv_pages_sram);
	ck_assert_uint_gt(block.ops, 15 * one.ops);
	/* Under a window the pass covers what any of the rows sees: 945 .. 1023. */
	block = run_attention(64, 16, 64);
	ck_assert_uint_eq(block.kv_pages_sram, 64 - 945 / 16);
	ck_assert_uint_eq(block.sram_read, (1024 - 945) * 512);
}
END_TEST

START_TEST(meters_add_up)
{
	struct stream s = { .words = 0 };
	uint64_t busy, energy, clock;
	struct nib_completion done;

	power_on(&base);
	busy = driver_read64(d, NIB_REG_BUSY_NS);
	energy = driver_read64(d, NIB_REG_ENERGY_UJ);
	clock = driver_read64(d, NIB_REG_CLOCK_NS);
	for (unsigned int i = 0; i < 100; i++)
		stream_copy(&s, VA, NIB_FMT_U32, HOST_VA, NIB_FMT_U32, 1u << 16);
	done = run(&s);
	ck_assert_uint_eq(driver_read64(d, NIB_REG_BUSY_NS) - busy, done.end_ns - done.start_ns);
	ck_assert_uint_ge(driver_read64(d, NIB_REG_ENERGY_UJ) - energy, done.energy_pj / 1000000);
	ck_assert_uint_ge(driver_read64(d, NIB_REG_CLOCK_NS) - clock, done.end_ns - done.start_ns);
	/* Halves belong together: the low one keeps the high one. */
	clock = driver_read(d, NIB_REG_CLOCK_NS);
	clock |= (uint64_t)driver_read(d, NIB_REG_CLOCK_NS + 4) << 32;
	ck_assert_uint_ge(clock, done.end_ns);
	power_off();
}
END_TEST

START_TEST(idle_power_is_static_power)
{
	uint32_t mw;

	power_on(&base);
	driver_read(d, NIB_REG_POWER_MW);
	usleep(60000);
	mw = driver_read(d, NIB_REG_POWER_MW);
	ck_assert_msg(mw > 380 && mw < 420, "%u mW", mw);
	/* 30 degrees and 0.4 W times 8 K/W, after half a time constant and more. */
	usleep(300000);
	mw = driver_read(d, NIB_REG_TEMP_MC);
	ck_assert_msg(mw > 32500 && mw < 33250, "%u mC", mw);
	power_off();
}
END_TEST

START_TEST(work_shows_in_power_and_temperature)
{
	struct stream s = { .words = 0 };
	uint32_t idle_mc, mw;

	power_on(&base);
	idle_mc = driver_read(d, NIB_REG_TEMP_MC);
	driver_read(d, NIB_REG_POWER_MW);
	for (unsigned int i = 0; i < 300; i++)
		stream_copy(&s, VA, NIB_FMT_U32, VA + 0x400000, NIB_FMT_U32, 1u << 20);
	run(&s);
	mw = driver_read(d, NIB_REG_POWER_MW);
	/* 16 GB/s at 60 pJ/B and 0.4 W. */
	ck_assert_msg(mw > 500 && mw <= 1361, "%u mW", mw);
	ck_assert_uint_gt(driver_read(d, NIB_REG_TEMP_MC), idle_mc);
	power_off();
}
END_TEST

/* A chip with more HBM than this machine has memory works, as long as it is not touched. */
START_TEST(a_large_chip_is_sparse)
{
	struct stream s = { .words = 0 };
	uint64_t top;

	d = driver_new("maia200-class", NULL);
	driver_boot(d);
	driver_context(d, 255);
	driver_queue(d, 1, 255, 16, NIB_PRIORITY_NORMAL, 16, 1);
	top = driver_read64(d, NIB_REG_HBM_BYTES) / NIB_PAGE_2M * NIB_PAGE_2M - NIB_PAGE_2M;
	ck_assert_uint_gt(top, 200ull << 30);
	driver_map(d, 255, VA, NIB_MEM_HBM, top, NIB_PAGE_2M, NIB_PAGE_2M, NIB_PTE_WRITE);
	stream_fill(&s, VA + NIB_PAGE_2M - 4096, 1024, 1);
	stream_end(&s);
	stream_create(d, 255, 4095, &s, 0);
	driver_submit(d, 1, 4095, NULL, 0, 0);
	driver_run(d);
	ck_assert_uint_eq(driver_done(d, 1, 0)->status, NIB_DONE_OK);
	driver_free(d);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_timing");
	TCase *timing = tcase_create("timing");
	SRunner *runner;
	int failed;

	tcase_set_timeout(timing, 60);
	tcase_add_test(timing, bytes_are_booked_where_they_live);
	tcase_add_test(timing, a_copy_takes_what_the_slower_side_needs);
	tcase_add_test(timing, energy_follows_the_price_list);
	tcase_add_test(timing, the_clock_scales_time_not_bandwidth);
	tcase_add_test(timing, a_decode_gemm_is_bound_by_memory);
	tcase_add_test(timing, a_prefill_gemm_is_bound_by_compute);
	tcase_add_test(timing, idle_tiles_and_rows_cost_time);
	tcase_add_test(timing, what_faults_costs_what_was_done);
	tcase_add_loop_test(timing, more_of_a_resource_is_never_slower, 0, 8);
	tcase_add_test(timing, pages_are_counted_where_they_live);
	tcase_add_test(timing, rows_of_a_sequence_share_a_pass);
	tcase_add_test(timing, meters_add_up);
	tcase_add_test(timing, idle_power_is_static_power);
	tcase_add_test(timing, work_shows_in_power_and_temperature);
	tcase_add_test(timing, a_large_chip_is_sparse);
	suite_add_tcase(suite, timing);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
