// SPDX-License-Identifier: MIT
/*
 * Compares logits with a reference case of the shared test data: mean Kullback-Leibler divergence
 * from the reference's distribution to ours, and how often both prefer the same token.
 *
 *	kld --tokens CASE_DIR			prints its sequences, one a line
 *	kld CASE_DIR LOGITS.npy			prints "kld X top1 Y positions N"
 *
 * A case has case.json with sequences[].tokens, and logits_N.npy: float32 [tokens][vocabulary].
 */
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct npy {
	float *data;
	size_t rows;
	size_t cols;
};

static void die(const char *what, const char *name)
{
	fprintf(stderr, "kld: %s: %s\n", name, what);
	exit(2);
}

/* Two-dimensional little-endian float32 in C order, which is what both sides write. */
static struct npy npy_read(const char *path)
{
	unsigned char head[10];
	struct npy npy = { 0 };
	char *text, *shape;
	size_t length;
	FILE *f = fopen(path, "rb");

	if (!f)
		die("cannot open", path);
	if (fread(head, 1, 10, f) != 10 || memcmp(head, "\x93NUMPY\x01", 7))
		die("not an npy file of version 1", path);
	length = head[8] | head[9] << 8;
	text = calloc(1, length + 1);
	if (!text || fread(text, 1, length, f) != length)
		die("short header", path);
	shape = strstr(text, "'shape': (");
	if (!strstr(text, "'<f4'") || !strstr(text, "'fortran_order': False") || !shape ||
	    sscanf(shape, "'shape': (%zu, %zu", &npy.rows, &npy.cols) != 2)
		die("not a float32 matrix in C order", path);
	if (!npy.rows || !npy.cols || npy.rows > (1 << 24) / npy.cols * 64)
		die("shape out of range", path);
	npy.data = malloc(npy.rows * npy.cols * sizeof(float));
	if (!npy.data || fread(npy.data, npy.cols * sizeof(float), npy.rows, f) != npy.rows)
		die("short data", path);
	free(text);
	fclose(f);
	return npy;
}

/* log of the sum of exponentials, and the index of the largest. */
static double log_sum_exp(const float *x, size_t n, size_t *top)
{
	double max = -INFINITY, sum = 0;

	for (size_t i = 0; i < n; i++) {
		if (x[i] > max) {
			max = x[i];
			*top = i;
		}
	}
	for (size_t i = 0; i < n; i++)
		sum += exp(x[i] - max);
	return max + log(sum);
}

static double row_kld(const float *ref, const float *our, size_t n, bool *same)
{
	size_t top_ref = 0, top_our = 0;
	double lr = log_sum_exp(ref, n, &top_ref), lo = log_sum_exp(our, n, &top_our), kld = 0;

	for (size_t i = 0; i < n; i++)
		kld += exp(ref[i] - lr) * ((ref[i] - lr) - (our[i] - lo));
	*same = top_ref == top_our;
	return kld;
}

static json_t *case_sequences(const char *dir)
{
	char path[4096];
	json_error_t error;
	json_t *root, *sequences;

	snprintf(path, sizeof(path), "%s/case.json", dir);
	root = json_load_file(path, 0, &error);
	if (!root)
		die(error.text, path);
	sequences = json_object_get(root, "sequences");
	if (!json_is_array(sequences))
		die("no sequences", path);
	return sequences;
}

static int print_tokens(const char *dir)
{
	json_t *sequence, *token;
	size_t i, j;

	json_array_foreach(case_sequences(dir), i, sequence) {
		json_array_foreach(json_object_get(sequence, "tokens"), j, token)
			printf("%s%lld", j ? " " : "", json_integer_value(token));
		putchar('\n');
	}
	return 0;
}

static int compare(const char *dir, const char *logits)
{
	struct npy our = npy_read(logits);
	size_t row = 0, same = 0, count = json_array_size(case_sequences(dir));
	double sum = 0;

	for (size_t s = 0; s < count; s++) {
		char path[4096];
		struct npy ref;

		snprintf(path, sizeof(path), "%s/logits_%zu.npy", dir, s);
		ref = npy_read(path);
		if (ref.cols != our.cols || row + ref.rows > our.rows)
			die("fewer logits than the reference has", logits);
		for (size_t i = 0; i < ref.rows; i++, row++) {
			bool agree;

			sum += row_kld(ref.data + i * ref.cols, our.data + row * our.cols, our.cols,
				       &agree);
			same += agree;
		}
		free(ref.data);
	}
	if (row != our.rows)
		die("more logits than the reference has", logits);
	printf("kld %.4e top1 %.4f positions %zu\n", sum / row, (double)same / row, row);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--tokens"))
		return print_tokens(argv[2]);
	if (argc == 3)
		return compare(argv[1], argv[2]);
	fprintf(stderr, "usage: kld --tokens CASE_DIR | kld CASE_DIR LOGITS.npy\n");
	return 2;
}
