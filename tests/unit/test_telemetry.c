// SPDX-License-Identifier: MIT
/*
 * libaccel-telemetry without a driver: fdinfo as it should be and as it should not, clients in a tree
 * that looks like /proc, messages of the netlink family, arrays of callers that are older or newer.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nib_netlink.h"
#include "telemetry.h"
#include "usage.h"

static const char fdinfo[] =
	"pos:\t0\nflags:\t02100002\nmnt_id:\t20\nino:\t10\n"
	"drm-driver:\tnib\ndrm-client-id:\t7\ndrm-pdev:\t0000:00:04.0\ndrm-client-name:\tmy model\n"
	"drm-engine-npu:\t123456789012 ns\ndrm-cycles-npu:\t42\nnib-jobs-npu:\t3\n"
	"nib-energy-npu:\t5000000 uJ\ndrm-total-hbm:\t3 MiB\ndrm-shared-hbm:\t0\n"
	"drm-resident-hbm:\t1024 KiB\ndrm-purgeable-hbm:\t4096\ndrm-total-sram:\t64 KiB\n"
	"drm-total-memory:\t1 GiB\nnib-evicted-hbm:\t2 MiB\nnib-lease-hits:\t9\n"
	"nib-lease-misses:\t1\nsome-new-key:\twhat ever\n";

static int parse(const char *text, struct accel_telemetry_client *client)
{
	return tele_fdinfo_parse(text, strlen(text), client);
}

START_TEST(test_fdinfo_values)
{
	struct accel_telemetry_client c;

	ck_assert_int_eq(parse(fdinfo, &c), 0);
	ck_assert_uint_eq(c.client_id, 7);
	ck_assert_str_eq(c.pci_address, "0000:00:04.0");
	ck_assert_str_eq(c.name, "my model");
	ck_assert_uint_eq(c.busy_ns, 123456789012ull);
	ck_assert_uint_eq(c.cycles, 42);
	ck_assert_uint_eq(c.jobs, 3);
	ck_assert_uint_eq(c.energy_uj, 5000000);
	ck_assert_uint_eq(c.hbm.total, 3 << 20);
	ck_assert_uint_eq(c.hbm.resident, 1 << 20);
	ck_assert_uint_eq(c.hbm.purgeable, 4096);
	ck_assert_uint_eq(c.sram.total, 64 << 10);
	ck_assert_uint_eq(c.host.total, 1ull << 30);
	ck_assert_uint_eq(c.evicted_bytes, 2 << 20);
	ck_assert_uint_eq(c.lease_hits, 9);
	ck_assert_uint_eq(c.lease_misses, 1);
}
END_TEST

START_TEST(test_fdinfo_of_others)
{
	struct accel_telemetry_client c;

	ck_assert_int_eq(parse("", &c), -ENOENT);
	ck_assert_int_eq(parse("pos:\t0\n", &c), -ENOENT);
	ck_assert_int_eq(parse("drm-driver:\ti915\n", &c), -ENOENT);
	ck_assert_int_eq(parse("drm-driver:\tnibble\n", &c), -ENOENT);
	ck_assert_int_eq(parse("xdrm-driver:\tnib\n", &c), -ENOENT);
	/* The last line may have no end, and a text may be cut off anywhere. */
	ck_assert_int_eq(parse("drm-driver:nib", &c), 0);
	for (size_t n = 0; n < sizeof(fdinfo); n++)
		tele_fdinfo_parse(fdinfo, n, &c);
}
END_TEST

START_TEST(test_fdinfo_nonsense)
{
	struct accel_telemetry_client c;

	ck_assert_int_eq(parse("drm-driver:\tnib\n"
			       "drm-engine-npu:\t99999999999999999999999 ns\n"
			       "drm-total-hbm:\t18446744073709551615 KiB\n"
			       "drm-cycles-npu:\t-5\nnib-jobs-npu:\t\nnib-energy-npu: abc\n"
			       "drm-client-name:\t\033[31mred\033[0m\n"
			       "drm-pdev:\t0000:00:04.0-and-much-more-than-fits\n:\n::\n", &c), 0);
	ck_assert_uint_eq(c.busy_ns, 0);
	ck_assert_uint_eq(c.hbm.total, 0);
	ck_assert_uint_eq(c.cycles, 0);
	ck_assert_uint_eq(c.jobs, 0);
	ck_assert_uint_eq(c.energy_uj, 0);
	/* A terminal must not obey it. */
	ck_assert_str_eq(c.name, "?[31mred?[0m");
	ck_assert_uint_eq(strlen(c.pci_address), sizeof(c.pci_address) - 1);
}
END_TEST

