/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/crossing.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT "tproxyd-state 1\nend\n"

Test(crossing, a_text_crosses_that_nobody_can_change)
{
	_strbuf_ struct strbuf text = { 0 }, back = { 0 };
	struct error err = { 0 };
	int fd = -1;

	strbuf_add(&text, TEXT);
	cr_assert_eq(crossing_seal(&text, &fd, &err), 0, "%s", err.text);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_expect_eq(write(fd, "x", 1), -1);
	cr_expect_eq(ftruncate(fd, 0), -1);
	cr_expect_eq(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	cr_assert_eq(crossing_read(fd, &back, &err), 0, "%s", err.text);
	cr_expect_str_eq(strbuf_text(&back), TEXT);
	(void)close(fd);
}

static void refuses(int fd)
{
	struct strbuf text = { 0 };
	struct error err = { 0 };

	cr_expect_lt(crossing_read(fd, &text, &err), 0);
	cr_expect(strstr(err.text, "is not the state of a tproxyd"), "%s", err.text);
	cr_expect_null(text.text);
	(void)close(fd);
}

Test(crossing, what_may_change_is_refused)
{
	int unsealed = memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int half = memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_eq(write(unsealed, TEXT, strlen(TEXT)), (ssize_t)strlen(TEXT));
	cr_assert_eq(fcntl(half, F_ADD_SEALS, F_SEAL_WRITE), 0);
	refuses(unsealed);
	refuses(half);
	refuses(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
	refuses(open("/dev/null", O_RDONLY | O_CLOEXEC));
	refuses(12345);
}

Test(crossing, descriptors_cross_until_nothing_does)
{
	_strbuf_ struct strbuf out = { 0 };
	struct handover handover = { 0 };
	struct error err = { 0 };
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), back = -1;

	handover_begin(&out);
	crossing_add_fd(&out, "a.", "fd", fd);
	handover_add_number(&out, "a.", "stderr", STDERR_FILENO);
	handover_add_number(&out, "a.", "large", (uint64_t)1 << 31);
	handover_add_text(&out, "a.", "text", "7");
	handover_end(&out);
	cr_expect_eq(fcntl(fd, F_GETFD), 0);
	cr_assert_eq(handover_parse(out.text, out.len, &handover, &err), 0, "%s", err.text);
	cr_expect_eq(crossing_take_fd(&handover, "a.", "fd", &back), 0);
	cr_expect_eq(back, fd);
	cr_expect_eq(crossing_take_fd(&handover, "a.", "stderr", &back), -EBADMSG);
	cr_expect_eq(crossing_take_fd(&handover, "a.", "large", &back), -EBADMSG);
	cr_expect_eq(crossing_take_fd(&handover, "a.", "text", &back), -EBADMSG);
	cr_expect_eq(crossing_take_fd(&handover, "a.", "none", &back), -EBADMSG);
	cr_expect_eq(back, fd);
	crossing_close();
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_expect_eq(fcntl(STDERR_FILENO, F_GETFD), 0);
	handover_done(&handover);
	(void)close(fd);
}
