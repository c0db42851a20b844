/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * When resolv.conf names other servers, the rules follow in one commit: a new generation with the
 * same configuration, built beside the running one. Nothing restarts: rules that a proxy of another
 * configuration would need cannot come of this.
 */

#include <stdio.h>
#include <string.h>

#include "common/rules/print_restore.h"
#include "daemon/loop/state.h"
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

void daemon_resolv_changed(void *userdata)
{
	struct daemon *d = userdata;
	_cleanup_(generation_freep) struct generation *next = NULL;
	struct generation *latest = d->next ? d->next : d->current;
	struct error err = { 0 };
	int r;

	if (situation_of(d)->wish != WISH_RUN)
		return;
	r = generation_follow(latest, &next, &err);
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
	daemon_take(d, take_ptr(next));
}

int daemon_watch_resolv(struct daemon *d, struct error *err)
{
	const struct config *config = &d->current->options.loaded.config;
	const char *path = config->redirect.dns.resolv_config_path;
	bool wanted = config->redirect.dns.enabled && !d->current->plan.dns_capture_all;
	int r;

	if (d->resolv.watch && wanted && strcmp(path, d->resolv.path) == 0)
		return 0;
	file_watch_free(take_ptr(d->resolv.watch));
	if (!wanted)
		return 0;
	(void)snprintf(d->resolv.path, sizeof(d->resolv.path), "%s", path);
	r = file_watch_new(
		&(struct file_watch_setup){
			.event = d->event,
			.path = d->resolv.path,
			.changed = daemon_resolv_changed,
			.userdata = d,
		},
		&d->resolv.watch, err);
	if (r == FILE_WATCH_POLLS)
		log_warning("Nobody tells of changes, so it is looked at every 10 s: %s",
			    err->text);
	return r < 0 ? r : 0;
}
