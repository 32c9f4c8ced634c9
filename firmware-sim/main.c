// SPDX-License-Identifier: MIT
/*
 * nib-sim: serves the device on a UNIX socket, to one client at a time. This file moves bytes and
 * starts threads; what messages mean is in vfio_user.c. One thread talks to the client, one
 * executes packets. Every client gets a device fresh from power-on.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "control.h"
#include "guard.h"
#include "vfio_user.h"

#define RUN_PACKETS 64u		/* between looks at the stop flag */
#define POLL_NS 1000000l	/* between looks at a closed semaphore */

struct options {
	const char *socket;
	const char *control;
	const char *send;
	const char *chip;
	const char *kernels;
	unsigned int threads;
	enum nib_pin pin;
	int level;
	bool inject;
	bool once;
};

/**
 * struct runner - the thread that executes packets.
 * @kicked: there may be work.
 */
struct runner {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool kicked;
	bool stop;
	struct nib_device *device;
};

/**
 * struct sim - the process.
 * @signals: signalfd of what ends it.
 * @control: NULL where nobody asked for it.
 * @device: what the control socket acts on.
 */
struct sim {
	struct options options;
	int signals;
	int listener;
	struct nib_control *control;
	struct nib_device *device;
	struct runner runner;
	uint8_t message[NIB_VFIO_MAX_BYTES];
};

static const char usage[] =
	"usage: nib-sim --socket PATH [OPTION]...\n"
	"       nib-sim --send PATH JSON...\n"
	"\n"
	"Serves a Nibble device to QEMU (-device vfio-user-pci) on a UNIX socket.\n"
	"\n"
	"  --socket PATH     where to listen; a stale socket is replaced\n"
	"  --chip NAME|FILE  small (default), edge, maia200-class, or a chip file\n"
	"  --kernels NAME    scalar, avx2, avx512; default: the best of this processor\n"
	"  --threads N       that compute at once (default: one a processor)\n"
	"  --pin HOW         auto (default): each of them to a core, if that leaves one; none\n"
	"  --log LEVEL       error, warning (default), info or debug\n"
	"  --control PATH    listen there for orders: faults, link loss, removal; see nib-sim(1)\n"
	"  --send PATH       send each JSON to a control socket and print the answers\n"
	"  --inject          let the guest order trouble, for tests of recovery\n"
	"  --once            end after the first client\n"
	"  --help            this text\n"
	"\n"
	"Orders are lines like {\"inject\":\"lost-interrupt\",\"count\":2}, {\"list\":true},\n"
	"{\"link\":\"down\"}; \"list\" names the faults and what a driver should do about them.\n"
	"\n"
	"Exit status: 0 after SIGTERM, SIGINT, an order or the client of --once; 1 for a failure,\n"
	"or an order that was refused; 2 for wrong usage, chip or kernels.\n";

/* --- Log --- */

static void sim_log(void *arg, int level, const char *line)
{
	const struct sim *sim = arg;

	if (level <= sim->options.level)
		fprintf(stderr, "nib-sim: %s\n", line);
}

static int level_parse(const char *name)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = { { "error", 3 }, { "warning", 4 }, { "info", 6 }, { "debug", 7 } };

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (!strcmp(name, levels[i].name))
			return levels[i].level;
	return -1;
}

/* --- Executing thread --- */

static void runner_kick(void *arg)
{
	struct sim *sim = arg;

	pthread_mutex_lock(&sim->runner.lock);
	sim->runner.kicked = true;
	pthread_cond_signal(&sim->runner.wake);
	pthread_mutex_unlock(&sim->runner.lock);
}

static void runner_wait(struct runner *r, bool soon)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += POLL_NS;
	if (until.tv_nsec >= 1000000000l) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000l;
	}
	pthread_mutex_lock(&r->lock);
	while (!r->kicked && !r->stop)
		if (!soon)
			pthread_cond_wait(&r->wake, &r->lock);
		else if (pthread_cond_timedwait(&r->wake, &r->lock, &until) == ETIMEDOUT)
			break;
	r->kicked = false;
	pthread_mutex_unlock(&r->lock);
}

