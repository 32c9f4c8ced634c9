/* SPDX-License-Identifier: MIT */
/*
 * Faults from inside the guest: the control socket of nib-sim, by the virtio port that
 * tests/guest/run --control makes. What can be ordered is in firmware-sim/control.h. A test whose
 * guest has no such port skips.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <dirent.h>
#include <poll.h>

#include "guest.h"

#define CONTROL_PORT	"nib.control"
#define CONTROL_MS	20000

static int control_fd = -1;

/* True if @name in /sys/class/virtio-ports is the port. */
static UNUSED bool control_is_port(const char *name)
{
	char path[300], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/virtio-ports/%.200s/name", name);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = 0;
	fclose(f);
	text[strcspn(text, "\n")] = 0;
	return !strcmp(text, CONTROL_PORT);
}

static UNUSED void control_open(void)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	char path[300];

	while (dir && control_fd < 0 && (entry = readdir(dir))) {
		if (!control_is_port(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/dev/%.200s", entry->d_name);
		control_fd = open(path, O_RDWR | O_CLOEXEC);
		if (control_fd < 0)
			FAIL("%s: %s", path, strerror(errno));
	}
	if (dir)
		closedir(dir);
	if (control_fd < 0)
		SKIP("no port " CONTROL_PORT ": run with --control");
}

/* Sends one line and waits for nothing: whoever is asked to go may be gone before he answers. */
static UNUSED void control_tell(const char *line)
{
	size_t bytes = strlen(line);

	if (control_fd < 0)
		control_open();
	CHECK(write(control_fd, line, bytes) == (ssize_t)bytes);
	CHECK(write(control_fd, "\n", 1) == 1);
}

/*
 * Sends one line and returns the answer, good until the next call. The port has one user at a time;
 * processes that share it take turns.
 */
static UNUSED const char *control_ask(const char *line)
{
	static char answer[256 * 1024];
	struct pollfd fd;
	size_t at = 0;
	ssize_t n;

	control_tell(line);
	do {
		fd = (struct pollfd){ .fd = control_fd, .events = POLLIN };
		if (poll(&fd, 1, CONTROL_MS) != 1)
			FAIL("no answer to %s", line);
		n = read(control_fd, answer + at, sizeof(answer) - 1 - at);
		if (n <= 0)
			FAIL("the control socket is gone: %s", line);
		at += (size_t)n;
		answer[at] = 0;
	} while (!strchr(answer, '\n') && at < sizeof(answer) - 1);
	return answer;
}

/* Sends one line, which must not be refused. */
__attribute__((format(printf, 1, 2)))
static UNUSED const char *control(const char *format, ...)
{
	const char *answer;
	char line[1024];
	va_list args;

	va_start(args, format);
	CHECK(vsnprintf(line, sizeof(line), format, args) < (int)sizeof(line));
	va_end(args);
	answer = control_ask(line);
	if (!strncmp(answer, "{\"error\"", 8))
		FAIL("%s: %s", line, answer);
	return answer;
}

/* The number behind the first "@key": after the first @object in an answer. */
static UNUSED int64_t control_number(const char *answer, const char *object, const char *key)
{
	char name[64];
	const char *at = strstr(answer, object);

	snprintf(name, sizeof(name), "\"%s\":", key);
	at = at ? strstr(at, name) : NULL;
	if (!at)
		FAIL("no %s of %s in %s", key, object, answer);
	return strtoll(at + strlen(name), NULL, 10);
}

/* How often a fault has struck. */
static UNUSED int64_t control_struck(const char *fault)
{
	char object[64];

	snprintf(object, sizeof(object), "\"%s\":{", fault);
	return control_number(control("{\"list\":true}"), object, "struck");
}

/* Waits until it has struck more often than @before. */
static UNUSED void control_wait_struck(const char *fault, int64_t before)
{
	uint64_t begin = now_ns();

	while (control_struck(fault) <= before) {
		if (now_ns() - begin > CONTROL_MS * 1000000ull)
			FAIL("%s does not strike", fault);
		usleep(5000);
	}
}

static UNUSED void control_clear(void)
{
	control("{\"clear\":true}");
}

#endif
