// SPDX-License-Identifier: GPL-2.0
/*
 * The generic-netlink family "nib"; nib_netlink.yaml says what it means. Devices are found by the
 * number of their accel node.
 *
 * It exists in the initial network namespace only: devices belong to no network namespace, and what
 * happens to the jobs of one container is no business of another one's.
 */
#include <linux/pm_runtime.h>
#include <linux/xarray.h>

#include <drm/drm_file.h>

#include <net/genetlink.h>

#include "device.h"
#include "netlink.h"
#include "notify.h"
#include "sensors.h"
#include "vram.h"

/* Protects the table, and keeps a device in it from being removed while a request looks at it. */
static DEFINE_MUTEX(nib_netlink_lock);
static DEFINE_XARRAY(nib_netlink_devices);

static struct genl_family nib_netlink_family;

static u32 nib_netlink_id(struct nib_device *ndev)
{
	return ndev->drm.accel->index;
}

static u32 nib_netlink_state(struct nib_device *ndev)
{
	if (nib_device_lost(ndev))
		return NIB_DEVICE_STATE_LOST;
	return pm_runtime_suspended(&ndev->pdev->dev) ? NIB_DEVICE_STATE_SUSPENDED :
							NIB_DEVICE_STATE_READY;
}

/* --- What is told about a device. Each returns 0, or an error if the message has no room. --- */

static int nib_netlink_put_device(struct sk_buff *skb, struct nib_device *ndev, u32 unused)
{
	return nla_put_u32(skb, NIB_A_DEVICE_ID, nib_netlink_id(ndev)) ?:
	       nla_put_string(skb, NIB_A_DEVICE_PCI_ADDRESS, pci_name(ndev->pdev)) ?:
	       nla_put_string(skb, NIB_A_DEVICE_CHIP, ndev->chip) ?:
	       nla_put_string(skb, NIB_A_DEVICE_FIRMWARE, ndev->fw_version) ?:
	       nla_put_u32(skb, NIB_A_DEVICE_STATE, nib_netlink_state(ndev)) ?:
	       nla_put_uint(skb, NIB_A_DEVICE_HBM_BYTES, ndev->hbm_bytes) ?:
	       nla_put_uint(skb, NIB_A_DEVICE_SRAM_BYTES, ndev->sram_bytes);
}

static int nib_netlink_put_usage(struct sk_buff *skb, struct nib_device *ndev, u32 unused)
{
	struct nib_sample sample;
	int ret = nib_sensors_read(ndev, &sample);

	return ret ?:
	       nla_put_u32(skb, NIB_A_USAGE_ID, nib_netlink_id(ndev)) ?:
	       nla_put_u32(skb, NIB_A_USAGE_STATE, nib_netlink_state(ndev)) ?:
	       nla_put_uint(skb, NIB_A_USAGE_CLOCK_NS, sample.clock_ns) ?:
	       nla_put_uint(skb, NIB_A_USAGE_BUSY_NS, sample.busy_ns) ?:
	       nla_put_uint(skb, NIB_A_USAGE_ENERGY_UJ, sample.energy_uj) ?:
	       nla_put_u32(skb, NIB_A_USAGE_POWER_MW, sample.power_mw) ?:
	       nla_put_s32(skb, NIB_A_USAGE_TEMPERATURE_MC, sample.temp_mc) ?:
	       nla_put_uint(skb, NIB_A_USAGE_HBM_FREE, nib_hbm_available(ndev)) ?:
	       nla_put_uint(skb, NIB_A_USAGE_SRAM_FREE, nib_sram_available(ndev));
}

static const char *const nib_counter_names[] = {
	[NIB_COUNTER_FAULT] = "fault",
	[NIB_COUNTER_JOB_CANCEL] = "job-cancel",
	[NIB_COUNTER_QUEUE_KILL] = "queue-kill",
	[NIB_COUNTER_ENGINE_RESET] = "engine-reset",
	[NIB_COUNTER_FIRMWARE_REBOOT] = "firmware-reboot",
	[NIB_COUNTER_FUNCTION_RESET] = "function-reset",
	[NIB_COUNTER_WEDGE] = "wedge",
	[NIB_COUNTER_ECC_CORRECTED] = "ecc-corrected",
	[NIB_COUNTER_ECC_UNCORRECTED] = "ecc-uncorrected",
	[NIB_COUNTER_SRAM_PRESSURE] = "sram-pressure",
	[NIB_COUNTER_SRAM_SPILL] = "sram-spill",
	[NIB_COUNTER_SRAM_RESTORE] = "sram-restore",
	[NIB_COUNTER_HBM_EVICTION] = "hbm-eviction",
	[NIB_COUNTER_HBM_RESTORE] = "hbm-restore",
	[NIB_COUNTER_THRESHOLD] = "threshold",
	[NIB_COUNTER_EVENT_LOST] = "event-lost",
};

