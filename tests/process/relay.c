/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/relay.h"

#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "namespace.h"
#include "daemon/operator/log.h"
#include "tests/process/lingering.h"

/* A journal that only listens, in a /run of its own. */
static struct {
	sd_event *event;
	struct relay *relay;
	int fd;
	char text[100000]; /* of the last message */
} world;

static void start(void)
{
	static const struct sockaddr_un journal = { AF_UNIX, "/run/systemd/journal/socket" };
	struct error err = { 0 };
	struct stat st;
	char stream[64];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("run", "/run", "tmpfs", 0, NULL) < 0)
		cr_skip_test("no mount namespace: %s", strerror(errno));
	cr_assert_eq(mkdir("/run/systemd", 0755), 0);
	cr_assert_eq(mkdir("/run/systemd/journal", 0755), 0);
	world.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(world.fd, (const struct sockaddr *)&journal, sizeof(journal)), 0);
	cr_assert_eq(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino);
	cr_assert_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_init();
	cr_assert(log_is_journal());
	cr_assert_geq(sd_event_new(&world.event), 0);
	cr_assert_eq(relay_new(world.event, "kuma-dp", 10, &world.relay, &err), 0, "%s", err.text);
}

static void end(void)
{
	relay_free(world.relay);
	sd_event_unref(world.event);
}

TestSuite(relay, .init = start, .fini = end, .timeout = 60);

static void child_writes(const char *text)
{
	size_t len = strlen(text);

	cr_assert_eq(write(relay_output(world.relay), text, len), (ssize_t)len);
}

/* Lets the loop do what is due within a millisecond. */
static void turn(void)
{
	while (sd_event_run(world.event, 1000) > 0)
		continue;
}

static uint64_t now_usec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The next message, "" for none. */
static const char *message(void)
{
	ssize_t n = recv(world.fd, world.text, sizeof(world.text) - 1, 0);

	world.text[n < 0 ? 0 : n] = '\0';
	return world.text;
}

/* The next message has these fields, each with its line break. */
static void expect_message(const char *fields)
{
	cr_expect(strstr(message(), fields), "'%s' is not in '%s'", fields, world.text);
}

