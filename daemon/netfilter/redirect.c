/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/redirect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/array.h"
#include "daemon/netfilter/loopback.h"
#include "daemon/os/fd.h"

static const struct ruleset nothing = { .level = LEVEL_NONE };

#define PAUSE_USEC ((uint64_t)10 * 1000) /* between two tries */

int redirect_open(struct redirect *redirect, const struct netfilter_backend *backend,
		  const char *record_path, struct error *err)
{
	int r;

	*redirect = (struct redirect){ .backend = backend, .channel.fd = -EBADF };
	r = record_load(record_path, &redirect->record, err);
	if (r < 0 || !backend)
		return r;
	r = backend->find(err);
	if (r != 0)
		record_done(&redirect->record);
	return r;
}

void redirect_done(struct redirect *redirect)
{
	record_done(&redirect->record);
	close_fdp(&redirect->channel.fd);
	redirect->channel.fd = -EBADF;
}

static int save_address(struct record *record, bool address, struct error *err)
{
	int r;

	record->address = address;
	r = record_save(record, err);
	if (r < 0)
		record->address = !address;
	return r;
}

/* It is in the record on disk before it is on the interface: a kill between the two leaves an entry
 * that removes nothing, never an address that nobody removes. */
static int add_address(struct record *record, const char *iface, bool *ret_added, struct error *err)
{
	bool present;
	int r = loopback_v6_present(iface, &present, err);

	if (r < 0 || present)
		return r;
	/* Somebody has removed it under rules that need it. */
	if (record->address)
		return loopback_v6_add(iface, &present, err);
	(void)snprintf(record->address_iface, sizeof(record->address_iface), "%s", iface);
	r = save_address(record, true, err);
	if (r < 0)
		return r;
	r = loopback_v6_add(iface, ret_added, err);
	if (r == 0 && *ret_added)
		return 0;
	/* Somebody else was faster, or it cannot be: then it is not ours to remove. */
	record->address = false;
	if (record_save(record, NULL) < 0 && r == 0)
		return error_set(err, -EIO, "take back the claim on ::6/128");
	return r;
}

/* The rules cannot be put back any more: what fails in passing must not leave half a change. */
static int remove_address(struct record *record, struct error *err)
{
	int r = 0;

	for (int tries = 0; tries < 2 && record->address; tries++) {
		r = loopback_v6_remove(record->address_iface, err);
		if (r == 0)
			r = save_address(record, false, err);
	}
	return r;
}

/* Takes back the address that was added for rules that did not come. */
static int without_address(struct record *record, struct error *err, int r)
{
	struct error why;

	if (remove_address(record, &why) == 0)
		return r;
	if (r == NETFILTER_BUSY)
		return error_set(err, why.code, "take back ::6/128: %.300s", why.text);
	return error_wrap(err, r, "take back ::6/128: %.120s", why.text);
}

static bool lists_any(const struct record *record, unsigned kinds)
{
	for (size_t i = 0; i < record->n; i++)
		if (kinds & 1U << record->items[i].kind)
			return true;
	return false;
}

/* Whether there may be anything of it: where there is nothing, nothing is waited for. */
static int is_in(const struct redirect *redirect, const struct netfilter_backend *other,
		 const struct netfilter_wish *clear, bool *ret, struct error *err)
{
	_strbuf_ struct strbuf difference = { 0 };
	bool listed = lists_any(&redirect->record, other->kinds);
	int r = 0;

	*ret = listed || clear->scope != SCOPE_RECORDED;
	if (!*ret)
		return 0;
	r = other->find(err);
	if (r == NETFILTER_ABSENT) {
		*ret = false;
		return 0;
	}
	if (r == 0 && !listed && redirect->backend) {
		r = other->differs(clear, &redirect->record, &difference, err);
		*ret = r != 0 || difference.len > 0;
	}
	return r;
}

static struct netfilter_wish clear_wish(const struct netfilter_wish *wish)
{
	struct netfilter_wish clear = *wish;

	clear.rules = &nothing;
	return clear;
}

/* Rules that redirect are not put in where somebody keeps those of another backend from going: for as
 * long as he does, it could not be said which of them a packet meets. */
static int ask_others(const struct redirect *redirect, const struct netfilter_wish *wish,
		      struct error *err)
{
	const struct netfilter_wish clear = clear_wish(wish);

	for (enum backend_choice i = BACKEND_IPTABLES; redirect->all && i < BACKEND_COUNT; i++) {
		const struct netfilter_backend *other = redirect->all[i];
		struct error unknown; /* it is told once our own rules are in */
		bool in = false;

		if (other && other != redirect->backend &&
		    is_in(redirect, other, &clear, &in, &unknown) == 0 && in &&
		    other->ready(err) == NETFILTER_BUSY)
			return NETFILTER_BUSY;
	}
	return 0;
}

