/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The token that kuma-dp was given: when it ends, by this host's clock, and whether its file has
 * another one by now, which kuma-dp does not read. Neither changes anything but what is said.
 */

#include <string.h>

#include "daemon/host/host.h"
#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"

/* Each turn of the loop: that is every two seconds, and needs no timer of its own, which would have to
 * follow a clock that is set, and one that stood still with the host. */
void daemon_token_look(struct daemon *d)
{
	const struct plan_children *children = &d->current->plan.children;
	uint64_t expires = children->token_expires_sec, now = d->ops->wall(d);
	enum token_age age = token_age(expires, now), told = d->token.told;
	_strbuf_ struct strbuf when = { 0 };

	/* What was true when it was loaded was said then. */
	if (d->token.expires_sec != expires)
		told = token_age(expires, d->current->facts.now_sec);
	d->token.expires_sec = expires;
	d->token.told = age;
	if (age <= told)
		return;
	token_print_expiry(expires, now, &when);
	if (age == TOKEN_EXPIRED)
		log_event(LOG_LEVEL_ERROR, MSG_TOKEN_EXPIRES, NULL,
			  "The token in %s %s: the control plane refuses kuma-dp when it connects "
			  "again; replace it and run \"tproxyd reload\"",
			  children->token_file, strbuf_text(&when));
	else
		log_event(LOG_LEVEL_WARNING, MSG_TOKEN_EXPIRES, NULL,
			  "The token in %s %s: replace it and run \"tproxyd reload\"",
			  children->token_file, strbuf_text(&when));
}

void daemon_token_read(struct daemon *d, const char *text)
{
	const struct plan_children *children = &d->current->plan.children;
	bool before = d->token.replaced;

	/* Whoever replaces a file may take it away first. */
	if (!text || !children->token)
		return;
	d->token.replaced = strcmp(text, children->token) != 0;
	if (d->token.replaced && !before)
		log_event(LOG_LEVEL_NOTICE, MSG_TOKEN_REPLACED, NULL,
			  "The token in %s was replaced: kuma-dp goes on with the former one until "
			  "\"tproxyd reload\"",
			  children->token_file);
}

void daemon_look_at_token(struct daemon *d)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct facts facts = d->current->facts;

	host_token(&arena, &d->current->options.loaded.config, &facts);
	daemon_token_read(d, facts.token.text);
}

static void on_changed(void *userdata)
{
	daemon_look_at_token(userdata);
}

int daemon_watch_token(struct daemon *d, struct error *err)
{
	const struct file_watch_setup setup = {
		.event = d->event,
		.path = d->current->plan.children.token_file,
		.changed = on_changed,
		.userdata = d,
	};
	int r;

	file_watch_free(take_ptr(d->token.watch));
	r = file_watch_new(&setup, &d->token.watch, err);
	if (r == FILE_WATCH_POLLS)
		log_info("The token is looked at every 10 s: %s", err->text);
	return r < 0 ? r : 0;
}

json_t *token_status(struct daemon *d)
{
	const struct plan_children *children = &d->current->plan.children;
	uint64_t expires = children->token_expires_sec, now = d->ops->wall(d);
	_strbuf_ struct strbuf when = { 0 };

	if (expires)
		token_print_expiry(expires, now, &when);
	return json_pack("{s:s?,s:s,s:I,s:o,s:b}", "file", children->token_file, "expiry",
			 expires ? strbuf_text(&when) : "never expires", "expires-unix-seconds",
			 (json_int_t)expires, "seconds-left",
			 expires ? json_integer((json_int_t)(expires - now)) : json_null(),
			 "replaced", d->token.replaced);
}
