// SPDX-License-Identifier: MIT
/* Generation: a prompt, then token after token, each picked by the device. */
#include "llm.h"

static bool is_end(const struct accel_llm *llm, uint32_t token)
{
	for (uint32_t i = 0; i < llm->n_stops; i++)
		if (llm->stops[i] == token)
			return true;
	return false;
}

static int append(struct accel_seq *seq, const uint32_t *tokens, size_t count,
		  const struct accel_sampling *sampling, uint32_t *token)
{
	struct accel_step step = {
		.seq = seq,
		.tokens = tokens,
		.count = (uint32_t)count,
		.sample = sampling,
	};
	int ret;

	if (count > UINT32_MAX)
		return accel_fail(seq->llm->device, -E2BIG, "generate: %zu tokens", count);
	ret = accel_llm_step(seq->llm, &step, 1);
	*token = step.token;
	return ret;
}

ACCEL_API long accel_generate(struct accel_seq *seq, const uint32_t *prompt, size_t count,
			      const struct accel_sampling *sampling, uint32_t max,
			      bool (*on_token)(void *user, uint32_t token), void *user)
{
	static const struct accel_sampling greedy = { 0 };
	struct accel_llm *llm = seq->llm;
	uint32_t token = seq->pending;
	long made = 0;
	int ret;

	if (!count && token == ACCEL_TOKEN_NONE)
		return accel_fail(llm->device, -EINVAL,
				  "generate: neither a prompt nor a token that "
				  "accel_generate() left to go on from");
	if (!sampling)
		sampling = &greedy;
	if (count) {
		/* What was generated last comes before the new prompt. */
		ret = token != ACCEL_TOKEN_NONE ? append(seq, &token, 1, NULL, &token) : 0;
		if (!ret)
			ret = append(seq, prompt, count, max ? sampling : NULL, &token);
	} else {
		ret = max ? append(seq, &token, 1, sampling, &token) : 0;
	}
	while (!ret && made < max) {
		made++;
		seq->pending = token;
		if ((on_token && !on_token(user, token)) || is_end(llm, token) || made == max ||
		    seq->length == llm->model.context)
			break;
		ret = append(seq, &token, 1, sampling, &token);
	}
	return ret ? ret : made;
}