static int clear_other(struct redirect *redirect, const struct netfilter_backend *other,
		       const struct netfilter_wish *clear, struct netfilter_report *report,
		       struct error *err)
{
	bool in = false;
	int r = is_in(redirect, other, clear, &in, err);

	return r == 0 && in ? other->apply(clear, &redirect->record, report, err) : r;
}

/* Brings all other backends to nothing, whatever becomes of each. */
static int clear_others(struct redirect *redirect, const struct netfilter_wish *wish,
			struct netfilter_report *report, struct error *err)
{
	const struct netfilter_wish clear = clear_wish(wish);
	int result = 0;

	for (enum backend_choice i = BACKEND_IPTABLES; redirect->all && i < BACKEND_COUNT; i++) {
		const struct netfilter_backend *other = redirect->all[i];
		struct error why = { 0 };
		int r = other && other != redirect->backend
				? clear_other(redirect, other, &clear, report, &why)
				: 0;

		if (r == 0 || result < 0)
			continue;
		result = r;
		(void)error_set(err, why.code, "%s", why.text);
	}
	return result;
}

/* Our own rules first. What the others have in sends traffic to the same ports, if anywhere: it
 * undoes nothing of ours. */
static int change_rules(struct redirect *redirect, const struct netfilter_wish *wish,
			struct netfilter_report *report, struct error *err)
{
	struct netfilter_wish own = *wish;

	own.channel = &redirect->channel;
	return redirect->backend ? redirect->backend->apply(&own, &redirect->record, report, err)
				 : 0;
}

/* Once our own rules are changed it is too late for the old state: whoever reads of a failure then has
 * to know what is in. */
static int after_change(const struct netfilter_wish *wish, const char *what, struct error *err,
			int r)
{
	const char *done = wish->rules->level != LEVEL_NONE ? "the new rules are in; " : "";

	if (r != 0)
		(void)error_wrap(err, r < 0 ? r : err->code, "%s%s", done, what);
	return r;
}

int redirect_apply(struct redirect *redirect, const struct netfilter_wish *wish,
		   struct netfilter_report *report, struct error *err)
{
	const struct ruleset *rules = wish->rules;
	bool added = false;
	struct error late = { 0 };
	int r = 0, cleared;

	if (redirect->backend && rules->level > LEVEL_DRAIN && !wish->dry_run)
		r = ask_others(redirect, wish, err);
	if (r == 0 && rules->loopback_v6 && !wish->dry_run) {
		/* The address would be added and removed again with each try. */
		if (!redirect->record.address)
			r = redirect->backend->ready(err);
		if (r == 0)
			r = add_address(&redirect->record, rules->loopback, &added, err);
	}
	if (r == 0)
		r = change_rules(redirect, wish, report, err);
	if (r < 0)
		r = error_wrap(err, r, "apply rules");
	if (r != 0)
		return added ? without_address(&redirect->record, err, r) : r;
	cleared = clear_others(redirect, wish, report, err);
	if (redirect->backend)
		cleared = after_change(wish, "remove rules of another backend", err, cleared);
	else if (cleared < 0)
		cleared = error_wrap(err, cleared, "remove rules");
	/* Rules that are left may need it. */
	if (cleared > 0 || (cleared < 0 && redirect->record.n) || rules->loopback_v6 ||
	    wish->dry_run)
		return cleared;
	r = remove_address(&redirect->record, cleared < 0 ? &late : err);
	return r < 0 && cleared == 0 ? after_change(wish, "remove ::6/128", err, r) : cleared;
}

int redirect_differs(const struct redirect *redirect, const struct netfilter_wish *wish,
		     struct strbuf *difference, struct error *err)
{
	const struct ruleset *rules = wish->rules;
	bool missing = false;
	int r = redirect->backend->differs(wish, &redirect->record, difference, err);

	if (r == 0 && rules->loopback_v6)
		r = loopback_v6_missing(rules->loopback, &missing, err);
	if (r == 0 && missing)
		strbuf_addf(difference, "%s::6/128 is gone from %s", difference->len ? "; " : "",
			    rules->loopback);
	return r;
}

void redirect_adopt(struct redirect *redirect, int fd)
{
	redirect->channel.fd = fd;
}

