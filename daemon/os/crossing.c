/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/crossing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/base/parse.h"
#include "daemon/os/fd.h"
#include "daemon/os/io.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Kernels before 6.3 do not know that it is not to be executed; later ones may insist. */
static int make(void)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("tproxyd-state", flags | MFD_NOEXEC_SEAL);

	return fd < 0 && errno == EINVAL ? memfd_create("tproxyd-state", flags) : fd;
}

int crossing_seal(const struct strbuf *text, int *ret_fd, struct error *err)
{
	_close_ int fd = make();
	int r;

	if (fd < 0)
		return error_sys(err, -errno, "make a memfd");
	if (text->failed)
		return error_sys(err, -ENOMEM, "write down the state");
	r = io_write_all(fd, text->text, text->len);
	if (r == 0 && (fcntl(fd, F_ADD_SEALS, SEALS) < 0 || lseek(fd, 0, SEEK_SET) < 0))
		r = -errno;
	if (r < 0)
		return error_sys(err, r, "write down the state");
	*ret_fd = take_fd(&fd);
	return 0;
}

int crossing_read(int fd, struct strbuf *ret, struct error *err)
{
	struct strbuf text = { 0 };
	int seals = fcntl(fd, F_GET_SEALS), r;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return error_set(err, -EINVAL, "descriptor %d is not the state of a tproxyd", fd);
	r = io_read_all(fd, HANDOVER_MAX, &text);
	if (r == 0 && text.failed)
		r = -ENOMEM;
	if (r < 0) {
		strbuf_done(&text);
		return error_sys(err, r, "read the state");
	}
	*ret = text;
	return 0;
}

void crossing_add_fd(struct strbuf *out, const char *prefix, const char *name, int fd)
{
	/* With a descriptor that is open it does not fail. */
	(void)fcntl(fd, F_SETFD, 0);
	handover_add_number(out, prefix, name, (uint64_t)fd);
}

bool crossing_hand_on(const char *variable, int fd)
{
	char number[16];

	(void)snprintf(number, sizeof(number), "%d", fd);
	return fcntl(fd, F_SETFD, 0) == 0 && setenv(variable, number, 1) == 0;
}

int crossing_number(const char *variable)
{
	const char *text = getenv(variable);
	uint64_t number;

	return text && parse_decimal(text, INT_MAX, &number) && number > STDERR_FILENO ? (int)number
										       : -1;
}

int crossing_take_fd(struct handover *handover, const char *prefix, const char *name, int *ret)
{
	uint64_t fd;

	if (handover_take_number(handover, prefix, name, INT_MAX, &fd) < 0 || fd <= STDERR_FILENO)
		return -EBADMSG;
	*ret = (int)fd;
	return 0;
}

void crossing_close(void)
{
	(void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}
