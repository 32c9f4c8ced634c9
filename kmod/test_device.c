// SPDX-License-Identifier: GPL-2.0
/*
 * A device for KUnit tests; see test_device.h.
 */
#include <kunit/device.h>
#include <kunit/static_stub.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

#include <drm/drm_managed.h>

#include "test_device.h"

static const struct drm_driver nib_test_driver = {
	.driver_features = DRIVER_COMPUTE_ACCEL | DRIVER_GEM,
	.name = "nib_test",
	.desc = "device without hardware",
};

KUNIT_DEFINE_ACTION_WRAPPER(nib_test_vfree, vfree, const void *);

static void __iomem *nib_test_memory(struct kunit *test, size_t size)
{
	void *memory = vzalloc(size);

	KUNIT_ASSERT_NOT_NULL(test, memory);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, nib_test_vfree, memory), 0);
	/* On this architecture, the accessors of one work on the other. */
	return (void __iomem *)memory;
}

static int nib_test_ipc(struct nib_device *ndev, struct nib_fw_object *object, u16 op,
			const u64 *args, unsigned int nargs)
{
	return 0;
}

/**
 * nib_test_device() - make a device.
 * @test: lives as long as it.
 *
 * Return: the device; the test ends if there is none.
 */
struct nib_device *nib_test_device(struct kunit *test)
{
	struct device *dev = kunit_device_register(test, "nib_test");
	struct nib_device *ndev;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	ndev = devm_drm_dev_alloc(dev, &nib_test_driver, struct nib_device, drm);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ndev);
	ndev->regs = nib_test_memory(test, NIB_BAR_REGS_BYTES);
	ndev->window = nib_test_memory(test, NIB_TEST_HBM);
	ndev->window_bytes = NIB_TEST_HBM;
	ndev->hbm_bytes = NIB_TEST_HBM;
	KUNIT_ASSERT_EQ(test, drmm_mutex_init(&ndev->drm, &ndev->pt_lock), 0);
	KUNIT_ASSERT_EQ(test, nib_vram_init(ndev), 0);
	kunit_activate_static_stub(test, nib_ipc_create, nib_test_ipc);
	kunit_activate_static_stub(test, nib_ipc_destroy, nib_test_ipc);
	return ndev;
}

MODULE_DESCRIPTION("KUnit tests of the nib driver");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
