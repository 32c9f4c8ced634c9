// SPDX-License-Identifier: GPL-2.0
/*
 * Firmware image and boot handshake. The device checks the digest; the driver checks what it needs
 * to tell a user which of the two to update.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/firmware.h>
#include <linux/module.h>

#include "device.h"
#include "fw.h"

#define NIB_FW_BOOT_TIMEOUT_MS	2000u
#define NIB_FW_HALT_TIMEOUT_MS	1000u

MODULE_FIRMWARE(NIB_FW_NAME);

static const char *nib_fw_strerror(u32 error)
{
	static const char *const text[] = {
		[NIB_FW_OK] = "no error",
		[NIB_FW_ERR_DMA] = "image or control page not readable",
		[NIB_FW_ERR_MAGIC] = "bad magic",
		[NIB_FW_ERR_SIZE] = "bad size",
		[NIB_FW_ERR_API] = "API not that of the hardware",
		[NIB_FW_ERR_DIGEST] = "bad digest",
		[NIB_FW_ERR_STATE] = "command not legal now",
	};

	return error < ARRAY_SIZE(text) ? text[error] : "unknown error";
}

static int nib_fw_check_api(struct nib_device *ndev, u32 major, u32 minor, const char *whose)
{
	if (major == NIB_FW_API_MAJOR)
		return 0;
	dev_err(&ndev->pdev->dev, "%s has API %u.%u, but this driver needs %u.x: %s\n", whose,
		major, minor, NIB_FW_API_MAJOR,
		major > NIB_FW_API_MAJOR ? "update the driver" : "update the firmware");
	return -EINVAL;
}

static int nib_fw_check(struct nib_device *ndev, const struct firmware *fw)
{
	const struct nib_fw_header *header = (const void *)fw->data;

	if (fw->size < sizeof(*header) || fw->size > NIB_FW_MAX_BYTES ||
	    header->magic != NIB_FW_MAGIC) {
		dev_err(&ndev->pdev->dev, "firmware %s is not a firmware image\n", NIB_FW_NAME);
		return -EINVAL;
	}
	if (header->header_bytes < sizeof(*header) || header->header_bytes > fw->size ||
	    header->image_bytes != fw->size) {
		dev_err(&ndev->pdev->dev, "firmware %s is damaged: %zu bytes, its header says %u\n",
			NIB_FW_NAME, fw->size, header->image_bytes);
		return -EINVAL;
	}
	return nib_fw_check_api(ndev, header->api_major, header->api_minor,
				"firmware " NIB_FW_NAME);
}

/* Waits until the firmware leaves @state; returns the new one, or ~0 if the device is gone. */
static u32 nib_fw_wait(struct nib_device *ndev, u32 state, unsigned int timeout_ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(timeout_ms);
	u32 now;

	do {
		now = nib_read(ndev, NIB_REG_FW_STATE);
		if (now != state)
			break;
		usleep_range(200, 1000);
	} while (time_before(jiffies, end));
	return now;
}

static int nib_fw_start(struct nib_device *ndev)
{
	u32 state;

	nib_writeq(ndev, NIB_REG_FW_ADDR, ndev->fw_dma);
	nib_write(ndev, NIB_REG_FW_BYTES, ndev->fw_size);
	nib_writeq(ndev, NIB_REG_CTRL_ADDR, ndev->ipc.ctrl_dma);
	nib_write(ndev, NIB_REG_FW_COMMAND, NIB_FW_BOOT);

	/* A device that has not even looked at the command is OFF. */
	state = nib_fw_wait(ndev, NIB_FW_OFF, NIB_FW_BOOT_TIMEOUT_MS);
	if (state == NIB_FW_BOOTING)
		state = nib_fw_wait(ndev, NIB_FW_BOOTING, NIB_FW_BOOT_TIMEOUT_MS);
	if (state == NIB_FW_READY)
		return 0;
	if (state == U32_MAX) {
		dev_err(&ndev->pdev->dev, "device vanished while its firmware booted\n");
		return -ENODEV;
	}
	if (state == NIB_FW_FAILED)
		dev_err(&ndev->pdev->dev, "firmware did not boot: %s\n",
			nib_fw_strerror(nib_read(ndev, NIB_REG_FW_ERROR)));
	else
		dev_err(&ndev->pdev->dev, "firmware did not boot: state %u\n", state);
	return -EIO;
}

