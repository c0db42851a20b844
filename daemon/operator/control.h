/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The control socket: AF_UNIX stream, one request line and one JSON reply per connection. `status`
 * is for everybody, the rest for root (SO_PEERCRED). Root has a socket of its own beside it, where
 * nobody else can stand in its way. Both ends are here.
 */

#include <sys/un.h>
#include <systemd/sd-event.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/supervise/handover.h"
#include "daemon/operator/json.h"

#define CONTROL_SOCKET "/run/tproxyd/control"
#define CONTROL_ROOT   ".root" /* the end of the name of root's */

struct control;

/* Answers one request: `argument` is what follows the first word ("" for nothing). Returns a JSON
 * object (taken) that has "ok" and, where that is false, "error"; NULL where memory is exhausted, or
 * after control_defer(). */
typedef json_t *control_answer_t(const char *request, const char *argument, void *userdata);

struct control_setup {
	sd_event *event;
	const char *path; /* old sockets are replaced; mode 0666 and, root's, 0600 */
	int64_t priority; /* of its event sources: behind all that keeps the host going */
	control_answer_t *answer;
	void *userdata;
};

int control_new(const struct control_setup *setup, struct control **ret, struct error *err)
	_must_check_;
void control_free(struct control *control); /* closes and removes the sockets; NULL is nothing */
DEFINE_CLEANUP(struct control *, control_free, NULL);

/* The sockets for a successor of this process, as facts (common/supervise/handover.h), with those who wait
 * for an answer or have not asked yet; and the successor takes them. Without an event loop it only
 * looks whether they are told: *ret is then untouched. Where it fails the sockets are left alone. */
void control_add_facts(const struct control *control, struct strbuf *out);
int control_inherit(const struct control_setup *setup, struct handover *handover,
		    struct control **ret, struct error *err) _must_check_;

/* For an answer that comes later: within control_answer_t, the ticket for control_reply(), not 0.
 * Whoever asked waits for as long as it takes. */
unsigned control_defer(struct control *control);

/* Answers the request of that ticket; nobody, where whoever asked has hung up. Takes the reply. */
void control_reply(struct control *control, unsigned ticket, json_t *reply);

/* The other end: sends one request and waits for the reply, at most timeout_usec (0: for as long as
 * the daemon lives). The reply is heap memory owned by the caller. Returns CONTROL_NOBODY when no daemon answers there. */
#define CONTROL_NOBODY 1
int control_call(const char *path, const char *request, uint64_t timeout_usec, char **ret_reply,
		 struct error *err) _must_check_;

/* control_call.c, for both ends: the address of the socket at path, with the end of its name. */
int control_address(const char *path, const char *end, struct sockaddr_un *ret, struct error *err)
	_must_check_;
