/* SPDX-License-Identifier: MIT */
/*
 * What the parts of accel-top share: samples, and what follows from two of them.
 */
#ifndef ACCEL_TOP_H
#define ACCEL_TOP_H

#include <stdbool.h>
#include <stdio.h>

#include "accel_telemetry.h"

#define TOP_DEVICES	16
#define TOP_CLIENTS	256
#define TOP_COUNTERS	32
#define TOP_HISTORY	512

/* Rates that cannot be told: no second sample, no time passed, no tokens. */
#define TOP_UNKNOWN	(-1.0)

/**
 * struct top_device - a device, now.
 * @info: what it is.
 * @usage: what it uses.
 * @counters: what was counted; @ncounters of them.
 * @busy: share of its time with work since the last sample, 0 to 1, or TOP_UNKNOWN.
 * @history: of @busy, newest at @nhistory - 1, modulo TOP_HISTORY; @hbm_history likewise.
 */
struct top_device {
	struct accel_telemetry_device info;
	struct accel_telemetry_usage usage;
	struct accel_telemetry_counter counters[TOP_COUNTERS];
	int ncounters;
	double busy;
	float history[TOP_HISTORY];
	float hbm_history[TOP_HISTORY];
	unsigned int nhistory;
};

/**
 * struct top_client - a client, now.
 * @use: what it has used.
 * @device: index of its device.
 * @busy: share of the device's time since the last sample, or TOP_UNKNOWN.
 * @watts: energy per second of the host's clock, or TOP_UNKNOWN.
 * @tokens_per_s: by the host's clock, or TOP_UNKNOWN.
 * @joules_per_token: since the last sample, or else over all of its life, or TOP_UNKNOWN.
 */
struct top_client {
	struct accel_telemetry_client use;
	int device;
	double busy;
	double watts;
	double tokens_per_s;
	double joules_per_token;
};

enum top_sort { TOP_SORT_BUSY, TOP_SORT_HBM, TOP_SORT_SRAM, TOP_SORT_ENERGY, TOP_SORT_PID, TOP_SORTS };
extern const char *const top_sort_names[TOP_SORTS];

/**
 * struct top - all of it.
 * @telemetry: where samples come from.
 * @only: number of the only device to show, or -1.
 * @sort: order of the clients.
 * @devices: @ndevices of them.
 * @clients: @nclients of them.
 * @time_s: when the sample was taken, by the host's clock.
 * @interval_s: since the one before, or 0.
 */
struct top {
	struct accel_telemetry *telemetry;
	int only;
	enum top_sort sort;
	struct top_device devices[TOP_DEVICES];
	int ndevices;
	struct top_client clients[TOP_CLIENTS];
	int nclients;
	double time_s;
	double interval_s;
};

/* Takes a sample. Returns how many devices there are, or -errno. */
int top_sample(struct top *top);

/* The value of a counter by its name, 0 if there is none. */
uint64_t top_counter(const struct top_device *device, const char *name);

/* "1.5 GiB", "12.3 kJ": at most 9 characters. */
void top_bytes(char *text, size_t size, uint64_t bytes);
void top_joules(char *text, size_t size, double joules);
/* Name of a user, or the number. */
void top_user(char *text, size_t size, uint32_t uid);
const char *top_state(uint32_t state);

/* One object on one line. Returns 0 or -errno. */
int top_print_json(const struct top *top, FILE *out);
void top_print_text(const struct top *top, FILE *out);

/* The interactive view; returns an exit status. */
int top_view(struct top *top, double delay_s);

#endif
