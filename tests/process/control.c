/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Both ends of the control socket, in a directory of our own. Who asks is a process of its own. */

#include "daemon/operator/control.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/array.h"
#include "daemon/os/clock.h"
#include "tests/process/lingering.h"

#define PATIENCE_USEC ((uint64_t)60 * 1000 * 1000)
#define NOBODY        65534
#define BIG           ((size_t)600 * 1000)

struct scene {
	char big[BIG + 1];
	char dir[32], path[64];
	sd_event *event;
	struct control *control;
	struct error err;
	char asked[160]; /* "REQUEST|ARGUMENT" */
	unsigned answers;
	unsigned ticket; /* of the last request that is answered later */
};

static struct scene s;

static json_t *answer(const char *request, const char *argument, void *userdata)
{
	struct scene *scene = userdata;

	scene->answers++;
	(void)snprintf(scene->asked, sizeof(scene->asked), "%s|%s", request, argument);
	if (strcmp(argument, "later") == 0) {
		scene->ticket = control_defer(scene->control);
		return NULL;
	}
	if (strcmp(argument, "slow") == 0)
		(void)usleep(5200 * 1000); /* longer than a client may take to ask */
	if (strcmp(argument, "big") != 0)
		return json_pack("{s:b}", "ok", 1);
	memset(scene->big, 'x', BIG);
	return json_pack("{s:s}", "big", scene->big);
}

static void setup(void)
{
	strcpy(s.dir, "/tmp/control.XXXXXX");
	cr_assert_not_null(mkdtemp(s.dir));
	cr_assert_eq(chmod(s.dir, 0755), 0);
	(void)snprintf(s.path, sizeof(s.path), "%s/socket", s.dir);
	cr_assert_eq(sd_event_new(&s.event), 0);
}

static void teardown(void)
{
	control_free(s.control);
	sd_event_unref(s.event);
	(void)unlink(s.path);
	cr_expect_eq(rmdir(s.dir), 0, "%s", strerror(errno));
}

TestSuite(control, .init = setup, .fini = teardown);

static int serve(void)
{
	const struct control_setup setup = {
		.event = s.event,
		.path = s.path,
		.priority = 10, /* behind others, as in the daemon */
		.answer = answer,
		.userdata = &s,
	};

	return control_new(&setup, &s.control, &s.err);
}

static uint64_t now_usec(void)
{
	uint64_t now;

	cr_assert_geq(sd_event_now(s.event, CLOCK_MONOTONIC, &now), 0);
	return now;
}