/* Fills the queue of the journal with what others say. */
static void fill_journal(void)
{
	static const struct sockaddr_un journal = { AF_UNIX, "/run/systemd/journal/socket" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	while (sendto(fd, "MESSAGE=x\n", 10, 0, (const struct sockaddr *)&journal,
		      sizeof(journal)) >= 0)
		continue;
	cr_assert_eq(errno, EAGAIN);
	(void)close(fd);
}

static void empty_journal(void)
{
	while (*message())
		continue;
}

Test(relay, passes_lines_on_clean_and_under_the_childs_name_with_the_process)
{
	char pid[64];

	child_writes("one\ntw");
	turn();
	child_writes("o\x1b[31m\xfc\n\n");
	turn();
	(void)snprintf(pid, sizeof(pid), "MESSAGE=one\nOBJECT_PID=%d\n", getpid());
	expect_message("SYSLOG_IDENTIFIER=kuma-dp\nPRIORITY=6\n");
	cr_expect(strstr(world.text, pid), "%s", world.text);
	expect_message("MESSAGE=two\xef\xbf\xbd[31m\xef\xbf\xbd\n");
	expect_message("MESSAGE=\n");
	cr_expect_str_eq(message(), "");
}

Test(relay, keeps_the_words_of_two_processes_apart)
{
	char line[64];
	pid_t pid = fork();

	if (pid == 0)
		_exit(write(relay_output(world.relay), "half", 4) == 4 ? 0 : 1);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	child_writes("whole\n");
	turn();
	(void)snprintf(line, sizeof(line), "MESSAGE=half\nOBJECT_PID=%d\n", pid);
	expect_message(line);
	(void)snprintf(line, sizeof(line), "MESSAGE=whole\nOBJECT_PID=%d\n", getpid());
	expect_message(line);
}

/* Nobody but a proxy that was taken over does so. */
Test(relay, does_not_wait_for_the_end_of_what_was_sent_along)
{
	uint64_t begun = now_usec();
	int other = lingering_send(relay_output(world.relay), "a line\n");

	turn();
	cr_expect_lt(now_usec() - begun, LINGER_SEC * (uint64_t)1000000 / 4);
	expect_message("MESSAGE=a line\n");
	(void)close(other);
}

Test(relay, has_another_output_for_the_next_child)
{
	struct error err = { 0 };
	unsigned turns = 0;

	child_writes("the last words\n");
	cr_assert_eq(shutdown(relay_output(world.relay), SHUT_RDWR), 0);
	for (uint64_t end = now_usec() + 300000; now_usec() < end; turns++)
		(void)sd_event_run(world.event, 100000);
	cr_expect_lt(turns, 20, "%u turns for what has ended", turns);
	expect_message("MESSAGE=the last words\n");

	cr_assert_eq(relay_renew(world.relay, &err), 0, "%s", err.text);
	child_writes("hello\n");
	turn();
	expect_message("MESSAGE=hello\n");
	child_writes("half a line");
	cr_assert_eq(relay_renew(world.relay, &err), 0, "%s", err.text);
	expect_message("MESSAGE=half a line\n");
	child_writes("whole\n");
	turn();
	expect_message("MESSAGE=whole\n");
}

Test(relay, cuts_a_long_line_at_a_character)
{
	char *text = malloc(30003), *at = text;

	*at++ = 'a';
	while (at < text + 30000)
		at = stpcpy(at, "\xc3\xbc");
	(void)stpcpy(at, "\n");
	child_writes(text);
	child_writes("next\n");
	turn();
	expect_message("MESSAGE=a\xc3\xbc");
	cr_expect_eq(strspn(strstr(world.text, "=a") + 2, "\xc3\xbc"), 8190);
	expect_message("MESSAGE=next\n");
	cr_expect_str_eq(message(), "");
	free(text);
}

Test(relay, holds_a_child_up_for_a_second_and_no_longer)
{
	uint64_t begin = now_usec();
	char line[1001];
	pid_t pid;

	memset(line, 'x', 999);
	line[999] = '\n';
	line[1000] = '\0';
	fill_journal();
	child_writes("first\n");
	turn();
	cr_expect_lt(now_usec() - begin, 500000, "the loop waits for nobody");
	/* Much more than a socket holds. */
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 3000; i++)
			child_writes(line);
		_exit(0);
	}
	while (waitpid(pid, NULL, WNOHANG) == 0)
		(void)sd_event_run(world.event, 10000);
	cr_expect_geq(now_usec() - begin, 900000);
	cr_expect_lt(now_usec() - begin, 10000000);
	turn();
	empty_journal();
	child_writes("taken again\n");
	turn();
	expect_message("MESSAGE=taken again\n");
}

Test(relay, waits_for_a_journal_that_is_only_busy)
{
	fill_journal();
	child_writes("one\ntwo\n");
	turn();
	child_writes("three\n");
	empty_journal();
	(void)usleep(20000);
	turn();
	expect_message("MESSAGE=one\n");
	expect_message("MESSAGE=two\n");
	expect_message("MESSAGE=three\n");
}

Test(relay, keeps_our_own_words_while_the_journal_takes_none)
{
	uint64_t begin = now_usec();

	fill_journal();
	for (int i = 0; i < 100; i++)
		log_warning("word %d", i);
	cr_expect_lt(now_usec() - begin, 1000000);
	child_writes("behind them\n");
	turn();
	empty_journal();
	/* As many at a time as the queue holds. */
	for (int i = 0; i < 64; i++) {
		char text[32];

		log_flush();
		(void)snprintf(text, sizeof(text), "MESSAGE=word %d\n", i);
		expect_message(text);
	}
	log_flush();
	expect_message("PRIORITY=4\nMESSAGE=36 messages were lost while the journal took none\n");
	(void)usleep(20000);
	turn();
	expect_message("MESSAGE=behind them\n");
}

Test(relay, drops_what_is_beyond_the_limit_and_not_our_own_words)
{
	char line[32];
	int n = 0;

	for (int i = 0; i < 10200; i++) {
		(void)snprintf(line, sizeof(line), "line %d\n", i);
		child_writes(line);
		if (i % 10 < 9)
			continue;
		turn();
		while (*message())
			n += strstr(world.text, "MESSAGE=line ") != NULL;
	}
	cr_expect_eq(n, 10000, "%d", n);
	log_warning("still here");
	expect_message("MESSAGE=still here\n");
}

static void expect_quote(const char *text)
{
	struct strbuf out = { 0 };

	relay_quote(world.relay, &out);
	cr_expect(strstr(strbuf_text(&out), text), "%s", strbuf_text(&out));
	strbuf_done(&out);
}

