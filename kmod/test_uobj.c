// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: copies of objects that grow, between this driver and users that are older or newer.
 */
#include <kunit/test.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "nib_drm.h"
#include "test_device.h"
#include "uobj.h"

/* An object as this driver knows it; its first version ended with @b. */
struct nib_uobj_test_object {
	u32 a;
	u32 b;
	u64 later;
};

struct nib_uobj_test {
	struct nib_device *ndev;
	u64 user;	/* two pages of the user's, and nothing behind them */
};

static int nib_uobj_test_init(struct kunit *test)
{
	struct nib_uobj_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->ndev = nib_test_device(test);
	t->user = kunit_vm_mmap(test, NULL, 0, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
				MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE_MSG(test, t->user, 0, "no user memory");
	KUNIT_ASSERT_LT(test, t->user, (u64)TASK_SIZE);
	test->priv = t;
	return 0;
}

static void nib_uobj_test_put(struct kunit *test, u64 to, const void *from, size_t size)
{
	KUNIT_ASSERT_EQ(test, copy_to_user(u64_to_user_ptr(to), from, size), 0);
}

static int nib_uobj_test_get(struct kunit *test, u64 user, u32 stride, u32 count,
			     struct nib_uobj_test_object **objects)
{
	struct nib_uobj_test *t = test->priv;
	const struct nib_obj_array array = { .stride = stride, .count = count, .array = user };

	*objects = NULL;
	return NIB_UOBJ_GET_ARRAY(&t->ndev->drm, *objects, &array, b);
}

/* Users whose objects are as long as ours, shorter, or longer with nothing new in them. */
static void nib_uobj_test_versions(struct kunit *test)
{
	const u32 strides[] = { 8, 12, 16, 24, 64 };
	struct nib_uobj_test *t = test->priv;
	struct nib_uobj_test_object *objects;
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(strides); i++) {
		KUNIT_ASSERT_EQ(test, clear_user(u64_to_user_ptr(t->user), PAGE_SIZE), 0);
		for (k = 0; k < 3; k++) {
			struct nib_uobj_test_object object = { k, 2 * k, 3 * k };

			nib_uobj_test_put(test, t->user + k * strides[i], &object,
					  min_t(size_t, strides[i], sizeof(object)));
		}
		KUNIT_ASSERT_EQ(test, nib_uobj_test_get(test, t->user, strides[i], 3, &objects), 0);
		KUNIT_ASSERT_NOT_NULL(test, objects);
		for (k = 0; k < 3; k++) {
			KUNIT_EXPECT_EQ(test, objects[k].a, k);
			KUNIT_EXPECT_EQ(test, objects[k].b, 2 * k);
			KUNIT_EXPECT_EQ(test, objects[k].later, strides[i] < 12 ? 0 : 3 * k);
		}
		kvfree(objects);
	}
}

static void nib_uobj_test_refused(struct kunit *test)
{
	struct nib_uobj_test *t = test->priv;
	const u64 end = t->user + 2 * PAGE_SIZE;
	struct nib_uobj_test_object *objects;
	const u8 one = 1;

	/* Nothing is nothing, wherever it is. */
	KUNIT_EXPECT_EQ(test, nib_uobj_test_get(test, 1, 1, 0, &objects), 0);
	KUNIT_EXPECT_NULL(test, objects);
	/* Shorter than the first version, longer than a page, too many. */
	KUNIT_EXPECT_EQ(test, nib_uobj_test_get(test, t->user, 7, 1, &objects), -EINVAL);
	KUNIT_EXPECT_EQ(test, nib_uobj_test_get(test, t->user, PAGE_SIZE + 8, 1, &objects),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, nib_uobj_test_get(test, t->user, 8, NIB_MAX_ARRAY + 1, &objects),
			-EINVAL);
	/* Something that is not known here, in the last byte of the last object. */
	nib_uobj_test_put(test, t->user + 63, &one, 1);
	KUNIT_EXPECT_EQ(test, nib_uobj_test_get(test, t->user, 32, 2, &objects), -EINVAL);
	/* Partly, and all, not there. */
	KUNIT_EXPECT_EQ(test, nib_uobj_test_get(test, end - 16, 16, 2, &objects), -EFAULT);
	KUNIT_EXPECT_EQ(test, nib_uobj_test_get(test, end - 8, 8, 2, &objects), -EFAULT);
	KUNIT_EXPECT_EQ(test, nib_uobj_test_get(test, 8, 16, 1, &objects), -EFAULT);
}

/* Answers to users with more room than we have to say, and with less. */
static void nib_uobj_test_answers(struct kunit *test)
{
	const struct nib_uobj_test_object answer = { 1, 2, 3 };
	struct nib_uobj_test *t = test->priv;
	u8 back[40], filler[40];

	memset(filler, 0xff, sizeof(filler));
	nib_uobj_test_put(test, t->user, filler, sizeof(filler));
	KUNIT_EXPECT_EQ(test, NIB_UOBJ_SET(&t->ndev->drm, t->user, 8, answer), 0);
	KUNIT_ASSERT_EQ(test, copy_from_user(back, u64_to_user_ptr(t->user), sizeof(back)), 0);
	KUNIT_EXPECT_MEMEQ(test, back, &answer, 8);
	KUNIT_EXPECT_MEMEQ(test, back + 8, filler + 8, sizeof(back) - 8);

	KUNIT_EXPECT_EQ(test, NIB_UOBJ_SET(&t->ndev->drm, t->user, 32, answer), 0);
	KUNIT_ASSERT_EQ(test, copy_from_user(back, u64_to_user_ptr(t->user), sizeof(back)), 0);
	KUNIT_EXPECT_MEMEQ(test, back, &answer, sizeof(answer));
	KUNIT_EXPECT_TRUE(test, !memchr_inv(back + sizeof(answer), 0, 32 - sizeof(answer)));
	KUNIT_EXPECT_MEMEQ(test, back + 32, filler + 32, sizeof(back) - 32);

	KUNIT_EXPECT_EQ(test, NIB_UOBJ_SET(&t->ndev->drm, t->user + 2 * PAGE_SIZE - 16, 32, answer),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, NIB_UOBJ_SET(&t->ndev->drm, t->user, PAGE_SIZE + 1, answer), -EINVAL);
}

static struct kunit_case nib_uobj_test_cases[] = {
	KUNIT_CASE(nib_uobj_test_versions),
	KUNIT_CASE(nib_uobj_test_refused),
	KUNIT_CASE(nib_uobj_test_answers),
	{}
};

static struct kunit_suite nib_uobj_test_suite = {
	.name = "nib_uobj",
	.init = nib_uobj_test_init,
	.test_cases = nib_uobj_test_cases,
};

kunit_test_suite(nib_uobj_test_suite);
