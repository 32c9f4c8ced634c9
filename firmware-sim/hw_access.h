/* SPDX-License-Identifier: MIT */
/*
 * How packets reach memory: VA ranges become host pointers, directly where the range is contiguous
 * behind the MMU, else through a bounce buffer. Private to hw_*.c.
 */
#ifndef NIB_HW_ACCESS_H
#define NIB_HW_ACCESS_H

#include "hw.h"

#define NIB_READ	1u
#define NIB_WRITE	2u

/**
 * struct nib_access - one packet at work.
 * @cost: grows with what it moves.
 * @quiet: what moves was booked before, or is booked otherwise.
 * @ecc: see nib_engine_result.
 * @trouble: what goes wrong by order; NULL for an access of the firmware's.
 * @status: NIB_ENGINE_OK until something goes wrong; the first trouble stays.
 * @fault_va: belongs to @status.
 */
struct nib_access {
	struct nib_hw *hw;
	struct nib_cost *cost;
	uint64_t root;
	uint32_t context;
	bool quiet;
	uint64_t ecc;
	struct nib_packet_trouble *trouble;
	uint32_t status;
	uint64_t fault_va;
};

/* Records trouble; always false, so that callers can return it. */
bool nib_access_fault(struct nib_access *a, uint32_t status, uint64_t va);

/*
 * Safe point of a long packet: mappings can change here. Views may be held across it only where
 * nib_hw.parks is the same behind it. False: stop, the status says why.
 */
bool nib_access_point(struct nib_access *a);
/* As above, where a packet has not begun or does not get on. */
bool nib_access_park(struct nib_access *a);

/**
 * nib_mmu_find - the contiguous range that holds @va.
 * @bytes: how far the caller needs it; the walk looks no further than this and the page.
 * @write: whether it must be writable.
 *
 * Returns NULL where there is no such mapping. Valid until the next call.
 */
const struct nib_range *nib_mmu_find(struct nib_access *a, uint64_t va, uint64_t bytes, bool write);

/**
 * nib_mem_run - pointer to the longest contiguous run from @va.
 * @access: NIB_READ, NIB_WRITE or both.
 * @run: receives its length, at least 1 and at most @bytes.
 * @mem: receives enum nib_mem.
 *
 * Returns NULL without recording a fault. Counts nothing.
 */
uint8_t *nib_mem_run(struct nib_access *a, uint64_t va, uint64_t bytes, unsigned int access,
		     uint64_t *run, unsigned int *mem);

/* As above, for all of @bytes or NULL. */
uint8_t *nib_mem_span(struct nib_access *a, uint64_t va, uint64_t bytes, unsigned int access,
		      unsigned int *mem);

/* Books @bytes as read, written or both. */
void nib_mem_count(struct nib_access *a, unsigned int mem, unsigned int access, uint64_t bytes);

/**
 * struct nib_view - a VA range as one pointer.
 */
struct nib_view {
	uint8_t *ptr;
	uint64_t va;
	uint64_t bytes;
	bool bounce;
};

/* Maps all of a range and books it; faults at the first byte that has no mapping. */
bool nib_view_map(struct nib_access *a, uint64_t va, uint64_t bytes, unsigned int access,
		  struct nib_view *view);
/* Brings back what was written to the bounce buffer. */
bool nib_view_commit(struct nib_access *a, const struct nib_view *view);

/**
 * struct nib_rows - rows at a pitch as a pointer and a host pitch.
 */
struct nib_rows {
	uint8_t *ptr;
	size_t pitch;
	uint64_t va;
	uint64_t va_pitch;
	uint64_t row_bytes;
	uint64_t rows;
	bool bounce;
};

/* How many of @rows a caller should map at once, so that bounce buffers stay small. */
uint64_t nib_rows_chunk(struct nib_access *a, uint64_t va, uint64_t pitch, uint64_t row_bytes,
			uint64_t rows, unsigned int access);
bool nib_rows_map(struct nib_access *a, uint64_t va, uint64_t pitch, uint64_t row_bytes,
		  uint64_t rows, unsigned int access, struct nib_rows *r);
bool nib_rows_commit(struct nib_access *a, const struct nib_rows *r);

/* Packets; each returns false once nib_access.status is set. @w: resolved and validated words. */
bool nib_exec_copy(struct nib_access *a, const __u64 *w);
bool nib_exec_fill(struct nib_access *a, const __u64 *w);
bool nib_exec_gather(struct nib_access *a, const __u64 *w);
bool nib_exec_kv_append(struct nib_access *a, const __u64 *w);
bool nib_exec_quant(struct nib_access *a, const __u64 *w);
bool nib_exec_gemm(struct nib_access *a, const __u64 *w);
bool nib_exec_attention(struct nib_access *a, const __u64 *w);
bool nib_exec_vec(struct nib_access *a, const __u64 *w);
bool nib_exec_sample(struct nib_access *a, const __u64 *w);
bool nib_exec_gemm_grouped(struct nib_access *a, const __u64 *w);
bool nib_exec_conv(struct nib_access *a, const __u64 *w);
bool nib_exec_conv_depthwise(struct nib_access *a, const __u64 *w);
bool nib_exec_scan(struct nib_access *a, const __u64 *w);

/**
 * nib_gemm_run - a GEMM, whatever packet it came in.
 * @p: rows, W, output, epilogue.
 * @patch: NULL: A is @p->a. Else what brings rows of A, see struct nib_gemm_patch.
 */
struct nib_gemm_patch;
bool nib_gemm_run(struct nib_access *a, const struct nib_pkt_gemm *p,
		  const struct nib_gemm_patch *patch);

/**
 * struct nib_gemm_patch - a source of rows of A that lie nowhere in memory.
 * @fill: writes @rows rows from @row on to @to, one behind the other, nib_row_bytes() each. False
 *	once nib_access.status is set.
 */
struct nib_gemm_patch {
	bool (*fill)(struct nib_access *a, const struct nib_gemm_patch *patch, uint64_t row,
		     uint64_t rows, uint8_t *to);
	const void *arg;
};

/* Address of a K/V page: entry @page of the block table of sequence @seq. */
bool nib_kv_page(struct nib_access *a, uint64_t blocks, uint64_t stride, uint32_t seq,
		 uint64_t page, uint64_t entry_va, uint64_t *va);

/* FP32 by its bits. */
static inline float nib_f32(uint32_t bits)
{
	union {
		uint32_t u;
		float f;
	} x = { .u = bits };

	return x.f;
}

#endif