static_assert(ARRAY_SIZE(nib_counter_names) == NIB_COUNTER_MAX + 1);

static int nib_netlink_put_count(struct sk_buff *skb, struct nib_device *ndev, u32 counter,
				 u64 value)
{
	return nla_put_u32(skb, NIB_A_COUNTER_DEVICE_ID, nib_netlink_id(ndev)) ?:
	       nla_put_u32(skb, NIB_A_COUNTER_ID, counter) ?:
	       nla_put_string(skb, NIB_A_COUNTER_NAME, nib_counter_names[counter]) ?:
	       nla_put_uint(skb, NIB_A_COUNTER_VALUE, value);
}

static int nib_netlink_put_counter(struct sk_buff *skb, struct nib_device *ndev, u32 counter)
{
	return nib_netlink_put_count(skb, ndev, counter, nib_notify_read(ndev, counter));
}

static int nib_netlink_put_cleared(struct sk_buff *skb, struct nib_device *ndev, u32 counter)
{
	return nib_netlink_put_count(skb, ndev, counter, nib_notify_clear(ndev, counter));
}

static int nib_netlink_put_threshold(struct sk_buff *skb, struct nib_device *ndev, u32 sensor)
{
	struct nib_threshold threshold;

	nib_threshold_get(ndev, sensor, &threshold);
	return nla_put_u32(skb, NIB_A_THRESHOLD_DEVICE_ID, nib_netlink_id(ndev)) ?:
	       nla_put_u32(skb, NIB_A_THRESHOLD_SENSOR, sensor) ?:
	       nla_put_u32(skb, NIB_A_THRESHOLD_LIMIT, threshold.limit) ?:
	       nla_put_u8(skb, NIB_A_THRESHOLD_ABOVE, threshold.above);
}

/**
 * struct nib_netlink_kind - what can be asked for.
 * @cmd: command of the question and of the answers.
 * @id_attr: attribute with the number of the device.
 * @item_attr: attribute that says which one of the device's, or 0 if there is one only.
 * @items: how many the device has.
 * @put: writes one.
 */
struct nib_netlink_kind {
	u8 cmd;
	u16 id_attr;
	u16 item_attr;
	u32 items;
	int (*put)(struct sk_buff *skb, struct nib_device *ndev, u32 item);
};

static const struct nib_netlink_kind nib_netlink_kinds[] = {
	[NIB_CMD_DEVICE_GET] = { NIB_CMD_DEVICE_GET, NIB_A_DEVICE_ID, 0, 1,
				 nib_netlink_put_device },
	[NIB_CMD_USAGE_GET] = { NIB_CMD_USAGE_GET, NIB_A_USAGE_ID, 0, 1,
				nib_netlink_put_usage },
	[NIB_CMD_COUNTER_GET] = { NIB_CMD_COUNTER_GET, NIB_A_COUNTER_DEVICE_ID, NIB_A_COUNTER_ID,
				  NIB_COUNTER_MAX + 1, nib_netlink_put_counter },
	[NIB_CMD_COUNTER_CLEAR] = { NIB_CMD_COUNTER_CLEAR, NIB_A_COUNTER_DEVICE_ID,
				    NIB_A_COUNTER_ID, NIB_COUNTER_MAX + 1,
				    nib_netlink_put_cleared },
	[NIB_CMD_THRESHOLD_GET] = { NIB_CMD_THRESHOLD_GET, NIB_A_THRESHOLD_DEVICE_ID,
				    NIB_A_THRESHOLD_SENSOR, NIB_SENSOR_MAX + 1,
				    nib_netlink_put_threshold },
};

/* --- Requests --- */

/* Writes one answer; returns 0, or -EMSGSIZE and leaves the message as it was, or -ENODEV. */
static int nib_netlink_put(struct sk_buff *skb, const struct nib_netlink_kind *kind,
			   const struct genl_info *info, struct nib_device *ndev, u32 item,
			   int flags)
{
	void *header = genlmsg_put(skb, info->snd_portid, info->snd_seq, &nib_netlink_family,
				   flags, kind->cmd);
	int ret;

	if (!header)
		return -EMSGSIZE;
	ret = kind->put(skb, ndev, item);
	if (ret) {
		genlmsg_cancel(skb, header);
		return ret;
	}
	genlmsg_end(skb, header);
	return 0;
}