static bool runner_stops(struct runner *r)
{
	bool stop;

	pthread_mutex_lock(&r->lock);
	stop = r->stop;
	pthread_mutex_unlock(&r->lock);
	return stop;
}

static void *runner_main(void *arg)
{
	struct runner *r = arg;

	while (!runner_stops(r))
		if (!nib_device_run(r->device, RUN_PACKETS))
			runner_wait(r, nib_device_blocked(r->device));
	return NULL;
}

/* Lives as long as the process: a device may kick when no thread runs. */
static void runner_init(struct runner *r)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &attr);
	pthread_condattr_destroy(&attr);
}

static int runner_start(struct runner *r, struct nib_device *device)
{
	r->kicked = false;
	r->stop = false;
	r->device = device;
	return -pthread_create(&r->thread, NULL, runner_main, r);
}

static void runner_end(struct runner *r)
{
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	/* A long packet would keep it: end it as a reset does. */
	nib_device_reset(r->device);
	pthread_join(r->thread, NULL);
}

/* --- Connection --- */

/* Serves the control socket. Returns 0, or -EINTR when the process is to end. */
static int sim_control(struct sim *sim, const struct pollfd *fds, unsigned int count)
{
	if (!count)
		return 0;
	switch (nib_control_serve(sim->control, fds, count, sim->device)) {
	case NIB_CONTROL_REMOVE:
		/* Nothing is put in order: that is the point. */
		_exit(0);
	case NIB_CONTROL_QUIT:
		return -EINTR;
	default:
		return 0;
	}
}

/* Waits until @fd is ready. Returns 0, or -EINTR when the process is to end. */
static int sim_poll(struct sim *sim, int fd, short events)
{
	struct pollfd fds[2 + NIB_CONTROL_FDS] = {
		{ .fd = sim->signals, .events = POLLIN },
		{ .fd = fd, .events = events },
	};
	unsigned int controls;
	int err;

	for (;;) {
		controls = sim->control ? nib_control_fds(sim->control, fds + 2) : 0;
		if (poll(fds, 2 + controls, -1) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (fds[0].revents)
			return -EINTR;
		err = sim_control(sim, fds + 2, controls);
		if (err)
			return err;
		if (fds[1].revents)
			return 0;
	}
}

/* Collects the descriptors of a message; too many of them is an error, none may leak. */
static int take_fds(struct msghdr *msg, int *fds, unsigned int *num_fds)
{
	int err = msg->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (*num_fds < NIB_VFIO_MAX_FDS) {
				fds[(*num_fds)++] = fd;
			} else {
				close(fd);
				err = -EPROTO;
			}
		}
	}
	return err;
}

