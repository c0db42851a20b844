/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/io.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/utf8.h"

int io_read_all(int fd, size_t max, struct strbuf *ret)
{
	char buf[4096];

	while (ret->len <= max) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		strbuf_add_len(ret, buf, (size_t)n);
	}
	return ret->failed ? -ENOMEM : 0;
}

int io_write_all(int fd, const void *data, size_t len)
{
	const char *from = data;

	while (len > 0) {
		ssize_t n = write(fd, from, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

void io_print_line(FILE *out, const char *text)
{
	_strbuf_ struct strbuf line = { 0 };

	utf8_add_clean(&line, text, strlen(text));
	(void)fprintf(out, "%s\n", line.failed ? "no memory to print a line" : strbuf_text(&line));
}

bool io_unix_address(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret->sun_path))
		return false;
	memcpy(ret->sun_path, path, strlen(path) + 1);
	return true;
}