/* The device that a request is about. */
static struct nib_device *nib_netlink_find_locked(struct genl_info *info, u16 attr)
{
	struct nib_device *ndev;

	lockdep_assert_held(&nib_netlink_lock);

	if (GENL_REQ_ATTR_CHECK(info, attr))
		return ERR_PTR(-EINVAL);
	ndev = xa_load(&nib_netlink_devices, nla_get_u32(info->attrs[attr]));
	if (!ndev) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[attr], "no such device");
		return ERR_PTR(-ENODEV);
	}
	return ndev;
}

static int nib_netlink_doit(struct sk_buff *request, struct genl_info *info)
{
	const struct nib_netlink_kind *kind = &nib_netlink_kinds[info->genlhdr->cmd];
	struct nib_device *ndev;
	struct sk_buff *skb;
	u32 item = 0;
	int ret;

	if (kind->item_attr) {
		if (GENL_REQ_ATTR_CHECK(info, kind->item_attr))
			return -EINVAL;
		item = nla_get_u32(info->attrs[kind->item_attr]);
	}
	skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!skb)
		return -ENOMEM;
	mutex_lock(&nib_netlink_lock);
	ndev = nib_netlink_find_locked(info, kind->id_attr);
	ret = IS_ERR(ndev) ? PTR_ERR(ndev) : nib_netlink_put(skb, kind, info, ndev, item, 0);
	mutex_unlock(&nib_netlink_lock);
	if (ret) {
		nlmsg_free(skb);
		return ret;
	}
	return genlmsg_reply(skb, info);
}

/* Resumes at device args[0], item args[1]. */
static int nib_netlink_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct genl_info *info = genl_info_dump(cb);
	const struct nib_netlink_kind *kind = &nib_netlink_kinds[info->genlhdr->cmd];
	struct nlattr *only = kind->item_attr ? info->attrs[kind->id_attr] : NULL;
	struct nib_device *ndev;
	unsigned long id;
	int ret = 0;

	mutex_lock(&nib_netlink_lock);
	if (only && !xa_load(&nib_netlink_devices, nla_get_u32(only))) {
		NL_SET_ERR_MSG_ATTR(cb->extack, only, "no such device");
		ret = -ENODEV;
	}
	xa_for_each_start(&nib_netlink_devices, id, ndev, cb->args[0]) {
		if (ret || (only && id > nla_get_u32(only)))
			break;
		if (only && id < nla_get_u32(only))
			continue;
		/* The position holds for the device that it was noted for. */
		if (id != cb->args[0])
			cb->args[1] = 0;
		cb->args[0] = id;
		while (cb->args[1] < kind->items) {
			ret = nib_netlink_put(skb, kind, info, ndev, cb->args[1], NLM_F_MULTI);
			if (ret == -EMSGSIZE)
				break;
			/* One that goes away meanwhile has nothing to tell. */
			ret = 0;
			cb->args[1]++;
		}
	}
	mutex_unlock(&nib_netlink_lock);
	/* A message that is not empty is to be continued. */
	return ret == -EMSGSIZE && skb->len ? skb->len : ret;
}

static int nib_netlink_set_threshold(struct sk_buff *request, struct genl_info *info)
{
	struct nib_device *ndev;
	int ret;

	if (GENL_REQ_ATTR_CHECK(info, NIB_A_THRESHOLD_SENSOR) ||
	    GENL_REQ_ATTR_CHECK(info, NIB_A_THRESHOLD_LIMIT))
		return -EINVAL;
	mutex_lock(&nib_netlink_lock);
	ndev = nib_netlink_find_locked(info, NIB_A_THRESHOLD_DEVICE_ID);
	if (IS_ERR(ndev))
		ret = PTR_ERR(ndev);
	else
		ret = nib_threshold_set(ndev,
					nla_get_u32(info->attrs[NIB_A_THRESHOLD_SENSOR]),
					nla_get_u32(info->attrs[NIB_A_THRESHOLD_LIMIT]));
	mutex_unlock(&nib_netlink_lock);
	return ret;
}

/* --- Events --- */

