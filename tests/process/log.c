/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include "daemon/operator/log.h"

TestSuite(log, .init = cr_redirect_stderr);

Test(log, begins_a_line_with_its_priority)
{
	log_warning("Port %d", 80);
	cr_assert_stderr_eq_str("<4>Port 80\n");
}

Test(log, makes_one_line_of_a_text_whatever_is_quoted_in_it)
{
	log_error(NULL, "kuma-dp said: %s", "a\n<0>b\x1b[31mc\x7f");
	cr_assert_stderr_eq_str("<3>kuma-dp said: a <0>b\xef\xbf\xbd[31mc\xef\xbf\xbd\n");
}

Test(log, leaves_text_that_is_not_ascii_alone)
{
	log_notice("j\xc3\xbcrgen");
	cr_assert_stderr_eq_str("<5>j\xc3\xbcrgen\n");
}
