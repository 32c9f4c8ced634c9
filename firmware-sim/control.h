/* SPDX-License-Identifier: MIT */
/*
 * Control of a device from outside of the machine it sits in: nib-sim --control PATH. Requests are
 * lines of one JSON object each, and so are the answers, one for one, in order.
 *
 *	{"inject": FAULT}	order a fault; see nib_fault.h, and "list" for their names
 *	    "count": N | "forever"	how often it strikes (1)
 *	    "after": N			chances that pass first (0)
 *	    "queue": Q			only there; "vector": V for interrupts, "op": NAME for
 *					messages ("queue-reset", ...)
 *	    "ms": N			how late or slow
 *	    "others": N			late-completion: until so many others were posted
 *	    "rung": NAME		stuck-packet, firmware-hang: "queue", "engine", "firmware" or
 *					"function" ends it
 *	    "field": NAME		corrupt-completion: "seqno", "status" or "phase"
 *	    "error": NAME		firmware-refused: "dma", "magic", "size", "api", "digest",
 *					"state"
 *	    "api": N			firmware-api: major version that it tells
 *	    "status": N			bad-answer: the answer
 *	    "address": N		ecc-*: HBM offset; without: whatever is read next
 *	{"random": {FAULT: P, ...}}	strike with probability P, 0 to 1, at each chance; instead of
 *	    P, {"probability": P} and what an order may have but count and after; 0 ends it
 *	    "seed": N			of the generators (1)
 *	{"clear": true}		forget all of that
 *	{"list": true}		faults: what they are, pending, how often each has struck
 *	{"status": true}	firmware, link, queues
 *	{"link": "down"|"up"}	PCIe link loss, and its return
 *	{"remove": true}	surprise removal: the process is gone at once
 *	{"quit": true}		orderly end, as by SIGTERM
 *
 * An answer is {"ok": true}, with more members for list and status, or {"error": TEXT}: then nothing
 * has happened. Lines are at most NIB_CONTROL_LINE bytes long.
 */
#ifndef NIB_CONTROL_H
#define NIB_CONTROL_H

#include <poll.h>
#include "nib_fault.h"

#define NIB_CONTROL_LINE	4096u
#define NIB_CONTROL_CLIENTS	8u
#define NIB_CONTROL_FDS		(NIB_CONTROL_CLIENTS + 1)

/* What a request asks of the process. */
enum nib_control_end {
	NIB_CONTROL_STAY,
	NIB_CONTROL_REMOVE,
	NIB_CONTROL_QUIT,
};

/**
 * nib_control_execute - one request.
 * @line: need not end in a newline or a zero.
 * @end: receives what the process is to do once the answer is out.
 *
 * Returns the answer, a string with its newline that the caller frees, or NULL without memory.
 */
char *nib_control_execute(struct nib_device *device, const char *line, size_t bytes,
			  enum nib_control_end *end);

/* --- control_socket.c: the socket, for a loop that polls --- */

struct nib_control;

/*
 * Listens at @path; a stale socket is replaced. @error receives one line. Returns 0, or -errno.
 */
int nib_control_create(const char *path, char *error, size_t error_bytes,
		       struct nib_control **control);
void nib_control_destroy(struct nib_control *control);
/* What to poll for, at most NIB_CONTROL_FDS. Returns how many. */
unsigned int nib_control_fds(const struct nib_control *control, struct pollfd *fds);
/* Serves what poll() found, for @device. Never blocks. */
enum nib_control_end nib_control_serve(struct nib_control *control, const struct pollfd *fds,
				       unsigned int count, struct nib_device *device);

/* True if a socket that is there has nobody who listens. */
bool nib_control_is_stale(const char *path);

/*
 * The other side: sends one line to @path and waits for the answer. Returns 0 and the answer, which
 * the caller frees, or -errno.
 */
int nib_control_send(const char *path, const char *line, char **answer);

#endif
