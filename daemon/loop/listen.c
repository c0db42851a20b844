/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Who tells that others may have changed the rules, and what that may mean. */

#include "daemon/loop/state.h"
#include "daemon/netfilter/xt/lock.h"
#include "daemon/operator/log.h"

/* To redirect it may need another proxy: that is for a reload to find out. */
static void tell_of_ipv6(struct daemon *d)
{
	const struct facts *facts = &d->current->facts;

	if (d->drift.told_ipv6 || (facts->ipv6 && facts->ipv6_loopback) ||
	    d->current->options.loaded.config.ip_family_mode == IP_FAMILY_IPV4)
		return;
	d->drift.told_ipv6 = true;
	log_warning("IPv6 has come to this host since the configuration was read: its traffic goes "
		    "direct until the service is reloaded or restarted");
}

static void on_news(enum netfilter_news news, const char *whom, void *userdata)
{
	struct daemon *d = userdata;

	if (news == NEWS_TABLES)
		daemon_tables_changed(d, whom);
	if (news == NEWS_IPV6)
		tell_of_ipv6(d);
	else if (news != NEWS_TABLES || d->redirect.backend->in_tables)
		daemon_disturbed(d, whom);
}

static void on_firewalld(bool reloaded, void *userdata)
{
	if (reloaded)
		log_info("firewalld has reloaded; looking whether our rules are as they were");
	daemon_disturbed(userdata, "firewalld");
}

void daemon_listen(struct daemon *d)
{
	const struct netfilter_watch_setup setup = {
		.event = d->event,
		.lock_file = d->redirect.backend->in_tables ? NULL : xtables_lock_file(),
		.iface = d->current->rules[LEVEL_FULL].loopback,
		.channel = &d->redirect.channel,
		.happened = on_news,
		.userdata = d,
	};
	const struct firewalld_bus_setup bus = {
		.event = d->event,
		.priority = PRIORITY_WORDS,
		.happened = on_firewalld,
		.userdata = d,
	};
	struct error err;

	d->firewalld = firewalld_bus_new(&bus);
	if (netfilter_watch_new(&setup, &d->rules_watch, &err) < 0)
		log_warning("Changes of the rules by others may be noticed seconds later: %s",
			    err.text);
}

void daemon_listen_again(struct daemon *d)
{
	if (d->rules_watch)
		netfilter_watch_renew(d->rules_watch);
	if (d->firewalld)
		firewalld_bus_renew(d->firewalld);
}