/* The attributes that this kind of event has. */
static int nib_netlink_put_detail(struct sk_buff *skb, const struct nib_notice *notice)
{
	switch (notice->kind) {
	case NIB_EVENT_KIND_FAULT:
		return nla_put_u32(skb, NIB_A_EVENT_QUEUE, notice->queue) ?:
		       nla_put_u32(skb, NIB_A_EVENT_STATUS, notice->code) ?:
		       nla_put_uint(skb, NIB_A_EVENT_ADDRESS, notice->a);
	case NIB_EVENT_KIND_RESET:
		if (notice->queue != U32_MAX &&
		    nla_put_u32(skb, NIB_A_EVENT_QUEUE, notice->queue))
			return -EMSGSIZE;
		return nla_put_u32(skb, NIB_A_EVENT_RUNG, notice->code);
	case NIB_EVENT_KIND_ECC:
		return nla_put_u8(skb, NIB_A_EVENT_FATAL, notice->code) ?:
		       nla_put_uint(skb, NIB_A_EVENT_ADDRESS, notice->a);
	case NIB_EVENT_KIND_THRESHOLD:
		return nla_put_u32(skb, NIB_A_EVENT_SENSOR, notice->code) ?:
		       nla_put_u32(skb, NIB_A_EVENT_LIMIT, notice->limit) ?:
		       nla_put_u32(skb, NIB_A_EVENT_VALUE, notice->value) ?:
		       nla_put_u8(skb, NIB_A_EVENT_ABOVE, notice->above);
	case NIB_EVENT_KIND_SRAM_PRESSURE:
		return nla_put_uint(skb, NIB_A_EVENT_WANTED, notice->a) ?:
		       nla_put_uint(skb, NIB_A_EVENT_FREE, notice->b);
	case NIB_EVENT_KIND_LOST:
		return nla_put_uint(skb, NIB_A_EVENT_COUNT, notice->a);
	default:
		return 0;
	}
}

static int nib_netlink_put_event(struct sk_buff *skb, struct nib_device *ndev,
				 const struct nib_notice *notice)
{
	return nla_put_u32(skb, NIB_A_EVENT_DEVICE_ID, nib_netlink_id(ndev)) ?:
	       nla_put_u32(skb, NIB_A_EVENT_KIND, notice->kind) ?:
	       nla_put_uint(skb, NIB_A_EVENT_SEQ, notice->seq) ?:
	       nla_put_uint(skb, NIB_A_EVENT_TIME_NS, notice->time_ns) ?:
	       nib_netlink_put_detail(skb, notice);
}

/**
 * nib_netlink_send - send an event to whoever listens.
 * @ndev: device.
 * @notice: event.
 *
 * Sleeps. A listener whose socket is full is told so by netlink.
 */
void nib_netlink_send(struct nib_device *ndev, const struct nib_notice *notice)
{
	struct sk_buff *skb;
	void *header;

	if (!genl_has_listeners(&nib_netlink_family, &init_net, 0))
		return;
	skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!skb)
		return;
	header = genlmsg_put(skb, 0, 0, &nib_netlink_family, 0, NIB_CMD_EVENT);
	if (!header || nib_netlink_put_event(skb, ndev, notice)) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, header);
	genlmsg_multicast(&nib_netlink_family, skb, 0, 0, GFP_KERNEL);
}

/**
 * nib_netlink_add - make a device known. Paired with nib_netlink_remove().
 * @ndev: device that can be looked at.
 *
 * Returns 0 or -ENOMEM.
 */
int nib_netlink_add(struct nib_device *ndev)
{
	int ret;

	mutex_lock(&nib_netlink_lock);
	ret = xa_err(xa_store(&nib_netlink_devices, nib_netlink_id(ndev), ndev, GFP_KERNEL));
	mutex_unlock(&nib_netlink_lock);
	return ret;
}

/* Once it returns, no request looks at the device. */
void nib_netlink_remove(struct nib_device *ndev)
{
	mutex_lock(&nib_netlink_lock);
	xa_erase(&nib_netlink_devices, nib_netlink_id(ndev));
	mutex_unlock(&nib_netlink_lock);
}

/* --- The family --- */

static const struct netlink_range_validation nib_netlink_limits = { .max = S32_MAX };

/* For requests that take no attribute; without a policy any would be ignored. */
static const struct nla_policy nib_netlink_no_policy[] = {
	[1] = { .type = NLA_REJECT },
};

static const struct nla_policy nib_netlink_device_policy[] = {
	[NIB_A_DEVICE_ID] = { .type = NLA_U32 },
};

