/* SPDX-License-Identifier: MIT */
/*
 * Reads the vocabulary of a GGUF file into a tokenizer section, for tests of the tokenizer that
 * must not depend on the compiler. Trusts the file.
 */
#ifndef GGUF_VOCAB_H
#define GGUF_VOCAB_H

#include <stddef.h>

/*
 * Returns the section (free it), or NULL: *why says why. *bytes is its length.
 */
void *gguf_vocab_section(const char *path, size_t *bytes, const char **why);

#endif
