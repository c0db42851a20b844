/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/operator/log.h"

TestSuite(log, .init = cr_redirect_stderr);

Test(log, begins_a_line_of_a_pipe_or_file_with_a_word)
{
	log_warning("Port %d", 80);
	log_error(NULL, "Port %d", 81);
	cr_assert_stderr_eq_str("warning: Port 80\nerror: Port 81\n");
}

Test(log, says_the_severity_of_a_diagnostic_once)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct diag_list list = { .arena = &arena };
	const struct origin origin = { ORIGIN_FILE, "/x.yaml", 3, 1 };

	diag_add(&list, SEVERITY_ERROR, &origin, "wait", "is no number");
	log_diag(&list.items[0]);
	cr_assert_stderr_eq_str("/x.yaml:3:1: error: wait: is no number\n");
}

/* A stream of systemd's whose journal cannot be reached otherwise: the variable names stderr. */
static void become_stream(void)
{
	struct rlimit before;
	char name[64];
	struct stat st;

	cr_assert_eq(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(name, sizeof(name), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino);
	cr_assert_eq(setenv("JOURNAL_STREAM", name, 1), 0);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 3, before.rlim_max }), 0);
	log_init();
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}

Test(log, begins_a_line_of_the_journals_stream_with_its_priority)
{
	become_stream();
	log_warning("Port %d", 80);
	cr_assert_stderr_eq_str("<4>Port 80\n");
}

Test(log, takes_a_variable_of_somebody_elses_stream_for_nothing)
{
	cr_assert_eq(setenv("JOURNAL_STREAM", "1:1", 1), 0);
	log_init();
	log_warning("Port %d", 80);
	cr_assert_stderr_eq_str("warning: Port 80\n");
}

Test(log, makes_one_line_of_a_text_whatever_is_quoted_in_it)
{
	log_error(NULL, "kuma-dp said: %s", "a\n<0>b\x1b[31mc\x7f");
	cr_assert_stderr_eq_str("error: kuma-dp said: a <0>b\xef\xbf\xbd[31mc\xef\xbf\xbd\n");
}

Test(log, leaves_text_that_is_not_ascii_alone)
{
	log_notice("j\xc3\xbcrgen");
	cr_assert_stderr_eq_str("notice: j\xc3\xbcrgen\n");
}
