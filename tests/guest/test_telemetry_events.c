/* SPDX-License-Identifier: MIT */
/*
 * Events as libaccel-telemetry has them: memory errors, corrected and not, and SRAM that is short, with
 * what is counted of them; a device that goes and comes; and a reader who is too slow, who is told so,
 * and whose next events are the new ones.
 */
#include "fault.h"
#include "life.h"

#include <sys/socket.h>

#include "accel_telemetry.h"
#include "nib_netlink.h"

/* Corrected errors, each an event: one for each packet of a job that reads. */
#define FLOOD	200u

static struct accel_telemetry *telemetry;
static struct worker w;
static uint32_t id;

static uint64_t counter(uint32_t which)
{
	struct accel_telemetry_counter list[NIB_COUNTER_MAX + 1];
	int n = accel_telemetry_counter_list(telemetry, id, list, NIB_COUNTER_MAX + 1);

	for (int i = 0; i < n && i <= NIB_COUNTER_MAX; i++)
		if (list[i].id == which)
			return list[i].value;
	FAIL("no counter %u", which);
}

/* The next event: 1; that some were missed: -ENOBUFS. */
static int next_event(struct accel_telemetry_event *event)
{
	struct pollfd fd = { .fd = accel_telemetry_event_fd(telemetry), .events = POLLIN };
	int ret;

	do {
		event->struct_size = sizeof(*event);
		ret = accel_telemetry_event_next(telemetry, event);
		if (!ret && poll(&fd, 1, 20000) != 1)
			FAIL("no event comes");
	} while (!ret);
	CHECK(ret == 1 || ret == -ENOBUFS);
	return ret;
}

/* The next one of a kind. On the way nothing is missing. */
static struct accel_telemetry_event event_of(uint32_t kind)
{
	static uint64_t seq;
	struct accel_telemetry_event event;

	do {
		EQUAL(next_event(&event), 1);
		EQUAL(event.device, id);
		CHECK(event.time_ns <= now_ns());
		if (seq)
			EQUAL(event.seq, seq + 1);
		seq = event.seq;
	} while (event.kind != kind);
	return event;
}

static void corrected_errors_are_told(void)
{
	uint64_t before = counter(NIB_COUNTER_ECC_CORRECTED);
	struct nib_device_info info = query_device(w.fd);
	struct accel_telemetry_event event;

	control("{\"inject\":\"ecc-corrected\",\"queue\":%u,\"count\":3}", w.hw);
	for (uint32_t i = 0; i < 4; i++)
		OK(worker_run(&w, 1 + i));
	for (uint32_t i = 0; i < 3; i++) {
		event = event_of(NIB_EVENT_KIND_ECC);
		EQUAL(event.code, 0);
		CHECK(event.address < info.hbm_bytes);
	}
	EQUAL(counter(NIB_COUNTER_ECC_CORRECTED), before + 3);
}

static void an_error_that_is_not_corrected_is_told_with_its_fault(void)
{
	uint64_t before = counter(NIB_COUNTER_ECC_UNCORRECTED);
	uint64_t others = counter(NIB_COUNTER_ECC_CORRECTED);
	bool ecc = false, fault = false, reset = false;
	struct accel_telemetry_event event;

	control("{\"inject\":\"ecc-fatal\",\"queue\":%u}", w.hw);
	EXPECT(worker_run(&w, 5), -EIO);
	while (!ecc || !fault || !reset) {
		EQUAL(next_event(&event), 1);
		if (event.kind == NIB_EVENT_KIND_ECC) {
			EQUAL(event.code, 1);
			ecc = true;
		} else if (event.kind == NIB_EVENT_KIND_FAULT) {
			EQUAL(event.code, NIB_DONE_FAULT_ECC);
			fault = true;
		} else if (event.kind == NIB_EVENT_KIND_RESET) {
			EQUAL(event.code, NIB_RUNG_QUEUE);
			reset = true;
		}
	}
	EQUAL(counter(NIB_COUNTER_ECC_UNCORRECTED), before + 1);
	EQUAL(counter(NIB_COUNTER_ECC_CORRECTED), others);
	worker_new_queue(&w);
}

