// SPDX-License-Identifier: MIT
/*
 * The control socket: bytes to lines and back, for several clients, without ever blocking or
 * keeping more than one answer of each. What lines mean is control.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "control.h"

static const char too_long[] = "{\"error\":\"line is too long\"}\n";

/**
 * struct client - one connection.
 * @fd: -1: none.
 * @in: the start of a line.
 * @skip: the line is too long: what follows up to its end is thrown away.
 * @out: answer being sent, from @sent on; NULL: none. Until it is out nothing more is read.
 */
struct client {
	int fd;
	size_t in_bytes;
	bool skip;
	char *out;
	size_t out_bytes;
	size_t sent;
	char in[NIB_CONTROL_LINE];
};

/**
 * struct nib_control - a control socket.
 * @path: to unlink at the end.
 */
struct nib_control {
	int listener;
	struct sockaddr_un address;
	struct client clients[NIB_CONTROL_CLIENTS];
};

static void client_close(struct client *c)
{
	close(c->fd);
	free(c->out);
	*c = (struct client){ .fd = -1 };
}

/* Sends what it can of the answer. */
static void client_send(struct client *c)
{
	while (c->out) {
		ssize_t n = send(c->fd, c->out + c->sent, c->out_bytes - c->sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			client_close(c);
			return;
		}
		c->sent += (size_t)n;
		if (c->sent == c->out_bytes) {
			free(c->out);
			c->out = NULL;
		}
	}
}

/* Takes ownership of @answer. */
static void client_answer(struct client *c, char *answer)
{
	if (!answer) {
		client_close(c);
		return;
	}
	c->out = answer;
	c->out_bytes = strlen(answer);
	c->sent = 0;
	client_send(c);
}

/* Executes the lines that are there, up to the first answer that does not get out at once. */
static enum nib_control_end client_lines(struct client *c, struct nib_device *device)
{
	enum nib_control_end end = NIB_CONTROL_STAY;

	while (c->fd >= 0 && !c->out && end == NIB_CONTROL_STAY) {
		char *newline = memchr(c->in, '\n', c->in_bytes);
		size_t bytes = newline ? (size_t)(newline - c->in) : c->in_bytes;

		if (!newline && c->in_bytes < sizeof(c->in))
			break;
		if (!newline) {
			c->skip = true;
			c->in_bytes = 0;
			break;
		}
		if (c->skip)
			client_answer(c, strdup(too_long));
		else if (bytes)
			client_answer(c, nib_control_execute(device, c->in, bytes, &end));
		if (c->fd < 0)
			break;
		c->skip = false;
		c->in_bytes -= bytes + 1;
		memmove(c->in, newline + 1, c->in_bytes);
	}
	return end;
}

static enum nib_control_end client_serve(struct client *c, struct nib_device *device)
{
	ssize_t n;

	client_send(c);
	if (c->fd < 0 || c->out)
		return NIB_CONTROL_STAY;
	/* Lines may have waited for the answer. */
	if (c->in_bytes < sizeof(c->in)) {
		n = recv(c->fd, c->in + c->in_bytes, sizeof(c->in) - c->in_bytes, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			client_close(c);
			return NIB_CONTROL_STAY;
		}
		c->in_bytes += n > 0 ? (size_t)n : 0;
	}
	return client_lines(c, device);
}

static void control_accept(struct nib_control *control)
{
	int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);

	for (unsigned int i = 0; fd >= 0 && i < NIB_CONTROL_CLIENTS; i++) {
		if (control->clients[i].fd < 0) {
			control->clients[i].fd = fd;
			return;
		}
	}
	/* One too many. */
	if (fd >= 0)
		close(fd);
}

unsigned int nib_control_fds(const struct nib_control *control, struct pollfd *fds)
{
	unsigned int count = 0;

	fds[count++] = (struct pollfd){ .fd = control->listener, .events = POLLIN };
	for (unsigned int i = 0; i < NIB_CONTROL_CLIENTS; i++) {
		const struct client *c = &control->clients[i];

		if (c->fd >= 0)
			fds[count++] = (struct pollfd){
				.fd = c->fd, .events = c->out ? POLLOUT : POLLIN,
			};
	}
	return count;
}

enum nib_control_end nib_control_serve(struct nib_control *control, const struct pollfd *fds,
				       unsigned int count, struct nib_device *device)
{
	enum nib_control_end end = NIB_CONTROL_STAY;

	for (unsigned int i = 0; i < count && end == NIB_CONTROL_STAY; i++) {
		if (!fds[i].revents)
			continue;
		if (fds[i].fd == control->listener)
			control_accept(control);
		for (unsigned int j = 0; j < NIB_CONTROL_CLIENTS; j++) {
			struct client *c = &control->clients[j];

			if (c->fd == fds[i].fd && end == NIB_CONTROL_STAY)
				end = client_serve(c, device);
		}
	}
	return end;
}

/* --- Life --- */

static int address_set(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return 0;
}

static int address_connect(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

bool nib_control_is_stale(const char *path)
{
	struct sockaddr_un address;
	int fd;

	if (address_set(&address, path))
		return false;
	fd = address_connect(&address);
	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

static int address_bind(int fd, const struct sockaddr_un *address)
{
	const struct sockaddr *a = (const struct sockaddr *)address;

	if (bind(fd, a, sizeof(*address)) == 0)
		return 0;
	if (errno == EADDRINUSE && nib_control_is_stale(address->sun_path) &&
	    unlink(address->sun_path) == 0 && bind(fd, a, sizeof(*address)) == 0)
		return 0;
	return -errno;
}

int nib_control_create(const char *path, char *error, size_t error_bytes,
		       struct nib_control **out)
{
	struct nib_control *control = calloc(1, sizeof(*control));
	int err;

	if (!control)
		return -ENOMEM;
	for (unsigned int i = 0; i < NIB_CONTROL_CLIENTS; i++)
		control->clients[i].fd = -1;
	err = address_set(&control->address, path);
	if (err)
		goto err_free;
	control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->listener < 0) {
		err = -errno;
		goto err_free;
	}
	err = address_bind(control->listener, &control->address);
	if (err)
		goto err_close;
	if (listen(control->listener, NIB_CONTROL_CLIENTS) < 0) {
		err = -errno;
		unlink(path);
		goto err_close;
	}
	*out = control;
	return 0;

err_close:
	close(control->listener);
err_free:
	free(control);
	snprintf(error, error_bytes, "%s: %s", path, strerror(-err));
	return err;
}

void nib_control_destroy(struct nib_control *control)
{
	if (!control)
		return;
	for (unsigned int i = 0; i < NIB_CONTROL_CLIENTS; i++)
		if (control->clients[i].fd >= 0)
			client_close(&control->clients[i]);
	unlink(control->address.sun_path);
	close(control->listener);
	free(control);
}

/* --- The other side --- */

int nib_control_send(const char *path, const char *line, char **answer)
{
	struct sockaddr_un address;
	size_t capacity = 0;
	int fd, err;
	FILE *file;

	*answer = NULL;
	err = address_set(&address, path);
	if (err)
		return err;
	fd = address_connect(&address);
	if (fd < 0)
		return fd;
	file = fdopen(fd, "r+");
	if (!file) {
		err = -errno;
		close(fd);
		return err;
	}
	if (fprintf(file, "%s\n", line) < 0 || fflush(file) ||
	    getline(answer, &capacity, file) < 0) {
		free(*answer);
		*answer = NULL;
		err = -ECONNRESET;
	}
	fclose(file);
	return err;
}
