/* SPDX-License-Identifier: MIT */
/* The training loop: AdamW over rows, with threads, a schedule and a checkpoint. */
#ifndef TALE_TRAIN_H
#define TALE_TRAIN_H

#include "net.h"
#include "spm.h"

struct train_options {
	uint64_t seed;
	int steps, threads, batch; /* batch counts rows of the context length */
	float rate;
	const char *checkpoint; /* NULL for none; resumed from when it exists */
	bool log;		/* a line every hundred steps even when not on a terminal */
};

/* Trains net in place, from its initial weights or from the checkpoint. 0 or -errno. */
int train_run(struct net *net, const struct spm *spm, const struct train_options *o);

/* Compares gradients with finite differences on a tiny network. Largest relative error. */
double train_gradient_error(void);

#endif
