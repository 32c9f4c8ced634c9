/* SPDX-License-Identifier: MIT */
/*
 * accel-top in the guest: one sample as JSON with this process in it, text, wrong options; and in a
 * terminal, where it draws and ends when told to, in windows of any size.
 */
#include "guest.h"
#include "usage.h"

#include <math.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>

/* Where the suite puts the description of a terminal. */
#define TERMINFO	"/data/terminfo"

static struct guest g;
static char text[1 << 20];

/* Runs a command; what it prints is in @text. Returns its exit status. */
static int run(const char *command)
{
	FILE *pipe = popen(command, "r");
	size_t n;
	int status;

	CHECK(pipe);
	n = fread(text, 1, sizeof(text) - 1, pipe);
	text[n] = 0;
	status = pclose(pipe);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void work(unsigned int jobs)
{
	struct stream s = { 0 };

	packet_fill(&s, 0x100000000ull, MIB / 4, 1);
	packet_end(&s);
	while (jobs--)
		OK(run_stream(g.fd, g.vm, g.queue, &s));
}

/* The part of @text that begins at a key; fails if there is none. */
static const char *json(const char *from, const char *key)
{
	char quoted[64];
	const char *p;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	p = strstr(from, quoted);
	if (!p)
		FAIL("no %s in %s", key, from);
	return p + strlen(quoted);
}

static void check_json(void)
{
	const char *client;
	char address[64];
	int lines = 0;
	char *p;

	guest_pci_address(g.fd, address, sizeof(address));
	EQUAL(run("accel-top --json -d 0.1"), 0);
	CHECK(text[0] == '{' && strchr(text, '\n')[1] == 0);
	EQUAL(atoi(json(text, "version")), 1);
	CHECK(!strncmp(json(text, "pci_address") + 1, address, strlen(address)));
	/* It may have gone to sleep meanwhile. */
	CHECK(!strncmp(json(text, "state"), "\"ready\"", 7) ||
	      !strncmp(json(text, "state"), "\"suspended\"", 11));
	CHECK(atof(json(text, "energy_j")) > 0);
	CHECK(atof(json(text, "temperature_c")) > 0);
	CHECK(atoll(json(text, "hbm_bytes")) > 0);
	json(json(text, "counters"), "queue-kill");
	client = json(text, "clients");
	EQUAL(atoi(json(client, "pid")), getpid());
	CHECK(!strncmp(json(client, "command"), "\"test_accel_top\"", 16));
	EQUAL(atoi(json(client, "jobs")), 5);
	EQUAL(atoi(json(json(client, "hbm"), "total")), MIB);
	CHECK(!strncmp(json(client, "joules_per_token"), "null", 4));
	/* Without a second sample there are no rates. */
	EQUAL(run("accel-top --json -n 3 -d 0"), 0);
	for (p = text; (p = strchr(p, '\n')); p++)
		lines++;
	EQUAL(lines, 3);
	EQUAL(run("accel-top --batch -d 0.1"), 0);
	if (!strstr(text, address) || !strstr(text, "test_accel_top"))
		FAIL("accel-top --batch says:\n%s", text);
}

/* A process that tells how many tokens it has put through: what each has cost. */
static void check_tokens(void)
{
	const struct accel_usage_page page = { .magic = ACCEL_USAGE_MAGIC, .tokens = 40 };
	int fd = memfd_create(ACCEL_USAGE_FILE, MFD_CLOEXEC);
	double energy, each;
	const char *client;

	CHECK(fd >= 0 && write(fd, &page, sizeof(page)) == (ssize_t)sizeof(page));
	EQUAL(run("accel-top --json"), 0);
	client = json(text, "clients");
	EQUAL(atoi(json(client, "tokens")), 40);
	energy = atof(json(client, "energy_j"));
	each = atof(json(client, "joules_per_token"));
	if (!(energy > 0) || fabs(each - energy / 40) > 1e-6 * each)
		FAIL("%g J for 40 tokens are %g J/token in %s", energy, each, text);
	close(fd);
}

static void check_wrong(void)
{
	EQUAL(run("accel-top --no-such-option 2>&1"), 2);
	EQUAL(run("accel-top -d x 2>&1"), 2);
	EQUAL(run("accel-top -s x 2>&1"), 2);
	EQUAL(run("accel-top --json --batch 2>&1"), 2);
	EQUAL(run("accel-top --json -i 999 2>&1"), 1);
	CHECK(strstr(text, "no such device"));
	EQUAL(run("accel-top 2>&1 </dev/null"), 2);
	EQUAL(run("accel-top --help"), 0);
	CHECK(strstr(text, "usage:"));
}

/* Reads what comes until @what has come, for as long as that could take at all. */
static bool wait_for(int terminal, const char *what)
{
	struct pollfd p = { .fd = terminal, .events = POLLIN };
	uint64_t end = now_ns() + 20000000000ull;
	size_t n = 0;
	ssize_t got;

	text[0] = 0;
	while (n < sizeof(text) - 1 && now_ns() < end && poll(&p, 1, 20000) == 1) {
		got = read(terminal, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			return false;
		n += (size_t)got;
		text[n] = 0;
		if (strstr(text, what))
			return true;
	}
	return false;
}

static void check_terminal(unsigned short rows, unsigned short columns, const char *locale,
			   const char *expected)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };
	int terminal, status;
	pid_t pid = forkpty(&terminal, NULL, NULL, &size);

	CHECK(pid >= 0);
	if (!pid) {
		setenv("LC_ALL", locale, 1);
		execlp("accel-top", "accel-top", "-d", "0.1", (char *)NULL);
		_exit(127);
	}
	if (!wait_for(terminal, expected))
		FAIL("%ux%u: no '%s' but '%s'", rows, columns, expected, text);
	/* Another order, another size, and enough. */
	CHECK(write(terminal, "ss+-", 4) == 4);
	size.ws_row = 10;
	CHECK(!ioctl(terminal, TIOCSWINSZ, &size));
	usleep(300000);
	CHECK(write(terminal, "q", 1) == 1);
	while (read(terminal, text, sizeof(text)) > 0)
		;
	CHECK(waitpid(pid, &status, 0) == pid);
	if (status)
		FAIL("%ux%u: status %#x", rows, columns, status);
	close(terminal);
}

static void check_unknown_terminal(void)
{
	int terminal, status;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);

	CHECK(pid >= 0);
	if (!pid) {
		execlp("accel-top", "accel-top", (char *)NULL);
		_exit(127);
	}
	CHECK(wait_for(terminal, "no-such-terminal"));
	CHECK(waitpid(pid, &status, 0) == pid);
	EQUAL(WEXITSTATUS(status), 3);
	close(terminal);
}

int main(void)
{
	if (run("command -v accel-top"))
		SKIP("accel-top is not here");
	g = guest_begin();
	munmap(guest_buffer(&g, 0x100000000ull, MIB, NIB_BO_HBM), MIB);
	work(5);
	check_json();
	check_tokens();
	check_wrong();
	/* Without a description of the terminal it says so, and ends. */
	setenv("TERM", "no-such-terminal", 1);
	check_unknown_terminal();
	setenv("TERM", "linux", 1);
	if (access(TERMINFO "/l/linux", F_OK)) {
		printf("not tried in a terminal: no terminfo\n");
		return 0;
	}
	setenv("TERMINFO", TERMINFO, 1);
	check_terminal(24, 80, "C", "COMMAND");
	check_terminal(60, 200, "C.UTF-8", "test_accel_top");
	check_terminal(5, 20, "C", "accel");
	check_terminal(1, 1, "C", "q");
	return 0;
}
