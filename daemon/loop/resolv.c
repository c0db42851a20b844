/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * When resolv.conf names other servers, the rules follow in one commit: a new generation with the
 * same configuration, built beside the running one. Nothing restarts: rules that a proxy of another
 * configuration would need cannot come of this.
 */

#include <string.h>

#include "daemon/loop/daemon.h"
#include "daemon/operator/log.h"

/* Only what the new servers lead to is news; the rest was said at the start. */
static void report(const struct generation *g)
{
	for (size_t i = 0; i < g->options.diags.n; i++) {
		const struct diag *diag = &g->options.diags.items[i];

		if (diag->severity == SEVERITY_ERROR ||
		    (diag->setting && strncmp(diag->setting, "redirect.dns", 12) == 0))
			log_diag(diag);
	}
}

static void on_resolv_conf(void *userdata)
{
	struct daemon *d = userdata;
	_cleanup_(generation_freep) struct generation *next = NULL;
	const struct generation *latest = d->next ? d->next : d->generation;
	struct error err = { 0 };
	int r;

	if (d->situation.wish != WISH_RUN)
		return;
	r = generation_follow(d->base, latest->number + 1, &next, &err);
	if (r < 0) {
		log_error(&err, "Keeping the rules for the former name servers");
		return;
	}
	if (!next->options.diags.n_errors &&
	    ruleset_equal(&next->rules[LEVEL_FULL], &latest->rules[LEVEL_FULL]))
		return;
	report(next);
	if (next->options.diags.n_errors) {
		log_warning("Keeping the rules for the former name servers");
		return;
	}
	generation_free(d->next);
	d->next = take_ptr(next);
	daemon_update(d);
}

void daemon_adopt(struct daemon *d)
{
	const struct plan *plan;
	bool dns;

	if (!d->next || d->situation.wish != WISH_RUN || !d->situation.proxy_serving)
		return;
	if (d->generation != d->base)
		generation_free(d->generation);
	d->generation = take_ptr(d->next);
	d->stale = d->situation.applied != LEVEL_NONE;
	plan = &d->generation->plan;
	dns = plan->family[FAMILY_V4].dns || plan->family[FAMILY_V6].dns;
	/* Nobody has asked the DNS port yet where nothing was redirected to it. */
	if (dns && !d->situation.dns_redirected)
		d->situation.dns_serving = false;
	d->situation.dns_redirected = dns;
	log_notice("The name servers in %s have changed: the rules follow (generation %u)",
		   d->generation->options.loaded.config.redirect.dns.resolv_config_path,
		   d->generation->number);
}

int daemon_watch_resolv(struct daemon *d, struct error *err)
{
	const struct config *config = &d->base->options.loaded.config;

	if (!config->redirect.dns.enabled || d->base->plan.dns_capture_all)
		return 0;
	return file_watch_new(d->event, config->redirect.dns.resolv_config_path, on_resolv_conf, d,
			      &d->resolv_conf, err);
}
