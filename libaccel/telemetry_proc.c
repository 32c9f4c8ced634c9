// SPDX-License-Identifier: MIT
/*
 * Who uses devices: every file in /proc/PID/fd that is a device node, by what /proc/PID/fdinfo says
 * of it. Processes of others are skipped where they may not be looked into, and so are those that
 * end meanwhile.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "telemetry.h"
#include "usage.h"

void tele_text(char *to, size_t size, const char *from, size_t length)
{
	size_t i;

	for (i = 0; i < length && i + 1 < size && from[i]; i++) {
		unsigned char c = (unsigned char)from[i];

		/* What is beyond ASCII stays: it may be UTF-8. */
		to[i] = c < 0x20 || c == 0x7f ? '?' : from[i];
	}
	to[i] = 0;
}

void tele_put(void *array, size_t stride, unsigned int index, const void *element, size_t size)
{
	char *to = (char *)array + index * stride;

	memset(to, 0, stride);
	memcpy(to, element, stride < size ? stride : size);
	/* struct_size, which every element begins with, is the caller's. */
	memcpy(to, &stride, sizeof(stride));
}

/* --- fdinfo --- */

struct key {
	const char *name;
	size_t offset;
};

#define KEY(name, field)	{ name, offsetof(struct accel_telemetry_client, field) }

static const struct key number_keys[] = {
	KEY("drm-client-id", client_id),
	KEY("drm-engine-npu", busy_ns),
	KEY("drm-cycles-npu", cycles),
	KEY("nib-jobs-npu", jobs),
	KEY("nib-energy-npu", energy_uj),
	KEY("drm-total-hbm", hbm.total),
	KEY("drm-resident-hbm", hbm.resident),
	KEY("drm-shared-hbm", hbm.shared),
	KEY("drm-purgeable-hbm", hbm.purgeable),
	KEY("drm-total-sram", sram.total),
	KEY("drm-resident-sram", sram.resident),
	KEY("drm-shared-sram", sram.shared),
	KEY("drm-purgeable-sram", sram.purgeable),
	KEY("drm-total-memory", host.total),
	KEY("drm-resident-memory", host.resident),
	KEY("drm-shared-memory", host.shared),
	KEY("drm-purgeable-memory", host.purgeable),
	KEY("nib-evicted-hbm", evicted_bytes),
	KEY("nib-restored-hbm", restored_bytes),
	KEY("nib-lease-hits", lease_hits),
	KEY("nib-lease-misses", lease_misses),
	KEY("nib-lease-spilled", spilled_bytes),
	KEY("nib-lease-restored", unspilled_bytes),
};

struct line {
	const char *key;
	size_t key_length;
	const char *value;
	size_t value_length;
};

/* "key:<white space>value<newline>"; false at the end of the text. Lines without a colon have no key. */
static bool next_line(const char **text, const char *end, struct line *line)
{
	const char *at = *text, *stop, *colon;

	if (at == end)
		return false;
	stop = memchr(at, '\n', (size_t)(end - at));
	*text = stop ? stop + 1 : end;
	stop = stop ? stop : end;
	colon = memchr(at, ':', (size_t)(stop - at));
	*line = (struct line){ .key = at };
	if (!colon)
		return true;
	line->key_length = (size_t)(colon - at);
	for (at = colon + 1; at < stop && (*at == ' ' || *at == '\t'); at++)
		;
	line->value = at;
	line->value_length = (size_t)(stop - at);
	return true;
}

static bool line_is(const struct line *line, const char *key)
{
	return line->key_length == strlen(key) && !memcmp(line->key, key, line->key_length);
}

/* A number, and the unit behind it if it is one of memory. False for what is none or too large. */
static bool line_number(const struct line *line, uint64_t *number)
{
	static const struct {
		const char *name;
		uint64_t scale;
	} units[] = { { "KiB", 1ull << 10 }, { "MiB", 1ull << 20 }, { "GiB", 1ull << 30 } };
	uint64_t n = 0;
	size_t i, u, left;

	for (i = 0; i < line->value_length && isdigit((unsigned char)line->value[i]); i++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(line->value[i] - '0'), &n))
			return false;
	if (!i)
		return false;
	while (i < line->value_length && line->value[i] == ' ')
		i++;
	left = line->value_length - i;
	for (u = 0; u < sizeof(units) / sizeof(units[0]); u++)
		if (left >= 3 && !memcmp(line->value + i, units[u].name, 3) &&
		    __builtin_mul_overflow(n, units[u].scale, &n))
			return false;
	*number = n;
	return true;
}

static void take_line(const struct line *line, struct accel_telemetry_client *client)
{
	uint64_t number;
	size_t i;

	if (line_is(line, "drm-pdev"))
		tele_text(client->pci_address, sizeof(client->pci_address), line->value,
			  line->value_length);
	else if (line_is(line, "drm-client-name"))
		tele_text(client->name, sizeof(client->name), line->value, line->value_length);
	for (i = 0; i < sizeof(number_keys) / sizeof(number_keys[0]); i++)
		if (line_is(line, number_keys[i].name) && line_number(line, &number))
			memcpy((char *)client + number_keys[i].offset, &number, sizeof(number));
}

