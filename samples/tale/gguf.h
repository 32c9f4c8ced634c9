/* SPDX-License-Identifier: MIT */
/*
 * A model with its vocabulary as a GGUF file, version 3. The reader takes back what the writer
 * writes and is not a general one: the runtime of the project has that.
 */
#ifndef TALE_GGUF_H
#define TALE_GGUF_H

#include "net.h"
#include "spm.h"

/* Matrices are stored as F16, vectors as F32. 0 or -errno. */
int tale_gguf_write(const char *path, const struct net *net, const struct spm *spm);

/* Fills net (weights and transposed copies) and spm. 0, -errno, or -EINVAL for a foreign file. */
int tale_gguf_read(const char *path, struct net *net, struct spm *spm);

#endif
