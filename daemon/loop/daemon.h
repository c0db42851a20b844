/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The daemon: one thread, one event loop. After every event it asks the three questions of
 * common/supervise/situation.h and acts on the answers: apply the wanted level, say the phase, arm
 * one timer. Everything mutable is in struct daemon.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "common/base/cleanup.h"
#include "common/supervise/situation.h"
#include "daemon/operator/control.h"
#include "daemon/os/file_watch.h"
#include "daemon/load/generation.h"
#include "daemon/probe/probe.h"
#include "daemon/process/proc.h"
#include "daemon/netfilter/redirect.h"

/* Who goes first when several things happened at once: a reaped process must be known dead before
 * anything may signal it. */
enum {
	PRIORITY_CHILD = PROC_PRIORITY_EXIT,
	PRIORITY_SIGNAL = -5,
	PRIORITY_NORMAL = 0,
	PRIORITY_BUS = 5,
};

#define RETRIES_MAX 500 /* of an apply while stopping, RETRY_USEC apart: 10 s */

enum child {
	CHILD_KUMA_DP,
	CHILD_CORE_DNS, /* only where we run it ourselves */
	CHILD_COUNT,
};

struct daemon {
	sd_event *event;
	struct generation *base; /* borrowed from verb_run(): configuration and commands */
	/* whose rules are in, or are to come: base or one that follows it */
	struct generation *generation;
	struct generation *next; /* waits until the proxy serves; NULL: none */
	bool stale;              /* the level applied is the right one, of a former generation */
	struct file_watch *resolv_conf; /* NULL: DNS does not depend on it */
	struct redirect redirect;
	struct situation situation;

	struct proc child[CHILD_COUNT];
	size_t n_children;       /* 1 or 2: coredns only where we run it ourselves */
	int output[CHILD_COUNT]; /* where its output goes: a stream to the journal, or stderr */
	bool exit_said[CHILD_COUNT];
	bool stop_asked; /* kuma-dp got its first SIGTERM */

	struct probe *probe;
	struct probe_result probed; /* the last round */
	bool dns_asked;             /* the round under way asks DNS */
	unsigned misses;            /* rounds in a row that did not find the proxy serving */
	pid_t envoy;                /* 0: not known */
	sd_event_source *envoy_exit;

	sd_event_source *probe_timer, *deadline_timer, *retry_timer, *drain_timer;
	unsigned retries;     /* of an apply that failed or found the lock taken */
	char trouble[200];    /* why the wanted level is not in; "": no reason */
	unsigned idle_drains; /* drain checks in a row that found no connection */
	bool drain_blind;     /* it was said that connections cannot be counted */

	struct control *control;
	enum phase said;
	char status[256]; /* the last STATUS= */
	bool ready;
	uint64_t started_usec, started_realtime_usec; /* CLOCK_MONOTONIC, CLOCK_REALTIME */
	int exit_status;
	size_t n_up; /* steps of daemon_setup.c that are up */
};

/* Prepares everything that needs no child: event loop, signals, record, work directory, control
 * socket. SIGTERM, SIGINT, SIGHUP and SIGCHLD must be blocked. */
int daemon_new(struct generation *generation, struct daemon **ret, struct error *err) _must_check_;

/* Starts the children and runs until everything is undone again. Returns the exit status, or a
 * negative errno when the loop itself failed. */
int daemon_run(struct daemon *d, struct error *err) _must_check_;

void daemon_free(struct daemon *d);
DEFINE_CLEANUP(struct daemon *, daemon_free, NULL);

/* For the daemon's own files: CLOCK_MONOTONIC as the loop sees it, and the loop's one step. */
uint64_t daemon_now(struct daemon *d);
void daemon_update(struct daemon *d);

/* Gives up: everything is undone, the exit status is 1. The sentence is logged, under a message id
 * where there is one (else NULL), and said to systemd. */
void daemon_fail(struct daemon *d, const char *id, const char *fmt, ...) _printf_(3, 4);

/* Starts a round of probes; further rounds follow by themselves. */
void daemon_probe(struct daemon *d);

/* What the children's state machines tell: userdata is the daemon. */
extern const struct proc_owner daemon_owner;

/* Watches resolv.conf where the rules depend on it (daemon_resolv.c). */
int daemon_watch_resolv(struct daemon *d, struct error *err) _must_check_;

/* Takes the next generation over once a proxy serves; called by daemon_update(). */
void daemon_adopt(struct daemon *d);

/* The part of the loop that ends things: called by daemon_update() while the wish is to stop. */
void daemon_advance_stop(struct daemon *d);
