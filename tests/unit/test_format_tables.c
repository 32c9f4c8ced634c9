// SPDX-License-Identifier: MIT
/* The code tables of uapi/arithmetic.md, entry by entry, against the decoders. */
#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/element.h"

/* The value of a code as the page prints it. */
static void entry(float (*decode)(uint32_t code), uint32_t code, const char *text)
{
	float x = decode(code);

	if (!strcmp(text, "NaN"))
		ck_assert_msg(isnan(x), "code %#x is %g, not NaN", code, (double)x);
	else if (!strcmp(text, "infinity"))
		ck_assert_msg(isinf(x) && x > 0, "code %#x is %g, not infinity", code, (double)x);
	else
		ck_assert_msg((double)x == strtod(text, NULL), "code %#x is %.17g, not %s", code,
			      (double)x, text);
}

/* Rows "| 0xNN | value | ... |" below the heading that starts with @heading. */
static void table(const char *heading, float (*decode)(uint32_t code), uint32_t codes)
{
	FILE *page = fopen("uapi/arithmetic.md", "r");
	uint32_t next = 0;
	bool here = false;
	char line[1024];

	ck_assert_ptr_nonnull(page);
	while (fgets(line, sizeof(line), page)) {
		char *save, *cell;

		if (line[0] == '#')
			here = !strncmp(line, heading, strlen(heading));
		if (!here || strncmp(line, "| 0x", 4))
			continue;
		cell = strtok_r(line, "| \n", &save);
		ck_assert_uint_eq(strtoul(cell, NULL, 0), next);
		while ((cell = strtok_r(NULL, "| \n", &save)))
			entry(decode, next++, cell);
	}
	fclose(page);
	ck_assert_uint_eq(next, codes);
}

START_TEST(tables_are_right)
{
	table("### E2M1", nib_e2m1_decode, 8);
	table("### E4M3", nib_e4m3_decode, 128);
	table("### E5M2", nib_e5m2_decode, 128);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("format_tables");
	TCase *tables = tcase_create("tables");
	SRunner *runner;
	int failed;

	tcase_add_test(tables, tables_are_right);
	suite_add_tcase(suite, tables);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
