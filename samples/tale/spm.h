/* SPDX-License-Identifier: MIT */
/*
 * A SentencePiece-style vocabulary: pieces with scores, U+2581 for the space, single digits and a
 * token for every byte. Encoding is the algorithm that readers of a GGUF file with
 * tokenizer.ggml.model = "llama" use: join the adjacent pair with the highest score, leftmost
 * first, until no pair is a piece; bytes stand in for what no piece covers.
 */
#ifndef TALE_SPM_H
#define TALE_SPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SPM_PIECE_MAX = 32,
	SPM_VOCAB_MAX = 4096
};
enum {
	SPM_UNK = 0,
	SPM_BOS = 1,
	SPM_EOS = 2,
	SPM_BYTE0 = 3,
	SPM_FIRST_PIECE = 259
};
enum spm_type {
	SPM_NORMAL = 1,
	SPM_UNKNOWN = 2,
	SPM_CONTROL = 3,
	SPM_BYTE = 6
};

struct spm_token {
	char text[SPM_PIECE_MAX];
	float score;
	int32_t type;
};

struct spm {
	int n;
	struct spm_token *token;
	int *slot; /* hash of text to id, -1 when free */
	uint32_t slots;
};

/* Learns vocab pieces from counted text. 0, -ENOMEM, or -EINVAL when the text is too poor. */
int spm_train(struct spm *s, const char *text, size_t n, int vocab);

/* For a reader: s->n and s->token are filled, this builds the rest. 0 or -ENOMEM. */
int spm_index(struct spm *s);
void spm_free(struct spm *s);

/* Ids of text with the space prefix and no BOS; at most max of them. Returns how many. */
int spm_encode(const struct spm *s, const char *text, int *id, int max);

/* Appends the bytes of one token to out (room for SPM_PIECE_MAX). Returns how many bytes. */
int spm_decode(const struct spm *s, int id, char *out);
bool spm_is_digit(const struct spm *s, int id);

#endif