int tele_fdinfo_parse(const char *text, size_t bytes, struct accel_telemetry_client *client)
{
	const char *end = text + bytes;
	bool ours = false;
	struct line line;

	*client = (struct accel_telemetry_client){ .struct_size = sizeof(*client) };
	while (next_line(&text, end, &line)) {
		if (line_is(&line, "drm-driver"))
			ours = line.value_length == 3 && !memcmp(line.value, "nib", 3);
		take_line(&line, client);
	}
	return ours ? 0 : -ENOENT;
}

/* --- /proc --- */

/* Returns how many bytes, or -1. */
static ssize_t read_at(int dir, const char *path, char *text, size_t size)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, size);
	close(fd);
	return n;
}

struct scan {
	struct accel_telemetry_client *clients;	/* caller's */
	size_t stride;
	unsigned int max;
	struct accel_telemetry_client *found;
	unsigned int count;
	unsigned int room;
};

static int scan_add(struct scan *scan, const struct accel_telemetry_client *client)
{
	struct accel_telemetry_client *more;

	if (scan->count == scan->room) {
		unsigned int room = scan->room ? scan->room * 2 : 16;

		more = realloc(scan->found, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		scan->found = more;
		scan->room = room;
	}
	scan->found[scan->count++] = *client;
	return 0;
}

/* One file may be held by many, and many times by one: the first one stands for all. */
static bool scan_knows(const struct scan *scan, const struct accel_telemetry_client *client)
{
	unsigned int i;

	for (i = 0; i < scan->count; i++)
		if (scan->found[i].client_id == client->client_id &&
		    !strcmp(scan->found[i].pci_address, client->pci_address))
			return true;
	return false;
}

/* A process: its folder, and what is the same for all of its files. */
struct process {
	int dir;
	uint32_t pid;
	uint32_t uid;
	char command[32];
	uint64_t tokens;
};

static int scan_device(struct scan *scan, const struct process *process, const char *fd)
{
	struct accel_telemetry_client client;
	char path[32], text[8192];
	ssize_t bytes;

	snprintf(path, sizeof(path), "fdinfo/%.16s", fd);
	bytes = read_at(process->dir, path, text, sizeof(text));
	if (bytes < 0 || tele_fdinfo_parse(text, (size_t)bytes, &client) || scan_knows(scan, &client))
		return 0;
	client.pid = process->pid;
	client.uid = process->uid;
	memcpy(client.command, process->command, sizeof(client.command));
	return scan_add(scan, &client);
}

static void scan_usage_page(struct process *process, const char *fd)
{
	struct accel_usage_page page;
	char path[32];

	snprintf(path, sizeof(path), "fd/%.16s", fd);
	if (read_at(process->dir, path, (char *)&page, sizeof(page)) == (ssize_t)sizeof(page) &&
	    page.magic == ACCEL_USAGE_MAGIC)
		process->tokens += page.tokens;
}

static int scan_files(struct scan *scan, struct process *process)
{
	static const char memfd[] = "/memfd:" ACCEL_USAGE_FILE, node[] = "/dev/accel/";
	int fd = openat(process->dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;
	char target[256];
	struct dirent *entry;
	ssize_t n;
	DIR *dir;

	/* Not ours to look into, or gone. */
	if (fd < 0)
		return 0;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (!ret && (entry = readdir(dir))) {
		n = readlinkat(fd, entry->d_name, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = 0;
		if (!strncmp(target, node, sizeof(node) - 1))
			ret = scan_device(scan, process, entry->d_name);
		else if (!strncmp(target, memfd, sizeof(memfd) - 1))
			scan_usage_page(process, entry->d_name);
	}
	closedir(dir);
	return ret;
}

static int scan_process(struct scan *scan, int root, const char *name)
{
	struct process process = { .pid = (uint32_t)strtoul(name, NULL, 10) };
	unsigned int before = scan->count;
	struct stat st;
	ssize_t n;
	int ret;

	process.dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (process.dir < 0)
		return 0;
	if (!fstat(process.dir, &st))
		process.uid = st.st_uid;
	n = read_at(process.dir, "comm", process.command, sizeof(process.command) - 1);
	n = n > 0 && process.command[n - 1] == '\n' ? n - 1 : n;
	tele_text(process.command, sizeof(process.command), process.command, n > 0 ? (size_t)n : 0);
	ret = scan_files(scan, &process);
	/* Tokens are the process's: they are told once. */
	if (scan->count > before)
		scan->found[before].tokens = process.tokens;
	close(process.dir);
	return ret;
}

static int compare_clients(const void *a, const void *b)
{
	const struct accel_telemetry_client *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->client_id < y->client_id ? -1 : x->client_id > y->client_id;
}

int tele_proc_clients(const char *root, struct accel_telemetry_client *clients, size_t stride,
		      unsigned int max)
{
	struct scan scan = { 0 };
	struct dirent *entry;
	DIR *dir = opendir(root);
	unsigned int i;
	int ret = 0;

	if (!dir)
		return -errno;
	/* By ascending number, as /proc lists them: so the first one that holds a file is found first. */
	while (!ret && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			ret = scan_process(&scan, dirfd(dir), entry->d_name);
	closedir(dir);
	if (scan.count)
		qsort(scan.found, scan.count, sizeof(*scan.found), compare_clients);
	for (i = 0; !ret && i < scan.count && i < max; i++)
		tele_put(clients, stride, i, &scan.found[i], sizeof(scan.found[i]));
	free(scan.found);
	return ret ? ret : (int)scan.count;
}
