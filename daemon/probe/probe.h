/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Whether the proxy serves: one round of questions, asked in parallel without blocking: Envoy's
 * admin endpoint (HTTP), the listeners on the redirect ports (sock_diag), a UDP DNS query per
 * family and, in the CoreDNS modes, Envoy's own DNS port, each with whose socket it is (sock_diag).
 * A round ends when everything has answered or its time is over; a lazy one when its time is over.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/ip.h"

struct probe_target {
	const char *admin_socket; /* kuma-envoy-admin.sock; tried first */
	uint16_t admin_port;      /* 127.0.0.1, where there is no socket */
	uid_t uid;                /* whose listeners count; its fsuid opens the admin socket */
	gid_t gid;
	bool family[FAMILY_COUNT];            /* families that will be redirected */
	uint16_t inbound_port, outbound_port; /* 0: that direction is not redirected */
	uint16_t dns_port;                    /* 0: DNS is not redirected */
	bool dns_family[FAMILY_COUNT];
	uint16_t envoy_dns_port; /* 0: none (embedded DNS) */
	uint16_t kuma_dp_port;   /* 127.0.0.1: where kuma-dp itself answers, if it listens there */
	bool control_plane; /* whether Envoy is asked about it: it then looks at all its figures */
	uint64_t timeout_usec; /* the longest that a round takes */
	/* Nothing wakes the loop before that: answers are read at the end, which comes at once only
	 * where something fails at once. */
	bool lazy;
};

enum probe_control_plane {
	CONTROL_PLANE_UNKNOWN, /* not asked, or no answer */
	CONTROL_PLANE_CONNECTED,
	CONTROL_PLANE_LOST,
};

struct probe_result {
	bool admin;     /* Envoy says ready */
	bool alive;     /* it says something, at least */
	pid_t envoy;    /* SO_PEERCRED of the admin socket; 0: not known */
	bool listeners; /* all redirect ports, every family, by the right user */
	/* everything asked about DNS answered, the right user alone (true where DNS is not redirected) */
	bool dns;
	bool core_dns; /* the same without Envoy's own DNS port */
	bool kuma_dp;  /* kuma-dp itself has answered, or does not listen on its port */
	enum probe_control_plane control_plane;
	/* what is missing, for STATUS: "Envoy (PRE_INITIALIZING), port 15006 on IPv6"; "" when
	 * nothing */
	char missing[160];
};

struct probe;

typedef void probe_done_t(const struct probe_result *result, void *userdata);

/* Starts a round; done is called once from the event loop, at the latest after the target's time, and
 * the probe is then free again (its result lasts until the next round). The target is copied (its
 * text borrowed until the round ends). */
int probe_new(sd_event *event, struct probe **ret, struct error *err) _must_check_;
int probe_start(struct probe *probe, const struct probe_target *target, probe_done_t *done,
		void *userdata, struct error *err) _must_check_;
/* A round that is under way ends at once, from the event loop. */
void probe_hurry(struct probe *probe);
void probe_free(struct probe *probe); /* ends a running round without calling done */
DEFINE_CLEANUP(struct probe *, probe_free, NULL);
