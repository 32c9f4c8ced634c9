/* SPDX-License-Identifier: MIT */
/* Streams: what is refused and where, that they are copied, and how long they live. */
#include "guest.h"

#define VA	0x100000000ull

static struct guest g;

static void refused(const uint64_t *words, uint32_t bytes, uint32_t code, uint32_t offset)
{
	struct nib_stream_create args;

	EXPECT(stream_create_raw(g.fd, g.vm, words, bytes, &args), -EINVAL);
	EQUAL(args.error_code, code);
	EQUAL(args.error_offset, offset);
	EQUAL(args.stream_id, 0);
}

static void refused_stream(const struct stream *s, uint32_t code, uint32_t offset)
{
	refused(s->words, s->count * 8, code, offset);
}

static void check_refused(void)
{
	struct stream s = { 0 };

	refused(s.words, 0, NIB_INVALID_SIZE, 0);
	refused(s.words, 12, NIB_INVALID_SIZE, 0);
	refused(s.words, NIB_MAX_STREAM_BYTES + 8, NIB_INVALID_SIZE, 0);

	/* A good packet, then one of unknown opcode: the offset is the second one's. */
	packet(&s, NIB_OP_NOP, 0, 0);
	packet(&s, 0x777, 0, 1, W(0));
	packet_end(&s);
	refused_stream(&s, NIB_INVALID_OPCODE, 8);
	/* Codes that are kept for links between devices. */
	s.count = 0;
	packet(&s, 0x100, 0, 0);
	refused_stream(&s, NIB_INVALID_OPCODE, 0);

	s.count = 0;
	packet(&s, NIB_OP_FILL, 0, 2, VA, W(1));
	packet_end(&s);
	refused_stream(&s, NIB_INVALID_LENGTH, 0);
	s.count = 0;
	packet(&s, NIB_OP_NOP, 0, 0);
	s.words[s.count++] = NIB_OP_FILL | 4 << 16;
	refused_stream(&s, NIB_INVALID_LENGTH, 8);
	s.count = 0;
	packet(&s, NIB_OP_FILL, 0x4, 3, VA, W(1), NIB_ARG(0, 0));
	refused_stream(&s, NIB_INVALID_ARGMASK, 0);
	s.count = 0;
	packet(&s, NIB_OP_FILL, 0x1, 3, W(0x40), W(1), W(0));
	refused_stream(&s, NIB_INVALID_ARG, 0);
	s.count = 0;
	packet(&s, NIB_OP_FILL, 0, 3, VA, W(1), 1ull << 32);
	refused_stream(&s, NIB_INVALID_RESERVED, 0);
	s.count = 0;
	packet(&s, NIB_OP_SEM, 0, 3, VA, W(1), W(3));
	refused_stream(&s, NIB_INVALID_FORMAT, 0);
	s.count = 0;
	packet_fill(&s, VA, 1ull << 40, 0);
	refused_stream(&s, NIB_INVALID_RANGE, 0);
	s.count = 0;
	packet_fill(&s, VA + 1, 1, 0);
	refused_stream(&s, NIB_INVALID_ALIGN, 0);
	s.count = 0;
	packet(&s, NIB_OP_NOP, 0, 0);
	refused_stream(&s, NIB_INVALID_END, 8);
	packet_end(&s);
	packet(&s, NIB_OP_NOP, 0, 0);
	refused_stream(&s, NIB_INVALID_END, 8);
}

static void check_errors(void)
{
	struct stream s = { 0 };
	struct nib_stream_create args;

	packet_end(&s);
	EXPECT(stream_create_raw(g.fd, 99, s.words, 8, &args), -ENOENT);
	EXPECT(stream_create_raw(g.fd, g.vm, (void *)16, 8, &args), -EFAULT);
	EXPECT(stream_destroy(g.fd, g.vm, 999), -ENOENT);
	EXPECT(stream_destroy(g.fd, 99, 1), -ENOENT);
	OK(stream_create_raw(g.fd, g.vm, s.words, 8, &args));
	CHECK(args.stream_id);
	EQUAL(args.nargs, 0);
	OK(stream_destroy(g.fd, g.vm, args.stream_id));
	EXPECT(stream_destroy(g.fd, g.vm, args.stream_id), -ENOENT);

	s.count = 0;
	packet(&s, NIB_OP_FILL, 0x3, 3, NIB_ARG(3, 0), NIB_ARG(63, -8), W(0));
	packet_end(&s);
	OK(stream_create_raw(g.fd, g.vm, s.words, s.count * 8, &args));
	EQUAL(args.nargs, 64);
	EQUAL(args.error_code, NIB_VALID);
	OK(stream_destroy(g.fd, g.vm, args.stream_id));
}

/* What is run is what was validated, whatever happens to the caller's copy. */
static void check_frozen(uint32_t *mem)
{
	struct stream s = { 0 };
	uint32_t id, done = syncobj(g.fd);

	packet_fill(&s, VA, 1, 11);
	packet_end(&s);
	id = stream_create(g.fd, g.vm, &s);
	memset(&s, 0xff, sizeof(s));
	OK(submit(g.fd, g.queue, id, done));
	/* A job in flight keeps its stream. */
	OK(stream_destroy(g.fd, g.vm, id));
	OK(syncobj_wait(g.fd, done, 20000));
	EXPECT(fence_status(g.fd, done), 1);
	EQUAL(mem[0], 11);
	EXPECT(submit(g.fd, g.queue, id, done), -ENOENT);
}

/* The largest stream, and one whose arguments all count. */
static void check_large(uint32_t *mem)
{
	uint32_t words = NIB_MAX_STREAM_BYTES / 8, i, done = syncobj(g.fd);
	uint64_t *big = malloc(NIB_MAX_STREAM_BYTES), args[64];
	struct nib_sync_op sync = { NIB_SYNC_SIGNAL, done, 0 };
	struct nib_job job = {
		.queue_id = g.queue, .nargs = 64, .args = (uintptr_t)args,
		.syncs = NIB_OBJ_ARRAY(1, &sync),
	};
	struct nib_stream_create create;
	struct stream s = { 0 };

	for (i = 0; i < words - 1; i++)
		big[i] = NIB_OP_NOP | 1 << 16;
	big[words - 1] = NIB_OP_END | 1 << 16;
	OK(stream_create_raw(g.fd, g.vm, big, NIB_MAX_STREAM_BYTES, &create));
	OK(stream_destroy(g.fd, g.vm, create.stream_id));
	free(big);

	for (i = 0; i < 64; i++) {
		args[i] = VA + 4096 + i * 4;
		packet(&s, NIB_OP_FILL, 0x1, 3, NIB_ARG(i, 256), W(1), W(1000 + i));
	}
	packet_end(&s);
	job.stream_id = stream_create(g.fd, g.vm, &s);
	OK(submit_jobs(g.fd, &job, 1));
	OK(syncobj_wait(g.fd, done, 20000));
	for (i = 0; i < 64; i++)
		EQUAL(mem[1024 + 64 + i], 1000 + i);
	job.nargs = 63;
	EXPECT(submit_jobs(g.fd, &job, 1), -EINVAL);
	job.nargs = 65;
	EXPECT(submit_jobs(g.fd, &job, 1), -EINVAL);
}

int main(void)
{
	uint32_t *mem;

	g = guest_begin();
	mem = guest_buffer(&g, VA, 64 * KIB, NIB_BO_HBM);
	check_refused();
	check_errors();
	check_frozen(mem);
	check_large(mem);
	return 0;
}
