/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/relay.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/array.h"
#include "common/base/utf8.h"
#include "daemon/operator/log.h"
#include "daemon/operator/quotes.h"
#include "daemon/os/crossing.h"
#include "daemon/os/fd.h"
#include "daemon/os/peer.h"
#include "daemon/process/procfs.h"

#define LINE_BYTES 8192 /* bytes of a line; what is longer is cut */
#define CHUNK_MAX  4096
/* journald's own limit for a service (LogRateLimitBurst=). */
#define LINES_MAX     10000
#define INTERVAL_USEC ((uint64_t)30 * 1000 * 1000)
/* How long a child waits for a journal that takes nothing, and how often it is tried. */
#define PATIENCE_USEC ((uint64_t)1000 * 1000)
#define RETRY_USEC    ((uint64_t)10 * 1000)
/* More than is ever on its way: somebody may go on writing while we read. */
#define DRAIN_CHUNKS 256

struct relay {
	const char *name;
	sd_event *event;
	sd_event_source *io, *timer;
	int ours, theirs;
	pid_t writer; /* of what is in text */
	char program[32];
	char text[LINE_BYTES + CHUNK_MAX + 1];
	size_t len;
	bool cut;            /* the rest of a line that was cut comes next */
	bool draining;       /* nothing is waited for */
	bool ended;          /* somebody has shut the output down: nothing comes any more */
	uint64_t since_usec; /* when the lines below began to be counted */
	unsigned lines, dropped;
	uint64_t full_usec; /* since when the journal takes nothing; 0: it does */
	struct quotes quotes;
	const char *watched; /* a part of a line; NULL: none */
	void (*seen)(void *userdata);
	void *userdata;
};

static uint64_t now(const struct relay *relay)
{
	uint64_t usec = 0;

	(void)sd_event_now(relay->event, CLOCK_MONOTONIC, &usec);
	return usec;
}

void relay_watch(struct relay *relay, const char *text, void (*seen)(void *userdata),
		 void *userdata)
{
	relay->watched = text;
	relay->seen = seen;
	relay->userdata = userdata;
}

void relay_tell(struct relay *relay)
{
	if (now(relay) - relay->since_usec < INTERVAL_USEC)
		return;
	if (relay->dropped)
		log_warning("%u lines of %s were dropped: more than %d came within %d s, or the "
			    "journal took none",
			    relay->dropped, relay->name, LINES_MAX, (int)(INTERVAL_USEC / 1000000));
	relay->since_usec = now(relay);
	relay->lines = relay->dropped = 0;
}

/* Returns false where the line has to wait. */
static bool say(struct relay *relay, const char *line, size_t len)
{
	relay_tell(relay);
	if (relay->lines < LINES_MAX) {
		if (log_child(relay->name, relay->writer, line, len)) {
			relay->lines++;
			relay->full_usec = 0;
			return true;
		}
		if (!relay->full_usec)
			relay->full_usec = now(relay);
		if (!relay->draining && now(relay) - relay->full_usec < PATIENCE_USEC)
			return false;
	}
	relay->dropped++;
	return true;
}

static void look_for_watched(struct relay *relay, const char *line)
{
	if (relay->watched && strstr(line, relay->watched))
		relay->seen(relay->userdata);
}

/* Where the next line of the text ends, or NULL: it has not come as a whole. */
static char *end_of_line(struct relay *relay, char *from)
{
	char *end = relay->text + relay->len, *found = memchr(from, '\n', (size_t)(end - from));

	if ((found ? found : end) - from <= LINE_BYTES)
		return found;
	return from + utf8_cut(from, LINE_BYTES);
}

/* Hands over the lines that are there as a whole. Returns false where one has to wait. */
static bool pass_on(struct relay *relay)
{
	char *from = relay->text, *end;
	bool go_on = true;

	while (go_on && (end = end_of_line(relay, from))) {
		char last = *end;

		*end = '\0';
		if (!relay->cut)
			go_on = say(relay, from, (size_t)(end - from));
		/* Once: a line that has to wait is said again. */
		if (!relay->cut && go_on) {
			quotes_remember(&relay->quotes, relay->program, from);
			look_for_watched(relay, from);
		}
		*end = last;
		if (!go_on)
			break;
		relay->cut = last != '\n';
		from = end + (last == '\n');
	}
	relay->len -= (size_t)(from - relay->text);
	memmove(relay->text, from, relay->len);
	return go_on;
}

