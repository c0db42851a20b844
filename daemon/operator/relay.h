/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a child writes, on its way to the journal: line by line, clean, under the child's name
 * (SYSLOG_IDENTIFIER=) with the process that wrote it (OBJECT_PID=, and so OBJECT_COMM=). A journal
 * that hangs holds the child up for a second, then its lines are dropped and counted; so are lines
 * beyond the limit, in place of the unit's own, which would count our messages too. The lines that
 * tell most are kept: kuma-dp does not exit on a bad token or an unreachable control plane, and the
 * reason stands only in its log, at any level.
 */

#include <systemd/sd-event.h>

#include "common/base/error.h"
#include "common/base/strbuf.h"
#include "common/supervise/handover.h"

struct relay;

/* `name` is kept (the caller's); `priority` is that of its event sources. */
int relay_new(sd_event *event, const char *name, int64_t priority, struct relay **ret,
	      struct error *err) _must_check_;

/* The relay for a successor of this process, as facts with that prefix (common/supervise/handover.h): its
 * descriptors, and the half line that has come; and the successor takes it. Without an event loop it
 * only looks whether all is told: *ret is then untouched. Where it fails the descriptors are left alone. */
struct relay_heir {
	sd_event *event;
	const char *name; /* kept */
	int64_t priority;
	const char *prefix;
};

void relay_add_facts(const struct relay *relay, const char *prefix, struct strbuf *out);
int relay_inherit(const struct relay_heir *heir, struct handover *handover, struct relay **ret,
		  struct error *err) _must_check_;

/* What is to be the child's standard output and error; the relay's. A write fails with EPIPE, and
 * SIGPIPE ends whoever does not mind that, once we are gone: by then nobody supervises the child. */
int relay_output(const struct relay *relay);

/* Another output for the next child, since whoever had the last one may have shut it down or changed it
 * otherwise. What is still on its way is handed over. */
int relay_renew(struct relay *relay, struct error *err) _must_check_;

/* Calls seen for each line with the text in it, before the line goes on. One at a time; all kept. */
void relay_watch(struct relay *relay, const char *text, void (*seen)(void *userdata),
		 void *userdata);

/* Tells how many lines were dropped, at most once in a while; to be called again and again. */
void relay_tell(struct relay *relay);

/* Appends, per program that has written ("envoy said: ..."), the last line that speaks of a failure,
 * else its last line. What is still on its way is read first. */
void relay_quote(struct relay *relay, struct strbuf *out);

/* Hands over what is still on its way. */
void relay_free(struct relay *relay); /* NULL is nothing */
