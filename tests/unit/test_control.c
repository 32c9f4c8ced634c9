// SPDX-License-Identifier: MIT
/* Requests of the control socket: what is understood, what is refused, and the socket itself. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "control.h"
#include "driver.h"

static struct driver *d;
static enum nib_control_end end;
static char *last;

static void setup(void)
{
	d = driver_new("small", "scalar");
	driver_boot(d);
	driver_context(d, 0);
	driver_queue(d, 3, 0, 16, NIB_PRIORITY_NORMAL, 16, 5);
}

static void teardown(void)
{
	free(last);
	last = NULL;
	driver_free(d);
}

static const char *ask(const char *line)
{
	free(last);
	last = nib_control_execute(d->device, line, strlen(line), &end);
	ck_assert_ptr_nonnull(last);
	ck_assert_int_eq(last[strlen(last) - 1], '\n');
	ck_assert_ptr_eq(strchr(last, '\n'), last + strlen(last) - 1);
	return last;
}

#define OK(line) ck_assert_str_eq(ask(line), "{\"ok\":true}\n")

static void refused(const char *line, const char *why)
{
	ck_assert_msg(!strncmp(ask(line), "{\"error\":\"", 10) && strstr(last, why), "%s: %s", line,
		      last);
	ck_assert_int_eq(end, NIB_CONTROL_STAY);
}

START_TEST(every_fault_can_be_ordered)
{
	struct nib_fault_state states[NIB_FAULTS];
	char line[128];

	for (unsigned int i = 0; i < NIB_FAULTS; i++) {
		const struct nib_fault_info *info = nib_fault_info(i);

		ck_assert(info->name && info->what && info->driver);
		snprintf(line, sizeof(line), "{\"inject\":\"%s\",\"after\":7,\"count\":3}",
			 info->name);
		OK(line);
		nib_device_faults(d->device, states);
		ck_assert_uint_eq(states[i].pending, 3);
		ck_assert_uint_eq(states[i].struck, 0);
		snprintf(line, sizeof(line), "\"%s\":{", info->name);
		ck_assert_ptr_nonnull(strstr(ask("{\"list\":true}"), line));
	}
	OK("{\"clear\":true}");
	nib_device_faults(d->device, states);
	for (unsigned int i = 0; i < NIB_FAULTS; i++)
		ck_assert_uint_eq(states[i].pending, 0);
}
END_TEST

START_TEST(members_are_for_their_faults)
{
	OK("{\"inject\":\"lost-interrupt\",\"queue\":3,\"count\":\"forever\"}");
	OK("{\"inject\":\"lost-interrupt\",\"vector\":0}");
	OK("{\"inject\":\"dead-doorbell\",\"queue\":3}");
	OK("{\"inject\":\"stuck-packet\",\"rung\":\"function\",\"queue\":3}");
	OK("{\"inject\":\"firmware-hang\",\"rung\":\"function\",\"after\":1}");
	OK("{\"inject\":\"late-completion\",\"ms\":5,\"others\":2}");
	OK("{\"inject\":\"corrupt-completion\",\"field\":\"phase\"}");
	OK("{\"inject\":\"firmware-refused\",\"error\":\"api\"}");
	OK("{\"inject\":\"firmware-api\",\"api\":7}");
	OK("{\"inject\":\"bad-answer\",\"status\":5,\"op\":\"queue-destroy\"}");
	OK("{\"inject\":\"ecc-fatal\",\"address\":4096}");
	refused("{\"inject\":\"lost-interrupt\",\"queue\":4}", "no queue 4");
	refused("{\"inject\":\"lost-interrupt\",\"vector\":32}", "vector");
	refused("{\"inject\":\"dead-doorbell\",\"vector\":1}", "vector");
	refused("{\"inject\":\"dead-admin-doorbell\",\"queue\":3}", "queue");
	refused("{\"inject\":\"stuck-packet\",\"rung\":\"roof\"}", "rung");
	refused("{\"inject\":\"firmware-hang\",\"rung\":\"queue\"}", "range");
	refused("{\"inject\":\"mmu-fault\",\"rung\":\"queue\"}", "mmu-fault has no such member");
	refused("{\"inject\":\"bad-answer\",\"status\":0}", "range");
	refused("{\"inject\":\"firmware-refused\",\"error\":\"none\"}", "error");
	refused("{\"inject\":\"slow-dma\",\"ms\":600001}", "ms");
	refused("{\"inject\":\"slow-dma\",\"count\":0}", "range");
	refused("{\"inject\":\"slow-dma\",\"count\":-1}", "count");
	refused("{\"inject\":\"slow-dma\",\"count\":1.5}", "count");
	refused("{\"inject\":\"slow-dma\",\"count\":4294967296}", "count");
	refused("{\"inject\":\"ecc-fatal\",\"address\":9000000000000000000}", "range");
}
END_TEST

START_TEST(nonsense_is_refused)
{
	static const char *const lines[] = {
		"", "x", "[]", "1", "null", "{", "{}", "{\"inject\":1}", "{\"inject\":\"\"}",
		"{\"list\":1}", "{\"list\":false}", "{\"list\":true,\"x\":1}", "{\"link\":\"off\"}",
		"{\"quit\":null}", "{\"remove\":\"true\"}", "{\"clear\":{}}", "{\"random\":[]}",
		"{\"random\":{\"mmu-fault\":2}}", "{\"random\":{\"x\":0.1}}",
		"{\"random\":{\"mmu-fault\":0.1},\"seed\":-1}", "{\"seed\":1}",
		"{\"random\":{\"mmu-fault\":{\"probability\":0.1,\"count\":1}}}",
		"{\"random\":{\"mmu-fault\":{}}}", "{\"quit\":true,\"quit\":true}",
		"{\"inject\":\"mmu-fault\",\"\xff\":1}", "{\"inject\":\"mmu-fault\"} x",
		"{\"random\":{\"mmu-fault\":0.1},\"other\":1}",
	};
	char deep[NIB_CONTROL_LINE];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		refused(lines[i], "\"");
	memset(deep, '[', sizeof(deep));
	free(last);
	last = nib_control_execute(d->device, deep, sizeof(deep), &end);
	ck_assert_ptr_nonnull(strstr(last, "error"));
	/* A name that is cut in the middle of a character. */
	refused("{\"inject\":\"mmu-fault\",\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xc3\xa9\":1}",
		"\"");
}
END_TEST

