// SPDX-License-Identifier: MIT
/*
 * accel-top: samples, and rates from two of them.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accel-top.h"

const char *const top_sort_names[TOP_SORTS] = { "busy", "hbm", "sram", "energy", "pid" };

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- Devices --- */

static struct top_device *find_device(struct top_device *devices, int count, const char *address)
{
	int i;

	for (i = 0; i < count; i++)
		if (!strcmp(devices[i].info.pci_address, address))
			return &devices[i];
	return NULL;
}

static void remember(struct top_device *d)
{
	double hbm = d->info.hbm_bytes ?
			     1.0 - (double)d->usage.hbm_free / (double)d->info.hbm_bytes : 0;

	d->history[d->nhistory % TOP_HISTORY] = (float)(d->busy < 0 ? 0 : d->busy);
	d->hbm_history[d->nhistory % TOP_HISTORY] = (float)hbm;
	d->nhistory++;
}

static void sample_device(struct top *top, struct top_device *d, const struct top_device *last)
{
	int n;

	d->usage.struct_size = sizeof(d->usage);
	if (accel_telemetry_usage_get(top->telemetry, d->info.id, &d->usage))
		d->usage = (struct accel_telemetry_usage){ .struct_size = sizeof(d->usage) };
	n = accel_telemetry_counter_list(top->telemetry, d->info.id, d->counters, TOP_COUNTERS);
	d->ncounters = n < 0 ? 0 : n < TOP_COUNTERS ? n : TOP_COUNTERS;
	d->busy = TOP_UNKNOWN;
	if (!last)
		return;
	memcpy(d->history, last->history, sizeof(d->history));
	memcpy(d->hbm_history, last->hbm_history, sizeof(d->hbm_history));
	d->nhistory = last->nhistory;
	if (d->usage.clock_ns > last->usage.clock_ns && d->usage.busy_ns >= last->usage.busy_ns)
		d->busy = (double)(d->usage.busy_ns - last->usage.busy_ns) /
			  (double)(d->usage.clock_ns - last->usage.clock_ns);
	/* The two were not read at the same instant. */
	if (d->busy > 1)
		d->busy = 1;
	remember(d);
}

static int sample_devices(struct top *top, const struct top *last)
{
	static struct accel_telemetry_device infos[64];
	int count, i;

	infos[0].struct_size = sizeof(infos[0]);
	count = accel_telemetry_device_list(top->telemetry, infos, 64);
	if (count < 0)
		return count;
	top->ndevices = 0;
	for (i = 0; i < count && i < 64 && top->ndevices < TOP_DEVICES; i++) {
		struct top_device *d = &top->devices[top->ndevices];

		if (top->only >= 0 && (uint32_t)top->only != infos[i].id)
			continue;
		*d = (struct top_device){ .info = infos[i] };
		sample_device(top, d, find_device((struct top_device *)last->devices,
						  last->ndevices, infos[i].pci_address));
		top->ndevices++;
	}
	return top->ndevices;
}

/* --- Clients --- */

static const struct top_client *find_client(const struct top *last, const struct top_client *c)
{
	int i;

	for (i = 0; i < last->nclients; i++)
		if (last->clients[i].use.client_id == c->use.client_id &&
		    !strcmp(last->clients[i].use.pci_address, c->use.pci_address))
			return &last->clients[i];
	return NULL;
}

static double per(double amount, double of)
{
	return of > 0 && amount >= 0 ? amount / of : TOP_UNKNOWN;
}

static double grown(uint64_t now, uint64_t before)
{
	return now >= before ? (double)(now - before) : 0;
}

static void rate_client(struct top *top, struct top_client *c, const struct top *last)
{
	const struct top_device *d = &top->devices[c->device];
	const struct top_client *old = find_client(last, c);
	const struct top_device *then = find_device((struct top_device *)last->devices,
						    last->ndevices, c->use.pci_address);
	double tokens, joules;

	c->busy = c->watts = c->tokens_per_s = TOP_UNKNOWN;
	c->joules_per_token = per((double)c->use.energy_uj / 1e6, (double)c->use.tokens);
	if (!old || !then)
		return;
	c->busy = per(grown(c->use.busy_ns, old->use.busy_ns),
		      grown(d->usage.clock_ns, then->usage.clock_ns));
	if (c->busy > 1)
		c->busy = 1;
	joules = grown(c->use.energy_uj, old->use.energy_uj) / 1e6;
	tokens = grown(c->use.tokens, old->use.tokens);
	c->watts = per(joules, top->interval_s);
	if (c->use.tokens)
		c->tokens_per_s = per(tokens, top->interval_s);
	if (tokens > 0)
		c->joules_per_token = joules / tokens;
}

