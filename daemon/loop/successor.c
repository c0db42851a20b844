/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How a binary takes the place of another one in the same process: from what handover.c of that one has
 * told, its generations made anew, its descriptors.
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/loop/daemon.h"
#include "daemon/loop/reexec.h"
#include "daemon/loop/state.h"
#include "daemon/netfilter/backends/backends.h"
#include "daemon/operator/log.h"
#include "daemon/operator/notify.h"
#include "daemon/os/crossing.h"
#include "daemon/os/retreat.h"

#define LAST_TRY_USEC ((uint64_t)5 * 1000 * 1000) /* for rules that others keep busy */

/* Where the reading of it has got to. */
struct heir {
	const struct daemon_heir *given;
	struct handover from;
	struct roles roles;
	struct inheritance all[GENERATIONS_MAX];
	bool other_rules; /* of the current one, or of the one applied */
	const char *version;
	unsigned ticket;
	int instance, envoy, nftables, reserved[RESERVE_MAX];
	size_t n_reserved;
};

static void heir_done(struct heir *heir)
{
	for (size_t i = 0; i < ELEMENTS(heir->all); i++)
		generation_free(heir->all[i].generation);
	handover_done(&heir->from);
}

static int take_generations(struct heir *heir, struct error *err)
{
	const struct roles *roles = &heir->roles;
	uint64_t n = 0;
	int r = 0;

	if (handover_take_number(&heir->from, "", "generations", GENERATIONS_MAX, &n) < 0)
		return error_set(err, -EBADMSG,
				 "the state does not tell how many generations "
				 "there are");
	for (unsigned i = 0; i < n && r == 0; i++) {
		char prefix[24];
		const struct generation_heir one = { heir->given->argc, heir->given->argv, prefix };
		struct inheritance *got = &heir->all[i];

		(void)snprintf(prefix, sizeof(prefix), "generation-%u.", i);
		r = generation_inherit(&one, &heir->from, got, err);
		if (r == 0 && !got->same_rules)
			heir->other_rules |= got->generation->number == roles->current ||
					     got->generation->number == roles->applied;
	}
	return r;
}

/* The generation of that number, for one more owner; NULL for 0. */
static int find_generation(const struct heir *heir, unsigned number, struct generation **ret,
			   struct error *err)
{
	for (size_t i = 0; i < ELEMENTS(heir->all) && number; i++) {
		struct generation *g = heir->all[i].generation;

		if (!g || g->number != number)
			continue;
		g->references++;
		*ret = g;
		return 0;
	}
	return number ? error_set(err, -EBADMSG, "the state lacks generation %u", number) : 0;
}

static int take_descriptors(struct heir *heir, struct error *err)
{
	uint64_t n = 0;
	char name[24];

	if (crossing_take_fd(&heir->from, "", "instance", &heir->instance) < 0)
		return error_set(err, -EBADMSG, "the state lacks the lock");
	heir->envoy = heir->nftables = -1;
	if (handover_has(&heir->from, "", "nftables") &&
	    crossing_take_fd(&heir->from, "", "nftables", &heir->nftables) < 0)
		return error_set(err, -EBADMSG,
				 "the state does not tell the descriptor of nf_tables");
	if (handover_has(&heir->from, "", "envoy") &&
	    crossing_take_fd(&heir->from, "", "envoy", &heir->envoy) < 0)
		return error_set(err, -EBADMSG, "the state does not tell Envoy's descriptor");
	if (handover_take_number(&heir->from, "reserved.", "count", RESERVE_MAX, &n) < 0)
		return error_set(err, -EBADMSG, "the state lacks reserved.count");
	for (; heir->n_reserved < n; heir->n_reserved++) {
		(void)snprintf(name, sizeof(name), "%zu", heir->n_reserved);
		if (crossing_take_fd(&heir->from, "reserved.", name,
				     &heir->reserved[heir->n_reserved]) < 0)
			return error_set(err, -EBADMSG, "the state lacks reserved.%s", name);
	}
	return 0;
}