START_TEST(ends_are_told)
{
	OK("{\"quit\":true}");
	ck_assert_int_eq(end, NIB_CONTROL_QUIT);
	OK("{\"remove\":true}");
	ck_assert_int_eq(end, NIB_CONTROL_REMOVE);
	OK("{\"clear\":true}");
	ck_assert_int_eq(end, NIB_CONTROL_STAY);
}
END_TEST

START_TEST(the_link_goes_and_comes)
{
	OK("{\"link\":\"down\"}");
	ck_assert_uint_eq(driver_read(d, NIB_REG_MAGIC), UINT32_MAX);
	ck_assert_ptr_nonnull(strstr(ask("{\"status\":true}"), "\"link\":\"down\""));
	OK("{\"link\":\"up\"}");
	ck_assert_uint_eq(driver_read(d, NIB_REG_MAGIC), NIB_MAGIC);
	ck_assert_uint_eq(driver_read(d, NIB_REG_FW_STATE), NIB_FW_OFF);
	driver_boot(d);
	ck_assert_ptr_nonnull(strstr(ask("{\"status\":true}"), "\"link_losses\":1"));
}
END_TEST

START_TEST(status_tells_of_queues)
{
	ask("{\"status\":true}");
	ck_assert_ptr_nonnull(strstr(last, "\"state\":\"ready\""));
	ck_assert_ptr_nonnull(strstr(last, "\"queues\":[{\"queue\":3,\"context\":0"));
	OK("{\"inject\":\"firmware-hang\"}");
	ck_assert_ptr_nonnull(strstr(ask("{\"status\":true}"), "\"hung\":true"));
}
END_TEST

/* --- The socket --- */

static struct nib_control *control;
static char path[64];
static bool stop;
static enum nib_control_end ended;

static void *serve(void *arg)
{
	struct pollfd fds[NIB_CONTROL_FDS];

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		unsigned int n = nib_control_fds(control, fds);
		enum nib_control_end e;

		if (poll(fds, n, 10) <= 0)
			continue;
		e = nib_control_serve(control, fds, n, d->device);
		if (e != NIB_CONTROL_STAY)
			__atomic_store_n(&ended, e, __ATOMIC_RELEASE);
	}
	return arg;
}

static pthread_t server;

static void setup_socket(void)
{
	char error[128];

	setup();
	snprintf(path, sizeof(path), "/tmp/nib-control-%d", (int)getpid());
	stop = false;
	ended = NIB_CONTROL_STAY;
	ck_assert_int_eq(nib_control_create(path, error, sizeof(error), &control), 0);
	ck_assert_int_eq(pthread_create(&server, NULL, serve, NULL), 0);
}

