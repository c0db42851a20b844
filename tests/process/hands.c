/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "daemon/loop/state.h"

#define SOMEBODY 54377

/* Whoever began to listen on the admin socket may have ended since, and its number be another's. */
Test(hands, watch_and_stop_no_process_of_another_user)
{
	static struct generation generation;
	static struct daemon d = { .current = &generation };
	siginfo_t si = { 0 };
	pid_t pid;

	cr_assert_geq(sd_event_new(&d.event), 0);
	pid = fork();
	if (pid == 0) {
		(void)alarm(60);
		for (;;)
			(void)pause();
	}
	generation.plan.user.uid = SOMEBODY;
	cr_expect_eq(daemon_system_ops.watch_envoy(&d, pid), -ESRCH);
	cr_expect_eq(daemon_system_ops.signal_envoy(&d, SIGSTOP), -ESRCH);

	generation.plan.user.uid = getuid();
	cr_expect_eq(daemon_system_ops.watch_envoy(&d, pid), 0);
	cr_expect_eq(daemon_system_ops.signal_envoy(&d, SIGSTOP), 0);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &si, WSTOPPED), 0);
	cr_expect_eq(si.si_code, CLD_STOPPED);

	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)sd_event_source_disable_unref(d.envoy_exit);
	(void)sd_event_unref(d.event);
}