/* Reads what needs no daemon yet. */
static int heir_init(struct heir *heir, const struct daemon_heir *given, struct error *err)
{
	uint64_t ticket;
	int r = handover_parse(given->text, given->len, &heir->from, err);

	heir->given = given;
	if (r < 0)
		return r;
	heir->version = handover_take_text(&heir->from, "", "version");
	if (!heir->version || handover_take_number(&heir->from, "", "asked", UINT_MAX, &ticket) < 0)
		return error_set(err, -EBADMSG, "the state does not tell whose it is");
	heir->ticket = (unsigned)ticket;
	r = daemon_take_roles(&heir->from, &heir->roles, err);
	if (r == 0)
		r = take_generations(heir, err);
	return r < 0 ? r : take_descriptors(heir, err);
}

/* Gives the daemon its generations. */
static int assign(const struct heir *heir, const struct daemon_ops *ops, struct daemon *d,
		  struct error *err)
{
	struct generation *current = NULL;
	int r = heir->roles.current ? find_generation(heir, heir->roles.current, &current, err)
				    : error_set(err, -EBADMSG, "the state has no generation");

	if (r == 0) {
		daemon_init(d, current, ops);
		r = find_generation(heir, heir->roles.applied, &d->applied, err);
	}
	if (r == 0)
		r = find_generation(heir, heir->roles.next, &d->next, err);
	return r < 0 ? r : find_generation(heir, heir->roles.former, &d->confirm.former, err);
}

static const struct proc_ops no_hands; /* of children that are only looked at */

static int look_at_parts(struct heir *heir, struct daemon *d, struct error *err)
{
	int r = daemon_take_control(d, &heir->from, err);

	for (unsigned i = 0; i < CHILD_COUNT && r == 0 && d->current->command[i].path; i++) {
		r = daemon_add_child(d, &no_hands, err);
		if (r == 0)
			r = daemon_take_relay(d, (enum child_id)i, &heir->from, err);
	}
	if (r == 0)
		r = daemon_take_facts(d, &heir->from, err);
	return r < 0 ? r : handover_all_taken(&heir->from, err);
}

int daemon_could_inherit(const struct daemon_heir *given, struct error *err)
{
	_cleanup_(heir_done) struct heir heir = { 0 };
	_free_ struct daemon *d = calloc(1, sizeof(*d));
	int r = d ? heir_init(&heir, given, err) : error_sys(err, -ENOMEM, "take over");

	if (r == 0)
		r = assign(&heir, NULL, d, err);
	if (r == 0)
		r = look_at_parts(&heir, d, err);
	if (!d)
		return r;
	json_decref(d->reload.answer);
	generation_free(d->current);
	generation_free(d->applied);
	generation_free(d->next);
	generation_free(d->confirm.former);
	return r;
}

/* A child that was started for a generation is of it still, whatever this version would start for it:
 * that is for a start to come. */
static void adopt_children(struct daemon *d, const struct heir *heir)
{
	for (enum child_id id = 0; id < d->n_children; id++) {
		uint64_t *digest = d->carry.child[id].digest;
		size_t i = 0;

		while (i < ELEMENTS(heir->all) &&
		       (!heir->all[i].generation || memcmp(heir->all[i].digest[id], digest,
							   sizeof(heir->all[i].digest[id])) != 0))
			i++;
		if (i < ELEMENTS(heir->all))
			memcpy(digest, heir->all[i].generation->digest[id],
			       sizeof(heir->all[i].digest[id]));
	}
}

/* What may have happened while nobody looked. */
static void look_anew(struct daemon *d, const struct heir *heir)
{
	struct situation *s = situation_of(d);

	/* This version makes other rules, or this host leads to others: they are put in place of those
	 * that are in, at the same level. */
	if (heir->other_rules && s->applied != LEVEL_UNKNOWN && s->applied != LEVEL_NONE) {
		s->least = s->applied;
		s->applied = LEVEL_UNKNOWN;
	}
	d->drift.suspected = d->drift.tables = true;
	if (d->resolv.watch)
		daemon_resolv_changed(d);
	daemon_look_at_token(d);
}