static void teardown_socket(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(server, NULL);
	nib_control_destroy(control);
	ck_assert_int_ne(access(path, F_OK), 0);
	teardown();
}

static int dial(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(FILE *f, const char *text)
{
	ck_assert_int_eq(send(fileno(f), text, strlen(text), 0), (ssize_t)strlen(text));
}

static void expect(FILE *f, const char *start)
{
	char *line = NULL;
	size_t size = 0;

	ck_assert_int_gt(getline(&line, &size, f), 0);
	ck_assert_msg(!strncmp(line, start, strlen(start)), "%s", line);
	free(line);
}

START_TEST(lines_are_answered_in_order)
{
	FILE *a = fdopen(dial(), "r"), *b = fdopen(dial(), "r");
	char *answer;

	/* Several in one piece, one in several, empty ones, another client between them. */
	say(a, "{\"clear\":true}\n\n{\"x\":1}\n{\"li");
	expect(a, "{\"ok\":true}");
	say(b, "{\"status\":true}\n");
	expect(b, "{\"firmware\"");
	say(a, "st\":true}\n{\"clear\":true}\n");
	expect(a, "{\"error\"");
	expect(a, "{\"faults\"");
	expect(a, "{\"ok\":true}");
	fclose(a);
	fclose(b);
	ck_assert_int_eq(nib_control_send(path, "{\"quit\":true}", &answer), 0);
	ck_assert_str_eq(answer, "{\"ok\":true}\n");
	free(answer);
	for (unsigned int i = 0; i < 5000 && !__atomic_load_n(&ended, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
	ck_assert_int_eq(ended, NIB_CONTROL_QUIT);
}
END_TEST

START_TEST(long_lines_cost_one_answer)
{
	FILE *f = fdopen(dial(), "r");

	for (unsigned int i = 0; i < 3 * NIB_CONTROL_LINE; i++)
		say(f, "[");
	say(f, "\n{\"clear\":true}\n");
	expect(f, "{\"error\":\"line is too long\"}");
	expect(f, "{\"ok\":true}");
	fclose(f);
}
END_TEST

START_TEST(who_does_not_read_is_not_waited_for)
{
	int deaf = dial();
	char *answer;

	/* More answers than a socket holds. */
	for (unsigned int i = 0; i < 2000; i++)
		if (send(deaf, "{\"list\":true}\n", 14, MSG_DONTWAIT) < 0)
			break;
	ck_assert_int_eq(nib_control_send(path, "{\"clear\":true}", &answer), 0);
	free(answer);
	close(deaf);
	ck_assert_int_eq(nib_control_send(path, "{\"clear\":true}", &answer), 0);
	free(answer);
}
END_TEST

START_TEST(one_client_too_many_is_cut_off)
{
	int fds[NIB_CONTROL_CLIENTS], more;
	char *answer, byte;

	for (unsigned int i = 0; i < NIB_CONTROL_CLIENTS; i++) {
		fds[i] = dial();
		ck_assert_int_eq(send(fds[i], "{\"x\":1}\n", 8, 0), 8);
		ck_assert_int_eq(recv(fds[i], &byte, 1, 0), 1);
	}
	more = dial();
	ck_assert_int_eq(recv(more, &byte, 1, 0), 0);
	close(more);
	for (unsigned int i = 0; i < NIB_CONTROL_CLIENTS; i++)
		close(fds[i]);
	usleep(50000);
	ck_assert_int_eq(nib_control_send(path, "{\"clear\":true}", &answer), 0);
	free(answer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control");
	TCase *requests = tcase_create("requests"), *sockets = tcase_create("sockets");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(requests, setup, teardown);
	tcase_add_test(requests, every_fault_can_be_ordered);
	tcase_add_test(requests, members_are_for_their_faults);
	tcase_add_test(requests, nonsense_is_refused);
	tcase_add_test(requests, ends_are_told);
	tcase_add_test(requests, the_link_goes_and_comes);
	tcase_add_test(requests, status_tells_of_queues);
	tcase_add_checked_fixture(sockets, setup_socket, teardown_socket);
	tcase_add_test(sockets, lines_are_answered_in_order);
	tcase_add_test(sockets, long_lines_cost_one_answer);
	tcase_add_test(sockets, who_does_not_read_is_not_waited_for);
	tcase_add_test(sockets, one_client_too_many_is_cut_off);
	suite_add_tcase(suite, requests);
	suite_add_tcase(suite, sockets);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