/* --- A tree like /proc --- */

static char root[] = "/tmp/telemetry.XXXXXX";

__attribute__((format(printf, 1, 2)))
static char *at(const char *format, ...)
{
	static char path[2][256];
	static int which;
	va_list list;
	int n;

	which = !which;
	n = snprintf(path[which], sizeof(path[which]), "%s/", root);
	va_start(list, format);
	vsnprintf(path[which] + n, sizeof(path[which]) - (size_t)n, format, list);
	va_end(list);
	return path[which];
}

static void write_file(const char *path, const void *data, size_t bytes)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
	ck_assert_int_eq(fclose(f), 0);
}

static void make_process(int pid, const char *command)
{
	ck_assert_int_eq(mkdir(at("%d", pid), 0700), 0);
	ck_assert_int_eq(mkdir(at("%d/fd", pid), 0700), 0);
	ck_assert_int_eq(mkdir(at("%d/fdinfo", pid), 0700), 0);
	write_file(at("%d/comm", pid), command, strlen(command));
}

static void make_fd(int pid, int fd, const char *target, int client)
{
	char text[256];

	ck_assert_int_eq(symlink(target, at("%d/fd/%d", pid, fd)), 0);
	snprintf(text, sizeof(text), "drm-driver:\tnib\ndrm-pdev:\t0000:00:04.0\ndrm-client-id:\t%d\n"
		 "nib-jobs-npu:\t%d\n", client, client * 10);
	write_file(at("%d/fdinfo/%d", pid, fd), text, strlen(text));
}