static int nib_fw_read_version(struct nib_device *ndev)
{
	ndev->fw_api = nib_read(ndev, NIB_REG_FW_API);
	nib_device_read_string(ndev, NIB_REG_FW_VERSION, ndev->fw_version);
	return nib_fw_check_api(ndev, ndev->fw_api >> 16, ndev->fw_api & 0xffff,
				"running firmware");
}

/* A driver before us, perhaps one that crashed, may have left firmware running. */
static int nib_fw_stop_old(struct nib_device *ndev)
{
	u32 state = nib_read(ndev, NIB_REG_FW_STATE);

	if (state == NIB_FW_OFF)
		return 0;
	nib_write(ndev, NIB_REG_RESET, NIB_RESET_FUNCTION);
	state = nib_fw_wait(ndev, state, NIB_FW_HALT_TIMEOUT_MS);
	if (state == NIB_FW_OFF)
		return 0;
	dev_err(&ndev->pdev->dev, "device does not reset: firmware state %u\n", state);
	return -EIO;
}

/**
 * nib_fw_load - find the firmware and have it ready for nib_fw_boot().
 * @ndev: device.
 *
 * It stays in memory as long as the driver is bound: a device that has to start again cannot wait
 * for a file. A firmware that runs already is stopped. Returns 0; -ENOENT without an image; -EINVAL
 * for a wrong one; -EIO, -ENOMEM.
 */
int nib_fw_load(struct nib_device *ndev)
{
	struct device *dev = &ndev->pdev->dev;
	const struct firmware *fw;
	int ret;

	ret = request_firmware(&fw, NIB_FW_NAME, dev);
	if (ret) {
		dev_err(dev, "firmware %s not found (%d)\n", NIB_FW_NAME, ret);
		return ret;
	}
	ret = nib_fw_check(ndev, fw);
	if (ret)
		goto out_release;
	ndev->fw_size = fw->size;
	ndev->fw_image = dmam_alloc_coherent(dev, fw->size, &ndev->fw_dma, GFP_KERNEL);
	if (ndev->fw_image)
		memcpy(ndev->fw_image, fw->data, fw->size);
	ret = ndev->fw_image ? nib_fw_stop_old(ndev) : -ENOMEM;
out_release:
	release_firmware(fw);
	return ret;
}

/**
 * nib_fw_boot - start the firmware. Paired with nib_fw_halt().
 * @ndev: device; the image is loaded, the control page exists, vector 0 is live.
 *
 * Waits for the device, allocates nothing. Returns 0, -EINVAL for a firmware whose API is not ours,
 * -EIO or -ENODEV.
 */
int nib_fw_boot(struct nib_device *ndev)
{
	int ret = nib_fw_start(ndev);

	if (!ret)
		ret = nib_fw_read_version(ndev);
	if (ret)
		nib_fw_halt(ndev);
	return ret;
}

/* Stops the device: it forgets all queues and no longer touches host memory. */
void nib_fw_halt(struct nib_device *ndev)
{
	u32 state;

	if (nib_device_is_gone(ndev))
		return;
	nib_write(ndev, NIB_REG_FW_COMMAND, NIB_FW_HALT);
	state = nib_fw_wait(ndev, NIB_FW_READY, NIB_FW_HALT_TIMEOUT_MS);
	if (state == NIB_FW_READY)
		dev_warn(&ndev->pdev->dev, "firmware does not halt\n");
}
