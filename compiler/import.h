/* SPDX-License-Identifier: MIT */
/* Private to the front end: hparams.c reads parameters, import_llama.c builds the graph. */
#ifndef AC_IMPORT_H
#define AC_IMPORT_H

#include "ir.h"

/* Fill c->model from metadata; the vocabulary comes from the embedding table later. */
int ac_hparams_read(struct accel_compile *c);

#endif
