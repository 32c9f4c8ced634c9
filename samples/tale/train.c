// SPDX-License-Identifier: MIT
/*
 * Rows of a step are dealt to the threads in a fixed order and their gradients are added in a fixed
 * order, so the same seed, options and machine give the same model. A row depends only on (seed,
 * step, row): a resumed run continues as if it had not stopped.
 */
#include "train.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gemm.h"
#include "rows.h"

enum {
	ROWS_AT_ONCE = 2,
	MAX_THREADS = 64,
	STREAM_ROWS = 2,
	SAVE_EVERY = 500,
	LOG_EVERY = 100
};

static const float beta1 = 0.9f, beta2 = 0.98f, epsilon = 1e-8f, decay = 0.1f, clip = 1.0f;

struct worker {
	struct trainer *t;
	pthread_t thread;
	int index;
	struct net_work *work;
	struct rows rows;
	float *grad;
	double loss, square; /* of this step: sum of nats, squared gradient of the slice */
	long targets;
};

struct trainer {
	struct net *net;
	const struct spm *spm;
	const struct train_options *o;
	pthread_barrier_t barrier;
	struct worker worker[MAX_THREADS];
	float *m, *v;
	unsigned char *decays; /* 1 for parameters that belong to a matrix */
	int step;
	double begun, loss; /* loss: running mean in nats per token */
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

/* Linear warm-up, then a cosine down to a fiftieth. */
static float rate_at(const struct train_options *o, int step)
{
	int warm = o->steps / 20 < 300 ? o->steps / 20 + 1 : 300;
	float done;

	if (step < warm)
		return o->rate * (float)(step + 1) / (float)warm;
	done = (float)(step - warm) / (float)(o->steps - warm);
	return o->rate * (0.02f + 0.49f * (1.0f + cosf(3.14159265f * done)));
}

static void slice(const struct trainer *t, int index, size_t *from, size_t *to)
{
	size_t blocks = t->net->n_params / VEC, n = (size_t)t->o->threads, i = (size_t)index;

	*from = blocks * i / n * VEC;
	*to = blocks * (i + 1) / n * VEC;
}

static void gradient(struct worker *w)
{
	struct trainer *t = w->t;
	const struct net *net = t->net;
	int batch = t->o->batch, len = net->shape.context;
	float scale = 1.0f / (float)(batch * len);

	w->loss = 0;
	w->targets = 0;
	for (int row = w->index * ROWS_AT_ONCE; row < batch; row += t->o->threads * ROWS_AT_ONCE) {
		int n = batch - row < ROWS_AT_ONCE ? batch - row : ROWS_AT_ONCE;
		struct net_batch b;

		for (int i = 0; i < n; i++) {
			struct rng r =
				rng_from(t->o->seed, STREAM_ROWS,
					 (uint64_t)t->step * (uint64_t)batch + (uint64_t)(row + i));

			rows_fill(&w->rows, i, t->spm, &r);
		}
		b = rows_batch(&w->rows, 0, n);
		for (int i = 0; i < n * len; i++)
			w->targets += b.target[i] >= 0;
		net_forward(net, w->work, &b);
		w->loss += net_loss(net, w->work, &b, scale);
		net_backward(net, w->work, &b, w->grad);
	}
}

/* Adds up the gradients of all threads for one slice of the parameters, into thread 0's. */
static void reduce(struct worker *w)
{
	struct trainer *t = w->t;
	float *sum = t->worker[0].grad;
	size_t from, to;
	double square = 0;

	slice(t, w->index, &from, &to);
	for (size_t i = from; i < to; i += VEC) {
		vec g = *(vec *)(sum + i);

		for (int k = 1; k < t->o->threads; k++) {
			vec *other = (vec *)(t->worker[k].grad + i);

			g += *other;
			*other = (vec){0};
		}
		*(vec *)(sum + i) = g;
		square += vec_sum(g * g);
	}
	w->square = square;
}

static void update(struct worker *w)
{
	struct trainer *t = w->t;
	float rate = rate_at(t->o, t->step), *p = t->net->w, *g = t->worker[0].grad;
	float fix1 = 1.0f / (1.0f - powf(beta1, (float)(t->step + 1)));
	float fix2 = 1.0f / (1.0f - powf(beta2, (float)(t->step + 1)));
	double square = 0;
	float factor;
	size_t from, to;

	for (int k = 0; k < t->o->threads; k++)
		square += t->worker[k].square;
	factor = square > clip * clip ? clip / (float)sqrt(square) : 1.0f;
	slice(t, w->index, &from, &to);
	for (size_t i = from; i < to; i++) {
		float x = g[i] * factor;

		g[i] = 0;
		t->m[i] += (1.0f - beta1) * (x - t->m[i]);
		t->v[i] += (1.0f - beta2) * (x * x - t->v[i]);
		p[i] -= rate * (t->m[i] * fix1 / (sqrtf(t->v[i] * fix2) + epsilon) +
				(float)t->decays[i] * decay * p[i]);
	}
}

/* ---- checkpoint: shape, steps done, weights and moments ---- */

static int save(const struct trainer *t)
{
	char part[4096];
	size_t n = t->net->n_params;
	FILE *f;

	if (snprintf(part, sizeof(part), "%s.part", t->o->checkpoint) >= (int)sizeof(part))
		return -ENAMETOOLONG;
	f = fopen(part, "wb");
	if (!f)
		return -errno;
	if (fwrite(&t->net->shape, sizeof(t->net->shape), 1, f) != 1 ||
	    fwrite(&t->step, sizeof(t->step), 1, f) != 1 || fwrite(t->net->w, 4, n, f) != n ||
	    fwrite(t->m, 4, n, f) != n || fwrite(t->v, 4, n, f) != n) {
		fclose(f);
		return -EIO;
	}
	if (fclose(f) || rename(part, t->o->checkpoint))
		return -errno;
	return 0;
}

static int load(struct trainer *t)
{
	FILE *f = fopen(t->o->checkpoint, "rb");
	size_t n = t->net->n_params;
	struct net_shape shape;
	bool good;

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	good = fread(&shape, sizeof(shape), 1, f) == 1 &&
	       !memcmp(&shape, &t->net->shape, sizeof(shape)) &&
	       fread(&t->step, sizeof(t->step), 1, f) == 1 && fread(t->net->w, 4, n, f) == n &&
	       fread(t->m, 4, n, f) == n && fread(t->v, 4, n, f) == n;
	fclose(f);
	return good ? 0 : -EINVAL;
}

/* ---- the loop ---- */

static void report(struct trainer *t)
{
	double loss = 0, share;
	long targets = 0;
	bool terminal = isatty(STDERR_FILENO);
	int done = t->step + 1;

	for (int k = 0; k < t->o->threads; k++) {
		loss += t->worker[k].loss;
		targets += t->worker[k].targets;
	}
	share = done < 50 ? 1.0 / done : 0.02;
	t->loss += share * (loss / (double)targets - t->loss);
	if ((terminal && done % 10 == 0) || (t->o->log && done % LOG_EVERY == 0))
		fprintf(stderr, "%sstep %d/%d  loss %.4f  %.0f s%s", terminal ? "\r" : "", done,
			t->o->steps, t->loss, now() - t->begun, terminal ? " " : "\n");
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct trainer *t = w->t;
	int items = net_transpose_items(t->net);

	while (t->step < t->o->steps) {
		for (int i = w->index; i < items; i += t->o->threads)
			net_transpose(t->net, i);
		pthread_barrier_wait(&t->barrier);
		gradient(w);
		pthread_barrier_wait(&t->barrier);
		reduce(w);
		pthread_barrier_wait(&t->barrier);
		update(w);
		pthread_barrier_wait(&t->barrier);
		if (!w->index) {
			report(t);
			t->step++;
			if (t->o->checkpoint &&
			    (t->step % SAVE_EVERY == 0 || t->step == t->o->steps))
				save(t);
		}
		pthread_barrier_wait(&t->barrier);
	}
	return NULL;
}

static int run_threads(struct trainer *t)
{
	int n = t->o->threads, started = 1;

	if (pthread_barrier_init(&t->barrier, NULL, (unsigned)n))
		return -ENOMEM;
	for (; started < n; started++)
		if (pthread_create(&t->worker[started].thread, NULL, work, &t->worker[started]))
			return -EAGAIN; /* the caller ends the program: nobody passes the barrier */
	work(&t->worker[0]);
	for (int k = 1; k < n; k++)
		pthread_join(t->worker[k].thread, NULL);
	pthread_barrier_destroy(&t->barrier);
	for (int i = 0; i < net_transpose_items(t->net); i++)
		net_transpose(t->net, i);
	return 0;
}

static int set_up(struct trainer *t)
{
	struct net_tensor list[2 + 9 * NET_MAX_LAYERS];
	int n = net_tensors(t->net, list, 2 + 9 * NET_MAX_LAYERS);
	size_t params = t->net->n_params;

	t->m = calloc(params, sizeof(float));
	t->v = calloc(params, sizeof(float));
	t->decays = calloc(params, 1);
	if (!t->m || !t->v || !t->decays)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		memset(t->decays + list[i].offset, 1, (size_t)list[i].rows * (size_t)list[i].cols);
	for (int k = 0; k < t->o->threads; k++) {
		struct worker *w = &t->worker[k];

		w->t = t;
		w->index = k;
		w->grad = calloc(params, sizeof(float));
		w->work = net_work_new(t->net, ROWS_AT_ONCE, t->net->shape.context);
		if (!w->grad || !w->work || rows_new(&w->rows, ROWS_AT_ONCE, t->net->shape.context))
			return -ENOMEM;
	}
	return t->o->checkpoint ? load(t) : 0;
}

int train_run(struct net *net, const struct spm *spm, const struct train_options *o)
{
	struct trainer *t;
	int err;

	if (o->threads < 1 || o->threads > MAX_THREADS || o->batch < 1 || o->steps < 1)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct trainer){.net = net, .spm = spm, .o = o, .begun = now()};
	err = set_up(t);
	if (!err)
		err = run_threads(t);
	for (int k = 0; k < o->threads; k++) {
		free(t->worker[k].grad);
		net_work_free(t->worker[k].work);
		rows_free(&t->worker[k].rows);
	}
	free(t->m);
	free(t->v);
	free(t->decays);
	free(t);
	return err;
}

