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

#include "common/base/strbuf.h"

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

void log_make_one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = ' ';
}

/* Changes the text. */
static void emit(enum log_level level, const char *id, const char *const *fields, char *text)
{
	_strbuf_ struct strbuf message = { 0 };
	char priority[24], message_id[64] = "";
	const int number = LOG_ERR + (int)level; /* both count the same way */
	struct iovec iov[16];
	int n = 0;

	/* What children and files say is quoted in messages: it must not make lines, priorities or
	 * colours of its own. */
	log_make_one_line(text);
	if (!log_sink.journal) {
		/* sd-daemon(3): the prefix is understood by systemd and dropped by terminals'
		 * users. */
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "tproxyd: %s\n", text);
		else
			fprintf(stderr, "<%d>%s\n", number, text);
		return;
	}
	strbuf_addf(&message, "MESSAGE=%s", text);
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
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (err && err->code) {
		len = strlen(text);
		(void)snprintf(text + len, sizeof(text) - len, ": %s", err->text);
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
	(void)vsnprintf(text, sizeof(text), fmt, args);
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
	if (text.text)
		emit(levels[diag->severity], NULL, fields, text.text);
}
