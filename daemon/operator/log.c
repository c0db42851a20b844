/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <systemd/sd-login.h>

#include "common/base/utf8.h"
#include "common/config/schema.h"

#define WAITING_MAX 64

/* The one mutable object of the program that is not owned by a function (style: logging is the
 * exception everybody makes). */
static struct log_sink {
	enum log_level level;
	bool to_journal; /* stderr is a stream to the journal */
	/* Where stderr is a stream to the journal, a socket for fields instead of text, which never
	 * blocks; else -1. */
	int journal;
	char *unit;                         /* of systemd, that we are of */
	struct strbuf waiting[WAITING_MAX]; /* messages that the journal has not taken yet */
	size_t n_waiting;
	unsigned lost; /* there was no room for them */
} log_sink = { .level = LOG_LEVEL_INFO, .journal = -1 };

bool log_is_journal(void)
{
	return log_sink.journal >= 0;
}

void log_init(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	const int room = 8 * 1024 * 1024;
	unsigned long long device, inode;
	struct stat st;

	/* systemd.exec(5): the variable is inherited, so it has to be compared with what stderr is
	 * now. */
	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2 ||
	    fstat(STDERR_FILENO, &st) < 0 || st.st_dev != device || st.st_ino != inode)
		return;
	log_sink.to_journal = true;
	log_sink.journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sd_pid_get_unit(0, &log_sink.unit) < 0)
		log_sink.unit = NULL;
	/* What waits in the journal's queue counts against it; sd_journal_send(3) sets as much. */
	if (log_sink.journal >= 0)
		(void)setsockopt(log_sink.journal, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
}

void log_set_level(enum log_level level)
{
	log_sink.level = level;
}

enum log_level log_get_level(void)
{
	return log_sink.level;
}

/* Whether the journal has taken the message; what it never takes counts as taken. */
static bool journal_takes(const struct strbuf *message)
{
	static const struct sockaddr_un journal = { AF_UNIX, "/run/systemd/journal/socket" };
	ssize_t n;

	do
		n = sendto(log_sink.journal, message->text, message->len,
			   MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&journal,
			   sizeof(journal));
	while (n < 0 && errno == EINTR);
	return n >= 0 || errno == EMSGSIZE;
}

static void begin_message(struct strbuf *message, const char *identifier, int priority,
			  const char *text, size_t len)
{
	strbuf_addf(message, "SYSLOG_IDENTIFIER=%s\nPRIORITY=%d\nMESSAGE=", identifier, priority);
	utf8_add_clean(message, text, len);
	strbuf_addc(message, '\n');
}

static void tell_lost(void)
{
	_strbuf_ struct strbuf message = { 0 };
	char text[96];

	(void)snprintf(text, sizeof(text), "%u messages were lost while the journal took none",
		       log_sink.lost);
	begin_message(&message, program_invocation_short_name, LOG_WARNING, text, strlen(text));
	if (!message.failed && journal_takes(&message))
		log_sink.lost = 0;
}

void log_flush(void)
{
	size_t sent = 0;

	while (sent < log_sink.n_waiting && journal_takes(&log_sink.waiting[sent]))
		strbuf_done(&log_sink.waiting[sent++]);
	log_sink.n_waiting -= sent;
	memmove(log_sink.waiting, log_sink.waiting + sent,
		log_sink.n_waiting * sizeof(log_sink.waiting[0]));
	if (log_sink.n_waiting == 0 && log_sink.lost > 0)
		tell_lost();
}

/* Takes the message. */
static void hand_over(struct strbuf *message)
{
	log_flush();
	if (!message->failed && log_sink.n_waiting == 0 && journal_takes(message))
		return;
	if (message->failed || log_sink.n_waiting == WAITING_MAX) {
		log_sink.lost++;
		return;
	}
	log_sink.waiting[log_sink.n_waiting++] = *message;
	*message = (struct strbuf){ 0 };
}

