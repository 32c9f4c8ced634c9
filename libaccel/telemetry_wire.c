// SPDX-License-Identifier: MIT
/*
 * Messages of the netlink family to structs. The kernel is trusted, the sender of a message less so:
 * attributes of a wrong size are as good as missing, and what is missing is 0.
 */
#include <errno.h>

#include <netlink/attr.h>
#include <netlink/genl/genl.h>

#include "nib_netlink.h"
#include "telemetry.h"

/* More than the largest attribute of any set. */
#define ATTRS	32

struct wire {
	struct nlattr *attrs[ATTRS];
};

static int wire_read(struct nlmsghdr *header, uint8_t cmd, struct wire *wire)
{
	struct nlattr *attr;
	int left;

	memset(wire, 0, sizeof(*wire));
	if (!genlmsg_valid_hdr(header, 0) || genlmsg_hdr(header)->cmd != cmd)
		return -EPROTO;
	nla_for_each_attr(attr, genlmsg_attrdata(genlmsg_hdr(header), 0),
			  genlmsg_attrlen(genlmsg_hdr(header), 0), left)
		if (nla_type(attr) < ATTRS)
			wire->attrs[nla_type(attr)] = attr;
	return 0;
}

/* The kernel sends numbers in as many bytes as they need. */
static uint64_t wire_number(const struct wire *wire, int type)
{
	const struct nlattr *attr = wire->attrs[type];
	uint64_t wide;
	uint32_t narrow;

	switch (attr ? nla_len(attr) : 0) {
	case 1:
		return *(const uint8_t *)nla_data(attr);
	case 4:
		memcpy(&narrow, nla_data(attr), sizeof(narrow));
		return narrow;
	case 8:
		memcpy(&wide, nla_data(attr), sizeof(wide));
		return wide;
	default:
		return 0;
	}
}

static uint32_t wire_u32(const struct wire *wire, int type)
{
	return (uint32_t)wire_number(wire, type);
}

static void wire_text(const struct wire *wire, int type, char *text, size_t size)
{
	const struct nlattr *attr = wire->attrs[type];

	tele_text(text, size, attr ? nla_data(attr) : "", attr ? (size_t)nla_len(attr) : 0);
}

int tele_wire_device(struct nlmsghdr *header, struct accel_telemetry_device *device)
{
	struct wire wire;
	int ret = wire_read(header, NIB_CMD_DEVICE_GET, &wire);

	if (ret || !wire.attrs[NIB_A_DEVICE_ID])
		return -EPROTO;
	*device = (struct accel_telemetry_device){
		.struct_size = sizeof(*device),
		.id = wire_u32(&wire, NIB_A_DEVICE_ID),
		.state = wire_u32(&wire, NIB_A_DEVICE_STATE),
		.hbm_bytes = wire_number(&wire, NIB_A_DEVICE_HBM_BYTES),
		.sram_bytes = wire_number(&wire, NIB_A_DEVICE_SRAM_BYTES),
	};
	wire_text(&wire, NIB_A_DEVICE_PCI_ADDRESS, device->pci_address, sizeof(device->pci_address));
	wire_text(&wire, NIB_A_DEVICE_CHIP, device->chip, sizeof(device->chip));
	wire_text(&wire, NIB_A_DEVICE_FIRMWARE, device->firmware, sizeof(device->firmware));
	return 0;
}

int tele_wire_usage(struct nlmsghdr *header, struct accel_telemetry_usage *usage)
{
	struct wire wire;
	int ret = wire_read(header, NIB_CMD_USAGE_GET, &wire);

	if (ret || !wire.attrs[NIB_A_USAGE_ID])
		return -EPROTO;
	*usage = (struct accel_telemetry_usage){
		.struct_size = sizeof(*usage),
		.state = wire_u32(&wire, NIB_A_USAGE_STATE),
		.known = ACCEL_TELEMETRY_HAS_CLOCK | ACCEL_TELEMETRY_HAS_SENSORS,
		.clock_ns = wire_number(&wire, NIB_A_USAGE_CLOCK_NS),
		.busy_ns = wire_number(&wire, NIB_A_USAGE_BUSY_NS),
		.energy_uj = wire_number(&wire, NIB_A_USAGE_ENERGY_UJ),
		.hbm_free = wire_number(&wire, NIB_A_USAGE_HBM_FREE),
		.sram_free = wire_number(&wire, NIB_A_USAGE_SRAM_FREE),
		.power_mw = wire_u32(&wire, NIB_A_USAGE_POWER_MW),
		.temperature_mc = (int32_t)wire_u32(&wire, NIB_A_USAGE_TEMPERATURE_MC),
	};
	return 0;
}