static void turn(void)
{
	cr_assert_geq(sd_event_run(s.event, 10000), 0);
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	cr_assert_eq(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Runs the loop until the peer has something to say, which is read: its length; 0: it has hung up. */
static size_t hear(int fd, char *text, size_t size)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t end = now_usec() + PATIENCE_USEC;
	ssize_t n;

	while (poll(&poll_fd, 1, 0) == 0) {
		cr_assert_lt(now_usec(), end, "no answer");
		turn();
	}
	n = recv(fd, text, size - 1, 0);
	if (n < 0)
		cr_assert_eq(errno, ECONNRESET);
	text[n < 0 ? 0 : n] = 0;
	return n < 0 ? 0 : (size_t)n;
}

static void expect_hung_up(int fd)
{
	char text[64];

	cr_expect_eq(hear(fd, text, sizeof(text)), 0, "said %s", text);
	(void)close(fd);
}

/* What a process that asks has to say: how control_call() ended, and the reply or the error. */
struct outcome {
	int r;
	size_t len;
	char text[512];
};

static void ask(const char *request, uint64_t timeout_usec, int fd)
{
	struct outcome outcome = { 0 };
	struct error err = { 0 };
	char *reply = NULL;

	outcome.r = control_call(s.path, request, timeout_usec, &reply, &err);
	outcome.len = reply ? strlen(reply) : 0;
	(void)snprintf(outcome.text, sizeof(outcome.text), "%s", reply ? reply : err.text);
	_exit(write(fd, &outcome, sizeof(outcome)) != sizeof(outcome));
}

/* Runs the loop while another process asks, as this user (0: whoever we are). */
static struct outcome call_as(uid_t uid, const char *request)
{
	struct outcome outcome = { 0 };
	int fds[2], status = -1;
	pid_t pid;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		if (uid && setresuid(uid, uid, uid) < 0)
			_exit(2);
		ask(request, PATIENCE_USEC, fds[1]);
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		turn();
	cr_assert_eq(status, 0);
	cr_assert_eq(read(fds[0], &outcome, sizeof(outcome)), (ssize_t)sizeof(outcome));
	(void)close(fds[0]);
	(void)close(fds[1]);
	return outcome;
}

static void expect_call(uid_t uid, const char *request, const char *reply)
{
	struct outcome outcome = call_as(uid, request);

	cr_expect_eq(outcome.r, 0, "%s", outcome.text);
	cr_expect_str_eq(outcome.text, reply);
}

Test(control, answers_a_request_with_its_argument)
{
	struct stat st;

	cr_assert_eq(serve(), 0, "%s", s.err.text);
	cr_assert_eq(lstat(s.path, &st), 0);
	cr_expect_eq(st.st_mode, S_IFSOCK | 0666);
	expect_call(0, "status", "{\"ok\":true}\n");
	cr_expect_str_eq(s.asked, "status|");
	expect_call(0, "status one two", "{\"ok\":true}\n");
	cr_expect_str_eq(s.asked, "status|one two");
}

Test(control, answers_nobody_but_root_more_than_status)
{
	static const char refusal[] = "{\"ok\":false,\"error\":\"only root may ask for that\"}\n";
	uid_t other = getuid() == 0 ? NOBODY : 0;

	cr_assert_eq(serve(), 0, "%s", s.err.text);
	expect_call(other, "retract", refusal);
	expect_call(other, "statusx", refusal);
	expect_call(other, "", refusal);
	cr_expect_eq(s.answers, 0);
	expect_call(other, "status", "{\"ok\":true}\n");
	if (getuid() == 0) {
		expect_call(0, "retract now", "{\"ok\":true}\n");
		cr_expect_str_eq(s.asked, "retract|now");
	}
}

Test(control, reads_a_request_in_pieces)
{
	char text[64];
	int fd;

	cr_assert_eq(serve(), 0, "%s", s.err.text);
	fd = connect_to(s.path);
	say(fd, "sta");
	turn();
	turn();
	say(fd, "tus\nand what comes after is for nobody");
	cr_assert_gt(hear(fd, text, sizeof(text)), 0);
	cr_expect_str_eq(text, "{\"ok\":true}\n");
	cr_expect_str_eq(s.asked, "status|");
	expect_hung_up(fd);
}

Test(control, hangs_up_on_a_request_that_is_too_long)
{
	char line[200];
	int fd;

	cr_assert_eq(serve(), 0, "%s", s.err.text);
	memset(line, 'a', sizeof(line));
	memcpy(line, "status ", 7);
	line[126] = '\n';
	line[127] = 0;
	fd = connect_to(s.path);
	say(fd, line);
	cr_expect_gt(hear(fd, line, sizeof(line)), 0, "126 bytes are not too many");
	(void)close(fd);

	memset(line, 'a', sizeof(line));
	line[sizeof(line) - 1] = 0;
	fd = connect_to(s.path);
	say(fd, line);
	expect_hung_up(fd);
	cr_expect_eq(s.answers, 1);
}

Test(control, sends_a_long_reply_in_pieces)
{
	struct outcome outcome;

	cr_assert_eq(serve(), 0, "%s", s.err.text);
	outcome = call_as(0, "status big");
	cr_expect_eq(outcome.r, 0, "%s", outcome.text);
	cr_expect_eq(outcome.len, BIG + strlen("{\"big\":\"\"}\n"));
}

/* Somebody who reads nothing, and somebody who says nothing, hold up nobody, and not for long. */
Test(control, answers_too_where_the_answer_takes_its_time)
{
	cr_assert_eq(serve(), 0, "%s", s.err.text);
	/* The loop comes back to a time that is over. */
	expect_call(0, "status slow", "{\"ok\":true}\n");
}

Test(control, does_not_wait_for_a_slow_peer)
{
	int deaf, silent;

	cr_assert_eq(serve(), 0, "%s", s.err.text);
	deaf = connect_to(s.path);
	say(deaf, "status big\n");
	silent = connect_to(s.path);
	say(silent, "stat");
	for (uint64_t end = now_usec() + PATIENCE_USEC; !s.answers && now_usec() < end;)
		turn();
	expect_call(0, "status", "{\"ok\":true}\n");
	expect_hung_up(silent);
	(void)close(deaf);
}

/* Neither in a request, nor in what is never read: of the last ones, for whom there is no place. */
Test(control, does_not_wait_for_the_end_of_what_was_sent_along)
{
	static const char *const texts[] = { "status\n", "st" };
	uint64_t begun = clock_usec();
	int fds[20], others[20];

	cr_assert_eq(serve(), 0, "%s", s.err.text);
	for (size_t i = 0; i < ELEMENTS(fds); i++) {
		fds[i] = connect_to(s.path);
		others[i] = lingering_send(fds[i], texts[i > 1]);
		while (sd_event_run(s.event, 10000) > 0)
			continue;
	}
	cr_expect_eq(s.answers, 2);
	cr_expect_lt(clock_usec() - begun, LINGER_SEC * (uint64_t)1000000 / 4);
	for (size_t i = 0; i < ELEMENTS(fds); i++) {
		(void)close(fds[i]);
		(void)close(others[i]);
	}
}

Test(control, keeps_places_for_root)
{
	int fds[12];

	if (getuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(serve(), 0, "%s", s.err.text);
	cr_assert_eq(seteuid(NOBODY), 0);
	for (size_t i = 0; i < 12; i++)
		fds[i] = connect_to(s.path);
	/* They come in the order in which they were made: all twelve are in when this one is out. */
	expect_hung_up(connect_to(s.path));
	cr_assert_eq(seteuid(0), 0);
	expect_call(0, "status", "{\"ok\":true}\n");
	for (size_t i = 0; i < 12; i++)
		(void)close(fds[i]);
	turn();
	expect_call(NOBODY, "status", "{\"ok\":true}\n");
}

static int ask_for_later(void)
{
	int fd = connect_to(s.path);

	s.ticket = 0;
	say(fd, "status later\n");
	for (uint64_t end = now_usec() + PATIENCE_USEC; !s.ticket && now_usec() < end;)
		turn();
	cr_assert_gt(s.ticket, 0);
	return fd;
}

/* Also after the time that a client has otherwise, and beside others. */
Test(control, answers_later_where_it_is_deferred)
{
	unsigned first;
	char text[64];
	int one, two;

	if (getuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(serve(), 0, "%s", s.err.text);
	one = ask_for_later();
	first = s.ticket;
	two = ask_for_later();
	cr_expect_neq(s.ticket, first);
	for (uint64_t end = now_usec() + 5500000; now_usec() < end;)
		cr_assert_geq(sd_event_run(s.event, 100000), 0);
	expect_call(0, "status", "{\"ok\":true}\n");
	control_reply(s.control, first, json_pack("{s:b}", "first", 1));
	cr_expect_gt(hear(one, text, sizeof(text)), 0);
	cr_expect_str_eq(text, "{\"first\":true}\n");
	expect_hung_up(one);
	control_reply(s.control, s.ticket, json_pack("{s:b}", "second", 1));
	cr_expect_gt(hear(two, text, sizeof(text)), 0);
	cr_expect_str_eq(text, "{\"second\":true}\n");
	/* Nobody has asked for these any more. */
	control_reply(s.control, first, json_object());
	control_reply(s.control, 0, json_object());
	(void)close(two);
}

Test(control, forgets_whoever_has_not_waited)
{
	int fd;

	if (getuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(serve(), 0, "%s", s.err.text);
	for (int i = 0; i < 20; i++) {
		fd = ask_for_later();
		(void)close(fd);
		turn();
	}
	control_reply(s.control, s.ticket, json_object());
	expect_call(0, "status", "{\"ok\":true}\n");
}

Test(control, replaces_a_socket_that_was_left)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, s.path, sizeof(s.path));
	cr_assert_eq(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	(void)close(fd);
	cr_expect_eq(call_as(0, "status").r, CONTROL_NOBODY);
	cr_assert_eq(serve(), 0, "%s", s.err.text);
	expect_call(0, "status", "{\"ok\":true}\n");
	control_free(s.control);
	s.control = NULL;
	cr_expect_eq(access(s.path, F_OK), -1, "the socket goes with its daemon");
	cr_expect_eq(call_as(0, "status").r, CONTROL_NOBODY);
}

Test(control, says_why_it_cannot_listen)
{
	cr_assert_eq(mkdir(s.path, 0700), 0);
	cr_expect_lt(serve(), 0);
	cr_expect(strstr(s.err.text, "replace /tmp/control."), "%s", s.err.text);
	cr_assert_eq(rmdir(s.path), 0);
	cr_assert_null(s.control);
}

Test(control, says_that_there_was_no_answer)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct error err = { 0 };
	char *reply = NULL;

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s%s", s.path,
		       geteuid() == 0 ? CONTROL_ROOT : "");
	cr_assert_eq(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	cr_assert_eq(listen(fd, 4), 0);
	cr_expect_lt(control_call(s.path, "status", 50000, &reply, &err), 0);
	cr_expect_str_eq(err.text, "tproxyd does not answer");
	cr_expect_null(reply);
	(void)close(fd);
}

Test(control, strangers_share_an_answer_and_root_has_a_socket_of_its_own)
{
	struct stat st;
	char path[80];

	cr_assert_eq(serve(), 0, "%s", s.err.text);
	(void)snprintf(path, sizeof(path), "%s" CONTROL_ROOT, s.path);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	if (getuid() != 0)
		return;
	for (unsigned i = 0; i < 3; i++)
		expect_call(NOBODY, "status", "{\"ok\":true}\n");
	cr_expect_eq(s.answers, 1);
	expect_call(0, "status", "{\"ok\":true}\n");
	cr_expect_eq(s.answers, 2);
}

/* The successor has the sockets of the former one, which looks at them no more: who waits is answered, who
 * has connected may ask, and new ones come. */
Test(control, is_handed_over_with_whoever_waits)
{
	struct control_setup setup = { .path = s.path, .answer = answer, .userdata = &s };
	struct handover handover = { 0 }, again = { 0 };
	_strbuf_ struct strbuf out = { 0 };
	int waits, fresh, half, late;
	struct control *former;
	char text[256];

	cr_assert_eq(serve(), 0, "%s", s.err.text);
	waits = connect_to(s.path);
	fresh = connect_to(s.path);
	half = connect_to(s.path);
	say(waits, "reload later\n");
	say(half, "stat");
	for (int i = 0; i < 12 && (!s.ticket || i < 8); i++)
		turn();
	cr_assert_neq(s.ticket, 0);
	handover_begin(&out);
	control_add_facts(s.control, &out);
	handover_end(&out);
	cr_assert_eq(handover_parse(out.text, out.len, &again, &s.err), 0, "%s", s.err.text);
	former = s.control;
	cr_expect_eq(control_inherit(&setup, &again, &s.control, &s.err), 0, "%s", s.err.text);
	cr_expect_eq(s.control, former);
	cr_expect_eq(handover_all_taken(&again, &s.err), 0, "%s", s.err.text);
	cr_assert_eq(handover_parse(out.text, out.len, &handover, &s.err), 0, "%s", s.err.text);
	cr_assert_eq(sd_event_new(&setup.event), 0);
	sd_event_unref(s.event);
	s.event = setup.event;
	cr_assert_eq(control_inherit(&setup, &handover, &s.control, &s.err), 0, "%s", s.err.text);
	control_reply(s.control, s.ticket, json_pack("{s:b}", "ok", 1));
	cr_expect_gt(hear(waits, text, sizeof(text)), 0);
	cr_expect_str_eq(text, "{\"ok\":true}\n");
	say(fresh, "status\n");
	cr_expect_gt(hear(fresh, text, sizeof(text)), 0);
	late = connect_to(s.path);
	say(late, "status\n");
	cr_expect_gt(hear(late, text, sizeof(text)), 0);
	cr_expect_str_eq(s.asked, "status|");
	control_free(s.control);
	s.control = former;
	handover_done(&handover);
	handover_done(&again);
	(void)close(waits);
	(void)close(fresh);
	(void)close(half);
	(void)close(late);
}
