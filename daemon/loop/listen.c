/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Who tells that others may have changed the rules, and what that may mean. */

#include "daemon/loop/state.h"
#include "daemon/netfilter/xt/lock.h"
#include "daemon/operator/log.h"

static void on_news(enum netfilter_news news, const char *whom, void *userdata)
{
	struct daemon *d = userdata;

	if (news == NEWS_TABLES)
		daemon_tables_changed(d, whom);
	else
		daemon_disturbed(d, NULL);
}

void daemon_listen(struct daemon *d)
{
	const struct netfilter_watch_setup setup = {
		.event = d->event,
		.lock_file = xtables_lock_file(),
		.iface = d->current->rules[LEVEL_FULL].loopback,
		.happened = on_news,
		.userdata = d,
	};
	struct error err;

	if (netfilter_watch_new(&setup, &d->rules_watch, &err) < 0)
		log_warning("Changes of the rules by others may be noticed seconds later: %s",
			    err.text);
}