int tele_wire_counter(struct nlmsghdr *header, struct accel_telemetry_counter *counter)
{
	struct wire wire;
	int ret = wire_read(header, NIB_CMD_COUNTER_GET, &wire);

	if (ret)
		ret = wire_read(header, NIB_CMD_COUNTER_CLEAR, &wire);
	if (ret || !wire.attrs[NIB_A_COUNTER_ID])
		return -EPROTO;
	*counter = (struct accel_telemetry_counter){
		.id = wire_u32(&wire, NIB_A_COUNTER_ID),
		.value = wire_number(&wire, NIB_A_COUNTER_VALUE),
	};
	wire_text(&wire, NIB_A_COUNTER_NAME, counter->name, sizeof(counter->name));
	return 0;
}

int tele_wire_threshold(struct nlmsghdr *header, uint32_t *limit, bool *above)
{
	struct wire wire;
	int ret = wire_read(header, NIB_CMD_THRESHOLD_GET, &wire);

	if (ret || !wire.attrs[NIB_A_THRESHOLD_LIMIT])
		return -EPROTO;
	*limit = wire_u32(&wire, NIB_A_THRESHOLD_LIMIT);
	*above = wire_u32(&wire, NIB_A_THRESHOLD_ABOVE) != 0;
	return 0;
}

static uint32_t wire_event_code(const struct wire *wire, uint32_t kind)
{
	switch (kind) {
	case NIB_EVENT_KIND_FAULT:
		return wire_u32(wire, NIB_A_EVENT_STATUS);
	case NIB_EVENT_KIND_RESET:
		return wire_u32(wire, NIB_A_EVENT_RUNG);
	case NIB_EVENT_KIND_ECC:
		return wire_u32(wire, NIB_A_EVENT_FATAL);
	case NIB_EVENT_KIND_THRESHOLD:
		return wire_u32(wire, NIB_A_EVENT_SENSOR);
	default:
		return 0;
	}
}

int tele_wire_event(struct nlmsghdr *header, struct accel_telemetry_event *event)
{
	struct wire wire;
	int ret = wire_read(header, NIB_CMD_EVENT, &wire);
	uint32_t kind;

	if (ret || !wire.attrs[NIB_A_EVENT_KIND])
		return -EPROTO;
	kind = wire_u32(&wire, NIB_A_EVENT_KIND);
	*event = (struct accel_telemetry_event){
		.struct_size = sizeof(*event),
		.device = wire_u32(&wire, NIB_A_EVENT_DEVICE_ID),
		.kind = kind,
		.seq = wire_number(&wire, NIB_A_EVENT_SEQ),
		.time_ns = wire_number(&wire, NIB_A_EVENT_TIME_NS),
		.queue = wire.attrs[NIB_A_EVENT_QUEUE] ? wire_u32(&wire, NIB_A_EVENT_QUEUE) :
							 UINT32_MAX,
		.code = wire_event_code(&wire, kind),
		.address = wire_number(&wire, NIB_A_EVENT_ADDRESS),
		.limit = wire_u32(&wire, NIB_A_EVENT_LIMIT),
		.value = wire_u32(&wire, NIB_A_EVENT_VALUE),
		.above = wire_u32(&wire, NIB_A_EVENT_ABOVE),
		.wanted = wire_number(&wire, NIB_A_EVENT_WANTED),
		.free = wire_number(&wire, NIB_A_EVENT_FREE),
		.count = wire_number(&wire, NIB_A_EVENT_COUNT),
	};
	return 0;
}