/* ---- finite differences ---- */

enum {
	CHECK_LEN = 64,
	CHECK_DIRECTIONS = 4
};

static double loss_at(struct net *net, struct net_work *work, const struct net_batch *b)
{
	for (int i = 0; i < net_transpose_items(net); i++)
		net_transpose(net, i);
	net_forward(net, work, b);
	return net_loss(net, work, b, 1.0f);
}

/* Slope along a random direction within one tensor, against the product with the gradient. */
static double direction_error(struct net *net, struct net_work *work, const struct net_batch *b,
			      const struct net_tensor *t, const float *grad, struct rng *r)
{
	int64_t n = (int64_t)(t->rows ? t->rows : 1) * t->cols;
	float *w = net->w + t->offset, *keep = malloc((size_t)n * sizeof(float));
	float *dir = malloc((size_t)n * sizeof(float));
	double expected = 0, norm = 0, loss[2], step;

	if (!keep || !dir)
		exit(1);
	for (int64_t i = 0; i < n; i++) {
		keep[i] = w[i];
		dir[i] = rng_normal(r);
		norm += dir[i] * dir[i];
	}
	step = 4e-3 * sqrt((double)n / norm) * (t->rows ? 1.0 / sqrt((double)t->cols) : 1.0);
	for (int side = 0; side < 2; side++) {
		for (int64_t i = 0; i < n; i++)
			w[i] = keep[i] + (float)((side ? -step : step) * dir[i]);
		loss[side] = loss_at(net, work, b);
	}
	norm = 0;
	for (int64_t i = 0; i < n; i++) {
		w[i] = keep[i];
		expected += (double)dir[i] * grad[t->offset + (size_t)i];
		norm += (double)grad[t->offset + (size_t)i] * grad[t->offset + (size_t)i];
	}
	free(keep);
	free(dir);
	return fabs((loss[0] - loss[1]) / (2 * step) - expected) / sqrt(norm);
}

