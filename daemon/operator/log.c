/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "common/base/utf8.h"

/* The one mutable object of the program that is not owned by a function (style: logging is the
 * exception everybody makes). */
static struct log_sink {
	enum log_level level;
	bool journal; /* stderr is a stream to the journal: send fields instead of text */
} log_sink = { .level = LOG_LEVEL_INFO };

bool log_is_journal(void)
{
	return log_sink.journal;
}

void log_init(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	/* systemd.exec(5): the variable is inherited, so it has to be compared with what stderr is
	 * now. */
	log_sink.journal = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
			   fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
			   st.st_ino == inode;
}

void log_set_level(enum log_level level)
{
	log_sink.level = level;
}

enum log_level log_get_level(void)
{
	return log_sink.level;
}

static void emit(enum log_level level, const char *id, const char *const *fields, const char *text)
{
	_strbuf_ struct strbuf message = { 0 };
	char priority[24], message_id[64] = "";
	const int number = LOG_ERR + (int)level; /* both count the same way */
	struct iovec iov[16];
	int n = 0;

	if (!log_sink.journal) {
		const char *line;

		utf8_add_clean(&message, text, strlen(text));
		line = message.failed ? "no memory, not even to say for what"
				      : strbuf_text(&message);
		/* sd-daemon(3): the prefix is understood by systemd and dropped by terminals'
		 * users. */
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "tproxyd: %s\n", line);
		else
			fprintf(stderr, "<%d>%s\n", number, line);
		return;
	}
	strbuf_add(&message, "MESSAGE=");
	utf8_add_clean(&message, text, strlen(text));
	(void)snprintf(priority, sizeof(priority), "PRIORITY=%d", number);
	iov[n++] = (struct iovec){ message.text, message.len };
	iov[n++] = (struct iovec){ priority, strlen(priority) };
	if (id) {
		(void)snprintf(message_id, sizeof(message_id), "MESSAGE_ID=%s", id);
		iov[n++] = (struct iovec){ message_id, strlen(message_id) };
	}
	for (; fields && *fields && n < (int)ELEMENTS(iov); fields++)
		iov[n++] = (struct iovec){ (char *)(uintptr_t)*fields, strlen(*fields) };
	if (!message.failed)
		(void)sd_journal_sendv(iov, n);
}

void log_error(const struct error *err, const char *fmt, ...)
{
	const char *fields[] = { NULL, NULL };
	char text[LOG_TEXT_MAX], number[32];
	va_list args;
	size_t len;

	va_start(args, fmt);
	utf8_vprint(text, sizeof(text), fmt, args);
	va_end(args);
	if (err && err->code) {
		len = strlen(text);
		utf8_print(text + len, sizeof(text) - len, ": %s", err->text);
		(void)snprintf(number, sizeof(number), "ERRNO=%d", -err->code);
		fields[0] = number;
	}
	emit(LOG_LEVEL_ERROR, NULL, fields, text);
}

void log_event(enum log_level level, const char *id, const char *const *fields, const char *fmt,
	       ...)
{
	char text[LOG_TEXT_MAX];
	va_list args;

	if (level > log_sink.level)
		return;
	va_start(args, fmt);
	utf8_vprint(text, sizeof(text), fmt, args);
	va_end(args);
	emit(level, id, fields, text);
}

void log_diag(const struct diag *diag)
{
	static const enum log_level levels[] = {
		[SEVERITY_ERROR] = LOG_LEVEL_ERROR,
		[SEVERITY_WARNING] = LOG_LEVEL_WARNING,
		[SEVERITY_NOTICE] = LOG_LEVEL_NOTICE,
	};
	_strbuf_ struct strbuf text = { 0 }, file = { 0 }, setting = { 0 };
	const char *fields[4] = { NULL };
	char line[48];
	size_t n = 0;

	if (levels[diag->severity] > log_sink.level)
		return;
	diag_print(diag, &text);
	if (diag->setting) {
		strbuf_addf(&setting, "TPROXYD_SETTING=%s", diag->setting);
		fields[n++] = strbuf_text(&setting);
	}
	if (diag->origin.kind == ORIGIN_FILE) {
		strbuf_addf(&file, "TPROXYD_CONFIG_FILE=%s", diag->origin.name);
		fields[n++] = strbuf_text(&file);
		(void)snprintf(line, sizeof(line), "TPROXYD_CONFIG_LINE=%u", diag->origin.line);
		fields[n++] = line;
	}
	emit(levels[diag->severity], NULL, fields, strbuf_text(&text));
}
