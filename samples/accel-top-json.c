// SPDX-License-Identifier: MIT
/*
 * accel-top --json. The format is described in accel-top(1); what is not known is null.
 */
#include <errno.h>
#include <jansson.h>

#include "accel-top.h"

/* Numbers of JSON are exact up to 2^53, which no counter of bytes or nanoseconds reaches soon. */
static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)(value > INT64_MAX ? INT64_MAX : value));
}

static json_t *rate(double value)
{
	return value < 0 ? json_null() : json_real(value);
}

/* Names come from other programs: what is not UTF-8 is left out. */
static json_t *text(const char *value)
{
	json_t *string = json_string(value);

	return string ? string : json_string("?");
}

static json_t *memory(const struct accel_telemetry_memory *m)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "total", number(m->total), "resident",
			 number(m->resident), "shared", number(m->shared), "purgeable",
			 number(m->purgeable));
}

static json_t *client_json(const struct top *top, const struct top_client *c)
{
	const struct accel_telemetry_client *u = &c->use;
	char user[64];
	json_t *object;

	top_user(user, sizeof(user), u->uid);
	object = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o}", "device",
			   (int)top->devices[c->device].info.id, "pid", number(u->pid), "user",
			   text(user), "command", text(u->command), "name", text(u->name), "client_id",
			   number(u->client_id));
	if (!object)
		return NULL;
	json_object_set_new(object, "busy", rate(c->busy));
	json_object_set_new(object, "busy_ns", number(u->busy_ns));
	json_object_set_new(object, "cycles", number(u->cycles));
	json_object_set_new(object, "jobs", number(u->jobs));
	json_object_set_new(object, "energy_j", json_real((double)u->energy_uj / 1e6));
	json_object_set_new(object, "power_w", rate(c->watts));
	json_object_set_new(object, "tokens", number(u->tokens));
	json_object_set_new(object, "tokens_per_s", rate(c->tokens_per_s));
	json_object_set_new(object, "joules_per_token", rate(c->joules_per_token));
	json_object_set_new(object, "hbm", memory(&u->hbm));
	json_object_set_new(object, "sram", memory(&u->sram));
	json_object_set_new(object, "host", memory(&u->host));
	json_object_set_new(object, "evicted_bytes", number(u->evicted_bytes));
	json_object_set_new(object, "restored_bytes", number(u->restored_bytes));
	json_object_set_new(object, "lease_hits", number(u->lease_hits));
	json_object_set_new(object, "lease_misses", number(u->lease_misses));
	json_object_set_new(object, "spilled_bytes", number(u->spilled_bytes));
	json_object_set_new(object, "unspilled_bytes", number(u->unspilled_bytes));
	return object;
}

static void set_usage(json_t *object, const struct top_device *d)
{
	const struct accel_telemetry_usage *u = &d->usage;
	bool clock = u->known & ACCEL_TELEMETRY_HAS_CLOCK;
	bool sensors = u->known & ACCEL_TELEMETRY_HAS_SENSORS;

	json_object_set_new(object, "busy", rate(d->busy));
	json_object_set_new(object, "clock_ns", clock ? number(u->clock_ns) : json_null());
	json_object_set_new(object, "busy_ns", clock ? number(u->busy_ns) : json_null());
	json_object_set_new(object, "hbm_bytes", clock ? number(d->info.hbm_bytes) : json_null());
	json_object_set_new(object, "hbm_free", clock ? number(u->hbm_free) : json_null());
	json_object_set_new(object, "sram_bytes", clock ? number(d->info.sram_bytes) : json_null());
	json_object_set_new(object, "sram_free", clock ? number(u->sram_free) : json_null());
	json_object_set_new(object, "energy_j",
			    sensors ? json_real((double)u->energy_uj / 1e6) : json_null());
	json_object_set_new(object, "power_w", sensors ? json_real(u->power_mw / 1e3) : json_null());
	json_object_set_new(object, "temperature_c",
			    sensors ? json_real(u->temperature_mc / 1e3) : json_null());
}

static json_t *device_json(const struct top_device *d)
{
	json_t *object, *counters = json_object();
	int i;

	for (i = 0; i < d->ncounters; i++)
		json_object_set_new(counters, d->counters[i].name, number(d->counters[i].value));
	object = json_pack("{s:i, s:o, s:o, s:o, s:s, s:o}", "id", (int)d->info.id, "pci_address",
			   text(d->info.pci_address), "chip", text(d->info.chip), "firmware",
			   text(d->info.firmware), "state", top_state(d->info.state), "counters",
			   counters);
	if (object)
		set_usage(object, d);
	return object;
}

int top_print_json(const struct top *top, FILE *out)
{
	json_t *devices = json_array(), *clients = json_array(), *root;
	int i, ret = -ENOMEM;

	for (i = 0; i < top->ndevices; i++)
		json_array_append_new(devices, device_json(&top->devices[i]));
	for (i = 0; i < top->nclients; i++)
		json_array_append_new(clients, client_json(top, &top->clients[i]));
	root = json_pack("{s:i, s:f, s:o, s:o, s:o}", "version", 1, "time_s", top->time_s,
			 "interval_s", rate(top->interval_s > 0 ? top->interval_s : TOP_UNKNOWN),
			 "devices", devices, "clients", clients);
	if (root) {
		ret = json_dumpf(root, out, JSON_COMPACT | JSON_REAL_PRECISION(9)) ? -EIO : 0;
		fputc('\n', out);
		if (fflush(out))
			ret = -errno;
		json_decref(root);
	}
	return ret;
}
