/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/peer.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#include "daemon/os/clock.h"
#include "tests/process/lingering.h"
#include "tests/process/namespace.h"

/* Far below LINGER_SEC, on any machine. */
#define SOON_USEC ((uint64_t)5 * 1000 * 1000)

static int fds[2];

static void pair(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

Test(peer, is_read_without_waiting_for_the_end_of_what_was_sent_along, .init = pair)
{
	uint64_t begun = clock_usec();
	char text[8];
	int other = lingering_send(fds[0], "text");

	cr_expect_eq(peer_recv(fds[1], text, sizeof(text)), 4);
	cr_expect_lt(clock_usec() - begun, SOON_USEC);
	(void)close(other);
}

Test(peer, is_closed_without_waiting_for_the_end_of_what_was_sent_along, .init = pair)
{
	uint64_t begun = clock_usec();
	int other = lingering_send(fds[0], "text"), more = lingering_send(fds[0], "text");

	peer_close(fds[1]);
	cr_expect_lt(clock_usec() - begun, SOON_USEC);
	(void)close(other);
	(void)close(more);
}

Test(peer, that_says_nothing_is_not_waited_for, .init = pair)
{
	char text[8];

	cr_expect_eq(peer_recv(fds[1], text, sizeof(text)), -1);
	cr_expect_eq(errno, EAGAIN);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* The limit of a re-exec, for one, is such a timer. */
Test(peer, leaves_the_timer_and_its_signal_as_they_were, .init = pair)
{
	const struct itimerval limit = { .it_value = { .tv_sec = 100 } };
	const struct sigaction action = { .sa_handler = on_alarm };
	struct sigaction found_action;
	struct itimerval found;
	char text[8];

	cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
	cr_assert_eq(setitimer(ITIMER_REAL, &limit, NULL), 0);
	(void)peer_recv(fds[1], text, sizeof(text));
	cr_assert_eq(getitimer(ITIMER_REAL, &found), 0);
	cr_expect_geq(found.it_value.tv_sec, 90);
	cr_expect_eq(found.it_interval.tv_usec, 0);
	cr_assert_eq(sigaction(SIGALRM, NULL, &found_action), 0);
	cr_expect_eq(found_action.sa_handler, on_alarm);
	(void)setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
}