/* A lease that does not fit beside another one. */
static void short_sram_is_told(void)
{
	uint64_t sram = query_device(w.fd).sram_bytes & ~(64 * KIB - 1);
	uint64_t before = counter(NIB_COUNTER_SRAM_PRESSURE);
	struct accel_telemetry_event event;
	uint32_t lease, other;

	if (sram < 128 * KIB)
		return;
	OK(lease_create(w.fd, 64 * KIB, 0, &lease));
	EXPECT(lease_create(w.fd, sram, 0, &other), -ENOSPC);
	do {
		EQUAL(next_event(&event), 1);
	} while (event.kind != NIB_EVENT_KIND_SRAM_PRESSURE);
	EQUAL(event.wanted, sram);
	CHECK(event.free < sram);
	/* Once for each try. */
	CHECK(counter(NIB_COUNTER_SRAM_PRESSURE) > before);
	OK(bo_close(w.fd, lease));
}

/* The driver is unbound and bound again. */
static void a_device_goes_and_comes(void)
{
	struct accel_telemetry_event event;
	char address[64];

	guest_pci_address(w.fd, address, sizeof(address));
	munmap(w.mem, FAULT_BYTES);
	close(w.fd);
	OK(life_unbind(address));
	do {
		EQUAL(next_event(&event), 1);
	} while (event.kind != NIB_EVENT_KIND_DEVICE_REMOVE);
	EQUAL(event.device, id);
	OK(life_bind(address));
	EQUAL(next_event(&event), 1);
	EQUAL(event.kind, NIB_EVENT_KIND_DEVICE_ADD);
}

/* Nobody reads while far more is said than the socket holds. */
static void a_slow_reader_is_told(void)
{
	int fd = accel_telemetry_event_fd(telemetry), least = 1, ret;
	uint64_t before = counter(NIB_COUNTER_ECC_CORRECTED), last = 0;
	struct accel_telemetry_event event;
	unsigned int missed = 0, had = 0;
	uint64_t begin = now_ns();

	CHECK(!setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)));
	control("{\"inject\":\"ecc-corrected\",\"queue\":%u,\"count\":%u}", w.hw, FLOOD);
	for (uint32_t i = 0; i < FLOOD; i++)
		OK(worker_run(&w, i));
	/* The last of them are told after their jobs have ended. */
	while (counter(NIB_COUNTER_ECC_CORRECTED) < before + FLOOD && now_ns() - begin < 20000000000ull)
		usleep(5000);
	EQUAL(counter(NIB_COUNTER_ECC_CORRECTED), before + FLOOD);
	/* What the socket took, and that it could not take the rest. */
	do {
		event.struct_size = sizeof(event);
		ret = accel_telemetry_event_next(telemetry, &event);
		if (ret == 1) {
			CHECK(event.seq > last);
			last = event.seq;
			had++;
		} else if (ret) {
			EQUAL(ret, -ENOBUFS);
			missed++;
		}
	} while (ret);
	CHECK(missed);
	CHECK(had < FLOOD);
	printf("had %u of %u, told %u times that some are missing\n", had, FLOOD, missed);
	/* From here on it is as before: the gap shows what was missed. */
	control("{\"inject\":\"ecc-corrected\",\"queue\":%u}", w.hw);
	OK(worker_run(&w, 7));
	EQUAL(next_event(&event), 1);
	CHECK(event.kind == NIB_EVENT_KIND_ECC || event.kind == NIB_EVENT_KIND_LOST);
	CHECK(event.seq > last + 1);
}

int main(void)
{
	struct accel_telemetry_device device = { .struct_size = sizeof(device) };

	control_open();
	w = worker_begin(guest_open());
	OK(accel_telemetry_open(&telemetry));
	EQUAL(accel_telemetry_device_list(telemetry, &device, 1), 1);
	id = device.id;
	EXPECT(accel_telemetry_event_fd(telemetry), -EINVAL);
	OK(accel_telemetry_event_listen(telemetry));
	RUN(corrected_errors_are_told());
	RUN(an_error_that_is_not_corrected_is_told_with_its_fault());
	RUN(short_sram_is_told());
	RUN(a_slow_reader_is_told());
	accel_telemetry_close(telemetry);
	/* A new reader: nothing of before is in his way. */
	OK(accel_telemetry_open(&telemetry));
	OK(accel_telemetry_event_listen(telemetry));
	RUN(a_device_goes_and_comes());
	accel_telemetry_close(telemetry);
	return 0;
}