/* Envoy's pidfd crosses, its number alone would prove nothing. */
static int watch_envoy(struct daemon *d, int fd, struct error *err)
{
	int r = fd < 0 ? 0 : daemon_watch_envoy(d, fd);

	if (fd < 0)
		d->probe.envoy = 0;
	return r < 0 ? error_sys(err, r, "watch Envoy") : 0;
}

static int build(struct heir *heir, struct daemon *d, struct error *err)
{
	int r;

	if (!d->current)
		return error_set(err, -EBADMSG, "the state has no generation that counts");
	d->reexec.instance = heir->instance;
	d->reexec.ticket = heir->ticket;
	reserve_inherit(&d->reserve, heir->reserved, heir->n_reserved, d->current->plan.user.uid);
	r = daemon_build(d, &heir->from, err);
	redirect_adopt(&d->redirect, heir->nftables);
	if (r == 0)
		r = daemon_take_facts(d, &heir->from, err);
	if (r == 0)
		r = handover_all_taken(&heir->from, err);
	if (r < 0)
		return r;
	adopt_children(d, heir);
	r = daemon_resume(d, err);
	return r < 0 ? r : watch_envoy(d, heir->envoy, err);
}

static void tell_taken(struct daemon *d, const char *former)
{
	_strbuf_ struct strbuf text = { 0 };

	strbuf_addf(&text, "tproxyd %s has taken the place of %s", TPROXYD_VERSION, former);
	log_notice("%s", strbuf_text(&text));
	control_reply(d->control, d->reexec.ticket,
		      json_pack("{s:b,s:o,s:s}", "ok", 1, "text", json_text(strbuf_text(&text)),
				"version", TPROXYD_VERSION));
	d->reexec.ticket = 0;
}

/* From here on it is ours, and may be changed. systemd is told first: until then the former one would have
 * done it. */
static void settle(struct daemon *d)
{
	if (d->carry.ready && situation_of(d)->wish == WISH_RUN && !d->reload.generation)
		notify_ready();
	retreat_close();
}

static void tell(struct daemon *d, const struct heir *heir)
{
	if (heir->given->why)
		daemon_not_replaced(d, heir->given->why);
	else
		tell_taken(d, heir->version);
}

/* Without us nobody watches the proxy, whose end is ours: the rules go first. */
static void take_rules_out(void)
{
	const struct redirect_removal removal = {
		.all = netfilter_backends,
		.record = RECORD_RUN,
		.scope = SCOPE_RECORDED,
		.patience = { .timeout_usec = LAST_TRY_USEC },
	};
	struct netfilter_report report;
	struct error err = { 0 };

	if (redirect_remove(&removal, &report, &err) != 0)
		log_error(&err, "Cannot take the rules out");
	netfilter_report_done(&report);
}

void daemon_give_back(const struct error *err)
{
	retreat(err);
	take_rules_out();
}

int daemon_inherit(const struct daemon_heir *given, struct daemon **ret, struct error *err)
{
	_cleanup_(heir_done) struct heir heir = { 0 };
	_cleanup_(daemon_freep) struct daemon *d = calloc(1, sizeof(*d));
	bool begun = false;
	int r = d ? heir_init(&heir, given, err) : error_sys(err, -ENOMEM, "take over");

	if (r == 0)
		r = assign(&heir, &daemon_system_ops, d, err);
	if (r == 0) {
		begun = true;
		r = build(&heir, d, err);
	}
	if (r < 0) {
		/* Before the clean-up: what it closes is lost, and whom it ends. */
		retreat(err);
		/* Tables that belong to the socket go with it; nobody else could take them out. */
		if (begun)
			redirect_done(&d->redirect);
		take_rules_out();
		if (d && !begun) {
			generation_free(d->current);
			free(take_ptr(d));
		}
		return r;
	}
	settle(d);
	look_anew(d, &heir);
	tell(d, &heir);
	*ret = take_ptr(d);
	return 0;
}
