/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/error.h"

#include <stdarg.h>
#include <string.h>

#include "common/base/utf8.h"

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list args;

	if (!err)
		return code;
	err->code = code;
	va_start(args, fmt);
	utf8_vprint(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return code;
}

int error_sys(struct error *err, int code, const char *fmt, ...)
{
	va_list args;
	size_t len;

	if (!err)
		return code;
	err->code = code;
	va_start(args, fmt);
	utf8_vprint(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	len = strlen(err->text);
	utf8_print(err->text + len, sizeof(err->text) - len, ": %s", strerror(-code));
	return code;
}

int error_wrap(struct error *err, int code, const char *fmt, ...)
{
	char inner[sizeof(err->text)];
	va_list args;
	size_t len;

	if (!err)
		return code;
	memcpy(inner, err->text, sizeof(inner));
	err->code = code;
	va_start(args, fmt);
	utf8_vprint(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	len = strlen(err->text);
	utf8_print(err->text + len, sizeof(err->text) - len, ": %s", inner);
	return code;
}
