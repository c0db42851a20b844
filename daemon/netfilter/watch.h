/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Tells that others may have changed what we have put into the kernel: who works on the legacy tables
 * takes the xtables lock and gives it back (inotify(7) tells that, but not who); who works on
 * nf_tables ends each transaction with a message that names him; and IPv6 addresses come and
 * go (rtnetlink(7)). Our own changes are told as well. Who takes no lock is not
 * told of.
 */

#include <systemd/sd-event.h>

#include "common/base/attr.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "daemon/netfilter/netfilter.h"

enum netfilter_news {
	NEWS_LEGACY,  /* the xtables lock was given back */
	NEWS_TABLES,  /* a transaction of nf_tables */
	NEWS_ADDRESS, /* of the loopback interface, IPv6 */
	NEWS_IPV6,    /* an address that others can reach, on another interface */
};

struct netfilter_watch;

struct netfilter_watch_setup {
	sd_event *event;
	/* Borrowed for the watch's life; NULL: the rules are not where the lock counts. */
	const char *lock_file;
	const char *iface; /* likewise */
	/* Through which our own transactions go, likewise; NULL: none. */
	const struct netfilter_channel *channel;
	/* Called from the event loop, once for a burst. whom is a program, "nft (process 4711)", or
	 * NULL. */
	void (*happened)(enum netfilter_news news, const char *whom, void *userdata);
	void *userdata;
};

/* Returns 0 or a negative errno; where only a part of it works, *ret is set all the same. */
int netfilter_watch_new(const struct netfilter_watch_setup *setup, struct netfilter_watch **ret,
			struct error *err) _must_check_;

/* To be called now and then: the lock may be another file by now. */
void netfilter_watch_renew(struct netfilter_watch *watch);

void netfilter_watch_free(struct netfilter_watch *watch);
DEFINE_CLEANUP(struct netfilter_watch *, netfilter_watch_free, NULL);