static const struct nla_policy nib_netlink_usage_policy[] = {
	[NIB_A_USAGE_ID] = { .type = NLA_U32 },
};

static const struct nla_policy nib_netlink_counter_policy[] = {
	[NIB_A_COUNTER_DEVICE_ID] = { .type = NLA_U32 },
	[NIB_A_COUNTER_ID] = NLA_POLICY_MAX(NLA_U32, NIB_COUNTER_MAX),
};

static const struct nla_policy nib_netlink_threshold_policy[] = {
	[NIB_A_THRESHOLD_DEVICE_ID] = { .type = NLA_U32 },
	[NIB_A_THRESHOLD_SENSOR] = NLA_POLICY_MAX(NLA_U32, NIB_SENSOR_MAX),
	[NIB_A_THRESHOLD_LIMIT] = NLA_POLICY_FULL_RANGE(NLA_U32, &nib_netlink_limits),
};

/* Each request takes the attributes up to @last of @table and no other. */
#define NIB_NETLINK_DO(_cmd, _doit, _table, _last, _flags) { \
	.cmd = _cmd, .doit = _doit, .policy = _table, .maxattr = _last, \
	.flags = GENL_CMD_CAP_DO | (_flags), \
}

#define NIB_NETLINK_DUMP(_cmd, _table, _last) { \
	.cmd = _cmd, .dumpit = nib_netlink_dumpit, .policy = _table, .maxattr = _last, \
	.flags = GENL_CMD_CAP_DUMP, \
}

/* By command, and for each the one that does before the one that dumps. */
static const struct genl_split_ops nib_netlink_ops[] = {
	NIB_NETLINK_DO(NIB_CMD_DEVICE_GET, nib_netlink_doit, nib_netlink_device_policy,
		       NIB_A_DEVICE_ID, 0),
	NIB_NETLINK_DUMP(NIB_CMD_DEVICE_GET, nib_netlink_no_policy, 1),
	NIB_NETLINK_DO(NIB_CMD_USAGE_GET, nib_netlink_doit, nib_netlink_usage_policy,
		       NIB_A_USAGE_ID, 0),
	NIB_NETLINK_DUMP(NIB_CMD_USAGE_GET, nib_netlink_no_policy, 1),
	NIB_NETLINK_DO(NIB_CMD_COUNTER_GET, nib_netlink_doit, nib_netlink_counter_policy,
		       NIB_A_COUNTER_ID, 0),
	NIB_NETLINK_DUMP(NIB_CMD_COUNTER_GET, nib_netlink_counter_policy,
			 NIB_A_COUNTER_DEVICE_ID),
	NIB_NETLINK_DO(NIB_CMD_COUNTER_CLEAR, nib_netlink_doit, nib_netlink_counter_policy,
		       NIB_A_COUNTER_ID, GENL_ADMIN_PERM),
	NIB_NETLINK_DO(NIB_CMD_THRESHOLD_GET, nib_netlink_doit, nib_netlink_threshold_policy,
		       NIB_A_THRESHOLD_SENSOR, 0),
	NIB_NETLINK_DUMP(NIB_CMD_THRESHOLD_GET, nib_netlink_threshold_policy,
			 NIB_A_THRESHOLD_DEVICE_ID),
	NIB_NETLINK_DO(NIB_CMD_THRESHOLD_SET, nib_netlink_set_threshold,
		       nib_netlink_threshold_policy, NIB_A_THRESHOLD_LIMIT, GENL_ADMIN_PERM),
};

/* Addresses in what others do are not for everyone. */
static const struct genl_multicast_group nib_netlink_groups[] = {
	{ .name = NIB_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

static struct genl_family nib_netlink_family __ro_after_init = {
	.name = NIB_FAMILY_NAME,
	.version = NIB_FAMILY_VERSION,
	.module = THIS_MODULE,
	.parallel_ops = true,
	.split_ops = nib_netlink_ops,
	.n_split_ops = ARRAY_SIZE(nib_netlink_ops),
	.resv_start_op = NIB_CMD_MAX + 1,
	.mcgrps = nib_netlink_groups,
	.n_mcgrps = ARRAY_SIZE(nib_netlink_groups),
};

int __init nib_netlink_init(void)
{
	return genl_register_family(&nib_netlink_family);
}

/* All devices are gone by now. */
void nib_netlink_exit(void)
{
	genl_unregister_family(&nib_netlink_family);
	xa_destroy(&nib_netlink_devices);
}
