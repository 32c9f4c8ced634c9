// SPDX-License-Identifier: MIT
/*
 * The table of passes, in order.
 */
#include "ir.h"

static const struct {
	const char *name;
	int (*run)(struct accel_compile *c);
} passes[] = {
	{ "import", ac_pass_import },	/* model file to graph */
	{ "format", ac_pass_format },	/* number formats; conversions where they meet */
	{ "fuse", ac_pass_fuse },	/* fewer and larger packets */
	{ "plan", ac_pass_plan },	/* weights section, K/V page, scratch */
	{ "code", ac_pass_code },	/* graph to stream */
};

static void dump(struct accel_compile *c, const char *name)
{
	struct ac_text text = { 0 };

	ac_text_add(&text, "after %s:\n", name);
	ac_graph_dump(c, &text);
	if (!text.failed)
		c->options.dump(c->options.user, text.data);
	ac_text_free(&text);
}

int ac_passes_run(struct accel_compile *c)
{
	const char *wanted = c->options.dump_after;
	bool known = !wanted || !strcmp(wanted, "all");
	size_t i;
	int err;

	for (i = 0; i < sizeof(passes) / sizeof(passes[0]); i++)
		known |= wanted && !strcmp(wanted, passes[i].name);
	if (!known)
		return ac_fail(&c->ctx, EINVAL,
			       "there is no pass %s (import, format, fuse, plan, code)", wanted);
	for (i = 0; i < sizeof(passes) / sizeof(passes[0]); i++) {
		err = passes[i].run(c);
		if (err)
			return err;
		if (wanted && c->options.dump &&
		    (!strcmp(wanted, "all") || !strcmp(wanted, passes[i].name)))
			dump(c, passes[i].name);
	}
	return 0;
}
