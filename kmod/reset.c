// SPDX-License-Identifier: GPL-2.0
/*
 * Resets that others order: an administrator by the function's reset file in sysfs, the PCI core
 * after errors of the link. What they do to the firmware and to memories is what a function reset
 * of our own does, see restart.c; here is only what the PCI core wants to be told. Resets that the
 * driver orders are recovery.c's.
 */
#include "device.h"
#include "fw.h"
#include "pm.h"
#include "recovery.h"

/* From here on nobody touches the device. Paired with nib_reset_end() or nib_reset_abandon(). */
static void nib_reset_begin(struct nib_device *ndev)
{
	/* Nobody uses a device that sleeps; who wakes it is to know. */
	ndev->pm.reset_asleep = ndev->pm.sleeping;
	/* One reset may come while another one goes on; there is one end. */
	if (ndev->pm.resetting || ndev->pm.sleeping)
		return;
	/* If it does not wake it is lost, and a reset does no harm. */
	ndev->pm.reset_awake = !nib_pm_get(ndev);
	nib_pm_leave(ndev, &ndev->pm.resetting);
	nib_restart_warn(ndev);
	ndev->pm.reset_at = ktime_get();
}

static void nib_reset_end(struct nib_device *ndev)
{
	int ret;

	if (!ndev->pm.resetting)
		return;
	ret = nib_device_lost(ndev) ?: nib_restart_boot(ndev, NIB_RESTART_RESET);
	if (!ret)
		nib_recovery_was_reset(ndev, ndev->pm.reset_at);
	nib_pm_come_back(ndev, &ndev->pm.resetting, ret,
			 "the firmware does not start after a reset");
	if (ndev->pm.reset_awake)
		nib_pm_put(ndev);
}

/* The reset will not end: whoever waits for the device need not wait any more. */
void nib_reset_abandon(struct nib_device *ndev)
{
	if (!ndev->pm.resetting)
		return;
	WRITE_ONCE(ndev->pm.resetting, false);
	nib_device_lose(ndev, -ENODEV, "its link does not come back");
	nib_restart_end(ndev);
	if (ndev->pm.reset_awake)
		nib_pm_put(ndev);
}

static void nib_reset_forget_state(void *state)
{
	kfree(state);
}

/**
 * nib_reset_init - keep the function's configuration for after its link has failed.
 * @ndev: device, whose interrupts are set up.
 *
 * Returns 0 or -ENOMEM.
 */
int nib_reset_init(struct nib_device *ndev)
{
	int ret = pci_save_state(ndev->pdev);

	if (ret)
		return ret;
	ndev->pci_state = pci_store_saved_state(ndev->pdev);
	if (!ndev->pci_state)
		return -ENOMEM;
	return devm_add_action_or_reset(&ndev->pdev->dev, nib_reset_forget_state,
					ndev->pci_state);
}

static void nib_reset_prepare(struct pci_dev *pdev)
{
	struct nib_device *ndev = pci_get_drvdata(pdev);

	nib_reset_begin(ndev);
	/* Its last word is on the bus before the reset. */
	nib_fw_halt(ndev);
}

static void nib_reset_done(struct pci_dev *pdev)
{
	nib_reset_end(pci_get_drvdata(pdev));
}

/* Nobody may call us about this device again. */
static pci_ers_result_t nib_reset_give_up(struct nib_device *ndev)
{
	nib_reset_abandon(ndev);
	nib_device_lose(ndev, -ENODEV, "its link has failed for good");
	return PCI_ERS_RESULT_DISCONNECT;
}

static pci_ers_result_t nib_reset_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct nib_device *ndev = pci_get_drvdata(pdev);

	switch (state) {
	case pci_channel_io_normal:
		/* A transfer was lost. If it mattered, a job has failed or is found stuck. */
		return PCI_ERS_RESULT_CAN_RECOVER;
	case pci_channel_io_frozen:
		dev_err(&pdev->dev, "the link has failed\n");
		nib_reset_begin(ndev);
		return PCI_ERS_RESULT_NEED_RESET;
	default:
		return nib_reset_give_up(ndev);
	}
}

static pci_ers_result_t nib_reset_slot_reset(struct pci_dev *pdev)
{
	struct nib_device *ndev = pci_get_drvdata(pdev);

	/* The core saves state before resets that it is asked for, not before this one. */
	if (pci_load_saved_state(pdev, ndev->pci_state))
		return nib_reset_give_up(ndev);
	pci_restore_state(pdev);
	pci_set_master(pdev);
	if (nib_device_is_gone(ndev))
		return nib_reset_give_up(ndev);
	/* Another function on the bus may have wanted it: then ours was told nothing. */
	nib_reset_begin(ndev);
	nib_reset_end(ndev);
	return nib_device_lost(ndev) ? PCI_ERS_RESULT_DISCONNECT : PCI_ERS_RESULT_RECOVERED;
}

const struct pci_error_handlers nib_reset_handlers = {
	.error_detected = nib_reset_error_detected,
	.slot_reset = nib_reset_slot_reset,
	.reset_prepare = nib_reset_prepare,
	.reset_done = nib_reset_done,
};