START_TEST(test_clients)
{
	struct accel_telemetry_client clients[8] = { { .struct_size = sizeof(clients[0]) } };
	char command[256];

	ck_assert_ptr_nonnull(mkdtemp(root));
	make_process(100, "first\n");
	make_fd(100, 3, "/dev/accel/accel0", 1);
	make_fd(100, 4, "/dev/accel/accel0", 1);	/* the same file again */
	make_fd(100, 5, "/dev/null", 2);
	make_process(200, "se\033cond\n");
	make_fd(200, 3, "/dev/accel/accel0", 3);
	make_fd(200, 4, "/dev/accel/accel1", 4);
	make_process(300, "idle\n");
	ck_assert_int_eq(mkdir(at("sys"), 0700), 0);
	ck_assert_int_eq(tele_proc_clients(root, clients, sizeof(clients[0]), 8), 3);
	ck_assert_uint_eq(clients[0].client_id, 1);
	ck_assert_uint_eq(clients[0].pid, 100);
	ck_assert_uint_eq(clients[0].uid, getuid());
	ck_assert_str_eq(clients[0].command, "first");
	ck_assert_uint_eq(clients[0].jobs, 10);
	ck_assert_str_eq(clients[1].command, "se?cond");
	ck_assert_uint_eq(clients[2].client_id, 4);
	/* No more are written than there is room for, but all are counted. */
	memset(clients, 0xff, sizeof(clients));
	ck_assert_int_eq(tele_proc_clients(root, clients, sizeof(clients[0]), 1), 3);
	ck_assert_uint_eq(clients[1].client_id, UINT64_MAX);
	ck_assert_int_eq(tele_proc_clients(root, NULL, 0, 0), 3);
	ck_assert_int_eq(tele_proc_clients("/no/such/folder", NULL, 0, 0), -ENOENT);
	snprintf(command, sizeof(command), "rm -r %s", root);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

/* --- Messages --- */

static struct nl_msg *message(int cmd)
{
	struct nl_msg *msg = nlmsg_alloc();

	ck_assert_ptr_nonnull(genlmsg_put(msg, 0, 0, 42, 0, 0, (uint8_t)cmd, 1));
	return msg;
}

START_TEST(test_wire_usage)
{
	struct nl_msg *msg = message(NIB_CMD_USAGE_GET);
	struct accel_telemetry_usage usage;

	/* Numbers come in four or eight bytes. */
	nla_put_u32(msg, NIB_A_USAGE_ID, 3);
	nla_put_u32(msg, NIB_A_USAGE_CLOCK_NS, 5);
	nla_put_u64(msg, NIB_A_USAGE_BUSY_NS, 1ull << 40);
	nla_put_u32(msg, NIB_A_USAGE_TEMPERATURE_MC, (uint32_t)-5000);
	/* Of a size that means nothing; unknown; a nested one. */
	nla_put_u16(msg, NIB_A_USAGE_ENERGY_UJ, 7);
	nla_put_u32(msg, 31, 1);
	nla_put_u32(msg, 900, 1);
	ck_assert_int_eq(tele_wire_usage(nlmsg_hdr(msg), &usage), 0);
	ck_assert_uint_eq(usage.clock_ns, 5);
	ck_assert_uint_eq(usage.busy_ns, 1ull << 40);
	ck_assert_int_eq(usage.temperature_mc, -5000);
	ck_assert_uint_eq(usage.energy_uj, 0);
	nlmsg_free(msg);
	msg = message(NIB_CMD_USAGE_GET);
	ck_assert_int_eq(tele_wire_usage(nlmsg_hdr(msg), &usage), -EPROTO);
	nlmsg_free(msg);
	msg = message(NIB_CMD_DEVICE_GET);
	nla_put_u32(msg, NIB_A_USAGE_ID, 3);
	ck_assert_int_eq(tele_wire_usage(nlmsg_hdr(msg), &usage), -EPROTO);
	nlmsg_free(msg);
}
END_TEST

START_TEST(test_wire_device)
{
	struct nl_msg *msg = message(NIB_CMD_DEVICE_GET);
	struct accel_telemetry_device device;

	nla_put_u32(msg, NIB_A_DEVICE_ID, 1);
	nla_put_string(msg, NIB_A_DEVICE_CHIP, "a name that is much longer than any chip has");
	nla_put(msg, NIB_A_DEVICE_FIRMWARE, 3, "1.2");
	ck_assert_int_eq(tele_wire_device(nlmsg_hdr(msg), &device), 0);
	ck_assert_uint_eq(device.id, 1);
	ck_assert_uint_eq(strlen(device.chip), sizeof(device.chip) - 1);
	ck_assert_str_eq(device.firmware, "1.2");
	ck_assert_str_eq(device.pci_address, "");
	nlmsg_free(msg);
}
END_TEST

START_TEST(test_wire_event)
{
	struct nl_msg *msg = message(NIB_CMD_EVENT);
	struct accel_telemetry_event event;

	nla_put_u32(msg, NIB_A_EVENT_DEVICE_ID, 0);
	nla_put_u32(msg, NIB_A_EVENT_KIND, NIB_EVENT_KIND_FAULT);
	nla_put_u32(msg, NIB_A_EVENT_STATUS, 9);
	nla_put_u64(msg, NIB_A_EVENT_ADDRESS, 0x7770000000ull);
	nla_put_u32(msg, NIB_A_EVENT_SEQ, 12);
	ck_assert_int_eq(tele_wire_event(nlmsg_hdr(msg), &event), 0);
	ck_assert_uint_eq(event.kind, NIB_EVENT_KIND_FAULT);
	ck_assert_uint_eq(event.code, 9);
	ck_assert_uint_eq(event.address, 0x7770000000ull);
	ck_assert_uint_eq(event.seq, 12);
	ck_assert_uint_eq(event.queue, UINT32_MAX);
	nlmsg_free(msg);
}
END_TEST

/* Which attributes say more depends on the kind: code and address of one, count of the other. */
START_TEST(test_wire_event_kinds)
{
	struct nl_msg *msg = message(NIB_CMD_EVENT);
	struct accel_telemetry_event event;

	nla_put_u32(msg, NIB_A_EVENT_DEVICE_ID, 2);
	nla_put_u32(msg, NIB_A_EVENT_KIND, NIB_EVENT_KIND_ECC);
	nla_put_u8(msg, NIB_A_EVENT_FATAL, 1);
	nla_put_u32(msg, NIB_A_EVENT_ADDRESS, 0x1000);
	/* Not of this kind. */
	nla_put_u32(msg, NIB_A_EVENT_STATUS, 9);
	ck_assert_int_eq(tele_wire_event(nlmsg_hdr(msg), &event), 0);
	ck_assert_uint_eq(event.kind, NIB_EVENT_KIND_ECC);
	ck_assert_uint_eq(event.code, 1);
	ck_assert_uint_eq(event.address, 0x1000);
	nlmsg_free(msg);
	msg = message(NIB_CMD_EVENT);
	nla_put_u32(msg, NIB_A_EVENT_KIND, NIB_EVENT_KIND_LOST);
	nla_put_u64(msg, NIB_A_EVENT_COUNT, 1ull << 33);
	ck_assert_int_eq(tele_wire_event(nlmsg_hdr(msg), &event), 0);
	ck_assert_uint_eq(event.count, 1ull << 33);
	ck_assert_uint_eq(event.code, 0);
	nlmsg_free(msg);
	/* An event without a kind is none. */
	msg = message(NIB_CMD_EVENT);
	nla_put_u32(msg, NIB_A_EVENT_DEVICE_ID, 2);
	ck_assert_int_eq(tele_wire_event(nlmsg_hdr(msg), &event), -EPROTO);
	nlmsg_free(msg);
}
END_TEST

/* --- Callers of another version --- */

START_TEST(test_put)
{
	const uint64_t element[3] = { 24, 1, 2 };
	uint64_t older[4] = { 0, 0, 77, 0 }, newer[8];

	memset(newer, 0xff, sizeof(newer));
	tele_put(older, 16, 0, element, sizeof(element));
	ck_assert_uint_eq(older[0], 16);
	ck_assert_uint_eq(older[1], 1);
	ck_assert_uint_eq(older[2], 77);
	tele_put(newer, 32, 1, element, sizeof(element));
	ck_assert_uint_eq(newer[3], UINT64_MAX);
	ck_assert_uint_eq(newer[4], 32);
	ck_assert_uint_eq(newer[6], 2);
	ck_assert_uint_eq(newer[7], 0);
}
END_TEST

/* Here, where there may be no driver: nothing fails, and wrong use is said to be. */
START_TEST(test_no_driver)
{
	struct accel_telemetry_device devices[4] = { { .struct_size = sizeof(devices[0]) } };
	struct accel_telemetry_event event = { .struct_size = sizeof(event) };
	struct accel_telemetry_usage usage = { .struct_size = sizeof(usage) };
	struct accel_telemetry *t;

	ck_assert_int_eq(accel_telemetry_open(&t), 0);
	ck_assert_int_ge(accel_telemetry_device_list(t, devices, 4), 0);
	ck_assert_int_eq(accel_telemetry_usage_get(t, 4000, &usage), -ENODEV);
	ck_assert_int_eq(accel_telemetry_event_fd(t), -EINVAL);
	ck_assert_int_eq(accel_telemetry_event_next(t, &event), -EINVAL);
	ck_assert_int_ge(accel_telemetry_client_list(t, NULL, 0), 0);
	devices[0].struct_size = 1;
	ck_assert_int_eq(accel_telemetry_device_list(t, devices, 4), -EINVAL);
	accel_telemetry_close(t);
	accel_telemetry_close(NULL);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("telemetry");
	Suite *s = suite_create("telemetry");
	SRunner *sr;
	int bad;

	tcase_add_test(tc, test_fdinfo_values);
	tcase_add_test(tc, test_fdinfo_of_others);
	tcase_add_test(tc, test_fdinfo_nonsense);
	tcase_add_test(tc, test_clients);
	tcase_add_test(tc, test_wire_usage);
	tcase_add_test(tc, test_wire_device);
	tcase_add_test(tc, test_wire_event);
	tcase_add_test(tc, test_wire_event_kinds);
	tcase_add_test(tc, test_put);
	tcase_add_test(tc, test_no_driver);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