double train_gradient_error(void)
{
	static const struct net_shape shape = {128, 96, 2, 4, 2, 32, 64, CHECK_LEN};
	struct net_tensor list[2 + 9 * NET_MAX_LAYERS];
	struct rng r = rng_from(7, 0, 0);
	struct rows rows;
	struct net net;
	struct net_batch b;
	struct net_work *work;
	float *grad;
	double worst = 0;
	int id[CHECK_LEN], n;

	if (net_new(&net, &shape) || rows_new(&rows, 2, CHECK_LEN))
		exit(1);
	net_init(&net, &r);
	for (size_t i = 0; i < net.n_params; i++)
		net.w[i] *= 1.0f + 0.5f * rng_normal(&r);
	for (int i = 0; i < CHECK_LEN; i++)
		id[i] = (int)rng_below(&r, 64);
	for (int row = 0; row < 2; row++)
		for (int k = 0; k < 3; k++)
			rows_add(&rows, row, id + 5 * k + row, 11 + 6 * k + 3 * row);
	work = net_work_new(&net, 2, CHECK_LEN);
	grad = calloc(net.n_params, sizeof(float));
	if (!work || !grad)
		exit(1);
	b = rows_batch(&rows, 0, 2);
	loss_at(&net, work, &b);
	net_backward(&net, work, &b, grad);
	n = net_tensors(&net, list, 2 + 9 * NET_MAX_LAYERS);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < CHECK_DIRECTIONS; k++) {
			double e = direction_error(&net, work, &b, &list[i], grad, &r);

			if (getenv("TALE_VERBOSE"))
				printf("%d %s %g\n", list[i].layer, list[i].name, e);
			worst = e > worst ? e : worst;
		}
	free(grad);
	net_work_free(work);
	rows_free(&rows);
	net_free(&net);
	return worst;
}
