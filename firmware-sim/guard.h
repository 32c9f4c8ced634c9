/* SPDX-License-Identifier: MIT */
/*
 * Mappings of files that belong to somebody else: he may cut the file short at any time, and the
 * next access would be a bus error. A guarded mapping becomes anonymous memory at that moment, and
 * its owner can see that it did.
 */
#ifndef NIB_GUARD_H
#define NIB_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct nib_guard;

/* Takes SIGBUS for the process; without, guards do nothing. Returns 0 or -errno. */
int nib_guard_install(void);

/* Guards [at, at + bytes), whole pages. NULL: there are too many guards; it is not guarded. */
struct nib_guard *nib_guard_add(void *at, size_t bytes);
/* Before the mapping goes. NULL is fine. */
void nib_guard_remove(struct nib_guard *guard);
/* True once what was mapped is lost. Any thread. NULL is fine. */
bool nib_guard_is_lost(const struct nib_guard *guard);

#endif
