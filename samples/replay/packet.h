/* SPDX-License-Identifier: MIT */
/*
 * Packets of a stream in a dump, as they were for a job: found by number, with the values of its
 * arguments.
 */
#ifndef REPLAY_PACKET_H
#define REPLAY_PACKET_H

#include <stdio.h>

#include "dump.h"

/* First word of a packet, or the stream's length if there is none such. */
uint32_t packet_find(const struct dump_stream *stream, uint32_t number);

/*
 * Copies a packet to NIB_MAX_PKT_WORDS words, with values in place of arguments. Returns its length
 * in words; 0: there is no such packet, or it names an argument that the job does not have.
 */
uint32_t packet_resolve(const struct dump_stream *stream, uint32_t number, const __u64 *args,
			uint32_t nargs, uint64_t *w);

/*
 * Prints packets @around a packet, as they are in the stream, and that one also as it was for the
 * job. @job may be NULL.
 */
void packet_print(FILE *f, const struct dump_stream *stream, const struct nib_dump_job *job,
		  uint32_t number, uint32_t around);

#endif