/* Whoever writes next, or nobody any more, does not go on with this line. */
static void end_line(struct relay *relay)
{
	bool draining = relay->draining;

	if (relay->len == 0)
		return;
	relay->text[relay->len++] = '\n';
	relay->draining = true;
	(void)pass_on(relay);
	relay->draining = draining;
}

static void set_writer(struct relay *relay, pid_t pid)
{
	char comm[sizeof(relay->program)];

	if (pid != relay->writer) {
		end_line(relay);
		relay->cut = false;
	}
	/* One that has gone meanwhile was the one we know, or the child itself. */
	if (process_text(pid, "comm", comm, sizeof(comm)) >= 0)
		(void)snprintf(relay->program, sizeof(relay->program), "%.*s",
			       (int)strcspn(comm, "\n"), comm);
	else if (pid != relay->writer)
		(void)snprintf(relay->program, sizeof(relay->program), "%s", relay->name);
	relay->writer = pid;
}

/* Reads what is there, of one writer: the kernel does not mix them. Returns false where nothing is. */
static bool read_chunk(struct relay *relay)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char chunk[CHUNK_MAX];
	size_t room = sizeof(relay->text) - 1 - relay->len;
	struct iovec iov = { chunk, room < sizeof(chunk) ? room : sizeof(chunk) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	const struct cmsghdr *header;
	struct ucred writer = { 0 };
	ssize_t n;

	if (room == 0)
		return false;
	n = peer_recvmsg(relay->ours, &message, MSG_CMSG_CLOEXEC);
	relay->ended = n == 0;
	if (n <= 0)
		return false;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS)
		memcpy(&writer, CMSG_DATA(header), sizeof(writer));
	set_writer(relay, writer.pid);
	memcpy(relay->text + relay->len, chunk, (size_t)n);
	relay->len += (size_t)n;
	return true;
}

static void drain(struct relay *relay)
{
	relay->draining = true;
	(void)pass_on(relay);
	for (int i = 0; i < DRAIN_CHUNKS && read_chunk(relay); i++)
		(void)pass_on(relay);
	end_line(relay);
	relay->draining = false;
}

/* Reads on where all was handed over, else tries again soon. */
static void go_on(struct relay *relay, bool done)
{
	bool more = done && !relay->ended;

	(void)sd_event_source_set_enabled(relay->io, more ? SD_EVENT_ON : SD_EVENT_OFF);
	if (done)
		return;
	(void)sd_event_source_set_time_relative(relay->timer, RETRY_USEC);
	(void)sd_event_source_set_enabled(relay->timer, SD_EVENT_ONESHOT);
}

static int on_output(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
		     void *userdata)
{
	struct relay *relay = userdata;

	go_on(relay, read_chunk(relay) && pass_on(relay));
	return 0;
}

static int on_retry(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata)
{
	struct relay *relay = userdata;

	go_on(relay, pass_on(relay));
	return 0;
}

static int watch(struct relay *relay, int64_t priority)
{
	int r = sd_event_add_io(relay->event, &relay->io, relay->ours, EPOLLIN, on_output, relay);

	if (r >= 0)
		r = sd_event_source_set_priority(relay->io, priority);
	if (r >= 0)
		r = sd_event_add_time(relay->event, &relay->timer, CLOCK_MONOTONIC, 0, 1000,
				      on_retry, relay);
	if (r >= 0)
		r = sd_event_source_set_enabled(relay->timer, SD_EVENT_OFF);
	return r < 0 ? r : sd_event_source_set_priority(relay->timer, priority);
}

static void unwatch(struct relay *relay)
{
	sd_event_source_disable_unref(relay->io);
	sd_event_source_disable_unref(relay->timer);
	sd_event_unref(relay->event);
}

/* A socket and not a pipe: it tells who writes. */
static int make_pair(int ret[static 2])
{
	const int on = 1;
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret) < 0)
		return -errno;
	if (setsockopt(ret[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0 &&
	    shutdown(ret[0], SHUT_WR) == 0)
		return 0;
	r = -errno;
	(void)close(ret[0]);
	(void)close(ret[1]);
	return r;
}

int relay_new(sd_event *event, const char *name, int64_t priority, struct relay **ret,
	      struct error *err)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	int fds[2], r = relay ? make_pair(fds) : -ENOMEM;

	if (r < 0) {
		free(relay);
		return error_sys(err, r, "relay what %s says", name);
	}
	relay->name = name;
	relay->event = sd_event_ref(event);
	relay->ours = fds[0];
	relay->theirs = fds[1];
	r = watch(relay, priority);
	if (r < 0) {
		relay_free(relay);
		return error_sys(err, r, "relay what %s says", name);
	}
	*ret = relay;
	return 0;
}