static enum top_sort sort_key;

static int compare_numbers(double a, double b)
{
	return a > b ? -1 : a < b;
}

static int compare_clients(const void *a, const void *b)
{
	const struct top_client *x = a, *y = b;
	int order = 0;

	switch (sort_key) {
	case TOP_SORT_BUSY:
		order = compare_numbers(x->busy, y->busy);
		break;
	case TOP_SORT_HBM:
		order = compare_numbers((double)x->use.hbm.total, (double)y->use.hbm.total);
		break;
	case TOP_SORT_SRAM:
		order = compare_numbers((double)x->use.sram.total, (double)y->use.sram.total);
		break;
	case TOP_SORT_ENERGY:
		order = compare_numbers((double)x->use.energy_uj, (double)y->use.energy_uj);
		break;
	default:
		break;
	}
	if (order)
		return order;
	if (x->use.pid != y->use.pid)
		return x->use.pid < y->use.pid ? -1 : 1;
	return x->use.client_id < y->use.client_id ? -1 : x->use.client_id > y->use.client_id;
}

static int sample_clients(struct top *top, const struct top *last)
{
	static struct accel_telemetry_client found[TOP_CLIENTS];
	int count, i;

	found[0].struct_size = sizeof(found[0]);
	count = accel_telemetry_client_list(top->telemetry, found, TOP_CLIENTS);
	if (count < 0)
		return count;
	top->nclients = 0;
	for (i = 0; i < count && i < TOP_CLIENTS; i++) {
		struct top_client *c = &top->clients[top->nclients];
		struct top_device *d = find_device(top->devices, top->ndevices,
						   found[i].pci_address);

		if (!d)
			continue;
		*c = (struct top_client){ .use = found[i], .device = (int)(d - top->devices) };
		rate_client(top, c, last);
		top->nclients++;
	}
	sort_key = top->sort;
	qsort(top->clients, (size_t)top->nclients, sizeof(*top->clients), compare_clients);
	return 0;
}

int top_sample(struct top *top)
{
	static struct top last;
	int ret;

	last = *top;
	top->time_s = now_s();
	top->interval_s = last.time_s > 0 ? top->time_s - last.time_s : 0;
	ret = sample_devices(top, &last);
	if (ret >= 0)
		ret = sample_clients(top, &last);
	return ret < 0 ? ret : top->ndevices;
}

/* --- Words --- */

uint64_t top_counter(const struct top_device *device, const char *name)
{
	int i;

	for (i = 0; i < device->ncounters; i++)
		if (!strcmp(device->counters[i].name, name))
			return device->counters[i].value;
	return 0;
}

static void scaled(char *text, size_t size, double value, double step, const char *const *units,
		   size_t count)
{
	size_t unit = 0;

	while (value >= step * 0.9995 && unit + 1 < count) {
		value /= step;
		unit++;
	}
	snprintf(text, size, value < 10 && unit ? "%.2f %s" : value < 100 && unit ? "%.1f %s" :
		 "%.0f %s", value, units[unit]);
}

void top_bytes(char *text, size_t size, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

	scaled(text, size, (double)bytes, 1024, units, sizeof(units) / sizeof(units[0]));
}

void top_joules(char *text, size_t size, double joules)
{
	static const char *const units[] = { "uJ", "mJ", "J", "kJ", "MJ", "GJ", "TJ" };

	scaled(text, size, joules * 1e6, 1000, units, sizeof(units) / sizeof(units[0]));
}

void top_user(char *text, size_t size, uint32_t uid)
{
	const struct passwd *user = getpwuid(uid);

	if (user)
		snprintf(text, size, "%s", user->pw_name);
	else
		snprintf(text, size, "%u", uid);
}

const char *top_state(uint32_t state)
{
	static const char *const names[] = { "ready", "suspended", "lost" };

	return state < 3 ? names[state] : "?";
}