int redirect_release(struct redirect *redirect, int fd, struct error *err)
{
	_close_ int given = fd;
	struct netfilter_channel channel = { .fd = given };
	const struct netfilter_wish wish = {
		.rules = &nothing,
		.scope = SCOPE_RECORDED,
		.channel = &channel,
	};
	int r = 0;

	for (enum backend_choice i = BACKEND_IPTABLES; i < BACKEND_COUNT && r == 0; i++) {
		const struct netfilter_backend *backend = redirect->all[i];

		if (backend && backend->owns)
			r = backend->apply(&wish, &redirect->record, NULL, err);
	}
	return r;
}

static void add_whose(const struct redirect *redirect, struct strbuf *out)
{
	for (enum backend_choice i = BACKEND_IPTABLES; redirect->all && i < BACKEND_COUNT; i++)
		if (redirect->all[i] && redirect->all[i]->whose)
			redirect->all[i]->whose(out);
}

int redirect_apply_wait(struct redirect *redirect, const struct netfilter_wish *wish,
			const struct redirect_patience *patience, struct netfilter_report *report,
			struct error *err)
{
	uint64_t pause_usec = patience->interval_usec ? patience->interval_usec : PAUSE_USEC;
	const struct timespec pause = { .tv_sec = (time_t)(pause_usec / 1000000),
					.tv_nsec = (long)(pause_usec % 1000000) * 1000 };

	for (uint64_t waited = 0;; waited += pause_usec) {
		struct error why;
		int r = redirect_apply(redirect, wish, report, err);

		if (r != NETFILTER_BUSY)
			return r;
		if (waited >= patience->timeout_usec) {
			_strbuf_ struct strbuf whose = { 0 };

			why = *err;
			add_whose(redirect, &whose);
			(void)error_set(err, why.code, "%.240s%.160s (waited %llu ms)", why.text,
					strbuf_text(&whose), (unsigned long long)(waited / 1000));
			return r;
		}
		(void)nanosleep(&pause, NULL);
	}
}

/* Adds what a record lists. A damaged one lists nothing: names and shapes are left. */
static int add_record(const char *path, struct record *all, struct netfilter_report *report,
		      struct error *err)
{
	struct record record;
	int r = record_load(path, &record, err);

	if (r == -EBADMSG) {
		array_push(&report->arena, &report->left,
			   arena_printf(&report->arena, "The record is of no use: %s is damaged",
					path));
		return 0;
	}
	if (r < 0)
		return r;
	for (size_t i = 0; i < record.n; i++)
		array_push(&all->arena, all, record.items[i]);
	if (record.address) {
		all->address = true;
		memcpy(all->address_iface, record.address_iface, sizeof(all->address_iface));
	}
	record_done(&record);
	return all->arena.failed ? error_sys(err, -ENOMEM, "read %s", path) : 0;
}

static void report_address(const struct record *record, struct netfilter_report *report)
{
	if (record->address)
		array_push(&report->arena, &report->removed,
			   arena_printf(&report->arena, "::6/128 on %s", record->address_iface));
}

/* The records go last: a stale one does no harm, one that is missing may. */
static int remove_recognised(const struct redirect_removal *removal,
			     const struct netfilter_wish *wish, struct netfilter_report *ret,
			     struct error *err)
{
	const char *const paths[] = { removal->record, removal->record_installed };
	struct redirect redirect = { .all = removal->all, .channel.fd = -EBADF };
	struct record claimed;
	int r = 0;

	for (size_t i = 0; i < ELEMENTS(paths) && r == 0; i++)
		r = add_record(paths[i], &redirect.record, ret, err);
	claimed = redirect.record;
	if (r == 0)
		r = redirect_apply_wait(&redirect, wish, &removal->patience, ret, err);
	if (r == 0)
		report_address(&claimed, ret);
	for (size_t i = 0; i < ELEMENTS(paths) && r == 0 && !removal->dry_run; i++) {
		r = record_save(&(struct record){ .path = paths[i] }, err);
		if (r < 0)
			r = error_wrap(err, r, "the rules are gone");
	}
	redirect_done(&redirect);
	return r;
}

int redirect_remove(const struct redirect_removal *removal, struct netfilter_report *ret,
		    struct error *err)
{
	const struct netfilter_wish wish = {
		.rules = &nothing,
		.scope = removal->scope,
		.dry_run = removal->dry_run,
	};
	struct redirect redirect;
	struct record claimed;
	int r;

	*ret = (struct netfilter_report){ 0 };
	if (removal->scope == SCOPE_RECOGNISED)
		return remove_recognised(removal, &wish, ret, err);
	r = redirect_open(&redirect, NULL, removal->record, err);
	if (r != 0)
		return r;
	redirect.all = removal->all;
	claimed = redirect.record;
	r = redirect_apply_wait(&redirect, &wish, &removal->patience, ret, err);
	if (r == 0)
		report_address(&claimed, ret);
	redirect_done(&redirect);
	return r;
}