int relay_renew(struct relay *relay, struct error *err)
{
	int fds[2], r = make_pair(fds);

	if (r < 0)
		return error_sys(err, r, "relay what %s says", relay->name);
	drain(relay);
	r = sd_event_source_set_io_fd(relay->io, fds[0]);
	if (r < 0) {
		(void)close(fds[0]);
		(void)close(fds[1]);
		return error_sys(err, r, "relay what %s says", relay->name);
	}
	peer_close(relay->ours);
	(void)close(relay->theirs);
	relay->ours = fds[0];
	relay->theirs = fds[1];
	relay->ended = false;
	go_on(relay, true);
	return 0;
}

int relay_output(const struct relay *relay)
{
	return relay->theirs;
}

void relay_quote(struct relay *relay, struct strbuf *out)
{
	drain(relay);
	quotes_print(&relay->quotes, out);
}

static const struct handover_fact facts[] = {
	HANDOVER_NUMBER("writer", relay, writer, INT_MAX),
	HANDOVER_TEXT("program", relay, program),
	HANDOVER_TEXT("text", relay, text),
	HANDOVER_NUMBER("cut", relay, cut, 1),
	HANDOVER_NUMBER("since-usec", relay, since_usec, UINT64_MAX),
	HANDOVER_NUMBER("lines", relay, lines, LINES_MAX),
	HANDOVER_NUMBER("dropped", relay, dropped, UINT_MAX),
	HANDOVER_NUMBER("full-usec", relay, full_usec, UINT64_MAX),
};
static const struct handover_table table = { facts, ELEMENTS(facts) };

void relay_add_facts(const struct relay *relay, const char *prefix, struct strbuf *out)
{
	struct relay copy = *relay;

	/* A line with zero bytes is cleaned in any case when it is handed over. */
	for (size_t i = 0; i < copy.len; i++)
		if (!copy.text[i])
			copy.text[i] = '?';
	copy.text[copy.len] = '\0';
	handover_add_facts(out, prefix, &table, &copy);
	quotes_add_facts(&relay->quotes, prefix, out);
	crossing_add_fd(out, prefix, "ours", relay->ours);
	crossing_add_fd(out, prefix, "theirs", relay->theirs);
}

static int take_facts(struct relay *relay, const char *prefix, struct handover *handover,
		      struct error *err)
{
	int r = handover_take_facts(handover, prefix, &table, relay, err);

	if (r == 0)
		r = quotes_take_facts(&relay->quotes, prefix, handover, err);
	relay->len = strlen(relay->text);
	return r;
}

int relay_inherit(const struct relay_heir *heir, struct handover *handover, struct relay **ret,
		  struct error *err)
{
	_free_ struct relay *relay = calloc(1, sizeof(*relay));
	int r;

	if (!relay)
		return error_sys(err, -ENOMEM, "relay what %s says", heir->name);
	r = take_facts(relay, heir->prefix, handover, err);
	if (r == 0 && (crossing_take_fd(handover, heir->prefix, "ours", &relay->ours) < 0 ||
		       crossing_take_fd(handover, heir->prefix, "theirs", &relay->theirs) < 0))
		r = error_set(err, -EBADMSG, "the state lacks the output of %s", heir->name);
	if (r < 0 || !heir->event)
		return r;
	relay->name = heir->name;
	relay->event = sd_event_ref(heir->event);
	r = watch(relay, heir->priority);
	if (r < 0) {
		unwatch(relay);
		return error_sys(err, r, "relay what %s says", heir->name);
	}
	/* A line of it may wait for the journal. */
	go_on(relay, relay->len == 0);
	*ret = take_ptr(relay);
	return 0;
}

void relay_free(struct relay *relay)
{
	if (!relay)
		return;
	drain(relay);
	unwatch(relay);
	peer_close(relay->ours);
	(void)close(relay->theirs);
	free(relay);
}
