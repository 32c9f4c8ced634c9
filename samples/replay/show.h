/* SPDX-License-Identifier: MIT */
/*
 * Dumps and replays as text, and as JSON.
 */
#ifndef REPLAY_SHOW_H
#define REPLAY_SHOW_H

#include <jansson.h>
#include <stdio.h>

#include "dump.h"
#include "replay.h"

/* Two lines: what the dump is of, and why there is one. */
void show_summary(FILE *f, const struct dump *dump);
/* Everything but contents of memory. */
void show_dump(FILE *f, const struct dump *dump);
void show_result(FILE *f, const struct replay_result *result);

/* The same. NULL without memory. @result may be NULL. */
json_t *show_json(const struct dump *dump, const struct replay_result *result);

#endif