Test(relay, quotes_the_line_that_tells_most_and_the_last_of_such)
{
	child_writes("INFO begin\nINFO go on\n");
	expect_quote("said: INFO go on");
	child_writes("WARN this failed\nINFO go on\n");
	expect_quote("said: WARN this failed");
	child_writes("ERROR could not do it\nWARN that failed\nINFO more\n");
	expect_quote("said: ERROR could not do it");
	child_writes("ERROR connection refused\nINFO more\n");
	expect_quote("said: ERROR connection refused");
}

Test(relay, quotes_what_is_said_in_the_last_moment)
{
	for (int i = 0; i < 100; i++)
		child_writes("INFO it could not be better\n");
	child_writes("Error: mesh nowhere does not exist");
	expect_quote("said: Error: mesh nowhere does not exist");
}

Test(relay, does_not_quote_what_was_long_ago)
{
	child_writes("ERROR connection refused\n");
	for (int i = 0; i < 2000; i++) {
		child_writes("INFO all is well\n");
		if (i % 100 == 0)
			expect_quote("said: ERROR connection refused");
	}
	expect_quote("said: INFO all is well");
}

/* What an execve would leave of it, in another loop. The former one keeps descriptors that are not its own
 * any more. */
static struct relay *hand_over(void)
{
	struct handover handover = { 0 };
	_strbuf_ struct strbuf text = { 0 };
	struct relay *next = NULL;
	struct error err = { 0 };

	handover_begin(&text);
	relay_add_facts(world.relay, "output.", &text);
	handover_end(&text);
	cr_assert_eq(handover_parse(text.text, text.len, &handover, &err), 0, "%s", err.text);
	sd_event_unref(world.event);
	cr_assert_geq(sd_event_new(&world.event), 0);
	cr_assert_eq(relay_inherit(&(struct relay_heir){ world.event, "kuma-dp", 10, "output." },
				   &handover, &next, &err),
		     0, "%s", err.text);
	handover_done(&handover);
	return next;
}

static void retry(void)
{
	cr_assert_eq(usleep(20000), 0);
	turn();
}

Test(relay, a_line_that_waits_for_the_journal_does_so_after_a_handover_too)
{
	struct relay *next;

	fill_journal();
	child_writes("one\n");
	turn();
	next = hand_over();
	empty_journal();
	retry();
	expect_message("MESSAGE=one\n");
	relay_free(next);
}

Test(relay, what_waits_leaves_no_room_for_more_after_a_handover_either)
{
	static char a[4096 + 1], b[4096 + 1];
	struct relay *next;

	memset(a, 'a', 4096);
	memset(b, 'b', 4096);
	b[0] = '\n';
	child_writes(a);
	turn();
	child_writes(a);
	turn();
	fill_journal();
	child_writes(b);
	turn();
	next = hand_over();
	child_writes(a);
	turn();
	empty_journal();
	retry();
	expect_message("MESSAGE=aaaa");
	child_writes("\n");
	retry();
	expect_message("MESSAGE=bbbb");
	relay_free(next);
}

/* What a successor knows of it is text alone: the descriptors are those of the former one, which reads no
 * more. A child may say what looks like facts. */
Test(relay, is_handed_over_with_the_half_line_that_has_come)
{
	const struct relay_heir looks = { NULL, "kuma-dp", 10, "output." };
	struct handover handover = { 0 };
	_strbuf_ struct strbuf text = { 0 }, quotes = { 0 };
	struct relay *former = world.relay, *next = NULL;
	struct error err = { 0 };

	child_writes("dial: refused\nhalf \"a\" line\\\r\x01");
	turn();
	expect_message("MESSAGE=dial: refused\n");
	handover_begin(&text);
	relay_add_facts(former, looks.prefix, &text);
	handover_end(&text);
	cr_assert_eq(handover_parse(text.text, text.len, &handover, &err), 0, "%s", err.text);
	cr_expect_eq(relay_inherit(&looks, &handover, &next, &err), 0, "%s", err.text);
	cr_expect_null(next);
	cr_expect_eq(handover_all_taken(&handover, &err), 0, "%s", err.text);
	next = hand_over();
	child_writes(", its end\n");
	retry();
	expect_message("MESSAGE=half \"a\" line\\\xef\xbf\xbd\xef\xbf\xbd, its end\n");
	relay_quote(next, &quotes);
	cr_expect(strstr(strbuf_text(&quotes), "said: dial: refused"), "%s", strbuf_text(&quotes));
	relay_free(next);
	handover_done(&handover);
	/* Its descriptors are closed by now. */
	world.relay = former;
}
