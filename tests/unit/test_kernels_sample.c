/* SPDX-License-Identifier: MIT */
/*
 * Sampling: every kernel table against the wording of struct nib_sample_params, odd logits, and the
 * distribution of what is drawn.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include "kernel_fixture.h"

static uint32_t sample(const struct nib_kernels *table, const float *logits, uint32_t n,
		       float temperature, uint32_t top_k, float top_p, uint64_t counter)
{
	struct nib_sample_params params = {
		.temperature = nib_bits(temperature), .top_p = nib_bits(top_p), .top_k = top_k,
		.seed = 1234567890123ull, .counter = counter,
	};
	uint32_t *scratch = fixture_alloc(8ul * n), token;

	token = table->sample(logits, n, &params, scratch);
	free(scratch);
	return token;
}

/* The wording of struct nib_sample_params, sorted by insertion. */
static uint32_t sample_expect(const float *logits, uint32_t n, float temperature, uint32_t top_k,
			      float top_p, uint64_t counter)
{
	uint32_t *order = fixture_alloc(n * 4ul), count = 0, i, j, token;
	float max, total = 0, sum = 0, run = 0, u, lane[16] = { 0 };

	for (i = 0; i < n; i++) {
		if (isnan(logits[i]))
			continue;
		for (j = count++; j > 0 && logits[order[j - 1]] < logits[i]; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
	token = count ? order[0] : 0;
	if (!count || !(temperature > 0))
		goto out;
	max = logits[order[0]];
	if (isinf(max))
		goto out;
	if (top_k) {
		count = top_k < count ? top_k : count;
		for (i = 0; i < count; i++)
			total += nib_exp((logits[order[i]] - max) / temperature);
	} else {
		for (i = 0; i < n; i++)
			lane[i % 16] += isnan(logits[i]) ? 0.0f :
					nib_exp((logits[i] - max) / temperature);
		for (i = 8; i; i /= 2)
			for (j = 0; j < i; j++)
				lane[j] += lane[j + i];
		total = lane[0];
	}
	for (i = 0; top_p < 1 && i < count; i++) {
		sum += nib_exp((logits[order[i]] - max) / temperature);
		if (sum >= top_p * total)
			count = i + 1;
	}
	sum = top_p < 1 ? sum : total;
	u = (float)(nib_philox(1234567890123ull, counter) >> 8) * 0x1p-24f;
	for (i = 0; i < count; i++) {
		run += nib_exp((logits[order[i]] - max) / temperature);
		if (run > u * sum) {
			token = order[i];
			break;
		}
	}
out:
	free(order);
	return token;
}

START_TEST(sample_tables)
{
	float logits[300];
	uint32_t round, i, t, n;

	fixture_seed(900);
	for (round = 0; round < 3000; round++) {
		float temperature = round % 5 ? 0.1f + 2 * fabsf(fixture_uniform()) : 0.0f;
		uint32_t top_k = round % 3 ? fixture_below(20) : 0, want;
		float top_p = round % 4 ? 0.01f + 0.98f * fabsf(fixture_uniform()) : 1.0f;

		n = 1 + fixture_below(299);
		for (i = 0; i < n; i++)
			logits[i] = round % 7 == 0   ? fixture_wild()
				    : round % 7 == 1 ? (float)fixture_below(4) - 1
						     : fixture_uniform() * 10;
		want = sample_expect(logits, n, temperature, top_k, top_p, round);
		CHECK_EQ(sample(&nib_kernels_scalar, logits, n, temperature, top_k, top_p, round),
			 want);
		for (t = 0; fixture_table(t); t++)
			CHECK_EQ(sample(fixture_table(t), logits, n, temperature, top_k, top_p,
					round),
				 want);
	}
}
END_TEST

static float moving[1 << 14];

/* Lowers all logits from band to band, and lifts them again. */
static void *move_logits(void *arg)
{
	atomic_bool *stop = arg;

	for (float x = 0; !atomic_load(stop); x = x < 30 ? x + 0.75f : 0)
		for (uint32_t i = 1; i < 1 << 14; i++)
			((volatile float *)moving)[i] = -x;
	return NULL;
}

/*
 * Logits that change while they are looked at give some token, and no more is written than there is
 * room for; more candidates than there are logits are as many as there are.
 */
START_TEST(sample_moving_logits)
{
	const struct nib_kernels *table = _i ? fixture_table(_i - 1) : &nib_kernels_scalar;
	const uint32_t n = 1 << 14;
	uint8_t *memory = mmap(NULL, 8ul * n + 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct nib_sample_params params = {
		.temperature = nib_bits(1.0f), .top_p = nib_bits(1.0f), .top_k = ~0u, .seed = 5,
	};
	atomic_bool stop = false;
	pthread_t thread;

	/* Behind the scratch there is nothing. */
	ck_assert(memory != MAP_FAILED && !munmap(memory + 8ul * n, 4096));
	for (uint32_t i = 0; i < n; i++)
		moving[i] = (float)(i % 97) / 7;
	for (params.counter = 0; params.counter < 20; params.counter++)
		CHECK_EQ(sample(table, moving, n, 1, ~0u, 1, params.counter),
			 sample(table, moving, n, 1, n, 1, params.counter));
	ck_assert_int_eq(pthread_create(&thread, NULL, move_logits, &stop), 0);
	for (; params.counter < 60; params.counter++)
		ck_assert_uint_lt(table->sample(moving, n, &params, memory), n);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	munmap(memory, 8ul * n);
}
END_TEST

START_TEST(sample_special)
{
	const struct nib_kernels *table = _i ? fixture_table(_i - 1) : &nib_kernels_scalar;
	const float nans[] = { NAN, NAN, NAN }, ties[] = { 1, 3, NAN, 3, 2 };
	const float zeros[] = { -0.0f, 0.0f }, inf[] = { 1, INFINITY, INFINITY };
	const float none[] = { -INFINITY, -INFINITY }, one[] = { NAN, -INFINITY, NAN };
	float temperature;

	for (temperature = 0; temperature < 2; temperature++) {
		CHECK_EQ(sample(table, nans, 3, temperature, 0, 1, 0), 0);
		CHECK_EQ(sample(table, inf, 3, temperature, 0, 1, 0), 1);
		CHECK_EQ(sample(table, none, 2, temperature, 0, 1, 0), 0);
		CHECK_EQ(sample(table, one, 3, temperature, 0, 1, 0), 1);
		CHECK_EQ(sample(table, ties, 5, temperature, 1, 1, 0), 1);
		CHECK_EQ(sample(table, zeros, 2, temperature, 1, 1, 0), 0);
	}
	CHECK_EQ(sample(table, ties, 5, -1.0f, 0, 1, 0), 1);
	CHECK_EQ(sample(table, ties, 5, NAN, 0, 1, 0), 1);
	CHECK_EQ(sample(table, ties, 5, 1, 0, 1e-9f, 0), 1);
}
END_TEST

/* Frequencies follow the softmax: chi-square of 8 tokens far below its 0.1 % point. */
START_TEST(sample_distribution)
{
	static const float logits[8] = { 0, 1, 2, -1, 0.5f, 1.5f, -2, 0.25f };
	double p[8], sum = 0, chi = 0, expected;
	uint32_t seen[8] = { 0 }, i, draws = 100000;

	for (i = 0; i < 8; i++)
		sum += p[i] = exp(logits[i] / 0.8);
	for (i = 0; i < draws; i++)
		seen[sample(nib_kernels_get(NULL), logits, 8, 0.8f, 0, 1.0f, i)]++;
	for (i = 0; i < 8; i++) {
		expected = draws * p[i] / sum;
		chi += (seen[i] - expected) * (seen[i] - expected) / expected;
	}
	CHECK_MSG(chi < 24.3, "chi-square %.1f", chi);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kernels: sampling");
	TCase *tests = tcase_create("sampling");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, sample_tables);
	tcase_add_loop_test(tests, sample_special, 0, 1 + fixture_tables());
	tcase_add_loop_test(tests, sample_moving_logits, 0, 1 + fixture_tables());
	tcase_add_test(tests, sample_distribution);
	suite_add_tcase(suite, tests);
	return fixture_run(suite);
}