bool log_child(const char *name, pid_t pid, const char *text, size_t len)
{
	_strbuf_ struct strbuf message = { 0 };

	log_flush();
	if (log_sink.n_waiting > 0)
		return false;
	begin_message(&message, name, LOG_INFO, text, len);
	strbuf_addf(&message, "OBJECT_PID=%d\n", (int)pid);
	return !message.failed && journal_takes(&message);
}

void log_done(void)
{
	for (int tries = 0; log_sink.n_waiting + log_sink.lost > 0 && tries < 100; tries++) {
		(void)poll(NULL, 0, 10);
		log_flush();
	}
}

/* As it is told when there is no memory: what is not plain ASCII is a question mark. */
static const char *make_plain(const char *text, char *buf, size_t size)
{
	size_t n;

	(void)snprintf(buf, size, "%s", text[0] ? text : "no memory, not even to say for what");
	n = strlen(buf);
	for (size_t i = 0; i < n; i++)
		if (buf[i] < ' ' || buf[i] > '~')
			buf[i] = '?';
	return buf;
}

/* A line of stderr. Only the journal understands the prefix of sd-daemon(3); people and their files get
 * the word. */
static void print_line(enum log_level level, bool has_level, const char *text)
{
	_strbuf_ struct strbuf clean = { 0 };
	char plain[LOG_TEXT_MAX];
	const char *line;

	utf8_add_clean(&clean, text, strlen(text));
	line = clean.failed ? make_plain(text, plain, sizeof(plain)) : strbuf_text(&clean);
	if (log_sink.to_journal)
		fprintf(stderr, "<%d>%s\n", LOG_ERR + (int)level, line);
	else if (isatty(STDERR_FILENO))
		fprintf(stderr, "tproxyd: %s\n", line);
	else if (has_level)
		fprintf(stderr, "%s\n", line);
	else
		fprintf(stderr, "%s: %s\n", log_level_names[level], line);
}

/* To the journal without memory. Whether that has taken it. */
static bool emit_plain(int priority, const char *text)
{
	char plain[LOG_TEXT_MAX], bytes[LOG_TEXT_MAX + 256];
	struct strbuf message = { .text = bytes };

	message.len = (size_t)snprintf(
		bytes, sizeof(bytes), "SYSLOG_IDENTIFIER=%.64s\nPRIORITY=%d\nMESSAGE=%s\n",
		program_invocation_short_name, priority, make_plain(text, plain, sizeof(plain)));
	return journal_takes(&message);
}

/* To the journal: with the fields, and under the id where there is one. */
static void emit(enum log_level level, const char *id, const char *const *fields, const char *text)
{
	_strbuf_ struct strbuf message = { 0 };
	const int priority = LOG_ERR + (int)level; /* both count the same way */

	begin_message(&message, program_invocation_short_name, priority, text, strlen(text));
	if (id)
		strbuf_addf(&message, "MESSAGE_ID=%s\n", id);
	/* journald asks of which unit we are when it reads the message, and we may have ended by then.
	 * `journalctl -u` takes root's word for it: systemd.journal-fields(7). */
	if (log_sink.unit)
		strbuf_addf(&message, "OBJECT_SYSTEMD_UNIT=%s\n", log_sink.unit);
	for (; fields && *fields; fields++) {
		utf8_add_clean(&message, *fields, strlen(*fields));
		strbuf_addc(&message, '\n');
	}
	if (message.failed && log_sink.n_waiting == 0 && emit_plain(priority, text))
		return;
	hand_over(&message);
}

static void say(enum log_level level, const char *id, const char *const *fields, const char *text)
{
	if (log_is_journal())
		emit(level, id, fields, text);
	else
		print_line(level, false, text);
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
	say(LOG_LEVEL_ERROR, NULL, fields, text);
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
	say(level, id, fields, text);
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
	/* Its text has the severity, behind the place. */
	if (log_is_journal())
		emit(levels[diag->severity], NULL, fields, strbuf_text(&text));
	else
		print_line(levels[diag->severity], true, strbuf_text(&text));
}