/* Reads @bytes; returns 0, -ENOTCONN at the end of the connection, or another error. */
static int sim_receive(struct sim *sim, int client, void *to, size_t bytes, int *fds,
		       unsigned int *num_fds)
{
	uint8_t *at = to;

	while (bytes) {
		union {
			struct cmsghdr align;
			char data[CMSG_SPACE(NIB_VFIO_MAX_FDS * sizeof(int))];
		} control;
		struct iovec iov = { .iov_base = at, .iov_len = bytes };
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.data,
			.msg_controllen = sizeof(control.data),
		};
		ssize_t n;
		int err = sim_poll(sim, client, POLLIN);

		if (err)
			return err;
		n = recvmsg(client, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return -errno;
		err = take_fds(&msg, fds, num_fds);
		if (err)
			return err;
		if (n == 0)
			return -ENOTCONN;
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int sim_send(struct sim *sim, int client, const struct nib_vfio_reply *reply)
{
	const uint8_t *at = reply->data;
	size_t left = reply->bytes;
	int fd = reply->fd;

	while (left) {
		union {
			struct cmsghdr align;
			char data[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec iov = { .iov_base = (void *)(uintptr_t)at, .iov_len = left };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;
		int err;

		if (fd >= 0) {
			memset(&control, 0, sizeof(control));
			msg.msg_control = control.data;
			msg.msg_controllen = sizeof(control.data);
			control.align.cmsg_level = SOL_SOCKET;
			control.align.cmsg_type = SCM_RIGHTS;
			control.align.cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
		}
		n = sendmsg(client, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			err = sim_poll(sim, client, POLLOUT);
			if (err)
				return err;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		fd = -1;
		at += n;
		left -= (size_t)n;
	}
	return 0;
}

/* One message of a client. */
static int sim_message(struct sim *sim, int client, struct nib_vfio_user *server)
{
	struct vfio_user_header header;
	int fds[NIB_VFIO_MAX_FDS], err, sent;
	struct nib_vfio_reply reply;
	unsigned int num_fds = 0;
	uint32_t bytes;

	err = sim_receive(sim, client, &header, sizeof(header), fds, &num_fds);
	if (!err)
		err = nib_vfio_user_bytes(&header, &bytes);
	if (!err) {
		memcpy(sim->message, &header, sizeof(header));
		err = sim_receive(sim, client, sim->message + sizeof(header),
				  bytes - sizeof(header), fds, &num_fds);
	}
	if (!err) {
		err = nib_vfio_user_handle(server, sim->message, bytes, fds, num_fds, &reply);
		sent = sim_send(sim, client, &reply);
		err = err ? err : sent;
	}
	for (unsigned int i = 0; i < num_fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return err;
}

static int server_create(struct sim *sim, struct nib_vfio_user **server)
{
	struct nib_vfio_config config = {
		.chip = sim->options.chip,
		.kernels = sim->options.kernels,
		.threads = sim->options.threads,
		.pin = sim->options.pin,
		.inject = sim->options.inject,
		.kick = runner_kick,
		.log = sim_log,
		.arg = sim,
	};
	char error[256];
	int err = nib_vfio_user_create(&config, error, sizeof(error), server);

	if (err)
		sim_log(sim, 3, error);
	else
		sim->device = nib_vfio_user_device(*server);
	return err;
}

/* One client, from connection to disconnection. Returns -EINTR when the process is to end. */
static int sim_serve(struct sim *sim, int client, struct nib_vfio_user *server)
{
	char line[80];
	int err;

	err = runner_start(&sim->runner, nib_vfio_user_device(server));
	if (err) {
		sim_log(sim, 3, "cannot start a thread");
		return err;
	}
	sim_log(sim, 6, "client connected");
	do
		err = sim_message(sim, client, server);
	while (!err);
	runner_end(&sim->runner);
	if (err == -ENOTCONN || err == -EINTR || err == -ECONNRESET) {
		sim_log(sim, 6, "client disconnected");
	} else {
		snprintf(line, sizeof(line), "client cut off: %s", strerror(-err));
		sim_log(sim, 4, line);
	}
	return err == -EINTR ? err : 0;
}

/* --- Socket --- */

static int sim_listen(struct sim *sim)
{
	const char *path = sim->options.socket;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "nib-sim: %s: longer than %zu characters\n", path,
			sizeof(address.sun_path) - 1);
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		perror("nib-sim: socket");
		return -1;
	}
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
	    !(errno == EADDRINUSE && nib_control_is_stale(path) && unlink(path) == 0 &&
	      bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)) {
		fprintf(stderr, "nib-sim: %s: %s\n", path, strerror(errno));
		close(fd);
		return -1;
	}
	if (listen(fd, 1) < 0) {
		fprintf(stderr, "nib-sim: %s: %s\n", path, strerror(errno));
		unlink(path);
		close(fd);
		return -1;
	}
	sim->listener = fd;
	return 0;
}

static int sim_run(struct sim *sim, struct nib_vfio_user *server)
{
	int client, err = 0;

	while (!err) {
		/* The first device is made before the socket exists, to find mistakes early. */
		if (!server && server_create(sim, &server))
			return 1;
		err = sim_poll(sim, sim->listener, POLLIN);
		if (err)
			break;
		client = accept4(sim->listener, NULL, NULL, SOCK_CLOEXEC);
		if (client < 0)
			continue;
		err = sim_serve(sim, client, server);
		close(client);
		nib_vfio_user_destroy(server);
		server = NULL;
		if (sim->options.once)
			break;
	}
	nib_vfio_user_destroy(server);
	return err && err != -EINTR ? 1 : 0;
}

static int sim_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* Before there are threads, which inherit it. */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int sim_control_create(struct sim *sim)
{
	char error[256];

	if (!sim->options.control ||
	    !nib_control_create(sim->options.control, error, sizeof(error), &sim->control))
		return 0;
	sim_log(sim, 3, error);
	return -1;
}

/* The other side of --control. Returns the exit status. */
static int send_orders(const char *path, char **orders, int count)
{
	int bad = 0, err;
	char *answer;

	for (int i = 0; i < count; i++) {
		err = nib_control_send(path, orders[i], &answer);
		if (err) {
			fprintf(stderr, "nib-sim: %s: %s\n", path, strerror(-err));
			return 1;
		}
		fputs(answer, stdout);
		bad |= !strncmp(answer, "{\"error\"", 8);
		free(answer);
	}
	return bad;
}

/* That this process may use. */
static unsigned int processors(void)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;
	int count;

	if (sched_getaffinity(0, sizeof(set), &set))
		return online < 1 ? 1 : online < 256 ? (unsigned int)online : 256;
	count = CPU_COUNT(&set);
	return count < 256 ? (unsigned int)count : 256;
}

/* Returns 0, 1 for --help, or 2 for wrong usage. */
static int options_parse(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "control", required_argument, NULL, 'C' },
		{ "send", required_argument, NULL, 'S' },
		{ "chip", required_argument, NULL, 'c' },
		{ "kernels", required_argument, NULL, 'k' },
		{ "threads", required_argument, NULL, 't' },
		{ "pin", required_argument, NULL, 'p' },
		{ "log", required_argument, NULL, 'l' },
		{ "inject", no_argument, NULL, 'i' },
		{ "once", no_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	char *end;
	int option;

	*o = (struct options){ .chip = "small", .level = 4 };
	o->threads = processors();
	o->pin = NIB_PIN_AUTO;
	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (option) {
		case 's':
			o->socket = optarg;
			break;
		case 'C':
			o->control = optarg;
			break;
		case 'S':
			o->send = optarg;
			break;
		case 'c':
			o->chip = optarg;
			break;
		case 'k':
			o->kernels = optarg;
			break;
		case 't':
			o->threads = (unsigned int)strtoul(optarg, &end, 10);
			if (*end || o->threads < 1 || o->threads > 256) {
				fprintf(stderr, "nib-sim: --threads %s: not 1 to 256\n", optarg);
				return 2;
			}
			break;
		case 'p':
			o->pin = strcmp(optarg, "none") ? NIB_PIN_AUTO : NIB_PIN_NONE;
			if (o->pin != NIB_PIN_NONE && strcmp(optarg, "auto")) {
				fprintf(stderr, "nib-sim: --pin %s: not auto or none\n", optarg);
				return 2;
			}
			break;
		case 'l':
			o->level = level_parse(optarg);
			if (o->level < 0) {
				fprintf(stderr, "nib-sim: --log %s: no such level\n", optarg);
				return 2;
			}
			break;
		case 'i':
			o->inject = true;
			break;
		case 'o':
			o->once = true;
			break;
		case 'h':
			return 1;
		default:
			return 2;
		}
	}
	if (o->send)
		return 0;
	if (optind != argc || !o->socket) {
		fprintf(stderr, optind != argc ? "nib-sim: %s: not an option\n" :
			"nib-sim: --socket is missing\n", argv[optind]);
		return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct sim sim;
	struct nib_vfio_user *server;
	int err = options_parse(argc, argv, &sim.options);

	if (err == 1) {
		fputs(usage, stdout);
		return 0;
	}
	if (err) {
		fputs(usage, stderr);
		return 2;
	}
	if (sim.options.send)
		return send_orders(sim.options.send, argv + optind, argc - optind);
	nib_guard_install();
	runner_init(&sim.runner);
	sim.signals = sim_signals();
	if (sim.signals < 0) {
		perror("nib-sim: signalfd");
		return 1;
	}
	if (server_create(&sim, &server))
		return 2;
	/* Whoever sees the device's socket finds the control socket too. */
	if (sim_control_create(&sim) || sim_listen(&sim)) {
		nib_control_destroy(sim.control);
		nib_vfio_user_destroy(server);
		return 1;
	}
	err = sim_run(&sim, server);
	nib_control_destroy(sim.control);
	unlink(sim.options.socket);
	close(sim.listener);
	close(sim.signals);
	return err;
}
